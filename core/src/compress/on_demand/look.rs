//! What a recipe does to the weights of a layer, in numbers to look at: the error that it makes, and where the weights lie
//! before and after.

use std::iter::Sum;

use rayon::prelude::*;

use super::super::prune::Cut;
use super::super::{Prune, quantize};
use super::OnDemand;
use crate::error::Result;
use crate::run::MatrixRows;

/// Numbers of a part that is looked at by itself.
const PART: usize = 1 << 16;
/// Parts of the range of a histogram: odd, so that zero is in the middle of one.
const BINS: usize = 101;

/// The error that a recipe makes in the weights of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LayerError {
    /// Sum of the squares of the weights.
    pub signal: f64,
    /// Sum of the squares of what the recipe changes of them.
    pub noise: f64,
}

impl LayerError {
    /// Signal over noise in decibels; `None` where nothing is changed, or there is no signal.
    pub fn decibels(&self) -> Option<f64> {
        (self.noise > 0.0 && self.signal > 0.0).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

impl Sum for LayerError {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            signal: a.signal + b.signal,
            noise: a.noise + b.noise,
        })
    }
}

/// The weights of one layer before and after a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerLook {
    /// The layer.
    pub layer: String,
    /// The largest magnitude of its weights; the histograms reach so far to both sides of zero.
    pub range: f32,
    /// Weights of the original in equal parts of that range.
    pub before: Vec<u64>,
    /// Weights after the recipe.
    pub after: Vec<u64>,
    /// Weights of smaller magnitude become zero, where magnitudes decide.
    pub threshold: Option<f32>,
    /// The grid of the weights where they are integers times a scale.
    pub grid: Option<Grid>,
}

/// Multiples of a scale that weights are rounded to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// The scale of half of the groups is not larger.
    pub step: f32,
    /// The largest multiple; 1 for signs, which have no zero.
    pub codes: u8,
    /// Bits of a code.
    pub bits: u8,
    /// Groups that have a scale.
    pub groups: usize,
}

impl OnDemand<'_> {
    /// The names of the tensors that are compressed, with the places of their layers.
    pub(crate) fn compressed(&self) -> Vec<(usize, &str)> {
        let layers = self.layers.iter().map(|(name, (layer, _))| (*layer, *name));
        let mut layers: Vec<(usize, &str)> = layers.collect();
        layers.sort_unstable();
        layers
    }

    /// What the error of a tensor follows from; equal texts have equal errors.
    pub(crate) fn error_key(&self, name: &str) -> String {
        self.work(name)
            .map_or_else(String::new, |(_, work)| format!("{work:?}"))
    }

    /// The error of a tensor of [`Self::compressed`].
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn error(&self, name: &str) -> Result<LayerError> {
        let parts = self.parts(name, |before, after| {
            let square = |number: f32| f64::from(number) * f64::from(number);
            LayerError {
                signal: before.iter().copied().map(square).sum(),
                noise: before.iter().zip(after).map(|(b, a)| square(b - a)).sum(),
            }
        })?;
        Ok(parts.into_iter().sum())
    }

    /// The weights of a tensor of [`Self::compressed`] before and after.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn look(&self, name: &str) -> Result<LayerLook> {
        let largest = |numbers: &[f32]| numbers.iter().fold(0.0, |most: f32, n| most.max(n.abs()));
        let ranges = self.parts(name, |before, after| largest(before).max(largest(after)))?;
        let range = ranges.into_iter().fold(0.0, f32::max);
        let work = self.work(name).map(|(_, work)| work);
        let job = work.and_then(|work| work.job);
        let scaled = job.filter(|job| job.bits <= 8);
        let codes = scaled.map_or(1, |job| match job.bits {
            1 => 1,
            bits => quantize::largest_code(bits) as u8,
        });
        let parts = self.parts(name, |before, after| {
            let scales = scaled.map_or_else(Vec::new, |job| {
                let rows = after.chunks(job.matrix.fan_in.max(1));
                let groups = rows.flat_map(|row| row.chunks(job.group));
                // The largest weight of a group has the largest code.
                let scales = groups.map(|group| largest(group) / f32::from(codes));
                scales.filter(|scale| *scale > 0.0).collect()
            });
            (counts(before, range), counts(after, range), scales)
        })?;
        let (mut before, mut after) = (vec![0; BINS], vec![0; BINS]);
        let mut scales = Vec::new();
        for (b, a, s) in parts {
            before.iter_mut().zip(b).for_each(|(all, new)| *all += new);
            after.iter_mut().zip(a).for_each(|(all, new)| *all += new);
            scales.extend(s);
        }
        let middle = scales.len() / 2;
        let grid = scaled.filter(|_| !scales.is_empty()).map(|job| Grid {
            step: *scales.select_nth_unstable_by(middle, f32::total_cmp).1,
            codes,
            bits: job.bits,
            groups: scales.len(),
        });
        let threshold = match job.map(|job| job.prune) {
            Some(Prune::Cut(cut)) if cut != Cut::NONE => Some(f32::from_bits(cut.threshold)),
            _ => None,
        };
        Ok(LayerLook {
            layer: name.strip_suffix(".weight").unwrap_or(name).to_owned(),
            range,
            before,
            after,
            threshold,
            grid,
        })
    }

    /// What a function makes of parts of a tensor, before and after.
    fn parts<T: Send>(
        &self,
        name: &str,
        look: impl Fn(&[f32], &[f32]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let Some((&name, &(layer, _))) = self.layers.get_key_value(name) else {
            return Ok(Vec::new());
        };
        let matrix = self.compressor.weights[&layer].matrix;
        let work = self.work(name);
        let rows = self.compressor.originals.rows(name)?;
        let each = (PART / matrix.fan_in.max(1)).max(1);
        (0..matrix.rows.div_ceil(each))
            .into_par_iter()
            .map_init(Vec::new, |room, part| {
                let range = part * each..matrix.rows.min((part + 1) * each);
                let first = range.start;
                let mut before = vec![0.0; range.len() * matrix.fan_in];
                rows.read(range, &mut before)?;
                let mut after = before.clone();
                if let Some((_, work)) = work {
                    work.run(first, &mut after, room)?;
                }
                Ok(look(&before, &after))
            })
            .collect()
    }
}

/// Numbers in equal parts of a range to both sides of zero.
fn counts(numbers: &[f32], range: f32) -> Vec<u64> {
    let mut counts = vec![0; BINS];
    for number in numbers {
        let place = (number / range + 1.0) / 2.0 * BINS as f32;
        // All are in the range, whose end belongs to the last part; without a range all are zero.
        let place = if place.is_nan() {
            BINS / 2
        } else {
            place as usize
        };
        counts[place.min(BINS - 1)] += 1;
    }
    counts
}
