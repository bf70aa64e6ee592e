//! The list of keyboard shortcuts.

use egui::{Modal, RichText, Ui};

use crate::app::command::Command;
use crate::app::theme;

/// Draws the list over the window; false once it was closed.
pub(in crate::app) fn show(ui: &mut Ui) -> bool {
    let response = Modal::new(egui::Id::unique("shortcuts")).show(ui.ctx(), |ui| {
        let palette = theme::palette(ui.visuals());
        ui.label(
            RichText::new("Keyboard shortcuts")
                .text_style(theme::reading())
                .color(palette.strong),
        );
        ui.add_space(4.0);
        let height = (ui.ctx().content_rect().height() - OTHERS).max(LEAST);
        let list = egui::ScrollArea::vertical().max_height(height);
        list.show(ui, list_them);
        ui.add_space(6.0);
        ui.button("Close").clicked()
    });
    !(response.should_close() || response.inner)
}

/// Height of the title, the button and the room around the window.
const OTHERS: f32 = 130.0;
/// Height of the list in the lowest window.
const LEAST: f32 = 80.0;

fn list_them(ui: &mut Ui) {
    let palette = theme::palette(ui.visuals());
    egui::Grid::new("shortcut list")
        .num_columns(2)
        .spacing([32.0, 4.0])
        .show(ui, |ui| {
            for command in Command::ALL {
                let Some(shortcut) = command.shortcut() else {
                    continue;
                };
                ui.label(command.title().trim_end_matches('…'));
                ui.label(RichText::new(ui.ctx().format_shortcut(&shortcut)).color(palette.muted));
                ui.end_row();
            }
            for (what, keys) in [
                ("Next or previous control", "Tab, Shift+Tab"),
                ("Move the slider that has the focus", "Left, Right"),
                ("What stands behind a figure", "Tab to it"),
                ("Leave the presentation", "Esc"),
            ] {
                ui.label(what);
                ui.label(RichText::new(keys).color(palette.muted));
                ui.end_row();
            }
        });
}
