//! AdamW (Loshchilov and Hutter 2017, <https://arxiv.org/abs/1711.05101>) with the gradient clipped to a norm of 1.

use std::collections::BTreeMap;

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::network::Variables;
use super::ops::with_values;
use crate::error::{Error, Result};

/// Decay of the running mean of the gradient, where nothing else is asked for.
const BETA_1: f64 = 0.9;
/// Decay of the running mean of its square; below the usual 0.999 because trainings here are short.
const BETA_2: f64 = 0.98;
const EPSILON: f64 = 1e-8;
/// Largest Euclidean norm of the whole gradient.
const MAX_NORM: f64 = 1.0;

/// The optimiser's memory, by tensor name: mean of the gradient and of its square.
pub(super) struct AdamW {
    moments: BTreeMap<String, (Vec<f32>, Vec<f32>)>,
    steps: i32,
    /// Decay of the running mean of the gradient.
    first: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self::decaying(BETA_1)
    }
}

impl AdamW {
    /// One whose running mean of the gradient decays so fast.
    pub(super) const fn decaying(first: f64) -> Self {
        Self {
            moments: BTreeMap::new(),
            steps: 0,
            first,
        }
    }

    /// One update. Weight decay applies to matrices and kernels, not to vectors.
    pub(super) fn step(
        &mut self,
        variables: &Variables,
        gradients: &GradStore,
        rate: f64,
        weight_decay: f64,
    ) -> Result<()> {
        self.steps += 1;
        let mut squares = 0f64;
        for variable in variables.values() {
            if let Some(gradient) = gradients.get(variable) {
                squares += with_values([gradient], |[g]| {
                    g.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>()
                })?;
            }
        }
        if !squares.is_finite() {
            return Err(Error::Compute(
                "the gradient is not a finite number".to_owned(),
            ));
        }
        let clip = (MAX_NORM / squares.sqrt().max(MAX_NORM)) as f32;
        // The bias corrections, folded into the rate and the smallest deviation.
        let first = 1.0 - self.first.powi(self.steps);
        let second = (1.0 - BETA_2.powi(self.steps)).sqrt();
        let step = (rate * second / first) as f32;
        let epsilon = (EPSILON * second) as f32;
        let (b1, b2) = (self.first as f32, BETA_2 as f32);
        for (name, variable) in variables {
            let Some(gradient) = gradients.get(variable) else {
                continue;
            };
            let keep = if variable.rank() > 1 {
                1.0 - rate * weight_decay
            } else {
                1.0
            } as f32;
            let len = variable.elem_count();
            let (mean, square) = self
                .moments
                .entry(name.clone())
                .or_insert_with(|| (vec![0.0; len], vec![0.0; len]));
            let updated = with_values([variable.as_tensor(), gradient], |[w, g]| {
                let moments = mean.iter_mut().zip(square);
                w.iter()
                    .zip(g)
                    .zip(moments)
                    .map(|((w, g), (m, v))| {
                        let g = g * clip;
                        *m = b1 * *m + (1.0 - b1) * g;
                        *v = b2 * *v + (1.0 - b2) * g * g;
                        w * keep - step * *m / (v.sqrt() + epsilon)
                    })
                    .collect::<Vec<f32>>()
            })?;
            variable.set(&Tensor::from_vec(
                updated,
                variable.shape(),
                variable.device(),
            )?)?;
        }
        Ok(())
    }
}
