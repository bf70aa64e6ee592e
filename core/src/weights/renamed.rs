//! Weights under other names than those in their file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;

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

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        self.source.all_metadata()
    }

    fn paths(&self) -> Vec<&Path> {
        self.source.paths()
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.source.metadata(key)
    }

    fn stored_bytes(&self) -> u64 {
        self.tensors.iter().map(|info| info.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::weights::open_bytes;

    /// Two equal tables of three rows, longer than what is compared at a time, and a short one between them.
    fn source(change: Option<usize>) -> Box<dyn Source> {
        const LONG: usize = AT_ONCE + 3;
        let header = serde_json::json!({
            "a": {"dtype": "F32", "shape": [3, LONG], "data_offsets": [0, 12 * LONG]},
            "b": {"dtype": "F32", "shape": [2], "data_offsets": [12 * LONG, 12 * LONG + 8]},
            "c": {"dtype": "F32", "shape": [3, LONG], "data_offsets": [12 * LONG + 8, 24 * LONG + 8]},
        })
        .to_string();
        let mut values = vec![1.5_f32; 6 * LONG + 2];
        if let Some(at) = change {
            values[3 * LONG + 2 + at] = 2.5;
        }
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        open_bytes(bytes, Path::new("folder/input")).unwrap()
    }

    #[test]
    fn every_number_of_two_tables_is_compared() {
        let equal = |change, other: &str| {
            let renamed = Renamed::new(source(change), |name| Some(name.to_owned())).unwrap();
            let at = |name| renamed.find(name).unwrap();
            renamed.are_equal(at("a"), at(other)).unwrap()
        };
        assert!(equal(None, "c"));
        assert!(!equal(None, "b"));
        for at in [
            0,
            AT_ONCE - 1,
            AT_ONCE + 2,
            2 * AT_ONCE + 9,
            3 * AT_ONCE + 8,
        ] {
            assert!(!equal(Some(at), "c"), "{at}");
        }
    }

    #[test]
    fn tensors_have_their_new_names_and_places() {
        let mut renamed = Renamed::new(source(Some(0)), |name| {
            (name != "a").then(|| format!("new {name}"))
        })
        .unwrap();
        renamed.add("d", vec![1.0, 2.0, 3.0]).unwrap();
        assert!(renamed.add("new b", Vec::new()).is_err());
        renamed.leave_out("new b");
        renamed.leave_out("a");
        let names: Vec<&str> = renamed.tensors().iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["new c", "d"]);
        assert_eq!(renamed.in_file("new c"), Some("c"));
        assert_eq!(renamed.in_file("d"), None);
        for name in ["a", "b", "c", "new a", "new b"] {
            assert_eq!(renamed.find(name), None, "{name}");
        }
        let mut first = vec![0.0; AT_ONCE + 3];
        renamed.decode(0, 0..1, &mut first).unwrap();
        assert_eq!(first[..2], [2.5, 1.5]);
        let mut two = [0.0; 2];
        renamed.decode(1, 1..3, &mut two).unwrap();
        assert_eq!(two, [2.0, 3.0]);
        assert_eq!(
            renamed.read(1).unwrap(),
            [1.0_f32, 2.0, 3.0].map(f32::to_le_bytes).concat()
        );
        assert!(renamed.decode(1, 2..4, &mut two).is_err());
        assert!(renamed.decode(2, 0..1, &mut two).is_err());
        assert!(renamed.read(2).is_err());
        let bytes: u64 = renamed.tensors().iter().map(|tensor| tensor.bytes).sum();
        assert_eq!(renamed.stored_bytes(), bytes);
        let same = Renamed::new(source(None), |_| Some("x".to_owned())).unwrap_err();
        assert_eq!(same, "tensors 'a' and 'b' are the same part of the network");
    }
}
