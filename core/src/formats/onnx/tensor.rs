//! Tensors of a file: type, shape, where their numbers stand, and the numbers of short ones.

use std::io::{Read, Seek};

use half::{bf16, f16};

use super::wire::{Field, Result, Wire};

/// The most numbers of a tensor that is loaded: shapes, scales of pictures, axes.
const LOADED: u64 = 2048;
/// Dimensions; no operator takes more.
const MOST_DIMS: usize = 64;
/// The most elements: far above any tensor, and products of two of them fit in a floating-point number's range.
const MOST_ELEMENTS: u64 = 1 << 50;

/// How numbers are stored, by the numbers of onnx.proto.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(super) struct DataType(pub(super) i64);

impl DataType {
    pub(super) const FLOAT: Self = Self(1);
    pub(super) const UINT8: Self = Self(2);
    pub(super) const INT32: Self = Self(6);
    pub(super) const INT64: Self = Self(7);
    pub(super) const BOOL: Self = Self(9);

    /// Bits of a number; `None` for texts and what is not known.
    pub(super) const fn bits(self) -> Option<u8> {
        Some(match self.0 {
            25 | 26 => 2,
            21..=23 => 4,
            2 | 3 | 9 | 17..=20 | 24 => 8,
            4 | 5 | 10 | 16 => 16,
            1 | 6 | 12 => 32,
            7 | 11 | 13 | 14 => 64,
            15 => 128,
            _ => return None,
        })
    }

    /// Whether its numbers are floating-point ones.
    pub(super) const fn is_float(self) -> bool {
        matches!(self.0, 1 | 10 | 11 | 14 | 15 | 16 | 17..=20 | 23 | 24)
    }

    /// Whether it is one that weights are rounded to.
    pub(super) const fn is_rounded(self) -> bool {
        matches!(self.0, 2 | 3 | 4 | 5 | 17..=26)
    }
}

/// Where the numbers of a tensor stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Place {
    /// In the file.
    #[default]
    Here,
    /// In another file beside it.
    Beside {
        location: String,
        offset: u64,
        bytes: u64,
    },
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) shape: Vec<u64>,
    pub(super) place: Place,
    /// The numbers, where they are few.
    pub(super) values: Option<Vec<f64>>,
    /// Numbers that are stored of it, where most are zeros that are not.
    pub(super) sparse: Option<u64>,
    /// Where in the file it stands.
    pub(super) at: u64,
}

/// What a message of a tensor holds.
#[derive(Default)]
struct Parts {
    name: String,
    data_type: DataType,
    dims: Vec<i64>,
    raw: Option<(u64, Vec<u8>)>,
    /// Numbers in fields of their type: how many, and the first ones.
    typed: u64,
    values: Vec<f64>,
    external: Vec<(String, String)>,
    is_external: bool,
    is_segment: bool,
}

impl Parts {
    fn push<R: Read + Seek>(&mut self, wire: &mut Wire<R>, value: f64) -> Result<()> {
        self.typed += 1;
        if self.typed <= LOADED {
            wire.reserve(16)?;
            self.values.push(value);
        }
        Ok(())
    }
}

pub(super) fn tensor<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<Tensor> {
    let mut parts = Parts::default();
    let at = wire.place();
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match (number, field) {
            (1, _) => wire.integers(field, &mut |_, dim| {
                if parts.dims.len() >= MOST_DIMS {
                    return Err(format!("a tensor has more than {MOST_DIMS} dimensions"));
                }
                parts.dims.push(dim.cast_signed());
                Ok(())
            })?,
            (2, _) => parts.data_type = DataType(wire.int(field)?),
            (3, _) => parts.is_segment = true,
            (4, _) => wire.words(field, &mut |wire, bits| {
                parts.push(wire, f64::from(f32::from_bits(bits)))
            })?,
            // Half precision stands here as bits.
            (5, _) => wire.integers(field, &mut |wire, value| {
                let value = match parts.data_type.0 {
                    10 => f64::from(f16::from_bits(value as u16)),
                    16 => f64::from(bf16::from_bits(value as u16)),
                    _ => value.cast_signed() as f64,
                };
                parts.push(wire, value)
            })?,
            (6, _) => parts.typed += 1,
            (7, _) => wire.integers(field, &mut |wire, value| {
                parts.push(wire, value.cast_signed() as f64)
            })?,
            (8, _) => parts.name = wire.text(field)?,
            (9, Field::Bytes(len)) => {
                let short = len <= 8 * LOADED;
                let bytes = if short { wire.bytes(len)? } else { Vec::new() };
                parts.raw = Some((len, bytes));
            }
            (10, Field::Bits64(bits)) => parts.push(wire, f64::from_bits(bits))?,
            (10, Field::Bytes(len)) => parts.typed += len / 8,
            (11, _) => {
                wire.integers(field, &mut |wire, value| parts.push(wire, value as f64))?;
            }
            (13, _) => parts.external.push(pair(wire, field)?),
            (14, _) => parts.is_external = wire.int(field)? == 1,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Tensor {
        at,
        ..assemble(parts)?
    })
}

fn pair<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<(String, String)> {
    let mut pair = (String::new(), String::new());
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match number {
            1 => pair.0 = wire.text(field)?,
            2 => pair.1 = wire.text(field)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(pair)
}

/// A name as it can be shown.
pub(super) fn shown(name: &str) -> String {
    let name: String = name.chars().take(80).collect();
    name.escape_debug().to_string()
}

fn sizes(name: &str, dims: &[i64]) -> Result<(Vec<u64>, u64)> {
    let mut elements = 1_u64;
    let mut shape = Vec::with_capacity(dims.len());
    for dim in dims {
        let dim = u64::try_from(*dim)
            .map_err(|_| format!("tensor '{}' has a dimension of {dim}", shown(name)))?;
        elements = elements
            .checked_mul(dim)
            .filter(|elements| *elements <= MOST_ELEMENTS)
            .ok_or_else(|| format!("tensor '{}' has too many elements ({dims:?})", shown(name)))?;
        shape.push(dim);
    }
    Ok((shape, elements))
}

fn assemble(parts: Parts) -> Result<Tensor> {
    let (shape, elements) = sizes(&parts.name, &parts.dims)?;
    let name = parts.name;
    if parts.is_segment {
        return Err(format!("tensor '{}' is stored in segments", shown(&name)));
    }
    let Some(bits) = parts.data_type.bits() else {
        // Texts, and what nothing is computed with.
        return Ok(Tensor {
            name,
            data_type: parts.data_type,
            shape,
            ..Tensor::default()
        });
    };
    let bytes = (elements * u64::from(bits)).div_ceil(8);
    let (mut place, mut values) = (Place::Here, None);
    if parts.is_external {
        place = beside(&name, &parts.external, bytes)?;
    } else if let Some((len, raw)) = &parts.raw {
        if *len != bytes {
            return Err(format!(
                "tensor '{}' of {elements} numbers of {bits} bits has {len} bytes",
                shown(&name)
            ));
        }
        values = numbers(parts.data_type, raw, elements).filter(|_| elements <= LOADED);
    } else {
        // Complex numbers are two, and two numbers of 4 bits one.
        let (times, per) = match parts.data_type.0 {
            14 | 15 => (2, 1),
            21..=23 => (1, 2),
            25 | 26 => (1, 4),
            _ => (1, 1),
        };
        if parts.typed != (times * elements).div_ceil(per) {
            return Err(format!(
                "tensor '{}' of {elements} numbers has {}",
                shown(&name),
                parts.typed
            ));
        }
        let plain = (times, per) == (1, 1) && elements <= LOADED;
        values = Some(parts.values).filter(|values| plain && values.len() as u64 == elements);
    }
    Ok(Tensor {
        name,
        data_type: parts.data_type,
        shape,
        place,
        values,
        sparse: None,
        at: 0,
    })
}

/// The place in another file, which must lie in the folder of this one or below.
fn beside(name: &str, keys: &[(String, String)], bytes: u64) -> Result<Place> {
    let of = |key: &str| {
        let found = keys.iter().find(|(own, _)| own == key);
        found.map(|(_, value)| value.as_str())
    };
    let number = |key: &str| -> Result<Option<u64>> {
        let parsed = of(key).map(|text| text.trim().parse());
        parsed.transpose().map_err(|_| {
            let text = shown(of(key).unwrap_or_default());
            format!(
                "tensor '{}' has the {key} '{text}', which is no number",
                shown(name)
            )
        })
    };
    let location = of("location").unwrap_or_default();
    let inside = !location.is_empty()
        && !location.contains(['\\', ':', '\0'])
        && !location.starts_with('/')
        && location.split('/').all(|part| part != "..");
    if !inside {
        return Err(format!(
            "tensor '{}' lies in '{}', which is outside of its folder",
            shown(name),
            shown(location)
        ));
    }
    if let Some(length) = number("length")?
        && length != bytes
    {
        return Err(format!(
            "tensor '{}' takes {bytes} bytes and has {length} in '{}'",
            shown(name),
            shown(location)
        ));
    }
    Ok(Place::Beside {
        location: location.to_owned(),
        offset: number("offset")?.unwrap_or(0),
        bytes,
    })
}

/// Numbers out of their bytes; `None` for types that no shape is computed from.
fn numbers(data_type: DataType, raw: &[u8], elements: u64) -> Option<Vec<f64>> {
    fn each<const N: usize>(raw: &[u8], of: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let (chunks, _) = raw.as_chunks::<N>();
        chunks.iter().map(|bytes| of(*bytes)).collect()
    }
    let values = match data_type.0 {
        1 => each(raw, |b| f64::from(f32::from_le_bytes(b))),
        2 | 9 => each(raw, |[b]| f64::from(b)),
        3 => each(raw, |b| f64::from(i8::from_le_bytes(b))),
        6 => each(raw, |b| f64::from(i32::from_le_bytes(b))),
        7 => each(raw, |b| i64::from_le_bytes(b) as f64),
        10 => each(raw, |b| f64::from(f16::from_le_bytes(b))),
        11 => each(raw, f64::from_le_bytes),
        13 => each(raw, |b| u64::from_le_bytes(b) as f64),
        16 => each(raw, |b| f64::from(bf16::from_le_bytes(b))),
        _ => return None,
    };
    (values.len() as u64 == elements).then_some(values)
}

impl Tensor {
    pub(super) fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// The same numbers as a sparse tensor of these dimensions.
    ///
    /// # Errors
    /// There are more numbers than places.
    pub(super) fn into_sparse(self, dims: &[i64]) -> Result<Self> {
        let (shape, elements) = sizes(&self.name, dims)?;
        let stored = self.elements();
        if stored > elements {
            return Err(format!(
                "sparse tensor '{}' has {stored} numbers for {elements} places",
                shown(&self.name)
            ));
        }
        Ok(Self {
            shape,
            values: None,
            sparse: Some(stored),
            ..self
        })
    }
}
