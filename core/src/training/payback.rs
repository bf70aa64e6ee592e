//! After how many units of work a saving has paid an expense of energy back.

use crate::digits::{many, si};
use crate::error::{Error, Result};
use crate::footprint::{Baseline, Estimate};
use crate::hardware::{HardwareTarget, Machine, Request};
use crate::measurement::Provenance;
use crate::profile::ModelProfile;
use crate::scenario::Scenario;
use crate::units::{Joules, Range};

/// When an expense of energy is paid back; an end that is `None` never comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Payback {
    /// Units of work.
    pub units: Estimate<Option<f64>>,
    /// Days at the scenario's demand.
    pub days: Estimate<Option<f64>>,
    /// Why an end is open.
    pub reason: Option<String>,
}

/// Units of work on the scenario's hardware after which the energy that a compressed model saves against the original
/// equals `spent`, both at the machine.
///
/// Both models are costed with the same constants at the favourable, typical and unfavourable end: the range of the
/// saving is that of these three differences. The original is counted as in [`crate::footprint::savings`]: at the widest
/// bits that the device holds, on the devices that it needs.
///
/// # Errors
/// [`Error::Scenario`] for a scenario out of range; [`Error::Infeasible`] when the hardware cannot run the compressed
/// model. That it cannot run the original is an answer: never.
pub fn payback(
    spent: &Estimate<Joules>,
    original: &ModelProfile,
    compressed: &ModelProfile,
    scenario: &Scenario,
    target: &HardwareTarget,
) -> Result<Payback> {
    scenario.validate()?;
    let cost = |profile: &ModelProfile, scenario: &Scenario| {
        target
            .cost(&Request {
                profile,
                scenario,
                machine: Machine::Real,
                explain: false,
                reading: false,
            })
            .map(|cost| cost.energy)
    };
    let after = cost(compressed, scenario)?;
    let before = match Baseline::new(original, scenario, target)
        .and_then(|baseline| cost(&baseline.profile, &baseline.scenario))
    {
        Ok(before) => before,
        Err(Error::Infeasible(fact)) => {
            return Ok(never(format!(
                "there is no saving against an original that cannot run here: {fact}"
            )));
        }
        Err(error) => return Err(error),
    };
    Ok(divide(
        spent.range,
        before,
        after,
        compressed.unit.name(),
        scenario.demand_per_day,
    ))
}

fn never(reason: String) -> Payback {
    let open = || Estimate {
        range: Range::exact(None),
        provenance: Provenance::Modelled {
            formula: reason.clone(),
        },
    };
    Payback {
        units: open(),
        days: open(),
        reason: Some(reason),
    }
}

pub(super) fn divide(
    spent: Range<Joules>,
    before: Range<Joules>,
    after: Range<Joules>,
    unit: &str,
    demand: f64,
) -> Payback {
    let saved = before.with(after, |before, after| before - after);
    let (least, most) = (
        saved.low.min(saved.typical).min(saved.high),
        saved.low.max(saved.typical).max(saved.high),
    );
    let units = |spent: Joules, saved: Joules| (saved.0 > 0.0).then(|| spent / saved);
    let range = Range {
        low: units(spent.low, most),
        typical: units(spent.typical, saved.typical),
        high: units(spent.high, least),
    };
    let joules = |energy: Joules| si(energy.0, "J");
    let per_unit = format!(
        "{} for the original − {} = {} [{}, {}] saved per {unit}",
        joules(before.typical),
        joules(after.typical),
        joules(saved.typical),
        joules(least),
        joules(most)
    );
    let reason = match range {
        Range { typical: None, .. } => Some(format!(
            "nothing is saved here: {} per {unit} against {} of the original",
            joules(after.typical),
            joules(before.typical)
        )),
        Range { high: None, .. } => Some(
            "at the unfavourable end of the constants nothing is saved, so there is no upper bound"
                .to_owned(),
        ),
        _ => None,
    };
    let days = range.map(|units| units.filter(|_| demand > 0.0).map(|units| units / demand));
    let reason = reason
        .or_else(|| (demand <= 0.0).then(|| "without a demand no day brings it nearer".to_owned()));
    let spelt = |amount: Option<f64>| amount.map_or_else(|| "never".to_owned(), many);
    Payback {
        units: Estimate {
            range,
            provenance: Provenance::Modelled {
                formula: format!(
                    "{} of training / ({per_unit}) = {}",
                    joules(spent.typical),
                    spelt(range.typical)
                ),
            },
        },
        days: Estimate {
            range: days,
            provenance: Provenance::Modelled {
                formula: format!(
                    "{} {unit}s / {} per day = {}",
                    spelt(range.typical),
                    many(demand),
                    spelt(days.typical)
                ),
            },
        },
        reason,
    }
}
