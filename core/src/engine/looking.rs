//! Looking at single layers: the error that a recipe makes in each, and the weights of one.

use super::{Engine, Student, lock, network_id};
use crate::compress::{self, Compressor, Originals, Planner};
use crate::error::Result;
use crate::recipe::Recipe;

pub use crate::compress::Looks;

/// Weights that are looked at, apart from those that are measured.
pub(super) struct Looking {
    network: String,
    of: compress::Looking,
}

impl Engine {
    /// A recipe without knobs that have no effect, once it is known to be one for this model.
    pub(super) fn checked(&self, recipe: &Recipe) -> Result<Recipe> {
        recipe.validate()?;
        self.planner.check_layers(recipe)?;
        Ok(recipe.canonical())
    }

    /// The arithmetic and the weights of the original or of a student.
    pub(super) fn weights_of(&self, student: Option<&Student>) -> Result<(Planner, Originals)> {
        let model = &self.model;
        let Some(student) = student else {
            let planner = super::planner(&model.name, &model.architecture)?;
            let originals = match &model.source {
                Some(source) => Originals::from(source),
                None => Originals::from(&model.tensors),
            };
            let planner = planner.stored_in(&model.stored).in_blocks(&model.blocks);
            return Ok((planner, originals));
        };
        let planner = super::planner(&model.name, &student.architecture)?;
        Ok((planner, Originals::from(&student.tensors)))
    }

    /// The error that a recipe makes in the weights of each layer, and the weights of the layer `chosen` before and after
    /// it. Only layers that the recipe treats otherwise than it did the last time are looked at again. `cancelled` is
    /// asked between layers.
    ///
    /// # Errors
    /// The recipe is out of range, [`Error::Cancelled`] when asked to stop, or weights cannot be read.
    pub fn look(
        &self,
        recipe: &Recipe,
        chosen: Option<&str>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Looks> {
        let recipe = self.checked(recipe)?;
        let student = self.student(&recipe);
        let network = network_id(student.as_deref());
        let mut kept = lock(&self.looking);
        let looking = match kept.take() {
            Some(known) if known.network == network => kept.insert(known),
            _ => {
                let (planner, originals) = self.weights_of(student.as_deref())?;
                kept.insert(Looking {
                    network,
                    of: compress::Looking::new(Compressor::new(planner, originals)?),
                })
            }
        };
        looking.of.look(recipe, chosen, cancelled)
    }
}
