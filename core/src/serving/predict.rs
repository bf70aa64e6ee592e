//! What the model predicts for a case, with its range.

use super::constants::{Constants, Spread};
use super::device::Device;
use super::format::Era;
use super::llama_cpp;
use super::rows::{Case, CaseWork, Open, Scope, host_watts};
use crate::units::Range;

/// Time and energy predicted for a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Joules per unit of work; `None` where only speed is modelled.
    pub energy: Option<Range<f64>>,
    /// Units of work per second, all devices.
    pub throughput: Range<f64>,
}

/// How much wider the range is for a device that the fit has not seen (leaving out a whole device makes the error of
/// the others about 1.5 times as large).
pub(crate) const UNSEEN_DEVICE: f64 = 1.5;
/// How far software of another maker may be off, in the natural logarithm: by the factor that is assumed for it, either
/// way, and as much again.
const OTHER_MAKER: f64 = 0.4;
/// How far a benchmark of which no measured system was seen may be off besides, in the natural logarithm (assumed).
const UNSEEN_BENCHMARK: f64 = 0.4;
/// How far software of which the version is not stated may be off, in the natural logarithm: releases of one engine within a
/// year differ by 20 to 40 % in speed.
const UNSTATED_SOFTWARE: f64 = 0.3;

/// Predicts one case.
pub fn predict(case: &Case, constants: &Constants) -> Prediction {
    let (seconds, joules) = typical(case, constants);
    let mut spread = spread(&case.work, case.device, constants);
    if case.open.contains(&Open::Software) {
        spread = spread.with(UNSTATED_SOFTWARE);
    }
    let mut prediction = Prediction {
        energy: joules.map(|joules| around(joules, spread.energy)),
        throughput: around(1.0 / seconds, spread.throughput),
    };
    for open in &case.open {
        let others = match *open {
            Open::Prompt(shortest, longest) => {
                [shortest, longest].map(|prompt| case.with_prompt(prompt))
            }
            Open::Work(least, most) => [least, most].map(|share| case.with_work(share)),
            Open::Software | Open::Answer(_) => continue,
        };
        for other in others {
            let (other_seconds, other_joules) = typical(&other, constants);
            prediction.throughput = reaching(prediction.throughput, 1.0 / other_seconds);
            prediction.energy = prediction
                .energy
                .zip(other_joules)
                .map(|(range, joules)| reaching(range, joules));
        }
    }
    prediction
}

/// A range that also covers what another assumption makes typical, independent of its other causes.
fn reaching(range: Range<f64>, other: f64) -> Range<f64> {
    let apart = (other / range.typical).ln();
    let widened = |bound: f64| {
        let width = (bound / range.typical).ln();
        let reach = if width * apart > 0.0 { apart } else { 0.0 };
        range.typical * (width.signum() * width.hypot(reach)).exp()
    };
    Range {
        low: widened(range.low),
        typical: range.typical,
        high: widened(range.high),
    }
}

/// The spread of language models on a device with software of a year.
pub(super) fn language_spread(device: &Device, era: Era, constants: &Constants) -> Spread {
    let spread = constants.spread.decode(device.generation, era);
    if device.of_other_maker() {
        spread.wider(UNSEEN_DEVICE).with(OTHER_MAKER)
    } else if device.fitted {
        spread
    } else {
        spread.wider(UNSEEN_DEVICE)
    }
}

/// A value with a range symmetric in its logarithm.
pub(crate) fn around(typical: f64, spread: f64) -> Range<f64> {
    Range {
        low: typical * (-spread).exp(),
        typical,
        high: typical * spread.exp(),
    }
}

/// The spread of images or videos on a device.
pub(super) fn drawing_spread(device: &Device, spread: Spread) -> Spread {
    if device.fitted {
        spread
    } else {
        spread.wider(UNSEEN_DEVICE)
    }
}

fn spread(work: &CaseWork, device: &Device, constants: &Constants) -> Spread {
    let drawn = |spread| drawing_spread(device, spread);
    match work {
        CaseWork::Decode(_, serving) => language_spread(device, serving.era, constants),
        CaseWork::Diffusion(_, false) => drawn(constants.spread.image),
        CaseWork::Diffusion(_, true) => drawn(constants.spread.video),
        CaseWork::System(benchmark) if benchmark.seen => constants.spread.system,
        CaseWork::System(_) => constants.spread.system.with(UNSEEN_BENCHMARK),
        CaseWork::Hosted(hosted) => spread(&hosted.work, device, constants).with(UNSEEN_BENCHMARK),
        CaseWork::LlamaCpp(..) => Spread {
            energy: constants
                .spread
                .llama_cpp
                .throughput
                .hypot(llama_cpp::DRAWN_SPREAD),
            ..constants.spread.llama_cpp
        },
    }
}

/// Seconds and joules per unit of work.
pub(crate) fn typical(case: &Case, constants: &Constants) -> (f64, Option<f64>) {
    let seconds = seconds(case, constants);
    (seconds, joules(case, constants, seconds))
}

/// Seconds per unit of work, all devices together.
pub(crate) fn seconds(case: &Case, constants: &Constants) -> f64 {
    let devices = case.devices();
    match &case.work {
        CaseWork::LlamaCpp(network, format, tokens, true) => {
            let rate = llama_cpp::decode_rate(
                network,
                *format,
                tokens / 2.0,
                case.device,
                &constants.llama_cpp,
            );
            1.0 / rate
        }
        CaseWork::LlamaCpp(network, format, tokens, false) => {
            let rate = llama_cpp::prompt_rate(
                network,
                *format,
                *tokens,
                devices,
                case.device,
                &constants.llama_cpp,
            );
            1.0 / rate
        }
        work => work_seconds(work, case.device, constants),
    }
}

/// The same of work that does not depend on anything else in the row; infinite for llama.cpp.
fn work_seconds(work: &CaseWork, device: &Device, constants: &Constants) -> f64 {
    match work {
        CaseWork::Decode(network, serving) => {
            let work = serving.work(network);
            let both = (&constants.decode_time, &constants.decode_energy);
            let step = serving.time_in_limit(network, &work, device, both).total();
            step / serving.batch
        }
        CaseWork::Diffusion(generating, _) => {
            let all = (
                &constants.diffusion_time,
                &constants.diffusion_energy,
                &constants.decode_energy,
            );
            generating.time_in_limit(device, all).total / generating.batch
        }
        CaseWork::System(benchmark) => benchmark.time(device, &constants.system_time),
        CaseWork::Hosted(hosted) => {
            let seconds = work_seconds(&hosted.work, device, constants);
            hosted.time(seconds, &constants.system_time)
        }
        CaseWork::LlamaCpp(..) => f64::INFINITY,
    }
}

/// Joules per unit of work, if one unit takes `seconds` on all devices together.
pub(crate) fn joules(case: &Case, constants: &Constants, seconds: f64) -> Option<f64> {
    match &case.work {
        CaseWork::LlamaCpp(.., writing) => writing.then(|| {
            let boards = llama_cpp::watts(case.device, case.devices(), case.row.power_cap());
            let host = match case.scope {
                Scope::Wall => host_watts(&case.row.hardware, case.device),
                Scope::Boards | Scope::Speed => 0.0,
            };
            (boards + host) * seconds
        }),
        work => work_joules(work, case.device, constants, seconds),
    }
}

/// The same of work that does not depend on anything else in the row.
fn work_joules(
    work: &CaseWork,
    device: &Device,
    constants: &Constants,
    seconds: f64,
) -> Option<f64> {
    match work {
        CaseWork::Decode(network, serving) => {
            let work = serving.work(network);
            let time = serving.time(network, &work, device, &constants.decode_time);
            let step = seconds * serving.batch;
            let waiting = time.host / time.total() * step;
            let energy = &constants.decode_energy;
            let joules = serving.energy(network, &work, device, energy, step, waiting);
            Some(joules.total() * serving.all_devices() / serving.batch)
        }
        CaseWork::Diffusion(generating, _) => {
            let time = generating.time(device, &constants.diffusion_time);
            let batch = generating.energy(
                device,
                &constants.diffusion_energy,
                &constants.decode_energy,
                &time,
                seconds * generating.batch,
            );
            Some(batch.total() / generating.batch)
        }
        CaseWork::System(benchmark) => {
            Some(benchmark.energy(device, &constants.system_energy, seconds))
        }
        CaseWork::Hosted(hosted) => {
            let one = hosted.of_one(seconds);
            let joules = work_joules(&hosted.work, device, constants, one)?;
            Some(hosted.energy(joules, device, &constants.system_energy, seconds))
        }
        CaseWork::LlamaCpp(..) => None,
    }
}
