//! A network that is known node by node, with the number format of each.

use super::architecture::StoredWeights;
use crate::graph::Graph;

/// A network that its file lists node by node. None of its nodes is done on the way, so that its layers are its nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// What it computes.
    pub graph: Graph,
    /// How the weights of every node are stored.
    pub stored: Vec<StoredWeights>,
    /// Bits of most of the numbers that weights are multiplied with.
    pub activation_bits: u8,
    /// Bits of what is no weight of a node: biases, normalisation, results between nodes.
    pub other_bits: u8,
    /// What kind of network it is, in a few words.
    pub family: &'static str,
}

impl Listed {
    /// The same network with all channels and units scaled by a factor from 0 to 1: parameters and multiply-accumulates
    /// shrink with its square, but for depthwise convolutions and tables, which shrink with it.
    #[must_use]
    pub fn narrower(&self, factor: f64) -> Self {
        let mut narrower = self.clone();
        for node in &mut narrower.graph.nodes {
            node.op = node.op.narrower(factor);
            node.added *= factor;
        }
        narrower
    }
}
