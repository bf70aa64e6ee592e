//! Text out of files, as it may be shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something other than to be seen: it moves the cursor, colours what follows, names the
/// terminal's window, or turns the direction of reading, so that a text would read other than it is.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
        )
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

fn escaped(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            // As JSON writes it, so that JSON stays JSON. Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A text of one line with every character that would act on a terminal written out (`\u001b`), line breaks included.
/// For names, titles, keys and paths, which may come from files.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, acts)
}

/// The same for a text of several lines: line breaks and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| acts(c) && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_out_and_nothing_else() {
        assert_eq!(
            one_line("\u{1b}]0;owned\u{7}\r\n\u{9b}31m\u{202e}"),
            "\\u001b]0;owned\\u0007\\u000d\\u000a\\u009b31m\\u202e"
        );
        assert_eq!(lines("a\n\tb\u{1b}"), "a\n\tb\\u001b");
        for plain in ["gCO₂e → 3 µJ, “é” 中文", "C:\\models\\x", ""] {
            assert!(matches!(one_line(plain), Cow::Borrowed(text) if text == plain));
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"title": "\u{9b}31m\u{1b}\u{202e}"});
        let text = serde_json::to_string(&value).unwrap();
        let shown = lines(&text);
        assert!(!shown.contains(acts));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
