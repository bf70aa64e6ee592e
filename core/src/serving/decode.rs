//! Language models being served: time and energy of one step that writes a token for every sequence of a batch.
//!
//! All quantities are per device. The formulas are in METHODS.md, the constants in `assets/serving.ron`.

mod energy;
#[cfg(test)]
mod monotone;
#[cfg(test)]
mod tests;
mod time;
mod work;

use super::format::{Engine, Era, WeightFormat};

/// What is served, and on how many devices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Serving {
    /// Sequences in a step, averaged over the run.
    pub batch: f64,
    /// Tokens of a prompt.
    pub prompt: f64,
    /// Tokens of an answer.
    pub output: f64,
    /// Tokens of context of every sequence, where neither prompts nor the beginnings and ends of answers are counted.
    pub context: Option<f64>,
    /// Devices that share every layer: all, or those of a pipeline stage.
    pub devices: f64,
    /// Pipeline stages, each with as many devices and its share of the layers.
    pub stages: f64,
    /// Groups of devices that attend to sequences of their own (data-parallel attention).
    pub attention_groups: f64,
    /// Whether every device holds whole experts, instead of a part of each.
    pub whole_experts: bool,
    /// Format of the weights.
    pub format: WeightFormat,
    /// Whether experts are in 4-bit floating point (MXFP4), with arithmetic in 16 bit, whatever the rest is in.
    pub mxfp4_experts: bool,
    /// Whether experts are in 4-bit integers, with arithmetic in 16 bit, whatever the rest is in.
    pub integer_experts: bool,
    /// Bytes of scales per weight, where weights are packed.
    pub scale: f64,
    /// The software's year.
    pub era: Era,
    /// The software's name.
    pub engine: Engine,
}

/// Bytes of an MXFP4 weight's share of the scale of its block: one byte for 32 weights.
pub(super) const SCALE: f64 = 1.0 / 32.0;
/// Overheads of FP8 in layers without experts against layers with (assumed: quantising alone, some 9 µs a layer, without
/// grouping and scattering).
const FP8_DENSE: f64 = 0.1;

impl Serving {
    /// Parts of the batch under way at once: one per pipeline stage, as far as the batch can be divided.
    fn in_flight(&self) -> f64 {
        self.stages.min(self.batch).max(1.0)
    }

    /// Sequences that go through a stage together.
    fn part(&self) -> f64 {
        self.batch / self.in_flight()
    }

    /// Devices of all stages.
    pub fn all_devices(&self) -> f64 {
        self.devices * self.stages
    }

    /// Share of the stages that have a part of the batch to work on.
    pub(super) fn busy(&self) -> f64 {
        self.in_flight() / self.stages
    }

    /// Whether a device's experts are narrower than the rest, and computed by kernels of their own.
    const fn own_experts(&self) -> bool {
        self.mxfp4_experts || self.integer_experts
    }

    /// Whether grouped products of experts in FP8 go over every expert, as they did before 2026.
    fn slow_fp8(&self) -> bool {
        self.format == WeightFormat::Fp8 && !self.own_experts() && self.era != Era::Y2026
    }

    /// Layers as the overheads of FP8 count them, of which so many have experts.
    fn fp8_layers(&self, layers: f64, with_experts: f64) -> f64 {
        if self.slow_fp8() {
            with_experts + FP8_DENSE * (layers - with_experts)
        } else {
            0.0
        }
    }
}
