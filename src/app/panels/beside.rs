//! What the model costs beside running it, and when the training of a student is paid back.

use egui::{Align, RichText, Ui};
use wattif_core::measurement::Provenance;
use wattif_core::profile::Unit;
use wattif_core::training::{Payback, StudentCost};

use crate::app::explain::{Words, explained, reachable};
use crate::app::widgets::{self, cell, reachable_cell};
use crate::app::{App, theme};
use crate::format;
use crate::words;

const NAME_WIDTH: f32 = 110.0;

/// Draws the card of the student in use.
pub(in crate::app) fn student(ui: &mut Ui, app: &App) {
    let beside = app.derived.beside.as_ref();
    let Some((unit, (cost, payback))) = beside.and_then(|b| Some((b.unit, b.training.as_ref()?)))
    else {
        return;
    };
    widgets::card(ui, "Training of the student", |ui| {
        theme::tighten(ui);
        training(ui, cost, payback, unit);
        let now = app
            .derived
            .now
            .as_ref()
            .and_then(|now| now.measurement.as_ref());
        let rival = app
            .derived
            .rival
            .as_ref()
            .and_then(|(_, rival)| rival.as_ref());
        if let (Some(now), Some(rival)) = (now, rival) {
            ui.label(
                RichText::new(words::rival(now, rival))
                    .text_style(egui::TextStyle::Small)
                    .color(theme::palette(ui.visuals()).text),
            );
        }
    });
}

/// Draws the card of what every model costs.
pub(in crate::app) fn show(ui: &mut Ui, app: &App) {
    let Some(beside) = &app.derived.beside else {
        return;
    };
    widgets::card(ui, "Beside running", |ui| {
        theme::tighten(ui);
        let kept = format::si(beside.kept.energy_j.range.typical.0, "J");
        let (kept, source) = (format!("{kept} a year"), &beside.kept.energy_j.provenance);
        row(ui, "Keeping the file", &kept, source);
        let sent = format::si(beside.sent.energy_j.range.typical.0, "J");
        let (sent, source) = (
            format!("{sent} each time"),
            &beside.sent.energy_j.provenance,
        );
        row(ui, "Sending the file", &sent, source);
        if let Some(water) = &beside.water {
            let litres = format::si(water.range.typical.0, "L");
            let text = format!("{litres} per {}", beside.unit.name());
            row(ui, "Water", &text, &water.provenance);
        }
    });
}

fn row(ui: &mut Ui, name: &str, text: &str, provenance: &Provenance) {
    let palette = theme::palette(ui.visuals());
    ui.horizontal(|ui| {
        let name = RichText::new(name).color(palette.muted);
        cell(ui, NAME_WIDTH, Align::Min, name);
        let width = ui.available_width();
        let figure = reachable_cell(ui, width, Align::Max, RichText::new(text));
        widgets::with_provenance(figure, provenance);
    });
}

fn training(ui: &mut Ui, cost: &StudentCost, payback: &Payback, unit: Unit) {
    let palette = theme::palette(ui.visuals());
    let (units, days) = (&payback.units, payback.days.range);
    let text = match units.range.typical {
        None => "Training is never paid back here".to_owned(),
        Some(_) => {
            let days = days.typical.map_or_else(String::new, |days| {
                format!(" ({} days)", format::roughly(Some(days)))
            });
            let units = format::roughly(units.range.typical);
            format!("Training paid back after {units} {}{days}", unit.plural())
        }
    };
    let text = RichText::new(text)
        .text_style(theme::emphasis())
        .color(palette.strong);
    explained(reachable(ui, text), || {
        let words = Words::of(&units.provenance).line(format!(
            "From {} to {} {}",
            format::roughly(units.range.low),
            format::roughly(units.range.high),
            unit.plural()
        ));
        match &payback.reason {
            Some(reason) => words.line(format!("Never: {reason}")),
            None => words,
        }
    });
    let energy = format::si(cost.energy.range.typical.0, "J");
    row(ui, "Energy", &energy, &cost.energy.provenance);
    let co2e = format::grams(cost.co2e.range.typical.0);
    row(ui, "CO₂e", &co2e, &cost.co2e.provenance);
}
