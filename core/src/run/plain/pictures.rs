//! Autoencoders and generators in candle's operations, by their configurations.

use candle_core::Tensor;

use super::{get, quantize_activations};
use crate::error::Result;
use crate::model::{BATCH_NORM_EPSILON, GanConfig, Tensors, VaeConfig};

/// Rows and images being run, with what enters matrices and convolutions rounded.
pub(super) struct Pass<'a> {
    pub(super) tensors: &'a Tensors,
    pub(super) bits: u8,
}

impl Pass<'_> {
    pub(super) fn part(&self, name: &str, part: &str) -> Result<&Tensor> {
        get(self.tensors, &format!("{name}.{part}"))
    }

    pub(super) fn convolve(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let x = quantize_activations(x, 3, self.bits)?;
        Ok(x.conv2d(self.part(name, "weight")?, 1, 1, 1, 1)?)
    }

    pub(super) fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let x = quantize_activations(x, 1, self.bits)?;
        Ok(x.matmul(&self.part(name, "weight")?.t()?)?)
    }

    /// Batch normalisation by running statistics, and ReLU.
    pub(super) fn normalize(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let along =
            |part: &str| -> Result<Tensor> { Ok(self.part(name, part)?.reshape((1, (), 1, 1))?) };
        let deviation = (along("running_var")? + BATCH_NORM_EPSILON)?.sqrt()?;
        let x = x.broadcast_sub(&along("running_mean")?)?;
        let x = x.broadcast_div(&deviation)?;
        let x = x.broadcast_mul(&along("weight")?)?;
        Ok(x.broadcast_add(&along("bias")?)?.relu()?)
    }

    /// `[n, latent]` → `[n, channels · size · size]`.
    fn decode(&self, prefix: &str, x: &Tensor, stages: &[usize], size: usize) -> Result<Tensor> {
        let small = size >> (stages.len() - 1);
        let x = self.linear(x, &format!("{prefix}start"))?;
        let x = x.reshape((x.dim(0)?, stages[0], small, small))?;
        let mut x = self.normalize(&x, &format!("{prefix}bn0"))?;
        for i in 1..stages.len() {
            let (rows, columns) = (2 * x.dim(2)?, 2 * x.dim(3)?);
            x = x.upsample_nearest2d(rows, columns)?;
            x = self.convolve(&x, &format!("{prefix}conv{i}"))?;
            x = self.normalize(&x, &format!("{prefix}bn{i}"))?;
        }
        let head = format!("{prefix}head");
        let bias = self.part(&head, "bias")?.reshape((1, (), 1, 1))?;
        let x = self.convolve(&x, &head)?.broadcast_add(&bias)?;
        Ok(candle_nn::ops::sigmoid(&x)?.flatten_from(1)?)
    }
}

/// Images made again from the means of their numbers.
pub(super) fn vae(
    config: &VaeConfig,
    tensors: &Tensors,
    images: &Tensor,
    bits: u8,
) -> Result<Tensor> {
    let pass = Pass { tensors, bits };
    let mut x = images.clone();
    for (i, stage) in config.encoder.iter().enumerate() {
        x = pass.convolve(&x, &format!("encoder.conv{}", i + 1))?;
        x = pass.normalize(&x, &format!("encoder.bn{}", i + 1))?;
        if stage.pool {
            x = x.max_pool2d(2)?;
        }
    }
    let x = pass.linear(&x.flatten_from(1)?, "encoder.head")?;
    let x = x.broadcast_add(pass.part("encoder.head", "bias")?)?;
    let means = x.narrow(1, 0, config.latent)?.contiguous()?;
    pass.decode("decoder.", &means, &config.decoder, config.size)
}

/// Images of noise.
pub(super) fn gan(
    config: &GanConfig,
    tensors: &Tensors,
    noise: &Tensor,
    bits: u8,
) -> Result<Tensor> {
    let pass = Pass { tensors, bits };
    pass.decode("", noise, &config.stages, config.size)
}
