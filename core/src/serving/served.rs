//! From the serving model to a footprint: networks known by their shape on devices that published measurements cover.

mod images;
mod words;

use super::architecture::{Shape, Transformer};
use super::constants::{Constants, Spread};
use super::decode::{Serving, WeightFormat};
use super::device::{self, Device, DeviceKind};
use super::predict::{UNSEEN_DEVICE, around};
use super::step::{StepEnergy, StepTime, Work};
use crate::error::{Error, Result};
use crate::footprint::{Bound, EnergyBreakdown, LayerCost};
use crate::hardware::{Cost, Explanation, HardwareTarget, Machine, Precision, Processor, Request};
use crate::profile::{LayerProfile, ModelProfile};
use crate::recipe::Pattern;
use crate::scenario::Scenario;
use crate::units::{Bytes, Joules, Range, Seconds};

use words::{language_energy, language_time};

/// Answers longer than this are counted as less than half written on average; see [`Serving::work`].
const SHORT_ANSWER: f64 = 1500.0;
/// Share of the peak of 8-bit integers that products of both sides quantised reach against 16 bit; as for FP8, assumed.
const INT8_PEAK: f64 = 0.6;
/// Bits that say where one kept weight of a 2:4 group lies.
const INDEX_BITS: f64 = 2.0;

/// What the fitted serving model says a network costs on a device: `None` where it does not cover the network, the
/// device or the machine that is asked about. Whether the network fits is the caller's to check.
///
/// # Errors
/// [`crate::Error::File`] when the constants that ship are broken.
pub(crate) fn cost(
    target: &HardwareTarget,
    processor: &Processor,
    request: &Request<'_>,
    weight_bytes: f64,
) -> Result<Option<Cost>> {
    let Some(network) = &request.profile.network else {
        return Ok(None);
    };
    let Some(device) = device::of_hardware(&target.id)? else {
        return Ok(None);
    };
    if request.machine != Machine::Real || device.kind != DeviceKind::Gpu {
        return Ok(None);
    }
    let constants = Constants::shipped()?;
    let case = Served {
        target,
        processor,
        request,
        device,
        constants,
        weight_bytes,
    };
    if request.scenario.stages > 1 && network.shape.pipeline().is_some() {
        return Err(Error::Infeasible(
            "image generation in pipeline stages is not modelled; use 1 stage".to_owned(),
        ));
    }
    Ok(match &network.shape {
        Shape::Transformer(transformer) if !transformer.encoder => Some(case.language(transformer)),
        Shape::DiffusionTransformer(_) | Shape::UNet(_) => case.images(&network.shape),
        Shape::Transformer(_) | Shape::Layers(_) => None,
    })
}

/// Whether a model on a device is costed by the serving model.
///
/// # Errors
/// [`crate::Error::File`] when the table of its devices is broken.
pub(crate) fn serves(hardware: &str, profile: &ModelProfile) -> Result<bool> {
    let served = profile
        .network
        .as_ref()
        .is_some_and(|network| match &network.shape {
            Shape::Transformer(transformer) => !transformer.encoder,
            Shape::DiffusionTransformer(_) | Shape::UNet(_) => true,
            Shape::Layers(_) => false,
        });
    Ok(served && covers(hardware)?)
}

/// Whether language models and denoisers on a device are costed by the serving model.
///
/// # Errors
/// [`crate::Error::File`] when the table of its devices is broken.
pub(crate) fn covers(hardware: &str) -> Result<bool> {
    Ok(device::of_hardware(hardware)?.is_some_and(|device| device.kind == DeviceKind::Gpu))
}

struct Served<'a> {
    target: &'a HardwareTarget,
    processor: &'a Processor,
    request: &'a Request<'a>,
    device: &'a Device,
    constants: &'a Constants,
    weight_bytes: f64,
}

/// One part of the time of a batch on one device, with the work and energy that go with it.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    seconds: f64,
    operations: f64,
    memory_bytes: f64,
    energy: EnergyBreakdown,
    bound: Bound,
}

impl Part {
    const fn new(name: &'static str, seconds: f64, bound: Bound) -> Self {
        Self {
            name,
            seconds,
            operations: 0.0,
            memory_bytes: 0.0,
            energy: EnergyBreakdown {
                compute: Joules(0.0),
                on_chip: Joules(0.0),
                memory: Joules(0.0),
                static_power: Joules(0.0),
                interconnect: Joules(0.0),
            },
            bound,
        }
    }
}

/// Parts with the energy of power that flows all the time shared out by their time.
fn with_standing<const N: usize>(mut parts: [Part; N], standing: f64) -> [Part; N] {
    let seconds: f64 = parts.iter().map(|part| part.seconds).sum();
    for part in &mut parts {
        part.energy.static_power = Joules(standing * part.seconds / seconds.max(f64::MIN_POSITIVE));
    }
    parts
}

impl Served<'_> {
    fn language(&self, network: &Transformer) -> Cost {
        let scenario = self.request.scenario;
        let format = format(self.request.profile, self.device);
        let serving = serving(scenario, format);
        let mut device = self.device.clone();
        let both_quantised = format == WeightFormat::Int8
            && main_layer(self.request.profile).is_some_and(|layer| layer.activation_bits <= 8);
        if both_quantised {
            device.fp16 = device.fp16.max(device.int8 * INT8_PEAK);
        }
        let mut work = serving.work(network);
        let skipped = self.two_of_four();
        if let Some(speedup) = skipped {
            let bits = main_layer(self.request.profile).map_or(16.0, |l| f64::from(l.weight_bits));
            let kept = 0.5 * (bits + INDEX_BITS) / bits;
            work.body_bytes *= kept;
            work.expert_bytes *= kept;
            work.operations /= speedup;
            work.prompt /= speedup;
        }
        let time = serving.time(network, &work, &device, &self.constants.decode_time);
        let seconds = time.total();
        let energy = serving.energy(
            network,
            &work,
            &device,
            &self.constants.decode_energy,
            seconds,
            time.host,
        );
        let parts = language_parts(&time, &energy, &work.scaled(serving.busy()), &device);
        let explanation = self.request.explained(|| Explanation {
            time: language_time(&serving, &work, &time, self),
            energy: language_energy(&serving, &energy, self),
            notes: self.notes(&parts, format, skipped.is_some()),
        });
        self.cost(
            seconds,
            &parts,
            self.constants.spread.decode(self.device.generation),
            explanation,
        )
    }

    /// Figures of a batch on one device as a cost per unit of work, with the ranges of the fit.
    fn cost(
        &self,
        seconds: f64,
        parts: &[Part],
        mut spread: Spread,
        explanation: Explanation,
    ) -> Cost {
        let scenario = self.request.scenario;
        let batch = f64::from(scenario.batch);
        let devices = f64::from(scenario.devices);
        if !self.device.fitted {
            spread.energy *= UNSEEN_DEVICE;
            spread.throughput *= UNSEEN_DEVICE;
        }
        let all = devices / batch;
        let layers: Vec<LayerCost> = parts
            .iter()
            .filter(|part| part.seconds > 0.0)
            .map(|part| LayerCost {
                layer: part.name.to_owned(),
                time: Seconds(part.seconds / batch),
                energy: part.energy.scaled(all),
                operations: part.operations * all,
                memory_bytes: Bytes(part.memory_bytes * all),
                on_chip_bytes: Bytes(0.0),
                precision: Some(Precision::Fp16),
                bound: part.bound,
            })
            .collect();
        let breakdown = layers
            .iter()
            .fold(EnergyBreakdown::default(), |sum, layer| {
                sum.plus(&layer.energy)
            });
        let energy = around(breakdown.total().0, spread.energy).map(Joules);
        let latency: Range<Seconds> = around(seconds, spread.throughput).map(Seconds);
        Cost {
            time: latency.map(|seconds| Seconds(seconds.0 / batch)),
            latency,
            energy,
            breakdown,
            executed: layers.iter().map(|layer| layer.operations).sum::<f64>() / 2.0,
            layers,
            devices: u64::from(scenario.devices),
            weight_bytes: self.weight_bytes,
            explanation,
        }
    }

    /// How much faster arithmetic on the 2:4 pattern is here, where the weights have it.
    fn two_of_four(&self) -> Option<f64> {
        let layer = main_layer(self.request.profile)?;
        let pattern = layer.pattern == Some(Pattern::TwoOfFour) && layer.sparsity() > 0.49;
        let speedup = self.processor.two_of_four.as_ref()?;
        pattern.then_some(speedup.typical)
    }

    fn fitted_to(&self) -> String {
        if self.device.fitted {
            self.target.name.clone()
        } else {
            format!(
                "other devices of its generation, ranges {UNSEEN_DEVICE} times as wide ({} was not measured)",
                self.target.name
            )
        }
    }

    fn notes(&self, parts: &[Part], format: WeightFormat, skipped: bool) -> Vec<String> {
        let mut notes = vec![longest(parts)];
        let profile = self.request.profile;
        if let Some(layer) = main_layer(profile) {
            if layer.sparsity() > 0.0 && !skipped {
                notes.push(match layer.pattern {
                    Some(Pattern::TwoOfFour) => {
                        "this GPU has no 2:4 arithmetic, so the zeros give it nothing".to_owned()
                    }
                    _ => {
                        "unstructured zeros give this GPU nothing: it multiplies by them".to_owned()
                    }
                });
            }
            let both = layer.activation_bits <= 8;
            notes.extend(match format {
                WeightFormat::Half => None,
                WeightFormat::Mxfp4 => Some(
                    "experts are stored in 4 bits and computed in 16: fewer bytes, no fewer operations"
                        .to_owned(),
                ),
                WeightFormat::Fp8 => Some(
                    "weights and activations are FP8; quantising activations costs time in every layer, which only \
                     large batches pay back"
                        .to_owned(),
                ),
                WeightFormat::Int8 if both => {
                    Some("weights and activations are computed as 8-bit integers".to_owned())
                }
                WeightFormat::Int8 => Some(
                    "8-bit weights are computed in 16 bit: fewer bytes, no fewer operations".to_owned(),
                ),
                WeightFormat::Packed(bits) => Some(format!(
                    "{bits}-bit weights are computed in 16 bit: fewer bytes, no fewer operations, and unpacking them \
                     costs energy"
                )),
            });
        }
        notes
    }
}

fn language_parts(time: &StepTime, energy: &StepEnergy, work: &Work, device: &Device) -> [Part; 6] {
    let weight_bytes = work.body_bytes + work.expert_bytes;
    let bound = if work.operations / device.fp16 > weight_bytes / device.bandwidth {
        Bound::Compute
    } else {
        Bound::Memory
    };
    let products = work.operations + work.padding;
    let operations = products + work.attention + work.prompt;
    let per_operation = energy.arithmetic / operations.max(f64::MIN_POSITIVE);
    let part = |name, seconds, operations: f64, bytes, joules: f64, bound| {
        let mut part = Part::new(name, seconds, bound);
        part.operations = operations;
        part.memory_bytes = bytes;
        part.energy.compute = Joules(operations * per_operation);
        part.energy.memory = Joules(joules);
        part
    };
    let mut launch = Part::new(
        "starting kernels and converting formats",
        time.launch,
        Bound::Overhead,
    );
    launch.energy.compute = Joules(energy.convert);
    let mut exchange = Part::new(
        "exchange between devices",
        time.exchange,
        Bound::Interconnect,
    );
    exchange.energy.interconnect = Joules(energy.link);
    with_standing(
        [
            part(
                "weights of all layers",
                time.weights,
                products,
                weight_bytes,
                energy.weights,
                bound,
            ),
            part(
                "keys and values",
                time.cache,
                work.attention,
                work.cache_bytes,
                energy.cache,
                Bound::Memory,
            ),
            part(
                "prompts",
                time.prompt,
                work.prompt,
                0.0,
                0.0,
                Bound::Compute,
            ),
            launch,
            exchange,
            Part::new("waiting for the host", time.host, Bound::Overhead),
        ],
        energy.standing,
    )
}

/// What takes the longest, in a clause.
fn longest(parts: &[Part]) -> String {
    let total: f64 = parts.iter().map(|part| part.seconds).sum();
    parts
        .iter()
        .max_by(|a, b| a.seconds.total_cmp(&b.seconds))
        .map_or_else(String::new, |part| {
            let share = 100.0 * part.seconds / total.max(f64::MIN_POSITIVE);
            let limit = match part.bound {
                Bound::Compute => "arithmetic",
                Bound::Memory => "memory bandwidth",
                Bound::Overhead => "overhead",
                Bound::Interconnect => "the link",
            };
            format!(
                "{share:.0} % of the time goes to {}, bound by {limit}",
                part.name
            )
        })
}

/// The compressible layer with the most multiply-accumulates outside the experts.
fn main_layer(profile: &ModelProfile) -> Option<&LayerProfile> {
    profile
        .layers
        .iter()
        .filter(|layer| layer.layer.compressible && layer.layer.execution.experts.is_none())
        .max_by(|a, b| a.layer.macs.total_cmp(&b.layer.macs))
}

/// The format of serving software that comes nearest to how the weights are stored.
fn format(profile: &ModelProfile, device: &Device) -> WeightFormat {
    let Some(main) = main_layer(profile) else {
        return WeightFormat::Half;
    };
    let experts = profile
        .layers
        .iter()
        .find(|layer| layer.layer.execution.experts.is_some());
    match main.weight_bits {
        16.. if experts.is_some_and(|experts| experts.weight_bits < 16) => WeightFormat::Mxfp4,
        16.. => WeightFormat::Half,
        8.. if main.activation_bits <= 8 && device.fp8.is_some() => WeightFormat::Fp8,
        8.. => WeightFormat::Int8,
        bits => WeightFormat::Packed(bits),
    }
}

fn serving(scenario: &Scenario, format: WeightFormat) -> Serving {
    let context = f64::from(scenario.context);
    let (prompt, output) = if scenario.answer_tokens > 0 {
        (
            f64::from(scenario.prompt_tokens),
            f64::from(scenario.answer_tokens),
        )
    } else {
        // No prompt, and an answer whose mean context is the one asked for.
        let written = if 2.0 * context > SHORT_ANSWER {
            0.4
        } else {
            0.5
        };
        (0.0, context / written)
    };
    Serving {
        batch: f64::from(scenario.batch),
        prompt,
        output,
        devices: f64::from(scenario.tensor_devices()),
        stages: f64::from(scenario.stages),
        attention_groups: 1.0,
        format,
        era: scenario.era,
    }
}
