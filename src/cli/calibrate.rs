//! `wattif calibrate`: fits the constants of the serving model to published measurements, and finds their error.

use std::path::PathBuf;

use clap::Args;
use wattif_core::Error;
use wattif_core::files;
use wattif_core::serving;

use super::out::Out;
use super::validate::rows;
use crate::format::significant;

/// Arguments of `wattif calibrate`.
#[derive(Debug, Args)]
pub(super) struct CalibrateArguments {
    /// Tables of measurements (CSV); without any, the public rows that ship
    #[arg(long, value_name = "FILE", num_args = 1..)]
    against: Vec<PathBuf>,
    /// Folder with MODEL/config.json for models that are not in the catalogue
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Where to write the constants (RON); without it they are printed
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Measure this machine instead, about ten seconds, and keep its constants for the device `this-cpu`
    #[arg(long, conflicts_with_all = ["against", "models", "output"])]
    this_machine: bool,
}

/// Fits, and writes or prints the constants with their error on families that were left out.
pub(super) fn run(arguments: &CalibrateArguments, out: &mut Out) -> anyhow::Result<()> {
    if arguments.this_machine {
        return super::this_machine::run(out);
    }
    let rows = rows(&arguments.against)?;
    let (cases, skipped) = serving::cases(&rows, arguments.models.as_deref());
    if cases.is_empty() {
        return Err(Error::Scenario(
            "no row can be predicted, so there is nothing to fit".to_owned(),
        )
        .into());
    }
    let tables = if arguments.against.is_empty() {
        "assets/ground_truth/serving.csv".to_owned()
    } else {
        let names: Vec<String> = arguments
            .against
            .iter()
            .map(|file| {
                file.file_name()
                    .unwrap_or(file.as_os_str())
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.join(", ")
    };
    let constants = serving::calibrate(
        &cases,
        format!(
            "fitted to {tables}; spread: leaving out one family (MLPerf, llama.cpp: one device) after the other"
        ),
    );
    let text = constants.to_ron()?;
    let Some(path) = &arguments.output else {
        return Ok(out.line(text)?);
    };
    files::replace_with(path, text)?;
    out.line(format!(
        "Constants of {} rows written to {}; {} rows could not be used",
        cases.len(),
        path.display(),
        skipped.len()
    ))?;
    let spread = constants.spread;
    for (work, spread) in [
        ("language models, Ampere, 2024", spread.ampere_2024),
        ("language models, Hopper, 2024", spread.hopper_2024),
        ("language models, Hopper, 2025", spread.hopper_2025),
        ("language models, Hopper, 2026", spread.hopper_2026),
        ("language models, Blackwell, 2025", spread.blackwell_2025),
        ("language models, Blackwell, 2026", spread.blackwell_2026),
        ("images", spread.image),
        ("videos", spread.video),
        ("MLPerf systems", spread.system),
        ("llama.cpp", spread.llama_cpp),
    ] {
        out.line(format!(
            "{work}: 90 % of what was left out lie within a factor of {} (energy) and {} (throughput)",
            significant(spread.energy.exp(), 3),
            significant(spread.throughput.exp(), 3),
        ))?;
    }
    Ok(())
}
