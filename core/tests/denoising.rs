//! A denoiser through the engine: what compression and steps do to its predictions and pictures.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use wattif_core::engine::{Engine, Unobserved};
use wattif_core::evaluate::{Accumulator, Baseline, EvaluationSet};
use wattif_core::measurement::{DENOISING_LADDER, Depth, Example, Metric, Quality};
use wattif_core::model::ModelReference;
use wattif_core::recipe::Recipe;

fn open() -> Engine {
    Engine::open(&ModelReference::Bundled("fashion-diffusion".to_owned())).unwrap()
}

fn measured(engine: &Engine, sparsity: f64, bits: u8) -> Quality {
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = sparsity;
    recipe.quantization.weight_bits = bits;
    let measured = engine.measure(&recipe, Depth::Coarse, &Unobserved).unwrap();
    measured.quality
}

#[test]
fn the_original_is_as_good_as_itself_and_fewer_bits_and_more_zeros_are_worse() {
    let engine = open();
    let original = measured(&engine, 0.0, 32);
    assert_eq!(original.metric, Metric::DenoisingLoss);
    assert_eq!(
        (original.value, original.change.value, original.n),
        (original.baseline, 0.0, 256)
    );
    // Whoever predicts nothing is wrong by the mean square of a velocity, above 0.7.
    assert!((0.01..0.4).contains(&original.value), "{original:?}");
    // Below 3 bits and beyond 70 % zeros nothing is left that could be ranked.
    let by_bits = [8, 6, 4, 3].map(|bits| measured(&engine, 0.0, bits));
    let by_zeros = [0.1, 0.3, 0.5, 0.7].map(|zeros| measured(&engine, zeros, 32));
    for ladder in [by_bits, by_zeros] {
        for pair in ladder.windows(2) {
            assert!(pair[1].value > pair[0].value, "{pair:?}");
        }
        assert!(ladder[3].change.low > 0.0, "{:?}", ladder[3]);
    }
}

#[test]
fn pictures_are_shown_by_steps_and_fewer_steps_bring_them_further_from_real_ones() {
    let engine = open();
    let model = engine.model();
    let network = model.architecture.ready(&model.tensors, 32).unwrap();
    let EvaluationSet::Pictures(pictures) = engine.evaluation_set() else {
        panic!("a denoiser makes pictures");
    };
    let mut last = f64::INFINITY;
    for steps in [1, 2, 6] {
        let set = EvaluationSet::Pictures(pictures.clone().in_steps(steps));
        let baseline = Baseline::measure(&network, &set).unwrap();
        let mut accumulator = Accumulator::new(&set, &baseline);
        while accumulator.step(&network).unwrap() {}
        let quality = accumulator.quality();
        let judged = quality.pictures.unwrap();
        let distance = judged.frechet.unwrap();
        assert_eq!(distance.value, distance.baseline);
        assert!(distance.value < last, "{steps}: {distance:?} after {last}");
        last = distance.value;
        assert!(judged.precision.is_some() && judged.recall.is_some());
        let examples = accumulator.examples(&network).unwrap();
        let made = examples.iter().map(|example| match example {
            Example::Picture {
                held_out: None,
                rows: 28,
                steps: Some(steps),
                original,
                compressed,
            } => {
                assert_eq!((original, original.len()), (compressed, 784));
                *steps
            }
            other => panic!("{other:?}"),
        });
        let made: Vec<u32> = made.collect();
        assert_eq!(made.len(), 8 * DENOISING_LADDER.len());
        assert_eq!(made[..DENOISING_LADDER.len()], DENOISING_LADDER);
    }
}
