//! What a row of a served language model asks for, and what it leaves open.

use super::{Open, Row};
use crate::graph::Language;
use crate::serving::decode::{SCALE, Serving};
use crate::serving::format::WeightFormat;
use crate::serving::software;

/// Prompt lengths where none is printed, in tokens: typical, shortest, longest. Of the first and the third, the largest
/// batches that were measured leave room in memory for at most 110 to 130 and 160 to 190 tokens of prompt beside half an
/// answer (derived: memory of the boards less weights, 90 % of it used); the others are assumed. Of the first four, the
/// error of families left out of the fit contains what that leaves open.
const PROMPTS: [(&str, [f64; 3]); 7] = [
    ("arena", [100.0; 3]),
    ("gpqa", [250.0; 3]),
    ("sharegpt", [180.0; 3]),
    ("humaneval", [180.0; 3]),
    ("image-chat", [1000.0, 300.0, 3000.0]),
    ("video-chat", [3000.0, 1000.0, 10_000.0]),
    ("fim", [1500.0, 300.0, 8000.0]),
];
/// Prompt length of everything else (assumed).
const PROMPT: [f64; 3] = [300.0, 30.0, 3000.0];

/// The number after a key in "tp1 ep8 dp1".
pub(super) fn parallel(text: &str, key: &str) -> Option<f64> {
    text.to_lowercase()
        .split_whitespace()
        .find_map(|word| word.strip_prefix(key).and_then(Row::number))
}

/// Why a row is of a kind of serving that is not modelled.
pub(super) fn unlike(row: &Row) -> Option<&'static str> {
    let said = format!("{} {} {}", row.notes, row.engine, row.parallelism).to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let drafted = has(&["mtp", "eagle", "medusa", "draft", "speculative"]);
    if drafted
        && !has(&[
            "no speculative",
            "without speculative",
            "speculative decoding off",
        ])
    {
        Some(
            "speculative decoding is not modelled: how many drafted tokens were accepted is not stated",
        )
    } else if has(&["cached", "cache hit", "prefix cach", "kv reuse"]) {
        Some("prompts that were partly kept from earlier requests are not modelled")
    } else if has(&["disagg"]) {
        Some("prompts and answers on different devices (disaggregated serving) are not modelled")
    } else {
        None
    }
}

pub(super) fn serving(
    row: &Row,
    network: &Language,
    devices: f64,
) -> std::result::Result<(Serving, Vec<Open>), String> {
    if let Some(reason) = unlike(row) {
        return Err(reason.to_owned());
    }
    let needed = |text: &str, what: &str| {
        Row::number(text).ok_or_else(|| format!("the {what} is not stated"))
    };
    let mut open = Vec::new();
    let task = row.task.to_lowercase();
    let prompt = Row::number(&row.input_tokens).unwrap_or_else(|| {
        let known = PROMPTS.iter().find(|(key, _)| task.contains(key));
        let [typical, shortest, longest] = known.map_or(PROMPT, |(_, tokens)| *tokens);
        if shortest < longest {
            open.push(Open::Prompt(shortest, longest));
        }
        typical
    });
    let software = software::software(&row.engine)?;
    if !software.stated {
        open.push(Open::Software);
    }
    let precision = row.precision.to_lowercase();
    let stages = parallel(&row.parallelism, "pp").unwrap_or(1.0);
    if devices % stages != 0.0 {
        return Err(format!(
            "{devices} devices cannot form {stages} pipeline stages"
        ));
    }
    let tensor = parallel(&row.parallelism, "tp").unwrap_or(1.0);
    let expert = parallel(&row.parallelism, "ep").unwrap_or(1.0);
    let format = WeightFormat::named(&precision);
    // Published networks with experts in 4 bits keep the rest in more.
    let four = !network.experts.is_empty() && format == WeightFormat::Packed(4);
    let floating = precision.contains("fp4");
    let served = Serving {
        batch: needed(&row.batch_size, "batch size")?,
        prompt,
        output: needed(&row.output_tokens, "number of output tokens")?,
        context: None,
        devices: devices / stages,
        stages,
        attention_groups: parallel(&row.parallelism, "dp").unwrap_or(1.0),
        whole_experts: expert > 1.0 || tensor <= 1.0,
        format: if four { WeightFormat::Half } else { format },
        mxfp4_experts: precision.contains("mxfp4") || (four && floating),
        integer_experts: four && !floating,
        scale: SCALE,
        era: software.era,
        engine: software.engine,
    };
    Ok((served, open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::rows::{Case, CaseWork};

    fn row(notes: &str) -> Row {
        Row {
            model: "llama-3-1-8b".to_owned(),
            hardware: "NVIDIA H100 SXM".to_owned(),
            engine: "vLLM 0.15.1".to_owned(),
            batch_size: "8".to_owned(),
            input_tokens: "1024".to_owned(),
            output_tokens: "1024".to_owned(),
            throughput: "1000".to_owned(),
            notes: notes.to_owned(),
            ..Row::default()
        }
    }

    #[test]
    fn what_is_not_modelled_is_skipped_with_the_reason() {
        for (notes, reason) in [
            ("MTP speculative decoding ON", "speculative"),
            ("prompts ~94-99% prefix-cached", "earlier requests"),
            ("disaggregated: 2 prefill, 4 decode", "disaggregated"),
        ] {
            let error = Case::new(&row(notes), None).unwrap_err();
            assert!(error.contains(reason), "{notes}: {error}");
        }
        let case = Case::new(&row("no speculative decoding; short window"), None).unwrap();
        assert!(case.open.is_empty());
    }

    #[test]
    fn what_a_row_leaves_open_is_kept() {
        let vague = Row {
            engine: "vLLM".to_owned(),
            input_tokens: String::new(),
            ..row("")
        };
        let case = Case::new(&vague, None).unwrap();
        let [_, shortest, longest] = PROMPT;
        assert_eq!(case.open, [Open::Prompt(shortest, longest), Open::Software]);
    }

    #[test]
    fn experts_in_four_bits_leave_the_rest_in_sixteen() {
        let served = |model: &str, precision: &str| {
            let row = Row {
                model: model.to_owned(),
                precision: precision.to_owned(),
                ..row("")
            };
            match Case::new(&row, None).unwrap().work {
                CaseWork::Decode(_, serving) => serving,
                other => panic!("{other:?}"),
            }
        };
        let deepseek = served("deepseek-ai/DeepSeek-R1", "FP4");
        assert!(deepseek.mxfp4_experts && deepseek.format == WeightFormat::Half);
        let kimi = served("moonshotai/Kimi-K2.5", "int4");
        assert!(kimi.integer_experts && !kimi.mxfp4_experts);
        let llama = served("llama-3-1-8b", "int4");
        assert_eq!(llama.format, WeightFormat::Packed(4));
    }
}
