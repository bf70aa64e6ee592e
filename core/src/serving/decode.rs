//! Language models being served: time and energy of one step that writes a token for every sequence of a batch.
//!
//! All quantities are per device. The formulas are in METHODS.md, the constants in `assets/serving.ron`.

#[cfg(test)]
mod tests;

use super::architecture::{ParameterCount, Transformer};
use super::constants::{DecodeEnergy, DecodeTime};
use super::device::{Device, Generation};
use super::format::{Era, FOUR, WeightFormat};
use super::rates::{HELD, Rates, throttle};
use super::step::{StepEnergy, StepTime, Work};

/// What is served, and on how many devices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Serving {
    /// Sequences in a step, averaged over the run.
    pub batch: f64,
    /// Tokens of a prompt.
    pub prompt: f64,
    /// Tokens of an answer.
    pub output: f64,
    /// Devices that share every layer: all, or those of a pipeline stage.
    pub devices: f64,
    /// Pipeline stages, each with as many devices and its share of the layers.
    pub stages: f64,
    /// Groups of devices that attend to sequences of their own (data-parallel attention).
    pub attention_groups: f64,
    /// Format of the weights.
    pub format: WeightFormat,
    /// Whether experts are in 4-bit floating point (MXFP4), with arithmetic in 16 bit, whatever the rest is in.
    pub mxfp4_experts: bool,
    /// Bytes of scales per weight, where weights are packed.
    pub scale: f64,
    /// The software.
    pub era: Era,
}

/// Tokens of a batch share experts: they meet about as many as this power of their number would if they did not.
const SHARED_EXPERTS: f64 = 0.8;
/// Share of its answer that a running sequence has written, on average.
const WRITTEN: f64 = 0.5;
/// The same for answers so long that a measurement begins before they are half written.
const WRITTEN_LONG: f64 = 0.4;
/// Tokens from which an answer is long.
const LONG_ANSWER: f64 = 1500.0;
/// Rows of a tile of a grouped product in 16 bit.
const TILE_ROWS: f64 = 64.0;
/// Rows of a tile of a grouped product in FP8.
const TILE_ROWS_FP8: f64 = 128.0;
/// Share of the data sheet's FP8 peak, against that of 16 bit, that block-scaled products reach (assumed).
const FP8_PEAK: f64 = 0.6;
/// Energy of an FP8 operation against one in 16 bit (half the bits; assumed).
const FP8_OPERATION: f64 = 0.5;
/// Bytes of an MXFP4 weight's share of the scale of its block: one byte for 32 weights.
pub(super) const SCALE: f64 = 1.0 / 32.0;
/// Overheads of FP8 in layers without experts against layers with (assumed: quantising alone, some 9 µs a layer, without
/// grouping and scattering; no dense network in FP8 is among the rows of the fit).
const FP8_DENSE: f64 = 0.1;
/// Seconds that starting the kernels of one layer takes from Python (V100, A40 and A100 rows of 2023 agree).
const EAGER_LAYER: f64 = 1.05e-3;
/// The same with packed weights against weights in 16 bit: one more kernel for each of seven matrices beside about twenty.
const EAGER_UNPACK: f64 = 1.35;

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

    /// Work of one step on one device: with pipeline stages, of one part of the batch going through all of them on as
    /// many devices as one has.
    pub fn work(&self, network: &Transformer) -> Work {
        let count = network.parameters();
        let n = self.devices;
        let groups = self.attention_groups.clamp(1.0, n);
        let prompt_tokens = self.part() * self.prompt / self.output.max(1.0);
        let tokens = self.part() + prompt_tokens;
        let written = if self.output > LONG_ANSWER {
            WRITTEN_LONG
        } else {
            WRITTEN
        };
        let context = self.prompt + written * self.output;
        let (body, experts) = self.bytes_per_weight();
        let looked_back = network.looked_back(context);
        // Devices beyond the number of key-value heads hold copies; a latent vector cannot be split at all.
        let sharing = n / groups;
        let copies = match network.latent {
            Some(_) => sharing,
            None => (sharing / f64::from(network.kv_heads)).max(1.0),
        };
        let touched = self.touched(network, &count);
        let read_back =
            4.0 * self.part() * f64::from(network.heads) * network.score_width() * looked_back;
        let attention_copies = if groups > 1.0 {
            // Every group holds all of attention; the rest is shared by all devices.
            (groups - 1.0) * f64::from(network.layers) * attention_share(network)
        } else {
            0.0
        };
        Work {
            body_bytes: ((count.body + attention_copies) * body
                + (count.head + count.router) * 2.0)
                / n,
            expert_bytes: touched.share * count.experts * experts / n,
            expert_weights: touched.share * count.experts / n,
            imbalance: touched.imbalance,
            cache_bytes: self.part() * 2.0 * network.cached_per_layer() * looked_back * copies / n,
            context,
            operations: 2.0 * count.active * self.part() / n,
            attention: read_back / n,
            prompt: (2.0 * (count.active - count.head) * prompt_tokens
                + 2.0
                    * prompt_tokens
                    * f64::from(network.heads)
                    * f64::from(network.head_dim)
                    * self.prompt
                    * f64::from(network.layers))
                / n,
            padding: self.padding(network, &count, tokens, touched.per_device),
            link_bytes: if n > 1.0 {
                8.0 * f64::from(network.layers) * tokens * f64::from(network.hidden) * (n - 1.0) / n
            } else {
                0.0
            },
        }
    }

    fn bytes_per_weight(&self) -> (f64, f64) {
        let (body, experts) = match self.format {
            WeightFormat::Half => (2.0, 2.0),
            WeightFormat::Fp8 | WeightFormat::Int8 => (1.0, 1.0),
            WeightFormat::Packed(bits) => {
                let bytes = packed_bytes(bits, self.scale);
                (bytes, bytes)
            }
        };
        if self.mxfp4_experts {
            (body, packed_bytes(FOUR, SCALE))
        } else {
            (body, experts)
        }
    }

    /// Experts of one layer on one device.
    fn held(&self, network: &Transformer) -> f64 {
        let count = network.experts.map_or(0, |experts| experts.count);
        f64::from(count) / self.devices
    }

    /// Which experts a batch needs.
    fn touched(&self, network: &Transformer, count: &ParameterCount) -> Touched {
        let Some(experts) = network.experts.filter(|_| count.experts > 0.0) else {
            return Touched {
                share: 0.0,
                per_device: 0.0,
                imbalance: 1.0,
            };
        };
        let n = self.devices;
        let share = experts_touched(experts.active, experts.count, self.part());
        let per_device = share * f64::from(experts.count) / n;
        let imbalance = if n > 1.0 && per_device > 0.0 {
            // Largest of n binomial counts, about its mean plus √(2 ln n) standard deviations.
            (1.0 + (2.0 * n.ln() * (1.0 - share) / per_device).sqrt()).min(1.0 / share)
        } else {
            1.0
        };
        Touched {
            share,
            per_device,
            imbalance,
        }
    }

    fn padding(
        &self,
        network: &Transformer,
        count: &ParameterCount,
        tokens: f64,
        touched: f64,
    ) -> f64 {
        let Some(experts) = network.experts else {
            return 0.0;
        };
        let tile = if self.format == WeightFormat::Fp8 {
            TILE_ROWS_FP8
        } else {
            TILE_ROWS
        };
        let rows = tokens * f64::from(experts.active) / self.devices;
        count.expert_layers * 2.0 * count.expert * (touched * tile - rows).max(0.0)
    }

    /// Seconds of one step.
    pub fn time(
        &self,
        network: &Transformer,
        work: &Work,
        device: &Device,
        constants: &DecodeTime,
    ) -> StepTime {
        let count = network.parameters();
        let blackwell = device.generation == Generation::Blackwell;
        let (share, layer) = if blackwell {
            (constants.weights_blackwell, constants.layer_blackwell)
        } else {
            (constants.weights_hopper, constants.layer_hopper)
        };
        let fp8_experts = self.format == WeightFormat::Fp8 && !self.mxfp4_experts;
        let longer = match fp8_experts {
            _ if self.mxfp4_experts => constants.fp4_bytes,
            true => constants.fp8_bytes,
            false => 1.0,
        };
        let memory = (work.body_bytes + work.expert_bytes * work.imbalance * longer)
            / (device.bandwidth * share);
        let peak = constants.compute
            * match (self.format, device.fp8) {
                (WeightFormat::Fp8, Some(fp8)) => fp8 * FP8_PEAK,
                _ => device.fp16,
            };
        let arithmetic = work.operations / peak;
        let layers = f64::from(network.layers);
        let with_experts = if fp8_experts {
            count.expert_layers
        } else {
            0.0
        };
        let quantise = match self.format {
            WeightFormat::Fp8 => {
                constants.fp8_layer * (with_experts + FP8_DENSE * (layers - with_experts))
                    + constants.fp8_expert * with_experts * self.held(network)
            }
            _ => 0.0,
        };
        let mut time = StepTime {
            weights: (memory.powi(3) + arithmetic.powi(3)).cbrt(),
            cache: work.cache_bytes / (device.bandwidth * constants.cache),
            prompt: work.prompt / peak,
            launch: layers * layer + count.expert_layers * constants.expert_layer + quantise,
            exchange: 0.0,
            host: self.host(network, work, device, constants),
        };
        if self.devices > 1.0 {
            let start = constants.exchange
                + match self.era {
                    Era::Y2024 => constants.exchange_2024 * self.devices.log2(),
                    Era::Eager | Era::Y2025 => 0.0,
                };
            time.exchange = 2.0 * layers * start + work.link_bytes / (device.link * constants.link);
        }
        if self.stages > 1.0 {
            // Stages hand on their results, and one host serves all parts that are under way.
            let handed_on = self.part() * f64::from(network.hidden) * 2.0;
            time.exchange += (self.stages - 1.0)
                * (constants.exchange + handed_on / (device.link * constants.link * self.devices));
            let busy = time.total() - time.host;
            time.host = time.host.max(self.in_flight() * time.host - busy);
        }
        if self.era == Era::Eager {
            // The device waits for the host to start every kernel, or the host for the device.
            let busy = time.weights + time.cache + time.prompt + time.exchange;
            let more = match self.format {
                WeightFormat::Packed(_) | WeightFormat::Int8 => EAGER_UNPACK,
                WeightFormat::Half | WeightFormat::Fp8 => 1.0,
            };
            time.launch = 0.0;
            time.host = (layers * EAGER_LAYER * more - busy).max(0.0);
        }
        time
    }

    /// Seconds that software adds to a step whose arithmetic and transfers take `busy` seconds, apart from starting
    /// kernels.
    pub(super) fn software(
        &self,
        network: &Transformer,
        device: &Device,
        constants: &DecodeTime,
        busy: f64,
    ) -> f64 {
        let layers = f64::from(network.layers);
        if self.era == Era::Eager {
            return (layers * EAGER_LAYER - busy).max(0.0);
        }
        let host = self.host(network, &self.work(network), device, constants);
        let routing = network.parameters().expert_layers * constants.expert_layer;
        let waiting = match self.era {
            Era::Y2024 => 2.0 * layers * constants.exchange_2024 * self.devices.log2(),
            Era::Eager | Era::Y2025 => 0.0,
        };
        host + routing + waiting
    }

    fn host(
        &self,
        network: &Transformer,
        work: &Work,
        device: &Device,
        constants: &DecodeTime,
    ) -> f64 {
        let requests = self.part() / self.output.max(1.0);
        let blackwell = device.generation == Generation::Blackwell;
        match self.era {
            Era::Eager => 0.0,
            Era::Y2024 => {
                let sequence = if device.generation == Generation::Ampere {
                    constants.sequence_ampere_2024
                } else {
                    constants.sequence_hopper_2024
                };
                constants.step_2024
                    + constants.layer_2024 * f64::from(network.layers)
                    + (sequence + constants.context_2024 * work.context) * self.part()
                    + constants.request_2024 * requests
            }
            Era::Y2025 => {
                let (step, sequence) = if blackwell {
                    (
                        constants.step_blackwell_2025,
                        constants.sequence_blackwell_2025,
                    )
                } else {
                    (constants.step_hopper_2025, constants.sequence_hopper_2025)
                };
                let shared = if blackwell && self.devices < 2.0 {
                    constants.long_context_blackwell * (work.context / 4000.0).powi(2)
                } else {
                    0.0
                };
                step + sequence * self.part() + constants.request_2025 * requests + shared
            }
        }
    }

    /// Joules of one step on one device, over `seconds` of which `waiting` are spent waiting for the host.
    pub fn energy(
        &self,
        network: &Transformer,
        work: &Work,
        device: &Device,
        constants: &DecodeEnergy,
        seconds: f64,
        waiting: f64,
    ) -> StepEnergy {
        self.uncapped(network, work, device, constants, seconds, waiting)
            .held(HELD * device.power_limit * seconds)
    }

    /// Seconds of one step, longer where a device that was not measured would exceed its power limit.
    pub fn time_in_limit(
        &self,
        network: &Transformer,
        work: &Work,
        device: &Device,
        constants: (&DecodeTime, &DecodeEnergy),
    ) -> StepTime {
        let time = self.time(network, work, device, constants.0);
        let seconds = time.total();
        let energy = self.uncapped(network, work, device, constants.1, seconds, time.host);
        let idle = Rates::new(device, constants.1).idle;
        time.scaled(throttle(device, idle, energy.total(), seconds))
    }

    /// Joules of one step without a power limit.
    fn uncapped(
        &self,
        network: &Transformer,
        work: &Work,
        device: &Device,
        constants: &DecodeEnergy,
        seconds: f64,
        waiting: f64,
    ) -> StepEnergy {
        let rates = Rates::new(device, constants);
        // Several devices spin while they wait for each other and for the host.
        let several = self.devices > 1.0 || self.stages > 1.0;
        let waiting = if several { 0.0 } else { waiting };
        let busy = self.busy();
        let operations = work.operations + work.attention + work.prompt + work.padding;
        let (per_operation, mut convert) = match self.format {
            WeightFormat::Half | WeightFormat::Int8 => (1.0, 0.0),
            WeightFormat::Fp8 => {
                let count = network.parameters();
                let layers = f64::from(network.layers);
                let with_experts = if self.mxfp4_experts {
                    0.0
                } else {
                    count.expert_layers
                };
                let counted = if with_experts > 0.0 {
                    layers
                } else {
                    FP8_DENSE * layers
                };
                (
                    FP8_OPERATION,
                    constants.fp8_layer * counted
                        + constants.fp8_expert * with_experts * self.held(network),
                )
            }
            WeightFormat::Packed(bits) => {
                let experts = if self.mxfp4_experts {
                    0.0
                } else {
                    work.expert_weights
                };
                let weights = experts + work.body_bytes / packed_bytes(bits, self.scale);
                (1.0, constants.fp4_weight * weights)
            }
        };
        if self.mxfp4_experts {
            convert += constants.fp4_weight * work.expert_weights;
        }
        StepEnergy {
            standing: rates.idle * seconds + rates.active * (seconds - waiting).max(0.0),
            arithmetic: busy * rates.operation * per_operation * operations,
            convert: busy * convert,
            weights: busy * rates.byte * (work.body_bytes + work.expert_bytes),
            cache: busy * rates.byte * constants.cache_byte * work.cache_bytes,
            link: busy * constants.link_byte * work.link_bytes,
        }
    }
}

/// Bytes of a packed weight with its share of its scale.
fn packed_bytes(bits: u8, scale: f64) -> f64 {
    f64::from(bits) / 8.0 + scale
}

/// Share of the experts of a layer that a batch needs, with `active` of `count` per token:
/// 1 − (1 − active / count)^tokens, tokens of a batch counting for fewer as they share experts.
pub(crate) fn experts_touched(active: u32, count: u32, batch: f64) -> f64 {
    let chosen = f64::from(active) / f64::from(count.max(1));
    1.0 - (1.0 - chosen).powf(batch.powf(SHARED_EXPERTS))
}

struct Touched {
    /// Share of all experts.
    share: f64,
    /// Experts of one layer on one device.
    per_device: f64,
    /// The busiest device against the mean.
    imbalance: f64,
}

/// Parameters of attention in one layer.
fn attention_share(network: &Transformer) -> f64 {
    let without = Transformer {
        ffn: 0,
        experts: None,
        vocabulary: 0,
        ..network.clone()
    };
    without.parameters().body / f64::from(network.layers).max(1.0)
}
