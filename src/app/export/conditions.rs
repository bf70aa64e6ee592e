//! What the figures of a configuration follow from, as columns: model, recipe, scenario, sources, versions.

use wattif_core::carbon;
use wattif_core::data::OwnData;
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::recipe::{Group, Pattern, Scope};
use wattif_core::scenario::Scenario;
use wattif_core::units::Range;

use crate::app::session::Configuration;
use crate::words;

/// A column's name and a value in it.
pub(super) type Cell = (&'static str, String);

/// Which model, where.
pub(super) fn identity(configuration: &Configuration) -> Vec<Cell> {
    let Configuration {
        model,
        scenario,
        data,
        ..
    } = configuration;
    let data = data
        .as_ref()
        .map_or_else(|| "ships".to_owned(), OwnData::name);
    vec![
        ("model", model.to_string()),
        ("measured_on", data),
        ("hardware", scenario.hardware.clone()),
        ("region", scenario.region.clone()),
    ]
}

/// Everything else that the figures of a configuration follow from.
pub(super) fn conditions(configuration: &Configuration) -> Vec<Cell> {
    let Configuration {
        recipe, scenario, ..
    } = configuration;
    let (pruning, quantization) = (&recipe.pruning, &recipe.quantization);
    let mut cells = vec![
        ("sparsity", pruning.sparsity.to_string()),
        (
            "sparsity_pattern",
            match pruning.pattern {
                Pattern::Unstructured => "unstructured",
                Pattern::TwoOfFour => "2:4",
            }
            .to_owned(),
        ),
        (
            "sparsity_scope",
            match pruning.scope {
                Scope::Layer => "layer",
                Scope::Global => "global",
            }
            .to_owned(),
        ),
        ("weight_bits", quantization.code_bits().to_string()),
        (
            "weight_blocks",
            (quantization.blocks).map_or_else(|| "none".to_owned(), |format| format.name()),
        ),
        (
            "weights_per_scale",
            match quantization.group {
                Group::Channel => "channel".to_owned(),
                Group::Size(size) => size.to_string(),
            },
        ),
        ("activation_bits", quantization.activation_bits.to_string()),
        ("distillation_ratio", recipe.distillation.ratio.to_string()),
        (
            "distillation_temperature",
            recipe.distillation.temperature.to_string(),
        ),
        ("seed", recipe.seed.to_string()),
        (
            "own_layers",
            words::own_layers(&recipe.canonical()).join("; "),
        ),
    ];
    cells.extend(place(scenario));
    cells
}

/// Where and how a configuration runs, with the sources of its constants.
fn place(scenario: &Scenario) -> Vec<Cell> {
    let target = hardware::find(&scenario.hardware).ok();
    let grid = carbon::find_grid(&scenario.region).ok();
    let given = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let intensity = |end: fn(&Range<f64>) -> f64| {
        given(grid.map(|grid| end(&grid.intensity.map(|intensity| intensity.0))))
    };
    vec![
        (
            "hardware_name",
            target.map_or_else(String::new, |target| target.name.clone()),
        ),
        ("devices", scenario.devices.to_string()),
        ("pipeline_stages", scenario.stages.to_string()),
        ("batch", scenario.batch.to_string()),
        ("context_tokens", scenario.context.to_string()),
        ("prompt_tokens", scenario.prompt_tokens.to_string()),
        ("answer_tokens", scenario.answer_tokens.to_string()),
        ("time_steps", scenario.time_steps.to_string()),
        ("software", scenario.software.name().to_owned()),
        ("demand_units_per_day", scenario.demand_per_day.to_string()),
        ("pue", scenario.pue.to_string()),
        ("lifetime_years", scenario.lifetime_years.to_string()),
        ("utilization", scenario.utilization.to_string()),
        ("wue_l_per_kwh", given(scenario.wue)),
        ("grid_water_l_per_kwh", given(scenario.grid_water)),
        (
            "region_name",
            grid.map_or_else(String::new, |grid| grid.name.clone()),
        ),
        ("grid_low_g_per_kwh", intensity(|range| range.low)),
        ("grid_typical_g_per_kwh", intensity(|range| range.typical)),
        ("grid_high_g_per_kwh", intensity(|range| range.high)),
        (
            "grid_source",
            grid.map_or_else(String::new, |grid| {
                format!("{} ({})", grid.source, grid.year)
            }),
        ),
        ("hardware_sources", target.map_or_else(String::new, sources)),
    ]
}

/// Where the constants of a device come from: each source once, with how far it can be trusted.
fn sources(target: &HardwareTarget) -> String {
    let mut texts: Vec<String> = Vec::new();
    for listed in target.figures() {
        let text = format!("{} ({})", listed.figure.source, listed.figure.trust.name());
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join("; ")
}

/// By which formulas, and which program.
pub(super) fn versions() -> [Cell; 2] {
    [
        ("method_version", wattif_core::METHOD_VERSION.to_string()),
        ("program_version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
}
