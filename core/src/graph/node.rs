//! A node of a graph: an operation with what stands around it.

use serde::{Deserialize, Serialize};

use super::op::Op;
use super::parts::Chosen;

/// What a node is there for. Formats are stated, and files name their tensors, by these parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// The table that tokens are looked up in.
    Embedding,
    /// The table of learned positions.
    Positions,
    /// Projections to and from attention, and attention itself.
    Attention,
    /// Feed-forward layers that every token passes.
    FeedForward,
    /// Chooses the experts of a token.
    Router,
    /// Experts that a token may be sent to.
    Experts,
    /// Experts that every token visits.
    SharedExperts,
    /// Normalisation.
    Norm,
    /// From the last block to the vocabulary or the classes.
    Head,
    /// Anything else.
    Other,
}

/// One operation, or several equal ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name, the same as the prefix of its tensors where there are any.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it is there for.
    pub role: Role,
    /// Equal nodes that it stands for, one in each of so many blocks.
    pub repeat: u32,
    /// Kernels that each of them starts.
    pub kernels: u32,
    /// Times that each runs for one unit of work, reading its weights again (denoising steps).
    pub passes: u32,
    /// Copies of the operation of which a position uses some.
    pub experts: Option<Chosen>,
    /// Numbers of an earlier result that are read once more and added to its own (residual connections).
    pub added: f64,
    /// Whose results it reads, in the order of its operation; empty in a network that is only counted.
    pub inputs: Vec<Value>,
    /// The node whose weights it looks up, where it has none of its own (tied embeddings).
    pub shares: Option<String>,
}

/// Which row of a table is taken for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The one after this many and as many as the token's place in its text, from 0.
    ByPlace(u32),
    /// Always this one.
    Always(u32),
}

/// What a node can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// What the network is given.
    Input,
    /// The result of a node, by its place in the graph.
    Node(usize),
}

impl Node {
    /// A node that stands for itself and runs once.
    pub fn new(name: impl Into<String>, role: Role, op: Op) -> Self {
        Self {
            name: name.into(),
            op,
            role,
            repeat: 1,
            kernels: 1,
            passes: 1,
            experts: None,
            added: 0.0,
            inputs: Vec::new(),
            shares: None,
        }
    }

    /// The same for so many equal nodes.
    #[must_use]
    pub const fn times(mut self, repeat: u32) -> Self {
        self.repeat = repeat;
        self
    }
}
