//! What a configuration says beside shapes, and what must hold of them.

use super::keys::{Keys, most, shown};
use super::transformer::HIDDEN;
use super::types;
use crate::error::Result;

/// Parts of the kinds (`model_type`, `architectures`) whose keys look like those of a transformer and whose layers are not
/// known.
const OTHER_KINDS: [&str; 26] = [
    "rwkv",
    "zamba",
    "zamba2",
    "recurrent",
    "recurrent_gemma",
    "griffin",
    "plamo2",
    "hyena",
    "retnet",
    "xlstm",
    "lstm",
    "gru",
    "s4",
    "albert",
    "deberta",
    "longformer",
    "big_bird",
    "xlnet",
    "funnel",
    "vit",
    "clip",
    "siglip",
    "whisper",
    "wav2vec2",
    "hubert",
    "wavlm",
];
/// Keys that only layers of such kinds have.
const OTHER_KEYS: [&str; 2] = ["ssm_cfg", "position_encoding_2d"];
/// What the class of a network that writes text is called, at its end.
const WRITERS: [&str; 4] = [
    "ForCausalLM",
    "LMHeadModel",
    "ForConditionalGeneration",
    "CausalLM",
];

impl Keys<'_> {
    /// Most tokens that the network was made for.
    pub(super) fn context_limit(&self) -> Result<Option<u32>> {
        let names = [
            "max_position_embeddings",
            "n_positions",
            "max_seq_len",
            "seq_length",
            "max_sequence_length",
        ];
        let limit = self.maybe(&names, most::TOKENS)?.filter(|limit| *limit > 0);
        let (Some(limit), Some(scaling)) = (limit, self.inner("rope_scaling")?) else {
            return Ok(limit);
        };
        // Files state the longer limit, or the original one beside the factor.
        let original = scaling.positive(&["original_max_position_embeddings"], most::TOKENS)?;
        let original =
            original.or(self.positive(&["original_max_position_embeddings"], most::TOKENS)?);
        let kind = match scaling.text("rope_type")? {
            "" => scaling.text("type")?,
            kind => kind,
        };
        let stretched = match scaling.real("factor")? {
            Some(factor) if factor > 1.0 && matches!(kind, "yarn" | "linear" | "dynamic") => {
                f64::from(original.unwrap_or(limit)) * factor
            }
            _ => return Ok(Some(limit)),
        };
        // Of a stated limit that is stretched already, the factor says nothing more.
        let already = original.is_some_and(|original| original < limit);
        let known = original.is_some() || kind != "linear";
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped first"
        )]
        let longer = stretched.clamp(1.0, f64::from(most::TOKENS)) as u32;
        Ok(Some(if already || !known {
            limit
        } else {
            longer.max(limit)
        }))
    }

    /// Words that are as wide as the stream need no projection; of unknown classes there may be more to it.
    fn other_width(&self, hidden: Option<u32>) -> Result<Option<(&'static str, u32)>> {
        for key in ["word_embed_proj_dim", "embedding_size"] {
            if let Some(width) = self.positive(&[key], most::WIDTH)?
                && hidden.is_some_and(|hidden| hidden != width)
            {
                return Ok(Some((key, width)));
            }
        }
        Ok(None)
    }

    /// Refuses networks of other kinds, by name; `known` is whether the type is.
    pub(super) fn refuse_other_kinds(&self, known: bool) -> Result<()> {
        let hidden = self.positive(&HIDDEN, most::WIDTH)?;
        let classes = self.texts("architectures")?.unwrap_or_default();
        let class = classes.first().copied().unwrap_or_default();
        let kind = self.text("model_type")?;
        let name = if kind.is_empty() { class } else { kind };
        let is = |other: &str| {
            [kind, class].iter().any(|text| {
                let text = text.to_lowercase();
                text.starts_with(other) || text.ends_with(&format!("_{other}"))
            })
        };
        let fact = if !known
            && (OTHER_KINDS.iter().any(|other| is(other)) || types::is_other(kind)?)
        {
            "whose layers are not known".to_owned()
        } else if let Some(key) = OTHER_KEYS.iter().find(|key| self.value(key).is_some()) {
            format!("whose key '{key}' belongs to layers that are no attention")
        } else if !known && !class.is_empty() && !WRITERS.iter().any(|end| class.ends_with(end)) {
            let class = shown(class);
            format!("of which the class, '{class}', is not one that writes text")
        } else if !matches!(kind, "opt" | "electra")
            && let Some((key, width)) = self.other_width(hidden)?
        {
            format!(
                "whose words are {width} wide ('{key}') in a stream of {}",
                hidden.unwrap_or(0)
            )
        } else if self.flag("is_encoder_decoder")? == Some(true) {
            "which has an encoder and a decoder".to_owned()
        } else {
            return Ok(());
        };
        let name = shown(if name.is_empty() { "network" } else { name });
        self.refuse(format!(
            "configures a '{name}', {fact}; its shapes are not known"
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
        for kind in ["rwkv", "rwkv5", "recurrent_gemma", "xlstm"] {
            let error = read(&json!({"model_type": kind})).unwrap_err();
            assert!(
                error.starts_with(&format!(
                    "configures a '{kind}', whose layers are not known"
                )),
                "{error}"
            );
        }
        let class = json!({"model_type": "", "architectures": ["RwkvForCausalLM"]});
        assert!(read(&class).unwrap_err().contains("'RwkvForCausalLM'"));
        let key = read(&json!({"model_type": "new", "ssm_cfg": {}})).unwrap_err();
        assert!(key.contains("'new', whose key 'ssm_cfg'"), "{key}");
        let both = read(&json!({"model_type": "new", "is_encoder_decoder": true})).unwrap_err();
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
        let formats = read(&fp8).unwrap().formats.unwrap();
        assert!(formats.weights.iter().all(|(_, stored)| stored.bits == 8));
        assert_eq!(formats.activations, Some(8));
        let limited = read(&json!({"max_position_embeddings": 4096})).unwrap();
        assert_eq!(limited.context_limit, Some(4096));
        assert_eq!(read(&json!({})).unwrap().context_limit, None);
    }

    #[test]
    fn a_key_of_another_type_is_never_counted_as_absent() {
        for (key, value) in [
            ("num_key_value_heads", json!("8")),
            ("num_key_value_heads", json!(2.5)),
            ("head_dim", json!(true)),
            ("num_local_experts", json!("4")),
            ("sliding_window", json!("4096")),
            ("tie_word_embeddings", json!("false")),
            ("use_sliding_window", json!(1)),
            ("layer_types", json!([1, 2])),
            ("layer_types", json!("full_attention")),
            ("max_position_embeddings", json!({})),
            ("kv_lora_rank", json!("512")),
            ("torch_dtype", json!(32)),
            ("model_type", json!(1)),
            ("architectures", json!("LlamaForCausalLM")),
            ("text_config", json!([])),
            ("quantization_config", json!("fp8")),
            (
                "quantization_config",
                json!({"bits": "4", "quant_method": "gptq"}),
            ),
        ] {
            let error = read(&json!({key: value})).unwrap_err();
            let inner = if key == "quantization_config" && value.is_object() {
                "bits"
            } else {
                key
            };
            assert!(
                error.starts_with(&format!("the key '{inner}' is ")),
                "{key}: {error}"
            );
            assert!(error.ends_with(": config.json"), "{error}");
            // What is null is not there.
            if key != "quantization_config" {
                assert!(read(&json!({key: null})).is_ok(), "{key}");
            }
        }
    }

    #[test]
    fn a_number_beyond_any_network_is_refused_at_once() {
        for key in [
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "intermediate_size",
            "vocab_size",
            "num_local_experts",
            "sliding_window",
            "kv_lora_rank",
        ] {
            for value in [json!(4_294_967_295u32), json!(u64::MAX)] {
                let error = read(&json!({key: value})).unwrap_err();
                assert!(
                    error.starts_with(&format!("the key '{key}' is {value}; it must lie between")),
                    "{error}"
                );
            }
            assert!(read(&json!({key: -1})).is_err(), "{key}");
        }
        // Every number by itself could be, all of them together no network.
        let all = json!({"hidden_size": 1 << 20, "num_hidden_layers": 4096, "intermediate_size": 1 << 20});
        let error = read(&all).unwrap_err();
        assert!(error.starts_with("its shapes have 2.7"), "{error}");
    }

    #[test]
    fn parts_are_no_more_than_their_whole() {
        let mixture = |active: u32, dense: u32| {
            read(&json!({
                "num_local_experts": 2, "num_experts_per_tok": active, "first_k_dense_replace": dense
            }))
        };
        assert_eq!(
            mixture(8, 0).unwrap_err(),
            "'num_experts_per_tok' is 8, more than 'num_local_experts', 2: config.json"
        );
        assert_eq!(
            mixture(2, 3).unwrap_err(),
            "'first_k_dense_replace' is 3, more than 'num_hidden_layers', 2: config.json"
        );
        assert!(mixture(2, 1).is_ok());
        assert_eq!(
            read(&json!({"sliding_window": 64, "layer_types": ["full_attention"]})).unwrap_err(),
            "'layer_types' has 1 entries for the 2 layers of 'num_hidden_layers': config.json"
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let text = r#"{"hidden_size": 64, "num_hidden_layers": 2, "hidden_size": 128}"#;
        let error = parse(text, Path::new("config.json"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("is not JSON ('hidden_size' stands there twice"),
            "{error}"
        );
    }

    #[test]
    fn a_name_that_acts_on_a_terminal_is_written_out() {
        let text = "{\"_class_name\": \"\\u001b]0;owned\\u0007\"}";
        let error = parse(text, Path::new("config.json"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(r"'\u001b]0;owned\u0007'"), "{error}");
    }
}
