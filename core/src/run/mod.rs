//! How networks run here: a graph and weights become fused steps ([`lower`]), every sample runs on one core through buffers
//! that fit its cache ([`program`]), samples are spread over the cores. A sample's result does not depend on what else runs
//! with it.
//!
//! The same networks in plain tensor operations are the oracle that this is tested against.

mod attention;
mod factor;
mod lower;
mod matrix;
mod packed;
#[cfg(test)]
mod plain;
mod program;
mod rows;
mod spiking;
mod steps;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

pub(crate) use lower::Weights;
pub use packed::PackedFormat;
pub(crate) use packed::{PackedMatrix, PackedNetwork};
pub(crate) use spiking::SpikingNetwork;

use self::lower::Widths;
use self::matrix::{Matrix, Product};
use self::program::{Frame, Program};
use crate::error::{Error, Result};
use crate::graph::{Graph, Input};
use crate::model::Tensors;

/// Images that a core takes at least at a time.
const GRAIN: usize = 8;

/// A network ready to run.
#[derive(Debug)]
pub struct Network(Program);

impl Weights for Tensors {
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self
            .get(name)
            .ok_or_else(|| Error::Compute(format!("tensor '{name}' is missing")))?;
        Ok(tensor.flatten_all()?.to_vec1()?)
    }
}

impl Network {
    /// Lays out the weights. With fewer than 32 `activation_bits` what enters each compressible matrix is rounded: 16 to
    /// half precision, fewer to symmetric integers with one scale per image or token, taken from its largest absolute
    /// value.
    ///
    /// # Errors
    /// [`Error::Compute`] if a tensor is missing or of another size, or a part of the network cannot be run.
    pub(crate) fn new(graph: &Graph, weights: &dyn Weights, activation_bits: u8) -> Result<Self> {
        let widths = Widths {
            activations: activation_bits,
            packed: None,
        };
        lower::lower(graph, weights, widths).map(Self)
    }

    /// Images `[n, channels, rows, columns]` (f32, 0 to 1) give `[n, outputs]`; tokens `[n, t]` (u32, t at most the
    /// context) give `[n, t, outputs]` for the token that follows each.
    ///
    /// # Errors
    /// [`Error::Compute`] if the input's shape or type does not fit.
    pub fn run(&self, input: &Tensor) -> Result<Tensor> {
        self.run_last(input, usize::MAX)
    }

    /// The same, of texts only for the last so many tokens of each.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_last(&self, input: &Tensor, last: usize) -> Result<Tensor> {
        match self.0.input {
            Input::Image((channels, rows, columns)) => {
                let (n, ..) = input.dims4()?;
                let expected = [channels, rows, columns].map(|extent| extent as usize);
                if input.dims()[1..] != expected {
                    return Err(Error::Compute(format!(
                        "images have shape {:?}, expected {expected:?}",
                        &input.dims()[1..],
                    )));
                }
                let outputs = self.images(&input.flatten_all()?.to_vec1::<f32>()?)?;
                Ok(Tensor::from_vec(
                    outputs,
                    (n, self.outputs()),
                    &Device::Cpu,
                )?)
            }
            Input::Tokens { .. } => {
                let (n, t) = input.dims2()?;
                let last = last.min(t);
                let outputs = self.texts(&input.flatten_all()?.to_vec1::<u32>()?, t, last)?;
                Ok(Tensor::from_vec(
                    outputs,
                    (n, last, self.outputs()),
                    &Device::Cpu,
                )?)
            }
        }
    }

    fn images(&self, images: &[f32]) -> Result<Vec<f32>> {
        let Input::Image((channels, rows, columns)) = self.0.input else {
            return Ok(Vec::new());
        };
        let pixels = channels as usize * rows as usize * columns as usize;
        let mut outputs = vec![0.0; images.len() / pixels * self.outputs()];
        images
            .par_chunks_exact(pixels)
            .zip(outputs.par_chunks_exact_mut(self.outputs()))
            .with_min_len(GRAIN)
            .try_for_each_init(
                || self.0.frame(1),
                |frame, (image, out)| self.0.classify(image, frame, out),
            )?;
        Ok(outputs)
    }

    /// `[n, last, outputs]` of `[n, t]` tokens.
    fn texts(&self, tokens: &[u32], t: usize, last: usize) -> Result<Vec<f32>> {
        let outputs = self.outputs();
        let mut all = vec![0.0; tokens.len() / t * last * outputs];
        tokens
            .par_chunks_exact(t)
            .zip(all.par_chunks_exact_mut(last * outputs))
            .try_for_each_init(
                || self.0.frame(1),
                |frame, (tokens, all)| {
                    frame.back_to(0);
                    self.0.read(frame, tokens, last, &mut |row, some| {
                        all[row * outputs..][..some.len()].copy_from_slice(some);
                    })
                },
            )?;
        Ok(all)
    }

    /// What it is given.
    pub(crate) fn input(&self) -> Input {
        self.0.input
    }

    /// Length of a row of outputs: classes or tokens.
    pub(crate) fn outputs(&self) -> usize {
        self.0.outputs()
    }

    /// The spiking version, its thresholds taken from calibration images `[n, channels, size, size]`; only a chain of
    /// convolutions has one.
    pub(crate) fn spiking(&self, calibration: &[f32]) -> Option<SpikingNetwork<'_>> {
        SpikingNetwork::new(&self.0, calibration)
    }

    /// Something to read a text with, token by token; only a language model has it.
    pub(crate) fn reader(&self) -> Option<Reader<'_>> {
        self.0.text().ok().map(|_| Reader {
            program: &self.0,
            frame: self.0.frame(1),
        })
    }
}

/// One layer alone, to be timed: the same product on every core, as when a batch is spread over them.
#[derive(Debug)]
pub(crate) struct LayerRun {
    weights: Matrix,
    /// Rows of one sample.
    values: Vec<f32>,
    rows: usize,
    /// Results of each core.
    out: Vec<Vec<f32>>,
}

impl LayerRun {
    /// Weights `[outputs, inputs]` and `rows` inputs per core. Their values do not change how long it takes.
    pub(crate) fn new(outputs: usize, inputs: usize, rows: usize) -> Self {
        Self {
            weights: Matrix::new(outputs, inputs, &vec![0.5; outputs * inputs]),
            values: vec![0.5; rows * inputs],
            rows,
            out: vec![vec![0.0; rows * outputs]; rayon::current_num_threads()],
        }
    }

    /// Multiplies `times` times on every core; the first number of the first result.
    pub(crate) fn run(&mut self, times: usize) -> Option<f32> {
        let Self {
            weights,
            values,
            rows,
            out,
        } = self;
        out.par_iter_mut().for_each(|out| {
            for _ in 0..times {
                Product::new(values, *rows, weights, out).run();
            }
        });
        out.first().and_then(|out| out.first()).copied()
    }
}

/// A text being read by a language model that remembers what it has read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    program: &'a Program,
    frame: Frame,
}

impl Reader<'_> {
    /// Tokens that the context still has room for.
    pub(crate) fn room(&self) -> usize {
        let context = self.program.text().map_or(0, |(_, context)| context);
        context.saturating_sub(self.frame.from)
    }

    /// Reads on; the logits for what follows the last token.
    ///
    /// # Errors
    /// [`Error::Compute`] if there is no room for the tokens or one is unknown.
    pub(crate) fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut logits = vec![0.0; self.program.outputs()];
        self.program
            .read(&mut self.frame, tokens, 1, &mut |_, last| {
                logits.copy_from_slice(last);
            })?;
        Ok(logits)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::model::{
        Architecture, Block, BlockKind, CnnConfig, DecoderConfig, GptConfig, Number,
        ResidualConfig, Stage, Stem,
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
            Architecture::Gpt(GptConfig {
                vocabulary: 31,
                context: 45,
                width: 15,
                heads: 3,
                hidden: 37,
                blocks: 2,
            }),
        ];
        let students: Vec<_> = networks.iter().map(|n| n.student(0.4).0).collect();
        networks.extend(students);
        networks.extend(decoders());
        networks.extend(residuals());
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
            Input::Image((channels, rows, columns)) => {
                random(&[n, channels as usize, rows as usize, columns as usize])
            }
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
}
