use super::*;
use crate::carbon::find_grid;
use crate::footprint::{footprint, savings};
use crate::hardware::find;
use crate::profile::LayerKind;

fn open(text: &str) -> Outline {
    Outline::open(&text.parse().unwrap()).unwrap()
}

fn with_bits(weight_bits: u8, activation_bits: u8) -> Recipe {
    Recipe {
        quantization: Quantization {
            weight_bits,
            activation_bits,
            ..Quantization::default()
        },
        ..Recipe::default()
    }
}

#[test]
fn the_layers_of_every_network_hold_its_parameters() {
    /// Embeddings, norms and text encoders that a shape does not count, or counts beside it.
    const APART: f64 = 0.13;
    for network in serving::architectures().unwrap() {
        let outline = open(&format!("catalogue:{}", network.id));
        let beside = match network.shape.pipeline() {
            Some(pipeline) => pipeline.text_encoder_parameters + 49.5e6,
            None => 0.0,
        };
        let counted = outline.original.parameters - beside;
        let error = counted / network.parameters - 1.0;
        assert!(
            error.abs() < APART,
            "{}: {counted} of {}",
            network.id,
            network.parameters
        );
    }
}

/// Multiply-accumulates of all matrix products.
fn matrix_macs(profile: &ModelProfile) -> f64 {
    let linear = |l: &&LayerProfile| l.layer.kind == LayerKind::Linear;
    profile
        .layers
        .iter()
        .filter(linear)
        .map(|l| l.layer.macs)
        .sum()
}

#[test]
fn a_token_of_a_dense_model_multiplies_every_weight_but_the_embedding_once() {
    let profile = open("catalogue:llama-3-1-8b")
        .predict(&Recipe::default())
        .unwrap();
    let macs = matrix_macs(&profile);
    assert_eq!(macs, 8_029_995_008.0 - 128_256.0 * 4096.0);
    // Two bytes a weight, and a header.
    let bytes = profile.stored_bytes() as f64;
    assert!((bytes / (2.0 * 8.03e9) - 1.0).abs() < 1e-3, "{bytes}");
}

#[test]
fn a_token_of_a_mixture_multiplies_its_active_parameters() {
    let profile = open("catalogue:qwen3-235b-a22b")
        .predict(&Recipe::default())
        .unwrap();
    let macs = matrix_macs(&profile);
    assert!((macs / 22e9 - 1.0).abs() < 0.05, "{macs}");
}

#[test]
fn published_widths_are_never_widened_and_gpt_oss_keeps_its_experts_at_four_bits() {
    let oss = open("catalogue:gpt-oss-20b")
        .predict(&Recipe::default())
        .unwrap();
    for layer in &oss.layers {
        let expected = match layer.layer.execution.experts {
            Some(_) => 4,
            None => 16,
        };
        assert_eq!(layer.weight_bits, expected, "{}", layer.layer.name);
    }
    // 12.8 GB on the hub (MXFP4 scales of one byte per 32 weights are not counted per channel here).
    let bytes = oss.stored_bytes() as f64;
    assert!((11.5e9..14e9).contains(&bytes), "{bytes}");
}

#[test]
fn a_student_has_its_share_of_the_parameters() {
    for name in [
        "llama-3-1-8b",
        "qwen3-30b-a3b",
        "flux-1-dev",
        "stable-diffusion-xl",
        "resnet-50",
        "mobilenet-v2",
        "vgg-16",
        "ssd-mobilenet-v1",
        "lstm-ptb-medium",
        "awd-lstm-ptb",
    ] {
        let outline = open(&format!("catalogue:{name}"));
        for ratio in [0.75, 0.5, 0.25] {
            let mut recipe = Recipe::default();
            recipe.distillation.ratio = ratio;
            let student = outline.variant(ratio);
            let counted = |v: &Variant| match &v.network.shape {
                Shape::Transformer(t) => t.parameters(),
                Shape::DiffusionTransformer(t) => t.parameters(),
                Shape::UNet(t) => t.count(64, 64).parameters,
                Shape::Layers(_) | Shape::Listed(_) => v.parameters,
            };
            let share = counted(&student) / counted(&outline.original);
            assert!((share / ratio - 1.0).abs() < 0.1, "{name} {ratio}: {share}");
            assert!(outline.predict(&recipe).unwrap().macs() > 0.0);
        }
    }
}

#[test]
fn a_narrower_network_keeps_what_comes_in_and_every_result_and_its_layers_fit_together() {
    let edges = |name: &str, ratio: f64| {
        let outline = open(&format!("catalogue:{name}"));
        let layers = outline.variant(ratio).layers.clone();
        let outputs = |layer: &Layer| layer.shape[0];
        (layers[0].inputs, outputs(&layers[layers.len() - 1]), layers)
    };
    for name in ["ssd-mobilenet-v1", "resnet-18", "vgg-16", "dcgan-64"] {
        let (whole, half) = (edges(name, 1.0), edges(name, 0.5));
        assert_eq!((whole.0, whole.1), (half.0, half.1), "{name}");
    }
    // Every head of the detector keeps its boxes and classes.
    let heads = |layers: Vec<Layer>| -> Vec<usize> {
        layers[layers.len() - 12..]
            .iter()
            .map(|l| l.shape[0])
            .collect()
    };
    assert_eq!(
        heads(edges("ssd-mobilenet-v1", 0.3).2),
        heads(edges("ssd-mobilenet-v1", 1.0).2)
    );
    // The first matrix reads all of the last, now narrower, image.
    let layers = edges("vgg-16", 0.3).2;
    let dense = layers
        .iter()
        .position(|l| l.kind == LayerKind::Linear)
        .unwrap();
    assert_eq!(
        layers[dense].inputs,
        layers[dense - 1].shape[0] as f64 * 49.0
    );
}

#[test]
fn a_recurrent_model_reads_its_prompt_one_token_after_another() {
    let outline = open("catalogue:lstm-ptb-medium");
    let profile = outline.predict(&Recipe::default()).unwrap();
    let grid = find_grid("WORLD").unwrap();
    let target = find("nvidia-a100-sxm4-80gb").unwrap();
    let energy = |prompt_tokens: u32| {
        let scenario = Scenario {
            hardware: target.id.clone(),
            batch: 8,
            prompt_tokens,
            answer_tokens: 100,
            ..Scenario::default()
        };
        let cost = footprint(&profile, &scenario, target, grid).unwrap();
        cost.energy_per_unit.range.typical.0
    };
    let ratio = energy(300) / energy(0);
    assert!((ratio - 4.0).abs() < 1e-9, "{ratio}");
    let chip = find("intel-loihi-2").unwrap();
    let narrow = outline.predict(&with_bits(8, 8)).unwrap();
    let refused = footprint(&narrow, &Scenario::default(), chip, grid).unwrap_err();
    assert!(
        refused.to_string().contains("the gates of lstm"),
        "{refused}"
    );
}

#[test]
fn a_report_and_a_validated_row_give_the_same_energy() {
    use crate::serving::{Constants, Row, cases, predict};
    let row = Row {
        id: "x".to_owned(),
        model: "llama-3-1-8b".to_owned(),
        hardware: "NVIDIA H100 SXM".to_owned(),
        engine: "vLLM 0.11".to_owned(),
        n_devices: "1".to_owned(),
        batch_size: "64".to_owned(),
        input_tokens: "500".to_owned(),
        output_tokens: "500".to_owned(),
        energy_j: "1".to_owned(),
        precision: "bfloat16".to_owned(),
        ..Row::default()
    };
    let (cases, _) = cases(&[row], None);
    let prediction = predict(&cases[0], Constants::shipped().unwrap());

    let outline = open("catalogue:llama-3-1-8b");
    let scenario = Scenario {
        batch: 64,
        ..outline.scenario().unwrap()
    };
    let cost = footprint(
        &outline.predict(&Recipe::default()).unwrap(),
        &scenario,
        find(&scenario.hardware).unwrap(),
        find_grid(&scenario.region).unwrap(),
    )
    .unwrap();
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    let energy = prediction.energy.unwrap();
    near(cost.energy_per_unit.range.typical.0, energy.typical);
    near(cost.energy_per_unit.range.low.0, energy.low);
    near(
        cost.throughput.range.typical.0,
        prediction.throughput.typical,
    );
    near(cost.breakdown.total().0, energy.typical);
    let time: f64 = cost.layers.iter().map(|layer| layer.time.0).sum();
    near(time, 1.0 / prediction.throughput.typical);
}

#[test]
fn every_network_of_the_catalogue_has_a_first_scenario_in_which_it_runs() {
    for network in serving::architectures().unwrap() {
        let outline = open(&format!("catalogue:{}", network.id));
        let scenario = outline.scenario().unwrap();
        let profile = outline.predict(&Recipe::default()).unwrap();
        let target = find(&scenario.hardware).unwrap();
        let grid = find_grid(&scenario.region).unwrap();
        let cost = footprint(&profile, &scenario, target, grid).unwrap();
        let energy = cost.energy_per_unit.range;
        assert!(
            energy.low.0 > 0.0 && energy.low.0 < energy.high.0,
            "{}",
            network.id
        );
    }
}

#[test]
fn four_bits_save_energy_at_a_small_batch_and_their_saving_shrinks_with_it() {
    let outline = open("catalogue:llama-3-1-70b");
    let realised = |batch: u32| {
        let scenario = Scenario {
            batch,
            devices: 4,
            ..outline.scenario().unwrap()
        };
        savings(
            &outline.predict(&Recipe::default()).unwrap(),
            &outline.predict(&with_bits(4, 16)).unwrap(),
            &scenario,
            find(&scenario.hardware).unwrap(),
        )
        .unwrap()
        .energy
        .realised
    };
    let (small, large) = (realised(4), realised(256));
    assert!(small > large + 0.1, "{small} {large}");
}

#[test]
fn a_prompt_adds_its_share_on_devices_without_serving_constants() {
    let outline = open("dense:8e9");
    let target = find("google-tpu-v5e").unwrap();
    let grid = find_grid("WORLD").unwrap();
    let profile = outline.predict(&with_bits(8, 8)).unwrap();
    let energy = |prompt_tokens: u32| {
        let scenario = Scenario {
            hardware: target.id.clone(),
            devices: 4,
            batch: 16,
            prompt_tokens,
            answer_tokens: 200,
            ..Scenario::default()
        };
        footprint(&profile, &scenario, target, grid)
            .unwrap()
            .energy_per_unit
            .range
            .typical
            .0
    };
    let (none, some, more) = (energy(0), energy(200), energy(2000));
    assert!(none < some && some < more, "{none} {some} {more}");
    // Reading is cheaper than writing, token for token, as prompts share their weights.
    assert!(some < 2.0 * none, "{none} {some}");
}

#[test]
fn references_are_read_and_written() {
    for (text, written) in [
        ("catalogue:gpt2", "catalogue:gpt2"),
        ("dense:70e9", "dense:7e10"),
        ("dense:70B", "dense:7e10"),
        ("moe:235e9:22e9", "moe:2.35e11:2.2e10"),
    ] {
        let reference: ModelReference = text.parse().unwrap();
        assert!(reference.is_outline());
        assert_eq!(reference.to_string(), written);
        assert_eq!(written.parse::<ModelReference>().unwrap(), reference);
    }
    for (text, fact) in [
        (
            "dense:many",
            "'many' is not a number of parameters between 1e3 and 1e15; write 70e9 or 70B",
        ),
        (
            "dense:-1",
            "'-1' is not a number of parameters between 1e3 and 1e15; write 70e9 or 70B",
        ),
        (
            "moe:7e9",
            "'moe:7e9' needs all and active parameters: moe:235e9:22e9",
        ),
        (
            "moe:7e9:8e9",
            "8000000000 active parameters are more than the 7000000000 there are",
        ),
    ] {
        assert_eq!(
            text.parse::<ModelReference>().unwrap_err().to_string(),
            fact
        );
    }
}

#[test]
fn an_unknown_network_is_named_with_its_neighbours() {
    let error = Outline::open(&ModelReference::Catalogue("lama-3-1-8b".to_owned())).unwrap_err();
    assert!(error.to_string().contains("llama-3-1-8b"), "{error}");
}

#[test]
fn parameters_of_configurations_agree_with_published_models_to_the_last_one() {
    // Elements of all tensors of the published files, tied ones once.
    for (text, parameters) in [
        (
            r#"{"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}"#,
            124_439_808,
        ),
        (
            r#"{"model_type": "opt", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                "ffn_dim": 3072, "max_position_embeddings": 2048, "vocab_size": 50272}"#,
            125_239_296,
        ),
        (
            r#"{"model_type": "gpt_neox", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                "intermediate_size": 3072, "max_position_embeddings": 2048, "vocab_size": 50304,
                "tie_word_embeddings": false}"#,
            162_322_944,
        ),
        (
            r#"{"model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
                "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151936,
                "tie_word_embeddings": true}"#,
            494_032_768,
        ),
        (
            r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
                "tie_word_embeddings": false}"#,
            8_030_261_248,
        ),
    ] {
        let path = std::path::Path::new("folder/config.json");
        let network = crate::serving::parse_config(text, path).unwrap();
        let outline = Outline::of(ModelReference::File(path.to_owned()), network);
        assert_eq!(outline.parameters(), parameters, "{text}");
    }
}
