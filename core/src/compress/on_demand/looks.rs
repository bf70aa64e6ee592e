//! Looking at the layers of one network, recipe after recipe.

use std::collections::HashMap;

use super::{LayerError, LayerLook};
use crate::compress::Compressor;
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

impl Looks {
    /// The error in all layers together.
    pub fn all(&self) -> LayerError {
        // In one order, so that sums are the same to the last bit.
        let mut errors: Vec<(&String, &LayerError)> = self.errors.iter().collect();
        errors.sort_by_key(|(name, _)| *name);
        errors.into_iter().map(|(_, error)| *error).sum()
    }
}

/// Weights that are looked at, with the errors that are known.
#[derive(Debug)]
pub(crate) struct Looking {
    compressor: Compressor,
    /// By tensor, what the error followed from and the error.
    known: HashMap<String, (String, LayerError)>,
}

impl Looking {
    pub(crate) fn new(compressor: Compressor) -> Self {
        Self {
            compressor,
            known: HashMap::new(),
        }
    }

    /// The error that a recipe makes in the weights of each layer, and the weights of the layer `chosen` before and after
    /// it. Only layers that the recipe treats otherwise than it did the last time are looked at again. `cancelled` is
    /// asked between layers.
    ///
    /// # Errors
    /// The recipe is out of range, [`Error::Cancelled`] when asked to stop, or weights cannot be read.
    pub(crate) fn look(
        &mut self,
        recipe: Recipe,
        chosen: Option<&str>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Looks> {
        let weights = self.compressor.on_demand(&recipe, cancelled)?;
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
            let error = match self.known.get(name) {
                Some((same, error)) if *same == key => *error,
                _ => {
                    let error = weights.error(name)?;
                    self.known.insert(name.to_owned(), (key, error));
                    error
                }
            };
            let layer = name.strip_suffix(".weight").unwrap_or(name);
            errors.insert(layer.to_owned(), error);
        }
        Ok(Looks {
            recipe,
            errors,
            chosen,
        })
    }
}
