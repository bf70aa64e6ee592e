//! Where the weights of a network come from while it is made ready to run.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::model::Tensors;

/// Where weights come from.
pub(crate) trait Weights: Sync {
    /// All numbers of a tensor, in the order of its shape.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    fn numbers(&self, name: &str) -> Result<Vec<f32>>;

    /// A matrix, of which rows are read a few at a time, each once, so that it is never in memory twice.
    ///
    /// # Errors
    /// There is none of that name.
    fn matrix(&self, name: &str) -> Result<Box<dyn MatrixRows + '_>>;
}

/// Rows of a matrix, on any core.
pub(crate) trait MatrixRows: Sync {
    /// Numbers of the whole matrix.
    fn len(&self) -> usize;

    /// Some rows, one after another, as long as `out` says.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()>;
}

/// A matrix that is in memory.
pub(super) struct InMemory(pub(super) Vec<f32>);

impl MatrixRows for InMemory {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let width = out.len() / rows.len().max(1);
        out.copy_from_slice(&self.0[rows.start * width..rows.end * width]);
        Ok(())
    }
}

/// Rows of a matrix from one on.
pub(super) struct From<'a> {
    pub(super) matrix: &'a dyn MatrixRows,
    pub(super) first: usize,
}

impl MatrixRows for From<'_> {
    fn len(&self) -> usize {
        self.matrix.len()
    }

    fn read(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let rows = self.first + rows.start..self.first + rows.end;
        self.matrix.read(rows, out)
    }
}

impl Weights for Tensors {
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self
            .get(name)
            .ok_or_else(|| Error::Compute(format!("tensor '{name}' is missing")))?;
        Ok(tensor.flatten_all()?.to_vec1()?)
    }

    fn matrix(&self, name: &str) -> Result<Box<dyn MatrixRows + '_>> {
        Ok(Box::new(InMemory(self.numbers(name)?)))
    }
}
