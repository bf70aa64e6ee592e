//! Shapes out of a published configuration file (`config.json`).

mod checks;
mod denoisers;

use std::path::Path;

use serde_json::Value;

use super::architecture::{Architecture, Experts, LatentAttention, Shape, Transformer, Window};
use super::denoiser::UNet;
use crate::error::{Error, Result};
use crate::files;
use checks::published_bits;

/// Reads the shapes of a network from its published configuration: decoders and encoders of text, diffusion
/// transformers and U-Nets.
///
/// # Errors
/// [`Error::File`] when the file cannot be read, is not a configuration, or lacks a key; the key is named.
pub fn open(path: &Path) -> Result<Architecture> {
    /// Those of published classifiers name thousands of classes and have hundreds of kilobytes.
    const LONGEST: u64 = 16 << 20;
    parse(&files::read_text(path, LONGEST)?, path)
}

/// Reads the shapes of a network from the text of its configuration.
///
/// # Errors
/// As [`open`].
fn parse(text: &str, path: &Path) -> Result<Architecture> {
    // Some editors put a byte order mark first.
    let config: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| Error::file(format!("is not JSON ({error})"), path))?;
    if !config.is_object() {
        return Err(Error::file("is not a configuration: it has no keys", path));
    }
    let keys = Keys {
        config: &config,
        path,
    };
    let mut context_limit = None;
    let shape = match config.get("_class_name").and_then(Value::as_str) {
        Some("UNet2DConditionModel") => Shape::UNet(keys.unet()?),
        Some("UNet3DConditionModel") => Shape::UNet(UNet {
            temporal: true,
            frames: 16,
            ..keys.unet()?
        }),
        Some(class) if class.contains("Transformer") => {
            Shape::DiffusionTransformer(keys.diffusion_transformer(class)?)
        }
        Some(class) => {
            return Err(Error::file(
                format!("configures a '{class}', whose shapes are not known"),
                path,
            ));
        }
        None => {
            // Models of text and images keep the text part inside.
            let inner = config
                .get("text_config")
                .filter(|inner| inner.get("hidden_size").is_some());
            let keys = Keys {
                config: inner.unwrap_or(&config),
                path,
            };
            context_limit = keys.context_limit();
            Shape::Transformer(keys.transformer()?)
        }
    };
    let parameters = match &shape {
        Shape::Transformer(network) => network.parameters().total(),
        Shape::DiffusionTransformer(network) => network.parameters(),
        Shape::UNet(network) => network.count(64, 64).parameters,
        Shape::Layers(list) => list.parameters(),
    };
    let name = path.parent().and_then(Path::file_name).map_or_else(
        || "network".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let family = config
        .get("model_type")
        .or_else(|| config.get("_class_name"))
        .and_then(Value::as_str)
        .unwrap_or("unknown")
        .to_owned();
    Ok(Architecture {
        id: name,
        names: Vec::new(),
        family,
        source: path.display().to_string(),
        parameters,
        weight_bits: published_bits(&config),
        expert_bits: None,
        context_limit,
        shape,
    })
}

/// Names of the width of the residual stream.
const HIDDEN: [&str; 4] = ["hidden_size", "n_embd", "d_model", "dim"];
/// Names of the number of query heads.
const HEADS: [&str; 4] = ["num_attention_heads", "n_head", "num_heads", "n_heads"];
/// Names of the number of heads of keys and values.
const KV_HEADS: [&str; 2] = ["num_key_value_heads", "num_kv_heads"];

struct Keys<'a> {
    config: &'a Value,
    path: &'a Path,
}

impl Keys<'_> {
    /// A whole number under the first of several names.
    fn maybe(&self, names: &[&str]) -> Option<u32> {
        names
            .iter()
            .find_map(|name| self.config.get(name).and_then(Value::as_u64))
            .and_then(|value| u32::try_from(value).ok())
    }

    fn number(&self, names: &[&str]) -> Result<u32> {
        self.maybe(names).filter(|value| *value > 0).ok_or_else(|| {
            let name = names.first().copied().unwrap_or_default();
            Error::file(
                format!("the key '{name}' is missing or not a positive whole number"),
                self.path,
            )
        })
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.config.get(name).and_then(Value::as_bool)
    }

    fn text(&self, name: &str) -> &str {
        self.config
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn numbers(&self, name: &str) -> Result<Vec<u32>> {
        self.config
            .get(name)
            .and_then(Value::as_array)
            .map(|values| {
                values
                    .iter()
                    .filter_map(|value| value.as_u64().and_then(|value| u32::try_from(value).ok()))
                    .collect::<Vec<u32>>()
            })
            .filter(|values| !values.is_empty())
            .ok_or_else(|| {
                Error::file(
                    format!("the key '{name}' is missing or not a list of whole numbers"),
                    self.path,
                )
            })
    }

    fn transformer(&self) -> Result<Transformer> {
        let family = self.text("model_type");
        self.refuse_other_kinds()?;
        let hidden = self.number(&HIDDEN)?;
        let layers = self.number(&["num_hidden_layers", "n_layer", "num_layers", "n_layers"])?;
        let heads = self.number(&HEADS)?;
        let plain = [
            "gpt2",
            "gpt_neox",
            "bert",
            "roberta",
            "distilbert",
            "phi",
            "starcoder2",
            "bloom",
            "opt",
            "falcon",
        ];
        let gated = !plain.contains(&family);
        let encoder = ["bert", "roberta", "distilbert"].contains(&family);
        let multi_query = self.flag("multi_query").unwrap_or(false);
        let kv_heads = self
            .maybe(&KV_HEADS)
            .unwrap_or(if multi_query { 1 } else { heads });
        let head_dim = self.maybe(&["head_dim"]);
        if head_dim.is_none() {
            self.divisible((&HIDDEN, hidden), (&HEADS, heads))?;
        }
        self.divisible((&HEADS, heads), (&KV_HEADS, kv_heads))?;
        let count = self.maybe(&["num_experts", "num_local_experts", "n_routed_experts"]);
        let inner = self.maybe(&[
            "intermediate_size",
            "n_inner",
            "ffn_dim",
            "hidden_dim",
            "ff_intermediate_size",
        ]);
        let inner = match inner {
            Some(inner) => inner,
            None if !gated => 4 * hidden,
            None => self.number(&["intermediate_size"])?,
        };
        let experts = count
            .filter(|count| *count > 1)
            .map(|count| self.experts(count, inner, layers))
            .transpose()?;
        Ok(Transformer {
            hidden,
            layers,
            heads,
            kv_heads,
            head_dim: head_dim.unwrap_or(hidden / heads),
            ffn: match &experts {
                Some(experts) if experts.dense_layers == 0 => 0,
                _ => self.maybe(&["intermediate_size_mlp"]).unwrap_or(inner),
            },
            gated,
            vocabulary: self.number(&["vocab_size", "padded_vocab_size"])?,
            tied: self.flag("tie_word_embeddings").unwrap_or(
                ["gpt2", "gemma", "gemma2", "gemma3", "gemma3_text", "bloom"].contains(&family)
                    || encoder,
            ),
            window: self.window(layers),
            experts,
            latent: self.maybe(&["kv_lora_rank"]).map(|rank| LatentAttention {
                query: self.maybe(&["q_lora_rank"]).unwrap_or(0),
                key_value: rank,
                rotary: self.maybe(&["qk_rope_head_dim"]).unwrap_or(64),
                plain: self.maybe(&["qk_nope_head_dim"]).unwrap_or(128),
                value: self.maybe(&["v_head_dim"]).unwrap_or(128),
            }),
            encoder,
        })
    }

    fn experts(&self, count: u32, inner: u32, layers: u32) -> Result<Experts> {
        let ffn = self
            .maybe(&["moe_intermediate_size", "expert_intermediate_size"])
            .unwrap_or(inner);
        let shared = self
            .maybe(&[
                "shared_expert_intermediate_size",
                "moe_shared_expert_intermediate_size",
            ])
            .unwrap_or_else(|| {
                ffn * self
                    .maybe(&["n_shared_experts", "num_shared_experts"])
                    .unwrap_or(0)
            });
        let llama4 = self.text("model_type").starts_with("llama4");
        let every = self
            .maybe(&["interleave_moe_layer_step"])
            .filter(|every| *every > 0)
            .unwrap_or(1);
        Ok(Experts {
            count,
            active: self.number(&[
                "num_experts_per_tok",
                "experts_per_token",
                "num_experts_per_token",
                "moe_topk",
            ])?,
            ffn,
            shared_ffn: if llama4 { ffn } else { shared },
            dense_layers: self
                .maybe(&["first_k_dense_replace"])
                .unwrap_or(layers - layers / every)
                .min(layers),
        })
    }

    /// Sliding windows: by the list of layer types where there is one, else by the pattern of the family.
    fn window(&self, layers: u32) -> Option<Window> {
        let tokens = self.maybe(&["sliding_window", "attention_chunk_size"])?;
        if self.flag("use_sliding_window") == Some(false) {
            return None;
        }
        let full_every = if let Some(types) =
            self.config.get("layer_types").and_then(Value::as_array)
        {
            let full = types
                .iter()
                .filter(|kind| kind.as_str() == Some("full_attention"))
                .count();
            match u32::try_from(full).unwrap_or(layers) {
                0 => 0,
                full => (layers / full).max(1),
            }
        } else {
            match self.text("model_type") {
                "gemma2" => 2,
                "gemma3" | "gemma3_text" => self.maybe(&["sliding_window_pattern"]).unwrap_or(6),
                "gpt_oss" => 2,
                "llama4_text" | "llama4" => 4,
                _ => self.maybe(&["sliding_window_pattern"]).unwrap_or(0),
            }
        };
        (full_every != 1).then_some(Window { tokens, full_every })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::catalogue::architecture;

    fn read(text: &str) -> Result<Architecture> {
        parse(text, Path::new("folder/config.json"))
    }

    #[test]
    fn a_llama_configuration_gives_the_shapes_of_the_catalogue() {
        let network = read(
            r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": false}"#,
        )
        .unwrap();
        assert_eq!(network.shape, architecture("llama-3-1-8b").unwrap().shape);
    }

    #[test]
    fn mixtures_and_latent_attention_are_read() {
        let network = read(
            r#"{"model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
                "num_key_value_heads": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048,
                "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
                "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
                "v_head_dim": 128, "vocab_size": 129280, "head_dim": 128}"#,
        )
        .unwrap();
        assert_eq!(network.shape, architecture("deepseek-v3").unwrap().shape);
    }

    #[test]
    fn a_u_net_and_a_flux_transformer_are_read() {
        let network = read(
            r#"{"_class_name": "UNet2DConditionModel", "block_out_channels": [320, 640, 1280], "cross_attention_dim": 2048,
                "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                "transformer_layers_per_block": [1, 2, 10], "sample_size": 128}"#,
        )
        .unwrap();
        assert_eq!(
            network.shape,
            architecture("stable-diffusion-xl").unwrap().shape
        );
        let network = read(
            r#"{"_class_name": "FluxTransformer2DModel", "num_layers": 19, "num_single_layers": 38,
                "num_attention_heads": 24, "attention_head_dim": 128, "patch_size": 1}"#,
        )
        .unwrap();
        assert_eq!(network.shape, architecture("flux-1-dev").unwrap().shape);
    }

    #[test]
    fn the_missing_key_is_named() {
        for (text, fact) in [
            ("{}", "the key 'hidden_size' is missing"),
            (
                r#"{"hidden_size": 8, "num_hidden_layers": 2}"#,
                "the key 'num_attention_heads' is missing",
            ),
            (
                r#"{"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 9}"#,
                "the key 'vocab_size' is missing",
            ),
            (
                r#"{"_class_name": "AutoencoderKL"}"#,
                "configures a 'AutoencoderKL'",
            ),
            ("[1]", "it has no keys"),
            ("weights", "is not JSON"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(fact), "{text}: {error}");
            assert!(error.ends_with("folder/config.json"), "{error}");
        }
    }
}
