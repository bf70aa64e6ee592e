//! What a model is measured on: the data that ship for its kind, or a text of the user's.

use crate::error::{Error, Result};
use crate::evaluate::EvaluationSet;
use crate::graph::Input;
use crate::model::{Architecture, Model, bundled};

/// Tokens of a context that a model with a tokenizer is measured on, at most.
const TOKEN_CONTEXT: usize = 256;
/// Tokens of a context of a user's text, where nothing else is asked for: what llama.cpp takes.
const LLAMA_CPP_CONTEXT: u32 = 512;
/// Such contexts.
const TOKEN_CONTEXTS: usize = 32;

/// A text of the user's to measure on.
#[derive(Debug, Clone)]
pub struct OwnText {
    /// The text.
    pub text: String,
    /// Tokens of a context; of a model of bytes always its own.
    pub context: Option<u32>,
}

impl OwnText {
    /// What [`Self::code`] is, in words.
    pub const CODE: &str = "34 KiB of this program's own sources, in Rust and Python";

    /// The program code that ships, in contexts as long as those of the prose that models are measured on otherwise.
    ///
    /// # Errors
    /// The program's own data is damaged.
    pub fn code(context: Option<u32>) -> Result<Self> {
        Ok(Self {
            text: bundled::code_text()?,
            context: context.or(Some(TOKEN_CONTEXT as u32)),
        })
    }

    /// All of it, as a model reads it.
    pub(super) fn set(&self, model: &Model) -> Result<EvaluationSet> {
        match (model.architecture.input(), &model.tokenizer) {
            (Input::Tokens { context, .. }, Some(tokenizer)) => {
                let wanted = self.context.unwrap_or(LLAMA_CPP_CONTEXT).min(context);
                EvaluationSet::tokens(tokenizer, &self.text, wanted as usize, usize::MAX)
            }
            (Input::Tokens { .. }, None) => {
                EvaluationSet::text(&model.architecture.graph(), self.text.clone().into_bytes())
            }
            (Input::Image(_) | Input::Noise { .. } | Input::Noisy(_), _) => Err(Error::Infeasible(
                "the model reads no text and cannot be measured on one".to_owned(),
            )),
        }
    }
}

/// The held-out data that ships for models like this one.
pub(super) fn evaluation_set(model: &Model) -> Result<EvaluationSet> {
    let architecture = &model.architecture;
    match architecture.input() {
        Input::Noise { .. } | Input::Noisy(_) => pictures(architecture),
        Input::Image(_) if architecture.graph().sampling().is_some() => pictures(architecture),
        Input::Image(_) => {
            let (pixels, labels) = bundled::evaluation_images()?;
            EvaluationSet::images(&architecture.graph(), pixels, labels)
        }
        Input::Tokens {
            context,
            vocabulary,
        } => match &model.tokenizer {
            None if vocabulary != 256 => Err(Error::Infeasible(format!(
                "the file does not carry the tokenizer of its {vocabulary} tokens, as files that this program packs do not; open the file that it was made from"
            ))),
            None => EvaluationSet::text(&architecture.graph(), bundled::evaluation_text()?),
            Some(tokenizer) => {
                let text = bundled::evaluation_text()?;
                let text = String::from_utf8_lossy(&text);
                let context = TOKEN_CONTEXT.min(context as usize);
                EvaluationSet::tokens(tokenizer, &text, context, TOKEN_CONTEXTS)
            }
        },
    }
}

/// Held-out images for a network that makes such, seen by the bundled classifier.
fn pictures(architecture: &Architecture) -> Result<EvaluationSet> {
    let (pixels, labels) = bundled::evaluation_images()?;
    let judge = bundled::load(bundled::JUDGE)?;
    EvaluationSet::pictures(&architecture.graph(), pixels, labels, &judge)
}
