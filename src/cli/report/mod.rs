//! `wattif report`: compress, measure, and say what running it costs.

mod arguments;
mod blocks;
mod fidelity;
mod lifecycle;
mod nearest;
mod own;
mod parts;
mod quality;
mod saving;
mod text;
mod usage;
mod view;

use std::sync::Arc;

use wattif_core::carbon::{self, Grid};
use wattif_core::compress::distill::StudentRecord;
use wattif_core::engine::{Engine, Observer};
use wattif_core::footprint;
use wattif_core::formats;
use wattif_core::hardware::{self, HardwareClass, HardwareTarget};
use wattif_core::measurement::{Depth, Measurement, Provenance, StudentNote};
use wattif_core::model::ModelReference;
use wattif_core::named::Understood;
use wattif_core::outline::Outline;
use wattif_core::preset::{self, Measured, Preset};
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

pub(super) use arguments::ReportArguments;
pub use blocks::BlocksView;
pub use fidelity::{FidelityView, LayerView, WeightsReport, WeightsView, compute_weights};
pub use view::{
    FootprintView, MeasurementView, ModelView, Report, RivalView, SavedView, SavingView,
    SavingsView, WrittenView,
};

pub use nearest::NearestView;

pub use lifecycle::{StorageView, TrainingView, WaterView};
pub use parts::PartsView;
pub use usage::{AmountView, AnswerView, MemoryView, SoftwareView, Usage};

use super::notes;
use super::out::{Out, Progress, complain};
use super::packed;
use saving::{name_preset, save, saved};

/// The report on a measurement: arithmetic only.
///
/// # Errors
/// The scenario names something unknown, or the hardware cannot run the compressed model.
pub fn compute(
    engine: &Engine,
    scenario: &Scenario,
    measurement: &Measurement,
) -> wattif_core::Result<Report> {
    let profile = &measurement.profile;
    // The original is counted with the spikes of the compressed network, so that only the weights differ.
    let plain = ModelProfile {
        spiking: profile.spiking.clone(),
        ..engine.predict(&Recipe::default())?
    };
    let model = engine.model();
    assemble(
        Subject {
            model: ModelView {
                reference: model.reference.to_string(),
                name: model.name.clone(),
                family: model.architecture.family(),
                source: None,
                packed_with: model.packed.clone(),
                unit: plain.unit.name(),
                parameters: model.architecture.parameters(),
                active_parameters: None,
                cache_bytes: None,
                macs_per_unit: plain.in_steps(scenario.denoising_steps).macs(),
                stored_bytes: plain.stored_bytes(),
                hash: Some(model.hash.clone()),
            },
            recipe: measurement.recipe.clone(),
            measurement: MeasurementView {
                quality: Some(measurement.quality),
                depth: Some(measurement.depth),
                provenance: Provenance::Measured {
                    n: measurement.quality.n,
                },
                weight_fidelity: None,
                data: engine.own_data().map(str::to_owned),
                stored_bytes: profile.stored_bytes(),
                nonzero_weights: profile.nonzero_weights(),
                weights: profile.weights(),
                student: measurement.student.clone(),
                spiking: profile.spiking.as_deref().cloned(),
                training: None,
                rival: None,
                nearest: nearest::views(&measurement.examples),
            },
            record: engine.student_record(&measurement.recipe),
            original: &plain,
            compressed: profile,
        },
        scenario,
    )
}

/// The report on a network known by its shapes only.
///
/// # Errors
/// As [`compute`], or the recipe is out of range.
pub fn compute_outline(
    outline: &Outline,
    recipe: &Recipe,
    scenario: &Scenario,
) -> wattif_core::Result<Report> {
    let profile = outline.predict(recipe)?;
    let plain = outline.predict(&Recipe::default())?;
    let (description, actual) = outline.student(recipe)?;
    let recipe = recipe.canonical();
    let summary = outline.summary(scenario.longest_context())?;
    assemble(
        Subject {
            model: ModelView {
                reference: outline.reference().to_string(),
                name: outline.name().to_owned(),
                family: outline.family(),
                source: Some(outline.network().source.clone()),
                packed_with: None,
                unit: plain.unit.name(),
                parameters: outline.parameters(),
                active_parameters: Some(summary.active_parameters),
                cache_bytes: Some(summary.cache_bytes),
                macs_per_unit: plain.in_steps(scenario.denoising_steps).macs(),
                stored_bytes: plain.stored_bytes(),
                hash: None,
            },
            recipe: recipe.clone(),
            measurement: MeasurementView {
                quality: None,
                depth: None,
                provenance: Provenance::Assumed {
                    reason: "quality is not measured: no weights are loaded; bytes and zeros are counted from shapes"
                        .to_owned(),
                },
                weight_fidelity: fidelity::beside(outline, &recipe)?,
                data: None,
                stored_bytes: profile.stored_bytes(),
                nonzero_weights: profile.nonzero_weights(),
                weights: profile.weights(),
                student: StudentNote {
                    wanted: recipe.distillation.ratio,
                    actual,
                    description,
                    exact: true,
                },
                spiking: None,
                training: None,
                rival: None,
                nearest: Vec::new(),
            },
            record: None,
            original: &plain,
            compressed: &profile,
        },
        scenario,
    )
}

/// What a report is about: who it is, what became of it, and the profiles before and after.
struct Subject<'a> {
    model: ModelView,
    recipe: Recipe,
    measurement: MeasurementView,
    /// How the network was trained, where it is a student.
    record: Option<StudentRecord>,
    original: &'a ModelProfile,
    compressed: &'a ModelProfile,
}

fn assemble(subject: Subject<'_>, scenario: &Scenario) -> wattif_core::Result<Report> {
    let (target, grid) = place(scenario)?;
    let (plain, profile) = (subject.original, subject.compressed);
    let cost = footprint::footprint(profile, scenario, target, grid)?;
    let (original, original_infeasible) = match feasible(footprint::on_fewest_devices(
        plain,
        scenario,
        target,
        grid,
        scenario.devices,
    ))? {
        Ok((original, _)) => (Some(original.into()), None),
        Err(reason) => (None, Some(reason)),
    };
    let savings = feasible(footprint::savings(plain, profile, scenario, target))?
        .ok()
        .map(SavingsView::from);
    let record = subject.record;
    let run = lifecycle::Run {
        scenario,
        grid,
        target,
        original: plain,
        compressed: profile,
    };
    let formats = blocks::plan(profile, &subject.recipe);
    Ok(Report {
        blocks_summary: blocks::summary(&formats, profile, &subject.recipe),
        blocks: formats.iter().map(BlocksView::from).collect(),
        understood: Vec::new(),
        training: record.as_ref().map(|r| run.training(r)).transpose()?,
        storage: run.storage(record.as_ref())?,
        water: run.water(cost.energy_per_unit.range),
        model: subject.model,
        recipe: subject.recipe,
        scenario: scenario.clone(),
        measurement: MeasurementView {
            training: record,
            ..subject.measurement
        },
        usage: Usage::new(&cost, profile, scenario, target)?,
        footprint: cost.into(),
        original,
        original_infeasible,
        savings,
        saved: None,
        packed: None,
        written: None,
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
    let unkept = engine.train_student(
        recipe,
        &mut |state| {
            progress.show(
                "Training a student",
                Some(state.step as f64 / state.steps as f64),
            );
        },
        &|| false,
    )?;
    if let Some(error) = unkept {
        complain(&format!(
            "wattif: the trained student is used here and was not kept for the next time: {error}"
        ));
    }
    Ok(())
}

/// Runs `wattif report`.
pub(super) fn run(arguments: &ReportArguments, out: &mut Out) -> anyhow::Result<()> {
    let opened = arguments.source.preset()?;
    let base = opened.as_ref();
    let recipe = arguments
        .source
        .recipe
        .apply(base.map_or_else(Recipe::default, |preset| preset.recipe.clone()))?;
    let reference = arguments.source.reference(base)?;
    let data = own::own_data(
        arguments.text.as_deref(),
        arguments.images.as_deref(),
        arguments.preprocess.as_deref(),
    )?;
    let runs = arguments.images.is_some() && reference.item.needs_images();
    if reference.item.is_outline() && !runs {
        return outlined(arguments, base, reference, &recipe, (None, out));
    }
    let scenario = arguments
        .scenario
        .apply(base.map_or_else(Scenario::default, |preset| preset.scenario.clone()))?;
    let progress = Progress::new();
    progress.show("Opening the model", None);
    let engine = Engine::open_sized(
        &reference.item,
        data.as_ref(),
        arguments.scenario.context,
        &arguments.axes,
    )?
    .keeping();
    notes::left_out(&engine);
    notes::another_model(&arguments.source, base, &engine);
    let recipe = (arguments.source.recipe).with_layers(recipe, engine.layers())?;
    // What the hardware cannot run is said before the minutes of a training, not after.
    let (target, grid) = place(&scenario)?;
    let planned = engine.predict(&recipe)?;
    footprint::footprint(&planned, &scenario, target, grid)?;
    notes::without_effect(&arguments.scenario, &planned, target)?;
    if !arguments.nearest_student {
        train_missing_student(&engine, &recipe, &progress)?;
    }
    let mut measurement = match engine.measure(&recipe, Depth::Full, &progress) {
        Err(wattif_core::Error::Infeasible(fact)) if engine.is_foreign() => {
            drop(progress);
            return outlined(arguments, base, reference, &recipe, (Some(fact), out));
        }
        measured => measured?,
    };
    if target.class == HardwareClass::Neuromorphic {
        let spiking = engine.spike(&recipe, scenario.time_steps, &progress)?;
        measurement.profile.spiking = Some(Arc::new(spiking));
    }
    let mut report = compute(&engine, &scenario, &measurement)?;
    if let ModelReference::File(path) = &reference.item {
        report.understood = formats::left_out(path);
    }
    report.understood.extend(understood(arguments, reference)?);
    report.understood.extend(engine.notes());
    report.measurement.rival = quality::compared(&engine, &measurement, &progress)?;
    report.written = own::written(&engine, &recipe, arguments.prompt.as_deref(), &progress)?;
    if arguments.measure_speed {
        report.packed = Some(packed::measure(&engine, &recipe, &scenario, &progress)?);
    }
    drop(progress);
    report.saved = saved(arguments, base, &recipe, &scenario, &engine.model().hash)?;
    if arguments.json {
        out.json(&report)?;
    } else {
        for line in text::lines(&report, target, grid, arguments.explain) {
            out.line(line)?;
        }
    }
    save(arguments, &engine, base, &measurement, &scenario)
}

/// How names were understood that were not the identifier or name of what is reported on.
fn understood(
    arguments: &ReportArguments,
    reference: Understood<ModelReference>,
) -> wattif_core::Result<Vec<String>> {
    let model = reference.note.map(|note| format!("model: {note}"));
    let rest = arguments.scenario.understood()?;
    Ok(model.into_iter().chain(rest).collect())
}

/// Runs `wattif report` on a network known by its shapes only.
fn outlined(
    arguments: &ReportArguments,
    base: Option<&Preset>,
    reference: Understood<ModelReference>,
    recipe: &Recipe,
    (not_run, out): (Option<String>, &mut Out),
) -> anyhow::Result<()> {
    own::refuse_outline(
        arguments.measure_speed,
        arguments.prompt.is_some(),
        arguments.text.is_some() || arguments.images.is_some(),
        &reference.item,
    )?;
    let outline = Outline::open_sized(&reference.item, &arguments.axes)?;
    let layers = outline.layers();
    let recipe = &(arguments.source.recipe).with_layers(recipe.clone(), layers)?;
    if outline.is_weights_only() {
        let understood = understood(arguments, reference)?;
        return fidelity::run(arguments, &outline, recipe, understood, out);
    }
    let first = match base {
        Some(preset) => preset.scenario.clone(),
        None => outline.scenario()?,
    };
    let mut scenario = arguments.scenario.apply(first)?;
    if base.is_none() && !arguments.scenario.names_devices() {
        scenario.set_devices(outline.devices_for(recipe, &scenario)?);
    }
    let mut report = compute_outline(&outline, recipe, &scenario)?;
    if matches!(reference.item, ModelReference::File(_)) {
        report.understood = outline.summary(scenario.longest_context())?.understood;
    }
    if let Some(fact) = not_run {
        report.understood.push(fact.clone());
        report.measurement.provenance = Provenance::Assumed { reason: fact };
    }
    report.understood.extend(understood(arguments, reference)?);
    report.saved = saved(arguments, base, recipe, &scenario, "")?;
    let (target, grid) = place(&scenario)?;
    notes::without_effect(&arguments.scenario, &outline.predict(recipe)?, target)?;
    if arguments.json {
        out.json(&report)?;
    } else {
        for line in text::lines(&report, target, grid, arguments.explain) {
            out.line(line)?;
        }
    }
    let Some(path) = &arguments.save else {
        return Ok(());
    };
    let profile = outline.predict(recipe)?;
    let cost = footprint::footprint(&profile, &scenario, target, grid)?;
    let mut preset = Preset::new(
        outline.reference().clone(),
        "",
        recipe.canonical(),
        scenario,
    )?;
    name_preset(&mut preset, arguments, base);
    preset.measured = Some(Measured::of_shapes(&profile, &cost));
    Ok(preset.save(path)?)
}
