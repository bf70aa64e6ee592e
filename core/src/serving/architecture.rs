//! Networks known by their shapes only, and what the shapes count: parameters, operations, bytes of cache.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::beside::{Beside, is_zero};
use super::compressed::Compressed;
use super::denoiser::{DiffusionTransformer, Pipeline, UNet};
use super::layers::LayerList;
use super::listed::Listed;
use crate::graph::{Language, Role};

/// A network of which only the shapes are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Identifier, the same as the name of its file.
    pub id: String,
    /// Names under which the network is published; fine-tuned versions with the same shapes included.
    pub names: Vec<String>,
    /// Models of one maker and generation; cross-validation leaves out whole families.
    pub family: String,
    /// Where the shapes were published.
    pub source: String,
    /// Parameters as its makers print them.
    pub parameters: f64,
    /// Bits per weight as published, where they are not 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bits: Option<u8>,
    /// Bits per weight of the experts as published, where they differ from the others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expert_bits: Option<u8>,
    /// Numbers as published, where one width does not tell them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Formats>,
    /// What a configuration says of the network that was understood, left out or not counted, a sentence each.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// Most tokens, prompt and answer together, that a language model was made for, as its configuration states
    /// (`max_position_embeddings`); `None` where it states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_limit: Option<u32>,
    /// The shapes.
    pub shape: Shape,
    /// See [`Self::language`].
    #[serde(skip)]
    pub(crate) summed: Summed,
}

/// A language model summed up once; of a copy, whose shapes may be changed, anew.
#[derive(Default)]
pub(crate) struct Summed(OnceLock<Option<Language>>);

impl Clone for Summed {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Summed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Summed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Architecture {
    /// The network as a language model, summed up when it is first asked for; `None` for other networks.
    pub fn language(&self) -> Option<&Language> {
        let sum = || self.graph().language();
        self.summed.0.get_or_init(sum).as_ref()
    }
}

/// How a network's numbers are published, by part. What is not named is in 16 bits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Formats {
    /// The scheme, by the name that its file gives it.
    pub scheme: String,
    /// Weights by part.
    pub weights: Vec<(Role, StoredWeights)>,
    /// Bits of an activation that enters a converted matrix; `None`: 16.
    pub activations: Option<u8>,
    /// Bits of a key or a value; `None`: 16.
    pub cache: Option<u8>,
}

/// How the weights of a part are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredWeights {
    /// Bits of a code.
    pub bits: u8,
    /// Weights that share a scale; 0: those of a row.
    pub group: u32,
    /// Bits of a scale, and of a zero point, if any.
    pub scale_bits: u8,
}

/// The shapes of a network, by kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Shape {
    /// A language model, or an encoder of text.
    Transformer(Transformer),
    /// A transformer that denoises latent images or videos.
    DiffusionTransformer(DiffusionTransformer),
    /// A convolutional network that denoises latent images or videos.
    UNet(UNet),
    /// A network known layer by layer.
    Layers(LayerList),
    /// A network known node by node, out of a file that lists them; never part of a catalogue.
    #[serde(skip)]
    Listed(std::sync::Arc<Listed>),
}

impl Shape {
    /// What a denoiser is asked for by default; `None` for other networks.
    pub fn pipeline(&self) -> Option<Pipeline> {
        match self {
            Self::DiffusionTransformer(network) => Some(network.pipeline()),
            Self::UNet(network) => Some(network.pipeline()),
            Self::Transformer(_) | Self::Layers(_) | Self::Listed(_) => None,
        }
    }
}

/// The kind of operation that takes most of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operations {
    /// Convolutions.
    Convolutional,
    /// Matrix products and attention.
    Attention,
}

/// A transformer over tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transformer {
    /// Width of the residual stream.
    pub hidden: u32,
    /// Blocks.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Width of one head.
    pub head_dim: u32,
    /// Inner width of the dense feed-forward layers; 0 where all of them are made of experts.
    pub ffn: u32,
    /// Whether feed-forward layers have a gate: three matrices instead of two.
    pub gated: bool,
    /// Tokens in the vocabulary.
    pub vocabulary: u32,
    /// Whether the embedding is also the output layer.
    pub tied: bool,
    /// Sliding-window attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Mixture of experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    /// Multi-head latent attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent: Option<LatentAttention>,
    /// Parameters of attention in one layer, averaged over the layers, where they do not follow from the heads: gates,
    /// layers with a recurrent state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_weights: Option<u32>,
    /// Whether it reads a whole text at once instead of writing one.
    #[serde(default)]
    pub encoder: bool,
    /// Rows of the table of learned positions; 0: there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub positions: u32,
    /// Which of its parts have biases.
    #[serde(default, skip_serializing_if = "Biases::is_none")]
    pub biases: Biases,
    /// Blocks that differ in more than windows and dense layers; empty: `layers` blocks as the other fields say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Blocks>,
    /// Tables beside the embedding of words: rows and width.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<(u32, u32)>,
    /// What it has beside its blocks.
    #[serde(default, skip_serializing_if = "Beside::is_none")]
    pub beside: Beside,
}

/// Blocks that are alike, of a network whose blocks differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// How many.
    pub layers: u32,
    /// What mixes positions; several run beside each other.
    #[serde(default)]
    pub mixers: Vec<Mixer>,
    /// What every position passes by itself.
    #[serde(default)]
    pub feed: Feed,
    /// Further matrices, outputs and inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(u32, u32)>,
}

/// What lets a position know of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mixer {
    /// Attention with keys and values of its own heads.
    Attention(Heads),
    /// Latent attention, of the network's `heads` and `latent`, looking back over so many tokens.
    Latent(Option<u32>),
    /// The same over so many tokens that it picks among all, which are all kept (sparse attention of `DeepSeek` V3.2).
    Picked(u32),
    /// A window, and entries that stand for several tokens each (`DeepSeek` V4).
    Compressed(Compressed),
    /// A state that does not grow with the context.
    State(StateMixer),
}

/// Heads of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// Query heads.
    pub heads: u32,
    /// Heads of keys and values.
    pub kv_heads: u32,
    /// Width of a query and a key.
    pub width: u32,
    /// Width of a value.
    pub value_width: u32,
    /// Tokens that it looks back over; `None`: all.
    #[serde(default)]
    pub window: Option<u32>,
    /// Whether the result is multiplied by a gate, projected like the queries.
    #[serde(default)]
    pub gated: bool,
    /// What it has of keys and values.
    #[serde(default)]
    pub keys: KeysValues,
}

/// What a layer has of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum KeysValues {
    /// A projection for each, and both are kept.
    #[default]
    Own,
    /// One projection for both; both are kept.
    OneProjection,
    /// Those of an earlier layer: none of its own.
    Earlier,
}

/// A layer with a state that does not grow with the context: linear attention, state-space layers, convolutions over
/// time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateMixer {
    /// Its matrices, outputs and inputs.
    pub projections: Vec<(u32, u32)>,
    /// Its parameters outside matrices.
    #[serde(default)]
    pub others: u32,
    /// Numbers that it keeps of a sequence, in 32 bits.
    pub numbers: u32,
}

/// What every position passes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// Inner width of a dense feed-forward layer; 0: none.
    pub dense: u32,
    /// Experts, beside it or alone; `dense_layers` says nothing here.
    pub experts: Option<Experts>,
}

/// Which parts of a transformer have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Biases {
    /// Normalisation shifts as well as scales (layer normalisation).
    pub norms: bool,
    /// The projections to queries, keys and values.
    pub queries_keys_values: bool,
    /// All other matrices of the blocks.
    pub others: bool,
}

impl Biases {
    /// Everywhere.
    pub const ALL: Self = Self {
        norms: true,
        queries_keys_values: true,
        others: true,
    };

    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Sliding-window attention, and layers with a recurrent state in place of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Tokens that a windowed layer looks back; of a recurrent layer, the tokens whose keys and values are as many bytes as
    /// its state.
    pub tokens: u32,
    /// Every how many layers one looks back over everything; 0: none.
    pub full_every: u32,
}

/// A mixture of experts in place of the feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// Experts in a layer.
    pub count: u32,
    /// Experts that a token is sent to.
    pub active: u32,
    /// Inner width of an expert.
    pub ffn: u32,
    /// Inner width of the experts that every token visits, together.
    pub shared_ffn: u32,
    /// Layers that have a dense feed-forward layer instead.
    pub dense_layers: u32,
    /// Width that experts read and write, where it is less than the stream's; 0: the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub width: u32,
}

/// Multi-head latent attention (`DeepSeek`-V2): keys and values are projected from one small vector, which is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentAttention {
    /// Rank of the queries; 0: full.
    pub query: u32,
    /// Rank of keys and values.
    pub key_value: u32,
    /// Width of the rotary part.
    pub rotary: u32,
    /// Width of a head's part without position.
    pub plain: u32,
    /// Width of a head's values.
    pub value: u32,
}

impl Transformer {
    /// All parameters.
    pub fn parameters(&self) -> f64 {
        self.graph().parameters() as f64
    }

    /// A network like today's open language models of a given size, for when only parameter counts are known: gated
    /// feed-forward layers, heads of 128, grouped queries; depth and width grow together as in Llama 3 and Qwen 3.
    pub fn of_size(total: f64, active: f64) -> Self {
        let stated = Some(active).filter(|active| *active > 0.0);
        let active = stated.map_or(total, |active| active.min(total));
        // 8 B: 32 layers of 4096; 70 B: 80 layers of 8192.
        let width = (4096.0 * (active / 8e9).powf(0.33) / 128.0)
            .round()
            .max(2.0)
            * 128.0;
        let per_layer = 12.0 * width * width * 1.08;
        let layers = (active / per_layer).round().clamp(2.0, 200.0);
        let heads = width / 128.0;
        let dense = Self {
            hidden: integer(width),
            layers: integer(layers),
            heads: integer(heads),
            kv_heads: integer((heads / 4.0).clamp(1.0, 8.0)),
            head_dim: 128,
            ffn: integer((active / layers / width - 2.5 * width) / 3.0),
            gated: true,
            vocabulary: 0,
            tied: true,
            window: None,
            experts: None,
            latent: None,
            attention_weights: None,
            encoder: false,
            positions: 0,
            biases: Biases::default(),
            blocks: Vec::new(),
            tables: Vec::new(),
            beside: Default::default(),
        };
        if total <= active * 1.05 {
            return dense;
        }
        // Today's mixtures: 8 of 128 experts.
        let (count, chosen) = (128.0, 8.0);
        let expert = (total - active) / layers / (count - chosen);
        Self {
            ffn: 0,
            experts: Some(Experts {
                count: 128,
                active: 8,
                ffn: integer(expert / 3.0 / width),
                shared_ffn: integer(
                    ((active / layers - 2.5 * width * width - chosen * expert) / 3.0 / width)
                        .max(0.0),
                ),
                dense_layers: 0,
                width: 0,
            }),
            ..dense
        }
    }
}

/// Nearest whole number; shapes are far below the limit of the type.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the type's range first"
)]
fn integer(value: f64) -> u32 {
    value.round().clamp(1.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests;
