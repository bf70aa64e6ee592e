//! Weights that are compressed when a network asks for them, one tensor at a time, so that a model that is run part by
//! part is never in memory as a whole.

use std::cell::RefCell;
use std::collections::HashMap;

use super::layout::Kept;
use super::prune::Cut;
use super::{Compressor, Prune, fuse, pruning_of};
use crate::error::{Error, Result};
use crate::profile::ModelProfile;
use crate::recipe::Recipe;
use crate::run::Weights;

/// A recipe's weights, made when they are asked for; the same numbers as [`Compressor::compress`] gives.
#[derive(Debug)]
pub(crate) struct OnDemand<'a> {
    compressor: &'a Compressor,
    recipe: Recipe,
    /// The layer, and its place among those that are compressed, by the name of its weights.
    layers: HashMap<&'a str, (usize, usize)>,
    cuts: Vec<Cut>,
    /// What is left of each layer that was asked for.
    kept: RefCell<Vec<Option<Kept>>>,
}

impl Compressor {
    /// Makes ready to compress weights when they are asked for. `cancelled` is asked between layers.
    ///
    /// # Errors
    /// [`Error::Recipe`] for an invalid recipe, [`Error::Cancelled`] when asked to stop, or weights cannot be read.
    pub(crate) fn on_demand(
        &mut self,
        recipe: &Recipe,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<OnDemand<'_>> {
        recipe.validate()?;
        let recipe = recipe.canonical();
        let cuts = self.cuts(recipe.pruning, cancelled)?;
        let layers = self.weights.iter().enumerate();
        Ok(OnDemand {
            recipe,
            layers: layers
                .map(|(place, (&layer, weights))| (weights.name.as_str(), (layer, place)))
                .collect(),
            cuts,
            kept: RefCell::new(vec![None; self.planner.layers().len()]),
            compressor: self,
        })
    }
}

impl OnDemand<'_> {
    /// The profile, once all weights were asked for.
    ///
    /// # Errors
    /// [`Error::Compute`] if some were not.
    pub(crate) fn profile(&self) -> Result<ModelProfile> {
        let planner = &self.compressor.planner;
        let kept = self.kept.borrow();
        let kept: Option<Vec<Kept>> = planner
            .layers()
            .iter()
            .zip(kept.iter())
            .map(|(layer, kept)| {
                let untouched = Kept {
                    nonzero: layer.weights(),
                    scales: 0,
                };
                if layer.compressible {
                    *kept
                } else {
                    Some(untouched)
                }
            })
            .collect();
        let kept =
            kept.ok_or_else(|| Error::Compute("not all weights were compressed".to_owned()))?;
        Ok(planner.profile(&self.recipe, &kept))
    }
}

impl Weights for OnDemand<'_> {
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        let mut numbers = self.compressor.originals.numbers(name)?;
        let Some(&(layer, place)) = self.layers.get(name) else {
            return Ok(numbers);
        };
        let Some(weights) = self.compressor.weights.get(&layer) else {
            return Ok(numbers);
        };
        let prune = pruning_of(&self.recipe, self.cuts.get(place).copied());
        let bits = self.compressor.planner.bits_of(&self.recipe, layer);
        let kept = if matches!(prune, Prune::None) && bits == 32 {
            Kept {
                nonzero: fuse::check(&numbers).unwrap_or_default(),
                scales: 0,
            }
        } else {
            let job = fuse::Job {
                matrix: weights.matrix,
                prune,
                bits,
                group: weights.matrix.group(self.recipe.quantization.group),
            };
            job.run_in_place(&mut numbers)
        };
        if let Some(known) = self.kept.borrow_mut().get_mut(layer) {
            *known = Some(kept);
        }
        Ok(numbers)
    }
}
