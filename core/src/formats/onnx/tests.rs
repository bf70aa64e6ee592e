//! Tiny files of every group of operators (`scripts/tiny_onnx.py`), and files that lie.

mod running;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::formats::{onnx_outline, read_onnx};
use crate::graph::Graph;
use crate::outline::Outline;
use crate::profile::LayerKind;

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

/// The bytes of a tiny file.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    fs::read(folder().join(format!("{name}.onnx"))).unwrap()
}

fn macs(graph: &Graph) -> f64 {
    let layers = graph.layers();
    let products = layers
        .iter()
        .filter(|layer| layer.kind != LayerKind::Elementwise);
    products.map(|layer| layer.macs).sum()
}

/// A row of counts.csv: what onnxruntime's shapes come to, or what was counted by hand.
struct Row {
    name: String,
    parameters: Option<u64>,
    macs: Option<f64>,
    bytes: Option<u64>,
    unknown: String,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(folder().join("counts.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let rows = rows.records().map(|row| {
        let row = row.unwrap();
        Row {
            name: row[0].to_owned(),
            parameters: row[1].parse().ok(),
            macs: row[2].parse().ok(),
            bytes: row[3].parse().ok(),
            unknown: row[5].to_owned(),
        }
    });
    rows.collect()
}

#[test]
fn every_group_of_operators_is_counted_as_it_runs() {
    let rows = rows();
    assert!(rows.len() >= 18);
    for row in rows {
        let name = &row.name;
        let read = read_onnx(&sample(name), Path::new("folder/file.onnx"));
        let Some(parameters) = row.parameters else {
            let fact = read.unwrap_err().to_string();
            assert!(fact.contains(&row.unknown), "{name}: {fact}");
            continue;
        };
        let network = read.unwrap();
        let graph = network.graph();
        assert_eq!(graph.parameters(), parameters, "{name}");
        assert_eq!(macs(&graph), row.macs.unwrap(), "{name}");
        let said = network.notes.join("\n");
        assert_eq!(
            said.contains("a lower bound"),
            !row.unknown.is_empty(),
            "{name}: {said}"
        );
        assert!(said.contains(&row.unknown), "{name}: {said}");
        let outline = Outline::of("file.onnx".parse().unwrap(), network);
        assert_eq!(outline.parameters(), parameters, "{name}");
        let bytes = outline.summary(1).unwrap().weight_bytes;
        if let Some(expected) = row.bytes {
            // Scales of rows and groups, with their zero points, are not among the weights' own bytes.
            let scales = if name.contains("rounded") || name == "four_bits" {
                220
            } else {
                0
            };
            assert!(
                (expected..=expected + scales).contains(&bytes),
                "{name}: {bytes} for {expected}"
            );
        }
    }
}

/// Rows of real.csv with the folder that their files lie in: what onnxruntime's shapes come to.
///
/// `WATTIF_ONNX=FOLDER cargo test -p wattif-core --lib -- --ignored real_files`
#[test]
#[ignore = "needs files out of packages, which core/tests/fixtures/onnx/README.md names"]
fn real_files_are_counted_as_they_run() {
    let files = PathBuf::from(std::env::var_os("WATTIF_ONNX").unwrap());
    let text = fs::read_to_string(folder().join("real.csv")).unwrap();
    for row in csv::Reader::from_reader(text.as_bytes()).records() {
        let row = row.unwrap();
        let file = fs::File::open(files.join(&row[0])).unwrap();
        let len = file.metadata().unwrap().len();
        let axes: Vec<(String, u64)> = row[1]
            .split(' ')
            .filter_map(|axis| axis.rsplit_once('='))
            .map(|(name, size)| (name.to_owned(), size.parse().unwrap()))
            .collect();
        let counted = read(file, len, &axes).unwrap();
        let network = network(&counted, "real".to_owned(), "real").unwrap();
        assert_eq!(
            network.graph().parameters(),
            row[2].parse::<u64>().unwrap(),
            "{row:?}"
        );
        assert_eq!(
            macs(&network.graph()),
            row[3].parse::<f64>().unwrap(),
            "{row:?}"
        );
        let outline = Outline::of("real.onnx".parse().unwrap(), network);
        let summary = outline.summary(1).unwrap();
        println!(
            "{}: {} bytes of {len}, {:?}",
            &row[0], summary.weight_bytes, summary.understood
        );
        let scales = summary.weight_bytes as f64 / row[4].parse::<f64>().unwrap();
        assert!((1.0..1.02).contains(&scales), "{row:?}: {summary:?}");
    }
}

/// ONNX's own tests of operators: each a graph of one node or few, with what goes in and comes out.
///
/// `WATTIF_ONNX_OPERATORS=…/libonnx-testdata/data cargo test -p wattif-core --lib -- --ignored operators_give`
#[test]
#[ignore = "needs the files of Debian's libonnx-testdata 1.12"]
fn operators_give_the_shapes_that_their_own_tests_record() {
    let read = |path: PathBuf| {
        let bytes = fs::read(path).ok()?;
        let mut wire = wire::Wire::new(std::io::Cursor::new(&bytes)).ok()?;
        tensor::tensor(&mut wire, wire::Field::Bytes(bytes.len() as u64)).ok()
    };
    let data = PathBuf::from(std::env::var_os("WATTIF_ONNX_OPERATORS").unwrap());
    let groups = fs::read_dir(data)
        .unwrap()
        .map(|group| group.unwrap().path());
    let cases = groups.flat_map(|group| fs::read_dir(group).unwrap());
    let (mut same, mut unknown) = (0, 0);
    for case in cases.map(|case| case.unwrap().path()) {
        let Ok(bytes) = fs::read(case.join("model.onnx")) else {
            continue;
        };
        let file = file::read(std::io::Cursor::new(&bytes), bytes.len() as u64).unwrap();
        let graph = file.graph.as_ref().unwrap();
        let set = case.join("test_data_set_0");
        let mut inputs = axes::inputs(graph, &[]).unwrap().values;
        let is_stored = |name: &str| graph.tensors.iter().any(|tensor| tensor.name == name);
        let mut at = 0;
        for (value, info) in inputs.iter_mut().zip(&graph.inputs) {
            if is_stored(&info.name) {
                continue;
            }
            let found = read(set.join(format!("input_{at}.pb"))).filter(|_| info.is_tensor);
            // Sizes, axes and the like.
            let small = |tensor: &tensor::Tensor| {
                !tensor.data_type.is_float() || at > 0 && tensor.elements() <= 6
            };
            if let Some(tensor) = found {
                value.values = tensor
                    .values
                    .clone()
                    .filter(|_| small(&tensor))
                    .map(Into::into);
                value.shape = Some(tensor.shape);
            }
            at += 1;
        }
        let outputs = Evaluation::new(&file).graph(graph, inputs).unwrap();
        for (at, (value, info)) in outputs.iter().zip(&graph.outputs).enumerate() {
            let recorded = read(set.join(format!("output_{at}.pb"))).filter(|_| info.is_tensor);
            let computed = value.as_ref().and_then(|value| value.shape.as_ref());
            match (computed, recorded) {
                (Some(computed), Some(recorded)) => {
                    assert_eq!(*computed, recorded.shape, "{} {at}", case.display());
                    same += 1;
                }
                _ => unknown += 1,
            }
        }
    }
    println!("{same} results as recorded, {unknown} not known");
    assert!(same > 900 && unknown < same / 3, "{same} {unknown}");
}

#[test]
fn a_file_costs_something_or_is_refused_on_every_device() {
    let grid = crate::carbon::find_grid("WORLD").unwrap();
    for name in [
        "image",
        "attention",
        "recurrent",
        "rounded_inside",
        "four_bits",
        "branches",
        "rounds",
    ] {
        let network = read_onnx(&sample(name), Path::new("file.onnx")).unwrap();
        let outline = Outline::of("file.onnx".parse().unwrap(), network);
        let mut small = crate::recipe::Recipe::default();
        small.quantization.weight_bits = 4;
        small.distillation.ratio = 0.5;
        for recipe in [crate::recipe::Recipe::default(), small] {
            let profile = outline.predict(&recipe).unwrap();
            let scenario = outline.scenario().unwrap();
            let mut costed = 0;
            for target in crate::hardware::catalogue().unwrap() {
                let Ok(cost) = crate::footprint::footprint(&profile, &scenario, target, grid)
                else {
                    continue;
                };
                costed += 1;
                let energy = cost.energy_per_unit.range.map(|energy| energy.0);
                let all = [
                    energy.low,
                    energy.typical,
                    energy.high,
                    cost.latency.range.typical.0,
                ];
                assert!(
                    all.iter().all(|n| n.is_finite() && *n > 0.0),
                    "{name}, {}: {all:?}",
                    target.id
                );
            }
            assert!(costed > 20, "{name}: {costed}");
        }
    }
}

#[test]
fn formats_are_those_of_the_file() {
    let bits = |name: &str| {
        let network = read_onnx(&sample(name), Path::new("file.onnx")).unwrap();
        let bits = Outline::of("file.onnx".parse().unwrap(), network).published_bits();
        (bits.weights, bits.activations)
    };
    assert_eq!(bits("dense"), (32, 32));
    assert_eq!(bits("half"), (16, 16));
    assert_eq!(bits("rounded_around"), (8, 8));
    assert_eq!(bits("rounded_inside"), (8, 8));
    assert_eq!(bits("four_bits"), (4, 32));
}

#[test]
fn open_sizes_are_assumed_and_said_or_given() {
    let bytes = sample("attention");
    let read = |given: &[(String, u64)]| {
        let counted = read(std::io::Cursor::new(&bytes), bytes.len() as u64, given).unwrap();
        let work: f64 = counted.works.iter().map(|work| work.macs).sum();
        (work, counted.notes.join("\n"))
    };
    let (assumed, said) = read(&[]);
    assert!(
        said.contains("assumed: batch = 1, sequence = 384"),
        "{said}"
    );
    let (given, said) = read(&[("sequence".to_owned(), 10)]);
    assert!(said.contains("as given: sequence = 10"), "{said}");
    // Projections of every place, the products of places with each other, normalisation, and the last layer's three rows.
    let expected = |l: f64| 3.0 * 256.0 * l + 2.0 * 16.0 * l * l + 2.0 * 16.0 * l + 3.0 * 56.0;
    assert_eq!((assumed, given), (expected(384.0), expected(10.0)));
}

#[test]
fn weights_beside_the_file_are_looked_for_inside_its_folder() {
    let open = |data: Option<usize>| {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("beside.onnx");
        fs::copy(folder().join("beside.onnx"), &file).unwrap();
        if let Some(bytes) = data {
            fs::write(place.path().join("beside.data"), vec![0; bytes]).unwrap();
        }
        onnx_outline(&file, &[])
    };
    assert!(
        open(Some(1460))
            .unwrap()
            .notes
            .iter()
            .all(|note| !note.contains("beside.data"))
    );
    assert!(
        open(None)
            .unwrap()
            .notes
            .iter()
            .any(|note| note.contains("is not there"))
    );
    let short = open(Some(1459)).unwrap_err().to_string();
    assert!(
        short.contains("has 1459 bytes, and its tensors end at 1460"),
        "{short}"
    );
    let bytes = sample("beside");
    let at = bytes
        .windows(11)
        .position(|own| own == b"beside.data")
        .unwrap();
    for elsewhere in [
        &b"../side.dat"[..],
        b"/etc/passwd",
        b"a/../../b/c",
        b"C:\\side.dat",
    ] {
        let mut bytes = bytes.clone();
        bytes[at..at + 11].copy_from_slice(elsewhere);
        let fact = read_onnx(&bytes, Path::new("file.onnx"))
            .unwrap_err()
            .to_string();
        assert!(fact.contains("outside of its folder"), "{fact}");
    }
}

fn field(number: u8, inner: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut len = inner.len();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(inner);
    bytes
}

/// What is said of a file with a graph of these bytes.
fn refusal(graph: &[u8]) -> String {
    let bytes = [b"\x08\x08".to_vec(), field(7, graph)].concat();
    let error = read_onnx(&bytes, Path::new("file.onnx")).unwrap_err();
    error.to_string()
}

#[test]
fn what_a_tensor_claims_must_be_there() {
    let tensor = |bytes: &[u8]| refusal(&field(5, &[bytes, &field(8, b"w")].concat()));
    for (bytes, fact) in [
        // Dimensions whose product overflows, and one below zero.
        (
            &b"\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x08\x7f\x10\x01"[..],
            "tensor 'w' has too many elements",
        ),
        (
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01",
            "tensor 'w' has a dimension of -1",
        ),
        (
            b"\x08\x03\x10\x01\x4a\x05abcde",
            "tensor 'w' of 3 numbers of 32 bits has 5 bytes",
        ),
        (b"\x08\x03\x10\x01", "tensor 'w' of 3 numbers has 0"),
        (
            b"\x08\x03\x10\x01\x1a\x00",
            "tensor 'w' is stored in segments",
        ),
    ] {
        let said = tensor(bytes);
        assert!(said.contains(fact), "{said}");
    }
}

#[test]
fn graphs_inside_graphs_end_somewhere() {
    let mut graph = Vec::new();
    for _ in 0..200 {
        graph = field(1, &field(5, &field(6, &graph)));
    }
    let said = refusal(&graph);
    assert!(said.contains("stand inside each other more than"), "{said}");
    assert!(refusal(&field(1, &field(1, b"x"))).contains("'x' is read before any node gives it"));
}

/// Functions that call each other twice, each level with twice as much work: a file of a few kB that would run for ever.
#[test]
fn functions_that_call_functions_end_somewhere() {
    let mut bytes = b"\x08\x08".to_vec();
    let call = |name: &str| field(1, &[field(4, name.as_bytes()), field(7, b"d")].concat());
    bytes.extend(field(7, &call("f0")));
    for level in 0..31 {
        let inner = format!("f{}", level + 1);
        let body = [call(&inner), call(&inner)].concat();
        // Nodes of a function have number 7.
        let body = body
            .chunks(call(&inner).len())
            .flat_map(|own| [&[7 << 3 | 2][..], &own[1..]].concat())
            .collect::<Vec<u8>>();
        let name = field(1, format!("f{level}").as_bytes());
        bytes.extend(
            [
                vec![0xca, 0x01],
                field(0, &[name, field(10, b"d"), body].concat())[1..].to_vec(),
            ]
            .concat(),
        );
    }
    let said = read_onnx(&bytes, Path::new("file.onnx"))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("too large to be followed") || said.contains("inside each other"),
        "{said}"
    );
}

#[test]
fn damaged_files_are_refused_or_counted_and_never_break_the_reader() {
    let mut seed = 1_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for row in rows() {
        let bytes = sample(&row.name);
        let open = |bytes: &[u8]| read_onnx(bytes, Path::new("file.onnx"));
        for _ in 0..60 {
            let cut = next() as usize % bytes.len();
            // What stands after the graph may be missing.
            if let Ok(network) = open(&bytes[..cut]) {
                let whole = open(&bytes).unwrap();
                assert_eq!(
                    network.parameters, whole.parameters,
                    "{} at {cut}",
                    row.name
                );
            }
            let mut damaged = bytes.clone();
            for _ in 0..1 + next() % 3 {
                let at = next() as usize % bytes.len();
                damaged[at] = next() as u8;
            }
            if let Ok(network) = open(&damaged) {
                assert!(macs(&network.graph()).is_finite());
            }
        }
    }
}
