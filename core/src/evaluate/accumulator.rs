//! [`Accumulator`]: a measurement that can be read at any time and narrows with every step.

use super::baseline::{Answers, Baseline, answer, divergence};
use super::set::EvaluationSet;
use super::statistics::{Mean, paired_proportions, wilson};
use crate::error::{Error, Result};
use crate::measurement::{Example, Interval, Metric, Quality};
use crate::model::{Architecture, Tensors};

/// Images shown as examples at most.
const EXAMPLE_IMAGES: usize = 12;

/// Measures one network on an [`EvaluationSet`], a step at a time, paired with the original's [`Baseline`].
#[derive(Debug, Clone)]
pub struct Accumulator<'a> {
    set: &'a EvaluationSet,
    baseline: &'a Baseline,
    /// Items measured so far.
    items: usize,
    correct: u64,
    /// Correct answers of the original on the same items.
    original_correct: u64,
    gained: u64,
    lost: u64,
    bits: Mean,
    original_bits: Mean,
    change: Mean,
    divergence: Mean,
    examples: Vec<Example>,
}

impl<'a> Accumulator<'a> {
    /// A measurement of nothing yet.
    pub fn new(set: &'a EvaluationSet, baseline: &'a Baseline) -> Self {
        Self {
            set,
            baseline,
            items: 0,
            correct: 0,
            original_correct: 0,
            gained: 0,
            lost: 0,
            bits: Mean::default(),
            original_bits: Mean::default(),
            change: Mean::default(),
            divergence: Mean::default(),
            examples: Vec::new(),
        }
    }

    /// Measures the next samples, at most about 50 ms of work with a bundled model, and says whether there are more.
    /// Call it with the same network every time.
    ///
    /// # Errors
    /// [`Error::Compute`] if the network does not fit the set or its outputs are not finite.
    pub fn step(
        &mut self,
        architecture: &Architecture,
        tensors: &Tensors,
        activation_bits: u8,
    ) -> Result<bool> {
        self.set.check(architecture)?;
        let step = self.set.step(self.items);
        if step.is_empty() {
            return Ok(false);
        }
        let answers = answer(
            architecture,
            tensors,
            activation_bits,
            self.set,
            step.clone(),
        )?;
        for (item, answers) in step.zip(&answers) {
            let original = self.baseline.answers(item).ok_or_else(|| {
                Error::Compute("the original was measured on other data".to_owned())
            })?;
            self.add(item, original, answers);
        }
        Ok(self.items < self.set.items())
    }

    fn add(&mut self, item: usize, original: &Answers, answers: &Answers) {
        let targets = self.set.targets(item);
        self.items += 1;
        self.bits.push(answers.bits);
        self.original_bits.push(original.bits);
        self.change.push(answers.bits - original.bits);
        if let Some(nats) = divergence(original, answers, targets.len()) {
            self.divergence.push(nats);
        }
        let EvaluationSet::Images(images) = self.set else {
            return;
        };
        let label = usize::from(targets[0]);
        let (before, now) = (original.class == label, answers.class == label);
        self.correct += u64::from(now);
        self.original_correct += u64::from(before);
        self.gained += u64::from(now && !before);
        self.lost += u64::from(before && !now);
        if before && !now && self.examples.len() < EXAMPLE_IMAGES {
            self.examples.push(Example::Image {
                index: images.index(item),
                label,
                original: original.class,
                compressed: answers.class,
            });
        }
    }

    /// Samples measured so far: images, or predicted bytes.
    pub fn seen(&self) -> u64 {
        self.set.samples(self.items)
    }

    /// Whether the whole set was measured.
    pub fn is_complete(&self) -> bool {
        self.items == self.set.items()
    }

    /// The quality on what was seen. Before the first step its intervals say that nothing is known.
    ///
    /// Accuracy has a Wilson interval and its change that of paired proportions. Bits per byte, their change and the
    /// divergence of text are means over contexts, with Student's interval over contexts and not over bytes: bytes of
    /// one context are not independent of each other, contexts drawn at random nearly are.
    pub fn quality(&self) -> Quality {
        let divergence = self.divergence.interval();
        let divergence = Interval {
            low: divergence.low.max(0.0),
            ..divergence
        };
        let n = self.seen();
        let (metric, interval, baseline, change) = match self.set {
            EvaluationSet::Images(_) => (
                Metric::Accuracy,
                wilson(self.correct, n),
                wilson(self.original_correct, n).value,
                paired_proportions(self.gained, self.lost, n),
            ),
            EvaluationSet::Text(_) => (
                Metric::BitsPerByte,
                self.bits.interval(),
                self.original_bits.value(),
                self.change.interval(),
            ),
        };
        Quality {
            metric,
            value: interval.value,
            low: interval.low,
            high: interval.high,
            n,
            baseline,
            change,
            divergence,
        }
    }

    /// Images seen so far that the original gets right and this network wrong, at most twelve.
    pub fn lost_images(&self) -> &[Example] {
        &self.examples
    }
}
