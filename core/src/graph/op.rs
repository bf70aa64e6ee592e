//! The closed list of operations. Counting matches it once, in `work`; nothing else needs to.

use serde::{Deserialize, Serialize};

use super::node::Taken;
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

/// A convolution, weights `[channels out, channels in / groups, rows, columns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// What it reads. Padding and pooling show in the extents only.
    pub from: Extent,
    /// What it writes.
    pub to: Extent,
    /// Rows and columns of the kernel.
    pub kernel: (u32, u32),
    /// Groups of channels that do not meet; as many as channels in a depthwise one.
    pub groups: u32,
    /// Whether every input is spread over a kernel's worth of outputs (fractional stride), instead of gathered.
    pub transposed: bool,
    /// Whether something is added to every channel.
    pub bias: bool,
    /// How the kernel moves; needed to run it.
    pub window: Option<Window>,
}

/// How a kernel moves over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Pixels between places.
    pub stride: u32,
    /// Zeros beyond each edge.
    pub padding: u32,
}

impl Window {
    /// Places of a kernel of `kernel` pixels along an edge of `size`; none where it does not fit.
    pub const fn places(self, size: u32, kernel: u32) -> u32 {
        let padded = size.saturating_add(self.padding.saturating_mul(2));
        if padded < kernel || self.stride == 0 {
            return 0;
        }
        (padded - kernel) / self.stride + 1
    }
}

/// By what rule numbers are normalised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// To mean 0 and variance 1 (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).
    Layer {
        /// Added to the variance.
        epsilon: f32,
    },
    /// To a mean square of 1 (Zhang and Sennrich 2019, <https://arxiv.org/abs/1910.07467>).
    RootMeanSquare {
        /// Added to the mean square.
        epsilon: f32,
    },
}

/// Rotary position embedding (Su et al. 2021, <https://arxiv.org/abs/2104.09864>): pair i of a head turns by
/// position / divisor × base^(−2i / dims).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotary {
    /// Width of a head.
    pub width: u32,
    /// Numbers of a head that turn, the first ones.
    pub dims: u32,
    /// Base of the angles.
    pub base: f32,
    /// Whether a pair stands side by side; else its halves are half of [`Self::dims`] apart.
    pub interleaved: bool,
    /// What the angle of every pair is divided by.
    pub factors: Factors,
    /// What positions are divided by.
    pub divisor: f32,
    /// What the numbers that turn are multiplied by.
    pub magnitude: f32,
}

/// What the angle of every pair is divided by: a table `[dims / 2]`, one for all layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// Nothing.
    None,
    /// The only table.
    One,
    /// The table for short contexts, of two.
    Short,
}

impl Factors {
    /// The only table.
    pub const ONE: &str = "rope_freqs.weight";
    /// The table for contexts as long as in training at first.
    pub const SHORT: &str = "rope_factors_short.weight";
    /// The table for longer ones.
    pub const LONG: &str = "rope_factors_long.weight";

    /// The tables that a file has; the first is the one that is used.
    pub const fn tables(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::One => &[Self::ONE],
            Self::Short => &[Self::SHORT, Self::LONG],
        }
    }
}

/// A function of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(0, x)`.
    Relu,
    /// `min(6, max(0, x))`.
    Relu6,
    /// The Gaussian error linear unit in its tanh form (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>).
    Gelu,
    /// The same by the error function: `x / 2 · (1 + erf(x / √2))`.
    GeluExact,
    /// `x / (1 + exp(-x))`, also called swish.
    Silu,
    /// The logistic function, `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// How a recurrent layer goes on from one position to the next. Gates lie one below the other as PyTorch has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// A long short-term memory (Hochreiter and Schmidhuber 1997, with a forget gate): input gate, forget gate, new content
    /// and output gate.
    Lstm,
    /// A gated recurrent unit (Cho et al. 2014, <https://arxiv.org/abs/1406.1078>), the reset gate after the product: reset
    /// gate, update gate and new content.
    Gru,
}

impl Cell {
    /// Gates of a unit, the new content included.
    pub const fn gates(self) -> u32 {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }

    /// Numbers that a unit keeps from one position to the next: its output, and the content of a memory.
    pub const fn kept(self) -> u32 {
        match self {
            Self::Lstm => 2,
            Self::Gru => 1,
        }
    }
}

/// Attention of one layer: what every query meets, and what is kept of every position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: u32,
    /// Heads of keys and values, or 1 where all heads share one vector.
    pub kv_heads: u32,
    /// Width of a head over which scores are taken and values summed up, while a token is written.
    pub width: u32,
    /// Twice that width while a text is read, where it is another (keys and values of latent attention are spelled out):
    /// width of a key and of a value together.
    pub reading_widths: u32,
    /// Numbers kept of every position; none where a text is read whole.
    pub cached: u32,
    /// Whether these are kept by an earlier layer, and only read here.
    pub earlier: bool,
    /// Most positions that are looked back over.
    pub window: Option<u32>,
    /// Whether these are picked among all, which are all kept, and not the last ones.
    pub picked: bool,
    /// Positions that meet each other, where that is not the context of the scenario.
    pub positions: Option<u32>,
    /// Whether one small vector stands for the keys and values of all heads.
    pub latent: bool,
    /// How scores are taken; needed to run it.
    pub scores: Option<Scores>,
}

/// How attention takes its scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Times the product of a query and a key.
    pub scale: f32,
    /// Whether a position sees only itself and those before it.
    pub causal: bool,
    /// Scores are held below this smoothly: `cap · tanh(score / cap)`.
    pub cap: Option<f32>,
    /// What is added to scores by the place of the key.
    pub alibi: Option<Alibi>,
}

/// Linear biases in place of positions (Press et al. 2022, <https://arxiv.org/abs/2108.12409>): the slope of a head times
/// the place of the key is added to its scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alibi {
    /// The slope of the last of `n` heads is 2 to the power of minus this, that of head i from 1 on 2 to the power of minus
    /// i / n of it; where they are no power of two, heads beyond the largest below have slopes between those.
    pub most: f32,
    /// Whether slopes and what is added are rounded to bfloat16, and multiplied by [`Scores::scale`] as products are.
    pub rounded: bool,
}

impl Alibi {
    /// The slope of a head, from 0 on.
    pub fn slope(self, head: usize, heads: usize) -> f32 {
        // The largest power of two that is not above the number of heads.
        let whole = 1_usize << heads.max(1).ilog2();
        let (step, of) = match head < whole {
            true => (head + 1, whole),
            false => (2 * (head - whole) + 1, 2 * whole),
        };
        let slope = (-f64::from(self.most) * step as f64 / of as f64).exp2() as f32;
        match self.rounded {
            true => half::bf16::from_f32(slope).to_f32(),
            false => slope,
        }
    }

    /// What is added for a key at a place by a head of this slope.
    pub fn added(self, slope: f32, place: usize, scale: f32) -> f32 {
        let added = slope * place as f32;
        match self.rounded {
            true => half::bf16::from_f32(added).to_f32() * scale,
            false => added,
        }
    }
}

/// Experts that a position uses, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Used by one position.
    pub active: u32,
    /// All.
    pub count: u32,
}

/// A part of which only the size and the work are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sized {
    /// What it is like.
    pub kind: LayerKind,
    /// Parameters, as a matrix with rows of `width`.
    pub parameters: f64,
    /// Numbers in a row.
    pub width: f64,
    /// Multiply-accumulates per unit of work; `None`: every parameter once per position.
    pub macs: Option<f64>,
    /// Numbers read and written per unit of work; `None`: a row and a column of the matrix per position.
    pub moved: Option<(f64, f64)>,
}
