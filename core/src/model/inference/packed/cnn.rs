//! The convolutional classifier: every convolution as one product over the windows of an image.

use super::super::super::{CnnConfig, Tensors};
use super::super::cnn::{by_pixel, normalization};
use super::super::matrix::Rows;
use super::super::{rows, values};
use super::PackedMatrix;
use crate::error::{Error, Result};

/// A classifier with packed weights.
#[derive(Debug)]
pub(super) struct Classifier {
    stages: Vec<Stage>,
    head: PackedMatrix,
    bias: Vec<f32>,
    channels: usize,
    size: usize,
}

#[derive(Debug)]
struct Stage {
    weights: PackedMatrix,
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// Channels of the input.
    inputs: usize,
    /// Height and width of the input.
    size: usize,
    pool: bool,
}

impl Classifier {
    pub(super) fn new(config: &CnnConfig, tensors: &Tensors, bits: u8) -> Result<Self> {
        let (mut inputs, mut size) = (config.input_channels, config.size);
        let mut stages = Vec::with_capacity(config.stages.len());
        for (i, stage) in config.stages.iter().enumerate() {
            let (scale, shift) = normalization(tensors, i + 1)?;
            let kernel = values(tensors, &format!("conv{}.weight", i + 1))?;
            let weights = by_pixel(&kernel, inputs);
            stages.push(Stage {
                weights: PackedMatrix::new(stage.channels, 9 * inputs, &weights, bits)?,
                scale,
                shift,
                inputs,
                size,
                pool: stage.pool,
            });
            inputs = stage.channels;
            if stage.pool {
                size /= 2;
            }
        }
        let head = values(tensors, "head.weight")?;
        Ok(Self {
            stages,
            head: PackedMatrix::new(config.classes, inputs, &head, bits)?,
            bias: values(tensors, "head.bias")?,
            channels: config.input_channels,
            size: config.size,
        })
    }

    pub(super) fn matrices(&self) -> Vec<&PackedMatrix> {
        let stages = self.stages.iter().map(|stage| &stage.weights);
        stages.chain([&self.head]).collect()
    }

    /// Logits `[n, classes]` of images `[n, channels, size, size]`. An image has enough windows to fill a product; only
    /// the head takes all images at once.
    pub(super) fn run(&self, images: &[f32]) -> Result<Vec<f32>> {
        let pixels = self.channels * self.size * self.size;
        if !images.len().is_multiple_of(pixels) {
            return Err(Error::Compute(format!(
                "{} pixels are no images of {} x {} x {}",
                images.len(),
                self.channels,
                self.size,
                self.size
            )));
        }
        let mut means = Vec::new();
        for image in images.chunks_exact(pixels) {
            means.extend(self.features(image)?);
        }
        let mut logits = self.head.run(&means)?;
        for row in logits.chunks_exact_mut(self.bias.len()) {
            for (logit, bias) in row.iter_mut().zip(&self.bias) {
                *logit += bias;
            }
        }
        Ok(logits)
    }

    /// The mean of every channel after the last stage.
    fn features(&self, image: &[f32]) -> Result<Vec<f32>> {
        let area = self.size * self.size;
        let mut pixels: Vec<f32> = (0..area)
            .flat_map(|pixel| (0..self.channels).map(move |c| image[c * area + pixel]))
            .collect();
        for stage in &self.stages {
            pixels = stage.run(&pixels)?;
        }
        let channels = self.stages.last().map_or(self.channels, |s| s.scale.len());
        let count = (pixels.len() / channels).max(1) as f32;
        let mut means = vec![0.0; channels];
        for pixel in pixels.chunks_exact(channels) {
            for (mean, value) in means.iter_mut().zip(pixel) {
                *mean += value;
            }
        }
        means.iter_mut().for_each(|mean| *mean /= count);
        Ok(means)
    }
}

impl Stage {
    /// `[size, size, inputs]` → `[size, size, outputs]`, halved where it pools.
    fn run(&self, pixels: &[f32]) -> Result<Vec<f32>> {
        let (size, outputs) = (self.size, self.scale.len());
        let mut out = self.weights.run(&self.windows(pixels))?;
        for pixel in out.chunks_exact_mut(outputs) {
            for ((value, scale), shift) in pixel.iter_mut().zip(&self.scale).zip(&self.shift) {
                *value = (*value * scale + shift).max(0.0);
            }
        }
        if self.pool {
            let half = size / 2;
            let mut pooled = vec![0.0; half * half * outputs];
            rows::max_pool(&out, size, outputs, &mut pooled, Rows::every(outputs));
            return Ok(pooled);
        }
        Ok(out)
    }

    /// The 3 x 3 windows around every pixel, `[size · size, 9 · inputs]`, zero beyond the edge.
    fn windows(&self, pixels: &[f32]) -> Vec<f32> {
        let (size, channels) = (self.size, self.inputs);
        let mut bordered = vec![0.0; (size + 2) * (size + 2) * channels];
        let line = (size + 2) * channels;
        for (row, pixels) in pixels.chunks_exact(size * channels).enumerate() {
            bordered[(row + 1) * line + channels..][..size * channels].copy_from_slice(pixels);
        }
        let mut windows = Vec::with_capacity(size * size * 9 * channels);
        for y in 0..size {
            for x in 0..size {
                for tap in 0..3 {
                    let start = (y + tap) * line + x * channels;
                    windows.extend_from_slice(&bordered[start..start + 3 * channels]);
                }
            }
        }
        windows
    }
}
