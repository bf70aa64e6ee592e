//! What the spiking version does, where the hardware runs spikes.

use egui::{Align, RichText, Ui};
use wattif_core::hardware::HardwareClass;
use wattif_core::measurement::LayerActivity;

use crate::app::explain::{Words, explained, reachable};
use crate::app::{App, theme, widgets};
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
        theme::tighten(ui);
        let half = (spiking.accuracy.high - spiking.accuracy.low) / 2.0;
        let text = format!(
            "Accuracy {} ± {}",
            format::signed_text(spiking.accuracy.value * 100.0, 1),
            format::percent(half, 1)
        );
        let accuracy = reachable(ui, RichText::new(text).text_style(theme::emphasis()));
        explained(accuracy, || {
            Words::plain(format!(
                "Measured here on {} held-out images, {} time steps each, thresholds from training images; {} with \
                 activations as numbers",
                format::count(spiking.n as f64),
                spiking.steps,
                format::percent(spiking.dense, 1),
            ))
        });
        ui.label(muted(format!(
            "{} time steps an image; spikes per input and step:",
            spiking.steps
        )));
        let width = (ui.available_width() / spiking.activity.len().max(1) as f32 - 4.0).floor();
        let row = |ui: &mut Ui, text: &dyn Fn(&LayerActivity) -> RichText| {
            ui.horizontal(|ui| {
                for layer in &spiking.activity {
                    explained(
                        widgets::reachable_cell(ui, width, Align::Max, text(layer)),
                        || {
                            Words::plain(format!(
                                "{} spikes reach {} in one time step",
                                format::significant(layer.spikes_per_step, 3),
                                layer.layer
                            ))
                        },
                    );
                }
            });
        };
        row(ui, &|layer| muted(layer.layer.clone()));
        row(ui, &|layer| {
            RichText::new(format::significant(layer.activity, 2))
        });
    });
}
