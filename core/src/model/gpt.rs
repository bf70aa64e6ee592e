//! The byte language model: a pre-norm transformer decoder with learned positions, GELU and an untied head, after the
//! GPT-2 layout without biases in the linear layers.
//!
//! Tensors: `wte.weight [256, d]`, `wpe.weight [context, d]`, per block i from 0 `h.{i}.ln_1.weight` and `.bias [d]`,
//! `h.{i}.attn.qkv.weight [3d, d]` (query, key, value, each head by head), `h.{i}.attn.proj.weight [d, d]`, `h.{i}.ln_2.*`,
//! `h.{i}.mlp.fc.weight [hidden, d]`, `h.{i}.mlp.proj.weight [d, hidden]`, then `ln_f.*` and `head.weight [256, d]`.
//! All matrices are compressible, both embedding tables included, because their bytes are stored and read as well;
//! normalisation stays in single precision.

use serde::{Deserialize, Serialize};

use super::architecture::count;
use crate::graph::{Attention, Graph, Node, Op, Role};
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

    /// Names and shapes of all tensors.
    pub(super) fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let d = self.width;
        let mut shapes = vec![
            ("wte.weight".to_owned(), vec![self.vocabulary, d]),
            ("wpe.weight".to_owned(), vec![self.context, d]),
        ];
        let norm = |shapes: &mut Vec<(String, Vec<usize>)>, name: String| {
            shapes.push((format!("{name}.weight"), vec![d]));
            shapes.push((format!("{name}.bias"), vec![d]));
        };
        for i in 0..self.blocks {
            norm(&mut shapes, format!("h.{i}.ln_1"));
            shapes.push((format!("h.{i}.attn.qkv.weight"), vec![3 * d, d]));
            shapes.push((format!("h.{i}.attn.proj.weight"), vec![d, d]));
            norm(&mut shapes, format!("h.{i}.ln_2"));
            shapes.push((format!("h.{i}.mlp.fc.weight"), vec![self.hidden, d]));
            shapes.push((format!("h.{i}.mlp.proj.weight"), vec![d, self.hidden]));
        }
        norm(&mut shapes, "ln_f".to_owned());
        shapes.push(("head.weight".to_owned(), vec![self.vocabulary, d]));
        shapes
    }

    /// The same network as one of which only the shapes are known; `None` beyond the range of those.
    pub(super) fn shape(&self) -> Option<Transformer> {
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
    pub(super) fn graph(&self) -> Graph {
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
        };
        let (d, hidden) = (self.width, self.hidden);
        let mut nodes = vec![
            table("wte", Role::Embedding, self.vocabulary),
            table("wpe", Role::Positions, self.context),
        ];
        for i in 0..self.blocks {
            let (attend, feed) = (Role::Attention, Role::FeedForward);
            nodes.push(norm(format!("h.{i}.ln_1")));
            nodes.push(linear(format!("h.{i}.attn.qkv"), attend, 3 * d, d));
            nodes.push(Node::new(
                format!("h.{i}.attn"),
                attend,
                Op::Attention(attention),
            ));
            nodes.push(linear(format!("h.{i}.attn.proj"), attend, d, d));
            nodes.push(norm(format!("h.{i}.ln_2")));
            nodes.push(linear(format!("h.{i}.mlp.fc"), feed, hidden, d));
            nodes.push(linear(format!("h.{i}.mlp.proj"), feed, d, hidden));
        }
        nodes.push(norm("ln_f".to_owned()));
        nodes.push(linear("head".to_owned(), Role::Head, self.vocabulary, d));
        Graph {
            unit: Unit::Token,
            positions: 1,
            blocks: size(self.blocks),
            nodes,
        }
    }

    /// The network whose parameters come nearest to `wanted`: the width in proportion (a multiple of the heads), then
    /// the hidden width, within 3 to 5 times the width or as the original's if that is outside.
    pub(super) fn narrowed(&self, wanted: f64) -> Self {
        let original = self.hidden as f64 / self.width as f64;
        let mut best = (f64::INFINITY, self.clone());
        for width in (self.heads..=self.width).step_by(self.heads) {
            let with = |hidden: usize| Self {
                width,
                hidden,
                ..self.clone()
            };
            let fixed = count(&with(0).tensor_shapes()) as f64;
            let per_hidden = (2 * self.blocks * width) as f64;
            let low = (0.75 * original * width as f64).ceil();
            let high = (1.25 * original * width as f64).floor();
            let hidden = ((wanted - fixed) / per_hidden).round().clamp(low, high);
            let candidate = with(hidden as usize);
            let miss = (count(&candidate.tensor_shapes()) as f64 - wanted).abs() / wanted;
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
