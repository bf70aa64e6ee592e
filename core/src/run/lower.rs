//! From a graph and weights to a [`Program`]: what a kernel can do on the way is fused into it, results get buffers, and
//! buffers that nobody reads any more are used again.

use super::attention::Heads;
use super::factor::{Factor, Table};
use super::program::{Layout, Place, Plane, Program};
use super::steps::{
    Attend, Convolution, Dense, Depthwise, Finished, Map, Norm, Pool, Rotate, Step,
};
use crate::error::{Error, Result};
use crate::graph::{
    Activation, Attention, Conv, Extent, Graph, Input, Node, Op, Role, Rotary, Rule, Value,
};

/// Where weights come from.
pub(crate) trait Weights {
    /// All numbers of a tensor, in the order of its shape.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    fn numbers(&self, name: &str) -> Result<Vec<f32>>;
}

/// How numbers are held while a network runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    /// Bits that what enters matrices is rounded to.
    pub(super) activations: u8,
    /// Bits of the block format that matrices are multiplied in; single precision where there are none.
    pub(super) packed: Option<u8>,
}

/// Bounds that change nothing.
const UNBOUNDED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// A result's extent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Image(Extent),
    Row(u32),
}

struct Lowering<'a> {
    graph: &'a Graph,
    weights: &'a dyn Weights,
    widths: Widths,
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

/// What is known of a result.
#[derive(Debug, Clone)]
struct Known {
    shape: Shape,
    /// The nodes that read it, once for each time.
    readers: Vec<usize>,
    /// Of these, those that have not run yet.
    left: usize,
    /// Zeros that convolutions want around it.
    border: usize,
    buffer: Option<usize>,
    /// The same rounded for products, where others read it too.
    rounded: Option<usize>,
    /// Whether it was rounded itself.
    is_rounded: bool,
    /// Whether the step of an earlier node gives it.
    done: bool,
}

/// Makes a network ready to run. What enters matrices is rounded to `activation_bits`.
///
/// # Errors
/// The network is only known by what it costs, a tensor is missing or of another size, or a part cannot be run.
pub(super) fn lower(graph: &Graph, weights: &dyn Weights, widths: Widths) -> Result<Program> {
    let Some(input) = graph.input else {
        return Err(Error::Compute(
            "only the cost of this network is known, not how it is put together".to_owned(),
        ));
    };
    let mut lowering = Lowering {
        graph,
        weights,
        widths,
        results: results(graph, input)?,
        layouts: Vec::new(),
        free: Vec::new(),
        steps: Vec::new(),
        last: 0,
        attentions: 0,
        tail: graph
            .nodes
            .iter()
            .rposition(|node| matches!(node.op, Op::Attention(_)))
            .map_or(usize::MAX, |last| last + 1),
    };
    let image = match input {
        Input::Image(_) => Some(lowering.give(graph.nodes.len())),
        Input::Tokens { .. } => None,
    };
    for (i, node) in graph.nodes.iter().enumerate() {
        if !lowering.results[i].done {
            lowering.node(i, node)?;
        }
    }
    let output = graph.nodes.len().checked_sub(1);
    let output = output.and_then(|last| lowering.results[last].buffer);
    Ok(Program {
        input,
        image,
        layouts: lowering.layouts,
        steps: lowering.steps,
        last: lowering.last,
        attentions: lowering.attentions,
        output: output.ok_or_else(|| Error::Compute("the network has no nodes".to_owned()))?,
    })
}

fn refuse<T>(node: &Node, fact: &str) -> Result<T> {
    Err(Error::Compute(format!("'{}' {fact}", node.name)))
}

/// Sizes are far below the limit of both types.
fn size(extent: u32) -> usize {
    usize::try_from(extent).unwrap_or(usize::MAX)
}

/// Shapes and readers of all results.
fn results(graph: &Graph, input: Input) -> Result<Vec<Known>> {
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
        Op::BatchNorm { .. } | Op::Activation(_) | Op::Add | Op::Multiply | Op::Rotary(_)
    )
}

fn place(graph: &Graph, value: Value) -> usize {
    match value {
        Value::Input => graph.nodes.len(),
        Value::Node(node) => node,
    }
}

/// The shape of a node's result.
fn shape(node: &Node, read: &[Shape]) -> Result<Shape> {
    if node.repeat != 1 || node.experts.is_some() {
        return refuse(node, "stands for several layers, which cannot be run");
    }
    let fits = match (&node.op, read) {
        (
            Op::Linear {
                inputs, outputs, ..
            },
            [Shape::Row(width)],
        ) => (width == inputs).then_some(Shape::Row(*outputs)),
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
        (Op::Embedding { width, .. }, [Shape::Row(1)]) => Some(Shape::Row(*width)),
        (Op::Norm { width, .. }, [Shape::Row(all)]) => {
            (*width > 0 && all.is_multiple_of(*width)).then_some(Shape::Row(*all))
        }
        (Op::Rotary(Rotary { width, .. }), [Shape::Row(all)]) => {
            (*width > 0 && all.is_multiple_of(*width)).then_some(Shape::Row(*all))
        }
        (Op::BatchNorm { channels, .. }, [Shape::Image(extent)]) => {
            (extent.0 == *channels).then_some(Shape::Image(*extent))
        }
        (Op::Activation(_), [shape]) => Some(*shape),
        (Op::Add | Op::Multiply, [one, other]) => (one == other).then_some(*one),
        (
            Op::MaxPool {
                size,
                stride,
                padding,
            },
            [Shape::Image(from)],
        ) => {
            let window = crate::graph::Window {
                stride: *stride,
                padding: *padding,
            };
            let to = (window.places(from.1, *size), window.places(from.2, *size));
            (to.0 > 0 && to.1 > 0 && padding < size).then_some(Shape::Image((from.0, to.0, to.1)))
        }
        (Op::Mean, [Shape::Image(from)]) => Some(Shape::Row(from.0)),
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
        _ => return refuse(node, "is of a kind that cannot be run"),
    };
    match fits {
        Some(shape) => Ok(shape),
        None => refuse(node, &format!("does not fit what it reads: {read:?}")),
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
                let numbers = self.numbers(node, "weight", rows * width)?;
                let table = Table::new((rows, width), numbers, self.widths.packed)?;
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
            } => self.linear(i, node, (size(*outputs), size(*inputs)), *bias)?,
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
            Op::Norm { width, rule, .. } => self.norm(i, node, size(*width), *rule)?,
            Op::Activation(activation) => {
                let buffer = self.take_over(i, self.read(node, 0))?;
                let map = match activation {
                    Activation::Gelu => Map::Gelu,
                    Activation::Silu => Map::Silu,
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
            Op::Attention(attention) => self.attention(i, node, attention)?,
            _ => return refuse(node, "is of a kind that cannot be run"),
        }
        Ok(())
    }

    /// What the angles of pairs are divided by; empty where nothing does.
    fn factors(&self, node: &Node, rotary: &Rotary) -> Result<Vec<f32>> {
        if !rotary.factors {
            return Ok(Vec::new());
        }
        let factors = self.weights.numbers(Rotary::FACTORS)?;
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

    fn linear(
        &mut self,
        i: usize,
        node: &Node,
        (outputs, inputs): (usize, usize),
        bias: bool,
    ) -> Result<()> {
        let weights = self.numbers(node, "weight", outputs * inputs)?;
        let weights = Factor::new((outputs, inputs), &weights, self.widths.packed)?;
        let from = self.read(node, 0);
        let input = self.operand(from)?;
        let product = |out, finish| {
            Step::Product(Dense {
                input,
                out,
                weights,
                finish,
            })
        };
        if bias {
            let finish = |bounds, shift| Finished::ScaleShift {
                scale: vec![1.0; outputs],
                shift,
                bounds,
            };
            let shift = self.numbers(node, "bias", outputs)?;
            let (end, bounds) = self.bounded(i);
            let out = self.give(end);
            self.results[end].done = true;
            self.steps.push(product(out, finish(bounds, shift)));
        } else if let Some((sum, other)) = self.added(i) {
            // Into what it is added to.
            let out = self.take_over(sum, other)?;
            self.results[sum].done = true;
            self.steps.push(product(out, Finished::Add));
        } else {
            let out = self.give(i);
            self.steps.push(product(out, Finished::Store));
        }
        self.release(from);
        Ok(())
    }

    /// The sum that alone reads a result, and the other summand, where that is there and only the sum still reads it.
    fn added(&self, from: usize) -> Option<(usize, usize)> {
        let sum = self.only_reader(from)?;
        let node = &self.graph.nodes[sum];
        if node.op != Op::Add {
            return None;
        }
        let other = (0..2)
            .map(|at| self.read(node, at))
            .find(|other| *other != from)?;
        let known = &self.results[other];
        (known.buffer.is_some() && known.left == 1).then_some((sum, other))
    }

    /// Scale and shift that batch normalisation comes down to once its statistics are fixed.
    fn normalization(&self, node: &Node) -> Result<(Vec<f32>, Vec<f32>)> {
        let Op::BatchNorm { channels, epsilon } = node.op else {
            return refuse(node, "is no batch normalisation");
        };
        let part = |part: &str| self.numbers(node, part, size(channels));
        let (weight, bias) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let scale: Vec<f32> = weight
            .iter()
            .zip(&variance)
            .map(|(weight, variance)| weight / (variance + epsilon).sqrt())
            .collect();
        let shift = bias
            .iter()
            .zip(mean.iter().zip(&scale))
            .map(|(bias, (mean, scale))| bias - mean * scale)
            .collect();
        Ok((scale, shift))
    }

    fn convolution(&mut self, i: usize, node: &Node, conv: &Conv) -> Result<()> {
        let Some(window) = conv.window else {
            return refuse(node, "does not say how its kernel moves");
        };
        let (inputs, outputs) = (size(conv.from.0), size(conv.to.0));
        let kernel = (size(conv.kernel.0), size(conv.kernel.1));
        let depthwise = conv.groups > 1 && conv.groups == conv.from.0 && conv.groups == conv.to.0;
        if conv.transposed || (conv.groups != 1 && !depthwise) {
            return refuse(node, "is a convolution of a kind that cannot be run");
        }
        let per_output = if depthwise { 1 } else { inputs };
        let taps = kernel.0 * kernel.1;
        let weights = self.numbers(node, "weight", outputs * per_output * taps)?;
        let mut shift = match conv.bias {
            true => self.numbers(node, "bias", outputs)?,
            false => vec![0.0; outputs],
        };
        let mut scale = vec![1.0; outputs];
        let from = self.read(node, 0);
        let input = self.operand(from)?;
        let mut end = i;
        if let Some(next) = self.only_reader(i)
            && let Op::BatchNorm { .. } = self.graph.nodes[next].op
        {
            let (by, plus) = self.normalization(&self.graph.nodes[next])?;
            for (shift, (by, plus)) in shift.iter_mut().zip(by.iter().zip(plus)) {
                *shift = *shift * by + plus;
            }
            scale = by;
            self.results[next].done = true;
            end = next;
        }
        let (end, bounds) = self.bounded(end);
        self.results[end].done = true;
        let out = self.give(end);
        let (stride, padding) = (size(window.stride), size(window.padding));
        let weights = if depthwise {
            transposed(&weights, taps)
        } else {
            by_pixel(&weights, inputs, taps)
        };
        self.steps.push(if depthwise {
            Step::Depthwise(Depthwise {
                input,
                out,
                weights,
                kernel,
                stride,
                padding,
                scale,
                shift,
                bounds,
            })
        } else {
            Step::Convolution(Convolution {
                input,
                out,
                weights: Factor::new((outputs, inputs * taps), &weights, self.widths.packed)?,
                kernel,
                stride,
                padding,
                finish: Finished::ScaleShift {
                    scale,
                    shift,
                    bounds,
                },
            })
        });
        self.release(from);
        Ok(())
    }

    fn norm(&mut self, i: usize, node: &Node, width: usize, rule: Option<Rule>) -> Result<()> {
        let weight = self.numbers(node, "weight", width)?;
        let (bias, epsilon) = match rule {
            Some(Rule::Layer { epsilon }) => (Some(self.numbers(node, "bias", width)?), epsilon),
            Some(Rule::RootMeanSquare { epsilon }) => (None, epsilon),
            None => return refuse(node, "does not say how it normalises"),
        };
        let from = self.read(node, 0);
        let norm = Norm {
            input: self.buffer_of(from)?,
            out: self.give(i),
            weight,
            bias,
            epsilon,
        };
        self.steps.push(Step::Norm(norm));
        self.release(from);
        Ok(())
    }

    fn attention(&mut self, i: usize, node: &Node, attention: &Attention) -> Result<()> {
        let Some(scores) = attention.scores else {
            return refuse(node, "does not say how it takes scores");
        };
        let (heads, kv_heads, width) = (
            size(attention.heads),
            size(attention.kv_heads),
            size(attention.width),
        );
        let mut read = Vec::with_capacity(3);
        for at in 0..node.inputs.len() {
            read.push(self.buffer_of(self.read(node, at))?);
        }
        let (queries, keys, values) = match read[..] {
            [all] => (
                (all, 0),
                (all, heads * width),
                (all, (heads + kv_heads) * width),
            ),
            [queries, keys, values] => ((queries, 0), (keys, 0), (values, 0)),
            _ => return refuse(node, "reads other things than queries, keys and values"),
        };
        let out = self.give(i);
        self.steps.push(Step::Attend(Attend {
            queries,
            keys,
            values,
            heads: Heads {
                heads,
                kv_heads,
                width,
                scale: scores.scale,
                cap: scores.cap,
                causal: scores.causal,
                window: attention.window.map(size),
            },
            place: self.attentions,
            out,
        }));
        for at in 0..node.inputs.len() {
            self.release(self.read(node, at));
        }
        self.attentions += 1;
        self.last = self.steps.len();
        Ok(())
    }
}

/// `factors` divide the angles of the pairs; none where there are none.
fn turning(rotary: &Rotary, buffer: usize, factors: &[f32]) -> Rotate {
    let pairs = rotary.dims.min(rotary.width) / 2;
    let angle = |pair: u32| {
        let share = f64::from(2 * pair) / f64::from(rotary.dims);
        let factor = factors
            .get(size(pair))
            .map_or(1.0, |&factor| f64::from(factor));
        f64::from(rotary.base).powf(-share) / factor
    };
    Rotate {
        buffer,
        width: size(rotary.width),
        frequencies: (0..pairs).map(angle).collect(),
        interleaved: rotary.interleaved,
    }
}

/// `[out, in, taps]` → `[out, taps, in]`, the order in which a window lies in an image with channels last.
pub(super) fn by_pixel(kernel: &[f32], inputs: usize, taps: usize) -> Vec<f32> {
    let each = kernel.chunks_exact(inputs * taps);
    each.flat_map(|output| transposed(output, taps)).collect()
}

/// `[rows, columns]` → `[columns, rows]`.
fn transposed(numbers: &[f32], columns: usize) -> Vec<f32> {
    let rows = numbers.len() / columns.max(1);
    let at = |place: usize| numbers[place % rows * columns + place / rows];
    (0..numbers.len()).map(at).collect()
}
