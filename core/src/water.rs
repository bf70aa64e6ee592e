//! Water that electricity consumes: in the building's cooling and in making the electricity.

use crate::digits::si;
use crate::footprint::Estimate;
use crate::measurement::Provenance;
use crate::scenario::Scenario;
use crate::units::{Joules, KilowattHours, Litres, Range};

/// Water consumed for an amount of energy at the machine: kWh × (WUE + PUE × litres per kWh of the grid), after Li et
/// al., "Making AI Less Thirsty", arXiv 2304.03271. `None` where the scenario gives neither; what it does not give is
/// left out.
pub fn water(energy: Range<Joules>, scenario: &Scenario) -> Option<Estimate<Litres>> {
    if scenario.wue.is_none() && scenario.grid_water.is_none() {
        return None;
    }
    let (site, grid) = (
        scenario.wue.unwrap_or(0.0),
        scenario.grid_water.unwrap_or(0.0),
    );
    let per_kwh = site + scenario.pue * grid;
    let range = energy.map(|energy| Litres(KilowattHours::from(energy).0 * per_kwh));
    let left_out = match (scenario.wue, scenario.grid_water) {
        (None, _) => "; water of the building not given",
        (_, None) => "; water of the grid not given",
        _ => "",
    };
    Some(Estimate {
        provenance: Provenance::Modelled {
            formula: format!(
                "{} / 3.6 MJ per kWh × (WUE {site} + PUE {} × grid {grid} L/kWh) = {}{left_out}",
                si(energy.typical.0, "J"),
                scenario.pue,
                si(range.typical.0, "L")
            ),
        },
        range,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kilowatt_hour_takes_the_building_s_water_and_the_grid_s_times_pue() {
        let kwh = Range::exact(Joules(3.6e6));
        let mut scenario = Scenario {
            pue: 1.2,
            ..Scenario::default()
        };
        assert_eq!(water(kwh, &scenario), None);
        scenario.wue = Some(0.5);
        let site = water(kwh, &scenario).unwrap();
        assert!((site.range.typical.0 - 0.5).abs() < 1e-12);
        scenario.grid_water = Some(3.0);
        let both = water(kwh, &scenario).unwrap();
        assert!((both.range.typical.0 - (0.5 + 1.2 * 3.0)).abs() < 1e-12);
    }
}
