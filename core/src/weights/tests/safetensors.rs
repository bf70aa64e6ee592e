use std::collections::BTreeMap;

use ::safetensors::tensor::{Dtype, TensorView, serialize};
use half::{bf16, f16};

use super::*;

/// The bytes of a file with these tensors.
fn file(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.to_vec(), bytes).unwrap(),
        )
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    serialize(views.collect::<Vec<_>>(), Some(metadata)).unwrap()
}

fn opened(bytes: Vec<u8>) -> Result<Box<dyn Source>> {
    open_bytes(bytes, Path::new("folder/input"))
}

#[test]
fn the_formats_of_one_number_are_decoded() {
    let values = [1.0_f32, -2.5, 0.1, 65504.0, 0.0, -0.0];
    let bytes = |stored: fn(f32) -> Vec<u8>| {
        values
            .iter()
            .flat_map(|value| stored(*value))
            .collect::<Vec<_>>()
    };
    let cases = [
        (
            Dtype::F64,
            bytes(|value| f64::from(value).to_le_bytes().to_vec()),
        ),
        (Dtype::F32, bytes(|value| value.to_le_bytes().to_vec())),
        (
            Dtype::F16,
            bytes(|value| f16::from_f32(value).to_le_bytes().to_vec()),
        ),
        (
            Dtype::BF16,
            bytes(|value| bf16::from_f32(value).to_le_bytes().to_vec()),
        ),
    ];
    for (dtype, stored) in cases {
        let source = opened(file(&[("t", dtype, &[2, 3], &stored)])).unwrap();
        assert_eq!(source.tensors()[0].format.name(), dtype.to_string());
        assert_eq!(source.metadata("format").unwrap().text(), Some("pt"));
        assert_eq!(source.read(0).unwrap(), stored);
        let precision = match dtype {
            Dtype::F16 => 1.0 / 2048.0,
            Dtype::BF16 => 1.0 / 256.0,
            _ => 0.0,
        };
        for (found, value) in decoded(&*source, 0).iter().zip(values) {
            assert!(
                (found - value).abs() <= precision * value.abs(),
                "{dtype} {found} {value}"
            );
            assert_eq!(found.is_sign_negative(), value.is_sign_negative());
        }
        let mut row = [0.0; 3];
        source.decode(0, 1..2, &mut row).unwrap();
        assert_eq!(row, decoded(&*source, 0)[3..]);
    }
}

/// Values of the table in "FP8 formats for deep learning" (<https://arxiv.org/abs/2209.05433>, table 1).
#[test]
fn eight_bits_are_decoded() {
    let all: Vec<u8> = (0..=255).collect();
    let source = opened(file(&[
        ("a", Dtype::F8_E4M3, &[256], &all),
        ("b", Dtype::F8_E5M2, &[256], &all),
    ]))
    .unwrap();
    let (a, b) = (decoded(&*source, 0), decoded(&*source, 1));
    let two = |power: i32| 2_f32.powi(power);
    for (code, value) in [
        (0x7e, 448.0),
        (0x08, two(-6)),
        (0x07, 0.875 * two(-6)),
        (0x01, two(-9)),
        (0x38, 1.0),
    ] {
        assert_eq!((a[code], a[code | 0x80]), (value, -value));
    }
    assert!(a[0x7f].is_nan() && a[0xff].is_nan());
    for (code, value) in [
        (0x7b, 57344.0),
        (0x04, two(-14)),
        (0x03, 0.75 * two(-14)),
        (0x01, two(-16)),
        (0x3c, 1.0),
    ] {
        assert_eq!((b[code], b[code | 0x80]), (value, -value));
    }
    assert!(b[0x7c].is_infinite() && b[0x7d].is_nan());
    // Each next code is a larger number.
    for values in [&a[..0x7f], &b[..0x7c]] {
        assert!(values.is_sorted_by(|x, y| x < y));
    }
}

#[test]
fn packed_integers_open_and_are_refused_when_decoded() {
    let source = opened(file(&[("model.qweight", Dtype::I32, &[2, 2], &[0; 16])])).unwrap();
    let error = source
        .decode(0, 0..2, &mut [0.0; 4])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "tensor 'model.qweight' is of whole numbers (I32); weights that another program packed into them cannot be decoded: folder/input"
    );
}

#[test]
fn damaged_files_are_survived() {
    let good = file(&[
        ("a", Dtype::F32, &[2, 2], &[1; 16]),
        ("b", Dtype::F16, &[3], &[2; 6]),
        ("c", Dtype::U8, &[0], &[]),
    ]);
    for length in 0..good.len() {
        let error = opened(good[..length].to_vec()).unwrap_err().to_string();
        assert!(error.ends_with(": folder/input"), "{error}");
    }
    let mut survived = 0;
    for at in 0..good.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = good.clone();
            changed[at] ^= change;
            match opened(changed) {
                Ok(source) => {
                    hostile::use_all(&*source);
                    survived += 1;
                }
                Err(error) => assert!(error.to_string().ends_with(": folder/input"), "{error}"),
            }
        }
    }
    assert!(survived > 20, "{survived}");
    let mut absurd = good;
    let at = absurd
        .windows(5)
        .position(|bytes| bytes == b"[0],\"")
        .unwrap();
    // A shape whose elements are none, and whose rows cannot be counted.
    let shape = b"[0,9223372036854775807,9],\"";
    absurd.splice(at..at + 5, *shape);
    let header = u64::from_le_bytes(*absurd.first_chunk().unwrap()) + shape.len() as u64 - 5;
    absurd[..8].copy_from_slice(&header.to_le_bytes());
    let error = opened(absurd).unwrap_err().to_string();
    assert!(
        error.starts_with("tensor 'c' has the absurd shape"),
        "{error}"
    );
}

#[test]
fn an_index_makes_one_of_several_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let index = |map: &[(&str, &str)]| {
        let map: BTreeMap<_, _> = map.iter().copied().collect();
        let text =
            serde_json::json!({"metadata": {"total_size": 16}, "weight_map": map}).to_string();
        std::fs::write(path("model.safetensors.index.json"), text).unwrap();
        open(folder.path())
    };
    let refusal = |opened: Result<Box<dyn Source>>| opened.unwrap_err().to_string();
    assert!(refusal(open(folder.path())).starts_with("this folder has neither"));
    let one = |value: f32| value.to_le_bytes();
    std::fs::write(
        path("1.safetensors"),
        file(&[
            ("a", Dtype::F32, &[1], &one(1.0)),
            ("x", Dtype::F32, &[1], &one(9.0)),
        ]),
    )
    .unwrap();
    let missing = refusal(index(&[("a", "1.safetensors"), ("b", "2.safetensors")]));
    assert!(missing.starts_with("there is no such file: "), "{missing}");
    std::fs::write(
        path("2.safetensors"),
        file(&[
            ("b", Dtype::F32, &[1], &one(2.0)),
            ("a", Dtype::F32, &[1], &one(8.0)),
        ]),
    )
    .unwrap();
    let map = [("a", "1.safetensors"), ("b", "2.safetensors")];
    for source in [index(&map), open(&path("model.safetensors.index.json"))] {
        let source = source.unwrap();
        let names: Vec<_> = source
            .tensors()
            .iter()
            .map(|info| info.name.as_str())
            .collect();
        assert_eq!(names, ["a", "x", "b"]);
        assert_eq!(source.stored_bytes(), 12);
        assert_eq!(decoded(&*source, source.find("a").unwrap()), [1.0]);
        assert_eq!(decoded(&*source, source.find("b").unwrap()), [2.0]);
    }
    let without = refusal(index(&[("a", "1.safetensors"), ("c", "2.safetensors")]));
    assert!(
        without.starts_with("by the index tensor 'c' is in '2.safetensors', which does not"),
        "{without}"
    );
    for outside in [
        "../1.safetensors",
        "/etc/passwd",
        "..",
        "a/1.safetensors",
        "a\\1.safetensors",
        "",
    ] {
        let refused = refusal(index(&[("a", outside)]));
        assert!(refused.contains("which is not one beside it"), "{refused}");
    }
    assert!(refusal(index(&[])).starts_with("the index names 0 files"));
    std::fs::write(path("model.safetensors.index.json"), "[]").unwrap();
    assert!(refusal(open(folder.path())).starts_with("this is no index"));
    std::fs::remove_file(path("model.safetensors.index.json")).unwrap();
    std::fs::rename(path("1.safetensors"), path("model.safetensors")).unwrap();
    assert_eq!(open(folder.path()).unwrap().tensors().len(), 2);
}

#[test]
fn other_files_are_refused() {
    for bytes in [&b""[..], b"GG", b"PK\x03\x04aaaaaaaaaaaa", b"{\"a\": 1}"] {
        let error = opened(bytes.to_vec()).unwrap_err().to_string();
        assert!(error.ends_with(": folder/input"), "{error}");
    }
}
