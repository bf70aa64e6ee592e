//! The classifier with integrate-and-fire neurons in place of ReLU, run for a number of time steps.
//!
//! Rate coding (Diehl et al., IJCNN 2015; Rueckauer et al., Frontiers in Neuroscience 11:682, 2017): every neuron adds what
//! reaches it to its membrane, fires when that passes its threshold, and keeps the rest ("reset by subtraction"), so that
//! the rate of its spikes times the threshold comes near the activation it stands for. Pixels are neurons too, fed with a
//! constant current. Thresholds are the 99.9th percentile of the activations on calibration images. A pooling window
//! passes on the spikes of whichever of its neurons has fired most so far.

use rayon::prelude::*;

use super::super::matrix::{Finish, Product, Rows};
use super::{GRAIN, Network, Stage};

/// Share of the activations that lie below the threshold (Rueckauer et al. 2017, section 2.2.2).
const PERCENTILE: f64 = 0.999;

/// A spiking version of a classifier.
#[derive(Debug)]
pub(crate) struct SpikingNetwork<'a> {
    network: &'a Network,
    /// Of the neurons after each convolution.
    thresholds: Vec<f32>,
}

/// What a spiking network did with some images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpikingRun {
    /// `[n, classes]`, averaged over the time steps.
    pub(crate) logits: Vec<f32>,
    /// Spikes that reached each convolution and, last, the head; over all images and time steps.
    pub(crate) spikes: Vec<u64>,
}

/// Neurons of one stage, and what one core needs to run it.
struct Neurons {
    /// `[size + 2, size + 2, inputs]`: the spikes that come in, as the values they stand for.
    input: Vec<f32>,
    /// What the convolution gives, `[size, size, outputs]`.
    current: Vec<f32>,
    membrane: Vec<f32>,
    /// Spikes of each neuron so far.
    fired: Vec<u32>,
}

impl Network {
    /// The spiking version, its thresholds taken from images `[n, channels, size, size]`.
    pub(in super::super) fn spiking(&self, calibration: &[f32]) -> SpikingNetwork<'_> {
        let pixels: usize = self.image().iter().product();
        let mut activations: Vec<Vec<f32>> = vec![Vec::new(); self.stages.len()];
        let mut scratch = self.scratch();
        let mut logits = vec![0.0; self.classes()];
        for image in calibration.chunks_exact(pixels) {
            self.classify(image, &mut scratch, &mut logits);
            for (i, stage) in self.stages.iter().enumerate() {
                // Pooling keeps the largest, which are those that a threshold is about.
                match scratch.bordered.get(i + 1) {
                    Some(next) => activations[i].extend(next.iter().filter(|value| **value > 0.0)),
                    None => {
                        let area = stage.area_out() * stage.outputs;
                        let values = scratch.plain[..area].iter();
                        activations[i].extend(values.filter(|value| **value > 0.0));
                    }
                }
            }
        }
        SpikingNetwork {
            network: self,
            thresholds: activations
                .into_iter()
                .map(|mut values| percentile(&mut values))
                .collect(),
        }
    }
}

/// The value that [`PERCENTILE`] of the values do not exceed; 1 where there are none.
fn percentile(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 1.0;
    }
    // The product is below the length.
    let place = ((values.len() - 1) as f64 * PERCENTILE) as usize;
    let (_, value, _) = values.select_nth_unstable_by(place, f32::total_cmp);
    value.max(f32::MIN_POSITIVE)
}

impl Stage {
    /// Pixels after pooling.
    fn area_out(&self) -> usize {
        let size = if self.pool { self.size / 2 } else { self.size };
        size * size
    }

    fn neurons(&self) -> Neurons {
        let neurons = self.size * self.size * self.outputs;
        Neurons {
            input: vec![0.0; (self.size + 2).pow(2) * self.inputs],
            current: vec![0.0; neurons],
            membrane: vec![0.0; neurons],
            fired: vec![0; neurons],
        }
    }
}

impl SpikingNetwork<'_> {
    /// Runs images `[n, channels, size, size]`, values 0 to 1, for a number of time steps.
    pub(crate) fn run(&self, images: &[f32], steps: u32) -> SpikingRun {
        let network = self.network;
        let (pixels, classes) = (network.image().iter().product::<usize>(), network.classes());
        let mut logits = vec![0.0; images.len() / pixels * classes];
        let spikes = images
            .par_chunks_exact(pixels)
            .zip(logits.par_chunks_exact_mut(classes))
            .with_min_len(GRAIN)
            .map(|(image, logits)| self.classify(image, steps, logits))
            .reduce(Vec::new, |a, b| {
                let longest = a.len().max(b.len());
                let at = |counts: &[u64], i: usize| counts.get(i).copied().unwrap_or(0);
                (0..longest).map(|i| at(&a, i) + at(&b, i)).collect()
            });
        SpikingRun { logits, spikes }
    }

    /// One image; the spikes that reached each layer.
    fn classify(&self, image: &[f32], steps: u32, logits: &mut [f32]) -> Vec<u64> {
        let network = self.network;
        let stages = &network.stages;
        let mut neurons: Vec<Neurons> = stages.iter().map(Stage::neurons).collect();
        let mut pixels = vec![0.0_f32; image.len()];
        let mut fired = vec![0.0_f32; image.len()];
        let mut means = vec![0.0_f32; stages.last().map_or(0, |stage| stage.outputs)];
        let mut spikes = vec![0; stages.len() + 1];
        for _ in 0..steps {
            for ((membrane, spike), value) in pixels.iter_mut().zip(&mut fired).zip(image) {
                *membrane += value;
                *spike = f32::from(u8::from(*membrane >= 1.0));
                *membrane -= *spike;
            }
            if let (Some(stage), Some(first)) = (stages.first(), neurons.first_mut()) {
                stage.load(&fired, &mut first.input);
            }
            for (i, stage) in stages.iter().enumerate() {
                let (before, after) = neurons.split_at_mut(i + 1);
                let here = &mut before[i];
                spikes[i] += count(&here.input);
                stage.integrate(here, self.thresholds[i]);
                match after.first_mut() {
                    Some(next) => stage.pass_on(here, self.thresholds[i], &mut next.input),
                    None => spikes[i + 1] += stage.collect(here, self.thresholds[i], &mut means),
                }
            }
        }
        let scale = 1.0 / steps.max(1) as f32;
        means.iter_mut().for_each(|mean| *mean *= scale);
        logits.copy_from_slice(&network.bias);
        let mut product = Product::new(&means, 1, &network.head, logits);
        product.finish = Finish::Add;
        product.run();
        spikes
    }
}

fn count(values: &[f32]) -> u64 {
    values.iter().filter(|value| **value != 0.0).count() as u64
}

impl Stage {
    /// One time step: what comes in is added to the membranes; `current` is left as 1 where a neuron fired, else 0.
    fn integrate(&self, neurons: &mut Neurons, threshold: f32) {
        let Neurons {
            input,
            current,
            membrane,
            fired,
        } = neurons;
        let size = self.size;
        let mut product = Product::new(input, size * size, &self.weights, current);
        product.rows = Rows::inside_border(size, self.inputs).from(0);
        product.pieces = (3, (size + 2) * self.inputs);
        product.out_rows = Rows::every(self.outputs);
        product.run();
        let channels = self.outputs;
        for ((current, membrane), fired) in current
            .chunks_exact_mut(channels)
            .zip(membrane.chunks_exact_mut(channels))
            .zip(fired.chunks_exact_mut(channels))
        {
            for c in 0..channels {
                let sum = membrane[c] + current[c] * self.scale[c] + self.shift[c];
                let fires = sum >= threshold;
                current[c] = f32::from(u8::from(fires));
                membrane[c] = sum - current[c] * threshold;
                fired[c] += u32::from(fires);
            }
        }
    }

    /// Hands the spikes on to the next stage, through pooling where there is some.
    fn pass_on(&self, neurons: &Neurons, threshold: f32, next: &mut [f32]) {
        let size = if self.pool { self.size / 2 } else { self.size };
        let place = Rows::inside_border(size, self.outputs);
        for pixel in 0..size * size {
            let start = place.start(pixel);
            for channel in 0..self.outputs {
                let from = self.winner(neurons, pixel, channel);
                next[start + channel] = neurons.current[from] * threshold;
            }
        }
    }

    /// Adds the means over the pixels; the number of spikes.
    fn collect(&self, neurons: &Neurons, threshold: f32, means: &mut [f32]) -> u64 {
        let area = self.area_out();
        let mut spikes = 0;
        for pixel in 0..area {
            for (channel, mean) in means.iter_mut().enumerate() {
                let spike = neurons.current[self.winner(neurons, pixel, channel)];
                *mean += spike * threshold / area as f32;
                spikes += u64::from(spike > 0.0);
            }
        }
        spikes
    }

    /// The neuron whose spikes a pixel after pooling passes on: of its window, the one that has fired most.
    fn winner(&self, neurons: &Neurons, pixel: usize, channel: usize) -> usize {
        let channels = self.outputs;
        if !self.pool {
            return pixel * channels + channel;
        }
        let half = self.size / 2;
        let corner = (pixel / half * 2) * self.size + pixel % half * 2;
        [0, 1, self.size, self.size + 1]
            .map(|offset| (corner + offset) * channels + channel)
            .into_iter()
            .max_by_key(|&neuron| neurons.fired[neuron])
            .unwrap_or(corner * channels + channel)
    }
}
