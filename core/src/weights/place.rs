//! The bytes that weights are read from: a file, at any position and from several threads, or memory.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::{self, unreadable};

/// Reads a place from its beginning.
pub(super) struct Reading<'a> {
    place: &'a Place,
    at: u64,
    end: u64,
}

impl std::io::Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let length = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = self
            .place
            .read(self.at, length)
            .map_err(std::io::Error::other)?;
        buffer[..length].copy_from_slice(&bytes);
        self.at += length as u64;
        Ok(length)
    }
}

/// A file or its bytes, and where it lies.
#[derive(Debug)]
pub(super) struct Place {
    bytes: Bytes,
    /// Its length when it was opened.
    pub(super) length: u64,
    /// Its path, for errors and for the files beside it.
    pub(super) path: PathBuf,
}

#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Memory),
}

struct Memory(Vec<u8>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Place {
    /// Opens a regular file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = files::open_regular(path)?;
        let metadata = file.metadata().map_err(|error| unreadable(&error, path))?;
        Ok(Self {
            length: metadata.len(),
            bytes: Bytes::File(file),
            path: path.to_owned(),
        })
    }

    /// Bytes that stand for a file.
    pub(super) fn of_bytes(bytes: Vec<u8>, path: &Path) -> Self {
        Self {
            length: bytes.len() as u64,
            bytes: Bytes::Memory(Memory(bytes)),
            path: path.to_owned(),
        }
    }

    /// Its bytes from the first on.
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading {
            place: self,
            at: 0,
            end: self.length,
        }
    }

    /// So many bytes from a position on.
    pub(super) fn reading_from(&self, at: u64, length: u64) -> Reading<'_> {
        Reading {
            place: self,
            at,
            end: at.saturating_add(length).min(self.length),
        }
    }

    /// Something wrong with what is in the file.
    pub(super) fn wrong(&self, fact: impl Into<String>) -> Error {
        Error::file(fact, &self.path)
    }

    /// Reads `length` bytes from a position on; none is reserved beyond the end of the file.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let end = offset.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(self.wrong(format!(
                "the file is cut short: {length} bytes from byte {offset} on are needed, and it has {}",
                self.length
            )));
        }
        match &self.bytes {
            Bytes::Memory(Memory(bytes)) => {
                // Both were compared with the length of the bytes, which is a usize.
                let from = offset as usize;
                Ok(bytes[from..from + length].to_vec())
            }
            Bytes::File(file) => {
                let mut bytes = vec![0; length];
                read_at(file, &mut bytes, offset).map_err(|error| {
                    if error.kind() == std::io::ErrorKind::UnexpectedEof {
                        self.wrong("the file has become shorter since it was opened")
                    } else {
                        unreadable(&error, &self.path)
                    }
                })?;
                Ok(bytes)
            }
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
