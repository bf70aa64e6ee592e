//! What operations are made of: how kernels move, how positions turn, how attention takes its scores.

use serde::{Deserialize, Serialize};

use super::op::Extent;
use crate::profile::LayerKind;

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
