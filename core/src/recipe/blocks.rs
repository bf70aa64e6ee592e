//! [`BlockFormat`]: the block formats of llama.cpp as a way to round weights.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::number::StoredFormat;

/// A format of ggml in which weights are stored in blocks, or a mix of them.
///
/// The first ten round every matrix alike, as `llama-quantize --pure` does. The others give some matrices more bits, by the
/// rules of `llama-quantize`; they bear its names, but for `Q2_K_M`, which it calls `Q2_K` as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    non_camel_case_types,
    reason = "the names of the formats"
)]
pub enum BlockFormat {
    Q2_K,
    Q3_K,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q6_K,
    Q8_0,
    /// Mostly [`Self::Q2_K`], and 3 bits or more for values, outputs of attention and the last matrix of a block.
    Q2_K_M,
    /// Mostly [`Self::Q3_K`], the head in 6 bits.
    Q3_K_S,
    Q3_K_M,
    Q3_K_L,
    Q4_K_S,
    /// Mostly [`Self::Q4_K`], and 6 bits for half of the values and last matrices of blocks, and for the head.
    Q4_K_M,
    Q5_K_S,
    Q5_K_M,
}

impl BlockFormat {
    /// All of them: those that are the same everywhere, narrowest first, then the mixes.
    pub const ALL: [Self; 18] = [
        Self::Q2_K,
        Self::Q3_K,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q4_K,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q5_K,
        Self::Q6_K,
        Self::Q8_0,
        Self::Q2_K_M,
        Self::Q3_K_S,
        Self::Q3_K_M,
        Self::Q3_K_L,
        Self::Q4_K_S,
        Self::Q4_K_M,
        Self::Q5_K_S,
        Self::Q5_K_M,
    ];

    /// The blocks that it consists of, of a mix those of most weights.
    pub const fn base(self) -> StoredFormat {
        match self {
            Self::Q2_K | Self::Q2_K_M => StoredFormat::Q2_K,
            Self::Q3_K | Self::Q3_K_S | Self::Q3_K_M | Self::Q3_K_L => StoredFormat::Q3_K,
            Self::Q4_0 => StoredFormat::Q4_0,
            Self::Q4_1 => StoredFormat::Q4_1,
            Self::Q4_K | Self::Q4_K_S | Self::Q4_K_M => StoredFormat::Q4_K,
            Self::Q5_0 => StoredFormat::Q5_0,
            Self::Q5_1 => StoredFormat::Q5_1,
            Self::Q5_K | Self::Q5_K_S | Self::Q5_K_M => StoredFormat::Q5_K,
            Self::Q6_K => StoredFormat::Q6_K,
            Self::Q8_0 => StoredFormat::Q8_0,
        }
    }

    /// Bits of most codes, scales apart.
    pub const fn bits(self) -> u8 {
        match self.base().bits_of_codes() {
            Some(bits) => bits,
            None => 32,
        }
    }

    /// Whether some matrices are in other blocks than most.
    pub const fn is_mix(self) -> bool {
        matches!(
            self,
            Self::Q2_K_M
                | Self::Q3_K_S
                | Self::Q3_K_M
                | Self::Q3_K_L
                | Self::Q4_K_S
                | Self::Q4_K_M
                | Self::Q5_K_S
                | Self::Q5_K_M
        )
    }

    /// The number that stands for it in the metadata of a GGUF (`general.file_type`,
    /// <https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h>).
    pub const fn file_type(self) -> u32 {
        match self {
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 7,
            Self::Q5_0 => 8,
            Self::Q5_1 => 9,
            Self::Q2_K | Self::Q2_K_M => 10,
            Self::Q3_K | Self::Q3_K_S => 11,
            Self::Q3_K_M => 12,
            Self::Q3_K_L => 13,
            Self::Q4_K | Self::Q4_K_S => 14,
            Self::Q4_K_M => 15,
            Self::Q5_K | Self::Q5_K_S => 16,
            Self::Q5_K_M => 17,
            Self::Q6_K => 18,
        }
    }

    /// The narrowest format that has at least so many bits; none from 16 on.
    pub fn nearest(bits: u8) -> Option<Self> {
        let pure = || Self::ALL.into_iter().filter(|format| !format.is_mix());
        let k = pure().find(|format| format.bits() >= bits && format.name().ends_with("_K"));
        k.or_else(|| pure().find(|format| format.bits() >= bits))
    }

    /// Its name: `Q4_K`.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

impl fmt::Display for BlockFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for BlockFormat {
    type Err = Error;

    /// By name, in capitals or not.
    fn from_str(text: &str) -> Result<Self> {
        let named = |format: &Self| format.name().eq_ignore_ascii_case(text.trim());
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            let names: Vec<String> = Self::ALL.into_iter().map(Self::name).collect();
            Error::Recipe(format!(
                "'{}' is no block format that can be written; there are {}",
                text.trim(),
                names.join(", ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_lead_to_blocks() {
        for format in BlockFormat::ALL {
            assert_eq!(format.name().to_lowercase().parse(), Ok(format));
            assert!((2..=8).contains(&format.bits()), "{format}");
            if !format.is_mix() {
                assert_eq!(format.name(), format.base().name());
            }
        }
        let error = "q9_k".parse::<BlockFormat>().unwrap_err().to_string();
        assert!(
            error.contains("'q9_k'") && error.contains("Q4_K_M"),
            "{error}"
        );
    }

    #[test]
    fn the_nearest_format_is_not_narrower() {
        for (bits, expected) in [
            (1, Some(BlockFormat::Q2_K)),
            (2, Some(BlockFormat::Q2_K)),
            (4, Some(BlockFormat::Q4_K)),
            (6, Some(BlockFormat::Q6_K)),
            (7, Some(BlockFormat::Q8_0)),
            (16, None),
        ] {
            assert_eq!(BlockFormat::nearest(bits), expected, "{bits}");
        }
    }
}
