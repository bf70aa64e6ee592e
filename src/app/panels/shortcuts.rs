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
        egui::Grid::new("shortcut list")
            .num_columns(2)
            .spacing([32.0, 4.0])
            .show(ui, |ui| {
                for command in Command::ALL {
                    let Some(shortcut) = command.shortcut() else {
                        continue;
                    };
                    ui.label(command.title().trim_end_matches('…'));
                    ui.label(
                        RichText::new(ui.ctx().format_shortcut(&shortcut)).color(palette.muted),
                    );
                    ui.end_row();
                }
                for (what, keys) in [
                    ("Next or previous control", "Tab, Shift+Tab"),
                    ("Move the slider that has the focus", "Left, Right"),
                    ("Leave the presentation", "Esc"),
                ] {
                    ui.label(what);
                    ui.label(RichText::new(keys).color(palette.muted));
                    ui.end_row();
                }
            });
        ui.add_space(6.0);
        ui.button("Close").clicked()
    });
    !(response.should_close() || response.inner)
}
