use super::*;
use crate::model::{BATCH_NORM_EPSILON, Model, ModelReference, tensors_hash};

fn all() -> [Architecture; 3] {
    [
        Architecture::Cnn(CnnConfig::fashion()),
        Architecture::Gpt(GptConfig::bytes()),
        Architecture::Rnn(RnnConfig::bytes()),
    ]
}

fn input(architecture: &Architecture) -> Tensor {
    match architecture.input() {
        Input::Image((_, size, _)) => {
            let size = size as usize;
            Tensor::rand(0f32, 1.0, (3, 1, size, size), &Device::Cpu).unwrap()
        }
        Input::Noise { .. } | Input::Noisy(_) => unreachable!("neither of both"),
        Input::Tokens { .. } => {
            Tensor::from_vec((0..40u32).collect::<Vec<_>>(), (2, 20), &Device::Cpu).unwrap()
        }
    }
}

#[test]
fn the_layers_hold_exactly_the_tensors() {
    for architecture in all() {
        for ratio in [1.0, 0.3] {
            let (architecture, _) = architecture.student(ratio);
            let layers = architecture.layers();
            let held: u64 = layers
                .iter()
                .map(|l| l.weights() + l.other_parameters)
                .sum();
            assert_eq!(held, architecture.parameters());
            let tensors = architecture.initial_tensors(1).unwrap();
            assert_eq!(architecture.mismatch(&tensors), None);
            for layer in layers.iter().filter(|layer| layer.compressible) {
                let weight = &tensors[&format!("{}.weight", layer.name)];
                assert_eq!(weight.dims(), layer.shape.as_slice(), "{}", layer.name);
            }
        }
    }
}

#[test]
fn the_bundled_shapes_are_as_documented() {
    let [cnn, gpt, rnn] = all();
    let weights: u64 = cnn.layers().iter().map(Layer::weights).sum();
    assert_eq!(weights, 98_192);
    assert_eq!((cnn.parameters(), gpt.parameters()), (99_162, 505_536));
    assert_eq!(rnn.parameters(), 411_904);
    let macs: f64 = cnn.layers().iter().map(|layer| layer.macs).sum();
    assert!((5.4e6..6e6).contains(&macs), "{macs}");
}

#[test]
fn forward_gives_finite_logits_of_the_promised_shape() {
    for architecture in all() {
        let tensors = architecture.initial_tensors(1).unwrap();
        let x = input(&architecture);
        for bits in [32, 16, 8, 2] {
            let logits = architecture.forward(&tensors, &x, bits).unwrap();
            match architecture.input() {
                Input::Image(_) | Input::Noise { .. } | Input::Noisy(_) => {
                    assert_eq!(logits.dims(), [3, 10]);
                }
                Input::Tokens { .. } => assert_eq!(logits.dims(), [2, 20, 256]),
            }
            let values = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn the_convolution_agrees_with_candles() {
    /// Single precision over sums of 1,152 products.
    const TOLERANCE: f32 = 1e-3;
    let architecture = Architecture::Cnn(CnnConfig::fashion());
    let tensors = architecture.initial_tensors(2).unwrap();
    let images = input(&architecture);
    let mut x = images.clone();
    for n in 1..=4 {
        x = x
            .conv2d(&tensors[&format!("conv{n}.weight")], 1, 1, 1, 1)
            .unwrap();
        x = (x / (1.0 + BATCH_NORM_EPSILON).sqrt())
            .unwrap()
            .relu()
            .unwrap();
        if n <= 2 {
            x = x.max_pool2d(2).unwrap();
        }
    }
    let pooled = x.mean((2, 3)).unwrap();
    let expected = pooled.matmul(&tensors["head.weight"].t().unwrap()).unwrap();
    let found = architecture.forward(&tensors, &images, 32).unwrap();
    let worst = (found - expected)
        .unwrap()
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap();
    assert!(worst.max(0).unwrap().to_scalar::<f32>().unwrap() < TOLERANCE);
}

#[test]
fn a_token_does_not_see_the_ones_after_it() {
    all()[1..].iter().for_each(sees_nothing_after_it);
}

fn sees_nothing_after_it(architecture: &Architecture) {
    /// The same sums in the same order but for the length of the masked rows.
    const TOLERANCE: f32 = 1e-4;
    let tensors = architecture.initial_tensors(3).unwrap();
    let x = input(architecture);
    let long = architecture.forward(&tensors, &x, 32).unwrap();
    let short = x.narrow(1, 0, 7).unwrap().contiguous().unwrap();
    let short = architecture.forward(&tensors, &short, 32).unwrap();
    let worst = (long.narrow(1, 0, 7).unwrap() - short)
        .unwrap()
        .abs()
        .unwrap();
    let worst = worst
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!(worst < TOLERANCE, "{worst}");
    let whole = architecture.forward(
        &tensors,
        &x.narrow(1, 0, 1)
            .unwrap()
            .contiguous()
            .unwrap()
            .repeat((1, 129))
            .unwrap(),
        32,
    );
    assert_eq!(
        whole.unwrap_err().to_string(),
        "computation failed: 129 tokens are more than the context of 128"
    );
}

#[test]
fn a_student_has_the_wanted_share_of_parameters() {
    /// Whole channels cannot hit every count; relative to the student.
    const TOLERANCE: f64 = 0.03;
    for architecture in all() {
        for percent in 5..100 {
            let ratio = f64::from(percent) / 100.0;
            let (student, what) = architecture.student(ratio);
            let found = student.parameters() as f64 / architecture.parameters() as f64;
            assert!(
                (found / ratio - 1.0).abs() < TOLERANCE,
                "{ratio}: {found}, {what}"
            );
            assert!(what.starts_with("narrower: "), "{what}");
        }
        assert_eq!(architecture.student(1.0).0, architecture);
    }
}

#[test]
fn the_hash_sees_names_shapes_and_values() {
    let architecture = Architecture::Cnn(CnnConfig::fashion());
    let first = tensors_hash(&architecture.initial_tensors(1).unwrap()).unwrap();
    assert_eq!(first.len(), 64);
    assert_eq!(
        first,
        tensors_hash(&architecture.initial_tensors(1).unwrap()).unwrap()
    );
    assert_ne!(
        first,
        tensors_hash(&architecture.initial_tensors(2).unwrap()).unwrap()
    );
    let mut renamed = architecture.initial_tensors(1).unwrap();
    let bias = renamed.remove("head.bias").unwrap();
    renamed.insert("head.bios".to_owned(), bias);
    assert_ne!(first, tensors_hash(&renamed).unwrap());
}

#[test]
fn a_wrong_tensor_is_named() {
    let architecture = Architecture::Cnn(CnnConfig::fashion());
    let mut tensors = architecture.initial_tensors(1).unwrap();
    tensors.insert("head.bias".to_owned(), tensors["bn1.bias"].clone());
    let error = Model::new(
        ModelReference::Bundled("x".into()),
        "x",
        architecture,
        tensors,
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "computation failed: tensor 'head.bias' has shape [16], expected [10]"
    );
}

#[test]
fn an_architecture_survives_json() {
    for architecture in all() {
        let text = serde_json::to_string(&architecture).unwrap();
        assert_eq!(
            serde_json::from_str::<Architecture>(&text).unwrap(),
            architecture
        );
    }
}
