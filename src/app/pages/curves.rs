//! Where curves over the same values cross, and which of them is lowest.

use wattif_core::units::Range;

/// Values of a curve with their ranges; `None` where there is none.
pub(super) type Curve = Vec<Option<Range<f64>>>;

/// One value of every place of a curve.
pub(super) type Line = Vec<Option<f64>>;

/// A curve at one end of its ranges.
pub(super) fn line(curve: &Curve, end: fn(&Range<f64>) -> f64) -> Line {
    curve.iter().map(|range| range.as_ref().map(end)).collect()
}

/// Curves closer than this share count as equal.
pub(super) const EQUAL: f64 = 0.01;

/// A stretch of values over which one curve is lowest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    /// Place of the curve in the list.
    pub(super) curve: usize,
    /// Where it begins: the first value, or where it crosses the curve before.
    pub(super) from: f64,
    /// Whether the curves cross there; else they only come together.
    pub(super) crossed: bool,
}

/// Which curve is lowest, from the first value to the last. Of curves that are equal the first in the list is taken.
pub(super) fn lowest(x: &[f64], curves: &[Line]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for (place, &value) in x.iter().enumerate() {
        let at = |curve: usize| -> Option<f64> { curves[curve].get(place).copied().flatten() };
        let Some(least) = (0..curves.len()).filter_map(at).min_by(f64::total_cmp) else {
            continue;
        };
        let Some(best) =
            (0..curves.len()).find(|&c| at(c).is_some_and(|v| v <= least * (1.0 + EQUAL)))
        else {
            continue;
        };
        match stretches.last() {
            Some(last) if last.curve == best => {}
            Some(last) => {
                let (from, crossed) = crossing(x, &curves[last.curve], &curves[best], place);
                stretches.push(Stretch {
                    curve: best,
                    from,
                    crossed,
                });
            }
            None => stretches.push(Stretch {
                curve: best,
                from: value,
                crossed: false,
            }),
        }
    }
    stretches
}

/// Where two curves cross between a value and the one before it, both axes taken as logarithms, and whether they do;
/// where they do not, the value itself.
fn crossing(x: &[f64], a: &Line, b: &Line, place: usize) -> (f64, bool) {
    let gap = |at: usize| -> Option<f64> {
        let (a, b) = ((*a.get(at)?)?, (*b.get(at)?)?);
        Some((a / b).ln())
    };
    let before = place.saturating_sub(1);
    match (gap(before), gap(place)) {
        (Some(first), Some(second)) if first < 0.0 && second > 0.0 => {
            let share = first / (first - second);
            let (low, high) = (x[before].ln(), x[place].ln());
            ((low + (high - low) * share).exp(), true)
        }
        _ => (x[place], false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(values: &[f64]) -> Line {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn two_power_laws_cross_where_they_are_equal() {
        let x: Vec<f64> = (0..8).map(|i| 2_f64.powi(i)).collect();
        // 10 / x and x / 2 are equal at the root of 20.
        let falling = exactly(&x.iter().map(|x| 10.0 / x).collect::<Vec<_>>());
        let rising = exactly(&x.iter().map(|x| x / 2.0).collect::<Vec<_>>());
        let found = lowest(&x, &[falling, rising]);
        assert_eq!(found.iter().map(|s| s.curve).collect::<Vec<_>>(), [1, 0]);
        assert!((found[1].from - 20_f64.sqrt()).abs() < 1e-9, "{found:?}");
        assert!(found[1].crossed);
    }

    #[test]
    fn curves_that_come_together_do_not_cross() {
        let x = [1.0, 2.0, 4.0];
        let wide = exactly(&[4.0, 2.0, 1.0]);
        let narrow = exactly(&[2.0, 1.5, 1.0]);
        let found = lowest(&x, &[wide, narrow]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].curve, found[1].from), (0, 4.0));
        assert!(!found[1].crossed);
    }

    #[test]
    fn equal_curves_count_as_the_first_and_gaps_are_skipped() {
        let x = [1.0, 2.0, 4.0];
        let a = exactly(&[3.0, 3.0, 3.0]);
        let b = exactly(&[2.995, 2.995, 2.995]);
        let found = lowest(&x, &[a.clone(), b]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].curve, 0);
        let gap = vec![None, None, None];
        assert_eq!(lowest(&x, std::slice::from_ref(&gap)), []);
        assert_eq!(lowest(&x, &[gap, a])[0].curve, 1);
    }
}
