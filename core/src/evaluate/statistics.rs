//! Intervals: how far a number measured on a sample may lie from the number for all data like it.
//!
//! Every interval is two-sided with 95 % confidence. Counts use the normal quantile inside a score interval, means use
//! Student's t, because text has as few as sixteen independent parts.

use std::collections::BTreeMap;

use crate::measurement::Interval;

/// The 97.5 % quantile of the standard normal distribution.
pub const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom (NIST/SEMATECH e-Handbook of Statistical Methods,
/// table 1.3.6.7.2).
const T_QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The 97.5 % quantile of Student's t: half the width of a 95 % interval of a mean, in standard errors. Infinite without
/// a degree of freedom. Above 30 it is the expansion around the normal quantile (Abramowitz and Stegun 26.7.5, three
/// terms), which is then exact to four digits.
pub fn t_quantile(degrees_of_freedom: u64) -> f64 {
    let Some(index) = degrees_of_freedom.checked_sub(1) else {
        return f64::INFINITY;
    };
    if let Some(&quantile) = usize::try_from(index).ok().and_then(|i| T_QUANTILES.get(i)) {
        return quantile;
    }
    let z = NORMAL_QUANTILE;
    let v = degrees_of_freedom as f64;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    z + first / v + second / v.powi(2)
}

/// The score interval of a proportion (Wilson 1927, JASA 22:209), with `successes / n` as its value. Without any sample
/// it is the whole range, 0 to 1.
pub fn wilson(successes: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval {
            value: 0.0,
            low: 0.0,
            high: 1.0,
        };
    }
    let z2 = NORMAL_QUANTILE.powi(2);
    let n_samples = n as f64;
    let p = successes as f64 / n_samples;
    let centre = p + z2 / (2.0 * n_samples);
    let half =
        NORMAL_QUANTILE * (p * (1.0 - p) / n_samples + z2 / (4.0 * n_samples.powi(2))).sqrt();
    let scale = 1.0 + z2 / n_samples;
    Interval {
        value: p,
        // Rounding must not push an end past the estimate when every sample agrees.
        low: ((centre - half) / scale).clamp(0.0, p),
        high: ((centre + half) / scale).clamp(p, 1.0),
    }
}

/// The change of a proportion when the same `n` samples are judged twice: `gained` were wrong and became right, `lost`
/// were right and became wrong.
///
/// The value is `(gained - lost) / n`. The interval is McNemar's standard error of that difference after half a sample
/// is added to each of the four cells (Agresti and Min 2005, Statistics in Medicine 24:729), so that it keeps its
/// confidence when few samples change and does not shrink to a point when none does.
pub fn paired_proportions(gained: u64, lost: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval {
            value: 0.0,
            low: -1.0,
            high: 1.0,
        };
    }
    let value = (gained as f64 - lost as f64) / n as f64;
    let (gained, lost, n) = (gained as f64 + 0.5, lost as f64 + 0.5, n as f64 + 2.0);
    let difference = gained - lost;
    let standard_error = (gained + lost - difference.powi(2) / n).sqrt() / n;
    let half = NORMAL_QUANTILE * standard_error;
    Interval {
        value,
        low: (difference / n - half).clamp(-1.0, value),
        high: (difference / n + half).clamp(value, 1.0),
    }
}

/// Mean of numbers that come in clusters: those of one cluster may resemble each other, those of different ones must be
/// independent. A number that resembles no other is a cluster of its own.
#[derive(Debug, Clone, Default)]
pub struct ClusteredMean {
    /// Sum and count by cluster.
    clusters: BTreeMap<usize, (f64, u64)>,
    /// What the first number is the mean of, where that is known.
    parts: Vec<f64>,
}

impl ClusteredMean {
    /// Takes one more number.
    pub fn push(&mut self, cluster: usize, value: f64) {
        let (sum, n) = self.clusters.entry(cluster).or_default();
        *sum += value;
        *n += 1;
    }

    /// Takes one more number, the mean of these. Where it stays the only one, they stand for the clusters.
    pub fn push_mean(&mut self, cluster: usize, value: f64, parts: impl Iterator<Item = f64>) {
        if self.clusters.is_empty() {
            self.parts = parts.collect();
        }
        self.push(cluster, value);
    }

    /// The parts of the only number.
    fn only(&self) -> Option<&[f64]> {
        (self.n() == 1 && self.parts.len() > 1).then_some(&self.parts)
    }

    /// How many numbers were taken.
    pub fn n(&self) -> u64 {
        self.clusters.values().map(|(_, n)| n).sum()
    }

    /// Their mean; 0 without any.
    pub fn value(&self) -> f64 {
        let sum: f64 = self.clusters.values().map(|(sum, _)| sum).sum();
        sum / self.n().max(1) as f64
    }

    /// The cluster-robust standard error of the mean, from how far each cluster's sum is from what the mean would give
    /// it (Cameron and Miller 2015, Journal of Human Resources 50:317, CR1 for a mean); infinite below two clusters, when
    /// nothing is known. With one number per cluster it is the usual one.
    pub fn standard_error(&self) -> f64 {
        let clusters = self.clusters.len() as f64;
        if let Some(parts) = self.only() {
            let n = parts.len() as f64;
            let mean = parts.iter().sum::<f64>() / n;
            let squares: f64 = parts.iter().map(|part| (part - mean).powi(2)).sum();
            return (squares / (n - 1.0) / n).sqrt();
        }
        if clusters < 2.0 {
            return f64::INFINITY;
        }
        let mean = self.value();
        let squares: f64 = self
            .clusters
            .values()
            .map(|&(sum, n)| (sum - n as f64 * mean).powi(2))
            .sum();
        (squares * clusters / (clusters - 1.0)).sqrt() / self.n() as f64
    }

    /// The mean with Student's 95 % interval, whose degrees of freedom are the clusters less one.
    pub fn interval(&self) -> Interval {
        let value = self.value();
        let clusters = self.only().map_or(self.clusters.len(), <[f64]>::len);
        let half = match self.standard_error() {
            // With a quantile that is infinite too, 0 × ∞ must not arise.
            0.0 => 0.0,
            error => error * t_quantile((clusters as u64).saturating_sub(1)),
        };
        Interval {
            value,
            low: value - half,
            high: value + half,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Published tables round to four digits.
    const TABLE: f64 = 0.5e-4;

    fn assert_close(got: f64, expected: f64, tolerance: f64) {
        assert!(
            (got - expected).abs() <= tolerance,
            "{got} is not {expected} ± {tolerance}"
        );
    }

    #[test]
    fn wilson_agrees_with_the_published_table() {
        // Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
        for (successes, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = wilson(successes, n);
            assert_close(interval.low, low, TABLE);
            assert_close(interval.high, high, TABLE);
            let mirrored = wilson(n - successes, n);
            assert_close(mirrored.low, 1.0 - high, TABLE);
            assert_close(mirrored.high, 1.0 - low, TABLE);
        }
    }

    #[test]
    fn wilson_stays_inside_the_range_and_holds_its_value() {
        for n in 1..60 {
            for successes in 0..=n {
                let interval = wilson(successes, n);
                assert!(0.0 <= interval.low && interval.low <= interval.value);
                assert!(interval.value <= interval.high && interval.high <= 1.0);
                assert!(interval.high - interval.low > 0.0);
            }
        }
    }

    #[test]
    fn a_paired_change_agrees_with_the_published_example() {
        // Agresti, Categorical Data Analysis, table 10.1: approval of 1600 people asked twice, 86 gained, 150 lost;
        // difference -0.04, standard error 0.0095 (digits cut). Half a sample per cell changes neither at this size.
        let interval = paired_proportions(86, 150, 1600);
        assert_close(interval.value, -0.04, 1e-12);
        let standard_error = (interval.high - interval.low) / (2.0 * NORMAL_QUANTILE);
        assert_close(standard_error, 0.0095, 1e-4);
    }

    #[test]
    fn a_paired_change_holds_its_value_even_when_nothing_or_all_changes() {
        for n in 1..30 {
            for gained in 0..=n {
                for lost in 0..=n - gained {
                    let interval = paired_proportions(gained, lost, n);
                    assert!(interval.low <= interval.value && interval.value <= interval.high);
                    assert!(interval.high > interval.low);
                }
            }
        }
    }

    #[test]
    fn pairing_narrows_the_interval() {
        // 1000 images, 900 and 890 right, 20 changed sides: the unpaired difference has five times that spread.
        let paired = paired_proportions(5, 15, 1000);
        let unpaired = NORMAL_QUANTILE * (0.9 * 0.1 / 1000.0 + 0.89 * 0.11 / 1000.0_f64).sqrt();
        assert!((paired.high - paired.low) / 2.0 < unpaired / 2.0);
    }

    #[test]
    fn quantiles_of_t_agree_with_the_published_table() {
        // The NIST table beyond the part that is stored.
        for (degrees_of_freedom, quantile) in [(31, 2.040), (40, 2.021), (60, 2.000), (100, 1.984)]
        {
            assert_close(t_quantile(degrees_of_freedom), quantile, 0.6e-3);
        }
        assert_close(t_quantile(1_000_000), NORMAL_QUANTILE, 1e-5);
        assert!((1..200).all(|v| t_quantile(v + 1) < t_quantile(v)));
    }

    #[test]
    fn the_mean_of_the_published_example_has_its_interval() {
        // Student 1908, Biometrika 6:1, extra hours of sleep of ten patients under two drugs, paired: mean 1.58,
        // 95 % interval 0.70 to 2.46.
        let mut mean = ClusteredMean::default();
        let hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        for (patient, hours) in hours.into_iter().enumerate() {
            mean.push(patient, hours);
        }
        let interval = mean.interval();
        assert_close(interval.value, 1.58, 1e-12);
        assert_close(interval.low, 0.70, 0.5e-2);
        assert_close(interval.high, 2.46, 0.5e-2);
    }

    #[test]
    fn the_parts_of_a_single_number_stand_for_clusters_until_there_is_another() {
        let (mut parts, mut plain) = (ClusteredMean::default(), ClusteredMean::default());
        let values = [1.2, 2.4, 1.3, 4.7];
        parts.push_mean(3, 2.4, values.into_iter());
        for (cluster, value) in values.into_iter().enumerate() {
            plain.push(cluster, value);
        }
        assert_close(parts.interval().low, plain.interval().low, 1e-12);
        assert_close(parts.interval().high, plain.interval().high, 1e-12);
        parts.push_mean(4, 3.0, [1.0, 5.0].into_iter());
        let mut two = ClusteredMean::default();
        two.push(3, 2.4);
        two.push(4, 3.0);
        assert_eq!(parts.interval(), two.interval());
    }

    #[test]
    fn one_cluster_says_nothing_about_the_spread() {
        let mut mean = ClusteredMean::default();
        mean.push(0, 3.0);
        mean.push(0, 4.0);
        assert_eq!(mean.interval().high, f64::INFINITY);
        mean.push(1, 3.5);
        assert_eq!((mean.value(), mean.n()), (3.5, 3));
        assert_eq!(mean.interval().high, 3.5);
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says_despite_correlation() {
        /// Of 1,000 intervals; three standard errors of a proportion of 0.95 are 0.02.
        const TOLERANCE: f64 = 0.02;
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut uniform = || rng.random::<f64>() - 0.5;
        let (mut by_cluster, mut by_number) = (0, 0);
        for _ in 0..1000 {
            let (mut clustered, mut naive) = (ClusteredMean::default(), ClusteredMean::default());
            for cluster in 0..16 {
                let shared = uniform();
                for i in 0..8 {
                    let value = shared + uniform();
                    clustered.push(cluster, value);
                    naive.push(cluster * 8 + i, value);
                }
            }
            let holds = |interval: Interval| interval.low <= 0.0 && 0.0 <= interval.high;
            by_cluster += u32::from(holds(clustered.interval()));
            by_number += u32::from(holds(naive.interval()));
        }
        let by_cluster = f64::from(by_cluster) / 1000.0;
        assert!((by_cluster - 0.95).abs() < TOLERANCE, "{by_cluster}");
        // What ignoring the correlation would claim as 95 %.
        assert!(f64::from(by_number) / 1000.0 < 0.75, "{by_number}");
    }
}
