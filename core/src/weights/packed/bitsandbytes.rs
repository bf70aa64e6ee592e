//! The formats of bitsandbytes (<https://github.com/bitsandbytes-foundation/bitsandbytes>, `functional.py`): codes of 4 bits
//! of a table, the first of two in the high bits, times the largest weight of a block (Dettmers et al. 2023,
//! <https://arxiv.org/abs/2305.14314>), which may be codes of a table themselves; and integers of 8 bits, 127 for the
//! largest weight of a row (Dettmers et al. 2022, <https://arxiv.org/abs/2208.07339>).

use serde_json::Value;

use super::{Fact, Matrix, Parts, Reading, Rows, StoredFormat};
use crate::error::{Error, Result};

const STATE: &str = ".weight.quant_state.bitsandbytes__nf4";

pub(super) const NF4: Parts = Parts {
    main: STATE,
    needed: &[".weight", ".weight.absmax", ".weight.quant_map"],
    perhaps: &[".weight.nested_absmax", ".weight.nested_quant_map"],
};

pub(super) const INT8: Parts = Parts {
    main: ".SCB",
    needed: &[".weight"],
    perhaps: &[".weight_format"],
};

/// What stands beside the codes of a matrix.
struct State {
    shape: [usize; 2],
    block: usize,
    /// Maxima of a block, and what is added to each, where these are codes.
    nested: Option<(usize, f32)>,
}

fn state(reading: &Reading<'_>) -> Fact<State> {
    let (at, info) = reading.info(STATE)?;
    let bytes = reading.source.read(at).map_err(|error| error.to_string())?;
    let wrong = || format!("tensor '{}' does not say how a matrix is packed", info.name);
    let json = crate::unique::json(&bytes).map_err(|_| wrong())?;
    let size = |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok());
    let above = |key: &str| json.get(key).and_then(size).filter(|size| *size > 0);
    if json.get("quant_type") != Some(&"nf4".into()) {
        return Err(wrong());
    }
    let shape: Option<Vec<usize>> = json
        .get("shape")
        .and_then(Value::as_array)
        .and_then(|shape| shape.iter().map(size).collect());
    let nested = reading.perhaps(".weight.nested_absmax").map(|_| {
        let offset = json.get("nested_offset").and_then(Value::as_f64);
        Some((above("nested_blocksize")?, offset? as f32))
    });
    Ok(State {
        shape: shape
            .and_then(|shape| shape.try_into().ok())
            .ok_or_else(wrong)?,
        block: above("blocksize").ok_or_else(wrong)?,
        nested: match nested {
            Some(nested) => Some(nested.ok_or_else(wrong)?),
            None => None,
        },
    })
}

pub(super) fn shape_of_nf4(reading: &Reading<'_>) -> Fact<[usize; 2]> {
    use StoredFormat as F;
    let state = state(reading)?;
    let all = state.shape[0].checked_mul(state.shape[1]);
    let holds = |part: &str, format: StoredFormat, elements: Option<usize>| {
        let (_, info) = reading.info(part)?;
        match info.format == format && Some(info.elements()) == elements {
            true => Ok(()),
            false => Err(super::unfit(info)),
        }
    };
    holds(".weight", F::U8, all.map(|all| all.div_ceil(2)))?;
    holds(".weight.quant_map", F::F32, Some(16))?;
    let blocks = all.map(|all| all.div_ceil(state.block));
    match state.nested {
        None => holds(".weight.absmax", F::F32, blocks)?,
        Some((block, _)) => {
            holds(".weight.absmax", F::U8, blocks)?;
            holds(".weight.nested_quant_map", F::F32, Some(256))?;
            let blocks = blocks.map(|blocks| blocks.div_ceil(block));
            holds(".weight.nested_absmax", F::F32, blocks)?;
        }
    }
    Ok(state.shape)
}

struct Nf4 {
    codes: Vec<u8>,
    table: Vec<f32>,
    maxima: Vec<f32>,
    block: usize,
}

pub(super) fn read_nf4(reading: &Reading<'_>, _: &Matrix) -> Result<Box<dyn Rows>> {
    let state = state(reading).map_err(Error::Compute)?;
    let maxima = match state.nested {
        None => reading.floats(".weight.absmax")?,
        Some((block, offset)) => {
            let table = reading.floats(".weight.nested_quant_map")?;
            let scales = reading.floats(".weight.nested_absmax")?;
            let codes = reading.bytes(".weight.absmax")?;
            let maximum =
                |(at, code): (usize, &u8)| table[usize::from(*code)] * scales[at / block] + offset;
            codes.iter().enumerate().map(maximum).collect()
        }
    };
    Ok(Box::new(Nf4 {
        codes: reading.bytes(".weight")?,
        table: reading.floats(".weight.quant_map")?,
        maxima,
        block: state.block,
    }))
}

impl Rows for Nf4 {
    fn row(&self, row: usize, out: &mut [f32]) {
        let start = row * out.len();
        for (at, out) in (start..).zip(out) {
            let both = self.codes[at / 2];
            let code = if at.is_multiple_of(2) {
                both >> 4
            } else {
                both & 15
            };
            *out = self.table[usize::from(code)] * self.maxima[at / self.block];
        }
    }
}

pub(super) fn shape_of_int8(reading: &Reading<'_>) -> Fact<[usize; 2]> {
    let shape = reading.matrix(".weight", &[StoredFormat::I8])?;
    let (_, info) = reading.info(".SCB")?;
    if info.format != StoredFormat::F32 {
        return Err(super::unfit(info));
    }
    reading.has(".SCB", &shape[..1])?;
    // Number 0 stands for rows in their order.
    if let Some((at, info)) = reading.perhaps(".weight_format") {
        let bytes = reading.source.read(at).map_err(|error| error.to_string())?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(super::unfit(info));
        }
    }
    Ok(shape)
}

struct Int8 {
    codes: Vec<u8>,
    maxima: Vec<f32>,
}

pub(super) fn read_int8(reading: &Reading<'_>, _: &Matrix) -> Result<Box<dyn Rows>> {
    Ok(Box::new(Int8 {
        codes: reading.bytes(".weight")?,
        maxima: reading.floats(".SCB")?,
    }))
}

impl Rows for Int8 {
    fn row(&self, row: usize, out: &mut [f32]) {
        /// The largest code.
        const MOST: f32 = 127.0;
        let codes = &self.codes[row * out.len()..];
        for (out, code) in out.iter_mut().zip(codes) {
            *out = f32::from(code.cast_signed()) * self.maxima[row] / MOST;
        }
    }
}
