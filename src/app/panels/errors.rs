//! Messages, and why the hardware cannot run the model.

use egui::{Align, Frame, Layout, Rect, RichText, Stroke, Ui, vec2};

use crate::app::command::Action;
use crate::app::notices::{Notice, Tone};
use crate::app::{App, theme};
use wattif_core::error::Error;
use wattif_core::hardware;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

/// Most room that a message takes.
const WIDTH: f32 = 520.0;

/// Draws the messages over the foot of the charts, newest last. They take no room from anything.
pub(in crate::app) fn show(ui: &Ui, over: Rect, notices: &[Notice], queue: &mut Vec<Action>) {
    if notices.is_empty() {
        return;
    }
    let foot = over.center_bottom() - vec2(0.0, MARGIN);
    egui::Area::new(egui::Id::unique("messages"))
        .order(egui::Order::Foreground)
        .pivot(egui::Align2::CENTER_BOTTOM)
        .fixed_pos(foot)
        .constrain_to(ui.ctx().content_rect())
        .show(ui.ctx(), |ui| {
            ui.set_width(WIDTH.min(over.width() - 2.0 * MARGIN));
            for notice in notices {
                message(ui, notice, queue);
            }
        });
}

/// Room around the messages.
const MARGIN: f32 = 12.0;

fn message(ui: &mut Ui, notice: &Notice, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let (ground, edge, sign) = match notice.tone {
        Tone::Failure => (palette.error_ground, palette.error, "!"),
        Tone::Note | Tone::Done => (palette.surface, palette.accent, "i"),
    };
    let frame = Frame::new()
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
                        ui.horizontal(|ui| {
                            for offer in &notice.offers {
                                if ui.button(offer.title()).clicked() {
                                    queue.push(Action::Offered(*offer));
                                }
                            }
                        });
                    });
                });
            });
        });
    if frame.response.contains_pointer() {
        queue.push(Action::Reading(notice.id));
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
