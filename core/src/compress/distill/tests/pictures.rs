//! Networks that make pictures: passes against inference, gradients against differences, trainings on tiny data.

use super::super::ops::Upsample;
use super::super::pass::{Trained as Parts, pass};
use super::*;
use crate::model::{GanConfig, VaeConfig};

fn tiny_vae() -> Architecture {
    let stage = |channels, pool| Stage { channels, pool };
    Architecture::Vae(VaeConfig {
        channels: 1,
        size: 8,
        encoder: vec![stage(4, true), stage(6, false)],
        latent: 3,
        decoder: vec![6, 4],
    })
}

fn tiny_gan() -> GanConfig {
    GanConfig {
        noise: 5,
        stages: vec![6, 4],
        channels: 1,
        size: 8,
    }
}

fn images() -> Tensor {
    random(&[16, 1, 8, 8], 0.0).abs().unwrap()
}

#[test]
fn the_gradient_of_larger_images_agrees_with_differences() {
    check_gradient(&[2, 3, 2, 4], |x| x.apply_op1(Upsample).unwrap());
}

#[test]
fn the_running_statistics_lead_inference_to_the_training_pass() {
    const BATCHES: usize = 200;
    const TOLERANCE: f32 = 3e-2;
    let architecture = tiny_vae();
    let graph = architecture.graph();
    let drawn = graph.sampling().unwrap();
    let mut state = State::new(&architecture, 5).unwrap();
    let (mut numbers, mut pictures) = (None, None);
    for _ in 0..BATCHES {
        let mut parts = Parts {
            variables: &state.variables,
            fixed: &mut state.fixed,
        };
        let row = pass(&graph, 0..drawn, &mut parts, &images(), false).unwrap();
        let mean = row.narrow(1, 0, 3).unwrap();
        let logits = pass(
            &graph,
            drawn + 1..graph.nodes.len(),
            &mut parts,
            &mean,
            true,
        )
        .unwrap();
        pictures = Some(candle_nn::ops::sigmoid(&logits).unwrap());
        numbers = Some(row);
    }
    let tensors = state.tensors(&architecture).unwrap();
    let network = architecture.ready(&tensors, 32).unwrap();
    let worst = |a: &Tensor, b: &[f32]| {
        let a = a.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let pairs = a.iter().zip(b);
        pairs.fold(0f32, |worst, (a, b)| worst.max((a - b).abs()))
    };
    let values = images().flatten_all().unwrap().to_vec1().unwrap();
    let found = network.encode(&values).unwrap();
    let worst_number = worst(&numbers.unwrap(), &found);
    assert!(worst_number < TOLERANCE, "{worst_number}");
    let made = network.run(&images()).unwrap();
    let made = made.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let worst_pixel = worst(&pictures.unwrap(), &made);
    assert!(worst_pixel < TOLERANCE, "{worst_pixel}");
}

#[test]
fn the_gradient_of_the_bound_agrees_with_differences_with_a_teacher_and_without() {
    const STEP: f32 = 1e-2;
    /// Rectifiers and maxima have kinks within a step.
    const TOLERANCE: f64 = 5e-2;
    let architecture = tiny_vae();
    let graph = architecture.graph();
    let drawn = graph.sampling().unwrap();
    let noise = random(&[16, 3], 0.4);
    let other = State::new(&architecture, 6).unwrap();
    let other = other.tensors(&architecture).unwrap();
    let teacher = architecture.ready(&other, 32).unwrap();
    for teacher in [None, Some(&teacher)] {
        let mut state = State::new(&architecture, 5).unwrap();
        let loss = |state: &mut State| {
            super::super::pictures::autoencode((&graph, drawn), state, &images(), &noise, teacher)
                .unwrap()
        };
        let (_, gradients) = loss(&mut state);
        for (name, place) in [
            ("encoder.head.bias", 1),
            ("encoder.head.bias", 4),
            ("encoder.conv1.weight", 7),
            ("decoder.start.weight", 10),
            ("decoder.head.bias", 0),
        ] {
            let found = gradients.get(&state.variables[name]).unwrap();
            let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap()[place];
            let variable = state.variables[name].clone();
            let base = variable.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let mut moved = |by: f32| {
                let mut values = base.clone();
                values[place] += by;
                let values = Tensor::from_vec(values, variable.dims(), &Device::Cpu).unwrap();
                variable.set(&values).unwrap();
                // Nats per pixel; an image has 64.
                64.0 * loss(&mut state).0
            };
            let expected = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            moved(0.0);
            let found = f64::from(found);
            assert!(
                (found - expected).abs() < TOLERANCE * (1.0 + expected.abs()),
                "{name} {place}: {found} instead of {expected}"
            );
        }
    }
}

#[test]
fn an_autoencoder_learns_and_its_student_follows() {
    let trained = |teacher: Option<(&Model, f64)>, architecture: &Architecture| {
        let mut losses = Vec::new();
        let hear = &mut |p: TrainingProgress, _: &dyn Fn() -> Result<Tensors>| {
            losses.push(p.loss);
            ControlFlow::Continue(())
        };
        let trained = train(teacher, architecture, &bars(), &quick(60), 1, hear).unwrap();
        (trained.tensors, losses)
    };
    let (tensors, losses) = trained(None, &tiny_vae());
    assert!(losses[59] < 0.7 * losses[0], "{} {}", losses[0], losses[59]);
    let reference = ModelReference::Bundled("teacher".into());
    let teacher = Model::new(reference, "teacher", tiny_vae(), tensors).unwrap();
    let (student, _) = teacher.architecture.student(0.5);
    let (_, losses) = trained(Some((&teacher, 2.0)), &student);
    assert!(losses[59] < 0.8 * losses[0], "{} {}", losses[0], losses[59]);
}

#[test]
fn a_generator_learns_from_another_and_against_one_but_not_alone() {
    let config = tiny_gan();
    let architecture = Architecture::Gan(config.clone());
    let data = bars();
    let mut unwatched =
        |_: TrainingProgress, _: &dyn Fn() -> Result<Tensors>| ControlFlow::Continue(());
    let alone = train(None, &architecture, &data, &quick(1), 1, &mut unwatched);
    let fact = alone.unwrap_err().to_string();
    assert!(fact.contains("from another network only"), "{fact}");
    let schedule = Schedule {
        batch: 8,
        ..Schedule::adversarial(30)
    };
    let made = |seed| {
        let hear =
            &mut |_: TrainingProgress, _: &dyn Fn() -> Result<Tensors>| ControlFlow::Continue(());
        train_generator(&config, &data, &schedule, seed, hear).unwrap()
    };
    let first = made(3);
    let reference = ModelReference::Bundled("teacher".into());
    let teacher = Model::new(reference, "teacher", architecture, first.tensors).unwrap();
    let start = Architecture::Gan(config.clone())
        .initial_tensors(3)
        .unwrap();
    let moved = (&teacher.tensors["start.weight"] - &start["start.weight"]).unwrap();
    let moved = moved.abs().unwrap().sum_all().unwrap();
    assert!(moved.to_scalar::<f32>().unwrap() > 0.0);
    let (student, _) = teacher.architecture.student(0.5);
    let losses = losses(Some((&teacher, 2.0)), &student, &data, 40, 2);
    assert!(losses[39] < losses[0], "{} {}", losses[0], losses[39]);
}
