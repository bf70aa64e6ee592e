//! The chart of emissions, per unit of work and per day.

use wattif_core::footprint::Footprint;
use wattif_core::profile::Unit as Work;
use wattif_core::units::Range;

use super::{Chart, Point, Unit, baseline, modelled, positive_bounds, stretches};
use crate::app::axis::Axis;
use crate::app::compare::against_original;
use crate::app::derived::{Curve, Derived, Figures};
use crate::app::session::Session;
use crate::format;

pub(super) fn build(session: &Session, derived: &Derived) -> Chart {
    let axis = session.axis;
    // Demand leaves the emissions per unit alone: there the day is the axis worth seeing.
    let daily = axis == Axis::Demand;
    let mut chart = Chart::empty("carbon", "", Unit::Grams);
    let Some(now) = &derived.now else {
        chart.reading = "CO₂e".to_owned();
        return chart;
    };
    let work = now.profile.unit;
    let emissions = |figures: &Figures| {
        figures.footprint.as_ref().ok().map(|f| {
            let estimate = if daily {
                &f.co2e_per_day
            } else {
                &f.co2e_per_unit
            };
            estimate.range.map(|v| v.0)
        })
    };
    let of = |curve: &Curve| -> Vec<Option<Range<f64>>> {
        if daily {
            curve.co2e_day.clone()
        } else {
            curve.co2e_unit.clone()
        }
    };
    let original = derived.original.as_ref().and_then(emissions);
    let current = emissions(now);
    let (ranges, original_ranges) = (of(&derived.curve), of(&derived.original_curve));
    let ends = |list: &[Option<Range<f64>>]| -> Vec<f64> {
        list.iter()
            .flatten()
            .flat_map(|r| [r.low, r.high])
            .collect()
    };
    let pinned = (derived.pins.iter().flatten()).filter_map(|pin| emissions(&pin.figures));
    let extra = original
        .into_iter()
        .chain(current)
        .chain(pinned)
        .flat_map(|r| [r.typical, r.high]);
    let (scale, bounds) = positive_bounds(
        ends(&ranges)
            .into_iter()
            .chain(ends(&original_ranges))
            .chain(extra),
    );
    (chart.scale, chart.bounds) = (scale, bounds);
    chart.apart = axis.is_apart(&session.configuration.recipe);
    chart.curve = stretches(axis, &derived.curve.values, &ranges, scale, chart.apart);
    let before = (&derived.original_curve, original_ranges.as_slice());
    chart.baseline = baseline(axis, before, original, scale);
    let point = |value: f64, range: Range<f64>| Point {
        x: axis.place(value),
        y: scale.place(range.typical),
        interval: [scale.place(range.low), scale.place(range.high)],
        depth: None,
    };
    let configuration = &session.configuration;
    let value = axis.get(&configuration.recipe, &configuration.scenario);
    chart.current = current.map(|range| (point(value, range), now.counted));
    for (place, pin) in chart.pins.iter_mut().zip(&derived.pins) {
        *place = pin.as_ref().and_then(|pin| {
            let configuration = &pin.configuration;
            let value = axis.get(&configuration.recipe, &configuration.scenario);
            Some(point(value, emissions(&pin.figures)?))
        });
    }
    read(&mut chart, now, derived, work);
    chart.caption = modelled(&chart);
    let demand = configuration.scenario.demand_per_day;
    if !daily && demand > 0.0 {
        chart.right = Some((demand, Unit::Grams));
        chart.caption = format!("right axis a day; modelled{}", scale.note());
    }
    chart
}

fn read(chart: &mut Chart, now: &Figures, derived: &Derived, work: Work) {
    match &now.footprint {
        Ok(footprint) => {
            let unit = footprint.co2e_per_unit.range.typical.0;
            let day = footprint.co2e_per_day.range.typical.0;
            let mut reading = format!(
                "CO₂e {} per {}, {} a day",
                format::grams(unit),
                work.name(),
                format::grams(day)
            );
            if let Some(Ok(original)) = derived.original.as_ref().map(|f| &f.footprint) {
                let of = |f: &Footprint| f.co2e_per_unit.range.map(|v| v.0);
                reading += &comparison(of(footprint), of(original));
            }
            chart.reading = reading;
            chart.provenance = Some(footprint.co2e_per_unit.provenance.clone());
        }
        Err(error) => {
            "CO₂e: not on this hardware".clone_into(&mut chart.reading);
            if chart.curve.is_empty() {
                chart.obstacle = Some(error.to_string());
            }
        }
    }
}

fn comparison(now: Range<f64>, original: Range<f64>) -> String {
    let saved = 1.0 - now.typical / original.typical;
    against_original(now, original, "the same as the original", || {
        if saved > 0.0 {
            format!("{} below the original", format::magnitude(saved))
        } else {
            format!("{} above the original", format::magnitude(saved))
        }
    })
}
