//! `wattif validate`: predictions for published models on published hardware, against what was measured there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use wattif_core::Error;
use wattif_core::files;
use wattif_core::serving::{self, Group, Options, Row, SkippedRow, Statistics, Validation};
use wattif_core::tables::{self, Table};

use super::out::Out;
use crate::format::significant;

/// Arguments of `wattif validate`.
#[derive(Debug, Args)]
pub(super) struct ValidateArguments {
    /// Tables of measurements (CSV), recognised by their columns; without any, all that ship
    #[arg(long, value_name = "FILE", num_args = 1..)]
    against: Vec<PathBuf>,
    /// Only the tables that check the models of whole classes of processors: kernels back to back, without serving software
    #[arg(long, conflicts_with_all = ["against", "cross_validate"])]
    class_models: bool,
    /// Folder with MODEL/config.json for models that are not in the catalogue
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Predict every family (small chips: every chip) by constants fitted to the others of the same tables
    #[arg(long)]
    cross_validate: bool,
    /// Print JSON, with every row
    #[arg(long)]
    json: bool,
}

/// The text of a table.
fn text(file: &Path) -> anyhow::Result<String> {
    Ok(files::read_text(file, files::LONGEST_TABLE)?)
}

/// Rows of several tables of large devices, or the public rows of them.
pub(super) fn rows(files: &[PathBuf]) -> anyhow::Result<Vec<Row>> {
    if files.is_empty() {
        let path = Path::new("assets/ground_truth/serving.csv");
        return Ok(serving::read(serving::PUBLIC_ROWS, path)?);
    }
    let mut rows = Vec::new();
    for file in files {
        rows.extend(serving::read(&text(file)?, file)?);
    }
    Ok(rows)
}

/// Tables of any kind, or all that ship.
fn tables(files: &[PathBuf], class_models: bool) -> anyhow::Result<Vec<Table>> {
    if files.is_empty() {
        return Ok(tables::SHIPPED
            .iter()
            .filter(|(path, _)| !class_models || tables::CLASS_MODELS.contains(path))
            .map(|(path, text)| tables::read(text, Path::new(path)))
            .collect::<wattif_core::Result<_>>()?);
    }
    files
        .iter()
        .map(|file| Ok(tables::read(&text(file)?, file)?))
        .collect()
}

/// Prints error figures by device, task, scope and precision, then the rows that could not be predicted.
pub(super) fn run(arguments: &ValidateArguments, out: &mut Out) -> anyhow::Result<()> {
    if let Some(folder) = &arguments.models
        && !folder.is_dir()
    {
        return Err(Error::file("there is no such folder", folder).into());
    }
    let validation = tables::validate(
        &tables(&arguments.against, arguments.class_models)?,
        Options {
            models: arguments.models.as_deref(),
            cross_validate: arguments.cross_validate,
        },
    )?;
    if arguments.json {
        out.json(&validation)?;
    } else {
        print(arguments, &validation, out)?;
    }
    if validation.rows.is_empty() {
        let rows = validation.skipped.len();
        return Err(Error::Infeasible(format!(
            "nothing could be predicted: {rows} row(s), each with the reason above"
        ))
        .into());
    }
    Ok(())
}

fn print(
    arguments: &ValidateArguments,
    validation: &Validation,
    out: &mut Out,
) -> anyhow::Result<()> {
    out.line(if arguments.cross_validate {
        "Constants fitted without the family that they predict (MLPerf, llama.cpp: without the device; small chips: without \
         the chip)"
    } else {
        "Constants that ship; those of large devices and small chips were fitted to rows of these tables"
    })?;
    if !validation.groups.is_empty() {
        out.line("")?;
        table("By kind of work", &validation.summary, out)?;
        out.line("")?;
        table(
            "By device, task, scope and precision",
            &validation.groups,
            out,
        )?;
    }
    reasons("Not predicted", &validation.skipped, out)?;
    reasons("Noted of predicted rows", &validation.notes, out)
}

/// Rows by the reason why they, or parts of them, are not in the figures.
fn reasons(title: &str, rows: &[SkippedRow], out: &mut Out) -> anyhow::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        reasons.entry(&row.reason).or_default().push(&row.id);
    }
    out.line(format!("{title}: {} rows", rows.len()))?;
    for (reason, ids) in reasons {
        let shown = ids.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = if ids.len() > 3 { ", …" } else { "" };
        out.line(format!("  {} × {reason} ({shown}{more})", ids.len()))?;
    }
    Ok(())
}

/// Error figures as a table; energy and throughput below each other.
fn table(title: &str, groups: &[Group], out: &mut Out) -> anyhow::Result<()> {
    out.line(title)?;
    let heading = [
        "DEVICE",
        "TASK",
        "SCOPE",
        "PRECISION",
        "OF",
        "N",
        "MEDIAN %",
        "P90 %",
        "BIAS %",
        "FACTOR",
        "WITHIN ×2 %",
        "RANK",
        "INSIDE %",
    ];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for group in groups {
        let figures = [
            ("energy", group.energy),
            ("throughput", group.throughput),
            ("value", group.other),
        ];
        for (of, statistics) in figures {
            if let Some(statistics) = statistics {
                lines.push(line(group, of, &statistics));
            }
        }
    }
    let mut right = vec![false; 5];
    right.extend([true; 8]);
    Ok(out.table(&lines, &right)?)
}

fn line(group: &Group, of: &str, statistics: &Statistics) -> Vec<String> {
    let rank = statistics
        .rank_correlation
        .map_or_else(|| "–".to_owned(), |rank| format!("{rank:.3}"));
    vec![
        group.device.clone(),
        group.task.clone(),
        group.scope.to_owned(),
        group.precision.clone(),
        of.to_owned(),
        statistics.n.to_string(),
        percent(statistics.median_absolute_error),
        percent(statistics.p90_absolute_error),
        percent(statistics.bias),
        significant(statistics.median_factor, 3),
        format!("{:.0}", 100.0 * statistics.within_factor_2),
        rank,
        format!("{:.0}", 100.0 * statistics.inside_range),
    ]
}

/// Per cent with three digits; what is left of rounding sums is none.
fn percent(value: f64) -> String {
    const NOTHING: f64 = 1e-6;
    if value.abs() < NOTHING {
        "0".to_owned()
    } else {
        significant(value, 3)
    }
}
