//! Protocol buffers (<https://protobuf.dev/programming-guides/encoding>), read field by field: what is not wanted is
//! passed over without being loaded, so that the weights of a file of gigabytes cost nothing.

use std::io::{BufReader, Read, Seek, SeekFrom};

/// The most memory that the structure of a file may take, in bytes, its weights apart. The largest graphs known here, of a
/// hundred thousand nodes, take a fifth of it.
const MOST_MEMORY: u64 = 256 << 20;
/// What a message takes in memory at most, besides its texts.
const MESSAGE: u64 = 512;
/// Messages inside each other; graphs inside graphs take four each.
const DEEPEST: u32 = 100;

/// What cannot be read, in words.
pub(super) type Fact = String;
pub(super) type Result<T> = std::result::Result<T, Fact>;

/// A field's value; of bytes the length, before they are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    Int(u64),
    Bits32(u32),
    Bits64(u64),
    Bytes(u64),
}

pub(super) struct Wire<R> {
    file: BufReader<R>,
    at: u64,
    memory: u64,
    depth: u32,
}

impl<R: Read + Seek> Wire<R> {
    pub(super) fn new(file: R) -> Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, file);
        file.seek(SeekFrom::Start(0))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            file,
            at: 0,
            memory: MOST_MEMORY,
            depth: 0,
        })
    }

    /// Where in the file the next byte stands.
    pub(super) const fn place(&self) -> u64 {
        self.at
    }

    /// Takes so many bytes of the memory that a structure may have.
    pub(super) fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.memory = self.memory.checked_sub(bytes).ok_or_else(|| {
            format!("its structure takes more than {MOST_MEMORY} bytes of memory, weights apart")
        })?;
        Ok(())
    }

    /// Walks over the fields of a message of `len` bytes. What `hear` does not read is passed over.
    pub(super) fn message(
        &mut self,
        len: u64,
        hear: &mut dyn FnMut(&mut Self, u64, Field) -> Result<()>,
    ) -> Result<()> {
        self.reserve(MESSAGE)?;
        if self.depth >= DEEPEST {
            return Err(format!(
                "messages stand inside each other more than {DEEPEST} times"
            ));
        }
        self.depth += 1;
        let end = self.at.saturating_add(len);
        while self.at < end {
            let tag = self.varint()?;
            let field = match tag & 7 {
                0 => Field::Int(self.varint()?),
                1 => Field::Bits64(u64::from_le_bytes(self.exact()?)),
                2 => Field::Bytes(self.varint()?),
                5 => Field::Bits32(u32::from_le_bytes(self.exact()?)),
                other => {
                    return Err(format!(
                        "there is no field of wire type {other} (byte {})",
                        self.at
                    ));
                }
            };
            let size = match field {
                Field::Bytes(size) => size,
                _ => 0,
            };
            let after = self.at.checked_add(size).filter(|after| *after <= end);
            let Some(after) = after else {
                return Err(format!(
                    "a field at byte {} is longer than what it stands in",
                    self.at
                ));
            };
            hear(self, tag >> 3, field)?;
            if self.at > after {
                return Err(format!("a field at byte {after} ends too late"));
            }
            self.pass(after - self.at)?;
        }
        self.depth -= 1;
        if self.at == end {
            Ok(())
        } else {
            Err(format!("a message ends inside a field (byte {end})"))
        }
    }

    /// Bytes of a field, which are copied.
    pub(super) fn bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.reserve(len)?;
        let mut bytes = Vec::new();
        self.file
            .by_ref()
            .take(len)
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        self.at += bytes.len() as u64;
        if bytes.len() as u64 == len {
            Ok(bytes)
        } else {
            Err(format!("the file ends inside a field (byte {})", self.at))
        }
    }

    /// A text; what is no UTF-8 in it is replaced.
    pub(super) fn text(&mut self, field: Field) -> Result<String> {
        let Field::Bytes(len) = field else {
            return Err(format!("a text at byte {} is a number", self.at));
        };
        let bytes = self.bytes(len)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Goes over integers that stand alone or packed.
    pub(super) fn integers(
        &mut self,
        field: Field,
        hear: &mut dyn FnMut(&mut Self, u64) -> Result<()>,
    ) -> Result<()> {
        match field {
            Field::Int(value) => hear(self, value),
            Field::Bytes(len) => {
                let end = self.at.saturating_add(len);
                while self.at < end {
                    let value = self.varint()?;
                    hear(self, value)?;
                }
                Ok(())
            }
            _ => Err(format!("a whole number at byte {} is none", self.at)),
        }
    }

    /// Goes over numbers of 32 bits that stand alone or packed.
    pub(super) fn words(
        &mut self,
        field: Field,
        hear: &mut dyn FnMut(&mut Self, u32) -> Result<()>,
    ) -> Result<()> {
        match field {
            Field::Bits32(bits) => hear(self, bits),
            Field::Bytes(len) if len % 4 == 0 => {
                for _ in 0..len / 4 {
                    let word = u32::from_le_bytes(self.exact()?);
                    hear(self, word)?;
                }
                Ok(())
            }
            _ => Err(format!("a number at byte {} has not 32 bits", self.at)),
        }
    }

    /// A number that must be one.
    pub(super) fn int(&self, field: Field) -> Result<i64> {
        match field {
            Field::Int(value) => Ok(value.cast_signed()),
            _ => Err(format!("a whole number at byte {} is none", self.at)),
        }
    }

    /// The length of a message inside.
    pub(super) fn inside(&self, field: Field) -> Result<u64> {
        match field {
            Field::Bytes(len) => Ok(len),
            _ => Err(format!("a message at byte {} is a number", self.at)),
        }
    }

    fn pass(&mut self, bytes: u64) -> Result<()> {
        let by = i64::try_from(bytes).map_err(|error| error.to_string())?;
        self.file
            .seek_relative(by)
            .map_err(|error| error.to_string())?;
        self.at += bytes;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.exact()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(format!("a number at byte {} has no end", self.at))
    }

    fn exact<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file
            .read_exact(&mut bytes)
            .map_err(|_| format!("the file ends inside a field (byte {})", self.at))?;
        self.at += N as u64;
        Ok(bytes)
    }
}
