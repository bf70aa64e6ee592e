//! What a node asks of a machine.

use std::rc::Rc;

use super::layout::{Layout, Rows};
use super::value::{Scales, Value};

/// Channels, rows and columns; of one dimension a single row, of three the first two as one.
pub(crate) type Extent = (u64, u64, u64);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A convolution: what it reads and writes, rows and columns of its kernel, groups, and whether it is transposed.
    Conv {
        from: Extent,
        to: Extent,
        kernel: (u64, u64),
        groups: u64,
        transposed: bool,
    },
    /// A product with weights.
    Product,
    /// A product of two results.
    Scores,
    /// Rows looked up in a table.
    Lookup,
    /// A recurrent layer, one step after another; of long short-term memories in one direction and for one sample numbers
    /// read, units and steps.
    Recurrent(Option<(u64, u64, u64)>),
    /// Normalisation.
    Norm,
}

/// Weights that a node multiplies with or looks up in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    pub(super) made_of: Rc<[usize]>,
    /// Weights that feed one output.
    pub(crate) fan_in: u64,
    pub(super) scales: Scales,
    /// How its rows stand in the stored tensors; `None` where that is not known.
    pub(super) layout: Option<Layout>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Work {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) weights: Option<Weights>,
    /// Multiply-accumulates, all times that it runs.
    pub(crate) macs: f64,
    /// Numbers read.
    pub(crate) inputs: f64,
    /// Numbers written.
    pub(crate) outputs: f64,
    /// Numbers of an earlier result that are added on the way.
    pub(crate) added: f64,
    /// Bits of the numbers that it multiplies its weights with.
    pub(crate) activation_bits: u8,
    /// Whether it runs; else only its weights are stored, as those of a branch that is not taken.
    pub(crate) runs: bool,
    /// Times that it runs.
    pub(crate) rounds: f64,
    /// Own weights: filled in when all nodes are known.
    pub(crate) parameters: u64,
    pub(crate) weight_bits: u8,
    pub(crate) bias: u64,
    /// Of weights packed into bytes: how many they are, and bits of each.
    pub(super) packed: Option<(u64, u8)>,
    /// Where its weights stand, of such that can be replaced.
    pub(crate) rows: Option<Rows>,
}

impl Work {
    pub(super) fn new(kind: Kind, macs: f64, inputs: f64, outputs: f64) -> Self {
        Self {
            name: String::new(),
            kind,
            weights: None,
            macs,
            inputs,
            outputs,
            added: 0.0,
            activation_bits: 32,
            runs: true,
            rounds: 1.0,
            parameters: 0,
            weight_bits: 32,
            bias: 0,
            packed: None,
            rows: None,
        }
    }
}

impl Work {
    /// Multiplies with these weights, where they are constant.
    pub(super) fn weigh(&mut self, weight: &Value, fan_in: u64, scales: Scales) {
        self.weights = weight.made_of.as_ref().map(|made_of| Weights {
            made_of: Rc::clone(made_of),
            fan_in,
            scales,
            layout: None,
        });
    }
}
