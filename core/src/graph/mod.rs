//! What a network computes, weights apart: the one listing that parameters, operations, bytes and cache are counted from,
//! whether the network is bundled, in a catalogue, or known by its published configuration.
//!
//! A [`Graph`] is a list of [`Node`]s in the order in which they run, each an [`Op`] of a closed list with facts of its
//! own, so that layers may differ from each other. [`Graph::layers`] is the only place where they are turned into what
//! cost models see; [`Graph::language`] sums up what the model of served language models needs.

mod language;
mod node;
mod op;
mod parts;
mod segments;
mod tensors;
#[cfg(test)]
mod tests;
mod work;

pub use language::{AttentionLayers, ExpertLayers, Language};
pub use node::{Node, Role, Taken, Value};
pub use op::{Extent, Op};
pub use parts::{
    Activation, Alibi, Attention, Cell, Chosen, Conv, Factors, Rotary, Rule, Scores, Sized, Window,
};

use crate::profile::{Layer, Unit};

/// A network without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// What one unit of work is.
    pub unit: Unit,
    /// Positions that pass through the nodes in one unit of work, all at once: 1 where tokens are written one by one, the
    /// length of the text where it is read whole.
    pub positions: u32,
    /// Blocks that follow each other, where it is made of such; else 0.
    pub blocks: u32,
    /// In the order in which they run. A node may stand for several equal ones ([`Node::repeat`]).
    pub nodes: Vec<Node>,
    /// What it is given, where it can be run: then every node says what it reads.
    pub input: Option<Input>,
}

/// What a network is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// An image with values from 0 to 1: channels, rows, columns.
    Image(Extent),
    /// A text of tokens.
    Tokens {
        /// Number of different tokens.
        vocabulary: u32,
        /// The most that are looked back on.
        context: u32,
    },
    /// Numbers drawn from the standard normal distribution.
    Noise {
        /// How many.
        width: u32,
    },
}

impl Input {
    /// Numbers of a sample; none of texts, which are as long as they are.
    pub fn numbers(self) -> Option<usize> {
        match self {
            Self::Image(extent) => {
                let (channels, rows, columns) = extent;
                let sizes = [channels, rows, columns].map(|size| size as usize);
                sizes.into_iter().try_fold(1, usize::checked_mul)
            }
            Self::Tokens { .. } => None,
            Self::Noise { width } => Some(width as usize),
        }
    }

    /// Shape of so many samples.
    pub(crate) fn shape(self, samples: usize) -> Vec<usize> {
        match self {
            Self::Image((channels, rows, columns)) => {
                let sizes = [channels, rows, columns].map(|size| size as usize);
                [[samples].as_slice(), &sizes].concat()
            }
            Self::Tokens { context, .. } => vec![samples, context as usize],
            Self::Noise { width } => vec![samples, width as usize],
        }
    }
}

impl Graph {
    /// What every node asks of a machine, per unit of work; what the kernel before does on the way is no layer, nor what
    /// only looks up another's weights.
    pub fn layers(&self) -> Vec<Layer> {
        self.nodes
            .iter()
            .filter(|node| !node.op.is_on_the_way() && node.shares.is_none())
            .map(|node| work::layer(node, self))
            .collect()
    }

    /// Appends a node that reads these results.
    pub fn push(&mut self, node: Node, inputs: &[Value]) -> Value {
        self.nodes.push(Node {
            inputs: inputs.to_vec(),
            ..node
        });
        Value::Node(self.nodes.len() - 1)
    }

    /// Numbers of a row of the result, of a network that can be run: classes, tokens, those of an image, or what has become
    /// of a token.
    pub fn outputs(&self) -> usize {
        let last = self.nodes.iter().rfind(|node| !node.op.is_on_the_way());
        match last.map(|node| &node.op) {
            Some(Op::Linear { outputs, .. }) => *outputs as usize,
            Some(Op::Norm { width, .. }) => *width as usize,
            Some(Op::Conv(conv)) => {
                let (channels, rows, columns) = conv.to;
                channels as usize * rows as usize * columns as usize
            }
            _ => 0,
        }
    }

    /// Whether it reads texts whole, every token with those before and after it, and gives what has become of each.
    pub fn is_encoder(&self) -> bool {
        let sees_all = |node: &Node| match node.op {
            Op::Attention(attention) => attention.scores.is_some_and(|scores| !scores.causal),
            _ => false,
        };
        matches!(self.input, Some(Input::Tokens { .. })) && self.nodes.iter().any(sees_all)
    }

    /// Numbers that pictures are made of: those that are drawn on the way, or the noise that is given.
    pub fn latent(&self) -> usize {
        let drawn = self.sampling().map(|node| &self.nodes[node].op);
        match (drawn, self.input) {
            (Some(Op::Sample { width }), _) => *width as usize,
            (_, Some(Input::Noise { width })) => width as usize,
            _ => 0,
        }
    }

    /// The node that draws a sample from what the nodes before it make of the input, for those after it, where there is one.
    pub fn sampling(&self) -> Option<usize> {
        let draws = |node: &Node| matches!(node.op, Op::Sample { .. });
        self.nodes.iter().position(draws)
    }

    /// Keeps keys and values in so many bits, which count as so much fewer numbers of 16.
    pub(crate) fn narrow_cache(&mut self, bits: u8) {
        for node in &mut self.nodes {
            if let Op::Attention(attention) = &mut node.op {
                attention.cached = attention
                    .cached
                    .saturating_mul(u32::from(bits))
                    .div_ceil(16);
            }
        }
    }

    /// Bytes that are kept of one sequence at a context length: keys and values, as wide as they are published, and states.
    pub fn kept_bytes(&self, context: f64) -> f64 {
        /// Bytes of a number that a layer counts in its cache.
        const NUMBER: f64 = 2.0;
        let kept = |node: &Node| {
            let repeat = f64::from(node.repeat);
            match node.op {
                Op::Attention(attention) if !attention.earlier && attention.positions.is_none() => {
                    let seen = match attention.window {
                        Some(window) if !attention.picked => context.min(f64::from(window)),
                        _ => context,
                    };
                    repeat * NUMBER * f64::from(attention.cached) * seen
                }
                Op::State { numbers, .. } => repeat * 2.0 * NUMBER * f64::from(numbers),
                Op::Recurrent { cell, units } => {
                    repeat * 2.0 * NUMBER * f64::from(cell.kept()) * f64::from(units)
                }
                _ => 0.0,
            }
        };
        self.nodes.iter().map(kept).sum()
    }

    /// Parameters that one token meets, as makers count them: of mixtures those that it is multiplied with, of others all.
    pub fn active_parameters(&self) -> f64 {
        match self.language() {
            Some(language) if !language.experts.is_empty() => language.active(),
            _ => self.parameters() as f64,
        }
    }

    /// All parameters.
    pub fn parameters(&self) -> u64 {
        let own = self.nodes.iter().filter(|node| node.shares.is_none());
        let all = own.map(|node| work::parameters(node, self));
        all.fold(0, u64::saturating_add)
    }
}
