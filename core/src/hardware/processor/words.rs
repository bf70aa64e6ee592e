//! How the time and energy of a processor came about, in words.

use super::plan::Plan;
use super::{Demand, Precision, Processor, Total};
use crate::digits::{many, si, trimmed};
use crate::hardware::cost::Request;
use crate::hardware::per_operation::keras_spiking_cpu;
use crate::hardware::{HardwareClass, HardwareTarget};

/// The typical time with the values in it.
pub(super) fn time_formula(
    processor: &Processor,
    demands: &[Demand<'_>],
    total: &Total,
    plan: &Plan<'_>,
) -> String {
    let ops: f64 = demands.iter().map(|d| d.ops).sum();
    let memory: f64 = demands.iter().map(|d| d.memory_bytes).sum();
    let launches: f64 = demands.iter().map(|d| d.launches).sum();
    let unpack: f64 = demands
        .iter()
        .filter(|d| d.packed.is_none())
        .map(|d| d.unpack_ops)
        .sum();
    let skipping: f64 = demands.iter().filter(|d| d.sparse).map(|d| d.ops).sum();
    let speedup = processor.two_of_four.as_ref().map_or(1.0, |s| s.typical);
    let skipping = if skipping > 0.0 {
        format!(
            ", {} of them with 2:4 zeros {} times as fast",
            many(skipping),
            trimmed(speedup, 3)
        )
    } else {
        String::new()
    };
    let stretched = if total.stretch > 1.0 {
        format!(
            ", which the power limit makes {} times as long: {}",
            trimmed(total.stretch, 3),
            si(total.seconds, "s")
        )
    } else {
        String::new()
    };
    let first = demands.iter().filter(|d| d.unpacks).count();
    let layers = demands.len() - first;
    let unpacking = if unpack > 0.0 {
        let into_memory = if first > 0 {
            format!(", those of {first} of the layers into memory before they are multiplied")
        } else {
            String::new()
        };
        format!(
            " and {} to unpack weights at the widest format's peak{into_memory}",
            many(unpack)
        )
    } else {
        String::new()
    };
    let main = demands.iter().max_by(|a, b| a.ops.total_cmp(&b.ops));
    let precision = main.map_or(Precision::Fp32, |d| d.precision);
    let packed = main.and_then(|d| d.packed).zip(processor.packed.as_ref());
    let (peak, efficiency, kernels) = match packed {
        Some((rate, packed)) => (
            rate.typical.0,
            packed.efficiency.typical,
            format!(
                " (the kernels for packed weights, unpacking included; {} to start each)",
                si(packed.launch.typical.0, "s")
            ),
        ),
        None => (
            processor.peak.get(&precision).map_or(0.0, |p| p.typical.0),
            processor.compute_efficiency.typical,
            String::new(),
        ),
    };
    let bandwidth = processor
        .memory
        .as_ref()
        .map_or(processor.on_chip.bandwidth.typical.0, |m| {
            m.bandwidth.typical.0
        });
    format!(
        "{}: Σ over {} layers of max(operations / (peak × efficiency), bytes / (bandwidth × \
         efficiency)) + launch = {}{stretched}, with {} operations at {} {}{kernels} × {}{skipping}{unpacking}, {} at {} × {}, \
         {} launches of {}, {} device(s)",
        plan.words(),
        layers,
        si(total.seconds / total.stretch, "s"),
        many(ops),
        si(peak, "op/s"),
        precision.name(),
        trimmed(efficiency, 3),
        si(memory, "B"),
        si(bandwidth, "B/s"),
        trimmed(processor.bandwidth_efficiency.typical, 3),
        many(launches),
        si(processor.launch.typical.0, "s"),
        plan.group,
    )
}

/// The typical energy with the values in it.
pub(super) fn energy_formula(
    demands: &[Demand<'_>],
    total: &Total,
    target: &HardwareTarget,
    plan: &Plan<'_>,
) -> String {
    let b = &total.breakdown;
    let ops: f64 = demands.iter().map(Demand::executed).sum();
    let memory: f64 = demands.iter().map(|d| d.memory_bytes).sum();
    format!(
        "{}: {} operations → {} + on-chip traffic {} + {} of memory traffic → {} + {} device(s) × {} × {} = {} static + \
         links {}; capped at {} per device; of the device alone: no host, no fans, no losses of a power supply",
        plan.words(),
        many(ops),
        si(b.compute.0, "J"),
        si(b.on_chip.0, "J"),
        si(memory, "B"),
        si(b.memory.0, "J"),
        plan.standing(),
        si(target.static_power.typical.0, "W"),
        si(total.seconds, "s"),
        si(b.static_power.0, "J"),
        si(b.interconnect.0, "J"),
        si(target.power_limit.range().high.0, "W"),
    )
}

impl Plan<'_> {
    /// The units of work that the formulas are about.
    pub(super) fn words(&self) -> String {
        let batch = self.batch;
        if self.in_flight > 1.0 {
            format!(
                "per part of {batch} ({} parts are under way, one in each pipeline stage)",
                self.in_flight
            )
        } else if self.parts > 1.0 {
            format!(
                "per part of {batch} (the batch runs in {} parts, so that more stays on the chip)",
                (100.0 * self.parts).round() / 100.0
            )
        } else {
            format!("per batch of {batch}")
        }
    }
}

/// What a well-known table of energies per operation would give, where it has this class of device.
pub(super) fn quoted_elsewhere(target: &HardwareTarget, request: &Request<'_>) -> String {
    if target.class != HardwareClass::Cpu {
        return String::new();
    }
    let layers = &request.profile.layers;
    let synapses: f64 = layers.iter().map(|l| request.work(&l.layer).0).sum();
    let neurons: f64 = layers.iter().map(|l| l.layer.outputs).sum();
    let energy = keras_spiking_cpu(synapses, neurons).0;
    format!(
        "; KerasSpiking's 8.6 nJ per operation of a 2013 CPU would give {} per unit",
        si(energy, "J")
    )
}
