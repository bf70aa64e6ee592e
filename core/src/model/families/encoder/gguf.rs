//! The network of a GGUF of the kind `bert` by its metadata (<https://github.com/ggml-org/llama.cpp>, `src/models/bert.cpp`).

use super::{EncoderConfig, Pooling};
use crate::model::families::decoder::{Function, Number};
use crate::weights::{Metadata, Source};

/// The kind in `general.architecture`.
const KIND: &str = "bert";

impl EncoderConfig {
    /// Whether a GGUF says that it is of a kind that is read here.
    pub(crate) fn is_gguf(source: &dyn Source) -> bool {
        let kind = source.metadata("general.architecture");
        kind.and_then(Metadata::text) == Some(KIND)
    }

    /// The network of a GGUF by its metadata.
    ///
    /// # Errors
    /// A value is missing or means what is not run here.
    pub(crate) fn of_gguf(source: &dyn Source) -> Result<Self, String> {
        let key = |key: &str| format!("{KIND}.{key}");
        let value = |name: &str| source.metadata(&key(name));
        let missing = |name: &str| format!("its metadata do not say {}", key(name));
        let whole = |name: &str| {
            let size = value(name).and_then(Metadata::unsigned);
            let size = size.and_then(|size| usize::try_from(size).ok());
            size.ok_or_else(|| missing(name))
        };
        let refused = |name: &str, said: &str| {
            Err(format!(
                "its metadata say {} = {said}, which is not run here yet",
                key(name)
            ))
        };
        let table = |name: &str| {
            let at = source.find(name)?;
            match source.tensors()[at].shape[..] {
                [rows, width] => Some((rows, width)),
                _ => None,
            }
        };
        let needed = |name: &str| {
            table(name).ok_or_else(|| format!("tensor '{name}' is missing or no table"))
        };
        if value("attention.causal").and_then(Metadata::flag) == Some(true) {
            return refused("attention.causal", "true");
        }
        let (vocabulary, width) = needed("token_embd.weight")?;
        let (places, _) = needed("position_embd.weight")?;
        let pooling = match value("pooling_type").map(Metadata::unsigned) {
            // Where nothing is said, sentences are compared by the mean.
            None | Some(Some(0 | 1)) => Pooling::Mean,
            Some(Some(2)) => Pooling::First,
            Some(Some(3)) => Pooling::Last,
            Some(said) => {
                let said = said.map_or_else(|| "no number".to_owned(), |said| said.to_string());
                return refused("pooling_type", &said);
            }
        };
        let epsilon = "attention.layer_norm_epsilon";
        let epsilon = value(epsilon)
            .and_then(Metadata::float)
            .ok_or_else(|| missing(epsilon))?;
        Ok(Self {
            vocabulary,
            // The rows before those of positions that are used were left out when the file was made.
            context: whole("context_length")?.min(places),
            first_position: 0,
            types: table("token_types.weight").map_or(0, |(rows, _)| rows),
            width,
            blocks: whole("block_count")?,
            heads: whole("attention.head_count")?,
            hidden: whole("feed_forward_length")?,
            epsilon: Number(epsilon as f32),
            function: Function::GeluExact,
            fused: source.find("blk.0.attn_qkv.weight").is_some(),
            pooling,
        })
    }
}
