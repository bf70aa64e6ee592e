//! What holds between planning, compressing, packing and unpacking.

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod blocks;
mod layers;
mod on_demand;
mod properties;
mod scales;

use super::*;
use crate::formats;
use crate::model::{StoredFormat, bundled};
use crate::profile::{Execution, Layer, LayerKind, Unit};
use crate::recipe::{Group, Pruning, Scope};

fn layer(name: &str, kind: LayerKind, shape: &[usize], other: u64, compressible: bool) -> Layer {
    Layer {
        name: name.to_owned(),
        kind,
        shape: shape.to_vec(),
        other_parameters: other,
        compressible,
        macs: shape.iter().product::<usize>() as f64,
        inputs: 1.0,
        outputs: 1.0,
        cache: 0.0,
        execution: Execution::default(),
    }
}

/// A network of awkward shapes: rows of 9, 2 and 35 weights, normalisation, a bias, a table that stays as it is, and a
/// tensor that belongs to no layer.
fn network(seed: u64) -> (Planner, Tensors) {
    let layers = [
        layer("conv", LayerKind::Conv2d, &[16, 1, 3, 3], 0, true),
        layer("bn", LayerKind::Elementwise, &[], 32, false),
        layer("mix", LayerKind::Linear, &[40, 35], 40, true),
        layer("pair", LayerKind::Linear, &[24, 2], 0, true),
        layer("table", LayerKind::Embedding, &[8, 6], 0, false),
        layer("attention", LayerKind::Attention, &[], 0, false),
        layer("head", LayerKind::Linear, &[10, 64], 10, true),
    ];
    let shapes = [
        ("bn.bias", vec![16]),
        ("bn.weight", vec![16]),
        ("conv.weight", vec![16, 1, 3, 3]),
        ("head.bias", vec![10]),
        ("head.weight", vec![10, 64]),
        ("mix.bias", vec![40]),
        ("mix.weight", vec![40, 35]),
        ("pair.weight", vec![24, 2]),
        ("steps", vec![1]),
        ("table.weight", vec![8, 6]),
    ]
    .map(|(name, shape)| (name.to_owned(), shape));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = Tensors::new();
    for (i, (name, shape)) in shapes.iter().enumerate() {
        let n = shape.iter().product::<usize>();
        let size = 0.01 * (1 + i) as f32;
        let numbers: Vec<f32> = (0..n)
            .map(|_| match rng.random_range(0..20) {
                // Ties and large weights occur.
                0 => size,
                1 => -8.0 * size,
                _ => rng.random_range(-size..size),
            })
            .collect();
        tensors.insert(
            name.clone(),
            Tensor::from_vec(numbers, shape.clone(), &Device::Cpu).unwrap(),
        );
    }
    let planner = Planner::new("test", Unit::Image, &layers, &shapes, "{\"a\":1}").unwrap();
    (planner, tensors)
}

fn compressor(seed: u64) -> Compressor {
    let (planner, tensors) = network(seed);
    Compressor::new(planner, &tensors).unwrap()
}

fn recipe(sparsity: f64, pattern: Pattern, scope: Scope, bits: u8, group: Group) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = sparsity;
    recipe.pruning.pattern = pattern;
    recipe.pruning.scope = scope;
    recipe.quantization.weight_bits = bits;
    recipe.quantization.group = group;
    recipe
}

/// Every kind of recipe once.
fn grid() -> Vec<Recipe> {
    let mut all = Vec::new();
    for bits in Recipe::WEIGHT_BITS {
        for group in [Group::Channel, Group::Size(8), Group::Size(32)] {
            for sparsity in [0.0, 0.3, 0.5, 0.99] {
                for scope in [Scope::Layer, Scope::Global] {
                    all.push(recipe(sparsity, Pattern::Unstructured, scope, bits, group));
                }
            }
            all.push(recipe(0.5, Pattern::TwoOfFour, Scope::Layer, bits, group));
        }
    }
    all
}

fn numbers(tensors: &Tensors, name: &str) -> Vec<f32> {
    tensors[name].flatten_all().unwrap().to_vec1().unwrap()
}

fn bits_of(tensors: &Tensors) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    tensors
        .iter()
        .map(|(name, tensor)| {
            let bits = numbers(tensors, name).iter().map(|w| w.to_bits()).collect();
            (name.clone(), tensor.dims().to_vec(), bits)
        })
        .collect()
}

fn go(compressor: &mut Compressor, recipe: &Recipe) -> Compressed {
    compressor.compress(recipe, &|| false).unwrap()
}

#[test]
fn the_identity_shares_every_tensor() {
    let (planner, tensors) = network(1);
    let mut compressor = Compressor::new(planner, &tensors).unwrap();
    let same = go(&mut compressor, &Recipe::default());
    assert_eq!(bits_of(&same.tensors), bits_of(&tensors));
    for (name, tensor) in &tensors {
        assert_eq!(tensor.id(), same.tensors[name].id(), "{name}");
    }
}

#[test]
fn the_file_has_the_stated_size_and_gives_the_same_tensors_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.safetensors");
    let mut compressor = compressor(2);
    for recipe in grid() {
        let compressed = go(&mut compressor, &recipe);
        let written = compressor.export(&recipe, &path).unwrap();
        assert_eq!(written, compressed.profile.stored_bytes(), "{recipe:?}");
        assert_eq!(written, path.metadata().unwrap().len(), "{recipe:?}");
        let unpacked = unpack(&path).unwrap();
        assert_eq!(
            bits_of(&unpacked.tensors),
            bits_of(&compressed.tensors),
            "{recipe:?}"
        );
        assert_eq!(unpacked.recipe, recipe.canonical());
        assert_eq!(unpacked.model, "test");
        assert_eq!(unpacked.architecture, "{\"a\":1}");
    }
    let files = folder.path().read_dir().unwrap().count();
    assert_eq!(files, 1, "nothing but the file is left behind");
}

#[test]
fn a_model_of_16_bits_is_written_in_16_bits_and_read_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.safetensors");
    for format in [StoredFormat::Half, StoredFormat::Brain] {
        let (planner, tensors) = network(6);
        let round = |value: f32| match format {
            StoredFormat::Half => f16::from_f32(value).to_f32(),
            StoredFormat::Brain => half::bf16::from_f32(value).to_f32(),
        };
        let rounded = tensors.iter().map(|(name, tensor)| {
            let values = numbers(&tensors, name).into_iter().map(round).collect();
            let tensor = Tensor::from_vec(values, tensor.dims(), &Device::Cpu).unwrap();
            (name.clone(), tensor)
        });
        let rounded: Tensors = rounded.collect();
        let stored = rounded.keys().map(|name| (name.clone(), format)).collect();
        let mut compressor = Compressor::new(planner.stored_in(&stored), &rounded).unwrap();
        for recipe in grid() {
            let compressed = go(&mut compressor, &recipe);
            let written = compressor.export(&recipe, &path).unwrap();
            assert_eq!(written, compressed.profile.stored_bytes(), "{recipe:?}");
            let unpacked = unpack(&path).unwrap();
            assert_eq!(
                bits_of(&unpacked.tensors),
                bits_of(&compressed.tensors),
                "{format:?} {recipe:?}"
            );
            for layer in &compressed.profile.layers {
                let most = recipe.quantization.weight_bits.min(16);
                assert!(!layer.layer.compressible || layer.weight_bits == most);
            }
        }
        let weights: u64 = compressor
            .planner()
            .layers()
            .iter()
            .map(Layer::weights)
            .sum();
        let same = go(&mut compressor, &Recipe::default()).profile;
        let others: u64 = same.layers.iter().map(|l| l.layer.other_parameters).sum();
        assert_eq!(same.nominal_bits(), 16.0 * (weights + others) as f64);
        // One tensor of one number belongs to no layer.
        let header = 2 * (weights + others + 1);
        assert!(same.stored_bytes() > header && same.stored_bytes() < header + 2000);
    }
}

#[test]
fn an_uncompressed_export_is_an_ordinary_safetensors_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.safetensors");
    let (planner, tensors) = network(3);
    let mut compressor = Compressor::new(planner, &tensors).unwrap();
    compressor.export(&Recipe::default(), &path).unwrap();
    let loaded = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    assert_eq!(bits_of(&loaded.into_iter().collect()), bits_of(&tensors));
}

#[test]
fn a_damaged_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.safetensors");
    for pattern in [Pattern::Unstructured, Pattern::TwoOfFour] {
        let recipe = recipe(0.5, pattern, Scope::Layer, 3, Group::Size(8));
        compressor(4).export(&recipe, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in (0..bytes.len()).step_by(7) {
            assert!(unpack_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(unpack_bytes(&flipped).is_err(), "byte {at}");
        }
    }
    std::fs::write(&path, "no model").unwrap();
    let error = unpack(&path).unwrap_err().to_string();
    assert!(error.ends_with("packed.safetensors"), "{error}");
    assert!(unpack(&folder.path().join("missing")).is_err());
}

/// How many standard deviations an expected number of groups may be off.
const CHANCE: f64 = 4.0;

#[test]
fn planned_and_counted_agree_where_the_plan_is_exact() {
    let mut compressor = compressor(5);
    for recipe in grid() {
        let counted = go(&mut compressor, &recipe).profile;
        let planned = compressor.planner().plan(&recipe);
        let pruning = recipe.canonical().pruning;
        let bits = recipe.quantization.weight_bits;
        // Pruning leaves groups of weights empty, which only the weights tell.
        let chance = pruning.sparsity > 0.0 && pruning.pattern == Pattern::Unstructured;
        let exact = bits >= 16 || (bits == 1 && !chance);
        if exact && (pruning.scope == Scope::Layer || pruning.sparsity == 0.0) {
            assert_eq!(planned, counted, "{recipe:?}");
        }
        if pruning.scope == Scope::Layer {
            for (planned, counted) in planned.layers.iter().zip(&counted.layers) {
                assert!(planned.nonzero >= counted.nonzero, "{recipe:?}");
                let groups = if chance { counted.scales as f64 } else { 0.0 };
                let missing = counted.stored_bytes.saturating_sub(planned.stored_bytes) as f64;
                assert!(missing <= CHANCE * 2.0 * groups.sqrt(), "{recipe:?}");
            }
        }
    }
}

#[test]
fn a_global_threshold_zeroes_the_exact_total() {
    let mut compressor = compressor(6);
    for percent in 1..100 {
        let recipe = recipe(
            f64::from(percent) / 100.0,
            Pattern::Unstructured,
            Scope::Global,
            32,
            Group::Channel,
        );
        let profile = go(&mut compressor, &recipe).profile;
        let zeros = profile.weights() - profile.nonzero_weights();
        let wanted = (recipe.pruning.sparsity * profile.weights() as f64).round() as u64;
        assert_eq!(zeros, wanted);
    }
}

#[test]
fn two_of_four_holds_in_every_four_and_says_where_it_does_not_apply() {
    let mut compressor = compressor(7);
    for bits in [32, 4, 1] {
        let recipe = recipe(0.5, Pattern::TwoOfFour, Scope::Layer, bits, Group::Channel);
        let Compressed {
            tensors, profile, ..
        } = go(&mut compressor, &recipe);
        for layer in profile.layers {
            let expected = match layer.layer.name.as_str() {
                "conv" | "mix" | "head" => Some(Pattern::TwoOfFour),
                _ => None,
            };
            assert_eq!(layer.pattern, expected, "{}", layer.layer.name);
            if expected.is_some() {
                let numbers = numbers(&tensors, &format!("{}.weight", layer.layer.name));
                for row in numbers.chunks(layer.layer.fan_in() as usize) {
                    for four in row.chunks(4) {
                        let nonzero = four.iter().filter(|&&w| w != 0.0).count();
                        assert!(nonzero <= 2, "{} {four:?}", layer.layer.name);
                    }
                }
            }
        }
    }
}

#[test]
fn kept_tensors_are_safe_and_recycled_ones_are_written_again() {
    let mut compressor = compressor(8);
    let four = recipe(0.3, Pattern::Unstructured, Scope::Layer, 4, Group::Channel);
    let two = recipe(0.6, Pattern::Unstructured, Scope::Global, 2, Group::Size(8));
    let first = go(&mut compressor, &four);
    let (id, before) = (first.tensors["mix.weight"].id(), bits_of(&first.tensors));
    let second = go(&mut compressor, &two);
    assert_eq!(bits_of(&first.tensors), before);
    compressor.recycle(second.clone());
    let third = go(&mut compressor, &four);
    assert_eq!(
        third.tensors["mix.weight"].id(),
        second.tensors["mix.weight"].id()
    );
    assert_ne!(third.tensors["mix.weight"].id(), id);
    assert_eq!(bits_of(&third.tensors), before);
    // The original itself is never written to.
    let same = go(&mut compressor, &Recipe::default());
    compressor.recycle(same);
    go(&mut compressor, &two);
    let (_, tensors) = network(8);
    assert_eq!(
        bits_of(&go(&mut compressor, &Recipe::default()).tensors),
        bits_of(&tensors)
    );
}

#[test]
fn compression_stops_when_told_to() {
    let result = compressor(9).compress(
        &recipe(0.5, Pattern::Unstructured, Scope::Global, 4, Group::Channel),
        &|| true,
    );
    assert_eq!(result.err(), Some(Error::Cancelled));
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    let (planner, tensors) = network(10);
    let message = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        Compressor::new(planner.clone(), &tensors)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        message(&|t| drop(t.remove("mix.weight"))),
        "computation failed: tensor mix.weight is missing"
    );
    let put = |t: &mut Tensors, w: Vec<f32>, shape: &[usize]| {
        let tensor = Tensor::from_vec(w, shape, &Device::Cpu).unwrap();
        t.insert("pair.weight".to_owned(), tensor);
    };
    assert_eq!(
        message(&|t| put(t, vec![1.0; 48], &[48, 1])),
        "computation failed: tensor pair.weight is F32 [48, 1], expected F32 [24, 2]"
    );
    assert_eq!(
        message(&|t| put(t, vec![f32::NAN; 48], &[24, 2])),
        "computation failed: tensor pair.weight holds a number that is not finite"
    );
}

#[test]
fn a_plan_from_layers_alone_has_the_same_layers() {
    let (planner, _) = network(11);
    for recipe in grid() {
        let (from_layers, exact) = (
            plan("test", Unit::Image, planner.layers(), &recipe),
            planner.plan(&recipe),
        );
        assert_eq!(from_layers.layers, exact.layers);
    }
}

/// How far a surveyed plan of a global threshold may be off in one layer, as a fraction of its weights: the bins of the
/// histograms are wide against layers of a few hundred weights.
const SPREAD_TOLERANCE: f64 = 0.03;

#[test]
fn a_surveyed_plan_counts_what_rounding_makes_zero() {
    let mut compressor = compressor(12);
    let planner = compressor.survey().unwrap();
    for recipe in grid() {
        let counted = go(&mut compressor, &recipe).profile;
        let planned = planner.plan(&recipe);
        let pruning = recipe.canonical().pruning;
        let exact = pruning.sparsity == 0.0 || pruning.pattern == Pattern::TwoOfFour;
        if exact {
            assert_eq!(planned, counted, "{recipe:?}");
            continue;
        }
        for (planned, counted) in planned.layers.iter().zip(&counted.layers) {
            let weights = counted.layer.weights() as f64;
            let (name, missing) = (
                &counted.layer.name,
                (planned.nonzero as f64 - counted.nonzero as f64) / weights.max(1.0),
            );
            match pruning.scope {
                Scope::Layer => assert!(missing >= 0.0, "{name} {recipe:?}"),
                Scope::Global if recipe.quantization.weight_bits >= 16 => assert!(
                    missing.abs() <= SPREAD_TOLERANCE,
                    "{name} {missing} {recipe:?}"
                ),
                Scope::Global => assert!(missing >= -SPREAD_TOLERANCE, "{name} {recipe:?}"),
            }
        }
    }
}

/// How far a surveyed plan of a bundled model's stored bytes may be off, as METHODS.md says.
const PLAN_TOLERANCE: f64 = 0.03;

#[test]
fn bundled_models_pack_into_what_is_planned_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.safetensors");
    for bundled in bundled::all() {
        let model = bundled::load(bundled.name).unwrap();
        let planner = Planner::new(
            &model.name,
            model.architecture.unit(),
            &model.architecture.layers(),
            &model.architecture.tensor_shapes(),
            &serde_json::to_string(&model.architecture).unwrap(),
        )
        .unwrap();
        let mut compressor = Compressor::new(planner, &model.tensors).unwrap();
        let planner = compressor.survey().unwrap();
        for recipe in grid() {
            let counted = go(&mut compressor, &recipe).profile.stored_bytes() as f64;
            let planned = planner.plan(&recipe).stored_bytes() as f64;
            let off = (planned / counted - 1.0).abs();
            assert!(off <= PLAN_TOLERANCE, "{planned} {counted} {recipe:?}");
        }
        for (bits, pattern) in [(4, Pattern::Unstructured), (8, Pattern::TwoOfFour)] {
            let recipe = recipe(0.5, pattern, Scope::Global, bits, Group::Channel);
            let compressed = go(&mut compressor, &recipe);
            let bytes = compressor.export(&recipe, &path).unwrap();
            assert_eq!(bytes, compressed.profile.stored_bytes());
            let unpacked = unpack(&path).unwrap();
            assert_eq!(bits_of(&unpacked.tensors), bits_of(&compressed.tensors));
            // And it opens like any other model.
            let opened = formats::open(&path).unwrap();
            assert_eq!(opened.architecture, model.architecture);
            assert_eq!(bits_of(&opened.tensors), bits_of(&compressed.tensors));
        }
    }
}
