//! The convolutional classifier: stages of 3x3 convolution, batch normalisation, ReLU and, in some, 2x2 max pooling;
//! then the mean over the image and one linear layer.
//!
//! Tensors: `conv{i}.weight [out, in, 3, 3]` (no bias), `bn{i}.weight`, `.bias`, `.running_mean`, `.running_var`
//! `[out]`, `head.weight [classes, last]`, `head.bias [classes]`, with i from 1. All convolution weights and the head's
//! are compressible; normalisation and bias stay in single precision.
//!
//! Activations are kept as `[n, height, width, channels]`, so that a convolution is one matrix product over all pixels
//! of all images and everything else runs along contiguous channels.

use serde::{Deserialize, Serialize};

use super::{Deviation, Family, Sizes};
use crate::graph::{Activation, Conv, Graph, Input, Node, Op, Role, Value, Window};
use crate::model::Architecture;
use crate::profile::Unit;

/// Added to the variance in batch normalisation (the default of the framework that the tensor names follow).
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Shape of a convolutional classifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnConfig {
    /// Channels of the input image.
    pub input_channels: usize,
    /// Height and width of the input image in pixels.
    pub size: usize,
    /// The stages in the order in which they run.
    pub stages: Vec<Stage>,
    /// Number of classes.
    pub classes: usize,
}

/// One convolution with what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Output channels.
    pub channels: usize,
    /// Whether 2x2 max pooling halves the image afterwards.
    pub pool: bool,
}

impl CnnConfig {
    /// The bundled classifier: 28x28 grey images, 16-32-64-128 channels, 10 classes; 99,162 parameters and 5.5 million
    /// multiply-accumulates per image.
    pub fn fashion() -> Self {
        let stage = |channels, pool| Stage { channels, pool };
        Self {
            input_channels: 1,
            size: 28,
            stages: vec![
                stage(16, true),
                stage(32, true),
                stage(64, false),
                stage(128, false),
            ],
            classes: 10,
        }
    }

    /// Height and width of the image after the last stage.
    fn final_size(&self) -> usize {
        self.stages
            .iter()
            .filter(|stage| stage.pool)
            .fold(self.size, |size, _| size / 2)
    }

    /// What it computes.
    fn nodes(&self) -> Graph {
        // Extents are far below the limit of the type.
        let extent = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let image = |channels: usize, size: usize| (extent(channels), extent(size), extent(size));
        let node = |name: String, op| Node::new(name, Role::Other, op);
        let mut graph = Graph {
            unit: Unit::Image,
            positions: 1,
            blocks: 0,
            nodes: Vec::new(),
            input: Some(Input::Image(image(self.input_channels, self.size))),
        };
        let (mut inputs, mut size) = (self.input_channels, self.size);
        let mut x = Value::Input;
        for (i, stage) in self.stages.iter().enumerate() {
            let conv = Conv {
                from: image(inputs, size),
                to: image(stage.channels, size),
                kernel: (3, 3),
                groups: 1,
                transposed: false,
                bias: false,
                window: Some(Window {
                    stride: 1,
                    padding: 1,
                }),
            };
            let channels = extent(stage.channels);
            // Folded into the convolution, as every runtime does; pooling and ReLU end its kernel.
            let normalization = Op::BatchNorm {
                channels,
                epsilon: BATCH_NORM_EPSILON as f32,
            };
            let own = |name: &str| format!("{name}{}", i + 1);
            x = graph.push(node(own("conv"), Op::Conv(conv)), &[x]);
            x = graph.push(node(own("bn"), normalization), &[x]);
            x = graph.push(node(own("relu"), Op::Activation(Activation::Relu)), &[x]);
            if stage.pool {
                let pool = Op::MaxPool {
                    size: 2,
                    stride: 2,
                    padding: 0,
                };
                x = graph.push(node(own("pool"), pool), &[x]);
                size /= 2;
            }
            inputs = stage.channels;
        }
        x = graph.push(node("mean".to_owned(), Op::Mean), &[x]);
        let head = Op::Linear {
            inputs: extent(inputs),
            outputs: extent(self.classes),
            bias: true,
        };
        graph.push(Node::new("head", Role::Head, head), &[x]);
        graph
    }

    /// The network with all channels scaled alike whose parameters come nearest to `wanted`.
    fn narrowest(&self, wanted: f64) -> Self {
        /// Candidate scales: fine enough that every stage passes through each of its integers.
        const STEPS: usize = 2048;
        let mut best = (f64::INFINITY, self.clone());
        for step in 1..=STEPS {
            let mut candidate = self.clone();
            for stage in &mut candidate.stages {
                stage.channels = ((stage.channels * step) as f64 / STEPS as f64)
                    .round()
                    .max(1.0) as usize;
            }
            let distance = (candidate.nodes().parameters() as f64 - wanted).abs();
            if distance < best.0 {
                best = (distance, candidate);
            }
        }
        best.1
    }

    /// The channels of the stages: "16-32-64-128".
    fn channels(&self) -> String {
        let channels: Vec<String> = self
            .stages
            .iter()
            .map(|stage| stage.channels.to_string())
            .collect();
        channels.join("-")
    }
}

impl Family for CnnConfig {
    fn name(&self) -> &'static str {
        "convolutional classifier"
    }

    fn graph(&self) -> Graph {
        self.nodes()
    }

    fn sizes(&self) -> Sizes {
        let mut sizes = vec![
            ("input channels", self.input_channels),
            ("image size", self.size),
            ("classes", self.classes),
        ];
        sizes.extend(self.stages.iter().map(|s| ("channels", s.channels)));
        Sizes {
            sizes,
            parts: ("stages", self.stages.len()),
        }
    }

    fn implausible(&self) -> Option<String> {
        (self.final_size() == 0).then(|| "more pooling than the image has pixels".to_owned())
    }

    fn narrowed(&self, wanted: f64) -> Option<(Architecture, String)> {
        let student = self.narrowest(wanted);
        let what = format!(
            "narrower: {} → {} channels",
            self.channels(),
            student.channels()
        );
        Some((Architecture::Cnn(student), what))
    }

    fn deviation(&self, _: &str, shape: &[usize]) -> Deviation {
        match shape.len() {
            4 => Deviation::Rectified,
            _ => Deviation::Linear(1.0),
        }
    }
}
