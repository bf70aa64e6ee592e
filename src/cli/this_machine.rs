//! `wattif calibrate --this-machine`: measures the constants of the device `this-cpu` and says what that is worth.

use anyhow::Context as _;
use wattif_core::benchmark::{self, Speed, Spread};
use wattif_core::folders;
use wattif_core::hardware::{self, Calibration, HardwareTarget};
use wattif_core::model::{Model, bundled};

use super::list::heading;
use super::out::{Out, Progress};
use crate::format::{si, significant};

/// Measures, keeps the constants, and compares predictions with measured throughput before and after.
pub(super) fn run(out: &mut Out) -> anyhow::Result<()> {
    let configuration = folders::configuration()
        .context("the system names no configuration folder; set WATTIF_CONFIG_DIR to one")?;
    let models = bundled::all()
        .iter()
        .map(|entry| bundled::load(entry.name))
        .collect::<wattif_core::Result<Vec<_>>>()?;
    let progress = Progress::new();
    progress.show("Measuring bandwidths and matrix products", None);
    let calibration = benchmark::measure_machine(&models)?;
    progress.show("Measuring forward passes", None);
    let speeds = models
        .iter()
        .map(benchmark::forward_speeds)
        .collect::<wattif_core::Result<Vec<_>>>()?;
    drop(progress);
    let path = calibration.save(&configuration)?;
    if cfg!(debug_assertions) {
        out.line("This is a debug build; measure with a release build to describe the machine")?;
    }
    constants(&calibration, out)?;
    out.line(format!(
        "Written to {}; this-cpu uses them from now on",
        path.display()
    ))?;
    out.line("")?;
    let before = hardware::this_machine(None)?;
    let after = hardware::this_machine(Some(&calibration))?;
    let pairs: Vec<(&Model, &Speed)> = models
        .iter()
        .zip(&speeds)
        .flat_map(|(model, speeds)| speeds.iter().map(move |speed| (model, speed)))
        .collect();
    compare(&pairs, &before, &after, out)
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
        ("start of a layer", "s", calibration.launch),
    ] {
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
fn compare(
    pairs: &[(&Model, &Speed)],
    before: &HardwareTarget,
    after: &HardwareTarget,
    out: &mut Out,
) -> anyhow::Result<()> {
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
    let mut factors = [0.0; 2];
    for (model, speed) in pairs {
        let measured = speed.measured.median;
        let mut row = vec![
            speed.model.clone(),
            speed.batch.to_string(),
            format!("{} {}s", si(measured, ""), speed.unit),
            quartiles(&speed.measured),
        ];
        for (factor, target) in factors.iter_mut().zip([before, after]) {
            let predicted = benchmark::predicted_speed(model, speed.batch, target)?.typical;
            *factor += (predicted / measured).ln().abs() / pairs.len() as f64;
            row.push(si(predicted, ""));
            row.push(format!("{:+.0} %", (predicted / measured - 1.0) * 100.0));
        }
        rows.push(row);
    }
    out.table(&rows, &[false, true, true, true, true, true, true, true])?;
    let [before, after] = factors.map(|factor| significant(factor.exp(), 3));
    Ok(out.line(format!(
        "Predictions were off by a factor of {before} on (geometric) average before, {after} after"
    ))?)
}

/// The middle half of the repeats.
pub(super) fn quartiles(spread: &Spread) -> String {
    format!(
        "{} to {}",
        si(spread.lower_quartile, ""),
        si(spread.upper_quartile, "")
    )
}
