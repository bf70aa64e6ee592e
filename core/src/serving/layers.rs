//! Networks known layer by layer: convolutional and recurrent ones, generators and decoders of images.

use serde::{Deserialize, Serialize};

use crate::profile::{Layer, LayerProfile, ModelProfile, Unit};

/// A tensor of activations: channels, rows, columns.
type Extent = (u32, u32, u32);

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
    /// A matrix product: inputs, outputs.
    Dense(u32, u32),
    /// A table of words: rows, width.
    Embedding(u32, u32),
    /// One step of a long short-term memory (Hochreiter and Schmidhuber 1997, with a forget gate): four gates, each a
    /// product with the new input and with the layer's own last output.
    Lstm {
        /// Numbers that it reads.
        inputs: u32,
        /// Units, as many as the numbers that it writes.
        hidden: u32,
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

/// How a design in programmable logic shares its multipliers over time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Folding {
    /// How often a multiplier is used per product of a layer (`ReuseFactor` of hls4ml); a layer has at least one.
    Reuse(f64),
    /// Cycles between one result and the next that the design was built for (`target_fps` or folding of FINN).
    Interval(f64),
}

impl ListedLayer {
    /// The word for its kind in the names of layers.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "conv",
            Self::TransposedConv { .. } => "transposed",
            Self::Depthwise { .. } => "depthwise",
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

    /// What kind of network it is, in a few words.
    pub fn family(&self) -> &'static str {
        let any = |of: fn(&ListedLayer) -> bool| self.layers.iter().any(of);
        if any(|layer| matches!(layer, ListedLayer::Lstm { .. })) {
            "recurrent language model"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::LayerKind;
    use crate::serving::architecture::Shape;
    use crate::serving::catalogue::architecture;

    fn list(name: &str) -> LayerList {
        match architecture(name).unwrap().shape.clone() {
            Shape::Layers(list) => list,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mlperf_tiny_networks_by_hand() {
        // Sums over the reference networks of mlcommons/tiny, layer by layer.
        for (name, macs, weights) in [
            ("mlperf-tiny-resnet-8", 12_501_632.0, 77_360.0),
            ("mlperf-tiny-ds-cnn", 2_656_768.0, 22_016.0),
            ("mlperf-tiny-mobilenet", 7_489_664.0, 208_112.0),
            ("mlperf-tiny-autoencoder", 264_192.0, 264_192.0),
        ] {
            let list = list(name);
            assert_eq!(list.macs(), macs, "{name}");
            let counted: u64 = list.layers().iter().map(Layer::weights).sum();
            assert_eq!(counted as f64, weights, "{name}");
        }
    }

    #[test]
    fn published_networks_by_hand() {
        // Without biases and normalisation. Multiply-accumulates of the generator: inputs of each layer's image times its
        // weights; of the language models: every weight once, the table of words apart.
        for (name, macs, weights) in [
            ("resnet-50", 4_089_184_256.0, 25_502_912.0),
            ("mobilenet-v1", 568_740_352.0, 4_209_088.0),
            ("vgg-16", 15_470_264_320.0, 138_344_128.0),
            ("alexnet", 714_188_480.0, 61_090_496.0),
            ("dcgan-64", 104_628_224.0, 3_574_784.0),
            (
                "lstm-ptb-medium",
                2.0 * 4.0 * 650.0 * 1300.0 + 650.0 * 10_000.0,
                19_760_000.0,
            ),
            (
                "awd-lstm-ptb",
                4.0 * (1150.0 * 1550.0 + 1150.0 * 2300.0 + 400.0 * 1550.0) + 4e6,
                24_190_000.0,
            ),
        ] {
            let list = list(name);
            assert_eq!(list.macs(), macs, "{name}");
            let counted: u64 = list.layers().iter().map(Layer::weights).sum();
            assert_eq!(counted as f64, weights, "{name}");
        }
    }

    #[test]
    fn the_layers_make_the_published_operations_and_parameters() {
        /// `LeNet`-5's published connections include those of subsampling and biases, 4 % of them; all others differ by 2 %
        /// or less.
        const APART: f64 = 0.045;
        /// The parameters of large networks are printed with two or three digits, some with the running means of
        /// normalisation.
        const PARAMETERS_APART: f64 = 0.02;
        let mut counted = 0;
        for network in crate::serving::architectures().unwrap() {
            let Shape::Layers(list) = &network.shape else {
                continue;
            };
            let Some(operations) = list.operations else {
                continue;
            };
            counted += 1;
            let error = 2.0 * list.macs() / operations - 1.0;
            assert!(error.abs() < APART, "{}: {error}", network.id);
            let error = list.parameters() / network.parameters - 1.0;
            assert!(error.abs() < PARAMETERS_APART, "{}: {error}", network.id);
        }
        assert!(counted >= 11, "{counted}");
    }

    #[test]
    fn each_layer_reads_what_an_earlier_one_wrote() {
        for network in crate::serving::architectures().unwrap() {
            let Shape::Layers(list) = &network.shape else {
                continue;
            };
            let layers = list.layers();
            let mut written = vec![layers[0].inputs];
            for layer in &layers {
                // A recurrent layer also reads what it wrote itself; attention reads three results of the same size.
                let read = match layer.kind {
                    LayerKind::Recurrent => layer.inputs - layer.outputs,
                    LayerKind::Attention => layer.inputs / 3.0,
                    _ => layer.inputs,
                };
                // Between two layers pooling may make an image smaller, and repeating rows and columns four times as large.
                assert!(
                    written
                        .iter()
                        .any(|size| *size >= read || *size * 4.0 == read),
                    "{} {}",
                    network.id,
                    layer.name
                );
                written.push(layer.outputs);
            }
        }
    }
}
