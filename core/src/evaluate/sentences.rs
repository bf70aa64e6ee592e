//! Encoders of sentences: how far a compressed one moves what the original makes of each, and which sentences are nearest
//! to each other by both.

mod cut;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::baseline::{Answers, NOT_FINITE};
use super::parts::Before;
use super::set::{in_rounds, stretch};
use super::statistics::ClusteredMean;
use crate::error::{Error, Result};
use crate::measurement::{Example, Interval, Near};
use crate::model::Pooling;
use crate::run::{Network, Stream, Weights};
use crate::tokenizer::Tokenizer;

/// Nearest sentences that are compared, as Wendlandt et al. 2018 (<https://arxiv.org/abs/1804.09692>) do for words.
const NEAREST: usize = 10;
/// Sentences that are compared with each other at most: the work grows with their square. The order is random, so the
/// first ones are a fair sample.
const MOST_COMPARED: usize = 2048;
/// Fewest sentences that have nearest ones to compare.
pub(super) const NEEDED: usize = NEAREST + 2;
/// Sentences whose nearest ones are shown, and how many of each.
const SHOWN: usize = 3;
const SHOWN_NEAREST: usize = 5;

/// Sentences that an encoder is measured on.
#[derive(Debug, Clone)]
pub struct SentenceSet {
    /// In the order of the text.
    texts: Vec<String>,
    tokens: Vec<Vec<u32>>,
    pub(super) order: Vec<usize>,
    pooling: Pooling,
    vocabulary: usize,
}

impl SentenceSet {
    /// Sentences of a text, each of at most so many tokens; what lies beyond is cut off.
    ///
    /// # Errors
    /// [`Error::Compute`] if there are too few, or the tokenizer cannot cut one.
    pub(super) fn new(
        tokenizer: &Arc<Tokenizer>,
        text: &str,
        context: usize,
        pooling: Pooling,
    ) -> Result<Self> {
        let texts = cut::sentences(text);
        if texts.len() < NEEDED {
            return Err(Error::Compute(format!(
                "{} sentences are too few to tell which are near each other; {NEEDED} are needed",
                texts.len()
            )));
        }
        let (plain, around) = (
            tokenizer.encode("a", false, false)?.len(),
            tokenizer.encode("a", true, false)?.len(),
        );
        if around.saturating_sub(plain) >= context {
            return Err(Error::Compute(format!(
                "a context of {context} tokens has no room for a sentence"
            )));
        }
        let cut = |text: &String| {
            let mut tokens = tokenizer.encode(text, true, false)?;
            if tokens.len() > context {
                // What stands behind a text stays there.
                let end = tokens.split_off(tokens.len() - usize::from(around > plain));
                tokens.truncate(context - end.len());
                tokens.extend(end);
            }
            Ok(tokens)
        };
        let tokens = texts.iter().map(cut).collect::<Result<Vec<_>>>()?;
        if tokens.iter().any(Vec::is_empty) {
            return Err(Error::Compute(
                "the tokenizer makes nothing of a sentence".to_owned(),
            ));
        }
        Ok(Self {
            order: in_rounds(texts.len()),
            texts,
            tokens,
            pooling,
            vocabulary: tokenizer.vocabulary(),
        })
    }

    /// Tokens of some items.
    fn tokens(&self, items: Range<usize>) -> Vec<&[u32]> {
        let items = self.order[items].iter();
        items.map(|&item| self.tokens[item].as_slice()).collect()
    }

    /// All tokens, sentence by sentence, and the order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        let tokens = self.tokens.iter().flat_map(|tokens| {
            let length = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
            std::iter::once(length).chain(tokens.iter().copied())
        });
        tokens.chain(std::iter::once(self.pooling as u32))
    }

    /// Tokens of the longest.
    pub(super) fn longest(&self) -> usize {
        self.tokens.iter().map(Vec::len).max().unwrap_or(1)
    }

    /// The stretch of the text that an item is in.
    pub(super) fn stretch(&self, item: usize) -> usize {
        stretch(self.order[item], self.order.len())
    }

    /// Whether a network with so many pieces and so long a context reads these sentences.
    pub(super) fn fits(&self, vocabulary: usize, context: usize) -> bool {
        self.vocabulary <= vocabulary && self.longest() <= context
    }

    /// What a network makes of some items.
    ///
    /// # Errors
    /// [`Error::Compute`] if its outputs are not finite.
    pub(super) fn answers(&self, network: &Network, items: Range<usize>) -> Result<Vec<Answers>> {
        answered(network.sentences(&self.tokens(items), self.pooling)?)
    }

    /// The same through another way of running it: tokens `[1, t]` to rows `[1, t, width]`.
    ///
    /// # Errors
    /// As [`Self::answers`], and those of the run.
    pub(super) fn answers_through(
        &self,
        run: &mut dyn FnMut(&candle_core::Tensor) -> Result<candle_core::Tensor>,
        items: Range<usize>,
    ) -> Result<Vec<Answers>> {
        let mut all = Vec::with_capacity(items.len());
        for tokens in self.tokens(items) {
            let input = candle_core::Tensor::new(vec![tokens], &candle_core::Device::Cpu)?;
            let rows = run(&input)?;
            let width = rows.dims().last().copied().unwrap_or(1);
            let rows = rows.flatten_all()?.to_vec1::<f32>()?;
            all.push(self.pooling.of(&rows, width));
        }
        answered(all)
    }

    /// The same part by part.
    ///
    /// # Errors
    /// As [`Self::answers`]; that of `before`; a tensor is missing or cannot be read.
    pub(super) fn part_by_part(
        &self,
        stream: &Stream<'_>,
        weights: &dyn Weights,
        items: Range<usize>,
        before: &mut Before<'_>,
    ) -> Result<Vec<Answers>> {
        answered(stream.sentences(weights, &self.tokens(items), self.pooling, before)?)
    }

    /// Mean share of a sentence's nearest ones by the original that are among as many by another network.
    pub(super) fn overlap(&self, before: &[&Answers], now: &[&Answers]) -> Interval {
        let first = |all: usize| all.min(MOST_COMPARED);
        let (before, now) = (&before[..first(before.len())], &now[..first(now.len())]);
        let (before, now) = (directions(before), directions(now));
        let shares: Vec<f64> = (0..before.len().min(now.len()))
            .into_par_iter()
            .map(|item| {
                let old = nearest(&before, item, NEAREST);
                let new = nearest(&now, item, NEAREST);
                let same = old.iter().filter(|(near, _)| has(&new, *near)).count();
                same as f64 / old.len().max(1) as f64
            })
            .collect();
        let mut mean = ClusteredMean::default();
        for (item, share) in shares.into_iter().enumerate() {
            mean.push(self.stretch(item), share);
        }
        mean.interval()
    }

    /// A few sentences with the nearest ones by both networks, always the same ones.
    pub(super) fn examples(&self, before: &[&Answers], now: &[&Answers]) -> Vec<Example> {
        let (before, now) = (directions(before), directions(now));
        let all = before.len().min(now.len());
        let show = |near: &[(usize, f64)], other: &[(usize, f64)]| -> Vec<Near> {
            let near = near.iter().map(|(item, similarity)| Near {
                sentence: self.texts[self.order[*item]].clone(),
                similarity: *similarity,
                by_both: has(other, *item),
            });
            near.collect()
        };
        (0..SHOWN.min(all))
            .map(|item| {
                let old = nearest(&before[..all], item, SHOWN_NEAREST);
                let new = nearest(&now[..all], item, SHOWN_NEAREST);
                Example::Nearest {
                    sentence: self.texts[self.order[item]].clone(),
                    original: show(&old, &new),
                    compressed: show(&new, &old),
                }
            })
            .collect()
    }
}

fn has(near: &[(usize, f64)], item: usize) -> bool {
    near.iter().any(|(other, _)| *other == item)
}

/// Rows of numbers as answers.
fn answered(rows: Vec<Vec<f32>>) -> Result<Vec<Answers>> {
    let finite = |row: &Vec<f32>| row.iter().all(|value| value.is_finite());
    if !rows.iter().all(finite) {
        return Err(Error::Compute(NOT_FINITE.to_owned()));
    }
    let answer = |embedding| Answers {
        embedding,
        ..Answers::default()
    };
    Ok(rows.into_iter().map(answer).collect())
}

/// Embeddings of length 1; those of length 0 stay.
fn directions(answers: &[&Answers]) -> Vec<Vec<f32>> {
    let direction = |answers: &&Answers| {
        let length = product(&answers.embedding, &answers.embedding).sqrt();
        let by = if length > 0.0 { 1.0 / length } else { 0.0 };
        let scaled = answers.embedding.iter();
        scaled.map(|x| (f64::from(*x) * by) as f32).collect()
    };
    answers.iter().map(direction).collect()
}

/// The places of the rows that point most as one of them does, itself left out, and their cosines; of equals the first.
fn nearest(directions: &[Vec<f32>], item: usize, most: usize) -> Vec<(usize, f64)> {
    let own = &directions[item];
    let others = directions.iter().enumerate().filter(|(at, _)| *at != item);
    let mut all: Vec<(usize, f64)> = others
        .map(|(at, other)| (at, product(own, other)))
        .collect();
    all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    all.truncate(most);
    all
}

fn product(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    products.sum()
}

/// The cosine of the angle between two rows; 0 where one has no direction.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = (product(a, a) * product(b, b)).sqrt();
    match lengths > 0.0 {
        true => (product(a, b) / lengths).clamp(-1.0, 1.0),
        false => 0.0,
    }
}

impl Pooling {
    /// What becomes of the rows of a text.
    pub(crate) fn of(self, rows: &[f32], width: usize) -> Vec<f32> {
        let width = width.max(1);
        let mut rows_of = rows.chunks_exact(width);
        match self {
            Self::First => rows_of.next().unwrap_or_default().to_vec(),
            Self::Last => rows_of.next_back().unwrap_or_default().to_vec(),
            Self::Mean => {
                let n = rows_of.len().max(1) as f64;
                let mut sums = vec![0.0_f64; width];
                for row in rows_of {
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum += f64::from(*value);
                    }
                }
                sums.into_iter().map(|sum| (sum / n) as f32).collect()
            }
        }
    }
}
