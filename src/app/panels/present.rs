//! What is left of the controls when a class looks: the slider in use, large.

use egui::{Align, Layout, RichText, Ui};

use super::recipe::slider;
use crate::app::command::{Action, Command};
use crate::app::widgets::Room;
use crate::app::{App, theme};

/// Draws the bar below the charts.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    ui.horizontal(|ui| {
        let name = super::model::name_of(&app.session.configuration.model);
        let place = app.derived.target.map_or("", |target| target.name.as_str());
        let region = app.derived.grid.map_or("", |grid| grid.name.as_str());
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.button("Leave presentation").clicked() {
                queue.push(Action::Run(Command::Present));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let words = RichText::new(format!("{name} on {place}, {region}"));
                ui.add(egui::Label::new(words.color(palette.muted)).truncate());
            });
        });
    });
    slider(ui, app, app.session.axis, Room::Large, queue);
}
