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
    /// An archive of another kind.
    Zip,
    /// No model at all, and what it is.
    Other(&'static str),
}

/// What a file is from its first bytes, if that is something other than safetensors.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    const KINDS: [(&[u8], Kind); 7] = [
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
    // A pickle begins with its protocol; 2 is the oldest that PyTorch wrote.
    if let [0x80, 2..=5, ..] = head {
        return Some(Kind::Pickle);
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
    Some(Kind::Other(match text.trim_start().chars().next() {
        Some('{') if text.contains("\"weight_map\"") => {
            "this is the index of a model in several files, not a model"
        }
        Some('{' | '[') => {
            "this is JSON, such as a model's configuration; the weights are in another file"
        }
        _ => "this is a text file, not a model",
    }))
}

/// The kind of a zip archive by the name of its first file (APPNOTE.TXT 4.3.7: the length of the name stands at byte 26,
/// the name at byte 30).
fn archive(head: &[u8]) -> Kind {
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

    /// Why it cannot be opened, and what can be done instead.
    pub(super) fn refusal(self, file: &mut (impl Read + Seek), len: u64, path: &Path) -> String {
        const SAVE: &str = "save its tensors as safetensors, or";
        let (what, clues) = match self {
            Self::Other(fact) => return fact.to_owned(),
            Self::Zip => return "this is a zip archive, not a model; unpack it first".to_owned(),
            Self::Gguf => gguf_refusal(file, len),
            Self::Onnx => return onnx_refusal(file, len, path),
            Self::TorchArchive => (
                format!(
                    "this is a PyTorch file, whose pickle could run code and is never opened; {SAVE}"
                ),
                Clues::default(),
            ),
            Self::Pickle => (
                format!(
                    "this is a Python pickle, as old PyTorch files are, which could run code and is never opened; {SAVE}"
                ),
                Clues::default(),
            ),
            Self::TensorFlowLite => (
                "this is a TensorFlow Lite file, whose weights cannot be run here;".to_owned(),
                Clues::default(),
            ),
            Self::Hdf5 => (
                format!("this is an HDF5 file, as Keras writes (.h5); {SAVE}"),
                Clues::default(),
            ),
            Self::Keras => (
                format!("this is a Keras archive (.keras); {SAVE}"),
                Clues::default(),
            ),
            Self::NumPy => (
                format!("this holds NumPy arrays (.npy, .npz); {SAVE}"),
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
