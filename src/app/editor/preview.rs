//! What the changes do to the model in use, before they are saved.

use egui::{Align, RichText, Ui};
use wattif_core::Result;
use wattif_core::carbon::Grid;
use wattif_core::footprint::{Footprint, footprint};
use wattif_core::hardware::HardwareTarget;
use wattif_core::profile::ModelProfile;
use wattif_core::scenario::Scenario;

use super::draft::Draft;
use crate::app::widgets::{self, cell};
use crate::app::{App, theme};
use crate::format;

/// The preview, kept until the draft or the session changes.
#[derive(Default)]
pub(super) struct Preview {
    key: Option<(u64, u64)>,
    figures: Option<Figures>,
}

struct Figures {
    model: String,
    unit: &'static str,
    original: Result<Footprint>,
    edited: Result<Footprint>,
    /// What each changed figure does alone: its name and the effect in words.
    effects: Vec<(String, String)>,
    /// Whether published measurements predict this model here.
    fitted: bool,
}

impl Figures {
    fn new(draft: &Draft, app: &App) -> Option<Self> {
        let profile = &app.derived.now.as_ref()?.profile;
        let grid = app.derived.grid?;
        let scenario = &app.session.configuration.scenario;
        let original = on(&draft.original, profile, scenario, grid);
        let effects = draft
            .rows
            .iter()
            .filter(|row| row.is_changed())
            .map(|row| {
                let alone = draft.with_only(row);
                let alone = alone.map(|target| on(&target, profile, scenario, grid));
                (row.full_name(), effect(&original, alone))
            })
            .collect();
        Some(Self {
            model: app.model.facts.as_ref()?.name.clone(),
            unit: profile.unit.name(),
            edited: on(&draft.target, profile, scenario, grid),
            original,
            effects,
            fitted: draft
                .target
                .is_fitted_for(profile, scenario)
                .unwrap_or(false),
        })
    }
}

fn on(
    target: &HardwareTarget,
    profile: &ModelProfile,
    scenario: &Scenario,
    grid: &Grid,
) -> Result<Footprint> {
    let scenario = Scenario {
        hardware: target.id.clone(),
        ..scenario.clone()
    };
    footprint(profile, &scenario, target, grid)
}

/// Typical energy of a unit of work and units per second.
fn typical(footprint: &Footprint) -> (f64, f64) {
    (
        footprint.energy_per_unit.range.typical.0,
        footprint.throughput.range.typical.0,
    )
}

/// What one changed figure does, in words.
fn effect(original: &Result<Footprint>, alone: Option<Result<Footprint>>) -> String {
    let (Ok(original), Some(Ok(alone))) = (original, alone) else {
        return "counts in the sum only".to_owned();
    };
    if original.energy_per_unit.range == alone.energy_per_unit.range
        && original.throughput.range == alone.throughput.range
    {
        let co2e = |footprint: &Footprint| footprint.co2e_per_unit.range.typical.0;
        let (before, after) = (co2e(original), co2e(&alone));
        return if before == after {
            "no effect on this model here".to_owned()
        } else {
            format!("CO₂e {}, energy and speed as before", change(before, after))
        };
    }
    let (before, after) = (typical(original), typical(&alone));
    if before == after {
        return "changes the range only".to_owned();
    }
    format!(
        "energy {}, speed {}",
        change(before.0, after.0),
        change(before.1, after.1)
    )
}

fn change(before: f64, after: f64) -> String {
    format::saving(1.0 - after / before)
}

const NAME_WIDTH: f32 = 92.0;
const CHANGE_WIDTH: f32 = 52.0;

impl Preview {
    /// Draws the card.
    pub(super) fn show(&mut self, ui: &mut Ui, draft: &Draft, app: &App) {
        let key = (draft.version, app.derived.generation);
        if self.key != Some(key) {
            self.key = Some(key);
            self.figures = Figures::new(draft, app);
        }
        widgets::card(ui, "What the changes do", |ui| {
            let palette = theme::palette(ui.visuals());
            let Some(figures) = &self.figures else {
                ui.label(RichText::new("No model is open yet").color(palette.muted));
                return;
            };
            let model = format!("{} at the settings in use, typical values", figures.model);
            ui.label(RichText::new(model).color(palette.muted));
            ui.add_space(4.0);
            match (&figures.original, &figures.edited) {
                (Ok(original), Ok(edited)) => figures.table(ui, original, edited),
                (original, edited) => {
                    refused(ui, "Original", original);
                    refused(ui, "Edited", edited);
                }
            }
            if figures.fitted {
                ui.add_space(6.0);
                ui.label(
                    RichText::new(
                        "Predicted by the model fitted to published measurements. Of a device it knows peak rates, \
                         bandwidth and capacity of the memory, power limit, link bandwidth and 2:4; other figures do \
                         nothing here. Where one of them differs from the measured device, ranges are wider.",
                    )
                    .text_style(egui::TextStyle::Small)
                    .color(palette.muted),
                );
            }
            figures.each_alone(ui);
        });
    }
}

fn refused(ui: &mut Ui, name: &str, footprint: &Result<Footprint>) {
    if let Err(error) = footprint {
        ui.label(format!("{name}: {error}"));
    }
}

impl Figures {
    fn table(&self, ui: &mut Ui, original: &Footprint, edited: &Footprint) {
        let palette = theme::palette(ui.visuals());
        theme::tighten(ui);
        let (before, after) = (typical(original), typical(edited));
        let energy = format::Counted::Joules.row(&[before.0, after.0]);
        let rate = format::Counted::Rate.row(&[before.1, after.1]);
        let muted = |text: &str| RichText::new(text).color(palette.muted);
        let line = |ui: &mut Ui, texts: [RichText; 4]| {
            let [name, was, is, change] = texts;
            ui.horizontal(|ui| {
                let spacing = 3.0 * ui.spacing().item_spacing.x;
                let width = (ui.available_width() - NAME_WIDTH - CHANGE_WIDTH - spacing) / 2.0;
                cell(ui, NAME_WIDTH, Align::Min, name);
                cell(ui, width, Align::Max, was);
                cell(ui, width, Align::Max, is);
                cell(ui, CHANGE_WIDTH, Align::Max, change);
            });
        };
        line(
            ui,
            [
                RichText::new(""),
                muted("Original"),
                muted("Edited"),
                muted("Change"),
            ],
        );
        let strong = |text: &str| {
            RichText::new(text)
                .text_style(theme::emphasis())
                .color(palette.strong)
        };
        line(
            ui,
            [
                muted(&format!("Energy/{}", self.unit)),
                RichText::new(&energy[0]),
                strong(&energy[1]),
                RichText::new(change(before.0, after.0)),
            ],
        );
        line(
            ui,
            [
                muted("Throughput"),
                RichText::new(&rate[0]),
                strong(&rate[1]),
                RichText::new(change(before.1, after.1)),
            ],
        );
    }

    fn each_alone(&self, ui: &mut Ui) {
        if self.effects.is_empty() {
            return;
        }
        let palette = theme::palette(ui.visuals());
        ui.add_space(6.0);
        ui.label(
            RichText::new("Each change alone")
                .text_style(theme::emphasis())
                .color(palette.strong),
        );
        for (name, effect) in &self.effects {
            ui.label(RichText::new(name).color(palette.muted));
            ui.label(effect);
        }
    }
}
