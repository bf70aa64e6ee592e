//! Reading a packed file back. Every byte is covered by the checksum, and every length is checked before it is used.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::layout::{
    CHECKSUM_KEY, InBlocks, Matrix, NO_CHECKSUM, PREFIX, VERSION_KEY, Version, Zeros,
};
use super::plan::BLOCKS_KEY;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Architecture, StoredFormat, Tensors, check_recipe, check_values, hex};
use crate::recipe::{BlockFormat, Recipe};
use crate::weights;

/// What a packed file holds.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// Name of the model.
    pub model: String,
    /// The architecture, as it was given to the [`super::Planner`].
    pub architecture: String,
    /// The recipe that led to these weights.
    pub recipe: Recipe,
    /// All tensors in single precision, the same as [`super::Compressed::tensors`].
    pub tensors: Tensors,
}

/// Reads a file that [`super::Compressor::export`] wrote.
///
/// # Errors
/// [`Error::File`] if it cannot be read, is not a packed file of a version that is known, or differs in a single bit from what was
/// written.
pub fn unpack(path: &Path) -> Result<Unpacked> {
    // A model has no limit; the checksum is one of all its bytes.
    let mut bytes = Vec::new();
    files::open_regular(path)?
        .read_to_end(&mut bytes)
        .map_err(|error| files::unreadable(&error, path))?;
    unpack_bytes(&bytes).map_err(|fact| Error::file(fact, path))
}

/// Reads the bytes of a packed file; the error is the fact without the path.
pub(crate) fn unpack_bytes(bytes: &[u8]) -> std::result::Result<Unpacked, String> {
    let damaged = |error: safetensors::SafeTensorError| format!("the file is damaged ({error})");
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let strings = metadata
        .metadata()
        .as_ref()
        .ok_or("this is not a packed model of WattIf")?;
    let string = |key: &str| {
        strings
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| format!("this is not a packed model of WattIf: it has no {key}"))
    };
    let version = Version::stated(strings.get(VERSION_KEY))?;
    check(bytes, size_of::<u64>() + header, string(CHECKSUM_KEY)?)?;
    let recipe = serde_json::from_str(string("wattif.recipe")?)
        .map_err(|error| format!("its recipe cannot be read ({error})"))?;
    check_recipe(&recipe)?;
    let in_blocks = in_blocks(strings.get(BLOCKS_KEY))?;
    let mut tensors = Tensors::new();
    for (name, view) in SafeTensors::deserialize(bytes).map_err(damaged)?.iter() {
        let (numbers, shape) = match view.dtype() {
            Dtype::F32 => (singles(view.data()), view.shape().to_vec()),
            Dtype::F16 => (halves(view.data()), view.shape().to_vec()),
            Dtype::BF16 => (brains(view.data()), view.shape().to_vec()),
            Dtype::U8 if let Some(stored) = in_blocks.get(name) => {
                let numbers = blocks(view.data(), stored)
                    .ok_or_else(|| format!("tensor {name} is not in the blocks that it says"))?;
                (numbers, stored.shape.clone())
            }
            Dtype::U8 => packed(view.data(), version)
                .ok_or_else(|| format!("tensor {name} is not packed correctly"))?,
            other => return Err(format!("tensor {name} has the unexpected type {other}")),
        };
        let tensor = Tensor::from_vec(numbers, shape, &Device::Cpu)
            .map_err(|error| format!("tensor {name} cannot be built ({error})"))?;
        tensors.insert(name.to_owned(), tensor);
    }
    check_values(&tensors)?;
    Ok(Unpacked {
        model: string("wattif.model")?.to_owned(),
        architecture: string(Architecture::METADATA_KEY)?.to_owned(),
        recipe,
        tensors,
    })
}

/// Which tensors are in blocks, by name.
fn in_blocks(text: Option<&String>) -> std::result::Result<BTreeMap<String, InBlocks>, String> {
    text.map_or_else(
        || Ok(BTreeMap::new()),
        |text| {
            serde_json::from_str(text)
                .map_err(|error| format!("its list of blocks cannot be read ({error})"))
        },
    )
}

/// The weights of a tensor in blocks; `None` if its lengths do not fit together or its format is none that is written.
fn blocks(bytes: &[u8], stored: &InBlocks) -> Option<Vec<f32>> {
    let format: BlockFormat = stored
        .format
        .parse()
        .ok()
        .filter(|f: &BlockFormat| !f.is_mix())?;
    let (elements, block) = (
        format.base().elements_per_block(),
        format.base().bytes_per_block(),
    );
    let all = stored
        .shape
        .iter()
        .try_fold(1_usize, |n, &d| n.checked_mul(d))?;
    let row = Matrix::of(&stored.shape).fan_in;
    if !row.is_multiple_of(elements) || (all / elements).checked_mul(block)? != bytes.len() {
        return None;
    }
    let mut numbers = vec![0.0; all];
    weights::decode(format.base(), bytes, &mut numbers).ok()?;
    Some(numbers)
}

/// Compares the checksum of the file, taken with zeros in its own place, with what the file states.
fn check(bytes: &[u8], data: usize, stated: &str) -> std::result::Result<(), String> {
    let header = bytes.get(..data).unwrap_or_default();
    let at = header
        .windows(NO_CHECKSUM.len())
        .rposition(|window| window == stated.as_bytes())
        .ok_or("the checksum is damaged")?;
    let mut hash = Sha256::new();
    hash.update(&bytes[..at]);
    hash.update(NO_CHECKSUM);
    hash.update(&bytes[at + NO_CHECKSUM.len()..]);
    if hex(&hash.finalize()) == stated {
        Ok(())
    } else {
        Err("the file is damaged: its checksum does not match".to_owned())
    }
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

fn halves(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers
        .iter()
        .map(|&bytes| f16::from_le_bytes(bytes).to_f32())
        .collect()
}

fn brains(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers
        .iter()
        .map(|&bytes| bf16::from_le_bytes(bytes).to_f32())
        .collect()
}

/// The weights and shape of a packed tensor; `None` if its lengths do not fit together.
pub(super) fn packed(bytes: &[u8], version: Version) -> Option<(Vec<f32>, Vec<usize>)> {
    let (prefix, mut rest) = bytes.split_at_checked(PREFIX as usize)?;
    let zeros = Zeros::from_tag(prefix[0])?;
    let bits = prefix[1];
    if !Recipe::WEIGHT_BITS.contains(&bits) {
        return None;
    }
    let format = match prefix[3] {
        0 => StoredFormat::Half,
        1 if bits == 16 => StoredFormat::Brain,
        _ => return None,
    };
    let group = u32::from_le_bytes(prefix[4..8].try_into().ok()?) as usize;
    let (dimensions, _) = take(&mut rest, 4 * usize::from(prefix[2]))?.as_chunks();
    let shape: Vec<usize> = dimensions
        .iter()
        .map(|&n| u32::from_le_bytes(n) as usize)
        .collect();
    // A bitmap needs a bit for each weight, anything else more: so the file itself bounds the memory asked for.
    let n = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    if group == 0 || n.div_ceil(8) > bytes.len() {
        return None;
    }
    let matrix = Matrix::of(&shape);
    let has_scales = bits <= 8;
    let mut scales: &[u8] = &[];
    if has_scales && version == Version::AllScales {
        let groups = matrix.rows.checked_mul(matrix.groups_per_row(group))?;
        scales = take(&mut rest, groups.checked_mul(2)?)?;
    }
    let decoder = Decoder {
        matrix,
        bits,
        format,
    };
    let mut weights = decoder.codes(zeros, &mut rest)?;
    if has_scales && version != Version::AllScales {
        scales = std::mem::take(&mut rest);
    }
    if has_scales {
        scale(&mut weights, matrix.fan_in, group, scales, version)?;
    }
    rest.is_empty().then_some((weights, shape))
}

/// Turns codes into weights; `None` if the scales are too few or too many.
fn scale(
    codes: &mut [f32],
    fan_in: usize,
    group: usize,
    scales: &[u8],
    version: Version,
) -> Option<()> {
    let (halves, odd) = scales.as_chunks();
    let mut halves = halves.iter();
    for row in codes.chunks_mut(fan_in.max(1)) {
        for group in row.chunks_mut(group) {
            if version != Version::AllScales && group.iter().all(|&code| code == 0.0) {
                continue;
            }
            let scale = f16::from_le_bytes(*halves.next()?).to_f32();
            for code in group {
                // A product with zero must not become -0.
                *code = *code * scale + 0.0;
            }
        }
    }
    (odd.is_empty() && halves.next().is_none()).then_some(())
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(n)?;
    *rest = left;
    Some(taken)
}

struct Decoder {
    matrix: Matrix,
    bits: u8,
    /// The format of weights of 16 bits.
    format: StoredFormat,
}

impl Decoder {
    /// The codes of all weights, from the beginning of `rest`, which then holds what follows; at 16 and 32 bits these are
    /// the weights themselves.
    fn codes(&self, zeros: Zeros, rest: &mut &[u8]) -> Option<Vec<f32>> {
        let n = self.matrix.len();
        let mut codes = vec![0.0; n];
        match zeros {
            Zeros::Coded => self.fill(&mut codes, 0..n, rest)?,
            Zeros::Bitmap => {
                let map = take(rest, n.div_ceil(8))?;
                let nonzero = (0..n).filter(|i| map[i / 8] >> (i % 8) & 1 == 1);
                self.fill(&mut codes, nonzero, rest)?;
            }
            Zeros::TwoOfFour => {
                let fours = self.matrix.fours_per_row();
                let slots = 2 * self.matrix.rows * fours;
                let index = take(rest, slots.div_ceil(4))?;
                let positions = (0..slots).map(|slot| {
                    let (row, four) = (slot / 2 / fours, slot / 2 % fours);
                    let column = 4 * four + usize::from(index[slot / 4] >> (2 * (slot % 4)) & 3);
                    // A slot in the padding of the row belongs to no weight.
                    if column < self.matrix.fan_in {
                        row * self.matrix.fan_in + column
                    } else {
                        n
                    }
                });
                self.fill(&mut codes, positions, rest)?;
            }
        }
        Some(codes)
    }

    /// Puts the codes that `rest` begins with one after the other where `positions` say.
    fn fill(
        &self,
        codes: &mut [f32],
        positions: impl Iterator<Item = usize>,
        rest: &mut &[u8],
    ) -> Option<()> {
        let bits = usize::from(self.bits);
        let mut used = 0;
        for position in positions {
            let code = read_bits(rest, used, bits)?;
            used += bits;
            if let Some(number) = codes.get_mut(position) {
                *number = self.number(code);
            }
        }
        take(rest, used.div_ceil(8))?;
        Some(())
    }

    /// What a code stands for, scales apart.
    fn number(&self, code: u32) -> f32 {
        match self.bits {
            32 => f32::from_bits(code),
            16 => match self.format {
                StoredFormat::Half => f16::from_bits(code as u16).to_f32(),
                StoredFormat::Brain => bf16::from_bits(code as u16).to_f32(),
            },
            1 if code == 1 => -1.0,
            1 => 1.0,
            bits => {
                // The sign is the highest of the code's bits.
                let unused = 32 - u32::from(bits);
                ((code << unused).cast_signed() >> unused) as f32
            }
        }
    }
}

/// The `bits` bits from bit number `start`, the first lowest.
fn read_bits(bytes: &[u8], start: usize, bits: usize) -> Option<u32> {
    let first = start / 8;
    let last = (start + bits).div_ceil(8);
    let window = bytes.get(first..last)?;
    let value = window
        .iter()
        .rev()
        .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    Some((value >> (start % 8)) as u32 & ((1u64 << bits) - 1) as u32)
}
