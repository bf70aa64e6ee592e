//! Tokenizers, in the metadata of a GGUF or as a tokenizer.json: what opens cuts a text into numbers of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::tokenizer::Tokenizer;
use wattif_core::weights;
use wattif_fuzz::{path, refused};

/// The text that is cut, besides the fuzzed bytes as far as they are one.
const TEXT: &str = "It's 12345  blanks\n\n\tÜ 日本語 <s> <0x0A> \u{1f999}";

fuzz_target!(|bytes: &[u8]| {
    let opened = match weights::open_bytes(bytes.to_vec(), path()) {
        Ok(source) => Tokenizer::from_weights(&*source, path()),
        Err(_) => Tokenizer::read_json(bytes, path()),
    };
    let tokenizer = match opened {
        Ok(tokenizer) => tokenizer,
        Err(error) => return refused(&error),
    };
    let own = String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]);
    for text in [TEXT, &own] {
        for (add_special, parse_special) in [(false, false), (true, true)] {
            if let Ok(ids) = tokenizer.encode(text, add_special, parse_special) {
                let pieces = ids.iter().filter_map(|id| tokenizer.token_bytes(*id));
                assert_eq!(tokenizer.decode(&ids).len(), pieces.map(<[u8]>::len).sum::<usize>());
            }
        }
    }
});
