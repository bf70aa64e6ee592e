//! Attention of some tokens over those that were read, head by head, a few rows at a time.

use std::ops::Range;

use super::matrix::{Matrix, Product, Rows};
use super::rows;
use crate::graph::Alibi;

/// Tokens whose attention is computed together; what lies after the last of them is skipped.
const ATTENTION_ROWS: usize = 32;

/// What attention works in.
#[derive(Debug, Default)]
pub(super) struct Attention {
    scores: Vec<f32>,
    keys: Matrix,
    values: Matrix,
}

/// How heads attend.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub(super) heads: usize,
    /// Heads of keys and values, each for as many heads of queries.
    pub(super) kv_heads: usize,
    /// Width of a head.
    pub(super) width: usize,
    pub(super) scale: f32,
    pub(super) cap: Option<f32>,
    pub(super) alibi: Option<Alibi>,
    pub(super) causal: bool,
    pub(super) window: Option<usize>,
}

/// Rows of numbers at equal distances.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strip<'a> {
    pub(super) values: &'a [f32],
    /// Numbers from one row to the next.
    pub(super) step: usize,
    /// Where a row's numbers begin.
    pub(super) first: usize,
}

impl Attention {
    /// Queries of some tokens, by their places in the text, over keys and values of all that were read →
    /// `[tokens, heads · width]`.
    pub(super) fn run(
        &mut self,
        heads: &Heads,
        (queries, keys, values): (Strip<'_>, Strip<'_>, Strip<'_>),
        tokens: Range<usize>,
        mixed: &mut [f32],
    ) {
        let each = heads.width;
        let (from, len) = (tokens.start, tokens.end);
        if self.scores.len() < ATTENTION_ROWS * len {
            self.scores.resize(ATTENTION_ROWS * len, 0.0);
        }
        let scores = &mut self.scores;
        let group = heads.heads / heads.kv_heads.max(1);
        for head in 0..heads.heads {
            if head % group == 0 {
                let at = head / group * each;
                let (k, v) = (
                    &keys.values[keys.first + at..],
                    &values.values[values.first + at..],
                );
                self.keys.fill(len, each, k, keys.step, 1);
                self.values.fill(each, len, v, 1, values.step);
            }
            for first in (from..len).step_by(ATTENTION_ROWS) {
                let count = len.min(first + ATTENTION_ROWS) - first;
                // The last token of the tile sees the most.
                let seen = if heads.causal { first + count } else { len };
                let mut product = Product::new(queries.values, count, &self.keys, scores);
                let start = queries.first + (first - from) * queries.step + head * each;
                product.rows = Rows::every(queries.step).from(start);
                product.outputs = seen;
                product.run();
                for (i, row) in scores.chunks_exact_mut(len).take(count).enumerate() {
                    heads.weigh(&mut row[..seen], first + i, head);
                }
                let mut product = Product::new(scores, count, &self.values, mixed);
                product.inputs = seen;
                let width = heads.heads * each;
                product.out_rows = Rows::every(width).from((first - from) * width + head * each);
                product.run();
            }
        }
    }
}

impl Heads {
    /// The scores of a token by a head to the weights of what it sees.
    fn weigh(&self, row: &mut [f32], token: usize, head: usize) {
        let seen = if self.causal { token + 1 } else { row.len() };
        let first = self
            .window
            .map_or(0, |window| (token + 1).saturating_sub(window));
        if self.cap.is_none() && self.alibi.is_none() {
            rows::softmax(row, first, seen, self.scale);
            return;
        }
        let scores = &mut row[first..seen];
        scores.iter_mut().for_each(|score| *score *= self.scale);
        if let Some(cap) = self.cap {
            rows::cap(scores, cap);
        }
        if let Some(alibi) = self.alibi {
            let slope = alibi.slope(head, self.heads);
            for (place, score) in scores.iter_mut().enumerate() {
                *score += alibi.added(slope, first + place, self.scale);
            }
        }
        rows::softmax(row, first, seen, 1.0);
    }
}
