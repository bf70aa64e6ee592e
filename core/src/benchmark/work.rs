//! What is run at once and timed with packed weights.

use serde::Serialize;

/// Work that is done at once and timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "work")]
pub enum Work {
    /// Classifying images.
    Classify {
        /// Images at once.
        batch: u32,
    },
    /// Writing the next token of texts.
    Write {
        /// Texts at once.
        batch: u32,
        /// Tokens that each of them already has.
        context: u32,
    },
    /// Reading one text from its beginning.
    Read {
        /// Its tokens.
        batch: u32,
    },
    /// Reading texts whole, each to a row of numbers.
    Encode {
        /// Texts.
        batch: u32,
        /// Tokens of each.
        tokens: u32,
    },
}

impl Work {
    /// Units of work at once.
    pub const fn batch(self) -> u32 {
        match self {
            Self::Classify { batch }
            | Self::Write { batch, .. }
            | Self::Read { batch }
            | Self::Encode { batch, .. } => batch,
        }
    }

    /// What is done at once, in a few words.
    pub fn words(self) -> String {
        match self {
            Self::Classify { batch: 1 } => "1 image".to_owned(),
            Self::Classify { batch } => format!("{batch} images"),
            Self::Write { batch: 1, .. } => "writing 1 text".to_owned(),
            Self::Write { batch, .. } => format!("writing {batch} texts"),
            Self::Read { batch } => format!("reading {batch} tokens"),
            Self::Encode { batch: 1, tokens } => format!("1 text of {tokens} tokens"),
            Self::Encode { batch, tokens } => format!("{batch} texts of {tokens} tokens"),
        }
    }
}
