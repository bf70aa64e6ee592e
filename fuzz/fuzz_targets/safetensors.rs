//! Model files of any kind, and the shapes of those that cannot be run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::formats;
use wattif_core::outline::Outline;
use wattif_fuzz::{path, refused, sound_outline, sound_recipe, sound_tensors};

fuzz_target!(|bytes: &[u8]| {
    match Outline::read_weights(bytes, path()) {
        Ok(outline) => sound_outline(&outline),
        Err(error) => refused(&error),
    }
    match formats::read_bytes(bytes, path()) {
        Ok(model) => {
            sound_tensors(&model.architecture, &model.tensors);
            if let Some(recipe) = &model.packed {
                sound_recipe(recipe);
            }
        }
        Err(error) => refused(&error),
    }
});
