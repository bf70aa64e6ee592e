//! A `tokenizer.json`, as the crate `tokenizers` reads and runs it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use serde_json::Value;
use tokenizers::Tokenizer;

use super::vocabulary::BLANK;
use super::{bytes, growth};

/// Such a tokenizer.
#[derive(Debug)]
pub(super) struct Json {
    /// Special pieces in a text are found.
    parsing: Box<Tokenizer>,
    /// They are text as any other; made when first needed.
    plain: OnceLock<Box<Tokenizer>>,
    decoding: Decoding,
}

/// How the text of a piece gives its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Decoding {
    /// Characters stand for bytes.
    bytes: bool,
    /// The sign of sentencepiece for a blank, and names for bytes.
    blanks: bool,
    /// What continues a word begins with this, and what begins one follows a blank.
    words: bool,
}

/// The names of pieces that begin and end a text, of which the first that is there is taken.
const BEGINNINGS: [&str; 6] = [
    "<s>",
    "<bos>",
    "<|begin_of_text|>",
    "[CLS]",
    "<|startoftext|>",
    "<|endoftext|>",
];
const ENDS: [&str; 7] = [
    "</s>",
    "<eos>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "[SEP]",
    "<|im_end|>",
    "<|endoftext|>",
];

impl Json {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = crate::unique::json(bytes)
            .map_err(|error| format!("this is no tokenizer.json ({error})"))?;
        if !value.get("model").is_some_and(Value::is_object) {
            return Err("this is no tokenizer.json (it has no model)".to_owned());
        }
        growth::check(&value)?;
        let mut decoding = Decoding::default();
        look_at(
            value.get("decoder").unwrap_or(&Value::Null),
            &mut decoding,
            8,
        );
        let mut parsing: Tokenizer = guarded(|| serde_json::from_value(value))?
            .map_err(|error| format!("this tokenizer.json cannot be read ({error})"))?;
        // Limits and padding are for training in batches.
        parsing.with_padding(None);
        parsing
            .with_truncation(None)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            parsing: Box::new(parsing),
            plain: OnceLock::new(),
            decoding,
        })
    }

    pub(super) fn encode(
        &self,
        text: &str,
        add_special: bool,
        parse_special: bool,
    ) -> Result<Vec<u32>, String> {
        let tokenizer = if parse_special {
            &self.parsing
        } else {
            self.plain.get_or_init(|| {
                let mut plain = self.parsing.clone();
                plain.set_encode_special_tokens(true);
                plain
            })
        };
        guarded(|| tokenizer.encode(text, add_special))?
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| error.to_string())
    }

    /// The pieces of the beginning and the end, by their usual names.
    pub(super) fn ends(&self) -> (Option<u32>, Option<u32>) {
        let first = |names: &[&str]| names.iter().find_map(|name| self.parsing.token_to_id(name));
        (first(&BEGINNINGS), first(&ENDS))
    }

    /// The one piece before a text, and the one behind it, with which it is cut where special pieces are wanted.
    pub(super) fn around(&self) -> (Option<u32>, Option<u32>) {
        let cut = |special| self.encode("a", special, true).unwrap_or_default();
        let (plain, whole) = (cut(false), cut(true));
        let found = whole
            .windows(plain.len().max(1))
            .position(|part| part == plain);
        let Some(start) = found else {
            return (None, None);
        };
        let only = |pieces: &[u32]| match pieces {
            [piece] => self.parsing.id_to_token(*piece).map(|_| *piece),
            _ => None,
        };
        (only(&whole[..start]), only(&whole[start + plain.len()..]))
    }

    /// The bytes of all pieces.
    ///
    /// # Errors
    /// One has a number far beyond their count: memory for all below it would be taken.
    pub(super) fn pieces(&self) -> Result<Vec<Vec<u8>>, String> {
        /// Numbers that may be left out, besides as many as there are pieces.
        const LEFT_OUT: usize = 1 << 16;
        let added = self.parsing.get_added_tokens_decoder();
        let all = self.parsing.get_vocab(true);
        let count = all.len();
        let highest = all.into_values().max();
        if let Some(highest) = highest
            && highest as usize > 2 * count + LEFT_OUT
        {
            return Err(format!(
                "this tokenizer.json has a piece with the number {highest}, and {count} pieces in all"
            ));
        }
        let pieces = (0..highest.map_or(0, |id| id + 1))
            .map(|id| {
                let text = self.parsing.id_to_token(id).unwrap_or_default();
                if added.contains_key(&id) {
                    text.into_bytes()
                } else {
                    self.decoding.bytes(&text)
                }
            })
            .collect();
        Ok(pieces)
    }
}

/// Runs what was written for files that are right: on one that is not it may give up altogether.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| "what this tokenizer.json asks for fails".to_owned())
}

/// What decoders say of the texts of pieces.
fn look_at(decoder: &Value, found: &mut Decoding, depth: usize) {
    match decoder.get("type").and_then(Value::as_str) {
        Some("ByteLevel") => found.bytes = true,
        Some("Metaspace" | "ByteFallback") => found.blanks = true,
        Some("WordPiece") => found.words = true,
        Some("Sequence") if depth > 0 => {
            let inner = decoder.get("decoders").and_then(Value::as_array);
            for decoder in inner.into_iter().flatten() {
                look_at(decoder, found, depth - 1);
            }
        }
        _ => {}
    }
}

impl Decoding {
    fn bytes(self, text: &str) -> Vec<u8> {
        if self.bytes
            && let Some(bytes) = bytes::decode(text)
        {
            return bytes;
        }
        if self.blanks {
            return match bytes::named(text) {
                Some(byte) => vec![byte],
                None => text.replace(BLANK, " ").into_bytes(),
            };
        }
        match text.strip_prefix("##") {
            _ if !self.words => text.as_bytes().to_vec(),
            Some(rest) => rest.as_bytes().to_vec(),
            None => format!(" {text}").into_bytes(),
        }
    }
}
