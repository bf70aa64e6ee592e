//! What is said between this program and the process that runs networks: messages of length-prefixed parts. Lengths are
//! checked before memory is taken.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::sync::Arc;

use super::{Array, Network, Numbers};

/// The longest part.
const LONGEST: u64 = 1 << 33;
/// The most parts of a list.
const MOST: u64 = 1 << 20;

#[derive(Debug, Clone)]
pub(super) enum Request {
    Load(Network),
    Replace(Vec<(usize, Vec<u8>)>),
    Run(Vec<Array>, Vec<String>),
}

/// An answer: outputs, of which a load has none, or why there are none.
pub(super) type Reply = Result<Vec<Array>, String>;

fn wrong(fact: &str) -> Error {
    Error::new(ErrorKind::InvalidData, fact)
}

fn write_number(to: &mut impl Write, number: u64) -> io::Result<()> {
    to.write_all(&number.to_le_bytes())
}

fn read_number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read_count(from: &mut impl Read) -> io::Result<usize> {
    let count = read_number(from)?;
    match usize::try_from(count) {
        Ok(small) if count <= MOST => Ok(small),
        _ => Err(wrong("too many parts")),
    }
}

fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write_number(to, bytes.len() as u64)?;
    to.write_all(bytes)
}

fn read_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let len = read_number(from)?;
    if len > LONGEST {
        return Err(wrong("a part is too long"));
    }
    let mut bytes = Vec::new();
    // No more is reserved than comes.
    from.take(len).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == len {
        true => Ok(bytes),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn read_text(from: &mut impl Read) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read_bytes(from)?).into_owned())
}

fn write_array(to: &mut impl Write, array: &Array) -> io::Result<()> {
    write_bytes(to, array.name.as_bytes())?;
    write_number(to, array.shape.len() as u64)?;
    for size in &array.shape {
        write_number(to, *size as u64)?;
    }
    let (kind, bytes) = match &array.numbers {
        Numbers::Float(all) => (0, all.iter().flat_map(|n| n.to_le_bytes()).collect()),
        Numbers::Int(all) => (1, all.iter().flat_map(|n| n.to_le_bytes()).collect()),
        Numbers::Signed(all) => (2, all.iter().flat_map(|n| n.to_le_bytes()).collect()),
        Numbers::Byte(all) => (3, all.clone()),
    };
    write_number(to, kind)?;
    write_bytes(to, &bytes)
}

fn read_array(from: &mut impl Read) -> io::Result<Array> {
    let name = read_text(from)?;
    let dims = read_count(from)?;
    let mut shape = Vec::new();
    for _ in 0..dims {
        shape.push(usize::try_from(read_number(from)?).map_err(|_| wrong("a size is too large"))?);
    }
    let kind = read_number(from)?;
    let bytes = read_bytes(from)?;
    let words = || bytes.as_chunks::<4>().0.iter();
    let numbers = match kind {
        0 => Numbers::Float(words().map(|n| f32::from_le_bytes(*n)).collect()),
        1 => Numbers::Int(words().map(|n| i32::from_le_bytes(*n)).collect()),
        2 => Numbers::Signed(bytes.iter().map(|n| i8::from_le_bytes([*n])).collect()),
        3 => Numbers::Byte(bytes),
        _ => return Err(wrong("numbers of no known kind")),
    };
    let elements = shape.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
    match elements == Some(numbers.len()) {
        true => Ok(Array {
            name,
            shape,
            numbers,
        }),
        false => Err(wrong("a shape and its numbers do not fit")),
    }
}

fn write_arrays(to: &mut impl Write, arrays: &[Array]) -> io::Result<()> {
    write_number(to, arrays.len() as u64)?;
    arrays.iter().try_for_each(|array| write_array(to, array))
}

fn read_arrays(from: &mut impl Read) -> io::Result<Vec<Array>> {
    (0..read_count(from)?).map(|_| read_array(from)).collect()
}

impl Request {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Load(network) => {
                write_number(to, 1)?;
                write_number(to, u64::from(network.optimised))?;
                write_bytes(to, &network.graph)?;
                write_number(to, network.buffers.len() as u64)?;
                for buffer in &network.buffers {
                    write_bytes(to, buffer)?;
                }
            }
            Self::Replace(new) => {
                write_number(to, 2)?;
                write_number(to, new.len() as u64)?;
                for (place, buffer) in new {
                    write_number(to, *place as u64)?;
                    write_bytes(to, buffer)?;
                }
            }
            Self::Run(inputs, outputs) => {
                write_number(to, 3)?;
                write_arrays(to, inputs)?;
                write_number(to, outputs.len() as u64)?;
                for name in outputs {
                    write_bytes(to, name.as_bytes())?;
                }
            }
        }
        to.flush()
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        match read_number(from)? {
            1 => {
                let optimised = read_number(from)? != 0;
                let graph = read_bytes(from)?.into();
                let buffers = (0..read_count(from)?).map(|_| Ok(Arc::from(read_bytes(from)?)));
                let buffers = buffers.collect::<io::Result<_>>()?;
                Ok(Self::Load(Network {
                    graph,
                    buffers,
                    optimised,
                }))
            }
            2 => {
                let mut new = Vec::new();
                for _ in 0..read_count(from)? {
                    let place = usize::try_from(read_number(from)?);
                    let place = place.map_err(|_| wrong("a place is too large"))?;
                    new.push((place, read_bytes(from)?));
                }
                Ok(Self::Replace(new))
            }
            3 => {
                let inputs = read_arrays(from)?;
                let outputs = (0..read_count(from)?).map(|_| read_text(from));
                let outputs = outputs.collect::<io::Result<_>>()?;
                Ok(Self::Run(inputs, outputs))
            }
            _ => Err(wrong("no such message")),
        }
    }
}

pub(super) fn write_reply(to: &mut impl Write, reply: &Reply) -> io::Result<()> {
    match reply {
        Ok(arrays) => {
            write_number(to, 0)?;
            write_arrays(to, arrays)?;
        }
        Err(fact) => {
            write_number(to, 1)?;
            write_bytes(to, fact.as_bytes())?;
        }
    }
    to.flush()
}

pub(super) fn read_reply(from: &mut impl Read) -> io::Result<Reply> {
    match read_number(from)? {
        0 => Ok(Ok(read_arrays(from)?)),
        1 => Ok(Err(read_text(from)?)),
        _ => Err(wrong("no such answer")),
    }
}
