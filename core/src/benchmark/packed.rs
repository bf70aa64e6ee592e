//! Matrix products with packed weights, really executed: candle's kernels for ggml's block formats, on the matrices of
//! the bundled language model.

use std::hint::black_box;
use std::time::Duration;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Tensor};
use serde::Serialize;

use super::machine::predicted_matrices;
use super::spread::{Spread, seconds_watched};
use crate::error::{Error, Result};
use crate::hardware::HardwareTarget;
use crate::model::{Architecture, Model};
use crate::power::{Answer, Meter};
use crate::profile::LayerKind;
use crate::recipe::{Group, Recipe};

/// Shortest repeat: long beside the millisecond in which a processor's energy counter moves.
const LEAST: Duration = Duration::from_millis(50);
/// Tokens at once: an answer being written, and a whole context being read.
const BATCHES: [u32; 2] = [1, 128];
/// The formats whose kernels take any multiple of 32 inputs, as these matrices have. Name, kernel, bits per weight with its share of the scale, and the recipe's widths that come nearest. The integer
/// formats round activations to 8 bits in blocks of 32.
const FORMATS: [(&str, GgmlDType, f64, u8, u8); 3] = [
    ("F32", GgmlDType::F32, 32.0, 32, 32),
    ("Q8_0", GgmlDType::Q8_0, 8.5, 8, 8),
    ("Q4_0", GgmlDType::Q4_0, 4.5, 4, 8),
];

/// Measured speed of the matrix products of a model in one format.
#[derive(Debug, Clone, Serialize)]
pub struct PackedSpeed {
    /// Block format, as in ggml.
    pub format: &'static str,
    /// Bits that a weight takes, scales included.
    pub bits_per_weight: f64,
    /// Tokens at once.
    pub batch: u32,
    /// Tokens per second through all matrices, here.
    pub tokens_per_s: Spread,
    /// The same as the cost model predicts it for this machine.
    pub predicted_tokens_per_s: f64,
    /// Energy of the processor package.
    #[serde(flatten)]
    pub energy: Energy,
}

/// Energy that was measured, or why it was not.
#[derive(Debug, Clone, Serialize)]
pub enum Energy {
    /// Joules per token, idle power included.
    #[serde(rename = "joules_per_token")]
    Measured(Spread),
    /// Why there is none.
    #[serde(rename = "no_joules_because")]
    Unknown(String),
}

/// Times all matrices of a language model in every format, one after another. `report` hears what is being timed.
///
/// # Errors
/// The model is no language model, or a computation failed.
pub fn packed_speeds(
    model: &Model,
    target: &HardwareTarget,
    report: &dyn Fn(&str),
) -> Result<Vec<PackedSpeed>> {
    let Architecture::Gpt(_) = &model.architecture else {
        return Err(Error::Infeasible(format!(
            "{} is not a language model; its convolutions have no packed kernels here",
            model.name
        )));
    };
    let mut meter = Meter::new();
    let mut speeds = Vec::new();
    for (format, kernel, bits_per_weight, weight_bits, activation_bits) in FORMATS {
        let matrices = matrices(model, kernel)?;
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = weight_bits;
        recipe.quantization.activation_bits = activation_bits;
        if weight_bits < 32 {
            recipe.quantization.group = Group::Size(32);
        }
        for batch in BATCHES {
            report(&format!("{format}, {batch} tokens at once"));
            let (tokens_per_s, energy) = time(&matrices, batch, &mut meter)?;
            speeds.push(PackedSpeed {
                format,
                bits_per_weight,
                batch,
                tokens_per_s,
                predicted_tokens_per_s: predicted_matrices(model, &recipe, batch, target)?,
                energy,
            });
        }
    }
    Ok(speeds)
}

/// Threads that candle's kernels use: those of the machine, or what `RAYON_NUM_THREADS` says.
pub fn packed_threads() -> usize {
    candle_core::utils::get_num_threads()
}

/// The matrices with their number of inputs, without the tables, of which a token reads one row.
fn matrices(model: &Model, kernel: GgmlDType) -> Result<Vec<(QMatMul, usize)>> {
    let layers = model.architecture.layers();
    layers
        .iter()
        .filter(|layer| layer.kind == LayerKind::Linear)
        .map(|layer| {
            let name = format!("{}.weight", layer.name);
            let weight = model
                .tensors
                .get(&name)
                .ok_or_else(|| Error::Compute(format!("tensor {name} is missing")))?;
            let (_, inputs) = weight.dims2()?;
            Ok((
                QMatMul::from_qtensor(QTensor::quantize(weight, kernel)?)?,
                inputs,
            ))
        })
        .collect()
}

/// Tokens per second through all matrices, and the energy of one.
fn time(matrices: &[(QMatMul, usize)], batch: u32, meter: &mut Meter) -> Result<(Spread, Energy)> {
    let inputs: Vec<Tensor> = matrices
        .iter()
        .map(|(_, inputs)| Tensor::rand(-1_f32, 1.0, (batch as usize, *inputs), &Device::Cpu))
        .collect::<candle_core::Result<_>>()?;
    let tokens = f64::from(batch);
    let mut joules = Ok(Vec::new());
    let times = seconds_watched(
        LEAST,
        || {
            for ((matrix, _), input) in matrices.iter().zip(&inputs) {
                black_box(matrix.forward(input)?);
            }
            Ok(())
        },
        &mut |time| {
            let watts = package_watts(meter);
            if let (Some(time), Ok(all)) = (time, &mut joules) {
                match watts {
                    Ok(watts) => all.push(watts * time / tokens),
                    Err(reason) => joules = Err(reason),
                }
            }
        },
    )?;
    let speed = Spread::of(times.into_iter().map(|time| tokens / time).collect());
    let energy = match joules {
        Ok(joules) => Energy::Measured(Spread::of(joules)),
        Err(reason) => Energy::Unknown(reason),
    };
    Ok((speed, energy))
}

/// Average power of all processor packages since the last call, or why there is none.
fn package_watts(meter: &mut Meter) -> std::result::Result<f64, String> {
    meter
        .read_packages()
        .into_iter()
        .map(|source| match source.answer {
            Answer::Reading { watts, .. } => Ok(watts.0),
            Answer::None { reason } => Err(reason),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::bundled;

    #[test]
    fn packed_matrices_hold_the_model_at_their_width_and_compute_what_it_does() {
        /// Largest relative error (root mean square) of the products: about half a step of the narrowest width.
        const WORST: [f32; 3] = [1e-5, 0.02, 0.15];
        let model = bundled::load("tiny-gpt").unwrap();
        let weight = &model.tensors["h.0.mlp.fc.weight"];
        let input = Tensor::rand(-1_f32, 1.0, (7, 96), &Device::Cpu).unwrap();
        let exact = input.matmul(&weight.t().unwrap()).unwrap();
        let size = |t: &Tensor| {
            t.sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
        };
        for ((format, kernel, bits, ..), worst) in FORMATS.into_iter().zip(WORST) {
            let packed = QTensor::quantize(weight, kernel).unwrap();
            let stored = packed.storage_size_in_bytes() as f64 * 8.0;
            assert_eq!(stored / weight.elem_count() as f64, bits, "{format}");
            let found = QMatMul::from_qtensor(packed)
                .unwrap()
                .forward(&input)
                .unwrap();
            let error = (size(&(found - &exact).unwrap()) / size(&exact)).sqrt();
            assert!(error < worst, "{format}: {error}");
        }
        let matrices = matrices(&model, GgmlDType::Q4_0).unwrap();
        assert_eq!(matrices.len(), 4 * 4 + 1);
    }
}
