//! Students as they are kept in the cache folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wattif_core::compress::distill::Student;
use wattif_fuzz::sound_tensors;

fuzz_target!(|bytes: &[u8]| {
    let Ok(student) = Student::parse(bytes) else {
        return;
    };
    sound_tensors(&student.architecture, &student.tensors);
    let record = student.record;
    assert!(
        record.ratio > 0.0 && record.ratio <= 1.0,
        "{}",
        record.ratio
    );
    assert!(record.temperature.is_finite() && record.temperature > 0.0);
    assert!(record.macs.is_finite() && record.macs >= 0.0);
    assert!(record.seconds.is_finite() && record.seconds >= 0.0);
});
