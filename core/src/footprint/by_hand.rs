//! Figures and words of footprints, against what follows from the parts of the same scenario by other ways.

use super::tests::{on, profiles, scenario};
use super::*;
use crate::carbon::find_grid;
use crate::hardware::{CostModel, HardwareClass, catalogue, find};
use crate::outline::Outline;
use crate::recipe::{Pattern, Recipe};
use crate::software::Software;

/// Rounding of sums.
const ROUNDING: f64 = 1e-9;

fn same(a: f64, b: f64) -> bool {
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
            for packed in &mut processor.packed {
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
            for start in &mut processor.start {
                start.typical = Seconds(start.typical.0 / BETTER);
            }
            for packed in &mut processor.packed {
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
        if let CostModel::Processor(processor) = &mut target.model {
            for link in &mut processor.link {
                link.bandwidth.typical = link.bandwidth.typical * BETTER;
                link.latency.typical = Seconds(link.latency.typical.0 / BETTER);
            }
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
                    .position(|(bound, _)| *bound == layer.bound)
                    .unwrap();
                assert!(
                    gains[own] >= most * (1.0 - ALIKE),
                    "{} of {} on {} is said to be limited by {:?}, and gains {gains:?}",
                    layer.layer,
                    profile.model,
                    target.id,
                    layer.bound
                );
                seen[own] += 1;
            }
        }
    }
    assert!(seen.iter().all(|n| *n > 30), "{seen:?}");
}

#[test]
fn stages_hand_on_what_enters_the_narrowest_layer() {
    let outline = Outline::open(&"catalogue:llama-3-1-8b".parse().unwrap()).unwrap();
    let profile = outline.predict(&Recipe::default()).unwrap();
    for (hardware, stages, batch) in [("nvidia-h100-sxm", 4, 64), ("google-tpu-v5p", 2, 8)] {
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
                profile: &profile,
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
