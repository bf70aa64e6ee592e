//! The same networks with weights in stored block formats and candle's kernels for them: what running a compressed model
//! packed really takes. Products are spread over candle's threads; what happens between them runs on the calling one.

mod cnn;
mod gpt;
mod matrix;

use candle_core::{Device, Tensor};

use self::cnn::Classifier;
use self::gpt::LanguageModel;
use super::super::{Architecture, Tensors};
use crate::error::{Error, Result};

pub use matrix::PackedFormat;
pub(crate) use matrix::PackedMatrix;

/// A network with packed weights.
#[derive(Debug)]
pub(crate) struct PackedNetwork(Family);

#[derive(Debug)]
enum Family {
    Cnn(Classifier),
    Gpt(Box<LanguageModel>),
}

impl PackedNetwork {
    /// Packs every matrix in the format nearest to `bits`.
    ///
    /// # Errors
    /// [`Error::Compute`] if the tensors are not those of the architecture.
    pub(crate) fn new(architecture: &Architecture, tensors: &Tensors, bits: u8) -> Result<Self> {
        if let Some(fact) = architecture.mismatch(tensors) {
            return Err(Error::Compute(fact));
        }
        Ok(Self(match architecture {
            Architecture::Cnn(config) => Family::Cnn(Classifier::new(config, tensors, bits)?),
            Architecture::Gpt(config) => {
                Family::Gpt(Box::new(LanguageModel::new(config, tensors, bits)?))
            }
        }))
    }

    /// All matrices.
    pub(crate) fn matrices(&self) -> Vec<&PackedMatrix> {
        match &self.0 {
            Family::Cnn(network) => network.matrices(),
            Family::Gpt(network) => network.matrices(),
        }
    }

    /// Inputs and outputs as of [`Architecture::forward`]; texts are read from their beginning, one after another.
    ///
    /// # Errors
    /// [`Error::Compute`] if the input's shape or type does not fit.
    pub(crate) fn run(&self, input: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Family::Cnn(network) => {
                let (n, ..) = input.dims4()?;
                let logits = network.run(&input.flatten_all()?.to_vec1::<f32>()?)?;
                Ok(Tensor::from_vec(logits, (n, ()), &Device::Cpu)?)
            }
            Family::Gpt(network) => {
                let (n, t) = input.dims2()?;
                let tokens = input.flatten_all()?.to_vec1::<u32>()?;
                let mut logits = Vec::with_capacity(tokens.len());
                for text in tokens.chunks_exact(t.max(1)) {
                    let mut state = network.texts(1);
                    logits.extend(network.read(&mut state, text)?);
                }
                Ok(Tensor::from_vec(logits, (n, t, ()), &Device::Cpu)?)
            }
        }
    }

    /// Texts that were read up to `context` tokens each, ready for the next one; only a language model has them.
    ///
    /// # Errors
    /// [`Error::Compute`] where the context has no room for that.
    pub(crate) fn writer(&self, texts: usize, context: usize) -> Result<Option<Writer<'_>>> {
        let Family::Gpt(network) = &self.0 else {
            return Ok(None);
        };
        let mut state = network.texts(texts);
        // What was read does not change how long the next token takes, so all have read the same.
        network.pretend(&mut state, context)?;
        Ok(Some(Writer { network, state }))
    }
}

/// Texts that are being written, a token at a time each.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    network: &'a LanguageModel,
    state: gpt::Texts,
}

impl Writer<'_> {
    /// One token for every text, always at the same place: the logits for what follows it.
    ///
    /// # Errors
    /// [`Error::Compute`] for an unknown token.
    pub(crate) fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let logits = self.network.read(&mut self.state, tokens)?;
        self.state.back(1);
        Ok(logits)
    }
}

#[cfg(test)]
mod tests;
