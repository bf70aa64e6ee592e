//! Shapes out of a published configuration file (`config.json`).

mod checks;
mod denoisers;
mod keys;

use std::path::Path;

use super::architecture::{
    Architecture, Biases, Experts, LatentAttention, Shape, Transformer, Window,
};
use super::denoiser::UNet;
use crate::error::{Error, Result};
use crate::files;
use crate::unique;
use keys::{Keys, most, shown};

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
pub fn parse(text: &str, path: &Path) -> Result<Architecture> {
    // Some editors put a byte order mark first.
    let config = unique::json(text.trim_start_matches('\u{feff}').as_bytes())
        .map_err(|error| Error::file(format!("is not JSON ({error})"), path))?;
    if !config.is_object() {
        return Err(Error::file("is not a configuration: it has no keys", path));
    }
    let keys = Keys {
        config: &config,
        path,
    };
    let mut context_limit = None;
    let shape = match keys.text("_class_name")? {
        "UNet2DConditionModel" => Shape::UNet(keys.unet()?),
        "UNet3DConditionModel" => Shape::UNet(UNet {
            temporal: true,
            frames: 16,
            ..keys.unet()?
        }),
        class if class.contains("Transformer") => {
            Shape::DiffusionTransformer(keys.diffusion_transformer(class)?)
        }
        "" => {
            // Models of text and images keep the text part inside.
            let inner = keys
                .inner("text_config")?
                .filter(|inner| inner.value("hidden_size").is_some());
            let keys = inner.as_ref().unwrap_or(&keys);
            context_limit = keys.context_limit()?;
            Shape::Transformer(keys.transformer()?)
        }
        class => {
            let class = shown(class);
            return keys.refuse(format!(
                "configures a '{class}', whose shapes are not known"
            ));
        }
    };
    let parameters = match &shape {
        Shape::Transformer(network) => network.parameters(),
        Shape::DiffusionTransformer(network) => network.parameters(),
        Shape::UNet(network) => network.count(64, 64).parameters,
        Shape::Layers(list) => list.parameters(),
    };
    if !PARAMETERS.contains(&parameters) {
        return keys.refuse(format!(
            "its shapes have {parameters:.3e} parameters; networks of {:e} to {:e} are known",
            PARAMETERS.start(),
            PARAMETERS.end()
        ));
    }
    let name = path.parent().and_then(Path::file_name).map_or_else(
        || "network".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let family = match (keys.text("model_type")?, keys.text("_class_name")?) {
        ("", "") => "unknown",
        ("", class) => class,
        (kind, _) => kind,
    };
    Ok(Architecture {
        id: name,
        names: Vec::new(),
        family: shown(family),
        source: path.display().to_string(),
        parameters,
        weight_bits: keys.published_bits()?,
        expert_bits: None,
        formats: None,
        notes: Vec::new(),
        context_limit,
        shape,
    })
}

/// Parameters that a network can have; those of a size that is asked for have the same end.
const PARAMETERS: std::ops::RangeInclusive<f64> = 1.0..=1e15;

/// Names of the width of the residual stream.
const HIDDEN: [&str; 4] = ["hidden_size", "n_embd", "d_model", "dim"];
/// Names of the number of layers.
const LAYERS: [&str; 4] = ["num_hidden_layers", "n_layer", "num_layers", "n_layers"];
/// Names of the number of query heads.
const HEADS: [&str; 4] = ["num_attention_heads", "n_head", "num_heads", "n_heads"];
/// Names of the number of heads of keys and values.
const KV_HEADS: [&str; 2] = ["num_key_value_heads", "num_kv_heads"];
/// Names of the number of experts in a layer.
const EXPERTS: [&str; 3] = ["num_experts", "num_local_experts", "n_routed_experts"];
/// Names of the number of experts that a token is sent to.
const ACTIVE: [&str; 4] = [
    "num_experts_per_tok",
    "experts_per_token",
    "num_experts_per_token",
    "moe_topk",
];
/// Name of the number of layers before the first with experts.
const DENSE: [&str; 1] = ["first_k_dense_replace"];

impl Keys<'_> {
    fn transformer(&self) -> Result<Transformer> {
        let family = self.text("model_type")?;
        self.refuse_other_kinds()?;
        let hidden = self.number(&HIDDEN, most::WIDTH)?;
        let layers = self.number(&LAYERS, most::LAYERS)?;
        let heads = self.number(&HEADS, most::PARTS)?;
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
        let multi_query = self.flag("multi_query")?.unwrap_or(false);
        let kv_heads = self
            .maybe(&KV_HEADS, most::PARTS)?
            .unwrap_or(if multi_query { 1 } else { heads });
        let head_dim = self.positive(&["head_dim"], most::HEAD)?;
        if head_dim.is_none() {
            self.divisible((&HIDDEN, hidden), (&HEADS, heads))?;
        }
        self.divisible((&HEADS, heads), (&KV_HEADS, kv_heads))?;
        let count = self.maybe(&EXPERTS, most::PARTS)?;
        let inner = self.positive(
            &[
                "intermediate_size",
                "n_inner",
                "ffn_dim",
                "hidden_dim",
                "ff_intermediate_size",
            ],
            most::WIDTH,
        )?;
        let inner = match inner {
            Some(inner) => inner,
            None if !gated => 4 * hidden,
            None => self.number(&["intermediate_size"], most::WIDTH)?,
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
                _ => self
                    .positive(&["intermediate_size_mlp"], most::WIDTH)?
                    .unwrap_or(inner),
            },
            gated,
            vocabulary: self.number(&["vocab_size", "padded_vocab_size"], most::VOCABULARY)?,
            tied: self.flag("tie_word_embeddings")?.unwrap_or(
                [
                    "gpt2",
                    "gemma",
                    "gemma2",
                    "gemma3",
                    "gemma3_text",
                    "bloom",
                    "opt",
                ]
                .contains(&family)
                    || encoder,
            ),
            window: self.window(layers)?,
            experts,
            latent: self.latent()?,
            attention_weights: None,
            encoder,
            positions: self.positions(family)?,
            biases: self.biases(family)?,
            blocks: Vec::new(),
            tables: Vec::new(),
        })
    }

    /// Rows of the table of learned positions, in families that have one.
    fn positions(&self, family: &str) -> Result<u32> {
        const ROWS: [&str; 3] = ["n_positions", "max_position_embeddings", "n_ctx"];
        Ok(match family {
            "gpt2" | "gpt_bigcode" | "bert" | "roberta" | "distilbert" => {
                self.maybe(&ROWS, most::TOKENS)?.unwrap_or(0)
            }
            // Two rows are kept for what is no position.
            "opt" => self.maybe(&ROWS, most::TOKENS)?.map_or(0, |rows| rows + 2),
            _ => 0,
        })
    }

    /// Which parts have biases, as the published code of the family has them.
    fn biases(&self, family: &str) -> Result<Biases> {
        let attention = self.flag("attention_bias")?.unwrap_or(false);
        Ok(match family {
            "gpt2" | "gpt_bigcode" | "gpt_neox" | "bert" | "roberta" | "distilbert" | "opt"
            | "bloom" | "phi" => Biases::ALL,
            "starcoder2" if self.flag("use_bias")?.unwrap_or(true) => Biases::ALL,
            "falcon" | "starcoder2" => Biases {
                norms: true,
                ..Biases::default()
            },
            "qwen2" | "qwen2_moe" => Biases {
                queries_keys_values: true,
                ..Biases::default()
            },
            _ => Biases {
                queries_keys_values: attention,
                ..Biases::default()
            },
        })
    }

    fn latent(&self) -> Result<Option<LatentAttention>> {
        let Some(rank) = self.positive(&["kv_lora_rank"], most::WIDTH)? else {
            return Ok(None);
        };
        let width =
            |name, usual| -> Result<u32> { Ok(self.maybe(&[name], most::HEAD)?.unwrap_or(usual)) };
        Ok(Some(LatentAttention {
            query: self.maybe(&["q_lora_rank"], most::WIDTH)?.unwrap_or(0),
            key_value: rank,
            rotary: width("qk_rope_head_dim", 64)?,
            plain: width("qk_nope_head_dim", 128)?,
            value: width("v_head_dim", 128)?,
        }))
    }

    fn experts(&self, count: u32, inner: u32, layers: u32) -> Result<Experts> {
        let ffn = self
            .positive(
                &["moe_intermediate_size", "expert_intermediate_size"],
                most::WIDTH,
            )?
            .unwrap_or(inner);
        let shared = self.maybe(
            &[
                "shared_expert_intermediate_size",
                "moe_shared_expert_intermediate_size",
            ],
            most::WIDTH,
        )?;
        let shared = match shared {
            Some(shared) => shared,
            None => {
                let names = ["n_shared_experts", "num_shared_experts"];
                ffn * self.maybe(&names, most::SHARED)?.unwrap_or(0)
            }
        };
        let llama4 = self.text("model_type")?.starts_with("llama4");
        let every = self
            .maybe(&["interleave_moe_layer_step"], most::LAYERS)?
            .filter(|every| *every > 0)
            .unwrap_or(1);
        let active = self.number(&ACTIVE, most::PARTS)?;
        self.at_most((&ACTIVE, active), (&EXPERTS, count))?;
        let dense_layers = self
            .maybe(&DENSE, most::LAYERS)?
            .unwrap_or(layers - layers / every);
        self.at_most((&DENSE, dense_layers), (&LAYERS, layers))?;
        Ok(Experts {
            count,
            active,
            ffn,
            shared_ffn: if llama4 { ffn } else { shared },
            dense_layers,
        })
    }

    /// Sliding windows: by the list of layer types where there is one, else by the pattern of the family.
    fn window(&self, layers: u32) -> Result<Option<Window>> {
        let names = ["sliding_window", "attention_chunk_size"];
        let tokens = self
            .maybe(&names, most::TOKENS)?
            .filter(|tokens| *tokens > 0);
        let used = self.flag("use_sliding_window")?;
        let pattern = self.maybe(&["sliding_window_pattern"], most::LAYERS)?;
        let kinds = self.texts("layer_types")?;
        if let Some(kinds) = &kinds
            && u32::try_from(kinds.len()) != Ok(layers)
        {
            return self.refuse(format!(
                "'layer_types' has {} entries for the {layers} layers of '{}'",
                kinds.len(),
                LAYERS[0]
            ));
        }
        let (Some(tokens), None | Some(true)) = (tokens, used) else {
            return Ok(None);
        };
        let full_every = if let Some(kinds) = kinds {
            let full = kinds
                .iter()
                .filter(|kind| **kind == "full_attention")
                .count();
            match u32::try_from(full).unwrap_or(layers) {
                0 => 0,
                full => (layers / full).max(1),
            }
        } else {
            match self.text("model_type")? {
                "gemma2" => 2,
                "gemma3" | "gemma3_text" => pattern.unwrap_or(6),
                "gpt_oss" => 2,
                "llama4_text" | "llama4" => 4,
                _ => pattern.unwrap_or(0),
            }
        };
        Ok((full_every != 1).then_some(Window { tokens, full_every }))
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
