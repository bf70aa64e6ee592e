use serde_json::json;

use super::*;

fn config(model_type: &str, more: &Value) -> Value {
    let mut config = json!({
        "model_type": model_type, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 8,
        "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100, "max_position_embeddings": 4096,
        "sliding_window": null,
    });
    let fields = config.as_object_mut().unwrap();
    for (key, value) in more.as_object().unwrap() {
        fields.insert(key.clone(), value.clone());
    }
    config
}

fn read(model_type: &str, more: &Value) -> Published {
    DecoderConfig::of_config(&config(model_type, more)).unwrap()
}

fn refusal(model_type: &str, more: &Value) -> String {
    match DecoderConfig::of_config(&config(model_type, more)) {
        Ok(_) => panic!("{model_type} {more} is read"),
        Err(fact) => fact,
    }
}

#[test]
fn a_configuration_gives_the_network() {
    let read = read("llama", &json!({})).network;
    let wanted = DecoderConfig {
        vocabulary: 100,
        context: 4096,
        width: 64,
        blocks: 4,
        heads: 8,
        kv_heads: 2,
        head_width: 8,
        hidden: 96,
        base: Number(10_000.0),
        rotary: 8,
        interleaved: false,
        factors: false,
        epsilon: Number(1e-6),
        tied: false,
        biases: false,
        head_norms: false,
        window: None,
        form: super::super::Form::default(),
    };
    assert_eq!(read, wanted);
}

#[test]
fn what_is_left_out_is_what_the_classes_take() {
    let without = |kind: &str, key: &str| {
        let mut config = config(kind, &json!({}));
        config.as_object_mut().unwrap().remove(key);
        DecoderConfig::of_config(&config).map(|read| read.network)
    };
    for (kind, kv_heads) in [("llama", 8), ("mistral", 8), ("qwen2", 32), ("qwen3", 32)] {
        let key = "num_key_value_heads";
        assert_eq!(without(kind, key).unwrap().kv_heads, kv_heads, "{kind}");
        assert_eq!(read(kind, &json!({key: null})).network.kv_heads, 8);
    }
    assert_eq!(read("qwen3", &json!({})).network.head_width, 128);
    assert_eq!(read("qwen2", &json!({"head_dim": 24})).network.rotary, 24);
    // A kind that has a window unless it is said that it has none.
    let windowed = json!({"max_position_embeddings": 8192});
    let mut config = config("mistral", &windowed);
    config.as_object_mut().unwrap().remove("sliding_window");
    let network = DecoderConfig::of_config(&config).unwrap().network;
    assert_eq!(network.window, Some(4096));
    for key in ["hidden_size", "vocab_size", "max_position_embeddings"] {
        let fact = without("llama", key).unwrap_err();
        assert_eq!(fact, format!("its config.json does not say {key}"));
    }
}

#[test]
fn windows_are_those_of_all_blocks_or_none() {
    let window = |kind, more| read(kind, &more).network.window;
    let (full, sliding) = ("full_attention", "sliding_attention");
    let said = |more: Value| {
        let mut more = more;
        more["sliding_window"] = json!(512);
        more
    };
    assert_eq!(window("mistral", said(json!({}))), Some(512));
    assert_eq!(window("mistral", json!({"sliding_window": 4096})), None);
    assert_eq!(window("llama", json!({"sliding_window": 4096})), None);
    for kind in ["llama", "qwen2", "qwen3"] {
        let off = said(json!({"use_sliding_window": false}));
        assert_eq!(window(kind, off), None);
    }
    for kind in ["qwen2", "qwen3"] {
        let on = |key: &str, value| {
            let mut more = said(json!({"use_sliding_window": true}));
            more[key] = value;
            more
        };
        assert_eq!(window(kind, on("max_window_layers", json!(0))), Some(512));
        assert_eq!(window(kind, on("max_window_layers", json!(4))), None);
        assert_eq!(
            window(
                kind,
                on("layer_types", json!([sliding, sliding, sliding, sliding]))
            ),
            Some(512)
        );
        assert_eq!(
            window(kind, on("layer_types", json!([full, full, full, full]))),
            None
        );
        for more in [
            on("max_window_layers", json!(3)),
            on("layer_types", json!([full, full, full, sliding])),
        ] {
            let network = read(kind, &more).network;
            assert_eq!(network.window, Some(512));
            assert_eq!(network.form.local, [false, false, false, true]);
        }
        let mut divided = on("max_window_layers", json!(3));
        divided["rope_scaling"] = json!({"rope_type": "linear", "factor": 2.0});
        assert!(refusal(kind, &divided).contains("its positions are divided"));
    }
    for (kind, more) in [
        ("llama", said(json!({}))),
        (
            "qwen2",
            json!({"layer_types": [sliding, sliding, sliding, sliding]}),
        ),
        (
            "mistral",
            said(json!({"layer_types": [full, full, full, full]})),
        ),
        ("qwen3", json!({"layer_types": [full]})),
        (
            "qwen3",
            json!({"layer_types": ["linear_attention", full, full, full]}),
        ),
    ] {
        let fact = refusal(kind, &more);
        assert!(fact.ends_with("which is not run here yet"), "{fact}");
    }
}

#[test]
fn what_would_change_the_numbers_is_refused_by_its_key() {
    for (key, value) in [
        ("attention_bias", json!(true)),
        ("mlp_bias", json!(true)),
        ("hidden_act", json!("gelu")),
        ("partial_rotary_factor", json!(0.5)),
        ("partial_rotary_factor", json!(0)),
        ("attn_logit_softcapping", json!(50.0)),
        ("final_logit_softcapping", json!(1.0)),
        ("embedding_multiplier", json!(12.0)),
        ("residual_multiplier", json!(0.0)),
        ("logits_scaling", json!(8.0)),
        ("num_local_experts", json!(8)),
        ("rope_interleaved", json!(true)),
        ("use_qk_norm", json!(true)),
        ("use_mrope", json!(true)),
        ("clip_qkv", json!(8.0)),
        ("pruned_heads", json!({"0": [1]})),
    ] {
        let fact = refusal("llama", &json!({key: value}));
        let wanted = format!("its config.json says {key} = {value}, which is not run here yet");
        assert_eq!(fact, wanted);
    }
    // Where they are off, and what other programs leave in such files.
    let off = json!({
        "attention_bias": false, "mlp_bias": false, "partial_rotary_factor": 1.0, "attn_logit_softcapping": null,
        "embedding_multiplier": 1, "num_local_experts": 0, "rope_interleaved": false, "use_mrope": false,
        "pretraining_tp": 1, "initializer_range": 0.02, "attention_dropout": 0.1, "is_llama_config": true,
        "torch_dtype": "bfloat16", "transformers.js_config": {"dtype": "q4"}, "pruned_heads": {}, "quantization_config": null,
    });
    assert_eq!(
        read("llama", &off).network,
        read("llama", &json!({})).network
    );
}

#[test]
fn packed_weights_and_other_kinds_are_named() {
    let by = |how| refusal("llama", &json!({"quantization_config": how}));
    for method in ["hqq", "quanto", "eetq", "mxfp4"] {
        assert_eq!(
            by(json!({"quant_method": method})),
            format!("its weights are packed by {method}, which is not run here yet")
        );
    }
    assert!(by(json!({"bits": 4})).contains("packed by another program"));
    let fact = refusal("gemma3n_text", &json!({}));
    assert_eq!(
        fact,
        "networks of the kind 'gemma3n_text' are not run here yet"
    );
    let classes = json!({"architectures": ["LlamaForSequenceClassification"]});
    let fact = refusal("llama", &classes);
    assert!(fact.contains("LlamaForSequenceClassification"), "{fact}");
    read("llama", &json!({"architectures": ["LlamaForCausalLM"]}));
    let code = json!({"auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}});
    let fact = refusal("llama", &code);
    assert!(fact.contains("code of its own (auto_map)"), "{fact}");
    let before = json!({"auto_map": {
        "AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
    }});
    read("phi3", &before);
    let fact = refusal("llama", &before);
    assert!(fact.contains("code of its own (auto_map)"), "{fact}");
    for other in [json!([]), json!(null), json!({}), json!({"model_type": 3})] {
        assert!(DecoderConfig::of_config(&other).is_err());
    }
}

#[test]
fn angles_are_those_of_llama_3_or_not_divided() {
    // As transformers 5.24 divides them for Llama 3.2 1B: heads of 64, base 500,000.
    let scaling = json!({
        "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    });
    let more = json!({"head_dim": 64, "rope_theta": 500_000.0, "rope_scaling": scaling});
    let published = read("llama", &more);
    let factors = published.tables[0].1.clone();
    assert!(published.network.factors);
    for (pair, wanted) in FACTORS {
        let found = factors[pair];
        assert!(
            (found / wanted - 1.0).abs() < 1e-4,
            "{pair}: {found}, {wanted}"
        );
    }
    let plain = |rope: Value| {
        let read = read("llama", &json!({"rope_parameters": rope}));
        assert!(read.tables.is_empty());
        read.network.base.0
    };
    assert_eq!(
        plain(json!({"rope_type": "default", "rope_theta": 5e5})),
        5e5
    );
    assert_eq!(plain(json!({"rope_theta": 1e6})), 1e6);
    assert_eq!(plain(json!({})), 1e4);
    for kind in ["longrope", "proportional"] {
        for key in ["rope_scaling", "rope_parameters"] {
            let fact = refusal("llama", &json!({key: {"rope_type": kind, "factor": 2.0}}));
            assert_eq!(
                fact,
                format!(
                    "its config.json says {key} of the type '{kind}', which is not run here yet"
                )
            );
        }
    }
    for scaling in [
        json!({"rope_type": "llama3", "factor": 8.0}),
        json!({"rope_type": "llama3", "factor": 0.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}),
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 4.0}),
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "mscale": 1.0}),
        json!({"factor": 2.0}),
        json!({"rope_type": 3}),
        json!({"partial_rotary_factor": 0.5}),
        json!({"full_attention": {"rope_theta": 1e4}}),
        json!("llama3"),
    ] {
        let fact = refusal("llama", &json!({"rope_scaling": scaling}));
        assert!(fact.contains("rope_scaling"), "{fact}");
    }
    let two =
        json!({"rope_scaling": {"rope_type": "default"}, "rope_parameters": {"rope_theta": 1e6}});
    assert!(refusal("llama", &two).contains("differ"));
}

/// The angles without scaling over those of `LlamaRotaryEmbedding`.
const FACTORS: [(usize, f32); 7] = [
    (0, 1.0),
    (14, 1.0),
    (15, 1.651_33),
    (16, 3.292_26),
    (17, 9.666_73),
    (18, 32.0),
    (31, 32.0),
];

#[test]
fn every_name_comes_back() {
    let published = read("qwen2", &json!({}));
    let as_published = |name: &str| published.as_published(name);
    let as_gguf = |name: &str| published.as_gguf(name).map(|new| new.name);
    let head_norms = DecoderConfig {
        head_norms: true,
        biases: true,
        ..published.network.clone()
    };
    let names: Vec<String> = crate::model::Architecture::Decoder(head_norms)
        .tensor_shapes()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() > 50);
    for name in names {
        let published = as_published(&name).unwrap();
        assert_eq!(as_gguf(&published), Some(name.clone()), "{published}");
        for prefix in ["module.", "language_model.", "module.language_model."] {
            assert_eq!(as_gguf(&format!("{prefix}{published}")), Some(name.clone()));
        }
    }
    assert_eq!(
        as_gguf("model.layers.0.self_attn.rotary_emb.inv_freq"),
        None
    );
    for strange in [
        "model.layers.01.mlp.up_proj.weight",
        "model.layers.0.mlp.up_proj",
        "x",
        "model.norm.scale",
    ] {
        assert_eq!(as_gguf(strange).as_deref(), Some(strange));
    }
    assert_eq!(
        as_gguf("model.layers.0.self_attn.rotary_emb.inv_freq"),
        None
    );
}

#[test]
fn names_of_all_kinds_come_back() {
    for kind in kinds::KINDS {
        let mut sizes = json!({"sliding_window": 4096});
        if let Some(experts) = kind.experts {
            for key in [experts.count[0], "num_experts_per_tok", experts.width] {
                sizes[key] = json!(2);
            }
            if let Some(key) = experts.shared {
                sizes[key] = json!(8);
            }
        }
        let published = read(kind.name, &sizes);
        let names = crate::model::Architecture::Decoder(published.network.clone()).tensor_shapes();
        for (name, _) in names {
            let own = published.as_published(&name);
            let own = own.unwrap_or_else(|| panic!("{}: {name}", kind.name));
            assert_eq!(published.as_gguf(&own).unwrap().name, name, "{own}");
        }
    }
}

#[test]
fn what_a_kind_does_not_read_is_refused_in_it() {
    for (kind, more) in [
        ("stablelm", json!({"use_parallel_residual": true})),
        ("stablelm", json!({"qk_layernorm": true})),
        ("phi", json!({"qk_layernorm": true})),
        ("gpt2", json!({"scale_attn_weights": false})),
        ("gpt2", json!({"scale_attn_by_inverse_layer_idx": true})),
        ("gpt2", json!({"activation_function": "relu"})),
        ("gemma", json!({"attention_bias": true})),
        ("gemma", json!({"use_bidirectional_attention": true})),
        (
            "gemma2",
            json!({"rope_local_base_freq": 1e4, "sliding_window": 512}),
        ),
        (
            "gemma2",
            json!({"attn_logit_softcapping": -1.0, "sliding_window": 512}),
        ),
        ("gemma3_text", json!({})),
        (
            "gemma3_text",
            json!({"sliding_window": 512, "rope_scaling": {"rope_type": "yarn"}}),
        ),
        (
            "gemma3_text",
            json!({"sliding_window": 512, "sliding_window_pattern": 0}),
        ),
        ("smollm3", json!({"no_rope_layers": [1, 0, 0, 1]})),
        ("granite", json!({"residual_multiplier": 0.0})),
        (
            "phi3",
            json!({"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}),
        ),
        ("phi3", json!({"partial_rotary_factor": 1.5})),
        (
            "qwen3_moe",
            json!({"num_experts": 4, "num_experts_per_tok": 2, "mlp_only_layers": [1]}),
        ),
        (
            "qwen3_moe",
            json!({"num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 2}),
        ),
        (
            "olmoe",
            json!({"num_experts": 4, "num_experts_per_tok": 2, "clip_qkv": 8.0}),
        ),
        ("mixtral", json!({"num_experts_per_tok": 2})),
        ("gptj", json!({"rotary": false})),
        ("gptj", json!({"rotary_dim": 0})),
        ("falcon", json!({"num_ln_in_parallel_attn": 2})),
        ("falcon", json!({"activation": "relu"})),
        (
            "falcon",
            json!({"new_decoder_architecture": true, "parallel_attn": false}),
        ),
        ("cohere", json!({"use_qk_norm": true})),
        ("olmo", json!({"clip_qkv": 8.0})),
        (
            "bloom",
            json!({"apply_residual_connection_post_layernorm": true}),
        ),
        ("mpt", json!({"attn_config": {"alibi": false}})),
        ("mpt", json!({"attn_config": {"alibi_bias_max": 16}})),
        ("mpt", json!({"attn_config": {"qk_ln": true}})),
        ("mpt", json!({"attn_config": {"softmax_scale": -1.0}})),
        ("mpt", json!({"no_bias": false})),
        ("mpt", json!({"expansion_ratio": 2})),
        ("llama", json!({"rope_scaling": {"rope_type": "dynamic"}})),
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "truncate": 3}}),
        ),
        (
            "gpt2",
            json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}),
        ),
    ] {
        let fact = refusal(kind, &more);
        let known = ["which is not run here yet", "does not say"];
        assert!(
            known.iter().any(|part| fact.contains(part)),
            "{kind}: {fact}"
        );
    }
}
