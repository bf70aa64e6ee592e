//! Symmetric integer quantisation, round to nearest: w ≈ scale × code.
//!
//! From 2 to 8 bits a group of weights shares scale = max|w| / (2^(bits-1) - 1), stored in half precision, and codes lie
//! between -(2^(bits-1) - 1) and +(2^(bits-1) - 1): zero stays zero. At 1 bit the code is the sign and the scale the mean
//! |w| of the group's nonzero weights (Rastegari et al., XNOR-Net, 2016); zeros left by pruning stay zeros and are
//! kept apart from the codes. At 16 bits weights are rounded to half precision. Weights beyond the range of half
//! precision (65,504) end at its largest number.

use std::ops::RangeInclusive;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::prune::magnitude;

/// Widths at which codes have steps of a scale, so that weights can round to zero.
pub(super) const STEPPED_BITS: RangeInclusive<u8> = 2..=8;
/// Adding and subtracting 1.5 × 2^23 rounds an f32 of magnitude up to 2^22 to the nearest integer, ties to even, on any
/// processor and without a call.
const ROUND: f32 = 12_582_912.0;
/// Sums of |w| are taken in this many independent parts, so that they are quick and the same on every processor.
const LANES: usize = 16;

/// The largest code of a width from 2 to 8 bits; at 1 bit the code is ±1.
#[inline(always)]
pub(super) const fn largest_code(bits: u8) -> f32 {
    if bits < 2 {
        1.0
    } else {
        ((1u16 << (bits - 1)) - 1) as f32
    }
}

/// Rounds a row to 2 to 8 bits, one scale for each `group` consecutive weights (the last group may be shorter); weights
/// of a magnitude below `lowest` become zero. Returns the weights that are not zero; a scale is zero where none of its
/// group is left.
#[inline(always)]
pub(super) fn to_codes(
    row: &[f32],
    lowest: u32,
    bits: u8,
    group: usize,
    out: &mut [f32],
    scales: &mut [f16],
) -> u64 {
    let limit = largest_code(bits);
    let mut nonzero = 0;
    for ((weights, out), half) in row.chunks(group).zip(out.chunks_mut(group)).zip(scales) {
        let largest = largest_magnitude(weights);
        let step = largest / limit;
        // The division can underflow, too.
        if step == 0.0 || magnitude(largest) < lowest {
            *half = f16::ZERO;
            out.fill(0.0);
            continue;
        }
        *half = half_above(step);
        let scale = widened(*half);
        let inverse = 1.0 / scale;
        let round = |weight: f32| {
            let kept = if magnitude(weight) >= lowest {
                weight
            } else {
                0.0
            };
            kept * inverse
        };
        let left = if largest * inverse < limit + 0.5 {
            write_codes(weights, scale, out, round)
        } else {
            // Beyond the range of a half precision scale.
            write_codes(weights, scale, out, |w| round(w).clamp(-limit, limit))
        };
        if left == 0 {
            // The smallest scale that there is was too large for all of them.
            *half = f16::ZERO;
        }
        nonzero += left;
    }
    nonzero
}

/// Writes scale times code, where the code is the nearest integer to what a function says of the weight.
#[inline(always)]
fn write_codes(weights: &[f32], scale: f32, out: &mut [f32], code: impl Fn(f32) -> f32) -> u64 {
    let mut nonzero = 0u32;
    for (out, &weight) in out.iter_mut().zip(weights) {
        let code = code(weight) + ROUND - ROUND;
        *out = code * scale;
        // At most one per weight of a group. A check of overflow would keep the loop off the vector units.
        nonzero = nonzero.wrapping_add(u32::from(code != 0.0));
    }
    u64::from(nonzero)
}

/// Rounds a row in place to signs, one scale for each `group` consecutive weights (the last group may be shorter).
/// Returns the weights that are not zero.
#[inline(always)]
pub(super) fn to_signs(row: &mut [f32], group: usize, scales: &mut [f16]) -> u64 {
    for (weights, half) in row.chunks_mut(group).zip(scales) {
        *half = mean_scale(weights);
        let scale = widened(*half);
        for weight in weights {
            *weight = if *weight == 0.0 {
                0.0
            } else {
                scale.copysign(*weight)
            };
        }
    }
    count_nonzero(row)
}

/// Rounds a row in place to half precision and returns the weights that are not zero.
#[inline(always)]
pub(super) fn to_half(row: &mut [f32]) -> u64 {
    let mut halves = [f16::ZERO; 256];
    let limit = f16::MAX.to_f32();
    for weights in row.chunks_mut(halves.len()) {
        for weight in &mut *weights {
            *weight = weight.clamp(-limit, limit);
        }
        let halves = &mut halves[..weights.len()];
        halves.convert_from_f32_slice(weights);
        halves.convert_to_f32_slice(weights);
        for weight in weights {
            // A small negative weight may have become -0.
            *weight += 0.0;
        }
    }
    count_nonzero(row)
}

/// Weights that are not zero.
#[inline(always)]
pub(super) fn count_nonzero(row: &[f32]) -> u64 {
    // A u32 counter for each piece, which no piece can fill, keeps the loop in vector registers.
    let is_there = |&w: &f32| u32::from(w != 0.0);
    row.chunks(1 << 16)
        .map(|piece| piece.iter().map(is_there).fold(0, u32::wrapping_add))
        .map(u64::from)
        .sum()
}

#[inline(always)]
fn largest_magnitude(weights: &[f32]) -> f32 {
    f32::from_bits(weights.iter().fold(0, |largest, &w| {
        let w = magnitude(w);
        if w > largest { w } else { largest }
    }))
}

/// Bits of an f32's significand that half precision lacks.
const EXTRA: u32 = 13;
/// Difference of the exponents' offsets between f32 and half precision, in place.
const OFFSET: u32 = (127 - 15) << 23;

/// A half precision number that is positive or zero. Unlike the general conversion it is part of the loop around it.
#[inline(always)]
fn widened(half: f16) -> f32 {
    let bits = u32::from(half.to_bits());
    if half.to_bits() >= f16::MIN_POSITIVE.to_bits() {
        f32::from_bits((bits << EXTRA) + OFFSET)
    } else {
        bits as f32 / 16_777_216.0
    }
}

/// The smallest half precision number that is not below a positive number, at most the largest there is. Steps are rounded
/// up: so the largest weight never needs a code beyond the largest, and no weight ends further than half a step away.
#[inline(always)]
fn half_above(value: f32) -> f16 {
    let bits = value.to_bits();
    let half = if bits >= OFFSET + (1 << 23) {
        (bits - OFFSET + (1 << EXTRA) - 1) >> EXTRA
    } else {
        // Below the normal numbers the step is 2^-24.
        (value * 16_777_216.0).ceil() as u32
    };
    f16::from_bits(half.min(u32::from(f16::MAX.to_bits())) as u16)
}

/// Mean |w| of the nonzero weights in half precision; not zero unless all weights are.
#[inline(always)]
fn mean_scale(weights: &[f32]) -> f16 {
    let mut sums = [0f32; LANES];
    let mut pieces = weights.chunks_exact(LANES);
    for piece in pieces.by_ref() {
        for (sum, w) in sums.iter_mut().zip(piece) {
            *sum += w.abs();
        }
    }
    for (sum, w) in sums.iter_mut().zip(pieces.remainder()) {
        *sum += w.abs();
    }
    let sum: f64 = sums.iter().map(|&sum| f64::from(sum)).sum();
    let nonzero = count_nonzero(weights);
    if nonzero == 0 {
        return f16::ZERO;
    }
    f16::from_f64(sum / nonzero as f64).clamp(f16::MIN_POSITIVE_SUBNORMAL, f16::MAX)
}

/// How many of a group's weights [`to_codes`] would make (or leave) zero at each of [`STEPPED_BITS`].
#[inline(always)]
pub(super) fn rounded_to_zero(weights: &[f32]) -> [u64; 7] {
    let largest = largest_magnitude(weights);
    let mut counts = [weights.len() as u64; 7];
    for (count, bits) in counts.iter_mut().zip(STEPPED_BITS) {
        let step = largest / largest_code(bits);
        if step > 0.0 {
            let inverse = 1.0 / widened(half_above(step));
            let zeros = weights
                .iter()
                .map(|w| u32::from(w * inverse + ROUND - ROUND == 0.0));
            // As in `write_codes`.
            *count = u64::from(zeros.fold(0, u32::wrapping_add));
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bits_have_seven_levels() {
        let row = [-3.0, -2.4, -0.5, 0.0, 0.6, 1.5, 2.5, 3.0];
        let (mut out, mut scales) = ([f32::NAN; 8], [f16::ZERO]);
        assert_eq!(to_codes(&row, 0, 3, 8, &mut out, &mut scales), 6);
        assert_eq!(scales[0].to_f32(), 1.0);
        // Ties go to the even code.
        assert_eq!(out, [-3.0, -2.0, 0.0, 0.0, 1.0, 2.0, 2.0, 3.0]);
        // With the smaller half pruned in groups of four.
        let mut scales = [f16::ZERO; 2];
        let lowest = magnitude(2.0);
        assert_eq!(to_codes(&row, lowest, 3, 4, &mut out, &mut scales), 4);
        assert_eq!(out, [-3.0, -2.0, 0.0, 0.0, 0.0, 0.0, 2.0, 3.0]);
    }

    #[test]
    fn steps_are_rounded_up_to_half_precision() {
        for bits in 0..f16::INFINITY.to_bits() {
            let half = f16::from_bits(bits);
            let value = half.to_f32();
            assert_eq!(widened(half), value);
            assert_eq!(half_above(value), half);
            let above = f16::from_bits(bits + 1).min(f16::MAX);
            assert_eq!(half_above(value.next_up()), above, "just above {value}");
        }
        assert_eq!(half_above(f32::MAX), f16::MAX);
    }

    #[test]
    fn one_bit_is_the_sign_times_the_mean_of_what_is_left() {
        let mut row = [1.0, 0.0, -3.0, 0.5, 0.5];
        let mut scales = [f16::ZERO; 2];
        assert_eq!(to_signs(&mut row, 3, &mut scales), 4);
        assert_eq!(row, [2.0, 0.0, -2.0, 0.5, 0.5]);
    }

    #[test]
    fn extreme_weights_stay_finite() {
        let extreme = [
            f32::MAX,
            -f32::MAX,
            f32::MIN_POSITIVE,
            1e-45,
            -1e-45,
            0.0,
            1e30,
            1.0,
        ];
        for bits in 1..=8 {
            for group in [8, 3] {
                let mut row = extreme;
                let mut scales = [f16::ZERO; 3];
                if bits == 1 {
                    to_signs(&mut row, group, &mut scales);
                } else {
                    to_codes(&extreme, 0, bits, group, &mut row, &mut scales);
                }
                assert!(row.iter().all(|w| w.is_finite()), "{bits} bits: {row:?}");
            }
        }
        let mut row = extreme;
        to_half(&mut row);
        assert_eq!(row, [65504.0, -65504.0, 0.0, 0.0, 0.0, 0.0, 65504.0, 1.0]);
        assert!(row.iter().all(|w| w.to_bits() != (-0f32).to_bits()));
    }

    #[test]
    fn no_code_leaves_its_width_even_beyond_the_range_of_a_scale() {
        for bits in 2..=8 {
            let limit = ((1_u32 << (bits - 1)) - 1) as f32;
            let row = [-1e9, 1e9, -3e7, 5.0];
            let (mut out, mut scales) = ([0.0; 4], [f16::ZERO; 1]);
            to_codes(&row, 0, bits, 4, &mut out, &mut scales);
            let scale = widened(scales[0]);
            let codes = out.map(|weight| weight / scale);
            assert!(
                codes
                    .iter()
                    .all(|code| code.abs() <= limit && code.fract() == 0.0),
                "{bits} bits: {codes:?}"
            );
            assert_eq!(codes[..2], [-limit, limit], "{bits} bits");
        }
    }
}
