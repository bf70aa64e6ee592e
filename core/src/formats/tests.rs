//! The table of broken files: each with the exact message it gets.

mod foreign;

use std::collections::BTreeMap;
use std::io::Cursor;

use serde_json::{Value, json};

mod packed;

use super::*;
use crate::model::{Architecture, CnnConfig, Stage, Tensors, tensors_hash};

const PATH: &str = "/models/user.safetensors";

/// A file as its parts, to be broken one at a time.
#[derive(Clone)]
struct Parts {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Value, Vec<usize>, Vec<u8>)>,
}

impl Parts {
    fn of(architecture: &Architecture, with_architecture: bool) -> Self {
        let tensors = architecture.initial_tensors(1).unwrap();
        let mut metadata = BTreeMap::new();
        if with_architecture {
            let text = serde_json::to_string(architecture).unwrap();
            metadata.insert(Architecture::METADATA_KEY.to_owned(), text);
        }
        let tensors = tensors
            .iter()
            .map(|(name, tensor)| {
                let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name.clone(), json!("F32"), tensor.dims().to_vec(), bytes)
            })
            .collect();
        Self { metadata, tensors }
    }

    fn tensor(&mut self, name: &str) -> &mut (String, Value, Vec<usize>, Vec<u8>) {
        let found = self.tensors.iter_mut().find(|tensor| tensor.0 == name);
        found.unwrap()
    }

    fn header(&self) -> serde_json::Map<String, Value> {
        let mut header = serde_json::Map::new();
        if !self.metadata.is_empty() {
            header.insert("__metadata__".to_owned(), json!(self.metadata));
        }
        let mut start = 0;
        for (name, dtype, shape, bytes) in &self.tensors {
            let end = start + bytes.len();
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
            header.insert(name.clone(), entry);
            start = end;
        }
        header
    }

    fn file(&self) -> Vec<u8> {
        self.file_with(&serde_json::to_string(&self.header()).unwrap())
    }

    fn file_with(&self, header: &str) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(self.tensors.iter().flat_map(|tensor| &tensor.3));
        file
    }
}

/// Two channels, so that every bit of the file can be flipped in a test.
fn small() -> Architecture {
    Architecture::Cnn(CnnConfig {
        input_channels: 1,
        size: 4,
        stages: vec![Stage {
            channels: 2,
            pool: true,
        }],
        classes: 2,
    })
}

fn open_bytes(bytes: &[u8]) -> Result<(Architecture, Tensors)> {
    let contents = read(&mut Cursor::new(bytes), bytes.len() as u64, Path::new(PATH));
    contents.map(|contents| (contents.architecture, contents.tensors))
}

/// A message without the path that it must end with.
fn message(result: Result<(Architecture, Tensors)>) -> String {
    let text = result.unwrap_err().to_string();
    let Some(fact) = text.strip_suffix(&format!(": {PATH}")) else {
        panic!("does not end with the path: {text}");
    };
    fact.to_owned()
}

fn broken(change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Parts::of(&small(), true);
    change(&mut parts);
    parts.file()
}

fn header_changed(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let parts = Parts::of(&small(), true);
    let mut header = parts.header();
    change(&mut header);
    parts.file_with(&serde_json::to_string(&header).unwrap())
}

fn with_architecture(text: &str) -> Vec<u8> {
    broken(|parts| {
        let key = Architecture::METADATA_KEY.to_owned();
        parts.metadata.insert(key, text.to_owned());
    })
}

#[test]
fn a_file_of_another_kind_is_named() {
    for (bytes, fact) in [
        (b"".as_slice(), "the file is empty"),
        (
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            "this is a gzip archive; unpack it first",
        ),
        (
            b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0",
            "this is a zip archive, not a model; unpack it first",
        ),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            "this is a picture, not a model",
        ),
        (
            b"{\n  \"architectures\": [\"LlamaForCausalLM\"]\n}",
            "this is JSON, such as a model's configuration; the weights are in another file",
        ),
        (
            b"{\"metadata\": {}, \"weight_map\": {\"a\": \"b\"}}",
            "this is the index of a model in several files, not a model",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a",
            "this is a Git LFS pointer; the model itself was not downloaded (git lfs pull)",
        ),
        (
            "# Modell für Kleidung\n".as_bytes(),
            "this is a text file, not a model",
        ),
    ] {
        assert_eq!(message(open_bytes(bytes)), fact);
    }
}

#[test]
fn a_broken_header_is_described() {
    let good = Parts::of(&small(), true).file();
    let header_len = u64::from_le_bytes(*good.first_chunk().unwrap());
    let lying = |len: u64| {
        let mut bytes = good.clone();
        bytes[..8].copy_from_slice(&len.to_le_bytes());
        bytes
    };
    let rest = good.len() as u64 - 8;
    let data = rest - header_len;
    let terabytes = 3_000_000_000_000;
    let cases = [
        (good[..5].to_vec(), "the file is cut short: 5 bytes are fewer than the 8 that every safetensors file begins with".to_owned()),
        (good[..40].to_vec(), format!("this is no safetensors file or it is cut short: its header should be {header_len} bytes long, but only 32 follow")),
        (lying(terabytes), format!("this is no safetensors file or it is cut short: its header should be {terabytes} bytes long, but only {rest} follow")),
        (lying(u64::MAX), format!("this is no safetensors file or it is cut short: its header should be {} bytes long, but only {rest} follow", u64::MAX)),
        (lying(20), "the header is damaged (EOF while parsing a string at line 1 column 20)".to_owned()),
        (vec![0xff; 300], format!("this is no safetensors file or it is cut short: its header should be {} bytes long, but only 292 follow", u64::MAX)),
        (good[..good.len() - 1].to_vec(), format!("the file is cut short: tensor 'head.weight' ends at byte {data} of the data, of which there are {}", data - 1)),
        ([good.as_slice(), b"tail"].concat(), "4 bytes after the last tensor belong to nothing".to_owned()),
        (header_changed(|h| h["__metadata__"] = json!(["pt"])), "the metadata are damaged (invalid type: sequence, expected a map)".to_owned()),
        (header_changed(|h| h["bn1.bias"] = json!({"dtype": "F32", "shape": [2]})), "the header of tensor 'bn1.bias' is damaged (missing field `data_offsets`)".to_owned()),
        (header_changed(|h| h["bn1.bias"]["shape"] = json!([-2])), "the header of tensor 'bn1.bias' is damaged (invalid value: integer `-2`, expected usize)".to_owned()),
        (header_changed(|h| h["bn1.bias"]["shape"] = json!([1u64 << 62, 1u64 << 62])), "tensor 'bn1.bias' has the absurd shape [4611686018427387904, 4611686018427387904]".to_owned()),
        (header_changed(|h| h["bn1.bias"]["shape"] = json!([1u64 << 50])), "tensor 'bn1.bias' of shape [1125899906842624] needs 4503599627370496 bytes, but its place is from 0 to 8".to_owned()),
        (header_changed(|h| h["bn1.bias"]["data_offsets"] = json!([8, 0])), "tensor 'bn1.bias' of shape [2] needs 8 bytes, but its place is from 8 to 0".to_owned()),
        (header_changed(|h| h["bn1.running_mean"]["data_offsets"] = json!([0, 8])), "tensor 'bn1.running_mean' begins at byte 0 of the data, expected 8".to_owned()),
    ];
    for (bytes, fact) in cases {
        assert_eq!(message(open_bytes(&bytes)), fact);
    }
}

#[test]
fn a_tensor_that_does_not_fit_is_named() {
    let small_shape = json!({"cnn": {"input_channels": 1, "size": 4, "classes": 2,
        "stages": [{"channels": 2, "pool": true}]}});
    let changed = |field: &str, value: Value| {
        let mut text = small_shape.clone();
        text["cnn"][field] = value;
        with_architecture(&text.to_string())
    };
    let mut llama = Parts::of(&small(), false);
    for tensor in &mut llama.tensors {
        tensor.0 = format!("model.layers.0.{}", tensor.0);
    }
    let cases = [
        (
            broken(|p| p.tensor("conv1.weight").2 = vec![1, 2, 3, 3]),
            "tensor 'conv1.weight' has shape [1, 2, 3, 3], expected [2, 1, 3, 3]",
        ),
        (
            Parts::of(&small(), false).file(),
            "tensor 'conv1.weight' has shape [2, 1, 3, 3], expected [16, 1, 3, 3]",
        ),
        (
            broken(|p| p.tensors.retain(|t| t.0 != "head.bias")),
            "tensor 'head.bias' is missing; a convolutional classifier needs it with shape [2]",
        ),
        (
            broken(|p| p.tensor("head.bias").0 = "head.bios".to_owned()),
            "tensor 'head.bias' is missing; a convolutional classifier needs it with shape [2]",
        ),
        (
            broken(|p| {
                p.tensors
                    .push(("conv9.weight".to_owned(), json!("F32"), vec![1], vec![0; 4]));
            }),
            "tensor 'conv9.weight' does not belong to a convolutional classifier",
        ),
        (
            broken(|p| p.tensor("bn1.bias").1 = json!("I32")),
            "tensor 'bn1.bias' is of type I32; only F32, F16 and BF16 can be opened",
        ),
        (
            broken(|p| p.tensor("bn1.bias").3[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
            "tensor 'bn1.bias' has 1 of 2 values that are not finite (NaN or infinite)",
        ),
        (
            broken(|p| {
                p.tensor("conv1.weight").3[8..16]
                    .copy_from_slice(&[0, 0, 0x80, 0x7f, 0, 0, 0x80, 0xff]);
            }),
            "tensor 'conv1.weight' has 2 of 18 values that are not finite (NaN or infinite)",
        ),
        (
            broken(|p| p.tensor("bn1.running_var").3[3] |= 0x80),
            "tensor 'bn1.running_var' has 1 of 2 values below zero, which no variance is",
        ),
        (
            llama.file(),
            "this is a model of a family that cannot be run: none of its 7 tensors is known, the first is 'model.layers.0.bn1.bias'; take its shapes from the config.json published with it (wattif report --model config.json) or from the catalogue (wattif models)",
        ),
        (
            Parts {
                metadata: BTreeMap::new(),
                tensors: Vec::new(),
            }
            .file(),
            "the file holds no tensors",
        ),
        (
            with_architecture("{\"elm\": {}}"),
            "the architecture in the metadata is damaged (unknown variant `elm`, expected one of `cnn`, `gpt`, `decoder`, `residual`, `vae`, `gan`, `rnn`, `encoder` at line 1 column 6)",
        ),
        (
            changed("size", json!(1)),
            "the architecture in the metadata has more pooling than the image has pixels",
        ),
        (
            changed("classes", json!(0)),
            "the architecture in the metadata has classes of 0",
        ),
        (
            changed("input_channels", json!(1u64 << 62)),
            "the architecture in the metadata has input channels of 4611686018427387904",
        ),
        (
            changed("stages", json!([])),
            "the architecture in the metadata has 0 stages",
        ),
        (
            with_architecture(
                r#"{"gpt":{"vocabulary":256,"context":8,"width":10,"heads":4,"hidden":8,"blocks":1}}"#,
            ),
            "the architecture in the metadata has a width of 10 that 4 heads do not divide",
        ),
        (
            with_architecture(
                r#"{"gpt":{"vocabulary":256,"context":8,"width":8,"heads":4,"hidden":8,"blocks":900000000000}}"#,
            ),
            "the architecture in the metadata has 900000000000 blocks",
        ),
    ];
    for (bytes, fact) in cases {
        assert_eq!(message(open_bytes(&bytes)), fact);
    }
}

#[test]
fn what_is_no_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let fact = |path: &Path| {
        let text = open(path).unwrap_err().to_string();
        let end = format!(": {}", path.display());
        text.strip_suffix(&end)
            .unwrap_or_else(|| panic!("{text}"))
            .to_owned()
    };
    assert_eq!(fact(folder.path()), "this is a folder, not a model file");
    assert_eq!(
        fact(&folder.path().join("absent.safetensors")),
        "there is no such file"
    );
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    assert_eq!(
        fact(folder.path()),
        "this model is known by its shapes only: its config.json does not say model_type"
    );
    assert_eq!(
        fact(&folder.path().join("config.json/x")),
        if cfg!(windows) {
            "there is no such file"
        } else {
            "the file cannot be read (Not a directory (os error 20))"
        }
    );
}

#[test]
fn a_saved_model_opens_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.safetensors");
    for (architecture, with_architecture) in [
        (small(), true),
        (Architecture::Cnn(CnnConfig::fashion()), false),
        (Architecture::Gpt(crate::model::GptConfig::bytes()), false),
        (Architecture::Rnn(crate::model::RnnConfig::bytes()), false),
    ] {
        let mut parts = Parts::of(&architecture, with_architecture);
        // As PyTorch saves it.
        let counter = (
            "bn1.num_batches_tracked".to_owned(),
            json!("I64"),
            vec![],
            vec![0; 8],
        );
        parts.tensors.push(counter);
        std::fs::write(&path, parts.file()).unwrap();
        let model = open(&path).unwrap();
        let expected = architecture.initial_tensors(1).unwrap();
        assert_eq!(model.architecture, architecture);
        assert_eq!(model.hash, tensors_hash(&expected).unwrap());
        assert_eq!(model.name, "mine");
        assert_eq!(model.reference, ModelReference::File(path.clone()));
    }
}

#[test]
fn half_precision_becomes_single() {
    let values = [1.5f32, -0.25];
    for dtype in ["F16", "BF16"] {
        let bytes = broken(|parts| {
            let tensor = parts.tensor("bn1.bias");
            tensor.1 = json!(dtype);
            tensor.3 = values
                .iter()
                .flat_map(|&v| match dtype {
                    "F16" => half::f16::from_f32(v).to_le_bytes(),
                    _ => half::bf16::from_f32(v).to_le_bytes(),
                })
                .collect();
        });
        let (_, tensors) = open_bytes(&bytes).unwrap();
        assert_eq!(tensors["bn1.bias"].to_vec1::<f32>().unwrap(), values);
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let good = Parts::of(&small(), true).file();
    assert!(open_bytes(&good).is_ok());
    for len in 0..good.len() {
        assert!(open_bytes(&good[..len]).is_err(), "cut to {len} bytes");
    }
}

#[test]
fn a_flipped_bit_is_refused_or_gives_a_model_that_runs() {
    let good = Parts::of(&small(), true).file();
    let header = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let image = candle_core::Tensor::zeros(
        (1, 1, 4, 4),
        candle_core::DType::F32,
        &candle_core::Device::Cpu,
    )
    .unwrap();
    let mut refused = [0; 2];
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match open_bytes(&bytes) {
            Err(error) => {
                assert!(error.to_string().ends_with(PATH), "{error}");
                refused[usize::from(bit / 8 >= header)] += 1;
            }
            // A flipped digit can lead to another network that the file fits as well.
            Ok((Architecture::Cnn(config), tensors)) => {
                if (config.input_channels, config.size) == (1, 4) {
                    let architecture = Architecture::Cnn(config);
                    architecture.forward(&tensors, &image, 32).unwrap();
                }
            }
            Ok((architecture, _)) => panic!("{architecture:?}"),
        }
    }
    let [in_header, in_data] = refused;
    assert!(in_header > header * 8 / 2, "{in_header} of {}", header * 8);
    assert!(in_data > 0);
}
