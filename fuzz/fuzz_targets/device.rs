//! Device files, and what the bundled classifier and a language model cost on what is accepted.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattif_core::hardware;
use wattif_core::model::bundled;
use wattif_core::outline::Outline;
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;
use wattif_fuzz::{path, refused, sound_cost};

static PROFILES: LazyLock<Vec<ModelProfile>> = LazyLock::new(|| {
    let model = bundled::load("fashion-cnn").unwrap();
    let layers = model.architecture.layers();
    let unit = model.architecture.unit();
    let mut recipe = Recipe::default();
    recipe.quantization.weight_bits = 8;
    recipe.quantization.activation_bits = 8;
    let outline = Outline::open(&"catalogue:gpt2".parse().unwrap()).unwrap();
    vec![
        wattif_core::compress::plan("fashion-cnn", unit, &layers, &recipe),
        outline.predict(&Recipe::default()).unwrap(),
    ]
});

fuzz_target!(|text: &str| {
    match hardware::parse(text, path()) {
        Ok(target) => {
            for profile in PROFILES.iter() {
                let scenario = Scenario {
                    hardware: target.id.clone(),
                    ..Scenario::default()
                };
                sound_cost(profile, &scenario, &target);
            }
        }
        Err(error) => refused(&error),
    }
});
