//! The chart of quality: measured points only, never a guessed curve.

use std::sync::Arc;

use wattif_core::measurement::{Depth, Measurement, Metric, Provenance, Quality};
use wattif_core::recipe::Recipe;

use super::{Chart, Point, Unit, level};
use crate::app::axis::Axis;
use crate::app::derived::{Derived, Store};
use crate::app::session::{Configuration, Session};
use crate::format;

/// Identifier of the chart.
pub(super) const QUALITY: &str = "quality";

/// What marks of places without a measurement mean.
const STILL_TO_COME: &str = "dotted: still to be measured";

/// "Weight fidelity 31.2 dB", of the recipe of now.
fn fidelity(derived: &Derived, recipe: &Recipe) -> String {
    match &derived.fidelity {
        Some((key, Some(decibels))) if *key == recipe.key() => {
            format!("Weight fidelity {decibels:.1} dB")
        }
        Some((key, None)) if *key == recipe.key() => "Weights unchanged".to_owned(),
        _ => "Weight fidelity…".to_owned(),
    }
}

pub(super) fn build(session: &Session, store: &Store, derived: &Derived) -> Chart {
    let axis = session.axis;
    let configuration = &session.configuration;
    let current = derived.now.as_ref().and_then(|f| f.measurement.as_ref());
    let original = derived
        .original
        .as_ref()
        .and_then(|f| f.measurement.as_ref());
    let metric = derived.metric.unwrap_or(Metric::Accuracy);
    let unit = unit(metric);
    let mut chart = Chart::empty(QUALITY, caption(metric), unit);
    if derived.now.is_none() {
        chart.reading = "Quality".to_owned();
        return chart;
    }
    if derived.tells_fidelity && !configuration.model.needs_images() {
        chart.reading = fidelity(derived, &configuration.recipe);
        chart.caption =
            "how near the weights stay; no quality is measured, as the network is not run here"
                .to_owned();
        chart.bare = true;
        return chart;
    }
    if configuration.is_outline() {
        chart.reading = "Quality not measured: no weights are loaded".to_owned();
        if configuration.model.needs_images() {
            chart.reading = "Quality not measured: no images to measure on".to_owned();
            chart.caption = "choose yours under Measured on, or drop their folder here".to_owned();
        } else {
            chart.caption =
                "open a bundled model, a GGUF or a safetensors file to measure".to_owned();
        }
        chart.bare = true;
        return chart;
    }
    let here = axis.get(&configuration.recipe, &configuration.scenario);
    // Points stand off the original by their change, so the level of the original carries them all.
    let Some(level_of_original) = original
        .map(|m| m.quality.value)
        .or(current.map(|m| m.quality.baseline))
    else {
        chart.waiting = Some(axis.place(here));
        chart.pending = places_to_fill(axis, configuration, &chart);
        chart.reading = format!("{} not measured yet", metric.name());
        chart.caption = STILL_TO_COME.to_owned();
        return chart;
    };
    chart.level = Some(level_of_original);
    let point = |value: f64, m: &Measurement| point(axis, value, m, level_of_original);
    if axis.is_recipe() {
        chart.points = store
            .along(axis, &configuration.recipe)
            .filter(|(_, m)| m.student.exact)
            .map(|(value, m)| point(value, m))
            .collect();
        chart.points.sort_by(|a, b| a.x.total_cmp(&b.x));
        // Another ratio is another network, trained or not: there is none on the way from one to the next.
        chart.join = axis != Axis::Ratio && !axis.is_apart(&configuration.recipe);
        chart.pending = places_to_fill(axis, configuration, &chart);
    }
    chart.current = current.map(|m| (point(here, m), true));
    if chart.current.is_none() {
        chart.waiting = Some(axis.place(here));
    }
    chart.baseline = level(axis, level_of_original);
    for (place, pin) in chart.pins.iter_mut().zip(&derived.pins) {
        *place = pin.as_ref().and_then(|pin| {
            let measurement = pin.figures.measurement.as_ref()?;
            let configuration = &pin.configuration;
            let value = axis.get(&configuration.recipe, &configuration.scenario);
            Some(point(value, measurement))
        });
    }
    chart.bounds = bounds(&chart, metric);
    chart.provenance = current.map(|m| Provenance::Measured { n: m.quality.n });
    chart.reading = match current {
        Some(measurement) => reading(measurement, level_of_original),
        None => {
            let stand_in = derived.now.as_ref().and_then(|f| f.stand_in.as_ref());
            unmeasured(metric, stand_in.map(Arc::as_ref), original.map(Arc::as_ref))
        }
    };
    if !chart.pending.is_empty() {
        chart.caption += &format!("; {STILL_TO_COME}");
    }
    chart
}

/// What is said before the configuration is measured: the quality of the network nearest to it, with its name.
fn unmeasured(
    metric: Metric,
    stand_in: Option<&Measurement>,
    original: Option<&Measurement>,
) -> String {
    let text = format!("{} not measured yet", metric.name());
    let Some(nearest) = stand_in.or(original) else {
        return text;
    };
    let owner = stand_in.map_or_else(|| "original".to_owned(), owner);
    let value = value_text(metric, nearest.quality.value, half(&nearest.quality));
    let more = stand_in.map_or("", so_far);
    format!("{text}; the {owner} has {value}{more}")
}

/// How values of a metric are drawn.
const fn unit(metric: Metric) -> Unit {
    if metric.facts().is_fraction {
        Unit::Percent
    } else {
        Unit::Plain
    }
}

fn caption(metric: Metric) -> String {
    let better = if metric.higher_is_better() {
        ""
    } else {
        "lower is better; "
    };
    format!("{better}measured, bars are 95 % intervals of the change")
}

/// Places where quality is measured when there is nothing else to do, and is not yet.
fn places_to_fill(axis: Axis, configuration: &Configuration, chart: &Chart) -> Vec<f64> {
    axis.fill_values(&configuration.recipe)
        .into_iter()
        .map(|value| axis.place(value))
        .filter(|x| !chart.points.iter().any(|p| (p.x - x).abs() < 1e-9))
        .collect()
}

/// A point that stands off the original's `level` by the change that was measured on the same samples.
fn point(axis: Axis, value: f64, measurement: &Measurement, level: f64) -> Point {
    let change = &measurement.quality.change;
    Point {
        x: axis.place(value),
        y: level + change.value,
        interval: [level + change.low, level + change.high],
        depth: Some(measurement.depth),
    }
}

/// Bounds that hold the points with their intervals, and never magnify less than a few points of difference.
fn bounds(chart: &Chart, metric: Metric) -> [f64; 2] {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let baseline = chart.baseline.iter().flat_map(|s| s.y[1].iter().copied());
    let pins = chart.pins.iter().flatten();
    let current = chart.current.iter().map(|(point, _)| point);
    for y in chart
        .points
        .iter()
        .chain(pins)
        .chain(current)
        .flat_map(|p| p.interval)
        .chain(baseline)
    {
        low = low.min(y);
        high = high.max(y);
    }
    let facts = metric.facts();
    let level = chart.baseline.iter().flat_map(|s| s.y[1].iter());
    let here = chart.current.as_ref().map(|(point, _)| &point.y);
    let most = level
        .into_iter()
        .chain(here)
        .fold(0.0_f64, |a, b| a.max(*b));
    if most > 0.0 {
        high = high.min(facts.most_times * most);
    }
    let least = facts.least_span;
    if low > high {
        return [0.0, 1.0];
    }
    let room = ((least - (high - low)) / 2.0).max((high - low) * 0.08);
    let (low, high) = (low - room, high + room);
    [low.max(facts.bounds.0), high.min(facts.bounds.1)]
}

fn half(quality: &Quality) -> f64 {
    (quality.high - quality.low) / 2.0
}

/// Decimals of a percentage: one, unless the interval is so wide that it would say nothing.
fn accuracy_decimals(half: f64) -> usize {
    usize::from(half < 0.05)
}

/// Half width from which on decimals of a number are left out.
const WIDE: f64 = 20.0;

/// Decimals of a number that is no fraction: two, unless the interval is so wide that they would say nothing.
fn plain_decimals(half: f64) -> usize {
    let least = if half < WIDE { 2 } else { 0 };
    format::decimals_for(half, 3).max(least)
}

/// Decimals beyond which a number of this size says nothing, however narrow its interval.
fn most_decimals(value: f64) -> usize {
    if value.abs() >= 100.0 { 1 } else { usize::MAX }
}

/// A value of the metric with the digits that its uncertainty leaves.
pub(in crate::app) fn value_text(metric: Metric, value: f64, half: f64) -> String {
    if metric.facts().is_fraction {
        format::percent(value, accuracy_decimals(half))
    } else {
        format::signed_text(value, plain_decimals(half).min(most_decimals(value)))
    }
}

/// "Accuracy 89.7 ± 0.6 %, 1.2 ± 0.4 points below the original": the level with its own interval, as it is drawn above the
/// original's `level`, and the change with the interval of the pairs.
fn reading(measurement: &Measurement, level: f64) -> String {
    let value = level + measurement.quality.change.value;
    let quality = &measurement.quality;
    let half = half(quality);
    let metric = quality.metric;
    let facts = metric.facts();
    let words = if facts.is_fraction {
        let decimals = accuracy_decimals(half);
        format!(
            "{} {} ± {} %",
            facts.name,
            format::signed_text(value * 100.0, decimals),
            format::signed_text(half * 100.0, decimals),
        )
    } else {
        let decimals = plain_decimals(half).min(most_decimals(value));
        let (value, half) = (
            format::signed_text(value, decimals),
            format::signed_text(half, decimals),
        );
        if facts.unit.is_empty() {
            format!("{} {value} ± {half}", facts.name)
        } else {
            format!("{value} {} ± {half}", facts.unit)
        }
    };
    let mut text = words;
    // Fidelity compares with the original already.
    if !measurement.recipe.is_identity() && metric != Metric::Fidelity {
        text += &comparison(quality);
    }
    text + so_far(measurement)
}

/// What is added while more of the held-out data is to come.
fn so_far(measurement: &Measurement) -> &'static str {
    if measurement.depth == Depth::Full {
        ""
    } else {
        " so far"
    }
}

/// Whose measurement a stand-in is: "50 % student", or "original" where no student is nearer.
pub(in crate::app) fn owner(stand_in: &Measurement) -> String {
    let actual = stand_in.student.actual;
    if actual >= 1.0 {
        "original".to_owned()
    } else {
        format!("{} student", format::percent(actual, 0))
    }
}

/// How the change reads; a change whose interval holds zero is a tie.
fn comparison(quality: &Quality) -> String {
    let change = quality.change;
    if change.low <= 0.0 && change.high >= 0.0 {
        return ", no measurable difference to the original".to_owned();
    }
    let (size, direction) = (
        change.value.abs(),
        if change.value < 0.0 { "below" } else { "above" },
    );
    let (scale, counted) = if quality.metric.facts().is_fraction {
        (100.0, "points ")
    } else {
        (1.0, "")
    };
    let half = scale * (change.high - change.low) / 2.0;
    let decimals = change_decimals(unit(quality.metric), half);
    let size = format::signed_text(scale * size, decimals);
    let half = format::signed_text(half, decimals);
    format!(", {size} ± {half} {counted}{direction} the original")
}

/// Decimals of a change, in points or bits per byte, whose interval has this half width.
fn change_decimals(unit: Unit, half: f64) -> usize {
    match unit {
        Unit::Percent => format::decimals_for(half, 2).max(1),
        // Perplexities can differ by hundreds.
        _ => format::decimals_for(half, 4).max(if half < 1.0 { 2 } else { 0 }),
    }
}

/// From where to where a quality changed, paired; `None` where nothing did.
pub(in crate::app) fn change_of(quality: &Quality) -> Option<String> {
    change_text(
        unit(quality.metric),
        quality.change.low,
        quality.change.high,
    )
}

/// From where to where a change goes, with signs: "−1.6 to −0.8 points"; `None` where it is exact.
pub(super) fn change_text(unit: Unit, low: f64, high: f64) -> Option<String> {
    let (scale, counted) = match unit {
        Unit::Percent => (100.0, " points"),
        _ => (1.0, ""),
    };
    let decimals = change_decimals(unit, scale * (high - low) / 2.0);
    let signed = |value: f64| {
        let text = format::signed_text(scale * value, decimals);
        if value > 0.0 {
            format!("+{text}")
        } else {
            text
        }
    };
    (high > low).then(|| format!("{} to {}{counted}", signed(low), signed(high)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattif_core::measurement::Interval;

    fn quality(value: f64, low: f64, high: f64, change: Interval) -> Quality {
        Quality {
            metric: Metric::Accuracy,
            value,
            low,
            high,
            n: 2000,
            baseline: value - change.value,
            change,
            divergence: None,
            pictures: None,
            same_top: None,
            neighbours: None,
            bits_per_byte: None,
            cosine: None,
        }
    }

    #[test]
    fn a_change_within_its_interval_is_a_tie() {
        let tie = Interval {
            value: -0.001,
            low: -0.004,
            high: 0.002,
        };
        assert_eq!(
            comparison(&quality(0.9, 0.887, 0.912, tie)),
            ", no measurable difference to the original"
        );
        let worse = Interval {
            value: -0.012,
            low: -0.016,
            high: -0.008,
        };
        assert_eq!(
            comparison(&quality(0.897, 0.891, 0.903, worse)),
            ", 1.2 ± 0.4 points below the original"
        );
    }
}
