//! Running commands and talking to the work, and opening the window itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use egui::Context;
use wattif_core::measurement::Depth;
use wattif_core::model::ModelReference;
use wattif_core::preset::{Measured, Preset};
use wattif_core::recipe::Recipe;

use super::axis::Axis;
use super::backend::{Opener, Update};
use super::command::{Action, Command};
use super::dialogs::Purpose;

use super::engine::EngineBackend;
use super::outline::OutlineBackend;
use super::power::PowerWatch;
use super::session::{Configuration, Settings};
use super::{App, OpenedPreset, Opening, Options, ThemeChoice, Training, export, hardware, theme};

/// What the window opens on.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// A preset to open; it wins over `model`.
    pub preset: Option<PathBuf>,
    /// A model to open instead of the last one.
    pub model: Option<ModelReference>,
}

/// Opens models in the engine itself.
pub fn engine_opener() -> Opener {
    Box::new(|reference, wake| {
        if reference.is_outline() {
            OutlineBackend::open(reference)
        } else {
            EngineBackend::open(reference, wake)
        }
    })
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// Where no window can be opened.
pub fn run(start: Start) -> anyhow::Result<()> {
    let viewport = egui::ViewportBuilder::default()
        .with_title("WattIf")
        .with_app_id("wattif")
        .with_icon(theme::icon())
        .with_inner_size([1280.0, 800.0])
        .with_min_inner_size(theme::SMALLEST)
        .with_drag_and_drop(true);
    let native = eframe::NativeOptions {
        viewport,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "WattIf",
        native,
        Box::new(|creation| {
            let options = Options {
                start,
                opener: engine_opener(),
                folder: wattif_core::folders::configuration(),
                system_dialogs: true,
            };
            let mut app = App::new(&creation.egui_ctx, options);
            app.power = Some(PowerWatch::start()?);
            Ok(Box::new(app))
        }),
    )
    .map_err(|error| anyhow::anyhow!("{error}"))
}

impl App {
    /// Whether a command has something to do now.
    pub fn can(&self, command: Command) -> bool {
        let configuration = &self.session.configuration;
        let open = self.facts.is_some();
        match command {
            Command::Undo => self.history.can_undo(configuration),
            Command::Redo => self.history.can_redo(configuration),
            Command::Reset => !configuration.recipe.is_identity(),
            Command::ClearPins => self.session.pins.iter().any(Option::is_some),
            Command::CancelTraining => self.training.is_some(),
            Command::SavePreset
            | Command::ExportCsv
            | Command::ExportPng
            | Command::PinA
            | Command::PinB => open,
            Command::NormalText => self.session.settings.text_scale != 1.0,
            Command::LargerText => self.session.settings.text_scale < Settings::TEXT_SCALES.1,
            Command::SmallerText => self.session.settings.text_scale > Settings::TEXT_SCALES.0,
            _ => true,
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
                self.session.configuration.recipe = recipe;
                self.session.axis = axis.unwrap_or(self.session.axis);
                self.submit();
            }
            Action::SetScenario(scenario, axis) => {
                self.session.configuration.scenario = scenario;
                self.session.axis = axis.unwrap_or(self.session.axis);
            }
            Action::SetAxis(axis) => self.session.axis = axis,
            Action::SetModel(reference) => self.open_model(reference),
            Action::Dismiss(id) => self.notices.retain(|notice| notice.id != id),
            Action::Path(path) => {
                if let Some((purpose, path)) = self.dialogs.close(path) {
                    self.answered(ctx, purpose, &path);
                }
            }
        }
    }

    fn run_command(&mut self, ctx: &Context, command: Command) {
        let now = ctx.input(|input| input.time);
        let ask = |app: &mut Self, purpose| {
            app.dialogs
                .ask(purpose, now, app.system_dialogs, &Arc::clone(&app.wake));
        };
        let settings = &mut self.session.settings;
        match command {
            Command::OpenModel => ask(self, Purpose::OpenModel),
            Command::OpenPreset => ask(self, Purpose::OpenPreset),
            Command::SavePreset => ask(self, Purpose::SavePreset),
            Command::ExportCsv => ask(self, Purpose::ExportCsv),
            Command::ExportPng => ask(self, Purpose::ExportPng),
            Command::Undo => {
                if let Some(before) = self.history.undo(&self.session.configuration) {
                    self.restore(before);
                }
            }
            Command::Redo => {
                if let Some(after) = self.history.redo(&self.session.configuration) {
                    self.restore(after);
                }
            }
            Command::Reset => {
                self.session.configuration.recipe = Recipe::default();
                self.submit();
            }
            Command::PinA | Command::PinB => {
                let slot = usize::from(command == Command::PinB);
                self.session.pins[slot] = Some(self.session.configuration.clone());
            }
            Command::ClearPins => self.session.pins = [None, None],
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
            Command::ToggleResults => settings.show_results = !settings.show_results,
            Command::CancelTraining => {
                if let Some(backend) = &mut self.backend {
                    backend.cancel_training();
                }
                self.not_to_train = Some(self.session.configuration.recipe.student_key());
            }
            Command::Shortcuts => self.listing_shortcuts = true,
        }
    }

    /// Brings theme and text size into force.
    pub(super) fn apply_settings(&mut self, ctx: &Context) {
        let settings = &mut self.session.settings;
        let (least, most) = Settings::TEXT_SCALES;
        // Ten steps of 0.1 must lead back to exactly 1.
        settings.text_scale = ((settings.text_scale * 10.0).round() / 10.0).clamp(least, most);
        ctx.set_theme(settings.theme.preference());
        ctx.set_zoom_factor(settings.text_scale);
    }

    /// Goes back or forward to a configuration, opening its model if it is another one.
    fn restore(&mut self, configuration: Configuration) {
        if configuration.model == self.session.configuration.model {
            self.session.configuration = configuration;
            self.submit();
        } else {
            self.open(configuration, None);
        }
    }

    /// Asks for the current recipe to be measured.
    pub(super) fn submit(&mut self) {
        let recipe = self.session.configuration.recipe;
        let key = recipe.key();
        if self.submitted.as_ref() == Some(&key) {
            return;
        }
        if let Some(backend) = &mut self.backend {
            if let Some(known) = backend.known(&recipe) {
                self.store.add(known);
            }
            backend.submit(recipe);
            self.submitted = Some(key);
            self.activity.idle = false;
        }
    }

    /// Says what to measure when nothing else is to do: nearest places of the axis first, and the pins.
    pub(super) fn fill(&mut self) {
        let axis = self.session.axis;
        let configuration = &self.session.configuration;
        let Some(facts) = &self.facts else {
            return;
        };
        let mut recipe = configuration.recipe;
        let mut scenario = configuration.scenario.clone();
        let here = axis.place(axis.get(&recipe, &scenario));
        let pins: Vec<Recipe> = self
            .session
            .pins
            .iter()
            .flatten()
            .filter(|pin| pin.model == configuration.model)
            .map(|pin| pin.recipe)
            .collect();
        let pins_key: u64 = pins.iter().map(|pin| pin.key().len() as u64).sum();
        let key = (configuration.recipe.key(), axis, pins_key);
        if self.filled.as_ref() == Some(&key) {
            return;
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
        let along: Vec<Recipe> = values
            .into_iter()
            .map(|value| {
                axis.set(value, &mut recipe, &mut scenario);
                recipe
            })
            .collect();
        // All of the curve coarsely before any of it finely.
        positions.extend(along.iter().map(|recipe| (*recipe, Depth::Coarse)));
        positions.extend(along.iter().map(|recipe| (*recipe, Depth::Full)));
        self.filled = Some(key);
        if let Some(backend) = &mut self.backend {
            backend.fill(positions);
            self.activity.idle = false;
        }
    }

    /// Begins to train a student where the slider rests between those that are ready.
    pub(super) fn train_if_wanted(&mut self) {
        let recipe = self.session.configuration.recipe;
        if self.training.is_some() || recipe.canonical().distillation.ratio >= 1.0 {
            return;
        }
        let key = recipe.student_key();
        if self.not_to_train.as_ref() == Some(&key) {
            return;
        }
        let missing = self
            .store
            .get(&recipe)
            .is_some_and(|measurement| !measurement.student.exact);
        if missing && let Some(backend) = &mut self.backend {
            backend.train(recipe);
            self.not_to_train = Some(key);
        }
    }

    pub(super) fn open_model(&mut self, reference: ModelReference) {
        let before = &self.session.configuration;
        match before.scenario_for(&reference) {
            Ok(scenario) => {
                let configuration = Configuration {
                    model: reference,
                    recipe: before.recipe,
                    scenario,
                };
                self.open(configuration, None);
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
                self.open(configuration, Some(opened));
            }
            Err(_) if hardware::describes_a_device(path) => self.open_hardware(path),
            Err(error) => self.fail("The preset was not opened", &error),
        }
    }

    /// Goes to a configuration; if its model is another one, once that is open. Until then nothing changes.
    pub(super) fn open(&mut self, configuration: Configuration, preset: Option<OpenedPreset>) {
        let same = self
            .facts
            .as_ref()
            .is_some_and(|facts| facts.reference == configuration.model);
        if same {
            self.arrive(configuration, preset);
            return;
        }
        match (self.opener)(&configuration.model, Arc::clone(&self.wake)) {
            Ok(backend) => {
                self.opening = Some(Opening {
                    backend,
                    configuration,
                    preset,
                });
            }
            Err(error) => self.fail("The model was not opened", &error),
        }
    }

    fn arrive(&mut self, configuration: Configuration, preset: Option<OpenedPreset>) {
        self.session.configuration = configuration;
        if let Some(mut opened) = preset {
            let hash = self.facts.as_ref().map_or("", |facts| facts.hash.as_str());
            match opened.preset.differences(hash) {
                Ok(differences) => opened.differences = differences,
                Err(error) => self.fail("The preset could not be compared", &error),
            }
            self.preset = Some(opened);
        }
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
            self.open(fallback, None);
        }
    }

    fn switch_to(&mut self, opening: Opening, facts: super::ModelFacts) {
        self.backend = Some(opening.backend);
        self.facts = Some(facts);
        self.store.clear();
        self.pictures.clear();
        self.submitted = None;
        self.filled = None;
        self.training = None;
        self.not_to_train = None;
        self.activity = super::Activity::default();
        let first = self.derived.now.is_none();
        if self
            .facts
            .as_ref()
            .is_some_and(|facts| facts.source.is_some())
            && self.session.axis.is_recipe()
        {
            // No quality is there to be lost; what most changes the cost of these networks is the batch.
            self.session.axis = Axis::Batch;
        }
        self.arrive(opening.configuration, opening.preset);
        if first {
            // What the program opens on is where undo begins, not a step.
            self.history = super::History::new(self.session.configuration.clone());
        }
    }

    fn take(&mut self, ctx: &Context, update: Update) {
        match update {
            Update::Opened(_) => {}
            Update::Measured(measurement) => self.store.add(measurement),
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

    /// A file was chosen.
    pub(super) fn answered(&mut self, ctx: &Context, purpose: Purpose, path: &Path) {
        match purpose {
            Purpose::OpenModel => self.open_model(ModelReference::File(path.to_owned())),
            Purpose::OpenPreset => self.open_preset(path),
            Purpose::SavePreset => {
                if let Err(error) = self.save_preset(path) {
                    self.fail("The preset was not saved", &error);
                }
            }
            Purpose::ExportCsv => {
                let written = export::csv(path, &self.session, &self.store, &self.derived);
                if let Err(error) = written {
                    self.fail("The charts were not exported", &error);
                }
            }
            Purpose::ExportPng => {
                self.picture.path = Some(path.to_owned());
                let (pixels, wake) = (Arc::clone(&self.picture.pixels), Arc::clone(&self.wake));
                ctx.request_screenshot(move |image| {
                    *pixels.lock().unwrap_or_else(PoisonError::into_inner) = Some(image);
                    wake();
                });
            }
        }
    }

    fn save_preset(&mut self, path: &Path) -> wattif_core::Result<()> {
        let configuration = &self.session.configuration;
        let hash = self.facts.as_ref().map_or("", |facts| facts.hash.as_str());
        let mut preset = Preset::new(
            configuration.model.clone(),
            hash,
            configuration.recipe,
            configuration.scenario.clone(),
        )?;
        if let Some(now) = &self.derived.now
            && let (Some(measurement), Ok(footprint)) = (&now.measurement, &now.footprint)
        {
            preset.measured = Some(Measured::new(measurement, footprint));
        }
        preset.save(path)?;
        self.preset = Some(OpenedPreset {
            preset,
            differences: Vec::new(),
        });
        Ok(())
    }

    /// Writes the picture that was asked for, once its pixels are there.
    pub(super) fn finish_picture(&mut self, ctx: &Context) {
        let pixels = self
            .picture
            .pixels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let (Some(image), Some(path), Some(rect)) =
            (pixels, self.picture.path.take(), self.charts.rect)
            && let Err(error) = export::png(&path, &image, rect, ctx.pixels_per_point())
        {
            self.fail("The charts were not exported", &error);
        }
    }
}
