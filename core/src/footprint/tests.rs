use super::*;
use crate::carbon::find_grid;
use crate::hardware::{CostModel, HardwareClass, catalogue, find};
use crate::profile::{Execution, Layer, LayerKind, LayerProfile, Unit};
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
            execution: Execution::default(),
        },
        nonzero: weights as u64,
        weight_bits: 32,
        other_bits: 32.0,
        activation_bits: 32,
        pattern: None,
        scales: 0,
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
        network: None,
        spiking: None,
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
        network: None,
        spiking: None,
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

pub(super) fn scenario(batch: u32) -> Scenario {
    Scenario {
        batch,
        ..Scenario::default()
    }
}

pub(super) fn on(profile: &ModelProfile, id: &str, scenario: &Scenario) -> Result<Footprint> {
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
    let four = quantized(gpt(4096, 16), 4, 16);
    let target = find("nvidia-a100-sxm4-80gb").unwrap();
    let small = savings(&original, &four, &scenario(1), target).unwrap();
    assert_eq!(small.operations.realised, 0.0);
    assert!(small.size.realised > 0.74 && small.size.nominal > 0.74);
    assert!(small.time.realised > 0.4, "{small:?}");
    // Bound by arithmetic, the saving of time is gone, and unpacking even costs a little.
    let large = savings(&original, &four, &scenario(2048), target).unwrap();
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
    for target in catalogue().unwrap() {
        let model = quantized(cnn(), 2, 8);
        let Ok(savings) = savings(&model, &model, &scenario(4), target) else {
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
        (gpt(8192, 80), "nvidia-t4", "16 devices needed"),
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
    let eight = quantized(cnn(), 8, 8);
    let savings = savings(&cnn(), &eight, &scenario(1), target).unwrap();
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

/// Profiles that reach different limits, with zeros and without.
pub(super) fn profiles() -> [ModelProfile; 5] {
    [
        cnn(),
        quantized(cnn(), 8, 8),
        pruned(quantized(cnn(), 4, 8), 0.5, Pattern::TwoOfFour),
        gpt(256, 3),
        quantized(gpt(256, 3), 4, 16),
    ]
}

#[test]
fn layers_add_up_to_the_whole() {
    let same = |sum: f64, whole: f64| (sum - whole).abs() <= SUM_TOLERANCE * whole.abs();
    for target in catalogue().unwrap() {
        for (profile, batch) in profiles().iter().zip([1, 32, 32, 8, 1024]) {
            let scenario = scenario(batch);
            let Ok(cost) = target.cost(&Request {
                profile,
                scenario: &scenario,
                machine: Machine::Real,
                explain: false,
                reading: false,
            }) else {
                continue;
            };
            let sum = |of: fn(&LayerCost) -> f64| cost.layers.iter().map(of).sum::<f64>();
            let whole = &cost.breakdown;
            for (what, sum, whole) in [
                ("time", sum(|l| l.time.0), cost.time.typical.0),
                ("energy", sum(|l| l.energy.total().0), cost.energy.typical.0),
                ("compute", sum(|l| l.energy.compute.0), whole.compute.0),
                ("on chip", sum(|l| l.energy.on_chip.0), whole.on_chip.0),
                ("memory", sum(|l| l.energy.memory.0), whole.memory.0),
                (
                    "static",
                    sum(|l| l.energy.static_power.0),
                    whole.static_power.0,
                ),
                (
                    "links",
                    sum(|l| l.energy.interconnect.0),
                    whole.interconnect.0,
                ),
                ("operations", sum(|l| l.operations), 2.0 * cost.executed),
            ] {
                assert!(same(sum, whole), "{}, {what}: {sum} of {whole}", target.id);
            }
        }
    }
}

#[test]
fn no_layer_is_above_the_roofs() {
    let mut seen = 0;
    for target in catalogue().unwrap() {
        let CostModel::Processor(processor) = &target.model else {
            continue;
        };
        let grid = find_grid("WORLD").unwrap();
        for profile in &profiles() {
            let Ok(cost) = footprint(profile, &scenario(64), target, grid) else {
                continue;
            };
            for layer in &cost.layers {
                let roofs = processor.roofline(layer.precision.unwrap(), 1).unwrap();
                let seconds = layer.time.0 * (1.0 + SUM_TOLERANCE);
                let what = format!("{} on {}", layer.layer, target.id);
                assert!(layer.operations <= roofs.peak.0 * seconds, "{what}");
                assert!(layer.on_chip_bytes.0 <= roofs.on_chip.0 * seconds, "{what}");
                match roofs.memory {
                    Some(memory) => assert!(layer.memory_bytes.0 <= memory.0 * seconds, "{what}"),
                    None => assert_eq!(layer.memory_bytes.0, 0.0, "{what}"),
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen} layers");
}
