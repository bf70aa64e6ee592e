//! The largest numbers of a network's outputs for one generated input, the original's beside those now.

use egui::{RichText, Ui};
use wattif_core::measurement::Example;

use crate::app::theme;
use crate::format;

/// Outputs that are shown.
const MOST: usize = 3;
/// Digits of a number.
const DIGITS: i32 = 4;

/// Draws a table of each output.
pub(super) fn table(ui: &mut Ui, examples: &[Example]) {
    let palette = theme::palette(ui.visuals());
    let small = |text: String| RichText::new(text).text_style(egui::TextStyle::Small);
    for example in examples.iter().take(MOST) {
        let Example::Outputs {
            name,
            shape,
            places,
            original,
            compressed,
        } = example
        else {
            continue;
        };
        let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
        let heading = format!(
            "{name} [{}], largest numbers for one input",
            sizes.join(", ")
        );
        ui.label(small(heading).color(palette.muted));
        egui::Grid::new(("outputs", name))
            .num_columns(3)
            .show(ui, |ui| {
                for heading in ["at", "Original", "Now"] {
                    ui.label(small(heading.to_owned()).color(palette.muted));
                }
                ui.end_row();
                for ((place, before), now) in places.iter().zip(original).zip(compressed) {
                    let numbers = [before, now].map(|n| format::significant(f64::from(*n), DIGITS));
                    let [before, now] = numbers;
                    ui.label(small(place_of(*place, shape)));
                    ui.label(small(before));
                    ui.label(small(now).color(palette.strong));
                    ui.end_row();
                }
            });
        ui.add_space(4.0);
    }
}

/// A place among all numbers as one along each axis but the first, where that has only one.
fn place_of(place: usize, shape: &[usize]) -> String {
    let mut rest = place;
    let mut along: Vec<String> = Vec::new();
    for size in shape.iter().rev() {
        let size = (*size).max(1);
        along.push((rest % size).to_string());
        rest /= size;
    }
    along.reverse();
    if along.len() > 1 && shape.first() == Some(&1) {
        along.remove(0);
    }
    along.join(", ")
}
