//! Weights of other programs, in a GGUF or a safetensors file: what opens can be read and decoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::weights;
use wattif_fuzz::{path, refused};

fuzz_target!(|bytes: &[u8]| {
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
    }
});
