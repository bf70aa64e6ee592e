//! The command line: the same engine as the window, for scripts.
//!
//! Arguments become ready-to-run values here and nowhere else. Exit codes are a contract: 0 done, 1 asked for something
//! impossible, 2 wrong usage or environment.

mod arguments;
mod bench;
mod calibrate;
mod export;
mod hardware;
mod list;
mod models;
mod notes;
mod out;
mod packed;
mod power;
mod preset;
pub mod report;
mod runner;
mod this_machine;
mod training;
mod validate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use wattif_core::Error;
use wattif_core::model::{self, ModelReference};

use crate::app;
use out::{Out, complain};

/// What a model asked for is, for exit codes: something that cannot be done.
const IMPOSSIBLE: u8 = 1;
/// A name, file or value that is not there, or a machine that lacks something.
const USAGE: u8 = 2;

/// Explore what compressing an AI model really does to its quality, speed, energy and carbon.
///
/// Without a command, WattIf opens its window: on FILE if one is given, else on a bundled model. The commands do the
/// same work and print the same numbers.
#[derive(Debug, Parser)]
#[command(
    name = "wattif",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_precedence_over_arg = true,
    after_help = "Exit codes: 0 done, 1 asked for something impossible, 2 wrong usage or environment.\n\n\
        Example: wattif report --model bundled:fashion-cnn --sparsity 0.5 --weight-bits 4 --region FR\n\
        \x20        wattif report --model catalogue:llama-3-1-70b --weight-bits 4 --batch 8"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to open in the window: a preset (.ron), a model (.gguf, .safetensors, .pt, .npz, .onnx, config.json) or a name such as
    /// catalogue:llama-3-1-8b
    file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compress a model, measure what is left, and say what running it costs
    Report(Box<report::ReportArguments>),
    /// List the bundled models and the networks known by their shapes
    Models(models::ModelsArguments),
    /// List the hardware targets, check own ones, or copy one to change it
    Hardware(hardware::HardwareArguments),
    /// List the regions and their grid intensities
    Regions(list::ListArguments),
    /// Work with preset files
    #[command(subcommand)]
    Preset(preset::PresetCommand),
    /// Write the compressed model as a packed safetensors file, or as a GGUF for llama.cpp
    Export(export::ExportArguments),
    /// Say what a training run costs, from its size or from the hours that it took
    Training(training::TrainingArguments),
    /// Measure how fast WattIf itself is on this machine
    Bench(bench::BenchArguments),
    /// Read this machine's power sensors, or say why they cannot be read
    Power(power::PowerArguments),
    /// Compare predictions for published models with published measurements
    Validate(validate::ValidateArguments),
    /// Fit the constants of the serving model to published measurements, or measure those of this machine
    Calibrate(calibrate::CalibrateArguments),
}

/// The program: reads the arguments, does what they say, and turns errors into exit codes.
pub fn main() -> ExitCode {
    if let Some(code) = runner::serve_if_asked() {
        return code;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are not errors; clap knows which stream and code they take. A closed pipe is no news.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    wattif_core::folders::remove_leftovers();
    let result = match arguments.command {
        None => window(arguments.file.as_deref()),
        Some(command) => run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("wattif: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let mut out = Out::default();
    match command {
        Command::Report(arguments) => report::run(&arguments, &mut out),
        Command::Models(arguments) => models::run(&arguments, &mut out),
        Command::Hardware(arguments) => hardware::run(&arguments, &mut out),
        Command::Regions(arguments) => list::regions(&arguments, &mut out),
        Command::Preset(command) => preset::run(command, &mut out),
        Command::Export(arguments) => export::run(&arguments, &mut out),
        Command::Training(arguments) => training::run(&arguments, &mut out),
        Command::Bench(arguments) => bench::run(&arguments, &mut out),
        Command::Power(arguments) => power::run(&arguments, &mut out),
        Command::Validate(arguments) => validate::run(&arguments, &mut out),
        Command::Calibrate(arguments) => calibrate::run(&arguments, &mut out),
    }
}

/// What the engine was asked for and cannot do is 1; everything else is the caller's or the machine's.
fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>() {
        Some(
            Error::Recipe(_)
            | Error::Scenario(_)
            | Error::Infeasible(_)
            | Error::Compute(_)
            | Error::Cancelled,
        ) => IMPOSSIBLE,
        Some(
            Error::File { .. } | Error::Unknown { .. } | Error::Ambiguous { .. } | Error::NoGrid(_),
        )
        | None => USAGE,
    }
}

/// Opens the window on a file or on the bundled model.
fn window(file: Option<&Path>) -> anyhow::Result<()> {
    let start = match file {
        None => app::Start::default(),
        Some(file) => start(file)?,
    };
    let equivalent = match file {
        None => "wattif report --model bundled:fashion-cnn".to_owned(),
        Some(file) if start.preset.is_some() => {
            format!("wattif report --preset {}", file.display())
        }
        Some(file) => format!("wattif report --model {}", file.display()),
    };
    if !display_is_there() {
        anyhow::bail!("there is no display to open a window on; on the command line: {equivalent}");
    }
    app::run(start)
        .with_context(|| format!("no window could be opened; on the command line: {equivalent}"))
}

/// What a file is by its name; whether it can be read is the window's to say, where the session goes on.
fn start(file: &Path) -> anyhow::Result<app::Start> {
    let name = file.to_string_lossy();
    let named = match name.parse()? {
        ModelReference::File(path) => ModelReference::File(path),
        _ => model::named(&name)?.item,
    };
    if named.is_outline() || matches!(named, ModelReference::Bundled(_)) {
        return Ok(app::Start {
            model: Some(named),
            ..app::Start::default()
        });
    }
    if !file.exists() {
        if file.extension().is_none() && file.components().count() == 1 {
            let known = [
                "report",
                "models",
                "hardware",
                "regions",
                "preset",
                "export",
                "training",
                "bench",
                "power",
                "validate",
                "calibrate",
            ];
            return Err(Error::unknown("command or file", &name, known).into());
        }
        return Err(Error::file("there is no such file", file).into());
    }
    let is = |ending: &str| {
        file.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
    };
    if is(wattif_core::preset::EXTENSION) {
        Ok(app::Start {
            preset: Some(file.to_owned()),
            ..app::Start::default()
        })
    } else if is("safetensors") || wattif_core::formats::is_model(file) {
        Ok(app::Start {
            model: Some(ModelReference::File(file.to_owned())),
            ..app::Start::default()
        })
    } else {
        Err(Error::file(
            "this is neither a preset (.ron) nor a model (.gguf, .safetensors, .pt, .npz, .onnx, config.json)",
            file,
        )
        .into())
    }
}

/// Whether a window has somewhere to appear, as far as the environment says.
fn display_is_there() -> bool {
    if cfg!(any(target_os = "windows", target_os = "macos")) {
        return true;
    }
    ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_argument_parser_is_consistent() {
        Arguments::command().debug_assert();
    }
}
