//! The pieces in the metadata of a GGUF: texts, scores and kinds.

use super::bytes;
use crate::weights::{Metadata, Source};

/// The most pieces; the largest published vocabularies have 262,144.
const MOST_PIECES: usize = 1 << 22;

/// What a piece is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    /// Marks of the beginning, the end, a turn.
    Control,
    /// Found in a text before it is cut.
    UserDefined,
    Unused,
    /// A byte by its name.
    Byte,
}

/// All pieces.
#[derive(Debug)]
pub(super) struct Vocabulary<'a> {
    texts: &'a [String],
    kinds: Vec<Kind>,
}

/// The sign for a blank in vocabularies of sentencepiece.
pub(super) const BLANK: &str = "\u{2581}";

impl<'a> Vocabulary<'a> {
    pub(super) fn read(source: &'a dyn Source) -> Result<Self, String> {
        let key = "tokenizer.ggml.tokens";
        let Some(value) = source.metadata(key) else {
            return Err("the metadata hold no vocabulary".to_owned());
        };
        let texts = value
            .texts()
            .ok_or_else(|| format!("'{key}' is no list of texts"))?;
        if texts.is_empty() || texts.len() > MOST_PIECES {
            return Err(format!(
                "the vocabulary has {} pieces; 1 to {MOST_PIECES} are read",
                texts.len()
            ));
        }
        let kinds = match list(source, "tokenizer.ggml.token_type", texts.len())? {
            None => vec![Kind::Normal; texts.len()],
            Some(numbers) => numbers
                .iter()
                .map(|number| match number.unsigned() {
                    Some(2) => Kind::Unknown,
                    Some(3) => Kind::Control,
                    Some(4) => Kind::UserDefined,
                    Some(5) => Kind::Unused,
                    Some(6) => Kind::Byte,
                    _ => Kind::Normal,
                })
                .collect(),
        };
        Ok(Self { texts, kinds })
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn text(&self, i: usize) -> &'a str {
        self.texts.get(i).map_or("", String::as_str)
    }

    pub(super) fn kind(&self, i: usize) -> Kind {
        self.kinds.get(i).copied().unwrap_or(Kind::Normal)
    }

    /// Numbers and texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &'a str)> {
        (0..).zip(self.texts.iter().map(String::as_str))
    }

    /// A number where a piece has it.
    pub(super) fn existing(&self, id: u32) -> Option<u32> {
        ((id as usize) < self.len()).then_some(id)
    }

    /// The piece that the metadata name for a purpose.
    pub(super) fn special(&self, source: &dyn Source, name: &str) -> Option<u32> {
        let value = source.metadata(&format!("tokenizer.ggml.{name}_token_id"))?;
        self.existing(u32::try_from(value.unsigned()?).ok()?)
    }

    /// The bytes of a piece whose text stands for bytes.
    pub(super) fn encoded_bytes(&self, i: usize) -> Vec<u8> {
        let text = self.text(i);
        match self.kind(i) {
            Kind::Normal | Kind::Unused | Kind::Byte => bytes::decode(text),
            _ => None,
        }
        .unwrap_or_else(|| text.as_bytes().to_vec())
    }

    /// The bytes of a piece of sentencepiece.
    pub(super) fn escaped_bytes(&self, i: usize) -> Vec<u8> {
        let text = self.text(i);
        match self.kind(i) {
            Kind::Normal | Kind::Unused => text.replace(BLANK, " ").into_bytes(),
            Kind::Byte => {
                bytes::named(text).map_or_else(|| text.as_bytes().to_vec(), |byte| vec![byte])
            }
            _ => text.as_bytes().to_vec(),
        }
    }

    /// The bytes of a piece of a word; one that begins a word has a blank before it.
    pub(super) fn word_bytes(&self, i: usize) -> Vec<u8> {
        self.escaped_bytes(i)
    }
}

/// A list of numbers in the metadata, of which there must be one for each piece.
pub(super) fn list<'a>(
    source: &'a dyn Source,
    key: &str,
    pieces: usize,
) -> Result<Option<&'a crate::weights::Numbers>, String> {
    let Some(value) = source.metadata(key) else {
        return Ok(None);
    };
    let numbers =
        Metadata::numbers(value).ok_or_else(|| format!("'{key}' is no list of numbers"))?;
    if numbers.len() < pieces {
        return Err(format!(
            "'{key}' has {} numbers for {pieces} pieces",
            numbers.len()
        ));
    }
    Ok(Some(numbers))
}
