//! Names and shapes of the tensors that a graph needs.

use super::{Graph, Node, Op};

impl Graph {
    /// Names and shapes of all tensors in the order in which they run: `NODE.weight`, `NODE.bias` and, of batch
    /// normalisation, `NODE.running_mean` and `NODE.running_var`. Only of a network that can be run: nodes that stand for
    /// several layers have no tensors of their own.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        for node in self.nodes.iter().filter(|node| node.shares.is_none()) {
            let Some((weight, others)) = parts(node) else {
                continue;
            };
            let first = weight.first().copied().unwrap_or(1);
            all.push((format!("{}.weight", node.name), weight));
            let others = others.iter().map(|part| format!("{}.{part}", node.name));
            all.extend(others.map(|name| (name, vec![first])));
        }
        let factors = self.nodes.iter().find_map(|node| match node.op {
            Op::Rotary(rotary) if !rotary.factors.tables().is_empty() => Some(rotary),
            _ => None,
        });
        if let Some(rotary) = factors {
            let shape = vec![size(rotary.dims / 2)];
            let tables = rotary.factors.tables().iter();
            all.extend(tables.map(|table| ((*table).to_owned(), shape.clone())));
        }
        all
    }
}

/// Sizes are far below the limit of the type.
fn size(extent: u32) -> usize {
    usize::try_from(extent).unwrap_or(usize::MAX)
}

/// The shape of a node's weights and the names of its vectors, as long as the weights' first dimension.
fn parts(node: &Node) -> Option<(Vec<usize>, &'static [&'static str])> {
    const BIAS: &[&str] = &["bias"];
    let biased = |bias: bool| if bias { BIAS } else { &[] };
    Some(match &node.op {
        Op::Linear {
            inputs,
            outputs,
            bias,
        } => {
            let copies = node.experts.map_or(1, |chosen| size(chosen.count));
            (vec![copies * size(*outputs), size(*inputs)], biased(*bias))
        }
        Op::Gate { width } => (vec![size(*width)], &[]),
        Op::Conv(conv) => {
            let per_group = conv.from.0 / conv.groups.max(1);
            let shape = [conv.to.0, per_group, conv.kernel.0, conv.kernel.1];
            (shape.map(size).to_vec(), biased(conv.bias))
        }
        Op::Embedding { rows, width } | Op::Row { rows, width, .. } => {
            (vec![size(*rows), size(*width)], &[])
        }
        Op::Recurrent { cell, units } => {
            (vec![size(cell.gates() * units), size(*units)], biased(true))
        }
        Op::Norm {
            width, parameters, ..
        } if *parameters > 0 => (vec![size(*width)], biased(*parameters > 1)),
        Op::BatchNorm { channels, .. } => (
            vec![size(*channels)],
            &["bias", "running_mean", "running_var"],
        ),
        _ => return None,
    })
}
