//! Where the time and the energy of layers go, and what takes most of the time: the one reading of it that notes, pages and
//! reports share.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Precision;
use crate::units::{Bytes, Joules, Seconds};

/// Typical energy per unit of work by where it goes; the five add up to the typical energy per unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EnergyBreakdown {
    /// Arithmetic.
    pub compute: Joules,
    /// Caches and buffers on the chip.
    pub on_chip: Joules,
    /// Memory outside the chip.
    pub memory: Joules,
    /// Leakage, clocks, fans: power that flows whether or not work is done, for as long as the work takes.
    pub static_power: Joules,
    /// Links between devices.
    pub interconnect: Joules,
}

impl EnergyBreakdown {
    /// The sum of the five.
    pub fn total(&self) -> Joules {
        self.compute + self.on_chip + self.memory + self.static_power + self.interconnect
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            compute: self.compute + other.compute,
            on_chip: self.on_chip + other.on_chip,
            memory: self.memory + other.memory,
            static_power: self.static_power + other.static_power,
            interconnect: self.interconnect + other.interconnect,
        }
    }

    pub(crate) fn scaled(&self, factor: f64) -> Self {
        Self {
            compute: self.compute * factor,
            on_chip: self.on_chip * factor,
            memory: self.memory * factor,
            static_power: self.static_power * factor,
            interconnect: self.interconnect * factor,
        }
    }
}

/// What time goes to; of what happens at once, the longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Arithmetic units.
    Compute,
    /// Memory bandwidth.
    Memory,
    /// The fixed cost of starting an operation.
    Overhead,
    /// Links between devices.
    Interconnect,
}

/// Cost of one layer, per unit of work, typical values. The layers of a footprint add up to its typical time, energy
/// and operations; where the power limit stretches the time, every layer takes its share of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerCost {
    /// Name of the layer.
    pub layer: String,
    /// Time.
    pub time: Seconds,
    /// Energy by where it goes; static power for as long as the layer takes.
    pub energy: EnergyBreakdown,
    /// Operations executed, padding included; a multiply-accumulate or a synaptic event is two.
    pub operations: f64,
    /// Bytes moved between the device and the memory outside the chip.
    pub memory_bytes: Bytes,
    /// Bytes moved between the caches or buffers on the chip and its arithmetic units.
    pub on_chip_bytes: Bytes,
    /// The number format it is computed in; `None` where arithmetic is not organised by formats.
    pub precision: Option<Precision>,
    /// The same time by what takes it.
    pub time_by: TimeBreakdown,
}

impl Bound {
    /// All of them, in the order of legends.
    pub const ALL: [Self; 4] = [
        Self::Compute,
        Self::Memory,
        Self::Overhead,
        Self::Interconnect,
    ];

    /// What bounds, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Compute => "arithmetic",
            Self::Memory => "memory",
            Self::Overhead => "overhead",
            Self::Interconnect => "links",
        }
    }
}

/// Time by what it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TimeBreakdown {
    /// Arithmetic, where that takes longer than the memory beside it.
    pub compute: Seconds,
    /// Memory, where that takes longer than the arithmetic beside it.
    pub memory: Seconds,
    /// What does not depend on how much is computed.
    pub overhead: Seconds,
    /// Links between devices.
    pub interconnect: Seconds,
}

impl TimeBreakdown {
    /// Time that all goes to one thing.
    pub(crate) fn all(bound: Bound, time: Seconds) -> Self {
        let mut own = Self::default();
        match bound {
            Bound::Compute => own.compute = time,
            Bound::Memory => own.memory = time,
            Bound::Overhead => own.overhead = time,
            Bound::Interconnect => own.interconnect = time,
        }
        own
    }

    /// What goes to one thing.
    pub const fn of(&self, bound: Bound) -> Seconds {
        match bound {
            Bound::Compute => self.compute,
            Bound::Memory => self.memory,
            Bound::Overhead => self.overhead,
            Bound::Interconnect => self.interconnect,
        }
    }

    /// The sum of the four.
    pub fn total(&self) -> Seconds {
        self.compute + self.memory + self.overhead + self.interconnect
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            compute: self.compute + other.compute,
            memory: self.memory + other.memory,
            overhead: self.overhead + other.overhead,
            interconnect: self.interconnect + other.interconnect,
        }
    }

    pub(crate) fn scaled(&self, factor: f64) -> Self {
        Self {
            compute: self.compute * factor,
            memory: self.memory * factor,
            overhead: self.overhead * factor,
            interconnect: self.interconnect * factor,
        }
    }

    /// What takes most of it, of equals the first; arithmetic where it is none.
    pub fn most(&self) -> Bound {
        let larger = |most: Bound, next: Bound| {
            if self.of(next).0 > self.of(most).0 {
                next
            } else {
                most
            }
        };
        Bound::ALL.into_iter().fold(Bound::Compute, larger)
    }
}

impl LayerCost {
    /// What takes most of its time.
    pub fn bound(&self) -> Bound {
        self.time_by.most()
    }
}

/// What takes most of the time of all layers together. Written: "81 % of the time goes to memory".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bottleneck {
    /// What takes it.
    pub bound: Bound,
    /// Its part of the time of all layers, 0 to 1.
    pub share: f64,
}

impl Bottleneck {
    /// Of layers with their times; `None` where they take none.
    pub fn of(layers: &[LayerCost]) -> Option<Self> {
        let time = layers.iter().fold(TimeBreakdown::default(), |sum, layer| {
            sum.plus(&layer.time_by)
        });
        let bound = time.most();
        let share = time.of(bound).0 / time.total().0;
        (share > 0.0).then_some(Self { bound, share })
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} % of the time goes to {}",
            100.0 * self.share,
            self.bound.words()
        )
    }
}
