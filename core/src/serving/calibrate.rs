//! Fits the constants to published rows, and finds their error on families that were left out of the fit.

use std::collections::{BTreeMap, BTreeSet};

use super::constants::{
    Constants, DecodeEnergy, DecodeTime, DiffusionEnergy, DiffusionTime, LlamaCpp, Spread, Spreads,
    SystemEnergy, SystemTime,
};
use super::device::Generation;
use super::fit::{Sample, fit};
use super::format::Era;
use super::predict::{Prediction, joules, predict, seconds, typical};
use super::rows::{Case, CaseWork};
use super::statistics::weighted_quantile;

/// Where every fit starts: round values of the right size, chosen before any fit, so that a rerun does not depend on
/// what ran before.
fn start() -> Constants {
    let spread = Spread {
        energy: 0.3,
        throughput: 0.3,
    };
    Constants {
        provenance: String::new(),
        decode_time: DecodeTime {
            weights_hopper: 0.8,
            weights_blackwell: 0.7,
            cache: 0.6,
            compute: 0.6,
            layer_hopper: 15e-6,
            layer_blackwell: 15e-6,
            expert_layer: 80e-6,
            exchange: 20e-6,
            exchange_2024: 100e-6,
            link: 0.5,
            sequence_hopper_2025: 20e-6,
            sequence_blackwell_2025: 20e-6,
            sequence_hopper_2024: 300e-6,
            sequence_ampere_2024: 400e-6,
            step_hopper_2025: 0.5e-3,
            step_blackwell_2025: 0.5e-3,
            step_2024: 10e-3,
            long_context_blackwell: 20e-3,
            request_2025: 1e-3,
            request_2024: 5e-3,
            context_2024: 0.3e-6,
            layer_2024: 0.2e-3,
            fp8_layer: 60e-6,
            fp8_expert: 2e-6,
            fp8_bytes: 1.0,
            fp4_bytes: 1.0,
        },
        decode_energy: DecodeEnergy {
            idle_ampere: 60.0,
            idle_hopper: 90.0,
            idle_blackwell: 150.0,
            active_ampere: 60.0,
            active_hopper: 120.0,
            active_blackwell: 200.0,
            operation_ampere: 0.6e-12,
            operation_hopper: 0.35e-12,
            operation_blackwell: 0.25e-12,
            byte_ampere: 90e-12,
            byte_hopper: 70e-12,
            byte_blackwell: 60e-12,
            link_byte: 100e-12,
            fp4_weight: 20e-12,
            fp8_layer: 10e-3,
            fp8_expert: 1e-3,
            cache_byte: 2.0,
        },
        diffusion_time: DiffusionTime {
            unet_ampere: 0.4,
            unet_hopper: 0.3,
            linear_ampere: 0.5,
            linear_hopper: 0.45,
            linear_blackwell: 0.3,
            attention_ampere: 0.5,
            attention_hopper: 0.33,
            attention_blackwell: 0.16,
            decoder: 0.15,
            block_2024: 0.5e-3,
            block_2025: 1e-3,
            ring_hop: 0.15e-3,
            exchange: 0.1e-3,
            link: 0.3,
        },
        diffusion_energy: DiffusionEnergy {
            active_ampere: 150.0,
            active_hopper: 200.0,
            active_blackwell: 400.0,
            operation_ampere: 0.8e-12,
            operation_hopper: 0.6e-12,
            operation_blackwell: 0.5e-12,
            link_byte: 50e-12,
        },
        system_time: SystemTime {
            gpu_convolution: 0.35,
            gpu_attention: 0.45,
            card_convolution: 0.5,
            card_attention: 0.22,
            soc_convolution: 0.25,
            soc_attention: 0.3,
            cpu: 0.4,
            embedded_gpu: 0.3,
            server: 0.88,
            one_sample_gpu: 0.1,
            one_sample_card: 0.14,
            one_sample_soc: 0.4,
            module: 2.0,
            query: 0.3e-3,
            hopper: 0.7,
            efficient_mode: 0.75,
        },
        system_energy: SystemEnergy {
            host: 220.0,
            host_per_device: 12.0,
            convolution: 0.75,
            attention: 0.85,
            kit: 8.0,
            one_sample: 0.4,
            board: 0.9,
        },
        llama_cpp: LlamaCpp {
            bandwidth: 0.8,
            bandwidth_hbm: 0.5,
            unpack_operations: 12.0,
            prompt: 0.4,
            prompt_packed: 0.35,
        },
        spread: Spreads {
            decode_ampere: spread,
            decode_hopper: spread,
            decode_blackwell: spread,
            image: spread,
            video: spread,
            system: spread,
            llama_cpp: spread,
        },
    }
}

/// The kinds of work that have constants of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Decode,
    Image,
    Video,
    System,
    LlamaCpp,
}

fn kind(case: &Case) -> Kind {
    match &case.work {
        CaseWork::Decode(..) => Kind::Decode,
        CaseWork::Diffusion(_, false) => Kind::Image,
        CaseWork::Diffusion(_, true) => Kind::Video,
        CaseWork::System(_) => Kind::System,
        CaseWork::LlamaCpp(..) => Kind::LlamaCpp,
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
        "{}|{}|{}|{}|{}",
        row.model, row.hardware, row.task, row.n_devices, row.precision
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
    let served: Vec<&Case> = of(&[Kind::Decode])
        .into_iter()
        .filter(|case| {
            // Constants of unseen devices are derived, so such rows cannot teach anything.
            let eager = matches!(&case.work, CaseWork::Decode(_, s) if s.era == Era::Eager);
            case.device.fitted && !eager
        })
        .collect();
    let weight = weights(&served, series);
    constants.decode_time = fit_group(
        &served,
        &weight,
        &constants,
        constants.decode_time,
        0.1,
        |all, group| all.decode_time = group,
        time_residual,
    );
    constants.decode_energy = fit_group(
        &served,
        &weight,
        &constants,
        constants.decode_energy,
        0.1,
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
        0.1,
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
        0.1,
        |all, group| all.llama_cpp = group,
        time_residual,
    );
    constants
}

/// What is left out together: the family of the model; of MLPerf and llama.cpp rows, which have one or two models
/// only, the device.
fn fold(case: &Case) -> String {
    match kind(case) {
        Kind::Decode | Kind::Image | Kind::Video => case.family.clone(),
        Kind::System | Kind::LlamaCpp => case.device.name.clone(),
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
            let needed = |case: &Case| match kind(case) {
                // Waiting power comes from the language models.
                Kind::Decode => drawing || kinds.contains(&Kind::Decode),
                Kind::Image | Kind::Video => drawing,
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

/// What shares a stated range: a kind of work and, of language models, a generation of devices.
type Stated = (Kind, Option<Generation>);

fn stated_with(case: &Case) -> Stated {
    let kind = kind(case);
    (
        kind,
        (kind == Kind::Decode).then_some(case.device.generation),
    )
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
        let weighted: Vec<(f64, f64)> = self
            .0
            .get(&with)?
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
        if (!case.device.fitted && kind(case) < Kind::System) || eager {
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
    let decode = |generation| {
        spread(
            (Kind::Decode, Some(generation)),
            fallback.decode(generation),
        )
    };
    constants.spread = Spreads {
        decode_ampere: decode(Generation::Ampere),
        decode_hopper: decode(Generation::Hopper),
        decode_blackwell: decode(Generation::Blackwell),
        image: spread((Kind::Image, None), fallback.image),
        video: spread((Kind::Video, None), fallback.video),
        system: spread((Kind::System, None), fallback.system),
        llama_cpp: spread((Kind::LlamaCpp, None), fallback.llama_cpp),
    };
    constants
}
