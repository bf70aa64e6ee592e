//! Encoders, encoders with decoders and towers of images against the published counts of their weights, to the parameter
//! where the graph counts every vector.

use std::path::Path;

use serde_json::{Value, json};

use super::parse;
use crate::serving::architecture::{Architecture, Shape};

fn read(config: &Value) -> Architecture {
    match parse(&config.to_string(), Path::new("folder/config.json")) {
        Ok(network) => network,
        Err(error) => panic!("{config}: {error}"),
    }
}

fn count(config: &Value) -> u64 {
    read(config).graph().parameters()
}

/// Parameters of the parts beside the blocks.
fn beside(config: &Value) -> u64 {
    match read(config).shape {
        Shape::Transformer(network) => network
            .beside
            .parts
            .iter()
            .map(|part| part.parameters())
            .sum(),
        other => panic!("{other:?}"),
    }
}

fn classes(class: &str) -> Value {
    json!([class])
}

#[test]
fn t5_is_counted_as_published() {
    let small = json!({"model_type": "t5", "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8,
        "vocab_size": 32128, "is_encoder_decoder": true, "architectures": ["T5WithLMHeadModel"]});
    assert_eq!(count(&small), 60_506_624);
    let base = json!({"model_type": "t5", "d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12,
        "vocab_size": 32128, "is_encoder_decoder": true});
    assert_eq!(count(&base), 222_903_552);
    let flan = json!({"model_type": "t5", "d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12,
        "vocab_size": 32128, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false, "num_decoder_layers": 12});
    assert_eq!(count(&flan), 247_577_856);
    // Heads of 11 B add up to four times the width.
    let large = json!({"model_type": "t5", "d_model": 1024, "d_kv": 128, "d_ff": 65536, "num_layers": 24, "num_heads": 128,
        "vocab_size": 32128});
    assert_eq!(count(&large), 11_307_321_344);
    // The encoder that reads prompts for FLUX.1 and Stable Diffusion 3.
    let encoder = json!({"model_type": "t5", "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
        "vocab_size": 32128, "feed_forward_proj": "gated-gelu", "architectures": ["T5EncoderModel"]});
    assert_eq!(count(&encoder), 4_762_310_656);
}

#[test]
fn bart_and_its_like_are_counted_as_published() {
    let like = |kind: &str,
                words: u32,
                width: u32,
                layers: u32,
                heads: u32,
                inner: u32,
                positions: u32| {
        json!({"model_type": kind, "vocab_size": words, "d_model": width, "encoder_layers": layers,
            "decoder_layers": layers, "encoder_attention_heads": heads, "decoder_attention_heads": heads,
            "encoder_ffn_dim": inner, "decoder_ffn_dim": inner, "max_position_embeddings": positions,
            "is_encoder_decoder": true})
    };
    assert_eq!(
        count(&like("bart", 50_265, 768, 6, 12, 3072, 1024)),
        139_420_416
    );
    assert_eq!(
        count(&like("bart", 50_265, 1024, 12, 16, 4096, 1024)),
        406_291_456
    );
    assert_eq!(
        count(&like("mbart", 250_054, 1024, 12, 16, 4096, 1024)),
        610_879_488
    );
    assert_eq!(
        count(&like("m2m_100", 128_112, 1024, 12, 16, 4096, 1024)),
        483_905_536
    );
    assert_eq!(
        count(&like("pegasus", 96_103, 1024, 16, 16, 4096, 1024)),
        570_797_056
    );
    // The graph has a last normalisation, Marian has none: 2 · 512.
    let marian = like("marian", 58_101, 512, 6, 8, 2048, 512);
    assert_eq!(count(&marian), 74_410_496 + 1024);
}

#[test]
fn whisper_is_counted_as_published() {
    let whisper = |width: u32, layers: u32, below: u32, heads: u32, bins: u32, words: u32| {
        json!({"model_type": "whisper", "d_model": width, "encoder_layers": layers, "decoder_layers": below,
            "encoder_attention_heads": heads, "decoder_attention_heads": heads, "encoder_ffn_dim": 4 * width,
            "decoder_ffn_dim": 4 * width, "num_mel_bins": bins, "vocab_size": words, "max_source_positions": 1500,
            "max_target_positions": 448, "is_encoder_decoder": true})
    };
    assert_eq!(count(&whisper(384, 4, 4, 6, 80, 51_865)), 37_760_640);
    assert_eq!(count(&whisper(768, 12, 12, 12, 80, 51_865)), 241_734_912);
    assert_eq!(
        count(&whisper(1280, 32, 32, 20, 128, 51_866)),
        1_543_490_560
    );
    assert_eq!(count(&whisper(1280, 32, 4, 20, 128, 51_866)), 808_878_080);
    // Keys and values of 1500 positions of sound and of the text, in 16 bits.
    let graph = read(&whisper(384, 4, 4, 6, 80, 51_865)).graph();
    assert_eq!(
        graph.kept_bytes(100.0),
        4.0 * 2.0 * 384.0 * 2.0 * (1500.0 + 100.0)
    );
}

#[test]
fn encoders_of_images_are_counted_as_published() {
    let vit = json!({"model_type": "vit", "architectures": classes("ViTForImageClassification"), "num_labels": 1000,
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "image_size": 224, "patch_size": 16});
    assert_eq!(count(&vit), 86_567_656);
    let huge =
        json!({"model_type": "vit", "architectures": classes("ViTModel"), "hidden_size": 768});
    assert_eq!(count(&huge), 86_389_248);
    let deit = json!({"model_type": "deit", "architectures": classes("DeiTForImageClassificationWithTeacher"),
        "num_labels": 1000});
    assert_eq!(count(&deit), 87_338_192);
    let dinov2 = |width: u32, layers: u32, heads: u32, gated: bool| {
        json!({"model_type": "dinov2", "architectures": classes("Dinov2Model"), "hidden_size": width,
            "num_hidden_layers": layers, "num_attention_heads": heads, "image_size": 518, "patch_size": 14,
            "mlp_ratio": 4, "use_swiglu_ffn": gated})
    };
    assert_eq!(count(&dinov2(768, 12, 12, false)), 86_580_480);
    assert_eq!(count(&dinov2(1024, 24, 16, false)), 304_368_640);
    assert_eq!(count(&dinov2(1536, 40, 24, true)), 1_136_480_768);
    let dinov3 = json!({"model_type": "dinov3_vit", "hidden_size": 768, "intermediate_size": 3072,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_register_tokens": 4, "image_size": 224,
        "patch_size": 16});
    assert_eq!(count(&dinov3), 85_660_416);
}

#[test]
fn encoders_of_images_and_texts_are_counted_as_published() {
    let base = json!({"model_type": "clip", "projection_dim": 512,
        "text_config": {"model_type": "clip_text_model"}, "vision_config": {"model_type": "clip_vision_model"}});
    assert_eq!(count(&base), 151_277_313);
    let large = json!({"model_type": "clip", "projection_dim": 768,
        "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
        "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
        "num_hidden_layers": 24, "patch_size": 14}});
    assert_eq!(count(&large), 427_616_513);
    let siglip = json!({"model_type": "siglip", "text_config": {}, "vision_config": {}});
    assert_eq!(count(&siglip), 203_155_970);
    let second = json!({"model_type": "siglip", "text_config": {"vocab_size": 256_000}, "vision_config": {}});
    assert_eq!(count(&second), 375_187_970);
    let text = json!({"model_type": "clip_text_model", "architectures": classes("CLIPTextModel"), "hidden_size": 768,
        "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 12, "vocab_size": 49408});
    assert_eq!(count(&text), 123_060_480);
}

/// Of language models with towers what the whole has beyond its language model, whose count is tested elsewhere.
#[test]
fn towers_of_images_are_counted_as_published() {
    let text = |width: u32| {
        json!({"model_type": "llama", "hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": width / 128,
            "intermediate_size": 4 * width, "vocab_size": 100})
    };
    let whole = |kind: &str, width: u32, vision: Value, more: Value| {
        let mut config =
            json!({"model_type": kind, "text_config": text(width), "vision_config": vision});
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        beside(&config)
    };
    let clip = json!({"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14});
    // LLaVA 1.5 7B: 7,063,427,072, of which 6,738,939,904 are Llama 2 with 64 more words.
    assert_eq!(
        whole("llava", 4096, clip, json!({})),
        7_063_427_072 - 6_738_939_904
    );
    let siglip = json!({"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
        "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 896, "patch_size": 14,
        "vision_use_head": false});
    // Gemma 3 4B: 4,300,079,472, of which 3,880,263,168 are the language model with its 262,208 words.
    assert_eq!(
        whole("gemma3", 2560, siglip, json!({})),
        4_300_079_472 - 3_880_263_168
    );
    // Qwen2.5-VL 7B: 8,292,166,656, of which 7,615,616,512 are Qwen2.5 7B.
    let qwen = json!({"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "in_chans": 3,
        "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2});
    assert_eq!(
        whole("qwen2_5_vl", 3584, qwen, json!({})),
        8_292_166_656 - 7_615_616_512
    );
    // Qwen2-VL 7B: 8,291,375,616.
    let qwen = json!({"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "mlp_ratio": 4, "num_heads": 16,
        "in_chans": 3, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2});
    assert_eq!(
        whole("qwen2_vl", 3584, qwen, json!({})),
        8_291_375_616 - 7_615_616_512
    );
    // Qwen3-VL 8B: 8,767,123,696, of which 8,190,735,360 are Qwen3 8B.
    let qwen = json!({"model_type": "qwen3_vl", "depth": 27, "hidden_size": 1152, "intermediate_size": 4304,
        "num_heads": 16, "in_channels": 3, "out_hidden_size": 4096, "patch_size": 16, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "num_position_embeddings": 2304, "deepstack_visual_indexes": [8, 16, 24]});
    assert_eq!(
        whole("qwen3_vl", 4096, qwen, json!({})),
        8_767_123_696 - 8_190_735_360
    );
    // Mistral Small 3.1: 24,011,361,280, of which 23,572,403,200 are Mistral Small 3.
    let pixtral = json!({"model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 1540, "patch_size": 14, "head_dim": 64});
    assert_eq!(
        whole("mistral3", 5120, pixtral, json!({"spatial_merge_size": 2})),
        24_011_361_280 - 23_572_403_200
    );
    // InternVL3 8B: 7,944,373,760, of which 7,612,818,944 are Qwen2.5 7B with 390 fewer words.
    let intern = json!({"model_type": "intern_vit_6b", "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 448, "patch_size": 14, "qkv_bias": true,
        "qk_normalization": false, "norm_type": "layer_norm"});
    assert_eq!(
        whole(
            "internvl_chat",
            3584,
            intern,
            json!({"downsample_ratio": 0.5})
        ),
        7_944_373_760 - (7_615_616_512 - 2 * 390 * 3584)
    );
}

/// On every device that holds both: a tower makes the network larger, and a token takes the same time within 1 %.
#[test]
fn a_tower_takes_memory_and_no_time_on_any_device() {
    use crate::outline::Outline;
    let text = json!({"model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 128_256});
    let vision = json!({"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14});
    let profile = |config: &Value| {
        let outline = Outline::of("config.json".parse().unwrap(), read(config));
        outline.predict(&crate::recipe::Recipe::default()).unwrap()
    };
    let alone = profile(&text);
    let sees =
        profile(&json!({"model_type": "llava", "text_config": text, "vision_config": vision}));
    assert!(sees.stored_bytes() > alone.stored_bytes() + 600_000_000);
    let grid = crate::carbon::find_grid("WORLD").unwrap();
    let mut compared = 0;
    let mut wrong = Vec::new();
    for target in crate::hardware::catalogue().unwrap() {
        let scenario = crate::scenario::Scenario {
            hardware: target.id.clone(),
            ..crate::scenario::Scenario::default()
        };
        let cost = |profile| crate::footprint::footprint(profile, &scenario, target, grid);
        let (Ok(alone), Ok(sees)) = (cost(&alone), cost(&sees)) else {
            continue;
        };
        compared += 1;
        let ratio = sees.latency.range.typical.0 / alone.latency.range.typical.0;
        if (ratio - 1.0).abs() > 0.01 {
            wrong.push(format!("{}: {ratio}", target.id));
        }
    }
    assert!(compared > 50, "{compared}");
    assert!(
        wrong.is_empty(),
        "{} of {compared}: {}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What a token of the answer costs is not known, and said so; the rest is counted.
#[test]
fn an_encoder_with_a_decoder_is_counted_and_not_costed() {
    use crate::outline::Outline;
    let whisper = json!({"model_type": "whisper"});
    let outline = Outline::of("config.json".parse().unwrap(), read(&whisper));
    let summary = outline.summary(448).unwrap();
    assert_eq!(summary.parameters, 37_760_640);
    assert!(summary.cache_bytes > 0);
    let words = summary.understood.join("; ");
    assert!(
        words.contains("4 with attention to what was read before"),
        "{words}"
    );
    let profile = outline.predict(&crate::recipe::Recipe::default()).unwrap();
    let grid = crate::carbon::find_grid("WORLD").unwrap();
    for target in crate::hardware::catalogue().unwrap() {
        let scenario = crate::scenario::Scenario {
            hardware: target.id.clone(),
            ..crate::scenario::Scenario::default()
        };
        let error = crate::footprint::footprint(&profile, &scenario, target, grid)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("encoder with a decoder"),
            "{}: {error}",
            target.id
        );
    }
    assert!(outline.scenario().is_ok());
}

/// Published files of networks with towers leave to the class what it has.
#[test]
fn parts_that_state_little_are_completed_from_their_class() {
    let llava = json!({"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32064},
        "vision_config": {"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14}});
    assert_eq!(count(&llava), 7_063_427_072);
    let pixtral = json!({"model_type": "llava", "text_config": {"model_type": "mistral", "hidden_size": 5120,
        "head_dim": 128, "intermediate_size": 14336, "num_hidden_layers": 40, "num_key_value_heads": 8,
        "sliding_window": null, "vocab_size": 131_072},
        "vision_config": {"model_type": "pixtral", "head_dim": 64, "image_size": 1024, "patch_size": 16}});
    // Pixtral 12B: 12,682,769,408 (from memory: 12.7 thousand million).
    let apart = count(&pixtral) as f64 / 12.68e9 - 1.0;
    assert!(apart.abs() < 0.005, "{apart}");
    // A width that is not the class's says that the rest is not either.
    let short = json!({"model_type": "gemma3", "text_config": {"model_type": "llama"},
        "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27}});
    assert_eq!(beside(&short), 0);
    assert!(read(&short).notes.join("").contains("'intermediate_size'"));
}

#[test]
fn words_of_another_width_are_counted() {
    let opt = json!({"model_type": "opt", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
        "ffn_dim": 4096, "vocab_size": 50272, "word_embed_proj_dim": 512, "max_position_embeddings": 2048});
    // The graph has a last normalisation, this one of the family has none: 2 · 1024.
    assert_eq!(count(&opt), 331_196_416 + 2048);
}

#[test]
fn what_is_not_run_for_a_token_is_not_read_for_it() {
    let text = json!({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256});
    let vision = json!({"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14});
    let (alone, sees) = (
        read(&text),
        read(&json!({"model_type": "llava", "text_config": text, "vision_config": vision})),
    );
    let (before, after) = (alone.language().unwrap(), sees.language().unwrap());
    assert_eq!(before.active(), after.active());
    let macs = |network: &Architecture| -> f64 {
        network
            .graph()
            .layers()
            .iter()
            .map(|layer| layer.macs)
            .sum()
    };
    assert_eq!(macs(&alone), macs(&sees));
    assert!(sees.graph().parameters() > alone.graph().parameters() + 300_000_000);
}
