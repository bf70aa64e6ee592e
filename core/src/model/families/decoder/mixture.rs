//! The nodes of a mixture of experts.

use super::form::Mixture;
use super::{DecoderConfig, linear, size};
use crate::graph::{Chosen, Graph, Node, Op, Role, Value};

impl DecoderConfig {
    /// What experts give, in place of the feed-forward layer of a block.
    pub(super) fn mixed(
        &self,
        graph: &mut Graph,
        i: usize,
        mixture: &Mixture,
        from: Value,
    ) -> Value {
        let own = |name: &str| format!("blk.{i}.{name}");
        let d = self.width;
        let (count, active) = (size(mixture.count), size(mixture.active));
        let router = linear(own("ffn_gate_inp"), Role::Router, mixture.count, d, false);
        let router = graph.push(router, &[from]);
        let route = Op::Route {
            count,
            active,
            normalised: mixture.normalised,
        };
        let route = graph.push(Node::new(own("ffn_route"), Role::Other, route), &[router]);
        let project = |name: &str, outputs: usize, inputs: usize| Node {
            experts: Some(Chosen { active, count }),
            ..linear(own(name), Role::Experts, outputs, inputs, false)
        };
        let function = |name: &str| {
            let op = Op::Activation(self.form.function.into());
            Node::new(own(name), Role::Other, op)
        };
        let multiply = |name: &str| Node::new(own(name), Role::Other, Op::Multiply);
        let hidden = mixture.width;
        let gate = graph.push(project("ffn_gate_exps", hidden, d), &[from, route]);
        let gate = graph.push(function("ffn_function"), &[gate]);
        let up = graph.push(project("ffn_up_exps", hidden, d), &[from, route]);
        let inner = graph.push(multiply("ffn_gated"), &[gate, up]);
        let down = graph.push(project("ffn_down_exps", d, hidden), &[inner, route]);
        let mix = Op::Mix {
            active,
            width: size(d),
        };
        let mix = graph.push(Node::new(own("ffn_mix"), Role::Other, mix), &[down, route]);
        if mixture.shared == 0 {
            return mix;
        }
        let project = |name: &str, outputs: usize, inputs: usize| {
            linear(own(name), Role::SharedExperts, outputs, inputs, false)
        };
        let hidden = mixture.shared;
        let gate = graph.push(project("ffn_gate_shexp", hidden, d), &[from]);
        let gate = graph.push(function("ffn_shared_function"), &[gate]);
        let up = graph.push(project("ffn_up_shexp", hidden, d), &[from]);
        let inner = graph.push(multiply("ffn_shared_gated"), &[gate, up]);
        let mut shared = graph.push(project("ffn_down_shexp", d, hidden), &[inner]);
        if mixture.shared_gate {
            let gate = Op::Gate { width: size(d) };
            let gate = Node::new(own("ffn_gate_inp_shexp"), Role::SharedExperts, gate);
            shared = graph.push(gate, &[shared, from]);
        }
        let sum = Node::new(own("ffn_experts_sum"), Role::Other, Op::Add);
        graph.push(sum, &[mix, shared])
    }
}
