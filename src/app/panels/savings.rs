//! The three savings, always apart: what bits and zeros promise, what the file gives, what this hardware can use.

use egui::{Align, RichText, Ui};
use wattif_core::footprint::{Saving, Savings};

use crate::app::compare::{SAME_CONSTANTS, Verdict, verdict};
use crate::app::derived::Figures;
use crate::app::explain::{Words, explained};
use crate::app::pages::Quantity;
use crate::app::widgets::{self, reachable_cell};
use crate::app::{App, theme};
use crate::format;

const KINDS: [(&str, &str); 3] = [
    (
        "Nominal",
        "What the bits and zeros promise: a machine that uses every bit not stored and every zero",
    ),
    (
        "Stored",
        "What the exported file gives: a machine that reads it as it is and computes densely",
    ),
    ("Realised", "What this hardware can use"),
];

/// Draws the table.
pub(in crate::app) fn show(ui: &mut Ui, app: &App) {
    let palette = theme::palette(ui.visuals());
    if app.derived.now.is_none() {
        return;
    }
    widgets::card(ui, "", |ui| {
        let Some(savings) = &app.derived.savings else {
            ui.label(
                RichText::new(
                    "This hardware cannot run one of the two, so there is nothing to compare",
                )
                .color(palette.muted),
            );
            return;
        };
        theme::tighten(ui);
        let width = ((ui.available_width() - NAME_WIDTH) / 3.0 - 4.0).floor();
        headings(ui, width);
        let rows: [(&str, &Saving); 4] = [
            ("Size", &savings.size),
            ("Operations", &savings.operations),
            ("Time", &savings.time),
            ("Energy", &savings.energy),
        ];
        let why = app
            .derived
            .now
            .as_ref()
            .and_then(|now| now.footprint.as_ref().ok())
            .map(|footprint| footprint.limit.as_str());
        let sentence = |name: &str, saving: &Saving| {
            if tied(app, name) {
                return Some(format!("{name}: {TIED}"));
            }
            format::realised(&name.to_lowercase(), saving.nominal, saving.realised)
        };
        for (name, saving) in rows {
            ui.horizontal(|ui| {
                let label = reachable_cell(
                    ui,
                    NAME_WIDTH,
                    Align::Min,
                    RichText::new(name).color(palette.muted),
                );
                explained(label, || {
                    let words = Words::plain(meaning(name));
                    match sentence(name, saving) {
                        Some(text) => words.line(text),
                        None => words,
                    }
                });
                for (place, value) in [saving.nominal, saving.stored, saving.realised]
                    .into_iter()
                    .enumerate()
                {
                    let realised = place == 2;
                    let words = if realised && tied(app, name) {
                        "tied".to_owned()
                    } else {
                        format::saving(value)
                    };
                    let mut text = RichText::new(words);
                    if realised {
                        text = text.text_style(theme::emphasis()).color(palette.strong);
                    }
                    explained(reachable_cell(ui, width, Align::Max, text), || {
                        let (kind, help) = KINDS[place];
                        Words::headed(format!("{kind} saving of {}", name.to_lowercase()))
                            .line(help)
                    });
                }
            });
        }
        if let (Some(text), Some(why)) = (sentence("Energy", &savings.energy), why) {
            ui.label(
                RichText::new(format!("{text}; {}", format::lower_first(why)))
                    .text_style(egui::TextStyle::Small)
                    .color(palette.muted),
            );
        }
        notes(ui, savings);
    });
}

fn headings(ui: &mut Ui, width: f32) {
    let palette = theme::palette(ui.visuals());
    ui.horizontal(|ui| {
        let title = RichText::new("Savings")
            .text_style(theme::heading())
            .color(palette.strong);
        explained(reachable_cell(ui, NAME_WIDTH, Align::Min, title), || {
            Words::plain("What is saved against the original in the same scenario")
        });
        for (title, help) in KINDS {
            let color = if title == "Realised" {
                palette.accent
            } else {
                palette.muted
            };
            let title = RichText::new(title)
                .text_style(theme::emphasis())
                .color(color);
            explained(reachable_cell(ui, width, Align::Max, title), || {
                Words::plain(help)
            });
        }
    });
}

/// What the figures are held against.
fn notes(ui: &mut Ui, savings: &Savings) {
    let palette = theme::palette(ui.visuals());
    let mut notes = vec![format!("Typical values; {SAME_CONSTANTS}")];
    if let Some(devices) = savings.original_devices {
        notes.push(format!(
            "Against the original on the {devices} devices that it needs"
        ));
    }
    if let Some(bits) = savings.original_bits {
        notes.push(format!(
            "Against the original at {bits} bits, the widest this hardware holds"
        ));
    }
    for note in notes {
        ui.label(
            RichText::new(note)
                .text_style(egui::TextStyle::Small)
                .color(palette.muted),
        );
    }
}

/// What is saved in a row.
fn meaning(row: &str) -> &'static str {
    match row {
        "Size" => "Bytes of the weights",
        "Operations" => "Multiplications and additions executed for one unit of work",
        "Time" => "Time for one unit of work: the inverse of the throughput",
        _ => "Joules at the machine for one unit of work",
    }
}

const TIED: &str = "tied with the original within the ranges";

/// Whether the ranges of a row leave open which side takes less.
fn tied(app: &App, name: &str) -> bool {
    let Some(quantity) = [Quantity::Time, Quantity::Energy]
        .into_iter()
        .find(|quantity| quantity.name() == name)
    else {
        return false;
    };
    let of = |figures: &Option<Figures>| {
        let footprint = figures.as_ref()?.footprint.as_ref().ok()?;
        Some(quantity.of(footprint))
    };
    match (of(&app.derived.now), of(&app.derived.original)) {
        (Some(now), Some(original)) => verdict(now, original, true) == Verdict::Tied,
        _ => false,
    }
}

const NAME_WIDTH: f32 = 82.0;
