//! Weights of other programs, in a GGUF or a safetensors file: what opens can be read and decoded. A GGUF whose network
//! and tokenizer are accepted too is run for a token.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use wattif_core::weights;
use wattif_fuzz::{bounded, caught_panics_count_as_errors, opened, path, refused, scratch};

fuzz_target!(|bytes: &[u8]| {
    caught_panics_count_as_errors();
    bounded(bytes.len(), || {
        listed(bytes);
        if bytes.starts_with(b"GGUF") {
            let file = scratch("input.gguf");
            fs::write(&file, bytes).unwrap();
            opened(&file);
        }
    });
});

fn listed(bytes: &[u8]) {
    let source = match weights::open_bytes(bytes.to_vec(), path()) {
        Ok(source) => source,
        Err(error) => return refused(&error),
    };
    assert!(source.stored_bytes() <= bytes.len() as u64);
    for (tensor, info) in source.tensors().iter().enumerate() {
        assert_eq!(source.find(&info.name), Some(tensor));
        assert_eq!(source.read(tensor).unwrap().len() as u64, info.bytes);
        // Blocks of two bits take sixteen times their bytes as single precision; a shape cannot claim more.
        assert!(info.elements() <= 32 * bytes.len());
        let mut values = vec![0.0; info.elements()];
        match source.decode(tensor, 0..info.rows(), &mut values) {
            Ok(()) => assert!(info.format.can_be_decoded()),
            Err(error) => refused(&error),
        }
        // Rows one by one are the same.
        let length = info.row_length();
        for row in (0..info.rows().min(3)).filter(|_| info.format.can_be_decoded()) {
            let mut alone = vec![0.0; length];
            source.decode(tensor, row..row + 1, &mut alone).unwrap();
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&alone), bits(&values[row * length..][..length]));
        }
    }
}
