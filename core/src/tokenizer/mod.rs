//! Tokenizers of other programs' language models: text to the numbers of its pieces, and back to bytes.
//!
//! The vocabulary comes with the weights: in the metadata of a GGUF, or in a `tokenizer.json` beside safetensors. A way
//! of cutting that is not known is refused by its name, as another would give other numbers.

mod bpe;
mod bytes;
mod growth;
mod json;
mod list;
mod scores;
mod split;
#[cfg(test)]
mod tests;
mod unigram;
mod vocabulary;
mod whole;
mod words;

use std::path::Path;

use crate::error::{Error, Result};
use crate::files;
use crate::weights::Source;
use vocabulary::Vocabulary;
use whole::{Part, Wholes};

/// The longest `tokenizer.json` that is read; those of 260,000 pieces have some 35 MB.
const LONGEST_JSON: u64 = 256 << 20;

/// The most bytes that are encoded at once.
const LONGEST_TEXT: usize = 16 << 20;

/// A vocabulary, and how texts are cut into pieces of it.
#[derive(Debug)]
pub struct Tokenizer {
    method: Method,
    /// The bytes of each piece, as they stand in a text.
    pieces: Vec<Vec<u8>>,
    /// Pieces that are found in a text before it is cut.
    whole: Wholes,
    begin: Option<u32>,
    end: Option<u32>,
    /// The piece before a text with special pieces, and that after it.
    around: (Option<u32>, Option<u32>),
}

#[derive(Debug)]
enum Method {
    /// Merges in the order in which they were learnt.
    Merges(Box<bpe::Merges>),
    /// Merges by the score of what they give.
    Scores(scores::Scores),
    /// The longest piece that a word begins with.
    Words(words::Words),
    /// The pieces with the highest sum of scores.
    Unigram(unigram::Unigram),
    /// What a `tokenizer.json` says.
    Json(Box<json::Json>),
}

impl Tokenizer {
    /// The tokenizer in the metadata of a GGUF; `path` stands for it in errors.
    ///
    /// # Errors
    /// There is none, it is of a kind that is not known, or it contradicts itself.
    pub fn from_weights(source: &dyn Source, path: &Path) -> Result<Self> {
        let wrong = |fact: String| Error::file(fact, path);
        let vocabulary = Vocabulary::read(source).map_err(wrong)?;
        let text = |key: &str| source.metadata(key).and_then(|value| value.text());
        let model = text("tokenizer.ggml.model").unwrap_or("none");
        let flag = |key: &str| source.metadata(key).and_then(|value| value.flag());
        let id = |name: &str| vocabulary.special(source, name);
        let (mut begin, mut end) = (id("bos"), id("eos"));
        let method;
        // Whether the beginning and the end are marked unless the file says otherwise.
        let marked;
        match model {
            "gpt2" | "gemma4" => {
                let way = match model {
                    "gemma4" => "gemma4",
                    _ => text("tokenizer.ggml.pre").unwrap_or("default"),
                };
                let merges = bpe::Merges::read(source, &vocabulary, way).map_err(wrong)?;
                marked = (merges.begins() || model == "gemma4", false);
                method = Method::Merges(Box::new(merges));
            }
            "llama" => {
                begin = begin.or(vocabulary.existing(1));
                end = end.or(vocabulary.existing(2));
                marked = (true, false);
                method = Method::Scores(scores::Scores::read(source, &vocabulary).map_err(wrong)?);
            }
            "bert" => {
                begin = begin.or(id("cls")).or(vocabulary.existing(101));
                end = id("seperator").or(vocabulary.existing(102));
                marked = (true, true);
                method = Method::Words(words::Words::read(source, &vocabulary).map_err(wrong)?);
            }
            "t5" => {
                end = end.or(vocabulary.existing(1));
                marked = (false, true);
                method =
                    Method::Unigram(unigram::Unigram::read(source, &vocabulary).map_err(wrong)?);
            }
            other => {
                return Err(wrong(format!(
                    "the tokenizer is of the kind '{other}', which is not known"
                )));
            }
        }
        let mark = |key: &str, usual: bool, id: Option<u32>| {
            let wanted = flag(key).unwrap_or(usual);
            if wanted && id.is_none() {
                return Err(wrong(format!(
                    "the metadata want the pieces that {key} adds, and do not say which they are"
                )));
            }
            Ok(id.filter(|_| wanted))
        };
        let around = (
            mark("tokenizer.ggml.add_bos_token", marked.0, begin)?,
            mark("tokenizer.ggml.add_eos_token", marked.1, end)?,
        );
        let raw = matches!(model, "gpt2");
        let pieces = (0..vocabulary.len())
            .map(|i| match &method {
                Method::Merges(merges) if raw && !merges.escaped_blanks() => {
                    vocabulary.encoded_bytes(i)
                }
                Method::Words(_) => vocabulary.word_bytes(i),
                _ => vocabulary.escaped_bytes(i),
            })
            .collect();
        Ok(Self {
            method,
            pieces,
            whole: Wholes::of(&vocabulary, text("general.name").unwrap_or_default()),
            begin,
            end,
            around,
        })
    }

    /// The tokenizer of a `tokenizer.json`.
    ///
    /// # Errors
    /// The file cannot be read or is no such tokenizer.
    pub fn open_json(path: &Path) -> Result<Self> {
        Self::read_json(&files::read_bytes(path, LONGEST_JSON)?, path)
    }

    /// The tokenizer of a `vocab.txt` of BERT's.
    ///
    /// # Errors
    /// The file cannot be read or is no such list of pieces.
    pub fn open_words(path: &Path, small_letters: bool) -> Result<Self> {
        let text = files::read_text(path, LONGEST_JSON)?;
        let wrong = |fact: String| Error::file(format!("this is no vocab.txt: {fact}"), path);
        let json = list::as_json(&text, small_letters).map_err(wrong)?;
        Self::read_json(json.to_string().as_bytes(), path)
    }

    /// The same from the bytes of the file; `path` stands for it in errors.
    ///
    /// # Errors
    /// As [`Tokenizer::open_json`].
    pub fn read_json(bytes: &[u8], path: &Path) -> Result<Self> {
        let wrong = |fact: String| Error::file(fact, path);
        let json = json::Json::read(bytes).map_err(wrong)?;
        let (begin, end) = json.ends();
        Ok(Self {
            pieces: json.pieces().map_err(wrong)?,
            whole: Wholes::default(),
            begin,
            end,
            around: json.around(),
            method: Method::Json(Box::new(json)),
        })
    }

    /// The numbers of the pieces of a text. `add_special` adds what the model expects before and after a text;
    /// `parse_special` takes the names of special pieces in the text for these pieces, which a text of unknown origin must
    /// not be able to do.
    ///
    /// # Errors
    /// The vocabulary has no piece for something in the text, or the text is longer than can be cut.
    pub fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>> {
        if text.len() > LONGEST_TEXT {
            return Err(Error::Compute(format!(
                "a text of {} bytes is too long to be cut at once",
                text.len()
            )));
        }
        let failed = |fact: String| Error::Compute(format!("the text cannot be cut: {fact}"));
        if let Method::Json(json) = &self.method {
            let ids = json
                .encode(text, add_special, parse_special)
                .map_err(failed)?;
            let none = ids.iter().find(|id| self.token_bytes(**id).is_none());
            return match none {
                Some(id) => Err(failed(format!(
                    "its tokenizer.json asks for piece {id}, which it does not have"
                ))),
                None => Ok(ids),
            };
        }
        let mut ids = Vec::new();
        let (before, after) = self.around;
        ids.extend(before.filter(|_| add_special));
        // A blank goes before a text at the beginning and behind a special piece.
        let mut fresh = true;
        for part in self.whole.parts(text, parse_special) {
            match part {
                Part::Piece(id) => {
                    ids.push(id);
                    fresh = true;
                }
                Part::Text(text) => {
                    match &self.method {
                        Method::Merges(merges) => merges.encode(text, &mut ids),
                        Method::Scores(scores) => scores.encode(text, fresh, &mut ids),
                        Method::Words(words) => words.encode(text, &mut ids),
                        Method::Unigram(unigram) => unigram.encode(text, &mut ids),
                        Method::Json(_) => Ok(()),
                    }
                    .map_err(failed)?;
                    fresh = false;
                }
            }
        }
        ids.extend(after.filter(|_| add_special));
        Ok(ids)
    }

    /// The bytes of pieces in a row; a piece may be a part of a character. Numbers that are no piece give nothing.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        let pieces = ids.iter().filter_map(|id| self.token_bytes(*id));
        pieces.flatten().copied().collect()
    }

    /// How many pieces there are.
    pub fn vocabulary(&self) -> usize {
        self.pieces.len()
    }

    /// The piece that marks the beginning of a text; in a `tokenizer.json`, which does not say it, by its usual names.
    pub fn bos(&self) -> Option<u32> {
        self.begin
    }

    /// The piece that is put before texts, where the model wants one.
    pub fn around_begin(&self) -> Option<u32> {
        self.around.0
    }

    /// The piece that marks the end of a text; in a `tokenizer.json`, which does not say it, by its usual names, so that
    /// the number in the network's own settings goes before it.
    pub fn eos(&self) -> Option<u32> {
        self.end
    }

    /// The bytes of a piece.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.pieces.get(id as usize).map(Vec::as_slice)
    }
}
