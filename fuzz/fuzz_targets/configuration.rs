//! Published configurations (`config.json`), and what an accepted network costs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_core::serving;
use wattif_fuzz::{path, refused, sound_outline};

fuzz_target!(|text: &str| {
    match serving::parse_config(text, path()) {
        Ok(network) => {
            let reference = ModelReference::File(path().to_owned());
            sound_outline(&Outline::of(reference, network));
        }
        Err(error) => refused(&error),
    }
});
