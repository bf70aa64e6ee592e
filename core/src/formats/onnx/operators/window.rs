//! Convolutions and pooling.

use super::rounded::scales;
use super::{Given, Use};
use crate::formats::onnx::call::{Call, Outcome, here};
use crate::formats::onnx::tensor::DataType;
use crate::formats::onnx::value::{Scales, Value, elements};
use crate::formats::onnx::work::{Extent, Kind, Work};

/// How a kernel moves.
struct Moves {
    strides: Vec<u64>,
    dilations: Vec<u64>,
    /// Beyond the beginning of every axis, then beyond its end.
    pads: Vec<i64>,
    auto: String,
}

fn moves(call: &Call<'_, '_>, axes: usize) -> Outcome<Moves> {
    let positive = |name: &str| -> Outcome<Vec<u64>> {
        let given = call.ints(name).unwrap_or_default();
        let sizes: Option<Vec<u64>> = match given {
            [] => Some(vec![1; axes]),
            _ if given.len() != axes => None,
            _ => given
                .iter()
                .map(|size| u64::try_from(*size).ok().filter(|size| *size > 0))
                .collect(),
        };
        match sizes {
            Some(sizes) => Ok(sizes),
            None => here(format!("has {name} {given:?} for {axes} axes")),
        }
    };
    let pads = match call.ints("pads").unwrap_or_default() {
        [] => vec![0; 2 * axes],
        given if given.len() == 2 * axes => given.to_vec(),
        given => return here(format!("has pads {given:?} for {axes} axes")),
    };
    Ok(Moves {
        strides: positive("strides")?,
        dilations: positive("dilations")?,
        pads,
        auto: call.text("auto_pad").to_owned(),
    })
}

impl Moves {
    /// Places of a kernel along an axis.
    fn places(&self, axis: usize, size: u64, kernel: u64, up: bool) -> Option<u64> {
        let stride = self.strides[axis];
        if self.auto.starts_with("SAME") {
            return Some(size.div_ceil(stride));
        }
        let wide = kernel
            .checked_sub(1)?
            .checked_mul(self.dilations[axis])?
            .checked_add(1)?;
        let mut padded = size;
        if self.auto != "VALID" {
            let pads = self.pads[axis].checked_add(*self.pads.get(axis + self.strides.len())?)?;
            padded = padded.checked_add_signed(pads)?;
        }
        let rest = padded.checked_sub(wide)?;
        let mut places = if up {
            rest.div_ceil(stride)
        } else {
            rest / stride
        } + 1;
        // A window that begins beyond the end is left out.
        let before = u64::try_from(self.pads[axis]).unwrap_or(0);
        if up && (places - 1) * stride >= size + before {
            places -= 1;
        }
        Some(places)
    }
}

/// Channels, rows and columns of a shape with samples first.
fn extent(channels: u64, axes: &[u64]) -> Extent {
    match axes {
        [] => (channels, 1, 1),
        [columns] => (channels, 1, *columns),
        [rest @ .., columns] => (channels, elements(rest), *columns),
    }
}

/// Where the parts of a convolution stand among its inputs.
struct Inputs {
    weight: usize,
    bias: usize,
    scales: Scales,
    others: Vec<(usize, Use)>,
    data_type: DataType,
}

pub(super) fn conv(call: &Call<'_, '_>) -> Outcome<Given> {
    let inputs = Inputs {
        weight: 1,
        bias: 2,
        scales: call.input(1)?.scales,
        others: Vec::new(),
        data_type: call.data_type(0),
    };
    convolved(call, inputs, false)
}

pub(super) fn conv_transposed(call: &Call<'_, '_>) -> Outcome<Given> {
    let inputs = Inputs {
        weight: 1,
        bias: 2,
        scales: call.input(1)?.scales,
        others: Vec::new(),
        data_type: call.data_type(0),
    };
    convolved(call, inputs, true)
}

pub(super) fn conv_integer(call: &Call<'_, '_>) -> Outcome<Given> {
    let inputs = Inputs {
        weight: 1,
        bias: usize::MAX,
        scales: Scales::default(),
        others: vec![(2, Use::Scale), (3, Use::Scale)],
        data_type: DataType::INT32,
    };
    convolved(call, inputs, false)
}

pub(super) fn conv_rounded(call: &Call<'_, '_>) -> Outcome<Given> {
    let inputs = Inputs {
        weight: 3,
        bias: 8,
        scales: scales(call, 4, 5),
        others: [1, 2, 4, 5, 6, 7].map(|at| (at, Use::Scale)).to_vec(),
        data_type: call.data_type(7),
    };
    convolved(call, inputs, false)
}

fn convolved(call: &Call<'_, '_>, inputs: Inputs, transposed: bool) -> Outcome<Given> {
    let kernel = call.shape(inputs.weight)?;
    let from = call.shape(0)?;
    let misfit = |fact: &str| here(format!("{fact}: input {from:?}, kernel {kernel:?}"));
    if from.len() != kernel.len() || from.len() < 3 {
        return misfit("has dimensions that do not fit");
    }
    let groups = u64::try_from(call.int("group", 1)).unwrap_or(0);
    if groups == 0 {
        return misfit("has no groups");
    }
    let (samples, channels, axes) = (from[0], from[1], &from[2..]);
    let (outputs, read) = match transposed {
        false => (kernel[0], kernel[1].saturating_mul(groups)),
        true => (kernel[1].saturating_mul(groups), kernel[0]),
    };
    if read != channels || outputs % groups != 0 || channels % groups != 0 {
        return misfit("has channels that do not fit");
    }
    let moves = moves(call, axes.len())?;
    let mut to = Vec::new();
    for (axis, size) in axes.iter().enumerate() {
        let places = match transposed {
            false => moves.places(axis, *size, kernel[2 + axis], false),
            true => grown(call, &moves, axis, *size, kernel[2 + axis]),
        };
        match places {
            Some(places) => to.push(places),
            None => return misfit("has a kernel larger than what it reads"),
        }
    }
    let row = elements(&kernel[2..]);
    let multiplied = match transposed {
        false => elements(&to),
        true => elements(axes),
    };
    let macs = samples as f64 * elements(kernel) as f64 * multiplied as f64;
    let mut shape = vec![samples, outputs];
    shape.extend(&to);
    let moved = |shape: &[u64]| elements(shape) as f64;
    let kind = Kind::Conv {
        from: extent(channels, axes),
        to: extent(outputs, &to),
        kernel: match &kernel[2..] {
            [columns] => (1, *columns),
            [rest @ .., columns] => (elements(rest), *columns),
            [] => (1, 1),
        },
        groups,
        transposed,
    };
    let weight = call.input(inputs.weight)?;
    let mut work = Work::new(kind, macs, moved(from), moved(&shape));
    work.weigh(
        weight,
        (channels / groups).saturating_mul(row),
        inputs.scales,
    );
    work.activation_bits = product_bits(call.find(0), Some(weight));
    let mut uses = inputs.others;
    uses.extend([(inputs.weight, Use::Weight), (inputs.bias, Use::Parameter)]);
    if call.find(inputs.bias).is_some_and(Value::is_constant) {
        work.bias = outputs;
    }
    Ok(Given {
        outputs: vec![Value::new(inputs.data_type, shape)],
        work: Some(work),
        uses,
    })
}

/// Bits of the numbers that are multiplied with weights: those that both were rounded to, else those of the type.
pub(super) fn product_bits(one: Option<&Value>, weight: Option<&Value>) -> u8 {
    let (Some(one), Some(weight)) = (one, weight) else {
        return 32;
    };
    let own = one.data_type.bits().unwrap_or(32);
    match (one.rounded, weight.rounded) {
        (Some(bits), Some(_)) => bits,
        _ => own.min(32),
    }
}

/// Size of an axis that a transposed convolution writes.
fn grown(call: &Call<'_, '_>, moves: &Moves, axis: usize, size: u64, kernel: u64) -> Option<u64> {
    let stated = call.ints("output_shape").unwrap_or_default();
    if !stated.is_empty() {
        let own = stated.len().checked_sub(moves.strides.len())? + axis;
        return u64::try_from(stated[own]).ok();
    }
    let stride = moves.strides[axis];
    if moves.auto.starts_with("SAME") {
        return size.checked_mul(stride);
    }
    let extra = call.ints("output_padding").unwrap_or_default();
    let extra = extra.get(axis).copied().unwrap_or(0);
    let wide = kernel.checked_sub(1)?.checked_mul(moves.dilations[axis])?;
    let pads = match moves.auto.as_str() {
        "VALID" => 0,
        _ => moves.pads[axis].checked_add(*moves.pads.get(axis + moves.strides.len())?)?,
    };
    size.checked_sub(1)?
        .checked_mul(stride)?
        .checked_add(wide)?
        .checked_add(1)?
        .checked_add_signed(extra)?
        .checked_add_signed(pads.checked_neg()?)
}

pub(super) fn pool(call: &Call<'_, '_>) -> Outcome<Given> {
    let from = call.shape(0)?;
    let kernel = call.ints("kernel_shape").unwrap_or_default();
    if from.len() < 3 || kernel.len() != from.len() - 2 || call.int("channels_last", 0) != 0 {
        return here(format!("has a window of {kernel:?} over {from:?}"));
    }
    let moves = moves(call, kernel.len())?;
    let up = call.int("ceil_mode", 0) != 0;
    let mut shape = from[..2].to_vec();
    for (axis, size) in from[2..].iter().enumerate() {
        let window = u64::try_from(kernel[axis]).unwrap_or(0);
        match moves.places(axis, *size, window, up) {
            Some(places) => shape.push(places),
            None => return here("has a window larger than what it reads"),
        }
    }
    let value = call.input(0)?.like(shape.clone());
    Ok(Given {
        outputs: vec![value, Value::new(DataType::INT64, shape)],
        ..Given::default()
    }
    .with_arguments(1..call.inputs.len()))
}
