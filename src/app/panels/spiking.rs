//! What the spiking version does, where the hardware runs spikes.

use egui::{RichText, Ui};
use wattif_core::hardware::HardwareClass;
use wattif_core::measurement::Metric;

use crate::app::{App, charts, theme, widgets};
use crate::format;

/// Draws the card on hardware that passes spikes.
pub(in crate::app) fn show(ui: &mut Ui, app: &App) {
    let Some(target) = app.derived.target else {
        return;
    };
    let Some(now) = &app.derived.now else {
        return;
    };
    // Where the network cannot be mapped, the figures say why.
    if target.class != HardwareClass::Neuromorphic || now.footprint.is_err() {
        return;
    }
    let palette = theme::palette(ui.visuals());
    let muted = |text: String| RichText::new(text).color(palette.muted);
    widgets::card(ui, "As a spiking network", |ui| {
        let Some(spiking) = &now.profile.spiking else {
            ui.label(muted(
                "Not run yet; until then the activity of the chip's file is assumed".to_owned(),
            ));
            return;
        };
        let half = (spiking.accuracy.high - spiking.accuracy.low) / 2.0;
        let accuracy = charts::quality_text(Metric::Accuracy, spiking.accuracy.value, half);
        ui.label(RichText::new(format!("Accuracy {accuracy}")).text_style(theme::emphasis()))
            .on_hover_text(format!(
                "Measured here on {} held-out images, {} time steps each, thresholds from training images; {} with \
                 activations as numbers",
                format::count(spiking.n as f64),
                spiking.steps,
                format::percent(spiking.dense, 1),
            ));
        ui.label(muted(format!(
            "{} time steps an image; spikes per input and step:",
            spiking.steps
        )));
        for layer in &spiking.activity {
            ui.horizontal(|ui| {
                ui.label(muted(layer.layer.clone()));
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    ui.label(format::significant(layer.activity, 2))
                        .on_hover_text(format!(
                            "{} spikes reach {} in one time step",
                            format::significant(layer.spikes_per_step, 3),
                            layer.layer
                        ));
                });
            });
        }
    });
}
