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
    let source = source.as_ref();
    let wrong = |fact: String| Error::file(fact, path);
    let config = DecoderConfig::of_gguf(source).map_err(wrong)?;
    let architecture = Architecture::Decoder(config);
    if let Some(fact) = architecture.implausible() {
        return Err(wrong(format!("its metadata have {fact}")));
    }
    let parameters = architecture.parameters();
    if parameters > LARGEST {
        return Err(wrong(format!(
            "it has {:.1} billion parameters; more than {:.1} billion are not recompressed in memory yet",
            parameters as f64 / 1e9,
            LARGEST as f64 / 1e9
        )));
    }
    let shapes = source
        .tensors()
        .iter()
        .map(|tensor| (tensor.name.as_str(), below_each_other(&tensor.shape)))
        .collect::<Vec<_>>();
    let shapes = shapes
        .iter()
        .map(|(name, shape)| (*name, shape.as_slice()))
        .collect();
    if let Some(fact) = architecture.mismatch_of_shapes(&shapes) {
        return Err(wrong(fact));
    }
    let tokenizer = Tokenizer::from_weights(source, path)?;
    if tokenizer.vocabulary() != architecture.graph().outputs() {
        return Err(wrong(format!(
            "its tokenizer has {} pieces, its network {}",
            tokenizer.vocabulary(),
            architecture.graph().outputs()
        )));
    }
    let (tensors, stored, blocks) = read(source)?;
    let name = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let reference = ModelReference::File(path.to_owned());
    let model = Model::new(reference, name, architecture, tensors)
        .map_err(|error| wrong(error.to_string()))?;
    Ok(Model {
        stored,
        blocks,
        tokenizer: Some(Arc::new(tokenizer)),
        ..model
    })
}

/// The shape of the same numbers with the matrices of all experts below each other.
fn below_each_other(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [experts, rows, columns] => vec![experts.saturating_mul(rows), columns],
        _ => shape.to_vec(),
    }
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
        let shape = below_each_other(&info.shape);
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
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
