//! Files whose counts, places, shapes and formats are any numbers: what opens is exactly what is true of the bytes.

use super::hostile::use_all;
use super::*;

/// Numbers that lengths and extents lie with.
fn any_extent() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => prop::sample::select(vec![1, 2, 4, 8, 16, 32, 64, 128, 256]),
        1 => prop::sample::select(vec![0, 3, 31, 1 << 20, 1 << 32, 1 << 47, 1 << 60, u64::MAX]),
    ]
}

fn any_shape() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        4 => prop::collection::vec(any_extent(), 1..4),
        1 => prop::collection::vec(any_extent(), 0..7),
    ]
}

/// Places of the 512 bytes of data, and others.
fn any_offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (0_u64..17).prop_map(|at| 32 * at),
        1 => prop::sample::select(vec![1, 33, 1 << 40, 1 << 63, u64::MAX, u64::MAX - 31]),
    ]
}

/// The first and last byte of the data that a tensor takes, where it can be one of 512.
fn place(dims: &[u64], format: u32, offset: u64) -> Option<(u64, u64)> {
    let format = StoredFormat::of_ggml(format)?;
    let elements: u128 = dims
        .iter()
        .try_fold(1_u128, |product, n| product.checked_mul((*n).into()))?;
    let per_block = format.elements_per_block() as u64;
    let fits = (1..=4).contains(&dims.len())
        && (1..1 << 48).contains(&elements)
        && dims[0].is_multiple_of(per_block)
        && offset.is_multiple_of(32);
    let blocks = elements / u128::from(per_block);
    let bytes = blocks.saturating_mul(format.bytes_per_block() as u128);
    let end = bytes.saturating_add(offset.into());
    (fits && end <= 512).then_some((offset, end as u64))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_opens_is_what_lies_in_the_file(
        shapes in (any_shape(), any_shape()),
        formats in (0_u32..44, 0_u32..44),
        simple in any::<(bool, bool)>(),
        offsets in (any_offset(), any_offset()),
        names in (0_usize..8, 0_usize..8),
        count in prop_oneof![9 => Just(None), 1 => prop::sample::select(vec![3_u64, 100, 1_000_000, 1 << 60, u64::MAX]).prop_map(Some)],
    ) {
        let formats = (if simple.0 { 0 } else { formats.0 }, if simple.1 { 8 } else { formats.1 });
        let mut sample = Sample::default()
            .tensor(&format!("t{}", names.0), &shapes.0, formats.0, &[60; 512])
            .tensor(&format!("t{}", names.1), &shapes.1, formats.1, &[]);
        sample.tensors[0].offset = Some(offsets.0);
        sample.tensors[1].offset = Some(offsets.1);
        sample.tensor_count = count;
        let places = place(&shapes.0, formats.0, offsets.0).zip(place(&shapes.1, formats.1, offsets.1));
        let apart = places.is_some_and(|((a, a_end), (b, b_end))| a_end <= b || b_end <= a);
        let right = apart && count.is_none() && names.0 != names.1;
        match sample.open() {
            Ok(source) => {
                prop_assert!(right);
                use_all(&*source);
            }
            Err(error) => {
                let error = error.to_string();
                prop_assert!(!right, "{}", error);
                prop_assert!(error.ends_with(": folder/input") && !error.starts_with(':'), "{}", error);
                prop_assert!(error.contains("tensor") || error.contains("cut short"), "{}", error);
            }
        }
    }

    /// Texts and lists of any length, anywhere in the metadata.
    #[test]
    fn lengths_beyond_the_file_are_refused(
        length in prop_oneof![(10_u64..1_000_000), Just(1 << 32), Just(1 << 60), Just(u64::MAX)],
        kind in 0_u32..14,
        list in any::<bool>(),
    ) {
        let mut value = Vec::new();
        if list {
            value.extend(kind.to_le_bytes());
        }
        value.extend(length.to_le_bytes());
        let sample = Sample::default()
            .key("lie", if list { 9 } else { 8 }, &value)
            .tensor("a", &[1], 0, &[0; 4]);
        // What follows the metadata is shorter than all of these, but for a few single bytes.
        let few = list && length < 100;
        let opened = sample.open();
        prop_assert!(few || opened.is_err());
        if let Err(error) = opened {
            prop_assert!(error.to_string().ends_with(": folder/input"), "{}", error);
        }
    }
}

/// Opens one of three parts, of which one says a number that is not its own.
fn split(opened: usize, liar: usize, key: &str, said: u64) -> Result<usize> {
    let folder = tempfile::tempdir().unwrap();
    let path = |i: usize| {
        folder
            .path()
            .join(format!("net-{:05}-of-00003.gguf", i + 1))
    };
    for part in 0..3 {
        let mut sample = Sample::default();
        for (name, own) in [("no", part as u64), ("count", 3), ("tensors.count", 3)] {
            let value = if part == liar && name == key {
                said
            } else {
                own
            };
            sample = sample.key(&format!("split.{name}"), 10, &value.to_le_bytes());
        }
        let sample = sample.tensor(&format!("t{part}"), &[1], 0, &[0; 4]);
        std::fs::write(path(part), sample.bytes()).unwrap();
    }
    open(&path(opened)).map(|source| source.tensors().len())
}

#[test]
fn a_part_that_lies_about_its_number_or_theirs_is_refused_by_its_path() {
    for (opened, liar) in (0..9).map(|i| (i / 3, i % 3)) {
        for key in ["no", "count", "tensors.count"] {
            let own = if key == "no" { liar as u64 } else { 3 };
            for said in [0, 1, 2, 3, 4, 999, 1_001, 1 << 32, u64::MAX] {
                let found = split(opened, liar, key, said);
                // A part that says of itself to be all is opened alone.
                let alone = key == "count" && said < 2 && opened == liar;
                let expected = if alone { 1 } else { 3 };
                if said == own || alone {
                    assert_eq!(found.unwrap(), expected, "{opened} {liar} {key} {said}");
                    continue;
                }
                let error = found.map_err(|error| error.to_string()).unwrap_err();
                let at = error.rsplit('/').next().unwrap();
                assert!(
                    at.starts_with("net-0000") && at.ends_with(".gguf"),
                    "{error}"
                );
                assert!(!error.starts_with(':'), "{error}");
            }
        }
    }
}
