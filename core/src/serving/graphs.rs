//! Graphs out of shapes: equal layers of all blocks stand together as one node.

mod beside;
mod denoisers;
mod lists;

pub(crate) use beside::CROSS;
use denoisers::denoiser;

use super::architecture::{
    Architecture, Blocks, Feed, Heads, KeysValues, LatentAttention, Mixer, Shape, Transformer,
};
use crate::graph::{Attention, Chosen, Graph, Node, Op, Role, Sized};
use crate::profile::{LayerKind, Unit};

/// Tokens of a text that an encoder reads: the sequence length of MLPerf Inference's BERT (Reddi et al. 2020).
const READ_TOKENS: u32 = 384;

/// Tokens of a text that an encoder with room for so many reads.
pub(crate) const fn read_tokens(room: u32) -> u32 {
    if room < READ_TOKENS {
        room
    } else {
        READ_TOKENS
    }
}

/// Name of the table of learned positions.
pub(crate) const POSITIONS: &str = "positions";

impl Architecture {
    /// What the network computes.
    pub fn graph(&self) -> Graph {
        match &self.shape {
            Shape::Transformer(transformer) => {
                let mut graph = transformer.graph();
                if let Some(bits) = self.formats.as_ref().and_then(|formats| formats.cache) {
                    graph.narrow_cache(bits);
                }
                graph
            }
            Shape::DiffusionTransformer(_) | Shape::UNet(_) => denoiser(&self.shape),
            Shape::Layers(list) => list.graph(),
            Shape::Listed(list) => list.graph.clone(),
        }
    }
}

impl Transformer {
    /// What it computes.
    pub fn graph(&self) -> Graph {
        let blocks = self.all_blocks();
        let count = |of: fn(&Blocks) -> bool| -> u32 {
            let of = blocks.iter().filter(|block| of(block));
            of.map(|block| block.layers).sum()
        };
        Graph {
            unit: match (self.encoder, self.beside.patches) {
                (false, _) => Unit::Token,
                (true, 0) => Unit::Sample,
                (true, _) => Unit::Image,
            },
            positions: match (self.encoder, self.beside.patches) {
                (false, _) => 1,
                (true, 0) => match self.positions {
                    0 => READ_TOKENS,
                    rows => read_tokens(rows),
                },
                (true, patches) => patches,
            },
            // Where attention and what follows it are blocks of their own, two of them make one.
            blocks: count(|block| !block.mixers.is_empty())
                .max(count(|block| block.feed != Feed::default())),
            nodes: self.nodes(&blocks),
            input: None,
        }
    }

    /// Blocks by how they are alike.
    pub(crate) fn all_blocks(&self) -> Vec<Blocks> {
        if !self.blocks.is_empty() {
            return self.blocks.clone();
        }
        let all = self.layers;
        let full = match self.window {
            None => all,
            Some(window) if window.full_every == 0 => 0,
            Some(window) => all / window.full_every,
        };
        let with = self.experts.map_or(0, |e| all - e.dense_layers.min(all));
        let mixer = |window| match self.latent {
            Some(_) => Mixer::Latent(window),
            None => Mixer::Attention(Heads {
                heads: self.heads,
                kv_heads: self.kv_heads,
                width: self.head_dim,
                value_width: self.head_dim,
                window,
                gated: false,
                keys: KeysValues::Own,
            }),
        };
        // Which layers have windows and which have experts is of no matter: both are counted by themselves.
        let mixers = [
            (full, mixer(None)),
            (all - full, mixer(self.window.map(|window| window.tokens))),
        ];
        let feeds = [
            (
                all - with,
                Feed {
                    dense: self.ffn,
                    experts: None,
                },
            ),
            (
                with,
                Feed {
                    dense: 0,
                    experts: self.experts,
                },
            ),
        ];
        let mixers = mixers.into_iter().map(|(layers, mixer)| Blocks {
            layers,
            mixers: vec![mixer],
            feed: Feed::default(),
            others: Vec::new(),
        });
        let feeds = feeds.into_iter().map(|(layers, feed)| Blocks {
            layers,
            mixers: Vec::new(),
            feed,
            others: Vec::new(),
        });
        mixers
            .chain(feeds)
            .filter(|blocks| blocks.layers > 0)
            .collect()
    }

    fn nodes(&self, blocks: &[Blocks]) -> Vec<Node> {
        let hidden = self.hidden;
        let table =
            |name: &str, role, rows, width| Node::new(name, role, Op::Embedding { rows, width });
        let mut nodes = Nodes::default();
        let words = self.beside.words;
        let width = words.map_or(hidden, |words| words.width);
        if self.vocabulary > 0 && (!self.tied || self.encoder) {
            nodes.push(table("embedding", Role::Embedding, self.vocabulary, width));
        }
        if let Some(words) = words {
            nodes.push(beside::words(words, hidden, false));
        }
        if self.positions > 0 {
            nodes.push(table(POSITIONS, Role::Positions, self.positions, hidden));
        }
        for (rows, width) in &self.tables {
            nodes.push(table("embedding.per_layer", Role::Embedding, *rows, *width));
        }
        if let Some(weights) = self.attention_weights {
            let op = Op::Sized(Sized {
                kind: LayerKind::Linear,
                parameters: f64::from(weights),
                width: f64::from(hidden),
                macs: None,
                moved: None,
            });
            let node = Node::new("attention.projections", Role::Attention, op);
            nodes.push(node.times(self.layers));
        }
        for block in blocks {
            for mixer in &block.mixers {
                self.mixer(mixer, block.layers, &mut nodes);
            }
        }
        for node in self.cross() {
            nodes.push(node);
        }
        for block in blocks {
            self.feed(&block.feed, block.layers, &mut nodes);
            for (outputs, inputs) in &block.others {
                let op = linear(*inputs, *outputs, false);
                nodes.push(Node::new("block.other", Role::FeedForward, op).times(block.layers));
            }
        }
        let norm = Op::Norm {
            width: hidden,
            parameters: if self.biases.norms { 2 } else { 1 },
            rule: None,
        };
        let each = if self.beside.source.is_some() { 3 } else { 2 };
        nodes.push(Node::new("norms", Role::Norm, norm).times(plus(times(each, self.layers), 1)));
        if self.vocabulary > 0 && !self.encoder {
            if let Some(words) = words {
                nodes.push(beside::words(words, hidden, true));
            }
            let op = linear(width, self.vocabulary, false);
            nodes.push(Node::new("lm_head", Role::Head, op));
        }
        for part in &self.beside.parts {
            for node in beside::part(part) {
                nodes.push(node);
            }
        }
        nodes.0
    }

    fn feed(&self, feed: &Feed, layers: u32, nodes: &mut Nodes) {
        let hidden = self.hidden;
        let inner = if self.gated { 2 } else { 1 };
        if feed.dense > 0 {
            let bias = self.biases.others;
            let both = [
                ("mlp.up", linear(hidden, times(inner, feed.dense), bias)),
                ("mlp.down", linear(feed.dense, hidden, bias)),
            ];
            for (name, op) in both {
                nodes.push(Node::new(name, Role::FeedForward, op).times(layers));
            }
        }
        let Some(experts) = feed.experts else {
            return;
        };
        let chosen = Some(Chosen {
            active: experts.active,
            count: experts.count,
        });
        let router = linear(hidden, experts.count, false);
        nodes.push(Node::new("router", Role::Router, router).times(layers));
        let width = match experts.width {
            0 => hidden,
            width => width,
        };
        if width != hidden {
            for (name, op) in [
                ("experts.in", linear(hidden, width, false)),
                ("experts.out", linear(width, hidden, false)),
            ] {
                nodes.push(Node::new(name, Role::SharedExperts, op).times(layers));
            }
        }
        let both = [
            (
                "experts.up",
                linear(width, times(inner, experts.ffn), false),
            ),
            ("experts.down", linear(experts.ffn, width, false)),
        ];
        for (name, op) in both {
            nodes.push(Node {
                experts: chosen,
                ..Node::new(name, Role::Experts, op).times(layers)
            });
        }
        if experts.shared_ffn > 0 {
            let shared = experts.shared_ffn;
            let both = [
                (
                    "shared_experts.up",
                    linear(hidden, times(inner, shared), false),
                ),
                ("shared_experts.down", linear(shared, hidden, false)),
            ];
            for (name, op) in both {
                nodes.push(Node::new(name, Role::SharedExperts, op).times(layers));
            }
        }
    }

    /// The matrices around what mixes positions, and that itself.
    fn mixer(&self, mixer: &Mixer, layers: u32, nodes: &mut Nodes) {
        let mut push =
            |name: &str, op| nodes.push(Node::new(name, Role::Attention, op).times(layers));
        let hidden = self.hidden;
        let counted = self.attention_weights.is_some();
        match mixer {
            Mixer::Attention(heads) => {
                if !counted {
                    let biases = self.biases;
                    let twice = if heads.gated { 2 } else { 1 };
                    let queries = times(times(heads.heads, heads.width), twice);
                    let keys = match heads.keys {
                        KeysValues::Own => {
                            times(heads.kv_heads, plus(heads.width, heads.value_width))
                        }
                        KeysValues::OneProjection => times(heads.kv_heads, heads.width),
                        KeysValues::Earlier => 0,
                    };
                    let qkv = linear(hidden, plus(queries, keys), biases.queries_keys_values);
                    push("attention.qkv", qkv);
                    let out = linear(times(heads.heads, heads.value_width), hidden, biases.others);
                    push("attention.output", out);
                }
                let widths = plus(heads.width, heads.value_width);
                let kept = times(heads.kv_heads, widths);
                let attention = Attention {
                    heads: heads.heads,
                    kv_heads: heads.kv_heads,
                    width: widths.div_ceil(2),
                    reading_widths: widths,
                    // A text that is read at once keeps nothing.
                    cached: if self.encoder { 0 } else { kept },
                    earlier: heads.keys == KeysValues::Earlier,
                    window: heads.window,
                    picked: false,
                    positions: None,
                    latent: false,
                    scores: None,
                };
                push(name_of(heads.window), Op::Attention(attention));
            }
            Mixer::Latent(_) | Mixer::Picked(_) => {
                let window = match mixer {
                    Mixer::Picked(tokens) => Some(*tokens),
                    Mixer::Latent(window) => *window,
                    _ => None,
                };
                let Some(latent) = self.latent else {
                    return;
                };
                let LatentAttention {
                    query,
                    key_value,
                    rotary,
                    plain,
                    value,
                } = latent;
                let queries = times(self.heads, plus(plain, rotary));
                match query {
                    0 => push("attention.query", linear(hidden, queries, false)),
                    rank => {
                        push("attention.query_down", linear(hidden, rank, false));
                        push("attention.query_up", linear(rank, queries, false));
                    }
                }
                let up = times(self.heads, plus(plain, value));
                push(
                    "attention.key_value_down",
                    linear(hidden, plus(key_value, rotary), false),
                );
                push("attention.key_value_up", linear(key_value, up, false));
                push(
                    "attention.output",
                    linear(times(self.heads, value), hidden, false),
                );
                let attention = Attention {
                    heads: self.heads,
                    kv_heads: 1,
                    width: plus(key_value, rotary),
                    reading_widths: plus(plus(plain, rotary), value),
                    cached: plus(key_value, rotary),
                    earlier: false,
                    window,
                    picked: matches!(mixer, Mixer::Picked(_)),
                    positions: None,
                    latent: true,
                    scores: None,
                };
                push(name_of(window), Op::Attention(attention));
            }
            Mixer::Compressed(compressed) => {
                for (name, op) in compressed.operations(hidden) {
                    push(name, op);
                }
            }
            Mixer::State(state) => {
                for (outputs, inputs) in &state.projections {
                    push("state.projection", linear(*inputs, *outputs, false));
                }
                let op = Op::State {
                    numbers: state.numbers,
                    parameters: state.others,
                };
                push("state", op);
            }
        }
    }
}

/// The name of attention over everything or part of it.
const fn name_of(window: Option<u32>) -> &'static str {
    match window {
        None => "attention",
        Some(_) => "attention.windowed",
    }
}

/// Products and sums of sizes out of files: what is too much for the type is too many parameters, and is refused for that.
pub(super) const fn times(a: u32, b: u32) -> u32 {
    a.saturating_mul(b)
}

pub(super) const fn plus(a: u32, b: u32) -> u32 {
    a.saturating_add(b)
}

pub(super) const fn linear(inputs: u32, outputs: u32, bias: bool) -> Op {
    Op::Linear {
        inputs,
        outputs,
        bias,
    }
}

/// Nodes of which equal ones stand together, each with a name of its own.
#[derive(Default)]
struct Nodes(Vec<Node>);

impl Nodes {
    fn push(&mut self, mut node: Node) {
        let same = |other: &&mut Node| {
            other.op == node.op
                && other.experts == node.experts
                && other.role == node.role
                && without_number(&other.name) == node.name
        };
        if let Some(other) = self.0.iter_mut().find(same) {
            other.repeat = plus(other.repeat, node.repeat);
            return;
        }
        let named = self
            .0
            .iter()
            .filter(|other| without_number(&other.name) == node.name);
        let count = named.count();
        if count > 0 {
            node.name = format!("{}{NUMBERED}{}", node.name, count + 1);
        }
        self.0.push(node);
    }
}

/// Before the number of a node whose name another one has.
const NUMBERED: char = '#';

fn without_number(name: &str) -> &str {
    name.split_once(NUMBERED).map_or(name, |(name, _)| name)
}
