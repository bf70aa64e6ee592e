//! The parts of a split GGUF: `name-00001-of-00003.gguf` and so on, in one folder. llama.cpp's `gguf-split` writes them,
//! with the number of each part in its metadata.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::header::Header;
use super::metadata::Metadata;
use super::place::Place;
use crate::error::Result;

/// The most parts; names of parts have five digits, and published networks have a few dozen.
const MOST_PARTS: u64 = 1_000;

/// What a part says of the whole.
#[derive(Debug)]
pub(super) struct Split {
    /// How many parts.
    pub(super) count: usize,
    /// Which of them this is, from 0 on.
    pub(super) number: usize,
    /// Tensors of all parts, where the part says it.
    tensors: Option<u64>,
    /// The path without the number.
    prefix: PathBuf,
}

/// What a file's metadata and name say of its parts; `None` where it is whole.
pub(super) fn of(place: &Place, metadata: &BTreeMap<String, Metadata>) -> Result<Option<Split>> {
    let number = |key: &str| metadata.get(key).and_then(Metadata::unsigned);
    let count = match number("split.count") {
        None | Some(0 | 1) => return Ok(None),
        Some(count) => count,
    };
    if count > MOST_PARTS {
        return Err(place.wrong(format!(
            "this is a part of a GGUF split into {count}; more than {MOST_PARTS} are not read"
        )));
    }
    let own = number("split.no")
        .filter(|own| *own < count)
        .ok_or_else(|| {
            place.wrong(format!(
                "this is a part of a GGUF split into {count}, and its metadata do not say which"
            ))
        })?;
    let name = place
        .path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let ending = ending(own, count);
    let Some(prefix) = name.strip_suffix(&ending) else {
        return Err(place.wrong(format!(
            "this is part {} of a GGUF split into {count}, so its name must end with '{ending}' for the others to be found",
            own + 1
        )));
    };
    Ok(Some(Split {
        count: count as usize,
        number: own as usize,
        tensors: number("split.tensors.count"),
        prefix: place.path.with_file_name(prefix),
    }))
}

fn ending(number: u64, count: u64) -> String {
    format!("-{:05}-of-{count:05}.gguf", number + 1)
}

impl Split {
    /// Where a part lies.
    pub(super) fn path(&self, number: usize) -> PathBuf {
        let mut path = self.prefix.clone().into_os_string();
        path.push(ending(number as u64, self.count as u64));
        path.into()
    }

    /// Whether a file is this part of the same whole.
    pub(super) fn check(
        &self,
        place: &Place,
        metadata: &BTreeMap<String, Metadata>,
        number: usize,
    ) -> Result<()> {
        let said = |key: &str| metadata.get(key).and_then(Metadata::unsigned);
        let (own, count) = (said("split.no"), said("split.count"));
        if let (Some(said), Some(others)) = (said("split.tensors.count"), self.tensors)
            && said != others
        {
            return Err(place.wrong(format!(
                "this part says that all have {said} tensors together, another part {others}"
            )));
        }
        if own == Some(number as u64) && count == Some(self.count as u64) {
            return Ok(());
        }
        let text = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
        Err(place.wrong(format!(
            "by its name this is part {} of {}, by its metadata part {} of {}",
            number + 1,
            self.count,
            text(own.map(|n| n.saturating_add(1))),
            text(count)
        )))
    }

    /// Whether the parts have as many tensors together as they say.
    pub(super) fn check_tensors(&self, parts: &[(Place, Header)]) -> Result<()> {
        let found: usize = parts.iter().map(|(_, header)| header.tensors.len()).sum();
        match (self.tensors, parts.first()) {
            (Some(said), Some((place, _))) if said != found as u64 => Err(place.wrong(format!(
                "the parts of this split GGUF have {found} tensors, and their metadata say {said}"
            ))),
            _ => Ok(()),
        }
    }
}
