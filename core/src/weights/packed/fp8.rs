//! Floating-point numbers of 8 bits with a scale for each block of rows and columns, as DeepSeek-V3 introduced them
//! (<https://github.com/huggingface/transformers/blob/main/src/transformers/integrations/finegrained_fp8.py>).

use super::{Fact, Matrix, Parts, Reading, Rows, StoredFormat};
use crate::error::{Error, Result};

pub(super) const PARTS: Parts = Parts {
    main: ".weight_scale_inv",
    needed: &[".weight"],
    perhaps: &[],
};

/// Rows and columns of a block; 0 where they follow from the number of scales.
pub(super) type Block = [usize; 2];

pub(super) fn shape(reading: &Reading<'_>, said: Block) -> Fact<[usize; 2]> {
    use StoredFormat as F;
    let shape = reading.matrix(".weight", &[F::F8_E4M3])?;
    let scales = reading.matrix(".weight_scale_inv", &[F::F32, F::BF16, F::F16])?;
    block(shape, scales, said).ok_or_else(|| {
        format!("{scales:?} scales do not fit a matrix of {shape:?} in blocks of {said:?}")
    })?;
    Ok(shape)
}

/// The size of a block, where so many of them make up the matrix; the last ones may be cut off where it is said.
pub(super) fn block(shape: [usize; 2], scales: [usize; 2], said: Block) -> Option<Block> {
    let one = |at: usize| {
        let (size, count) = (shape[at], scales[at]);
        match said[at] {
            0 => (count > 0 && size.is_multiple_of(count)).then(|| size / count),
            block => (count == size.div_ceil(block)).then_some(block),
        }
    };
    Some([one(0)?, one(1)?])
}

/// Numbers with the scales of their blocks.
pub(super) struct Read {
    numbers: Vec<f32>,
    scales: Vec<f32>,
    columns: usize,
    block: [usize; 2],
    blocks: usize,
}

impl Read {
    pub(super) fn new(
        matrix: &Matrix,
        numbers: Vec<f32>,
        scales: Vec<f32>,
        (count, said): ([usize; 2], Block),
    ) -> Result<Self> {
        let shape = [matrix.rows, matrix.columns];
        let block = block(shape, count, said);
        Ok(Self {
            numbers,
            scales,
            columns: matrix.columns,
            block: block.ok_or_else(|| {
                Error::Compute(format!("{count:?} scales do not fit a matrix of {shape:?}"))
            })?,
            blocks: count[1],
        })
    }
}

pub(super) fn read(reading: &Reading<'_>, matrix: &Matrix, said: Block) -> Result<Box<dyn Rows>> {
    let (_, info) = reading.info(".weight_scale_inv").map_err(Error::Compute)?;
    let count = [info.shape[0], info.shape[1]];
    let numbers = reading.floats(".weight")?;
    let scales = reading.floats(".weight_scale_inv")?;
    let read = Read::new(matrix, numbers, scales, (count, said))?;
    Ok(Box::new(read))
}

impl Rows for Read {
    fn row(&self, row: usize, out: &mut [f32]) {
        let numbers = &self.numbers[row * self.columns..][..self.columns];
        let scales = &self.scales[row / self.block[0] * self.blocks..];
        for (column, (out, number)) in out.iter_mut().zip(numbers).enumerate() {
            *out = number * scales[column / self.block[1]];
        }
    }
}
