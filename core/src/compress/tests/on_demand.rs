//! Weights that are compressed when they are asked for are the same numbers as those that are compressed all at once.

use std::path::PathBuf;

use super::*;
use crate::engine;
use crate::model::Model;
use crate::recipe::BlockFormat;
use crate::run::{Stream, Texts, Weights};

/// Some recipes of every kind.
fn recipes() -> Vec<Recipe> {
    let mut all: Vec<Recipe> = grid().into_iter().step_by(7).collect();
    for format in [BlockFormat::Q8_0, BlockFormat::Q4_K_M, BlockFormat::Q4_1] {
        for sparsity in [0.0, 0.4] {
            let mut recipe = recipe(
                sparsity,
                Pattern::Unstructured,
                Scope::Global,
                32,
                Group::Channel,
            );
            recipe.quantization.blocks = Some(format);
            all.push(recipe);
        }
    }
    // And with layers that have something of their own.
    let with_own: Vec<Recipe> = all.iter().step_by(3).map(super::layers::with_own).collect();
    all.extend(with_own);
    all
}

/// Asks for everything as a network does, matrices in rows of some, and compares.
fn compare(compressor: &mut Compressor, recipe: &Recipe) {
    let all = go(compressor, recipe);
    let weights = compressor.on_demand(recipe, &|| false).unwrap();
    // Twice, for what was rounded to blocks is kept.
    for (name, tensor) in all.tensors.iter().chain(&all.tensors) {
        let wanted = numbers(&all.tensors, name);
        let mut found = Vec::new();
        match tensor.dims() {
            [rows, width] => {
                let matrix = weights.matrix(name).unwrap();
                assert_eq!(matrix.len(), rows * width);
                let mut at = 0;
                while at < *rows {
                    let end = rows.min(&(at + 7)).to_owned();
                    let mut some = vec![0.0; (end - at) * width];
                    matrix.read(at..end, &mut some).unwrap();
                    found.extend(some);
                    at = end;
                }
            }
            _ => found = weights.numbers(name).unwrap(),
        }
        assert!(
            found.iter().zip(&wanted).all(|(a, b)| a == b),
            "{name} {recipe:?}"
        );
    }
    assert_eq!(weights.profile().unwrap(), all.profile, "{recipe:?}");
}

#[test]
fn what_is_asked_for_is_what_compression_gives() {
    let mut compressor = compressor(3);
    for recipe in recipes() {
        compare(&mut compressor, &recipe);
    }
}

#[test]
fn a_file_gives_the_same_as_its_tensors_in_memory() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/language");
    for name in ["llama.gguf", "qwen2moe.gguf"] {
        let Ok(model) = formats::open(&folder.join(name)) else {
            panic!("{name}");
        };
        let Model {
            architecture,
            source: Some(source),
            stored,
            blocks,
            ..
        } = &model
        else {
            panic!("{name}");
        };
        let planner = engine::planner("a file", architecture).unwrap();
        let planner = planner.stored_in(stored).in_blocks(blocks);
        let mut in_file = Compressor::new(planner.clone(), source).unwrap();
        let held: Tensors = architecture
            .tensor_shapes()
            .into_iter()
            .map(|(name, shape)| {
                let numbers = Originals::from(source).numbers(&name).unwrap();
                (
                    name,
                    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap(),
                )
            })
            .collect();
        let mut in_memory = Compressor::new(planner, &held).unwrap();
        for recipe in recipes() {
            let (a, b) = (go(&mut in_file, &recipe), go(&mut in_memory, &recipe));
            assert_eq!(bits_of(&a.tensors), bits_of(&b.tensors), "{recipe:?}");
            assert_eq!(a.profile, b.profile, "{recipe:?}");
            compare(&mut in_file, &recipe);
        }
    }
}

#[test]
fn a_profile_needs_all_weights() {
    let mut compressor = compressor(3);
    let weights = compressor.on_demand(&Recipe::default(), &|| false).unwrap();
    assert!(weights.profile().is_err());
    assert!(weights.numbers("no such tensor").is_err());
    assert!(weights.matrix("no such tensor").is_err());
}

/// A pass part by part asks for everything that a profile counts, whatever the kind of network.
#[test]
fn a_pass_through_any_kind_of_network_counts_all_weights() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/language");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(model) = formats::open(&path) else {
            // What lies beside the models: their logits, and folders that share the tokenizer of another.
            assert!(path.extension().is_none_or(|ending| ending != "gguf"));
            continue;
        };
        let source = model.source.as_ref().unwrap();
        let planner = engine::planner("a file", &model.architecture).unwrap();
        let planner = planner.stored_in(&model.stored).in_blocks(&model.blocks);
        let mut compressor = Compressor::new(planner, source).unwrap();
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = 4;
        let wanted = go(&mut compressor, &recipe).profile;
        let weights = compressor.on_demand(&recipe, &|| false).unwrap();
        let graph = model.architecture.graph();
        let stream = Stream::new(&graph, 32).unwrap();
        let texts = Texts {
            tokens: &[1, 2, 3, 4, 5, 6],
            length: 3,
            last: 2,
        };
        stream.hidden(&weights, texts, &mut |_, _| Ok(())).unwrap();
        stream.head(&weights).unwrap();
        assert_eq!(weights.profile().unwrap(), wanted, "{}", path.display());
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}
