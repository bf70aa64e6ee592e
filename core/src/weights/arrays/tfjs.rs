//! Layers and graph models of TensorFlow.js: a `model.json` that lists groups of files and the tensors that lie in them one
//! after the other (<https://github.com/tensorflow/tfjs>, `tfjs-core/src/io/types.ts`).

use std::path::Component;

use serde::Deserialize;

use super::{Arrays, Codes, Piece, Storage, View};
use crate::error::Result;
use crate::files::folder_of;
use crate::number::StoredFormat;
use crate::weights::place::Place;

/// The longest `model.json`.
const LONGEST: u64 = 64 << 20;
/// The most files.
const MOST_FILES: usize = 10_000;

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "weightsManifest")]
    groups: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    paths: Vec<String>,
    weights: Vec<Weights>,
}

#[derive(Deserialize)]
struct Weights {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    #[serde(default)]
    scale: f64,
    #[serde(default)]
    min: f64,
}

/// Opens a `model.json` and the files beside it.
pub(super) fn open(place: Place) -> Result<Arrays> {
    if place.length > LONGEST {
        return Err(place.wrong("this model.json is longer than any that is read"));
    }
    let text = place.read(0, place.length as usize)?;
    let model: Model = crate::unique::json(&text)
        .and_then(serde_json::from_value)
        .map_err(|error| place.wrong(format!("this is no model of TensorFlow.js ({error})")))?;
    let folder = folder_of(&place.path).to_owned();
    let (mut files, mut storages, mut named) = (vec![place], Vec::new(), Vec::new());
    for group in model.groups {
        let mut pieces = Vec::new();
        for name in &group.paths {
            let first = &files[0];
            let mut components = std::path::Path::new(name).components();
            let is_plain = matches!(components.next(), Some(Component::Normal(_)));
            if !is_plain || components.next().is_some() || name.contains('\\') {
                return Err(first.wrong(format!(
                    "lists the file '{}', which is not one beside it",
                    name.escape_debug()
                )));
            }
            if files.len() > MOST_FILES {
                return Err(first.wrong(format!("lists more than {MOST_FILES} files")));
            }
            let shard = Place::open(&folder.join(name))?;
            pieces.push(Piece {
                file: files.len(),
                start: 0,
                length: shard.length,
            });
            files.push(shard);
        }
        let length: u64 = pieces.iter().map(|piece| piece.length).sum();
        let mut offset: u64 = 0;
        for weights in group.weights {
            let wrong = |fact: String| {
                files[0].wrong(format!("tensor '{}' {fact}", weights.name.escape_debug()))
            };
            let (format, codes) = weights.format().map_err(wrong)?;
            let bytes = weights
                .shape
                .iter()
                .try_fold(super::width(format) as u64, |n, extent| {
                    n.checked_mul(*extent as u64)
                })
                .and_then(|bytes| offset.checked_add(bytes))
                .filter(|end| *end <= length)
                .ok_or_else(|| {
                    wrong(format!(
                        "of shape {:?} ends beyond its files",
                        weights.shape
                    ))
                })?;
            let view = View {
                offset,
                codes,
                ..View::whole(storages.len(), weights.shape.clone(), format)
            };
            offset = bytes;
            let (name, view) = outputs_first(weights.name, view);
            named.push((name, view));
        }
        if offset != length {
            return Err(files[0].wrong(format!(
                "{} bytes after the last tensor of its files belong to nothing",
                length - offset
            )));
        }
        storages.push(Storage::Pieces(pieces));
    }
    Arrays::new(files, storages, named)
}

impl Weights {
    fn format(&self) -> std::result::Result<(StoredFormat, Option<Codes>), String> {
        let kind = self
            .quantization
            .as_ref()
            .map_or(self.dtype.as_str(), |quantization| &quantization.dtype);
        let format = match kind {
            "float32" => StoredFormat::F32,
            "float16" => StoredFormat::F16,
            "int32" => StoredFormat::I32,
            "uint8" => StoredFormat::U8,
            "uint16" => StoredFormat::U16,
            "bool" => StoredFormat::Bool,
            other => {
                return Err(format!(
                    "is of type '{}', which is not read",
                    other.escape_debug()
                ));
            }
        };
        let codes = self
            .quantization
            .as_ref()
            .filter(|_| matches!(format, StoredFormat::U8 | StoredFormat::U16))
            .map(|quantization| Codes {
                scale: quantization.scale,
                least: quantization.min,
            });
        Ok((format, codes))
    }
}

/// Keras has the outputs of a kernel last; here they come first, and the places inside a kernel last.
fn outputs_first(name: String, mut view: View) -> (String, View) {
    let kind = name.rsplit('/').next().unwrap_or_default();
    let order: Option<&[usize]> = match (kind, view.shape.len()) {
        ("kernel" | "recurrent_kernel", 2) => Some(&[1, 0]),
        ("kernel", 3) => Some(&[2, 1, 0]),
        ("kernel", 4) => Some(&[3, 2, 0, 1]),
        ("depthwise_kernel", 4) => Some(&[2, 3, 0, 1]),
        _ => None,
    };
    if let Some(order) = order {
        view.shape = order.iter().map(|at| view.shape[*at]).collect();
        view.strides = order.iter().map(|at| view.strides[*at]).collect();
    }
    (name, view)
}
