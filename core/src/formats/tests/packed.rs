//! Packed files whose checksum is right and whose contents are not, and keys that stand twice.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::compress::{CHECKSUM_KEY, Compressor};
use crate::recipe::Recipe;

/// A packed file as its header and its data.
fn packed() -> (Value, Vec<u8>) {
    let architecture = small();
    let tensors = architecture.initial_tensors(1).unwrap();
    let planner = crate::engine::planner("small", &architecture).unwrap();
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = 0.5;
    recipe.quantization.weight_bits = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.safetensors");
    let mut compressor = Compressor::new(planner, &tensors).unwrap();
    compressor.export(&recipe, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let (header, data) = bytes[8..].split_at(length);
    (serde_json::from_slice(header).unwrap(), data.to_vec())
}

/// The file again, with a checksum that is right.
fn sealed(mut header: Value, data: &[u8]) -> Vec<u8> {
    let empty = "0".repeat(64);
    header["__metadata__"][CHECKSUM_KEY] = json!(empty);
    let text = header.to_string();
    let file = |text: &str| {
        let mut file = (text.len() as u64).to_le_bytes().to_vec();
        file.extend(text.as_bytes());
        file.extend(data);
        file
    };
    let digest = Sha256::digest(file(&text));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    file(&text.replacen(&empty, &digest, 1))
}

#[test]
fn a_packed_file_under_a_right_checksum_passes_the_checks_of_every_model() {
    let (header, data) = packed();
    assert!(open_bytes(&sealed(header.clone(), &data)).is_ok());
    let recipe = &header["__metadata__"]["wattif.recipe"];
    let recipe: Value = serde_json::from_str(recipe.as_str().unwrap()).unwrap();
    for (pointer, value, fact) in [
        ("/pruning/sparsity", json!(-5.0), "sparsity is -5"),
        (
            "/pruning/pattern",
            json!("Diagonal"),
            "its recipe cannot be read",
        ),
        ("/quantization/weight_bits", json!(99), "weight bits are 99"),
        (
            "/quantization/activation_bits",
            json!(0),
            "activation bits are 0",
        ),
        (
            "/quantization/group",
            json!({"Size": 3}),
            "the group size is 3",
        ),
        (
            "/distillation/ratio",
            json!(0.0),
            "the distillation ratio is 0",
        ),
        (
            "/distillation/temperature",
            json!(1e300),
            "the distillation temperature is",
        ),
        ("/seed", json!(-1), "its recipe cannot be read"),
    ] {
        let mut recipe = recipe.clone();
        *recipe.pointer_mut(pointer).unwrap() = value;
        let mut header = header.clone();
        header["__metadata__"]["wattif.recipe"] = json!(recipe.to_string());
        let found = message(open_bytes(&sealed(header, &data)));
        assert!(found.contains(fact), "{pointer}: {found}");
    }
    for (tensor, value, fact) in [
        (
            "bn1.weight",
            f32::NAN,
            "tensor 'bn1.weight' has 1 of 2 values that are not finite",
        ),
        (
            "bn1.bias",
            f32::INFINITY,
            "tensor 'bn1.bias' has 1 of 2 values that are not finite",
        ),
        (
            "bn1.running_var",
            -1.0,
            "tensor 'bn1.running_var' has 1 of 2 values below zero",
        ),
    ] {
        let at = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
        let mut data = data.clone();
        data[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let found = message(open_bytes(&sealed(header.clone(), &data)));
        assert!(found.starts_with(fact), "{found}");
    }
    // An infinite scale is a value that is not finite too: scales stand last.
    let at = header["conv1.weight"]["data_offsets"][1].as_u64().unwrap() as usize - 2;
    let mut broken = data.clone();
    broken[at..at + 2].copy_from_slice(&0x7c00u16.to_le_bytes());
    let found = message(open_bytes(&sealed(header, &broken)));
    assert!(found.contains("tensor 'conv1.weight' has"), "{found}");
}

#[test]
fn a_packed_file_of_a_newer_version_is_refused_with_its_number() {
    let (mut header, data) = packed();
    assert_eq!(header["__metadata__"]["wattif.version"], "3");
    header["__metadata__"]["wattif.version"] = json!("4");
    let found = message(open_bytes(&sealed(header.clone(), &data)));
    assert_eq!(
        found,
        "packed format 4 is not known; this program reads formats 1 to 3"
    );
    header["__metadata__"]
        .as_object_mut()
        .unwrap()
        .remove("wattif.version");
    let found = message(open_bytes(&sealed(header, &data)));
    assert!(found.ends_with("it has no wattif.version"), "{found}");
}

#[test]
fn a_tensor_or_a_key_that_stands_twice_is_refused() {
    let parts = Parts::of(&small(), true);
    let header = serde_json::to_string(&parts.header()).unwrap();
    for key in ["bn1.bias", "__metadata__", "dtype"] {
        let name = format!("\"{key}\":");
        let at = header.find(&name).unwrap();
        let twice = format!("{}{name}{{}},{}", &header[..at], &header[at..]);
        let found = message(open_bytes(&parts.file_with(&twice)));
        let fact = format!("the header is damaged ('{key}' stands there twice");
        assert!(found.starts_with(&fact), "{found}");
    }
}
