//! `wattif hardware`: the devices that ship, the user's own, and making one of them out of another.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use wattif_core::hardware::{self, HardwareTarget, own};
use wattif_core::{Error, folders, text};

use super::list::{ListArguments, heading};
use super::out::{Out, complain};
use crate::format::significant;

/// Arguments of `wattif hardware`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct HardwareArguments {
    #[command(subcommand)]
    command: Option<HardwareCommand>,
    #[command(flatten)]
    list: ListArguments,
}

/// Commands on hardware files.
#[derive(Debug, Subcommand)]
enum HardwareCommand {
    /// Say whether hardware files can be used, and what is wrong with those that cannot
    Check {
        /// Hardware files (.ron)
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Write a copy of a device to your own folder, to be edited
    Clone {
        /// Device to copy, as `wattif hardware` lists it
        id: String,
        /// Identifier of the copy: letters, digits, '-' and '_'
        new_id: String,
    },
}

/// Runs `wattif hardware`.
pub(super) fn run(arguments: &HardwareArguments, out: &mut Out) -> anyhow::Result<()> {
    match &arguments.command {
        None => list(&arguments.list, out),
        Some(HardwareCommand::Check { files }) => check(files, out),
        Some(HardwareCommand::Clone { id, new_id }) => clone(id, new_id, out),
    }
}

#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    target: &'static HardwareTarget,
    yours: bool,
}

/// Prints the hardware targets, by class, and what is wrong with the user's files.
fn list(arguments: &ListArguments, out: &mut Out) -> anyhow::Result<()> {
    let mut targets: Vec<_> = hardware::catalogue()?.iter().collect();
    targets.sort_by_key(|target| (target.class, &target.id));
    for error in hardware::broken()? {
        complain(&format!("wattif: a file of yours was left out: {error}"));
    }
    if arguments.json {
        let entries: Vec<Entry> = targets
            .into_iter()
            .map(|target| Entry {
                target,
                yours: target.yours,
            })
            .collect();
        return out.json(&entries);
    }
    let mut rows = vec![heading([
        "ID",
        "CLASS",
        "YEAR",
        "POWER LIMIT (W)",
        "FROM",
        "NAME",
    ])];
    rows.extend(targets.iter().map(|target| {
        vec![
            target.id.clone(),
            target.class.name().to_owned(),
            target.year.to_string(),
            significant(target.power_limit.typical.0, 3),
            if target.yours { "yours" } else { "shipped" }.to_owned(),
            target.name.clone(),
        ]
    }));
    Ok(out.table(&rows, &[false, false, true, true])?)
}

/// Checks every file before it fails, so that one run names all that is wrong.
fn check(files: &[PathBuf], out: &mut Out) -> anyhow::Result<()> {
    let mut broken: Vec<Error> = Vec::new();
    for file in files {
        match own::check(file) {
            Ok(target) => out.line(format!(
                "{}: can be used; {}, {}, {}",
                file.display(),
                target.id,
                text::one_line(&target.name),
                target.class.name(),
            ))?,
            Err(error) => broken.push(error),
        }
    }
    let Some(last) = broken.pop() else {
        return Ok(());
    };
    for error in broken {
        complain(&format!("wattif: {error}"));
    }
    Err(last.into())
}

fn clone(id: &str, new_id: &str, out: &mut Out) -> anyhow::Result<()> {
    let configuration = folders::configuration()
        .context("the system names no configuration folder; set WATTIF_CONFIG_DIR to one")?;
    let path = own::clone(id, new_id, &own::folder(&configuration))?;
    Ok(out.line(path.display().to_string())?)
}
