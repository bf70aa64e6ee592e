//! Carbon: how much greenhouse gas an amount of electricity and the making of a device stand for.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::named::{Hits, Understood};
use crate::places;
use crate::scenario::Scenario;
use crate::units::{GramsCo2e, GramsPerKwh, Joules, KilowattHours, Range, Seconds};

/// An electricity grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Identifier: the zone key of the source, such as `FR` or `US-CAL-CISO`; `WORLD` for the world.
    pub id: String,
    /// Name of the place.
    pub name: String,
    /// Grams of CO2 equivalent per kilowatt-hour, yearly average over the life cycle.
    pub intensity: Range<GramsPerKwh>,
    /// Year that the typical value is for.
    pub year: u16,
    /// Where it is from.
    pub source: String,
}

/// The file of grids: sources are spelt once, each place refers to one by its place in the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GridFile {
    sources: Vec<String>,
    grids: Vec<(String, String, f64, f64, f64, u16, usize)>,
}

const FILE: &str = include_str!("../../assets/grids.ron");

/// Seconds in a year of 365.25 days.
const SECONDS_PER_YEAR: f64 = 365.25 * 86_400.0;

fn parse(text: &str) -> Result<Vec<Grid>> {
    let fail = |fact: String| Error::file(fact, "assets/grids.ron");
    let file: GridFile = ron::from_str(text).map_err(|error| fail(error.to_string()))?;
    let mut grids = Vec::with_capacity(file.grids.len());
    for (id, name, low, typical, high, year, source) in file.grids {
        if !(0.0 < low && low <= typical && typical <= high && high < 3000.0) {
            return Err(fail(format!(
                "{id} has no increasing intensities below 3000"
            )));
        }
        let source = file.sources.get(source).ok_or_else(|| {
            fail(format!(
                "{id} refers to source {source}, which is not listed"
            ))
        })?;
        grids.push(Grid {
            id,
            name,
            intensity: Range { low, typical, high }.map(GramsPerKwh),
            year,
            source: source.clone(),
        });
    }
    Ok(grids)
}

/// All grids, `WORLD` first, then by name.
///
/// # Errors
/// [`Error::File`] when the file that ships with the program is broken.
pub fn grids() -> Result<&'static [Grid]> {
    static GRIDS: OnceLock<Result<Vec<Grid>>> = OnceLock::new();
    match GRIDS.get_or_init(|| parse(FILE)) {
        Ok(grids) => Ok(grids),
        Err(error) => Err(error.clone()),
    }
}

/// The grid with an identifier, upper or lower case.
///
/// # Errors
/// [`Error::Unknown`] with names that resemble it.
pub fn find_grid(id: &str) -> Result<&'static Grid> {
    let all = grids()?;
    all.iter()
        .find(|grid| grid.id.eq_ignore_ascii_case(id))
        .ok_or_else(|| match named_grid(id) {
            Ok(understood) => Error::Unknown {
                what: "region",
                id: id.to_owned(),
                near: vec![understood.item.id.clone()],
            },
            // Where identifiers are asked for, identifiers are suggested.
            Err(Error::Unknown { what, id, near }) => {
                let id_of = |name: String| {
                    let named = all.iter().find(|grid| grid.name == name);
                    named.map_or(name, |grid| grid.id.clone())
                };
                let near = near.into_iter().map(id_of).collect();
                Error::Unknown { what, id, near }
            }
            Err(error) => error,
        })
}

/// The grid that people mean: by identifier, by a name of the place in English or in its own language, by a code of ISO
/// 3166, by a region of a cloud provider (`eu-central-1`), or by the beginning of a name that is long enough and fits
/// nothing else.
///
/// # Errors
/// [`Error::Ambiguous`] where it could be several places, [`Error::NoGrid`] for a place without a grid,
/// [`Error::Unknown`] where none is called so.
pub fn named_grid(name: &str) -> Result<Understood<&'static Grid>> {
    let all = grids()?;
    Ok(places::places()?.find(name)?.map(|item| &all[item]))
}

/// The grids that a search through their names finds: what [`named_grid`] would take first. All for an empty search.
///
/// # Errors
/// Those of [`grids`].
pub fn search_grids(text: &str) -> Result<Hits<&'static Grid>> {
    let all = grids()?;
    let hits = places::places()?.search(text);
    Ok(Hits {
        items: hits.items.into_iter().map(|item| &all[item]).collect(),
        notice: hits.notice,
    })
}

/// Emissions of electricity: energy at the machine × PUE × intensity of the grid.
pub fn operational(energy: Range<Joules>, pue: f64, grid: &Grid) -> Range<GramsCo2e> {
    energy.with(grid.intensity, |energy, intensity| {
        intensity * KilowattHours::from(energy * pue)
    })
}

/// Share of the emissions of making devices that falls on an amount of time in which they are busy: emissions × devices
/// × time / (lifetime × utilisation).
pub fn embodied(
    per_device: Range<GramsCo2e>,
    devices: Range<f64>,
    busy: Range<Seconds>,
    scenario: &Scenario,
) -> Range<GramsCo2e> {
    let busy_life = scenario.lifetime_years * SECONDS_PER_YEAR * scenario.utilization;
    per_device
        .with(devices, |grams, devices| grams * devices)
        .with(busy, |grams, time| grams * (time.0 / busy_life))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kilowatt_hour_at_pue_1_2_and_400_grams_is_480_grams() {
        let grid = Grid {
            id: "X".to_owned(),
            name: "X".to_owned(),
            intensity: Range::exact(GramsPerKwh(400.0)),
            year: 2024,
            source: String::new(),
        };
        let grams = operational(Range::exact(Joules(3.6e6)), 1.2, &grid);
        assert!((grams.typical.0 - 480.0).abs() < 1e-9);
    }

    #[test]
    fn a_device_busy_all_its_life_passes_on_all_its_embodied_emissions() {
        let scenario = Scenario {
            lifetime_years: 4.0,
            utilization: 0.25,
            ..Scenario::default()
        };
        let busy = Range::exact(Seconds(SECONDS_PER_YEAR));
        let grams = embodied(
            Range::exact(GramsCo2e(164e3)),
            Range::exact(8.0),
            busy,
            &scenario,
        );
        assert!((grams.typical.0 - 8.0 * 164e3).abs() < 1e-6);
    }

    #[test]
    fn the_grids_that_ship_are_at_least_two_hundred_with_unique_ids() {
        let all = grids().unwrap();
        assert!(all.len() >= 200, "{}", all.len());
        let ids: std::collections::BTreeSet<_> =
            all.iter().map(|grid| grid.id.to_lowercase()).collect();
        assert_eq!(ids.len(), all.len());
        assert!(
            all.iter()
                .all(|grid| grid.year >= 2000 && !grid.source.is_empty())
        );
        assert_eq!(all[0].id, "WORLD");
    }

    #[test]
    fn clean_grids_are_cleaner_than_coal_grids() {
        let intensity = |id: &str| find_grid(id).unwrap().intensity.typical.0;
        assert!(intensity("FR") < 100.0 && intensity("NO") < 60.0);
        assert!(intensity("PL") > 500.0 && intensity("ZA") > 500.0);
        assert!((350.0..600.0).contains(&intensity("world")));
    }

    #[test]
    fn an_unknown_region_is_named() {
        let error = find_grid("Frnce").unwrap_err().to_string();
        assert!(error.starts_with("no region is called 'Frnce'"), "{error}");
        let error = find_grid("France").unwrap_err().to_string();
        assert_eq!(error, "no region is called 'France'; did you mean FR?");
        let id = |name: &str| named_grid(name).map(|understood| understood.item.id.as_str());
        assert_eq!(id("France"), Ok("FR"));
        assert_eq!(id("germany"), Ok("DE"));
        assert_eq!(id("United States"), Ok("US"));
    }
}
