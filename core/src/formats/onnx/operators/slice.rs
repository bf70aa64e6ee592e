//! Slices, and images made larger or smaller.

use super::Given;
use super::arrange::sizes;
use crate::formats::onnx::call::{Call, Outcome, Unknown, here};
use crate::formats::onnx::value::axis;

/// Where a slice begins, how many it takes, and how far apart.
struct Part {
    axis: usize,
    start: i64,
    step: i64,
    count: u64,
}

fn parts(call: &Call<'_, '_>, from: &[u64]) -> Outcome<Vec<Part>> {
    let (Some(starts), Some(ends)) = (call.listed("starts", 1)?, call.listed("ends", 2)?) else {
        return here("has no beginnings or ends");
    };
    let axes = match call.listed("axes", 3)? {
        Some(axes) => axes,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match call.find(4) {
        Some(_) => call.integers(4)?,
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return here("has lists of different lengths");
    }
    let mut parts = Vec::new();
    for i in 0..starts.len() {
        let (Some(axis), step) = (axis(axes[i], from.len()), steps[i]) else {
            return here("has an axis that its input does not have");
        };
        let Ok(size) = i64::try_from(from[axis]) else {
            return here("cuts an axis that is too long");
        };
        let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (start, end, step_size) = match step {
            0 => return here("has steps of 0"),
            1.. => (
                from_end(starts[i]).clamp(0, size),
                from_end(ends[i]).clamp(0, size),
                step.unsigned_abs(),
            ),
            _ => (
                from_end(starts[i]).clamp(0, (size - 1).max(0)),
                from_end(ends[i]).clamp(-1, size - 1),
                step.unsigned_abs(),
            ),
        };
        let length = if step > 0 { end - start } else { start - end };
        let count = u64::try_from(length).unwrap_or(0).div_ceil(step_size);
        parts.push(Part {
            axis,
            start,
            step,
            count,
        });
    }
    Ok(parts)
}

pub(super) fn slice(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let parts = parts(call, from)?;
    let input = call.input(0)?;
    let mut shape = from.to_vec();
    for part in &parts {
        shape[part.axis] = part.count;
    }
    let mut value = input.like(shape);
    let shape = value.shape.clone().unwrap_or_default();
    value.values = input.picked(&shape, |at| {
        let mut at = at.to_vec();
        for part in &parts {
            let by = i64::try_from(at[part.axis]).ok()?.checked_mul(part.step)?;
            at[part.axis] = u64::try_from(part.start.checked_add(by)?).ok()?;
        }
        Some(at)
    });
    Ok(Given::one(value).with_arguments(1..5))
}

pub(super) fn resize(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    // Version 10 has the scales second, later ones the region of interest.
    let (scales, to) = match call.inputs.len() {
        0..=2 => (1, usize::MAX),
        _ => (2, 3),
    };
    let axes = call.ints("axes");
    let places: Option<Vec<usize>> = match axes {
        Some(axes) => axes.iter().map(|at| axis(*at, from.len())).collect(),
        None => Some((0..from.len()).collect()),
    };
    let Some(places) = places else {
        return here("has an axis that its input does not have");
    };
    let mut shape = from.to_vec();
    if call.find(to).is_some() {
        let stated = call.integers(to)?;
        let Some(stated) = sizes(&stated).filter(|stated| stated.len() == places.len()) else {
            return here(format!("makes {from:?} as large as {stated:?}"));
        };
        if !matches!(call.text("keep_aspect_ratio_policy"), "" | "stretch") {
            return here("keeps the proportions of what it reads");
        }
        for (place, size) in places.iter().zip(stated) {
            shape[*place] = size;
        }
        return Ok(Given::shaped(call.data_type(0), shape));
    }
    let given: Vec<f64> = match (call.floats("scales"), call.find(scales)) {
        (Some(own), _) => own.iter().map(|scale| f64::from(*scale)).collect(),
        (None, Some(value)) => match (value.values.as_deref(), &value.shape) {
            (Some(values), _) => values.to_vec(),
            (None, None) => return Err(Unknown::Before),
            (None, Some(_)) => return here("is as large as only a run says"),
        },
        (None, None) => return here("has no size"),
    };
    if given.len() != places.len() || given.iter().any(|scale| !(0.0..1e6).contains(scale)) {
        return here(format!("makes {from:?} {given:?} times as large"));
    }
    for (place, scale) in places.iter().zip(given) {
        // In single precision, as scales are: a third of 96 is 32.
        shape[*place] = (from[*place] as f32 * scale as f32).floor() as u64;
    }
    Ok(Given::shaped(call.data_type(0), shape))
}
