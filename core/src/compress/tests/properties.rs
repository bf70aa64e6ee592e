//! What holds for every recipe.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// The same cases in every run, so that a change is what breaks a test and not chance. Others are tried with
/// `PROPTEST_RNG_SEED` and `PROPTEST_CASES`.
pub(super) fn cases() -> ProptestConfig {
    let chosen = ProptestConfig::default();
    ProptestConfig {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            chosen.cases
        } else {
            48
        },
        rng_seed: match chosen.rng_seed {
            RngSeed::Random => RngSeed::Fixed(8),
            fixed => fixed,
        },
        ..chosen
    }
}

/// A scale in half precision is rounded up by at most 2^-10 of itself.
const SCALE_TOLERANCE: f32 = 1.0 / 1024.0;
/// An f32 quotient is off by a few units in its last place: 127 steps times 2^-22.
const HALF_STEP_TOLERANCE: f32 = 0.5 + 127.0 / 4_194_304.0;
/// Half precision has steps of 2^-24 below 2^-14.
const HALF_SMALLEST_STEP: f32 = 0.5 / 16_777_216.0;

pub(super) fn any_recipe() -> impl Strategy<Value = Recipe> {
    (
        0.0..0.99f64,
        prop_oneof![Just(Scope::Layer), Just(Scope::Global)],
        proptest::sample::select(&Recipe::WEIGHT_BITS[..]),
        proptest::sample::select(
            &[
                Group::Channel,
                Group::Size(8),
                Group::Size(16),
                Group::Size(64),
            ][..],
        ),
    )
        .prop_map(|(sparsity, scope, bits, group)| {
            recipe(sparsity, Pattern::Unstructured, scope, bits, group)
        })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn zeros_stay_zeros_and_no_weight_moves_further_than_half_a_step(seed: u64, recipe in any_recipe()) {
        let mut compressor = compressor(seed);
        let mut wide = recipe.clone();
        wide.quantization.weight_bits = 32;
        let pruned = go(&mut compressor, &wide).tensors;
        let rounded = go(&mut compressor, &recipe).tensors;
        let Quantization { weight_bits, group, .. } = recipe.quantization;
        for name in ["conv.weight", "mix.weight", "pair.weight", "head.weight"] {
            let matrix = Matrix::of(pruned[name].dims());
            let (before, after) = (numbers(&pruned, name), numbers(&rounded, name));
            for (before, after) in before.chunks(matrix.fan_in).zip(after.chunks(matrix.fan_in)) {
                let group = matrix.group(group);
                for (before, after) in before.chunks(group).zip(after.chunks(group)) {
                    let largest = before.iter().fold(0f32, |a, w| a.max(w.abs()));
                    let step = largest / quantize::largest_code(weight_bits.min(8)) * (1.0 + SCALE_TOLERANCE);
                    for (&b, &a) in before.iter().zip(after) {
                        prop_assert!(b != 0.0 || a.to_bits() == 0, "{name}: {b} became {a}");
                        let bound = match weight_bits {
                            32 => 0.0,
                            16 => (b.abs() / 2048.0).max(HALF_SMALLEST_STEP),
                            1 => f32::INFINITY,
                            _ => step * HALF_STEP_TOLERANCE,
                        };
                        prop_assert!((a - b).abs() <= bound, "{name}: {b} became {a}, step {step}");
                        prop_assert!(a == 0.0 || a.signum() == b.signum());
                    }
                }
            }
        }
    }

    #[test]
    fn more_zeros_never_raise_operations_or_bytes(seed: u64, a in any_recipe(), more in 0.0..0.99f64) {
        let mut compressor = compressor(seed);
        let mut b = a.clone();
        b.pruning.sparsity = a.pruning.sparsity.max(more);
        // Group maxima change only when a whole group goes; one-bit scales change always, but not what is stored.
        let (few, many) = (go(&mut compressor, &a).profile, go(&mut compressor, &b).profile);
        prop_assert!(many.nonzero_macs() <= few.nonzero_macs());
        prop_assert!(many.nominal_bits() <= few.nominal_bits());
        // A mask of a pruned one-bit layer costs more than the zeros that it saves.
        if a.quantization.weight_bits > 1 {
            prop_assert!(data_bytes(&many) <= data_bytes(&few));
        }
    }

    /// From 8 to 2 bits. The step to 1 bit is apart: there no kept weight rounds to zero, so that a pruned layer can need
    /// more than at 2 bits, where absmax rounds most weights to zero. From 16 to 8 scales come in, which rows of
    /// two weights do not pay back.
    #[test]
    fn fewer_bits_never_raise_stored_bytes(seed: u64, mut recipe in any_recipe()) {
        let mut compressor = compressor(seed);
        let mut last = u64::MAX;
        for bits in (2..=8).rev() {
            recipe.quantization.weight_bits = bits;
            let bytes = go(&mut compressor, &recipe).profile.stored_bytes();
            prop_assert!(bytes <= last, "{bytes} at {bits} bits, {last} at one more");
            last = bytes;
        }
    }

    #[test]
    fn fewer_bits_never_raise_planned_bytes(mut recipe in any_recipe()) {
        let (planner, _) = network(0);
        let mut last = u64::MAX;
        for bits in (1..=8).rev() {
            recipe.quantization.weight_bits = bits;
            let bytes = planner.plan(&recipe).stored_bytes();
            prop_assert!(bytes <= last);
            last = bytes;
        }
    }
}

/// Stored bytes without the header, whose length changes with the digits of the recipe.
pub(super) fn data_bytes(profile: &crate::profile::ModelProfile) -> u64 {
    profile.layers.iter().map(|l| l.stored_bytes).sum()
}

#[test]
fn only_compressed_layers_of_few_bits_have_scales_one_for_each_group() {
    let (planner, _) = network(12);
    let by_hand = |name: &str, per_group: Option<usize>| {
        let groups = |fan_in: usize| per_group.map_or(1, |group| fan_in.div_ceil(group));
        match name {
            "conv" => 16 * groups(9),
            "mix" => 40 * groups(35),
            "pair" => 24 * groups(2),
            "head" => 10 * groups(64),
            _ => 0,
        }
    };
    for bits in Recipe::WEIGHT_BITS {
        for (group, size) in [
            (Group::Channel, None),
            (Group::Size(8), Some(8)),
            (Group::Size(32), Some(32)),
        ] {
            let recipe = recipe(0.0, Pattern::Unstructured, Scope::Layer, bits, group);
            for layer in planner.plan(&recipe).layers {
                let expected = match bits {
                    16.. => 0,
                    _ => by_hand(&layer.layer.name, size) as u64,
                };
                assert_eq!(layer.scales, expected, "{} at {bits}", layer.layer.name);
            }
        }
    }
}

#[test]
fn of_many_equal_weights_those_that_come_first_become_zero() {
    let layers = [layer("wide", LayerKind::Linear, &[2000, 150], 0, true)];
    let shapes = [("wide.weight".to_owned(), vec![2000, 150])];
    let planner = Planner::new("test", Unit::Image, &layers, &shapes, "{\"a\":1}").unwrap();
    let weights = vec![0.5_f32; 300_000];
    let tensor = Tensor::from_vec(weights, (2000, 150), &Device::Cpu).unwrap();
    let tensors = Tensors::from([("wide.weight".to_owned(), tensor)]);
    let mut compressor = Compressor::new(planner, &tensors).unwrap();
    let recipe = recipe(0.7, Pattern::Unstructured, Scope::Layer, 8, Group::Channel);
    let compressed = go(&mut compressor, &recipe);
    let left = numbers(&compressed.tensors, "wide.weight");
    let zeros = left.iter().take_while(|w| **w == 0.0).count();
    assert_eq!(zeros, 210_000);
    assert!(left[zeros..].iter().all(|w| *w != 0.0));
}
