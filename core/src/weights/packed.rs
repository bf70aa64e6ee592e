//! Weights that another program packed into integers or small floating-point numbers with scales, decoded to the matrices
//! that they stand for. One file per scheme; how a network's weights are packed stands in its `config.json`.

mod awq;
mod bitsandbytes;
mod compressed;
mod fp8;
mod gptq;
mod scheme;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Metadata, Source, StoredFormat, TensorInfo};
use crate::error::{Error, Result};
pub(crate) use scheme::Scheme;

/// What a scheme packs a matrix into: endings of names after that of the matrix without `.weight`.
struct Parts {
    /// The part that tells a packed matrix.
    main: &'static str,
    needed: &'static [&'static str],
    perhaps: &'static [&'static str],
}

/// A packed matrix.
#[derive(Debug)]
struct Matrix {
    rows: usize,
    columns: usize,
    /// Tensors of the source by their endings.
    parts: BTreeMap<&'static str, usize>,
}

/// What was read of a matrix, to be decoded row by row.
trait Rows: Send + Sync {
    /// Decodes a row that there is.
    fn row(&self, row: usize, out: &mut [f32]);
}

/// The tensors that a scheme reads.
struct Reading<'a> {
    source: &'a dyn Source,
    parts: &'a BTreeMap<&'static str, usize>,
}

type Fact<T> = std::result::Result<T, String>;

impl Reading<'_> {
    fn perhaps(&self, part: &str) -> Option<(usize, &TensorInfo)> {
        let at = *self.parts.get(part)?;
        Some((at, self.source.tensors().get(at)?))
    }

    fn info(&self, part: &str) -> Fact<(usize, &TensorInfo)> {
        self.perhaps(part)
            .ok_or_else(|| format!("the part '{part}' of a packed matrix is missing"))
    }

    /// The shape of a part of two dimensions in one of these formats.
    fn matrix(&self, part: &str, formats: &[StoredFormat]) -> Fact<[usize; 2]> {
        let (_, info) = self.info(part)?;
        match info.shape[..] {
            [rows, columns] if rows > 0 && columns > 0 && formats.contains(&info.format) => {
                Ok([rows, columns])
            }
            _ => Err(unfit(info)),
        }
    }

    /// Whether a part has a shape.
    fn has(&self, part: &str, shape: &[usize]) -> Fact<()> {
        let (_, info) = self.info(part)?;
        match info.shape == shape {
            true => Ok(()),
            false => Err(format!(
                "tensor '{}' has shape {:?}, expected {shape:?}",
                info.name, info.shape
            )),
        }
    }

    fn bytes(&self, part: &str) -> Result<Vec<u8>> {
        let (at, _) = self.info(part).map_err(Error::Compute)?;
        self.source.read(at)
    }

    fn words(&self, part: &str) -> Result<Vec<u32>> {
        let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        let bytes = self.bytes(part)?;
        Ok(bytes.as_chunks().0.iter().map(word).collect())
    }

    fn floats(&self, part: &str) -> Result<Vec<f32>> {
        let (at, info) = self.info(part).map_err(Error::Compute)?;
        let mut values = vec![0.0; info.elements()];
        // A number alone has no rows.
        self.source.decode(at, 0..info.rows(), &mut values)?;
        Ok(values)
    }
}

fn unfit(info: &TensorInfo) -> String {
    format!(
        "tensor '{}' of {:?} in format {} is no part of a matrix that is packed as its config.json says",
        info.name,
        info.shape,
        info.format.name()
    )
}

/// The tensors of another source, those among them unpacked that a scheme packed.
pub(crate) struct Packed {
    source: Box<dyn Source>,
    scheme: Scheme,
    tensors: Vec<TensorInfo>,
    origins: Vec<Origin>,
    places: HashMap<String, usize>,
    /// The matrix that was read last, to be asked for by rows.
    last: Mutex<Option<(usize, Arc<dyn Rows>)>>,
}

#[derive(Debug)]
enum Origin {
    Source(usize),
    Matrix(Matrix),
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed")
            .field("source", &self.source)
            .field("scheme", &self.scheme)
            .field("tensors", &self.tensors)
            .finish_non_exhaustive()
    }
}

impl Packed {
    /// Finds what is packed.
    ///
    /// # Errors
    /// A part is missing or of another shape; nothing is packed.
    pub(crate) fn new(source: Box<dyn Source>, scheme: Scheme) -> Fact<Self> {
        let parts = scheme.parts();
        let (mut matrices, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for info in source.tensors() {
            let Some(stem) = info.name.strip_suffix(parts.main) else {
                continue;
            };
            let mut found = BTreeMap::new();
            let needed = parts.needed.iter().map(|part| (part, true));
            let others = parts.perhaps.iter().map(|part| (part, false));
            for (part, must) in [(&parts.main, true)]
                .into_iter()
                .chain(needed)
                .chain(others)
            {
                let name = format!("{stem}{part}");
                match source.find(&name) {
                    Some(at) => {
                        found.insert(*part, at);
                        taken.insert(at);
                    }
                    None if must => return Err(format!("tensor '{name}' is missing")),
                    None => {}
                }
            }
            let reading = Reading {
                source: source.as_ref(),
                parts: &found,
            };
            let [rows, columns] = scheme.shape(&reading)?;
            if rows.checked_mul(columns).is_none() {
                return Err(unfit(info));
            }
            let bytes = found.values().map(|at| source.tensors()[*at].bytes).sum();
            let info = TensorInfo {
                name: format!("{stem}.weight"),
                shape: vec![rows, columns],
                format: StoredFormat::Packed {
                    scheme: scheme.name(),
                    bits: scheme.bits(),
                },
                bytes,
            };
            let matrix = Matrix {
                rows,
                columns,
                parts: found,
            };
            matrices.insert(info.name.clone(), (info, matrix));
        }
        if matrices.is_empty() {
            return Err(format!(
                "by its config.json its weights are packed by {}, and no tensor is",
                scheme.name()
            ));
        }
        let (mut tensors, mut origins) = (Vec::new(), Vec::new());
        for (at, info) in source.tensors().iter().enumerate() {
            if !taken.contains(&at) {
                tensors.push(info.clone());
                origins.push(Origin::Source(at));
            }
        }
        for (info, matrix) in matrices.into_values() {
            tensors.push(info);
            origins.push(Origin::Matrix(matrix));
        }
        let mut places = HashMap::new();
        for (at, info) in tensors.iter().enumerate() {
            if places.insert(info.name.clone(), at).is_some() {
                return Err(format!(
                    "tensor '{}' is there packed and not packed",
                    info.name
                ));
            }
        }
        Ok(Self {
            source,
            scheme,
            tensors,
            origins,
            places,
            last: Mutex::new(None),
        })
    }

    fn rows(&self, tensor: usize, matrix: &Matrix) -> Result<Arc<dyn Rows>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, rows)) = last.as_ref()
            && *known == tensor
        {
            return Ok(rows.clone());
        }
        let reading = Reading {
            source: self.source.as_ref(),
            parts: &matrix.parts,
        };
        let rows: Arc<dyn Rows> = self.scheme.read(&reading, matrix)?.into();
        *last = Some((tensor, rows.clone()));
        Ok(rows)
    }

    fn origin(&self, tensor: usize) -> Result<&Origin> {
        self.origins.get(tensor).ok_or_else(|| {
            let all = self.origins.len();
            Error::Compute(format!("tensor {tensor} is asked for, and there are {all}"))
        })
    }
}

impl Source for Packed {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let matrix = match self.origin(tensor)? {
            Origin::Source(at) => return self.source.decode(*at, rows, out),
            Origin::Matrix(matrix) => matrix,
        };
        let fits = rows.start <= rows.end && rows.end <= matrix.rows;
        if !fits || out.len() != rows.len() * matrix.columns {
            return Err(Error::Compute(format!(
                "rows {} to {} of a tensor that has {} are asked for in {} places",
                rows.start,
                rows.end,
                matrix.rows,
                out.len()
            )));
        }
        let read = self.rows(tensor, matrix)?;
        for (row, out) in rows.zip(out.chunks_exact_mut(matrix.columns.max(1))) {
            read.row(row, out);
        }
        Ok(())
    }

    /// The parts one after another.
    fn read(&self, tensor: usize) -> Result<Vec<u8>> {
        match self.origin(tensor)? {
            Origin::Source(at) => self.source.read(*at),
            Origin::Matrix(matrix) => {
                let parts = matrix.parts.values().map(|at| self.source.read(*at));
                Ok(parts.collect::<Result<Vec<_>>>()?.concat())
            }
        }
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.source.metadata(key)
    }

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        self.source.all_metadata()
    }

    fn paths(&self) -> Vec<&Path> {
        self.source.paths()
    }

    fn stored_bytes(&self) -> u64 {
        self.tensors.iter().map(|info| info.bytes).sum()
    }
}
