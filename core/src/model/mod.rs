//! [`Model`]: an architecture and its named tensors. One file per architecture family.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Tensors by name; f32, contiguous, on the CPU.
pub type Tensors = BTreeMap<String, Tensor>;

/// Which model is meant: one that ships with the program or a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ModelReference {
    /// A bundled model by its name; written `bundled:NAME`.
    Bundled(String),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for ModelReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundled(name) => write!(f, "bundled:{name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for ModelReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text.strip_prefix("bundled:") {
            Some(name) => Self::Bundled(name.to_owned()),
            None => Self::File(PathBuf::from(text)),
        })
    }
}

impl From<ModelReference> for String {
    fn from(reference: ModelReference) -> Self {
        reference.to_string()
    }
}

impl TryFrom<String> for ModelReference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}
