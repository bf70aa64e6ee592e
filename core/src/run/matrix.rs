//! Matrix products with prepared weights, on one core.
//!
//! Weights are laid out once in *panels* of up to three vectors of outputs, input by input; the product then keeps a
//! tile of up to six rows by one panel in registers (Goto and van de Geijn 2008,
//! <https://doi.org/10.1145/1356052.1356053>). The rows may be the windows of an image, so that a convolution needs no
//! copy of them. Samples are spread over cores one level up, where nothing has to be synchronised.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::weights::MatrixRows;
use crate::error::{Error, Result};

/// Weights `[outputs, inputs]`, laid out for [`Product`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Matrix {
    outputs: usize,
    inputs: usize,
    /// Numbers per vector of this machine.
    lanes: usize,
    /// Panels one after another; each `[inputs, vectors · lanes]`, filled up with zeros.
    panels: Vec<f32>,
}

impl Matrix {
    /// Lays out `[outputs, inputs]`.
    pub(crate) fn new(outputs: usize, inputs: usize, weights: &[f32]) -> Self {
        let mut matrix = Self::default();
        matrix.fill(outputs, inputs, weights, inputs, 1);
        matrix
    }

    /// Lays out `[outputs, inputs]`, a few rows at a time.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn of_rows(outputs: usize, inputs: usize, matrix: &dyn MatrixRows) -> Result<Self> {
        let mut laid_out = Self {
            outputs,
            inputs,
            lanes: lanes(),
            panels: Vec::new(),
        };
        let parts = laid_out.parts();
        // Several panels at a time.
        let mut groups: Vec<Vec<Part<'_>>> = Vec::new();
        for part in parts {
            match groups.last_mut() {
                Some(group) if group.len() < PANELS => group.push(part),
                _ => groups.push(vec![part]),
            }
        }
        let fill = |numbers: &mut Vec<f32>, group: Vec<Part<'_>>| {
            let first = group.first().map_or(0, |part| part.0.start);
            let end = group.last().map_or(0, |part| part.0.end.min(outputs));
            numbers.resize((end - first) * inputs, 0.0);
            matrix.read(first..end, numbers)?;
            for (columns, panel) in group {
                let rows = columns.start - first..columns.end - first;
                fill_panel(panel, rows, end - first, numbers, (inputs, 1));
            }
            Ok::<_, Error>(())
        };
        if outputs * inputs < SHARED {
            let mut numbers = Vec::new();
            groups
                .into_iter()
                .try_for_each(|group| fill(&mut numbers, group))?;
        } else {
            groups.into_par_iter().try_for_each_init(Vec::new, fill)?;
        }
        Ok(laid_out)
    }

    /// Makes room for all panels: the columns of each (the last may reach beyond the outputs), and its numbers.
    fn parts(&mut self) -> Vec<Part<'_>> {
        self.panels.clear();
        self.panels.resize(
            self.outputs.div_ceil(self.lanes) * self.lanes * self.inputs,
            0.0,
        );
        let mut parts = Vec::new();
        let mut rest = self.panels.as_mut_slice();
        for (columns, _) in panels(self.outputs, self.lanes) {
            let (panel, others) = rest.split_at_mut(columns.len() * self.inputs);
            parts.push((columns, panel));
            rest = others;
        }
        parts
    }

    /// Lays out other weights in the same memory: the one of output o and input i is `weights[o · by_output + i ·
    /// by_input]`.
    pub(crate) fn fill(
        &mut self,
        outputs: usize,
        inputs: usize,
        weights: &[f32],
        by_output: usize,
        by_input: usize,
    ) {
        self.outputs = outputs;
        self.inputs = inputs;
        self.lanes = lanes();
        for (columns, panel) in self.parts() {
            fill_panel(panel, columns, outputs, weights, (by_output, by_input));
        }
    }
}

/// The columns of a panel, and its numbers.
type Part<'a> = (Range<usize>, &'a mut [f32]);

/// Panels whose rows are read at once.
const PANELS: usize = 4;

/// Weights from which on several cores lay out a matrix.
const SHARED: usize = 1 << 18;
/// Inputs that are laid out at once: a panel's numbers for them stay in the nearest cache.
const LAID_OUT: usize = 16;

/// Lays out the outputs of one panel, of which those from `outputs` on do not exist and stay zero.
fn fill_panel(
    panel: &mut [f32],
    columns: Range<usize>,
    outputs: usize,
    weights: &[f32],
    (by_output, by_input): (usize, usize),
) {
    let width = columns.len();
    let filled = width.min(outputs - columns.start);
    if by_output == 1 {
        for (i, row) in panel.chunks_exact_mut(width).enumerate() {
            let first = columns.start + i * by_input;
            row[..filled].copy_from_slice(&weights[first..][..filled]);
        }
        return;
    }
    for (block, rows) in panel.chunks_mut(width * LAID_OUT).enumerate() {
        let inputs = rows.len() / width;
        for column in 0..filled {
            let first = (columns.start + column) * by_output + block * LAID_OUT * by_input;
            let along = weights[first..].iter().step_by(by_input).take(inputs);
            for (row, weight) in rows.chunks_exact_mut(width).zip(along) {
                row[column] = *weight;
            }
        }
    }
}

/// The columns of each panel (the last may reach beyond the outputs) and where it begins, in numbers per input.
fn panels(outputs: usize, lanes: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
    let vectors = outputs.div_ceil(lanes);
    let mut at = 0;
    std::iter::from_fn(move || {
        let width = match vectors - at {
            0 => return None,
            // Two and two are faster than three and one.
            4 => 2,
            left => left.min(3),
        };
        let columns = at * lanes..(at + width) * lanes;
        at += width;
        let start = columns.start;
        Some((columns, start))
    })
}

/// Where the rows of a matrix lie: `width` of them one after another in a line, `step` numbers apart, and lines `line`
/// numbers apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub(super) first: usize,
    pub(super) step: usize,
    pub(super) width: usize,
    pub(super) line: usize,
}

impl Rows {
    /// Rows at equal distances.
    pub(super) const fn every(step: usize) -> Self {
        Self {
            first: 0,
            step,
            width: usize::MAX,
            line: 0,
        }
    }

    /// The same from another place on.
    pub(super) const fn from(self, first: usize) -> Self {
        Self { first, ..self }
    }

    pub(super) const fn start(&self, row: usize) -> usize {
        if row < self.width {
            // Most matrices are a single line, and a division costs as much as a tile's step.
            return self.first + row * self.step;
        }
        self.first + row / self.width * self.line + row % self.width * self.step
    }
}

/// What happens to a product before it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finish<'a> {
    /// Nothing.
    Store,
    /// It is added to what is there.
    Add,
    /// `product · scale + shift`, both as long as the outputs, held between two bounds.
    ScaleShift {
        scale: &'a [f32],
        shift: &'a [f32],
        bounds: (f32, f32),
    },
}

/// `out[row, o] = Σ_i rows[row, i] · weights[o, i]`.
#[derive(Debug)]
pub(crate) struct Product<'a> {
    /// What the rows are in.
    pub(super) values: &'a [f32],
    pub(super) rows: Rows,
    pub(super) count: usize,
    /// A row consists of this many pieces, as far apart as the second number says.
    pub(super) pieces: (usize, usize),
    pub(super) weights: &'a Matrix,
    /// Only the first inputs take part; all of them unless the row is one piece.
    pub(super) inputs: usize,
    /// Only the first outputs are calculated.
    pub(super) outputs: usize,
    pub(super) out: &'a mut [f32],
    pub(super) out_rows: Rows,
    pub(super) finish: Finish<'a>,
}

impl<'a> Product<'a> {
    /// A product of `count` rows that lie one after another, whole, into the same kind of rows.
    pub(crate) fn new(
        values: &'a [f32],
        count: usize,
        weights: &'a Matrix,
        out: &'a mut [f32],
    ) -> Self {
        Self {
            values,
            rows: Rows::every(weights.inputs),
            count,
            pieces: (1, 0),
            weights,
            inputs: weights.inputs,
            outputs: weights.outputs,
            out,
            out_rows: Rows::every(weights.outputs),
            finish: Finish::Store,
        }
    }

    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }
}

/// Numbers per vector of this machine.
fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let weights = self.weights;
        for (columns, place) in panels(weights.outputs, S::F32_LANES) {
            if columns.start >= self.outputs {
                break;
            }
            let panel = &weights.panels[place * weights.inputs..][..columns.len() * self.inputs];
            let panel = S::as_simd_f32s(panel).0;
            // Sixteen registers hold the sums, a panel's vectors and as many of the rows; larger tiles spill.
            match columns.len() / S::F32_LANES {
                3 => self.panel::<S, 3, 3>(simd, panel, columns.start),
                2 => self.panel::<S, 4, 2>(simd, panel, columns.start),
                _ => self.panel::<S, 6, 1>(simd, panel, columns.start),
            }
        }
    }
}

impl Product<'_> {
    /// All rows by one panel of `V` vectors, whose first column is `column`.
    #[inline(always)]
    fn panel<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        panel: &[S::f32s],
        column: usize,
    ) {
        let mut row = 0;
        while row + R <= self.count {
            self.tile::<S, R, V>(simd, panel, row, column);
            row += R;
        }
        while row < self.count {
            self.tile::<S, 1, V>(simd, panel, row, column);
            row += 1;
        }
    }

    /// `R` rows by `V` vectors of outputs.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        panel: &[S::f32s],
        row: usize,
        column: usize,
    ) {
        let sums = self.sums::<S, R, V>(simd, panel, row);
        let width = V * S::F32_LANES;
        let end = self.outputs.min(column + width);
        for (r, sums) in sums.iter().enumerate() {
            let start = self.out_rows.start(row + r);
            let out = &mut self.out[start + column..start + end];
            let (scale, shift) = match self.finish {
                Finish::ScaleShift { scale, shift, .. } => {
                    (&scale[column..end], &shift[column..end])
                }
                _ => (&[][..], &[][..]),
            };
            if out.len() == width {
                let out = S::as_mut_simd_f32s(out).0;
                let (scale, shift) = (S::as_simd_f32s(scale).0, S::as_simd_f32s(shift).0);
                for v in 0..V {
                    out[v] = match self.finish {
                        Finish::Store => sums[v],
                        Finish::Add => simd.add_f32s(out[v], sums[v]),
                        Finish::ScaleShift { bounds, .. } => {
                            scale_shift(simd, sums[v], scale[v], shift[v], bounds)
                        }
                    };
                }
            } else {
                let parts = out.chunks_mut(S::F32_LANES).zip(sums).enumerate();
                for (v, (out, &sum)) in parts {
                    let part =
                        |all: &[f32]| simd.partial_load_f32s(&all[v * S::F32_LANES..][..out.len()]);
                    let finished = match self.finish {
                        Finish::Store => sum,
                        Finish::Add => simd.add_f32s(simd.partial_load_f32s(out), sum),
                        Finish::ScaleShift { bounds, .. } => {
                            scale_shift(simd, sum, part(scale), part(shift), bounds)
                        }
                    };
                    simd.partial_store_f32s(out, finished);
                }
            }
        }
    }

    /// The sums of a tile.
    #[inline(always)]
    fn sums<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        panel: &[S::f32s],
        row: usize,
    ) -> [[S::f32s; V]; R] {
        let (pieces, apart) = self.pieces;
        let len = self.inputs / pieces;
        let starts: [usize; R] = std::array::from_fn(|i| self.rows.start(row + i));
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for (piece, panel) in panel.chunks_exact(len * V).enumerate() {
            let rows: [&[f32]; R] =
                std::array::from_fn(|i| &self.values[starts[i] + piece * apart..][..len]);
            for (i, &weights) in (0..len).zip(panel.as_chunks::<V>().0) {
                for r in 0..R {
                    let value = simd.splat_f32s(rows[r][i]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_e_f32s(value, weights[v], sums[r][v]);
                    }
                }
            }
        }
        // A copy, because it is indexed by variables later: the sums themselves are to stay in registers.
        std::array::from_fn(|r| std::array::from_fn(|v| sums[r][v]))
    }
}

#[inline(always)]
fn scale_shift<S: Simd>(
    simd: S,
    sum: S::f32s,
    scale: S::f32s,
    shift: S::f32s,
    (low, high): (f32, f32),
) -> S::f32s {
    // Not fused, as in the plain path.
    let value = simd.add_f32s(simd.mul_f32s(sum, scale), shift);
    simd.min_f32s(
        simd.max_f32s(value, simd.splat_f32s(low)),
        simd.splat_f32s(high),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of up to a hundred products of numbers below one, in another order.
    const TOLERANCE: f32 = 1e-4;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 2003.0 - 0.5)
            .collect()
    }

    #[test]
    fn the_product_is_that_of_the_definition_for_every_size() {
        for outputs in [1, 7, 8, 9, 16, 23, 24, 31, 33, 57, 100] {
            for count in 1..14 {
                for inputs in [1, 2, 9, 96] {
                    let (a, w) = (numbers(count * inputs, 1), numbers(outputs * inputs, 2));
                    let matrix = Matrix::new(outputs, inputs, &w);
                    let mut out = vec![1.0; count * outputs];
                    let mut product = Product::new(&a, count, &matrix, &mut out);
                    product.finish = Finish::Add;
                    product.run();
                    for (at, found) in out.iter().enumerate() {
                        let (row, o) = (at / outputs, at % outputs);
                        let expected: f32 = (0..inputs)
                            .map(|i| a[row * inputs + i] * w[o * inputs + i])
                            .sum();
                        assert!((found - 1.0 - expected).abs() < TOLERANCE);
                    }
                }
            }
        }
    }

    #[test]
    fn only_the_first_inputs_and_outputs_take_part_if_so_asked() {
        let (count, inputs, outputs) = (5, 40, 70);
        let (a, w) = (numbers(count * inputs, 3), numbers(outputs * inputs, 4));
        // Laid out the other way round.
        let mut matrix = Matrix::default();
        matrix.fill(outputs, inputs, &w, 1, outputs);
        for (some_inputs, some_outputs) in [(40, 70), (1, 1), (33, 47), (8, 8), (16, 50)] {
            let mut out = vec![9.0; count * outputs];
            let mut product = Product::new(&a, count, &matrix, &mut out);
            (product.inputs, product.outputs) = (some_inputs, some_outputs);
            product.run();
            for (at, &found) in out.iter().enumerate() {
                let (row, o) = (at / outputs, at % outputs);
                let expected: f32 = if o < some_outputs {
                    (0..some_inputs)
                        .map(|i| a[row * inputs + i] * w[i * outputs + o])
                        .sum()
                } else {
                    9.0
                };
                assert!((found - expected).abs() < TOLERANCE, "{row} {o}");
            }
        }
    }
}
