//! Language models in llama.cpp, one sequence: speed, and power as a share of the device's limit.

use super::constants::LlamaCpp;
use super::device::{Device, DeviceKind};
use crate::graph::Language;

/// Formats of weights in llama.cpp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufFormat {
    /// 16 bit.
    F16,
    /// Eight bits and a scale per 32 weights.
    Q8,
    /// The mixture of four and six bits that most people use.
    Q4,
}

impl GgufFormat {
    /// Bits per weight, scales included; Q4_K_M measured on Llama 3 8B files (4.92 GB).
    pub const fn bits(self) -> f64 {
        match self {
            Self::F16 => 16.0,
            Self::Q8 => 8.5,
            Self::Q4 => 4.9,
        }
    }
}

/// Tokens per second while writing, at a context of `context` tokens; several devices hold a part of the layers each
/// and work one after the other.
pub(crate) fn decode_rate(
    network: &Language,
    format: GgufFormat,
    context: f64,
    device: &Device,
    constants: &LlamaCpp,
) -> f64 {
    let weights = network.active();
    let cache = 2.0 * network.cached(context, 1.0);
    let share = if device.stacked_memory {
        constants.bandwidth_hbm
    } else {
        constants.bandwidth
    };
    let memory = (weights * format.bits() / 8.0 + cache) / (device.bandwidth * share);
    let unpack = match format {
        GgufFormat::F16 => 0.0,
        // Vector units of processors multiply the packed integers as they are.
        GgufFormat::Q8 | GgufFormat::Q4 if device.kind == DeviceKind::Cpu => 0.0,
        GgufFormat::Q8 | GgufFormat::Q4 => weights * constants.unpack_operations / device.fp32,
    };
    let started =
        network.blocks * constants.layer + network.expert_layers() * constants.expert_layer;
    1.0 / (memory.hypot(unpack) + started)
}

/// Share of its power limit that a device draws while it writes one sequence (assumed: graphics cards drew 0.8 to 1.0 of
/// theirs, small networks on large cards as little as 0.5).
const DRAWN: f64 = 0.9;
/// How far that may be off, in the natural logarithm.
pub(crate) const DRAWN_SPREAD: f64 = 0.25;
/// The same of every further device, which waits most of the time (assumed).
const WAITING: f64 = 0.2;

/// Watts of `devices` devices of which one at a time writes, each held at `cap` watts where that is stated.
pub(crate) fn watts(device: &Device, devices: f64, cap: Option<f64>) -> f64 {
    let limit = device.power_limit;
    let drawn = cap.map_or(DRAWN * limit, |cap| cap.min(DRAWN * limit));
    drawn + (devices - 1.0).max(0.0) * WAITING * limit
}

/// Tokens per second while reading a prompt. Devices overlap only in part: n of them are √n as fast.
pub(crate) fn prompt_rate(
    network: &Language,
    format: GgufFormat,
    tokens: f64,
    devices: f64,
    device: &Device,
    constants: &LlamaCpp,
) -> f64 {
    let share = match format {
        GgufFormat::F16 => constants.prompt,
        GgufFormat::Q8 | GgufFormat::Q4 => constants.prompt_packed,
    };
    // It sums up in 16 bit, where GeForce cards are twice as fast as in 32: half their rate for integers of 8 bits.
    let peak = device.fp16.max(device.int8 / 2.0);
    tokens / (network.forward_operations(tokens) / (peak * share)) * devices.powf(0.5)
}
