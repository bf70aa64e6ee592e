//! `wattif calibrate --this-machine`: measures the constants of the device `this-cpu` and says what that is worth.

use anyhow::Context as _;
use wattif_core::benchmark::{BeforeAfter, Spread};
use wattif_core::folders;
use wattif_core::hardware::Calibration;

use super::list::heading;
use super::out::{Out, Progress};
use crate::format::si;
use crate::machine;

/// Measures, keeps the constants, and compares predictions with measured throughput before and after.
pub(super) fn run(out: &mut Out) -> anyhow::Result<()> {
    let configuration = folders::configuration()
        .context("the system names no configuration folder; set WATTIF_CONFIG_DIR to one")?;
    let progress = Progress::new();
    let measured = machine::measure(&mut |what, done| {
        progress.show(
            &format!("Measuring this machine, about ten seconds: {what}"),
            Some(done),
        );
    })?;
    drop(progress);
    let calibration = &measured.machine.calibration;
    let path = calibration.save(&configuration)?;
    if let Some(note) = machine::debug_build() {
        out.line(note)?;
    }
    constants(calibration, out)?;
    if let Some(note) = machine::held_up(calibration) {
        out.line(note)?;
    }
    out.line(format!(
        "Written to {}; this-cpu uses them from now on",
        path.display()
    ))?;
    out.line("")?;
    compare(&measured.before_after, out)?;
    out.line("")?;
    super::packed::calibrated(&measured.machine, out)
}

fn constants(calibration: &Calibration, out: &mut Out) -> anyhow::Result<()> {
    out.line(format!("{}, {}", calibration.machine, calibration.date))?;
    let mut rows = vec![heading(["MEASURED HERE", "MEDIAN", "FROM", "TO"])];
    for (name, values) in machine::constants(calibration) {
        let mut row = vec![name.to_owned()];
        row.extend(values);
        rows.push(row);
    }
    Ok(out.table(&rows, &[false, true, true, true])?)
}

/// Predicted throughput with assumed and with measured constants, beside what was measured.
fn compare(before_after: &BeforeAfter, out: &mut Out) -> anyhow::Result<()> {
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
    for prediction in &before_after.predictions {
        let speed = &prediction.speed;
        let median = speed.measured.median;
        let [before, after] = prediction.errors().map(machine::error);
        rows.push(vec![
            speed.model.clone(),
            speed.batch.to_string(),
            format!("{} {}s", si(median, "").trim_end(), speed.unit),
            quartiles(&speed.measured),
            si(prediction.before, ""),
            before,
            si(prediction.after, ""),
            after,
        ]);
    }
    out.table(&rows, &[false, true, true, true, true, true, true, true])?;
    out.line(machine::summary(before_after))?;
    if let Some(warning) = machine::further_off(before_after) {
        out.line(warning)?;
    }
    warn_of_unrest(before_after.unrest, out)
}

/// Says that repeats lie too far apart to describe the machine, if they do; `unrest` is the largest ratio of their
/// quartiles.
pub(super) fn warn_of_unrest(unrest: f64, out: &mut Out) -> anyhow::Result<()> {
    if let Some(warning) = machine::restless(unrest) {
        out.line(warning)?;
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
