//! Operators that are whole layers: normalisation, attention, recurrent ones.

use super::window::product_bits;
use super::{Given, Use};
use crate::formats::onnx::call::{Call, Outcome, here};
use crate::formats::onnx::tensor::DataType;
use crate::formats::onnx::value::{Scales, Value, axis, elements};
use crate::formats::onnx::work::{Kind, Work};

/// Folded into what is before it: parameters, no work.
pub(super) fn batch_normalization(call: &Call<'_, '_>) -> Outcome<Given> {
    let shape = call.shape(0)?.to_vec();
    Ok(Given {
        uses: (1..5).map(|input| (input, Use::Parameter)).collect(),
        ..Given::shaped(call.data_type(0), shape)
    })
}

/// Normalisation, of the sum of so many inputs.
pub(super) fn normalization(call: &Call<'_, '_>, summed: usize) -> Outcome<Given> {
    let shape = call.shape(0)?.to_vec();
    let numbers = elements(&shape) as f64;
    let mut work = Work::new(Kind::Norm, 2.0 * numbers, numbers, numbers);
    work.added = (summed - 1) as f64 * numbers;
    work.activation_bits = call.data_type(0).bits().unwrap_or(32).min(32);
    let value = Value::new(call.data_type(0), shape.clone());
    // Mean and deviation, one of every row, are seldom read.
    let mut small = shape;
    let along = axis(call.int("axis", -1), small.len()).unwrap_or(0);
    for size in small.iter_mut().skip(along) {
        *size = 1;
    }
    let row = Value::new(DataType::FLOAT, small);
    Ok(Given {
        outputs: vec![value.clone(), row.clone(), row, value],
        work: Some(work),
        uses: (summed..call.inputs.len())
            .map(|input| (input, Use::Parameter))
            .collect(),
    })
}

/// Tables of words, positions and segments, summed up and normalised.
pub(super) fn embedded(call: &Call<'_, '_>) -> Outcome<Given> {
    let mut shape = call.shape(0)?.to_vec();
    let words = call.input(2)?;
    let Some(width) = call.shape(2)?.last().copied() else {
        return here("has a table without rows");
    };
    let places = elements(&shape) as f64;
    shape.push(width);
    let numbers = elements(&shape) as f64;
    let mut work = Work::new(Kind::Lookup, 0.0, places, numbers);
    work.weigh(words, width, words.scales);
    let mut uses = vec![(2, Use::Weight)];
    uses.extend((3..7).map(|input| (input, Use::Parameter)));
    let samples = shape[0];
    Ok(Given {
        outputs: vec![
            Value::new(call.data_type(2), shape.clone()),
            Value::new(DataType::INT32, vec![samples]),
            Value::new(call.data_type(2), shape),
        ],
        work: Some(work),
        uses,
    })
}

/// Long short-term memories, gated units and plain recurrent layers: weights `[directions, gates × units, inputs]` and
/// `[directions, gates × units, units]`.
pub(super) fn recurrent(call: &Call<'_, '_>) -> Outcome<Given> {
    let (from, own) = (call.shape(0)?, call.shape(1)?);
    let dynamic = call.node.operator == "DynamicQuantizeLSTM";
    let again = call.shape(2)?;
    let gates = match call.node.operator.as_str() {
        "LSTM" | "DynamicQuantizeLSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let ([first, second, inputs], [directions, a, b]) = (from, own) else {
        return here(format!("reads shapes {from:?} and {own:?}"));
    };
    // The rounded form has its weights the other way around.
    let (rows, columns) = if dynamic { (*b, *a) } else { (*a, *b) };
    let units = rows / gates;
    let expected = if dynamic {
        [*directions, units, rows]
    } else {
        [*directions, rows, units]
    };
    let plain = rows % gates == 0 && columns == *inputs && again == expected && *directions <= 2;
    if !plain {
        return here(format!("has weights {own:?} and {again:?} for {from:?}"));
    }
    let layout = call.int("layout", 0);
    let (steps, samples) = if layout == 0 {
        (*first, *second)
    } else {
        (*second, *first)
    };
    let width = inputs + units;
    let runs = steps as f64 * samples as f64 * *directions as f64;
    let macs = runs * rows as f64 * width as f64;
    let alone = (gates == 4 && samples == 1 && *directions == 1).then_some((*inputs, units, steps));
    let read = steps as f64 * samples as f64 * *inputs as f64;
    let mut work = Work::new(Kind::Recurrent(alone), macs, read, runs * units as f64);
    let (weights, states) = (call.input(1)?, call.input(2)?);
    if let (Some(one), Some(other)) = (&weights.made_of, &states.made_of) {
        let all: Vec<usize> = one.iter().chain(other.iter()).copied().collect();
        let both = Value {
            made_of: Some(all.into()),
            ..weights.clone()
        };
        work.weigh(&both, width, Scales::default());
    }
    work.activation_bits = if dynamic {
        8
    } else {
        product_bits(call.find(0), Some(weights))
    };
    // Of two biases that are added up, one stands with the layer.
    if alone.is_some() && call.find(3).is_some_and(Value::is_constant) {
        work.bias = rows;
    }
    let outputs = match layout {
        0 => [
            vec![steps, *directions, samples, units],
            vec![*directions, samples, units],
        ],
        _ => [
            vec![samples, steps, *directions, units],
            vec![samples, *directions, units],
        ],
    };
    let [all, last] = outputs.map(|shape| Value::new(call.data_type(0), shape));
    let mut uses = vec![(1, Use::Weight), (2, Use::Weight), (3, Use::Parameter)];
    uses.extend([(4, Use::Argument), (7, Use::Parameter)]);
    uses.extend((8..call.inputs.len()).map(|input| (input, Use::Scale)));
    Ok(Given {
        outputs: vec![all, last.clone(), last],
        work: Some(work),
        uses,
    })
}

/// The two products of attention, and what they move.
fn scores(queries: f64, keys: f64, key_width: f64, value_width: f64) -> Work {
    let macs = queries * keys * (key_width + value_width);
    let read = queries * key_width + keys * (key_width + value_width);
    Work::new(Kind::Scores, macs, read, queries * value_width)
}

/// Attention of ONNX itself: `[samples, heads, places, width]`, or the heads side by side in `[samples, places, width]`.
pub(super) fn attention_plain(call: &Call<'_, '_>) -> Outcome<Given> {
    let (q, k, v) = (call.shape(0)?, call.shape(1)?, call.shape(2)?);
    let heads = |name: &str| u64::try_from(call.int(name, 0)).unwrap_or(0).max(1);
    let misfit = || here(format!("reads queries {q:?}, keys {k:?} and values {v:?}"));
    let (samples, query_heads, queries, width, keys, value_width) = match (q, k, v) {
        ([n, h, l, e], [_, _, s, _], [_, _, _, d]) => (*n, *h, *l, *e, *s, *d),
        ([n, l, e], [_, s, _], [_, _, d]) => {
            let (own, shared) = (heads("q_num_heads"), heads("kv_num_heads"));
            (*n, own, *l, e / own, *s, d / shared)
        }
        _ => return misfit(),
    };
    let past = match call.find(4) {
        Some(value) => match value.shape.as_deref() {
            Some([_, _, places, _]) => *places,
            Some(_) => return misfit(),
            None => return Err(crate::formats::onnx::call::Unknown::Before),
        },
        None => 0,
    };
    let all = keys.saturating_add(past);
    let groups = samples as f64 * query_heads as f64;
    let mut work = scores(queries as f64, all as f64, width as f64, value_width as f64);
    work.macs *= groups;
    work.inputs *= groups;
    work.outputs *= groups;
    work.activation_bits = call.data_type(0).bits().unwrap_or(32).min(32);
    let shape = match q {
        [n, h, l, _] => vec![*n, *h, *l, value_width],
        _ => vec![samples, queries, query_heads.saturating_mul(value_width)],
    };
    let kv_heads = if q.len() == 4 {
        k[1]
    } else {
        heads("kv_num_heads")
    };
    let data_type = call.data_type(0);
    let kept = |width: u64| Value::new(data_type, vec![samples, kv_heads, all, width]);
    Ok(Given {
        outputs: vec![
            Value::new(data_type, shape),
            kept(width),
            kept(value_width),
            Value::new(data_type, vec![samples, query_heads, queries, all]),
        ],
        work: Some(work),
        uses: vec![(3, Use::Argument)],
    })
}

/// Attention that projects to queries, keys and values itself, by one matrix.
pub(super) fn attention_with_weights(call: &Call<'_, '_>) -> Outcome<Given> {
    let (from, weights) = (call.shape(0)?, call.shape(1)?);
    let ([samples, places, inner], [read, wide]) = (from, weights) else {
        return here(format!("reads {from:?} with weights {weights:?}"));
    };
    let sizes = call.ints("qkv_hidden_sizes").unwrap_or_default();
    let sizes: Vec<u64> = match sizes {
        [] => vec![wide / 3; 3],
        own => own.iter().map(|n| u64::try_from(*n).unwrap_or(0)).collect(),
    };
    let [q, k, v] = sizes[..] else {
        return here("has other than three parts");
    };
    let is_rounded = call.node.operator == "QAttention";
    let past = if is_rounded { 8 } else { 4 };
    let total = q.saturating_add(k).saturating_add(v);
    if read != inner || total != *wide || q != k || call.find(past).is_some() {
        return here(format!(
            "reads {from:?} with weights {weights:?} in parts {sizes:?}"
        ));
    }
    let (n, l) = (*samples as f64, *places as f64);
    let mut work = scores(l, l, q as f64, v as f64);
    work.kind = Kind::Product;
    work.macs = n * (work.macs + l * *inner as f64 * *wide as f64);
    work.inputs = n * (l * *inner as f64 + work.inputs);
    work.outputs = n * (l * *wide as f64 + work.outputs);
    let weight = call.input(1)?;
    work.weigh(weight, *inner, Scales::default());
    work.activation_bits = if is_rounded {
        8
    } else {
        product_bits(call.find(0), Some(weight))
    };
    let mut uses = vec![(1, Use::Weight), (2, Use::Parameter)];
    let others = if is_rounded {
        Use::Scale
    } else {
        Use::Argument
    };
    uses.extend((3..call.inputs.len()).map(|input| (input, others)));
    Ok(Given {
        outputs: vec![Value::new(
            if is_rounded {
                call.data_type(3)
            } else {
                call.data_type(0)
            },
            vec![*samples, *places, v],
        )],
        work: Some(work),
        uses,
    })
}

/// Attention of queries, keys and values with their heads side by side.
pub(super) fn attention_heads(call: &Call<'_, '_>) -> Outcome<Given> {
    let q = call.shape(0)?;
    let (Some(_), Some(_)) = (call.find(1), call.find(2)) else {
        return here("has queries, keys and values in one");
    };
    let (k, v) = (call.shape(1)?, call.shape(2)?);
    let ([n, l, wide], [_, s, _], [_, _, value_wide]) = (q, k, v) else {
        return here(format!("reads queries {q:?}, keys {k:?} and values {v:?}"));
    };
    if call.find(6).is_some() || call.find(7).is_some() {
        return here("reads keys and values of an earlier call");
    }
    let samples = *n as f64;
    let mut work = scores(*l as f64, *s as f64, *wide as f64, *value_wide as f64);
    work.macs *= samples;
    work.inputs *= samples;
    work.outputs *= samples;
    work.activation_bits = call.data_type(0).bits().unwrap_or(32).min(32);
    Ok(Given {
        outputs: vec![Value::new(call.data_type(0), vec![*n, *l, *value_wide])],
        work: Some(work),
        uses: vec![(3, Use::Parameter), (4, Use::Argument), (5, Use::Argument)],
    })
}

/// Attention of queries, keys and values with their heads side by side, fewer of keys and values, after those of earlier
/// calls: `[samples, heads, places, width]`.
pub(super) fn attention_groups(call: &Call<'_, '_>) -> Outcome<Given> {
    let q = call.shape(0)?;
    let heads = |name: &str| u64::try_from(call.int(name, 0)).unwrap_or(0);
    let (own, shared) = (heads("num_heads"), heads("kv_num_heads"));
    let [n, l, wide] = q else {
        return here(format!("reads queries {q:?}"));
    };
    if own == 0 || shared == 0 {
        return here("has no heads");
    }
    // Queries, keys and values may stand side by side in one.
    let width = match call.find(1) {
        Some(_) => wide / own,
        None => wide / own.saturating_add(shared.saturating_mul(2)),
    };
    let past = match call.find(3) {
        Some(_) => call.shape(3)?.get(2).copied().unwrap_or(0),
        None => 0,
    };
    let all = l.saturating_add(past);
    let all_wide = own.saturating_mul(width);
    let samples = *n as f64;
    let mut work = scores(*l as f64, all as f64, all_wide as f64, all_wide as f64);
    work.macs *= samples;
    work.inputs =
        samples * (*l as f64 * all_wide as f64 + 2.0 * all as f64 * (shared as f64 * width as f64));
    work.outputs *= samples;
    work.activation_bits = call.data_type(0).bits().unwrap_or(32).min(32);
    let data_type = call.data_type(0);
    let kept = Value::new(data_type, vec![*n, shared, all, width]);
    Ok(Given {
        outputs: vec![
            Value::new(data_type, vec![*n, *l, all_wide]),
            kept.clone(),
            kept,
        ],
        work: Some(work),
        uses: vec![(5, Use::Argument), (6, Use::Argument)],
    })
}
