//! Asking for a file: the system's dialog, or a field for the path where the desktop offers none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Context, Modal, RichText, TextEdit, Ui};
use poll_promise::Promise;

use super::App;
use super::command::Action;
use super::theme;

/// What a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A model to open.
    OpenModel,
    /// A text to measure on.
    OpenText,
    /// A folder of images to measure on.
    OpenImages,
    /// A preset to open.
    OpenPreset,
    /// The model of a preset, which is not where it was.
    FindModel,
    /// Where to write a preset.
    SavePreset,
    /// Where to write the compressed model: as a GGUF, or packed.
    ExportModel {
        /// Whether it can be a GGUF.
        gguf: bool,
    },
    /// Where to write the table of the charts.
    ExportCsv,
    /// Where to write the picture of the charts.
    ExportPng,
}

impl Purpose {
    const fn title(self) -> &'static str {
        match self {
            Self::OpenModel => "Open a model",
            Self::OpenText => "Measure on a text",
            Self::OpenImages => "Measure on a folder of images",
            Self::OpenPreset => "Open a preset",
            Self::FindModel => "Find the preset's model",
            Self::SavePreset => "Save a preset",
            Self::ExportModel { .. } => "Export the compressed model",
            Self::ExportCsv => "Export the charts as CSV",
            Self::ExportPng => "Export the charts as PNG",
        }
    }

    const fn is_new_file(self) -> bool {
        matches!(
            self,
            Self::SavePreset | Self::ExportModel { .. } | Self::ExportCsv | Self::ExportPng
        )
    }

    const fn file(self) -> (&'static str, &'static [&'static str], &'static str) {
        match self {
            Self::OpenModel | Self::FindModel => (
                "Weights or configuration",
                &["gguf", "safetensors", "onnx", "json"],
                "",
            ),
            Self::OpenText => ("Text", &["txt", "md"], ""),
            Self::OpenImages => ("Folder", &[], ""),
            Self::OpenPreset | Self::SavePreset => ("WattIf preset", &["ron"], "preset.ron"),
            Self::ExportModel { gguf: true } => ("GGUF", &["gguf"], "compressed.gguf"),
            Self::ExportModel { gguf: false } => {
                ("Safetensors", &["safetensors"], "compressed.safetensors")
            }
            Self::ExportCsv => ("Table", &["csv"], "charts.csv"),
            Self::ExportPng => ("Picture", &["png"], "charts.png"),
        }
    }
}

/// The dialog or field that is open, if any.
#[derive(Default)]
pub(super) struct Dialogs {
    asked: Option<Asked>,
    field: Option<Field>,
}

struct Asked {
    purpose: Purpose,
    answer: Promise<Option<PathBuf>>,
    since: f64,
}

struct Field {
    purpose: Purpose,
    text: String,
    reason: String,
    fresh: bool,
}

/// A dialog that answers faster than this was not seen by anybody: the desktop refused to show it.
const FASTEST_PERSON_SECONDS: f64 = 0.25;

impl Dialogs {
    /// Asks for a file. `system` says whether the system's dialog may be tried.
    pub(super) fn ask(
        &mut self,
        purpose: Purpose,
        now: f64,
        system: bool,
        wake: &Arc<dyn Fn() + Send + Sync>,
    ) {
        if self.asked.is_some() {
            return;
        }
        if !system || !system_offers_dialogs() {
            self.type_instead(purpose, "This desktop offers no file dialog");
            return;
        }
        let wake = Arc::clone(wake);
        let answer = Promise::spawn_thread("wattif-dialog", move || {
            let (kind, endings, name) = purpose.file();
            let mut dialog = rfd::FileDialog::new().set_title(purpose.title());
            if !endings.is_empty() {
                dialog = dialog.add_filter(kind, endings);
            }
            let path = if purpose == Purpose::OpenImages {
                dialog.pick_folder()
            } else if purpose.is_new_file() {
                dialog.set_file_name(name).save_file()
            } else {
                dialog.pick_file()
            };
            wake();
            path
        });
        self.asked = Some(Asked {
            purpose,
            answer,
            since: now,
        });
    }

    fn type_instead(&mut self, purpose: Purpose, reason: &str) {
        self.field = Some(Field {
            purpose,
            text: purpose.file().2.to_owned(),
            reason: format!("{reason}; type the path instead"),
            fresh: true,
        });
    }

    /// The answer of the system's dialog, once.
    pub(super) fn poll(&mut self, now: f64) -> Option<(Purpose, PathBuf)> {
        let asked = self.asked.take()?;
        match asked.answer.try_take() {
            Ok(Some(path)) => Some((asked.purpose, path)),
            Ok(None) => {
                if now - asked.since < FASTEST_PERSON_SECONDS {
                    self.type_instead(asked.purpose, "The desktop's file dialog did not open");
                }
                None
            }
            Err(answer) => {
                self.asked = Some(Asked { answer, ..asked });
                None
            }
        }
    }

    /// Closes the field; with a path, that is the answer.
    pub(super) fn close(&mut self, path: Option<String>) -> Option<(Purpose, PathBuf)> {
        let field = self.field.take()?;
        let text = path?;
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        Some((field.purpose, expand_home(text)))
    }

    /// Whether the field that stands in for a dialog is open.
    pub(super) const fn asks_for_path(&self) -> bool {
        self.field.is_some()
    }

    /// Draws the field, if it is open.
    pub(super) fn show(&mut self, ui: &mut Ui, queue: &mut Vec<Action>) {
        let Some(field) = &mut self.field else {
            return;
        };
        let response = Modal::new(egui::Id::unique("path")).show(ui.ctx(), |ui| {
            ui.set_width(440.0_f32.min(ui.ctx().content_rect().width() - 60.0));
            let palette = theme::palette(ui.visuals());
            ui.label(
                RichText::new(field.purpose.title())
                    .text_style(theme::reading())
                    .color(palette.strong),
            );
            ui.label(RichText::new(&field.reason).color(palette.muted));
            let edit = ui.add(
                TextEdit::singleline(&mut field.text)
                    .hint_text("Path")
                    .desired_width(f32::INFINITY),
            );
            edit.widget_info(|| {
                egui::WidgetInfo::labeled(egui::accesskit::Role::TextInput, true, "Path")
            });
            if std::mem::take(&mut field.fresh) {
                edit.request_focus();
            }
            let entered =
                edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            ui.horizontal(|ui| {
                let verb = if field.purpose.is_new_file() {
                    "Save"
                } else {
                    "Open"
                };
                if ui.button(verb).clicked() || entered {
                    queue.push(Action::Path(Some(field.text.clone())));
                }
                if ui.button("Cancel").clicked() {
                    queue.push(Action::Path(None));
                }
            });
        });
        if response.should_close() {
            queue.push(Action::Path(None));
        }
    }
}

impl App {
    /// Asks for a file.
    pub(super) fn ask(&mut self, ctx: &Context, purpose: Purpose) {
        let now = ctx.input(|input| input.time);
        self.dialogs
            .ask(purpose, now, self.system_dialogs, &Arc::clone(&self.wake));
    }
}

/// Whether a file dialog can be expected: elsewhere always, on Linux where there is a session bus for the portal or the
/// `zenity` program that stands in for it.
fn system_offers_dialogs() -> bool {
    if cfg!(any(target_os = "windows", target_os = "macos")) {
        return true;
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let bus = set("DBUS_SESSION_BUS_ADDRESS")
        || std::env::var_os("XDG_RUNTIME_DIR")
            .is_some_and(|folder| Path::new(&folder).join("bus").exists());
    let zenity = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join("zenity").is_file())
    });
    bus || zenity
}

/// `~/x` is a file in the home folder, as in a shell.
fn expand_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(text),
    }
}
