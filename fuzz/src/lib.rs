//! What must hold of everything that a reader accepts. A violation is a panic, which is what a fuzzer looks for.

mod arrays;
mod language;
mod memory;

use std::path::Path;

use sha2::{Digest, Sha256};
use wattif_core::carbon::{self, Grid};
use wattif_core::error::Error;
use wattif_core::footprint::{Footprint, footprint};
use wattif_core::hardware::{self, HardwareTarget};
use wattif_core::model::{Architecture, Tensors};
use wattif_core::outline::Outline;
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

pub use arrays::arrays;
pub use language::{caught_panics_count_as_errors, opened, scratch, sound_tokenizer};
pub use memory::bounded;

/// The name that stands for the fuzzed bytes in errors.
pub fn path() -> &'static Path {
    Path::new("folder/input")
}

/// A refusal says a fact and then the path.
pub fn refused(error: &Error) {
    let text = error.to_string();
    assert!(
        text.ends_with(": folder/input") || text.contains("folder/"),
        "{text}"
    );
    assert!(!text.starts_with(':'), "{text}");
}

/// Tensors fit their architecture, and every value is a number; no variance is below zero.
pub fn sound_tensors(architecture: &Architecture, tensors: &Tensors) {
    assert_eq!(architecture.mismatch(tensors), None);
    assert_eq!(architecture.implausible(), None);
    for (name, tensor) in tensors {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values.iter().all(|value| value.is_finite()), "{name}");
        if name.ends_with("running_var") {
            assert!(values.iter().all(|value| *value >= 0.0), "{name}");
        }
    }
}

/// A recipe that a slider could have made.
pub fn sound_recipe(recipe: &Recipe) {
    recipe.validate().unwrap();
    recipe.canonical().validate().unwrap();
}

/// The grid of the first scenario.
pub fn grid() -> &'static Grid {
    carbon::find_grid(&Scenario::default().region).unwrap()
}

/// Every figure of a footprint is a positive number in its range.
pub fn sound_footprint(cost: &Footprint) {
    let ranges = [
        ("throughput", cost.throughput.range.map(|x| x.0)),
        ("latency", cost.latency.range.map(|x| x.0)),
        ("energy", cost.energy_per_unit.range.map(|x| x.0)),
        ("CO2e", cost.co2e_per_unit.range.map(|x| x.0)),
        ("CO2e per day", cost.co2e_per_day.range.map(|x| x.0)),
    ];
    for (what, range) in ranges {
        let values = [range.low, range.typical, range.high];
        assert!(
            values.iter().all(|value| value.is_finite()),
            "{what}: {values:?}"
        );
        assert!(
            range.low <= range.typical && range.typical <= range.high,
            "{what}: {values:?}"
        );
        assert!(range.typical > 0.0, "{what}: {values:?}");
    }
}

/// A profile on a device is refused with a reason or costs something finite and positive.
pub fn sound_cost(profile: &ModelProfile, scenario: &Scenario, target: &HardwareTarget) {
    if let Ok(cost) = footprint(profile, scenario, target, grid()) {
        sound_footprint(&cost);
    }
}

/// A network known by its shapes gives sound figures, as it is and compressed.
pub fn sound_outline(outline: &Outline) {
    let target = hardware::find("nvidia-h100-sxm").unwrap();
    let mut compressed = Recipe::default();
    compressed.quantization.weight_bits = 4;
    compressed.distillation.ratio = 0.5;
    for recipe in [Recipe::default(), compressed] {
        let profile = outline.predict(&recipe).unwrap();
        assert!(profile.parameters() > 0);
        if let Ok(scenario) = outline.scenario() {
            sound_cost(&profile, &scenario, target);
        }
    }
}

/// Puts the checksum right that a packed file states over itself, so that what lies behind it is reached.
pub fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let key = b"\"wattif.sha256\":\"";
    let Some(at) = bytes
        .windows(key.len())
        .position(|window| window == key)
        .map(|at| at + key.len())
        .filter(|at| at + 64 <= bytes.len())
    else {
        return bytes;
    };
    bytes[at..at + 64].fill(b'0');
    let sum: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    bytes[at..at + 64].copy_from_slice(sum.as_bytes());
    bytes
}
