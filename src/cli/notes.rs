//! What a report does not say itself, on standard error: arguments that change nothing for the model or the hardware in
//! question, and files that were left out.

use wattif_core::Result;
use wattif_core::engine::Engine;
use wattif_core::hardware::{HardwareClass, HardwareTarget};
use wattif_core::preset::Preset;
use wattif_core::profile::{LayerKind, LayerProfile, ModelProfile, Unit};
use wattif_core::software::{self, Software};

use super::arguments::{ScenarioArguments, SourceArguments};
use super::out::complain;

/// Says that a model has other weights than the preset that it was given with.
pub(super) fn another_model(arguments: &SourceArguments, preset: Option<&Preset>, engine: &Engine) {
    if arguments.is_another(preset, &engine.model().hash) {
        complain(
            "wattif: the model given has other weights than the one that the preset was saved with; the preset's figures \
             do not hold for it",
        );
    }
}

/// Says in a line each which of the given arguments have no effect, and why.
///
/// # Errors
/// [`wattif_core::Error::File`] when the constants that ship are broken.
pub(super) fn without_effect(
    arguments: &ScenarioArguments,
    profile: &ModelProfile,
    target: &HardwareTarget,
) -> Result<()> {
    let language = profile.unit == Unit::Token;
    let attention = |layer: &LayerProfile| layer.layer.kind == LayerKind::Attention;
    let looks_back = language && profile.layers.iter().any(attention);
    let tokens = "only language models read and write tokens";
    let served = (profile.network.as_deref()).is_some_and(software::is_served);
    let asked = arguments.software.as_deref().map(str::parse::<Software>);
    let runtime = software::runtime(
        profile.network.as_deref(),
        target,
        asked.transpose()?.unwrap_or_default(),
    )?;
    let obeyed = match runtime.stack {
        None => arguments.software.as_deref() == Some(Software::Bare.id()),
        Some(_) => true,
    };
    for (given, argument, has_effect, why) in [
        (
            arguments.context.is_some(),
            "--context",
            looks_back,
            "only language models with attention look back over a context",
        ),
        (
            arguments.prompt_tokens.is_some(),
            "--prompt-tokens",
            language,
            tokens,
        ),
        (
            arguments.answer_tokens.is_some(),
            "--answer-tokens",
            language,
            tokens,
        ),
        (
            arguments.time_steps.is_some(),
            "--time-steps",
            target.class == HardwareClass::Neuromorphic,
            "only spiking chips compute in time steps",
        ),
        (
            arguments.steps.is_some(),
            "--steps",
            profile.is_made_in_steps(),
            "the model makes no images in denoising steps",
        ),
        (
            arguments
                .software
                .as_deref()
                .is_some_and(|id| id != Software::Usual.id()),
            "--software",
            served && obeyed,
            runtime.reason(),
        ),
    ] {
        if given && !has_effect {
            complain(&format!("wattif: {argument} has no effect here: {why}"));
        }
    }
    Ok(())
}

/// Says which trained students of a model cannot be used, and why.
pub(super) fn left_out(engine: &Engine) {
    for error in engine.shelf().broken() {
        complain(&format!("wattif: a trained student was left out: {error}"));
    }
}
