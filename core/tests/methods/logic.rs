//! Programmable logic.

use super::{Constants, ENDS, work};
use wattif_core::hardware::{CostModel, HardwareTarget};
use wattif_core::profile::{LayerKind, LayerProfile, ModelProfile};
use wattif_core::scenario::Scenario;

/// Part of the block memory for weights, and the share of the board memory's bandwidth that they stream at.
const FOR_WEIGHTS: f64 = 0.75;
const STREAMING: [f64; 3] = [0.9, 0.4, 0.08];

/// A network in programmable logic.
pub(crate) fn in_logic(
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
        let signs = if l.weight_bits == 1 && l.nonzero < l.layer.weights() {
            l.nonzero as f64
        } else {
            0.0
        };
        (l.layer.weights() as f64 * f64::from(l.weight_bits) + signs) / 8.0
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
