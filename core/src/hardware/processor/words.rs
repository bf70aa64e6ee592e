//! How the time and energy of a processor came about, in words.

use super::plan::Plan;
use super::{Demand, Precision, Processor, Total};
use crate::hardware::cost::Request;
use crate::hardware::per_operation::keras_spiking_cpu;
use crate::hardware::{HardwareClass, HardwareTarget};
use crate::units::Exponent;

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
        format!(", {skipping:.3e} of them with 2:4 zeros {speedup} times as fast")
    } else {
        String::new()
    };
    let stretched = if total.stretch > 1.0 {
        format!(
            ", which the power limit makes {:.3} times as long: {:.3e} s",
            total.stretch, total.seconds
        )
    } else {
        String::new()
    };
    let unpacking = if unpack > 0.0 {
        format!(" and {unpack:.3e} to unpack weights at the widest format's peak")
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
                " (the kernels for packed weights, unpacking included; {:.2e} s to start each)",
                packed.launch.typical.0
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
         efficiency)) + launch = {:.3e} s{stretched}, with {ops:.3e} operations at {peak:.3e}/s {}{kernels} × \
         {efficiency:.3}{skipping}{unpacking}, {memory:.3e} bytes at {bandwidth:.3e} B/s × {}, {launches} launches of {:.2e} s, {} device(s)",
        plan.words(),
        demands.len(),
        total.seconds / total.stretch,
        precision.name(),
        processor.bandwidth_efficiency.typical,
        processor.launch.typical.0,
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
        "{}: {ops:.3e} operations → {} J + on-chip traffic {} J + {} bytes of \
         memory traffic → {} J + {} device(s) × {} W × {:.3e} s = {} J static + links {} J; capped at {} W \
         per device; of the device alone: no host, no fans, no losses of a power supply",
        plan.words(),
        Exponent(b.compute.0),
        Exponent(b.on_chip.0),
        Exponent(memory),
        Exponent(b.memory.0),
        plan.standing(),
        target.static_power.typical.0,
        total.seconds,
        Exponent(b.static_power.0),
        Exponent(b.interconnect.0),
        target.power_limit.range().high.0,
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
        "; KerasSpiking's 8.6 nJ per operation of a 2013 CPU would give {energy:.3e} J per unit"
    )
}
