//! Image and video generation on one device as a cost per image or video.

use super::notes::narrow_activations;
use super::words::images_time;
use super::{Part, Served, main_layer, with_standing};
use crate::digits::si;
use crate::hardware::Bound;
use crate::hardware::share::with_zeros;
use crate::hardware::{Cost, Explanation, Precision};
use crate::profile::ModelProfile;
use crate::serving::architecture::Shape;
use crate::serving::device::Device;
use crate::serving::diffusion::Generating;
use crate::serving::narrow::LinearFormat;
use crate::serving::predict::drawing_spread;
use crate::units::Joules;

impl Served<'_> {
    pub(super) fn images(&self, shape: &Shape) -> Option<Cost> {
        let scenario = self.request.scenario;
        let pipeline = shape.pipeline()?;
        let devices = f64::from(scenario.devices);
        let mut generating = Generating::new(shape, &pipeline, f64::from(scenario.batch), devices)?;
        if generating.transformer.is_some() {
            generating.linear = linear_format(self.request.profile, self.device);
        }
        let all = (
            &self.constants.diffusion_time,
            &self.constants.diffusion_energy,
            &self.constants.decode_energy,
        );
        let time = generating.time_in_limit(self.device, all);
        let energy = generating.energy(
            self.device,
            &self.constants.diffusion_energy,
            &self.constants.decode_energy,
            &time,
            time.total,
        );
        let joules = energy.total() / devices;
        let waiting = (time.total - time.denoise - time.exchange - time.decode).max(0.0);
        let passes = generating.steps * generating.passes * generating.batch / devices;
        let denoising = passes * (generating.pass.linear + generating.pass.attention);
        let decoding = generating.batch * generating.decoder / devices;
        let per_operation = energy.operations / devices / (denoising + decoding);
        let computing = |name, seconds, operations: f64| {
            let mut part = Part::new(name, seconds, Bound::Compute);
            part.operations = operations;
            part.energy.compute = Joules(operations * per_operation);
            part
        };
        let mut denoise = computing("denoising", time.denoise, denoising);
        let narrow = match generating.linear {
            LinearFormat::Fp8 => Precision::Fp8,
            LinearFormat::Int8 => Precision::Int8,
            LinearFormat::Half => Precision::Fp16,
        };
        denoise.precision = self.in_hardware(narrow);
        // In 16 bit, once per step.
        denoise.memory_bytes = 2.0 * generating.pass.parameters * generating.steps / devices;
        let mut exchange = Part::new(
            "exchange between devices",
            time.exchange,
            Bound::Interconnect,
        );
        exchange.energy.interconnect = Joules(energy.link / devices);
        let parts = with_standing(
            [
                denoise,
                exchange,
                computing("decoding and text", time.decode, decoding),
                Part::new("waiting for the host", waiting, Bound::Overhead),
            ],
            energy.standing / devices,
        );
        let spread = if pipeline.frames > 1 {
            self.constants.spread.video
        } else {
            self.constants.spread.image
        };
        let explanation = self.request.explained(|| Explanation {
            time: images_time(&generating, &time, self),
            energy: format!(
                "per batch of {}: {devices} device(s) at {} of at most {} for {}, of which {} operations; fitted to published measurements of {}",
                scenario.batch,
                si(joules / time.total, "W"),
                si(self.device.power_limit, "W"),
                si(time.total, "s"),
                si(energy.operations, "J"),
                self.fitted_to(),
            ),
            limit: String::new(),
            stretch: 0.0,
            notes: self.image_notes(&generating),
        });
        let spread = drawing_spread(self.device, spread);
        Some(self.cost(time.total, &parts, spread, explanation))
    }

    /// What image generation makes of a recipe.
    fn image_notes(&self, generating: &Generating) -> Vec<String> {
        let mut notes = Vec::new();
        let Some(layer) = main_layer(self.request.profile) else {
            return notes;
        };
        if with_zeros(self.request).next().is_some() {
            notes.push(
                "zeros are multiplied like any number: they save no time and no energy".to_owned(),
            );
        }
        let narrow = layer.weight_bits < 16;
        notes.extend(match generating.linear {
            LinearFormat::Fp8 => Some(
                "linear layers are computed in FP8, the rest in 16 bit: attention gains nothing".to_owned(),
            ),
            LinearFormat::Int8 => Some(
                "linear layers are computed as 8-bit integers, the rest in 16 bit: attention gains nothing".to_owned(),
            ),
            LinearFormat::Half if narrow && generating.transformer.is_none() => Some(
                "convolutions are computed in 16 bit: narrower weights save memory, not time (no narrower U-Net was \
                 measured to fit to)"
                    .to_owned(),
            ),
            LinearFormat::Half if narrow => Some(
                "narrow weights are unpacked and multiplied in 16 bit: they save memory, not time; only 8-bit weights \
                 with 8-bit activations were measured to be faster, and 4-bit kernels made for single tokens to take \
                 4 to 5 times as long"
                    .to_owned(),
            ),
            LinearFormat::Half => None,
        });
        let computed = match generating.linear {
            LinearFormat::Half => 16,
            LinearFormat::Fp8 | LinearFormat::Int8 => 8,
        };
        notes.extend(narrow_activations(layer.activation_bits, computed));
        notes
    }
}

/// The format in which linear layers of a denoising transformer are computed.
fn linear_format(profile: &ModelProfile, device: &Device) -> LinearFormat {
    let eight = main_layer(profile).is_some_and(|l| l.weight_bits == 8 && l.activation_bits <= 8);
    match eight {
        true if device.fp8.is_some() => LinearFormat::Fp8,
        true => LinearFormat::Int8,
        false => LinearFormat::Half,
    }
}
