//! Measurements that took long, kept on disk: by model, data, recipe and version of the method, so that a position that was
//! measured once is there at once, whenever the program is started again.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files;
use crate::folders;
use crate::measurement::{Depth, Measurement};
use crate::model::hex;

/// The longest file that is read.
const LONGEST: u64 = 16 << 20;
/// Measurements that are kept of a model.
const MOST: usize = 300;

/// Where the measurements of one model are kept.
#[derive(Debug)]
pub(super) struct KeptMeasurements {
    folder: Option<PathBuf>,
    model_hash: String,
    /// What tells the data apart.
    data: String,
}

impl KeptMeasurements {
    /// Those of a model on some data.
    pub(super) fn new(model_hash: &str, data: &str) -> Self {
        let cache = folders::cache();
        Self {
            folder: cache.map(|cache| cache.join("measurements").join(short(model_hash))),
            model_hash: model_hash.to_owned(),
            data: data.to_owned(),
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let mut hasher = Sha256::new();
        let version = crate::METHOD_VERSION.to_string();
        for part in [version.as_str(), &self.model_hash, &self.data, key] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let name = hex(&hasher.finalize());
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{}.ron", short(&name))))
    }

    /// The full measurement that was kept under a key; none where there is none or its file is damaged.
    pub(super) fn read(&self, key: &str) -> Option<Measurement> {
        let text = files::read_text_if_there(&self.path(key)?, LONGEST).ok()??;
        let measurement: Measurement = ron::from_str(&text).ok()?;
        let is_it = measurement.model_hash == self.model_hash && measurement.depth == Depth::Full;
        is_it.then_some(measurement)
    }

    /// Keeps a full measurement; the oldest ones make room. What cannot be written is only measured again.
    pub(super) fn write(&self, key: &str, measurement: &Measurement) {
        let Some(path) = self.path(key) else {
            return;
        };
        let Ok(text) = ron::to_string(measurement) else {
            return;
        };
        let folder = files::folder_of(&path);
        if std::fs::create_dir_all(folder).is_err() {
            return;
        }
        make_room(folder);
        let _ = files::replace_with(&path, text);
    }
}

fn short(hash: &str) -> &str {
    hash.get(..32).unwrap_or(hash)
}

/// Removes the oldest files of a folder that is full.
fn make_room(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut all: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ron"))
        .map(|path| {
            let changed = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
            (changed.ok(), path)
        })
        .collect();
    if all.len() < MOST {
        return;
    }
    all.sort();
    for (_, path) in all.iter().take(all.len() + 1 - MOST) {
        let _ = std::fs::remove_file(path);
    }
}
