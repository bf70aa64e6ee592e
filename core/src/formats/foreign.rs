//! Model files of other programs: what they are, from their first bytes, and what can be done with them instead. None of
//! them is opened, and nothing in them is executed.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::offers::{Clues, count, offers, quoted};
use super::{gguf, onnx};
use crate::recipe::Recipe;

/// A file that is no safetensors file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gguf,
    Onnx,
    /// A zip archive with a pickle, as `torch.save` writes.
    TorchArchive,
    /// A bare pickle, as `torch.save` wrote before 1.6.
    Pickle,
    TensorFlowLite,
    /// As Keras wrote before version 3.
    Hdf5,
    /// A zip archive, as Keras writes since version 3.
    Keras,
    NumPy,
    /// The `model.json` of a model of TensorFlow.js.
    TensorFlowJs,
    /// A folder's `saved_model.pb`.
    TensorFlow,
    CoreMl,
    /// Weights or programs of yet another kind, and whose.
    Foreign(&'static str),
    /// An archive of another kind.
    Zip,
    /// No model at all, and what it is.
    Other(&'static str),
}

/// What a file is from its first bytes, if that is something other than safetensors.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    const ARCHIVE: Kind = Kind::Other("this is a compressed archive; unpack it first");
    const ENCRYPTED: Kind = Kind::Other("this file is encrypted; decrypt it first");
    const OLD_GGML: Kind = Kind::Foreign("a file of llama.cpp from before GGUF");
    const KINDS: [(&[u8], Kind); 20] = [
        (b"GGUF", Kind::Gguf),
        (b"\x89HDF\r\n\x1a\n", Kind::Hdf5),
        (b"\x93NUMPY", Kind::NumPy),
        (
            b"\x1f\x8b",
            Kind::Other("this is a gzip archive; unpack it first"),
        ),
        (b"\x89PNG", Kind::Other("this is a picture, not a model")),
        (
            b"\xff\xd8\xff",
            Kind::Other("this is a picture, not a model"),
        ),
        (
            b"version https://git-lfs",
            Kind::Other(
                "this is a Git LFS pointer; the model itself was not downloaded (git lfs pull)",
            ),
        ),
        (b"BZh", ARCHIVE),
        (b"\xfd7zXZ\0", ARCHIVE),
        (b"\x28\xb5\x2f\xfd", ARCHIVE),
        (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
        (b"Rar!\x1a\x07", ARCHIVE),
        (b"Salted__", ENCRYPTED),
        (b"age-encryption.org/", ENCRYPTED),
        (b"-----BEGIN PGP MESSAGE", ENCRYPTED),
        (b"tjgg", OLD_GGML),
        (b"lmgg", OLD_GGML),
        (b"fmgg", OLD_GGML),
        (b"ftrt", Kind::Foreign("an engine of TensorRT")),
        (b"7767517\n", Kind::Foreign("a network of ncnn")),
    ];
    if head.is_empty() {
        return Some(Kind::Other("the file is empty"));
    }
    // The eight bytes of a safetensors header's length could look like anything; the brace after them is decisive.
    if head.get(8) == Some(&b'{') {
        return None;
    }
    if let Some((_, kind)) = KINDS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(*kind);
    }
    if head.starts_with(b"PK\x03\x04") {
        return Some(archive(head));
    }
    if head.get(4..8) == Some(b"TFL3") {
        return Some(Kind::TensorFlowLite);
    }
    if head.get(4..6) == Some(b"ET") {
        return Some(Kind::Foreign("a program of ExecuTorch"));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(ARCHIVE);
    }
    // A pickle begins with its protocol; 2 is the oldest that PyTorch wrote.
    if let [0x80, 2..=5, ..] = head {
        return Some(Kind::Pickle);
    }
    if let Some(kind) = described(head) {
        return Some(kind);
    }
    // An ONNX file begins with the version of its format, and then another field of its outermost message.
    if let [
        8,
        1..=32,
        0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72,
        ..,
    ] = head
    {
        return Some(Kind::Onnx);
    }
    let text = text(head)?;
    let start = text.trim_start();
    if start.starts_with("<?xml") && text.contains("<net ") {
        return Some(Kind::Foreign("a network of OpenVINO"));
    }
    Some(Kind::Other(match start.chars().next() {
        Some('<')
            if start.to_lowercase().starts_with("<!doctype html") || start.starts_with("<html") =>
        {
            "this is a web page, not a model; the download led somewhere else"
        }
        Some('{') if text.contains("\"weight_map\"") => {
            "this is the index of a model in several files, not a model"
        }
        Some('{')
            if ["\"modelTopology\"", "\"layers-model\"", "\"graph-model\""]
                .iter()
                .any(|key| text.contains(key)) =>
        {
            return Some(Kind::TensorFlowJs);
        }
        Some('{' | '[') => {
            "this is JSON, such as a model's configuration; the weights are in another file"
        }
        _ => "this is a text file, not a model",
    }))
}

/// A file of TensorFlow or Core ML: a version, then a message that begins with a message. An ONNX file has a text there.
fn described(head: &[u8]) -> Option<Kind> {
    let [8, version @ 1..=32, 0x12, rest @ ..] = head else {
        return None;
    };
    /// What stands after a length.
    fn inside(bytes: &[u8]) -> Option<&[u8]> {
        let end = bytes.iter().take(5).position(|byte| *byte < 0x80)?;
        bytes.get(end + 1..)
    }
    let [0x0a, first @ ..] = inside(rest)? else {
        return None;
    };
    match (version, inside(first)?.first()?) {
        // The operators that a graph needs come first; of Core ML the name of an input.
        (1, 0x12) => Some(Kind::TensorFlow),
        (_, 0x0a) => Some(Kind::CoreMl),
        _ => None,
    }
}

/// The kind of a zip archive by the name of its first file (APPNOTE.TXT 4.3.7: the length of the name stands at byte 26,
/// the name at byte 30).
fn archive(head: &[u8]) -> Kind {
    // The lowest bit of the flags at byte 6 (APPNOTE.TXT 4.4.4).
    if head.get(6).is_some_and(|flags| flags & 1 == 1) {
        return Kind::Other("this is an encrypted zip archive; unpack it first, with its password");
    }
    let name = head
        .get(26..28)
        .map(|len| usize::from(u16::from_le_bytes([len[0], len[1]])))
        .and_then(|len| head.get(30..30 + len))
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    let file = name.rsplit('/').next().unwrap_or_default();
    match file {
        "data.pkl" | "byteorder" | "version" | ".format_version" | ".storage_alignment"
        | "constants.pkl" => Kind::TorchArchive,
        // TorchScript begins with the numbers.
        _ if name.split('/').nth(1) == Some("data")
            || name.split('/').nth(1) == Some("constants") =>
        {
            Kind::TorchArchive
        }
        "metadata.json" | "config.json" | "model.weights.h5" => Kind::Keras,
        _ if file.ends_with(".npy") => Kind::NumPy,
        _ => Kind::Zip,
    }
}

impl Kind {
    /// Whether it is a model, which is worth opening for the sake of what is then said.
    pub(super) const fn is_model(self) -> bool {
        !matches!(self, Self::Other(_) | Self::Zip)
    }

    /// Why arrays are not read, with what the file is and what can be done instead.
    pub(super) fn unread(self, fact: &str, path: &Path) -> String {
        let what = match self {
            Self::Pickle => "a Python pickle, as old PyTorch files are,",
            Self::NumPy => "a file of NumPy arrays",
            Self::TensorFlowJs => "a model of TensorFlow.js",
            _ => "a PyTorch file",
        };
        let offers = offers(path, &Clues::default());
        format!("this is {what} that is not opened: {fact}; {offers}")
    }

    /// Why it cannot be opened, and what can be done instead.
    pub(super) fn refusal(self, file: &mut (impl Read + Seek), len: u64, path: &Path) -> String {
        const SAVE: &str = "save its tensors as safetensors, or";
        const CONVERT: &str = "write it as ONNX (tf2onnx), or";
        let (what, clues) = match self {
            Self::Other(fact) => return fact.to_owned(),
            Self::Zip => return "this is a zip archive, not a model; unpack it first".to_owned(),
            Self::Gguf => gguf_refusal(file, len),
            Self::Onnx => return onnx_refusal(file, len, path),
            Self::TorchArchive | Self::Pickle | Self::NumPy | Self::TensorFlowJs => {
                return self.unread("its tensors are not read", path);
            }
            Self::TensorFlowLite => (
                format!("this is a TensorFlow Lite file, which is not read here; {CONVERT}"),
                Clues::default(),
            ),
            Self::TensorFlow => (
                format!("this is a SavedModel of TensorFlow, which is not read here; {CONVERT}"),
                Clues::default(),
            ),
            Self::CoreMl => (
                "this is a Core ML model, which is not read here;".to_owned(),
                Clues::default(),
            ),
            Self::Foreign(what) => (
                format!("this is {what}, which is not read here;"),
                Clues::default(),
            ),
            Self::Hdf5 => (
                format!("this is an HDF5 file, as Keras writes (.h5); {CONVERT} {SAVE}"),
                Clues::default(),
            ),
            Self::Keras => (
                format!("this is a Keras archive (.keras); {CONVERT} {SAVE}"),
                Clues::default(),
            ),
        };
        format!("{what} {}", offers(path, &clues))
    }
}

fn gguf_refusal(file: &mut (impl Read + Seek), len: u64) -> (String, Clues) {
    let summary = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| gguf::read(file))
        .unwrap_or_default();
    if summary.parameters == 0 {
        let fact = "this is a GGUF file, whose weights cannot be run here;";
        return (fact.to_owned(), Clues::default());
    }
    let of = match summary.architecture.as_str() {
        "" => "with".to_owned(),
        architecture => format!("of a '{}' network with", architecture.escape_debug()),
    };
    let fact = format!(
        "this is a GGUF file {of} {} parameters, whose weights cannot be run here;",
        count(summary.parameters)
    );
    let bits = len as f64 * 8.0 / summary.parameters as f64;
    let clues = Clues {
        parameters: Some(summary.parameters),
        weight_bits: Recipe::WEIGHT_BITS
            .into_iter()
            .min_by(|a, b| {
                let apart = |width: &u8| (f64::from(*width) - bits).abs();
                apart(a).total_cmp(&apart(b))
            })
            .filter(|width| *width < 16),
        hidden: summary.number("embedding_length"),
        layers: summary.number("block_count"),
        heads: summary.number("attention.head_count"),
        kv_heads: summary.number("attention.head_count_kv"),
        vocabulary: summary.vocabulary.and_then(|n| u32::try_from(n).ok()),
        names: summary.names,
    };
    (fact, clues)
}

fn onnx_refusal(file: &mut (impl Read + Seek), len: u64, path: &Path) -> String {
    let counted = file
        .seek(SeekFrom::Start(0))
        .map_err(|error| error.to_string())
        .and_then(|_| onnx::read(file, len, &[]));
    match counted {
        Ok(counted) => format!(
            "this is an ONNX file with {} parameters, which is known by its shapes and not run here; see what it costs \
             (wattif report --model {})",
            count(counted.parameters()),
            quoted(path)
        ),
        Err(fact) => {
            let offers = offers(path, &Clues::default());
            format!("this is an ONNX file whose work cannot be counted ({fact}); {offers}")
        }
    }
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
