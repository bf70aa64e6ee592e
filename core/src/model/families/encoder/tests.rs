//! Tiny encoders against what transformers and llama.cpp make of the same sentences.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::error::Error;
use crate::formats;
use crate::graph::Graph;
use crate::model::{Architecture, Model, ModelReference};
use crate::outline::Outline;
use crate::recipe::Recipe;
use crate::{carbon, footprint, hardware, scenario::Scenario};

/// Largest difference of a number; sums of single precision in another order, and six decimals.
const TOLERANCE: f32 = 2e-5;
/// The same beside llama.cpp, which looks its function up in a table of half precision.
const TOLERANCE_LOOKED_UP: f32 = 2e-3;

const FOLDERS: [&str; 3] = ["bert", "roberta", "distilbert"];

/// A sentence, its tokens, and what it becomes.
#[derive(Deserialize)]
struct Record {
    text: String,
    tokens: Vec<u32>,
    embedding: Vec<f32>,
    #[serde(default)]
    rows: Vec<Vec<f32>>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders")
}

fn records(path: &Path) -> Vec<Record> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn apart(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    let apart = pairs.map(|(a, b)| (a - b).abs());
    apart.fold(0.0, |most, apart| if apart <= most { most } else { apart })
}

fn pooling(model: &Model) -> Pooling {
    match &model.architecture {
        Architecture::Encoder(config) => config.pooling,
        other => panic!("{other:?}"),
    }
}

/// The largest difference of an embedding, and of the rows of the last layer.
fn differences(model: &Model, records: &[Record]) -> (f32, f32) {
    let network = model.ready(32).unwrap();
    let mut worst = (0.0_f32, 0.0_f32);
    for record in records {
        let cut = model.tokenizer.as_ref().unwrap();
        let tokens = cut.encode(&record.text, true, false).unwrap();
        assert_eq!(tokens, record.tokens, "{}", record.text);
        let made = network.sentences(&[&tokens], pooling(model)).unwrap();
        worst.0 = worst.0.max(apart(&made[0], &record.embedding));
        if !record.rows.is_empty() {
            let input = Tensor::new(vec![tokens], &Device::Cpu).unwrap();
            let rows = network.run(&input).unwrap().flatten_all().unwrap();
            let rows = rows.to_vec1::<f32>().unwrap();
            worst.1 = worst.1.max(apart(&rows, &record.rows.concat()));
        }
    }
    worst
}

#[test]
fn sentences_become_what_transformers_makes_of_them() {
    for name in FOLDERS {
        let folder = fixtures().join(name);
        let model = formats::open(&folder).unwrap();
        let records = records(&folder.join("embeddings.json"));
        assert!(records.len() > 2 && !records[0].rows.is_empty());
        let (embedding, rows) = differences(&model, &records);
        println!("{name}: {embedding:.1e}, rows {rows:.1e}");
        assert!(
            embedding < TOLERANCE && rows < TOLERANCE,
            "{name}: {embedding:e} {rows:e}"
        );
        assert_eq!(model.name, name);
        assert_eq!(pooling(&model) == Pooling::First, name == "roberta");
        // The file and the folder are the same model.
        let file = formats::open(&folder.join("model.safetensors")).unwrap();
        assert_eq!(file.hash, model.hash);
    }
}

#[test]
fn sentences_become_what_llama_cpp_makes_of_them() {
    let model = formats::open(&fixtures().join("bert.gguf")).unwrap();
    let (embedding, _) = differences(&model, &records(&fixtures().join("bert.json")));
    println!("{embedding:.1e}");
    assert!(embedding < TOLERANCE_LOOKED_UP, "{embedding:e}");
    // And nearer to transformers' numbers of the same weights.
    let same = records(&fixtures().join("bert/embeddings.json"));
    let (embedding, rows) = differences(&model, &same);
    assert!(embedding < TOLERANCE && rows < TOLERANCE, "{embedding:e}");
}

/// The published encoder that many start from, of `scripts/fetch_models.sh`: `WATTIF_MINILM` is its folder, the numbers are
/// of `scripts/sentence_embeddings.py`.
#[test]
#[ignore = "needs a model of 91 MB"]
fn a_published_encoder_makes_of_sentences_what_transformers_does() {
    /// One minus the cosine.
    const TOLERANCE: f64 = 1e-5;
    let folder = PathBuf::from(std::env::var_os("WATTIF_MINILM").unwrap());
    let model = formats::open(&folder).unwrap();
    let network = model.ready(32).unwrap();
    let cut = model.tokenizer.as_ref().unwrap();
    let words = folder.join("vocab.txt");
    let list = crate::tokenizer::Tokenizer::open_words(&words, true).unwrap();
    let mut worst = (0.0, 0.0_f32);
    for record in records(&fixtures().join("all-minilm-l6-v2.json")) {
        let tokens = cut.encode(&record.text, true, false).unwrap();
        assert_eq!(tokens, record.tokens, "{}", record.text);
        assert_eq!(list.encode(&record.text, true, false).unwrap(), tokens);
        let made = network.sentences(&[&tokens], pooling(&model)).unwrap();
        let made = made[0].iter().map(|x| f64::from(*x));
        let length = made.clone().map(|x| x * x).sum::<f64>().sqrt();
        let made: Vec<f32> = made.map(|x| (x / length) as f32).collect();
        let pairs = made.iter().zip(&record.embedding);
        let cosine: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        worst = (
            f64::max(worst.0, 1.0 - cosine),
            worst.1.max(apart(&made, &record.embedding)),
        );
    }
    println!(
        "1 - cosine {:.1e}, largest difference {:.1e}",
        worst.0, worst.1
    );
    assert!(worst.0 < TOLERANCE && worst.1 < 1e-5, "{worst:?}");
    let file = folder.join("model.safetensors");
    assert_eq!(formats::open(&file).unwrap().hash, model.hash);
}

/// What the agreement above would hold without seeing.
#[test]
fn a_network_that_is_changed_makes_something_else() {
    let folder = fixtures().join("bert");
    let config: Value = read(&folder.join("config.json"));
    let records = records(&folder.join("embeddings.json"));
    let model = formats::open(&folder).unwrap();
    for (key, value) in [
        ("layer_norm_eps", json!(0.1)),
        ("hidden_act", json!("gelu_new")),
        ("num_attention_heads", json!(8)),
    ] {
        let mut changed = config.clone();
        changed[key] = value;
        let network = EncoderConfig::of_config(&changed, None).unwrap().network;
        let model = Model {
            architecture: Architecture::Encoder(network),
            ..model.clone()
        };
        let (embedding, _) = differences(&model, &records);
        assert!(embedding > 3.0 * TOLERANCE, "{key}: {embedding:e}");
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn what_is_not_run_is_refused_by_its_name() {
    let config = read(&fixtures().join("bert/config.json"));
    for (key, value) in [
        ("position_embedding_type", json!("relative_key")),
        ("is_decoder", json!(true)),
        ("hidden_act", json!("relu6")),
        ("architectures", json!(["BertForSequenceClassification"])),
        ("auto_map", json!({"AutoModel": "modeling.Other"})),
        ("quantization_config", json!({"quant_method": "gptq"})),
        ("hidden_size", json!("wide")),
        ("layer_norm_eps", json!("small")),
    ] {
        let mut changed = config.clone();
        changed[key] = value;
        let fact = EncoderConfig::of_config(&changed, None).unwrap_err();
        let said = match key {
            "quantization_config" => "packed",
            key => key,
        };
        assert!(fact.contains(said), "{key}: {fact}");
    }
    for kind in ["modernbert", "nomic_bert", "mpnet", "llama"] {
        assert!(!EncoderConfig::is_config(&json!({"model_type": kind})));
        let fact = EncoderConfig::of_config(&json!({"model_type": kind}), None).unwrap_err();
        assert!(fact.contains(kind), "{fact}");
    }
    let pooled = |said: Value| EncoderConfig::of_config(&config, Some(&said));
    let pooling = |said: Value| pooled(said).unwrap().network.pooling;
    assert_eq!(pooling(json!({"pooling_mode": "cls"})), Pooling::First);
    assert_eq!(
        pooling(json!({"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true})),
        Pooling::Mean
    );
    for said in [
        json!({"pooling_mode_max_tokens": true}),
        json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}),
        json!({"pooling_mode": "weightedmean"}),
        json!([]),
        json!({}),
    ] {
        let fact = pooled(said).unwrap_err();
        assert!(fact.contains("pooling"), "{fact}");
    }
}

#[test]
fn a_configuration_that_lies_is_refused_and_nothing_panics() {
    let config = read(&fixtures().join("roberta/config.json"));
    let keys: Vec<String> = config.as_object().unwrap().keys().cloned().collect();
    let mut values = vec![
        json!(null),
        json!(-1),
        json!(0),
        json!(1),
        json!(1_u64 << 40),
    ];
    values.extend([
        json!(u64::MAX),
        json!(1e300),
        json!("x"),
        json!([]),
        json!({}),
        json!(true),
    ]);
    for key in &keys {
        for value in &values {
            let mut changed = config.clone();
            changed[key] = value.clone();
            let Ok(published) = EncoderConfig::of_config(&changed, None) else {
                continue;
            };
            let network = Architecture::Encoder(published.network);
            if network.implausible().is_none() {
                // Counting must not overflow either.
                assert!(network.parameters() > 0);
                assert!(network.network("x").is_some());
            }
        }
    }
}

/// The same network by its weights and by its configuration alone.
fn doors(name: &str) -> (Graph, Graph, Model, Outline) {
    let folder = fixtures().join(name);
    let model = formats::open(&folder).unwrap();
    let outline = Outline::open(&ModelReference::File(folder.join("config.json"))).unwrap();
    let (one, other) = (model.architecture.graph(), outline.network().graph());
    (one, other, model, outline)
}

#[test]
fn weights_and_configuration_come_to_the_same_work() {
    for name in FOLDERS {
        let (one, other, model, outline) = doors(name);
        assert_eq!(one.unit, other.unit, "{name}");
        assert_eq!(one.positions, other.positions, "{name}");
        assert_eq!(
            model.architecture.parameters(),
            outline.parameters(),
            "{name}"
        );
        let macs = |graph: &Graph| graph.layers().iter().map(|layer| layer.macs).sum::<f64>();
        assert_eq!(macs(&one), macs(&other), "{name}");
    }
}

#[test]
fn weights_and_configuration_come_to_the_same_energy_on_every_device() {
    let grid = carbon::find_grid(&Scenario::default().region).unwrap();
    for name in FOLDERS {
        let (_, _, model, outline) = doors(name);
        let planner = crate::engine::planner(&model.name, &model.architecture).unwrap();
        let planner = planner.stored_in(&model.stored);
        for bits in [16, 8, 4] {
            let mut recipe = Recipe::default();
            recipe.quantization.weight_bits = bits;
            let (mut one, mut other) = (planner.plan(&recipe), outline.predict(&recipe).unwrap());
            // How numbers outside matrices are stored, a configuration does not say.
            let layers = one.layers.iter_mut().chain(&mut other.layers);
            layers.for_each(|layer| layer.other_bits = 32.0);
            let mut apart = Vec::new();
            let mut costed = 0;
            for target in hardware::catalogue().unwrap() {
                let scenario = Scenario {
                    hardware: target.id.clone(),
                    ..Scenario::default()
                };
                let cost = |profile| footprint::footprint(profile, &scenario, target, grid);
                match (cost(&one), cost(&other)) {
                    (Ok(one), Ok(other)) => {
                        costed += 1;
                        let energy = [one, other].map(|f| f.energy_per_unit.range.typical.0);
                        let ratio = energy[0] / energy[1];
                        if (ratio - 1.0).abs() > 1e-9 {
                            apart.push(format!("{}: {energy:?}", target.id));
                        }
                    }
                    (Err(Error::Infeasible(_)), Err(Error::Infeasible(_))) => {}
                    (one, other) => panic!("{} {:?} {:?}", target.id, one.err(), other.err()),
                }
            }
            assert!(apart.is_empty(), "{name} {bits} bits: {apart:#?}");
            assert!(costed > 10, "{costed}");
        }
    }
}
