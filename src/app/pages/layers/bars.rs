//! Time and energy of every layer as bars, the original beside them.

use egui::{
    Align, Rect, RichText, ScrollArea, Sense, Stroke, StrokeKind, TextStyle, Ui, pos2, vec2,
};
use wattif_core::footprint::{EnergyBreakdown, Footprint, LayerCost};

use crate::app::explain::{REACHABLE, Words, explained};
use crate::app::panels::breakdown;
use crate::app::theme;
use crate::app::widgets::{self, cell};
use crate::format;

/// Widths of the columns of the rows.
struct Lanes {
    name: f32,
    bar: f32,
    number: f32,
    longest: f64,
    most: f64,
}

impl Lanes {
    /// Between time and energy.
    const GAP: f32 = 12.0;
}

pub(super) fn bars(ui: &mut Ui, footprint: &Footprint, original: Option<&Footprint>, unit: &str) {
    let palette = theme::palette(ui.visuals());
    let before = original.map_or(&[][..], |original| &original.layers);
    let both = || footprint.layers.iter().chain(before);
    let width = ui.available_width() - 12.0;
    let growth = TextStyle::Small.resolve(ui.style()).size / 11.0;
    let longest = footprint.layers.iter().map(|layer| layer.layer.len()).max();
    // About seven points a letter.
    let name = (7.0 * growth * longest.unwrap_or(0) as f32).clamp(width * 0.12, width * 0.28);
    let number = 62.0 * growth;
    let lanes = Lanes {
        name,
        bar: ((width - name - Lanes::GAP - 2.0 * number) / 2.0 - 10.0).max(12.0),
        number,
        longest: both().map(|l| l.time.0).fold(0.0, f64::max),
        most: both().map(|l| l.energy.total().0).fold(0.0, f64::max),
    };
    ui.spacing_mut().item_spacing = vec2(4.0, 3.0);
    ui.separator();
    ui.horizontal(|ui| {
        let head = |text: String| {
            RichText::new(text)
                .text_style(theme::emphasis())
                .color(palette.strong)
        };
        cell(ui, lanes.name, Align::Min, head("Layer".to_owned()));
        let wide = lanes.bar + lanes.number + 4.0;
        cell(ui, wide, Align::Min, head(format!("Time per {unit}")));
        ui.add_space(Lanes::GAP);
        cell(ui, wide, Align::Min, head(format!("Energy per {unit}")));
    });
    components(ui, footprint, original.is_some());
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        for layer in &footprint.layers {
            let before = before.iter().find(|other| other.layer == layer.layer);
            row(ui, layer, before, &lanes);
        }
    });
}

/// What the colours of the energy bars mean.
fn components(ui: &mut Ui, footprint: &Footprint, original: bool) {
    let palette = theme::palette(ui.visuals());
    let parts = breakdown::parts(&footprint.breakdown);
    ui.horizontal_wrapped(|ui| {
        for (place, (name, help)) in breakdown::NAMES.into_iter().enumerate() {
            if parts[place] > 0.0 {
                widgets::swatch(ui, palette.energy[place]);
                let text = RichText::new(name)
                    .text_style(TextStyle::Small)
                    .color(palette.muted);
                ui.label(text).on_hover_text(help);
            }
        }
        if original {
            ui.add_space(8.0);
            let text = RichText::new("thin grey bar: the original")
                .text_style(TextStyle::Small)
                .color(palette.muted);
            ui.label(text);
        }
    });
}

const ROW: f32 = 22.0;

fn row(ui: &mut Ui, layer: &LayerCost, before: Option<&LayerCost>, lanes: &Lanes) {
    let palette = theme::palette(ui.visuals());
    let response = ui
        .horizontal(|ui| {
            cell(ui, lanes.name, Align::Min, layer.layer.as_str());
            let time = [(layer.time.0, palette.accent)];
            bar(
                ui,
                lanes.bar,
                &time,
                before.map(|b| b.time.0),
                lanes.longest,
            );
            cell(ui, lanes.number, Align::Max, format::si(layer.time.0, "s"));
            ui.add_space(Lanes::GAP);
            let parts = breakdown::parts(&layer.energy);
            let colored: Vec<_> = parts.into_iter().zip(palette.energy).collect();
            let total = |energy: &EnergyBreakdown| energy.total().0;
            bar(
                ui,
                lanes.bar,
                &colored,
                before.map(|b| total(&b.energy)),
                lanes.most,
            );
            cell(
                ui,
                lanes.number,
                Align::Max,
                format::si(total(&layer.energy), "J"),
            );
        })
        .response;
    let id = response.id.with("figures");
    let reached = ui.interact(response.rect, id, REACHABLE);
    reached.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::Label, true, &layer.layer)
    });
    explained(reached, || {
        let mut words = Words::headed(&layer.layer);
        words = words.line(format!("Bound by {}", layer.bound().words()));
        let lines = [(Some(layer), "Now"), (before, "Original")];
        for (layer, when) in lines {
            let Some(layer) = layer else { continue };
            let parts = breakdown::parts(&layer.energy);
            let named: Vec<String> = breakdown::NAMES
                .iter()
                .zip(parts)
                .filter(|(_, part)| *part > 0.0)
                .map(|((name, _), part)| {
                    format!("{} {}", name.to_lowercase(), format::si(part, "J"))
                })
                .collect();
            words = words.line(format!(
                "{when}: {}, {} ({})",
                format::si(layer.time.0, "s"),
                format::si(layer.energy.total().0, "J"),
                named.join(", ")
            ));
        }
        words
    });
}

/// Parts end to end on a scale from zero, and the original as a thin bar below.
fn bar(ui: &mut Ui, width: f32, parts: &[(f64, egui::Color32)], before: Option<f64>, most: f64) {
    let palette = theme::palette(ui.visuals());
    let (rect, _) = ui.allocate_exact_size(vec2(width, ROW - 3.0), Sense::hover());
    if most <= 0.0 {
        return;
    }
    let x = |value: f64| rect.left() + rect.width() * (value / most) as f32;
    let mut sum = 0.0;
    for (part, color) in parts {
        let piece = Rect::from_min_max(
            pos2(x(sum), rect.top() + 2.0),
            pos2(x(sum + part), rect.top() + 11.0),
        );
        sum += part;
        if piece.width() > 0.0 {
            let edge = Stroke::new(if piece.width() > 3.0 { 0.5 } else { 0.0 }, palette.surface);
            ui.painter()
                .rect(piece, 0.0, *color, edge, StrokeKind::Inside);
        }
    }
    if let Some(before) = before {
        let thin = Rect::from_min_max(
            pos2(rect.left(), rect.top() + 13.0),
            pos2(x(before), rect.top() + 16.0),
        );
        ui.painter().rect_filled(thin, 0.0, palette.baseline);
    }
}
