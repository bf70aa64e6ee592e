//! What a transformer has beside its blocks: parts that lie in memory with it, the images that it reads in place of words,
//! words of another width, and what a decoder looks at beside its own text.

use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Shape};
use crate::error::{Error, Result};

/// What stands beside the blocks of a transformer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Beside {
    /// Further parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Positions of an image that it reads at once in place of a text; 0: it reads words.
    #[serde(skip_serializing_if = "is_zero")]
    pub patches: u32,
    /// Words that are not as wide as the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
    /// What every layer of a decoder looks at beside its own text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// A part of which the size is known, and the work where a unit of work runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// Elements of its matrices.
    pub weights: u64,
    /// Width of a row of them.
    pub width: u32,
    /// Parameters outside matrices.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u32,
    /// What one unit of work makes it do; `None`: it lies in memory only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<PartWork>,
}

/// The work of a part for one unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartWork {
    /// Multiply-accumulates.
    pub macs: u64,
    /// Numbers read.
    pub reads: u64,
    /// Numbers written.
    pub writes: u64,
}

/// Words that are not as wide as the stream: a matrix after their table, and perhaps one before the output layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// Their width.
    pub width: u32,
    /// Whether the matrices add something to each output.
    pub bias: bool,
}

/// What a decoder looks at beside its own text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its positions; `None`: as many as the text has.
    pub positions: Option<u32>,
}

impl Architecture {
    /// Whether it is known what is done for a unit of work, and not only which weights there are.
    pub(crate) fn work_is_known(&self) -> bool {
        !matches!(&self.shape, Shape::Listed(list) if list.graph.nodes.is_empty())
    }

    /// Whether what a unit of work costs is modelled.
    ///
    /// # Errors
    /// [`Error::Infeasible`] for a network with an encoder and a decoder, or one of which only weights are known.
    pub(crate) fn can_be_costed(&self) -> Result<()> {
        match &self.shape {
            Shape::Transformer(network) if network.beside.source.is_some() => {
                Err(Error::Infeasible(
                    "time and energy of an encoder with a decoder are not modelled: a token of the answer would bear its \
                     share of what the encoder read; its parameters, bytes and what it keeps of a sequence are counted \
                     (wattif models check)"
                        .to_owned(),
                ))
            }
            _ if !self.work_is_known() => Err(Error::Infeasible(
                "time and energy of this network are not known: its file has weights, but not how often each of them is used"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

impl Beside {
    /// Nothing.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The same with every part in proportion.
    pub(crate) fn scaled(&self, scale: f64) -> Self {
        // Whole and far below 2^53; a share of it.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = |number: u64| (number as f64 * scale * scale).round() as u64;
        let parts = self.parts.iter().map(|part| Part {
            weights: share(part.weights),
            others: u32::try_from(share(u64::from(part.others))).unwrap_or(u32::MAX),
            work: part.work.map(|work| PartWork {
                macs: share(work.macs),
                ..work
            }),
            ..part.clone()
        });
        Self {
            parts: parts.collect(),
            ..self.clone()
        }
    }
}

impl Part {
    /// Its parameters.
    pub const fn parameters(&self) -> u64 {
        self.weights.saturating_add(self.others as u64)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(super) const fn is_zero(value: &u32) -> bool {
    *value == 0
}
