//! How the formulas behind a footprint are written, whatever the device.

use super::tests::{on, profiles, scenario};
use crate::hardware::catalogue;
use crate::measurement::Provenance;

/// Whether a text has a number with a power of ten as programs write it: "2.2e0".
fn has_exponent(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')))
        .any(|word| {
            word.split_once('e').is_some_and(|(digits, power)| {
                digits.parse::<f64>().is_ok() && power.parse::<i32>().is_ok()
            })
        })
}

#[test]
fn no_formula_and_no_refusal_writes_powers_of_ten_as_programs_do() {
    assert!(has_exponent("at 2.2e0 J") && has_exponent("1e-9/s") && !has_exponent("2.20 J, 8e"));
    for target in catalogue().unwrap() {
        for model in profiles() {
            let texts: Vec<String> = match on(&model, &target.id, &scenario(8)) {
                Err(error) => vec![error.to_string()],
                Ok(cost) => [
                    cost.throughput.provenance,
                    cost.latency.provenance,
                    cost.energy_per_unit.provenance,
                    cost.co2e_per_unit.provenance,
                    cost.embodied_per_unit.provenance,
                    cost.co2e_per_day.provenance,
                ]
                .into_iter()
                .map(|provenance| match provenance {
                    Provenance::Modelled { formula } => formula,
                    other => panic!("{other:?} is not modelled"),
                })
                .collect(),
            };
            for text in texts {
                assert!(!has_exponent(&text), "{}: {text}", target.id);
            }
        }
    }
}
