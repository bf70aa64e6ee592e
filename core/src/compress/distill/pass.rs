//! The training pass of networks that read or make images, operation by operation: the same functions as inference,
//! differentiable, with the batch's statistics in batch normalisation.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::Tensor;

use super::network::{Variables, get};
use super::ops::{BatchNormRelu, Convolution, MaxPool, Modulate, Moments, Upsample};
use crate::error::{Error, Result};
use crate::graph::{Activation, Graph, Input, Node, Op, Value, time_features};

/// Share of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;

/// What a network that is trained consists of.
pub(super) struct Trained<'a> {
    pub(super) variables: &'a Variables,
    /// Running statistics of batch normalisation, which move towards those of every batch.
    pub(super) fixed: &'a mut BTreeMap<String, Vec<f32>>,
}

/// Runs some nodes of a network: of images `[n, channels, rows, columns]`, rows `[n, width]`, or rows of noisy images with their
/// times, the rows of the last one. A logistic function that ends the network is left out: these are its logits.
/// `inner` says whether the gradient of what is given is wanted.
pub(super) fn pass(
    graph: &Graph,
    nodes: Range<usize>,
    trained: &mut Trained<'_>,
    given: &Tensor,
    inner: bool,
) -> Result<Tensor> {
    let (image, times) = match (graph.input, given.rank()) {
        (Some(Input::Noisy((channels, rows, columns))), 2) if nodes.start == 0 => {
            let sizes = [channels, rows, columns].map(|size| size as usize);
            let pixels = sizes.iter().product();
            let image = given.narrow(1, 0, pixels)?.contiguous()?;
            let image = image.reshape((given.dim(0)?, sizes[0], sizes[1], sizes[2]))?;
            (
                image,
                Some(
                    given
                        .narrow(1, pixels, 1)?
                        .flatten_all()?
                        .to_vec1::<f32>()?,
                ),
            )
        }
        _ => (given.clone(), None),
    };
    let given = match image.rank() {
        4 => image.permute((0, 2, 3, 1))?.contiguous()?, // [n, h, w, c]
        _ => image,
    };
    let first = nodes.start;
    let mut normalized = false;
    let mut results: Vec<Tensor> = Vec::with_capacity(nodes.len());
    for i in nodes {
        let node = &graph.nodes[i];
        let mut read = Vec::with_capacity(node.inputs.len());
        for value in &node.inputs {
            read.push(match *value {
                Value::Node(from) if from >= first => results.get(from - first),
                Value::Node(from) => (from + 1 == first).then_some(&given),
                Value::Input => (first == 0).then_some(&given),
            });
        }
        let read: Option<Vec<&Tensor>> = read.into_iter().collect();
        let Some([x, others @ ..]) = read.as_deref() else {
            return refuse(node);
        };
        let x = *x;
        // What a node changes in place of the one before it is not read by others.
        let chained = node.inputs[..] == [Value::Node(i.wrapping_sub(1))];
        let before = std::mem::take(&mut normalized);
        let weight = || get(trained.variables, &format!("{}.weight", node.name));
        let result = match &node.op {
            Op::Conv(conv) if conv.kernel == (3, 3) && conv.groups == 1 && !conv.transposed => {
                let (n, h, w, c) = x.dims4()?;
                let weight = weight()?;
                let outputs = weight.dim(0)?;
                let kernel = weight.permute((0, 2, 3, 1))?.reshape((outputs, 9 * c))?;
                let sums = x.apply_op2(&kernel, Convolution::new(inner || i > first))?;
                let sums = match conv.bias {
                    true => {
                        sums.broadcast_add(get(trained.variables, &format!("{}.bias", node.name))?)?
                    }
                    false => sums,
                };
                sums.reshape((n, h, w, outputs))?
            }
            Op::BatchNorm { epsilon, .. } => {
                let relu = graph.nodes.get(i + 1).map(|next| &next.op);
                if relu != Some(&Op::Activation(Activation::Relu)) {
                    return refuse(node);
                }
                normalized = true;
                let (n, h, w, c) = x.dims4()?;
                let moments = Moments::default();
                let norm = BatchNormRelu {
                    moments: moments.clone(),
                    epsilon: *epsilon,
                };
                let shift = get(trained.variables, &format!("{}.bias", node.name))?;
                let rows = x.reshape((n * h * w, c))?;
                let normed = rows.apply_op3(weight()?, shift, norm)?;
                track(trained.fixed, &node.name, &moments, n * h * w);
                normed.reshape((n, h, w, c))?
            }
            // Done by the normalisation before it.
            Op::Activation(Activation::Relu) if before && chained => x.clone(),
            Op::Activation(Activation::Relu) if x.rank() == 2 => x.relu()?,
            Op::Activation(Activation::Sigmoid) => x.clone(),
            Op::MaxPool {
                size: 2,
                stride: 2,
                padding: 0,
            } => x.apply_op1(MaxPool)?,
            Op::Upsample => x.apply_op1(Upsample)?,
            Op::Mean => {
                let (n, h, w, c) = x.dims4()?;
                x.reshape((n, h * w, c))?.mean(1)?
            }
            Op::Flatten => x.permute((0, 3, 1, 2))?.contiguous()?.flatten_from(1)?,
            Op::Unflatten { to } => {
                let (channels, rows, columns) = *to;
                let sizes = [channels, rows, columns].map(|size| size as usize);
                let image = x.reshape((x.dim(0)?, sizes[0], sizes[1], sizes[2]))?;
                image.permute((0, 2, 3, 1))?.contiguous()?
            }
            Op::Linear { bias, .. } => {
                let sums = x.matmul(&weight()?.t()?)?;
                match bias {
                    true => {
                        sums.broadcast_add(get(trained.variables, &format!("{}.bias", node.name))?)?
                    }
                    false => sums,
                }
            }
            Op::Time { width } => {
                let Some(times) = &times else {
                    return refuse(node);
                };
                let width = *width as usize;
                let features = times.iter().flat_map(|&time| time_features(time, width));
                Tensor::from_vec(features.collect(), (times.len(), width), x.device())?
            }
            Op::Modulate { .. } => {
                let (n, h, w, c) = x.dims4()?;
                let [by] = others else {
                    return refuse(node);
                };
                let rows = x.reshape((n, h * w, c))?;
                rows.apply_op2(by, Modulate)?.reshape((n, h, w, c))?
            }
            Op::Add => match others {
                [other] => (x + *other)?,
                _ => return refuse(node),
            },
            _ => return refuse(node),
        };
        results.push(result);
    }
    results
        .pop()
        .ok_or_else(|| Error::Compute("the network has no nodes".to_owned()))
}

fn refuse<T>(node: &Node) -> Result<T> {
    Err(Error::Compute(format!(
        "'{}' is of a kind that cannot be trained here",
        node.name
    )))
}

/// Moves the running statistics of a normalisation towards those of a batch with `rows` samples per channel.
fn track(fixed: &mut BTreeMap<String, Vec<f32>>, name: &str, moments: &Moments, rows: usize) {
    let Some((mean, variance)) = moments.get() else {
        return;
    };
    let unbiased = rows as f64 / (rows.max(2) - 1) as f64;
    for (part, batch, factor) in [
        ("running_mean", mean, 1.0),
        ("running_var", variance, unbiased),
    ] {
        if let Some(running) = fixed.get_mut(&format!("{name}.{part}")) {
            for (running, &batch) in running.iter_mut().zip(batch) {
                let batch = f64::from(batch) * factor;
                *running = ((1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * batch) as f32;
            }
        }
    }
}
