//! What a tensor is called in the files of transformers and in a GGUF, and what differs in it.

use crate::weights::{Change, Renaming};

/// What stands before the names in some files: nothing, the network in its class, that in one which reads images too, or
/// what PyTorch's training on several devices puts there.
const PREFIXES: [&str; 5] = [
    "module.",
    "language_model.",
    "model.",
    "transformer.",
    "gpt_neox.",
];

/// Names of a kind.
#[derive(Debug)]
pub(super) struct Names {
    /// Tables that stand once, before those of all kinds: their names after the prefixes, and in a GGUF.
    once: &'static [(&'static str, &'static str)],
    /// Tables of each block, before those of all kinds.
    per_block: &'static [(&'static str, &'static str)],
    /// What stands before the number of a block.
    block: &'static str,
    /// What stands before the name in a class.
    class: &'static str,
    /// What stands before the number of an expert, and the tables of each.
    experts: Option<(&'static str, [(&'static str, &'static str); 3])>,
    /// Whether norms hold what is added to 1.
    added: bool,
    /// Whether inputs stand before outputs in the matrices of blocks.
    turned: bool,
}

pub(super) const USUAL: Names = Names {
    once: &[],
    per_block: &[],
    block: "layers.",
    class: "model.",
    experts: None,
    added: false,
    turned: false,
};

pub(super) const GEMMA: Names = Names {
    added: true,
    ..USUAL
};

/// Norms of what the parts of a block give.
pub(super) const AFTER: Names = Names {
    per_block: &[
        ("post_attention_layernorm", "post_attention_norm"),
        ("post_feedforward_layernorm", "post_ffw_norm"),
        ("pre_feedforward_layernorm", "ffn_norm"),
    ],
    ..USUAL
};

pub(super) const GEMMA_AROUND: Names = Names {
    added: true,
    ..AFTER
};

pub(super) const PHI3: Names = Names {
    per_block: &[
        ("self_attn.qkv_proj", "attn_qkv"),
        ("mlp.gate_up_proj", "ffn_up"),
    ],
    ..USUAL
};

pub(super) const PHI: Names = Names {
    once: &[("final_layernorm", "output_norm")],
    per_block: &[
        ("self_attn.dense", "attn_output"),
        ("mlp.fc1", "ffn_up"),
        ("mlp.fc2", "ffn_down"),
    ],
    ..USUAL
};

pub(super) const STARCODER2: Names = Names {
    per_block: &[("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down")],
    ..USUAL
};

pub(super) const GPT2: Names = Names {
    once: &[
        ("wte", "token_embd"),
        ("wpe", "position_embd"),
        ("ln_f", "output_norm"),
    ],
    per_block: &[
        ("ln_1", "attn_norm"),
        ("attn.c_attn", "attn_qkv"),
        ("attn.c_proj", "attn_output"),
        ("ln_2", "ffn_norm"),
        ("mlp.c_fc", "ffn_up"),
        ("mlp.c_proj", "ffn_down"),
    ],
    block: "h.",
    class: "transformer.",
    turned: true,
    ..USUAL
};

pub(super) const GPT_BIGCODE: Names = Names {
    turned: false,
    ..GPT2
};

pub(super) const GPTJ: Names = Names {
    per_block: &[
        ("ln_1", "attn_norm"),
        ("attn.q_proj", "attn_q"),
        ("attn.k_proj", "attn_k"),
        ("attn.v_proj", "attn_v"),
        ("attn.out_proj", "attn_output"),
        ("mlp.fc_in", "ffn_up"),
        ("mlp.fc_out", "ffn_down"),
    ],
    turned: false,
    ..GPT2
};

pub(super) const GPT_NEOX: Names = Names {
    once: &[
        ("embed_in", "token_embd"),
        ("final_layer_norm", "output_norm"),
        (OLDER_HEAD, "output"),
    ],
    per_block: &[
        ("attention.query_key_value", "attn_qkv"),
        ("attention.dense", "attn_output"),
        ("mlp.dense_h_to_4h", "ffn_up"),
        ("mlp.dense_4h_to_h", "ffn_down"),
    ],
    class: "gpt_neox.",
    ..USUAL
};

pub(super) const FALCON: Names = Names {
    once: &[("word_embeddings", "token_embd"), ("ln_f", "output_norm")],
    per_block: &[
        ("input_layernorm", "attn_norm"),
        ("ln_attn", "attn_norm_2"),
        ("ln_mlp", "attn_norm"),
        ("self_attention.query_key_value", "attn_qkv"),
        ("self_attention.dense", "attn_output"),
        ("mlp.dense_h_to_4h", "ffn_up"),
        ("mlp.dense_4h_to_h", "ffn_down"),
    ],
    block: "h.",
    class: "transformer.",
    ..USUAL
};

pub(super) const BLOOM: Names = Names {
    once: &[
        ("word_embeddings", "token_embd"),
        ("word_embeddings_layernorm", "token_embd_norm"),
        ("ln_f", "output_norm"),
    ],
    ..FALCON
};

pub(super) const MPT: Names = Names {
    once: &[("wte", "token_embd"), ("norm_f", "output_norm")],
    per_block: &[
        ("norm_1", "attn_norm"),
        ("attn.Wqkv", "attn_qkv"),
        ("attn.out_proj", "attn_output"),
        ("norm_2", "ffn_norm"),
        ("ffn.up_proj", "ffn_up"),
        ("ffn.down_proj", "ffn_down"),
    ],
    block: "blocks.",
    class: "transformer.",
    ..USUAL
};

pub(super) const MIXTRAL: Names = Names {
    per_block: &[("block_sparse_moe.gate", "ffn_gate_inp")],
    experts: Some((
        "block_sparse_moe.experts.",
        [
            ("w1", "ffn_gate_exps"),
            ("w3", "ffn_up_exps"),
            ("w2", "ffn_down_exps"),
        ],
    )),
    ..USUAL
};

pub(super) const EXPERTS: Names = Names {
    per_block: &[
        ("mlp.gate", "ffn_gate_inp"),
        ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
        ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
        ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
        ("mlp.shared_expert_gate", SHARED_GATE),
    ],
    experts: Some((
        "mlp.experts.",
        [
            ("gate_proj", "ffn_gate_exps"),
            ("up_proj", "ffn_up_exps"),
            ("down_proj", "ffn_down_exps"),
        ],
    )),
    ..USUAL
};

/// A row in the files of transformers, a vector in a GGUF.
const SHARED_GATE: &str = "ffn_gate_inp_shexp";

/// What the head of some is called.
const OLDER_HEAD: &str = "embed_out";

/// Tables that stand once.
const ONCE: [(&str, &str); 3] = [
    ("embed_tokens", "token_embd"),
    ("norm", "output_norm"),
    ("lm_head", "output"),
];

/// Tables of each block.
const PER_BLOCK: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Tables in which nothing is learnt, that older files have with the weights.
const BUFFERS: [&str; 5] = [
    "rotary_emb.inv_freq",
    "attn.bias",
    "attn.masked_bias",
    "attention.bias",
    "attention.masked_bias",
];

type Pair = (&'static str, &'static str);

/// 7, not 07 or +7.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl Names {
    /// The name of a tensor in a GGUF: `None` where nothing is learnt in it, its own name where it has none there.
    pub(super) fn as_gguf(&self, name: &str) -> Option<Renaming> {
        let is_buffer = |buffer: &str| {
            let before = name.strip_suffix(buffer);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        if BUFFERS.iter().any(|buffer| is_buffer(buffer)) {
            return None;
        }
        Some(self.known(name).unwrap_or_else(|| name.to_owned().into()))
    }

    /// Whether inputs stand before outputs.
    pub(super) fn are_turned(&self) -> bool {
        self.turned
    }

    /// Whether queries, keys and values are one projection.
    pub(super) fn is_fused(&self) -> bool {
        self.per_block.iter().any(|(_, own)| *own == "attn_qkv")
    }

    fn known(&self, name: &str) -> Option<Renaming> {
        let mut rest = name;
        for prefix in PREFIXES {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        let (table, ending) = rest.rsplit_once('.')?;
        if !matches!(ending, "weight" | "bias") {
            return None;
        }
        let find = |own: &[Pair], usual: &[Pair], wanted: &str| {
            let found = own.iter().chain(usual).find(|pair| pair.0 == wanted);
            found.map(|(_, own)| *own)
        };
        if let Some(own) = find(self.once, &ONCE, table) {
            return Some(Renaming {
                name: format!("{own}.{ending}"),
                change: self.change(own, ending),
                part: None,
            });
        }
        let (block, part) = table.strip_prefix(self.block)?.split_once('.')?;
        let block = number(block)?;
        if let Some((before, tables)) = self.experts
            && let Some((expert, part)) = part
                .strip_prefix(before)
                .and_then(|rest| rest.split_once('.'))
        {
            let own = find(&tables, &[], part)?;
            return Some(Renaming {
                name: format!("blk.{block}.{own}.{ending}"),
                change: Change::None,
                part: Some(number(expert)?),
            });
        }
        let own = find(self.per_block, &PER_BLOCK, part)?;
        Some(Renaming {
            name: format!("blk.{block}.{own}.{ending}"),
            change: self.change(own, ending),
            part: None,
        })
    }

    fn change(&self, own: &str, ending: &str) -> Change {
        let is_norm = own.ends_with("norm");
        match ending {
            "weight" if self.added && is_norm => Change::PlusOne,
            "weight" if self.turned && (own.starts_with("attn_") || own.starts_with("ffn_")) => {
                if is_norm {
                    Change::None
                } else {
                    Change::Turned
                }
            }
            "weight" if own == SHARED_GATE => Change::Flat,
            _ => Change::None,
        }
    }

    /// The name that transformers gives a tensor of a GGUF; of experts the first of its tensors.
    pub(super) fn as_published(&self, name: &str) -> Option<String> {
        let (table, ending) = name.rsplit_once('.')?;
        let find = |own: &[Pair], usual: &[Pair], wanted: &str| {
            let found = own.iter().chain(usual).find(|pair| pair.1 == wanted);
            found.map(|(published, _)| *published)
        };
        if let Some(published) = find(self.once, &ONCE, table) {
            let prefix = match published {
                "lm_head" | OLDER_HEAD => "",
                _ => self.class,
            };
            return Some(format!("{prefix}{published}.{ending}"));
        }
        let (block, part) = table.strip_prefix("blk.")?.split_once('.')?;
        let before = format!("{}{}{block}.", self.class, self.block);
        if let Some((experts, tables)) = self.experts
            && let Some(published) = find(&tables, &[], part)
        {
            return Some(format!("{before}{experts}0.{published}.{ending}"));
        }
        let published = find(self.per_block, &PER_BLOCK, part)?;
        Some(format!("{before}{published}.{ending}"))
    }
}
