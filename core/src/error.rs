//! The errors of the engine: the fact first, the path last.

use std::path::PathBuf;

use crate::text::one_line;

/// Shorthand for a result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in words for the person who asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A file could not be read, written or understood.
    #[error("{}: {}", one_line(fact), one_line(&path.to_string_lossy()))]
    File {
        /// What is wrong with it, without a trailing full stop.
        fact: String,
        /// The file.
        path: PathBuf,
    },
    /// A recipe asks for something that does not exist (a sparsity of 120 %, 9-bit weights, …).
    #[error("{}", one_line(.0))]
    Recipe(String),
    /// A scenario asks for something that does not exist (zero devices, a PUE below 1, …).
    #[error("{}", one_line(.0))]
    Scenario(String),
    /// An identifier is not in its catalogue.
    #[error("no {what} is called '{}'{}", one_line(id), nearest(near))]
    Unknown {
        /// The kind of thing looked up: "hardware", "region", "bundled model".
        what: &'static str,
        /// What was asked for.
        id: String,
        /// Close names that exist.
        near: Vec<String>,
    },
    /// What was asked for is the beginning of several names.
    #[error("the {what} '{}' could be {}", one_line(wanted), listed(candidates))]
    Ambiguous {
        /// The kind of thing looked up.
        what: &'static str,
        /// What was asked for.
        wanted: String,
        /// The names that begin so, with their identifiers.
        candidates: Vec<String>,
    },
    /// A place that is known and has no grid.
    #[error("no grid data for {}", one_line(.0))]
    NoGrid(String),
    /// The hardware cannot run this model, and why.
    #[error("{}", one_line(.0))]
    Infeasible(String),
    /// The work was superseded or cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A tensor computation failed.
    #[error("computation failed: {}", one_line(.0))]
    Compute(String),
}

fn nearest(near: &[String]) -> String {
    if near.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", one_line(&near.join(" or ")))
    }
}

/// A number as it was given, with a power of ten where it would have many zeros.
pub(crate) fn plain(value: f64) -> String {
    if value == 0.0 || (1e-6..1e15).contains(&value.abs()) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

/// Up to eight candidates, and how many more there are.
fn listed(candidates: &[String]) -> String {
    const SHOWN: usize = 8;
    let candidates: Vec<_> = candidates.iter().map(|name| one_line(name)).collect();
    match &candidates[..] {
        [only] => only.to_string(),
        [all @ .., last] if !all.is_empty() && all.len() < SHOWN => {
            format!("{} or {last}", all.join(", "))
        }
        _ => {
            let shown = &candidates[..candidates.len().min(SHOWN)];
            let more = candidates.len() - shown.len();
            format!("{} and {more} more", shown.join(", "))
        }
    }
}

impl Error {
    /// An error about a file.
    pub fn file(fact: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self::File {
            fact: fact.into(),
            path: path.into(),
        }
    }

    /// An unknown identifier, with up to three known ones that resemble it.
    pub fn unknown<'a>(
        what: &'static str,
        id: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let wanted = id.to_lowercase();
        let mut near: Vec<(usize, &str)> = known
            .into_iter()
            .map(|name| (edit_distance(&wanted, &name.to_lowercase()), name))
            .filter(|(distance, name)| {
                *distance <= 1 + wanted.len() / 3 || name.to_lowercase().contains(&wanted)
            })
            .collect();
        near.sort();
        // Where one letter makes a name of it, no other is meant.
        if near.first().is_some_and(|(distance, _)| *distance == 1) {
            near.retain(|(distance, _)| *distance == 1);
        }
        Self::Unknown {
            what,
            id: id.to_owned(),
            near: near
                .into_iter()
                .take(3)
                .map(|(_, name)| name.to_owned())
                .collect(),
        }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(error.to_string())
    }
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_suggests_what_resembles_it() {
        let error = Error::unknown("region", "frence", ["france", "germany", "french-guiana"]);
        assert_eq!(
            error.to_string(),
            "no region is called 'frence'; did you mean france?"
        );
    }

    #[test]
    fn no_error_acts_on_a_terminal() {
        let text = "\u{1b}]0;owned\u{7}\n".to_owned();
        let errors = [
            Error::file(&text, &text),
            Error::Recipe(text.clone()),
            Error::Scenario(text.clone()),
            Error::unknown("region", &text, [text.as_str()]),
            Error::Ambiguous {
                what: "region",
                wanted: text.clone(),
                candidates: vec![text.clone(), text.clone()],
            },
            Error::Infeasible(text.clone()),
            Error::Compute(text),
        ];
        for error in errors {
            let shown = error.to_string();
            assert!(!shown.contains(char::is_control), "{shown:?}");
            assert!(shown.contains("\\u001b]0;owned\\u0007\\u000a"), "{shown}");
        }
    }

    #[test]
    fn a_file_error_ends_with_the_path() {
        let error = Error::file("the header is cut short", "/a/b.safetensors");
        assert_eq!(
            error.to_string(),
            "the header is cut short: /a/b.safetensors"
        );
    }
}
