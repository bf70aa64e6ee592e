//! What stands in a GGUF before the weights (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): metadata, and
//! of each tensor its name, shape, format and place. All of it is checked against the length of the file.

use std::collections::{BTreeMap, HashSet};

use super::metadata::{Metadata, NumberKind, Numbers};
use super::place::Place;
use super::{TensorInfo, place};
use crate::error::Result;
use crate::number::StoredFormat;

/// The longest name of a key or tensor; the format has at most 65,535 and 64 bytes.
const LONGEST_NAME: u64 = (1 << 16) - 1;
/// The most bytes before the weights that are read; vocabularies of 260,000 words take about 10 MB.
const LONGEST_HEADER: u64 = 256 << 20;
/// The most keys; published files have fewer than a hundred.
const MOST_KEYS: u64 = 10_000;
/// The most tensors; the largest published networks have a few thousand, with each expert apart some 50,000.
const MOST_TENSORS: u64 = 100_000;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: u32 = 4;
/// How deep lists lie in lists.
const DEEPEST: usize = 4;
/// Where tensors begin unless the metadata say otherwise.
const ALIGNMENT: u64 = 32;
/// The widest alignment that is believed.
const WIDEST_ALIGNMENT: u64 = 1 << 20;

/// The types of values that are no numbers.
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// The header of one file.
#[derive(Debug)]
pub(super) struct Header {
    /// By key.
    pub(super) metadata: BTreeMap<String, Metadata>,
    /// In the order of the file.
    pub(super) tensors: Vec<TensorInfo>,
    /// Where each of them begins in the file.
    pub(super) starts: Vec<u64>,
}

/// Reads the header.
pub(super) fn read(place: &Place) -> Result<Header> {
    let mut reader = Reader::new(place);
    let magic = reader.bytes::<4>()?;
    if magic != *b"GGUF" {
        return Err(place.wrong("this is no GGUF file"));
    }
    check_version(place, reader.u32()?)?;
    let tensors = reader.u64()?;
    let keys = reader.u64()?;
    // A key takes at least its length, a type and a value; a tensor its length, dimensions, format and place.
    for (count, most, least, what) in [
        (tensors, MOST_TENSORS, 24, "tensors"),
        (keys, MOST_KEYS, 13, "keys"),
    ] {
        if count > most {
            return Err(place.wrong(format!(
                "the file says that it has {count} {what}; more than {most} are not read"
            )));
        }
        if count * least > place.length {
            return Err(place.wrong(format!(
                "the file is cut short: {count} {what} do not fit into its {} bytes",
                place.length
            )));
        }
    }
    let mut metadata = BTreeMap::new();
    for _ in 0..keys {
        let key = reader.name("a key")?;
        let kind = reader.u32()?;
        let value = reader.value(kind, &key, DEEPEST)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(place.wrong(format!("the key '{key}' is there twice")));
        }
    }
    let alignment = alignment(place, &metadata)?;
    let mut infos = Vec::new();
    let mut offsets = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..tensors {
        let (info, offset) = reader.tensor()?;
        if !names.insert(info.name.clone()) {
            return Err(place.wrong(format!("tensor '{}' is there twice", info.name)));
        }
        if !offset.is_multiple_of(alignment) {
            return Err(place.wrong(format!(
                "tensor '{}' begins at byte {offset} of the data, no multiple of {alignment}",
                info.name
            )));
        }
        infos.push(info);
        offsets.push(offset);
    }
    let data = reader.at.next_multiple_of(alignment);
    check_places(place, &infos, &offsets, data)?;
    Ok(Header {
        metadata,
        tensors: infos,
        // Each was found to lie in the file.
        starts: offsets.into_iter().map(|offset| data + offset).collect(),
    })
}

fn check_version(place: &Place, version: u32) -> Result<()> {
    let fact = match version {
        2 | 3 => return Ok(()),
        1 => "this is a GGUF of version 1, which only early test files have; versions 2 and 3 are read".to_owned(),
        swapped if matches!(swapped.swap_bytes(), 1..=3) => {
            "this is a big-endian GGUF, for machines of another byte order; only little-endian ones are read"
                .to_owned()
        }
        other => format!("this is a GGUF of version {other}; versions 2 and 3 are read"),
    };
    Err(place.wrong(fact))
}

fn alignment(place: &Place, metadata: &BTreeMap<String, Metadata>) -> Result<u64> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(ALIGNMENT);
    };
    value
        .unsigned()
        .filter(|n| n.is_power_of_two() && (8..=WIDEST_ALIGNMENT).contains(n))
        .ok_or_else(|| {
            place.wrong(format!(
                "the alignment of tensors in the metadata is no power of two from 8 to {WIDEST_ALIGNMENT}"
            ))
        })
}

/// Tensors must lie in the file and not on one another.
fn check_places(place: &Place, infos: &[TensorInfo], offsets: &[u64], data: u64) -> Result<()> {
    let available = place.length.saturating_sub(data);
    let mut order: Vec<usize> = (0..infos.len()).collect();
    order.sort_by_key(|&i| offsets[i]);
    let mut before: Option<(usize, u64)> = None;
    for i in order {
        let (name, start) = (&infos[i].name, offsets[i]);
        let end = start.checked_add(infos[i].bytes);
        let Some(end) = end.filter(|end| *end <= available) else {
            return Err(place.wrong(format!(
                "the file is cut short: tensor '{name}' takes {} bytes from byte {start} of the data on, of which there are {available}",
                infos[i].bytes
            )));
        };
        if let Some((other, taken)) = before
            && start < taken
        {
            return Err(place.wrong(format!(
                "tensors '{}' and '{name}' lie on one another",
                infos[other].name
            )));
        }
        before = Some((i, end));
    }
    Ok(())
}

/// Reads on and on, piece by piece.
struct Reader<'a> {
    place: &'a Place,
    /// Bytes that were read, those in `piece` up to `used`.
    at: u64,
    piece: Vec<u8>,
    used: usize,
}

impl<'a> Reader<'a> {
    fn new(place: &'a place::Place) -> Self {
        Self {
            place,
            at: 0,
            piece: Vec::new(),
            used: 0,
        }
    }

    /// The next bytes; none is reserved that the file does not have.
    fn take(&mut self, length: u64) -> Result<&[u8]> {
        /// Bytes that are read at a time.
        const PIECE: u64 = 1 << 18;
        let left = self.place.length - self.at;
        if length > left {
            return Err(self.place.wrong(format!(
                "the file is cut short: {length} bytes are needed from byte {} on, and {left} follow",
                self.at
            )));
        }
        if self.at + length > LONGEST_HEADER {
            return Err(self.place.wrong(format!(
                "what stands before the weights has more than {LONGEST_HEADER} bytes; more are not read"
            )));
        }
        // It is below the longest header.
        let length = length as usize;
        if self.piece.len() - self.used < length {
            let next = PIECE.max(length as u64).min(left) as usize;
            self.piece = self.place.read(self.at, next)?;
            self.used = 0;
        }
        let from = self.used;
        self.used += length;
        self.at += length as u64;
        Ok(&self.piece[from..self.used])
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N as u64)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self, what: &str) -> Result<String> {
        let length = self.u64()?;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| self.place.wrong(format!("{what} is no UTF-8")))
    }

    fn name(&mut self, what: &str) -> Result<String> {
        let at = self.at;
        let length = self.u64()?;
        if length == 0 || length > LONGEST_NAME {
            return Err(self.place.wrong(format!(
                "the name of {what} at byte {at} would have {length} bytes; names have 1 to {LONGEST_NAME}"
            )));
        }
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| {
            self.place
                .wrong(format!("the name of {what} at byte {at} is no UTF-8"))
        })
    }

    fn value(&mut self, kind: u32, key: &str, depth: usize) -> Result<Metadata> {
        match kind {
            TEXT => Ok(Metadata::Text(
                self.text(&format!("the text of the key '{key}'"))?,
            )),
            LIST => self.list(key, depth),
            other => {
                let kind = self.kind(other, key)?;
                let bytes = self.take(kind.bytes() as u64)?;
                let number = kind.number(bytes);
                number
                    .map(Metadata::Number)
                    .ok_or_else(|| self.place.wrong("the file is cut short"))
            }
        }
    }

    fn kind(&self, number: u32, key: &str) -> Result<NumberKind> {
        NumberKind::of(number).ok_or_else(|| {
            self.place
                .wrong(format!("the key '{key}' is of the unknown type {number}"))
        })
    }

    fn list(&mut self, key: &str, depth: usize) -> Result<Metadata> {
        if depth == 0 {
            return Err(self.place.wrong(format!(
                "the key '{key}' has lists in lists more than {DEEPEST} deep"
            )));
        }
        let kind = self.u32()?;
        let length = self.u64()?;
        // A text takes at least its length; a list its type and length.
        let least = match kind {
            TEXT => 8,
            LIST => 12,
            other => self.kind(other, key)?.bytes() as u64,
        };
        let bytes = length.saturating_mul(least);
        let left = self.place.length - self.at;
        if bytes > left {
            return Err(self.place.wrong(format!(
                "the file is cut short: the list '{key}' of {length} takes at least {bytes} bytes, and {left} follow"
            )));
        }
        match kind {
            TEXT => (0..length)
                .map(|_| self.text(&format!("a text of the list '{key}'")))
                .collect::<Result<_>>()
                .map(Metadata::Texts),
            LIST => (0..length)
                .map(|_| self.list(key, depth - 1))
                .collect::<Result<_>>()
                .map(Metadata::Lists),
            other => {
                let kind = self.kind(other, key)?;
                let bytes = self.take(bytes)?.to_vec();
                Ok(Metadata::Numbers(Numbers { kind, bytes }))
            }
        }
    }

    /// A tensor and where it begins in the data.
    fn tensor(&mut self) -> Result<(TensorInfo, u64)> {
        let name = self.name("a tensor")?;
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > MOST_DIMENSIONS {
            return Err(self.place.wrong(format!(
                "tensor '{name}' has {dimensions} dimensions; 1 to {MOST_DIMENSIONS} are possible"
            )));
        }
        let extents: Vec<u64> = (0..dimensions).map(|_| self.u64()).collect::<Result<_>>()?;
        let number = self.u32()?;
        let offset = self.u64()?;
        let Some(format) = StoredFormat::of_ggml(number) else {
            return Err(self.place.wrong(format!(
                "tensor '{name}' is of type {number}, which does not exist"
            )));
        };
        let absurd = || {
            self.place
                .wrong(format!("tensor '{name}' has the absurd shape {extents:?}"))
        };
        // All of them as single precision must be countable too, with room to spare.
        let elements = extents
            .iter()
            .try_fold(1_u64, |product, n| product.checked_mul(*n))
            .filter(|n| (1..1 << 48).contains(n))
            .ok_or_else(absurd)?;
        let (per_block, block_bytes) = (
            format.elements_per_block() as u64,
            format.bytes_per_block() as u64,
        );
        if !extents[0].is_multiple_of(per_block) {
            return Err(self.place.wrong(format!(
                "the rows of tensor '{name}' have {} elements, no multiple of the {per_block} in a block of {}",
                extents[0],
                format.name()
            )));
        }
        let bytes = elements / per_block * block_bytes;
        let shape = extents
            .iter()
            .rev()
            .map(|n| usize::try_from(*n).map_err(|_| absurd()))
            .collect::<Result<_>>()?;
        let info = TensorInfo {
            name,
            shape,
            format,
            bytes,
        };
        Ok((info, offset))
    }
}
