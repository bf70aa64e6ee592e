//! Networks known layer by layer: convolutional and recurrent ones, generators and decoders of images.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::architecture::Operations;
use crate::profile::{Layer, LayerProfile, ModelProfile, Unit};

/// A tensor of activations: channels, rows, columns.
type Extent = (u32, u32, u32);
/// A tensor of activations over a volume: channels, slices, rows, columns.
type Volume = (u32, u32, u32, u32);

/// A network as the list of its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerList {
    /// What one inference reads or writes.
    pub unit: Unit,
    /// Operations of one inference as its makers or its benchmark print them, a multiply-accumulate being two; they may
    /// count what the layers do not (pooling, biases).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<f64>,
    /// Layers with weights, in the order in which they run.
    pub layers: Vec<ListedLayer>,
    /// How its makers unrolled it in programmable logic, if it is one design and not a network for any chip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folding: Option<Folding>,
}

/// A layer with weights. Padding and pooling show in the extents only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListedLayer {
    /// A convolution over all channels.
    Conv {
        /// What it reads.
        from: Extent,
        /// What it writes.
        to: Extent,
        /// Rows and columns of the kernel.
        kernel: (u32, u32),
        /// Whether what an earlier layer wrote is added to the result, and therefore read once more.
        #[serde(default)]
        adds: bool,
    },
    /// A convolution that spreads every input over a kernel's worth of outputs (fractional stride).
    TransposedConv {
        /// What it reads.
        from: Extent,
        /// What it writes.
        to: Extent,
        /// Rows and columns of the kernel.
        kernel: (u32, u32),
    },
    /// A convolution of every channel by itself.
    Depthwise {
        /// What it reads.
        from: Extent,
        /// What it writes.
        to: Extent,
        /// Rows and columns of the kernel.
        kernel: (u32, u32),
    },
    /// A convolution of groups of channels, each group by itself.
    Grouped {
        /// What it reads.
        from: Extent,
        /// What it writes.
        to: Extent,
        /// Rows and columns of the kernel.
        kernel: (u32, u32),
        /// Groups.
        groups: u32,
    },
    /// A convolution over all channels of a volume.
    ConvVolume {
        /// What it reads.
        from: Volume,
        /// What it writes.
        to: Volume,
        /// Slices, rows and columns of the kernel.
        kernel: u32,
    },
    /// A convolution that spreads every input over a kernel's worth of a volume of outputs.
    TransposedConvVolume {
        /// What it reads.
        from: Volume,
        /// What it writes.
        to: Volume,
        /// Slices, rows and columns of the kernel.
        kernel: u32,
    },
    /// A matrix product: inputs, outputs.
    Dense(u32, u32),
    /// A table of words: rows, width.
    Embedding(u32, u32),
    /// A long short-term memory (Hochreiter and Schmidhuber 1997, with a forget gate): four gates, each a product with the
    /// new input and with the layer's own last output.
    Lstm {
        /// Numbers that a step reads.
        inputs: u32,
        /// Units, as many as the numbers that a step writes.
        hidden: u32,
        /// Steps of one inference, one after the other.
        #[serde(default = "once")]
        steps: u32,
    },
    /// The two products of attention between all places of an image, in one head.
    Attention {
        /// Places.
        tokens: u32,
        /// Channels.
        width: u32,
    },
    /// Normalisation of so many channels that is not folded into the layer before it.
    Scale(u32),
}

const fn once() -> u32 {
    1
}

/// How a design in programmable logic shares its multipliers over time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Folding {
    /// How often a multiplier is used per product of a layer (`ReuseFactor` of hls4ml); a layer has at least one.
    Reuse(f64),
    /// Cycles between one result and the next that the design was built for (`target_fps` or folding of FINN).
    Interval(f64),
}

/// The same of a volume, whose slices are laid side by side.
pub(super) fn flat((channels, slices, rows, columns): Volume) -> Extent {
    (channels, slices.saturating_mul(rows), columns)
}

impl ListedLayer {
    /// The word for its kind in the names of layers.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "conv",
            Self::TransposedConv { .. } => "transposed",
            Self::Depthwise { .. } => "depthwise",
            Self::Grouped { .. } => "grouped",
            Self::ConvVolume { .. } => "conv3d",
            Self::TransposedConvVolume { .. } => "transposed3d",
            Self::Dense(..) => "dense",
            Self::Embedding(..) => "embedding",
            Self::Lstm { .. } => "lstm",
            Self::Attention { .. } => "attention",
            Self::Scale(_) => "scale",
        }
    }
}

impl LayerList {
    /// The layers as hardware models see them.
    pub fn layers(&self) -> Vec<Layer> {
        self.graph().layers()
    }

    /// The network with all weights and activations at the same widths and no zeros.
    pub fn profile(&self, model: &str, weight_bits: u8, activation_bits: u8) -> ModelProfile {
        let layers = self
            .layers()
            .into_iter()
            .map(|layer| {
                let (weight_bits, activation_bits) = if layer.compressible {
                    (weight_bits, activation_bits)
                } else {
                    (32, 32)
                };
                LayerProfile {
                    nonzero: layer.weights(),
                    weight_bits,
                    other_bits: 32.0,
                    activation_bits,
                    pattern: None,
                    scales: 0,
                    stored_bytes: (layer.weights() * u64::from(weight_bits)).div_ceil(8)
                        + layer.other_parameters * 4,
                    layer,
                }
            })
            .collect();
        ModelProfile {
            model: model.to_owned(),
            unit: self.unit,
            layers,
            header_bytes: 0,
            network: None,
            spiking: None,
        }
    }

    /// Weights and biases.
    pub fn parameters(&self) -> f64 {
        self.layers()
            .iter()
            .map(|layer| (layer.weights() + layer.other_parameters) as f64)
            .sum()
    }

    /// Operations of one inference: as published, else two per multiply-accumulate.
    pub fn operations(&self) -> f64 {
        self.operations.unwrap_or_else(|| 2.0 * self.macs())
    }

    /// Activations that its layers read and write, in numbers per operation.
    pub(super) fn traffic(&self) -> f64 {
        let layers = self.layers();
        let moved: f64 = layers
            .iter()
            .map(|layer| layer.inputs + layer.outputs)
            .sum();
        moved / self.operations()
    }

    /// What most of its operations are.
    pub(super) fn operations_kind(&self) -> Operations {
        let recurrent = |layer: &ListedLayer| matches!(layer, ListedLayer::Lstm { .. });
        if self.layers.iter().any(recurrent) {
            Operations::Attention // matrix products, as in transformers
        } else {
            Operations::Convolutional
        }
    }

    /// What kind of network it is, in a few words.
    pub fn family(&self) -> &'static str {
        let any = |of: fn(&ListedLayer) -> bool| self.layers.iter().any(of);
        if any(|layer| matches!(layer, ListedLayer::Lstm { .. })) {
            match self.unit {
                Unit::Token => "recurrent language model",
                Unit::Image | Unit::Video | Unit::Sample => "recurrent network",
            }
        } else if any(|layer| matches!(layer, ListedLayer::ConvVolume { .. })) {
            "convolutional network over volumes"
        } else if any(|layer| matches!(layer, ListedLayer::TransposedConv { .. })) {
            "convolutional generator of images"
        } else if any(|layer| matches!(layer, ListedLayer::Conv { .. })) {
            "convolutional network"
        } else {
            "network of dense layers"
        }
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> f64 {
        self.layers().iter().map(|layer| layer.macs).sum()
    }
}
