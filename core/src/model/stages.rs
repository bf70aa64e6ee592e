//! What networks that make pictures have in common: stages of 3x3 convolution, batch normalisation and ReLU, between which
//! images become smaller (max pooling) or larger (nearest neighbour, which leaves no checkerboards: Odena et al. 2016,
//! <https://doi.org/10.23915/distill.00003>).

use super::{BATCH_NORM_EPSILON, Stage};
use crate::graph::{Activation, Conv, Graph, Input, Node, Op, Role, Value, Window};
use crate::profile::Unit;

/// A network being put together: where it stands.
pub(in crate::model) struct Builder {
    pub(in crate::model) graph: Graph,
    pub(in crate::model) x: Value,
    channels: usize,
    size: usize,
}

/// Sizes are far below the limit of the type.
pub(in crate::model) fn extent(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A square image.
pub(in crate::model) fn square(channels: usize, size: usize) -> (u32, u32, u32) {
    (extent(channels), extent(size), extent(size))
}

impl Builder {
    pub(in crate::model) fn new(input: Input) -> Self {
        let (channels, size) = match input {
            Input::Image((channels, rows, _)) | Input::Noisy((channels, rows, _)) => {
                (channels as usize, rows as usize)
            }
            Input::Tokens { .. } | Input::Noise { .. } => (0, 0),
        };
        Self {
            graph: Graph {
                unit: Unit::Image,
                positions: 1,
                blocks: 0,
                nodes: Vec::new(),
                input: Some(input),
            },
            x: Value::Input,
            channels,
            size,
        }
    }

    pub(in crate::model) fn push(&mut self, name: String, role: Role, op: Op) {
        self.x = self.graph.push(Node::new(name, role, op), &[self.x]);
    }

    fn other(&mut self, name: String, op: Op) {
        self.push(name, Role::Other, op);
    }

    pub(in crate::model) fn convolve(
        &mut self,
        name: String,
        role: Role,
        channels: usize,
        bias: bool,
    ) {
        let conv = Conv {
            from: square(self.channels, self.size),
            to: square(channels, self.size),
            kernel: (3, 3),
            groups: 1,
            transposed: false,
            bias,
            window: Some(Window {
                stride: 1,
                padding: 1,
            }),
        };
        self.push(name, role, Op::Conv(conv));
        self.channels = channels;
    }

    /// A node that reads these results.
    pub(in crate::model) fn join(&mut self, name: String, op: Op, inputs: &[Value]) {
        self.x = self.graph.push(Node::new(name, Role::Other, op), inputs);
    }

    /// The image that it stands at.
    pub(in crate::model) fn extent(&self) -> (u32, u32, u32) {
        square(self.channels, self.size)
    }

    /// Half the height and width.
    pub(in crate::model) fn halve(&mut self, name: &str) {
        let pool = Op::MaxPool {
            size: 2,
            stride: 2,
            padding: 0,
        };
        self.other(format!("{name}.pool"), pool);
        self.size /= 2;
    }

    /// Twice the height and width.
    pub(in crate::model) fn double(&mut self, name: &str) {
        self.other(format!("{name}.up"), Op::Upsample);
        self.size *= 2;
    }

    /// Batch normalisation of this name, and ReLU.
    pub(in crate::model) fn normalized(&mut self, name: String) {
        let relu = format!("{name}.relu");
        let normalization = Op::BatchNorm {
            channels: extent(self.channels),
            epsilon: BATCH_NORM_EPSILON as f32,
        };
        self.other(name, normalization);
        self.other(relu, Op::Activation(Activation::Relu));
    }

    /// Batch normalisation and ReLU.
    fn normalize(&mut self, prefix: &str, stage: usize) {
        let normalization = Op::BatchNorm {
            channels: extent(self.channels),
            epsilon: BATCH_NORM_EPSILON as f32,
        };
        self.other(format!("{prefix}bn{stage}"), normalization);
        let relu = Op::Activation(Activation::Relu);
        self.other(format!("{prefix}relu{stage}"), relu);
    }

    /// Stages that look at an image, and the linear layer behind them.
    pub(in crate::model) fn encode(&mut self, prefix: &str, stages: &[Stage], outputs: usize) {
        for (i, stage) in stages.iter().enumerate() {
            let i = i + 1;
            self.convolve(
                format!("{prefix}conv{i}"),
                Role::Other,
                stage.channels,
                false,
            );
            self.normalize(prefix, i);
            if stage.pool {
                let pool = Op::MaxPool {
                    size: 2,
                    stride: 2,
                    padding: 0,
                };
                self.other(format!("{prefix}pool{i}"), pool);
                self.size /= 2;
            }
        }
        let inputs = self.channels * self.size * self.size;
        self.other(format!("{prefix}flatten"), Op::Flatten);
        let head = Op::Linear {
            inputs: extent(inputs),
            outputs: extent(outputs),
            bias: true,
        };
        self.other(format!("{prefix}head"), head);
    }

    /// From a row of `latent` numbers to an image of `size` pixels: a linear layer makes a small one of the first `stages`
    /// channels, every later one doubles it, and a last convolution gives as many channels as the image has.
    pub(in crate::model) fn decode(
        &mut self,
        prefix: &str,
        latent: usize,
        stages: &[usize],
        (channels, size): (usize, usize),
    ) {
        let first = stages.first().copied().unwrap_or(1);
        self.channels = first;
        self.size = size >> stages.len().saturating_sub(1);
        let start = Op::Linear {
            inputs: extent(latent),
            outputs: extent(first * self.size * self.size),
            bias: false,
        };
        self.other(format!("{prefix}start"), start);
        let to = square(first, self.size);
        self.other(format!("{prefix}unflatten"), Op::Unflatten { to });
        self.normalize(prefix, 0);
        for (i, &channels) in stages.iter().enumerate().skip(1) {
            self.other(format!("{prefix}up{i}"), Op::Upsample);
            self.size *= 2;
            self.convolve(format!("{prefix}conv{i}"), Role::Other, channels, false);
            self.normalize(prefix, i);
        }
        self.convolve(format!("{prefix}head"), Role::Head, channels, true);
        let sigmoid = Op::Activation(Activation::Sigmoid);
        self.other(format!("{prefix}sigmoid"), sigmoid);
        self.other(format!("{prefix}flatten"), Op::Flatten);
    }
}

/// Why an image cannot be doubled to its size from a smaller one, if so.
pub(in crate::model) fn indivisible(size: usize, stages: usize) -> Option<String> {
    let halved = stages.saturating_sub(1);
    // Sizes are below 2²⁰ here.
    (halved > 20 || !size.is_multiple_of(1 << halved))
        .then(|| format!("an image size of {size}, which cannot be halved {halved} times"))
}

/// The candidate whose parameters come nearest to `wanted`, of those that `scaled` gives for scales up to 1.
pub(in crate::model) fn nearest<T>(wanted: f64, scaled: impl Fn(f64) -> (T, Graph)) -> T {
    /// Fine enough that every stage passes through each of its integers.
    const STEPS: u32 = 1024;
    let distance = |(candidate, graph): (T, Graph)| {
        let distance = (graph.parameters() as f64 - wanted).abs();
        (distance, candidate)
    };
    let mut best = distance(scaled(1.0));
    for step in 1..STEPS {
        let next = distance(scaled(f64::from(step) / f64::from(STEPS)));
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

/// So many channels of a wider stage.
pub(in crate::model) fn scale(channels: usize, by: f64) -> usize {
    // Positive and no larger than what it was.
    (channels as f64 * by).round().max(1.0) as usize
}

/// Channels of stages: "16-32-64".
pub(in crate::model) fn list(channels: impl IntoIterator<Item = usize>) -> String {
    let channels: Vec<String> = channels.into_iter().map(|n| n.to_string()).collect();
    channels.join("-")
}
