//! Convolutional classifiers with residual connections, with tensors called as torchvision's: blocks of two or three
//! convolutions as in ResNet (He et al. 2016, <https://arxiv.org/abs/1512.03385>), and inverted ones with a convolution of
//! every channel by itself as in MobileNet-v2 (Sandler et al. 2018, <https://arxiv.org/abs/1801.04381>).
//!
//! Every convolution has no bias and is followed by batch normalisation. ResNet: `conv1`, `bn1`, `layer{s}.{b}.conv1`,
//! `.bn1`, … with `layer{s}.{b}.downsample.0` and `.1` where a block changes the shape, `fc`. MobileNet: `features.0.0`, `.1`,
//! `features.{i}.conv.…`, the last `features.{n}.0`, `classifier.1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BATCH_NORM_EPSILON, Deviation, Family, Sizes};
use crate::graph::{Activation, Conv, Graph, Input, Node, Op, Role, Value, Window};
use crate::model::Architecture;
use crate::profile::Unit;

/// Edge of MNIST's and Fashion-MNIST's images, in pixels.
const GREY: usize = 28;
/// Edge of CIFAR's.
const CIFAR: usize = 32;
/// Edge of what networks are given of ImageNet's (He et al. 2016, section 3.4).
const IMAGENET: usize = 224;

/// Shape of a residual classifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualConfig {
    /// Channels of the input image.
    pub input_channels: usize,
    /// Height and width of the input image in pixels.
    pub size: usize,
    /// The first convolution.
    pub stem: Stem,
    /// The stages, each of blocks.
    pub stages: Vec<Vec<Block>>,
    /// Channels of the last convolution, one pixel wide, where there is one after the blocks (MobileNet).
    pub last: Option<usize>,
    /// Number of classes.
    pub classes: usize,
}

/// The first convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stem {
    /// Output channels.
    pub channels: usize,
    /// Rows and columns of its kernel.
    pub kernel: usize,
    /// Pixels between its places.
    pub stride: usize,
    /// Whether 3x3 max pooling halves the image afterwards.
    pub pool: bool,
}

/// A block, whose input is added to its output where their shapes are the same or can be made so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What is in it.
    pub kind: BlockKind,
    /// Channels inside.
    pub hidden: usize,
    /// Output channels.
    pub channels: usize,
    /// Pixels between places of the convolution that shrinks the image.
    pub stride: usize,
    /// Whether the input goes through a convolution before it is added (ResNet).
    pub projected: bool,
}

/// What is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Two 3x3 convolutions.
    Basic,
    /// A 3x3 convolution between two of one pixel.
    Bottleneck,
    /// A 3x3 convolution of every channel by itself between two of one pixel; without the first where that changes nothing.
    Inverted,
}

/// A network being put together: where it stands.
struct Builder {
    graph: Graph,
    x: Value,
    channels: usize,
    size: usize,
}

/// Sizes are far below the limit of the type.
fn extent(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl Builder {
    /// A convolution with what follows it.
    fn convolve(
        &mut self,
        (conv, norm): (String, String),
        (channels, kernel, stride): (usize, usize, usize),
        depthwise: bool,
        activation: Option<Activation>,
    ) {
        let window = Window {
            stride: extent(stride),
            padding: extent(kernel / 2),
        };
        let places = window.places(extent(self.size), extent(kernel));
        let groups = if depthwise { self.channels } else { 1 };
        let from = (extent(self.channels), extent(self.size), extent(self.size));
        let op = Op::Conv(Conv {
            from,
            to: (extent(channels), places, places),
            kernel: (extent(kernel), extent(kernel)),
            groups: extent(groups),
            transposed: false,
            bias: false,
            window: Some(window),
        });
        self.push(conv.clone(), op);
        let normalization = Op::BatchNorm {
            channels: extent(channels),
            epsilon: BATCH_NORM_EPSILON as f32,
        };
        self.push(norm, normalization);
        if let Some(activation) = activation {
            self.push(format!("{conv}.activation"), Op::Activation(activation));
        }
        self.channels = channels;
        self.size = places as usize;
    }

    fn push(&mut self, name: String, op: Op) {
        self.x = self.graph.push(Node::new(name, Role::Other, op), &[self.x]);
    }

    /// Adds another result.
    fn add(&mut self, name: String, other: Value) {
        let sum = Node::new(name, Role::Other, Op::Add);
        self.x = self.graph.push(sum, &[self.x, other]);
    }

    /// A block of ResNet, called `name`.
    fn residual(&mut self, name: &str, block: Block) {
        let relu = Some(Activation::Relu);
        let own = |n: usize| (format!("{name}.conv{n}"), format!("{name}.bn{n}"));
        let (x, channels, size) = (self.x, self.channels, self.size);
        let Block { hidden, stride, .. } = block;
        if block.kind == BlockKind::Bottleneck {
            self.convolve(own(1), (hidden, 1, 1), false, relu);
            self.convolve(own(2), (hidden, 3, stride), false, relu);
            self.convolve(own(3), (block.channels, 1, 1), false, None);
        } else {
            self.convolve(own(1), (hidden, 3, stride), false, relu);
            self.convolve(own(2), (block.channels, 3, 1), false, None);
        }
        let result = self.x;
        let mut shortcut = x;
        if block.projected {
            let after = (self.channels, self.size);
            (self.x, self.channels, self.size) = (x, channels, size);
            let names = (
                format!("{name}.downsample.0"),
                format!("{name}.downsample.1"),
            );
            self.convolve(names, (block.channels, 1, stride), false, None);
            shortcut = self.x;
            (self.channels, self.size) = after;
        }
        self.x = result;
        self.add(format!("{name}.sum"), shortcut);
        self.push(format!("{name}.relu"), Op::Activation(Activation::Relu));
    }

    /// A block of MobileNet, called `name`.
    fn inverted(&mut self, name: &str, block: Block) {
        let relu = Some(Activation::Relu6);
        let (x, channels) = (self.x, self.channels);
        let mut at = 0;
        if block.hidden != channels {
            let names = (format!("{name}.conv.0.0"), format!("{name}.conv.0.1"));
            self.convolve(names, (block.hidden, 1, 1), false, relu);
            at = 1;
        }
        let names = (format!("{name}.conv.{at}.0"), format!("{name}.conv.{at}.1"));
        self.convolve(names, (block.hidden, 3, block.stride), true, relu);
        let names = (
            format!("{name}.conv.{}", at + 1),
            format!("{name}.conv.{}", at + 2),
        );
        self.convolve(names, (block.channels, 1, 1), false, None);
        if block.stride == 1 && channels == block.channels {
            self.add(format!("{name}.sum"), x);
        }
    }
}

impl ResidualConfig {
    /// The network whose tensors these are. Weights do not tell the size of images: it is the usual one of the kind, and can
    /// be another ([`Family::reading`]).
    pub(super) fn recognise(tensors: &BTreeMap<&str, &[usize]>) -> Option<(usize, Architecture)> {
        let config = Self::of_resnet(tensors).or_else(|| Self::of_mobilenet(tensors))?;
        let architecture = Architecture::Residual(config);
        if architecture.implausible().is_some() {
            return None;
        }
        let shapes = architecture.tensor_shapes();
        let found = shapes
            .iter()
            .filter(|(name, _)| tensors.contains_key(name.as_str()));
        Some((found.count(), architecture))
    }

    fn of_resnet(tensors: &BTreeMap<&str, &[usize]>) -> Option<Self> {
        let shape = |name: &str| tensors.get(format!("{name}.weight").as_str()).copied();
        let &[channels, input_channels, kernel, _] = shape("conv1")? else {
            return None;
        };
        let &[classes, _] = shape("fc")? else {
            return None;
        };
        let mut stages = Vec::new();
        while let Some(first) = shape(&format!("layer{}.0.conv1", stages.len() + 1)) {
            let stage = stages.len() + 1;
            let mut blocks = Vec::new();
            let mut conv1 = Some(first);
            while let Some(&[hidden, ..]) = conv1 {
                let own = |part: &str| shape(&format!("layer{stage}.{}.{part}", blocks.len()));
                let (kind, out) = match own("conv3") {
                    Some(out) => (BlockKind::Bottleneck, out),
                    None => (BlockKind::Basic, own("conv2")?),
                };
                blocks.push(Block {
                    kind,
                    hidden,
                    channels: *out.first()?,
                    // The first block of every stage but the first halves the image.
                    stride: if stage > 1 && blocks.is_empty() { 2 } else { 1 },
                    projected: own("downsample.0").is_some(),
                });
                conv1 = shape(&format!("layer{stage}.{}.conv1", blocks.len()));
            }
            stages.push(blocks);
        }
        // A wide kernel is that of large images, which are made small at once.
        let large = kernel > 3;
        let small = if input_channels == 1 { GREY } else { CIFAR };
        let tells_shipped = input_channels == 1 && classes == 10;
        let size = match large && !tells_shipped {
            true => IMAGENET,
            false => small,
        };
        Some(Self {
            input_channels,
            size,
            stem: Stem {
                channels,
                kernel,
                stride: if large { 2 } else { 1 },
                pool: large,
            },
            stages,
            last: None,
            classes,
        })
    }

    fn of_mobilenet(tensors: &BTreeMap<&str, &[usize]>) -> Option<Self> {
        /// Pixels between places in the first block of every stage (table 2 of the paper).
        const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];
        let shape = |name: String| tensors.get(format!("{name}.weight").as_str()).copied();
        let &[channels, input_channels, kernel, _] = shape("features.0.0".to_owned())? else {
            return None;
        };
        let &[classes, _] = shape("classifier.1".to_owned())? else {
            return None;
        };
        let mut stages: Vec<Vec<Block>> = Vec::new();
        let mut inputs = channels;
        for i in 1.. {
            let own = |part: &str| shape(format!("features.{i}.conv.{part}"));
            let Some(first) = own("0.0") else { break };
            // The first of three convolutions widens; of two it is the one of every channel.
            let (hidden, out) = match own("2") {
                Some(out) if out.len() == 4 => (*first.first()?, *out.first()?),
                _ => (inputs, *own("1")?.first()?),
            };
            if stages.is_empty() || out != inputs {
                stages.push(Vec::new());
            }
            let (stage, at) = (stages.len(), stages.last()?.len());
            let stride = if at == 0 { *STRIDES.get(stage - 1)? } else { 1 };
            stages.last_mut()?.push(Block {
                kind: BlockKind::Inverted,
                hidden,
                channels: out,
                stride,
                projected: false,
            });
            inputs = out;
        }
        let blocks: usize = stages.iter().map(Vec::len).sum();
        let last = shape(format!("features.{}.0", blocks + 1))?
            .first()
            .copied();
        let tells_shipped = input_channels == 1 && classes == 10;
        Some(Self {
            input_channels,
            size: if tells_shipped { GREY } else { IMAGENET },
            stem: Stem {
                channels,
                kernel,
                stride: 2,
                pool: false,
            },
            stages,
            last,
            classes,
        })
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.stages.iter().flatten()
    }

    fn is_inverted(&self) -> bool {
        self.blocks().any(|block| block.kind == BlockKind::Inverted)
    }
}

impl Family for ResidualConfig {
    fn name(&self) -> &'static str {
        "residual classifier"
    }

    fn reading(&self, size: u32) -> Option<Architecture> {
        // The mean over all pixels stands before the classes.
        let resized = Architecture::Residual(Self {
            size: size as usize,
            ..self.clone()
        });
        resized.implausible().is_none().then_some(resized)
    }

    fn graph(&self) -> Graph {
        let input = (
            extent(self.input_channels),
            extent(self.size),
            extent(self.size),
        );
        let mut net = Builder {
            graph: Graph {
                unit: Unit::Image,
                positions: 1,
                blocks: 0,
                nodes: Vec::new(),
                input: Some(Input::Image(input)),
            },
            x: Value::Input,
            channels: self.input_channels,
            size: self.size,
        };
        let Stem {
            channels,
            kernel,
            stride,
            pool,
        } = self.stem;
        let mobile = self.is_inverted();
        let (names, activation) = if mobile {
            (("features.0.0", "features.0.1"), Activation::Relu6)
        } else {
            (("conv1", "bn1"), Activation::Relu)
        };
        let names = (names.0.to_owned(), names.1.to_owned());
        net.convolve(names, (channels, kernel, stride), false, Some(activation));
        if pool {
            let window = Window {
                stride: 2,
                padding: 1,
            };
            net.push(
                "maxpool".to_owned(),
                Op::MaxPool {
                    size: 3,
                    stride: 2,
                    padding: 1,
                },
            );
            net.size = window.places(extent(net.size), 3) as usize;
        }
        let mut i = 0;
        for (stage, blocks) in self.stages.iter().enumerate() {
            for (at, block) in blocks.iter().enumerate() {
                i += 1;
                if mobile {
                    net.inverted(&format!("features.{i}"), *block);
                } else {
                    net.residual(&format!("layer{}.{at}", stage + 1), *block);
                }
            }
        }
        if let Some(last) = self.last {
            let names = (
                format!("features.{}.0", i + 1),
                format!("features.{}.1", i + 1),
            );
            net.convolve(names, (last, 1, 1), false, Some(activation));
        }
        net.push("mean".to_owned(), Op::Mean);
        let head = if mobile { "classifier.1" } else { "fc" };
        let op = Op::Linear {
            inputs: extent(net.channels),
            outputs: extent(self.classes),
            bias: true,
        };
        net.graph.push(Node::new(head, Role::Head, op), &[net.x]);
        net.graph
    }

    fn sizes(&self) -> Sizes {
        let mut sizes = vec![
            ("input channels", self.input_channels),
            ("image size", self.size),
            ("classes", self.classes),
            ("channels", self.stem.channels),
            ("rows of a kernel", self.stem.kernel),
            ("pixels between places", self.stem.stride),
        ];
        for block in self.blocks() {
            sizes.extend([
                ("channels", block.hidden),
                ("channels", block.channels),
                ("pixels between places", block.stride),
            ]);
        }
        sizes.extend(self.last.map(|last| ("channels", last)));
        Sizes {
            sizes,
            parts: ("blocks", self.blocks().count()),
        }
    }

    fn implausible(&self) -> Option<String> {
        let inverted = self
            .blocks()
            .filter(|b| b.kind == BlockKind::Inverted)
            .count();
        if inverted > 0 && inverted < self.blocks().count() {
            return Some("blocks of ResNet beside blocks of MobileNet".to_owned());
        }
        let mut channels = self.stem.channels;
        for block in self.blocks() {
            let changes = block.stride > 1 || channels != block.channels;
            if block.kind != BlockKind::Inverted && changes && !block.projected {
                return Some("a block whose input does not fit its output".to_owned());
            }
            channels = block.channels;
        }
        None
    }

    fn deviation(&self, _: &str, shape: &[usize]) -> Deviation {
        match shape.len() {
            4 => Deviation::Rectified,
            _ => Deviation::Linear(1.0),
        }
    }
}
