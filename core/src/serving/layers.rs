//! Networks known layer by layer: what the benchmarks of small chips run.

use serde::{Deserialize, Serialize};

use crate::profile::{Execution, Layer, LayerKind, LayerProfile, ModelProfile, Unit};

/// A tensor of activations: channels, rows, columns.
type Extent = (u32, u32, u32);

/// A network as the list of its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerList {
    /// What one inference reads.
    pub unit: Unit,
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
    /// The layer as hardware models see it.
    fn layer(&self, name: String) -> Layer {
        let volume = |(channels, rows, columns): Extent| {
            usize_of(channels) * usize_of(rows) * usize_of(columns)
        };
        let (kind, shape, inputs, outputs, uses) = match *self {
            Self::Conv { from, to, kernel } => (
                LayerKind::Conv2d,
                vec![
                    usize_of(to.0),
                    usize_of(from.0),
                    usize_of(kernel.0),
                    usize_of(kernel.1),
                ],
                volume(from),
                volume(to),
                f64::from(to.1) * f64::from(to.2),
            ),
            Self::Depthwise { from, to, kernel } => (
                LayerKind::Conv2d,
                vec![usize_of(to.0), 1, usize_of(kernel.0), usize_of(kernel.1)],
                volume(from),
                volume(to),
                f64::from(to.1) * f64::from(to.2),
            ),
            Self::Dense(inputs, outputs) => (
                LayerKind::Linear,
                vec![usize_of(outputs), usize_of(inputs)],
                usize_of(inputs),
                usize_of(outputs),
                1.0,
            ),
            Self::Scale(channels) => (
                LayerKind::Elementwise,
                vec![usize_of(channels)],
                usize_of(channels),
                usize_of(channels),
                1.0,
            ),
        };
        let weights: usize = shape.iter().product();
        Layer {
            name,
            kind,
            // One bias per output channel; normalisation is folded into the weights.
            other_parameters: shape[0] as u64,
            shape,
            compressible: kind != LayerKind::Elementwise,
            macs: weights as f64 * uses,
            inputs: inputs as f64,
            outputs: outputs as f64,
            cache: 0.0,
            execution: Execution::default(),
        }
    }
}

/// Extents are far below the limits of both types.
fn usize_of(extent: u32) -> usize {
    usize::try_from(extent).unwrap_or(usize::MAX)
}

impl LayerList {
    /// The layers as hardware models see them.
    pub fn layers(&self) -> Vec<Layer> {
        self.layers
            .iter()
            .enumerate()
            .map(|(i, listed)| {
                let kind = match listed {
                    ListedLayer::Conv { .. } => "conv",
                    ListedLayer::Depthwise { .. } => "depthwise",
                    ListedLayer::Dense(..) => "dense",
                    ListedLayer::Scale(_) => "scale",
                };
                listed.layer(format!("{kind}-{}", i + 1))
            })
            .collect()
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
                    activation_bits,
                    pattern: None,
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

    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> f64 {
        self.layers().iter().map(|layer| layer.macs).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn each_layer_reads_what_an_earlier_one_wrote() {
        for network in crate::serving::architectures().unwrap() {
            let Shape::Layers(list) = &network.shape else {
                continue;
            };
            let layers = list.layers();
            let mut written = vec![layers[0].inputs];
            for layer in &layers {
                // Pooling may make an extent smaller between two layers.
                assert!(
                    written.iter().any(|size| *size >= layer.inputs),
                    "{} {}",
                    network.id,
                    layer.name
                );
                written.push(layer.outputs);
            }
        }
    }
}
