//! Figures and words of footprints, against what follows from the parts of the same scenario by other ways.

use super::tests::{on, profiles, scenario};
use super::*;
use crate::carbon::find_grid;
use crate::hardware::{CostModel, HardwareClass, catalogue, find};
use crate::outline::Outline;
use crate::recipe::{Pattern, Recipe};
use crate::software::Software;
use crate::units::Bytes;

/// Rounding of sums.
pub(super) const ROUNDING: f64 = 1e-9;

pub(super) fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * a.abs().max(b.abs())
}

#[test]
fn emissions_and_devices_follow_from_time_energy_and_the_scenario() {
    let grid = find_grid("DE").unwrap();
    let hours_of_life = 3.0 * 365.25 * 24.0;
    let mut several = 0;
    for target in catalogue().unwrap() {
        for profile in &profiles() {
            let asked = Scenario {
                pue: 1.3,
                lifetime_years: 3.0,
                utilization: 0.4,
                demand_per_day: 3e9,
                ..scenario(8)
            };
            let Ok(cost) = footprint(profile, &asked, target, grid) else {
                continue;
            };
            let energy = cost.energy_per_unit.range.map(|joules| joules.0);
            let time = cost.throughput.range.map_decreasing(|rate| 1.0 / rate.0);
            let (embodied, all) = (cost.embodied_per_unit.range, cost.co2e_per_unit.range);
            let kilowatt_hours = |joules: f64| joules / 1000.0 / 3600.0;
            for (energy, intensity, embodied, all) in [
                (energy.low, grid.intensity.low, embodied.low, all.low),
                (
                    energy.typical,
                    grid.intensity.typical,
                    embodied.typical,
                    all.typical,
                ),
                (energy.high, grid.intensity.high, embodied.high, all.high),
            ] {
                let expected = kilowatt_hours(energy) * 1.3 * intensity.0 + embodied.0;
                assert!(same(all.0, expected), "{}: {all:?}", target.id);
            }
            // What the devices do in a day when they are busy for the stated share of it.
            let units_of_a_day = 24.0 * 3600.0 * 0.4 / time.typical;
            let groups = (3e9 / units_of_a_day).ceil();
            let together = cost.devices_for_demand as f64 / groups;
            assert!(together >= 1.0 && together.fract() == 0.0, "{}", target.id);
            several += usize::from(groups > 1.0);
            let grams = target.embodied_range().typical.0 * together;
            let share = time.typical / 3600.0 / (hours_of_life * 0.4);
            assert!(
                same(embodied.typical.0, grams * share),
                "{}: {embodied:?}",
                target.id
            );
            if target.class != HardwareClass::Neuromorphic {
                assert_eq!(together, 1.0, "{}", target.id);
                let least = target.embodied_range().low.0 * time.low;
                let most = target.embodied_range().high.0 * time.high;
                let seconds_busy = hours_of_life * 3600.0 * 0.4;
                assert!(same(embodied.low.0, least / seconds_busy), "{}", target.id);
                assert!(same(embodied.high.0, most / seconds_busy), "{}", target.id);
            }
            let day = cost.co2e_per_day.range;
            assert!(same(day.low.0, 3e9 * all.low.0), "{}", target.id);
            assert!(same(day.typical.0, 3e9 * all.typical.0), "{}", target.id);
            assert!(same(day.high.0, 3e9 * all.high.0), "{}", target.id);
        }
    }
    assert!(several > 50, "{several}");
}

#[test]
fn only_devices_with_a_link_share_a_model() {
    let mut refused = 0;
    for target in catalogue().unwrap() {
        let linked = matches!(&target.model, CostModel::Processor(p) if p.link.is_some());
        for profile in &profiles() {
            let many = |devices| {
                let scenario = Scenario {
                    devices,
                    ..scenario(8)
                };
                on(profile, &target.id, &scenario)
            };
            if many(1).is_err() {
                continue;
            }
            assert_eq!(many(2).is_ok(), linked, "{}", target.id);
            if !linked {
                let reason = many(2).unwrap_err().to_string();
                assert!(reason.contains("device"), "{}: {reason}", target.id);
                refused += 1;
            }
        }
    }
    assert!(refused > 40, "{refused}");
}

/// A batch on the device alone, without what its software adds.
pub(super) fn bare(batch: u32) -> Scenario {
    Scenario {
        software: Software::Bare,
        ..scenario(batch)
    }
}

#[test]
fn stages_hand_on_what_enters_the_narrowest_layer() {
    let outline = Outline::open(&"catalogue:llama-3-1-8b".parse().unwrap()).unwrap();
    let whole = outline.predict(&Recipe::default()).unwrap();
    // Without the head all matrices stand for those of several layers.
    let mut blocks = whole.clone();
    blocks.layers.retain(|l| l.layer.name != "lm_head");
    assert!(blocks.layers.len() < whole.layers.len());
    for (profile, hardware, stages, batch) in [
        (&whole, "nvidia-h100-sxm", 4, 64),
        (&blocks, "nvidia-h100-sxm", 2, 1),
        (&blocks, "google-tpu-v5p", 2, 8),
    ] {
        let target = find(hardware).unwrap();
        let CostModel::Processor(processor) = &target.model else {
            panic!("{hardware} is no processor");
        };
        let asked = Scenario {
            devices: stages,
            stages,
            batch,
            software: Software::Bare,
            ..Scenario::default()
        };
        let cost = target
            .cost(&Request {
                profile,
                scenario: &asked,
                machine: Machine::Real,
                explain: false,
                reading: false,
            })
            .unwrap();
        // 4096 numbers of 2 bytes per token, once from each stage to the next.
        let joules = 4096.0
            * 2.0
            * f64::from(stages - 1)
            * processor.link.as_ref().unwrap().energy_per_byte.typical.0;
        let got = cost.breakdown.interconnect.0;
        assert!(same(got, joules), "{hardware}: {got} J, not {joules} J");
    }
}

#[test]
fn a_formula_names_the_zeros_that_make_it_faster_and_no_others() {
    let formula = |hardware: &str, pattern| {
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = 16;
        recipe.pruning.sparsity = 0.5;
        recipe.pruning.pattern = pattern;
        let outline = Outline::open(&"catalogue:resnet-50".parse().unwrap()).unwrap();
        let profile = outline.predict(&recipe).unwrap();
        let cost = on(&profile, hardware, &scenario(8)).unwrap();
        match cost.throughput.provenance {
            Provenance::Modelled { formula } => formula,
            other => panic!("{other:?} is not modelled"),
        }
    };
    let said = |hardware, pattern| formula(hardware, pattern).contains("with 2:4 zeros");
    assert!(said("nvidia-a100-sxm4-80gb", Pattern::TwoOfFour));
    assert!(!said("nvidia-a100-sxm4-80gb", Pattern::Unstructured));
    assert!(!said("nvidia-v100-sxm2", Pattern::TwoOfFour));
}

#[test]
fn the_ideal_machine_skips_every_zero_and_a_reader_of_files_none() {
    let mut seen = [0; 3];
    for target in catalogue().unwrap() {
        let class = match &target.model {
            CostModel::Processor(processor) if processor.tile.is_none() => 0,
            CostModel::Fpga(_) => 1,
            CostModel::Microcontroller(_) => 2,
            _ => continue,
        };
        for name in ["mlperf-tiny-resnet-8", "resnet-50", "tiny-gpt"] {
            let mut recipe = Recipe::default();
            let bits = if class == 0 { 16 } else { 8 };
            recipe.quantization.weight_bits = bits;
            recipe.quantization.activation_bits = bits;
            recipe.pruning.sparsity = 0.6;
            let profile = perturbed::profile(name, &recipe);
            let asked = scenario(4);
            let executed = |machine| {
                let cost = target.cost(&Request {
                    profile: &profile,
                    scenario: &asked,
                    machine,
                    explain: false,
                    reading: false,
                });
                cost.map(|cost| cost.executed).ok()
            };
            let (Some(ideal), Some(reader)) =
                (executed(Machine::Ideal), executed(Machine::FileReader))
            else {
                continue;
            };
            let context = asked.average_context();
            let work = |zeros: bool| -> f64 {
                let layers = profile.layers.iter().map(|l| {
                    let density = if zeros { 1.0 } else { 1.0 - l.sparsity() };
                    let attends = l.layer.kind == crate::profile::LayerKind::Attention;
                    let seen = if attends { context / 128.0 } else { 1.0 };
                    l.layer.macs * seen * density
                });
                layers.sum()
            };
            // Formats of less than 16 bits only: an operation costs in proportion to both widths.
            let eight_bits = match &target.model {
                CostModel::Processor(p) => p.peak.keys().all(|format| format.bits() < 16),
                _ => false,
            };
            if eight_bits {
                continue;
            }
            assert!(
                same(reader, work(true)),
                "{name} on {}: {reader}",
                target.id
            );
            let wide = match &target.model {
                CostModel::Processor(p) => {
                    let wide = p
                        .peak
                        .keys()
                        .map(|f| f.bits())
                        .filter(|bits| *bits >= 16)
                        .min();
                    (16.0 / f64::from(wide.unwrap())).powi(2)
                }
                _ => 1.0,
            };
            let expected = wide * work(false);
            assert!(
                same(ideal, expected),
                "{name} on {}: {ideal}, not {expected}",
                target.id
            );
            seen[class] += 1;
        }
    }
    assert!(seen.iter().all(|n| *n >= 3), "{seen:?}");
}

#[test]
fn traffic_of_layers_at_the_energy_of_a_byte_is_the_energy_of_traffic() {
    let mut seen = [0; 2];
    for target in catalogue().unwrap() {
        let (class, on_chip, memory) = match &target.model {
            CostModel::Processor(p) => (
                0,
                p.on_chip.energy_per_byte.typical,
                p.memory.as_ref().map(|m| m.energy_per_byte.typical),
            ),
            CostModel::Fpga(fpga) => (
                1,
                fpga.on_chip_energy_per_byte.typical,
                fpga.memory.as_ref().map(|m| m.energy_per_byte.typical),
            ),
            _ => continue,
        };
        for profile in &profiles() {
            let Ok(cost) = on(profile, &target.id, &bare(4)) else {
                continue;
            };
            let bytes = |of: fn(&LayerCost) -> Bytes| -> f64 {
                cost.layers.iter().map(|layer| of(layer).0).sum()
            };
            let (near, far) = (bytes(|l| l.on_chip_bytes), bytes(|l| l.memory_bytes));
            let what = format!("{} on {}", profile.model, target.id);
            assert!(
                same(cost.breakdown.on_chip.0, near * on_chip.0),
                "{what}: {:?} for {near} bytes",
                cost.breakdown.on_chip
            );
            assert!(
                same(cost.breakdown.memory.0, far * memory.map_or(0.0, |j| j.0)),
                "{what}: {:?} for {far} bytes",
                cost.breakdown.memory
            );
            seen[class] += 1;
        }
    }
    assert!(seen.iter().all(|n| *n >= 10), "{seen:?}");
}

#[test]
fn a_small_chip_says_what_of_a_recipe_it_cannot_use_and_no_more() {
    let mut seen = [0; 2];
    for target in catalogue().unwrap() {
        let CostModel::Microcontroller(_) = &target.model else {
            continue;
        };
        for bits in [4, 8, 16] {
            for sparsity in [0.0, 0.5] {
                for batch in [1, 2] {
                    let mut recipe = Recipe::default();
                    recipe.quantization.weight_bits = bits;
                    recipe.quantization.activation_bits = bits.max(8);
                    recipe.pruning.sparsity = sparsity;
                    let profile = perturbed::profile("mlperf-tiny-ds-cnn", &recipe);
                    let Ok(cost) = on(&profile, &target.id, &scenario(batch)) else {
                        continue;
                    };
                    for (clause, applies) in [
                        ("zeros are multiplied", sparsity > 0.0),
                        ("widened to 8", bits < 8),
                        ("a batch is computed one after the other", batch > 1),
                    ] {
                        let text = &cost.explanation;
                        assert_eq!(
                            text.contains(clause),
                            applies,
                            "{}, {bits} bits, {sparsity} zeros, batch {batch}: {text}",
                            target.id
                        );
                    }
                    let Provenance::Modelled { formula } = cost.throughput.provenance else {
                        panic!("not modelled");
                    };
                    assert_eq!(formula.contains("for 16 bits"), bits == 16, "{formula}");
                    seen[usize::from(bits == 16)] += 1;
                }
            }
        }
    }
    assert!(seen[0] >= 24 && seen[1] >= 4, "{seen:?}");
}

#[test]
fn layers_of_logic_execute_their_own_products_without_zeros_or_with_all_of_them() {
    let mut seen = [0; 2];
    for target in catalogue().unwrap() {
        if !matches!(target.model, CostModel::Fpga(_)) {
            continue;
        }
        for mut profile in profiles() {
            // Every layer has another share of zeros.
            for (i, layer) in profile.layers.iter_mut().enumerate() {
                layer.nonzero = layer.layer.weights() * 2 / (3 + i as u64);
            }
            for machine in [Machine::Ideal, Machine::Real] {
                let Ok(cost) = target.cost(&Request {
                    profile: &profile,
                    scenario: &bare(4),
                    machine,
                    explain: false,
                    reading: false,
                }) else {
                    continue;
                };
                let context = bare(4).average_context();
                let layers = || profile.layers.iter().zip(&cost.layers);
                let by = |zeros: bool| {
                    layers().all(|(layer, cost)| {
                        let own = &layer.layer;
                        let attends = own.kind == crate::profile::LayerKind::Attention;
                        let seen = if attends { context / 128.0 } else { 1.0 };
                        let density = if zeros { 1.0 } else { 1.0 - layer.sparsity() };
                        same(cost.operations, 2.0 * own.macs * seen * density)
                    })
                };
                let what = format!("{} on {}, {machine:?}", profile.model, target.id);
                assert!(
                    by(false) || (by(true) && machine == Machine::Real),
                    "{what}"
                );
                seen[usize::from(by(false))] += 1;
            }
        }
    }
    assert!(seen.iter().all(|n| *n >= 5), "{seen:?}");
}

/// The number that a text begins with, with a prefix such as the G of GB.
fn amount(text: &str) -> f64 {
    let mut words = text.split(' ');
    let digits = words.next().unwrap().replace(',', "");
    let factor = match words.next().unwrap_or_default().as_bytes() {
        [b'k', ..] => 1e3,
        [b'M', ..] => 1e6,
        [b'G', ..] => 1e9,
        [b'T', ..] => 1e12,
        _ => 1.0,
    };
    factor * digits.parse::<f64>().unwrap()
}

#[test]
fn what_does_not_fit_is_refused_with_the_room_and_the_devices_that_have_enough() {
    /// Figures of a refusal have three digits.
    const DIGITS: f64 = 0.01;
    let mut named = 0;
    for name in ["llama-3-1-8b", "llama-3-1-70b", "llama-3-1-405b"] {
        let outline = Outline::open(&format!("catalogue:{name}").parse().unwrap()).unwrap();
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = 8;
        recipe.quantization.activation_bits = 8;
        let profile = outline.predict(&recipe).unwrap();
        for target in catalogue().unwrap() {
            let CostModel::Processor(processor) = &target.model else {
                continue;
            };
            for devices in [1, 2] {
                let many = |devices| {
                    let scenario = Scenario { devices, ..bare(4) };
                    on(&profile, &target.id, &scenario)
                };
                let Err(Error::Infeasible(text)) = many(devices) else {
                    continue;
                };
                let Some((_, room)) = text.split_once("do not fit in the ") else {
                    continue;
                };
                let own = match &processor.memory {
                    Some(memory) => memory.capacity.typical.0,
                    None => processor.on_chip.capacity.typical.0 * 0.9,
                };
                let expected = own * f64::from(devices);
                assert!((amount(room) / expected - 1.0).abs() < DIGITS, "{text}");
                let (before, _) = text.rsplit_once(" devices needed").unwrap();
                let needed = amount(before.rsplit_once(' ').unwrap().1) as u32;
                if processor.link.is_none() || needed > 10_000 {
                    continue;
                }
                let fits = |devices| match many(devices) {
                    Err(Error::Infeasible(text)) => !text.contains("do not fit"),
                    _ => true,
                };
                assert!(fits(needed), "{text}");
                assert!(needed == 1 || !fits(needed - 1), "{text}");
                named += 1;
            }
        }
    }
    assert!(named > 20, "{named}");
}
