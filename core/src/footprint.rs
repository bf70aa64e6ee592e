//! [`Footprint`]: what running a model costs. Pure arithmetic on a [`ModelProfile`] and a [`Scenario`].

use serde::{Deserialize, Serialize};

use crate::carbon::{self, Grid};
use crate::error::{Error, Result};
use crate::hardware::{Cost, HardwareTarget, Machine, Request};
use crate::measurement::Provenance;
use crate::profile::ModelProfile;
use crate::scenario::Scenario;
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

impl EnergyBreakdown {
    /// The sum of the five.
    pub fn total(&self) -> Joules {
        self.compute + self.on_chip + self.memory + self.static_power + self.interconnect
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            compute: self.compute + other.compute,
            on_chip: self.on_chip + other.on_chip,
            memory: self.memory + other.memory,
            static_power: self.static_power + other.static_power,
            interconnect: self.interconnect + other.interconnect,
        }
    }

    pub(crate) fn scaled(&self, factor: f64) -> Self {
        Self {
            compute: self.compute * factor,
            on_chip: self.on_chip * factor,
            memory: self.memory * factor,
            static_power: self.static_power * factor,
            interconnect: self.interconnect * factor,
        }
    }
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
    /// Bits at which the original is counted on hardware that cannot run it as it is; `None` where it can.
    pub original_bits: Option<u8>,
    /// Bytes of the weights: nominal bits, exported file, memory of this hardware.
    pub size: Saving,
    /// Operations: bit operations on nonzero weights, dense operations, operations that this hardware executes.
    pub operations: Saving,
    /// Time per unit of work.
    pub time: Saving,
    /// Energy per unit of work.
    pub energy: Saving,
}

const SECONDS_PER_DAY: f64 = 86_400.0;

/// What running a model costs per unit of work.
///
/// # Errors
/// [`Error::Scenario`] for a scenario out of range; [`Error::Infeasible`] when the hardware cannot run the model,
/// saying why and by how much.
pub fn footprint(
    profile: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
    grid: &Grid,
) -> Result<Footprint> {
    scenario.validate()?;
    let cost = target.cost(&Request {
        profile,
        scenario,
        machine: Machine::Real,
    })?;
    let operational = carbon::operational(cost.energy, scenario.pue, grid);
    let per_device = target.embodied_range();
    let embodied = carbon::embodied(per_device, cost.devices, cost.time, scenario);
    let co2e = operational + embodied;
    let unit = profile.unit.name();
    let known = match &target.embodied {
        Some(figure) => figure.source.as_str(),
        None => "not published; assumed by power limit",
    };
    let co2e_formula = format!(
        "{:.3e} J per {unit} × PUE {} / 3.6e6 J per kWh × {:.1} g/kWh ({}, {}) = {:.3e} g; embodied {:.0} kg × {} \
         device(s) ({known}) × {:.3e} s / ({} years × {} busy) = {:.3e} g",
        cost.energy.typical.0,
        scenario.pue,
        grid.intensity.typical.0,
        grid.name,
        grid.year,
        operational.typical.0,
        per_device.typical.0 / 1e3,
        cost.devices,
        cost.time.typical.0,
        scenario.lifetime_years,
        scenario.utilization,
        embodied.typical.0,
    );
    let rate = cost
        .time
        .map_decreasing(|time| UnitsPerSecond(1.0 / time.0));
    let wanted = scenario.demand_per_day / SECONDS_PER_DAY;
    let groups = (wanted / (rate.typical.0 * scenario.utilization))
        .ceil()
        .max(1.0);
    let modelled = |formula: String| Provenance::Modelled { formula };
    Ok(Footprint {
        throughput: Estimate {
            range: rate,
            provenance: modelled(cost.time_formula.clone()),
        },
        latency: Estimate {
            range: cost.latency,
            provenance: modelled(cost.time_formula),
        },
        energy_per_unit: Estimate {
            range: cost.energy,
            provenance: modelled(cost.energy_formula),
        },
        breakdown: cost.breakdown,
        co2e_per_unit: Estimate {
            range: co2e,
            provenance: modelled(co2e_formula),
        },
        embodied_per_unit: embodied.typical,
        co2e_per_day: Estimate {
            range: co2e * scenario.demand_per_day,
            provenance: modelled(format!(
                "{:.3e} g per {unit} × {:.3e} per day",
                co2e.typical.0, scenario.demand_per_day
            )),
        },
        devices_for_demand: groups as u64 * cost.devices,
        layers: cost.layers,
        explanation: sentence(&cost.notes),
    })
}

/// What compression saves on a target, under the three definitions of METHODS.md: an ideal machine that computes with
/// the bits stored and skips zeros, a machine that reads the exported file but computes densely, and the target itself.
///
/// Where the target cannot hold the original's widths (an 8-bit chip), the original is counted at the widest it can,
/// and [`Savings::original_bits`] says so.
///
/// # Errors
/// As [`footprint`], for either model.
pub fn savings(
    original: &ModelProfile,
    compressed: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
    _grid: &Grid,
) -> Result<Savings> {
    scenario.validate()?;
    let widest = target.widest_bits();
    let too_wide = |bits: &u8| {
        let layers = || original.layers.iter().filter(|l| l.layer.compressible);
        layers().any(|l| l.weight_bits > *bits)
    };
    let original_bits = widest.filter(too_wide);
    let narrowed = original_bits.map(|bits| narrow(original, bits));
    let baseline = narrowed.as_ref().unwrap_or(original);
    let cost = |profile: &ModelProfile, machine: Machine| {
        target.cost(&Request {
            profile,
            scenario,
            machine,
        })
    };
    let pair = |machine: Machine| -> Result<(Cost, Cost)> {
        let before = cost(baseline, machine).map_err(|error| match error {
            Error::Infeasible(fact) => Error::Infeasible(format!("the original: {fact}")),
            other => other,
        })?;
        Ok((before, cost(compressed, machine)?))
    };
    let (ideal, file, real) = (
        pair(Machine::Ideal)?,
        pair(Machine::FileReader)?,
        pair(Machine::Real)?,
    );
    let by = |of: fn(&Cost) -> f64| Saving {
        nominal: saved(of(&ideal.0), of(&ideal.1)),
        stored: saved(of(&file.0), of(&file.1)),
        realised: saved(of(&real.0), of(&real.1)),
    };
    Ok(Savings {
        original_bits,
        size: Saving {
            nominal: saved(original.nominal_bits(), compressed.nominal_bits()),
            stored: saved(
                original.stored_bytes() as f64,
                compressed.stored_bytes() as f64,
            ),
            realised: saved(real.0.weight_bytes, real.1.weight_bytes),
        },
        operations: Saving {
            nominal: saved(
                original.nominal_bit_operations(),
                compressed.nominal_bit_operations(),
            ),
            stored: saved(original.macs(), compressed.macs()),
            realised: saved(real.0.executed, real.1.executed),
        },
        time: by(|cost| cost.time.typical.0),
        energy: by(|cost| cost.energy.typical.0),
    })
}

/// The same model with no width above `bits`.
fn narrow(profile: &ModelProfile, bits: u8) -> ModelProfile {
    let mut narrowed = profile.clone();
    for layer in &mut narrowed.layers {
        layer.weight_bits = layer.weight_bits.min(bits);
        layer.activation_bits = layer.activation_bits.min(bits.max(8));
    }
    narrowed
}

fn saved(before: f64, after: f64) -> f64 {
    if before > 0.0 {
        1.0 - after / before
    } else {
        0.0
    }
}

/// Clauses as one sentence with a capital letter and no full stop.
fn sentence(notes: &[String]) -> String {
    let text = notes.join("; ");
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carbon::find_grid;
    use crate::hardware::{HardwareClass, catalogue, find};
    use crate::profile::{Layer, LayerKind, LayerProfile, Unit};
    use crate::recipe::Pattern;

    /// Sums of five numbers in f64.
    const SUM_TOLERANCE: f64 = 1e-9;

    fn layer(name: &str, kind: LayerKind, shape: &[usize], positions: f64) -> LayerProfile {
        let weights: usize = shape.iter().product();
        let fan_in: usize = shape.iter().skip(1).product();
        let outputs = shape.first().map_or(64.0, |&n| n as f64) * positions;
        let macs = if kind == LayerKind::Embedding {
            0.0
        } else {
            weights as f64 * positions
        };
        LayerProfile {
            layer: Layer {
                name: name.to_owned(),
                kind,
                shape: shape.to_vec(),
                other_parameters: 0,
                compressible: !shape.is_empty(),
                macs,
                inputs: fan_in as f64 * positions,
                outputs,
                cache: 0.0,
            },
            nonzero: weights as u64,
            weight_bits: 32,
            activation_bits: 32,
            pattern: None,
            stored_bytes: 4 * weights as u64,
        }
    }

    fn cnn() -> ModelProfile {
        let layers = vec![
            layer("conv1", LayerKind::Conv2d, &[8, 1, 3, 3], 784.0),
            layer("conv2", LayerKind::Conv2d, &[14, 8, 3, 3], 196.0),
            layer("conv3", LayerKind::Conv2d, &[14, 14, 3, 3], 49.0),
            layer("head", LayerKind::Linear, &[10, 14], 1.0),
        ];
        ModelProfile {
            model: "cnn".to_owned(),
            unit: Unit::Image,
            layers,
            header_bytes: 100,
        }
    }

    fn gpt(width: usize, blocks: usize) -> ModelProfile {
        let mut layers = vec![layer("wte", LayerKind::Embedding, &[256, width], 1.0)];
        for i in 0..blocks {
            let name = |part: &str| format!("h.{i}.{part}");
            layers.push(layer(
                &name("attn.qkv"),
                LayerKind::Linear,
                &[3 * width, width],
                1.0,
            ));
            let mut attention = layer(&name("attn"), LayerKind::Attention, &[], 1.0);
            attention.layer.macs = 2.0 * 128.0 * width as f64;
            attention.layer.cache = 2.0 * 128.0 * width as f64;
            attention.layer.inputs = 3.0 * width as f64;
            attention.layer.outputs = width as f64;
            layers.push(attention);
            layers.push(layer(
                &name("attn.proj"),
                LayerKind::Linear,
                &[width, width],
                1.0,
            ));
            layers.push(layer(
                &name("mlp.fc"),
                LayerKind::Linear,
                &[4 * width, width],
                1.0,
            ));
            layers.push(layer(
                &name("mlp.proj"),
                LayerKind::Linear,
                &[width, 4 * width],
                1.0,
            ));
        }
        layers.push(layer("head", LayerKind::Linear, &[256, width], 1.0));
        ModelProfile {
            model: "gpt".to_owned(),
            unit: Unit::Token,
            layers,
            header_bytes: 100,
        }
    }

    fn quantized(mut profile: ModelProfile, weights: u8, activations: u8) -> ModelProfile {
        for layer in &mut profile.layers {
            layer.weight_bits = weights;
            layer.activation_bits = activations;
            layer.stored_bytes = layer.stored_bytes * u64::from(weights) / 32;
        }
        profile
    }

    fn pruned(mut profile: ModelProfile, sparsity: f64, pattern: Pattern) -> ModelProfile {
        for layer in &mut profile.layers {
            layer.nonzero = (layer.nonzero as f64 * (1.0 - sparsity)) as u64;
            layer.pattern = Some(pattern);
        }
        profile
    }

    fn scenario(batch: u32) -> Scenario {
        Scenario {
            batch,
            ..Scenario::default()
        }
    }

    fn on(profile: &ModelProfile, id: &str, scenario: &Scenario) -> Result<Footprint> {
        footprint(profile, scenario, find(id)?, find_grid("WORLD")?)
    }

    fn well_formed(footprint: &Footprint, what: &str) {
        let ordered = |low: f64, typical: f64, high: f64| {
            low.is_finite() && high.is_finite() && 0.0 <= low && low <= typical && typical <= high
        };
        let energy = footprint.energy_per_unit.range;
        let rate = footprint.throughput.range;
        let latency = footprint.latency.range;
        let co2e = footprint.co2e_per_unit.range;
        assert!(
            ordered(energy.low.0, energy.typical.0, energy.high.0),
            "{what}: {energy:?}"
        );
        assert!(
            ordered(rate.low.0, rate.typical.0, rate.high.0),
            "{what}: {rate:?}"
        );
        assert!(rate.low.0 > 0.0, "{what}");
        assert!(
            ordered(latency.low.0, latency.typical.0, latency.high.0),
            "{what}: {latency:?}"
        );
        assert!(
            ordered(co2e.low.0, co2e.typical.0, co2e.high.0),
            "{what}: {co2e:?}"
        );
        let sum = footprint.breakdown.total().0;
        assert!(
            (sum / energy.typical.0 - 1.0).abs() < SUM_TOLERANCE,
            "{what}: {sum} J"
        );
        assert!(footprint.devices_for_demand >= 1, "{what}");
        assert!(!footprint.explanation.is_empty() && !footprint.explanation.ends_with('.'));
    }

    #[test]
    fn every_device_gives_a_footprint_or_says_why_not() {
        let profiles = [
            ("cnn", cnn()),
            ("cnn w8a8", quantized(cnn(), 8, 8)),
            ("cnn w2a8", quantized(cnn(), 2, 8)),
            ("gpt", gpt(128, 4)),
            ("gpt w4", quantized(gpt(128, 4), 4, 32)),
            (
                "gpt w8a8 2:4",
                pruned(quantized(gpt(128, 4), 8, 8), 0.5, Pattern::TwoOfFour),
            ),
            ("large gpt", gpt(8192, 80)),
        ];
        for target in catalogue().unwrap() {
            let mut ran = 0;
            for (name, profile) in &profiles {
                let what = format!("{name} on {}", target.id);
                match on(profile, &target.id, &scenario(8)) {
                    Ok(footprint) => {
                        well_formed(&footprint, &what);
                        ran += 1;
                    }
                    Err(Error::Infeasible(reason)) => {
                        assert!(reason.contains(&target.name), "{what}: {reason}");
                    }
                    Err(other) => panic!("{what}: {other}"),
                }
            }
            assert!(ran > 0, "{} runs none of the examples", target.id);
        }
    }

    #[test]
    fn unstructured_zeros_give_a_gpu_nothing_and_two_of_four_does() {
        let model = gpt(2048, 8);
        let zeros = pruned(model.clone(), 0.5, Pattern::Unstructured);
        let dense = on(&model, "nvidia-h100-sxm", &scenario(64)).unwrap();
        let unstructured = on(&zeros, "nvidia-h100-sxm", &scenario(64)).unwrap();
        assert_eq!(
            dense.energy_per_unit.range,
            unstructured.energy_per_unit.range
        );
        assert!(
            unstructured
                .explanation
                .contains("unstructured zeros give this GPU nothing")
        );
        let structured = pruned(model, 0.5, Pattern::TwoOfFour);
        let two_of_four = on(&structured, "nvidia-h100-sxm", &scenario(64)).unwrap();
        assert!(two_of_four.energy_per_unit.range.typical < dense.energy_per_unit.range.typical);
        // Volta has no 2:4 arithmetic.
        let dense = on(&gpt(2048, 8), "nvidia-v100-sxm2", &scenario(64)).unwrap();
        let volta = on(&structured, "nvidia-v100-sxm2", &scenario(64)).unwrap();
        assert_eq!(dense.energy_per_unit.range, volta.energy_per_unit.range);
    }

    #[test]
    fn weight_only_four_bits_saves_bytes_not_operations() {
        let original = quantized(gpt(4096, 16), 16, 16);
        let four = quantized(gpt(4096, 16), 4, 32);
        let target = find("nvidia-a100-sxm4-80gb").unwrap();
        let grid = find_grid("WORLD").unwrap();
        let small = savings(&original, &four, &scenario(1), target, grid).unwrap();
        assert_eq!(small.operations.realised, 0.0);
        assert!(small.size.realised > 0.74 && small.size.nominal > 0.74);
        assert!(small.time.realised > 0.4, "{small:?}");
        // Bound by arithmetic, the saving of time is gone, and unpacking even costs a little.
        let large = savings(&original, &four, &scenario(2048), target, grid).unwrap();
        assert!(large.time.realised < 0.05, "{large:?}");
        assert!(large.time.nominal > 0.4, "{large:?}");
        let footprint = on(&four, "nvidia-a100-sxm4-80gb", &scenario(1)).unwrap();
        assert!(
            footprint
                .explanation
                .contains("4-bit weights are computed as FP16")
        );
    }

    #[test]
    fn the_identity_saves_nothing_anywhere() {
        let grid = find_grid("WORLD").unwrap();
        for target in catalogue().unwrap() {
            let model = quantized(cnn(), 2, 8);
            let Ok(savings) = savings(&model, &model, &scenario(4), target, grid) else {
                panic!("{}", target.id)
            };
            for saving in [
                savings.size,
                savings.operations,
                savings.time,
                savings.energy,
            ] {
                assert_eq!(
                    (saving.nominal, saving.stored, saving.realised),
                    (0.0, 0.0, 0.0)
                );
            }
        }
    }

    #[test]
    fn more_work_never_takes_less_time_or_energy() {
        for target in catalogue().unwrap() {
            let mut last = (0.0, 0.0);
            for blocks in [1, 2, 4] {
                let model = quantized(gpt(64, blocks), 8, 8);
                let Ok(cost) = on(&model, &target.id, &scenario(1)) else {
                    break;
                };
                let now = (
                    cost.latency.range.typical.0,
                    cost.energy_per_unit.range.typical.0,
                );
                assert!(now.0 >= last.0 && now.1 >= last.1, "{}", target.id);
                last = now;
            }
        }
    }

    #[test]
    fn what_cannot_run_says_by_how_much() {
        let cases = [
            (gpt(8192, 80), "nvidia-t4", "17 devices needed"),
            (
                gpt(128, 2),
                "google-coral-edge-tpu",
                "attention multiplies activations by activations",
            ),
            (
                cnn(),
                "google-coral-edge-tpu",
                "set weight bits and activation bits to 8 or fewer",
            ),
            (
                gpt(128, 2),
                "ibm-truenorth",
                "multiplies activations by activations",
            ),
            (
                cnn(),
                "intel-loihi-1",
                "conv1 has weights of 32 bits, a synapse holds 9",
            ),
            (gpt(8192, 4), "digilent-pynq-z1", "times too large"),
        ];
        for (model, id, expected) in cases {
            let message = on(&model, id, &scenario(1)).unwrap_err().to_string();
            assert!(message.contains(expected), "{id}: {message}");
        }
        let mut wide = quantized(cnn(), 2, 8);
        wide.layers[1] = layer("conv2", LayerKind::Conv2d, &[32, 32, 3, 3], 49.0);
        wide.layers[1].weight_bits = 2;
        let message = on(&wide, "ibm-truenorth", &scenario(1))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("conv2 has 288 inputs that are not zero, a core takes 128"),
            "{message}"
        );
        // Pruning makes it fit.
        let thin = pruned(wide, 0.6, Pattern::Unstructured);
        assert!(on(&thin, "ibm-truenorth", &scenario(1)).is_ok());
    }

    #[test]
    fn a_chip_for_eight_bits_counts_the_original_at_eight_bits_and_says_so() {
        let target = find("google-coral-edge-tpu").unwrap();
        let grid = find_grid("WORLD").unwrap();
        let eight = quantized(cnn(), 8, 8);
        let savings = savings(&cnn(), &eight, &scenario(1), target, grid).unwrap();
        assert_eq!(savings.original_bits, Some(8));
        assert_eq!(savings.time.realised, 0.0);
        assert!(savings.size.stored > 0.7);
    }

    #[test]
    fn an_unfolded_fpga_skips_zeros_and_a_folded_one_does_not() {
        let small = quantized(cnn(), 2, 4);
        let energy = |profile: &ModelProfile, id: &str| {
            on(profile, id, &scenario(1))
                .unwrap()
                .energy_per_unit
                .range
                .typical
                .0
        };
        let zeros = pruned(small.clone(), 0.8, Pattern::Unstructured);
        assert!(energy(&zeros, "amd-alveo-u250") < energy(&small, "amd-alveo-u250"));
        let large = quantized(gpt(1024, 4), 8, 8);
        let zeros = pruned(large.clone(), 0.5, Pattern::Unstructured);
        assert_eq!(
            energy(&zeros, "amd-alveo-u250"),
            energy(&large, "amd-alveo-u250")
        );
    }

    #[test]
    fn a_longer_context_costs_a_language_model_more() {
        let model = quantized(gpt(4096, 16), 16, 16);
        let long = Scenario {
            context: 8192,
            ..scenario(16)
        };
        let short = on(&model, "nvidia-h100-sxm", &scenario(16)).unwrap();
        let long = on(&model, "nvidia-h100-sxm", &long).unwrap();
        assert!(long.energy_per_unit.range.typical > short.energy_per_unit.range.typical);
    }

    #[test]
    fn no_device_draws_more_than_its_power_limit() {
        for target in catalogue().unwrap() {
            if target.class == HardwareClass::Neuromorphic {
                continue;
            }
            for batch in [1, 256] {
                let model = quantized(cnn(), 8, 8);
                let cost = on(&model, &target.id, &scenario(batch)).unwrap();
                let watts = cost.energy_per_unit.range.typical.0 * cost.throughput.range.typical.0;
                let limit = target.power_limit.range().high.0;
                assert!(
                    watts <= limit * (1.0 + SUM_TOLERANCE),
                    "{}: {watts} W",
                    target.id
                );
            }
        }
    }

    #[test]
    fn unknown_embodied_emissions_are_a_wide_range_and_not_zero() {
        let known = find("nvidia-h100-sxm").unwrap().embodied_range();
        assert_eq!(known.typical.0, 164e3);
        let unknown = find("google-tpu-v4").unwrap();
        assert!(unknown.embodied.is_none());
        let range = unknown.embodied_range();
        assert!(range.low.0 > 0.0 && range.high.0 > 10.0 * range.low.0);
    }

    #[test]
    fn the_formulas_carry_their_values() {
        let cost = on(&cnn(), "nvidia-h100-sxm", &scenario(32)).unwrap();
        let Provenance::Modelled { formula } = cost.co2e_per_unit.provenance else {
            panic!("not modelled")
        };
        assert!(
            formula.contains("PUE 1.2") && formula.contains("World"),
            "{formula}"
        );
    }
}
