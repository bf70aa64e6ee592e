//! Graphs of networks known layer by layer.

use super::super::layers::{LayerList, ListedLayer, flat};
use crate::graph::{Attention, Conv, Graph, Node, Op, Role};

impl LayerList {
    /// What it computes.
    pub fn graph(&self) -> Graph {
        let layers = self.layers.iter().enumerate();
        Graph {
            unit: self.unit,
            positions: 1,
            blocks: 0,
            nodes: layers
                .map(|(i, listed)| listed.node(format!("{}-{}", listed.word(), i + 1)))
                .collect(),
            input: None,
        }
    }
}

impl ListedLayer {
    fn node(&self, name: String) -> Node {
        // Normalisation is folded into the weights and leaves a bias.
        let conv = |from, to, kernel| Conv {
            from,
            to,
            kernel,
            groups: 1,
            transposed: false,
            bias: true,
            window: None,
        };
        let (mut added, mut passes) = (0.0, 1);
        let op = match *self {
            Self::Conv {
                from,
                to,
                kernel,
                adds,
            } => {
                if adds {
                    added = f64::from(to.0) * f64::from(to.1) * f64::from(to.2);
                }
                Op::Conv(conv(from, to, kernel))
            }
            Self::TransposedConv { from, to, kernel } => Op::Conv(Conv {
                transposed: true,
                ..conv(from, to, kernel)
            }),
            Self::Depthwise { from, to, kernel } => Op::Conv(Conv {
                groups: from.0,
                ..conv(from, to, kernel)
            }),
            Self::Grouped {
                from,
                to,
                kernel,
                groups,
            } => Op::Conv(Conv {
                groups,
                ..conv(from, to, kernel)
            }),
            // A volume's slices are laid side by side.
            Self::ConvVolume { from, to, kernel } => Op::Conv(conv(
                flat(from),
                flat(to),
                (kernel.saturating_mul(kernel), kernel),
            )),
            Self::TransposedConvVolume { from, to, kernel } => Op::Conv(Conv {
                transposed: true,
                ..conv(
                    flat(from),
                    flat(to),
                    (kernel.saturating_mul(kernel), kernel),
                )
            }),
            Self::Dense(inputs, outputs) => Op::Linear {
                inputs,
                outputs,
                bias: true,
            },
            Self::Embedding(rows, width) => Op::Embedding { rows, width },
            Self::Lstm {
                inputs,
                hidden,
                steps,
            } => {
                passes = steps;
                Op::Lstm {
                    inputs,
                    units: hidden,
                    steps,
                }
            }
            Self::Attention { tokens, width } => Op::Attention(Attention {
                heads: 1,
                kv_heads: 1,
                width,
                reading_widths: 2 * width,
                cached: 0,
                earlier: false,
                window: None,
                picked: false,
                positions: Some(tokens),
                latent: false,
                scores: None,
            }),
            Self::Scale(channels) => Op::Scale { channels },
        };
        let role = match self {
            Self::Embedding(..) => Role::Embedding,
            Self::Attention { .. } => Role::Attention,
            _ => Role::Other,
        };
        Node {
            added,
            passes,
            ..Node::new(name, role, op)
        }
    }
}
