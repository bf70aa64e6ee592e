//! Training a generator of images against a network that tells its images from real ones (Goodfellow et al. 2014,
//! <https://arxiv.org/abs/1406.2661>): the losses that do not saturate, real images at nine tenths certain (Salimans et al.
//! 2016, <https://arxiv.org/abs/1606.03498>), Adam with the first decay of Radford et al. 2016
//! (<https://arxiv.org/abs/1511.06434>). What is kept are the running means of the generator's weights, with statistics of
//! batch normalisation taken for them at the end.

use std::time::Instant;

use candle_core::Tensor;

use super::batches::Batches;
use super::optimizer::AdamW;
use super::pass::{Trained as Network, pass};
use super::pictures::{Noise, code_length};
use super::{OnStep, Schedule, State, TRAINING_PASSES, Trained, TrainingProgress, TrainingSet};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::model::{Architecture, CnnConfig, GanConfig, Stage, Tensors, VaeConfig};

/// Decay of the running mean of the gradient.
const FIRST_DECAY: f64 = 0.5;
/// How certain the other network should be that a real image is one.
const CERTAIN: f32 = 0.9;
/// Decay of the running means of the generator's weights; of n updates, its nth power of the first weights stays in them (6 %
/// after the bundled generator's).
const KEPT: f64 = 0.999;
/// Batches whose statistics are taken at the end.
const STATISTICS: usize = 60;

/// Trains a generator on grey images alone.
///
/// # Errors
/// [`Error::Cancelled`] if `on_step` breaks, [`Error::Compute`] if the data does not suit the network or a loss is no longer
/// finite.
pub fn train_generator(
    config: &GanConfig,
    data: &TrainingSet,
    schedule: &Schedule,
    seed: u64,
    on_step: &mut OnStep<'_>,
) -> Result<Trained> {
    let start = Instant::now();
    let architecture = Architecture::Gan(config.clone());
    let other = opponent(config);
    let (graph, against) = (architecture.graph(), other.graph());
    let mut state = State::new(&architecture, seed)?;
    let mut judge = State::new(&other, seed.wrapping_add(1))?;
    state.optimizer = AdamW::decaying(FIRST_DECAY);
    judge.optimizer = AdamW::decaying(FIRST_DECAY);
    // Images as an autoencoder of the same size is given them: as they are.
    let reader = Architecture::Vae(VaeConfig {
        channels: config.channels,
        size: config.size,
        ..VaeConfig::fashion()
    });
    let mut batches = Batches::new(&reader, data, seed)?;
    let mut noise = Noise::new(seed);
    let mut kept = state.tensors(&architecture)?;
    let per_step = step_macs(&architecture, &other, schedule.batch);
    for step in 0..schedule.steps {
        let (real, _) = batches.next(schedule.batch)?;
        let given = noise.next(schedule.batch, config.noise)?;
        let fake = picture(&graph, &mut state, &given, real.dims())?;
        let rate = schedule.learning_rate;
        let known = judged(&against, &mut judge, &real, CERTAIN)?;
        let made = judged(&against, &mut judge, &fake.detach(), 0.0)?;
        let told = ((known.0 + made.0)? * (1.0 / schedule.batch as f64))?.backward()?;
        (judge.optimizer).step(&judge.variables, &told, rate, schedule.weight_decay)?;
        let fooled = judged(&against, &mut judge, &fake, 1.0)?;
        let gradients = (fooled.0 * (1.0 / schedule.batch as f64))?.backward()?;
        (state.optimizer).step(&state.variables, &gradients, rate, schedule.weight_decay)?;
        let loss = (known.1 + made.1) / (2 * schedule.batch) as f64;
        if !loss.is_finite() || !fooled.1.is_finite() {
            let fact = format!("a loss of step {} is not a finite number", step + 1);
            return Err(Error::Compute(fact));
        }
        keep(&mut kept, &state)?;
        let progress = TrainingProgress {
            step: step + 1,
            steps: schedule.steps,
            loss,
            seconds: start.elapsed().as_secs_f64(),
            macs: per_step * f64::from(step + 1),
        };
        if on_step(progress, &|| Ok(kept.clone())).is_break() {
            return Err(Error::Cancelled);
        }
    }
    for (name, variable) in &state.variables {
        variable.set(&kept[name])?;
    }
    for _ in 0..STATISTICS {
        let given = noise.next(schedule.batch, config.noise)?;
        let mut network = Network {
            variables: &state.variables,
            fixed: &mut state.fixed,
        };
        pass(&graph, 0..graph.nodes.len(), &mut network, &given, false)?;
    }
    Ok(Trained {
        tensors: state.tensors(&architecture)?,
        steps: schedule.steps,
        seconds: start.elapsed().as_secs_f64(),
        macs: per_step * f64::from(schedule.steps),
    })
}

/// The network that a generator is trained against: a classifier with one output.
fn opponent(config: &GanConfig) -> Architecture {
    let stage = |channels, pool| Stage { channels, pool };
    Architecture::Cnn(CnnConfig {
        input_channels: config.channels,
        size: config.size,
        stages: vec![stage(32, true), stage(64, true), stage(128, false)],
        classes: 1,
    })
}

/// Multiply-accumulates of one update of both: each made or judged image once forward and, where it is learned from, back.
fn step_macs(generator: &Architecture, other: &Architecture, batch: usize) -> f64 {
    let forward = |architecture: &Architecture| -> f64 {
        architecture.layers().iter().map(|layer| layer.macs).sum()
    };
    batch as f64 * TRAINING_PASSES * (forward(generator) + 3.0 * forward(other))
}

/// Images that a generator makes of noise.
fn picture(graph: &Graph, state: &mut State, noise: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let mut network = Network {
        variables: &state.variables,
        fixed: &mut state.fixed,
    };
    let logits = pass(graph, 0..graph.nodes.len(), &mut network, noise, true)?;
    // The logistic function, in a form whose slope is finite everywhere.
    let white = (((logits * 0.5)?.tanh()? + 1.0)? * 0.5)?;
    Ok(white.reshape(shape)?)
}

/// What it costs, as a tensor to go back from and in nats, that images are judged otherwise than `certain`.
fn judged(
    graph: &Graph,
    judge: &mut State,
    images: &Tensor,
    certain: f32,
) -> Result<(Tensor, f64)> {
    let mut network = Network {
        variables: &judge.variables,
        fixed: &mut judge.fixed,
    };
    let logits = pass(graph, 0..graph.nodes.len(), &mut network, images, true)?;
    let targets = vec![certain; logits.elem_count()];
    let (nats, gradient) = code_length(&logits, &targets)?;
    Ok(((logits * gradient)?.sum_all()?, nats))
}

/// Moves the running means towards the weights as they are.
fn keep(kept: &mut Tensors, state: &State) -> Result<()> {
    for (name, variable) in &state.variables {
        if let Some(mean) = kept.get_mut(name) {
            *mean = ((&*mean * KEPT)? + (variable.as_detached_tensor() * (1.0 - KEPT))?)?;
        }
    }
    Ok(())
}
