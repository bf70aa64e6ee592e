//! A smaller network of the same kind, for a distillation ratio.

use std::sync::Arc;

use crate::serving::Listed;
use crate::serving::architecture::{
    Architecture, Blocks, Experts, Feed, Heads, Mixer, Shape, StateMixer, Transformer,
};
use crate::serving::{DiffusionTransformer, LayerList, ListedLayer, UNet};

/// Bisections of the scale: to a millionth.
const HALVINGS: u32 = 20;

/// The network whose parameters come nearest to `ratio` times the original's, and what was done to it. Width and depth
/// shrink together, as in families of published models of different sizes.
pub(super) fn of(original: &Architecture, ratio: f64) -> (Architecture, String) {
    let with = |shape: Shape| Architecture {
        parameters: original.parameters * ratio,
        shape,
        ..original.clone()
    };
    match &original.shape {
        Shape::Transformer(network) => {
            let wanted = ratio * network.parameters();
            let student = fit(wanted, |scale| smaller(network, scale), |t| t.parameters());
            let words = shrunk(
                (network.hidden, student.hidden),
                (network.layers, student.layers),
            );
            (with(Shape::Transformer(student)), words)
        }
        Shape::DiffusionTransformer(network) => {
            let wanted = ratio * network.parameters();
            let student = fit(
                wanted,
                |scale| smaller_denoiser(network, scale),
                DiffusionTransformer::parameters,
            );
            let words = shrunk(
                (network.hidden, student.hidden),
                (network.joint_layers, student.joint_layers),
            );
            (with(Shape::DiffusionTransformer(student)), words)
        }
        Shape::UNet(network) => {
            let count = |net: &UNet| net.count(64, 64).parameters;
            let student = fit(
                ratio * count(network),
                |scale| narrower(network, scale),
                count,
            );
            let widest = |net: &UNet| net.channels.last().copied().unwrap_or_default();
            let words = format!(
                "narrower: {} → {} channels",
                widest(network),
                widest(&student)
            );
            (with(Shape::UNet(student)), words)
        }
        Shape::Layers(list) => {
            let student = fit(
                ratio * listed(list),
                |scale| narrower_list(list, scale),
                listed,
            );
            let words = "narrower: fewer channels in every layer".to_owned();
            (with(Shape::Layers(student)), words)
        }
        Shape::Listed(list) => {
            // No parameters are below 2^63.
            let count = |list: &Listed| list.graph.parameters() as f64;
            let student = fit(ratio * count(list), |scale| list.narrower(scale), count);
            let words = "narrower: fewer channels in every layer".to_owned();
            (with(Shape::Listed(Arc::new(student))), words)
        }
    }
}

/// The network made with the scale, 0 to 1, that leads nearest to the wanted parameters.
fn fit<T>(wanted: f64, make: impl Fn(f64) -> T, count: impl Fn(&T) -> f64) -> T {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if count(&make(middle)) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    let miss = |network: &T| (count(network) - wanted).abs();
    let (below, above) = (make(low), make(high));
    if miss(&below) < miss(&above) {
        below
    } else {
        above
    }
}

/// A size in proportion, as a whole multiple, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a u32"
)]
fn scaled(size: u32, scale: f64, multiple: u32) -> u32 {
    let multiples = f64::from(size) * scale / f64::from(multiple);
    (multiples.round().max(1.0) as u32).saturating_mul(multiple)
}

fn smaller(network: &Transformer, scale: f64) -> Transformer {
    let heads = scaled(network.heads, scale, 1);
    Transformer {
        hidden: scaled(network.hidden, scale, 8),
        layers: scaled(network.layers, scale, 1),
        heads,
        kv_heads: scaled(network.kv_heads, scale, 1).min(heads),
        ffn: if network.ffn == 0 {
            0
        } else {
            scaled(network.ffn, scale, 8)
        },
        experts: network.experts.map(|experts| Experts {
            dense_layers: experts.dense_layers.min(scaled(network.layers, scale, 1)),
            ..narrower_experts(experts, scale)
        }),
        blocks: network
            .blocks
            .iter()
            .map(|blocks| smaller_blocks(blocks, scale))
            .collect(),
        tables: network
            .tables
            .iter()
            .map(|(rows, width)| (*rows, scaled(*width, scale, 8)))
            .collect(),
        attention_weights: network
            .attention_weights
            .map(|weights| scaled(weights, scale * scale, 1)),
        beside: network.beside.scaled(scale),
        ..network.clone()
    }
}

fn narrower_experts(experts: Experts, scale: f64) -> Experts {
    Experts {
        ffn: scaled(experts.ffn, scale, 8),
        width: match experts.width {
            0 => 0,
            width => scaled(width, scale, 8),
        },
        shared_ffn: if experts.shared_ffn == 0 {
            0
        } else {
            scaled(experts.shared_ffn, scale, 8)
        },
        ..experts
    }
}

/// Blocks with everything narrower, and fewer of them.
fn smaller_blocks(blocks: &Blocks, scale: f64) -> Blocks {
    let matrices = |all: &[(u32, u32)]| {
        let both = all.iter();
        both.map(|(outputs, inputs)| (scaled(*outputs, scale, 1), scaled(*inputs, scale, 1)))
            .collect()
    };
    let mixer = |mixer: &Mixer| match mixer {
        Mixer::Attention(heads) => {
            let queries = scaled(heads.heads, scale, 1);
            Mixer::Attention(Heads {
                heads: queries,
                kv_heads: scaled(heads.kv_heads, scale, 1).min(queries),
                ..*heads
            })
        }
        Mixer::Latent(window) => Mixer::Latent(*window),
        Mixer::Picked(tokens) => Mixer::Picked(*tokens),
        Mixer::Compressed(own) => Mixer::Compressed(own.with_heads(scaled(own.heads, scale, 1))),
        Mixer::State(state) => Mixer::State(StateMixer {
            projections: matrices(&state.projections),
            others: scaled(state.others, scale, 1),
            numbers: scaled(state.numbers, scale, 1),
        }),
    };
    Blocks {
        layers: scaled(blocks.layers, scale, 1),
        mixers: blocks.mixers.iter().map(mixer).collect(),
        feed: Feed {
            dense: match blocks.feed.dense {
                0 => 0,
                dense => scaled(dense, scale, 8),
            },
            experts: blocks
                .feed
                .experts
                .map(|experts| narrower_experts(experts, scale)),
        },
        others: matrices(&blocks.others),
    }
}

fn smaller_denoiser(network: &DiffusionTransformer, scale: f64) -> DiffusionTransformer {
    let depth = |layers: u32| match layers {
        0 => 0,
        layers => scaled(layers, scale, 1),
    };
    let head = network.hidden / network.heads.max(1);
    let heads = scaled(network.heads, scale, 1);
    DiffusionTransformer {
        heads,
        hidden: heads * head,
        ffn: scaled(network.ffn, scale, 8),
        joint_layers: depth(network.joint_layers),
        single_layers: depth(network.single_layers),
        second_attention_layers: depth(network.second_attention_layers),
        ..network.clone()
    }
}

fn narrower(network: &UNet, scale: f64) -> UNet {
    UNet {
        channels: network
            .channels
            .iter()
            .map(|&channels| scaled(channels, scale, 8))
            .collect(),
        ..network.clone()
    }
}

/// Weights of a list of layers.
fn listed(list: &LayerList) -> f64 {
    list.layers()
        .iter()
        .map(|layer| layer.weights() as f64)
        .sum()
}

/// The same layers with fewer channels in between; what comes in and what goes out stays.
fn narrower_list(list: &LayerList, scale: f64) -> LayerList {
    let narrow = |(place, layer): (usize, &ListedLayer)| {
        let (before, after) = (&list.layers[..place], &list.layers[place + 1..]);
        let inside = |count: u32| match before {
            [] => count,
            _ => scaled(count, scale, 1),
        };
        // A matrix after a convolution reads all places of an image in one row.
        let row = |count: u32| match before.last().map(written_channels) {
            Some(channels) if count.is_multiple_of(channels) => {
                scaled(channels, scale, 1) * (count / channels)
            }
            _ => inside(count),
        };
        let outside = |count: u32| {
            if after.iter().any(|later| reads(later, count)) {
                scaled(count, scale, 1)
            } else {
                count
            }
        };
        match *layer {
            ListedLayer::Conv {
                from,
                to,
                kernel,
                adds,
            } => ListedLayer::Conv {
                from: (inside(from.0), from.1, from.2),
                to: (outside(to.0), to.1, to.2),
                kernel,
                adds,
            },
            ListedLayer::TransposedConv { from, to, kernel } => ListedLayer::TransposedConv {
                from: (inside(from.0), from.1, from.2),
                to: (outside(to.0), to.1, to.2),
                kernel,
            },
            ListedLayer::Depthwise { from, to, kernel } => ListedLayer::Depthwise {
                from: (inside(from.0), from.1, from.2),
                to: (inside(to.0), to.1, to.2),
                kernel,
            },
            ListedLayer::Grouped {
                from,
                to,
                kernel,
                groups,
            } => ListedLayer::Grouped {
                from: (inside(from.0), from.1, from.2),
                to: (outside(to.0), to.1, to.2),
                kernel,
                groups,
            },
            ListedLayer::ConvVolume { from, to, kernel } => ListedLayer::ConvVolume {
                from: (inside(from.0), from.1, from.2, from.3),
                to: (outside(to.0), to.1, to.2, to.3),
                kernel,
            },
            ListedLayer::TransposedConvVolume { from, to, kernel } => {
                ListedLayer::TransposedConvVolume {
                    from: (inside(from.0), from.1, from.2, from.3),
                    to: (outside(to.0), to.1, to.2, to.3),
                    kernel,
                }
            }
            ListedLayer::Dense(inputs, outputs) => {
                ListedLayer::Dense(row(inputs), outside(outputs))
            }
            ListedLayer::Embedding(rows, width) => ListedLayer::Embedding(rows, outside(width)),
            ListedLayer::Lstm {
                inputs,
                hidden,
                steps,
            } => ListedLayer::Lstm {
                inputs: scaled(inputs, scale, 1),
                hidden: outside(hidden),
                steps,
            },
            ListedLayer::Attention { tokens, width } => ListedLayer::Attention {
                tokens,
                width: inside(width),
            },
            ListedLayer::Scale(count) => ListedLayer::Scale(inside(count)),
        }
    };
    LayerList {
        layers: list.layers.iter().enumerate().map(narrow).collect(),
        operations: None,
        ..list.clone()
    }
}

/// Channels that a layer writes.
const fn written_channels(layer: &ListedLayer) -> u32 {
    match *layer {
        ListedLayer::Conv { to, .. }
        | ListedLayer::TransposedConv { to, .. }
        | ListedLayer::Depthwise { to, .. }
        | ListedLayer::Grouped { to, .. } => to.0,
        ListedLayer::ConvVolume { to, .. } | ListedLayer::TransposedConvVolume { to, .. } => to.0,
        ListedLayer::Dense(_, width)
        | ListedLayer::Embedding(_, width)
        | ListedLayer::Lstm { hidden: width, .. }
        | ListedLayer::Attention { width, .. }
        | ListedLayer::Scale(width) => width,
    }
}

/// Whether a layer reads so many channels, in places or all in one row.
fn reads(layer: &ListedLayer, channels: u32) -> bool {
    match *layer {
        ListedLayer::Conv { from, .. }
        | ListedLayer::TransposedConv { from, .. }
        | ListedLayer::Depthwise { from, .. }
        | ListedLayer::Grouped { from, .. } => from.0 == channels,
        ListedLayer::ConvVolume { from, .. } | ListedLayer::TransposedConvVolume { from, .. } => {
            from.0 == channels
        }
        ListedLayer::Dense(inputs, _) => inputs.is_multiple_of(channels),
        ListedLayer::Lstm { inputs, .. } => inputs == channels,
        ListedLayer::Attention { width, .. } | ListedLayer::Scale(width) => width == channels,
        ListedLayer::Embedding(..) => false,
    }
}

fn shrunk(width: (u32, u32), depth: (u32, u32)) -> String {
    format!(
        "narrower and shallower: width {} → {}, layers {} → {}",
        width.0, width.1, depth.0, depth.1
    )
}
