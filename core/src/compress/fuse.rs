//! One pass over a layer: each row is pruned, rounded and counted while it is in the cache, and written into a tensor
//! that exists already. Element by element with candle's operations the same takes a pass and a fresh result for each
//! step.

use std::cell::Cell;
use std::ops::Range;

use candle_core::{CpuStorage, InplaceOp1, Layout, Storage, Tensor};
use half::f16;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::layout::{Kept, Matrix};
use super::prune::{self, Cut};
use super::quantize::{self, STEPPED_BITS};
use crate::error::{Error, Result};

/// Weights that one task handles: enough to outweigh handing it out, few enough that two threads share a small layer.
const TASK: usize = 1 << 15;

/// What sets weights of a layer to zero.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prune {
    None,
    Cut(Cut),
    TwoOfFour,
}

impl Prune {
    /// The smallest magnitude that stays in a row, where magnitudes alone decide.
    #[inline(always)]
    fn lowest(self, first: usize, len: usize) -> Option<u32> {
        match self {
            Self::None => Some(0),
            Self::Cut(cut) => cut.lowest(first, len),
            Self::TwoOfFour => None,
        }
    }

    /// Copies a row without the weights that become zero.
    #[inline(always)]
    fn copy(self, first: usize, weights: &[f32], out: &mut [f32]) {
        match self {
            Self::None => prune::cut(weights, first, Cut::NONE, out),
            Self::Cut(cut) => prune::cut(weights, first, cut, out),
            Self::TwoOfFour => prune::cut_two_of_four(weights, out),
        }
    }
}

/// What to do to a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) matrix: Matrix,
    pub(super) prune: Prune,
    pub(super) bits: u8,
    /// Weights per scale.
    pub(super) group: usize,
}

impl Job {
    /// Writes the compressed `weights` over `out`, and their scales over `scales` (row by row, zero where a group is empty;
    /// without meaning at 16 and 32 bits). Returns what is left of the weights, and the scales.
    pub(super) fn run(
        self,
        weights: &Tensor,
        out: &Tensor,
        mut scales: Vec<f16>,
    ) -> Result<(Kept, Vec<f16>)> {
        let (storage, layout) = weights.storage_and_layout();
        scales.resize(self.matrix.rows * self.groups(), f16::ZERO);
        let pass = Pass {
            job: self,
            weights: numbers(&storage, layout)?,
            scales: Cell::new(scales),
            kept: Cell::new(Kept::default()),
        };
        out.inplace_op1(&pass)?;
        Ok((pass.kept.get(), pass.scales.into_inner()))
    }

    /// Compresses some whole rows where they are, from row `first` of the layer on; `original` is room for a copy of them.
    pub(super) fn run_rows(
        self,
        first: usize,
        weights: &mut [f32],
        original: &mut Vec<f32>,
    ) -> Kept {
        let (fan_in, groups) = (self.matrix.fan_in.max(1), self.groups().max(1));
        original.clear();
        original.extend_from_slice(weights);
        let mut scales = vec![f16::ZERO; weights.len() / fan_in * groups];
        Arch::new().dispatch(Rows {
            job: self,
            first: first * fan_in,
            weights: original,
            out: weights,
            scales: &mut scales,
        })
    }

    /// Scales of a row; one unused one where there are none.
    fn groups(&self) -> usize {
        if self.bits <= 8 {
            self.matrix.groups_per_row(self.group)
        } else {
            1
        }
    }

    /// Compresses consecutive rows, the first of which begins at weight number `first` of the layer.
    #[inline(always)]
    fn rows(&self, mut first: usize, weights: &[f32], out: &mut [f32], scales: &mut [f16]) -> Kept {
        let (fan_in, groups) = (self.matrix.fan_in.max(1), self.groups().max(1));
        let mut kept = Kept::default();
        let mut pruned = Vec::new();
        for ((weights, out), scales) in weights
            .chunks(fan_in)
            .zip(out.chunks_mut(fan_in))
            .zip(scales.chunks_mut(groups))
        {
            kept.nonzero += self.row(first, weights, out, scales, &mut pruned);
            first += fan_in;
        }
        if self.bits <= 8 {
            kept.scales = scales.iter().filter(|&&scale| scale != f16::ZERO).count() as u64;
        }
        kept
    }

    /// Compresses the row that begins at weight number `first` of the layer. `pruned` is room that rows share.
    #[inline(always)]
    fn row(
        &self,
        first: usize,
        weights: &[f32],
        out: &mut [f32],
        scales: &mut [f16],
        pruned: &mut Vec<f32>,
    ) -> u64 {
        if STEPPED_BITS.contains(&self.bits) {
            // Mostly pruning is one comparison more in the loop that rounds.
            let (weights, lowest) = match self.prune.lowest(first, weights.len()) {
                Some(lowest) => (weights, lowest),
                None => {
                    pruned.resize(weights.len(), 0.0);
                    self.prune.copy(first, weights, pruned);
                    (pruned.as_slice(), 0)
                }
            };
            return quantize::to_codes(weights, lowest, self.bits, self.group, out, scales);
        }
        self.prune.copy(first, weights, out);
        match self.bits {
            1 => quantize::to_signs(out, self.group, scales),
            16 => quantize::to_half(out),
            _ => quantize::count_nonzero(out),
        }
    }
}

/// A [`Job`] in the form that candle lets write into a tensor.
struct Pass<'a> {
    job: Job,
    weights: &'a [f32],
    scales: Cell<Vec<f16>>,
    kept: Cell<Kept>,
}

impl InplaceOp1 for Pass<'_> {
    fn name(&self) -> &'static str {
        "compress"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(out) = storage else {
            candle_core::bail!("compressed weights go into a single precision tensor");
        };
        let Some(out) = contiguous(layout).and_then(|range| out.get_mut(range)) else {
            candle_core::bail!("compressed weights go into a contiguous tensor");
        };
        let job = self.job;
        let (fan_in, groups) = (job.matrix.fan_in.max(1), job.groups().max(1));
        let rows = (TASK / fan_in).max(1);
        let mut scales = self.scales.take();
        let kept = self
            .weights
            .par_chunks(rows * fan_in)
            .zip(out.par_chunks_mut(rows * fan_in))
            .zip(scales.par_chunks_mut(rows * groups))
            .enumerate()
            .map(|(task, ((weights, out), scales))| {
                // Plain loops, compiled for what this processor has. Nothing is fused or reordered: all round alike.
                Arch::new().dispatch(Rows {
                    job,
                    first: task * rows * fan_in,
                    weights,
                    out,
                    scales,
                })
            })
            .sum();
        self.scales.set(scales);
        self.kept.set(kept);
        Ok(())
    }
}

/// What one task of a pass does.
struct Rows<'a> {
    job: Job,
    first: usize,
    weights: &'a [f32],
    out: &'a mut [f32],
    scales: &'a mut [f16],
}

impl WithSimd for Rows<'_> {
    type Output = Kept;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Kept {
        self.job
            .rows(self.first, self.weights, self.out, self.scales)
    }
}

/// Whether all numbers are finite.
pub(super) fn are_finite(numbers: &[f32]) -> bool {
    struct Largest<'a>(&'a [f32]);
    impl WithSimd for Largest<'_> {
        type Output = u32;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> u32 {
            let mut most = 0;
            for &number in self.0 {
                most = prune::magnitude(number).max(most);
            }
            most
        }
    }
    numbers
        .par_chunks(TASK)
        .all(|chunk| Arch::new().dispatch(Largest(chunk)) < f32::INFINITY.to_bits())
}

/// Weights that are not zero, or `None` if one is not finite.
pub(super) fn check(weights: &[f32]) -> Option<u64> {
    weights
        .par_chunks(TASK)
        .map(|chunk| {
            let finite = chunk.iter().fold(true, |all, w| all & w.is_finite());
            finite.then(|| quantize::count_nonzero(chunk))
        })
        .sum()
}

/// The numbers of a contiguous single precision tensor on the CPU.
pub(super) fn numbers<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    let found = match storage {
        Storage::Cpu(CpuStorage::F32(all)) => contiguous(layout).and_then(|range| all.get(range)),
        _ => None,
    };
    found.ok_or_else(|| {
        Error::Compute("weights must be contiguous single precision numbers on the CPU".to_owned())
    })
}

pub(super) fn contiguous(layout: &Layout) -> Option<Range<usize>> {
    let (start, end) = layout.contiguous_offsets()?;
    Some(start..end)
}
