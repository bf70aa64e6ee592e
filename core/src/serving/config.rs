//! Shapes out of a published configuration file (`config.json`).

mod blocks;
mod checks;
mod count;
mod denoisers;
mod experts;
mod images;
mod keys;
mod pairs;
mod quantization;
mod states;
mod tower_classes;
mod towers;
mod transformer;
mod types;

use std::path::Path;

use serde_json::Value;

use super::architecture::{Architecture, Shape, Summed};
use super::denoiser::UNet;
use crate::error::{Error, Result};
use crate::files;
use crate::unique;
use keys::{Keys, shown};
use transformer::HIDDEN;

/// Reads the shapes of a network from its published configuration: decoders and encoders of text, diffusion
/// transformers and U-Nets; of a pipeline (`model_index.json`) those of its denoiser. `hf_quant_config.json` beside it says
/// how its numbers are stored.
///
/// # Errors
/// [`Error::File`] when the file cannot be read, is not a configuration, or lacks a key; the key is named.
pub fn open(path: &Path) -> Result<Architecture> {
    let text = files::read_text(path, LONGEST)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    if path.file_name().is_some_and(|name| name == PIPELINE) {
        for part in ["transformer", "unet"] {
            let denoiser = folder.join(part).join("config.json");
            if denoiser.is_file() {
                return open(&denoiser);
            }
        }
    }
    let quantized = folder.join("hf_quant_config.json");
    let beside = if quantized.is_file() {
        Some(json(&files::read_text(&quantized, LONGEST)?, &quantized)?)
    } else {
        None
    };
    parse_with(&text, path, beside.as_ref())
}

/// Those of published classifiers name thousands of classes and have hundreds of kilobytes.
const LONGEST: u64 = 16 << 20;
/// The file that says which parts a pipeline has.
const PIPELINE: &str = "model_index.json";

/// Reads the shapes of a network from the text of its configuration.
///
/// # Errors
/// As [`open`].
pub fn parse(text: &str, path: &Path) -> Result<Architecture> {
    parse_with(text, path, None)
}

/// JSON as Python writes it, in which numbers may be `NaN` or `Infinity`: these are no numbers here.
fn json(text: &str, path: &Path) -> Result<Value> {
    // Some editors put a byte order mark first.
    let text = text.trim_start_matches('\u{feff}');
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    'next: while let Some(c) = rest.chars().next() {
        if !quoted {
            for word in ["-Infinity", "Infinity", "NaN"] {
                if let Some(after) = rest.strip_prefix(word) {
                    plain += "null";
                    rest = after;
                    continue 'next;
                }
            }
        }
        let mut taken = c.len_utf8();
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => taken += rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        plain += &rest[..taken];
        rest = &rest[taken..];
    }
    unique::json(plain.as_bytes())
        .map_err(|error| Error::file(format!("is not JSON ({error})"), path))
}

/// What a file is that is no configuration of a network, and what to open instead.
fn other_file(config: &Value) -> Option<String> {
    let has = |key: &str| config.get(key).is_some_and(|value| !value.is_null());
    let shaped = has("hidden_size") || has("model_type") || has("_class_name");
    let fact = if has("weight_map") {
        "is the index of a sharded checkpoint; open the config.json beside it, or the folder"
    } else if has("peft_type") {
        "configures an adapter (LoRA or the like), not a network; open the config.json of its base model"
    } else if !shaped && has("tokenizer_class") {
        "configures a tokenizer, not a network; open the config.json beside it"
    } else if !shaped && (has("eos_token_id") || has("max_new_tokens") || has("temperature")) {
        "configures generation, not a network; open the config.json beside it"
    } else if !shaped && has("quantization") && has("producer") {
        "says how numbers are stored, not what the network is; open the config.json beside it"
    } else if !shaped && (has("image_processor_type") || has("processor_class")) {
        "configures how inputs are prepared, not a network; open the config.json beside it"
    } else {
        return None;
    };
    Some(fact.to_owned())
}

fn parse_with(text: &str, path: &Path, beside: Option<&Value>) -> Result<Architecture> {
    let config = json(text, path)?;
    if !config.is_object() {
        return Err(Error::file("is not a configuration: it has no keys", path));
    }
    if let Some(fact) = other_file(&config) {
        return Err(Error::file(fact, path));
    }
    let keys = Keys::new(&config, path);
    let mut context_limit = None;
    let mut formats = None;
    let mut notes = Vec::new();
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
        class if class.ends_with("Pipeline") => {
            let class = shown(class);
            return keys.refuse(format!(
                "lists the parts of a '{class}'; open the config.json in its folder 'transformer' or 'unet'"
            ));
        }
        "" => {
            let other = match keys.images(&mut notes)? {
                None => keys.pairs(&mut notes)?,
                images => images,
            };
            let read = match other {
                Some(read) => {
                    context_limit = keys.context_limit()?;
                    read
                }
                None => {
                    let (mut language, sees) = keys.language(&mut notes)?;
                    let mut read = language.transformer(&mut notes)?;
                    context_limit = language.context_limit()?;
                    if let Some(sees) = sees
                        && let Some(tower) = sees.tower(read.hidden, &mut notes)?
                    {
                        read.beside.parts.push(tower);
                    }
                    read
                }
            };
            formats = keys.formats(beside, read.experts.is_some(), &mut notes)?;
            Shape::Transformer(read)
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
        // No parameters are below 2^63.
        Shape::Listed(list) => list.graph.parameters() as f64,
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
        weight_bits: match formats {
            Some(_) => None,
            None => keys.single()?.then_some(32),
        },
        expert_bits: None,
        formats,
        notes,
        context_limit,
        shape,
        summed: Summed::default(),
    })
}

/// Parameters that a network can have; those of a size that is asked for have the same end.
const PARAMETERS: std::ops::RangeInclusive<f64> = 1.0..=1e15;

/// Parts of a configuration that describe the language model, from the outside in.
const LANGUAGE_PARTS: [&str; 8] = [
    "text_config",
    "llm_config",
    "language_config",
    "thinker_config",
    "language_model_config",
    "text_model_config",
    "decoder_config",
    "lm_config",
];
/// Parts that are there for something else and are not counted.
const OTHER_PARTS: [&str; 7] = [
    "audio_config",
    "vision_tower_config",
    "talker_config",
    "token2wav_config",
    "vit_config",
    "speech_config",
    "audio_encoder_config",
];

impl<'a> Keys<'a> {
    /// The part that describes the language model: the whole, or what stands inside it; and the one that has a tower of
    /// images beside it.
    fn language(&self, notes: &mut Vec<String>) -> Result<(Keys<'a>, Option<Keys<'a>>)> {
        let mut keys = Keys::new(self.config, self.path);
        let mut depth = 0;
        let sees = |keys: &Keys<'a>| {
            let tower = keys.stated("vision_config").is_some();
            tower.then(|| Keys::new(keys.config, keys.path))
        };
        let mut seeing = sees(&keys);
        while keys.first(&HIDDEN).is_none() && depth < 3 {
            let mut inner = None;
            for part in LANGUAGE_PARTS {
                if let Some(found) = keys.inner(part)? {
                    inner = Some((part, found));
                    break;
                }
            }
            let Some((part, found)) = inner else { break };
            notes.push(format!("the language model stands under '{part}'"));
            keys = found;
            keys.is_part = true;
            seeing = sees(&keys).or(seeing);
            depth += 1;
        }
        for part in OTHER_PARTS {
            if self.stated(part).is_some() {
                notes.push(format!("'{part}' is there too, and not counted"));
            }
        }
        Ok((keys, seeing))
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod exact;
#[cfg(test)]
mod spelled;

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
