//! Generating images or videos: time and energy of a batch.

use super::architecture::Shape;
use super::constants::{DecodeEnergy, DiffusionEnergy, DiffusionTime};
use super::denoiser::{DiffusionTransformer, PassCount, Pipeline, decoder_operations};
use super::device::{Device, Generation};
use super::narrow::LinearFormat;
use super::rates::{HELD, Rates, reference_power, throttle};

/// Operations of a decoder in 32 bits against the same in 16 bit: convolutions run on the matrix units at half the rate
/// (TF32).
const DECODING_IN_32_BITS: f64 = 2.0;

/// What is generated, and on how many devices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Generating {
    /// Images or videos at once.
    pub batch: f64,
    /// Denoising steps.
    pub steps: f64,
    /// Passes per step.
    pub passes: f64,
    /// Devices that share one batch.
    pub devices: f64,
    /// Devices that exchange heads (Ulysses).
    pub ulysses: f64,
    /// Devices that pass keys and values around (ring attention).
    pub ring: f64,
    /// Whether the software is of 2025.
    pub recent: bool,
    /// One pass for one image or video.
    pub pass: PassCount,
    /// Width of the residual stream and of a head, and layers; `None` for a U-Net.
    pub transformer: Option<(f64, f64, f64)>,
    /// Operations of decoding one image or video, counted in 16 bit.
    pub decoder: f64,
    /// Operations of encoding its text.
    pub text: f64,
    /// Format of the linear layers of a transformer.
    pub linear: LinearFormat,
}

impl Generating {
    /// A batch by the steps of a pipeline, on as many devices as given, with today's software; `None` where the shape is
    /// not that of a denoiser.
    pub fn new(shape: &Shape, pipeline: &Pipeline, batch: f64, devices: f64) -> Option<Self> {
        let (height, width, frames) = (pipeline.height, pipeline.width, pipeline.frames);
        let (pass, transformer) = match shape {
            Shape::DiffusionTransformer(network) => (
                network.count(height, width, frames),
                Some(Self::widths(network)),
            ),
            Shape::UNet(network) => (network.count(height, width), None),
            Shape::Transformer(_) | Shape::Layers(_) | Shape::Listed(_) => return None,
        };
        let slower = match shape {
            Shape::UNet(network) if network.decodes_in_32_bits() => DECODING_IN_32_BITS,
            _ => 1.0,
        };
        Some(Self {
            batch,
            steps: f64::from(pipeline.steps),
            passes: f64::from(pipeline.guidance_passes),
            devices,
            ulysses: devices,
            ring: 1.0,
            recent: true,
            pass,
            transformer,
            decoder: slower * decoder_operations(height, width, frames),
            text: 2.0 * pipeline.text_encoder_parameters * f64::from(pipeline.text_tokens),
            linear: LinearFormat::Half,
        })
    }

    /// A transformer's widths, for [`Generating::transformer`].
    fn widths(network: &DiffusionTransformer) -> (f64, f64, f64) {
        let hidden = f64::from(network.hidden);
        (
            hidden,
            hidden / f64::from(network.heads.max(1)),
            network.layers(),
        )
    }
}

/// Seconds of a batch by what takes them, and the bytes that each device sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchTime {
    /// The batch.
    pub total: f64,
    /// Denoising on the devices, had nothing to be waited for.
    pub denoise: f64,
    /// Exchange between devices, had nothing to be waited for.
    pub exchange: f64,
    /// Decoding and text, which devices do not share.
    pub decode: f64,
    /// Bytes that each device sends.
    pub link_bytes: f64,
}

impl BatchTime {
    /// The same in proportion; bytes stay.
    fn scaled(self, factor: f64) -> Self {
        Self {
            total: self.total * factor,
            denoise: self.denoise * factor,
            exchange: self.exchange * factor,
            decode: self.decode * factor,
            link_bytes: self.link_bytes,
        }
    }
}

/// Joules of a batch, all devices together, by what takes them; they add up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchEnergy {
    /// Power that flows whatever is done, and while kernels run.
    pub standing: f64,
    /// Operations.
    pub operations: f64,
    /// Bytes over links.
    pub link: f64,
}

impl BatchEnergy {
    /// The batch.
    pub fn total(&self) -> f64 {
        self.standing + self.operations + self.link
    }

    /// The same in proportion, where it exceeds what the power limit allows.
    fn held(self, most: f64) -> Self {
        let factor = (most / self.total()).min(1.0);
        Self {
            standing: self.standing * factor,
            operations: self.operations * factor,
            link: self.link * factor,
        }
    }
}

/// Share of the peak that text encoders reach (assumed; they take under 1 % of the time).
const TEXT_EFFICIENCY: f64 = 0.4;
/// Width of head at which attention fills the matrix units.
const FULL_HEAD: f64 = 128.0;

impl Generating {
    /// Seconds of a batch.
    pub fn time(&self, device: &Device, constants: &DiffusionTime) -> BatchTime {
        let device = &*device.drawing();
        let images = self.batch * self.passes;
        let shared = self.devices * device.fp16;
        let (gpu, link_bytes, hops) = match self.transformer {
            None => {
                let share = match device.generation {
                    Generation::Ampere => constants.unet_ampere,
                    Generation::Hopper => constants.unet_hopper,
                    // No U-Net was measured there: as linear layers lose from Hopper to Blackwell.
                    Generation::Blackwell => {
                        constants.unet_hopper * constants.linear_blackwell / constants.linear_hopper
                    }
                };
                let operations = self.pass.linear + self.pass.attention;
                (images * operations / share / shared, 0.0, 0.0)
            }
            Some((hidden, head, layers)) => {
                let (linear, attention) = match device.generation {
                    Generation::Ampere => (constants.linear_ampere, constants.attention_ampere),
                    Generation::Hopper => (constants.linear_hopper, constants.attention_hopper),
                    Generation::Blackwell => {
                        (constants.linear_blackwell, constants.attention_blackwell)
                    }
                };
                let filled = (head / FULL_HEAD).min(1.0).powf(constants.narrow_heads);
                let gpu = images
                    * (self.pass.linear / (linear * self.linear.speed())
                        + self.pass.attention / (attention * filled))
                    / shared
                    + images * self.pass.tokens * layers * hidden * constants.activations
                        / (self.devices * device.bandwidth);
                if self.devices < 2.0 {
                    (gpu, 0.0, 0.0)
                } else {
                    let bytes = images
                        * layers
                        * self.pass.tokens
                        * hidden
                        * 2.0
                        * (4.0 * (self.ulysses - 1.0) / self.ulysses + 2.0 * (self.ring - 1.0))
                        / self.devices;
                    let exchange = if self.ulysses > 1.0 {
                        constants.exchange
                    } else {
                        0.0
                    };
                    let hops = layers * ((self.ring - 1.0) * constants.ring_hop + exchange);
                    (gpu, bytes, hops)
                }
            }
        };
        let exchange = link_bytes / (device.link * constants.link);
        let block = if self.recent {
            constants.block_2025
        } else {
            constants.block_2024
        };
        let host = self.pass.blocks * block + hops;
        let step = ((gpu + exchange).powi(4) + host.powi(4)).powf(0.25);
        let decode = self.batch * self.decoder / (device.fp16 * constants.decoder)
            + self.batch * self.passes * self.text / (device.fp16 * TEXT_EFFICIENCY);
        BatchTime {
            total: self.steps * step + decode,
            denoise: self.steps * gpu,
            exchange: self.steps * exchange,
            decode,
            link_bytes: self.steps * link_bytes,
        }
    }

    /// Joules of a batch, all devices together, over `seconds`.
    pub fn energy(
        &self,
        device: &Device,
        constants: &DiffusionEnergy,
        decode: &DecodeEnergy,
        time: &BatchTime,
        seconds: f64,
    ) -> BatchEnergy {
        self.uncapped(device, constants, decode, time, seconds)
            .held(HELD * device.power_limit * self.devices * seconds)
    }

    /// Seconds of a batch, longer where a device that was not measured would exceed its power limit.
    pub fn time_in_limit(
        &self,
        device: &Device,
        constants: (&DiffusionTime, &DiffusionEnergy, &DecodeEnergy),
    ) -> BatchTime {
        let (times, energies, decode) = constants;
        let time = self.time(device, times);
        let joules = self
            .uncapped(device, energies, decode, &time, time.total)
            .total();
        let device = &*device.drawing();
        let idle = Rates::new(device, decode).idle;
        time.scaled(throttle(device, idle, joules / self.devices, time.total))
    }

    /// Joules of a batch without a power limit.
    fn uncapped(
        &self,
        device: &Device,
        constants: &DiffusionEnergy,
        decode: &DecodeEnergy,
        time: &BatchTime,
        seconds: f64,
    ) -> BatchEnergy {
        let device = &*device.drawing();
        let scale = device.power_limit / reference_power(device.generation);
        let (active, operation) = match device.generation {
            Generation::Ampere => (constants.active_ampere, constants.operation_ampere),
            Generation::Hopper => (constants.active_hopper, constants.operation_hopper),
            Generation::Blackwell => (constants.active_blackwell, constants.operation_blackwell),
        };
        let passes = self.steps * self.batch * self.passes;
        let narrow = match self.transformer {
            Some(_) => self.linear.energy(),
            None => 1.0,
        };
        let operations =
            passes * (self.pass.linear * narrow + self.pass.attention) + self.batch * self.decoder;
        let idle = Rates::new(device, decode).idle;
        BatchEnergy {
            standing: self.devices * idle * seconds
                + active
                    * scale
                    * (self.devices * (time.denoise + time.exchange).min(seconds) + time.decode),
            operations: operation * operations,
            link: constants.link_byte * time.link_bytes * self.devices,
        }
    }
}
