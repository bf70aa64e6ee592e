//! What shapes alone do not tell: how many weights are zero already, how many rounding makes zero, and how a global
//! threshold spreads over the layers. Counted once for a model, so that planned curves run where the measured points will
//! lie.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::layout::Matrix;
use super::quantize::STEPPED_BITS;
use super::{prune, quantize};
use crate::recipe::{Group, Pattern, Recipe, Scope};

/// Weights of a layer that are looked at; larger layers are sampled in whole rows.
const SAMPLE: usize = 1 << 17;
/// What weights can share a scale with, narrowest last.
const GROUPS: [Group; 9] = [
    Group::Channel,
    Group::Size(1024),
    Group::Size(512),
    Group::Size(256),
    Group::Size(128),
    Group::Size(64),
    Group::Size(32),
    Group::Size(16),
    Group::Size(8),
];
/// Steps of the table of global sparsities: one percent.
const STEPS: usize = 100;

/// Zeros by group and width.
type Rounded = [[u64; 7]; GROUPS.len()];

/// What is known of the weights of one layer.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    /// Fraction that is zero in the original.
    zero: f64,
    /// Fraction that rounding makes (or finds) zero, without pruning and after 2:4.
    rounded: [[[f64; 7]; GROUPS.len()]; 2],
    /// Fraction that a global sparsity of so many percent sets to zero; empty until it is known.
    global: Vec<f64>,
}

impl Survey {
    /// Looks at weights of which `nonzero` are not zero.
    pub(super) fn of(weights: &[f32], matrix: Matrix, nonzero: u64) -> Self {
        let every = matrix.len().div_ceil(SAMPLE).max(1);
        let fan_in = matrix.fan_in.max(1);
        let rows: Vec<&[f32]> = weights.chunks(fan_in).step_by(every).collect();
        let looked_at = (rows.len() * fan_in).max(1) as f64;
        let none = || [[[0; 7]; GROUPS.len()]; 2];
        let counts = rows
            .par_iter()
            .map(|row| {
                let mut pruned = vec![0.0; row.len()];
                prune::cut_two_of_four(row, &mut pruned);
                [*row, pruned.as_slice()].map(|row| Arch::new().dispatch(Count { row, matrix }))
            })
            .reduce(none, |mut a, b| {
                for (a, b) in a.as_flattened_mut().iter_mut().zip(b.as_flattened()) {
                    for (a, b) in a.iter_mut().zip(b) {
                        *a += b;
                    }
                }
                a
            });
        Self {
            zero: 1.0 - nonzero as f64 / matrix.len().max(1) as f64,
            rounded: counts.map(|groups| groups.map(|bits| bits.map(|n| n as f64 / looked_at))),
            global: Vec::new(),
        }
    }

    /// Zeros that a recipe leaves in a layer of this shape: never more than it really does, up to what sampling misses.
    pub(super) fn zeros(&self, recipe: &Recipe, matrix: Matrix, pruned: u64) -> u64 {
        let n = matrix.len() as f64;
        let pattern = recipe.pruning.pattern;
        let is_pruned = recipe.pruning.sparsity > 0.0;
        let known = match recipe.quantization.weight_bits {
            bits if STEPPED_BITS.contains(&bits) => {
                let pattern = usize::from(is_pruned && pattern == Pattern::TwoOfFour);
                let group = GROUPS
                    .iter()
                    .position(|&group| group == recipe.quantization.group)
                    .unwrap_or(0);
                self.rounded[pattern][group][usize::from(bits - STEPPED_BITS.start())]
            }
            _ => self.zero,
        };
        let is_global = is_pruned
            && pattern == Pattern::Unstructured
            && recipe.pruning.scope == Scope::Global
            && !self.global.is_empty();
        let pruned = if is_global {
            let at = recipe.pruning.sparsity * STEPS as f64;
            let low = (at as usize).min(STEPS - 1);
            let (a, b) = (self.global[low], self.global[low + 1]);
            (n * (a + (b - a) * (at - low as f64))).round() as u64
        } else {
            pruned
        };
        // The smallest weights are the ones that both take, so that the zeros of pruning and of rounding mostly coincide.
        pruned
            .max((n * known).round() as u64)
            .min(matrix.len() as u64)
    }
}

/// Counts the weights of a row that are zero after rounding.
struct Count<'a> {
    row: &'a [f32],
    matrix: Matrix,
}

impl WithSimd for Count<'_> {
    type Output = Rounded;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Rounded {
        let mut all = [[0; 7]; GROUPS.len()];
        for (all, group) in all.iter_mut().zip(GROUPS) {
            for weights in self.row.chunks(self.matrix.group(group)) {
                for (all, zeros) in all.iter_mut().zip(quantize::rounded_to_zero(weights)) {
                    *all += zeros;
                }
            }
        }
        all
    }
}

/// Fills in, for layers that are pruned together, the fraction that each loses at each global sparsity. Within a bin of
/// the histograms all weights count as equally likely to go.
pub(super) fn spread(layers: &mut [(&mut Survey, &prune::Histogram)]) {
    let total: u64 = layers.iter().map(|(_, histogram)| histogram.total()).sum();
    let mut below = vec![0u64; layers.len()];
    let mut all_below = 0;
    let mut step = 0;
    for bin in 0..prune::Histogram::BINS {
        let here: u64 = layers.iter().map(|(_, histogram)| histogram.at(bin)).sum();
        while step <= STEPS && here > 0 {
            let wanted = total as f64 * step as f64 / STEPS as f64;
            if wanted > (all_below + here) as f64 {
                break;
            }
            let part = (wanted - all_below as f64) / here as f64;
            for ((survey, histogram), &below) in layers.iter_mut().zip(&below) {
                let zeros = below as f64 + part * histogram.at(bin) as f64;
                survey.global.push(zeros / histogram.total().max(1) as f64);
            }
            step += 1;
        }
        all_below += here;
        for ((_, histogram), below) in layers.iter().zip(&mut below) {
            *below += histogram.at(bin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Pruning, Quantization};

    /// A layer of 1000 weights that loses the square of the global sparsity, a tenth of which is zero already, and which
    /// rounding makes `rounded` to zero.
    fn survey(rounded: f64) -> (Survey, Matrix) {
        let square = |step: usize| (step as f64 / STEPS as f64).powi(2);
        let survey = Survey {
            zero: 0.1,
            rounded: [[[rounded; 7]; GROUPS.len()]; 2],
            global: (0..=STEPS).map(square).collect(),
        };
        (survey, Matrix::of(&[10, 100]))
    }

    fn recipe(sparsity: f64, scope: Scope, weight_bits: u8) -> Recipe {
        Recipe {
            pruning: Pruning {
                sparsity,
                scope,
                ..Pruning::default()
            },
            quantization: Quantization {
                weight_bits,
                ..Quantization::default()
            },
            ..Recipe::default()
        }
    }

    #[test]
    fn a_global_sparsity_between_two_steps_lies_between_what_they_give() {
        let (survey, matrix) = survey(0.0);
        let zeros = |sparsity| survey.zeros(&recipe(sparsity, Scope::Global, 32), matrix, 7);
        // Between 0.8² and 0.81², and at the last step.
        for (sparsity, expected) in [
            (0.8, 640),
            (0.805, 648),
            (0.81, 656),
            (0.99, 980),
            (0.995, 990),
            (1.0, 1000),
        ] {
            assert_eq!(zeros(sparsity), expected, "{sparsity}");
        }
        // What is zero in the original stays so.
        assert_eq!(zeros(0.1), 100);
    }

    #[test]
    fn zeros_are_the_most_of_what_pruning_rounding_and_the_original_give() {
        let (survey, matrix) = survey(0.3);
        let zeros = |sparsity, bits, pruned| {
            survey.zeros(&recipe(sparsity, Scope::Layer, bits), matrix, pruned)
        };
        assert_eq!(zeros(0.5, 8, 500), 500);
        assert_eq!(zeros(0.2, 8, 200), 300);
        // Halves and singles have no steps of a scale.
        assert_eq!(zeros(0.0, 16, 0), 100);
        assert_eq!(zeros(0.0, 1, 0), 100);
        assert_eq!(zeros(0.0, 2, 0), 300);
        assert_eq!(zeros(0.9, 2, 5000), 1000);
        // Without pruning the table of global sparsities says nothing.
        assert_eq!(
            survey.zeros(&recipe(0.0, Scope::Global, 32), matrix, 0),
            100
        );
    }
}
