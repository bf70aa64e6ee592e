//! Which of the pinned configurations takes less, a line for each kind of cost.

use std::cmp::Ordering;

use egui::{RichText, Ui};
use wattif_core::footprint::Footprint;

use crate::app::compare::{self, SAME_CONSTANTS, Verdict};
use crate::app::pages::Quantity;
use crate::app::pins::differences;
use crate::app::{App, theme};

/// What the side with the smaller cost does, and what both do where it is the same.
const fn said(quantity: Quantity) -> (&'static str, &'static str) {
    match quantity {
        Quantity::Time => ("is faster than", "are equally fast"),
        Quantity::Energy => ("takes less energy than", "take the same energy"),
        Quantity::Co2e => ("emits less than", "emit the same"),
    }
}

fn words(quantity: Quantity, a: &Footprint, b: &Footprint, shared: bool) -> String {
    let (less, equal) = said(quantity);
    let side = |order: Ordering| match order {
        Ordering::Less => format!("A {less} B"),
        _ => format!("B {less} A"),
    };
    match compare::verdict(quantity.of(a), quantity.of(b), shared) {
        Verdict::Apart(order) => format!("{}: ranges do not overlap", side(order)),
        Verdict::SameConstants(order) => format!("{}: {SAME_CONSTANTS}", side(order)),
        Verdict::Equal => format!("A and B {equal}: {SAME_CONSTANTS}"),
        Verdict::Tied => format!("{}: A and B are tied within the ranges", quantity.name()),
    }
}

/// Draws the lines where A and B are both known.
pub(super) fn show(ui: &mut Ui, app: &App) {
    let [Some(a), Some(b)] = &app.derived.pins else {
        return;
    };
    let (in_a, in_b) = (&a.configuration.scenario, &b.configuration.scenario);
    let (Ok(a), Ok(b)) = (&a.figures.footprint, &b.figures.footprint) else {
        return;
    };
    let shared = compare::share_constants(in_a, in_b);
    let same_place = in_a.region == in_b.region;
    let palette = theme::palette(ui.visuals());
    let differs = differences(in_a, in_b);
    if !differs.is_empty() {
        // What follows is then not only a matter of what was done to the model.
        let text = format!("A is pinned elsewhere than B: {}", differs.join(", "));
        ui.label(
            RichText::new(text)
                .text_style(egui::TextStyle::Small)
                .color(palette.muted),
        );
    }
    for quantity in Quantity::ALL {
        let shared = shared && (same_place || quantity != Quantity::Co2e);
        ui.label(
            RichText::new(words(quantity, a, b, shared))
                .text_style(egui::TextStyle::Small)
                .color(palette.text),
        );
    }
}
