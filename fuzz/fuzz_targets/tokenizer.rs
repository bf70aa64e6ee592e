//! Tokenizers, in the metadata of a GGUF or as a tokenizer.json: what opens cuts a text into numbers of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::tokenizer::Tokenizer;
use wattif_core::weights;
use wattif_fuzz::{bounded, caught_panics_count_as_errors, path, refused, sound_tokenizer};

fuzz_target!(|bytes: &[u8]| {
    caught_panics_count_as_errors();
    bounded(bytes.len(), || {
        let opened = match bytes.starts_with(b"GGUF") {
            true => weights::open_bytes(bytes.to_vec(), path())
                .and_then(|source| Tokenizer::from_weights(&*source, path())),
            false => Tokenizer::read_json(bytes, path()),
        };
        match opened {
            // The bytes themselves are a text that has the pieces in it.
            Ok(tokenizer) => {
                let own = String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]);
                sound_tokenizer(&tokenizer, &own);
            }
            Err(error) => refused(&error),
        }
    });
});
