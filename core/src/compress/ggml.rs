//! Rounding to blocks, code by code as llama.cpp rounds without an importance matrix (`quantize_row_q4_K_ref` and the like
//! in <https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-quants.c>), of the formats for which candle has
//! older ways to round: `Q6_K`, and those that hold the least weight of each group and steps from it, `Q2_K`, `Q4_K` and
//! `Q5_K`. The older ways are wrong by more, and make zeros of groups of equal weights.

use half::f16;

/// Weights of a block.
const BLOCK: usize = 256;
/// The most weights of a group.
const GROUP: usize = 32;
/// What is as good as zero beside a scale.
const NOTHING: f32 = 1e-15;

/// How the scale and the least weight of a group are searched.
struct Search {
    /// Weights of a group.
    group: usize,
    /// The largest code.
    largest: u8,
    /// First number added to the largest code to try other scales; tenths are added to it.
    first: f32,
    /// Tries beyond the first.
    tries: u8,
    /// Whether errors count by their size, and by the size of their weights; by their squares otherwise, and weights near
    /// zero count too.
    absolute: bool,
}

/// Rounds blocks to `Q2_K`.
pub(super) fn q2_k(numbers: &[f32], bytes: &mut [u8]) {
    const SEARCH: Search = Search {
        group: 16,
        largest: 3,
        first: -0.5,
        tries: 15,
        absolute: true,
    };
    each::<84>(numbers, bytes, |numbers, block| {
        let mut codes = [0; BLOCK];
        let (scales, least) = SEARCH.groups(numbers, &mut codes);
        let (d, scales) = shared(&scales[..16], 15.0);
        let (d_least, least) = shared(&least[..16], 15.0);
        for (place, (scale, least)) in block.iter_mut().zip(scales.iter().zip(&least)) {
            *place = scale | least << 4;
        }
        let group = |at: usize| {
            (
                d.to_f32() * f32::from(scales[at]),
                d_least.to_f32() * f32::from(least[at]),
            )
        };
        SEARCH.codes(numbers, group, &mut codes);
        for (half, codes) in codes.as_chunks::<128>().0.iter().enumerate() {
            for at in 0..32 {
                block[16 + 32 * half + at] =
                    codes[at] | codes[at + 32] << 2 | codes[at + 64] << 4 | codes[at + 96] << 6;
            }
        }
        block[80..82].copy_from_slice(&d.to_le_bytes());
        block[82..].copy_from_slice(&d_least.to_le_bytes());
    });
}

/// Rounds blocks to `Q4_K`.
pub(super) fn q4_k(numbers: &[f32], bytes: &mut [u8]) {
    const SEARCH: Search = Search {
        group: 32,
        largest: 15,
        first: -1.0,
        tries: 20,
        absolute: false,
    };
    each::<144>(numbers, bytes, |numbers, block| {
        let codes = SEARCH.six_bits(numbers, block);
        for (place, codes) in block[16..]
            .as_chunks_mut::<32>()
            .0
            .iter_mut()
            .zip(codes.as_chunks::<64>().0)
        {
            for at in 0..32 {
                place[at] = codes[at] | codes[at + 32] << 4;
            }
        }
    });
}

/// Rounds blocks to `Q5_K`.
pub(super) fn q5_k(numbers: &[f32], bytes: &mut [u8]) {
    const SEARCH: Search = Search {
        group: 32,
        largest: 31,
        first: -0.5,
        tries: 15,
        absolute: false,
    };
    each::<176>(numbers, bytes, |numbers, block| {
        let codes = SEARCH.six_bits(numbers, block);
        let (high, low) = block[16..].split_at_mut(32);
        high.fill(0);
        for (pair, codes) in codes.as_chunks::<64>().0.iter().enumerate() {
            for at in 0..32 {
                let (one, two) = (codes[at], codes[at + 32]);
                low[32 * pair + at] = one & 15 | (two & 15) << 4;
                high[at] |= (one >> 4 | (two >> 4) << 1) << (2 * pair);
            }
        }
    });
}

/// Rounds blocks to `Q6_K`.
pub(super) fn q6_k(numbers: &[f32], bytes: &mut [u8]) {
    each::<210>(numbers, bytes, |numbers, block| {
        block.fill(0);
        let mut codes = [0; BLOCK];
        let mut scales = [0.0_f32; 16];
        let groups = || numbers.as_chunks::<16>().0.iter();
        let of_group = groups().zip(codes.as_chunks_mut::<16>().0);
        for (scale, (numbers, codes)) in scales.iter_mut().zip(of_group) {
            *scale = symmetric(numbers, codes);
        }
        let most = scales.iter().fold(0.0_f32, |most, scale| {
            if scale.abs() > most.abs() {
                *scale
            } else {
                most
            }
        });
        if most.abs() < NOTHING {
            return;
        }
        let inverse = -128.0 / most;
        let d = f16::from_f32(1.0 / inverse);
        block[208..].copy_from_slice(&d.to_le_bytes());
        let of_group = groups().zip(codes.as_chunks_mut::<16>().0);
        for ((place, scale), (numbers, codes)) in
            block[192..208].iter_mut().zip(scales).zip(of_group)
        {
            let whole = nearest(inverse * scale).clamp(-128, 127) as i8;
            *place = whole.cast_unsigned();
            let scale = d.to_f32() * f32::from(whole);
            if scale == 0.0 {
                continue;
            }
            for (code, number) in codes.iter_mut().zip(numbers) {
                *code = signed(*number / scale) as u8;
            }
        }
        for (half, codes) in codes.as_chunks::<128>().0.iter().enumerate() {
            for at in 0..32 {
                let four = [0, 32, 64, 96].map(|more| codes[at + more]);
                block[64 * half + at] = four[0] & 15 | (four[2] & 15) << 4;
                block[64 * half + at + 32] = four[1] & 15 | (four[3] & 15) << 4;
                block[128 + 32 * half + at] =
                    four[0] >> 4 | (four[1] >> 4) << 2 | (four[2] >> 4) << 4 | (four[3] >> 4) << 6;
            }
        }
    });
}

/// A number in steps as a code of six bits, of which 32 is zero.
fn signed(steps: f32) -> i32 {
    nearest(steps).clamp(-32, 31) + 32
}

/// The scale of a group and its codes: of some scales the one whose squared errors, weighted by the squares of the numbers,
/// are least.
fn symmetric(numbers: &[f32; 16], codes: &mut [u8; 16]) -> f32 {
    let most = numbers.iter().fold(0.0_f32, |most, number| {
        if number.abs() > most.abs() {
            *number
        } else {
            most
        }
    });
    if most.abs() < NOTHING {
        return 0.0;
    }
    let mut best = (0.0, 0.0);
    for (first, step) in std::iter::once((true, 0)).chain((-9..=9).map(|step| (false, step))) {
        if !first && step == 0 {
            continue;
        }
        let inverse = match first {
            true => -32.0 / most,
            false => -(32.0 + 0.1 * step as f32) / most,
        };
        let (mut of_both, mut of_squares) = (0.0_f32, 0.0_f32);
        for &number in numbers {
            let code = (signed(inverse * number) - 32) as f32;
            let share = number * number;
            of_both += share * number * code;
            of_squares += share * code * code;
        }
        let is_better = of_squares > 0.0 && of_both * of_both > best.1 * of_squares;
        if !first && !is_better {
            continue;
        }
        for (code, number) in codes.iter_mut().zip(numbers) {
            *code = signed(inverse * number) as u8;
        }
        let scale = if of_squares == 0.0 {
            0.0
        } else {
            of_both / of_squares
        };
        best = (scale, scale * of_both);
    }
    best.0
}

fn each<const BYTES: usize>(
    numbers: &[f32],
    bytes: &mut [u8],
    round: impl Fn(&[f32; BLOCK], &mut [u8; BYTES]),
) {
    let blocks = numbers.as_chunks::<BLOCK>().0;
    for (numbers, block) in blocks.iter().zip(bytes.as_chunks_mut::<BYTES>().0) {
        round(numbers, block);
    }
}

/// A scale in half precision and whole numbers up to `largest` that it makes into these.
fn shared(values: &[f32], largest: f32) -> (f16, [u8; 16]) {
    let most = values.iter().fold(0.0_f32, |most, value| most.max(*value));
    let mut whole = [0; 16];
    if most <= 0.0 {
        return (f16::ZERO, whole);
    }
    let inverse = largest / most;
    for (whole, value) in whole.iter_mut().zip(values) {
        *whole = nearest(inverse * value).clamp(0, largest as i32) as u8;
    }
    (f16::from_f32(most / largest), whole)
}

/// To the nearest whole number, halves to the even one.
fn nearest(value: f32) -> i32 {
    value.round_ties_even() as i32
}

impl Search {
    /// Scale, least weight (its opposite) and first codes of each group.
    fn groups(&self, numbers: &[f32; BLOCK], codes: &mut [u8; BLOCK]) -> ([f32; 16], [f32; 16]) {
        let (mut scales, mut least) = ([0.0; 16], [0.0; 16]);
        let groups = numbers.chunks(self.group).zip(codes.chunks_mut(self.group));
        for (at, (numbers, codes)) in groups.enumerate() {
            (scales[at], least[at]) = self.group(numbers, codes);
        }
        (scales, least)
    }

    /// Head and codes of a block whose scales have six bits.
    fn six_bits(&self, numbers: &[f32; BLOCK], block: &mut [u8]) -> [u8; BLOCK] {
        let mut codes = [0; BLOCK];
        let (scales, least) = self.groups(numbers, &mut codes);
        let (d, scales) = shared(&scales[..8], 63.0);
        let (d_least, least) = shared(&least[..8], 63.0);
        block[..2].copy_from_slice(&d.to_le_bytes());
        block[2..4].copy_from_slice(&d_least.to_le_bytes());
        for at in 0..4 {
            let (scale, minimum) = (scales[at + 4], least[at + 4]);
            block[4 + at] = scales[at] | (scale >> 4) << 6;
            block[8 + at] = least[at] | (minimum >> 4) << 6;
            block[12 + at] = scale & 15 | (minimum & 15) << 4;
        }
        let group = |at: usize| {
            (
                d.to_f32() * f32::from(scales[at]),
                d_least.to_f32() * f32::from(least[at]),
            )
        };
        self.codes(numbers, group, &mut codes);
        codes
    }

    /// The codes again, for scales and least weights as they are stored; those of a scale of zero stay.
    fn codes(&self, numbers: &[f32], group: impl Fn(usize) -> (f32, f32), codes: &mut [u8]) {
        let groups = numbers.chunks(self.group).zip(codes.chunks_mut(self.group));
        for (at, (numbers, codes)) in groups.enumerate() {
            let (scale, least) = group(at);
            if scale == 0.0 {
                continue;
            }
            for (code, number) in codes.iter_mut().zip(numbers) {
                *code = self.code((number + least) / scale);
            }
        }
    }

    fn code(&self, steps: f32) -> u8 {
        nearest(steps).clamp(0, i32::from(self.largest)) as u8
    }

    /// How much each weight of a group counts.
    fn shares(&self, numbers: &[f32]) -> [f32; GROUP] {
        let mut shares = [0.0; GROUP];
        let spread = match self.absolute {
            true => 0.0,
            false => {
                let squares = numbers
                    .iter()
                    .fold(0.0, |sum, number| sum + number * number);
                (squares / numbers.len() as f32).sqrt()
            }
        };
        for (share, number) in shares.iter_mut().zip(numbers) {
            *share = spread + number.abs();
        }
        shares
    }

    /// Scale and least weight (its opposite) of a group, and its codes: of some scales the one that is least wrong, each with
    /// the least weight that fits it best.
    fn group(&self, numbers: &[f32], codes: &mut [u8]) -> (f32, f32) {
        let shares = self.shares(numbers);
        let pairs = || numbers.iter().zip(&shares);
        let mut sum = (0.0, 0.0);
        let (mut low, mut high) = (numbers[0], numbers[0]);
        for (&number, share) in pairs() {
            low = low.min(number);
            high = high.max(number);
            sum.0 += share;
            sum.1 += share * number;
        }
        low = low.min(0.0);
        codes.fill(0);
        if high == low {
            return (0.0, -low);
        }
        let largest = f32::from(self.largest);
        let wrong = |scale: f32, low: f32, codes: &[u8]| {
            let mut wrong = 0.0;
            for ((&number, share), &code) in pairs().zip(codes) {
                let apart = scale * f32::from(code) + low - number;
                wrong += share
                    * if self.absolute {
                        apart.abs()
                    } else {
                        apart * apart
                    };
            }
            wrong
        };
        let fill = |inverse: f32, low: f32, codes: &mut [u8]| {
            for (code, number) in codes.iter_mut().zip(numbers) {
                *code = self.code(inverse * (number - low));
            }
        };
        let inverse = largest / (high - low);
        fill(inverse, low, codes);
        let mut best = (1.0 / inverse, low);
        let mut least_wrong = wrong(best.0, best.1, codes);
        let mut tried = [0; GROUP];
        let tried = &mut tried[..numbers.len()];
        for step in 0..=self.tries {
            // From the best least weight so far.
            let low = best.1;
            let more = self.first + 0.1 * f32::from(step) + largest;
            fill(more / (high - low), low, tried);
            let (mut of_codes, mut of_squares, mut of_both) = (0.0, 0.0, 0.0);
            for ((&number, share), &code) in pairs().zip(&*tried) {
                let code = f32::from(code);
                of_codes += share * code;
                of_squares += share * code * code;
                of_both += share * code * number;
            }
            let d = sum.0 * of_squares - of_codes * of_codes;
            if d <= 0.0 {
                continue;
            }
            let mut scale = (sum.0 * of_both - sum.1 * of_codes) / d;
            let mut least = (of_squares * sum.1 - of_codes * of_both) / d;
            if least > 0.0 {
                least = 0.0;
                scale = of_both / of_squares;
            }
            let now = wrong(scale, least, tried);
            if now < least_wrong {
                codes.copy_from_slice(tried);
                least_wrong = now;
                best = (scale, least);
            }
        }
        (best.0, -best.1)
    }
}
