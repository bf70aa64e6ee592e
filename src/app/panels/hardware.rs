//! What can be done with the device in use: a copy to change, and for this machine its measurement.

use egui::{Align, Modal, ProgressBar, RichText, ScrollArea, TextStyle, Ui};
use wattif_core::hardware::{self, HardwareTarget, THIS_MACHINE};

use crate::app::command::Action;
use crate::app::hardware::HardwareAction;
use crate::app::widgets::cell;
use crate::app::{App, theme};
use crate::format::{si, significant};
use crate::machine::{self, MeasuredMachine};

/// Draws what stands under the name of the device.
pub(super) fn show(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let Some(target) = app.derived.target else {
        return;
    };
    ui.horizontal_wrapped(|ui| buttons(ui, target, queue));
    if target.id == THIS_MACHINE {
        this_machine(ui, app, queue);
    }
}

/// The buttons for a device: change it, copy it, remove it.
fn buttons(ui: &mut Ui, target: &HardwareTarget, queue: &mut Vec<Action>) {
    let mut offer = |ui: &mut Ui, words: &str, help: &str, action: HardwareAction| {
        if ui.small_button(words).on_hover_text(help).clicked() {
            queue.push(Action::Hardware(action));
        }
    };
    let id = || target.id.clone();
    if target.yours {
        let help = "Change any figure of your device";
        offer(ui, "Change…", help, HardwareAction::Change(id()));
    }
    let help = "A copy of this device as your own, with every figure to change";
    offer(ui, "Copy and change…", help, HardwareAction::Copy(id()));
    if target.yours {
        let help = "Take your device out of the list";
        offer(ui, "Remove…", help, HardwareAction::Remove(id()));
    }
}

/// Whether the constants of this machine were measured, and the button to do so.
fn this_machine(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let palette = theme::palette(ui.visuals());
    if let Some((what, done)) = app.calibrating.progress() {
        let text = format!("Measuring this machine: {what}");
        ui.add(
            ProgressBar::new(done as f32)
                .text(text)
                .desired_width(ui.available_width()),
        );
        return;
    }
    let in_use = hardware::calibration().ok().flatten();
    let status = match in_use {
        Some(calibration) => format!("Constants measured here on {}", calibration.date),
        None => "Constants assumed, not measured".to_owned(),
    };
    ui.label(
        RichText::new(status)
            .text_style(TextStyle::Small)
            .color(palette.muted),
    );
    let training = app.model.training.is_some();
    ui.horizontal_wrapped(|ui| {
        let words = "Measure this machine (about 10 s)";
        let button = ui
            .add_enabled(!training, egui::Button::new(words).small())
            .on_hover_text(
                "Bandwidths, matrix products and the start of a layer, with the program's own loops; the result is \
                 shown before it is used",
            )
            .on_disabled_hover_text("A student is being trained, which would slow the measurement down");
        if button.clicked() {
            queue.push(Action::Hardware(HardwareAction::Measure));
        }
        if in_use.is_some() {
            let help = "Delete what was measured and return to the assumed constants";
            if ui.small_button("Forget").on_hover_text(help).clicked() {
                queue.push(Action::Hardware(HardwareAction::ForgetMeasured));
            }
        }
    });
}

/// Draws what was measured, until a person has decided what to do with it.
pub(in crate::app) fn measured(ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
    let Some(result) = app.calibrating.result() else {
        return;
    };
    let mut ask = |action| queue.push(Action::Hardware(action));
    let height = (ui.ctx().content_rect().height() - 160.0).max(80.0);
    let response = Modal::new(egui::Id::unique("measured machine")).show(ui.ctx(), |ui| {
        ui.set_width(WIDTH.min(ui.ctx().content_rect().width() - 60.0));
        ScrollArea::vertical()
            .max_height(height)
            .min_scrolled_height(height)
            .show(ui, |ui| report(ui, result));
        ui.add_space(6.0);
        ui.horizontal_wrapped(|ui| {
            let help = "Predictions for this machine use these constants from now on";
            if ui.button("Use").on_hover_text(help).clicked() {
                ask(HardwareAction::UseMeasured);
            }
            let help = "Leave the constants as they are";
            if ui.button("Discard").on_hover_text(help).clicked() {
                ask(HardwareAction::CloseMeasured);
            }
            let in_use = hardware::calibration().ok().flatten();
            if let Some(calibration) = in_use {
                let words = format!("Forget those of {} too", calibration.date);
                let help = "Return to the assumed constants";
                if ui.button(words).on_hover_text(help).clicked() {
                    ask(HardwareAction::ForgetMeasured);
                }
            }
        });
    });
    // A click beside it must not throw half a minute of measuring away.
    if response.should_close() && !response.backdrop_response.clicked() {
        ask(HardwareAction::CloseMeasured);
    }
}

const WIDTH: f32 = 640.0;

fn report(ui: &mut Ui, result: &MeasuredMachine) {
    let palette = theme::palette(ui.visuals());
    let calibration = &result.machine.calibration;
    let small = |ui: &mut Ui, text: &str| {
        ui.label(
            RichText::new(text)
                .text_style(TextStyle::Small)
                .color(palette.muted),
        )
    };
    theme::tighten(ui);
    ui.label(
        RichText::new("This machine, measured")
            .text_style(theme::reading())
            .color(palette.strong),
    );
    small(
        ui,
        &format!("{}, {}", calibration.machine, calibration.date),
    );
    let warnings = [
        machine::debug_build().map(str::to_owned),
        machine::restless(result.before_after.unrest),
        machine::held_up(calibration).map(str::to_owned),
        machine::further_off(&result.before_after).map(str::to_owned),
    ];
    for warning in warnings.into_iter().flatten() {
        ui.label(RichText::new(warning).color(palette.error));
    }
    ui.add_space(6.0);
    let columns = [Align::Min, Align::Max, Align::Max, Align::Max];
    line(
        ui,
        CONSTANTS,
        columns,
        ["Constant", "median", "from", "to"].map(muted(palette)),
    );
    for (name, [median, from, to]) in machine::constants(calibration) {
        let texts = [name.to_owned(), median, from, to];
        line(ui, CONSTANTS, columns, texts.map(RichText::new));
    }
    ui.add_space(6.0);
    let columns = [Align::Min, Align::Max, Align::Max, Align::Max, Align::Max];
    let titles = [
        "Model",
        "at once",
        "measured per s",
        "predicted before",
        "predicted after",
    ];
    line(ui, SPEEDS, columns, titles.map(muted(palette)));
    for prediction in &result.before_after.predictions {
        let speed = &prediction.speed;
        let [before, after] = prediction.errors().map(machine::error);
        let rate = |value: f64| si(value, "").trim_end().to_owned();
        let spread = significant(speed.measured.ratio(), 3);
        let texts = [
            speed.model.clone(),
            speed.batch.to_string(),
            format!("{} {}s", rate(speed.measured.median), speed.unit),
            format!("{} ({before})", rate(prediction.before)),
            format!("{} ({after})", rate(prediction.after)),
        ];
        line(ui, SPEEDS, columns, texts.map(RichText::new)).on_hover_text(format!(
            "Quartiles of the repeats differ by a factor of {spread}"
        ));
    }
    ui.add_space(6.0);
    ui.label(machine::summary(&result.before_after));
}

/// Widths of the columns of both tables.
const CONSTANTS: [f32; 4] = [250.0, 110.0, 110.0, 110.0];
const SPEEDS: [f32; 5] = [150.0, 60.0, 130.0, 130.0, 130.0];

fn muted(palette: &theme::Palette) -> impl Fn(&str) -> RichText {
    let color = palette.muted;
    move |text| RichText::new(text).color(color)
}

fn line<const N: usize>(
    ui: &mut Ui,
    widths: [f32; N],
    columns: [Align; N],
    texts: [RichText; N],
) -> egui::Response {
    const GAP: f32 = 8.0;
    // In a narrow window all columns get narrower alike.
    let wanted = widths.iter().sum::<f32>() + GAP * N as f32;
    let share = (ui.available_width() / wanted).min(1.0);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = GAP * share;
        for ((width, align), text) in widths.into_iter().zip(columns).zip(texts) {
            cell(ui, width * share, align, text);
        }
    })
    .response
}
