//! Language models of other programs: a GGUF whose network is of a family that runs here, with the tokenizer inside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::error::{Error, Result};
use crate::model::{
    Architecture, Blocks, DecoderConfig, Model, ModelReference, StoredFormat, Tensors,
};
use crate::tokenizer::Tokenizer;
use crate::weights::{self, Source};

/// Parameters of the largest model that is held in memory whole, in single precision, original and compressed.
const LARGEST: u64 = 1_500_000_000;

/// Opens a GGUF.
///
/// # Errors
/// [`Error::File`] saying what the file or its network is instead, what in it is damaged, or that it is too large.
pub(super) fn open(path: &Path) -> Result<Model> {
    let source = weights::open(path)?;
    let config = DecoderConfig::of_gguf(source.as_ref()).map_err(|fact| Error::file(fact, path))?;
    let architecture = Architecture::Decoder(config);
    check(&architecture, source.as_ref()).map_err(|fact| Error::file(fact, path))?;
    let tokenizer = Tokenizer::from_weights(source.as_ref(), path)?;
    if tokenizer.vocabulary() != architecture.graph().outputs() {
        let fact = format!(
            "its tokenizer has {} pieces, its network {}",
            tokenizer.vocabulary(),
            architecture.graph().outputs()
        );
        return Err(Error::file(fact, path));
    }
    assemble(path, source.as_ref(), architecture, tokenizer)
}

/// Whether a network can be held in memory and the tensors of a file are its own; the error is the fact.
///
/// # Errors
/// What is implausible in its shape, that it is too large, or the first tensor that does not fit.
pub(super) fn check(
    architecture: &Architecture,
    source: &dyn Source,
) -> std::result::Result<(), String> {
    if let Some(fact) = not_held(architecture) {
        return Err(fact);
    }
    let shapes = source
        .tensors()
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()))
        .collect();
    architecture.mismatch_of_shapes(&shapes).map_or(Ok(()), Err)
}

/// Why a network cannot be held in memory: what is implausible in its shape, or that it is too large.
pub(super) fn not_held(architecture: &Architecture) -> Option<String> {
    if let Some(fact) = architecture.implausible() {
        return Some(format!("its metadata have {fact}"));
    }
    let parameters = architecture.parameters();
    (parameters > LARGEST).then(|| {
        format!(
            "it has {:.1} billion parameters; more than {:.1} billion are not recompressed in memory yet",
            parameters as f64 / 1e9,
            LARGEST as f64 / 1e9
        )
    })
}

/// Reads the tensors of a network that was checked and puts its model together; `path` is what was opened.
///
/// # Errors
/// [`Error::File`] saying what in the file is damaged.
pub(super) fn assemble(
    path: &Path,
    source: &dyn Source,
    architecture: Architecture,
    tokenizer: Tokenizer,
) -> Result<Model> {
    let (tensors, stored, blocks) = read(source)?;
    let name = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let reference = ModelReference::File(path.to_owned());
    let model = Model::new(reference, name, architecture, tensors)
        .map_err(|error| Error::file(error.to_string(), path))?;
    Ok(Model {
        stored,
        blocks,
        tokenizer: Some(Arc::new(tokenizer)),
        ..model
    })
}

type Read = (
    Tensors,
    BTreeMap<String, StoredFormat>,
    BTreeMap<String, Blocks>,
);

/// All tensors in single precision, and how they are stored.
fn read(source: &dyn Source) -> Result<Read> {
    let (mut tensors, mut stored, mut blocks) = (Tensors::new(), BTreeMap::new(), BTreeMap::new());
    for (i, info) in source.tensors().iter().enumerate() {
        let mut values = vec![0.0; info.elements()];
        source.decode(i, 0..info.rows(), &mut values)?;
        let tensor = Tensor::from_vec(values, info.shape.as_slice(), &Device::Cpu)?;
        tensors.insert(info.name.clone(), tensor);
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
    Ok((tensors, stored, blocks))
}
