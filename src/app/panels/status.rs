//! The line below: what is being done and how far it is.

use egui::{Align, Layout, ProgressBar, RichText, Ui};
use wattif_core::hardware::HardwareClass;

use crate::app::command::{Action, Command};
use crate::app::explain::{REACHABLE, Words, explained};
use crate::app::{App, Page, power, theme, widgets};
use crate::format;

/// Work shorter than this is not mentioned.
const PATIENCE_SECONDS: f64 = 0.3;

/// Work that is going on.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct Activity {
    /// What is being done to the current recipe and how far it is.
    pub(in crate::app) progress: Option<(String, f64)>,
    /// When that began, in seconds of the window's clock.
    pub(in crate::app) since: f64,
    /// Whether nothing at all is left to do.
    pub(in crate::app) idle: bool,
}

/// Draws the line.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let small = |text: &str| {
        RichText::new(text)
            .text_style(egui::TextStyle::Small)
            .color(palette.muted)
    };
    let now = ui.input(|input| input.time);
    let has_weights = app
        .model
        .facts
        .as_ref()
        .is_none_or(|facts| facts.source.is_none());
    ui.horizontal_centered(|ui| {
        if let Some(training) = &app.model.training {
            let report = &training.report;
            let share = report.steps.0 as f64 / report.steps.1.max(1) as f64;
            if ui.button(Command::CancelTraining.title()).clicked() {
                queue.push(Action::Run(Command::CancelTraining));
            }
            bar(ui, share);
            let text = format!(
                "Training a student with {} of the parameters, step {} of {}",
                format::percent(report.recipe.distillation.ratio, 0),
                format::count(report.steps.0 as f64),
                format::count(report.steps.1 as f64),
            );
            line(ui, small(&text), egui::Sense::hover());
            ui.separator();
        }
        if let Some((what, done)) = &app.model.activity.progress {
            let waited = now - app.model.activity.since;
            if waited >= PATIENCE_SECONDS {
                bar(ui, *done);
                line(ui, small(what), egui::Sense::hover());
            } else {
                ui.ctx()
                    .request_repaint_after_secs((PATIENCE_SECONDS - waited) as f32);
            }
        } else if app.opening().is_some() {
            line(ui, small("Opening the model"), egui::Sense::hover());
        } else if app.model.activity.idle {
            let ready = match app.model.store.len() {
                // Without weights there is nothing to measure.
                _ if !has_weights => "Ready".to_owned(),
                1 => "Ready, 1 configuration measured".to_owned(),
                count => format!("Ready, {count} configurations measured"),
            };
            line(ui, small(&ready), egui::Sense::hover());
        } else if app.model.facts.is_some() {
            line(
                ui,
                small("Measuring the rest of the chart"),
                egui::Sense::hover(),
            );
        }
        let busy = !app.model.activity.idle || app.model.training.is_some();
        if let Some(sources) = app.power.as_ref().and_then(|power| power.latest(busy)) {
            let (words, details) = power::in_words(&sources);
            explained(line(ui, small(&words), REACHABLE), || {
                Words::plain(&details)
            });
        }
        let page = app.session.settings.page;
        let words = legend_words(page, has_weights);
        if ui.available_width() >= legend_width(ui, &words) {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| match page {
                Page::WhatIf => legend(ui, &small, has_weights),
                Page::Devices => classes(ui, &small),
                _ => {}
            });
        }
    });
}

/// A text that is cut where the line ends, and whole in its tooltip.
fn line(ui: &mut Ui, text: RichText, sense: egui::Sense) -> egui::Response {
    ui.add(egui::Label::new(text).truncate().sense(sense))
}

/// The words that explain the marks of a page.
fn legend_words(page: Page, has_weights: bool) -> Vec<&'static str> {
    match page {
        Page::WhatIf if has_weights => vec!["original", "not measured yet", "measured"],
        Page::WhatIf => vec!["original"],
        Page::Devices => {
            let classes = HardwareClass::ALL.map(HardwareClass::name);
            classes.into_iter().chain(["original"]).collect()
        }
        _ => Vec::new(),
    }
}

/// Room that they and their marks take.
fn legend_width(ui: &Ui, words: &[&str]) -> f32 {
    const MARK: f32 = 18.0;
    let gap = ui.spacing().item_spacing.x;
    let font = egui::TextStyle::Small.resolve(ui.style());
    let width = |text: &&str| {
        let text = (*text).to_owned();
        let galley = ui
            .painter()
            .layout_no_wrap(text, font.clone(), egui::Color32::PLACEHOLDER);
        galley.size().x + MARK + 2.0 * gap
    };
    words.iter().map(width).sum()
}

fn bar(ui: &mut Ui, share: f64) {
    let response = ui.add(
        ProgressBar::new(share as f32)
            .desired_width(ui.available_width().min(120.0))
            .desired_height(6.0),
    );
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::ProgressIndicator, true, "Progress")
    });
}

/// What the marks on the page of devices mean.
fn classes(ui: &mut Ui, small: &dyn Fn(&str) -> RichText) {
    let palette = theme::palette(ui.visuals());
    ui.label(small("original"));
    let (rect, _) = ui.allocate_exact_size(egui::vec2(10.0, 10.0), egui::Sense::hover());
    let edge = egui::Stroke::new(1.5, palette.baseline);
    ui.painter()
        .circle(rect.center(), 2.5, palette.surface, edge);
    for class in HardwareClass::ALL.into_iter().rev() {
        ui.label(small(class.name()));
        widgets::class_shape(ui, class);
    }
}

/// What the marks on the charts mean.
fn legend(ui: &mut Ui, small: &dyn Fn(&str) -> RichText, has_weights: bool) {
    let palette = theme::palette(ui.visuals());
    let circle = |ui: &mut Ui, filled: bool| {
        let (rect, _) = ui.allocate_exact_size(egui::vec2(10.0, 10.0), egui::Sense::hover());
        let fill = if filled {
            palette.accent
        } else {
            palette.surface
        };
        ui.painter().circle(
            rect.center(),
            4.0,
            fill,
            egui::Stroke::new(1.5, palette.accent),
        );
    };
    ui.label(small("original"));
    let (rect, _) = ui.allocate_exact_size(egui::vec2(18.0, 10.0), egui::Sense::hover());
    ui.painter().extend(egui::Shape::dashed_line(
        &[rect.left_center(), rect.right_center()],
        egui::Stroke::new(1.5, palette.baseline),
        4.0,
        3.0,
    ));
    if !has_weights {
        return;
    }
    ui.label(small("not measured yet"));
    circle(ui, false);
    ui.label(small("measured"));
    circle(ui, true);
}
