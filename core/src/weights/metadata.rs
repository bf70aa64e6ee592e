//! Values of a file's metadata, each in the type that it is stored in.

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Metadata {
    /// A number or a flag.
    Number(Number),
    /// A text.
    Text(String),
    /// A list of numbers or flags of one type.
    Numbers(Numbers),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of lists.
    Lists(Vec<Metadata>),
}

/// A number or a flag of the metadata.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Number {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// A list of numbers or flags of one type, kept as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    pub(super) kind: NumberKind,
    pub(super) bytes: Vec<u8>,
}

/// The types of numbers, by their number in a GGUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    U64,
    I64,
    F64,
}

impl NumberKind {
    /// The type of this number in a GGUF; 8 and 9 are texts and lists.
    pub(super) fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => return None,
        })
    }

    /// Its number in a GGUF.
    pub(super) fn number_of(self) -> u32 {
        (0..=12)
            .find(|number| Self::of(*number) == Some(self))
            .unwrap_or_default()
    }

    /// Bytes of a number.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The number in the first of these bytes, little endian; `None` where they are too few.
    pub(super) fn number(self, bytes: &[u8]) -> Option<Number> {
        Some(match self {
            Self::U8 => Number::U8(*bytes.first()?),
            Self::I8 => Number::I8(i8::from_le_bytes(*bytes.first_chunk()?)),
            Self::U16 => Number::U16(u16::from_le_bytes(*bytes.first_chunk()?)),
            Self::I16 => Number::I16(i16::from_le_bytes(*bytes.first_chunk()?)),
            Self::U32 => Number::U32(u32::from_le_bytes(*bytes.first_chunk()?)),
            Self::I32 => Number::I32(i32::from_le_bytes(*bytes.first_chunk()?)),
            Self::F32 => Number::F32(f32::from_le_bytes(*bytes.first_chunk()?)),
            Self::Bool => Number::Bool(*bytes.first()? != 0),
            Self::U64 => Number::U64(u64::from_le_bytes(*bytes.first_chunk()?)),
            Self::I64 => Number::I64(i64::from_le_bytes(*bytes.first_chunk()?)),
            Self::F64 => Number::F64(f64::from_le_bytes(*bytes.first_chunk()?)),
        })
    }
}

impl Number {
    /// As a whole number from 0 on.
    pub fn unsigned(self) -> Option<u64> {
        match self {
            Self::U8(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::U64(n) => Some(n),
            Self::I8(n) => n.try_into().ok(),
            Self::I16(n) => n.try_into().ok(),
            Self::I32(n) => n.try_into().ok(),
            Self::I64(n) => n.try_into().ok(),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) => None,
        }
    }

    /// As a number with a fraction; whole numbers too, those beyond 2^53 to the nearest.
    pub fn float(self) -> Option<f64> {
        match self {
            Self::F32(n) => Some(n.into()),
            Self::F64(n) => Some(n),
            Self::I64(n) => Some(n as f64),
            Self::I8(n) => Some(n.into()),
            Self::I16(n) => Some(n.into()),
            Self::I32(n) => Some(n.into()),
            _ => self.unsigned().map(|n| n as f64),
        }
    }

    /// As a flag.
    pub fn flag(self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(flag),
            _ => None,
        }
    }
}

impl From<&[u8]> for Numbers {
    fn from(numbers: &[u8]) -> Self {
        Self {
            kind: NumberKind::U8,
            bytes: numbers.to_vec(),
        }
    }
}

impl From<&[i32]> for Numbers {
    fn from(numbers: &[i32]) -> Self {
        Self {
            kind: NumberKind::I32,
            bytes: numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
        }
    }
}

impl From<&[f32]> for Numbers {
    fn from(numbers: &[f32]) -> Self {
        Self {
            kind: NumberKind::F32,
            bytes: numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
        }
    }
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.kind.bytes()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number at a place.
    pub fn get(&self, place: usize) -> Option<Number> {
        let from = place.checked_mul(self.kind.bytes())?;
        self.kind.number(self.bytes.get(from..)?)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Number> + '_ {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}

impl Metadata {
    /// As a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As a number or a flag.
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// As a whole number from 0 on.
    pub fn unsigned(&self) -> Option<u64> {
        self.number()?.unsigned()
    }

    /// As a number with a fraction.
    pub fn float(&self) -> Option<f64> {
        self.number()?.float()
    }

    /// As a flag.
    pub fn flag(&self) -> Option<bool> {
        self.number()?.flag()
    }

    /// As a list of texts.
    pub fn texts(&self) -> Option<&[String]> {
        match self {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// As a list of numbers.
    pub fn numbers(&self) -> Option<&Numbers> {
        match self {
            Self::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }
}
