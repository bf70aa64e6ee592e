//! Training the student that a recipe asks for.

use std::ops::ControlFlow;

use super::{Engine, Unobserved};
use crate::compress::distill::{Student, StudentRecord, train_student};
use crate::error::{Error, Result};
use crate::evaluate::{Accumulator, Baseline};
use crate::model::{Architecture, bundled};
use crate::recipe::Recipe;
use crate::training::cores_here;

/// One report of a student's training.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingReport {
    /// How the student differs from the original.
    pub description: String,
    /// Updates done.
    pub step: u32,
    /// Updates planned.
    pub steps: u32,
    /// Loss of the last batch in nats per prediction or pixel.
    pub loss: f64,
    /// Seconds since the start.
    pub seconds: f64,
    /// Multiply-accumulates so far, the teacher's included.
    pub macs: f64,
    /// Quality on a small held-out subset, in the unit of the model's metric, where it was measured after this step.
    pub quality: Option<f64>,
}

/// Measurements of quality on the way through a training.
const QUALITY_CHECKS: u32 = 20;

impl Engine {
    /// Trains the student of the recipe's distillation settings and puts it on the shelf. `report` hears of every
    /// update, about twenty times with the quality on the coarse subset; `stop` is asked after each.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if `stop` said so; the ratio is 1; or the computation failed. A finished student that could
    /// not be written to disk is on the shelf all the same, and the error that kept it is in the answer.
    pub fn train_student(
        &self,
        recipe: &Recipe,
        report: &mut dyn FnMut(TrainingReport),
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Error>> {
        let recipe = self.checked(recipe)?;
        let distillation = recipe.distillation;
        if distillation.ratio >= 1.0 {
            return Err(Error::Recipe(
                "the distillation ratio is 1; that is the original, which needs no training"
                    .to_owned(),
            ));
        }
        self.check_students()?;
        let (architecture, description) = self.model.architecture.student(distillation.ratio);
        let data = bundled::training_set(&self.model.architecture)?;
        let baseline = self.baseline(&Unobserved)?;
        let trained = train_student(
            &self.model,
            &architecture,
            &data,
            &distillation,
            recipe.seed,
            &mut |progress, weights| {
                let due = progress.step % (progress.steps / QUALITY_CHECKS).max(1) == 0;
                let quality = due
                    .then(|| self.quick_quality(baseline, &architecture, weights))
                    .and_then(Result::ok);
                report(TrainingReport {
                    description: description.clone(),
                    step: progress.step,
                    steps: progress.steps,
                    loss: progress.loss,
                    seconds: progress.seconds,
                    macs: progress.macs,
                    quality,
                });
                if stop() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        )?;
        let kept = self.shelf.add(Student {
            architecture,
            tensors: trained.tensors,
            record: StudentRecord {
                teacher: self.model.hash.clone(),
                ratio: distillation.ratio,
                temperature: distillation.temperature,
                seed: recipe.seed,
                description,
                steps: u64::from(trained.steps),
                macs: trained.macs,
                seconds: trained.seconds,
                data: bundled::training_set_name(&self.model.architecture).to_owned(),
                cores: Some(cores_here()),
            },
        });
        Ok(kept.err())
    }

    /// Quality of weights on the coarse subset.
    fn quick_quality(
        &self,
        baseline: &Baseline,
        architecture: &Architecture,
        weights: &dyn Fn() -> Result<crate::model::Tensors>,
    ) -> Result<f64> {
        let network = architecture.ready(&weights()?, 32)?;
        let mut accumulator = Accumulator::new(&self.set, baseline);
        while accumulator.seen() < self.set.coarse() && accumulator.step(&network)? {}
        Ok(accumulator.quality().value)
    }
}
