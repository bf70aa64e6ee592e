//! Writing the packed file that [`super::layout`] describes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use half::{bf16, f16};
use sha2::{Digest, Sha256};

use super::layout::{self, Contents, Kept, NO_CHECKSUM, Storage, Zeros};
use super::plan::Planner;
use super::{Compressed, with_numbers};
use crate::error::{Error, Result};
use crate::files;
use crate::model::{StoredFormat, hex};
use crate::recipe::Recipe;

/// Writes compressed tensors to a file. `scales` are those of all groups of each compressible layer. Returns the bytes of
/// the file.
pub(super) fn write(
    planner: &Planner,
    recipe: &Recipe,
    compressed: &Compressed,
    scales: &BTreeMap<usize, &[f16]>,
    path: &Path,
) -> Result<u64> {
    files::replace(path, |file| {
        write_to(planner, recipe, compressed, scales, file)
    })
}

fn write_to(
    planner: &Planner,
    recipe: &Recipe,
    compressed: &Compressed,
    scales: &BTreeMap<usize, &[f16]>,
    file: &mut BufWriter<File>,
) -> io::Result<u64> {
    let kept: Vec<Kept> = compressed
        .profile
        .layers
        .iter()
        .map(|l| Kept {
            nonzero: l.nonzero,
            scales: l.scales,
        })
        .collect();
    let entries = planner.entries(recipe, &kept);
    let header = layout::header(&planner.metadata(recipe), &entries);
    let mut out = Hashing {
        file,
        hash: Sha256::new(),
        bytes: 0,
    };
    out.put(&(header.len() as u64).to_le_bytes())?;
    out.put(header.as_bytes())?;
    for (file, entry) in planner.tensors().iter().zip(&entries) {
        let Some(tensor) = compressed.tensors.get(&file.name) else {
            return Err(compute(format!("tensor {} is missing", file.name)));
        };
        if entry.storage == Storage::Coded {
            let Some(coded) = compressed.blocks.get(&file.name) else {
                return Err(compute(format!("tensor {} has no blocks", file.name)));
            };
            out.put(&coded.bytes)?;
            continue;
        }
        let bytes = with_numbers(&tensor.contiguous().map_err(compute)?, |weights| {
            let contents = file
                .compressible
                .map(|layer| (planner.contents(recipe, layer, kept[layer]), layer));
            match (entry.storage, contents) {
                (Storage::Packed(zeros), Some((contents, layer))) => {
                    let scales = scales.get(&layer).copied().unwrap_or_default();
                    Packer { contents, zeros }.pack(entry.shape, weights, scales)
                }
                (Storage::Half(format), _) => weights
                    .iter()
                    .flat_map(|&w| half_code(w, format).to_le_bytes())
                    .collect(),
                _ => weights.iter().flat_map(|w| w.to_le_bytes()).collect(),
            }
        })
        .map_err(io::Error::other)?;
        if bytes.len() as u64 != entry.bytes {
            return Err(compute(format!(
                "tensor {} packs into {} bytes, planned were {}",
                file.name,
                bytes.len(),
                entry.bytes
            )));
        }
        out.put(&bytes)?;
    }
    let digest = hex(&out.hash.finalize());
    // The placeholder is found from behind: an architecture's text comes before it.
    if let Some(at) = header.rfind(NO_CHECKSUM) {
        let at = (size_of::<u64>() + at) as u64;
        out.file.seek(SeekFrom::Start(at))?;
        out.file.write_all(digest.as_bytes())?;
    }
    out.file.flush()?;
    Ok(out.bytes)
}

/// A failed computation, through a writer that knows errors of writing only.
fn compute(fact: impl std::fmt::Display) -> io::Error {
    io::Error::other(Error::Compute(fact.to_string()))
}

struct Hashing<'a> {
    file: &'a mut BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Hashing<'_> {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

/// Packs the weights of one tensor.
struct Packer {
    contents: Contents,
    zeros: Zeros,
}

impl Packer {
    fn pack(&self, shape: &[usize], weights: &[f32], scales: &[f16]) -> Vec<u8> {
        let Contents {
            matrix,
            bits,
            format,
            group,
            ..
        } = self.contents;
        let tag = u8::from(format == StoredFormat::Brain);
        let mut out = vec![self.zeros.tag(), bits, shape.len() as u8, tag];
        for &n in [&group].into_iter().chain(shape) {
            out.extend((n as u32).to_le_bytes());
        }
        let groups = matrix.groups_per_row(group);
        let code = |i: usize| {
            let weight = weights[i];
            match bits {
                32 => weight.to_bits(),
                16 => u32::from(half_code(weight, format)),
                _ => {
                    let scale = scales[i / matrix.fan_in * groups + i % matrix.fan_in / group];
                    integer_code(weight, scale.to_f32(), bits)
                }
            }
        };
        let mut codes = BitWriter::default();
        match self.zeros {
            Zeros::Coded => {
                for i in 0..weights.len() {
                    codes.put(code(i), bits);
                }
            }
            Zeros::Bitmap => {
                let mut map = BitWriter::default();
                for (i, &weight) in weights.iter().enumerate() {
                    map.put(u32::from(weight != 0.0), 1);
                    if weight != 0.0 {
                        codes.put(code(i), bits);
                    }
                }
                out.append(&mut map.finish());
            }
            Zeros::TwoOfFour => {
                let mut index = BitWriter::default();
                for row in 0..matrix.rows {
                    for four in (0..matrix.fan_in).step_by(4) {
                        let width = (matrix.fan_in - four).min(4);
                        let start = row * matrix.fan_in + four;
                        for slot in kept(&weights[start..start + width]) {
                            index.put(slot as u32, 2);
                            codes.put(if slot < width { code(start + slot) } else { 0 }, bits);
                        }
                    }
                }
                out.append(&mut index.finish());
            }
        }
        out.append(&mut codes.finish());
        if bits <= 8 {
            let rows = weights.chunks(matrix.fan_in.max(1));
            let filled = rows
                .flat_map(|row| row.chunks(group))
                .zip(scales)
                .filter(|(group, _)| group.iter().any(|&weight| weight != 0.0));
            out.extend(filled.flat_map(|(_, scale)| scale.to_le_bytes()));
        }
        out
    }
}

/// The positions of the (at most two) nonzero weights of a four, filled up with others.
fn kept(four: &[f32]) -> [usize; 2] {
    let mut slots = (0..4).filter(|&i| four.get(i).is_some_and(|&w| w != 0.0));
    match (slots.next(), slots.next()) {
        (Some(a), Some(b)) => [a, b],
        (Some(0), None) | (None, _) => [0, 1],
        (Some(a), None) => [0, a],
    }
}

/// A weight in a format of 16 bits.
fn half_code(weight: f32, format: StoredFormat) -> u16 {
    match format {
        StoredFormat::Half => f16::from_f32(weight).to_bits(),
        StoredFormat::Brain => bf16::from_f32(weight).to_bits(),
    }
}

/// The code of a rounded weight as `bits` bits: two's complement, or the sign at 1 bit.
fn integer_code(weight: f32, scale: f32, bits: u8) -> u32 {
    if bits == 1 {
        return u32::from(weight < 0.0);
    }
    if weight == 0.0 {
        return 0;
    }
    // Exact: a code of 7 bits times a scale of 11 significant bits is an f32 without rounding.
    let code = (weight / scale).round() as i8;
    u32::from(code.cast_unsigned()) & ((1 << bits) - 1)
}

/// Appends numbers of a few bits, the first in the lowest bits.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    filled: u32,
}

impl BitWriter {
    fn put(&mut self, value: u32, bits: u8) {
        self.pending |= u64::from(value) << self.filled;
        self.filled += u32::from(bits);
        while self.filled >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.filled -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use rand::seq::index::sample;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::layout::{Matrix, Version};
    use super::super::unpack::packed;
    use super::*;

    /// A weight that a format holds exactly and that is not zero.
    fn weight(rng: &mut ChaCha8Rng, bits: u8, scale: f32) -> f32 {
        let sign = if rng.random() { 1.0 } else { -1.0 };
        sign * match bits {
            1 => scale,
            32 => rng.random_range(0.1..1.0),
            16 => f16::from_f32(rng.random_range(0.1..1.0)).to_f32(),
            _ => scale * rng.random_range(1..1_i32 << (bits - 1)) as f32,
        }
    }

    #[test]
    fn every_encoding_of_every_shape_has_its_size_and_gives_the_weights_back() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (rows, fan_in) in (1..4).flat_map(|rows| (1..14).map(move |fan_in| (rows, fan_in))) {
            for bits in Recipe::WEIGHT_BITS {
                for (zeros, group) in [
                    (Zeros::Coded, 5),
                    (Zeros::Bitmap, 5),
                    (Zeros::TwoOfFour, 5),
                    (Zeros::TwoOfFour, 64),
                ] {
                    let most = if zeros == Zeros::TwoOfFour { 2 } else { 4 };
                    // A sign stands for no zero.
                    let fewest = match zeros {
                        Zeros::Coded | Zeros::TwoOfFour if bits == 1 => most,
                        _ => 0,
                    };
                    let matrix = Matrix::of(&[rows, fan_in]);
                    let per_row = fan_in.div_ceil(group);
                    let scales: Vec<f16> = (0..rows * per_row)
                        .map(|_| f16::from_f32(rng.random_range(0.01..1.0)))
                        .collect();
                    let mut weights = vec![0.0; rows * fan_in];
                    for (row, weights) in weights.chunks_mut(fan_in).enumerate() {
                        for (four, weights) in weights.chunks_mut(4).enumerate() {
                            let kept = rng.random_range(fewest..=most).min(weights.len());
                            for at in sample(&mut rng, weights.len(), kept) {
                                let scale = scales[row * per_row + (4 * four + at) / group];
                                weights[at] = weight(&mut rng, bits, scale.to_f32());
                            }
                        }
                    }
                    let nonzero = weights.iter().filter(|w| **w != 0.0).count();
                    let filled = weights
                        .chunks(fan_in)
                        .flat_map(|row| row.chunks(group))
                        .filter(|group| group.iter().any(|w| *w != 0.0))
                        .count();
                    let scaled = if bits <= 8 { filled } else { 0 };
                    let contents = Contents {
                        matrix,
                        kept: Kept {
                            nonzero: nonzero as u64,
                            scales: scaled as u64,
                        },
                        bits,
                        format: StoredFormat::Half,
                        group,
                        pattern: None,
                    };
                    let packer = Packer { contents, zeros };
                    let bytes = packer.pack(&[rows, fan_in], &weights, &scales);
                    let what = format!("{rows} × {fan_in} at {bits} bits, {zeros:?}");
                    let slots = 2 * rows * fan_in.div_ceil(4);
                    let (index, codes) = match zeros {
                        Zeros::Coded => (0, rows * fan_in),
                        Zeros::Bitmap => ((rows * fan_in).div_ceil(8), nonzero),
                        Zeros::TwoOfFour => ((2 * slots).div_ceil(8), slots),
                    };
                    let expected =
                        16 + 2 * scaled + index + (codes * usize::from(bits)).div_ceil(8);
                    assert_eq!(bytes.len(), expected, "{what}");
                    let read = |bytes| packed(bytes, Version::ScalesOfNonzero);
                    let (back, shape) = read(&bytes).unwrap();
                    assert_eq!((back, shape), (weights, vec![rows, fan_in]), "{what}");
                    // Whatever is cut off is missed.
                    assert_eq!(read(&bytes[..bytes.len() - 1]), None, "{what}");
                }
            }
        }
    }
}
