//! Which model is open.

use egui::{Button, ComboBox, RichText, ScrollArea, Ui};
use wattif_core::model::{ModelReference, bundled};
use wattif_core::serving;

use crate::app::command::{Action, Command};
use crate::app::{App, glossary, theme, widgets};
use crate::format;

/// Draws the choice of model and a line about it.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let chosen = &app.session.configuration.model;
    let title = match app.opening() {
        Some(reference) => format!("Opening {}…", name_of(reference)),
        None => name_of(chosen),
    };
    let name = title.clone();
    let combo = ComboBox::from_id_salt("model")
        .selected_text(RichText::new(title).text_style(theme::emphasis()))
        .width(ui.available_width())
        .truncate()
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .show_ui(ui, |ui| menu(ui, chosen, queue));
    let response = combo.response.on_hover_ui(|ui| {
        ui.label(RichText::new(name).text_style(theme::emphasis()));
        ui.label(glossary::MODEL);
    });
    glossary::describe(&response, glossary::MODEL);
    response
        .widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Model"));
    let line = match &app.facts {
        Some(facts) => format!(
            "{}, {} parameters",
            facts.family,
            format::amount(facts.parameters as f64)
        ),
        None => "…".to_owned(),
    };
    let line = ui.label(
        RichText::new(line)
            .text_style(egui::TextStyle::Small)
            .color(palette.muted),
    );
    let Some(facts) = &app.facts else {
        return;
    };
    line.on_hover_text(format!(
        "{} parameters",
        format::count(facts.parameters as f64)
    ));
    if facts.packed {
        let text = "Exported by WattIf: weights as they were rounded, opened as 32-bit numbers";
        ui.label(
            RichText::new(text)
                .text_style(egui::TextStyle::Small)
                .color(palette.muted),
        );
    }
    if let Some(source) = &facts.source {
        let text = "Known by its shapes: no weights to run, so quality is not measured";
        ui.label(
            RichText::new(text)
                .text_style(egui::TextStyle::Small)
                .color(palette.muted),
        )
        .on_hover_text(format!(
            "Shapes from {source}. The right end of the sliders of bits leaves weights and activations as published"
        ));
    }
}

fn menu(ui: &mut Ui, chosen: &ModelReference, queue: &mut Vec<Action>) {
    ui.set_min_width(300.0);
    let palette = theme::palette(ui.visuals());
    let heading = |ui: &mut Ui, text: &str| {
        ui.label(
            RichText::new(text)
                .text_style(egui::TextStyle::Small)
                .color(palette.muted),
        );
    };
    let search_id = ui.make_persistent_id("model search");
    let hint = "Search models, or a size: dense:70B";
    let wanted = widgets::search(ui, search_id, "Search models", hint);
    let mut pick = |ui: &mut Ui, reference: ModelReference| {
        queue.push(Action::SetModel(reference));
        ui.data_mut(|data| data.remove::<String>(search_id));
        ui.close();
    };
    // Enter takes the first that is listed.
    let mut entered = !wanted.is_empty() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    heading(ui, "Compressed and measured here");
    for model in bundled::all() {
        if !model.title.to_lowercase().contains(&wanted) && !model.name.contains(&wanted) {
            continue;
        }
        let reference = ModelReference::Bundled(model.name.to_owned());
        if std::mem::take(&mut entered) {
            pick(ui, reference);
            return;
        }
        let response = ui
            .selectable_label(*chosen == reference, model.title)
            .on_hover_text(model.summary);
        if response.clicked() {
            pick(ui, reference);
        }
    }
    if ui.button(Command::OpenModel.title()).clicked() {
        queue.push(Action::Run(Command::OpenModel));
        ui.close();
        return;
    }
    ui.separator();
    heading(ui, "Known by their shapes: speed, energy and CO₂e only");
    if (wanted.starts_with("dense:") || wanted.starts_with("moe:"))
        && let Ok(reference) = wanted.parse::<ModelReference>()
    {
        if ui.selectable_label(false, name_of(&reference)).clicked() || entered {
            pick(ui, reference);
        }
        return;
    }
    let Ok(networks) = serving::architectures() else {
        return;
    };
    let matching: Vec<_> = networks
        .iter()
        .filter(|network| {
            network.id.contains(&wanted)
                || network
                    .names
                    .iter()
                    .any(|name| name.to_lowercase().contains(&wanted))
        })
        .collect();
    match matching.first() {
        None => {
            ui.label("No network has that in its name");
        }
        Some(network) if entered => {
            pick(ui, ModelReference::Catalogue(network.id.clone()));
            return;
        }
        Some(_) => {}
    }
    let row = ui.spacing().interact_size.y;
    ScrollArea::vertical()
        .max_height(340.0)
        .show_rows(ui, row, matching.len(), |ui, rows| {
            for network in &matching[rows] {
                let reference = ModelReference::Catalogue(network.id.clone());
                let size = RichText::new(format::amount(network.parameters)).color(palette.muted);
                let button = Button::selectable(*chosen == reference, network.id.as_str())
                    .right_text(size)
                    .min_size(egui::vec2(ui.available_width(), 0.0));
                let response = ui.add(button).on_hover_ui(|ui| {
                    for line in network.names.iter().chain([&network.source]) {
                        ui.label(line);
                    }
                });
                if response.clicked() {
                    pick(ui, reference);
                }
            }
        });
}

/// The name of a model on screen.
pub(in crate::app) fn name_of(reference: &ModelReference) -> String {
    match reference {
        ModelReference::Bundled(name) => bundled::all()
            .iter()
            .find(|model| model.name == *name)
            .map_or_else(|| name.clone(), |model| model.title.to_owned()),
        ModelReference::Catalogue(name) => name.clone(),
        ModelReference::Sized { total, active } if total == active => {
            format!("Dense, {} parameters", format::amount(*total as f64))
        }
        ModelReference::Sized { total, active } => format!(
            "Mixture, {} parameters, {} active",
            format::amount(*total as f64),
            format::amount(*active as f64)
        ),
        ModelReference::File(path) => {
            // A configuration is called config.json everywhere; its folder tells which.
            let configuration = path.file_name().is_some_and(|name| name == "config.json");
            let named = if configuration {
                path.parent().and_then(std::path::Path::file_name)
            } else {
                path.file_stem()
            };
            named.map_or_else(
                || path.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            )
        }
    }
}
