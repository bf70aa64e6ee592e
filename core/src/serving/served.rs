//! From the serving model to a footprint: networks known by their shape on devices that published measurements cover.

mod images;
mod notes;
mod parts;
mod words;

use std::sync::Arc;

use super::architecture::{Architecture, Mixer, Shape};
use super::constants::{Constants, Spread};
use super::decode::Serving;
use super::device::{self, Device, DeviceKind};
use super::format::{Engine, Era, WeightFormat};
use super::predict::{UNSEEN_DEVICE, around, language_spread};
use crate::error::{Error, Result};
use crate::graph::Language;
use crate::hardware::{
    self, Cost, Explanation, HardwareTarget, Machine, Precision, Processor, Request,
};
use crate::hardware::{Bound, EnergyBreakdown, LayerCost, TimeBreakdown};
use crate::profile::{LayerProfile, ModelProfile};
use crate::recipe::Pattern;
use crate::scenario::Scenario;
use crate::units::{Bytes, Joules, Range, Seconds};

use parts::{CACHE, by_layer, language_parts};
use words::{language_energy, language_time};

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
    era: Era,
    weight_bytes: f64,
) -> Result<Option<Cost>> {
    let Some(network) = &request.profile.network else {
        return Ok(None);
    };
    let Some(device) = device::of_hardware(target)? else {
        return Ok(None);
    };
    if request.machine != Machine::Real || !device.covers(&network.shape) {
        return Ok(None);
    }
    let constants = Constants::shipped()?;
    let case = Served {
        target,
        processor,
        request,
        device: &device,
        constants,
        era,
        weight_bytes,
    };
    if request.scenario.stages > 1 && network.shape.pipeline().is_some() {
        return Err(Error::Infeasible(
            "image generation in pipeline stages is not modelled; use 1 stage".to_owned(),
        ));
    }
    Ok(match &network.shape {
        Shape::Transformer(_) => network.language().map(|language| case.language(language)),
        shape => case.images(shape),
    })
}

/// The device whose software a device without measurements is taken to run.
const SOFTWARE_OF: &str = "nvidia-h100-sxm";
/// How the time of that software is taken to lie between none, as with programs compiled ahead, and more than there
/// (assumed).
const SOFTWARE_RANGE: Range<f64> = Range {
    low: 0.0,
    typical: 1.0,
    high: 2.0,
};

/// Seconds that serving software adds to a step of a language model on a device that the serving model does not cover
/// and whose arithmetic and transfers take `busy` seconds: scheduling, sampling and streaming, and routing to experts,
/// as fitted on the H100; starting kernels is the device's own. `None` for other work.
///
/// # Errors
/// [`crate::Error::File`] when the constants that ship are broken.
pub(crate) fn software(
    request: &Request<'_>,
    era: Era,
    busy: f64,
) -> Result<Option<Range<Seconds>>> {
    let writes = |network: &&Arc<Architecture>| matches!(&network.shape, Shape::Transformer(t) if !t.encoder);
    let network = request.profile.network.as_ref().filter(writes);
    let Some(network) = network.and_then(|network| network.language()) else {
        return Ok(None);
    };
    let Some(device) = device::of_hardware(hardware::find(SOFTWARE_OF)?)? else {
        return Ok(None);
    };
    let constants = &Constants::shipped()?.decode_time;
    let serving = serving(request.scenario, era, WeightFormat::Half, 0.0);
    let seconds = serving.software(network, &device, constants, busy);
    Ok(Some(SOFTWARE_RANGE.map(|factor| Seconds(factor * seconds))))
}

/// How much of a prediction for a network on a device was fitted to measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// This device was measured with networks of this kind.
    Device,
    /// It was, with networks counted as layers of attention; this one has layers with a state.
    Relatives,
    /// Other devices of its generation were.
    Generation,
    /// The model of its class, from data sheets and assumptions.
    Class,
}

/// What stands behind the prediction for a network on a device under a serving stack.
///
/// # Errors
/// [`crate::Error::File`] when the table of devices is broken.
pub(crate) fn fit_of(network: &Architecture, target: &HardwareTarget) -> Result<Fit> {
    let device = device::of_hardware(target)?;
    let covering = device.filter(|device| device.covers(&network.shape));
    Ok(match covering {
        Some(device) if device.fitted && has_state(network) => Fit::Relatives,
        Some(device) if device.fitted => Fit::Device,
        Some(_) => Fit::Generation,
        None => Fit::Class,
    })
}

/// Whether some of a language model's layers keep a state instead of keys and values: what was fitted was counted without.
fn has_state(network: &Architecture) -> bool {
    let blocks = match &network.shape {
        Shape::Transformer(transformer) => transformer.blocks.as_slice(),
        _ => &[],
    };
    let keeps = |mixer: &Mixer| matches!(mixer, Mixer::State(_) | Mixer::Compressed(_));
    blocks.iter().any(|blocks| blocks.mixers.iter().any(keeps))
}

/// Whether language models and denoisers on a device are costed by the serving model.
///
/// # Errors
/// [`crate::Error::File`] when the table of its devices is broken.
pub(crate) fn covers(target: &HardwareTarget) -> Result<bool> {
    Ok(device::of_hardware(target)?.is_some_and(|device| device.kind == DeviceKind::Gpu))
}

struct Served<'a> {
    target: &'a HardwareTarget,
    processor: &'a Processor,
    request: &'a Request<'a>,
    device: &'a Device,
    constants: &'a Constants,
    era: Era,
    weight_bytes: f64,
}

/// One part of the time of a batch on one device, with the work and energy that go with it.
#[derive(Clone, Copy)]
struct Part<'a> {
    name: &'a str,
    seconds: f64,
    operations: f64,
    memory_bytes: f64,
    energy: EnergyBreakdown,
    bound: Bound,
    /// The format of its arithmetic.
    precision: Precision,
}

impl<'a> Part<'a> {
    const fn new(name: &'a str, seconds: f64, bound: Bound) -> Self {
        Self {
            name,
            seconds,
            precision: Precision::Fp16,
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
fn with_standing<const N: usize>(mut parts: [Part<'_>; N], standing: f64) -> [Part<'_>; N] {
    let seconds: f64 = parts.iter().map(|part| part.seconds).sum();
    for part in &mut parts {
        part.energy.static_power = Joules(standing * part.seconds / seconds.max(f64::MIN_POSITIVE));
    }
    parts
}

impl Served<'_> {
    fn language(&self, network: &Language) -> Cost {
        let scenario = self.request.scenario;
        let format = format(self.request.profile, self.device);
        // Bytes of a weight beside its code.
        let scale = main_layer(self.request.profile).map_or(0.0, |l| {
            let bitmap = if half_zero(l) && self.processor.two_of_four.is_some() {
                0.0
            } else {
                l.bitmap_bits(f64::from(l.weight_bits)) / 8.0
            };
            (2.0 * l.scales as f64 + bitmap) / l.layer.weights().max(1) as f64
        });
        // Experts in 4 bits are MXFP4 in the catalogue; a file says what they are.
        let narrow = narrow_experts(self.request.profile);
        let own = self.request.profile.network.as_ref();
        let floating = own
            .and_then(|network| network.formats.as_ref())
            .is_none_or(|formats| formats.scheme.contains("fp4"));
        let serving = Serving {
            mxfp4_experts: narrow && floating,
            integer_experts: narrow && !floating,
            ..serving(scenario, self.era, format, scale)
        };
        let mut device = self.device.clone();
        let both_quantised = format == WeightFormat::Int8
            && main_layer(self.request.profile).is_some_and(|layer| layer.activation_bits <= 8);
        if both_quantised {
            device.fp16 = device.fp16.max(device.int8 * INT8_PEAK);
        }
        let mut work = serving.work(network);
        if let Some(speedup) = self.two_of_four() {
            let bits = main_layer(self.request.profile).map_or(16.0, |l| f64::from(l.weight_bits));
            let kept = 0.5 * (bits + INDEX_BITS) / bits;
            work.body_bytes *= kept;
            work.expert_bytes *= kept;
            work.operations /= speedup;
            work.expert_operations /= speedup;
            work.prompt /= speedup;
            work.expert_prompt /= speedup;
            work.prompt_attention /= speedup;
        }
        let both = (&self.constants.decode_time, &self.constants.decode_energy);
        let time = serving.time_in_limit(network, &work, &device, both);
        let seconds = time.total();
        let energy = serving.energy(
            network,
            &work,
            &device,
            &self.constants.decode_energy,
            seconds,
            time.host,
        );
        let mut parts = language_parts(&time, &energy, &work.scaled(serving.busy()), &device);
        let precision = match format {
            WeightFormat::Fp8 => Precision::Fp8,
            WeightFormat::Int8 if both_quantised => Precision::Int8,
            _ => Precision::Fp16,
        };
        // Attention stays in 16 bit.
        for part in parts.iter_mut().filter(|part| part.name != CACHE) {
            part.precision = self.in_hardware(precision);
        }
        let explanation = self.request.explained(|| Explanation {
            time: language_time(&serving, &work, &time, self),
            energy: language_energy(&serving, &energy, self),
            limit: String::new(),
            stretch: 0.0,
            notes: self.notes(format, both_quantised),
        });
        self.cost(
            seconds,
            &by_layer(
                &parts,
                self.request.profile,
                &work.scaled(serving.busy()),
                &device,
            ),
            language_spread(self.device, self.era, self.constants),
            explanation,
        )
    }

    /// Figures of a batch on one device as a cost per unit of work, with the ranges of the fit.
    fn cost(
        &self,
        seconds: f64,
        parts: &[Part<'_>],
        spread: Spread,
        explanation: Explanation,
    ) -> Cost {
        let scenario = self.request.scenario;
        let batch = f64::from(scenario.batch);
        let devices = f64::from(scenario.devices);
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
                precision: (part.operations > 0.0).then_some(part.precision),
                time_by: TimeBreakdown::all(part.bound, Seconds(part.seconds / batch)),
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
        let speedup = self.processor.two_of_four.as_ref()?;
        half_zero(layer).then_some(speedup.typical)
    }

    /// A format where the device's file has it, else 16 bit, so that layers can be drawn under its peak.
    fn in_hardware(&self, format: Precision) -> Precision {
        if self.processor.peak.contains_key(&format) {
            format
        } else {
            Precision::Fp16
        }
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
}

/// The compressible layers outside the experts.
fn body(profile: &ModelProfile) -> impl Iterator<Item = &LayerProfile> {
    let layers = profile.layers.iter();
    layers.filter(|layer| layer.layer.compressible && layer.layer.execution.experts.is_none())
}

/// The compressible layer with the most multiply-accumulates outside the experts, among those of the width and pattern that
/// most of these are done in.
fn main_layer(profile: &ModelProfile) -> Option<&LayerProfile> {
    let kind = |layer: &LayerProfile| (layer.weight_bits, half_zero(layer));
    let mut work: Vec<((u8, bool), f64)> = Vec::new();
    for layer in body(profile) {
        match work.iter_mut().find(|(known, _)| *known == kind(layer)) {
            Some((_, macs)) => *macs += layer.layer.macs,
            None => work.push((kind(layer), layer.layer.macs)),
        }
    }
    let (most, _) = work.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let same = body(profile).filter(|layer| kind(layer) == most);
    same.max_by(|a, b| a.layer.macs.total_cmp(&b.layer.macs))
}

/// That other widths, or another pattern, than those of most work count as if they were like it: of layers outside the
/// experts, and of experts among themselves.
fn mixed_widths(profile: &ModelProfile) -> Option<String> {
    let (main, pattern) = main_layer(profile).map(|l| (l.weight_bits, half_zero(l)))?;
    let of_experts = if narrow_experts(profile) { 4 } else { main };
    let mut others = profile.layers.iter().filter(|layer| {
        let bits = match layer.layer.execution.experts {
            Some(_) => of_experts,
            None => main,
        };
        let like = layer.weight_bits == bits && half_zero(layer) == pattern;
        layer.layer.compressible && !like
    });
    let first = others.next()?;
    let (layer, more) = (&first.layer.name, others.count());
    let which = match more {
        0 => layer.clone(),
        more => format!("{layer} and {more} more"),
    };
    Some(format!(
        "layers of other widths or patterns ({which}) count like those of most of the work, which have {main} bits: software \
         that serves is not known with both"
    ))
}

/// Whether two of every four weights of a layer are zeros.
fn half_zero(layer: &LayerProfile) -> bool {
    layer.pattern == Some(Pattern::TwoOfFour) && layer.sparsity() > 0.49
}

/// Whether most of the experts' work is done in weights that are stored in 4 bits, and the rest in more.
fn narrow_experts(profile: &ModelProfile) -> bool {
    let experts = profile.layers.iter();
    let experts = experts.filter(|l| l.layer.execution.experts.is_some() && l.layer.compressible);
    let (mut narrow, mut all) = (0.0, 0.0);
    for layer in experts {
        all += layer.layer.macs;
        narrow += if layer.weight_bits == 4 {
            layer.layer.macs
        } else {
            0.0
        };
    }
    2.0 * narrow > all && main_layer(profile).is_some_and(|l| l.weight_bits > 4)
}

/// The format of serving software that comes nearest to how the weights are stored.
fn format(profile: &ModelProfile, device: &Device) -> WeightFormat {
    let Some(main) = main_layer(profile) else {
        return WeightFormat::Half;
    };
    match main.weight_bits {
        16.. => WeightFormat::Half,
        8.. if main.activation_bits <= 8 && device.fp8.is_some() => WeightFormat::Fp8,
        8.. => WeightFormat::Int8,
        bits => WeightFormat::Packed(bits),
    }
}

fn serving(scenario: &Scenario, era: Era, format: WeightFormat, scale: f64) -> Serving {
    // Without an answer, one step at the context that is asked for: no prompt, no request.
    let answered = scenario.answer_tokens > 0;
    let (prompt, output) = if answered {
        (
            f64::from(scenario.prompt_tokens),
            f64::from(scenario.answer_tokens),
        )
    } else {
        (0.0, 0.0)
    };
    Serving {
        batch: f64::from(scenario.batch),
        prompt,
        output,
        context: (!answered).then_some(f64::from(scenario.context)),
        devices: f64::from(scenario.tensor_devices()),
        stages: f64::from(scenario.stages),
        attention_groups: 1.0,
        whole_experts: true,
        format,
        mxfp4_experts: false,
        integer_experts: false,
        scale,
        era,
        engine: Engine::default(),
    }
}
