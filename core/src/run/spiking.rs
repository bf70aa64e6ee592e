//! The classifier with integrate-and-fire neurons in place of ReLU, run for a number of time steps.
//!
//! Rate coding (Diehl et al., IJCNN 2015; Rueckauer et al., Frontiers in Neuroscience 11:682, 2017): every neuron adds what
//! reaches it to its membrane, fires when that passes its threshold, and keeps the rest ("reset by subtraction"), so that
//! the rate of its spikes times the threshold comes near the activation it stands for. Pixels are neurons too, fed with a
//! constant current. Thresholds are the 99.9th percentile of the activations on calibration images. A pooling window
//! passes on the spikes of whichever of its neurons has fired most so far.

use rayon::prelude::*;

use super::GRAIN;
use super::factor::{Factor, Multiply};
use super::matrix::Finish;
use super::program::{Layout, Plane, Program};
use super::steps::{Convolution, Dense, Finished, Pool, Step, windows};
use crate::error::Result;

/// Share of the activations that lie below the threshold (Rueckauer et al. 2017, section 2.2.2).
const PERCENTILE: f64 = 0.999;

/// A spiking version of a classifier.
#[derive(Debug)]
pub(crate) struct SpikingNetwork<'a> {
    program: &'a Program,
    stages: Vec<Stage<'a>>,
    /// The layer that the means over the pixels go to.
    head: &'a Dense,
    /// Of the neurons after each convolution.
    thresholds: Vec<f32>,
}

/// A convolution, the scale and shift that its normalisation comes down to, ReLU and perhaps pooling.
#[derive(Debug)]
struct Stage<'a> {
    convolution: &'a Convolution,
    scale: &'a [f32],
    shift: &'a [f32],
    from: Plane,
    /// Neurons.
    to: Plane,
    pool: Option<&'a Pool>,
    /// After pooling.
    next: Plane,
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
    /// The spikes that come in, inside a border, as the values they stand for.
    input: Vec<f32>,
    /// What the convolution gives, `[rows, columns, outputs]`.
    current: Vec<f32>,
    membrane: Vec<f32>,
    /// Spikes of each neuron so far.
    fired: Vec<u32>,
}

impl<'a> SpikingNetwork<'a> {
    /// The spiking version of a chain of convolutions with ReLU and pooling, a mean and a linear layer; its thresholds are
    /// taken from images `[n, channels, rows, columns]`. `None` for any other network.
    pub(super) fn new(program: &'a Program, calibration: &[f32]) -> Option<Self> {
        let (stages, head) = chain(program)?;
        let thresholds = thresholds(program, calibration).ok()?;
        Some(Self {
            program,
            stages,
            head,
            thresholds,
        })
    }
}

/// The stages and the head, where there is nothing else.
fn chain(program: &Program) -> Option<(Vec<Stage<'_>>, &Dense)> {
    let plane = |buffer: usize| match program.layouts[buffer] {
        Layout::Plane(plane) => Some(plane),
        Layout::Rows { .. } => None,
    };
    let mut stages: Vec<Stage<'_>> = Vec::new();
    let mut head = None;
    for step in &program.steps {
        match step {
            Step::Convolution(convolution) => {
                let Finished::ScaleShift {
                    scale,
                    shift,
                    bounds: (0.0, f32::INFINITY),
                } = &convolution.finish
                else {
                    return None;
                };
                let to = plane(convolution.out)?;
                stages.push(Stage {
                    convolution,
                    scale,
                    shift,
                    from: plane(convolution.input)?,
                    to,
                    pool: None,
                    next: to,
                });
            }
            Step::MaxPool(pool) if pool.padding == 0 => {
                let stage = stages.last_mut().filter(|stage| stage.pool.is_none())?;
                stage.pool = Some(pool);
                stage.next = plane(pool.out)?;
            }
            Step::Mean(..) => {}
            Step::Product(dense) if head.is_none() => head = Some(dense),
            _ => return None,
        }
    }
    let whole = !stages.is_empty() && matches!(program.steps.last(), Some(Step::Product(_)));
    head.filter(|_| whole).map(|head| (stages, head))
}

/// The threshold of every stage; pooling keeps the largest activations, which are those that a threshold is about.
fn thresholds(program: &Program, calibration: &[f32]) -> Result<Vec<f32>> {
    let mut activations: Vec<Vec<f32>> = Vec::new();
    let mut frame = program.frame(1);
    let Some((buffer, Layout::Plane(given))) = program
        .image
        .map(|buffer| (buffer, program.layouts[buffer]))
    else {
        return Ok(Vec::new());
    };
    for image in calibration.chunks_exact(given.channels * given.pixels()) {
        program.start(image, buffer, &mut frame);
        let mut stage = 0;
        for (step, next) in program.steps.iter().zip(program.steps.iter().skip(1)) {
            step.run(&program.layouts, &mut frame)?;
            let out = match (step, next) {
                (Step::Convolution(_), Step::MaxPool(_)) => continue,
                (Step::Convolution(convolution), _) => convolution.out,
                (Step::MaxPool(pool), _) => pool.out,
                _ => continue,
            };
            if activations.len() == stage {
                activations.push(Vec::new());
            }
            // The border is zero.
            let positive = frame.buffers[out].iter().filter(|value| **value > 0.0);
            activations[stage].extend(positive);
            stage += 1;
        }
    }
    let all = activations.iter_mut();
    Ok(all.map(|values| percentile(values)).collect())
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

impl Stage<'_> {
    fn neurons(&self) -> Neurons {
        let neurons = self.to.pixels() * self.to.channels;
        Neurons {
            input: vec![0.0; self.from.len()],
            current: vec![0.0; neurons],
            membrane: vec![0.0; neurons],
            fired: vec![0; neurons],
        }
    }
}

impl SpikingNetwork<'_> {
    /// Runs images `[n, channels, rows, columns]`, values 0 to 1, for a number of time steps.
    ///
    /// # Errors
    /// A kernel of another library refuses.
    pub(crate) fn run(&self, images: &[f32], steps: u32) -> Result<SpikingRun> {
        let classes = self.program.outputs();
        let pixels: usize = self
            .stages
            .first()
            .map_or(1, |stage| stage.from.channels * stage.from.pixels());
        let mut logits = vec![0.0; images.len() / pixels * classes];
        let spikes = images
            .par_chunks_exact(pixels)
            .zip(logits.par_chunks_exact_mut(classes))
            .with_min_len(GRAIN)
            .map(|(image, logits)| self.classify(image, steps, logits))
            .try_reduce(Vec::new, |a, b| {
                let longest = a.len().max(b.len());
                let at = |counts: &[u64], i: usize| counts.get(i).copied().unwrap_or(0);
                Ok((0..longest).map(|i| at(&a, i) + at(&b, i)).collect())
            })?;
        Ok(SpikingRun { logits, spikes })
    }

    /// One image; the spikes that reached each layer.
    fn classify(&self, image: &[f32], steps: u32, logits: &mut [f32]) -> Result<Vec<u64>> {
        let stages = &self.stages;
        let mut neurons: Vec<Neurons> = stages.iter().map(Stage::neurons).collect();
        let mut pixels = vec![0.0_f32; image.len()];
        let mut fired = vec![0.0_f32; image.len()];
        let mut means = vec![0.0_f32; stages.last().map_or(0, |stage| stage.to.channels)];
        let mut spikes = vec![0; stages.len() + 1];
        for _ in 0..steps {
            for ((membrane, spike), value) in pixels.iter_mut().zip(&mut fired).zip(image) {
                *membrane += value;
                *spike = f32::from(u8::from(*membrane >= 1.0));
                *membrane -= *spike;
            }
            if let (Some(stage), Some(first)) = (stages.first(), neurons.first_mut()) {
                stage.from.load(&fired, &mut first.input);
            }
            for (i, stage) in stages.iter().enumerate() {
                let (before, after) = neurons.split_at_mut(i + 1);
                let here = &mut before[i];
                spikes[i] += count(&here.input);
                stage.integrate(here, self.thresholds[i])?;
                match after.first_mut() {
                    Some(next) => stage.pass_on(here, self.thresholds[i], &mut next.input),
                    None => spikes[i + 1] += stage.collect(here, self.thresholds[i], &mut means),
                }
            }
        }
        let scale = 1.0 / steps.max(1) as f32;
        means.iter_mut().for_each(|mean| *mean *= scale);
        self.head.apply(&means, logits)?;
        Ok(spikes)
    }
}

fn count(values: &[f32]) -> u64 {
    values.iter().filter(|value| **value != 0.0).count() as u64
}

impl Stage<'_> {
    /// One time step: what comes in is added to the membranes; `current` is left as 1 where a neuron fired, else 0.
    fn integrate(&self, neurons: &mut Neurons, threshold: f32) -> Result<()> {
        let Neurons {
            input,
            current,
            membrane,
            fired,
        } = neurons;
        let channels = self.to.channels;
        let Convolution {
            weights,
            kernel,
            stride,
            padding,
            ..
        } = self.convolution;
        let flat = Plane {
            border: 0,
            ..self.to
        };
        Factor::multiply(
            weights,
            Multiply {
                values: input,
                rows: windows(&self.from, &self.to, *stride, *padding),
                count: self.to.pixels(),
                pieces: (kernel.0, self.from.line()),
                out: current,
                out_rows: flat.inside(),
                finish: Finish::Store,
            },
        )?;
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
        Ok(())
    }

    /// Hands the spikes on to the next stage, through pooling where there is some.
    fn pass_on(&self, neurons: &Neurons, threshold: f32, next: &mut [f32]) {
        let place = self.next.inside();
        for pixel in 0..self.next.pixels() {
            let start = place.start(pixel);
            for channel in 0..self.next.channels {
                let from = self.winner(neurons, pixel, channel);
                next[start + channel] = neurons.current[from] * threshold;
            }
        }
    }

    /// Adds the means over the pixels; the number of spikes.
    fn collect(&self, neurons: &Neurons, threshold: f32, means: &mut [f32]) -> u64 {
        let area = self.next.pixels();
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
        let channels = self.to.channels;
        let Some(pool) = self.pool else {
            return pixel * channels + channel;
        };
        let columns = self.to.columns;
        let (y, x) = (pixel / self.next.columns, pixel % self.next.columns);
        let corner = y * pool.stride * columns + x * pool.stride;
        let window = (0..pool.size).flat_map(|row| (0..pool.size).map(move |column| (row, column)));
        window
            .map(|(row, column)| (corner + row * columns + column) * channels + channel)
            .max_by_key(|&neuron| neurons.fired[neuron])
            .unwrap_or(corner * channels + channel)
    }
}
