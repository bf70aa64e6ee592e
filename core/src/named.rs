//! Looking something up by what people call it: its identifier, its name on screen, or the beginning of either.

use crate::error::{Error, Result};

/// The one of `all` that `wanted` means, in upper or lower case: by identifier, by name, else as the beginning of
/// exactly one name or, where of none, of one identifier. `words` gives identifier and name.
///
/// # Errors
/// [`Error::Ambiguous`] with the names that begin so; [`Error::Unknown`] with names that resemble it.
pub(crate) fn named<'a, T>(
    what: &'static str,
    wanted: &str,
    all: &'a [T],
    words: impl Fn(&T) -> [&str; 2],
) -> Result<&'a T> {
    let wanted_plain = wanted.trim().to_lowercase();
    for place in [0, 1] {
        let is = |item: &&T| words(item)[place].to_lowercase() == wanted_plain;
        if let Some(item) = all.iter().find(is) {
            return Ok(item);
        }
    }
    for place in [1, 0] {
        let begins = |item: &&T| {
            !wanted_plain.is_empty() && words(item)[place].to_lowercase().starts_with(&wanted_plain)
        };
        match all.iter().filter(begins).collect::<Vec<_>>()[..] {
            [] => {}
            [item] => return Ok(item),
            ref several => {
                let name = |item: &&T| {
                    let [id, name] = words(item);
                    format!("{name} ({id})")
                };
                return Err(Error::Ambiguous {
                    what,
                    wanted: wanted.to_owned(),
                    candidates: several.iter().map(name).collect(),
                });
            }
        }
    }
    // A misspelt name resembles a name, a misspelt identifier an identifier.
    let near =
        |place: usize| Error::unknown(what, wanted, all.iter().map(|item| words(item)[place]));
    match near(0) {
        Error::Unknown { near: none, .. } if none.is_empty() => Err(near(1)),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [(&str, &str); 5] = [
        ("DE", "Germany"),
        ("GE", "Georgia"),
        ("US", "United States"),
        ("US-TX", "United States: Texas"),
        ("AE", "United Arab Emirates"),
    ];

    fn find(wanted: &str) -> Result<&'static str> {
        named("region", wanted, &PLACES, |(id, name)| [id, name]).map(|(id, _)| *id)
    }

    #[test]
    fn identifiers_names_and_unique_beginnings_are_understood_in_any_case() {
        for (wanted, id) in [
            ("de", "DE"),
            ("germany", "DE"),
            (" Ger", "DE"),
            ("GE", "GE"),
            ("united states", "US"),
            ("united states: t", "US-TX"),
            ("us-t", "US-TX"),
        ] {
            assert_eq!(find(wanted).unwrap(), id, "{wanted}");
        }
    }

    #[test]
    fn what_could_be_several_lists_them() {
        assert_eq!(
            find("United").unwrap_err().to_string(),
            "the region 'United' could be United States (US), United States: Texas (US-TX) or United Arab Emirates (AE)"
        );
        assert!(matches!(find(""), Err(Error::Unknown { .. })));
        assert_eq!(
            find("Germny").unwrap_err().to_string(),
            "no region is called 'Germny'; did you mean Germany?"
        );
    }
}
