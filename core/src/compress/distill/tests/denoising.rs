//! Denoisers: the training pass against inference, gradients against differences, trainings on tiny data.

use super::super::denoising::Batch;
use super::super::ops::Modulate;
use super::super::pass::{Trained as Parts, pass};
use super::*;
use crate::model::DiffusionConfig;

fn tiny() -> Architecture {
    Architecture::Diffusion(DiffusionConfig {
        channels: 1,
        size: 8,
        levels: vec![4, 6],
        features: 4,
        hidden: 5,
    })
}

/// Sixteen images with noise at as many times.
fn batch(teacher: Option<&Network>) -> Batch {
    let shades = random(&[16, 64], 0.0).abs().unwrap();
    let shades = shades.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let noise = random(&[16, 64], 0.7).flatten_all().unwrap();
    let noise = noise.to_vec1::<f32>().unwrap();
    let times = (0..16).map(|i| (i as f32 + 0.5) / 16.0);
    Batch::new(&shades, &noise, times, 64, teacher).unwrap()
}

#[test]
fn the_gradients_of_scales_and_shifts_agree_with_differences() {
    let by = random(&[2, 6], 0.2);
    check_gradient(&[2, 4, 3], |x| x.apply_op2(&by, Modulate).unwrap());
    let image = random(&[2, 4, 3], 0.3);
    check_gradient(&[2, 6], |by| image.apply_op2(by, Modulate).unwrap());
}

#[test]
fn the_running_statistics_lead_inference_of_a_denoiser_to_its_training_pass() {
    const BATCHES: usize = 200;
    /// Of the largest number; running variances are the unbiased ones, of 256 pixels, through six normalisations.
    const TOLERANCE: f32 = 2e-2;
    let architecture = tiny();
    let graph = architecture.graph();
    let mut state = State::new(&architecture, 5).unwrap();
    let given = batch(None).given;
    let mut trained = None;
    for _ in 0..BATCHES {
        let mut parts = Parts {
            variables: &state.variables,
            fixed: &mut state.fixed,
        };
        trained = Some(pass(&graph, 0..graph.nodes.len(), &mut parts, &given, false).unwrap());
    }
    let tensors = state.tensors(&architecture).unwrap();
    let found = architecture.forward(&tensors, &given, 32).unwrap();
    let largest = |x: Tensor| {
        let x = x.abs().unwrap().flatten_all().unwrap();
        x.max(0).unwrap().to_scalar::<f32>().unwrap()
    };
    let worst = largest((trained.unwrap() - &found).unwrap()) / largest(found);
    assert!(worst < TOLERANCE, "{worst}");
}

#[test]
fn the_gradient_of_the_denoising_loss_agrees_with_differences_with_a_teacher_and_without() {
    const STEP: f32 = 3e-4;
    /// Rectifiers and maxima have kinks within a step.
    const TOLERANCE: f64 = 5e-2;
    let architecture = tiny();
    let graph = architecture.graph();
    let other = State::new(&architecture, 6).unwrap();
    let other = other.tensors(&architecture).unwrap();
    let teacher = architecture.ready(&other, 32).unwrap();
    for teacher in [None, Some(&teacher)] {
        let batch = batch(teacher);
        let mut state = State::new(&architecture, 5).unwrap();
        let (_, gradients) = batch.loss(&graph, &mut state).unwrap();
        for (name, place) in [
            ("time.fc1.weight", 3),
            ("time.fc2.bias", 2),
            ("stem.conv.weight", 7),
            ("down1.conv2.weight", 20),
            ("down1.time.weight", 9),
            ("up0.time.bias", 1),
            ("up0.bn2.weight", 2),
            ("head.weight", 4),
            ("head.bias", 0),
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
                batch.loss(&graph, &mut state).unwrap().0
            };
            let expected = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            moved(0.0);
            let found = f64::from(found);
            assert!(
                (found - expected).abs() < TOLERANCE * (0.1 + expected.abs()),
                "{name} {place}: {found} instead of {expected}"
            );
        }
    }
}

#[test]
fn a_denoiser_learns_and_its_student_follows() {
    let trained = |teacher: Option<(&Model, f64)>, architecture: &Architecture| {
        let mut losses = Vec::new();
        let hear = &mut |p: TrainingProgress, _: &dyn Fn() -> Result<Tensors>| {
            losses.push(p.loss);
            ControlFlow::Continue(())
        };
        let trained = train(teacher, architecture, &bars(), &quick(80), 1, hear).unwrap();
        (trained.tensors, losses)
    };
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (tensors, losses) = trained(None, &tiny());
    let (first, last) = (mean(&losses[..5]), mean(&losses[70..]));
    assert!(last < 0.7 * first, "{first} {last}");
    let reference = ModelReference::Bundled("teacher".into());
    let teacher = Model::new(reference, "teacher", tiny(), tensors).unwrap();
    let (student, _) = teacher.architecture.student(0.5);
    let (_, losses) = trained(Some((&teacher, 2.0)), &student);
    let (first, last) = (mean(&losses[..5]), mean(&losses[70..]));
    assert!(last < 0.7 * first, "{first} {last}");
}
