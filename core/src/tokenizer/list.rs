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
