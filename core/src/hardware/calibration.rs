//! [`Calibration`]: constants of this machine that were measured on it, kept beside the settings.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::figure::{Figure, Trust};
use super::{CostModel, HardwareTarget, Precision, identity};
use crate::benchmark::Spread;
use crate::error::{Error, Result};
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
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(format!("cannot be read ({error})"), path)),
        };
        let calibration: Self = ron::from_str(&text)
            .map_err(|error| Error::file(format!("line {error}"), path.clone()))?;
        for (name, spread) in [
            ("memory_bandwidth", calibration.memory_bandwidth),
            ("cache_bandwidth", calibration.cache_bandwidth),
            ("single_precision", calibration.single_precision),
            ("whole_pass", calibration.whole_pass),
            ("launch", calibration.launch),
        ] {
            let values = [spread.lower_quartile, spread.median, spread.upper_quartile];
            if !values.iter().all(|v| v.is_finite() && *v > 0.0) || !values.is_sorted() {
                return Err(Error::file(
                    format!("{name} does not rise from above 0 through its quartiles"),
                    path,
                ));
            }
        }
        if calibration.whole_pass.upper_quartile > 1.0 {
            return Err(Error::file("whole_pass is above 1", path));
        }
        Ok(Some(calibration))
    }

    /// Keeps it in a configuration folder and returns the file's path.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be written.
    pub fn save(&self, configuration: &Path) -> Result<PathBuf> {
        let path = Self::path(configuration);
        let text = ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::new().depth_limit(1))
            .map_err(|error| Error::file(error.to_string(), path.clone()))?;
        fs::create_dir_all(configuration)
            .and_then(|()| fs::write(&path, text + "\n"))
            .map_err(|error| Error::file(format!("cannot be written ({error})"), path.clone()))?;
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
    pub fn constants(&self) -> [(&'static str, &'static str, Spread); 5] {
        [
            ("memory bandwidth", "B/s", self.memory_bandwidth),
            ("cache bandwidth", "B/s", self.cache_bandwidth),
            (
                "single-precision matrix products",
                "op/s",
                self.single_precision,
            ),
            ("share of that in whole passes", "", self.whole_pass),
            ("start of a layer", "s", self.launch),
        ]
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
                "whole_pass is above 1",
            ),
            (
                "lower_quartile: 2.7e-7",
                "lower_quartile: -1",
                "launch does not rise",
            ),
        ] {
            assert!(text.contains(from), "{text}");
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let message = Calibration::load(folder.path()).unwrap_err().to_string();
            assert!(message.starts_with(fact), "{message}");
        }
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
