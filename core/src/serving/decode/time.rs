//! Seconds of one step on one device.

use super::Serving;
use crate::graph::Language;
use crate::serving::constants::{DecodeEnergy, DecodeTime};
use crate::serving::device::{Device, Generation};
use crate::serving::format::{Engine, Era, WeightFormat};
use crate::serving::rates::{Rates, throttle};
use crate::serving::step::{StepTime, Work};

/// Seconds that starting the kernels of one layer takes from Python (V100, A40 and A100 rows of 2023 agree).
const EAGER_LAYER: f64 = 1.05e-3;
/// The same with packed weights against weights in 16 bit: one more kernel for each of seven matrices beside about twenty.
const EAGER_UNPACK: f64 = 1.35;
/// Bytes per second that a device exchanges with other servers: one adapter of 400 Gb/s each, as such servers are sold
/// (assumed).
const SERVER_LINK: f64 = 50e9;
/// How much longer a step takes with the software of other makers than NVIDIA's (assumed: one row on an MI300X took 2.1 times
/// as long as predicted without, one series on an MI355X 1.2 times).
const OTHER_MAKERS: f64 = 1.3;
/// Sequences at which the host's time per sequence is stated, and the power of their number by which it grows: what the host
/// does for all of them at once is shared.
const MANY: f64 = 100.0;
/// See [`MANY`]; chosen by the errors on families left out of the fit (2025 software; 1.0, 0.85, 0.8 and 0.7 were tried).
const SHARED_HOST: f64 = 0.8;
/// Context up to which the host's time of one shared Blackwell machine was seen to grow.
const LONG_CONTEXT: f64 = 4000.0;

/// What differs between generations of devices.
struct Shares {
    weights: f64,
    compute: f64,
    prompt: f64,
    layer: f64,
    expert_layer: f64,
}

impl Shares {
    const fn new(generation: Generation, constants: &DecodeTime) -> Self {
        let (weights, compute, prompt) = match generation {
            Generation::Ampere => (
                constants.weights_ampere,
                constants.compute_ampere,
                constants.prompt_ampere,
            ),
            Generation::Hopper => (
                constants.weights_hopper,
                constants.compute_hopper,
                constants.prompt_hopper,
            ),
            Generation::Blackwell => (
                constants.weights_blackwell,
                constants.compute_blackwell,
                constants.prompt_blackwell,
            ),
        };
        let (layer, expert_layer) = match generation {
            Generation::Ampere | Generation::Hopper => {
                (constants.layer_hopper, constants.expert_layer_hopper)
            }
            Generation::Blackwell => (constants.layer_blackwell, constants.expert_layer_blackwell),
        };
        Self {
            weights,
            compute,
            prompt,
            layer,
            expert_layer,
        }
    }
}

impl Serving {
    /// Operations per second of most matrices, and of experts.
    fn peaks(&self, device: &Device, constants: &DecodeTime) -> (f64, f64) {
        let body = match (self.format, device.fp8) {
            (WeightFormat::Fp8, Some(fp8)) => (fp8 * constants.fp8_peak).max(device.fp16),
            _ => device.fp16,
        };
        let experts = match device.fp8 {
            _ if self.integer_experts => device.fp16,
            Some(fp8) if self.mxfp4_experts && device.multiplies_fp4() => fp8,
            _ if self.mxfp4_experts => device.fp16,
            _ => body,
        };
        (body, experts)
    }

    /// Seconds of one step.
    pub fn time(
        &self,
        network: &Language,
        work: &Work,
        device: &Device,
        constants: &DecodeTime,
    ) -> StepTime {
        let shares = Shares::new(device.generation, constants);
        let longer = if self.integer_experts {
            constants.integer_experts
        } else {
            1.0
        };
        let memory = (work.body_bytes + work.expert_bytes * work.imbalance * longer)
            / (device.bandwidth * shares.weights);
        let (body, experts) = self.peaks(device, constants);
        let arithmetic = ((work.operations - work.expert_operations) / body
            + work.expert_operations / (experts * constants.expert_compute))
            / shares.compute;
        let width = self.expert_width(network);
        let filled = constants.expert_prompt * width / (width + constants.expert_width);
        let in_experts = if work.expert_prompt > 0.0 {
            work.expert_prompt / (experts * filled)
        } else {
            0.0
        };
        let prompt = ((work.prompt - work.expert_prompt - work.prompt_attention) / body
            + in_experts
            + work.prompt_attention / device.fp16)
            / shares.prompt;
        let layers = network.blocks;
        let latent = constants.latent_layer * network.latent_layers();
        let started = layers * shares.layer
            + latent
            + network.expert_layers() * shares.expert_layer
            + constants.fp8_layer * self.fp8_layers(layers, network.expert_layers())
            + self.over_every_expert(network) * constants.fp8_expert;
        let mut time = StepTime {
            weights: (memory.powi(3) + arithmetic.powi(3)).cbrt(),
            cache: work.cache_bytes / (device.bandwidth * constants.cache),
            prompt,
            activations: (work.activations * constants.activations
                + work.expert_activations * constants.expert_activations)
                / device.bandwidth,
            launch: started * self.engine_factor(constants),
            exchange: self.exchange(network, work, device, constants),
            host: self.host(network, work, device, constants),
        };
        if self.stages > 1.0 {
            // One host serves all parts that are under way.
            let all = self.in_flight() * time.host;
            time.host = match self.era {
                // Rows of two stages: one after the other, while the devices wait.
                Era::Eager | Era::Y2024 => all,
                // While the devices compute (assumed: no row has stages).
                Era::Y2025 | Era::Y2026 => time.host.max(all - (time.total() - time.host)),
            };
        }
        if self.era == Era::Eager {
            // The device waits for the host to start every kernel, or the host for the device.
            let busy = time.weights + time.cache + time.prompt + time.activations + time.exchange;
            let more = match self.format {
                WeightFormat::Packed(_) | WeightFormat::Int8 => EAGER_UNPACK,
                WeightFormat::Half | WeightFormat::Fp8 => 1.0,
            };
            time.launch = 0.0;
            time.host = (layers * EAGER_LAYER * more - busy).max(0.0);
        }
        if device.of_other_maker() {
            time = time.scaled(OTHER_MAKERS);
        }
        time
    }

    /// Experts that grouped products in FP8 go over, all layers together.
    pub(super) fn over_every_expert(&self, network: &Language) -> f64 {
        if self.slow_fp8() {
            self.all_held(network)
        } else {
            0.0
        }
    }

    fn engine_factor(&self, constants: &DecodeTime) -> f64 {
        match self.engine {
            Engine::Vllm => 1.0,
            Engine::Sglang => constants.sglang,
            Engine::TensorRt => constants.tensorrt,
        }
    }

    /// Seconds of exchange between devices that share every layer, and between pipeline stages.
    fn exchange(
        &self,
        network: &Language,
        work: &Work,
        device: &Device,
        constants: &DecodeTime,
    ) -> f64 {
        let layers = network.blocks;
        let start = match self.era {
            Era::Y2026 => constants.exchange * constants.exchange_2026,
            Era::Eager | Era::Y2024 | Era::Y2025 => constants.exchange,
        };
        let rate = device.link * constants.link;
        let mut seconds = 0.0;
        if self.devices > 1.0 {
            let waiting = 2.0 * layers * start + self.waiting(network, constants);
            seconds = waiting + work.link_bytes / rate;
            if self.devices > device.domain {
                // Within a server first, then every device with its like in the other servers.
                seconds += 2.0 * layers * constants.server_exchange
                    + work.link_bytes / device.domain / SERVER_LINK;
            }
        }
        if self.stages > 1.0 {
            // Stages hand on their results.
            let handed_on = self.part() * network.hidden * 2.0;
            seconds += (self.stages - 1.0) * (start + handed_on / (rate * self.devices));
        }
        seconds
    }

    /// Seconds that exchanges wait for the host.
    fn waiting(&self, network: &Language, constants: &DecodeTime) -> f64 {
        match self.era {
            Era::Y2024 => 2.0 * network.blocks * constants.exchange_2024 * self.devices.log2(),
            Era::Eager | Era::Y2025 | Era::Y2026 => 0.0,
        }
    }

    /// Seconds that software adds to a step whose arithmetic and transfers take `busy` seconds, apart from starting
    /// kernels.
    pub(in crate::serving) fn software(
        &self,
        network: &Language,
        device: &Device,
        constants: &DecodeTime,
        busy: f64,
    ) -> f64 {
        let layers = network.blocks;
        if self.era == Era::Eager {
            return (layers * EAGER_LAYER - busy).max(0.0);
        }
        let host = self.host(network, &self.work(network), device, constants);
        let routing =
            network.expert_layers() * Shares::new(device.generation, constants).expert_layer;
        host + routing + self.waiting(network, constants)
    }

    fn host(
        &self,
        network: &Language,
        work: &Work,
        device: &Device,
        constants: &DecodeTime,
    ) -> f64 {
        let requests = self.requests();
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
                    + constants.layer_2024 * network.blocks
                    + (sequence + constants.context_2024 * work.context) * self.part()
                    + constants.request_2024 * requests
            }
            Era::Y2025 => {
                let step = if blackwell {
                    constants.step_blackwell_2025
                } else {
                    constants.step_hopper_2025
                };
                let shared = if blackwell && self.devices < 2.0 && !network.has_windows() {
                    let long = (work.context / LONG_CONTEXT).min(1.0);
                    constants.long_context_blackwell * long.powi(2)
                } else {
                    0.0
                };
                step + constants.sequence_2025 * MANY * (self.part() / MANY).powf(SHARED_HOST)
                    + constants.request_2025 * requests
                    + shared
            }
            Era::Y2026 => {
                constants.step_2026
                    + constants.sequence_2026 * self.part()
                    + constants.request_2026 * requests
            }
        }
    }

    /// Seconds of one step, longer where a device that was not measured would exceed its power limit.
    pub fn time_in_limit(
        &self,
        network: &Language,
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
}
