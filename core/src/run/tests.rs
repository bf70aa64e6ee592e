use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::graph::Cell;
use crate::model::{
    Architecture, Block, BlockKind, CnnConfig, DecoderConfig, EncoderConfig, Form, Function,
    GanConfig, GptConfig, Number, Pooling, ResidualConfig, RnnConfig, Stage, Stem, VaeConfig,
};

/// Largest difference of a logit, relative to the largest logit: single precision through a dozen layers.
const TOLERANCE: f32 = 1e-5;
/// The same where rounding to few bits can turn a difference in the last place into a whole step.
const TOLERANCE_ROUNDED: f32 = 0.05;

pub(super) fn networks() -> Vec<Architecture> {
    let mut networks = vec![
        Architecture::Cnn(CnnConfig::fashion()),
        Architecture::Gpt(GptConfig::bytes()),
        // Odd sizes, several input channels, pooling at the end.
        Architecture::Cnn(CnnConfig {
            input_channels: 3,
            size: 11,
            stages: vec![
                Stage {
                    channels: 5,
                    pool: false,
                },
                Stage {
                    channels: 9,
                    pool: true,
                },
                Stage {
                    channels: 17,
                    pool: true,
                },
            ],
            classes: 3,
        }),
        Architecture::Vae(VaeConfig::fashion()),
        Architecture::Gan(GanConfig::fashion()),
        // Several channels, an odd number of halvings, more doublings than halvings.
        Architecture::Vae(VaeConfig {
            channels: 3,
            size: 12,
            encoder: vec![Stage {
                channels: 5,
                pool: true,
            }],
            latent: 7,
            decoder: vec![9, 6, 5],
        }),
        Architecture::Gpt(GptConfig {
            vocabulary: 31,
            context: 45,
            width: 15,
            heads: 3,
            hidden: 37,
            blocks: 2,
        }),
        Architecture::Rnn(RnnConfig::bytes()),
        Architecture::Rnn(RnnConfig {
            vocabulary: 31,
            context: 45,
            width: 7,
            units: 19,
            layers: 3,
            cell: Cell::Gru,
        }),
    ];
    let students: Vec<_> = networks.iter().map(|n| n.student(0.4).0).collect();
    networks.extend(students);
    networks.extend(decoders());
    networks.extend(residuals());
    networks.extend(encoders());
    networks
}

/// Grouped queries, tied and turned side by side; then biases, normalised heads, a window and a head of its own.
fn decoders() -> [Architecture; 2] {
    let first = DecoderConfig {
        vocabulary: 61,
        context: 64,
        width: 24,
        blocks: 3,
        heads: 6,
        kv_heads: 2,
        head_width: 8,
        hidden: 40,
        base: Number(10_000.0),
        rotary: 8,
        interleaved: true,
        factors: false,
        epsilon: Number(1e-5),
        tied: true,
        biases: false,
        head_norms: false,
        window: None,
        form: Form::default(),
    };
    let second = DecoderConfig {
        width: 30,
        heads: 4,
        kv_heads: 4,
        head_width: 10,
        rotary: 6,
        base: Number(1e6),
        interleaved: false,
        factors: true,
        epsilon: Number(1e-6),
        tied: false,
        biases: true,
        head_norms: true,
        window: Some(7),
        ..first.clone()
    };
    [first, second].map(Architecture::Decoder)
}

/// Kinds of texts and rows of positions that are never used; then neither, and the parts of attention apart.
fn encoders() -> [Architecture; 2] {
    let first = EncoderConfig {
        vocabulary: 61,
        context: 64,
        first_position: 2,
        types: 2,
        width: 24,
        blocks: 3,
        heads: 6,
        hidden: 40,
        epsilon: Number(1e-12),
        function: Function::GeluExact,
        fused: true,
        pooling: Pooling::Mean,
    };
    let second = EncoderConfig {
        first_position: 0,
        types: 0,
        width: 30,
        function: Function::Gelu,
        fused: false,
        ..first.clone()
    };
    [first, second].map(Architecture::Encoder)
}

/// Blocks of two and of three convolutions, a wide stem with pooling; then inverted ones.
pub(super) fn residuals() -> [Architecture; 2] {
    let block = |kind, hidden, channels, stride, projected| Block {
        kind,
        hidden,
        channels,
        stride,
        projected,
    };
    let resnet = ResidualConfig {
        input_channels: 1,
        size: 28,
        stem: Stem {
            channels: 8,
            kernel: 7,
            stride: 2,
            pool: true,
        },
        stages: vec![
            vec![block(BlockKind::Basic, 8, 8, 1, false)],
            vec![
                block(BlockKind::Basic, 12, 12, 2, true),
                block(BlockKind::Bottleneck, 6, 12, 1, false),
            ],
        ],
        last: None,
        classes: 10,
    };
    let mobile = ResidualConfig {
        stem: Stem {
            channels: 8,
            kernel: 3,
            stride: 2,
            pool: false,
        },
        stages: vec![
            vec![block(BlockKind::Inverted, 8, 4, 1, false)],
            vec![
                block(BlockKind::Inverted, 24, 6, 2, false),
                block(BlockKind::Inverted, 36, 6, 1, false),
            ],
        ],
        last: Some(20),
        ..resnet.clone()
    };
    [resnet, mobile].map(Architecture::Residual)
}

#[test]
fn a_residual_network_is_known_by_its_tensors() {
    for architecture in residuals() {
        let shapes = architecture.tensor_shapes();
        let named = shapes
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()));
        let found = crate::model::recognise(&named.collect());
        assert_eq!(found, Some(architecture));
    }
}

/// Numbers from 0 to 1, the same every time.
fn random(shape: &[usize]) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Trained-looking weights: initial ones with statistics that are not 0 and 1.
pub(super) fn tensors(architecture: &Architecture) -> Tensors {
    let mut tensors = architecture.initial_tensors(7).unwrap();
    for (name, tensor) in &mut tensors {
        if tensor.rank() == 1 {
            let noise = random(tensor.dims());
            *tensor = (&*tensor + noise * 0.5).unwrap();
        }
        if name == "head.bias" {
            *tensor = (&*tensor - 0.25).unwrap();
        }
    }
    tensors
}

pub(super) fn input(architecture: &Architecture, n: usize, t: usize) -> Tensor {
    match architecture.input() {
        given @ (Input::Image(_) | Input::Noise { .. }) => random(&given.shape(n)),
        Input::Tokens { vocabulary, .. } => {
            let tokens: Vec<u32> = (0..n * t)
                .map(|i| (i * i * 31 % vocabulary as usize) as u32)
                .collect();
            Tensor::from_vec(tokens, (n, t), &Device::Cpu).unwrap()
        }
    }
}

pub(super) fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn the_fast_path_agrees_with_plain_tensor_operations() {
    for architecture in networks() {
        let tensors = tensors(&architecture);
        for (n, t, bits) in [(1, 1, 32), (9, 45, 32), (3, 33, 16), (3, 40, 8), (2, 20, 4)] {
            let input = input(&architecture, n, t);
            let network = Network::new(&architecture.graph(), &tensors, bits).unwrap();
            let found = network.run(&input).unwrap();
            let plain = plain::forward(&architecture, &tensors, &input, bits).unwrap();
            assert_eq!(found.dims(), plain.dims());
            let (found, plain) = (numbers(&found), numbers(&plain));
            let largest = plain.iter().fold(0f32, |a, b| a.max(b.abs()));
            let worst = found
                .iter()
                .zip(&plain)
                .fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
            let tolerance = if bits == 32 {
                TOLERANCE
            } else {
                TOLERANCE_ROUNDED
            };
            assert!(
                worst <= tolerance * largest,
                "{architecture:?} {n} {t} {bits}: {worst} of {largest}"
            );
        }
    }
}

#[test]
fn a_sample_does_not_depend_on_the_others() {
    for architecture in networks() {
        let tensors = tensors(&architecture);
        let input = input(&architecture, 5, 20);
        let network = Network::new(&architecture.graph(), &tensors, 8).unwrap();
        let together = network.run(&input).unwrap();
        for i in 0..5 {
            let alone = network.run(&input.narrow(0, i, 1).unwrap()).unwrap();
            assert_eq!(numbers(&alone), numbers(&together.narrow(0, i, 1).unwrap()));
        }
    }
}

#[test]
fn a_text_read_bit_by_bit_is_the_same_text() {
    /// Sums over the same tokens in other tiles; relative to the largest logit.
    const TOLERANCE: f32 = 1e-5;
    for architecture in networks() {
        let network = Network::new(&architecture.graph(), &tensors(&architecture), 32).unwrap();
        let Some(mut reader) = network.reader() else {
            continue;
        };
        let input = input(&architecture, 1, 45);
        let whole = numbers(&network.run(&input).unwrap());
        let tokens = input.flatten_all().unwrap().to_vec1::<u32>().unwrap();
        let room = reader.room();
        for bit in [0..10, 10..11, 11..12, 12..45] {
            let end = bit.end;
            let logits = reader.read(&tokens[bit]).unwrap();
            let expected = &whole[(end - 1) * logits.len()..end * logits.len()];
            let largest = expected.iter().fold(0f32, |a, b| a.max(b.abs()));
            for (a, b) in logits.iter().zip(expected) {
                assert!((a - b).abs() <= TOLERANCE * largest, "{a} {b}");
            }
        }
        assert_eq!(reader.room(), room - 45);
    }
}

#[test]
fn input_that_does_not_fit_is_refused() {
    let architecture = Architecture::Cnn(CnnConfig::fashion());
    let network = Network::new(&architecture.graph(), &tensors(&architecture), 32).unwrap();
    let large = Tensor::zeros((2, 1, 32, 32), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert_eq!(
        network.run(&large).unwrap_err().to_string(),
        "computation failed: images have shape [1, 32, 32], expected [1, 28, 28]"
    );
    let architecture = Architecture::Gpt(GptConfig {
        vocabulary: 31,
        ..GptConfig::bytes()
    });
    let network = Network::new(&architecture.graph(), &tensors(&architecture), 32).unwrap();
    let token = Tensor::new(&[[31u32]], &Device::Cpu).unwrap();
    assert_eq!(
        network.run(&token).unwrap_err().to_string(),
        "computation failed: token 31 is not among the 31"
    );
}
