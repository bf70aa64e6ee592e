//! What single layers have of their own in a recipe, and what that leaves to the others.

use std::borrow::Cow;

use super::super::layout::{Contents, Kept, Matrix};
use super::{HALF, Planner, SINGLE, pattern, untouched};
use crate::error::Result;
use crate::model::StoredFormat;
use crate::recipe::{Pattern, Recipe, Scope};

impl Planner {
    /// Refuses a recipe that gives something of their own to layers that this network does not have.
    ///
    /// # Errors
    /// [`crate::Error::Recipe`] with the layer, and what is called most like it.
    pub fn check_layers(&self, recipe: &Recipe) -> Result<()> {
        let layers = self.layers.iter();
        recipe.check_layers(layers.map(|layer| (layer.name.as_str(), layer.compressible)))
    }

    /// What a recipe does to a layer.
    pub(in super::super) fn recipe_of<'a>(
        &self,
        recipe: &'a Recipe,
        layer: usize,
    ) -> Cow<'a, Recipe> {
        recipe.of_layer(&self.layers[layer].name)
    }

    /// The bits of the magnitude below which a global sparsity takes weights, where some layers are not cut with the others:
    /// `None` where all are, or the weights are not known.
    pub(super) fn common(&self, recipe: &Recipe) -> Option<f64> {
        let pruning = recipe.pruning;
        let alone = |name: &str| {
            let own = recipe.layers.get(name);
            own.is_some_and(|own| own.sparsity.is_some())
        };
        let together = pruning.sparsity > 0.0
            && pruning.pattern == Pattern::Unstructured
            && pruning.scope == Scope::Global;
        if !together || !recipe.layers.iter().any(|(name, _)| alone(name)) {
            return None;
        }
        let layers = self.layers.iter();
        let cut = layers.filter(|layer| layer.compressible && !alone(&layer.name));
        let known: Option<Vec<_>> = cut
            .map(|layer| {
                let weights = Matrix::of(&layer.shape).len() as f64;
                Some((weights, self.survey.get(&layer.name)?))
            })
            .collect();
        let known = known.filter(|known| !known.is_empty())?;
        let wanted = pruning.sparsity * known.iter().map(|(weights, _)| weights).sum::<f64>();
        let below = |bits: f64| {
            let lost = known
                .iter()
                .map(|(weights, survey)| weights * survey.below(bits));
            lost.sum::<f64>()
        };
        let (mut low, mut high) = (0.0, f64::from(f32::INFINITY.to_bits()));
        while high - low > 1.0 {
            let middle = (low + high) / 2.0;
            if below(middle) < wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(high)
    }

    /// Bits that a recipe leaves of a layer's weights. Pruned weights that were in blocks of integers do not fit these any
    /// more, and are rounded to half precision.
    pub(in super::super) fn bits_of(&self, recipe: &Recipe, layer: usize) -> u8 {
        let recipe = self.recipe_of(recipe, layer);
        let bits = recipe.quantization.weight_bits;
        let was_in_blocks = || {
            self.file_of(layer)
                .is_some_and(|file| file.blocks.is_some())
        };
        // What is rounded to other blocks is not rounded before.
        let apart = !untouched(&recipe) && recipe.quantization.blocks.is_none();
        if bits == SINGLE && apart && was_in_blocks() {
            return HALF;
        }
        bits
    }

    pub(in super::super) fn contents(&self, recipe: &Recipe, layer: usize, kept: Kept) -> Contents {
        let bits = self.bits_of(recipe, layer);
        let file = self.file_of(layer);
        // What no recipe rounds keeps the format that it had.
        let (bits, format) = match file.and_then(|file| file.original) {
            Some(format) if bits == SINGLE => (HALF, format),
            _ => (bits, StoredFormat::Half),
        };
        let recipe = self.recipe_of(recipe, layer);
        let layer = &self.layers[layer];
        let matrix = Matrix::of(&layer.shape);
        Contents {
            matrix,
            kept,
            bits,
            format,
            group: matrix.group(recipe.quantization.group),
            pattern: pattern(&recipe, layer),
        }
    }
}
