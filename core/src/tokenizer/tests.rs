use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::weights::{Metadata, Numbers};

mod hostile;
mod real;
mod said;
use said::Said;

const MERGES: [&str; 8] = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "l d", "Ġ h"];
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const DEFINED: i32 = 4;
const BYTE: i32 = 6;

/// All bytes, then what the merges give, then `<|end|>` and a piece of three stars.
fn byte_pieces() -> Vec<(String, i32)> {
    let bytes = (0..=255).map(|byte| (bytes::character(byte).to_string(), NORMAL));
    let merged = MERGES.map(|line| (line.replace(' ', ""), NORMAL));
    let special = [("<|end|>".into(), CONTROL), ("***".into(), DEFINED)];
    bytes.chain(merged).chain(special).collect()
}

fn of_bytes() -> Said {
    Said::default()
        .text("model", "gpt2")
        .text("pre", "gpt-2")
        .pieces(&byte_pieces())
        .with("merges", Metadata::Texts(MERGES.map(String::from).to_vec()))
        .id("bos", 264)
        .id("eos", 264)
}

#[test]
fn merges_follow_their_order_and_stay_in_words() {
    let tokenizer = of_bytes().open().unwrap();
    let encode = |text: &str| tokenizer.encode(text, false, false).unwrap();
    let byte = |byte: char| byte as u32;
    assert_eq!(encode("hello"), [259]);
    // "h" is merged with "e" long before it could be with the blank.
    assert_eq!(encode(" hello"), [byte(' '), 259]);
    assert_eq!(encode(" wor"), [260, 261]);
    assert_eq!(encode("ll\no"), [257, byte('\n'), byte('o')]);
    assert_eq!(encode(""), [0_u32; 0]);
    assert_eq!(tokenizer.vocabulary(), 266);
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(264), Some(264)));
    assert_eq!(tokenizer.token_bytes(260), Some(&b" w"[..]));
    assert_eq!(tokenizer.token_bytes(266), None);
}

#[test]
fn special_pieces_are_found_only_where_wanted() {
    let tokenizer = of_bytes().open().unwrap();
    let text = "h<|end|>***h";
    let plain = tokenizer.encode(text, false, false).unwrap();
    assert!(!plain.contains(&264) && plain.contains(&265), "{plain:?}");
    let parsed = tokenizer.encode(text, false, true).unwrap();
    assert_eq!(parsed, [u32::from(b'h'), 264, 265, u32::from(b'h')]);
    assert_eq!(tokenizer.decode(&parsed), text.as_bytes());
    let marked = of_bytes().flag("add_bos_token", true);
    let marked = marked.flag("add_eos_token", true).open().unwrap();
    assert_eq!(
        marked.encode("hello", true, false).unwrap(),
        [264, 259, 264]
    );
    assert_eq!(marked.encode("hello", false, false).unwrap(), [259]);
}

fn of_scores() -> Said {
    let special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)];
    let mut pieces = special.map(|(text, kind)| (text.to_owned(), kind)).to_vec();
    pieces.extend((0..=255).map(|byte| (format!("<0x{byte:02X}>"), BYTE)));
    let words = ["▁", "a", "b", "ab", "▁a", "▁ab", "ba"];
    pieces.extend(words.map(|text| (text.to_owned(), NORMAL)));
    let mut scores = vec![0.0; 259];
    scores.extend([-9.0, -9.0, -9.0, -1.0, -2.0, -3.0, -4.0_f32]);
    Said::default()
        .text("model", "llama")
        .pieces(&pieces)
        .with("scores", Metadata::Numbers(Numbers::from(&scores[..])))
}

#[test]
fn the_highest_score_is_merged_first_and_what_is_no_piece_is_bytes() {
    let tokenizer = of_scores().open().unwrap();
    let encode = |text: &str| tokenizer.encode(text, false, true).unwrap();
    assert_eq!(encode("ab"), [264]);
    // "ab" comes before "ba" by its score; nothing joins "▁ab" and "a".
    assert_eq!(encode("aba"), [264, 260]);
    assert_eq!(encode("é"), [259, 3 + 0xc3, 3 + 0xa9]);
    assert_eq!(encode("a</s>b"), [263, 2, 259, 261]);
    assert_eq!(encode(""), [0_u32; 0]);
    assert_eq!(tokenizer.encode("a", true, false).unwrap(), [1, 263]);
    assert_eq!(tokenizer.decode(&encode("é a")), " é a".as_bytes());
    let bare = of_scores().flag("add_space_prefix", false).open().unwrap();
    assert_eq!(bare.encode("ab", false, false).unwrap(), [262]);
}

#[test]
fn words_are_cut_at_the_longest_piece_or_unknown_as_a_whole() {
    let texts = ["[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able", "▁,", "▁e"];
    let kind = |text: &str| {
        if text.starts_with('[') {
            CONTROL
        } else {
            NORMAL
        }
    };
    let pieces = texts.map(|text| (text.to_owned(), kind(text)));
    let said = Said::default().text("model", "bert").pieces(&pieces);
    let said = said.id("unknown", 0).id("cls", 1).id("seperator", 2);
    let tokenizer = said.open().unwrap();
    let encode = |text: &str| tokenizer.encode(text, false, false).unwrap();
    assert_eq!(encode("Unaffable, É"), [3, 4, 5, 6, 7]);
    assert_eq!(encode("unaffx un"), [0, 3]);
    assert_eq!(tokenizer.encode("un", true, false).unwrap(), [1, 3, 2]);
}

/// "ab" together is likelier than "a" and "b", "abc" less likely than "ab" and "c".
fn of_unigram() -> Said {
    let special = [("<pad>", CONTROL), ("</s>", CONTROL), ("<unk>", UNKNOWN)];
    let words = ["▁", "a", "b", "c", "ab", "abc", "▁a"].map(|text| (text, NORMAL));
    let pieces: Vec<_> = special
        .iter()
        .chain(&words)
        .map(|(text, kind)| ((*text).to_owned(), *kind))
        .collect();
    let scores = [0.0, 0.0, 0.0, -2.0, -3.0, -3.0, -3.0, -5.0, -9.0, -4.5_f32];
    Said::default()
        .text("model", "t5")
        .pieces(&pieces)
        .with("scores", Metadata::Numbers(Numbers::from(&scores[..])))
}

#[test]
fn the_likeliest_pieces_are_taken_and_unknown_ones_are_one() {
    let tokenizer = of_unigram().open().unwrap();
    let encode = |text: &str| tokenizer.encode(text, false, false).unwrap();
    assert_eq!(encode("abc"), [7, 6]);
    assert_eq!(encode("a b"), [4, 3, 5]);
    assert_eq!(encode("aéüb"), [4, 2, 5]);
    assert_eq!(encode(""), [0_u32; 0]);
    assert_eq!(tokenizer.encode("a", true, false).unwrap(), [4, 1]);
    let prefixed = of_unigram()
        .flag("add_space_prefix", true)
        .flag("remove_extra_whitespaces", true);
    // "▁a" for a beginning and for any number of blanks.
    assert_eq!(
        prefixed
            .open()
            .unwrap()
            .encode("a   a ", false, false)
            .unwrap(),
        [9, 9]
    );
    let table = of_unigram().with(
        "precompiled_charsmap",
        Metadata::Numbers(Numbers::from(&[1_i32][..])),
    );
    assert_eq!(
        table.refusal(),
        "'tokenizer.ggml.precompiled_charsmap' is damaged"
    );
}

/// The same vocabulary as a `tokenizer.json`, which the crate `tokenizers` runs by a code of its own.
fn json_text() -> String {
    let pieces = byte_pieces();
    let vocabulary: serde_json::Map<_, _> =
        (0..264).map(|i| (pieces[i].0.clone(), json!(i))).collect();
    let added = |id: u32, content: &str, special: bool| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": special})
    };
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let value = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(264, "<|end|>", true), added(265, "***", false)],
        "normalizer": null, "pre_tokenizer": level, "post_processor": null, "decoder": level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": MERGES},
    });
    value.to_string()
}

fn of_json() -> Tokenizer {
    Tokenizer::read_json(json_text().as_bytes(), Path::new("folder/input")).unwrap()
}

fn any_text() -> impl Strategy<Value = String> {
    r"([helowrd ]{0,8}|\PC|\s|<\|end\|>|\*\*\*|[0-9]{1,4}|'s){0,12}"
}

proptest! {
    #[test]
    fn two_programs_cut_alike(
        texts in prop::collection::vec(any_text(), 8),
        parse in any::<bool>(),
    ) {
        static BOTH: LazyLock<(Tokenizer, Tokenizer)> =
            LazyLock::new(|| (of_bytes().open().unwrap(), of_json()));
        let (own, other) = &*BOTH;
        for text in texts {
            let ids = own.encode(&text, false, parse).unwrap();
            prop_assert_eq!(&ids, &other.encode(&text, false, parse).unwrap(), "{:?}", text);
            prop_assert_eq!(own.decode(&ids), text.as_bytes());
            prop_assert_eq!(other.decode(&ids), text.as_bytes());
            prop_assert!(parse || !ids.contains(&264));
        }
    }

    #[test]
    fn a_text_of_scores_comes_back(text in r"([ab ]{0,8}|\PC|\s){0,12}") {
        let tokenizer = of_scores().flag("add_space_prefix", false).open().unwrap();
        let ids = tokenizer.encode(&text, false, false).unwrap();
        // The sign of a blank cannot be told from one.
        prop_assert_eq!(tokenizer.decode(&ids), text.replace('▁', " ").into_bytes());
    }

    #[test]
    fn a_damaged_json_is_survived(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut text = json_text().into_bytes();
        let at = at.index(text.len());
        if cut {
            text.truncate(at);
        } else {
            text[at] = byte;
        }
        match Tokenizer::read_json(&text, Path::new("folder/input")) {
            Ok(tokenizer) => {
                prop_assert!(tokenizer.vocabulary() < 1 << 23);
                if let Ok(ids) = tokenizer.encode("hello <|end|> é", true, true) {
                    tokenizer.decode(&ids);
                }
            }
            Err(error) => prop_assert!(error.to_string().ends_with(": folder/input"), "{}", error),
        }
    }

    /// Whatever metadata say, opening refuses or gives a tokenizer whose numbers are its own.
    #[test]
    fn lying_metadata_are_survived(
        texts in prop::collection::vec("(<0x[0-9A-F]{2}>|▁?[a-c]{0,3}|Ġ?[a-c]{0,2}| )", 0..20),
        merges in prop::collection::vec("[a-cĠ]{1,2} [a-cĠ ]{0,2}", 0..10),
        kinds in prop::collection::vec(-2_i32..9, 20..24),
        scores in prop::collection::vec(-5.0_f32..5.0, 20..24),
        model in prop::sample::select(vec!["gpt2", "gemma4", "llama", "bert", "t5", ""]),
        pre in prop::sample::select(vec!["default", "gpt-2", "llama-bpe", "gemma4", "?"]),
        special in 0_u32..30,
    ) {
        let said = Said::default()
            .text("model", model)
            .text("pre", pre)
            .id("bos", special)
            .flag("add_bos_token", special % 2 == 0)
            .with("tokens", Metadata::Texts(texts))
            .with("merges", Metadata::Texts(merges))
            .with("token_type", Metadata::Numbers(Numbers::from(&kinds[..])))
            .with("scores", Metadata::Numbers(Numbers::from(&scores[..])));
        if let Ok(tokenizer) = said.open() {
            for text in ["", "abc  cab", "é\n\n", "<0x41>"] {
                if let Ok(ids) = tokenizer.encode(text, true, true) {
                    prop_assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocabulary()));
                    tokenizer.decode(&ids);
                }
            }
        }
    }
}

#[test]
fn what_is_not_known_or_contradicts_itself_is_refused_by_name() {
    let without = |key: &str| {
        let mut said = of_bytes();
        said.0.remove(&format!("tokenizer.ggml.{key}"));
        said.refusal()
    };
    assert_eq!(
        of_bytes().text("model", "rwkv").refusal(),
        "the tokenizer is of the kind 'rwkv', which is not known"
    );
    assert_eq!(
        of_bytes().text("pre", "new-way").refusal(),
        "the tokenizer cuts words in the way 'new-way', which is not known"
    );
    assert_eq!(without("tokens"), "the metadata hold no vocabulary");
    assert_eq!(
        without("merges"),
        "the metadata hold no list 'tokenizer.ggml.merges'"
    );
    let merges = Metadata::Texts(vec!["ab".into()]);
    let merges = of_bytes().with("merges", merges).refusal();
    assert_eq!(merges, "merge 0 is not of two pieces");
    let few = Metadata::Numbers(Numbers::from(&[1_i32, 2][..]));
    assert_eq!(
        of_bytes().with("token_type", few).refusal(),
        "'tokenizer.ggml.token_type' has 2 numbers for 266 pieces"
    );
    let beyond = of_bytes()
        .id("bos", 999)
        .flag("add_bos_token", true)
        .refusal();
    assert!(beyond.contains("tokenizer.ggml.add_bos_token"), "{beyond}");
    let json = |text: &str| {
        let error = Tokenizer::read_json(text.as_bytes(), Path::new("folder/input"));
        error.unwrap_err().to_string()
    };
    assert!(json("{}").starts_with("this is no tokenizer.json (it has no model)"));
    assert!(json("[").starts_with("this is no tokenizer.json"));
    let kind = json(r#"{"model": {"type": "New"}}"#);
    assert!(
        kind.starts_with("this tokenizer.json cannot be read"),
        "{kind}"
    );
}
