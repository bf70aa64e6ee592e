//! Controls and figures that several panels share.

use egui::{
    Align, Color32, DragValue, Layout, Response, RichText, Sense, Slider, Stroke, StrokeKind, Ui,
    UiBuilder, pos2, vec2,
};
use wattif_core::hardware::HardwareClass;
use wattif_core::measurement::Provenance;

use super::axis::Axis;
pub(super) use super::cells::{cell, reachable_cell};
use super::explain::{Words, explained};
use super::theme;

/// How much room a slider gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Name and value above a rail over the whole width.
    Wide,
    /// Name, rail and value in one line.
    Line,
    /// As in [`Self::Wide`], for the back row of a class.
    Large,
}

/// A slider with its name and a number that can be typed or dragged. `marks` are values with a notch on the rail, `write`
/// writes the number. Returns the new value when it was moved.
pub(super) fn knob(
    ui: &mut Ui,
    axis: Axis,
    value: f64,
    help: &str,
    room: Room,
    marks: &[f64],
    write: &dyn Fn(f64) -> String,
) -> Option<f64> {
    let mut moved = None;
    let knob = Knob {
        axis,
        value,
        help,
        marks,
        write,
    };
    match room {
        Room::Wide | Room::Large => {
            let (name_style, value_style) = if room == Room::Large {
                (theme::figure(), theme::figure())
            } else {
                (egui::TextStyle::Body, theme::emphasis())
            };
            let name = ui
                .horizontal(|ui| {
                    let name = ui
                        .label(RichText::new(axis.name()).text_style(name_style))
                        .on_hover_text(help);
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        ui.style_mut().drag_value_text_style = value_style;
                        number(ui, &knob, &name, &mut moved);
                    });
                    name
                })
                .inner;
            ui.spacing_mut().slider_width = ui.available_width();
            rail(ui, &knob, &name, &mut moved);
        }
        Room::Line => {
            ui.horizontal(|ui| {
                let (name_rect, _) = ui.allocate_exact_size(
                    vec2(LINE_NAME, ui.spacing().interact_size.y),
                    Sense::hover(),
                );
                let mut cell = ui.new_child(
                    UiBuilder::new()
                        .max_rect(name_rect)
                        .layout(Layout::left_to_right(Align::Center)),
                );
                let name = cell.label(axis.name()).on_hover_text(help);
                ui.spacing_mut().slider_width =
                    (ui.available_width() - LINE_VALUE - ui.spacing().item_spacing.x).max(40.0);
                rail(ui, &knob, &name, &mut moved);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    number(ui, &knob, &name, &mut moved);
                });
            });
        }
    }
    moved.filter(|new| (new - value).abs() > 1e-12 * value.abs().max(1e-3))
}

const LINE_NAME: f32 = 96.0;
const LINE_VALUE: f32 = 84.0;

/// What a slider and its number show.
struct Knob<'a> {
    axis: Axis,
    value: f64,
    /// What it does.
    help: &'a str,
    /// Values with a notch on the rail.
    marks: &'a [f64],
    write: &'a dyn Fn(f64) -> String,
}

fn rail(ui: &mut Ui, knob: &Knob<'_>, name: &Response, moved: &mut Option<f64>) {
    let (axis, value) = (knob.axis, knob.value);
    let (first, last) = axis.places();
    let mut place = axis.place(value);
    let mut slider = Slider::new(&mut place, first..=last).show_value(false);
    if axis.is_stepped() {
        slider = slider.step_by(axis.key_step());
    }
    let response = ui
        .scope(|ui| {
            theme::accent_sliders(ui);
            ui.add(slider)
        })
        .inner
        .labelled_by(name.id);
    let text = (knob.write)(value);
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_value(text);
        node.set_description(knob.help);
    });
    let radius = response.rect.height() / 2.5;
    let palette = theme::palette(ui.visuals());
    for mark in knob.marks {
        let share = (axis.place(*mark) - first) / (last - first);
        let left = response.rect.left() + radius;
        let x = left + (response.rect.width() - 2.0 * radius) * share as f32;
        ui.painter().vline(
            x,
            response.rect.bottom() - 4.0..=response.rect.bottom() - 1.0,
            Stroke::new(1.0, palette.muted),
        );
    }
    if response.changed() {
        *moved = Some(axis.value_at(place));
    }
}

fn number(ui: &mut Ui, knob: &Knob<'_>, name: &Response, moved: &mut Option<f64>) {
    let (axis, value) = (knob.axis, knob.value);
    let (first, last) = axis.places();
    let mut place = axis.place(value);
    let response = ui
        .add(
            DragValue::new(&mut place)
                .range(first..=last)
                .speed((last - first) / 300.0)
                .update_while_editing(false)
                .custom_formatter(|place, _| (knob.write)(axis.value_at(place)))
                .custom_parser(|text| parse(axis, text).map(|value| axis.place(value))),
        )
        .labelled_by(name.id);
    if response.changed() {
        *moved = Some(axis.value_at(place));
    }
}

/// Reads what a person types into a number box: "50", "50 %", "0.5" (below 1 for percentages), "2 million", "8 bits".
fn parse(axis: Axis, text: &str) -> Option<f64> {
    let text = text
        .trim()
        .replace([',', '\u{202f}', ' '], "")
        .to_lowercase();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e')))
        .unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let rest = &text[end..];
    if matches!(axis, Axis::Sparsity | Axis::Ratio | Axis::Utilization) {
        let percent = rest.starts_with('%') || number > 1.0;
        return Some(if percent { number / 100.0 } else { number });
    }
    let factor = match rest {
        _ if rest.starts_with("ki") => 1024.0,
        _ if rest.starts_with('k') || rest.starts_with("thousand") => 1e3,
        _ if rest.starts_with("mi") || rest.starts_with('m') => 1e6,
        _ if rest.starts_with('b') && axis == Axis::Demand => 1e9,
        _ if rest.starts_with('g') => 1e9,
        _ if rest.starts_with('t') && axis == Axis::Demand => 1e12,
        _ => 1.0,
    };
    Some(number * factor)
}

/// A row of connected choices of which one holds. Each is a button named by its text.
pub(super) fn choices<T: Copy + PartialEq>(
    ui: &mut Ui,
    options: &[(T, &str, &str)],
    chosen: T,
) -> Option<T> {
    let mut picked = None;
    let palette = theme::palette(ui.visuals());
    egui::Frame::new()
        .fill(palette.field)
        .corner_radius(5)
        .inner_margin(2)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            ui.spacing_mut().button_padding = vec2(7.0, 1.0);
            ui.spacing_mut().interact_size.y = 18.0;
            ui.horizontal(|ui| {
                for (value, text, help) in options {
                    let selected = *value == chosen;
                    let mut words = RichText::new(*text);
                    if selected {
                        words = words.text_style(theme::emphasis()).color(palette.strong);
                    }
                    let button = egui::Button::selectable(selected, words)
                        .fill(if selected {
                            palette.surface
                        } else {
                            palette.field
                        })
                        .corner_radius(4);
                    let response = ui.add(button);
                    let response = if help.is_empty() {
                        response
                    } else {
                        response.on_hover_text(*help)
                    };
                    if response.clicked() && !selected {
                        picked = Some(*value);
                    }
                }
            });
        });
    picked
}

/// The ground and edge of every card.
pub(super) fn card_frame(palette: &theme::Palette) -> egui::Frame {
    egui::Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.hairline))
        .corner_radius(theme::CARD_RADIUS)
        .inner_margin(theme::CARD_MARGIN)
}

/// A titled group on a card of its own.
pub(super) fn card<R>(ui: &mut Ui, title: &str, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = theme::palette(ui.visuals());
    card_frame(palette)
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            if !title.is_empty() {
                ui.label(
                    RichText::new(title)
                        .text_style(theme::heading())
                        .color(palette.strong),
                );
            }
            contents(ui)
        })
        .inner
}

/// Says where a number comes from, see [`explained`].
pub(super) fn with_provenance(response: Response, provenance: &Provenance) -> Response {
    explained(response, || Words::of(provenance))
}

/// The shape of a pinned configuration: a triangle for A, a diamond for B.
pub(super) fn pin_shape(
    painter: &egui::Painter,
    pin: usize,
    center: egui::Pos2,
    radius: f32,
    fill: Color32,
    edge: Stroke,
) {
    let points = if pin == 0 {
        let (dx, dy) = (radius * 0.95, radius * 0.55);
        vec![
            pos2(center.x, center.y - radius),
            pos2(center.x + dx, center.y + dy),
            pos2(center.x - dx, center.y + dy),
        ]
    } else {
        vec![
            pos2(center.x, center.y - radius),
            pos2(center.x + radius, center.y),
            pos2(center.x, center.y + radius),
            pos2(center.x - radius, center.y),
        ]
    };
    painter.add(egui::Shape::convex_polygon(points, fill, edge));
}

/// The shape of a class of hardware, so that classes differ by more than their words.
pub(super) fn class_shape(ui: &mut Ui, class: HardwareClass) {
    let palette = theme::palette(ui.visuals());
    let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), Sense::hover());
    class_mark(
        ui.painter(),
        class,
        rect.center(),
        palette.muted,
        Color32::TRANSPARENT,
    );
}

/// The same as a marker; `ground` fills the shapes that are outlines.
pub(super) fn class_mark(
    painter: &egui::Painter,
    class: HardwareClass,
    center: egui::Pos2,
    color: Color32,
    ground: Color32,
) {
    let stroke = Stroke::new(1.5, color);
    let polygon = |sides: u8| {
        let points = (0..sides)
            .map(|i| {
                let angle = f32::from(i) / f32::from(sides) * std::f32::consts::TAU;
                center + 5.5 * egui::Vec2::angled(angle)
            })
            .collect();
        egui::Shape::convex_polygon(points, ground, stroke)
    };
    let square = |size: f32, fill: Color32| {
        painter.rect(
            egui::Rect::from_center_size(center, egui::Vec2::splat(size)),
            1.0,
            fill,
            stroke,
            StrokeKind::Middle,
        );
    };
    match class {
        HardwareClass::Gpu => square(9.0, color),
        HardwareClass::EdgeGpu => square(6.0, color),
        HardwareClass::Cpu => square(9.0, ground),
        HardwareClass::Tpu => {
            painter.add(polygon(6));
        }
        HardwareClass::Asic => {
            painter.add(polygon(4));
        }
        HardwareClass::GraphProcessor => {
            painter.line_segment([center - vec2(4.0, 3.0), center + vec2(4.0, 3.0)], stroke);
            for dot in [vec2(-4.0, -3.0), vec2(4.0, 3.0), vec2(4.0, -3.5)] {
                painter.circle_filled(center + dot, 2.0, color);
            }
        }
        HardwareClass::Fpga => {
            for x in [-3.5, 0.0, 3.5] {
                for y in [-3.5, 0.0, 3.5] {
                    painter.circle_filled(center + vec2(x, y), 1.1, color);
                }
            }
        }
        HardwareClass::Microcontroller => {
            square(6.0, ground);
            for x in [-5.0, 5.0] {
                for y in [-2.0, 2.0] {
                    painter.circle_filled(center + vec2(x, y), 1.0, color);
                }
            }
        }
        HardwareClass::Neuromorphic => {
            let heights = [0.0, 0.0, -5.0, 4.0, 0.0, 0.0];
            let points = heights
                .iter()
                .enumerate()
                .map(|(i, y)| center + vec2(i as f32 * 2.2 - 5.5, *y))
                .collect();
            painter.add(egui::Shape::line(points, stroke));
        }
    }
}

/// A small mark in front of a word, drawn rather than written.
pub(super) fn swatch(ui: &mut Ui, color: Color32) {
    let height = ui.text_style_height(&egui::TextStyle::Body);
    let (cell, _) = ui.allocate_exact_size(vec2(12.0, height), Sense::hover());
    let rect = egui::Rect::from_center_size(cell.center(), vec2(10.0, 10.0));
    ui.painter().rect(
        rect,
        2.0,
        color,
        Stroke::new(0.5, theme::palette(ui.visuals()).muted),
        StrokeKind::Inside,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_numbers_are_read_as_people_write_them() {
        let cases = [
            (Axis::Sparsity, "50 %", 0.5),
            (Axis::Sparsity, "0.5", 0.5),
            (Axis::Sparsity, "35", 0.35),
            (Axis::Demand, "2 million", 2e6),
            (Axis::Demand, "3b", 3e9),
            (Axis::Demand, "1,000", 1e3),
            (Axis::Context, "4 Ki", 4096.0),
            (Axis::WeightBits, "8 bits", 8.0),
            (Axis::Pue, "1.25", 1.25),
            (Axis::Lifetime, "3 years", 3.0),
        ];
        for (axis, text, value) in cases {
            let read = parse(axis, text).unwrap();
            assert!(
                (read - value).abs() < 1e-9 * value,
                "{axis:?} {text}: {read}"
            );
        }
        assert_eq!(parse(Axis::Batch, "many"), None);
    }

    #[test]
    fn every_axis_reads_back_what_it_writes() {
        for axis in Axis::ALL {
            for value in axis.ticks() {
                let text = axis.value_text(value);
                let read = parse(axis, &text).unwrap();
                assert!(
                    (read - value).abs() <= 0.011 * value.max(1.0),
                    "{axis:?} {text}: {read}"
                );
            }
        }
    }
}
