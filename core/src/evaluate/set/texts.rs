//! Text that a model is measured on, in contexts.

use std::ops::Range;
use std::sync::Arc;

use super::{STRETCHES, shuffled};
use crate::tokenizer::Tokenizer;

/// Text cut into stretches, and those into contexts that do not overlap; every byte but the first is predicted once, from the bytes before it in
/// its own context. The first bytes of a context are therefore harder than in running text, for every model alike.
#[derive(Debug, Clone)]
pub struct TextSet {
    pub(super) tokens: Vec<u32>,
    pub(super) context: usize,
    /// Places of a context whose predictions are scored.
    pub(super) scored: Range<usize>,
    pub(super) order: Vec<usize>,
    /// The pieces that the tokens are, where they are not bytes.
    pub(super) pieces: Option<Pieces>,
}

/// What tokens stand for.
#[derive(Debug, Clone)]
pub(in crate::evaluate) struct Pieces {
    pub(in crate::evaluate) tokenizer: Arc<Tokenizer>,
    /// The token that every context begins with, in place of its own first.
    pub(super) begin: Option<u32>,
}

impl TextSet {
    /// Contexts of the whole text.
    pub(super) fn contexts(&self) -> usize {
        let targets = usize::from(self.pieces.is_none());
        (self.tokens.len() - targets) / self.context
    }

    /// The whole text, in tokens.
    pub(in crate::evaluate) fn all(&self) -> &[u32] {
        &self.tokens
    }

    /// Bytes that the scored tokens of the first items stand for; none where tokens are bytes.
    pub(in crate::evaluate) fn scored_bytes(&self, items: usize) -> Option<usize> {
        let tokenizer = &self.pieces.as_ref()?.tokenizer;
        let bytes = |&token: &u32| tokenizer.token_bytes(token).map_or(0, <[u8]>::len);
        let of_item = |&item: &usize| -> usize {
            let start = item * self.context + self.scored.start + 1;
            let scored = self.tokens.get(start..start + self.scored.len());
            scored.unwrap_or_default().iter().map(bytes).sum()
        };
        Some(self.order.iter().take(items).map(of_item).sum())
    }

    /// What its tokens stand for, where they are not bytes.
    pub(in crate::evaluate) fn pieces(&self) -> Option<&Pieces> {
        self.pieces.as_ref()
    }
}

/// The stretch that one of `n` contexts is in.
pub(in crate::evaluate) fn stretch(context: usize, n: usize) -> usize {
    context * STRETCHES.min(n) / n
}

/// Rounds of one context from each stretch, both in random order, so that every prefix represents the whole text.
pub(in crate::evaluate) fn in_rounds(n: usize) -> Vec<usize> {
    let mut taken = [0; STRETCHES];
    let mut order: Vec<(usize, usize)> = shuffled(n)
        .into_iter()
        .map(|context| {
            let round = &mut taken[stretch(context, n)];
            *round += 1;
            (*round, context)
        })
        .collect();
    // Stable: within a round the random order stays.
    order.sort_by_key(|(round, _)| *round);
    order.into_iter().map(|(_, context)| context).collect()
}
