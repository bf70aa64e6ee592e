//! Images that are made in denoising steps: what they cost on every device.

use std::collections::BTreeSet;

use crate::carbon;
use crate::compress::plan;
use crate::footprint::footprint;
use crate::hardware;
use crate::model::{Architecture, DiffusionConfig};
use crate::profile::{ModelProfile, Unit};
use crate::recipe::Recipe;
use crate::scenario::Scenario;

fn denoiser(bits: u8) -> ModelProfile {
    let layers = Architecture::Diffusion(DiffusionConfig::fashion()).layers();
    let mut recipe = Recipe::default();
    recipe.quantization.weight_bits = bits;
    if bits <= 8 {
        recipe.quantization.activation_bits = 8;
    }
    plan("denoiser", Unit::Image, &layers, &recipe)
}

fn within(steps: u32, batch: u32, hardware: &str) -> Scenario {
    Scenario {
        hardware: hardware.to_owned(),
        denoising_steps: steps,
        batch,
        ..Scenario::default()
    }
}

#[test]
fn energy_and_time_of_an_image_grow_with_its_steps_on_every_class_of_devices() {
    /// Rounding.
    const TOLERANCE: f64 = 1e-9;
    let grid = carbon::find_grid("WORLD").unwrap();
    let mut classes = BTreeSet::new();
    for target in hardware::catalogue().unwrap() {
        for (bits, batch) in [(32, 1), (8, 1), (8, 32), (4, 256)] {
            let profile = denoiser(bits);
            let of = |steps| footprint(&profile, &within(steps, batch, &target.id), target, grid);
            let Ok(one) = of(1) else {
                continue;
            };
            classes.insert(target.class);
            let [ten, twenty, forty] = [10, 20, 40].map(|steps| of(steps).unwrap());
            for (what, figures) in [
                (
                    "energy",
                    [&one, &ten, &twenty, &forty].map(|f| f.energy_per_unit.range.typical.0),
                ),
                (
                    "time",
                    [&one, &ten, &twenty, &forty].map(|f| f.latency.range.typical.0),
                ),
            ] {
                let [one, ten, twenty, forty] = figures;
                for (steps, all) in [(10.0, ten), (20.0, twenty), (40.0, forty)] {
                    assert!(
                        (all / steps / one - 1.0).abs() < TOLERANCE,
                        "{} {bits} {batch}: {what} {figures:?}",
                        target.id
                    );
                }
            }
            assert!(
                ten.explanation.contains("10 denoising steps"),
                "{}: {}",
                target.id,
                ten.explanation
            );
        }
    }
    assert!(classes.len() >= 5, "{classes:?}");
}

#[test]
fn steps_change_nothing_of_what_is_not_made_in_steps() {
    let layers = Architecture::Cnn(crate::model::CnnConfig::fashion()).layers();
    let profile = plan("classifier", Unit::Image, &layers, &Recipe::default());
    let grid = carbon::find_grid("WORLD").unwrap();
    let target = hardware::find("nvidia-jetson-orin-nano-8gb").unwrap();
    let of = |steps| footprint(&profile, &within(steps, 1, &target.id), target, grid).unwrap();
    assert_eq!(of(1), of(100));
}

#[test]
fn a_step_asks_for_what_the_graph_does() {
    let one = denoiser(32);
    let many = one.in_steps(7);
    assert_eq!(many.macs(), 7.0 * one.macs());
    assert!(!many.is_made_in_steps() && one.is_made_in_steps());
    assert_eq!(many.parameters(), one.parameters());
    // 3x3 convolutions, layers that hear of the time, and two of its own, counted by hand.
    let config = DiffusionConfig::fashion();
    let conv = |from: usize, to: usize, size: usize| 9 * from * to * size * size;
    let hidden = config.hidden;
    let block = |c: usize, size: usize| 2 * conv(c, c, size) + hidden * 2 * c + c * size * size;
    let [a, b, c] = config.levels[..] else {
        panic!("three levels");
    };
    let by_hand = config.features * hidden
        + hidden * hidden
        + conv(1, a, 28)
        + conv(a, b, 14)
        + block(b, 14)
        + conv(b, c, 7)
        + block(c, 7)
        + conv(c, b, 7)
        + block(b, 14)
        + conv(b, a, 14)
        + block(a, 28)
        + conv(a, 1, 28);
    assert_eq!(one.macs(), by_hand as f64);
}
