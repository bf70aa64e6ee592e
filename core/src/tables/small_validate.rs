//! Predictions for small chips and programmable logic against published rows.

use std::collections::BTreeMap;

use super::chips::{Running, SmallChips, Spread};
use super::small::{SmallCase, SmallDevice, SmallRow, class_name, inference};
use super::small_fit::SmallConstants;
use crate::error::Result;
use crate::serving::validate::{Key, Pairs, figures};
use crate::serving::{SkippedRow, ValidatedRow, Validation};
use crate::units::{Joules, Range, Seconds};

/// The rows that can be predicted, and the others with the reason.
pub(crate) fn cases(rows: &[SmallRow]) -> (Vec<SmallCase>, Vec<SkippedRow>) {
    let mut cases = Vec::new();
    let mut skipped = Vec::new();
    for row in rows {
        match SmallCase::new(row) {
            Ok(case) => cases.push(case),
            Err(reason) => skipped.push(SkippedRow {
                id: row.id.clone(),
                reason: row.unread().unwrap_or(reason),
            }),
        }
    }
    (cases, skipped)
}

/// Time and energy of a row's inference.
pub(crate) fn predict(
    case: &SmallCase,
    constants: &SmallConstants,
    spread: Spread,
) -> Result<(Range<Seconds>, Range<Joules>)> {
    match &case.device {
        SmallDevice::Board(target) => inference(target, &case.profile, case.folding, case.batch),
        SmallDevice::Chip(running) => {
            let (energy, seen) = constants.energy_per_cycle(running);
            let (time_spread, energy_spread) = if seen {
                (spread.time, spread.energy)
            } else {
                (spread.unseen_time, spread.unseen_energy)
            };
            let cycles = constants.cycles(running.engine);
            let target = running.target(cycles, energy, time_spread, energy_spread);
            inference(&target, &case.profile, None, 1)
        }
    }
}

fn running(case: &SmallCase) -> Option<&Running> {
    match &case.device {
        SmallDevice::Chip(running) => Some(running),
        SmallDevice::Board(_) => None,
    }
}

/// Predicts every row that can be predicted; with `cross_validate` every chip by constants fitted to the other chips of
/// the same table.
///
/// # Errors
/// [`crate::Error::File`] when a file that ships is broken.
pub(crate) fn validate(rows: &[SmallRow], cross_validate: bool) -> Result<Validation> {
    let (cases, mut skipped) = cases(rows);
    let chips = SmallChips::shipped()?;
    let shipped = SmallConstants::shipped(chips);
    let held_out = if cross_validate {
        leave_each_out(chips, &cases)
    } else {
        BTreeMap::new()
    };
    let mut validation = Validation::default();
    let mut summary: BTreeMap<Key, Pairs> = BTreeMap::new();
    let mut groups: BTreeMap<Key, Pairs> = BTreeMap::new();
    for case in &cases {
        let constants = held_out.get(case.device.name()).unwrap_or(&shipped);
        let (time, energy) = match predict(case, constants, chips.spread) {
            Ok(cost) => cost,
            Err(error) => {
                skipped.push(SkippedRow {
                    id: case.row.id.clone(),
                    reason: error.to_string(),
                });
                continue;
            }
        };
        let energy = Some(energy.map(|joules| joules.0));
        let rate = Some(time.map_decreasing(|seconds| 1.0 / seconds.0));
        let measured = (
            case.row.measured_energy().map(|joules| joules.0),
            case.row.measured_throughput(),
        );
        let scope = case.row.scope();
        let keys = [
            (
                &mut summary,
                (
                    class_name(&case.device).to_owned(),
                    "MLPerf Tiny".to_owned(),
                    scope,
                    String::new(),
                ),
            ),
            (
                &mut groups,
                (
                    case.device_name().to_owned(),
                    case.task.to_owned(),
                    scope,
                    case.row.precision.clone(),
                ),
            ),
        ];
        for (groups, key) in keys {
            groups
                .entry(key)
                .or_default()
                .add((energy, measured.0), (rate, measured.1));
        }
        let id = case.row.id.clone();
        let unread = case.row.unread();
        validation
            .notes
            .extend(unread.map(|reason| SkippedRow { id, reason }));
        validation.rows.push(ValidatedRow {
            id: case.row.id.clone(),
            predicted_energy_j: energy,
            predicted_throughput: rate,
            measured_energy_j: measured.0,
            measured_throughput: measured.1,
            model: case.row.model.clone(),
            family: case.device_name().to_owned(),
            hardware: case.row.device.clone(),
            scope,
            source: case.row.source.clone(),
            figures: Vec::new(),
        });
    }
    validation.summary = figures(summary);
    validation.groups = figures(groups);
    validation.skipped = skipped;
    Ok(validation)
}

/// Constants fitted without a chip, for each chip.
fn leave_each_out(chips: &SmallChips, cases: &[SmallCase]) -> BTreeMap<String, SmallConstants> {
    let mut all = BTreeMap::new();
    for left_out in cases.iter().filter_map(running) {
        if all.contains_key(&left_out.name) {
            continue;
        }
        let others: Vec<&SmallCase> = cases
            .iter()
            .filter(|case| case.device.name() != left_out.name)
            .collect();
        all.insert(
            left_out.name.clone(),
            SmallConstants::fitted(chips, &others),
        );
    }
    all
}
