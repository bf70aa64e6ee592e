//! The same said in other ways: schemes of quantisation, numbers as Python writes them, files that are something else.

use std::path::Path;

use serde_json::{Value, json};

use super::parse;
use crate::graph::Role;
use crate::serving::architecture::Architecture;

/// A small mixture with some keys changed.
fn read(changes: &Value) -> Result<Architecture, String> {
    let mut config = json!({
        "model_type": "qwen3_moe", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 128, "moe_intermediate_size": 32,
        "num_experts": 4, "num_experts_per_tok": 2, "vocab_size": 100, "tie_word_embeddings": false
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    parse(&config.to_string(), Path::new("config.json")).map_err(|error| error.to_string())
}

/// Bits a weight of a part takes with its scale, 16 where it is not converted.
fn bits(network: &Architecture, role: Role) -> f64 {
    let formats = network.formats.as_ref().unwrap();
    let stored = formats.weights.iter().find(|(part, _)| *part == role);
    stored.map_or(16.0, |(_, stored)| {
        let scale = match stored.group {
            0 => 0.0,
            group => f64::from(stored.scale_bits) / f64::from(group),
        };
        f64::from(stored.bits) + scale
    })
}

#[test]
fn every_scheme_is_read_whatever_its_spelling() {
    let nested = json!({"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig",
        "_data": {"group_size": 64}}}});
    let quark = json!({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int4", "group_size": 128}}});
    let compressed = |weights: Value, activations: Value| {
        json!({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets": ["Linear"],
            "weights": weights, "input_activations": activations}}, "ignore": ["lm_head", "re:.*mlp.gate$"]})
    };
    for (scheme, expected, activations) in [
        (
            json!({"quant_method": "gptq", "bits": 4, "group_size": 128}),
            4.15625,
            None,
        ),
        (
            json!({"quant_method": "gptq", "bits": 8, "group_size": -1}),
            8.0,
            None,
        ),
        (
            json!({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}),
            4.3125,
            None,
        ),
        (json!({"bits": 3, "group_size": 128}), 3.1484375, None),
        (
            json!({"quant_method": "fp8", "weight_block_size": [128, 128]}),
            8.0 + 32.0 / 16384.0,
            Some(8),
        ),
        (json!({"quant_method": "fbgemm_fp8"}), 8.0, Some(8)),
        (
            json!({"quant_algo": "NVFP4", "quant_method": "modelopt"}),
            4.5,
            Some(4),
        ),
        (
            json!({"quant_algo": "W4A16_AWQ", "group_size": 128}),
            4.125,
            None,
        ),
        (
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true}),
            4.5,
            None,
        ),
        (
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_use_double_quant": true}),
            4.125,
            None,
        ),
        (
            json!({"quant_method": "bitsandbytes", "load_in_8bit": true}),
            8.0,
            None,
        ),
        (json!({"quant_method": "exl2", "bits": 4.25}), 4.25, None),
        (json!({"quant_method": "exl3", "bits": 3.5}), 3.5, None),
        (
            json!({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}}),
            4.5,
            None,
        ),
        (
            json!({"quant_method": "aqlm", "num_codebooks": 1, "nbits_per_codebook": 16, "in_group_size": 8,
                "out_group_size": 1}),
            2.0,
            None,
        ),
        (
            json!({"quant_method": "torchao", "quant_type": "int4wo-128"}),
            4.25,
            None,
        ),
        (nested, 4.5, None),
        (quark, 4.125, None),
        (
            json!({"quant_method": "quanto", "weights": "int8"}),
            8.0,
            None,
        ),
        (json!({"quant_method": "bitnet"}), 2.0, Some(8)),
        (
            compressed(
                json!({"num_bits": 4, "type": "int", "group_size": 128}),
                json!(null),
            ),
            4.125,
            None,
        ),
        (
            compressed(
                json!({"num_bits": 8, "type": "int"}),
                json!({"num_bits": 8}),
            ),
            8.0,
            Some(8),
        ),
    ] {
        let network = read(&json!({"quantization_config": scheme})).unwrap();
        assert_eq!(bits(&network, Role::Experts), expected, "{scheme}");
        assert_eq!(bits(&network, Role::Attention), expected, "{scheme}");
        for role in [Role::Embedding, Role::Router, Role::Head] {
            assert_eq!(bits(&network, role), 16.0, "{scheme}: {role:?}");
        }
        let formats = network.formats.unwrap();
        assert_eq!(formats.activations, activations, "{scheme}");
        assert_eq!(formats.cache, None, "{scheme}");
    }
}

#[test]
fn a_scheme_that_is_not_known_is_refused_and_never_taken_for_sixteen_bits() {
    for (scheme, fact) in [
        (
            json!({"quant_method": "newest"}),
            "by 'newest', which is not known",
        ),
        (
            json!({"quant_algo": "W3A3"}),
            "by 'w3a3', which is not known",
        ),
        (json!({"quant_method": "gptq"}), "without its 'bits'"),
        (json!({}), "without its method"),
        (
            json!({"quant_method": "torchao", "quant_type": "int7"}),
            "'int7', which is not known",
        ),
        (
            json!({"quant_method": "compressed-tensors", "config_groups": {}}),
            "lists no groups",
        ),
        (
            json!({"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8}, "kv_cache_quant_algo": "x"}),
            "",
        ),
    ] {
        let read = read(&json!({"quantization_config": scheme}));
        if fact.is_empty() {
            assert_eq!(read.unwrap().formats.unwrap().cache, Some(8));
            continue;
        }
        let error = read.unwrap_err();
        assert!(error.contains(fact), "{scheme}: {error}");
    }
}

#[test]
fn parts_that_stay_are_counted_in_sixteen_bits() {
    let scheme = |left: Value| json!({"quantization_config": {"quant_method": "fp8", "modules_to_not_convert": left}});
    let network = read(&scheme(json!(["lm_head", "model.layers.*.self_attn"]))).unwrap();
    assert_eq!(bits(&network, Role::Attention), 16.0);
    assert_eq!(bits(&network, Role::Experts), 8.0);
    // Named layer by layer, all of them or one.
    let all = json!([
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj"
    ]);
    assert_eq!(bits(&read(&scheme(all)).unwrap(), Role::Attention), 16.0);
    let many = json!({"num_hidden_layers": 9, "quantization_config":
        {"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.self_attn.q_proj"]}});
    let network = read(&many).unwrap();
    assert_eq!(bits(&network, Role::Attention), 8.0);
    assert!(
        network
            .notes
            .iter()
            .any(|note| note.starts_with("1 of its layers stay")),
        "{:?}",
        network.notes
    );
}

#[test]
fn what_python_writes_for_no_number_is_no_number() {
    let text = r#"{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 128, "vocab_size": 100, "router_z": Infinity, "a": -Infinity, "b": [NaN],
        "name": "NaN and Infinity \" stay"}"#;
    assert!(parse(text, Path::new("config.json")).is_ok());
}

#[test]
fn files_that_configure_something_else_say_what_to_open() {
    for (config, fact) in [
        (
            json!({"metadata": {}, "weight_map": {}}),
            "is the index of a sharded checkpoint",
        ),
        (
            json!({"peft_type": "LORA", "r": 8}),
            "configures an adapter",
        ),
        (
            json!({"tokenizer_class": "LlamaTokenizer"}),
            "configures a tokenizer",
        ),
        (
            json!({"eos_token_id": 2, "temperature": 0.7}),
            "configures generation",
        ),
        (
            json!({"image_processor_type": "X"}),
            "how inputs are prepared",
        ),
        (
            json!({"_class_name": "FluxPipeline"}),
            "lists the parts of a 'FluxPipeline'",
        ),
    ] {
        let error = parse(&config.to_string(), Path::new("x.json"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(fact), "{config}: {error}");
        assert!(error.ends_with(": x.json"), "{error}");
    }
}

#[test]
fn a_window_without_a_pattern_is_not_taken_for_all_layers() {
    let error = read(&json!({"model_type": "olmo3", "sliding_window": 64})).unwrap_err();
    assert!(
        error.contains("not which of its 2 layers have it"),
        "{error}"
    );
    // What is stated to be nothing is nothing, whatever its class has.
    let none = read(&json!({"model_type": "exaone4", "sliding_window": null})).unwrap();
    assert!(!none.graph().language().unwrap().has_windows());
    let usual = read(&json!({"model_type": "exaone4"})).unwrap();
    assert!(usual.graph().language().unwrap().has_windows());
}

#[test]
fn what_writes_no_text_is_not_taken_for_a_decoder() {
    for (changes, fact) in [
        (
            json!({"model_type": "new_vision", "architectures": ["NewForImageClassification"]}),
            "'NewForImageClassification', is not one that writes text",
        ),
        (
            json!({"model_type": "clipseg"}),
            "'clipseg', whose layers are not known",
        ),
        (
            json!({"model_type": "albert"}),
            "'albert', whose layers are not known",
        ),
        (
            json!({"model_type": "new", "word_embed_proj_dim": 32}),
            "32 wide ('word_embed_proj_dim') in a stream of 64",
        ),
        (
            json!({"model_type": "chatglm", "position_encoding_2d": true}),
            "key 'position_encoding_2d'",
        ),
        (
            json!({"model_type": "new", "attention_other_setting": {"heads": 2}}),
            "the key 'attention_other_setting'",
        ),
    ] {
        let error = read(&changes).unwrap_err();
        assert!(error.contains(fact), "{changes}: {error}");
    }
    let writes = json!({"model_type": "new_text", "architectures": ["NewForCausalLM"]});
    assert!(read(&writes).unwrap().notes[0].contains("read as a decoder like Llama"));
    // Without experts, what would be shared is the dense layer.
    let dense = json!({"model_type": "granitemoehybrid", "num_experts": 0, "layer_types": ["attention", "attention"],
        "shared_intermediate_size": 96});
    let all = read(&dense).unwrap().graph().parameters();
    let other = json!({"model_type": "granitemoehybrid", "num_experts": 0, "layer_types": ["attention", "attention"],
        "intermediate_size": 96, "moe_intermediate_size": null});
    assert_eq!(all, read(&other).unwrap().graph().parameters());
}
