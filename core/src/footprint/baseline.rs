//! The original as a saving counts it: at widths that the device holds, on as many devices as it needs.

use std::borrow::Cow;

use super::devices::on_fewest;
use crate::error::Result;
use crate::hardware::{HardwareTarget, Machine, Request};
use crate::profile::ModelProfile;
use crate::scenario::Scenario;

/// What a compressed model is compared with.
pub(crate) struct Baseline<'a> {
    /// Bits at which the original is counted where the device cannot hold it as it is.
    pub(crate) bits: Option<u8>,
    /// The original at those bits.
    pub(crate) profile: Cow<'a, ModelProfile>,
    /// The scenario, on the devices that it needs.
    pub(crate) scenario: Scenario,
}

impl<'a> Baseline<'a> {
    /// # Errors
    /// [`crate::Error::Infeasible`] where no number of devices can run it, saying what is said of those asked for.
    pub(crate) fn new(
        original: &'a ModelProfile,
        scenario: &Scenario,
        target: &HardwareTarget,
    ) -> Result<Self> {
        let bits = target.widest_bits().filter(|bits| {
            let mut layers = original.layers.iter().filter(|l| l.layer.compressible);
            layers.any(|l| l.weight_bits > *bits)
        });
        let profile = match bits {
            Some(bits) => Cow::Owned(narrow(original, bits)),
            None => Cow::Borrowed(original),
        };
        let (_, devices) = on_fewest(scenario, scenario.devices, |scenario| {
            target.cost(&Request {
                profile: &profile,
                scenario,
                machine: Machine::Real,
                explain: false,
                reading: false,
            })
        })?;
        let mut larger = scenario.clone();
        larger.set_devices(devices);
        Ok(Self {
            bits,
            profile,
            scenario: larger,
        })
    }
}

/// The same model with no width above `bits`.
fn narrow(profile: &ModelProfile, bits: u8) -> ModelProfile {
    let mut narrowed = profile.clone();
    for layer in &mut narrowed.layers {
        layer.weight_bits = layer.weight_bits.min(bits);
        layer.activation_bits = layer.activation_bits.min(bits.max(8));
    }
    narrowed
}
