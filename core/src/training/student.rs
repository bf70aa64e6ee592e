//! What the training of a student cost on the processor that did it.

use std::sync::OnceLock;

use super::{embodied, modelled, within};
use crate::carbon::{self, Grid};
use crate::compress::distill::{LONGEST, MOST_MACS, StudentRecord};
use crate::digits::{many, si, trimmed};
use crate::error::Result;
use crate::footprint::Estimate;
use crate::hardware::{self, CostModel, HardwareTarget, Precision};
use crate::measurement::Provenance;
use crate::scenario::Scenario;
use crate::units::{GramsCo2e, Joules, Range, Seconds};

/// A multiply-accumulate is a multiplication and an addition.
const OPERATIONS_PER_MAC: f64 = 2.0;

/// The file of this machine's processor before anything is detected: figures of one core.
const CORE: &str = include_str!("../../../assets/hardware/this-cpu.ron");

fn core() -> Result<&'static HardwareTarget> {
    static CORE_TARGET: OnceLock<Result<HardwareTarget>> = OnceLock::new();
    CORE_TARGET
        .get_or_init(|| hardware::parse(CORE, "assets/hardware/this-cpu.ron"))
        .as_ref()
        .map_err(Clone::clone)
}

/// What a training took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Multiply-accumulates, the teacher's included.
    pub macs: f64,
    /// Seconds by the clock.
    pub seconds: f64,
    /// Cores of the machine; `None` for students that came with the program, of which one thread of a busy machine is
    /// known.
    pub cores: Option<u32>,
}

impl From<&StudentRecord> for Effort {
    fn from(record: &StudentRecord) -> Self {
        Self {
            macs: record.macs,
            seconds: record.seconds,
            cores: record.cores,
        }
    }
}

/// What the training of a student cost.
#[derive(Debug, Clone, PartialEq)]
pub struct StudentCost {
    /// Time by the clock.
    pub seconds: Estimate<Seconds>,
    /// Energy at the machine.
    pub energy: Estimate<Joules>,
    /// Emissions: electricity without a building, and the embodied share.
    pub co2e: Estimate<GramsCo2e>,
}

/// Cores that a training on this machine may use.
pub fn cores_here() -> u32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|cores| u32::try_from(cores.get()).ok())
        .unwrap_or(1)
}

/// Energy and emissions of training a student. Of the scenario, lifetime and utilisation count; the building does not,
/// as students are trained on a machine at hand.
///
/// Trained here: seconds × cores × power per core, from the power that flows without work to the rating. Shipped: one
/// core's power × its time, between multiply-accumulates / rate and the seconds on the clock, which other work shared.
///
/// # Errors
/// [`crate::Error::Scenario`] for an effort of nothing; the file of the processor is broken.
pub fn student(effort: &Effort, scenario: &Scenario, grid: &Grid) -> Result<StudentCost> {
    within("the number of multiply-accumulates", effort.macs, MOST_MACS)?;
    within(
        "the time of the training in seconds",
        effort.seconds,
        LONGEST,
    )?;
    let core = core()?;
    let cores = effort.cores.unwrap_or(1);
    let busy = match effort.cores {
        Some(_) => Range::exact(Seconds(effort.seconds)),
        None => core_time(core, effort)?,
    };
    let (limit, rest) = (core.power_limit.range(), core.static_power.range());
    let watts = Range {
        low: if effort.cores.is_some() {
            rest.low
        } else {
            limit.low
        },
        typical: limit.typical,
        high: limit.high,
    } * f64::from(cores);
    let energy = busy.with(watts, |time, watts| watts * time);
    let electricity = carbon::operational(energy, 1.0, grid);
    let embodied = embodied(core, cores, busy, scenario);
    let time = match effort.cores {
        Some(_) => format!("{} on the clock", si(effort.seconds, "s")),
        None => format!(
            "{} [{}, {}]: from {} multiply-accumulates at one core's assumed rate to {} on the clock of a busy \
             machine, typically their geometric mean (assumed)",
            si(busy.typical.0, "s"),
            si(busy.low.0, "s"),
            si(busy.high.0, "s"),
            many(effort.macs),
            si(effort.seconds, "s")
        ),
    };
    let formula = format!(
        "{time} × {cores} core(s) × {} [{}, {}] per core = {}; {}",
        si(limit.typical.0, "W"),
        si(watts.low.0 / f64::from(cores), "W"),
        si(limit.high.0, "W"),
        si(energy.typical.0, "J"),
        core.power_limit.source
    );
    let co2e_formula = format!(
        "{} / 3.6 MJ per kWh × {} g/kWh ({}, no building) = {}; embodied {}",
        si(energy.typical.0, "J"),
        trimmed(grid.intensity.typical.0, 3),
        grid.name,
        si(electricity.typical.0, "g"),
        si(embodied.range.typical.0, "g")
    );
    Ok(StudentCost {
        seconds: Estimate {
            range: Range::exact(Seconds(effort.seconds)),
            provenance: match effort.cores {
                Some(_) => Provenance::Measured { n: 1 },
                None => Provenance::Published {
                    source: "the clock when the student was trained, kept in its file".to_owned(),
                },
            },
        },
        energy: Estimate {
            range: energy,
            provenance: modelled(formula),
        },
        co2e: Estimate {
            range: electricity + embodied.range,
            provenance: modelled(co2e_formula),
        },
    })
}

/// Seconds that one core was busy with a student whose machine did other work too.
fn core_time(core: &HardwareTarget, effort: &Effort) -> Result<Range<Seconds>> {
    let CostModel::Processor(processor) = &core.model else {
        return Ok(Range::exact(Seconds(effort.seconds)));
    };
    let efficiency = processor.compute_efficiency.range();
    let rate = processor
        .peak
        .get(&Precision::Fp32)
        .map_or(Range::exact(f64::INFINITY), |peak| {
            peak.range().with(efficiency, |peak, share| peak.0 * share)
        });
    let busy = rate.map_decreasing(|rate| OPERATIONS_PER_MAC * effort.macs / rate);
    // A rate is an assumption, the clock is not: never longer than it says.
    let clock = effort.seconds;
    Ok(Range {
        low: busy.low.min(clock),
        typical: (busy.typical.min(clock) * clock).sqrt(),
        high: clock,
    }
    .map(Seconds))
}
