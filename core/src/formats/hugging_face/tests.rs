//! Tiny networks that transformers made and ran: the logits are its own (`scripts/tiny_hugging_face.py`).

mod damage;
mod export;
mod kinds;
mod pytorch;

use std::collections::BTreeMap;
use std::fs;

use candle_core::{Device, Tensor};
use serde_json::{Map, Value, json};

use super::*;
use crate::engine::{Engine, Unobserved};
use crate::measurement::Depth;
use crate::model::ModelReference;
use crate::outline::Outline;
use crate::recipe::Recipe;

const KINDS: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];

fn fixture(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/language")
        .join(kind)
}

/// A copy that can be broken.
fn copy(kind: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [CONFIG, TOKENIZER, WEIGHTS[1]] {
        let own = fixture(kind).join(name);
        // Most share a tokenizer.
        let from = match own.is_file() {
            true => own,
            false => fixture("qwen3").join(name),
        };
        fs::copy(from, folder.path().join(name)).unwrap();
    }
    folder
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Changes keys of a configuration; `null` takes one away.
fn configure(folder: &Path, keys: &[(&str, Value)]) {
    let path = folder.join(CONFIG);
    let mut config = read(&path);
    for (key, value) in keys {
        let fields = config.as_object_mut().unwrap();
        match value {
            Value::Null => fields.remove(*key),
            value => fields.insert((*key).to_owned(), value.clone()),
        };
    }
    fs::write(path, config.to_string()).unwrap();
}

/// Tensors by name: format, shape and bytes.
type Stored = BTreeMap<String, (Value, Vec<usize>, Vec<u8>)>;

fn stored(path: &Path) -> Stored {
    let bytes = fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Map<String, Value> = serde_json::from_slice(&bytes[8..start]).unwrap();
    header
        .into_iter()
        .filter(|(name, _)| name != "__metadata__")
        .map(|(name, entry)| {
            let place = |at: usize| start + entry["data_offsets"][at].as_u64().unwrap() as usize;
            let shape = serde_json::from_value(entry["shape"].clone()).unwrap();
            let values = bytes[place(0)..place(1)].to_vec();
            (name, (entry["dtype"].clone(), shape, values))
        })
        .collect()
}

fn write(path: &Path, tensors: &Stored) {
    let mut header = Map::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, (format, shape, bytes)) in tensors {
        let end = data.len() + bytes.len();
        let entry = json!({"dtype": format, "shape": shape, "data_offsets": [data.len(), end]});
        header.insert(name.clone(), entry);
        data.extend(bytes);
    }
    let text = Value::Object(header).to_string();
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend(text.as_bytes());
    file.extend(data);
    fs::write(path, file).unwrap();
}

/// Changes the tensors of a copy.
fn change(folder: &Path, change: impl FnOnce(&mut Stored)) {
    let path = folder.join(WEIGHTS[1]);
    let mut tensors = stored(&path);
    change(&mut tensors);
    write(&path, &tensors);
}

/// Puts the weights of a copy into two files with an index.
fn shard(folder: &Path) {
    let whole = folder.join(WEIGHTS[1]);
    let mut first = stored(&whole);
    let middle = first.keys().nth(first.len() / 2).unwrap().clone();
    let second = first.split_off(&middle);
    let mut map = Map::new();
    for (i, part) in [first, second].iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", i + 1);
        write(&folder.join(&name), part);
        map.extend(part.keys().map(|key| (key.clone(), json!(name))));
    }
    let index = json!({"metadata": {}, "weight_map": map});
    fs::write(folder.join(WEIGHTS[0]), index.to_string()).unwrap();
    fs::remove_file(whole).unwrap();
}

fn opened(path: &Path) -> Model {
    crate::formats::open(path).unwrap()
}

fn refusal(path: &Path) -> String {
    crate::formats::open(path).unwrap_err().to_string()
}

/// The largest difference to the logits of transformers.
fn apart(model: &Model, kind: &str) -> f32 {
    let oracle = read(&fixture(kind).join("logits.json"));
    let tokens: Vec<u32> = serde_json::from_value(oracle["tokens"].clone()).unwrap();
    let logits: Vec<Vec<f32>> = serde_json::from_value(oracle["logits"].clone()).unwrap();
    let cut = model.tokenizer.as_ref().unwrap();
    let text = oracle["text"].as_str().unwrap();
    assert_eq!(cut.encode(text, true, false).unwrap(), tokens, "{kind}");
    let begin = matches!(kind, "llama" | "mistral").then_some(0);
    assert_eq!(cut.around_begin(), begin, "{kind}");
    let input = Tensor::from_vec(tokens.clone(), (1, tokens.len()), &Device::Cpu).unwrap();
    let network = model.ready(32).unwrap();
    let found = network.run(&input).unwrap().squeeze(0).unwrap();
    let found = found.to_vec2::<f32>().unwrap();
    assert_eq!(found.len(), logits.len(), "{kind}");
    let pairs = found.iter().flatten().zip(logits.iter().flatten());
    pairs.fold(0.0, |most, (a, b)| f32::max(most, (a - b).abs()))
}

#[test]
fn the_logits_are_those_of_transformers_by_every_door() {
    for kind in KINDS {
        let (whole, parts) = (copy(kind), copy(kind));
        shard(parts.path());
        let doors = [
            fixture(kind),
            whole.path().join(WEIGHTS[1]),
            parts.path().to_owned(),
            parts.path().join(WEIGHTS[0]),
            parts.path().join("model-00002-of-00002.safetensors"),
        ];
        let models = doors.each_ref().map(|path| opened(path));
        for (model, door) in models.iter().zip(doors) {
            let apart = apart(model, kind);
            assert!(apart < 1e-4, "{kind}: {apart} by {}", door.display());
            assert_eq!(model.hash, models[0].hash, "{}", door.display());
            assert!(!ModelReference::File(door.clone()).is_outline());
            assert!(crate::formats::is_model(&door));
            assert_eq!(
                model.stored.len() + usize::from(kind == "llama"),
                model.source.as_ref().unwrap().tensors().len()
            );
            assert_eq!(model.reference, ModelReference::File(door));
        }
        assert_eq!(models[0].name, kind);
        // Its shapes alone come to as many parameters.
        let reference = ModelReference::File(fixture(kind).join(WEIGHTS[1]));
        let outline = Outline::open(&reference).unwrap();
        let parameters = models[0].architecture.parameters();
        assert_eq!(outline.parameters(), parameters, "{kind}");
        assert!(outline.network().notes.is_empty());
    }
}

#[test]
fn a_network_that_is_changed_gives_other_logits() {
    // What the agreement above would hold without seeing.
    let other = |kind: &str, keys: &[(&str, Value)]| {
        let folder = copy(kind);
        configure(folder.path(), keys);
        apart(&opened(folder.path()), kind)
    };
    for (kind, keys) in [
        ("llama", [("rope_scaling", Value::Null)]),
        ("llama", [("rope_theta", json!(20_000.0))]),
        ("llama", [("rms_norm_eps", json!(0.1))]),
        ("mistral", [("sliding_window", json!(6))]),
        ("mistral", [("sliding_window", json!(128))]),
        ("qwen2", [("rope_parameters", Value::Null)]),
    ] {
        let apart = other(kind, &keys);
        assert!(apart > 1e-3, "{kind} {keys:?}: {apart}");
    }
    // The other way to write the same.
    let scaling = read(&fixture("llama").join(CONFIG))["rope_scaling"].clone();
    let mut parameters = scaling.clone();
    parameters["rope_theta"] = json!(10_000);
    let keys = [
        ("rope_scaling", Value::Null),
        ("rope_theta", Value::Null),
        ("rope_parameters", parameters),
    ];
    assert!(other("llama", &keys) < 1e-4);
    let mut scaling = scaling;
    scaling["type"] = scaling
        .as_object_mut()
        .unwrap()
        .remove("rope_type")
        .unwrap();
    assert!(other("llama", &[("rope_scaling", scaling)]) < 1e-4);
}

#[test]
fn names_have_prefixes_and_tables_that_are_not_learnt_are_left_out() {
    let hash = opened(&fixture("llama")).hash;
    for prefix in ["module.", "language_model.", "base", "plain"] {
        let folder = copy("llama");
        change(folder.path(), |tensors| {
            *tensors = std::mem::take(tensors)
                .into_iter()
                .map(|(name, tensor)| match prefix {
                    "base" => (name.replace("model.", ""), tensor),
                    "plain" => (name, tensor),
                    prefix => (format!("{prefix}{name}"), tensor),
                })
                .collect();
            for name in [
                "model.layers.0.self_attn.rotary_emb.inv_freq",
                "rotary_emb.inv_freq",
            ] {
                tensors.insert(name.to_owned(), (json!("F32"), vec![4], vec![0; 16]));
            }
        });
        assert_eq!(opened(folder.path()).hash, hash, "{prefix}");
    }
    let twice = copy("llama");
    change(twice.path(), |tensors| {
        let norm = tensors["model.norm.weight"].clone();
        tensors.insert("norm.weight".to_owned(), norm);
    });
    assert!(
        refusal(twice.path()).starts_with(
            "tensors 'model.norm.weight' and 'norm.weight' are the same part of the network"
        ),
        "{}",
        refusal(twice.path())
    );
}

#[test]
fn a_tied_head_that_is_stored_all_the_same_is_the_table() {
    let (head, table) = ("lm_head.weight", "model.embed_tokens.weight");
    let folder = copy("qwen2");
    change(folder.path(), |tensors| {
        tensors.insert(head.to_owned(), tensors[table].clone());
    });
    let model = opened(folder.path());
    assert_eq!(model.hash, opened(&fixture("qwen2")).hash);
    change(folder.path(), |tensors| {
        tensors.get_mut(head).unwrap().2[100] ^= 1;
    });
    let said = refusal(folder.path());
    assert!(
        said.starts_with("by its config.json the head is the table of tokens (tie_word_embeddings), and tensor 'lm_head.weight' is another"),
        "{said}"
    );
    // A head of its own, and none.
    configure(folder.path(), &[("tie_word_embeddings", json!(false))]);
    assert_ne!(opened(folder.path()).hash, model.hash);
    change(folder.path(), |tensors| {
        tensors.remove(head);
    });
    let said = refusal(folder.path());
    assert!(
        said.starts_with("tensor 'lm_head.weight' is missing"),
        "{said}"
    );
}

#[test]
fn a_tensor_that_does_not_fit_is_named_as_in_its_file() {
    let query = "model.layers.1.self_attn.q_proj.weight";
    let missing = copy("qwen3");
    change(missing.path(), |tensors| {
        tensors.remove(query);
    });
    let wide = copy("qwen3");
    change(wide.path(), |tensors| {
        tensors.get_mut(query).unwrap().1 = vec![32, 64];
    });
    let unknown = copy("qwen3");
    change(unknown.path(), |tensors| {
        let bias = (json!("BF16"), vec![64], vec![0; 128]);
        tensors.insert("model.layers.0.self_attn.q_proj.bias".to_owned(), bias);
    });
    let infinite = copy("qwen3");
    change(infinite.path(), |tensors| {
        tensors.get_mut(query).unwrap().2[..2].copy_from_slice(&[0x80, 0x7f]);
    });
    let config = copy("qwen3");
    configure(config.path(), &[("intermediate_size", json!(41))]);
    for (folder, fact) in [
        (missing, format!("tensor '{query}' is missing")),
        (
            wide,
            format!("tensor '{query}' has shape [32, 64], expected [64, 32]"),
        ),
        (
            unknown,
            "tensor 'model.layers.0.self_attn.q_proj.bias' does not belong".to_owned(),
        ),
        (
            infinite,
            "tensor 'blk.1.attn_q.weight' holds a number that is not finite".to_owned(),
        ),
        (
            config,
            "tensor 'model.layers.0.mlp.gate_proj.weight' has shape [40, 32], expected [41, 32]"
                .to_owned(),
        ),
    ] {
        // It is a model that is damaged, not one that is known by its shapes.
        assert!(!ModelReference::File(folder.path().to_owned()).is_outline());
        let said = refusal(folder.path());
        assert!(said.contains(&fact), "{said}");
    }
}

#[test]
fn a_tokenizer_has_no_more_pieces_than_the_network() {
    let folder = copy("qwen2");
    fs::copy(
        fixture("llama").join(TOKENIZER),
        folder.path().join(TOKENIZER),
    )
    .unwrap();
    assert_eq!(opened(folder.path()).tokenizer.unwrap().vocabulary(), 96);
    let mut json = read(&folder.path().join(TOKENIZER));
    json["model"]["vocab"]["beyond"] = json!(96);
    fs::write(folder.path().join(TOKENIZER), json.to_string()).unwrap();
    let said = refusal(folder.path());
    assert!(
        said.starts_with("the tokenizer has 97 pieces, its network only 96"),
        "{said}"
    );
}

#[test]
fn a_folder_is_measured_like_any_model() {
    // With more outputs than there are pieces.
    let engine = Engine::open(&ModelReference::File(fixture("qwen2"))).unwrap();
    let recipe = Recipe::default();
    let original = engine.measure(&recipe, Depth::Coarse, &Unobserved).unwrap();
    assert!(original.quality.value > 10.0 && original.quality.value < 1e4);
    let mut narrow = recipe;
    narrow.quantization.weight_bits = 3;
    let narrow = engine.measure(&narrow, Depth::Coarse, &Unobserved).unwrap();
    assert!(narrow.quality.divergence.unwrap().value > 0.0);
    assert!(narrow.profile.stored_bytes() < original.profile.stored_bytes());
}

/// What a folder says that is opened for its shapes.
fn note(folder: &Path) -> String {
    let reference = ModelReference::File(folder.to_owned());
    assert!(reference.is_outline());
    let outline = Outline::open(&reference).unwrap();
    let notes = &outline.network().notes;
    let found = notes
        .iter()
        .find(|note| note.starts_with("known by its shapes only: "));
    let note = found.unwrap_or_else(|| panic!("{notes:?}"));
    assert!(crate::formats::open(folder).is_err());
    note.clone()
}

#[test]
fn what_is_not_run_is_opened_for_its_shapes_and_says_why() {
    let with = |keys: &[(&str, Value)]| {
        let folder = copy("llama");
        configure(folder.path(), keys);
        note(folder.path())
    };
    let said = with(&[
        ("model_type", json!("helium")),
        ("architectures", Value::Null),
    ]);
    assert!(
        said.ends_with("networks of the kind 'helium' are not run here yet"),
        "{said}"
    );
    let packing = json!({"quant_method": "hqq", "bits": 4, "group_size": 128});
    let said = with(&[("quantization_config", packing)]);
    assert!(
        said.ends_with("packed by hqq, which is not run here yet"),
        "{said}"
    );
    let said = with(&[("rope_theta", json!(0))]);
    assert!(
        said.contains("its config.json has a rotary base of 0"),
        "{said}"
    );
    let folder = copy("llama");
    fs::write(folder.path().join("quantize_config.json"), "{}").unwrap();
    assert!(note(folder.path()).contains("packed as quantize_config.json beside it says"));
    let gone = |name: &str| {
        let folder = copy("llama");
        fs::remove_file(folder.path().join(name)).unwrap();
        note(folder.path())
    };
    assert!(gone(TOKENIZER).ends_with("there is no tokenizer.json beside its config.json"));
    assert!(gone(WEIGHTS[1]).contains("its folder has neither"));
    let parts = copy("llama");
    shard(parts.path());
    fs::remove_file(parts.path().join("model-00002-of-00002.safetensors")).unwrap();
    let said = note(parts.path());
    assert!(
        said.contains("model-00002-of-00002.safetensors is not beside it"),
        "{said}"
    );
    let pointer = copy("llama");
    let text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    fs::write(pointer.path().join(WEIGHTS[1]), text).unwrap();
    let said = note(pointer.path());
    assert!(said.contains("Git's pointer"), "{said}");
    // By the file of weights too.
    let folder = copy("llama");
    fs::remove_file(folder.path().join(TOKENIZER)).unwrap();
    let reference = ModelReference::File(folder.path().join(WEIGHTS[1]));
    assert!(reference.is_outline());
    assert!(Outline::open(&reference).unwrap().network().notes[0].contains(TOKENIZER));
    // What is completed later is run.
    let name = folder.path().join(TOKENIZER);
    fs::copy(fixture("llama").join(TOKENIZER), name).unwrap();
    assert!(!ModelReference::File(folder.path().to_owned()).is_outline());
    // The configuration alone is always its shapes.
    assert!(ModelReference::File(folder.path().join(CONFIG)).is_outline());
}
