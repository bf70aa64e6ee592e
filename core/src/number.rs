//! How numbers are stored: formats of elements, with the size of their blocks.

/// How the elements of a tensor are stored. Those of one number per element, then the blocks of ggml
/// (<https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    non_camel_case_types,
    reason = "the names of the formats"
)]
pub enum StoredFormat {
    F64,
    F32,
    F16,
    BF16,
    F8_E4M3,
    F8_E5M2,
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    /// A format of safetensors beyond these, of so many bits per element.
    Other {
        name: &'static str,
        bits: u32,
    },
    /// Codes of so many bits with scales, as a program of this name packs them.
    Packed {
        scheme: &'static str,
        bits: u8,
    },
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
    IQ1_S,
    IQ1_M,
    IQ2_XXS,
    IQ2_XS,
    IQ2_S,
    IQ3_XXS,
    IQ3_S,
    IQ4_NL,
    IQ4_XS,
    TQ1_0,
    TQ2_0,
    MXFP4,
    NVFP4,
    Q1_0,
}

/// The formats of a GGUF: number, format, elements and bytes of a block.
const GGML: [(u32, StoredFormat, usize, usize); 36] = {
    use StoredFormat as F;
    [
        (0, F::F32, 1, 4),
        (1, F::F16, 1, 2),
        (2, F::Q4_0, 32, 18),
        (3, F::Q4_1, 32, 20),
        (6, F::Q5_0, 32, 22),
        (7, F::Q5_1, 32, 24),
        (8, F::Q8_0, 32, 34),
        (9, F::Q8_1, 32, 36),
        (10, F::Q2_K, 256, 84),
        (11, F::Q3_K, 256, 110),
        (12, F::Q4_K, 256, 144),
        (13, F::Q5_K, 256, 176),
        (14, F::Q6_K, 256, 210),
        (15, F::Q8_K, 256, 292),
        (16, F::IQ2_XXS, 256, 66),
        (17, F::IQ2_XS, 256, 74),
        (18, F::IQ3_XXS, 256, 98),
        (19, F::IQ1_S, 256, 50),
        (20, F::IQ4_NL, 32, 18),
        (21, F::IQ3_S, 256, 110),
        (22, F::IQ2_S, 256, 82),
        (23, F::IQ4_XS, 256, 136),
        (24, F::I8, 1, 1),
        (25, F::I16, 1, 2),
        (26, F::I32, 1, 4),
        (27, F::I64, 1, 8),
        (28, F::F64, 1, 8),
        (29, F::IQ1_M, 256, 56),
        (30, F::BF16, 1, 2),
        (34, F::TQ1_0, 256, 54),
        (35, F::TQ2_0, 256, 66),
        (39, F::MXFP4, 32, 17),
        (40, F::NVFP4, 64, 36),
        (41, F::Q1_0, 128, 18),
        // Not of a GGUF, but stored likewise.
        (u32::MAX, F::U8, 1, 1),
        (u32::MAX, F::U16, 1, 2),
    ]
};

impl StoredFormat {
    /// Bits of the code of an element, scales apart, where elements are integers in blocks; fractions are rounded up.
    pub const fn bits_of_codes(self) -> Option<u8> {
        Some(match self {
            Self::Q1_0 => 1,
            Self::TQ1_0 | Self::TQ2_0 | Self::IQ1_S | Self::IQ1_M | Self::Q2_K => 2,
            Self::IQ2_XXS | Self::IQ2_XS | Self::IQ2_S => 2,
            Self::IQ3_XXS | Self::IQ3_S | Self::Q3_K => 3,
            Self::Q4_0 | Self::Q4_1 | Self::Q4_K | Self::IQ4_NL | Self::IQ4_XS => 4,
            Self::MXFP4 | Self::NVFP4 => 4,
            Self::Q5_0 | Self::Q5_1 | Self::Q5_K => 5,
            Self::Q6_K => 6,
            Self::Q8_0 | Self::Q8_1 | Self::Q8_K => 8,
            Self::Packed { bits, .. } => bits,
            _ => return None,
        })
    }

    /// The format of this number in a GGUF; some numbers were given up (4, 5, 31 to 33, 36 to 38).
    pub(super) fn of_ggml(number: u32) -> Option<Self> {
        GGML.iter()
            .find(|(known, ..)| *known == number && number != u32::MAX)
            .map(|(_, format, ..)| *format)
    }

    /// Its number in a GGUF, where it has one.
    pub(super) fn in_ggml(self) -> Option<u32> {
        let listed = GGML.iter().find(|(_, format, ..)| *format == self)?;
        (listed.0 != u32::MAX).then_some(listed.0)
    }

    fn block(self) -> (usize, usize) {
        let listed = GGML.iter().find(|(_, format, ..)| *format == self);
        match (listed, self) {
            (Some((_, _, elements, bytes)), _) => (*elements, *bytes),
            (None, Self::Other { bits: 4, .. }) => (2, 1),
            (None, Self::Other { bits: 6, .. }) => (4, 3),
            (None, Self::Other { bits, .. }) => (1, (bits as usize).div_ceil(8)),
            (None, Self::U32) => (1, 4),
            (None, Self::U64) => (1, 8),
            (None, _) => (1, 1),
        }
    }

    /// Elements that are stored together.
    pub fn elements_per_block(self) -> usize {
        self.block().0
    }

    /// Bytes of elements that are stored together.
    pub fn bytes_per_block(self) -> usize {
        self.block().1
    }

    /// Bits that an element takes, with its share of the scales.
    pub fn bits_per_element(self) -> f64 {
        let (elements, bytes) = self.block();
        8.0 * bytes as f64 / elements as f64
    }

    /// The name of the format, as files of it have.
    pub fn name(self) -> String {
        match self {
            Self::Other { name, .. } => name.to_owned(),
            Self::Packed { scheme, bits } => format!("{scheme} ({bits} bits)"),
            named => format!("{named:?}"),
        }
    }

    /// Whether its elements can be decoded.
    pub fn can_be_decoded(self) -> bool {
        self.undecodable().is_none()
    }

    /// Why its elements cannot be decoded, said of a tensor.
    pub(super) fn undecodable(self) -> Option<String> {
        let name = self.name();
        match self {
            Self::Bool
            | Self::I8
            | Self::U8
            | Self::I16
            | Self::U16
            | Self::I32
            | Self::U32
            | Self::I64
            | Self::U64 => Some(format!(
                "is of whole numbers ({name}); weights that another program packed into them cannot be decoded"
            )),
            Self::Other { .. }
            | Self::Q8_1
            | Self::IQ1_S
            | Self::IQ1_M
            | Self::IQ2_XXS
            | Self::IQ2_XS
            | Self::IQ2_S
            | Self::IQ3_XXS
            | Self::IQ3_S
            | Self::NVFP4
            | Self::Q1_0 => Some(format!(
                "is of type {name}, which can be listed but not decoded"
            )),
            _ => None,
        }
    }
}
