//! The closed list of operations. Counting matches it once, in `work`; nothing else needs to.

use crate::profile::LayerKind;

/// A tensor of activations: channels, rows, columns.
pub type Extent = (u32, u32, u32);

/// What a node computes. Weights are output dimension first.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A matrix product, weights `[outputs, inputs]`.
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
}

/// Attention of one layer: what every query meets, and what is kept of every position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
