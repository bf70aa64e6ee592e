//! Names as people write them: case, accents and what stands between the words do not tell two names apart.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The words of a text: lower case, without accents, split at everything that is neither letter nor digit.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in text.nfd().filter(|letter| !is_combining_mark(*letter)) {
        // An apostrophe and the points of an abbreviation are inside a word; a point between digits is not.
        if matches!(letter, '\'' | '’') {
            continue;
        }
        let Some(word) = words.last_mut() else {
            break;
        };
        if !letter.is_alphanumeric() {
            if !word.is_empty() {
                words.push(String::new());
            }
            continue;
        }
        match letter {
            'ß' | 'ẞ' => word.push_str("ss"),
            'æ' | 'Æ' => word.push_str("ae"),
            'œ' | 'Œ' => word.push_str("oe"),
            'þ' | 'Þ' => word.push_str("th"),
            'ø' | 'Ø' => word.push('o'),
            'ł' | 'Ł' => word.push('l'),
            'đ' | 'Đ' | 'ð' | 'Ð' => word.push('d'),
            'ı' => word.push('i'),
            _ => word.extend(letter.to_lowercase()),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The words of a text, written together.
pub(crate) fn squashed(text: &str) -> String {
    words(text).concat()
}

/// Most words that are taken for one that somebody wrote together: "rtx4090", "jetsonagxorin".
const RUN: usize = 4;

/// Whether every word of `wanted` is in one of `names`, in any order, where words may be written together or apart.
pub(super) fn all_in(wanted: &[String], names: &[Vec<String>]) -> bool {
    wanted.is_empty()
        || (1..=RUN.min(wanted.len())).rev().any(|n| {
            let together = wanted[..n].concat();
            names.iter().any(|words| has_run(words, &together)) && all_in(&wanted[n..], names)
        })
}

/// Whether consecutive words, written together, are `together`.
fn has_run(words: &[String], together: &str) -> bool {
    (0..words.len()).any(|start| {
        let mut rest = together;
        for word in &words[start..] {
            match rest.strip_prefix(word.as_str()) {
                Some("") => return true,
                Some(left) => rest = left,
                None => return false,
            }
        }
        false
    })
}

/// Whether a text is nothing but up to three Latin letters: a code, never the beginning of a name.
pub(crate) fn is_code(text: &str) -> bool {
    let text = text.trim();
    text.len() <= 3 && text.chars().all(|letter| letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_separators_do_not_tell_names_apart() {
        for (one, other) in [
            ("Québec", "QUEBEC"),
            ("Que\u{301}bec", "Québec"),
            ("Côte d'Ivoire", "cote d’ivoire"),
            ("Österreich", "osterreich"),
            ("Türkiye", "turkiye"),
            ("São Tomé and Príncipe", "sao-tome_and/principe"),
            ("Færøerne", "faeroerne"),
            ("İstanbul", "istanbul"),
            ("NVIDIA H100 SXM5 80 GB", "nvidia-h100-sxm5-80gb"),
        ] {
            assert_eq!(squashed(one), squashed(other), "{one} {other}");
        }
        assert_eq!(words("Llama-3.1_70B/x"), ["llama", "3", "1", "70b", "x"]);
        assert!(words(" -./ ").is_empty());
    }

    #[test]
    fn words_may_be_written_together_or_apart_and_in_any_order() {
        let name = [words("NVIDIA Jetson AGX Orin 64 GB")];
        for wanted in [
            "orin 64gb",
            "64 GB jetson",
            "jetsonagx orin",
            "nvidia-jetson",
        ] {
            assert!(all_in(&words(wanted), &name), "{wanted}");
        }
        for wanted in ["ori", "orin 32", "jetson orin nano", "agx64"] {
            assert!(!all_in(&words(wanted), &name), "{wanted}");
        }
    }
}
