//! Files of other programs, as far as they are recognised by.

use super::super::{gguf, is_model, onnx, open};
use super::{message, open_bytes};

/// A zip archive as far as the name of its first file.
fn archive(name: &str) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend([0; 22]);
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(name.as_bytes());
    bytes
}

#[test]
fn a_model_of_another_program_is_named_with_what_can_be_done() {
    for (bytes, facts) in [
        (
            gguf::tests::sample(),
            [
                "this is a GGUF file of a 'llama' network with 525 million parameters, whose weights cannot be run here; take ",
                "wattif report --model ",
            ],
        ),
        (
            b"GGUF\x03\0\0\0\x10\0\0\0\0\0\0\0".to_vec(),
            [
                "this is a GGUF file, whose weights cannot be run here; take ",
                "wattif models",
            ],
        ),
        (
            onnx::tests::sample("dense"),
            [
                "this is an ONNX file with 365 parameters, which is known by its shapes and not run here; ",
                "see what it costs (wattif report --model ",
            ],
        ),
        (
            b"\x08\x08\x12\x07pytorch\x1a\x052.4.0:".to_vec(),
            [
                "this is an ONNX file whose work cannot be counted (the file ends inside a field (byte 19)); take ",
                "wattif models",
            ],
        ),
        (
            archive("archive/data.pkl"),
            [
                "this is a PyTorch file that is not opened: this zip archive is cut short: ",
                "config.json",
            ],
        ),
        (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8".to_vec(),
            [
                "this is a Python pickle, as old PyTorch files are, that is not opened: the pickle is cut short",
                "; take ",
            ],
        ),
        (
            b"\x80\x04\x95\x10\0\0\0".to_vec(),
            [
                "this is a Python pickle, as old PyTorch files are, that is not opened: the pickle is cut short",
                "; take ",
            ],
        ),
        (
            b"\x1c\0\0\0TFL3\x14\0 \0".to_vec(),
            [
                "this is a TensorFlow Lite file, which is not read here; write it as ONNX (tf2onnx), or take ",
                "wattif models",
            ],
        ),
        (
            b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08".to_vec(),
            [
                "this is an HDF5 file, as Keras writes (.h5); write it as ONNX (tf2onnx), or save its tensors",
                "or take ",
            ],
        ),
        (
            archive("metadata.json"),
            [
                "this is a Keras archive (.keras); write it as ONNX (tf2onnx), or save its tensors",
                "or take ",
            ],
        ),
        (
            archive("weight.npy"),
            [
                "this is a file of NumPy arrays that is not opened: this zip archive is cut short",
                "; take ",
            ],
        ),
        (
            b"\x93NUMPY\x01\0v\0{'descr': '<f4'".to_vec(),
            [
                "this is a file of NumPy arrays that is not opened: the description of the array is damaged",
                "; take ",
            ],
        ),
        (
            // A version, a graph, what is known of it, the operators that it needs.
            b"\x08\x01\x12\xc0\x02\x0a\x80\x01\x12\x0a\x0a\x08\x0a\x03Add".to_vec(),
            [
                "this is a SavedModel of TensorFlow, which is not read here; write it as ONNX",
                "or take ",
            ],
        ),
        (
            // A version, a description, an input, its name.
            b"\x08\x04\x12\xc0\x02\x0a\x18\x0a\x05image".to_vec(),
            [
                "this is a Core ML model, which is not read here; take ",
                "wattif models",
            ],
        ),
        (
            b"<?xml version=\"1.0\"?>\n<net name=\"resnet\" version=\"11\">".to_vec(),
            [
                "this is a network of OpenVINO, which is not read here; take ",
                "wattif models",
            ],
        ),
        (
            b"tjgg\x01\0\0\0\0".to_vec(),
            [
                "this is a file of llama.cpp from before GGUF",
                "wattif models",
            ],
        ),
        (
            b"<!DOCTYPE html><html>".to_vec(),
            ["this is a web page, not a model", "led somewhere else"],
        ),
        (
            b"Salted__\x01\x02\x03\x04".to_vec(),
            ["this file is encrypted", "decrypt it first"],
        ),
        (
            [&b"PK\x03\x04\x14\0\x01\0"[..], &archive("data.pkl")[8..]].concat(),
            ["this is an encrypted zip archive", "password"],
        ),
    ] {
        let message = message(open_bytes(&bytes));
        assert!(message.starts_with(facts[0]), "{message}");
        assert!(message.contains(facts[1]), "{message}");
    }
}

#[test]
fn what_a_file_is_follows_from_its_bytes_and_what_can_be_done_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet50.safetensors");
    std::fs::write(&path, archive("resnet50/data.pkl")).unwrap();
    assert!(is_model(&path));
    let fact = open(&path).unwrap_err().to_string();
    assert!(fact.starts_with("this is a PyTorch file"), "{fact}");
    assert!(
        fact.contains("(wattif report --model catalogue:resnet-50)"),
        "{fact}"
    );
    let config = folder.path().join("config.json");
    std::fs::write(&config, "{}").unwrap();
    let fact = open(&path).unwrap_err().to_string();
    let offer = format!(
        "take the shapes from the config.json beside it (wattif report --model {})",
        config.display()
    );
    assert!(fact.contains(&offer), "{fact}");
    assert!(!is_model(&config));
    assert!(!is_model(folder.path()));
}
