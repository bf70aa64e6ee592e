//! `wattif export`: the compressed model as a file, packed at the nominal width or as a GGUF in blocks of llama.cpp.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use wattif_core::engine::Engine;
use wattif_core::recipe::Recipe;

use super::arguments::SourceArguments;
use super::notes;
use super::out::{Out, Progress};
use super::report::train_missing_student;
use crate::format::{count, saving};

/// Arguments of `wattif export`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct ExportArguments {
    #[command(flatten)]
    source: SourceArguments,
    /// File to write: a GGUF where its name ends in .gguf, the tensors of the folder in its own types where a language model is
    /// opened from one and the name ends in .safetensors, else packed safetensors; one that is there is replaced, but for the
    /// model's own
    #[arg(value_name = "FILE", required_unless_present = "output")]
    file: Option<PathBuf>,
    /// The same
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    output: Option<PathBuf>,
}

/// Runs `wattif export`.
pub(super) fn run(arguments: &ExportArguments, out: &mut Out) -> anyhow::Result<()> {
    let preset = arguments.source.preset()?;
    let recipe = arguments.source.recipe.apply(
        preset
            .as_ref()
            .map_or_else(Recipe::default, |preset| preset.recipe.clone()),
    )?;
    let progress = Progress::new();
    progress.show("Opening the model", None);
    let engine = Engine::open(&arguments.source.reference(preset.as_ref())?.item)?;
    notes::left_out(&engine);
    notes::another_model(&arguments.source, preset.as_ref(), &engine);
    let recipe = (arguments.source.recipe).with_layers(recipe, engine.layers())?;
    train_missing_student(&engine, &recipe, &progress)?;
    progress.show("Writing", None);
    let output = (arguments.output.as_deref().or(arguments.file.as_deref()))
        .context("no file to write is given")?;
    let bytes = engine.export(&recipe, output)?;
    let original = engine.predict(&Recipe::default())?.stored_bytes();
    drop(progress);
    Ok(out.line(format!(
        "{}: {} B, {} against the original",
        output.display(),
        count(bytes as f64),
        saving(1.0 - bytes as f64 / original as f64)
    ))?)
}
