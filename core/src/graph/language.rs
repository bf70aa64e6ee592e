//! What the model of served language models needs of a graph: its layers summed up by what reads them. Layers may differ;
//! nothing is averaged.

use super::node::Role;
use super::op::Op;
use super::parts::Attention;
use super::work::STATE_MACS;
use super::{Graph, Node};

/// A language model by what reads its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Language {
    /// Width of the residual stream.
    pub hidden: f64,
    /// Blocks.
    pub blocks: f64,
    /// All parameters.
    pub parameters: f64,
    /// Parameters of attention, dense feed-forward layers and shared experts.
    pub body: f64,
    /// Those of them of attention.
    pub of_attention: f64,
    /// Parameters of routers.
    pub router: f64,
    /// Parameters of the output layer.
    pub head: f64,
    /// Attention by layers that are alike.
    pub attention: Vec<AttentionLayers>,
    /// Numbers of 32 bits that layers with a state keep of a sequence, all together.
    pub state: f64,
    /// Experts by layers that are alike.
    pub experts: Vec<ExpertLayers>,
}

/// Attention of some layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionLayers {
    /// How many.
    pub layers: f64,
    /// What each of them does.
    pub each: Attention,
}

/// Experts of some layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertLayers {
    /// How many.
    pub layers: f64,
    /// Experts in each.
    pub count: f64,
    /// Experts that a token is sent to.
    pub active: f64,
    /// Parameters of one expert.
    pub parameters: f64,
    /// Inner width of one expert.
    pub width: f64,
}

impl ExpertLayers {
    /// Parameters of all experts of all these layers.
    pub fn all(&self) -> f64 {
        self.layers * self.count * self.parameters
    }
}

impl Graph {
    /// The graph as a language model; `None` for other networks.
    pub fn language(&self) -> Option<Language> {
        let mut language = Language {
            hidden: 0.0,
            blocks: f64::from(self.blocks),
            parameters: self.parameters() as f64,
            body: 0.0,
            of_attention: 0.0,
            router: 0.0,
            head: 0.0,
            attention: Vec::new(),
            state: 0.0,
            experts: Vec::new(),
        };
        for node in &self.nodes {
            language.add(node, self);
        }
        let mixes = !language.attention.is_empty() || language.state > 0.0;
        (mixes && language.hidden > 0.0).then_some(language)
    }
}

impl Language {
    fn add(&mut self, node: &Node, graph: &Graph) {
        let weights = super::work::weights(node, graph) as f64;
        let repeat = f64::from(node.repeat);
        match (&node.op, node.role) {
            (Op::Attention(attention), _) if attention.positions.is_none() => {
                self.attention.push(AttentionLayers {
                    layers: repeat,
                    each: *attention,
                });
            }
            (Op::State { numbers, .. }, _) => {
                self.state += repeat * f64::from(*numbers);
            }
            (_, Role::Attention) => {
                self.body += weights;
                self.of_attention += weights;
            }
            (_, Role::FeedForward | Role::SharedExperts) => self.body += weights,
            (_, Role::Router) => self.router += weights,
            (_, Role::Head) => self.head += weights,
            (Op::Norm { width, .. }, _) => self.hidden = f64::from(*width),
            (Op::Linear { inputs, .. }, Role::Experts) => {
                self.add_expert(node, weights, repeat, f64::from(*inputs));
            }
            _ => {}
        }
    }

    /// The matrices of an expert follow each other: up, with its gate in the same one or before it, and down.
    fn add_expert(&mut self, node: &Node, weights: f64, layers: f64, inputs: f64) {
        let Some(chosen) = node.experts else {
            return;
        };
        let (count, active) = (f64::from(chosen.count), f64::from(chosen.active));
        let parameters = weights / layers / count;
        let earlier = self.experts.last_mut().filter(|before| {
            before.width == 0.0
                && (before.layers, before.count, before.active) == (layers, count, active)
        });
        match earlier {
            Some(expert) => {
                expert.parameters += parameters;
                if node.name.contains("down") {
                    expert.width = inputs;
                }
            }
            None => self.experts.push(ExpertLayers {
                layers,
                count,
                active,
                parameters,
                width: 0.0,
            }),
        }
    }

    /// Layers with latent attention.
    pub fn latent_layers(&self) -> f64 {
        let latent = self.attention.iter().filter(|a| a.each.latent);
        latent.map(|a| a.layers).sum()
    }

    /// Layers with experts.
    pub fn expert_layers(&self) -> f64 {
        self.experts.iter().map(|experts| experts.layers).sum()
    }

    /// Parameters of all experts.
    pub fn in_experts(&self) -> f64 {
        self.experts.iter().map(ExpertLayers::all).sum()
    }

    /// Parameters of the experts that one token visits.
    pub fn in_chosen_experts(&self) -> f64 {
        let chosen = |e: &ExpertLayers| e.layers * e.parameters * e.active;
        self.experts.iter().map(chosen).sum()
    }

    /// Parameters that one token is multiplied with.
    pub fn active(&self) -> f64 {
        self.body + self.router + self.head + self.in_chosen_experts()
    }

    /// Numbers of 16 bits of the keys and values of one sequence that are read for every token, and of states that are read
    /// and written, at a context length, on all of `sharing` devices together. Devices beyond the number of key-value heads hold copies; a latent vector cannot be
    /// split at all.
    pub fn cached(&self, context: f64, sharing: f64) -> f64 {
        let cached = |a: &AttentionLayers| {
            let copies = if a.each.latent {
                sharing
            } else {
                (sharing / f64::from(a.each.kv_heads)).max(1.0)
            };
            a.layers * f64::from(a.each.cached) * a.seen(context) * copies
        };
        // States are read and written.
        self.attention.iter().map(cached).sum::<f64>() + 4.0 * self.state
    }

    /// Operations of attention for a token that is written at a context length.
    pub fn scores(&self, context: f64) -> f64 {
        let scores = |a: &AttentionLayers| {
            4.0 * a.layers * f64::from(a.each.heads) * f64::from(a.each.width) * a.seen(context)
        };
        self.attention.iter().map(scores).sum::<f64>() + 2.0 * STATE_MACS * self.state
    }

    /// Operations of attention for a token that is read, were it to look back over so many.
    fn reading_scores(&self, tokens: f64) -> f64 {
        let scores = |a: &AttentionLayers| {
            let widths = f64::from(a.each.heads) * f64::from(a.each.reading_widths);
            2.0 * a.layers * widths * a.seen(tokens)
        };
        self.attention.iter().map(scores).sum()
    }

    /// Operations of attention for a token of a prompt of so many: it looks back over half of them on average.
    pub fn prompt_scores(&self, tokens: f64) -> f64 {
        0.5 * self.reading_scores(tokens) + 2.0 * STATE_MACS * self.state
    }

    /// Operations to read a text of `tokens` tokens at once, all of whose outputs are used.
    pub fn forward_operations(&self, tokens: f64) -> f64 {
        let states = 2.0 * STATE_MACS * self.state;
        (2.0 * self.active() + self.reading_scores(tokens) + states) * tokens
    }

    /// Whether some layers look back over part of the context only.
    pub fn has_windows(&self) -> bool {
        self.attention.iter().any(|a| a.each.window.is_some())
    }
}

impl AttentionLayers {
    /// Positions that one of them looks back over.
    fn seen(&self, context: f64) -> f64 {
        match self.each.window {
            Some(window) => context.min(f64::from(window)),
            None => context,
        }
    }
}
