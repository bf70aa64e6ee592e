//! [`Baseline`]: what the original answers, sample by sample, for everything else to be paired with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::Tensor;
use rayon::prelude::*;

use super::frechet::Distance;
use super::pictures::Made;
use super::set::EvaluationSet;
use super::text;
use crate::error::{Error, Result};
use crate::measurement::Example;
use crate::run::Network;

/// Predictions of a text of bytes whose whole distribution is kept for the divergence. With 256 f32 each that is 16.8 MB; all of
/// the bundled text would be 67 MB. The order of the contexts is random, so these are a fair sample.
pub const DIVERGENCE_PREDICTIONS: usize = 16_384;

/// The original's answers on an [`EvaluationSet`], as far as it was asked.
#[derive(Debug)]
pub struct Baseline {
    items: Vec<OnceLock<Answers>>,
    /// Items that were answered, the first ones; held while more are.
    answered: Mutex<usize>,
    texts: OnceLock<Vec<Written>>,
    /// Precision and recall of its pictures.
    shares: OnceLock<(f64, f64)>,
    /// Distances of its first so many pictures.
    distances: Mutex<BTreeMap<usize, Arc<Distance>>>,
}

/// A prompt and how the original goes on.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(super) prompt: Vec<u32>,
    pub(super) continuation: Vec<u32>,
}

/// The error of a network whose weights make it overflow.
pub(super) const NOT_FINITE: &str = "the network's outputs are not finite numbers";

/// What a network answers to one item.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    /// Log-probabilities (natural) `[predictions, classes]`; empty where only the score was kept.
    pub(super) log_probabilities: Vec<f32>,
    /// The most probable class of every prediction.
    pub(super) tops: Vec<usize>,
    /// The most probable class of the item's last prediction.
    pub(super) class: usize,
    /// Mean code length of the targets in bits per prediction.
    pub(super) bits: f64,
    /// Mean divergence of the original from it in nats per prediction, where that was taken on the way.
    pub(super) divergence: Option<f64>,
    /// What it made of a sentence, where it is an encoder.
    pub(super) embedding: Vec<f32>,
    /// What it made, where these are pictures.
    pub(super) made: Option<Box<Made>>,
    /// The same by the quarters of a context's predictions, where that was taken on the way.
    pub(super) quarters: Vec<Quarter>,
}

/// A quarter of the predictions of a context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quarter {
    /// Mean code length in bits per prediction.
    pub(super) bits: f64,
    /// Mean divergence of the original from it in nats per prediction; 0 where that was not taken.
    pub(super) divergence: f64,
}

impl Baseline {
    /// Nothing is answered yet.
    pub fn new(set: &EvaluationSet) -> Self {
        Self {
            items: vec![OnceLock::new(); set.items()],
            answered: Mutex::default(),
            texts: OnceLock::new(),
            shares: OnceLock::new(),
            distances: Mutex::default(),
        }
    }

    /// Runs the original, whose activations are not rounded, on all of the set, and lets it write.
    ///
    /// # Errors
    /// [`Error::Compute`] if the network and the set do not fit or the outputs are not finite.
    pub fn measure(network: &Network, set: &EvaluationSet) -> Result<Self> {
        let all = Self::new(set);
        all.reach(network, set, set.items(), &mut |_| Ok(()))?;
        all.write(network, set)?;
        Ok(all)
    }

    /// The answers to the first items of a set.
    pub(crate) fn of(answers: Vec<Answers>) -> Self {
        Self {
            answered: Mutex::new(answers.len()),
            items: answers.into_iter().map(OnceLock::from).collect(),
            texts: OnceLock::new(),
            shares: OnceLock::new(),
            distances: Mutex::default(),
        }
    }

    /// Runs the original, whose activations are not rounded, on the items up to `to` that it did not answer yet. `before` is
    /// told before each step how many were; its error ends it, and what was answered stays.
    ///
    /// # Errors
    /// That of `before`; [`Error::Compute`] if the network and the set do not fit or the outputs are not finite.
    pub(crate) fn reach(
        &self,
        network: &Network,
        set: &EvaluationSet,
        to: usize,
        before: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        set.check(network)?;
        let mut answered = self.lock_answered();
        while *answered < to.min(self.items.len()) {
            before(*answered)?;
            let step = set.step(*answered);
            for (mut answers, item) in answer(network, set, step.clone())?.into_iter().zip(step) {
                let kept = set.samples(item) as usize;
                if matches!(set, EvaluationSet::Text(_)) && kept >= DIVERGENCE_PREDICTIONS {
                    answers.log_probabilities = Vec::new();
                }
                if let Some(place) = self.items.get(item) {
                    // Nobody else answers while this is locked.
                    let _ = place.set(answers);
                }
                *answered = item + 1;
            }
        }
        Ok(())
    }

    /// Lets the original write, once.
    ///
    /// # Errors
    /// [`Error::Compute`] if its predictions are not finite.
    pub(crate) fn write(&self, network: &Network, set: &EvaluationSet) -> Result<()> {
        if self.texts.get().is_none() {
            let texts = written(network, set)?;
            self.texts.get_or_init(|| texts);
        }
        Ok(())
    }

    /// Whether all of the set was answered and the texts are written.
    pub(crate) fn is_complete(&self) -> bool {
        self.len() == self.items.len() && self.texts.get().is_some()
    }

    fn lock_answered(&self) -> std::sync::MutexGuard<'_, usize> {
        // The number is right whenever another thread could have ended.
        (self.answered.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    /// Items that were answered.
    pub(crate) fn len(&self) -> usize {
        *self.lock_answered()
    }

    /// Precision and recall of its pictures, found once.
    pub(super) fn shares(&self, find: impl FnOnce() -> (f64, f64)) -> (f64, f64) {
        *self.shares.get_or_init(find)
    }

    /// Distance of its first `n` pictures, found once.
    pub(super) fn distance(&self, n: usize, find: impl FnOnce() -> Distance) -> Arc<Distance> {
        let known = || (self.distances.lock()).unwrap_or_else(PoisonError::into_inner);
        let there = known().get(&n).cloned();
        // Not found under the lock: what runs in parallel could wait for it on the same thread.
        let found = there.unwrap_or_else(|| Arc::new(find()));
        Arc::clone(known().entry(n).or_insert(found))
    }

    pub(super) fn texts(&self) -> &[Written] {
        self.texts.get().map_or(&[], Vec::as_slice)
    }

    pub(super) fn answers(&self, item: usize) -> Option<&Answers> {
        self.items.get(item)?.get()
    }
}

impl Written {
    /// What two networks wrote after the same prompts, to be read.
    pub(crate) fn beside(original: &[Self], other: &[Self], set: &EvaluationSet) -> Vec<Example> {
        let readable = |tokens: &[u32]| text::readable(set, tokens);
        let pairs = original.iter().zip(other);
        pairs
            .map(|(original, other)| Example::Text {
                prompt: readable(&original.prompt),
                original: readable(&original.continuation),
                compressed: readable(&other.continuation),
            })
            .collect()
    }
}

/// What a network writes after the prompts of a set; nothing where that is not text.
///
/// # Errors
/// [`Error::Compute`] if its predictions are not finite.
pub(crate) fn written(network: &Network, set: &EvaluationSet) -> Result<Vec<Written>> {
    let write = |prompt: Vec<u32>| {
        let continuation = text::continuation(network, set, &prompt)?;
        Ok(Written {
            prompt,
            continuation,
        })
    };
    text::prompts(set).into_iter().map(write).collect()
}

/// Runs a network on some items of a set.
pub(super) fn answer(
    network: &Network,
    set: &EvaluationSet,
    items: std::ops::Range<usize>,
) -> Result<Vec<Answers>> {
    if let EvaluationSet::Pictures(pictures) = set {
        return pictures.answers(network, items);
    }
    if let EvaluationSet::Sentences(sentences) = set {
        return sentences.answers(network, items);
    }
    let (_, last) = set.scored();
    let logits = network.run_last(&set.input(items.clone())?, last)?;
    scores(&logits, set, items)
}

/// Scores what a network answered to some items of a set.
pub(super) fn scores(
    logits: &Tensor,
    set: &EvaluationSet,
    items: std::ops::Range<usize>,
) -> Result<Vec<Answers>> {
    let classes = logits.dims().last().copied().unwrap_or(0);
    let logits = logits.flatten_all()?.to_vec1::<f32>()?;
    if classes == 0 || items.is_empty() || !logits.iter().all(|value| value.is_finite()) {
        return Err(Error::Compute(NOT_FINITE.to_owned()));
    }
    let per_item = logits.len() / items.len();
    let first = items.start;
    Ok(logits
        .par_chunks(per_item)
        .enumerate()
        .map(|(i, logits)| score(logits.to_vec(), classes, set.targets(first + i)))
        .collect())
}

/// Turns the logits of an item into log-probabilities and scores them.
fn score(mut logits: Vec<f32>, classes: usize, targets: &[u32]) -> Answers {
    let mut nats = 0.0;
    let mut class = 0;
    logits.truncate(targets.len() * classes);
    let mut tops = Vec::with_capacity(targets.len());
    for (row, &target) in logits.chunks_exact_mut(classes).zip(targets) {
        log_softmax(row);
        class = largest(row);
        tops.push(class);
        // A class the network does not have has no probability at all; sets are checked against this.
        nats -= row
            .get(target as usize)
            .map_or(f64::NEG_INFINITY, |&p| f64::from(p));
    }
    Answers {
        log_probabilities: logits,
        tops,
        class,
        bits: nats / std::f64::consts::LN_2 / targets.len() as f64,
        ..Answers::default()
    }
}

/// Logits to natural log-probabilities, in place.
fn log_softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from((x - largest).exp())).sum();
    let log_sum = largest + sum.ln() as f32;
    for value in row {
        *value -= log_sum;
    }
}

/// Index of the largest value; the first of equals.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = i;
        }
    }
    best
}

/// Mean Kullback-Leibler divergence D(original ‖ other) of the predictions of one item, in nats per prediction; none
/// where a distribution was not kept.
pub(super) fn divergence(original: &Answers, other: &Answers, predictions: usize) -> Option<f64> {
    if other.divergence.is_some() {
        return other.divergence;
    }
    if let (Some(original), Some(other)) = (&original.made, &other.made) {
        return original.made_again().then(|| original.divergence(other));
    }
    let (p, q) = (&original.log_probabilities, &other.log_probabilities);
    if p.is_empty() || p.len() != q.len() {
        return None;
    }
    let sum: f64 = p
        .iter()
        .zip(q)
        .map(|(&p, &q)| f64::from(p.exp() * (p - q)))
        .sum();
    Some(sum / predictions as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Single precision.
    const TOLERANCE: f64 = 1e-6;

    #[test]
    fn a_score_is_the_code_length_of_the_targets() {
        // Probabilities 1/4, 1/4, 1/2 twice; targets cost 2 and 1 bits.
        let logits = vec![1.0, 1.0, 1.0 + 2f32.ln(), 0.0, 0.0, 2f32.ln()];
        let answers = score(logits, 3, &[0, 2]);
        assert!((answers.bits - 1.5).abs() < TOLERANCE);
        assert_eq!(answers.class, 2);
    }

    #[test]
    fn divergence_is_that_of_the_textbook() {
        let item = |p: [f32; 2]| Answers {
            log_probabilities: p.map(f32::ln).to_vec(),
            ..Answers::default()
        };
        let (p, q) = (item([0.36, 0.64]), item([0.5, 0.5]));
        let expected = 0.36 * (0.36f64 / 0.5).ln() + 0.64 * (0.64f64 / 0.5).ln();
        let found = divergence(&p, &q, 1).unwrap();
        assert!((found - expected).abs() < TOLERANCE, "{found} {expected}");
        assert_eq!(divergence(&p, &p, 1), Some(0.0));
        // Of several predictions it is the mean; where there are none of one network, there is none.
        let of_two = |first: &Answers, second: &Answers| Answers {
            log_probabilities: [&first.log_probabilities[..], &second.log_probabilities].concat(),
            ..Answers::default()
        };
        let found = divergence(&of_two(&p, &p), &of_two(&p, &q), 2).unwrap();
        assert!((found - expected / 2.0).abs() < TOLERANCE, "{found}");
        assert_eq!(divergence(&of_two(&p, &p), &p, 2), None);
    }

    #[test]
    fn a_tie_goes_to_the_first() {
        assert_eq!(largest(&[0.0, 2.0, 2.0, 1.0]), 1);
    }
}
