//! [`Footprint`]: what running a model costs. Pure arithmetic on a [`ModelProfile`] and a [`Scenario`].

mod baseline;
#[cfg(test)]
mod by_hand;
mod devices;
#[cfg(test)]
mod formulas;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod perturbed;
#[cfg(test)]
mod sentences;
#[cfg(test)]
mod stages;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use crate::hardware::{Bottleneck, Bound, EnergyBreakdown, LayerCost, TimeBreakdown};
pub(crate) use baseline::Baseline;
pub use devices::on_fewest_devices;

use crate::carbon::{self, Grid};
use crate::digits::{many, si, trimmed};
use crate::error::{Error, Result};
use crate::hardware::{Cost, Explanation, HardwareTarget, Machine, Request};
use crate::measurement::Provenance;
use crate::profile::ModelProfile;
use crate::scenario::Scenario;
use crate::units::{GramsCo2e, Joules, Range, Seconds, UnitsPerSecond};

/// A range together with where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate<T> {
    /// Low, typical and high value.
    #[serde(flatten)]
    pub range: Range<T>,
    /// Where it comes from, with the formula and its values.
    pub provenance: Provenance,
}

/// What running a model costs on one hardware target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    /// Units of work per second, all devices together.
    pub throughput: Estimate<UnitsPerSecond>,
    /// Time from the start of a batch to its end; for language models per generated token.
    pub latency: Estimate<Seconds>,
    /// Energy per unit of work at the machine, without the building.
    pub energy_per_unit: Estimate<Joules>,
    /// Where the typical energy goes.
    pub breakdown: EnergyBreakdown,
    /// Emissions per unit of work: electricity with the building, and the embodied share.
    pub co2e_per_unit: Estimate<GramsCo2e>,
    /// The embodied part of `co2e_per_unit`.
    pub embodied_per_unit: Estimate<GramsCo2e>,
    /// Emissions per day at the scenario's demand.
    pub co2e_per_day: Estimate<GramsCo2e>,
    /// Devices needed to serve the demand, at least those that share the model.
    pub devices_for_demand: u64,
    /// Typical cost layer by layer.
    pub layers: Vec<LayerCost>,
    /// In one clause, what limits the speed.
    pub limit: String,
    /// In one sentence, what limits the speed and what of the recipe this hardware could not use.
    pub explanation: String,
}

/// A saving as a fraction of the original: 0.75 means a quarter is left, negative means that it grew.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// What the bits and zeros promise: a machine that uses every bit not stored and every zero.
    pub nominal: f64,
    /// What the exported file gives: a machine that reads the file as it is and computes densely.
    pub stored: f64,
    /// What this hardware can use.
    pub realised: f64,
}

/// The three savings of a compressed model against the original.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Savings {
    /// Bits at which the original is counted on hardware that cannot run it as it is; `None` where it can.
    pub original_bits: Option<u8>,
    /// Devices on which the original is counted where it needs more than the compressed model; `None` where it does not.
    pub original_devices: Option<u32>,
    /// Bytes of the weights: nominal bits, exported file, memory of this hardware.
    pub size: Saving,
    /// Operations: bit operations on nonzero weights, dense operations, operations that this hardware executes.
    pub operations: Saving,
    /// Time per unit of work.
    pub time: Saving,
    /// Energy per unit of work.
    pub energy: Saving,
}

const SECONDS_PER_DAY: f64 = 86_400.0;
/// More devices than this serve no demand: a hundred thousand for every person.
const MOST_DEVICES: f64 = 1e15;

/// The last guard before a footprint is said: what follows from a cost that was checked is finite too.
fn finite(
    unit: &str,
    rate: Range<UnitsPerSecond>,
    [co2e, embodied, per_day]: [Range<GramsCo2e>; 3],
) -> Result<()> {
    for (name, range) in [
        ("throughput", rate.map(|rate| rate.0)),
        ("CO2e", co2e.map(|grams| grams.0)),
        ("embodied CO2e", embodied.map(|grams| grams.0)),
        ("CO2e per day", per_day.map(|grams| grams.0)),
    ] {
        let values = [range.low, range.typical, range.high];
        if let Some(wrong) = values.iter().find(|v| !(v.is_finite() && **v >= 0.0)) {
            return Err(Error::Infeasible(format!(
                "the {name} of one {unit} is {wrong}, which is no figure"
            )));
        }
    }
    Ok(())
}

/// What running a model costs per unit of work.
///
/// # Errors
/// [`Error::Scenario`] for a scenario out of range; [`Error::Infeasible`] when the hardware cannot run the model,
/// saying why and by how much.
pub fn footprint(
    profile: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
    grid: &Grid,
) -> Result<Footprint> {
    scenario.validate()?;
    let cost = target.cost(&Request {
        profile,
        scenario,
        machine: Machine::Real,
        explain: true,
        reading: false,
    })?;
    let operational = carbon::operational(cost.energy, scenario.pue, grid);
    let per_device = target.embodied_range();
    let devices = target.devices_range(profile, scenario, cost.devices);
    let embodied = carbon::embodied(per_device, devices, cost.time, scenario);
    let co2e = operational + embodied;
    let unit = profile.unit.name();
    let embodied_formula = embodied_formula(target, &cost, embodied.typical, scenario);
    let co2e_formula = format!(
        "{} per {unit} × PUE {} / 3.6 MJ per kWh × {} g/kWh ({}, {}) = {}; embodied {embodied_formula}",
        si(cost.energy.typical.0, "J"),
        scenario.pue,
        trimmed(grid.intensity.typical.0, 3),
        grid.name,
        grid.year,
        si(operational.typical.0, "g"),
    );
    let rate = cost
        .time
        .map_decreasing(|time| UnitsPerSecond(1.0 / time.0));
    let wanted = scenario.demand_per_day / SECONDS_PER_DAY;
    let groups = (wanted / (rate.typical.0 * scenario.utilization))
        .ceil()
        .max(1.0);
    let needed = groups * cost.devices as f64;
    if needed > MOST_DEVICES {
        return Err(Error::Infeasible(format!(
            "the demand would take {needed:.1e} devices of {}; ask for less per day",
            target.name
        )));
    }
    let per_day = co2e * scenario.demand_per_day;
    finite(unit, rate, [co2e, embodied, per_day])?;
    let modelled = |formula: String| Provenance::Modelled { formula };
    let explanation = sentence(&cost.explanation);
    Ok(Footprint {
        throughput: Estimate {
            range: rate,
            provenance: modelled(cost.explanation.time.clone()),
        },
        latency: Estimate {
            range: cost.latency,
            provenance: modelled(cost.explanation.time),
        },
        energy_per_unit: Estimate {
            range: cost.energy,
            provenance: modelled(cost.explanation.energy),
        },
        breakdown: cost.breakdown,
        co2e_per_unit: Estimate {
            range: co2e,
            provenance: modelled(co2e_formula),
        },
        embodied_per_unit: Estimate {
            range: embodied,
            provenance: modelled(embodied_formula),
        },
        co2e_per_day: Estimate {
            range: per_day,
            provenance: modelled(format!(
                "{} per {unit} × {} per day",
                si(co2e.typical.0, "g"),
                many(scenario.demand_per_day)
            )),
        },
        devices_for_demand: groups as u64 * cost.devices,
        layers: cost.layers,
        explanation,
        limit: cost.explanation.limit,
    })
}

/// The share of making the devices with its values in it.
fn embodied_formula(
    target: &HardwareTarget,
    cost: &Cost,
    share: GramsCo2e,
    scenario: &Scenario,
) -> String {
    let known = match &target.embodied {
        Some(figure) => figure.source.as_str(),
        None => "not published; assumed by power limit",
    };
    format!(
        "{} × {} device(s) ({known}) × {} / ({} years × {} busy) = {}",
        si(target.embodied_range().typical.0, "g"),
        cost.devices,
        si(cost.time.typical.0, "s"),
        scenario.lifetime_years,
        scenario.utilization,
        si(share.0, "g"),
    )
}

/// What compression saves on a target, under the three definitions of METHODS.md: an ideal machine that computes with
/// the bits stored and skips zeros, a machine that reads the exported file but computes densely, and the target itself.
///
/// Where the target cannot hold the original's widths (an 8-bit chip), the original is counted at the widest it can,
/// and [`Savings::original_bits`] says so; where it needs more devices, on the fewest that hold it, and
/// [`Savings::original_devices`] says so.
///
/// # Errors
/// As [`footprint`], for either model.
pub fn savings(
    original: &ModelProfile,
    compressed: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
) -> Result<Savings> {
    scenario.validate()?;
    let baseline = Baseline::new(original, scenario, target).map_err(|error| match error {
        Error::Infeasible(fact) => Error::Infeasible(format!("the original: {fact}")),
        other => other,
    })?;
    let cost = |profile: &ModelProfile, scenario: &Scenario, machine: Machine| {
        target.cost(&Request {
            profile,
            scenario,
            machine,
            explain: false,
            reading: false,
        })
    };
    let pair = |machine: Machine| -> Result<(Cost, Cost)> {
        let before = cost(&baseline.profile, &baseline.scenario, machine)?;
        Ok((before, cost(compressed, scenario, machine)?))
    };
    let (ideal, file, real) = (
        pair(Machine::Ideal)?,
        pair(Machine::FileReader)?,
        pair(Machine::Real)?,
    );
    let context = scenario.average_context();
    let by = |of: fn(&Cost) -> f64| Saving {
        nominal: saved(of(&ideal.0), of(&ideal.1)),
        stored: saved(of(&file.0), of(&file.1)),
        realised: saved(of(&real.0), of(&real.1)),
    };
    Ok(Savings {
        original_bits: baseline.bits,
        original_devices: Some(baseline.scenario.devices).filter(|n| *n > scenario.devices),
        size: Saving {
            nominal: saved(original.nominal_bits(), compressed.nominal_bits()),
            stored: saved(
                original.stored_bytes() as f64,
                compressed.stored_bytes() as f64,
            ),
            realised: saved(real.0.weight_bytes, real.1.weight_bytes),
        },
        operations: Saving {
            nominal: saved(
                original.nominal_bit_operations(context),
                compressed.nominal_bit_operations(context),
            ),
            stored: saved(original.dense_macs(context), compressed.dense_macs(context)),
            realised: saved(real.0.executed, real.1.executed),
        },
        time: by(|cost| cost.time.typical.0),
        energy: by(|cost| cost.energy.typical.0),
    })
}

fn saved(before: f64, after: f64) -> f64 {
    if before > 0.0 {
        1.0 - after / before
    } else {
        0.0
    }
}

/// Clauses as one sentence with a capital letter and no full stop.
fn sentence(explanation: &Explanation) -> String {
    let limit = Some(&explanation.limit).filter(|limit| !limit.is_empty());
    let clauses: Vec<&str> = limit
        .into_iter()
        .chain(&explanation.notes)
        .map(String::as_str)
        .collect();
    let text = clauses.join("; ");
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => text,
    }
}
