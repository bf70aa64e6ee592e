//! Draws one chart: axes, grid and curves by `egui_plot`, markers and the read-out on top.

use egui::{Color32, FontId, Id, Painter, Pos2, Rect, Sense, Stroke, Ui, pos2, vec2};
use egui_plot::{
    AxisHints, FilledArea, GridMark, HPlacement, Line, LineStyle, Plot, PlotPoint, PlotPoints,
    PlotTransform,
};

mod marks;

use super::quality::{QUALITY, change_text};
use super::scale::{every, thinned, tick_label, tick_text, ticks, written};
use super::{Chart, Point, Stretch, Unit, axis_title};
use crate::app::axis::Axis;
use crate::app::theme::{self, Palette};

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
    let growth = small.size / 11.0;
    let width = ui.available_width() - (LEFT_AXIS + RIGHT_AXIS) * growth;
    let span = last - first + 2.0 * margin;
    let step = x_step(ui, axis, &small, |place| {
        ((place - first + margin) / span) as f32 * width
    });
    // Under the last chart are the labels and the title of the level axis.
    let below = if is_last {
        2.0 * LINE * small.size
    } else {
        2.0
    };
    let height = (ui.available_height() - below).max(1.0);
    let gap = f64::from(LINE * small.size / height) * (high - low);
    let labels = Labels { step, gap };
    let response = plot(chart, axis, is_last, &labels, &small, palette).show(ui, |plot| {
        plot.set_plot_bounds_x(x_bounds);
        plot.set_plot_bounds_y(low..=high);
        curves(plot, chart, palette);
    });
    let transform = response.transform;
    let frame = *transform.frame();
    let painter = ui
        .painter()
        .with_clip_rect(frame.expand(7.0).intersect(ui.clip_rect()));
    marks::markers(&painter, chart, &transform, &small, palette);
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

/// Height of a line of labels, in sizes of their font.
const LINE: f32 = 1.5;

/// How many labels have room.
struct Labels {
    /// Every how many places of the level axis have one.
    step: usize,
    /// Least distance of labels on the upright axis, on the scale of the chart.
    gap: f64,
}

/// Every how many places of the level axis have room for their label.
fn x_step(ui: &Ui, axis: Axis, small: &FontId, at: impl Fn(f64) -> f32) -> usize {
    const GAP: f32 = 6.0;
    let labels: Vec<(f32, f32)> = axis
        .ticks()
        .into_iter()
        .map(|value| {
            let text = axis.tick_label(value);
            let galley = ui
                .painter()
                .layout_no_wrap(text, small.clone(), Color32::PLACEHOLDER);
            (at(axis.place(value)), galley.size().x)
        })
        .collect();
    every(&labels, GAP)
}

fn plot<'a>(
    chart: &'a Chart,
    axis: Axis,
    is_last: bool,
    labels: &Labels,
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
            if chart.has_heights() {
                tick_label(chart.scale.value(mark.value) * factor, unit)
            } else {
                String::new()
            }
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
    let (step, gap) = (labels.step, labels.gap);
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
            let places = axis.ticks().into_iter().step_by(step);
            grid(places.map(|value| axis.place(value)), input.bounds)
        })
        .y_grid_spacer(move |input| {
            let places = thinned(ticks(scale, input.bounds), gap);
            grid(places.into_iter(), input.bounds)
        })
        .custom_x_axes(vec![bottom])
        .custom_y_axes(vec![left, right])
}

/// Lines of equal weight at these places.
fn grid(places: impl Iterator<Item = f64>, bounds: (f64, f64)) -> Vec<GridMark> {
    let wide = (bounds.1 - bounds.0).abs();
    places
        .map(|value| GridMark {
            value,
            step_size: wide,
        })
        .collect()
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
