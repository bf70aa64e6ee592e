//! Kinds of GGUF files against llama.cpp: tiny networks and its logits, see `scripts/tiny_gguf.py`.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::kinds::KINDS;
use crate::formats;
use crate::model::{Architecture, Model};

/// Largest difference of a logit, relative to the standard deviation of all. llama.cpp looks the Gaussian error linear
/// unit up in a table in half precision, whose last place is 1/2048; 1.4e-3 is the largest seen.
const TOLERANCE: f64 = 3e-3;
/// The same where no function is looked up: single precision through two blocks; 2.4e-5 is the largest
/// seen.
const TOLERANCE_SINGLE: f64 = 5e-5;

#[derive(Debug, Deserialize)]
struct Record {
    source: String,
    tokens: Vec<u32>,
    logits: Vec<Vec<f32>>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/language")
}

/// By name.
fn models() -> Vec<(String, Model, Record)> {
    let mut models = Vec::new();
    for file in std::fs::read_dir(fixtures()).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "gguf")
        {
            let record = std::fs::read_to_string(path.with_extension("json")).unwrap();
            let record: Record = serde_json::from_str(&record).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let model = formats::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            models.push((name, model, record));
        }
    }
    models
}

fn logits(model: &Model, tokens: &[u32]) -> Vec<Vec<f32>> {
    let tokens = Tensor::new(vec![tokens.to_vec()], &Device::Cpu).unwrap();
    let logits = model.architecture.forward(&model.tensors, &tokens, 32);
    logits.unwrap().squeeze(0).unwrap().to_vec2().unwrap()
}

#[test]
fn logits_are_those_of_llama_cpp() {
    let models = models();
    let mut wrong = Vec::new();
    for (name, model, record) in &models {
        assert!(record.source.contains("llama-cpp-python"));
        let found = logits(model, &record.tokens).concat();
        let expected = record.logits.concat();
        assert_eq!(found.len(), expected.len(), "{name}");
        let n = expected.len() as f64;
        let sum = |f: &dyn Fn(f64) -> f64| expected.iter().map(|x| f(f64::from(*x))).sum::<f64>();
        let mean = sum(&|x| x) / n;
        let deviation = (sum(&|x| (x - mean).powi(2)) / n).sqrt();
        let worst = found.iter().zip(&expected).fold(0.0, |worst, (a, b)| {
            f64::max(worst, f64::from((a - b).abs()))
        });
        let Architecture::Decoder(config) = &model.architecture else {
            panic!("{name} is of another family");
        };
        let tolerance = match config.form.function {
            super::Function::Silu => TOLERANCE_SINGLE,
            super::Function::Gelu => TOLERANCE,
        };
        println!("{name}: {:.2e} of {deviation:.2}", worst / deviation);
        // A difference that is no number is none below the tolerance.
        if !matches!(
            (worst / deviation).partial_cmp(&tolerance),
            Some(std::cmp::Ordering::Less)
        ) {
            wrong.push(format!("{name}: {:.2e}", worst / deviation));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_kind_is_compared() {
    for kind in KINDS {
        let path = fixtures().join(format!("{}.gguf", kind.name));
        assert!(path.exists(), "{}", kind.name);
    }
}

#[test]
fn a_configuration_survives_being_written_and_an_old_one_is_llamas() {
    for (name, model, _) in models() {
        let written = serde_json::to_string(&model.architecture).unwrap();
        let read: Architecture = serde_json::from_str(&written).unwrap();
        assert_eq!(read, model.architecture, "{name}");
    }
    let old = r#"{"vocabulary":61,"context":64,"width":24,"blocks":3,"heads":6,"kv_heads":2,"head_width":8,"hidden":40,
        "base":10000.0,"rotary":8,"interleaved":true,"epsilon":1e-5,"tied":true,"biases":false,"head_norms":false,
        "window":null}"#;
    let old: super::DecoderConfig = serde_json::from_str(old).unwrap();
    assert_eq!(old.form, super::Form::default());
}
