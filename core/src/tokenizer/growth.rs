//! How much longer a `tokenizer.json` can make a text before it is cut. Steps that each double it make of one letter more
//! than any memory holds.

use serde_json::Value;

/// The most; what published ones say multiplies to some thousands at most.
const MOST: f64 = 65_536.0;
/// Parts of a `tokenizer.json` that change a text or what it is cut into.
const PARTS: [&str; 3] = ["normalizer", "pre_tokenizer", "post_processor"];

/// Refuses what could make a text absurdly longer; the error is the fact.
pub(super) fn check(tokenizer: &Value) -> Result<(), String> {
    let parts = PARTS.iter().filter_map(|part| tokenizer.get(part));
    let growth: f64 = parts.map(|part| of(part, 1.0)).product();
    if growth <= MOST {
        return Ok(());
    }
    Err(format!(
        "this tokenizer.json can make a text {growth:.0e} times as long before it is cut; up to {MOST} times is read"
    ))
}

/// All steps anywhere in a part, multiplied.
fn of(part: &Value, before: f64) -> f64 {
    match part {
        Value::Array(parts) => parts.iter().fold(before, |growth, part| of(part, growth)),
        Value::Object(fields) => {
            let own = before * of_step(part);
            fields.values().fold(own, |growth, part| of(part, growth))
        }
        _ => before,
    }
}

/// The bytes that one step makes of a byte, at most.
fn of_step(step: &Value) -> f64 {
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    let length = |key: &str| text(key).map(|text| text.len() as f64);
    let replaced = length("content").map(|content| {
        let pattern = step
            .get("pattern")
            .and_then(|pattern| pattern.get("String"));
        match pattern.and_then(Value::as_str).map_or(0, str::len) {
            // What matches nothing is put between any two letters.
            0 => 1.0 + content,
            length => (content / length as f64).max(1.0),
        }
    });
    let put_before = ["prepend", "replacement"]
        .into_iter()
        .filter_map(length)
        .sum::<f64>();
    // A template with the text in it several times.
    let sequences = step.get("single").and_then(Value::as_array).map(|pieces| {
        let texts = pieces
            .iter()
            .filter(|piece| piece.get("Sequence").is_some());
        texts.count().max(1) as f64
    });
    let named = match text("type") {
        // The longest of Unicode's own: 33 bytes for 3.
        Some("NFKC" | "NFKD" | "Precompiled") => 11.0,
        Some("NFD" | "BertNormalizer") => 4.0,
        // A byte becomes a character of one or two.
        Some("ByteLevel") => 2.0,
        _ if step.get("trim_offsets").is_some() => 2.0,
        _ => 1.0,
    };
    named * (1.0 + put_before) * replaced.unwrap_or(1.0) * sequences.unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usual_steps_are_read_and_those_that_double_a_text_again_and_again_are_not() {
        let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
        let sequence =
            |steps: Vec<Value>| json!({"normalizer": {"type": "Sequence", "normalizers": steps}});
        let blanks = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        let usual = vec![
            replace("``", "\""),
            prepend,
            json!({"type": "NFKD"}),
            json!({"type": "Precompiled", "precompiled_charsmap": ""}),
            blanks,
            replace(" ", "▁"),
        ];
        check(&sequence(usual)).unwrap();
        check(&json!({"normalizer": null, "model": {}})).unwrap();
        let often = |step: Value| vec![step; 40];
        for doubling in [
            sequence(often(replace("a", "aa"))),
            sequence(often(replace("", "a"))),
            sequence(often(json!({"type": "Prepend", "prepend": "a"}))),
            // Lists may lie in lists, and names of kinds may be left out.
            sequence(often(json!({"normalizers": [replace("a", "aa")]}))),
            json!({"pre_tokenizer": {"pretokenizers": often(json!({"type": "ByteLevel"}))}}),
            json!({"post_processor": {"type": "Sequence", "processors": often(json!({"type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]}))}}),
        ] {
            let fact = check(&doubling).unwrap_err();
            assert!(
                fact.starts_with("this tokenizer.json can make a text 1e12 times"),
                "{fact}"
            );
        }
    }
}
