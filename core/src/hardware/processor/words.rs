//! How the energy of a processor came about, in words.

use super::plan::Plan;
use super::{Demand, Total};
use crate::hardware::cost::Request;
use crate::hardware::per_operation::keras_spiking_cpu;
use crate::hardware::{HardwareClass, HardwareTarget};
use crate::units::Exponent;

/// The typical energy with the values in it.
pub(super) fn energy_formula(
    demands: &[Demand],
    total: &Total,
    target: &HardwareTarget,
    plan: &Plan<'_>,
) -> String {
    let b = &total.breakdown;
    let ops: f64 = demands.iter().map(|d| d.ops).sum();
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
                self.parts
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
