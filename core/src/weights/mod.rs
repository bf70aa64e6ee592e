//! Weights of other programs' files, read where they lie: named tensors in their stored format, whose rows are decoded
//! on demand. Nothing is executed, nothing is trusted, and nothing is mapped into memory: a file that shrinks while it is
//! read is an error.
//!
//! Opening reads what stands before the weights, and checks every length of it against the file before memory is
//! reserved. One file per format.

pub(crate) mod arrays;
mod blocks;
mod chosen;
mod gguf;
mod header;
mod joined;
mod metadata;
mod opened;
mod packed;
mod place;
mod renamed;
mod restored;
mod safetensors;
mod split;
#[cfg(test)]
mod tests;
mod usual;
mod write;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::formats;
pub use crate::number::StoredFormat;
pub(crate) use blocks::{candle_blocks, decode, of_candle};
pub(crate) use chosen::Chosen;
pub use metadata::{Metadata, Number, Numbers};
use opened::Opened;
pub(crate) use packed::{Packed, Scheme};
use place::Place;
pub(crate) use renamed::{Change, Grouping, Renamed, Renaming};
pub(crate) use restored::{NewValues, write_as_read};
pub use write::{NewTensor, Written, write};

/// Named tensors in their stored format.
pub trait Source: Send + Sync + Debug {
    /// All tensors, in the order of the file or files.
    fn tensors(&self) -> &[TensorInfo];
    /// Where in [`Source::tensors`] the tensor of this name is.
    fn find(&self, name: &str) -> Option<usize>;
    /// Decodes rows into single precision. A row is all dimensions but the first; of a tensor of one dimension, one
    /// element. `out` has the length of these rows.
    ///
    /// # Errors
    /// There are no such tensor or rows; the format cannot be decoded; the file cannot be read.
    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()>;
    /// The bytes as stored, for hashing and for carrying over.
    ///
    /// # Errors
    /// There is no such tensor; the file cannot be read.
    fn read(&self, tensor: usize) -> Result<Vec<u8>>;
    /// A value of the metadata: typed in a GGUF, a text in safetensors.
    fn metadata(&self, key: &str) -> Option<&Metadata>;
    /// All metadata by key.
    fn all_metadata(&self) -> &BTreeMap<String, Metadata>;
    /// Itself where it is another source under other names.
    fn as_renamed(&self) -> Option<&Renamed> {
        None
    }
    /// The tensor before it whose very elements it has, under another name.
    fn same_as(&self, _tensor: usize) -> Option<usize> {
        None
    }
    /// The files that it is read from.
    fn paths(&self) -> Vec<&Path>;
    /// Bytes of all tensors.
    fn stored_bytes(&self) -> u64;
}

/// A tensor as a block format holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTensor {
    /// Its blocks; half precision where no block fits its rows.
    pub format: StoredFormat,
    /// All of them, row by row.
    pub bytes: Vec<u8>,
}

/// What a file says of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its extents, the output dimension first; the order of a GGUF, reversed.
    pub shape: Vec<usize>,
    /// How its elements are stored.
    pub format: StoredFormat,
    /// The bytes that it takes.
    pub bytes: u64,
}

impl TensorInfo {
    /// Elements; the product was checked when the file was opened.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Rows: the first extent.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Elements of a row.
    pub fn row_length(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

/// Opens weights by their first bytes: a GGUF, of which the other parts of a split one are opened too; a safetensors
/// file, or one of PyTorch, NumPy or TensorFlow.js; the index of several; or a folder that has one under its usual name.
///
/// Tensors of eight bits are decoded as they are stored: where a network has scales for them, these are tensors of their
/// own.
///
/// # Errors
/// [`Error::File`] saying what the file is instead, or what in it is damaged.
pub fn open(path: &Path) -> Result<Box<dyn Source>> {
    let inside = safetensors::inside(path)?;
    let file = inside.as_deref().unwrap_or(path);
    if let Some(joined) = joined::open(file) {
        return Ok(Box::new(joined?));
    }
    if let Some(arrays) = formats::arrays::open(file) {
        return Ok(Box::new(arrays?));
    }
    Ok(Box::new(opened(file)?))
}

/// The same with the matrices of experts below each other, as networks call them: of two dimensions, not three.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_flat(path: &Path) -> Result<Box<dyn Source>> {
    Ok(Box::new(opened(path)?.flat()))
}

fn opened(path: &Path) -> Result<Opened> {
    let inside = safetensors::inside(path)?;
    let place = Place::open(inside.as_deref().unwrap_or(path))?;
    if gguf::is_gguf(&place)? {
        gguf::open(place)
    } else {
        safetensors::open(place)
    }
}

/// Opens weights from the bytes of a single file, as [`open`] does; `path` stands for the file in errors.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(bytes: Vec<u8>, path: &Path) -> Result<Box<dyn Source>> {
    if let Some(arrays) = formats::arrays::open_bytes(&bytes, path) {
        return Ok(Box::new(arrays?));
    }
    let place = Place::of_bytes(bytes, path);
    Ok(Box::new(if gguf::is_gguf(&place)? {
        gguf::open_alone(place)?
    } else {
        safetensors::open_alone(place)?
    }))
}

/// Elements that one thread decodes at a time; whole blocks of every format.
const AT_ONCE: usize = 1 << 16;

/// Decodes rows of a tensor whose bytes begin at `start` of a file.
fn decode_rows(
    place: &Place,
    info: &TensorInfo,
    start: u64,
    rows: Range<usize>,
    out: &mut [f32],
) -> Result<()> {
    let length = info.row_length();
    let name = &info.name;
    if rows.start > rows.end || rows.end > info.rows() {
        let (from, to, all) = (rows.start, rows.end, info.rows());
        return Err(Error::Compute(format!(
            "rows {from} to {to} of tensor '{name}' are asked for, which has {all}"
        )));
    }
    if out.len() != rows.len() * length {
        return Err(Error::Compute(format!(
            "{} rows of {length} elements of tensor '{name}' do not fit into {} places",
            rows.len(),
            out.len()
        )));
    }
    if let Some(fact) = info.format.undecodable() {
        return Err(place.wrong(format!("tensor '{name}' {fact}")));
    }
    let first = rows.start * length;
    let block = info.format.elements_per_block();
    // Rows are whole blocks but for a tensor of one dimension, where a row is an element.
    let lead = first % block;
    let tail = (first + out.len()) % block;
    if lead != 0 || tail != 0 {
        let mut whole = vec![0.0; (lead + out.len()).next_multiple_of(block)];
        decode_blocks(place, info, start, (first - lead) / block, &mut whole)?;
        out.copy_from_slice(&whole[lead..lead + out.len()]);
        return Ok(());
    }
    decode_blocks(place, info, start, first / block, out)
}

/// Decodes whole blocks from the block `first` on, in parallel.
fn decode_blocks(
    place: &Place,
    info: &TensorInfo,
    start: u64,
    first: usize,
    out: &mut [f32],
) -> Result<()> {
    let (elements, bytes) = (
        info.format.elements_per_block(),
        info.format.bytes_per_block(),
    );
    out.par_chunks_mut(AT_ONCE)
        .enumerate()
        .try_for_each(|(number, out)| {
            let block = first + number * (AT_ONCE / elements);
            let offset = start + block as u64 * bytes as u64;
            let stored = place.read(offset, out.len() / elements * bytes)?;
            blocks::decode(info.format, &stored, out)
                .map_err(|fact| place.wrong(format!("tensor '{}': {fact}", info.name)))
        })
}
