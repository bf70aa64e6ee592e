//! Arrays of NumPy: one in a `.npy`, named ones in a zip archive of these, `.npz`
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use super::{Arrays, Piece, Storage, View, strides, zip};
use crate::error::Result;
use crate::number::StoredFormat;
use crate::weights::place::Place;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest description of an array.
const LONGEST_HEADER: u64 = 1 << 20;

/// Opens a file of either kind.
pub(super) fn open(place: Place) -> Result<Arrays> {
    let head = place.read(0, place.length.min(MAGIC.len() as u64) as usize)?;
    if head == MAGIC {
        let start = LONGEST_HEADER.min(place.length);
        let head = place.read(0, start as usize)?;
        let header = header(&head).map_err(|fact| place.wrong(fact))?;
        let storage = Storage::Pieces(vec![Piece {
            file: 0,
            start: 0,
            length: place.length,
        }]);
        let name = place.path.file_stem().map_or_else(
            || "array".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        let Some(view) = header
            .view(0, place.length)
            .map_err(|fact| place.wrong(fact))?
        else {
            return Err(place.wrong("this array of NumPy holds no numbers"));
        };
        return Arrays::new(vec![place], vec![storage], vec![(name, view)]);
    }
    let files = zip::list(&place)?;
    let (mut storages, mut named, mut left) = (Vec::new(), Vec::new(), 0_usize);
    for (file, entry) in &files {
        let Some(name) = file.strip_suffix(".npy") else {
            continue;
        };
        let wrong = |fact: String| place.wrong(format!("array '{}': {fact}", name.escape_debug()));
        let head = entry.head(&place, LONGEST_HEADER)?;
        let view = header(&head)
            .and_then(|header| header.view(storages.len(), entry.length))
            .map_err(wrong)?;
        match view {
            Some(view) => {
                named.push((name.to_owned(), view));
                storages.push(super::of_entry(entry.clone()));
            }
            None => left += 1,
        }
    }
    let mut arrays = Arrays::new(vec![place], storages, named)?;
    if left > 0 {
        arrays.notes = vec![format!(
            "arrays that hold no numbers and are left out: {left}"
        )];
    }
    Ok(arrays)
}

/// What stands before the elements.
#[derive(Debug, PartialEq)]
struct Header {
    /// `<f4` and the like.
    kind: String,
    is_fortran: bool,
    shape: Vec<usize>,
    /// Bytes before the elements.
    length: u64,
}

fn header(bytes: &[u8]) -> std::result::Result<Header, String> {
    let damaged = || "the description of the array is damaged".to_owned();
    if !bytes.starts_with(MAGIC) {
        return Err("this is no array of NumPy".to_owned());
    }
    let (long, start) = match bytes.get(6) {
        Some(1) => (bytes.get(8..10).ok_or_else(damaged)?, 10),
        Some(2 | 3) => (bytes.get(8..12).ok_or_else(damaged)?, 12),
        _ => return Err("the array is of a version that is not read".to_owned()),
    };
    let length = long
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | usize::from(*byte));
    let text = bytes.get(start..start + length).ok_or_else(damaged)?;
    let text = std::str::from_utf8(text).map_err(|_| damaged())?;
    let after = |key: &str| {
        let at = text.find(&format!("'{key}'")).ok_or_else(damaged)?;
        let rest = &text[at + key.len() + 2..];
        rest.trim_start()
            .strip_prefix(':')
            .map(str::trim_start)
            .ok_or_else(damaged)
    };
    let kind = after("descr")?;
    let kind = match kind
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''))
    {
        Some((kind, _)) => kind.to_owned(),
        // A list of named fields.
        None => String::new(),
    };
    let shape = after("shape")?
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    let (shape, _) = shape.ok_or_else(damaged)?;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty())
        .map(|extent| extent.trim_end_matches('L').parse().map_err(|_| damaged()))
        .collect::<std::result::Result<Vec<usize>, String>>()?;
    Ok(Header {
        kind,
        is_fortran: after("fortran_order")?.starts_with("True"),
        shape,
        length: (start + length) as u64,
    })
}

impl Header {
    /// The view of a file of so many bytes; `None` where its elements are no numbers.
    fn view(&self, storage: usize, file: u64) -> std::result::Result<Option<View>, String> {
        let Some((format, is_big_endian)) = self.format()? else {
            return Ok(None);
        };
        let width = super::width(format) as u64;
        let elements = self
            .shape
            .iter()
            .try_fold(width, |n, extent| n.checked_mul(*extent as u64));
        if elements != file.checked_sub(self.length) {
            return Err(format!(
                "the shape {:?} does not fit {} bytes",
                self.shape,
                file.saturating_sub(self.length)
            ));
        }
        let strides = match self.is_fortran {
            false => strides(&self.shape),
            true => {
                let turned: Vec<usize> = self.shape.iter().rev().copied().collect();
                strides(&turned).into_iter().rev().collect()
            }
        };
        Ok(Some(View {
            offset: self.length,
            strides,
            is_big_endian,
            ..View::whole(storage, self.shape.clone(), format)
        }))
    }

    /// The format of its elements, and whether their first byte is the highest.
    fn format(&self) -> std::result::Result<Option<(StoredFormat, bool)>, String> {
        use StoredFormat as F;
        let kind = self.kind.as_str();
        let bare = kind.trim_start_matches(['<', '>', '|', '=']);
        let format = match bare {
            "f8" => F::F64,
            "f4" => F::F32,
            "f2" => F::F16,
            "b1" => F::Bool,
            "i1" => F::I8,
            "u1" => F::U8,
            "i2" => F::I16,
            "u2" => F::U16,
            "i4" => F::I32,
            "u4" => F::U32,
            "i8" => F::I64,
            "u8" => F::U64,
            "c8" => F::Other {
                name: "C64",
                bits: 64,
            },
            // Objects would be pickles; texts, dates and records are no weights.
            _ if bare.starts_with(['O', 'U', 'S', 'M', 'm', 'V']) || bare.is_empty() => {
                return Ok(None);
            }
            _ => {
                return Err(format!(
                    "its elements are of type '{}', which is not read",
                    kind.escape_debug()
                ));
            }
        };
        Ok(Some((format, kind.starts_with('>'))))
    }
}
