//! Kinds that came before the ways of saying things were the same for all, and what their configurations say in their own.

use serde_json::Value;

use super::super::{Function, Norms};
use super::{Reader, is_plain, is_telling, not_run};
use crate::weights::{Change, Grouping};

/// The attention that is run of MPT, as its configuration says it.
const OF_MPT: [(&str, Value); 4] = [
    ("prefix_lm", Value::Bool(false)),
    ("attn_uses_sequence_id", Value::Bool(false)),
    ("alibi", Value::Bool(true)),
    ("clip_qkv", Value::Null),
];

impl Reader<'_> {
    /// The function inside a feed-forward layer: that of the kind where none is said.
    pub(super) fn function(&self) -> Result<Function, String> {
        let usual = self.kind.in_gguf()?.function;
        let key = self.kind.function;
        let Some(name) = self.value(key) else {
            return Ok(usual);
        };
        let by_name = match name.as_str() {
            Some("silu" | "swish") => Some(Function::Silu),
            // Gemma's files say `gelu` for what was always its tanh form.
            Some("gelu") if self.kind.gguf.starts_with("gemma") => Some(Function::Gelu),
            Some("gelu" | "gelu_python") => Some(Function::GeluExact),
            Some("gelu_pytorch_tanh" | "gelu_new" | "gelu_fast") => Some(Function::Gelu),
            _ => None,
        };
        // Silu stands with a gate, and the others without one, but for Gemma's.
        by_name
            .filter(|function| (*function == Function::Silu) == (usual == Function::Silu))
            .ok_or_else(|| not_run(key, name))
    }

    /// Where a block of Falcon normalises, and whether both of its parts read what came into it.
    pub(super) fn parts_of_falcon(&self) -> Result<(Norms, bool), String> {
        let (norms, parallel) = ("num_ln_in_parallel_attn", "parallel_attn");
        let newer = self.flag("new_decoder_architecture")?;
        let is_parallel = self.flag_or(parallel, true)?;
        let said = self.whole(norms)?;
        match (newer, is_parallel, said) {
            (true, true, None | Some(2)) => Ok((Norms::Twice, true)),
            (true, true, Some(1)) | (false, true, None | Some(0 | 1)) => Ok((Norms::Once, true)),
            (false, false, _) => Ok((Norms::Before, false)),
            (true, false, _) => Err(not_run(parallel, &false.into())),
            (_, _, Some(count)) => Err(not_run(norms, &count.into())),
        }
    }

    /// What MPT multiplies scores by, where its attention is what is run here.
    pub(super) fn scale_of_mpt(&self) -> Result<Option<f64>, String> {
        let (name, ratio) = ("attn_config", "expansion_ratio");
        if let Some(wide) = self.whole(ratio)?
            && wide != 4
        {
            return Err(not_run(ratio, &wide.into()));
        }
        let Some(config) = self.value(name) else {
            return Ok(None);
        };
        let config = config.as_object().ok_or_else(|| not_run(name, config))?;
        let inner = Reader {
            config,
            kind: self.kind,
        };
        let plain = OF_MPT.into_iter().chain([
            ("attn_type", "multihead_attention".into()),
            ("alibi_bias_max", 8.into()),
            ("qk_ln", false.into()),
            ("softmax_scale", Value::Null),
        ]);
        let plain: Vec<(&str, Value)> = plain.collect();
        for (key, value) in config {
            let known = plain.iter().find(|(known, _)| known == key);
            let wrong = match known {
                Some(("softmax_scale", _)) => false,
                Some((_, wanted)) => value != wanted && !value.is_null(),
                None => is_telling(key) && !is_plain(key, value),
            };
            if wrong {
                return Err(not_run(&format!("{name}.{key}"), value));
            }
        }
        inner
            .positive("softmax_scale")
            .map_err(|_| not_run(&format!("{name}.softmax_scale"), &config["softmax_scale"]))
    }

    /// Heads of keys and values where an older kind says them by a flag.
    pub(super) fn heads_by_flags(&self, heads: usize) -> Result<Option<usize>, String> {
        let one = match self.kind.name {
            "falcon" if self.flag("new_decoder_architecture")? => return Ok(None),
            "falcon" | "gpt_bigcode" => self.flag_or("multi_query", true)?,
            _ => return Ok(None),
        };
        Ok(Some(if one { 1 } else { heads }))
    }

    /// How rows of one projection to queries, keys and values lie where they do not lie by these three.
    pub(super) fn grouping(
        &self,
        (heads, kv_heads, width): (usize, usize, usize),
    ) -> Result<Change, String> {
        let by_heads = match self.kind.name {
            "gpt_neox" | "bloom" => true,
            "falcon" => self.flag("new_decoder_architecture")? || kv_heads == heads,
            "gpt_bigcode" => kv_heads == heads,
            _ => false,
        };
        // Of one group both are the same.
        Ok(
            match by_heads && kv_heads > 1 && heads.is_multiple_of(kv_heads) {
                true => Change::Grouped(Grouping {
                    groups: kv_heads,
                    queries: heads / kv_heads,
                    width,
                }),
                false => Change::None,
            },
        )
    }
}
