//! Encoders of texts of the kind of BERT (Devlin et al. 2019, <https://arxiv.org/abs/1810.04805>): every token sees those
//! before and after it, what each part of a block gives is normalised after it is added, and a sentence becomes one row of
//! numbers, the mean over its tokens or that of its first (Reimers and Gurevych 2019, <https://arxiv.org/abs/1908.10084>).
//!
//! Tensors are called as in GGUF files: `token_embd.weight [vocabulary, d]`, `position_embd.weight [context, d]`,
//! `token_types.weight [kinds, d]` where there is one, `token_embd_norm`, per block i from 0 `blk.{i}.attn_qkv [3d, d]` or
//! `attn_q`, `attn_k` and `attn_v`, `attn_output`, `attn_output_norm`, `ffn_up`, `ffn_down`, `layer_output_norm`; all but the
//! tables with biases.

mod gguf;
mod hugging_face;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::decoder::{Function, Number};
use super::{Family, Sizes};
use crate::graph::{Attention, Graph, Input, Node, Op, Role, Rule, Scores, Taken, Value};
use crate::profile::Unit;
use crate::serving::architecture::{Biases, Transformer};
use crate::serving::read_tokens;
pub(crate) use hugging_face::PublishedEncoder;

/// Shape of an encoder of texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Number of different tokens.
    pub vocabulary: usize,
    /// The most tokens of a text, those around it included.
    pub context: usize,
    /// Rows of the table of positions before that of a text's first token.
    pub first_position: usize,
    /// Rows of the table of kinds of texts, of which the first is added to every token; 0: there is none.
    pub types: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Heads per block.
    pub heads: usize,
    /// Width of the hidden layer of each block.
    pub hidden: usize,
    /// Added to the variance in normalisation.
    pub epsilon: Number,
    /// The function inside feed-forward layers.
    pub function: Function,
    /// Whether queries, keys and values are one projection.
    pub fused: bool,
    /// What becomes of the rows of a text's tokens.
    pub pooling: Pooling,
}

/// How the rows of a text's tokens become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The first, of the token that stands before a text.
    First,
    /// The last.
    Last,
}

/// Sizes are far below the limit of the type.
fn size(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl EncoderConfig {
    fn norm(&self, name: String) -> Node {
        let op = Op::Norm {
            width: size(self.width),
            parameters: 2,
            rule: Some(Rule::Layer {
                epsilon: self.epsilon.0,
            }),
        };
        Node::new(name, Role::Norm, op)
    }

    fn attention(&self) -> Attention {
        let head = size(self.width / self.heads.max(1));
        Attention {
            heads: size(self.heads),
            kv_heads: size(self.heads),
            width: head,
            reading_widths: 2 * head,
            // A text that is read at once keeps nothing.
            cached: 0,
            earlier: false,
            window: None,
            picked: false,
            positions: None,
            latent: false,
            scores: Some(Scores {
                scale: 1.0 / (head as f32).sqrt(),
                causal: false,
                cap: None,
                alibi: None,
            }),
        }
    }

    /// Rows of the tokens of a text as the first block reads them.
    fn tokens(&self, graph: &mut Graph) -> Value {
        let width = size(self.width);
        let on_the_way = |name: &str| Node::new(name, Role::Other, Op::Add);
        let table = Op::Embedding {
            rows: size(self.vocabulary),
            width,
        };
        let table = Node::new("token_embd", Role::Embedding, table);
        let mut x = graph.push(table, &[Value::Input]);
        if self.types > 0 {
            let kinds = Op::Row {
                rows: size(self.types),
                width,
                taken: Taken::Always(0),
            };
            let kinds = Node::new("token_types", Role::Positions, kinds);
            let kinds = graph.push(kinds, &[Value::Input]);
            x = graph.push(on_the_way("types_sum"), &[x, kinds]);
        }
        let places = Op::Row {
            rows: size(self.context.saturating_add(self.first_position)),
            width,
            taken: Taken::ByPlace(size(self.first_position)),
        };
        let places = Node::new("position_embd", Role::Positions, places);
        let places = graph.push(places, &[Value::Input]);
        x = graph.push(on_the_way("embd_sum"), &[x, places]);
        graph.push(self.norm("token_embd_norm".to_owned()), &[x])
    }

    fn block(&self, graph: &mut Graph, i: usize, x: Value) -> Value {
        let own = |name: &str| format!("blk.{i}.{name}");
        let linear = |name: &str, role, outputs: usize, inputs: usize| {
            let op = Op::Linear {
                inputs: size(inputs),
                outputs: size(outputs),
                bias: true,
            };
            Node::new(own(name), role, op)
        };
        let on_the_way = |name: &str, op| Node::new(own(name), Role::Other, op);
        let (d, hidden) = (self.width, self.hidden);
        let (attend, feed) = (Role::Attention, Role::FeedForward);
        let read = match self.fused {
            true => vec![graph.push(linear("attn_qkv", attend, 3 * d, d), &[x])],
            false => ["attn_q", "attn_k", "attn_v"]
                .map(|name| graph.push(linear(name, attend, d, d), &[x]))
                .to_vec(),
        };
        let heads = Node::new(own("attn"), attend, Op::Attention(self.attention()));
        let mixed = graph.push(heads, &read);
        let mixed = graph.push(linear("attn_output", attend, d, d), &[mixed]);
        let sum = graph.push(on_the_way("attn_sum", Op::Add), &[x, mixed]);
        let x = graph.push(self.norm(own("attn_output_norm")), &[sum]);
        let inner = graph.push(linear("ffn_up", feed, hidden, d), &[x]);
        let function = Op::Activation(self.function.into());
        let inner = graph.push(on_the_way("ffn_function", function), &[inner]);
        let fed = graph.push(linear("ffn_down", feed, d, hidden), &[inner]);
        let sum = graph.push(on_the_way("ffn_sum", Op::Add), &[x, fed]);
        graph.push(self.norm(own("layer_output_norm")), &[sum])
    }
}

impl Family for EncoderConfig {
    fn name(&self) -> &'static str {
        "sentence encoder"
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph {
            unit: Unit::Sample,
            positions: read_tokens(size(self.context.saturating_add(self.first_position))),
            blocks: size(self.blocks),
            nodes: Vec::new(),
            input: Some(Input::Tokens {
                vocabulary: size(self.vocabulary),
                context: size(self.context),
            }),
        };
        let mut x = self.tokens(&mut graph);
        for i in 0..self.blocks {
            x = self.block(&mut graph, i, x);
        }
        graph
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            sizes: vec![
                ("vocabulary", self.vocabulary),
                ("context", self.context),
                (
                    "rows of positions",
                    self.context.saturating_add(self.first_position),
                ),
                ("kinds of texts", self.types.max(1)),
                ("width", self.width),
                ("heads", self.heads),
                ("hidden width", self.hidden),
            ],
            parts: ("blocks", self.blocks),
        }
    }

    fn implausible(&self) -> Option<String> {
        if !self.width.is_multiple_of(self.heads) {
            return Some(format!(
                "a width of {} that {} heads do not divide",
                self.width, self.heads
            ));
        }
        let epsilon = self.epsilon.0;
        (!epsilon.is_finite() || epsilon <= 0.0)
            .then(|| format!("{epsilon} added in normalisation"))
    }

    fn served(&self) -> Option<Transformer> {
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
            tied: true,
            window: None,
            experts: None,
            latent: None,
            attention_weights: None,
            encoder: true,
            positions: whole(self.context.saturating_add(self.first_position))?,
            biases: Biases::ALL,
            blocks: Vec::new(),
            tables: match self.types {
                0 => Vec::new(),
                types => vec![(whole(types)?, whole(self.width)?)],
            },
            beside: Default::default(),
        })
    }
}
