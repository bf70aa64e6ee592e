//! Writing weights as they were read: a safetensors file with the names, shapes and formats of another, and new values.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use half::{bf16, f16};
use serde_json::{Map, Value, json};

use super::renamed::Place;
use super::{Change, Renamed, Source, StoredFormat, TensorInfo};
use crate::error::{Error, Result};
use crate::files;

/// Numbers that are held at a time of a tensor that is written.
const AT_ONCE: usize = 1 << 20;
/// Headers end at such places.
const ALIGNMENT: usize = 8;

/// Gives some rows of a tensor by its name.
pub(crate) type RowsOf<'a> = dyn Fn(&str, Range<usize>, &mut [f32]) -> Result<()> + 'a;

/// New values of tensors, by the names that a network has for them.
pub(crate) struct NewValues<'a> {
    /// Whether a tensor has some.
    pub(crate) has: &'a dyn Fn(&str) -> bool,
    /// Some rows of it.
    pub(crate) rows: &'a RowsOf<'a>,
}

/// What a safetensors file calls a format that new values are written in.
fn code(format: StoredFormat) -> Option<&'static str> {
    match format {
        StoredFormat::F32 => Some("F32"),
        StoredFormat::F16 => Some("F16"),
        StoredFormat::BF16 => Some("BF16"),
        _ => None,
    }
}

/// Writes all tensors of a renamed file that the network has, under the file's own names and in its formats, with new
/// values where there are some. Of those only some rows are in memory at a time, or one matrix that lies the other way.
/// Returns the bytes of the file.
///
/// # Errors
/// [`Error::File`]: the weights are none of a folder or are packed, a value does not fit its format, a file of the source
/// would be overwritten, or the file cannot be written.
pub(crate) fn write_as_read(
    source: &dyn Source,
    new: &NewValues<'_>,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<u64> {
    let wrong = |fact: String| Error::file(fact, path);
    let renamed = source
        .as_renamed()
        .ok_or_else(|| wrong("the model was not opened from a folder".to_owned()))?;
    if source.paths().iter().any(|own| files::is_same(own, path)) {
        return Err(wrong(
            "this is the file that the model was opened from; it is not written over".to_owned(),
        ));
    }
    let places = renamed.places();
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    let mut end = 0;
    for place in &places {
        let info = renamed.in_its_file(place);
        let Some(format) = code(info.format) else {
            return Err(wrong(format!(
                "tensor '{}' is packed as {}; the file with the numbers that are in it can have any other ending",
                info.name,
                info.format.name()
            )));
        };
        let start = end;
        end += info.bytes;
        let entry = json!({"dtype": format, "shape": info.shape, "data_offsets": [start, end]});
        header.insert(info.name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string();
    let length = header.len().next_multiple_of(ALIGNMENT);
    header.push_str(&" ".repeat(length - header.len()));
    files::replace(path, |file| {
        file.write_all(&(length as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for place in &places {
            put(renamed, place, new, file).map_err(io::Error::other)??;
        }
        file.flush()?;
        Ok(8 + length as u64 + end)
    })
}

/// Writes a tensor; the inner error is one of writing.
fn put(
    renamed: &Renamed,
    place: &Place,
    new: &NewValues<'_>,
    file: &mut impl Write,
) -> Result<io::Result<()>> {
    let name = &renamed.tensors()[place.tensor].name;
    let info = renamed.in_its_file(place);
    if !(new.has)(name) {
        return Ok(file.write_all(&renamed.bytes_in_its_file(place)?));
    }
    let (rows, length) = (info.rows(), info.row_length());
    let mut bytes = Vec::new();
    let mut values = Vec::new();
    let mut write = |ours: Range<usize>, values: &mut Vec<f32>, turn: Option<usize>| {
        (new.rows)(name, ours, values)?;
        if let Some(columns) = turn {
            let lines = values.len() / columns.max(1);
            let turned = (0..values.len()).map(|i| values[i % lines * columns + i / lines]);
            *values = turned.collect();
        }
        bytes.clear();
        encode(info, values, &mut bytes)?;
        Ok(file.write_all(&bytes))
    };
    match place.change {
        // Our rows are the columns of the file.
        Change::Turned => {
            values.resize(rows * length, 0.0);
            write(0..length, &mut values, Some(rows))
        }
        Change::Grouped(grouping) => {
            values.resize(grouping.width * length, 0.0);
            for head in 0..rows / grouping.width.max(1) {
                let first = grouping.head(head) * grouping.width;
                if let Err(error) = write(first..first + grouping.width, &mut values, None)? {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        }
        Change::None => {
            let each = (AT_ONCE / length.max(1)).max(1);
            for start in (0..rows).step_by(each) {
                let count = each.min(rows - start);
                values.resize(count * length, 0.0);
                let first = place.first + start;
                if let Err(error) = write(first..first + count, &mut values, None)? {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        }
        Change::PlusOne | Change::Flat => Err(Error::Compute(format!(
            "tensor '{}' is no matrix and was changed",
            info.name
        ))),
    }
}

/// Values in the format of a tensor.
fn encode(info: &TensorInfo, values: &[f32], bytes: &mut Vec<u8>) -> Result<()> {
    for &value in values {
        let rounded = match info.format {
            StoredFormat::F16 => {
                let half = f16::from_f32(value);
                bytes.extend(half.to_le_bytes());
                half.to_f32()
            }
            StoredFormat::BF16 => {
                let brain = bf16::from_f32(value);
                bytes.extend(brain.to_le_bytes());
                brain.to_f32()
            }
            _ => {
                bytes.extend(value.to_le_bytes());
                value
            }
        };
        if !rounded.is_finite() {
            return Err(Error::Compute(format!(
                "tensor '{}' would hold {value}, which is no number of {}",
                info.name,
                info.format.name()
            )));
        }
    }
    Ok(())
}
