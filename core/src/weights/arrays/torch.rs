//! Files of PyTorch (`torch/serialization.py`, <https://github.com/pytorch/pytorch>): a zip archive with a pickle and a file
//! for each storage, or, before 1.6, pickles and the storages behind them.

use std::collections::HashMap;

use super::groups::{self, Group};
use super::pickle::{self, Read, Stored, Tensor, Value};
use super::{Arrays, Piece, Storage, View, zip};
use crate::error::Result;
use crate::weights::place::Place;

/// What old files begin with: a pickle of this number.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The version of such files.
const PROTOCOL: i64 = 1001;

/// A storage, its bytes, and whether the first byte of an element is its highest.
type Storages = HashMap<String, (usize, bool)>;

/// Opens a zip archive.
pub(super) fn archive(place: Place) -> Result<Arrays> {
    let files = zip::list(&place)?;
    let found = files
        .iter()
        .find(|(name, _)| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some((name, entry)) = found else {
        return Err(place.wrong("this zip archive of PyTorch has no data.pkl"));
    };
    let folder = name.strip_suffix("data.pkl").unwrap_or_default();
    let order = match files.get(&format!("{folder}byteorder")) {
        Some(order) => order.head(&place, 16)?,
        None => Vec::new(),
    };
    let read = unpickle(&place, entry)?;
    let mut storages = Vec::new();
    let mut known = Storages::new();
    let prefix = format!("{folder}data/");
    for (name, entry) in files.range(prefix.clone()..) {
        let Some(key) = name.strip_prefix(&prefix) else {
            break;
        };
        known.insert(key.to_owned(), (storages.len(), order == b"big"));
        storages.push(super::of_entry(entry.clone()));
    }
    finish(place, &read, storages, &known)
}

fn unpickle(place: &Place, entry: &zip::Entry) -> Result<Read> {
    let read = match entry.is_deflated {
        false => pickle::read(place, entry.start, entry.start + entry.length),
        true => {
            let inner = Place::of_bytes(entry.all(place)?, &place.path);
            pickle::read(&inner, 0, inner.length)
        }
    };
    read.map_err(|fact| place.wrong(fact))
}

/// Opens the pickles of an old file, or a bare one.
pub(super) fn pickles(place: Place) -> Result<Arrays> {
    let next = |start| pickle::read(&place, start, place.length).map_err(|fact| place.wrong(fact));
    let first = next(0)?;
    if !matches!(first.get(first.root), Value::Long(bytes) if *bytes == MAGIC) {
        // A bare pickle has no storages that could be views.
        return finish(place, &first, Vec::new(), &Storages::new());
    }
    let version = next(first.end)?;
    if !matches!(version.get(version.root), Value::Int(PROTOCOL)) {
        return Err(place.wrong("this file of PyTorch is of a version that is not read"));
    }
    let system = next(version.end)?;
    let is_big = match system.get(system.root) {
        Value::Dict(items) => items.iter().any(|(key, value)| {
            matches!(system.get(*key), Value::Text(key) if key == "little_endian")
                && matches!(system.get(*value), Value::Int(0))
        }),
        _ => false,
    };
    let read = next(system.end)?;
    let keys = next(read.end)?;
    let Value::List(listed) = keys.get(keys.root) else {
        return Err(place.wrong("the list of storages of this PyTorch file is damaged"));
    };
    let widths = widths(&read);
    let (mut at, mut storages, mut known) = (keys.end, Vec::new(), Storages::new());
    for key in listed {
        let key = match keys.get(*key) {
            Value::Text(key) => key.clone(),
            Value::Int(key) => key.to_string(),
            _ => return Err(place.wrong("the list of storages of this PyTorch file is damaged")),
        };
        let (elements, width) = widths.get(key.as_str()).copied().unwrap_or((0, 0));
        let said = place.read(at, 8)?;
        let said = said
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let length = said.checked_mul(width);
        let start = at + 8;
        let end = length.and_then(|length| start.checked_add(length));
        let (Some(length), Some(end)) = (length, end.filter(|end| *end <= place.length)) else {
            return Err(place.wrong(format!(
                "the file is cut short: storage '{}' says that it has {said} elements",
                key.escape_debug()
            )));
        };
        if said != elements {
            return Err(place.wrong(format!(
                "storage '{}' says that it has {said} elements, and its tensors that it has {elements}",
                key.escape_debug()
            )));
        }
        known.insert(key, (storages.len(), is_big));
        storages.push(Storage::Pieces(vec![Piece {
            file: 0,
            start,
            length,
        }]));
        at = end;
    }
    finish(place, &read, storages, &known)
}

/// Elements of each storage that a pickle names, and bytes of an element.
fn widths(read: &Read) -> HashMap<&str, (u64, u64)> {
    let named = read.values.iter().filter_map(|value| match value {
        Value::Storage(stored) => {
            let width = stored.format.map_or(1, super::width);
            Some((stored.key.as_str(), (stored.elements, width as u64)))
        }
        _ => None,
    });
    named.collect()
}

/// The tensors of the group that holds the weights.
fn finish(place: Place, read: &Read, storages: Vec<Storage>, known: &Storages) -> Result<Arrays> {
    let chosen = groups::chosen(read).map_err(|fact| place.wrong(fact))?;
    let Group { tensors, .. } = &chosen.group;
    let mut named = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let view = view(tensor, known)
            .map_err(|fact| place.wrong(format!("tensor '{}' {fact}", name.escape_debug())))?;
        named.push((name.clone(), view));
    }
    let named = without_wrapper(named);
    let mut arrays = Arrays::new(vec![place], storages, named)?;
    arrays.notes = chosen.notes;
    Ok(arrays)
}

fn view(tensor: &Tensor, known: &Storages) -> std::result::Result<View, String> {
    let Stored { key, offset, .. } = &tensor.stored;
    let (storage, is_big_endian) = *known.get(key).ok_or_else(|| {
        format!(
            "has its numbers in storage '{}', which is missing",
            key.escape_debug()
        )
    })?;
    let width = super::width(tensor.format) as u64;
    let offset = offset
        .checked_add(tensor.offset)
        .and_then(|elements| elements.checked_mul(width))
        .ok_or("begins at an absurd place")?;
    Ok(View {
        storage,
        offset,
        shape: tensor.shape.clone(),
        strides: tensor.strides.clone(),
        format: tensor.format,
        is_big_endian,
        codes: None,
    })
}

/// Leaves out what a wrapper writes before every name: that of several devices, that of compiled networks.
fn without_wrapper(named: Named) -> Named {
    ["module.", "_orig_mod."]
        .iter()
        .fold(named, |named, prefix| {
            match named.iter().all(|(name, _)| name.starts_with(prefix)) {
                true => named
                    .into_iter()
                    .map(|(name, view)| (name[prefix.len()..].to_owned(), view))
                    .collect(),
                false => named,
            }
        })
}

type Named = Vec<(String, View)>;
