//! What happens between the matrix products, on rows of contiguous numbers: written so that the compiler can use the
//! vectors of the machine it finds itself on, without branches and with sums in eight parts.

use half::f16;
use half::slice::HalfFloatSliceExt;
use pulp::{Arch, Simd, WithSimd};

use super::super::LAYER_NORM_EPSILON;

/// Parts of a sum, so that it does not have to wait for itself.
const PARTS: usize = 8;

/// A function whose body is compiled for the vectors that the machine turns out to have. A closure would not do: it is
/// compiled on its own, for the least machine.
macro_rules! vectorized {
    ($(#[$doc:meta])* fn $name:ident<$life:lifetime>($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        pub(super) fn $name<$life>($($arg: $type),*) {
            struct Work<$life> {
                $($arg: $type),*
            }
            impl<$life> WithSimd for Work<$life> {
                type Output = ();

                #[inline(always)]
                fn with_simd<S: Simd>(self, _: S) {
                    let Self { $($arg),* } = self;
                    $body
                }
            }
            Arch::new().dispatch(Work { $($arg),* });
        }
    };
}

/// The exponential to about two units in the last place (the polynomial of Cephes' `expf`,
/// <https://www.netlib.org/cephes/>); the argument is held within what is finite and not denormal.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding and subtracting 1.5 · 2²³ rounds to the nearest integer.
    const ROUNDER: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_2e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    p = p * r * r + r + 1.0;
    // The low bits of the shifted number are n; with the bias added they are the exponent of 2ⁿ.
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[inline(always)]
fn sum(row: &[f32], part: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; PARTS];
    let (chunks, rest) = row.as_chunks::<PARTS>();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += part(value);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&value| part(value)).sum::<f32>()
}

#[inline(always)]
fn largest(row: &[f32], part: impl Fn(f32) -> f32) -> f32 {
    #[inline(always)]
    fn larger(a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    let mut most = [f32::NEG_INFINITY; PARTS];
    let (chunks, rest) = row.as_chunks::<PARTS>();
    for chunk in chunks {
        for (most, &value) in most.iter_mut().zip(chunk) {
            *most = larger(part(value), *most);
        }
    }
    let rest = rest.iter().map(|&value| part(value));
    most.into_iter().chain(rest).fold(f32::NEG_INFINITY, larger)
}

vectorized! {
    /// GELU in its tanh form (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>), in place.
    fn gelu<'a>(values: &'a mut [f32]) {
        for value in values {
            let x = *value;
            let u = 0.797_884_6 * x * (1.0 + 0.044_715 * x * x);
            // x times (1 + tanh u) / 2.
            *value = x / (1.0 + exp(-2.0 * u));
        }
    }
}

vectorized! {
    /// Softmax of the row's first `seen` numbers times `scale`, in place; the others become 0.
    fn softmax<'a>(row: &'a mut [f32], seen: usize, scale: f32) {
        let (row, unseen) = row.split_at_mut(seen);
        unseen.fill(0.0);
        let most = largest(row, |x| x) * scale;
        for value in row.iter_mut() {
            *value = exp(*value * scale - most);
        }
        let share = 1.0 / sum(row, |x| x);
        for value in row {
            *value *= share;
        }
    }
}

vectorized! {
    /// Layer normalisation of the rows of `x`, as long as `weight` and `bias`, into `out`.
    fn layer_norm<'a>(x: &'a [f32], weight: &'a [f32], bias: &'a [f32], out: &'a mut [f32]) {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            let share = 1.0 / (variance + LAYER_NORM_EPSILON as f32).sqrt();
            for (((out, &x), &weight), &bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (x - mean) * share * weight + bias;
            }
        }
    }
}

/// Rounds each row of `width` activations in place as [`super::super::Architecture::forward`] says; 32 bits change
/// nothing.
pub(super) fn quantize(values: &mut [f32], width: usize, bits: u8) {
    match bits {
        32.. => {}
        16..32 => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            halves.convert_to_f32_slice(values);
        }
        _ => {
            let steps = (1u32 << (u32::from(bits.max(2)) - 1)) - 1;
            quantize_to_steps(values, width, steps as f32);
        }
    }
}

vectorized! {
    /// Rounds each row to whole multiples of its largest absolute value divided by `steps`.
    fn quantize_to_steps<'a>(values: &'a mut [f32], width: usize, steps: f32) {
        for row in values.chunks_exact_mut(width) {
            // A row of zeros stays zero whatever its scale is.
            let scale = largest(row, f32::abs).max(f32::MIN_POSITIVE) / steps;
            for value in row {
                *value = (*value / scale).round() * scale;
            }
        }
    }
}

vectorized! {
    /// The largest of each two by two pixels of an image `[size, size, channels]`, put where `place` says; an odd last
    /// row or column is dropped.
    fn max_pool<'a>(
        image: &'a [f32],
        size: usize,
        channels: usize,
        out: &'a mut [f32],
        place: super::matrix::Rows,
    ) {
        let half = size / 2;
        for pixel in 0..half * half {
            let (y, x) = (pixel / half, pixel % half);
            let at = |dy: usize, dx: usize| {
                &image[((2 * y + dy) * size + 2 * x + dx) * channels..][..channels]
            };
            let (a, b, c, d) = (at(0, 0), at(0, 1), at(1, 0), at(1, 1));
            let out = &mut out[place.start(pixel)..][..channels];
            for ((((out, &a), &b), &c), &d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                let upper = if a > b { a } else { b };
                let lower = if c > d { c } else { d };
                *out = if upper > lower { upper } else { lower };
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn softmax_sees_only_the_past() {
        let mut row = [0.0, 2.0, 4.0, f32::MAX, f32::NAN];
        softmax(&mut row, 3, 0.5);
        let total: f64 = (0..3).map(|i| f64::from(i).exp()).sum();
        for (i, &found) in row.iter().enumerate().take(3) {
            assert!((f64::from(found) - (i as f64).exp() / total).abs() < 1e-6);
        }
        assert_eq!(row[3..], [0.0, 0.0]);
    }
}
