//! Cost of the spiking version of a network on an event-driven chip.
//!
//! Rate-coded conversion: each unit of work is presented for T time steps; a neuron spikes in a fraction of them (its
//! activity, assumed here). Energy = synaptic events + neuron updates + routing + static power × time, memory traffic
//! inside each of them. See METHODS.md.

use serde::{Deserialize, Serialize};

use super::cost::{Cost, Explanation, Machine, Request};
use super::figure::{Corner, Figure};
use super::per_operation::{HOROWITZ_45NM, break_even_activity};
use super::{HardwareTarget, whole};
use crate::digits::{count, many, si, too_much, trimmed};
use crate::error::{Error, Result};
use crate::footprint::{Bound, EnergyBreakdown, LayerCost};
use crate::measurement::LayerActivity;
use crate::profile::{LayerKind, LayerProfile};
use crate::recipe::Recipe;
use crate::units::{Bytes, Joules, Range, Seconds, Watts};

/// Constants of a neuromorphic chip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neuromorphic {
    /// Cores of a chip.
    pub cores: Figure<f64>,
    /// Neurons of a core.
    pub neurons_per_core: Figure<f64>,
    /// Synapses that one core holds, at `synapse_bits` each.
    pub synapses_per_core: Figure<f64>,
    /// Bits of a synapse behind `synapses_per_core`; narrower weights do not raise the number.
    pub synapse_bits: u8,
    /// Widest weight that a synapse can have.
    pub max_weight_bits: u8,
    /// Most inputs of one neuron.
    pub max_fan_in: Figure<f64>,
    /// Energy of one synaptic event, the read of its weight included.
    pub energy_per_event: Figure<Joules>,
    /// Energy of one neuron update in one time step.
    pub energy_per_update: Figure<Joules>,
    /// Energy to carry one spike to one core.
    pub energy_per_spike: Figure<Joules>,
    /// Power of a chip at work beyond static power and its events: processors that manage it, steps that are synchronised.
    pub active_power: Figure<Watts>,
    /// Shortest time step.
    pub step: Figure<Seconds>,
    /// Time steps that published networks on this chip present one unit of work for, where a scenario does not say.
    pub steps: Figure<f64>,
    /// Spikes per neuron and time step, where the spiking version was not run.
    pub activity: Figure<f64>,
}

/// Bits of the index that says which neuron a synapse leads to, beside its weight.
const SYNAPSE_INDEX_BITS: f64 = 6.0;

impl Neuromorphic {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        whole("synapse_bits", self.synapse_bits)?;
        whole("max_weight_bits", self.max_weight_bits)
    }

    /// Says why the network cannot be mapped, if so.
    fn mappable(&self, target: &HardwareTarget, request: &Request<'_>) -> Result<()> {
        let refuse = |fact: String| {
            Err(Error::Infeasible(format!(
                "not mappable to {}: {fact}",
                target.name
            )))
        };
        if let Some(layer) = request.first(LayerKind::Attention) {
            return refuse(format!(
                "{} multiplies activations by activations, and a synapse multiplies by a stored weight; the \
                 normalisation and activation functions around it have no rate-coded form here either",
                layer.layer.name
            ));
        }
        if let Some(layer) = request.first(LayerKind::Recurrent) {
            return refuse(format!(
                "the gates of {} multiply activations by activations, and a synapse multiplies by a stored weight",
                layer.layer.name
            ));
        }
        if request.scenario.devices > 1 {
            return refuse(
                "the number of chips follows from the network; set the number of devices to 1"
                    .to_owned(),
            );
        }
        for layer in weighted(request) {
            let name = &layer.layer.name;
            if layer.weight_bits > self.max_weight_bits {
                return refuse(format!(
                    "{name} has weights of {} bits, a synapse holds {}; set weight bits to {} or fewer",
                    layer.weight_bits,
                    self.max_weight_bits,
                    Recipe::WEIGHT_BITS
                        .iter()
                        .rev()
                        .find(|bits| **bits <= self.max_weight_bits)
                        .unwrap_or(&self.max_weight_bits)
                ));
            }
            let fan_in = layer.layer.fan_in() as f64 * (1.0 - layer.sparsity());
            let most = self.max_fan_in.typical;
            if fan_in > most {
                let [_, _, times] = too_much(fan_in, most, "");
                return refuse(format!(
                    "a neuron of {name} has {} inputs that are not zero, a core takes {}: {times} times too many",
                    count(fan_in),
                    count(most)
                ));
            }
        }
        Ok(())
    }

    /// Cores that a layer occupies.
    fn cores_for(&self, layer: &LayerProfile, synapses: f64) -> f64 {
        let by_neurons = layer.layer.outputs / self.neurons_per_core.typical;
        // A core's inputs are shared by its neurons; together they must not exceed what one core takes.
        let bits = f64::from(layer.weight_bits.min(self.synapse_bits));
        let room = self.synapses_per_core.typical
            * (f64::from(self.synapse_bits) + SYNAPSE_INDEX_BITS)
            / (bits + SYNAPSE_INDEX_BITS);
        by_neurons.max(synapses / room).ceil().max(1.0)
    }

    pub(super) fn cost(&self, target: &HardwareTarget, request: &Request<'_>) -> Result<Cost> {
        self.mappable(target, request)?;
        let ideal = request.machine != Machine::FileReader;
        let mut cores = 0.0;
        let mut synapses_total = 0.0;
        let mut neurons = 0.0;
        let mut weight_bytes = 0.0;
        let mut per_layer = Vec::new();
        for layer in weighted(request) {
            let density = if ideal { 1.0 - layer.sparsity() } else { 1.0 };
            // Shared convolution weights are written out: every multiply-accumulate is a synapse of its own.
            let synapses = layer.layer.macs * density;
            let used = self.cores_for(layer, synapses);
            cores += used;
            synapses_total += synapses;
            neurons += layer.layer.outputs;
            weight_bytes += synapses * (f64::from(layer.weight_bits) + SYNAPSE_INDEX_BITS) / 8.0;
            per_layer.push((layer, synapses, used));
        }
        let chips = (cores / self.cores.typical).ceil().max(1.0);
        let depth = per_layer.len() as f64;
        let steps_at = |corner| match request.scenario.time_steps {
            0 => self.steps.cost(corner),
            steps => f64::from(steps),
        };
        let steps = steps_at(Corner::Typical);
        let measured = |layer: &LayerProfile| {
            let spiking = request.profile.spiking.as_ref()?;
            let of_layer = |activity: &&LayerActivity| activity.layer == layer.layer.name;
            spiking.activity.iter().find(of_layer).map(|a| a.activity)
        };
        // Spikes per synapse and step, averaged over the synapses.
        let activity = per_layer
            .iter()
            .map(|(layer, synapses, _)| measured(layer).unwrap_or(self.activity.typical) * synapses)
            .sum::<f64>()
            / synapses_total.max(1.0);
        let (known, how) = match &request.profile.spiking {
            Some(spiking) => (true, format!("measured on {} images", spiking.n)),
            None => (false, "assumed".to_owned()),
        };

        let mut seconds = [0.0; 3];
        let mut latency = [0.0; 3];
        let mut joules = [0.0; 3];
        let mut breakdown = EnergyBreakdown::default();
        let mut layers = Vec::with_capacity(per_layer.len());
        for (i, corner) in Corner::ALL.into_iter().enumerate() {
            let steps = steps_at(corner);
            let assumed = self.activity.cost(corner);
            let step = self.step.cost(corner).0;
            // Layers work on successive units like a pipeline.
            seconds[i] = steps * step;
            latency[i] = (steps + depth) * step;
            let active = self.active_power.cost(corner).0 * chips * seconds[i];
            let mut energy = EnergyBreakdown {
                compute: Joules(active),
                static_power: Joules(target.static_power.cost(corner).0 * chips * seconds[i]),
                ..EnergyBreakdown::default()
            };
            for (layer, synapses, used) in &per_layer {
                let updates = layer.layer.outputs * steps;
                let activity = measured(layer).unwrap_or(assumed);
                let events = synapses * activity * steps;
                let synaptic = events * self.energy_per_event.cost(corner).0;
                let update = updates * self.energy_per_update.cost(corner).0;
                // A spike goes to every core of the layer that may listen to it.
                let routed = layer.layer.inputs * activity * steps * used;
                let routing = routed * self.energy_per_spike.cost(corner).0;
                energy.on_chip += Joules(synaptic);
                energy.compute += Joules(update);
                energy.interconnect += Joules(routing);
                if corner == Corner::Typical {
                    layers.push(LayerCost {
                        layer: layer.layer.name.clone(),
                        time: Seconds(seconds[i] / depth),
                        energy: EnergyBreakdown {
                            compute: Joules(update + active / depth),
                            on_chip: Joules(synaptic),
                            memory: Joules(0.0),
                            static_power: energy.static_power * (1.0 / depth),
                            interconnect: Joules(routing),
                        },
                        operations: 2.0 * events,
                        memory_bytes: Bytes(0.0),
                        on_chip_bytes: Bytes(
                            events * (f64::from(layer.weight_bits) + SYNAPSE_INDEX_BITS) / 8.0,
                        ),
                        precision: None,
                        bound: Bound::Overhead,
                    });
                }
            }
            joules[i] = energy.total().0;
            if corner == Corner::Typical {
                breakdown = energy;
            }
        }
        let range = |[low, typical, high]: [f64; 3]| Range { low, typical, high };
        Ok(Cost {
            time: range(seconds).map(Seconds),
            latency: range(latency).map(Seconds),
            energy: range(joules).map(Joules),
            breakdown,
            layers,
            devices: chips as u64,
            weight_bytes,
            executed: synapses_total * activity * steps,
            explanation: request.explained(|| Explanation {
            time: format!(
                "{steps} time steps × {} = {} per unit (latency: + {depth} layers)",
                si(self.step.typical.0, "s"),
                si(seconds[1], "s")
            ),
            energy: format!(
                "{} synapses × {} spikes per step ({how}) × {steps} steps × {} = {} + {} neurons × {steps} steps × {} \
                 and management = {} + routing {} + {chips} chip(s) × {} × {} = {} static, {} more at work; the bare \
                 count of events × 0.9 pJ that is often quoted (45 nm FP32 additions, no memory, no leakage) would be {}",
                many(synapses_total),
                trimmed(activity, 3),
                si(self.energy_per_event.typical.0, "J"),
                si(breakdown.on_chip.0, "J"),
                many(neurons),
                si(self.energy_per_update.typical.0, "J"),
                si(breakdown.compute.0, "J"),
                si(breakdown.interconnect.0, "J"),
                si(target.static_power.typical.0, "W"),
                si(seconds[1], "s"),
                si(breakdown.static_power.0, "J"),
                si(self.active_power.typical.0, "W"),
                si(
                    synapses_total * activity * steps * HOROWITZ_45NM.accumulate().0,
                    "J"
                ),
            ),
            limit: format!(
                "{steps} time steps per unit set the speed of all layers, whatever the size of the weights"
            ),
            stretch: 0.0,
            notes: vec![
                format!(
                    "the network fills {cores:.0} cores on {chips} chip(s); {activity:.2} spikes per synapse and step \
                     are {}",
                    if known { "measured" } else { "assumed" }
                ),
                format!(
                    "at {steps} time steps spiking is published to cost less than the same network with quantised \
                     activations only below {:.1} % spikes per neuron and step",
                    100.0 * break_even_activity(steps as u32)
                ),
            ],
            }),
        })
    }
}

/// Layers that become synapses.
fn weighted<'a>(request: &Request<'a>) -> impl Iterator<Item = &'a LayerProfile> {
    request
        .profile
        .layers
        .iter()
        .filter(|l| l.layer.kind.multiplies_weights())
}
