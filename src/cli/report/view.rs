//! What a report says, as `--json` prints it.

use serde::Serialize;
use wattif_core::compress::distill::StudentRecord;
use wattif_core::footprint::{Estimate, Footprint, Saving, Savings};
use wattif_core::measurement::{Depth, Provenance, Quality, Spiking, StudentNote};
use wattif_core::preset::Measured;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;
use wattif_core::units::{GramsCo2e, Joules, Seconds, UnitsPerSecond};

use super::super::packed::PackedView;
use super::blocks::BlocksView;
use super::fidelity::FidelityView;
use super::lifecycle::{StorageView, TrainingView, WaterView};
use super::nearest::NearestView;
use super::parts::PartsView;
use super::usage::Usage;

/// What two models wrote after a prompt.
#[derive(Debug, Serialize)]
pub struct WrittenView {
    /// The prompt.
    pub prompt: String,
    /// How the original goes on.
    pub original: String,
    /// How the compressed model does.
    pub compressed: String,
}

/// Everything that a report says, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How names were understood that were not the identifier or name of what is reported on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub understood: Vec<String>,
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
    /// What the energy covers, whole answers, memory and notes.
    #[serde(flatten)]
    pub usage: Usage,
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
    /// In which blocks of llama.cpp the recipe stores each layer, where it asks for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<BlocksView>,
    /// The same in a line.
    #[serde(skip)]
    pub blocks_summary: Option<String>,
    /// What the original and the compressed model wrote after a prompt, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<WrittenView>,
    /// What running it packed on this machine took, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed: Option<PackedView>,
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
    /// Where its shapes were published, where only those are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What was done to its weights before they were written, where the file was exported by WattIf; they are opened as
    /// numbers of 32 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed_with: Option<Recipe>,
    /// What one unit of work is.
    pub unit: &'static str,
    /// All parameters.
    pub parameters: u64,
    /// Parameters that one token meets, and bytes that are kept of one sequence at the scenario's longest context, of
    /// networks known by their shapes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_parameters: Option<u64>,
    /// See [`Self::active_parameters`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_bytes: Option<u64>,
    /// Multiply-accumulates per unit of work.
    pub macs_per_unit: f64,
    /// Bytes of its file when written without compression.
    pub stored_bytes: u64,
    /// SHA-256 of its weights; absent where only shapes are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// What was measured of the compressed model.
#[derive(Debug, Serialize)]
pub struct MeasurementView {
    /// Quality on held-out data; null where no weights are loaded, so that nothing can be run.
    pub quality: Option<Quality>,
    /// How much of the held-out data was used.
    pub depth: Option<Depth>,
    /// Where the quality comes from, or why there is none.
    pub provenance: Provenance,
    /// How near the weights stay, where there are some and the network is not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_fidelity: Option<FidelityView>,
    /// What the user's data are and how they were prepared, where it was measured on such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Size of the exported file.
    pub stored_bytes: u64,
    /// Weights that are not zero, among `weights`.
    pub nonzero_weights: u64,
    /// Weights that pruning and quantisation apply to.
    pub weights: u64,
    /// Which network was measured.
    pub student: StudentNote,
    /// What its spiking version did with held-out images, where the hardware runs that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiking: Option<Spiking>,
    /// How that network was trained, where it is a student.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<StudentRecord>,
    /// The original in as few bytes, where the network is a student.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rival: Option<RivalView>,
    /// Sentences nearest to a few held-out ones, where it is an encoder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<NearestView>,
}

impl MeasurementView {
    /// Whether there are weights, and what would run them does not.
    pub(super) fn is_not_run(&self) -> bool {
        matches!(&self.provenance, Provenance::Assumed { reason } if reason.starts_with("its quality"))
    }
}

/// The original at the most bits with which it takes no more bytes than a student.
#[derive(Debug, Serialize)]
pub struct RivalView {
    /// How it was compressed.
    pub recipe: Recipe,
    /// Size of its exported file.
    pub stored_bytes: u64,
    /// Its quality on the same held-out data.
    pub quality: Quality,
    /// How the two compare, in a sentence.
    pub words: String,
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
    /// Where the energy goes.
    pub energy_breakdown_j: PartsView,
    /// Grams of CO2e per unit of work, embodied share included.
    pub co2e_g_per_unit: Estimate<GramsCo2e>,
    /// The embodied part of `co2e_g_per_unit`.
    pub embodied_g_per_unit: Estimate<GramsCo2e>,
    /// Grams of CO2e per day at the scenario's demand.
    pub co2e_g_per_day: Estimate<GramsCo2e>,
    /// Devices that the demand takes.
    pub devices_for_demand: u64,
    /// What limits the speed.
    #[serde(skip)]
    pub limit: String,
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
    /// Devices on which the original is counted where it needs more than the compressed model.
    pub original_devices: Option<u32>,
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
            energy_breakdown_j: (&footprint).into(),
            throughput: footprint.throughput,
            latency_s: footprint.latency,
            energy_j_per_unit: footprint.energy_per_unit,
            co2e_g_per_unit: footprint.co2e_per_unit,
            embodied_g_per_unit: footprint.embodied_per_unit,
            co2e_g_per_day: footprint.co2e_per_day,
            devices_for_demand: footprint.devices_for_demand,
            limit: footprint.limit,
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
            original_devices: savings.original_devices,
        }
    }
}
