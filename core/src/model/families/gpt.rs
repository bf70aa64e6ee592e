//! The byte language model: a pre-norm transformer decoder with learned positions, GELU and an untied head, after the
//! GPT-2 layout without biases in the linear layers.
//!
//! Tensors: `wte.weight [256, d]`, `wpe.weight [context, d]`, per block i from 0 `h.{i}.ln_1.weight` and `.bias [d]`,
//! `h.{i}.attn.qkv.weight [3d, d]` (query, key, value, each head by head), `h.{i}.attn.proj.weight [d, d]`, `h.{i}.ln_2.*`,
//! `h.{i}.mlp.fc.weight [hidden, d]`, `h.{i}.mlp.proj.weight [d, hidden]`, then `ln_f.*` and `head.weight [256, d]`.
//! All matrices are compressible, both embedding tables included, because their bytes are stored and read as well;
//! normalisation stays in single precision.

use serde::{Deserialize, Serialize};

use super::{Deviation, Family, Sizes};
use crate::graph::{Activation, Attention, Graph, Input, Node, Op, Role, Rule, Scores, Value};
use crate::model::Architecture;
use crate::profile::Unit;
use crate::serving::architecture::{Biases, Transformer};

/// Added to the variance in layer normalisation (as in GPT-2).
pub const LAYER_NORM_EPSILON: f64 = 1e-5;

/// Shape of a byte language model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// Number of different tokens; 256 for bytes.
    pub vocabulary: usize,
    /// The most tokens that are looked back on.
    pub context: usize,
    /// Width of the residual stream, a multiple of `heads`.
    pub width: usize,
    /// Attention heads per block.
    pub heads: usize,
    /// Width of the hidden layer of each block.
    pub hidden: usize,
    /// Number of blocks.
    pub blocks: usize,
}

impl GptConfig {
    /// The bundled language model: bytes, context 128, width 96, 4 heads, 4 blocks; 505,536 parameters.
    pub fn bytes() -> Self {
        Self {
            vocabulary: 256,
            context: 128,
            width: 96,
            heads: 4,
            hidden: 384,
            blocks: 4,
        }
    }

    /// The same network as one of which only the shapes are known; `None` beyond the range of those.
    fn shapes(&self) -> Option<Transformer> {
        let whole = |value: usize| u32::try_from(value).ok();
        let heads = whole(self.heads)?;
        Some(Transformer {
            hidden: whole(self.width)?,
            layers: whole(self.blocks)?,
            heads,
            kv_heads: heads,
            head_dim: whole(self.width / self.heads.max(1))?,
            ffn: whole(self.hidden)?,
            gated: false,
            vocabulary: whole(self.vocabulary)?,
            tied: false,
            window: None,
            experts: None,
            latent: None,
            attention_weights: None,
            encoder: false,
            positions: whole(self.context)?,
            biases: Biases {
                norms: true,
                ..Biases::default()
            },
            blocks: Vec::new(),
            tables: Vec::new(),
            beside: Default::default(),
        })
    }

    /// What it computes. The GELU counts with the layer before it and residual additions with the layer that they follow.
    fn nodes(&self) -> Graph {
        // Widths are far below the limit of the type.
        let size = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let width = size(self.width);
        let table = |name: &str, role, rows: usize| {
            let op = Op::Embedding {
                rows: size(rows),
                width,
            };
            Node::new(name, role, op)
        };
        let norm = |name: String| {
            let op = Op::Norm {
                width,
                parameters: 2,
                rule: Some(Rule::Layer {
                    epsilon: LAYER_NORM_EPSILON as f32,
                }),
            };
            Node::new(name, Role::Norm, op)
        };
        let linear = |name: String, role, outputs: usize, inputs: usize| {
            let op = Op::Linear {
                inputs: size(inputs),
                outputs: size(outputs),
                bias: false,
            };
            Node::new(name, role, op)
        };
        let head = size(self.width / self.heads.max(1));
        let attention = Attention {
            heads: size(self.heads),
            kv_heads: size(self.heads),
            width: head,
            reading_widths: 2 * head,
            cached: 2 * width,
            earlier: false,
            window: None,
            picked: false,
            positions: None,
            latent: false,
            scores: Some(Scores {
                scale: 1.0 / (head as f32).sqrt(),
                causal: true,
                cap: None,
                alibi: None,
            }),
        };
        let (d, hidden) = (self.width, self.hidden);
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
        let words = table("wte", Role::Embedding, self.vocabulary);
        let words = graph.push(words, &[Value::Input]);
        let places = table("wpe", Role::Positions, self.context);
        let places = graph.push(places, &[Value::Input]);
        let on_the_way = |name: String, op| Node::new(name, Role::Other, op);
        let mut x = graph.push(on_the_way("sum".to_owned(), Op::Add), &[words, places]);
        for i in 0..self.blocks {
            let (attend, feed) = (Role::Attention, Role::FeedForward);
            let own = |name: &str| format!("h.{i}.{name}");
            let normed = graph.push(norm(own("ln_1")), &[x]);
            let qkv = graph.push(linear(own("attn.qkv"), attend, 3 * d, d), &[normed]);
            let heads = Node::new(own("attn"), attend, Op::Attention(attention));
            let heads = graph.push(heads, &[qkv]);
            let mixed = graph.push(linear(own("attn.proj"), attend, d, d), &[heads]);
            x = graph.push(on_the_way(own("sum_1"), Op::Add), &[x, mixed]);
            let normed = graph.push(norm(own("ln_2")), &[x]);
            let inner = graph.push(linear(own("mlp.fc"), feed, hidden, d), &[normed]);
            let gelu = on_the_way(own("mlp.gelu"), Op::Activation(Activation::Gelu));
            let inner = graph.push(gelu, &[inner]);
            let fed = graph.push(linear(own("mlp.proj"), feed, d, hidden), &[inner]);
            x = graph.push(on_the_way(own("sum_2"), Op::Add), &[x, fed]);
        }
        let normed = graph.push(norm("ln_f".to_owned()), &[x]);
        graph.push(
            linear("head".to_owned(), Role::Head, self.vocabulary, d),
            &[normed],
        );
        graph
    }

    /// The network whose parameters come nearest to `wanted`: the width in proportion (a multiple of the heads), then
    /// the hidden width, within 3 to 5 times the width or as the original's if that is outside.
    fn narrowest(&self, wanted: f64) -> Self {
        let original = self.hidden as f64 / self.width as f64;
        let mut best = (f64::INFINITY, self.clone());
        for width in (self.heads..=self.width).step_by(self.heads) {
            let with = |hidden: usize| Self {
                width,
                hidden,
                ..self.clone()
            };
            let per_hidden = (2 * self.blocks * width) as f64;
            let fixed = with(1).nodes().parameters() as f64 - per_hidden;
            let low = (0.75 * original * width as f64).ceil();
            let high = (1.25 * original * width as f64).floor();
            let hidden = ((wanted - fixed) / per_hidden).round().clamp(low, high);
            let candidate = with(hidden as usize);
            let miss = (candidate.nodes().parameters() as f64 - wanted).abs() / wanted;
            // Of those that hit, the one that keeps the original's proportions best.
            let shape = (hidden / width as f64 / original - 1.0).abs();
            let score = miss.max(0.005) + 0.01 * shape;
            if score < best.0 {
                best = (score, candidate);
            }
        }
        best.1
    }
}

impl Family for GptConfig {
    fn name(&self) -> &'static str {
        "byte language model"
    }

    fn graph(&self) -> Graph {
        self.nodes()
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            sizes: vec![
                ("vocabulary", self.vocabulary),
                ("context", self.context),
                ("width", self.width),
                ("heads", self.heads),
                ("hidden width", self.hidden),
            ],
            parts: ("blocks", self.blocks),
        }
    }

    fn implausible(&self) -> Option<String> {
        (!self.width.is_multiple_of(self.heads)).then(|| {
            format!(
                "a width of {} that {} heads do not divide",
                self.width, self.heads
            )
        })
    }

    fn narrowed(&self, wanted: f64) -> Option<(Architecture, String)> {
        let student = self.narrowest(wanted);
        let what = format!(
            "narrower: width {} → {}, hidden {} → {}",
            self.width, student.width, self.hidden, student.hidden
        );
        Some((Architecture::Gpt(student), what))
    }

    fn deviation(&self, name: &str, _: &[usize]) -> Deviation {
        if name.starts_with('w') {
            // Large enough that the first blocks do not drown what a token is; 0.02 as in GPT-2 learns half as fast here.
            Deviation::Fixed(0.3)
        } else if name.ends_with("proj.weight") {
            Deviation::Linear(1.0 / (2.0 * self.blocks as f64).sqrt())
        } else {
            Deviation::Linear(1.0)
        }
    }

    fn served(&self) -> Option<Transformer> {
        self.shapes()
    }
}
