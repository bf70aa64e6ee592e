//! The curves with their bands, names and crossings.

use egui::{Align2, Pos2, Response, RichText, Stroke, Ui, vec2};
use wattif_core::scenario::Scenario;
use wattif_core::units::Range;

use super::sweep::{Kind, Series, Sweep};
use super::words::{nearest_place, place_text};
use crate::app::charts::plane::{self, Plane, Side};
use crate::app::pages::curves::Curve;
use crate::app::theme::{self, Palette};
use crate::format;

/// Draws the curves; the value that was clicked.
pub(super) fn chart(
    ui: &mut Ui,
    size: egui::Vec2,
    sweep: &Sweep,
    unit: &str,
    scenario: &Scenario,
) -> Option<f64> {
    let palette = theme::palette(ui.visuals());
    let values = || {
        sweep
            .series
            .iter()
            .flat_map(|series| series.energy.iter().flatten())
    };
    let y = plane::around(values().flat_map(|range| [range.low, range.high]));
    let (first, last) = (*sweep.x.first()?, *sweep.x.last()?);
    let title = match sweep.kind {
        Kind::Activity(_) => "Activity: spikes per neuron and time step (log scale)",
        _ => "Batch size (log scale)",
    };
    let room = match sweep.kind {
        Kind::Activity(_) => 0.02,
        _ => 0.14,
    };
    let (plane, response) = Plane::show(
        ui,
        size,
        "Energy crossover",
        &Side {
            title,
            // Room at the right for the names of the curves.
            bounds: (first / 1.1, last * (last / first).powf(room)),
            write: &|value| match sweep.kind {
                Kind::Activity(_) => format::trimmed(value, 3),
                _ => format::count(value),
            },
        },
        &Side {
            title: &format!("Energy per {unit} (log scale)"),
            bounds: y,
            write: &|value| format::si(value, "J"),
        },
    );
    if let Kind::Activity(marker) = sweep.kind {
        let range = marker.range;
        plane.band(
            &[(range.low, y.0, y.1), (range.high, y.0, y.1)],
            theme::faint(palette.baseline, 0.15),
        );
        let line = Stroke::new(1.0, palette.baseline);
        plane.line(&[(range.typical, y.0), (range.typical, y.1)], line, true);
    }
    for series in &sweep.series {
        draw(&plane, &sweep.x, series, palette);
    }
    names(&plane, sweep, palette);
    if sweep.kind == Kind::Widths {
        let line = Stroke::new(1.0, theme::faint(palette.accent, 0.35));
        let batch = f64::from(scenario.batch);
        plane.line(&[(batch, y.0), (batch, y.1)], line, false);
    }
    crossings(&plane, sweep, palette);
    read_out(&plane, &response, sweep)
}

fn color(series: &Series, palette: &Palette) -> egui::Color32 {
    if series.current {
        palette.accent
    } else {
        palette.text
    }
}

fn draw(plane: &Plane, x: &[f64], series: &Series, palette: &Palette) {
    let color = color(series, palette);
    let width = if series.current { 2.0 } else { 1.0 };
    let shade = theme::faint(color, if series.current { 0.16 } else { 0.05 });
    let places: Vec<(f64, Option<Range<f64>>)> = x
        .iter()
        .copied()
        .zip(series.energy.iter().copied())
        .collect();
    let mut line: Vec<(f64, f64)> = Vec::new();
    // No line over batches that the device cannot run.
    for stretch in places.split(|(_, range)| range.is_none()) {
        let known = || {
            stretch
                .iter()
                .filter_map(|(x, range)| Some((*x, (*range)?)))
        };
        let band: Vec<(f64, f64, f64)> = known().map(|(x, r)| (x, r.low, r.high)).collect();
        plane.band(&band, shade);
        let own: Vec<(f64, f64)> = known().map(|(x, r)| (x, r.typical)).collect();
        plane.line(&own, Stroke::new(width, color), false);
        if let [(x, low, high)] = band[..] {
            plane.interval(x, low, high, Stroke::new(width, color));
        }
        line.extend(own);
    }
    // A sign on every second place keeps curves apart that lie on each other.
    for (x, y) in line.iter().step_by(if x.len() > 20 { 6 } else { 2 }) {
        let edge = Stroke::new(1.0, palette.surface);
        plane::sign(
            &plane.painter,
            series.sign,
            plane.at(*x, *y),
            4.0,
            color,
            edge,
        );
    }
}

/// The names at the right ends of the curves, pushed apart where they would touch.
fn names(plane: &Plane, sweep: &Sweep, palette: &Palette) {
    let mut ends: Vec<(Pos2, &Series)> = sweep
        .series
        .iter()
        .filter_map(|series| {
            let place = series.energy.iter().rposition(Option::is_some)?;
            let range = series.energy[place]?;
            Some((plane.at(sweep.x[place], range.typical), series))
        })
        .collect();
    ends.sort_by(|a, b| a.0.y.total_cmp(&b.0.y));
    let right = ends.iter().map(|(at, _)| at.x).fold(0.0, f32::max);
    let mut free = f32::NEG_INFINITY;
    for (at, series) in ends {
        let y = at.y.max(free);
        free = y + plane.small.size + 3.0;
        let (place, anchor) = match sweep.kind {
            Kind::Activity(_) => (
                egui::pos2(plane.frame.right(), y - 6.0),
                Align2::RIGHT_BOTTOM,
            ),
            _ => (egui::pos2(right + 8.0, y), Align2::LEFT_CENTER),
        };
        plane.word(place, anchor, &series.name, color(series, palette));
    }
}

fn crossings(plane: &Plane, sweep: &Sweep, palette: &Palette) {
    for (pair, spread) in sweep.stretches.windows(2).zip(&sweep.spread) {
        if !pair[1].crossed {
            continue;
        }
        let x = pair[1].from;
        let Some(y) = value_at(&sweep.x, &sweep.series[pair[1].curve].energy, x) else {
            continue;
        };
        let at = plane.at(x, y);
        if let Some((low, high)) = spread {
            let ends = [plane.at(*low, y), plane.at(*high, y)];
            plane
                .painter
                .line_segment(ends, Stroke::new(3.0, theme::faint(palette.strong, 0.35)));
        }
        plane.painter.circle(
            at,
            7.0,
            egui::Color32::TRANSPARENT,
            Stroke::new(2.0, palette.strong),
        );
        let words = place_text(sweep.kind, x);
        plane.word(
            at + vec2(0.0, -10.0),
            Align2::CENTER_BOTTOM,
            &words,
            palette.strong,
        );
    }
}

/// The typical value of a curve at any place, both axes taken as logarithms.
fn value_at(x: &[f64], curve: &Curve, at: f64) -> Option<f64> {
    let after = x.iter().position(|&value| value >= at)?;
    let before = after.saturating_sub(1);
    let (a, b) = (curve[before].or(curve[after])?, curve[after]?);
    if before == after {
        return Some(b.typical);
    }
    let share = (at / x[before]).ln() / (x[after] / x[before]).ln();
    Some((a.typical.ln() + (b.typical / a.typical).ln() * share).exp())
}

/// The figures under the pointer; the value that was clicked.
fn read_out(plane: &Plane, response: &Response, sweep: &Sweep) -> Option<f64> {
    let pointer = response
        .hover_pos()
        .filter(|pointer| plane.frame.contains(*pointer))?;
    let place = nearest_place(&sweep.x, plane.value_x(pointer.x))?;
    let x = sweep.x[place];
    response.clone().on_hover_ui_at_pointer(|ui| {
        let title = match sweep.kind {
            Kind::Activity(_) => {
                format!("{} spikes per neuron and step", format::trimmed(x, 2))
            }
            _ => format!("Batch {}", format::count(x)),
        };
        ui.label(RichText::new(title).text_style(theme::emphasis()));
        for series in &sweep.series {
            if let Some(range) = series.energy[place] {
                let ends = format::Counted::Joules.row(&[range.low, range.typical, range.high]);
                ui.label(format!(
                    "{}: {} ({} to {})",
                    series.name, ends[1], ends[0], ends[2]
                ));
            }
        }
        if sweep.kind == Kind::Widths {
            ui.label("Click to set the batch");
        }
    });
    response.clicked().then_some(x)
}
