//! The steps of a [`super::program::Program`]: each reads some buffers and writes one.

mod experts;
mod image;
mod recurrent;
mod text;

use std::mem::take;

use super::factor::{Factor, Multiply, Table};
use super::matrix::{Finish, Rows};
use super::program::{Frame, Layout, Plane};
use super::rows;
use crate::error::Result;
use crate::graph::Taken;
pub(super) use experts::Experts;
pub(super) use recurrent::Recurrent;
pub(super) use text::{Attend, Rotate};

/// One step.
#[derive(Debug)]
pub(super) enum Step {
    /// Rows of a table by tokens.
    Lookup(Table, usize),
    /// Rows of a table by positions.
    Positions(Table, usize),
    /// The same row of a table for every token, or one by the place of each after some others.
    Row(Table, Taken, usize),
    Product(Dense),
    Convolution(Convolution),
    Depthwise(Depthwise),
    Norm(Norm),
    Attend(Attend),
    Rotate(Rotate),
    /// A function of every number, in place.
    Map(usize, Map),
    /// Another buffer is added, in place: to the first, the second.
    Add(usize, usize),
    /// Another buffer is multiplied with, in place.
    Multiply(usize, usize),
    /// What is inside the first buffer is copied into the second.
    Copy(usize, usize),
    /// Some numbers of every row of the first buffer, from this place on, into the second.
    Slice(usize, usize, usize),
    /// A matrix of each expert, for the rows that are sent to it.
    Experts(Experts),
    /// Picks experts by the first buffer, perhaps normalised, into the last.
    Route(usize, bool, usize),
    /// Sums up what experts gave, by where they were picked.
    Mix(usize, usize, usize),
    /// The first buffer times the logistic function of the second's product with weights, in place.
    Gate(usize, usize, Vec<f32>),
    /// Numbers are rounded to so many bits, in place.
    Quantize(usize, u8),
    MaxPool(Pool),
    /// The mean over the pixels of the first buffer, into the second.
    Mean(usize, usize),
    /// Every pixel of the first buffer twice along rows and columns, into the second.
    Upsample(usize, usize),
    /// The row in the first buffer as an image, into the second.
    Unflatten(usize, usize),
    /// The image in the first buffer as a row, into the second.
    Flatten(usize, usize),
    /// A recurrent layer, position by position.
    Recurrent(Recurrent),
}

/// A product of rows with a matrix.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) input: usize,
    pub(super) out: usize,
    pub(super) weights: Factor,
    pub(super) finish: Finished,
}

/// What happens to a product before it is stored.
#[derive(Debug)]
pub(super) enum Finished {
    Store,
    Add,
    ScaleShift {
        scale: Vec<f32>,
        shift: Vec<f32>,
        bounds: (f32, f32),
    },
}

impl Finished {
    fn finish(&self) -> Finish<'_> {
        match self {
            Self::Store => Finish::Store,
            Self::Add => Finish::Add,
            Self::ScaleShift {
                scale,
                shift,
                bounds,
            } => Finish::ScaleShift {
                scale,
                shift,
                bounds: *bounds,
            },
        }
    }
}

/// A convolution whose windows are rows of a product.
#[derive(Debug)]
pub(super) struct Convolution {
    pub(super) input: usize,
    pub(super) out: usize,
    /// `[outputs, rows · columns · inputs]`.
    pub(super) weights: Factor,
    pub(super) kernel: (usize, usize),
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) finish: Finished,
}

/// A convolution of every channel with a kernel of its own.
#[derive(Debug)]
pub(super) struct Depthwise {
    pub(super) input: usize,
    pub(super) out: usize,
    /// `[rows, columns, channels]`.
    pub(super) weights: Vec<f32>,
    pub(super) kernel: (usize, usize),
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
    pub(super) bounds: (f32, f32),
}

/// Normalisation of rows, or of parts of rows as long as the weights.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) input: usize,
    pub(super) out: usize,
    pub(super) weight: Vec<f32>,
    /// None for a mean square of 1.
    pub(super) bias: Option<Vec<f32>>,
    pub(super) epsilon: f32,
}

/// A function of every number.
#[derive(Debug)]
pub(super) enum Map {
    Gelu,
    GeluExact,
    Silu,
    Sigmoid,
    Clamp(f32, f32),
    Times(f32),
    Cap(f32),
    ScaleShift {
        scale: Vec<f32>,
        shift: Vec<f32>,
        bounds: (f32, f32),
    },
}

/// The largest number of windows of an image.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) input: usize,
    pub(super) out: usize,
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Step {
    /// # Errors
    /// A kernel of another library refuses.
    pub(super) fn run(&self, layouts: &[Layout], frame: &mut Frame) -> Result<()> {
        match self {
            Self::Lookup(table, out) => {
                return frame.look_up(layouts, table, *out, |frame, row| frame.tokens[row]);
            }
            Self::Positions(table, out) => {
                // Contexts are far below the limit of the type.
                let position = |frame: &Frame, row| u32::try_from(frame.position(row));
                return frame.look_up(layouts, table, *out, |frame, row| {
                    position(frame, row).unwrap_or(u32::MAX)
                });
            }
            Self::Row(table, taken, out) => {
                return frame.look_up(layouts, table, *out, |frame, row| match taken {
                    Taken::Always(row) => *row,
                    Taken::ByPlace(first) => u32::try_from(frame.position(row))
                        .map_or(u32::MAX, |place| place.saturating_add(*first)),
                });
            }
            Self::Product(product) => return product.run(layouts, frame),
            Self::Convolution(convolution) => return convolution.run(layouts, frame),
            Self::Depthwise(depthwise) => depthwise.run(layouts, frame),
            Self::Norm(norm) => norm.run(layouts, frame),
            Self::Attend(attend) => attend.run(layouts, frame),
            Self::Rotate(rotate) => rotate.run(layouts, frame),
            Self::Map(buffer, map) => frame.each(layouts, *buffer, |numbers| map.run(numbers)),
            Self::Add(to, from) => {
                frame.both(layouts, (*to, *from), |to, from| {
                    rows::add(to, from);
                });
            }
            Self::Multiply(to, by) => {
                frame.both(layouts, (*to, *by), |to, by| {
                    rows::multiply(to, by);
                });
            }
            Self::Copy(from, to) => {
                frame.both(layouts, (*to, *from), |to, from| to.copy_from_slice(from));
            }
            Self::Slice(from, at, to) => text::slice(layouts, frame, (*from, *at), *to),
            Self::Experts(weights) => return weights.run(layouts, frame),
            Self::Route(from, normalised, to) => {
                experts::route(layouts, frame, (*from, *normalised), *to);
            }
            Self::Mix(from, route, to) => experts::mix(layouts, frame, (*from, *route), *to),
            Self::Gate(to, by, weights) => experts::gate(layouts, frame, (*to, *by), weights),
            Self::Quantize(buffer, bits) => frame.quantize(layouts, *buffer, *bits),
            Self::MaxPool(pool) => pool.run(layouts, frame),
            Self::Mean(from, to) => mean(layouts, frame, *from, *to),
            Self::Upsample(from, to) => image::upsample(layouts, frame, *from, *to),
            Self::Unflatten(from, to) => image::unflatten(layouts, frame, *from, *to),
            Self::Flatten(from, to) => image::flatten(layouts, frame, *from, *to),
            Self::Recurrent(layer) => return layer.run(layouts, frame),
        }
        Ok(())
    }
}

impl Frame {
    /// Rows of a table.
    fn look_up(
        &mut self,
        layouts: &[Layout],
        table: &Table,
        out: usize,
        at: impl Fn(&Self, usize) -> u32,
    ) -> Result<()> {
        let rows: Vec<u32> = self.rows.clone().map(|row| at(self, row)).collect();
        let range = self.range(&layouts[out]);
        table.rows(&rows, &mut self.buffers[out][range])
    }

    /// Calls a function with the numbers of a buffer that this call is about, in one or more pieces of whole rows.
    fn each(&mut self, layouts: &[Layout], buffer: usize, run: impl Fn(&mut [f32])) {
        match &layouts[buffer] {
            Layout::Plane(plane) => {
                for line in plane.lines() {
                    run(&mut self.buffers[buffer][line]);
                }
            }
            rows => {
                let range = self.range(rows);
                run(&mut self.buffers[buffer][range]);
            }
        }
    }

    /// Calls a function with the same numbers of two buffers, the first of which it changes.
    fn both(
        &mut self,
        layouts: &[Layout],
        (to, from): (usize, usize),
        run: impl Fn(&mut [f32], &[f32]),
    ) {
        let mut changed = take(&mut self.buffers[to]);
        let other = &self.buffers[from];
        match (&layouts[to], &layouts[from]) {
            (Layout::Plane(one), Layout::Plane(two)) => {
                for (one, two) in one.lines().zip(two.lines()) {
                    run(&mut changed[one], &other[two]);
                }
            }
            (one, two) => run(&mut changed[self.range(one)], &other[self.range(two)]),
        }
        self.buffers[to] = changed;
    }

    /// Rounds activations: an image with one scale, a text with one per token.
    fn quantize(&mut self, layouts: &[Layout], buffer: usize, bits: u8) {
        match &layouts[buffer] {
            Layout::Plane(_) => {
                let numbers = &mut self.buffers[buffer];
                let all = numbers.len();
                rows::quantize(numbers, all, bits);
            }
            layout => {
                let range = self.range(layout);
                rows::quantize(&mut self.buffers[buffer][range], layout.width(), bits);
            }
        }
    }
}

impl Dense {
    /// One row alone.
    ///
    /// # Errors
    /// A kernel of another library refuses.
    pub(super) fn apply(&self, row: &[f32], out: &mut [f32]) -> Result<()> {
        self.weights.multiply(Multiply {
            values: row,
            rows: Rows::every(row.len()),
            count: 1,
            pieces: (1, 0),
            out_rows: Rows::every(out.len()),
            out,
            finish: self.finish.finish(),
        })
    }

    fn run(&self, layouts: &[Layout], frame: &mut Frame) -> Result<()> {
        let mut out = take(&mut frame.buffers[self.out]);
        let (from, to) = (&layouts[self.input], &layouts[self.out]);
        let done = self.weights.multiply(Multiply {
            values: &frame.buffers[self.input][frame.range(from)],
            rows: Rows::every(from.width()),
            count: frame.rows.len(),
            pieces: (1, 0),
            out: &mut out[frame.range(to)],
            out_rows: Rows::every(to.width()),
            finish: self.finish.finish(),
        });
        frame.buffers[self.out] = out;
        done
    }
}

/// The planes of two buffers.
fn planes(layouts: &[Layout], input: usize, out: usize) -> Option<(Plane, Plane)> {
    match (layouts[input], layouts[out]) {
        (Layout::Plane(from), Layout::Plane(to)) => Some((from, to)),
        _ => None,
    }
}

/// Where windows begin in an image: as many in a line as `to` has columns.
pub(super) fn windows(from: &Plane, to: &Plane, stride: usize, padding: usize) -> Rows {
    Rows {
        first: (from.border - padding) * (from.line() + from.channels),
        step: stride * from.channels,
        width: to.columns,
        line: stride * from.line(),
    }
}

impl Convolution {
    fn run(&self, layouts: &[Layout], frame: &mut Frame) -> Result<()> {
        let Some((from, to)) = planes(layouts, self.input, self.out) else {
            return Ok(());
        };
        let mut out = take(&mut frame.buffers[self.out]);
        let done = self.weights.multiply(Multiply {
            values: &frame.buffers[self.input],
            rows: windows(&from, &to, self.stride, self.padding),
            count: to.pixels(),
            // A window is a piece of pixels from each of some lines.
            pieces: (self.kernel.0, from.line()),
            out: &mut out,
            out_rows: to.inside(),
            finish: self.finish.finish(),
        });
        frame.buffers[self.out] = out;
        done
    }
}

impl Depthwise {
    fn run(&self, layouts: &[Layout], frame: &mut Frame) {
        let Some((from, to)) = planes(layouts, self.input, self.out) else {
            return;
        };
        let mut out = take(&mut frame.buffers[self.out]);
        let kernels = rows::Kernels {
            weights: &self.weights,
            piece: self.kernel.1 * to.channels,
            scale: &self.scale,
            shift: &self.shift,
            bounds: self.bounds,
        };
        let windows = windows(&from, &to, self.stride, self.padding);
        let input = &frame.buffers[self.input];
        rows::depthwise(input, from.line(), windows, kernels, to, &mut out);
        frame.buffers[self.out] = out;
    }
}

impl Norm {
    fn run(&self, layouts: &[Layout], frame: &mut Frame) {
        let (weight, epsilon) = (&self.weight, self.epsilon);
        frame.both(layouts, (self.out, self.input), |out, x| match &self.bias {
            Some(bias) => rows::layer_norm(x, weight, bias, epsilon, out),
            None => rows::rms_norm(x, weight, epsilon, out),
        });
    }
}

impl Map {
    fn run(&self, numbers: &mut [f32]) {
        match self {
            Self::Gelu => rows::gelu(numbers),
            Self::GeluExact => rows::gelu_exact(numbers),
            Self::Silu => rows::silu(numbers),
            Self::Sigmoid => rows::sigmoid(numbers),
            Self::Clamp(low, high) => rows::clamp(numbers, *low, *high),
            Self::Times(factor) => numbers.iter_mut().for_each(|number| *number *= factor),
            Self::Cap(cap) => rows::cap(numbers, *cap),
            Self::ScaleShift {
                scale,
                shift,
                bounds: (low, high),
            } => rows::scale_shift(numbers, scale, shift, *low, *high),
        }
    }
}

impl Pool {
    fn run(&self, layouts: &[Layout], frame: &mut Frame) {
        let Some((from, to)) = planes(layouts, self.input, self.out) else {
            return;
        };
        let mut out = take(&mut frame.buffers[self.out]);
        let windows = rows::Windows {
            from,
            to,
            size: self.size,
            stride: self.stride,
            padding: self.padding,
        };
        rows::max_pool(&frame.buffers[self.input], windows, &mut out);
        frame.buffers[self.out] = out;
    }
}

fn mean(layouts: &[Layout], frame: &mut Frame, from: usize, to: usize) {
    let Layout::Plane(plane) = layouts[from] else {
        return;
    };
    let mut out = take(&mut frame.buffers[to]);
    let range = frame.range(&layouts[to]);
    rows::mean(&frame.buffers[from], plane, &mut out[range]);
    frame.buffers[to] = out;
}
