//! Named arrays in files of PyTorch, NumPy and TensorFlow.js: numbers in storages, of which a tensor is a view with an
//! extent and a stride for each dimension. Nothing in such a file is executed.

mod bytes;
mod classes;
mod groups;
mod numpy;
mod pickle;
mod storages;
#[cfg(test)]
mod tests;
mod tfjs;
mod torch;
mod view;
mod zip;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::place::Place;
use super::{Metadata, Source, TensorInfo, blocks};
use crate::error::{Error, Result};
use crate::number::StoredFormat;
use view::{Codes, View, extent, span, strides, width};

/// Most tensors of a file.
const MOST_TENSORS: usize = 100_000;
/// Most times that tensors may share the bytes of a file between them; tied matrices share theirs once.
const MOST_SHARED: u64 = 8;

/// The programs whose files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// `torch.save` since 1.6, and TorchScript: a zip archive.
    TorchArchive,
    /// `torch.save` before: pickles, and the numbers after them.
    Pickle,
    /// One array, or a zip archive of some.
    NumPy,
    /// A `model.json` that lists files of numbers beside it.
    TensorFlowJs,
}

/// Opens the arrays in a file.
///
/// # Errors
/// [`Error::File`] naming what is damaged, or what the file holds beside tensors that is not read.
pub(crate) fn open(path: &Path, writer: Writer) -> Result<Arrays> {
    read(Place::open(path)?, writer)
}

/// The same from the bytes of the file; files beside it are not looked for.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_bytes(bytes: Vec<u8>, path: &Path, writer: Writer) -> Result<Arrays> {
    read(Place::of_bytes(bytes, path), writer)
}

fn read(place: Place, writer: Writer) -> Result<Arrays> {
    match writer {
        Writer::TorchArchive => torch::archive(place),
        Writer::Pickle => torch::pickles(place),
        Writer::NumPy => numpy::open(place),
        Writer::TensorFlowJs => tfjs::open(place),
    }
}

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    file: usize,
    start: u64,
    length: u64,
}

/// Where the numbers of tensors lie.
#[derive(Debug)]
enum Storage {
    /// One after the other.
    Pieces(Vec<Piece>),
    /// In a deflated file of an archive, inflated when they are first asked for.
    Deflated {
        entry: zip::Entry,
        inflated: OnceLock<Result<Vec<u8>>>,
    },
}

/// The storage that a file of an archive is.
fn of_entry(entry: zip::Entry) -> Storage {
    match entry.is_deflated {
        true => Storage::Deflated {
            entry,
            inflated: OnceLock::new(),
        },
        false => Storage::Pieces(vec![Piece {
            file: 0,
            start: entry.start,
            length: entry.length,
        }]),
    }
}

impl Storage {
    fn length(&self) -> u64 {
        match self {
            Self::Pieces(pieces) => pieces.iter().map(|piece| piece.length).sum(),
            Self::Deflated { entry, .. } => entry.length,
        }
    }
}

/// Named tensors of one or several files.
#[derive(Debug)]
pub(crate) struct Arrays {
    files: Vec<Place>,
    storages: Vec<Storage>,
    views: Vec<View>,
    tensors: Vec<TensorInfo>,
    places: HashMap<String, usize>,
    metadata: BTreeMap<String, Metadata>,
    /// Tensors by the storage and the place in it where they begin.
    seen: HashMap<(usize, u64), Vec<usize>>,
    /// What else is in the file and was left out, in sentences.
    pub(crate) notes: Vec<String>,
    /// The tensor that was gathered last, to be asked for by rows.
    gathered: Mutex<Option<(usize, Arc<Vec<f32>>)>>,
}

impl Arrays {
    /// Checks every view against its storage.
    fn new(files: Vec<Place>, storages: Vec<Storage>, named: Vec<(String, View)>) -> Result<Self> {
        let wrong = |fact: String| match files.first() {
            Some(place) => place.wrong(fact),
            None => Error::Compute(fact),
        };
        if named.is_empty() {
            return Err(wrong("the file holds no tensors".to_owned()));
        }
        if named.len() > MOST_TENSORS {
            return Err(wrong(format!(
                "the file has {} tensors; more than {MOST_TENSORS} are not read",
                named.len()
            )));
        }
        let held: u64 = storages.iter().map(Storage::length).sum();
        let mut all: u64 = 0;
        let (mut views, mut tensors, mut places) = (Vec::new(), Vec::new(), HashMap::new());
        let mut seen: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
        for (name, view) in named {
            let length = storages.get(view.storage).map_or(0, Storage::length);
            let bytes = extent(&view, length)
                .map_err(|fact| wrong(format!("tensor '{}' {fact}", name.escape_debug())))?;
            all = all.saturating_add(bytes);
            if places.insert(name.clone(), tensors.len()).is_some() {
                return Err(wrong(format!(
                    "tensor '{}' is there twice",
                    name.escape_debug()
                )));
            }
            let format = match view.codes {
                Some(_) => StoredFormat::Packed {
                    scheme: "TensorFlow.js",
                    bits: 8 * view.width() as u8,
                },
                None => view.format,
            };
            tensors.push(TensorInfo {
                name,
                shape: view.shape.clone(),
                format,
                bytes,
            });
            let place = (view.storage, view.offset);
            seen.entry(place).or_default().push(views.len());
            views.push(view);
        }
        if all > held.saturating_mul(MOST_SHARED) {
            return Err(wrong(format!(
                "its tensors lie over each other: {all} bytes of them in {held}"
            )));
        }
        Ok(Self {
            files,
            storages,
            views,
            tensors,
            places,
            metadata: BTreeMap::new(),
            seen,
            notes: Vec::new(),
            gathered: Mutex::default(),
        })
    }

    fn tensor(&self, tensor: usize) -> Result<(&View, &TensorInfo)> {
        self.views
            .get(tensor)
            .zip(self.tensors.get(tensor))
            .ok_or_else(|| {
                let all = self.tensors.len();
                Error::Compute(format!("tensor {tensor} is asked for, and there are {all}"))
            })
    }

    /// Bytes of a storage; the caller has checked that they are there.
    fn bytes(&self, storage: usize, start: u64, length: u64) -> Result<Vec<u8>> {
        let gone = || Error::Compute("bytes of a storage are asked for that it has not".to_owned());
        match self.storages.get(storage).ok_or_else(gone)? {
            Storage::Deflated { entry, inflated } => {
                let place = self.files.first().ok_or_else(gone)?;
                let all = inflated.get_or_init(|| entry.all(place)).as_ref();
                let all = all.map_err(Clone::clone)?;
                let range = start as usize..(start + length) as usize;
                all.get(range).map(<[u8]>::to_vec).ok_or_else(gone)
            }
            Storage::Pieces(pieces) => {
                let mut bytes = Vec::new();
                let (mut before, end) = (0, start + length);
                for piece in pieces {
                    let after = before + piece.length;
                    let (from, to) = (start.max(before), end.min(after));
                    if from < to {
                        let place = self.files.get(piece.file).ok_or_else(gone)?;
                        let own = place.read(piece.start + from - before, (to - from) as usize)?;
                        match bytes.is_empty() {
                            true => bytes = own,
                            false => bytes.extend(own),
                        }
                    }
                    before = after;
                }
                (bytes.len() as u64 == length)
                    .then_some(bytes)
                    .ok_or_else(gone)
            }
        }
    }

    /// The elements of a view in their order, one after the other, lowest bytes first.
    fn gather(&self, view: &View) -> Result<Vec<u8>> {
        let width = view.width();
        let elements: usize = view.shape.iter().product();
        if elements == 0 {
            return Ok(Vec::new());
        }
        let stored = self.bytes(view.storage, view.offset, span(view) * width as u64)?;
        let mut bytes = Vec::with_capacity(elements * width);
        let mut place = vec![0_usize; view.shape.len()];
        let mut at = 0;
        for _ in 0..elements {
            // Inside: no element lies beyond the span.
            let element = &stored[at * width..][..width];
            match view.is_big_endian {
                true => bytes.extend(element.iter().rev()),
                false => bytes.extend(element),
            }
            for dimension in (0..place.len()).rev() {
                let stride = view.strides[dimension] as usize;
                place[dimension] += 1;
                at += stride;
                if place[dimension] < view.shape[dimension] {
                    break;
                }
                at -= stride * place[dimension];
                place[dimension] = 0;
            }
        }
        Ok(bytes)
    }

    fn values(
        &self,
        view: &View,
        stored: &[u8],
        out: &mut [f32],
    ) -> std::result::Result<(), String> {
        let Some(codes) = view.codes else {
            return blocks::decode(view.format, stored, out);
        };
        let value = |code: f64| (code * codes.scale + codes.least) as f32;
        match view.format {
            StoredFormat::U8 => out
                .iter_mut()
                .zip(stored)
                .for_each(|(out, code)| *out = value(f64::from(*code))),
            StoredFormat::U16 => out
                .iter_mut()
                .zip(stored.as_chunks::<2>().0)
                .for_each(|(out, code)| *out = value(f64::from(u16::from_le_bytes(*code)))),
            other => return Err(format!("codes of type {} are not read", other.name())),
        }
        Ok(())
    }
}

impl Source for Arrays {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let (view, info) = self.tensor(tensor)?;
        let length = info.row_length();
        if rows.start > rows.end || rows.end > info.rows() || out.len() != rows.len() * length {
            return Err(Error::Compute(format!(
                "rows {} to {} of tensor '{}', which has {}, are asked for in {} places",
                rows.start,
                rows.end,
                info.name,
                info.rows(),
                out.len()
            )));
        }
        let fact = |fact: String| {
            let fact = format!("tensor '{}' {fact}", info.name.escape_debug());
            match self.files.first() {
                Some(place) => place.wrong(fact),
                None => Error::Compute(fact),
            }
        };
        if let (Some(problem), None) = (view.format.undecodable(), view.codes) {
            return Err(fact(problem));
        }
        let (from, to) = (rows.start * length, rows.end * length);
        if out.is_empty() {
            return Ok(());
        }
        if view.is_plain() {
            let width = view.width() as u64;
            let start = view.offset + from as u64 * width;
            let stored = self.bytes(view.storage, start, out.len() as u64 * width)?;
            return self.values(view, &stored, out).map_err(fact);
        }
        let known = |gathered: &Option<(usize, Arc<Vec<f32>>)>| {
            let (own, values) = gathered.as_ref()?;
            (*own == tensor).then(|| Arc::clone(values))
        };
        let lock = || self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let gathered = known(&lock());
        let values = match gathered {
            Some(values) => values,
            None => {
                let mut values = vec![0.0; info.elements()];
                self.values(view, &self.gather(view)?, &mut values)
                    .map_err(fact)?;
                let values = Arc::new(values);
                *lock() = Some((tensor, Arc::clone(&values)));
                values
            }
        };
        out.copy_from_slice(&values[from..to]);
        Ok(())
    }

    fn read(&self, tensor: usize) -> Result<Vec<u8>> {
        let (view, _) = self.tensor(tensor)?;
        self.gather(view)
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.metadata.get(key)
    }

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        &self.metadata
    }

    fn same_as(&self, tensor: usize) -> Option<usize> {
        let own = self.views.get(tensor)?;
        let seen = self.seen.get(&(own.storage, own.offset))?;
        let first = seen.iter().find(|at| {
            let view = &self.views[**at];
            (view.format, &view.shape, &view.strides) == (own.format, &own.shape, &own.strides)
        });
        first
            .copied()
            .filter(|first| *first < tensor && !own.shape.contains(&0))
    }

    fn paths(&self) -> Vec<&Path> {
        self.files
            .iter()
            .map(|place| place.path.as_path())
            .collect()
    }

    /// Those of views of the same elements are counted once.
    fn stored_bytes(&self) -> u64 {
        let own = self.tensors.iter().enumerate();
        own.filter(|(at, _)| self.same_as(*at).is_none())
            .map(|(_, info)| info.bytes)
            .sum()
    }
}
