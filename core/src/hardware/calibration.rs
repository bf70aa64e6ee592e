//! [`Calibration`]: constants of this machine that were measured on it, kept beside the settings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::figure::{Figure, Trust};
use super::figures::plausible;
use super::{CostModel, HardwareTarget, PackedKernels, Precision, identity};
use crate::error::{Error, Result};
use crate::files;
use crate::spread::Spread;
use crate::units::{BytesPerSecond, OpsPerSecond, Seconds};

/// Integer operations per single-precision operation on vector units: twice as many 16-bit products as 32-bit ones fit
/// into a vector; from none gained to the fourfold of instructions for 8-bit dot products. Assumed.
const INTEGER_GAIN: (f64, f64, f64) = (1.0, 2.0, 4.0);

/// What `wattif calibrate --this-machine` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The processor and its cores; on another machine the file is left aside.
    pub machine: String,
    /// Day of the measurement, year-month-day.
    pub date: String,
    /// Bytes per second that all cores read from memory.
    pub memory_bandwidth: Spread,
    /// Bytes per second that all cores read from their caches.
    pub cache_bandwidth: Spread,
    /// Operations per second in single-precision matrix products of the sizes of the bundled models' layers.
    pub single_precision: Spread,
    /// Share of the speed predicted from these products alone that whole forward passes reach, at most 1.
    pub whole_pass: Spread,
    /// Seconds to start a layer.
    pub launch: Spread,
    /// Kernels for packed weights; absent in files from before they were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<PackedCalibration>,
}

/// What was measured of kernels for packed weights, with all threads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedCalibration {
    /// Operations per second with 8-bit weights (Q8_0), without the start of each product.
    pub eight_bits: Spread,
    /// The same with 4-bit weights (Q4_0).
    pub four_bits: Spread,
    /// Seconds to start a product.
    pub launch: Spread,
    /// Share of the speed predicted from these products alone that whole passes reach, at most 1.
    pub whole_pass: Spread,
}

/// Longest start of a product that is a property of threads that wait for each other, not of other programs that keep
/// them from running: a tenth of a scheduler's shortest tick of 1 ms (assumed).
const LONGEST_START: f64 = 100e-6;

impl PackedCalibration {
    /// Whether the kernels were measured, and not other programs.
    pub(crate) fn is_of_kernels(&self) -> bool {
        self.launch.median <= LONGEST_START
    }
}

impl Calibration {
    /// The file in a configuration folder.
    pub fn path(configuration: &Path) -> PathBuf {
        configuration.join("this-machine.ron")
    }

    /// What was kept in a configuration folder; `None` where nothing was.
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be read or makes no sense.
    pub fn load(configuration: &Path) -> Result<Option<Self>> {
        let path = Self::path(configuration);
        let Some(text) = files::read_text_if_there(&path, files::LONGEST_SETTINGS)? else {
            return Ok(None);
        };
        let calibration: Self = ron::from_str(&text)
            .map_err(|error| Error::file(format!("line {error}"), path.clone()))?;
        match calibration.nonsense() {
            Some(fact) => Err(Error::file(fact, path)),
            None => Ok(Some(calibration)),
        }
    }

    /// What is wrong with the values, if anything.
    fn nonsense(&self) -> Option<String> {
        let mut spreads = vec![
            (
                "memory_bandwidth",
                self.memory_bandwidth,
                "memory bandwidth",
            ),
            ("cache_bandwidth", self.cache_bandwidth, "on_chip bandwidth"),
            ("single_precision", self.single_precision, "peak"),
            ("whole_pass", self.whole_pass, "compute_efficiency"),
            ("launch", self.launch, "launch"),
        ];
        if let Some(packed) = &self.packed {
            spreads.extend([
                ("packed eight_bits", packed.eight_bits, "packed rate"),
                ("packed four_bits", packed.four_bits, "packed rate"),
                ("packed launch", packed.launch, "packed launch"),
                ("packed whole_pass", packed.whole_pass, "packed efficiency"),
            ]);
        }
        for (name, spread, figure) in spreads {
            let values = [spread.lower_quartile, spread.median, spread.upper_quartile];
            if !values.iter().all(|v| v.is_finite() && *v > 0.0) || !values.is_sorted() {
                return Some(format!(
                    "{name} does not rise from above 0 through its quartiles"
                ));
            }
            if let Some(fact) = plausible(figure).fault(values, "") {
                return Some(format!("{name} {fact}"));
            }
        }
        None
    }

    /// Keeps it in a configuration folder and returns the file's path.
    ///
    /// # Errors
    /// [`Error::File`] where the values make no sense, as of a machine that was kept from running, or where the folder
    /// cannot be written.
    pub fn save(&self, configuration: &Path) -> Result<PathBuf> {
        let path = Self::path(configuration);
        if let Some(fact) = self.nonsense() {
            return Err(Error::file(format!("not kept: {fact}"), path));
        }
        let text = ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::new().depth_limit(1))
            .map_err(|error| Error::file(error.to_string(), path.clone()))?;
        fs::create_dir_all(configuration)
            .map_err(|error| Error::file(format!("cannot be written ({error})"), path.clone()))?;
        files::replace_with(&path, text + "\n")?;
        Ok(path)
    }

    /// Deletes what was kept in a configuration folder, so that the assumed constants return; nothing kept is no error.
    ///
    /// # Errors
    /// [`Error::File`] where the file cannot be deleted.
    pub fn forget(configuration: &Path) -> Result<()> {
        let path = Self::path(configuration);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file(format!("cannot be deleted ({error})"), path))
            }
            _ => Ok(()),
        }
    }

    /// What was measured, as people call it, with its unit.
    pub fn constants(&self) -> Vec<(&'static str, &'static str, Spread)> {
        let mut constants = vec![
            ("memory bandwidth", "B/s", self.memory_bandwidth),
            ("cache bandwidth", "B/s", self.cache_bandwidth),
            (
                "single-precision matrix products",
                "op/s",
                self.single_precision,
            ),
            ("share of that in whole passes", "", self.whole_pass),
            ("start of a layer", "s", self.launch),
        ];
        if let Some(packed) = &self.packed {
            constants.extend([
                (
                    "products with packed 8-bit weights",
                    "op/s",
                    packed.eight_bits,
                ),
                (
                    "products with packed 4-bit weights",
                    "op/s",
                    packed.four_bits,
                ),
                ("start of such a product", "s", packed.launch),
                ("share of those in whole passes", "", packed.whole_pass),
            ]);
        }
        constants
    }

    /// Whether it was measured on the machine that the program runs on.
    pub(super) fn is_of_this_machine(&self) -> bool {
        self.machine == identity()
    }

    /// Puts what was measured in place of what the device assumed.
    pub(super) fn apply(&self, target: &mut HardwareTarget) {
        let CostModel::Processor(processor) = &mut target.model else {
            return;
        };
        let rate = self.single_precision;
        for (precision, figure) in &mut processor.peak {
            if *precision == Precision::Fp32 {
                *figure = self.figure(
                    rate,
                    OpsPerSecond,
                    "matrix products of the bundled models' layers",
                );
            } else {
                let (low, typical, high) = INTEGER_GAIN;
                *figure = Figure {
                    low: Some(OpsPerSecond(rate.lower_quartile * low)),
                    typical: OpsPerSecond(rate.median * typical),
                    high: Some(OpsPerSecond(rate.upper_quartile * high)),
                    source: format!(
                        "{low} to {high} times the measured single-precision rate (assumed)"
                    ),
                    trust: Trust::Assumed,
                };
            }
        }
        if let Some(packed) = &self.packed {
            processor.packed = Some(Box::new(self.kernels(packed)));
        }
        if let Some(memory) = &mut processor.memory {
            memory.bandwidth = self.figure(self.memory_bandwidth, BytesPerSecond, "reading 256 MB");
        }
        processor.on_chip.bandwidth = self.figure(
            self.cache_bandwidth,
            BytesPerSecond,
            "reading 512 kB per core",
        );
        processor.launch = self.figure(self.launch, Seconds, "layers one number wide");
        processor.compute_efficiency = self.figure(
            self.whole_pass,
            std::convert::identity,
            "whole forward passes of the bundled models, beside their products alone",
        );
        processor.bandwidth_efficiency = Figure {
            low: None,
            typical: 1.0,
            high: None,
            source: "the bandwidths are those that were reached".to_owned(),
            trust: Trust::Derived,
        };
        target.notes = format!(
            "Bandwidths, arithmetic rate and the time to start a layer were measured here on {}; power is assumed",
            self.date
        );
    }

    fn kernels(&self, packed: &PackedCalibration) -> PackedKernels {
        let rate = |spread, what| self.figure(spread, OpsPerSecond, what);
        PackedKernels {
            rate: BTreeMap::from([
                (
                    4,
                    rate(
                        packed.four_bits,
                        "products with Q4_0 weights of those layers",
                    ),
                ),
                (
                    8,
                    rate(
                        packed.eight_bits,
                        "products with Q8_0 weights of those layers",
                    ),
                ),
            ]),
            efficiency: self.figure(
                packed.whole_pass,
                std::convert::identity,
                "whole forward passes with packed weights, beside their products alone",
            ),
            launch: self.figure(
                packed.launch,
                Seconds,
                "a product of 32 by 32 packed weights",
            ),
        }
    }

    fn figure<T>(&self, spread: Spread, unit: fn(f64) -> T, what: &str) -> Figure<T> {
        Figure {
            low: Some(unit(spread.lower_quartile)),
            typical: unit(spread.median),
            high: Some(unit(spread.upper_quartile)),
            source: format!(
                "measured here on {} by `wattif calibrate --this-machine`: {what}, {} repeats",
                self.date, spread.repeats
            ),
            trust: Trust::Detected,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hardware::this_machine;

    /// Constants of a machine that could be.
    pub(crate) fn sample(machine: String) -> Calibration {
        let spread = |median: f64| Spread {
            lower_quartile: 0.9 * median,
            median,
            upper_quartile: 1.2 * median,
            repeats: 11,
        };
        Calibration {
            machine,
            date: "2026-01-31".to_owned(),
            memory_bandwidth: spread(2e10),
            cache_bandwidth: spread(1e11),
            single_precision: spread(8e10),
            whole_pass: spread(0.6),
            launch: spread(3e-7),
            packed: Some(PackedCalibration {
                eight_bits: spread(6e10),
                four_bits: spread(5e10),
                launch: spread(4e-6),
                whole_pass: spread(0.5),
            }),
        }
    }

    #[test]
    fn a_calibration_is_found_again_and_a_senseless_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Calibration::load(folder.path()), Ok(None));
        let calibration = sample("a chip".to_owned());
        let path = calibration.save(folder.path()).unwrap();
        assert_eq!(
            Calibration::load(folder.path()),
            Ok(Some(calibration.clone()))
        );
        for _ in 0..2 {
            assert_eq!(Calibration::forget(folder.path()), Ok(()));
            assert_eq!(Calibration::load(folder.path()), Ok(None));
        }
        calibration.save(folder.path()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for (from, to, fact) in [
            (
                "median: 20000000000.0",
                "median: 1",
                "memory_bandwidth does not rise",
            ),
            ("date:", "day:", "line 3"),
            (
                "upper_quartile: 0.72",
                "upper_quartile: 1.72",
                "whole_pass is 1.72; it must lie between 0.0001 and 1",
            ),
            (
                "lower_quartile: 2.7e-7",
                "lower_quartile: -1",
                "launch does not rise",
            ),
            (
                "lower_quartile: 0.45",
                "lower_quartile: 0.6",
                "packed whole_pass does not rise",
            ),
        ] {
            assert!(text.contains(from), "{text}");
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let message = Calibration::load(folder.path()).unwrap_err().to_string();
            assert!(message.starts_with(fact), "{message}");
        }
    }

    #[test]
    fn a_file_from_before_packed_kernels_were_measured_still_counts() {
        let folder = tempfile::tempdir().unwrap();
        let old = Calibration {
            packed: None,
            ..sample(identity())
        };
        let path = old.save(folder.path()).unwrap();
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains("packed"), "{text}");
        assert_eq!(Calibration::load(folder.path()), Ok(Some(old.clone())));
        let kernels = |calibration: Option<&Calibration>| {
            let CostModel::Processor(processor) = this_machine(calibration).unwrap().model else {
                panic!("this machine is a processor");
            };
            processor.packed.unwrap()
        };
        let assumed = kernels(None);
        assert_eq!(kernels(Some(&old)), assumed);
        let rates = assumed.rate.values();
        assert!(rates.clone().count() == 2 && rates.clone().all(|r| r.trust == Trust::Assumed));
        let measured = kernels(Some(&sample(identity())));
        assert_eq!(
            (measured.rate[&8].typical.0, measured.launch.typical.0),
            (6e10, 4e-6)
        );
        assert_eq!(measured.rate[&4].trust, Trust::Detected);
        assert_eq!(measured.efficiency.typical, 0.5);
    }

    #[test]
    fn measured_constants_replace_assumed_ones_only_on_their_machine() {
        let plain = this_machine(None).unwrap();
        assert_eq!(
            this_machine(Some(&sample("another chip".to_owned()))).unwrap(),
            plain
        );
        let calibrated = this_machine(Some(&sample(identity()))).unwrap();
        assert_eq!(calibrated.check(), Ok(()));
        let (CostModel::Processor(before), CostModel::Processor(after)) =
            (&plain.model, &calibrated.model)
        else {
            panic!("this machine is a processor");
        };
        let rate = &after.peak[&Precision::Fp32];
        assert_eq!((rate.typical.0, rate.trust), (8e10, Trust::Detected));
        assert!(rate.source.contains("2026-01-31"), "{}", rate.source);
        assert_eq!(after.launch.typical.0, 3e-7);
        assert_eq!(after.compute_efficiency.typical, 0.6);
        assert_eq!(
            after.energy_per_op, before.energy_per_op,
            "no watt was measured"
        );
        assert_eq!(calibrated.power_limit, plain.power_limit);
    }
}
