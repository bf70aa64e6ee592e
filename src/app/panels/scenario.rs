//! Where the model runs and what electricity feeds it.

use egui::{ComboBox, RichText, Ui};
use wattif_core::carbon;
use wattif_core::hardware::{self, HardwareClass, HardwareTarget};
use wattif_core::profile::Unit;
use wattif_core::scenario::Scenario;
use wattif_core::software::{self, Software};

use super::recipe::slider;
use crate::app::axis::Axis;
use crate::app::command::Action;
use crate::app::menu::Menu;
use crate::app::widgets::{self, Room};
use crate::app::{App, glossary, theme};
use crate::format;

/// Draws the controls of the scenario.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    target(ui, app, queue);
    super::hardware::show(ui, app, queue);
    region(ui, app, queue);
    software(ui, app, queue);
    ui.spacing_mut().item_spacing.y = 3.0;
    slider(ui, app, Axis::Batch, Room::Line, queue);
    slider(ui, app, Axis::Devices, Room::Line, queue);
    super::stages::show(ui, app, queue);
    let answers = app.session.configuration.scenario.answer_tokens > 0;
    match app.model.facts.as_ref().map(|facts| facts.unit) {
        Some(Unit::Token) if answers => {
            slider(ui, app, Axis::Prompt, Room::Line, queue);
            slider(ui, app, Axis::Answer, Room::Line, queue);
        }
        Some(Unit::Token) => slider(ui, app, Axis::Context, Room::Line, queue),
        _ => {}
    }
    let neuromorphic = |target: &HardwareTarget| target.class == HardwareClass::Neuromorphic;
    if app.derived.target.is_some_and(neuromorphic) {
        slider(ui, app, Axis::TimeSteps, Room::Line, queue);
    }
    let now = app.derived.now.as_ref();
    if now.is_some_and(|now| now.profile.is_made_in_steps()) {
        slider(ui, app, Axis::Steps, Room::Line, queue);
    }
    slider(ui, app, Axis::Demand, Room::Line, queue);
    slider(ui, app, Axis::Pue, Room::Line, queue);
    slider(ui, app, Axis::Lifetime, Room::Line, queue);
    slider(ui, app, Axis::Utilization, Room::Line, queue);
}

/// The software that runs a language model or a denoiser: what is usual, or another choice.
fn software(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let scenario = &app.session.configuration.scenario;
    let (Some(now), Some(target)) = (&app.derived.now, app.derived.target) else {
        return;
    };
    let Some(network) = (now.profile.network.as_deref()).filter(|n| software::is_served(n)) else {
        return;
    };
    let with = |choice| software::runtime(Some(network), target, choice);
    let (Ok(chosen), Ok(usual)) = (with(scenario.software), with(Software::Usual)) else {
        return;
    };
    let title = match scenario.software {
        Software::Usual => format!("{} (usual)", chosen.name()),
        _ => chosen.name().to_owned(),
    };
    let combo = ComboBox::from_id_salt("software")
        .selected_text(title)
        .width(ui.available_width())
        .truncate()
        .show_ui(ui, |ui| {
            for choice in Software::all() {
                let name = match choice {
                    Software::Usual => format!("As usual: {}", format::lower_first(usual.name())),
                    _ => choice.name().to_owned(),
                };
                // A stack that the device does not have cannot be chosen.
                let there = with(choice).is_ok_and(|runtime| {
                    matches!(choice, Software::Usual | Software::Bare) || runtime.stack.is_some()
                });
                let label = egui::Button::selectable(scenario.software == choice, name);
                let response = ui
                    .add_enabled(there, label)
                    .on_disabled_hover_text(usual.reason());
                if response.clicked() {
                    let scenario = Scenario {
                        software: choice,
                        ..scenario.clone()
                    };
                    queue.push(Action::SetScenario(scenario, None));
                }
            }
        });
    let response = combo.response.on_hover_ui(|ui| {
        ui.label(glossary::SOFTWARE);
        ui.label(format!(
            "{}: {}; time and energy {}",
            chosen.name(),
            chosen.reason(),
            chosen.prediction()
        ));
    });
    glossary::describe(&response, glossary::SOFTWARE);
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Software")
    });
}

fn target(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let scenario = &app.session.configuration.scenario;
    let title = app
        .derived
        .target
        .map_or_else(|| scenario.hardware.clone(), |target| target.name.clone());
    let name = title.clone();
    let search_id = ui.make_persistent_id("hardware search");
    let combo = ui.horizontal(|ui| {
        if let Some(target) = app.derived.target {
            widgets::class_shape(ui, target.class);
        }
        ComboBox::from_id_salt("hardware")
            .selected_text(RichText::new(title).text_style(theme::emphasis()))
            .width(ui.available_width())
            .truncate()
            .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
            .show_ui(ui, |ui| devices(ui, search_id, scenario, queue))
    });
    let response = combo.inner.response.on_hover_ui(|ui| {
        ui.label(RichText::new(name).text_style(theme::emphasis()));
        ui.label(glossary::HARDWARE);
    });
    glossary::describe(&response, glossary::HARDWARE);
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Hardware")
    });
}

/// The menu of devices: by class, or what a search finds, best first.
fn devices(ui: &mut Ui, id: egui::Id, scenario: &Scenario, queue: &mut Vec<Action>) {
    ui.set_min_width(320.0);
    let mut menu = Menu::open(ui, id, "Search hardware", "Search hardware");
    let Ok(mut items) = hardware::search(menu.text()) else {
        return;
    };
    let typed = !menu.text().is_empty();
    if !typed {
        items.sort_by_key(|target| target.class);
    }
    let entered = menu.choose(items.len(), typed.then_some(0));
    if items.is_empty() {
        ui.label("No hardware has that in its name");
    }
    let clicked = menu.list(ui, items.len(), |ui, item| {
        device(ui, items[item], &scenario.hardware)
    });
    if let Some(item) = entered.or(clicked) {
        let scenario = Scenario {
            hardware: items[item].id.clone(),
            ..scenario.clone()
        };
        queue.push(Action::SetScenario(scenario, None));
        ui.close();
    }
}

/// Draws a device.
fn device(ui: &mut Ui, target: &HardwareTarget, chosen: &str) -> egui::Response {
    let palette = theme::palette(ui.visuals());
    let kind = if target.yours {
        "yours"
    } else {
        target.class.name()
    };
    let button = egui::Button::selectable(target.id == chosen, target.name.as_str()).right_text(
        RichText::new(kind)
            .text_style(egui::TextStyle::Small)
            .color(palette.muted),
    );
    let row = ui.horizontal(|ui| {
        widgets::class_shape(ui, target.class);
        let button = button.min_size(egui::vec2(ui.available_width(), 0.0));
        ui.add(button)
    });
    let response = row.inner;
    response.on_hover_ui(|ui| {
        ui.label(RichText::new(&target.name).text_style(theme::emphasis()));
        ui.label(format!(
            "{}, {}, at most {}",
            target.class.name(),
            target.year,
            format::si(target.power_limit.typical.0, "W"),
        ));
        if !target.notes.is_empty() {
            ui.label(&target.notes);
        }
    })
}

fn region(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let scenario = &app.session.configuration.scenario;
    let title = app.derived.grid.map_or_else(
        || scenario.region.clone(),
        |grid| format!("{}, {:.0} g/kWh", grid.name, grid.intensity.typical.0),
    );
    let name = title.clone();
    let search_id = ui.make_persistent_id("region search");
    let combo = ComboBox::from_id_salt("region")
        .selected_text(RichText::new(title).text_style(theme::emphasis()))
        .width(ui.available_width())
        .truncate()
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .show_ui(ui, |ui| places(ui, search_id, scenario, queue));
    let response = combo.response.on_hover_ui(|ui| {
        ui.label(RichText::new(name).text_style(theme::emphasis()));
        ui.label(glossary::REGION);
    });
    glossary::describe(&response, glossary::REGION);
    response
        .widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Region"));
}

/// The menu of places: by name, or what a search finds, best first.
fn places(ui: &mut Ui, id: egui::Id, scenario: &Scenario, queue: &mut Vec<Action>) {
    ui.set_min_width(320.0);
    let hint = "Search by name, code or cloud region";
    let mut menu = Menu::open(ui, id, "Search regions", hint);
    let Ok(hits) = carbon::search_grids(menu.text()) else {
        return;
    };
    let items = hits.items;
    // Enter never takes another place than the one that was named.
    let first = (!menu.text().is_empty() && hits.notice.is_none()).then_some(0);
    let entered = menu.choose(items.len(), first);
    if let Some(notice) = hits.notice {
        ui.label(notice);
    } else if items.is_empty() {
        ui.label("No region has that in its name");
    }
    let clicked = menu.list(ui, items.len(), |ui, item| {
        place(ui, items[item], &scenario.region)
    });
    if let Some(item) = entered.or(clicked) {
        let scenario = Scenario {
            region: items[item].id.clone(),
            ..scenario.clone()
        };
        queue.push(Action::SetScenario(scenario, None));
        ui.close();
    }
}

/// Draws a place.
fn place(ui: &mut Ui, grid: &carbon::Grid, chosen: &str) -> egui::Response {
    let palette = theme::palette(ui.visuals());
    let value =
        RichText::new(format!("{:.0} g/kWh", grid.intensity.typical.0)).color(palette.muted);
    let button = egui::Button::selectable(grid.id == chosen, grid.name.as_str())
        .right_text(value)
        .min_size(egui::vec2(ui.available_width(), 0.0));
    ui.add(button).on_hover_ui(|ui| {
        ui.label(RichText::new("Published").text_style(theme::emphasis()));
        ui.label(format!(
            "{:.0} gCO₂e/kWh in {} ({:.0} to {:.0})",
            grid.intensity.typical.0, grid.year, grid.intensity.low.0, grid.intensity.high.0
        ));
        ui.label(&grid.source);
    })
}
