//! Training a denoiser of images (Ho et al. 2020, <https://arxiv.org/abs/2006.11239>): it predicts the velocity of images at times
//! spread evenly over every batch (Kingma et al. 2021, <https://arxiv.org/abs/2107.00630>), and loses the mean square of what it is
//! wrong by. A student learns to [`HARD_SHARE`] the same and for the rest what the original predicts for the same image, noise and
//! time. What is kept are the running means of the weights, with statistics of batch normalisation taken for them at the end.

use std::time::Instant;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};

use super::batches::Batches;
use super::ops::with_values;
use super::pass::{Trained as Parts, pass};
use super::pictures::Noise;
use super::{
    HARD_SHARE, OnStep, Schedule, State, Trained, TrainingProgress, TrainingSet, step_macs,
};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::model::{Architecture, Model, Tensors};
use crate::run::Network;
use crate::run::denoising::{centred, velocity, with_noise};

/// Decay of the running means of the weights at the end; earlier it is less, so that they forget the first weights.
const KEPT: f64 = 0.999;
/// Batches whose statistics are taken at the end.
const STATISTICS: usize = 60;

/// Trains a denoiser on images: alone, or as the student of another.
///
/// # Errors
/// As [`super::train`].
pub(super) fn train(
    teacher: Option<&Model>,
    architecture: &Architecture,
    data: &TrainingSet,
    schedule: &Schedule,
    seed: u64,
    on_step: &mut OnStep<'_>,
) -> Result<Trained> {
    let start = Instant::now();
    let graph = architecture.graph();
    let mut state = State::new(architecture, seed)?;
    let mut lesson = Lesson::new(architecture, data, seed)?;
    let per_step = step_macs(teacher, architecture, schedule.batch);
    let ready = |model: &Model| model.architecture.ready(&model.tensors, 32);
    let teacher = teacher.map(ready).transpose()?;
    let mut kept = state.tensors(architecture)?;
    for step in 0..schedule.steps {
        let batch = lesson.next(schedule.batch, teacher.as_ref())?;
        let (loss, gradients) = batch.loss(&graph, &mut state)?;
        if !loss.is_finite() {
            let fact = format!("the loss of step {} is not a finite number", step + 1);
            return Err(Error::Compute(fact));
        }
        let rate = schedule.rate(step);
        (state.optimizer).step(&state.variables, &gradients, rate, schedule.weight_decay)?;
        keep(&mut kept, &state, step)?;
        let progress = TrainingProgress {
            step: step + 1,
            steps: schedule.steps,
            loss,
            seconds: start.elapsed().as_secs_f64(),
            macs: per_step * f64::from(step + 1),
        };
        // The statistics that go with the weights as they are.
        if on_step(progress, &|| state.tensors(architecture)).is_break() {
            return Err(Error::Cancelled);
        }
    }
    for (name, variable) in &state.variables {
        variable.set(&kept[name])?;
    }
    for _ in 0..STATISTICS {
        let batch = lesson.next(schedule.batch, None)?;
        batch.predict(&graph, &mut state)?;
    }
    Ok(Trained {
        tensors: state.tensors(architecture)?,
        steps: schedule.steps,
        seconds: start.elapsed().as_secs_f64(),
        macs: per_step * f64::from(schedule.steps),
    })
}

/// Images, noise and times without end.
struct Lesson<'a> {
    batches: Batches<'a>,
    noise: Noise,
}

/// Images with noise, and what is to be predicted of them.
pub(super) struct Batch {
    pub(super) given: Tensor,
    pub(super) targets: Vec<f32>,
}

impl<'a> Lesson<'a> {
    fn new(architecture: &Architecture, data: &'a TrainingSet, seed: u64) -> Result<Self> {
        Ok(Self {
            batches: Batches::new(architecture, data, seed)?,
            noise: Noise::new(seed),
        })
    }

    fn next(&mut self, n: usize, teacher: Option<&Network>) -> Result<Batch> {
        let (images, _) = self.batches.next(n)?;
        let images = images.flatten_all()?.to_vec1::<f32>()?;
        let pixels = images.len() / n.max(1);
        let noise = self.noise.next(n, pixels)?;
        let noise = noise.flatten_all()?.to_vec1::<f32>()?;
        let first = self.noise.share();
        let times = (0..n).map(|i| (i as f32 + first) / n as f32);
        Batch::new(&images, &noise, times, pixels, teacher)
    }
}

impl Batch {
    /// Of images with shades from 0 to 1.
    pub(super) fn new(
        images: &[f32],
        noise: &[f32],
        times: impl Iterator<Item = f32>,
        pixels: usize,
        teacher: Option<&Network>,
    ) -> Result<Self> {
        let (mut given, mut targets) = (Vec::new(), Vec::new());
        let rows = images.chunks_exact(pixels).zip(noise.chunks_exact(pixels));
        for ((image, noise), time) in rows.zip(times) {
            let image: Vec<f32> = image.iter().map(|&shade| centred(shade)).collect();
            with_noise(&image, noise, time, &mut given);
            velocity(&image, noise, time, &mut targets);
        }
        if let Some(teacher) = teacher {
            for (target, its) in targets.iter_mut().zip(teacher.encode(&given)?) {
                *target = HARD_SHARE as f32 * *target + (1.0 - HARD_SHARE) as f32 * its;
            }
        }
        let shape = (given.len() / (pixels + 1), pixels + 1);
        Ok(Self {
            given: Tensor::from_vec(given, shape, &Device::Cpu)?,
            targets,
        })
    }

    fn predict(&self, graph: &Graph, state: &mut State) -> Result<Tensor> {
        let mut parts = Parts {
            variables: &state.variables,
            fixed: &mut state.fixed,
        };
        pass(graph, 0..graph.nodes.len(), &mut parts, &self.given, false)
    }

    /// The mean square per pixel, and its gradients.
    pub(super) fn loss(&self, graph: &Graph, state: &mut State) -> Result<(f64, GradStore)> {
        let predicted = self.predict(graph, state)?;
        let (loss, gradient) = squares(&predicted, &self.targets)?;
        Ok((loss, (predicted * gradient)?.sum_all()?.backward()?))
    }
}

/// Mean square of differences, and its gradient with respect to what was predicted.
fn squares(predicted: &Tensor, targets: &[f32]) -> Result<(f64, Tensor)> {
    let n = targets.len().max(1) as f64;
    let (sum, gradient) = with_values([predicted], |[predicted]| {
        let mut sum = 0.0;
        let pairs = predicted.iter().zip(targets);
        let gradient: Vec<f32> = pairs
            .map(|(p, t)| {
                let off = p - t;
                sum += f64::from(off) * f64::from(off);
                off * (2.0 / n) as f32
            })
            .collect();
        (sum, gradient)
    })?;
    let gradient = Tensor::from_vec(gradient, predicted.shape(), &Device::Cpu)?;
    Ok((sum / n, gradient))
}

/// Moves the running means towards the weights as they are.
fn keep(kept: &mut Tensors, state: &State, step: u32) -> Result<()> {
    let done = f64::from(step);
    let decay = KEPT.min((1.0 + done) / (10.0 + done));
    for (name, variable) in &state.variables {
        if let Some(mean) = kept.get_mut(name) {
            *mean = ((&*mean * decay)? + (variable.as_detached_tensor() * (1.0 - decay))?)?;
        }
    }
    Ok(())
}
