//! Rounding to few bits, and back.

use super::{Given, Use};
use crate::formats::onnx::call::{Call, Outcome, Unknown};
use crate::formats::onnx::tensor::DataType;
use crate::formats::onnx::value::{Scales, Value};

pub(super) fn quantize(call: &Call<'_, '_>) -> Outcome<Given> {
    let shape = call.shape(0)?.to_vec();
    let stated = call.find_int("output_dtype").filter(|own| *own != 0);
    let data_type = match (stated, call.find(2)) {
        (Some(own), _) => DataType(own),
        (None, Some(zero)) => zero.data_type,
        (None, None) => DataType::UINT8,
    };
    let rounded = Value {
        rounded: data_type.bits(),
        ..Value::new(data_type, shape)
    };
    Ok(Given {
        outputs: vec![
            rounded,
            Value::new(DataType::FLOAT, Vec::new()),
            Value::new(DataType::UINT8, Vec::new()),
        ],
        work: None,
        uses: vec![(1, Use::Scale), (2, Use::Scale)],
    })
}

pub(super) fn dequantize(call: &Call<'_, '_>) -> Outcome<Given> {
    let input = call.input(0)?;
    let Some(shape) = input.shape.clone() else {
        return Err(Unknown::Before);
    };
    let value = Value {
        data_type: call.data_type(1),
        scales: scales(call, 1, 2),
        rounded: input.data_type.bits(),
        values: None,
        ..input.like(shape)
    };
    Ok(Given {
        uses: vec![(1, Use::Scale), (2, Use::Scale)],
        ..Given::one(value)
    })
}

/// Scales of an operator's weights, by the inputs of the scale and the zero point.
pub(super) fn scales(call: &Call<'_, '_>, scale: usize, zero: usize) -> Scales {
    let Some(given) = call.find(scale) else {
        return Scales::default();
    };
    let bits = given.data_type.bits().unwrap_or(32);
    let zero = call.find(zero).and_then(|zero| zero.data_type.bits());
    Scales {
        count: given.elements().unwrap_or(1),
        bits: bits.saturating_add(zero.unwrap_or(0)),
    }
}
