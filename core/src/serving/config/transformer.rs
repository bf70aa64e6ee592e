//! Transformers of text, and networks of their kind, out of their configurations.

use serde_json::Value;

use super::super::architecture::{Biases, LatentAttention, Transformer};
use super::super::beside::{Beside, Words};
use super::count::{Count, Stack};
use super::keys::{Keys, most, shown};
use super::types::{self, Biased, ModelType, Positions};
use crate::error::Result;

/// Names of the width of the residual stream.
pub(super) const HIDDEN: [&str; 5] = ["hidden_size", "n_embd", "d_model", "dim", "model_dim"];
/// Names of the number of layers.
pub(super) const LAYERS: [&str; 5] = [
    "num_hidden_layers",
    "n_layer",
    "num_layers",
    "n_layers",
    "num_transformer_layers",
];
/// Names of the number of query heads.
pub(super) const HEADS: [&str; 5] = [
    "num_attention_heads",
    "n_head",
    "num_heads",
    "n_heads",
    "num_query_heads",
];
/// Names of the number of heads of keys and values.
pub(super) const KV_HEADS: [&str; 5] = [
    "num_key_value_heads",
    "num_attention_groups",
    "num_kv_heads",
    "n_kv_heads",
    "n_head_kv",
];
/// Names of the width of a head.
pub(super) const HEAD_DIM: [&str; 3] = ["head_dim", "kv_channels", "attention_head_dim"];
/// Names of the inner width of a feed-forward layer.
pub(super) const INNER: [&str; 9] = [
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "hidden_dim",
    "ffn_hidden_size",
    "ff_intermediate_size",
    "block_ff_dim",
    "d_ff",
    "inner_hidden_size",
];
/// Names of the number of words.
const VOCABULARY: [&str; 4] = [
    "vocab_size",
    "padded_vocab_size",
    "n_vocab",
    "vocabulary_size",
];
/// Words in keys that change what a layer is: what such a key says cannot be left out of the count.
const SHAPING: [&str; 20] = [
    "sparse_attention",
    "compress",
    "expert",
    "moe",
    "mamba",
    "ssm",
    "sliding",
    "window",
    "linear_",
    "rwkv",
    "state_size",
    "lora_rank",
    "latent",
    "block_config",
    "layer_types",
    "hybrid",
    "cross_attention",
    "per_layer",
    "kv_shared",
    "attention_other",
];
/// The same of types that are known: what later versions of them have, and earlier ones not.
const NEW: [&str; 9] = [
    "latent",
    "expert_hidden",
    "compress",
    "sparse_attention",
    "engram",
    "source_layers",
    "ngram",
    "recurrent_loops",
    "attn_res",
];
/// Keys with such words that change no shape.
const HARMLESS: [&str; 17] = [
    "_theta",
    "_beta",
    "activation",
    "router",
    "aux_loss",
    "norm_topk",
    "use_sliding_window",
    "max_window_layers",
    "capacity",
    "jitter",
    "dropout",
    "expert_parallel",
    "loss",
    "_act",
    "init",
    "scoring",
    "grouped_gemm",
];
/// Keys that every file has and no shape depends on.
const USUAL: [&str; 31] = [
    "architectures",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "hidden_act",
    "initializer_range",
    "max_position_embeddings",
    "mlp_bias",
    "model_type",
    "pad_token_id",
    "pretraining_tp",
    "quantization_config",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "_name_or_path",
    "norm_eps",
    "layer_norm_eps",
    "attention_bias",
    "hidden_dropout",
    "use_sliding_window",
    "max_window_layers",
    "tie_word_embeddings",
    "partial_rotary_factor",
    "output_router_logits",
];

impl Keys<'_> {
    /// A transformer, or a network of its kind. What was understood in a way that the file does not state is noted.
    pub(super) fn transformer(&mut self, notes: &mut Vec<String>) -> Result<Transformer> {
        let name = self.text("model_type")?;
        let known = types::find(name)?;
        self.refuse_other_kinds(known.is_some())?;
        let usual = types::find("llama")?;
        let Some(kind) = known.or(usual) else {
            return self.refuse("no type of model is known");
        };
        if known.is_some() {
            self.defaults = Some(&kind.values);
        }
        let mut network = self.shapes(kind)?;
        if name.starts_with("mllama") {
            self.looks_at_images(&mut network, notes)?;
        }
        if self.some(&["attn_res_block_size"], most::LAYERS)?.is_some() {
            notes.push("what layers take of the results of earlier blocks (a vector a layer) is not counted".to_owned());
        }
        match known {
            None => self.note_unused(name, notes)?,
            Some(_) => {
                if let Some(key) = self.unread(&NEW) {
                    let (name, key) = (shown(name), shown(key));
                    return self.refuse(format!(
                        "configures a '{name}' with the key '{key}', which changes what its layers are and is not known of them"
                    ));
                }
            }
        }
        Ok(network)
    }

    /// A key that was not used and changes what a layer is.
    fn unread(&self, words: &[&str]) -> Option<&str> {
        let shapes = |key: &&str| {
            let harmless = HARMLESS.iter().any(|word| key.contains(word));
            let plain = match self.config.get(*key) {
                Some(Value::Bool(_) | Value::String(_)) => true,
                Some(value) => value.as_f64() == Some(0.0),
                None => true,
            };
            !harmless && !plain && words.iter().any(|word| key.contains(word))
        };
        self.unused().into_iter().find(shapes)
    }

    /// Says of a type that is not known how it was read, and which keys were not used.
    fn note_unused(&self, name: &str, notes: &mut Vec<String>) -> Result<()> {
        let unused: Vec<&str> = self
            .unused()
            .into_iter()
            .filter(|key| !USUAL.contains(key))
            .collect();
        let kind = if name.is_empty() {
            "no model type".to_owned()
        } else {
            format!("the model type '{}', which is not known", shown(name))
        };
        if let Some(key) = self.unread(&SHAPING) {
            let key = shown(key);
            return self.refuse(format!(
                "states {kind}, and the key '{key}', which changes what its layers are"
            ));
        }
        let others: Vec<String> = unused.iter().take(12).map(|key| shown(key)).collect();
        let more = unused.len().saturating_sub(others.len());
        let others = match (others.len(), more) {
            (0, _) => "every key was used".to_owned(),
            (_, 0) => format!("not used: {}", others.join(", ")),
            _ => format!("not used: {} and {more} more", others.join(", ")),
        };
        notes.push(format!(
            "its configuration states {kind}: read as a decoder like Llama; {others}"
        ));
        Ok(())
    }

    fn shapes(&self, kind: &ModelType) -> Result<Transformer> {
        let hidden = self.number(&HIDDEN, most::WIDTH)?;
        let layers = self.layers()?;
        let blocks = self.blocks(kind, hidden, layers)?;
        let uniform = blocks.uniform();
        let tied = self.flag("tie_word_embeddings")?;
        Ok(Transformer {
            hidden,
            layers,
            heads: blocks.heads,
            kv_heads: blocks.kv_heads,
            head_dim: blocks.head_dim,
            ffn: match &uniform {
                Some(uniform) => uniform.ffn,
                None => 0,
            },
            gated: kind.gated,
            vocabulary: self.number(&VOCABULARY, most::VOCABULARY)?,
            tied: tied.unwrap_or(kind.tied),
            window: uniform.as_ref().and_then(|uniform| uniform.window),
            experts: match &uniform {
                Some(uniform) => uniform.experts,
                None => blocks.any_experts(),
            },
            latent: blocks.latent,
            attention_weights: None,
            encoder: kind.encoder,
            positions: self.positions(kind)?,
            biases: self.biases(kind)?,
            tables: self.tables(hidden, layers)?,
            beside: Beside {
                words: self.words(hidden, kind)?,
                parts: self.streams_head()?.into_iter().collect(),
                ..Beside::default()
            },
            blocks: match uniform {
                Some(_) => Vec::new(),
                None => blocks.all,
            },
        })
    }

    /// Llama 3.2's layers that look at images: a text without one passes by them.
    fn looks_at_images(&self, network: &mut Transformer, notes: &mut Vec<String>) -> Result<()> {
        let Some(mut list) = self.numbers("cross_attention_layers", most::LAYERS)? else {
            return self.refuse("the key 'cross_attention_layers' is missing");
        };
        list.sort_unstable();
        list.dedup();
        let layers = u32::try_from(list.len()).unwrap_or(u32::MAX);
        let last = list.last().copied().unwrap_or(0);
        if layers >= network.layers || last >= network.layers || !network.blocks.is_empty() {
            return self.refuse(format!(
                "'cross_attention_layers' names {layers} of {} layers, the last of them {last}",
                network.layers
            ));
        }
        network.layers -= layers;
        let mut count = Count::default();
        count
            .stack(Stack {
                queries: network.heads.saturating_mul(network.head_dim),
                keys: network.kv_heads.saturating_mul(network.head_dim),
                gated: true,
                biases: [false; 3],
                vectors: 2,
                ..Stack::plain(layers, network.hidden, network.ffn)
            })
            // Queries and keys are normalised, and two gates.
            .vectors(layers.saturating_mul(2), network.head_dim)
            .vectors(layers, 2)
            // Marks of images.
            .matrix((8, network.hidden), false);
        let part = count.part("layers_for_images", network.hidden, None);
        network.beside.parts.push(part);
        notes.push(format!(
            "{layers} of its layers look at images: they lie in memory, and a text without images, which is what is counted, passes by them"
        ));
        Ok(())
    }

    /// Words that are not as wide as the stream, of classes that have matrices between them.
    fn words(&self, hidden: u32, kind: &ModelType) -> Result<Option<Words>> {
        for key in ["word_embed_proj_dim", "embedding_size"] {
            if let Some(width) = self.positive(&[key], most::WIDTH)?
                && width != hidden
            {
                // Electra adds something to each.
                let bias = kind.encoder;
                return Ok(Some(Words { width, bias }));
            }
        }
        Ok(None)
    }

    /// The number of layers: stated, or that of a list of blocks.
    fn layers(&self) -> Result<u32> {
        if let Some(list) = self.list("block_configs")? {
            return Ok(u32::try_from(list.len())
                .unwrap_or(u32::MAX)
                .min(most::LAYERS));
        }
        if self.first(&LAYERS).is_none() {
            let listed = match (
                self.value("hybrid_override_pattern"),
                self.list("layers_block_type")?,
            ) {
                (Some(Value::String(letters)), _) => letters.chars().count(),
                (_, Some(list)) => list.len(),
                _ => 0,
            };
            if (1..=most::LAYERS as usize).contains(&listed) {
                return Ok(u32::try_from(listed).unwrap_or(most::LAYERS));
            }
        }
        self.number(&LAYERS, most::LAYERS)
    }

    /// Tables beside the embedding of words.
    fn tables(&self, hidden: u32, layers: u32) -> Result<Vec<(u32, u32)>> {
        let mut tables = Vec::new();
        // BERT tells two texts apart by a table.
        if let Some(rows) = self.positive(&["type_vocab_size"], most::PARTS)? {
            tables.push((rows, hidden));
        }
        let width = self.some(&["hidden_size_per_layer_input"], most::WIDTH)?;
        let rows = self.some(&["vocab_size_per_layer_input"], most::VOCABULARY)?;
        if let (Some(width), Some(rows)) = (width, rows) {
            tables.push((rows, layers.saturating_mul(width)));
        }
        Ok(tables)
    }

    /// Rows of the table of learned positions.
    fn positions(&self, kind: &ModelType) -> Result<u32> {
        const ROWS: [&str; 3] = ["n_positions", "max_position_embeddings", "n_ctx"];
        Ok(match kind.positions {
            Positions::None => 0,
            Positions::Learned(more) => self
                .maybe(&ROWS, most::TOKENS)?
                .map_or(0, |rows| rows.saturating_add(more)),
        })
    }

    /// Which parts have biases: as the file says, else as the published code of the type has them.
    fn biases(&self, kind: &ModelType) -> Result<Biases> {
        let mut biases = Biases {
            norms: kind.layer_norm,
            queries_keys_values: matches!(kind.biases, Biased::Queries | Biased::All),
            others: matches!(kind.biases, Biased::FeedForward | Biased::All),
        };
        for key in ["use_bias", "bias"] {
            if let Some(all) = self.flag(key)? {
                biases.queries_keys_values = all;
                biases.others = all;
            }
        }
        for key in ["attention_bias", "qkv_bias", "add_qkv_bias", "use_qkv_bias"] {
            if let Some(own) = self.flag(key)? {
                biases.queries_keys_values = own;
            }
        }
        Ok(biases)
    }

    pub(super) fn latent(&self) -> Result<Option<LatentAttention>> {
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
}
