//! What a GGUF file says of its network before the weights: architecture, widths and the shapes of its tensors
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>). Only read to say what a refused file is.

use std::collections::BTreeMap;
use std::io::{BufReader, Error, ErrorKind, Read, Result, Seek};

/// The longest name or text that is kept; the format has names of at most 64 bytes and keys of at most 65,535.
const LONGEST_TEXT: u64 = 1 << 16;
/// The most bytes before the tensors' infos that are looked through; vocabularies of 260,000 words take about 10 MB.
const MOST_METADATA: u64 = 256 << 20;
/// The most keys; published files have fewer than a hundred.
const MOST_KEYS: u64 = 10_000;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: u32 = 4;

/// What stands before the weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Summary {
    /// `general.architecture`: "llama", "qwen3".
    pub(super) architecture: String,
    /// `general.name` and `general.basename`, where they are there.
    pub(super) names: Vec<String>,
    /// Whole numbers of the metadata whose keys begin with the architecture, by the rest of the key.
    numbers: BTreeMap<String, u64>,
    /// Words of the vocabulary.
    pub(super) vocabulary: Option<u64>,
    /// Elements of all tensors.
    pub(super) parameters: u64,
}

impl Summary {
    /// A whole number of the metadata: `block_count`, `embedding_length`, `feed_forward_length`, `attention.head_count`,
    /// `attention.head_count_kv`.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        self.numbers.get(key).and_then(|n| u32::try_from(*n).ok())
    }
}

/// Reads what stands before the weights.
///
/// # Errors
/// The file ends early or breaks the format.
pub(super) fn read(file: &mut (impl Read + Seek)) -> Result<Summary> {
    let mut reader = Reader {
        file: BufReader::new(file).take(MOST_METADATA),
    };
    if reader.bytes::<4>()? != *b"GGUF" || !(2..=3).contains(&reader.u32()?) {
        return Err(ErrorKind::InvalidData.into());
    }
    let tensors = reader.u64()?;
    let keys = reader.u64()?;
    if keys > MOST_KEYS {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut summary = Summary::default();
    let mut numbers = BTreeMap::new();
    for _ in 0..keys {
        let key = reader.text()?;
        let kind = reader.u32()?;
        match reader.value(kind)? {
            Value::Text(text) if key == "general.architecture" => summary.architecture = text,
            Value::Text(text) if ["general.name", "general.basename"].contains(&key.as_str()) => {
                summary.names.push(text);
            }
            Value::Array(length) if key == "tokenizer.ggml.tokens" => {
                summary.vocabulary = Some(length);
            }
            Value::Number(number) => {
                numbers.insert(key, number);
            }
            _ => {}
        }
    }
    for _ in 0..tensors {
        reader.text()?;
        let dimensions = reader.u32()?;
        if dimensions > MOST_DIMENSIONS {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut elements = 1_u64;
        for _ in 0..dimensions {
            elements = elements
                .checked_mul(reader.u64()?)
                .ok_or(ErrorKind::InvalidData)?;
        }
        // Type and place.
        reader.bytes::<12>()?;
        summary.parameters = summary
            .parameters
            .checked_add(elements)
            .ok_or(ErrorKind::InvalidData)?;
    }
    let own = format!("{}.", summary.architecture);
    summary.numbers = numbers
        .into_iter()
        .filter_map(|(key, number)| Some((key.strip_prefix(&own)?.to_owned(), number)))
        .collect();
    Ok(summary)
}

/// A value of the metadata, as far as it is of interest.
enum Value {
    Number(u64),
    Text(String),
    /// Its length.
    Array(u64),
    Other,
}

struct Reader<R> {
    file: std::io::Take<BufReader<R>>,
}

impl<R: Read> Reader<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn skip(&mut self, len: u64) -> Result<()> {
        let skipped = std::io::copy(&mut self.file.by_ref().take(len), &mut std::io::sink())?;
        if skipped < len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn text(&mut self) -> Result<String> {
        let len = self.u64()?;
        if len > LONGEST_TEXT {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut bytes = Vec::new();
        self.file.by_ref().take(len).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))
    }

    /// Long texts, such as templates, are passed over.
    fn value(&mut self, kind: u32) -> Result<Value> {
        const TEXT: u32 = 8;
        const ARRAY: u32 = 9;
        Ok(match kind {
            4 => Value::Number(self.u32()?.into()),
            5 => u32::try_from(self.bytes().map(i32::from_le_bytes)?)
                .map_or(Value::Other, |number| Value::Number(number.into())),
            10 => Value::Number(self.u64()?),
            TEXT => {
                let len = self.u64()?;
                if len > LONGEST_TEXT {
                    self.skip(len)?;
                    return Ok(Value::Other);
                }
                let mut bytes = Vec::new();
                self.file.by_ref().take(len).read_to_end(&mut bytes)?;
                String::from_utf8(bytes).map_or(Value::Other, Value::Text)
            }
            ARRAY => {
                let kind = self.u32()?;
                let length = self.u64()?;
                if kind == TEXT {
                    for _ in 0..length {
                        let len = self.u64()?;
                        self.skip(len)?;
                    }
                } else {
                    let bytes = size(kind)?
                        .checked_mul(length)
                        .ok_or(ErrorKind::InvalidData)?;
                    self.skip(bytes)?;
                }
                Value::Array(length)
            }
            other => {
                self.skip(size(other)?)?;
                Value::Other
            }
        })
    }
}

/// Bytes of a value of fixed size.
fn size(kind: u32) -> Result<u64> {
    Ok(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return Err(ErrorKind::InvalidData.into()),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use super::*;

    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }

    /// The head of a file of the shapes of Llama 3.1 8B with one tensor.
    pub(crate) fn sample() -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(8_u64.to_le_bytes());
        for (key, value) in [
            ("general.architecture", "llama"),
            ("general.name", "Meta Llama 3.1 8B Instruct"),
        ] {
            text(&mut bytes, key);
            bytes.extend(8_u32.to_le_bytes());
            text(&mut bytes, value);
        }
        for (key, value) in [
            ("llama.block_count", 32_u32),
            ("llama.embedding_length", 4096),
            ("llama.feed_forward_length", 14336),
            ("llama.attention.head_count", 32),
            ("llama.attention.head_count_kv", 8),
        ] {
            text(&mut bytes, key);
            bytes.extend(4_u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        text(&mut bytes, "tokenizer.ggml.tokens");
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(8_u32.to_le_bytes());
        bytes.extend(3_u64.to_le_bytes());
        for word in ["a", "b", "<s>"] {
            text(&mut bytes, word);
        }
        text(&mut bytes, "token_embd.weight");
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(4096_u64.to_le_bytes());
        bytes.extend(128_256_u64.to_le_bytes());
        bytes.extend([0; 12]);
        bytes
    }

    #[test]
    fn metadata_and_shapes_are_read() {
        let summary = read(&mut Cursor::new(sample())).unwrap();
        assert_eq!(summary.architecture, "llama");
        assert_eq!(summary.names, ["Meta Llama 3.1 8B Instruct"]);
        assert_eq!(summary.number("block_count"), Some(32));
        assert_eq!(summary.vocabulary, Some(3));
        assert_eq!(summary.parameters, 4096 * 128_256);
    }

    #[test]
    fn every_cut_and_every_lying_count_is_an_error() {
        let good = sample();
        for len in 0..good.len() {
            assert!(read(&mut Cursor::new(&good[..len])).is_err(), "{len}");
        }
        for at in [8, 16] {
            let mut lying = good.clone();
            lying[at..at + 8].fill(0xff);
            assert!(read(&mut Cursor::new(lying)).is_err());
        }
    }
}
