//! Language models: decoders of the kind of Llama, with root mean square normalisation before every part, rotary positions,
//! grouped queries, and a feed-forward layer with a gate (Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>), and
//! kinds that do some of this differently ([`Form`]).
//!
//! Tensors are called as in GGUF files: `token_embd.weight [vocabulary, d]`, per block i from 0 `blk.{i}.attn_norm`,
//! `blk.{i}.attn_q`, `attn_k`, `attn_v`, `attn_output`, `ffn_norm`, `ffn_gate`, `ffn_up`, `ffn_down`, with some of them
//! `attn_q_norm` and `attn_k_norm [head width]`, `attn_qkv` in place of three, norms of what a part gives
//! (`post_attention_norm`, `post_ffw_norm`), then `output_norm` and, where it is not the table of tokens once more,
//! `output`.

mod block;
mod form;
mod gguf;
mod hugging_face;
mod kinds;
mod mixture;
mod served;
#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::{Family, Sizes};
pub use form::{Feed, Form, Function, Mixture, NormRule, Norms, Scales, Slopes};

use crate::graph::{Graph, Input, Node, Op, Role, Value};
use crate::profile::Unit;
use crate::serving::architecture::Transformer;
pub(crate) use hugging_face::Published;

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
    /// What it does differently from Llama.
    #[serde(default, skip_serializing_if = "Form::is_usual")]
    pub form: Form,
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
        let on_the_way = |name: &str, op| Node::new(name, Role::Other, op);
        let times = |number: Number| Op::Times { factor: number.0 };
        let mut x = graph.push(table, &[Value::Input]);
        if let Some(scale) = self.form.scales.embedding {
            x = graph.push(on_the_way("token_embd.scaled", times(scale)), &[x]);
        }
        if self.form.embedding_norm {
            x = graph.push(self.norm(format!("{TABLE}_norm"), self.width), &[x]);
        }
        if self.form.learnt_positions {
            let table = Op::Embedding {
                rows: size(self.context),
                width: size(self.width),
            };
            let table = Node::new("position_embd", Role::Positions, table);
            let places = graph.push(table, &[Value::Input]);
            x = graph.push(on_the_way("embd_sum", Op::Add), &[x, places]);
        }
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
            self.form.head_bias,
        );
        let mut logits = graph.push(head, &[normed]);
        if let Some(scale) = self.form.scales.logits {
            logits = graph.push(on_the_way("output.scaled", times(scale)), &[logits]);
        }
        if let Some(cap) = self.form.logit_cap {
            let cap = Op::Cap { cap: cap.0 };
            graph.push(on_the_way("output.capped", cap), &[logits]);
        }
        graph
    }

    fn sizes(&self) -> Sizes {
        let (experts, width) = match self.form.mixture {
            // A width of 0 is as absurd as of others.
            Some(mixture) => (mixture.count, mixture.width.max(mixture.shared)),
            None => (1, 1),
        };
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
                ("experts", experts),
                ("width of experts", width),
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
        if !self.form.numbers().all(sane) {
            return Some("a scale, a cap or a base that is not above zero".to_owned());
        }
        if let Some(mixture) = self.form.mixture
            && !(1..=mixture.count).contains(&mixture.active)
        {
            return Some(format!(
                "{} of {} experts for a token",
                mixture.active, mixture.count
            ));
        }
        let local = self.form.local.len();
        if local > 0 && local != self.blocks {
            return Some(format!("windows of {local} of {} blocks", self.blocks));
        }
        (self.window == Some(0)).then(|| "a window of no tokens".to_owned())
    }

    fn served(&self) -> Option<Transformer> {
        self.as_served()
    }
}
