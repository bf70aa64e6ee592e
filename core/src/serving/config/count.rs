//! Parameters of a part that is counted as its published class builds it, matrix by matrix.

use super::super::beside::{Part, PartWork};

/// Parameters inside and outside matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    pub(super) weights: u64,
    pub(super) others: u64,
}

/// A stack of equal layers of attention and two or three matrices after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stack {
    pub(super) layers: u32,
    pub(super) width: u32,
    /// Width of all query heads together.
    pub(super) queries: u32,
    /// Width of all heads of keys, or of values, together.
    pub(super) keys: u32,
    /// Inner width of the feed-forward layer.
    pub(super) inner: u32,
    pub(super) gated: bool,
    /// Biases of queries, keys and values, of the output of attention, of the feed-forward layer.
    pub(super) biases: [bool; 3],
    /// Vectors of the width of the stream in each layer: scales and shifts of normalisation, scales of results.
    pub(super) vectors: u32,
}

impl Stack {
    /// Layers as those of Vaswani et al. and of vision transformers: as many key heads, biases everywhere, two
    /// normalisations that scale and shift.
    pub(super) const fn plain(layers: u32, width: u32, inner: u32) -> Self {
        Self {
            layers,
            width,
            queries: width,
            keys: width,
            inner,
            gated: false,
            biases: [true; 3],
            vectors: 4,
        }
    }
}

impl Count {
    /// So many matrices of a shape, each perhaps with a bias.
    pub(super) const fn matrices(
        &mut self,
        copies: u32,
        (outputs, inputs): (u32, u32),
        bias: bool,
    ) -> &mut Self {
        let one = (outputs as u64).saturating_mul(inputs as u64);
        self.weights = self
            .weights
            .saturating_add(one.saturating_mul(copies as u64));
        if bias {
            self.vectors(copies, outputs);
        }
        self
    }

    /// One matrix.
    pub(super) const fn matrix(&mut self, shape: (u32, u32), bias: bool) -> &mut Self {
        self.matrices(1, shape, bias)
    }

    /// So many vectors.
    pub(super) const fn vectors(&mut self, copies: u32, width: u32) -> &mut Self {
        let all = (copies as u64).saturating_mul(width as u64);
        self.others = self.others.saturating_add(all);
        self
    }

    /// A stack of layers.
    pub(super) const fn stack(&mut self, stack: Stack) -> &mut Self {
        let Stack {
            layers,
            width,
            queries,
            keys,
            inner,
            gated,
            biases: [first, second, third],
            vectors,
        } = stack;
        let twice = layers.saturating_mul(2);
        self.matrices(layers, (queries, width), first)
            .matrices(twice, (keys, width), first)
            .matrices(layers, (width, queries), second)
            .matrices(if gated { twice } else { layers }, (inner, width), third)
            .matrices(layers, (width, inner), third)
            .vectors(layers.saturating_mul(vectors), width)
    }

    /// What another count has as well.
    pub(super) const fn and(&mut self, other: Self) -> &mut Self {
        self.weights = self.weights.saturating_add(other.weights);
        self.others = self.others.saturating_add(other.others);
        self
    }

    /// All parameters.
    pub(super) const fn all(&self) -> u64 {
        self.weights.saturating_add(self.others)
    }

    /// The part that has them; `work`: what a unit of work makes it do.
    pub(super) fn part(&self, name: &str, width: u32, work: Option<PartWork>) -> Part {
        Part {
            name: name.to_owned(),
            weights: self.weights,
            width: width.max(1),
            // Beyond its type a count is beyond any network too, and refused for that.
            others: u32::try_from(self.others).unwrap_or(u32::MAX),
            work,
        }
    }
}
