//! Tokenizers that take memory or give pieces beyond what stands in them: refused by the fact.

use super::*;

fn json(change: impl Fn(&mut serde_json::Value)) -> Result<Tokenizer> {
    let mut value = serde_json::from_str(&json_text()).unwrap();
    change(&mut value);
    Tokenizer::read_json(value.to_string().as_bytes(), Path::new("folder/input"))
}

#[test]
fn a_number_far_beyond_the_count_of_pieces_is_refused() {
    let with = |number: u64| json(|all| all["model"]["vocab"]["zz"] = number.into());
    assert_eq!(with(300).unwrap().vocabulary(), 301);
    for number in [1_u64 << 20, 4_000_000, u32::MAX.into()] {
        let error = with(number).unwrap_err().to_string();
        let fact = format!(
            "this tokenizer.json has a piece with the number {number}, and 267 pieces in all"
        );
        assert_eq!(error, format!("{fact}: folder/input"));
    }
}

#[test]
fn a_template_with_a_piece_that_does_not_exist_is_no_piece_of_a_text() {
    let template = |number: u32| {
        json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"x": {"id": "x", "ids": [number], "tokens": ["x"]}}})
    };
    let right = json(|all| all["post_processor"] = template(264)).unwrap();
    assert_eq!(right.around_begin(), Some(264));
    assert_eq!(right.encode("hello", true, false).unwrap(), [264, 259]);
    for number in [266, 70_000, u32::MAX] {
        let wrong = json(|all| all["post_processor"] = template(number)).unwrap();
        assert_eq!(wrong.around_begin(), None);
        assert_eq!(wrong.encode("hello", false, false).unwrap(), [259]);
        let error = wrong.encode("hello", true, false).unwrap_err().to_string();
        assert!(
            error.contains(&format!("asks for piece {number}, which it does not have")),
            "{error}"
        );
    }
}

#[test]
fn steps_that_double_a_text_again_and_again_are_not_taken() {
    let step = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    let error = json(|all| {
        all["normalizer"] = json!({"type": "Sequence", "normalizers": vec![step.clone(); 64]});
    });
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("this tokenizer.json can make a text")
            && error.ends_with(": folder/input"),
        "{error}"
    );
    let twice = json(|all| all["normalizer"] = step.clone()).unwrap();
    assert_eq!(twice.encode("a", false, false).unwrap().len(), 2);
}

/// A table that makes of every "a" a text of this length.
fn table(length: usize) -> Metadata {
    let mut nodes = vec![0_u32; 98];
    // From the root over the letter, with an end, and there the place of the text.
    nodes[97] = 97 | 1 << 8 | 1 << 10;
    nodes[96] = 1 << 31;
    let mut bytes = (4 * nodes.len() as u32).to_le_bytes().to_vec();
    bytes.extend(nodes.iter().flat_map(|node| node.to_le_bytes()));
    bytes.extend(vec![b'b'; length]);
    bytes.push(0);
    Metadata::Numbers(Numbers::from(&bytes[..]))
}

#[test]
fn a_table_that_makes_a_long_text_of_a_letter_is_refused_when_it_is_met() {
    let with = |length| {
        of_unigram()
            .with("precompiled_charsmap", table(length))
            .open()
            .unwrap()
    };
    assert_eq!(with(3).encode("ac", false, false).unwrap(), [5, 5, 5, 6]);
    let long = with(100_000);
    assert_eq!(long.encode("c", false, false).unwrap(), [6]);
    let error = long
        .encode(&"a".repeat(1_000), false, false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the table of characters in the metadata is damaged"),
        "{error}"
    );
}

#[test]
fn a_score_whose_sum_could_be_no_number_is_refused() {
    let scores = |lowest: f32| {
        let mut scores = [-1.0_f32; 10];
        scores[4] = lowest;
        of_unigram().with("scores", Metadata::Numbers(Numbers::from(&scores[..])))
    };
    scores(f32::MIN).open().unwrap();
    for lowest in [f32::NAN, f32::NEG_INFINITY] {
        assert_eq!(
            scores(lowest).refusal(),
            "piece 4 has a score that is no number"
        );
    }
}
