//! Which model is open.

use egui::{Button, ComboBox, RichText, Ui};
use wattif_core::model::{self, ModelReference, bundled};
use wattif_core::serving;

use crate::app::command::{Action, Command};
use crate::app::menu::Menu;
use crate::app::{App, glossary, theme};
use crate::format;

/// Draws the choice of model and a line about it.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let chosen = &app.session.configuration.model;
    let title = match app.opening() {
        Some(reference) => format!("Opening {}…", name_of(reference)),
        None => name_of(chosen),
    };
    let search_id = ui.make_persistent_id("model search");
    let name = title.clone();
    let combo = ComboBox::from_id_salt("model")
        .selected_text(RichText::new(title).text_style(theme::emphasis()))
        .width(ui.available_width())
        .truncate()
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .show_ui(ui, |ui| models(ui, search_id, app, queue));
    let response = combo.response.on_hover_ui(|ui| {
        ui.label(RichText::new(name).text_style(theme::emphasis()));
        ui.label(glossary::MODEL);
    });
    glossary::describe(&response, glossary::MODEL);
    response
        .widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Model"));
    let line = match &app.model.facts {
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
    let Some(facts) = &app.model.facts else {
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
        let text = match facts.reference.needs_images() {
            true => "Known by its shapes until there are labelled images to measure it on",
            false => "Known by its shapes: no weights to run, so quality is not measured",
        };
        ui.label(
            RichText::new(text)
                .text_style(egui::TextStyle::Small)
                .color(palette.muted),
        )
        .on_hover_text(format!(
            "{}Shapes from {source}. The right end of the sliders of bits leaves weights and activations as published",
            understood(&facts.understood)
        ));
    }
    // Of a file of one's own; what the catalogue has was checked.
    if matches!(facts.reference, ModelReference::File(_)) && !facts.understood.is_empty() {
        ui.collapsing("What was understood", |ui| {
            for line in &facts.understood {
                ui.label(RichText::new(line).text_style(egui::TextStyle::Small));
            }
        });
    }
}

/// What was understood of a configuration, a line each.
fn understood(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The menu of models: the bundled ones and those known by their shapes, or what a search finds, best first.
fn models(ui: &mut Ui, id: egui::Id, app: &App, queue: &mut Vec<Action>) {
    let chosen = &app.session.configuration.model;
    ui.set_min_width(320.0);
    let hint = "Search models, or a size: dense:70B";
    let mut menu = Menu::open(ui, id, "Search models", hint);
    let text = menu.text().to_lowercase();
    let items = if text.starts_with("dense:") || text.starts_with("moe:") {
        text.parse().map(|sized| vec![sized])
    } else {
        model::search(&text)
    };
    // Files that were opened before come first.
    let own = app.session.recent.iter();
    let own = own.filter(|file| name_of(file).to_lowercase().contains(&text));
    let items: Vec<ModelReference> = own.cloned().chain(items.unwrap_or_default()).collect();
    let entered = menu.choose(items.len(), (!text.is_empty()).then_some(0));
    if ui.button(Command::OpenModel.title()).clicked() {
        queue.push(Action::Run(Command::OpenModel));
        ui.close();
        return;
    }
    let palette = theme::palette(ui.visuals());
    let line = if items.is_empty() {
        "No network has that in its name"
    } else {
        "With a number of parameters: known by their shapes, speed, energy and CO₂e only"
    };
    ui.label(
        RichText::new(line)
            .text_style(egui::TextStyle::Small)
            .color(palette.muted),
    );
    let clicked = menu.list(ui, items.len(), |ui, item| row(ui, &items[item], chosen));
    if let Some(item) = entered.or(clicked) {
        queue.push(Action::SetModel(items[item].clone()));
        ui.close();
    }
}

/// Draws a model.
fn row(ui: &mut Ui, reference: &ModelReference, chosen: &ModelReference) -> egui::Response {
    let palette = theme::palette(ui.visuals());
    let bundled = |name: &String| bundled::find(name).ok();
    let shapes = |name: &String| serving::architecture(name).ok();
    let (ours, network) = match reference {
        ModelReference::Bundled(name) => (bundled(name), None),
        ModelReference::Catalogue(name) => (None, shapes(name)),
        ModelReference::Sized { .. } | ModelReference::File(_) => (None, None),
    };
    let right = match network {
        Some(network) => format::amount(network.parameters),
        None if ours.is_some() => "measured here".to_owned(),
        None if matches!(reference, ModelReference::File(_)) => "your file".to_owned(),
        None => String::new(),
    };
    let button = Button::selectable(chosen == reference, name_of(reference))
        .right_text(RichText::new(right).color(palette.muted))
        .min_size(egui::vec2(ui.available_width(), 0.0));
    let mut response = ui.add(button);
    if let Some(ours) = ours {
        response = response.on_hover_text(ours.summary);
    }
    if let ModelReference::File(path) = reference {
        response = response.on_hover_text(path.display().to_string());
    }
    if let Some(network) = network {
        response = response.on_hover_ui(|ui| {
            for line in network.names.iter().chain([&network.source]) {
                ui.label(line);
            }
        });
    }
    response
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
