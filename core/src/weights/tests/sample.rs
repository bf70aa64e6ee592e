//! A small writer of GGUF files, of right ones and of lying ones.

use super::*;

#[derive(Clone)]
pub(super) struct Sample {
    pub(super) version: u32,
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) tensors: Vec<Tensor>,
    /// Lies about their number.
    pub(super) tensor_count: Option<u64>,
    pub(super) key_count: Option<u64>,
}

#[derive(Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) dims: Vec<u64>,
    pub(super) format: u32,
    pub(super) data: Vec<u8>,
    /// A lie about where it begins.
    pub(super) offset: Option<u64>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            version: 3,
            keys: Vec::new(),
            tensors: Vec::new(),
            tensor_count: None,
            key_count: None,
        }
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

impl Sample {
    pub(super) fn key(mut self, name: &str, kind: u32, value: &[u8]) -> Self {
        let mut key = Vec::new();
        text(&mut key, name);
        key.extend(kind.to_le_bytes());
        key.extend(value);
        self.keys.push(key);
        self
    }

    pub(super) fn u16(self, name: &str, value: u16) -> Self {
        self.key(name, 2, &value.to_le_bytes())
    }

    pub(super) fn tensor(mut self, name: &str, dims: &[u64], format: u32, data: &[u8]) -> Self {
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dims: dims.to_vec(),
            format,
            data: data.to_vec(),
            offset: None,
        });
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        let tensors = self.tensor_count.unwrap_or(self.tensors.len() as u64);
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(
            self.key_count
                .unwrap_or(self.keys.len() as u64)
                .to_le_bytes(),
        );
        bytes.extend(self.keys.concat());
        let mut data = Vec::new();
        for tensor in &self.tensors {
            text(&mut bytes, &tensor.name);
            bytes.extend((tensor.dims.len() as u32).to_le_bytes());
            for extent in &tensor.dims {
                bytes.extend(extent.to_le_bytes());
            }
            bytes.extend(tensor.format.to_le_bytes());
            bytes.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(data);
        bytes
    }

    pub(super) fn open(&self) -> Result<Box<dyn Source>> {
        open_bytes(self.bytes(), Path::new("folder/input"))
    }

    /// Why it is refused; it ends with the path.
    pub(super) fn refusal(&self) -> String {
        let error = self.open().unwrap_err().to_string();
        error.strip_suffix(": folder/input").unwrap().to_owned()
    }
}
