//! What every cost model takes and returns.

use crate::footprint::{EnergyBreakdown, LayerCost};
use crate::profile::{Layer, LayerKind, LayerProfile, ModelProfile, Unit};
use crate::scenario::Scenario;
use crate::units::{Joules, Range, Seconds};

/// What a cost model is asked.
pub(crate) struct Request<'a> {
    pub(crate) profile: &'a ModelProfile,
    pub(crate) scenario: &'a Scenario,
    /// What the machine is allowed to exploit.
    pub(crate) machine: Machine,
    /// Whether somebody will read the explanation; writing it takes longer than the arithmetic.
    pub(crate) explain: bool,
}

/// The three machines that the three savings compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// The device as it is.
    Real,
    /// The same device, were it to compute with exactly the bits stored and to skip every zero.
    Ideal,
    /// The same device, reading the exported file as it is but computing densely at its native width.
    FileReader,
}

impl Request<'_> {
    /// Multiply-accumulates and cache elements of a layer per unit of work, at the scenario's context.
    pub(crate) fn work(&self, layer: &Layer) -> (f64, f64) {
        if layer.kind == LayerKind::Attention && self.profile.unit == Unit::Token {
            let factor = f64::from(self.scenario.context) / Layer::REFERENCE_CONTEXT;
            (layer.macs * factor, layer.cache * factor)
        } else {
            (layer.macs, layer.cache)
        }
    }

    /// The explanation, if it was asked for.
    pub(crate) fn explained(&self, write: impl FnOnce() -> Explanation) -> Explanation {
        if self.explain {
            write()
        } else {
            Explanation::default()
        }
    }

    /// The first layer of a kind that the device cannot run.
    pub(crate) fn first(&self, kind: LayerKind) -> Option<&LayerProfile> {
        self.profile.layers.iter().find(|l| l.layer.kind == kind)
    }
}

/// What a cost model answers. Everything is per unit of work unless it says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    /// Time between finished units: the inverse of the throughput of all devices together.
    pub(crate) time: Range<Seconds>,
    /// Time from the start of a batch to its end.
    pub(crate) latency: Range<Seconds>,
    pub(crate) energy: Range<Joules>,
    /// Of the typical energy.
    pub(crate) breakdown: EnergyBreakdown,
    pub(crate) layers: Vec<LayerCost>,
    /// Devices that work together.
    pub(crate) devices: u64,
    /// Bytes that the weights take on the device.
    pub(crate) weight_bytes: f64,
    /// Multiply-accumulates (or synaptic events) executed.
    pub(crate) executed: f64,
    /// Empty unless it was asked for.
    pub(crate) explanation: Explanation,
}

/// How a cost came about, in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Explanation {
    /// Formulas of the typical time and energy, with the values.
    pub(crate) time: String,
    pub(crate) energy: String,
    /// What limits the speed, then what of the recipe the device could not use; clauses without full stops.
    pub(crate) notes: Vec<String>,
}
