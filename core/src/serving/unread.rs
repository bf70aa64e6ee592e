//! Cells of a table that hold something that is not a number, so that no figure is left out in silence.

use super::rows::Row;

/// Beyond every measurement in the units of the tables, from picojoules of one operation to all tokens of a day.
const NUMBERS: std::ops::RangeInclusive<f64> = 1e-15..=1e15;

/// A cell as a positive number that a measurement can have.
pub(crate) fn positive(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|value: &f64| NUMBERS.contains(value))
}

fn reason(column: &str, text: &str) -> String {
    let number = text.parse().unwrap_or(f64::NAN);
    if number > 0.0 && number.is_finite() {
        let (least, most) = (NUMBERS.start(), NUMBERS.end());
        format!("{column} '{text}' lies beyond any measurement ({least:e} to {most:e})")
    } else {
        format!("{column} '{text}' is not a positive number")
    }
}

/// What is wrong with the cells of numbers, by the name of the column and the cell, in a clause; `None` where all that
/// are not empty can be read.
pub(crate) fn unread<'a>(
    cells: impl IntoIterator<Item = (&'static str, &'a str)>,
) -> Option<String> {
    let wrong: Vec<String> = cells
        .into_iter()
        .filter(|(_, text)| !text.trim().is_empty() && positive(text).is_none())
        .map(|(column, text)| reason(column, text.trim()))
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

impl Row {
    /// What cannot be read among the cells that a prediction or the comparison with it needs.
    pub(crate) fn unread(&self) -> Option<String> {
        unread([
            ("energy_j", self.energy_j.as_str()),
            ("throughput", &self.throughput),
            ("latency_s", &self.latency_s),
            ("batch_size", &self.batch_size),
            ("input_tokens", &self.input_tokens),
            ("output_tokens", &self.output_tokens),
            ("steps", &self.steps),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::super::validate::{Options, validate};
    use super::*;

    fn row(energy: &str, throughput: &str) -> Row {
        Row {
            id: "r1".to_owned(),
            model: "Qwen/Qwen3-14B".to_owned(),
            hardware: "NVIDIA B200 SXM".to_owned(),
            precision: "bfloat16".to_owned(),
            engine: "vLLM 0.11".to_owned(),
            input_tokens: "300".to_owned(),
            batch_size: "8".to_owned(),
            output_tokens: "600".to_owned(),
            energy_j: energy.to_owned(),
            throughput: throughput.to_owned(),
            ..Row::default()
        }
    }

    #[test]
    fn a_figure_that_cannot_be_read_is_listed_and_never_dropped() {
        for cell in ["0,5", "abc", "-5", "0", "inf"] {
            let found = validate(&[row(cell, "")], Options::default()).unwrap();
            let reason = format!("energy_j '{cell}' is not a positive number");
            assert!(found.rows.is_empty() && found.notes.is_empty(), "{cell}");
            assert_eq!(found.skipped[0].reason, reason);
            let found = validate(&[row(cell, "1000")], Options::default()).unwrap();
            assert!(found.skipped.is_empty(), "{cell}");
            assert_eq!(found.rows[0].measured_throughput, Some(1000.0));
            assert_eq!(found.notes[0].reason, reason);
        }
        for cell in ["1e300", "1e-300"] {
            let found = validate(&[row(cell, "")], Options::default()).unwrap();
            assert_eq!(
                found.skipped[0].reason,
                format!("energy_j '{cell}' lies beyond any measurement (1e-15 to 1e15)")
            );
        }
        let found = validate(&[row("0.5", " 1000 ")], Options::default()).unwrap();
        assert!(found.skipped.is_empty() && found.notes.is_empty());
    }

    #[test]
    fn an_unreadable_batch_is_not_called_unstated() {
        let found = validate(
            &[Row {
                batch_size: "many".to_owned(),
                ..row("0.5", "")
            }],
            Options::default(),
        )
        .unwrap();
        assert_eq!(
            found.skipped[0].reason,
            "batch_size 'many' is not a positive number"
        );
    }
}
