//! Operators that sum up or search along axes.

use super::Given;
use crate::formats::onnx::call::{Call, Outcome, here};
use crate::formats::onnx::tensor::DataType;
use crate::formats::onnx::value::{Value, axis, elements};

/// Sums, means and the like along axes.
pub(super) fn reduce(call: &Call<'_, '_>, name: &str) -> Outcome<Given> {
    let shape = call.shape(0)?;
    let axes = call.listed("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && call.int("noop_with_empty_axes", 0) != 0 {
        return Ok(Given::one(call.input(0)?.clone()).with_arguments(1..2));
    }
    let Some(axes) = places(&axes, shape.len()) else {
        return here(format!("has axes {axes:?} of {} dimensions", shape.len()));
    };
    let all = axes.is_empty();
    let keeps = call.int("keepdims", 1) != 0;
    let is_out = |i: &usize| all || axes.contains(i);
    let result: Vec<u64> = (0..shape.len())
        .filter(|i| keeps || !is_out(i))
        .map(|i| if is_out(&i) { 1 } else { shape[i] })
        .collect();
    let mut value = Value::new(call.data_type(0), result.clone());
    let input = call.input(0)?;
    if let (Some(values), 1, true) = (&input.values, elements(&result), !shape.contains(&0)) {
        let all = values.iter().copied();
        let one = match name {
            "ReduceSum" => Some(all.sum()),
            "ReduceProd" => Some(all.product()),
            "ReduceMax" => all.reduce(f64::max),
            "ReduceMin" => all.reduce(f64::min),
            _ => None,
        };
        value.values = one.map(|one| vec![one].into());
    }
    Ok(Given::one(value).with_arguments(1..2))
}

fn places(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    axes.iter().map(|own| axis(*own, rank)).collect()
}

/// Places of the largest or smallest numbers.
pub(super) fn arg(call: &Call<'_, '_>) -> Outcome<Given> {
    let mut shape = call.shape(0)?.to_vec();
    let Some(along) = axis(call.int("axis", 0), shape.len()) else {
        return here("has an axis that its input does not have");
    };
    if call.int("keepdims", 1) != 0 {
        shape[along] = 1;
    } else {
        shape.remove(along);
    }
    Ok(Given::shaped(DataType::INT64, shape))
}

/// One number of every channel.
pub(super) fn global(call: &Call<'_, '_>) -> Outcome<Given> {
    let mut shape = call.shape(0)?.to_vec();
    for size in shape.iter_mut().skip(2) {
        *size = 1;
    }
    Ok(Given::shaped(call.data_type(0), shape).with_arguments(1..call.inputs.len()))
}
