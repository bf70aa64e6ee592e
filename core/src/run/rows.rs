//! What happens between the matrix products, on rows of contiguous numbers: written so that the compiler can use the
//! vectors of the machine it finds itself on, without branches and with sums in eight parts.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;
use pulp::{Arch, Simd, WithSimd};

use super::matrix::Rows;
use super::program::Plane;

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
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn largest(row: &[f32], part: impl Fn(f32) -> f32) -> f32 {
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
    /// GELU by the error function, in place: that to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
    fn gelu_exact<'a>(values: &'a mut [f32]) {
        for value in values {
            let x = *value;
            let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
            let t = 1.0 / (1.0 + 0.327_591_1 * z);
            let mut p = 1.061_405_4;
            p = p * t - 1.453_152;
            p = p * t + 1.421_413_7;
            p = p * t - 0.284_496_74;
            p = p * t + 0.254_829_6;
            // Half of what the error function lacks to 1 there.
            let rest = 0.5 * p * t * exp(-z * z);
            *value = larger(x, 0.0) - x.abs() * rest;
        }
    }
}

vectorized! {
    /// Softmax of the row's numbers from `first` to before `seen`, times `scale`, in place; the others become 0.
    fn softmax<'a>(row: &'a mut [f32], first: usize, seen: usize, scale: f32) {
        let (row, unseen) = row.split_at_mut(seen);
        unseen.fill(0.0);
        let (unseen, row) = row.split_at_mut(first);
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

/// Numbers that are summed in single precision before the sum goes on in double.
const SUMMED: usize = 1024;

vectorized! {
    /// The logarithm of the sum of the exponentials of a row.
    fn log_sum_exp<'a>(row: &'a [f32], out: &'a mut f64) {
        let most = largest(row, |x| x);
        let parts = row.chunks(SUMMED);
        let total: f64 = parts.map(|part| f64::from(sum(part, |x| exp(x - most)))).sum();
        *out = f64::from(most) + total.ln();
    }
}

vectorized! {
    /// The mean of `x - y` where `x` is a row of logits and the mean is over the probabilities that it means.
    fn mean_difference<'a>(x: &'a [f32], y: &'a [f32], out: &'a mut f64) {
        let most = largest(x, |x| x);
        let (mut all, mut differences) = (0.0, 0.0);
        for (x, y) in x.chunks(SUMMED).zip(y.chunks(SUMMED)) {
            let (mut weights, mut weighted) = ([0.0_f32; PARTS], [0.0_f32; PARTS]);
            let (xs, rest_x) = x.as_chunks::<PARTS>();
            let (ys, rest_y) = y.as_chunks::<PARTS>();
            for (x, y) in xs.iter().zip(ys) {
                for i in 0..PARTS {
                    let weight = exp(x[i] - most);
                    weights[i] += weight;
                    weighted[i] += weight * (x[i] - y[i]);
                }
            }
            for (i, (x, y)) in rest_x.iter().zip(rest_y).enumerate() {
                let weight = exp(x - most);
                weights[i] += weight;
                weighted[i] += weight * (x - y);
            }
            all += f64::from(weights.iter().sum::<f32>());
            differences += f64::from(weighted.iter().sum::<f32>());
        }
        *out = differences / all;
    }
}

vectorized! {
    /// Layer normalisation of the rows of `x`, as long as `weight` and `bias`, into `out`.
    fn layer_norm<'a>(
        x: &'a [f32],
        weight: &'a [f32],
        bias: &'a [f32],
        epsilon: f32,
        out: &'a mut [f32],
    ) {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            let share = 1.0 / (variance + epsilon).sqrt();
            for (((out, &x), &weight), &bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (x - mean) * share * weight + bias;
            }
        }
    }
}

vectorized! {
    /// Root mean square normalisation of the rows of `x`, as long as `weight`, into `out`.
    fn rms_norm<'a>(x: &'a [f32], weight: &'a [f32], epsilon: f32, out: &'a mut [f32]) {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let square = sum(x, |x| x * x) / width as f32;
            let share = 1.0 / (square + epsilon).sqrt();
            for ((out, &x), &weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * share * weight;
            }
        }
    }
}

vectorized! {
    /// `x / (1 + exp(-x))`, in place.
    fn silu<'a>(values: &'a mut [f32]) {
        for value in values {
            *value /= 1.0 + exp(-*value);
        }
    }
}

vectorized! {
    /// The logistic function, `1 / (1 + exp(-x))`, in place.
    fn sigmoid<'a>(values: &'a mut [f32]) {
        for value in values {
            *value = 1.0 / (1.0 + exp(-*value));
        }
    }
}

vectorized! {
    /// Holds numbers between two bounds, in place.
    fn clamp<'a>(values: &'a mut [f32], low: f32, high: f32) {
        for value in values {
            let held = if *value > low { *value } else { low };
            *value = if held < high { held } else { high };
        }
    }
}

vectorized! {
    /// `cap · tanh(value / cap)`, in place.
    fn cap<'a>(values: &'a mut [f32], cap: f32) {
        for value in values {
            *value = cap * (2.0 / (1.0 + exp(-2.0 * *value / cap)) - 1.0);
        }
    }
}

vectorized! {
    /// Adds numbers to others.
    fn add<'a>(to: &'a mut [f32], from: &'a [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }
}

vectorized! {
    /// Multiplies numbers by others.
    fn multiply<'a>(to: &'a mut [f32], by: &'a [f32]) {
        for (to, by) in to.iter_mut().zip(by) {
            *to *= by;
        }
    }
}

vectorized! {
    /// `value · scale + shift` of every row, as long as both, held between two bounds, in place.
    fn scale_shift<'a>(
        values: &'a mut [f32],
        scale: &'a [f32],
        shift: &'a [f32],
        low: f32,
        high: f32,
    ) {
        for row in values.chunks_exact_mut(scale.len()) {
            for ((value, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
                let moved = *value * scale + shift;
                let held = if moved > low { moved } else { low };
                *value = if held < high { held } else { high };
            }
        }
    }
}

/// Parts of a row, as long as each other.
#[inline(always)]
fn split<const N: usize>(row: &[f32], width: usize) -> [&[f32]; N] {
    std::array::from_fn(|part| &row[part * width..][..width])
}

#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 * logistic(2.0 * x) - 1.0
}

vectorized! {
    /// A step of a long short-term memory: what its gates are given and what comes of its last output; its content and its
    /// output become the next ones.
    fn lstm<'a>(given: &'a [f32], own: &'a [f32], content: &'a mut [f32], output: &'a mut [f32]) {
        let units = content.len();
        let (given, own) = (split::<4>(given, units), split::<4>(own, units));
        let output = &mut output[..units];
        for unit in 0..units {
            let gate = |gate: usize| given[gate][unit] + own[gate][unit];
            let new = logistic(gate(0)) * tanh(gate(2));
            let kept = logistic(gate(1)) * content[unit] + new;
            content[unit] = kept;
            output[unit] = logistic(gate(3)) * tanh(kept);
        }
    }
}

vectorized! {
    /// A step of a gated recurrent unit, as [`lstm`]; it has no content but its output.
    fn gru<'a>(given: &'a [f32], own: &'a [f32], output: &'a mut [f32]) {
        let units = output.len();
        let (given, own) = (split::<3>(given, units), split::<3>(own, units));
        for unit in 0..units {
            let gate = |gate: usize| logistic(given[gate][unit] + own[gate][unit]);
            let new = tanh(given[2][unit] + gate(0) * own[2][unit]);
            let stays = gate(1);
            output[unit] = (1.0 - stays) * new + stays * output[unit];
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

/// Windows of an image of which the largest numbers are wanted, by channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    pub(super) from: Plane,
    pub(super) to: Plane,
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Windows {
    /// Rows or columns of an image that a window at a place covers.
    #[inline(always)]
    fn covered(&self, place: usize, size: usize) -> Range<usize> {
        let first = (place * self.stride).saturating_sub(self.padding);
        first..size.min(place * self.stride + self.size - self.padding)
    }
}

vectorized! {
    /// The largest number of every window, by channel; places beyond the edge do not count.
    fn max_pool<'a>(image: &'a [f32], windows: Windows, out: &'a mut [f32]) {
        let Windows { from, to, .. } = windows;
        let (inside, place, channels) = (from.inside(), to.inside(), to.channels);
        for pixel in 0..to.pixels() {
            let (y, x) = (pixel / to.columns, pixel % to.columns);
            let out = &mut out[place.start(pixel)..][..channels];
            let at = |row: usize, column: usize| {
                &image[inside.first + row * from.line() + column * channels..][..channels]
            };
            let (rows, columns) = (windows.covered(y, from.rows), windows.covered(x, from.columns));
            if rows.len() == 2 && columns.len() == 2 {
                let (row, column) = (rows.start, columns.start);
                let upper = at(row, column).iter().zip(at(row, column + 1));
                let lower = at(row + 1, column).iter().zip(at(row + 1, column + 1));
                for ((out, (&a, &b)), (&c, &d)) in out.iter_mut().zip(upper).zip(lower) {
                    *out = larger(larger(a, b), larger(c, d));
                }
                continue;
            }
            out.fill(f32::NEG_INFINITY);
            for row in rows {
                for column in columns.clone() {
                    for (out, &value) in out.iter_mut().zip(at(row, column)) {
                        *out = larger(*out, value);
                    }
                }
            }
        }
    }
}

vectorized! {
    /// The mean over the pixels of an image, by channel.
    fn mean<'a>(image: &'a [f32], plane: Plane, out: &'a mut [f32]) {
        out.fill(0.0);
        for line in plane.lines() {
            for pixel in image[line].chunks_exact(plane.channels) {
                for (mean, value) in out.iter_mut().zip(pixel) {
                    *mean += value;
                }
            }
        }
        let pixels = plane.pixels() as f32;
        for mean in out {
            *mean /= pixels;
        }
    }
}

/// A kernel for every channel, `[rows, columns, channels]`, with what is done to its sums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernels<'a> {
    pub(super) weights: &'a [f32],
    /// Numbers of a row of the kernels.
    pub(super) piece: usize,
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    pub(super) bounds: (f32, f32),
}

vectorized! {
    /// Every channel of an image by a kernel of its own; windows begin where `windows` says and have lines `line` numbers
    /// apart.
    fn depthwise<'a>(
        image: &'a [f32],
        line: usize,
        windows: Rows,
        kernels: Kernels<'a>,
        to: Plane,
        out: &'a mut [f32],
    ) {
        let (inside, channels) = (to.inside(), to.channels);
        let (low, high) = kernels.bounds;
        for pixel in 0..to.pixels() {
            let start = windows.start(pixel);
            let sums = &mut out[inside.start(pixel)..][..channels];
            sums.fill(0.0);
            for (row, kernel) in kernels.weights.chunks_exact(kernels.piece).enumerate() {
                let pixels = image[start + row * line..][..kernels.piece].chunks_exact(channels);
                for (pixel, kernel) in pixels.zip(kernel.chunks_exact(channels)) {
                    for ((sum, value), weight) in sums.iter_mut().zip(pixel).zip(kernel) {
                        *sum += value * weight;
                    }
                }
            }
            for ((sum, scale), shift) in sums.iter_mut().zip(kernels.scale).zip(kernels.shift) {
                let moved = *sum * scale + shift;
                let held = if moved > low { moved } else { low };
                *sum = if held < high { held } else { high };
            }
        }
    }
}

#[cfg(test)]
mod tests;
