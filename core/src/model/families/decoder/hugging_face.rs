//! The network of a `config.json` as transformers writes and reads it, and the names of its tensors
//! (<https://github.com/huggingface/transformers>, `models/llama`, `mistral`, `qwen2`, `qwen3`, `modeling_rope_utils.py`).
//!
//! What a configuration leaves out is what the classes there take. What could change the numbers and is not run here is
//! refused by its key.

mod angles;
mod names;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::{DecoderConfig, Form, Number};
use angles::Angles;
pub(crate) use names::{as_gguf, as_published};

/// The kinds whose networks run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
}

impl Kind {
    /// The value of `model_type` and the class with a head over the vocabulary.
    const ALL: [(&str, &str, Self); 4] = [
        ("llama", "LlamaForCausalLM", Self::Llama),
        ("mistral", "MistralForCausalLM", Self::Mistral),
        ("qwen2", "Qwen2ForCausalLM", Self::Qwen2),
        ("qwen3", "Qwen3ForCausalLM", Self::Qwen3),
    ];

    fn of(config: &Map<String, Value>) -> Result<Self, String> {
        let Some(named) = config.get("model_type").and_then(Value::as_str) else {
            return Err("its config.json does not say model_type".to_owned());
        };
        let known = Self::ALL.iter().find(|(name, ..)| *name == named);
        let Some((_, class, kind)) = known else {
            return Err(format!(
                "networks of the kind '{named}' are not run here yet"
            ));
        };
        match config.get("architectures") {
            None | Some(Value::Null) => Ok(*kind),
            Some(classes)
                if classes
                    .as_array()
                    .is_some_and(|c| c.len() == 1 && c[0] == *class) =>
            {
                Ok(*kind)
            }
            Some(classes) => Err(format!(
                "its config.json says architectures = {classes}, and of the kind '{named}' only {class} is run here"
            )),
        }
    }
}

/// Keys with such parts that are read here.
const KNOWN: [&str; 7] = [
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
];

/// Parts of keys that could change the numbers, wherever they stand.
const TELLING: [&str; 27] = [
    "alibi",
    "altup",
    "bias",
    "clip",
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
fn packing(config: &Map<String, Value>) -> Option<String> {
    ["quantization_config", "compression_config", "quantization"]
        .iter()
        .find_map(|key| config.get(*key).filter(|value| !value.is_null()))
        .map(
            |how| match how.get("quant_method").and_then(Value::as_str) {
                Some(method) => {
                    format!("its weights are packed by {method}, which is not run here yet")
                }
                None => "its weights are packed by another program, which is not run here yet"
                    .to_owned(),
            },
        )
}

/// The type of blocks that look back over a window.
const SLIDING: &str = "sliding_attention";

/// A configuration and what is not a number of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Published {
    /// The network.
    pub(crate) network: DecoderConfig,
    /// What the rotary angles are divided by, where they are.
    pub(crate) factors: Option<Vec<f32>>,
}

/// Reads values by their keys.
struct Reader<'a> {
    config: &'a Map<String, Value>,
}

impl<'a> Reader<'a> {
    /// The value of a key; `null` counts as none.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.config.get(key).filter(|value| !value.is_null())
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

    /// Tokens that every block looks back over, where that is less than the context.
    fn window(&self, kind: Kind, blocks: usize, context: usize) -> Result<Option<usize>, String> {
        // The classes there have a window unless the file says that there is none.
        let said = match self.config.contains_key("sliding_window") {
            true => self.whole("sliding_window")?,
            false if kind == Kind::Llama => None,
            false => Some(4096),
        };
        let window = match kind {
            Kind::Llama => said.filter(|_| self.value("use_sliding_window") != Some(&false.into())),
            Kind::Mistral => said,
            Kind::Qwen2 | Kind::Qwen3 => {
                said.filter(|_| self.flag("use_sliding_window") == Ok(true))
            }
        };
        self.flag("use_sliding_window")?;
        let types = self.value("layer_types").and_then(Value::as_array);
        let sliding = types.map(|types| types.iter().filter(|of| **of == SLIDING).count());
        let other = || not_run("layer_types", &types.cloned().unwrap_or_default().into());
        if types.is_some_and(|types| types.len() != blocks) {
            return Err(other());
        }
        let Some(window) = window else {
            return match sliding {
                None | Some(0) => Ok(None),
                Some(_) => Err(other()),
            };
        };
        if window >= context {
            return Ok(None);
        }
        let windowed = match kind {
            Kind::Llama => return Err(not_run("sliding_window", &window.into())),
            Kind::Mistral if sliding.is_none_or(|count| count == blocks) => blocks,
            Kind::Mistral => return Err(other()),
            Kind::Qwen2 | Kind::Qwen3 => match sliding {
                Some(count) => count,
                None => blocks.saturating_sub(self.whole("max_window_layers")?.unwrap_or(28)),
            },
        };
        match windowed {
            0 => Ok(None),
            all if all == blocks => Ok(Some(window)),
            some => Err(format!(
                "{some} of its {blocks} blocks look back over a window of {window} tokens and the others over everything, \
                 which is not run here yet"
            )),
        }
    }

    /// Whether nothing is said that is not run here.
    fn check(&self) -> Result<(), String> {
        if let Some(fact) = packing(self.config) {
            return Err(fact);
        }
        // Classes of its own, in Python beside the weights; tokenizers of its own are another matter.
        let own = self.value("auto_map").and_then(Value::as_object);
        if own.is_some_and(|classes| classes.keys().any(|key| key.starts_with("AutoModel"))) {
            return Err(
                "its network is computed by code of its own (auto_map), which is never run"
                    .to_owned(),
            );
        }
        let activation = "hidden_act";
        match self.value(activation) {
            Some(name) if name != "silu" && name != "swish" => {
                return Err(not_run(activation, name));
            }
            _ => {}
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
            let telling = TELLING.iter().any(|part| key.contains(part));
            if telling && !is_plain(key, value) && !KNOWN.contains(&key.as_str()) {
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
        let reader = Reader { config };
        reader.check()?;
        let (width, blocks) = (
            reader.size("hidden_size")?,
            reader.size("num_hidden_layers")?,
        );
        let heads = reader.size("num_attention_heads")?;
        let context = reader.size("max_position_embeddings")?;
        let kv_heads = match (reader.whole("num_key_value_heads")?, kind) {
            (Some(heads), _) => heads,
            (None, Kind::Llama) => heads,
            (None, _) if config.contains_key("num_key_value_heads") => heads,
            (None, Kind::Mistral) => 8,
            (None, Kind::Qwen2 | Kind::Qwen3) => 32,
        };
        let head_width = match (reader.whole("head_dim")?, kind) {
            (Some(width), _) => width,
            (None, Kind::Qwen3) => 128,
            (None, _) => width / heads.max(1),
        };
        let angles = Angles::of(&reader, context)?;
        let factors = angles.factors(head_width)?;
        Ok(Published {
            network: Self {
                vocabulary: reader.size("vocab_size")?,
                context,
                width,
                blocks,
                heads,
                kv_heads,
                head_width,
                hidden: reader.size("intermediate_size")?,
                base: Number(angles.base as f32),
                rotary: head_width,
                interleaved: false,
                factors: factors.is_some(),
                epsilon: Number(reader.float("rms_norm_eps")?.unwrap_or(1e-6) as f32),
                tied: reader.flag("tie_word_embeddings")?,
                biases: kind == Kind::Qwen2,
                head_norms: kind == Kind::Qwen3,
                window: reader.window(kind, blocks, context)?,
                form: Form::default(),
            },
            factors,
        })
    }
}
