//! Layers with a state that does not grow with the context: their matrices and the numbers that they keep.

use super::super::architecture::StateMixer;
use super::keys::{Keys, most};
use super::transformer::{HEAD_DIM, HEADS};
use crate::error::Result;

impl Keys<'_> {
    /// The layer that the keys of a configuration describe.
    pub(super) fn state_mixer(&self, hidden: u32) -> Result<StateMixer> {
        if self.value("linear_num_value_heads").is_some() {
            return self.gated_delta(hidden);
        }
        if let Some(own) = self.inner("linear_attn_config")? {
            return own.kimi_delta(hidden);
        }
        if self.value("conv_L_cache").is_some() {
            let kernel = self.number(&["conv_L_cache"], most::PARTS)?;
            return Ok(StateMixer {
                projections: vec![(3 * hidden, hidden), (hidden, hidden)],
                others: hidden.saturating_mul(kernel),
                numbers: hidden.saturating_mul(kernel),
            });
        }
        let type_name = self.text("model_type")?;
        if type_name.starts_with("minimax") {
            return self.lightning(hidden);
        }
        if type_name == "mamba" || type_name == "falcon_mamba" || type_name == "jamba" {
            return self.mamba(hidden);
        }
        self.mamba2(hidden)
    }

    /// Gated delta rule (Yang et al. 2024), as in Qwen3-Next: queries, keys, values and a gate in one projection, two numbers
    /// a head in another.
    fn gated_delta(&self, hidden: u32) -> Result<StateMixer> {
        let value_heads = self.number(&["linear_num_value_heads"], most::PARTS)?;
        let key_heads = self.number(&["linear_num_key_heads"], most::PARTS)?;
        let key = self.number(&["linear_key_head_dim"], most::HEAD)?;
        let value = self.number(&["linear_value_head_dim"], most::HEAD)?;
        let kernel = self
            .positive(&["linear_conv_kernel_dim"], most::PARTS)?
            .unwrap_or(4);
        let (keys, values) = (
            key_heads.saturating_mul(key),
            value_heads.saturating_mul(value),
        );
        let mixed = keys.saturating_mul(2).saturating_add(values);
        Ok(StateMixer {
            projections: vec![
                (mixed.saturating_add(values), hidden),
                (2 * value_heads, hidden),
                (hidden, values),
            ],
            others: mixed.saturating_mul(kernel),
            numbers: value_heads
                .saturating_mul(key)
                .saturating_mul(value)
                .saturating_add(mixed.saturating_mul(kernel.saturating_sub(1))),
        })
    }

    /// Kimi Delta Attention: the same with a gate for every number of a key, both gates of low rank.
    fn kimi_delta(&self, hidden: u32) -> Result<StateMixer> {
        let heads = self.number(&["num_heads"], most::PARTS)?;
        let width = self.number(&["head_dim"], most::HEAD)?;
        let kernel = self
            .positive(&["short_conv_kernel_size"], most::PARTS)?
            .unwrap_or(4);
        let all = heads.saturating_mul(width);
        let mut projections = vec![(all, hidden); 3];
        projections.extend([(width, hidden), (all, width)]);
        if self.flag("use_full_rank_gate")?.unwrap_or(false) {
            projections.push((all, hidden));
        } else {
            projections.extend([(width, hidden), (all, width)]);
        }
        projections.extend([(heads, hidden), (hidden, all)]);
        Ok(StateMixer {
            projections,
            others: all.saturating_mul(3 * kernel),
            numbers: all
                .saturating_mul(width)
                .saturating_add(all.saturating_mul(3 * kernel.saturating_sub(1))),
        })
    }

    /// Lightning attention (`MiniMax`-01): queries, keys and values, and a gate on the result.
    fn lightning(&self, hidden: u32) -> Result<StateMixer> {
        let heads = self.number(&HEADS, most::PARTS)?;
        let width = match self.positive(&HEAD_DIM, most::HEAD)? {
            Some(width) => width,
            None => hidden / heads,
        };
        let all = heads.saturating_mul(width);
        Ok(StateMixer {
            projections: vec![
                (all.saturating_mul(3), hidden),
                (all, hidden),
                (hidden, all),
            ],
            others: all,
            numbers: all.saturating_mul(width),
        })
    }

    /// Selective state space (Gu and Dao 2023).
    fn mamba(&self, hidden: u32) -> Result<StateMixer> {
        let state = self.number(&["state_size", "mamba_d_state"], most::HEAD)?;
        let kernel = self
            .positive(&["conv_kernel", "mamba_d_conv"], most::PARTS)?
            .unwrap_or(4);
        let factor = self
            .positive(&["mamba_expand", "expand"], most::SHARED)?
            .unwrap_or(2);
        let stated = match self.text("model_type")? {
            // Of Jamba, the width of the dense layers.
            "jamba" => None,
            _ => self.positive(&["intermediate_size", "d_inner"], most::WIDTH)?,
        };
        let inner = stated.unwrap_or(hidden.saturating_mul(factor));
        let rank = match self.value("mamba_dt_rank").or(self.value("time_step_rank")) {
            Some(value) if value.is_number() => {
                self.number(&["mamba_dt_rank", "time_step_rank"], most::WIDTH)?
            }
            _ => hidden.div_ceil(16),
        };
        Ok(StateMixer {
            projections: vec![
                (inner.saturating_mul(2), hidden),
                (rank.saturating_add(2 * state), inner),
                (inner, rank),
                (hidden, inner),
            ],
            others: inner.saturating_mul(kernel + state + 2),
            numbers: inner.saturating_mul((state + kernel).saturating_sub(1)),
        })
    }

    /// State space duality (Dao and Gu 2024).
    fn mamba2(&self, hidden: u32) -> Result<StateMixer> {
        let state = self.number(
            &["ssm_state_size", "mamba_d_state", "state_size"],
            most::HEAD,
        )?;
        let groups = self
            .positive(
                &["n_groups", "mamba_n_groups", "mamba_ngroups"],
                most::PARTS,
            )?
            .unwrap_or(1);
        let kernel = self
            .positive(&["conv_kernel", "mamba_d_conv"], most::PARTS)?
            .unwrap_or(4);
        let factor = self
            .positive(&["mamba_expand", "expand"], most::SHARED)?
            .unwrap_or(2);
        let own = ["mamba_num_heads", "mamba_n_heads", "n_mamba_heads"];
        let heads = match self.text("model_type")? {
            "mamba2" => self.positive(&["num_heads"], most::PARTS)?,
            _ => self.positive(&own, most::PARTS)?,
        };
        let width = match self.text("model_type")? {
            "mamba2" => self.positive(&["head_dim"], most::HEAD)?,
            _ => self.positive(
                &["mamba_head_dim", "mamba_d_head", "mamba_headdim"],
                most::HEAD,
            )?,
        };
        let stated = self.positive(&["mamba_d_ssm", "mamba_intermediate_size"], most::WIDTH)?;
        let expanded = hidden.saturating_mul(factor);
        let inner = match (stated, heads, width) {
            (Some(inner), ..) => inner,
            (None, Some(heads), Some(width)) => heads.saturating_mul(width),
            _ => expanded,
        };
        let heads = match (heads, width) {
            (Some(heads), _) => heads,
            (None, Some(width)) => inner / width.max(1),
            (None, None) => return self.refuse("has layers with a state, of which 'mamba_num_heads' does not say how many heads they have"),
        };
        let mixed = inner.saturating_add(groups.saturating_mul(state).saturating_mul(2));
        Ok(StateMixer {
            projections: vec![
                (inner.saturating_add(mixed).saturating_add(heads), hidden),
                (hidden, inner),
            ],
            others: mixed
                .saturating_mul(kernel + 1)
                .saturating_add(3 * heads)
                .saturating_add(inner),
            numbers: inner
                .saturating_mul(state)
                .saturating_add(mixed.saturating_mul(kernel.saturating_sub(1))),
        })
    }
}
