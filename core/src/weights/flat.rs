//! A file whose matrices of experts lie below each other, as the network calls them.

use std::ops::Range;

use super::{Metadata, Source, TensorInfo};
use crate::error::{Error, Result};

/// The same tensors, those of three dimensions with two: the matrices of all experts below each other.
#[derive(Debug)]
struct Flat {
    source: Box<dyn Source>,
    tensors: Vec<TensorInfo>,
}

/// Puts the matrices of experts below each other, where there are any: tensors of three dimensions.
pub(crate) fn flat(source: Box<dyn Source>) -> Box<dyn Source> {
    if source.tensors().iter().all(|info| info.shape.len() != 3) {
        return source;
    }
    let mut tensors = source.tensors().to_vec();
    for info in &mut tensors {
        if let [experts, rows, columns] = info.shape[..] {
            info.shape = vec![experts.saturating_mul(rows), columns];
        }
    }
    Box::new(Flat { source, tensors })
}

impl Source for Flat {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.source.find(name)
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let Some([_, each, columns]) = self.source.tensors().get(tensor).map(|t| &t.shape[..])
        else {
            return self.source.decode(tensor, rows, out);
        };
        // Whole experts are decoded, and the rows that are wanted taken from them.
        let (each, columns) = ((*each).max(1), *columns);
        let experts = rows.start / each..rows.end.div_ceil(each);
        if experts.start * each == rows.start && experts.end * each == rows.end {
            return self.source.decode(tensor, experts, out);
        }
        if rows.start > rows.end || out.len() != rows.len() * columns {
            return Err(Error::Compute(format!(
                "{} numbers for rows {rows:?}",
                out.len()
            )));
        }
        let first = rows.start - experts.start * each;
        let mut whole = vec![0.0; experts.len() * each * columns];
        self.source.decode(tensor, experts, &mut whole)?;
        out.copy_from_slice(&whole[first * columns..][..rows.len() * columns]);
        Ok(())
    }

    fn read(&self, tensor: usize) -> Result<Vec<u8>> {
        self.source.read(tensor)
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.source.metadata(key)
    }

    fn stored_bytes(&self) -> u64 {
        self.source.stored_bytes()
    }
}
