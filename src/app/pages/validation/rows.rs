//! The published rows with their predictions, and what the filters leave of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use wattif_core::serving::{Options, Pair, Row, Statistics, ValidatedRow};
use wattif_core::tables::{self, Table};
use wattif_core::units::Range;

use crate::format;

/// A published row with its predictions.
pub(super) struct Item {
    /// How it was measured; empty where its table says nothing of batches and tasks.
    pub(super) conditions: Row,
    /// By constants that were fitted without its family, and by the constants that ship.
    pub(super) predicted: [ValidatedRow; 2],
    pub(super) kind: &'static str,
}

/// What the points compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Quantity {
    #[default]
    Energy,
    Throughput,
}

/// Which constants predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Constants {
    #[default]
    HeldOut,
    Shipped,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Filters {
    pub(super) quantity: Quantity,
    pub(super) constants: Constants,
    /// One scope, or all.
    pub(super) scope: Option<&'static str>,
    /// One kind of work, or all.
    pub(super) kind: Option<&'static str>,
}

impl Item {
    pub(super) fn pair(&self, quantity: Quantity, constants: Constants) -> Option<Pair> {
        let row = &self.predicted[constants as usize];
        let (predicted, measured) = match quantity {
            Quantity::Energy => (row.predicted_energy_j?, row.measured_energy_j?),
            Quantity::Throughput => (row.predicted_throughput?, row.measured_throughput?),
        };
        Some(Pair {
            predicted,
            measured,
        })
    }

    /// What is published of it.
    pub(super) fn published(&self) -> &ValidatedRow {
        &self.predicted[0]
    }

    pub(super) fn scope(&self) -> &'static str {
        self.published().scope
    }
}

/// The kind of work of a row, for its sign and for the filter.
fn kind(row: &Row) -> &'static str {
    if row.task.contains("MLPerf") {
        "MLPerf"
    } else if row.task.contains("text-to-image") || row.task.contains("image generation") {
        "images"
    } else if row.task.contains("text-to-video") {
        "videos"
    } else if row.engine.contains("llama.cpp") {
        "llama.cpp"
    } else if row.task.is_empty() {
        "small chips"
    } else {
        "language"
    }
}

/// Reads the table and predicts every row twice.
pub(super) fn work_out() -> Result<Vec<Item>, String> {
    let words = |error: wattif_core::Error| error.to_string();
    // Those that state an energy or a speed of a whole network.
    let mut measured = Vec::new();
    let mut conditions = HashMap::new();
    for (path, text) in tables::SHIPPED {
        let table = tables::read(text, Path::new(path)).map_err(words)?;
        match &table {
            Table::Serving(rows) => {
                conditions.extend(rows.iter().map(|row| (row.id.clone(), row.clone())));
            }
            Table::Small(_) | Table::Neuromorphic(_) => {}
            Table::Operations(_)
            | Table::Devices(_)
            | Table::Carbon(_)
            | Table::Quality(_)
            | Table::Runs(_) => {
                continue;
            }
        }
        measured.push(table);
    }
    let validate = |cross_validate: bool| {
        let options = Options {
            models: None,
            cross_validate,
        };
        tables::validate(&measured, options).map_err(words)
    };
    let shipped = validate(false)?.rows.into_iter();
    let mut shipped: HashMap<String, ValidatedRow> =
        shipped.map(|row| (row.id.clone(), row)).collect();
    Ok(validate(true)?
        .rows
        .into_iter()
        .filter_map(|held_out| {
            let conditions = conditions.remove(&held_out.id).unwrap_or_default();
            Some(Item {
                kind: kind(&conditions),
                conditions,
                predicted: [held_out.clone(), shipped.remove(&held_out.id)?],
            })
        })
        .collect())
}

pub(super) type Outcome = Result<Vec<Item>, String>;

/// What the filters leave, worked out when they change.
pub(super) struct Shown {
    pub(super) of: Filters,
    /// Places in the list of items, with predicted and measured.
    pub(super) points: Vec<(usize, Pair)>,
    pub(super) all: Option<Statistics>,
    pub(super) groups: Vec<Group>,
}

pub(super) struct Group {
    pub(super) hardware: String,
    pub(super) scope: &'static str,
    pub(super) statistics: Statistics,
}

impl Shown {
    pub(super) fn new(of: Filters, items: &[Item]) -> Self {
        let points: Vec<(usize, Pair)> = items
            .iter()
            .enumerate()
            .filter(|(_, item)| of.scope.is_none_or(|scope| item.scope() == scope))
            .filter(|(_, item)| of.kind.is_none_or(|kind| item.kind == kind))
            .filter_map(|(place, item)| Some((place, item.pair(of.quantity, of.constants)?)))
            .collect();
        let mut pairs: BTreeMap<(&str, &'static str), Vec<Pair>> = BTreeMap::new();
        for (place, pair) in &points {
            let item = &items[*place];
            let key = (item.published().hardware.as_str(), item.scope());
            pairs.entry(key).or_default().push(*pair);
        }
        let mut groups: Vec<Group> = pairs
            .into_iter()
            .filter_map(|((hardware, scope), pairs)| {
                Some(Group {
                    hardware: hardware.to_owned(),
                    scope,
                    statistics: Statistics::new(&pairs)?,
                })
            })
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.statistics.n));
        let all: Vec<Pair> = points.iter().map(|(_, pair)| *pair).collect();
        Self {
            of,
            all: Statistics::new(&all),
            points,
            groups,
        }
    }
}

/// Predicted and measured in words.
pub(super) fn compared(item: &Item, pair: Pair, unit: &str) -> String {
    let Range { low, typical, high } = pair.predicted;
    let texts = format::in_one_unit(&[typical, low, high, pair.measured], unit);
    let batch = match item.conditions.batch_size.parse::<f64>() {
        Ok(batch) => format!("batch {}, ", format::trimmed(batch, 3)),
        Err(_) => String::new(),
    };
    let devices = match item.conditions.n_devices.trim() {
        "" | "1" => String::new(),
        many => format!("{many} devices, "),
    };
    let of = if unit.is_empty() {
        "per second"
    } else {
        "per unit of work"
    };
    format!(
        "{batch}{devices}{}: predicted {} ({} to {}), measured {} {of}",
        item.conditions.precision,
        texts[0].trim_end(),
        texts[1].trim_end(),
        texts[2].trim_end(),
        texts[3].trim_end(),
    )
}

/// The address of a source that is written as `owner/name@commit:path`, or is an address itself.
pub(super) fn link(source: &str) -> Option<String> {
    if source.starts_with("https://") {
        return Some(source.to_owned());
    }
    let (repository, rest) = source.split_once('@')?;
    let (commit, path) = rest.split_once(':')?;
    let plain = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    };
    let named = repository.split('/').count() == 2 && plain(repository);
    let commit_ok = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_hexdigit());
    let path = path.split(' ').next().unwrap_or_default();
    (named && commit_ok && plain(path))
        .then(|| format!("https://github.com/{repository}/blob/{commit}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_name_a_file_become_addresses() {
        assert_eq!(
            link("ml-energy/leaderboard@0cd52dab:public/data/tasks/gpqa.json").as_deref(),
            Some(
                "https://github.com/ml-energy/leaderboard/blob/0cd52dab/public/data/tasks/gpqa.json"
            )
        );
        assert_eq!(
            link("https://mlcommons.org/x").as_deref(),
            Some("https://mlcommons.org/x")
        );
        assert_eq!(link("Husom et al. arXiv 2504.03360v1 Table 6"), None);
        assert_eq!(link("someone@example.org: a mail"), None);
    }
}
