//! Data of the user's to measure on: a text, or labelled images in a form that people have them in.
//!
//! Nothing is taken silently: what is read says in a sentence what it is and how it was prepared ([`Images::said`]), and
//! what does not fit a network is refused with what was expected.

mod folder;
mod idx;
mod images;
mod npz;
mod preprocessing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use images::{Images, Wanted, is_images};
pub use preprocessing::{Order, Preprocessing, Resize};

/// What is measured on in place of what ships.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnData {
    /// The program code that ships.
    Code,
    /// A text file.
    Text(PathBuf),
    /// Labelled images: a folder with one folder for each class, a pair of IDX files, or an `.npz`.
    Images {
        /// Where they are.
        path: PathBuf,
        /// How they become what the network reads; where it is not stated, what the model's own files say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preprocessing: Option<Preprocessing>,
    },
}

impl OwnData {
    /// What a path is by what lies there: images, else a text.
    pub fn at(path: PathBuf) -> Self {
        if is_images(&path) {
            Self::Images {
                path,
                preprocessing: None,
            }
        } else {
            Self::Text(path)
        }
    }

    /// A name for it that is short.
    pub fn name(&self) -> String {
        match self {
            Self::Code => "program code".to_owned(),
            Self::Text(path) | Self::Images { path, .. } => path.file_name().map_or_else(
                || path.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
        }
    }
}
