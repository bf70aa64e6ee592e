//! Where the energy of a unit of work goes, as `--json` prints it.

use serde::Serialize;
use wattif_core::footprint::{Estimate, Footprint};
use wattif_core::measurement::Provenance;
use wattif_core::units::Joules;

use crate::format::{percent, si};

/// Energy of a unit of work by where it goes; the five add up to the energy of the unit.
#[derive(Debug, Serialize)]
pub struct PartsView {
    /// Arithmetic.
    pub compute: Estimate<Joules>,
    /// Caches and buffers on the chip.
    pub on_chip: Estimate<Joules>,
    /// Memory outside the chip.
    pub memory: Estimate<Joules>,
    /// Power that flows whether or not work is done.
    pub static_power: Estimate<Joules>,
    /// Links between devices.
    pub interconnect: Estimate<Joules>,
}

impl From<&Footprint> for PartsView {
    /// The model gives the typical parts; the range of the whole is assumed to fall on all of them in proportion.
    fn from(footprint: &Footprint) -> Self {
        let whole = footprint.energy_per_unit.range;
        let part = |joules: Joules| {
            let share = joules / whole.typical;
            Estimate {
                range: whole * share,
                provenance: Provenance::Modelled {
                    formula: format!(
                        "{} of the typical {} per unit; low and high: the same share of its range, which is assumed",
                        percent(share, 1),
                        si(whole.typical.0, "J")
                    ),
                },
            }
        };
        let parts = footprint.breakdown;
        Self {
            compute: part(parts.compute),
            on_chip: part(parts.on_chip),
            memory: part(parts.memory),
            static_power: part(parts.static_power),
            interconnect: part(parts.interconnect),
        }
    }
}
