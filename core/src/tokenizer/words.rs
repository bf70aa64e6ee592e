//! WordPiece, as BERT cuts: words without accents and in small letters, of each the longest piece that it begins with,
//! then the longest that the rest begins with; a word that is not all pieces is unknown as a whole.

use std::collections::{BTreeSet, HashMap};

use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{NormalizedString, Normalizer as _, OffsetReferential, OffsetType};
use tokenizers::{PreTokenizedString, PreTokenizer as _};

use super::vocabulary::{BLANK, Vocabulary};
use crate::weights::Source;

/// The longest word that is looked at, in bytes; a longer one is no piece of any vocabulary.
const LONGEST_WORD: usize = 1 << 12;

/// A vocabulary of pieces of words; those that begin a word have the sign of a blank before them.
#[derive(Debug)]
pub(super) struct Words {
    pieces: HashMap<Box<str>, u32>,
    /// The lengths that pieces have, in bytes, the longest first.
    lengths: Vec<usize>,
    unknown: u32,
    normalizer: BertNormalizer,
}

impl Words {
    pub(super) fn read(source: &dyn Source, vocabulary: &Vocabulary<'_>) -> Result<Self, String> {
        let flag = |name: &str| {
            source
                .metadata(&format!("tokenizer.ggml.normalizer.{name}"))
                .and_then(|value| value.flag())
        };
        let lowercase = flag("lowercase").unwrap_or(true);
        let accents = flag("strip_accents").unwrap_or(lowercase);
        let lengths: BTreeSet<usize> = vocabulary
            .iter()
            .map(|(_, text)| text.len())
            .filter(|length| *length > 0)
            .collect();
        Ok(Self {
            pieces: vocabulary
                .iter()
                .map(|(id, text)| (text.into(), id))
                .collect(),
            lengths: lengths.into_iter().rev().collect(),
            unknown: vocabulary
                .special(source, "unknown")
                .or(vocabulary.existing(100))
                .ok_or("the vocabulary has no piece for unknown words")?,
            normalizer: BertNormalizer::new(true, true, Some(accents), lowercase),
        })
    }

    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let mut normalized = NormalizedString::from(text);
        self.normalizer
            .normalize(&mut normalized)
            .map_err(|error| error.to_string())?;
        let mut cut = PreTokenizedString::from(normalized);
        BertPreTokenizer
            .pre_tokenize(&mut cut)
            .map_err(|error| error.to_string())?;
        for (word, ..) in cut.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            self.encode_word(word, ids);
        }
        Ok(())
    }

    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        let word = format!("{BLANK}{word}");
        let mut from = 0;
        while from < word.len() && word.len() <= LONGEST_WORD {
            let found = self.lengths.iter().find_map(|length| {
                let to = from + length;
                let piece = word.get(from..to)?;
                self.pieces.get(piece).map(|id| (to, *id))
            });
            let Some((to, id)) = found else {
                break;
            };
            ids.push(id);
            from = to;
        }
        if from < word.len() {
            ids.truncate(before);
            ids.push(self.unknown);
        }
    }
}
