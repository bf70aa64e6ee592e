//! Tensors under other names, and what is changed in them.

use std::path::Path;

use super::*;
use crate::weights::open_bytes;

/// Two equal tables of three rows, longer than what is compared at a time, and a short one between them.
fn source(change: Option<usize>) -> Box<dyn Source> {
    const LONG: usize = AT_ONCE + 3;
    let header = serde_json::json!({
        "a": {"dtype": "F32", "shape": [3, LONG], "data_offsets": [0, 12 * LONG]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [12 * LONG, 12 * LONG + 8]},
        "c": {"dtype": "F32", "shape": [3, LONG], "data_offsets": [12 * LONG + 8, 24 * LONG + 8]},
    })
    .to_string();
    let mut values = vec![1.5_f32; 6 * LONG + 2];
    if let Some(at) = change {
        values[3 * LONG + 2 + at] = 2.5;
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    open_bytes(bytes, Path::new("folder/input")).unwrap()
}

#[test]
fn every_number_of_two_tables_is_compared() {
    let equal = |change, other: &str| {
        let renamed = Renamed::new(source(change), |name| Some(name.to_owned())).unwrap();
        let at = |name| renamed.find(name).unwrap();
        renamed.are_equal(at("a"), at(other)).unwrap()
    };
    assert!(equal(None, "c"));
    assert!(!equal(None, "b"));
    for at in [
        0,
        AT_ONCE - 1,
        AT_ONCE + 2,
        2 * AT_ONCE + 9,
        3 * AT_ONCE + 8,
    ] {
        assert!(!equal(Some(at), "c"), "{at}");
    }
}

#[test]
fn rows_are_those_of_what_is_changed() {
    let values: Vec<u8> = (0_u8..12)
        .flat_map(|i| f32::from(i).to_le_bytes())
        .collect();
    let header = serde_json::json!({
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "F32", "shape": [2, 3], "data_offsets": [24, 48]},
    })
    .to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    let made = |change: Change, part: bool| {
        let source = open_bytes(bytes.clone(), Path::new("folder/input")).unwrap();
        Renamed::new(source, |name| {
            Some(Renaming {
                name: if part {
                    "all".to_owned()
                } else {
                    name.to_owned()
                },
                change,
                part: part.then_some(u32::from(name == "b")),
            })
        })
        .unwrap()
    };
    let rows = |renamed: &Renamed, rows: Range<usize>| {
        let mut out = vec![0.0; rows.len() * renamed.tensors()[0].row_length()];
        renamed.decode(0, rows, &mut out).map(|()| out)
    };
    let turned = made(Change::Turned, false);
    assert_eq!(turned.tensors()[0].shape, [3, 2]);
    assert_eq!(rows(&turned, 1..3).unwrap(), [1.0, 4.0, 2.0, 5.0]);
    let mut other = [0.0; 2];
    turned.decode(1, 0..1, &mut other).unwrap();
    assert_eq!(other, [6.0, 9.0]);
    assert_eq!(
        rows(&made(Change::PlusOne, false), 1..2).unwrap(),
        [4.0, 5.0, 6.0]
    );
    let flat = made(Change::Flat, false);
    assert_eq!(flat.tensors()[0].shape, [6]);
    assert_eq!(rows(&flat, 2..4).unwrap(), [2.0, 3.0]);
    let stacked = made(Change::None, true);
    assert_eq!(stacked.tensors()[0].shape, [4, 3]);
    assert_eq!(
        rows(&stacked, 1..3).unwrap(),
        [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    );
    for (source, beyond) in [(&turned, 2..4), (&flat, 5..7), (&stacked, 3..5)] {
        assert!(rows(source, beyond).is_err());
    }
    assert_eq!(stacked.stored_bytes(), 48);
    assert_eq!(stacked.read(0).unwrap().len(), 48);
}

#[test]
fn tensors_have_their_new_names_and_places() {
    let mut renamed = Renamed::new(source(Some(0)), |name| {
        (name != "a").then(|| format!("new {name}"))
    })
    .unwrap();
    renamed.add("d", vec![1.0, 2.0, 3.0]).unwrap();
    assert!(renamed.add("new b", Vec::new()).is_err());
    renamed.leave_out("new b");
    renamed.leave_out("a");
    let names: Vec<&str> = renamed.tensors().iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["new c", "d"]);
    assert_eq!(renamed.in_file("new c"), Some("c"));
    assert_eq!(renamed.in_file("d"), None);
    for name in ["a", "b", "c", "new a", "new b"] {
        assert_eq!(renamed.find(name), None, "{name}");
    }
    let mut first = vec![0.0; AT_ONCE + 3];
    renamed.decode(0, 0..1, &mut first).unwrap();
    assert_eq!(first[..2], [2.5, 1.5]);
    let mut two = [0.0; 2];
    renamed.decode(1, 1..3, &mut two).unwrap();
    assert_eq!(two, [2.0, 3.0]);
    assert_eq!(
        renamed.read(1).unwrap(),
        [1.0_f32, 2.0, 3.0].map(f32::to_le_bytes).concat()
    );
    assert!(renamed.decode(1, 2..4, &mut two).is_err());
    assert!(renamed.decode(2, 0..1, &mut two).is_err());
    assert!(renamed.read(2).is_err());
    let bytes: u64 = renamed.tensors().iter().map(|tensor| tensor.bytes).sum();
    assert_eq!(renamed.stored_bytes(), bytes);
    let same = Renamed::new(source(None), |_| Some("x".to_owned())).unwrap_err();
    assert_eq!(same, "tensors 'a' and 'b' are the same part of the network");
}
