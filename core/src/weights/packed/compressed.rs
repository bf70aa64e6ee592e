//! The formats of compressed-tensors (<https://github.com/vllm-project/compressed-tensors>, `compressors`): integers with an
//! offset, several in a word along a row from its low bits on, and numbers of 8 bits, each with scales.

use serde_json::{Map, Value};

use super::{Fact, Matrix, Parts, Reading, Rows, Scheme, StoredFormat, fp8};
use crate::error::{Error, Result};

pub(super) const INTEGERS: Parts = Parts {
    main: ".weight_packed",
    needed: &[".weight_scale", ".weight_shape"],
    perhaps: &[".weight_zero_point", ".weight_g_idx"],
};

pub(super) const SCALED: Parts = Parts {
    main: ".weight_scale",
    needed: &[".weight"],
    perhaps: &[".weight_zero_point"],
};

const FLOATS: [StoredFormat; 3] = [StoredFormat::F32, StoredFormat::BF16, StoredFormat::F16];

fn not_run(key: &str, value: &Value) -> String {
    format!("its weights are packed with {key} = {value}, which is not run here yet")
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The scheme of a configuration.
pub(super) fn scheme(config: &Map<String, Value>) -> Fact<Scheme> {
    for key in ["kv_cache_scheme", "transform_config"] {
        if let Some(value) = config.get(key).filter(|value| !is_nothing(value)) {
            return Err(not_run(key, value));
        }
    }
    if let Some(sparse) = config
        .get("sparsity_config")
        .filter(|value| !is_nothing(value))
        && sparse.get("format") != Some(&"dense".into())
    {
        return Err(not_run("sparsity_config", sparse));
    }
    let groups = config.get("config_groups").and_then(Value::as_object);
    let groups: Vec<&Value> = groups.into_iter().flat_map(Map::values).collect();
    let [group] = groups[..] else {
        return Err(not_run("config_groups", &groups.len().into()));
    };
    let format = group.get("format").filter(|format| !format.is_null());
    let format = format.or_else(|| config.get("format"));
    let format = format.unwrap_or(&Value::Null);
    let activations = group.get("input_activations").unwrap_or(&Value::Null);
    if !activations.is_null() && activations.get("dynamic") != Some(&true.into()) {
        return Err(not_run("input_activations", activations));
    }
    let weights = group.get("weights").unwrap_or(&Value::Null);
    let bits = weights.get("num_bits").and_then(Value::as_u64);
    let kind = weights.get("type").and_then(Value::as_str);
    let block = weights.get("block_structure").unwrap_or(&Value::Null);
    let block = match weights.get("strategy").and_then(Value::as_str) {
        Some("block") => {
            super::scheme::block(block).ok_or_else(|| not_run("block_structure", block))?
        }
        _ => [0, 0],
    };
    match (format.as_str(), kind, bits) {
        (Some("pack-quantized"), None | Some("int"), Some(bits @ (4 | 8))) => {
            Ok(Scheme::Integers { bits: bits as u32 })
        }
        (Some("float-quantized" | "naive-quantized"), Some("float"), Some(8)) => {
            Ok(Scheme::Scaled { float: true, block })
        }
        (Some("int-quantized" | "naive-quantized"), None | Some("int"), Some(8)) => {
            Ok(Scheme::Scaled {
                float: false,
                block,
            })
        }
        _ => Err(format!(
            "its weights are packed by compressed-tensors as {format} of {}, which is not run here yet",
            weights.get("num_bits").unwrap_or(&Value::Null)
        )),
    }
}

/// Groups of columns that have a scale each, and whether every row has its own.
fn groups(reading: &Reading<'_>, rows: usize, columns: usize) -> Fact<(usize, bool)> {
    let (_, info) = reading.info(".weight_scale")?;
    if !FLOATS.contains(&info.format) {
        return Err(super::unfit(info));
    }
    match info.shape[..] {
        [] | [1] => Ok((1, false)),
        [count, groups] if count == rows && groups > 0 && columns.is_multiple_of(groups) => {
            Ok((groups, true))
        }
        _ => Err(super::unfit(info)),
    }
}

pub(super) fn shape_of_integers(reading: &Reading<'_>, bits: u32) -> Fact<[usize; 2]> {
    let per = (32 / bits) as usize;
    let [rows, words] = reading.matrix(".weight_packed", &[StoredFormat::I32])?;
    let (at, info) = reading.info(".weight_shape")?;
    let bytes = match (info.format, info.elements()) {
        (StoredFormat::I64, 2) => reading.source.read(at).map_err(|error| error.to_string())?,
        _ => return Err(super::unfit(info)),
    };
    let (sizes, _) = bytes.as_chunks::<8>();
    let size = |at: usize| usize::try_from(i64::from_le_bytes(sizes[at])).ok();
    let columns = match (size(0), size(1)) {
        (Some(height), Some(columns)) if height == rows && columns.div_ceil(per) == words => {
            columns
        }
        _ => return Err(super::unfit(info)),
    };
    let (groups, _) = groups(reading, rows, columns)?;
    if let Some((_, info)) = reading.perhaps(".weight_zero_point") {
        if info.format != StoredFormat::I32 {
            return Err(super::unfit(info));
        }
        reading.has(".weight_zero_point", &[rows.div_ceil(per), groups])?;
    }
    if let Some((_, info)) = reading.perhaps(".weight_g_idx") {
        if info.format != StoredFormat::I32 {
            return Err(super::unfit(info));
        }
        reading.has(".weight_g_idx", &[columns])?;
    }
    Ok([rows, columns])
}

struct Integers {
    words: Vec<u32>,
    zeros: Option<Vec<u32>>,
    scales: Vec<f32>,
    /// The group of every column.
    groups: Vec<usize>,
    count: usize,
    by_row: bool,
    bits: u32,
}

pub(super) fn read_integers(
    reading: &Reading<'_>,
    matrix: &Matrix,
    bits: u32,
) -> Result<Box<dyn Rows>> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    let (count, by_row) = groups(reading, rows, columns).map_err(Error::Compute)?;
    let groups: Vec<usize> = match reading.perhaps(".weight_g_idx") {
        Some(_) => {
            let groups = reading.words(".weight_g_idx")?;
            groups.into_iter().map(|group| group as usize).collect()
        }
        None => (0..columns)
            .map(|column| column / (columns / count))
            .collect(),
    };
    if let Some(group) = groups.iter().find(|group| **group >= count) {
        return Err(Error::Compute(format!(
            "a column is of group {group}, and there are {count}"
        )));
    }
    let zeros = reading.perhaps(".weight_zero_point");
    Ok(Box::new(Integers {
        words: reading.words(".weight_packed")?,
        zeros: zeros
            .map(|_| reading.words(".weight_zero_point"))
            .transpose()?,
        scales: reading.floats(".weight_scale")?,
        groups,
        count,
        by_row,
        bits,
    }))
}

impl Rows for Integers {
    fn row(&self, row: usize, out: &mut [f32]) {
        let (per, most) = ((32 / self.bits) as usize, (1_u32 << self.bits) - 1);
        let code = |word: u32, place: usize| (word >> (place as u32 * self.bits)) & most;
        let words = &self.words[row * out.len().div_ceil(per)..];
        for (column, (out, group)) in out.iter_mut().zip(&self.groups).enumerate() {
            // The offset of both falls away.
            let zero = match &self.zeros {
                Some(zeros) => code(zeros[row / per * self.count + group], row % per),
                None => 1 << (self.bits - 1),
            };
            let scale = self.scales[if self.by_row {
                row * self.count + group
            } else {
                0
            }];
            *out = (code(words[column / per], column % per) as f32 - zero as f32) * scale;
        }
    }
}

pub(super) fn shape_of_scaled(
    reading: &Reading<'_>,
    float: bool,
    said: fp8::Block,
) -> Fact<[usize; 2]> {
    let format = match float {
        true => StoredFormat::F8_E4M3,
        false => StoredFormat::I8,
    };
    let shape = reading.matrix(".weight", &[format])?;
    if let Some((_, info)) = reading.perhaps(".weight_zero_point") {
        return Err(super::unfit(info));
    }
    let (_, info) = reading.info(".weight_scale")?;
    let blocks = scales(&info.shape);
    match blocks.and_then(|blocks| fp8::block(shape, blocks, said)) {
        Some(_) if FLOATS.contains(&info.format) => Ok(shape),
        _ => Err(super::unfit(info)),
    }
}

/// Scales of rows and of columns.
fn scales(shape: &[usize]) -> Option<[usize; 2]> {
    match *shape {
        [] | [1] => Some([1, 1]),
        [rows, columns] => Some([rows, columns]),
        _ => None,
    }
}

pub(super) fn read_scaled(
    reading: &Reading<'_>,
    matrix: &Matrix,
    float: bool,
    said: fp8::Block,
) -> Result<Box<dyn Rows>> {
    let (_, info) = reading.info(".weight_scale").map_err(Error::Compute)?;
    let blocks = scales(&info.shape).unwrap_or([1, 1]);
    let numbers = match float {
        true => reading.floats(".weight")?,
        false => {
            let bytes = reading.bytes(".weight")?;
            bytes
                .into_iter()
                .map(|byte| f32::from(byte.cast_signed()))
                .collect()
        }
    };
    let scales = reading.floats(".weight_scale")?;
    let read = fp8::Read::new(matrix, numbers, scales, (blocks, said))?;
    Ok(Box::new(read))
}
