//! Operators that cut, join and turn, and those that make shapes.

use super::{Given, Use, not_known};
use crate::formats::onnx::call::{Call, Outcome, Unknown, here};
use crate::formats::onnx::tensor::DataType;
use crate::formats::onnx::value::{MOST_VALUES, Value, axis, broadcast, elements, stretched};

pub(super) fn infer(call: &Call<'_, '_>, name: &str) -> Outcome<Given> {
    let given = match name {
        "Reshape" => reshape(call),
        "Flatten" => flatten(call),
        "Transpose" => transpose(call),
        "Concat" => concat(call),
        "QLinearConcat" => concat_rounded(call),
        "Split" => split(call),
        "Slice" => super::slice::slice(call),
        "Squeeze" => squeeze(call),
        "Unsqueeze" => unsqueeze(call),
        "Expand" => expand(call),
        "Tile" => tile(call),
        "Pad" => pad(call),
        "Shape" => shape(call),
        "Size" => size(call),
        "Range" => range(call),
        "ConstantOfShape" => constant_of_shape(call),
        "RandomNormalLike" | "RandomUniformLike" | "EyeLike" => {
            let shape = call.shape(0)?.to_vec();
            Ok(Given::shaped(
                DataType(call.int("dtype", call.data_type(0).0)),
                shape,
            ))
        }
        "RandomNormal" | "RandomUniform" => match sizes(call.ints("shape").unwrap_or_default()) {
            Some(shape) => Ok(Given::shaped(DataType(call.int("dtype", 1)), shape)),
            None => here("has no shape"),
        },
        "Resize" | "Upsample" => super::slice::resize(call),
        "DepthToSpace" => blocks(call, true),
        "SpaceToDepth" => blocks(call, false),
        _ => return not_known(),
    }?;
    // A table that stands in the file may be turned and cut; what says how is no parameter.
    Ok(match name {
        "Concat" | "QLinearConcat" => given,
        _ => given.with_arguments(1..call.inputs.len()),
    })
}

/// Sizes out of whole numbers.
pub(super) fn sizes(values: &[i64]) -> Option<Vec<u64>> {
    values.iter().map(|n| u64::try_from(*n).ok()).collect()
}

fn reshape(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let Some(to) = call.listed("shape", 1)? else {
        return here("has no shape to give");
    };
    let keeps_zero = call.int("allowzero", 0) != 0;
    let misfit = || here(format!("gives {from:?} the shape {to:?}"));
    let mut shape = Vec::with_capacity(to.len());
    let mut open = None;
    for (i, size) in to.iter().enumerate() {
        shape.push(match size {
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            0 if !keeps_zero => match from.get(i) {
                Some(size) => *size,
                None => return misfit(),
            },
            size => match u64::try_from(*size) {
                Ok(size) => size,
                Err(_) => return misfit(),
            },
        });
    }
    let (all, others) = (elements(from), elements(&shape));
    if let Some(open) = open {
        if others == 0 || all % others != 0 {
            return misfit();
        }
        shape[open] = all / others;
    } else if all != others {
        return misfit();
    }
    Ok(Given::one(call.input(0)?.reshaped(shape)))
}

fn flatten(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let at = call.int("axis", 1);
    let rank = from.len() as i64;
    let at = usize::try_from(if at < 0 { at + rank } else { at }).unwrap_or(usize::MAX);
    let Some((before, after)) = from.split_at_checked(at) else {
        return here("has an axis that its input does not have");
    };
    let shape = vec![elements(before), elements(after)];
    Ok(Given::one(call.input(0)?.reshaped(shape)))
}

fn transpose(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let order = call.ints("perm").unwrap_or_default();
    let order: Option<Vec<usize>> = match order {
        [] => Some((0..from.len()).rev().collect()),
        own => own.iter().map(|at| axis(*at, from.len())).collect(),
    };
    let Some(order) = order.filter(|order| order.len() == from.len()) else {
        return here("has an order of axes that does not fit");
    };
    let shape: Vec<u64> = order.iter().map(|at| from[*at]).collect();
    let mut value = call.input(0)?.like(shape);
    let turned = value.shape.clone().unwrap_or_default();
    value.values = call.input(0)?.picked(&turned, |at| {
        let mut own = vec![0; at.len()];
        for (i, axis) in order.iter().enumerate() {
            own[*axis] = at[i];
        }
        Some(own)
    });
    Ok(Given::one(value))
}

/// Joins the inputs with these places along the axis.
fn joined(call: &Call<'_, '_>, inputs: &[usize]) -> Outcome<Value> {
    let Some(first) = inputs.first() else {
        return here("joins nothing");
    };
    let mut shape = call.shape(*first)?.to_vec();
    let Some(along) = axis(call.int("axis", 0), shape.len()) else {
        return here("has an axis that its inputs do not have");
    };
    for at in &inputs[1..] {
        let own = call.shape(*at)?;
        let same =
            own.len() == shape.len() && (0..own.len()).all(|i| i == along || own[i] == shape[i]);
        if !same {
            return here(format!("joins shapes {shape:?} and {own:?}"));
        }
        shape[along] = shape[along].saturating_add(own[along]);
    }
    let mut value = Value {
        scales: Default::default(),
        made_of: None,
        ..call.input(*first)?.like(shape.clone())
    };
    if shape.len() == 1 {
        let parts: Option<Vec<&[f64]>> = inputs
            .iter()
            .map(|at| call.find(*at).and_then(|value| value.values.as_deref()))
            .collect();
        value.values = parts
            .map(|parts| parts.concat())
            .filter(|values| values.len() as u64 <= MOST_VALUES)
            .map(Into::into);
    }
    Ok(value)
}

fn concat(call: &Call<'_, '_>) -> Outcome<Given> {
    let inputs: Vec<usize> = (0..call.inputs.len()).collect();
    Ok(Given::one(joined(call, &inputs)?))
}

/// The same of rounded numbers: a scale and a zero point, then each with its own.
fn concat_rounded(call: &Call<'_, '_>) -> Outcome<Given> {
    let inputs: Vec<usize> = (2..call.inputs.len()).step_by(3).collect();
    let value = joined(call, &inputs)?;
    let scales = (0..call.inputs.len()).filter(|at| !inputs.contains(at));
    Ok(Given {
        uses: scales.map(|at| (at, Use::Scale)).collect(),
        ..Given::one(value)
    })
}

fn split(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let Some(along) = axis(call.int("axis", 0), from.len()) else {
        return here("has an axis that its input does not have");
    };
    let count = call.node.outputs.len().max(1) as u64;
    let parts = match call.listed("split", 1)? {
        Some(parts) => sizes(&parts),
        None => {
            let each = from[along].div_ceil(count);
            let mut rest = from[along];
            let part = |_| {
                let own = each.min(rest);
                rest -= own;
                own
            };
            Some((0..count).map(part).collect())
        }
    };
    let sum = |parts: &Vec<u64>| parts.iter().fold(0, |a: u64, b| a.saturating_add(*b));
    let Some(parts) = parts.filter(|parts| sum(parts) == from[along]) else {
        return here("has parts that do not add up");
    };
    let input = call.input(0)?;
    let mut at = 0;
    let outputs = parts.iter().map(|part| {
        let mut shape = from.to_vec();
        shape[along] = *part;
        let mut value = input.like(shape);
        let end = at + usize::try_from(*part).unwrap_or(usize::MAX);
        if let (Some(values), 1) = (&input.values, from.len()) {
            value.values = values.get(at..end).map(Into::into);
        }
        at = end;
        value
    });
    Ok(Given {
        outputs: outputs.collect(),
        ..Given::default()
    })
}

fn squeeze(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let axes = call.listed("axes", 1)?;
    let axes: Option<Vec<usize>> = match axes {
        Some(axes) => axes.iter().map(|at| axis(*at, from.len())).collect(),
        None => Some((0..from.len()).filter(|i| from[*i] == 1).collect()),
    };
    let Some(axes) = axes.filter(|axes| axes.iter().all(|i| from[*i] == 1)) else {
        return here(format!(
            "takes axes away that {from:?} does not have, or not of size 1"
        ));
    };
    let kept = (0..from.len()).filter(|i| !axes.contains(i));
    let shape = kept.map(|i| from[i]).collect();
    Ok(Given::one(call.input(0)?.reshaped(shape)))
}

fn unsqueeze(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let axes = call.listed("axes", 1)?.unwrap_or_default();
    let rank = from.len() + axes.len();
    let places: Option<Vec<usize>> = axes.iter().map(|at| axis(*at, rank)).collect();
    let Some(mut places) = places else {
        return here(format!("adds axes {axes:?} to {from:?}"));
    };
    places.sort_unstable();
    places.dedup();
    let mut rest = from.iter().copied();
    let shape: Option<Vec<u64>> = (0..from.len() + places.len())
        .map(|i| {
            if places.contains(&i) {
                Some(1)
            } else {
                rest.next()
            }
        })
        .collect();
    match shape {
        Some(shape) => Ok(Given::one(call.input(0)?.reshaped(shape))),
        None => here("adds an axis twice"),
    }
}

fn expand(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let to = call.integers(1)?;
    let Some(shape) = sizes(&to).and_then(|to| broadcast(from, &to)) else {
        return here(format!("stretches {from:?} to {to:?}"));
    };
    let input = call.input(0)?;
    let mut value = input.like(shape.clone());
    if let Some(values) = input
        .values
        .as_deref()
        .filter(|_| elements(&shape) <= MOST_VALUES)
    {
        let places = stretched(from, &shape);
        let all: Option<Vec<f64>> = places.iter().map(|i| values.get(*i).copied()).collect();
        value.values = all.map(Into::into);
    }
    Ok(Given::one(value))
}

fn tile(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let times = call.integers(1)?;
    let Some(times) = sizes(&times).filter(|times| times.len() == from.len()) else {
        return here("repeats axes that its input does not have");
    };
    let shape = from
        .iter()
        .zip(&times)
        .map(|(a, b)| a.saturating_mul(*b))
        .collect();
    let mut value = call.input(0)?.like(shape);
    if let ([_], Some(values), [times]) = (from, &call.input(0)?.values, &times[..])
        && values.len() as u64 * times <= MOST_VALUES
    {
        value.values = Some(values.repeat(usize::try_from(*times).unwrap_or(0)).into());
    }
    Ok(Given::one(value))
}

fn pad(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let named = if call.ints("paddings").is_some() {
        "paddings"
    } else {
        "pads"
    };
    let Some(pads) = call.listed(named, 1)? else {
        return here("has no pads");
    };
    let axes: Option<Vec<usize>> = match call.find(3) {
        Some(_) => call
            .integers(3)?
            .iter()
            .map(|at| axis(*at, from.len()))
            .collect(),
        None => Some((0..from.len()).collect()),
    };
    let Some(axes) = axes.filter(|axes| pads.len() == 2 * axes.len()) else {
        return here(format!("has pads {pads:?} for {from:?}"));
    };
    let mut shape = from.to_vec();
    for (i, at) in axes.iter().enumerate() {
        let both = pads[i].checked_add(pads[i + axes.len()]);
        match both.and_then(|both| shape[*at].checked_add_signed(both)) {
            Some(size) => shape[*at] = size,
            None => return here(format!("has pads {pads:?} for {from:?}")),
        }
    }
    let mut value = call.input(0)?.like(shape);
    if pads.iter().all(|own| *own == 0) {
        value.values.clone_from(&call.input(0)?.values);
    }
    Ok(Given::one(value))
}

fn shape(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let rank = from.len() as i64;
    let at = |place: i64| {
        let place = if place < 0 { place + rank } else { place };
        usize::try_from(place.clamp(0, rank)).unwrap_or(0)
    };
    let (start, end) = (at(call.int("start", 0)), at(call.int("end", rank)));
    let picked = from.get(start..end).unwrap_or_default();
    let sizes = picked.iter().map(|size| *size as f64).collect();
    Ok(Given::one(Value::sizes(sizes)).with_arguments(0..1))
}

fn size(call: &Call<'_, '_>) -> Outcome<Given> {
    let count = elements(call.shape(0)?) as f64;
    let value = Value::known(DataType::INT64, Vec::new(), vec![count]);
    Ok(Given::one(value).with_arguments(0..1))
}

fn range(call: &Call<'_, '_>) -> Outcome<Given> {
    let mut ends = [0.0; 3];
    for (at, end) in ends.iter_mut().enumerate() {
        let value = call.input(at)?;
        *end = match value.values.as_deref() {
            Some([value]) => *value,
            _ if value.shape.is_none() => return Err(Unknown::Before),
            _ => return here("counts up to a number that only a run gives"),
        };
    }
    let [start, end, step] = ends;
    let count = ((end - start) / step).ceil().max(0.0);
    if !count.is_finite() || count > 1e12 {
        return here(format!("counts from {start} to {end} by {step}"));
    }
    let shape = vec![count as u64];
    if count > MOST_VALUES as f64 {
        return Ok(Given::shaped(call.data_type(0), shape).with_arguments(0..3));
    }
    let values = (0..count as u64).map(|i| start + i as f64 * step).collect();
    Ok(Given::one(Value::known(call.data_type(0), shape, values)).with_arguments(0..3))
}

fn constant_of_shape(call: &Call<'_, '_>) -> Outcome<Given> {
    let to = call.integers(0)?;
    let Some(shape) = sizes(&to) else {
        return here(format!("has the shape {to:?}"));
    };
    let (data_type, value) = match call.tensor("value") {
        Some(tensor) => (
            tensor.data_type,
            tensor
                .values
                .as_deref()
                .and_then(|values| values.first())
                .copied(),
        ),
        None => (DataType::FLOAT, Some(0.0)),
    };
    let count = elements(&shape);
    let given = match value {
        Some(value) if count <= MOST_VALUES => {
            let values = vec![value; usize::try_from(count).unwrap_or(0)];
            Value::known(data_type, shape, values)
        }
        _ => Value::new(data_type, shape),
    };
    Ok(Given::one(given).with_arguments(0..1))
}

/// Channels to pixels, or back.
fn blocks(call: &Call<'_, '_>, to_space: bool) -> Outcome<Given> {
    let from = call.shape(0)?;
    let size = u64::try_from(call.int("blocksize", 0)).unwrap_or(0);
    let [n, c, h, w] = from else {
        return here("reads other than an image");
    };
    let square = size.saturating_mul(size);
    let fits = match to_space {
        true => square > 0 && c % square == 0,
        false => size > 0 && h % size == 0 && w % size == 0,
    };
    if !fits {
        return here(format!("has blocks of {size} for {from:?}"));
    }
    let shape = match to_space {
        true => vec![
            *n,
            c / square,
            h.saturating_mul(size),
            w.saturating_mul(size),
        ],
        false => vec![*n, c.saturating_mul(square), h / size, w / size],
    };
    Ok(Given::shaped(call.data_type(0), shape))
}
