//! The engine's own loops beside candle's operations doing the same, in one run: ratios mean more than times, because
//! both are disturbed by the same neighbours.

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};

use crate::compress::Compressor;
use crate::engine;
use crate::error::{Error, Result};
use crate::model::{Architecture, BATCH_NORM_EPSILON, CnnConfig, Model, Tensors};
use crate::recipe::Recipe;

/// Rounds of which the median counts.
const ROUNDS: usize = 9;
/// Images per forward pass.
const IMAGES: usize = 64;

/// The same work done twice.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What the work is.
    pub work: &'static str,
    /// Time of the engine.
    pub engine: Duration,
    /// Time of candle's operations.
    pub candle: Duration,
}

/// Pruning half of the weights with four bits for the others, and, for a convolutional network, classifying 64 images.
///
/// # Errors
/// A computation failed.
pub fn compare_with_candle(model: &Model) -> Result<Vec<Comparison>> {
    let mut comparisons = vec![compression(model)?];
    if let Architecture::Cnn(config) = &model.architecture {
        comparisons.push(classification(&model.architecture, config, &model.tensors)?);
    }
    Ok(comparisons)
}

fn compression(model: &Model) -> Result<Comparison> {
    let weights: Vec<Tensor> = model
        .architecture
        .layers()
        .iter()
        .filter(|layer| layer.compressible)
        .map(|layer| {
            let weight = tensor(&model.tensors, &format!("{}.weight", layer.name))?;
            Ok(weight.flatten_from(1)?)
        })
        .collect::<Result<_>>()?;
    let planner = engine::planner(&model.name, &model.architecture)?;
    let mut compressor = Compressor::new(planner, &model.tensors)?;
    let mut round = 0_u32;
    let engine = median(|| {
        round += 1;
        let mut recipe = Recipe::default();
        // Another threshold each time, as under a moving slider.
        recipe.pruning.sparsity = 0.5 + 0.001 * f64::from(round);
        recipe.quantization.weight_bits = 4;
        let compressed = compressor.compress(&recipe, &|| false)?;
        compressor.recycle(compressed);
        Ok(())
    })?;
    let candle = median(|| {
        for weight in &weights {
            black_box(prune_and_round(weight)?);
        }
        Ok(())
    })?;
    Ok(Comparison {
        work: "prune and round the weights to 4 bits",
        engine,
        candle,
    })
}

/// `[out, in]`, the threshold for free.
fn prune_and_round(weight: &Tensor) -> candle_core::Result<Tensor> {
    let mask = weight.abs()?.ge(0.05)?.to_dtype(DType::F32)?;
    let kept = (weight * mask)?;
    let scale = (kept.abs()?.max_keepdim(1)? / 7.0)?;
    kept.broadcast_div(&scale)?.round()?.broadcast_mul(&scale)
}

fn classification(
    architecture: &Architecture,
    config: &CnnConfig,
    tensors: &Tensors,
) -> Result<Comparison> {
    let shape = (IMAGES, config.input_channels, config.size, config.size);
    let images = Tensor::rand(0_f32, 1.0, shape, &Device::Cpu)?;
    let engine = median(|| {
        black_box(architecture.forward(tensors, &images, 32)?);
        Ok(())
    })?;
    let candle = median(|| {
        black_box(convolve_with_candle(config, tensors, &images)?);
        Ok(())
    })?;
    Ok(Comparison {
        work: "classify 64 images",
        engine,
        candle,
    })
}

/// The classifier with candle's own convolution and pooling: `[n, channels, size, size]` → `[n, classes]`.
fn convolve_with_candle(config: &CnnConfig, tensors: &Tensors, images: &Tensor) -> Result<Tensor> {
    let mut x = images.clone();
    for (i, stage) in config.stages.iter().enumerate() {
        let n = i + 1;
        let column = |name: &str| -> Result<Tensor> {
            Ok(tensor(tensors, &format!("bn{n}.{name}"))?.reshape((1, (), 1, 1))?)
        };
        let deviation = (column("running_var")? + BATCH_NORM_EPSILON)?.sqrt()?;
        x = x
            .conv2d(tensor(tensors, &format!("conv{n}.weight"))?, 1, 1, 1, 1)?
            .broadcast_sub(&column("running_mean")?)?
            .broadcast_div(&deviation)?
            .broadcast_mul(&column("weight")?)?
            .broadcast_add(&column("bias")?)?
            .relu()?;
        if stage.pool {
            x = x.max_pool2d(2)?;
        }
    }
    let pooled = x.mean((2, 3))?;
    let head = tensor(tensors, "head.weight")?;
    let bias = tensor(tensors, "head.bias")?;
    Ok(pooled.matmul(&head.t()?)?.broadcast_add(bias)?)
}

fn tensor<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a Tensor> {
    tensors
        .get(name)
        .ok_or_else(|| Error::Compute(format!("tensor {name} is missing")))
}

fn median(mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    // The first round warms up.
    work()?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest difference between two logits of size about 1 that are added up in another order.
    const TOLERANCE: f32 = 1e-3;

    #[test]
    fn both_sides_of_the_comparison_compute_the_same() {
        let config = CnnConfig::fashion();
        let architecture = Architecture::Cnn(config.clone());
        let tensors = architecture.initial_tensors(3).unwrap();
        let images = Tensor::rand(0_f32, 1.0, (5, 1, 28, 28), &Device::Cpu).unwrap();
        let ours = architecture.forward(&tensors, &images, 32).unwrap();
        let candle = convolve_with_candle(&config, &tensors, &images).unwrap();
        let worst = (ours - candle)
            .and_then(|difference| difference.abs()?.max_all()?.to_scalar::<f32>())
            .unwrap();
        assert!(worst < TOLERANCE, "{worst}");
    }
}
