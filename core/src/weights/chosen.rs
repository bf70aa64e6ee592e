//! Some tensors of another source under other names.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use super::{Metadata, Source, TensorInfo};
use crate::error::{Error, Result};

/// Tensors of another source, each under a name of its own.
#[derive(Debug)]
pub(crate) struct Chosen {
    source: Box<dyn Source>,
    tensors: Vec<TensorInfo>,
    /// Which of the source each of them is.
    origins: Vec<usize>,
    places: HashMap<String, usize>,
}

impl Chosen {
    /// Takes tensors of a source by their number there, with their names here.
    pub(crate) fn new(source: Box<dyn Source>, chosen: Vec<(usize, String)>) -> Self {
        let (mut tensors, mut origins, mut places) = (Vec::new(), Vec::new(), HashMap::new());
        for (origin, name) in chosen {
            let Some(info) = source.tensors().get(origin) else {
                continue;
            };
            places.insert(name.clone(), tensors.len());
            tensors.push(TensorInfo {
                name,
                ..info.clone()
            });
            origins.push(origin);
        }
        Self {
            source,
            tensors,
            origins,
            places,
        }
    }

    fn origin(&self, tensor: usize) -> Result<usize> {
        self.origins.get(tensor).copied().ok_or_else(|| {
            let all = self.tensors.len();
            Error::Compute(format!("tensor {tensor} is asked for, and there are {all}"))
        })
    }
}

impl Source for Chosen {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        self.source.decode(self.origin(tensor)?, rows, out)
    }

    fn read(&self, tensor: usize) -> Result<Vec<u8>> {
        self.source.read(self.origin(tensor)?)
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.source.metadata(key)
    }

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        self.source.all_metadata()
    }

    fn same_as(&self, _: usize) -> Option<usize> {
        None
    }

    fn paths(&self) -> Vec<&Path> {
        self.source.paths()
    }

    fn stored_bytes(&self) -> u64 {
        self.tensors.iter().map(|info| info.bytes).sum()
    }
}
