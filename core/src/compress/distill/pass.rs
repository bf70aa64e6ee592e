//! The training pass of networks that read or make images, operation by operation: the same functions as inference,
//! differentiable, with the batch's statistics in batch normalisation.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::Tensor;

use super::network::{Variables, get};
use super::ops::{BatchNormRelu, Convolution, MaxPool, Moments, Upsample};
use crate::error::{Error, Result};
use crate::graph::{Activation, Graph, Node, Op, Value};

/// Share of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;

/// What a network that is trained consists of.
pub(super) struct Trained<'a> {
    pub(super) variables: &'a Variables,
    /// Running statistics of batch normalisation, which move towards those of every batch.
    pub(super) fixed: &'a mut BTreeMap<String, Vec<f32>>,
}

/// Runs some nodes of a network, each of which reads the one before it: of images `[n, channels, rows, columns]` or rows
/// `[n, width]` the rows of the last one. A logistic function that ends the network is left out: these are its logits.
/// `inner` says whether the gradient of what is given is wanted.
pub(super) fn pass(
    graph: &Graph,
    nodes: Range<usize>,
    trained: &mut Trained<'_>,
    given: &Tensor,
    inner: bool,
) -> Result<Tensor> {
    let mut x = match given.rank() {
        4 => given.permute((0, 2, 3, 1))?.contiguous()?, // [n, h, w, c]
        _ => given.clone(),
    };
    let first = nodes.start;
    let mut normalized = false;
    for i in nodes {
        let node = &graph.nodes[i];
        let chained = match node.inputs[..] {
            [Value::Input] => i == 0,
            [Value::Node(from)] => from + 1 == i,
            _ => false,
        };
        if !chained {
            return refuse(node);
        }
        let weight = || get(trained.variables, &format!("{}.weight", node.name));
        let after_normalization = std::mem::take(&mut normalized);
        x = match &node.op {
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
            Op::Activation(Activation::Relu) if after_normalization => x,
            Op::Activation(Activation::Sigmoid) => x,
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
            _ => return refuse(node),
        };
    }
    Ok(x)
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
