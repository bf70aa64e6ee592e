//! Reading tables of any kind: the kind follows from the names of the columns.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{Table, reader};
use crate::error::{Error, Result};
use crate::serving;

/// Rows that have an identifier, or get one.
pub(crate) trait Identified {
    /// The place of the identifier.
    fn id_mut(&mut self) -> &mut String;

    /// What is wrong with the cells of measured numbers, where that would leave one out.
    fn unread(&self) -> Option<String> {
        None
    }
}

/// Columns that a kind of table has, each with other spellings.
type Columns = &'static [&'static [&'static str]];

/// The kinds of table in the order in which they are tried, with the words for them.
const KINDS: [(Kind, &str, Columns); 8] = [
    (
        Kind::Small,
        "small chips and programmable logic",
        &[
            &["device"],
            &["task"],
            &["precision"],
            &["energy_uj_per_inf"],
            &["throughput_inf_per_s", "latency_us"],
        ],
    ),
    (
        Kind::Neuromorphic,
        "spiking chips",
        &[
            &["benchmark"],
            &["hardware"],
            &["running_w"],
            &["inferences_per_s"],
            &["joules_per_inference"],
        ],
    ),
    (
        Kind::Operations,
        "energies per operation",
        &[&["operation"], &["energy_pj"], &["process"]],
    ),
    (
        Kind::Devices,
        "data sheets",
        &[&["chip"], &["class"], &["mem_bw_gb_s"], &["tdp_w"]],
    ),
    (
        Kind::Carbon,
        "carbon",
        &[&["kind"], &["item"], &["value"], &["unit"]],
    ),
    (
        Kind::Quality,
        "compression quality",
        &[&["model"], &["method"], &["metric"], &["value"]],
    ),
    (
        Kind::Runs,
        "kernels back to back",
        &[
            &["network"],
            &["hardware"],
            &["format"],
            &["runtime"],
            &["units_per_second", "joules_per_unit"],
        ],
    ),
    (
        Kind::Serving,
        "serving",
        &[
            &["model", "network"],
            &["hardware", "device"],
            &["energy_j", "throughput", "latency_s"],
        ],
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Small,
    Neuromorphic,
    Operations,
    Devices,
    Carbon,
    Quality,
    Runs,
    Serving,
}

/// Reads a table; its kind follows from its columns. Rows without an `id` are called by the table and their line.
///
/// # Errors
/// [`Error::File`] when the text is not a table, or not of a kind that is known: the columns that are missing for the
/// nearest one, then the path.
pub fn read(text: &str, path: &Path) -> Result<Table> {
    Ok(match kind(text, path)? {
        Kind::Small => Table::Small(rows(text, path)?),
        Kind::Neuromorphic => Table::Neuromorphic(rows(text, path)?),
        Kind::Operations => Table::Operations(rows(text, path)?),
        Kind::Devices => Table::Devices(rows(text, path)?),
        Kind::Carbon => Table::Carbon(rows(text, path)?),
        Kind::Quality => Table::Quality(rows(text, path)?),
        Kind::Runs => Table::Runs(rows(text, path)?),
        Kind::Serving => Table::Serving(serving::read(text, path)?),
    })
}

fn kind(text: &str, path: &Path) -> Result<Kind> {
    let mut reader = reader(text, path)?;
    let headers = reader
        .headers()
        .map_err(|error| Error::file(error.to_string(), path))?;
    let has = |column: &&[&str]| headers.iter().any(|header| column.contains(&header.trim()));
    let mut nearest: Option<(f64, &str, Vec<String>)> = None;
    for (kind, name, columns) in KINDS {
        let missing: Vec<String> = columns
            .iter()
            .filter(|column| !has(column))
            .map(|column| format!("'{}'", column.join("' or '")))
            .collect();
        if missing.is_empty() {
            return Ok(kind);
        }
        let share = missing.len() as f64 / columns.len() as f64;
        if nearest.as_ref().is_none_or(|(best, ..)| share < *best) {
            nearest = Some((share, name, missing));
        }
    }
    let (_, name, missing) = nearest.unwrap_or_default();
    Err(Error::file(
        format!(
            "its columns are those of no table that is known; the nearest is '{name}', for which {} {} missing",
            missing.join(", "),
            if missing.len() == 1 { "is" } else { "are" }
        ),
        path,
    ))
}

/// All rows of a table of one kind.
fn rows<R: DeserializeOwned + Identified>(text: &str, path: &Path) -> Result<Vec<R>> {
    let fail = |error: csv::Error| Error::file(error.to_string(), path);
    let mut reader = reader(text, path)?;
    let headers = reader.headers().map_err(fail)?.clone();
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy())
        .unwrap_or_default();
    reader
        .records()
        .zip(2..)
        .map(|(record, counted)| {
            let record = record.map_err(fail)?;
            let line = record.position().map_or(counted, csv::Position::line);
            let mut row: R = record.deserialize(Some(&headers)).map_err(fail)?;
            let id = row.id_mut();
            if id.is_empty() {
                *id = format!("{stem}-{line}");
            }
            Ok(row)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_table_is_recognised_by_its_columns() {
        for (path, text) in crate::tables::SHIPPED {
            let table = read(text, Path::new(path)).unwrap();
            let expected = match Path::new(path).file_stem().unwrap().to_str().unwrap() {
                "serving" => "Serving",
                "fpga_measured" => "Small",
                "neuromorphic_measured" => "Neuromorphic",
                "energy_per_op" => "Operations",
                "hardware_specs" => "Devices",
                "carbon_examples" => "Carbon",
                "compression_quality" => "Quality",
                "bare_runs" | "class_models" => "Runs",
                other => panic!("{other}"),
            };
            assert!(format!("{table:?}").starts_with(expected), "{path}");
        }
    }

    #[test]
    fn rows_without_a_name_are_called_by_their_line() {
        let text = "device,task,precision,energy_uj_per_inf,latency_us\na,\"kws,\n x\",int8,1,2\nb,ic,int8,1,2\n";
        let Table::Small(rows) = read(text, Path::new("some/mine.csv")).unwrap() else {
            panic!("not recognised");
        };
        assert_eq!(rows[0].id, "mine-2");
        assert_eq!(rows[1].id, "mine-4");
    }

    #[test]
    fn unknown_columns_are_refused_with_what_is_missing() {
        let message = |text: &str| read(text, Path::new("x.csv")).unwrap_err().to_string();
        assert_eq!(
            message("device,task,precision,energy_uj_per_inf\na,b,c,1\n"),
            "its columns are those of no table that is known; the nearest is 'small chips and programmable logic', for \
             which 'throughput_inf_per_s' or 'latency_us' is missing: x.csv"
        );
        let message = message("a,b\n1,2\n");
        assert!(message.contains("are missing"), "{message}");
        assert!(message.ends_with(": x.csv"), "{message}");
    }

    #[test]
    fn a_broken_line_says_which() {
        let text = "operation,energy_pj,process\nadd,1\n";
        let message = read(text, Path::new("x.csv")).unwrap_err().to_string();
        assert!(
            message.contains("line: 2") && message.ends_with(": x.csv"),
            "{message}"
        );
    }
}
