//! Language models as serving stacks know them.

use super::DecoderConfig;
use super::form::{Feed, NormRule};
use crate::serving::architecture::{Biases, Experts, Transformer, Window};

impl DecoderConfig {
    /// The same matrices, keys and values; norms are told apart by the graph alone. `None` where blocks differ in another way
    /// than is known there.
    pub(super) fn as_served(&self) -> Option<Transformer> {
        let whole = |value: usize| u32::try_from(value).ok();
        let form = &self.form;
        let experts = match form.mixture {
            None => None,
            Some(mixture) => Some(Experts {
                count: whole(mixture.count)?,
                active: whole(mixture.active)?,
                ffn: whole(mixture.width)?,
                shared_ffn: whole(mixture.shared)?,
                dense_layers: 0,
                width: 0,
            }),
        };
        // Either all other matrices of the blocks have biases or none, and the head has none.
        if form.output_bias != form.feed_biases || form.head_bias {
            return None;
        }
        let all = (0..self.blocks).filter(|i| !self.is_local(*i)).count();
        let full_every = match all {
            0 => 0,
            all => self.blocks / all,
        };
        if all > 0 && self.blocks / full_every != all {
            return None;
        }
        let window = match self.window {
            Some(tokens) => Some(Window {
                tokens: whole(tokens)?,
                full_every: whole(full_every)?,
            }),
            None => None,
        };
        Some(Transformer {
            hidden: whole(self.width)?,
            layers: whole(self.blocks)?,
            heads: whole(self.heads)?,
            kv_heads: whole(self.kv_heads)?,
            head_dim: whole(self.head_width)?,
            ffn: match experts {
                None => whole(self.hidden)?,
                Some(_) => 0,
            },
            gated: form.feed != Feed::Plain,
            vocabulary: whole(self.vocabulary)?,
            tied: self.tied,
            window,
            experts,
            latent: None,
            attention_weights: None,
            encoder: false,
            positions: match form.learnt_positions {
                true => whole(self.context)?,
                false => 0,
            },
            biases: Biases {
                norms: form.norm == NormRule::Layer,
                queries_keys_values: self.biases,
                others: form.output_bias,
            },
            blocks: Vec::new(),
            tables: Vec::new(),
            beside: Default::default(),
        })
    }
}
