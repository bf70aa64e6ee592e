use super::*;

#[test]
fn the_exponential_is_exact_to_single_precision() {
    /// Relative.
    const TOLERANCE: f64 = 3e-7;
    for i in -8_700..=8_800 {
        let x = i as f32 / 100.0;
        let expected = f64::from(x).exp();
        let error = (f64::from(exp(x)) - expected).abs() / expected;
        assert!(error < TOLERANCE, "exp({x}): {error}");
    }
    assert!(exp(-1e9) < 1e-37 && exp(1e9).is_finite());
}

#[test]
fn the_error_functions_gelu_is_exact_to_single_precision() {
    // The error function by its series, and by its continued fraction where that is long.
    let erf = |x: f64| {
        if x > 3.0 {
            let fraction = (1..60)
                .rev()
                .fold(x, |rest, k| x + f64::from(k) / 2.0 / rest);
            return 1.0 - (-x * x).exp() / fraction / std::f64::consts::PI.sqrt();
        }
        let (mut term, mut sum) = (x, x);
        for k in 1..80 {
            term *= -x * x / f64::from(k);
            sum += term / f64::from(2 * k + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    };
    let mut values: Vec<f32> = (-12_000..=12_000).map(|i| i as f32 / 1000.0).collect();
    let given = values.clone();
    gelu_exact(&mut values);
    for (x, found) in given.iter().zip(values) {
        let x = f64::from(*x);
        let z = x.abs() / std::f64::consts::SQRT_2;
        let expected = x.max(0.0) - x.abs() * (1.0 - erf(z)) / 2.0;
        let error = (f64::from(found) - expected).abs();
        assert!(error < 4e-7 * x.abs().max(1.0), "{x}: {found}, {expected}");
    }
    let mut ends = [40.0, -40.0, 0.0, f32::NAN];
    gelu_exact(&mut ends);
    assert!(ends[0] == 40.0 && ends[1].abs() < 1e-30 && ends[2] == 0.0 && ends[3].is_nan());
}

#[test]
fn softmax_sees_only_the_past() {
    let mut row = [0.0, 2.0, 4.0, f32::MAX, f32::NAN];
    softmax(&mut row, 0, 3, 0.5);
    let total: f64 = (0..3).map(|i| f64::from(i).exp()).sum();
    for (i, &found) in row.iter().enumerate().take(3) {
        assert!((f64::from(found) - (i as f64).exp() / total).abs() < 1e-6);
    }
    assert_eq!(row[3..], [0.0, 0.0]);
}
