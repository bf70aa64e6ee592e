//! Open files, of which each has a part of the tensors.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use super::header::Header;
use super::place::Place;
use super::{Metadata, Source, TensorInfo, decode_rows};
use crate::error::{Error, Result};

/// One file, or the parts of a network.
#[derive(Debug)]
pub(super) struct Opened {
    files: Vec<Place>,
    metadata: BTreeMap<String, Metadata>,
    tensors: Vec<TensorInfo>,
    /// For each tensor its file and where it begins in it.
    starts: Vec<(usize, u64)>,
    places: HashMap<String, usize>,
}

impl Opened {
    /// Of all parts, in their order; the metadata are those of the first.
    pub(super) fn new(parts: Vec<(Place, Header)>) -> Result<Self> {
        let mut all = Self {
            files: Vec::new(),
            metadata: BTreeMap::new(),
            tensors: Vec::new(),
            starts: Vec::new(),
            places: HashMap::new(),
        };
        for (place, header) in parts {
            let file = all.files.len();
            if file == 0 {
                all.metadata = header.metadata;
            }
            for (info, start) in header.tensors.into_iter().zip(header.starts) {
                let at = all.tensors.len();
                if all.places.insert(info.name.clone(), at).is_some() {
                    return Err(place.wrong(format!(
                        "tensor '{}' is in another part of the network too",
                        info.name
                    )));
                }
                all.tensors.push(info);
                all.starts.push((file, start));
            }
            all.files.push(place);
        }
        Ok(all)
    }

    /// The same with the matrices of experts below each other: tensors of three dimensions have two.
    pub(super) fn flat(mut self) -> Self {
        for info in &mut self.tensors {
            if let [experts, rows, columns] = info.shape[..] {
                info.shape = vec![experts.saturating_mul(rows), columns];
            }
        }
        self
    }

    fn tensor(&self, tensor: usize) -> Result<(&Place, &TensorInfo, u64)> {
        let found = self.tensors.get(tensor).zip(self.starts.get(tensor));
        found
            .and_then(|(info, (file, start))| Some((self.files.get(*file)?, info, *start)))
            .ok_or_else(|| no_tensor(tensor, self.tensors.len()))
    }
}

/// A tensor is asked for that is not there.
fn no_tensor(tensor: usize, all: usize) -> Error {
    Error::Compute(format!("tensor {tensor} is asked for, and there are {all}"))
}

impl Source for Opened {
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

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        &self.metadata
    }

    fn paths(&self) -> Vec<&Path> {
        self.files
            .iter()
            .map(|place| place.path.as_path())
            .collect()
    }

    fn stored_bytes(&self) -> u64 {
        self.tensors.iter().map(|info| info.bytes).sum()
    }
}
