//! Metadata without tensors, for vocabularies made by hand.

use std::collections::BTreeMap;
use std::ops::Range;

use super::*;
use crate::weights::{Number, Numbers, TensorInfo};

#[derive(Debug, Clone, Default)]
pub(super) struct Said(pub(super) BTreeMap<String, Metadata>);

impl Source for Said {
    fn tensors(&self) -> &[TensorInfo] {
        &[]
    }

    fn find(&self, _: &str) -> Option<usize> {
        None
    }

    fn decode(&self, _: usize, _: Range<usize>, _: &mut [f32]) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: usize) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.0.get(key)
    }

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        &self.0
    }

    fn paths(&self) -> Vec<&std::path::Path> {
        Vec::new()
    }

    fn stored_bytes(&self) -> u64 {
        0
    }
}

impl Said {
    pub(super) fn with(mut self, key: &str, value: Metadata) -> Self {
        self.0.insert(format!("tokenizer.ggml.{key}"), value);
        self
    }

    pub(super) fn text(self, key: &str, text: &str) -> Self {
        self.with(key, Metadata::Text(text.into()))
    }

    pub(super) fn id(self, key: &str, id: u32) -> Self {
        self.with(
            &format!("{key}_token_id"),
            Metadata::Number(Number::U32(id)),
        )
    }

    pub(super) fn flag(self, key: &str, flag: bool) -> Self {
        self.with(key, Metadata::Number(Number::Bool(flag)))
    }

    /// Pieces with their kinds.
    pub(super) fn pieces(self, pieces: &[(String, i32)]) -> Self {
        let kinds: Vec<i32> = pieces.iter().map(|(_, kind)| *kind).collect();
        let texts = pieces.iter().map(|(text, _)| text.clone()).collect();
        self.with("tokens", Metadata::Texts(texts))
            .with("token_type", Metadata::Numbers(Numbers::from(&kinds[..])))
    }

    pub(super) fn open(&self) -> Result<Tokenizer> {
        Tokenizer::from_weights(self, Path::new("folder/input"))
    }

    pub(super) fn refusal(&self) -> String {
        let error = self.open().unwrap_err().to_string();
        error.strip_suffix(": folder/input").unwrap().to_owned()
    }
}
