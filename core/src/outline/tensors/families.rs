//! What the names and shapes of tensors tell of a language model.

use std::collections::BTreeMap;

use crate::formats::Listed;

/// What the tensors of a decoder tell. The number of heads is not among it, unless queries are normalised head by head.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// What names the tensors so, in words.
    pub(super) family: &'static str,
    /// Width of the residual stream.
    pub(super) hidden: u32,
    /// Blocks.
    pub(super) layers: u32,
    /// Width of the queries of all heads.
    pub(super) queries: u32,
    /// Width of the keys of all heads.
    pub(super) keys: u32,
    /// Inner width of the dense feed-forward layers; `None` where not every block has the same.
    pub(super) ffn: Option<u32>,
    /// Experts of a block, where there are some.
    pub(super) experts: Option<u32>,
    /// Whether feed-forward layers have a gate.
    pub(super) gated: bool,
    /// Tokens in the vocabulary.
    pub(super) vocabulary: u32,
    /// Whether the embedding is also the output layer.
    pub(super) tied: bool,
    /// Width of one head, where shapes tell it.
    pub(super) head_dim: Option<u32>,
    /// Rows of a table of positions.
    pub(super) positions: Option<u32>,
    /// Whether the blocks have the extra normalisations of networks that alternate sliding windows (Gemma 2 and 3), whose
    /// extent no shape tells.
    pub(super) windowed: bool,
}

/// What a list of tensors tells; `None` where the names are those of no known family.
///
/// # Errors
/// The fact that does not fit the family.
pub(super) fn seen(tensors: &[Listed]) -> Option<Result<Seen, String>> {
    let tables = [("embed_tokens.weight", true), ("wte.weight", false)];
    tables.into_iter().find_map(|(table, is_llama)| {
        let embedding = tensors.iter().find(|tensor| {
            tensor.name.strip_suffix(table).is_some_and(|prefix| {
                let first = if is_llama {
                    format!("{prefix}layers.0.self_attn.")
                } else {
                    format!("{prefix}h.0.attn.c_attn.weight")
                };
                tensors.iter().any(|other| other.name.starts_with(&first))
            })
        })?;
        let prefix = embedding.name.strip_suffix(table)?;
        Some(if is_llama {
            llama(tensors, prefix, embedding)
        } else {
            gpt2(tensors, prefix, embedding)
        })
    })
}

/// The tensors of the blocks of a network, by what follows the number of the block in their names.
struct Blocks<'a> {
    prefix: String,
    count: u32,
    of: BTreeMap<&'a str, BTreeMap<u32, &'a [usize]>>,
}

impl<'a> Blocks<'a> {
    fn new(tensors: &'a [Listed], prefix: String) -> Result<Self, String> {
        let mut of: BTreeMap<&str, BTreeMap<u32, &[usize]>> = BTreeMap::new();
        let mut highest = 0;
        for tensor in tensors {
            let place = tensor
                .name
                .strip_prefix(&prefix)
                .and_then(|rest| rest.split_once('.'))
                .and_then(|(number, rest)| Some((number.parse::<u32>().ok()?, rest)));
            if let Some((number, rest)) = place {
                highest = highest.max(number);
                of.entry(rest).or_default().insert(number, &tensor.shape);
            }
        }
        let count = highest
            .checked_add(1)
            .filter(|count| *count as usize <= tensors.len())
            .ok_or_else(|| format!("there is a block {highest}, but most before it are missing"))?;
        Ok(Self { prefix, count, of })
    }

    /// Whether any block has a tensor.
    fn has(&self, name: &str) -> bool {
        self.of.contains_key(name)
    }

    /// The extents of a tensor that every block has, of the same shape.
    fn shape<const N: usize>(&self, name: &str) -> Result<[u32; N], String> {
        let prefix = &self.prefix;
        let missing = |block: u32| format!("there is no tensor '{prefix}{block}.{name}'");
        let found = self.of.get(name).ok_or_else(|| missing(0))?;
        let first = *found.get(&0).ok_or_else(|| missing(0))?;
        for block in 0..self.count {
            let shape = *found.get(&block).ok_or_else(|| missing(block))?;
            if shape != first {
                return Err(format!(
                    "tensor '{prefix}{block}.{name}' has the shape {shape:?}, in block 0 {first:?}"
                ));
            }
        }
        extents(first).ok_or_else(|| {
            format!("tensor '{prefix}0.{name}' has the shape {first:?}, expected {N} extents")
        })
    }
}

/// Extents that are there and fit their type.
fn extents<const N: usize>(shape: &[usize]) -> Option<[u32; N]> {
    let numbers: Vec<u32> = shape
        .iter()
        .map(|&extent| u32::try_from(extent).ok().filter(|extent| *extent > 0))
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn table(tensor: &Listed) -> Result<[u32; 2], String> {
    extents(&tensor.shape).ok_or_else(|| {
        format!(
            "tensor '{}' has the shape {:?}, expected rows and a width",
            tensor.name, tensor.shape
        )
    })
}

/// A width that must be another.
fn same(what: &str, found: u32, expected: u32) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what} is {found}, expected {expected}"))
    }
}

/// Llama and what is named like it (Mistral, Qwen, Gemma, Phi-3, Mixtral): `layers.N.self_attn.q_proj`, …
fn llama(tensors: &[Listed], prefix: &str, embedding: &Listed) -> Result<Seen, String> {
    let blocks = Blocks::new(tensors, format!("{prefix}layers."))?;
    let [vocabulary, hidden] = table(embedding)?;
    let [out, queries] = blocks.shape("self_attn.o_proj.weight")?;
    same("the width that attention writes", out, hidden)?;
    let keys = if blocks.has("self_attn.qkv_proj.weight") {
        let [all, read] = blocks.shape("self_attn.qkv_proj.weight")?;
        same("the width that attention reads", read, hidden)?;
        all.checked_sub(queries)
            .filter(|rest| *rest > 0 && rest % 2 == 0)
            .ok_or_else(|| format!("{all} rows of queries, keys and values leave no keys"))?
            / 2
    } else {
        let [found, read] = blocks.shape("self_attn.q_proj.weight")?;
        same("the width that attention reads", read, hidden)?;
        same("the width of the queries", found, queries)?;
        let [keys, read] = blocks.shape("self_attn.k_proj.weight")?;
        same("the width that keys are made of", read, hidden)?;
        let [values, _] = blocks.shape("self_attn.v_proj.weight")?;
        same("the width of the values", values, keys)?;
        keys
    };
    let experts = experts(&blocks);
    let ffn = if experts.is_some() {
        None
    } else {
        Some(feed_forward(&blocks, hidden)?)
    };
    let is_gated = ["mlp.gate_proj.weight", "mlp.gate_up_proj.weight"]
        .iter()
        .any(|name| blocks.has(name));
    Ok(Seen {
        family: "Llama-like",
        hidden,
        layers: blocks.count,
        queries,
        keys,
        ffn,
        experts,
        gated: is_gated || experts.is_some(),
        vocabulary,
        tied: !has_head(tensors),
        head_dim: head_dim(&blocks, queries, keys),
        positions: None,
        windowed: blocks.has("pre_feedforward_layernorm.weight"),
    })
}

fn feed_forward(blocks: &Blocks<'_>, hidden: u32) -> Result<u32, String> {
    let [out, ffn] = blocks.shape("mlp.down_proj.weight")?;
    same("the width that feed-forward layers write", out, hidden)?;
    if blocks.has("mlp.gate_up_proj.weight") {
        let [both, read] = blocks.shape("mlp.gate_up_proj.weight")?;
        same("the width that feed-forward layers read", read, hidden)?;
        same("the width of gates and inputs", both, ffn.saturating_mul(2))?;
        return Ok(ffn);
    }
    for name in ["mlp.up_proj.weight", "mlp.gate_proj.weight"] {
        if name == "mlp.up_proj.weight" || blocks.has(name) {
            let [found, read] = blocks.shape(name)?;
            same("the width that feed-forward layers read", read, hidden)?;
            same("the inner width of feed-forward layers", found, ffn)?;
        }
    }
    Ok(ffn)
}

/// Experts that a block has: those that are tensors of their own, or the first extent of the tensor that holds all.
fn experts(blocks: &Blocks<'_>) -> Option<u32> {
    blocks
        .of
        .iter()
        .filter_map(|(name, shapes)| {
            let (_, rest) = name.split_once("experts.")?;
            if name.contains("shared") {
                return None;
            }
            let number = rest.split('.').next()?.parse::<u32>();
            number.map_or_else(
                |_| u32::try_from(*shapes.values().next()?.first()?).ok(),
                |number| number.checked_add(1),
            )
        })
        .max()
}

/// Queries and keys that are normalised head by head tell the width of a head.
fn head_dim(blocks: &Blocks<'_>, queries: u32, keys: u32) -> Option<u32> {
    let [of_queries] = blocks.shape("self_attn.q_norm.weight").ok()?;
    let [of_keys] = blocks.shape("self_attn.k_norm.weight").ok()?;
    // Where all heads are normalised together, the width is that of all of them.
    let is_head = of_queries == of_keys
        && of_queries < queries
        && queries.is_multiple_of(of_queries)
        && keys.is_multiple_of(of_queries)
        && (queries / of_queries).is_multiple_of(keys / of_queries);
    is_head.then_some(of_queries)
}

fn has_head(tensors: &[Listed]) -> bool {
    tensors
        .iter()
        .any(|tensor| tensor.name == "lm_head.weight" || tensor.name.ends_with(".lm_head.weight"))
}

/// GPT-2, whose matrices are stored with inputs first: `h.N.attn.c_attn`, …
fn gpt2(tensors: &[Listed], prefix: &str, embedding: &Listed) -> Result<Seen, String> {
    let blocks = Blocks::new(tensors, format!("{prefix}h."))?;
    let [vocabulary, hidden] = table(embedding)?;
    let [read, all] = blocks.shape("attn.c_attn.weight")?;
    same("the width that attention reads", read, hidden)?;
    same(
        "the width of queries, keys and values",
        all,
        hidden.saturating_mul(3),
    )?;
    let [queries, out] = blocks.shape("attn.c_proj.weight")?;
    same("the width that attention writes", out, hidden)?;
    let [read, ffn] = blocks.shape("mlp.c_fc.weight")?;
    same("the width that feed-forward layers read", read, hidden)?;
    let [inner, out] = blocks.shape("mlp.c_proj.weight")?;
    same("the inner width of feed-forward layers", inner, ffn)?;
    same("the width that feed-forward layers write", out, hidden)?;
    let positions = tensors
        .iter()
        .find(|tensor| tensor.name == format!("{prefix}wpe.weight"))
        .map(table)
        .transpose()?;
    Ok(Seen {
        family: "GPT-2-like",
        hidden,
        layers: blocks.count,
        queries,
        keys: queries,
        ffn: Some(ffn),
        experts: None,
        gated: false,
        vocabulary,
        tied: !has_head(tensors),
        head_dim: None,
        positions: positions.map(|[rows, _]| rows),
        windowed: false,
    })
}
