//! `wattif calibrate --this-machine`: measures the constants of the device `this-cpu` and says what that is worth.

use anyhow::Context as _;
use wattif_core::benchmark::{self, Machine, Spread};
use wattif_core::folders;
use wattif_core::hardware::{self, Calibration};
use wattif_core::model::{Model, bundled};

use super::list::heading;
use super::out::{Out, Progress};
use crate::format::{si, significant};

/// Quartiles further apart than this come from other programs, not from the clock.
const QUIET: f64 = 1.15;

/// Measures, keeps the constants, and compares predictions with measured throughput before and after.
pub(super) fn run(out: &mut Out) -> anyhow::Result<()> {
    let configuration = folders::configuration()
        .context("the system names no configuration folder; set WATTIF_CONFIG_DIR to one")?;
    let models = bundled::all()
        .iter()
        .map(|entry| bundled::load(entry.name))
        .collect::<wattif_core::Result<Vec<_>>>()?;
    let progress = Progress::new();
    progress.show("Measuring this machine, about ten seconds", None);
    let machine = benchmark::measure_machine(&models)?;
    drop(progress);
    let calibration = &machine.calibration;
    let path = calibration.save(&configuration)?;
    if cfg!(debug_assertions) {
        out.line("This is a debug build; measure with a release build to describe the machine")?;
    }
    constants(calibration, out)?;
    out.line(format!(
        "Written to {}; this-cpu uses them from now on",
        path.display()
    ))?;
    out.line("")?;
    compare(&models, &machine, out)?;
    out.line("")?;
    super::packed::calibrated(&machine, out)
}

fn constants(calibration: &Calibration, out: &mut Out) -> anyhow::Result<()> {
    out.line(format!("{}, {}", calibration.machine, calibration.date))?;
    let mut rows = vec![heading(["MEASURED HERE", "MEDIAN", "FROM", "TO"])];
    for (name, unit, spread) in [
        ("memory bandwidth", "B/s", calibration.memory_bandwidth),
        ("cache bandwidth", "B/s", calibration.cache_bandwidth),
        (
            "single-precision matrix products",
            "op/s",
            calibration.single_precision,
        ),
        ("share of that in whole passes", "", calibration.whole_pass),
        ("start of a layer", "s", calibration.launch),
    ]
    .into_iter()
    .chain(
        calibration
            .packed
            .iter()
            .flat_map(super::packed::measured_constants),
    ) {
        let cell = |value| si(value, unit);
        rows.push(vec![
            name.to_owned(),
            cell(spread.median),
            cell(spread.lower_quartile),
            cell(spread.upper_quartile),
        ]);
    }
    Ok(out.table(&rows, &[false, true, true, true])?)
}

/// Predicted throughput with assumed and with measured constants, beside what was measured.
fn compare(models: &[Model], machine: &Machine, out: &mut Out) -> anyhow::Result<()> {
    let mut rows = vec![heading([
        "MODEL",
        "BATCH",
        "MEASURED (PER SECOND)",
        "QUARTILES",
        "BEFORE",
        "ERROR",
        "AFTER",
        "ERROR",
    ])];
    let before = hardware::this_machine(None)?;
    let mut logarithms = [Vec::new(), Vec::new()];
    let mut unrest: f64 = 1.0;
    for (model, (speeds, calibration)) in models.iter().zip(&machine.models) {
        let after = hardware::this_machine(Some(calibration))?;
        for speed in speeds {
            let measured = speed.measured.median;
            unrest = unrest.max(speed.measured.ratio());
            let mut row = vec![
                speed.model.clone(),
                speed.batch.to_string(),
                format!("{} {}s", si(measured, "").trim_end(), speed.unit),
                quartiles(&speed.measured),
            ];
            for (errors, target) in logarithms.iter_mut().zip([&before, &after]) {
                let predicted = benchmark::predicted_speed(model, speed.batch, target)?.typical;
                errors.push((predicted / measured).ln().abs());
                row.push(si(predicted, ""));
                row.push(format!("{:+.0} %", (predicted / measured - 1.0) * 100.0));
            }
            rows.push(row);
        }
    }
    out.table(&rows, &[false, true, true, true, true, true, true, true])?;
    let [before, after] = logarithms.map(|errors| {
        let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        significant(mean.exp(), 3)
    });
    out.line(format!(
        "Predictions were off by a factor of {before} (geometric mean) before, {after} after; for each model, the share \
         of whole passes comes from the other one"
    ))?;
    warn_of_unrest(unrest, out)
}

/// Says that repeats lie too far apart to describe the machine, if they do; `unrest` is the largest ratio of their
/// quartiles.
pub(super) fn warn_of_unrest(unrest: f64, out: &mut Out) -> anyhow::Result<()> {
    if unrest > QUIET {
        out.line(format!(
            "Repeats differ by a factor of up to {} between their quartiles: something else is running; measure again \
             when the machine is quiet",
            significant(unrest, 3)
        ))?;
    }
    Ok(())
}

/// The middle half of the repeats.
pub(super) fn quartiles(spread: &Spread) -> String {
    format!(
        "{} to {}",
        si(spread.lower_quartile, ""),
        si(spread.upper_quartile, "")
    )
}
