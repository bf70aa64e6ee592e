//! Operators on every number by itself, whose results have the shapes of what they read stretched to each other.

use super::rounded::scales;
use super::{Given, Use, not_known};
use crate::formats::onnx::call::{Call, Outcome, Unknown, here};
use crate::formats::onnx::tensor::DataType;
use crate::formats::onnx::value::{MOST_VALUES, Value, broadcast, elements, stretched};

/// What a node gives, if it is one of these operators.
pub(super) fn infer(call: &Call<'_, '_>, name: &str) -> Option<Outcome<Given>> {
    Some(match name {
        "Relu"
        | "LeakyRelu"
        | "Sigmoid"
        | "Tanh"
        | "HardSigmoid"
        | "HardSwish"
        | "Gelu"
        | "Erf"
        | "Exp"
        | "Log"
        | "Sqrt"
        | "Neg"
        | "Abs"
        | "Ceil"
        | "Floor"
        | "Round"
        | "Reciprocal"
        | "Sign"
        | "Sin"
        | "Cos"
        | "Tan"
        | "Asin"
        | "Acos"
        | "Atan"
        | "Sinh"
        | "Cosh"
        | "Asinh"
        | "Acosh"
        | "Atanh"
        | "Elu"
        | "Selu"
        | "Celu"
        | "Softplus"
        | "Softsign"
        | "Softmax"
        | "LogSoftmax"
        | "Hardmax"
        | "Identity"
        | "Not"
        | "BitwiseNot"
        | "IsNaN"
        | "IsInf"
        | "CumSum"
        | "CumProd"
        | "Trilu"
        | "LRN"
        | "MeanVarianceNormalization"
        | "LpNormalization"
        | "QuickGelu"
        | "Mish"
        | "ThresholdedRelu"
        | "Shrink"
        | "Swish"
        | "Cast"
        | "CastLike"
        | "Clip"
        | "Bernoulli"
        | "ReverseSequence"
        | "Det"
        | "QLinearSigmoid"
        | "QLinearLeakyRelu"
        | "QLinearSoftmax" => unary(call, name),
        "RotaryEmbedding" => rotated(call),
        "Dropout" => dropout(call),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Min" | "Max" | "Mean" | "Sum" | "And"
        | "Or" | "Xor" | "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual"
        | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "Where" => several(call, name),
        "PRelu" => several(call, name).map(|given| Given {
            uses: vec![(1, Use::Parameter)],
            ..given
        }),
        "BiasGelu" | "FastGelu" => several(call, name).map(|given| Given {
            uses: vec![(1, Use::Parameter)],
            ..given
        }),
        "QLinearAdd" | "QLinearMul" => rounded(call),
        _ => return None,
    })
}

fn unary(call: &Call<'_, '_>, name: &str) -> Outcome<Given> {
    let value = call.input(0)?;
    if name == "Det" {
        return not_known();
    }
    let Some(shape) = value.shape.clone() else {
        return Err(Unknown::Before);
    };
    let data_type = match name {
        "Cast" => DataType(call.int("to", value.data_type.0)),
        "CastLike" => call.data_type(1),
        "IsNaN" | "IsInf" | "Not" => DataType::BOOL,
        _ => value.data_type,
    };
    let of = |f: &dyn Fn(f64) -> f64| {
        let values = value.values.as_deref()?;
        Some(values.iter().map(|value| f(*value)).collect::<Vec<f64>>())
    };
    let values = match name {
        "Identity" | "CastLike" => of(&|x| x),
        "Cast" if data_type == DataType::BOOL => of(&|x| f64::from(u8::from(x != 0.0))),
        "Cast" if data_type.is_float() => of(&|x| x),
        "Cast" => of(&f64::trunc),
        "Neg" => of(&|x| -x),
        "Abs" => of(&f64::abs),
        "Ceil" => of(&f64::ceil),
        "Floor" => of(&f64::floor),
        "Round" => of(&f64::round_ties_even),
        "Sqrt" => of(&f64::sqrt),
        "Reciprocal" => of(&|x| 1.0 / x),
        "Not" => of(&|x| f64::from(u8::from(x == 0.0))),
        _ => None,
    };
    let keeps = matches!(name, "Identity" | "Cast" | "CastLike" | "Relu" | "Clip");
    let mut given = match keeps {
        true => Value {
            data_type,
            ..value.like(shape.clone())
        },
        false => Value::new(data_type, shape.clone()),
    };
    given.values = values.map(Into::into);
    Ok(Given::one(given).with_arguments(1..call.inputs.len()))
}

/// Numbers turned by their places, which tables of sines and cosines tell.
fn rotated(call: &Call<'_, '_>) -> Outcome<Given> {
    let shape = call.shape(0)?.to_vec();
    Ok(Given::shaped(call.data_type(0), shape))
}

fn dropout(call: &Call<'_, '_>) -> Outcome<Given> {
    let value = call.input(0)?.clone();
    let Some(shape) = value.shape.clone() else {
        return Err(Unknown::Before);
    };
    let given = Given {
        outputs: vec![value, Value::new(DataType::BOOL, shape)],
        ..Given::default()
    };
    Ok(given.with_arguments(1..call.inputs.len()))
}

/// Sums and products of rounded numbers, each followed by its scale and zero point.
fn rounded(call: &Call<'_, '_>) -> Outcome<Given> {
    let shape = broadcast(call.shape(0)?, call.shape(3)?);
    let Some(shape) = shape else {
        return here("adds shapes that do not fit");
    };
    let scales = [1, 2, 4, 5, 6, 7];
    Ok(Given {
        uses: scales.map(|input| (input, Use::Scale)).to_vec(),
        ..Given::shaped(call.data_type(0), shape)
    })
}

fn several(call: &Call<'_, '_>, name: &str) -> Outcome<Given> {
    let mut shape = Vec::new();
    for at in 0..call.inputs.len() {
        if call.find(at).is_none() {
            continue;
        }
        let own = call.shape(at)?;
        // Before version 7 the second stood at an axis of the first, and did not widen it.
        let old = call.node.domain.is_empty() && call.version < 7 && at > 0;
        shape = match (old, broadcast(&shape, own)) {
            (true, _) => shape,
            (false, Some(shape)) => shape,
            (false, None) => {
                return here(format!(
                    "reads shapes {shape:?} and {own:?}, which do not fit"
                ));
            }
        };
    }
    let data_type = match name {
        "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "And" | "Or" | "Xor" => {
            DataType::BOOL
        }
        "Where" => call.data_type(1),
        _ => call.data_type(0),
    };
    let mut value = Value::new(data_type, shape.clone());
    if let Some(values) = computed(call, name, &shape, data_type) {
        value.values = Some(values.into());
    }
    Ok(scaled_back(call, name, &mut value)
        .unwrap_or_default()
        .with(value))
}

/// Rounded weights that are scaled back by a product, after zero points were taken off, instead of by the operator for it.
fn scaled_back(call: &Call<'_, '_>, name: &str, value: &mut Value) -> Option<Given> {
    let [Some(one), Some(other)] = call.inputs.as_slice() else {
        return None;
    };
    if !matches!(name, "Mul" | "Sub") || !call.is_constant() {
        return None;
    }
    let rounded = |value: &Value| value.rounded.is_some() && value.elements() > Some(1);
    let (weight, scale) = match (rounded(one), rounded(other)) {
        (true, _) => (one, 1),
        (false, true) if name == "Mul" => (other, 0),
        _ => return None,
    };
    value.rounded = weight.rounded;
    value.scales = weight.scales;
    if name == "Mul" {
        value.scales = scales(call, scale, usize::MAX);
    }
    Some(Given {
        uses: vec![(scale, Use::Scale)],
        ..Given::default()
    })
}

/// The numbers of the result, where all that it hangs on are known.
fn computed(
    call: &Call<'_, '_>,
    name: &str,
    shape: &[u64],
    data_type: DataType,
) -> Option<Vec<f64>> {
    if elements(shape) > MOST_VALUES {
        return None;
    }
    let mut inputs = Vec::new();
    for value in call.inputs.iter().flatten() {
        let values = value.values.as_deref()?;
        let places = stretched(value.shape.as_deref()?, shape);
        let values: Option<Vec<f64>> = places.iter().map(|i| values.get(*i).copied()).collect();
        inputs.push(values?);
    }
    let truth = |is: bool| f64::from(u8::from(is));
    let whole = !data_type.is_float();
    let f: fn(f64, f64) -> f64 = match name {
        "Add" | "Sum" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Mod" => |a, b| a - b * (a / b).floor(),
        "Pow" => f64::powf,
        "Min" => f64::min,
        "Max" => f64::max,
        "And" => |a, b| f64::from(u8::from(a != 0.0 && b != 0.0)),
        "Or" => |a, b| f64::from(u8::from(a != 0.0 || b != 0.0)),
        "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "Where" => |a, _| a,
        _ => return None,
    };
    let count = inputs.first()?.len();
    let mut result = Vec::with_capacity(count);
    for i in 0..count {
        let at = |input: usize| inputs.get(input).map(|values| values[i]);
        let value = match name {
            "Equal" => truth(at(0)? == at(1)?),
            "Less" => truth(at(0)? < at(1)?),
            "Greater" => truth(at(0)? > at(1)?),
            "LessOrEqual" => truth(at(0)? <= at(1)?),
            "GreaterOrEqual" => truth(at(0)? >= at(1)?),
            "Where" if at(0)? == 0.0 => at(2)?,
            "Where" => at(1)?,
            _ => {
                let mut all = inputs.iter().map(|values| values[i]);
                let first = all.next()?;
                all.fold(first, f)
            }
        };
        let value = if whole && name == "Div" {
            value.trunc()
        } else {
            value
        };
        if value.is_nan() {
            return None;
        }
        result.push(value);
    }
    Some(result)
}
