//! What a tensor is called in the files of transformers and in a GGUF.

/// What stands before the names in some files: nothing, the network in its class, that in one which reads images too, or
/// what PyTorch's training on several devices puts there.
const PREFIXES: [&str; 3] = ["module.", "language_model.", "model."];

/// Tables that stand once: their names after the prefixes, and in a GGUF.
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

/// A table in which nothing is learnt, that older files have with the weights.
const BUFFER: &str = "rotary_emb.inv_freq";

/// The name of a tensor in a GGUF: `None` where nothing is learnt in it, its own name where it has none there.
pub(crate) fn as_gguf(name: &str) -> Option<String> {
    if name == BUFFER || name.ends_with(&format!(".{BUFFER}")) {
        return None;
    }
    Some(known(name).unwrap_or_else(|| name.to_owned()))
}

fn known(name: &str) -> Option<String> {
    let mut rest = name;
    for prefix in PREFIXES {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let (table, ending) = rest.rsplit_once('.')?;
    if !matches!(ending, "weight" | "bias") {
        return None;
    }
    let in_list = |list: &[(&str, &'static str)], wanted: &str| {
        let found = list.iter().find(|(published, _)| *published == wanted);
        found.map(|(_, own)| *own)
    };
    if let Some(own) = in_list(&ONCE, table) {
        return Some(format!("{own}.{ending}"));
    }
    let (number, part) = table.strip_prefix("layers.")?.split_once('.')?;
    // 7, not 07 or +7.
    let block: u32 = number.parse().ok()?;
    if block.to_string() != number {
        return None;
    }
    let own = in_list(&PER_BLOCK, part)?;
    Some(format!("blk.{block}.{own}.{ending}"))
}

/// The name that transformers gives a tensor of a GGUF.
pub(crate) fn as_published(name: &str) -> Option<String> {
    let (table, ending) = name.rsplit_once('.')?;
    let in_list = |list: &[(&'static str, &str)], wanted: &str| {
        let found = list.iter().find(|(_, own)| *own == wanted);
        found.map(|(published, _)| *published)
    };
    if let Some(published) = in_list(&ONCE, table) {
        let prefix = if published == "lm_head" { "" } else { "model." };
        return Some(format!("{prefix}{published}.{ending}"));
    }
    let (block, part) = table.strip_prefix("blk.")?.split_once('.')?;
    let published = in_list(&PER_BLOCK, part)?;
    Some(format!("model.layers.{block}.{published}.{ending}"))
}
