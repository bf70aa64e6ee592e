//! What the charts say of a place, and what they join.

use super::plot::words_at;
use super::*;
use wattif_core::recipe::{Pattern, Recipe};

fn range(typical: f64) -> Range<f64> {
    Range {
        low: 0.9 * typical,
        typical,
        high: 1.1 * typical,
    }
}

fn curve(values: &[f64], throughput: Vec<Option<Range<f64>>>) -> Curve {
    Curve {
        values: values.to_vec(),
        throughput,
        ..Curve::default()
    }
}

/// A chart of a curve over sparsity, and one of quality with one measured point.
fn charts(curve: &Curve) -> [Chart; 2] {
    let axis = Axis::Sparsity;
    let mut speed = Chart::empty("throughput", "", Unit::Rate("images"));
    speed.curve = stretches(axis, &curve.values, &curve.throughput, Scale::Linear, false);
    let mut quality = Chart::empty(quality::QUALITY, "", Unit::Percent);
    quality.level = Some(0.9);
    quality.points = vec![Point {
        x: 0.5,
        y: 0.888,
        interval: [0.884, 0.892],
        depth: Some(Depth::Full),
    }];
    [speed, quality]
}

#[test]
fn all_charts_and_their_words_are_about_the_same_place() {
    let axis = Axis::Sparsity;
    let all = axis.curve_values(&Recipe::default());
    let known = all.iter().map(|_| Some(range(10.0))).collect();
    let curve = curve(&all, known);
    let charts = charts(&curve);
    for step in 0..=200 {
        let pointer = 0.99 * f64::from(step) / 200.0;
        let place = snapped(&charts, axis, &curve, pointer).unwrap();
        let said = charts.each_ref().map(|chart| words_at(chart, axis, place));
        let position = |text: &str| text.split(':').next().unwrap().to_owned();
        assert_eq!(position(&said[0]), position(&said[1]));
        assert!((place - pointer).abs() < 0.006, "{pointer}: {place}");
    }
    let at = |place: f64| charts.each_ref().map(|chart| words_at(chart, axis, place));
    assert_eq!(at(0.5)[1], "50 %: 88.8 %  (change −1.6 to −0.8 points)");
    assert_eq!(at(0.51)[1], "51 %: not measured");
}

#[test]
fn every_place_that_is_measured_is_on_the_curve() {
    let mut halves = Recipe::default();
    halves.pruning.pattern = Pattern::TwoOfFour;
    for recipe in [Recipe::default(), halves] {
        for axis in Axis::ALL {
            let curve = axis.curve_values(&recipe);
            for value in axis.fill_values(&recipe) {
                assert!(curve.contains(&value), "{axis:?} {value}");
            }
        }
    }
}

#[test]
fn no_line_joins_places_with_nothing_between() {
    let mut halves = Recipe::default();
    halves.pruning.pattern = Pattern::TwoOfFour;
    assert!(Axis::Sparsity.is_apart(&halves) && !Axis::Sparsity.is_apart(&Recipe::default()));
    assert!(Axis::WeightBits.is_apart(&halves) && Axis::ActivationBits.is_apart(&halves));
    let ranges = [Some(range(1.0)), None, Some(range(2.0)), Some(range(3.0))];
    let split = |axis: Axis, values: &[f64], apart: bool| {
        let all = stretches(axis, values, &ranges, Scale::Linear, apart);
        all.iter()
            .map(|stretch| stretch.x.len())
            .collect::<Vec<_>>()
    };
    let bits = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(split(Axis::WeightBits, &bits, true), [1, 1, 1]);
    // A place that the hardware cannot run parts a curve.
    let sparsity = [0.0, 0.1, 0.2, 0.3];
    assert_eq!(split(Axis::Sparsity, &sparsity, false), [1, 2]);
}
