//! Opening models and presets, and taking in what the work has to say.

use std::path::Path;
use std::sync::Arc;

use egui::Context;
use wattif_core::data::OwnData;
use wattif_core::model::ModelReference;
use wattif_core::preset::Preset;
use wattif_core::recipe::Recipe;
use wattif_core::worker;

use super::ModelFacts;
use super::axis::Axis;
use super::backend::Update;
use super::notices::{Offer, Subject, Tone};
use super::open::{OpenModel, Training};
use super::session::Configuration;
use super::{App, How, Lost, OpenedPreset, Opening, hardware};

/// What a preset asks for.
fn of_preset(preset: Preset) -> (Configuration, Box<OpenedPreset>) {
    let configuration = Configuration {
        model: preset.model.reference.clone(),
        recipe: preset.recipe.clone(),
        scenario: preset.scenario.clone(),
        data: None,
    };
    let differences = Vec::new();
    let opened = OpenedPreset {
        preset,
        differences,
    };
    (configuration, Box::new(opened))
}

impl App {
    /// Opens a model as it is, whatever was done to the one before.
    pub(super) fn open_model(&mut self, reference: ModelReference) {
        let before = &self.session.configuration;
        match before.scenario_for(&reference) {
            Ok(scenario) => {
                let configuration = Configuration {
                    model: reference,
                    recipe: Recipe::default(),
                    scenario,
                    data: None,
                };
                self.open(configuration, How::Chosen);
            }
            Err(error) => self.fail(Subject::Opening, "The model was not opened", &error),
        }
    }

    /// Measures the open model on other data.
    pub(super) fn measure_on(&mut self, data: Option<OwnData>) {
        let configuration = Configuration {
            data,
            ..self.session.configuration.clone()
        };
        self.open(configuration, How::Chosen);
    }

    pub(super) fn open_preset(&mut self, path: &Path) {
        let loaded = Preset::load(path);
        if let Ok(preset) = &loaded
            && let Some(model) = preset.missing_model()
        {
            let text = format!(
                "its model is not there any more; it can be said where it is now: {}",
                model.display()
            );
            self.notify(
                Subject::Opening,
                Tone::Failure,
                "The preset was not opened",
                text,
            );
            self.notices.offer(&[Offer::Find]);
            self.lost = Some(Lost {
                preset: preset.clone(),
                other: None,
            });
            return;
        }
        self.lost = None;
        let loaded = loaded.and_then(|preset| preset.check().map(|()| preset));
        match loaded {
            Ok(preset) => {
                let (configuration, opened) = of_preset(preset);
                self.open(configuration, How::Preset(opened));
            }
            Err(_) if hardware::describes_a_device(path) => self.open_hardware(path),
            Err(error) => self.fail(Subject::Opening, "The preset was not opened", &error),
        }
    }

    /// A file was chosen for a preset whose model is not where it was.
    pub(super) fn found_model(&mut self, path: &Path) {
        let Some(lost) = &self.lost else {
            return;
        };
        let mut preset = lost.preset.clone();
        preset.model.reference = ModelReference::File(path.to_owned());
        if let Err(error) = preset.check() {
            self.fail(Subject::Opening, "The preset was not opened", &error);
            self.notices.offer(&[Offer::Find]);
            return;
        }
        let (configuration, opened) = of_preset(preset);
        self.open(configuration, How::Found(opened));
    }

    /// The other model is taken for the preset's.
    pub(super) fn open_other(&mut self) {
        let lost = self.lost.take();
        let Some((mut preset, path)) = lost.and_then(|lost| Some((lost.preset, lost.other?)))
        else {
            return;
        };
        preset.model.reference = ModelReference::File(path);
        let (configuration, opened) = of_preset(preset);
        self.open(configuration, How::Preset(opened));
    }

    /// Whether a model that was found for a preset is another than its own, which is said.
    fn is_another(&mut self, opened: &OpenedPreset, hash: &str) -> bool {
        if !opened.preset.is_of_others(hash) {
            return false;
        }
        let ModelReference::File(path) = &opened.preset.model.reference else {
            return false;
        };
        let text = format!(
            "this is another model than the preset was saved with, whose figures do not hold for it: {}",
            path.display()
        );
        if let Some(lost) = &mut self.lost {
            lost.other = Some(path.clone());
        }
        self.notify(
            Subject::Opening,
            Tone::Failure,
            "The preset was not opened",
            text,
        );
        self.notices.offer(&[Offer::OpenOther, Offer::Find]);
        true
    }

    /// Goes to a configuration; if its model is another one, once that is open. Until then nothing changes.
    pub(super) fn open(&mut self, configuration: Configuration, how: How) {
        let same = self
            .model
            .facts
            .as_ref()
            .is_some_and(|facts| facts.reference == configuration.model)
            && self.model.data == configuration.data;
        if same {
            let hash = self.model.facts.as_ref().map(|facts| facts.hash.clone());
            if let How::Found(opened) = &how
                && self.is_another(opened, &hash.unwrap_or_default())
            {
                return;
            }
            self.arrive(configuration, how);
            return;
        }
        let (model, data) = (&configuration.model, configuration.data.as_ref());
        match (self.opener)(model, data, Arc::clone(&self.wake)) {
            Ok(backend) => {
                self.opening = Some(Opening {
                    backend,
                    configuration,
                    how,
                });
            }
            Err(error) => self.fail(Subject::Opening, "The model was not opened", &error),
        }
    }

    fn arrive(&mut self, configuration: Configuration, how: How) {
        match how {
            How::Instead => {}
            How::Chosen => {
                self.lost = None;
                self.notices.succeeded(&Subject::Opening);
                self.history.settle(&self.session.configuration);
            }
            How::Step(step) => {
                self.stop_training_before(&configuration);
                let now = &self.session.configuration;
                // What was changed while the model opened makes this a new step.
                if self.history.ahead(step, now) == Some(&configuration) {
                    self.history.take(step, now);
                }
            }
            How::Preset(mut opened) | How::Found(mut opened) => {
                self.lost = None;
                self.notices.succeeded(&Subject::Opening);
                self.history.settle(&self.session.configuration);
                let hash = self
                    .model
                    .facts
                    .as_ref()
                    .map_or("", |facts| facts.hash.as_str());
                match opened.preset.differences(hash) {
                    Ok(differences) => opened.differences = differences,
                    Err(error) => {
                        self.fail(Subject::Opening, "The preset could not be compared", &error);
                    }
                }
                self.preset = Some(*opened);
            }
        }
        self.session.configuration = configuration;
        self.leave_out_unknown_layers();
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
            if let Some(facts) = &arrived
                && let How::Found(opened) = &opening.how
                && self.is_another(opened, &facts.hash)
            {
                // What is open stays.
                self.open_fallback(opening.configuration);
            } else if let Some(facts) = arrived {
                self.switch_to(opening, facts);
                for update in rest {
                    self.take(ctx, update);
                }
            } else if let Some(error) = failed {
                self.fail(Subject::Opening, "The model was not opened", &error);
                self.open_fallback(opening.configuration);
            } else {
                self.opening = Some(opening);
            }
        }
        let updates = self
            .model
            .backend
            .as_mut()
            .map(|backend| backend.updates())
            .unwrap_or_default();
        for update in updates {
            self.take(ctx, update);
        }
    }

    /// Where nothing is open and the model asked for cannot be, it is opened on the data that ship, or the bundled one is.
    fn open_fallback(&mut self, failed: Configuration) {
        let bundled = Configuration::default();
        let fallback = match failed.data {
            Some(_) => Configuration {
                data: None,
                ..failed
            },
            None if failed.model != bundled.model => bundled,
            None => return,
        };
        if self.model.facts.is_none() {
            self.open(fallback, How::Instead);
        }
    }

    fn switch_to(&mut self, opening: Opening, facts: ModelFacts) {
        let was_outlined = self.model.is_outline();
        let first = self.model.facts.is_none();
        self.session.opened(&facts.reference);
        self.model = OpenModel::new(opening.backend, facts, opening.configuration.data.clone());
        self.notices.withdraw_work();
        // Where no quality is there to be lost, what most changes the cost is the batch.
        let outlined = self.model.is_outline();
        if outlined && self.session.axis.is_recipe() && !self.model.is_weights_only() {
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

    fn work_succeeded(&mut self, what: &str) {
        self.notices.succeeded(&Subject::Work(what.to_owned()));
    }

    fn take(&mut self, ctx: &Context, update: Update) {
        match update {
            Update::Opened(_) => {}
            Update::Looked(answer) => self.looked(answer),
            Update::Measured(measurement) => {
                // The next try is that of the configuration in use; its surroundings are measured whatever it does.
                if measurement.recipe.key() == self.session.configuration.recipe.key() {
                    self.work_succeeded(worker::MEASURING);
                }
                self.model.store.add(measurement);
            }
            Update::Spiked(recipe, spiking) => {
                self.work_succeeded(worker::SPIKING);
                self.model.store.add_spiking(&recipe, spiking);
            }
            Update::Timed(run) => {
                if run.is_some() {
                    self.work_succeeded(worker::TIMING);
                }
                self.model.timing.arrived(run);
            }
            Update::Written(recipe, prompt, text) => {
                if text.is_some() {
                    self.work_succeeded(worker::WRITING);
                }
                self.model.prompting.arrived(&recipe, prompt, text);
            }
            Update::Exported(path) => {
                let path = path.display().to_string();
                self.notify(Subject::Saving, Tone::Done, "Saved", path);
            }
            Update::Progress { what, done } => {
                if self.model.activity.progress.is_none() {
                    self.model.activity.since = ctx.input(|input| input.time);
                }
                self.model.activity.progress = Some((what, done));
            }
            Update::Training(report) => match &mut self.model.training {
                Some(training) => training.follow(report),
                none => *none = Some(Training::new(report)),
            },
            Update::Trained(finished) => {
                self.model.training = None;
                self.model.student_asked = None;
                if finished {
                    self.work_succeeded(worker::TRAINING);
                    self.model.store.forget_stand_ins();
                    self.model.submitted = None;
                    self.model.filled = None;
                    self.submit();
                }
            }
            Update::Failed { doing, error } => {
                self.model.activity.progress = None;
                if doing == worker::WRITING {
                    self.model.prompting.failed();
                }
                if doing == worker::TRAINING {
                    // Also where it did not even begin.
                    self.model.student_asked = None;
                }
                self.fail(Subject::Work(doing.clone()), &doing, &error);
            }
            Update::Settled => {
                self.model.activity.progress = None;
                self.write_again();
            }
            Update::Idle => {
                self.model.activity.progress = None;
                self.model.activity.idle = true;
            }
        }
    }
}
