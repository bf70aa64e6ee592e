//! Weights of unknown networks (`scripts/tiny_arrays.py`), and of a bundled one under names that nobody knows.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::Tensor;
use half::f16;

use super::*;
use crate::engine::{Engine, Unobserved};
use crate::measurement::Depth;
use crate::model::bundled;
use crate::recipe::Scope;

const FILES: [&str; 4] = [
    "unknown.pt",
    "unknown-old.pt",
    "unknown.npz",
    "unknown.safetensors",
];

fn fixture(name: &str) -> ModelReference {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arrays");
    ModelReference::File(folder.join(name))
}

fn opened(name: &str) -> Outline {
    let reference = fixture(name);
    assert!(reference.is_outline(), "{name}");
    let outline = Outline::open(&reference).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(outline.is_weights_only(), "{name}");
    outline
}

fn bits(weight_bits: u8) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.quantization.weight_bits = weight_bits;
    recipe
}

fn pruned(sparsity: f64) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = sparsity;
    recipe.pruning.scope = Scope::Global;
    recipe
}

fn look(outline: &Outline, recipe: &Recipe) -> Looks {
    outline.look(recipe, None, &|| false).unwrap().unwrap()
}

/// All weights, layer by layer.
fn values(outline: &Outline) -> HashMap<String, Vec<f32>> {
    let source = &outline.weights.as_ref().unwrap().source;
    let infos = source.tensors().iter().enumerate();
    infos
        .map(|(at, info)| {
            let mut values = vec![0.0; info.elements()];
            source.decode(at, 0..info.rows(), &mut values).unwrap();
            let name = info.name.strip_suffix(".weight").unwrap().to_owned();
            (name, values)
        })
        .collect()
}

fn squares(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum()
}

#[test]
fn layers_are_the_matrices_of_the_file_and_each_is_counted_once() {
    for name in FILES {
        let outline = opened(name);
        let mut layers: Vec<&str> = outline.layers().iter().map(|l| l.name.as_str()).collect();
        layers.sort_unstable();
        let expected = [
            "block.0.kernel",
            "block.0.mix",
            "block.1",
            "block.1.weight",
            "table",
            "vectors and numbers",
        ];
        assert_eq!(layers, expected, "{name}");
        assert_eq!(outline.parameters(), 72 + 432 + 8 + 128 + 15 + 96, "{name}");
    }
}

#[test]
fn every_file_of_the_same_weights_has_the_same_fidelity() {
    let expected = opened(FILES[0]);
    for recipe in [bits(8), bits(4), bits(16), pruned(0.5)] {
        let first = look(&expected, &recipe);
        for name in &FILES[1..] {
            let other = look(&opened(name), &recipe);
            assert_eq!(first.errors, other.errors, "{name}");
        }
    }
}

#[test]
fn fidelity_is_signal_over_noise_of_the_weights() {
    let outline = opened("unknown.pt");
    let all = values(&outline);
    let signal: f64 = all
        .values()
        .map(|layer| squares(layer.iter().copied()))
        .sum();
    assert_eq!(look(&outline, &Recipe::default()).all().decibels(), None);
    // Half precision, by another library's rounding.
    let noise: f64 = all
        .values()
        .map(|layer| {
            squares(
                layer
                    .iter()
                    .map(|value| value - f16::from_f32(*value).to_f32()),
            )
        })
        .sum();
    let error = look(&outline, &bits(16)).all();
    assert!((error.signal / signal - 1.0).abs() < 1e-9);
    assert!(
        (error.noise / noise - 1.0).abs() < 1e-6,
        "{error:?} {noise}"
    );
    // Half of the weights of smallest magnitude are cut.
    let mut sorted: Vec<f32> = all.values().flatten().copied().collect();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let cut = (sorted.len() as f64 * 0.5).round() as usize;
    let noise = squares(sorted[..cut].iter().copied());
    let error = look(&outline, &pruned(0.5)).all();
    assert!(
        (error.noise / noise - 1.0).abs() < 1e-3,
        "{error:?} {noise}"
    );
    // About 6 dB a bit.
    let mut last = f64::INFINITY;
    for width in (2..=8).rev() {
        let decibels = look(&outline, &bits(width)).all().decibels().unwrap();
        assert!(decibels < last - 2.5 && decibels > last - 10.0 || last.is_infinite());
        last = decibels;
    }
}

#[test]
fn bytes_follow_the_recipe_and_time_is_not_told() {
    let outline = opened("unknown.pt");
    let plain = outline.predict(&Recipe::default()).unwrap();
    let small = outline.predict(&bits(4)).unwrap();
    assert!(small.stored_bytes() < plain.stored_bytes());
    let scenario = outline.scenario().unwrap();
    let target = crate::hardware::find(&scenario.hardware).unwrap();
    let grid = crate::carbon::find_grid(&scenario.region).unwrap();
    let error = crate::footprint::footprint(&small, &scenario, target, grid).unwrap_err();
    assert!(matches!(error, Error::Infeasible(_)), "{error}");
    assert!(error.to_string().contains("not known"), "{error}");
    let mut student = Recipe::default();
    student.distillation.ratio = 0.5;
    assert!(outline.predict(&student).is_err());
}

#[test]
fn a_bundled_network_under_unknown_names_has_the_errors_of_the_known_one() {
    let model = bundled::load("fashion-cnn").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strange.safetensors");
    let strange = |name: &str| format!("unheard/{name}");
    let tensors: HashMap<String, Tensor> = (model.tensors.iter())
        .map(|(name, tensor)| (strange(name), tensor.clone()))
        .collect();
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let reference = ModelReference::File(path);
    assert!(reference.is_outline());
    let outline = Outline::open(&reference).unwrap();
    let engine = Engine::open(&ModelReference::Bundled("fashion-cnn".to_owned())).unwrap();
    for recipe in [bits(4), pruned(0.7)] {
        let known = engine.look(&recipe, None, &|| false).unwrap();
        let named = look(&outline, &recipe);
        assert_eq!(known.errors.len(), named.errors.len());
        for (layer, error) in &known.errors {
            let own = &named.errors[&strange(layer)];
            assert!((own.signal / error.signal - 1.0).abs() < 1e-12, "{layer}");
            assert!((own.noise / error.noise - 1.0).abs() < 1e-12, "{layer}");
        }
        let measured = engine.measure(&recipe, Depth::Coarse, &Unobserved).unwrap();
        let planned = outline.predict(&recipe).unwrap();
        assert_eq!(measured.profile.weights(), planned.weights());
    }
}
