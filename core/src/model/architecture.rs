//! [`Architecture`]: the family and shape of a network: its layers, tensors, students and how it runs.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Tensors;
use super::families::{
    CnnConfig, DecoderConfig, Deviation, EncoderConfig, Family, GanConfig, GptConfig, ResidualConfig, RnnConfig,
    Sizes, VaeConfig,
};
use crate::error::{Error, Result};
use crate::graph::{Graph, Input};
use crate::profile::{Layer, Unit};
use crate::run::{Network, PackedNetwork, WithBlocks};
use crate::serving::architecture::{Architecture as Outlined, Shape};

/// How a model runs: the family and its shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// A convolutional classifier.
    Cnn(CnnConfig),
    /// A byte language model.
    Gpt(GptConfig),
    /// A language model of the kind of Llama.
    Decoder(DecoderConfig),
    /// A convolutional classifier with residual connections.
    Residual(ResidualConfig),
    /// A variational autoencoder.
    Vae(VaeConfig),
    /// A generator of images, trained against another network.
    Gan(GanConfig),
    /// A recurrent language model.
    Rnn(RnnConfig),
    /// An encoder of sentences.
    Encoder(EncoderConfig),
}

impl Architecture {
    /// Key under which the architecture stands as JSON in the metadata of a safetensors file.
    pub const METADATA_KEY: &'static str = "wattif.architecture";

    /// Its family.
    fn inner(&self) -> &dyn Family {
        match self {
            Self::Cnn(config) => config,
            Self::Gpt(config) => config,
            Self::Decoder(config) => config,
            Self::Residual(config) => config,
            Self::Vae(config) => config,
            Self::Gan(config) => config,
            Self::Rnn(config) => config,
            Self::Encoder(config) => config,
        }
    }

    /// What one unit of work is.
    pub fn unit(&self) -> Unit {
        self.graph().unit
    }

    /// What it is given.
    pub fn input(&self) -> Input {
        // Every family says so.
        (self.graph().input).unwrap_or(Input::Image((0, 0, 0)))
    }

    /// Name of the family.
    pub fn family(&self) -> &'static str {
        self.inner().name()
    }

    /// The layers in the order in which they run, with their work per [`Self::unit`]. A convolution's or a matrix's
    /// weight tensor is `{name}.weight`; batch and layer normalisation have their tensors in `other_parameters`. A
    /// token attends to the full context.
    pub fn layers(&self) -> Vec<Layer> {
        self.graph().layers()
    }

    /// What the network computes.
    pub fn graph(&self) -> Graph {
        self.inner().graph()
    }

    /// The same network as one of which only the shapes are known, where serving stacks run networks of its kind.
    pub fn network(&self, name: &str) -> Option<Outlined> {
        let shape = self.inner().served()?;
        let context_limit = match self.graph().input {
            Some(Input::Tokens { context, .. }) => Some(context),
            _ => None,
        };
        Some(Outlined {
            id: name.to_owned(),
            names: Vec::new(),
            family: self.family().to_owned(),
            source: "the tensors of the file".to_owned(),
            parameters: self.parameters() as f64,
            weight_bits: None,
            expert_bits: None,
            formats: None,
            notes: Vec::new(),
            summed: Default::default(),
            context_limit,
            shape: Shape::Transformer(shape),
        })
    }

    /// Elements of all tensors, the running statistics of batch normalisation included: what has to be stored.
    pub fn parameters(&self) -> u64 {
        self.graph().parameters()
    }

    /// Names and shapes of all tensors in the order in which they run.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.graph().tensors()
    }

    /// What is wrong with the tensors, if anything: the first that is missing, has another shape or is unknown.
    pub fn mismatch(&self, tensors: &Tensors) -> Option<String> {
        let found = tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor.dims()))
            .collect();
        self.mismatch_of_shapes(&found)
    }

    /// [`Self::mismatch`] from the names and shapes alone.
    pub fn mismatch_of_shapes(&self, found: &BTreeMap<&str, &[usize]>) -> Option<String> {
        let shapes = self.tensor_shapes();
        for (name, expected) in &shapes {
            match found.get(name.as_str()) {
                None => {
                    return Some(format!(
                        "tensor '{name}' is missing; a {} needs it with shape {expected:?}",
                        self.family()
                    ));
                }
                Some(shape) if *shape != expected.as_slice() => {
                    return Some(format!(
                        "tensor '{name}' has shape {shape:?}, expected {expected:?}"
                    ));
                }
                Some(_) => {}
            }
        }
        let unknown = found
            .keys()
            .find(|name| !shapes.iter().any(|(known, _)| known == *name))?;
        Some(format!(
            "tensor '{unknown}' does not belong to a {}",
            self.family()
        ))
    }

    /// What is wrong with a configuration that came from outside, if anything: a size that is zero or absurd, heads that
    /// do not divide the width. One that passes can be asked for its shapes and layers.
    pub fn implausible(&self) -> Option<String> {
        /// Far above any network that this engine can run, far below where products of two sizes overflow.
        const LARGEST: usize = 1 << 20;
        /// The same for repeated parts, each of which costs memory to list.
        const MOST_PARTS: usize = 1024;
        let Sizes { sizes, parts } = self.inner().sizes();
        for (what, size) in sizes {
            if !(1..=LARGEST).contains(&size) {
                return Some(format!("{what} of {size}"));
            }
        }
        if !(1..=MOST_PARTS).contains(&parts.1) {
            return Some(format!("{} {}", parts.1, parts.0));
        }
        self.inner().implausible()
    }

    /// The student of `ratio` times this network's parameters, as near as whole channels allow, and what was done:
    /// students are narrower, never shallower. From ratio 1 on, and where [`Self::has_students`] says no, it is the network
    /// itself.
    pub fn student(&self, ratio: f64) -> (Self, String) {
        if ratio >= 1.0 {
            return (self.clone(), "the original network".to_owned());
        }
        let wanted = ratio.max(0.0) * self.parameters() as f64;
        (self.inner().narrowed(wanted)).unwrap_or_else(|| {
            (
                self.clone(),
                "the original network: none smaller is made of its family".to_owned(),
            )
        })
    }

    /// Whether smaller networks like it are made, which can be trained to be its students.
    pub fn has_students(&self) -> bool {
        self.inner()
            .narrowed(0.5 * self.parameters() as f64)
            .is_some()
    }

    /// Random weights from a seed, as training starts from: He's normal distribution for convolutions (He et al. 2015,
    /// <https://arxiv.org/abs/1502.01852>), standard deviation 1/√in for matrices, that of residual projections divided by
    /// √(2·blocks) as in GPT-2, and 0.3 for embeddings; normalisation starts as the identity.
    ///
    /// # Errors
    /// [`Error::Compute`] if a tensor cannot be made.
    pub fn initial_tensors(&self, seed: u64) -> Result<Tensors> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tensors = Tensors::new();
        for (name, shape) in self.tensor_shapes() {
            let len = shape.iter().product();
            let values = match self.initial_deviation(&name, &shape) {
                Some(deviation) => (0..len)
                    .map(|_| (standard_normal(&mut rng) * deviation) as f32)
                    .collect(),
                None => self.inner().start(&name, len).unwrap_or_else(|| {
                    let one = name.ends_with("weight") || name.ends_with("running_var");
                    vec![f32::from(one); len]
                }),
            };
            tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
        }
        Ok(tensors)
    }

    /// Standard deviation of a tensor's initial values; none for vectors, which start constant.
    fn initial_deviation(&self, name: &str, shape: &[usize]) -> Option<f64> {
        if shape.len() < 2 {
            return None;
        }
        let fan_in = shape[1..].iter().product::<usize>() as f64;
        Some(match self.inner().deviation(name, shape) {
            Deviation::Fixed(deviation) => deviation,
            Deviation::Rectified => (2.0 / fan_in).sqrt(),
            Deviation::Linear(factor) => factor / fan_in.sqrt(),
        })
    }

    /// Runs the network. Images `[n, channels, size, size]` (f32, 0 to 1) give logits `[n, classes]`; tokens `[n, t]`
    /// (u32, t at most the context) give logits `[n, t, vocabulary]` for the token that follows each.
    ///
    /// With fewer than 32 `activation_bits` what enters each compressible matrix is rounded: 16 to half precision,
    /// fewer to symmetric integers with one scale per image or token, taken from its largest absolute value.
    ///
    /// # Errors
    /// [`Error::Compute`] if a tensor is missing or a shape does not fit.
    pub fn forward(
        &self,
        tensors: &Tensors,
        input: &Tensor,
        activation_bits: u8,
    ) -> Result<Tensor> {
        self.ready(tensors, activation_bits)?.run(input)
    }

    /// Lays out the weights, to be run often; as [`Self::forward`].
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn ready(&self, tensors: &Tensors, activation_bits: u8) -> Result<Network> {
        self.check(tensors)?;
        Network::new(&self.graph(), tensors, activation_bits)
    }

    /// The same with every matrix in the blocks that it is in, else in the block format nearest to `bits`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub(crate) fn packed(&self, weights: WithBlocks<'_>, bits: u8) -> Result<PackedNetwork> {
        self.check(weights.tensors)?;
        PackedNetwork::new(&self.graph(), &weights, bits)
    }

    fn check(&self, tensors: &Tensors) -> Result<()> {
        match self.mismatch(tensors) {
            Some(fact) => Err(Error::Compute(fact)),
            None => Ok(()),
        }
    }
}

/// A sample of the standard normal distribution (Box and Muller 1958).
pub(crate) fn standard_normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
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
            Input::Noise { .. } => unreachable!("neither of both"),
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
                    Input::Image(_) | Input::Noise { .. } => assert_eq!(logits.dims(), [3, 10]),
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
}
