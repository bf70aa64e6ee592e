//! Networks that make pictures, through the engine: what compression does to them, and that distances of pictures rank as
//! they should.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wattif_core::engine::{Engine, Unobserved};
use wattif_core::evaluate::{Accumulator, Baseline};
use wattif_core::measurement::{Depth, Example, Measurement, Metric, Quality};
use wattif_core::model::{ModelReference, Tensors};
use wattif_core::recipe::Recipe;

const NAMES: [&str; 2] = ["fashion-vae", "fashion-gan"];

fn open(name: &str) -> Engine {
    Engine::open(&ModelReference::Bundled(name.to_owned())).unwrap()
}

fn measured(engine: &Engine, sparsity: f64, bits: u8, depth: Depth) -> Measurement {
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = sparsity;
    recipe.quantization.weight_bits = bits;
    engine.measure(&recipe, depth, &Unobserved).unwrap()
}

/// Distance of pictures made of noise.
fn distance(quality: &Quality) -> f64 {
    match quality.metric {
        Metric::Frechet => quality.value,
        _ => quality.pictures.unwrap().frechet.unwrap().value,
    }
}

#[test]
fn the_original_is_as_good_as_itself_and_its_pictures_are_shown() {
    for name in NAMES {
        let engine = open(name);
        let original = measured(&engine, 0.0, 32, Depth::Full);
        let quality = original.quality;
        assert_eq!(quality.value, quality.baseline);
        assert_eq!((quality.change.value, quality.n), (0.0, 2000));
        if let Some(divergence) = quality.divergence {
            assert_eq!(divergence.value, 0.0);
        }
        let pictures = quality.pictures.unwrap();
        let (precision, recall) = (pictures.precision.unwrap(), pictures.recall.unwrap());
        assert_eq!(precision.value, precision.baseline);
        assert_eq!(recall.value, recall.baseline);
        // Better than what a network makes that was not trained.
        assert!(precision.value > 0.2 && recall.value > 0.2, "{pictures:?}");
        assert!(!original.examples.is_empty());
        for example in original.examples {
            let Example::Picture {
                rows,
                original,
                compressed,
                ..
            } = example
            else {
                panic!("no picture");
            };
            assert_eq!((rows, original.len()), (28, 784));
            assert_eq!(original, compressed);
            assert!(original.iter().any(|&pixel| pixel > 100));
        }
    }
}

#[test]
fn fewer_bits_and_more_zeros_make_pictures_worse_and_files_smaller() {
    for name in NAMES {
        let engine = open(name);
        let original = measured(&engine, 0.0, 32, Depth::Full);
        let by_bits = [8, 4, 3, 2].map(|bits| measured(&engine, 0.0, bits, Depth::Full));
        let by_zeros = [0.3, 0.6, 0.8, 0.95].map(|zeros| measured(&engine, zeros, 32, Depth::Full));
        for ladder in [by_bits, by_zeros] {
            let mut last = &original;
            for next in &ladder {
                assert!(next.profile.stored_bytes() < last.profile.stored_bytes());
                last = next;
            }
            // Step by step from where it can be told from nothing.
            for pair in ladder[1..].windows(2) {
                let (before, after) = (&pair[0].quality, &pair[1].quality);
                assert!(after.value > before.value, "{name} {after:?}");
                if let (Some(before), Some(after)) = (before.divergence, after.divergence) {
                    assert!(after.value > before.value);
                }
            }
            let worst = ladder[3].quality;
            assert!(worst.change.low > 0.0, "{name} {worst:?}");
            // Pictures of an autoencoder are blurred, and weights a little off need not bring them further from real ones.
            assert!(
                distance(&worst) > distance(&original.quality),
                "{name} {worst:?}"
            );
            let pictures = worst.pictures.unwrap();
            assert!(pictures.precision.unwrap().value < pictures.precision.unwrap().baseline);
        }
    }
}

#[test]
fn more_noise_in_the_weights_makes_larger_distances_and_a_first_result_agrees_with_the_full_one() {
    let engine = open("fashion-gan");
    let model = engine.model();
    let set = engine.evaluation_set();
    let network = model.architecture.ready(&model.tensors, 32).unwrap();
    let baseline = Baseline::measure(&network, set).unwrap();
    let with_noise = |share: f64| -> Tensors {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let noisy = |tensor: &Tensor| {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let square = values.iter().map(|x| f64::from(x * x)).sum::<f64>();
            let deviation = (square / values.len() as f64).sqrt() * share * 12f64.sqrt();
            let values: Vec<f32> = values
                .iter()
                .map(|x| x + (deviation * (rng.random::<f64>() - 0.5)) as f32)
                .collect();
            Tensor::from_vec(values, tensor.dims(), &Device::Cpu).unwrap()
        };
        let mut noisy = noisy;
        let tensors = model.tensors.iter();
        tensors
            .map(|(name, tensor)| {
                let changed = name.ends_with("weight") && tensor.rank() > 1;
                let tensor = if changed {
                    noisy(tensor)
                } else {
                    tensor.clone()
                };
                (name.clone(), tensor)
            })
            .collect()
    };
    let mut last = f64::NEG_INFINITY;
    for share in [0.0, 0.1, 0.2, 0.4] {
        let network = model.architecture.ready(&with_noise(share), 32).unwrap();
        let mut accumulator = Accumulator::new(set, &baseline);
        let mut first = None;
        while accumulator.step(&network).unwrap() {
            if accumulator.seen() >= set.coarse() && first.is_none() {
                first = Some(accumulator.quality());
            }
        }
        let (first, full) = (first.unwrap(), accumulator.quality());
        assert!(full.value > last, "{share}: {} after {last}", full.value);
        last = full.value;
        // The interval of the first result is right nineteen times in twenty; here it is one and a half times as wide.
        let room = 0.75 * (first.high - first.low);
        let off = (first.value - full.value).abs();
        assert!(off < room, "{share}: {} then {}", first.value, full.value);
        let room = 0.75 * (first.change.high - first.change.low) + 1e-9;
        let off = (first.change.value - full.change.value).abs();
        assert!(
            off < room,
            "{share}: {:?} then {:?}",
            first.change,
            full.change
        );
    }
}

#[test]
fn a_packed_autoencoder_opens_again_with_the_quality_that_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let engine = open(name);
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = 6;
        recipe.pruning.sparsity = 0.2;
        let measured = engine.measure(&recipe, Depth::Full, &Unobserved).unwrap();
        let path = folder.path().join(format!("{name}.safetensors"));
        engine.export(&recipe, &path).unwrap();
        let again = Engine::open(&ModelReference::File(path)).unwrap();
        let reopened = again
            .measure(&Recipe::default(), Depth::Full, &Unobserved)
            .unwrap();
        assert_eq!(reopened.quality.value, measured.quality.value);
    }
}
