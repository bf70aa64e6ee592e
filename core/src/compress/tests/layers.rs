//! What holds where layers have bits and zeros of their own.

use proptest::prelude::*;

use super::properties::{any_recipe, cases, data_bytes};
use super::*;
use crate::recipe::{BlockFormat, Override, Width};

const NAMES: [&str; 4] = ["conv", "mix", "pair", "head"];

/// The same with something of its own for two layers.
pub(super) fn with_own(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    let own = |sparsity, weights| Override { sparsity, weights };
    let sparsity = match recipe.pruning.pattern {
        Pattern::TwoOfFour => 0.0,
        Pattern::Unstructured => 0.7,
    };
    let blocks = Some(Width::Blocks(BlockFormat::Q8_0));
    recipe
        .layers
        .set("mix", own(Some(sparsity), Some(Width::Bits(5))));
    recipe.layers.set("head", own(None, blocks));
    recipe
}

fn any_own() -> impl Strategy<Value = Override> {
    let widths = proptest::sample::select(&Recipe::WEIGHT_BITS[..]);
    let sparsity = proptest::option::of(0.0..0.99f64);
    (sparsity, proptest::option::of(widths)).prop_map(|(sparsity, bits)| Override {
        sparsity,
        weights: bits.map(Width::Bits),
    })
}

#[test]
fn a_layer_in_blocks_of_its_own_is_rounded_once_whatever_the_others_have() {
    let mut plain = Recipe::default();
    plain.quantization.blocks = Some(BlockFormat::Q8_0);
    let mut compressor = compressor(5);
    let expected = go(&mut compressor, &plain);
    for bits in [1, 2, 4, 8, 16, 32] {
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = bits;
        let own = Override {
            sparsity: None,
            weights: Some(Width::Blocks(BlockFormat::Q8_0)),
        };
        recipe.layers.set("head", own);
        let found = go(&mut compressor, &recipe);
        assert_eq!(
            found.blocks["head.weight"], expected.blocks["head.weight"],
            "{bits}"
        );
    }
}

fn zeros(profile: &ModelProfile, name: &str) -> u64 {
    let mut layers = profile.layers.iter();
    let layer = layers.find(|l| l.layer.name == name).unwrap();
    layer.layer.weights() - layer.nonzero
}

proptest! {
    #![proptest_config(cases())]

    /// Bits and zeros may be said once for all layers, or for each.
    #[test]
    fn what_each_layer_has_of_its_own_is_what_all_would_have(seed: u64, mut all in any_recipe()) {
        all.pruning.scope = Scope::Layer;
        let mut each = Recipe::default();
        each.quantization.group = all.quantization.group;
        for name in NAMES {
            each.layers.set(name, Override {
                sparsity: Some(all.pruning.sparsity),
                weights: Some(all.quantization.width()),
            });
        }
        let mut compressor = compressor(seed);
        let (a, b) = (go(&mut compressor, &all), go(&mut compressor, &each));
        prop_assert_eq!(bits_of(&a.tensors), bits_of(&b.tensors));
        prop_assert_eq!(&a.profile.layers, &b.profile.layers);
        let planner = compressor.survey().unwrap();
        prop_assert_eq!(planner.plan(&all).layers, planner.plan(&each).layers);
        // Said twice it is said once.
        let mut both = all.clone();
        both.layers = each.layers;
        prop_assert_eq!(both.key(), all.key());
        prop_assert_eq!(go(&mut compressor, &both).profile, a.profile);
    }

    #[test]
    fn a_layer_of_its_own_is_planned_compressed_written_and_read_back(
        seed: u64,
        mut recipe in any_recipe(),
        first in any_own(),
        second in any_own(),
    ) {
        recipe.layers.set("mix", first);
        recipe.layers.set("conv", second);
        let mut compressor = compressor(seed);
        let plain = recipe.of_layer("head").into_owned();
        let made = go(&mut compressor, &recipe);
        for (name, own) in [("mix", first), ("conv", second)] {
            let layer = made.profile.layers.iter().find(|l| l.layer.name == name).unwrap();
            let wanted = own.weights.unwrap_or(recipe.quantization.width());
            prop_assert_eq!(Width::Bits(layer.weight_bits), wanted);
            if let Some(sparsity) = own.sparsity.filter(|_| layer.weight_bits >= 16) {
                // To 4 digits, as recipes are told apart.
                let wanted = plan::fraction((sparsity * 1e4).round() / 1e4, layer.layer.weights());
                prop_assert_eq!(zeros(&made.profile, name), wanted);
            }
        }
        for layer in made.profile.layers.iter().filter(|l| ["pair", "head"].contains(&l.layer.name.as_str())) {
            prop_assert_eq!(layer.weight_bits, plain.quantization.weight_bits);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packed.safetensors");
        let bytes = compressor.export(&recipe, &path).unwrap();
        prop_assert_eq!(bytes, made.profile.stored_bytes());
        prop_assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
        let back = unpack(&path).unwrap();
        prop_assert_eq!(bits_of(&back.tensors), bits_of(&made.tensors));
        prop_assert_eq!(back.recipe, recipe.canonical());
    }

    /// From 2 to 8 bits, and from there to 16 and 32: a bit more for each weight is never less for the file. Scales come and
    /// go between 8 and 16 bits, and signs have no zeros, so that these are not compared with the next.
    #[test]
    fn a_layer_of_more_bits_never_takes_fewer_bytes(seed: u64, mut recipe in any_recipe(), at in 0..4usize) {
        let mut compressor = compressor(seed);
        for widths in [&[2, 3, 4, 5, 6, 7, 8][..], &[16, 32]] {
            let mut last = 0;
            for &bits in widths {
                let own = Override { weights: Some(Width::Bits(bits)), ..Override::NONE };
                recipe.layers.set(NAMES[at], own);
                let bytes = data_bytes(&go(&mut compressor, &recipe).profile);
                prop_assert!(bytes >= last, "{bits} bits: {bytes} after {last}");
                last = bytes;
            }
        }
    }

    #[test]
    fn a_layer_that_is_cut_alone_is_left_out_of_the_common_threshold(
        seed: u64,
        sparsity in 0.05..0.95f64,
        own in 0.0..0.95f64,
    ) {
        let [sparsity, own] = [sparsity, own].map(|share| (share * 1e4).round() / 1e4);
        let mut all = recipe(sparsity, Pattern::Unstructured, Scope::Global, 32, Group::Channel);
        all.layers.set("mix", Override { sparsity: Some(own), ..Override::NONE });
        let mut compressor = compressor(seed);
        let made = go(&mut compressor, &all);
        let others = ["conv", "pair", "head"];
        let lost: u64 = others.iter().map(|name| zeros(&made.profile, name)).sum();
        prop_assert_eq!(lost, plan::fraction(sparsity, 144 + 48 + 640));
        prop_assert_eq!(zeros(&made.profile, "mix"), plan::fraction(own, 1400));
        // No weight that stays is smaller than one that goes.
        let (mut kept, mut gone) = (f32::INFINITY, 0f32);
        let (_, tensors) = network(seed);
        for name in others.map(|name| format!("{name}.weight")) {
            for (before, after) in numbers(&tensors, &name).iter().zip(numbers(&made.tensors, &name)) {
                if after == 0.0 {
                    gone = gone.max(before.abs());
                } else {
                    kept = kept.min(before.abs());
                }
            }
        }
        prop_assert!(gone <= kept, "{gone} is gone, {kept} is kept");
        // Another sparsity of the one leaves the others' as it was, found anew or not.
        all.layers.set("mix", Override { sparsity: Some(0.2), ..Override::NONE });
        let again = go(&mut compressor, &all);
        let fresh = go(&mut self::compressor(seed), &all);
        prop_assert_eq!(bits_of(&again.tensors), bits_of(&fresh.tensors));
        // What is planned from a survey, in steps of a percent, is near.
        let planned = compressor.survey().unwrap().plan(&all);
        for name in others {
            let (planned, real) = (zeros(&planned, name) as f64, zeros(&again.profile, name) as f64);
            prop_assert!((planned - real).abs() <= 0.03 * 640.0, "{name}: {planned} of {real}");
        }
    }
}

#[test]
fn errors_are_those_of_the_weights_and_histograms_hold_all_of_them() {
    let (_, tensors) = network(5);
    let mut compressor = compressor(5);
    for recipe in grid().iter().step_by(5).map(with_own) {
        let made = go(&mut compressor, &recipe);
        let weights = compressor.on_demand(&recipe, &|| false).unwrap();
        for (_, name) in weights.compressed() {
            let (before, after) = (numbers(&tensors, name), numbers(&made.tensors, name));
            let changes = before.iter().zip(&after).map(|(b, a)| f64::from(b - a));
            let noise: f64 = changes.map(|change| change * change).sum();
            let error = weights.error(name).unwrap();
            assert!(
                (error.noise - noise).abs() <= 1e-9 * noise,
                "{name} {recipe:?}"
            );
            assert_eq!(
                error.decibels().is_none(),
                noise == 0.0,
                "{name} {recipe:?}"
            );
            let look = weights.look(name).unwrap();
            for counts in [&look.before, &look.after] {
                assert_eq!(counts.iter().sum::<u64>(), before.len() as u64);
            }
            let most = |numbers: &[f32]| numbers.iter().fold(0.0, |a: f32, n| a.max(n.abs()));
            assert_eq!(look.range, most(&before).max(most(&after)));
            if let Some(threshold) = look.threshold {
                let small = |weight: &&f32| weight.abs() < threshold;
                let lost = before.iter().filter(small).count();
                let zeros = after.iter().filter(|weight| **weight == 0.0).count();
                assert!(lost <= zeros, "{name} {recipe:?}");
            }
        }
    }
}
