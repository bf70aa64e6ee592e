//! Weights under other names than those in their file.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use super::{Metadata, Source, StoredFormat, TensorInfo};
use crate::error::{Error, Result};

/// Elements of two tensors that are compared at a time.
const AT_ONCE: usize = 1 << 18;

/// The tensors of another source under other names, without some of them and with some beside them.
pub(crate) struct Renamed {
    source: Box<dyn Source>,
    tensors: Vec<TensorInfo>,
    /// For each tensor where it is from.
    origins: Vec<Origin>,
    places: HashMap<String, usize>,
}

enum Origin {
    /// A tensor of the source.
    Source(usize),
    /// These values.
    Values(Vec<f32>),
}

impl fmt::Debug for Renamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renamed")
            .field("source", &self.source)
            .field("tensors", &self.tensors)
            .finish_non_exhaustive()
    }
}

impl Renamed {
    /// Names every tensor anew; those without a name are left out.
    ///
    /// # Errors
    /// The two tensors that would have one name.
    pub(crate) fn new(
        source: Box<dyn Source>,
        name: impl Fn(&str) -> Option<String>,
    ) -> std::result::Result<Self, String> {
        let mut all = Self {
            tensors: Vec::new(),
            origins: Vec::new(),
            places: HashMap::new(),
            source,
        };
        for (i, info) in all.source.tensors().iter().enumerate() {
            let Some(name) = name(&info.name) else {
                continue;
            };
            if let Some(at) = all.places.insert(name.clone(), all.tensors.len()) {
                let Some(Origin::Source(first)) = all.origins.get(at) else {
                    continue;
                };
                return Err(format!(
                    "tensors '{}' and '{}' are the same part of the network",
                    all.source.tensors()[*first].name,
                    info.name
                ));
            }
            all.origins.push(Origin::Source(i));
            all.tensors.push(TensorInfo {
                name,
                ..info.clone()
            });
        }
        Ok(all)
    }

    /// Puts a tensor of one dimension beside the others.
    ///
    /// # Errors
    /// There is one of that name.
    pub(crate) fn add(&mut self, name: &str, values: Vec<f32>) -> std::result::Result<(), String> {
        if self.places.contains_key(name) {
            return Err(format!("tensor '{name}' is in the file already"));
        }
        self.places.insert(name.to_owned(), self.tensors.len());
        self.tensors.push(TensorInfo {
            name: name.to_owned(),
            shape: vec![values.len()],
            format: StoredFormat::F32,
            bytes: 4 * values.len() as u64,
        });
        self.origins.push(Origin::Values(values));
        Ok(())
    }

    /// Leaves a tensor out.
    pub(crate) fn leave_out(&mut self, name: &str) {
        let Some(at) = self.places.remove(name) else {
            return;
        };
        self.tensors.remove(at);
        self.origins.remove(at);
        for place in self.places.values_mut() {
            *place -= usize::from(*place > at);
        }
    }

    /// The name of a tensor in its file.
    pub(crate) fn in_file(&self, name: &str) -> Option<&str> {
        match self.origins.get(self.find(name)?)? {
            Origin::Source(at) => self
                .source
                .tensors()
                .get(*at)
                .map(|info| info.name.as_str()),
            Origin::Values(_) => None,
        }
    }

    /// Whether two tensors have the same shape and values.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(crate) fn are_equal(&self, one: usize, other: usize) -> Result<bool> {
        let (a, b) = (&self.tensors[one], &self.tensors[other]);
        if a.shape != b.shape {
            return Ok(false);
        }
        let rows = a.rows();
        let step = (AT_ONCE / a.row_length().max(1)).max(1);
        let mut start = 0;
        while start < rows {
            let part = start..rows.min(start + step);
            let values = |tensor| -> Result<Vec<f32>> {
                let mut values = vec![0.0; part.len() * a.row_length()];
                self.decode(tensor, part.clone(), &mut values)?;
                Ok(values)
            };
            if values(one)? != values(other)? {
                return Ok(false);
            }
            start = part.end;
        }
        Ok(true)
    }

    fn origin(&self, tensor: usize) -> Result<&Origin> {
        self.origins.get(tensor).ok_or_else(|| {
            let all = self.origins.len();
            Error::Compute(format!("tensor {tensor} is asked for, and there are {all}"))
        })
    }
}

impl Source for Renamed {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        match self.origin(tensor)? {
            Origin::Source(at) => self.source.decode(*at, rows, out),
            Origin::Values(values) => match values.get(rows.clone()) {
                Some(values) if values.len() == out.len() => {
                    out.copy_from_slice(values);
                    Ok(())
                }
                _ => Err(Error::Compute(format!(
                    "rows {} to {} of tensor {tensor} are asked for, which has {}, in {} places",
                    rows.start,
                    rows.end,
                    values.len(),
                    out.len()
                ))),
            },
        }
    }

    fn read(&self, tensor: usize) -> Result<Vec<u8>> {
        match self.origin(tensor)? {
            Origin::Source(at) => self.source.read(*at),
            Origin::Values(values) => Ok(values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()),
        }
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.source.metadata(key)
    }

    fn stored_bytes(&self) -> u64 {
        self.tensors.iter().map(|info| info.bytes).sum()
    }
}
