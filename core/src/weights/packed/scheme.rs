//! How weights are packed, as `quantization_config` says.

use serde_json::{Map, Value};

use super::{Fact, Matrix, Parts, Reading, Rows, awq, bitsandbytes, compressed, fp8, gptq};
use crate::error::Result;

/// A scheme that packed weights are decoded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Floating-point numbers of 8 bits with a scale for each block.
    Fp8 { block: fp8::Block },
    /// Columns of integers with a scale and a zero for each group of rows; `group` 0: one group.
    Gptq {
        bits: u32,
        group: usize,
        /// Whether a zero is stored as one less.
        less: bool,
    },
    /// Integers of 4 bits with a scale and a zero for each group, in an order of their own.
    Awq { group: usize },
    /// Integers with an offset, packed in rows.
    Integers { bits: u32 },
    /// A number of 8 bits for each weight, with a scale for each row, for each block or for all.
    Scaled { float: bool, block: fp8::Block },
    /// Codes of 4 bits of a table.
    Nf4,
    /// Integers of 8 bits with the largest weight of each row.
    Int8,
}

/// Reads values of the list.
struct Said<'a>(&'a Map<String, Value>);

impl<'a> Said<'a> {
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn refuse(key: &str, value: &Value) -> String {
        format!("its weights are packed with {key} = {value}, which is not run here yet")
    }

    /// Whether a value is one of these, where it is said.
    fn only(&self, key: &str, known: &[Value]) -> Fact<()> {
        match self.value(key) {
            Some(value) if !known.contains(value) => Err(Self::refuse(key, value)),
            _ => Ok(()),
        }
    }

    fn bits(&self, key: &str, known: &[u32]) -> Fact<u32> {
        let value = self.value(key).unwrap_or(&Value::Null);
        let bits = value.as_u64().and_then(|bits| u32::try_from(bits).ok());
        bits.filter(|bits| known.contains(bits))
            .ok_or_else(|| Self::refuse(key, value))
    }

    /// Weights of a group; 0 for all.
    fn group(&self) -> Fact<usize> {
        let (key, value) = ("group_size", self.value("group_size"));
        let value = value.unwrap_or(&Value::Null);
        if value.as_i64() == Some(-1) {
            return Ok(0);
        }
        let group = value.as_u64().and_then(|group| usize::try_from(group).ok());
        group
            .filter(|group| *group > 0)
            .ok_or_else(|| Self::refuse(key, value))
    }
}

/// Rows and columns of a block.
pub(super) fn block(value: &Value) -> Option<fp8::Block> {
    let size = |value: &Value| {
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.filter(|size| *size > 0)
    };
    match value.as_array()?.as_slice() {
        [rows, columns] => Some([size(rows)?, size(columns)?]),
        _ => None,
    }
}

impl Scheme {
    /// The scheme of a `quantization_config`.
    ///
    /// # Errors
    /// A scheme or an option that is not run, by its name.
    pub(crate) fn of(config: &Value) -> Fact<Self> {
        let other =
            || "its weights are packed by another program, which is not run here yet".to_owned();
        let fields = config.as_object().ok_or_else(other)?;
        let said = Said(fields);
        let method = said.value("quant_method").and_then(Value::as_str);
        match method.ok_or_else(other)? {
            "fp8" => {
                said.only("activation_scheme", &["dynamic".into()])?;
                said.only("fmt", &["e4m3".into()])?;
                let key = "weight_block_size";
                let size = said.value(key).unwrap_or(&Value::Null);
                let block = block(size).ok_or_else(|| Said::refuse(key, size))?;
                Ok(Self::Fp8 { block })
            }
            "gptq" => {
                let format = "checkpoint_format";
                said.only(format, &["gptq".into(), "gptq_v2".into()])?;
                said.only("is_marlin_format", &[false.into()])?;
                said.only("dynamic", &[Value::Object(Map::new())])?;
                said.only("pack_dtype", &["int32".into()])?;
                Ok(Self::Gptq {
                    bits: said.bits("bits", &[2, 4, 8])?,
                    group: said.group()?,
                    less: said.value(format) != Some(&"gptq_v2".into()),
                })
            }
            "awq" => {
                let version = said.value("version").and_then(Value::as_str);
                if version.is_some_and(|version| !version.eq_ignore_ascii_case("gemm")) {
                    said.only("version", &[])?;
                }
                said.only("zero_point", &[true.into()])?;
                // `bits` and `group_size` were called so at first.
                let bits = match said.value("bits").is_some() {
                    true => "bits",
                    false => "w_bit",
                };
                said.bits(bits, &[4])?;
                let group = match said
                    .value("group_size")
                    .or_else(|| said.value("q_group_size"))
                {
                    Some(group) => {
                        Said(&Map::from_iter([("group_size".to_owned(), group.clone())])).group()?
                    }
                    None => 128,
                };
                Ok(Self::Awq { group })
            }
            "compressed-tensors" => compressed::scheme(fields),
            "bitsandbytes" => {
                let flag = |key| said.value(key) == Some(&true.into());
                let method = (flag("load_in_4bit"), flag("load_in_8bit"));
                match method {
                    (true, false) => {
                        said.only("bnb_4bit_quant_type", &["nf4".into()])?;
                        said.only("bnb_4bit_quant_storage", &["uint8".into()])?;
                        Ok(Self::Nf4)
                    }
                    (false, true) => Ok(Self::Int8),
                    _ => Err(other()),
                }
            }
            method => Err(format!(
                "its weights are packed by {method}, which is not run here yet"
            )),
        }
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fp8 { .. } => "FP8",
            Self::Gptq { .. } => "GPTQ",
            Self::Awq { .. } => "AWQ",
            Self::Integers { .. } => "compressed-tensors",
            Self::Scaled { float: true, .. } => "compressed-tensors FP8",
            Self::Scaled { float: false, .. } => "compressed-tensors INT8",
            Self::Nf4 => "NF4",
            Self::Int8 => "LLM.int8",
        }
    }

    /// Bits of a code.
    pub(super) fn bits(self) -> u8 {
        match self {
            Self::Gptq { bits, .. } | Self::Integers { bits } => bits as u8,
            Self::Awq { .. } | Self::Nf4 => 4,
            Self::Fp8 { .. } | Self::Scaled { .. } | Self::Int8 => 8,
        }
    }

    pub(super) fn parts(self) -> Parts {
        match self {
            Self::Fp8 { .. } => fp8::PARTS,
            Self::Gptq { .. } => gptq::PARTS,
            Self::Awq { .. } => awq::PARTS,
            Self::Integers { .. } => compressed::INTEGERS,
            Self::Scaled { .. } => compressed::SCALED,
            Self::Nf4 => bitsandbytes::NF4,
            Self::Int8 => bitsandbytes::INT8,
        }
    }

    /// Rows and columns of a matrix, whose parts were found to fit.
    pub(super) fn shape(self, reading: &Reading<'_>) -> Fact<[usize; 2]> {
        match self {
            Self::Fp8 { block } => fp8::shape(reading, block),
            Self::Gptq { bits, group, .. } => gptq::shape(reading, bits, group),
            Self::Awq { group } => awq::shape(reading, group),
            Self::Integers { bits } => compressed::shape_of_integers(reading, bits),
            Self::Scaled { float, block } => compressed::shape_of_scaled(reading, float, block),
            Self::Nf4 => bitsandbytes::shape_of_nf4(reading),
            Self::Int8 => bitsandbytes::shape_of_int8(reading),
        }
    }

    pub(super) fn read(self, reading: &Reading<'_>, matrix: &Matrix) -> Result<Box<dyn Rows>> {
        match self {
            Self::Fp8 { block } => fp8::read(reading, matrix, block),
            Self::Gptq { bits, group, less } => gptq::read(reading, matrix, bits, group, less),
            Self::Awq { group } => awq::read(reading, matrix, group),
            Self::Integers { bits } => compressed::read_integers(reading, matrix, bits),
            Self::Scaled { float, block } => compressed::read_scaled(reading, matrix, float, block),
            Self::Nf4 => bitsandbytes::read_nf4(reading, matrix),
            Self::Int8 => bitsandbytes::read_int8(reading, matrix),
        }
    }
}
