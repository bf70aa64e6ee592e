//! The same networks with weights in stored block formats and candle's kernels for them: what running a compressed model
//! packed really takes. Products are spread over candle's threads; what happens between them runs on the calling one.

mod matrix;
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};

use super::factor::{Factor, Table};
use super::lower::{self, Held, Widths};
use super::program::{Frame, Program};
use super::steps::Step;
use super::weights::Weights;
use crate::error::Result;
use crate::graph::{Graph, Input};

pub use matrix::PackedFormat;
pub(crate) use matrix::PackedMatrix;

/// A network with packed weights.
#[derive(Debug)]
pub(crate) struct PackedNetwork(Program);

impl PackedNetwork {
    /// Takes matrices from the blocks that the weights are in, and packs the others in the format nearest to `bits`; kernels of single channels stay in single precision.
    ///
    /// # Errors
    /// [`Error::Compute`] if the tensors are not those of the graph.
    pub(crate) fn new(graph: &Graph, weights: &dyn Weights, bits: u8) -> Result<Self> {
        let widths = Widths {
            activations: 32,
            held: Held::Blocks(bits),
        };
        lower::lower(graph, weights, widths).map(Self)
    }

    /// All matrices, in the order in which they run.
    pub(crate) fn matrices(&self) -> Vec<&PackedMatrix> {
        fn of_factor(factor: &Factor) -> Option<&PackedMatrix> {
            match factor {
                Factor::Packed(matrix) => Some(matrix),
                Factor::Plain(_) | Factor::Half(_) => None,
            }
        }
        let packed = |step| -> Vec<&PackedMatrix> {
            match step {
                &Step::Lookup(Table::Packed(ref matrix), _)
                | &Step::Positions(Table::Packed(ref matrix), _)
                | &Step::Row(Table::Packed(ref matrix), _, _) => vec![matrix],
                Step::Product(dense) => of_factor(&dense.weights).into_iter().collect(),
                Step::Convolution(convolution) => {
                    of_factor(&convolution.weights).into_iter().collect()
                }
                Step::Recurrent(layer) => of_factor(&layer.weights).into_iter().collect(),
                Step::Experts(experts) => experts.weights.iter().filter_map(of_factor).collect(),
                _ => Vec::new(),
            }
        };
        self.0.steps.iter().flat_map(packed).collect()
    }

    /// Inputs and outputs as of [`super::Network::run`]; samples run one after another.
    ///
    /// # Errors
    /// [`Error::Compute`] if the input's shape or type does not fit.
    pub(crate) fn run(&self, input: &Tensor) -> Result<Tensor> {
        let outputs = self.0.outputs();
        let mut all = vec![0.0; 0];
        let mut frame = self.0.frame(1);
        match self.0.input {
            given @ (Input::Image(_) | Input::Noise { .. }) => {
                let (n, images) = super::samples(input, given)?;
                all.resize(n * outputs, 0.0);
                let each = images.chunks_exact((images.len() / n.max(1)).max(1));
                for (image, out) in each.zip(all.chunks_exact_mut(outputs)) {
                    self.0.classify(image, &mut frame, out)?;
                }
                Ok(Tensor::from_vec(all, (n, outputs), &Device::Cpu)?)
            }
            Input::Tokens { .. } => {
                let (n, t) = input.dims2()?;
                let tokens = input.flatten_all()?.to_vec1::<u32>()?;
                for text in tokens.chunks_exact(t.max(1)) {
                    frame.back_to(0);
                    self.0.read(&mut frame, text, t, &mut |_, some| {
                        all.extend_from_slice(some);
                    })?;
                }
                Ok(Tensor::from_vec(all, (n, t, outputs), &Device::Cpu)?)
            }
        }
    }

    /// Texts that were read up to `context` tokens each, ready for the next one; only a language model has them.
    ///
    /// # Errors
    /// [`Error::Compute`] where the context has no room for that.
    pub(crate) fn writer(&self, texts: usize, context: usize) -> Result<Option<Writer<'_>>> {
        if self.0.text().is_err() || self.0.sees_all() {
            return Ok(None);
        }
        // What was read does not change how long the next token takes, so all have read the same.
        let mut one = self.0.frame(1);
        self.0
            .read(&mut one, &vec![0; context], 0, &mut |_, _| {})?;
        let mut frame = self.0.frame(texts);
        frame.from = context;
        for (all, read) in frame.caches.iter_mut().zip(&one.caches) {
            for (text, read) in all.iter_mut().zip(read.iter().cycle()) {
                text.clone_from(read);
            }
        }
        Ok(Some(Writer {
            program: &self.0,
            frame,
        }))
    }
}

/// Texts that are being written, a token at a time each.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    program: &'a Program,
    frame: Frame,
}

impl Writer<'_> {
    /// One token for every text, always at the same place: the logits for what follows it.
    ///
    /// # Errors
    /// [`Error::Compute`] for an unknown token, or where there is no room for it.
    pub(crate) fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let from = self.frame.from;
        let mut logits = Vec::with_capacity(tokens.len() * self.program.outputs());
        let take = &mut |_: usize, some: &[f32]| logits.extend_from_slice(some);
        self.program
            .read(&mut self.frame, tokens, tokens.len(), take)?;
        self.frame.back_to(from);
        Ok(logits)
    }
}
