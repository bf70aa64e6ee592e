//! [`Architecture`]: the family and shape of a network: its layers, tensors, students and how it runs.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Tensors;
use super::families::{
    CnnConfig, DecoderConfig, Deviation, EncoderConfig, Family, GanConfig, GptConfig, OnnxConfig,
    ResidualConfig, RnnConfig, Sizes, VaeConfig,
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
    /// A network of an ONNX file, which another library runs.
    #[serde(skip_deserializing)]
    Onnx(OnnxConfig),
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
            Self::Onnx(config) => config,
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

    /// Whether data ship that it is measured on and its students are trained with: grey images of 28x28 pixels in ten
    /// classes, and texts.
    pub fn data_ship(&self) -> bool {
        const PIXELS: usize = 28 * 28;
        let graph = self.graph();
        let makes = |classes| graph.outputs() == classes;
        match self.input() {
            Input::Tokens { .. } => true,
            Input::Noise { .. } => makes(PIXELS),
            Input::Image((1, 28, 28)) => match graph.sampling() {
                Some(_) => makes(PIXELS),
                None => makes(10),
            },
            Input::Image(_) => false,
        }
    }

    /// The same network for images of so many pixels an edge, where its weights fit any size.
    pub(crate) fn reading(&self, size: u32) -> Option<Self> {
        self.inner().reading(size)
    }

    /// The network of an ONNX file that another library runs, where it is one.
    pub(crate) fn onnx(&self) -> Option<&OnnxConfig> {
        match self {
            Self::Onnx(own) => Some(own),
            _ => None,
        }
    }

    /// Name of the family.
    pub fn family(&self) -> &'static str {
        self.inner().name()
    }

    /// The layers in the order in which they run, with their work per [`Self::unit`]. A convolution's or a matrix's
    /// weight tensor is `{name}.weight`; batch and layer normalisation have their tensors in `other_parameters`. A
    /// token attends to the full context.
    pub fn layers(&self) -> Vec<Layer> {
        match self {
            Self::Onnx(config) => config.layers(),
            _ => self.graph().layers(),
        }
    }

    /// What the network computes.
    pub fn graph(&self) -> Graph {
        self.inner().graph()
    }

    /// The same network as one of which only the shapes are known, where serving stacks run networks of its kind.
    pub fn network(&self, name: &str) -> Option<Outlined> {
        if let Self::Onnx(config) = self {
            return Some(config.outlined().clone());
        }
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
        match self {
            Self::Onnx(config) => config.tensor_shapes(),
            _ => self.graph().tensors(),
        }
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
