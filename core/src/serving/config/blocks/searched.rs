//! Blocks that a search has chosen one by one (`block_configs`).

use serde_json::Value;

use super::super::super::architecture::{Blocks, Feed, Heads, KeysValues, Mixer};
use super::super::keys::{Keys, most};
use super::super::transformer::{HEAD_DIM, HEADS, HIDDEN, INNER, KV_HEADS};
use super::BlockList;
use crate::error::Result;

impl Keys<'_> {
    /// Blocks that a search has chosen one by one (`block_configs`).
    pub(super) fn searched(&self, list: &[Value], hidden: u32, layers: u32) -> Result<BlockList> {
        let heads = self.number(&HEADS, most::PARTS)?;
        let head_dim = match self.positive(&HEAD_DIM, most::HEAD)? {
            Some(width) => width,
            None => {
                self.divisible((&HIDDEN, hidden), (&HEADS, heads))?;
                hidden / heads
            }
        };
        let mut all: Vec<Blocks> = Vec::new();
        let mut most_keys = 1;
        for config in list {
            let block = Keys::new(config, self.path);
            let mut mixers = Vec::new();
            let mut others = Vec::new();
            if let Some(attention) = block.inner("attention")? {
                if attention.flag("replace_with_linear")? == Some(true) {
                    others.push((hidden, hidden));
                } else if attention.flag("no_op")? != Some(true) {
                    let group = attention.positive(&["n_heads_in_group"], most::PARTS)?;
                    let stated = attention.positive(&KV_HEADS, most::PARTS)?;
                    let kv_heads = match (stated, group) {
                        (Some(own), _) => own,
                        (None, Some(group)) if heads.is_multiple_of(group) => heads / group,
                        _ => {
                            return self.refuse(
                                "'block_configs' has attention of which 'n_heads_in_group' does not say how many heads it has",
                            );
                        }
                    };
                    most_keys = most_keys.max(kv_heads);
                    mixers.push(Mixer::Attention(Heads {
                        heads,
                        kv_heads,
                        width: head_dim,
                        value_width: head_dim,
                        window: attention
                            .positive(&["window_length", "sliding_window"], most::TOKENS)?,
                        gated: false,
                        keys: KeysValues::Own,
                    }));
                }
            }
            let mut feed = Feed::default();
            if let Some(own) = block.inner("ffn")? {
                if own.flag("replace_with_linear")? == Some(true) {
                    others.push((hidden, hidden));
                } else if own.flag("no_op")? != Some(true) {
                    feed.dense = match (own.positive(&INNER, most::WIDTH)?, own.real("ffn_mult")?) {
                        (Some(inner), _) => inner,
                        (None, Some(factor)) => self.multiple(factor, hidden)?,
                        _ => {
                            return self.refuse(
                                "'block_configs' has a feed-forward layer without 'ffn_mult' or 'intermediate_size'",
                            );
                        }
                    };
                }
            }
            let block = Blocks {
                layers: 1,
                mixers,
                feed,
                others,
            };
            let same = |other: &&mut Blocks| {
                (&other.mixers, other.feed, &other.others)
                    == (&block.mixers, block.feed, &block.others)
            };
            match all.iter_mut().find(same) {
                Some(other) => other.layers += 1,
                None => all.push(block),
            }
        }
        if all.is_empty() || layers == 0 {
            return self.refuse("'block_configs' lists no blocks");
        }
        Ok(BlockList {
            all,
            heads,
            kv_heads: most_keys,
            head_dim,
            latent: None,
        })
    }

    /// The inner width of a gated layer whose matrices are `factor` times as large as the square of the width, as published
    /// code rounds it: up to a multiple of 256.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked first"
    )]
    fn multiple(&self, factor: f64, hidden: u32) -> Result<u32> {
        const ROUNDED: u32 = 256;
        let inner = 2.0 * factor * f64::from(hidden) / 3.0;
        if !(1.0..=f64::from(most::WIDTH)).contains(&inner) {
            return self.refuse(format!("'ffn_mult' is {factor}, which no layer can have"));
        }
        Ok((inner as u32).div_ceil(ROUNDED) * ROUNDED)
    }
}
