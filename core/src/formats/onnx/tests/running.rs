//! Files run here beside what onnxruntime made of them (`scripts/onnx_outputs.py`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{DType, Tensor};

use super::folder;
use crate::formats::onnx::message::Message;
use crate::formats::onnx::opened::beside;
use crate::formats::onnx::plain::{Plain, plain, single, typed};
use crate::formats::onnx::tensor::DataType;
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
    // What is not run, and what is said of it.
    let not_run = [
        ("line_and_volume", "operator \"y (Conv)\""),
        ("recurrent", "y3 (RNN)"),
        ("rounded_inside", "(QLinearConv)"),
        ("rounds", "(Scan)"),
    ];
    let mut failed = Vec::new();
    for (name, arrays) in &files {
        let expected = not_run.iter().find(|(own, _)| own == name);
        let path = folder().join(format!("{name}.onnx"));
        for optimised in [true, false] {
            match difference(&path, arrays, optimised) {
                Ok(worst) if worst <= TOLERANCE && expected.is_none() => {}
                Err(fact) if expected.is_some_and(|(_, words)| fact.contains(words)) => {}
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

/// A recorded value of ONNX's own tests; `None` where it is no tensor of numbers that are run.
fn value(path: &Path, name: &str) -> Option<Array> {
    let file = std::fs::read(path).ok()?;
    let tensor = Message::read(&file, 0..file.len()).ok()?;
    let data_type = DataType(tensor.int(2)?);
    let dims = tensor.ints(1, &file).ok()?;
    let bytes = match tensor.last(9) {
        Some(raw) => raw.bytes(&file).to_vec(),
        None => typed(&tensor, data_type, &file).ok()?,
    };
    let words = |bytes: &[u8]| -> Vec<i32> {
        let (words, _) = bytes.as_chunks::<4>();
        words.iter().map(|n| i32::from_le_bytes(*n)).collect()
    };
    let floats = |bytes: &[u8]| {
        let (words, _) = bytes.as_chunks::<4>();
        Numbers::Float(words.iter().map(|n| f32::from_le_bytes(*n)).collect())
    };
    let numbers = match data_type.0 {
        1 => floats(&bytes),
        10 | 11 => floats(&single(&bytes, data_type)),
        2 => Numbers::Byte(bytes),
        3 => Numbers::Signed(bytes.iter().map(|n| n.cast_signed()).collect()),
        9 => Numbers::Int(bytes.iter().map(|n| i32::from(*n)).collect()),
        6 => Numbers::Int(words(&bytes)),
        7 => {
            let (longs, _) = bytes.as_chunks::<8>();
            let longs = longs.iter().map(|n| i64::from_le_bytes(*n));
            let held = |n: i64| n.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
            Numbers::Int(longs.map(held).collect())
        }
        _ => return None,
    };
    let shape: Vec<usize> = dims.iter().map(|dim| *dim as usize).collect();
    let elements = shape.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
    (elements == Some(numbers.len())).then_some(Array {
        name: name.to_owned(),
        shape,
        numbers,
    })
}

/// What became of one of ONNX's own tests.
fn tested(case: &Path) -> Option<Result<bool, String>> {
    let file = std::fs::read(case.join("model.onnx")).ok()?;
    let set = case.join("test_data_set_0");
    let model = Message::read(&file, 0..file.len()).ok()?;
    let graph = model.last(7)?.message(&file).ok()?;
    let names = |number| -> Vec<String> {
        let all = graph.all(number);
        all.map(|item| item.message(&file).unwrap().text(1, &file))
            .collect()
    };
    let (inputs, outputs) = (names(11), names(12));
    let read = |kind: &str, names: &[String]| -> Option<Vec<Array>> {
        let numbered = names.iter().enumerate();
        numbered
            .map(|(at, name)| value(&set.join(format!("{kind}_{at}.pb")), name))
            .collect()
    };
    let (Some(given), Some(expected)) = (read("input", &inputs), read("output", &outputs)) else {
        return Some(Err("its values are no tensors of numbers".to_owned()));
    };
    let run = || -> Result<Vec<Array>, String> {
        let plain = plain(&file, &|_, _, _| Err("no weights beside".to_owned()))?;
        let mut runner = runner::start(Limits {
            memory: 1 << 32,
            time: Duration::from_secs(60),
        })
        .unwrap();
        let loaded = runner.load(&network(&plain, true));
        loaded.map_err(|error| error.to_string())?;
        let results = runner.run(&given, &outputs);
        results.map_err(|error| error.to_string())
    };
    Some(run().map(|found| {
        found.iter().zip(&expected).all(|(found, expected)| {
            let (one, other) = (found.numbers.floats(), expected.numbers.floats());
            found.shape == expected.shape
                && one.iter().zip(&other).all(|(a, b)| {
                    (a - b).abs() <= 1e-3 + 1e-3 * b.abs() || a == b || a.is_nan() && b.is_nan()
                })
        })
    }))
}

/// ONNX's own tests of operators, run: how many give what they should, give something else, or nothing, by operator.
///
/// `WATTIF_ONNX_OPERATORS=…/libonnx-testdata/data cargo test -p wattif-core --lib -- --ignored operators_run --nocapture`
#[test]
#[ignore = "needs the files of Debian's libonnx-testdata 1.12"]
fn operators_run_as_their_own_tests_record() {
    let data = Path::new(&std::env::var_os("WATTIF_ONNX_OPERATORS").unwrap()).join("node");
    let mut cases: Vec<_> = std::fs::read_dir(data)
        .unwrap()
        .map(|case| case.unwrap().path())
        .collect();
    cases.sort();
    let mut counts = [0; 3];
    let (mut wrong, mut failed) = (Vec::new(), BTreeMap::<String, usize>::new());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        match tested(&case) {
            None => {}
            Some(Ok(true)) => counts[0] += 1,
            Some(Ok(false)) => {
                counts[1] += 1;
                wrong.push(name);
            }
            Some(Err(fact)) => {
                counts[2] += 1;
                let short: String = fact.chars().take(110).collect();
                *failed.entry(short).or_default() += 1;
            }
        }
    }
    println!(
        "as recorded {}, otherwise {}, not run {}",
        counts[0], counts[1], counts[2]
    );
    println!("otherwise: {}", wrong.join(", "));
    for (fact, count) in failed {
        println!("{count:4} {fact}");
    }
    assert!(counts[0] > 450 && counts[1] < 30, "{counts:?}");
}
