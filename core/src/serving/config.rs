//! Shapes out of a published configuration file (`config.json`).

use std::path::Path;

use serde_json::Value;

use super::architecture::{Architecture, Experts, LatentAttention, Shape, Transformer, Window};
use super::denoiser::{DiffusionTransformer, UNet};
use crate::error::{Error, Result};

/// Reads the shapes of a network from its published configuration: decoders and encoders of text, diffusion
/// transformers and U-Nets.
///
/// # Errors
/// [`Error::File`] when the file cannot be read, is not a configuration, or lacks a key; the key is named.
pub fn open(path: &Path) -> Result<Architecture> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::file(format!("cannot be read ({error})"), path))?;
    parse(&text, path)
}

/// Reads the shapes of a network from the text of its configuration.
///
/// # Errors
/// As [`open`].
fn parse(text: &str, path: &Path) -> Result<Architecture> {
    let config: Value = serde_json::from_str(text)
        .map_err(|error| Error::file(format!("is not JSON ({error})"), path))?;
    if !config.is_object() {
        return Err(Error::file("is not a configuration: it has no keys", path));
    }
    let keys = Keys {
        config: &config,
        path,
    };
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
        shape,
    })
}

/// Bits per weight by the quantisation that a configuration states, if any.
fn published_bits(config: &Value) -> Option<u8> {
    let quantization = config.get("quantization_config")?;
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
        let hidden = self.number(&["hidden_size", "n_embd", "d_model", "dim"])?;
        let layers = self.number(&["num_hidden_layers", "n_layer", "num_layers", "n_layers"])?;
        let heads = self.number(&["num_attention_heads", "n_head", "num_heads", "n_heads"])?;
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
            .maybe(&["num_key_value_heads", "num_kv_heads"])
            .unwrap_or(if multi_query { 1 } else { heads });
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
            head_dim: self.maybe(&["head_dim"]).unwrap_or(hidden / heads.max(1)),
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

    fn diffusion_transformer(&self, class: &str) -> Result<DiffusionTransformer> {
        let heads = self.number(&["num_attention_heads"])?;
        let hidden = heads * self.number(&["attention_head_dim"])?;
        let joint = self.number(&["num_layers"])?;
        let cross = ["PixArt", "Wan", "HunyuanDiT", "LTX", "Sana"]
            .iter()
            .any(|name| class.contains(name));
        let video = ["Video", "Wan", "CogVideo", "LTX", "Mochi"]
            .iter()
            .any(|name| class.contains(name));
        let guided = !["Flux", "HunyuanVideo"]
            .iter()
            .any(|name| class.contains(name));
        let second = self
            .config
            .get("dual_attention_layers")
            .and_then(Value::as_array)
            .map_or(0, |layers| u32::try_from(layers.len()).unwrap_or(0));
        // Packed latents count as patches of two.
        let patch = match self.maybe(&["patch_size"]) {
            Some(1) | None if class.contains("Flux") => 2,
            Some(patch) => patch,
            None => 2,
        };
        Ok(DiffusionTransformer {
            hidden,
            heads,
            joint_layers: joint,
            single_layers: self.maybe(&["num_single_layers"]).unwrap_or(0),
            second_attention_layers: second,
            ffn: self.maybe(&["ffn_dim"]).unwrap_or(4 * hidden),
            cross_attention: cross,
            shared_streams: class.contains("CogVideo"),
            latent_downsampling: 8,
            patch,
            frame_downsampling: if video { 4 } else { 1 },
            text_tokens: if class.contains("Flux") || class.contains("Wan") {
                512
            } else {
                333
            },
            text_encoder_parameters: 4.76e9,
            guidance_passes: if guided { 2 } else { 1 },
            steps: if video { 50 } else { 28 },
            height: if video { 480 } else { 1024 },
            width: if video { 832 } else { 1024 },
            frames: if video { 81 } else { 1 },
        })
    }

    fn unet(&self) -> Result<UNet> {
        let channels = self.numbers("block_out_channels")?;
        let context = self.number(&["cross_attention_dim"])?;
        let kinds: Vec<bool> = self
            .config
            .get("down_block_types")
            .and_then(Value::as_array)
            .ok_or_else(|| {
                Error::file(
                    "the key 'down_block_types' is missing or not a list",
                    self.path,
                )
            })?
            .iter()
            .map(|kind| {
                kind.as_str()
                    .is_some_and(|kind| kind.starts_with("CrossAttn"))
            })
            .collect();
        let depths = self.config.get("transformer_layers_per_block");
        let depth = |level: usize| -> [u32; 2] {
            if !kinds.get(level).copied().unwrap_or(false) {
                return [0, 0];
            }
            let whole = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
            match depths {
                Some(Value::Array(levels)) => match levels.get(level) {
                    Some(Value::Array(pair)) => [
                        pair.first().and_then(whole).unwrap_or(1),
                        pair.get(1).and_then(whole).unwrap_or(1),
                    ],
                    Some(one) => [whole(one).unwrap_or(1); 2],
                    None => [1; 2],
                },
                Some(one) => [whole(one).unwrap_or(1); 2],
                None => [1; 2],
            }
        };
        let transformer_layers: Vec<[u32; 2]> = (0..channels.len()).map(depth).collect();
        let deepest = transformer_layers.last().map_or(1, |last| last[1].max(1));
        let side = 8 * self.maybe(&["sample_size"]).unwrap_or(64);
        Ok(UNet {
            channels,
            transformer_layers,
            up_transformer_layers: None,
            middle_transformer_layers: match self.config.get("mid_block_type") {
                Some(Value::Null) => None,
                _ => Some(deepest),
            },
            context,
            temporal: false,
            text_tokens: 77,
            text_encoder_parameters: if context >= 2048 { 0.82e9 } else { 0.12e9 },
            guidance_passes: 2,
            steps: 50,
            height: side,
            width: side,
            frames: 1,
        })
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
