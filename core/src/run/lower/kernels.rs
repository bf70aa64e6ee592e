//! What becomes of matrices, convolutions, normalisation and attention: the steps with weights.

use super::super::attention::Heads;
use super::super::factor::{Factor, Table};
use super::super::packed::PackedMatrix;
use super::super::steps::{
    Attend, Convolution, Dense, Depthwise, Experts, Finished, Norm, Recurrent, Rotate, Step,
};
use super::super::weights::{From, InMemory};
use super::Lowering;
use super::shapes::{refuse, size};
use crate::error::Result;
use crate::graph::{Attention, Cell, Chosen, Conv, Node, Op, Rotary, Rule, Taken};
use crate::weights::BlockTensor;

impl Lowering<'_> {
    pub(super) fn linear(
        &mut self,
        i: usize,
        node: &Node,
        (outputs, inputs): (usize, usize),
        bias: bool,
    ) -> Result<()> {
        let weights = if let Some(coded) = self.coded(node) {
            Factor::of_blocks((outputs, inputs), coded, 1)?
        } else {
            let weights = self.matrix(node, outputs * inputs)?;
            Factor::new((outputs, inputs), weights.as_ref(), self.widths.held)?
        };
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

    /// A matrix of each expert.
    pub(super) fn experts(
        &mut self,
        i: usize,
        node: &Node,
        (outputs, inputs): (usize, usize),
        chosen: Chosen,
    ) -> Result<()> {
        let count = size(chosen.count);
        let weights = if let Some(coded) = self.coded(node) {
            let each = coded.bytes.len() / count.max(1);
            let experts = coded.bytes.chunks_exact(each.max(1)).take(count);
            let factor = |bytes: &[u8]| {
                let coded = BlockTensor {
                    format: coded.format,
                    bytes: bytes.to_vec(),
                };
                Factor::of_blocks((outputs, inputs), &coded, 1)
            };
            experts.map(factor).collect::<Result<_>>()?
        } else {
            let weights = self.matrix(node, count * outputs * inputs)?;
            let held = self.widths.held;
            let factor = |expert| {
                let rows = From {
                    matrix: weights.as_ref(),
                    first: expert * outputs,
                };
                Factor::new((outputs, inputs), &rows, held)
            };
            (0..count).map(factor).collect::<Result<_>>()?
        };
        let (from, route) = (self.read(node, 0), self.read(node, 1));
        let experts = Experts {
            input: self.buffer_of(from)?,
            route: self.buffer_of(route)?,
            out: self.give(i),
            weights,
            shape: (outputs, inputs),
            bits: self.widths.activations,
        };
        self.steps.push(Step::Experts(experts));
        self.release(from);
        self.release(route);
        Ok(())
    }

    /// Picking experts, summing up what they give, and the gate of shared ones.
    pub(super) fn routed(&mut self, i: usize, node: &Node) -> Result<()> {
        let from = self.read(node, 0);
        let input = self.buffer_of(from)?;
        match node.op {
            Op::Route { normalised, .. } => {
                let out = self.give(i);
                self.steps.push(Step::Route(input, normalised, out));
                self.release(from);
            }
            Op::Gate { width } => {
                let weights = self.numbers(node, "weight", size(width))?;
                let by = self.read(node, 1);
                let buffer = self.take_over(i, from)?;
                let with = self.buffer_of(by)?;
                self.steps.push(Step::Gate(buffer, with, weights));
                self.release(by);
            }
            _ => {
                let route = self.read(node, 1);
                let by = self.buffer_of(route)?;
                let out = self.give(i);
                self.steps.push(Step::Mix(input, by, out));
                self.release(from);
                self.release(route);
            }
        }
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
    pub(super) fn normalization(&self, node: &Node) -> Result<(Vec<f32>, Vec<f32>)> {
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

    pub(super) fn convolution(&mut self, i: usize, node: &Node, conv: &Conv) -> Result<()> {
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
                weights: match self.coded(node) {
                    Some(coded) => Factor::of_blocks((outputs, inputs * taps), coded, taps)?,
                    None => Factor::new(
                        (outputs, inputs * taps),
                        &InMemory(weights),
                        self.widths.held,
                    )?,
                },
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

    pub(super) fn norm(
        &mut self,
        i: usize,
        node: &Node,
        (width, parameters): (usize, u32),
        rule: Option<Rule>,
    ) -> Result<()> {
        let weight = match parameters {
            0 => vec![1.0; width],
            _ => self.numbers(node, "weight", width)?,
        };
        let (bias, epsilon) = match rule {
            Some(Rule::Layer { epsilon }) if parameters < 2 => (Some(vec![0.0; width]), epsilon),
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

    pub(super) fn attention(&mut self, i: usize, node: &Node, attention: &Attention) -> Result<()> {
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
                alibi: scores.alibi,
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

impl Lowering<'_> {
    pub(super) fn recurrent(
        &mut self,
        i: usize,
        node: &Node,
        cell: Cell,
        units: usize,
    ) -> Result<()> {
        let outputs = size(cell.gates()) * units;
        let weights = match self.coded(node) {
            Some(coded) => Factor::of_blocks((outputs, units), coded, 1)?,
            None => {
                let weights = self.matrix(node, outputs * units)?;
                Factor::new((outputs, units), weights.as_ref(), self.widths.held)?
            }
        };
        let bias = self.numbers(node, "bias", outputs)?;
        let from = self.read(node, 0);
        let input = self.buffer_of(from)?;
        let out = self.give(i);
        self.steps.push(Step::Recurrent(Recurrent {
            input,
            out,
            weights,
            scale: vec![1.0; outputs],
            bias,
            cell,
            units,
            bits: self.widths.activations,
            place: self.attentions,
        }));
        self.release(from);
        self.attentions += 1;
        self.last = self.steps.len();
        Ok(())
    }
}

impl Lowering<'_> {
    /// A row of a table for every token, whatever that is.
    pub(super) fn row(
        &mut self,
        i: usize,
        node: &Node,
        (rows, width): (usize, usize),
        taken: Taken,
    ) -> Result<()> {
        let table = match self.coded(node) {
            Some(coded) => Table::Packed(PackedMatrix::of_blocks((rows, width), coded, 1, true)?),
            None => {
                let matrix = self.matrix(node, rows * width)?;
                Table::new((rows, width), matrix.as_ref(), self.widths.held)?
            }
        };
        let out = self.give(i);
        self.steps.push(Step::Row(table, taken, out));
        Ok(())
    }
}

/// `factors` divide the angles of the pairs; none where there are none.
pub(super) fn turning(rotary: &Rotary, buffer: usize, factors: &[f32]) -> Rotate {
    let pairs = rotary.dims.min(rotary.width) / 2;
    let angle = |pair: u32| {
        let share = f64::from(2 * pair) / f64::from(rotary.dims);
        let factor = factors
            .get(size(pair))
            .map_or(1.0, |&factor| f64::from(factor));
        f64::from(rotary.base).powf(-share) / factor / f64::from(rotary.divisor)
    };
    Rotate {
        buffer,
        width: size(rotary.width),
        frequencies: (0..pairs).map(angle).collect(),
        interleaved: rotary.interleaved,
        magnitude: rotary.magnitude,
    }
}

/// `[out, in, taps]` → `[out, taps, in]`, the order in which a window lies in an image with channels last.
fn by_pixel(kernel: &[f32], inputs: usize, taps: usize) -> Vec<f32> {
    let each = kernel.chunks_exact(inputs * taps);
    each.flat_map(|output| transposed(output, taps)).collect()
}

/// `[rows, columns]` → `[columns, rows]`.
fn transposed(numbers: &[f32], columns: usize) -> Vec<f32> {
    let rows = numbers.len() / columns.max(1);
    let at = |place: usize| numbers[place % rows * columns + place / rows];
    (0..numbers.len()).map(at).collect()
}
