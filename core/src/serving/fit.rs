//! A robust fit of positive constants to logarithms of measured values: Levenberg and Marquardt's method on the
//! soft-L1 loss, with a weak pull towards the start so that what the rows do not determine stays where it was;
//! constants that cannot be larger than some value stay below it.

use super::constants::Fitted;

/// Residuals beyond this (in natural logarithm) count linearly instead of squared: 15 %.
const OUTLIER: f64 = 0.15;
/// Steps after which the fit stops; it needs about 20.
const STEPS: usize = 60;

/// A measured value and what a model with given constants makes of it.
pub(crate) struct Sample<'a, C> {
    /// Weight of its residual.
    pub(crate) weight: f64,
    /// ln(predicted / measured).
    pub(crate) residual: Box<dyn Fn(&C) -> f64 + 'a>,
}

/// Fits constants to samples. `pull` is how many natural logarithms of a constant cost as much as one of a residual.
pub(crate) fn fit<C: Fitted>(start: C, samples: &[Sample<'_, C>], pull: f64) -> C {
    let origin: Vec<f64> = start.values().iter().map(|value| value.ln()).collect();
    let constants = |x: &[f64]| C::with(&x.iter().map(|value| value.exp()).collect::<Vec<_>>());
    let residuals = |x: &[f64]| -> Vec<f64> {
        let constants = constants(x);
        samples
            .iter()
            .map(|sample| sample.weight * (sample.residual)(&constants))
            .chain(x.iter().zip(&origin).map(|(a, b)| pull * (a - b)))
            .collect()
    };
    let mut most: Vec<f64> = C::most().iter().map(|most| most.ln()).collect();
    most.resize(origin.len(), f64::INFINITY);
    let bounded = |x: &[f64]| -> Vec<f64> {
        let both = x.iter().zip(&most);
        both.map(|(value, most)| value.min(*most)).collect()
    };
    let mut x = bounded(&origin);
    let mut current = residuals(&x);
    let mut loss = soft_l1(&current);
    let mut damping = 1e-2;
    for _ in 0..STEPS {
        let mut slopes: Vec<Vec<f64>> = (0..x.len())
            .map(|j| {
                const NUDGE: f64 = 1e-5;
                let mut nudged = x.clone();
                nudged[j] -= NUDGE;
                residuals(&nudged)
                    .iter()
                    .zip(&current)
                    .map(|(a, b)| (b - a) / NUDGE)
                    .collect()
            })
            .collect();
        let weights: Vec<f64> = current
            .iter()
            .map(|r| 1.0 / (1.0 + (r / OUTLIER).powi(2)).sqrt())
            .collect();
        // A constant at its most that would grow stays where it is.
        for (j, slopes) in slopes.iter_mut().enumerate() {
            let uphill: f64 = slopes
                .iter()
                .zip(&current)
                .zip(&weights)
                .map(|((slope, r), weight)| slope * r * weight)
                .sum();
            if x[j] >= most[j] && uphill < 0.0 {
                slopes.fill(0.0);
            }
        }
        let mut improved = false;
        for _ in 0..12 {
            let step = newton_step(&slopes, &current, &weights, damping);
            let moved: Vec<f64> = x.iter().zip(&step).map(|(a, b)| a + b).collect();
            let tried = bounded(&moved);
            let next = residuals(&tried);
            let next_loss = soft_l1(&next);
            if next_loss < loss {
                improved = loss - next_loss > 1e-9 * loss;
                x = tried;
                current = next;
                loss = next_loss;
                damping = (damping * 0.3_f64).max(1e-9);
                break;
            }
            damping *= 4.0;
        }
        if !improved {
            break;
        }
    }
    constants(&x)
}

fn soft_l1(residuals: &[f64]) -> f64 {
    residuals
        .iter()
        .map(|r| ((1.0 + (r / OUTLIER).powi(2)).sqrt() - 1.0) * 2.0)
        .sum()
}

/// Solves (JᵀWJ + damping·diagonal) step = -JᵀWr.
fn newton_step(slopes: &[Vec<f64>], residuals: &[f64], weights: &[f64], damping: f64) -> Vec<f64> {
    let n = slopes.len();
    let dot = |a: &[f64], b: &[f64]| -> f64 {
        a.iter()
            .zip(b)
            .zip(weights)
            .map(|((a, b), w)| a * b * w)
            .sum()
    };
    let mut matrix: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| dot(&slopes[i], &slopes[j])).collect())
        .collect();
    for (i, row) in matrix.iter_mut().enumerate() {
        row[i] = row[i] * (1.0 + damping) + 1e-12;
    }
    let right = slopes.iter().map(|slope| -dot(slope, residuals)).collect();
    solve(matrix, right)
}

/// Gaussian elimination with partial pivoting.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))
            .unwrap_or(column);
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        let diagonal = matrix[column][column];
        if diagonal == 0.0 {
            continue;
        }
        for row in column + 1..n {
            let factor = matrix[row][column] / diagonal;
            if factor != 0.0 {
                let (above, below) = matrix.split_at_mut(row);
                for (value, over) in below[0][column..].iter_mut().zip(&above[column][column..]) {
                    *value -= factor * over;
                }
                right[row] -= factor * right[column];
            }
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| matrix[row][k] * right[k]).sum();
        let diagonal = matrix[row][row];
        right[row] = if diagonal == 0.0 {
            0.0
        } else {
            (right[row] - known) / diagonal
        };
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct Line {
        slope: f64,
        offset: f64,
    }

    impl Fitted for Line {
        fn values(&self) -> Vec<f64> {
            vec![self.slope, self.offset]
        }
        fn with(values: &[f64]) -> Self {
            Self {
                slope: values[0],
                offset: values[1],
            }
        }
        fn most() -> Vec<f64> {
            vec![3.2, f64::INFINITY]
        }
    }

    #[test]
    fn a_constant_stays_below_its_most() {
        let samples: Vec<Sample<'_, Line>> = (1..60)
            .map(|i| {
                let x = f64::from(i);
                Sample {
                    weight: 1.0,
                    residual: Box::new(move |line: &Line| {
                        ((line.slope * x + line.offset) / (4.0 * x + 7.0)).ln()
                    }),
                }
            })
            .collect();
        let start = Line {
            slope: 1.0,
            offset: 1.0,
        };
        let line = fit(start, &samples, 1e-3);
        assert!((line.slope / 3.2 - 1.0).abs() < 1e-9, "{}", line.slope);
        // The other constant still takes the best value that is left.
        assert!(line.offset > 7.0, "{}", line.offset);
    }

    #[test]
    fn finds_the_constants_in_spite_of_wrong_rows() {
        let samples: Vec<Sample<'_, Line>> = (1..60)
            .map(|i| {
                let x = f64::from(i);
                let wrong = if i % 10 == 0 { 5.0 } else { 1.0 };
                let measured = (3.0 * x + 7.0) * wrong;
                Sample {
                    weight: 1.0,
                    residual: Box::new(move |line: &Line| {
                        ((line.slope * x + line.offset) / measured).ln()
                    }),
                }
            })
            .collect();
        let line = fit(
            Line {
                slope: 1.0,
                offset: 1.0,
            },
            &samples,
            1e-3,
        );
        assert!((line.slope / 3.0 - 1.0).abs() < 0.03, "{}", line.slope);
        assert!((line.offset / 7.0 - 1.0).abs() < 0.15, "{}", line.offset);
    }
}
