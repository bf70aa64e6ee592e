//! The constants of a processor at one corner of their ranges.

use super::{FORMATS, Processor, unpacking};
use crate::hardware::HardwareTarget;
use crate::hardware::figure::Corner;

/// The constants of one corner, looked up once per footprint.
pub(super) struct Rates {
    pub(super) corner: Corner,
    /// By [`Precision`] as a number.
    pub(super) peak: [f64; FORMATS],
    pub(super) energy_per_op: [f64; FORMATS],
    pub(super) bandwidth: f64,
    pub(super) on_chip_bandwidth: f64,
    pub(super) energy_memory: f64,
    pub(super) energy_on_chip: f64,
    pub(super) compute_efficiency: f64,
    pub(super) packed_efficiency: f64,
    pub(super) packed_launch: f64,
    pub(super) launch: f64,
    pub(super) start: f64,
    /// How many times the usual operations unpacking takes.
    pub(super) unpacking: f64,
    /// Rows of a product that share what was unpacked.
    pub(super) rows: f64,
    pub(super) link_bandwidth: f64,
    pub(super) link_latency: f64,
    pub(super) energy_link: f64,
    pub(super) sparse_speedup: f64,
    pub(super) vector_peak: f64,
    pub(super) vector_energy: f64,
    pub(super) static_power: f64,
    pub(super) power_limit: f64,
}

impl Processor {
    /// All constants at a corner.
    pub(super) fn rates(&self, target: &HardwareTarget, corner: Corner) -> Rates {
        let bandwidth_efficiency = self.bandwidth_efficiency.gain(corner);
        let mut peak = [f64::INFINITY; FORMATS];
        let mut energy_per_op = [0.0; FORMATS];
        for (precision, figure) in &self.peak {
            peak[*precision as usize] = figure.gain(corner).0;
        }
        for (precision, figure) in &self.energy_per_op {
            energy_per_op[*precision as usize] = figure.cost(corner).0;
        }
        // Unpacking runs on the widest general arithmetic units.
        let vector = self.peak.keys().next_back().map_or(0, |p| *p as usize);
        let packed = self.packed.as_ref();
        Rates {
            corner,
            packed_efficiency: packed.map_or(1.0, |packed| packed.efficiency.gain(corner)),
            packed_launch: packed.map_or(0.0, |packed| packed.launch.cost(corner).0),
            vector_peak: peak[vector],
            vector_energy: energy_per_op[vector],
            peak,
            energy_per_op,
            bandwidth: self
                .memory
                .as_ref()
                .map_or(f64::INFINITY, |m| m.bandwidth.gain(corner).0)
                * bandwidth_efficiency,
            on_chip_bandwidth: self.on_chip.bandwidth.gain(corner).0 * bandwidth_efficiency,
            energy_memory: self
                .memory
                .as_ref()
                .map_or(0.0, |m| m.energy_per_byte.cost(corner).0),
            energy_on_chip: self.on_chip.energy_per_byte.cost(corner).0,
            compute_efficiency: self.compute_efficiency.gain(corner),
            launch: self.launch.cost(corner).0,
            start: self.start.as_ref().map_or(0.0, |s| s.cost(corner).0),
            unpacking: unpacking::effort(corner),
            rows: unpacking::rows(corner),
            link_bandwidth: self
                .link
                .as_ref()
                .map_or(f64::INFINITY, |l| l.bandwidth.gain(corner).0),
            link_latency: self.link.as_ref().map_or(0.0, |l| l.latency.cost(corner).0),
            energy_link: self
                .link
                .as_ref()
                .map_or(0.0, |l| l.energy_per_byte.cost(corner).0),
            sparse_speedup: self.two_of_four.as_ref().map_or(1.0, |s| s.gain(corner)),
            static_power: target.static_power.cost(corner).0,
            power_limit: target.power_limit.gain(corner).0,
        }
    }
}
