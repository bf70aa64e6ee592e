//! Weights in files of PyTorch, as models were published before safetensors.

use super::*;

const FOLDER: &str = "falcon-rw";

/// The configuration and tokenizer of the language model with other files of weights.
fn with(weights: &[&str]) -> tempfile::TempDir {
    let folder = copy(FOLDER);
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/arrays")
        .join(FOLDER);
    for name in weights {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

const PARTS: [&str; 3] = [
    "pytorch_model.bin.index.json",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
];

#[test]
fn a_folder_with_weights_of_pytorch_is_the_model_with_safetensors() {
    let original = copy(FOLDER);
    let original = super::super::super::open(original.path()).unwrap();
    for weights in [&["pytorch_model.bin"][..], &PARTS[..]] {
        let folder = with(weights);
        let doors = [folder.path().to_owned(), folder.path().join(weights[0])];
        for door in doors
            .iter()
            .chain(&[folder.path().join(weights[weights.len() - 1])])
        {
            assert!(!ModelReference::File(door.clone()).is_outline(), "{door:?}");
            let model = super::super::super::open(door).unwrap();
            assert_eq!(model.architecture, original.architecture);
            let (own, other) = (model.source.unwrap(), original.source.clone().unwrap());
            assert_eq!(own.tensors().len(), other.tensors().len());
            for (at, info) in other.tensors().iter().enumerate() {
                let found = own.find(&info.name).unwrap();
                assert_eq!(own.tensors()[found].shape, info.shape);
                let mut values = [vec![0.0; info.elements()], vec![0.0; info.elements()]];
                other.decode(at, 0..info.rows(), &mut values[0]).unwrap();
                own.decode(found, 0..info.rows(), &mut values[1]).unwrap();
                assert_eq!(values[0], values[1], "{}", info.name);
            }
        }
    }
}

#[test]
fn a_part_that_is_missing_is_named() {
    let folder = with(&PARTS[..2]);
    let error = super::super::super::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains(PARTS[2]), "{error}");
}
