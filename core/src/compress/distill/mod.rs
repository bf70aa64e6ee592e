//! Knowledge distillation: trains a smaller network on the soft labels of the original (Hinton, Vinyals and Dean 2015,
//! <https://arxiv.org/abs/1503.02531>). The same loop, without a teacher, trained the bundled models.
//!
//! The loss of a prediction is `(1 - h)·T²·KL(teacher ‖ student) + h·cross-entropy(label)`, both distributions softened by
//! the temperature T in the first term, with h = [`HARD_SHARE`]. Weights follow AdamW with a linear warm-up and a cosine
//! decay; batches and augmentation come from the seed alone.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};

use crate::error::{Error, Result};
use crate::graph::{Graph, Input};
use crate::model::{Architecture, Model, Tensors};
use crate::recipe::Distillation;
use crate::run::Network;

mod adversarial;
mod batches;
mod denoising;
mod loss;
mod network;
mod ops;
mod optimizer;
mod pass;
mod pictures;
mod rival;
mod student;

pub use adversarial::train_generator;
use batches::Batches;
pub use batches::TrainingSet;
use loss::Targets;
use optimizer::AdamW;
use pictures::Noise;
pub(crate) use pictures::sample;
pub use rival::rival;
pub(crate) use student::{LONGEST, MOST_MACS};
pub use student::{Student, StudentRecord};

/// Share of the true labels in the loss of a student; the rest follows the teacher.
pub const HARD_SHARE: f64 = 0.1;

/// Multiply-accumulates of a training step per multiply-accumulate of the forward pass: once forward, once for the
/// gradient of the inputs, once for that of the weights.
pub const TRAINING_PASSES: f64 = 3.0;

/// How long and how fast to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Number of weight updates.
    pub steps: u32,
    /// Images, or sequences of the full context, per update.
    pub batch: usize,
    /// Highest learning rate, reached after a twentieth of the steps; it falls to zero along a cosine.
    pub learning_rate: f64,
    /// Decoupled weight decay of matrices and kernels.
    pub weight_decay: f64,
}

impl Schedule {
    /// The schedule for students trained while somebody waits, on the bundled training subset.
    pub fn quick(architecture: &Architecture) -> Self {
        match architecture.input() {
            Input::Noisy(_) => Self {
                steps: 500,
                ..Self::long(architecture, 0)
            },
            // Six passes over 8,000 images.
            Input::Image(_) | Input::Noise { .. } => Self {
                steps: 375,
                ..Self::long(architecture, 0)
            },
            // Two and a half passes over 256 KiB of text.
            Input::Tokens { .. } => Self {
                steps: 640,
                ..Self::long(architecture, 0)
            },
        }
    }

    /// The schedule of the bundled models for this many updates.
    pub fn long(architecture: &Architecture, steps: u32) -> Self {
        match architecture.input() {
            Input::Noisy(_) => Self {
                steps,
                batch: 64,
                learning_rate: 3e-3,
                weight_decay: 0.01,
            },
            Input::Image(_) | Input::Noise { .. } => Self {
                steps,
                batch: 128,
                learning_rate: 4e-3,
                weight_decay: 0.05,
            },
            Input::Tokens { .. } => Self {
                steps,
                batch: 8,
                learning_rate: 4e-3,
                weight_decay: 0.1,
            },
        }
    }

    /// The schedule of a generator that is trained against another network: both learn at one rate all the time.
    pub const fn adversarial(steps: u32) -> Self {
        Self {
            steps,
            batch: 64,
            learning_rate: 5e-4,
            weight_decay: 0.0,
        }
    }

    /// Learning rate of a step, counted from 0.
    fn rate(&self, step: u32) -> f64 {
        let warm_up = (self.steps / 20).max(1);
        let rise = f64::from(step + 1) / f64::from(warm_up);
        let done = f64::from(step) / f64::from(self.steps.max(1));
        self.learning_rate * rise.min(1.0) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}

/// Where a training stands after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingProgress {
    /// Updates done.
    pub step: u32,
    /// Updates planned.
    pub steps: u32,
    /// Loss of the last batch in nats per prediction, or per pixel where pictures are made, before the update.
    pub loss: f64,
    /// Seconds since the start.
    pub seconds: f64,
    /// Multiply-accumulates so far, the teacher's included.
    pub macs: f64,
}

/// Hears of every update and can end the training. The second argument gives the weights as they are now.
pub type OnStep<'a> =
    dyn FnMut(TrainingProgress, &dyn Fn() -> Result<Tensors>) -> ControlFlow<()> + 'a;

/// A finished training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The weights.
    pub tensors: Tensors,
    /// Updates done.
    pub steps: u32,
    /// Seconds that it took on this machine.
    pub seconds: f64,
    /// Multiply-accumulates that it took, the teacher's included; what its energy is estimated from.
    pub macs: f64,
}

/// Trains a student from scratch on what the teacher makes of the data, with [`Schedule::quick`]. `on_step` hears of
/// every update and can end the training.
///
/// # Errors
/// [`Error::Cancelled`] if `on_step` breaks, [`Error::Compute`] if the data does not suit the network or the loss is no
/// longer finite.
pub fn train_student(
    teacher: &Model,
    student: &Architecture,
    data: &TrainingSet,
    recipe: &Distillation,
    seed: u64,
    on_step: &mut OnStep<'_>,
) -> Result<Trained> {
    let schedule = Schedule::quick(student);
    let guide = Some((teacher, recipe.temperature));
    train(guide, student, data, &schedule, seed, on_step)
}

/// Trains a network from scratch: on the labels alone, or as the student of a teacher at a temperature.
///
/// # Errors
/// As [`train_student`].
pub fn train(
    teacher: Option<(&Model, f64)>,
    architecture: &Architecture,
    data: &TrainingSet,
    schedule: &Schedule,
    seed: u64,
    on_step: &mut OnStep<'_>,
) -> Result<Trained> {
    if let Input::Noisy(_) = architecture.input() {
        let teacher = teacher.map(|(model, _)| model);
        return denoising::train(teacher, architecture, data, schedule, seed, on_step);
    }
    let start = Instant::now();
    let mut state = State::new(architecture, seed)?;
    let mut lesson = Lesson::new(teacher, architecture, data, seed)?;
    let per_step = step_macs(
        teacher.map(|(model, _)| model),
        architecture,
        schedule.batch,
    );
    for step in 0..schedule.steps {
        let (loss, gradients) = lesson.next(&mut state, schedule.batch)?;
        if !loss.is_finite() {
            return Err(Error::Compute(format!(
                "the loss of step {} is not a finite number",
                step + 1
            )));
        }
        state.optimizer.step(
            &state.variables,
            &gradients,
            schedule.rate(step),
            schedule.weight_decay,
        )?;
        let progress = TrainingProgress {
            step: step + 1,
            steps: schedule.steps,
            loss,
            seconds: start.elapsed().as_secs_f64(),
            macs: per_step * f64::from(step + 1),
        };
        if on_step(progress, &|| state.tensors(architecture)).is_break() {
            return Err(Error::Cancelled);
        }
    }
    Ok(Trained {
        tensors: state.tensors(architecture)?,
        steps: schedule.steps,
        seconds: start.elapsed().as_secs_f64(),
        macs: per_step * f64::from(schedule.steps),
    })
}

/// What is learned, batch by batch.
struct Lesson<'a> {
    architecture: &'a Architecture,
    graph: Graph,
    /// None for generators, which are given noise alone.
    batches: Option<Batches<'a>>,
    noise: Noise,
    teacher: Option<(Network, f64)>,
}

impl<'a> Lesson<'a> {
    fn new(
        teacher: Option<(&Model, f64)>,
        architecture: &'a Architecture,
        data: &'a TrainingSet,
        seed: u64,
    ) -> Result<Self> {
        let ready = |(model, temperature): (&Model, f64)| {
            let network = model.architecture.ready(&model.tensors, 32)?;
            Ok::<_, Error>((network, temperature))
        };
        let batches = match architecture.input() {
            Input::Noise { .. } => None,
            _ => Some(Batches::new(architecture, data, seed)?),
        };
        Ok(Self {
            architecture,
            graph: architecture.graph(),
            batches,
            noise: Noise::new(seed),
            teacher: teacher.map(ready).transpose()?,
        })
    }

    /// The loss of the next batch before the update, in nats per prediction or pixel, and its gradients.
    fn next(&mut self, state: &mut State, batch: usize) -> Result<(f64, GradStore)> {
        let graph = &self.graph;
        let teacher = self.teacher.as_ref().map(|(network, _)| network);
        let Some(batches) = &mut self.batches else {
            let noise = self.noise.next(batch, graph.latent())?;
            let Some(teacher) = teacher else {
                return Err(Error::Compute(
                    "a generator of images learns from another network only".to_owned(),
                ));
            };
            return pictures::generate(graph, state, &noise, teacher);
        };
        let (input, labels) = batches.next(batch)?;
        if let Some(drawn) = graph.sampling() {
            let noise = self.noise.next(batch, graph.latent())?;
            return pictures::autoencode((graph, drawn), state, &input, &noise, teacher);
        }
        let soft = match &self.teacher {
            Some((network, temperature)) => {
                let logits = network.run(&input)?;
                Some((logits.flatten_all()?.to_vec1::<f32>()?, *temperature))
            }
            None => None,
        };
        let targets = Targets {
            labels: &labels,
            soft: soft.as_ref().map(|(logits, t)| (logits.as_slice(), *t)),
        };
        let (variables, fixed) = (&state.variables, &mut state.fixed);
        let logits = network::logits(self.architecture, variables, fixed, &input)?;
        let (loss, gradient) = targets.loss(&logits)?;
        // The gradient of the loss is known, so it is fed in as the slope of a sum.
        Ok((loss, (logits * gradient)?.sum_all()?.backward()?))
    }
}

/// Multiply-accumulates of one update: the student three times over, the teacher once.
fn step_macs(teacher: Option<&Model>, student: &Architecture, batch: usize) -> f64 {
    let forward = |architecture: &Architecture| -> f64 {
        architecture.layers().iter().map(|layer| layer.macs).sum()
    };
    let units = match student.input() {
        Input::Image(_) | Input::Noise { .. } | Input::Noisy(_) => batch,
        Input::Tokens { context, .. } => batch * context as usize,
    };
    let teacher = teacher.map_or(0.0, |model| forward(&model.architecture));
    units as f64 * (teacher + TRAINING_PASSES * forward(student))
}

/// What a training changes.
struct State {
    variables: network::Variables,
    /// Running statistics of batch normalisation: tensors without a gradient.
    fixed: BTreeMap<String, Vec<f32>>,
    optimizer: AdamW,
}

impl State {
    fn new(architecture: &Architecture, seed: u64) -> Result<Self> {
        let mut variables = network::Variables::new();
        let mut fixed = BTreeMap::new();
        for (name, tensor) in architecture.initial_tensors(seed)? {
            if name.contains(".running_") {
                fixed.insert(name, tensor.to_vec1::<f32>()?);
            } else {
                variables.insert(name, Var::from_tensor(&tensor)?);
            }
        }
        Ok(Self {
            variables,
            fixed,
            optimizer: AdamW::default(),
        })
    }

    fn tensors(&self, architecture: &Architecture) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        for (name, variable) in &self.variables {
            tensors.insert(name.clone(), variable.as_detached_tensor().copy()?);
        }
        for (name, values) in &self.fixed {
            let len = values.len();
            tensors.insert(name.clone(), Tensor::from_slice(values, len, &Device::Cpu)?);
        }
        match architecture.mismatch(&tensors) {
            Some(fact) => Err(Error::Compute(fact)),
            None => Ok(tensors),
        }
    }
}

#[cfg(test)]
mod tests;
