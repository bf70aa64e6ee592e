//! How networks run here: a graph and weights become fused steps ([`lower`]), every sample runs on one core through buffers
//! that fit its cache ([`program`]), samples are spread over the cores. A sample's result does not depend on what else runs
//! with it.
//!
//! The same networks in plain tensor operations are the oracle that this is tested against.

mod attention;
mod factor;
mod half;
mod lower;
mod matrix;
mod packed;
#[cfg(test)]
pub(crate) mod plain;
mod predictions;
mod program;
mod rows;
mod sentences;
mod spiking;
mod steps;
mod streamed;
#[cfg(test)]
mod tests;
mod weights;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

pub(crate) use matrix::{Matrix, Product};
pub use packed::PackedFormat;
pub(crate) use packed::{PackedMatrix, PackedNetwork};
pub(crate) use predictions::Prediction;
pub(crate) use spiking::SpikingNetwork;
pub(crate) use streamed::{Head, Hidden, Stream, Texts};
pub(crate) use weights::{MatrixRows, OfSource, Weights};

use self::lower::{Held, Widths};
use self::program::{Frame, Program};
use crate::error::{Error, Result};
use crate::graph::{Graph, Input};
use crate::model::Tensors;
use crate::weights::BlockTensor;

/// Images that a core takes at least at a time.
const GRAIN: usize = 8;

/// Texts that a core takes at most at a time through recurrent layers.
const TOGETHER: usize = 8;

/// A network ready to run: all of it, or up to where it draws a sample, and what comes after that.
#[derive(Debug)]
pub struct Network(Program, Option<Program>);

/// Tensors, some of which are in blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WithBlocks<'a> {
    /// All tensors in single precision.
    pub(crate) tensors: &'a Tensors,
    /// Those in blocks, by name.
    pub(crate) blocks: &'a BTreeMap<String, BlockTensor>,
}

impl<'a> WithBlocks<'a> {
    /// Tensors of which none is in blocks.
    pub(crate) fn none(tensors: &'a Tensors) -> Self {
        static NONE: BTreeMap<String, BlockTensor> = BTreeMap::new();
        Self {
            tensors,
            blocks: &NONE,
        }
    }
}

impl Weights for WithBlocks<'_> {
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        self.tensors.numbers(name)
    }

    fn matrix(&self, name: &str) -> Result<Box<dyn MatrixRows + '_>> {
        self.tensors.matrix(name)
    }

    fn blocks(&self, name: &str) -> Option<&BlockTensor> {
        self.blocks.get(name)
    }
}

impl Network {
    /// Lays out the weights. With fewer than 32 `activation_bits` what enters each compressible matrix is rounded: 16 to
    /// half precision, fewer to symmetric integers with one scale per image or token, taken from its largest absolute
    /// value.
    ///
    /// # Errors
    /// [`Error::Compute`] if a tensor is missing or of another size, or a part of the network cannot be run.
    pub(crate) fn new(graph: &Graph, weights: &dyn Weights, activation_bits: u8) -> Result<Self> {
        let widths = Widths {
            activations: activation_bits,
            held: Held::Single,
        };
        let Some(drawn) = graph.sampling() else {
            return Ok(Self(lower::lower(graph, weights, widths)?, None));
        };
        let part = |nodes| lower::segment(graph, weights, widths, nodes, None);
        let (before, after) = (part(0..drawn)?, part(drawn + 1..graph.nodes.len())?);
        Ok(Self(before, Some(after)))
    }

    /// What the first nodes of a network make of its input, ready to run.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn beginning(graph: &Graph, weights: &dyn Weights, nodes: usize) -> Result<Self> {
        let widths = Widths {
            activations: 32,
            held: Held::Single,
        };
        let program = lower::segment(graph, weights, widths, 0..nodes, None)?;
        Ok(Self(program, None))
    }

    /// The same with weights that are rounded to half precision: half the memory, for reading little at a time.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn halved(
        graph: &Graph,
        weights: &dyn Weights,
        activation_bits: u8,
    ) -> Result<Self> {
        let widths = Widths {
            activations: activation_bits,
            held: Held::Half,
        };
        Ok(Self(lower::lower(graph, weights, widths)?, None))
    }

    /// Images `[n, channels, rows, columns]` (f32, 0 to 1) and noise `[n, width]` give `[n, outputs]`; what is drawn on the
    /// way is the mean. Tokens `[n, t]` (u32, t at most the
    /// context) give `[n, t, outputs]` for the token that follows each.
    ///
    /// # Errors
    /// [`Error::Compute`] if the input's shape or type does not fit.
    pub fn run(&self, input: &Tensor) -> Result<Tensor> {
        self.run_last(input, usize::MAX)
    }

    /// The same, of texts only for the last so many tokens of each.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_last(&self, input: &Tensor, last: usize) -> Result<Tensor> {
        match self.0.input {
            given @ (Input::Image(_) | Input::Noise { .. }) => {
                let (n, numbers) = samples(input, given)?;
                let mut outputs = self.encode(&numbers)?;
                if self.1.is_some() {
                    let width = outputs.len() / n.max(1);
                    let means = outputs.chunks_exact(width.max(1));
                    let means = means.flat_map(|row| &row[..width / 2]).copied();
                    outputs = self.decode(&means.collect::<Vec<_>>())?;
                }
                Ok(Tensor::from_vec(
                    outputs,
                    (n, self.outputs()),
                    &Device::Cpu,
                )?)
            }
            Input::Tokens { .. } => {
                let (n, t) = input.dims2()?;
                let last = last.min(t);
                let outputs = self.texts(&input.flatten_all()?.to_vec1::<u32>()?, t, last)?;
                Ok(Tensor::from_vec(
                    outputs,
                    (n, last, self.outputs()),
                    &Device::Cpu,
                )?)
            }
        }
    }

    /// What becomes of images or noise: the outputs, or what a sample is drawn from where the network draws one: means,
    /// then logarithms of variances.
    ///
    /// # Errors
    /// A kernel of another library refuses.
    pub(crate) fn encode(&self, numbers: &[f32]) -> Result<Vec<f32>> {
        each(&self.0, numbers, self.0.input.numbers().unwrap_or(1))
    }

    /// What becomes of samples, of a network that draws some on the way.
    ///
    /// # Errors
    /// It draws none; or a kernel of another library refuses.
    pub(crate) fn decode(&self, drawn: &[f32]) -> Result<Vec<f32>> {
        match &self.1 {
            Some(after) => each(after, drawn, after.given_width()),
            None => Err(Error::Compute("this network draws no samples".to_owned())),
        }
    }

    /// `[n, last, outputs]` of `[n, t]` tokens.
    fn texts(&self, tokens: &[u32], t: usize, last: usize) -> Result<Vec<f32>> {
        let outputs = self.outputs();
        let mut all = vec![0.0; tokens.len() / t * last * outputs];
        if self.0.is_recurrent() {
            self.texts_together(tokens, t, last, &mut all)?;
            return Ok(all);
        }
        tokens
            .par_chunks_exact(t)
            .zip(all.par_chunks_exact_mut(last * outputs))
            .try_for_each_init(
                || self.0.frame(1),
                |frame, (tokens, all)| {
                    frame.back_to(0);
                    self.0.read(frame, tokens, last, &mut |row, some| {
                        all[row * outputs..][..some.len()].copy_from_slice(some);
                    })
                },
            )?;
        Ok(all)
    }

    /// The same into `all`, several texts at a time on each core: a recurrent layer takes one position after another, and then
    /// reads its weights once for all of them.
    fn texts_together(&self, tokens: &[u32], t: usize, last: usize, all: &mut [f32]) -> Result<()> {
        let outputs = self.outputs();
        let together = (tokens.len() / t)
            .div_ceil(rayon::current_num_threads())
            .clamp(1, TOGETHER);
        tokens
            .par_chunks(t * together)
            .zip(all.par_chunks_mut((together * last * outputs).max(1)))
            .try_for_each(|(tokens, all)| {
                let mut frame = self.0.frame(tokens.len() / t);
                let take = &mut |first: usize, some: &[f32]| {
                    for (row, logits) in (first..).zip(some.chunks_exact(outputs)) {
                        let (text, position) = (row / t, row % t);
                        if let Some(wanted) = (position + last).checked_sub(t) {
                            let at = (text * last + wanted) * outputs;
                            all[at..][..outputs].copy_from_slice(logits);
                        }
                    }
                };
                self.0.read(&mut frame, tokens, tokens.len(), take)
            })
    }

    /// What it is given.
    pub(crate) fn input(&self) -> Input {
        self.0.input
    }

    /// Length of a row of outputs: classes or tokens.
    pub(crate) fn outputs(&self) -> usize {
        self.1.as_ref().unwrap_or(&self.0).outputs()
    }

    /// The spiking version, its thresholds taken from calibration images `[n, channels, size, size]`; only a chain of
    /// convolutions has one.
    pub(crate) fn spiking(&self, calibration: &[f32]) -> Option<SpikingNetwork<'_>> {
        if self.1.is_some() {
            return None;
        }
        SpikingNetwork::new(&self.0, calibration)
    }

    /// Something to read a text with, token by token; only a language model has it.
    pub(crate) fn reader(&self) -> Option<Reader<'_>> {
        let reads = self.0.text().is_ok() && !self.0.sees_all();
        reads.then(|| Reader {
            program: &self.0,
            frame: self.0.frame(1),
        })
    }
}

/// Runs a program on samples of so many numbers.
fn each(program: &Program, numbers: &[f32], width: usize) -> Result<Vec<f32>> {
    let outputs = program.outputs();
    let mut all = vec![0.0; numbers.len() / width.max(1) * outputs];
    numbers
        .par_chunks_exact(width.max(1))
        .zip(all.par_chunks_exact_mut(outputs))
        .with_min_len(GRAIN)
        .try_for_each_init(
            || program.frame(1),
            |frame, (numbers, out)| program.classify(numbers, frame, out),
        )?;
    Ok(all)
}

/// How many images `[n, channels, rows, columns]` or rows of noise `[n, width]` there are, and their numbers.
fn samples(given: &Tensor, input: Input) -> Result<(usize, Vec<f32>)> {
    let n = given.dims().first().copied().unwrap_or(0);
    let expected = input.shape(n);
    if given.dims() != expected {
        let inputs = match input {
            Input::Noise { .. } => "noise has",
            _ => "images have",
        };
        return Err(Error::Compute(format!(
            "{inputs} shape {:?}, expected {:?}",
            given.dims().get(1..).unwrap_or_default(),
            &expected[1..],
        )));
    }
    Ok((n, given.flatten_all()?.to_vec1()?))
}

/// Lays out a matrix `[rows, width]` as a network does that is to be run, and drops it.
///
/// # Errors
/// It cannot be read.
pub(crate) fn lay_out(matrix: &dyn MatrixRows, (rows, width): (usize, usize)) -> Result<()> {
    Matrix::of_rows(rows, width, matrix).map(drop)
}

/// One layer alone, to be timed: the same product on every core, as when a batch is spread over them.
#[derive(Debug)]
pub(crate) struct LayerRun {
    weights: Matrix,
    /// Rows of one sample.
    values: Vec<f32>,
    rows: usize,
    /// Results of each core.
    out: Vec<Vec<f32>>,
}

impl LayerRun {
    /// Weights `[outputs, inputs]` and `rows` inputs per core. Their values do not change how long it takes.
    pub(crate) fn new(outputs: usize, inputs: usize, rows: usize) -> Self {
        Self {
            weights: Matrix::new(outputs, inputs, &vec![0.5; outputs * inputs]),
            values: vec![0.5; rows * inputs],
            rows,
            out: vec![vec![0.0; rows * outputs]; rayon::current_num_threads()],
        }
    }

    /// Multiplies `times` times on every core; the first number of the first result.
    pub(crate) fn run(&mut self, times: usize) -> Option<f32> {
        let Self {
            weights,
            values,
            rows,
            out,
        } = self;
        out.par_iter_mut().for_each(|out| {
            for _ in 0..times {
                Product::new(values, *rows, weights, out).run();
            }
        });
        out.first().and_then(|out| out.first()).copied()
    }
}

/// A text being read by a language model that remembers what it has read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    program: &'a Program,
    frame: Frame,
}

impl Reader<'_> {
    /// Tokens that the context still has room for.
    pub(crate) fn room(&self) -> usize {
        let context = self.program.text().map_or(0, |(_, context)| context);
        context.saturating_sub(self.frame.from)
    }

    /// Reads on; the logits for what follows the last token.
    ///
    /// # Errors
    /// [`Error::Compute`] if there is no room for the tokens or one is unknown.
    pub(crate) fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut logits = vec![0.0; self.program.outputs()];
        self.program
            .read(&mut self.frame, tokens, 1, &mut |_, last| {
                logits.copy_from_slice(last);
            })?;
        Ok(logits)
    }
}
