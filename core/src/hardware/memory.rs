//! What of a processor's memory a model takes, and what the energy of a device is the energy of.

use super::cost::{Machine, Request};
use super::{CostModel, HardwareTarget};
use crate::error::Result;
use crate::profile::ModelProfile;
use crate::scenario::Scenario;
use crate::units::Bytes;
use serde::Serialize;

/// Memory that a model takes on all devices of a scenario together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MemoryUse {
    /// Weights as they lie there.
    pub weights: Bytes,
    /// Keys and values at the average context of the scenario, for the whole batch.
    pub cache: Bytes,
    /// What the largest layer reads and writes.
    pub activations: Bytes,
    /// What the devices have, of their main memory, or on the chip where they have no other.
    pub capacity: Bytes,
}

impl HardwareTarget {
    /// The memory that a model takes here; `None` for classes that are no processors.
    ///
    /// # Errors
    /// [`crate::Error::Infeasible`] when the model does not fit or cannot run.
    pub fn memory_use(
        &self,
        profile: &ModelProfile,
        scenario: &Scenario,
    ) -> Result<Option<MemoryUse>> {
        let CostModel::Processor(processor) = &self.model else {
            return Ok(None);
        };
        let request = Request {
            profile,
            scenario,
            machine: Machine::Real,
            explain: false,
            reading: false,
        };
        processor.memory_use(self, &request).map(Some)
    }

    /// What is in the energy of a model here, and what is not, in a clause.
    ///
    /// # Errors
    /// [`crate::Error::File`] when the constants that ship are broken.
    pub fn energy_scope(
        &self,
        profile: &ModelProfile,
        scenario: &Scenario,
    ) -> Result<&'static str> {
        Ok(match &self.model {
            CostModel::Processor(_) if self.is_fitted_for(profile, scenario)? => {
                "boards only: no host processor, fans or power supply"
            }
            CostModel::Processor(_) => {
                "the device alone: no host, no fans, no losses of a power supply"
            }
            CostModel::Fpga(_) => {
                "the logic with its static power and the memory on the board: no host, no losses of a power supply"
            }
            CostModel::Microcontroller(_) => {
                "the chip with its memory: no sensors, no losses of a power supply"
            }
            CostModel::Neuromorphic(_) => {
                "the chips with their static power: no host, no losses of a power supply"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use crate::model::ModelReference;
    use crate::outline::Outline;
    use crate::recipe::Recipe;
    use crate::scenario::Scenario;

    /// Norms and rounding of published counts.
    const ROUNDING: f64 = 0.02;

    #[test]
    fn seventy_billion_weights_of_two_bytes_take_140_gigabytes_and_a_token_of_cache_320_kib() {
        let reference: ModelReference = "catalogue:llama-3-1-70b".parse().unwrap();
        let outline = Outline::open(&reference).unwrap();
        let scenario = outline.scenario().unwrap();
        let profile = outline.predict(&Recipe::default()).unwrap();
        let target = find(&scenario.hardware).unwrap();
        let used = target.memory_use(&profile, &scenario).unwrap().unwrap();
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < ROUNDING;
        assert!(near(used.weights.0, 141.2e9), "{:?}", used.weights);
        // 2 × 80 layers × 8 heads × 128 × 2 bytes, 32 sequences, 500 tokens and half of 500.
        let cache = 2.0 * 80.0 * 8.0 * 128.0 * 2.0 * 32.0 * 750.0;
        assert!(near(used.cache.0, cache), "{:?}", used.cache);
        let sum = used.weights.0 + used.cache.0 + used.activations.0;
        assert!(used.activations.0 > 0.0 && sum <= used.capacity.0);
        let gibibytes = 80.0 * f64::from(1 << 30);
        assert!((used.capacity.0 / gibibytes / f64::from(scenario.devices) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn seventy_billion_weights_of_two_bytes_fit_one_h200() {
        let reference: ModelReference = "catalogue:llama-3-1-70b".parse().unwrap();
        let outline = Outline::open(&reference).unwrap();
        let scenario = Scenario {
            hardware: "nvidia-h200-sxm".to_owned(),
            batch: 1,
            ..outline.scenario().unwrap()
        };
        assert_eq!(outline.devices_for(&Recipe::default(), &scenario), Ok(1));
    }

    #[test]
    fn every_class_says_what_its_energy_covers() {
        let open = |name: &str| {
            let reference: ModelReference = name.parse().unwrap();
            Outline::open(&reference)
                .unwrap()
                .predict(&Recipe::default())
                .unwrap()
        };
        let scope = |hardware: &str, profile| {
            let target = find(hardware).unwrap();
            target.energy_scope(profile, &Scenario::default()).unwrap()
        };
        let language = open("catalogue:llama-3-1-8b");
        let images = open("catalogue:resnet-50");
        assert!(scope("nvidia-h100-sxm", &language).starts_with("boards only"));
        assert!(scope("nvidia-h100-sxm", &images).starts_with("the device alone"));
        assert!(scope("intel-loihi-1", &images).starts_with("the chips"));
    }
}
