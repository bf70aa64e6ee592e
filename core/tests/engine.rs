//! The engine and its worker on a bundled model, as the window and the command line use them.

#![expect(clippy::panic, reason = "a test that cannot go on says why")]
use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use wattif_core::Error;
use wattif_core::engine::{Engine, Observer, Unobserved};
use wattif_core::measurement::{Depth, Example, Measurement};
use wattif_core::model::ModelReference;
use wattif_core::recipe::Recipe;
use wattif_core::worker::{Event, Worker};

/// Longest that anything here may take before the test is called broken.
const DEADLINE: Duration = Duration::from_secs(120);

fn classifier() -> ModelReference {
    ModelReference::Bundled("fashion-cnn".to_owned())
}

fn bits(weight_bits: u8) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.quantization.weight_bits = weight_bits;
    recipe
}

fn sparse(percent: u32) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = f64::from(percent) / 100.0;
    recipe
}

/// Remembers what was measured; cancels from the given number of results on.
struct Notes {
    depths: RefCell<Vec<Depth>>,
    patience: usize,
}

impl Observer for Notes {
    fn cancelled(&self) -> bool {
        self.depths.borrow().len() >= self.patience
    }
    fn progress(&self, _: &str, done: f64) {
        assert!((0.0..=1.0).contains(&done));
    }
    fn measured(&self, measurement: &Measurement) {
        self.depths.borrow_mut().push(measurement.depth);
    }
}

#[test]
fn the_identity_recipe_measures_the_original() {
    let engine = Engine::open(&classifier()).unwrap();
    let measured = engine
        .measure(&Recipe::default(), Depth::Full, &Unobserved)
        .unwrap();
    assert_eq!(measured.quality.value, measured.quality.baseline);
    assert_eq!(measured.quality.change.value, 0.0);
    assert_eq!(measured.quality.n, engine.evaluation_set().len());
    assert_eq!(measured.depth, Depth::Full);
    assert_eq!(
        measured.profile.stored_bytes(),
        engine.predict(&Recipe::default()).unwrap().stored_bytes()
    );
}

#[test]
fn results_come_coarse_first_and_a_cancelled_one_is_kept() {
    let engine = Engine::open(&classifier()).unwrap();
    let notes = Notes {
        depths: RefCell::default(),
        patience: 1,
    };
    let recipe = bits(3);
    assert_eq!(
        engine.measure(&recipe, Depth::Full, &notes),
        Err(Error::Cancelled)
    );
    assert_eq!(*notes.depths.borrow(), [Depth::Coarse]);
    let kept = engine.known(&recipe).unwrap();
    assert_eq!(kept.depth, Depth::Coarse);
    assert_eq!(kept.quality.n, engine.evaluation_set().coarse());

    let full = engine.measure(&recipe, Depth::Full, &Unobserved).unwrap();
    assert_eq!(full.quality.n, engine.evaluation_set().len());
    let width = |m: &Measurement| m.quality.high - m.quality.low;
    assert!(width(&full) < width(&kept));
    assert!(full.profile.stored_bytes() < engine.predict(&bits(8)).unwrap().stored_bytes());
}

#[test]
fn a_ratio_without_a_student_is_answered_by_the_nearest_and_says_so() {
    let engine = Engine::open(&classifier()).unwrap();
    let mut recipe = Recipe::default();
    recipe.distillation.ratio = 0.97;
    let measured = engine.measure(&recipe, Depth::Coarse, &Unobserved).unwrap();
    assert!(!measured.student.exact);
    assert_eq!(measured.student.wanted, 0.97);
    assert_eq!(measured.student.actual, 1.0);
    let planned = engine.predict(&recipe).unwrap().parameters() as f64;
    let original = engine.model().architecture.parameters() as f64;
    assert!((planned / original - 0.97).abs() < 0.03);
}

#[test]
fn an_impossible_recipe_is_refused_before_any_work() {
    let engine = Engine::open(&classifier()).unwrap();
    let error = engine
        .measure(&bits(11), Depth::Coarse, &Unobserved)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "weight bits are 11; they must be 1 to 8, 16 or 32"
    );
}

fn next(worker: &Worker, start: Instant) -> Event {
    let left = DEADLINE.saturating_sub(start.elapsed());
    match worker.wait(left) {
        Ok(event) => event,
        Err(error) => panic!("the worker fell silent: {error}"),
    }
}

#[test]
fn a_drag_ends_with_its_last_position_in_full() {
    let worker = Worker::open(classifier(), || {}).unwrap();
    for percent in 1..=60 {
        worker.submit(sparse(percent));
    }
    let last = sparse(60).key();
    let start = Instant::now();
    loop {
        match next(&worker, start) {
            Event::Measured(m) if m.recipe.key() == last && m.depth == Depth::Full => break,
            Event::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
}

#[test]
fn idle_time_fills_in_the_neighbours_and_then_ends() {
    let worker = Worker::open(classifier(), || {}).unwrap();
    worker.submit(sparse(50));
    worker.fill([(sparse(51), Depth::Coarse), (sparse(49), Depth::Coarse)]);
    let mut measured = HashSet::new();
    let start = Instant::now();
    loop {
        match next(&worker, start) {
            Event::Measured(m) => {
                measured.insert(m.recipe.key());
            }
            Event::Idle if measured.contains(&sparse(50).key()) => break,
            Event::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
    for percent in [49, 51] {
        assert!(measured.contains(&sparse(percent).key()));
    }
}

#[test]
fn a_model_that_does_not_exist_is_an_event_not_a_crash() {
    let reference = ModelReference::Bundled("fashion-cn".to_owned());
    let worker = Worker::open(reference, || {}).unwrap();
    match next(&worker, Instant::now()) {
        Event::Failed { error, .. } => assert_eq!(
            error.to_string(),
            "no bundled model is called 'fashion-cn'; did you mean fashion-cnn?"
        ),
        _ => panic!("expected a failure"),
    }
}

#[test]
fn an_unchanged_language_model_writes_what_the_original_writes() {
    let reference = ModelReference::Bundled("tiny-gpt".to_owned());
    let engine = Engine::open(&reference).unwrap();
    let write = |recipe: &Recipe| {
        let measured = engine.measure(recipe, Depth::Full, &Unobserved).unwrap();
        let text = |example: &Example| match example {
            Example::Text {
                original,
                compressed,
                ..
            } => (original.clone(), compressed.clone()),
            other => panic!("expected a text, got {other:?}"),
        };
        let texts: Vec<_> = measured.examples.iter().map(text).collect();
        assert!(!texts.is_empty());
        texts
    };
    let unchanged = write(&Recipe::default());
    for (original, same) in &unchanged {
        assert!(!original.is_empty());
        assert_eq!(original, same);
    }
    for ((original, _), (still_original, other)) in unchanged.iter().zip(write(&bits(2))) {
        assert_eq!(*original, still_original);
        assert_ne!(*original, other);
    }
}

#[test]
fn the_spiking_version_comes_near_the_network_it_stands_for_as_time_steps_grow() {
    let engine = Engine::open(&classifier()).unwrap();
    let run = |steps| {
        engine
            .spike(&Recipe::default(), steps, &Unobserved)
            .unwrap()
    };
    let (few, many) = (run(4), run(48));
    assert!(many.accuracy.value > many.dense - 0.03, "{many:?}");
    assert!(few.accuracy.value < many.accuracy.value, "{few:?}");
    assert!(many.accuracy.low < many.accuracy.value && many.accuracy.value < many.accuracy.high);
    let names: Vec<&str> = many.activity.iter().map(|l| l.layer.as_str()).collect();
    assert_eq!(names, ["conv1", "conv2", "conv3", "conv4", "head"]);
    // Pixels fire as often as they are bright: the mean of Fashion-MNIST is 0.286.
    assert!((many.activity[0].activity - 0.286).abs() < 0.03, "{many:?}");
    for layer in &many.activity[..4] {
        assert!((0.005..0.5).contains(&layer.activity), "{layer:?}");
    }
}

#[test]
fn a_language_model_has_no_spiking_version_and_says_why() {
    let reference = ModelReference::Bundled("tiny-gpt".to_owned());
    let error = Engine::open(&reference)
        .unwrap()
        .spike(&Recipe::default(), 8, &Unobserved)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("only a chain of convolutions has a rate-coded form"),
        "{error}"
    );
}
