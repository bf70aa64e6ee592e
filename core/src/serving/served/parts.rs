//! Where the time and the energy of a step go: first by what takes them, then the weights layer by layer.

use super::{Part, with_standing};
use crate::hardware::{Bound, EnergyBreakdown};
use crate::profile::{LayerProfile, ModelProfile};
use crate::serving::device::Device;
use crate::serving::step::{StepEnergy, StepTime, Work};
use crate::units::Joules;

/// Name of the part that attention takes.
pub(super) const CACHE: &str = "keys and values";

/// The parts of a step; the first is what the weights take.
pub(super) fn language_parts<'a>(
    time: &StepTime,
    energy: &StepEnergy,
    work: &Work,
    device: &Device,
) -> [Part<'a>; 7] {
    let weight_bytes = work.body_bytes + work.expert_bytes;
    let products = work.operations + work.padding;
    let bound = if products / device.fp16 > weight_bytes / device.bandwidth {
        Bound::Compute
    } else {
        Bound::Memory
    };
    let operations = products + work.attention + work.prompt;
    let per_operation = energy.arithmetic / operations.max(f64::MIN_POSITIVE);
    let part = |name, seconds, operations: f64, bytes, joules: f64, bound| {
        let mut part = Part::new(name, seconds, bound);
        part.operations = operations;
        part.memory_bytes = bytes;
        part.energy.compute = Joules(operations * per_operation);
        part.energy.memory = Joules(joules);
        part
    };
    let mut launch = Part::new(
        "starting kernels and converting formats",
        time.launch,
        Bound::Overhead,
    );
    launch.energy.compute = Joules(energy.convert);
    let mut exchange = Part::new(
        "exchange between devices",
        time.exchange,
        Bound::Interconnect,
    );
    exchange.energy.interconnect = Joules(energy.link);
    with_standing(
        [
            part(
                "weights of all layers",
                time.weights,
                products,
                weight_bytes,
                energy.weights,
                bound,
            ),
            part(
                CACHE,
                time.cache,
                work.attention,
                work.cache_bytes,
                energy.cache,
                Bound::Memory,
            ),
            part(
                "prompts",
                time.prompt,
                work.prompt,
                0.0,
                0.0,
                Bound::Compute,
            ),
            part(
                "activations",
                time.activations,
                0.0,
                0.0,
                energy.activations,
                Bound::Memory,
            ),
            launch,
            exchange,
            Part::new("waiting for the host", time.host, Bound::Overhead),
        ],
        energy.standing,
    )
}

/// The parts with the first one shared out over the layers: bytes by weights (those of experts among experts),
/// operations by multiply-accumulates, time by whichever of the two takes it.
pub(super) fn by_layer<'a>(
    parts: &[Part<'a>; 7],
    profile: &'a ModelProfile,
    work: &Work,
    device: &Device,
) -> Vec<Part<'a>> {
    let [weights, rest @ ..] = parts;
    let layers: Vec<&LayerProfile> = profile
        .layers
        .iter()
        .filter(|l| l.layer.kind.multiplies_weights() && l.layer.macs > 0.0)
        .collect();
    let experts = |l: &LayerProfile| l.layer.execution.experts.is_some();
    let count = |of_experts: bool| -> f64 {
        let of = layers.iter().filter(|l| experts(l) == of_experts);
        of.map(|l| l.layer.weights() as f64).sum()
    };
    let (in_experts, in_body) = (count(true), count(false));
    let macs: f64 = layers.iter().map(|l| l.layer.macs).sum();
    let bytes = work.body_bytes + work.expert_bytes;
    // The two roofs meet rounded, as in the time of the step.
    let memory = (bytes / device.bandwidth).powi(3);
    let arithmetic = (weights.operations / device.fp16).powi(3);
    let by_bytes = memory / (memory + arithmetic);
    if macs <= 0.0 || bytes <= 0.0 || !by_bytes.is_finite() {
        return parts.to_vec();
    }
    let shared = layers.iter().map(|l| {
        let own = l.layer.weights() as f64;
        let own = if experts(l) {
            own / in_experts * work.expert_bytes
        } else {
            own / in_body * work.body_bytes
        };
        let (of_bytes, of_operations) = (own / bytes, l.layer.macs / macs);
        let of_time = by_bytes * of_bytes + (1.0 - by_bytes) * of_operations;
        let operations = weights.operations * of_operations;
        Part {
            name: &l.layer.name,
            seconds: weights.seconds * of_time,
            operations,
            memory_bytes: weights.memory_bytes * of_bytes,
            energy: EnergyBreakdown {
                compute: Joules(weights.energy.compute.0 * of_operations),
                memory: Joules(weights.energy.memory.0 * of_bytes),
                static_power: Joules(weights.energy.static_power.0 * of_time),
                ..EnergyBreakdown::default()
            },
            precision: weights.precision,
            bound: if operations / device.fp16 > own / device.bandwidth {
                Bound::Compute
            } else {
                Bound::Memory
            },
        }
    });
    shared.chain(rest.iter().copied()).collect()
}
