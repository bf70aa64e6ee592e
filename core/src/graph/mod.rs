//! What a network computes, weights apart: the one listing that parameters, operations, bytes and cache are counted from,
//! whether the network is bundled, in a catalogue, or known by its published configuration.
//!
//! A [`Graph`] is a list of [`Node`]s in the order in which they run, each an [`Op`] of a closed list with facts of its
//! own, so that layers may differ from each other. [`Graph::layers`] is the only place where they are turned into what
//! cost models see; [`Graph::language`] sums up what the model of served language models needs.

mod language;
mod node;
mod op;
#[cfg(test)]
mod tests;
mod work;

pub use language::{AttentionLayers, ExpertLayers, Language};
pub use node::{Node, Role};
pub use op::{Attention, Chosen, Conv, Extent, Op, Sized};

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
}

impl Graph {
    /// What every node asks of a machine, per unit of work.
    pub fn layers(&self) -> Vec<Layer> {
        self.nodes
            .iter()
            .map(|node| work::layer(node, self))
            .collect()
    }

    /// All parameters.
    pub fn parameters(&self) -> u64 {
        self.nodes
            .iter()
            .map(|node| work::parameters(node, self))
            .sum()
    }
}
