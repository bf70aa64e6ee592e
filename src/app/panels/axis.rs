//! Beside the tabs: which knob the charts ask "what if" about.

use egui::{ComboBox, RichText, Ui};
use wattif_core::profile::Unit;

use crate::app::axis::Axis;
use crate::app::command::Action;
use crate::app::{App, theme};

/// Draws the choice.
pub(in crate::app) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    let muted = |text: &str| RichText::new(text.to_owned()).color(palette.muted);
    let chosen = app.session.axis;
    ui.add_space(12.0);
    let combo = ComboBox::from_id_salt("axis")
        .selected_text(RichText::new(chosen.name()).text_style(theme::emphasis()))
        .width(140.0)
        .show_ui(ui, |ui| {
            let tokens = app
                .model
                .facts
                .as_ref()
                .is_some_and(|f| f.unit == Unit::Token);
            for axis in Axis::ALL {
                if axis == Axis::Context && !tokens {
                    continue;
                }
                if ui.selectable_label(axis == chosen, axis.name()).clicked() {
                    queue.push(Action::SetAxis(axis));
                }
            }
        });
    combo.response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "What-if axis")
    });
    let help = "The slider moved last, and all else stays; drag in a chart to set it";
    combo.response.on_hover_text(help);
    ui.add_space(4.0);
    ui.label(muted("changes")).on_hover_text(help);
}
