//! `wattif validate`: predictions for published models on published hardware, against what was measured there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use wattif_core::Error;
use wattif_core::serving::{self, Group, Options, Row, Statistics};

use super::out::Out;
use crate::format::significant;

/// Arguments of `wattif validate`.
#[derive(Debug, Args)]
pub(super) struct ValidateArguments {
    /// Tables of measurements (CSV); without any, the public rows that ship
    #[arg(long, value_name = "FILE", num_args = 1..)]
    against: Vec<PathBuf>,
    /// Folder with MODEL/config.json for models that are not in the catalogue
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Predict every family by constants fitted to the other families of the same tables
    #[arg(long)]
    cross_validate: bool,
    /// Print JSON, with every row
    #[arg(long)]
    json: bool,
}

/// Rows of several tables, or the public rows.
pub(super) fn rows(files: &[PathBuf]) -> anyhow::Result<Vec<Row>> {
    if files.is_empty() {
        let path = Path::new("assets/ground_truth/serving.csv");
        return Ok(serving::read(serving::PUBLIC_ROWS, path)?);
    }
    let mut rows = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::file(format!("cannot be read ({error})"), file))?;
        rows.extend(serving::read(&text, file)?);
    }
    Ok(rows)
}

/// Prints error figures by device, task, scope and precision, then the rows that could not be predicted.
pub(super) fn run(arguments: &ValidateArguments, out: &mut Out) -> anyhow::Result<()> {
    let rows = rows(&arguments.against)?;
    let validation = serving::validate(
        &rows,
        Options {
            models: arguments.models.as_deref(),
            cross_validate: arguments.cross_validate,
        },
    )?;
    if arguments.json {
        return out.json(&validation);
    }
    out.line(if arguments.cross_validate {
        "Constants fitted without the family that they predict (MLPerf, llama.cpp: without the device)"
    } else {
        "Constants that ship; they were fitted to the public rows"
    })?;
    out.line("")?;
    table("By kind of work", &validation.summary, out)?;
    out.line("")?;
    table(
        "By device, task, scope and precision",
        &validation.groups,
        out,
    )?;
    if !validation.skipped.is_empty() {
        out.line("")?;
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in &validation.skipped {
            reasons.entry(&row.reason).or_default().push(&row.id);
        }
        out.line(format!("Not predicted: {} rows", validation.skipped.len()))?;
        for (reason, ids) in reasons {
            let shown = ids.iter().take(3).copied().collect::<Vec<_>>().join(", ");
            let more = if ids.len() > 3 { ", …" } else { "" };
            out.line(format!("  {} × {reason} ({shown}{more})", ids.len()))?;
        }
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
        "RANK",
        "INSIDE %",
    ];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for group in groups {
        let figures = [("energy", group.energy), ("throughput", group.throughput)];
        for (of, statistics) in figures {
            if let Some(statistics) = statistics {
                lines.push(line(group, of, &statistics));
            }
        }
    }
    let mut right = vec![false; 5];
    right.extend([true; 6]);
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
        significant(statistics.median_absolute_error, 3),
        significant(statistics.p90_absolute_error, 3),
        significant(statistics.bias, 3),
        rank,
        format!("{:.0}", 100.0 * statistics.inside_range),
    ]
}
