//! What a training run costs in time, energy and CO2e, from its size or from the hours that it took, and when a
//! student's training has paid itself back.
//!
//! Both ways end in [`cost`]: device-hours × power × PUE × grid. A prediction only finds the device-hours first, from
//! operations, the peak of the device and the share of it that published runs reached. See METHODS.md.

mod constants;
mod payback;
mod student;

pub use constants::{Constants, PublishedRun, constants, utilization};
pub use payback::{Payback, payback};
pub use student::{Effort, StudentCost, cores_here, student};

use serde::{Deserialize, Serialize};

use crate::carbon::{self, Grid};
use crate::digits::{many, si, trimmed};
use crate::error::{Error, Result, plain};
use crate::footprint::Estimate;
use crate::hardware::{CostModel, Figure, HardwareTarget, Precision};
use crate::measurement::Provenance;
use crate::scenario::Scenario;
use crate::units::{Bytes, GramsCo2e, Joules, OpsPerSecond, Range, Seconds, Watts};

/// Operations per parameter and token, a multiply-accumulate being two: two forward and four backward (Kaplan et al.,
/// arXiv 2001.08361, section 2.1; Hoffmann et al., arXiv 2203.15556, appendix F).
pub const OPERATIONS_PER_PARAMETER: f64 = 6.0;

/// Operations of attention per layer, unit of width, token of context and token (Chowdhery et al., arXiv 2204.02311,
/// appendix B: 12 L H Q T).
const OPERATIONS_OF_ATTENTION: f64 = 12.0;

/// TF32 over FP16 on chips that have it (156 of 312 Top/s: NVIDIA A100 white paper; 654 of 1307: AMD MI300X data sheet).
const TF32_SHARE: f64 = 0.5;

/// The number format that the matrix products of a training run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingPrecision {
    /// Single precision.
    Fp32,
    /// Single precision rounded to 10 bits of mantissa on matrix units.
    Tf32,
    /// 16-bit floating point with sums in single precision.
    Mixed,
    /// 8-bit floating point with sums in single precision.
    Fp8,
}

impl TrainingPrecision {
    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Tf32 => "TF32",
            Self::Mixed => "mixed FP16 or BF16",
            Self::Fp8 => "FP8",
        }
    }

    /// Dense peak of a device in this format.
    ///
    /// # Errors
    /// [`Error::Infeasible`] where the device has none, naming what it has.
    pub fn peak(self, target: &HardwareTarget) -> Result<Range<OpsPerSecond>> {
        let CostModel::Processor(processor) = &target.model else {
            return Err(Error::Infeasible(format!(
                "{} is no processor that networks are trained on",
                target.name
            )));
        };
        let format = match self {
            Self::Fp32 => Precision::Fp32,
            // Both came to chips with the 2:4 pattern (Ampere, CDNA 3); earlier matrix units take 16 bits only.
            Self::Tf32 | Self::Mixed => Precision::Fp16,
            Self::Fp8 => Precision::Fp8,
        };
        let share = if self == Self::Tf32 { TF32_SHARE } else { 1.0 };
        processor
            .peak
            .get(&format)
            .filter(|_| self != Self::Tf32 || processor.two_of_four.is_some())
            .map(|peak| peak.range() * share)
            .ok_or_else(|| {
                let known: Vec<_> = processor.peak.keys().map(|format| format.name()).collect();
                Error::Infeasible(format!(
                    "{} has no {} arithmetic; it has {}",
                    target.name,
                    self.name(),
                    known.join(", ")
                ))
            })
    }

    /// Share of that peak which a whole run reaches.
    pub const fn utilization(self, constants: &Constants) -> &Figure<f64> {
        match self {
            Self::Fp8 => &constants.fp8_utilization,
            Self::Fp32 | Self::Tf32 | Self::Mixed => &constants.utilization,
        }
    }
}

/// Shapes of the attention of a transformer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Layers.
    pub layers: f64,
    /// Heads × width of a head.
    pub width: f64,
    /// Tokens of a training sequence.
    pub sequence: f64,
}

/// A training of a transformer by its size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transformer {
    /// All parameters.
    pub parameters: f64,
    /// Parameters that a token passes through; all of them where there are no experts.
    pub active: f64,
    /// Tokens seen, repetitions counted.
    pub tokens: f64,
    /// Shapes of the attention, where they are known; its operations are left out else.
    pub attention: Option<Attention>,
}

impl Transformer {
    /// Operations of the whole training and the formula for them.
    ///
    /// # Errors
    /// [`Error::Scenario`] for a number that is not above 0 or beyond any training, or more active parameters than
    /// parameters.
    pub fn operations(&self) -> Result<(f64, String)> {
        within(
            "the number of parameters",
            self.parameters,
            most::PARAMETERS,
        )?;
        within(
            "the number of active parameters",
            self.active,
            most::PARAMETERS,
        )?;
        within("the number of tokens", self.tokens, most::TOKENS)?;
        if self.active > self.parameters {
            return Err(Error::Scenario(format!(
                "{} parameters are active; the model has {}",
                many(self.active),
                many(self.parameters)
            )));
        }
        let mut per_token = OPERATIONS_PER_PARAMETER * self.active;
        let mut formula = format!("(6 × {} parameters", many(self.active));
        if let Some(attention) = &self.attention {
            within("the number of layers", attention.layers, most::LAYERS)?;
            within("the width", attention.width, most::SIZE)?;
            within("the sequence length", attention.sequence, most::SIZE)?;
            per_token +=
                OPERATIONS_OF_ATTENTION * attention.layers * attention.width * attention.sequence;
            formula += &format!(
                " + 12 × {} layers × {} wide × {} tokens of sequence",
                attention.layers, attention.width, attention.sequence
            );
        }
        let operations = per_token * self.tokens;
        formula += &format!(
            ") × {} tokens = {} operations",
            many(self.tokens),
            many(operations)
        );
        Ok((operations, formula))
    }

    /// Devices whose memory together holds weights, gradients and optimiser state; `None` where the device's memory is
    /// not known.
    ///
    /// # Errors
    /// The constants that ship with the program are broken.
    pub fn devices_to_hold(&self, target: &HardwareTarget) -> Result<Option<f64>> {
        let CostModel::Processor(processor) = &target.model else {
            return Ok(None);
        };
        let Some(memory) = &processor.memory else {
            return Ok(None);
        };
        let state = Bytes(self.parameters * constants()?.state_bytes.typical);
        Ok(Some((state / memory.capacity.typical).ceil()))
    }
}

/// What a training can be told of, far beyond every published run and every machine that is planned.
mod most {
    /// Parameters.
    pub(super) const PARAMETERS: f64 = 1e16;
    /// Tokens.
    pub(super) const TOKENS: f64 = 1e18;
    /// Layers.
    pub(super) const LAYERS: f64 = 1e5;
    /// Width of all heads together, tokens of a sequence.
    pub(super) const SIZE: f64 = 1e9;
    /// Watts of one device with its part of the server.
    pub(super) const WATTS: f64 = 1e5;
    /// Device-hours: a hundred million devices for ten years.
    pub(super) const DEVICE_HOURS: f64 = 1e13;
}

/// A number above 0 and up to `most`.
fn within(name: &str, value: f64, most: f64) -> Result<()> {
    if value > 0.0 && value <= most {
        Ok(())
    } else {
        Err(Error::Scenario(format!(
            "{name} is {}; it must be above 0 and at most {}",
            plain(value),
            plain(most)
        )))
    }
}

/// A mass as formulas write it: grams with a prefix, from a tonne on in tonnes.
fn mass(grams: GramsCo2e) -> String {
    const TONNE: f64 = 1e6;
    if grams.0 >= TONNE {
        si(grams.0 / TONNE, "t")
    } else {
        si(grams.0, "g")
    }
}

fn modelled(formula: String) -> Provenance {
    Provenance::Modelled { formula }
}

/// Device-seconds that operations take: operations / (peak × utilisation). `utilization` replaces the published range.
///
/// # Errors
/// [`Error::Infeasible`] for a device without that arithmetic; [`Error::Scenario`] for a utilisation that is not above
/// 0 and at most 1.
pub fn device_time(
    (operations, formula): (f64, String),
    precision: TrainingPrecision,
    target: &HardwareTarget,
    utilization: Option<f64>,
) -> Result<Estimate<Seconds>> {
    let peak = precision.peak(target)?;
    let (share, source) = match utilization {
        Some(share) if share > 0.0 && share <= 1.0 => (Range::exact(share), "as given"),
        Some(share) => {
            return Err(Error::Scenario(format!(
                "the utilisation of the peak is {share}; it must be above 0 and at most 1"
            )));
        }
        None => {
            let figure = precision.utilization(constants()?);
            (figure.range(), figure.source.as_str())
        }
    };
    let rate = peak.with(share, |peak, share| peak * share);
    let range = rate.map_decreasing(|rate| Seconds(operations / rate.0));
    Ok(Estimate {
        provenance: modelled(format!(
            "{formula}; / ({} {} × {} [{}, {}] reached) = {} device-seconds; the share reached: {source}",
            si(peak.typical.0, "op/s"),
            precision.name(),
            trimmed(share.typical, 3),
            trimmed(share.low, 3),
            trimmed(share.high, 3),
            many(range.typical.0)
        )),
        range,
    })
}

/// Mean power of one device with its part of the server. `watts` replaces the model.
///
/// # Errors
/// [`Error::Scenario`] for a power that is not above 0 or beyond any device's.
pub fn device_power(target: &HardwareTarget, watts: Option<Watts>) -> Result<Estimate<Watts>> {
    if let Some(watts) = watts {
        return given_power(watts);
    }
    let share = constants()?.power(target.class);
    let limit = target.power_limit.range();
    let range = limit.with(share.range(), |limit, share| limit * share);
    Ok(Estimate {
        range,
        provenance: modelled(format!(
            "{} power limit × {} [{}, {}] = {}; the factor: {}",
            si(limit.typical.0, "W"),
            trimmed(share.typical, 3),
            trimmed(share.range().low, 3),
            trimmed(share.range().high, 3),
            si(range.typical.0, "W"),
            share.source
        )),
    })
}

/// A power that somebody measured.
///
/// # Errors
/// [`Error::Scenario`] for a power that is not above 0 or beyond any device's.
pub fn given_power(watts: Watts) -> Result<Estimate<Watts>> {
    within("the power in watts", watts.0, most::WATTS)?;
    Ok(Estimate {
        range: Range::exact(watts),
        provenance: Provenance::Assumed {
            reason: format!("{} W per device, as given", watts.0),
        },
    })
}

/// A time that somebody measured, in device-hours.
///
/// # Errors
/// [`Error::Scenario`] for a time that is not above 0 or beyond any run's.
pub fn given_time(device_hours: f64) -> Result<Estimate<Seconds>> {
    const SECONDS_PER_HOUR: f64 = 3600.0;
    within(
        "the number of device-hours",
        device_hours,
        most::DEVICE_HOURS,
    )?;
    Ok(Estimate {
        range: Range::exact(Seconds(device_hours * SECONDS_PER_HOUR)),
        provenance: Provenance::Assumed {
            reason: format!("{} device-hours, as given", many(device_hours)),
        },
    })
}

/// What a training run costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingCost {
    /// Device-seconds: time × devices.
    pub device_time_s: Estimate<Seconds>,
    /// Mean power of one device with its part of the server.
    pub power_w: Estimate<Watts>,
    /// Energy at the machines.
    pub machine_energy_j: Estimate<Joules>,
    /// Energy with the building.
    pub energy_j: Estimate<Joules>,
    /// Emissions of that electricity.
    pub operational_g: Estimate<GramsCo2e>,
    /// The share of the emissions of making the devices; `None` where no device is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embodied_g: Option<Estimate<GramsCo2e>>,
    /// Both together.
    pub co2e_g: Estimate<GramsCo2e>,
}

/// Energy and emissions of devices that were busy for a time: device-seconds × watts × PUE × grams per kilowatt-hour,
/// and the embodied share where the device is known. Of the scenario, PUE, lifetime and utilisation count.
///
/// # Errors
/// [`Error::Scenario`] where a figure of it would be no number.
pub fn cost(
    device_time: Estimate<Seconds>,
    power: Estimate<Watts>,
    target: Option<&HardwareTarget>,
    scenario: &Scenario,
    grid: &Grid,
) -> Result<TrainingCost> {
    let machine = device_time
        .range
        .with(power.range, |time, watts| watts * time);
    let energy = machine * scenario.pue;
    let operational = carbon::operational(machine, scenario.pue, grid);
    let embodied = target.map(|target| embodied(target, 1, device_time.range, scenario));
    let co2e = embodied
        .as_ref()
        .map_or(operational, |embodied| operational + embodied.range);
    let formula = format!(
        "{} device-seconds × {} = {}",
        many(device_time.range.typical.0),
        si(power.range.typical.0, "W"),
        si(machine.typical.0, "J")
    );
    let building = format!(
        "{formula} × PUE {} = {}",
        scenario.pue,
        si(energy.typical.0, "J")
    );
    let grams = format!(
        "{building} / 3.6 MJ per kWh × {} g/kWh ({}) = {}",
        trimmed(grid.intensity.typical.0, 3),
        grid.name,
        mass(operational.typical)
    );
    let both = if embodied.is_some() {
        format!("{grams}, and the embodied share")
    } else {
        format!("{grams}; making the devices is left out, as no hardware is named")
    };
    for (name, unit, range) in [
        (
            "the time",
            "device-seconds",
            device_time.range.map(|time| time.0),
        ),
        ("the energy", "J", energy.map(|joules| joules.0)),
        ("the CO2e", "g", co2e.map(|grams| grams.0)),
    ] {
        let values = [range.low, range.typical, range.high];
        if let Some(wrong) = values
            .iter()
            .find(|value| !(value.is_finite() && **value >= 0.0))
        {
            return Err(Error::Scenario(format!(
                "{name} of this training is {} {unit}, which no training takes",
                plain(*wrong)
            )));
        }
    }
    Ok(TrainingCost {
        device_time_s: device_time,
        power_w: power,
        machine_energy_j: Estimate {
            range: machine,
            provenance: modelled(formula),
        },
        energy_j: Estimate {
            range: energy,
            provenance: modelled(building),
        },
        operational_g: Estimate {
            range: operational,
            provenance: modelled(grams),
        },
        embodied_g: embodied,
        co2e_g: Estimate {
            range: co2e,
            provenance: modelled(both),
        },
    })
}

/// Share of the emissions of making devices that falls on their time.
fn embodied(
    target: &HardwareTarget,
    devices: u32,
    time: Range<Seconds>,
    scenario: &Scenario,
) -> Estimate<GramsCo2e> {
    let per_device = target.embodied_range();
    let range = carbon::embodied(per_device, Range::exact(f64::from(devices)), time, scenario);
    let known = match &target.embodied {
        Some(figure) => figure.source.as_str(),
        None => "not published; assumed by power limit",
    };
    Estimate {
        provenance: modelled(format!(
            "{} × {devices} ({known}) × {} seconds / ({} years × {} busy) = {}",
            mass(per_device.typical),
            many(time.typical.0),
            scenario.lifetime_years,
            scenario.utilization,
            mass(range.typical)
        )),
        range,
    }
}

#[cfg(test)]
mod tests;
