//! Opening model files. One file per format; this one recognises what a file is, so that a wrong one is refused by name.
//!
//! Nothing in a file is trusted: lengths are checked against the file before memory is reserved, and nothing is executed.

mod safetensors;
#[cfg(test)]
mod tests;

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::{self, unreadable};
use crate::model::{Model, ModelReference};
pub(crate) use safetensors::Contents;

/// Bytes at the beginning of a file that it is recognised by.
const HEAD: u64 = 512;

/// Opens a model file: safetensors with F32, F16 or BF16 tensors, which become f32, or one that
/// [`crate::compress::Compressor::export`] packed.
///
/// The architecture stands in the file's metadata (`wattif.architecture`); without it, the bundled architecture whose
/// tensor names fit best is assumed.
///
/// # Errors
/// [`Error::File`] saying what the file is instead, where it is damaged, or which tensor does not fit and how.
pub fn open(path: &Path) -> Result<Model> {
    if path.is_dir() {
        let fact = if path.join("config.json").exists() {
            "this is a model folder; open the .safetensors file inside it"
        } else {
            "this is a folder, not a model file"
        };
        return Err(Error::file(fact, path));
    }
    let mut file = files::open_regular(path)?;
    let length = file
        .metadata()
        .map_err(|error| unreadable(&error, path))?
        .len();
    let contents = read(&mut file, length, path)?;
    let name = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let reference = ModelReference::File(path.to_owned());
    let model = Model::new(reference, name, contents.architecture, contents.tensors)
        .map_err(|error| Error::file(error.to_string(), path))?;
    Ok(Model {
        packed: contents.recipe,
        stored: contents.stored,
        ..model
    })
}

/// Reads a safetensors file that is in memory already, by the same checks; the error is the fact without a path.
pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Contents, String> {
    safetensors::read(&mut Cursor::new(bytes), bytes.len() as u64).map_err(
        |problem| match problem {
            safetensors::Problem::Reading(error) => error.to_string(),
            safetensors::Problem::Content(fact) => fact,
        },
    )
}

fn read(file: &mut (impl Read + Seek), len: u64, path: &Path) -> Result<Contents> {
    let mut head = Vec::new();
    file.by_ref()
        .take(HEAD)
        .read_to_end(&mut head)
        .and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(|error| unreadable(&error, path))?;
    if let Some(fact) = another_kind(&head) {
        return Err(Error::file(fact, path));
    }
    safetensors::read(file, len).map_err(|problem| match problem {
        safetensors::Problem::Reading(error) => unreadable(&error, path),
        safetensors::Problem::Content(fact) => Error::file(fact, path),
    })
}

/// What a file is from its first bytes, if that is something other than safetensors.
fn another_kind(head: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 8] = [
        (
            b"GGUF",
            "this is a GGUF file; only safetensors files can be opened",
        ),
        (
            b"PK\x03\x04",
            "this is a zip archive, as PyTorch (.pt) and NumPy (.npz) write; save the tensors as safetensors",
        ),
        (
            b"\x80\x02",
            "this is a Python pickle, which could run code and is never opened; save the tensors as safetensors",
        ),
        (
            b"\x89HDF\r\n\x1a\n",
            "this is an HDF5 file, as Keras writes; save the tensors as safetensors",
        ),
        (
            b"\x93NUMPY",
            "this is a NumPy array; save the tensors as safetensors",
        ),
        (b"\x1f\x8b", "this is a gzip archive; unpack it first"),
        (b"\x89PNG", "this is a picture, not a model"),
        (
            b"version https://git-lfs",
            "this is a Git LFS pointer; the model itself was not downloaded (git lfs pull)",
        ),
    ];
    if head.is_empty() {
        return Some("the file is empty");
    }
    // The eight bytes of a safetensors header's length could look like anything; the brace after them is decisive.
    if head.get(8) == Some(&b'{') {
        return None;
    }
    if let Some((_, fact)) = KINDS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(fact);
    }
    if head.get(4..8) == Some(b"TFL3") {
        return Some("this is a TensorFlow Lite file; only safetensors files can be opened");
    }
    // An ONNX file begins with the version of its format and the name of what wrote it.
    if head.starts_with(b"\x08") && head.get(2) == Some(&0x12) {
        return Some("this looks like an ONNX file; only safetensors files can be opened");
    }
    let text = text(head)?;
    Some(match text.trim_start().chars().next() {
        Some('{') if text.contains("\"weight_map\"") => {
            "this is the index of a model in several files, not a model"
        }
        Some('{' | '[') => {
            "this is JSON, such as a model's configuration; the weights are in another file"
        }
        _ => "this is a text file, not a model",
    })
}

/// The beginning of a file as text, if that is what it is.
fn text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_plain = |c: char| !c.is_control() || c.is_whitespace();
    text.chars().all(is_plain).then_some(text)
}
