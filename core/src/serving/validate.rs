//! Predictions against published rows: error figures by device, task, scope and precision, row by row, and why a row
//! cannot be predicted.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::calibrate::cross_validate;
use super::constants::Constants;
use super::predict::{Prediction, predict};
use super::rows::{Case, Open, Row};
use super::statistics::{Pair, Statistics};
use crate::error::Result;
use crate::units::Range;

/// How a table is validated.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// A folder with `<model>/config.json` for models that are not in the catalogue.
    pub models: Option<&'a Path>,
    /// Whether every family is predicted by constants that were fitted to the other families of the same table,
    /// instead of by the constants that ship.
    pub cross_validate: bool,
}

/// A predicted row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValidatedRow {
    /// Identifier of the row.
    pub id: String,
    /// Predicted joules per unit of work.
    pub predicted_energy_j: Option<Range<f64>>,
    /// Predicted units of work per second, all devices.
    pub predicted_throughput: Option<Range<f64>>,
    /// Measured joules per unit of work.
    pub measured_energy_j: Option<f64>,
    /// Measured units of work per second.
    pub measured_throughput: Option<f64>,
    /// Published name of the model.
    pub model: String,
    /// Family of the model.
    pub family: String,
    /// Published name of the device.
    pub hardware: String,
    /// What was measured.
    pub scope: &'static str,
    /// Where it was published.
    pub source: String,
    /// What else the row states: powers, peaks, intensities.
    pub figures: Vec<ComparedFigure>,
}

/// A published quantity that is neither energy nor throughput, and what the program has for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedFigure {
    /// What it is.
    pub quantity: String,
    /// Its unit.
    pub unit: &'static str,
    /// What the program has.
    pub predicted: Range<f64>,
    /// What is published.
    pub measured: f64,
}

/// A row that was not predicted, or of which a part could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedRow {
    /// Identifier of the row.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Error figures of a group of rows that may be compared with each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Device, as the catalogue of the serving model calls it.
    pub device: String,
    /// What was done; empty in a summary over tasks.
    pub task: String,
    /// What was measured.
    pub scope: &'static str,
    /// Number format; empty in a summary.
    pub precision: String,
    /// Error of the energy.
    pub energy: Option<Statistics>,
    /// Error of the throughput.
    pub throughput: Option<Statistics>,
    /// Error of another quantity, which `task` names.
    pub other: Option<Statistics>,
}

/// What validation found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Validation {
    /// By kind of work, all devices that the fit has seen.
    pub summary: Vec<Group>,
    /// By device, task, scope and precision.
    pub groups: Vec<Group>,
    /// Row by row.
    pub rows: Vec<ValidatedRow>,
    /// Rows that were not predicted.
    pub skipped: Vec<SkippedRow>,
    /// Rows that were predicted, of which a cell could not be read.
    pub notes: Vec<SkippedRow>,
}

/// The rows of a table that can be predicted, and the others with the reason.
pub fn cases(rows: &[Row], models: Option<&Path>) -> (Vec<Case>, Vec<SkippedRow>) {
    let mut cases = Vec::new();
    let mut skipped = Vec::new();
    for row in rows {
        match Case::new(row, models) {
            Ok(case) => cases.push(case),
            Err(reason) => skipped.push(SkippedRow {
                id: row.id.clone(),
                reason: row.unread().unwrap_or(reason),
            }),
        }
    }
    (cases, skipped)
}

/// Predicts every row that can be predicted.
///
/// # Errors
/// [`crate::Error::File`] when the constants that ship are broken.
pub fn validate(rows: &[Row], options: Options<'_>) -> Result<Validation> {
    let (cases, skipped) = cases(rows, options.models);
    let constants = Constants::shipped()?;
    let predictions: Vec<Prediction> = if options.cross_validate {
        cross_validate(&cases, &constants.spread)
    } else {
        cases.iter().map(|case| predict(case, constants)).collect()
    };
    Ok(report(&cases, &predictions, skipped))
}

fn report(cases: &[Case], predictions: &[Prediction], skipped: Vec<SkippedRow>) -> Validation {
    let pairs: Vec<(&Case, &Prediction)> = cases.iter().zip(predictions).collect();
    let groups = grouped(&pairs, |case| {
        (
            case.device.name.clone(),
            case.row.task.clone(),
            case.scope.name(),
            precision(&case.row),
        )
    });
    let summary = grouped(&pairs, |case| {
        let task = if case.row.task.contains("MLPerf") {
            "MLPerf Inference"
        } else if case.row.task.contains("text-to-image") {
            "images"
        } else if case.row.task.contains("text-to-video") {
            "videos"
        } else if case.row.engine.contains("llama.cpp") {
            "llama.cpp"
        } else {
            "language models"
        };
        let device = if task == "MLPerf Inference" || task == "llama.cpp" {
            "all"
        } else {
            case.device.name.as_str()
        };
        (
            device.to_owned(),
            task.to_owned(),
            case.scope.name(),
            String::new(),
        )
    });
    let rows = pairs
        .iter()
        .map(|(case, prediction)| ValidatedRow {
            id: case.row.id.clone(),
            predicted_energy_j: prediction.energy,
            predicted_throughput: Some(prediction.throughput),
            measured_energy_j: case.row.measured_energy(),
            measured_throughput: case.row.measured_throughput(),
            model: case.row.model.clone(),
            family: case.family.clone(),
            hardware: case.row.hardware.clone(),
            scope: case.scope.name(),
            source: case.row.source.clone(),
            figures: Vec::new(),
        })
        .collect();
    let note = |case: &Case| {
        let id = case.row.id.clone();
        let mut said: Vec<String> = case.row.unread().into_iter().collect();
        if case.row.with_idle_time() {
            said.push(
                "its mean power contains time in which nothing was done: energy left out"
                    .to_owned(),
            );
        }
        for open in &case.open {
            said.push(match open {
                Open::Prompt(shortest, longest) => {
                    format!("prompt length not stated: {shortest} to {longest} tokens in the range")
                }
                Open::Work(least, most) => format!(
                    "size of a sample not published: {:.0} to {:.0} % of the typical one in the range",
                    least * 100.0,
                    most * 100.0
                ),
                Open::Answer(tokens) => format!("per sample, whose answer has {tokens} tokens"),
                Open::Software => {
                    "version of the software not stated: taken as of 2026, in a wider range"
                        .to_owned()
                }
            });
        }
        (!said.is_empty()).then(|| SkippedRow {
            id,
            reason: said.join("; "),
        })
    };
    Validation {
        summary,
        groups,
        rows,
        skipped,
        notes: cases.iter().filter_map(note).collect(),
    }
}

/// The precision of a row without the remark where it comes from.
fn precision(row: &Row) -> String {
    row.precision
        .split(" (")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// What rows of one group share: device, task, scope, precision.
pub(crate) type Key = (String, String, &'static str, String);

/// The pairs of one group: energy, throughput, anything else.
#[derive(Default)]
pub(crate) struct Pairs {
    pub(crate) energy: Vec<Pair>,
    pub(crate) throughput: Vec<Pair>,
    pub(crate) other: Vec<Pair>,
}

impl Validation {
    /// Adds what was found in another table.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.summary.append(&mut other.summary);
        self.groups.append(&mut other.groups);
        self.rows.append(&mut other.rows);
        self.skipped.append(&mut other.skipped);
        self.notes.append(&mut other.notes);
    }
}

impl Pairs {
    /// Adds a measured energy and a measured throughput, where both sides have them.
    pub(crate) fn add(
        &mut self,
        energy: (Option<Range<f64>>, Option<f64>),
        throughput: (Option<Range<f64>>, Option<f64>),
    ) {
        let pair = |(predicted, measured): (Option<Range<f64>>, Option<f64>)| {
            Some(Pair {
                predicted: predicted?,
                measured: measured?,
            })
        };
        self.energy.extend(pair(energy));
        self.throughput.extend(pair(throughput));
    }
}

/// Error figures of groups.
pub(crate) fn figures(groups: BTreeMap<Key, Pairs>) -> Vec<Group> {
    groups
        .into_iter()
        .map(|((device, task, scope, precision), pairs)| Group {
            device,
            task,
            scope,
            precision,
            energy: Statistics::new(&pairs.energy),
            throughput: Statistics::new(&pairs.throughput),
            other: Statistics::new(&pairs.other),
        })
        .collect()
}

fn grouped(pairs: &[(&Case, &Prediction)], key: impl Fn(&Case) -> Key) -> Vec<Group> {
    let mut groups: BTreeMap<Key, Pairs> = BTreeMap::new();
    for (case, prediction) in pairs {
        groups.entry(key(case)).or_default().add(
            (prediction.energy, case.row.measured_energy()),
            (Some(prediction.throughput), case.row.measured_throughput()),
        );
    }
    figures(groups)
}
