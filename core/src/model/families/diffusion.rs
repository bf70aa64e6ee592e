//! A denoiser of images (Ho et al. 2020, <https://arxiv.org/abs/2006.11239>): a small U-Net (Ronneberger et al. 2015,
//! <https://arxiv.org/abs/1505.04597>) that is told how noisy an image is and predicts the velocity of Salimans and Ho 2022
//! (<https://arxiv.org/abs/2202.00512>). Run again and again it makes an image of noise; how often is said by the scenario.
//!
//! What each level of the way down gives is added to what comes up to it. A block is a convolution, batch normalisation and
//! ReLU, a scale and shift of every channel by the time (Dhariwal and Nichol 2021, <https://arxiv.org/abs/2105.05233>), the
//! first three again, and the sum with what went in.
//!
//! Tensors: `time.fc1.weight [hidden, features]`, `time.fc2.weight [hidden, hidden]`, each with `.bias`; `stem.conv.weight`,
//! `stem.bn.…`; of level i `down{i}.conv.weight`, `down{i}.bn.…`, and the same of `up{i}`; of each block
//! `{name}.conv1.weight`, `{name}.bn1.…`, `{name}.time.weight [2 · channels, hidden]`, `.bias`, `{name}.conv2.weight`,
//! `{name}.bn2.…`; `head.weight [channels, first, 3, 3]`, `head.bias`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Deviation, Family, Sizes, named_like};
use crate::graph::{Activation, Graph, Input, Op, Role, Value};
use crate::model::Architecture;
use crate::model::stages::{Builder, extent, indivisible, list, nearest, scale, square};

/// Shape of a denoiser of images.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionConfig {
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image in pixels.
    pub size: usize,
    /// Channels of the levels, each of half the height and width of the one before.
    pub levels: Vec<usize>,
    /// Sines and cosines that stand for the time.
    pub features: usize,
    /// Numbers that blocks are told of the time.
    pub hidden: usize,
}

impl DiffusionConfig {
    /// The bundled one: 28x28 grey images.
    pub fn fashion() -> Self {
        Self {
            channels: 1,
            size: 28,
            levels: vec![8, 16, 64],
            features: 16,
            hidden: 64,
        }
    }

    fn scaled(&self, by: f64) -> Self {
        Self {
            levels: self.levels.iter().map(|&n| scale(n, by)).collect(),
            hidden: scale(self.hidden, by),
            ..self.clone()
        }
    }

    /// The bundled network, where tensors are named like its own.
    pub(super) fn recognise(tensors: &BTreeMap<&str, &[usize]>) -> Option<(usize, Architecture)> {
        let own = tensors.contains_key("time.fc1.weight");
        own.then(|| named_like(Architecture::Diffusion(Self::fashion()), tensors))?
    }
}

/// A network being put together.
struct Levels {
    builder: Builder,
    /// What is known of the time.
    time: Value,
    hidden: usize,
}

impl Levels {
    /// What blocks are told of the time: two layers on its sines and cosines.
    fn time(&mut self, features: usize) {
        let builder = &mut self.builder;
        let image = std::mem::replace(&mut builder.x, Value::Input);
        let width = extent(features);
        builder.push("time".to_owned(), Role::Other, Op::Time { width });
        for (name, inputs) in [("fc1", features), ("fc2", self.hidden)] {
            let layer = Op::Linear {
                inputs: extent(inputs),
                outputs: extent(self.hidden),
                bias: true,
            };
            builder.push(format!("time.{name}"), Role::Other, layer);
            let relu = Op::Activation(Activation::Relu);
            builder.push(format!("time.{name}.relu"), Role::Other, relu);
        }
        self.time = std::mem::replace(&mut builder.x, image);
    }

    /// A convolution to so many channels, batch normalisation and ReLU.
    fn convolve(&mut self, name: &str, (conv, bn): (&str, &str), channels: usize) {
        let builder = &mut self.builder;
        builder.convolve(format!("{name}.{conv}"), Role::Other, channels, false);
        builder.normalized(format!("{name}.{bn}"));
    }

    /// Two convolutions, between them the time, and the sum with what went in.
    fn block(&mut self, name: &str, channels: usize) {
        let given = self.builder.x;
        self.convolve(name, ("conv1", "bn1"), channels);
        let image = std::mem::replace(&mut self.builder.x, self.time);
        let told = Op::Linear {
            inputs: extent(self.hidden),
            outputs: extent(2 * channels),
            bias: true,
        };
        self.builder.push(format!("{name}.time"), Role::Other, told);
        let told = self.builder.x;
        let to = self.builder.extent();
        let op = Op::Modulate { to };
        self.builder
            .join(format!("{name}.modulate"), op, &[image, told]);
        self.convolve(name, ("conv2", "bn2"), channels);
        let done = self.builder.x;
        self.builder
            .join(format!("{name}.add"), Op::Add, &[done, given]);
    }
}

impl Family for DiffusionConfig {
    fn name(&self) -> &'static str {
        "denoiser of images"
    }

    fn graph(&self) -> Graph {
        let input = Input::Noisy(square(self.channels, self.size));
        let mut network = Levels {
            builder: Builder::new(input),
            time: Value::Input,
            hidden: self.hidden,
        };
        network.time(self.features);
        let mut kept = Vec::new();
        for (i, &channels) in self.levels.iter().enumerate() {
            if i == 0 {
                network.convolve("stem", ("conv", "bn"), channels);
            } else {
                let name = format!("down{i}");
                network.builder.halve(&name);
                network.convolve(&name, ("conv", "bn"), channels);
                network.block(&name, channels);
            }
            kept.push(network.builder.x);
        }
        kept.pop();
        for ((i, &channels), kept) in self.levels.iter().enumerate().zip(&kept).rev() {
            let name = format!("up{i}");
            network.convolve(&name, ("conv", "bn"), channels);
            network.builder.double(&name);
            let up = network.builder.x;
            network
                .builder
                .join(format!("{name}.skip"), Op::Add, &[up, *kept]);
            network.block(&name, channels);
        }
        let builder = &mut network.builder;
        builder.convolve("head".to_owned(), Role::Head, self.channels, true);
        builder.push("flatten".to_owned(), Role::Other, Op::Flatten);
        network.builder.graph
    }

    fn sizes(&self) -> Sizes {
        let mut sizes = vec![
            ("channels", self.channels),
            ("image size", self.size),
            ("features of the time", self.features),
            ("numbers of the time", self.hidden),
        ];
        sizes.extend(self.levels.iter().map(|&channels| ("channels", channels)));
        Sizes {
            sizes,
            parts: ("levels", self.levels.len()),
        }
    }

    fn implausible(&self) -> Option<String> {
        if !self.features.is_multiple_of(2) {
            let features = self.features;
            return Some(format!("{features} features of the time, which are pairs"));
        }
        indivisible(self.size, self.levels.len())
    }

    fn narrowed(&self, wanted: f64) -> Option<(Architecture, String)> {
        let student = nearest(wanted, |by| {
            let candidate = self.scaled(by);
            let graph = candidate.graph();
            (candidate, graph)
        });
        let widths = |config: &Self| list(config.levels.iter().copied());
        let (before, after) = (widths(self), widths(&student));
        let what = format!("narrower: {before} → {after} channels");
        Some((Architecture::Diffusion(student), what))
    }

    fn deviation(&self, name: &str, _: &[usize]) -> Deviation {
        /// Blocks hear little of the time at first.
        const QUIET: f64 = 0.1;
        match name {
            _ if name.starts_with("head") => Deviation::Linear(1.0),
            _ if name.ends_with(".time.weight") => Deviation::Linear(QUIET),
            _ => Deviation::Rectified,
        }
    }
}
