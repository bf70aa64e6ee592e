//! How many numbers the weights of an ONNX file hold (<https://onnx.ai/onnx/repo-docs/IR.html>), found by walking over its
//! protocol buffers without loading them. Only read to say what a refused file is.

use std::io::{ErrorKind, Read, Result, Seek, SeekFrom};

/// Fields of the messages, as numbered in onnx.proto.
const GRAPH: u64 = 7;
const INITIALIZER: u64 = 5;
const DIMS: u64 = 1;
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;
/// The most bytes of packed dimensions; tensors have fewer than ten.
const LONGEST_DIMS: u64 = 256;

/// Elements of all initialised tensors of a file of `len` bytes.
///
/// # Errors
/// The file ends early or is not of the format.
pub(super) fn parameters(file: &mut (impl Read + Seek), len: u64) -> Result<u64> {
    let mut total = 0_u64;
    let mut is_graph = false;
    file.seek(SeekFrom::Start(0))?;
    fields(file, len, &mut |file, field, kind, size| {
        if (field, kind) != (GRAPH, BYTES) {
            return Ok(false);
        }
        is_graph = true;
        let end = file.stream_position()? + size;
        fields(file, end, &mut |file, field, kind, size| {
            if (field, kind) != (INITIALIZER, BYTES) {
                return Ok(false);
            }
            total = total
                .checked_add(elements(file, size)?)
                .ok_or(ErrorKind::InvalidData)?;
            Ok(true)
        })?;
        Ok(true)
    })?;
    if is_graph {
        Ok(total)
    } else {
        Err(ErrorKind::InvalidData.into())
    }
}

/// Elements of one tensor of `size` bytes.
fn elements<F: Read + Seek>(file: &mut F, size: u64) -> Result<u64> {
    let end = file.stream_position()? + size;
    let mut elements = 1_u64;
    let mut times = |dim: u64| -> Result<()> {
        elements = elements.checked_mul(dim).ok_or(ErrorKind::InvalidData)?;
        Ok(())
    };
    fields(file, end, &mut |file, field, kind, value| {
        if field != DIMS {
            return Ok(false);
        }
        if kind == VARINT {
            times(value)?;
            return Ok(true);
        }
        if kind != BYTES || value > LONGEST_DIMS {
            return Ok(false);
        }
        let packed_end = file.stream_position()? + value;
        while file.stream_position()? < packed_end {
            times(varint(file)?)?;
        }
        Ok(true)
    })?;
    Ok(elements)
}

/// Hears of a field: its number, wire type, and value or length; returns whether it took the bytes.
type Hear<'a, F> = dyn FnMut(&mut F, u64, u64, u64) -> Result<bool> + 'a;

/// Walks over the fields of a message that ends at `end`.
fn fields<F: Read + Seek>(file: &mut F, end: u64, hear: &mut Hear<'_, F>) -> Result<()> {
    loop {
        let at = file.stream_position()?;
        if at == end {
            return Ok(());
        }
        if at > end {
            return Err(ErrorKind::InvalidData.into());
        }
        let tag = varint(file)?;
        let (field, kind) = (tag >> 3, tag & 7);
        let (value, size) = match kind {
            VARINT => (varint(file)?, 0),
            FIXED_64 => (0, 8),
            FIXED_32 => (0, 4),
            BYTES => {
                let size = varint(file)?;
                (size, size)
            }
            _ => return Err(ErrorKind::InvalidData.into()),
        };
        let after = file
            .stream_position()?
            .checked_add(size)
            .filter(|after| *after <= end)
            .ok_or(ErrorKind::InvalidData)?;
        hear(file, field, kind, value)?;
        file.seek(SeekFrom::Start(after))?;
    }
}

fn varint(file: &mut impl Read) -> Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(value);
        }
    }
    Err(ErrorKind::InvalidData.into())
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use super::*;

    fn message(field: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![field << 3 | 2];
        let mut len = inner.len();
        while len >= 0x80 {
            bytes.push(len as u8 | 0x80);
            len >>= 7;
        }
        bytes.push(len as u8);
        bytes.extend(inner);
        bytes
    }

    /// A file with a tensor of 3 × 1000 (dimensions one by one) and one of 5 × 7 (packed).
    pub(crate) fn sample() -> Vec<u8> {
        let single = [&[8, 3, 8, 0xe8, 7, 16, 1][..], &message(9, &[0; 200])].concat();
        let packed = [message(1, &[5, 7]), message(8, b"fc.weight")].concat();
        let graph = [
            message(1, b"node"),
            message(5, &single),
            message(5, &packed),
            message(2, b"main"),
        ];
        [
            b"\x08\x08".to_vec(),
            message(2, b"pytorch"),
            message(7, &graph.concat()),
        ]
        .concat()
    }

    #[test]
    fn the_elements_of_all_tensors_are_counted() {
        let bytes = sample();
        let len = bytes.len() as u64;
        assert_eq!(
            parameters(&mut Cursor::new(bytes), len).unwrap(),
            3 * 1000 + 5 * 7
        );
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = sample();
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            assert!(
                parameters(&mut Cursor::new(cut), len as u64).is_err(),
                "{len}"
            );
        }
    }
}
