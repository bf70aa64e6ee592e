//! The student in training: its loss as it falls, and its quality now and then.

use egui::{Align, Layout, RichText, Sense, Shape, Stroke, Ui, pos2, vec2};
use wattif_core::training::{self, Effort};

use crate::app::command::{Action, Command};
use crate::app::explain::reachable;
use crate::app::open::Training;
use crate::app::{App, TrainingReport, theme, widgets};
use crate::format;

/// Draws the card while a student is trained.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let Some(training) = &app.model.training else {
        return;
    };
    let palette = theme::palette(ui.visuals());
    let report = &training.report;
    widgets::card(ui, "Student in training", |ui| {
        let ratio = format::percent(report.recipe.distillation.ratio, 0);
        ui.label(format!("{ratio} of the parameters, {}", report.description));
        curve(ui, training);
        ui.horizontal(|ui| {
            let text = format!(
                "Step {} of {}, loss {} nats",
                format::count(report.steps.0 as f64),
                format::count(report.steps.1 as f64),
                format::significant(report.loss, 3),
            );
            ui.label(RichText::new(text).color(palette.muted));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.button("Stop").clicked() {
                    queue.push(Action::Run(Command::CancelTraining));
                }
            });
        });
        cost(ui, app, report);
        if let Some(quality) = training.quality {
            let text = format!("{} on a small held-out subset", app.quality_words(quality));
            ui.label(RichText::new(text).color(palette.text));
        }
    });
}

/// Energy and emissions so far.
fn cost(ui: &mut Ui, app: &App, report: &TrainingReport) {
    let Some(grid) = app.derived.grid else {
        return;
    };
    let effort = Effort {
        macs: report.macs,
        seconds: report.seconds,
        cores: Some(training::cores_here()),
    };
    // Before the first step has taken any time there is nothing to say.
    let Ok(cost) = training::student(&effort, &app.session.configuration.scenario, grid) else {
        return;
    };
    let palette = theme::palette(ui.visuals());
    ui.horizontal(|ui| {
        let energy = format::si(cost.energy.range.typical.0, "J");
        let energy = RichText::new(format!("Energy so far {energy}")).color(palette.text);
        widgets::with_provenance(reachable(ui, energy), &cost.energy.provenance);
        let co2e = format::grams(cost.co2e.range.typical.0);
        let co2e = RichText::new(format!("CO₂e {co2e}")).color(palette.text);
        widgets::with_provenance(reachable(ui, co2e), &cost.co2e.provenance);
    });
}

/// The losses so far over all the steps planned.
fn curve(ui: &mut Ui, training: &Training) {
    let palette = theme::palette(ui.visuals());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 48.0), Sense::hover());
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::Image, true, "Loss of the student")
    });
    ui.painter().hline(
        rect.x_range(),
        rect.bottom(),
        Stroke::new(1.0, palette.hairline),
    );
    let highest = training
        .losses
        .iter()
        .map(|(_, loss)| *loss)
        .fold(0.0, f64::max);
    if highest <= 0.0 {
        return;
    }
    let steps = training.report.steps.1.max(1) as f64;
    let points = training
        .losses
        .iter()
        .map(|(step, loss)| {
            pos2(
                rect.left() + rect.width() * (*step as f64 / steps) as f32,
                rect.bottom() - rect.height() * (loss / highest) as f32,
            )
        })
        .collect();
    ui.painter()
        .add(Shape::line(points, Stroke::new(1.5, palette.accent)));
}
