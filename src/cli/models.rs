//! `wattif models`: the list, and what a folder of configurations comes to.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use wattif_core::Error;
use wattif_core::model::ModelReference;
use wattif_core::outline::{Outline, Summary};

use super::list::{self, ListArguments, heading};
use super::out::Out;
use crate::format::{amount, si};

/// Arguments of `wattif models`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ModelsArguments {
    #[command(subcommand)]
    command: Option<ModelsCommand>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Read configurations (config.json, params.json, or folders with one) and say what each comes to
    Check(CheckArguments),
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// A configuration, or a folder of them: MODEL/config.json, MODEL.json, or both
    folder: PathBuf,
    /// Tokens of the sequence whose keys and values are counted
    #[arg(long, value_name = "TOKENS", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    context: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs `wattif models` or one of its commands.
pub(super) fn run(arguments: &ModelsArguments, out: &mut Out) -> anyhow::Result<()> {
    match &arguments.command {
        None => list::models(&arguments.list, out),
        Some(ModelsCommand::Check(check)) => self::check(check, out),
    }
}

/// What a configuration comes to, or why it was not read.
#[derive(Serialize)]
struct Checked {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_parameters: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_bytes: Option<u64>,
    understood: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

fn check(arguments: &CheckArguments, out: &mut Out) -> anyhow::Result<()> {
    let configurations = configurations(&arguments.folder)?;
    let checked: Vec<Checked> = configurations
        .iter()
        .map(|(name, path)| one(name, path, arguments.context))
        .collect();
    if arguments.json {
        return out.json(&checked);
    }
    let mut rows = vec![heading([
        "MODEL",
        "PARAMETERS",
        "ACTIVE",
        "WEIGHTS",
        "KEPT OF A SEQUENCE",
        "WHAT WAS UNDERSTOOD",
    ])];
    let cell = |value: Option<u64>, write: &dyn Fn(f64) -> String| {
        value.map_or_else(|| "–".to_owned(), |value| write(value as f64))
    };
    for entry in &checked {
        let bytes = |value| cell(value, &|value| si(value, "B"));
        let words = match &entry.refused {
            Some(fact) => format!("refused: {fact}"),
            None => entry.understood.join("; "),
        };
        rows.push(vec![
            entry.name.clone(),
            cell(entry.parameters, &amount),
            cell(entry.active_parameters, &amount),
            bytes(entry.weight_bytes),
            bytes(entry.cache_bytes),
            words,
        ]);
    }
    Ok(out.table(&rows, &[false, true, true, true, true, false])?)
}

fn one(name: &str, path: &Path, context: u32) -> Checked {
    let reference = ModelReference::File(path.to_owned());
    let read = Outline::open(&reference).and_then(|outline| outline.summary(context));
    let (summary, refused) = match read {
        Ok(summary) => (Some(summary), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let figure = |of: fn(&Summary) -> u64| summary.as_ref().map(of);
    Checked {
        name: name.to_owned(),
        parameters: figure(|summary| summary.parameters),
        active_parameters: figure(|summary| summary.active_parameters),
        weight_bytes: figure(|summary| summary.weight_bytes),
        cache_bytes: figure(|summary| summary.cache_bytes),
        understood: summary.map_or_else(Vec::new, |summary| summary.understood),
        refused,
    }
}

/// The configurations of a folder by name, or the one that a path is.
fn configurations(path: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    if path.is_file() {
        return Ok(vec![(name(path), path.to_owned())]);
    }
    let entries = std::fs::read_dir(path)
        .map_err(|error| Error::file(format!("cannot be read ({error})"), path))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry
            .map_err(|error| Error::file(format!("cannot be read ({error})"), path))?
            .path();
        let inside = FILES
            .iter()
            .map(|file| entry.join(file))
            .find(|file| file.is_file());
        if let Some(configuration) = inside {
            found.push((name(&entry), configuration));
        } else if entry.is_file() && entry.extension().is_some_and(|ending| ending == "json") {
            found.push((name(&entry), entry));
        }
    }
    if found.is_empty() {
        return Err(Error::file(
            "holds no configuration (MODEL/config.json or MODEL.json)",
            path,
        )
        .into());
    }
    found.sort();
    Ok(found)
}

/// Files that a folder of one model has, in the order in which they are taken.
const FILES: [&str; 3] = ["config.json", "params.json", "model_index.json"];
