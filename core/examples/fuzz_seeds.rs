//! Writes the seed corpora of the fuzz targets: `cargo run -p wattif-core --example fuzz_seeds [FOLDER …]`. Files of the
//! folders are taken by the beginnings of their names: `packed-…`, `config-…`, `hardware-…`, `preset-…`, `session-…`,
//! `student-…`, `safetensors-…`, `gguf-…`, `tokenizer-…`, `hugging-…`.

#![allow(
    clippy::unwrap_used,
    reason = "a command for developers, whose own data are right"
)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use wattif_core::compress::{Compressor, Planner};
use wattif_core::model::{Architecture, CnnConfig, GptConfig, Stage, Tensors};
use wattif_core::recipe::{BlockFormat, Pattern, Recipe};

/// Rows of a shipped table that serve as a seed; whole tables are too long to be changed usefully.
const ROWS: usize = 12;

fn main() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let corpus = project.join("fuzz/corpus");
    for (folder, ending, target) in [
        ("presets", "ron", "preset"),
        ("core/tests/fixtures", "ron", "preset"),
        ("assets/hardware", "ron", "device"),
    ] {
        for path in files(&project.join(folder)) {
            if path.extension().is_some_and(|found| found == ending) {
                keep(&corpus, target, &name(&path), &fs::read(&path).unwrap());
            }
        }
    }
    for path in files(&project.join("assets/ground_truth")) {
        if path.extension().is_some_and(|found| found == "csv") {
            let text = fs::read_to_string(&path).unwrap();
            let short: Vec<&str> = text.lines().take(ROWS).collect();
            keep(&corpus, "tables", &name(&path), short.join("\n").as_bytes());
        }
    }
    for (i, architecture) in architectures().iter().enumerate() {
        models(&corpus, i, architecture);
    }
    keep(&corpus, "safetensors", "foreign", &foreign());
    keep(&corpus, "session", "small", SESSION.as_bytes());
    for (i, text) in CONFIGURATIONS.iter().enumerate() {
        keep(
            &corpus,
            "configuration",
            &format!("small-{i}"),
            text.as_bytes(),
        );
    }
    language(&project, &corpus);
    for path in files(&project.join("core/tests/fixtures/arrays")) {
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let target = match ending.as_str() {
            "pt" | "pkl" => "pickle",
            "npz" | "npy" => "npz",
            _ => continue,
        };
        keep(&corpus, target, &name(&path), &fs::read(&path).unwrap());
    }
    for path in files(&project.join("core/tests/fixtures/onnx")) {
        if path.extension().is_some_and(|found| found == "onnx") {
            keep(&corpus, "onnx", &name(&path), &fs::read(&path).unwrap());
        }
    }
    for folder in std::env::args_os().skip(1) {
        hostile(&corpus, Path::new(&folder));
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn keep(corpus: &Path, target: &str, name: &str, bytes: &[u8]) {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

/// Networks small enough that most bytes of their files are header.
fn architectures() -> [Architecture; 3] {
    [
        Architecture::Cnn(CnnConfig {
            input_channels: 1,
            size: 4,
            stages: vec![Stage {
                channels: 2,
                pool: true,
            }],
            classes: 2,
        }),
        Architecture::Gpt(GptConfig {
            vocabulary: 8,
            context: 4,
            width: 8,
            heads: 2,
            blocks: 1,
            hidden: 16,
        }),
        // Rows of whole blocks.
        Architecture::Gpt(GptConfig {
            vocabulary: 8,
            context: 4,
            width: 32,
            heads: 2,
            blocks: 1,
            hidden: 256,
        }),
    ]
}

/// Tensors named as Qwen 3's, which tell all their shapes.
fn foreign() -> Vec<u8> {
    let block = "model.layers.0.";
    let tensors: Vec<(String, Vec<usize>)> = [
        ("model.embed_tokens.weight".to_owned(), vec![10, 8]),
        ("model.norm.weight".to_owned(), vec![8]),
    ]
    .into_iter()
    .chain(
        [
            ("self_attn.q_proj.weight", vec![8, 8]),
            ("self_attn.k_proj.weight", vec![4, 8]),
            ("self_attn.v_proj.weight", vec![4, 8]),
            ("self_attn.o_proj.weight", vec![8, 8]),
            ("self_attn.q_norm.weight", vec![4]),
            ("self_attn.k_norm.weight", vec![4]),
            ("mlp.gate_proj.weight", vec![12, 8]),
            ("mlp.up_proj.weight", vec![12, 8]),
            ("mlp.down_proj.weight", vec![8, 12]),
        ]
        .map(|(name, shape)| (format!("{block}{name}"), shape)),
    )
    .collect();
    let zeros = [0; 2 * 100];
    let views = tensors.iter().map(|(name, shape)| {
        let bytes = &zeros[..2 * shape.iter().product::<usize>()];
        (
            name,
            TensorView::new(Dtype::BF16, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

fn models(corpus: &Path, i: usize, architecture: &Architecture) {
    let tensors = architecture.initial_tensors(1).unwrap();
    let json = serde_json::to_string(architecture).unwrap();
    let plain = HashMap::from([(Architecture::METADATA_KEY.to_owned(), json.clone())]);
    let file = format!("small-{i}");
    keep(
        corpus,
        "safetensors",
        &file,
        &written(&tensors, plain.clone()),
    );
    let record = r#"{"teacher":"00","ratio":0.5,"temperature":2.0,"seed":1,"description":"narrower","steps":10,
        "macs":1e6,"seconds":1.0,"data":"8,000 Fashion-MNIST training images"}"#;
    let mut student = plain;
    student.insert("wattif.student".to_owned(), record.to_owned());
    keep(corpus, "student", &file, &written(&tensors, student));
    let mut recipes = Vec::new();
    for (bits, sparsity, pattern) in [
        (8, 0.0, Pattern::Unstructured),
        (4, 0.5, Pattern::TwoOfFour),
        (3, 0.9, Pattern::Unstructured),
        (16, 0.0, Pattern::Unstructured),
    ] {
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = bits;
        recipe.pruning.sparsity = sparsity;
        recipe.pruning.pattern = pattern;
        recipes.push((bits.to_string(), recipe));
    }
    for format in BlockFormat::ALL {
        let mut recipe = Recipe::default();
        recipe.quantization.blocks = Some(format);
        recipes.push((format.to_string(), recipe));
    }
    for (said, recipe) in recipes {
        let planner = Planner::new(
            "small",
            architecture.unit(),
            &architecture.layers(),
            &architecture.tensor_shapes(),
            &json,
        );
        let mut compressor = Compressor::new(planner.unwrap(), &tensors).unwrap();
        let path = std::env::temp_dir().join(format!("wattif-seed-{}", std::process::id()));
        compressor.export(&recipe, &path).unwrap();
        keep(
            corpus,
            "packed",
            &format!("{file}-{said}"),
            &fs::read(&path).unwrap(),
        );
        fs::remove_file(&path).unwrap();
    }
}

fn written(tensors: &Tensors, metadata: HashMap<String, String>) -> Vec<u8> {
    let bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (name, tensor.dims().to_vec(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// The tiny networks of the tests: whole, as their metadata and as their configurations.
fn language(project: &Path, corpus: &Path) {
    let all = ["language", "encoders"].map(|of| project.join("core/tests/fixtures").join(of));
    for path in all.iter().flat_map(|folder| files(folder)) {
        if path.extension().is_some_and(|found| found == "gguf") {
            keep(corpus, "gguf", &name(&path), &fs::read(&path).unwrap());
        }
    }
    for model in ["gpt2", "gemma4", "llama", "bert", "t5"] {
        keep(
            corpus,
            "tokenizer",
            &format!("gguf-{model}"),
            &vocabulary(model),
        );
    }
    let folders = all.iter().filter_map(|folder| fs::read_dir(folder).ok());
    for folder in folders.flatten().flatten() {
        for (file, targets) in [
            ("config.json", &["hugging_face", "configuration"][..]),
            ("tokenizer.json", &["tokenizer"]),
            ("model.safetensors", &["gguf"]),
        ] {
            let Ok(bytes) = fs::read(folder.path().join(file)) else {
                continue;
            };
            for target in targets {
                let kind = name(&folder.path());
                keep(corpus, target, &format!("{kind}-{file}"), &bytes);
            }
        }
    }
    for (i, text) in TOKENIZERS.iter().enumerate() {
        keep(corpus, "tokenizer", &format!("small-{i}"), text.as_bytes());
    }
}

/// A GGUF of metadata alone, with a few pieces for a method of cutting.
fn vocabulary(model: &str) -> Vec<u8> {
    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }
    fn list(kind: u32, items: &[Vec<u8>]) -> Vec<u8> {
        let length = (items.len() as u64).to_le_bytes();
        [&kind.to_le_bytes(), &length[..], &items.concat()].concat()
    }
    let pieces = [
        "<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "It", "▁a", "'s", "1",
    ]
    .map(text);
    let kinds = [2, 3, 3, 6, 1, 1, 1, 1, 4, 1_i32].map(|kind| kind.to_le_bytes().to_vec());
    let scores = [0.0, 0.0, 0.0, 0.0, -2.0, -3.0, -4.5, -1.0, 0.0, -2.0_f32];
    let scores = scores.map(|score| score.to_le_bytes().to_vec());
    // "a" becomes "bb": a trie of one letter, and its text.
    let mut nodes = [0_u32; 98];
    nodes[97] = 97 | 1 << 8 | 1 << 10;
    nodes[96] = 1 << 31;
    let nodes: Vec<u8> = nodes.iter().flat_map(|node| node.to_le_bytes()).collect();
    let table = [&(nodes.len() as u32).to_le_bytes(), &nodes[..], b"bb\0"].concat();
    let table: Vec<Vec<u8>> = table.into_iter().map(|byte| vec![byte]).collect();
    let keys = [
        ("model", 8, text(model)),
        ("pre", 8, text("llama-bpe")),
        ("tokens", 9, list(8, &pieces)),
        ("token_type", 9, list(5, &kinds)),
        ("scores", 9, list(6, &scores)),
        ("merges", 9, list(8, &["I t", "▁ a"].map(text))),
        ("bos_token_id", 4, 1_u32.to_le_bytes().to_vec()),
        ("unknown_token_id", 4, 0_u32.to_le_bytes().to_vec()),
        ("add_bos_token", 7, vec![1]),
        ("precompiled_charsmap", 9, list(0, &table)),
    ];
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend((keys.len() as u64).to_le_bytes());
    for (key, kind, value) in keys {
        bytes.extend(text(&format!("tokenizer.ggml.{key}")));
        bytes.extend(u32::to_le_bytes(kind));
        bytes.extend(value);
    }
    bytes
}

fn hostile(corpus: &Path, folder: &Path) {
    for path in files(folder) {
        let name = name(&path);
        let targets: &[&str] = match name.split('-').next().unwrap_or_default() {
            "packed" => &["packed", "safetensors"],
            "config" => &["configuration", "hugging_face"],
            "hardware" => &["device"],
            "preset" => &["preset"],
            "session" => &["session"],
            "student" => &["student"],
            "safetensors" => &["safetensors", "student", "gguf"],
            "gguf" => &["gguf", "tokenizer"],
            "tokenizer" => &["tokenizer"],
            "hugging" => &["hugging_face"],
            _ => &[],
        };
        for target in targets {
            keep(corpus, target, &name, &fs::read(&path).unwrap());
        }
    }
}

/// Tokenizers of every method, of few pieces.
const TOKENIZERS: [&str; 4] = [
    r#"{"version": "1.0", "added_tokens": [{"id": 3, "content": "<s>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true}], "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}| ?\\p{L}+"},
        "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": false}]}, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>",
        "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "unk_token": null, "vocab": {"a": 0, "b": 1, "ab": 2},
        "merges": [["a", "b"]]}}"#,
    r#"{"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace",
        "pattern": {"String": " "}, "content": "▁"}]}, "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"},
        {"type": "Fuse"}]}, "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
        "vocab": {"<unk>": 0, "<0x0A>": 1, "▁": 2, "a": 3}, "merges": []}}"#,
    r#"{"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
        "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "\u0023#",
        "cleanup": true}, "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "\u0023#",
        "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "it": 1, "\u0023#s": 2}}}"#,
    r#"{"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}, "decoder":
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}, "model": {"type": "Unigram",
        "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -2.0], ["s", -3.0], ["▁It", -4.5]], "byte_fallback": false}}"#,
];

/// A session with a part of each kind.
const SESSION: &str = r#"(configuration: (model: "bundled:fashion-cnn", recipe: (seed: 1), scenario: (batch: 4)),
    axis: Sparsity, pins: (None, None), settings: (theme: Dark, text_scale: 1.0, show_controls: true))"#;

/// Configurations of every kind that is read, shortened to the keys that matter.
const CONFIGURATIONS: [&str; 6] = [
    r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": false,
        "max_position_embeddings": 131072, "torch_dtype": "bfloat16"}"#,
    r#"{"model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
        "num_key_value_heads": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048,
        "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
        "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
        "v_head_dim": 128, "vocab_size": 129280, "head_dim": 128, "quantization_config": {"quant_method": "fp8"}}"#,
    r#"{"_class_name": "UNet2DConditionModel", "block_out_channels": [320, 640, 1280], "cross_attention_dim": 2048,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "transformer_layers_per_block": [1, 2, 10], "sample_size": 128}"#,
    r#"{"_class_name": "FluxTransformer2DModel", "num_layers": 19, "num_single_layers": 38,
        "num_attention_heads": 24, "attention_head_dim": 128, "patch_size": 1}"#,
    r#"{"model_type": "gemma3", "text_config": {"hidden_size": 2560, "num_hidden_layers": 34,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "intermediate_size": 10240,
        "vocab_size": 262208, "sliding_window": 1024, "sliding_window_pattern": 6}}"#,
    r#"{"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "vocab_size": 30522}"#,
];
