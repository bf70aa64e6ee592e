//! `wattif bench`: how fast WattIf itself is on this machine, against what it promises.
//!
//! The worker is driven as the window drives it, through its mailbox, so these are the times that a person feels less
//! the painting.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use wattif_core::benchmark;
use wattif_core::engine::Engine;
use wattif_core::model::ModelReference;
use wattif_core::model::bundled;
use wattif_core::recipe::Recipe;
use wattif_core::worker::Worker;

use super::out::{Out, Progress};
use crate::format::{bytes, significant};

/// Arguments of `wattif bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// Slider positions to time per model
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(5..=10_000))]
    positions: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Run the bundled models with packed weights instead, beside the prediction for this machine
    #[arg(long, conflicts_with = "positions")]
    packed: bool,
}

/// One measured figure.
#[derive(Debug, Serialize)]
struct Figure {
    /// What was measured.
    name: String,
    /// Its value, in `unit`.
    value: f64,
    /// Unit of `value` and `target`.
    unit: &'static str,
    /// What is promised for a release build on two cores, if anything.
    target: Option<Target>,
}

/// A promise.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    fn new(
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: impl Into<Option<Target>>,
    ) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            target: target.into(),
        }
    }

    fn text(&self, value: f64) -> String {
        match self.unit {
            "B" => bytes(value),
            "" => significant(value, 3),
            unit => format!("{} {unit}", significant(value, 3)),
        }
    }

    fn row(&self) -> Vec<String> {
        let (target, met) = match self.target {
            None => (String::new(), ""),
            Some(Target::AtMost(limit)) => (
                format!("≤ {}", self.text(limit)),
                verdict(self.value <= limit),
            ),
            Some(Target::AtLeast(limit)) => (
                format!("≥ {}", self.text(limit)),
                verdict(self.value >= limit),
            ),
        };
        vec![
            self.name.clone(),
            self.text(self.value),
            target,
            met.to_owned(),
        ]
    }
}

const fn verdict(met: bool) -> &'static str {
    if met { "pass" } else { "MISS" }
}

/// Runs `wattif bench`.
pub(super) fn run(arguments: &BenchArguments, out: &mut Out) -> anyhow::Result<()> {
    if arguments.packed {
        return super::packed::run(arguments.json, out);
    }
    let progress = Progress::new();
    let mut figures = Vec::new();
    for model in bundled::all() {
        figures.extend(worker_figures(
            model.name,
            arguments.positions as usize,
            &progress,
        )?);
    }
    for model in bundled::all() {
        progress.show(&format!("{}: beside candle", model.name), None);
        figures.extend(comparisons(model.name)?);
    }
    for model in bundled::all() {
        progress.show(&format!("{}: frames of the window", model.name), None);
        figures.extend(frame_figures(model.name)?);
    }
    drop(progress);
    if arguments.json {
        return out.json(&figures);
    }
    if cfg!(debug_assertions) {
        out.line("This is a debug build; the targets are for a release build on two cores.")?;
    }
    let mut rows = vec![
        ["WHAT", "MEASURED", "TARGET", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(figures.iter().map(Figure::row));
    Ok(out.table(&rows, &[false, true, true])?)
}

/// The engine's own loops beside candle's operations, and the packed file beside the original's.
fn comparisons(name: &str) -> anyhow::Result<Vec<Figure>> {
    let model = bundled::load(name)?;
    let mut figures = Vec::new();
    for comparison in benchmark::compare_with_candle(&model)? {
        let (engine, candle) = (
            milliseconds(comparison.engine),
            milliseconds(comparison.candle),
        );
        figures.push(Figure::new(
            format!("{name}: {}", comparison.work),
            engine,
            "ms",
            None,
        ));
        figures.push(Figure::new(
            "  the same with candle's operations, times as long",
            candle / engine,
            "",
            None,
        ));
    }
    let engine = Engine::open(&ModelReference::Bundled(name.to_owned()))?;
    let mut recipe = Recipe::default();
    recipe.quantization.weight_bits = 4;
    let packed = engine.predict(&recipe)?.stored_bytes() as f64;
    let dense = engine.predict(&Recipe::default())?.stored_bytes() as f64;
    figures.push(Figure::new(
        format!("{name}: file with 4-bit weights, planned"),
        packed,
        "B",
        None,
    ));
    figures.push(Figure::new(
        "  the original's file, times as large",
        dense / packed,
        "",
        None,
    ));
    Ok(figures)
}

/// What the window's own work takes, from its start and during the same drag.
fn frame_figures(name: &str) -> anyhow::Result<[Figure; 3]> {
    let path: Vec<Recipe> = (0..DRAG_POSITIONS).map(drag_position).collect();
    let frames = crate::app::benchmark::frames(name, &path, DRAG_TIME)?;
    let figure = |what: &str, time, limit| {
        Figure::new(
            format!("{name}: {what}"),
            milliseconds(time),
            "ms",
            Target::AtMost(limit),
        )
    };
    Ok([
        figure("start to the end of the first frame", frames.first, 1000.0),
        figure("frame during the drag, median", frames.median, 3.0),
        figure("frame during the drag, longest", frames.longest, 8.0),
    ])
}

/// Slider position to first and full measurement, and a drag, on one bundled model.
fn worker_figures(
    name: &str,
    positions: usize,
    progress: &Progress,
) -> anyhow::Result<Vec<Figure>> {
    let limit_ms = if name.contains("gpt") { 150.0 } else { 100.0 };
    progress.show(&format!("{name}: opening"), None);
    let start = Instant::now();
    let worker = Worker::open(ModelReference::Bundled(name.to_owned()), || {})?;
    benchmark::warm_up(&worker)?;
    let opened = start.elapsed();

    let mut first = Vec::with_capacity(positions);
    let mut full = Vec::with_capacity(positions);
    for index in 0..positions {
        progress.show(
            &format!("{name}: slider positions"),
            Some(index as f64 / positions as f64),
        );
        let response = benchmark::respond(&worker, position(index))?;
        first.push(milliseconds(response.first));
        full.push(milliseconds(response.full));
    }
    progress.show(&format!("{name}: dragging"), None);
    let path: Vec<Recipe> = (0..DRAG_POSITIONS).map(drag_position).collect();
    let drag = benchmark::drag(&worker, &path, DRAG_TIME)?;
    let mut figures = vec![
        Figure::new(
            format!("{name}: open and measure the original"),
            milliseconds(opened),
            "ms",
            None,
        ),
        Figure::new(
            format!("{name}: slider to first measured quality, median of {positions}"),
            quantile(&mut first, 0.5),
            "ms",
            None,
        ),
        Figure::new(
            format!("{name}: slider to first measured quality, 95th percentile"),
            quantile(&mut first, 0.95),
            "ms",
            Target::AtMost(limit_ms),
        ),
        Figure::new(
            format!("{name}: full measurement, median"),
            quantile(&mut full, 0.5),
            "ms",
            None,
        ),
        Figure::new(
            format!("{name}: full measurement, slowest"),
            quantile(&mut full, 1.0),
            "ms",
            Target::AtMost(2000.0),
        ),
        Figure::new(
            format!(
                "{name}: points measured during a drag of {} positions in {} s",
                drag.positions,
                DRAG_TIME.as_secs()
            ),
            drag.measured_during as f64,
            "",
            Target::AtLeast(10.0),
        ),
        Figure::new(
            format!("{name}: last position of the drag fully measured after"),
            milliseconds(drag.last_full),
            "ms",
            None,
        ),
    ];
    if let Some(resident) = resident_bytes() {
        figures.push(Figure::new(
            format!("{name}: resident memory"),
            resident,
            "B",
            Target::AtMost(300e6),
        ));
    }
    Ok(figures)
}

const DRAG_POSITIONS: usize = 100;
const DRAG_TIME: Duration = Duration::from_secs(2);

/// Positions spread evenly over sparsity and bit-width, never one twice: multiples of irrational numbers modulo one.
fn position(index: usize) -> Recipe {
    const WIDTHS: [u8; 8] = [2, 3, 4, 5, 6, 7, 8, 32];
    let spread = |step: f64| ((index + 1) as f64 * step).fract();
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = 0.9 * spread(0.618_033_988_749_895);
    let width = (WIDTHS.len() as f64 * spread(std::f64::consts::SQRT_2)) as usize;
    recipe.quantization.weight_bits = WIDTHS[width.min(WIDTHS.len() - 1)];
    recipe.canonical()
}

/// Position `index` of a hand that drags the sparsity from nothing to 0.95.
fn drag_position(index: usize) -> Recipe {
    let mut recipe = Recipe::default();
    // Off the grid of `position`, so that no point is known before.
    recipe.pruning.sparsity = 0.95 * (index as f64 + 0.37) / DRAG_POSITIONS as f64;
    recipe.canonical()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which a fraction of the values lie; the largest for 1.
fn quantile(values: &mut [f64], fraction: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (fraction * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// Memory of this process that is in RAM, where the system tells.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.5), 10.0);
        assert_eq!(quantile(&mut values, 0.95), 19.0);
        assert_eq!(quantile(&mut values, 1.0), 20.0);
    }

    #[test]
    fn no_position_comes_twice() {
        let keys: std::collections::HashSet<String> = (0..500)
            .map(|index| position(index).key())
            .chain((0..DRAG_POSITIONS).map(|index| drag_position(index).key()))
            .collect();
        assert_eq!(keys.len(), 500 + DRAG_POSITIONS);
    }

    #[test]
    fn a_figure_says_whether_it_holds() {
        let row = |value, target| Figure::new("x", value, "ms", target).row();
        assert_eq!(row(99.0, Some(Target::AtMost(100.0)))[3], "pass");
        assert_eq!(row(101.0, Some(Target::AtMost(100.0)))[3], "MISS");
        assert_eq!(row(9.0, Some(Target::AtLeast(10.0)))[3], "MISS");
        assert_eq!(row(1.0, None)[3], "");
    }
}
