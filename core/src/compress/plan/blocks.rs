//! Which layers are in blocks of integers: those of the original's file, or those that a recipe asks for.

use std::collections::BTreeMap;

use super::super::blocks::{self, Choice};
use super::super::layout;
use super::{Planner, SINGLE};
use crate::model::Blocks;
use crate::recipe::Recipe;

/// Key of the metadata of a packed file that names its tensors in blocks.
pub(in super::super) const BLOCKS_KEY: &str = "wattif.blocks";

impl Planner {
    /// The same for an original whose file holds these tensors in blocks of integers: so they stay where a recipe leaves
    /// the weights as they are. What it prunes without rounding is rounded to half precision.
    #[must_use]
    pub fn in_blocks(mut self, blocks: &BTreeMap<String, Blocks>) -> Self {
        for tensor in &mut self.tensors {
            tensor.blocks = blocks.get(&tensor.name).cloned();
        }
        self
    }

    /// Whether a recipe leaves weights in the blocks of the original's file, which only that file holds.
    pub fn leaves_blocks(&self, recipe: &Recipe) -> bool {
        let left = |layer| untouched(&self.recipe_of(recipe, layer));
        let mut blocks = self.tensors.iter().filter(|tensor| tensor.blocks.is_some());
        blocks.any(|tensor| tensor.compressible.map_or_else(|| untouched(recipe), left))
    }

    /// In which blocks a canonical recipe stores each layer; empty where it asks for none.
    pub(in super::super) fn formats(&self, recipe: &Recipe) -> Vec<Option<Choice>> {
        blocks::choose_all(&self.layers.iter().collect::<Vec<_>>(), recipe)
    }

    /// The blocks of the original's file that hold a layer's weights after a recipe too.
    fn blocks_left(&self, recipe: &Recipe, layer: usize) -> Option<&Blocks> {
        let left = untouched(&self.recipe_of(recipe, layer));
        let file = left.then(|| self.file_of(layer)).flatten();
        file.and_then(|file| file.blocks.as_ref())
    }

    /// Bits of a code and bytes of all of them, where a layer's weights are in blocks after a recipe.
    pub(super) fn held(
        &self,
        recipe: &Recipe,
        layer: usize,
        choice: Option<Choice>,
    ) -> Option<(u8, u64)> {
        if let Some(Choice { format, .. }) = choice {
            let weights = self.layers[layer].weights();
            return Some((blocks::code_bits(format), blocks::bytes(format, weights)));
        }
        let left = self.blocks_left(recipe, layer)?;
        Some((left.bits, left.bytes))
    }

    /// Adds which tensors are in which blocks, and their shapes, to metadata.
    pub(super) fn say_blocks(&self, recipe: &Recipe, metadata: &mut String) {
        let formats = self.formats(recipe);
        if formats.is_empty() {
            return;
        }
        let mut all = BTreeMap::new();
        for file in &self.tensors {
            let choice = file.compressible.and_then(|layer| formats[layer]);
            let format = choice.map(|choice| choice.format);
            if let Some(format) = format.filter(|format| format.bits_of_codes().is_some()) {
                let stored = layout::InBlocks {
                    format: format.name(),
                    shape: file.shape.clone(),
                };
                all.insert(file.name.as_str(), stored);
            }
        }
        layout::push_string(metadata, BLOCKS_KEY);
        metadata.push(':');
        // Texts and numbers always have a JSON text.
        layout::push_string(metadata, &serde_json::to_string(&all).unwrap_or_default());
        metadata.push(',');
    }
}

/// Whether a recipe leaves the weights as they are.
pub(in super::super) fn untouched(recipe: &Recipe) -> bool {
    recipe.pruning.sparsity == 0.0
        && recipe.quantization.weight_bits == SINGLE
        && recipe.quantization.blocks.is_none()
}
