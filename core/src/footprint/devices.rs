//! How many devices a model needs.

use super::{Footprint, footprint};
use crate::carbon::Grid;
use crate::error::{Error, Result};
use crate::hardware::HardwareTarget;
use crate::profile::ModelProfile;
use crate::scenario::Scenario;

/// Most devices that are tried beyond those asked for.
const MOST: u32 = 64;

/// The footprint on the fewest devices that can run a model in a scenario, with that number: `least`, or the next powers
/// of two. Pipeline stages are kept where they still divide it.
///
/// # Errors
/// As [`footprint`]; where no number of devices can run it, what is said of `least`.
pub fn on_fewest_devices(
    profile: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
    grid: &Grid,
    least: u32,
) -> Result<(Footprint, u32)> {
    on_fewest(scenario, least, |scenario| {
        footprint(profile, scenario, target, grid)
    })
}

/// What `run` gives on the fewest devices that it is feasible on, with that number, as in [`on_fewest_devices`].
pub(super) fn on_fewest<T>(
    scenario: &Scenario,
    least: u32,
    run: impl Fn(&Scenario) -> Result<T>,
) -> Result<(T, u32)> {
    let on = |devices: u32| {
        let mut shared = scenario.clone();
        shared.set_devices(devices);
        run(&shared).map(|result| (result, devices))
    };
    let refused = match on(least) {
        Err(Error::Infeasible(fact)) => Error::Infeasible(fact),
        other => return other,
    };
    let mut devices = least.saturating_add(1).next_power_of_two();
    while devices <= MOST {
        match on(devices) {
            Err(Error::Infeasible(_)) => devices *= 2,
            other => return other,
        }
    }
    Err(refused)
}
