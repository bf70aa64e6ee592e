//! Kinds of GGUF files against llama.cpp: tiny networks and its logits, see `scripts/tiny_gguf.py`.

mod facts;
mod lies;

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::super::Family;
use super::Function;
use super::kinds::KINDS;
use crate::formats;
use crate::model::{Architecture, Model, Tensors};
use crate::run::plain::Plain;
use crate::run::{Stream, Texts};
use crate::weights::{Source, TensorInfo};

/// Largest difference of a logit, relative to the standard deviation of all. llama.cpp looks the Gaussian error linear
/// unit up in a table in half precision, whose last place is 1/2048; 1.4e-3 is the largest seen.
const TOLERANCE: f64 = 3e-3;
/// The same where the function is computed by the error function here, as the original's, and looked up there in a table of
/// its tanh form; 2.6e-3 is the largest seen.
const TOLERANCE_EXACT: f64 = 5e-3;
/// The same where no function is looked up: single precision through two blocks; 2.4e-5 is the largest
/// seen.
const TOLERANCE_SINGLE: f64 = 5e-5;

/// The same with a function that takes and gives half precision here too: some numbers between two are taken for the other
/// one; 6.5e-5 is the largest seen.
const TOLERANCE_LOOKED_UP: f64 = 2e-4;

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
            let mut model = formats::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            model.tensors = held(model.source.as_deref().unwrap());
            models.push((name, model, record));
        }
    }
    models
}

/// All tensors of a file.
fn held(source: &dyn Source) -> Tensors {
    let read = |(at, info): (usize, &TensorInfo)| {
        let mut numbers = vec![0.0; info.elements()];
        source.decode(at, 0..info.rows(), &mut numbers).unwrap();
        let tensor = Tensor::from_vec(numbers, info.shape.as_slice(), &Device::Cpu);
        (info.name.clone(), tensor.unwrap())
    };
    source.tensors().iter().enumerate().map(read).collect()
}

fn logits(model: &Model, tokens: &[u32]) -> Vec<Vec<f32>> {
    let tokens = Tensor::new(vec![tokens.to_vec()], &Device::Cpu).unwrap();
    let logits = model.architecture.forward(&model.tensors, &tokens, 32);
    logits.unwrap().squeeze(0).unwrap().to_vec2().unwrap()
}

/// The largest difference of a logit over the standard deviation of all of them.
fn worst(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let n = expected.len() as f64;
    let mean = expected.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let squares = expected.iter().map(|x| (f64::from(*x) - mean).powi(2));
    let deviation = (squares.sum::<f64>() / n).sqrt();
    let apart = found
        .iter()
        .zip(expected)
        .map(|(a, b)| f64::from(a - b).abs());
    // What is no number is as wrong as can be.
    let largest = apart.fold(0.0, |worst, apart| match apart <= worst {
        true => worst,
        false if apart.is_nan() => f64::INFINITY,
        false => apart,
    });
    largest / deviation
}

#[test]
fn logits_are_those_of_llama_cpp() {
    for (name, model, record) in models() {
        assert!(record.source.contains("llama-cpp-python"));
        let Architecture::Decoder(config) = &model.architecture else {
            panic!("{name} is of another family");
        };
        let tolerance = match config.form.function {
            Function::Silu => TOLERANCE_SINGLE,
            Function::Gelu => TOLERANCE,
            Function::GeluExact => TOLERANCE_EXACT,
        };
        let expected = record.logits.concat();
        let found = worst(&logits(&model, &record.tokens).concat(), &expected);
        // The same with the function as llama.cpp looks it up.
        let plain = Plain {
            tensors: &model.tensors,
            bits: 32,
            half_gelu: true,
        };
        let plain = plain.run(&config.graph(), &record.tokens).unwrap();
        let plain: Vec<f32> = plain.flatten_all().unwrap().to_vec1().unwrap();
        let plain = worst(&plain, &expected);
        println!("{name}: {found:.1e}, looked up {plain:.1e}");
        assert!(found < tolerance, "{name}: {found:e}");
        let tolerance = match config.form.function {
            Function::Silu => TOLERANCE_SINGLE,
            Function::Gelu | Function::GeluExact => TOLERANCE_LOOKED_UP,
        };
        assert!(plain < tolerance, "{name}: {plain:e}");
    }
}

/// Texts longer than the tiles of attention and windows, several at once, read whole and with rounded activations.
#[test]
fn the_fast_path_runs_every_kind_as_plain_operations_do() {
    for (name, model, _) in models() {
        let Architecture::Decoder(config) = &model.architecture else {
            panic!("{name} is of another family");
        };
        let texts: [Vec<u32>; 2] = [3, 5].map(|step| (0..50).map(|i| i * i * step % 96).collect());
        for (bits, tolerance) in [(32, 2e-5), (16, 0.05), (8, 0.3)] {
            let tokens = Tensor::new(texts.to_vec(), &Device::Cpu).unwrap();
            let found = model.architecture.forward(&model.tensors, &tokens, bits);
            for (text, found) in texts.iter().zip(found.unwrap().to_vec3::<f32>().unwrap()) {
                let plain = Plain {
                    tensors: &model.tensors,
                    bits,
                    half_gelu: false,
                };
                let plain = plain.run(&config.graph(), text).unwrap();
                let plain: Vec<f32> = plain.flatten_all().unwrap().to_vec1().unwrap();
                let worst = worst(&found.concat(), &plain);
                println!("{name} {bits}: {worst:.1e}");
                assert!(worst < tolerance, "{name} {bits}: {worst:e}");
            }
        }
    }
}

#[test]
fn every_kind_runs_part_by_part() {
    for (name, model, record) in models() {
        let graph = model.architecture.graph();
        let (length, bits) = (record.tokens.len(), 8);
        let input = Tensor::new(vec![record.tokens.clone()], &Device::Cpu).unwrap();
        let network = model.architecture.ready(&model.tensors, bits).unwrap();
        let stream = Stream::new(&graph, bits).unwrap();
        // Tables, the blocks and what comes after them.
        assert!(stream.parts() > graph.blocks as usize, "{name}");
        for last in [length, 7] {
            let expected = network.run_last(&input, last).unwrap();
            let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
            let texts = Texts {
                tokens: &record.tokens,
                length,
                last,
            };
            let hidden = stream.hidden(&model.tensors, texts, &mut |_, _| Ok(()));
            let head = stream.head(&model.tensors).unwrap();
            let mut found = Vec::new();
            let take = &mut |_: usize, some: &[f32]| found.extend_from_slice(some);
            let hidden = hidden.unwrap();
            head.logits(&mut head.desk(), hidden.of_text(0), take)
                .unwrap();
            assert_eq!(found, expected, "{name} {last}");
        }
    }
}

/// A text read bit by bit, and tokens that are read after others.
#[test]
fn every_kind_reads_on() {
    for (name, model, record) in models() {
        let network = model.architecture.ready(&model.tensors, 32).unwrap();
        let whole = logits(&model, &record.tokens);
        let mut reader = network.reader().unwrap();
        for bit in [0..3, 3..4, 4..17, 17..20] {
            let end = bit.end;
            let found = reader.read(&record.tokens[bit]).unwrap();
            let worst = worst(&found, &whole[end - 1]);
            assert!(worst < 2e-5, "{name}: {worst:e}");
        }
    }
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
