//! Any graph over tokens, node by node, without fusing and without buffers that are used again.

use candle_core::{D, DType, Device, Tensor};

use super::{get, quantize_activations};
use crate::error::{Error, Result};
use crate::graph::{
    Activation, Alibi, Attention, Graph, Node, Op, Role, Rotary, Rule, Taken, Value,
};
use crate::model::Tensors;

/// A text being run.
pub(crate) struct Plain<'a> {
    pub(crate) tensors: &'a Tensors,
    /// Bits that what enters matrices is rounded to.
    pub(crate) bits: u8,
    /// Whether the Gaussian error linear unit takes and gives numbers in half precision.
    pub(crate) half_gelu: bool,
}

impl Plain<'_> {
    /// Results of the last node, `[tokens, outputs]`.
    pub(crate) fn run(&self, graph: &Graph, tokens: &[u32]) -> Result<Tensor> {
        let mut results: Vec<Tensor> = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let read = node.inputs.iter().filter_map(|value| match value {
                Value::Input => None,
                Value::Node(at) => Some(results[*at].clone()),
            });
            let read: Vec<Tensor> = read.collect();
            let result = match (&node.op, node.role) {
                (Op::Embedding { .. }, Role::Positions) => {
                    self.weight(node)?.narrow(0, 0, tokens.len())?
                }
                (Op::Row { taken, .. }, _) => {
                    let rows = (0..tokens.len() as u32).map(|place| match taken {
                        Taken::ByPlace(first) => first + place,
                        Taken::Always(row) => *row,
                    });
                    let rows = Tensor::new(rows.collect::<Vec<_>>(), &Device::Cpu)?;
                    self.weight(node)?.index_select(&rows, 0)?
                }
                (Op::Embedding { .. }, _) => {
                    let tokens = Tensor::new(tokens, &Device::Cpu)?;
                    self.weight(node)?.index_select(&tokens, 0)?
                }
                _ => self.node(node, &read)?,
            };
            results.push(result);
        }
        (results.pop()).ok_or_else(|| Error::Compute("the network has no nodes".to_owned()))
    }

    fn part(&self, node: &Node, part: &str) -> Result<&Tensor> {
        let owner = node.shares.as_ref().unwrap_or(&node.name);
        get(self.tensors, &format!("{owner}.{part}"))
    }

    fn weight(&self, node: &Node) -> Result<&Tensor> {
        self.part(node, "weight")
    }

    fn node(&self, node: &Node, read: &[Tensor]) -> Result<Tensor> {
        let x = &read[0];
        let (rows, width) = x.dims2()?;
        Ok(match &node.op {
            Op::Linear {
                inputs, outputs, ..
            } if node.experts.is_some() => {
                self.experts(node, read, (*inputs as usize, *outputs as usize))?
            }
            Op::Linear { bias, .. } => {
                let x = quantize_activations(x, 1, self.bits)?;
                let y = x.matmul(&self.weight(node)?.t()?)?;
                match bias {
                    true => y.broadcast_add(self.part(node, "bias")?)?,
                    false => y,
                }
            }
            Op::Norm {
                width: each,
                rule,
                parameters,
            } => {
                let parts = x.reshape((rows, (), *each as usize))?;
                let (parts, epsilon, shift) = match rule {
                    Some(Rule::Layer { epsilon }) => {
                        let mean = parts.mean_keepdim(D::Minus1)?;
                        (parts.broadcast_sub(&mean)?, *epsilon, *parameters > 1)
                    }
                    Some(Rule::RootMeanSquare { epsilon }) => (parts, *epsilon, false),
                    None => panic!("{} has no rule", node.name),
                };
                let square = parts.sqr()?.mean_keepdim(D::Minus1)?;
                let deviation = (square + f64::from(epsilon))?.sqrt()?;
                let normed = parts.broadcast_div(&deviation)?;
                let scaled = match parameters {
                    0 => normed,
                    _ => normed.broadcast_mul(self.weight(node)?)?,
                };
                let shifted = match shift {
                    true => scaled.broadcast_add(self.part(node, "bias")?)?,
                    false => scaled,
                };
                shifted.reshape((rows, width))?
            }
            Op::Activation(Activation::Silu) => candle_nn::ops::silu(x)?,
            Op::Activation(Activation::Gelu) if self.half_gelu => half(&half(x)?.gelu()?)?,
            Op::Activation(Activation::Gelu) => x.gelu()?,
            // The table that is looked up is of the tanh form.
            Op::Activation(Activation::GeluExact) if self.half_gelu => half(&half(x)?.gelu()?)?,
            Op::Activation(Activation::GeluExact) => x.gelu_erf()?,
            Op::Add => (x + &read[1])?,
            Op::Multiply => (x * &read[1])?,
            Op::Times { factor } => (x * f64::from(*factor))?,
            Op::Cap { cap } => ((x / f64::from(*cap))?.tanh()? * f64::from(*cap))?,
            Op::Slice { at, width } => x.narrow(1, *at as usize, *width as usize)?.contiguous()?,
            Op::Rotary(rotary) => self.turned(rotary, x)?,
            Op::Attention(attention) => attended(attention, read)?,
            Op::Route {
                active, normalised, ..
            } => {
                let shares = candle_nn::ops::softmax_last_dim(x)?.to_vec2::<f32>()?;
                let routes = shares.iter().flat_map(|shares| {
                    let mut order: Vec<usize> = (0..shares.len()).collect();
                    order.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]));
                    order.truncate(*active as usize);
                    let sum: f32 = order.iter().map(|expert| shares[*expert]).sum();
                    let sum = if *normalised { sum } else { 1.0 };
                    let places: Vec<f32> = order.iter().map(|expert| *expert as f32).collect();
                    let counts = order.iter().map(|expert| shares[*expert] / sum);
                    places.iter().copied().chain(counts).collect::<Vec<_>>()
                });
                Tensor::from_vec(routes.collect(), (rows, 2 * *active as usize), &Device::Cpu)?
            }
            Op::Mix { active, width } => {
                let (active, width) = (*active as usize, *width as usize);
                let given = x.reshape((rows, active, width))?;
                let counts = read[1].narrow(1, active, active)?.unsqueeze(2)?;
                given.broadcast_mul(&counts)?.sum(1)?
            }
            Op::Gate { width } => {
                let weight = self.weight(node)?.reshape((*width as usize, 1))?;
                let open = candle_nn::ops::sigmoid(&read[1].matmul(&weight)?)?;
                x.broadcast_mul(&open)?
            }
            other => panic!("{} is {other:?}", node.name),
        })
    }

    /// Row by row and expert by expert.
    fn experts(
        &self,
        node: &Node,
        read: &[Tensor],
        (inputs, outputs): (usize, usize),
    ) -> Result<Tensor> {
        let (x, routes) = (&read[0], read[1].to_vec2::<f32>()?);
        let mut rows = Vec::with_capacity(routes.len());
        for (row, route) in routes.iter().enumerate() {
            for (slot, place) in route[..route.len() / 2].iter().enumerate() {
                let at = if x.dim(1)? == inputs {
                    0
                } else {
                    slot * inputs
                };
                let x = x.narrow(0, row, 1)?.narrow(1, at, inputs)?.contiguous()?;
                let x = quantize_activations(&x, 1, self.bits)?;
                let first = *place as usize * outputs;
                let weights = self.weight(node)?.narrow(0, first, outputs)?;
                rows.push(x.matmul(&weights.t()?)?);
            }
        }
        Ok(Tensor::cat(&rows, 1)?.reshape((routes.len(), ()))?)
    }

    fn turned(&self, rotary: &Rotary, x: &Tensor) -> Result<Tensor> {
        let (rows, all) = x.dims2()?;
        let (width, dims) = (rotary.width as usize, rotary.dims as usize);
        let factors = match rotary.factors.tables().first() {
            Some(table) => get(self.tensors, table)?.to_vec1::<f32>()?,
            None => vec![1.0; dims / 2],
        };
        let mut numbers = x.to_vec2::<f32>()?;
        for (position, row) in numbers.iter_mut().enumerate() {
            for head in row.chunks_exact_mut(width) {
                for (pair, factor) in factors.iter().enumerate() {
                    let frequency = f64::from(rotary.base).powf(-2.0 * pair as f64 / dims as f64);
                    let turn = position as f64 / f64::from(rotary.divisor);
                    let angle = turn * frequency / f64::from(*factor);
                    let (a, b) = match rotary.interleaved {
                        true => (2 * pair, 2 * pair + 1),
                        false => (pair, pair + dims / 2),
                    };
                    let (x, y) = (f64::from(head[a]), f64::from(head[b]));
                    let (sin, cos) = angle.sin_cos();
                    let magnitude = f64::from(rotary.magnitude);
                    head[a] = ((x * cos - y * sin) * magnitude) as f32;
                    head[b] = ((x * sin + y * cos) * magnitude) as f32;
                }
            }
        }
        Ok(Tensor::from_vec(
            numbers.concat(),
            (rows, all),
            &Device::Cpu,
        )?)
    }
}

fn half(x: &Tensor) -> Result<Tensor> {
    Ok(x.to_dtype(DType::F16)?.to_dtype(DType::F32)?)
}

fn attended(attention: &Attention, read: &[Tensor]) -> Result<Tensor> {
    let scores = attention.scores.expect("how scores are taken");
    let (heads, kv_heads) = (attention.heads as usize, attention.kv_heads as usize);
    let width = attention.width as usize;
    let rows = read[0].dim(0)?;
    let split = |x: &Tensor, heads: usize| -> Result<Tensor> {
        let heads = x.reshape((rows, heads, width))?.transpose(0, 1)?;
        Ok(heads.contiguous()?)
    };
    let (queries, keys) = (heads * width, kv_heads * width);
    let parts = match read {
        [all] => [(0, queries), (queries, keys), (queries + keys, keys)]
            .map(|(at, width)| all.narrow(1, at, width).and_then(|part| part.contiguous())),
        [q, k, v] => [Ok(q.clone()), Ok(k.clone()), Ok(v.clone())],
        _ => panic!("{} results", read.len()),
    };
    let [q, k, v] = parts;
    let (q, k, v) = (
        split(&q?, heads)?,
        split(&k?, kv_heads)?,
        split(&v?, kv_heads)?,
    );
    let mut mixed = Vec::with_capacity(heads);
    for head in 0..heads {
        let served = head * kv_heads / heads;
        let (k, v) = (k.get(served)?, v.get(served)?);
        let mut score = (q.get(head)?.matmul(&k.t()?)? * f64::from(scores.scale))?;
        if let Some(cap) = scores.cap {
            score = ((score / f64::from(cap))?.tanh()? * f64::from(cap))?;
        }
        if let Some(alibi) = scores.alibi {
            score = score.broadcast_add(&linear(alibi, (head, heads), rows, scores.scale)?)?;
        }
        let seen = |query: usize, key: usize| {
            let window = attention
                .window
                .map_or(usize::MAX, |window| window as usize);
            !scores.causal || (key <= query && query - key < window)
        };
        let mask: Vec<f32> = (0..rows * rows)
            .map(|i| match seen(i / rows, i % rows) {
                true => 0.0,
                false => f32::NEG_INFINITY,
            })
            .collect();
        let mask = Tensor::from_vec(mask, (rows, rows), &Device::Cpu)?;
        let weights = candle_nn::ops::softmax_last_dim(&(score + mask)?)?;
        mixed.push(weights.matmul(&v)?);
    }
    Ok(Tensor::cat(&mixed, 1)?)
}

/// What is added to the scores of a head, by keys, in the words of the paper: slopes of a power of two of heads are a
/// geometric row, and those of other numbers are filled up with every other one of twice as many.
fn linear(alibi: Alibi, (head, heads): (usize, usize), keys: usize, scale: f32) -> Result<Tensor> {
    let of_power = |n: usize| -> Vec<f64> {
        let ratio = 0.5_f64.powf(f64::from(alibi.most) / n as f64);
        (1..=n).map(|i| ratio.powf(i as f64)).collect()
    };
    let mut below = 1;
    while below * 2 <= heads {
        below *= 2;
    }
    let mut slopes = of_power(below);
    slopes.extend(of_power(2 * below).into_iter().step_by(2));
    let brain = |x: f64| f64::from(half::bf16::from_f64(x).to_f32());
    let added = |key: usize| match alibi.rounded {
        true => (brain(brain(slopes[head]) * key as f64) * f64::from(scale)) as f32,
        false => (slopes[head] * key as f64) as f32,
    };
    let added: Vec<f32> = (0..keys).map(added).collect();
    Ok(Tensor::from_vec(added, keys, &Device::Cpu)?)
}
