//! Named arrays: views of storages that no tensor reads beyond.

use wattif_core::weights;

use super::{path, refused};

/// Elements that are decoded; deflated files hold many times their bytes.
const MOST: usize = 1 << 20;

/// What opens can be read and decoded, and rows one by one are the same.
pub fn arrays(bytes: &[u8]) {
    let source = match weights::open_bytes(bytes.to_vec(), path()) {
        Ok(source) => source,
        Err(error) => return refused(&error),
    };
    for (tensor, info) in source.tensors().iter().enumerate() {
        assert_eq!(source.find(&info.name), Some(tensor));
        if info.elements() > MOST {
            continue;
        }
        let mut values = vec![0.0; info.elements()];
        match source.decode(tensor, 0..info.rows(), &mut values) {
            Ok(()) => {}
            Err(error) => {
                refused(&error);
                continue;
            }
        }
        let stored = source.read(tensor).unwrap();
        assert_eq!(stored.len() as u64, info.bytes);
        let length = info.row_length();
        for row in 0..info.rows().min(3) {
            let mut alone = vec![0.0; length];
            source.decode(tensor, row..row + 1, &mut alone).unwrap();
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&alone), bits(&values[row * length..][..length]));
        }
    }
}
