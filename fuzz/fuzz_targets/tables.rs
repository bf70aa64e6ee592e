//! Tables of measurements of every kind, and what is predicted of their rows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::serving::Options;
use wattif_core::tables;
use wattif_fuzz::{path, refused};

fuzz_target!(|text: &str| {
    match tables::read(text, path()) {
        Ok(table) => {
            let options = Options {
                models: None,
                cross_validate: false,
            };
            let validation = tables::validate(&[table], options).unwrap();
            for row in &validation.rows {
                for range in [row.predicted_energy_j, row.predicted_throughput]
                    .into_iter()
                    .flatten()
                {
                    let values = [range.low, range.typical, range.high];
                    assert!(
                        values.iter().all(|value| value.is_finite()),
                        "{}: {values:?}",
                        row.id
                    );
                    assert!(range.low <= range.typical && range.typical <= range.high);
                }
                for measured in [row.measured_energy_j, row.measured_throughput]
                    .into_iter()
                    .flatten()
                {
                    assert!(measured.is_finite(), "{}: {measured}", row.id);
                }
            }
        }
        Err(error) => refused(&error),
    }
});
