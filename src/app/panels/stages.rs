//! How several devices share a model: every layer, or in pipeline stages.

use egui::{ComboBox, Ui};
use wattif_core::hardware::CostModel;
use wattif_core::scenario::Scenario;

use crate::app::App;
use crate::app::command::Action;

/// Draws the choice, where there are several devices that could form stages.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let scenario = &app.session.configuration.scenario;
    let processor = |target: &_| matches!(target, CostModel::Processor(_));
    let shares = app.derived.target.is_some_and(|t| processor(&t.model));
    if scenario.stages == 1 && (scenario.devices == 1 || !shares) {
        return;
    }
    let combo = ComboBox::from_id_salt("stages")
        .selected_text(words(scenario.devices, scenario.stages))
        .width(ui.available_width())
        .show_ui(ui, |ui| {
            for stages in (1..=scenario.devices).filter(|n| scenario.devices.is_multiple_of(*n)) {
                let text = words(scenario.devices, stages);
                if ui
                    .selectable_label(stages == scenario.stages, text)
                    .clicked()
                {
                    let scenario = Scenario {
                        stages,
                        ..scenario.clone()
                    };
                    queue.push(Action::SetScenario(scenario, None));
                }
            }
        });
    let response = combo.response.on_hover_text(
        "Tensor parallel: all devices share every layer and exchange its results. Pipeline: each stage holds a share \
         of the layers, and as many parts of the batch are under way at once.",
    );
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Parallelism")
    });
}

fn words(devices: u32, stages: u32) -> String {
    match (stages, devices / stages) {
        (1, _) => "Tensor parallel".to_owned(),
        (_, 1) => format!("Pipeline of {stages} stages"),
        (_, each) => format!("{stages} stages × {each} devices"),
    }
}
