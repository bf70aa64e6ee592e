//! Cost of a network on a microcontroller or a small accelerator beside one: layer after layer, weights and activations
//! in the chip's own memories, one inference at a time.
//!
//! Cycles add up: products, results (requantised and stored one by one), weights (fetched once per inference) and the
//! start of every layer. Nothing overlaps, as there is one stream of instructions. See METHODS.md.

use serde::{Deserialize, Serialize};

use super::HardwareTarget;
use super::cost::{Cost, Explanation, Machine, Request};
use super::figure::{Corner, Figure};
use crate::digits::{many, si, too_much, trimmed};
use crate::error::{Error, Result};
use crate::hardware::{EnergyBreakdown, LayerCost, TimeBreakdown};
use crate::profile::{LayerKind, LayerProfile};
use crate::units::{Bytes, Joules, Range, Seconds, Watts};

/// Constants of a microcontroller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Microcontroller {
    /// Clock in Hz.
    pub clock: Figure<f64>,
    /// Cycles of one multiply-accumulate of 8-bit integers, operands loaded; below 1 where several run at once.
    pub cycles_per_mac: Figure<f64>,
    /// Cycles of one result beyond its products: addresses, scaling, rounding, store.
    pub cycles_per_output: Figure<f64>,
    /// Cycles to fetch one byte of weights, once per inference.
    pub cycles_per_weight_byte: Figure<f64>,
    /// Cycles to start a layer.
    pub cycles_per_layer: Figure<f64>,
    /// How many times the cycles of an 8-bit product one in 32-bit floating point takes; `None`: integers only.
    pub float_factor: Option<Figure<f64>>,
    /// Energy of one cycle at work above static power, memories included.
    pub energy_per_cycle: Figure<Joules>,
    /// Memory that holds the weights.
    pub weight_memory: Figure<Bytes>,
    /// Memory that holds the activations.
    pub activation_memory: Figure<Bytes>,
}

/// Products of 9 to 16 bits against 8: the paired multiply-accumulate of the Arm DSP extension takes two 16-bit
/// products, and 8-bit operands are widened for it, which is what costs the other half (assumed).
const SIXTEEN_BIT_FACTOR: f64 = 1.3;
/// Part of the activation memory that a program can count on; the rest holds stack, buffers and code. Assumed.
const USABLE_ACTIVATION_MEMORY: f64 = 0.8;

/// What one layer asks, the same at every corner.
struct Demand {
    /// Multiply-accumulates, counted by what they take: in those of 8 bits, and in floating point.
    macs: f64,
    float_macs: f64,
    /// Multiply-accumulates, each as one.
    executed: f64,
    outputs: f64,
    weight_bytes: f64,
    /// 1, or 0 where the layer is part of its neighbour.
    starts: f64,
}

impl Microcontroller {
    /// The widest weights, where floating point is missing.
    pub(super) fn widest_bits(&self) -> Option<u8> {
        self.float_factor.is_none().then_some(8)
    }

    /// Refuses what has no place on the chip.
    fn fits(
        &self,
        target: &HardwareTarget,
        request: &Request<'_>,
        weight_bytes: f64,
    ) -> Result<()> {
        let refuse = |fact: String| Err(Error::Infeasible(fact));
        if request.scenario.devices > 1 {
            return refuse(format!(
                "{} has no modelled link over which devices could share a model; use one device per copy",
                target.name
            ));
        }
        if let (None, Some(wide)) = (
            &self.float_factor,
            request
                .profile
                .layers
                .iter()
                .filter(|l| l.layer.compressible)
                .find(|l| l.weight_bits > 8 || l.activation_bits > 8),
        ) {
            return refuse(format!(
                "{} computes 8-bit integers only, and {} has weights of {} and activations of {} bits",
                target.name, wide.layer.name, wide.weight_bits, wide.activation_bits
            ));
        }
        let room = self.weight_memory.typical.0;
        if weight_bytes > room {
            let [weights, room, times] = too_much(weight_bytes, room, "B");
            return refuse(format!(
                "weights of {weights} do not fit in {} ({room}): {times} times too large",
                target.name
            ));
        }
        let room = self.activation_memory.typical.0 * USABLE_ACTIVATION_MEMORY;
        let most = request
            .profile
            .layers
            .iter()
            .map(|l| {
                // Equal layers that stand together run one after the other.
                let runs = runs(l);
                ((l.layer.inputs + l.layer.outputs) / runs + request.work(&l.layer).1)
                    * activation_bytes(l)
            })
            .fold(0.0, f64::max);
        if most > room {
            let [activations, room, times] = too_much(most, room, "B");
            return refuse(format!(
                "activations of {activations} do not fit in {} ({room} usable): {times} times too large",
                target.name
            ));
        }
        Ok(())
    }

    /// Cycles of the products of a layer at a corner.
    fn product_cycles(&self, demand: &Demand, corner: Corner) -> f64 {
        let float = self
            .float_factor
            .as_ref()
            .map_or(1.0, |factor| factor.cost(corner));
        (demand.macs + demand.float_macs * float) * self.cycles_per_mac.cost(corner)
    }

    /// Cycles of a layer at a corner.
    fn cycles(&self, demand: &Demand, corner: Corner) -> f64 {
        self.product_cycles(demand, corner)
            + demand.outputs * self.cycles_per_output.cost(corner)
            + demand.weight_bytes * self.cycles_per_weight_byte.cost(corner)
            + demand.starts * self.cycles_per_layer.cost(corner)
    }

    pub(super) fn cost(&self, target: &HardwareTarget, request: &Request<'_>) -> Result<Cost> {
        let layers = &request.profile.layers;
        let demands: Vec<Demand> = layers.iter().map(|l| demand(l, request)).collect();
        let weight_bytes: f64 = layers.iter().map(held_bytes).sum();
        self.fits(target, request, weight_bytes)?;

        let mut seconds = [0.0; 3];
        let mut joules = [0.0; 3];
        let mut breakdown = EnergyBreakdown::default();
        let mut costs = Vec::with_capacity(layers.len());
        for (i, corner) in Corner::ALL.into_iter().enumerate() {
            let clock = self.clock.gain(corner);
            let per_cycle = self.energy_per_cycle.cost(corner).0;
            let cycles: Vec<f64> = demands.iter().map(|d| self.cycles(d, corner)).collect();
            let total: f64 = cycles.iter().sum();
            seconds[i] = total / clock;
            let idle = target.static_power.cost(corner) * Seconds(seconds[i]);
            joules[i] = total * per_cycle + idle.0;
            if corner == Corner::Typical {
                breakdown.compute = Joules(total * per_cycle);
                breakdown.static_power = idle;
                costs = layers
                    .iter()
                    .zip(&demands)
                    .zip(&cycles)
                    .map(|((layer, demand), cycles)| LayerCost {
                        layer: layer.layer.name.clone(),
                        time: Seconds(cycles / clock),
                        energy: EnergyBreakdown {
                            compute: Joules(cycles * per_cycle),
                            static_power: idle * (cycles / total),
                            ..EnergyBreakdown::default()
                        },
                        operations: 2.0 * demand.executed,
                        memory_bytes: Bytes(0.0),
                        on_chip_bytes: Bytes(demand.weight_bytes),
                        precision: None,
                        time_by: self.time_by(demand, clock),
                    })
                    .collect();
            }
        }
        let range = |[low, typical, high]: [f64; 3]| Range { low, typical, high };
        let batch = f64::from(request.scenario.batch);
        Ok(Cost {
            time: range(seconds).map(Seconds),
            latency: range(seconds).map(|s| Seconds(s * batch)),
            energy: range(joules).map(Joules),
            breakdown,
            layers: costs,
            devices: 1,
            weight_bytes,
            executed: demands.iter().map(|d| d.executed).sum(),
            explanation: request
                .explained(|| self.explain(target, request, &demands, seconds[1], &breakdown)),
        })
    }

    /// A layer's time by what its cycles go to.
    fn time_by(&self, demand: &Demand, clock: f64) -> TimeBreakdown {
        let corner = Corner::Typical;
        let seconds = |cycles: f64| Seconds(cycles / clock);
        TimeBreakdown {
            compute: seconds(self.product_cycles(demand, corner)),
            memory: seconds(demand.weight_bytes * self.cycles_per_weight_byte.cost(corner)),
            overhead: seconds(
                demand.outputs * self.cycles_per_output.cost(corner)
                    + demand.starts * self.cycles_per_layer.cost(corner),
            ),
            ..TimeBreakdown::default()
        }
    }

    fn explain(
        &self,
        target: &HardwareTarget,
        request: &Request<'_>,
        demands: &[Demand],
        seconds: f64,
        breakdown: &EnergyBreakdown,
    ) -> Explanation {
        let sum = |part: fn(&Demand) -> f64| demands.iter().map(part).sum::<f64>();
        let idle: Watts = target.static_power.typical;
        let mut notes = vec![
            "products, results, fetched weights and started layers take their cycles one after the other".to_owned(),
        ];
        let profile = request.profile;
        if profile.nonzero_weights() < profile.weights() {
            notes.push("zeros are multiplied like other weights".to_owned());
        }
        let narrowest = profile
            .layers
            .iter()
            .filter(|l| l.layer.compressible)
            .map(|l| l.weight_bits)
            .min();
        if narrowest.is_some_and(|bits| bits < 8) {
            notes.push("weights of fewer than 8 bits are widened to 8".to_owned());
        }
        if request.scenario.batch > 1 {
            notes.push("a batch is computed one after the other and saves nothing".to_owned());
        }
        Explanation {
            limit: String::new(),
            stretch: 0.0,
            time: format!(
                "({} multiply-accumulates{} × {} + {} results × {} + {} bytes of weights × {} + {} layers × {} cycles) / {} = \
                 {}{}",
                many(sum(|d| d.executed)),
                weighed(sum(|d| d.macs + d.float_macs) / sum(|d| d.executed)),
                trimmed(self.cycles_per_mac.typical, 3),
                many(sum(|d| d.outputs)),
                trimmed(self.cycles_per_output.typical, 3),
                many(sum(|d| d.weight_bytes)),
                trimmed(self.cycles_per_weight_byte.typical, 3),
                many(sum(|d| d.starts)),
                many(self.cycles_per_layer.typical),
                si(self.clock.typical, "Hz"),
                si(seconds, "s"),
                match &self.float_factor {
                    Some(factor) if sum(|d| d.float_macs) > 0.0 => format!(
                        ", products in floating point {} times as long",
                        trimmed(factor.typical, 3)
                    ),
                    _ => String::new(),
                }
            ),
            energy: format!(
                "{} cycles × {} = {} + {} × {} = {} static",
                many(seconds * self.clock.typical),
                si(self.energy_per_cycle.typical.0, "J"),
                si(breakdown.compute.0, "J"),
                si(idle.0, "W"),
                si(seconds, "s"),
                si(breakdown.static_power.0, "J"),
            ),
            notes,
        }
    }
}

/// The factor of products that take longer than those of 8 bits, as a term of a formula; empty where none do.
fn weighed(factor: f64) -> String {
    if factor > 1.0 {
        format!(" × {factor:.3} for 16 bits")
    } else {
        String::new()
    }
}

/// How often the layers that an entry stands for run.
fn runs(layer: &LayerProfile) -> f64 {
    let execution = &layer.layer.execution;
    f64::from(execution.layers) * f64::from(execution.passes)
}

/// Bytes of a layer in the chip: narrow weights are widened to bytes, integers above 8 bits to 16, floats to 32.
fn held_bytes(layer: &LayerProfile) -> f64 {
    let bytes = match layer.weight_bits {
        ..=8 => 1.0,
        9..=16 => 2.0,
        _ => 4.0,
    };
    layer.layer.weights() as f64 * bytes + layer.other_bytes()
}

/// Bytes of one activation that enters a layer.
fn activation_bytes(layer: &LayerProfile) -> f64 {
    match layer.activation_bits {
        ..=8 => 1.0,
        9..=16 => 2.0,
        _ => 4.0,
    }
}

fn demand(layer: &LayerProfile, request: &Request<'_>) -> Demand {
    let ideal = request.machine == Machine::Ideal;
    let density = if ideal { 1.0 - layer.sparsity() } else { 1.0 };
    let bits = layer.weight_bits.max(layer.activation_bits);
    let executed = request.work(&layer.layer).0 * density;
    let (macs, float_macs) = match bits {
        ..=8 if ideal => (executed * f64::from(bits) / 8.0, 0.0),
        ..=8 => (executed, 0.0),
        9..=16 => (executed * SIXTEEN_BIT_FACTOR, 0.0),
        _ => (0.0, executed),
    };
    // Normalisation, activation and pooling are fused into the layer before them.
    let weighted = layer.layer.kind != LayerKind::Elementwise;
    let embedding = layer.layer.kind == LayerKind::Embedding;
    let fetched = if embedding {
        0.0
    } else {
        held_bytes(layer) * density
    };
    Demand {
        macs,
        float_macs,
        executed,
        outputs: if weighted { layer.layer.outputs } else { 0.0 },
        weight_bytes: if weighted { fetched } else { 0.0 },
        starts: runs(layer) * f64::from(u8::from(weighted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Execution, Layer, ModelProfile, Unit};
    use crate::scenario::Scenario;

    /// 10 × 20 weights of which half are zero, 5 other parameters in single precision.
    fn layer(kind: LayerKind, bits: u8) -> LayerProfile {
        LayerProfile {
            layer: Layer {
                name: "layer".to_owned(),
                kind,
                shape: vec![10, 20],
                other_parameters: 5,
                compressible: true,
                macs: 600.0,
                inputs: 60.0,
                outputs: 30.0,
                cache: 0.0,
                execution: Execution::default(),
            },
            nonzero: 100,
            weight_bits: bits,
            other_bits: 32.0,
            activation_bits: bits,
            pattern: None,
            scales: 0,
            stored_bytes: 0,
        }
    }

    #[test]
    fn what_a_layer_asks_is_counted_by_hand() {
        let (real, ideal) = (Machine::Real, Machine::Ideal);
        // Products in 8 bits, in floating point, executed; results, bytes of weights, starts. All 200 weights and 5 × 4
        // bytes, or on the ideal machine half of everything.
        for (kind, bits, machine, expected) in [
            (
                LayerKind::Linear,
                8,
                real,
                [600.0, 0.0, 600.0, 30.0, 220.0, 1.0],
            ),
            (
                LayerKind::Linear,
                2,
                real,
                [600.0, 0.0, 600.0, 30.0, 220.0, 1.0],
            ),
            (
                LayerKind::Linear,
                16,
                real,
                [600.0 * SIXTEEN_BIT_FACTOR, 0.0, 600.0, 30.0, 420.0, 1.0],
            ),
            (
                LayerKind::Linear,
                32,
                real,
                [0.0, 600.0, 600.0, 30.0, 820.0, 1.0],
            ),
            (
                LayerKind::Linear,
                8,
                ideal,
                [300.0, 0.0, 300.0, 30.0, 110.0, 1.0],
            ),
            (
                LayerKind::Linear,
                2,
                ideal,
                [75.0, 0.0, 300.0, 30.0, 110.0, 1.0],
            ),
            // A table is looked up, and what is part of the layer before it starts nothing.
            (
                LayerKind::Embedding,
                8,
                real,
                [600.0, 0.0, 600.0, 30.0, 0.0, 1.0],
            ),
            (
                LayerKind::Elementwise,
                8,
                real,
                [600.0, 0.0, 600.0, 0.0, 0.0, 0.0],
            ),
        ] {
            let profile = ModelProfile {
                model: "model".to_owned(),
                unit: Unit::Image,
                layers: vec![layer(kind, bits)],
                header_bytes: 0,
                network: None,
                spiking: None,
            };
            let request = Request {
                profile: &profile,
                scenario: &Scenario::default(),
                machine,
                explain: false,
                reading: false,
            };
            let found = demand(&profile.layers[0], &request);
            let found = [
                found.macs,
                found.float_macs,
                found.executed,
                found.outputs,
                found.weight_bytes,
                found.starts,
            ];
            assert_eq!(found, expected, "{kind:?} at {bits} bits");
        }
    }
}
