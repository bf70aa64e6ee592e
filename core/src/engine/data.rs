//! What a model is measured on: the data that ship for its kind, or the user's.

mod arrays;
#[cfg(test)]
mod tests;

use crate::data::{Images, OwnData, Preprocessing};
use crate::error::{Error, Result};
use crate::evaluate::{EvaluationSet, GeneratedSet, wanted};
use crate::files;
use crate::graph::Input;
use crate::model::{Architecture, EncoderConfig, Model, ModelReference, bundled};

/// Tokens of a context that a model with a tokenizer is measured on, at most.
const TOKEN_CONTEXT: usize = 256;
/// Tokens of a context of a user's text, where nothing else is asked for: what llama.cpp takes.
const LLAMA_CPP_CONTEXT: u32 = 512;
/// Such contexts.
const TOKEN_CONTEXTS: usize = 32;
/// What the program code is that ships.
const CODE: &str = "34 KiB of this program's own sources, in Rust and Python";
/// Far more text than is measured in an hour.
const LONGEST_TEXT: u64 = 64 << 20;

/// The user's data for a model; texts in contexts of so many tokens. Where the network can read images of several sizes it
/// becomes that of the size that the images are prepared to.
pub(super) fn own(
    model: &mut Model,
    data: &OwnData,
    context: Option<u32>,
) -> Result<(EvaluationSet, String)> {
    if let Some(config) = model.architecture.onnx() {
        let (OwnData::Text(path) | OwnData::Images { path, .. }) = data else {
            return Err(Error::Infeasible(
                "a network of an ONNX file is measured on arrays of its inputs".to_owned(),
            ));
        };
        let (set, said) = arrays::read(config, path)?;
        return Ok((EvaluationSet::Generated(set), said));
    }
    let reads_text = matches!(model.architecture.input(), Input::Tokens { .. });
    match data {
        OwnData::Code if reads_text => {
            let context = context.or(Some(TOKEN_CONTEXT as u32));
            let set = text(model, bundled::code_text()?, context)?;
            Ok((set, CODE.to_owned()))
        }
        OwnData::Text(path) if reads_text => {
            let set = text(model, files::read_text(path, LONGEST_TEXT)?, context)?;
            Ok((set, format!("the text {}", path.display())))
        }
        OwnData::Code | OwnData::Text(_) => Err(Error::Infeasible(
            "the model reads no text and cannot be measured on one".to_owned(),
        )),
        OwnData::Images { .. } if reads_text => Err(Error::Infeasible(
            "the model reads text and cannot be measured on images".to_owned(),
        )),
        OwnData::Images {
            path,
            preprocessing,
        } => {
            let graph = model.architecture.graph();
            if graph.sampling().is_some()
                || matches!(graph.input, Some(Input::Noise { .. } | Input::Noisy(_)))
            {
                return Err(Error::Infeasible(
                    "models that make pictures are measured on those that ship; classifiers are measured on images of your own".to_owned(),
                ));
            }
            let stated = match (preprocessing, &model.reference) {
                (Some(stated), _) => Some(stated.clone()),
                (None, ModelReference::File(file)) => Preprocessing::beside(file)?,
                (None, _) => None,
            };
            let size = stated.as_ref().and_then(Preprocessing::size);
            if let Some((rows, columns)) = size
                && rows == columns
                && let Some(resized) = model.architecture.reading(rows)
            {
                model.architecture = resized;
            }
            let graph = model.architecture.graph();
            let images = Images::read(path, wanted(&graph)?, stated.as_ref())?;
            let said = images.said.clone();
            Ok((EvaluationSet::own_images(&graph, images)?, said))
        }
    }
}

/// All of a text, as a model reads it.
fn text(model: &Model, text: String, context: Option<u32>) -> Result<EvaluationSet> {
    if let Architecture::Encoder(config) = &model.architecture {
        return sentences(model, config, &text, context);
    }
    match (model.architecture.input(), &model.tokenizer) {
        (Input::Tokens { context: most, .. }, Some(tokenizer)) => {
            let wanted = context.unwrap_or(LLAMA_CPP_CONTEXT).min(most);
            EvaluationSet::tokens(tokenizer, &text, wanted as usize, usize::MAX)
        }
        _ => EvaluationSet::text(&model.architecture.graph(), text.into_bytes()),
    }
}

/// The held-out data that ships for models like this one.
pub(super) fn evaluation_set(model: &Model) -> Result<EvaluationSet> {
    let architecture = &model.architecture;
    if let Architecture::Encoder(config) = architecture {
        let text = bundled::evaluation_text()?;
        return sentences(model, config, &String::from_utf8_lossy(&text), None);
    }
    if let Some(config) = architecture.onnx() {
        // Where nothing can be made up, that is said when it is to be measured.
        let given = config.asked().unwrap_or_default().to_vec();
        let set = GeneratedSet::new(given, config.outputs().to_vec());
        return Ok(EvaluationSet::Generated(set));
    }
    match architecture.input() {
        Input::Noise { .. } | Input::Noisy(_) => pictures(architecture),
        Input::Image(_) if architecture.graph().sampling().is_some() => pictures(architecture),
        Input::Image((channels, rows, columns)) if !architecture.data_ship() => {
            Err(Error::Infeasible(format!(
                "no images ship that a network of {channels} x {rows} x {columns} values and {} classes could be measured on; give some of your own",
                architecture.graph().outputs()
            )))
        }
        Input::Image(_) => {
            let (pixels, labels) = bundled::evaluation_images()?;
            EvaluationSet::images(&architecture.graph(), pixels, labels)
        }
        Input::Tokens {
            context,
            vocabulary,
        } => match &model.tokenizer {
            None if vocabulary != 256 => Err(without_tokenizer(vocabulary)),
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

fn without_tokenizer(vocabulary: u32) -> Error {
    Error::Infeasible(format!(
        "the file does not carry the tokenizer of its {vocabulary} tokens, as files that this program packs do not; open the file that it was made from"
    ))
}

/// Sentences of a text for an encoder, each of at most so many tokens.
fn sentences(
    model: &Model,
    config: &EncoderConfig,
    text: &str,
    context: Option<u32>,
) -> Result<EvaluationSet> {
    let Some(tokenizer) = &model.tokenizer else {
        let vocabulary = u32::try_from(config.vocabulary).unwrap_or(u32::MAX);
        return Err(without_tokenizer(vocabulary));
    };
    let wanted = context.map_or(config.context, |context| context as usize);
    EvaluationSet::sentences(tokenizer, text, wanted.min(config.context), config.pooling)
}

/// Held-out images for a network that makes such, seen by the bundled classifier.
fn pictures(architecture: &Architecture) -> Result<EvaluationSet> {
    let (pixels, labels) = bundled::evaluation_images()?;
    let judge = bundled::load(bundled::JUDGE)?;
    EvaluationSet::pictures(&architecture.graph(), pixels, labels, &judge)
}
