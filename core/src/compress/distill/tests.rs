//! Tests of training: gradients against finite differences, the training pass against inference, and whole trainings
//! on tiny data.

mod denoising;
mod pictures;
mod recurrent;

use super::ops::{Attention, BatchNormRelu, Convolution, LayerNorm, MaxPool, Mlp};
use super::*;
use crate::graph::Cell;
use crate::model::{CnnConfig, GptConfig, ModelReference, RnnConfig, Stage};

fn tiny_cnn() -> Architecture {
    let stage = |channels, pool| Stage { channels, pool };
    Architecture::Cnn(CnnConfig {
        input_channels: 1,
        size: 8,
        stages: vec![stage(3, true), stage(5, false)],
        classes: 2,
    })
}

fn tiny_gpt() -> Architecture {
    Architecture::Gpt(GptConfig {
        vocabulary: 256,
        context: 16,
        width: 8,
        heads: 2,
        hidden: 16,
        blocks: 2,
    })
}

fn tiny_rnn(cell: Cell) -> Architecture {
    Architecture::Rnn(RnnConfig {
        vocabulary: 256,
        context: 16,
        width: 6,
        units: 12,
        layers: 2,
        cell,
    })
}

/// Left half bright or right half bright would be mirrored into each other; top against bottom is not.
fn bars() -> TrainingSet {
    let mut pixels = Vec::new();
    let labels: Vec<u8> = (0..40u8).map(|i| i % 2).collect();
    for (i, &label) in labels.iter().enumerate() {
        for y in 0..8 {
            let bright = (y < 4) == (label == 0);
            pixels.extend([if bright { 200 } else { (i * 2) as u8 }; 8]);
        }
    }
    TrainingSet::Images { pixels, labels }
}

fn chant() -> TrainingSet {
    TrainingSet::Text(b"row, row, row your boat, gently down the stream; ".repeat(8))
}

fn cases() -> [(Architecture, TrainingSet); 4] {
    [
        (tiny_cnn(), bars()),
        (tiny_gpt(), chant()),
        (tiny_rnn(Cell::Lstm), chant()),
        (tiny_rnn(Cell::Gru), chant()),
    ]
}

fn quick(steps: u32) -> Schedule {
    Schedule {
        steps,
        batch: 8,
        learning_rate: 1e-2,
        weight_decay: 0.0,
    }
}

fn losses(
    teacher: Option<(&Model, f64)>,
    architecture: &Architecture,
    data: &TrainingSet,
    steps: u32,
    seed: u64,
) -> Vec<f64> {
    let mut losses = Vec::new();
    train(
        teacher,
        architecture,
        data,
        &quick(steps),
        seed,
        &mut |p, _| {
            losses.push(p.loss);
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    losses
}

fn random(shape: &[usize], seed: f32) -> Tensor {
    let len: usize = shape.iter().product();
    let values: Vec<f32> = (0..len)
        .map(|i| ((i as f32 * 12.9898 + seed) * 1.37).sin() * 1.5)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Compares the gradient of `Σ weights · f(x)` for one input with central differences.
fn check_gradient(shape: &[usize], f: impl Fn(&Tensor) -> Tensor) {
    /// Step of the differences and error allowed beside values of order one, in single precision.
    const STEP: f32 = 1e-2;
    const TOLERANCE: f32 = 2e-2;
    let x = Var::from_tensor(&random(shape, 0.3)).unwrap();
    let weights = random(f(&x).dims(), 0.7);
    let value = |x: &Tensor| (f(x) * &weights).unwrap().sum_all().unwrap();
    let gradients = value(&x).backward().unwrap();
    let found = gradients.get(&x).unwrap().flatten_all().unwrap();
    let found = found.to_vec1::<f32>().unwrap();
    let base = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for i in 0..base.len() {
        let moved = |by: f32| {
            let mut values = base.clone();
            values[i] += by;
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            value(&tensor).to_scalar::<f32>().unwrap()
        };
        let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        assert!(
            (found[i] - expected).abs() < TOLERANCE * (1.0 + expected.abs()),
            "{i}: {} instead of {expected}",
            found[i]
        );
    }
}

#[test]
fn gradients_agree_with_differences() {
    let (images, kernel) = (random(&[2, 3, 4, 2], 4.0), random(&[3, 18], 5.0));
    check_gradient(&[2, 3, 4, 2], |x| {
        x.apply_op2(&kernel, Convolution::new(true)).unwrap()
    });
    check_gradient(&[3, 18], |k| {
        images.apply_op2(k, Convolution::new(true)).unwrap()
    });
    check_gradient(&[1, 4, 5, 2], |x| x.apply_op1(MaxPool).unwrap());
    check_gradient(&[6, 12], |x| x.apply_op1(Attention::new(3, 2)).unwrap());
    let (rows, fc, proj) = (
        random(&[5, 2], 6.0),
        random(&[3, 2], 7.0),
        random(&[2, 3], 8.0),
    );
    check_gradient(&[5, 2], |x| {
        x.apply_op3(&fc, &proj, Mlp::default()).unwrap()
    });
    check_gradient(&[3, 2], |f| {
        rows.apply_op3(f, &proj, Mlp::default()).unwrap()
    });
    check_gradient(&[2, 3], |p| rows.apply_op3(&fc, p, Mlp::default()).unwrap());
    let (scale, shift) = (random(&[4], 1.0), random(&[4], 2.0));
    let layer = || LayerNorm { epsilon: 1e-5 };
    let batch = || BatchNormRelu {
        moments: Default::default(),
        epsilon: 1e-5,
    };
    let x = random(&[6, 4], 3.0);
    check_gradient(&[6, 4], |x| x.apply_op3(&scale, &shift, layer()).unwrap());
    check_gradient(&[4], |s| x.apply_op3(s, &shift, layer()).unwrap());
    check_gradient(&[4], |s| x.apply_op3(&scale, s, layer()).unwrap());
    // Far from the kink of the ReLU, where a difference means nothing.
    let high = random(&[4], 2.0).affine(0.1, 4.0).unwrap();
    check_gradient(&[6, 4], |x| x.apply_op3(&scale, &high, batch()).unwrap());
    check_gradient(&[4], |s| x.apply_op3(s, &high, batch()).unwrap());
    check_gradient(&[4], |s| {
        let s = s.affine(0.1, 4.0).unwrap();
        x.apply_op3(&scale, &s, batch()).unwrap()
    });
}

#[test]
fn the_loss_has_the_slope_that_it_says() {
    /// Single precision against a central difference of 0.01.
    const TOLERANCE: f64 = 1e-3;
    let logits = random(&[2, 5], 0.0);
    let teacher = random(&[2, 5], 1.0)
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    for soft in [None, Some((teacher.as_slice(), 3.0))] {
        let targets = Targets {
            labels: &[1, 4],
            soft,
        };
        let (_, gradient) = targets.loss(&logits).unwrap();
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let base = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for i in 0..base.len() {
            let moved = |by: f32| {
                let mut values = base.clone();
                values[i] += by;
                let tensor = Tensor::from_vec(values, (2, 5), &Device::Cpu).unwrap();
                targets.loss(&tensor).unwrap().0
            };
            let expected = (moved(0.01) - moved(-0.01)) / 0.02;
            assert!((f64::from(gradient[i]) - expected).abs() < TOLERANCE);
        }
    }
}

#[test]
fn a_student_that_says_what_the_teacher_says_has_only_the_hard_loss() {
    let logits = random(&[2, 5], 0.0);
    let teacher = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let labels = [0, 2];
    let soft = Targets {
        labels: &labels,
        soft: Some((&teacher, 2.0)),
    };
    let hard = Targets {
        labels: &labels,
        soft: None,
    };
    let (soft, hard) = (soft.loss(&logits).unwrap().0, hard.loss(&logits).unwrap().0);
    assert!((soft - HARD_SHARE * hard).abs() < 1e-6);
}

#[test]
fn the_training_pass_of_a_language_model_is_its_inference_pass() {
    for architecture in [tiny_gpt(), tiny_rnn(Cell::Lstm), tiny_rnn(Cell::Gru)] {
        trains_as_it_runs(&architecture);
    }
}

fn trains_as_it_runs(architecture: &Architecture) {
    /// Single precision, other order of summation.
    const TOLERANCE: f32 = 1e-4;
    let mut state = State::new(architecture, 5).unwrap();
    let tokens = Tensor::from_vec((60..92u32).collect::<Vec<_>>(), (2, 16), &Device::Cpu).unwrap();
    let training =
        network::logits(architecture, &state.variables, &mut state.fixed, &tokens).unwrap();
    let tensors = state.tensors(architecture).unwrap();
    let inference = architecture.forward(&tensors, &tokens, 32).unwrap();
    let worst = (training - inference.reshape((32, 256)).unwrap()).unwrap();
    let worst = worst.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    assert!(worst.to_scalar::<f32>().unwrap() < TOLERANCE);
}

#[test]
fn the_running_statistics_lead_inference_to_the_training_pass() {
    /// After this many equal batches the running statistics differ from the batch's by 0.9^200, and by the factor
    /// n/(n-1) of the unbiased variance.
    const BATCHES: usize = 200;
    const TOLERANCE: f32 = 2e-2;
    let architecture = tiny_cnn();
    let mut state = State::new(&architecture, 5).unwrap();
    let images = random(&[16, 1, 8, 8], 0.0).abs().unwrap();
    let mut training = None;
    for _ in 0..BATCHES {
        training = Some(
            network::logits(&architecture, &state.variables, &mut state.fixed, &images).unwrap(),
        );
    }
    let tensors = state.tensors(&architecture).unwrap();
    let inference = architecture.forward(&tensors, &images, 32).unwrap();
    let worst = (training.unwrap() - inference).unwrap().abs().unwrap();
    let worst = worst.flatten_all().unwrap().max(0).unwrap();
    assert!(worst.to_scalar::<f32>().unwrap() < TOLERANCE, "{worst}");
}

#[test]
fn training_lowers_the_loss() {
    for (architecture, data) in cases() {
        let losses = losses(None, &architecture, &data, 40, 1);
        let (first, last) = (losses[0], losses[39]);
        assert!(
            last < 0.7 * first,
            "{}: {first} → {last}",
            architecture.family()
        );
    }
}

#[test]
fn a_student_comes_closer_to_its_teacher() {
    for (architecture, data) in cases() {
        let mut run =
            |_: TrainingProgress, _: &dyn Fn() -> Result<Tensors>| ControlFlow::Continue(());
        let trained = train(None, &architecture, &data, &quick(40), 1, &mut run).unwrap();
        let reference = ModelReference::Bundled("teacher".into());
        let teacher = Model::new(reference, "teacher", architecture, trained.tensors).unwrap();
        let (student, _) = teacher.architecture.student(0.5);
        let losses = losses(Some((&teacher, 2.0)), &student, &data, 40, 2);
        assert!(
            losses[39] < 0.7 * losses[0],
            "{} → {}",
            losses[0],
            losses[39]
        );
    }
}

#[test]
fn the_seed_decides_the_training() {
    /// The same sums on the same machine, but matrix products may split differently over threads.
    const TOLERANCE: f64 = 1e-4;
    for (architecture, data) in cases() {
        let first = losses(None, &architecture, &data, 5, 7);
        let again = losses(None, &architecture, &data, 5, 7);
        let other = losses(None, &architecture, &data, 5, 8);
        assert!(
            first
                .iter()
                .zip(&again)
                .all(|(a, b)| (a - b).abs() < TOLERANCE)
        );
        assert!(
            first
                .iter()
                .zip(&other)
                .any(|(a, b)| (a - b).abs() > TOLERANCE)
        );
    }
}

#[test]
fn a_training_stops_when_told() {
    let mut steps = 0;
    let result = train(None, &tiny_gpt(), &chant(), &quick(100), 1, &mut |_, _| {
        steps += 1;
        if steps == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(result.err(), Some(Error::Cancelled));
    assert_eq!(steps, 3);
}

#[test]
fn progress_counts_the_work_of_teacher_and_student() {
    let (student, data) = (tiny_gpt(), chant());
    let teacher = Architecture::Gpt(GptConfig {
        vocabulary: 256,
        context: 16,
        width: 16,
        heads: 2,
        hidden: 32,
        blocks: 2,
    });
    let tensors = teacher.initial_tensors(1).unwrap();
    let teacher = Model::new(ModelReference::Bundled("t".into()), "t", teacher, tensors).unwrap();
    let mut last = None;
    let mut hear = |progress: TrainingProgress, _: &dyn Fn() -> Result<Tensors>| {
        last = Some(progress);
        ControlFlow::Continue(())
    };
    let guide = Some((&teacher, 2.0));
    let trained = train(guide, &student, &data, &quick(2), 1, &mut hear).unwrap();
    let macs = |a: &Architecture| a.layers().iter().map(|l| l.macs).sum::<f64>();
    let expected = 2.0 * 8.0 * 16.0 * (macs(&teacher.architecture) + 3.0 * macs(&student));
    assert!((trained.macs / expected - 1.0).abs() < 1e-12);
    assert_eq!(
        last.map(|p: TrainingProgress| (p.step, p.steps, p.macs)),
        Some((2, 2, trained.macs))
    );
}

#[test]
fn data_that_does_not_suit_is_refused() {
    let mut run = |_: TrainingProgress, _: &dyn Fn() -> Result<Tensors>| ControlFlow::Continue(());
    let mut fact = |architecture: &Architecture, data: &TrainingSet| {
        let result = train(None, architecture, data, &quick(1), 1, &mut run);
        result.err().map(|error| error.to_string())
    };
    let short = TrainingSet::Text(vec![1; 16]);
    assert_eq!(
        fact(&tiny_gpt(), &short).as_deref(),
        Some("computation failed: 16 bytes of text are too few for a context of 16")
    );
    assert_eq!(
        fact(&tiny_cnn(), &short).as_deref(),
        Some("computation failed: the training data does not suit a convolutional classifier")
    );
    let odd = TrainingSet::Images {
        pixels: vec![0; 65],
        labels: vec![0],
    };
    assert_eq!(
        fact(&tiny_cnn(), &odd).as_deref(),
        Some(
            "computation failed: 65 pixels and 1 labels are no set of 1 grey images of 8x8 pixels"
        )
    );
}
