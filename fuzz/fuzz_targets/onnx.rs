//! ONNX files: what is accepted can be counted, on a device, as it is and compressed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::formats;
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_fuzz::{path, refused, sound_outline};

fuzz_target!(|bytes: &[u8]| {
    match formats::read_onnx(bytes, path()) {
        Ok(network) => {
            let reference = ModelReference::File(path().to_owned());
            sound_outline(&Outline::of(reference, network));
        }
        Err(error) => refused(&error),
    }
});
