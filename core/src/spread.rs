//! Repeated timings and how far they lie apart.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Median and quartiles of repeated measurements of one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// A quarter of the repeats lie below.
    pub lower_quartile: f64,
    /// Half of them do.
    pub median: f64,
    /// Three quarters do.
    pub upper_quartile: f64,
    /// How many there were.
    pub repeats: usize,
}

impl Spread {
    /// Of at least one value, none of them NaN; between two values in proportion (type 7 of Hyndman and Fan 1996).
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * values.len().saturating_sub(1) as f64;
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            match (values.get(below), values.get(above)) {
                (Some(a), Some(b)) => a + (b - a) * place.fract(),
                _ => f64::NAN,
            }
        };
        Self {
            lower_quartile: at(0.25),
            median: at(0.5),
            upper_quartile: at(0.75),
            repeats: values.len(),
        }
    }

    /// Median, smallest and largest value of a handful.
    pub(super) fn full(values: Vec<f64>) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        Self::of(values).widened(low, high)
    }

    /// How much larger the upper quartile is than the lower one.
    pub fn ratio(&self) -> f64 {
        self.upper_quartile / self.lower_quartile
    }

    /// The smallest range that holds both.
    pub(super) fn widened(self, low: f64, high: f64) -> Self {
        Self {
            lower_quartile: self.lower_quartile.min(low),
            upper_quartile: self.upper_quartile.max(high),
            ..self
        }
    }
}

/// Repeats of every timing.
const REPEATS: usize = 11;

/// Seconds that one run of `work` takes, [`REPEATS`] times. Each repeat lasts at least `least`, and what warms up
/// before them is not counted.
pub(super) fn seconds(least: Duration, work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    seconds_watched(least, work, &mut |_| {})
}

/// The same; `after` hears of every repeat, with the seconds that one of its runs took, and of the end of the warm-up
/// before with none.
pub(super) fn seconds_watched(
    least: Duration,
    mut work: impl FnMut() -> Result<()>,
    after: &mut dyn FnMut(Option<f64>),
) -> Result<Vec<f64>> {
    work()?;
    after(None);
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let start = Instant::now();
        let mut runs = 0_u32;
        while runs == 0 || start.elapsed() < least {
            work()?;
            runs += 1;
        }
        let time = start.elapsed().as_secs_f64() / f64::from(runs);
        after(Some(time));
        times.push(time);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_known_values() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(
            (spread.lower_quartile, spread.median, spread.upper_quartile),
            (2.0, 3.0, 4.0)
        );
        let spread = Spread::of(vec![1.0, 2.0]);
        assert_eq!(
            (spread.lower_quartile, spread.median, spread.repeats),
            (1.25, 1.5, 2)
        );
        let spread = Spread::full(vec![0.3, 0.9, 0.5]);
        assert_eq!(
            (spread.lower_quartile, spread.median, spread.ratio()),
            (0.3, 0.5, 3.0)
        );
        assert_eq!(Spread::of(vec![7.0]).upper_quartile, 7.0);
    }

    #[test]
    fn every_repeat_runs_the_work() {
        let mut runs = 0;
        let times = seconds(Duration::ZERO, || {
            runs += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((times.len(), runs), (REPEATS, REPEATS + 1));
    }
}
