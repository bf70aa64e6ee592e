//! Identifiers that people give their devices.

use super::super::catalogue::ships;
use crate::text;

/// Longest identifier, in characters: with its ending and the folder it stays a file name on every system, and in tables.
const LONGEST_ID: usize = 64;
/// Names that Windows keeps for devices of its own, whatever their ending; `com` and `lpt` with a digit besides.
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];

fn is_reserved(id: &str) -> bool {
    let lower = id.to_ascii_lowercase();
    let port = ["com", "lpt"]
        .iter()
        .filter_map(|port| lower.strip_prefix(port))
        .any(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']));
    port || RESERVED.contains(&lower.as_str())
}

/// An identifier is a file name on every system, and not the name of something else.
///
/// # Errors
/// Why it is not.
pub(super) fn check_id(id: &str) -> std::result::Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let length = id.chars().count();
    if length > LONGEST_ID {
        return Err(format!(
            "the identifier has {length} characters; it may have at most {LONGEST_ID}"
        ));
    }
    if id.is_empty() || !id.chars().all(plain) {
        return Err(format!(
            "the identifier '{}' may hold only letters, digits, '-' and '_', at least one of them",
            text::one_line(id)
        ));
    }
    if id.starts_with('-') {
        return Err(format!(
            "the identifier '{id}' begins with '-', as options of commands do"
        ));
    }
    if is_reserved(id) {
        return Err(format!(
            "the identifier '{id}' is no name of a file on Windows; choose another"
        ));
    }
    if ships(id) {
        return Err(format!(
            "'{id}' is the identifier of a device that ships with WattIf; presets that name it would change their \
             meaning, so choose another"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_a_file_name_everywhere() {
        let long = "a".repeat(LONGEST_ID + 1);
        for wrong in [
            "nvidia-a40",
            "",
            "a/b",
            "..",
            "con",
            "Nul",
            "COM1",
            "lpt9",
            "-rf",
            "a\u{1b}[31m",
            "é",
            &long,
        ] {
            let fact = check_id(wrong).unwrap_err();
            assert!(fact.len() < 200 && !fact.contains('\u{1b}'), "{fact}");
        }
        for right in ["console", "com", "com10", "nul-2", "a", &long[1..]] {
            assert_eq!(check_id(right), Ok(()), "{right}");
        }
    }
}
