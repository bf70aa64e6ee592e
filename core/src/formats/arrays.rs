//! Models in files of PyTorch, NumPy and TensorFlow.js: the families that are told by their tensors, as in safetensors files
//! without metadata.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::Dtype;

use super::safetensors::{Contents, IGNORED, Listed, Listing, Problem, recognised};
use super::{HEAD, begins, foreign};
use crate::error::{Error, Result};
use crate::model::{StoredFormat, Tensors, admit, own_names};
use crate::number;
use crate::weights::Source;
use crate::weights::arrays::{self, Arrays, Writer};

/// The list of a model of TensorFlow.js in its folder.
const LIST: &str = "model.json";

/// The program whose arrays begin so.
pub(super) fn writer(head: &[u8]) -> Option<Writer> {
    match foreign::kind(head)? {
        foreign::Kind::TorchArchive => Some(Writer::TorchArchive),
        foreign::Kind::Pickle => Some(Writer::Pickle),
        foreign::Kind::NumPy => Some(Writer::NumPy),
        foreign::Kind::TensorFlowJs => Some(Writer::TensorFlowJs),
        _ => None,
    }
}

/// The file that a path means: itself, or the list in a folder of TensorFlow.js.
pub(crate) fn file(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join(LIST),
        false => path.to_owned(),
    }
}

/// The program that wrote the arrays in a file or folder.
pub(crate) fn found(path: &Path) -> Option<Writer> {
    writer(&begins(&file(path))?)
}

/// Opens the arrays in a file or folder; `None` where it has none.
pub(crate) fn open(path: &Path) -> Option<Result<Arrays>> {
    let writer = found(path)?;
    Some(arrays::open(&file(path), writer).map_err(|error| unread(error, writer, path)))
}

/// The same from the bytes of a file; `None` where they begin as none.
pub(crate) fn open_bytes(bytes: &[u8], path: &Path) -> Option<Result<Arrays>> {
    let head = bytes.get(..HEAD as usize).unwrap_or(bytes);
    let writer = writer(head)?;
    let arrays = arrays::open_bytes(bytes.to_vec(), path, writer);
    Some(arrays.map_err(|error| unread(error, writer, path)))
}

fn unread(error: Error, writer: Writer, path: &Path) -> Error {
    let kind = match writer {
        Writer::TorchArchive => foreign::Kind::TorchArchive,
        Writer::Pickle => foreign::Kind::Pickle,
        Writer::NumPy => foreign::Kind::NumPy,
        Writer::TensorFlowJs => foreign::Kind::TensorFlowJs,
    };
    match error {
        Error::File { fact, path: place } if place.starts_with(path) => {
            Error::file(kind.unread(&fact, path), place)
        }
        other => other,
    }
}

/// The network that arrays are of, and their values.
pub(super) fn contents(source: &Arrays) -> std::result::Result<Contents, Problem> {
    let wrong = |fact: String| Err(Problem::Content(fact));
    let names = names(source);
    let shapes = shapes(source, &names);
    let architecture = recognised(&shapes)?;
    if let Some(fact) = architecture.mismatch_of_shapes(&shapes) {
        return wrong(fact);
    }
    let mut tensors = Tensors::new();
    let mut stored = BTreeMap::new();
    for (name, at) in &names {
        let info = &source.tensors()[*at];
        use number::StoredFormat as F;
        if !matches!(
            info.format,
            F::F64 | F::F32 | F::F16 | F::BF16 | F::Packed { .. }
        ) {
            return wrong(format!(
                "tensor '{name}' is of type {}; only numbers of 64, 32 and 16 bits can be opened",
                info.format.name()
            ));
        }
        let mut values = vec![0.0; info.elements()];
        source
            .decode(*at, 0..info.rows(), &mut values)
            .map_err(|error| Problem::Content(error.to_string()))?;
        let tensor = Tensor::from_vec(values, info.shape.as_slice(), &Device::Cpu)
            .map_err(|error| Problem::Content(error.to_string()))?;
        tensors.insert(name.clone(), tensor);
        let format = match info.format {
            F::F16 => StoredFormat::Half,
            F::BF16 => StoredFormat::Brain,
            _ => continue,
        };
        stored.insert(name.clone(), format);
    }
    admit(&architecture, &tensors, None).map_err(Problem::Content)?;
    Ok(Contents {
        architecture,
        tensors,
        recipe: None,
        stored,
        metadata: BTreeMap::new(),
    })
}

/// The tensors of a network by the names that they have here.
fn names(source: &Arrays) -> BTreeMap<String, usize> {
    let all: BTreeMap<String, usize> = source
        .tensors()
        .iter()
        .enumerate()
        .filter(|(_, info)| !info.name.ends_with(IGNORED))
        .map(|(at, info)| (info.name.clone(), at))
        .collect();
    let Some(own) = own_names(&shapes(source, &all)) else {
        return all;
    };
    all.into_iter()
        .map(|(name, at)| (own.get(&name).cloned().unwrap_or(name), at))
        .collect()
}

fn shapes<'a>(
    source: &'a Arrays,
    names: &'a BTreeMap<String, usize>,
) -> BTreeMap<&'a str, &'a [usize]> {
    let infos = source.tensors();
    names
        .iter()
        .map(|(name, at)| (name.as_str(), infos[*at].shape.as_slice()))
        .collect()
}

/// The tensors by name, type and shape.
pub(super) fn list(source: &Arrays) -> Listing {
    let mut tensors: Vec<Listed> = source
        .tensors()
        .iter()
        .map(|info| Listed {
            name: info.name.clone(),
            dtype: dtype(info.format),
            shape: info.shape.clone(),
        })
        .collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let names = names(source);
    let shapes = shapes(source, &names);
    Listing::new(tensors, &shapes, recognised(&shapes).ok(), false)
}

/// The same type as safetensors files call it.
fn dtype(format: number::StoredFormat) -> Dtype {
    use number::StoredFormat as F;
    match format {
        F::F64 => Dtype::F64,
        F::F32 => Dtype::F32,
        F::F16 => Dtype::F16,
        F::BF16 => Dtype::BF16,
        F::F8_E4M3 => Dtype::F8_E4M3,
        F::F8_E5M2 => Dtype::F8_E5M2,
        F::Bool => Dtype::BOOL,
        F::I8 => Dtype::I8,
        F::I16 => Dtype::I16,
        F::U16 => Dtype::U16,
        F::I32 => Dtype::I32,
        F::U32 => Dtype::U32,
        F::I64 => Dtype::I64,
        F::U64 => Dtype::U64,
        F::Packed { bits: 16, .. } => Dtype::U16,
        F::Other { bits: 64, .. } => Dtype::C64,
        _ => Dtype::U8,
    }
}
