//! What kinds of language models do differently from Llama.

use serde::{Deserialize, Serialize};

use super::Number;
use crate::graph::{Activation, Alibi};

/// What a language model does differently from Llama; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Form {
    /// By what rule it normalises.
    pub norm: NormRule,
    /// Where a block normalises.
    pub norms: Norms,
    /// Whether both parts of a block read what came into it, and not the second the sum of the first.
    pub parallel: bool,
    /// Whether queries and keys are normalised whole where [`super::DecoderConfig::head_norms`] says that they are.
    pub whole_norms: bool,
    /// Whether queries, keys and values are one projection.
    pub fused: bool,
    /// What the feed-forward layer is made of.
    pub feed: Feed,
    /// Its function.
    pub function: Function,
    /// Whether attention's last projection has a bias.
    pub output_bias: bool,
    /// Whether the projections of the feed-forward layer have biases.
    pub feed_biases: bool,
    /// Whether the projection to the vocabulary has a bias.
    pub head_bias: bool,
    /// Every n-th block does not turn queries and keys; 0: all do.
    pub unturned_every: usize,
    /// Whether positions are learnt and added to tokens, and nothing turns.
    pub learnt_positions: bool,
    /// Numbers that results are multiplied by.
    pub scales: Scales,
    /// Scores are held below this smoothly.
    pub score_cap: Option<Number>,
    /// Logits are held below this smoothly.
    pub logit_cap: Option<Number>,
    /// By block whether it looks back over the window only; empty: all do, where there is one.
    pub local: Vec<bool>,
    /// Base of the rotary angles of these blocks, where it is another.
    pub local_base: Option<Number>,
    /// Positions are divided by this before they turn, but in these blocks.
    pub divisor: Option<Number>,
    /// What turns is multiplied by this too.
    pub magnitude: Option<Number>,
    /// Whether angles are divided by one of two tables, by the length of the context: the one for short contexts is used.
    pub short_factors: bool,
    /// Whether rows of the table of tokens are normalised, too.
    pub embedding_norm: bool,
    /// Linear biases of scores, where nothing turns.
    pub alibi: Option<Slopes>,
    /// Experts in place of the feed-forward layer.
    pub mixture: Option<Mixture>,
}

/// Linear biases of scores, as [`Alibi`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slopes {
    /// See [`Alibi::most`].
    pub most: Number,
    /// See [`Alibi::rounded`].
    pub rounded: bool,
}

impl From<Slopes> for Alibi {
    fn from(slopes: Slopes) -> Self {
        Self {
            most: slopes.most.0,
            rounded: slopes.rounded,
        }
    }
}

/// A mixture of experts: each a gate, a projection up and one down, of which every token visits a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// Experts of a block.
    pub count: usize,
    /// Experts that a token is sent to.
    pub active: usize,
    /// Inner width of each.
    pub width: usize,
    /// Whether what the picked ones count is divided by its sum.
    pub normalised: bool,
    /// Inner width of the expert that every token visits; 0: there is none.
    pub shared: usize,
    /// Whether what that one gives is multiplied by a gate.
    pub shared_gate: bool,
}

/// By what rule numbers are normalised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NormRule {
    /// To a mean square of 1.
    #[default]
    RootMeanSquare,
    /// To mean 0 and variance 1, with a scale and a shift.
    Layer,
    /// The same with a scale only.
    LayerScaled,
    /// The same with neither.
    LayerBare,
}

/// Where a block normalises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Norms {
    /// What each of its two parts reads.
    #[default]
    Before,
    /// What each part gives, too.
    Around,
    /// Only what each part gives.
    After,
    /// What comes into the block, once for both parts.
    Once,
    /// What comes into the block, for each part by itself: `attn_norm_2` for attention, `attn_norm` for the other.
    Twice,
}

/// What a feed-forward layer is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Feed {
    /// A gate, a projection up and one down.
    #[default]
    Gated,
    /// Gate and projection up in one matrix, in this order.
    GatedInOne,
    /// A projection up and one down.
    Plain,
}

/// The function inside a feed-forward layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Function {
    /// [`Activation::Silu`].
    #[default]
    Silu,
    /// [`Activation::Gelu`].
    Gelu,
    /// [`Activation::GeluExact`].
    GeluExact,
}

impl From<Function> for Activation {
    fn from(function: Function) -> Self {
        match function {
            Function::Silu => Self::Silu,
            Function::Gelu => Self::Gelu,
            Function::GeluExact => Self::GeluExact,
        }
    }
}

/// Numbers that results are multiplied by; `None` stands for the usual ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scales {
    /// Rows of the table of tokens; usually 1.
    pub embedding: Option<Number>,
    /// What a part of a block gives, before it is added; usually 1.
    pub residual: Option<Number>,
    /// Logits; usually 1.
    pub logits: Option<Number>,
    /// Scores of attention; usually 1 / √(width of a head).
    pub scores: Option<Number>,
}

impl Form {
    /// Whether it is Llama's.
    pub(super) fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Numbers that must be finite and above 0.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> {
        let Scales {
            embedding,
            residual,
            logits,
            scores,
        } = self.scales;
        [
            embedding,
            residual,
            logits,
            scores,
            self.score_cap,
            self.logit_cap,
            self.local_base,
            self.divisor,
            self.magnitude,
            self.alibi.map(|slopes| slopes.most),
        ]
        .into_iter()
        .flatten()
    }
}
