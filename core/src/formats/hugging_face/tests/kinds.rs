//! Kinds that differ from Llama in more than their sizes.

use super::*;

pub(super) const OTHERS: [&str; 29] = [
    "gemma",
    "gemma2",
    "gemma3_text",
    "phi3",
    "olmo2",
    "granite",
    "smollm3",
    "stablelm",
    "gpt2",
    "starcoder2",
    "phi",
    "mixtral",
    "qwen2_moe",
    "qwen3_moe",
    "olmoe",
    "gpt_neox",
    "gptj",
    "falcon",
    "falcon-new",
    "falcon-rw",
    "gpt_bigcode",
    "gpt_bigcode-heads",
    "olmo",
    "cohere",
    "bloom",
    "mpt",
    "yarn",
    "dynamic",
    "linear",
];

#[test]
fn the_logits_of_all_kinds_are_those_of_transformers() {
    let mut counted = 0;
    for kind in OTHERS {
        let folder = copy(kind);
        let model = opened(folder.path());
        let apart = apart(&model, kind);
        println!("{kind}: {apart:.1e}");
        assert!(apart < 1e-4, "{kind}: {apart}");
        // By the configuration alone as many parameters, but for norms, where it is known.
        let reference = ModelReference::File(folder.path().join(CONFIG));
        if let Ok(outline) = Outline::open(&reference) {
            let parameters = model.architecture.parameters();
            let apart = outline.parameters().abs_diff(parameters);
            assert!(apart <= 2 * 4 * 32, "{kind}: {apart}");
            counted += 1;
        }
    }
    assert!(counted >= 8, "{counted}");
}

#[test]
fn a_kind_that_is_configured_otherwise_gives_other_logits() {
    for (kind, key, value) in [
        ("gemma", "head_dim", None),
        ("gemma2", "query_pre_attn_scalar", Some(json!(256))),
        ("gemma2", "attn_logit_softcapping", Some(json!(50.0))),
        ("gemma2", "final_logit_softcapping", Value::Null.into()),
        ("gemma2", "sliding_window", Some(json!(6))),
        ("gemma3_text", "sliding_window", Some(json!(6))),
        ("gemma3_text", "rope_parameters", Some(json!({}))),
        ("gemma3_text", "layer_types", None),
        ("phi3", "sliding_window", Some(json!(6))),
        ("phi3", "max_position_embeddings", Some(json!(4096))),
        ("granite", "embedding_multiplier", Some(json!(2.0))),
        ("granite", "residual_multiplier", Some(json!(1.0))),
        ("granite", "logits_scaling", Some(json!(1.0))),
        ("granite", "attention_multiplier", Some(json!(0.3))),
        ("smollm3", "no_rope_layers", Some(json!([1, 1]))),
        (
            "stablelm",
            "rope_parameters",
            Some(json!({"partial_rotary_factor": 0.5})),
        ),
        (
            "phi",
            "rope_parameters",
            Some(json!({"partial_rotary_factor": 1.0})),
        ),
        ("starcoder2", "sliding_window", Some(json!(6))),
        ("mixtral", "num_experts_per_tok", Some(json!(1))),
        ("qwen2_moe", "norm_topk_prob", Some(json!(true))),
        ("qwen3_moe", "norm_topk_prob", Some(json!(false))),
        ("olmoe", "norm_topk_prob", Some(json!(true))),
        ("gpt_neox", "hidden_act", Some(json!("gelu_new"))),
        ("gpt_neox", "use_parallel_residual", Some(json!(false))),
        (
            "gpt_neox",
            "rope_parameters",
            Some(json!({"partial_rotary_factor": 0.5})),
        ),
        ("gptj", "rotary_dim", Some(json!(8))),
        ("falcon", "activation", Some(json!("gelu_new"))),
        ("falcon", "alibi", Some(json!(true))),
        ("falcon-rw", "alibi", Some(json!(false))),
        ("cohere", "logit_scale", Some(json!(0.25))),
        (
            "mpt",
            "attn_config",
            Some(json!({"softmax_scale": 0.4, "alibi": true})),
        ),
        (
            "yarn",
            "rope_parameters",
            Some(json!({"rope_type": "yarn", "factor": 4.0})),
        ),
        (
            "yarn",
            "rope_parameters",
            Some(json!({
                "rope_type": "yarn", "factor": 4.0, "beta_fast": 4.0, "original_max_position_embeddings": 32,
                "attention_factor": 1.0,
            })),
        ),
        (
            "linear",
            "rope_parameters",
            Some(json!({"rope_type": "linear", "factor": 2.0})),
        ),
    ] {
        let folder = copy(kind);
        // A width that is not said is another one, which does not fit.
        if key == "head_dim" {
            configure(folder.path(), &[(key, Value::Null)]);
            assert!(refusal(folder.path()).contains("has shape"), "{kind}");
            continue;
        }
        configure(folder.path(), &[(key, value.clone().unwrap_or_default())]);
        let apart = apart(&opened(folder.path()), kind);
        assert!(apart > 1e-3, "{kind} {key} {value:?}: {apart}");
    }
}

#[test]
fn experts_are_all_there_and_alike() {
    let name = |expert: u32| format!("model.layers.1.mlp.experts.{expert}.up_proj.weight");
    let missing = copy("olmoe");
    change(missing.path(), |tensors| {
        tensors.remove(&name(2));
    });
    let last = copy("olmoe");
    change(last.path(), |tensors| {
        tensors.remove(&name(3));
    });
    let narrow = copy("olmoe");
    change(narrow.path(), |tensors| {
        tensors.get_mut(&name(1)).unwrap().1 = vec![32, 12];
    });
    for (folder, fact) in [
        (missing, "number 2 is missing"),
        (last, "has shape [36, 32], expected [48, 32]"),
        (narrow, "must be alike"),
    ] {
        let said = refusal(folder.path());
        assert!(said.contains(fact), "{said}");
    }
}

/// Puts eights of one in FP8 and scales in the place of a matrix, and the numbers that they are into another folder.
fn ones_in_fp8(packed: &Path, plain: &Path, name: &str) {
    change(plain, |tensors| {
        let (format, shape, _) = tensors[name].clone();
        let half = 0x3f00_u16.to_le_bytes();
        let values = half.repeat(shape.iter().product());
        tensors.insert(name.to_owned(), (format, shape, values));
    });
    change(packed, |tensors| {
        let (_, shape, _) = tensors[name].clone();
        // 1 is 0x38, and its scale a half.
        let values = vec![0x38; shape.iter().product()];
        tensors.insert(name.to_owned(), (json!("F8_E4M3"), shape, values));
        let scales = (json!("F32"), vec![1, 1], 0.5_f32.to_le_bytes().to_vec());
        tensors.insert(format!("{name}_scale_inv"), scales);
    });
}

#[test]
fn packed_matrices_are_run_as_the_numbers_that_they_are() {
    let (packed, plain) = (copy("qwen3"), copy("qwen3"));
    let name = "model.layers.1.mlp.up_proj.weight";
    ones_in_fp8(packed.path(), plain.path(), name);
    let how = json!({"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]});
    configure(packed.path(), &[("quantization_config", how)]);
    // A bias of nothing, that some programs write, and one of something.
    let bias = "model.layers.1.mlp.up_proj.bias";
    let with_bias = |byte: u8| {
        change(packed.path(), |tensors| {
            let values = vec![byte; 2 * 40];
            tensors.insert(bias.to_owned(), (json!("F16"), vec![40], values));
        });
    };
    with_bias(0x30);
    let said = refusal(packed.path());
    assert!(
        said.contains(&format!("tensor '{bias}' does not belong")),
        "{said}"
    );
    with_bias(0);
    // It says the same.
    fs::write(packed.path().join("quantize_config.json"), "{}").unwrap();
    let (packed, plain) = (opened(packed.path()), opened(plain.path()));
    let own = "blk.1.ffn_up.weight";
    let blocks = &packed.blocks[own];
    assert_eq!((blocks.bits, blocks.bytes), (8, 40 * 32 + 4));
    assert!(plain.blocks.is_empty() && packed.blocks.len() == 1);
    let logits = |model: &Model| {
        let input = Tensor::from_vec(vec![5_u32, 9, 40], (1, 3), &Device::Cpu).unwrap();
        let found = model.ready(32).unwrap().run(&input).unwrap();
        found.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(logits(&packed), logits(&plain));
    assert!(apart(&plain, "qwen3") > 1e-2);
}
