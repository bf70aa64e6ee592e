//! The chart of speed.

use wattif_core::profile::Unit as Work;
use wattif_core::units::Range;

use super::{Chart, Point, Unit, baseline, modelled, positive_bounds, stretches};
use crate::app::compare::against_original;
use crate::app::derived::{Derived, Figures};
use crate::app::session::Session;
use crate::format;

pub(super) fn build(session: &Session, derived: &Derived) -> Chart {
    let work = derived
        .now
        .as_ref()
        .map_or(Work::Sample, |f| f.profile.unit);
    let mut chart = Chart::empty("throughput", "", Unit::Rate(work.plural()));
    let axis = session.axis;
    let Some(now) = &derived.now else {
        chart.reading = "Throughput".to_owned();
        return chart;
    };
    let rate = |figures: &Figures| {
        figures
            .footprint
            .as_ref()
            .ok()
            .map(|f| f.throughput.range.map(|v| v.0))
    };
    let original = derived.original.as_ref().and_then(rate);
    let current = rate(now);
    let curve = &derived.curve;
    let all = |list: &[Option<Range<f64>>]| -> Vec<f64> {
        list.iter()
            .flatten()
            .flat_map(|r| [r.low, r.high])
            .collect()
    };
    let pinned = (derived.pins.iter().flatten()).filter_map(|pin| rate(&pin.figures));
    let extra = original
        .into_iter()
        .chain(current)
        .chain(pinned)
        .flat_map(|r| [r.typical, r.high]);
    let (scale, bounds) = positive_bounds(
        all(&curve.throughput)
            .into_iter()
            .chain(all(&derived.original_curve.throughput))
            .chain(extra),
    );
    (chart.scale, chart.bounds) = (scale, bounds);
    chart.apart = axis.is_apart(&session.configuration.recipe);
    chart.curve = stretches(axis, &curve.values, &curve.throughput, scale, chart.apart);
    let before = &derived.original_curve;
    chart.baseline = baseline(axis, (before, &before.throughput), original, scale);
    let configuration = &session.configuration;
    let point = |value: f64, range: Range<f64>| Point {
        x: axis.place(value),
        y: scale.place(range.typical),
        interval: [scale.place(range.low), scale.place(range.high)],
        depth: None,
    };
    let value = axis.get(&configuration.recipe, &configuration.scenario);
    chart.current = current.map(|range| (point(value, range), now.counted));
    for (place, pin) in chart.pins.iter_mut().zip(&derived.pins) {
        *place = pin.as_ref().and_then(|pin| {
            let configuration = &pin.configuration;
            let value = axis.get(&configuration.recipe, &configuration.scenario);
            Some(point(value, rate(&pin.figures)?))
        });
    }
    match &now.footprint {
        Ok(footprint) => {
            let typical = footprint.throughput.range.typical.0;
            let mut reading = format!("Throughput {}", format::rate(typical, work.plural()));
            if let Some(original) = original {
                reading += &comparison(footprint.throughput.range.map(|v| v.0), original);
            }
            chart.reading = reading;
            chart.provenance = Some(footprint.throughput.provenance.clone());
        }
        Err(error) => {
            "Throughput: not on this hardware".clone_into(&mut chart.reading);
            if chart.curve.is_empty() {
                chart.obstacle = Some(error.to_string());
            }
        }
    }
    chart.caption = modelled(&chart);
    chart
}

/// "1.8× the original", or that there is no difference.
fn comparison(now: Range<f64>, original: Range<f64>) -> String {
    let ratio = now.typical / original.typical;
    against_original(now, original, "as fast as the original", || {
        if (0.9..1.1).contains(&ratio) {
            let (size, word) = if ratio > 1.0 {
                (ratio - 1.0, "faster")
            } else {
                (1.0 - ratio, "slower")
            };
            format!("{} {word} than the original", format::percent(size, 0))
        } else {
            format!("{} the original", format::times(ratio))
        }
    })
}
