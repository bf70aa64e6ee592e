//! The work of nodes: the only place that counts multiply-accumulates, numbers moved and cache.

use super::op::Op;
use super::parts::{Attention, Conv, Sized};
use super::{Extent, Graph, Node};
use crate::profile::{Execution, Kept, Layer, LayerKind};

/// Gates of a long short-term memory: input, forget, output and the new content.
const GATES: u32 = 4;

/// One operation, before repetition.
struct Counted {
    kind: LayerKind,
    /// Of the weight tensor, which repetition and experts multiply; 0: there is none.
    rows: f64,
    /// The other dimensions of the weight tensor.
    row: Vec<usize>,
    other_parameters: u64,
    compressible: bool,
    macs: f64,
    inputs: f64,
    outputs: f64,
    cache: f64,
}

impl Counted {
    /// Shape of the weight tensor of a node, all repetitions and experts below each other; empty where there is none.
    fn shape(&self, node: &Node) -> Vec<usize> {
        if self.rows <= 0.0 {
            return Vec::new();
        }
        let copies = node.experts.map_or(1, |chosen| chosen.count.max(1));
        let rows = whole(f64::from(node.repeat) * f64::from(copies) * self.rows);
        let mut shape = vec![rows];
        shape.extend(&self.row);
        shape
    }
}

/// What a node asks of a machine, per unit of work.
pub(super) fn layer(node: &Node, graph: &Graph) -> Layer {
    let one = count(&node.op, graph);
    let repeat = f64::from(node.repeat);
    let (active, all) = node
        .experts
        .map_or((1, 1), |chosen| (chosen.active, chosen.count.max(1)));
    let used = f64::from(active) / f64::from(all);
    let all = f64::from(all);
    Layer {
        name: node.name.clone(),
        kind: one.kind,
        shape: one.shape(node),
        other_parameters: one.other_parameters * u64::from(node.repeat),
        compressible: one.compressible,
        macs: repeat * one.macs * all * used,
        inputs: repeat * one.inputs,
        outputs: repeat * one.outputs * all * used,
        cache: repeat * one.cache,
        execution: Execution {
            layers: node.repeat.saturating_mul(node.kernels),
            passes: node.passes,
            experts: node.experts.map(|chosen| (chosen.active, chosen.count)),
            window: match node.op {
                Op::Attention(attention) => attention.window,
                _ => None,
            },
            kept: match node.op {
                Op::Attention(attention) if attention.earlier => Kept::Earlier,
                Op::Attention(attention) if attention.picked => Kept::Picked,
                Op::State { .. } | Op::Recurrent { .. } => Kept::State,
                _ => Kept::Read,
            },
            added: node.added,
        },
    }
}

/// Parameters of a node in its weight tensor, all repetitions and experts.
pub(super) fn weights(node: &Node, graph: &Graph) -> u64 {
    let one = count(&node.op, graph);
    let shape = one.shape(node);
    let all = shape.iter().map(|&n| n as u64);
    all.fold(u64::from(one.rows > 0.0), u64::saturating_mul)
}

/// Parameters of a node, all repetitions and experts.
pub(super) fn parameters(node: &Node, graph: &Graph) -> u64 {
    let others = count(&node.op, graph).other_parameters;
    weights(node, graph).saturating_add(others.saturating_mul(u64::from(node.repeat)))
}

fn count(op: &Op, graph: &Graph) -> Counted {
    let positions = f64::from(graph.positions);
    match *op {
        Op::Linear {
            inputs,
            outputs,
            bias,
        } => Counted {
            other_parameters: if bias { u64::from(outputs) } else { 0 },
            ..product(f64::from(outputs), f64::from(inputs), positions)
        },
        Op::Conv(conv) => convolution(&conv),
        Op::Embedding { rows, width } | Op::Row { rows, width, .. } => Counted {
            kind: LayerKind::Embedding,
            rows: f64::from(rows),
            row: vec![usize_of(width)],
            other_parameters: 0,
            compressible: true,
            macs: 0.0,
            inputs: positions,
            outputs: f64::from(width) * positions,
            cache: 0.0,
        },
        Op::Norm {
            width, parameters, ..
        } => Counted {
            other_parameters: u64::from(width) * u64::from(parameters),
            macs: 2.0 * f64::from(width) * positions,
            inputs: f64::from(width) * positions,
            outputs: f64::from(width) * positions,
            ..folded(0)
        },
        Op::Gate { width } => Counted {
            other_parameters: u64::from(width),
            macs: f64::from(width) * positions,
            inputs: f64::from(width) * positions,
            ..folded(0)
        },
        Op::Folded { parameters } => folded(u64::from(parameters)),
        Op::BatchNorm { channels, .. } => folded(4 * u64::from(channels)),
        Op::Activation(_)
        | Op::Add
        | Op::Multiply
        | Op::Times { .. }
        | Op::Cap { .. }
        | Op::Slice { .. }
        | Op::Route { .. }
        | Op::Mix { .. }
        | Op::Rotary(_)
        | Op::MaxPool { .. }
        | Op::Upsample
        | Op::Unflatten { .. }
        | Op::Flatten
        | Op::Sample { .. }
        | Op::Mean => folded(0),
        Op::Scale { channels } => Counted {
            kind: LayerKind::Elementwise,
            rows: f64::from(channels),
            row: Vec::new(),
            other_parameters: u64::from(channels),
            compressible: false,
            macs: f64::from(channels),
            inputs: f64::from(channels),
            outputs: f64::from(channels),
            cache: 0.0,
        },
        Op::Attention(attention) => scores(&attention, graph.positions),
        Op::State {
            numbers,
            parameters,
        } => state(f64::from(numbers), u64::from(parameters), positions),
        Op::Lstm {
            inputs,
            units,
            steps,
        } => {
            let read = f64::from(inputs) + f64::from(units);
            let gates = f64::from(GATES) * f64::from(units);
            Counted {
                kind: LayerKind::Recurrent,
                other_parameters: u64::from(GATES) * u64::from(units),
                outputs: f64::from(units) * f64::from(steps),
                ..product(gates, read, f64::from(steps))
            }
        }
        Op::Sized(sized) => of_size(&sized, positions),
        Op::Recurrent { cell, units } => {
            let kept = f64::from(cell.kept()) * f64::from(units);
            let gates = f64::from(cell.gates()) * f64::from(units);
            Counted {
                kind: LayerKind::Recurrent,
                other_parameters: u64::from(cell.gates()) * u64::from(units),
                // What the gates are given; its own last output is part of what it keeps.
                inputs: gates * positions,
                outputs: f64::from(units) * positions,
                cache: state_cache(kept, positions),
                ..product(gates, f64::from(units), positions)
            }
        }
    }
}

/// A product with a matrix, for every position.
fn product(outputs: f64, inputs: f64, positions: f64) -> Counted {
    Counted {
        kind: LayerKind::Linear,
        rows: outputs,
        row: vec![whole(inputs)],
        other_parameters: 0,
        compressible: true,
        macs: outputs * inputs * positions,
        inputs: inputs * positions,
        outputs: outputs * positions,
        cache: 0.0,
    }
}

/// No work of its own.
fn folded(parameters: u64) -> Counted {
    Counted {
        kind: LayerKind::Elementwise,
        rows: 0.0,
        row: Vec::new(),
        other_parameters: parameters,
        compressible: false,
        macs: 0.0,
        inputs: 0.0,
        outputs: 0.0,
        cache: 0.0,
    }
}

fn convolution(conv: &Conv) -> Counted {
    let groups = conv.groups.max(1);
    let row = vec![
        usize_of(conv.from.0.div_ceil(groups)),
        usize_of(conv.kernel.0),
        usize_of(conv.kernel.1),
    ];
    let fan_in: usize = row.iter().product();
    let weights = f64::from(conv.to.0) * fan_in as f64;
    // Places of an image, each of which uses every weight.
    let places = |(_, rows, columns): Extent| f64::from(rows) * f64::from(columns);
    Counted {
        kind: LayerKind::Conv2d,
        rows: f64::from(conv.to.0),
        row,
        other_parameters: if conv.bias { u64::from(conv.to.0) } else { 0 },
        compressible: weights > 0.0,
        macs: weights * places(if conv.transposed { conv.from } else { conv.to }),
        inputs: f64::from(conv.from.0) * places(conv.from),
        outputs: f64::from(conv.to.0) * places(conv.to),
        cache: 0.0,
    }
}

/// The two products of attention with keys and values. Contexts of scenarios are counted at
/// [`Layer::REFERENCE_CONTEXT`].
fn scores(attention: &Attention, positions: u32) -> Counted {
    let (context, queries) = match attention.positions {
        Some(own) => (f64::from(own), f64::from(own)),
        None if positions > 1 => (f64::from(positions), f64::from(positions)),
        None => (Layer::REFERENCE_CONTEXT, 1.0),
    };
    let width = f64::from(attention.heads) * f64::from(attention.width);
    Counted {
        kind: LayerKind::Attention,
        rows: 0.0,
        row: Vec::new(),
        other_parameters: 0,
        compressible: false,
        macs: 2.0 * width * context * queries,
        inputs: 3.0 * width * queries,
        outputs: width * queries,
        cache: f64::from(attention.cached) * context,
    }
}

/// Numbers of the cache that a number of a state counts as: it has 32 bits, where those of keys and values have 16.
const STATE_NUMBERS: f64 = 2.0;
/// Multiply-accumulates per number of a state and position: it decays, takes in an outer product, and is read.
pub(super) const STATE_MACS: f64 = 3.0;

/// A state is read and written for every position; of a text that is read at once it stays on the chip.
fn state(numbers: f64, parameters: u64, positions: f64) -> Counted {
    Counted {
        kind: LayerKind::Attention,
        other_parameters: parameters,
        macs: STATE_MACS * numbers * positions,
        cache: state_cache(numbers, positions),
        ..folded(0)
    }
}

/// Numbers of the cache that a state counts as: it is read and written.
fn state_cache(numbers: f64, positions: f64) -> f64 {
    if positions > 1.0 {
        0.0
    } else {
        2.0 * STATE_NUMBERS * numbers
    }
}

fn of_size(sized: &Sized, positions: f64) -> Counted {
    let rows = sized.parameters / sized.width.max(1.0);
    let (inputs, outputs) = sized
        .moved
        .unwrap_or((sized.width * positions, rows.round() * positions));
    let weighted = sized.kind != LayerKind::Attention && sized.parameters > 0.0;
    Counted {
        kind: sized.kind,
        rows: if weighted { rows } else { 0.0 },
        row: vec![whole(sized.width)],
        other_parameters: 0,
        compressible: weighted,
        macs: sized.macs.unwrap_or(sized.parameters * positions),
        inputs,
        outputs,
        cache: 0.0,
    }
}

/// Extents are far below the limits of both types.
fn usize_of(extent: u32) -> usize {
    usize::try_from(extent).unwrap_or(usize::MAX)
}

/// Shapes are positive and far below the limit of the type.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(value: f64) -> usize {
    value.round().max(1.0) as usize
}
