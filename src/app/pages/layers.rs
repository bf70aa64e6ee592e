//! Layer by layer on the chosen device: under its roofs, and where time and energy go.

use egui::{
    Align, Align2, Rect, RichText, ScrollArea, Sense, Stroke, StrokeKind, TextStyle, Ui, pos2, vec2,
};
use wattif_core::footprint::{Bound, EnergyBreakdown, Footprint, LayerCost};
use wattif_core::hardware::{CostModel, HardwareTarget, Precision, Processor, Roofline};

use crate::app::charts::plane::{self, Plane, Side, Sign};
use crate::app::panels::breakdown;
use crate::app::theme::Palette;
use crate::app::widgets::{self, cell};
use crate::app::{App, theme};
use crate::format;

/// Draws the page.
pub(super) fn show(ui: &mut Ui, app: &App) {
    let derived = &app.derived;
    let (Some(now), Some(target)) = (&derived.now, derived.target) else {
        return widgets::empty(ui, super::NO_MODEL);
    };
    let footprint = match &now.footprint {
        Ok(footprint) if !footprint.layers.is_empty() => footprint,
        Ok(_) => {
            return widgets::empty(
                ui,
                "This model is known as a whole only, not layer by layer",
            );
        }
        Err(error) => return widgets::empty(ui, &error.to_string()),
    };
    let original = derived
        .original
        .as_ref()
        .and_then(|original| original.footprint.as_ref().ok());
    widgets::sheet(ui, |ui| {
        widgets::reading(ui, &reading(footprint, target));
        match &target.model {
            CostModel::Processor(processor) => {
                let devices = app.session.configuration.scenario.devices;
                let height = (ui.available_height() * 0.5).clamp(180.0, 480.0);
                roofline(ui, height, processor, devices, footprint, original);
            }
            CostModel::Fpga(_) => note(
                ui,
                "An FPGA has no roofline: its multipliers are laid out for this network and these bits, so there is no \
                 fixed peak to draw the layers under",
            ),
            CostModel::Neuromorphic(_) => note(
                ui,
                "A neuromorphic chip has no roofline: its cores take part only when spikes arrive, and the number of \
                 time steps sets the speed of all layers together",
            ),
        }
        bars(ui, footprint, original, now.profile.unit.name());
    });
}

fn note(ui: &mut Ui, text: &str) {
    let palette = theme::palette(ui.visuals());
    ui.label(RichText::new(text).color(palette.muted));
    ui.add_space(4.0);
}

const BOUNDS: [Bound; 4] = [
    Bound::Compute,
    Bound::Memory,
    Bound::Overhead,
    Bound::Interconnect,
];

/// What bounds a layer, in words.
const fn bound_words(bound: Bound) -> &'static str {
    match bound {
        Bound::Compute => "arithmetic",
        Bound::Memory => "memory",
        Bound::Overhead => "starting it",
        Bound::Interconnect => "links",
    }
}

const fn bound_sign(bound: Bound) -> Sign {
    match bound {
        Bound::Compute => Sign::Circle,
        Bound::Memory => Sign::Square,
        Bound::Overhead => Sign::Triangle,
        Bound::Interconnect => Sign::Diamond,
    }
}

/// "Arithmetic bounds 81 % of the time; conv2 takes 55 % of it".
fn reading(footprint: &Footprint, target: &HardwareTarget) -> String {
    let layers = &footprint.layers;
    let total: f64 = layers.iter().map(|layer| layer.time.0).sum();
    let share_of = |bound: Bound| -> f64 {
        let bounded = layers.iter().filter(|layer| layer.bound == bound);
        bounded.map(|layer| layer.time.0).sum::<f64>() / total
    };
    let longest = layers
        .iter()
        .max_by(|a, b| a.time.0.total_cmp(&b.time.0))
        .map(|layer| (layer.layer.as_str(), layer.time.0 / total));
    let slow = longest.map_or_else(String::new, |(name, share)| {
        format!("{name} takes {} of the time", format::percent(share, 0))
    });
    if matches!(target.model, CostModel::Neuromorphic(_)) {
        let most = layers
            .iter()
            .max_by(|a, b| a.energy.total().0.total_cmp(&b.energy.total().0));
        let energy: f64 = layers.iter().map(|layer| layer.energy.total().0).sum();
        return most.map_or_else(String::new, |layer| {
            let share = layer.energy.total().0 / energy;
            format!(
                "{} takes {} of the energy; time steps set the speed of all layers",
                layer.layer,
                format::percent(share, 0)
            )
        });
    }
    let (bound, share) = BOUNDS
        .into_iter()
        .map(|bound| (bound, share_of(bound)))
        .fold((Bound::Compute, 0.0), |best, next| {
            if next.1 > best.1 { next } else { best }
        });
    let what = match bound {
        Bound::Compute => "Arithmetic bounds layers that take",
        Bound::Memory => "Memory bounds layers that take",
        Bound::Overhead => "Starting layers bounds those that take",
        Bound::Interconnect => "The links bound layers that take",
    };
    format!("{what} {} of the time; {slow}", format::percent(share, 0))
}

/// A layer as a point under the roofs.
struct Point<'a> {
    layer: &'a LayerCost,
    /// Operations per byte at the memory that takes longer.
    intensity: f64,
    /// Operations per second.
    speed: f64,
    /// Whether that memory is the one outside the chip.
    outside: bool,
}

/// The layers that compute; a lookup has no place under a roof of arithmetic.
fn points<'a>(layers: &'a [LayerCost], roofs: &Roofline) -> Vec<Point<'a>> {
    layers
        .iter()
        .filter(|layer| layer.operations > 0.0 && layer.time.0 > 0.0)
        .map(|layer| {
            let memory = roofs
                .memory
                .map_or(0.0, |rate| layer.memory_bytes.0 / rate.0);
            let outside = memory >= layer.on_chip_bytes.0 / roofs.on_chip.0;
            let bytes = if outside {
                layer.memory_bytes
            } else {
                layer.on_chip_bytes
            };
            Point {
                layer,
                intensity: layer.operations / bytes.0.max(f64::MIN_POSITIVE),
                speed: layer.operations / layer.time.0,
                outside,
            }
        })
        .collect()
}

/// The format that most operations are computed in.
fn main_precision(layers: &[LayerCost]) -> Option<Precision> {
    layers
        .iter()
        .max_by(|a, b| a.operations.total_cmp(&b.operations))
        .and_then(|layer| layer.precision)
}

fn roofline(
    ui: &mut Ui,
    height: f32,
    processor: &Processor,
    devices: u32,
    footprint: &Footprint,
    original: Option<&Footprint>,
) {
    let palette = theme::palette(ui.visuals());
    let Some((precision, roofs)) = main_precision(&footprint.layers)
        .and_then(|precision| Some((precision, processor.roofline(precision, devices)?)))
    else {
        return;
    };
    let now = points(&footprint.layers, &roofs);
    let before = original.map_or_else(Vec::new, |original| points(&original.layers, &roofs));
    let before_precision = original.and_then(|original| main_precision(&original.layers));
    let all = || now.iter().chain(&before);
    let memory = roofs.memory.unwrap_or(roofs.on_chip).0;
    let knees = [roofs.peak.0 / memory, roofs.peak.0 / roofs.on_chip.0];
    let (low, high) = plane::around(all().map(|p| p.intensity).chain(knees));
    let x = (low, high * 4.0);
    let (low, high) = plane::around(all().map(|p| p.speed).chain([roofs.peak.0]));
    let y = (low / 1.4, high * 1.6);
    let (plane, response) = Plane::show(
        ui,
        vec2(ui.available_width(), height),
        "Roofline",
        &Side {
            title: "Operations per byte (log scale)",
            bounds: x,
            write: &|value| format::si(value, ""),
        },
        &Side {
            title: "Operations per second (log scale)",
            bounds: y,
            write: &|value| format::si(value, ""),
        },
    );
    draw_roofs(&plane, &roofs, precision, x, palette);
    if let Some(before) = before_precision.filter(|before| *before != precision)
        && let Some(roofs) = processor.roofline(before, devices)
    {
        let left = roofs.peak.0 / roofs.on_chip.0.max(memory);
        let faint = Stroke::new(1.0, palette.baseline);
        plane.line(
            &[(left.max(x.0), roofs.peak.0), (x.1, roofs.peak.0)],
            faint,
            true,
        );
        let words = format!("{}, original", before.name());
        plane.word(
            plane.at(x.1, roofs.peak.0),
            Align2::RIGHT_BOTTOM,
            &words,
            palette.muted,
        );
    }
    for point in &before {
        let edge = Stroke::new(1.25, palette.baseline);
        let at = plane.at(point.intensity, point.speed);
        plane::sign(
            &plane.painter,
            bound_sign(point.layer.bound),
            at,
            3.5,
            palette.surface,
            edge,
        );
    }
    let hovered = response
        .hover_pos()
        .and_then(|pointer| plane.nearest(pointer, now.iter().map(|p| (p.intensity, p.speed))));
    for (place, point) in now.iter().enumerate() {
        let at = plane.at(point.intensity, point.speed);
        let size = if hovered == Some(place) { 7.0 } else { 5.0 };
        let edge = Stroke::new(1.0, palette.surface);
        plane::sign(
            &plane.painter,
            bound_sign(point.layer.bound),
            at,
            size,
            palette.accent,
            edge,
        );
    }
    label_longest(&plane, &now, palette);
    if let Some(point) = hovered.and_then(|place| now.get(place)) {
        response.on_hover_ui_at_pointer(|ui| describe(ui, point));
    }
    legend(ui, &now);
}

fn draw_roofs(
    plane: &Plane,
    roofs: &Roofline,
    precision: Precision,
    x: (f64, f64),
    palette: &Palette,
) {
    let strong = Stroke::new(1.5, palette.text);
    let knee = |rate: f64| (roofs.peak.0 / rate).min(x.1);
    let roof = |rate: f64, words: &str, strong: bool| {
        let width = if strong { 1.5 } else { 1.0 };
        let stroke = Stroke::new(width, palette.text);
        let knee = knee(rate);
        plane.line(&[(x.0, x.0 * rate), (knee, knee * rate)], stroke, !strong);
        // Beside the part of the slope that is inside the frame: the lower roof has its words below it.
        let from = x.0.max(plane.value_at_bottom() / rate).log10();
        let (share, shift, anchor) = if strong {
            (0.86, vec2(8.0, 4.0), Align2::LEFT_TOP)
        } else {
            (0.5, vec2(-8.0, -4.0), Align2::RIGHT_BOTTOM)
        };
        let at = 10_f64.powf(from + (knee.log10() - from) * share);
        let words = format!("{words} {}", format::si(rate, "B/s"));
        plane.word(
            plane.at(at, at * rate) + shift,
            anchor,
            &words,
            palette.muted,
        );
    };
    match roofs.memory {
        Some(memory) => {
            roof(roofs.on_chip.0, "on chip", false);
            roof(memory.0, "memory", true);
        }
        None => roof(roofs.on_chip.0, "on chip", true),
    }
    let fastest = roofs
        .memory
        .map_or(roofs.on_chip, |memory| memory.max(roofs.on_chip))
        .0;
    let first = knee(fastest).max(x.0);
    plane.line(&[(first, roofs.peak.0), (x.1, roofs.peak.0)], strong, false);
    let words = format!("{} {}", precision.name(), format::si(roofs.peak.0, "op/s"));
    let at = plane.at(x.1, roofs.peak.0) + vec2(-2.0, -2.0);
    plane.word(at, Align2::RIGHT_BOTTOM, &words, palette.muted);
}

/// The names of the layers that take longest, where they have room.
fn label_longest(plane: &Plane, points: &[Point<'_>], palette: &Palette) {
    const MOST: usize = 5;
    let mut order: Vec<&Point<'_>> = points.iter().collect();
    order.sort_by(|a, b| b.layer.time.0.total_cmp(&a.layer.time.0));
    let mut taken: Vec<Rect> = Vec::new();
    for point in order.into_iter().take(MOST) {
        let at = plane.at(point.intensity, point.speed) + vec2(9.0, 0.0);
        let size = vec2(6.5 * point.layer.layer.len() as f32, plane.small.size);
        let rect = Align2::LEFT_CENTER.anchor_size(at, size);
        let covered = points.iter().any(|other| {
            let other = plane.at(other.intensity, other.speed);
            rect.contains(other)
        });
        if !covered && taken.iter().all(|other| !other.intersects(rect)) {
            plane.word(at, Align2::LEFT_CENTER, &point.layer.layer, palette.text);
            taken.push(rect);
        }
    }
}

fn describe(ui: &mut Ui, point: &Point<'_>) {
    let layer = point.layer;
    ui.label(RichText::new(&layer.layer).text_style(theme::emphasis()));
    ui.label(format!("Bound by {}", bound_words(layer.bound)));
    let precision = layer.precision.map_or("", Precision::name);
    ui.label(format!(
        "{} {precision} operations in {}: {}",
        format::si(layer.operations, "").trim_end(),
        format::si(layer.time.0, "s"),
        format::si(point.speed, "op/s"),
    ));
    let outside = if point.outside {
        "outside the chip"
    } else {
        "on the chip"
    };
    ui.label(format!(
        "{} operations per byte of memory {outside}; {} outside, {} on the chip",
        format::significant(point.intensity, 3),
        format::bytes(layer.memory_bytes.0),
        format::bytes(layer.on_chip_bytes.0),
    ));
}

/// What the signs mean: those that occur.
fn legend(ui: &mut Ui, points: &[Point<'_>]) {
    let palette = theme::palette(ui.visuals());
    let small = |text: &str| {
        RichText::new(text)
            .text_style(TextStyle::Small)
            .color(palette.muted)
    };
    ui.horizontal_wrapped(|ui| {
        ui.label(small("Bound by"));
        for bound in BOUNDS {
            if points.iter().any(|point| point.layer.bound == bound) {
                let (rect, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
                let edge = Stroke::NONE;
                plane::sign(
                    ui.painter(),
                    bound_sign(bound),
                    rect.center(),
                    4.5,
                    palette.accent,
                    edge,
                );
                ui.label(small(bound_words(bound)));
            }
        }
        let (rect, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
        let edge = Stroke::new(1.25, palette.baseline);
        plane::sign(
            ui.painter(),
            Sign::Circle,
            rect.center(),
            3.5,
            palette.surface,
            edge,
        );
        ui.label(small("hollow: the original"));
    });
}

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

fn bars(ui: &mut Ui, footprint: &Footprint, original: Option<&Footprint>, unit: &str) {
    let palette = theme::palette(ui.visuals());
    let before = original.map_or(&[][..], |original| &original.layers);
    let both = || footprint.layers.iter().chain(before);
    let width = ui.available_width() - 12.0;
    let growth = TextStyle::Small.resolve(ui.style()).size / 11.0;
    let (name, number) = (width * 0.17, 62.0 * growth);
    let lanes = Lanes {
        name,
        bar: ((width - name - Lanes::GAP - 2.0 * number) / 2.0 - 10.0).max(40.0),
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
    ui.horizontal(|ui| {
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
    response.on_hover_ui(|ui| {
        ui.label(RichText::new(&layer.layer).text_style(theme::emphasis()));
        ui.label(format!("Bound by {}", bound_words(layer.bound)));
        let lines = [(Some(layer), "Now"), (before, "Original")];
        for (layer, words) in lines {
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
            ui.label(format!(
                "{words}: {}, {} ({})",
                format::si(layer.time.0, "s"),
                format::si(layer.energy.total().0, "J"),
                named.join(", ")
            ));
        }
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

/// Why there is no table of this page.
pub(super) fn obstacle(app: &App) -> Option<&'static str> {
    match app.derived.now.as_ref().map(|now| &now.footprint) {
        Some(Ok(footprint)) if !footprint.layers.is_empty() => None,
        Some(Ok(_)) => Some("This model is not known layer by layer"),
        _ => Some("This device cannot run the model"),
    }
}

/// The layers as a table.
pub(super) fn table(app: &App) -> Vec<Vec<String>> {
    let heading = [
        "configuration",
        "layer",
        "bound",
        "precision",
        "operations",
        "memory_bytes",
        "on_chip_bytes",
        "time_s",
        "energy_compute_j",
        "energy_on_chip_j",
        "energy_memory_j",
        "energy_static_j",
        "energy_links_j",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let derived = &app.derived;
    for (name, figures) in [("now", &derived.now), ("original", &derived.original)] {
        let Some(Ok(footprint)) = figures.as_ref().map(|figures| &figures.footprint) else {
            continue;
        };
        for layer in &footprint.layers {
            let mut row = vec![
                name.to_owned(),
                layer.layer.clone(),
                bound_words(layer.bound).to_owned(),
                layer.precision.map_or("", Precision::name).to_owned(),
            ];
            let numbers = [
                layer.operations,
                layer.memory_bytes.0,
                layer.on_chip_bytes.0,
                layer.time.0,
            ];
            let parts = breakdown::parts(&layer.energy);
            row.extend(numbers.into_iter().chain(parts).map(|v| v.to_string()));
            rows.push(row);
        }
    }
    rows
}
