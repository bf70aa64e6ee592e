//! Whole systems under the MLPerf inference scenarios, measured at the wall: host, memory, fans and power supply
//! included. Never to be mixed with measurements of the boards alone.

use super::architecture::Operations;
use super::constants::{SystemEnergy, SystemTime};
use super::device::{Device, DeviceKind, Generation};

/// How queries arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// All at once.
    Offline,
    /// At random, each with a latency bound.
    Server,
    /// One sample after the other.
    SingleStream,
    /// Eight samples at a time.
    MultiStream,
}

/// A benchmark on a system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Benchmark {
    /// Operations of one sample.
    pub operations: f64,
    /// What most of them are.
    pub kind: Operations,
    /// Whether the accuracy target leaves no room for 8-bit integers.
    pub strict: bool,
    /// Whether it is computed in 16 bit whatever the accuracy target.
    pub half: bool,
    /// Whether the constants were fitted to rows of its network.
    pub seen: bool,
    /// Activations that its layers read and write, in numbers per operation.
    pub traffic: f64,
    /// The same of the network to which the share of the peak was fitted.
    pub fitted_traffic: f64,
    /// How queries arrive.
    pub arrival: Arrival,
    /// Devices in the system.
    pub devices: f64,
    /// Whether the system was set up for efficiency instead of speed.
    pub efficient: bool,
    /// Whether the software does not use the widest vector units well (`TFLite`).
    pub plain_software: bool,
}

/// Samples of a multi-stream query.
pub(super) const STREAM: f64 = 8.0;
/// Speed of `TFLite` against `ArmNN` on the same cores (median of the paired submissions).
const PLAIN_SOFTWARE: f64 = 0.8;
/// Power of a system on a chip that computes one sample at a time against its rating (assumed).
const PARTLY_USED: f64 = 0.75;

/// Watts at the wall of a board whose chip is the system.
pub(super) fn board_power(
    device: &Device,
    efficient: bool,
    streams: bool,
    constants: &SystemEnergy,
) -> f64 {
    let rating = match device.efficient_power.filter(|_| efficient) {
        Some(power) => power,
        None => device.power_limit,
    };
    let used = if streams { PARTLY_USED } else { 1.0 };
    rating * constants.board * used
}

impl Benchmark {
    /// How much longer the operations take than those of the network to which the share of the peak was fitted, where
    /// activations go through memory: `rate` operations per second leave room for so many bytes.
    fn longer(&self, rate: f64, device: &Device) -> f64 {
        let bytes = if self.half { 2.0 } else { 1.0 };
        let beside = |traffic: f64| 1.0 + rate * traffic * bytes / device.bandwidth;
        beside(self.traffic) / beside(self.fitted_traffic)
    }

    /// Seconds per sample.
    pub fn time(&self, device: &Device, constants: &SystemTime) -> f64 {
        let convolution = self.kind == Operations::Convolutional;
        let pick = |a, b| if convolution { a } else { b };
        let half = self.half || (self.strict && device.fp8.is_none());
        let peak = if half { device.fp16 } else { device.int8 };
        let (rate, one_sample) = match device.kind {
            DeviceKind::Cpu => {
                let share = if self.plain_software {
                    PLAIN_SOFTWARE
                } else {
                    1.0
                };
                return self.operations / (device.fp32 * constants.cpu * share);
            }
            DeviceKind::EmbeddedGpu => {
                return self.operations / (device.fp32 * constants.embedded_gpu);
            }
            DeviceKind::Gpu => {
                let newer = if device.generation == Generation::Ampere {
                    1.0
                } else {
                    constants.hopper
                };
                let share = pick(constants.gpu_convolution, constants.gpu_attention);
                let rate = peak * share * newer;
                (rate / self.longer(rate, device), constants.one_sample_gpu)
            }
            DeviceKind::Card | DeviceKind::KitCard | DeviceKind::Module => {
                let beyond = if device.kind == DeviceKind::Module {
                    constants.module
                } else {
                    1.0
                };
                let share = pick(constants.card_convolution, constants.card_attention);
                (peak * share * beyond, constants.one_sample_card)
            }
            DeviceKind::SystemOnChip => {
                let slower = if self.efficient {
                    constants.efficient_mode
                } else {
                    1.0
                };
                let share = pick(constants.soc_convolution, constants.soc_attention);
                let rate = peak * share * slower;
                (rate / self.longer(rate, device), constants.one_sample_soc)
            }
        };
        let samples = match self.arrival {
            Arrival::Offline => return self.operations / rate / self.devices,
            Arrival::Server => {
                return self.operations / rate / self.devices / constants.server;
            }
            Arrival::SingleStream => 1.0,
            Arrival::MultiStream => STREAM,
        };
        let used = self.devices.min(samples);
        let filled = (one_sample * samples / used).min(1.0);
        constants.query / samples + self.operations / (rate * filled) / used
    }

    /// Joules per sample over `seconds` per sample.
    pub fn energy(&self, device: &Device, constants: &SystemEnergy, seconds: f64) -> f64 {
        let streams = matches!(self.arrival, Arrival::SingleStream | Arrival::MultiStream);
        let host = match device.kind {
            DeviceKind::Cpu | DeviceKind::EmbeddedGpu => return device.power_limit * seconds,
            DeviceKind::SystemOnChip => {
                return board_power(device, self.efficient, streams, constants) * seconds;
            }
            DeviceKind::KitCard | DeviceKind::Module => constants.kit,
            DeviceKind::Gpu | DeviceKind::Card => {
                constants.host + constants.host_per_device * self.devices
            }
        };
        let boards = if streams {
            let samples = if self.arrival == Arrival::MultiStream {
                STREAM
            } else {
                1.0
            };
            let above = device.power_limit - device.waiting_power;
            self.devices * device.waiting_power
                + constants.one_sample * above * self.devices.min(samples)
        } else {
            let share = match self.kind {
                Operations::Convolutional => constants.convolution,
                Operations::Attention => constants.attention,
            };
            self.devices * device.power_limit * share
        };
        (host + boards) * seconds
    }
}
