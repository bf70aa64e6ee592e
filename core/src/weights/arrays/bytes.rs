//! The bytes of a pickle, read some at a time.

use super::super::place::Place;
use super::pickle::Result;

/// The most bytes of one pickle; those of the largest networks have a few.
const LONGEST: u64 = 64 << 20;
/// Bytes that are read at a time.
const AT_ONCE: u64 = 1 << 16;

/// Bytes of a file, some held at a time.
pub(super) struct Bytes<'a> {
    place: &'a Place,
    /// Where the next is.
    pub(super) at: u64,
    end: u64,
    held: Vec<u8>,
    from: u64,
}

impl<'a> Bytes<'a> {
    /// Those from `start` on and before `end`.
    pub(super) fn new(place: &'a Place, start: u64, end: u64) -> Self {
        Self {
            place,
            at: start,
            end: end.min(start.saturating_add(LONGEST)),
            held: Vec::new(),
            from: start,
        }
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&[u8]> {
        let cut = "the pickle is cut short or longer than any that is read";
        if self.end.saturating_sub(self.at) < length {
            return Err(cut.to_owned());
        }
        let inside = self.at - self.from;
        if inside + length > self.held.len() as u64 {
            let more = length.max(AT_ONCE).min(self.end - self.at);
            self.held = self
                .place
                .read(self.at, more as usize)
                .map_err(|error| error.to_string())?;
            self.from = self.at;
        }
        let inside = (self.at - self.from) as usize;
        self.at += length;
        self.held
            .get(inside..inside + length as usize)
            .ok_or_else(|| cut.to_owned())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N as u64)?;
        Ok(*bytes.first_chunk().unwrap_or(&[0; N]))
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u64> {
        self.array().map(|bytes| u32::from_le_bytes(bytes).into())
    }

    /// A text of so many bytes.
    pub(super) fn text(&mut self, length: u64) -> Result<String> {
        let bytes = self.take(length)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// What stands before the end of a line.
    pub(super) fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
                byte => line.push(byte),
            }
        }
    }
}
