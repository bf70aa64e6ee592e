//! Unigram, as T5 and XLM-R cut: of all ways to write a text as pieces that with the highest sum of scores (Kudo 2018,
//! <https://arxiv.org/abs/1804.10959>). What no piece covers is unknown, at ten below the lowest score, as sentencepiece
//! has it.

use std::collections::{BTreeSet, HashMap};

use super::vocabulary::{BLANK, Kind, Vocabulary, list};
use crate::weights::{Number, Source};

/// How far below the lowest score an unknown character is.
const UNKNOWN: f64 = 10.0;

/// The longest text that a few characters are replaced by; the longest of Unicode's own has 33 bytes.
const LONGEST_REPLACEMENT: usize = 1 << 10;

/// A vocabulary with the logarithms of probabilities.
#[derive(Debug)]
pub(super) struct Unigram {
    pieces: HashMap<Box<str>, (u32, f64)>,
    /// The lengths that pieces have, in bytes.
    lengths: Vec<usize>,
    unknown: u32,
    unknown_score: f64,
    characters: Option<Characters>,
    /// Whether a text gets a blank before it.
    prefix: bool,
    /// Whether blanks in a row are one.
    single_blanks: bool,
}

/// What characters are replaced by before cutting: a trie of bytes in a double array, and texts each ended by a zero
/// (<https://github.com/google/sentencepiece/blob/master/src/normalizer.cc>; the trie is that of
/// <https://github.com/s-yata/darts-clone>).
#[derive(Debug)]
struct Characters {
    nodes: Vec<u32>,
    texts: Vec<u8>,
}

impl Unigram {
    pub(super) fn read(source: &dyn Source, vocabulary: &Vocabulary<'_>) -> Result<Self, String> {
        let key = "tokenizer.ggml.scores";
        let scores = list(source, key, vocabulary.len())?
            .ok_or_else(|| format!("the metadata hold no list '{key}'"))?;
        let mut pieces = HashMap::with_capacity(vocabulary.len());
        let mut lowest = f64::MAX;
        let mut lengths = BTreeSet::new();
        for ((id, text), score) in vocabulary.iter().zip(scores.iter()) {
            // Sums of these are finite too.
            let score = score
                .float()
                .filter(|score| score.abs() <= f64::from(f32::MAX));
            let score = score.ok_or_else(|| format!("piece {id} has a score that is no number"))?;
            let score = match vocabulary.kind(id as usize) {
                Kind::Normal => {
                    lowest = lowest.min(score);
                    score
                }
                Kind::Unused => score,
                Kind::UserDefined => 0.0,
                Kind::Control | Kind::Unknown | Kind::Byte => continue,
            };
            if text.is_empty() {
                continue;
            }
            lengths.insert(text.len());
            pieces.insert(text.into(), (id, score));
        }
        let flag = |name: &str| {
            let value = source.metadata(&format!("tokenizer.ggml.{name}"));
            value.and_then(|value| value.flag()).unwrap_or(false)
        };
        Ok(Self {
            pieces,
            lengths: lengths.into_iter().collect(),
            unknown: vocabulary
                .special(source, "unknown")
                .or(vocabulary.existing(2))
                .ok_or("the vocabulary has no piece for what is unknown")?,
            unknown_score: lowest - UNKNOWN,
            characters: Characters::read(source)?,
            prefix: flag("add_space_prefix"),
            single_blanks: flag("remove_extra_whitespaces"),
        })
    }

    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let text = self.normalized(text)?;
        // For each end of a character, where the best last piece before it begins, its number and the sum up to there.
        let mut best = vec![(0, self.unknown, f64::MIN); text.len() + 1];
        best[0].2 = 0.0;
        for (from, character) in text.char_indices() {
            let sum = best[from].2;
            let mut alone = false;
            let mut take = |to: usize, id: u32, score: f64| {
                if sum + score > best[to].2 {
                    best[to] = (from, id, sum + score);
                }
            };
            let ends = self.lengths.iter().map(|length| from + length);
            for to in ends.take_while(|to| *to <= text.len()) {
                let piece = text.get(from..to).and_then(|text| self.pieces.get(text));
                let Some((id, score)) = piece else {
                    continue;
                };
                alone |= to == from + character.len_utf8();
                take(to, *id, *score);
            }
            if !alone {
                take(
                    from + character.len_utf8(),
                    self.unknown,
                    self.unknown_score,
                );
            }
        }
        let before = ids.len();
        let mut at = text.len();
        while at > 0 {
            let (from, id, _) = best[at];
            // Unknown characters in a row are one piece.
            if id != self.unknown || ids.len() == before || ids.last() != Some(&id) {
                ids.push(id);
            }
            at = from;
        }
        ids[before..].reverse();
        Ok(())
    }

    /// The text with its characters replaced, and the sign of a blank for blanks.
    fn normalized(&self, text: &str) -> Result<String, String> {
        let replaced;
        let text = match &self.characters {
            Some(characters) => {
                replaced = characters.replace(text)?;
                &replaced
            }
            None => text,
        };
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let mut in_word = false;
        let mut begun = false;
        for character in text.chars() {
            if character == ' ' {
                in_word = false;
                if !self.single_blanks {
                    out.push_str(BLANK);
                }
                continue;
            }
            if !in_word {
                in_word = true;
                if self.prefix && !begun || self.single_blanks {
                    out.push_str(BLANK);
                    begun = true;
                }
            }
            out.push(character);
        }
        Ok(out)
    }
}

impl Characters {
    fn read(source: &dyn Source) -> Result<Option<Self>, String> {
        let key = "tokenizer.ggml.precompiled_charsmap";
        let Some(value) = source.metadata(key) else {
            return Ok(None);
        };
        let damaged = || format!("'{key}' is damaged");
        let bytes: Vec<u8> = value
            .numbers()
            .ok_or_else(damaged)?
            .iter()
            .map(|number| match number {
                Number::U8(byte) => Some(byte),
                Number::I8(byte) => Some(byte.cast_unsigned()),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(damaged)?;
        let (length, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (nodes, texts) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let nodes = nodes
            .as_chunks()
            .0
            .iter()
            .map(|node| u32::from_le_bytes(*node));
        let texts = texts.to_vec();
        let characters = Self {
            nodes: nodes.collect(),
            texts,
        };
        // Every text is ended, so that one found later ends as well.
        (characters.texts.last() == Some(&0) && !characters.nodes.is_empty())
            .then_some(Some(characters))
            .ok_or_else(damaged)
    }

    fn replace(&self, text: &str) -> Result<String, String> {
        let damaged = || "the table of characters in the metadata is damaged".to_owned();
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some(first) = rest.first() {
            if let Some((length, at)) = self.longest(rest) {
                let found = self.texts.get(at..).ok_or_else(damaged)?;
                let found = found.split(|byte| *byte == 0).next().unwrap_or_default();
                if found.len() > LONGEST_REPLACEMENT {
                    return Err(damaged());
                }
                out.extend(found);
                rest = &rest[length..];
            } else {
                // A character is kept as it is; replacements end between characters.
                let length = match first {
                    0xf0.. => 4,
                    0xe0.. => 3,
                    0xc0.. => 2,
                    _ => 1,
                };
                let (character, after) = rest.split_at_checked(length).ok_or_else(damaged)?;
                out.extend(character);
                rest = after;
            }
        }
        String::from_utf8(out).map_err(|_| damaged())
    }

    /// The longest beginning of a text that is replaced, and where its replacement is.
    fn longest(&self, text: &[u8]) -> Option<(usize, usize)> {
        let node = |at: u32| self.nodes.get(at as usize).copied();
        let base = |node: u32| node >> 10 << ((node & 1 << 9) >> 6);
        let mut at = base(node(0)?);
        let mut found = None;
        for (length, byte) in (1..).zip(text) {
            if *byte == 0 {
                break;
            }
            at ^= u32::from(*byte);
            let Some(here) = node(at).filter(|here| here & (1 << 31 | 0xff) == u32::from(*byte))
            else {
                break;
            };
            at ^= base(here);
            if here >> 8 & 1 == 1 {
                found = Some((length, (node(at)? & !(1 << 31)) as usize));
            }
        }
        found
    }
}
