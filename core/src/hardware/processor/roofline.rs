//! The roofs of a processor, for drawing its layers beneath them.

use super::{Precision, Processor};
use crate::units::{BytesPerSecond, OpsPerSecond};

/// The rates that bound every layer (Williams, Waterman, Patterson, CACM 52(4), 2009), with the efficiency that large
/// layers and long transfers reach, typical values, all devices together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roofline {
    /// Arithmetic at one number format.
    pub peak: OpsPerSecond,
    /// Memory outside the chip; `None` where there is none.
    pub memory: Option<BytesPerSecond>,
    /// Caches or scratchpads on the chip.
    pub on_chip: BytesPerSecond,
}

impl Processor {
    /// The roofs at a number format; `None` where the processor does not compute in it.
    pub fn roofline(&self, precision: Precision, devices: u32) -> Option<Roofline> {
        let n = f64::from(devices);
        let peak = self.peak.get(&precision)?.typical;
        let reached = self.bandwidth_efficiency.typical * n;
        Some(Roofline {
            peak: peak * (self.compute_efficiency.typical * n),
            memory: self.memory.as_ref().map(|m| m.bandwidth.typical * reached),
            on_chip: self.on_chip.bandwidth.typical * reached,
        })
    }
}
