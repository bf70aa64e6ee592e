//! Published carbon intensities and embodied emissions against those that the program uses.

use serde::Deserialize;

use super::devices;
use super::read::Identified;
use super::small::number;
use crate::carbon;
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

/// What the world is called where countries have codes of three letters (Our World in Data).
const WORLD: (&str, &str) = ("WOR", "WORLD");

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
    let (theirs, ours) = WORLD;
    let name = if row.item == theirs { ours } else { &row.item };
    let grid = carbon::named_grid(name)
        .map_err(|error| error.to_string())?
        .item;
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
