//! Graphs out of shapes: equal layers of all blocks stand together as one node.

use super::architecture::{Architecture, LatentAttention, Shape, Transformer};
use super::denoiser::{PassCount, Pipeline};
use super::diffusion::Generating;
use super::layers::{LayerList, ListedLayer};
use crate::graph::{Attention, Chosen, Conv, Graph, Node, Op, Role, Sized};
use crate::profile::{LayerKind, Unit};

/// Tokens of a text that an encoder reads: the sequence length of MLPerf Inference's BERT (Reddi et al. 2020).
const READ_TOKENS: u32 = 384;
/// Parameters of the image decoder of latent diffusion (Rombach et al., CVPR 2022; the `AutoencoderKL` decoders of Stable
/// Diffusion and FLUX.1 have 49.5 million).
const DECODER_PARAMETERS: f64 = 49.5e6;
/// Matrix products in one block of a denoiser whose kernels start one after another.
const PRODUCTS_PER_BLOCK: f64 = 4.0;

/// Name of the table of learned positions.
pub(crate) const POSITIONS: &str = "positions";

impl Architecture {
    /// What the network computes.
    pub fn graph(&self) -> Graph {
        match &self.shape {
            Shape::Transformer(transformer) => transformer.graph(),
            Shape::DiffusionTransformer(_) | Shape::UNet(_) => denoiser(&self.shape),
            Shape::Layers(list) => list.graph(),
        }
    }
}

impl Transformer {
    /// What it computes.
    pub fn graph(&self) -> Graph {
        Graph {
            unit: if self.encoder {
                Unit::Sample
            } else {
                Unit::Token
            },
            positions: if self.encoder { READ_TOKENS } else { 1 },
            nodes: self.nodes(),
        }
    }

    fn nodes(&self) -> Vec<Node> {
        let (hidden, all) = (self.hidden, self.layers);
        let dense = all - self.experts.map_or(0, |e| all - e.dense_layers.min(all));
        let table = |name: &str, role, rows| {
            Node::new(
                name,
                role,
                Op::Embedding {
                    rows,
                    width: hidden,
                },
            )
        };
        let mut nodes = Vec::new();
        if !self.tied && self.vocabulary > 0 || self.encoder {
            nodes.push(table("embedding", Role::Embedding, self.vocabulary));
        }
        if self.positions > 0 {
            nodes.push(table(POSITIONS, Role::Positions, self.positions));
        }
        nodes.extend(self.projections());
        nodes.extend(self.attention());
        let inner = if self.gated { 2 } else { 1 };
        let linear = |name: &str, role, inputs, outputs, bias| {
            Node::new(
                name,
                role,
                Op::Linear {
                    inputs,
                    outputs,
                    bias,
                },
            )
        };
        if dense > 0 && self.ffn > 0 {
            let (role, bias) = (Role::FeedForward, self.biases.others);
            nodes.push(linear("mlp.up", role, hidden, inner * self.ffn, bias).times(dense));
            nodes.push(linear("mlp.down", role, self.ffn, hidden, bias).times(dense));
        }
        if let Some(experts) = self.experts {
            let with = all - dense;
            let chosen = Some(Chosen {
                active: experts.active,
                count: experts.count,
            });
            let expert = |name: &str, inputs, outputs| Node {
                experts: chosen,
                ..linear(name, Role::Experts, inputs, outputs, false).times(with)
            };
            nodes.push(linear("router", Role::Router, hidden, experts.count, false).times(with));
            nodes.push(expert("experts.up", hidden, inner * experts.ffn));
            nodes.push(expert("experts.down", experts.ffn, hidden));
            if experts.shared_ffn > 0 {
                let (role, shared) = (Role::SharedExperts, experts.shared_ffn);
                let (up, down) = ("shared_experts.up", "shared_experts.down");
                nodes.push(linear(up, role, hidden, inner * shared, false).times(with));
                nodes.push(linear(down, role, shared, hidden, false).times(with));
            }
        }
        let norm = Op::Norm {
            width: hidden,
            parameters: if self.biases.norms { 2 } else { 1 },
        };
        nodes.push(Node::new("norms", Role::Norm, norm).times(2 * all + 1));
        if self.vocabulary > 0 && !self.encoder {
            nodes.push(linear(
                "lm_head",
                Role::Head,
                hidden,
                self.vocabulary,
                false,
            ));
        }
        nodes
    }

    /// The matrices before and after attention.
    fn projections(&self) -> Vec<Node> {
        let linear = |name: &str, inputs, outputs, bias| {
            let op = Op::Linear {
                inputs,
                outputs,
                bias,
            };
            Node::new(name, Role::Attention, op).times(self.layers)
        };
        let hidden = self.hidden;
        if let Some(weights) = self.attention_weights {
            let op = Op::Sized(Sized {
                kind: LayerKind::Linear,
                parameters: f64::from(weights),
                width: f64::from(hidden),
                macs: None,
                moved: None,
            });
            return vec![
                Node::new("attention.projections", Role::Attention, op).times(self.layers),
            ];
        }
        let Some(latent) = self.latent else {
            let (heads, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
            let biases = self.biases;
            return vec![
                linear(
                    "attention.qkv",
                    hidden,
                    heads + 2 * keys,
                    biases.queries_keys_values,
                ),
                linear("attention.output", heads, hidden, biases.others),
            ];
        };
        let LatentAttention {
            query,
            key_value,
            rotary,
            plain,
            value,
        } = latent;
        let queries = self.heads * (plain + rotary);
        let from_query = match query {
            0 => vec![linear("attention.query", hidden, queries, false)],
            rank => vec![
                linear("attention.query_down", hidden, rank, false),
                linear("attention.query_up", rank, queries, false),
            ],
        };
        let rest = [
            linear(
                "attention.key_value_down",
                hidden,
                key_value + rotary,
                false,
            ),
            linear(
                "attention.key_value_up",
                key_value,
                self.heads * (plain + value),
                false,
            ),
            linear("attention.output", self.heads * value, hidden, false),
        ];
        from_query.into_iter().chain(rest).collect()
    }

    /// Attention itself: of the layers that look back over everything, and of the others.
    fn attention(&self) -> Vec<Node> {
        let whole = match self.latent {
            Some(latent) => Attention {
                heads: self.heads,
                kv_heads: 1,
                width: latent.key_value + latent.rotary,
                reading_widths: latent.plain + latent.rotary + latent.value,
                cached: latent.key_value + latent.rotary,
                window: None,
                positions: None,
                latent: true,
            },
            None => Attention {
                heads: self.heads,
                kv_heads: self.kv_heads,
                width: self.head_dim,
                reading_widths: 2 * self.head_dim,
                cached: 2 * self.kv_heads * self.head_dim,
                window: None,
                positions: None,
                latent: false,
            },
        };
        let whole = Attention {
            // A text that is read at once keeps nothing.
            cached: if self.encoder { 0 } else { whole.cached },
            ..whole
        };
        let full = match self.window {
            None => self.layers,
            Some(window) if window.full_every == 0 => 0,
            Some(window) => self.layers / window.full_every,
        };
        let node = |name: &str, attention, layers| {
            Node::new(name, Role::Attention, Op::Attention(attention)).times(layers)
        };
        let windowed = self.window.map(|window| {
            let attention = Attention {
                window: Some(window.tokens),
                ..whole
            };
            node("attention.windowed", attention, self.layers - full)
        });
        let all = std::iter::once(node("attention", whole, full)).chain(windowed);
        all.filter(|node| node.repeat > 0).collect()
    }
}

impl LayerList {
    /// What it computes.
    pub fn graph(&self) -> Graph {
        let layers = self.layers.iter().enumerate();
        Graph {
            unit: self.unit,
            positions: 1,
            nodes: layers
                .map(|(i, listed)| listed.node(format!("{}-{}", listed.word(), i + 1)))
                .collect(),
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
        };
        let mut added = 0.0;
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
            Self::Dense(inputs, outputs) => Op::Linear {
                inputs,
                outputs,
                bias: true,
            },
            Self::Embedding(rows, width) => Op::Embedding { rows, width },
            Self::Lstm { inputs, hidden } => Op::Lstm {
                inputs,
                units: hidden,
            },
            Self::Attention { tokens, width } => Op::Attention(Attention {
                heads: 1,
                kv_heads: 1,
                width,
                reading_widths: 2 * width,
                cached: 0,
                window: None,
                positions: Some(tokens),
                latent: false,
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
            ..Node::new(name, role, op)
        }
    }
}

/// A denoiser with what surrounds it, for one image or video.
fn denoiser(shape: &Shape) -> Graph {
    let pipeline = shape.pipeline();
    let generating = pipeline
        .as_ref()
        .and_then(|pipeline| Generating::new(shape, pipeline, 1.0, 1.0));
    let unit = match &pipeline {
        Some(pipeline) if pipeline.frames > 1 => Unit::Video,
        _ => Unit::Image,
    };
    let nodes = pipeline
        .zip(generating)
        .map(|(pipeline, generating)| generator(shape, &pipeline, &generating))
        .unwrap_or_default();
    Graph {
        unit,
        positions: 1,
        nodes,
    }
}

fn generator(shape: &Shape, pipeline: &Pipeline, generating: &Generating) -> Vec<Node> {
    let pass: &PassCount = &generating.pass;
    let passes = generating.steps * generating.passes;
    let width = match shape {
        Shape::DiffusionTransformer(network) => f64::from(network.hidden),
        Shape::UNet(network) => network.channels.last().copied().map_or(1.0, f64::from),
        Shape::Transformer(_) | Shape::Layers(_) => 1.0,
    };
    let blocks = pass.blocks.max(1.0);
    let values = passes * blocks * pass.tokens.max(1.0) * width;
    let part = |name: &str, kind, parameters, width, macs, moved| {
        let op = Op::Sized(Sized {
            kind,
            parameters,
            width,
            macs: Some(macs),
            moved,
        });
        Node::new(name, Role::Other, op)
    };
    // Work is that of all blocks together; how many kernels start is what blocks are counted for.
    let runs = |node: Node, products: f64| Node {
        kernels: whole(blocks * products),
        passes: pipeline.steps.max(1),
        ..node
    };
    let moved = values * PRODUCTS_PER_BLOCK;
    let (linear, attention) = (passes * pass.linear / 2.0, passes * pass.attention / 2.0);
    let mut nodes = vec![
        runs(
            part(
                "denoiser",
                LayerKind::Linear,
                pass.parameters,
                width,
                linear,
                Some((moved, moved)),
            ),
            PRODUCTS_PER_BLOCK,
        ),
        // The attention of U-Nets is counted among their other operations; that there is some still matters to what can
        // run it.
        runs(
            part(
                "denoiser.attention",
                LayerKind::Attention,
                1.0,
                1.0,
                attention,
                Some((3.0 * values, values)),
            ),
            1.0,
        ),
    ];
    let text = pipeline.text_encoder_parameters;
    if text > 0.0 {
        let macs = generating.passes * generating.text / 2.0;
        nodes.push(part(
            "text_encoder",
            LayerKind::Linear,
            text,
            4096.0,
            macs,
            None,
        ));
    }
    let decoder = generating.decoder / 2.0;
    nodes.push(part(
        "image_decoder",
        LayerKind::Conv2d,
        DECODER_PARAMETERS,
        512.0,
        decoder,
        None,
    ));
    nodes
}

/// Shapes are positive and far below the limit of the type.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(value: f64) -> u32 {
    value.round().clamp(1.0, f64::from(u32::MAX)) as u32
}
