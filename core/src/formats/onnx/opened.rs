//! A file that is to be run: its network written again, its layers' weights, and what it is given.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::given::{Given, given};
use super::layout::Rows;
use super::plain::{Beside, Plain, plain};
use super::wire::Result;
use super::{Counted, counted, followed};

/// A file that is to be run.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) counted: Counted,
    pub(crate) plain: Plain,
    /// What it is given, or why nothing can be made up.
    pub(crate) given: Result<Vec<Given>>,
    /// SHA-256, hexadecimal, of the file and of the weights beside it.
    pub(crate) hash: String,
}

/// Reads a file's bytes. Sizes that it leaves open are those `given` by their names, else assumed.
///
/// # Errors
/// What is damaged in it, or why its work cannot be counted or it cannot be run.
pub(crate) fn open(bytes: &[u8], sizes: &[(String, u64)], beside: &Beside<'_>) -> Result<Opened> {
    let file = super::file::read(std::io::Cursor::new(bytes), bytes.len() as u64)?;
    let Some(graph) = &file.graph else {
        return Err("there is no graph in it".to_owned());
    };
    let (inputs, evaluation) = followed(&file, graph, sizes)?;
    if let Some((name, _)) = sizes
        .iter()
        .find(|(name, _)| !inputs.given.contains_key(name))
    {
        let open: Vec<&str> = inputs.assumed.keys().map(String::as_str).collect();
        return Err(format!(
            "it leaves no size '{name}' open; open are: {}",
            open.join(", ")
        ));
    }
    let given = given(graph, &inputs);
    let counted = counted(&file, &inputs, evaluation)?;
    let plain = plain(bytes, beside)?;
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    if !counted.beside.is_empty() {
        for tensor in &plain.tensors {
            hasher.update(&tensor.bytes);
        }
    }
    Ok(Opened {
        counted,
        plain,
        given,
        hash: crate::model::hex(&hasher.finalize()),
    })
}

/// Weights of a layer that can be replaced: its rows, and for each of the tensors that they stand in the buffer of the
/// written network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) rows: Rows,
    pub(crate) buffers: Vec<usize>,
}

impl Opened {
    /// The layers whose weights can be replaced.
    pub(crate) fn replaced(&self) -> BTreeMap<String, Replaced> {
        let by_place: BTreeMap<u64, usize> = self
            .plain
            .tensors
            .iter()
            .enumerate()
            .filter(|(_, tensor)| tensor.is_float)
            .map(|(at, tensor)| (tensor.at, at))
            .collect();
        let works = self.counted.works.iter();
        works
            .filter_map(|work| {
                let rows = work.rows.as_ref()?;
                let buffers = rows
                    .parts
                    .iter()
                    .map(|part| by_place.get(&part.at).copied());
                let replaced = Replaced {
                    rows: rows.clone(),
                    buffers: buffers.collect::<Option<_>>()?,
                };
                Some((work.name.clone(), replaced))
            })
            .collect()
    }
}

impl Replaced {
    /// The layer's weights, row by row.
    pub(crate) fn gather(&self, plain: &Plain) -> Option<Vec<f32>> {
        let parts: Vec<Vec<f32>> = self
            .buffers
            .iter()
            .map(|at| {
                let (words, _) = plain.tensors.get(*at)?.bytes.as_chunks::<4>();
                Some(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
            })
            .collect::<Option<_>>()?;
        let parts: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
        self.rows.gather(&parts)
    }

    /// The buffers that hold these weights.
    pub(crate) fn scatter(&self, rows: &[f32]) -> Option<Vec<(usize, Vec<u8>)>> {
        let parts = self.rows.scatter(rows)?;
        let bytes = |part: Vec<f32>| part.into_iter().flat_map(f32::to_le_bytes).collect();
        let parts = parts.into_iter().map(bytes);
        Some(self.buffers.iter().copied().zip(parts).collect())
    }
}

/// The bytes of a tensor in another file in the folder of a file.
///
/// # Errors
/// It is not there, outside of the folder, or too short.
pub(crate) fn beside(path: &Path, location: &str, offset: u64, len: u64) -> Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let place = crate::files::folder_of(path).join(location);
    let mut file = crate::files::open_regular(&place).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(len).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}
