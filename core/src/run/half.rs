//! Matrices in half precision, for networks that are held whole only to write a few texts with them: half the memory of
//! single precision, and products of few rows, which wait for memory, are faster for it.

use half::f16;
use half::slice::HalfFloatSliceExt;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::weights::MatrixRows;
use crate::error::Result;

/// Rows of weights that a core makes single precision at once.
const ROWS: usize = 16;
/// Rows that are rounded at once.
const ROUNDED: usize = 96;
/// Parts of a sum, so that it does not have to wait for itself.
const PARTS: usize = 32;

/// Weights `[outputs, inputs]` in half precision.
#[derive(Debug)]
pub(super) struct HalfMatrix {
    inputs: usize,
    weights: Vec<f16>,
}

impl HalfMatrix {
    /// Rounds weights `[outputs, inputs]`.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn of_rows(outputs: usize, inputs: usize, matrix: &dyn MatrixRows) -> Result<Self> {
        let mut rounded = vec![f16::ZERO; outputs * inputs];
        rounded
            .par_chunks_mut((ROUNDED * inputs).max(1))
            .enumerate()
            .try_for_each_init(Vec::new, |single, (part, out)| {
                single.resize(out.len(), 0.0);
                let first = part * ROUNDED;
                matrix.read(first..first + out.len() / inputs, single)?;
                out.convert_from_f32_slice(single);
                Ok::<_, crate::error::Error>(())
            })?;
        Ok(Self {
            inputs: inputs.max(1),
            weights: rounded,
        })
    }

    /// Numbers of a row.
    pub(super) const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of rows.
    pub(super) fn outputs(&self) -> usize {
        self.weights.len() / self.inputs
    }

    /// A row of a table.
    pub(super) fn row(&self, at: usize, out: &mut [f32]) {
        self.weights[at * self.inputs..][..self.inputs].convert_to_f32_slice(out);
    }

    /// Rows `[n, inputs]` times the weights: `[n, outputs]`.
    pub(super) fn run(&self, values: &[f32]) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs, self.outputs());
        let n = values.len() / inputs;
        // `[outputs, n]`, so that cores write apart.
        let mut turned = vec![0.0; outputs * n];
        turned
            .par_chunks_mut((ROWS * n).max(1))
            .zip(self.weights.par_chunks(ROWS * inputs))
            .for_each_init(
                || vec![0.0; ROWS * inputs],
                |single, (out, weights)| {
                    let single = &mut single[..weights.len()];
                    weights.convert_to_f32_slice(single);
                    Arch::new().dispatch(Dots {
                        weights: single,
                        values,
                        inputs,
                        out,
                    });
                },
            );
        let mut out = vec![0.0; outputs * n];
        for (o, row) in turned.chunks_exact(n.max(1)).enumerate() {
            for (i, value) in row.iter().enumerate() {
                out[i * outputs + o] = *value;
            }
        }
        out
    }
}

/// `out[o, n] = weights[o, ..] · values[n, ..]`.
struct Dots<'a> {
    weights: &'a [f32],
    values: &'a [f32],
    inputs: usize,
    out: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.values.len() / self.inputs;
        let rows = self.weights.chunks_exact(self.inputs);
        for (row, out) in rows.zip(self.out.chunks_exact_mut(n)) {
            for (values, out) in self.values.chunks_exact(self.inputs).zip(out) {
                let mut sums = [0.0_f32; PARTS];
                let (w, rest_w) = row.as_chunks::<PARTS>();
                let (v, rest_v) = values.as_chunks::<PARTS>();
                for (w, v) in w.iter().zip(v) {
                    for i in 0..PARTS {
                        sums[i] += w[i] * v[i];
                    }
                }
                let rest = rest_w.iter().zip(rest_v);
                *out = sums.iter().sum::<f32>() + rest.map(|(w, v)| w * v).sum::<f32>();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_rounded_weights() {
        for (outputs, inputs, n) in [(1, 1, 1), (17, 33, 1), (40, 96, 3), (16, 64, 5)] {
            let number = |i: usize| ((i * 7919) % 2003) as f32 / 2003.0 - 0.5;
            let weights: Vec<f32> = (0..outputs * inputs).map(number).collect();
            let values: Vec<f32> = (0..n * inputs).map(|i| number(i + 77)).collect();
            let rows = crate::run::weights::InMemory(weights.clone());
            let matrix = HalfMatrix::of_rows(outputs, inputs, &rows).unwrap();
            assert_eq!((matrix.outputs(), matrix.inputs()), (outputs, inputs));
            let found = matrix.run(&values);
            for (at, found) in found.iter().enumerate() {
                let (row, o) = (at / outputs, at % outputs);
                let expected: f32 = (0..inputs)
                    .map(|i| {
                        values[row * inputs + i] * f16::from_f32(weights[o * inputs + i]).to_f32()
                    })
                    .sum();
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
            let mut row = vec![0.0; inputs];
            matrix.row(outputs - 1, &mut row);
            let last = &weights[(outputs - 1) * inputs..];
            let rounded = last.iter().map(|&weight| f16::from_f32(weight).to_f32());
            assert!(row.iter().copied().eq(rounded));
        }
    }
}
