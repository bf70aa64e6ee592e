//! How near the outputs of a compressed network come to the original's, on inputs that are made up: for networks that nobody
//! has data for.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::statistics::ClusteredMean;
use crate::error::{Error, Result};
use crate::formats::{Fill, Given, Passed};
use crate::measurement::{Example, Interval, Metric, Quality};
use crate::model::standard_normal;
use crate::runner::{Array, Numbers};

/// Inputs of a full measurement.
pub const INPUTS: usize = 32;
/// Inputs of the first, coarse one.
pub const COARSE_INPUTS: usize = 4;
/// The most samples of the user's that are taken.
pub(crate) const MOST_OWN: usize = 256;
/// Seed of all inputs: the same for every network and recipe, so that measurements are paired.
const SEED: u64 = 20_261_129;
/// Decibels that equal outputs count as, and the most that others do: single precision ends near 140.
pub const EQUAL: f64 = 120.0;
/// Numbers of an output that are shown.
const SHOWN: usize = 8;

/// Inputs that are made up for a network.
#[derive(Debug, Clone)]
pub struct GeneratedSet {
    given: Vec<Given>,
    outputs: Vec<String>,
    /// Inputs of the user's, by sample; those that are missing are made up.
    own: Option<Arc<Vec<Vec<Array>>>>,
}

/// What came out for one input: of every output its numbers.
pub(crate) type Outputs = Vec<Array>;

impl GeneratedSet {
    /// Inputs as they are given, for a network with these outputs.
    pub(crate) fn new(given: Vec<Given>, outputs: Vec<String>) -> Self {
        Self {
            given,
            outputs,
            own: None,
        }
    }

    /// The same with samples of the user's.
    ///
    /// # Errors
    /// There are fewer than two.
    pub(crate) fn with(self, own: Vec<Vec<Array>>) -> std::result::Result<Self, String> {
        if own.len() < 2 {
            return Err("one sample says nothing of how far others differ; give more".to_owned());
        }
        Ok(Self {
            own: Some(Arc::new(own)),
            ..self
        })
    }

    /// How many inputs there are.
    pub(crate) fn count(&self) -> usize {
        self.own.as_ref().map_or(INPUTS, |own| own.len())
    }

    /// The first input that nobody gave, and that nothing can be made up for, in words.
    pub(crate) fn lacks(&self) -> Option<String> {
        let mut unknown = self.given.iter().filter(|own| own.fill == Fill::Unknown);
        let lacking = unknown.find(|own| !self.has(&own.name))?;
        Some(format!(
            "input {}; give arrays of its inputs",
            lacking.words()
        ))
    }

    /// What every input is given, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let inputs = self.given.iter();
        inputs
            .map(|given| {
                if self.has(&given.name) {
                    format!("input {}: samples of your own", given.name)
                } else {
                    format!("generated input {}", given.words())
                }
            })
            .collect()
    }

    /// Whether an input is the user's.
    fn has(&self, name: &str) -> bool {
        let first = self.own.as_ref().and_then(|own| own.first());
        first.is_some_and(|inputs| inputs.iter().any(|input| input.name == name))
    }

    /// Names of the outputs.
    pub(crate) fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Inputs of an item.
    pub(crate) fn inputs(&self, item: usize) -> Vec<Array> {
        let inputs = self.given.iter().enumerate();
        inputs
            .map(|(at, given)| {
                let own = self.own.as_ref().and_then(|own| own.get(item));
                let own = own.and_then(|own| own.iter().find(|own| own.name == given.name));
                if let Some(own) = own {
                    return own.clone();
                }
                let mut rng = ChaCha8Rng::seed_from_u64(SEED);
                rng.set_stream(((at as u64) << 32) | item as u64);
                Array {
                    name: given.name.clone(),
                    shape: given.shape.clone(),
                    numbers: numbers(given, &mut rng),
                }
            })
            .collect()
    }
}

fn numbers(given: &Given, rng: &mut ChaCha8Rng) -> Numbers {
    let count: usize = given.shape.iter().product();
    let last = given.shape.last().copied().unwrap_or(1).max(1);
    if given.passed == Passed::Float {
        let one = |rng: &mut ChaCha8Rng| match given.fill {
            Fill::All(value) => value as f32,
            _ => standard_normal(rng) as f32,
        };
        return Numbers::Float((0..count).map(|_| one(rng)).collect());
    }
    let whole: Vec<i32> = (0..count)
        .map(|at| match given.fill {
            Fill::All(value) => value,
            Fill::Places => i32::try_from(at % last).unwrap_or(i32::MAX),
            Fill::Below(most) => {
                // Below 2^31, as the tables that such numbers are looked up in are.
                i32::try_from(rng.random_range(0..most.max(1))).unwrap_or(0)
            }
            Fill::Normal | Fill::Unknown => 0,
        })
        .collect();
    match given.passed {
        Passed::Signed => Numbers::Signed(whole.into_iter().map(|n| n as i8).collect()),
        Passed::Byte => Numbers::Byte(whole.into_iter().map(|n| n as u8).collect()),
        Passed::Int | Passed::Float => Numbers::Int(whole),
    }
}

/// Adds up how near outputs come to the original's.
#[derive(Debug, Default)]
pub(crate) struct Fidelity {
    items: usize,
    decibels: ClusteredMean,
    cosine: ClusteredMean,
    same_top: ClusteredMean,
    examples: Vec<Example>,
}

impl Fidelity {
    /// Adds the outputs for the next input.
    ///
    /// # Errors
    /// They have other shapes than the original's, or the original's are no numbers.
    pub(crate) fn add(&mut self, original: &[Array], compressed: &[Array]) -> Result<()> {
        let item = self.items;
        self.items += 1;
        let compared = |array: &&Array| matches!(array.numbers, Numbers::Float(_));
        let some = original.iter().any(|array| compared(&array));
        let (mut noise, mut cosine, mut count) = (0.0, 0.0, 0.0);
        let mut tops = None;
        for (before, now) in original.iter().zip(compressed) {
            // Whole numbers are compared where there is nothing else.
            if some && !compared(&before) || before.numbers.len() == 0 {
                continue;
            }
            if before.shape != now.shape {
                return Err(Error::Compute(format!(
                    "output '{}' has another shape than the original's: {:?}, not {:?}",
                    before.name, now.shape, before.shape
                )));
            }
            let (one, other) = (before.numbers.floats(), now.numbers.floats());
            let near = Nearness::of(&one, &other).ok_or_else(|| {
                Error::Compute(format!(
                    "output '{}' of the original holds what is no number",
                    before.name
                ))
            })?;
            noise += near.noise;
            cosine += near.cosine;
            count += 1.0;
            let width = before.shape.last().copied().unwrap_or(0);
            if tops.is_none() && before.shape.len() > 1 && width > 1 {
                tops = Some(same_tops(&one, &other, width));
            }
            if item == 0 {
                self.examples.push(example(before, &one, &other));
            }
        }
        if count == 0.0 {
            return Err(Error::Compute("it gives no numbers".to_owned()));
        }
        self.decibels.push(item, decibels(noise / count));
        self.cosine.push(item, cosine / count);
        if let Some(share) = tops {
            self.same_top.push(item, share);
        }
        Ok(())
    }

    /// Inputs so far.
    pub(crate) const fn items(&self) -> usize {
        self.items
    }

    /// Outputs for the first input beside the original's.
    pub(crate) fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// The quality on what was added.
    pub(crate) fn quality(&self) -> Quality {
        let interval = self.decibels.interval();
        let within = |interval: Interval, low: f64, high: f64| Interval {
            value: interval.value,
            low: interval.low.clamp(low, high),
            high: interval.high.clamp(low, high),
        };
        let interval = within(interval, -EQUAL, EQUAL);
        Quality {
            metric: Metric::Fidelity,
            value: interval.value,
            low: interval.low,
            high: interval.high,
            n: self.items as u64,
            baseline: EQUAL,
            change: Interval {
                value: interval.value - EQUAL,
                low: interval.low - EQUAL,
                high: interval.high - EQUAL,
            },
            divergence: None,
            same_top: (self.same_top.n() > 0).then(|| within(self.same_top.interval(), 0.0, 1.0)),
            cosine: Some(within(self.cosine.interval(), -1.0, 1.0)),
            pictures: None,
            neighbours: None,
            bits_per_byte: None,
        }
    }
}

/// A ratio of noise to signal in decibels, the other way around.
fn decibels(noise: f64) -> f64 {
    let decibels = -10.0 * noise.max(1e-300).log10();
    decibels.clamp(-EQUAL, EQUAL)
}

/// How near numbers come to the original's.
struct Nearness {
    /// Power of the difference over that of the original.
    noise: f64,
    /// Cosine of the angle between both.
    cosine: f64,
}

impl Nearness {
    /// `None` where the original's are no numbers; what is none in the others is as far away as can be.
    fn of(original: &[f32], compressed: &[f32]) -> Option<Self> {
        let (mut power, mut difference, mut other, mut product) = (0.0, 0.0, 0.0, 0.0);
        for (before, now) in original.iter().zip(compressed) {
            let (before, now) = (f64::from(*before), f64::from(*now));
            if !before.is_finite() {
                // Where a network says "never" with −∞, both must.
                if before.is_nan() || before != now {
                    return (!before.is_nan()).then_some(Self::FAR);
                }
                continue;
            }
            power += before * before;
            other += now * now;
            difference += (before - now) * (before - now);
            product += before * now;
        }
        if !difference.is_finite() {
            return Some(Self::FAR);
        }
        if difference == 0.0 {
            return Some(Self {
                noise: 0.0,
                cosine: 1.0,
            });
        }
        let lengths = (power * other).sqrt();
        Some(Self {
            noise: difference / power.max(f64::MIN_POSITIVE),
            cosine: if lengths > 0.0 {
                product / lengths
            } else {
                0.0
            },
        })
    }

    const FAR: Self = Self {
        noise: f64::MAX,
        cosine: 0.0,
    };
}

/// The share of rows whose largest number stands at the same place.
fn same_tops(original: &[f32], compressed: &[f32], width: usize) -> f64 {
    let top = |row: &[f32]| {
        let largest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        largest.map(|(at, _)| at)
    };
    let rows = original
        .chunks_exact(width)
        .zip(compressed.chunks_exact(width));
    let same: Vec<bool> = rows.map(|(one, other)| top(one) == top(other)).collect();
    same.iter().filter(|same| **same).count() as f64 / same.len().max(1) as f64
}

/// The largest numbers of an output, by the original's.
fn example(array: &Array, original: &[f32], compressed: &[f32]) -> Example {
    let mut places: Vec<usize> = (0..original.len()).collect();
    places.sort_by(|a, b| original[*b].abs().total_cmp(&original[*a].abs()));
    places.truncate(SHOWN);
    let at = |numbers: &[f32]| {
        places
            .iter()
            .filter_map(|at| numbers.get(*at).copied())
            .collect()
    };
    Example::Outputs {
        name: array.name.clone(),
        shape: array.shape.clone(),
        original: at(original),
        compressed: at(compressed),
        places,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(numbers: &[f32]) -> Array {
        Array {
            name: "y".to_owned(),
            shape: vec![1, numbers.len()],
            numbers: Numbers::Float(numbers.to_vec()),
        }
    }

    fn fidelity(pairs: &[(&[f32], &[f32])]) -> Quality {
        let mut all = Fidelity::default();
        for (one, other) in pairs {
            all.add(&[array(one)], &[array(other)]).unwrap();
        }
        all.quality()
    }

    #[test]
    fn decibels_are_those_of_the_definition() {
        let one = [3.0, 4.0];
        // The difference has a hundredth of the power.
        let quality = fidelity(&[(&one, &[3.3, 4.4]), (&one, &[2.7, 3.6])]);
        assert!((quality.value - 20.0).abs() < 1e-5, "{quality:?}");
        assert_eq!(quality.same_top.unwrap().value, 1.0);
        assert!((quality.cosine.unwrap().value - 1.0).abs() < 1e-9);
        // Nothing but zeros is as far away as the signal is strong.
        let quality = fidelity(&[(&one, &[0.0, 0.0]), (&one, &[0.0, 0.0])]);
        assert_eq!((quality.value, quality.cosine.unwrap().value), (0.0, 0.0));
        let quality = fidelity(&[(&one, &one), (&one, &one)]);
        assert_eq!(
            (quality.value, quality.low, quality.high),
            (EQUAL, EQUAL, EQUAL)
        );
        assert_eq!(quality.change.value, 0.0);
    }

    #[test]
    fn what_is_no_number_is_far_away() {
        let one = [1.0, 2.0];
        let quality = fidelity(&[(&one, &[f32::NAN, 2.0]), (&one, &[f32::INFINITY, 1.0])]);
        assert_eq!(quality.value, -EQUAL);
        let mut all = Fidelity::default();
        assert!(all.add(&[array(&[f32::NAN, 1.0])], &[array(&one)]).is_err());
        // What both call impossible is the same.
        let never = [f32::NEG_INFINITY, 2.0];
        let quality = fidelity(&[(&never, &never), (&never, &never)]);
        assert_eq!(quality.value, EQUAL);
    }

    #[test]
    fn equal_shares_of_noise_count_equally_whatever_an_output_is_scaled_by() {
        let mut all = Fidelity::default();
        for _ in 0..2 {
            let one = [array(&[1.0, 1.0]), array(&[1000.0, 1000.0])];
            let other = [array(&[1.1, 0.9]), array(&[1000.0, 1000.0])];
            all.add(&one, &other).unwrap();
        }
        // Of two outputs one has noise of a hundredth.
        let expected = -10.0 * 0.005_f64.log10();
        assert!((all.quality().value - expected).abs() < 1e-4);
    }
}
