//! Layer by layer on the chosen device: under its roofs, and where time and energy go.

mod bars;
mod roofline;

use egui::{RichText, Ui};
use wattif_core::footprint::{Bound, Footprint};
use wattif_core::hardware::{CostModel, HardwareTarget, Precision};

use self::bars::bars;
use self::roofline::roofline;
use crate::app::charts::plane::Sign;
use crate::app::pages::sheet;
use crate::app::panels::breakdown;
use crate::app::{App, theme};
use crate::format;

/// Draws the page.
pub(super) fn show(ui: &mut Ui, app: &App) {
    let derived = &app.derived;
    let (Some(now), Some(target)) = (&derived.now, derived.target) else {
        return sheet::empty(ui, super::NO_MODEL);
    };
    let footprint = match &now.footprint {
        Ok(footprint) if !footprint.layers.is_empty() => footprint,
        Ok(_) => {
            return sheet::empty(
                ui,
                "This model is known as a whole only, not layer by layer",
            );
        }
        Err(error) => return sheet::empty(ui, &error.to_string()),
    };
    let original = derived
        .original
        .as_ref()
        .and_then(|original| original.footprint.as_ref().ok());
    sheet::card(ui, |ui| {
        sheet::reading(ui, &reading(footprint, target));
        match &target.model {
            CostModel::Processor(processor) => {
                let devices = app.session.configuration.scenario.devices;
                let height = (ui.available_height() * 0.5).clamp(180.0, 480.0);
                roofline(ui, height, processor, devices, footprint, original);
            }
            CostModel::Fpga(_) => note(
                ui,
                "An FPGA has no roofline: its multipliers are laid out for this network and these bits, so there is no \
                 fixed peak to draw the layers under",
            ),
            CostModel::Microcontroller(_) => note(
                ui,
                "A microcontroller has no roofline: products, results, fetched weights and started layers take their \
                 cycles one after the other instead of hiding behind each other",
            ),
            CostModel::Neuromorphic(_) => note(
                ui,
                "A neuromorphic chip has no roofline: its cores take part only when spikes arrive, and the number of \
                 time steps sets the speed of all layers together",
            ),
        }
        bars(ui, footprint, original, now.profile.unit.name());
    });
}

fn note(ui: &mut Ui, text: &str) {
    let palette = theme::palette(ui.visuals());
    ui.label(RichText::new(text).color(palette.muted));
    ui.add_space(4.0);
}

const fn bound_sign(bound: Bound) -> Sign {
    match bound {
        Bound::Compute => Sign::Circle,
        Bound::Memory => Sign::Square,
        Bound::Overhead => Sign::Triangle,
        Bound::Interconnect => Sign::Diamond,
    }
}

/// What limits the speed, as everywhere, and the longest layer: "81 % of the time goes to arithmetic; the
/// longest, conv2, takes 55 %".
fn reading(footprint: &Footprint, target: &HardwareTarget) -> String {
    let layers = &footprint.layers;
    let total: f64 = layers.iter().map(|layer| layer.time.0).sum();
    let longest = layers
        .iter()
        .reduce(|most, next| {
            if next.time.0 > most.time.0 {
                next
            } else {
                most
            }
        })
        .map(|layer| (layer.layer.as_str(), layer.time.0 / total));
    let slow = longest.map_or_else(String::new, |(name, share)| {
        format!("; the longest, {name}, takes {}", format::percent(share, 0))
    });
    if matches!(target.model, CostModel::Neuromorphic(_)) {
        let most = layers
            .iter()
            .max_by(|a, b| a.energy.total().0.total_cmp(&b.energy.total().0));
        let energy: f64 = layers.iter().map(|layer| layer.energy.total().0).sum();
        return most.map_or_else(String::new, |layer| {
            let share = layer.energy.total().0 / energy;
            format!(
                "{} takes {} of the energy; time steps set the speed of all layers",
                layer.layer,
                format::percent(share, 0)
            )
        });
    }
    footprint.limit.clone() + &slow
}

/// Why there is no table of this page.
pub(super) fn obstacle(app: &App) -> Option<&'static str> {
    match app.derived.now.as_ref().map(|now| &now.footprint) {
        Some(Ok(footprint)) if !footprint.layers.is_empty() => None,
        Some(Ok(_)) => Some("This model is not known layer by layer"),
        _ => Some("This device cannot run the model"),
    }
}

/// The layers as a table.
pub(super) fn table(app: &App) -> Vec<Vec<String>> {
    let heading = [
        "configuration",
        "layer",
        "bound",
        "precision",
        "operations",
        "memory_bytes",
        "on_chip_bytes",
        "time_s",
        "energy_compute_j",
        "energy_on_chip_j",
        "energy_memory_j",
        "energy_static_j",
        "energy_links_j",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let derived = &app.derived;
    for (name, figures) in [("now", &derived.now), ("original", &derived.original)] {
        let Some(Ok(footprint)) = figures.as_ref().map(|figures| &figures.footprint) else {
            continue;
        };
        for layer in &footprint.layers {
            let mut row = vec![
                name.to_owned(),
                layer.layer.clone(),
                layer.bound().words().to_owned(),
                layer.precision.map_or("", Precision::name).to_owned(),
            ];
            let numbers = [
                layer.operations,
                layer.memory_bytes.0,
                layer.on_chip_bytes.0,
                layer.time.0,
            ];
            let parts = breakdown::parts(&layer.energy);
            row.extend(numbers.into_iter().chain(parts).map(|v| v.to_string()));
            rows.push(row);
        }
    }
    rows
}
