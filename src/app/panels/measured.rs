//! How fast the compressed model really is with packed weights on this machine, beside the prediction for it.

use egui::{Align, RichText, Ui};
use wattif_core::benchmark::{Energy, PackedQuality, PackedRun, PackedSpeed, Spread};
use wattif_core::footprint::Estimate;
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::units::UnitsPerSecond;

use crate::app::command::{Action, Command};
use crate::app::explain::{Words, explained, reachable};
use crate::app::widgets::{self, cell, reachable_cell};
use crate::app::{App, theme};
use crate::format;

const RATIO_WIDTH: f32 = 32.0;
const RATE_WIDTH: f32 = 58.0;

/// Draws the card.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    if app.derived.now.is_none() {
        return;
    }
    let palette = theme::palette(ui.visuals());
    let muted = |text: &str| RichText::new(text).color(palette.muted);
    widgets::card(ui, "Measured on this machine", |ui| {
        theme::tighten(ui);
        let last = app.model.timing.last(&app.session.configuration);
        let status = if let Some(reason) = app.obstacle(Command::MeasureSpeed) {
            reason
        } else if app.model.timing.is_running() {
            "Running it with packed weights…"
        } else if last.is_none() {
            "Not measured yet"
        } else {
            ""
        };
        ui.horizontal_wrapped(|ui| {
            let command = Command::MeasureSpeed;
            let button = ui.add_enabled(app.can(command), egui::Button::new(command.title()));
            let help = "Runs the compressed model with packed weights for some seconds";
            if button.on_hover_text(help).clicked() {
                queue.push(Action::Run(command));
            }
            ui.label(muted(status));
        });
        let Some((run, current)) = last else {
            return;
        };
        if !current {
            let weights = match run.recipe.quantization.blocks {
                Some(format) => format!("weights in {format}"),
                None => format!("weights of {} bits", run.recipe.quantization.weight_bits),
            };
            let text = format!("Of an earlier configuration, {weights}:");
            ui.label(RichText::new(text).text_style(theme::emphasis()));
        }
        match hardware::find("this-cpu") {
            Ok(target) => results(ui, run, target),
            Err(error) => {
                ui.label(muted(&error.to_string()));
            }
        }
    });
}

fn results(ui: &mut Ui, run: &PackedRun, target: &HardwareTarget) {
    let palette = theme::palette(ui.visuals());
    let muted = |text: String| RichText::new(text).color(palette.muted);
    let threads = match run.threads {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    };
    let weights = format::bytes(run.bytes as f64);
    let words = format!("{weights} of weights as {}, {threads}", run.format_names());
    explained(reachable(ui, muted(words)), || {
        run.notes()
            .into_iter()
            .fold(Words::headed("Measured here"), Words::line)
    });
    let gap = ui.spacing().item_spacing.x;
    let name_width = (ui.available_width() - 2.0 * RATE_WIDTH - RATIO_WIDTH - 3.0 * gap).max(60.0);
    ui.horizontal(|ui| {
        cell(ui, name_width, Align::Min, muted("Per second".to_owned())).on_hover_text(format!(
            "Done at once, and {} per second",
            run.unit.plural()
        ));
        cell(ui, RATE_WIDTH, Align::Max, muted("Here".to_owned()));
        cell(ui, RATE_WIDTH, Align::Max, muted("Predicted".to_owned()));
        cell(ui, RATIO_WIDTH, Align::Max, muted("Ratio".to_owned()))
            .on_hover_text("Predicted / measured");
    });
    for speed in &run.speeds {
        ui.horizontal(|ui| {
            cell(ui, name_width, Align::Min, speed.work.words());
            measured(ui, speed, &threads);
            match run.predicted(speed.work, target) {
                Ok(predicted) => prediction(ui, &predicted, speed),
                Err(error) => {
                    cell(ui, RATE_WIDTH, Align::Max, "–").on_hover_text(error.to_string());
                }
            }
        });
    }
    if let Some(caution) = run.caution(target) {
        let small = RichText::new(caution).text_style(egui::TextStyle::Small);
        ui.label(small.color(palette.text));
    }
    energy(ui, run);
    if let Some(quality) = &run.quality {
        explained(reachable(ui, muted(quality_words(quality))), || {
            Words::plain(format!(
                "Measured here on {} held-out samples, both on the same",
                format::count(quality.packed.n as f64)
            ))
        });
    }
}

fn measured(ui: &mut Ui, speed: &PackedSpeed, threads: &str) {
    let palette = theme::palette(ui.visuals());
    let spread = &speed.units_per_s;
    let text = RichText::new(format::per_second(spread.median).trim_end())
        .text_style(theme::emphasis())
        .color(palette.strong);
    explained(reachable_cell(ui, RATE_WIDTH, Align::Max, text), || {
        let (low, high) = (spread.lower_quartile, spread.upper_quartile);
        Words::headed("Measured here").line(format!(
            "Median of {} repeats; half of them from {} to {}; {threads}",
            spread.repeats,
            format::per_second(low).trim_end(),
            format::per_second(high).trim_end(),
        ))
    });
}

fn prediction(ui: &mut Ui, predicted: &Estimate<UnitsPerSecond>, speed: &PackedSpeed) {
    let range = predicted.range.map(|rate| rate.0);
    let rate = |value: f64| format::per_second(value).trim_end().to_owned();
    let figure = reachable_cell(ui, RATE_WIDTH, Align::Max, rate(range.typical));
    explained(figure, || {
        let ends = format!("From {} to {}", rate(range.low), rate(range.high));
        Words::of(&predicted.provenance).line(ends)
    });
    let ratio = range.typical / speed.units_per_s.median;
    let ratio = reachable_cell(ui, RATIO_WIDTH, Align::Max, format::significant(ratio, 2));
    explained(ratio, || Words::plain("Predicted / measured"));
}

/// Joules per unit of each work, or why there are none.
fn energy(ui: &mut Ui, run: &PackedRun) {
    let palette = theme::palette(ui.visuals());
    for speed in &run.speeds {
        match &speed.energy {
            Energy::Measured(joules) => {
                let text = format!(
                    "{} per {}, {}",
                    format::si(joules.median, "J"),
                    run.unit.name(),
                    speed.work.words()
                );
                explained(reachable(ui, text), || Words::plain(joules_words(joules)));
            }
            // The same sensor is silent for all of them.
            Energy::Unknown(reason) => {
                let text = RichText::new("No joules: no energy counter to read");
                ui.label(text.color(palette.muted)).on_hover_text(reason);
                return;
            }
        }
    }
}

fn joules_words(joules: &Spread) -> String {
    format!(
        "Measured here: energy of the processor package, idle power included; {} repeats, half of them from {} to {}",
        joules.repeats,
        format::si(joules.lower_quartile, "J"),
        format::si(joules.upper_quartile, "J")
    )
}

fn quality_words(quality: &PackedQuality) -> String {
    let text = |value| format::quality(quality.packed.metric, value);
    format!(
        "{} through these kernels, {} in the engine's own",
        text(quality.packed.value),
        text(quality.engine.value)
    )
}
