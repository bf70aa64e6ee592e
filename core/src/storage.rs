//! What keeping data for a year and sending it once costs.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::carbon::{self, Grid};
use crate::digits::{si, trimmed};
use crate::error::{Error, Result};
use crate::footprint::Estimate;
use crate::hardware::Figure;
use crate::measurement::Provenance;
use crate::scenario::Scenario;
use crate::units::{Bytes, GramsCo2e, Joules, KilowattHours, Range, Seconds, Watts};

const FILE: &str = include_str!("../../assets/storage.ron");

const BYTES_PER_TERABYTE: f64 = 1e12;
const BYTES_PER_GIGABYTE: f64 = 1e9;
const YEAR: Seconds = Seconds(365.25 * 86_400.0);

/// The constants of storage.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Constants {
    watts_per_terabyte: Figure<Watts>,
    kilowatt_hours_per_gigabyte: Figure<KilowattHours>,
}

fn constants() -> Result<&'static Constants> {
    static CONSTANTS: OnceLock<Result<Constants>> = OnceLock::new();
    let loaded = CONSTANTS.get_or_init(|| {
        let fail = |fact: String| Error::file(fact, "assets/storage.ron");
        let constants: Constants = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
            .from_str(FILE)
            .map_err(|error| fail(error.to_string()))?;
        let Constants {
            watts_per_terabyte: stored,
            kilowatt_hours_per_gigabyte: sent,
        } = &constants;
        stored.check("watts_per_terabyte").map_err(fail)?;
        sent.check("kilowatt_hours_per_gigabyte").map_err(fail)?;
        Ok(constants)
    });
    loaded.as_ref().map_err(Clone::clone)
}

/// Energy and emissions of something done with data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataCost {
    /// How much data.
    pub bytes: Bytes,
    /// Energy at the machines.
    pub energy_j: Estimate<Joules>,
    /// Emissions of the electricity, with the building where there is one.
    pub co2e_g: Estimate<GramsCo2e>,
}

fn data_cost(bytes: Bytes, energy_j: Estimate<Joules>, pue: f64, grid: &Grid) -> DataCost {
    let grams = carbon::operational(energy_j.range, pue, grid);
    let formula = format!(
        "{} × PUE {pue} / 3.6 MJ per kWh × {} g/kWh ({}) = {}",
        si(energy_j.range.typical.0, "J"),
        trimmed(grid.intensity.typical.0, 3),
        grid.name,
        si(grams.typical.0, "g")
    );
    DataCost {
        bytes,
        energy_j,
        co2e_g: Estimate {
            range: grams,
            provenance: Provenance::Modelled { formula },
        },
    }
}

/// An energy in proportion to bytes, with the figure that it follows from.
fn estimate<T: Copy>(
    bytes: Bytes,
    figure: &Figure<T>,
    number: impl Fn(T) -> f64,
    per: &str,
    range: Range<Joules>,
) -> Estimate<Joules> {
    let formula = format!(
        "{} × {} [{}, {}] {per} = {}; {} ({})",
        si(bytes.0, "B"),
        trimmed(number(figure.typical), 3),
        trimmed(number(figure.range().low), 3),
        trimmed(number(figure.range().high), 3),
        si(range.typical.0, "J"),
        figure.source,
        figure.trust.name()
    );
    Estimate {
        range,
        provenance: Provenance::Modelled { formula },
    }
}

/// Keeping data in a data centre for a year.
///
/// # Errors
/// The constants that ship with the program are broken.
pub fn kept_for_a_year(bytes: Bytes, scenario: &Scenario, grid: &Grid) -> Result<DataCost> {
    let figure = &constants()?.watts_per_terabyte;
    let range = figure
        .range()
        .map(|watts| watts * YEAR * (bytes.0 / BYTES_PER_TERABYTE));
    let per = "W per TB × one year";
    let energy = estimate(bytes, figure, |watts| watts.0, per, range);
    Ok(data_cost(bytes, energy, scenario.pue, grid))
}

/// Sending data once through the network, whose buildings are in the figure.
///
/// # Errors
/// The constants that ship with the program are broken.
pub fn sent_once(bytes: Bytes, grid: &Grid) -> Result<DataCost> {
    let figure = &constants()?.kilowatt_hours_per_gigabyte;
    let range = figure
        .range()
        .map(|energy| Joules::from(energy) * (bytes.0 / BYTES_PER_GIGABYTE));
    let energy = estimate(bytes, figure, |energy| energy.0, "kWh per GB", range);
    Ok(data_cost(bytes, energy, 1.0, grid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terabyte_on_a_hard_disk_takes_5_7_kilowatt_hours_a_year() {
        let grid = carbon::find_grid("WORLD").unwrap();
        let scenario = Scenario::default();
        let cost = kept_for_a_year(Bytes(1e12), &scenario, grid).unwrap();
        let kwh = cost
            .energy_j
            .range
            .map(|energy| KilowattHours::from(energy).0);
        assert!((kwh.low - 0.65 * 8.766).abs() < 1e-6, "{}", kwh.low);
        assert!(kwh.low < kwh.typical && kwh.typical < kwh.high);
        let grams = cost.co2e_g.range.typical.0;
        let expected = kwh.typical * scenario.pue * grid.intensity.typical.0;
        assert!((grams - expected).abs() < 1e-9 * expected);
    }

    #[test]
    fn sending_a_gigabyte_has_no_building_on_top() {
        let grid = carbon::find_grid("FR").unwrap();
        let cost = sent_once(Bytes(1e9), grid).unwrap();
        let kwh = KilowattHours::from(cost.energy_j.range.typical).0;
        let grams = cost.co2e_g.range.typical.0;
        assert!((grams - kwh * grid.intensity.typical.0).abs() < 1e-9 * grams);
    }
}
