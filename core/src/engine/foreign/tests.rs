//! Networks of tiny ONNX files, measured.

use std::path::{Path, PathBuf};

use super::super::{Engine, Unobserved};
use super::*;
use crate::evaluate::{EQUAL, INPUTS};
use crate::model::ModelReference;
use crate::recipe::{Pruning, Quantization};

fn reference(name: &str) -> ModelReference {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    ModelReference::File(folder.join(format!("{name}.onnx")))
}

fn bits(weight_bits: u8) -> Recipe {
    Recipe {
        quantization: Quantization {
            weight_bits,
            ..Quantization::default()
        },
        ..Recipe::default()
    }
}

/// Files of which every layer is run and can be replaced.
const WHOLE: [&str; 8] = [
    "dense",
    "image",
    "generator",
    "beside",
    "half",
    "memory",
    "tied",
    "attention",
];

#[test]
fn fewer_bits_leave_less_of_the_outputs() {
    for name in WHOLE {
        let engine = Engine::open(&reference(name)).unwrap();
        let at = |recipe: &Recipe| {
            let measured = engine.measure(recipe, Depth::Full, &Unobserved).unwrap();
            assert_eq!(measured.depth, Depth::Full);
            assert_eq!(measured.quality.n, INPUTS as u64);
            measured
        };
        let same = at(&Recipe::default());
        assert_eq!(same.quality.value, EQUAL, "{name}");
        let [eight, four, two] = [8, 4, 2].map(|n| at(&bits(n)));
        let values = [&same, &eight, &four, &two].map(|own| own.quality.value);
        println!("{name}: {values:?}");
        assert!(values.is_sorted_by(|a, b| a > b), "{name}: {values:?}");
        // A bit is worth about 6 dB.
        assert!(values[1] - values[2] > 12.0, "{name}: {values:?}");
        assert!((30.0..80.0).contains(&values[1]), "{name}: {values:?}");
        let stored = [&same, &eight, &four, &two].map(|own| own.profile.stored_bytes());
        assert!(
            stored[0] > stored[1] && stored[1] > stored[3],
            "{name}: {stored:?}"
        );
        assert!(!eight.examples.is_empty());
        // Going back gives the same numbers.
        let again = Engine::open(&reference(name)).unwrap();
        let again = again.measure(&bits(4), Depth::Full, &Unobserved).unwrap();
        assert_eq!(again.quality, four.quality, "{name}");
    }
}

#[test]
fn zeros_are_counted_and_planned_alike() {
    let recipe = Recipe {
        pruning: Pruning {
            sparsity: 0.5,
            ..Pruning::default()
        },
        ..Recipe::default()
    };
    for name in WHOLE {
        let engine = Engine::open(&reference(name)).unwrap();
        let measured = engine.measure(&recipe, Depth::Coarse, &Unobserved).unwrap();
        let (counted, planned) = (measured.profile, engine.predict(&recipe).unwrap());
        let share = counted.nonzero_weights() as f64 / counted.weights().max(1) as f64;
        assert!((share - 0.5).abs() < 0.02, "{name}: {share}");
        let difference = planned
            .nonzero_weights()
            .abs_diff(counted.nonzero_weights());
        assert!(
            difference as f64 <= 0.02 * counted.weights() as f64,
            "{name}"
        );
        assert!(
            measured.quality.value < 30.0,
            "{name}: {:?}",
            measured.quality
        );
    }
}

#[test]
fn what_nothing_changes_costs_as_its_shapes_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "onnx"))
        .collect();
    assert!(files.len() > 15);
    let mut opened = 0;
    for path in files {
        let reference = ModelReference::File(path.clone());
        if reference.is_outline() {
            continue;
        }
        let engine = Engine::open(&reference).unwrap();
        opened += 1;
        let own = engine.predict(&Recipe::default()).unwrap();
        let outline = Outline::open(&reference).unwrap();
        let known = outline.predict(&Recipe::default()).unwrap();
        assert_eq!(own.parameters(), known.parameters(), "{path:?}");
        for (one, other) in own.layers.iter().zip(&known.layers) {
            let facts = |layer: &LayerProfile| {
                (
                    layer.layer.name.clone(),
                    layer.layer.shape.clone(),
                    layer.weight_bits,
                    layer.activation_bits,
                    layer.scales,
                    layer.stored_bytes,
                )
            };
            assert_eq!(facts(one), facts(other), "{path:?}");
            assert!(one.nonzero <= other.nonzero);
        }
    }
    assert!(opened > 12, "{opened}");
}

#[test]
fn what_cannot_be_run_is_said_and_still_costs() {
    let engine = Engine::open(&reference("four_bits")).unwrap();
    assert!(engine.predict(&bits(4)).is_ok());
    let notes = engine.notes().join("\n");
    assert!(notes.contains("left as they are"), "{notes}");
    let engine = Engine::open(&reference("dense")).unwrap();
    let error = engine.spike(&bits(8), 8, &Unobserved).unwrap_err();
    assert!(matches!(error, Error::Infeasible(_)));
    assert!(engine.export(&bits(8), Path::new("nowhere")).is_err());
}

#[test]
fn rounded_activations_are_part_of_it() {
    let at = |engine: &Engine, activation_bits: u8| {
        let recipe = Recipe {
            quantization: Quantization {
                activation_bits,
                ..Quantization::default()
            },
            ..Recipe::default()
        };
        engine
            .measure(&recipe, Depth::Full, &Unobserved)
            .unwrap()
            .quality
            .value
    };
    for name in ["dense", "image", "generator", "half", "memory", "tied"] {
        let engine = Engine::open(&reference(name)).unwrap();
        let values = [32, 16, 8, 4].map(|bits| at(&engine, bits));
        println!("{name}: {values:?}");
        assert_eq!(values[0], EQUAL, "{name}");
        assert!(values.is_sorted_by(|a, b| a > b), "{name}: {values:?}");
        assert!((60.0..100.0).contains(&values[1]), "{name}: {values:?}");
        assert!((30.0..70.0).contains(&values[2]), "{name}: {values:?}");
        // Back to the first.
        assert_eq!(at(&engine, 32), EQUAL, "{name}");
    }
}
