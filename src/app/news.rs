//! Opening models and presets, and taking in what the work has to say.

use std::path::Path;
use std::sync::Arc;

use egui::Context;
use wattif_core::model::ModelReference;
use wattif_core::preset::Preset;
use wattif_core::recipe::Recipe;

use super::ModelFacts;
use super::axis::Axis;
use super::backend::Update;
use super::session::Configuration;
use super::{App, How, OpenedPreset, Opening, Training, hardware};

impl App {
    /// Opens a model, to be compressed as the one before.
    pub(super) fn open_model(&mut self, reference: ModelReference) {
        let recipe = self.session.configuration.recipe;
        self.open_compressed(reference, recipe);
    }

    pub(super) fn open_compressed(&mut self, reference: ModelReference, recipe: Recipe) {
        let before = &self.session.configuration;
        match before.scenario_for(&reference) {
            Ok(scenario) => {
                let configuration = Configuration {
                    model: reference,
                    recipe,
                    scenario,
                };
                self.open(configuration, How::Chosen);
            }
            Err(error) => self.fail("The model was not opened", &error),
        }
    }

    pub(super) fn open_preset(&mut self, path: &Path) {
        let loaded = Preset::load(path).and_then(|preset| preset.check().map(|()| preset));
        match loaded {
            Ok(preset) => {
                let configuration = Configuration {
                    model: preset.model.reference.clone(),
                    recipe: preset.recipe,
                    scenario: preset.scenario.clone(),
                };
                let opened = OpenedPreset {
                    preset,
                    differences: Vec::new(),
                };
                self.open(configuration, How::Preset(Box::new(opened)));
            }
            Err(_) if hardware::describes_a_device(path) => self.open_hardware(path),
            Err(error) => self.fail("The preset was not opened", &error),
        }
    }

    /// Goes to a configuration; if its model is another one, once that is open. Until then nothing changes.
    pub(super) fn open(&mut self, configuration: Configuration, how: How) {
        let same = self
            .facts
            .as_ref()
            .is_some_and(|facts| facts.reference == configuration.model);
        if same {
            self.arrive(configuration, how);
            return;
        }
        match (self.opener)(&configuration.model, Arc::clone(&self.wake)) {
            Ok(backend) => {
                self.opening = Some(Opening {
                    backend,
                    configuration,
                    how,
                });
            }
            Err(error) => self.fail("The model was not opened", &error),
        }
    }

    fn arrive(&mut self, configuration: Configuration, how: How) {
        match how {
            How::Chosen => {}
            How::Step(step) => {
                let now = &self.session.configuration;
                // What was changed while the model opened makes this a new step.
                if self.history.ahead(step, now) == Some(&configuration) {
                    self.history.take(step, now);
                }
            }
            How::Preset(mut opened) => {
                let hash = self.facts.as_ref().map_or("", |facts| facts.hash.as_str());
                match opened.preset.differences(hash) {
                    Ok(differences) => opened.differences = differences,
                    Err(error) => self.fail("The preset could not be compared", &error),
                }
                self.preset = Some(*opened);
            }
        }
        self.session.configuration = configuration;
        self.submit();
    }

    /// Takes in what the work has to say.
    pub(super) fn take_news(&mut self, ctx: &Context) {
        if let Some(mut opening) = self.opening.take() {
            let mut arrived = None;
            let mut failed = None;
            let mut rest = Vec::new();
            for update in opening.backend.updates() {
                match update {
                    Update::Opened(facts) => arrived = Some(facts),
                    Update::Failed { error, .. } if arrived.is_none() => failed = Some(error),
                    other => rest.push(other),
                }
            }
            if let Some(facts) = arrived {
                self.switch_to(opening, facts);
                for update in rest {
                    self.take(ctx, update);
                }
            } else if let Some(error) = failed {
                self.fail("The model was not opened", &error);
                self.open_fallback(&opening.configuration.model);
            } else {
                self.opening = Some(opening);
            }
        }
        let updates = self
            .backend
            .as_mut()
            .map(|backend| backend.updates())
            .unwrap_or_default();
        for update in updates {
            self.take(ctx, update);
        }
    }

    /// Where nothing is open and the model asked for cannot be, the bundled one is opened instead.
    fn open_fallback(&mut self, failed: &ModelReference) {
        let fallback = Configuration::default();
        if self.facts.is_none() && *failed != fallback.model {
            self.open(fallback, How::Chosen);
        }
    }

    fn switch_to(&mut self, opening: Opening, facts: ModelFacts) {
        let known_by_shapes = |facts: &ModelFacts| facts.source.is_some();
        let was_outlined = self.facts.as_ref().is_some_and(known_by_shapes);
        self.backend = Some(opening.backend);
        self.facts = Some(facts);
        self.store.clear();
        self.pictures.clear();
        self.submitted = None;
        self.filled = None;
        self.training = None;
        self.not_to_train = None;
        self.timing = super::Timing::default();
        self.activity = super::Activity::default();
        let first = self.derived.now.is_none();
        // Where no quality is there to be lost, what most changes the cost is the batch.
        let outlined = self.facts.as_ref().is_some_and(known_by_shapes);
        if outlined && self.session.axis.is_recipe() {
            self.session.axis = Axis::Batch;
        } else if !outlined && was_outlined {
            self.session.axis = Axis::default();
        }
        self.arrive(opening.configuration, opening.how);
        if first {
            // What the program opens on is where undo begins, not a step.
            self.history = super::History::new(self.session.configuration.clone());
        }
    }

    fn take(&mut self, ctx: &Context, update: Update) {
        match update {
            Update::Opened(_) => {}
            Update::Measured(measurement) => self.store.add(measurement),
            Update::Spiked(recipe, spiking) => self.store.add_spiking(&recipe, spiking),
            Update::Timed(run) => self.timing.arrived(run),
            Update::Progress { what, done } => {
                if self.activity.progress.is_none() {
                    self.activity.since = ctx.input(|input| input.time);
                }
                self.activity.progress = Some((what, done));
            }
            Update::Training(report) => {
                let training = self.training.get_or_insert_with(|| Training {
                    report: report.clone(),
                    losses: Vec::new(),
                    quality: None,
                });
                training.follow(report);
            }
            Update::Trained(finished) => {
                self.training = None;
                if finished {
                    self.store.forget_stand_ins();
                    self.submitted = None;
                    self.filled = None;
                    self.submit();
                }
            }
            Update::Failed { doing, error } => {
                self.activity.progress = None;
                self.fail(&doing, &error);
            }
            Update::Settled => self.activity.progress = None,
            Update::Idle => {
                self.activity.progress = None;
                self.activity.idle = true;
            }
        }
    }
}
