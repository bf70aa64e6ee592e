//! What follows attention in each layer: dense feed-forward layers, experts, or both.

use serde_json::Value;

use super::super::architecture::{Experts, Feed};
use super::keys::{Keys, most};
use super::transformer::INNER;
use super::types::ModelType;
use crate::error::Result;

/// Names of the number of experts in a layer.
const EXPERTS: [&str; 6] = [
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "moe_num_experts",
    "num_moe_experts",
    "moe_n_experts",
];
/// Names of the number of experts that a token is sent to.
const ACTIVE: [&str; 8] = [
    "num_experts_per_tok",
    "experts_per_token",
    "num_experts_per_token",
    "moe_topk",
    "moe_k",
    "top_k_experts",
    "num_selected_experts",
    "moe_top_k",
];
/// Names of the number of layers before the first with experts.
const DENSE: [&str; 3] = [
    "first_k_dense_replace",
    "num_dense_layers",
    "n_dense_layers",
];
/// Names of the number of experts that every token visits.
const SHARED: [&str; 5] = [
    "n_shared_experts",
    "num_shared_experts",
    "moe_num_shared_experts",
    "num_shared_expert",
    "share_expert_num",
];
/// Names of the inner width of those together.
const SHARED_WIDTH: [&str; 4] = [
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
    "share_expert_dim",
];

/// What a layer is that is one thing only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    /// It mixes positions.
    Mixer,
    Dense,
    Experts,
}

impl Keys<'_> {
    /// What follows attention in every layer. `alone` says of networks whose layers are one thing only which have a dense
    /// part, and which experts.
    pub(super) fn feeds(
        &self,
        kind: &ModelType,
        hidden: u32,
        layers: u32,
        alone: Option<&[Alone]>,
    ) -> Result<Vec<Feed>> {
        let inner = self.inner_widths(kind, hidden, layers)?;
        let count = self.maybe(&EXPERTS, most::PARTS)?.unwrap_or(0);
        let experts = if count > 1 {
            Some(self.experts(count, &inner, layers)?)
        } else {
            None
        };
        let alone_shared = match experts {
            // What every token visits, where there are no experts beside it, is the dense layer.
            None => self.positive(&SHARED_WIDTH, most::WIDTH)?,
            Some(_) => None,
        };
        let inner = match alone_shared {
            Some(shared) => vec![shared; layers as usize],
            None => inner,
        };
        let dense = match self.positive(
            &["intermediate_size_mlp", "dense_intermediate_size"],
            most::WIDTH,
        )? {
            Some(dense) if experts.is_some() => vec![dense; layers as usize],
            _ => inner,
        };
        let beside = self.flag("enable_moe_block")?.unwrap_or(false)
            || self.flag("parallel_attn_mlp_res")?.unwrap_or(false);
        // Gemma 4's layers with keys and values of an earlier one are twice as wide.
        let wide = if self.flag("use_double_wide_mlp")?.unwrap_or(false) {
            self.maybe(&["num_kv_shared_layers"], most::LAYERS)?
                .unwrap_or(0)
        } else {
            0
        };
        (0..layers)
            .map(|i| {
                let place = i as usize;
                let width = dense.get(place).copied().unwrap_or(0);
                let width = if i.saturating_add(wide) >= layers {
                    width.saturating_mul(2)
                } else {
                    width
                };
                if let Some(alone) = alone {
                    return Ok(match alone.get(place) {
                        Some(Alone::Dense) => Feed {
                            dense: width,
                            experts: None,
                        },
                        Some(Alone::Experts) => Feed { dense: 0, experts },
                        _ => Feed::default(),
                    });
                }
                let own = match experts {
                    Some(_) if self.has_experts(i, layers)? => experts,
                    _ => None,
                };
                Ok(Feed {
                    dense: if own.is_some() && !beside { 0 } else { width },
                    experts: own,
                })
            })
            .collect()
    }

    /// Inner width of each layer's dense part; 0 where there is none.
    fn inner_widths(&self, kind: &ModelType, hidden: u32, layers: u32) -> Result<Vec<u32>> {
        let same = |width: u32| Ok(vec![width; layers as usize]);
        // Layers of states with their projections and nothing after them.
        if matches!(
            self.text("model_type")?,
            "mamba" | "mamba2" | "falcon_mamba"
        ) {
            return same(0);
        }
        if let Some(list) = self.per_layer(&INNER, layers, most::WIDTH)? {
            // The first Qwen states both halves of a gated layer.
            let halved = self.text("model_type")? == "qwen";
            // LFM2 rounds two thirds of it up.
            if self.flag("block_auto_adjust_ff_dim")? == Some(true) {
                return self.adjusted(&list);
            }
            return Ok(list
                .into_iter()
                .map(|width| if halved { width / 2 } else { width })
                .collect());
        }
        let factor = self.positive(&["expansion_ratio", "ffn_expansion"], 64)?;
        match (self.text("model_type")?, factor) {
            (_, Some(factor)) => same(factor.saturating_mul(hidden)),
            _ if self.value("moe_intermediate_size").is_some()
                && self.value(DENSE[0]).is_none() =>
            {
                same(0)
            }
            _ if !kind.gated => same(hidden.saturating_mul(4)),
            _ => same(self.number(&["intermediate_size"], most::WIDTH)?),
        }
    }

    fn adjusted(&self, list: &[u32]) -> Result<Vec<u32>> {
        let multiple = self
            .positive(&["block_multiple_of"], most::WIDTH)?
            .unwrap_or(256);
        let factor = self.real("block_ffn_dim_multiplier")?.unwrap_or(1.0);
        list.iter()
            .map(|width| {
                let thirds = f64::from(2 * (width / 3) + 2 * (width % 3) / 3) * factor;
                if !(1.0..=f64::from(most::WIDTH)).contains(&thirds) {
                    return self
                        .refuse("'block_ffn_dim_multiplier' makes layers that no network has");
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked"
                )]
                let whole = thirds as u32;
                Ok(whole.div_ceil(multiple) * multiple)
            })
            .collect()
    }

    fn experts(&self, count: u32, inner: &[u32], layers: u32) -> Result<Experts> {
        let first = inner.iter().copied().find(|width| *width > 0).unwrap_or(0);
        let stated = [
            "moe_intermediate_size",
            "expert_intermediate_size",
            "moe_ffn_hidden_size",
            "expert_ffn_hidden_size",
        ];
        let ffn = self
            .uniform_number(&stated, layers)?
            .filter(|width| *width > 0)
            .unwrap_or(first);
        if ffn == 0 {
            return self.refuse(
                "has experts, and neither 'moe_intermediate_size' nor 'intermediate_size'",
            );
        }
        let active = match self.uniform_number(&ACTIVE, layers)? {
            Some(active) if active > 0 => active,
            _ => self.number(&ACTIVE, most::PARTS)?,
        };
        self.at_most((&ACTIVE, active), (&EXPERTS, count))?;
        let llama4 = self.text("model_type")?.starts_with("llama4");
        let mixed = self.flag("use_mixed_mlp_moe")?.unwrap_or(false);
        let shared = match self.maybe(&SHARED_WIDTH, most::WIDTH)? {
            _ if llama4 => ffn,
            Some(width) => width,
            // Of Hunyuan, as wide as the dense layers.
            None if mixed => {
                first.saturating_mul(self.uniform_number(&SHARED, layers)?.unwrap_or(1))
            }
            None => {
                ffn * self
                    .uniform_number(&SHARED, layers)?
                    .unwrap_or(0)
                    .min(most::SHARED)
            }
        };
        Ok(Experts {
            count,
            active,
            ffn,
            shared_ffn: shared,
            dense_layers: 0,
            width: self
                .maybe(
                    &["moe_latent_size", "routed_expert_hidden_size"],
                    most::WIDTH,
                )?
                .unwrap_or(0),
        })
    }

    /// A number that may stand there as a list, if all layers have the same.
    fn uniform_number(&self, names: &[&'static str], layers: u32) -> Result<Option<u32>> {
        let Some(list) = self.per_layer(names, layers, most::PARTS.max(most::WIDTH))? else {
            return Ok(None);
        };
        match list.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(Some(*first)),
            _ => self.refuse(format!("'{}' differs between layers", names[0])),
        }
    }

    /// Whether a layer, counted from 0, has experts.
    fn has_experts(&self, i: u32, layers: u32) -> Result<bool> {
        if let Some(kinds) = self.texts("mlp_layer_types")? {
            return Ok(kinds.get(i as usize).is_some_and(|kind| *kind == "sparse"));
        }
        if let Some(list) = self.list("mlp_only_layers")?
            && list.iter().any(|item| item.as_u64() == Some(u64::from(i)))
        {
            return Ok(false);
        }
        if let Some(every) = self.positive(
            &["decoder_sparse_step", "interleave_moe_layer_step"],
            most::LAYERS,
        )? {
            return Ok((i + 1).is_multiple_of(every));
        }
        if let Some(period) = self.positive(&["expert_layer_period"], most::LAYERS)? {
            let offset = self
                .maybe(&["expert_layer_offset"], most::LAYERS)?
                .unwrap_or(0);
            return Ok(i % period == offset);
        }
        if let Some(list) = self.value("moe_layers_enum").and_then(Value::as_str) {
            return Ok(list.split(',').any(|item| item.trim() == i.to_string()));
        }
        if let Some(first) = self.maybe(&["moe_layer_start_index"], most::LAYERS)? {
            // −1 is the last one.
            let last = match self.value("moe_layer_end_index").and_then(Value::as_i64) {
                Some(-1) => layers,
                _ => self
                    .maybe(&["moe_layer_end_index"], most::LAYERS)?
                    .unwrap_or(layers),
            };
            let every = self
                .positive(&["moe_layer_interval"], most::LAYERS)?
                .unwrap_or(1);
            return Ok((first..=last).contains(&i) && (i + 1).is_multiple_of(every));
        }
        let dense = self.maybe(&DENSE, most::LAYERS)?.unwrap_or(0);
        self.at_most((&DENSE, dense), (&["num_hidden_layers"], layers))?;
        if i < dense {
            return Ok(false);
        }
        match self.value("moe_layer_freq") {
            Some(Value::Array(list)) => Ok(list.get(i as usize).and_then(Value::as_u64) == Some(1)),
            Some(_) => {
                let every = self
                    .positive(&["moe_layer_freq"], most::LAYERS)?
                    .unwrap_or(1);
                Ok(i.is_multiple_of(every))
            }
            None => Ok(true),
        }
    }
}
