//! Where the weights of a network come from while it is made ready to run.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::model::Tensors;
use crate::weights::BlockTensor;
use crate::weights::Source;

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

    /// The blocks that hold a tensor, where it is to be run from them.
    fn blocks(&self, _name: &str) -> Option<&BlockTensor> {
        None
    }
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

/// The weights of a file as they are.
pub(crate) struct OfSource<'a>(pub(crate) &'a dyn Source);

/// A tensor of a file.
struct InFile<'a>(&'a dyn Source, usize);

impl OfSource<'_> {
    fn find(&self, name: &str) -> Result<usize> {
        let found = self.0.find(name);
        found.ok_or_else(|| Error::Compute(format!("tensor '{name}' is missing")))
    }
}

impl Weights for OfSource<'_> {
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        let at = self.find(name)?;
        let info = &self.0.tensors()[at];
        let mut numbers = vec![0.0; info.elements()];
        self.0.decode(at, 0..info.rows(), &mut numbers)?;
        Ok(numbers)
    }

    fn matrix(&self, name: &str) -> Result<Box<dyn MatrixRows + '_>> {
        Ok(Box::new(InFile(self.0, self.find(name)?)))
    }
}

impl MatrixRows for InFile<'_> {
    fn len(&self) -> usize {
        self.0.tensors()[self.1].elements()
    }

    fn read(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        self.0.decode(self.1, rows, out)
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
