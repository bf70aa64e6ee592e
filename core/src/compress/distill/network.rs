//! The training passes of the networks: the same functions as inference, differentiable, with the batch's statistics in
//! batch normalisation.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use super::ops::{Attention, LayerNorm, Mlp};
use super::pass::{Trained, pass};
use crate::error::{Error, Result};
use crate::model::{Architecture, GptConfig, LAYER_NORM_EPSILON};

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
        Architecture::Cnn(_) => {
            let graph = architecture.graph();
            let mut trained = Trained { variables, fixed };
            pass(&graph, 0..graph.nodes.len(), &mut trained, input, false)
        }
        Architecture::Gpt(config) => gpt(config, variables, input),
        _ => Err(Error::Compute(format!(
            "a {} cannot be trained here",
            architecture.family()
        ))),
    }
}

pub(super) fn get<'a>(variables: &'a Variables, name: &str) -> Result<&'a Tensor> {
    variables
        .get(name)
        .map(Var::as_tensor)
        .ok_or_else(|| Error::Compute(format!("tensor '{name}' is missing")))
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
