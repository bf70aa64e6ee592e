//! Running commands and talking to the work, and opening the window itself.

use std::fmt::Display;
use std::path::Path;

use egui::Context;
use wattif_core::data::OwnData;
use wattif_core::hardware::{self, HardwareClass};
use wattif_core::measurement::Depth;
use wattif_core::model::ModelReference;
use wattif_core::preset::{Measured, Preset};
use wattif_core::profile::Unit;
use wattif_core::recipe::Recipe;

use super::axis::Axis;
use super::command::{Action, Command};
use super::dialogs::Purpose;
use super::hardware::HardwareAction;
use super::notices::{Offer, Subject, Tone};
use super::open::Filled;
use super::pages::Page;
use super::session::{Configuration, Settings, Step};
use super::{App, How, OpenedPreset, ThemeChoice, export, picture};

impl App {
    /// Whether a command has something to do now.
    pub fn can(&self, command: Command) -> bool {
        let configuration = &self.session.configuration;
        let open = self.model.facts.is_some();
        match command {
            Command::Undo => self.history.ahead(Step::Back, configuration).is_some(),
            Command::Redo => self.history.ahead(Step::Forward, configuration).is_some(),
            Command::Reset => !configuration.recipe.is_identity(),
            Command::ClearPins => self.session.pins.iter().any(Option::is_some),
            Command::CancelTraining => self.model.training.is_some(),
            Command::MeasureSpeed => {
                open && !self.model.timing.is_running() && self.obstacle(command).is_none()
            }
            Command::ChangeHardware => self.derived.target.is_some(),
            Command::MeasureMachine => self.model.training.is_none() && !self.calibrating.is_busy(),
            Command::ExportModel | Command::ExportCsv => open && self.obstacle(command).is_none(),
            Command::SavePreset => open && self.obstacle(command).is_none(),
            Command::ExportPng | Command::PinA | Command::PinB => open,
            Command::NormalText => self.session.settings.text_scale != 1.0,
            Command::LargerText => self.session.settings.text_scale < Settings::TEXT_SCALES.1,
            Command::SmallerText => self.session.settings.text_scale > Settings::TEXT_SCALES.0,
            _ => true,
        }
    }

    /// Why a command has nothing to do, where that is not plain.
    pub(super) fn obstacle(&self, command: Command) -> Option<&'static str> {
        match command {
            Command::ExportCsv => self.pages.obstacle(self, self.session.settings.page),
            Command::MeasureSpeed => self.timing_obstacle(),
            Command::ExportModel => self.writing_obstacle(),
            // Its figures would be compared with those of the data that ship.
            Command::SavePreset if self.session.configuration.data.is_some() => {
                Some("A preset holds figures of the data that ship; measure on these first")
            }
            _ => None,
        }
    }

    /// Does everything that was asked for.
    pub(super) fn run_queue(&mut self, ctx: &Context) {
        for action in std::mem::take(&mut self.queue) {
            self.act(ctx, action);
        }
    }

    fn act(&mut self, ctx: &Context, action: Action) {
        match action {
            Action::Run(command) => self.run_command(ctx, command),
            Action::SetRecipe(recipe, axis) => {
                self.begin_gesture(axis);
                self.session.configuration.recipe = recipe;
                self.session.axis = axis.unwrap_or(self.session.axis);
                self.submit();
            }
            Action::SetLayer(layer, own, drags) => {
                if !drags {
                    self.begin_gesture(None);
                }
                self.set_layer(&layer, own);
            }
            Action::Look(layer) => self.look(layer),
            Action::LookAt(recipe) => self.look_at(recipe),
            Action::SetScenario(scenario, axis) => {
                self.begin_gesture(axis);
                self.session.configuration.scenario = scenario;
                self.session.axis = axis.unwrap_or(self.session.axis);
                self.spike();
            }
            Action::SetAxis(axis) => self.session.axis = axis,
            Action::ShowPins(view) => self.session.pin_view = view,
            Action::Write(prompt) => self.write_after(prompt),
            Action::SetModel(reference) => self.open_model(reference),
            Action::MeasureOn(data) => self.measure_on(data),
            Action::Ask(purpose) => self.ask(ctx, purpose),
            Action::Hardware(action) => self.do_to_hardware(action),
            Action::Dismiss(id) => self.notices.dismiss(id),
            Action::Offered(Offer::Find) => self.ask(ctx, Purpose::FindModel),
            Action::Offered(Offer::OpenOther) => self.open_other(),
            Action::Reading(id) => self.notices.keep(id),
            Action::Path(path) => {
                if let Some((purpose, path)) = self.dialogs.close(path) {
                    self.answered(ctx, purpose, &path);
                }
            }
        }
    }

    fn run_command(&mut self, ctx: &Context, command: Command) {
        let ask = |app: &mut Self, purpose| app.ask(ctx, purpose);
        let settings = &mut self.session.settings;
        match command {
            Command::OpenModel => ask(self, Purpose::OpenModel),
            Command::OpenPreset => ask(self, Purpose::OpenPreset),
            Command::SavePreset => ask(self, Purpose::SavePreset),
            Command::ExportModel => {
                let gguf = self.writes_gguf();
                ask(self, Purpose::ExportModel { gguf });
            }
            Command::ExportCsv => ask(self, Purpose::ExportCsv),
            Command::ExportPng => ask(self, Purpose::ExportPng),
            Command::Undo => self.step(Step::Back),
            Command::Redo => self.step(Step::Forward),
            Command::Reset => {
                self.begin_gesture(None);
                self.session.configuration.recipe = Recipe::default();
                self.submit();
            }
            Command::PinA | Command::PinB => {
                let slot = usize::from(command == Command::PinB);
                self.pin(slot);
            }
            Command::ClearPins => {
                self.session.pins = [None, None];
                self.session.pin_figures = [None, None];
            }
            Command::Show(page) => {
                settings.page = page;
                // Where a panel stands in the place of the page, it steps aside for it.
                if self.single {
                    (settings.show_controls, settings.show_results) = (false, false);
                }
            }
            Command::Present => self.presenting = !self.presenting,
            Command::SwitchTheme => {
                settings.theme = match ctx.theme() {
                    egui::Theme::Dark => ThemeChoice::Light,
                    egui::Theme::Light => ThemeChoice::Dark,
                };
                self.apply_settings(ctx);
            }
            Command::LargerText | Command::SmallerText | Command::NormalText => {
                settings.text_scale = match command {
                    Command::LargerText => settings.text_scale + 0.1,
                    Command::SmallerText => settings.text_scale - 0.1,
                    _ => 1.0,
                };
                self.apply_settings(ctx);
            }
            Command::ToggleControls => settings.show_controls = !settings.show_controls,
            // In a narrow window the results take the place of the controls.
            Command::ToggleResults if self.narrow && settings.show_controls => {
                settings.show_controls = false;
                settings.show_results = true;
            }
            Command::ToggleResults => settings.show_results = !settings.show_results,
            Command::MeasureSpeed => self.time(),
            Command::ChangeHardware => {
                if let Some(target) = self.derived.target {
                    let id = target.id.clone();
                    self.do_to_hardware(if target.yours {
                        HardwareAction::Change(id)
                    } else {
                        HardwareAction::Copy(id)
                    });
                }
            }
            Command::MeasureMachine => self.do_to_hardware(HardwareAction::Measure),
            Command::CancelTraining => {
                if let Some(backend) = &mut self.model.backend {
                    backend.cancel_training();
                }
                if let Some(key) = &self.model.student_asked {
                    self.model.not_to_train = Some(key.clone());
                }
            }
            Command::Shortcuts => self.listing_shortcuts = true,
        }
    }

    /// Brings theme and text size into force.
    pub(super) fn apply_settings(&mut self, ctx: &Context) {
        let settings = &mut self.session.settings;
        let (least, most) = Settings::TEXT_SCALES;
        // Not a number stays one between any two ends.
        if !settings.text_scale.is_finite() {
            settings.text_scale = 1.0;
        }
        // Ten steps of 0.1 must lead back to exactly 1.
        settings.text_scale = ((settings.text_scale * 10.0).round() / 10.0).clamp(least, most);
        ctx.set_theme(settings.theme.preference());
        ctx.set_zoom_factor(settings.text_scale);
    }

    /// Another knob than the last, or none: what was done before is a step of its own, however short ago.
    fn begin_gesture(&mut self, axis: Option<Axis>) {
        if axis != Some(self.session.axis) {
            self.history.settle(&self.session.configuration);
        }
    }

    /// Goes a step along the history. Where it leads to another model, the step is taken once that is open.
    fn step(&mut self, step: Step) {
        let there = self.history.ahead(step, &self.session.configuration);
        if let Some(there) = there.cloned() {
            self.open(there, How::Step(step));
        }
    }

    /// Asks for the current recipe to be measured.
    pub(super) fn submit(&mut self) {
        let recipe = self.session.configuration.recipe.clone();
        let key = recipe.key();
        if self.model.submitted.as_ref() == Some(&key) {
            return;
        }
        if let Some(backend) = &mut self.model.backend {
            if let Some(known) = backend.known(&recipe) {
                self.model.store.add(known);
            }
            backend.submit(recipe);
            self.model.submitted = Some(key);
            self.model.activity.idle = false;
            self.spike();
        }
    }

    /// Asks for the spiking version of the current recipe to be run, where the hardware runs one and it is not known.
    fn spike(&mut self) {
        let Configuration {
            recipe, scenario, ..
        } = &self.session.configuration;
        let spikes = hardware::find(&scenario.hardware)
            .is_ok_and(|target| target.class == HardwareClass::Neuromorphic);
        // Attention has no spiking version; why a network of images has none, the engine says.
        let has_images = self
            .model
            .facts
            .as_ref()
            .is_some_and(|facts| facts.unit == Unit::Image && facts.metric.is_some());
        let known = self
            .model
            .store
            .spiking(recipe, scenario.time_steps)
            .is_some();
        if spikes
            && has_images
            && !known
            && let Some(backend) = &mut self.model.backend
        {
            backend.spike(recipe.clone(), scenario.time_steps);
            self.model.activity.idle = false;
        }
    }

    /// Says what to measure when nothing else is to do: nearest places of the axis first, and the pins. Returns
    /// whether there was something to say.
    pub(super) fn fill(&mut self) -> bool {
        // Both would be slower, and the measurement of the machine wrong.
        if self.calibrating.is_busy() {
            return false;
        }
        let axis = self.session.axis;
        let configuration = &self.session.configuration;
        let Some(facts) = &self.model.facts else {
            return false;
        };
        let mut recipe = configuration.recipe.clone();
        let mut scenario = configuration.scenario.clone();
        let here = axis.place(axis.get(&recipe, &scenario));
        let pins: Vec<Recipe> = self
            .session
            .pins
            .iter()
            .flatten()
            .filter(|pin| pin.is_of_model(configuration))
            .map(|pin| pin.recipe.clone())
            .collect();
        let key = Filled {
            recipe: configuration.recipe.key(),
            axis,
            pins: pins.iter().map(Recipe::key).collect(),
        };
        if self.model.filled.as_ref() == Some(&key) {
            return false;
        }
        let mut values = match axis {
            Axis::Ratio => facts.ratios.clone(),
            _ => axis.fill_values(&recipe),
        };
        values.sort_by(|a, b| {
            let distance = |value: &f64| (axis.place(*value) - here).abs();
            distance(a).total_cmp(&distance(b))
        });
        let mut positions = vec![(Recipe::default(), Depth::Full)];
        positions.extend(pins.into_iter().map(|pin| (pin, Depth::Full)));
        let rival = self.derived.rival.as_ref();
        positions.extend(rival.map(|(recipe, _)| (recipe.clone(), Depth::Full)));
        let along: Vec<Recipe> = values
            .into_iter()
            .map(|value| {
                axis.set(value, &mut recipe, &mut scenario);
                recipe.clone()
            })
            .collect();
        // All of the curve coarsely before any of it finely.
        positions.extend(along.iter().map(|recipe| (recipe.clone(), Depth::Coarse)));
        positions.extend(along.iter().map(|recipe| (recipe.clone(), Depth::Full)));
        self.model.filled = Some(key);
        if let Some(backend) = &mut self.model.backend {
            backend.fill(positions);
            self.model.activity.idle = false;
        }
        true
    }

    /// Begins to train a student where the slider rests between those that are ready. Returns whether it did.
    pub(super) fn train_if_wanted(&mut self) -> bool {
        let recipe = self.session.configuration.recipe.clone();
        if self.model.student_asked.is_some() || recipe.canonical().distillation.ratio >= 1.0 {
            return false;
        }
        let key = recipe.student_key();
        if self.model.not_to_train.as_ref() == Some(&key) {
            return false;
        }
        let missing = self
            .model
            .store
            .get(&recipe)
            .is_some_and(|measurement| !measurement.student.exact);
        if missing && let Some(backend) = &mut self.model.backend {
            backend.train(recipe);
            self.model.student_asked = Some(key.clone());
            self.model.not_to_train = Some(key);
            return true;
        }
        false
    }

    /// A step along the history leads to `there`: stops the training of a student that is of no use then. Where a step
    /// leads back to it, it is trained again.
    pub(super) fn stop_training_before(&mut self, there: &Configuration) {
        let undone = self
            .model
            .student_asked
            .as_ref()
            .is_some_and(|key| *key != there.recipe.student_key());
        if undone && let Some(backend) = &mut self.model.backend {
            backend.cancel_training();
            self.model.not_to_train = None;
        }
    }

    /// A file was chosen.
    pub(super) fn answered(&mut self, ctx: &Context, purpose: Purpose, path: &Path) {
        match purpose {
            Purpose::OpenModel => self.open_model(ModelReference::File(path.to_owned())),
            Purpose::OpenText | Purpose::OpenImages => {
                self.measure_on(Some(OwnData::at(path.to_owned())));
            }
            Purpose::OpenPreset => self.open_preset(path),
            Purpose::FindModel => self.found_model(path),
            Purpose::SavePreset => {
                let written = self.save_preset(path);
                self.report_saved(path, "The preset was not saved", written);
            }
            Purpose::ExportModel { .. } => self.export_model(path),
            Purpose::ExportCsv => {
                let written = self.export_table(path);
                self.report_saved(path, NOT_EXPORTED, written);
            }
            Purpose::ExportPng => {
                let written = picture::png(path, &self.picture(ctx.theme()));
                self.report_saved(path, NOT_EXPORTED, written);
            }
        }
    }

    /// Says where a file was written, or why it was not.
    fn report_saved<E: Display>(&mut self, path: &Path, failure: &str, written: Result<(), E>) {
        match written {
            Ok(()) => {
                let path = path.display().to_string();
                self.notify(Subject::Saving, Tone::Done, "Saved", path);
            }
            Err(error) => self.fail(Subject::Saving, failure, &error),
        }
    }

    /// Writes what the page shows as a table.
    fn export_table(&mut self, path: &Path) -> anyhow::Result<()> {
        let page = self.session.settings.page;
        if page == Page::WhatIf {
            return export::csv(path, &self.session, &self.model.store, &self.derived);
        }
        let mut pages = std::mem::take(&mut self.pages);
        let table = pages.table(self, page);
        self.pages = pages;
        // Published rows are of other models and devices than the sliders say.
        let configuration = (page != Page::Validation).then_some(&self.session.configuration);
        export::table(path, &table, configuration)
    }

    fn save_preset(&mut self, path: &Path) -> wattif_core::Result<()> {
        let configuration = &self.session.configuration;
        let hash = self
            .model
            .facts
            .as_ref()
            .map_or("", |facts| facts.hash.as_str());
        let mut preset = Preset::new(
            configuration.model.clone(),
            hash,
            configuration.recipe.clone(),
            configuration.scenario.clone(),
        )?;
        if let Some(now) = &self.derived.now
            && let Ok(footprint) = &now.footprint
        {
            preset.measured = match &now.measurement {
                Some(measurement) => Some(Measured::new(measurement, footprint)),
                None if configuration.is_outline() => {
                    Some(Measured::of_shapes(&now.profile, footprint))
                }
                None => None,
            };
        }
        preset.save(path)?;
        self.preset = Some(OpenedPreset {
            preset,
            differences: Vec::new(),
        });
        Ok(())
    }
}

const NOT_EXPORTED: &str = "The charts were not exported";
