//! Writing a GGUF (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): everything of another one but for the
//! tensors that are given anew.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use super::metadata::{Metadata, Number};
use super::{Source, StoredFormat};
use crate::error::{Error, Result};
use crate::files;

/// Version of the format that is written.
const VERSION: u32 = 3;
/// Where tensors begin unless the metadata say otherwise.
const ALIGNMENT: u64 = 32;
/// Version of the blocks of ggml (`GGML_QNT_VERSION`).
const BLOCKS_VERSION: u32 = 2;
/// Keys that are true of the other file only: how it was split, and what its blocks were rounded by.
const LEFT_OUT: [&str; 2] = ["split.", "quantize.imatrix."];
/// The types of values that are no numbers.
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// A tensor as it is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewTensor<'a> {
    /// Its format.
    pub format: StoredFormat,
    /// All of it.
    pub bytes: &'a [u8],
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub bytes: u64,
    /// Those of them that are tensors.
    pub tensors: u64,
}

/// Writes a GGUF with the metadata of another one, its tokenizer among them, and with all of its tensors, those of `new` in
/// place of its own. `file_type` says which format most of them are in, as llama.cpp numbers them; without one,
/// what the other file says.
///
/// # Errors
/// [`Error::File`]: the other one is no GGUF, or would be overwritten; a tensor is not one of it, or of another size; the
/// file cannot be written.
pub fn write(
    source: &dyn Source,
    new: &BTreeMap<String, NewTensor<'_>>,
    file_type: Option<u32>,
    path: &Path,
) -> Result<Written> {
    if source.paths().iter().any(|own| files::is_same(own, path)) {
        return Err(Error::file(
            "this is the file that the model was opened from; it is not written over",
            path,
        ));
    }
    let layout = Layout::new(source, new, file_type).map_err(|fact| Error::file(fact, path))?;
    files::replace(path, |file| layout.write(source, file))
}

/// What is written, before it is.
struct Layout<'a> {
    /// All that stands before the tensors.
    header: Vec<u8>,
    alignment: u64,
    /// Those that are new, and of the others their bytes, in the order of the source.
    tensors: Vec<(Option<NewTensor<'a>>, u64)>,
}

impl<'a> Layout<'a> {
    fn new(
        source: &dyn Source,
        new: &BTreeMap<String, NewTensor<'a>>,
        file_type: Option<u32>,
    ) -> std::result::Result<Self, String> {
        let mut metadata = source.all_metadata().clone();
        if !metadata.contains_key("general.architecture") {
            return Err("the weights are not from a GGUF, whose metadata it would need".to_owned());
        }
        metadata.retain(|key, _| !LEFT_OUT.iter().any(|start| key.starts_with(start)));
        for (key, value) in [
            ("general.file_type", file_type),
            ("general.quantization_version", Some(BLOCKS_VERSION)),
        ] {
            if let Some(value) = value {
                metadata.insert(key.to_owned(), Metadata::Number(Number::U32(value)));
            }
        }
        let alignment = metadata
            .get("general.alignment")
            .and_then(Metadata::unsigned)
            .unwrap_or(ALIGNMENT);
        if let Some(name) = new.keys().find(|name| source.find(name).is_none()) {
            return Err(format!("the model's file has no tensor '{name}'"));
        }
        let mut header = b"GGUF".to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend((source.tensors().len() as u64).to_le_bytes());
        header.extend((metadata.len() as u64).to_le_bytes());
        for (key, value) in &metadata {
            text(&mut header, key);
            header.extend(kind(value).to_le_bytes());
            put(&mut header, value);
        }
        let (mut tensors, mut offset) = (Vec::new(), 0);
        for info in source.tensors() {
            let given = new.get(&info.name).copied();
            let (format, bytes) = match given {
                Some(given) => (given.format, given.bytes.len() as u64),
                None => (info.format, info.bytes),
            };
            let (weights, block) = (format.elements_per_block(), format.bytes_per_block());
            let row = info.shape.last().copied().unwrap_or(1);
            if !row.is_multiple_of(weights) || (info.elements() / weights * block) as u64 != bytes {
                return Err(format!(
                    "tensor '{}' of {:?} does not fit into {bytes} bytes of {}",
                    info.name,
                    info.shape,
                    format.name()
                ));
            }
            let number = format
                .in_ggml()
                .ok_or_else(|| format!("{} is no format of a GGUF", format.name()))?;
            text(&mut header, &info.name);
            header.extend((info.shape.len() as u32).to_le_bytes());
            for extent in info.shape.iter().rev() {
                header.extend((*extent as u64).to_le_bytes());
            }
            header.extend(number.to_le_bytes());
            header.extend(u64::to_le_bytes(offset));
            tensors.push((given, bytes));
            offset += bytes.next_multiple_of(alignment);
        }
        header.resize(
            (header.len() as u64).next_multiple_of(alignment) as usize,
            0,
        );
        Ok(Self {
            header,
            alignment,
            tensors,
        })
    }

    fn write(&self, source: &dyn Source, file: &mut impl Write) -> io::Result<Written> {
        file.write_all(&self.header)?;
        let mut written = Written {
            bytes: self.header.len() as u64,
            tensors: 0,
        };
        for (at, (given, length)) in self.tensors.iter().enumerate() {
            match given {
                Some(given) => file.write_all(given.bytes)?,
                None => file.write_all(&source.read(at).map_err(io::Error::other)?)?,
            }
            let padded = length.next_multiple_of(self.alignment);
            for _ in *length..padded {
                file.write_all(&[0])?;
            }
            written.bytes += padded;
            written.tensors += length;
        }
        file.flush()?;
        Ok(written)
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The number of a value's type.
fn kind(value: &Metadata) -> u32 {
    match value {
        Metadata::Number(number) => match number {
            Number::U8(_) => 0,
            Number::I8(_) => 1,
            Number::U16(_) => 2,
            Number::I16(_) => 3,
            Number::U32(_) => 4,
            Number::I32(_) => 5,
            Number::F32(_) => 6,
            Number::Bool(_) => 7,
            Number::U64(_) => 10,
            Number::I64(_) => 11,
            Number::F64(_) => 12,
        },
        Metadata::Text(_) => TEXT,
        Metadata::Numbers(_) | Metadata::Texts(_) | Metadata::Lists(_) => LIST,
    }
}

/// A value without its type.
fn put(out: &mut Vec<u8>, value: &Metadata) {
    let mut list = |kind: u32, length: usize| {
        out.extend(kind.to_le_bytes());
        out.extend((length as u64).to_le_bytes());
    };
    match value {
        Metadata::Number(number) => match number {
            Number::U8(n) => out.push(*n),
            Number::I8(n) => out.extend(n.to_le_bytes()),
            Number::U16(n) => out.extend(n.to_le_bytes()),
            Number::I16(n) => out.extend(n.to_le_bytes()),
            Number::U32(n) => out.extend(n.to_le_bytes()),
            Number::I32(n) => out.extend(n.to_le_bytes()),
            Number::F32(n) => out.extend(n.to_le_bytes()),
            Number::Bool(flag) => out.push(u8::from(*flag)),
            Number::U64(n) => out.extend(n.to_le_bytes()),
            Number::I64(n) => out.extend(n.to_le_bytes()),
            Number::F64(n) => out.extend(n.to_le_bytes()),
        },
        Metadata::Text(own) => text(out, own),
        Metadata::Numbers(numbers) => {
            list(numbers.kind.number_of(), numbers.len());
            out.extend(&numbers.bytes);
        }
        Metadata::Texts(texts) => {
            list(TEXT, texts.len());
            texts.iter().for_each(|own| text(out, own));
        }
        Metadata::Lists(lists) => {
            list(LIST, lists.len());
            lists.iter().for_each(|own| put(out, own));
        }
    }
}
