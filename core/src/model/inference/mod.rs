//! How networks run here: weights laid out once, every sample on one core through buffers that fit its cache, samples
//! spread over the cores. A sample's result does not depend on what else runs with it.
//!
//! The same networks in plain tensor operations are the oracle that this is tested against.

mod cnn;
mod gpt;
mod matrix;
mod packed;
#[cfg(test)]
mod plain;
mod rows;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

pub(crate) use cnn::SpikingNetwork;
pub use packed::PackedFormat;
pub(crate) use packed::{PackedMatrix, PackedNetwork};

use self::matrix::{Matrix, Product};
use super::architecture::get;
use super::{Architecture, Tensors};
use crate::error::{Error, Result};

/// A network ready to run.
#[derive(Debug)]
pub(crate) struct Network(Family);

#[derive(Debug)]
enum Family {
    Cnn(cnn::Network),
    Gpt(gpt::Network),
}

impl Network {
    /// Lays out the weights; activations are rounded as [`Architecture::forward`] says.
    ///
    /// # Errors
    /// [`Error::Compute`] if the tensors are not those of the architecture.
    pub(crate) fn new(
        architecture: &Architecture,
        tensors: &Tensors,
        activation_bits: u8,
    ) -> Result<Self> {
        if let Some(fact) = architecture.mismatch(tensors) {
            return Err(Error::Compute(fact));
        }
        Ok(Self(match architecture {
            Architecture::Cnn(config) => {
                Family::Cnn(cnn::Network::new(config, tensors, activation_bits)?)
            }
            Architecture::Gpt(config) => {
                Family::Gpt(gpt::Network::new(config, tensors, activation_bits)?)
            }
        }))
    }

    /// Inputs and outputs as of [`Architecture::forward`].
    ///
    /// # Errors
    /// [`Error::Compute`] if the input's shape or type does not fit.
    pub(crate) fn run(&self, input: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Family::Cnn(network) => {
                let (n, ..) = input.dims4()?;
                if input.dims()[1..] != network.image() {
                    return Err(Error::Compute(format!(
                        "images have shape {:?}, expected {:?}",
                        &input.dims()[1..],
                        network.image()
                    )));
                }
                let logits = network.run(&input.flatten_all()?.to_vec1::<f32>()?);
                Ok(Tensor::from_vec(
                    logits,
                    (n, network.classes()),
                    &Device::Cpu,
                )?)
            }
            Family::Gpt(network) => {
                let (n, t) = input.dims2()?;
                let logits = network.run(&input.flatten_all()?.to_vec1::<u32>()?, t)?;
                Ok(Tensor::from_vec(
                    logits,
                    (n, t, network.vocabulary()),
                    &Device::Cpu,
                )?)
            }
        }
    }

    /// Length of a row of outputs: classes or tokens.
    pub(crate) fn outputs(&self) -> usize {
        match &self.0 {
            Family::Cnn(network) => network.classes(),
            Family::Gpt(network) => network.vocabulary(),
        }
    }

    /// The spiking version, its thresholds taken from calibration images `[n, channels, size, size]`; only a classifier
    /// has one.
    pub(crate) fn spiking(&self, calibration: &[f32]) -> Option<SpikingNetwork<'_>> {
        match &self.0 {
            Family::Cnn(network) => Some(network.spiking(calibration)),
            Family::Gpt(_) => None,
        }
    }

    /// Something to read a text with, token by token; only a language model has it.
    pub(crate) fn reader(&self) -> Option<Reader<'_>> {
        match &self.0 {
            Family::Cnn(_) => None,
            Family::Gpt(network) => Some(Reader {
                network,
                state: network.state(),
            }),
        }
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
    network: &'a gpt::Network,
    state: gpt::State,
}

impl Reader<'_> {
    /// Tokens that the context still has room for.
    pub(crate) fn room(&self) -> usize {
        self.network.room(&self.state)
    }

    /// Reads on; the logits for what follows the last token.
    ///
    /// # Errors
    /// [`Error::Compute`] if there is no room for the tokens or one is unknown.
    pub(crate) fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut logits = vec![0.0; self.network.vocabulary()];
        self.network.read(&mut self.state, tokens, &mut logits)?;
        Ok(logits)
    }
}

/// The numbers of a tensor.
fn values(tensors: &Tensors, name: &str) -> Result<Vec<f32>> {
    Ok(get(tensors, name)?.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::{CnnConfig, GptConfig, Stage};
    use super::*;

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
        networks
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
        match architecture {
            Architecture::Cnn(config) => {
                random(&[n, config.input_channels, config.size, config.size])
            }
            Architecture::Gpt(config) => {
                let tokens: Vec<u32> = (0..n * t)
                    .map(|i| (i * i * 31 % config.vocabulary) as u32)
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
                let network = Network::new(&architecture, &tensors, bits).unwrap();
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
            let network = Network::new(&architecture, &tensors, 8).unwrap();
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
            let network = Network::new(&architecture, &tensors(&architecture), 32).unwrap();
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
        let network = Network::new(&architecture, &tensors(&architecture), 32).unwrap();
        let large = Tensor::zeros((2, 1, 32, 32), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert_eq!(
            network.run(&large).unwrap_err().to_string(),
            "computation failed: images have shape [1, 32, 32], expected [1, 28, 28]"
        );
        let architecture = Architecture::Gpt(GptConfig {
            vocabulary: 31,
            ..GptConfig::bytes()
        });
        let network = Network::new(&architecture, &tensors(&architecture), 32).unwrap();
        let token = Tensor::new(&[[31u32]], &Device::Cpu).unwrap();
        assert_eq!(
            network.run(&token).unwrap_err().to_string(),
            "computation failed: token 31 is not among the 31"
        );
    }
}
