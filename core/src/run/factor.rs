//! Weights as products and lookups use them: laid out for the engine's own kernel, or packed for candle's.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use super::half::HalfMatrix;
use super::lower::Held;
use super::matrix::{Finish, Matrix, Product, Rows};
use super::packed::PackedMatrix;
use super::weights::MatrixRows;
use crate::error::{Error, Result};
use crate::weights::BlockTensor;

/// A matrix `[outputs, inputs]` to multiply rows with.
#[derive(Debug)]
pub(super) enum Factor {
    /// In single precision.
    Plain(Matrix),
    /// In half precision.
    Half(HalfMatrix),
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
    /// The weights cannot be read.
    pub(super) fn new(
        (outputs, inputs): (usize, usize),
        weights: &dyn MatrixRows,
        held: Held,
    ) -> Result<Self> {
        Ok(match held {
            Held::Single => Self::Plain(Matrix::of_rows(outputs, inputs, weights)?),
            Held::Half => Self::Half(HalfMatrix::of_rows(outputs, inputs, weights)?),
            Held::Blocks(bits) => {
                let weights = whole((outputs, inputs), weights)?;
                Self::Packed(PackedMatrix::new(outputs, inputs, &weights, bits)?)
            }
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
            Self::Half(weights) => {
                let products = weights.run(&gathered(weights.inputs(), &job));
                finish(&products, weights.outputs(), &mut job);
                Ok(())
            }
            Self::Packed(weights) => {
                let (outputs, inputs) = weights.shape();
                let mut rows = gathered(inputs, &job);
                by_channel(&mut rows, inputs, weights.taps());
                let products = weights.run(&rows)?;
                finish(&products, outputs, &mut job);
                Ok(())
            }
        }
    }
}

/// The rows that are multiplied, one after another.
fn gathered(inputs: usize, job: &Multiply<'_>) -> Vec<f32> {
    let (pieces, apart) = job.pieces;
    let len = inputs / pieces.max(1);
    let mut rows = Vec::with_capacity(job.count * inputs);
    for row in 0..job.count {
        let start = job.rows.start(row);
        for piece in 0..pieces {
            rows.extend_from_slice(&job.values[start + piece * apart..][..len]);
        }
    }
    rows
}

/// Puts rows whose numbers lie tap by tap channel by channel.
fn by_channel(rows: &mut [f32], inputs: usize, taps: usize) {
    if taps < 2 {
        return;
    }
    let channels = inputs / taps;
    for row in rows.chunks_exact_mut(inputs) {
        let whole = row.to_vec();
        for (at, number) in row.iter_mut().enumerate() {
            *number = whole[at % taps * channels + at / taps];
        }
    }
}

/// Puts products where they go, row by row.
fn finish(products: &[f32], outputs: usize, job: &mut Multiply<'_>) {
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
}

/// All numbers of a matrix.
fn whole((rows, width): (usize, usize), matrix: &dyn MatrixRows) -> Result<Vec<f32>> {
    let mut numbers = vec![0.0; rows * width];
    matrix.read(0..rows, &mut numbers)?;
    Ok(numbers)
}

/// A table whose rows are looked up.
#[derive(Debug)]
pub(super) enum Table {
    /// In single precision, rows of so many numbers.
    Plain(usize, Vec<f32>),
    /// Some rows of so many numbers in single precision, and where each of them is.
    Some(usize, HashMap<u32, usize>, Vec<f32>),
    /// In half precision.
    Half(HalfMatrix),
    /// In a block format.
    Packed(PackedMatrix),
}

impl Table {
    /// A table `[rows, width]`.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn new(
        (rows, width): (usize, usize),
        matrix: &dyn MatrixRows,
        held: Held,
    ) -> Result<Self> {
        Ok(match held {
            Held::Single => Self::Plain(width, whole((rows, width), matrix)?),
            Held::Half => Self::Half(HalfMatrix::of_rows(rows, width, matrix)?),
            Held::Blocks(bits) => {
                let numbers = whole((rows, width), matrix)?;
                Self::Packed(PackedMatrix::table(rows, width, &numbers, bits)?)
            }
        })
    }

    /// The rows of some tokens; `all` rows are read, where nobody else does.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn of_tokens(
        (rows, width): (usize, usize),
        matrix: &dyn MatrixRows,
        tokens: &[u32],
        all: bool,
    ) -> Result<Self> {
        /// Rows that are read at once.
        const AT_ONCE: usize = 64;
        // What is no row is refused when it is looked up.
        let known = tokens.iter().filter(|&&token| (token as usize) < rows);
        let wanted: BTreeSet<u32> = known.copied().collect();
        let places: HashMap<u32, usize> = wanted.iter().copied().zip(0..).collect();
        let mut numbers = vec![0.0; wanted.len() * width];
        if all {
            let parts: Vec<_> = (0..rows.div_ceil(AT_ONCE))
                .into_par_iter()
                .map(|part| {
                    let range = part * AT_ONCE..rows.min((part + 1) * AT_ONCE);
                    let mut some = vec![0.0; range.len() * width];
                    matrix.read(range.clone(), &mut some)?;
                    let kept = range.clone().zip(some.chunks_exact(width));
                    let kept = kept.filter_map(|(row, numbers)| {
                        let place = places.get(&u32::try_from(row).ok()?)?;
                        Some((*place, numbers.to_vec()))
                    });
                    Ok(kept.collect::<Vec<_>>())
                })
                .collect::<Result<_>>()?;
            for (place, row) in parts.into_iter().flatten() {
                numbers[place * width..][..width].copy_from_slice(&row);
            }
        } else {
            numbers
                .par_chunks_exact_mut(width)
                .zip(wanted.into_iter().collect::<Vec<_>>())
                .try_for_each(|(row, token)| {
                    let token = token as usize;
                    matrix.read(token..token + 1, row)
                })?;
        }
        Ok(Self::Some(width, places, numbers))
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
            Self::Some(width, known, numbers) => {
                for (place, out) in places.iter().zip(out.chunks_exact_mut(*width)) {
                    let row = known.get(place).ok_or_else(|| {
                        Error::Compute(format!("token {place} was not made ready"))
                    })?;
                    out.copy_from_slice(&numbers[row * width..][..*width]);
                }
            }
            Self::Half(table) => {
                let rows = out.chunks_exact_mut(table.inputs());
                for (&place, out) in places.iter().zip(rows) {
                    table.row(place as usize, out);
                }
            }
            Self::Packed(packed) => out.copy_from_slice(&packed.rows(places)?),
        }
        Ok(())
    }
}
