//! Fits the constants to published rows, and finds their error on families that were left out of the fit.

mod start;

use std::collections::{BTreeMap, BTreeSet};

use super::constants::{Constants, Spread, Spreads};
use super::device::Generation;
use super::fit::{Sample, fit};
use super::format::Era;
use super::predict::{Prediction, joules, predict, seconds, typical};
use super::rows::{Case, CaseWork};
use super::statistics::weighted_quantile;
use start::start;

/// The kinds of work that have constants of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Decode,
    Image,
    Video,
    System,
    LlamaCpp,
    Hosted,
}

fn kind(case: &Case) -> Kind {
    match &case.work {
        CaseWork::Decode(..) => Kind::Decode,
        CaseWork::Diffusion(_, false) => Kind::Image,
        CaseWork::Diffusion(_, true) => Kind::Video,
        CaseWork::System(_) => Kind::System,
        CaseWork::LlamaCpp(..) => Kind::LlamaCpp,
        CaseWork::Hosted(_) => Kind::Hosted,
    }
}

/// Weights that give every series of rows (one model on one device, at many batch sizes) a say that grows with the
/// square root of its length.
fn weights(cases: &[&Case], name: impl Fn(&Case) -> String) -> Vec<f64> {
    let mut lengths: BTreeMap<String, f64> = BTreeMap::new();
    for case in cases {
        *lengths.entry(name(case)).or_default() += 1.0;
    }
    cases
        .iter()
        .map(|case| {
            lengths
                .get(&name(case))
                .map_or(1.0, |length| length.powf(-0.5))
        })
        .collect()
}

fn series(case: &Case) -> String {
    let row = &case.row;
    format!(
        "{}|{}|{}|{}|{}|{}",
        row.model, row.hardware, row.task, row.n_devices, row.precision, row.engine
    )
}

/// Fits one group of constants. `set` puts it into a copy of all constants; `residual` compares.
fn fit_group<C: super::constants::Fitted>(
    cases: &[&Case],
    weights: &[f64],
    constants: &Constants,
    group: C,
    pull: f64,
    set: impl Fn(&mut Constants, C) + Copy,
    residual: impl Fn(&Case, &Constants) -> Option<f64> + Copy,
) -> C {
    let samples: Vec<Sample<'_, C>> = cases
        .iter()
        .zip(weights)
        .filter(|(case, _)| residual(case, constants).is_some())
        .map(|(case, &weight)| Sample {
            weight,
            residual: Box::new(move |group: &C| {
                let mut tried = constants.clone();
                set(&mut tried, *group);
                residual(case, &tried).unwrap_or(0.0)
            }),
        })
        .collect();
    if samples.is_empty() {
        group
    } else {
        fit(group, &samples, pull)
    }
}

/// ln(predicted / measured) of the time.
fn time_residual(case: &Case, constants: &Constants) -> Option<f64> {
    let measured = case.row.measured_throughput()?;
    Some((seconds(case, constants) * measured).ln())
}

/// ln(predicted / measured) of the energy, given the measured time.
fn energy_residual(case: &Case, constants: &Constants) -> Option<f64> {
    let measured = case.row.measured_energy()?;
    let throughput = case.row.measured_throughput()?;
    let predicted = joules(case, constants, 1.0 / throughput)?;
    Some((predicted / measured).ln())
}

/// How strongly the constants of language models are held to where they start, which is what data sheets and single
/// measurements say: of weaker and stronger pulls, about the one with the smallest errors on families left out.
const PULL: f64 = 0.6;

/// Fits all constants to the cases; the spread is left at its start.
fn fit_all(cases: &[&Case]) -> Constants {
    let mut constants = start();
    let of = |wanted: &[Kind]| -> Vec<&Case> {
        cases
            .iter()
            .copied()
            .filter(|case| wanted.contains(&kind(case)))
            .collect()
    };
    // Constants of software that starts every kernel from Python are stated, and other makers' stacks are their own.
    let served: Vec<&Case> = of(&[Kind::Decode])
        .into_iter()
        .filter(|case| {
            let eager = matches!(&case.work, CaseWork::Decode(_, s) if s.era == Era::Eager);
            taught(case) && !eager
        })
        .collect();
    let weight = weights(&served, series);
    constants.decode_time = fit_group(
        &served,
        &weight,
        &constants,
        constants.decode_time,
        PULL,
        |all, group| all.decode_time = group,
        time_residual,
    );
    // Energies of devices that are not marked are derived from those of their generation, so they teach nothing.
    let served: Vec<&Case> = served
        .into_iter()
        .filter(|case| case.device.fitted)
        .collect();
    let weight = weights(&served, series);
    constants.decode_energy = fit_group(
        &served,
        &weight,
        &constants,
        constants.decode_energy,
        PULL,
        |all, group| all.decode_energy = group,
        energy_residual,
    );
    let drawn: Vec<&Case> = of(&[Kind::Image, Kind::Video])
        .into_iter()
        .filter(|case| case.device.fitted)
        .collect();
    // Few networks with many rows each: the pull must not win over them, nor the longest series over the others.
    let weight: Vec<f64> = weights(&drawn, |case| {
        format!("{}|{}", case.row.model, case.row.hardware)
    })
    .iter()
    .map(|weight| 3.0 * weight)
    .collect();
    constants.diffusion_time = fit_group(
        &drawn,
        &weight,
        &constants,
        constants.diffusion_time,
        0.5,
        |all, group| all.diffusion_time = group,
        time_residual,
    );
    constants.diffusion_energy = fit_group(
        &drawn,
        &weight,
        &constants,
        constants.diffusion_energy,
        1.0,
        |all, group| all.diffusion_energy = group,
        energy_residual,
    );
    let systems = of(&[Kind::System]);
    let weight = vec![1.0; systems.len()];
    constants.system_time = fit_group(
        &systems,
        &weight,
        &constants,
        constants.system_time,
        0.3,
        |all, group| all.system_time = group,
        time_residual,
    );
    constants.system_energy = fit_group(
        &systems,
        &weight,
        &constants,
        constants.system_energy,
        0.3,
        |all, group| all.system_energy = group,
        energy_residual,
    );
    let desktop = of(&[Kind::LlamaCpp]);
    let weight = vec![1.0; desktop.len()];
    constants.llama_cpp = fit_group(
        &desktop,
        &weight,
        &constants,
        constants.llama_cpp,
        1.0,
        |all, group| all.llama_cpp = group,
        time_residual,
    );
    constants
}

/// Whether a row teaches the time of its kind of work: language models on data-centre boards of the makers of those that
/// are marked, all else on those that are marked.
fn taught(case: &Case) -> bool {
    match kind(case) {
        Kind::Decode => case.device.stacked_memory && !case.device.of_other_maker(),
        _ => case.device.fitted,
    }
}

/// What is left out together: the family of the model; of MLPerf and llama.cpp rows, which have one or two models
/// only, the device.
fn fold(case: &Case) -> String {
    match kind(case) {
        Kind::Decode | Kind::Image | Kind::Video => case.family.clone(),
        Kind::System | Kind::LlamaCpp => case.device.name.clone(),
        // Nothing is fitted to them.
        Kind::Hosted => format!("{} in a system", case.family),
    }
}

/// Constants fitted without each case's own fold, one set per fold.
fn folds(cases: &[Case]) -> BTreeMap<String, Constants> {
    let names: BTreeSet<String> = cases.iter().map(fold).collect();
    names
        .into_iter()
        .map(|name| {
            // Only the kinds of work that occur in the fold are predicted with its constants, so only they are fitted.
            let kinds: BTreeSet<Kind> = cases
                .iter()
                .filter(|case| fold(case) == name)
                .map(kind)
                .collect();
            let drawing = kinds.contains(&Kind::Image) || kinds.contains(&Kind::Video);
            let hosted = kinds.contains(&Kind::Hosted);
            let needed = |case: &Case| match kind(case) {
                // Waiting power comes from the language models.
                Kind::Decode => drawing || hosted || kinds.contains(&Kind::Decode),
                Kind::Image | Kind::Video => drawing,
                Kind::System => hosted || kinds.contains(&Kind::System),
                other => kinds.contains(&other),
            };
            let rest: Vec<&Case> = cases
                .iter()
                .filter(|case| fold(case) != name && needed(case))
                .collect();
            (name, fit_all(&rest))
        })
        .collect()
}

/// Predictions for every case by constants that were fitted without the case's family (of MLPerf and llama.cpp rows,
/// without its device). The ranges are those of `spread`.
pub fn cross_validate(cases: &[Case], spread: &Spreads) -> Vec<Prediction> {
    let mut folds = folds(cases);
    for constants in folds.values_mut() {
        constants.spread = *spread;
    }
    cases
        .iter()
        .map(|case| match folds.get(&fold(case)) {
            Some(constants) => predict(case, constants),
            None => predict(case, &start()),
        })
        .collect()
}

/// The range stated for predictions: the 90th percentile of |ln(predicted / measured)| on what was left out. Every
/// family counts the same, however many rows it has: the next one is as likely to be like the small ones.
const STATED: f64 = 0.9;

/// What shares a stated range: a kind of work and, of language models, a generation of devices and a year of software.
type Stated = (Kind, Option<(Generation, Era)>);

fn stated_with(case: &Case) -> Stated {
    let with = match &case.work {
        CaseWork::Decode(_, serving) => Some((case.device.generation, serving.era)),
        _ => None,
    };
    (kind(case), with)
}

/// Errors on what was left out, by what shares a stated range, and by fold.
#[derive(Default)]
struct Errors(BTreeMap<Stated, BTreeMap<String, Vec<f64>>>);

impl Errors {
    fn add(&mut self, case: &Case, error: f64) {
        let folds = self.0.entry(stated_with(case)).or_default();
        folds.entry(fold(case)).or_default().push(error);
    }

    fn stated(&self, with: Stated) -> Option<f64> {
        /// Of language models: the next family is as likely as not outside what two have shown.
        const FEWEST: usize = 3;
        let folds = self.0.get(&with)?;
        if with.0 == Kind::Decode && folds.len() < FEWEST {
            return None;
        }
        let weighted: Vec<(f64, f64)> = folds
            .values()
            .flat_map(|errors| {
                let rows = errors.iter().map(|_| 1.0).sum::<f64>();
                let weight = if with.0 < Kind::System {
                    1.0 / rows
                } else {
                    1.0
                };
                errors.iter().map(move |&error| (error, weight))
            })
            .collect();
        Some(weighted_quantile(&weighted, STATED))
    }
}

/// Constants fitted to all cases, with the spread found by leaving out one family (or device) after the other.
pub fn calibrate(cases: &[Case], provenance: String) -> Constants {
    let all: Vec<&Case> = cases.iter().collect();
    let mut constants = fit_all(&all);
    constants.provenance = provenance;
    let folds = folds(cases);
    let mut energy = Errors::default();
    let mut speed = Errors::default();
    for case in cases {
        let eager = matches!(&case.work, CaseWork::Decode(_, s) if s.era == Era::Eager);
        if (!taught(case) && kind(case) < Kind::System) || eager {
            continue; // a wider range is stated for these
        }
        let Some(left_out) = folds.get(&fold(case)) else {
            continue;
        };
        let (seconds, joules) = typical(case, left_out);
        if let Some(measured) = case.row.measured_throughput() {
            speed.add(case, (seconds * measured).ln().abs());
        }
        if let (Some(measured), Some(joules)) = (case.row.measured_energy(), joules) {
            energy.add(case, (joules / measured).ln().abs());
        }
    }
    let spread = |with: Stated, fallback: Spread| {
        let throughput = speed.stated(with).unwrap_or(fallback.throughput);
        Spread {
            energy: energy.stated(with).unwrap_or(throughput),
            throughput,
        }
    };
    let fallback = constants.spread;
    let decode = |generation, era| {
        spread(
            (Kind::Decode, Some((generation, era))),
            fallback.decode(generation, era),
        )
    };
    constants.spread = Spreads {
        ampere_2024: decode(Generation::Ampere, Era::Y2024),
        hopper_2024: decode(Generation::Hopper, Era::Y2024),
        hopper_2025: decode(Generation::Hopper, Era::Y2025),
        hopper_2026: decode(Generation::Hopper, Era::Y2026),
        blackwell_2025: decode(Generation::Blackwell, Era::Y2025),
        blackwell_2026: decode(Generation::Blackwell, Era::Y2026),
        image: spread((Kind::Image, None), fallback.image),
        video: spread((Kind::Video, None), fallback.video),
        system: spread((Kind::System, None), fallback.system),
        llama_cpp: spread((Kind::LlamaCpp, None), fallback.llama_cpp),
    };
    constants
}
