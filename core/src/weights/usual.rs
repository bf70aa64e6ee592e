//! The usual blocks of ggml (`ggml-quants.c`, <https://github.com/ggml-org/ggml>), decoded in loops that the compiler can
//! use the machine's vectors for: they are decoded whenever weights are asked for. candle's decoders, which are tested to
//! give the same bits, make a copy each.

use pulp::{Arch, Simd, WithSimd};

use super::blocks::half;
use crate::number::StoredFormat;

/// Decodes block by block. As a loop in its place the decoder is compiled for the same machine; handed to a function it
/// would be compiled on its own, for the least one.
macro_rules! each {
    ($bytes:literal, $elements:literal, $stored:ident, $out:ident, $decode:ident) => {
        for (out, block) in $out
            .as_chunks_mut::<$elements>()
            .0
            .iter_mut()
            .zip($stored.as_chunks::<$bytes>().0)
        {
            $decode(block, out);
        }
    };
}

/// Decodes whole blocks; `false` where the format is another.
pub(super) fn decode(format: StoredFormat, stored: &[u8], out: &mut [f32]) -> bool {
    Arch::new().dispatch(Decode {
        format,
        stored,
        out,
    })
}

struct Decode<'a> {
    format: StoredFormat,
    stored: &'a [u8],
    out: &'a mut [f32],
}

impl WithSimd for Decode<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        use StoredFormat as F;
        let (stored, out) = (self.stored, self.out);
        match self.format {
            F::Q4_0 => each!(18, 32, stored, out, q4_0),
            F::Q4_1 => each!(20, 32, stored, out, q4_1),
            F::Q5_0 => each!(22, 32, stored, out, q5_0),
            F::Q5_1 => each!(24, 32, stored, out, q5_1),
            F::Q8_0 => each!(34, 32, stored, out, q8_0),
            F::Q2_K => each!(84, 256, stored, out, q2_k),
            F::Q3_K => each!(110, 256, stored, out, q3_k),
            F::Q4_K => each!(144, 256, stored, out, q4_k),
            F::Q5_K => each!(176, 256, stored, out, q5_k),
            F::Q6_K => each!(210, 256, stored, out, q6_k),
            F::Q8_K => each!(292, 256, stored, out, q8_k),
            _ => return false,
        }
        true
    }
}

/// Two numbers in half precision, one after the other.
#[inline(always)]
fn two_halves(bytes: &[u8]) -> (f32, f32) {
    (half([bytes[0], bytes[1]]), half([bytes[2], bytes[3]]))
}

/// Codes of four bits, the low halves of the bytes first.
#[inline(always)]
fn nibbles(bytes: &[u8; 16]) -> [u8; 32] {
    let mut codes = [0; 32];
    for i in 0..16 {
        codes[i] = bytes[i] & 0xf;
        codes[i + 16] = bytes[i] >> 4;
    }
    codes
}

/// The same with a fifth bit from a word.
#[inline(always)]
fn with_fifth(bytes: &[u8; 16], word: &[u8]) -> [u8; 32] {
    let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
    let mut codes = nibbles(bytes);
    for (i, code) in codes.iter_mut().enumerate() {
        *code |= ((word >> i & 1) << 4) as u8;
    }
    codes
}

#[inline(always)]
fn sixteen(bytes: &[u8]) -> &[u8; 16] {
    bytes.first_chunk().unwrap_or(&[0; 16])
}

#[inline(always)]
fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half([block[0], block[1]]);
    for (out, code) in out.iter_mut().zip(nibbles(sixteen(&block[2..]))) {
        *out = f32::from(i16::from(code) - 8) * scale;
    }
}

#[inline(always)]
fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (scale, least) = two_halves(block);
    for (out, code) in out.iter_mut().zip(nibbles(sixteen(&block[4..]))) {
        *out = f32::from(code) * scale + least;
    }
}

#[inline(always)]
fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let scale = half([block[0], block[1]]);
    let codes = with_fifth(sixteen(&block[6..]), &block[2..]);
    for (out, code) in out.iter_mut().zip(codes) {
        *out = f32::from(i16::from(code) - 16) * scale;
    }
}

#[inline(always)]
fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (scale, least) = two_halves(block);
    let codes = with_fifth(sixteen(&block[8..]), &block[4..]);
    for (out, code) in out.iter_mut().zip(codes) {
        *out = f32::from(code) * scale + least;
    }
}

#[inline(always)]
fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let scale = half([block[0], block[1]]);
    for (out, code) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(code.cast_signed()) * scale;
    }
}

/// Scales and minima of four bits each for 16 groups of 16, codes of two bits.
#[inline(always)]
fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (scale, least) = two_halves(&block[80..]);
    for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let own = block[group];
        let (scale, least) = (scale * f32::from(own & 0xf), least * f32::from(own >> 4));
        let shift = 2 * (group % 8 / 2);
        let codes = &block[16 + 32 * (group / 8) + 16 * (group % 2)..][..16];
        for (out, code) in out.iter_mut().zip(codes) {
            *out = scale * f32::from(code >> shift & 3) - least;
        }
    }
}

/// Scales of six bits for 16 groups of 16, codes of two bits and a third in a mask.
#[inline(always)]
fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let scale = half([block[108], block[109]]);
    let scales = &block[96..108];
    for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let low = scales[group % 8] >> (4 * (group / 8)) & 0xf;
        let high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
        let own = f32::from(i16::from(low | high << 4) - 32);
        let scale = scale * own;
        let (shift, bit) = (2 * (group % 8 / 2), group / 2);
        let at = 16 * (group % 2);
        let codes = &block[32 + 32 * (group / 8) + at..][..16];
        let mask = &block[at..][..16];
        for (out, (code, mask)) in out.iter_mut().zip(codes.iter().zip(mask)) {
            let third = i16::from(mask >> bit & 1 ^ 1) * 4;
            *out = scale * f32::from(i16::from(code >> shift & 3) - third);
        }
    }
}

/// The scale and minimum of a group, six bits each.
#[inline(always)]
fn of_group(scales: &[u8], group: usize) -> (f32, f32) {
    let (scale, least) = if group < 4 {
        (scales[group] & 63, scales[group + 4] & 63)
    } else {
        (
            scales[group + 4] & 0xf | scales[group - 4] >> 6 << 4,
            scales[group + 4] >> 4 | scales[group] >> 6 << 4,
        )
    };
    (f32::from(scale), f32::from(least))
}

#[inline(always)]
fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (scale, least) = two_halves(block);
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let own = of_group(&block[4..16], group);
        let (scale, least) = (scale * own.0, least * own.1);
        let shift = 4 * (group % 2);
        let codes = &block[16 + 32 * (group / 2)..][..32];
        for (out, code) in out.iter_mut().zip(codes) {
            *out = scale * f32::from(code >> shift & 0xf) - least;
        }
    }
}

#[inline(always)]
fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (scale, least) = two_halves(block);
    let fifths = &block[16..48];
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let own = of_group(&block[4..16], group);
        let (scale, least) = (scale * own.0, least * own.1);
        let shift = 4 * (group % 2);
        let codes = &block[48 + 32 * (group / 2)..][..32];
        for (out, (code, fifth)) in out.iter_mut().zip(codes.iter().zip(fifths)) {
            let code = code >> shift & 0xf | (fifth >> group & 1) << 4;
            *out = scale * f32::from(code) - least;
        }
    }
}

/// Signed scales of eight bits for 16 groups of 16, codes of four bits and two more.
#[inline(always)]
fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let scale = half([block[208], block[209]]);
    for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = scale * f32::from(block[192 + group].cast_signed());
        // A half of 128 codes has four quarters: the low and high parts of two times 32 bytes.
        let (part, quarter, at) = (group / 8, group % 8 / 2, 16 * (group % 2));
        let low = &block[64 * part + 32 * (quarter % 2) + at..][..16];
        let high = &block[128 + 32 * part + at..][..16];
        for (out, (low, high)) in out.iter_mut().zip(low.iter().zip(high)) {
            let low = low >> (4 * (quarter / 2)) & 0xf;
            let code = low | (high >> (2 * quarter) & 3) << 4;
            *out = scale * f32::from(i16::from(code) - 32);
        }
    }
}

#[inline(always)]
fn q8_k(block: &[u8; 292], out: &mut [f32; 256]) {
    let scale = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for (out, code) in out.iter_mut().zip(&block[4..]) {
        *out = scale * f32::from(code.cast_signed());
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::by_candle;
    use super::*;
    use candle_core::quantized::GgmlDType;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn every_kind_is_decoded_to_the_same_bits_as_by_candle() {
        use StoredFormat as F;
        let kinds = [
            (F::Q4_0, GgmlDType::Q4_0),
            (F::Q4_1, GgmlDType::Q4_1),
            (F::Q5_0, GgmlDType::Q5_0),
            (F::Q5_1, GgmlDType::Q5_1),
            (F::Q8_0, GgmlDType::Q8_0),
            (F::Q2_K, GgmlDType::Q2K),
            (F::Q3_K, GgmlDType::Q3K),
            (F::Q4_K, GgmlDType::Q4K),
            (F::Q5_K, GgmlDType::Q5K),
            (F::Q6_K, GgmlDType::Q6K),
            (F::Q8_K, GgmlDType::Q8K),
        ];
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (format, kind) in kinds {
            let stored: Vec<u8> = (0..50 * format.bytes_per_block())
                .map(|_| rng.random())
                .collect();
            let elements = 50 * format.elements_per_block();
            let (mut own, mut candle) = (vec![0.0; elements], vec![0.0; elements]);
            assert!(decode(format, &stored, &mut own));
            by_candle(kind, &stored, &mut candle).unwrap();
            for (own, candle) in own.iter().zip(&candle) {
                let same = own.to_bits() == candle.to_bits() || (own.is_nan() && candle.is_nan());
                // Zeros have either sign where scale and code differ in it.
                assert!(same || own == candle, "{}: {own} {candle}", format.name());
            }
        }
        assert!(!decode(F::F32, &[0; 4], &mut [0.0]));
    }
}
