//! Recurrent language models, position by position.

use candle_core::{Device, Tensor};
use candle_nn::ops::sigmoid;

use super::{get, quantize_activations};
use crate::error::Result;
use crate::graph::Cell;
use crate::model::{RnnConfig, Tensors};

/// Logits `[n, t, vocabulary]` for the token after each of `[n, t]` tokens (u32).
pub(super) fn logits(
    config: &RnnConfig,
    tensors: &Tensors,
    tokens: &Tensor,
    activation_bits: u8,
) -> Result<Tensor> {
    let (n, t) = tokens.dims2()?;
    let linear = |x: &Tensor, name: &str| -> Result<Tensor> {
        let x = quantize_activations(x, 1, activation_bits)?;
        let product = x.matmul(&get(tensors, &format!("{name}.weight"))?.t()?)?;
        Ok(product.broadcast_add(get(tensors, &format!("{name}.bias"))?)?)
    };
    let table = get(tensors, &format!("{}.weight", RnnConfig::EMBEDDING))?;
    let read = |position: usize| -> Result<Tensor> {
        let at = tokens.narrow(1, position, 1)?.flatten_all()?;
        Ok(table.index_select(&at, 0)?)
    };
    let mut rows: Vec<Tensor> = (0..t).map(read).collect::<Result<_>>()?;
    let units = config.units;
    for layer in 0..config.layers {
        let mut h = Tensor::zeros((n, units), candle_core::DType::F32, &Device::Cpu)?;
        let mut c = h.clone();
        for x in &mut rows {
            let given = linear(x, &config.input(layer))?;
            let own = linear(&h, &config.hidden(layer))?;
            let part = |of: &Tensor, gate: usize| of.narrow(1, gate * units, units);
            let both = |gate: usize| part(&given, gate)? + part(&own, gate)?;
            h = match config.cell {
                Cell::Lstm => {
                    let stays = (sigmoid(&both(1)?)? * c)?;
                    c = (stays + (sigmoid(&both(0)?)? * both(2)?.tanh()?)?)?;
                    (sigmoid(&both(3)?)? * c.tanh()?)?
                }
                Cell::Gru => {
                    let reset = (sigmoid(&both(0)?)? * part(&own, 2)?)?;
                    let new = (part(&given, 2)? + reset)?.tanh()?;
                    let stays = sigmoid(&both(1)?)?;
                    (((1.0 - &stays)? * new)? + (stays * h)?)?
                }
            };
            *x = h.clone();
        }
    }
    let heads: Vec<Tensor> =
        (rows.iter().map(|x| linear(x, RnnConfig::HEAD))).collect::<Result<_>>()?;
    Ok(Tensor::stack(&heads, 1)?)
}
