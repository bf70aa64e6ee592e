//! Which model is open.

use egui::{ComboBox, RichText, Ui};
use wattif_core::model::{ModelReference, bundled};

use crate::app::command::{Action, Command};
use crate::app::{App, theme};
use crate::format;

/// Draws the choice of model and a line about it.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let chosen = &app.session.configuration.model;
    let title = match app.opening() {
        Some(reference) => format!("Opening {}…", name_of(reference)),
        None => app
            .facts
            .as_ref()
            .map_or_else(|| name_of(chosen), |_| name_of(chosen)),
    };
    let combo = ComboBox::from_id_salt("model")
        .selected_text(RichText::new(title).text_style(theme::emphasis()))
        .width(ui.available_width())
        .show_ui(ui, |ui| {
            for model in bundled::all() {
                let reference = ModelReference::Bundled(model.name.to_owned());
                let response = ui
                    .selectable_label(*chosen == reference, model.title)
                    .on_hover_text(model.summary);
                if response.clicked() {
                    queue.push(Action::SetModel(reference));
                }
            }
            ui.separator();
            if ui.button(Command::OpenModel.title()).clicked() {
                queue.push(Action::Run(Command::OpenModel));
            }
        });
    combo
        .response
        .widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Model"));
    let line = match &app.facts {
        Some(facts) => format!(
            "{}, {} parameters",
            facts.family,
            format::count(facts.parameters as f64)
        ),
        None => "…".to_owned(),
    };
    ui.label(
        RichText::new(line)
            .text_style(egui::TextStyle::Small)
            .color(palette.muted),
    );
}

/// The name of a model on screen.
pub(in crate::app) fn name_of(reference: &ModelReference) -> String {
    match reference {
        ModelReference::Bundled(name) => bundled::all()
            .iter()
            .find(|model| model.name == *name)
            .map_or_else(|| name.clone(), |model| model.title.to_owned()),
        ModelReference::File(path) => path.file_stem().map_or_else(
            || path.display().to_string(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
    }
}
