//! The denoiser in candle's operations, by its configuration.

use candle_core::{D, Device, Tensor};

use super::pictures::Pass;
use crate::error::Result;
use crate::model::{DiffusionConfig, Tensors};

/// Velocities `[n, pixels]` of noisy images and their times `[n, pixels + 1]`.
pub(super) fn velocities(
    config: &DiffusionConfig,
    tensors: &Tensors,
    given: &Tensor,
    bits: u8,
) -> Result<Tensor> {
    let network = Denoiser {
        pass: Pass { tensors, bits },
        time: told(config, &Pass { tensors, bits }, given)?,
    };
    let pixels = config.channels * config.size * config.size;
    let n = given.dim(0)?;
    let images = given.narrow(1, 0, pixels)?.contiguous()?;
    let images = images.reshape((n, config.channels, config.size, config.size))?;
    let mut x = network.convolve(&images, "stem", "conv", "bn")?;
    let mut levels = vec![x.clone()];
    for i in 1..config.levels.len() {
        x = x.max_pool2d(2)?;
        x = network.convolve(&x, &format!("down{i}"), "conv", "bn")?;
        x = network.block(&x, &format!("down{i}"))?;
        levels.push(x.clone());
    }
    for i in (0..config.levels.len() - 1).rev() {
        x = network.convolve(&x, &format!("up{i}"), "conv", "bn")?;
        x = x.upsample_nearest2d(2 * x.dim(2)?, 2 * x.dim(3)?)?;
        x = network.block(&(x + &levels[i])?, &format!("up{i}"))?;
    }
    let bias = network.pass.part("head", "bias")?.reshape((1, (), 1, 1))?;
    let x = network.pass.convolve(&x, "head")?.broadcast_add(&bias)?;
    Ok(x.flatten_from(1)?)
}

/// What blocks are told of the times.
fn told(config: &DiffusionConfig, pass: &Pass<'_>, given: &Tensor) -> Result<Tensor> {
    let (n, all) = given.dims2()?;
    let times = given.narrow(1, all - 1, 1)?.flatten_all()?;
    let times = times.to_vec1::<f32>()?;
    let pairs = config.features / 2;
    // Frequencies 1 to 100, each so many times the one before.
    let factor = 100f64.powf(1.0 / (pairs as f64 - 1.0));
    let mut angles = Vec::new();
    for time in times {
        let mut angle = f64::from(time);
        for _ in 0..pairs {
            angles.push(angle);
            angle *= factor;
        }
    }
    let angles = Tensor::from_vec(angles, (n, pairs), &Device::Cpu)?;
    let features = Tensor::cat(&[angles.sin()?, angles.cos()?], D::Minus1)?;
    let mut x = features.to_dtype(candle_core::DType::F32)?;
    for name in ["time.fc1", "time.fc2"] {
        x = pass
            .linear(&x, name)?
            .broadcast_add(pass.part(name, "bias")?)?
            .relu()?;
    }
    Ok(x)
}

struct Denoiser<'a> {
    pass: Pass<'a>,
    time: Tensor,
}

impl Denoiser<'_> {
    fn convolve(&self, x: &Tensor, name: &str, conv: &str, bn: &str) -> Result<Tensor> {
        let x = self.pass.convolve(x, &format!("{name}.{conv}"))?;
        self.pass.normalize(&x, &format!("{name}.{bn}"))
    }

    fn block(&self, given: &Tensor, name: &str) -> Result<Tensor> {
        let x = self.convolve(given, name, "conv1", "bn1")?;
        let layer = format!("{name}.time");
        let told = self.pass.linear(&self.time, &layer)?;
        let told = told.broadcast_add(self.pass.part(&layer, "bias")?)?;
        let (n, c) = (x.dim(0)?, x.dim(1)?);
        let part = |at: usize| -> Result<Tensor> {
            Ok(told
                .narrow(1, at * c, c)?
                .contiguous()?
                .reshape((n, c, 1, 1))?)
        };
        let x = x.broadcast_mul(&(part(0)? + 1.0)?)?;
        let x = x.broadcast_add(&part(1)?)?;
        Ok((self.convolve(&x, name, "conv2", "bn2")? + given)?)
    }
}
