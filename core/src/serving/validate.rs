//! Predictions against published rows: error figures by device, task, scope and precision, row by row, and why a row
//! cannot be predicted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::calibrate::cross_validate;
use super::constants::Constants;
use super::predict::{Prediction, predict};
use super::rows::{self, Case, Row};
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
    pub predicted_throughput: Range<f64>,
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
}

/// A row that was not predicted.
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
}

/// What validation found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// By kind of work, all devices that the fit has seen.
    pub summary: Vec<Group>,
    /// By device, task, scope and precision.
    pub groups: Vec<Group>,
    /// Row by row.
    pub rows: Vec<ValidatedRow>,
    /// Rows that were not predicted.
    pub skipped: Vec<SkippedRow>,
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
                reason,
            }),
        }
    }
    (cases, skipped)
}

/// Predicts every row of a table that can be predicted, with the constants that ship.
///
/// # Errors
/// [`crate::Error::File`] when the text is not a table of measurements.
pub fn validate(text: &str, path: &Path, options: Options<'_>) -> Result<Validation> {
    let rows = rows::read(text, path)?;
    let (cases, skipped) = cases(&rows, options.models);
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
            predicted_throughput: prediction.throughput,
            measured_energy_j: case.row.measured_energy(),
            measured_throughput: case.row.measured_throughput(),
            model: case.row.model.clone(),
            family: case.family.clone(),
            hardware: case.row.hardware.clone(),
            scope: case.scope.name(),
            source: case.row.source.clone(),
        })
        .collect();
    Validation {
        summary,
        groups,
        rows,
        skipped,
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

type Key = (String, String, &'static str, String);

fn grouped(pairs: &[(&Case, &Prediction)], key: impl Fn(&Case) -> Key) -> Vec<Group> {
    let mut groups: BTreeMap<Key, (Vec<Pair>, Vec<Pair>)> = BTreeMap::new();
    for (case, prediction) in pairs {
        let (energy, speed) = groups.entry(key(case)).or_default();
        if let (Some(predicted), Some(measured)) = (prediction.energy, case.row.measured_energy()) {
            energy.push(Pair {
                predicted,
                measured,
            });
        }
        if let Some(measured) = case.row.measured_throughput() {
            speed.push(Pair {
                predicted: prediction.throughput,
                measured,
            });
        }
    }
    groups
        .into_iter()
        .map(
            |((device, task, scope, precision), (energy, speed))| Group {
                device,
                task,
                scope,
                precision,
                energy: Statistics::new(&energy),
                throughput: Statistics::new(&speed),
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::calibrate;

    const TABLE: &str = include_str!("../../../assets/ground_truth/serving.csv");

    #[test]
    #[ignore = "prints"]
    fn print_figures() {
        let path = Path::new("serving.csv");
        let rows = rows::read(TABLE, path).unwrap();
        let (cases, skipped) = cases(&rows, None);
        println!("{} cases, {} skipped", cases.len(), skipped.len());
        let started = std::time::Instant::now();
        let constants = calibrate(&cases, "x".to_owned());
        println!(
            "calibrate {:?}\n{}",
            started.elapsed(),
            constants.to_ron().unwrap()
        );
        let show = |name: &str, validation: &Validation| {
            for group in &validation.summary {
                for (what, s) in [("energy", group.energy), ("speed", group.throughput)] {
                    if let Some(s) = s {
                        println!(
                            "{name} {:16} {:18} {what:7} n {:4} median {:5.1} p90 {:6.1} bias {:+6.1} rho {:.3} inside {:.2}",
                            group.device,
                            group.task,
                            s.n,
                            s.median_absolute_error,
                            s.p90_absolute_error,
                            s.bias,
                            s.rank_correlation.unwrap_or(0.0),
                            s.inside_range
                        );
                    }
                }
            }
        };
        let predictions: Vec<Prediction> =
            cases.iter().map(|case| predict(case, &constants)).collect();
        show("fit ", &report(&cases, &predictions, Vec::new()));
        let predictions = cross_validate(&cases, &constants.spread);
        show("held", &report(&cases, &predictions, skipped));
    }
}
