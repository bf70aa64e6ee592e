//! Powers and energies of a device out of the constants of its generation.

use super::constants::DecodeEnergy;
use super::device::{Device, Generation};

/// Share of the power limit at which it is held.
pub(crate) const HELD: f64 = 0.98;

/// Powers and energies of a device: those of its generation, powers scaled by its power limit.
pub(crate) struct Rates {
    pub(crate) idle: f64,
    pub(crate) active: f64,
    pub(crate) operation: f64,
    pub(crate) byte: f64,
}

/// Power limit of the devices that the fit has seen.
pub(crate) fn reference_power(generation: Generation) -> f64 {
    match generation {
        Generation::Ampere => 400.0,
        Generation::Hopper => 700.0,
        Generation::Blackwell => 1000.0,
    }
}

impl Rates {
    pub(crate) fn new(device: &Device, constants: &DecodeEnergy) -> Self {
        let scale = device.power_limit / reference_power(device.generation);
        let (idle, active, operation, byte) = match device.generation {
            Generation::Ampere => (
                constants.idle_ampere,
                constants.active_ampere,
                constants.operation_ampere,
                constants.byte_ampere,
            ),
            Generation::Hopper => (
                constants.idle_hopper,
                constants.active_hopper,
                constants.operation_hopper,
                constants.byte_hopper,
            ),
            Generation::Blackwell => (
                constants.idle_blackwell,
                constants.active_blackwell,
                constants.operation_blackwell,
                constants.byte_blackwell,
            ),
        };
        Self {
            idle: idle * scale,
            active: active * scale,
            operation,
            byte: byte * device.memory_energy,
        }
    }
}

/// How many times longer work of `seconds` takes on a device because of its power limit, where it would take `joules`
/// without one and `idle` watts flow all the time. The times of measured devices are those under their limit; more than
/// that limit was never seen of the fitted energies, so no more is taken here.
pub(crate) fn throttle(device: &Device, idle: f64, joules: f64, seconds: f64) -> f64 {
    let room = HELD * device.power_limit - idle;
    if device.fitted || room <= 0.0 || seconds <= 0.0 {
        return 1.0;
    }
    let seen = HELD * reference_power(device.generation) * seconds;
    ((joules.min(seen) - idle * seconds) / (room * seconds)).max(1.0)
}
