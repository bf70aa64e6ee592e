//! Points, intervals and pins over the curves of a chart.

use egui::{Align2, FontId, Painter, Pos2, Rect, Shape, Stroke, pos2, vec2};
use egui_plot::{PlotPoint, PlotTransform};
use wattif_core::measurement::Depth;

use super::label;
use crate::app::charts::{Chart, Point, Stretch};
use crate::app::theme::{self, Palette};
use crate::app::widgets;

/// Low, typical and high values.
fn slices(stretch: &Stretch) -> [&[f64]; 3] {
    stretch.y.each_ref().map(Vec::as_slice)
}

/// Where a measurement is still to come: nothing is known there, so nothing has a height.
fn unmeasured(
    painter: &Painter,
    chart: &Chart,
    at: &dyn Fn(f64, f64) -> Pos2,
    frame: Rect,
    small: &FontId,
    palette: &Palette,
) {
    for x in &chart.pending {
        let x = at(*x, 0.0).x;
        let ends = [pos2(x, frame.top()), pos2(x, frame.bottom())];
        let stroke = Stroke::new(1.0, theme::faint(palette.baseline, 0.6));
        painter.extend(Shape::dotted_line(&ends, stroke.color, 5.0, 0.75));
    }
    if let Some(x) = chart.waiting {
        let x = at(x, 0.0).x;
        current_line(painter, x, frame, palette);
        let beside = pos2(x, frame.center().y);
        label(painter, frame, beside, "Not measured yet", small, palette);
    }
}

/// Places of the curves that no line joins to another.
fn alone(painter: &Painter, chart: &Chart, at: &dyn Fn(f64, f64) -> Pos2, palette: &Palette) {
    for stretch in &chart.curve {
        if let ([x], [[low], [typical], [high]]) = (stretch.x.as_slice(), slices(stretch)) {
            let point = Point {
                x: *x,
                y: *typical,
                interval: [*low, *high],
                depth: None,
            };
            let bar = Stroke::new(4.0, theme::faint(palette.accent, 0.3));
            interval(painter, at, &point, bar, 2.0);
            painter.circle_filled(at(*x, *typical), 2.75, palette.accent);
        }
    }
    for stretch in &chart.baseline {
        if let ([x], [_, [typical], _]) = (stretch.x.as_slice(), slices(stretch)) {
            let center = at(*x, *typical);
            let stroke = Stroke::new(1.5, palette.baseline);
            painter.hline((center.x - 5.0)..=(center.x + 5.0), center.y, stroke);
        }
    }
}

pub(super) fn markers(
    painter: &Painter,
    chart: &Chart,
    transform: &PlotTransform,
    small: &FontId,
    palette: &Palette,
) {
    let at = |x: f64, y: f64| transform.position_from_point(&PlotPoint::new(x, y));
    let frame = *transform.frame();
    unmeasured(painter, chart, &at, frame, small, palette);
    alone(painter, chart, &at, palette);
    for point in &chart.points {
        let strong = point.depth == Some(Depth::Full);
        let color = if strong {
            palette.accent
        } else {
            theme::faint(palette.accent, 0.7)
        };
        interval(
            painter,
            &at,
            point,
            Stroke::new(1.0, theme::faint(color, 0.7)),
            3.0,
        );
        painter.circle_filled(at(point.x, point.y), 2.75, color);
    }
    for (slot, pin) in chart.pins.iter().enumerate() {
        if let Some(point) = pin {
            let color = palette.pins[slot];
            let bar = theme::faint(color, if chart.curve.is_empty() { 1.0 } else { 0.5 });
            interval(painter, &at, point, Stroke::new(1.5, bar), 4.0);
            let center = at(point.x, point.y);
            widgets::pin_shape(
                painter,
                slot,
                center,
                6.5,
                color,
                Stroke::new(1.5, palette.surface),
            );
            painter.text(
                center + vec2(9.0, [-8.0, 8.0][slot]),
                Align2::LEFT_CENTER,
                ["A", "B"][slot],
                FontId::new(small.size, theme::semibold()),
                color,
            );
        }
    }
    if let Some((point, measured)) = &chart.current {
        let center = at(point.x, point.y);
        current_line(painter, center.x, frame, palette);
        if chart.curve.is_empty() {
            interval(painter, &at, point, Stroke::new(2.0, palette.accent), 5.0);
        }
        let (fill, edge) = if *measured {
            (palette.accent, palette.surface)
        } else {
            (palette.surface, palette.accent)
        };
        painter.circle(center, 6.0, fill, Stroke::new(2.0, edge));
    }
}

fn current_line(painter: &Painter, x: f32, frame: Rect, palette: &Palette) {
    let stroke = Stroke::new(1.0, theme::faint(palette.accent, 0.35));
    painter.vline(x, frame.y_range(), stroke);
}

/// An upright bar with feet over the interval of a point.
fn interval(
    painter: &Painter,
    at: &dyn Fn(f64, f64) -> Pos2,
    point: &Point,
    stroke: Stroke,
    foot: f32,
) {
    let (low, high) = (
        at(point.x, point.interval[0]),
        at(point.x, point.interval[1]),
    );
    if (low.y - high.y).abs() < 2.0 {
        return;
    }
    painter.line_segment([low, high], stroke);
    for end in [low, high] {
        painter.hline((end.x - foot)..=(end.x + foot), end.y, stroke);
    }
}
