//! Floating-point numbers of 8 bits with a scale for each block of rows and columns, as DeepSeek-V3 introduced them
//! (<https://github.com/huggingface/transformers/blob/main/src/transformers/integrations/finegrained_fp8.py>): blocks are
//! as many as there are scales, of one size.

use super::{Fact, Matrix, Parts, Reading, Rows, StoredFormat};
use crate::error::{Error, Result};

pub(super) const PARTS: Parts = Parts {
    main: ".weight_scale_inv",
    needed: &[".weight"],
    perhaps: &[],
};

/// Rows and columns of a block; the last ones may be cut off.
const BLOCK: usize = 128;

pub(super) fn shape(reading: &Reading<'_>) -> Fact<[usize; 2]> {
    use StoredFormat as F;
    let shape = reading.matrix(".weight", &[F::F8_E4M3])?;
    let scales = reading.matrix(".weight_scale_inv", &[F::F32, F::BF16, F::F16])?;
    block(shape, scales).ok_or_else(|| {
        format!("{scales:?} scales do not fit a matrix of {shape:?} that is packed in blocks")
    })?;
    Ok(shape)
}

/// The size of a block by how many there are.
pub(super) fn block(shape: [usize; 2], scales: [usize; 2]) -> Option<[usize; 2]> {
    let one = |size: usize, count: usize| {
        if count == size.div_ceil(BLOCK) {
            return Some(BLOCK);
        }
        (count > 0 && size.is_multiple_of(count)).then(|| size / count)
    };
    Some([one(shape[0], scales[0])?, one(shape[1], scales[1])?])
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
        count: [usize; 2],
    ) -> Self {
        Self {
            numbers,
            scales,
            columns: matrix.columns,
            block: block([matrix.rows, matrix.columns], count).unwrap_or([BLOCK; 2]),
            blocks: count[1],
        }
    }
}

pub(super) fn read(reading: &Reading<'_>, matrix: &Matrix) -> Result<Box<dyn Rows>> {
    let (_, info) = reading.info(".weight_scale_inv").map_err(Error::Compute)?;
    let count = [info.shape[0], info.shape[1]];
    let numbers = reading.floats(".weight")?;
    let scales = reading.floats(".weight_scale_inv")?;
    Ok(Box::new(Read::new(matrix, numbers, scales, count)))
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
