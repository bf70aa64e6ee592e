//! The left panel: the model, what is done to it, and where it runs.

use egui::{RichText, ScrollArea, Ui};

use super::{data, model, recipe, scenario};
use crate::app::command::Action;
use crate::app::{App, theme};

/// Draws the panel.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    // The bar has a strip of its own beside knobs and numbers.
    let scroll = &mut ui.spacing_mut().scroll;
    scroll.floating_allocated_width = scroll.bar_width;
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        model::show(ui, app, queue);
        data::show(ui, app, queue);
        ui.add_space(4.0);
        heading(ui, "Compress");
        recipe::show(ui, app, queue);
        ui.add_space(4.0);
        heading(ui, "Run it on");
        scenario::show(ui, app, queue);
    });
}

fn heading(ui: &mut Ui, text: &str) {
    let palette = theme::palette(ui.visuals());
    ui.separator();
    ui.label(
        RichText::new(text)
            .text_style(theme::heading())
            .color(palette.strong),
    );
}
