//! What all pages are made of: a card over the whole room, the sentence on top, rows that can be chosen.

use egui::{Response, RichText, Stroke, StrokeKind, Ui};

use crate::app::theme::{self, Palette};
use crate::app::widgets;

/// A card over the rest of the room, for a page.
pub(in crate::app) fn card<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = theme::palette(ui.visuals());
    widgets::card_frame(palette)
        .show(ui, |ui| {
            ui.set_min_size(ui.available_size());
            contents(ui)
        })
        .inner
}

/// The ground of a row that can be chosen.
pub(in crate::app) fn row_ground(
    painter: &egui::Painter,
    rect: egui::Rect,
    response: &Response,
    chosen: bool,
    palette: &Palette,
) {
    if chosen {
        painter.rect_filled(rect, 4.0, palette.selected);
    } else if response.hovered() {
        painter.rect_filled(rect, 4.0, palette.field);
    }
    if response.has_focus() {
        let ring = Stroke::new(2.0, palette.accent);
        painter.rect_stroke(rect, 4.0, ring, StrokeKind::Inside);
    }
}

/// A page with nothing to show, and why.
pub(in crate::app) fn empty(ui: &mut Ui, reason: &str) {
    let palette = theme::palette(ui.visuals());
    card(ui, |ui| {
        ui.centered_and_justified(|ui| {
            ui.label(RichText::new(reason).color(palette.muted));
        });
    });
}

/// What a page says, in one sentence.
pub(in crate::app) fn reading(ui: &mut Ui, text: &str) -> Response {
    let palette = theme::palette(ui.visuals());
    // A number keeps its unit when the line breaks.
    let words = RichText::new(text.replace(" %", "\u{a0}%"))
        .text_style(theme::reading())
        .color(palette.strong);
    let response = ui.add(egui::Label::new(words).wrap());
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_value(text));
    response
}
