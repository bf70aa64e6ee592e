//! The configuration on every device of the catalogue, one row each, with the original beside it.

mod rows;

use egui::{RichText, ScrollArea, TextStyle, Ui};
use wattif_core::carbon::{self, Grid};
use wattif_core::error::Result;
use wattif_core::footprint::{Footprint, on_fewest_devices};
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::profile::ModelProfile;
use wattif_core::scenario::Scenario;
use wattif_core::serving::Fit;
use wattif_core::units::Range;

use self::rows::{Lanes, refused, row};
use super::{Cached, Inputs, sheet};
use crate::app::command::Action;
use crate::app::{App, theme, widgets};
use crate::format;

/// What the devices are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::app) enum Quantity {
    Time,
    #[default]
    Energy,
    Co2e,
}

impl Quantity {
    pub(in crate::app) const ALL: [Self; 3] = [Self::Time, Self::Energy, Self::Co2e];

    pub(in crate::app) const fn name(self) -> &'static str {
        match self {
            Self::Time => "Time",
            Self::Energy => "Energy",
            Self::Co2e => "CO₂e",
        }
    }

    /// Of one unit of work, in seconds, joules or grams.
    pub(in crate::app) fn of(self, footprint: &Footprint) -> Range<f64> {
        match self {
            Self::Time => {
                let rate = footprint.throughput.range;
                Range {
                    low: 1.0 / rate.high.0,
                    typical: 1.0 / rate.typical.0,
                    high: 1.0 / rate.low.0,
                }
            }
            Self::Energy => footprint.energy_per_unit.range.map(|v| v.0),
            Self::Co2e => footprint.co2e_per_unit.range.map(|v| v.0),
        }
    }

    const fn counted(self) -> format::Counted {
        match self {
            Self::Time => format::Counted::Seconds,
            Self::Energy => format::Counted::Joules,
            Self::Co2e => format::Counted::Grams,
        }
    }

    fn write(self, value: f64) -> String {
        self.counted().write(value)
    }

    /// Numbers side by side, in one unit.
    fn row(self, values: &[f64]) -> Vec<String> {
        self.counted().row(values)
    }

    /// "least energy".
    const fn least(self) -> &'static str {
        match self {
            Self::Time => "Least time",
            Self::Energy => "Least energy",
            Self::Co2e => "Least CO₂e",
        }
    }
}

/// One device with what the configuration and the original cost there, or why they cannot run.
struct Entry {
    target: &'static HardwareTarget,
    now: Result<Counted>,
    original: Result<Counted>,
    /// Whether its figures were fitted to measurements.
    fit: Fit,
}

/// What a model costs on so many devices.
struct Counted {
    footprint: Footprint,
    devices: u32,
}

impl Entry {
    /// "2 × NVIDIA L4", or the name alone.
    fn name(&self) -> String {
        match self.now.as_ref().map_or(1, |now| now.devices) {
            1 => self.target.name.clone(),
            devices => format!("{devices} × {}", self.target.name),
        }
    }
}

/// The page.
#[derive(Default)]
pub(super) struct Devices {
    quantity: Quantity,
    entries: Cached<Vec<Entry>>,
}

fn entries(inputs: &Inputs) -> Vec<Entry> {
    let (Ok(targets), Ok(grid)) = (
        hardware::catalogue(),
        carbon::find_grid(&inputs.scenario.region),
    ) else {
        return Vec::new();
    };
    targets
        .iter()
        .map(|target| Entry {
            target,
            now: on(target, &inputs.now, &inputs.scenario, grid),
            original: on(target, &inputs.original, &inputs.scenario, grid),
            fit: target
                .runtime(&inputs.now, &inputs.scenario)
                .map_or(Fit::Class, |runtime| runtime.fit),
        })
        .collect()
}

/// What a model costs on a device: on as many as were chosen of the chosen one, of others on as few as hold it.
fn on(
    target: &HardwareTarget,
    profile: &ModelProfile,
    scenario: &Scenario,
    grid: &Grid,
) -> Result<Counted> {
    let chosen = scenario.hardware == target.id;
    let mut scenario = Scenario {
        hardware: target.id.clone(),
        ..scenario.clone()
    };
    let least = if chosen { scenario.devices } else { 1 };
    if !chosen {
        scenario.stages = 1;
    }
    let (footprint, devices) = on_fewest_devices(profile, &scenario, target, grid, least)?;
    Ok(Counted { footprint, devices })
}

/// The devices that can, least first, and those that cannot.
fn sorted(entries: &[Entry], quantity: Quantity) -> (Vec<(&Entry, Range<f64>)>, Vec<&Entry>) {
    let mut able: Vec<(&Entry, Range<f64>)> = entries
        .iter()
        .filter_map(|entry| {
            let now = entry.now.as_ref().ok()?;
            Some((entry, quantity.of(&now.footprint)))
        })
        .collect();
    able.sort_by(|a, b| a.1.typical.total_cmp(&b.1.typical));
    let unable = entries.iter().filter(|entry| entry.now.is_err()).collect();
    (able, unable)
}

/// "Least energy: X, 3.1 µJ per image; tied with Y, Z and 4 more".
fn reading(able: &[(&Entry, Range<f64>)], quantity: Quantity, unit: &str) -> String {
    const MOST_NAMES: usize = 2;
    let Some(((best, range), others)) = able.split_first() else {
        return "No device of the catalogue can run this".to_owned();
    };
    let mut text = format!(
        "{}: {}, {} per {unit}",
        quantity.least(),
        best.name(),
        quantity.write(range.typical)
    );
    let ties: Vec<String> = others
        .iter()
        .filter(|(_, other)| other.low <= range.high)
        .map(|(entry, _)| entry.name())
        .collect();
    if let Some(shown) = ties.get(..ties.len().min(MOST_NAMES))
        && !shown.is_empty()
    {
        text += &format!("; tied with {}", shown.join(", "));
        if ties.len() > MOST_NAMES {
            text += &format!(" and {} more", ties.len() - MOST_NAMES);
        }
    }
    text
}

/// What stands behind the figures of a device: a word, and what it means.
const fn fit_words(fit: Fit) -> (&'static str, &'static str) {
    match fit {
        Fit::Device => (
            "fitted",
            "fitted to published measurements of this device with networks of this kind",
        ),
        Fit::Relatives => (
            "fitted to relatives",
            "fitted to published measurements of this device with networks counted as layers of attention",
        ),
        Fit::Generation => (
            "fitted to others",
            "fitted to published measurements of other devices of its generation",
        ),
        Fit::Class => (
            "data sheet",
            "from data sheets and assumed efficiencies, not fitted to measurements of such networks",
        ),
    }
}

impl Devices {
    pub(super) fn show(&mut self, ui: &mut Ui, app: &App, queue: &mut Vec<Action>) {
        let palette = theme::palette(ui.visuals());
        let Some(entries) = self.entries.get(app, entries) else {
            return sheet::empty(ui, super::NO_MODEL);
        };
        let unit = app
            .derived
            .now
            .as_ref()
            .map_or("unit", |now| now.profile.unit.name());
        let (able, unable) = sorted(entries, self.quantity);
        let chosen = app.session.configuration.scenario.hardware.as_str();
        let mut picked = None;
        sheet::card(ui, |ui| {
            sheet::reading(ui, &reading(&able, self.quantity, unit));
            ui.horizontal(|ui| {
                let options = Quantity::ALL.map(|quantity| (quantity, quantity.name(), ""));
                if let Some(quantity) = widgets::choices(ui, &options, self.quantity) {
                    self.quantity = quantity;
                }
                let fitted = able.iter().any(|(entry, _)| entry.fit != Fit::Class);
                let outlined = if fitted {
                    "; outlined: data sheets, not fitted"
                } else {
                    ""
                };
                let note = format!("per {unit}, log scale, low to high{outlined}; click to choose");
                ui.add(
                    egui::Label::new(
                        RichText::new(note)
                            .text_style(TextStyle::Small)
                            .color(palette.muted),
                    )
                    .truncate(),
                );
            });
            if able.is_empty() && unable.is_empty() {
                return;
            }
            let lanes = Lanes::new(ui, &able, self.quantity);
            lanes.axis(ui);
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                for (entry, range) in &able {
                    if row(ui, entry, *range, &lanes, entry.target.id == chosen) {
                        picked = Some(*entry);
                    }
                }
                if !unable.is_empty() {
                    ui.add_space(8.0);
                    let title = format!("Cannot run this: {}", unable.len());
                    ui.label(
                        RichText::new(title)
                            .text_style(theme::emphasis())
                            .color(palette.strong),
                    );
                    for entry in unable {
                        if refused(ui, entry, entry.target.id == chosen) {
                            picked = Some(entry);
                        }
                    }
                }
            });
        });
        if let Some(entry) = picked {
            let mut scenario = app.session.configuration.scenario.clone();
            scenario.hardware.clone_from(&entry.target.id);
            if let Ok(now) = &entry.now {
                scenario.set_devices(now.devices);
            }
            queue.push(Action::SetScenario(scenario, None));
        }
    }

    /// Every device, now and with the original.
    pub(super) fn table(&mut self, app: &App) -> Vec<Vec<String>> {
        let heading = [
            "hardware",
            "name",
            "class",
            "configuration",
            "devices",
            "fitted_to",
            "time_low_s",
            "time_typical_s",
            "time_high_s",
            "energy_low_j",
            "energy_typical_j",
            "energy_high_j",
            "co2e_low_g",
            "co2e_typical_g",
            "co2e_high_g",
            "reason",
        ];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for entry in self.entries.get(app, entries).into_iter().flatten() {
            for (name, result) in [("now", &entry.now), ("original", &entry.original)] {
                let target = entry.target;
                let mut row = vec![
                    target.id.clone(),
                    target.name.clone(),
                    target.class.name().to_owned(),
                    name.to_owned(),
                    result
                        .as_ref()
                        .map_or_else(|_| String::new(), |c| c.devices.to_string()),
                    fit_words(entry.fit).0.to_owned(),
                ];
                for quantity in Quantity::ALL {
                    row.extend(match result {
                        Ok(counted) => {
                            let range = quantity.of(&counted.footprint);
                            [range.low, range.typical, range.high].map(|v| v.to_string())
                        }
                        Err(_) => [const { String::new() }; 3],
                    });
                }
                row.push(
                    result
                        .as_ref()
                        .err()
                        .map_or_else(String::new, ToString::to_string),
                );
                rows.push(row);
            }
        }
        rows
    }
}
