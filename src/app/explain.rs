//! What stands behind a number or a word: the same text under the pointer, with the keyboard and for a screen reader.

use egui::{Label, Response, RichText, Sense, Stroke, StrokeKind, Ui, WidgetText};
use wattif_core::measurement::Provenance;

use super::theme;
use crate::format;

/// A text in lines, the first set off where it is a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    head: Option<String>,
    lines: Vec<String>,
}

impl Words {
    /// Lines under a head.
    pub(super) fn headed(head: impl Into<String>) -> Self {
        Self {
            head: Some(head.into()),
            lines: Vec::new(),
        }
    }

    /// A sentence alone.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            head: None,
            lines: vec![text.into()],
        }
    }

    /// Where a number comes from.
    pub(super) fn of(provenance: &Provenance) -> Self {
        let (kind, text) = match provenance {
            Provenance::Measured { n } => (
                "Measured here",
                format!("on {} samples", format::count(*n as f64)),
            ),
            Provenance::Published { source } => ("Published", source.clone()),
            Provenance::Modelled { formula } => ("Modelled", formula.clone()),
            Provenance::Assumed { reason } => ("Assumed", reason.clone()),
        };
        Self::headed(kind).line(text)
    }

    /// With one more line.
    pub(super) fn line(mut self, text: impl Into<String>) -> Self {
        self.lines.push(text.into());
        self
    }

    /// With the text of others below.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.lines.extend(others.head);
        self.lines.extend(others.lines);
        self
    }

    /// Draws them, as a tooltip has them.
    pub(super) fn draw(&self, ui: &mut Ui) {
        if let Some(head) = &self.head {
            ui.label(RichText::new(head).text_style(theme::emphasis()));
        }
        for line in &self.lines {
            ui.label(line);
        }
    }

    /// The same in one breath.
    fn spoken(&self) -> String {
        let parts: Vec<&str> = self
            .head
            .iter()
            .chain(&self.lines)
            .map(String::as_str)
            .collect();
        parts.join("; ")
    }
}

/// A text that Tab comes to, for [`explained`].
pub(super) fn reachable(ui: &mut Ui, text: impl Into<WidgetText>) -> Response {
    ui.add(Label::new(text).sense(REACHABLE))
}

/// What Tab comes to although nothing can be done with it. It has to be so from the beginning of a frame: what was drawn
/// first as something else has lost the keyboard by then.
pub(super) const REACHABLE: Sense = Sense::FOCUSABLE;

/// Something drawn that says more: under the pointer, and where the keyboard has come to it with Tab, see [`REACHABLE`].
pub(super) fn explained(response: Response, words: impl Fn() -> Words) -> Response {
    let response = told(response, words);
    if response.has_focus() {
        ring(&response);
    }
    response
}

/// The same of something that shows by itself that it has the keyboard.
pub(super) fn told(response: Response, words: impl Fn() -> Words) -> Response {
    response
        .ctx
        .accesskit_node_builder(response.id, |node| node.set_description(words().spoken()));
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    if response.has_focus() {
        response.show_tooltip_ui(|ui| words().draw(ui));
        response
    } else {
        response.on_hover_ui(|ui| words().draw(ui))
    }
}

fn ring(response: &Response) {
    let ctx = &response.ctx;
    let accent = theme::palette(&ctx.global_style().visuals).accent;
    let rect = response.rect.expand(2.0);
    ctx.layer_painter(response.layer_id)
        .with_clip_rect(response.interact_rect.expand(3.0))
        .rect_stroke(rect, 3.0, Stroke::new(2.0, accent), StrokeKind::Inside);
}
