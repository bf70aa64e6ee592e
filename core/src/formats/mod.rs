//! Opening model files. One file per format; this one recognises what a file is, so that a wrong one is refused by name.
//!
//! Nothing in a file is trusted: lengths are checked against the file before memory is reserved, and nothing is executed.

pub(crate) mod arrays;
mod encoder;
mod foreign;
mod gguf;
mod hugging_face;
mod language;
mod offers;
mod onnx;
mod safetensors;
#[cfg(test)]
mod tests;

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::{self, unreadable};
use crate::model::{Model, ModelReference};
use crate::outline::tensors::name as outline_name;
use crate::serving::architecture::Architecture;
pub(crate) use hugging_face::published;
pub(crate) use language::{formats as stored_formats, is_of_unknown_kind};
pub(crate) use onnx::{Fill, Given, Passed, Replaced, buffer_name, rounded};
pub(crate) use safetensors::{Contents, Listed, Listing};

/// Bytes at the beginning of a file that it is recognised by.
const HEAD: u64 = 512;

/// Opens a model file: safetensors with F32, F16 or BF16 tensors, which become f32, one that
/// [`crate::compress::Compressor::export`] packed, such tensors in a file of PyTorch, NumPy or TensorFlow.js, a GGUF of a
/// language model whose family runs here, or such a model as Hugging Face publishes it: its folder, the safetensors file
/// inside, or the index of several.
///
/// The architecture stands in the file's metadata (`wattif.architecture`); without it, the bundled architecture whose
/// tensor names fit best is assumed.
///
/// # Errors
/// [`Error::File`] saying what the file is instead, where it is damaged, or which tensor does not fit and how.
pub fn open(path: &Path) -> Result<Model> {
    open_sized(path, &[])
}

/// The same with sizes that an ONNX file leaves open, by their names.
///
/// # Errors
/// As [`open`]; the file leaves no such size open.
pub fn open_sized(path: &Path, sizes: &[(String, u64)]) -> Result<Model> {
    if !sizes.is_empty() && !is_onnx(path) {
        let fact = "this is no ONNX file, which alone leaves sizes open";
        return Err(Error::file(fact, path));
    }
    if let Some(model) = hugging_face::open(path) {
        return model;
    }
    if let Some(arrays) = arrays::open(path) {
        let contents = arrays::contents(&arrays?).map_err(|problem| refused(problem, path))?;
        return assemble(contents, path);
    }
    if path.is_dir() {
        return Err(Error::file("this is a folder, not a model file", path));
    }
    if begins(path).is_some_and(|head| head.starts_with(b"GGUF")) {
        return language::open(path).map_err(|error| not_run(error, path));
    }
    if is_onnx(path) {
        return onnx::model(path, sizes);
    }
    let (mut file, len) = opened(path)?;
    model(&mut file, len, path)
}

/// Why a GGUF is not run, with what it is and what can be done instead.
fn not_run(error: Error, path: &Path) -> Error {
    let (Error::File { fact, .. }, Ok((mut file, len))) = (&error, opened(path)) else {
        return error;
    };
    let refusal = foreign::Kind::Gguf.refusal(&mut file, len, path);
    Error::file(format!("{refusal} ({fact})"), path)
}

/// What a file holds beside the weights of its model and is left out, a sentence each: the state of an optimiser, say.
pub fn left_out(path: &Path) -> Vec<String> {
    let arrays = arrays::open(path).and_then(Result::ok);
    arrays.map_or_else(Vec::new, |arrays| arrays.notes)
}

/// Reads a model from the bytes of its file, as [`open`] does; `path` stands for the file in the reference and in errors.
///
/// # Errors
/// As [`open`].
pub fn read_bytes(bytes: &[u8], path: &Path) -> Result<Model> {
    if let Some(arrays) = arrays::open_bytes(bytes, path) {
        let contents = arrays::contents(&arrays?).map_err(|problem| refused(problem, path))?;
        return assemble(contents, path);
    }
    model(&mut Cursor::new(bytes), bytes.len() as u64, path)
}

fn model(file: &mut (impl Read + Seek), len: u64, path: &Path) -> Result<Model> {
    assemble(read(file, len, path)?, path)
}

fn assemble(contents: Contents, path: &Path) -> Result<Model> {
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
            safetensors::Problem::Content(fact) | safetensors::Problem::Family { fact, .. } => fact,
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
    if let Some(kind) = foreign::kind(&head) {
        return Err(Error::file(kind.refusal(file, len, path), path));
    }
    safetensors::read(file, len).map_err(|problem| refused(problem, path))
}

fn refused(problem: safetensors::Problem, path: &Path) -> Error {
    match problem {
        safetensors::Problem::Reading(error) => unreadable(&error, path),
        safetensors::Problem::Content(fact) => Error::file(fact, path),
        safetensors::Problem::Family { fact, parameters } => {
            Error::file(format!("{fact}; {}", offers_for(path, parameters)), path)
        }
    }
}

/// Whether a file is a model by its first bytes, whatever it is called: one that [`open`] opens, or one of another
/// program, of which it says what can be done with it instead. A language model in a folder is one too. `false` where the
/// file cannot be read.
pub fn is_model(path: &Path) -> bool {
    let is_list = || path.is_dir() && arrays::found(path).is_some();
    if matches!(published(path), Some(Ok(()))) || is_onnx(path) || is_list() {
        return true;
    }
    begins(path).is_some_and(|head| {
        foreign::kind(&head).map_or(head.get(8) == Some(&b'{'), foreign::Kind::is_model)
    })
}

/// Whether a file begins as a safetensors file does.
pub(crate) fn is_safetensors(path: &Path) -> bool {
    begins(path).is_some_and(|head| head.get(8) == Some(&b'{'))
}

/// Whether a file begins as an ONNX file does.
pub(crate) fn is_onnx(path: &Path) -> bool {
    let named = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    begins(path).is_some_and(|head| match foreign::kind(&head) {
        Some(kind) => kind == foreign::Kind::Onnx,
        // The fields of a message may stand in any order.
        None => named,
    })
}

/// Whether an ONNX file may be run: its work is known, its weights are there, and they are not too large to be held. Whether
/// every operator is known where it is run is seen when it is.
pub(crate) fn onnx_runs(path: &Path) -> bool {
    let Ok((file, len)) = opened(path) else {
        return false;
    };
    len <= onnx::LARGEST
        && onnx::read(file, len, &[]).is_ok_and(|counted| {
            counted.is_dense && onnx::beside(&counted, path).is_ok_and(|missing| missing.is_empty())
        })
}

/// The network that an ONNX file lists. Sizes that it leaves open are assumed and said.
///
/// # Errors
/// [`Error::File`] saying what in it is damaged, or why its work cannot be counted.
pub(crate) fn onnx_outline(path: &Path, sizes: &[(String, u64)]) -> Result<Architecture> {
    let (file, len) = opened(path)?;
    let name = outline_name(path);
    let fact =
        |fact: String| Error::file(format!("this ONNX file cannot be counted: {fact}"), path);
    let counted = onnx::read(file, len, sizes).map_err(fact)?;
    let missing = onnx::beside(&counted, path).map_err(fact)?;
    let mut network = onnx::network(&counted, name, &path.display().to_string()).map_err(fact)?;
    network.notes.extend(missing);
    Ok(network)
}

/// The same from the bytes of a file; weights in other files are not looked for. `path` stands for the file.
///
/// # Errors
/// As [`onnx_outline`].
pub fn read_onnx(bytes: &[u8], path: &Path) -> Result<Architecture> {
    let fact =
        |fact: String| Error::file(format!("this ONNX file cannot be counted: {fact}"), path);
    let counted = onnx::read(Cursor::new(bytes), bytes.len() as u64, &[]).map_err(fact)?;
    onnx::network(&counted, outline_name(path), &path.display().to_string()).map_err(fact)
}

/// The first bytes of a regular file; `None` where it cannot be read.
fn begins(path: &Path) -> Option<Vec<u8>> {
    let (file, _) = opened(path).ok()?;
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head).ok()?;
    Some(head)
}

/// The tensors of a safetensors file by its header; nothing else is read.
///
/// # Errors
/// [`Error::File`] as [`open`], for what can be wrong with a header.
pub(crate) fn list(path: &Path) -> Result<Listing> {
    if let Some(arrays) = arrays::open(path) {
        return Ok(arrays::list(&arrays?));
    }
    let (mut file, len) = opened(path)?;
    safetensors::list(&mut file, len).map_err(|problem| refused(problem, path))
}

/// The header of a safetensors file of `len` bytes, checked against that length; `path` stands for it in errors.
///
/// # Errors
/// [`Error::File`] as [`open`], for what can be wrong with a header.
pub(crate) fn header(file: &mut impl Read, len: u64, path: &Path) -> Result<safetensors::Header> {
    safetensors::read_header(file, len).map_err(|problem| refused(problem, path))
}

/// The same for the bytes of a file.
///
/// # Errors
/// As [`list`].
pub(crate) fn list_bytes(bytes: &[u8], path: &Path) -> Result<Listing> {
    safetensors::list(&mut Cursor::new(bytes), bytes.len() as u64)
        .map_err(|problem| refused(problem, path))
}

/// What can be done with a network of so many parameters that cannot be opened, as the end of a sentence.
pub(crate) fn offers_for(path: &Path, parameters: u64) -> String {
    let clues = offers::Clues {
        parameters: Some(parameters),
        ..offers::Clues::default()
    };
    offers::offers(path, &clues)
}

/// A regular file that can be read, and its length.
fn opened(path: &Path) -> Result<(std::fs::File, u64)> {
    let file = files::open_regular(path)?;
    let metadata = file.metadata().map_err(|error| unreadable(&error, path))?;
    Ok((file, metadata.len()))
}
