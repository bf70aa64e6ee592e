//! The formulas of the class models in METHODS.md written a second time, from its text: no code of the cost models is used here but the lists of
//! layers and of constants. Both must agree on time and energy, at the low, typical and high ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

mod chips;
mod logic;
mod processors;

use std::collections::BTreeMap;

use chips::{as_spikes, on_small_chip};
use logic::in_logic;
use processors::on_processor;
use wattif_core::carbon::find_grid;
use wattif_core::footprint::footprint;
use wattif_core::hardware::{CostModel, HardwareTarget, catalogue};
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_core::profile::{LayerKind, LayerProfile, ModelProfile, Unit};
use wattif_core::recipe::{Group, Pattern, Recipe};
use wattif_core::scenario::Scenario;
use wattif_core::software::Software;

/// Favourable, typical, unfavourable.
const ENDS: [usize; 3] = [0, 1, 2];

/// Constants of a device by the names of their fields.
struct Constants(BTreeMap<String, [f64; 3]>);

impl Constants {
    fn of(target: &HardwareTarget) -> Self {
        let figures = target.figures().into_iter().map(|listed| {
            let range = listed.figure.range();
            (listed.field, [range.low, range.typical, range.high])
        });
        Self(figures.collect())
    }

    fn maybe(&self, field: &str) -> Option<[f64; 3]> {
        self.0.get(field).copied()
    }

    /// A figure of which less is better, at an end.
    fn less(&self, field: &str, end: usize) -> f64 {
        self.maybe(field).unwrap_or([0.0; 3])[end]
    }

    /// A figure of which more is better.
    fn more(&self, field: &str, end: usize) -> f64 {
        self.maybe(field).unwrap_or_else(|| panic!("{field}"))[2 - end]
    }
}

fn multiplies(layer: &LayerProfile) -> bool {
    matches!(
        layer.layer.kind,
        LayerKind::Linear | LayerKind::Conv2d | LayerKind::Recurrent
    )
}

/// Multiply-accumulates and cached numbers of a layer per unit of work.
fn work(profile: &ModelProfile, layer: &LayerProfile, context: f64) -> (f64, f64) {
    let own = &layer.layer;
    if own.kind != LayerKind::Attention || profile.unit != Unit::Token {
        return (own.macs, own.cache);
    }
    let seen = own
        .execution
        .window
        .map_or(context, |w| context.min(f64::from(w)));
    (own.macs * seen / 128.0, own.cache * seen / 128.0)
}

fn recipes() -> Vec<Recipe> {
    let mut all = Vec::new();
    for (weights, activations, sparsity, pattern) in [
        (32, 32, 0.0, Pattern::Unstructured),
        (16, 16, 0.5, Pattern::TwoOfFour),
        (8, 8, 0.0, Pattern::Unstructured),
        (8, 8, 0.5, Pattern::Unstructured),
        (4, 8, 0.75, Pattern::Unstructured),
        (4, 32, 0.0, Pattern::Unstructured),
        (2, 4, 0.9, Pattern::Unstructured),
    ] {
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = weights;
        recipe.quantization.activation_bits = activations;
        recipe.quantization.group = Group::Channel;
        recipe.pruning.sparsity = sparsity;
        recipe.pruning.pattern = pattern;
        all.push(recipe);
    }
    all
}

type Second = fn(&HardwareTarget, &ModelProfile, &Scenario) -> Option<[(f64, f64); 3]>;

#[test]
fn a_second_implementation_of_the_methods_agrees() {
    /// In METHODS nothing is rounded; sizes of parts may differ where plans are alike.
    const APART: f64 = 0.01;
    let networks = [
        "lenet-5",
        "mlperf-tiny-resnet-8",
        "mlperf-tiny-ds-cnn",
        "mobilenet-v2",
        "resnet-50",
        "gpt2",
        "llama-3-2-1b",
        "bert-base",
        "lstm-ptb-medium",
    ];
    let mut compared: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in networks {
        let reference: ModelReference = format!("catalogue:{name}").parse().unwrap();
        let outline = Outline::open(&reference).unwrap();
        for recipe in recipes() {
            let profile = outline.predict(&recipe).unwrap();
            for target in catalogue().unwrap() {
                // What is detected on this machine has kernels of its own.
                if target.id == "this-cpu" {
                    continue;
                }
                let (class, second): (&str, Second) = match &target.model {
                    CostModel::Processor(_) => ("processors", on_processor),
                    CostModel::Fpga(_) => ("logic", in_logic),
                    CostModel::Microcontroller(_) => ("small chips", on_small_chip),
                    CostModel::Neuromorphic(_) => ("spikes", as_spikes),
                };
                for (batch, context) in [(1, 128), (7, 1000)] {
                    let scenario = Scenario {
                        hardware: target.id.clone(),
                        batch,
                        context,
                        software: Software::Bare,
                        ..Scenario::default()
                    };
                    let Ok(first) =
                        footprint(&profile, &scenario, target, find_grid("FR").unwrap())
                    else {
                        continue;
                    };
                    let Some(second) = second(target, &profile, &scenario) else {
                        continue;
                    };
                    *compared.entry(class).or_default() += 1;
                    let time = first.throughput.range.map_decreasing(|rate| 1.0 / rate.0);
                    let energy = first.energy_per_unit.range;
                    for (what, (own, other)) in [
                        ("time, low", (time.low, second[0].0)),
                        ("time", (time.typical, second[1].0)),
                        ("time, high", (time.high, second[2].0)),
                        ("energy, low", (energy.low.0, second[0].1)),
                        ("energy", (energy.typical.0, second[1].1)),
                        ("energy, high", (energy.high.0, second[2].1)),
                    ] {
                        if (own / other - 1.0).abs() > APART {
                            wrong.push(format!(
                                "{class}: {name}, {} on {} at batch {batch}: {what} {own:.4e}, by METHODS {other:.4e}",
                                recipe.key(), target.id
                            ));
                        }
                    }
                }
            }
        }
    }
    for (class, count) in &compared {
        assert!(*count >= 40, "{class}: only {count} configurations");
    }
    assert_eq!(compared.len(), 4, "{compared:?}");
    assert!(
        wrong.is_empty(),
        "{} of {compared:?}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
