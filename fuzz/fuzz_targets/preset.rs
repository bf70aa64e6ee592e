//! Presets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::preset::Preset;
use wattif_fuzz::{path, refused, sound_recipe};

fuzz_target!(|text: &str| {
    match Preset::from_text(text, path()) {
        Ok(preset) => {
            sound_recipe(&preset.recipe);
            preset.scenario.validate().unwrap();
            let _ = preset.check();
            let _ = preset.differences("");
            if let Some(measured) = &preset.measured {
                let energy = measured.energy_j_per_unit;
                assert!(energy.low.0 >= 0.0 && energy.high.0.is_finite());
                assert!(measured.throughput.low.0 >= 0.0 && measured.latency_s.low.0 >= 0.0);
                assert!(measured.nonzero_weights <= measured.weights);
            }
        }
        Err(error) => refused(&error),
    }
});
