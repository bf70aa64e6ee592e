//! GGUF, the format of llama.cpp: one file, or several of which each has a part of the tensors.

use std::collections::HashMap;
use std::ops::Range;

use super::place::Place;
use super::{Metadata, Source, TensorInfo, decode_rows, header, split};
use crate::error::{Error, Result};

/// Whether a file begins as a GGUF does.
pub(super) fn is_gguf(place: &Place) -> Result<bool> {
    Ok(place.length >= 4 && place.read(0, 4)? == *b"GGUF")
}

/// An open GGUF.
#[derive(Debug)]
struct Gguf {
    files: Vec<Place>,
    metadata: std::collections::BTreeMap<String, Metadata>,
    tensors: Vec<TensorInfo>,
    /// For each tensor its file and where it begins in it.
    starts: Vec<(usize, u64)>,
    places: HashMap<String, usize>,
}

/// Opens a GGUF with the other parts of it, where it is split.
pub(super) fn open(place: Place) -> Result<impl Source> {
    let header = header::read(&place)?;
    let Some(split) = split::of(&place, &header.metadata)? else {
        return Gguf::new(vec![(place, header)]);
    };
    let mut parts = Vec::with_capacity(split.count.min(64));
    let (own, mut first) = (split.number, Some((place, header)));
    for number in 0..split.count {
        let part = match first.take_if(|_| number == own) {
            Some(part) => part,
            None => {
                let place = Place::open(&split.path(number))?;
                let header = header::read(&place)?;
                split.check(&place, &header.metadata, number)?;
                (place, header)
            }
        };
        parts.push(part);
    }
    split.check_tensors(&parts)?;
    Gguf::new(parts)
}

/// Opens a GGUF that must be whole.
pub(super) fn open_alone(place: Place) -> Result<impl Source> {
    let header = header::read(&place)?;
    if split::of(&place, &header.metadata)?.is_some() {
        return Err(
            place.wrong("this is a part of a split GGUF, and the other parts are not at hand")
        );
    }
    Gguf::new(vec![(place, header)])
}

impl Gguf {
    /// Of all parts, in their order; the metadata are those of the first.
    fn new(parts: Vec<(Place, header::Header)>) -> Result<Self> {
        let mut gguf = Self {
            files: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            tensors: Vec::new(),
            starts: Vec::new(),
            places: HashMap::new(),
        };
        for (place, header) in parts {
            let file = gguf.files.len();
            if file == 0 {
                gguf.metadata = header.metadata;
            }
            for (info, start) in header.tensors.into_iter().zip(header.starts) {
                let at = gguf.tensors.len();
                if gguf.places.insert(info.name.clone(), at).is_some() {
                    return Err(place.wrong(format!(
                        "tensor '{}' is in another part of the network too",
                        info.name
                    )));
                }
                gguf.tensors.push(info);
                gguf.starts.push((file, start));
            }
            gguf.files.push(place);
        }
        Ok(gguf)
    }

    fn tensor(&self, tensor: usize) -> Result<(&Place, &TensorInfo, u64)> {
        let found = self.tensors.get(tensor).zip(self.starts.get(tensor));
        found
            .and_then(|(info, (file, start))| Some((self.files.get(*file)?, info, *start)))
            .ok_or_else(|| no_tensor(tensor, self.tensors.len()))
    }
}

/// A tensor is asked for that is not there.
pub(super) fn no_tensor(tensor: usize, all: usize) -> Error {
    Error::Compute(format!("tensor {tensor} is asked for, and there are {all}"))
}

impl Source for Gguf {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let (place, info, start) = self.tensor(tensor)?;
        decode_rows(place, info, start, rows, out)
    }

    fn read(&self, tensor: usize) -> Result<Vec<u8>> {
        let (place, info, start) = self.tensor(tensor)?;
        let bytes = usize::try_from(info.bytes)
            .map_err(|_| place.wrong(format!("tensor '{}' does not fit into memory", info.name)))?;
        place.read(start, bytes)
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.metadata.get(key)
    }

    fn stored_bytes(&self) -> u64 {
        self.tensors.iter().map(|info| info.bytes).sum()
    }
}
