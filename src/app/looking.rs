//! Looking at single layers: what was asked for and what came of it.

use std::collections::HashMap;
use std::sync::Arc;

use wattif_core::compress::LayerLook;
use wattif_core::engine::Looks;
use wattif_core::error::Error;
use wattif_core::recipe::{Override, Overrides, Pattern, Recipe};

use super::App;
use super::command::Action;
use super::notices::{Subject, Tone};

/// Recipes that were compared with whose errors are kept.
const MOST_OTHERS: usize = 32;

/// What is seen of the open model's layers.
#[derive(Default)]
pub(super) struct Looking {
    /// Key of the recipe and the layer that were last asked for.
    asked: Option<(String, Option<String>)>,
    /// Whether an answer is to come.
    waits: bool,
    looks: Option<Arc<Looks>>,
    /// Those of other recipes that were compared with, by their keys.
    others: HashMap<String, Arc<Looks>>,
    /// The key of the last one that was asked for.
    asked_other: Option<String>,
    failure: Option<Error>,
}

impl Looking {
    /// The errors of the last recipe that was looked at, by layer.
    pub(super) fn errors(&self) -> Option<&HashMap<String, wattif_core::compress::LayerError>> {
        self.looks.as_ref().map(|looks| &looks.errors)
    }

    /// Signal over noise of all weights under a recipe in decibels: the outer `None` where that was not looked at, the inner
    /// where the recipe changes nothing.
    pub(super) fn fidelity(&self, recipe: &Recipe) -> Option<Option<f64>> {
        let looks = self.looks.as_ref()?;
        (looks.recipe.key() == recipe.key()).then(|| looks.all().decibels())
    }

    /// The errors of a recipe that was compared with.
    pub(super) fn errors_of(
        &self,
        key: &str,
    ) -> Option<&HashMap<String, wattif_core::compress::LayerError>> {
        self.others.get(key).map(|looks| &looks.errors)
    }

    /// Asks for the errors of another recipe, once those of the current one are there.
    pub(super) fn ask_other(&self, app: &App, recipe: &Recipe, queue: &mut Vec<Action>) {
        let key = recipe.key();
        let asked = self.asked_other.as_ref() == Some(&key) || self.others.contains_key(&key);
        if app.model.has_weights() && !self.waits && self.looks.is_some() && !asked {
            queue.push(Action::LookAt(recipe.clone()));
        }
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
        self.waits || self.asked_other.is_some()
    }

    /// Asks for what a page shows, unless that was asked for already.
    pub(super) fn ask(&self, app: &App, layer: Option<&str>, queue: &mut Vec<Action>) {
        let key = app.session.configuration.recipe.key();
        let same = |asked: &(String, Option<String>)| asked.0 == key && asked.1.as_deref() == layer;
        if app.model.has_weights() && !self.asked.as_ref().is_some_and(same) {
            queue.push(Action::Look(layer.map(str::to_owned)));
        }
    }

    /// Takes in an answer; one that was given up is followed by another.
    pub(super) fn take(&mut self, answer: Result<Arc<Looks>, Error>) {
        match answer {
            Ok(looks) => {
                let key = looks.recipe.key();
                let current = self.asked.as_ref().is_some_and(|(asked, _)| *asked == key);
                if self.others.len() >= MOST_OTHERS {
                    self.others.clear();
                }
                self.others.insert(key.clone(), Arc::clone(&looks));
                if self.asked_other.as_ref() == Some(&key) {
                    self.asked_other = None;
                    if !current {
                        return;
                    }
                }
                self.waits = self
                    .asked
                    .as_ref()
                    .is_some_and(|(key, _)| *key != looks.recipe.key());
                self.looks = Some(looks);
                self.failure = None;
            }
            Err(Error::Cancelled) => self.asked_other = None,
            Err(error) => {
                self.asked_other = None;
                self.waits = false;
                self.looks = None;
                self.failure = Some(error);
            }
        }
    }
}

impl App {
    /// Takes in what was seen of the layers.
    pub(super) fn looked(&mut self, answer: Result<Arc<Looks>, Error>) {
        if let (true, Ok(looks)) = (self.derived.tells_fidelity, &answer) {
            self.derived.told(&looks.recipe, looks.all().decibels());
        }
        self.model.looking.take(answer);
    }

    /// Lets the work look at the layers, one of them more closely.
    pub(super) fn look(&mut self, layer: Option<String>) {
        let recipe = self.session.configuration.recipe.clone();
        if let Some(backend) = &mut self.model.backend {
            self.model.looking.asked = Some((recipe.key(), layer.clone()));
            self.model.looking.waits = true;
            backend.look(recipe, layer);
        }
    }

    /// Lets the work look at the layers of another recipe.
    pub(super) fn look_at(&mut self, recipe: Recipe) {
        if let Some(backend) = &mut self.model.backend {
            self.model.looking.asked_other = Some(recipe.key());
            backend.look(recipe, None);
        }
    }

    /// Takes back what single layers have of their own, where the open model does not have them all.
    pub(super) fn leave_out_unknown_layers(&mut self) {
        let recipe = &mut self.session.configuration.recipe;
        let backend = self.model.backend.as_ref();
        let unknown = backend.is_some_and(|backend| backend.predict(recipe).is_none());
        if unknown && !recipe.layers.is_empty() {
            recipe.layers = Overrides::default();
            let text = "the model has not all of the layers that have something of their own; all are as the model now".to_owned();
            self.notify(Subject::Opening, Tone::Note, "Layers were left out", text);
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
