//! What a report says beside running: the training of a student, keeping and sending the file, water.

use serde::Serialize;
use wattif_core::carbon::Grid;
use wattif_core::compress::distill::StudentRecord;
use wattif_core::footprint::Estimate;
use wattif_core::hardware::HardwareTarget;
use wattif_core::model::bundled;
use wattif_core::profile::ModelProfile;
use wattif_core::scenario::Scenario;
use wattif_core::storage::{self, DataCost};
use wattif_core::training;
use wattif_core::units::{Bytes, GramsCo2e, Joules, Litres, Range, Seconds};
use wattif_core::water::water;

use super::super::out::{aligned, entry, wrapped};
use super::Report;
use crate::format::{bytes, roughly, si, si_range};

/// What training a student cost, and when it is paid back.
#[derive(Debug, Serialize)]
pub struct TrainingView {
    /// Energy at the machine that trained it.
    pub energy_j: Estimate<Joules>,
    /// Emissions of that electricity and of making the machine, its share.
    pub co2e_g: Estimate<GramsCo2e>,
    /// Time by the clock.
    pub seconds: Estimate<Seconds>,
    /// Units of work on this hardware after which the energy saved against the original has paid the training back;
    /// an end that never comes is null.
    pub break_even_units: Estimate<Option<f64>>,
    /// The same in days at the demand.
    pub break_even_days: Estimate<Option<f64>>,
    /// Why an end never comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_even_reason: Option<String>,
}

/// What keeping data for a year and sending it once costs.
#[derive(Debug, Serialize)]
pub struct StorageView {
    /// The compressed file, kept for a year.
    pub model_year: DataCost,
    /// The original's file, kept for a year.
    pub original_year: DataCost,
    /// What the student was trained on, kept for a year, where its size is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_data_year: Option<DataCost>,
    /// The compressed file, sent once through the network.
    pub model_sent: DataCost,
}

/// Water that running the model takes.
#[derive(Debug, Serialize)]
pub struct WaterView {
    /// Litres per unit of work.
    pub l_per_unit: Estimate<Litres>,
    /// Litres per day at the demand.
    pub l_per_day: Estimate<Litres>,
}

/// What is compared, and where.
pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) grid: &'a Grid,
    pub(super) target: &'a HardwareTarget,
    pub(super) original: &'a ModelProfile,
    pub(super) compressed: &'a ModelProfile,
}

impl Run<'_> {
    pub(super) fn training(&self, record: &StudentRecord) -> wattif_core::Result<TrainingView> {
        let cost = training::student(&record.into(), self.scenario, self.grid)?;
        let payback = training::payback(
            &cost.energy,
            self.original,
            self.compressed,
            self.scenario,
            self.target,
        )?;
        Ok(TrainingView {
            energy_j: cost.energy,
            co2e_g: cost.co2e,
            seconds: cost.seconds,
            break_even_units: payback.units,
            break_even_days: payback.days,
            break_even_reason: payback.reason,
        })
    }

    pub(super) fn storage(
        &self,
        record: Option<&StudentRecord>,
    ) -> wattif_core::Result<StorageView> {
        let year = |bytes: f64| storage::kept_for_a_year(Bytes(bytes), self.scenario, self.grid);
        let data = record.and_then(|record| bundled::training_set_bytes(&record.data));
        let file = self.compressed.stored_bytes() as f64;
        Ok(StorageView {
            model_year: year(file)?,
            original_year: year(self.original.stored_bytes() as f64)?,
            training_data_year: data.map(year).transpose()?,
            model_sent: storage::sent_once(Bytes(file), self.grid)?,
        })
    }

    pub(super) fn water(&self, per_unit: Range<Joules>) -> Option<WaterView> {
        let per_day = per_unit * self.scenario.demand_per_day;
        Some(WaterView {
            l_per_unit: water(per_unit, self.scenario)?,
            l_per_day: water(per_day, self.scenario)?,
        })
    }
}

/// The lines of the report.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(training) = &report.training {
        lines.push(String::new());
        lines.push("Training the student (modelled)".to_owned());
        lines.extend(training_lines(report, training));
    }
    lines.push(String::new());
    lines.push("Beside running (modelled)".to_owned());
    lines.extend(beside(report));
    lines
}

/// A name with low, typical and high, and their unit with a note.
pub(super) fn numbers(name: &str, range: Range<f64>, symbol: &str, note: &str) -> Vec<String> {
    let (numbers, symbol) = si_range(range, symbol);
    let mut cells = vec![format!("  {name}")];
    cells.extend(numbers);
    cells.push(format!("{symbol}{note}"));
    cells
}

fn training_lines(report: &Report, training: &TrainingView) -> Vec<String> {
    let back = |range: Range<Option<f64>>, unit: &str| {
        let mut cells = vec!["  Paid back after".to_owned()];
        cells.extend([range.low, range.typical, range.high].map(roughly));
        cells.push(unit.to_owned());
        cells
    };
    let rows = [
        ["", "low", "typical", "high", ""]
            .map(str::to_owned)
            .to_vec(),
        numbers("Energy", training.energy_j.range.map(|x| x.0), "J", ""),
        numbers("CO2e", training.co2e_g.range.map(|x| x.0), "g", ""),
        back(
            training.break_even_units.range,
            &format!("{}s", report.model.unit),
        ),
        back(training.break_even_days.range, "days at this demand"),
    ];
    let mut lines = aligned(&rows, &[false, true, true, true, false]);
    if let Some(reason) = &training.break_even_reason {
        lines.extend(wrapped(&format!("Never: {reason}.")));
    }
    lines
}

fn beside(report: &Report) -> Vec<String> {
    let StorageView {
        model_year,
        original_year,
        training_data_year,
        model_sent,
    } = &report.storage;
    let row = |name: &str, cost: &DataCost, note: &str| {
        numbers(name, cost.energy_j.range.map(|x| x.0), "J", note)
    };
    let mut rows = vec![
        ["", "low", "typical", "high", ""]
            .map(str::to_owned)
            .to_vec(),
        row(
            "Keeping the file",
            model_year,
            &format!(
                " a year; the original {}",
                si(original_year.energy_j.range.typical.0, "J")
            ),
        ),
    ];
    if let Some(data) = training_data_year {
        let note = format!(" a year, {}", bytes(data.bytes.0));
        rows.push(row("Keeping the training data", data, &note));
    }
    rows.push(row("Sending the file", model_sent, " each time"));
    if let Some(water) = &report.water {
        let litres = |estimate: &Estimate<Litres>| estimate.range.map(|x| x.0);
        let unit = format!(" per {}", report.model.unit);
        rows.push(numbers("Water", litres(&water.l_per_unit), "L", &unit));
        rows.push(numbers("Water", litres(&water.l_per_day), "L", " per day"));
    }
    aligned(&rows, &[false, true, true, true, false])
}

/// The formulas behind those lines.
pub(super) fn formulas(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(training) = &report.training {
        lines.extend(entry("Training", &training.energy_j));
        lines.extend(entry("CO2e of the training", &training.co2e_g));
        lines.extend(entry("Paid back", &training.break_even_units));
    }
    lines.extend(entry(
        "Keeping the file",
        &report.storage.model_year.energy_j,
    ));
    lines.extend(entry(
        "Sending the file",
        &report.storage.model_sent.energy_j,
    ));
    if let Some(water) = &report.water {
        lines.extend(entry("Water", &water.l_per_unit));
    }
    lines
}
