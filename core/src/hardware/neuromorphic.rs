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
use crate::hardware::{Bound, EnergyBreakdown, LayerCost, TimeBreakdown};
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
    /// Synaptic events that a core handles in a second; where there are more in a step, the step takes longer.
    pub events_per_second: Figure<f64>,
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

    /// The network on the chips with the constants of a corner.
    fn place<'a>(&self, request: &Request<'a>, corner: Corner) -> Placed<'a> {
        let ideal = request.machine != Machine::FileReader;
        let layers: Vec<_> = weighted(request)
            .map(|layer| {
                let density = if ideal { 1.0 - layer.sparsity() } else { 1.0 };
                // Shared convolution weights are written out: every multiply-accumulate is a synapse of its own.
                let synapses = layer.layer.macs * density;
                (layer, synapses, self.cores_for(layer, synapses, corner))
            })
            .collect();
        let cores: f64 = layers.iter().map(|(_, _, cores)| cores).sum();
        Placed {
            chips: (cores / self.cores.gain(corner)).ceil().max(1.0),
            cores,
            layers,
        }
    }

    /// Chips that a network takes at the corners.
    pub(super) fn chips(&self, request: &Request<'_>) -> Range<f64> {
        let [low, typical, high] = Corner::ALL.map(|corner| self.place(request, corner).chips);
        Range { low, typical, high }
    }

    /// Cores that a layer occupies.
    fn cores_for(&self, layer: &LayerProfile, synapses: f64, corner: Corner) -> f64 {
        let by_neurons = layer.layer.outputs / self.neurons_per_core.gain(corner);
        // A core's inputs are shared by its neurons; together they must not exceed what one core takes.
        let bits = f64::from(layer.weight_bits.min(self.synapse_bits));
        let room = self.synapses_per_core.gain(corner)
            * (f64::from(self.synapse_bits) + SYNAPSE_INDEX_BITS)
            / (bits + SYNAPSE_INDEX_BITS);
        by_neurons.max(synapses / room).ceil().max(1.0)
    }

    pub(super) fn cost(&self, target: &HardwareTarget, request: &Request<'_>) -> Result<Cost> {
        self.mappable(target, request)?;
        let placed = self.place(request, Corner::Typical);
        let Placed {
            chips,
            cores,
            layers: per_layer,
        } = &placed;
        let (chips, cores) = (*chips, *cores);
        let synapses_total: f64 = per_layer.iter().map(|(_, synapses, _)| synapses).sum();
        let neurons: f64 = per_layer
            .iter()
            .map(|(layer, ..)| layer.layer.outputs)
            .sum();
        let bytes = |(layer, synapses, _): &(&LayerProfile, f64, f64)| {
            synapses * (f64::from(layer.weight_bits) + SYNAPSE_INDEX_BITS) / 8.0
        };
        let weight_bytes = per_layer.iter().map(bytes).sum();
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
        let mut paced = Paced {
            step: 0.0,
            by: Pace::Step,
        };
        for (i, corner) in Corner::ALL.into_iter().enumerate() {
            let steps = steps_at(corner);
            let assumed = self.activity.cost(corner);
            let placed = self.place(request, corner);
            let chips = placed.chips;
            let spikes = |layer: &LayerProfile| measured(layer).unwrap_or(assumed);
            // A network on more cores than it needs takes less time and more chips, so that the time at one end is that of
            // the chips at the other.
            let spread = self.place(request, corner.opposite());
            // All cores keep step with the busiest.
            let rate = self.events_per_second.gain(corner);
            let busiest = spread
                .layers
                .iter()
                .map(|(layer, synapses, cores)| synapses * spikes(layer) / cores / rate);
            let busiest = busiest.fold(0.0, f64::max);
            let shortest = self.step.cost(corner).0;
            let dynamic: f64 = spread
                .layers
                .iter()
                .map(|placed| self.dynamic(placed, spikes(placed.0), corner).total().0)
                .sum();
            let standing = target.static_power.cost(corner).0 + self.active_power.cost(corner).0;
            let headroom = (target.power_limit.gain(corner).0 - standing) * spread.chips;
            let cooled = if headroom > 0.0 {
                dynamic / headroom
            } else {
                0.0
            };
            let step = shortest.max(busiest).max(cooled);
            // Layers work on successive units like a pipeline.
            seconds[i] = steps * step;
            latency[i] = (steps + depth) * step;
            let active = self.active_power.cost(corner).0 * chips * seconds[i];
            let mut energy = EnergyBreakdown {
                compute: Joules(active),
                static_power: Joules(target.static_power.cost(corner).0 * chips * seconds[i]),
                ..EnergyBreakdown::default()
            };
            if corner == Corner::Typical {
                paced = Paced {
                    step,
                    by: if step <= shortest {
                        Pace::Step
                    } else if busiest >= cooled {
                        Pace::Events
                    } else {
                        Pace::Power
                    },
                };
            }
            for placed @ (layer, synapses, _) in &placed.layers {
                let activity = spikes(layer);
                let events = synapses * activity * steps;
                let own = self.dynamic(placed, activity, corner).scaled(steps);
                let (synaptic, update, routing) =
                    (own.on_chip.0, own.compute.0, own.interconnect.0);
                energy.on_chip += Joules(synaptic);
                energy.compute += Joules(update);
                energy.interconnect += Joules(routing);
                if corner == Corner::Typical {
                    let time = Seconds(seconds[i] / depth);
                    let bound = match paced.by {
                        Pace::Step => Bound::Overhead,
                        Pace::Events | Pace::Power => Bound::Compute,
                    };
                    layers.push(LayerCost {
                        layer: layer.layer.name.clone(),
                        time,
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
                        time_by: TimeBreakdown::all(bound, time),
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
                "{steps} time steps × {} ({}) = {} per unit (latency: + {depth} layers)",
                si(paced.step, "s"),
                match paced.by {
                    Pace::Step => "the shortest".to_owned(),
                    Pace::Events => format!(
                        "the events of the busiest core at {} per second",
                        many(self.events_per_second.typical)
                    ),
                    Pace::Power => "by the power limit".to_owned(),
                },
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
            limit: match paced.by {
                Pace::Step => format!(
                    "{steps} time steps per unit set the speed of all layers, whatever the size of the weights"
                ),
                Pace::Events => format!(
                    "the busiest core's synaptic events make each of {steps} time steps take {}",
                    si(paced.step, "s")
                ),
                Pace::Power => format!(
                    "the power limit makes each of {steps} time steps take {}",
                    si(paced.step, "s")
                ),
            },
            stretch: 0.0,
            notes: vec![
                format!(
                    "the network fills {cores:.0} cores on {chips} chip(s); {activity:.2} spikes per synapse and step \
                     are {}",
                    if known { "measured" } else { "assumed" }
                ),
                unknown(&[
                    ("the shortest time step", self.step.range().map(|s| s.0), "s"),
                    ("energy per event", self.energy_per_event.range().map(|e| e.0), "J"),
                    ("spikes per synapse", if known { Range::exact(activity) } else { self.activity.range() }, ""),
                ]),
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

/// What of a chip is known least, by its range.
fn unknown(figures: &[(&str, Range<f64>, &str)]) -> String {
    let width = |range: &Range<f64>| range.high / range.low.max(f64::MIN_POSITIVE);
    let widest = figures
        .iter()
        .max_by(|a, b| width(&a.1).total_cmp(&width(&b.1)));
    widest.map_or_else(String::new, |(name, range, unit)| {
        format!(
            "most of the range is that {name} may lie between {} and {}",
            si(range.low, unit).trim_end(),
            si(range.high, unit).trim_end()
        )
    })
}

/// A network on chips: its layers with their synapses and cores.
struct Placed<'a> {
    chips: f64,
    cores: f64,
    layers: Vec<(&'a LayerProfile, f64, f64)>,
}

/// How long a time step takes, and what makes it so long.
struct Paced {
    step: f64,
    by: Pace,
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    /// The chip's shortest step.
    Step,
    /// The synaptic events of the busiest core.
    Events,
    /// The power that the chips may draw.
    Power,
}

impl Neuromorphic {
    /// Energy of what a layer does in one time step: events on the chip, updates in arithmetic, spikes on links.
    fn dynamic(
        &self,
        (layer, synapses, cores): &(&LayerProfile, f64, f64),
        activity: f64,
        corner: Corner,
    ) -> EnergyBreakdown {
        // A spike goes to every core of the layer that may listen to it.
        let routed = layer.layer.inputs * activity * cores;
        EnergyBreakdown {
            compute: self.energy_per_update.cost(corner) * layer.layer.outputs,
            on_chip: self.energy_per_event.cost(corner) * (synapses * activity),
            interconnect: self.energy_per_spike.cost(corner) * routed,
            ..EnergyBreakdown::default()
        }
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
