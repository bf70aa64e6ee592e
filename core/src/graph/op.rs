//! The closed list of operations. Counting matches it once, in `work`; nothing else needs to.

use super::node::Taken;
use super::parts::{Activation, Attention, Cell, Conv, Rotary, Rule, Sized};
use crate::profile::LayerKind;

/// A tensor of activations: channels, rows, columns.
pub type Extent = (u32, u32, u32);

/// What a node computes. Weights are output dimension first.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A matrix product, weights `[outputs, inputs]`. Where the node has experts, one of each, below each other; it reads
    /// the result of a [`Self::Route`] too, and gives what each picked expert gives, one after another, to the same numbers
    /// or each to its own.
    Linear {
        /// Numbers that it reads.
        inputs: u32,
        /// Numbers that it writes.
        outputs: u32,
        /// Whether something is added to each output.
        bias: bool,
    },
    /// A convolution.
    Conv(Conv),
    /// A table lookup, weights `[rows, width]`.
    Embedding {
        /// Rows.
        rows: u32,
        /// Width of a row.
        width: u32,
    },
    /// Normalisation over `width` numbers: a multiply-add each for the variance and for scale and shift.
    Norm {
        /// Numbers that are normalised together.
        width: u32,
        /// Parameters per number: a scale, and perhaps a shift.
        parameters: u32,
        /// By what rule; needed to run it.
        rule: Option<Rule>,
    },
    /// Batch normalisation by running statistics, folded into the node before it: four parameters a channel, no work.
    BatchNorm {
        /// Channels.
        channels: u32,
        /// Added to the variance.
        epsilon: f32,
    },
    /// A function of every number, done on the way by the kernel before it: no work of its own.
    Activation(Activation),
    /// The sum of two results, done on the way by the kernel before it; what it reads is [`super::Node::added`] there.
    Add,
    /// The product of two results of equal shape, done on the way (gates).
    Multiply,
    /// The product with a constant, done on the way.
    Times {
        /// The constant.
        factor: f32,
    },
    /// Numbers are held below a cap smoothly, `cap · tanh(x / cap)`, done on the way.
    Cap {
        /// The cap.
        cap: f32,
    },
    /// Some numbers of every row, done on the way.
    Slice {
        /// Numbers before them.
        at: u32,
        /// How many they are.
        width: u32,
    },
    /// Picks the experts with the largest of `count` numbers, done on the way: the places of the picked ones, then what
    /// each counts, the exponential of its number over the sum of all exponentials.
    Route {
        /// Experts.
        count: u32,
        /// How many are picked.
        active: u32,
        /// Whether what they count is divided by its sum.
        normalised: bool,
    },
    /// The sum of what experts gave, each times what it counts, done on the way: of rows of `active · width` numbers and
    /// the result of [`Self::Route`].
    Mix {
        /// Experts that were picked.
        active: u32,
        /// Numbers that each gave.
        width: u32,
    },
    /// The first result times the logistic function of the second's product with weights `[width]`.
    Gate {
        /// Numbers of the second.
        width: u32,
    },
    /// Turns pairs of numbers of every head by an angle that grows with the position, done on the way.
    Rotary(Rotary),
    /// The largest number of every window of an image, by channel, done on the way by the kernel before it; places beyond
    /// the edge do not count.
    MaxPool {
        /// Rows and columns of the window.
        size: u32,
        /// Pixels between windows.
        stride: u32,
        /// Pixels beyond each edge.
        padding: u32,
    },
    /// The mean over the pixels of an image, by channel, done on the way.
    Mean,
    /// Every pixel of an image, twice along rows and columns (nearest neighbour), done on the way.
    Upsample,
    /// A row of numbers as an image, channel by channel and these row by row, done on the way.
    Unflatten {
        /// The image.
        to: Extent,
    },
    /// An image as a row of numbers, channel by channel and these row by row, done on the way.
    Flatten,
    /// A sample of a normal distribution for every number, done on the way: of means and logarithms of variances, one
    /// after the other, as wide as what is drawn. A network that is run whole takes the means.
    Sample {
        /// Numbers that are drawn.
        width: u32,
    },
    /// Normalisation whose scale and shift are folded into the node before it, or what its kernel does on the way
    /// (pooling, means): parameters, no work.
    Folded {
        /// Parameters in the file.
        parameters: u32,
    },
    /// A scale of every channel that is not folded into the node before it; weights `[channels]`.
    Scale {
        /// Channels.
        channels: u32,
    },
    /// The two products of attention.
    Attention(Attention),
    /// A state that does not grow with the context, read, changed and written once per position.
    State {
        /// Numbers that it keeps of a sequence, in 32 bits.
        numbers: u32,
        /// Parameters outside matrices.
        parameters: u32,
    },
    /// One step of a long short-term memory (Hochreiter and Schmidhuber 1997, with a forget gate), weights
    /// `[4 × units, inputs + units]`: four gates, each a product with the new input and with its own last output.
    Lstm {
        /// Numbers that it reads.
        inputs: u32,
        /// Units, as many as the numbers that it writes.
        units: u32,
        /// Steps of one unit of work, one after the other, of as many numbers each.
        steps: u32,
    },
    /// A part of which only the size and the work are known.
    Sized(Sized),
    /// The steps of a recurrent layer over a text, one after another, weights `[gates × units, units]` and as many biases as
    /// rows. It reads what the gates are given by the layer's input, `[gates × units]` numbers of every position, and
    /// multiplies its own last output.
    Recurrent {
        /// How a step goes.
        cell: Cell,
        /// Units, as many as the numbers that it writes.
        units: u32,
    },
    /// A row of a table for every token, whatever that is, weights `[rows, width]`.
    Row {
        /// Rows.
        rows: u32,
        /// Width of a row.
        width: u32,
        /// Which one.
        taken: Taken,
    },
}

impl Op {
    /// Whether what it gives for a position depends on the positions before it.
    pub const fn looks_back(&self) -> bool {
        matches!(self, Self::Attention(_) | Self::Recurrent { .. })
    }

    /// The same with channels, units and widths scaled by a factor; what is counted only scales with its square.
    pub(crate) fn narrower(&self, factor: f64) -> Self {
        // At least one, and no larger than before.
        let less = |n: u32| ((f64::from(n) * factor).round() as u32).clamp(1, n.max(1));
        let square = factor * factor;
        match self {
            Self::Conv(conv) => {
                // Colours stay.
                let read = if conv.from.0 <= 4 {
                    conv.from.0
                } else {
                    less(conv.from.0)
                };
                let groups = match conv.groups {
                    1 => 1,
                    groups if groups == conv.from.0 => read,
                    groups => less(groups),
                };
                Self::Conv(Conv {
                    from: (read, conv.from.1, conv.from.2),
                    to: (less(conv.to.0), conv.to.1, conv.to.2),
                    groups,
                    ..*conv
                })
            }
            Self::Lstm {
                inputs,
                units,
                steps,
            } => Self::Lstm {
                inputs: less(*inputs),
                units: less(*units),
                steps: *steps,
            },
            Self::Folded { parameters } => Self::Folded {
                parameters: less(*parameters),
            },
            Self::Sized(sized) => {
                let table = sized.kind == LayerKind::Embedding;
                Self::Sized(Sized {
                    parameters: sized.parameters * if table { factor } else { square },
                    width: (sized.width * factor).max(1.0),
                    macs: sized.macs.map(|macs| macs * square),
                    moved: sized
                        .moved
                        .map(|(read, written)| (read * factor, written * factor)),
                    ..*sized
                })
            }
            other => other.clone(),
        }
    }

    /// Whether the kernel of the node before does it on the way, so that it is no layer of its own.
    pub const fn is_on_the_way(&self) -> bool {
        matches!(
            self,
            Self::Activation(_)
                | Self::Add
                | Self::Multiply
                | Self::Times { .. }
                | Self::Cap { .. }
                | Self::Slice { .. }
                | Self::Route { .. }
                | Self::Mix { .. }
                | Self::Rotary(_)
                | Self::MaxPool { .. }
                | Self::Upsample
                | Self::Unflatten { .. }
                | Self::Flatten
                | Self::Sample { .. }
        )
    }
}
