//! Formulas of served networks with their values filled in.

use super::Served;
use crate::digits::{many, si, trimmed};
use crate::serving::decode::Serving;
use crate::serving::diffusion::{BatchTime, Generating};
use crate::serving::step::{StepEnergy, StepTime, Work};

pub(super) fn language_time(
    serving: &Serving,
    work: &Work,
    time: &StepTime,
    served: &Served<'_>,
) -> String {
    let seconds = |value: f64| si(value, "s");
    format!(
        "one step for {} sequences at {} tokens of context on {} device(s), each reading {} of weights and {} of \
         keys and values and doing {} operations: weights {} + keys and values {} + prompts {} + \
         activations {} + starting kernels {} + exchange {} + host {} = {}; {}, fitted to published measurements of {}",
        serving.batch,
        many(work.context),
        serving.devices,
        si(work.body_bytes + work.expert_bytes, "B"),
        si(work.cache_bytes, "B"),
        many(work.operations + work.attention + work.prompt),
        seconds(time.weights),
        seconds(time.cache),
        seconds(time.prompt),
        seconds(time.activations),
        seconds(time.launch),
        seconds(time.exchange),
        seconds(time.host),
        seconds(time.total()),
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
        "({} standing + {} operations + {} converting formats + {} weights + {} keys and values + {} activations + {} links) per step and device × {} device(s) / {} tokens; fitted to published measurements of \
         {}",
        si(energy.standing, "J"),
        si(energy.arithmetic, "J"),
        si(energy.convert, "J"),
        si(energy.weights, "J"),
        si(energy.cache, "J"),
        si(energy.activations, "J"),
        si(energy.link, "J"),
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
        "batch of {}: {} steps × {} pass(es) of {} operations{}: denoising {}, exchange {}, decoding and text {}, waiting \
         for the host {}, in all {}; fitted to published measurements of {}",
        generating.batch,
        generating.steps,
        generating.passes,
        many(generating.pass.linear + generating.pass.attention),
        match generating.linear.speed() {
            1.0 => String::new(),
            speed => format!(
                ", {} of them in linear layers {} times as fast in 8 bit",
                many(generating.pass.linear),
                trimmed(speed, 3)
            ),
        },
        si(time.denoise, "s"),
        si(time.exchange, "s"),
        si(time.decode, "s"),
        si(
            (time.total - time.denoise - time.exchange - time.decode).max(0.0),
            "s"
        ),
        si(time.total, "s"),
        served.fitted_to(),
    )
}
