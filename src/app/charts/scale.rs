//! How values are spread along an axis, where its lines lie and how they are written.

use super::Unit;
use crate::format;

/// How values are spread along the upright axis. `egui_plot` knows even spacing only, so logarithms are taken before
/// and undone in the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Scale {
    /// Evenly.
    Linear,
    /// By powers of ten.
    Logarithmic,
}

impl Scale {
    /// Where a value lies.
    pub(in crate::app) fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.max(1e-300).log10(),
        }
    }

    /// The value at a place.
    pub(in crate::app) fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Logarithmic => 10_f64.powf(place),
        }
    }

    /// What the caption says about it.
    pub(in crate::app) const fn note(self) -> &'static str {
        match self {
            Self::Linear => "",
            Self::Logarithmic => " (log scale)",
        }
    }
}

/// Between four and seven places worth a line.
pub(in crate::app) fn ticks(scale: Scale, (low, high): (f64, f64)) -> Vec<f64> {
    let span = high - low;
    if span <= 0.0 || !span.is_finite() {
        return Vec::new();
    }
    if scale == Scale::Logarithmic && span > 0.9 && span < 3.0 {
        let factors: &[f64] = if span < 1.8 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0, 3.0]
        };
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        return (first..=last)
            .flat_map(|power| factors.iter().map(move |f| f64::from(power) + f.log10()))
            .filter(|place| (low..=high).contains(place))
            .collect();
    }
    if scale == Scale::Logarithmic && span > 0.9 {
        let every = (span / 6.0).ceil().max(1.0);
        let mut place = (low / every).ceil() * every;
        let mut places = Vec::new();
        while place <= high {
            places.push(place);
            place += every;
        }
        return places;
    }
    if scale == Scale::Logarithmic {
        return ticks(Scale::Linear, (10_f64.powf(low), 10_f64.powf(high)))
            .into_iter()
            .filter(|value| *value > 0.0)
            .map(f64::log10)
            .collect();
    }
    let rough = span / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough)
        .unwrap_or(power * 10.0);
    let mut index = (low / step - 1e-9).ceil();
    let mut places = Vec::new();
    while index * step <= high + span * 1e-9 && places.len() < 20 {
        places.push(index * step);
        index += 1.0;
    }
    places
}

/// Places at least so far apart, from the lowest on.
pub(in crate::app) fn thinned(places: Vec<f64>, least: f64) -> Vec<f64> {
    let mut free = f64::NEG_INFINITY;
    places
        .into_iter()
        .filter(|place| {
            // Places are worked out, so that a gap may miss its size by rounding.
            let kept = *place >= free - 1e-9 * least.abs();
            if kept {
                free = place + least;
            }
            kept
        })
        .collect()
}

/// Every how many labels are written so that none touches the next: where they lie, and how wide they are.
pub(in crate::app) fn every(labels: &[(f32, f32)], gap: f32) -> usize {
    (1..labels.len().max(2))
        .find(|&step| {
            let kept: Vec<&(f32, f32)> = labels.iter().step_by(step).collect();
            kept.windows(2).all(|pair| {
                let apart = (pair[1].0 - pair[0].0).abs();
                apart >= (pair[0].1 + pair[1].1) / 2.0 + gap
            })
        })
        .unwrap_or(labels.len().max(1))
}

pub(in crate::app) fn tick_label(value: f64, unit: Unit) -> String {
    // Rounding in the grid leaves 1e-17 where zero is meant.
    let value = if value.abs() < 1e-30 { 0.0 } else { value };
    let text = match unit {
        Unit::Percent => return format!("{} %", format::trimmed(value * 100.0, 3)),
        Unit::Plain => return format::trimmed(value, 3),
        Unit::Rate(_) => format::per_second(value),
        Unit::Grams => format::grams(value),
    };
    format::shorten(&text)
}

/// An end of a range: without the words of the unit, which its middle carries.
pub(super) fn tick_text(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => format::percent(value, 1),
        Unit::Plain => format::significant(value, 3),
        Unit::Rate(_) => format::per_second(value).trim_end().to_owned(),
        Unit::Grams => format::grams(value),
    }
}

pub(in crate::app) fn written(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => format::percent(value, 1),
        Unit::Plain => format::significant(value, 3),
        Unit::Rate(units) => format::rate(value, units),
        Unit::Grams => format::grams(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_inside() {
        for (scale, bounds) in [
            (Scale::Linear, (0.0, 1.06)),
            (Scale::Linear, (0.85, 0.93)),
            (Scale::Linear, (0.0, 12_345.0)),
            (Scale::Logarithmic, (-9.0, -2.0)),
            (Scale::Logarithmic, (1.0, 2.1)),
            (Scale::Logarithmic, (-8.8, -7.3)),
            (Scale::Logarithmic, (0.4, 3.2)),
            (Scale::Logarithmic, (0.0, 40.0)),
        ] {
            let places = ticks(scale, bounds);
            assert!((2..=9).contains(&places.len()), "{bounds:?}: {places:?}");
            for place in places {
                assert!(place >= bounds.0 - 1e-6 && place <= bounds.1 + 1e-6);
            }
        }
    }

    #[test]
    fn labels_that_would_touch_are_left_out_evenly() {
        let labels: Vec<(f32, f32)> = (0..9).map(|i| (20.0 * i as f32, 14.0)).collect();
        assert_eq!(every(&labels, 6.0), 1);
        assert_eq!(every(&labels, 7.0), 2);
        assert_eq!(every(&labels, 50.0), 4);
        assert_eq!(every(&labels, 500.0), 9);
        assert_eq!(every(&[], 6.0), 1);
        assert_eq!(thinned(vec![0.0, 1.0, 2.0, 3.0, 4.0], 2.0), [0.0, 2.0, 4.0]);
        assert_eq!(thinned(vec![0.0, 0.3, 0.7, 1.0], 0.5), [0.0, 0.7]);
    }

    #[test]
    fn tick_labels_are_short() {
        assert_eq!(tick_label(1.5e-3, Unit::Grams), "1.5 mg");
        assert_eq!(tick_label(20_000.0, Unit::Rate("images")), "20 k");
        assert_eq!(tick_label(0.0, Unit::Rate("images")), "0");
        assert_eq!(tick_label(0.875, Unit::Percent), "87.5 %");
        assert_eq!(tick_label(200.0, Unit::Grams), "200 g");
    }
}
