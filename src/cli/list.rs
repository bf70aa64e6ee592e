//! `wattif models`, `wattif regions`: what the other commands can be asked for.

use clap::Args;
use serde::Serialize;
use wattif_core::carbon;
use wattif_core::model::{ModelReference, bundled};
use wattif_core::outline::Outline;
use wattif_core::serving::{self, architecture::Architecture};

use super::out::Out;
use crate::format::{count, significant};

/// Arguments of the lists.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct ModelEntry {
    reference: String,
    title: String,
    family: &'static str,
    unit: &'static str,
    parameters: u64,
    summary: String,
}

/// Prints the bundled models and the networks known by their shapes.
pub(super) fn models(arguments: &ListArguments, out: &mut Out) -> anyhow::Result<()> {
    let entries = bundled::all()
        .iter()
        .map(|entry| {
            let architecture = bundled::load(entry.name)?.architecture;
            Ok(ModelEntry {
                reference: format!("bundled:{}", entry.name),
                title: entry.title.to_owned(),
                family: architecture.family(),
                unit: architecture.unit().name(),
                parameters: architecture.parameters(),
                summary: entry.summary.to_owned(),
            })
        })
        .chain(serving::architectures()?.iter().map(outlined))
        .collect::<wattif_core::Result<Vec<_>>>()?;
    if arguments.json {
        return out.json(&entries);
    }
    let mut rows = vec![heading(["MODEL", "PARAMETERS", "UNIT", "WHAT IT IS"])];
    rows.extend(entries.iter().map(|entry| {
        vec![
            entry.reference.clone(),
            count(entry.parameters as f64),
            entry.unit.to_owned(),
            format!("{}: {}", entry.title, entry.summary),
        ]
    }));
    Ok(out.table(&rows, &[false, true])?)
}

/// A network of the catalogue in the list.
fn outlined(network: &Architecture) -> wattif_core::Result<ModelEntry> {
    let reference = ModelReference::Catalogue(network.id.clone());
    let outline = Outline::open(&reference)?;
    Ok(ModelEntry {
        reference: reference.to_string(),
        title: network.names.first().unwrap_or(&network.id).clone(),
        family: outline.family(),
        unit: outline.unit().name(),
        parameters: outline.parameters(),
        summary: "known by its shapes".to_owned(),
    })
}

/// Prints the regions with the carbon intensity of their grids.
pub(super) fn regions(arguments: &ListArguments, out: &mut Out) -> anyhow::Result<()> {
    let grids = carbon::grids()?;
    if arguments.json {
        return out.json(&grids);
    }
    let mut rows = vec![heading(["ID", "GCO2E/KWH", "LOW", "HIGH", "YEAR", "NAME"])];
    rows.extend(grids.iter().map(|grid| {
        vec![
            grid.id.clone(),
            significant(grid.intensity.typical.0, 3),
            significant(grid.intensity.low.0, 3),
            significant(grid.intensity.high.0, 3),
            grid.year.to_string(),
            grid.name.clone(),
        ]
    }));
    Ok(out.table(&rows, &[false, true, true, true, true])?)
}

/// The first row of a table.
pub(super) fn heading<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
