//! Shapes of all results of a graph, and who reads them.

use crate::error::{Error, Result};
use crate::graph::{Extent, Graph, Input, Node, Op, Rotary, Value, Window};

/// A result's extent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Image(Extent),
    Row(u32),
}

/// What is known of a result.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) shape: Shape,
    /// The nodes that read it, once for each time.
    pub(super) readers: Vec<usize>,
    /// Of these, those that have not run yet.
    pub(super) left: usize,
    /// Zeros that convolutions want around it.
    pub(super) border: usize,
    pub(super) buffer: Option<usize>,
    /// The same rounded for products, where others read it too.
    pub(super) rounded: Option<usize>,
    /// Whether it was rounded itself.
    pub(super) is_rounded: bool,
    /// Whether the step of an earlier node gives it.
    pub(super) done: bool,
}

pub(super) fn refuse<T>(node: &Node, fact: &str) -> Result<T> {
    Err(Error::Compute(format!("'{}' {fact}", node.name)))
}

/// Sizes are far below the limit of both types.
pub(super) fn size(extent: u32) -> usize {
    usize::try_from(extent).unwrap_or(usize::MAX)
}

/// Shapes and readers of all results.
pub(super) fn results(graph: &Graph, input: Input) -> Result<Vec<Known>> {
    let known = |shape| Known {
        shape,
        readers: Vec::new(),
        left: 0,
        border: 0,
        buffer: None,
        rounded: None,
        is_rounded: false,
        done: false,
    };
    let given = match input {
        Input::Image(extent) => Shape::Image(extent),
        Input::Tokens { .. } => Shape::Row(1),
        Input::Noise { width } => Shape::Row(width),
    };
    let mut all: Vec<Known> = Vec::with_capacity(graph.nodes.len() + 1);
    for (i, node) in graph.nodes.iter().enumerate() {
        let mut read = Vec::with_capacity(node.inputs.len());
        for value in &node.inputs {
            match value {
                Value::Input => read.push(given),
                Value::Node(from) if *from < i => read.push(all[*from].shape),
                Value::Node(_) => return refuse(node, "reads what comes after it"),
            }
        }
        let shape = shape(node, &read)?;
        all.push(known(shape));
    }
    all.push(known(given));
    for (i, node) in graph.nodes.iter().enumerate() {
        for value in &node.inputs {
            all[place(graph, *value)].readers.push(i);
        }
    }
    // From the last on, so that what happens in place hands its wishes on.
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        let border = match &node.op {
            Op::Conv(conv) => conv.window.map_or(0, |window| size(window.padding)),
            op if in_place(op) => all[i].border,
            _ => 0,
        };
        for value in &node.inputs {
            let read = &mut all[place(graph, *value)];
            read.border = read.border.max(border);
        }
    }
    for known in &mut all {
        known.left = known.readers.len();
    }
    Ok(all)
}

/// Whether the result lies where the first input lay.
const fn in_place(op: &Op) -> bool {
    matches!(
        op,
        Op::BatchNorm { .. }
            | Op::Activation(_)
            | Op::Add
            | Op::Multiply
            | Op::Times { .. }
            | Op::Cap { .. }
            | Op::Gate { .. }
            | Op::Rotary(_)
    )
}

pub(super) fn place(graph: &Graph, value: Value) -> usize {
    match value {
        Value::Input => graph.nodes.len(),
        Value::Node(node) => node,
    }
}

/// Numbers of an image, where the type holds as many.
fn numbers((channels, rows, columns): Extent) -> Option<u32> {
    channels.checked_mul(rows)?.checked_mul(columns)
}

/// The shape of a node's result.
fn shape(node: &Node, read: &[Shape]) -> Result<Shape> {
    let routed = matches!((&node.op, read), (Op::Linear { .. }, [_, _]));
    if node.repeat != 1 || (node.experts.is_some() != routed) {
        return refuse(node, "stands for several layers, which cannot be run");
    }
    let fits = match (&node.op, read) {
        (
            Op::Linear {
                inputs, outputs, ..
            },
            [Shape::Row(width)],
        ) => (width == inputs).then_some(Shape::Row(*outputs)),
        (
            Op::Linear {
                inputs,
                outputs,
                bias: false,
            },
            [Shape::Row(width), Shape::Row(route)],
        ) => {
            let active = node.experts.map_or(0, |chosen| chosen.active);
            let reads = *width == *inputs || *width == active.saturating_mul(*inputs);
            (reads && *route == 2 * active).then_some(Shape::Row(active.saturating_mul(*outputs)))
        }
        (Op::Route { count, active, .. }, [Shape::Row(all)]) => {
            (count == all && active <= count && *active > 0).then_some(Shape::Row(2 * active))
        }
        (Op::Mix { active, width }, [Shape::Row(all), Shape::Row(route)]) => (*route == 2 * active
            && *all == active.saturating_mul(*width))
        .then_some(Shape::Row(*width)),
        (Op::Gate { width }, [Shape::Row(all), Shape::Row(by)]) => {
            (by == width).then_some(Shape::Row(*all))
        }
        (Op::Conv(conv), [Shape::Image(from)]) => {
            let Some(window) = conv.window else {
                return refuse(node, "does not say how its kernel moves");
            };
            let (rows, columns) = (
                window.places(from.1, conv.kernel.0),
                window.places(from.2, conv.kernel.1),
            );
            let to = (conv.to.0, rows, columns);
            (conv.from == *from && conv.to == to && rows > 0 && columns > 0)
                .then_some(Shape::Image(to))
        }
        (Op::Embedding { width, .. } | Op::Row { width, .. }, [Shape::Row(1)]) => {
            Some(Shape::Row(*width))
        }
        (Op::Norm { width, .. }, [Shape::Row(all)]) => {
            (*width > 0 && all.is_multiple_of(*width)).then_some(Shape::Row(*all))
        }
        (Op::Rotary(Rotary { width, .. }), [Shape::Row(all)]) => {
            (*width > 0 && all.is_multiple_of(*width)).then_some(Shape::Row(*all))
        }
        (Op::BatchNorm { channels, .. }, [Shape::Image(extent)]) => {
            (extent.0 == *channels).then_some(Shape::Image(*extent))
        }
        (Op::Activation(_) | Op::Times { .. } | Op::Cap { .. }, [shape]) => Some(*shape),
        (Op::Slice { at, width }, [Shape::Row(all)]) => {
            let end = at.checked_add(*width);
            end.is_some_and(|end| end <= *all && *width > 0)
                .then_some(Shape::Row(*width))
        }
        (Op::Add | Op::Multiply, [one, other]) => (one == other).then_some(*one),
        (
            Op::MaxPool {
                size,
                stride,
                padding,
            },
            [Shape::Image(from)],
        ) => {
            let window = Window {
                stride: *stride,
                padding: *padding,
            };
            let to = (window.places(from.1, *size), window.places(from.2, *size));
            (to.0 > 0 && to.1 > 0 && padding < size).then_some(Shape::Image((from.0, to.0, to.1)))
        }
        (Op::Mean, [Shape::Image(from)]) => Some(Shape::Row(from.0)),
        (Op::Upsample, [Shape::Image((channels, rows, columns))]) => {
            let twice = (rows.checked_mul(2), columns.checked_mul(2));
            let (Some(rows), Some(columns)) = twice else {
                return refuse(node, "makes an image too large");
            };
            Some(Shape::Image((*channels, rows, columns)))
        }
        (Op::Unflatten { to }, [Shape::Row(all)]) => {
            (numbers(*to) == Some(*all)).then_some(Shape::Image(*to))
        }
        (Op::Flatten, [Shape::Image(from)]) => numbers(*from).map(Shape::Row),
        (Op::Sample { width }, [Shape::Row(all)]) => {
            (width.checked_mul(2) == Some(*all)).then_some(Shape::Row(*width))
        }
        (Op::Attention(attention), read) => {
            let (queries, keys) = (
                attention.heads * attention.width,
                attention.kv_heads * attention.width,
            );
            let fits = match read {
                [Shape::Row(all)] => *all == queries + 2 * keys,
                [Shape::Row(q), Shape::Row(k), Shape::Row(v)] => {
                    (*q, *k, *v) == (queries, keys, keys)
                }
                _ => false,
            };
            let grouped =
                attention.kv_heads > 0 && attention.heads.is_multiple_of(attention.kv_heads);
            (fits && grouped).then_some(Shape::Row(queries))
        }
        (Op::Recurrent { cell, units }, [Shape::Row(given)]) => {
            (cell.gates().checked_mul(*units) == Some(*given)).then_some(Shape::Row(*units))
        }
        _ => return refuse(node, "is of a kind that cannot be run"),
    };
    match fits {
        Some(shape) => Ok(shape),
        None => refuse(node, &format!("does not fit what it reads: {read:?}")),
    }
}
