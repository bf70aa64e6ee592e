//! The formulas of METHODS.md written a second time, from its text: no code of the cost models is used here but the lists of
//! layers and of constants. Both must agree on time and energy, at the low, typical and high ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use std::collections::BTreeMap;

use wattif_core::carbon::find_grid;
use wattif_core::footprint::footprint;
use wattif_core::hardware::{CostModel, HardwareClass, HardwareTarget, catalogue};
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_core::profile::{LayerKind, LayerProfile, ModelProfile, Unit};
use wattif_core::recipe::{Group, Pattern, Recipe};
use wattif_core::scenario::Scenario;
use wattif_core::software::Software;

/// Favourable, typical, unfavourable.
const ENDS: [usize; 3] = [0, 1, 2];

/// Constants of a device by the names of their fields.
struct Constants(BTreeMap<String, [f64; 3]>);

impl Constants {
    fn of(target: &HardwareTarget) -> Self {
        let figures = target.figures().into_iter().map(|listed| {
            let range = listed.figure.range();
            (listed.field, [range.low, range.typical, range.high])
        });
        Self(figures.collect())
    }

    fn maybe(&self, field: &str) -> Option<[f64; 3]> {
        self.0.get(field).copied()
    }

    /// A figure of which less is better, at an end.
    fn less(&self, field: &str, end: usize) -> f64 {
        self.maybe(field).unwrap_or([0.0; 3])[end]
    }

    /// A figure of which more is better.
    fn more(&self, field: &str, end: usize) -> f64 {
        self.maybe(field).unwrap_or_else(|| panic!("{field}"))[2 - end]
    }
}

fn multiplies(layer: &LayerProfile) -> bool {
    matches!(
        layer.layer.kind,
        LayerKind::Linear | LayerKind::Conv2d | LayerKind::Recurrent
    )
}

/// Multiply-accumulates and cached numbers of a layer per unit of work.
fn work(profile: &ModelProfile, layer: &LayerProfile, context: f64) -> (f64, f64) {
    let own = &layer.layer;
    if own.kind != LayerKind::Attention || profile.unit != Unit::Token {
        return (own.macs, own.cache);
    }
    let seen = own
        .execution
        .window
        .map_or(context, |w| context.min(f64::from(w)));
    (own.macs * seen / 128.0, own.cache * seen / 128.0)
}

struct Format {
    name: &'static str,
    bits: f64,
    integers: bool,
}

const FORMATS: [Format; 6] = [
    Format {
        name: "INT4",
        bits: 4.0,
        integers: true,
    },
    Format {
        name: "FP4",
        bits: 4.0,
        integers: false,
    },
    Format {
        name: "INT8",
        bits: 8.0,
        integers: true,
    },
    Format {
        name: "FP8",
        bits: 8.0,
        integers: false,
    },
    Format {
        name: "FP16",
        bits: 16.0,
        integers: true,
    },
    Format {
        name: "FP32",
        bits: 32.0,
        integers: true,
    },
];

/// Bits that a product needs: activations left alone count as 16 beside weights of at most 16.
fn needed(layer: &LayerProfile) -> f64 {
    let (weights, activations) = (
        f64::from(layer.weight_bits),
        f64::from(layer.activation_bits),
    );
    if weights <= 16.0 {
        weights.max(activations.min(16.0))
    } else {
        weights.max(activations)
    }
}

/// A network on a processor: seconds and joules per unit at each end, and the units in a part.
fn on_processor(
    target: &HardwareTarget,
    profile: &ModelProfile,
    scenario: &Scenario,
) -> Option<[(f64, f64); 3]> {
    let CostModel::Processor(processor) = &target.model else {
        return None;
    };
    let constants = Constants::of(target);
    let formats: Vec<&Format> = FORMATS
        .iter()
        .filter(|f| constants.maybe(&format!("peak {}", f.name)).is_some())
        .collect();
    let peak = |f: &Format, end| constants.more(&format!("peak {}", f.name), end);
    let chosen = |bits: f64| {
        let exact = formats
            .iter()
            .filter(|f| f.bits >= bits && (bits > 8.0 || f.integers));
        let mut best: Option<&&Format> = None;
        for format in exact {
            if best.is_none_or(|best| peak(format, 1) > peak(best, 1)) {
                best = Some(format);
            }
        }
        best.or_else(|| formats.iter().find(|f| f.bits >= 16.0))
            .copied()
    };
    let products = || profile.layers.iter().filter(|l| l.layer.compressible);
    let ambient = chosen(products().map(needed).fold(0.0, f64::max))?;
    let widest = formats.last()?;
    let most_bits = formats.iter().map(|f| f.bits).fold(0.0, f64::max);
    let format_of = |l: &LayerProfile| {
        if multiplies(l) {
            chosen(needed(l))
        } else {
            Some(ambient)
        }
    };
    let packed = format!("{:?}", processor.weight_storage) == "Packed";
    let stored_bits = |l: &LayerProfile| -> Option<f64> {
        let bits = f64::from(l.weight_bits);
        Some(if packed {
            bits.min(most_bits)
        } else {
            let native = formats
                .iter()
                .map(|f| f.bits)
                .filter(|b| *b >= bits)
                .fold(f64::INFINITY, f64::min);
            native.min(format_of(l)?.bits)
        })
    };
    let two_of_four = |l: &LayerProfile| {
        let half = 1.0 - l.nonzero as f64 / l.layer.weights().max(1) as f64;
        processor.two_of_four.is_some()
            && l.pattern == Some(Pattern::TwoOfFour)
            && multiplies(l)
            && half > 0.49
    };
    let weight_bytes = |l: &LayerProfile| -> Option<f64> {
        let (n, bits) = (l.layer.weights() as f64, stored_bits(l)?);
        let others = l.layer.other_parameters as f64 * ambient.bits / 8.0 + 2.0 * l.scales as f64;
        Some(if two_of_four(l) {
            n / 2.0 * (bits + 2.0) / 8.0 + others
        } else {
            n * bits / 8.0 + others
        })
    };
    let context = f64::from(scenario.context);
    let batch = f64::from(scenario.batch);
    let all_weights: f64 = profile
        .layers
        .iter()
        .map(weight_bytes)
        .sum::<Option<f64>>()?;
    let cached = matches!(
        target.class,
        HardwareClass::Gpu | HardwareClass::EdgeGpu | HardwareClass::Cpu
    );
    let stays = |bytes: f64, room: f64| {
        if bytes <= room {
            1.0
        } else if cached {
            (2.0 - bytes / room).max(0.0)
        } else {
            room / bytes
        }
    };
    let run = |part: f64, end: usize| -> Option<(f64, f64)> {
        let usable = constants
            .maybe("usable_on_chip")
            .unwrap_or([0.25, 0.5, 0.9])[2 - end];
        let room = if processor.memory.is_some() {
            constants.more("on_chip capacity", end) * usable
        } else {
            f64::INFINITY
        };
        let reached = constants.more("bandwidth_efficiency", end);
        let memory_rate = constants
            .maybe("memory bandwidth")
            .map_or(f64::INFINITY, |b| b[2 - end])
            * reached;
        let chip_rate = constants.more("on_chip bandwidth", end) * reached;
        let share = constants.more("compute_efficiency", end);
        let unpacking = 2.0 * [0.5, 1.0, 2.0][end];
        let caches: f64 = profile
            .layers
            .iter()
            .map(|l| work(profile, l, context).1 * part * ambient.bits / 8.0)
            .sum();
        let of_cache = stays(caches, (room - all_weights).max(0.0));
        let of_weights = stays(all_weights, room);
        let (mut seconds, mut joules) = (0.0, 0.0);
        for l in &profile.layers {
            let format = format_of(l)?;
            let own = &l.layer;
            let (macs, cache) = work(profile, l, context);
            let runs = f64::from(own.execution.layers * own.execution.passes);
            let pad =
                |size: f64, tile: u32| (size / f64::from(tile)).ceil() * f64::from(tile) / size;
            let padding = match processor.tile {
                Some((rows, columns)) if multiplies(l) => {
                    let outputs = own.shape[0] as f64 / f64::from(own.execution.layers);
                    pad(own.fan_in() as f64, rows) * pad(outputs, columns)
                }
                _ => 1.0,
            };
            let ops = 2.0 * macs * part * padding;
            let sparse = two_of_four(l);
            let speedup = if sparse {
                constants.more("two_of_four", end)
            } else {
                1.0
            };
            let passes = f64::from(own.execution.passes);
            let unpack = if own.macs > 0.0 && stored_bits(l)? < format.bits {
                unpacking * own.weights() as f64 * passes
            } else {
                0.0
            };
            let bytes = format.bits / 8.0;
            let activations = (own.inputs + own.execution.added + own.outputs) * part * bytes;
            let mut weights = weight_bytes(l)? * passes;
            if own.kind == LayerKind::Embedding {
                weights *= (part / own.shape[0] as f64).min(1.0);
            }
            let cache = cache * part * bytes;
            let at_once = (own.inputs + own.outputs) / runs * part * bytes;
            let outside = weights * (1.0 - of_weights)
                + cache * (1.0 - of_cache)
                + activations * (1.0 - stays(at_once, room));
            let inside = weights + cache + activations;
            let arithmetic =
                (ops / (peak(format, end) * speedup) + unpack / peak(widest, end)) / share;
            let starts = if own.kind == LayerKind::Elementwise {
                0.0
            } else {
                runs
            };
            seconds += arithmetic
                .max(outside / memory_rate)
                .max(inside / chip_rate)
                + starts * constants.less("launch", end);
            let per_op = |f: &Format| constants.less(&format!("energy_per_op {}", f.name), end);
            joules += ops / if sparse { 2.0 } else { 1.0 } * per_op(format)
                + unpack * per_op(widest)
                + inside * constants.less("on_chip energy_per_byte", end)
                + outside * constants.less("memory energy_per_byte", end);
        }
        seconds += part * constants.less("start", end);
        let idle = constants.less("static_power", end);
        let headroom = constants.more("power_limit", end) - idle;
        seconds = seconds.max(joules / headroom);
        Some((seconds / part, (joules + idle * seconds) / part))
    };
    // Whole, or in parts of any size: the fastest, within 1 % the one with the least energy.
    let mut parts = Vec::new();
    let mut size = batch;
    while size >= 1.0 {
        parts.push((size, run(size, 1)?));
        size -= 1.0;
    }
    let fastest = parts
        .iter()
        .map(|(_, (s, _))| *s)
        .fold(f64::INFINITY, f64::min);
    let (size, _) = parts
        .iter()
        .filter(|(_, (s, _))| *s <= 1.01 * fastest)
        .min_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
    Some([run(*size, 0)?, run(*size, 1)?, run(*size, 2)?])
}

/// Part of the block memory for weights, and the share of the board memory's bandwidth that they stream at.
const FOR_WEIGHTS: f64 = 0.75;
const STREAMING: [f64; 3] = [0.9, 0.4, 0.08];

/// A network in programmable logic.
fn in_logic(
    target: &HardwareTarget,
    profile: &ModelProfile,
    scenario: &Scenario,
) -> Option<[(f64, f64); 3]> {
    let CostModel::Fpga(fpga) = &target.model else {
        return None;
    };
    let constants = Constants::of(target);
    let compressible = || profile.layers.iter().filter(|l| l.layer.compressible);
    let w = compressible()
        .map(|l| f64::from(l.weight_bits))
        .fold(0.0, f64::max);
    let a = compressible()
        .map(|l| f64::from(l.activation_bits))
        .fold(0.0, f64::max);
    let a = if w <= 16.0 { a.min(16.0) } else { a };
    let wide = fpga.dsp_width >= 27;
    let (soft, hard) = match w.max(a) {
        x if x > 16.0 => (None, (600.0, 5.0)),
        x if x > 15.0 => (None, (300.0, 2.0)),
        x => {
            let products =
                if x <= 4.0 { 2.0 } else { 1.0 } * if wide && x <= 8.0 { 2.0 } else { 1.0 };
            (Some(w * a + w + a + 8.0), (w + a + 8.0, 1.0 / products))
        }
    };
    let batch = f64::from(scenario.batch);
    let context = f64::from(scenario.context);
    let macs = |l: &LayerProfile| work(profile, l, context).0;
    let wait = |l: &LayerProfile| {
        let own = &l.layer;
        let [outputs, inputs, kernel, ..] = own.shape[..] else {
            return 1.0;
        };
        let channels = if inputs == 1 { outputs } else { inputs };
        (kernel as f64 / (own.inputs / channels as f64).sqrt().max(1.0)).min(1.0)
    };
    let bytes = |l: &LayerProfile| {
        l.layer.weights() as f64 * f64::from(l.weight_bits) / 8.0
            + l.layer.other_parameters as f64 * l.other_bits / 8.0
    };
    let weights: f64 = profile.layers.iter().map(bytes).sum();
    let moved: f64 = profile
        .layers
        .iter()
        .map(|l| (l.layer.inputs + l.layer.execution.added + l.layer.outputs) * a / 8.0)
        .sum();
    let mut ends = Vec::new();
    for end in ENDS {
        let share = constants.more("utilization", end);
        let (tables, blocks) = (
            constants.more("luts", end) * share,
            constants.more("dsps", end) * share,
        );
        let hard_units = (blocks / hard.1).min(tables / hard.0).floor();
        let soft_units = soft.map_or(0.0, |each| ((tables - hard_units * hard.0) / each).floor());
        let units = hard_units + soft_units;
        if units < 1.0 {
            return None;
        }
        let stream = weights > constants.more("on_chip", end) * FOR_WEIGHTS;
        let mut results = Vec::new();
        let uses = |l: &LayerProfile| {
            if l.layer.kind == LayerKind::Elementwise {
                0.0
            } else {
                macs(l) / l.layer.weights().max(1) as f64
            }
        };
        let attends = profile
            .layers
            .iter()
            .any(|l| l.layer.kind == LayerKind::Attention);
        for unfolded in [false, true] {
            let density = |l: &LayerProfile| {
                if unfolded {
                    l.nonzero as f64 / l.layer.weights().max(1) as f64
                } else {
                    1.0
                }
            };
            let density = |l: &LayerProfile| {
                if l.layer.weights() == 0 {
                    1.0
                } else {
                    density(l)
                }
            };
            let executed: f64 = profile.layers.iter().map(|l| macs(l) * density(l)).sum();
            let mut interval = (executed / units).max(1.0);
            let copies = |l: &LayerProfile, cycles: f64| (uses(l) / cycles).ceil().max(1.0);
            if unfolded {
                let needed = |cycles: f64| -> f64 {
                    profile
                        .layers
                        .iter()
                        .map(|l| l.nonzero as f64 * copies(l, cycles))
                        .sum()
                };
                let most = profile.layers.iter().map(uses).fold(1.0, f64::max);
                if attends || stream || needed(most) > units {
                    continue;
                }
                // The least number of cycles for which there is room, looked for one by one.
                interval = 1.0;
                while needed(interval) > units {
                    interval += 1.0;
                }
            }
            let cycles = |l: &LayerProfile| match l.layer.kind {
                LayerKind::Elementwise => 0.0,
                _ if macs(l) == 0.0 => 0.0,
                _ if unfolded => uses(l) / copies(l, interval),
                _ => interval,
            };
            let slowest = profile.layers.iter().map(|l| (cycles(l), wait(l))).fold(
                (1.0, 1.0),
                |best: (f64, f64), next| if next.0 > best.0 { next } else { best },
            );
            let first: f64 = profile
                .layers
                .iter()
                .map(|l| {
                    cycles(l)
                        * wait(l)
                        * f64::from(l.layer.execution.layers * l.layer.execution.passes)
                })
                .sum::<f64>()
                + slowest.0 * (1.0 - slowest.1);
            let per_unit = (first.max(slowest.0) + (batch - 1.0) * slowest.0) / batch;
            let streamed = if stream { weights / batch } else { 0.0 };
            let time = (per_unit
                / (constants.more("clock", end) * constants.more("efficiency", end))
                + constants.less("start", end) / batch)
                .max(if stream {
                    streamed / (constants.more("memory bandwidth", end) * STREAMING[end])
                } else {
                    0.0
                });
            let soft_tables = soft.unwrap_or(hard.0);
            let tables = (soft_units * soft_tables + hard_units * hard.0) / units;
            let blocks = hard_units * hard.1 / units;
            let read = if unfolded { 0.0 } else { weights };
            let dynamic = executed
                * (tables * constants.less("energy_per_lut", end)
                    + blocks * constants.less("energy_per_dsp", end))
                + (read + moved) * constants.less("on_chip_energy_per_byte", end)
                + streamed * constants.less("memory energy_per_byte", end);
            let idle = constants.less("static_power", end);
            let time = time.max(dynamic / (constants.more("power_limit", end) - idle));
            results.push((time, dynamic + idle * time));
        }
        let fastest = results.iter().map(|r| r.0).fold(f64::INFINITY, f64::min);
        let best = results
            .into_iter()
            .filter(|r| r.0 <= 1.03 * fastest)
            .min_by(|a, b| a.1.total_cmp(&b.1))?;
        ends.push(best);
    }
    Some([ends[0], ends[1], ends[2]])
}

/// A network on a small chip.
fn on_small_chip(
    target: &HardwareTarget,
    profile: &ModelProfile,
    _: &Scenario,
) -> Option<[(f64, f64); 3]> {
    if !matches!(target.model, CostModel::Microcontroller(_)) {
        return None;
    }
    let constants = Constants::of(target);
    Some(ENDS.map(|end| {
        let mut cycles = 0.0;
        for l in &profile.layers {
            let own = &l.layer;
            if own.kind == LayerKind::Elementwise {
                let wide = if l.weight_bits.max(l.activation_bits) > 16 {
                    constants.less("float_factor", end)
                } else {
                    1.0
                };
                cycles += own.macs * wide * constants.less("cycles_per_mac", end);
                continue;
            }
            let times = match l.weight_bits.max(l.activation_bits) {
                ..=8 => 1.0,
                9..=16 => 1.3,
                _ => constants.maybe("float_factor").map_or(1.0, |f| f[end]),
            };
            let held = match l.weight_bits {
                ..=8 => 1.0,
                9..=16 => 2.0,
                _ => 4.0,
            };
            let fetched =
                own.weights() as f64 * held + own.other_parameters as f64 * l.other_bits / 8.0;
            cycles += own.macs * times * constants.less("cycles_per_mac", end)
                + own.outputs * constants.less("cycles_per_output", end)
                + fetched * constants.less("cycles_per_weight_byte", end)
                + f64::from(own.execution.layers * own.execution.passes)
                    * constants.less("cycles_per_layer", end);
        }
        let time = cycles / constants.more("clock", end);
        (
            time,
            cycles * constants.less("energy_per_cycle", end)
                + constants.less("static_power", end) * time,
        )
    }))
}

/// A network as spikes.
fn as_spikes(
    target: &HardwareTarget,
    profile: &ModelProfile,
    scenario: &Scenario,
) -> Option<[(f64, f64); 3]> {
    let CostModel::Neuromorphic(chip) = &target.model else {
        return None;
    };
    let constants = Constants::of(target);
    let bits = f64::from(chip.synapse_bits);
    let steps = f64::from(scenario.time_steps);
    // Synapses, neurons, inputs and cores of each layer, and the chips.
    let placed = |end: usize| {
        let layers: Vec<[f64; 4]> = profile
            .layers
            .iter()
            .filter(|l| multiplies(l))
            .map(|l| {
                let synapses = l.layer.macs * l.nonzero as f64 / l.layer.weights() as f64;
                let room = constants.more("synapses_per_core", end) * (bits + 6.0)
                    / (f64::from(l.weight_bits).min(bits) + 6.0);
                let cores = (l.layer.outputs / constants.more("neurons_per_core", end))
                    .max(synapses / room);
                [
                    synapses,
                    l.layer.outputs,
                    l.layer.inputs,
                    cores.ceil().max(1.0),
                ]
            })
            .collect();
        let cores: f64 = layers.iter().map(|l| l[3]).sum();
        let chips = (cores / constants.more("cores", end)).ceil().max(1.0);
        (layers, chips)
    };
    Some(ENDS.map(|end| {
        let spikes = constants.less("activity", end);
        let dynamic = |layers: &[[f64; 4]]| -> f64 {
            layers
                .iter()
                .map(|[synapses, neurons, inputs, cores]| {
                    synapses * spikes * constants.less("energy_per_event", end)
                        + neurons * constants.less("energy_per_update", end)
                        + inputs * spikes * cores * constants.less("energy_per_spike", end)
                })
                .sum()
        };
        let (layers, chips) = placed(end);
        let (spread, most_chips) = placed(2 - end);
        let standing = constants.less("static_power", end) + constants.less("active_power", end);
        let busiest = spread
            .iter()
            .map(|[synapses, .., cores]| {
                synapses * spikes / cores / constants.more("events_per_second", end)
            })
            .fold(0.0, f64::max);
        let headroom = (constants.more("power_limit", end) - standing) * most_chips;
        let cooled = if headroom > 0.0 {
            dynamic(&spread) / headroom
        } else {
            0.0
        };
        let step = constants.less("step", end).max(busiest).max(cooled);
        let time = steps * step;
        (time, dynamic(&layers) * steps + standing * chips * time)
    }))
}

fn recipes() -> Vec<Recipe> {
    let mut all = Vec::new();
    for (weights, activations, sparsity, pattern) in [
        (32, 32, 0.0, Pattern::Unstructured),
        (16, 16, 0.5, Pattern::TwoOfFour),
        (8, 8, 0.0, Pattern::Unstructured),
        (8, 8, 0.5, Pattern::Unstructured),
        (4, 8, 0.75, Pattern::Unstructured),
        (4, 32, 0.0, Pattern::Unstructured),
        (2, 4, 0.9, Pattern::Unstructured),
    ] {
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = weights;
        recipe.quantization.activation_bits = activations;
        recipe.quantization.group = Group::Channel;
        recipe.pruning.sparsity = sparsity;
        recipe.pruning.pattern = pattern;
        all.push(recipe);
    }
    all
}

type Second = fn(&HardwareTarget, &ModelProfile, &Scenario) -> Option<[(f64, f64); 3]>;

#[test]
fn a_second_implementation_of_the_methods_agrees() {
    /// In METHODS nothing is rounded; sizes of parts may differ where plans are alike.
    const APART: f64 = 0.01;
    let networks = [
        "lenet-5",
        "mlperf-tiny-resnet-8",
        "mlperf-tiny-ds-cnn",
        "mobilenet-v2",
        "resnet-50",
        "gpt2",
        "llama-3-2-1b",
        "bert-base",
        "lstm-ptb-medium",
    ];
    let mut compared: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in networks {
        let reference: ModelReference = format!("catalogue:{name}").parse().unwrap();
        let outline = Outline::open(&reference).unwrap();
        for recipe in recipes() {
            let profile = outline.predict(&recipe).unwrap();
            for target in catalogue().unwrap() {
                // What is detected on this machine has kernels of its own.
                if target.id == "this-cpu" {
                    continue;
                }
                let (class, second): (&str, Second) = match &target.model {
                    CostModel::Processor(_) => ("processors", on_processor),
                    CostModel::Fpga(_) => ("logic", in_logic),
                    CostModel::Microcontroller(_) => ("small chips", on_small_chip),
                    CostModel::Neuromorphic(_) => ("spikes", as_spikes),
                };
                for (batch, context) in [(1, 128), (7, 1000)] {
                    let scenario = Scenario {
                        hardware: target.id.clone(),
                        batch,
                        context,
                        software: Software::Bare,
                        ..Scenario::default()
                    };
                    let Ok(first) =
                        footprint(&profile, &scenario, target, find_grid("FR").unwrap())
                    else {
                        continue;
                    };
                    let Some(second) = second(target, &profile, &scenario) else {
                        continue;
                    };
                    *compared.entry(class).or_default() += 1;
                    let time = first.throughput.range.map_decreasing(|rate| 1.0 / rate.0);
                    let energy = first.energy_per_unit.range;
                    for (what, (own, other)) in [
                        ("time, low", (time.low, second[0].0)),
                        ("time", (time.typical, second[1].0)),
                        ("time, high", (time.high, second[2].0)),
                        ("energy, low", (energy.low.0, second[0].1)),
                        ("energy", (energy.typical.0, second[1].1)),
                        ("energy, high", (energy.high.0, second[2].1)),
                    ] {
                        if (own / other - 1.0).abs() > APART {
                            wrong.push(format!(
                                "{class}: {name}, {} on {} at batch {batch}: {what} {own:.4e}, by METHODS {other:.4e}",
                                recipe.key(), target.id
                            ));
                        }
                    }
                }
            }
        }
    }
    for (class, count) in &compared {
        assert!(*count >= 40, "{class}: only {count} configurations");
    }
    assert_eq!(compared.len(), 4, "{compared:?}");
    assert!(
        wrong.is_empty(),
        "{} of {compared:?}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
