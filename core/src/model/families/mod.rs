//! Families of networks that can be run. Each is one file: a configuration, the graph that it means, whose nodes are called
//! as its tensors are, and what else only the family knows.

mod cnn;
mod decoder;
mod encoder;
mod gan;
mod gpt;
mod onnx;
mod residual;
mod rnn;
mod vae;

use std::collections::BTreeMap;
use std::fmt::Debug;

pub use cnn::{BATCH_NORM_EPSILON, CnnConfig, Stage};
pub(crate) use decoder::Published;
pub use decoder::{
    DecoderConfig, Feed, Form, Function, Mixture, NormRule, Norms, Number, Scales, Slopes,
};
pub(crate) use encoder::PublishedEncoder;
pub use encoder::{EncoderConfig, Pooling};
pub use gan::GanConfig;
pub use gpt::{GptConfig, LAYER_NORM_EPSILON};
pub use onnx::OnnxConfig;
pub use residual::{Block, BlockKind, ResidualConfig, Stem};
pub use rnn::RnnConfig;
pub(crate) use rnn::own_names;
pub use vae::VaeConfig;

use super::Architecture;
use crate::graph::Graph;
use crate::serving::architecture::Transformer;

/// What only a family knows of its networks.
pub(super) trait Family: Debug {
    /// Its name, in the singular.
    fn name(&self) -> &'static str;

    /// What the network computes; its nodes are called as the tensors are.
    fn graph(&self) -> Graph;

    /// What must neither be zero nor absurd for [`Self::graph`] to be asked.
    fn sizes(&self) -> Sizes;

    /// What else is wrong with a configuration that came from outside.
    fn implausible(&self) -> Option<String>;

    /// The network of about so many parameters that is like this one, and what was done; `None` where no smaller one is
    /// made.
    fn narrowed(&self, wanted: f64) -> Option<(Architecture, String)> {
        let _ = wanted;
        None
    }

    /// The same network for images of so many pixels an edge, where its weights fit any size.
    fn reading(&self, size: u32) -> Option<Architecture> {
        let _ = size;
        None
    }

    /// How far the initial weights of a matrix spread.
    fn deviation(&self, name: &str, shape: &[usize]) -> Deviation {
        let _ = (name, shape);
        Deviation::Linear(1.0)
    }

    /// What a vector starts from, where that is not 1 for a scale and 0 for anything else.
    fn start(&self, name: &str, len: usize) -> Option<Vec<f32>> {
        let _ = (name, len);
        None
    }

    /// The same network as serving stacks know it, where they run its kind.
    fn served(&self) -> Option<Transformer> {
        None
    }
}

/// Sizes by name, and how many repeated parts there are, each of which costs memory to list.
pub(super) struct Sizes {
    pub(super) sizes: Vec<(&'static str, usize)>,
    pub(super) parts: (&'static str, usize),
}

/// Standard deviation of initial weights.
pub(super) enum Deviation {
    /// So much.
    Fixed(f64),
    /// As [`Self::Linear`] with the factor √2 that rectifiers need (He et al. 2015, <https://arxiv.org/abs/1502.01852>).
    Rectified,
    /// So many times 1/√inputs.
    Linear(f64),
}

/// A network told by the names and shapes of tensors alone, and how many of the names are its own; `None` where none is.
type Recognise = fn(&BTreeMap<&str, &[usize]>) -> Option<(usize, Architecture)>;

/// The families that are told by their tensors where no metadata say what a file holds.
const RECOGNISED: [Recognise; 6] = [
    |tensors| named_like(Architecture::Cnn(CnnConfig::fashion()), tensors),
    |tensors| named_like(Architecture::Gpt(GptConfig::bytes()), tensors),
    ResidualConfig::recognise,
    VaeConfig::recognise,
    GanConfig::recognise,
    RnnConfig::recognise,
];

/// The network that has most of these tensors.
pub(crate) fn recognise(tensors: &BTreeMap<&str, &[usize]>) -> Option<Architecture> {
    let found = RECOGNISED.iter().filter_map(|recognise| recognise(tensors));
    let best = found.max_by_key(|(names, _)| *names);
    best.map(|(_, architecture)| architecture)
}

/// How many of a network's tensors are there.
fn named_like(
    architecture: Architecture,
    tensors: &BTreeMap<&str, &[usize]>,
) -> Option<(usize, Architecture)> {
    let shapes = architecture.tensor_shapes();
    let found = shapes
        .iter()
        .filter(|(name, _)| tensors.contains_key(name.as_str()));
    let found = found.count();
    (found > 0).then_some((found, architecture))
}
