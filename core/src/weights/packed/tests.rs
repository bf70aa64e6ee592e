//! Small matrices that the programs of the schemes packed, or their descriptions (`scripts/tiny_packed.py`).

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::weights::open_bytes;

const CASES: [&str; 13] = [
    "awq",
    "compressed-4",
    "compressed-4-zeros",
    "compressed-8",
    "compressed-float",
    "compressed-int",
    "fp8",
    "gptq-4",
    "gptq-4-order",
    "gptq-4-v2",
    "gptq-8",
    "int8",
    "nf4",
];

fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/packed")
        .join(name)
}

fn case(name: &str) -> Value {
    let all: Value = serde_json::from_slice(&fs::read(place("packed.json")).unwrap()).unwrap();
    all[name].clone()
}

fn opened(name: &str, config: &Value) -> Fact<Packed> {
    let bytes = fs::read(place(&format!("{name}.safetensors"))).unwrap();
    let source = open_bytes(bytes, &place(name)).unwrap();
    Packed::new(source, Scheme::of(config)?)
}

/// The largest difference to what was packed, of large numbers as a share of them.
fn apart(packed: &Packed, case: &Value) -> f32 {
    let numbers: Vec<f32> = serde_json::from_value(case["numbers"].clone()).unwrap();
    let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
    let at = packed.find("layer.weight").unwrap();
    assert_eq!(packed.tensors()[at].shape, shape);
    let mut found = vec![0.0; numbers.len()];
    // In two parts.
    let middle = shape[0] / 3;
    let (first, second) = found.split_at_mut(middle * shape[1]);
    packed.decode(at, middle..shape[0], second).unwrap();
    packed.decode(at, 0..middle, first).unwrap();
    let pairs = found.iter().zip(&numbers);
    pairs.fold(0.0, |most, (a, b)| {
        f32::max(most, (a - b).abs() / b.abs().max(1.0))
    })
}

#[test]
fn matrices_are_unpacked_as_their_programs_do() {
    for name in CASES.into_iter().chain(["nf4-nested"]) {
        let case = case(name);
        let packed = opened(name, &case["config"]).unwrap();
        let apart = apart(&packed, &case);
        // bitsandbytes gives half precision of integers of 8 bits.
        let most = if name == "int8" { 1e-3 } else { 1e-6 };
        assert!(apart < most, "{name}: {apart}");
        assert_eq!(packed.tensors().len(), 1, "{name}");
        let info = &packed.tensors()[0];
        let bits = if name.contains('4') || name == "awq" {
            4
        } else {
            8
        };
        assert_eq!(info.format.bits_of_codes(), Some(bits), "{name}");
        // All that the file holds, codes and scales.
        let codes = info.elements() as u64 * u64::from(bits) / 8;
        assert!(info.bytes > codes, "{name}");
        assert_eq!(packed.read(0).unwrap().len() as u64, info.bytes, "{name}");
        assert_eq!(packed.stored_bytes(), info.bytes);
        assert!(packed.decode(0, 0..info.rows() + 1, &mut [0.0]).is_err());
        assert!(packed.decode(1, 0..1, &mut [0.0]).is_err());
    }
}

#[test]
fn another_configuration_gives_other_numbers_or_is_refused() {
    for (name, key, value) in [
        ("gptq-4", "checkpoint_format", json!("gptq_v2")),
        ("gptq-4-v2", "checkpoint_format", json!("gptq")),
        ("gptq-4", "bits", json!(8)),
        ("gptq-4", "bits", json!(3)),
        ("gptq-4", "group_size", json!(16)),
        ("gptq-4", "group_size", json!(-1)),
        ("gptq-4", "group_size", json!(0)),
        ("gptq-4", "checkpoint_format", json!("marlin")),
        ("gptq-4", "dynamic", json!({"-:.*": {}})),
        ("awq", "version", json!("gemv")),
        ("awq", "bits", json!(3)),
        ("awq", "group_size", json!(32)),
        ("awq", "zero_point", json!(false)),
        ("fp8", "activation_scheme", json!("static")),
        ("fp8", "weight_block_size", json!(null)),
        ("fp8", "weight_block_size", json!([4, 8])),
        ("fp8", "weight_block_size", json!([0, 4])),
        ("fp8", "weight_block_size", json!([4, 5])),
        ("nf4", "bnb_4bit_quant_type", json!("fp4")),
        ("nf4", "load_in_8bit", json!(true)),
        ("int8", "load_in_8bit", json!(false)),
        ("compressed-4", "format", json!("marlin-24")),
        ("compressed-4", "kv_cache_scheme", json!({"num_bits": 8})),
        (
            "compressed-4",
            "sparsity_config",
            json!({"format": "sparse-24-bitmask"}),
        ),
        ("compressed-4", "config_groups", json!({})),
        ("compressed-8", "quant_method", json!("quark")),
    ] {
        let case = case(name);
        let mut config = case["config"].clone();
        config[key] = value.clone();
        match opened(name, &config) {
            Ok(packed) => {
                let same = packed.tensors()[0].shape
                    == json!(case["shape"])
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|size| size.as_u64().unwrap() as usize)
                        .collect::<Vec<_>>();
                assert!(
                    !same || apart(&packed, &case) > 1e-3,
                    "{name} {key} {value}"
                );
            }
            Err(fact) => {
                assert!(
                    fact.contains("not run here yet")
                        || fact.contains("fit")
                        || fact.contains("expected"),
                    "{name} {key} {value}: {fact}"
                );
            }
        }
    }
}

#[test]
fn a_part_that_is_missing_is_named() {
    let case = case("awq");
    let fact = opened("gptq-4", &json!({"quant_method": "awq", "bits": 4})).map(|_| ());
    assert!(fact.is_err());
    let fact = opened("int8", &case["config"]).map(|_| ()).unwrap_err();
    assert_eq!(
        fact,
        "by its config.json its weights are packed by AWQ, and no tensor is"
    );
    let scaled = json!({"quant_method": "bitsandbytes", "load_in_8bit": true});
    let fact = opened("nf4", &scaled).map(|_| ()).unwrap_err();
    assert!(fact.contains("no tensor is"), "{fact}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damage_is_survived(
        name in prop::sample::select(CASES.to_vec()),
        other in prop::sample::select(CASES.to_vec()),
        place_of in 0.0_f64..1.0,
        byte in any::<u8>(),
    ) {
        let mut bytes = fs::read(place(&format!("{name}.safetensors"))).unwrap();
        let at = (place_of * bytes.len() as f64) as usize;
        bytes[at] = byte;
        let Ok(source) = open_bytes(bytes, &place(name)) else {
            return Ok(());
        };
        let config = case(if byte.is_multiple_of(4) { other } else { name })["config"].clone();
        if let Ok(packed) = Packed::new(source, Scheme::of(&config).unwrap()) {
            for (at, info) in packed.tensors().iter().enumerate() {
                let mut out = vec![0.0; info.elements()];
                let _ = packed.decode(at, 0..info.rows(), &mut out);
            }
        }
    }
}
