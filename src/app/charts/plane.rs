//! A chart with two logarithmic axes, for the pages: frame, grid and labels; the page draws on it.

use std::cell::RefCell;

use egui::{
    Align2, Color32, FontId, Mesh, Painter, Pos2, Rect, Response, Sense, Shape, Stroke, TextStyle,
    Ui, Vec2, pos2, vec2,
};

use super::{Scale, ticks};
use crate::app::theme::{self, Palette};
use crate::format;

/// One axis.
pub(in crate::app) struct Side<'a> {
    /// Quantity and unit.
    pub(in crate::app) title: &'a str,
    /// Smallest and largest value shown, above zero.
    pub(in crate::app) bounds: (f64, f64),
    /// How a value is written at a grid line.
    pub(in crate::app) write: &'a dyn Fn(f64) -> String,
}

/// Bounds around values with a little room; values that have no logarithm are left out.
pub(in crate::app) fn around(values: impl Iterator<Item = f64>) -> (f64, f64) {
    const ROOM: f64 = 1.25;
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for value in values.filter(|value| value.is_finite() && *value > 0.0) {
        low = low.min(value);
        high = high.max(value);
    }
    if high == 0.0 {
        (0.1, 10.0)
    } else {
        (low / ROOM, high * ROOM)
    }
}

/// The chart, once its frame is drawn.
pub(in crate::app) struct Plane {
    /// Where values lie.
    pub(in crate::app) frame: Rect,
    /// Clipped to the frame, with a little room for markers at its edge.
    pub(in crate::app) painter: Painter,
    /// Font of labels.
    pub(in crate::app) small: FontId,
    palette: &'static Palette,
    x: (f64, f64),
    y: (f64, f64),
    /// Where words are already.
    taken: RefCell<Vec<Rect>>,
}

/// Room for the labels of the upright axis.
const LEFT: f32 = 60.0;
/// Room for the labels and the title of the level axis.
const BOTTOM: f32 = 34.0;

impl Plane {
    /// Draws the frame; `name` is what the chart is called for those who cannot see it.
    pub(in crate::app) fn show(
        ui: &mut Ui,
        size: Vec2,
        name: &str,
        x: &Side<'_>,
        y: &Side<'_>,
    ) -> (Self, Response) {
        let palette = theme::palette(ui.visuals());
        let small = TextStyle::Small.resolve(ui.style());
        let growth = small.size / 11.0;
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        response
            .widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Image, true, name));
        let frame = Rect::from_min_max(
            pos2(rect.left() + LEFT * growth, rect.top() + 18.0 * growth),
            pos2(rect.right() - 12.0, rect.bottom() - BOTTOM * growth),
        );
        let logs = |bounds: (f64, f64)| (bounds.0.log10(), bounds.1.log10());
        let plane = Self {
            frame,
            painter: ui
                .painter()
                .with_clip_rect(frame.expand(7.0).intersect(ui.clip_rect())),
            small,
            palette,
            x: logs(x.bounds),
            y: logs(y.bounds),
            taken: RefCell::default(),
        };
        plane.axes(ui.painter(), rect, x, y);
        (plane, response)
    }

    fn axes(&self, painter: &Painter, rect: Rect, x: &Side<'_>, y: &Side<'_>) {
        let (frame, palette) = (self.frame, self.palette);
        let line = Stroke::new(1.0, palette.grid);
        let text = |at: Pos2, anchor: Align2, words: String| {
            painter.text(at, anchor, words, self.small.clone(), palette.muted)
        };
        let mut free = f32::NEG_INFINITY;
        for place in ticks(Scale::Logarithmic, self.x) {
            let value = 10_f64.powf(place);
            let at = self.at(value, 1.0).x;
            painter.vline(at, frame.y_range(), line);
            // Labels that would touch are left out, their lines are not.
            let words = format::shorten(&(x.write)(value));
            let galley = painter.layout_no_wrap(words, self.small.clone(), palette.muted);
            let half = galley.size().x / 2.0;
            if at - half > free && at + half <= rect.right() {
                painter.galley(pos2(at - half, frame.bottom() + 4.0), galley, palette.muted);
                free = at + half + 6.0;
            }
        }
        let title = text(rect.left_top(), Align2::LEFT_TOP, y.title.to_owned());
        // From the bottom upwards.
        let mut free = f32::INFINITY;
        for place in ticks(Scale::Logarithmic, self.y) {
            let value = 10_f64.powf(place);
            let at = self.at(1.0, value).y;
            painter.hline(frame.x_range(), at, line);
            let half = 0.7 * self.small.size;
            if at + half < free && at - half >= title.bottom() {
                let words = format::shorten(&(y.write)(value));
                text(pos2(frame.left() - 6.0, at), Align2::RIGHT_CENTER, words);
                free = at - half;
            }
        }
        text(
            pos2(frame.center().x, rect.bottom()),
            Align2::CENTER_BOTTOM,
            x.title.to_owned(),
        );
    }

    /// Where a pair of values lies.
    pub(in crate::app) fn at(&self, x: f64, y: f64) -> Pos2 {
        let share = |value: f64, (low, high): (f64, f64)| {
            ((value.max(1e-300).log10() - low) / (high - low)) as f32
        };
        pos2(
            egui::lerp(self.frame.x_range(), share(x, self.x)),
            egui::lerp(self.frame.bottom()..=self.frame.top(), share(y, self.y)),
        )
    }

    /// The smallest value of the upright axis.
    pub(in crate::app) fn value_at_bottom(&self) -> f64 {
        10_f64.powf(self.y.0)
    }

    /// The value of the level axis under a place.
    pub(in crate::app) fn value_x(&self, at: f32) -> f64 {
        let share = f64::from((at - self.frame.left()) / self.frame.width()).clamp(0.0, 1.0);
        10_f64.powf(self.x.0 + (self.x.1 - self.x.0) * share)
    }

    /// Joins pairs of values.
    pub(in crate::app) fn line(&self, points: &[(f64, f64)], stroke: Stroke, dashed: bool) {
        let places: Vec<Pos2> = points.iter().map(|&(x, y)| self.at(x, y)).collect();
        if dashed {
            self.painter
                .extend(Shape::dashed_line(&places, stroke, 5.0, 4.0));
        } else {
            self.painter.add(Shape::line(places, stroke));
        }
    }

    /// Fills between two curves over the same values: `(x, low, high)`.
    pub(in crate::app) fn band(&self, points: &[(f64, f64, f64)], color: Color32) {
        let mut mesh = Mesh::default();
        for (place, &(x, low, high)) in points.iter().enumerate() {
            mesh.colored_vertex(self.at(x, low), color);
            mesh.colored_vertex(self.at(x, high), color);
            if place > 0 {
                let last = 2 * place as u32;
                mesh.add_triangle(last - 2, last - 1, last);
                mesh.add_triangle(last - 1, last, last + 1);
            }
        }
        self.painter.add(mesh);
    }

    /// An upright bar with feet between two values.
    pub(in crate::app) fn interval(&self, x: f64, low: f64, high: f64, stroke: Stroke) {
        const FOOT: f32 = 3.0;
        let ends = [self.at(x, low), self.at(x, high)];
        self.painter.line_segment(ends, stroke);
        for end in ends {
            self.painter
                .hline((end.x - FOOT)..=(end.x + FOOT), end.y, stroke);
        }
    }

    /// A word beside a place, kept inside the frame and off the words before it; left out where it has no room.
    pub(in crate::app) fn word(&self, at: Pos2, anchor: Align2, text: &str, color: Color32) {
        let galley = self
            .painter
            .layout_no_wrap(text.to_owned(), self.small.clone(), color);
        let rect = anchor.anchor_size(at, galley.size());
        let room = self.frame.expand(2.0);
        let shift = vec2(
            (room.right() - rect.right()).min(0.0) + (room.left() - rect.left()).max(0.0),
            (room.bottom() - rect.bottom()).min(0.0) + (room.top() - rect.top()).max(0.0),
        );
        let wanted = rect.translate(shift);
        let line = rect.height();
        let mut taken = self.taken.borrow_mut();
        let place = [0.0, line, -line, 2.0 * line, -2.0 * line]
            .map(|down| wanted.translate(vec2(0.0, down)))
            .into_iter()
            .find(|place| {
                room.expand(0.5).contains_rect(*place)
                    && taken
                        .iter()
                        .all(|other| !other.shrink(0.5).intersects(*place))
            });
        if let Some(place) = place {
            taken.push(place);
            self.painter.galley(place.min, galley, color);
        }
    }

    /// The point nearest to the pointer, within reach.
    pub(in crate::app) fn nearest(
        &self,
        pointer: Pos2,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> Option<usize> {
        const REACH: f32 = 14.0;
        points
            .enumerate()
            .map(|(place, (x, y))| (place, self.at(x, y).distance(pointer)))
            .filter(|(_, distance)| *distance <= REACH)
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(place, _)| place)
    }
}

/// The sign of a point in a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Sign {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle on its base.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// A triangle on its point.
    Wedge,
    /// A bar that lies.
    Bar,
}

/// Draws a sign.
pub(in crate::app) fn sign(
    painter: &Painter,
    sign: Sign,
    center: Pos2,
    radius: f32,
    fill: Color32,
    edge: Stroke,
) {
    let polygon = |corners: &[(f32, f32)]| {
        let points = corners
            .iter()
            .map(|&(x, y)| center + radius * vec2(x, y))
            .collect();
        Shape::convex_polygon(points, fill, edge)
    };
    painter.add(match sign {
        Sign::Circle => Shape::Circle(egui::epaint::CircleShape {
            center,
            radius,
            fill,
            stroke: edge,
        }),
        Sign::Square => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        Sign::Triangle => polygon(&[(0.0, -1.1), (1.05, 0.75), (-1.05, 0.75)]),
        Sign::Diamond => polygon(&[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)]),
        Sign::Wedge => polygon(&[(-1.05, -0.75), (1.05, -0.75), (0.0, 1.1)]),
        Sign::Bar => polygon(&[(-1.3, -0.45), (1.3, -0.45), (1.3, 0.45), (-1.3, 0.45)]),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_leave_room_and_skip_what_has_no_logarithm() {
        let (low, high) = around([0.0, 2.0, f64::NAN, 8.0].into_iter());
        assert!((1.0..2.0).contains(&low) && (8.0..16.0).contains(&high));
        let (low, high) = around(std::iter::empty());
        assert!(0.0 < low && low < high);
    }
}
