//! The bar over everything: undo, pins, presets, view.

use egui::{Align, Button, Layout, RichText, ScrollArea, Ui};

use crate::app::command::{Action, Command};
use crate::app::{App, Page, theme};

/// Room that the pins and what stands at the other end of the bar take.
const PINS_WIDTH: f32 = 560.0;

/// Room above and below the menu.
const MENU_MARGIN: f32 = 60.0;

/// Draws the bar.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    ui.horizontal_centered(|ui| {
        ui.label(
            RichText::new("WattIf")
                .text_style(theme::reading())
                .color(palette.strong),
        );
        ui.add_space(6.0);
        ui.menu_button("Menu", |ui| menu(ui, app, queue));
        for command in [Command::OpenPreset, Command::SavePreset] {
            button(ui, app, command, command.title(), queue);
        }
        ui.separator();
        for command in [Command::Undo, Command::Redo, Command::Reset] {
            let words = if command == Command::Reset {
                "Reset"
            } else {
                command.title()
            };
            button(ui, app, command, words, queue);
        }
        // In a narrow window the pins are in the menu only.
        if ui.available_width() > PINS_WIDTH {
            ui.separator();
            for command in [Command::PinA, Command::PinB] {
                button(ui, app, command, command.title(), queue);
            }
            if app.session.pins.iter().any(Option::is_some) {
                button(
                    ui,
                    app,
                    Command::ClearPins,
                    Command::ClearPins.title(),
                    queue,
                );
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            button(ui, app, Command::Present, Command::Present.title(), queue);
            let theme = if ui.visuals().dark_mode {
                "Light"
            } else {
                "Dark"
            };
            button(ui, app, Command::SwitchTheme, theme, queue);
            let settings = &app.session.settings;
            let results = settings.show_results && !(app.narrow && settings.show_controls);
            for (command, words, shown) in [
                (Command::ToggleResults, "Results", results),
                (Command::ToggleControls, "Controls", settings.show_controls),
            ] {
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
        });
    });
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
            Command::ExportCsv
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
