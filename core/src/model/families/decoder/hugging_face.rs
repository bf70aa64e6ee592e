//! The network of a `config.json` as transformers writes and reads it, and the names of its tensors
//! (<https://github.com/huggingface/transformers>, `models/llama` and its like, `modeling_rope_utils.py`).
//!
//! What a configuration leaves out is what the classes there take. What could change the numbers and is not run here is
//! refused by its key.

mod angles;
mod form;
mod kinds;
mod names;
mod older;
#[cfg(test)]
mod tests;
mod windows;

use serde_json::{Map, Value};

use super::kinds as gguf;
use super::{DecoderConfig, Number};
use crate::weights::{Change, Renaming, Scheme};
use angles::{Angles, Tables};
use kinds::{Biases, KINDS, Kind};

impl Kind {
    fn of(config: &Map<String, Value>) -> Result<&'static Self, String> {
        let Some(named) = config.get("model_type").and_then(Value::as_str) else {
            return Err("its config.json does not say model_type".to_owned());
        };
        let Some(kind) = KINDS.iter().find(|kind| kind.name == named) else {
            return Err(format!(
                "networks of the kind '{named}' are not run here yet"
            ));
        };
        let class = kind.class;
        match config.get("architectures") {
            None | Some(Value::Null) => Ok(kind),
            Some(classes)
                if classes
                    .as_array()
                    .is_some_and(|c| c.len() == 1 && c[0] == class) =>
            {
                Ok(kind)
            }
            Some(classes) => Err(format!(
                "its config.json says architectures = {classes}, and of the kind '{named}' only {class} is run here"
            )),
        }
    }

    /// What it does differently from Llama, as its GGUF does.
    fn in_gguf(&self) -> Result<&'static gguf::Kind, String> {
        let kind = gguf::Kind::named(self.gguf);
        kind.ok_or_else(|| format!("networks of the kind '{}' are not run here yet", self.name))
    }
}

/// The most blocks that lists are made for.
const MOST_BLOCKS: usize = 1 << 16;

/// Where it stands how weights are packed.
const PACKING: &str = "quantization_config";

/// Keys with such parts that are read here.
const KNOWN: [&str; 7] = [
    PACKING,
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
];

/// Parts of keys that could change the numbers, wherever they stand.
const TELLING: [&str; 29] = [
    "alibi",
    "altup",
    "bias",
    "bidirectional",
    "clip",
    "cross_attention",
    "cross_layer",
    "embedding_type",
    "experts",
    "interleave",
    "logit_",
    "lora",
    "moe",
    "mrope",
    "multiplier",
    "norm",
    "parallel_residual",
    "pruned_heads",
    "quant",
    "residual",
    "rope",
    "rotary",
    "router",
    "scale",
    "scaling",
    "softcap",
    "soft_cap",
    "sparsity",
    "window",
];

/// Whether a key could change the numbers; what is left out at random is so in training only.
fn is_telling(key: &str) -> bool {
    TELLING.iter().any(|part| key.contains(part)) && !key.contains("dropout")
}

/// Whether a value leaves everything as it is: what multiplies does at 1, everything else where it is off.
fn is_plain(key: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => {
            let multiplies = ["scale", "scaling", "multiplier", "rotary"]
                .iter()
                .any(|part| key.contains(part));
            number.as_f64() == Some(if multiplies { 1.0 } else { 0.0 })
        }
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::String(_) => false,
    }
}

fn not_run(key: &str, value: &Value) -> String {
    let mut shown = value.to_string();
    if shown.chars().count() > 60 {
        shown = shown.chars().take(60).chain("…".chars()).collect();
    }
    format!("its config.json says {key} = {shown}, which is not run here yet")
}

/// What another program did to the weights.
fn packing(config: &Map<String, Value>) -> Result<Option<Scheme>, String> {
    let said = |key: &str| config.get(key).filter(|value| !value.is_null());
    if let Some(how) = said(PACKING) {
        return Scheme::of(how).map(Some);
    }
    match ["compression_config", "quantization"]
        .into_iter()
        .find_map(said)
    {
        Some(_) => {
            Err("its weights are packed by another program, which is not run here yet".to_owned())
        }
        None => Ok(None),
    }
}

/// The type of blocks that look back over a window.
const SLIDING: &str = "sliding_attention";

/// A configuration and what is not a number of it.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// The network.
    pub(crate) network: DecoderConfig,
    /// What the rotary angles are divided by, where they are.
    pub(crate) tables: Tables,
    /// How weights are packed, where they are.
    pub(crate) packing: Option<Scheme>,
    kind: &'static Kind,
    /// How rows of one projection to queries, keys and values lie.
    grouping: Change,
}

impl Published {
    /// What a tensor is in a GGUF: `None` where nothing is learnt in it, itself where it is not known.
    pub(crate) fn as_gguf(&self, name: &str) -> Option<Renaming> {
        let mut renaming = self.kind.names.as_gguf(name)?;
        if renaming.change == Change::None && renaming.name.contains(".attn_qkv.") {
            renaming.change = self.grouping;
        }
        Some(renaming)
    }

    /// The name that transformers gives a tensor of a GGUF.
    pub(crate) fn as_published(&self, name: &str) -> Option<String> {
        self.kind.names.as_published(name)
    }
}

/// Reads values by their keys.
struct Reader<'a> {
    config: &'a Map<String, Value>,
    kind: &'static Kind,
}

impl<'a> Reader<'a> {
    /// The value of a key, by the name that the kind has for it or the usual one; `null` counts as none.
    fn value(&self, key: &str) -> Option<&'a Value> {
        let own = self.kind.keys.iter().find(|(usual, _)| *usual == key);
        let value = |key: &str| self.config.get(key).filter(|value| !value.is_null());
        own.and_then(|(_, own)| value(own)).or_else(|| value(key))
    }

    fn whole(&self, key: &str) -> Result<Option<usize>, String> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.map(Some).ok_or_else(|| {
            format!("its config.json says {key} = {value}, which is no whole number")
        })
    }

    fn size(&self, key: &str) -> Result<usize, String> {
        self.whole(key)?
            .ok_or_else(|| format!("its config.json does not say {key}"))
    }

    fn float(&self, key: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        value
            .as_f64()
            .map(Some)
            .ok_or_else(|| format!("its config.json says {key} = {value}, which is no number"))
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        match self.value(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(format!(
                "its config.json says {key} = {value}, which is neither true nor false"
            )),
        }
    }

    /// A flag that is taken for something where it is not said.
    fn flag_or(&self, key: &str, usual: bool) -> Result<bool, String> {
        match self.value(key) {
            Some(_) => self.flag(key),
            None => Ok(usual),
        }
    }

    /// Whether a key is understood, whatever its value.
    fn reads(&self, key: &str) -> bool {
        let kind = self.kind;
        let of_experts = kind.experts.is_some_and(|experts| {
            // Those of training, and those that stand for the rest of this list.
            let mut known = ["num_experts_per_tok", "norm_topk_prob", experts.width]
                .into_iter()
                .chain(experts.count.iter().copied())
                .chain(experts.shared);
            known.any(|known| known == key)
                || key.starts_with("router_")
                || key == "output_router_logits"
        });
        let biases = match kind.biases {
            Biases::Queries(said, _)
            | Biases::Attention(said, _)
            | Biases::Feed(said, _)
            | Biases::Blocks(said, _) => said == key,
            Biases::None | Biases::FeedAndHead | Biases::All => false,
        };
        let turning = key == "partial_rotary_factor" && kind.turning.is_some();
        KNOWN.contains(&key)
            || kind.reads.contains(&key)
            || kind.epsilon.0 == key
            || kind.on.contains(&key)
            || of_experts
            || biases
            || turning
    }

    /// Whether nothing is said that is not run here.
    fn check(&self) -> Result<(), String> {
        if packing(self.config)?.is_some() && self.kind.names.are_turned() {
            return Err(format!(
                "its weights are packed, which is not run here yet for networks of the kind '{}'",
                self.kind.name
            ));
        }
        // Classes of its own, in Python beside the weights; tokenizers of its own are another matter, and what is called as
        // transformers' own class is what that class was before, which transformers takes in its place.
        let own = self.value("auto_map").and_then(Value::as_object);
        let is_own = |(key, class): (&String, &Value)| {
            let class = class.as_str().and_then(|class| class.rsplit_once('.'));
            key.starts_with("AutoModel") && class.is_none_or(|(_, class)| class != self.kind.class)
        };
        if own.is_some_and(|classes| classes.iter().any(is_own)) {
            return Err(
                "its network is computed by code of its own (auto_map), which is never run"
                    .to_owned(),
            );
        }
        self.function()?;
        for key in self.kind.on {
            if !self.flag_or(key, true)? {
                return Err(not_run(key, &false.into()));
            }
        }
        if let Some(types) = self.value("layer_types") {
            let known = |of: &Value| of == "full_attention" || of == SLIDING;
            if !types
                .as_array()
                .is_some_and(|types| types.iter().all(known))
            {
                return Err(not_run("layer_types", types));
            }
        }
        for (key, value) in self.config {
            if is_telling(key) && !is_plain(key, value) && !self.reads(key) {
                return Err(not_run(key, value));
            }
        }
        Ok(())
    }
}

impl DecoderConfig {
    /// The network of a `config.json`.
    ///
    /// # Errors
    /// The network is of another family, or a value is missing or means what is not run here.
    pub(crate) fn of_config(config: &Value) -> Result<Published, String> {
        let Some(config) = config.as_object() else {
            return Err("its config.json is no list of keys".to_owned());
        };
        let kind = Kind::of(config)?;
        let reader = Reader { config, kind };
        reader.check()?;
        let (width, blocks) = (
            reader.size("hidden_size")?,
            reader.size("num_hidden_layers")?,
        );
        if blocks > MOST_BLOCKS {
            return Err(format!(
                "its config.json has {blocks} blocks, which is absurd"
            ));
        }
        let heads = reader.size("num_attention_heads")?;
        let context = match (reader.whole("max_position_embeddings")?, kind.context) {
            (Some(context), _) | (None, Some(context)) => context,
            (None, None) => reader.size("max_position_embeddings")?,
        };
        let by_flags = reader.heads_by_flags(heads)?;
        let said = match by_flags {
            Some(_) => by_flags,
            None => reader.whole("num_key_value_heads")?,
        };
        let kv_heads = match (said, kind.kv_heads) {
            (Some(heads), _) => heads,
            (None, Some(usual)) if !config.contains_key("num_key_value_heads") => usual,
            (None, _) => heads,
        };
        let head_width = match (reader.whole("head_dim")?, kind.head_width) {
            (Some(width), _) => width,
            (None, Some(usual)) => usual,
            (None, None) => width / heads.max(1),
        };
        let angles = Angles::of(&reader, context)?;
        let rotary = angles.turning(head_width);
        let tables = angles.tables(rotary)?;
        let (window, local) = reader.windows(blocks, context)?;
        let form = reader.form((width, blocks), &angles, local)?;
        let hidden = match (reader.whole("intermediate_size")?, form.mixture) {
            (Some(hidden), _) => hidden,
            (None, Some(mixture)) => mixture.width,
            (None, None) if kind.wide => width.saturating_mul(4),
            (None, None) => reader.size("intermediate_size")?,
        };
        let (epsilon, usual) = kind.epsilon;
        Ok(Published {
            network: Self {
                vocabulary: reader.size("vocab_size")?,
                // The table for short contexts is used; longer ones would need the other.
                context: angles.longest().map_or(context, |most| context.min(most)),
                width,
                blocks,
                heads,
                kv_heads,
                head_width,
                hidden,
                base: Number(angles.base as f32),
                rotary,
                interleaved: kind.interleaved,
                factors: !tables.is_empty() && !form.short_factors,
                epsilon: Number(reader.float(epsilon)?.unwrap_or(usual) as f32),
                tied: match reader.value("tie_word_embeddings") {
                    None => kind.tied,
                    Some(_) => reader.flag("tie_word_embeddings")?,
                },
                biases: reader.biases()?[0],
                head_norms: kind.head_norms,
                window,
                form,
            },
            tables,
            packing: packing(config)?,
            kind,
            grouping: reader.grouping((heads, kv_heads, head_width))?,
        })
    }
}
