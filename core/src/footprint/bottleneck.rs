//! What takes the time of a footprint: the one reading of it that notes, pages and reports share.

use std::fmt;

use super::{Bound, LayerCost};

impl Bound {
    /// All of them, in the order of legends.
    pub const ALL: [Self; 4] = [
        Self::Compute,
        Self::Memory,
        Self::Overhead,
        Self::Interconnect,
    ];

    /// What bounds, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Compute => "arithmetic",
            Self::Memory => "memory",
            Self::Overhead => "overhead",
            Self::Interconnect => "links",
        }
    }
}

/// What bounds the layers that take most of the time together. Written: "81 % of the time goes to layers bound by
/// memory".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bottleneck {
    /// What bounds them.
    pub bound: Bound,
    /// Their part of the time of all layers, 0 to 1.
    pub share: f64,
}

impl Bottleneck {
    /// Of layers with their times; `None` where they take none.
    pub fn of(layers: &[LayerCost]) -> Option<Self> {
        let total: f64 = layers.iter().map(|layer| layer.time.0).sum();
        Bound::ALL
            .into_iter()
            .map(|bound| Self {
                bound,
                share: seconds(layers, bound) / total,
            })
            .filter(|own| own.share > 0.0)
            .reduce(|most, next| if next.share > most.share { next } else { most })
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} % of the time goes to layers bound by {}",
            100.0 * self.share,
            self.bound.words()
        )
    }
}

/// Time of the layers that something bounds.
pub(super) fn seconds(layers: &[LayerCost], bound: Bound) -> f64 {
    let bounded = layers.iter().filter(|layer| layer.bound == bound);
    bounded.map(|layer| layer.time.0).sum()
}
