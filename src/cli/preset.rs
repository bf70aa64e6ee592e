//! `wattif preset`: what can be done with preset files without a window.

use std::path::PathBuf;

use clap::Subcommand;
use wattif_core::preset::Preset;
use wattif_core::text;

use super::out::{Out, complain};

/// Commands on preset files.
#[derive(Debug, Subcommand)]
pub(super) enum PresetCommand {
    /// Say whether preset files can be opened, and what is wrong with those that cannot
    Check {
        /// Preset files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Runs `wattif preset`.
pub(super) fn run(command: PresetCommand, out: &mut Out) -> anyhow::Result<()> {
    match command {
        PresetCommand::Check { files } => check(&files, out),
    }
}

/// Checks every file before it fails, so that one run names all that is wrong.
fn check(files: &[PathBuf], out: &mut Out) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    for file in files {
        let checked = Preset::load(file).and_then(|preset| preset.check().map(|()| preset));
        match checked {
            Ok(preset) => {
                let figures = match &preset.measured {
                    Some(measured) if measured.quality.is_some() => "with measured figures",
                    Some(_) => "with figures",
                    None => "without figures",
                };
                let title = if preset.title.is_empty() {
                    String::new()
                } else {
                    format!(" \"{}\",", text::one_line(&preset.title))
                };
                out.line(format!(
                    "{}: can be opened;{title} {} on {} in {}, {figures}",
                    file.display(),
                    preset.model.reference,
                    preset.scenario.hardware,
                    preset.scenario.region,
                ))?;
            }
            Err(error) => broken.push((file, error)),
        }
    }
    let Some(((_, last), others)) = broken.split_last() else {
        return Ok(());
    };
    for (_, error) in others {
        complain(&format!("wattif: {error}"));
    }
    Err(last.clone().into())
}
