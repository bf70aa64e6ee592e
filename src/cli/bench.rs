//! `wattif bench`: how fast WattIf itself is on this machine, against what it promises.
//!
//! The worker is driven as the window drives it, through its mailbox, so these are the times that a person feels less
//! the painting.

use std::path::{Path, PathBuf};
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
    /// Slider positions to time per model [default: 40, of a model in a file 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    positions: Option<u32>,
    /// Time another program's language model instead: a .gguf or a folder with its weights
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Run the bundled models with packed weights instead, beside the prediction for this machine
    #[arg(long, conflicts_with_all = ["positions", "model"])]
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
    let figures = match &arguments.model {
        Some(path) => file_figures(path, arguments.positions.unwrap_or(3) as usize, &progress)?,
        None => bundled_figures(arguments.positions.unwrap_or(40) as usize, &progress)?,
    };
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

fn bundled_figures(positions: usize, progress: &Progress) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for model in bundled::all() {
        let reference = ModelReference::Bundled(model.name.to_owned());
        // What is promised: milliseconds to the first and to the full measurement, points during a drag.
        let first = if model.name.contains("gpt") {
            150.0
        } else {
            100.0
        };
        let promised = Promised {
            first,
            full: Some(2000.0),
            drag: Some(10.0),
        };
        let name = model.name;
        figures.extend(worker_figures(
            (name, reference),
            positions,
            promised,
            progress,
        )?);
        if let Some(resident) = memory("VmRSS:") {
            figures.push(Figure::new(
                format!("{name}: resident memory"),
                resident,
                "B",
                Target::AtMost(300e6),
            ));
        }
    }
    for model in bundled::all() {
        progress.show(&format!("{}: beside candle", model.name), None);
        figures.extend(comparisons(model.name)?);
    }
    for model in bundled::all() {
        progress.show(&format!("{}: frames of the window", model.name), None);
        figures.extend(frame_figures(model.name)?);
    }
    Ok(figures)
}

/// A model whose weights stay in their file: its passes over them, and slider positions.
fn file_figures(path: &Path, positions: usize, progress: &Progress) -> anyhow::Result<Vec<Figure>> {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    progress.show(&format!("{name}: passes over its weights"), None);
    let reference = ModelReference::File(path.to_owned());
    let start = Instant::now();
    let engine = Engine::open(&reference)?;
    let opened = start.elapsed();
    let passes = benchmark::passes(&engine)?;
    let stored = engine.predict(&Recipe::default())?.stored_bytes() as f64;
    drop(engine);
    let promised = Promised {
        first: 1000.0,
        full: None,
        drag: None,
    };
    let mut figures = vec![Figure::new(
        format!("{name}: open"),
        milliseconds(opened),
        "ms",
        None,
    )];
    let copied = milliseconds(passes.copied);
    for (what, time) in [
        ("copy all weights as single precision", passes.copied),
        ("decode and lay out all weights", passes.decoded),
        ("the same, pruned and rounded on the way", passes.compressed),
        (
            "decode and search the threshold of pruning",
            passes.searched,
        ),
    ] {
        let time = milliseconds(time);
        figures.push(Figure::new(format!("{name}: {what}"), time, "ms", None));
        figures.push(Figure::new("  times a copy", time / copied, "", None));
    }
    figures.extend(worker_figures(
        (&name, reference),
        positions,
        promised,
        progress,
    )?);
    if let Some(most) = memory("VmHWM:") {
        figures.push(Figure::new(
            format!("{name}: most resident memory"),
            most,
            "B",
            Target::AtMost(2.2 * stored + 400e6),
        ));
    }
    Ok(figures)
}

/// What is promised of slider positions, in milliseconds, and of a drag, in points.
#[derive(Debug, Clone, Copy)]
struct Promised {
    first: f64,
    full: Option<f64>,
    drag: Option<f64>,
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

/// Slider position to first and full measurement, and a drag where something is promised of one.
fn worker_figures(
    (name, reference): (&str, ModelReference),
    positions: usize,
    promised: Promised,
    progress: &Progress,
) -> anyhow::Result<Vec<Figure>> {
    progress.show(&format!("{name}: opening"), None);
    let start = Instant::now();
    let worker = Worker::open(reference, || {})?;
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
            Target::AtMost(promised.first),
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
            promised.full.map(Target::AtMost),
        ),
    ];
    if let Some(points) = promised.drag {
        progress.show(&format!("{name}: dragging"), None);
        let path: Vec<Recipe> = (0..DRAG_POSITIONS).map(drag_position).collect();
        let drag = benchmark::drag(&worker, &path, DRAG_TIME)?;
        figures.push(Figure::new(
            format!(
                "{name}: points measured during a drag of {} positions in {} s",
                drag.positions,
                DRAG_TIME.as_secs()
            ),
            drag.measured_during as f64,
            "",
            Target::AtLeast(points),
        ));
        figures.push(Figure::new(
            format!("{name}: last position of the drag fully measured after"),
            milliseconds(drag.last_full),
            "ms",
            None,
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

/// Memory of this process that is in RAM, or the most that ever was, by the system's name for it; where it tells.
fn memory(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}
