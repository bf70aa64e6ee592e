//! Files of real families' names and shapes, made small.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::model::ModelReference;
use crate::outline::Outline;
use crate::recipe::Recipe;
use crate::serving::architecture::Shape;

/// Name, format and extents of a tensor.
type Tensor = (String, &'static str, Vec<usize>);

fn bytes_of(format: &str) -> usize {
    match format {
        "F32" | "I32" => 4,
        "F16" | "BF16" => 2,
        _ => 1,
    }
}

fn write(path: &Path, tensors: &[Tensor]) {
    let mut header = Map::new();
    let mut end = 0;
    for (name, format, shape) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * bytes_of(format);
        let entry = json!({"dtype": format, "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), entry);
    }
    let text = Value::Object(header).to_string();
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend(text.as_bytes());
    file.extend(vec![0; end]);
    fs::write(path, file).unwrap();
}

fn total(tensors: &[Tensor]) -> u64 {
    let elements = tensors
        .iter()
        .map(|(_, _, shape)| shape.iter().product::<usize>());
    elements.sum::<usize>() as u64
}

/// Four heads of 16, two of keys; width 64, 3 blocks, 100 words.
fn llama(format: &'static str) -> Vec<Tensor> {
    let mut tensors = vec![
        (
            "model.embed_tokens.weight".to_owned(),
            format,
            vec![100, 64],
        ),
        ("lm_head.weight".to_owned(), format, vec![100, 64]),
        ("model.norm.weight".to_owned(), format, vec![64]),
    ];
    for block in 0..3 {
        for (name, shape) in [
            ("self_attn.q_proj.weight", vec![64, 64]),
            ("self_attn.k_proj.weight", vec![32, 64]),
            ("self_attn.v_proj.weight", vec![32, 64]),
            ("self_attn.o_proj.weight", vec![64, 64]),
            ("mlp.gate_proj.weight", vec![160, 64]),
            ("mlp.up_proj.weight", vec![160, 64]),
            ("mlp.down_proj.weight", vec![64, 160]),
            ("input_layernorm.weight", vec![64]),
            ("post_attention_layernorm.weight", vec![64]),
        ] {
            tensors.push((format!("model.layers.{block}.{name}"), format, shape));
        }
    }
    tensors
}

/// With queries and keys normalised head by head, as in Qwen 3.
fn qwen3() -> Vec<Tensor> {
    let mut tensors = llama("BF16");
    for block in 0..3 {
        for name in ["q_norm", "k_norm"] {
            let name = format!("model.layers.{block}.self_attn.{name}.weight");
            tensors.push((name, "BF16", vec![16]));
        }
    }
    tensors
}

/// Two heads of 24; width 48, 2 blocks, 90 words, 32 positions, with the masks that the published file has.
fn gpt2(prefix: &str) -> Vec<Tensor> {
    let mut tensors = vec![
        (format!("{prefix}wte.weight"), "F32", vec![90, 48]),
        (format!("{prefix}wpe.weight"), "F32", vec![32, 48]),
        (format!("{prefix}ln_f.weight"), "F32", vec![48]),
        (format!("{prefix}ln_f.bias"), "F32", vec![48]),
    ];
    for block in 0..2 {
        for (name, shape) in [
            ("attn.c_attn.weight", vec![48, 144]),
            ("attn.c_attn.bias", vec![144]),
            ("attn.c_proj.weight", vec![48, 48]),
            ("attn.c_proj.bias", vec![48]),
            ("mlp.c_fc.weight", vec![48, 192]),
            ("mlp.c_fc.bias", vec![192]),
            ("mlp.c_proj.weight", vec![192, 48]),
            ("mlp.c_proj.bias", vec![48]),
            ("ln_1.weight", vec![48]),
            ("ln_1.bias", vec![48]),
            ("ln_2.weight", vec![48]),
            ("ln_2.bias", vec![48]),
        ] {
            tensors.push((format!("{prefix}h.{block}.{name}"), "F32", shape));
        }
    }
    tensors
}

fn llama_config() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 160, "vocab_size": 100, "tie_word_embeddings": false,
        "max_position_embeddings": 2048
    })
}

fn gpt2_config() -> Value {
    json!({"model_type": "gpt2", "n_embd": 48, "n_layer": 2, "n_head": 2, "vocab_size": 90, "n_positions": 32})
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, tensors: &[Tensor]) -> PathBuf {
        let path = self.0.path().join(name);
        write(&path, tensors);
        path
    }

    fn config(&self, config: &Value) {
        fs::write(self.0.path().join("config.json"), config.to_string()).unwrap();
    }
}

fn open(path: &Path) -> Result<Outline, String> {
    let reference = ModelReference::File(path.to_owned());
    assert!(reference.is_outline(), "{}", path.display());
    Outline::open(&reference).map_err(|error| {
        let text = error.to_string();
        let fact = text.strip_suffix(&format!(": {}", path.display()));
        fact.unwrap_or_else(|| panic!("does not end with the path: {text}"))
            .to_owned()
    })
}

/// Parameters and stored bytes are those of the tensors, before and after compression's prediction.
fn counts(outline: &Outline, expected: u64, bytes: u64) {
    assert_eq!(outline.parameters(), expected);
    let profile = outline.predict(&Recipe::default()).unwrap();
    assert_eq!(profile.parameters(), expected);
    // Without the header of the file that an export would have.
    assert_eq!(profile.stored_bytes() - profile.header_bytes, bytes);
}

#[test]
fn the_parameters_are_the_sum_of_the_tensors_and_the_width_theirs() {
    for (format, tensors) in [("BF16", llama("BF16")), ("F16", llama("F16"))] {
        let folder = Folder::new();
        folder.config(&llama_config());
        let outline = open(&folder.file("any.safetensors", &tensors)).unwrap();
        counts(&outline, total(&tensors), 2 * total(&tensors));
        assert_eq!(outline.published_bits().weights, 16, "{format}");
        assert_eq!(outline.name(), "any");
        assert_eq!(outline.network().context_limit, Some(2048));
    }
    let folder = Folder::new();
    folder.config(&gpt2_config());
    for prefix in ["", "transformer."] {
        let tensors = gpt2(prefix);
        let mut with_masks = tensors.clone();
        for block in 0..2 {
            let mask = format!("{prefix}h.{block}.attn.bias");
            with_masks.push((mask, "F32", vec![1, 1, 32, 32]));
        }
        let outline = open(&folder.file(&format!("{prefix}m.safetensors"), &with_masks)).unwrap();
        assert_eq!(outline.parameters(), total(&tensors));
        assert_eq!(outline.published_bits().weights, 32);
    }
}

#[test]
fn eight_bit_weights_beside_wider_tables_have_the_width_of_the_matrices() {
    let folder = Folder::new();
    folder.config(&llama_config());
    let mut tensors = llama("F8_E4M3");
    for (name, format, shape) in &mut tensors {
        if shape.len() == 1 || name.contains("embed") || name.contains("lm_head") {
            *format = "BF16";
        }
    }
    let outline = open(&folder.file("a.safetensors", &tensors)).unwrap();
    assert_eq!(outline.published_bits().weights, 8);
    assert_eq!(outline.parameters(), total(&tensors));
}

#[test]
fn heads_come_from_the_normalisation_of_queries_or_the_configuration_or_the_file_is_refused() {
    let folder = Folder::new();
    let path = folder.file("m.safetensors", &llama("BF16"));
    let fact = open(&path).unwrap_err();
    assert!(
        fact.starts_with(
            "these are the tensors of a Llama-like network, but the number of attention heads cannot be told from shapes \
             and no config.json is beside them; take "
        ),
        "{fact}"
    );
    let alone = Folder::new();
    let tensors = qwen3();
    let outline = open(&alone.file("q.safetensors", &tensors)).unwrap();
    counts(&outline, total(&tensors), 2 * total(&tensors));
    let Shape::Transformer(shape) = &outline.network().shape else {
        panic!("{:?}", outline.network());
    };
    assert_eq!((shape.heads, shape.kv_heads, shape.head_dim), (4, 2, 16));
    assert_eq!((shape.layers, shape.ffn, shape.vocabulary), (3, 160, 100));
    // The configuration arrives later.
    folder.config(&llama_config());
    let later = open(&path).unwrap();
    let Shape::Transformer(configured) = &later.network().shape else {
        panic!("no transformer");
    };
    assert_eq!(configured, shape);
}

#[test]
fn a_configuration_of_another_network_is_refused_with_both_values() {
    for (key, value, fact) in [
        (
            "num_hidden_layers",
            json!(4),
            "its number of layers is 4, the tensors' 3",
        ),
        (
            "vocab_size",
            json!(99),
            "its vocabulary is 99, the tensors' 100",
        ),
        (
            "num_key_value_heads",
            json!(4),
            "its width of the keys is 64, the tensors' 32",
        ),
        (
            "intermediate_size",
            json!(128),
            "its inner width of feed-forward layers is 128, the tensors' 160",
        ),
    ] {
        let folder = Folder::new();
        let mut config = llama_config();
        config[key] = value;
        folder.config(&config);
        let refused = open(&folder.file("m.safetensors", &llama("BF16"))).unwrap_err();
        let start = format!("the config.json beside it is of another network: {fact}; ");
        assert!(refused.starts_with(&start), "{refused}");
    }
    // Names that are not known are counted.
    let folder = Folder::new();
    folder.config(&llama_config());
    let foreign: Vec<Tensor> = llama("BF16")
        .into_iter()
        .map(|(name, format, shape)| (name.replace("model.layers", "blocks"), format, shape))
        .collect();
    assert_eq!(
        open(&folder.file("renamed.safetensors", &foreign))
            .unwrap()
            .parameters(),
        total(&foreign)
    );
    let half = &foreign[..foreign.len() / 2];
    let refused = open(&folder.file("half.safetensors", half)).unwrap_err();
    assert!(
        refused.contains("weights, those of the tensors"),
        "{refused}"
    );
}

#[test]
fn tensors_that_do_not_fit_together_are_named() {
    let broken = |change: fn(&mut Vec<Tensor>)| {
        let folder = Folder::new();
        folder.config(&llama_config());
        let mut tensors = llama("BF16");
        change(&mut tensors);
        open(&folder.file("m.safetensors", &tensors)).unwrap_err()
    };
    let missing = broken(|tensors| tensors.retain(|t| t.0 != "model.layers.1.mlp.up_proj.weight"));
    assert!(
        missing.starts_with("there is no tensor 'model.layers.1.mlp.up_proj.weight'"),
        "{missing}"
    );
    let other = broken(|tensors| {
        let name = "model.layers.2.self_attn.k_proj.weight";
        tensors.iter_mut().find(|t| t.0 == name).unwrap().2 = vec![16, 64];
    });
    assert!(
        other.starts_with(
            "tensor 'model.layers.2.self_attn.k_proj.weight' has the shape [16, 64], in block 0 [32, 64]"
        ),
        "{other}"
    );
    let far = broken(|tensors| {
        let name = "model.layers.4000000000.mlp.up_proj.weight".to_owned();
        tensors.push((name, "BF16", vec![1, 1]));
    });
    assert!(far.starts_with("there is a block 4000000000"), "{far}");
    let packed = broken(|tensors| tensors.iter_mut().for_each(|t| t.1 = "I32"));
    assert!(
        packed.contains("is of type I32: weights that another program packed"),
        "{packed}"
    );
    let mixed = broken(|tensors| {
        for (name, format, _) in tensors {
            if name.contains("mlp") {
                *format = "F32";
            }
        }
    });
    assert!(
        mixed.starts_with("its matrices are stored in several number formats (BF16, F32)"),
        "{mixed}"
    );
}

#[test]
fn a_model_in_several_files_is_one() {
    let folder = Folder::new();
    folder.config(&llama_config());
    let tensors = llama("BF16");
    let (first, second) = tensors.split_at(9);
    let one = folder.file("model-00001-of-00002.safetensors", first);
    let fact = open(&one).unwrap_err();
    assert_eq!(
        fact,
        "this is one model in 2 files, and model-00002-of-00002.safetensors is not beside it"
    );
    let two = folder.file("model-00002-of-00002.safetensors", second);
    let index = folder.0.path().join("model.safetensors.index.json");
    let map: Map<String, Value> = [(first, &one), (second, &two)]
        .into_iter()
        .flat_map(|(tensors, path)| {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            tensors
                .iter()
                .map(move |tensor| (tensor.0.clone(), json!(file)))
        })
        .collect();
    fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
    for path in [&one, &two, &index] {
        let outline = open(path).unwrap();
        counts(&outline, total(&tensors), 2 * total(&tensors));
        assert_eq!(
            outline.name(),
            folder.0.path().file_name().unwrap().to_string_lossy()
        );
    }
    let escape = json!({"weight_map": {"a": "../other/model.safetensors"}});
    fs::write(&index, escape.to_string()).unwrap();
    let fact = open(&index).unwrap_err();
    assert!(fact.contains("which is no file of its folder"), "{fact}");
}

#[test]
fn a_convolutional_network_of_the_catalogue_is_found_by_its_weights() {
    let Shape::Layers(list) = &crate::serving::architecture("mlperf-tiny-resnet-8")
        .unwrap()
        .shape
    else {
        panic!("no list of layers");
    };
    let mut tensors: Vec<Tensor> = Vec::new();
    for layer in list.layers() {
        let name = format!("{}.weight", layer.name);
        tensors.push((name, "F32", layer.shape.clone()));
        let outputs = layer.shape[0];
        for bias in ["bias", "running_mean"] {
            tensors.push((format!("{}.{bias}", layer.name), "F32", vec![outputs]));
        }
    }
    let folder = Folder::new();
    let outline = open(&folder.file("net.safetensors", &tensors)).unwrap();
    assert_eq!(outline.parameters(), total(&tensors));
    assert!(
        outline.network().source.contains("mlperf-tiny-resnet-8"),
        "{}",
        outline.network().source
    );
    tensors.pop();
    tensors.pop();
    tensors.pop();
    // Then it is no network of the catalogue: weights are all that is known of it.
    let path = folder.file("cut.safetensors", &tensors);
    assert!(open(&path).unwrap().is_weights_only());
}

#[test]
fn a_generator_of_pytorch_s_tutorial_is_known_though_its_kernels_have_their_inputs_first() {
    let folder = Folder::new();
    let widths = [100, 512, 256, 128, 64, 3];
    let mut tensors: Vec<Tensor> = Vec::new();
    for (place, pair) in widths.windows(2).enumerate() {
        let name = |part: usize, of: &str| format!("main.{}.{of}", 3 * place + part);
        tensors.push((name(0, "weight"), "F32", vec![pair[0], pair[1], 4, 4]));
        if pair[1] > 3 {
            for of in ["weight", "bias", "running_mean", "running_var"] {
                tensors.push((name(1, of), "F32", vec![pair[1]]));
            }
        }
    }
    let path = folder.file("generator.safetensors", &tensors);
    let outline = open(&path).unwrap();
    assert!(!outline.is_weights_only() && outline.has_weights());
    assert_eq!(outline.parameters(), total(&tensors));
    let listed = Outline::open(&"catalogue:dcgan-64".parse().unwrap()).unwrap();
    let macs = |outline: &Outline| outline.predict(&Recipe::default()).unwrap().macs();
    assert_eq!(macs(&outline), macs(&listed));
}

#[test]
fn what_can_be_run_is_no_outline() {
    let folder = Folder::new();
    folder.config(&llama_config());
    let path = folder.0.path().join("mine.safetensors");
    let shipped = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../assets/models/fashion-cnn-student-005.safetensors"
    );
    fs::copy(shipped, &path).unwrap();
    assert!(!ModelReference::File(path).is_outline());
    let path = folder.0.path().join("broken.safetensors");
    fs::write(&path, b"\x02\0\0\0\0\0\0\0{").unwrap();
    assert!(!ModelReference::File(path).is_outline());
}

#[test]
fn an_adapter_is_named_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter_model.safetensors");
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 32]);
    std::fs::write(&path, bytes).unwrap();
    assert!(super::is_outline(&path));
    let reference = crate::model::ModelReference::File(path);
    let fact = crate::outline::Outline::open(&reference)
        .unwrap_err()
        .to_string();
    assert!(
        fact.starts_with("this is an adapter (LoRA, tensor 'base_model."),
        "{fact}"
    );
    assert!(fact.contains("merge it"), "{fact}");
}
