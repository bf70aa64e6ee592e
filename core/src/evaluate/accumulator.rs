//! [`Accumulator`]: a measurement that can be read at any time and narrows with every step.

use std::ops::Range;

use candle_core::Tensor;

use super::baseline::{Answers, Baseline, Written, answer, divergence, scores, written};
use super::pictures::{PictureSet, SHOWN, paired};
use super::sentences::{SentenceSet, cosine};
use super::set::EvaluationSet;
use super::statistics::{ClusteredMean, paired_proportions, wilson};
use crate::error::{Error, Result};
use crate::measurement::{Example, Interval, Metric, Paired, Pictures, Quality};
use crate::run::Network;

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
    bits: ClusteredMean,
    /// Of sentences: between what the original makes of each and what it makes now.
    cosine: ClusteredMean,
    original_bits: ClusteredMean,
    change: ClusteredMean,
    divergence: ClusteredMean,
    /// Predictions whose most probable token is the original's.
    same_top: ClusteredMean,
    examples: Vec<Example>,
    /// Of pictures: what was made so far, and how near images made again come, now and before.
    made: Vec<Answers>,
    psnr: [ClusteredMean; 2],
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
            bits: ClusteredMean::default(),
            cosine: ClusteredMean::default(),
            original_bits: ClusteredMean::default(),
            change: ClusteredMean::default(),
            divergence: ClusteredMean::default(),
            same_top: ClusteredMean::default(),
            examples: Vec::new(),
            made: Vec::new(),
            psnr: Default::default(),
        }
    }

    /// Measures the next samples, at most about 50 ms of work with a bundled model, and says whether there are more.
    /// Call it with the same network every time.
    ///
    /// # Errors
    /// [`Error::Compute`] if the network does not fit the set or its outputs are not finite.
    pub fn step(&mut self, network: &Network) -> Result<bool> {
        self.set.check(network)?;
        let set = self.set;
        self.step_with(&mut |items| answer(network, set, items))
    }

    /// The same through another way of running it: inputs as of [`Network::run`] to logits.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub(crate) fn step_through(
        &mut self,
        run: &mut dyn FnMut(&Tensor) -> Result<Tensor>,
    ) -> Result<bool> {
        let set = self.set;
        self.step_with(&mut |items| {
            if let EvaluationSet::Sentences(sentences) = set {
                return sentences.answers_through(run, items);
            }
            let logits = run(&set.input(items.clone())?)?;
            scores(&last(&logits, set)?, set, items)
        })
    }

    fn step_with(
        &mut self,
        answer: &mut dyn FnMut(Range<usize>) -> Result<Vec<Answers>>,
    ) -> Result<bool> {
        let mut step = self.set.step(self.items);
        // Of a model in a file the original may have answered the first items only.
        if self.baseline.len() > step.start {
            step.end = step.end.min(self.baseline.len());
        }
        if step.is_empty() {
            return Ok(false);
        }
        let answers = answer(step.clone())?;
        self.add_all(&answers)
    }

    /// Adds what a network answered to the next items, and says whether there are more.
    ///
    /// # Errors
    /// [`Error::Compute`] if the original was not measured on them.
    pub(crate) fn add_all(&mut self, answers: &[Answers]) -> Result<bool> {
        let first = self.items;
        for (item, answers) in (first..).zip(answers) {
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
        let cluster = self.set.cluster(item);
        if matches!(self.set, EvaluationSet::Sentences(_)) {
            let cosine = cosine(&original.embedding, &answers.embedding);
            self.cosine.push(cluster, cosine);
            self.change.push(cluster, cosine - 1.0);
            self.made.push(answers.clone());
            return;
        }
        let (before, now) = (&original.quarters, &answers.quarters);
        let changes = now.iter().zip(before).map(|(now, was)| now.bits - was.bits);
        self.bits
            .push_mean(cluster, answers.bits, now.iter().map(|part| part.bits));
        self.original_bits.push(cluster, original.bits);
        self.change
            .push_mean(cluster, answers.bits - original.bits, changes);
        if let Some(nats) = divergence(original, answers, targets.len()) {
            let parts = now.iter().map(|part| part.divergence);
            self.divergence.push_mean(cluster, nats, parts);
        }
        if let (Some(before), Some(now)) = (&original.made, &answers.made) {
            let [psnr, original_psnr] = &mut self.psnr;
            psnr.push(cluster, now.psnr());
            original_psnr.push(cluster, before.psnr());
            let mut answers = answers.clone();
            if let Some(made) = answers.made.as_mut().filter(|_| item >= SHOWN) {
                made.forget();
            }
            self.made.push(answers);
            return;
        }
        let same: Vec<f64> = (original.tops.iter().zip(&answers.tops))
            .map(|(before, now)| f64::from(u8::from(before == now)))
            .collect();
        let share = same.iter().sum::<f64>() / targets.len() as f64;
        let quarter = same.len().div_ceil(answers.quarters.len().max(1)).max(1);
        let parts = same.chunks(quarter);
        let parts = parts.map(|part| part.iter().sum::<f64>() / part.len() as f64);
        self.same_top.push_mean(cluster, share, parts);
        let EvaluationSet::Images(images) = self.set else {
            return;
        };
        let label = targets[0] as usize;
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

    /// Items measured so far.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// Whether the whole set was measured.
    pub fn is_complete(&self) -> bool {
        self.items == self.set.items()
    }

    /// The quality on what was seen. Before the first step its intervals say that nothing is known.
    ///
    /// Accuracy has a Wilson interval and its change that of paired proportions. Bits per byte, their change and the
    /// divergence of text have Student's interval over sixteen stretches of the text, neither over bytes nor over
    /// contexts: neighbouring contexts resemble each other (same chapter, same speech), so that contexts taken for
    /// independent would give the bundled text half the interval that it deserves.
    pub fn quality(&self) -> Quality {
        let divergence = self.divergence.interval();
        let divergence = Some(Interval {
            low: divergence.low.max(0.0),
            ..divergence
        });
        let n = self.seen();
        let (metric, interval, baseline, change) = match self.set {
            EvaluationSet::Images(_) => (
                Metric::Accuracy,
                wilson(self.correct, n),
                wilson(self.original_correct, n).value,
                paired_proportions(self.gained, self.lost, n),
            ),
            EvaluationSet::Text(text) if text.pieces().is_some() => {
                let level = perplexity(self.original_bits.value());
                let change = self.change.interval();
                // Factors of the original's perplexity, from differences of code lengths.
                let change = Interval {
                    value: level * (perplexity(change.value) - 1.0),
                    low: level * (perplexity(change.low) - 1.0),
                    high: level * (perplexity(change.high) - 1.0),
                };
                let bits = self.bits.interval();
                let interval = Interval {
                    value: perplexity(bits.value),
                    low: perplexity(bits.low.max(0.0)),
                    high: perplexity(bits.high),
                };
                (Metric::Perplexity, interval, level, change)
            }
            EvaluationSet::Pictures(pictures) => return self.of_pictures(pictures, divergence),
            EvaluationSet::Sentences(sentences) => return self.of_sentences(sentences),
            // What is generated is compared apart.
            EvaluationSet::Generated(_) => (Metric::Fidelity, UNKNOWN, 0.0, UNKNOWN),
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
            same_top: matches!(self.set, EvaluationSet::Text(_))
                .then(|| within(self.same_top.interval(), 0.0, 1.0)),
            cosine: None,
            pictures: None,
            neighbours: None,
            bits_per_byte: self.bits_per_byte(),
        }
    }

    /// What the scored tokens cost by the bytes that they stand for; how many bytes these are is a fact of the text.
    fn bits_per_byte(&self) -> Option<Paired> {
        let EvaluationSet::Text(text) = self.set else {
            return None;
        };
        let bytes = text.scored_bytes(self.items)?;
        let per_token = bytes as f64 / self.seen().max(1) as f64;
        let bits = self.bits.interval();
        (bytes > 0).then(|| Paired {
            value: bits.value / per_token,
            low: bits.low.max(0.0) / per_token,
            high: bits.high / per_token,
            baseline: self.original_bits.value() / per_token,
        })
    }

    /// Mean cosine to the original's embeddings, and once all are known, which sentences are nearest to each other.
    fn of_sentences(&self, set: &SentenceSet) -> Quality {
        let held = |interval: Interval| within(interval, -1.0, 1.0);
        let change = self.change.interval();
        let cosine = held(self.cosine.interval());
        let neighbours = self.is_complete().then(|| {
            let (now, before) = self.both();
            within(set.overlap(&before, &now), 0.0, 1.0)
        });
        Quality {
            metric: Metric::EmbeddingCosine,
            value: cosine.value,
            low: cosine.low,
            high: cosine.high,
            n: self.seen(),
            // The original is itself.
            baseline: 1.0,
            change: Interval {
                value: change.value,
                low: change.low.clamp(-2.0, 0.0),
                high: change.high.clamp(-2.0, 0.0),
            },
            divergence: None,
            same_top: None,
            cosine: None,
            pictures: None,
            neighbours,
            bits_per_byte: None,
        }
    }

    /// What was made so far, and what the original made of the same.
    fn both(&self) -> (Vec<&Answers>, Vec<&Answers>) {
        let before = (0..self.items).filter_map(|item| self.baseline.answers(item));
        (self.made.iter().collect(), before.collect())
    }

    fn of_pictures(&self, set: &PictureSet, divergence: Option<Interval>) -> Quality {
        let (now, before) = self.both();
        let judged = set.compared(&now, self.baseline);
        let shares = self.is_complete().then(|| {
            let (precision, recall) = set.precision_and_recall(&now);
            let baseline = self.baseline.shares(|| {
                let (precision, recall) = set.precision_and_recall(&before);
                (precision.value, recall.value)
            });
            (paired(precision, baseline.0), paired(recall, baseline.1))
        });
        let mut pictures = Pictures {
            precision: shares.map(|(precision, _)| precision),
            recall: shares.map(|(_, recall)| recall),
            ..Pictures::default()
        };
        let n = self.seen();
        let metric = set.metric();
        let (interval, baseline, change, divergence) = match metric {
            Metric::NegativeElbo => {
                let [now, before] = &self.psnr;
                pictures.psnr = Some(paired(now.interval(), before.value()));
                pictures.frechet = judged.map(|judged| paired(judged.level, judged.baseline));
                let bits = self.bits.interval();
                (
                    bits,
                    self.original_bits.value(),
                    self.change.interval(),
                    divergence,
                )
            }
            _ => match judged {
                Some(judged) => (judged.level, judged.baseline, judged.change, None),
                // Of so few pictures nothing is known.
                None => (UNKNOWN, 0.0, UNKNOWN, None),
            },
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
            same_top: None,
            cosine: None,
            pictures: Some(pictures),
            neighbours: None,
            bits_per_byte: None,
        }
    }

    /// What it made of the first items, beside the original; of pictures only.
    pub(crate) fn made(&self) -> Vec<Example> {
        match self.set {
            EvaluationSet::Pictures(set) => {
                let (now, before) = self.both();
                set.examples(&now, &before)
            }
            EvaluationSet::Sentences(set) if self.is_complete() => {
                let (now, before) = self.both();
                set.examples(&before, &now)
            }
            _ => Vec::new(),
        }
    }

    /// What the network now does: pictures that it makes; of the images seen so far, those that the original gets right and it gets wrong, at
    /// most twelve; or texts continued by both.
    ///
    /// # Errors
    /// [`Error::Compute`] if the network's predictions are not finite.
    pub fn examples(&self, network: &Network) -> Result<Vec<Example>> {
        if matches!(
            self.set,
            EvaluationSet::Pictures(_) | EvaluationSet::Sentences(_)
        ) {
            return Ok(self.made());
        }
        let mut examples = self.examples.clone();
        let texts = self.baseline.texts();
        if !texts.is_empty() {
            examples.extend(Written::beside(
                texts,
                &written(network, self.set)?,
                self.set,
            ));
        }
        Ok(examples)
    }
}

/// What is known of nothing.
const UNKNOWN: Interval = Interval {
    value: 0.0,
    low: f64::NEG_INFINITY,
    high: f64::INFINITY,
};

/// An interval held within what is possible.
fn within(interval: Interval, low: f64, high: f64) -> Interval {
    Interval {
        value: interval.value,
        low: interval.low.clamp(low, high),
        high: interval.high.clamp(low, high),
    }
}

/// Perplexity of a mean code length in bits per token, or the factor between two. It is held at 10^12: of few predictions of a
/// broken model the upper end is beyond every number.
fn perplexity(bits: f64) -> f64 {
    const MOST: f64 = 1e12;
    (bits * std::f64::consts::LN_2).exp().min(MOST)
}

/// The predictions that are scored, of all that a network made.
fn last(logits: &Tensor, set: &EvaluationSet) -> Result<Tensor> {
    let (_, last) = set.scored();
    Ok(match logits.dims() {
        [_, all, _] if *all > last => logits.narrow(1, all - last, last)?.contiguous()?,
        _ => logits.clone(),
    })
}

#[cfg(test)]
mod tests;
