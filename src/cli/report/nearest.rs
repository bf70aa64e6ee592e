//! Sentences nearest to a few held-out ones, by the original and by the compressed encoder.

use serde::Serialize;
use wattif_core::measurement::{Example, Near};

use crate::format::signed_text;

/// Longest beginning of a sentence in a line, in characters.
const LONGEST: usize = 84;

/// A held-out sentence and those nearest to it, by each model.
#[derive(Debug, Serialize)]
pub struct NearestView {
    /// The sentence.
    pub sentence: String,
    /// The nearest by the original, the nearest first.
    pub original: Vec<Near>,
    /// The nearest by the compressed model.
    pub compressed: Vec<Near>,
}

/// What examples show of sentences; nothing where they show something else.
pub(super) fn views(examples: &[Example]) -> Vec<NearestView> {
    let view = |example: &Example| match example {
        Example::Nearest {
            sentence,
            original,
            compressed,
        } => Some(NearestView {
            sentence: sentence.clone(),
            original: original.clone(),
            compressed: compressed.clone(),
        }),
        _ => None,
    };
    examples.iter().filter_map(view).collect()
}

/// The sentences nearest now, and those that were nearest to the original and are not any more.
pub(super) fn lines(views: &[NearestView]) -> Vec<String> {
    let mut lines = Vec::new();
    for view in views {
        lines.push(format!("Nearest to \"{}\"", beginning(&view.sentence)));
        for near in &view.compressed {
            let mark = if near.by_both { "  " } else { "+ " };
            lines.push(line(mark, near));
        }
        for near in view.original.iter().filter(|near| !near.by_both) {
            lines.push(line("- ", near));
        }
    }
    lines
}

fn line(mark: &str, near: &Near) -> String {
    let similarity = signed_text(near.similarity, 3);
    format!("  {mark}{similarity}  {}", beginning(&near.sentence))
}

fn beginning(sentence: &str) -> String {
    match sentence.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", sentence[..end].trim_end()),
        None => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_and_what_is_gone_is_marked() {
        let near = |sentence: &str, similarity, by_both| Near {
            sentence: sentence.to_owned(),
            similarity,
            by_both,
        };
        let examples = [Example::Nearest {
            sentence: "How are you?".to_owned(),
            original: vec![near("Well.", 0.9, true), near("So so.", 0.8, false)],
            compressed: vec![
                near("Well.", 0.95, true),
                near("ä".repeat(100).as_str(), -0.5, false),
            ],
        }];
        let lines = lines(&views(&examples));
        let expected = [
            "Nearest to \"How are you?\"".to_owned(),
            "    0.950  Well.".to_owned(),
            format!("  + −0.500  {}…", "ä".repeat(84)),
            "  - 0.800  So so.".to_owned(),
        ];
        assert_eq!(lines, expected);
    }
}
