//! How good predictions are, in the figures that validation prints.

use serde::Serialize;

/// Error figures of predictions against measurements, in per cent where not said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statistics {
    /// Rows.
    pub n: usize,
    /// Median of the absolute error.
    pub median_absolute_error: f64,
    /// 90th percentile of the absolute error.
    pub p90_absolute_error: f64,
    /// Mean of the signed error; positive: predicted too much.
    pub bias: f64,
    /// Spearman's rank correlation, -1 to 1; `None` below three rows.
    pub rank_correlation: Option<f64>,
    /// Median of how many times too much or too little was predicted, at least 1.
    pub median_factor: f64,
    /// Share of rows predicted within a factor of 2, 0 to 1.
    pub within_factor_2: f64,
    /// Share of rows inside the stated range, 0 to 1.
    pub inside_range: f64,
}

/// A predicted value with its range, and the measured one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Predicted: low, typical, high.
    pub predicted: crate::units::Range<f64>,
    /// Measured.
    pub measured: f64,
}

impl Statistics {
    /// The figures of some pairs; `None` for none.
    pub fn new(pairs: &[Pair]) -> Option<Self> {
        if pairs.is_empty() {
            return None;
        }
        let errors: Vec<f64> = pairs
            .iter()
            .map(|pair| 100.0 * (pair.predicted.typical / pair.measured - 1.0))
            .collect();
        let absolute: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
        let factors: Vec<f64> = pairs
            .iter()
            .map(|pair| (pair.predicted.typical / pair.measured).ln().abs().exp())
            .collect();
        let within = factors.iter().filter(|factor| **factor <= 2.0).count();
        let inside = pairs
            .iter()
            .filter(|pair| {
                pair.predicted.low <= pair.measured && pair.measured <= pair.predicted.high
            })
            .count();
        let count = as_f64(pairs.len());
        Some(Self {
            n: pairs.len(),
            median_absolute_error: quantile(&absolute, 0.5),
            p90_absolute_error: quantile(&absolute, 0.9),
            bias: errors.iter().sum::<f64>() / count,
            rank_correlation: rank_correlation(pairs),
            median_factor: quantile(&factors, 0.5),
            within_factor_2: as_f64(within) / count,
            inside_range: as_f64(inside) / count,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of rows are far below 2^53"
)]
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// A quantile, linear between the order statistics.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position between 0 and the number of values"
)]
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = share * as_f64(last);
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (position - position.floor()) * (sorted[above] - sorted[below])
}

/// The smallest value below which at least a share of the weight lies.
pub(crate) fn weighted_quantile(values: &[(f64, f64)], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = sorted.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    for (value, weight) in &sorted {
        below += weight;
        if below >= share * total {
            return *value;
        }
    }
    f64::NAN
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start;
        while end + 1 < order.len() && values[order[end + 1]] == values[order[start]] {
            end += 1;
        }
        for &index in &order[start..=end] {
            ranks[index] = as_f64(start + end) / 2.0 + 1.0;
        }
        start = end + 1;
    }
    ranks
}

fn rank_correlation(pairs: &[Pair]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let a = ranks(
        &pairs
            .iter()
            .map(|pair| pair.predicted.typical)
            .collect::<Vec<_>>(),
    );
    let b = ranks(&pairs.iter().map(|pair| pair.measured).collect::<Vec<_>>());
    let mean = (as_f64(pairs.len()) + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Range;

    fn pair(predicted: f64, measured: f64) -> Pair {
        Pair {
            predicted: Range {
                low: predicted * 0.8,
                typical: predicted,
                high: predicted * 1.2,
            },
            measured,
        }
    }

    #[test]
    fn figures_by_hand() {
        let pairs = [pair(1.1, 1.0), pair(1.8, 2.0), pair(6.0, 4.0)];
        let statistics = Statistics::new(&pairs).unwrap();
        assert!((statistics.median_absolute_error - 10.0).abs() < 1e-9);
        assert!((statistics.bias - 50.0 / 3.0).abs() < 1e-9);
        assert!((statistics.p90_absolute_error - 42.0).abs() < 1e-9);
        assert_eq!(statistics.rank_correlation, Some(1.0));
        assert!((statistics.inside_range - 2.0 / 3.0).abs() < 1e-9);
        // 1.1, 1 / 0.9, 1.5
        assert!((statistics.median_factor - 1.0 / 0.9).abs() < 1e-9);
        assert_eq!(statistics.within_factor_2, 1.0);
        assert_eq!(
            Statistics::new(&[pair(1.0, 2.5)]).unwrap().within_factor_2,
            0.0
        );
        assert_eq!(Statistics::new(&[]), None);
    }

    #[test]
    fn a_heavy_value_reaches_further() {
        assert_eq!(
            weighted_quantile(&[(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)], 0.5),
            2.0
        );
        assert_eq!(
            weighted_quantile(&[(3.0, 8.0), (1.0, 1.0), (2.0, 1.0)], 0.5),
            3.0
        );
    }

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0]), [2.5, 1.0, 2.5]);
        assert_eq!(
            rank_correlation(&[pair(1.0, 3.0), pair(2.0, 2.0), pair(3.0, 1.0)]),
            Some(-1.0)
        );
        // Without ties it is 1 − 6 Σd² / (n (n² − 1)).
        let pairs = [
            pair(1.0, 2.0),
            pair(2.0, 1.0),
            pair(3.0, 4.0),
            pair(4.0, 3.0),
            pair(5.0, 5.0),
        ];
        assert!((rank_correlation(&pairs).unwrap() - 0.8).abs() < 1e-12);
        // With ties that of the ranks: 1.5, 1.5, 3, 4 against 1, 2, 3, 4.
        let pairs = [
            pair(1.0, 1.0),
            pair(1.0, 2.0),
            pair(3.0, 3.0),
            pair(4.0, 4.0),
        ];
        let expected = 4.5 / (4.5_f64 * 5.0).sqrt();
        assert!((rank_correlation(&pairs).unwrap() - expected).abs() < 1e-12);
    }
}
