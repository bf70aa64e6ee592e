//! One measurement of a recipe while it runs, from the first coarse result to the full one.

use super::{Engine, Network, Observer};
use crate::compress::Compressed;
use crate::error::{Error, Result};
use crate::evaluate::{Accumulator, Baseline, EvaluationSet};
use crate::measurement::{Depth, Measurement};
use crate::recipe::Recipe;

/// The original, made ready once it is needed.
fn unrounded<'a>(
    place: &'a mut Option<crate::run::Network>,
    engine: &Engine,
) -> Result<&'a crate::run::Network> {
    Ok(match place {
        Some(ready) => ready,
        None => place.insert(engine.original()?),
    })
}

/// One measurement under way.
pub(super) struct Run<'a> {
    pub(super) engine: &'a Engine,
    pub(super) recipe: Recipe,
    pub(super) key: String,
    pub(super) network: &'a Network,
    pub(super) compressed: &'a Compressed,
    pub(super) exact: bool,
}

impl Run<'_> {
    pub(super) fn measure(
        &self,
        depth: Depth,
        baseline: &Baseline,
        observer: &dyn Observer,
    ) -> Result<Measurement> {
        let engine = self.engine;
        let bits = self.recipe.quantization.activation_bits;
        let mut accumulator = Accumulator::new(&engine.set, baseline);
        let mut next_report = engine.set.coarse();
        let mut reached = Depth::Coarse;
        let network = (self.network.architecture).ready(&self.compressed.tensors, bits)?;
        // The original goes before, step by step, where it was not measured on everything yet.
        let mut original = None;
        loop {
            let next = engine.set.step(accumulator.items()).end;
            if baseline.len() < next {
                let ready = unrounded(&mut original, engine)?;
                baseline.reach(ready, &engine.set, next, &mut |_| Ok(()))?;
            }
            if !accumulator.step(&network)? {
                break;
            }
            if observer.abandoned() {
                return Err(Error::Cancelled);
            }
            let seen = accumulator.seen();
            if seen < engine.set.coarse() {
                continue;
            }
            if seen >= next_report {
                next_report = seen * 2;
                let measurement = engine.remember(&self.key, self.describe(reached, &accumulator));
                if depth <= reached {
                    return Ok(measurement);
                }
                observer.measured(&measurement);
                reached = Depth::Partial;
            }
            if observer.cancelled() {
                return Err(Error::Cancelled);
            }
            observer.progress("Measuring quality", seen as f64 / engine.set.len() as f64);
        }
        let mut full = self.describe(Depth::Full, &accumulator);
        // Texts take a while to write; the quality is told before. Which images went wrong is known at once.
        if matches!(engine.set, EvaluationSet::Text(_)) {
            observer.measured(&full);
        }
        if !baseline.is_complete() {
            baseline.write(unrounded(&mut original, engine)?, &engine.set)?;
        }
        full.examples = accumulator.examples(&network)?;
        Ok(engine.remember(&self.key, full))
    }

    pub(super) fn describe(&self, depth: Depth, accumulator: &Accumulator<'_>) -> Measurement {
        Measurement {
            recipe: self.recipe.clone(),
            model_hash: self.engine.model.hash.clone(),
            depth,
            quality: accumulator.quality(),
            profile: self.compressed.profile.clone(),
            student: self.network.note(&self.recipe, self.exact),
            examples: accumulator.made(),
        }
    }
}
