//! One row per device: its name, a bar from low to high on an axis that all rows share, and the number.

use egui::{
    Align, Align2, Color32, FontId, Layout, Painter, Pos2, Rect, RichText, Sense, Stroke,
    TextStyle, Ui, pos2, vec2,
};
use wattif_core::serving::Fit;
use wattif_core::units::Range;

use super::{Counted, Entry, Quantity, fit_words};
use crate::app::charts::{Scale, ticks};
use crate::app::explain::{Words, told};
use crate::app::names;
use crate::app::pages::sheet;
use crate::app::theme::{self, Palette};
use crate::app::widgets;
use crate::format;

/// Width in which the names of any two devices can be told apart.
const LEAST_NAME: f32 = 136.0;

/// Share of the width that the names take.
const NAME_SHARE: f32 = 0.39;

/// The columns of the rows: name, bars on a shared axis, number.
pub(super) struct Lanes {
    quantity: Quantity,
    left: f32,
    right: f32,
    /// Ends of the axis, as logarithms.
    bounds: (f64, f64),
    small: FontId,
    /// Whether devices whose figures were not fitted stand beside others, and are outlined.
    outlined: bool,
}

impl Lanes {
    const NUMBER: f32 = 66.0;
    const AXIS: f32 = 16.0;

    pub(super) fn new(ui: &Ui, able: &[(&Entry, Range<f64>)], quantity: Quantity) -> Self {
        let values = able.iter().flat_map(|(entry, range)| {
            let original = entry
                .original
                .as_ref()
                .ok()
                .map(|c| quantity.of(&c.footprint));
            [Some(*range), original].into_iter().flatten()
        });
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for range in values {
            low = low.min(range.low);
            high = high.max(range.high);
        }
        let rect = ui.available_rect_before_wrap();
        let small = TextStyle::Small.resolve(ui.style());
        let growth = small.size / 11.0;
        let name = (rect.width() * NAME_SHARE).clamp(LEAST_NAME, 280.0 * growth);
        Self {
            quantity,
            left: rect.left() + name,
            right: rect.right() - Self::NUMBER * growth - 8.0,
            bounds: (
                low.max(1e-300).log10() - 0.05,
                high.max(1e-300).log10() + 0.05,
            ),
            small,
            outlined: able.iter().any(|(entry, _)| entry.fit != Fit::Class),
        }
    }

    fn x(&self, value: f64) -> f32 {
        let share = (value.max(1e-300).log10() - self.bounds.0) / (self.bounds.1 - self.bounds.0);
        self.left + (self.right - self.left) * share as f32
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        ticks(Scale::Logarithmic, self.bounds)
            .into_iter()
            .map(|place| 10_f64.powf(place))
    }

    /// The labels of the axis, over the rows.
    pub(super) fn axis(&self, ui: &mut Ui) {
        let palette = theme::palette(ui.visuals());
        let (rect, _) =
            ui.allocate_exact_size(vec2(ui.available_width(), Self::AXIS), Sense::hover());
        // Labels that would touch are left out, their lines are not.
        let mut free = f32::NEG_INFINITY;
        for value in self.marks() {
            let text = format::shorten(&self.quantity.write(value));
            let galley = ui
                .painter()
                .layout_no_wrap(text, self.small.clone(), palette.muted);
            let half = galley.size() / 2.0;
            let at = pos2(self.x(value), rect.center().y);
            if at.x - half.x > free && at.x + half.x <= rect.right() {
                ui.painter().galley(at - half, galley, palette.muted);
                free = at.x + half.x + 6.0;
            }
        }
    }

    fn grid(&self, painter: &Painter, rect: Rect, palette: &Palette) {
        for value in self.marks() {
            painter.vline(
                self.x(value),
                rect.y_range(),
                Stroke::new(1.0, palette.grid),
            );
        }
    }

    /// The outline of a bar from low to high.
    fn outline(&self, painter: &Painter, y: f32, range: Range<f64>, thick: f32, color: Color32) {
        let ends = Rect::from_min_max(
            pos2(self.x(range.low), y - thick / 2.0),
            pos2(self.x(range.high), y + thick / 2.0),
        );
        let stroke = Stroke::new(1.0, color);
        painter.rect_stroke(ends, thick / 2.0, stroke, egui::StrokeKind::Inside);
    }

    /// A bar from low to high.
    fn bar(&self, painter: &Painter, y: f32, range: Range<f64>, thick: f32, color: Color32) {
        let ends = Rect::from_min_max(
            pos2(self.x(range.low), y - thick / 2.0),
            pos2(self.x(range.high), y + thick / 2.0),
        );
        painter.rect_filled(ends, thick / 2.0, color);
    }
}

const ROW: f32 = 24.0;

/// One device that can; true when it was chosen.
pub(super) fn row(
    ui: &mut Ui,
    entry: &Entry,
    range: Range<f64>,
    lanes: &Lanes,
    chosen: bool,
) -> bool {
    let palette = theme::palette(ui.visuals());
    let height = ROW * lanes.small.size / 11.0;
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    if ui.is_rect_visible(rect) {
        let painter = ui.painter();
        sheet::row_ground(painter, rect, &response, chosen, palette);
        lanes.grid(painter, rect, palette);
        name(ui, rect, entry, lanes.left - 8.0, chosen);
        let painter = ui.painter();
        let y = rect.center().y;
        if let Ok(original) = &entry.original {
            let range = lanes.quantity.of(&original.footprint);
            let at = pos2(lanes.x(range.typical), y + 5.0);
            lanes.bar(
                painter,
                at.y,
                range,
                2.0,
                theme::faint(palette.baseline, 0.55),
            );
            painter.circle(at, 2.5, palette.surface, Stroke::new(1.5, palette.baseline));
        }
        let light = theme::faint(palette.accent, 0.28);
        if lanes.outlined && entry.fit == Fit::Class {
            lanes.outline(painter, y - 3.0, range, 5.0, light);
        } else {
            lanes.bar(painter, y - 3.0, range, 5.0, light);
        }
        let at = pos2(lanes.x(range.typical), y - 3.0);
        widgets::class_mark(
            painter,
            entry.target.class,
            at,
            palette.accent,
            palette.surface,
        );
        painter.text(
            pos2(rect.right() - 6.0, y),
            Align2::RIGHT_CENTER,
            lanes.quantity.write(range.typical),
            if chosen {
                FontId::new(lanes.small.size, theme::semibold())
            } else {
                lanes.small.clone()
            },
            palette.strong,
        );
    }
    let words = format!(
        "{}: {}, {}",
        entry.name(),
        lanes.quantity.write(range.typical),
        fit_words(entry.fit).0
    );
    response.widget_info(|| {
        egui::WidgetInfo::selected(egui::accesskit::Role::Button, true, chosen, &words)
    });
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    let response = told(response, || explanation(entry));
    response.clicked() && !chosen
}

/// The class and name of a device at the left of its row.
fn name(ui: &mut Ui, rect: Rect, entry: &Entry, right: f32, chosen: bool) {
    let palette = theme::palette(ui.visuals());
    let center: Pos2 = pos2(rect.left() + 10.0, rect.center().y);
    widgets::class_mark(
        ui.painter(),
        entry.target.class,
        center,
        palette.muted,
        palette.surface,
    );
    let room = Rect::from_min_max(
        pos2(rect.left() + 20.0, rect.top()),
        pos2(right, rect.bottom()),
    );
    let (style, color) = if chosen {
        (theme::emphasis(), palette.strong)
    } else {
        (TextStyle::Body, palette.text)
    };
    let font = style.resolve(ui.style());
    let words = names::fitted(ui, &entry.name(), &font, room.width());
    let at = Align2::LEFT_CENTER.pos_in_rect(&room);
    ui.painter()
        .text(at, Align2::LEFT_CENTER, words, font, color);
}

/// One device that cannot, with the reason; true when it was chosen.
pub(super) fn refused(ui: &mut Ui, entry: &Entry, chosen: bool) -> bool {
    let palette = theme::palette(ui.visuals());
    let Err(error) = &entry.now else {
        return false;
    };
    let reason = error.to_string();
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 20.0), Sense::click());
    if ui.is_rect_visible(rect) {
        sheet::row_ground(ui.painter(), rect, &response, chosen, palette);
        let middle = rect.left() + (rect.width() * NAME_SHARE).max(LEAST_NAME);
        name(ui, rect, entry, middle - 8.0, chosen);
        let room = Rect::from_min_max(pos2(middle, rect.top()), rect.max);
        let mut cell = ui.new_child(
            egui::UiBuilder::new()
                .max_rect(room)
                .layout(Layout::left_to_right(Align::Center)),
        );
        cell.add(
            egui::Label::new(
                RichText::new(&reason)
                    .text_style(TextStyle::Small)
                    .color(palette.muted),
            )
            .truncate()
            .show_tooltip_when_elided(false),
        );
    }
    let words = format!("{}: cannot run this", entry.target.name);
    response.widget_info(|| {
        egui::WidgetInfo::selected(egui::accesskit::Role::Button, true, chosen, &words)
    });
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    let response = told(response, || Words::headed(&entry.target.name).line(&reason));
    response.clicked() && !chosen
}

/// All figures of a device and where they come from.
fn explanation(entry: &Entry) -> Words {
    let target = entry.target;
    let class = format!("{}, {}", target.class.name(), target.year);
    let mut words = Words::headed(&target.name).line(class);
    for (when, result) in [("Now", &entry.now), ("Original", &entry.original)] {
        match result {
            Ok(Counted { footprint, .. }) => {
                for quantity in Quantity::ALL {
                    let range = quantity.of(footprint);
                    let ends = quantity.row(&[range.low, range.typical, range.high]);
                    words = words.line(format!(
                        "{when}: {} {} ({} to {})",
                        quantity.name().to_lowercase().replace("co₂e", "CO₂e"),
                        ends[1],
                        ends[0],
                        ends[2]
                    ));
                }
            }
            Err(error) => words = words.line(format!("{when}: {error}")),
        }
    }
    words = words.line(fit_words(entry.fit).1);
    match &entry.now {
        Ok(Counted { footprint, .. }) => {
            words.and(Words::of(&footprint.energy_per_unit.provenance))
        }
        Err(_) => words,
    }
}
