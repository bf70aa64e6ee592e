//! The widths that a network is published in.

use crate::graph::Role;
use crate::serving::architecture::{Architecture, Shape, StoredWeights};

/// Bits per weight and activation of a network as published, unless it says otherwise.
pub(super) const PUBLISHED_BITS: u8 = 16;

/// Widths that a network is published in, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedBits {
    /// Per weight, of the part with the most weights outside the experts of a mixture.
    pub weights: u8,
    /// Per weight of the experts of a mixture; the same as `weights` where there are none.
    pub experts: u8,
    /// Per activation.
    pub activations: u8,
}

impl PublishedBits {
    pub(super) fn of(network: &Architecture) -> Self {
        if let Shape::Listed(list) = &network.shape {
            let weights = network.weight_bits.unwrap_or(PUBLISHED_BITS);
            return Self {
                weights,
                experts: weights,
                activations: list.activation_bits,
            };
        }
        let part = |role| stored(network, role).bits;
        let weights = part(Role::FeedForward);
        Self {
            weights,
            experts: part(Role::Experts),
            activations: match (&network.formats, network.weight_bits) {
                (Some(formats), _) => formats.activations.unwrap_or(PUBLISHED_BITS),
                // Published 8-bit weights are FP8 with activations of the same width.
                (None, Some(bits @ ..=8)) => bits.max(8),
                (None, Some(bits)) => bits.max(PUBLISHED_BITS),
                (None, None) => PUBLISHED_BITS,
            },
        }
    }
}

/// How the weights of a part are published. No scales are stated where `scale_bits` is 0.
pub(super) fn stored(network: &Architecture, role: Role) -> StoredWeights {
    let plain = |bits| StoredWeights {
        bits,
        group: 0,
        scale_bits: 0,
    };
    if let Some(formats) = &network.formats {
        let named = formats.weights.iter().find(|(part, _)| *part == role);
        return named.map_or(plain(PUBLISHED_BITS), |(_, stored)| *stored);
    }
    let weights = network.weight_bits.unwrap_or(PUBLISHED_BITS);
    plain(match role {
        Role::Experts => network.expert_bits.unwrap_or(weights),
        _ => weights,
    })
}
