//! Published carbon intensities and embodied emissions against those that the program uses.

use serde::Deserialize;

use super::devices;
use super::read::Identified;
use super::small::number;
use crate::carbon::{self, Grid};
use crate::serving::{ComparedFigure, SkippedRow, ValidatedRow};
use crate::units::{GramsCo2e, GramsPerKwh, Range};

/// One published figure about carbon.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct CarbonRow {
    /// Identifier.
    pub id: String,
    /// Kind of figure.
    pub kind: String,
    /// A place, a model, a device.
    pub item: String,
    /// Year.
    pub year: String,
    /// The figure.
    pub value: String,
    /// Its unit.
    pub unit: String,
    /// Where it was published.
    pub source: String,
}

impl Identified for CarbonRow {
    fn id_mut(&mut self) -> &mut String {
        &mut self.id
    }
}

/// Codes of three letters (ISO 3166-1), or names where the grid has another, and the code of the grid.
const CODES: [(&str, &str); 38] = [
    ("WOR", "WORLD"),
    ("ARG", "AR"),
    ("AUS", "AU"),
    ("AUT", "AT"),
    ("BEL", "BE"),
    ("BRA", "BR"),
    ("CAN", "CA"),
    ("CHE", "CH"),
    ("CHL", "CL"),
    ("CHN", "CN"),
    ("CZE", "CZ"),
    ("DEU", "DE"),
    ("DNK", "DK"),
    ("ESP", "ES"),
    ("FIN", "FI"),
    ("FRA", "FR"),
    ("GBR", "GB"),
    ("GRC", "GR"),
    ("HUN", "HU"),
    ("IND", "IN"),
    ("IRL", "IE"),
    ("ISL", "IS"),
    ("ITA", "IT"),
    ("JPN", "JP"),
    ("KOR", "KR"),
    ("MEX", "MX"),
    ("NLD", "NL"),
    ("NOR", "NO"),
    ("NZL", "NZ"),
    ("POL", "PL"),
    ("PRT", "PT"),
    ("SGP", "SG"),
    ("SWE", "SE"),
    ("TUR", "TR"),
    ("USA", "US"),
    ("ZAF", "ZA"),
    ("United Kingdom", "GB"),
    ("India", "IN"),
];

/// Compares a row, or says why not.
pub(crate) fn validate(row: &CarbonRow) -> Result<ValidatedRow, SkippedRow> {
    let compared = match row.kind.as_str() {
        "grid_intensity" => intensity(row),
        "embodied" => embodied(row),
        "training" => Err(
            "a training run is not an inference, and this command predicts inferences".to_owned(),
        ),
        "pue" => {
            Err("the effectiveness of a building is set by whoever asks, not predicted".to_owned())
        }
        "inference" => Err("the model and hardware behind it are not published".to_owned()),
        kind => Err(format!("nothing is predicted for '{kind}'")),
    };
    match compared {
        Ok((figure, group)) => Ok(ValidatedRow {
            id: row.id.clone(),
            predicted_energy_j: None,
            predicted_throughput: None,
            measured_energy_j: None,
            measured_throughput: None,
            model: String::new(),
            family: group.to_owned(),
            hardware: row.item.clone(),
            scope: "yearly or total",
            source: row.source.clone(),
            figures: vec![figure],
        }),
        Err(reason) => Err(SkippedRow {
            id: row.id.clone(),
            reason,
        }),
    }
}

type Compared = Result<(ComparedFigure, &'static str), String>;

fn intensity(row: &CarbonRow) -> Compared {
    let grids = carbon::grids().map_err(|error| error.to_string())?;
    let code = CODES.iter().find(|(code, _)| *code == row.item);
    let named = |grid: &&Grid| {
        grid.name.eq_ignore_ascii_case(&row.item) || code.is_some_and(|(_, id)| grid.id == *id)
    };
    let grid = grids
        .iter()
        .find(named)
        .ok_or_else(|| format!("no grid is called '{}'", row.item))?;
    let measured = number(&row.value).ok_or_else(|| format!("'{}' is not a number", row.value))?;
    Ok((
        ComparedFigure {
            quantity: "carbon intensity".to_owned(),
            unit: GramsPerKwh::SYMBOL,
            predicted: grid.intensity.map(|grams| grams.0),
            measured,
        },
        "grids",
    ))
}

fn embodied(row: &CarbonRow) -> Compared {
    let target = devices::named(&row.item)
        .map_err(|error| error.to_string())?
        .or(devices::named(&format!("{} SXM", row.item)).map_err(|error| error.to_string())?)
        .ok_or_else(|| format!("the hardware catalogue has no '{}'", row.item))?;
    let kilograms = number(&row.value)
        .filter(|_| row.unit.starts_with("kg"))
        .ok_or_else(|| format!("'{} {}' is not a mass in kilograms", row.value, row.unit))?;
    let range: Range<GramsCo2e> = target.embodied_range();
    Ok((
        ComparedFigure {
            quantity: "embodied emissions".to_owned(),
            unit: GramsCo2e::SYMBOL,
            predicted: range.map(|grams| grams.0),
            measured: kilograms * 1e3,
        },
        "devices",
    ))
}
