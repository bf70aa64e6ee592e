//! Power that this machine draws, from its own sensors. A sensor gives watts or the reason why not, never a zero that
//! means "nothing was read".

mod battery;
mod nvml;
mod rapl;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use self::nvml::Gpus;
use self::rapl::Rapl;
use crate::units::{Seconds, Watts};

/// What one sensor said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// The sensor: "RAPL package-0", "NVML GPU 0", "battery".
    pub sensor: String,
    /// What its watts are of.
    pub covers: &'static str,
    /// The reading, or why there is none.
    #[serde(flatten)]
    pub answer: Answer,
}

/// A reading or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", untagged)]
pub enum Answer {
    /// A reading.
    Reading {
        /// Power, above zero.
        watts: Watts,
        /// The time it is the average of; absent for a sensor that says what it sees now.
        #[serde(rename = "average_over_s", skip_serializing_if = "Option::is_none")]
        over: Option<Seconds>,
    },
    /// No reading.
    None {
        /// Why, and what would have to change.
        reason: String,
    },
}

impl Answer {
    /// Power, where there is a reading.
    pub fn watts(&self) -> Option<Watts> {
        match self {
            Self::Reading { watts, .. } => Some(*watts),
            Self::None { .. } => None,
        }
    }

    /// A reading that is power only if it is above zero; `otherwise` says what a zero would mean.
    fn positive(watts: f64, over: Option<Seconds>, otherwise: &str) -> Self {
        if watts.is_finite() && watts > 0.0 {
            Self::Reading {
                watts: Watts(watts),
                over,
            }
        } else {
            Self::none(otherwise)
        }
    }

    fn none(reason: impl Into<String>) -> Self {
        Self::None {
            reason: reason.into(),
        }
    }
}

/// All sensors of this machine.
pub struct Meter {
    tree: Tree,
    rapl: Rapl,
    gpus: Gpus,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// Finds the sensors and begins to count. Loading the GPU's library can take a second.
    pub fn new() -> Self {
        Self::of(Tree::system(), Gpus::open())
    }

    /// The same without the GPU's library, for the processor packages alone.
    pub(crate) fn packages() -> Self {
        Self::of(Tree::system(), Gpus::Absent("not asked".to_owned()))
    }

    fn of(tree: Tree, gpus: Gpus) -> Self {
        let rapl = Rapl::start(&tree, Instant::now());
        Self { tree, rapl, gpus }
    }

    /// What every sensor says: averages since the last call, or since [`Meter::new`], where it counts energy.
    pub fn read(&mut self) -> Vec<Source> {
        let mut sources = self.read_packages();
        sources.extend(self.gpus.read());
        sources.push(battery::read(&self.tree));
        sources
    }

    /// The same for the processor packages alone, which answer in microseconds.
    pub(crate) fn read_packages(&mut self) -> Vec<Source> {
        self.rapl.read(&self.tree, Instant::now())
    }
}

/// The kernel's files: the folder that stands for `/sys`, and how to read one of them.
#[derive(Debug, Clone)]
struct Tree {
    root: PathBuf,
    read: fn(&Path) -> io::Result<String>,
}

impl Tree {
    fn system() -> Self {
        Self {
            root: PathBuf::from("/sys"),
            read: |path| std::fs::read_to_string(path),
        }
    }

    /// The entries of a folder, sorted; empty where there is no such folder.
    fn entries(&self, folder: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root.join(folder));
        let mut paths: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        paths
    }

    /// The text of a file without the space around it, or why it cannot be had.
    fn text(&self, path: &Path) -> Result<String, String> {
        let text = (self.read)(path).map_err(|error| {
            let path = path.display();
            if error.kind() == io::ErrorKind::PermissionDenied {
                format!("no permission to read {path}")
            } else {
                format!("{path} cannot be read ({error})")
            }
        })?;
        Ok(text.trim().to_owned())
    }

    /// The number in a file, or why there is none.
    fn number(&self, path: &Path) -> Result<f64, String> {
        let text = self.text(path)?;
        let nonsense = || format!("{} holds '{text}', which is no number", path.display());
        let number: f64 = text.parse().map_err(|_| nonsense())?;
        if number.is_finite() {
            Ok(number)
        } else {
            Err(nonsense())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that stands for `/sys`.
    pub(super) struct Fake(tempfile::TempDir);

    impl Fake {
        pub(super) fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        pub(super) fn put(&self, file: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }

        pub(super) fn tree(&self) -> Tree {
            Tree {
                root: self.0.path().to_owned(),
                ..Tree::system()
            }
        }
    }

    pub(super) fn reason(answer: &Answer) -> &str {
        match answer {
            Answer::None { reason } => reason,
            Answer::Reading { .. } => panic!("{answer:?} is a reading"),
        }
    }

    #[test]
    fn a_machine_without_sensors_says_why_for_each() {
        let mut meter = Meter::of(Fake::new().tree(), Gpus::Absent("no library".to_owned()));
        let sources = meter.read();
        let sensors: Vec<&str> = sources.iter().map(|s| s.sensor.as_str()).collect();
        assert_eq!(sensors, ["RAPL", "NVML", "battery"]);
        for source in &sources {
            assert!(!reason(&source.answer).is_empty());
        }
        let json = serde_json::to_value(&sources).unwrap();
        assert_eq!(json[1]["reason"], "no library");
        assert!(json[1].get("watts").is_none(), "no zero for no reading");
    }
}
