//! How many devices a model needs.

use super::{Footprint, footprint};
use crate::carbon::Grid;
use crate::error::{Error, Result};
use crate::hardware::HardwareTarget;
use crate::profile::ModelProfile;
use crate::scenario::Scenario;

/// Most devices that are tried: 2 to this power.
const MOST_DOUBLINGS: u32 = 6;

/// The footprint on the fewest devices, a power of two and at least `least`, that can run a model in a scenario, with
/// that number. Pipeline stages are kept where they still divide it.
///
/// # Errors
/// As [`footprint`]; where no number of devices can run it, what is said of one.
pub fn on_fewest_devices(
    profile: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
    grid: &Grid,
    least: u32,
) -> Result<(Footprint, u32)> {
    let mut refused = None;
    for devices in (0..=MOST_DOUBLINGS).map(|doublings| 1 << doublings) {
        if devices < least {
            continue;
        }
        let mut shared = scenario.clone();
        shared.set_devices(devices);
        match footprint(profile, &shared, target, grid) {
            Err(Error::Infeasible(fact)) => {
                refused.get_or_insert(Error::Infeasible(fact));
            }
            other => return other.map(|footprint| (footprint, devices)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::Infeasible(format!(
            "more than {} devices are not tried",
            1 << MOST_DOUBLINGS
        ))
    }))
}
