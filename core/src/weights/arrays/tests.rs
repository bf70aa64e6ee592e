//! Files that PyTorch and NumPy wrote, with the values that they have there (`scripts/tiny_arrays.py`).

mod hostile;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::formats::{self, arrays as found};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/arrays")
        .join(name)
}

fn opened(name: &str) -> Arrays {
    found::open(&fixture(name))
        .unwrap_or_else(|| panic!("{name} is not known"))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    values: Vec<f64>,
}

fn check(name: &str, count: usize) {
    let text = std::fs::read(fixture("views.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_slice(&text).unwrap();
    let arrays = opened(name);
    assert_eq!(arrays.tensors().len(), count, "{name}");
    for (at, info) in arrays.tensors().iter().enumerate() {
        let tensor = match info.name.as_str() {
            "one" => "fortran",
            own => own,
        };
        let expected = &expected[tensor];
        assert_eq!(info.shape, expected.shape, "{name}: {tensor}");
        if info.format.undecodable().is_some()
            && !matches!(info.format, StoredFormat::Packed { .. })
        {
            let error = arrays.decode(at, 0..info.rows(), &mut vec![0.0; info.elements()]);
            assert!(error.unwrap_err().to_string().contains(tensor));
            continue;
        }
        let mut values = vec![0.0; info.elements()];
        arrays.decode(at, 0..info.rows(), &mut values).unwrap();
        let wanted: Vec<f32> = expected.values.iter().map(|value| *value as f32).collect();
        for (value, wanted) in values.iter().zip(&wanted) {
            assert!(
                (value - wanted).abs() <= 1e-6,
                "{name}: {tensor}: {values:?}"
            );
        }
        // By rows it is the same.
        let length = info.row_length();
        for row in 0..info.rows() {
            let mut one = vec![0.0; length];
            arrays.decode(at, row..row + 1, &mut one).unwrap();
            assert_eq!(one, values[row * length..][..length], "{name}: {tensor}");
        }
    }
}

#[test]
fn every_view_has_the_values_that_it_has_in_python() {
    check("views.pt", 10);
    check("views-old.pt", 10);
    check("numbers.npz", 5);
    check("one.npy", 1);
    check("tfjs", 4);
}

#[test]
fn a_storage_of_two_names_is_counted_once() {
    let arrays = opened("views.pt");
    let all: u64 = arrays.tensors().iter().map(|info| info.bytes).sum();
    // Of 4 by 3 numbers, and three views of other lengths of another storage.
    assert_eq!(arrays.stored_bytes() + 48, all);
}

#[test]
fn the_same_network_is_the_same_in_every_file() {
    let original = formats::open(&fixture("lstm.safetensors")).unwrap();
    for name in [
        "lstm.pt",
        "lstm-old.pt",
        "lstm-protocol-4.pt",
        "lstm-old-protocol-3.pt",
        "lstm-wrapped.pt",
        "lstm-bf16.pt",
        "lstm-double.pt",
        "lstm-parameters.pt",
        "lstm-checkpoint.pt",
        "lstm-checkpoint-old.pt",
        "lstm-script.pt",
        "lstm.npz",
        "lstm-deflated.npz",
        "lstm-fortran.npz",
    ] {
        let model = formats::open(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(model.architecture, original.architecture, "{name}");
        assert_eq!(model.tensors.len(), original.tensors.len(), "{name}");
        for (tensor, values) in &original.tensors {
            let own = &model.tensors[tensor];
            assert_eq!(own.dims(), values.dims(), "{name}: {tensor}");
            let flat = |tensor: &candle_core::Tensor| {
                tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            assert_eq!(flat(own), flat(values), "{name}: {tensor}");
        }
        // From its bytes it is the same.
        let bytes = std::fs::read(fixture(name)).unwrap();
        let read = formats::read_bytes(&bytes, &fixture(name)).unwrap();
        assert_eq!(read.hash, model.hash, "{name}");
    }
}

#[test]
fn what_a_checkpoint_holds_beside_weights_is_said() {
    let notes = &opened("lstm-checkpoint.pt").notes;
    assert_eq!(notes.len(), 2);
    assert!(notes[0].contains("optimiser"), "{notes:?}");
    assert_eq!(
        notes[1],
        "1 tensor without a matrix beside the network is left out"
    );
    assert_eq!(&formats::left_out(&fixture("lstm-checkpoint.pt")), notes);
    assert!(formats::left_out(&fixture("lstm.pt")).is_empty());
}

#[test]
fn pickles_that_make_objects_are_refused_by_their_class_and_nothing_is_run() {
    let marker = Path::new("/tmp/executed");
    let before = marker.exists();
    for (name, fact) in [
        (
            "refused-module.pt",
            "'torch.nn.modules.container.Sequential'",
        ),
        (
            "refused-module-old.pt",
            "'torch.nn.modules.container.Sequential'",
        ),
        ("refused-shell.pt", "'posix.system'"),
        ("refused-shell.pkl", "'posix.system'"),
        ("refused-bare.pkl", "holds no tensors"),
        ("refused-quantised.pt", "'torch._utils._rebuild_qtensor'"),
        ("refused-sparse.pt", "'torch._utils._rebuild_sparse_tensor'"),
        ("refused-repeats.pt", "repeats the elements"),
        ("refused-two.pt", "2 sets of weights ('a', 'b')"),
        (
            "refused-optimiser.pt",
            "state of an optimiser and no weights",
        ),
    ] {
        let error = formats::open(&fixture(name)).unwrap_err().to_string();
        assert!(error.contains(fact), "{name}: {error}");
    }
    assert_eq!(marker.exists(), before);
}

/// Every tensor of published files as Python reads it: `scripts/fetch_models.sh FOLDER`, then
/// `WATTIF_ARRAYS=FOLDER/arrays cargo test -p wattif-core --lib -- --ignored published_arrays`.
#[test]
#[ignore = "needs files out of packages, which core/tests/fixtures/arrays/README.md names"]
fn published_arrays_are_what_python_reads() {
    let folder = PathBuf::from(std::env::var_os("WATTIF_ARRAYS").unwrap());
    let text = std::fs::read_to_string(fixture("real.csv")).unwrap();
    let mut files: BTreeMap<String, (Arrays, usize)> = BTreeMap::new();
    for row in csv::Reader::from_reader(text.as_bytes()).records() {
        let row = row.unwrap();
        let (arrays, seen) = files.entry(row[0].to_owned()).or_insert_with(|| {
            let arrays = found::open(&folder.join(&row[0])).unwrap().unwrap();
            (arrays, 0)
        });
        *seen += 1;
        let at = arrays.find(&row[1]).unwrap_or_else(|| panic!("{row:?}"));
        let info = &arrays.tensors()[at];
        let shape: Vec<String> = info.shape.iter().map(usize::to_string).collect();
        assert_eq!(shape.join("x"), row[2], "{row:?}");
        if !info.format.can_be_decoded() {
            continue;
        }
        let mut values = vec![0.0; info.elements()];
        arrays.decode(at, 0..info.rows(), &mut values).unwrap();
        let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
        let expected: f64 = row[4].parse().unwrap();
        assert!(
            (squares - expected).abs() <= 1e-6 * expected + 1e-9,
            "{row:?} {squares}"
        );
    }
    for (name, (arrays, seen)) in &files {
        println!("{name}: {seen} tensors");
        assert_eq!(arrays.tensors().len(), *seen, "{name}");
    }
    assert_eq!(files.len(), 5);
}
