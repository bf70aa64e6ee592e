//! Damaged and lying files: refused with the fact and the path, never a panic, never memory that the file does not have.

use super::*;

/// A change that makes a file lie.
type Lie<'a> = &'a dyn Fn(&mut Sample);

fn good() -> Sample {
    let mut texts = 8_u32.to_le_bytes().to_vec();
    texts.extend(2_u64.to_le_bytes());
    for text in ["ab", "c"] {
        texts.extend((text.len() as u64).to_le_bytes());
        texts.extend(text.as_bytes());
    }
    let mut numbers = 5_u32.to_le_bytes().to_vec();
    numbers.extend(3_u64.to_le_bytes());
    numbers.extend([1_i32, 2, 3].map(i32::to_le_bytes).concat());
    Sample::default()
        .key("general.alignment", 4, &32_u32.to_le_bytes())
        .key("texts", 9, &texts)
        .key("numbers", 9, &numbers)
        .tensor("a", &[64, 2], 3, &[60; 80])
        .tensor("b", &[4], 0, &[0; 16])
}

/// Whatever opens can be asked for everything.
pub(super) fn use_all(source: &dyn Source) {
    for (tensor, info) in source.tensors().iter().enumerate() {
        assert!(info.elements() < 1 << 20, "{info:?}");
        assert_eq!(source.read(tensor).unwrap().len() as u64, info.bytes);
        let mut out = vec![0.0; info.elements()];
        let decoded = source.decode(tensor, 0..info.rows(), &mut out);
        assert_eq!(decoded.is_ok(), info.format.can_be_decoded());
        assert_eq!(source.find(&info.name), Some(tensor));
    }
}

#[test]
fn every_cut_is_an_error() {
    let bytes = good().bytes();
    // The last tensor has 16 bytes, and the rest pads.
    let needed = bytes.len() - 16;
    for length in 0..bytes.len() {
        let opened = open_bytes(bytes[..length].to_vec(), Path::new("folder/input"));
        match opened {
            Ok(source) => {
                assert!(length >= needed, "{length}");
                use_all(&*source);
            }
            Err(error) => {
                assert!(length < needed, "{length}: {error}");
                assert!(error.to_string().ends_with(": folder/input"), "{error}");
            }
        }
    }
}

#[test]
fn every_changed_byte_is_survived() {
    let bytes = good().bytes();
    let mut opened = 0;
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            match open_bytes(changed, Path::new("folder/input")) {
                Ok(source) => {
                    use_all(&*source);
                    opened += 1;
                }
                Err(error) => {
                    assert!(error.to_string().ends_with(": folder/input"), "{error}");
                }
            }
        }
    }
    // Those within names and values.
    assert!(opened > 100, "{opened}");
}

proptest! {
    #[test]
    fn any_eight_bytes_anywhere_are_survived(at in 0_usize..300, value in prop_oneof![
        any::<u64>(), Just(u64::MAX), Just(1 << 60), Just(1 << 32), 0_u64..300
    ]) {
        let mut bytes = good().bytes();
        let at = at.min(bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        if let Ok(source) = open_bytes(bytes, Path::new("folder/input")) {
            use_all(&*source);
        }
    }

    #[test]
    fn any_bytes_behind_the_magic_are_survived(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(tail);
        if let Ok(source) = open_bytes(bytes, Path::new("folder/input")) {
            use_all(&*source);
        }
    }
}

#[test]
fn lies_are_refused_by_name() {
    let with = |change: &dyn Fn(&mut Sample)| {
        let mut sample = good();
        change(&mut sample);
        sample.refusal()
    };
    let cases: [(Lie<'_>, &str); 16] = [
        (&|s| s.version = 1, "this is a GGUF of version 1"),
        (&|s| s.version = 4, "this is a GGUF of version 4"),
        (
            &|s| s.version = 3_u32.swap_bytes(),
            "this is a big-endian GGUF",
        ),
        (
            &|s| s.tensor_count = Some(1_000_000),
            "the file says that it has 1000000 tensors",
        ),
        (
            &|s| s.tensor_count = Some(90_000),
            "the file is cut short: 90000 tensors do not fit",
        ),
        (
            &|s| s.key_count = Some(u64::MAX),
            "the file says that it has 18446744073709551615 keys",
        ),
        (
            &|s| s.tensors[0].dims = vec![64, 0],
            "tensor 'a' has the absurd shape [64, 0]",
        ),
        (
            &|s| s.tensors[0].dims = vec![1 << 40, 1 << 40],
            "tensor 'a' has the absurd shape",
        ),
        (
            &|s| s.tensors[0].dims = vec![],
            "tensor 'a' has 0 dimensions",
        ),
        (
            &|s| s.tensors[0].dims = vec![1; 5],
            "tensor 'a' has 5 dimensions",
        ),
        (
            &|s| s.tensors[0].dims = vec![48, 2],
            "the rows of tensor 'a' have 48 elements, no multiple of the 32",
        ),
        (
            &|s| s.tensors[0].format = 4,
            "tensor 'a' is of type 4, which does not exist",
        ),
        (
            &|s| s.tensors[1].name = "a".into(),
            "tensor 'a' is there twice",
        ),
        (
            &|s| s.tensors[1].offset = Some(97),
            "tensor 'b' begins at byte 97 of the data, no multiple of 32",
        ),
        (
            &|s| s.tensors[1].offset = Some(64),
            "tensors 'a' and 'b' lie on one another",
        ),
        (
            &|s| s.tensors[1].offset = Some(1 << 63),
            "the file is cut short: tensor 'b' takes 16 bytes",
        ),
    ];
    for (change, fact) in cases {
        let refusal = with(change);
        assert!(refusal.starts_with(fact), "{refusal}\n{fact}");
    }
    let long = good()
        .key("long", 8, &(1_u64 << 60).to_le_bytes())
        .refusal();
    assert!(
        long.starts_with("the file is cut short: 1152921504606846976 bytes"),
        "{long}"
    );
    let twice = good().u16("texts", 1).refusal();
    assert_eq!(twice, "the key 'texts' is there twice");
    let unknown = good().key("odd", 77, &[]).refusal();
    assert_eq!(unknown, "the key 'odd' is of the unknown type 77");
    let mut list = 8_u32.to_le_bytes().to_vec();
    list.extend((1_u64 << 61).to_le_bytes());
    let list = good().key("list", 9, &list).refusal();
    assert!(
        list.starts_with("the file is cut short: the list 'list'"),
        "{list}"
    );
    let nested: Vec<u8> = [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(100);
    let nested = good().key("nested", 9, &nested).refusal();
    assert!(nested.contains("lists in lists"), "{nested}");
    let text = good()
        .key("text", 8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff])
        .refusal();
    assert_eq!(text, "the text of the key 'text' is no UTF-8");
    for alignment in [0_u32, 24, 4, 1 << 30] {
        let mut sample = good();
        let key = &mut sample.keys[0];
        key.truncate(key.len() - 4);
        key.extend(alignment.to_le_bytes());
        assert!(sample.refusal().starts_with("the alignment"), "{alignment}");
    }
}
