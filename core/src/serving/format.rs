//! The serving software by its year, and the formats of weights that it offers.

use serde::{Deserialize, Serialize};

/// Bits of an MXFP4 weight without its scale.
pub(super) const FOUR: u8 = 4;

/// The serving software, by the year of its release: the same chip and model tripled their throughput from one to the
/// next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Era {
    /// Kernels started one by one from Python (Hugging Face transformers, 2023).
    Eager,
    /// vLLM 0.5 and its contemporaries.
    Y2024,
    /// vLLM 0.11 and its contemporaries.
    #[default]
    Y2025,
    /// vLLM 0.15 and its contemporaries.
    Y2026,
}

impl Era {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::Eager, Self::Y2024, Self::Y2025, Self::Y2026];

    /// The year of its release.
    pub const fn year(self) -> &'static str {
        match self {
            Self::Eager => "2023",
            Self::Y2024 => "2024",
            Self::Y2025 => "2025",
            Self::Y2026 => "2026",
        }
    }

    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eager => "Python loop (2023)",
            Self::Y2024 => "Serving stack of 2024",
            Self::Y2025 => "Serving stack of 2025",
            Self::Y2026 => "Serving stack of 2026",
        }
    }
}

/// The serving software by its maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Engine {
    /// vLLM.
    #[default]
    Vllm,
    /// `SGLang`.
    Sglang,
    /// `TensorRT`-LLM.
    TensorRt,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Vllm, Self::Sglang, Self::TensorRt];

    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vLLM",
            Self::Sglang => "SGLang",
            Self::TensorRt => "TensorRT-LLM",
        }
    }
}

/// Formats of weights that serving software offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightFormat {
    /// 16 bit.
    #[default]
    Half,
    /// 8-bit floating point, activations too, scaled by block.
    Fp8,
    /// Integers (or NF4) of so many bits, below 8, everywhere; arithmetic in 16 bit.
    Packed(u8),
    /// 8-bit integers everywhere.
    Int8,
}

impl WeightFormat {
    /// The format that the name of a precision in a table, in lower case, stands for; of MXFP4, that of all but the
    /// experts.
    pub(super) fn named(precision: &str) -> Self {
        let has = |key: &&str| precision.contains(*key);
        if has(&"mxfp4") {
            Self::Half
        } else if has(&"fp8") {
            Self::Fp8
        } else if ["nf4", "int4", "awq", "gptq", "4-bit", "4bit", "fp4"]
            .iter()
            .any(has)
        {
            Self::Packed(FOUR)
        } else if has(&"int8") || has(&"w8") {
            Self::Int8
        } else {
            Self::Half
        }
    }
}
