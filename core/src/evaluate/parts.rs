//! Texts scored by a network that is run part by part, beside the original.

use rayon::prelude::*;

use super::baseline::{Answers, NOT_FINITE, Quarter};
use super::set::EvaluationSet;
use crate::error::{Error, Result};
use crate::run::{Head, Hidden, Prediction, Stream, Texts, Weights};

/// Told before each part which one it is, from 0, and of how many.
pub(crate) type Before<'a> = dyn FnMut(usize, usize) -> Result<()> + 'a;

/// Bytes of what the original has made of items that are kept; what comes after them is scored without its divergence.
const MOST_HIDDEN: usize = 1 << 28;

/// Parts of a context's predictions that a first result of a single context takes its interval from.
const QUARTERS: usize = 4;

/// What the original has made of the first items of a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Original {
    /// What it answers.
    pub(crate) answers: Vec<Answers>,
    /// What it has made of them before its last part.
    hidden: Hidden,
}

/// A last part, and what it is given of the items from `first` on.
struct Side<'a> {
    head: &'a Head,
    hidden: &'a Hidden,
    first: usize,
}

impl Original {
    /// Runs the original on the items up to `end` that it was not run on yet.
    ///
    /// # Errors
    /// That of `before`; the network and the set do not fit; or its outputs are not finite.
    pub(crate) fn reach(
        &mut self,
        stream: &Stream<'_>,
        weights: &dyn Weights,
        set: &EvaluationSet,
        end: usize,
        before: &mut Before<'_>,
    ) -> Result<()> {
        let first = self.answers.len();
        if first >= end {
            return Ok(());
        }
        if let EvaluationSet::Sentences(sentences) = set {
            let answers = sentences.part_by_part(stream, weights, first..end, before)?;
            self.answers.extend(answers);
            return Ok(());
        }
        let (hidden, head) = through(stream, weights, set, first..end, before)?;
        let side = Side {
            head: &head,
            hidden: &hidden,
            first,
        };
        let answers = scored(set, first..end, &side, None)?;
        // Without a gap: an item's rows are found by its number.
        let kept = self.hidden.texts() == self.answers.len()
            && self.hidden.bytes() + hidden.bytes() <= MOST_HIDDEN;
        self.answers.extend(answers);
        if kept {
            self.hidden.extend(&hidden);
        }
        Ok(())
    }

    /// What it answers itself to some items that it was run on, as if compared with itself.
    pub(crate) fn same(&self, items: std::ops::Range<usize>) -> Vec<Answers> {
        let same = |answers: &Answers| Answers {
            divergence: Some(0.0),
            ..answers.clone()
        };
        self.answers[items].iter().map(same).collect()
    }

    /// What another network answers to some items that the original was run on.
    ///
    /// # Errors
    /// As [`Self::reach`].
    pub(crate) fn compared(
        &self,
        stream: &Stream<'_>,
        (weights, originals): (&dyn Weights, &dyn Weights),
        set: &EvaluationSet,
        items: std::ops::Range<usize>,
        before: &mut Before<'_>,
    ) -> Result<Vec<Answers>> {
        if let EvaluationSet::Sentences(sentences) = set {
            return sentences.part_by_part(stream, weights, items, before);
        }
        let (hidden, head) = through(stream, weights, set, items.clone(), before)?;
        // Activations of the original are not rounded.
        let original = stream.unrounded().head(originals)?;
        let new = Side {
            head: &head,
            hidden: &hidden,
            first: items.start,
        };
        let old = Side {
            head: &original,
            hidden: &self.hidden,
            first: 0,
        };
        scored(set, items, &new, Some(&old))
    }
}

/// Items through all parts of a network but the last, and that one.
fn through(
    stream: &Stream<'_>,
    weights: &dyn Weights,
    set: &EvaluationSet,
    items: std::ops::Range<usize>,
    before: &mut Before<'_>,
) -> Result<(Hidden, Head)> {
    let input = set.input(items)?;
    let (_, length) = input.dims2()?;
    let (_, last) = set.scored();
    let tokens: Vec<u32> = input.flatten_all()?.to_vec1()?;
    let texts = Texts {
        tokens: &tokens,
        length,
        last,
    };
    let hidden = stream.hidden(weights, texts, before)?;
    before(stream.parts() - 1, stream.parts())?;
    Ok((hidden, stream.head(weights)?))
}

/// Scores items by the predictions of a network, perhaps beside those of the original.
fn scored(
    set: &EvaluationSet,
    items: std::ops::Range<usize>,
    new: &Side<'_>,
    old: Option<&Side<'_>>,
) -> Result<Vec<Answers>> {
    let desks = || (new.head.desk(), old.map(|old| old.head.desk()));
    items
        .into_par_iter()
        .map_init(desks, |(desk, beside), item| {
            let targets = set.targets(item);
            let mut score = Score::default();
            let rows = new.hidden.of_text(item - new.first);
            let old = old.filter(|old| item - old.first < old.hidden.texts());
            let (mut failed, outputs) = (None, new.head.outputs());
            new.head.logits(desk, rows, &mut |row, logits| {
                let done = match (old, beside.as_mut()) {
                    (Some(old), Some(desk)) => {
                        let width = old.hidden.width();
                        let rows = row..row + logits.len() / outputs;
                        let rows = &old.hidden.of_text(item - old.first)
                            [rows.start * width..rows.end * width];
                        let mut done = Ok(());
                        let all = old.head.logits(desk, rows, &mut |from, original| {
                            let logits = &logits[from * outputs..][..original.len()];
                            done = score.add(row + from, targets, outputs, logits, Some(original));
                        });
                        all.and(done)
                    }
                    _ => score.add(row, targets, outputs, logits, None),
                };
                failed = failed.take().or(done.err());
            })?;
            match failed {
                Some(error) => Err(error),
                None => Ok(score.answers(targets.len(), old.is_some())),
            }
        })
        .collect()
}

/// Means over the quarters of an item's predictions.
fn quarters(each: &[(f64, f64)]) -> Vec<Quarter> {
    let of = |part: &[(f64, f64)]| {
        let n = part.len().max(1) as f64;
        let sums = part
            .iter()
            .fold((0.0, 0.0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
        Quarter {
            bits: sums.0 / std::f64::consts::LN_2 / n,
            divergence: sums.1 / n,
        }
    };
    each.chunks(each.len().div_ceil(QUARTERS).max(1))
        .map(of)
        .collect()
}

/// What has been scored of an item.
#[derive(Debug, Default)]
struct Score {
    nats: f64,
    divergence: f64,
    tops: Vec<usize>,
    /// Nats and divergence of each prediction.
    each: Vec<(f64, f64)>,
}

impl Score {
    /// Adds predictions from number `first` on: rows of logits, of which those that nothing is known to follow are left
    /// out.
    fn add(
        &mut self,
        first: usize,
        targets: &[u32],
        outputs: usize,
        logits: &[f32],
        original: Option<&[f32]>,
    ) -> Result<()> {
        let finite =
            |prediction: Option<_>| prediction.ok_or_else(|| Error::Compute(NOT_FINITE.to_owned()));
        for (i, logits) in logits.chunks_exact(outputs).enumerate() {
            let Some(&target) = targets.get(first + i) else {
                break;
            };
            let prediction = finite(Prediction::new(logits))?;
            let nats = prediction.nats(target);
            self.nats += nats;
            self.tops.push(prediction.top());
            let mut divergence = 0.0;
            if let Some(original) = original {
                let original = &original[i * outputs..][..outputs];
                divergence = finite(Prediction::new(original))?.divergence(&prediction);
                self.divergence += divergence;
            }
            self.each.push((nats, divergence));
        }
        Ok(())
    }

    fn answers(self, predictions: usize, compared: bool) -> Answers {
        Answers {
            log_probabilities: Vec::new(),
            class: self.tops.last().copied().unwrap_or(0),
            tops: self.tops,
            bits: self.nats / std::f64::consts::LN_2 / predictions as f64,
            divergence: compared.then(|| (self.divergence / predictions as f64).max(0.0)),
            quarters: quarters(&self.each),
            ..Answers::default()
        }
    }
}
