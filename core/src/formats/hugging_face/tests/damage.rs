//! Damaged and lying folders: an error or a network, never a panic.

use proptest::prelude::*;

use super::*;

/// Whatever lies in a folder, it is opened, refused, or known by its shapes.
fn survived(folder: &Path) {
    for path in [folder.to_owned(), folder.join(WEIGHTS[1])] {
        let outline = ModelReference::File(path.clone());
        if outline.is_outline() {
            let _ = Outline::open(&outline);
        } else if let Ok(model) = crate::formats::open(&path) {
            let network = model.ready(32).unwrap();
            let input = Tensor::from_vec(vec![0_u32], (1, 1), &Device::Cpu).unwrap();
            network.run(&input).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damage_is_survived(
        kind in prop::sample::select([KINDS.as_slice(), &kinds::OTHERS].concat()),
        name in prop::sample::select(vec![CONFIG, CONFIG, TOKENIZER, WEIGHTS[1]]),
        place in 0.0_f64..1.0,
        early in any::<bool>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let folder = copy(kind);
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        // The header is where most can go wrong.
        let end = if early { bytes.len().min(2_500) } else { bytes.len() };
        let at = (place * end as f64) as usize;
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        fs::write(&path, &bytes).unwrap();
        survived(folder.path());
        if cut && name == WEIGHTS[1] {
            prop_assert!(crate::formats::open(folder.path()).is_err());
        }
    }

    #[test]
    fn whatever_a_configuration_says_is_survived(
        key in prop::sample::select(vec![
            "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
            "intermediate_size", "vocab_size", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling",
            "rope_parameters", "sliding_window", "layer_types", "tie_word_embeddings", "use_sliding_window",
            "max_window_layers", "architectures", "model_type", "hidden_act", "num_experts", "num_experts_per_tok",
            "partial_rotary_factor", "query_pre_attn_scalar", "no_rope_layers", "quantization_config", "n_inner",
        ]),
        value in prop::sample::select(vec![
            json!(0), json!(1), json!(-1), json!(3), json!(u64::MAX), json!(1e300), json!(1e-300), json!(true), json!("x"),
            json!([]), json!({}), json!({"rope_type": "llama3"}), json!({"rope_type": "llama3", "factor": 1e300,
                "low_freq_factor": 1e-300, "high_freq_factor": 1e300}),
        ]),
        kind in prop::sample::select([KINDS.as_slice(), &kinds::OTHERS].concat()),
    ) {
        let folder = copy(kind);
        configure(folder.path(), &[(key, value), ("use_cache", json!(false))]);
        survived(folder.path());
    }
}
