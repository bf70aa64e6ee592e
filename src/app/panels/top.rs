//! The bar over everything: undo, pins, presets, view.

use egui::{Align, Button, Color32, Layout, RichText, ScrollArea, TextStyle, Ui};

use crate::app::command::{Action, Command};
use crate::app::{App, Page, theme};

/// Room above and below the menu.
const MENU_MARGIN: f32 = 60.0;

/// A part of the bar that is left out where it has no room; its commands are in the menu too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Panels,
    History,
    Files,
    Brand,
    View,
    Pins,
}

impl Part {
    /// By worth: the first are the last to go.
    const ALL: [Self; 6] = [
        Self::Panels,
        Self::History,
        Self::Files,
        Self::Brand,
        Self::View,
        Self::Pins,
    ];

    /// Its commands with their words, from left to right.
    fn buttons(self, app: &App, dark: bool) -> Vec<(Command, &'static str)> {
        let titled = |command: Command| (command, command.title());
        match self {
            Self::Brand => Vec::new(),
            Self::Panels => vec![
                (Command::ToggleControls, "Controls"),
                (Command::ToggleResults, "Results"),
            ],
            Self::History => vec![
                titled(Command::Undo),
                titled(Command::Redo),
                (Command::Reset, "Reset"),
            ],
            Self::Files => [Command::OpenPreset, Command::SavePreset]
                .map(titled)
                .to_vec(),
            Self::View => vec![
                (Command::SwitchTheme, if dark { "Light" } else { "Dark" }),
                titled(Command::Present),
            ],
            Self::Pins => {
                let mut pins = [Command::PinA, Command::PinB].map(titled).to_vec();
                if app.session.pins.iter().any(Option::is_some) {
                    pins.push(titled(Command::ClearPins));
                }
                pins
            }
        }
    }

    /// Room that it takes, with the line before it.
    fn width(self, ui: &Ui, app: &App) -> f32 {
        const LINE: f32 = 16.0;
        let spacing = ui.spacing();
        let gap = spacing.item_spacing.x;
        let words = |text: &str, style: TextStyle| {
            let font = style.resolve(ui.style());
            let galley = ui
                .painter()
                .layout_no_wrap(text.to_owned(), font, Color32::PLACEHOLDER);
            galley.size().x
        };
        if self == Self::Brand {
            return words(BRAND, theme::reading()) + gap + BRAND_GAP;
        }
        let padding = 2.0 * spacing.button_padding.x + gap;
        let buttons = self.buttons(app, ui.visuals().dark_mode);
        let text: f32 = buttons
            .iter()
            .map(|(_, text)| words(text, TextStyle::Button) + padding)
            .sum();
        text + LINE + gap
    }
}

const BRAND: &str = "WattIf";
const BRAND_GAP: f32 = 6.0;
const MENU: &str = "Menu";

/// The parts that have room beside the menu.
fn parts_with_room(ui: &Ui, app: &App) -> Vec<Part> {
    const MENU_WIDTH: f32 = 64.0;
    let mut room = ui.available_width() - MENU_WIDTH;
    Part::ALL
        .into_iter()
        .filter(|part| {
            let width = part.width(ui, app);
            let fits = width <= room;
            if fits {
                room -= width;
            }
            fits
        })
        .collect()
}

/// Draws the bar.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let dark = ui.visuals().dark_mode;
    ui.horizontal_centered(|ui| {
        let parts = parts_with_room(ui, app);
        if parts.contains(&Part::Brand) {
            ui.label(
                RichText::new(BRAND)
                    .text_style(theme::reading())
                    .color(palette.strong),
            );
            ui.add_space(BRAND_GAP);
        }
        ui.menu_button(MENU, |ui| menu(ui, app, queue));
        for part in [Part::Files, Part::History, Part::Pins] {
            if !parts.contains(&part) {
                continue;
            }
            if part != Part::Files {
                ui.separator();
            }
            for (command, words) in part.buttons(app, dark) {
                button(ui, app, command, words, queue);
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if parts.contains(&Part::View) {
                for (command, words) in Part::View.buttons(app, dark).into_iter().rev() {
                    button(ui, app, command, words, queue);
                }
            }
            if parts.contains(&Part::Panels) {
                for (command, words) in Part::Panels.buttons(app, dark).into_iter().rev() {
                    toggle(ui, app, command, words, queue);
                }
            }
        });
    });
}

/// A button that shows whether its panel is there.
fn toggle(ui: &mut Ui, app: &App, command: Command, words: &str, queue: &mut Vec<Action>) {
    let settings = &app.session.settings;
    let shown = match command {
        Command::ToggleControls => settings.show_controls,
        _ => settings.show_results && !(app.narrow && settings.show_controls),
    };
    let mut response = hint(ui.add(Button::selectable(shown, words)), command);
    if app.narrow {
        response = response.on_hover_text(
            "The window is too narrow for both panels: results take the place of the controls",
        );
    }
    if response.clicked() {
        queue.push(Action::Run(command));
    }
}

fn button(ui: &mut Ui, app: &App, command: Command, words: &str, queue: &mut Vec<Action>) {
    let response = ui.add_enabled(
        app.can(command),
        Button::new(words).frame_when_inactive(false),
    );
    if hint(response, command).clicked() {
        queue.push(Action::Run(command));
    }
}

fn hint(response: egui::Response, command: Command) -> egui::Response {
    let text = match command.shortcut() {
        Some(shortcut) => format!(
            "{} ({})",
            command.title(),
            response.ctx.format_shortcut(&shortcut)
        ),
        None => command.title().to_owned(),
    };
    response.on_hover_text(text)
}

fn menu(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    // Closer together than in the bar, and scrolled where the window is lower than the list.
    ui.spacing_mut().interact_size.y = 20.0;
    ui.spacing_mut().item_spacing.y = 1.0;
    let height = ui.ctx().content_rect().height() - MENU_MARGIN;
    ScrollArea::vertical()
        .max_height(height)
        .min_scrolled_height(height)
        .show(ui, |ui| items(ui, app, queue));
}

fn items(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    ui.set_min_width(230.0);
    for command in Command::ALL {
        let begins_group = matches!(
            command,
            Command::ExportModel
                | Command::Undo
                | Command::PinA
                | Command::Show(Page::WhatIf)
                | Command::Present
                | Command::ChangeHardware
                | Command::CancelTraining
        );
        if begins_group {
            ui.separator();
        }
        let mut item = Button::new(command.title());
        if let Some(shortcut) = command.shortcut() {
            item = item.shortcut_text(ui.ctx().format_shortcut(&shortcut));
        }
        let mut response = ui.add_enabled(app.can(command), item);
        if let Some(obstacle) = app.obstacle(command) {
            response = response.on_disabled_hover_text(obstacle);
        }
        if response.clicked() {
            queue.push(Action::Run(command));
            ui.close();
        }
    }
}
