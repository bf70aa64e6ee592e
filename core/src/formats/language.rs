//! Language models of other programs: a GGUF whose network is of a family that runs here, with the tokenizer inside it;
//! and what these and the folders of [`super::hugging_face`] have in common.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::{
    Architecture, Blocks, DecoderConfig, EncoderConfig, Model, ModelReference, StoredFormat,
};
use crate::tokenizer::Tokenizer;
use crate::weights::{self, Source};

/// Opens a GGUF.
///
/// # Errors
/// [`Error::File`] saying what the file or its network is instead, or what in it is damaged.
pub(super) fn open(path: &Path) -> Result<Model> {
    let source: Arc<dyn Source> = weights::open_flat(path)?.into();
    let network = match EncoderConfig::is_gguf(source.as_ref()) {
        true => EncoderConfig::of_gguf(source.as_ref())
            .map(|config| (config.vocabulary, Architecture::Encoder(config))),
        false => DecoderConfig::of_gguf(source.as_ref())
            .map(|config| (config.vocabulary, Architecture::Decoder(config))),
    };
    let (vocabulary, architecture) = network.map_err(|fact| Error::file(fact, path))?;
    check(&architecture, source.as_ref()).map_err(|fact| Error::file(fact, path))?;
    let tokenizer = Tokenizer::from_weights(source.as_ref(), path)?;
    if tokenizer.vocabulary() != vocabulary {
        let fact = format!(
            "its tokenizer has {} pieces, its network {}",
            tokenizer.vocabulary(),
            vocabulary
        );
        return Err(Error::file(fact, path));
    }
    assemble(path, source, architecture, tokenizer)
}

/// Whether a path leads to a whole GGUF of a kind that is not run, with a matrix that can be decoded.
pub(crate) fn is_of_unknown_kind(path: &Path) -> bool {
    if !super::begins(path).is_some_and(|head| head.starts_with(b"GGUF")) {
        return false;
    }
    weights::open(path).is_ok_and(|source| {
        let known =
            EncoderConfig::is_gguf(source.as_ref()) || DecoderConfig::knows(source.as_ref());
        let is_matrix = |info: &weights::TensorInfo| {
            info.shape.len() >= 2 && info.elements() > 1 && info.format.can_be_decoded()
        };
        !known && source.tensors().iter().any(is_matrix)
    })
}

/// Whether a network can be run and the tensors of a file are its own; the error is the fact.
///
/// # Errors
/// What is implausible in its shape, or the first tensor that does not fit.
pub(super) fn check(
    architecture: &Architecture,
    source: &dyn Source,
) -> std::result::Result<(), String> {
    if let Some(fact) = architecture.implausible() {
        return Err(format!("its metadata have {fact}"));
    }
    let shapes = source
        .tensors()
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()))
        .collect();
    architecture.mismatch_of_shapes(&shapes).map_or(Ok(()), Err)
}

/// Puts the model together of a network that was checked; `path` is what was opened. The weights stay in the file.
///
/// # Errors
/// [`Error::File`] saying what in the file is damaged.
pub(super) fn assemble(
    path: &Path,
    source: Arc<dyn Source>,
    architecture: Architecture,
    tokenizer: Tokenizer,
) -> Result<Model> {
    let (stored, blocks) = formats(source.as_ref());
    let name = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let reference = ModelReference::File(path.to_owned());
    let model =
        Model::stored(reference, name, architecture, source).map_err(|error| match error {
            Error::Compute(fact) => Error::file(fact, path),
            other => other,
        })?;
    Ok(Model {
        stored,
        blocks,
        tokenizer: Some(Arc::new(tokenizer)),
        ..model
    })
}

/// How a file stores its tensors, by name: in 16 bits, or in blocks of integers.
pub(crate) fn formats(
    source: &dyn Source,
) -> (BTreeMap<String, StoredFormat>, BTreeMap<String, Blocks>) {
    let (mut stored, mut blocks) = (BTreeMap::new(), BTreeMap::new());
    for info in source.tensors() {
        let name = info.name.clone();
        match info.format {
            weights::StoredFormat::F16 => {
                stored.insert(name, StoredFormat::Half);
            }
            weights::StoredFormat::BF16 => {
                stored.insert(name, StoredFormat::Brain);
            }
            format => {
                if let Some(bits) = format.bits_of_codes() {
                    blocks.insert(
                        name,
                        Blocks {
                            format: format.name(),
                            bits,
                            bytes: info.bytes,
                        },
                    );
                }
            }
        }
    }
    (stored, blocks)
}
