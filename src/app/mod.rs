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
mod compare;
mod derived;
mod dialogs;
mod editor;
mod engine;
mod explain;
mod export;
mod glossary;
mod hardware;
mod layout;
mod names;
mod news;
mod outline;
mod pages;
mod panels;
mod power;
mod run;
mod session;
mod storage;
mod theme;
mod timing;
mod widgets;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use egui::{Context, Ui};
use wattif_core::model::ModelReference;
use wattif_core::preset::Preset;
use wattif_core::recipe::Recipe;

use calibrating::Calibrating;
use charts::Charts;
use command::Action;
use derived::{Derived, Store};
use dialogs::Dialogs;
use editor::Editor;
use pages::Pages;
use panels::errors::{Notice, Tone};
use panels::examples::Pictures;
use panels::status::Activity;
use session::{History, Step};
use timing::Timing;

pub use axis::Axis;
pub use backend::{Backend, ModelFacts, Opener, TrainingReport, Update};
pub use calibrating::Measurer;
pub use command::Command;
pub use pages::Page;
pub use run::{Start, engine_opener, run};
pub use session::{Configuration, DEFAULT_MODEL, Session, Settings};
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
    store: Store,
    derived: Derived,
    charts: Charts,
    backend: Option<Box<dyn Backend>>,
    facts: Option<ModelFacts>,
    opening: Option<Opening>,
    opener: Opener,
    wake: Arc<dyn Fn() + Send + Sync>,
    queue: Vec<Action>,
    notices: Vec<Notice>,
    next_notice: u64,
    activity: Activity,
    training: Option<Training>,
    /// Key of the recipe whose training was stopped by hand; it is not begun again by itself.
    not_to_train: Option<String>,
    /// Speed with packed weights on this machine.
    timing: Timing,
    dialogs: Dialogs,
    editor: Editor,
    calibrating: Calibrating,
    system_dialogs: bool,
    folder: Option<PathBuf>,
    kept: Session,
    presenting: bool,
    /// Whether controls and results do not both fit beside the charts.
    narrow: bool,
    /// Whether not even one of them fits beside the charts.
    single: bool,
    listing_shortcuts: bool,
    preset: Option<OpenedPreset>,
    pictures: Pictures,
    pages: Pages,
    submitted: Option<String>,
    filled: Option<(String, Axis, u64)>,
    picture: Picture,
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
    /// By a preset.
    Preset(Box<OpenedPreset>),
    /// By a step along the history.
    Step(Step),
}

/// A student in training, with the losses so far.
struct Training {
    report: TrainingReport,
    /// Steps and their losses, thinned to what a small curve can show.
    losses: Vec<(u64, f64)>,
    /// The last quality that was measured on the way.
    quality: Option<f64>,
}

impl Training {
    const MOST_LOSSES: usize = 400;

    fn follow(&mut self, report: TrainingReport) {
        self.losses.push((report.steps.0, report.loss));
        if self.losses.len() > Self::MOST_LOSSES {
            let mut place = 0;
            self.losses.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        self.quality = report.quality.or(self.quality);
        self.report = report;
    }
}

/// A preset that was opened, with what to know before comparing its figures.
struct OpenedPreset {
    preset: Preset,
    differences: Vec<String>,
}

impl OpenedPreset {
    /// Whether the sliders still stand as the preset had them.
    fn applies(&self, configuration: &Configuration) -> bool {
        self.preset.recipe.key() == configuration.recipe.key()
            && self.preset.scenario == configuration.scenario
    }
}

/// A picture of the charts, where to write it, once its pixels are there.
type Picture = Arc<Mutex<Option<(PathBuf, Arc<egui::ColorImage>)>>>;

/// Title of the notice of a file that was written.
const SAVED: &str = "Saved";

impl App {
    /// A window that opens what it is told to, with the settings of last time.
    pub fn new(ctx: &Context, options: Options) -> Self {
        theme::install(ctx);
        let wake_ctx = ctx.clone();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || wake_ctx.request_repaint());
        let loaded = options.folder.as_deref().map(storage::load);
        let (session, complaint) = match loaded {
            None => (Session::default(), None),
            Some(Ok(session)) => (session, None),
            Some(Err(error)) => (Session::default(), Some(error)),
        };
        let mut app = Self {
            history: History::new(session.configuration.clone()),
            kept: session.clone(),
            session,
            store: Store::default(),
            derived: Derived::default(),
            charts: Charts::default(),
            backend: None,
            facts: None,
            opening: None,
            opener: options.opener,
            wake,
            queue: Vec::new(),
            notices: Vec::new(),
            next_notice: 0,
            activity: Activity::default(),
            training: None,
            not_to_train: None,
            timing: Timing::default(),
            dialogs: Dialogs::default(),
            editor: Editor::default(),
            calibrating: Calibrating::default(),
            system_dialogs: options.system_dialogs,
            folder: options.folder,
            presenting: false,
            narrow: false,
            single: false,
            listing_shortcuts: false,
            preset: None,
            pictures: Pictures::default(),
            pages: Pages::default(),
            submitted: None,
            filled: None,
            picture: Picture::default(),
            power: None,
        };
        if let Some(error) = complaint {
            app.notify(Tone::Note, "Starting afresh", format!("{error:#}"));
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
            self.open_compressed(reference, Recipe::default());
        }
        if self.opening.is_none() {
            let configuration = self.session.configuration.clone();
            self.open(configuration, How::Chosen);
        }
    }

    /// What is explored, pinned and set.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The texts of the messages that wait to be read.
    pub fn messages(&self) -> Vec<String> {
        self.notices
            .iter()
            .map(|notice| format!("{}: {}", notice.title, notice.text))
            .collect()
    }

    /// What the three charts say: quality, throughput, CO2e.
    pub fn readings(&mut self) -> [String; 3] {
        self.charts
            .get(&self.session, &self.store, &self.derived)
            .each_ref()
            .map(|chart| chart.reading.clone())
    }

    /// Whether a model is open and nothing is left to do.
    pub fn is_idle(&self) -> bool {
        self.opening.is_none()
            && self.facts.is_some()
            && self.activity.idle
            && !self.pages.is_busy()
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
        match self.facts.as_ref().map(|facts| facts.unit) {
            Some(wattif_core::profile::Unit::Token) => {
                format!("{} bits per byte", crate::format::significant(quality, 3))
            }
            _ => format!("{} right", crate::format::percent(quality, 0)),
        }
    }

    fn class_name(&self, class: usize) -> String {
        self.backend
            .as_ref()
            .map_or_else(String::new, |backend| backend.class_name(class))
    }

    fn notify(&mut self, tone: Tone, title: &str, text: String) {
        let id = self.next_notice;
        self.next_notice += 1;
        // The same failure over and over (a drag over broken ground) is one message.
        if self
            .notices
            .iter()
            .any(|n| n.title == title && n.text == text)
        {
            return;
        }
        // Of what was saved, the latest is news.
        if title == SAVED {
            self.notices.retain(|notice| notice.title != SAVED);
        }
        self.notices.push(Notice {
            id,
            tone,
            title: title.to_owned(),
            text,
        });
    }

    fn fail(&mut self, title: &str, error: &dyn std::fmt::Display) {
        self.notify(Tone::Failure, title, format!("{error:#}"));
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
        self.finish_picture(ctx);
        self.run_queue(ctx);
        let resting = ctx.input(|input| !input.pointer.any_down() && input.keys_down.is_empty());
        if resting {
            self.settle(ctx);
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        let open = match (&self.backend, &self.facts) {
            (Some(backend), Some(facts)) => Some((&**backend, facts.hash.as_str())),
            _ => None,
        };
        self.derived.refresh(&self.session, &self.store, open);
    }

    /// The hand rests: record an undo step, measure what is around, keep the session.
    fn settle(&mut self, _ctx: &Context) {
        self.history.settle(&self.session.configuration);
        self.fill();
        self.train_if_wanted();
        if self.session != self.kept
            && let Some(folder) = &self.folder
        {
            self.kept = self.session.clone();
            if let Err(error) = storage::save(folder, &self.session) {
                self.fail("The session could not be kept", &error);
            }
        }
    }

    fn shortcuts(&mut self, ctx: &Context) {
        // While the editor is open, the keys are for its fields.
        if self.editor.is_open() {
            return;
        }
        if self.presenting && ctx.input(|input| input.key_pressed(egui::Key::Escape)) {
            self.presenting = false;
        }
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
        } else if is("safetensors") || is("json") || path.join("config.json").is_file() {
            self.open_model(ModelReference::File(path.to_owned()));
        } else {
            let error = wattif_core::Error::file(
                "this is neither a preset or device (.ron) nor a model (.safetensors, config.json)",
                path,
            );
            self.fail("The file was not opened", &error);
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
            && self.session != self.kept
        {
            // The window is gone: there is nobody left to tell that the session could not be kept.
            let _ = storage::save(folder, &self.session);
        }
    }
}
