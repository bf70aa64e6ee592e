//! What predictions are worth: from rows of logits, without a copy of them.

use super::rows;

/// A row of logits and the logarithm of what their exponentials sum to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prediction<'a> {
    logits: &'a [f32],
    log_total: f64,
}

impl<'a> Prediction<'a> {
    /// `None` where the logits are not finite numbers.
    pub(crate) fn new(logits: &'a [f32]) -> Option<Self> {
        let mut log_total = 0.0;
        rows::log_sum_exp(logits, &mut log_total);
        (log_total.is_finite() && logits.iter().all(|logit| logit.is_finite()))
            .then_some(Self { logits, log_total })
    }

    /// Code length of a token in nats; infinite where there is no such token.
    pub(crate) fn nats(&self, token: u32) -> f64 {
        self.logits
            .get(token as usize)
            .map_or(f64::INFINITY, |&logit| self.log_total - f64::from(logit))
    }

    /// The most probable token, the first of equals.
    pub(crate) fn top(&self) -> usize {
        let most = self
            .logits
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
        let top = self.logits.iter().position(|&logit| logit == most);
        top.unwrap_or(0)
    }

    /// Kullback-Leibler divergence D(this ‖ other) in nats.
    pub(crate) fn divergence(&self, other: &Self) -> f64 {
        let mut difference = 0.0;
        rows::mean_difference(self.logits, other.logits, &mut difference);
        difference + other.log_total - self.log_total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_definition() {
        /// Sums of thousands of numbers in single precision.
        const TOLERANCE: f64 = 2e-6;
        for n in [3, 8, 1000, 5001] {
            let row = |seed: usize| -> Vec<f32> {
                let number = |i: usize| ((i * 7919 + seed) % 1009) as f32 / 100.0 - 4.0;
                (0..n).map(number).collect()
            };
            let (x, y) = (row(17), row(400));
            let log_total = |row: &[f32]| {
                let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
                sum.ln()
            };
            let (p, q) = (Prediction::new(&x).unwrap(), Prediction::new(&y).unwrap());
            let nats = log_total(&x) - f64::from(x[1]);
            assert!((p.nats(1) - nats).abs() < TOLERANCE * nats.max(1.0));
            let expected: f64 = x
                .iter()
                .zip(&y)
                .map(|(&x_i, &y_i)| {
                    let log_p = f64::from(x_i) - log_total(&x);
                    log_p.exp() * (log_p - (f64::from(y_i) - log_total(&y)))
                })
                .sum();
            let found = p.divergence(&q);
            assert!(
                (found - expected).abs() < TOLERANCE * expected.max(1.0),
                "{found} {expected}"
            );
            assert_eq!(p.divergence(&p), 0.0);
            let top = (0..n).fold(0, |best, i| if x[i] > x[best] { i } else { best });
            assert_eq!(p.top(), top);
            assert_eq!(p.nats(u32::MAX), f64::INFINITY);
        }
        assert!(Prediction::new(&[0.0, f32::NAN]).is_none());
        assert!(Prediction::new(&[0.0, f32::INFINITY]).is_none());
    }
}
