//! Draws one chart: axes, grid and curves by `egui_plot`, markers and the read-out on top.

use egui::{
    Align2, Color32, FontId, Id, Painter, Pos2, Rect, Sense, Shape, Stroke, Ui, pos2, vec2,
};
use egui_plot::{
    AxisHints, FilledArea, GridMark, HPlacement, Line, LineStyle, Plot, PlotPoint, PlotPoints,
    PlotTransform,
};
use wattif_core::measurement::Depth;

use super::quality::{QUALITY, change_text};
use super::scale::{tick_label, tick_text, ticks, written};
use super::{Chart, Point, Stretch, Unit, axis_title};
use crate::app::axis::Axis;
use crate::app::theme::{self, Palette};
use crate::app::widgets;

/// What the pointer did on a chart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answer {
    /// Place under the pointer.
    pub(super) hovered: Option<f64>,
    /// Place that was clicked or dragged to.
    pub(super) moved: Option<f64>,
}

/// Room for the labels of the left and of the right axis, the same in all charts so that their grids line up.
const LEFT_AXIS: f32 = 58.0;
const RIGHT_AXIS: f32 = 58.0;

/// Draws the chart over the rest of the room; `cursor` is the place whose figures all charts show.
pub(super) fn show(
    ui: &mut Ui,
    chart: &Chart,
    axis: Axis,
    is_last: bool,
    cursor: Option<f64>,
) -> Answer {
    let palette = theme::palette(ui.visuals());
    let (first, last) = axis.places();
    let margin = (last - first) * 0.025;
    let x_bounds = (first - margin)..=(last + margin);
    let [low, high] = chart.bounds;
    let small = egui::TextStyle::Small.resolve(ui.style());
    let response =
        plot(chart, axis, is_last, ui.available_width(), &small, palette).show(ui, |plot| {
            plot.set_plot_bounds_x(x_bounds);
            plot.set_plot_bounds_y(low..=high);
            curves(plot, chart, palette);
        });
    let transform = response.transform;
    let frame = *transform.frame();
    let painter = ui
        .painter()
        .with_clip_rect(frame.expand(7.0).intersect(ui.clip_rect()));
    markers(&painter, chart, &transform, &small, palette);
    let mut answer = Answer::default();
    if let Some(pointer) = response.response.hover_pos() {
        answer.hovered = Some(transform.value_from_position(pointer).x.clamp(first, last));
    }
    if (response.response.dragged() || response.response.clicked())
        && let Some(pointer) = response.response.interact_pointer_pos()
    {
        answer.moved = Some(transform.value_from_position(pointer).x.clamp(first, last));
    }
    if let Some(place) = cursor {
        read_out(&painter, chart, axis, place, &transform, &small, palette);
    }
    name(ui, response.response.id, chart);
    answer
}

fn plot<'a>(
    chart: &'a Chart,
    axis: Axis,
    is_last: bool,
    width: f32,
    small: &FontId,
    palette: &Palette,
) -> Plot<'a> {
    let label_font = small.clone();
    let growth = small.size / 11.0;
    let hint = |hints: AxisHints<'a>| {
        hints
            .tick_label_color(palette.muted)
            .tick_label_font(label_font.clone())
            .label_spacing(1.0..=2.0)
    };
    let written = |factor: f64, unit: Unit| {
        move |mark: GridMark, _: &std::ops::RangeInclusive<f64>| {
            let label = || tick_label(chart.scale.value(mark.value) * factor, unit);
            chart.has_heights().then(label).unwrap_or_default()
        }
    };
    let left = hint(AxisHints::new_y())
        .min_thickness(LEFT_AXIS * growth)
        .formatter(written(1.0, chart.unit));
    // The other charts leave the same room free, so that the places line up.
    let right = hint(AxisHints::new_y())
        .min_thickness(RIGHT_AXIS * growth)
        .placement(HPlacement::Right);
    let right = match chart.right {
        Some((factor, unit)) => right.formatter(written(factor, unit)),
        None => right.formatter(|_, _| String::new()),
    };
    let bottom = hint(AxisHints::new_x()).formatter(move |mark, _| {
        if is_last {
            axis.tick_label(axis.value_near(mark.value))
        } else {
            String::new()
        }
    });
    let bottom = if is_last {
        bottom.label(
            egui::RichText::new(axis_title(axis))
                .size(small.size)
                .color(palette.muted),
        )
    } else {
        bottom.min_thickness(2.0)
    };
    let sparse = width < 460.0 * growth;
    let scale = chart.scale;
    Plot::new(chart.id)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_background(false)
        .show_x(false)
        .show_y(false)
        .show_crosshair(false)
        .sense(Sense::CLICK | Sense::DRAG)
        .grid_color(palette.grid)
        .grid_fade(0.0)
        .grid_spacing(1.0..=2.0)
        .x_grid_spacer(move |input| {
            let marks = axis.ticks();
            let step = if sparse && marks.len() > 7 { 2 } else { 1 };
            let wide = (input.bounds.1 - input.bounds.0).abs();
            marks
                .into_iter()
                .step_by(step)
                .map(|value| GridMark {
                    value: axis.place(value),
                    step_size: wide,
                })
                .collect()
        })
        .y_grid_spacer(move |input| {
            let wide = (input.bounds.1 - input.bounds.0).abs();
            ticks(scale, input.bounds)
                .into_iter()
                .map(|value| GridMark {
                    value,
                    step_size: wide,
                })
                .collect()
        })
        .custom_x_axes(vec![bottom])
        .custom_y_axes(vec![left, right])
}

fn points(stretch: &Stretch, which: usize) -> PlotPoints<'static> {
    PlotPoints::Owned(
        stretch
            .x
            .iter()
            .zip(&stretch.y[which])
            .map(|(&x, &y)| PlotPoint::new(x, y))
            .collect(),
    )
}

fn curves<'a>(plot: &mut egui_plot::PlotUi<'a>, chart: &'a Chart, palette: &Palette) {
    for stretch in &chart.curve {
        let band = FilledArea::new("range", &stretch.x, &stretch.y[0], &stretch.y[2])
            .fill_color(theme::faint(palette.accent, 0.16))
            .allow_hover(false);
        plot.add(band);
    }
    for stretch in &chart.curve {
        let line = Line::new("what if", points(stretch, 1))
            .color(palette.accent)
            .width(2.0)
            .allow_hover(false);
        plot.line(line);
    }
    // On top, so that a tie shows as dashes along the curve.
    for stretch in &chart.baseline {
        let line = Line::new("original", points(stretch, 1))
            .color(palette.baseline)
            .width(1.5)
            .style(LineStyle::Dashed { length: 6.0 })
            .allow_hover(false);
        plot.line(line);
    }
    if chart.join && chart.points.len() > 1 {
        let joined = chart
            .points
            .iter()
            .map(|point| PlotPoint::new(point.x, point.y))
            .collect();
        let line = Line::new("measured", PlotPoints::Owned(joined))
            .color(theme::faint(palette.accent, 0.45))
            .width(1.0)
            .allow_hover(false);
        plot.line(line);
    }
}

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

fn markers(
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

/// Low, typical and high at a place: calculated or measured there, or of what is set now.
fn known(chart: &Chart, axis: Axis, place: f64) -> Option<[f64; 3]> {
    let here = |x: f64| (x - place).abs() < 1e-9;
    let of = |point: &Point| [point.interval[0], point.y, point.interval[1]];
    let calculated = chart.curve.iter().find_map(|stretch| {
        let at = stretch.x.iter().position(|x| here(*x))?;
        Some(stretch.y.each_ref().map(|values| values[at]))
    });
    // What is not in the recipe leaves quality alone.
    let anywhere = chart.level.is_some() && !axis.is_recipe();
    let current = chart.current.as_ref().map(|(point, _)| point);
    calculated
        .or_else(|| chart.points.iter().find(|p| here(p.x)).map(of))
        .or_else(|| current.filter(|p| anywhere || here(p.x)).map(of))
}

/// What a chart says of a place.
pub(super) fn words_at(chart: &Chart, axis: Axis, place: f64) -> String {
    let position = axis.value_text(axis.value_near(place));
    let Some([low, typical, high]) = known(chart, axis, place) else {
        let missing = if chart.id == QUALITY {
            "not measured"
        } else {
            "cannot run here"
        };
        return format!("{position}: {missing}");
    };
    let text = format!(
        "{position}: {}",
        written(chart.scale.value(typical), chart.unit)
    );
    let bare = |y: f64| tick_text(chart.scale.value(y), chart.unit);
    match chart.level {
        Some(level) => match change_text(chart.unit, low - level, high - level) {
            Some(change) => format!("{text}  (change {change})"),
            None => text,
        },
        None if high > low => format!("{text}  ({} to {})", bare(low), bare(high)),
        None => text,
    }
}

/// The figures at a place, on a line that all charts draw at the same one.
fn read_out(
    painter: &Painter,
    chart: &Chart,
    axis: Axis,
    place: f64,
    transform: &PlotTransform,
    small: &FontId,
    palette: &Palette,
) {
    let frame = *transform.frame();
    let at = |y: f64| transform.position_from_point(&PlotPoint::new(place, y));
    let x = at(0.0).x;
    painter.vline(x, frame.y_range(), Stroke::new(1.0, palette.muted));
    let beside = match known(chart, axis, place) {
        Some([_, typical, _]) => {
            let point = at(typical);
            let edge = Stroke::new(1.5, palette.strong);
            painter.circle(point, 3.5, palette.surface, edge);
            point
        }
        None => pos2(x, frame.top()),
    };
    let text = words_at(chart, axis, place);
    label(painter, frame, beside, &text, small, palette);
}

/// A small note beside a point, kept inside the frame.
fn label(
    painter: &Painter,
    frame: Rect,
    point: Pos2,
    text: &str,
    small: &FontId,
    palette: &Palette,
) {
    let galley = painter.layout_no_wrap(text.to_owned(), small.clone(), palette.strong);
    let size = galley.size() + vec2(10.0, 6.0);
    let beside = if point.x + 8.0 + size.x > frame.right() {
        point.x - 8.0 - size.x
    } else {
        point.x + 8.0
    };
    let x = beside.max(frame.left());
    let y = (point.y - size.y - 6.0).clamp(frame.top(), (frame.bottom() - size.y).max(frame.top()));
    let rect = Rect::from_min_size(pos2(x, y), size);
    painter.rect(
        rect,
        4.0,
        palette.surface,
        Stroke::new(1.0, palette.hairline),
        egui::StrokeKind::Inside,
    );
    painter.galley(rect.min + vec2(5.0, 3.0), galley, Color32::PLACEHOLDER);
}

/// Gives the chart's picture its reading as accessible name.
fn name(ui: &Ui, id: Id, chart: &Chart) {
    let reading = chart.reading.clone();
    ui.ctx().accesskit_node_builder(id, |node| {
        node.set_role(egui::accesskit::Role::Image);
        node.set_label(reading);
    });
}
