//! How far pictures that a network makes are from real ones, by features that a classifier sees in both: the Fréchet distance
//! of two normal distributions (Heusel et al. 2017, <https://arxiv.org/abs/1706.08500>), and precision and recall
//! (Kynkäänniemi et al. 2019, <https://arxiv.org/abs/1904.06991>). The features are those of the bundled classifier, not
//! Inception's: the figures are comparable with each other only.

use std::sync::OnceLock;

use nalgebra::{DMatrix, DMatrixView, DVector, SymmetricEigen};
use rayon::prelude::*;

use super::statistics::wilson;
use crate::measurement::Interval;

/// Neighbours whose distance is the radius of what is like a picture; three in the paper.
const NEIGHBOURS: usize = 3;
/// Share of the largest eigenvalue below which one is a rounding error.
const NOTHING: f64 = 1e-10;

/// Features of real pictures.
#[derive(Debug)]
pub(super) struct Real {
    width: usize,
    features: Vec<f32>,
    moments: Moments,
    /// Square root of the covariance.
    root: DMatrix<f64>,
    /// Squared distance of each from its third neighbour.
    radii: OnceLock<Vec<f32>>,
}

/// Mean and covariance.
#[derive(Debug, Clone)]
struct Moments {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl Moments {
    /// Of rows of so many features.
    fn of<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone, width: usize) -> Self {
        let n = rows.clone().count().max(2) as f64;
        let mut mean = DVector::zeros(width);
        for row in rows.clone() {
            mean.iter_mut()
                .zip(row)
                .for_each(|(sum, &x)| *sum += f64::from(x));
        }
        mean /= n;
        let columns: Vec<DVector<f64>> = rows
            .map(|row| {
                let row = row.iter().map(|&x| f64::from(x));
                DVector::from_iterator(width, row) - &mean
            })
            .collect();
        let centred = DMatrix::from_columns(&columns);
        let covariance = &centred * centred.transpose() / (n - 1.0);
        Self { mean, covariance }
    }
}

/// A distance, and what every picture changes of it.
#[derive(Debug, Clone)]
pub(super) struct Distance {
    /// Squared, as it is always given.
    pub(super) value: f64,
    /// How much more one picture like this would add to it, times the number of pictures; their mean is 0.
    pub(super) influence: Vec<f64>,
}

impl Real {
    /// Features of real pictures, row by row.
    pub(super) fn new(features: Vec<f32>, width: usize) -> Self {
        let moments = Moments::of(features.chunks_exact(width), width);
        let root = power(&moments.covariance, f64::sqrt);
        Self {
            width,
            features,
            moments,
            root,
            radii: OnceLock::new(),
        }
    }

    /// Distance of pictures with these features, row by row. The expectation of the plain distance of few pictures is above
    /// that of many by nearly one over their number, which twice that of all less the mean of those of both halves takes
    /// away (Chong and Forsyth 2020, <https://arxiv.org/abs/1911.07023>, extrapolate alike), so that distances by fewer and
    /// by more pictures can be compared; of pictures as good as the real ones it may come out below 0.
    pub(super) fn distance(&self, features: &[f32]) -> Distance {
        let width = self.width;
        let rows = features.chunks_exact(width);
        let all = Moments::of(rows.clone(), width);
        let half = |first| Moments::of(rows.clone().skip(first).step_by(2), width);
        let halves = [0, 1].map(|first| self.plain(&half(first)));
        let value = 2.0 * self.plain(&all) - (halves[0] + halves[1]) / 2.0;
        // d = |μ − m|² + tr(Σ + S − 2 (S Σ)^½), whose slope by Σ is 1 − S^½ (S^½ Σ S^½)^−½ S^½.
        let inner = &self.root * &all.covariance * &self.root;
        let inverse = power(&inner, |value| 1.0 / value.sqrt());
        let slope = DMatrix::identity(width, width) - &self.root * inverse * &self.root;
        let mean = slope.dot(&all.covariance);
        let apart = &all.mean - &self.moments.mean;
        let rows: Vec<&[f32]> = rows.collect();
        let influence = rows
            .par_iter()
            .map(|row| {
                let row = row.iter().map(|&x| f64::from(x));
                let off = DVector::from_iterator(width, row) - &all.mean;
                2.0 * apart.dot(&off) + off.dot(&(&slope * &off)) - mean
            })
            .collect();
        Distance { value, influence }
    }

    /// The distance of two normal distributions.
    fn plain(&self, other: &Moments) -> f64 {
        let inner = &self.root * &other.covariance * &self.root;
        let values = symmetric(inner).symmetric_eigenvalues();
        let common: f64 = values.iter().map(|value| value.max(0.0).sqrt()).sum();
        let apart = (&other.mean - &self.moments.mean).norm_squared();
        apart + other.covariance.trace() + self.moments.covariance.trace() - 2.0 * common
    }

    /// Of pictures with these features the share that lies among the real ones (precision), and the share of the real ones
    /// that lies among them (recall), each with its Wilson interval.
    pub(super) fn precision_and_recall(&self, features: &[f32]) -> (Interval, Interval) {
        let width = self.width;
        let radii = self.radii.get_or_init(|| radii(&self.features, width));
        let theirs = self::radii(features, width);
        let apart = distances(&self.features, features, width);
        let (real, made) = apart.shape();
        let among = |inside: &(dyn Fn(usize, usize) -> bool + Sync), n: usize, others: usize| {
            let inside = (0..n)
                .into_par_iter()
                .filter(|&one| (0..others).any(|other| inside(one, other)));
            wilson(inside.count() as u64, n as u64)
        };
        (
            among(
                &|one, other| apart[(other, one)] <= radii[other],
                made,
                real,
            ),
            among(
                &|one, other| apart[(one, other)] <= theirs[other],
                real,
                made,
            ),
        )
    }
}

/// Squared distances of rows of so many numbers from others.
fn distances(from: &[f32], to: &[f32], width: usize) -> DMatrix<f32> {
    let columns = |rows| DMatrixView::from_slice(rows, width, rows.len() / width);
    let (from, to) = (columns(from), columns(to));
    let squares = |columns: &DMatrixView<'_, f32>| -> Vec<f32> {
        columns
            .column_iter()
            .map(|column| column.norm_squared())
            .collect()
    };
    let (one, two) = (squares(&from), squares(&to));
    let mut apart = from.transpose() * to * -2.0;
    for (mut column, two) in apart.column_iter_mut().zip(two) {
        for (apart, one) in column.iter_mut().zip(&one) {
            *apart = (*apart + one + two).max(0.0);
        }
    }
    apart
}

/// Squared distance of each row from its third neighbour.
fn radii(rows: &[f32], width: usize) -> Vec<f32> {
    let apart = distances(rows, rows, width);
    let n = apart.ncols();
    (0..n)
        .into_par_iter()
        .map(|i| {
            let mut others: Vec<f32> = apart.column(i).iter().copied().collect();
            others.swap_remove(i);
            let place = NEIGHBOURS.min(others.len()).saturating_sub(1);
            match others.get(place) {
                Some(_) => *others.select_nth_unstable_by(place, f32::total_cmp).1,
                None => 0.0,
            }
        })
        .collect()
}

/// A function of a symmetric matrix whose eigenvalues are not below 0: of these it is taken, and is 0 for those that are
/// rounding errors.
fn power(matrix: &DMatrix<f64>, of: impl Fn(f64) -> f64) -> DMatrix<f64> {
    let eigen = SymmetricEigen::new(symmetric(matrix.clone()));
    let least = eigen.eigenvalues.max() * NOTHING;
    let values = eigen
        .eigenvalues
        .map(|value| if value > least { of(value) } else { 0.0 });
    &eigen.eigenvectors * DMatrix::from_diagonal(&values) * eigen.eigenvectors.transpose()
}

/// Free of the rounding errors that make a symmetric matrix none.
fn symmetric(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let other = matrix.transpose();
    (matrix + other) * 0.5
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::model::standard_normal;

    /// Rows of independent numbers with these means and deviations.
    fn rows(n: usize, of: &[(f64, f64)], seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n)
            .flat_map(|_| {
                let draw = |&(mean, deviation): &(f64, f64)| {
                    (mean + deviation * standard_normal(&mut rng)) as f32
                };
                of.iter().map(draw).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn the_distance_of_known_distributions_is_that_of_the_formula_by_few_and_by_many() {
        let real = [(0.0, 1.0), (1.0, 2.0), (-1.0, 0.5), (0.0, 1.0)];
        let made = [(0.5, 1.0), (1.0, 1.0), (-1.0, 1.5), (0.3, 1.0)];
        let reals = Real::new(rows(40_000, &real, 1), 4);
        let expected: f64 = real
            .iter()
            .zip(&made)
            .map(|(a, b)| (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2))
            .sum();
        for n in [400, 4_000] {
            // How far means of twenty seeds are off, against what influences say of one.
            let distances: Vec<Distance> = (0..20)
                .map(|seed| reals.distance(&rows(n, &made, 2 + seed)))
                .collect();
            let values: Vec<f64> = distances.iter().map(|d| d.value).collect();
            let mean = values.iter().sum::<f64>() / 20.0;
            let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 19.0;
            let influence = &distances[0].influence;
            let average = influence.iter().sum::<f64>() / n as f64;
            assert!(average.abs() < 0.02, "{average}");
            let variance = influence.iter().map(|i| i * i).sum::<f64>() / (n * n) as f64;
            let off = (mean - expected).abs();
            assert!(
                off < 4.0 * (spread / 20.0).sqrt() + 0.02,
                "{n}: {mean} against {expected}"
            );
            let ratio = (spread / variance).sqrt();
            assert!((0.6..1.6).contains(&ratio), "{n}: {ratio}");
        }
    }

    #[test]
    fn pictures_like_the_real_ones_are_precise_and_complete_and_those_of_one_kind_are_not_complete()
    {
        let both = [(0.0, 1.0); 3];
        let real = Real::new(rows(600, &both, 1), 3);
        let (precision, recall) = real.precision_and_recall(&rows(600, &both, 2));
        assert!(precision.value > 0.8 && recall.value > 0.8);
        let narrow = rows(600, &[(0.0, 0.1); 3], 3);
        let (precision, recall) = real.precision_and_recall(&narrow);
        assert!(precision.value > 0.95 && recall.value < 0.1);
        let far = rows(600, &[(40.0, 1.0); 3], 4);
        let (precision, recall) = real.precision_and_recall(&far);
        assert_eq!((precision.value, recall.value), (0.0, 0.0));
    }
}
