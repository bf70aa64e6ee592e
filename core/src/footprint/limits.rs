//! What limits speed: the parts of a device, and its power.

use super::by_hand::{ROUNDING, bare, same};
use super::tests::{on, profiles, scenario};
use super::*;
use crate::carbon::find_grid;
use crate::hardware::{CostModel, HardwareClass, catalogue};
use crate::units::Watts;

/// A part of a device's speed that a layer can be limited by.
type Part = (Bound, fn(&mut HardwareTarget));

/// A thousandth better in what each limit stands for.
const PARTS: [Part; 4] = [
    (Bound::Compute, |target| match &mut target.model {
        CostModel::Processor(processor) => {
            processor
                .peak
                .values_mut()
                .for_each(|f| f.typical = f.typical * BETTER);
            if let Some(packed) = &mut processor.packed {
                packed
                    .rate
                    .values_mut()
                    .for_each(|f| f.typical = f.typical * BETTER);
            }
        }
        CostModel::Microcontroller(chip) => chip.cycles_per_mac.typical /= BETTER,
        _ => {}
    }),
    (Bound::Memory, |target| match &mut target.model {
        CostModel::Processor(processor) => {
            for memory in processor.memory.iter_mut().chain([&mut processor.on_chip]) {
                memory.bandwidth.typical = memory.bandwidth.typical * BETTER;
            }
        }
        CostModel::Microcontroller(chip) => chip.cycles_per_weight_byte.typical /= BETTER,
        _ => {}
    }),
    (Bound::Overhead, |target| match &mut target.model {
        CostModel::Processor(processor) => {
            processor.launch.typical = Seconds(processor.launch.typical.0 / BETTER);
            if let Some(start) = &mut processor.start {
                start.typical = Seconds(start.typical.0 / BETTER);
            }
            if let Some(packed) = &mut processor.packed {
                packed.launch.typical = Seconds(packed.launch.typical.0 / BETTER);
            }
        }
        CostModel::Microcontroller(chip) => {
            chip.cycles_per_output.typical /= BETTER;
            chip.cycles_per_layer.typical /= BETTER;
        }
        _ => {}
    }),
    (Bound::Interconnect, |target| {
        if let CostModel::Processor(processor) = &mut target.model
            && let Some(link) = &mut processor.link
        {
            link.bandwidth.typical = link.bandwidth.typical * BETTER;
            link.latency.typical = Seconds(link.latency.typical.0 / BETTER);
        }
    }),
];
const BETTER: f64 = 1.001;

#[test]
fn a_layer_is_limited_by_what_would_make_it_faster() {
    /// Gains that are closer than that are alike.
    const ALIKE: f64 = 0.02;
    let mut seen = [0; 4];
    for target in catalogue().unwrap() {
        let (mut free, devices) = (
            target.clone(),
            match &target.model {
                CostModel::Processor(processor) => 1 + u32::from(processor.link.is_some()),
                CostModel::Microcontroller(_) => 1,
                _ => continue,
            },
        );
        // Power that never limits.
        free.power_limit.typical = free.power_limit.typical * 1e6;
        free.power_limit.high = Some(free.power_limit.typical);
        for (profile, batch) in profiles().iter().zip([1, 32, 4, 8, 256]) {
            let asked = Scenario {
                devices,
                ..scenario(batch)
            };
            let layers = |target: &HardwareTarget| {
                let cost = target.cost(&Request {
                    profile,
                    scenario: &asked,
                    machine: Machine::Real,
                    explain: false,
                    reading: false,
                });
                cost.map(|cost| cost.layers).ok()
            };
            let Some(before) = layers(&free) else {
                continue;
            };
            let faster: Vec<Vec<LayerCost>> = PARTS
                .iter()
                .filter_map(|(_, better)| {
                    let mut other = free.clone();
                    better(&mut other);
                    layers(&other)
                })
                .collect();
            for (i, layer) in before.iter().enumerate() {
                let gains: Vec<f64> = faster.iter().map(|l| layer.time.0 - l[i].time.0).collect();
                let most = gains.iter().copied().fold(0.0, f64::max);
                if most < 1e-7 * layer.time.0 {
                    continue;
                }
                let own = PARTS
                    .iter()
                    .position(|(bound, _)| *bound == layer.bound())
                    .unwrap();
                assert!(
                    gains[own] >= most * (1.0 - ALIKE),
                    "{} of {} on {} is said to be limited by {:?}, and gains {gains:?}",
                    layer.layer,
                    profile.model,
                    target.id,
                    layer.bound()
                );
                seen[own] += 1;
            }
        }
    }
    assert!(seen.iter().all(|n| *n > 30), "{seen:?}");
}

#[test]
fn idle_power_falls_to_layers_by_their_time_on_every_device() {
    let mut seen = 0;
    for target in catalogue().unwrap() {
        let mut idling = target.clone();
        // A tenth of what it may draw.
        let watts = target.power_limit.typical * 0.1;
        idling.static_power.typical = watts;
        for profile in &profiles() {
            let asked = scenario(3);
            let Ok(cost) = idling.cost(&Request {
                profile,
                scenario: &asked,
                machine: Machine::Real,
                explain: false,
                reading: false,
            }) else {
                continue;
            };
            let time = cost.time.typical.0;
            let whole = cost.breakdown.static_power.0;
            for layer in &cost.layers {
                let share = whole * layer.time.0 / time;
                let got = layer.energy.static_power.0;
                assert!(
                    (got - share).abs() <= 1e-9 * whole,
                    "{} on {}: {got} J, not {share} J",
                    layer.layer,
                    target.id
                );
            }
            if target.class != HardwareClass::Neuromorphic {
                assert!(same(whole, watts.0 * time), "{}: {whole} J", target.id);
            }
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn at_its_power_limit_a_device_draws_just_that() {
    let mut seen = [0; 2];
    for target in catalogue().unwrap() {
        let class = match &target.model {
            CostModel::Processor(_) => 0,
            CostModel::Fpga(_) => 1,
            _ => continue,
        };
        let mut capped = target.clone();
        let idle = target.static_power.typical.0;
        (capped.static_power.low, capped.static_power.high) = (None, None);
        for profile in &profiles() {
            let Ok(free) = on(profile, &target.id, &bare(16)) else {
                continue;
            };
            let breakdown = &free.breakdown;
            let busy = breakdown.total().0 - breakdown.static_power.0;
            // Above the idle power half of what the parts at work would draw.
            let watts = idle + 0.5 * busy * free.throughput.range.typical.0;
            capped.power_limit.typical = Watts(watts);
            (capped.power_limit.low, capped.power_limit.high) = (None, None);
            let now = footprint(profile, &bare(16), &capped, find_grid("WORLD").unwrap()).unwrap();
            let energy = now.energy_per_unit.range.typical.0;
            let drawn = energy * now.throughput.range.typical.0;
            // The limit moves which of several layouts is best, by no more than they are allowed to differ.
            assert!(
                (drawn / watts - 1.0).abs() < 0.03 && drawn <= watts * (1.0 + ROUNDING),
                "{} on {}: {drawn} W of {watts} W",
                profile.model,
                target.id
            );
            seen[class] += 1;
        }
    }
    assert!(seen.iter().all(|n| *n >= 10), "{seen:?}");
}

#[test]
fn the_roofs_are_the_rates_at_their_efficiency_times_the_devices() {
    let mut seen = 0;
    for target in catalogue().unwrap() {
        let CostModel::Processor(processor) = &target.model else {
            continue;
        };
        for devices in [1, 2] {
            if devices > 1 && processor.link.is_none() {
                continue;
            }
            for &precision in processor.peak.keys() {
                let roofs = processor.roofline(precision, devices).unwrap();
                let n = f64::from(devices);
                let bandwidth = n * processor.bandwidth_efficiency.typical;
                let reached = n * processor.compute_efficiency.typical;
                let peak = processor.peak[&precision].typical.0;
                let what = format!("{precision:?} on {devices} of {}", target.id);
                assert!(same(roofs.peak.0, peak * reached), "{what}");
                let on_chip = processor.on_chip.bandwidth.typical.0;
                assert!(same(roofs.on_chip.0, on_chip * bandwidth), "{what}");
                let memory = processor.memory.as_ref().map(|m| m.bandwidth.typical.0);
                assert_eq!(roofs.memory.is_some(), memory.is_some(), "{what}");
                if let (Some(roof), Some(memory)) = (roofs.memory, memory) {
                    assert!(same(roof.0, memory * bandwidth), "{what}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn a_larger_batch_is_praised_only_where_starting_takes_most_of_the_time() {
    let mut praised = [0; 2];
    for target in catalogue().unwrap() {
        for profile in &profiles() {
            for batch in [1, 64, 4096] {
                let Ok(cost) = on(profile, &target.id, &bare(batch)) else {
                    continue;
                };
                let time = |bound: Option<Bound>| -> f64 {
                    let own = |layer: &LayerCost| match bound {
                        Some(bound) => layer.time_by.of(bound).0,
                        None => layer.time.0,
                    };
                    cost.layers.iter().map(own).sum()
                };
                let overhead = time(Some(Bound::Overhead)) / time(None);
                let said = cost.explanation.contains("wice the batch would take");
                assert!(
                    !said || overhead > 0.5,
                    "{} on {} at batch {batch}, overhead {overhead}: {}",
                    profile.model,
                    target.id,
                    cost.explanation
                );
                praised[usize::from(said)] += 1;
            }
        }
    }
    assert!(praised.iter().all(|n| *n > 50), "{praised:?}");
}

#[test]
fn activations_of_a_small_chip_fit_up_to_four_fifths_of_their_memory() {
    let mut seen = 0;
    for target in catalogue().unwrap() {
        let CostModel::Microcontroller(chip) = &target.model else {
            continue;
        };
        for (bits, bytes) in [(8, 1.0), (16, 2.0), (32, 4.0)] {
            if bits > 8 && chip.float_factor.is_none() {
                continue;
            }
            let with = |share: f64| {
                let mut profile = profiles()[1].clone();
                for layer in &mut profile.layers {
                    layer.activation_bits = bits;
                    (layer.layer.inputs, layer.layer.outputs) = (1.0, 1.0);
                }
                // What a layer reads and what it writes are there at once.
                let values = share * 0.8 * chip.activation_memory.typical.0 / bytes;
                let layer = &mut profile.layers[1].layer;
                (layer.inputs, layer.outputs) = (0.25 * values, 0.75 * values);
                on(&profile, &target.id, &bare(1))
            };
            let what = format!("{bits} bits on {}", target.id);
            assert!(with(0.99).is_ok(), "{what}: {:?}", with(0.99));
            let refusal = with(1.01).unwrap_err().to_string();
            assert!(refusal.contains("activations of"), "{what}: {refusal}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
}
