//! A `vocab.txt`: the pieces of WordPiece, one on each line, as BERT's first files have them.

use serde_json::{Map, Value, json};

/// The most pieces.
const MOST_PIECES: usize = 1 << 22;

/// The same as a `tokenizer.json` says it.
///
/// # Errors
/// Pieces are missing that BERT puts around a text or in the place of unknown words, or there are too many.
pub(super) fn as_json(text: &str, small_letters: bool) -> Result<Value, String> {
    let mut pieces = Map::new();
    for (number, piece) in text.lines().enumerate() {
        if number >= MOST_PIECES {
            return Err(format!("it has more than {MOST_PIECES} pieces"));
        }
        // Where a piece stands twice the last one counts, as in transformers.
        pieces.insert(piece.to_owned(), number.into());
    }
    let number = |piece: &str| {
        let number = pieces.get(piece).cloned();
        number.ok_or_else(|| format!("it has no piece {piece}"))
    };
    let (first, last) = (number("[CLS]")?, number("[SEP]")?);
    number("[UNK]")?;
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let added: Vec<Value> = special
        .iter()
        .filter_map(|piece| {
            let id = pieces.get(*piece)?;
            Some(
                json!({"id": id, "content": piece, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}),
            )
        })
        .collect();
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": small_letters},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", last], "cls": ["[CLS]", first]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": pieces},
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tokenizer::Tokenizer;

    fn open(text: &str, small: bool) -> Result<Tokenizer, String> {
        let json = as_json(text, small)?.to_string();
        Tokenizer::read_json(json.as_bytes(), Path::new("x")).map_err(|error| error.to_string())
    }

    #[test]
    fn pieces_are_numbered_by_their_lines() {
        let list = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\ncat\n##s\nA\n";
        let cut = |small, text: &str| {
            open(list, small)
                .unwrap()
                .encode(text, true, false)
                .unwrap()
        };
        assert_eq!(cut(true, "The cats x"), [2, 4, 5, 6, 1, 3]);
        assert_eq!(cut(false, "A the"), [2, 7, 4, 3]);
        // Where letters are not small, others are other letters.
        assert_eq!(cut(false, "The"), [2, 1, 3]);
        assert_eq!(open(list, true).unwrap().vocabulary(), 8);
    }

    #[test]
    fn a_list_that_is_none_is_refused_or_cuts() {
        for (list, said) in [
            ("", "[CLS]"),
            ("[CLS]\nthe", "[SEP]"),
            ("[CLS]\n[SEP]", "[UNK]"),
        ] {
            let fact = open(list, true).unwrap_err();
            assert!(fact.contains(said), "{fact}");
        }
        // A piece that stands twice, and empty ones.
        let twice = open("[UNK]\n[CLS]\n[SEP]\na\n\n\na\n", true).unwrap();
        assert_eq!(twice.encode("a", false, false).unwrap(), [6]);
    }
}
