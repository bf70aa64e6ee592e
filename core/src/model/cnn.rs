//! The convolutional classifier: stages of 3x3 convolution, batch normalisation, ReLU and, in some, 2x2 max pooling;
//! then the mean over the image and one linear layer.
//!
//! Tensors: `conv{i}.weight [out, in, 3, 3]` (no bias), `bn{i}.weight`, `.bias`, `.running_mean`, `.running_var`
//! `[out]`, `head.weight [classes, last]`, `head.bias [classes]`, with i from 1. All convolution weights and the head's
//! are compressible; normalisation and bias stay in single precision.
//!
//! Activations are kept as `[n, height, width, channels]`, so that a convolution is one matrix product over all pixels
//! of all images and everything else runs along contiguous channels.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::Tensors;
use super::architecture::{count, get, quantize_activations};
use crate::error::Result;
use crate::profile::{Layer, LayerKind};

/// Added to the variance in batch normalisation (the default of the framework that the tensor names follow).
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Shape of a convolutional classifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnConfig {
    /// Channels of the input image.
    pub input_channels: usize,
    /// Height and width of the input image in pixels.
    pub size: usize,
    /// The stages in the order in which they run.
    pub stages: Vec<Stage>,
    /// Number of classes.
    pub classes: usize,
}

/// One convolution with what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Output channels.
    pub channels: usize,
    /// Whether 2x2 max pooling halves the image afterwards.
    pub pool: bool,
}

impl CnnConfig {
    /// The bundled classifier: 28x28 grey images, 16-32-64-128 channels, 10 classes; 99,162 parameters and 5.5 million
    /// multiply-accumulates per image.
    pub fn fashion() -> Self {
        let stage = |channels, pool| Stage { channels, pool };
        Self {
            input_channels: 1,
            size: 28,
            stages: vec![
                stage(16, true),
                stage(32, true),
                stage(64, false),
                stage(128, false),
            ],
            classes: 10,
        }
    }

    /// Height and width of the image after the last stage.
    pub(super) fn final_size(&self) -> usize {
        self.stages
            .iter()
            .filter(|stage| stage.pool)
            .fold(self.size, |size, _| size / 2)
    }

    /// Names and shapes of all tensors.
    pub(super) fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes = Vec::new();
        let mut inputs = self.input_channels;
        for (i, stage) in self.stages.iter().enumerate() {
            let n = i + 1;
            shapes.push((
                format!("conv{n}.weight"),
                vec![stage.channels, inputs, 3, 3],
            ));
            for part in ["weight", "bias", "running_mean", "running_var"] {
                shapes.push((format!("bn{n}.{part}"), vec![stage.channels]));
            }
            inputs = stage.channels;
        }
        shapes.push(("head.weight".to_owned(), vec![self.classes, inputs]));
        shapes.push(("head.bias".to_owned(), vec![self.classes]));
        shapes
    }

    /// The layers, per image.
    pub(super) fn layers(&self) -> Vec<Layer> {
        let mut layers = Vec::new();
        let (mut inputs, mut size) = (self.input_channels, self.size);
        for (i, stage) in self.stages.iter().enumerate() {
            let pixels = (size * size) as f64;
            let outputs = pixels * stage.channels as f64;
            layers.push(Layer {
                name: format!("conv{}", i + 1),
                kind: LayerKind::Conv2d,
                shape: vec![stage.channels, inputs, 3, 3],
                other_parameters: 0,
                compressible: true,
                macs: outputs * (inputs * 9) as f64,
                inputs: pixels * inputs as f64,
                outputs,
                cache: 0.0,
            });
            if stage.pool {
                size /= 2;
            }
            layers.push(Layer {
                name: format!("bn{}", i + 1),
                kind: LayerKind::Elementwise,
                shape: Vec::new(),
                other_parameters: 4 * stage.channels as u64,
                compressible: false,
                macs: outputs,
                inputs: outputs,
                outputs: (size * size * stage.channels) as f64,
                cache: 0.0,
            });
            inputs = stage.channels;
        }
        layers.push(Layer {
            name: "mean".to_owned(),
            kind: LayerKind::Elementwise,
            shape: Vec::new(),
            other_parameters: 0,
            compressible: false,
            macs: 0.0,
            inputs: (size * size * inputs) as f64,
            outputs: inputs as f64,
            cache: 0.0,
        });
        layers.push(Layer {
            name: "head".to_owned(),
            kind: LayerKind::Linear,
            shape: vec![self.classes, inputs],
            other_parameters: self.classes as u64,
            compressible: true,
            macs: (self.classes * inputs) as f64,
            inputs: inputs as f64,
            outputs: self.classes as f64,
            cache: 0.0,
        });
        layers
    }

    /// The network with all channels scaled alike whose parameters come nearest to `wanted`.
    pub(super) fn narrowed(&self, wanted: f64) -> Self {
        /// Candidate scales: fine enough that every stage passes through each of its integers.
        const STEPS: usize = 2048;
        let mut best = (f64::INFINITY, self.clone());
        for step in 1..=STEPS {
            let mut candidate = self.clone();
            for stage in &mut candidate.stages {
                stage.channels = ((stage.channels * step) as f64 / STEPS as f64)
                    .round()
                    .max(1.0) as usize;
            }
            let distance = (count(&candidate.tensor_shapes()) as f64 - wanted).abs();
            if distance < best.0 {
                best = (distance, candidate);
            }
        }
        best.1
    }

    /// The channels of the stages: "16-32-64-128".
    pub(super) fn channels(&self) -> String {
        let channels: Vec<String> = self
            .stages
            .iter()
            .map(|stage| stage.channels.to_string())
            .collect();
        channels.join("-")
    }

    /// Logits `[n, classes]` of images `[n, channels, size, size]` with values from 0 to 1.
    pub(super) fn forward(
        &self,
        tensors: &Tensors,
        images: &Tensor,
        activation_bits: u8,
    ) -> Result<Tensor> {
        let mut x = images.permute((0, 2, 3, 1))?.contiguous()?; // [n, h, w, c]
        for (i, stage) in self.stages.iter().enumerate() {
            let n = i + 1;
            x = quantize_activations(&x, 3, activation_bits)?;
            x = convolve(&x, get(tensors, &format!("conv{n}.weight"))?)?;
            let (scale, shift) = normalization(tensors, n)?;
            x = x.broadcast_mul(&scale)?.broadcast_add(&shift)?.relu()?;
            if stage.pool {
                x = max_pool(&x)?;
            }
        }
        let x = quantize_activations(&x.mean((1, 2))?, 1, activation_bits)?; // [n, c]
        let logits = x.matmul(&get(tensors, "head.weight")?.t()?)?;
        Ok(logits.broadcast_add(get(tensors, "head.bias")?)?)
    }
}

/// Scale and shift `[c]` that batch normalisation n comes down to once its statistics are fixed.
fn normalization(tensors: &Tensors, n: usize) -> Result<(Tensor, Tensor)> {
    let part = |name: &str| get(tensors, &format!("bn{n}.{name}"));
    let deviation = (part("running_var")? + BATCH_NORM_EPSILON)?.sqrt()?;
    let scale = (part("weight")? / deviation)?;
    let shift = (part("bias")? - (part("running_mean")? * &scale)?)?;
    Ok((scale, shift))
}

/// 3x3 convolution with padding 1: `[n, h, w, in]` with `[out, in, 3, 3]` → `[n, h, w, out]`.
fn convolve(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let padded = x.pad_with_zeros(1, 1, 1)?.pad_with_zeros(2, 1, 1)?;
    let mut taps = Vec::with_capacity(9);
    for dy in 0..3 {
        for dx in 0..3 {
            taps.push(padded.narrow(1, dy, h)?.narrow(2, dx, w)?);
        }
    }
    let columns = Tensor::cat(&taps, D::Minus1)?.reshape((n * h * w, 9 * c))?;
    let outputs = weight.dim(0)?;
    let kernel = weight.permute((0, 2, 3, 1))?.reshape((outputs, 9 * c))?;
    Ok(columns.matmul(&kernel.t()?)?.reshape((n, h, w, outputs))?)
}

/// 2x2 max pooling with stride 2: `[n, h, w, c]` → `[n, h/2, w/2, c]`; an odd last row or column is dropped.
fn max_pool(x: &Tensor) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let even = x
        .narrow(1, 0, h / 2 * 2)?
        .narrow(2, 0, w / 2 * 2)?
        .contiguous()?;
    let rows = even.reshape((n, h / 2, 2, w / 2, 2, c))?;
    Ok(rows.max(4)?.max(2)?)
}
