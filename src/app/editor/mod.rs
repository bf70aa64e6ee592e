//! The hardware editor: a copy of a device, or one of the user's own, with every figure in a field, checked while people
//! type, and a preview of what the changes do. Saved devices are files like any other of the user's.

mod draft;
mod preview;
mod quantity;
mod row;
mod view;

use egui::{Align, Button, Layout, Modal, RichText, ScrollArea, TextStyle, Ui};
use wattif_core::hardware::HardwareTarget;
use wattif_core::hardware::own;

use self::draft::Draft;
use self::preview::Preview;
use super::{App, theme};

/// The editor and the questions it asks.
#[derive(Default)]
pub(super) struct Editor {
    draft: Option<Draft>,
    preview: Preview,
    question: Option<Question>,
    /// Whether the editor was opened just now, so that its first field gets the keyboard.
    fresh: bool,
}

/// What a person is asked before something is lost.
enum Question {
    /// Close without saving?
    Discard,
    /// Remove this device, by identifier and name?
    Remove { id: String, name: String },
}

/// What the window has to do.
pub(super) enum Answer {
    /// Write the device and go to it.
    Save {
        target: Box<HardwareTarget>,
        is_new: bool,
    },
    /// Remove the device with this identifier.
    Remove(String),
}

impl Editor {
    /// Whether it is open, and the keyboard is its own.
    pub(super) fn is_open(&self) -> bool {
        self.draft.is_some() || self.question.is_some()
    }

    /// Opens a copy of a device.
    pub(super) fn copy(&mut self, target: &HardwareTarget, folder: &std::path::Path) {
        self.open(Draft::copy_of(target, folder));
    }

    /// Opens one of the user's own devices.
    pub(super) fn change(&mut self, target: &HardwareTarget, folder: &std::path::Path) {
        self.open(Draft::change_of(target, folder));
    }

    fn open(&mut self, draft: Draft) {
        *self = Self {
            draft: Some(draft),
            fresh: true,
            ..Self::default()
        };
    }

    /// Asks whether a device is to be removed.
    pub(super) fn ask_to_remove(&mut self, target: &HardwareTarget) {
        self.question = Some(Question::Remove {
            id: target.id.clone(),
            name: target.name.clone(),
        });
    }

    /// Everything is done: the device is saved or gone.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// Draws what is open.
    pub(super) fn show(&mut self, ui: &mut Ui, app: &App) -> Option<Answer> {
        let answer = self.show_draft(ui, app);
        self.show_question(ui).or(answer)
    }

    fn show_draft(&mut self, ui: &mut Ui, app: &App) -> Option<Answer> {
        let draft = self.draft.as_mut()?;
        let room = ui.ctx().content_rect().size();
        let width = (room.x - 80.0).min(1080.0).max((room.x - 40.0).min(400.0));
        let fresh = std::mem::take(&mut self.fresh);
        let preview = &mut self.preview;
        let mut wanted = None;
        let response = Modal::new(egui::Id::unique("hardware editor")).show(ui.ctx(), |ui| {
            ui.set_width(width);
            heading(ui, draft);
            ui.add_space(4.0);
            let height = (room.y - 190.0).max(80.0);
            let narrow = width < 800.0;
            let aside = if narrow { 0.0 } else { 300.0 };
            ui.horizontal_top(|ui| {
                ui.vertical(|ui| {
                    ui.set_width(width - aside - 12.0);
                    ScrollArea::vertical()
                        .id_salt("figures")
                        .max_height(height)
                        // At once, not over many frames as the dialog grows.
                        .min_scrolled_height(height)
                        .auto_shrink(false)
                        .show(ui, |ui| {
                            ui.spacing_mut().item_spacing.y = 8.0;
                            if narrow {
                                preview.show(ui, draft, app);
                            }
                            view::show(ui, draft, fresh);
                        });
                });
                if !narrow {
                    ui.vertical(|ui| {
                        ui.set_width(aside);
                        ScrollArea::vertical()
                            .id_salt("preview")
                            .max_height(height)
                            .show(ui, |ui| preview.show(ui, draft, app));
                    });
                }
            });
            ui.add_space(6.0);
            wanted = footer(ui, draft);
        });
        if response.should_close() && self.question.is_none() {
            wanted = Some(Wanted::Close);
        }
        match wanted? {
            Wanted::Save => Some(Answer::Save {
                target: Box::new(draft.target.clone()),
                is_new: draft.is_new,
            }),
            Wanted::Close if draft.has_changes() => {
                self.question = Some(Question::Discard);
                None
            }
            Wanted::Close => {
                self.close();
                None
            }
            Wanted::Remove => {
                let target = draft.original.clone();
                self.ask_to_remove(&target);
                None
            }
        }
    }

    fn show_question(&mut self, ui: &mut Ui) -> Option<Answer> {
        let question = self.question.as_ref()?;
        let (title, text, verb, stay) = match question {
            Question::Discard => (
                "Close without saving?".to_owned(),
                "The changes to this device are lost".to_owned(),
                "Discard changes",
                "Keep editing",
            ),
            Question::Remove { id, name } => (
                format!("Remove {name}?"),
                format!(
                    "Presets that name '{id}' no longer find it. Its file stays in the folder, with {} at the end of \
                     its name",
                    own::BACKUP
                ),
                "Remove",
                "Keep it",
            ),
        };
        let mut decided = None;
        let response = Modal::new(egui::Id::unique("hardware question")).show(ui.ctx(), |ui| {
            ui.set_width(340.0);
            let palette = theme::palette(ui.visuals());
            ui.label(
                RichText::new(title)
                    .text_style(theme::reading())
                    .color(palette.strong),
            );
            ui.label(text);
            ui.add_space(4.0);
            ui.horizontal(|ui| {
                if ui.button(verb).clicked() {
                    decided = Some(true);
                }
                if ui.button(stay).clicked() {
                    decided = Some(false);
                }
            });
        });
        if response.should_close() {
            decided = Some(false);
        }
        let decided = decided?;
        match self.question.take()? {
            Question::Remove { id, .. } if decided => Some(Answer::Remove(id)),
            Question::Discard if decided => {
                self.close();
                None
            }
            _ => None,
        }
    }
}

enum Wanted {
    Save,
    Close,
    Remove,
}

fn heading(ui: &mut Ui, draft: &Draft) {
    let palette = theme::palette(ui.visuals());
    let verb = if draft.is_new { "Copy of" } else { "Change" };
    ui.label(
        RichText::new(format!("{verb} {}", draft.original.name))
            .text_style(theme::reading())
            .color(palette.strong),
    );
    ui.label(
        RichText::new(
            "Numbers with or without unit: 700 W, 3.35 TB/s, 0.6 pJ. Low and high follow the typical value until you \
             type them",
        )
        .text_style(TextStyle::Small)
        .color(palette.muted),
    );
}

fn footer(ui: &mut Ui, draft: &Draft) -> Option<Wanted> {
    let palette = theme::palette(ui.visuals());
    let mut wanted = None;
    let obstacle = draft.obstacle();
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let save = ui
            .add_enabled(obstacle.is_none(), Button::new("Save"))
            .on_disabled_hover_text(obstacle.as_deref().unwrap_or_default());
        if save.clicked() {
            wanted = Some(Wanted::Save);
        }
        if ui.button("Cancel").clicked() {
            wanted = Some(Wanted::Close);
        }
        if !draft.is_new && ui.button("Remove…").clicked() {
            wanted = Some(Wanted::Remove);
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let count = match draft.changes() {
                0 => String::new(),
                1 => "1 figure changed. ".to_owned(),
                n => format!("{n} figures changed. "),
            };
            let file = if draft.is_new {
                format!("Will be saved as {}.ron among your devices", draft.target.id)
            } else {
                format!(
                    "The file is written anew, without its comments; the old one stays beside it as {}",
                    own::BACKUP
                )
            };
            let (text, color) = match obstacle.as_ref().filter(|_| draft.has_changes()) {
                Some(fact) => (format!("Cannot be saved: {fact}"), palette.error),
                None => (count + &file, palette.muted),
            };
            ui.add(egui::Label::new(RichText::new(text).color(color)).truncate());
        });
    });
    wanted
}
