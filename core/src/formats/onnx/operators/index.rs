//! Operators that pick numbers by their places, or give places.

use super::{Given, Use};
use crate::formats::onnx::call::{Call, Outcome, Unknown, here};
use crate::formats::onnx::tensor::DataType;
use crate::formats::onnx::value::{Value, axis, elements};
use crate::formats::onnx::work::{Kind, Work};

/// Slices along an axis; of a table with one row for each, that is a lookup.
pub(super) fn gather(call: &Call<'_, '_>) -> Outcome<Given> {
    let (from, places) = (call.shape(0)?, call.shape(1)?);
    let Some(along) = axis(call.int("axis", 0), from.len()) else {
        return here("has an axis that its input does not have");
    };
    let mut shape = from[..along].to_vec();
    shape.extend(places);
    shape.extend(&from[along + 1..]);
    let (data, indices) = (call.input(0)?, call.input(1)?);
    let mut value = data.like(shape.clone());
    if let Some(picked) = indices.integers() {
        let size = i64::try_from(from[along]).unwrap_or(i64::MAX);
        value.values = data.picked(&shape, |at| {
            let (before, rest) = at.split_at(along);
            let (own, after) = rest.split_at(places.len());
            let flat = own
                .iter()
                .zip(places)
                .fold(0, |flat, (at, size)| flat * size + at);
            let index = *picked.get(usize::try_from(flat).ok()?)?;
            let index = if index < 0 {
                index.checked_add(size)?
            } else {
                index
            };
            Some([before, &[u64::try_from(index).ok()?], after].concat())
        });
    }
    let is_table = from.len() == 2
        && along == 0
        && data.made_of.as_ref().is_some_and(|of| !of.is_empty())
        && !indices.is_constant()
        && value.values.is_none();
    let mut given = Given::one(value).with_arguments(1..2);
    if is_table {
        let mut work = Work::new(
            Kind::Lookup,
            0.0,
            elements(places) as f64,
            elements(&shape) as f64,
        );
        work.weigh(data, from[1], data.scales);
        work.activation_bits = data.data_type.bits().unwrap_or(32).min(32);
        given.work = Some(work);
        given.uses.push((0, Use::Weight));
    }
    Ok(given)
}

pub(super) fn gather_elements(call: &Call<'_, '_>) -> Outcome<Given> {
    let shape = call.shape(1)?.to_vec();
    Ok(Given::shaped(call.data_type(0), shape).with_arguments(1..2))
}

pub(super) fn gather_nd(call: &Call<'_, '_>) -> Outcome<Given> {
    let (from, places) = (call.shape(0)?, call.shape(1)?);
    let batch = usize::try_from(call.int("batch_dims", 0)).unwrap_or(usize::MAX);
    let Some((deep, leading)) = places.split_last() else {
        return here("has no places");
    };
    let picked = usize::try_from(*deep).unwrap_or(usize::MAX);
    let Some(rest) = batch.checked_add(picked).and_then(|at| from.get(at..)) else {
        return here(format!("picks {places:?} of {from:?}"));
    };
    let shape = [leading, rest].concat();
    Ok(Given::shaped(call.data_type(0), shape).with_arguments(1..2))
}

/// Numbers written over others.
pub(super) fn scatter(call: &Call<'_, '_>) -> Outcome<Given> {
    let shape = call.shape(0)?.to_vec();
    let mut value = Value::new(call.data_type(0), shape);
    value.values = scattered(call).map(Into::into);
    Ok(Given::one(value).with_arguments(1..2))
}

/// What a list is after some of its numbers were written over.
fn scattered(call: &Call<'_, '_>) -> Option<Vec<f64>> {
    let data = call.find(0)?;
    if data.shape.as_deref()?.len() != 1 {
        return None;
    }
    let mut values = data.values.as_deref()?.to_vec();
    let places = call.find(1)?.integers()?;
    let written = call.find(2)?.values.as_deref()?;
    let size = i64::try_from(values.len()).ok()?;
    for (place, number) in places.iter().zip(written) {
        let place = if *place < 0 { place + size } else { *place };
        *values.get_mut(usize::try_from(place).ok()?)? = *number;
    }
    (places.len() == written.len()).then_some(values)
}

/// The places of numbers that are not zero, which only a run gives unless the numbers are known.
pub(super) fn non_zero(call: &Call<'_, '_>) -> Outcome<Given> {
    let input = call.input(0)?;
    let shape = input.shape.as_deref().ok_or(Unknown::Before)?;
    let Some(values) = input.values.as_deref() else {
        return here("gives as many places as there are numbers that are not zero");
    };
    let rank = shape.len().max(1) as u64;
    let found: Vec<f64> = values
        .iter()
        .enumerate()
        .filter(|(_, value)| **value != 0.0)
        .map(|(place, _)| place as f64)
        .collect();
    let sizes = vec![rank, found.len() as u64];
    Ok(Given::one(match rank {
        1 => Value::known(DataType::INT64, sizes, found),
        _ => Value::new(DataType::INT64, sizes),
    }))
}

pub(super) fn top(call: &Call<'_, '_>) -> Outcome<Given> {
    let mut shape = call.shape(0)?.to_vec();
    let count = match call.find_int("k") {
        Some(count) => count,
        None => call.integers(1)?.first().copied().unwrap_or(-1),
    };
    let (Some(along), Ok(count)) = (
        axis(call.int("axis", -1), shape.len()),
        u64::try_from(count),
    ) else {
        return here("has a count or an axis that does not fit");
    };
    shape[along] = count.min(shape[along]);
    let given = Given {
        outputs: vec![
            Value::new(call.data_type(0), shape.clone()),
            Value::new(DataType::INT64, shape),
        ],
        ..Given::default()
    };
    Ok(given.with_arguments(1..2))
}

/// An image read at the places of a grid.
pub(super) fn grid_sample(call: &Call<'_, '_>) -> Outcome<Given> {
    let (from, grid) = (call.shape(0)?, call.shape(1)?);
    let ([samples, channels, ..], Some((_, places))) = (from, grid.split_last()) else {
        return here(format!("reads {from:?} at {grid:?}"));
    };
    let shape = [&[*samples, *channels], places.get(1..).unwrap_or_default()].concat();
    Ok(Given::shaped(call.data_type(0), shape))
}

/// Windows of one size out of regions of an image.
pub(super) fn regions(call: &Call<'_, '_>) -> Outcome<Given> {
    let (from, regions) = (call.shape(0)?, call.shape(1)?);
    let size = |name: &str| u64::try_from(call.int(name, 1)).unwrap_or(1);
    let ([_, channels, ..], [count, _]) = (from, regions) else {
        return here(format!("reads regions {regions:?} of {from:?}"));
    };
    let shape = vec![
        *count,
        *channels,
        size("output_height"),
        size("output_width"),
    ];
    Ok(Given::shaped(call.data_type(0), shape).with_arguments(2..3))
}

pub(super) fn one_hot(call: &Call<'_, '_>) -> Outcome<Given> {
    let mut shape = call.shape(0)?.to_vec();
    let depth = call.integers(1)?.first().copied().unwrap_or(-1);
    let along = axis(call.int("axis", -1), shape.len() + 1);
    let (Some(along), Ok(depth)) = (along, u64::try_from(depth)) else {
        return here("has a depth or an axis that does not fit");
    };
    shape.insert(along, depth);
    Ok(Given::shaped(call.data_type(2), shape).with_arguments(1..3))
}
