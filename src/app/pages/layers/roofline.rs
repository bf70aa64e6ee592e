//! The layers as points under the roofs of the device.

use egui::{Align2, Rect, RichText, Sense, Stroke, TextStyle, Ui, vec2};
use wattif_core::footprint::{Bound, Footprint, LayerCost};
use wattif_core::hardware::{Precision, Processor, Roofline};

use super::bound_sign;
use crate::app::charts::plane::{self, Plane, Side, Sign};
use crate::app::theme::{self, Palette};
use crate::format;

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

pub(super) fn roofline(
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
        let at = plane.at(x.1, roofs.peak.0) + vec2(-2.0, 3.0);
        plane.word(at, Align2::RIGHT_TOP, &words, palette.muted);
    }
    for point in &before {
        let edge = Stroke::new(1.25, palette.baseline);
        let at = plane.at(point.intensity, point.speed);
        plane::sign(
            &plane.painter,
            bound_sign(point.layer.bound()),
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
            bound_sign(point.layer.bound()),
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
    ui.label(format!("Bound by {}", layer.bound().words()));
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
        for bound in Bound::ALL {
            if points.iter().any(|point| point.layer.bound() == bound) {
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
                ui.label(small(bound.words()));
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
