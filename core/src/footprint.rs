//! [`Footprint`]: what running a model costs. Pure arithmetic on a [`ModelProfile`] and a [`Scenario`].

use serde::{Deserialize, Serialize};

use crate::measurement::Provenance;
use crate::units::{GramsCo2e, Joules, Range, Seconds, UnitsPerSecond};

/// A range together with where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate<T> {
    /// Low, typical and high value.
    #[serde(flatten)]
    pub range: Range<T>,
    /// Where it comes from, with the formula and its values.
    pub provenance: Provenance,
}

/// Typical energy per unit of work by where it goes; the five add up to the typical energy per unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EnergyBreakdown {
    /// Arithmetic.
    pub compute: Joules,
    /// Caches and buffers on the chip.
    pub on_chip: Joules,
    /// Memory outside the chip.
    pub memory: Joules,
    /// Leakage, clocks, fans: power that flows whether or not work is done, for as long as the work takes.
    pub static_power: Joules,
    /// Links between devices.
    pub interconnect: Joules,
}

/// What limits the speed of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Arithmetic units.
    Compute,
    /// Memory bandwidth.
    Memory,
    /// The fixed cost of starting an operation.
    Overhead,
    /// Links between devices.
    Interconnect,
}

/// Cost of one layer, per unit of work, typical values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerCost {
    /// Name of the layer.
    pub layer: String,
    /// Time.
    pub time: Seconds,
    /// Energy, without the share of static power.
    pub energy: Joules,
    /// What limits it.
    pub bound: Bound,
}

/// What running a model costs on one hardware target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    /// Units of work per second, all devices together.
    pub throughput: Estimate<UnitsPerSecond>,
    /// Time from the start of a batch to its end; for language models per generated token.
    pub latency: Estimate<Seconds>,
    /// Energy per unit of work at the machine, without the building.
    pub energy_per_unit: Estimate<Joules>,
    /// Where the typical energy goes.
    pub breakdown: EnergyBreakdown,
    /// Emissions per unit of work: electricity with the building, and the embodied share.
    pub co2e_per_unit: Estimate<GramsCo2e>,
    /// The embodied part of the typical `co2e_per_unit`.
    pub embodied_per_unit: GramsCo2e,
    /// Emissions per day at the scenario's demand.
    pub co2e_per_day: Estimate<GramsCo2e>,
    /// Devices needed to serve the demand, at least those that share the model.
    pub devices_for_demand: u64,
    /// Typical cost layer by layer.
    pub layers: Vec<LayerCost>,
    /// In one sentence, what limits the speed and what of the recipe this hardware could not use.
    pub explanation: String,
}

/// A saving as a fraction of the original: 0.75 means a quarter is left, negative means that it grew.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// What the bits and zeros promise: a machine that uses every bit not stored and every zero.
    pub nominal: f64,
    /// What the exported file gives: a machine that reads the file as it is and computes densely.
    pub stored: f64,
    /// What this hardware can use.
    pub realised: f64,
}

/// The three savings of a compressed model against the original.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Savings {
    /// Bytes of the weights.
    pub size: Saving,
    /// Operations executed.
    pub operations: Saving,
    /// Time per unit of work.
    pub time: Saving,
    /// Energy per unit of work.
    pub energy: Saving,
}
