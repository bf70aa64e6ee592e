//! Safetensors of other programs: one file, or several with an index that says which tensor is in which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde::Deserialize;

use super::header::Header;
use super::opened::Opened;
use super::place::Place;
use super::{Metadata, TensorInfo};
use crate::error::{Error, Result};
use crate::files::{self, folder_of};
use crate::formats;
use crate::number::StoredFormat;

/// Names that weights have in a folder, the first of them first.
const USUAL: [&str; 4] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
];
/// The longest index; those of the largest networks have some 10 MB.
const LONGEST_INDEX: u64 = 64 << 20;
/// The most files of an index.
const MOST_FILES: usize = 1_000;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The file to be opened for a folder; `None` where the path is no folder.
pub(super) fn inside(path: &Path) -> Result<Option<PathBuf>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let found = USUAL
        .iter()
        .map(|name| path.join(name))
        .find(|path| path.exists());
    found.map(Some).ok_or_else(|| {
        Error::file(
            format!(
                "this folder has neither '{}' nor '{}'; open the file with the weights itself",
                USUAL[0], USUAL[1]
            ),
            path,
        )
    })
}

/// Opens a safetensors file or an index.
pub(super) fn open(place: Place) -> Result<Opened> {
    // An index is an object; a safetensors file begins with the length of its header, which as text would be absurd.
    let start = place.read(0, place.length.min(9) as usize)?;
    let text = start.first() == Some(&b'{') && start.get(8) != Some(&b'{');
    let named = place
        .path
        .extension()
        .is_some_and(|ending| ending == "json");
    if text || named {
        return open_index(&place.path);
    }
    open_alone(place)
}

/// Opens a single file.
pub(super) fn open_alone(place: Place) -> Result<Opened> {
    let header = header(&place)?;
    Opened::new(vec![(place, header)])
}

fn open_index(path: &Path) -> Result<Opened> {
    let wrong = |fact: String| Error::file(fact, path);
    let bytes = files::read_bytes(path, LONGEST_INDEX)?;
    let index: Index = crate::unique::json(&bytes)
        .and_then(serde_json::from_value)
        .map_err(|error| wrong(format!("this is no index of safetensors files ({error})")))?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    if names.is_empty() || names.len() > MOST_FILES {
        return Err(wrong(format!(
            "the index names {} files; 1 to {MOST_FILES} are opened",
            names.len()
        )));
    }
    let mut parts = Vec::with_capacity(names.len());
    let mut found = BTreeSet::new();
    for name in names {
        let mut components = Path::new(name).components();
        let plain = matches!(components.next(), Some(std::path::Component::Normal(_)));
        if !plain || components.next().is_some() || name.contains('\\') {
            return Err(wrong(format!(
                "the index names the file '{name}', which is not one beside it"
            )));
        }
        let place = Place::open(&folder_of(path).join(name))?;
        let mut header = header(&place)?;
        // What the index has elsewhere is taken from there.
        let starts = std::mem::take(&mut header.starts);
        (header.tensors, header.starts) = std::mem::take(&mut header.tensors)
            .into_iter()
            .zip(starts)
            .filter(|(info, _)| {
                index
                    .weight_map
                    .get(&info.name)
                    .is_none_or(|file| file == name)
            })
            .unzip();
        found.extend(header.tensors.iter().map(|info| info.name.clone()));
        parts.push((place, header));
    }
    if let Some((tensor, file)) = index
        .weight_map
        .iter()
        .find(|(name, _)| !found.contains(*name))
    {
        return Err(wrong(format!(
            "by the index tensor '{tensor}' is in '{file}', which does not have it"
        )));
    }
    Opened::new(parts)
}

/// The header of a file, by the checks that files of the program's own are read with.
fn header(place: &Place) -> Result<Header> {
    let header = formats::header(&mut place.reading(), place.length, &place.path)?;
    let data = header.data;
    let mut entries: Vec<_> = header.tensors.into_iter().collect();
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut all = Header {
        metadata: header
            .metadata
            .into_iter()
            .map(|(key, text)| (key, Metadata::Text(text)))
            .collect(),
        tensors: Vec::with_capacity(entries.len()),
        starts: Vec::with_capacity(entries.len()),
    };
    for (name, entry) in entries {
        let row = entry
            .shape
            .iter()
            .skip(1)
            .try_fold(1_usize, |n, extent| n.checked_mul(*extent));
        if row.is_none() {
            return Err(place.wrong(format!(
                "tensor '{name}' has the absurd shape {:?}",
                entry.shape
            )));
        }
        let (start, end) = entry.data_offsets;
        all.tensors.push(TensorInfo {
            name,
            shape: entry.shape,
            format: format(entry.dtype),
            bytes: end - start,
        });
        all.starts.push(data + start);
    }
    Ok(all)
}

fn format(dtype: Dtype) -> StoredFormat {
    use StoredFormat as F;
    let other = |name| F::Other {
        name,
        bits: dtype.bitsize() as u32,
    };
    match dtype {
        Dtype::F64 => F::F64,
        Dtype::F32 => F::F32,
        Dtype::F16 => F::F16,
        Dtype::BF16 => F::BF16,
        Dtype::F8_E4M3 => F::F8_E4M3,
        Dtype::F8_E5M2 => F::F8_E5M2,
        Dtype::BOOL => F::Bool,
        Dtype::I8 => F::I8,
        Dtype::U8 => F::U8,
        Dtype::I16 => F::I16,
        Dtype::U16 => F::U16,
        Dtype::I32 => F::I32,
        Dtype::U32 => F::U32,
        Dtype::I64 => F::I64,
        Dtype::U64 => F::U64,
        Dtype::F4 => other("F4"),
        Dtype::F6_E2M3 => other("F6_E2M3"),
        Dtype::F6_E3M2 => other("F6_E3M2"),
        Dtype::F8_E8M0 => other("F8_E8M0"),
        Dtype::F8_E4M3FNUZ => other("F8_E4M3FNUZ"),
        Dtype::F8_E5M2FNUZ => other("F8_E5M2FNUZ"),
        Dtype::C64 => other("C64"),
        _ => other("of a kind that is not known"),
    }
}
