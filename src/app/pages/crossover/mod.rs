//! Where another choice begins to cost less: weight widths over the batch, and on event-driven chips the spiking
//! network over its activity beside the same network on a conventional device.

mod chart;
mod sweep;
mod words;

use egui::{ComboBox, RichText, TextStyle, Ui, vec2};
use wattif_core::hardware::{self, CostModel};
use wattif_core::scenario::Scenario;

use self::chart::chart;
use self::sweep::{Kind, Marker, Sweep, sweep};
use self::words::{crossing, reading};
use super::{Cached, sheet};
use crate::app::command::Action;
use crate::app::{App, theme};
use crate::format;

/// The page.
#[derive(Default)]
pub(super) struct Crossover {
    sweep: Cached<Sweep>,
    /// The conventional device that was picked for the comparison, by identifier.
    reference: Option<String>,
    worked_out_for: Option<String>,
}

impl Crossover {
    fn refresh(&mut self, app: &App) -> Option<&Sweep> {
        if self.worked_out_for != self.reference {
            self.sweep = Cached::default();
            self.worked_out_for.clone_from(&self.reference);
        }
        let reference = self.reference.clone();
        self.sweep
            .get(app, |inputs| sweep(app, inputs, reference.as_deref()))
    }

    pub(super) fn show(&mut self, ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
        let Some(now) = &app.derived.now else {
            return sheet::empty(ui, super::NO_MODEL);
        };
        let unit = now.profile.unit.name();
        let scenario = &app.session.configuration.scenario;
        let mut picked = self.reference.clone();
        let Some(sweep) = self.refresh(app) else {
            return;
        };
        sheet::card(ui, |ui| {
            sheet::reading(ui, &reading(sweep, unit, f64::from(scenario.batch)));
            notes(ui, sweep);
            if let Kind::Activity(marker) = sweep.kind {
                choose_reference(ui, sweep, marker, &mut picked);
            }
            let footer = 20.0 * sweep.missing.len() as f32;
            let size = vec2(
                ui.available_width(),
                (ui.available_height() - footer).max(160.0),
            );
            if !sweep.series.is_empty() {
                let clicked = chart(ui, size, sweep, unit, scenario);
                if let (Some(batch), Kind::Widths) = (clicked, sweep.kind) {
                    let scenario = Scenario {
                        batch: batch.round() as u32,
                        ..scenario.clone()
                    };
                    queue.push(Action::SetScenario(scenario, None));
                }
            }
            let palette = theme::palette(ui.visuals());
            for (name, reason) in &sweep.missing {
                let text = RichText::new(format!("{name}: {reason}"))
                    .text_style(TextStyle::Small)
                    .color(palette.muted);
                ui.add(egui::Label::new(text).truncate());
            }
        });
        self.reference = picked;
    }

    /// Every curve, place by place.
    pub(super) fn table(&mut self, app: &App) -> Vec<Vec<String>> {
        let Some(sweep) = self.refresh(app) else {
            return Vec::new();
        };
        let x = match sweep.kind {
            Kind::Activity(_) => "spikes_per_neuron_and_step",
            _ => "batch",
        };
        let heading = [
            x,
            "series",
            "energy_low_j",
            "energy_typical_j",
            "energy_high_j",
        ];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for series in &sweep.series {
            for (x, range) in sweep.x.iter().zip(&series.energy) {
                let Some(range) = range else { continue };
                let mut row = vec![x.to_string(), series.name.clone()];
                row.extend([range.low, range.typical, range.high].map(|v| v.to_string()));
                rows.push(row);
            }
        }
        rows
    }
}

/// Where the crossings lie at the ends of the ranges.
fn notes(ui: &mut Ui, sweep: &Sweep) {
    let palette = theme::palette(ui.visuals());
    let mut text = match sweep.kind {
        Kind::Widths => {
            "Same recipe with other weight bits, modelled; bands are low to high".to_owned()
        }
        _ => "Modelled; bands are low to high of all other constants".to_owned(),
    };
    for (stretch, spread) in sweep.stretches.iter().skip(1).zip(&sweep.spread) {
        if !stretch.crossed {
            continue;
        }
        text += &crossing(sweep.kind, stretch.from, *spread);
    }
    let text = RichText::new(text)
        .text_style(TextStyle::Small)
        .color(palette.muted);
    ui.add(egui::Label::new(text).wrap());
}

/// Which conventional device stands beside the chip.
fn choose_reference(ui: &mut Ui, sweep: &Sweep, marker: Marker, picked: &mut Option<String>) {
    let palette = theme::palette(ui.visuals());
    let muted = |text: String| RichText::new(text).color(palette.muted);
    let name = sweep.series.iter().find(|series| !series.current);
    ui.horizontal_wrapped(|ui| {
        ui.label(muted("Beside".to_owned()));
        let combo = ComboBox::from_id_salt("crossover reference")
            .selected_text(name.map_or("", |series| series.name.as_str()))
            .width(210.0)
            .show_ui(ui, |ui| {
                let nearest = ui
                    .selectable_label(picked.is_none(), "The nearest power limit")
                    .clicked();
                if nearest {
                    *picked = None;
                }
                for target in hardware::catalogue().unwrap_or_default() {
                    if matches!(target.model, CostModel::Neuromorphic(_)) {
                        continue;
                    }
                    let chosen = picked.as_ref() == Some(&target.id);
                    if ui.selectable_label(chosen, &target.name).clicked() {
                        *picked = Some(target.id.clone());
                    }
                }
            });
        combo.response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::accesskit::Role::ComboBox, true, "Compared with")
        });
        let why = if picked.is_none() {
            "which can run it and whose power limit is nearest"
        } else {
            ""
        };
        let range = marker.range;
        let which = if marker.measured {
            "the activity of the layers, measured"
        } else {
            "the activity, assumed"
        };
        let [low, typical, high] =
            [range.low, range.typical, range.high].map(|v| format::trimmed(v, 2));
        ui.label(muted(format!(
            "{why}; shaded: {which}: {typical} ({low} to {high})"
        )));
    });
}
