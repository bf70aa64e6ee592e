//! Several sources as one: the files of a model whose index says which tensor is in which.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use super::{Metadata, Source, TensorInfo};
use crate::error::{Error, Result};
use crate::formats;
use crate::outline::tensors::{is_index, parts_of};

/// How the index of files of PyTorch ends.
const INDEX: &str = ".bin.index.json";

/// The tensors of several sources, in the order of these.
#[derive(Debug)]
pub(super) struct Joined {
    parts: Vec<Box<dyn Source>>,
    tensors: Vec<TensorInfo>,
    /// For each tensor its source and its number there.
    origins: Vec<(usize, usize)>,
    places: HashMap<String, usize>,
}

/// Opens the files of PyTorch that an index names; `None` where it is no index of such.
pub(super) fn open(path: &Path) -> Option<Result<Joined>> {
    let name = path.file_name()?.to_string_lossy();
    if !is_index(path) || !name.ends_with(INDEX) {
        return None;
    }
    let files = match parts_of(path) {
        Ok(files) => files,
        Err(error) => return Some(Err(error)),
    };
    let parts = files.iter().map(|file| {
        let arrays = formats::arrays::open(file).ok_or_else(|| {
            Error::file(
                "this is no file of PyTorch, as the others of its index are",
                file,
            )
        })??;
        Ok(Box::new(arrays) as Box<dyn Source>)
    });
    let parts = parts.collect::<Result<Vec<_>>>();
    Some(parts.and_then(|parts| Joined::new(parts, path)))
}

impl Joined {
    fn new(parts: Vec<Box<dyn Source>>, path: &Path) -> Result<Self> {
        let (mut tensors, mut origins, mut places) = (Vec::new(), Vec::new(), HashMap::new());
        for (part, source) in parts.iter().enumerate() {
            for (at, info) in source.tensors().iter().enumerate() {
                if places.insert(info.name.clone(), tensors.len()).is_some() {
                    let name = info.name.escape_debug();
                    let fact = format!("two of its files hold the tensor '{name}'");
                    return Err(Error::file(fact, path));
                }
                tensors.push(info.clone());
                origins.push((part, at));
            }
        }
        Ok(Self {
            parts,
            tensors,
            origins,
            places,
        })
    }

    fn origin(&self, tensor: usize) -> Result<(&dyn Source, usize)> {
        let origin = self.origins.get(tensor);
        origin
            .and_then(|(part, at)| Some((self.parts.get(*part)?.as_ref(), *at)))
            .ok_or_else(|| {
                let all = self.tensors.len();
                Error::Compute(format!("tensor {tensor} is asked for, and there are {all}"))
            })
    }
}

impl Source for Joined {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let (source, at) = self.origin(tensor)?;
        source.decode(at, rows, out)
    }

    fn read(&self, tensor: usize) -> Result<Vec<u8>> {
        let (source, at) = self.origin(tensor)?;
        source.read(at)
    }

    fn metadata(&self, _: &str) -> Option<&Metadata> {
        None
    }

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        static NONE: BTreeMap<String, Metadata> = BTreeMap::new();
        &NONE
    }

    fn same_as(&self, tensor: usize) -> Option<usize> {
        let (part, at) = *self.origins.get(tensor)?;
        let source = self.parts.get(part)?;
        let first = source.same_as(at)?;
        self.find(&source.tensors().get(first)?.name)
    }

    fn paths(&self) -> Vec<&Path> {
        self.parts.iter().flat_map(|part| part.paths()).collect()
    }

    fn stored_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.stored_bytes()).sum()
    }
}
