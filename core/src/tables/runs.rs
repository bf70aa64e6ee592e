//! Networks on a device, their kernels back to back and nothing else: what the class model of a processor predicts, without
//! the time of any serving software.

use serde::Deserialize;

use super::read::Identified;
use super::small::number;
use crate::error::Error;
use crate::hardware::{self, Machine, Request};
use crate::model::ModelReference;
use crate::outline::Outline;
use crate::profile::{ModelProfile, Unit};
use crate::recipe::{Pattern, Recipe};
use crate::scenario::Scenario;
use crate::serving::unread::unread;
use crate::serving::{Scope, SkippedRow, ValidatedRow};
use crate::software::Software;

/// One measured run, all text, as many columns are empty.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct RunRow {
    /// Identifier.
    pub id: String,
    /// The network, as the catalogue calls it.
    pub network: String,
    /// The device, as the catalogue calls it.
    pub hardware: String,
    /// How many of them share the network; empty: one.
    pub devices: String,
    /// Number format of weights and operands: `bf16`, `fp16`, `fp8`, `int8`, `int4`, `bf16-2:4`.
    pub format: String,
    /// `graph`: kernels start each other; `eager`: the host starts every kernel.
    pub runtime: String,
    /// Sequences or images at once.
    pub batch: String,
    /// Tokens that each sequence looks back over; empty where prompts are read.
    pub context: String,
    /// Tokens of each prompt that is read; empty where answers are written.
    pub prompt: String,
    /// What one unit of work is: token, image, step.
    pub unit: String,
    /// Units of work per second.
    pub units_per_second: String,
    /// Joules of the board per unit of work.
    pub joules_per_unit: String,
    /// Where it was measured.
    pub source: String,
}

impl Identified for RunRow {
    fn id_mut(&mut self) -> &mut String {
        &mut self.id
    }

    fn unread(&self) -> Option<String> {
        unread([
            ("units_per_second", self.units_per_second.as_str()),
            ("joules_per_unit", &self.joules_per_unit),
        ])
    }
}

/// The recipe of a format; `None` where no recipe computes so.
fn recipe(format: &str) -> Option<Recipe> {
    let mut recipe = Recipe::default();
    let (weights, activations) = match format {
        "bf16" | "fp16" | "bf16-2:4" | "fp16-2:4" => (16, 16),
        "fp8" | "int8" => (8, 8),
        "int4" => (4, 16),
        _ => return None,
    };
    recipe.quantization.weight_bits = weights;
    recipe.quantization.activation_bits = activations;
    if format.ends_with("2:4") {
        recipe.pruning.pattern = Pattern::TwoOfFour;
        recipe.pruning.sparsity = 0.5;
    }
    Some(recipe)
}

/// The network compressed as the row says, without what chooses a fitted serving model.
fn profile(row: &RunRow) -> Result<ModelProfile, String> {
    let recipe = recipe(row.format.trim())
        .ok_or_else(|| format!("no recipe computes in the format '{}'", row.format))?;
    let network = Outline::open(&ModelReference::Catalogue(row.network.trim().to_owned()))
        .map_err(|error| error.to_string())?;
    if network.network().shape.pipeline().is_some() {
        return Err(
            "a single step of image generation is not predicted, only whole images".to_owned(),
        );
    }
    let profile = network
        .predict(&recipe)
        .map_err(|error| error.to_string())?;
    Ok(ModelProfile {
        network: None,
        ..profile
    })
}

fn whole(name: &str, text: &str) -> Result<u32, String> {
    number(text)
        .filter(|value| *value >= 1.0 && *value <= 1e6 && value.fract() == 0.0)
        .map(|value| value as u32)
        .ok_or_else(|| format!("{name} is not a positive whole number"))
}

fn predict(row: &RunRow) -> Result<ValidatedRow, String> {
    if row.runtime.trim() != "graph" {
        return Err(
            "the host starts every kernel there, which costs what its framework costs; only kernels that start each \
             other are predicted"
                .to_owned(),
        );
    }
    let target = hardware::named(&row.hardware)
        .map_err(|error| error.to_string())?
        .item;
    let profile = profile(row)?;
    let sequences = whole("batch", &row.batch)?;
    let reading = !row.prompt.trim().is_empty();
    let devices = match row.devices.trim() {
        "" => 1,
        text => whole("devices", text)?,
    };
    let mut scenario = Scenario {
        hardware: target.id.clone(),
        devices,
        batch: sequences,
        software: Software::Bare,
        ..Scenario::default()
    };
    if reading {
        // The tokens of a prompt are read together, each looking back over half of them on average.
        let prompt = whole("prompt", &row.prompt)?;
        scenario.batch = sequences
            .checked_mul(prompt)
            .ok_or_else(|| "more tokens at once than can be counted".to_owned())?;
        scenario.context = (prompt / 2).max(1);
    } else if profile.unit == Unit::Token {
        scenario.context = whole("context", &row.context)?;
    }
    let request = Request {
        profile: &profile,
        scenario: &scenario,
        machine: Machine::Real,
        explain: false,
        reading,
    };
    let cost = target
        .cost(&request)
        .map_err(|error: Error| error.to_string())?;
    let task = if reading { "prompts" } else { "steps" };
    Ok(ValidatedRow {
        id: row.id.clone(),
        predicted_energy_j: Some(cost.energy.map(|joules| joules.0)),
        predicted_throughput: Some(cost.time.map_decreasing(|seconds| 1.0 / seconds.0)),
        measured_energy_j: number(&row.joules_per_unit),
        measured_throughput: number(&row.units_per_second),
        model: row.network.clone(),
        family: format!("{} {} {task}", row.network, row.format),
        hardware: row.hardware.clone(),
        scope: Scope::Boards.name(),
        source: row.source.clone(),
        figures: Vec::new(),
    })
}

/// Predicts a row by the model of the device's class.
///
/// # Errors
/// Why the row is not predicted.
pub(super) fn validate(row: &RunRow) -> Result<ValidatedRow, SkippedRow> {
    predict(row).map_err(|reason| SkippedRow {
        id: row.id.clone(),
        reason,
    })
}
