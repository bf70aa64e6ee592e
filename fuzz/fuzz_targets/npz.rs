//! Arrays of NumPy, alone and in zip archives: what opens can be read and decoded, in memory that its bytes pay for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_fuzz::{arrays, bounded};

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x93NUMPY") {
        bounded(bytes.len(), || arrays(bytes));
    }
});
