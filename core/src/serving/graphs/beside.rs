//! Nodes of what a transformer has beside its blocks.

use super::super::architecture::Transformer;
use super::super::beside::{Part, Words};
use super::{linear, plus, times};
use crate::graph::{Attention, Node, Op, Role, Sized};
use crate::profile::LayerKind;

/// Layers that look at what was read before begin with it.
pub(crate) const CROSS: &str = "cross_attention";

/// A part; what it has outside matrices is a node of its own.
pub(super) fn part(part: &Part) -> Vec<Node> {
    let width = u64::from(part.width.max(1));
    let rows = part.weights / width;
    // What does not fill a row.
    let rest = u32::try_from(part.weights % width).unwrap_or(u32::MAX);
    let others = plus(part.others, rest);
    let mut nodes = Vec::new();
    if rows > 0 {
        let work = part.work.unwrap_or(super::super::beside::PartWork {
            macs: 0,
            reads: 0,
            writes: 0,
        });
        let op = Op::Sized(Sized {
            // What a unit of work does not run is not read either, like the rows of a table that are not looked up.
            kind: if part.work.is_some() {
                LayerKind::Linear
            } else {
                LayerKind::Embedding
            },
            parameters: (rows * width) as f64,
            width: width as f64,
            macs: Some(work.macs as f64),
            moved: Some((work.reads as f64, work.writes as f64)),
        });
        nodes.push(Node::new(part.name.clone(), Role::Other, op));
    }
    if others > 0 {
        let op = Op::Folded { parameters: others };
        let name = format!("{}.others", part.name);
        nodes.push(Node::new(name, Role::Other, op));
    }
    nodes
}

/// The matrix between words and the stream.
pub(super) fn words(words: Words, hidden: u32, out: bool) -> Node {
    let (name, from, to) = if out {
        ("words.out", hidden, words.width)
    } else {
        ("words.in", words.width, hidden)
    };
    Node::new(name, Role::FeedForward, linear(from, to, words.bias))
}

impl Transformer {
    /// What all layers have to look at what was read before, with the heads of their own attention.
    pub(super) fn cross(&self) -> Vec<Node> {
        let Some(source) = self.beside.source else {
            return Vec::new();
        };
        let (hidden, bias) = (self.hidden, self.biases.queries_keys_values);
        let inner = times(self.heads, self.head_dim);
        let kept = times(2, times(self.kv_heads, self.head_dim));
        let what = match source.positions {
            // As many positions as the text has.
            None => Op::Attention(Attention {
                heads: self.heads,
                kv_heads: self.kv_heads,
                width: self.head_dim,
                reading_widths: times(2, self.head_dim),
                cached: kept,
                earlier: false,
                window: None,
                picked: false,
                positions: None,
                latent: false,
                scores: None,
            }),
            // Numbers of 32 bits.
            Some(positions) => Op::State {
                numbers: times(kept, positions) / 2,
                parameters: 0,
            },
        };
        let node = |name: &str, op| {
            Node::new(format!("{CROSS}{name}"), Role::Attention, op).times(self.layers)
        };
        vec![
            node(".query", linear(hidden, inner, bias)),
            node(".key_value", linear(hidden, kept, bias)),
            node(".output", linear(inner, hidden, self.biases.others)),
            node("", what),
        ]
    }
}
