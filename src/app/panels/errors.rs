//! Messages that stay until they are read.

use egui::{Align, Frame, Layout, RichText, Stroke, Ui};

use crate::app::command::Action;
use crate::app::{App, theme};
use wattif_core::error::Error;
use wattif_core::hardware;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

/// How a message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Tone {
    /// Something did not work.
    Failure,
    /// Something worth knowing.
    Note,
}

/// A message.
#[derive(Debug, Clone)]
pub(in crate::app) struct Notice {
    /// Tells it from the others.
    pub(in crate::app) id: u64,
    /// How it is meant.
    pub(in crate::app) tone: Tone,
    /// What was being done.
    pub(in crate::app) title: String,
    /// What happened.
    pub(in crate::app) text: String,
}

/// Draws the messages, newest last.
pub(in crate::app) fn show(ui: &mut Ui, notices: &[Notice], queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    for notice in notices {
        let (ground, edge, sign) = match notice.tone {
            Tone::Failure => (palette.error_ground, palette.error, "!"),
            Tone::Note => (palette.surface, palette.accent, "i"),
        };
        Frame::new()
            .fill(ground)
            .stroke(Stroke::new(1.0, edge))
            .corner_radius(theme::CARD_RADIUS)
            .inner_margin(theme::CARD_MARGIN)
            .show(ui, |ui| {
                ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
                    if ui.button("Dismiss").clicked() {
                        queue.push(Action::Dismiss(notice.id));
                    }
                    ui.with_layout(Layout::left_to_right(Align::TOP), |ui| {
                        ui.label(RichText::new(sign).text_style(theme::reading()).color(edge));
                        ui.vertical(|ui| {
                            ui.label(
                                RichText::new(&notice.title)
                                    .text_style(theme::emphasis())
                                    .color(palette.strong),
                            );
                            ui.add(egui::Label::new(&notice.text).wrap().selectable(true));
                        });
                    });
                });
            });
    }
}

/// Where the hardware cannot run the model: why, and what to do next.
pub(in crate::app) fn infeasible(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let Some(Err(Error::Infeasible(reason))) = app.derived.now.as_ref().map(|f| &f.footprint)
    else {
        return;
    };
    let palette = theme::palette(ui.visuals());
    let name = app
        .derived
        .target
        .map_or("This hardware", |t| t.name.as_str());
    Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.hairline))
        .corner_radius(theme::CARD_RADIUS)
        .inner_margin(theme::CARD_MARGIN)
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(
                RichText::new(format!("{name} cannot run this"))
                    .text_style(theme::reading())
                    .color(palette.strong),
            );
            ui.add(egui::Label::new(reason).wrap().selectable(true));
            ui.horizontal(|ui| {
                let scenario = &app.session.configuration.scenario;
                let usual = Scenario::default().hardware;
                if scenario.hardware != usual
                    && let Ok(target) = hardware::find(&usual)
                    && ui.button(format!("Run it on {}", target.name)).clicked()
                {
                    let scenario = Scenario {
                        hardware: usual,
                        ..scenario.clone()
                    };
                    queue.push(Action::SetScenario(scenario, None));
                }
                let original_runs = app
                    .derived
                    .original
                    .as_ref()
                    .is_some_and(|f| f.footprint.is_ok());
                if original_runs && ui.button("Back to the original model").clicked() {
                    queue.push(Action::SetRecipe(Recipe::default(), None));
                }
            });
        });
}
