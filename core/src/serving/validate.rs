//! Predictions against published rows: error figures by device, task, scope and precision, row by row, and why a row
//! cannot be predicted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::calibrate::cross_validate;
use super::constants::Constants;
use super::predict::{Prediction, predict};
use super::rows::{Case, Row};
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
        case.row.unread().map(|reason| SkippedRow { id, reason })
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

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::serving::rows::{CaseWork, Scope, read};
    use crate::serving::{PUBLIC_ROWS, calibrate};

    fn public_rows() -> Vec<Row> {
        read(PUBLIC_ROWS, Path::new("serving.csv")).unwrap()
    }

    fn public_cases() -> (Vec<Case>, Vec<SkippedRow>) {
        cases(&public_rows(), None)
    }

    /// Every family predicted by constants that never saw it.
    fn held_out() -> &'static Validation {
        static VALIDATION: OnceLock<Validation> = OnceLock::new();
        VALIDATION.get_or_init(|| {
            let options = Options {
                cross_validate: true,
                models: None,
            };
            validate(&public_rows(), options).unwrap()
        })
    }

    fn summary(device: &str, task: &str) -> &'static Group {
        held_out()
            .summary
            .iter()
            .find(|group| group.device == device && group.task == task)
            .unwrap()
    }

    #[test]
    fn language_models_of_other_families_are_within_the_bars() {
        for device in ["A100 SXM4 40GB", "H100 SXM", "B200"] {
            let group = summary(device, "language models");
            for statistics in [group.energy.unwrap(), group.throughput.unwrap()] {
                assert!(statistics.n > 70, "{device}: {statistics:?}");
                assert!(
                    statistics.median_absolute_error < 15.0,
                    "{device}: {statistics:?}"
                );
                assert!(
                    statistics.p90_absolute_error < 35.0,
                    "{device}: {statistics:?}"
                );
                assert!(statistics.bias.abs() < 10.0, "{device}: {statistics:?}");
                assert!(statistics.inside_range > 0.8, "{device}: {statistics:?}");
            }
            assert!(
                group.energy.unwrap().rank_correlation.unwrap() > 0.97,
                "{device}"
            );
        }
    }

    #[test]
    fn images_videos_and_systems_are_within_the_bars() {
        for (device, task, median) in [
            ("A100 SXM4 40GB", "images", 20.0),
            ("H100 SXM", "images", 20.0),
            ("B200", "images", 20.0),
            ("H100 SXM", "videos", 15.0),
            ("B200", "videos", 15.0),
            ("all", "MLPerf Inference", 20.0),
        ] {
            let group = summary(device, task);
            let energy = group.energy.unwrap();
            assert!(
                energy.median_absolute_error < median,
                "{device} {task}: {energy:?}"
            );
            assert!(energy.inside_range > 0.8, "{device} {task}: {energy:?}");
        }
        assert_eq!(summary("all", "MLPerf Inference").scope, Scope::Wall.name());
    }

    #[test]
    fn every_row_is_predicted_or_skipped_with_a_reason() {
        let rows = public_rows();
        let validation = held_out();
        assert_eq!(validation.rows.len() + validation.skipped.len(), rows.len());
        assert!(validation.skipped.len() < 30, "{:?}", validation.skipped);
        for row in &validation.rows {
            let speed = row.predicted_throughput.unwrap();
            assert!(
                speed.low > 0.0 && speed.low < speed.typical && speed.typical < speed.high,
                "{row:?}"
            );
            assert!(
                row.predicted_energy_j.is_some() || row.measured_energy_j.is_none(),
                "{row:?}"
            );
        }
        assert!(validation.skipped.iter().all(|row| row.reason.len() > 10));
    }

    #[test]
    fn the_shipped_constants_are_what_calibration_gives() {
        /// Sums in another order move the end of the fit a little.
        const SAME: f64 = 0.03;
        let (cases, _) = public_cases();
        let again = calibrate(&cases, String::new());
        let shipped = Constants::shipped().unwrap();
        for case in &cases {
            let (a, b) = (predict(case, &again), predict(case, shipped));
            let ratio = a.throughput.typical / b.throughput.typical - 1.0;
            assert!(ratio.abs() < SAME, "{}: {ratio}", case.row.id);
            if let (Some(a), Some(b)) = (a.energy, b.energy) {
                let (typical, high) = (a.typical / b.typical - 1.0, a.high / b.high - 1.0);
                assert!(
                    typical.abs() < SAME && high.abs() < SAME,
                    "{}: {typical}",
                    case.row.id
                );
            }
        }
    }

    /// Predicted joules per token of the public row of a model at about a batch size.
    fn row_energy(model: &str, devices: &str, batch: f64) -> f64 {
        let (cases, _) = public_cases();
        let case = cases
            .iter()
            .filter(|case| {
                case.row.model == model
                    && case.row.hardware == "NVIDIA H100 SXM"
                    && case.row.n_devices == devices
                    && case.row.task == "lm-arena-chat"
            })
            .min_by(|a, b| {
                let distance = |case: &Case| match &case.work {
                    CaseWork::Decode(_, serving) => (serving.batch - batch).abs(),
                    other => panic!("{other:?}"),
                };
                distance(a).total_cmp(&distance(b))
            })
            .unwrap();
        predict(case, Constants::shipped().unwrap())
            .energy
            .unwrap()
            .typical
    }

    #[test]
    fn fp8_costs_more_at_a_small_batch_and_less_at_a_large_one() {
        let (half, fp8) = (
            "Qwen/Qwen3-235B-A22B-Instruct-2507",
            "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8",
        );
        // Measured on 8 H100: +56 % at batch 8, -13 % at 256.
        let small = row_energy(fp8, "8", 8.0) / row_energy(half, "8", 8.0);
        let large = row_energy(fp8, "8", 256.0) / row_energy(half, "8", 256.0);
        assert!(small > 1.2, "{small}");
        assert!(large < 1.0, "{large}");
    }

    #[test]
    fn four_bits_cost_more_on_a_small_network_and_less_on_a_larger_one() {
        // Measured on an RTX 5090, one sequence, bitsandbytes: 1.1 B +26 %, 7 B -11 %.
        let ratio = |model: &str| {
            let energy = |precision: &str| {
                let row = Row {
                    model: model.to_owned(),
                    hardware: "RTX 5090".to_owned(),
                    engine: "HF transformers".to_owned(),
                    precision: precision.to_owned(),
                    batch_size: "1".to_owned(),
                    output_tokens: "256".to_owned(),
                    energy_j: "1".to_owned(),
                    ..Row::default()
                };
                let case = Case::new(&row, None).unwrap();
                predict(&case, Constants::shipped().unwrap())
                    .energy
                    .unwrap()
                    .typical
            };
            energy("nf4") / energy("fp16")
        };
        let (small, large) = (ratio("tinyllama-1-1b"), ratio("qwen2-5-7b"));
        assert!(small > 1.05, "{small}");
        assert!(large < 0.97, "{large}");
    }

    #[test]
    fn a_device_that_the_fit_has_not_seen_gets_a_wider_range() {
        let width = |hardware: &str| {
            let row = Row {
                model: "llama-3-1-70b".to_owned(),
                hardware: hardware.to_owned(),
                n_devices: "4".to_owned(),
                batch_size: "32".to_owned(),
                output_tokens: "500".to_owned(),
                energy_j: "1".to_owned(),
                ..Row::default()
            };
            let case = Case::new(&row, None).unwrap();
            let energy = predict(&case, Constants::shipped().unwrap())
                .energy
                .unwrap();
            energy.high / energy.low
        };
        assert!(width("NVIDIA H200 SXM 141GB") > 1.2 * width("NVIDIA H100 80GB HBM3"));
    }
}
