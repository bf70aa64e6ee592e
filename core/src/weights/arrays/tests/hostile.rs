//! Damaged and lying files: refused or read, never more than their bytes can hold, and nothing panics.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::weights::Source as _;
use crate::weights::arrays::{Writer, open_bytes};

const FILES: [(&str, Writer); 9] = [
    ("lstm.pt", Writer::TorchArchive),
    ("lstm-checkpoint.pt", Writer::TorchArchive),
    ("lstm-script.pt", Writer::TorchArchive),
    ("views.pt", Writer::TorchArchive),
    ("views-old.pt", Writer::Pickle),
    ("lstm-checkpoint-old.pt", Writer::Pickle),
    ("lstm-deflated.npz", Writer::NumPy),
    ("numbers.npz", Writer::NumPy),
    ("one.npy", Writer::NumPy),
];

fn bytes(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arrays");
    std::fs::read(folder.join(name)).unwrap()
}

/// Opens bytes and reads all that is there; whether they were opened.
fn read_all(bytes: &[u8], writer: Writer) -> bool {
    let length = bytes.len() as u64;
    let Ok(arrays) = open_bytes(bytes.to_vec(), Path::new("hostile"), writer) else {
        return false;
    };
    let held: u64 = arrays.tensors().iter().map(|info| info.bytes).sum();
    // Deflate makes 1040 bytes of one, and eight tensors may share a storage.
    assert!(held <= 8 * 1040 * length, "{held} of {length}");
    for (at, info) in arrays.tensors().iter().enumerate() {
        if info.bytes > 1 << 20 {
            continue;
        }
        let mut values = vec![0.0; info.elements()];
        let _ = arrays.decode(at, 0..info.rows(), &mut values);
        let _ = arrays.read(at);
        let _ = arrays.decode(at, 1..info.rows() + 1, &mut values);
    }
    true
}

#[test]
fn whole_files_are_read() {
    for (name, writer) in FILES {
        assert!(read_all(&bytes(name), writer), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn files_that_are_cut_are_refused(which in 0..FILES.len(), part in 0.0..1.0_f64) {
        let (name, writer) = FILES[which];
        let whole = bytes(name);
        let cut = (whole.len() as f64 * part) as usize;
        // The last storage of an old file, or what stands behind a pickle, may not be missed; all else is.
        let opened = read_all(&whole[..cut], writer);
        prop_assert!(!opened || writer == Writer::Pickle, "{name} cut at {cut}");
    }

    #[test]
    fn changed_bytes_do_no_harm(
        which in 0..FILES.len(),
        changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..12),
    ) {
        let (name, writer) = FILES[which];
        let mut changed = bytes(name);
        for (part, byte) in changes {
            let at = (changed.len() as f64 * part) as usize;
            changed[at] = byte;
        }
        read_all(&changed, writer);
    }

    #[test]
    fn lying_numbers_do_no_harm(
        which in 0..FILES.len(),
        part in 0.0..1.0_f64,
        lie in prop::sample::select(vec![0_u64, 1, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX]),
        width in prop::sample::select(vec![1_usize, 2, 4, 8]),
    ) {
        let (name, writer) = FILES[which];
        let mut changed = bytes(name);
        let at = ((changed.len() - width) as f64 * part) as usize;
        changed[at..at + width].copy_from_slice(&lie.to_le_bytes()[..width]);
        read_all(&changed, writer);
    }

    #[test]
    fn random_pickles_do_no_harm(
        codes in prop::collection::vec(
            prop::sample::select(b"(]})a.e0u2Ns\x85\x86\x87R\x81b\x94tldK\x01h\0j\x90\x8f\x88cbuiltins\nlist\n".to_vec()),
            0..400,
        ),
    ) {
        let mut pickle = vec![0x80, 4];
        pickle.extend(codes);
        pickle.push(b'.');
        read_all(&pickle, Writer::Pickle);
    }
}

#[test]
fn what_pickles_make_of_few_bytes_is_bounded() {
    let push = |pickle: &mut Vec<u8>, codes: &[u8], times: usize| {
        for _ in 0..times {
            pickle.extend(codes);
        }
    };
    // Lists in lists, as deep as there are bytes.
    let mut deep = vec![0x80, 2];
    push(&mut deep, b"]", 200_000);
    push(&mut deep, b"a", 199_999);
    deep.push(b'.');
    assert!(!read_all(&deep, Writer::Pickle));
    // One long list, made to a dictionary again and again.
    let mut wide = vec![0x80, 2, b']', b'(', b'N', b'N', 0x86, b'q', 0];
    push(&mut wide, b"h\0", 100_000);
    wide.extend(b"eq\x01");
    for _ in 0..100_000 {
        wide.extend(b"ccollections\nOrderedDict\nh\x01\x85R");
    }
    wide.push(b'.');
    assert!(!read_all(&wide, Writer::Pickle));
    // A list that holds itself.
    let cycle = b"\x80\x02]q\0h\0a.";
    assert!(!read_all(cycle, Writer::Pickle));
}
