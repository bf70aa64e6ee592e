//! Running compressed models packed, measured here beside the prediction for this machine: for `wattif report
//! --measure-speed`, `wattif bench --packed` and `wattif calibrate --this-machine`.

use serde::Serialize;
use wattif_core::benchmark::{
    Energy, FormatShare, Machine, PackedQuality, PackedRun, PackedSpeed, Spread,
};
use wattif_core::engine::Engine;
use wattif_core::footprint::Estimate;
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::model::{ModelReference, bundled};
use wattif_core::recipe::{Group, Recipe};
use wattif_core::scenario::Scenario;
use wattif_core::units::UnitsPerSecond;

use super::list::heading;
use super::out::{Out, Progress, aligned, entry, wrapped};
use super::this_machine::{quartiles, warn_of_unrest};
use crate::format::{bytes, si, significant};

/// Weight bits that `wattif bench --packed` runs.
const BENCH_BITS: [u8; 3] = [32, 8, 4];

/// A compressed model run packed on this machine.
#[derive(Debug, Serialize)]
pub struct PackedView {
    /// The machine, as the cost model calls it.
    pub hardware: String,
    /// How the model was compressed.
    pub recipe: Recipe,
    /// What one unit of work is.
    pub unit: &'static str,
    /// The formats of its matrices, narrowest first.
    pub formats: Vec<FormatShare>,
    /// Bytes of all weights in memory, biases and normalisation included.
    pub bytes: u64,
    /// Threads that share each product.
    pub threads: usize,
    /// Quality through these kernels, and through the engine's own pass.
    pub quality: Option<PackedQuality>,
    /// Measured speeds and energies beside predictions.
    pub speeds: Vec<SpeedView>,
    /// What of the recipe was not run as it says.
    pub notes: Vec<String>,
    /// Why it may be slower here than predicted, where it is by far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caution: Option<&'static str>,
}

/// One kind of work.
#[derive(Debug, Serialize)]
pub struct SpeedView {
    /// What was measured.
    #[serde(flatten)]
    pub measured: PackedSpeed,
    /// What the cost model predicts for this machine.
    pub predicted_units_per_s: Estimate<UnitsPerSecond>,
    /// Typical prediction / measured median.
    pub predicted_over_measured: f64,
}

impl PackedView {
    /// Puts predictions beside what was measured.
    ///
    /// # Errors
    /// The cost model cannot run the work.
    pub fn new(run: &PackedRun, target: &HardwareTarget) -> wattif_core::Result<Self> {
        let speeds = run.speeds.iter().map(|speed| {
            let predicted = run.predicted(speed.work, target)?;
            Ok(SpeedView {
                measured: speed.clone(),
                predicted_over_measured: predicted.range.typical.0 / speed.units_per_s.median,
                predicted_units_per_s: predicted,
            })
        });
        Ok(Self {
            hardware: target.name.clone(),
            recipe: run.recipe.clone(),
            unit: run.unit.name(),
            formats: run.formats.clone(),
            bytes: run.bytes,
            threads: run.threads,
            quality: run.quality,
            speeds: speeds.collect::<wattif_core::Result<_>>()?,
            notes: run.notes(),
            caution: run.caution(target),
        })
    }

    /// The largest ratio of quartiles.
    fn unrest(&self) -> f64 {
        let ratios = self.speeds.iter().map(|s| s.measured.units_per_s.ratio());
        ratios.fold(1.0, f64::max)
    }
}

/// Measures a compressed model packed.
///
/// # Errors
/// A computation failed.
pub(super) fn measure(
    engine: &Engine,
    recipe: &Recipe,
    scenario: &Scenario,
    progress: &Progress,
) -> wattif_core::Result<PackedView> {
    let run = engine.measure_packed(recipe, scenario, progress)?;
    PackedView::new(&run, hardware::find("this-cpu")?)
}

/// Runs `wattif bench --packed`.
pub(super) fn run(json: bool, out: &mut Out) -> anyhow::Result<()> {
    let progress = Progress::new();
    let mut views = Vec::new();
    for entry in bundled::all() {
        let engine = Engine::open(&ModelReference::Bundled(entry.name.to_owned()))?;
        for bits in BENCH_BITS {
            let mut recipe = Recipe::default();
            recipe.quantization.weight_bits = bits;
            recipe.quantization.group = Group::Size(32);
            let view = measure(&engine, &recipe, &Scenario::default(), &progress)?;
            views.push((entry.name, view));
        }
    }
    drop(progress);
    if json {
        let views: Vec<_> = views
            .iter()
            .map(|(model, packed)| serde_json::json!({ "model": model, "packed": packed }))
            .collect();
        return out.json(&views);
    }
    if cfg!(debug_assertions) {
        out.line("This is a debug build; measure with a release build to describe the machine")?;
    }
    let mut unrest: f64 = 1.0;
    for (model, view) in &views {
        let bits = view.recipe.quantization.weight_bits;
        out.line(format!(
            "{model}, weights of {bits} bits, on {}",
            view.hardware
        ))?;
        for line in lines(view) {
            out.line(line)?;
        }
        out.line("")?;
        unrest = unrest.max(view.unrest());
    }
    warn_of_unrest(unrest, out)
}

/// What was measured, for people.
pub(super) fn lines(view: &PackedView) -> Vec<String> {
    let mut lines = Vec::new();
    let shares: Vec<String> = view
        .formats
        .iter()
        .map(|share| {
            let matrices = share.matrices;
            format!(
                "{} for {matrices} {} ({})",
                share.format.name(),
                if matrices == 1 { "matrix" } else { "matrices" },
                bytes(share.bytes as f64)
            )
        })
        .collect();
    lines.extend(wrapped(&format!(
        "Weights take {}: {}.",
        bytes(view.bytes as f64),
        shares.join(", ")
    )));
    if let Some(quality) = &view.quality {
        let text = |value| crate::format::quality(quality.packed.metric, value);
        lines.extend(wrapped(&format!(
            "{} through these kernels: {}; in the engine's own pass {}, on the same {} samples.",
            quality.packed.metric.name(),
            text(quality.packed.value),
            text(quality.engine.value),
            quality.packed.n
        )));
    }
    lines.extend(table(view));
    lines.extend(wrapped(&format!(
        "Medians of {} repeats, {}.",
        view.speeds
            .first()
            .map_or(0, |s| s.measured.units_per_s.repeats),
        match view.threads {
            1 => "one thread".to_owned(),
            n => format!("products shared by {n} threads, what lies between them on one"),
        }
    )));
    let mut reasons: Vec<&String> = Vec::new();
    for speed in &view.speeds {
        if let Energy::Unknown(reason) = &speed.measured.energy
            && !reasons.contains(&reason)
        {
            reasons.push(reason);
        }
    }
    for reason in reasons {
        lines.extend(wrapped(&format!("No joules: {reason}.")));
    }
    if let Some(caution) = view.caution {
        lines.extend(wrapped(&format!("{caution}.")));
    }
    for note in &view.notes {
        lines.extend(wrapped(&format!("Note: {note}.")));
    }
    lines
}

fn table(view: &PackedView) -> Vec<String> {
    let mut rows = vec![
        [
            "",
            &format!("{}s/s", view.unit),
            "quartiles",
            "predicted",
            "range",
            "predicted/measured",
            &format!("J/{}", view.unit),
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for speed in &view.speeds {
        let measured = &speed.measured.units_per_s;
        let predicted = speed.predicted_units_per_s.range.map(|rate| rate.0);
        rows.push(vec![
            format!("  {}", speed.measured.work.words()),
            si(measured.median, ""),
            quartiles(measured),
            si(predicted.typical, ""),
            format!("{} to {}", si(predicted.low, ""), si(predicted.high, "")),
            significant(speed.predicted_over_measured, 2),
            match &speed.measured.energy {
                Energy::Measured(spread) => joules(spread),
                Energy::Unknown(_) => "none".to_owned(),
            },
        ]);
    }
    aligned(&rows, &[false, true, true, true, true, true, true])
}

fn joules(spread: &Spread) -> String {
    format!("{} ({})", si(spread.median, "J"), quartiles(spread))
}

/// The formulas behind the predictions.
pub(super) fn formulas(view: &PackedView) -> Vec<String> {
    let works = view.speeds.iter();
    works
        .flat_map(|speed| {
            let name = format!("Here, {}", speed.measured.work.words());
            entry(&name, &speed.predicted_units_per_s)
        })
        .collect()
}

/// What calibration is worth to predictions of packed passes: with assumed constants and with measured ones, those of
/// whole passes from the other models.
pub(super) fn calibrated(machine: &Machine, out: &mut Out) -> anyhow::Result<()> {
    let before = hardware::this_machine(None)?;
    let mut rows = vec![heading([
        "PACKED",
        "WORK",
        "MEASURED (PER SECOND)",
        "QUARTILES",
        "BEFORE",
        "RATIO",
        "AFTER",
        "RATIO",
    ])];
    let mut logarithms = [Vec::new(), Vec::new()];
    for (timings, (_, calibration)) in machine.packed.iter().zip(&machine.models) {
        let after = hardware::this_machine(Some(calibration))?;
        for timing in timings {
            let measured = timing.speed.units_per_s;
            let mut row = vec![
                format!("{} {}", timing.model, timing.run.format_names()),
                timing.speed.work.words(),
                si(measured.median, ""),
                quartiles(&measured),
            ];
            for (errors, target) in logarithms.iter_mut().zip([&before, &after]) {
                let predicted = timing.predicted(target)?.typical;
                errors.push((predicted / measured.median).ln().abs());
                row.push(si(predicted, ""));
                row.push(significant(predicted / measured.median, 2));
            }
            rows.push(row);
        }
    }
    out.table(&rows, &[false, false, true, true, true, true, true, true])?;
    let [before, after] = logarithms.map(|errors| {
        let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        significant(mean.exp(), 3)
    });
    Ok(out.line(format!(
        "Predictions of packed passes were off by a factor of {before} (geometric mean) before, {after} after"
    ))?)
}
