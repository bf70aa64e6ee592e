//! The convolutional classifier, an image at a time through buffers that stay in a core's cache.

mod spiking;

use rayon::prelude::*;

use super::super::{BATCH_NORM_EPSILON, CnnConfig, Tensors};
use super::matrix::{Finish, Matrix, Product, Rows};
use super::{rows, values};
use crate::error::Result;

pub(crate) use spiking::SpikingNetwork;

/// Images that a core takes at least at a time.
const GRAIN: usize = 8;

/// A classifier with its weights laid out.
#[derive(Debug)]
pub(super) struct Network {
    stages: Vec<Stage>,
    head: Matrix,
    bias: Vec<f32>,
    channels: usize,
    size: usize,
    activation_bits: u8,
}

/// A convolution, the scale and shift that batch normalisation comes down to, ReLU and perhaps pooling.
#[derive(Debug)]
struct Stage {
    weights: Matrix,
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// Channels of the input.
    inputs: usize,
    /// Channels of the output.
    outputs: usize,
    /// Height and width of the input.
    size: usize,
    pool: bool,
}

/// What one core works in.
struct Scratch {
    /// The input of each stage, `[size + 2, size + 2, inputs]`; the border is always zero.
    bordered: Vec<Vec<f32>>,
    /// The output of a stage that is still to be pooled, or of the last.
    plain: Vec<f32>,
    /// The channels' means.
    means: Vec<f32>,
}

impl Network {
    pub(super) fn new(config: &CnnConfig, tensors: &Tensors, activation_bits: u8) -> Result<Self> {
        let (mut inputs, mut size) = (config.input_channels, config.size);
        let mut stages = Vec::new();
        for (i, stage) in config.stages.iter().enumerate() {
            let n = i + 1;
            let (scale, shift) = normalization(tensors, n)?;
            let kernel = values(tensors, &format!("conv{n}.weight"))?;
            stages.push(Stage {
                weights: Matrix::new(stage.channels, 9 * inputs, &by_pixel(&kernel, inputs)),
                scale,
                shift,
                inputs,
                outputs: stage.channels,
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
            head: Matrix::new(config.classes, inputs, &head),
            bias: values(tensors, "head.bias")?,
            channels: config.input_channels,
            size: config.size,
            activation_bits,
        })
    }

    /// Channels, height and width of an image.
    pub(super) fn image(&self) -> [usize; 3] {
        [self.channels, self.size, self.size]
    }

    pub(super) fn classes(&self) -> usize {
        self.bias.len()
    }

    /// Logits `[n, classes]` of images `[n, channels, size, size]`.
    pub(super) fn run(&self, images: &[f32]) -> Vec<f32> {
        let (pixels, classes) = (self.image().iter().product(), self.classes());
        let mut logits = vec![0.0; images.len() / pixels * classes];
        images
            .par_chunks_exact(pixels)
            .zip(logits.par_chunks_exact_mut(classes))
            .with_min_len(GRAIN)
            .for_each_init(
                || self.scratch(),
                |scratch, (image, logits)| self.classify(image, scratch, logits),
            );
        logits
    }

    fn scratch(&self) -> Scratch {
        let outputs = |stage: &Stage| stage.size * stage.size * stage.outputs;
        Scratch {
            bordered: self
                .stages
                .iter()
                .map(|stage| vec![0.0; (stage.size + 2).pow(2) * stage.inputs])
                .collect(),
            plain: vec![0.0; self.stages.iter().map(outputs).max().unwrap_or(0)],
            means: vec![0.0; self.stages.last().map_or(0, |stage| stage.outputs)],
        }
    }

    fn classify(&self, image: &[f32], scratch: &mut Scratch, logits: &mut [f32]) {
        let Scratch {
            bordered,
            plain,
            means,
        } = scratch;
        if let (Some(stage), Some(input)) = (self.stages.first(), bordered.first_mut()) {
            stage.load(image, input);
        }
        let mut pixels = 0;
        for (i, stage) in self.stages.iter().enumerate() {
            let (before, after) = bordered.split_at_mut(i + 1);
            let input = &mut before[i];
            let all = input.len();
            rows::quantize(input, all, self.activation_bits);
            pixels = stage.run(input, after.first_mut(), plain);
        }
        // The mean over the pixels.
        let channels = means.len();
        means.fill(0.0);
        for pixel in plain[..pixels * channels].chunks_exact(channels) {
            for (mean, value) in means.iter_mut().zip(pixel) {
                *mean += value;
            }
        }
        means.iter_mut().for_each(|mean| *mean /= pixels as f32);
        rows::quantize(means, channels, self.activation_bits);
        logits.copy_from_slice(&self.bias);
        let mut product = Product::new(means, 1, &self.head, logits);
        product.finish = Finish::Add;
        product.run();
    }
}

impl Stage {
    /// Puts an image `[channels, size, size]` inside the border of the first stage's input.
    fn load(&self, image: &[f32], input: &mut [f32]) {
        let place = Rows::inside_border(self.size, self.inputs);
        let area = self.size * self.size;
        for pixel in 0..area {
            let start = place.start(pixel);
            for channel in 0..self.inputs {
                input[start + channel] = image[channel * area + pixel];
            }
        }
    }

    /// Runs into the next stage's bordered input or, as the last one, into `plain`; the number of pixels that come out.
    fn run(&self, input: &[f32], next: Option<&mut Vec<f32>>, plain: &mut [f32]) -> usize {
        let (size, channels) = (self.size, self.outputs);
        let finish = Finish::ScaleShiftRelu(&self.scale, &self.shift);
        let convolve = |out: &mut [f32], out_rows: Rows| {
            let mut product = Product::new(input, size * size, &self.weights, out);
            // A window is three pieces of three pixels, a line apart.
            product.rows = Rows::inside_border(size, self.inputs).from(0);
            product.pieces = (3, (size + 2) * self.inputs);
            (product.out_rows, product.finish) = (out_rows, finish);
            product.run();
        };
        let half = size / 2;
        match next {
            Some(next) if self.pool => {
                convolve(plain, Rows::every(channels));
                let place = Rows::inside_border(half, channels);
                rows::max_pool(plain, size, channels, next, place);
            }
            Some(next) => convolve(next, Rows::inside_border(size, channels)),
            None => {
                convolve(plain, Rows::every(channels));
                if self.pool {
                    let whole = plain.to_vec();
                    rows::max_pool(&whole, size, channels, plain, Rows::every(channels));
                }
            }
        }
        if self.pool { half * half } else { size * size }
    }
}

/// The scale and shift that the batch normalisation of stage `n` comes down to.
pub(super) fn normalization(tensors: &Tensors, n: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let part = |name: &str| values(tensors, &format!("bn{n}.{name}"));
    let (weight, bias) = (part("weight")?, part("bias")?);
    let (mean, variance) = (part("running_mean")?, part("running_var")?);
    let scale: Vec<f32> = weight
        .iter()
        .zip(&variance)
        .map(|(weight, variance)| weight / (variance + BATCH_NORM_EPSILON as f32).sqrt())
        .collect();
    let shift = bias
        .iter()
        .zip(mean.iter().zip(&scale))
        .map(|(bias, (mean, scale))| bias - mean * scale)
        .collect();
    Ok((scale, shift))
}

/// `[out, in, 3, 3]` → `[out, 3, 3, in]`, the order in which a window lies in an image with channels last.
pub(super) fn by_pixel(kernel: &[f32], inputs: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(kernel.len());
    for output in kernel.chunks_exact(inputs * 9) {
        for tap in 0..9 {
            turned.extend((0..inputs).map(|input| output[input * 9 + tap]));
        }
    }
    turned
}
