//! `wattif report`: compress, measure, and say what running it costs.

mod lifecycle;
mod text;
mod words;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wattif_core::carbon::{self, Grid};
use wattif_core::compress::distill::StudentRecord;
use wattif_core::engine::{Engine, Observer};
use wattif_core::footprint::{self, EnergyBreakdown, Estimate, Footprint, Saving, Savings};
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::measurement::{Depth, Measurement, Provenance, Quality, StudentNote};
use wattif_core::preset::{self, Measured, Preset};
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;
use wattif_core::units::{GramsCo2e, Joules, Seconds, UnitsPerSecond};

pub use lifecycle::{StorageView, TrainingView, WaterView};

use super::arguments::{ScenarioArguments, SourceArguments};
use super::out::{Out, Progress};

/// Arguments of `wattif report`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct ReportArguments {
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Print JSON instead of text
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print the formula behind each modelled number, with its values
    #[arg(long, help_heading = "Output", conflicts_with = "json")]
    explain: bool,
    /// Use the nearest finished student where the wanted one is not trained yet, instead of training it
    #[arg(long, help_heading = "Recipe")]
    nearest_student: bool,
    /// Write the configuration and its figures as a preset
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save: Option<PathBuf>,
    /// Title of the saved preset
    #[arg(long, value_name = "TEXT", help_heading = "Output", requires = "save")]
    title: Option<String>,
    /// Notes of the saved preset
    #[arg(long, value_name = "TEXT", help_heading = "Output", requires = "save")]
    notes: Option<String>,
}

/// Everything that a report says, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The original model.
    pub model: ModelView,
    /// How it was compressed, with every knob that has no effect at its default.
    pub recipe: Recipe,
    /// Where and how it runs.
    pub scenario: Scenario,
    /// What was measured.
    pub measurement: MeasurementView,
    /// What running the compressed model costs.
    pub footprint: FootprintView,
    /// What running the original costs; absent where the hardware cannot run it, see `original_infeasible`.
    pub original: Option<FootprintView>,
    /// Why the hardware cannot run the original.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_infeasible: Option<String>,
    /// Savings against the original, as fractions of it; absent where the hardware could not run it at any width.
    pub savings: Option<SavingsView>,
    /// What training the student cost and when it is paid back, where the network is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingView>,
    /// What keeping and sending the file costs.
    pub storage: StorageView,
    /// What water running it takes, where the scenario says how much a kilowatt-hour takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub water: Option<WaterView>,
    /// What the preset was saved with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<SavedView>,
    /// Version of the formulas, as in METHODS.md.
    pub method_version: u32,
    /// Hash of the constants of the device and the grid.
    pub constants_hash: String,
}

/// The original model.
#[derive(Debug, Serialize)]
pub struct ModelView {
    /// `bundled:NAME` or the path.
    pub reference: String,
    /// Name of the model.
    pub name: String,
    /// Kind of network.
    pub family: &'static str,
    /// What one unit of work is.
    pub unit: &'static str,
    /// All parameters.
    pub parameters: u64,
    /// Multiply-accumulates per unit of work.
    pub macs_per_unit: f64,
    /// Bytes of its file when written without compression.
    pub stored_bytes: u64,
    /// SHA-256 of its weights.
    pub hash: String,
}

/// What was measured of the compressed model.
#[derive(Debug, Serialize)]
pub struct MeasurementView {
    /// Quality on held-out data.
    pub quality: Quality,
    /// How much of the held-out data was used.
    pub depth: Depth,
    /// Where the quality comes from.
    pub provenance: Provenance,
    /// Size of the exported file.
    pub stored_bytes: u64,
    /// Weights that are not zero, among `weights`.
    pub nonzero_weights: u64,
    /// Weights that pruning and quantisation apply to.
    pub weights: u64,
    /// Which network was measured.
    pub student: StudentNote,
    /// How that network was trained, where it is a student.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<StudentRecord>,
}

/// What running a model costs.
#[derive(Debug, Serialize)]
pub struct FootprintView {
    /// Units of work per second.
    pub throughput: Estimate<UnitsPerSecond>,
    /// Seconds per batch, for language models per generated token.
    pub latency_s: Estimate<Seconds>,
    /// Joules per unit of work at the machine.
    pub energy_j_per_unit: Estimate<Joules>,
    /// Where the typical energy goes.
    pub energy_breakdown_j: EnergyBreakdown,
    /// Grams of CO2e per unit of work, embodied share included.
    pub co2e_g_per_unit: Estimate<GramsCo2e>,
    /// The embodied part of the typical `co2e_g_per_unit`.
    pub embodied_g_per_unit: GramsCo2e,
    /// Grams of CO2e per day at the scenario's demand.
    pub co2e_g_per_day: Estimate<GramsCo2e>,
    /// Devices that the demand takes.
    pub devices_for_demand: u64,
    /// What limits the speed, and what of the recipe this hardware cannot use.
    pub explanation: String,
}

/// The three kinds of saving, each for size, operations, time and energy.
#[derive(Debug, Serialize)]
pub struct SavingsView {
    /// What the bits and zeros promise.
    pub nominal: SavingView,
    /// What the exported file gives.
    pub stored: SavingView,
    /// What this hardware can use.
    pub realised: SavingView,
    /// Bits per weight at which the original is counted where the hardware cannot run it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_bits: Option<u8>,
}

/// Savings as fractions of the original: 0.75 means that a quarter is left, negative means that it grew.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SavingView {
    /// Bytes of the weights.
    pub size: f64,
    /// Operations executed.
    pub operations: f64,
    /// Time per unit of work.
    pub time: f64,
    /// Energy per unit of work.
    pub energy: f64,
}

/// Figures that a preset was saved with, and what stands between them and the new ones.
#[derive(Debug, Serialize)]
pub struct SavedView {
    /// The figures.
    pub measured: Measured,
    /// Differences in method, constants or weights; empty where the figures are directly comparable.
    pub differences: Vec<String>,
}

impl From<Footprint> for FootprintView {
    fn from(footprint: Footprint) -> Self {
        Self {
            throughput: footprint.throughput,
            latency_s: footprint.latency,
            energy_j_per_unit: footprint.energy_per_unit,
            energy_breakdown_j: footprint.breakdown,
            co2e_g_per_unit: footprint.co2e_per_unit,
            embodied_g_per_unit: footprint.embodied_per_unit,
            co2e_g_per_day: footprint.co2e_per_day,
            devices_for_demand: footprint.devices_for_demand,
            explanation: footprint.explanation,
        }
    }
}

impl From<Savings> for SavingsView {
    fn from(savings: Savings) -> Self {
        let pick = |kind: fn(&Saving) -> f64| SavingView {
            size: kind(&savings.size),
            operations: kind(&savings.operations),
            time: kind(&savings.time),
            energy: kind(&savings.energy),
        };
        Self {
            nominal: pick(|saving| saving.nominal),
            stored: pick(|saving| saving.stored),
            realised: pick(|saving| saving.realised),
            original_bits: savings.original_bits,
        }
    }
}

/// The report on a measurement: arithmetic only.
///
/// # Errors
/// The scenario names something unknown, or the hardware cannot run the compressed model.
pub fn compute(
    engine: &Engine,
    scenario: &Scenario,
    measurement: &Measurement,
) -> wattif_core::Result<Report> {
    let (target, grid) = place(scenario)?;
    let profile = &measurement.profile;
    let cost = footprint::footprint(profile, scenario, target, grid)?;
    let plain = engine.predict(&Recipe::default())?;
    let (original, original_infeasible) =
        match feasible(footprint::footprint(&plain, scenario, target, grid))? {
            Ok(original) => (Some(original.into()), None),
            Err(reason) => (None, Some(reason)),
        };
    let savings = feasible(footprint::savings(&plain, profile, scenario, target, grid))?
        .ok()
        .map(SavingsView::from);
    let model = engine.model();
    let record = engine.student_record(&measurement.recipe);
    let run = lifecycle::Run {
        scenario,
        grid,
        target,
        original: &plain,
        compressed: profile,
    };
    Ok(Report {
        training: record.as_ref().map(|r| run.training(r)).transpose()?,
        storage: run.storage(record.as_ref())?,
        water: run.water(cost.energy_per_unit.range),
        model: ModelView {
            reference: model.reference.to_string(),
            name: model.name.clone(),
            family: model.architecture.family(),
            unit: plain.unit.name(),
            parameters: model.architecture.parameters(),
            macs_per_unit: plain.macs(),
            stored_bytes: plain.stored_bytes(),
            hash: model.hash.clone(),
        },
        recipe: measurement.recipe,
        scenario: scenario.clone(),
        measurement: MeasurementView {
            quality: measurement.quality,
            depth: measurement.depth,
            provenance: Provenance::Measured {
                n: measurement.quality.n,
            },
            stored_bytes: profile.stored_bytes(),
            nonzero_weights: profile.nonzero_weights(),
            weights: profile.weights(),
            student: measurement.student.clone(),
            training: record,
        },
        footprint: cost.into(),
        original,
        original_infeasible,
        savings,
        saved: None,
        method_version: wattif_core::METHOD_VERSION,
        constants_hash: preset::constants_hash(scenario)?,
    })
}

/// Takes out of the errors the one that is an answer: that the hardware cannot, and why.
fn feasible<T>(
    result: wattif_core::Result<T>,
) -> wattif_core::Result<std::result::Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(wattif_core::Error::Infeasible(reason)) => Ok(Err(reason)),
        Err(error) => Err(error),
    }
}

fn place(scenario: &Scenario) -> wattif_core::Result<(&'static HardwareTarget, &'static Grid)> {
    Ok((
        hardware::find(&scenario.hardware)?,
        carbon::find_grid(&scenario.region)?,
    ))
}

/// Shows the engine's progress on standard error.
impl Observer for Progress {
    fn cancelled(&self) -> bool {
        false
    }

    fn progress(&self, what: &str, done: f64) {
        self.show(what, Some(done));
    }

    fn measured(&self, _: &Measurement) {}
}

/// Trains the student that the recipe asks for where no finished one answers it.
pub(super) fn train_missing_student(
    engine: &Engine,
    recipe: &Recipe,
    progress: &Progress,
) -> wattif_core::Result<()> {
    if engine.has_student(recipe) {
        return Ok(());
    }
    engine.train_student(
        recipe,
        &mut |state| {
            progress.show(
                "Training a student",
                Some(state.step as f64 / state.steps as f64),
            );
        },
        &|| false,
    )
}

/// Runs `wattif report`.
pub(super) fn run(arguments: &ReportArguments, out: &mut Out) -> anyhow::Result<()> {
    let opened = arguments.source.preset()?;
    let base = opened.as_ref();
    let recipe = arguments
        .source
        .recipe
        .apply(base.map_or_else(Recipe::default, |preset| preset.recipe))?;
    let scenario = arguments
        .scenario
        .apply(base.map_or_else(Scenario::default, |preset| preset.scenario.clone()))?;
    let progress = Progress::new();
    progress.show("Opening the model", None);
    let engine = Engine::open(&arguments.source.reference(base)?)?;
    // What the hardware cannot run is said before the minutes of a training, not after.
    let (target, grid) = place(&scenario)?;
    footprint::footprint(&engine.predict(&recipe)?, &scenario, target, grid)?;

    if !arguments.nearest_student {
        train_missing_student(&engine, &recipe, &progress)?;
    }
    let measurement = engine.measure(&recipe, Depth::Full, &progress)?;
    let mut report = compute(&engine, &scenario, &measurement)?;
    drop(progress);
    let same_question = base.is_some_and(|preset| {
        preset.recipe.canonical() == recipe
            && preset.scenario == scenario
            && arguments.source.model.is_none()
    });
    if let Some(preset) = base
        && let Some(measured) = &preset.measured
        && same_question
    {
        report.saved = Some(SavedView {
            measured: measured.clone(),
            differences: preset.differences(&engine.model().hash)?,
        });
    }
    if arguments.json {
        out.json(&report)?;
    } else {
        for line in text::lines(&report, target, grid, arguments.explain) {
            out.line(line)?;
        }
    }
    save(arguments, &engine, base, &measurement, &scenario)
}

/// Writes the preset if one is asked for; title and notes of the one opened stay unless replaced.
fn save(
    arguments: &ReportArguments,
    engine: &Engine,
    base: Option<&Preset>,
    measurement: &Measurement,
    scenario: &Scenario,
) -> anyhow::Result<()> {
    let Some(path) = &arguments.save else {
        return Ok(());
    };
    let (target, grid) = place(scenario)?;
    let cost = footprint::footprint(&measurement.profile, scenario, target, grid)?;
    let model = engine.model();
    let mut preset = Preset::new(
        model.reference.clone(),
        model.hash.clone(),
        measurement.recipe,
        scenario.clone(),
    )?;
    let (title, notes) = base.map_or_else(Default::default, |old| {
        (old.title.clone(), old.notes.clone())
    });
    preset.title = arguments.title.clone().unwrap_or(title);
    preset.notes = arguments.notes.clone().unwrap_or(notes);
    preset.measured = Some(Measured::new(measurement, &cost));
    Ok(preset.save(path)?)
}
