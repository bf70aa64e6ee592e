//! Weights as products and lookups use them: laid out for the engine's own kernel, or packed for candle's.

use super::matrix::{Finish, Matrix, Product, Rows};
use super::packed::PackedMatrix;
use crate::compress::BlockTensor;
use crate::error::Result;

/// A matrix `[outputs, inputs]` to multiply rows with.
#[derive(Debug)]
pub(super) enum Factor {
    /// In single precision.
    Plain(Matrix),
    /// In a block format.
    Packed(PackedMatrix),
}

/// What is multiplied, and where the results go.
#[derive(Debug)]
pub(super) struct Multiply<'a> {
    /// What the rows are in.
    pub(super) values: &'a [f32],
    pub(super) rows: Rows,
    pub(super) count: usize,
    /// A row consists of this many pieces, as far apart as the second number says.
    pub(super) pieces: (usize, usize),
    pub(super) out: &'a mut [f32],
    pub(super) out_rows: Rows,
    pub(super) finish: Finish<'a>,
}

impl Factor {
    /// Weights in stored blocks, exactly as they are; see [`PackedMatrix::of_blocks`].
    ///
    /// # Errors
    /// The blocks do not fill the matrix.
    pub(super) fn of_blocks(
        shape: (usize, usize),
        coded: &BlockTensor,
        taps: usize,
    ) -> Result<Self> {
        PackedMatrix::of_blocks(shape, coded, taps, false).map(Self::Packed)
    }

    /// Lays out weights, or packs them in the format nearest to so many bits.
    ///
    /// # Errors
    /// The weights do not fill the matrix.
    pub(super) fn new(
        (outputs, inputs): (usize, usize),
        weights: &[f32],
        packed: Option<u8>,
    ) -> Result<Self> {
        Ok(match packed {
            None => Self::Plain(Matrix::new(outputs, inputs, weights)),
            Some(bits) => Self::Packed(PackedMatrix::new(outputs, inputs, weights, bits)?),
        })
    }

    /// # Errors
    /// candle's kernel refuses.
    pub(super) fn multiply(&self, mut job: Multiply<'_>) -> Result<()> {
        match self {
            Self::Plain(weights) => {
                let mut product = Product::new(job.values, job.count, weights, job.out);
                product.rows = job.rows;
                product.pieces = job.pieces;
                product.out_rows = job.out_rows;
                product.finish = job.finish;
                product.run();
                Ok(())
            }
            Self::Packed(weights) => multiply_packed(weights, &mut job),
        }
    }
}

/// The rows are gathered, multiplied at once, and finished one by one.
fn multiply_packed(weights: &PackedMatrix, job: &mut Multiply<'_>) -> Result<()> {
    let (outputs, inputs) = weights.shape();
    let (pieces, apart) = job.pieces;
    let len = inputs / pieces.max(1);
    let mut rows = Vec::with_capacity(job.count * inputs);
    for row in 0..job.count {
        let start = job.rows.start(row);
        for piece in 0..pieces {
            rows.extend_from_slice(&job.values[start + piece * apart..][..len]);
        }
    }
    if weights.taps() > 1 {
        for row in rows.chunks_exact_mut(inputs) {
            let channels = inputs / weights.taps();
            let whole = row.to_vec();
            for (at, number) in row.iter_mut().enumerate() {
                *number = whole[at % weights.taps() * channels + at / weights.taps()];
            }
        }
    }
    let products = weights.run(&rows)?;
    for (row, product) in products.chunks_exact(outputs).enumerate() {
        let out = &mut job.out[job.out_rows.start(row)..][..outputs];
        match job.finish {
            Finish::Store => out.copy_from_slice(product),
            Finish::Add => super::rows::add(out, product),
            Finish::ScaleShift {
                scale,
                shift,
                bounds: (low, high),
            } => {
                out.copy_from_slice(product);
                super::rows::scale_shift(out, scale, shift, low, high);
            }
        }
    }
    Ok(())
}

/// A table whose rows are looked up.
#[derive(Debug)]
pub(super) enum Table {
    /// In single precision, rows of so many numbers.
    Plain(usize, Vec<f32>),
    /// In a block format.
    Packed(PackedMatrix),
}

impl Table {
    /// A table `[rows, width]`.
    ///
    /// # Errors
    /// The numbers do not fill it.
    pub(super) fn new(
        (rows, width): (usize, usize),
        numbers: Vec<f32>,
        packed: Option<u8>,
    ) -> Result<Self> {
        Ok(match packed {
            None => Self::Plain(width, numbers),
            Some(bits) => Self::Packed(PackedMatrix::table(rows, width, &numbers, bits)?),
        })
    }

    /// Rows by their places, one after another.
    ///
    /// # Errors
    /// candle's kernel refuses.
    pub(super) fn rows(&self, places: &[u32], out: &mut [f32]) -> Result<()> {
        match self {
            Self::Plain(width, numbers) => {
                for (&place, out) in places.iter().zip(out.chunks_exact_mut(*width)) {
                    out.copy_from_slice(&numbers[place as usize * width..][..*width]);
                }
            }
            Self::Packed(packed) => out.copy_from_slice(&packed.rows(places)?),
        }
        Ok(())
    }
}
