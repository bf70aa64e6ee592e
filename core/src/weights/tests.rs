use std::io::Write as _;

use proptest::prelude::*;

use super::*;

mod hostile;
mod lies;
mod safetensors;
mod sample;
use sample::Sample;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/weights")
        .join(name)
}

fn decoded(source: &dyn Source, tensor: usize) -> Vec<f32> {
    let info = &source.tensors()[tensor];
    let mut out = vec![0.0; info.elements()];
    source.decode(tensor, 0..info.rows(), &mut out).unwrap();
    out
}

/// The data and the values were made once by llama.cpp's own package: `scripts/gguf_blocks.py`.
#[test]
fn every_format_is_decoded_as_the_format_s_own_program_does() {
    let source = open(&fixture("blocks.gguf")).unwrap();
    let mut formats = 0;
    for (tensor, info) in source.tensors().iter().enumerate() {
        let Some(expected) = source.find(&format!("{}.decoded", info.name)) else {
            continue;
        };
        assert_eq!(info.format.name(), info.name);
        assert_eq!(info.shape, [2, 256]);
        let (found, expected) = (decoded(&*source, tensor), decoded(&*source, expected));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let close = (found - expected).abs() <= 1e-6 * expected.abs();
            assert!(close, "{} {i}: {found} {expected}", info.name);
        }
        assert!(expected.iter().any(|value| *value != 0.0));
        formats += 1;
    }
    assert_eq!(formats, 17);
}

/// The one format that ggml's package does not decode: a scale in single precision, whole numbers of eight bits, and sums.
#[test]
fn eight_bit_blocks_of_256_are_a_scale_times_numbers() {
    let mut block = 0.5_f32.to_le_bytes().to_vec();
    block.extend(0..=255_u8);
    block.extend([0xff; 32]);
    let source = Sample::default()
        .tensor("t", &[256], 15, &block)
        .open()
        .unwrap();
    let expected: Vec<f32> = (0..=255_u8)
        .map(|code| 0.5 * f32::from(code.cast_signed()))
        .collect();
    assert_eq!(decoded(&*source, 0), expected);
}

#[test]
fn metadata_are_typed() {
    let source = open(&fixture("blocks.gguf")).unwrap();
    let value = |key: &str| source.metadata(key).unwrap();
    assert_eq!(value("general.architecture").text(), Some("none"));
    assert_eq!(value("test.text").text(), Some("ein Wörtchen"));
    assert_eq!(value("test.texts").texts().unwrap(), ["a", "", "bc"]);
    let numbers: Vec<_> = value("test.numbers").numbers().unwrap().iter().collect();
    assert_eq!(numbers, [1, -2, 3].map(Number::I32));
    assert_eq!(value("test.large").unsigned(), Some(1 << 63));
    assert_eq!(value("test.float").number(), Some(Number::F32(0.5)));
    assert_eq!(value("test.flag").flag(), Some(true));
    assert_eq!(source.metadata("test.nothing"), None);
    let bytes: u64 = source.tensors().iter().map(|info| info.bytes).sum();
    assert_eq!(source.stored_bytes(), bytes);
}

#[test]
fn bytes_are_read_as_stored() {
    let sample = Sample::default()
        .tensor(
            "a",
            &[3, 2],
            0,
            &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]
                .map(f32::to_le_bytes)
                .concat(),
        )
        .tensor("b", &[32], 8, &[7; 34]);
    let older = Sample {
        version: 2,
        ..sample.clone()
    };
    assert_eq!(
        older.open().unwrap().tensors(),
        sample.open().unwrap().tensors()
    );
    let source = sample.open().unwrap();
    assert_eq!(source.read(1).unwrap(), [7; 34]);
    assert_eq!(source.tensors()[0].shape, [2, 3]);
    let mut row = [0.0; 3];
    source.decode(0, 1..2, &mut row).unwrap();
    assert_eq!(row, [4.0, 5.0, 6.0]);
    assert!(source.read(2).is_err());
    assert!(source.decode(0, 1..3, &mut [0.0; 6]).is_err());
    assert!(source.decode(0, 0..1, &mut [0.0; 2]).is_err());
}

#[test]
fn other_formats_are_listed_and_refused_by_name() {
    let sample = Sample::default()
        .tensor("grid", &[256], 16, &[0; 66])
        .tensor("whole", &[4], 26, &[0; 16]);
    let source = sample.open().unwrap();
    assert_eq!(source.tensors()[0].format, StoredFormat::IQ2_XXS);
    let refusal = |tensor, length| {
        let mut out = vec![0.0; length];
        let error = source.decode(tensor, 0..length, &mut out);
        error.unwrap_err().to_string()
    };
    assert_eq!(
        refusal(0, 256),
        "tensor 'grid' is of type IQ2_XXS, which can be listed but not decoded: folder/input"
    );
    assert_eq!(
        refusal(1, 4),
        "tensor 'whole' is of whole numbers (I32); weights that another program packed into them cannot be decoded: folder/input"
    );
}

proptest! {
    /// Whatever rows are asked for, they are those of the whole, also where a row is a part of a block.
    #[test]
    fn any_rows_are_those_of_the_whole(
        (format, columns, rows, from, to, seed) in
            (prop::sample::select(vec![(0_u32, 4, 1), (1, 2, 1), (3, 20, 32), (8, 34, 32), (14, 210, 256), (39, 17, 32)]), 0_u64..4, 1_usize..40)
                .prop_flat_map(|(format, columns, rows)| {
                    (Just(format), Just(columns), Just(rows), 0..=rows, 0..=rows, any::<u64>())
                })
    ) {
        use rand::{RngCore as _, SeedableRng as _};
        let (number, bytes, elements) = format;
        // No columns: one dimension, of whole blocks.
        let dims = match columns {
            0 => vec![rows as u64 * elements],
            _ => vec![columns * elements, rows as u64],
        };
        let blocks = dims.iter().product::<u64>() / elements;
        let mut stored = vec![0; blocks as usize * bytes];
        rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut stored);
        let source = Sample::default().tensor("t", &dims, number, &stored).open().unwrap();
        let whole = decoded(&*source, 0);
        let length = source.tensors()[0].row_length();
        let (from, to) = (from.min(to), from.max(to));
        let mut part = vec![0.0; (to - from) * length];
        source.decode(0, from..to, &mut part).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&part), bits(&whole[from * length..to * length]));
    }
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let sample = Sample::default().tensor("a", &[1024], 0, &[1; 4096]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&sample.bytes()).unwrap();
    let source = open(file.path()).unwrap();
    assert_eq!(source.read(0).unwrap(), [1; 4096]);
    file.as_file().set_len(200).unwrap();
    let error = source.read(0).unwrap_err().to_string();
    assert!(error.contains("shorter since it was opened"), "{error}");
    assert!(source.decode(0, 0..1024, &mut [0.0; 1024]).is_err());
}

#[test]
fn the_parts_of_a_split_file_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |i: u16| {
        folder
            .path()
            .join(format!("net-{:05}-of-00002.gguf", i + 1))
    };
    let part = |i: u16, name: &str| {
        Sample::default()
            .u16("split.no", i)
            .u16("split.count", 2)
            .u16("split.tensors.count", 2)
            .tensor(name, &[1], 0, &f32::from(i).to_le_bytes())
    };
    std::fs::write(path(0), part(0, "a").bytes()).unwrap();
    let missing = open(&path(0)).unwrap_err().to_string();
    assert!(
        missing.starts_with("there is no such file: ")
            && missing.ends_with("net-00002-of-00002.gguf"),
        "{missing}"
    );
    std::fs::write(path(1), part(1, "b").bytes()).unwrap();
    for opened in [0, 1] {
        let source = open(&path(opened)).unwrap();
        let names: Vec<_> = source.tensors().iter().map(|info| &info.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(decoded(&*source, source.find("b").unwrap()), [1.0]);
    }
    std::fs::write(path(1), part(1, "a").bytes()).unwrap();
    let twice = open(&path(0)).unwrap_err().to_string();
    assert!(twice.contains("tensor 'a' is in another part"), "{twice}");
    std::fs::write(path(1), part(0, "b").bytes()).unwrap();
    let wrong = open(&path(0)).unwrap_err().to_string();
    assert!(wrong.contains("by its metadata part 1 of 2"), "{wrong}");
    std::fs::rename(path(0), folder.path().join("net.gguf")).unwrap();
    let renamed = open(&folder.path().join("net.gguf"))
        .unwrap_err()
        .to_string();
    assert!(renamed.contains("-00001-of-00002.gguf"), "{renamed}");
}
