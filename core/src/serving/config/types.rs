//! What the published classes of configurations have where a file says nothing: one entry a type, in
//! `assets/model_types.ron`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// Types of models whose configurations mean the same.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelType {
    /// Values of `model_type`.
    pub(super) types: Vec<String>,
    /// Whether feed-forward layers have a gate: three matrices instead of two.
    #[serde(default = "yes")]
    pub(super) gated: bool,
    /// Whether the embedding is also the output layer, where the file does not say.
    #[serde(default)]
    pub(super) tied: bool,
    /// Whether normalisation shifts as well as scales.
    #[serde(default)]
    pub(super) layer_norm: bool,
    /// Which matrices have biases, where the file does not say.
    #[serde(default)]
    pub(super) biases: Biased,
    /// Tables of learned positions.
    #[serde(default)]
    pub(super) positions: Positions,
    /// Whether it reads a whole text at once instead of writing one.
    #[serde(default)]
    pub(super) encoder: bool,
    /// Which layers have the window that the file states, where it has no list of them.
    #[serde(default)]
    pub(super) window: Windowed,
    /// Values of keys that a file may leave out.
    #[serde(default)]
    pub(super) defaults: BTreeMap<String, Whole>,
    /// The same, as the reader of keys takes them.
    #[serde(skip)]
    pub(super) values: BTreeMap<String, Value>,
}

/// A default that is a whole number or a flag.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Whole {
    /// A flag.
    Flag(bool),
    /// A number.
    Number(u64),
}

/// Which matrices have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum Biased {
    /// None.
    #[default]
    None,
    /// Those to queries, keys and values.
    Queries,
    /// All but those around attention.
    FeedForward,
    /// All.
    All,
}

/// Tables of learned positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum Positions {
    /// Positions are not looked up.
    #[default]
    None,
    /// As many rows as positions, and so many more.
    Learned(u32),
}

/// Which layers have a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum Windowed {
    /// Only those that the file lists.
    #[default]
    Listed,
    /// None, whatever the file states.
    Never,
    /// All.
    All,
    /// All but every so many.
    AllBut(u32),
    /// Every so many from the second on.
    AllButFirst(u32),
}

const fn yes() -> bool {
    true
}

fn all() -> Result<&'static [ModelType]> {
    static TYPES: OnceLock<std::result::Result<Vec<ModelType>, String>> = OnceLock::new();
    const NAME: &str = "assets/model_types.ron";
    let read = || {
        let text = include_str!("../../../../assets/model_types.ron");
        let mut types: Vec<ModelType> = ron::from_str(text).map_err(|error| error.to_string())?;
        for entry in &mut types {
            let values = entry.defaults.iter().map(|(name, value)| {
                let value = match *value {
                    Whole::Flag(flag) => Value::from(flag),
                    Whole::Number(number) => Value::from(number),
                };
                (name.clone(), value)
            });
            entry.values = values.collect();
        }
        Ok(types)
    };
    match TYPES.get_or_init(read) {
        Ok(types) => Ok(types),
        Err(fact) => Err(Error::file(fact.clone(), NAME)),
    }
}

/// The entry of a type; `None` where there is none.
///
/// # Errors
/// [`Error::File`] when the table that ships is broken.
pub(super) fn find(name: &str) -> Result<Option<&'static ModelType>> {
    let is = |entry: &&ModelType| entry.types.iter().any(|own| own == name);
    Ok(all()?.iter().find(is))
}

/// Whether a type is one that is published and whose layers are not known.
///
/// # Errors
/// [`Error::File`] when the list that ships is broken.
pub(super) fn is_other(name: &str) -> Result<bool> {
    static OTHERS: OnceLock<std::result::Result<Vec<String>, String>> = OnceLock::new();
    let read = || {
        let text = include_str!("../../../../assets/other_types.ron");
        ron::from_str(text).map_err(|error| error.to_string())
    };
    match OTHERS.get_or_init(read) {
        Ok(others) => Ok(others.iter().any(|own| own == name)),
        Err(fact) => Err(Error::file(fact.clone(), "assets/other_types.ron")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_or_refused_and_never_both() {
        for entry in all().unwrap() {
            for name in &entry.types {
                assert!(!is_other(name).unwrap(), "{name}");
            }
        }
        for name in ["swin", "bailing_hybrid", "longcat_flash", "glm5_next_text"] {
            assert!(is_other(name).unwrap(), "{name}");
        }
    }

    #[test]
    fn every_type_stands_once() {
        let mut names: Vec<&str> = all()
            .unwrap()
            .iter()
            .flat_map(|entry| entry.types.iter().map(String::as_str))
            .collect();
        assert!(names.len() >= 70, "{}", names.len());
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
