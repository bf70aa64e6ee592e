//! An encoder of sentences from its folder to its quality.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

use std::path::Path;
use std::sync::Mutex;

use wattif_core::Error;
use wattif_core::data::OwnData;
use wattif_core::engine::{Engine, Observer, Unobserved};
use wattif_core::evaluate::COARSE_SENTENCES;
use wattif_core::measurement::{Depth, Example, Measurement, Metric};
use wattif_core::model::{Architecture, ModelReference};
use wattif_core::profile::Unit;
use wattif_core::recipe::{BlockFormat, Recipe};

fn open(name: &str) -> Engine {
    Engine::open(&reference(name)).unwrap()
}

fn reference(name: &str) -> ModelReference {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders");
    ModelReference::File(folder.join(name))
}

fn bits(bits: u8) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.quantization.weight_bits = bits;
    recipe
}

/// Keeps what it hears of.
#[derive(Default)]
struct Heard(Mutex<Vec<Measurement>>);

impl Observer for Heard {
    fn cancelled(&self) -> bool {
        false
    }
    fn progress(&self, _: &str, _: f64) {}
    fn measured(&self, measurement: &Measurement) {
        self.0.lock().unwrap().push(measurement.clone());
    }
}

#[test]
fn an_encoder_is_measured_by_what_becomes_of_sentences() {
    for name in ["bert", "bert.gguf", "roberta", "distilbert"] {
        let engine = open(name);
        assert_eq!(engine.model().architecture.unit(), Unit::Sample);
        assert!(!engine.writes());
        let set = engine.evaluation_set();
        assert!(set.len() > 300, "{}", set.len());
        assert_eq!(set.metric(), Metric::EmbeddingCosine);
        // The original is itself.
        let same = engine.measure(&Recipe::default(), Depth::Full, &Unobserved);
        let same = same.unwrap().quality;
        assert!((same.value - 1.0).abs() < 1e-9 && same.change.value.abs() < 1e-9);
        assert_eq!(same.neighbours.unwrap().value, 1.0);
        let heard = Heard::default();
        let mut last = 1.0;
        for width in [8, 4, 2] {
            let measured = engine.measure(&bits(width), Depth::Full, &heard).unwrap();
            let quality = measured.quality;
            assert_eq!(quality.metric, Metric::EmbeddingCosine);
            assert_eq!(quality.n, set.len());
            assert!(quality.value < last, "{name} {width}: {quality:?}");
            assert!(quality.low <= quality.value && quality.value <= quality.high);
            assert!((quality.change.value - (quality.value - 1.0)).abs() < 1e-12);
            let overlap = quality.neighbours.unwrap();
            assert!((0.0..=1.0).contains(&overlap.value));
            println!(
                "{name} {width} bits: {:.5} {:.3}",
                quality.value, overlap.value
            );
            last = quality.value;
            let nearest = |example: &Example| matches!(example, Example::Nearest { .. });
            assert_eq!(measured.examples.iter().filter(|e| nearest(e)).count(), 3);
        }
        // The first result is of few sentences, a fair part of all.
        let heard = heard.0.into_inner().unwrap();
        let coarse: Vec<_> = heard.iter().filter(|m| m.depth == Depth::Coarse).collect();
        assert_eq!(coarse.len(), 3);
        for coarse in coarse {
            assert_eq!(coarse.quality.n, COARSE_SENTENCES as u64);
            assert!(coarse.quality.neighbours.is_none() && coarse.examples.is_empty());
            let full = heard
                .iter()
                .find(|m| m.depth == Depth::Full && m.recipe == coarse.recipe);
            let full = full.unwrap().quality.value;
            let (low, high) = (coarse.quality.low, coarse.quality.high);
            let width = high - low;
            assert!(
                (low - width..=high + width).contains(&full),
                "{full} {low} {high}"
            );
        }
    }
}

#[test]
fn sentences_of_the_users_are_measured_in_their_place() {
    let lines: Vec<String> = (0..40)
        .map(|i| format!("the cat {i} sat on mat {}", i * 7))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let engine = |text: &str, context| {
        let path = folder.path().join("sentences.txt");
        std::fs::write(&path, text).unwrap();
        Engine::open_with(&reference("bert"), Some(&OwnData::Text(path)), context)
    };
    let engine_of_lines = engine(&lines.join("\n"), None).unwrap();
    assert_eq!(engine_of_lines.evaluation_set().len(), 40);
    let measured = engine_of_lines
        .measure(&bits(3), Depth::Full, &Unobserved)
        .unwrap();
    assert!(measured.quality.value < 1.0 && measured.quality.n == 40);
    let Example::Nearest { sentence, .. } = &measured.examples[0] else {
        panic!("no sentences");
    };
    assert!(lines.contains(sentence));
    for (text, context, said) in [
        ("One.".to_owned(), None, "too few"),
        (lines.join("\n"), Some(2), "no room"),
    ] {
        let error = engine(&text, context).err().unwrap();
        assert!(matches!(error, Error::Compute(_)));
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn what_an_encoder_does_not_do_is_said() {
    let engine = open("bert");
    let said = engine.write(&Recipe::default(), "a", &Unobserved);
    assert!(said.unwrap_err().to_string().contains("writes no texts"));
    assert!(!engine.model().architecture.has_students());
}

/// What is measured of an exported encoder is what was measured of the recipe.
#[test]
fn an_exported_encoder_opens_again_and_makes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in [
        ("bert", "one/model.safetensors"),
        ("roberta", "two/model.safetensors"),
        ("bert.gguf", "three.gguf"),
    ] {
        let engine = open(name);
        let mut recipe = Recipe::default();
        recipe.quantization.blocks = Some(BlockFormat::Q8_0);
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        engine.export(&recipe, &path).unwrap();
        let again = Engine::open(&ModelReference::File(path.clone())).unwrap();
        let pooling = |engine: &Engine| match &engine.model().architecture {
            Architecture::Encoder(config) => config.pooling,
            other => panic!("{other:?}"),
        };
        assert_eq!(pooling(&again), pooling(&engine), "{name}");
        // The compressed weights are the original of the new file.
        let sentence = |engine: &Engine, recipe: &Recipe| {
            let measured = engine.measure(recipe, Depth::Full, &Unobserved).unwrap();
            match &measured.examples[0] {
                Example::Nearest { compressed, .. } => compressed.clone(),
                other => panic!("{other:?}"),
            }
        };
        let (before, now) = (
            sentence(&engine, &recipe),
            sentence(&again, &Recipe::default()),
        );
        for (before, now) in before.iter().zip(&now) {
            // Half precision of what is written.
            assert!((before.similarity - now.similarity).abs() < 2e-3, "{name}");
        }
    }
}
