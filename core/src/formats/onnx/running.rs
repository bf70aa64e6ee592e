//! Files run here beside what onnxruntime made of them (`scripts/onnx_outputs.py`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{DType, Tensor};

use super::opened::beside;
use super::plain::{Plain, plain};
use super::tests::folder;
use crate::runner::{self, Array, Limits, Network, Numbers};

/// The largest difference to onnxruntime, of the largest number of an output: single precision, sums in another order.
const TOLERANCE: f32 = 1e-4;

/// Arrays by name of file, kind and name.
fn recorded(path: &Path) -> BTreeMap<String, Vec<(String, String, Tensor)>> {
    let mut files: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (name, tensor) in Tensor::read_npz(path).unwrap() {
        let mut parts = name.splitn(3, '/').map(str::to_owned);
        let [file, kind, value] = std::array::from_fn(|_| parts.next().unwrap());
        files.entry(file).or_default().push((kind, value, tensor));
    }
    files
}

fn network(plain: &Plain, optimised: bool) -> Network {
    Network {
        graph: plain.graph.clone().into(),
        buffers: plain
            .tensors
            .iter()
            .map(|tensor| Arc::from(tensor.bytes.as_slice()))
            .collect(),
        optimised,
    }
}

fn array(name: &str, tensor: &Tensor) -> Array {
    let flat = tensor.flatten_all().unwrap();
    let numbers = match tensor.dtype() {
        DType::F32 => Numbers::Float(flat.to_vec1().unwrap()),
        _ => {
            let whole = flat.to_dtype(DType::I64).unwrap().to_vec1::<i64>().unwrap();
            Numbers::Int(whole.iter().map(|n| i32::try_from(*n).unwrap()).collect())
        }
    };
    Array {
        name: name.to_owned(),
        shape: tensor.dims().to_vec(),
        numbers,
    }
}

/// The largest difference of an output to the recorded one, over the largest number of that; or why there is none.
fn difference(
    path: &Path,
    arrays: &[(String, String, Tensor)],
    optimised: bool,
) -> Result<f32, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let plain = plain(&bytes, &|location, offset, len| {
        beside(path, location, offset, len)
    })?;
    let mut runner = runner::start(Limits {
        memory: 1 << 32,
        time: Duration::from_secs(600),
    })
    .unwrap();
    let of = |wanted: &'static str| arrays.iter().filter(move |(kind, ..)| kind == wanted);
    let inputs: Vec<Array> = of("in").map(|(_, name, own)| array(name, own)).collect();
    let names: Vec<String> = of("out").map(|(_, name, _)| name.clone()).collect();
    runner
        .load(&network(&plain, optimised))
        .map_err(|error| error.to_string())?;
    let outputs = runner
        .run(&inputs, &names)
        .map_err(|error| error.to_string())?;
    let mut worst = 0.0_f32;
    for ((_, name, expected), found) in of("out").zip(outputs) {
        let expected = array(name, expected);
        if expected.shape != found.shape {
            return Err(format!("{:?} for {:?}", found.shape, expected.shape));
        }
        let (expected, found) = (expected.numbers.floats(), found.numbers.floats());
        let largest = expected.iter().fold(1e-6_f32, |all, n| all.max(n.abs()));
        for (one, other) in expected.iter().zip(&found) {
            worst = worst.max((one - other).abs() / largest);
        }
    }
    Ok(worst)
}

#[test]
fn tiny_files_give_what_they_give_elsewhere() {
    let files = recorded(&folder().join("outputs.npz"));
    assert!(files.len() > 15);
    let mut failed = Vec::new();
    for (name, arrays) in &files {
        let path = folder().join(format!("{name}.onnx"));
        for optimised in [true, false] {
            match difference(&path, arrays, optimised) {
                Ok(worst) if worst <= TOLERANCE => {}
                Ok(worst) => failed.push(format!("{name}: {worst}")),
                Err(fact) => failed.push(format!("{name}: {fact}")),
            }
        }
    }
    assert_eq!(failed, Vec::<String>::new());
}

/// `WATTIF_ONNX=FOLDER WATTIF_ONNX_OUTPUTS=outputs.npz cargo test -p wattif-core --lib -- --ignored real_files_give`
#[test]
#[ignore = "needs files out of packages, which core/tests/fixtures/onnx/README.md names"]
fn real_files_give_what_they_give_elsewhere() {
    let variable = |name| std::path::PathBuf::from(std::env::var_os(name).unwrap());
    let files = recorded(&variable("WATTIF_ONNX_OUTPUTS"));
    let mut wrong = Vec::new();
    for (name, arrays) in &files {
        let path = variable("WATTIF_ONNX").join(format!("{name}.onnx"));
        let found = difference(&path, arrays, true);
        println!("{name}: {found:?}");
        if !found.is_ok_and(|worst| worst < 1e-2) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
