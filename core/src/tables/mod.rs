//! Tables of published measurements of every kind: which kind a table is follows from its columns, every row that a
//! model of this program covers is predicted, and every other row is listed with the reason.

mod carbon;
mod chips;
mod devices;
mod neuromorphic;
mod operations;
mod read;
mod runs;
mod small;
mod small_fit;
mod small_validate;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use carbon::CarbonRow;
pub use devices::DeviceRow;
pub use neuromorphic::NeuromorphicRow;
pub use operations::OperationRow;
pub use read::read;
pub use runs::RunRow;
pub use small::SmallRow;

use crate::error::Result;
use crate::serving::statistics::Pair;
use crate::serving::validate::{Key, Pairs, figures};
use crate::serving::{self, Options, Row, SkippedRow, ValidatedRow, Validation};
use read::Identified;
pub(crate) use text::reader;

/// The tables that ship, with their paths.
pub const SHIPPED: [(&str, &str); 9] = [
    ("assets/ground_truth/serving.csv", serving::PUBLIC_ROWS),
    (
        "assets/ground_truth/fpga_measured.csv",
        include_str!("../../../assets/ground_truth/fpga_measured.csv"),
    ),
    (
        "assets/ground_truth/neuromorphic_measured.csv",
        include_str!("../../../assets/ground_truth/neuromorphic_measured.csv"),
    ),
    (
        "assets/ground_truth/energy_per_op.csv",
        include_str!("../../../assets/ground_truth/energy_per_op.csv"),
    ),
    (
        "assets/ground_truth/hardware_specs.csv",
        include_str!("../../../assets/ground_truth/hardware_specs.csv"),
    ),
    (
        "assets/ground_truth/carbon_examples.csv",
        include_str!("../../../assets/ground_truth/carbon_examples.csv"),
    ),
    (
        "assets/ground_truth/compression_quality.csv",
        include_str!("../../../assets/ground_truth/compression_quality.csv"),
    ),
    (
        "assets/ground_truth/bare_runs.csv",
        include_str!("../../../assets/ground_truth/bare_runs.csv"),
    ),
    (
        "assets/ground_truth/class_models.csv",
        include_str!("../../../assets/ground_truth/class_models.csv"),
    ),
];

/// Of those that ship, the ones that check the models of whole classes of processors.
pub const CLASS_MODELS: [&str; 2] = [
    "assets/ground_truth/bare_runs.csv",
    "assets/ground_truth/class_models.csv",
];

/// A table of one kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Table {
    /// Language models, images, videos and MLPerf systems on large devices.
    Serving(Vec<Row>),
    /// Microcontrollers, small accelerators and programmable logic.
    Small(Vec<SmallRow>),
    /// Spiking chips, and processors beside them.
    Neuromorphic(Vec<NeuromorphicRow>),
    /// Energies of single operations.
    Operations(Vec<OperationRow>),
    /// Data sheets.
    Devices(Vec<DeviceRow>),
    /// Carbon intensities and emissions.
    Carbon(Vec<CarbonRow>),
    /// Quality after compression.
    Quality(Vec<QualityRow>),
    /// Networks on one device, kernels back to back.
    Runs(Vec<RunRow>),
}

/// One published quality of a compressed model.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct QualityRow {
    /// Identifier.
    pub id: String,
}

impl Identified for QualityRow {
    fn id_mut(&mut self) -> &mut String {
        &mut self.id
    }
}

/// Predicts every row of every table that can be predicted.
///
/// # Errors
/// [`crate::Error::File`] when constants that ship are broken.
pub fn validate(tables: &[Table], options: Options<'_>) -> Result<Validation> {
    let mut all = Validation::default();
    let serving: Vec<Row> = tables
        .iter()
        .filter_map(|table| match table {
            Table::Serving(rows) => Some(rows.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    if !serving.is_empty() {
        all.append(serving::validate(&serving, options)?);
    }
    let small: Vec<SmallRow> = tables
        .iter()
        .filter_map(|table| match table {
            Table::Small(rows) => Some(rows.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    if !small.is_empty() {
        all.append(small_validate::validate(&small, options.cross_validate)?);
    }
    for table in tables {
        match table {
            Table::Serving(_) | Table::Small(_) => {}
            Table::Neuromorphic(rows) => all.append(compared(
                "spiking and comparison",
                rows,
                neuromorphic::validate,
            )),
            Table::Operations(rows) => {
                all.append(compared("one operation", rows, operations::validate));
            }
            Table::Devices(rows) => all.append(compared("data sheet", rows, devices::validate)),
            Table::Carbon(rows) => all.append(compared("carbon", rows, carbon::validate)),
            Table::Runs(rows) => all.append(compared("kernels back to back", rows, runs::validate)),
            Table::Quality(rows) => all.skipped.extend(rows.iter().map(|row| SkippedRow {
                id: row.id.clone(),
                reason:
                    "quality is measured on the compressed weights and never modelled".to_owned(),
            })),
        }
    }
    Ok(all)
}

/// Rows that are compared one by one, without constants fitted to them.
fn compared<R: Identified>(
    task: &str,
    rows: &[R],
    validate: impl Fn(&R) -> std::result::Result<ValidatedRow, SkippedRow>,
) -> Validation {
    let mut validation = Validation::default();
    let mut summary: BTreeMap<Key, Pairs> = BTreeMap::new();
    let mut groups: BTreeMap<Key, Pairs> = BTreeMap::new();
    for row in rows {
        let unread = row.unread();
        let row = match validate(row) {
            Ok(row) => row,
            Err(SkippedRow { id, reason }) => {
                let reason = unread.unwrap_or(reason);
                validation.skipped.push(SkippedRow { id, reason });
                continue;
            }
        };
        let id = row.id.clone();
        let note = unread.map(|reason| SkippedRow { id, reason });
        validation.notes.extend(note);
        let key = |device: &str, task: &str| {
            (device.to_owned(), task.to_owned(), row.scope, String::new())
        };
        for (groups, device) in [(&mut summary, "all"), (&mut groups, row.family.as_str())] {
            if row.measured_energy_j.is_some() || row.measured_throughput.is_some() {
                groups.entry(key(device, task)).or_default().add(
                    (row.predicted_energy_j, row.measured_energy_j),
                    (row.predicted_throughput, row.measured_throughput),
                );
            }
            for figure in &row.figures {
                groups
                    .entry(key(device, &figure.quantity))
                    .or_default()
                    .other
                    .push(Pair {
                        predicted: figure.predicted,
                        measured: figure.measured,
                    });
            }
        }
        validation.rows.push(row);
    }
    validation.summary = figures(summary);
    validation.groups = figures(groups);
    validation
}
