//! What a configuration says beside shapes, and what must hold of them.

use serde_json::Value;

use super::Keys;
use crate::error::{Error, Result};

/// Parts of the kinds (`model_type`, `architectures`) that are no transformers though their keys look alike: state-space
/// models, recurrent networks, and mixtures of their layers with attention.
const OTHER_KINDS: [&str; 22] = [
    "mamba",
    "rwkv",
    "jamba",
    "zamba",
    "bamba",
    "recurrent",
    "griffin",
    "nemotron_h",
    "falcon_h1",
    "granitemoehybrid",
    "plamo2",
    "lfm2",
    "hyena",
    "retnet",
    "xlstm",
    "lstm",
    "gru",
    "s4",
    "minimax_text",
    "minimax_m1",
    "qwen3_next",
    "kimi_linear",
];
/// Keys that only layers of such kinds have.
const OTHER_KEYS: [&str; 5] = [
    "ssm_cfg",
    "state_size",
    "ssm_state_size",
    "mamba_d_state",
    "linear_conv_kernel_dim",
];

/// Bits per weight by the quantisation that a configuration states, else by its number format; `None` where neither
/// says anything but 16.
pub(super) fn published_bits(config: &Value) -> Option<u8> {
    let Some(quantization) = config.get("quantization_config") else {
        let text = config.get("text_config").unwrap_or(config);
        let single = [config, text]
            .iter()
            .flat_map(|config| [config.get("torch_dtype"), config.get("dtype")])
            .any(|dtype| dtype.and_then(Value::as_str) == Some("float32"));
        return single.then_some(32);
    };
    let bits = ["bits", "w_bit", "num_bits"]
        .iter()
        .find_map(|key| quantization.get(key).and_then(Value::as_u64))
        .and_then(|bits| u8::try_from(bits).ok());
    let method = quantization.get("quant_method").and_then(Value::as_str)?;
    match (bits, method) {
        (Some(bits @ 1..=8), _) => Some(bits),
        (None, "fp8" | "fbgemm_fp8") => Some(8),
        _ => None,
    }
}

impl Keys<'_> {
    /// Most tokens that the network was made for.
    pub(super) fn context_limit(&self) -> Option<u32> {
        self.maybe(&["max_position_embeddings", "n_positions", "max_seq_len"])
            .filter(|limit| *limit > 0)
    }

    /// Refuses networks of other kinds, by name.
    pub(super) fn refuse_other_kinds(&self) -> Result<()> {
        let class = self
            .config
            .get("architectures")
            .and_then(|list| list.get(0));
        let class = class.and_then(Value::as_str).unwrap_or_default();
        let kind = self.text("model_type");
        let name = if kind.is_empty() { class } else { kind };
        let is = |other: &str| {
            [kind, class].iter().any(|text| {
                let text = text.to_lowercase();
                text.starts_with(other) || text.ends_with(&format!("_{other}"))
            })
        };
        let fact = if OTHER_KINDS.iter().any(|other| is(other)) {
            "which is no transformer of attention layers alone".to_owned()
        } else if let Some(key) = OTHER_KEYS.iter().find(|key| self.config.get(key).is_some()) {
            format!("whose key '{key}' belongs to layers that are no attention")
        } else if self.flag("is_encoder_decoder") == Some(true) {
            "which has an encoder and a decoder".to_owned()
        } else {
            return Ok(());
        };
        let name = if name.is_empty() { "network" } else { name };
        Err(Error::file(
            format!("configures a '{name}', {fact}; its shapes are not known"),
            self.path,
        ))
    }

    /// The number under the first of several names that is there, which must divide into equal parts.
    pub(super) fn divisible(&self, whole: (&[&str], u32), parts: (&[&str], u32)) -> Result<()> {
        if parts.1 > 0 && whole.1.is_multiple_of(parts.1) {
            return Ok(());
        }
        let name = |names: &[&str]| {
            let there = names.iter().find(|name| self.config.get(**name).is_some());
            there
                .or(names.first())
                .copied()
                .unwrap_or_default()
                .to_owned()
        };
        Err(Error::file(
            format!(
                "'{}' is {}, which is not a multiple of '{}', {}",
                name(whole.0),
                whole.1,
                name(parts.0),
                parts.1
            ),
            self.path,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use serde_json::{Value, json};

    /// A small Llama with some keys changed.
    fn read(changes: &Value) -> Result<crate::serving::architecture::Architecture, String> {
        let mut config = json!({
            "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100
        });
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        parse(&config.to_string(), Path::new("config.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn other_kinds_of_network_are_refused_by_name() {
        for kind in [
            "mamba",
            "mamba2",
            "falcon_mamba",
            "rwkv",
            "rwkv5",
            "recurrent_gemma",
        ] {
            let error = read(&json!({"model_type": kind})).unwrap_err();
            assert!(
                error.starts_with(&format!("configures a '{kind}', which is no transformer")),
                "{error}"
            );
        }
        let class = json!({"model_type": "", "architectures": ["MambaForCausalLM"]});
        assert!(read(&class).unwrap_err().contains("'MambaForCausalLM'"));
        let key = read(&json!({"model_type": "new", "ssm_cfg": {}})).unwrap_err();
        assert!(key.contains("'new', whose key 'ssm_cfg'"), "{key}");
        let both = read(&json!({"model_type": "t5", "is_encoder_decoder": true})).unwrap_err();
        assert!(both.contains("encoder and a decoder"), "{both}");
        for kind in ["llama", "qwen3", "gemma3_text", "minimax_m2", "phi3"] {
            assert!(read(&json!({"model_type": kind})).is_ok(), "{kind}");
        }
    }

    #[test]
    fn widths_that_heads_do_not_divide_are_refused_with_both_values() {
        assert_eq!(
            read(&json!({"hidden_size": 66})).unwrap_err(),
            "'hidden_size' is 66, which is not a multiple of 'num_attention_heads', 4: config.json"
        );
        assert_eq!(
            read(&json!({"num_key_value_heads": 3})).unwrap_err(),
            "'num_attention_heads' is 4, which is not a multiple of 'num_key_value_heads', 3: config.json"
        );
        assert!(read(&json!({"num_key_value_heads": 0})).is_err());
        // Heads whose width is given need not add up to the width of the stream.
        assert!(read(&json!({"hidden_size": 66, "head_dim": 32})).is_ok());
    }

    #[test]
    fn the_number_format_and_the_limit_of_the_context_are_read() {
        let bits = |changes: Value| read(&changes).unwrap().weight_bits;
        assert_eq!(bits(json!({"torch_dtype": "float32"})), Some(32));
        assert_eq!(bits(json!({"dtype": "float32"})), Some(32));
        assert_eq!(bits(json!({"torch_dtype": "bfloat16"})), None);
        let fp8 = json!({"torch_dtype": "float32", "quantization_config": {"quant_method": "fp8"}});
        assert_eq!(bits(fp8), Some(8));
        let limited = read(&json!({"max_position_embeddings": 4096})).unwrap();
        assert_eq!(limited.context_limit, Some(4096));
        assert_eq!(read(&json!({})).unwrap().context_limit, None);
    }
}
