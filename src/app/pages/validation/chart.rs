//! The rows as points, and the one that is pinned.

use egui::{Color32, Hyperlink, RichText, Sense, Stroke, TextStyle, Ui, Vec2, vec2};
use wattif_core::serving::Pair;
use wattif_core::units::Range;

use super::Validation;
use super::rows::{Item, Quantity, Shown, compared, link};
use crate::app::charts::plane::{self, Plane, Side, Sign};
use crate::app::theme;
use crate::format;

impl Validation {
    pub(super) fn chart(&mut self, ui: &mut Ui, size: Vec2, items: &[Item], shown: &Shown) {
        let palette = theme::palette(ui.visuals());
        let bounds = plane::around(
            shown
                .points
                .iter()
                .flat_map(|(_, pair)| [pair.predicted.typical, pair.measured]),
        );
        let (title, predicted): (&str, &str) = match self.filters.quantity {
            Quantity::Energy => (
                "Measured, J per unit of work (log scale)",
                "Predicted, J (log scale)",
            ),
            Quantity::Throughput => (
                "Measured, units of work per second (log scale)",
                "Predicted, units per second (log scale)",
            ),
        };
        let unit = if self.filters.quantity == Quantity::Energy {
            "J"
        } else {
            ""
        };
        let write = |value: f64| format::si(value, unit);
        let side = |title| Side {
            title,
            bounds,
            write: &write,
        };
        let (plane, response) = Plane::show(
            ui,
            size,
            "Predicted against measured",
            &side(title),
            &side(predicted),
        );
        diagonals(&plane, bounds, palette.baseline);
        let of_focus =
            |place: usize| self.focus.as_ref() == Some(&items[place].published().hardware);
        for pass in [false, true] {
            for (place, pair) in &shown.points {
                if of_focus(*place) == pass {
                    let color = match (&self.focus, pass) {
                        (None, _) | (_, true) => palette.accent,
                        _ => palette.baseline,
                    };
                    let opacity = if self.focus.is_some() && !pass {
                        0.35
                    } else {
                        0.65
                    };
                    let at = plane.at(pair.measured, pair.predicted.typical);
                    let fill = theme::faint(color, opacity);
                    plane::sign(
                        &plane.painter,
                        sign_of(items[*place].kind),
                        at,
                        3.5,
                        fill,
                        Stroke::NONE,
                    );
                }
            }
        }
        let strong = |place: usize| {
            let Some((_, pair)) = shown.points.iter().find(|(other, _)| *other == place) else {
                return;
            };
            let Range { low, high, .. } = pair.predicted;
            plane.interval(pair.measured, low, high, Stroke::new(1.5, palette.strong));
            let at = plane.at(pair.measured, pair.predicted.typical);
            let edge = Stroke::new(1.5, palette.strong);
            plane::sign(
                &plane.painter,
                sign_of(items[place].kind),
                at,
                6.0,
                palette.accent,
                edge,
            );
        };
        if let Some(place) = self.place_of_pinned(items) {
            strong(place);
        }
        let near = response.hover_pos().and_then(|pointer| {
            let places = shown.points.iter();
            plane.nearest(
                pointer,
                places.map(|(_, pair)| (pair.measured, pair.predicted.typical)),
            )
        });
        if let Some((place, pair)) = near.and_then(|near| shown.points.get(near)) {
            strong(*place);
            let item = &items[*place];
            if response.clicked() {
                self.pinned = Some(item.published().id.clone());
            }
            response.on_hover_ui_at_pointer(|ui| describe(ui, item, *pair, unit));
        }
    }

    fn place_of_pinned(&self, items: &[Item]) -> Option<usize> {
        let pinned = self.pinned.as_ref()?;
        items.iter().position(|item| item.published().id == *pinned)
    }

    /// The pinned row with its source, or what the marks mean.
    pub(super) fn detail(&mut self, ui: &mut Ui, items: &[Item]) {
        let palette = theme::palette(ui.visuals());
        let unit = if self.filters.quantity == Quantity::Energy {
            "J"
        } else {
            ""
        };
        let pinned = self.place_of_pinned(items).map(|place| &items[place]);
        let Some(item) = pinned else {
            ui.horizontal_wrapped(|ui| legend(ui, items));
            return;
        };
        ui.horizontal(|ui| {
            let title = format!(
                "{} on {}",
                item.published().model,
                item.published().hardware
            );
            let words = RichText::new(title)
                .text_style(theme::emphasis())
                .color(palette.strong);
            ui.add(egui::Label::new(words).truncate());
            if ui.small_button("Unpin").clicked() {
                self.pinned = None;
            }
        });
        if let Some(pair) = item.pair(self.filters.quantity, self.filters.constants) {
            ui.label(compared(item, pair, unit));
        }
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new("Source").color(palette.muted));
            match link(&item.published().source) {
                Some(address) => {
                    ui.add(Hyperlink::from_label_and_url(
                        &item.published().source,
                        address,
                    ));
                }
                None => {
                    ui.add(
                        egui::Label::new(&item.published().source)
                            .truncate()
                            .selectable(true),
                    );
                }
            }
        });
    }
}

fn sign_of(kind: &str) -> Sign {
    match kind {
        "MLPerf" => Sign::Triangle,
        "images" => Sign::Square,
        "videos" => Sign::Diamond,
        "llama.cpp" => Sign::Wedge,
        "small chips" => Sign::Bar,
        _ => Sign::Circle,
    }
}

/// The diagonal where both agree, and where one is twice the other.
fn diagonals(plane: &Plane, (low, high): (f64, f64), color: Color32) {
    plane.line(&[(low, low), (high, high)], Stroke::new(1.5, color), false);
    let thin = Stroke::new(1.0, color);
    for factor in [0.5, 2.0] {
        plane.line(&[(low, low * factor), (high, high * factor)], thin, true);
    }
    // A third of the way up, beside the points.
    let third = low * (high / low).powf(0.35);
    let at = plane.at(third, third * 2.0) + vec2(-6.0, -2.0);
    plane.word(at, egui::Align2::RIGHT_BOTTOM, "twice the measured", color);
}

fn legend(ui: &mut Ui, items: &[Item]) {
    let palette = theme::palette(ui.visuals());
    let small = |text: &str| {
        RichText::new(text.to_owned())
            .text_style(TextStyle::Small)
            .color(palette.muted)
    };
    let mut kinds: Vec<&str> = items.iter().map(|item| item.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let (rect, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
        plane::sign(
            ui.painter(),
            sign_of(kind),
            rect.center(),
            4.0,
            palette.accent,
            Stroke::NONE,
        );
        ui.label(small(kind));
    }
    ui.label(small(
        "dashed: a factor of 2; click a point to pin its source",
    ));
}

fn describe(ui: &mut Ui, item: &Item, pair: Pair, unit: &str) {
    ui.label(RichText::new(&item.published().model).text_style(theme::emphasis()));
    ui.label(format!(
        "{}, {}, {}",
        item.published().hardware,
        item.conditions.task,
        item.scope()
    ));
    ui.label(compared(item, pair, unit));
    ui.label(&item.published().source);
}
