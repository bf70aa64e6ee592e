//! Which serving software the words of a table name: by engine and version, from `assets/serving_software.ron`.

use std::sync::OnceLock;

use serde::Deserialize;

use super::format::{Engine, Era};
use crate::error::{Error, Result};

/// The file that ships with the program.
const FILE: &str = include_str!("../../../assets/serving_software.ron");
/// Its path.
const PATH: &str = "assets/serving_software.ron";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    from: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader of the file"))]
    when: String,
    era: Era,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader of the file"))]
    source: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    names: Vec<String>,
    engine: Engine,
    versions: Vec<Version>,
}

/// The software that a table names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Software {
    /// By its maker.
    pub(super) engine: Engine,
    /// The year of the stack whose overheads it shows.
    pub(super) era: Era,
    /// Whether its version or year was stated.
    pub(super) stated: bool,
}

fn entries() -> Result<&'static [Entry]> {
    static ENTRIES: OnceLock<Result<Vec<Entry>>> = OnceLock::new();
    let loaded = ENTRIES.get_or_init(|| {
        ron::from_str(FILE).map_err(|error| Error::file(format!("line {error}"), PATH))
    });
    match loaded {
        Ok(entries) => Ok(entries),
        Err(error) => Err(error.clone()),
    }
}

/// The numbers of a version: "0.5.6.post2" is 0, 5, 6; "1.0.0rc3" is 1, 0, 0.
fn numbers(version: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for part in version.split('.') {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        let Ok(number) = digits.parse() else { break };
        numbers.push(number);
        if digits.len() < part.len() {
            break;
        }
    }
    numbers
}

/// The version right after the name of an engine.
fn version(after: &str) -> Option<Vec<u32>> {
    let word = after
        .trim_start_matches(|c: char| c == '-' || c == '=' || c.is_whitespace())
        .split(|c: char| c.is_whitespace() || c == '(' || c == ',')
        .next()?
        .trim_start_matches('v');
    Some(numbers(word)).filter(|numbers| numbers.len() > 1)
}

/// A year of this century among the words.
fn year(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() == 4)
        .find_map(|digits| {
            digits
                .parse()
                .ok()
                .filter(|year| (2020..2100).contains(year))
        })
}

/// The software that the words of a table name: "vLLM 0.5.4 (ML.ENERGY v2, 2024)", "sglang 0.5.9", "vLLM (2026)".
///
/// # Errors
/// Why it is not known, in words.
pub(super) fn software(text: &str) -> std::result::Result<Software, String> {
    let lower = text.to_lowercase();
    let newest = |engine| Software {
        engine,
        era: Era::Y2026,
        stated: false,
    };
    if lower.trim().is_empty() {
        return Ok(newest(Engine::default()));
    }
    if lower.contains("hf ") || lower.contains("transformers") || lower.contains("pytorch") {
        return Ok(Software {
            era: Era::Eager,
            stated: true,
            ..newest(Engine::default())
        });
    }
    let all = entries().map_err(|error| error.to_string())?;
    let named = all.iter().find_map(|entry| {
        let found = entry.names.iter().find_map(|name| {
            let at = lower.find(name)?;
            lower.get(at + name.len()..)
        })?;
        Some((entry, found))
    });
    let Some((entry, after)) = named else {
        return Err(format!("the serving software '{text}' is not known"));
    };
    if let Some(version) = version(after) {
        let older = |other: &&Version| numbers(&other.from) <= version;
        let Some(found) = entry.versions.iter().rev().find(older) else {
            return Err(format!(
                "'{text}' is older than the first version of it that is known"
            ));
        };
        return Ok(Software {
            era: found.era,
            stated: true,
            ..newest(entry.engine)
        });
    }
    match year(&lower) {
        Some(..2024) => Err(format!("'{text}' is older than what is known of it")),
        Some(year) => Ok(Software {
            era: match year {
                2024 => Era::Y2024,
                2025 => Era::Y2025,
                _ => Era::Y2026,
            },
            stated: true,
            ..newest(entry.engine)
        }),
        None => Ok(newest(entry.engine)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_lead_to_the_year_of_the_stack() {
        use Engine::{Sglang, TensorRt, Vllm};
        for (text, engine, era, stated) in [
            ("vLLM 0.5.4 (ML.ENERGY v2, 2024)", Vllm, Era::Y2024, true),
            ("vLLM (ML.ENERGY v3, Dec 2025)", Vllm, Era::Y2025, true),
            ("vllm 0.12.0", Vllm, Era::Y2025, true),
            ("vLLM v0.17.0", Vllm, Era::Y2026, true),
            ("vLLM (2026)", Vllm, Era::Y2026, true),
            ("vLLM", Vllm, Era::Y2026, false),
            ("SGLang 0.5.7", Sglang, Era::Y2026, true),
            ("sglang 0.5.6.post2", Sglang, Era::Y2026, true),
            ("sglang 0.3.1", Sglang, Era::Y2024, true),
            (
                "sglang nightly-dev-20260216-d3bae71e",
                Sglang,
                Era::Y2026,
                false,
            ),
            ("trtllm 1.2.0rc6.post3", TensorRt, Era::Y2026, true),
            ("TensorRT-LLM 0.12", TensorRt, Era::Y2024, true),
            ("HF transformers 4.40", Vllm, Era::Eager, true),
        ] {
            let expected = Software {
                engine,
                era,
                stated,
            };
            assert_eq!(software(text), Ok(expected), "{text}");
        }
        for unknown in ["LMDeploy 0.6", "vllm 0.2.1", "vLLM (2023)", "SGLang 0.1.12"] {
            assert!(software(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn every_entry_is_in_order_and_has_a_source() {
        for entry in entries().unwrap() {
            assert!(!entry.names.is_empty() && !entry.versions.is_empty());
            for version in &entry.versions {
                assert!(version.source.len() > 20 && version.when.len() == 7);
                assert!(numbers(&version.from).len() > 1, "{}", version.from);
            }
            for pair in entry.versions.windows(2) {
                assert!(numbers(&pair[0].from) < numbers(&pair[1].from));
                assert!(pair[0].when < pair[1].when && pair[0].era < pair[1].era);
            }
        }
    }
}
