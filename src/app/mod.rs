//! The window: it draws the session and what follows from it, and turns what people do into commands.
//!
//! Each frame has two halves. [`App::logic`] takes in what the work has to say and runs commands; [`App::ui`] draws and
//! pushes commands. Controls are drawn before the charts, and what they ask for is done in between, so that arithmetic
//! follows a slider within the frame.

mod axis;
mod backend;
pub mod benchmark;
mod beside;
mod calibrating;
mod cells;
mod charts;
mod command;
pub(crate) mod compare;
mod derived;
mod dialogs;
mod editor;
mod engine;
mod explain;
mod export;
mod glossary;
mod hardware;
mod layout;
mod looking;
mod menu;
mod names;
mod news;
mod notices;
mod open;
mod outline;
mod pages;
mod panels;
mod picture;
mod pins;
mod power;
mod prompting;
mod rest;
mod run;
mod session;
mod start;
mod storage;
mod theme;
mod timing;
mod widgets;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Context, Ui};
use wattif_core::data::{OwnData, is_images};
use wattif_core::measurement::Metric;
use wattif_core::model::ModelReference;
use wattif_core::preset::Preset;

use calibrating::Calibrating;
use charts::Charts;
use command::Action;
use derived::Derived;
use dialogs::Dialogs;
use editor::Editor;
use notices::{Notices, Subject, Tone};
use open::OpenModel;
use pages::Pages;
use rest::Rest;
use session::{History, Step};

pub use axis::Axis;
pub use backend::{Backend, ModelFacts, Opener, TrainingReport, Update};
pub use calibrating::Measurer;
pub use command::Command;
pub use pages::Page;
pub use pins::{KeptFigures, PinView};
pub use session::{Configuration, DEFAULT_MODEL, Session, Settings};
pub use start::{Start, engine_opener, run};
pub use storage::read as read_session;
pub use theme::ThemeChoice;

/// What the window is made with.
pub struct Options {
    /// What to open first.
    pub start: Start,
    /// Opens models.
    pub opener: Opener,
    /// Folder of the kept session; `None` keeps nothing.
    pub folder: Option<PathBuf>,
    /// Whether the system's file dialogs may be used.
    pub system_dialogs: bool,
}

/// The window's whole state.
pub struct App {
    session: Session,
    history: History<Configuration>,
    rest: Rest,
    model: OpenModel,
    derived: Derived,
    charts: Charts,
    opening: Option<Opening>,
    opener: Opener,
    wake: Arc<dyn Fn() + Send + Sync>,
    queue: Vec<Action>,
    notices: Notices,
    dialogs: Dialogs,
    editor: Editor,
    calibrating: Calibrating,
    system_dialogs: bool,
    folder: Option<PathBuf>,
    /// Whether the session may be written to the folder.
    keeps_session: bool,
    kept: Session,
    presenting: bool,
    /// Whether controls and results do not both fit beside the charts.
    narrow: bool,
    /// Whether not even one of them fits beside the charts.
    single: bool,
    listing_shortcuts: bool,
    preset: Option<OpenedPreset>,
    /// A preset whose model is not where it was.
    lost: Option<Lost>,
    pages: Pages,
    /// Where the page lies.
    centre: Option<egui::Rect>,
    /// Watches the power sensors; absent where nobody looks at them.
    power: Option<power::PowerWatch>,
}

/// A model on its way.
struct Opening {
    backend: Box<dyn Backend>,
    configuration: Configuration,
    how: How,
}

/// How a configuration is come to.
enum How {
    /// By choosing it.
    Chosen,
    /// For want of another: what was asked for could not be opened, or nothing was.
    Instead,
    /// By a preset.
    Preset(Box<OpenedPreset>),
    /// By a preset and a model that was found for it, which must be the preset's own.
    Found(Box<OpenedPreset>),
    /// By a step along the history.
    Step(Step),
}

/// A preset whose model is not where it was.
struct Lost {
    preset: Preset,
    /// A model that was found for it and is another one.
    other: Option<PathBuf>,
}

/// A preset that was opened, with what to know before comparing its figures.
struct OpenedPreset {
    preset: Preset,
    differences: Vec<String>,
}

impl OpenedPreset {
    /// Whether the sliders still stand as the preset had them.
    fn applies(&self, configuration: &Configuration) -> bool {
        self.preset.model.reference == configuration.model
            && configuration.data.is_none()
            && self.preset.recipe.key() == configuration.recipe.key()
            && self.preset.scenario == configuration.scenario
    }
}

impl App {
    /// A window that opens what it is told to, with the settings of last time.
    pub fn new(ctx: &Context, options: Options) -> Self {
        theme::install(ctx);
        let wake_ctx = ctx.clone();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || wake_ctx.request_repaint());
        let loaded = options
            .folder
            .as_deref()
            .map_or_else(storage::Loaded::default, storage::load);
        let session = loaded.session;
        let mut app = Self {
            history: History::new(session.configuration.clone()),
            kept: session.clone(),
            session,
            rest: Rest::default(),
            model: OpenModel::default(),
            derived: Derived::default(),
            charts: Charts::default(),
            opening: None,
            opener: options.opener,
            wake,
            queue: Vec::new(),
            notices: Notices::default(),
            dialogs: Dialogs::default(),
            editor: Editor::default(),
            calibrating: Calibrating::default(),
            system_dialogs: options.system_dialogs,
            folder: options.folder,
            keeps_session: loaded.keep,
            presenting: false,
            narrow: false,
            single: false,
            listing_shortcuts: false,
            preset: None,
            lost: None,
            pages: Pages::default(),
            centre: None,
            power: None,
        };
        if let Some((title, text)) = loaded.complaint {
            app.notify(Subject::Session, Tone::Note, title, text);
        }
        app.report_broken_hardware();
        app.apply_settings(ctx);
        app.begin(options.start);
        app
    }

    /// Opens what the start names; what cannot be opened is reported, and the last model opened instead.
    fn begin(&mut self, start: Start) {
        if let Some(path) = start.preset {
            self.open_preset(&path);
        } else if let Some(reference) = start.model {
            // A model that is asked for by name opens as it is, not as the last one was compressed.
            self.open_model(reference);
        }
        if self.opening.is_none() {
            let configuration = self.session.configuration.clone();
            self.open(configuration, How::Instead);
        }
    }

    /// What is explored, pinned and set.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The texts of the messages that wait to be read.
    pub fn messages(&self) -> Vec<String> {
        self.notices
            .list()
            .iter()
            .map(|notice| format!("{}: {}", notice.title, notice.text))
            .collect()
    }

    /// What the three charts say: quality, throughput, CO2e.
    pub fn readings(&mut self) -> [String; 3] {
        self.charts
            .get(&self.session, &self.model.store, &self.derived)
            .each_ref()
            .map(|chart| chart.reading.clone())
    }

    /// Whether a model is open and nothing is left to do.
    pub fn is_idle(&self) -> bool {
        self.opening.is_none()
            && self.model.facts.is_some()
            && self.model.activity.idle
            && self.rest.is_reached()
            && !self.pages.is_busy()
            && !self.model.looking.is_busy()
            && !self.calibrating.is_busy()
    }

    /// The model that is being opened.
    fn opening(&self) -> Option<&ModelReference> {
        self.opening
            .as_ref()
            .map(|opening| &opening.configuration.model)
    }

    /// A quality of the open model's kind in words.
    fn quality_words(&self, quality: f64) -> String {
        match self.model.facts.as_ref().and_then(|facts| facts.metric) {
            Some(Metric::Accuracy) | None => {
                format!("{} right", crate::format::percent(quality, 0))
            }
            Some(metric) => {
                let facts = metric.facts();
                let unit = if facts.unit.is_empty() {
                    facts.name
                } else {
                    facts.unit
                };
                format!("{} {unit}", crate::format::significant(quality, 3))
            }
        }
    }

    /// Whether the open model is measured on text.
    fn reads_text(&self) -> bool {
        let metric = self.model.facts.as_ref().and_then(|facts| facts.metric);
        metric.is_some_and(Metric::is_of_text)
    }

    fn class_name(&self, class: usize) -> String {
        self.model
            .backend
            .as_ref()
            .map_or_else(String::new, |backend| backend.class_name(class))
    }

    /// Takes in news, runs commands, keeps the session. Draws nothing.
    pub fn logic(&mut self, ctx: &Context) {
        self.shortcuts(ctx);
        self.dropped_files(ctx);
        self.take_news(ctx);
        self.follow_calibration();
        let now = ctx.input(|input| input.time);
        if let Some((purpose, path)) = self.dialogs.poll(now) {
            self.answered(ctx, purpose, &path);
        }
        self.run_queue(ctx);
        // Where a gesture begins, the one before has ended, however short ago.
        if ctx.input(|input| input.pointer.any_pressed()) {
            self.history.settle(&self.session.configuration);
        }
        if self.rest.look(ctx, &self.session) && self.settle() {
            // Some answers are there at once.
            ctx.request_repaint();
        }
        self.pass_notices(ctx);
        self.refresh();
    }

    fn refresh(&mut self) {
        let open = match (&self.model.backend, &self.model.facts) {
            (Some(backend), Some(facts)) => Some((&**backend, facts)),
            _ => None,
        };
        let before = self.derived.generation;
        self.derived.refresh(&self.session, &self.model.store, open);
        if self.derived.generation != before {
            self.keep_pin_figures();
        }
    }

    /// The hand rests: record an undo step, measure what is around, keep the session. Returns whether work was asked for.
    fn settle(&mut self) -> bool {
        self.history.settle(&self.session.configuration);
        let asked = self.fill() | self.train_if_wanted();
        if self.session != self.kept
            && self.keeps_session
            && let Some(folder) = &self.folder
        {
            self.kept = self.session.clone();
            if let Err(error) = storage::save(folder, &self.session) {
                self.fail(Subject::Session, "The session could not be kept", &error);
            } else {
                self.notices.succeeded(&Subject::Session);
            }
        }
        asked
    }

    fn shortcuts(&mut self, ctx: &Context) {
        // While the editor is open, the keys are for its fields.
        if self.editor.is_open() {
            return;
        }
        self.escape(ctx);
        // Ctrl+Z would also take Ctrl+Shift+Z: the shortcuts with more keys come first.
        let shifted = |command: &Command| {
            command
                .shortcut()
                .is_some_and(|shortcut| shortcut.modifiers.shift)
        };
        let (first, then): (Vec<Command>, Vec<Command>) =
            Command::ALL.into_iter().partition(shifted);
        for command in first.into_iter().chain(then) {
            if let Some(shortcut) = command.shortcut()
                && ctx.input_mut(|input| input.consume_shortcut(&shortcut))
                && self.can(command)
            {
                self.queue.push(Action::Run(command));
            }
        }
        // The other custom of desktops.
        let redo = egui::KeyboardShortcut::new(egui::Modifiers::COMMAND, egui::Key::Y);
        if ctx.input_mut(|input| input.consume_shortcut(&redo)) && self.can(Command::Redo) {
            self.queue.push(Action::Run(Command::Redo));
        }
    }

    /// Escape puts away the messages, else ends the presentation, unless something in front wants it.
    fn escape(&mut self, ctx: &Context) {
        let wanted = ctx.any_popup_open()
            || ctx.text_edit_focused()
            || self.dialogs.asks_for_path()
            || self.calibrating.result().is_some()
            || self.listing_shortcuts;
        if wanted || !ctx.input(|input| input.key_pressed(egui::Key::Escape)) {
            return;
        }
        if self.notices.list().is_empty() {
            self.presenting = false;
        } else {
            self.notices.clear();
        }
    }

    /// Lets messages leave that were there long enough.
    fn pass_notices(&mut self, ctx: &Context) {
        let (now, attended) = ctx.input(|input| (input.time, !input.events.is_empty()));
        if let Some(left) = self.notices.pass(now, attended) {
            ctx.request_repaint_after_secs(left as f32);
        }
    }

    fn dropped_files(&mut self, ctx: &Context) {
        let dropped = ctx.input(|input| input.raw.dropped_files.clone());
        for file in dropped {
            let path = file.path().to_owned();
            self.open_file(&path);
        }
    }

    fn open_file(&mut self, path: &Path) {
        let is = |ending: &str| {
            path.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
        };
        if is("ron") {
            self.open_preset(path);
        } else if is("npz") && is_images(path) {
            self.measure_on(Some(OwnData::at(path.to_owned())));
        } else if is("safetensors")
            || is("json")
            || path.join("config.json").is_file()
            || wattif_core::formats::is_model(path)
        {
            self.open_model(ModelReference::File(path.to_owned()));
        } else if is_images(path) || (path.is_file() && self.reads_text()) {
            self.measure_on(Some(OwnData::at(path.to_owned())));
        } else {
            let error = wattif_core::Error::file(
                "this is neither a preset or device (.ron) nor a model (.gguf, .safetensors, .pt, .npz, .onnx, config.json) nor data that the open model could be measured on",
                path,
            );
            self.fail(Subject::Opening, "The file was not opened", &error);
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        Self::logic(self, ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        Self::ui(self, ui);
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.history.settle(&self.session.configuration);
        if let Some(folder) = &self.folder
            && self.keeps_session
            && self.session != self.kept
        {
            // The window is gone: there is nobody left to tell that the session could not be kept.
            let _ = storage::save(folder, &self.session);
        }
    }
}
