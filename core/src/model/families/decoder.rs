//! Language models of the kind of Llama: a decoder with root mean square normalisation before every part, rotary positions,
//! grouped queries, and a feed-forward layer with a gate (Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>).
//!
//! Tensors are called as in GGUF files: `token_embd.weight [vocabulary, d]`, per block i from 0 `blk.{i}.attn_norm`,
//! `blk.{i}.attn_q`, `attn_k`, `attn_v`, `attn_output`, `ffn_norm`, `ffn_gate`, `ffn_up`, `ffn_down`, with some of them
//! `attn_q_norm` and `attn_k_norm [head width]`, then `output_norm` and, where it is not the table of tokens once more,
//! `output`.

mod hugging_face;

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::{Family, Sizes};
use crate::graph::{
    Activation, Attention, Graph, Input, Node, Op, Role, Rotary, Rule, Scores, Value,
};
use crate::profile::Unit;
use crate::serving::architecture::{Biases, Transformer};
use crate::weights::{Metadata, Source};
pub(crate) use hugging_face::{Published, as_gguf, as_published};

/// A number of a configuration that two of them share exactly when its bits are the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub f32);

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Shape of a language model of the kind of Llama.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Number of different tokens.
    pub vocabulary: usize,
    /// The most tokens that are looked back on.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Heads of queries per block.
    pub heads: usize,
    /// Heads of keys and values, a divisor of `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Width of the gated hidden layer of each block.
    pub hidden: usize,
    /// Base of the rotary angles.
    pub base: Number,
    /// Numbers of a head that turn.
    pub rotary: usize,
    /// Whether numbers that turn together stand side by side.
    pub interleaved: bool,
    /// Whether angles are divided by a table, as in Llama 3: `rope_freqs.weight [rotary / 2]`.
    #[serde(default)]
    pub factors: bool,
    /// Added to the mean square in normalisation.
    pub epsilon: Number,
    /// Whether the table of tokens is the head too.
    pub tied: bool,
    /// Whether queries, keys and values have biases.
    pub biases: bool,
    /// Whether queries and keys are normalised head by head.
    pub head_norms: bool,
    /// Most tokens that are looked back over, where that is less than the context.
    pub window: Option<usize>,
}

/// Sizes are far below the limit of the type.
fn size(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn linear(name: String, role: Role, outputs: usize, inputs: usize, bias: bool) -> Node {
    let op = Op::Linear {
        inputs: size(inputs),
        outputs: size(outputs),
        bias,
    };
    Node::new(name, role, op)
}

impl DecoderConfig {
    /// The network of a GGUF by its metadata (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
    ///
    /// # Errors
    /// The network is of another family, or a value is missing or means what is not run here.
    pub(crate) fn of_gguf(source: &dyn Source) -> Result<Self, String> {
        let name = "general.architecture";
        let Some(kind) = source.metadata(name).and_then(Metadata::text) else {
            return Err(format!("its metadata do not say {name}"));
        };
        // Whether numbers that turn together stand side by side.
        let interleaved = match kind {
            "llama" => true,
            "qwen2" | "qwen3" => false,
            other => {
                return Err(format!(
                    "this is a GGUF of the kind '{other}', whose network is not run here yet"
                ));
            }
        };
        let value = |key: &str| source.metadata(&format!("{kind}.{key}"));
        let missing = |key: &str| format!("its metadata do not say {kind}.{key}");
        let whole = |key: &str| {
            let value = value(key).and_then(Metadata::unsigned);
            let size = value.and_then(|value| usize::try_from(value).ok());
            size.ok_or_else(|| missing(key))
        };
        let float = |key: &str| value(key).and_then(Metadata::float);
        for (key, plain) in [
            ("expert_count", 0.0),
            ("rope.scaling.factor", 1.0),
            ("attention.sliding_window", 0.0),
            ("logit_scale", 1.0),
            ("attn_logit_softcapping", 0.0),
            ("final_logit_softcapping", 0.0),
            ("embedding_scale", 1.0),
            ("residual_scale", 1.0),
            ("attention.scale", 0.0),
        ] {
            match float(key) {
                Some(number) if number != plain => {
                    return Err(format!(
                        "its metadata say {kind}.{key} = {number}, which is not run here yet"
                    ));
                }
                _ => {}
            }
        }
        let shape = |name: &str| source.find(name).map(|at| &source.tensors()[at].shape);
        let Some(&[vocabulary, width]) = shape("token_embd.weight").map(Vec::as_slice) else {
            return Err("tensor 'token_embd.weight' is missing or no table".to_owned());
        };
        let heads = whole("attention.head_count")?;
        let kv_heads = match value("attention.head_count_kv") {
            None => heads,
            Some(_) => whole("attention.head_count_kv")?,
        };
        let head_width = match value("attention.key_length") {
            None => width / heads.max(1),
            Some(_) => whole("attention.key_length")?,
        };
        if value("attention.value_length").is_some()
            && whole("attention.value_length")? != head_width
        {
            return Err("its keys and values are of different widths".to_owned());
        }
        let epsilon = "attention.layer_norm_rms_epsilon";
        Ok(Self {
            vocabulary,
            context: whole("context_length")?,
            width,
            blocks: whole("block_count")?,
            heads,
            kv_heads,
            head_width,
            hidden: whole("feed_forward_length")?,
            base: Number(float("rope.freq_base").unwrap_or(10_000.0) as f32),
            rotary: match value("rope.dimension_count") {
                None => head_width,
                Some(_) => whole("rope.dimension_count")?,
            },
            interleaved,
            factors: source.find(Rotary::FACTORS).is_some(),
            epsilon: Number(float(epsilon).ok_or_else(|| missing(epsilon))? as f32),
            tied: source.find("output.weight").is_none(),
            biases: source.find("blk.0.attn_q.bias").is_some(),
            head_norms: source.find("blk.0.attn_q_norm.weight").is_some(),
            window: None,
        })
    }

    fn norm(&self, name: String, width: usize) -> Node {
        let op = Op::Norm {
            width: size(width),
            parameters: 1,
            rule: Some(Rule::RootMeanSquare {
                epsilon: self.epsilon.0,
            }),
        };
        Node::new(name, Role::Norm, op)
    }

    fn attention(&self) -> Attention {
        Attention {
            heads: size(self.heads),
            kv_heads: size(self.kv_heads),
            width: size(self.head_width),
            reading_widths: 2 * size(self.head_width),
            cached: 2 * size(self.kv_heads * self.head_width),
            earlier: false,
            window: self.window.map(size),
            picked: false,
            positions: None,
            latent: false,
            scores: Some(Scores {
                scale: 1.0 / (self.head_width as f32).sqrt(),
                causal: true,
                cap: None,
            }),
        }
    }

    /// The queries or keys of a block: projected, perhaps normalised, turned.
    fn turned(&self, graph: &mut Graph, name: &str, heads: usize, from: Value) -> Value {
        let width = self.head_width;
        let project = linear(
            name.to_owned(),
            Role::Attention,
            heads * width,
            self.width,
            self.biases,
        );
        let mut x = graph.push(project, &[from]);
        if self.head_norms {
            x = graph.push(self.norm(format!("{name}_norm"), width), &[x]);
        }
        let rotary = Op::Rotary(Rotary {
            width: size(width),
            dims: size(self.rotary),
            base: self.base.0,
            interleaved: self.interleaved,
            factors: self.factors,
        });
        graph.push(
            Node::new(format!("{name}.rotary"), Role::Other, rotary),
            &[x],
        )
    }

    fn block(&self, graph: &mut Graph, i: usize, x: Value) -> Value {
        let own = |name: &str| format!("blk.{i}.{name}");
        let on_the_way = |name: &str, op| Node::new(own(name), Role::Other, op);
        let (d, feed) = (self.width, Role::FeedForward);
        let (queries, kept) = (
            self.heads * self.head_width,
            self.kv_heads * self.head_width,
        );
        let normed = graph.push(self.norm(own("attn_norm"), d), &[x]);
        let q = self.turned(graph, &own("attn_q"), self.heads, normed);
        let k = self.turned(graph, &own("attn_k"), self.kv_heads, normed);
        let values = linear(own("attn_v"), Role::Attention, kept, d, self.biases);
        let v = graph.push(values, &[normed]);
        let attend = Node::new(
            own("attn"),
            Role::Attention,
            Op::Attention(self.attention()),
        );
        let mixed = graph.push(attend, &[q, k, v]);
        let output = linear(own("attn_output"), Role::Attention, d, queries, false);
        let mixed = graph.push(output, &[mixed]);
        let x = graph.push(on_the_way("attn_sum", Op::Add), &[x, mixed]);
        let normed = graph.push(self.norm(own("ffn_norm"), d), &[x]);
        let gate = graph.push(
            linear(own("ffn_gate"), feed, self.hidden, d, false),
            &[normed],
        );
        let silu = on_the_way("ffn_silu", Op::Activation(Activation::Silu));
        let gate = graph.push(silu, &[gate]);
        let up = graph.push(
            linear(own("ffn_up"), feed, self.hidden, d, false),
            &[normed],
        );
        let inner = graph.push(on_the_way("ffn_gated", Op::Multiply), &[gate, up]);
        let down = graph.push(
            linear(own("ffn_down"), feed, d, self.hidden, false),
            &[inner],
        );
        graph.push(on_the_way("ffn_sum", Op::Add), &[x, down])
    }
}

impl Family for DecoderConfig {
    fn name(&self) -> &'static str {
        "language model"
    }

    fn graph(&self) -> Graph {
        const TABLE: &str = "token_embd";
        let mut graph = Graph {
            unit: Unit::Token,
            positions: 1,
            blocks: size(self.blocks),
            nodes: Vec::new(),
            input: Some(Input::Tokens {
                vocabulary: size(self.vocabulary),
                context: size(self.context),
            }),
        };
        let table = Op::Embedding {
            rows: size(self.vocabulary),
            width: size(self.width),
        };
        let mut table = Node::new(TABLE, Role::Embedding, table);
        if self.tied {
            table.name = format!("{TABLE}.rows");
            table.shares = Some(TABLE.to_owned());
        }
        let mut x = graph.push(table, &[Value::Input]);
        for i in 0..self.blocks {
            x = self.block(&mut graph, i, x);
        }
        let normed = graph.push(self.norm("output_norm".to_owned(), self.width), &[x]);
        let head = if self.tied { TABLE } else { "output" };
        let head = linear(
            head.to_owned(),
            Role::Head,
            self.vocabulary,
            self.width,
            false,
        );
        graph.push(head, &[normed]);
        graph
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            sizes: vec![
                ("vocabulary", self.vocabulary),
                ("context", self.context.min(1 << 20)),
                ("width", self.width),
                ("heads", self.heads),
                ("heads of keys and values", self.kv_heads),
                ("width of a head", self.head_width),
                ("hidden width", self.hidden),
                ("numbers that turn", self.rotary),
            ],
            parts: ("blocks", self.blocks),
        }
    }

    fn implausible(&self) -> Option<String> {
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Some(format!(
                "{} heads of queries that {} of keys do not divide",
                self.heads, self.kv_heads
            ));
        }
        if !self.rotary.is_multiple_of(2) || self.rotary > self.head_width {
            return Some(format!(
                "{} turning numbers in heads of {}",
                self.rotary, self.head_width
            ));
        }
        let sane = |number: Number| number.0.is_finite() && number.0 > 0.0;
        if !sane(self.base) || !sane(self.epsilon) {
            return Some(format!(
                "a rotary base of {} and {} added in normalisation",
                self.base.0, self.epsilon.0
            ));
        }
        (self.window == Some(0)).then(|| "a window of no tokens".to_owned())
    }

    fn served(&self) -> Option<Transformer> {
        let whole = |value: usize| u32::try_from(value).ok();
        // Windows of all layers and norms of heads are told apart by the graph alone.
        if self.window.is_some() {
            return None;
        }
        Some(Transformer {
            hidden: whole(self.width)?,
            layers: whole(self.blocks)?,
            heads: whole(self.heads)?,
            kv_heads: whole(self.kv_heads)?,
            head_dim: whole(self.head_width)?,
            ffn: whole(self.hidden)?,
            gated: true,
            vocabulary: whole(self.vocabulary)?,
            tied: self.tied,
            window: None,
            experts: None,
            latent: None,
            attention_weights: None,
            encoder: false,
            positions: 0,
            biases: Biases {
                queries_keys_values: self.biases,
                ..Biases::default()
            },
            blocks: Vec::new(),
            tables: Vec::new(),
            beside: Default::default(),
        })
    }
}
