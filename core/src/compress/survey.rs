//! What shapes alone do not tell: how many weights are zero already, how many rounding makes zero, how a global threshold
//! spreads over the layers, and which groups of weights it empties. Counted once for a model, so that planned curves run
//! where the measured points will lie.

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

/// A group whose largest weight is not above this, half of the smallest scale, rounds to zeros.
const VANISHING: f32 = 0.5 / 16_777_216.0;

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
    /// The bits of the magnitude below which weights become zero at a sparsity of so many percent, within the layer and
    /// over all; empty until they are known.
    lowest: [Vec<u32>; 2],
    /// Bits of the magnitude of the largest weight of each group, in order, by width of group.
    largest: [Vec<u32>; GROUPS.len()],
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
            lowest: [Vec::new(), Vec::new()],
            largest: GROUPS.map(|group| largest(&rows, matrix.group(group))),
        }
    }

    /// Fraction of the weights with a magnitude of fewer bits than these.
    pub(super) fn below(&self, bits: f64) -> f64 {
        let table = &self.lowest[0];
        let percent = table.partition_point(|&lowest| f64::from(lowest) < bits);
        let at = |percent: usize| table.get(percent).map(|&bits| f64::from(bits));
        let part = match (percent.checked_sub(1).and_then(at), at(percent)) {
            (Some(low), Some(high)) => percent as f64 - (high - bits) / (high - low),
            _ => percent as f64,
        };
        (part / STEPS as f64).min(1.0)
    }

    /// Fraction of the groups that a recipe leaves without a weight. `common` is the magnitude where those that are cut
    /// together are cut, where these are not all layers.
    pub(super) fn empty(&self, recipe: &Recipe, common: Option<f64>) -> f64 {
        let pruning = recipe.pruning;
        let vanishing = if STEPPED_BITS.contains(&recipe.quantization.weight_bits) {
            prune::magnitude(VANISHING)
        } else {
            0
        };
        let global = pruning.scope == Scope::Global;
        let lowest = match pruning.pattern {
            Pattern::Unstructured if pruning.sparsity > 0.0 => {
                let known = || {
                    let table = &self.lowest[usize::from(global)];
                    between(table, pruning.sparsity, |&bits| f64::from(bits))
                };
                common.filter(|_| global).or_else(known)
            }
            // Two of four leave some of any group.
            _ => None,
        };
        let lowest = lowest.map_or(0, |bits| bits.round() as u32);
        let largest = &self.largest[group_number(recipe)];
        let empty = largest.partition_point(|&bits| bits <= vanishing || bits < lowest);
        empty as f64 / largest.len().max(1) as f64
    }

    /// Zeros that a recipe leaves in a layer of this shape: never more than it really does, up to what sampling misses.
    pub(super) fn zeros(
        &self,
        recipe: &Recipe,
        matrix: Matrix,
        pruned: u64,
        common: Option<f64>,
    ) -> u64 {
        let n = matrix.len() as f64;
        let pattern = recipe.pruning.pattern;
        let is_pruned = recipe.pruning.sparsity > 0.0;
        let known = match recipe.quantization.weight_bits {
            bits if STEPPED_BITS.contains(&bits) => {
                let pattern = usize::from(is_pruned && pattern == Pattern::TwoOfFour);
                self.rounded[pattern][group_number(recipe)]
                    [usize::from(bits - STEPPED_BITS.start())]
            }
            _ => self.zero,
        };
        let is_global =
            is_pruned && pattern == Pattern::Unstructured && recipe.pruning.scope == Scope::Global;
        let pruned = is_global
            .then(|| match common {
                Some(bits) => Some(self.below(bits)),
                None => between(&self.global, recipe.pruning.sparsity, |&share| share),
            })
            .flatten()
            .map_or(pruned, |share| (n * share).round() as u64);
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

/// The number of a recipe's group in [`GROUPS`].
fn group_number(recipe: &Recipe) -> usize {
    GROUPS
        .iter()
        .position(|&group| group == recipe.quantization.group)
        .unwrap_or(0)
}

/// What a table of whole percents gives for a sparsity.
fn between<T>(table: &[T], sparsity: f64, number: impl Fn(&T) -> f64) -> Option<f64> {
    let at = sparsity * STEPS as f64;
    let low = (at as usize).min(STEPS - 1);
    let (a, b) = (number(table.get(low)?), number(table.get(low + 1)?));
    Some(a + (b - a) * (at - low as f64))
}

/// The bits of the largest magnitude of each group, in order.
fn largest(rows: &[&[f32]], group: usize) -> Vec<u32> {
    let largest_of = |weights: &[f32]| {
        let bits = weights.iter().map(|&weight| prune::magnitude(weight));
        bits.max().unwrap_or(0)
    };
    let mut all: Vec<u32> = rows
        .par_iter()
        .flat_map_iter(|row| row.chunks(group).map(largest_of))
        .collect();
    all.sort_unstable();
    all
}

/// Where each whole percent of the weights of some layers ends: the bin of the histograms, and what part of it. Within a
/// bin all weights count as equally likely to go.
fn percents(layers: &[&prune::Histogram]) -> Vec<(usize, f64)> {
    let total: u64 = layers.iter().map(|histogram| histogram.total()).sum();
    let mut percents = Vec::with_capacity(STEPS + 1);
    let mut below = 0;
    for bin in 0..prune::Histogram::BINS {
        let here: u64 = layers.iter().map(|histogram| histogram.at(bin)).sum();
        while percents.len() <= STEPS && here > 0 {
            let wanted = total as f64 * percents.len() as f64 / STEPS as f64;
            if wanted > (below + here) as f64 {
                break;
            }
            percents.push((bin, (wanted - below as f64) / here as f64));
        }
        below += here;
    }
    percents
}

/// Fills in, for layers that are pruned together, the fraction that each loses at each global sparsity, and the
/// magnitudes where the cuts of each sparsity lie.
pub(super) fn spread(layers: &mut [(&mut Survey, &prune::Histogram)]) {
    let histograms: Vec<_> = layers.iter().map(|(_, histogram)| *histogram).collect();
    let global = percents(&histograms);
    let bits = |percents: &[(usize, f64)]| {
        let bits = |&(bin, part): &(usize, f64)| prune::Histogram::bits(bin, part);
        percents.iter().map(bits).collect::<Vec<u32>>()
    };
    let everywhere = bits(&global);
    for (survey, histogram) in layers {
        let total = histogram.total().max(1) as f64;
        let (mut next, mut below) = (0, 0);
        survey.global = global
            .iter()
            .map(|&(bin, part)| {
                while next < bin {
                    below += histogram.at(next);
                    next += 1;
                }
                (below as f64 + part * histogram.at(bin) as f64) / total
            })
            .collect();
        survey.lowest = [bits(&percents(&[*histogram])), everywhere.clone()];
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
            lowest: [Vec::new(), Vec::new()],
            largest: Default::default(),
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
        let zeros = |sparsity| survey.zeros(&recipe(sparsity, Scope::Global, 32), matrix, 7, None);
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
    fn groups_are_empty_whose_largest_weight_goes() {
        let (mut survey, _) = survey(0.0);
        // Ten groups in order of their largest weights, of which the scale of the second has no half precision.
        let largest: [f32; 10] = [0.0, 1e-9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
        survey.largest[0] = largest.map(f32::to_bits).to_vec();
        // Cuts at 0.25 within the layer and at 0.65 over all, whatever the sparsity.
        survey.lowest = [0.25, 0.65].map(|cut: f32| vec![cut.to_bits(); STEPS + 1]);
        for (sparsity, scope, bits, expected) in [
            (0.0, Scope::Layer, 1, 0.1),
            (0.0, Scope::Global, 2, 0.2),
            (0.0, Scope::Global, 8, 0.2),
            (0.5, Scope::Layer, 8, 0.4),
            (0.5, Scope::Layer, 1, 0.4),
            (0.5, Scope::Global, 4, 0.8),
        ] {
            let recipe = recipe(sparsity, scope, bits);
            assert_eq!(survey.empty(&recipe, None), expected, "{recipe:?}");
        }
        let mut two_of_four = recipe(0.5, Scope::Layer, 4);
        two_of_four.pruning.pattern = Pattern::TwoOfFour;
        assert_eq!(survey.empty(&two_of_four, None), 0.2);
    }

    #[test]
    fn cuts_of_whole_percents_lie_where_so_many_weights_end() {
        // A hundred times 1, 2, 3 and 4 in one layer, and 2 a hundred times in another.
        let weights = |values: &[f32]| -> Vec<f32> {
            let each = values.iter().flat_map(|&value| [value; 100]);
            each.collect()
        };
        let layers = [weights(&[1.0, 2.0, 3.0, 4.0]), weights(&[2.0])];
        let histograms = layers.each_ref().map(|layer| prune::Histogram::of(layer));
        let (mut a, mut b) = (survey(0.0).0, survey(0.0).0);
        spread(&mut [(&mut a, &histograms[0]), (&mut b, &histograms[1])]);
        let in_bin = |bits: u32, value: f32| {
            let part = f64::from(bits) - f64::from(value.to_bits());
            assert!((0.0..=65536.0).contains(&part), "{value}: {part}");
        };
        for (percent, alone, together) in [
            (10, 1.0, 1.0),
            (30, 2.0, 2.0),
            (55, 3.0, 2.0),
            (90, 4.0, 4.0),
        ] {
            in_bin(a.lowest[0][percent], alone);
            in_bin(a.lowest[1][percent], together);
            assert_eq!(a.lowest[1], b.lowest[1]);
        }
        // Of 500 weights 40 % are all of 1 and a half of 2.
        assert_eq!((a.global[40], b.global[40]), (150.0 / 400.0, 0.5));
    }

    #[test]
    fn zeros_are_the_most_of_what_pruning_rounding_and_the_original_give() {
        let (survey, matrix) = survey(0.3);
        let zeros = |sparsity, bits, pruned| {
            survey.zeros(&recipe(sparsity, Scope::Layer, bits), matrix, pruned, None)
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
            survey.zeros(&recipe(0.0, Scope::Global, 32), matrix, 0, None),
            100
        );
    }
}
