//! The nodes of a block.

use super::form::{Feed, NormRule, Norms};
use super::{DecoderConfig, linear, size};
use crate::graph::{Attention, Factors, Graph, Node, Op, Role, Rotary, Rule, Scores, Value};

impl DecoderConfig {
    pub(super) fn norm(&self, name: String, width: usize) -> Node {
        let epsilon = self.epsilon.0;
        let (parameters, rule) = match self.form.norm {
            NormRule::RootMeanSquare => (1, Rule::RootMeanSquare { epsilon }),
            NormRule::Layer => (2, Rule::Layer { epsilon }),
            NormRule::LayerScaled => (1, Rule::Layer { epsilon }),
            NormRule::LayerBare => (0, Rule::Layer { epsilon }),
        };
        let op = Op::Norm {
            width: size(width),
            parameters,
            rule: Some(rule),
        };
        Node::new(name, Role::Norm, op)
    }

    /// Whether a block looks back over the window only.
    pub(super) fn is_local(&self, i: usize) -> bool {
        self.window.is_some() && self.form.local.get(i).copied().unwrap_or(true)
    }

    fn attention(&self, i: usize) -> Attention {
        let scale = self.form.scales.scores;
        Attention {
            heads: size(self.heads),
            kv_heads: size(self.kv_heads),
            width: size(self.head_width),
            reading_widths: 2 * size(self.head_width),
            cached: 2 * size(self.kv_heads * self.head_width),
            earlier: false,
            window: self.window.filter(|_| self.is_local(i)).map(size),
            picked: false,
            positions: None,
            latent: false,
            scores: Some(Scores {
                scale: scale.map_or(1.0 / (self.head_width as f32).sqrt(), |scale| scale.0),
                causal: true,
                cap: self.form.score_cap.map(|cap| cap.0),
                alibi: self.form.alibi.map(Into::into),
            }),
        }
    }

    fn rotary(&self, i: usize) -> Rotary {
        let form = &self.form;
        // Blocks that differ in what they look back over turn by their own angles.
        let local = self.is_local(i) && !form.local.is_empty();
        let or = |number: Option<super::Number>, usual: f32| number.map_or(usual, |n| n.0);
        Rotary {
            width: size(self.head_width),
            dims: size(self.rotary),
            base: match form.local_base {
                Some(base) if local => base.0,
                _ => self.base.0,
            },
            interleaved: self.interleaved,
            factors: match (self.factors, form.short_factors) {
                (_, true) => Factors::Short,
                (true, false) => Factors::One,
                (false, false) => Factors::None,
            },
            divisor: if local { 1.0 } else { or(form.divisor, 1.0) },
            magnitude: or(form.magnitude, 1.0),
        }
    }

    /// Whether a block turns its queries and keys.
    fn turns(&self, i: usize) -> bool {
        let every = self.form.unturned_every;
        let unturned = every > 0 && (i + 1).is_multiple_of(every);
        !self.form.learnt_positions && self.form.alibi.is_none() && !unturned
    }

    /// Queries, keys and values of a block, as its attention reads them: all in one, or each by itself, perhaps normalised
    /// and turned.
    fn read(&self, graph: &mut Graph, i: usize, from: Value) -> Vec<Value> {
        let own = |name: &str| format!("blk.{i}.{name}");
        let on_the_way = |name: String, op| Node::new(name, Role::Other, op);
        let parts = [
            ("attn_q", self.heads),
            ("attn_k", self.kv_heads),
            ("attn_v", self.kv_heads),
        ]
        .map(|(name, heads)| (own(name), heads * self.head_width));
        let project = |name: &str, outputs: usize| {
            let role = Role::Attention;
            linear(name.to_owned(), role, outputs, self.width, self.biases)
        };
        let all = self.form.fused.then(|| {
            let outputs = parts.iter().map(|(_, width)| width).sum();
            graph.push(project(&own("attn_qkv"), outputs), &[from])
        });
        if let Some(all) = all
            && !self.turns(i)
            && !self.head_norms
        {
            return vec![all];
        }
        let (mut at, mut read) = (0, Vec::with_capacity(3));
        for (place, (name, width)) in parts.iter().enumerate() {
            let mut x = match all {
                Some(all) => {
                    let slice = Op::Slice {
                        at: size(at),
                        width: size(*width),
                    };
                    graph.push(on_the_way(name.clone(), slice), &[all])
                }
                None => graph.push(project(name, *width), &[from]),
            };
            at += width;
            let seeks = place < 2;
            if seeks && self.head_norms {
                let together = match self.form.whole_norms {
                    true => *width,
                    false => self.head_width,
                };
                x = graph.push(self.norm(format!("{name}_norm"), together), &[x]);
            }
            if seeks && self.turns(i) {
                let rotary = Op::Rotary(self.rotary(i));
                x = graph.push(on_the_way(format!("{name}.rotary"), rotary), &[x]);
            }
            read.push(x);
        }
        read
    }

    /// The feed-forward layer of a block.
    fn feed(&self, graph: &mut Graph, i: usize, from: Value) -> Value {
        if let Some(mixture) = &self.form.mixture {
            return self.mixed(graph, i, mixture, from);
        }
        let own = |name: &str| format!("blk.{i}.{name}");
        let (d, hidden, bias) = (self.width, self.hidden, self.form.feed_biases);
        let project = |name: &str, outputs: usize, inputs: usize| {
            linear(own(name), Role::FeedForward, outputs, inputs, bias)
        };
        let on_the_way = |name: &str, op| Node::new(own(name), Role::Other, op);
        let function = on_the_way("ffn_function", Op::Activation(self.form.function.into()));
        let half = |at: usize| Op::Slice {
            at: size(at),
            width: size(hidden),
        };
        let inner = match self.form.feed {
            Feed::Gated => {
                let gate = graph.push(project("ffn_gate", hidden, d), &[from]);
                let gate = graph.push(function, &[gate]);
                let up = graph.push(project("ffn_up", hidden, d), &[from]);
                graph.push(on_the_way("ffn_gated", Op::Multiply), &[gate, up])
            }
            Feed::GatedInOne => {
                let both = graph.push(project("ffn_up", 2 * hidden, d), &[from]);
                let gate = graph.push(on_the_way("ffn_up.gate", half(0)), &[both]);
                let gate = graph.push(function, &[gate]);
                let up = graph.push(on_the_way("ffn_up.up", half(hidden)), &[both]);
                graph.push(on_the_way("ffn_gated", Op::Multiply), &[gate, up])
            }
            Feed::Plain => {
                let up = graph.push(project("ffn_up", hidden, d), &[from]);
                graph.push(function, &[up])
            }
        };
        graph.push(project("ffn_down", d, hidden), &[inner])
    }

    pub(super) fn block(&self, graph: &mut Graph, i: usize, x: Value) -> Value {
        let form = &self.form;
        let own = |name: &str| format!("blk.{i}.{name}");
        let d = self.width;
        let normed =
            |graph: &mut Graph, name: &str, x: Value| graph.push(self.norm(own(name), d), &[x]);
        let given = |graph: &mut Graph, part: (&str, &str), mut y: Value| {
            if matches!(form.norms, Norms::Around | Norms::After) {
                y = normed(graph, part.0, y);
            }
            if let Some(scale) = form.scales.residual {
                let op = Op::Times { factor: scale.0 };
                y = graph.push(Node::new(own(part.1), Role::Other, op), &[y]);
            }
            y
        };
        let sum = |graph: &mut Graph, name: &str, both: [Value; 2]| {
            graph.push(Node::new(own(name), Role::Other, Op::Add), &both)
        };

        let read = match form.norms {
            Norms::After => x,
            Norms::Before | Norms::Around | Norms::Once => normed(graph, "attn_norm", x),
            Norms::Twice => normed(graph, "attn_norm_2", x),
        };
        let read_by_heads = self.read(graph, i, read);
        let attention = Op::Attention(self.attention(i));
        let attend = Node::new(own("attn"), Role::Attention, attention);
        let mixed = graph.push(attend, &read_by_heads);
        let queries = self.heads * self.head_width;
        let bias = form.output_bias;
        let output = linear(own("attn_output"), Role::Attention, d, queries, bias);
        let mixed = graph.push(output, &[mixed]);
        let mixed = given(graph, ("post_attention_norm", "attn_scaled"), mixed);

        let middle = match form.parallel {
            true => x,
            false => sum(graph, "attn_sum", [x, mixed]),
        };
        let read = match form.norms {
            Norms::Before | Norms::Around => normed(graph, "ffn_norm", middle),
            Norms::After => middle,
            Norms::Once => read,
            Norms::Twice => normed(graph, "attn_norm", x),
        };
        let fed = self.feed(graph, i, read);
        let fed = given(graph, ("post_ffw_norm", "ffn_scaled"), fed);
        let out = sum(graph, "ffn_sum", [middle, fed]);
        match form.parallel {
            true => sum(graph, "attn_sum", [out, mixed]),
            false => out,
        }
    }
}
