//! Writing the compressed model to a file, in a thread of its own.

use std::path::Path;

use wattif_core::model::ModelReference;

use super::App;

impl App {
    /// Why there is no model to write.
    pub(super) fn writing_obstacle(&self) -> Option<&'static str> {
        let facts = self.model.facts.as_ref();
        if facts.is_some_and(|facts| facts.source.is_some()) {
            Some("Known by its shapes only: there are no weights to write")
        } else if self.stands_in() {
            Some("This student is not trained: there are no weights of it to write")
        } else if self.session.configuration.recipe.is_identity() {
            Some("Nothing is changed, so that there is nothing to write")
        } else {
            None
        }
    }

    /// Whether a GGUF can hold what the recipe asks for: blocks or half precision, of a model from a GGUF.
    pub(super) fn writes_gguf(&self) -> bool {
        let configuration = &self.session.configuration;
        let quantization = configuration.recipe.quantization;
        let is_gguf = |path: &Path| {
            let ending = path.extension();
            ending.is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
        };
        matches!(&configuration.model, ModelReference::File(path) if is_gguf(path))
            && (quantization.blocks.is_some() || quantization.weight_bits == 16)
    }

    /// Begins to write it.
    pub(super) fn export_model(&mut self, path: &Path) {
        let recipe = self.session.configuration.recipe.clone();
        if let Some(backend) = &mut self.model.backend {
            backend.export(recipe, path.to_owned());
        }
    }
}
