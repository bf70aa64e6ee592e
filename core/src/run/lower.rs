//! From a graph and weights to a [`Program`]: what a kernel can do on the way is fused into it, results get buffers, and
//! buffers that nobody reads any more are used again.

mod kernels;
mod shapes;

use std::ops::Range;

use self::kernels::turning;
use self::shapes::{Known, Shape, place, refuse, results, size};
use super::factor::Table;
use super::packed::PackedMatrix;
use super::program::{Layout, Place, Plane, Program};
use super::steps::{Map, Pool, Step};
use super::weights::{MatrixRows, Weights};
use crate::error::{Error, Result};
use crate::graph::{Activation, Graph, Input, Node, Op, Role, Rotary};
use crate::weights::BlockTensor;

/// How numbers are held while a network runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    /// Bits that what enters matrices is rounded to.
    pub(super) activations: u8,
    /// How matrices are held.
    pub(super) held: Held,
}

/// How matrices are held while a network runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held {
    /// In single precision, laid out for the engine's kernel.
    Single,
    /// In half precision.
    Half,
    /// In the block format nearest to so many bits.
    Blocks(u8),
}

/// Bounds that change nothing.
const UNBOUNDED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

struct Lowering<'a> {
    graph: &'a Graph,
    weights: &'a dyn Weights,
    widths: Widths,
    /// All tokens that it will be given, where they are known.
    tokens: Option<&'a [u32]>,
    /// By node; the last is the network's input.
    results: Vec<Known>,
    layouts: Vec<Layout>,
    /// Buffers that are read no more.
    free: Vec<usize>,
    steps: Vec<Step>,
    last: usize,
    attentions: usize,
    /// Results from this node on are those of rows that do not depend on each other any more.
    tail: usize,
}

/// Makes a network ready to run. What enters matrices is rounded to `activation_bits`.
///
/// # Errors
/// The network is only known by what it costs, a tensor is missing or of another size, or a part cannot be run.
pub(super) fn lower(graph: &Graph, weights: &dyn Weights, widths: Widths) -> Result<Program> {
    segment(graph, weights, widths, 0..graph.nodes.len(), None)
}

/// Makes some nodes of a network ready to run, of which only the first reads what came before, and only the result of the
/// one before them: see [`Graph::segments`]. Their program is given that result, row by row, in the place of the network's
/// input. Where all tokens that it will be given are known, tables keep the rows of these only.
///
/// # Errors
/// As [`lower`].
pub(super) fn segment(
    graph: &Graph,
    weights: &dyn Weights,
    widths: Widths,
    nodes: Range<usize>,
    tokens: Option<&[u32]>,
) -> Result<Program> {
    let Some(input) = graph.input else {
        return Err(Error::Compute(
            "only the cost of this network is known, not how it is put together".to_owned(),
        ));
    };
    let mut lowering = Lowering {
        graph,
        weights,
        widths,
        tokens,
        results: results(graph, input)?,
        layouts: Vec::new(),
        free: Vec::new(),
        steps: Vec::new(),
        last: 0,
        attentions: 0,
        tail: graph
            .nodes
            .iter()
            .rposition(|node| node.op.looks_back())
            .map_or(usize::MAX, |last| last + 1),
    };
    let image = match input {
        Input::Image(_) | Input::Noise { .. } if nodes.start == 0 => {
            Some(lowering.give(graph.nodes.len()))
        }
        _ => None,
    };
    let given = nodes.start.checked_sub(1);
    let given = given.map(|before| lowering.give(before));
    let image = match input {
        Input::Tokens { .. } => None,
        // What a part is given lies where the network's input would.
        _ => image.or(given),
    };
    for (i, node) in graph.nodes[nodes.clone()].iter().enumerate() {
        let i = nodes.start + i;
        if !lowering.results[i].done {
            lowering.node(i, node)?;
        }
    }
    let output = nodes.end.checked_sub(1);
    let output = output.and_then(|last| lowering.results[last].buffer);
    let last = if nodes.end <= lowering.tail && nodes.end < graph.nodes.len() {
        // Rows of later nodes depend on each other: none is left out.
        lowering.steps.len()
    } else {
        lowering.last
    };
    Ok(Program {
        input,
        image,
        given,
        layouts: lowering.layouts,
        steps: lowering.steps,
        last,
        attentions: lowering.attentions,
        output: output.ok_or_else(|| Error::Compute("the network has no nodes".to_owned()))?,
    })
}

impl<'a> Lowering<'a> {
    /// The weights of a node, so many numbers.
    fn matrix(&self, node: &Node, len: usize) -> Result<Box<dyn MatrixRows + 'a>> {
        let owner = node.shares.as_ref().unwrap_or(&node.name);
        let name = format!("{owner}.weight");
        let weights = self.weights;
        let matrix = weights.matrix(&name)?;
        if matrix.len() == len {
            return Ok(matrix);
        }
        Err(Error::Compute(format!(
            "tensor '{name}' has {} numbers, expected {len}",
            matrix.len()
        )))
    }
}

impl Lowering<'_> {
    /// The node that alone reads a result.
    fn only_reader(&self, result: usize) -> Option<usize> {
        match self.results[result].readers[..] {
            [reader] => Some(reader),
            _ => None,
        }
    }

    /// The place of a node's result that it reads.
    fn read(&self, node: &Node, at: usize) -> usize {
        place(self.graph, node.inputs[at])
    }

    /// Gives a result a buffer.
    fn give(&mut self, result: usize) -> usize {
        let known = &self.results[result];
        let layout = match known.shape {
            Shape::Image((channels, rows, columns)) => Layout::Plane(Plane {
                channels: size(channels),
                rows: size(rows),
                columns: size(columns),
                border: known.border,
            }),
            Shape::Row(width) => Layout::Rows {
                width: size(width),
                place: if result >= self.tail {
                    Place::Last
                } else {
                    Place::Read
                },
            },
        };
        let buffer = self.buffer(layout);
        self.results[result].buffer = Some(buffer);
        buffer
    }

    /// A buffer that lies like this.
    fn buffer(&mut self, layout: Layout) -> usize {
        let same = self
            .free
            .iter()
            .position(|&free| self.layouts[free] == layout);
        match same {
            Some(at) => self.free.swap_remove(at),
            None => {
                self.layouts.push(layout);
                self.layouts.len() - 1
            }
        }
    }

    /// The buffer of a result that was given one.
    fn buffer_of(&self, result: usize) -> Result<usize> {
        self.results[result]
            .buffer
            .ok_or_else(|| Error::Compute("a node reads what is no tensor".to_owned()))
    }

    /// Notes that a node has read a result; its buffers are free after the last.
    fn release(&mut self, result: usize) {
        let known = &mut self.results[result];
        known.left -= 1;
        if known.left == 0 {
            self.free.extend(known.rounded.take());
            self.free.extend(known.buffer.take());
        }
    }

    /// The buffer of a result as products read it: rounded.
    fn operand(&mut self, result: usize) -> Result<usize> {
        let buffer = self.buffer_of(result)?;
        if self.widths.activations >= 32 {
            return Ok(buffer);
        }
        let known = &self.results[result];
        if known.is_rounded {
            return Ok(buffer);
        }
        if let Some(rounded) = known.rounded {
            return Ok(rounded);
        }
        let only_products = known.readers.iter().all(|reader| {
            matches!(
                self.graph.nodes[*reader].op,
                Op::Linear { .. } | Op::Conv(_)
            )
        });
        let rounded = if only_products {
            self.results[result].is_rounded = true;
            buffer
        } else {
            let copy = self.buffer(self.layouts[buffer]);
            self.steps.push(Step::Copy(buffer, copy));
            self.results[result].rounded = Some(copy);
            copy
        };
        self.steps
            .push(Step::Quantize(rounded, self.widths.activations));
        Ok(rounded)
    }

    /// The result of a node that works in place: the buffer of its first input where nobody else reads that, else a copy.
    fn take_over(&mut self, i: usize, from: usize) -> Result<usize> {
        let buffer = self.buffer_of(from)?;
        if self.results[from].left == 1 {
            let rounded = self.results[from].rounded.take();
            self.free.extend(rounded);
            self.results[from].left = 0;
            self.results[from].buffer = None;
            self.results[i].buffer = Some(buffer);
            return Ok(buffer);
        }
        let copy = self.give(i);
        self.steps.push(Step::Copy(buffer, copy));
        self.release(from);
        Ok(copy)
    }

    /// The blocks that a node's weights are run from.
    fn coded(&self, node: &Node) -> Option<&BlockTensor> {
        if !matches!(self.widths.held, Held::Blocks(_)) {
            return None;
        }
        let owner = node.shares.as_ref().unwrap_or(&node.name);
        self.weights.blocks(&format!("{owner}.weight"))
    }

    fn numbers(&self, node: &Node, part: &str, len: usize) -> Result<Vec<f32>> {
        let owner = node.shares.as_ref().unwrap_or(&node.name);
        let name = format!("{owner}.{part}");
        let numbers = self.weights.numbers(&name)?;
        if numbers.len() == len {
            return Ok(numbers);
        }
        Err(Error::Compute(format!(
            "tensor '{name}' has {} numbers, expected {len}",
            numbers.len()
        )))
    }

    fn node(&mut self, i: usize, node: &Node) -> Result<()> {
        match &node.op {
            Op::Embedding { rows, width } => {
                let (rows, width) = (size(*rows), size(*width));
                let table = if let Some(coded) = self.coded(node) {
                    Table::Packed(PackedMatrix::of_blocks((rows, width), coded, 1, true)?)
                } else {
                    let matrix = self.matrix(node, rows * width)?;
                    match (self.tokens, node.role) {
                        (Some(tokens), Role::Embedding) => {
                            // Whoever looks up another's weights leaves it to that one to ask for all of them.
                            let all = node.shares.is_none();
                            Table::of_tokens((rows, width), matrix.as_ref(), tokens, all)?
                        }
                        _ => Table::new((rows, width), matrix.as_ref(), self.widths.held)?,
                    }
                };
                let out = self.give(i);
                self.steps.push(match node.role {
                    Role::Positions => Step::Positions(table, out),
                    _ => Step::Lookup(table, out),
                });
            }
            Op::Linear {
                inputs,
                outputs,
                bias,
            } => match node.experts {
                Some(chosen) => self.experts(i, node, (size(*outputs), size(*inputs)), chosen)?,
                None => self.linear(i, node, (size(*outputs), size(*inputs)), *bias)?,
            },
            Op::Route { .. } | Op::Mix { .. } | Op::Gate { .. } => self.routed(i, node)?,
            Op::Conv(conv) => self.convolution(i, node, conv)?,
            Op::BatchNorm { .. } => {
                let from = self.read(node, 0);
                let (scale, shift) = self.normalization(node)?;
                let (out, bounds) = self.bounded(i);
                let buffer = self.take_over(i, from)?;
                self.steps.push(Step::Map(
                    buffer,
                    Map::ScaleShift {
                        scale,
                        shift,
                        bounds,
                    },
                ));
                self.hand_on(i, out);
            }
            Op::Norm {
                width,
                rule,
                parameters,
            } => self.norm(i, node, (size(*width), *parameters), *rule)?,
            Op::Activation(activation) => {
                let buffer = self.take_over(i, self.read(node, 0))?;
                let map = match activation {
                    Activation::Gelu => Map::Gelu,
                    Activation::GeluExact => Map::GeluExact,
                    Activation::Silu => Map::Silu,
                    Activation::Sigmoid => Map::Sigmoid,
                    Activation::Relu => Map::Clamp(0.0, f32::INFINITY),
                    Activation::Relu6 => Map::Clamp(0.0, 6.0),
                };
                self.steps.push(Step::Map(buffer, map));
            }
            Op::Add | Op::Multiply => {
                let (mut one, mut other) = (self.read(node, 0), self.read(node, 1));
                // What only this node still reads can be changed.
                if self.results[one].left > 1 && self.results[other].left == 1 {
                    (one, other) = (other, one);
                }
                let with = self.buffer_of(other)?;
                let buffer = self.take_over(i, one)?;
                self.steps.push(match node.op {
                    Op::Add => Step::Add(buffer, with),
                    _ => Step::Multiply(buffer, with),
                });
                self.release(other);
            }
            Op::Times { factor } => {
                let buffer = self.take_over(i, self.read(node, 0))?;
                self.steps.push(Step::Map(buffer, Map::Times(*factor)));
            }
            Op::Cap { cap } => {
                let buffer = self.take_over(i, self.read(node, 0))?;
                self.steps.push(Step::Map(buffer, Map::Cap(*cap)));
            }
            Op::Slice { .. } | Op::Sample { .. } => {
                let at = match node.op {
                    Op::Slice { at, .. } => size(at),
                    // The means come first.
                    _ => 0,
                };
                let from = self.read(node, 0);
                let all = self.buffer_of(from)?;
                let out = self.give(i);
                self.steps.push(Step::Slice(all, at, out));
                self.release(from);
            }
            Op::Rotary(rotary) => {
                let buffer = self.take_over(i, self.read(node, 0))?;
                let factors = self.factors(node, rotary)?;
                self.steps
                    .push(Step::Rotate(turning(rotary, buffer, &factors)));
            }
            Op::MaxPool {
                size: window,
                stride,
                padding,
            } => {
                let from = self.read(node, 0);
                let pool = Pool {
                    input: self.buffer_of(from)?,
                    out: self.give(i),
                    size: size(*window),
                    stride: size(*stride),
                    padding: size(*padding),
                };
                self.steps.push(Step::MaxPool(pool));
                self.release(from);
            }
            Op::Mean => {
                let from = self.read(node, 0);
                let input = self.buffer_of(from)?;
                let out = self.give(i);
                self.steps.push(Step::Mean(input, out));
                self.release(from);
            }
            Op::Upsample | Op::Unflatten { .. } | Op::Flatten => {
                let from = self.read(node, 0);
                let input = self.buffer_of(from)?;
                let out = self.give(i);
                self.steps.push(match node.op {
                    Op::Upsample => Step::Upsample(input, out),
                    Op::Flatten => Step::Flatten(input, out),
                    _ => Step::Unflatten(input, out),
                });
                self.release(from);
            }
            Op::Attention(attention) => self.attention(i, node, attention)?,
            Op::Recurrent { cell, units } => self.recurrent(i, node, *cell, size(*units))?,
            Op::Row { rows, width, taken } => {
                self.row(i, node, (size(*rows), size(*width)), *taken)?;
            }
            _ => return refuse(node, "is of a kind that cannot be run"),
        }
        Ok(())
    }

    /// What the angles of pairs are divided by; empty where nothing does.
    fn factors(&self, node: &Node, rotary: &Rotary) -> Result<Vec<f32>> {
        let Some(table) = rotary.factors.tables().first() else {
            return Ok(Vec::new());
        };
        let factors = self.weights.numbers(table)?;
        if factors.len() != size(rotary.dims / 2) || factors.iter().any(|factor| *factor <= 0.0) {
            return refuse(node, "divides its angles by a table that does not fit it");
        }
        Ok(factors)
    }

    /// The node whose result a kernel that gives `from` can end with, and the bounds that this means: an activation that
    /// alone reads it and only holds numbers.
    fn bounded(&self, from: usize) -> (usize, (f32, f32)) {
        let Some(next) = self.only_reader(from) else {
            return (from, UNBOUNDED);
        };
        match self.graph.nodes[next].op {
            Op::Activation(Activation::Relu) => (next, (0.0, f32::INFINITY)),
            Op::Activation(Activation::Relu6) => (next, (0.0, 6.0)),
            _ => (from, UNBOUNDED),
        }
    }

    /// A buffer's result is that of a later node, whose work was done on the way.
    fn hand_on(&mut self, from: usize, to: usize) {
        if from != to {
            self.results[to].buffer = self.results[from].buffer.take();
            self.results[to].done = true;
            self.results[from].left = 0;
        }
    }
}
