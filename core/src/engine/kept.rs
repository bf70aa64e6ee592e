//! Measurements that took long, kept on disk: by model, data, recipe and version of the method, so that a position that was
//! measured once is there at once, whenever the program is started again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::files;
use crate::folders;
use crate::measurement::{Depth, Measurement};
use crate::model::hex;
use crate::serving::architecture::Architecture;

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
    /// Those of a model on some data; none are kept before [`Self::keep`].
    pub(super) fn new(model_hash: &str, data: &str) -> Self {
        Self {
            folder: None,
            model_hash: model_hash.to_owned(),
            data: data.to_owned(),
        }
    }

    /// Keeps them in the cache folder, and reads those that are there.
    pub(super) fn keep(&mut self) {
        let cache = folders::cache();
        self.folder = cache.map(|cache| cache.join("measurements").join(short(&self.model_hash)));
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let mut hasher = Sha256::new();
        /// What a measurement holds; raised when there is more in it.
        const FIELDS: u32 = 2;
        let version = (env!("CARGO_PKG_VERSION"), crate::METHOD_VERSION, FIELDS);
        let version = format!("{} {} {}", version.0, version.1, version.2);
        for part in [version.as_str(), &self.model_hash, &self.data, key] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let name = hex(&hasher.finalize());
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{}.ron", short(&name))))
    }

    /// The full measurement that was kept under a key; none where there is none or its file is damaged. The network's shapes
    /// are not kept: they are those of the open model.
    pub(super) fn read(
        &self,
        key: &str,
        network: Option<Arc<Architecture>>,
    ) -> Option<Measurement> {
        let text = files::read_text_if_there(&self.path(key)?, LONGEST).ok()??;
        let mut measurement: Measurement = ron::from_str(&text).ok()?;
        measurement.profile.network = network;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Unobserved};
    use crate::model::ModelReference;
    use crate::recipe::Recipe;

    #[test]
    fn what_was_kept_is_read_again_for_the_same_model_data_and_recipe_only() {
        let engine = Engine::open(&ModelReference::Bundled("tiny-gpt".to_owned())).unwrap();
        let recipe = Recipe::default();
        let coarse = engine.measure(&recipe, Depth::Coarse, &Unobserved).unwrap();
        let full = Measurement {
            depth: Depth::Full,
            ..coarse.clone()
        };
        let scratch = tempfile::tempdir().unwrap();
        let kept = |hash: &str, data: &str| KeptMeasurements {
            folder: Some(scratch.path().join("measurements")),
            model_hash: hash.to_owned(),
            data: data.to_owned(),
        };
        let network = full.profile.network.clone();
        assert!(network.is_some());
        let read = |kept: &KeptMeasurements, key: &str| kept.read(key, network.clone());
        let own = kept(&full.model_hash, "a text");
        assert_eq!(read(&own, "w4"), None);
        own.write("w4", &full);
        assert_eq!(read(&own, "w4"), Some(full.clone()));
        assert_eq!(read(&own, "w5"), None);
        assert_eq!(read(&kept(&full.model_hash, "another text"), "w4"), None);
        assert_eq!(read(&kept("another model", "a text"), "w4"), None);
        // What is not whole is measured again.
        own.write("w3", &coarse);
        assert_eq!(read(&own, "w3"), None);
        std::fs::write(own.path("w4").unwrap(), "(recipe: (").unwrap();
        assert_eq!(read(&own, "w4"), None);
    }

    #[test]
    fn a_full_folder_makes_room_for_new_ones() {
        let scratch = tempfile::tempdir().unwrap();
        for i in 0..MOST + 5 {
            std::fs::write(scratch.path().join(format!("{i:04}.ron")), "").unwrap();
        }
        make_room(scratch.path());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), MOST - 1);
    }
}
