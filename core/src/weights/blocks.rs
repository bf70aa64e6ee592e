//! Decoding of stored elements into single precision: numbers, and the rarer blocks of ggml.

use std::borrow::Cow;

#[cfg(test)]
use candle_core::CpuStorage;
use candle_core::quantized::{GgmlDType, QuantizedType};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::usual;
use crate::number::StoredFormat;

/// Decodes whole blocks; `stored` has as many as `out` needs.
pub(crate) fn decode(format: StoredFormat, stored: &[u8], out: &mut [f32]) -> Result<(), String> {
    use StoredFormat as F;
    if stored.len() / format.bytes_per_block() * format.elements_per_block() != out.len() {
        return Err(format!(
            "{} bytes are not {} elements of {}",
            stored.len(),
            out.len(),
            format.name()
        ));
    }
    match format {
        F::F32 => each(stored, out, f32::from_le_bytes),
        F::F64 => each(stored, out, |bytes| f64::from_le_bytes(bytes) as f32),
        F::F16 => halves(stored, out),
        // The upper half of single precision.
        F::BF16 => each(stored, out, |bytes| {
            f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
        }),
        F::F8_E4M3 => each(stored, out, |[byte]| e4m3(byte)),
        F::F8_E5M2 => each(stored, out, |[byte]| {
            // The upper half of a half.
            f16::from_bits(u16::from(byte) << 8).to_f32()
        }),
        F::MXFP4 => blocks::<17, 32>(stored, out, mxfp4),
        F::IQ4_NL => blocks::<18, 32>(stored, out, iq4_nl),
        F::IQ4_XS => blocks::<136, 256>(stored, out, iq4_xs),
        F::TQ1_0 => blocks::<54, 256>(stored, out, tq1_0),
        F::TQ2_0 => blocks::<66, 256>(stored, out, tq2_0),
        other => {
            if !usual::decode(other, stored, out) {
                return Err(format!("{} cannot be decoded", other.name()));
            }
        }
    }
    Ok(())
}

/// Half precision, many at a time: the machine may have an instruction for eight.
fn halves(stored: &[u8], out: &mut [f32]) {
    const AT_ONCE: usize = 64;
    let mut numbers = [f16::ZERO; AT_ONCE];
    for (out, bytes) in out
        .chunks_mut(AT_ONCE)
        .zip(stored.chunks(size_of::<f16>() * AT_ONCE))
    {
        let numbers = &mut numbers[..out.len()];
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
            *number = f16::from_le_bytes(*bytes);
        }
        numbers.convert_to_f32_slice(out);
    }
}

fn each<const N: usize>(stored: &[u8], out: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(stored.as_chunks::<N>().0) {
        *out = value(*bytes);
    }
}

fn blocks<const BYTES: usize, const ELEMENTS: usize>(
    stored: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
) {
    let out = out.as_chunks_mut::<ELEMENTS>().0;
    for (out, block) in out.iter_mut().zip(stored.as_chunks::<BYTES>().0) {
        decode(block, out);
    }
}

/// The same format of candle, where it is one of integers that it has.
pub(crate) fn of_candle(format: StoredFormat) -> Option<GgmlDType> {
    use StoredFormat as F;
    Some(match format {
        F::Q4_0 => GgmlDType::Q4_0,
        F::Q4_1 => GgmlDType::Q4_1,
        F::Q5_0 => GgmlDType::Q5_0,
        F::Q5_1 => GgmlDType::Q5_1,
        F::Q8_0 => GgmlDType::Q8_0,
        F::Q2_K => GgmlDType::Q2K,
        F::Q3_K => GgmlDType::Q3K,
        F::Q4_K => GgmlDType::Q4K,
        F::Q5_K => GgmlDType::Q5K,
        F::Q6_K => GgmlDType::Q6K,
        F::Q8_K => GgmlDType::Q8K,
        _ => return None,
    })
}

/// Stored blocks as candle holds them.
pub(crate) fn candle_blocks(
    kind: GgmlDType,
    stored: &[u8],
) -> Result<Box<dyn QuantizedType>, String> {
    /// candle reads its blocks in place and wants them at such a place.
    const ALIGNMENT: usize = 8;
    let mut room = Vec::new();
    let stored = if stored.as_ptr().align_offset(ALIGNMENT) == 0 {
        stored
    } else {
        room.resize(stored.len() + ALIGNMENT, 0);
        let from = room.as_ptr().align_offset(ALIGNMENT);
        let place = room
            .get_mut(from..from.saturating_add(stored.len()))
            .ok_or("no aligned place in memory")?;
        place.copy_from_slice(stored);
        &*place
    };
    Ok(kind.from_data(Cow::Borrowed(stored)))
}

#[cfg(test)]
pub(super) fn by_candle(kind: GgmlDType, stored: &[u8], out: &mut [f32]) -> Result<(), String> {
    let decoded = candle_blocks(kind, stored)?
        .dequantize(out.len())
        .map_err(|error| error.to_string())?;
    match decoded {
        CpuStorage::F32(values) if values.len() == out.len() => {
            out.copy_from_slice(&values);
            Ok(())
        }
        _ => Err(format!("{kind:?} was decoded into something else")),
    }
}

/// Eight bits: a sign, four of an exponent with bias 7, three of a fraction; no infinities, and all ones is no number
/// (<https://arxiv.org/abs/2209.05433>, table 1).
fn e4m3(byte: u8) -> f32 {
    let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(byte >> 3 & 0xf), f32::from(byte & 7));
    if byte & 0x7f == 0x7f {
        return f32::NAN;
    }
    let magnitude = if exponent == 0 {
        fraction / 8.0 * 2_f32.powi(-6)
    } else {
        (1.0 + fraction / 8.0) * 2_f32.powi(exponent - 7)
    };
    sign * magnitude
}

#[inline(always)]
pub(super) fn half(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32()
}

/// Twice the values of E2M1.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// An exponent for 32 elements of E2M1; the low halves of the bytes are the first 16
/// (<https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf>, section 5).
fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    // Half of two to the power of the exponent less 127, as the values are doubled.
    let bits = match block[0] {
        exponent @ ..2 => 0x0020_0000 << exponent,
        exponent => u32::from(exponent - 1) << 23,
    };
    let scale = f32::from_bits(bits);
    for (i, byte) in block[1..].iter().enumerate() {
        out[i] = scale * f32::from(E2M1[usize::from(byte & 0xf)]);
        out[i + 16] = scale * f32::from(E2M1[usize::from(byte >> 4)]);
    }
}

/// The 16 levels of IQ4.
const LEVELS: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half([block[0], block[1]]);
    for (i, byte) in block[2..].iter().enumerate() {
        out[i] = scale * f32::from(LEVELS[usize::from(byte & 0xf)]);
        out[i + 16] = scale * f32::from(LEVELS[usize::from(byte >> 4)]);
    }
}

fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let scale = half([block[0], block[1]]);
    let high = u16::from_le_bytes([block[2], block[3]]);
    let out = out.as_chunks_mut::<32>().0;
    for (group, out) in out.iter_mut().enumerate() {
        let low = block[4 + group / 2] >> (4 * (group % 2)) & 0xf;
        let own = i16::from(low) | ((high >> (2 * group) & 3) << 4).cast_signed();
        let scale = scale * f32::from(own - 32);
        for (i, byte) in block[8 + 16 * group..][..16].iter().enumerate() {
            out[i] = scale * f32::from(LEVELS[usize::from(byte & 0xf)]);
            out[i + 16] = scale * f32::from(LEVELS[usize::from(byte >> 4)]);
        }
    }
}

/// Five of the values -1, 0 and 1 in a byte, then four.
fn tq1_0(block: &[u8; 54], out: &mut [f32; 256]) {
    const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
    let scale = half([block[52], block[53]]);
    let parts = [(&block[..32], 5), (&block[32..48], 5), (&block[48..52], 4)];
    let mut at = 0;
    for (bytes, values) in parts {
        for power in &POWERS[..values] {
            for byte in bytes {
                let value = (u16::from(byte.wrapping_mul(*power)) * 3) >> 8;
                out[at] = scale * (f32::from(value) - 1.0);
                at += 1;
            }
        }
    }
}

fn tq2_0(block: &[u8; 66], out: &mut [f32; 256]) {
    let scale = half([block[64], block[65]]);
    let mut at = 0;
    for bytes in block[..64].as_chunks::<32>().0 {
        for shift in [0, 2, 4, 6] {
            for byte in bytes {
                out[at] = scale * (f32::from(byte >> shift & 3) - 1.0);
                at += 1;
            }
        }
    }
}
