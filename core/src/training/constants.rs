//! The constants of training, from `assets/training.ron`.

use std::sync::OnceLock;

use serde::Deserialize;

use super::OPERATIONS_PER_PARAMETER;
use crate::error::{Error, Result};
use crate::hardware::{self, Figure, HardwareClass, Trust};
use crate::serving::weighted_quantile;

const FILE: &str = include_str!("../../../assets/training.ron");

const SECONDS_PER_HOUR: f64 = 3600.0;

/// A training run whose size and device-hours were published.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedRun {
    /// Name of the model.
    pub name: String,
    /// Models that were trained by the same people with the same software count as one.
    pub family: String,
    /// Parameters that a token passes through.
    pub parameters: f64,
    /// Tokens seen.
    pub tokens: f64,
    /// Identifier of the device.
    pub hardware: String,
    /// Devices × hours of the whole run.
    pub device_hours: f64,
    /// Where it is printed.
    pub source: String,
    /// How far it can be trusted.
    pub trust: Trust,
}

impl PublishedRun {
    /// 6 × parameters × tokens / (device-hours × dense 16-bit peak), 0 to 1.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a device that is in no catalogue; [`Error::Infeasible`] for one without 16-bit arithmetic.
    pub fn utilization(&self) -> Result<f64> {
        let target = hardware::find(&self.hardware)?;
        let peak = super::TrainingPrecision::Mixed.peak(target)?.typical.0;
        let operations = OPERATIONS_PER_PARAMETER * self.parameters * self.tokens;
        Ok(operations / (self.device_hours * SECONDS_PER_HOUR * peak))
    }
}

type Row = (String, String, f64, f64, String, f64, String, Trust);

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    runs: Vec<Row>,
    fp8_utilization: Figure<f64>,
    power_gpu: Figure<f64>,
    power_tpu: Figure<f64>,
    power_other: Figure<f64>,
    state_bytes: Figure<f64>,
}

/// The constants of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Constants {
    /// The runs behind [`Self::utilization`].
    pub runs: Vec<PublishedRun>,
    /// Share of the peak that a whole run reaches at 32 and 16 bits.
    pub utilization: Figure<f64>,
    /// The same of the 8-bit peak.
    pub fp8_utilization: Figure<f64>,
    /// Bytes per parameter that training keeps.
    pub state_bytes: Figure<f64>,
    power_gpu: Figure<f64>,
    power_tpu: Figure<f64>,
    power_other: Figure<f64>,
}

impl Constants {
    /// Mean power of a device with its part of the server, over the device's power limit.
    pub const fn power(&self, class: HardwareClass) -> &Figure<f64> {
        match class {
            HardwareClass::Gpu => &self.power_gpu,
            HardwareClass::Tpu => &self.power_tpu,
            _ => &self.power_other,
        }
    }
}

/// The share of the peak that published runs reach: the lowest, the median in which every family weighs the same, and
/// the highest.
///
/// # Errors
/// Those of [`PublishedRun::utilization`].
pub fn utilization(runs: &[&PublishedRun]) -> Result<Figure<f64>> {
    let values = runs
        .iter()
        .map(|run| {
            let family = runs.iter().filter(|other| other.family == run.family);
            Ok((run.utilization()?, 1.0 / family.count() as f64))
        })
        .collect::<Result<Vec<_>>>()?;
    let reached = || values.iter().map(|(value, _)| *value);
    Ok(Figure {
        low: reached().reduce(f64::min),
        typical: weighted_quantile(&values, 0.5),
        high: reached().reduce(f64::max),
        source: format!(
            "lowest, median (every family counted alike) and highest of {} published runs, in assets/training.ron \
             with their sources",
            values.len()
        ),
        trust: Trust::Derived,
    })
}

fn parse(text: &str) -> Result<Constants> {
    let fail = |fact: String| Error::file(fact, "assets/training.ron");
    let options =
        ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
    let file: File = options
        .from_str(text)
        .map_err(|error| fail(error.to_string()))?;
    for (name, figure) in [
        ("fp8_utilization", &file.fp8_utilization),
        ("power_gpu", &file.power_gpu),
        ("power_tpu", &file.power_tpu),
        ("power_other", &file.power_other),
        ("state_bytes", &file.state_bytes),
    ] {
        figure.check(name).map_err(fail)?;
    }
    let runs: Vec<PublishedRun> = file
        .runs
        .into_iter()
        .map(
            |(name, family, parameters, tokens, hardware, device_hours, source, trust)| {
                PublishedRun {
                    name,
                    family,
                    parameters,
                    tokens,
                    hardware,
                    device_hours,
                    source,
                    trust,
                }
            },
        )
        .collect();
    let utilization = utilization(&runs.iter().collect::<Vec<_>>())?;
    utilization.check("utilization").map_err(fail)?;
    Ok(Constants {
        utilization,
        runs,
        fp8_utilization: file.fp8_utilization,
        state_bytes: file.state_bytes,
        power_gpu: file.power_gpu,
        power_tpu: file.power_tpu,
        power_other: file.power_other,
    })
}

/// The constants that ship with the program.
///
/// # Errors
/// [`Error::File`] when that file is broken.
pub fn constants() -> Result<&'static Constants> {
    static CONSTANTS: OnceLock<Result<Constants>> = OnceLock::new();
    match CONSTANTS.get_or_init(|| parse(FILE)) {
        Ok(constants) => Ok(constants),
        Err(error) => Err(error.clone()),
    }
}
