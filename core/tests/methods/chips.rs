//! Small chips, and spiking ones.

use super::{Constants, ENDS, multiplies};
use wattif_core::hardware::{CostModel, HardwareTarget};
use wattif_core::profile::{LayerKind, ModelProfile};
use wattif_core::scenario::Scenario;

/// A network on a small chip.
pub(crate) fn on_small_chip(
    target: &HardwareTarget,
    profile: &ModelProfile,
    _: &Scenario,
) -> Option<[(f64, f64); 3]> {
    if !matches!(target.model, CostModel::Microcontroller(_)) {
        return None;
    }
    let constants = Constants::of(target);
    Some(ENDS.map(|end| {
        let mut cycles = 0.0;
        for l in &profile.layers {
            let own = &l.layer;
            if own.kind == LayerKind::Elementwise {
                let wide = if l.weight_bits.max(l.activation_bits) > 16 {
                    constants.less("float_factor", end)
                } else {
                    1.0
                };
                cycles += own.macs * wide * constants.less("cycles_per_mac", end);
                continue;
            }
            let times = match l.weight_bits.max(l.activation_bits) {
                ..=8 => 1.0,
                9..=16 => 1.3,
                _ => constants.maybe("float_factor").map_or(1.0, |f| f[end]),
            };
            let held = match l.weight_bits {
                ..=8 => 1.0,
                9..=16 => 2.0,
                _ => 4.0,
            };
            let fetched =
                own.weights() as f64 * held + own.other_parameters as f64 * l.other_bits / 8.0;
            cycles += own.macs * times * constants.less("cycles_per_mac", end)
                + own.outputs * constants.less("cycles_per_output", end)
                + fetched * constants.less("cycles_per_weight_byte", end)
                + f64::from(own.execution.layers * own.execution.passes)
                    * constants.less("cycles_per_layer", end);
        }
        let time = cycles / constants.more("clock", end);
        (
            time,
            cycles * constants.less("energy_per_cycle", end)
                + constants.less("static_power", end) * time,
        )
    }))
}

/// A network as spikes.
pub(crate) fn as_spikes(
    target: &HardwareTarget,
    profile: &ModelProfile,
    scenario: &Scenario,
) -> Option<[(f64, f64); 3]> {
    let CostModel::Neuromorphic(chip) = &target.model else {
        return None;
    };
    let constants = Constants::of(target);
    let bits = f64::from(chip.synapse_bits);
    let steps = f64::from(scenario.time_steps);
    // Synapses, neurons, inputs and cores of each layer, and the chips.
    let placed = |end: usize| {
        let layers: Vec<[f64; 4]> = profile
            .layers
            .iter()
            .filter(|l| multiplies(l))
            .map(|l| {
                let synapses = l.layer.macs * l.nonzero as f64 / l.layer.weights() as f64;
                let room = constants.more("synapses_per_core", end) * (bits + 6.0)
                    / (f64::from(l.weight_bits).min(bits) + 6.0);
                let cores = (l.layer.outputs / constants.more("neurons_per_core", end))
                    .max(synapses / room);
                [
                    synapses,
                    l.layer.outputs,
                    l.layer.inputs,
                    cores.ceil().max(1.0),
                ]
            })
            .collect();
        let cores: f64 = layers.iter().map(|l| l[3]).sum();
        let chips = (cores / constants.more("cores", end)).ceil().max(1.0);
        (layers, chips)
    };
    Some(ENDS.map(|end| {
        let spikes = constants.less("activity", end);
        let dynamic = |layers: &[[f64; 4]]| -> f64 {
            layers
                .iter()
                .map(|[synapses, neurons, inputs, cores]| {
                    synapses * spikes * constants.less("energy_per_event", end)
                        + neurons * constants.less("energy_per_update", end)
                        + inputs * spikes * cores * constants.less("energy_per_spike", end)
                })
                .sum()
        };
        let (layers, chips) = placed(end);
        let (spread, most_chips) = placed(2 - end);
        let standing = constants.less("static_power", end) + constants.less("active_power", end);
        let busiest = spread
            .iter()
            .map(|[synapses, .., cores]| {
                synapses * spikes / cores / constants.more("events_per_second", end)
            })
            .fold(0.0, f64::max);
        let headroom = (constants.more("power_limit", end) - standing) * most_chips;
        let cooled = if headroom > 0.0 {
            dynamic(&spread) / headroom
        } else {
            0.0
        };
        let step = constants.less("step", end).max(busiest).max(cooled);
        let time = steps * step;
        (time, dynamic(&layers) * steps + standing * chips * time)
    }))
}
