//! How networks that make pictures are trained: a variational autoencoder on the evidence lower bound, with pixels as the
//! probabilities of being white; students of it and of generators on what the original makes of the same numbers.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::ops::with_values;
use super::pass::{Trained, pass};
use super::{HARD_SHARE, State};
use crate::error::Result;
use crate::graph::Graph;
use crate::model::standard_normal;
use crate::run::Network;

/// Numbers from the standard normal distribution without end, by a seed.
pub(super) struct Noise(ChaCha8Rng);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        // Another stream than those of the initial weights and of the batches.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(2);
        Self(rng)
    }

    /// A number from 0 to 1.
    pub(super) fn share(&mut self) -> f32 {
        self.0.random()
    }

    /// `[n, width]` of them.
    pub(super) fn next(&mut self, n: usize, width: usize) -> Result<Tensor> {
        let numbers: Vec<f32> = (0..n * width)
            .map(|_| standard_normal(&mut self.0) as f32)
            .collect();
        Ok(Tensor::from_vec(numbers, (n, width), &Device::Cpu)?)
    }
}

/// One update's loss in nats per pixel and its gradients, of an autoencoder that draws a sample at node `drawn`, for images
/// `[n, channels, rows, columns]`.
///
/// Alone it learns the evidence lower bound. As a student it learns that to [`HARD_SHARE`], and for the rest the original's
/// pictures from numbers drawn with the same noise, and the original's distributions of these numbers.
pub(super) fn autoencode(
    (graph, drawn): (&Graph, usize),
    state: &mut State,
    images: &Tensor,
    noise: &Tensor,
    teacher: Option<&Network>,
) -> Result<(f64, GradStore)> {
    let mut trained = Trained {
        variables: &state.variables,
        fixed: &mut state.fixed,
    };
    let stats = pass(graph, 0..drawn, &mut trained, images, false)?;
    let (n, both) = stats.dims2()?;
    let width = both / 2;
    let (mean, log_variance) = (stats.narrow(1, 0, width)?, stats.narrow(1, width, width)?);
    let sample = (&mean + (&log_variance * 0.5)?.exp()?.mul(noise)?)?;
    let logits = pass(
        graph,
        drawn + 1..graph.nodes.len(),
        &mut trained,
        &sample,
        true,
    )?;
    let mut targets = images.flatten_all()?.to_vec1::<f32>()?;
    // Σ ½ (variance + mean² − 1 − log variance): nats that the numbers cost.
    let cost = ((log_variance.exp()? + mean.sqr()?)? - (&log_variance + 1.0)?)?;
    let mut divergence = (cost.sum_all()? * 0.5)?;
    if let Some(teacher) = teacher {
        let (known, pictures) = taught(teacher, &targets, noise, width)?;
        for (target, picture) in targets.iter_mut().zip(pictures) {
            *target = HARD_SHARE as f32 * *target + (1.0 - HARD_SHARE) as f32 * picture;
        }
        let known = Tensor::from_vec(known, (n, both), &Device::Cpu)?;
        let (its_mean, its_log) = (known.narrow(1, 0, width)?, known.narrow(1, width, width)?);
        // Σ ½ (log variances' difference + (its variance + (its mean − mean)²) / variance − 1).
        let spread = (its_log.exp()? + (its_mean - &mean)?.sqr()?)?;
        let apart = ((&log_variance - its_log)? + spread.mul(&log_variance.neg()?.exp()?)?)?;
        let apart = ((apart - 1.0)?.sum_all()? * 0.5)?;
        divergence = ((divergence * HARD_SHARE)? + (apart * (1.0 - HARD_SHARE))?)?;
    }
    let (nats, gradient) = code_length(&logits, &targets)?;
    let loss = ((logits * gradient)?.sum_all()? + &divergence)?;
    let total = nats + f64::from(divergence.to_scalar::<f32>()?);
    // Means over images.
    let gradients = (loss * (1.0 / n as f64))?.backward()?;
    Ok((total / targets.len() as f64, gradients))
}

/// What the original makes of images with the same noise: its means and logarithms of variances, and its pictures.
fn taught(
    teacher: &Network,
    images: &[f32],
    noise: &Tensor,
    width: usize,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let known = teacher.encode(images)?;
    let noise = noise.flatten_all()?.to_vec1::<f32>()?;
    let rows = known.chunks_exact(2 * width);
    let drawn: Vec<f32> = rows
        .zip(noise.chunks_exact(width))
        .flat_map(|(row, noise)| sample(row, noise))
        .collect();
    let pictures = teacher.decode(&drawn)?;
    Ok((known, pictures))
}

/// Numbers drawn from means and logarithms of variances, one after the other.
pub(crate) fn sample<'a>(row: &'a [f32], noise: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
    let (means, logarithms) = row.split_at(noise.len());
    let spread = logarithms.iter().zip(noise);
    let spread = spread.map(|(log, noise)| (0.5 * log).exp() * noise);
    means.iter().zip(spread).map(|(mean, by)| mean + by)
}

/// One update's loss in nats per pixel and its gradients, of the student of a generator.
pub(super) fn generate(
    graph: &Graph,
    state: &mut State,
    noise: &Tensor,
    teacher: &Network,
) -> Result<(f64, GradStore)> {
    let mut trained = Trained {
        variables: &state.variables,
        fixed: &mut state.fixed,
    };
    let logits = pass(graph, 0..graph.nodes.len(), &mut trained, noise, true)?;
    let targets = teacher.encode(&noise.flatten_all()?.to_vec1::<f32>()?)?;
    let (nats, gradient) = code_length(&logits, &targets)?;
    let n = noise.dim(0)? as f64;
    let gradients = ((logits * gradient)?.sum_all()? * (1.0 / n))?.backward()?;
    Ok((nats / targets.len() as f64, gradients))
}

/// Cross-entropy of pixels, each the probability of white, in nats, and its gradient with respect to the logits.
pub(super) fn code_length(logits: &Tensor, targets: &[f32]) -> Result<(f64, Tensor)> {
    /// Pixels of one task.
    const TASK: usize = 1 << 14;
    let mut gradient = vec![0f32; targets.len()];
    let nats: Vec<f64> = with_values([logits], |[logits]| {
        gradient
            .par_chunks_mut(TASK)
            .zip(logits.par_chunks(TASK).zip(targets.par_chunks(TASK)))
            .map(|(gradient, (logits, targets))| {
                let mut nats = 0.0;
                for (g, (&logit, &target)) in gradient.iter_mut().zip(logits.iter().zip(targets)) {
                    // log(1 + exp(logit)) − target · logit, without overflow.
                    let decay = (-logit.abs()).exp();
                    nats += f64::from(logit.max(0.0) + decay.ln_1p() - target * logit);
                    let white = match logit >= 0.0 {
                        true => 1.0 / (1.0 + decay),
                        false => decay / (1.0 + decay),
                    };
                    *g = white - target;
                }
                nats
            })
            .collect()
    })?;
    let gradient = Tensor::from_vec(gradient, logits.shape(), &Device::Cpu)?;
    Ok((nats.iter().sum(), gradient))
}
