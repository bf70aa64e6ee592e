//! Ranges hold what a device would do if one of its constants were another one of its range, and costs have no cliffs.

use super::*;
use crate::carbon::find_grid;
use crate::hardware::{HardwareClass, catalogue};
use crate::model::bundled;
use crate::outline::Outline;
use crate::recipe::{Group, Pattern, Recipe};
use crate::software::Software;
use crate::units::Watts;

fn at_bits(weights: u8, activations: u8) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.quantization.weight_bits = weights;
    recipe.quantization.activation_bits = activations;
    recipe
}

/// A network with weights, or by its shapes.
pub(super) fn profile(name: &str, recipe: &Recipe) -> ModelProfile {
    match bundled::find(name) {
        Ok(_) => {
            let model = bundled::load(name).unwrap();
            let planner = crate::engine::planner(name, &model.architecture).unwrap();
            planner.plan(recipe)
        }
        Err(_) => {
            let reference = format!("catalogue:{name}").parse().unwrap();
            Outline::open(&reference).unwrap().predict(recipe).unwrap()
        }
    }
}

fn on(target: &HardwareTarget, profile: &ModelProfile, batch: u32) -> Option<Footprint> {
    let scenario = Scenario {
        hardware: target.id.clone(),
        batch,
        software: Software::Bare,
        ..Scenario::default()
    };
    footprint(profile, &scenario, target, find_grid("FR").unwrap()).ok()
}

fn ends(footprint: &Footprint) -> [Range<f64>; 3] {
    let throughput = footprint.throughput.range;
    [
        throughput.map_decreasing(|rate| 1.0 / rate.0),
        footprint.energy_per_unit.range.map(|joules| joules.0),
        footprint.embodied_per_unit.range.map(|grams| grams.0),
    ]
}

#[test]
fn the_range_holds_what_any_constant_within_its_own_range_gives() {
    /// Rounding of sums.
    const ROUNDING: f64 = 1e-6;
    let networks = ["fashion-cnn", "tiny-gpt", "resnet-50"];
    let profiles = networks.map(|name| profile(name, &at_bits(8, 8)));
    let mut tried = 0;
    let mut outside = Vec::new();
    for target in catalogue().unwrap() {
        for profile in &profiles {
            let Some(all) = on(target, profile, 16) else {
                continue;
            };
            for listed in target.figures() {
                let range = listed.figure.range();
                for value in [range.low, range.high] {
                    if value == range.typical {
                        continue;
                    }
                    let mut other = target.clone();
                    let mut figure = listed.figure.clone();
                    (figure.low, figure.typical, figure.high) = (None, value, None);
                    other.set_figure(&listed.field, &figure).unwrap();
                    let Some(moved) = on(&other, profile, 16) else {
                        continue;
                    };
                    tried += 1;
                    for (what, (moved, all)) in ["time", "energy", "embodied"]
                        .iter()
                        .zip(ends(&moved).into_iter().zip(ends(&all)))
                    {
                        let value = moved.typical;
                        if value < all.low * (1.0 - ROUNDING) || value > all.high * (1.0 + ROUNDING)
                        {
                            outside.push(format!(
                                "{} {} {} at {}: {what} {value:.3e} outside {:.3e} to {:.3e}",
                                target.id,
                                profile.model,
                                listed.field,
                                figure.typical,
                                all.low,
                                all.high
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(tried > 2000, "{tried}");
    assert!(
        outside.is_empty(),
        "{} of {tried}:\n{}",
        outside.len(),
        outside.join("\n")
    );
}

#[test]
fn a_layer_takes_as_long_as_the_power_limit_makes_it() {
    let profile = profile("resnet-50", &at_bits(8, 8));
    let mut stretched = 0;
    for target in catalogue().unwrap() {
        let Some(before) = on(target, &profile, 64) else {
            continue;
        };
        let mut capped = target.clone();
        let busy = before.energy_per_unit.range.typical.0 * before.throughput.range.typical.0;
        let idle = target.static_power.typical.0;
        let mut limit = target.power_limit.clone();
        let least = 1.05 * target.static_power.range().high.0;
        let watts = least.max(idle + 0.15 * (busy - idle));
        (limit.low, limit.typical, limit.high) = (None, Watts(watts), None);
        if busy < 1.5 * watts {
            continue;
        }
        capped.power_limit = limit;
        let Some(after) = on(&capped, &profile, 64) else {
            continue;
        };
        let times = after.layers.iter().map(|layer| layer.time.0).sum::<f64>();
        let unit = 1.0 / after.throughput.range.typical.0;
        assert!(
            (times / unit - 1.0).abs() < 1e-6,
            "{}: {times} of {unit}",
            target.id
        );
        let energy = after
            .layers
            .iter()
            .map(|layer| layer.energy.total().0)
            .sum::<f64>();
        let whole = after.energy_per_unit.range.typical.0;
        assert!(
            (energy / whole - 1.0).abs() < 1e-6,
            "{}: {energy} of {whole}",
            target.id
        );
        if matches!(target.model, crate::hardware::CostModel::Processor(_)) {
            let power = whole / unit;
            assert!(
                power < capped.power_limit.typical.0 * 1.001,
                "{}: {power} W",
                target.id
            );
            stretched += usize::from(unit > 1.5 / before.throughput.range.typical.0);
        }
    }
    assert!(stretched > 4, "{stretched}");
}

/// How far one value lies above another, as a factor of at least 1.
fn step(a: f64, b: f64) -> f64 {
    (a / b).max(b / a)
}

#[test]
fn a_little_more_of_a_network_costs_a_little_more() {
    /// Cost of a little more, over how much more of any layer it is: tiles of a matrix unit fill at once.
    const STEP: f64 = 1.2;
    let mut cliffs = Vec::new();
    let full = profile("vgg-16", &at_bits(8, 8));
    for target in catalogue().unwrap() {
        if target.class == HardwareClass::Neuromorphic {
            continue;
        }
        let mut before: Option<Footprint> = None;
        for step_number in 0..400 {
            // From a thousandth to all of it.
            let share = 0.001 * 1.02_f64.powi(step_number);
            if share > 1.0 {
                break;
            }
            let mut part = full.clone();
            let mut most: f64 = 1.0;
            let last = share / 1.02;
            for layer in &mut part.layers {
                // Rows fall away; work and weights with them.
                let rows = layer.layer.shape.first().copied().unwrap_or(1);
                let kept = ((rows as f64 * share).round() as usize).max(1);
                let ratio = kept as f64 / rows as f64;
                let was = ((rows as f64 * last).round()).max(1.0);
                most = most.max(kept as f64 / was);
                if let Some(first) = layer.layer.shape.first_mut() {
                    *first = kept;
                }
                layer.layer.macs *= ratio;
                layer.layer.outputs *= ratio;
                layer.nonzero = layer.layer.weights();
                layer.stored_bytes = layer.layer.weights();
            }
            let now = on(target, &part, 1);
            if let (Some(a), Some(b)) = (&before, &now) {
                let [time_a, energy_a, _] = ends(a);
                let [time_b, energy_b, _] = ends(b);
                let grown: f64 = part.layers.iter().map(|l| l.layer.macs).sum();
                let (time, energy) = (
                    step(time_a.typical, time_b.typical),
                    step(energy_a.typical, energy_b.typical),
                );
                if time > STEP * most || energy > STEP * most {
                    cliffs.push(format!(
                        "{} at {share:.4} ({grown:.2e} MACs): time {time:.2}, energy {energy:.2}",
                        target.id
                    ));
                }
            }
            before = now;
        }
    }
    assert!(
        cliffs.is_empty(),
        "{} cliffs:\n{}",
        cliffs.len(),
        cliffs.join("\n")
    );
}

#[test]
fn nominal_falls_with_bits_and_zeros_and_is_no_less_than_what_is_executed() {
    let mut wrong = Vec::new();
    for name in ["resnet-50", "tiny-gpt", "mobilenet-v2", "llama-3-2-1b"] {
        let original = profile(name, &at_bits(16, 16));
        for target in catalogue().unwrap() {
            let scenario = Scenario {
                hardware: target.id.clone(),
                batch: 8,
                software: Software::Bare,
                ..Scenario::default()
            };
            let savings = |recipe: &Recipe| {
                savings(&original, &profile(name, recipe), &scenario, target).ok()
            };
            let mut last: Option<(u8, Savings)> = None;
            for bits in [16, 8, 6, 4, 2] {
                let mut recipe = at_bits(bits, bits);
                recipe.quantization.group = Group::Channel;
                let Some(now) = savings(&recipe) else {
                    continue;
                };
                let what = || format!("{name} on {} at {bits} bits: {now:?}", target.id);
                if now.operations.nominal < now.operations.realised - 1e-9 {
                    wrong.push(format!("executed: {}", what()));
                }
                // Spiking networks of narrower weights fill fewer cores, which then have more to do.
                if target.class == HardwareClass::Neuromorphic {
                    continue;
                }
                if now.energy.nominal < -1e-9 || now.time.nominal < -1e-9 {
                    wrong.push(format!("sign: {}", what()));
                }
                if let Some((_, last)) = &last
                    && (now.time.nominal < last.time.nominal - 1e-9
                        || now.energy.nominal < last.energy.nominal - 1e-9
                        || now.operations.nominal < last.operations.nominal - 1e-9)
                {
                    wrong.push(format!("order: {}", what()));
                }
                last = Some((bits, now));
            }
            let mut pruned = at_bits(8, 8);
            pruned.pruning.sparsity = 0.5;
            pruned.pruning.pattern = Pattern::Unstructured;
            if target.class != HardwareClass::Neuromorphic
                && let (Some(dense), Some(sparse)) = (savings(&at_bits(8, 8)), savings(&pruned))
                && sparse.time.nominal < dense.time.nominal - 1e-9
            {
                wrong.push(format!("zeros: {name} on {}", target.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_spiking_chip_draws_more_than_it_may_or_handles_more_events_than_it_can() {
    let mut checked = 0;
    for name in ["fashion-cnn", "mobilenet-v2", "resnet-50", "vgg-16"] {
        for bits in [1, 2, 8] {
            let profile = profile(name, &at_bits(bits, 8));
            for target in catalogue().unwrap() {
                let crate::hardware::CostModel::Neuromorphic(chip) = &target.model else {
                    continue;
                };
                let Some(footprint) = on(target, &profile, 1) else {
                    continue;
                };
                checked += 1;
                let chips = footprint.devices_for_demand as f64;
                let [time, energy, _] = ends(&footprint);
                let watts = energy.typical / time.typical;
                let groups = (Scenario::default().demand_per_day / 86_400.0 * time.typical
                    / Scenario::default().utilization)
                    .ceil()
                    .max(1.0);
                let most = target.power_limit.range().typical.0 * chips / groups;
                assert!(
                    watts <= 1.001 * most,
                    "{name} at {bits} bits on {}: {watts} W of {most} W",
                    target.id
                );
                // Every chip idles: static power is that of all of them.
                let idle = footprint.breakdown.static_power.0 / time.typical;
                let all = target.static_power.typical.0 * chips / groups;
                assert!(
                    (idle / all - 1.0).abs() < 1e-6,
                    "{}: {idle} W of {all} W",
                    target.id
                );
                let events: f64 = footprint.layers.iter().map(|l| l.operations / 2.0).sum();
                let rate = events / time.typical / (chips / groups * chip.cores.range().high);
                assert!(
                    rate <= 1.001 * chip.events_per_second.typical,
                    "{name} at {bits} bits on {}: {rate:.2e} events a second and core",
                    target.id
                );
            }
        }
    }
    assert!(checked > 15, "{checked}");
}
