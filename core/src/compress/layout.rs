//! Where each byte of a compressed model's file goes. The planner, the compressor and the packer all ask here, so that
//! the size that is shown is the size of the file that is written.
//!
//! The file is a safetensors file. A tensor that is not compressed is stored as it is (`F32`, or `F16` or `BF16` at 16
//! bits); a compressed one is a `U8` tensor of the same name that holds
//!
//! | bytes | content |
//! |---|---|
//! | 1 | how zeros are encoded: 0 not at all, 1 bitmap, 2 two of four |
//! | 1 | bits per code |
//! | 1 | number of dimensions |
//! | 1 | format of codes of 16 bits: 0 IEEE half precision, 1 the upper half of single precision (BF16) |
//! | 4 | weights per scale |
//! | 4 per dimension | shape |
//! | ⌈n/8⌉, or ⌈slots/4⌉ | bitmap: one bit per weight, set where it is not zero; or two-of-four: 2 bits per kept slot |
//! | ⌈codes·bits/8⌉ | codes, the first in the lowest bits |
//! | 2 per group that holds a weight that is not zero | scales, IEEE half precision |
//!
//! all numbers little-endian, and no scales at 16 and 32 bits, where a "code" is the number itself. Which groups have a
//! scale is known once the codes before it are read. Of the encodings that can hold a layer the smallest is taken.
//!
//! With a recipe that asks for the block formats of llama.cpp, a compressed tensor is a `U8` tensor of the same name that
//! holds nothing but its blocks, row by row, as a GGUF has them. The metadata `wattif.blocks` say of each its format and
//! shape: `{"blk.0.attn_q.weight": {"format": "Q4_K", "shape": [576, 576]}}`. Where no block fits its rows, it is an
//! ordinary `F16` tensor.
//!
//! Files of version 2, which are still read, have no blocks; those of version 1 have the scales behind the shape, those of all groups.

use std::fmt::Write as _;
use std::iter::Sum;

use serde::{Deserialize, Serialize};

use crate::model::StoredFormat;
use crate::recipe::{Group, Pattern};

/// Versions of the packed file that this program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// With a scale for every group, before everything else.
    AllScales,
    /// As described above, but that no tensor is in blocks.
    ScalesOfNonzero,
    /// As described above.
    Blocks,
}

impl Version {
    /// What is written.
    pub(super) const WRITTEN: &str = "3";

    /// The version that the metadata of a packed file states; the error is the fact without the path.
    pub(crate) fn stated(version: Option<&String>) -> Result<Self, String> {
        match version.map(String::as_str) {
            Some("1") => Ok(Self::AllScales),
            Some("2") => Ok(Self::ScalesOfNonzero),
            Some(Self::WRITTEN) => Ok(Self::Blocks),
            Some(other) => Err(format!(
                "packed format {other} is not known; this program reads formats 1 to {}",
                Self::WRITTEN
            )),
            None => Err(format!(
                "this is not a packed model of WattIf: it has no {VERSION_KEY}"
            )),
        }
    }
}

/// Key of the version in the metadata.
pub(crate) const VERSION_KEY: &str = "wattif.version";
/// Key of the checksum in the metadata, which tells a packed file from others.
pub(crate) const CHECKSUM_KEY: &str = "wattif.sha256";
/// Where the 64 hexadecimal digits of the checksum go; the checksum is taken with this in their place.
pub(super) const NO_CHECKSUM: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";
/// Bytes of a packed tensor before its shape.
pub(super) const PREFIX: u64 = 8;
/// Bytes of one scale.
const SCALE_BYTES: u64 = 2;
/// Bytes that a safetensors header is padded to, so that what follows is aligned.
const ALIGNMENT: usize = 8;

/// How zeros are encoded in a packed tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zeros {
    /// Every weight has a code.
    Coded,
    /// A bit for each weight, codes for the nonzero ones.
    Bitmap,
    /// For every four weights of a row, padded with zeros to a multiple of four, two positions and two codes.
    TwoOfFour,
}

impl Zeros {
    /// The byte that stands for it.
    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::Coded => 0,
            Self::Bitmap => 1,
            Self::TwoOfFour => 2,
        }
    }

    /// What a byte stands for.
    pub(super) const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Self::Coded),
            1 => Some(Self::Bitmap),
            2 => Some(Self::TwoOfFour),
            _ => None,
        }
    }
}

/// How one tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// As an ordinary `F32` tensor.
    Single,
    /// As an ordinary `F16` or `BF16` tensor.
    Half(StoredFormat),
    /// Packed.
    Packed(Zeros),
    /// As the original's file holds it; this program writes no such file.
    Blocks,
    /// In blocks of llama.cpp.
    Coded,
}

/// What the metadata say of a tensor in blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InBlocks {
    /// Name of the format.
    pub(super) format: String,
    /// Shape of the tensor.
    pub(super) shape: Vec<usize>,
}

/// A weight matrix: the output dimension against all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Matrix {
    /// Output channels.
    pub(super) rows: usize,
    /// Weights of one output channel.
    pub(super) fan_in: usize,
    /// Dimensions of the tensor.
    pub(super) dimensions: usize,
}

impl Matrix {
    pub(super) fn of(shape: &[usize]) -> Self {
        Self {
            rows: shape.first().copied().unwrap_or(0),
            fan_in: shape.iter().skip(1).product(),
            dimensions: shape.len(),
        }
    }

    pub(super) const fn len(self) -> usize {
        self.rows * self.fan_in
    }

    /// Consecutive weights of a row that share a scale; a row that the group does not divide ends in a shorter one.
    pub(super) fn group(self, group: Group) -> usize {
        match group {
            Group::Channel => self.fan_in,
            Group::Size(size) => self.fan_in.min(size as usize),
        }
        .max(1)
    }

    /// Groups of one row.
    pub(super) const fn groups_per_row(self, group: usize) -> usize {
        self.fan_in.div_ceil(group)
    }

    /// Groups of all rows.
    pub(super) const fn groups(self, group: usize) -> usize {
        self.rows * self.groups_per_row(group)
    }

    /// Fours of one row, the last one padded.
    pub(super) const fn fours_per_row(self) -> usize {
        self.fan_in.div_ceil(4)
    }
}

/// What a recipe leaves of a layer's weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Weights that are not zero.
    pub(super) nonzero: u64,
    /// Groups that hold one, which have a scale; none at 16 and 32 bits.
    pub(super) scales: u64,
}

impl Sum for Kept {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            nonzero: a.nonzero + b.nonzero,
            scales: a.scales + b.scales,
        })
    }
}

/// What decides how the weights of a layer are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents {
    pub(super) matrix: Matrix,
    pub(super) kept: Kept,
    pub(super) bits: u8,
    /// The format of weights of 16 bits.
    pub(super) format: StoredFormat,
    /// Weights per scale, as [`Matrix::group`] gives it.
    pub(super) group: usize,
    pub(super) pattern: Option<Pattern>,
}

impl Contents {
    /// The smallest encoding that can hold the weights, and its bytes.
    pub(super) fn smallest(&self) -> (Storage, u64) {
        let n = self.matrix.len() as u64;
        let plain = match self.bits {
            32 => Some((Storage::Single, n * 4)),
            16 => Some((Storage::Half(self.format), n * 2)),
            _ => None,
        };
        // Of equally small ones the first: 2:4 before the others, because it is the layout that hardware reads.
        let packed = [Zeros::TwoOfFour, Zeros::Coded]
            .into_iter()
            .filter(|&zeros| self.can_be(zeros))
            .chain([Zeros::Bitmap])
            .map(|zeros| (Storage::Packed(zeros), self.packed(zeros)));
        let bitmap = (Storage::Packed(Zeros::Bitmap), self.packed(Zeros::Bitmap));
        plain
            .into_iter()
            .chain(packed)
            .min_by_key(|&(_, bytes)| bytes)
            .unwrap_or(bitmap)
    }

    /// Whether an encoding can express the weights. A 1-bit code is a sign and cannot say zero.
    fn can_be(&self, zeros: Zeros) -> bool {
        let has_zero_code = self.bits > 1;
        match zeros {
            Zeros::Coded => has_zero_code || self.kept.nonzero == self.matrix.len() as u64,
            Zeros::Bitmap => true,
            Zeros::TwoOfFour => {
                self.pattern == Some(Pattern::TwoOfFour)
                    && (has_zero_code || self.kept.nonzero == self.slots())
            }
        }
    }

    fn slots(&self) -> u64 {
        2 * (self.matrix.rows * self.matrix.fours_per_row()) as u64
    }

    fn packed(&self, zeros: Zeros) -> u64 {
        let bits = u64::from(self.bits);
        let n = self.matrix.len() as u64;
        let (index, codes) = match zeros {
            Zeros::Coded => (0, n),
            Zeros::Bitmap => (n.div_ceil(8), self.kept.nonzero),
            Zeros::TwoOfFour => (self.slots().div_ceil(4), self.slots()),
        };
        let scales = SCALE_BYTES * self.kept.scales;
        PREFIX + 4 * self.matrix.dimensions as u64 + index + (codes * bits).div_ceil(8) + scales
    }
}

/// One tensor of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) shape: &'a [usize],
    pub(super) storage: Storage,
    pub(super) bytes: u64,
}

/// The header of a safetensors file, padded, without the eight bytes that give its length. `metadata` is the inside of
/// the `__metadata__` object.
pub(super) fn header(metadata: &str, entries: &[Entry<'_>]) -> String {
    let mut text = String::with_capacity(metadata.len() + 96 * entries.len() + 64);
    text.push_str("{\"__metadata__\":{");
    text.push_str(metadata);
    text.push('}');
    let mut offset = 0;
    for entry in entries {
        let end = offset + entry.bytes;
        text.push(',');
        push_string(&mut text, entry.name);
        let dtype = match entry.storage {
            Storage::Single => "F32",
            Storage::Half(StoredFormat::Half) => "F16",
            Storage::Half(StoredFormat::Brain) => "BF16",
            Storage::Packed(_) | Storage::Blocks | Storage::Coded => "U8",
        };
        // Writing to a String cannot fail.
        let _ = match entry.storage {
            Storage::Packed(_) | Storage::Blocks | Storage::Coded => {
                write!(text, ":{{\"dtype\":\"{dtype}\",\"shape\":[{}]", entry.bytes)
            }
            _ => write!(
                text,
                ":{{\"dtype\":\"{dtype}\",\"shape\":{:?}",
                Compact(entry.shape)
            ),
        };
        let _ = write!(text, ",\"data_offsets\":[{offset},{end}]}}");
        offset = end;
    }
    text.push('}');
    while !text.len().is_multiple_of(ALIGNMENT) {
        text.push(' ');
    }
    text
}

struct Compact<'a>(&'a [usize]);

impl std::fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for (i, n) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{n}")?;
        }
        f.write_str("]")
    }
}

/// Appends a JSON string.
pub(super) fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 80 weights in 10 rows, of which none is empty.
    fn contents(nonzero: u64, bits: u8, pattern: Option<Pattern>) -> Contents {
        let matrix = Matrix::of(&[10, 4, 2]);
        Contents {
            matrix,
            kept: Kept {
                nonzero,
                scales: if bits <= 8 { 10 } else { 0 },
            },
            bits,
            format: StoredFormat::Half,
            group: matrix.group(Group::Channel),
            pattern,
        }
    }

    #[test]
    fn the_smallest_encoding_is_taken() {
        // 80 weights in 10 rows; a packed tensor starts with 8 + 3·4 bytes and 10·2 bytes of scales.
        let cases = [
            (80, 32, None, Storage::Single, 320),
            (80, 16, None, Storage::Half(StoredFormat::Half), 160),
            (80, 4, None, Storage::Packed(Zeros::Coded), 40 + 40),
            (60, 4, None, Storage::Packed(Zeros::Coded), 40 + 40),
            (59, 4, None, Storage::Packed(Zeros::Coded), 40 + 40),
            (58, 4, None, Storage::Packed(Zeros::Bitmap), 40 + 10 + 29),
            (79, 1, None, Storage::Packed(Zeros::Bitmap), 40 + 10 + 10),
            (80, 1, None, Storage::Packed(Zeros::Coded), 40 + 10),
            (10, 16, None, Storage::Packed(Zeros::Bitmap), 20 + 10 + 20),
            (
                40,
                4,
                Some(Pattern::TwoOfFour),
                Storage::Packed(Zeros::TwoOfFour),
                40 + 10 + 20,
            ),
            (
                39,
                4,
                Some(Pattern::TwoOfFour),
                Storage::Packed(Zeros::TwoOfFour),
                40 + 10 + 20,
            ),
            (
                40,
                1,
                Some(Pattern::TwoOfFour),
                Storage::Packed(Zeros::TwoOfFour),
                40 + 10 + 5,
            ),
            (
                39,
                1,
                Some(Pattern::TwoOfFour),
                Storage::Packed(Zeros::Bitmap),
                40 + 10 + 5,
            ),
            (
                30,
                4,
                Some(Pattern::TwoOfFour),
                Storage::Packed(Zeros::Bitmap),
                40 + 10 + 15,
            ),
        ];
        for (nonzero, bits, pattern, storage, bytes) in cases {
            assert_eq!(
                contents(nonzero, bits, pattern).smallest(),
                (storage, bytes),
                "{nonzero} nonzero at {bits} bits"
            );
        }
    }

    #[test]
    fn scales_are_those_of_groups_that_hold_a_weight() {
        // The same with the weights of three rows only.
        let mut few = contents(20, 4, None);
        few.kept.scales = 3;
        let bitmap = (Storage::Packed(Zeros::Bitmap), 20 + 10 + 10 + 2 * 3);
        assert_eq!(few.smallest(), bitmap);
        // Without scales nothing is left but prefix, shape and bitmap.
        let mut none = contents(0, 4, None);
        none.kept.scales = 0;
        assert_eq!(none.smallest(), (Storage::Packed(Zeros::Bitmap), 20 + 10));
        // A code for each weight: rows of zeros have codes, but no scales.
        let mut most = contents(72, 4, None);
        most.kept.scales = 9;
        let coded = (Storage::Packed(Zeros::Coded), 20 + 40 + 2 * 9);
        assert_eq!(most.smallest(), coded);
    }

    #[test]
    fn a_header_is_valid_json_whatever_the_name() {
        let name = "odd \"name\"\\\u{1}é";
        let entry = Entry {
            name,
            shape: &[2, 3],
            storage: Storage::Single,
            bytes: 24,
        };
        let text = header("\"a\":\"b\"", &[entry]);
        assert_eq!(text.len() % 8, 0);
        // Only what JSON wants escaped is.
        let written = r#""odd \"name\"\\\u0001é":{"#;
        assert!(text.contains(written), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[name]["shape"], serde_json::json!([2, 3]));
        assert_eq!(value[name]["data_offsets"], serde_json::json!([0, 24]));
    }
}
