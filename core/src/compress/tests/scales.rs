//! Scales: those of groups that hold a weight, in the file, in what is counted and in what is planned.

use proptest::prelude::*;

use super::*;

/// A layer of these rows and nothing else.
fn rows(rows: &[&[f32]]) -> Compressor {
    let shape = vec![rows.len(), rows[0].len()];
    let layers = [layer("rows", LayerKind::Linear, &shape, 0, true)];
    let shapes = [("rows.weight".to_owned(), shape.clone())];
    let planner = Planner::new("test", Unit::Image, &layers, &shapes, "{\"a\":1}").unwrap();
    let tensor = Tensor::from_vec(rows.concat(), shape, &Device::Cpu).unwrap();
    Compressor::new(
        planner,
        &Tensors::from([("rows.weight".to_owned(), tensor)]),
    )
    .unwrap()
}

/// Bytes before scales: 8 of prefix and 4 for each of two dimensions.
const START: u64 = 16;

#[test]
fn a_small_layer_has_the_scales_and_bytes_counted_by_hand() {
    // Groups of 8: [1, 8], zeros, [-2] and a rest of four, of which one is small.
    let mut first = [0.0; 20];
    (first[0], first[7]) = (1.0, 8.0);
    first[16..].copy_from_slice(&[3.0, 3.0, 3.0, 0.1]);
    let mut second = [0.0; 20];
    second[9] = -2.0;
    let mut compressor = rows(&[&first, &second]);
    let shapes_only = compressor.planner().clone();
    let surveyed = compressor.survey().unwrap();
    for (sparsity, bits, group, nonzero, scales, bytes) in [
        // 40 weights: a bitmap of 5 bytes and 7 codes of 4 bits; of 6 groups 3 hold a weight.
        (0.0, 8, Group::Size(8), 7, 3, 5 + 7 + 2 * 3),
        // At 4 bits a seventh of 8 is the step, 1 remains; a seventh of 3 makes 0.1 zero.
        (0.0, 4, Group::Size(8), 6, 3, 5 + 3 + 2 * 3),
        // 38 zeros: 8 and one of the threes are left.
        (0.95, 4, Group::Size(8), 2, 2, 5 + 1 + 2 * 2),
        (0.95, 1, Group::Size(8), 2, 2, 5 + 1 + 2 * 2),
        (0.95, 8, Group::Channel, 2, 1, 5 + 2 + 2),
        // One weight is left.
        (0.975, 8, Group::Size(8), 1, 1, 5 + 1 + 2),
        // No scales at 16 bits.
        (0.95, 16, Group::Size(8), 2, 0, 5 + 4),
    ] {
        let recipe = recipe(sparsity, Pattern::Unstructured, Scope::Layer, bits, group);
        let counted = go(&mut compressor, &recipe).profile;
        let counted = &counted.layers[0];
        let found = (counted.nonzero, counted.scales, counted.stored_bytes);
        assert_eq!(found, (nonzero, scales, START + bytes), "{recipe:?}");
        if sparsity == 0.0 {
            assert_eq!(&surveyed.plan(&recipe).layers[0], counted, "{recipe:?}");
            // From shapes alone no group is known to be empty.
            let planned = shapes_only.plan(&recipe).layers[0].scales;
            assert_eq!(planned, 6);
        }
    }
}

#[test]
fn by_chance_as_many_groups_are_empty_as_drawing_without_replacement_says() {
    let scales = |shape: &[usize], sparsity, pattern, bits, group| {
        let layers = [layer("rows", LayerKind::Linear, shape, 0, true)];
        let recipe = recipe(sparsity, pattern, Scope::Layer, bits, group);
        plan("test", Unit::Image, &layers, &recipe).layers[0].scales
    };
    let random = Pattern::Unstructured;
    // 96 of 100 weights are zero. Of ten groups of 8: 96·95·…·89 / (100·99·…·93) = 0.7083; of ten rests of 2: 0.9212.
    // 20 − 7.083 − 9.212 = 3.7.
    assert_eq!(scales(&[10, 10], 0.96, random, 4, Group::Size(8)), 4);
    // Of a million groups of 8 at 90 % 0.9^8 = 0.4305 are empty.
    let many = scales(&[8000, 1000], 0.9, random, 4, Group::Size(8));
    assert!(many.abs_diff(569_533) < 10, "{many}");
    // Of groups of 128 at a half none is.
    assert_eq!(
        scales(&[1000, 1280], 0.5, random, 8, Group::Size(128)),
        10_000
    );
    // Two of four leave some in each, and at 16 bits there are no scales.
    assert_eq!(
        scales(&[10, 10], 0.5, Pattern::TwoOfFour, 4, Group::Size(8)),
        20
    );
    assert_eq!(scales(&[10, 10], 0.96, random, 16, Group::Size(8)), 0);
}

#[test]
fn scales_too_small_for_half_precision_are_none() {
    let tiny = f32::MIN_POSITIVE;
    let mut compressor = rows(&[&[tiny; 8], &[1.0; 8]]);
    let surveyed = compressor.survey().unwrap();
    for (bits, scales) in [(8, 1), (2, 1), (1, 2)] {
        let recipe = recipe(
            0.0,
            Pattern::Unstructured,
            Scope::Layer,
            bits,
            Group::Size(8),
        );
        let counted = go(&mut compressor, &recipe).profile;
        assert_eq!(counted.layers[0].scales, scales, "{bits}");
        assert_eq!(surveyed.plan(&recipe), counted, "{bits}");
    }
}

#[test]
fn files_of_version_1_open_as_what_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut compressor = compressor(20);
    for (name, sparsity, pattern, scope, bits, group) in [
        (
            "coded",
            0.0,
            Pattern::Unstructured,
            Scope::Layer,
            2,
            Group::Size(8),
        ),
        (
            "bitmap",
            0.9,
            Pattern::Unstructured,
            Scope::Layer,
            4,
            Group::Size(8),
        ),
        (
            "signs",
            0.7,
            Pattern::Unstructured,
            Scope::Global,
            1,
            Group::Size(8),
        ),
        (
            "two-of-four",
            0.5,
            Pattern::TwoOfFour,
            Scope::Layer,
            3,
            Group::Channel,
        ),
    ] {
        let path = folder.join(format!("packed-v1-{name}.safetensors"));
        let unpacked = unpack(&path).unwrap();
        let recipe = recipe(sparsity, pattern, scope, bits, group);
        assert_eq!(unpacked.recipe, recipe.canonical());
        let compressed = go(&mut compressor, &recipe);
        assert_eq!(
            bits_of(&unpacked.tensors),
            bits_of(&compressed.tensors),
            "{name}"
        );
        // Its scales are those of all groups.
        let bytes = path.metadata().unwrap().len();
        let saved = bytes - compressed.profile.stored_bytes();
        let all = compressor.planner().plan(&Recipe {
            pruning: Pruning::default(),
            ..recipe
        });
        let scales = |profile: &ModelProfile| profile.layers.iter().map(|l| l.scales).sum::<u64>();
        assert_eq!(
            saved,
            2 * (scales(&all) - scales(&compressed.profile)),
            "{name}"
        );
        assert_eq!(saved > 0, name == "bitmap" || name == "signs", "{name}");
        // And every damage is found.
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(unpack_bytes(&flipped).is_err(), "{name}: byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(properties::cases())]

    #[test]
    fn groups_with_a_weight_have_a_scale_and_no_others(seed: u64, recipe in properties::any_recipe()) {
        let mut compressor = compressor(seed);
        let compressed = go(&mut compressor, &recipe);
        let Quantization { weight_bits, group, .. } = recipe.quantization;
        for layer in &compressed.profile.layers {
            let mut filled = 0;
            if layer.layer.compressible && weight_bits < 16 {
                let matrix = Matrix::of(&layer.layer.shape);
                let weights = numbers(&compressed.tensors, &format!("{}.weight", layer.layer.name));
                for row in weights.chunks(matrix.fan_in) {
                    let groups = row.chunks(matrix.group(group));
                    filled += groups.filter(|group| group.iter().any(|w| *w != 0.0)).count();
                }
            }
            prop_assert_eq!(layer.scales, filled as u64);
        }
    }
}
