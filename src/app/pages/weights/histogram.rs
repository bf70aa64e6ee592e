//! The weights of one layer, before and after, with the threshold of pruning and the grid of rounding.

use egui::{
    Align2, Color32, Painter, Rect, RichText, Shape, Stroke, TextStyle, Ui, WidgetInfo,
    accesskit::Role, pos2, vec2,
};
use wattif_core::compress::LayerLook;

use crate::app::explain::{Words, explained};
use crate::app::theme::{self, Palette};
use crate::app::widgets;
use crate::format;

/// Least distance at which lines of the grid can be told apart.
const APART: f32 = 4.0;
/// Height of the numbers below.
const AXIS: f32 = 16.0;

/// Draws them.
pub(super) fn show(ui: &mut Ui, look: &LayerLook, height: f32) {
    let palette = theme::palette(ui.visuals());
    let size = vec2(ui.available_width(), height);
    let (rect, response) = ui.allocate_exact_size(size, crate::app::explain::REACHABLE);
    let plot = Rect::from_min_max(rect.min, rect.max - vec2(0.0, AXIS));
    let painter = ui.painter().with_clip_rect(rect);
    painter.rect_filled(plot, 2.0, palette.window);
    let half = f64::from(look.range);
    let x = |weight: f64| {
        let share = if half > 0.0 {
            (weight / half + 1.0) / 2.0
        } else {
            0.5
        };
        plot.left() + plot.width() * share as f32
    };
    grid(&painter, plot, look, &x, palette);
    // Rounding heaps weights up: what was there before sets the height, and heaps go out at the top.
    let most = look.before.iter().copied().max().unwrap_or(0).max(1) as f32 * 1.15;
    let bins = look.before.len().max(1) as f32;
    let bar = |place: usize, count: u64| {
        let left = plot.left() + plot.width() * place as f32 / bins;
        let top = plot.bottom() - (plot.height() * count as f32 / most).min(plot.height());
        let right = left + (plot.width() / bins - 0.5).max(0.5);
        Rect::from_min_max(pos2(left, top), pos2(right, plot.bottom()))
    };
    for (place, &count) in look.after.iter().enumerate() {
        if count > 0 {
            painter.rect_filled(bar(place, count), 0.0, theme::faint(palette.accent, 0.55));
        }
    }
    let tops = look.before.iter().enumerate().flat_map(|(place, &count)| {
        let bar = bar(place, count);
        [bar.left_top(), bar.right_top()]
    });
    painter.add(Shape::line(
        tops.collect(),
        Stroke::new(1.25, palette.baseline),
    ));
    if let Some(threshold) = look.threshold {
        for side in [-1.0, 1.0] {
            let at = x(side * f64::from(threshold));
            let ends = [pos2(at, plot.top()), pos2(at, plot.bottom())];
            let stroke = Stroke::new(1.5, palette.pins[0]);
            painter.extend(Shape::dashed_line(&ends, stroke, 5.0, 3.0));
        }
    }
    let font = TextStyle::Small.resolve(ui.style());
    let number = |weight: f64| format::significant(weight, 2);
    for (at, anchor, text) in [
        (plot.left_bottom(), Align2::LEFT_TOP, number(-half)),
        (plot.center_bottom(), Align2::CENTER_TOP, "0".to_owned()),
        (plot.right_bottom(), Align2::RIGHT_TOP, number(half)),
    ] {
        painter.text(at, anchor, text, font.clone(), palette.muted);
    }
    response.widget_info(|| {
        WidgetInfo::labeled(Role::Label, true, format!("Histogram of {}", look.layer))
    });
    explained(response, || {
        let mut words = Words::headed(format!("Weights of {}", look.layer));
        for line in lines(look) {
            words = words.line(line);
        }
        words
    });
    legend(ui, look);
}

/// The multiples of the scale, where there is room between them.
fn grid(
    painter: &Painter,
    plot: Rect,
    look: &LayerLook,
    x: &dyn Fn(f64) -> f32,
    palette: &Palette,
) {
    let Some(grid) = look.grid else { return };
    let step = f64::from(grid.step);
    if x(step) - x(0.0) < APART {
        return;
    }
    let codes = i32::from(grid.codes);
    for code in -codes..=codes {
        if grid.bits == 1 && code == 0 {
            continue;
        }
        let at = x(f64::from(code) * step);
        if plot.x_range().contains(at) {
            painter.vline(at, plot.y_range(), Stroke::new(1.0, palette.hairline));
        }
    }
}

/// What is drawn, in words.
fn lines(look: &LayerLook) -> Vec<String> {
    let number = |value: f32| format::significant(f64::from(value), 3);
    let mut lines = vec![format!("from −{0} to {0}", number(look.range))];
    if let Some(threshold) = look.threshold {
        lines.push(format!(
            "below {} in size they become zero",
            number(threshold)
        ));
    }
    if let Some(grid) = look.grid {
        let scales = match grid.groups {
            1 => "one scale".to_owned(),
            groups => format!("{} scales", format::grouped(groups as f64)),
        };
        lines.push(match grid.bits {
            1 => format!(
                "signs times a scale: {scales}, the middle one {}",
                number(grid.step)
            ),
            bits => format!(
                "{bits} bits: multiples up to {} of a scale; {scales}, the middle one {}",
                grid.codes,
                number(grid.step)
            ),
        });
    }
    lines
}

fn legend(ui: &mut Ui, look: &LayerLook) {
    let palette = theme::palette(ui.visuals());
    let mark = |ui: &mut Ui, color: Color32, text: &str| {
        widgets::swatch(ui, color);
        let text = RichText::new(text)
            .text_style(TextStyle::Small)
            .color(palette.muted);
        ui.label(text);
    };
    ui.horizontal_wrapped(|ui| {
        mark(ui, theme::faint(palette.accent, 0.55), "filled: now");
        mark(ui, palette.baseline, "line: the original");
        if look.threshold.is_some() {
            mark(ui, palette.pins[0], "dashed: threshold");
        }
        if look.grid.is_some() {
            mark(ui, palette.hairline, "upright: grid of the middle scale");
        }
    });
}
