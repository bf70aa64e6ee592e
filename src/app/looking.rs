//! Looking at single layers: what was asked for and what came of it.

use std::sync::Arc;

use wattif_core::compress::LayerLook;
use wattif_core::engine::Looks;
use wattif_core::error::Error;
use wattif_core::recipe::{Override, Pattern, Recipe};

use super::App;
use super::command::Action;

/// What is seen of the open model's layers.
#[derive(Default)]
pub(super) struct Looking {
    /// Key of the recipe and the layer that were last asked for.
    asked: Option<(String, Option<String>)>,
    /// Whether an answer is to come.
    waits: bool,
    looks: Option<Arc<Looks>>,
    failure: Option<Error>,
}

impl Looking {
    /// The errors of the last recipe that was looked at, by layer.
    pub(super) fn errors(
        &self,
    ) -> Option<&std::collections::HashMap<String, wattif_core::compress::LayerError>> {
        self.looks.as_ref().map(|looks| &looks.errors)
    }

    /// The weights of a layer as they were seen last.
    pub(super) fn of(&self, layer: &str) -> Option<&LayerLook> {
        let look = self.looks.as_ref()?.chosen.as_ref()?;
        (look.layer == layer).then_some(look)
    }

    /// Why nothing could be seen.
    pub(super) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Whether an answer is to come.
    pub(super) fn is_busy(&self) -> bool {
        self.waits
    }

    /// Asks for what a page shows, unless that was asked for already.
    pub(super) fn ask(&self, app: &App, layer: Option<&str>, queue: &mut Vec<Action>) {
        let key = app.session.configuration.recipe.key();
        let same = |asked: &(String, Option<String>)| asked.0 == key && asked.1.as_deref() == layer;
        let looks = app
            .model
            .backend
            .as_ref()
            .is_some_and(|backend| backend.looks());
        if looks && !self.asked.as_ref().is_some_and(same) {
            queue.push(Action::Look(layer.map(str::to_owned)));
        }
    }

    /// Takes in an answer; one that was given up is followed by another.
    pub(super) fn take(&mut self, answer: Result<Arc<Looks>, Error>) {
        match answer {
            Ok(looks) => {
                self.waits = self
                    .asked
                    .as_ref()
                    .is_some_and(|(key, _)| *key != looks.recipe.key());
                self.looks = Some(looks);
                self.failure = None;
            }
            Err(Error::Cancelled) => {}
            Err(error) => {
                self.waits = false;
                self.looks = None;
                self.failure = Some(error);
            }
        }
    }
}

impl App {
    /// Lets the work look at the layers, one of them more closely.
    pub(super) fn look(&mut self, layer: Option<String>) {
        let recipe = self.session.configuration.recipe.clone();
        if let Some(backend) = &mut self.model.backend {
            self.model.looking.asked = Some((recipe.key(), layer.clone()));
            self.model.looking.waits = true;
            backend.look(recipe, layer);
        }
    }

    /// Gives a layer something of its own.
    pub(super) fn set_layer(&mut self, layer: &str, own: Override) {
        self.session.configuration.recipe.layers.set(layer, own);
        self.submit();
    }
}

/// Own sparsities that the pattern of a recipe allows: with two of every four, half or nothing.
pub(super) fn fit_layers(recipe: &mut Recipe) {
    if recipe.pruning.pattern != Pattern::TwoOfFour {
        return;
    }
    for (layer, own) in recipe.layers.clone().iter() {
        let half = |sparsity: f64| if sparsity < 0.25 { 0.0 } else { 0.5 };
        let own = Override {
            sparsity: own.sparsity.map(half),
            ..own
        };
        recipe.layers.set(layer, own);
    }
}
