//! Zip archives as PyTorch and NumPy write them (APPNOTE.TXT of PKWARE): files that are stored or deflated, listed at the
//! end. Every length is checked against the file before memory is reserved.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::DeflateDecoder;

use super::super::place::Place;
use crate::error::Result;

/// Length of the record at the end without its comment, and the longest comment.
const END: u64 = 22;
const LONGEST_COMMENT: u64 = u16::MAX as u64;
/// The longest list of files that is read; that of a network with 100,000 tensors has some 10 MB.
const LONGEST_LIST: u64 = 256 << 20;
/// Most files of an archive.
const MOST_FILES: u64 = 200_000;
/// Bytes of a file's entry in the list, and before its data, without names.
const ENTRY: usize = 46;
const LOCAL: u64 = 30;
/// Deflate makes at most about 1032 bytes of one (<https://zlib.net/zlib_tech.html>).
const MOST_INFLATED: u64 = 1040;

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where its bytes begin in the archive.
    pub(super) start: u64,
    /// Bytes in the archive.
    pub(super) packed: u64,
    /// Bytes of the file itself.
    pub(super) length: u64,
    /// Whether the bytes are deflated.
    pub(super) is_deflated: bool,
}

impl Entry {
    /// The first bytes of the file, at most so many.
    pub(super) fn head(&self, place: &Place, most: u64) -> Result<Vec<u8>> {
        let most = most.min(self.length);
        if !self.is_deflated {
            return place.read(self.start, most as usize);
        }
        let mut bytes = Vec::new();
        let packed = place.reading_from(self.start, self.packed);
        DeflateDecoder::new(packed)
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| {
                place.wrong(format!("a file in this zip archive is damaged ({error})"))
            })?;
        if bytes.len() as u64 != most {
            return Err(place.wrong(format!(
                "a file in this zip archive is damaged: it has {} bytes of at least {most}",
                bytes.len()
            )));
        }
        Ok(bytes)
    }

    /// All bytes of the file.
    pub(super) fn all(&self, place: &Place) -> Result<Vec<u8>> {
        self.head(place, self.length)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u16::from_le_bytes(*bytes).into())
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_le_bytes(*bytes).into())
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// Where the list of files begins, its length and how many files it has.
fn end(place: &Place) -> Result<(u64, u64, u64)> {
    let cut = || place.wrong("this zip archive is cut short: the list of its files is missing");
    let tail = place.length.min(END + LONGEST_COMMENT);
    let from = place.length - tail;
    let bytes = place.read(from, tail as usize)?;
    let at = bytes
        .windows(4)
        .rposition(|four| four == b"PK\x05\x06")
        .filter(|at| bytes.len() - at >= END as usize)
        .ok_or_else(cut)?;
    let record = &bytes[at..];
    let (files, length, start) = (u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
    let is_large = files == u64::from(u16::MAX)
        || length == u64::from(u32::MAX)
        || start == u64::from(u32::MAX);
    let here = from + at as u64;
    // Records of 64 bits stand before the end where some writers need or like them.
    if let Some(locator) = here.checked_sub(20)
        && let locator = place.read(locator, 20)?
        && locator.starts_with(b"PK\x06\x07")
    {
        let at = u64_at(&locator, 8).ok_or_else(cut)?;
        let record = place.read(at, 56)?;
        if record.starts_with(b"PK\x06\x06") {
            let number = |at| u64_at(&record, at).ok_or_else(cut);
            return Ok((number(48)?, number(40)?, number(32)?));
        }
    }
    match is_large {
        true => Err(cut()),
        false => Ok((start, length, files)),
    }
}

/// The files of an archive by their names.
pub(super) fn list(place: &Place) -> Result<BTreeMap<String, Entry>> {
    let (start, length, count) = end(place)?;
    if length > LONGEST_LIST || count > MOST_FILES {
        return Err(place.wrong(format!(
            "this zip archive says that it has {count} files; more than {MOST_FILES} are not read"
        )));
    }
    let bytes = place.read(start, length as usize)?;
    let mut files = BTreeMap::new();
    let mut rest = bytes.as_slice();
    for _ in 0..count {
        let damaged = || place.wrong("the list of files of this zip archive is damaged");
        if rest.len() < ENTRY || !rest.starts_with(b"PK\x01\x02") {
            return Err(damaged());
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(rest, at) as usize);
        let whole = ENTRY + name + extra + comment;
        let entry = rest.get(..whole).ok_or_else(damaged)?;
        rest = &rest[whole..];
        let title = String::from_utf8_lossy(&entry[ENTRY..ENTRY + name]).into_owned();
        if title.ends_with('/') {
            continue;
        }
        let found = file(
            place,
            entry,
            &title,
            &entry[ENTRY + name..ENTRY + name + extra],
        )?;
        if files.insert(title.clone(), found).is_some() {
            return Err(place.wrong(format!(
                "this zip archive has two files '{}'",
                title.escape_debug()
            )));
        }
    }
    Ok(files)
}

/// One file by its entry in the list, checked against the archive.
fn file(place: &Place, entry: &[u8], title: &str, extra: &[u8]) -> Result<Entry> {
    let wrong = |fact: &str| {
        place.wrong(format!(
            "the file '{}' in this zip archive {fact}",
            title.escape_debug()
        ))
    };
    let (flags, method) = (u16_at(entry, 8), u16_at(entry, 10));
    if flags & 1 == 1 {
        return Err(wrong("is encrypted"));
    }
    let is_deflated = match method {
        0 => false,
        8 => true,
        _ => {
            return Err(wrong(
                "is packed in a way that is not read (neither stored nor deflated)",
            ));
        }
    };
    let [mut packed, mut length, mut local] = [20, 24, 42].map(|at| u32_at(entry, at));
    // Sizes of 64 bits stand in a field of their own, those that are needed, in this order (4.5.3).
    let mut wide = wide_field(extra);
    for size in [&mut length, &mut packed, &mut local] {
        if *size == u64::from(u32::MAX) {
            *size = u64_at(wide, 0).ok_or_else(|| wrong("has no size"))?;
            wide = &wide[8..];
        }
    }
    let head = place.read(local, LOCAL as usize)?;
    if !head.starts_with(b"PK\x03\x04") {
        return Err(wrong("is not where the list says"));
    }
    let start = local + LOCAL + u16_at(&head, 26) + u16_at(&head, 28);
    if start
        .checked_add(packed)
        .is_none_or(|end| end > place.length)
    {
        return Err(wrong("ends beyond the end of it: the archive is cut short"));
    }
    let fits = match is_deflated {
        true => length / MOST_INFLATED <= packed,
        false => length == packed,
    };
    if !fits {
        return Err(wrong("says a length that it cannot have"));
    }
    Ok(Entry {
        start,
        packed,
        length,
        is_deflated,
    })
}

/// The field with sizes of 64 bits, among fields of two bytes of kind, two of length and their contents.
fn wide_field(mut extra: &[u8]) -> &[u8] {
    while extra.len() >= 4 {
        let (kind, length) = (u16_at(extra, 0), u16_at(extra, 2) as usize);
        let Some(field) = extra.get(4..4 + length) else {
            break;
        };
        if kind == 1 {
            return field;
        }
        extra = &extra[4 + length..];
    }
    &[]
}
