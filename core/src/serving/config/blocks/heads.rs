//! Heads of attention, layer by layer.

use super::super::super::architecture::{Heads, KeysValues};
use super::super::keys::{Keys, most};
use super::super::transformer::{HEAD_DIM, HEADS, HIDDEN, KV_HEADS};
use crate::error::Result;

/// Heads layer by layer.
pub(super) struct HeadLists {
    pub(super) full: Vec<Heads>,
    pub(super) windowed: Vec<Heads>,
}

impl Keys<'_> {
    /// Heads of every layer, were it to look back over everything and were it to have a window.
    pub(super) fn heads(&self, hidden: u32, layers: u32) -> Result<HeadLists> {
        let heads = match self.per_layer(&HEADS, layers, most::PARTS)? {
            Some(heads) => heads,
            None => vec![self.number(&HEADS, most::PARTS)?; layers as usize],
        };
        let multi_query = self.flag("multi_query")?.unwrap_or(false)
            && self.flag("new_decoder_architecture")? != Some(true);
        let groups = match self.flag("multi_query_attention")? {
            Some(true) => self.positive(&["multi_query_group_num"], most::PARTS)?,
            _ => None,
        };
        let kv_heads = match groups {
            _ if multi_query => vec![1; layers as usize],
            Some(groups) => vec![groups; layers as usize],
            None => self
                .per_layer(&KV_HEADS, layers, most::PARTS)?
                .unwrap_or_else(|| heads.clone()),
        };
        let latent = self.value("kv_lora_rank").is_some();
        let stated = self.positive(&HEAD_DIM, most::HEAD)?;
        if stated.is_none() && !latent {
            for heads in &heads {
                self.divisible((&HIDDEN, hidden), (&HEADS, *heads))?;
            }
        }
        for (heads, kv_heads) in heads.iter().zip(&kv_heads) {
            self.divisible((&HEADS, *heads), (&KV_HEADS, *kv_heads))?;
        }
        let gated = self.flag("attn_output_gate")?.unwrap_or(false);
        let value = self
            .positive(&["v_head_dim"], most::HEAD)?
            .filter(|_| !latent);
        let one = self.flag("attention_k_eq_v")?.unwrap_or(false);
        let plain = |i: usize| {
            let width = stated.unwrap_or(hidden / heads[i].max(1));
            Heads {
                heads: heads[i],
                kv_heads: kv_heads[i],
                width,
                value_width: value.unwrap_or(width),
                window: None,
                gated,
                keys: KeysValues::Own,
            }
        };
        // Layers that look back over everything, or those with a window, may have heads of their own.
        let global = (
            self.positive(&["global_head_dim"], most::HEAD)?,
            self.positive(&["num_global_key_value_heads"], most::PARTS)?,
        );
        let local = (
            self.positive(&["swa_head_dim"], most::HEAD)?,
            self.positive(&["swa_num_key_value_heads"], most::PARTS)?,
            self.positive(&["swa_num_attention_heads"], most::PARTS)?,
            self.positive(&["swa_v_head_dim"], most::HEAD)?,
        );
        // Step 3.5 states them in a part of their own.
        let step = self.text("model_type")?.starts_with("step3");
        let setting = if step {
            self.inner("attention_other_setting")?
        } else {
            None
        };
        let other = match setting {
            Some(other) => (
                other.positive(&["num_attention_heads"], most::PARTS)?,
                other.positive(&KV_HEADS, most::PARTS)?,
            ),
            None if !step => (None, None),
            None => (
                self.positive(&["num_sliding_attention_heads"], most::PARTS)?,
                None,
            ),
        };
        let local = (local.0, local.1.or(other.1), local.2.or(other.0), local.3);
        let all = 0..layers as usize;
        Ok(HeadLists {
            full: all
                .clone()
                .map(|i| {
                    let mut own = plain(i);
                    if let Some(width) = global.0 {
                        (own.width, own.value_width) = (width, width);
                    }
                    own.kv_heads = global.1.unwrap_or(own.kv_heads);
                    if one {
                        own.keys = KeysValues::OneProjection;
                    }
                    own
                })
                .collect(),
            windowed: all
                .map(|i| {
                    let mut own = plain(i);
                    if let Some(width) = local.0 {
                        (own.width, own.value_width) = (width, width);
                    }
                    own.value_width = local.3.unwrap_or(own.value_width);
                    own.kv_heads = local.1.unwrap_or(own.kv_heads);
                    own.heads = local.2.unwrap_or(own.heads);
                    own
                })
                .collect(),
        })
    }
}
