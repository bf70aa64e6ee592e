//! Processors.

use super::{Constants, multiplies, work};
use wattif_core::hardware::{CostModel, HardwareClass, HardwareTarget};
use wattif_core::profile::{LayerKind, LayerProfile, ModelProfile};
use wattif_core::recipe::Pattern;
use wattif_core::scenario::Scenario;

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
pub(crate) fn on_processor(
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
            let signs = if bits == 1.0 && l.nonzero < l.layer.weights() {
                l.nonzero as f64
            } else {
                0.0
            };
            (n * bits + signs) / 8.0 + others
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
        let rows_at_once = [64.0, 8.0, 1.0][end];
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
            let narrow = own.macs > 0.0 && own.weights() > 0 && stored_bits(l)? < format.bits;
            let read = own.weights() as f64 * passes;
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
            let starts = if own.kind == LayerKind::Elementwise {
                0.0
            } else {
                runs
            };
            let start = starts * constants.less("launch", end);
            let per_op = |f: &Format| constants.less(&format!("energy_per_op {}", f.name), end);
            // Seconds and joules with so many operations to unpack and so many bytes more to move.
            let with = |ops: f64, unpack: f64, outside: f64, inside: f64| {
                let arithmetic =
                    (ops / (peak(format, end) * speedup) + unpack / peak(widest, end)) / share;
                let moving = (outside / memory_rate).max(inside / chip_rate);
                let energy = ops / if sparse { 2.0 } else { 1.0 } * per_op(format)
                    + unpack * per_op(widest)
                    + inside * constants.less("on_chip energy_per_byte", end)
                    + outside * constants.less("memory energy_per_byte", end);
                (arithmetic.max(moving) + start, energy)
            };
            let (time, energy) = if narrow {
                let once = unpacking * read;
                let times = (macs * part / read / rows_at_once).max(1.0);
                let within = with(ops, once * times, outside, inside);
                let wide = read * bytes;
                let packed = weights * (1.0 - of_weights);
                let through = wide * (1.0 - stays(wide / runs, room));
                let product = with(
                    ops,
                    0.0,
                    outside - packed + through,
                    inside - weights + wide,
                );
                let before = with(0.0, once, packed + through, weights + wide);
                let before = (product.0 + before.0, product.1 + before.1);
                if before.0 < within.0 { before } else { within }
            } else {
                with(ops, 0.0, outside, inside)
            };
            seconds += time;
            joules += energy;
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
