//! Formulas of served networks with their values filled in.

use super::Served;
use crate::serving::decode::Serving;
use crate::serving::diffusion::{BatchTime, Generating};
use crate::serving::step::{StepEnergy, StepTime, Work};

pub(super) fn language_time(
    serving: &Serving,
    work: &Work,
    time: &StepTime,
    served: &Served<'_>,
) -> String {
    let milli = |seconds: f64| format!("{:.3} ms", seconds * 1e3);
    format!(
        "one step for {} sequences at {:.0} tokens of context on {} device(s), each reading {:.3e} B of weights and \
         {:.3e} B of keys and values and doing {:.3e} operations: weights {} + keys and values {} + prompts {} + \
         starting kernels {} + exchange {} + host {} = {}; {}, fitted to published measurements of {}",
        serving.batch,
        work.context,
        serving.devices,
        work.body_bytes + work.expert_bytes,
        work.cache_bytes,
        work.operations + work.attention + work.prompt,
        milli(time.weights),
        milli(time.cache),
        milli(time.prompt),
        milli(time.launch),
        milli(time.exchange),
        milli(time.host),
        milli(time.total()),
        serving.era.name().to_lowercase(),
        served.fitted_to(),
    )
}

pub(super) fn language_energy(
    serving: &Serving,
    energy: &StepEnergy,
    served: &Served<'_>,
) -> String {
    format!(
        "({:.3} J standing + {:.3} J operations + {:.3} J converting formats + {:.3} J weights + {:.3} J keys and \
         values + {:.3} J links) per step and device × {} device(s) / {} tokens; fitted to published measurements of \
         {}",
        energy.standing,
        energy.arithmetic,
        energy.convert,
        energy.weights,
        energy.cache,
        energy.link,
        serving.all_devices(),
        serving.batch,
        served.fitted_to(),
    )
}

pub(super) fn images_time(
    generating: &Generating,
    time: &BatchTime,
    served: &Served<'_>,
) -> String {
    format!(
        "batch of {}: {} steps × {} pass(es) of {:.3e} operations{}: denoising {:.3} s, exchange {:.3} s, decoding and \
         text {:.3} s, waiting for the host {:.3} s, in all {:.3} s; fitted to published measurements of {}",
        generating.batch,
        generating.steps,
        generating.passes,
        generating.pass.linear + generating.pass.attention,
        match generating.linear.speed() {
            1.0 => String::new(),
            speed => format!(
                ", {:.3e} of them in linear layers {speed} times as fast in 8 bit",
                generating.pass.linear
            ),
        },
        time.denoise,
        time.exchange,
        time.decode,
        (time.total - time.denoise - time.exchange - time.decode).max(0.0),
        time.total,
        served.fitted_to(),
    )
}
