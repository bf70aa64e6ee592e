//! Model files of any kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::formats;
use wattif_fuzz::{path, refused, sound_recipe, sound_tensors};

fuzz_target!(|bytes: &[u8]| {
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
