use super::*;
use crate::model::{Architecture, CnnConfig, GptConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn images() -> (Architecture, EvaluationSet) {
    let config = CnnConfig::fashion();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let labels: Vec<u8> = (0..300).map(|_| rng.random_range(0..10)).collect();
    let pixels = (0..300 * 784).map(|_| rng.random()).collect();
    let set =
        EvaluationSet::images(&Architecture::Cnn(config.clone()).graph(), pixels, labels).unwrap();
    (Architecture::Cnn(config), set)
}

fn text() -> (Architecture, EvaluationSet) {
    let config = GptConfig {
        width: 16,
        hidden: 32,
        blocks: 1,
        ..GptConfig::bytes()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let bytes = (0..128 * 20 + 1).map(|_| rng.random()).collect();
    let set = EvaluationSet::text(&Architecture::Gpt(config.clone()).graph(), bytes).unwrap();
    (Architecture::Gpt(config), set)
}

fn measure(architecture: &Architecture, set: &EvaluationSet, original: u64, other: u64) -> Quality {
    let original = architecture.initial_tensors(original).unwrap();
    let other = architecture.initial_tensors(other).unwrap();
    let baseline = Baseline::measure(&architecture.ready(&original, 32).unwrap(), set).unwrap();
    let mut accumulator = Accumulator::new(set, &baseline);
    let mut last = 0;
    while accumulator
        .step(&architecture.ready(&other, 32).unwrap())
        .unwrap()
    {
        assert!(accumulator.seen() > last);
        last = accumulator.seen();
    }
    assert!(accumulator.is_complete());
    assert_eq!(accumulator.seen(), set.len());
    assert!(
        !accumulator
            .step(&architecture.ready(&other, 32).unwrap())
            .unwrap()
    );
    accumulator.quality()
}

#[test]
fn the_original_does_not_differ_from_itself() {
    for (architecture, set) in [images(), text()] {
        let quality = measure(&architecture, &set, 1, 1);
        assert_eq!(quality.value, quality.baseline);
        assert_eq!(quality.change.value, 0.0);
        assert_eq!(quality.divergence.unwrap().value, 0.0);
        assert_eq!(quality.divergence.unwrap().high, 0.0);
        assert_eq!(quality.n, set.len());
    }
}

#[test]
fn before_the_first_step_nothing_is_known() {
    let everything = (f64::NEG_INFINITY, f64::INFINITY);
    for (architecture, set) in [images(), text()] {
        let original = architecture.initial_tensors(1).unwrap();
        let baseline =
            Baseline::measure(&architecture.ready(&original, 32).unwrap(), &set).unwrap();
        let quality = Accumulator::new(&set, &baseline).quality();
        assert_eq!(quality.n, 0);
        // No divergence is below zero.
        let divergence = quality.divergence.unwrap();
        let divergence = (divergence.low, divergence.high);
        assert_eq!(divergence, (0.0, f64::INFINITY));
        let (value, change) = match set {
            EvaluationSet::Images(_) => ((0.0, 1.0), (-1.0, 1.0)),
            _ => (everything, everything),
        };
        assert_eq!((quality.low, quality.high), value);
        assert_eq!((quality.change.low, quality.change.high), change);
    }
}

#[test]
fn another_network_differs_and_the_parts_agree() {
    /// Sums in another order.
    const TOLERANCE: f64 = 1e-9;
    for (architecture, set) in [images(), text()] {
        let quality = measure(&architecture, &set, 1, 2);
        let change = quality.value - quality.baseline;
        assert!((quality.change.value - change).abs() < TOLERANCE);
        assert!(quality.divergence.unwrap().low > 0.0);
        assert!(quality.low <= quality.value && quality.value <= quality.high);
    }
}

#[test]
fn a_network_that_knows_nothing_needs_eight_bits_a_byte() {
    let (architecture, set) = text();
    let mut tensors = architecture.initial_tensors(1).unwrap();
    let flat = tensors["head.weight"].zeros_like().unwrap();
    tensors.insert("head.weight".to_owned(), flat);
    let baseline = Baseline::measure(&architecture.ready(&tensors, 32).unwrap(), &set).unwrap();
    let mut accumulator = Accumulator::new(&set, &baseline);
    accumulator
        .step(&architecture.ready(&tensors, 32).unwrap())
        .unwrap();
    let quality = accumulator.quality();
    assert!((quality.value - 8.0).abs() < 1e-6, "{}", quality.value);
    assert!(!accumulator.is_complete());
}

#[test]
fn lost_images_are_those_that_only_the_original_gets_right() {
    let (architecture, set) = images();
    let original = architecture.initial_tensors(1).unwrap();
    let other = architecture.initial_tensors(3).unwrap();
    let baseline = Baseline::measure(&architecture.ready(&original, 32).unwrap(), &set).unwrap();
    let mut accumulator = Accumulator::new(&set, &baseline);
    while accumulator
        .step(&architecture.ready(&other, 32).unwrap())
        .unwrap()
    {}
    let examples = accumulator
        .examples(&architecture.ready(&other, 32).unwrap())
        .unwrap();
    assert!((1..=EXAMPLE_IMAGES).contains(&examples.len()));
    let EvaluationSet::Images(images) = &set else {
        unreachable!()
    };
    for example in &examples {
        let Example::Image {
            index,
            label,
            original: before,
            compressed,
        } = *example
        else {
            panic!("{example:?}")
        };
        let image: Vec<f32> = images
            .pixels(index)
            .iter()
            .map(|&p| f32::from(p) / 255.0)
            .collect();
        let image = candle_core::Tensor::from_vec(image, (1, 1, 28, 28), &candle_core::Device::Cpu)
            .unwrap();
        let class = |tensors| {
            let logits = architecture.forward(tensors, &image, 32).unwrap();
            logits.argmax(1).unwrap().to_vec1::<u32>().unwrap()[0] as usize
        };
        assert_eq!((before, compressed), (class(&original), class(&other)));
        assert_eq!(before, label);
        assert_ne!(compressed, label);
    }
}

#[test]
fn a_student_of_another_width_is_measured_and_another_family_refused() {
    let (architecture, set) = text();
    let tensors = architecture.initial_tensors(1).unwrap();
    let baseline = Baseline::measure(&architecture.ready(&tensors, 32).unwrap(), &set).unwrap();
    let mut accumulator = Accumulator::new(&set, &baseline);
    let (student, _) = architecture.student(0.5);
    let weights = student.initial_tensors(1).unwrap();
    assert!(
        accumulator
            .step(&student.ready(&weights, 8).unwrap())
            .unwrap()
    );
    let cnn = Architecture::Cnn(CnnConfig::fashion());
    assert_eq!(
        accumulator
            .step(&cnn.ready(&cnn.initial_tensors(1).unwrap(), 32).unwrap())
            .unwrap_err()
            .to_string(),
        "computation failed: a network of this shape cannot be measured on these data"
    );
}

#[test]
fn both_models_continue_the_same_prompts() {
    let (architecture, set) = text();
    let original = architecture.initial_tensors(1).unwrap();
    let baseline = Baseline::measure(&architecture.ready(&original, 32).unwrap(), &set).unwrap();
    let accumulator = Accumulator::new(&set, &baseline);
    let (student, _) = architecture.student(0.5);
    let other = student.initial_tensors(1).unwrap();
    for (architecture, tensors, same) in
        [(&architecture, &original, true), (&student, &other, false)]
    {
        let examples = accumulator
            .examples(&architecture.ready(tensors, 32).unwrap())
            .unwrap();
        assert!(!examples.is_empty());
        for example in examples {
            let Example::Text {
                original,
                compressed,
                ..
            } = example
            else {
                panic!("{example:?}")
            };
            assert_eq!(original == compressed, same);
        }
    }
}

#[test]
fn outputs_that_are_not_numbers_are_an_error() {
    let (architecture, set) = images();
    let mut tensors = architecture.initial_tensors(1).unwrap();
    let nan = (tensors["head.bias"].zeros_like().unwrap() * f64::NAN).unwrap();
    tensors.insert("head.bias".to_owned(), nan);
    let error = Baseline::measure(&architecture.ready(&tensors, 32).unwrap(), &set).unwrap_err();
    assert_eq!(
        error.to_string(),
        "computation failed: the network's outputs are not finite numbers"
    );
}
