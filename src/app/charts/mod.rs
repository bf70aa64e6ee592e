//! The three charts over one what-if axis: how they are laid out and drawn. What they show is built by one file each.

mod carbon;
pub(super) mod plane;
mod plot;
mod quality;
mod scale;
#[cfg(test)]
mod tests;
mod throughput;

use egui::{Align, Layout, RichText, Stroke, Ui, vec2};
use wattif_core::measurement::{Depth, Provenance};
use wattif_core::units::Range;

use super::axis::Axis;
use super::derived::{Curve, Derived, Store};
use super::explain::{REACHABLE, Words, explained, reachable};
use super::session::Session;
use super::theme;

pub(super) use quality::{change_of as change_text, owner, value_text as quality_text};
pub(super) use scale::{Scale, ticks};

/// A point that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Place on the axis.
    pub(super) x: f64,
    /// Value on the scale of the chart.
    pub(super) y: f64,
    /// Ends of its interval on the scale of the chart, equal to `y` where it has none; of a quality, the interval of the
    /// change from the original, drawn from the original's level.
    pub(super) interval: [f64; 2],
    /// How much data is behind it; `None` where it is calculated.
    pub(super) depth: Option<Depth>,
}

/// A stretch of a curve without gaps.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stretch {
    /// Places on the axis.
    pub(super) x: Vec<f64>,
    /// Low, typical and high values on the scale of the chart.
    pub(super) y: [Vec<f64>; 3],
}

/// Everything one chart shows.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// Identifier, unique among the charts.
    pub(super) id: &'static str,
    /// What the chart says, in one line.
    pub(super) reading: String,
    /// Quantity and unit of the left axis, and what to know about it.
    pub(super) caption: String,
    /// Whether there is nothing to draw but the title.
    pub(super) bare: bool,
    /// Where the number in the reading comes from.
    pub(super) provenance: Option<Provenance>,
    /// Spread of the values.
    pub(super) scale: Scale,
    /// Lowest and highest value shown, on the scale of the chart.
    pub(super) bounds: [f64; 2],
    /// How tick labels and read-outs are written, and their unit.
    pub(super) unit: Unit,
    /// What one on the left axis is on the right one, where there is a right axis.
    pub(super) right: Option<(f64, Unit)>,
    /// The what-if curve; drawn as a band with a line.
    pub(super) curve: Vec<Stretch>,
    /// Whether there is nothing between its places, so that they are drawn one by one.
    pub(super) apart: bool,
    /// The level of the original, where intervals are those of the change from it.
    pub(super) level: Option<f64>,
    /// The uncompressed model: a level or a curve of its own.
    pub(super) baseline: Vec<Stretch>,
    /// Measured points.
    pub(super) points: Vec<Point>,
    /// Whether the measured points are joined by a thin line.
    pub(super) join: bool,
    /// Places where a measurement is still to come.
    pub(super) pending: Vec<f64>,
    /// Place of the current configuration while nothing is known of it.
    pub(super) waiting: Option<f64>,
    /// The current configuration; hollow while it is not measured.
    pub(super) current: Option<(Point, bool)>,
    /// Pinned configurations.
    pub(super) pins: [Option<Point>; 2],
    /// Why there is nothing to show.
    pub(super) obstacle: Option<String>,
}

/// How a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A fraction, shown in percent.
    Percent,
    /// A plain number.
    Plain,
    /// Units of work per second.
    Rate(&'static str),
    /// Grams.
    Grams,
}

impl Chart {
    fn empty(id: &'static str, caption: impl Into<String>, unit: Unit) -> Self {
        Self {
            id,
            reading: String::new(),
            caption: caption.into(),
            bare: false,
            provenance: None,
            scale: Scale::Linear,
            bounds: [0.0, 1.0],
            unit,
            right: None,
            curve: Vec::new(),
            apart: false,
            level: None,
            baseline: Vec::new(),
            points: Vec::new(),
            join: false,
            pending: Vec::new(),
            waiting: None,
            current: None,
            pins: [None, None],
            obstacle: None,
        }
    }

    /// Whether a height means a value: not before anything of a quality is measured.
    fn has_heights(&self) -> bool {
        self.id != quality::QUALITY || self.level.is_some()
    }
}

/// The charts, kept until what they show changes, and where the pointer is on them.
#[derive(Default)]
pub(super) struct Charts {
    built: Option<[Chart; 3]>,
    generation: Option<u64>,
    hovered: Option<f64>,
}

impl Charts {
    /// The charts as they are now.
    pub(super) fn get(
        &mut self,
        session: &Session,
        store: &Store,
        derived: &Derived,
    ) -> &[Chart; 3] {
        if self.generation != Some(derived.generation) {
            self.built = None;
            self.generation = Some(derived.generation);
        }
        self.built.get_or_insert_with(|| {
            [
                quality::build(session, store, derived),
                throughput::build(session, derived),
                carbon::build(session, derived),
            ]
        })
    }

    /// Draws the three charts over the whole room. Returns a value on the axis that was clicked or dragged to.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        session: &Session,
        store: &Store,
        derived: &Derived,
    ) -> Option<f64> {
        self.get(session, store, derived);
        let Some(charts) = &self.built else {
            return None;
        };
        let axis = session.axis;
        let gap = 8.0;
        let ends = ends(axis, &derived.curve);
        // A chart with nothing to draw leaves its room to the others.
        let bare = charts.iter().filter(|chart| chart.bare).count() as f32;
        let footer = ends.len() as f32 * (FOOTER_HEIGHT + gap);
        let room = ui.available_height() - 2.0 * gap - bare * BARE_HEIGHT - footer;
        let each = room / (charts.len() as f32 - bare);
        let hovered = self.hovered.take();
        let cursor = hovered.and_then(|place| snapped(charts, axis, &derived.curve, place));
        let mut next_hovered = None;
        let mut moved = None;
        ui.spacing_mut().item_spacing.y = gap;
        for (place, chart) in charts.iter().enumerate() {
            let height = if chart.bare { BARE_HEIGHT } else { each };
            let size = vec2(ui.available_width(), height);
            ui.allocate_ui_with_layout(size, Layout::top_down(Align::Min), |ui| {
                frame(ui, height, |ui| {
                    title(ui, chart);
                    if chart.bare {
                        return;
                    }
                    if let Some(reason) = &chart.obstacle {
                        obstacle(ui, reason);
                    } else {
                        let last = place == 2;
                        let answer = plot::show(ui, chart, axis, last, cursor);
                        next_hovered = next_hovered.or(answer.hovered);
                        moved = moved.or(answer.moved);
                    }
                });
            });
        }
        for text in ends {
            footnote(ui, &text);
        }
        if next_hovered != hovered {
            // The other charts follow the pointer in the next frame.
            ui.ctx().request_repaint();
        }
        self.hovered = next_hovered;
        moved.map(|place| axis.value_at(place))
    }
}

/// The place that all charts show the figures of: the nearest to the pointer that was calculated or is set now.
fn snapped(charts: &[Chart], axis: Axis, curve: &Curve, pointer: f64) -> Option<f64> {
    let calculated = curve.values.iter().map(|value| axis.place(*value));
    let set = charts.iter().flat_map(|chart| {
        chart
            .waiting
            .into_iter()
            .chain(chart.current.iter().map(|(p, _)| p.x))
    });
    calculated
        .chain(set)
        .min_by(|a, b| (a - pointer).abs().total_cmp(&(b - pointer).abs()))
}

/// Height of a line under the charts.
const FOOTER_HEIGHT: f32 = 16.0;

fn footnote(ui: &mut Ui, text: &str) {
    let palette = theme::palette(ui.visuals());
    let text = RichText::new(text)
        .text_style(egui::TextStyle::Small)
        .color(palette.muted);
    let size = vec2(ui.available_width(), FOOTER_HEIGHT);
    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
        ui.add(egui::Label::new(text).truncate());
    });
}

/// Why the curves end before the axis does, at its beginning and at its end.
fn ends(axis: Axis, curve: &Curve) -> Vec<String> {
    let runs = |place: &usize| curve.throughput[*place].is_some();
    let places = 0..curve.values.len();
    let (Some(first), Some(last)) = (places.clone().find(runs), places.rev().find(runs)) else {
        return Vec::new();
    };
    let text = |place: Option<usize>, from: &str, to: &str| {
        let reason = curve.obstacles.get(place?)?.as_ref()?;
        let value = axis.value_text(*curve.values.get(place?)?);
        Some(format!("{} {from}{value}{to}: {reason}", axis.name()))
    };
    [
        text(first.checked_sub(1), "up to ", ""),
        text(last.checked_add(1), "at ", " and above"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Height of a chart that is its title only.
const BARE_HEIGHT: f32 = 40.0;

fn frame(ui: &mut Ui, height: f32, contents: impl FnOnce(&mut Ui)) {
    let palette = theme::palette(ui.visuals());
    egui::Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.hairline))
        .corner_radius(theme::CARD_RADIUS)
        .inner_margin(egui::Margin {
            left: 12,
            right: 12,
            top: 8,
            bottom: 6,
        })
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.set_height(height - 16.0);
            ui.spacing_mut().item_spacing.y = 6.0;
            contents(ui);
        });
}

fn title(ui: &mut Ui, chart: &Chart) {
    let palette = theme::palette(ui.visuals());
    let galley = |ui: &Ui, text: &str, style: egui::TextStyle, color| {
        ui.painter()
            .layout_no_wrap(text.to_owned(), style.resolve(ui.style()), color)
    };
    let reading = galley(ui, &chart.reading, theme::reading(), palette.strong);
    let caption = galley(ui, &chart.caption, egui::TextStyle::Small, palette.muted);
    // The reading comes first; what to know about the axis goes into its tooltip where both do not fit.
    let both = reading.size().x + caption.size().x + 16.0 <= ui.available_width();
    ui.horizontal(|ui| {
        let mut response = if reading.size().x <= ui.available_width() {
            reachable(ui, reading)
        } else {
            let text = RichText::new(&chart.reading)
                .text_style(theme::reading())
                .color(palette.strong);
            ui.add(egui::Label::new(text).truncate().sense(REACHABLE))
        };
        if !both {
            response = response.on_hover_text(&chart.caption);
        }
        if let Some(provenance) = &chart.provenance {
            explained(response, || {
                Words::plain(&chart.reading).and(Words::of(provenance))
            });
        }
        if both {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.label(caption);
            });
        }
    });
}

fn obstacle(ui: &mut Ui, reason: &str) {
    let palette = theme::palette(ui.visuals());
    ui.centered_and_justified(|ui| {
        ui.label(RichText::new(reason).color(palette.muted));
    });
}

/// The words for an axis under the charts: "Sparsity (%)".
pub(super) fn axis_title(axis: Axis) -> String {
    if axis.unit().is_empty() {
        axis.name().to_owned()
    } else {
        format!("{} ({})", axis.name(), axis.unit())
    }
}

/// Splits a curve where it has gaps, or everywhere where there is nothing between its places, and puts it on a scale.
fn stretches(
    axis: Axis,
    values: &[f64],
    ranges: &[Option<Range<f64>>],
    scale: Scale,
    apart: bool,
) -> Vec<Stretch> {
    let mut all = Vec::new();
    let mut open = Stretch::default();
    for (value, range) in values.iter().zip(ranges) {
        if let Some(range) = range {
            open.x.push(axis.place(*value));
            for (list, v) in open
                .y
                .iter_mut()
                .zip([range.low, range.typical, range.high])
            {
                list.push(scale.place(v));
            }
        }
        if (apart || range.is_none()) && !open.x.is_empty() {
            all.push(std::mem::take(&mut open));
        }
    }
    if !open.x.is_empty() {
        all.push(open);
    }
    all
}

/// The original: a curve of its own over an axis of the scenario, else a level.
fn baseline(
    axis: Axis,
    (curve, ranges): (&Curve, &[Option<Range<f64>>]),
    original: Option<Range<f64>>,
    scale: Scale,
) -> Vec<Stretch> {
    if ranges.is_empty() {
        original.map_or_else(Vec::new, |r| level(axis, scale.place(r.typical)))
    } else {
        stretches(axis, &curve.values, ranges, scale, false)
    }
}

/// What to know about a modelled quantity.
fn modelled(chart: &Chart) -> String {
    let drawn = if chart.apart { "bars are" } else { "band is" };
    format!("modelled, {drawn} low to high{}", chart.scale.note())
}

/// A level over the whole axis.
fn level(axis: Axis, y: f64) -> Vec<Stretch> {
    let (first, last) = axis.places();
    vec![Stretch {
        x: vec![first, last],
        y: [vec![y, y], vec![y, y], vec![y, y]],
    }]
}

/// Scale and bounds for a quantity that cannot be negative: from zero, or logarithmic where it spans a factor of 30.
fn positive_bounds(values: impl Iterator<Item = f64>) -> (Scale, [f64; 2]) {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for value in values.filter(|v| v.is_finite() && *v > 0.0) {
        low = low.min(value);
        high = high.max(value);
    }
    if high == 0.0 {
        (Scale::Linear, [0.0, 1.0])
    } else if high / low > 30.0 {
        (Scale::Logarithmic, [low.log10() - 0.1, high.log10() + 0.1])
    } else {
        (Scale::Linear, [0.0, high * 1.06])
    }
}
