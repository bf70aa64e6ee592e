//! The training passes of the networks: the same functions as inference, differentiable, with the batch's statistics in
//! batch normalisation.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use super::ops::{
    Attention, BatchNormRelu, Convolution, LayerNorm, MaxPool, Mlp, Moments, Recurrent,
};
use crate::error::{Error, Result};
use crate::model::{
    Architecture, BATCH_NORM_EPSILON, CnnConfig, GptConfig, LAYER_NORM_EPSILON, RnnConfig,
};

/// Share of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;

/// Trainable tensors by name.
pub(super) type Variables = BTreeMap<String, Var>;

/// Logits `[rows, classes]` of one batch. A classifier's running statistics in `fixed` move towards the batch's.
pub(super) fn logits(
    architecture: &Architecture,
    variables: &Variables,
    fixed: &mut BTreeMap<String, Vec<f32>>,
    input: &Tensor,
) -> Result<Tensor> {
    match architecture {
        Architecture::Cnn(config) => cnn(config, variables, fixed, input),
        Architecture::Gpt(config) => gpt(config, variables, input),
        Architecture::Rnn(config) => rnn(config, variables, input),
        _ => Err(Error::Compute(format!(
            "a {} cannot be trained here",
            architecture.family()
        ))),
    }
}

fn get<'a>(variables: &'a Variables, name: &str) -> Result<&'a Tensor> {
    variables
        .get(name)
        .map(Var::as_tensor)
        .ok_or_else(|| Error::Compute(format!("tensor '{name}' is missing")))
}

/// Images `[n, channels, size, size]` → `[n, classes]`.
fn cnn(
    config: &CnnConfig,
    variables: &Variables,
    fixed: &mut BTreeMap<String, Vec<f32>>,
    images: &Tensor,
) -> Result<Tensor> {
    let mut x = images.permute((0, 2, 3, 1))?.contiguous()?; // [n, h, w, c]
    for (i, stage) in config.stages.iter().enumerate() {
        let (n, h, w, c) = x.dims4()?;
        let weight = get(variables, &format!("conv{}.weight", i + 1))?;
        let kernel = weight
            .permute((0, 2, 3, 1))?
            .reshape((stage.channels, 9 * c))?;
        let sums = x.apply_op2(&kernel, Convolution::new(i > 0))?; // [n·h·w, out]
        let moments = Moments::default();
        let norm = BatchNormRelu {
            moments: moments.clone(),
            epsilon: BATCH_NORM_EPSILON as f32,
        };
        let scale = get(variables, &format!("bn{}.weight", i + 1))?;
        let shift = get(variables, &format!("bn{}.bias", i + 1))?;
        x = sums
            .apply_op3(scale, shift, norm)?
            .reshape((n, h, w, stage.channels))?;
        track(fixed, i + 1, &moments, n * h * w);
        if stage.pool {
            x = x.apply_op1(MaxPool)?;
        }
    }
    let (n, h, w, c) = x.dims4()?;
    let pooled = x.reshape((n, h * w, c))?.mean(1)?;
    let logits = pooled.matmul(&get(variables, "head.weight")?.t()?)?;
    Ok(logits.broadcast_add(get(variables, "head.bias")?)?)
}

/// Moves the running statistics of normalisation `n` towards those of a batch with `rows` samples per channel.
fn track(fixed: &mut BTreeMap<String, Vec<f32>>, n: usize, moments: &Moments, rows: usize) {
    let Some((mean, variance)) = moments.get() else {
        return;
    };
    let unbiased = rows as f64 / (rows.max(2) - 1) as f64;
    for (part, batch, factor) in [
        ("running_mean", mean, 1.0),
        ("running_var", variance, unbiased),
    ] {
        if let Some(running) = fixed.get_mut(&format!("bn{n}.{part}")) {
            for (running, &batch) in running.iter_mut().zip(batch) {
                let batch = f64::from(batch) * factor;
                *running = ((1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * batch) as f32;
            }
        }
    }
}

/// Tokens `[n, t]` → `[n·t, vocabulary]`.
fn gpt(config: &GptConfig, variables: &Variables, tokens: &Tensor) -> Result<Tensor> {
    let (n, t) = tokens.dims2()?;
    let d = config.width;
    let linear = |x: &Tensor, name: String| -> Result<Tensor> {
        Ok(x.matmul(&get(variables, &format!("{name}.weight"))?.t()?)?)
    };
    let norm = |x: &Tensor, name: String| -> Result<Tensor> {
        let scale = get(variables, &format!("{name}.weight"))?;
        let shift = get(variables, &format!("{name}.bias"))?;
        let norm = LayerNorm {
            epsilon: LAYER_NORM_EPSILON as f32,
        };
        Ok(x.apply_op3(scale, shift, norm)?)
    };
    let words = get(variables, "wte.weight")?.index_select(&tokens.flatten_all()?, 0)?;
    let positions = get(variables, "wpe.weight")?.narrow(0, 0, t)?;
    let mut x = words
        .reshape((n, t, d))?
        .broadcast_add(&positions)?
        .reshape((n * t, d))?;
    for i in 0..config.blocks {
        let normed = norm(&x, format!("h.{i}.ln_1"))?;
        let mixed = linear(&normed, format!("h.{i}.attn.qkv"))?
            .apply_op1(Attention::new(t, config.heads))?;
        x = (x + linear(&mixed, format!("h.{i}.attn.proj"))?)?;
        let normed = norm(&x, format!("h.{i}.ln_2"))?;
        let fc = get(variables, &format!("h.{i}.mlp.fc.weight"))?;
        let proj = get(variables, &format!("h.{i}.mlp.proj.weight"))?;
        x = (x + normed.apply_op3(fc, proj, Mlp::default())?)?;
    }
    linear(&norm(&x, "ln_f".to_owned())?, "head".to_owned())
}

/// Tokens `[n, t]` → `[n·t, vocabulary]`.
fn rnn(config: &RnnConfig, variables: &Variables, tokens: &Tensor) -> Result<Tensor> {
    let (_, t) = tokens.dims2()?;
    let part = |name: &str, part: &str| get(variables, &format!("{name}.{part}"));
    let linear = |x: &Tensor, name: &str| -> Result<Tensor> {
        let product = x.matmul(&part(name, "weight")?.t()?)?;
        Ok(product.broadcast_add(part(name, "bias")?)?)
    };
    let table = part(RnnConfig::EMBEDDING, "weight")?;
    let mut x = table.index_select(&tokens.flatten_all()?, 0)?;
    for layer in 0..config.layers {
        let given = linear(&x, &config.input(layer))?;
        let own = config.hidden(layer);
        let step = Recurrent::new(config.cell, t);
        x = given.apply_op3(part(&own, "weight")?, part(&own, "bias")?, step)?;
    }
    linear(&x, RnnConfig::HEAD)
}
