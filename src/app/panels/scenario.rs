//! Where the model runs and what electricity feeds it.

use egui::{ComboBox, RichText, ScrollArea, Ui};
use wattif_core::carbon;
use wattif_core::hardware::{self, HardwareClass, HardwareTarget};
use wattif_core::profile::Unit;
use wattif_core::scenario::Scenario;
use wattif_core::serving::Era;

use super::recipe::slider;
use crate::app::axis::Axis;
use crate::app::command::Action;
use crate::app::widgets::{self, Room};
use crate::app::{App, ModelFacts, glossary, theme};
use crate::format;

/// Draws the controls of the scenario.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    target(ui, app, queue);
    super::hardware::show(ui, app, queue);
    region(ui, app, queue);
    let served = |facts: &ModelFacts| facts.source.is_some() && facts.unit == Unit::Token;
    if app.facts.as_ref().is_some_and(served) {
        era(ui, app, queue);
    }
    ui.spacing_mut().item_spacing.y = 3.0;
    slider(ui, app, Axis::Batch, Room::Line, queue);
    slider(ui, app, Axis::Devices, Room::Line, queue);
    super::stages::show(ui, app, queue);
    let answers = app.session.configuration.scenario.answer_tokens > 0;
    match app.facts.as_ref().map(|facts| facts.unit) {
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
    slider(ui, app, Axis::Demand, Room::Line, queue);
    slider(ui, app, Axis::Pue, Room::Line, queue);
    slider(ui, app, Axis::Lifetime, Room::Line, queue);
    slider(ui, app, Axis::Utilization, Room::Line, queue);
}

/// The software that a language model known by its shapes is served with.
fn era(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let scenario = &app.session.configuration.scenario;
    let combo = ComboBox::from_id_salt("software")
        .selected_text(scenario.era.name())
        .width(ui.available_width())
        .show_ui(ui, |ui| {
            for era in Era::ALL {
                let response = ui.selectable_label(scenario.era == era, era.name());
                if response.clicked() {
                    let scenario = Scenario {
                        era,
                        ..scenario.clone()
                    };
                    queue.push(Action::SetScenario(scenario, None));
                }
            }
        });
    let response = combo.response.on_hover_text(glossary::SERVING);
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Serving software")
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
            .show_ui(ui, |ui| {
                ui.set_min_width(270.0);
                let wanted = widgets::search(ui, search_id, "Search hardware", "Search hardware");
                let Ok(all) = hardware::catalogue() else {
                    return;
                };
                let matches = |t: &HardwareTarget| {
                    t.name.to_lowercase().contains(&wanted) || t.id.contains(&wanted)
                };
                // Enter takes the first that is listed.
                let mut entered =
                    !wanted.is_empty() && ui.input(|input| input.key_pressed(egui::Key::Enter));
                if !all.iter().any(matches) {
                    ui.label("No hardware has that in its name");
                }
                for class in HardwareClass::ALL {
                    let mut of_class = all
                        .iter()
                        .filter(|t| t.class == class && matches(t))
                        .peekable();
                    if of_class.peek().is_none() {
                        continue;
                    }
                    let palette = theme::palette(ui.visuals());
                    ui.horizontal(|ui| {
                        widgets::class_shape(ui, class);
                        ui.label(
                            RichText::new(class.name())
                                .text_style(egui::TextStyle::Small)
                                .color(palette.muted),
                        );
                    });
                    for target in of_class {
                        if device(ui, target, &scenario.hardware) || std::mem::take(&mut entered) {
                            let scenario = Scenario {
                                hardware: target.id.clone(),
                                ..scenario.clone()
                            };
                            queue.push(Action::SetScenario(scenario, None));
                            ui.data_mut(|data| data.remove::<String>(search_id));
                            ui.close();
                        }
                    }
                }
            })
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

/// Draws a device. Returns whether it was chosen.
fn device(ui: &mut Ui, target: &HardwareTarget, chosen: &str) -> bool {
    let mut button = egui::Button::selectable(target.id == chosen, target.name.as_str());
    if target.yours {
        let palette = theme::palette(ui.visuals());
        button = button
            .right_text(RichText::new("yours").color(palette.muted))
            .min_size(egui::vec2(ui.available_width(), 0.0));
    }
    let response = ui.add(button).on_hover_ui(|ui| {
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
    });
    response.clicked()
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
        .show_ui(ui, |ui| {
            ui.set_min_width(280.0);
            let wanted = widgets::search(ui, search_id, "Search regions", "Search regions");
            let Ok(grids) = carbon::grids() else {
                return;
            };
            let matching: Vec<&carbon::Grid> = grids
                .iter()
                .filter(|grid| {
                    grid.name.to_lowercase().contains(&wanted) || grid.id.to_lowercase() == wanted
                })
                .collect();
            if matching.is_empty() {
                ui.label("No region has that in its name");
            }
            let row = ui.spacing().interact_size.y;
            ScrollArea::vertical().max_height(320.0).show_rows(
                ui,
                row,
                matching.len(),
                |ui, rows| {
                    for grid in &matching[rows] {
                        place(ui, grid, app, search_id, queue);
                    }
                },
            );
        });
    let response = combo.response.on_hover_ui(|ui| {
        ui.label(RichText::new(name).text_style(theme::emphasis()));
        ui.label(glossary::REGION);
    });
    glossary::describe(&response, glossary::REGION);
    response
        .widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Region"));
}

fn place(
    ui: &mut Ui,
    grid: &carbon::Grid,
    app: &App,
    search_id: egui::Id,
    queue: &mut Vec<Action>,
) {
    let scenario = &app.session.configuration.scenario;
    let palette = theme::palette(ui.visuals());
    let value =
        RichText::new(format!("{:.0} g/kWh", grid.intensity.typical.0)).color(palette.muted);
    let button = egui::Button::selectable(grid.id == scenario.region, grid.name.as_str())
        .right_text(value)
        .min_size(egui::vec2(ui.available_width(), 0.0));
    let response = ui.add(button).on_hover_ui(|ui| {
        ui.label(RichText::new("Published").text_style(theme::emphasis()));
        ui.label(format!(
            "{:.0} gCO₂e/kWh in {} ({:.0} to {:.0})",
            grid.intensity.typical.0, grid.year, grid.intensity.low.0, grid.intensity.high.0
        ));
        ui.label(&grid.source);
    });
    if response.clicked() {
        let mut scenario = scenario.clone();
        scenario.region.clone_from(&grid.id);
        queue.push(Action::SetScenario(scenario, None));
        ui.data_mut(|data| data.remove::<String>(search_id));
        ui.close();
    }
}
