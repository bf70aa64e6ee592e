//! Matrix products.

use std::collections::HashMap;

use super::rounded::scales;
use super::window::product_bits;
use super::{Given, Use};
use crate::formats::onnx::call::{Call, Outcome, Unknown, here};
use crate::formats::onnx::tensor::DataType;
use crate::formats::onnx::value::{Scales, Value, broadcast, elements};
use crate::formats::onnx::work::{Kind, Work};

/// The shape of a product of stacks of matrices, and how many numbers meet in each of its own.
fn product(one: &[u64], other: &[u64]) -> Outcome<(Vec<u64>, u64)> {
    let misfit = || {
        here(format!(
            "multiplies shapes {one:?} and {other:?}, which do not fit"
        ))
    };
    let (left, row) = match one {
        [] => return misfit(),
        [inner] => (vec![1, *inner], true),
        _ => (one.to_vec(), false),
    };
    let (right, column) = match other {
        [] => return misfit(),
        [inner] => (vec![*inner, 1], true),
        _ => (other.to_vec(), false),
    };
    let (stack, [rows, inner]) = left.split_at(left.len() - 2) else {
        return misfit();
    };
    let (other_stack, [other_inner, columns]) = right.split_at(right.len() - 2) else {
        return misfit();
    };
    let Some(mut shape) = broadcast(stack, other_stack).filter(|_| inner == other_inner) else {
        return misfit();
    };
    if !row {
        shape.push(*rows);
    }
    if !column {
        shape.push(*columns);
    }
    Ok((shape, *inner))
}

/// A product of two inputs, of which one may be weights.
fn multiplied(
    call: &Call<'_, '_>,
    (one, other): (usize, usize),
    shapes: (Vec<u64>, Vec<u64>),
    data_type: DataType,
    weight_scales: Scales,
) -> Outcome<Given> {
    let (shape, inner) = product(&shapes.0, &shapes.1)?;
    let macs = elements(&shape) as f64 * inner as f64;
    let (left, right) = (call.input(one)?, call.input(other)?);
    let weight = match (left.is_constant(), right.is_constant()) {
        (_, true) => Some(other),
        (true, false) => Some(one),
        (false, false) => None,
    };
    let sizes = (elements(&shapes.0) as f64, elements(&shapes.1) as f64);
    let written = elements(&shape) as f64;
    let mut given = Given::shaped(data_type, shape);
    let mut work = match weight {
        Some(_) => Work::new(Kind::Product, macs, sizes.0, written),
        None => Work::new(Kind::Scores, macs, sizes.0 + sizes.1, written),
    };
    if let Some(weight) = weight {
        if weight == one {
            work.inputs = sizes.1;
        }
        work.weigh(call.input(weight)?, inner, weight_scales);
        given.uses.push((weight, Use::Weight));
    }
    let activation = if weight == Some(one) { right } else { left };
    work.activation_bits = product_bits(Some(activation), call.find(weight.unwrap_or(other)));
    given.work = Some(work);
    Ok(given)
}

fn swapped(shape: &[u64], swap: bool) -> Vec<u64> {
    let mut shape = shape.to_vec();
    if let (true, n @ 2..) = (swap, shape.len()) {
        shape.swap(n - 2, n - 1);
    }
    shape
}

pub(super) fn matmul(call: &Call<'_, '_>) -> Outcome<Given> {
    let is = |name: &str| call.int(name, 0) != 0;
    if is("transBatchA") || is("transBatchB") {
        return here("multiplies stacks that stand the other way");
    }
    let shapes = (
        swapped(call.shape(0)?, is("transA")),
        swapped(call.shape(1)?, is("transB")),
    );
    let scales = call.input(1)?.scales;
    multiplied(call, (0, 1), shapes, call.data_type(0), scales)
}

pub(super) fn matmul_integer(call: &Call<'_, '_>) -> Outcome<Given> {
    let shapes = (call.shape(0)?.to_vec(), call.shape(1)?.to_vec());
    let name = call.node.operator.as_str();
    let (data_type, scale) = match name {
        "MatMulInteger" => (DataType::INT32, Scales::default()),
        "MatMulIntegerToFloat" => (call.data_type(2), scales(call, 3, 5)),
        _ => (call.data_type(0), scales(call, 2, 3)),
    };
    let mut given = multiplied(call, (0, 1), shapes, data_type, scale)?;
    let bias = match name {
        "MatMulIntegerToFloat" => 6,
        "DynamicQuantizeMatMul" => 4,
        _ => usize::MAX,
    };
    for input in 2..call.inputs.len() {
        let what = if input == bias {
            Use::Parameter
        } else {
            Use::Scale
        };
        given.uses.push((input, what));
    }
    // What it reads is rounded on the way, where it is not yet.
    if let Some(work) = &mut given.work {
        work.activation_bits = 8;
    }
    Ok(given)
}

pub(super) fn matmul_rounded(call: &Call<'_, '_>) -> Outcome<Given> {
    let shapes = (call.shape(0)?.to_vec(), call.shape(3)?.to_vec());
    let scale = scales(call, 4, 5);
    let mut given = multiplied(call, (0, 3), shapes, call.data_type(7), scale)?;
    given
        .uses
        .extend([1, 2, 4, 5, 6, 7].map(|input| (input, Use::Scale)));
    if let Some(work) = &mut given.work {
        work.activation_bits = 8;
    }
    Ok(given)
}

/// A product with weights of few bits in blocks, each with a scale.
pub(super) fn matmul_bits(call: &Call<'_, '_>) -> Outcome<Given> {
    let size = |name: &str, default: i64| u64::try_from(call.int(name, default)).unwrap_or(0);
    let (inner, columns) = (size("K", 0), size("N", 0));
    let (bits, block) = (size("bits", 4), size("block_size", 0));
    let from = call.shape(0)?;
    let fits = from.last() == Some(&inner) && (2..=8).contains(&bits) && block > 0;
    let packed = call.input(1)?;
    let stored = packed.elements().ok_or(Unknown::Before)?;
    let blocks = inner.div_ceil(block.max(1));
    let expected = columns
        .saturating_mul(blocks)
        .saturating_mul(block.saturating_mul(bits).div_ceil(8));
    if !fits || inner > 1 << 40 || columns > 1 << 40 || stored != expected {
        return here(format!(
            "has {stored} bytes of weights for {columns} × {inner}"
        ));
    }
    let mut shape = from.to_vec();
    if let Some(last) = shape.last_mut() {
        *last = columns;
    }
    let rows = elements(from) / inner.max(1);
    let macs = rows as f64 * inner as f64 * columns as f64;
    let moved = (elements(from) as f64, elements(&shape) as f64);
    let mut work = Work::new(Kind::Product, macs, moved.0, moved.1);
    let scale = call.data_type(2).bits().unwrap_or(32);
    let zero = call.find(3).map_or(0, |zero| {
        zero.data_type
            .bits()
            .filter(|_| zero.data_type.is_float())
            .unwrap_or(bits as u8)
    });
    let scales = Scales {
        count: columns.saturating_mul(blocks),
        bits: scale.saturating_add(zero),
    };
    work.weigh(packed, inner, scales);
    work.packed = Some((columns.saturating_mul(inner), bits as u8));
    work.activation_bits = call.data_type(0).bits().unwrap_or(32).min(32);
    Ok(Given {
        outputs: vec![Value::new(call.data_type(0), shape)],
        work: Some(work),
        uses: vec![
            (1, Use::Weight),
            (2, Use::Scale),
            (3, Use::Scale),
            (4, Use::Argument),
            (5, Use::Parameter),
        ],
    })
}

pub(super) fn gemm(call: &Call<'_, '_>) -> Outcome<Given> {
    let is = |name: &str| call.int(name, 0) != 0;
    let (one, other) = (call.shape(0)?, call.shape(1)?);
    if one.len() != 2 || other.len() != 2 {
        return here(format!("multiplies shapes {one:?} and {other:?}"));
    }
    let shapes = (swapped(one, is("transA")), swapped(other, is("transB")));
    let scales = call.input(1)?.scales;
    let mut given = multiplied(call, (0, 1), shapes, call.data_type(0), scales)?;
    given.uses.push((2, Use::Parameter));
    Ok(given)
}

pub(super) fn gemm_rounded(call: &Call<'_, '_>) -> Outcome<Given> {
    let is = |name: &str| call.int(name, 0) != 0;
    let (one, other) = (call.shape(0)?, call.shape(3)?);
    let shapes = (swapped(one, is("transA")), swapped(other, is("transB")));
    let scale = scales(call, 4, 5);
    let mut given = multiplied(call, (0, 3), shapes, call.data_type(5), scale)?;
    given
        .uses
        .extend([1, 2, 4, 5, 7, 8].map(|at| (at, Use::Scale)));
    given.uses.push((6, Use::Parameter));
    Ok(given)
}

/// A sum of products by the letters of their axes.
pub(super) fn einsum(call: &Call<'_, '_>) -> Outcome<Given> {
    let equation: String = call.text("equation").split_whitespace().collect();
    let shown = || equation.chars().take(60).collect::<String>();
    let not_read = || {
        here(format!(
            "has the equation '{}', which is not followed",
            shown()
        ))
    };
    if equation.contains("...") || call.inputs.len() > 2 {
        return not_read();
    }
    let (left, result) = match equation.split_once("->") {
        Some((left, result)) => (left, Some(result)),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    let mut sizes: HashMap<char, u64> = HashMap::new();
    if terms.len() != call.inputs.len() {
        return not_read();
    }
    for (at, term) in terms.iter().enumerate() {
        let shape = call.shape(at)?;
        if term.chars().count() != shape.len() {
            return not_read();
        }
        for (letter, size) in term.chars().zip(shape) {
            let known = sizes.entry(letter).or_insert(*size);
            if *known == 1 {
                *known = *size;
            } else if *known != *size && *size != 1 {
                return not_read();
            }
        }
    }
    let implied: String = {
        let mut letters: Vec<char> = sizes.keys().copied().collect();
        letters.sort_unstable();
        letters.retain(|letter| left.matches(*letter).count() == 1);
        letters.into_iter().collect()
    };
    let result = result.unwrap_or(&implied);
    let Some(shape) = result
        .chars()
        .map(|letter| sizes.get(&letter).copied())
        .collect::<Option<Vec<u64>>>()
    else {
        return not_read();
    };
    let written = elements(&shape);
    let mut given = Given::shaped(call.data_type(0), shape);
    if terms.len() < 2 {
        return Ok(given);
    }
    let all: f64 = sizes.values().map(|size| *size as f64).product();
    let weight = (0..2).rfind(|at| call.find(*at).is_some_and(Value::is_constant));
    let read = |at: usize| call.find(at).and_then(Value::elements).unwrap_or(0) as f64;
    let kind = if weight.is_some() {
        Kind::Product
    } else {
        Kind::Scores
    };
    let inputs = match weight {
        Some(at) => read(1 - at),
        None => read(0) + read(1),
    };
    let mut work = Work::new(kind, all, inputs, written as f64);
    if let Some(at) = weight {
        let value = call.input(at)?;
        // The letters that are summed over.
        let fan_in = terms[at]
            .chars()
            .filter(|letter| !result.contains(*letter))
            .map(|letter| sizes[&letter])
            .fold(1, u64::saturating_mul);
        work.weigh(value, fan_in, value.scales);
        given.uses.push((at, Use::Weight));
    }
    work.activation_bits = product_bits(call.find(0), call.find(1));
    given.work = Some(work);
    Ok(given)
}
