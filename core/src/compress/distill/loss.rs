//! The loss of a batch and its slope.

use candle_core::Tensor;
use rayon::prelude::*;

use super::HARD_SHARE;
use super::ops::{softmax, with_values};
use crate::error::{Error, Result};

/// What the predictions of a batch should be.
pub(super) struct Targets<'a> {
    /// The true class of each prediction.
    pub(super) labels: &'a [u32],
    /// The teacher's logits, row by row, and the temperature; none to learn from the labels alone.
    pub(super) soft: Option<(&'a [f32], f64)>,
}

impl Targets<'_> {
    /// Mean loss in nats of logits `[rows, classes]` and its gradient with respect to them.
    pub(super) fn loss(&self, logits: &Tensor) -> Result<(f64, Tensor)> {
        let (rows, classes) = logits.dims2()?;
        let soft_len = self.soft.map_or(rows * classes, |(soft, _)| soft.len());
        if self.labels.len() != rows || soft_len != rows * classes {
            return Err(Error::Compute(format!(
                "{rows} predictions of {classes} classes stand against {} labels and {soft_len} soft labels",
                self.labels.len()
            )));
        }
        let mut gradient = vec![0f32; rows * classes];
        let losses: Vec<f64> = with_values([logits], |[logits]| {
            gradient
                .par_chunks_mut(classes)
                .zip(logits.par_chunks(classes))
                .enumerate()
                .map(|(i, (gradient, logits))| {
                    let label = self.labels[i] as usize;
                    match self.soft {
                        None => hard(logits, label, 1.0 / rows as f32, gradient),
                        Some((teacher, temperature)) => {
                            let share = HARD_SHARE as f32;
                            let from_label = hard(logits, label, share / rows as f32, gradient);
                            let teacher = &teacher[i * classes..(i + 1) * classes];
                            let weight = (1.0 - share) / rows as f32;
                            let from_teacher =
                                soft(logits, teacher, temperature as f32, weight, gradient);
                            HARD_SHARE * from_label + (1.0 - HARD_SHARE) * from_teacher
                        }
                    }
                })
                .collect()
        })?;
        let loss = losses.iter().sum::<f64>() / rows as f64;
        Ok((
            loss,
            Tensor::from_vec(gradient, (rows, classes), logits.device())?,
        ))
    }
}

/// Cross-entropy with a class; adds `weight` times its slope to the gradient.
fn hard(logits: &[f32], label: usize, weight: f32, gradient: &mut [f32]) -> f64 {
    let mut p = vec![0f32; logits.len()];
    softmax(logits, 1.0, &mut p);
    let loss = -f64::from(p[label].max(f32::MIN_POSITIVE)).ln();
    p[label] -= 1.0;
    for (g, p) in gradient.iter_mut().zip(&p) {
        *g += weight * p;
    }
    loss
}

/// T²·KL(teacher ‖ student) at temperature T; adds `weight` times its slope to the gradient.
fn soft(logits: &[f32], teacher: &[f32], t: f32, weight: f32, gradient: &mut [f32]) -> f64 {
    let (mut p, mut q) = (vec![0f32; logits.len()], vec![0f32; logits.len()]);
    softmax(teacher, 1.0 / t, &mut p);
    softmax(logits, 1.0 / t, &mut q);
    let mut divergence = 0.0;
    for ((g, &p), &q) in gradient.iter_mut().zip(&p).zip(&q) {
        let floor = f32::MIN_POSITIVE;
        divergence += f64::from(p) * f64::from(p.max(floor) / q.max(floor)).ln();
        *g += weight * t * (q - p);
    }
    f64::from(t) * f64::from(t) * divergence
}
