//! The generator of a generative adversarial network (Goodfellow et al. 2014, <https://arxiv.org/abs/1406.2661>), built of
//! convolutions and batch normalisation as in Radford et al. 2016 (<https://arxiv.org/abs/1511.06434>): noise in, image out.
//! The network that it was trained against is not part of it.
//!
//! Tensors: `start.weight [first · rows · columns, noise]`, `bn0.…`, `conv{i}.weight [out, in, 3, 3]`, `bn{i}.…`,
//! `head.weight [channels, last, 3, 3]`, `head.bias`. What it gives passes the logistic function.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Deviation, Family, Sizes, named_like};
use crate::graph::{Graph, Input};
use crate::model::Architecture;
use crate::model::stages::{Builder, extent, indivisible, list, nearest, scale};

/// Shape of a generator of images.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanConfig {
    /// Numbers of noise.
    pub noise: usize,
    /// Channels of the stages: of the small image that it begins with, then after each doubling.
    pub stages: Vec<usize>,
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image in pixels.
    pub size: usize,
}

impl GanConfig {
    /// The bundled one: 64 numbers of noise, 28x28 grey images.
    pub fn fashion() -> Self {
        Self {
            noise: 64,
            stages: vec![64, 32, 16],
            channels: 1,
            size: 28,
        }
    }

    fn scaled(&self, by: f64) -> Self {
        Self {
            stages: self.stages.iter().map(|&n| scale(n, by)).collect(),
            ..self.clone()
        }
    }

    /// The bundled network, where tensors are named like its own.
    pub(super) fn recognise(tensors: &BTreeMap<&str, &[usize]>) -> Option<(usize, Architecture)> {
        let own = tensors.contains_key("start.weight");
        own.then(|| named_like(Architecture::Gan(Self::fashion()), tensors))?
    }
}

impl Family for GanConfig {
    fn name(&self) -> &'static str {
        "generator of images"
    }

    fn graph(&self) -> Graph {
        let width = extent(self.noise);
        let mut builder = Builder::new(Input::Noise { width });
        builder.decode("", self.noise, &self.stages, (self.channels, self.size));
        builder.graph
    }

    fn sizes(&self) -> Sizes {
        let mut sizes = vec![
            ("numbers of noise", self.noise),
            ("channels", self.channels),
            ("image size", self.size),
        ];
        sizes.extend(self.stages.iter().map(|&channels| ("channels", channels)));
        Sizes {
            sizes,
            parts: ("stages", self.stages.len()),
        }
    }

    fn implausible(&self) -> Option<String> {
        indivisible(self.size, self.stages.len())
    }

    fn narrowed(&self, wanted: f64) -> Option<(Architecture, String)> {
        let student = nearest(wanted, |by| {
            let candidate = self.scaled(by);
            let graph = candidate.graph();
            (candidate, graph)
        });
        let widths = |config: &Self| list(config.stages.iter().copied());
        let (before, after) = (widths(self), widths(&student));
        let what = format!("narrower: {before} → {after} channels");
        Some((Architecture::Gan(student), what))
    }

    fn deviation(&self, name: &str, _: &[usize]) -> Deviation {
        if name.starts_with("head") {
            Deviation::Linear(1.0)
        } else {
            Deviation::Rectified
        }
    }
}
