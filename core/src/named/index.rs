//! Everything of one kind, with the names that it goes by.

use super::words::{all_in, is_code, words};
use super::{Understood, note};
use crate::error::{Error, Result};

/// Fewest letters with which the beginning of a word stands for the word.
const BEGINNING: usize = 4;

/// Something and what it is called.
#[derive(Debug)]
pub(crate) struct Entry {
    id: String,
    name: String,
    /// The identifier, the name and all other names, as words.
    words: Vec<Vec<String>>,
    /// The same, each written together.
    squashed: Vec<String>,
}

impl Entry {
    /// An identifier, the name on screen, and other names.
    pub(crate) fn new<'a>(
        id: &'a str,
        name: &'a str,
        others: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let words: Vec<Vec<String>> = [id, name].into_iter().chain(others).map(words).collect();
        Self {
            squashed: words.iter().map(|words| words.concat()).collect(),
            words,
            id: id.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Name and identifier.
    fn shown(&self) -> String {
        if self.id == self.name {
            self.id.clone()
        } else {
            format!("{} ({})", self.name, self.id)
        }
    }

    /// Whether a word of a name begins with each of the wanted ones, and whether those that are cut short are long and
    /// of letters only: "A100" is not short for "A100X".
    fn begins(&self, wanted: &[String]) -> Option<bool> {
        let mut long = true;
        for word in wanted {
            let mut known = self.words.iter().flatten();
            if known.any(|known| known == word) {
                continue;
            }
            if !self
                .words
                .iter()
                .flatten()
                .any(|known| known.starts_with(word))
            {
                return None;
            }
            long &= word.chars().count() >= BEGINNING && word.chars().all(char::is_alphabetic);
        }
        Some(long)
    }

    /// How well a search fits: 0 where the words are words of it, 1 where they are beginnings, 2 where they occur; `None`
    /// where one does not.
    pub(crate) fn rank(&self, wanted: &[Vec<String>]) -> Option<usize> {
        let flat: Vec<String> = wanted.iter().flatten().cloned().collect();
        if all_in(&flat, &self.words) {
            return Some(0);
        }
        let parts: Vec<String> = wanted.iter().map(|words| words.concat()).collect();
        if self.begins(&flat).is_some() || self.begins(&parts).is_some() {
            return Some(1);
        }
        let occurs = |part: &String| self.squashed.iter().any(|name| name.contains(part));
        parts.iter().all(occurs).then_some(2)
    }
}

/// Everything of one kind.
#[derive(Debug)]
pub(crate) struct Index {
    what: &'static str,
    entries: Vec<Entry>,
    /// Words that say nothing about which one is meant.
    idle: &'static [&'static str],
}

impl Index {
    /// Things of a kind, and words that may be added to their names.
    pub(crate) fn new(
        what: &'static str,
        entries: Vec<Entry>,
        idle: &'static [&'static str],
    ) -> Self {
        Self {
            what,
            entries,
            idle,
        }
    }

    /// The place of what is meant: by identifier or name in upper or lower case, by another name, by some of the words of
    /// its names in any order, or by the beginnings of words where they are long and fit nothing else.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] with everything that fits as well; [`Error::Unknown`] with names that resemble it.
    pub(crate) fn find(&self, wanted: &str) -> Result<Understood<usize>> {
        let text = wanted.trim().to_lowercase();
        let all = || self.entries.iter().enumerate();
        let named = |(_, entry): &(usize, &Entry)| {
            entry.id.to_lowercase() == text || entry.name.to_lowercase() == text
        };
        if let Some((item, _)) = all().find(named) {
            return Ok(Understood { item, note: None });
        }
        let asked = words(wanted);
        let together = asked.concat();
        if asked.is_empty() {
            return Err(self.unknown(wanted));
        }
        // The identifier itself, spelt in another way, comes before a name that something else has as well.
        for names in [1, 2, usize::MAX] {
            let same = |(_, entry): &(usize, &Entry)| {
                let mut names = entry.squashed.iter().take(names);
                names.any(|name| *name == together)
            };
            let same: Vec<usize> = all().filter(same).map(|(item, _)| item).collect();
            if !same.is_empty() {
                return self.only(wanted, &same);
            }
        }
        let telling: Vec<String> = asked
            .iter()
            .filter(|word| !self.idle.contains(&word.as_str()))
            .cloned()
            .collect();
        for asked in [&asked, &telling] {
            let fits = |(_, entry): &(usize, &Entry)| all_in(asked, &entry.words);
            let fits: Vec<usize> = all().filter(fits).map(|(item, _)| item).collect();
            if !fits.is_empty() && !asked.is_empty() {
                return if is_code(wanted) {
                    Err(self.ambiguous(wanted, &fits))
                } else {
                    self.only(wanted, &fits)
                };
            }
        }
        self.begun(wanted, &asked)
    }

    /// What begins so, where that is clear.
    fn begun(&self, wanted: &str, asked: &[String]) -> Result<Understood<usize>> {
        let begun: Vec<(usize, bool)> = (0..self.entries.len())
            .filter_map(|item| Some((item, self.entries[item].begins(asked)?)))
            .collect();
        let items: Vec<usize> = begun.iter().map(|(item, _)| *item).collect();
        match begun[..] {
            [] => Err(self.unknown(wanted)),
            [(item, true)] => self.only(wanted, &[item]),
            // A beginning that is too short is a slip more often than a short form.
            [_] if !is_code(wanted) && self.resembles(wanted) => Err(self.unknown(wanted)),
            _ if is_code(wanted) || items.len() == 1 => Err(Error::Unknown {
                what: self.what,
                id: wanted.trim().to_owned(),
                near: items
                    .iter()
                    .take(3)
                    .map(|item| self.entries[*item].name.clone())
                    .collect(),
            }),
            _ => Err(self.ambiguous(wanted, &items)),
        }
    }

    fn only(&self, wanted: &str, items: &[usize]) -> Result<Understood<usize>> {
        match *items {
            [item] => Ok(Understood {
                item,
                note: Some(note(&self.entries[item].shown(), wanted)),
            }),
            _ => Err(self.ambiguous(wanted, items)),
        }
    }

    fn ambiguous(&self, wanted: &str, items: &[usize]) -> Error {
        Error::Ambiguous {
            what: self.what,
            wanted: wanted.trim().to_owned(),
            candidates: items
                .iter()
                .map(|item| self.entries[*item].shown())
                .collect(),
        }
    }

    /// Whether a text looks like one of the identifiers.
    fn resembles(&self, wanted: &str) -> bool {
        let ids = self.entries.iter().map(|entry| entry.id.as_str());
        let error = Error::unknown(self.what, wanted.trim(), ids);
        matches!(error, Error::Unknown { near, .. } if !near.is_empty())
    }

    /// A misspelt name resembles a name, a misspelt identifier an identifier.
    fn unknown(&self, wanted: &str) -> Error {
        let near = |word: fn(&Entry) -> &str| {
            Error::unknown(self.what, wanted.trim(), self.entries.iter().map(word))
        };
        match near(|entry| &entry.id) {
            Error::Unknown { near: none, .. } if none.is_empty() => near(|entry| &entry.name),
            error => error,
        }
    }

    /// The places of what a search fits, best first: what [`Self::find`] would take, then by how well it fits, then in
    /// the order of the list. All of them for an empty search.
    pub(crate) fn search(&self, text: &str) -> Vec<usize> {
        let wanted: Vec<Vec<String>> = text.split_whitespace().map(words).collect();
        let found = self.find(text).ok().map(|found| found.item);
        let mut hits: Vec<(usize, usize)> = (0..self.entries.len())
            .filter_map(|item| Some((self.entries[item].rank(&wanted)? + 1, item)))
            .collect();
        for (rank, item) in &mut hits {
            if found == Some(*item) {
                *rank = 0;
            }
        }
        hits.sort_unstable();
        hits.into_iter().map(|(_, item)| item).collect()
    }
}
