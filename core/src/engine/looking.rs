//! Looking at single layers: the error that a recipe makes in each, and the weights of one.

use std::collections::HashMap;

use super::{Engine, Student, lock, network_id};
use crate::compress::{Compressor, LayerError, LayerLook, Originals, Planner};
use crate::error::{Error, Result};
use crate::recipe::Recipe;

/// What a recipe does to the layers of a model.
#[derive(Debug, Clone)]
pub struct Looks {
    /// The recipe.
    pub recipe: Recipe,
    /// The error in each layer that is compressed, by name.
    pub errors: HashMap<String, LayerError>,
    /// The weights of the one that was asked for.
    pub chosen: Option<LayerLook>,
}

/// Weights that are looked at, apart from those that are measured, with the errors that are known.
pub(super) struct Looking {
    network: String,
    compressor: Compressor,
    /// By tensor, what the error followed from and the error.
    known: HashMap<String, (String, LayerError)>,
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
                    compressor: Compressor::new(planner, originals)?,
                    known: HashMap::new(),
                })
            }
        };
        let Looking {
            compressor, known, ..
        } = looking;
        let weights = compressor.on_demand(&recipe, cancelled)?;
        let chosen = chosen.map(|layer| format!("{layer}.weight"));
        let compressed = weights.compressed();
        let has = |name: &&String| compressed.iter().any(|(_, known)| known == name);
        // What is looked at comes first.
        let chosen = chosen.as_ref().filter(has);
        let chosen = chosen.map(|name| weights.look(name)).transpose()?;
        let mut errors = HashMap::new();
        for (_, name) in compressed {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            let key = weights.error_key(name);
            let error = match known.get(name) {
                Some((same, error)) if *same == key => *error,
                _ => {
                    let error = weights.error(name)?;
                    known.insert(name.to_owned(), (key, error));
                    error
                }
            };
            errors.insert(name.trim_end_matches(".weight").to_owned(), error);
        }
        Ok(Looks {
            recipe,
            errors,
            chosen,
        })
    }
}
