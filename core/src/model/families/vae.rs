//! The variational autoencoder (Kingma and Welling 2014, <https://arxiv.org/abs/1312.6114>): an encoder makes of an image the
//! means and logarithms of variances of a few numbers, a decoder makes an image of a sample of these. It also makes images
//! of samples of the standard normal distribution.
//!
//! Tensors: `encoder.conv{i}.weight [out, in, 3, 3]`, `encoder.bn{i}.…`, `encoder.head.weight [2 · latent, inputs]`, `.bias`;
//! `decoder.start.weight [first · rows · columns, latent]`, `decoder.bn0.…`, `decoder.conv{i}.weight`, `decoder.bn{i}.…`,
//! `decoder.head.weight [channels, last, 3, 3]`, `.bias`. What the decoder gives passes the logistic function.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Deviation, Family, Sizes, Stage, named_like};
use crate::graph::{Graph, Input, Op, Role};
use crate::model::Architecture;
use crate::model::stages::{Builder, extent, indivisible, list, nearest, scale, square};

/// Shape of a variational autoencoder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image in pixels.
    pub size: usize,
    /// Stages of the encoder in the order in which they run.
    pub encoder: Vec<Stage>,
    /// Numbers that stand for an image between the two.
    pub latent: usize,
    /// Channels of the stages of the decoder: of the small image that it begins with, then after each doubling.
    pub decoder: Vec<usize>,
}

impl VaeConfig {
    /// The bundled one: 28x28 grey images, 16 numbers for each.
    pub fn fashion() -> Self {
        let stage = |channels, pool| Stage { channels, pool };
        Self {
            channels: 1,
            size: 28,
            encoder: vec![stage(16, true), stage(32, true), stage(64, false)],
            latent: 16,
            decoder: vec![64, 32, 16],
        }
    }

    fn scaled(&self, by: f64) -> Self {
        let stage = |stage: &Stage| Stage {
            channels: scale(stage.channels, by),
            ..*stage
        };
        Self {
            encoder: self.encoder.iter().map(stage).collect(),
            decoder: self.decoder.iter().map(|&n| scale(n, by)).collect(),
            ..self.clone()
        }
    }

    /// The channels of both halves: "16-32-64 and 64-32-16".
    fn widths(&self) -> String {
        let encoder = list(self.encoder.iter().map(|stage| stage.channels));
        format!("{encoder} and {}", list(self.decoder.iter().copied()))
    }

    /// The bundled network, where tensors are named like its own.
    pub(super) fn recognise(tensors: &BTreeMap<&str, &[usize]>) -> Option<(usize, Architecture)> {
        let own = tensors.contains_key("encoder.head.weight");
        own.then(|| named_like(Architecture::Vae(Self::fashion()), tensors))?
    }
}

impl Family for VaeConfig {
    fn name(&self) -> &'static str {
        "variational autoencoder"
    }

    fn graph(&self) -> Graph {
        let mut builder = Builder::new(Input::Image(square(self.channels, self.size)));
        builder.encode("encoder.", &self.encoder, 2 * self.latent);
        let sample = Op::Sample {
            width: extent(self.latent),
        };
        builder.push("sample".to_owned(), Role::Other, sample);
        let image = (self.channels, self.size);
        builder.decode("decoder.", self.latent, &self.decoder, image);
        builder.graph
    }

    fn sizes(&self) -> Sizes {
        let mut sizes = vec![
            ("channels", self.channels),
            ("image size", self.size),
            ("latent numbers", self.latent),
        ];
        sizes.extend(self.encoder.iter().map(|s| ("channels", s.channels)));
        sizes.extend(self.decoder.iter().map(|&channels| ("channels", channels)));
        Sizes {
            sizes,
            parts: ("stages", self.encoder.len().min(self.decoder.len())),
        }
    }

    fn implausible(&self) -> Option<String> {
        let pooled = self.encoder.iter().filter(|stage| stage.pool).count();
        if pooled > 20 || self.size >> pooled == 0 {
            return Some("more pooling than the image has pixels".to_owned());
        }
        indivisible(self.size, self.decoder.len())
    }

    fn narrowed(&self, wanted: f64) -> Option<(Architecture, String)> {
        let student = nearest(wanted, |by| {
            let candidate = self.scaled(by);
            let graph = candidate.graph();
            (candidate, graph)
        });
        let (before, after) = (self.widths(), student.widths());
        let what = format!("narrower: {before} → {after} channels");
        Some((Architecture::Vae(student), what))
    }

    fn deviation(&self, name: &str, _: &[usize]) -> Deviation {
        if name.contains(".head") {
            Deviation::Linear(1.0)
        } else {
            Deviation::Rectified
        }
    }
}
