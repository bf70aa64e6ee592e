//! The preset that a report writes, and the figures of the one that it opened.

use wattif_core::engine::Engine;
use wattif_core::footprint;
use wattif_core::measurement::Measurement;
use wattif_core::preset::{Measured, Preset};
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

use super::{ReportArguments, SavedView, place};

/// The figures of the preset that was opened, if the question is still the same.
pub(super) fn saved(
    arguments: &ReportArguments,
    base: Option<&Preset>,
    recipe: &Recipe,
    scenario: &Scenario,
    hash: &str,
) -> anyhow::Result<Option<SavedView>> {
    let Some(preset) = base else { return Ok(None) };
    let same = preset.recipe.canonical() == recipe.canonical()
        && preset.scenario == *scenario
        && (arguments.source.model.is_none() || preset.model.hash == hash);
    let Some(measured) = preset.measured.as_ref().filter(|_| same) else {
        return Ok(None);
    };
    Ok(Some(SavedView {
        measured: measured.clone(),
        differences: preset.differences(hash)?,
    }))
}

/// Title and notes of the preset opened stay unless replaced.
pub(super) fn name_preset(preset: &mut Preset, arguments: &ReportArguments, base: Option<&Preset>) {
    let (title, notes) = base.map_or_else(Default::default, |old| {
        (old.title.clone(), old.notes.clone())
    });
    preset.title = arguments.title.clone().unwrap_or(title);
    preset.notes = arguments.notes.clone().unwrap_or(notes);
}

/// Writes the preset if one is asked for.
pub(super) fn save(
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
        measurement.recipe.clone(),
        scenario.clone(),
    )?;
    name_preset(&mut preset, arguments, base);
    preset.measured = Some(Measured::new(measurement, &cost));
    Ok(preset.save(path)?)
}
