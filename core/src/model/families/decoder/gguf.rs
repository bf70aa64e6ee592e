//! The network of a GGUF by its metadata.

use super::{DecoderConfig, Number};
use crate::graph::Rotary;
use crate::weights::{Metadata, Source};

impl DecoderConfig {
    /// The network of a GGUF by its metadata (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
    ///
    /// # Errors
    /// The network is of another family, or a value is missing or means what is not run here.
    pub(crate) fn of_gguf(source: &dyn Source) -> Result<Self, String> {
        let name = "general.architecture";
        let Some(kind) = source.metadata(name).and_then(Metadata::text) else {
            return Err(format!("its metadata do not say {name}"));
        };
        // Whether numbers that turn together stand side by side.
        let interleaved = match kind {
            "llama" => true,
            "qwen2" | "qwen3" => false,
            other => {
                return Err(format!(
                    "this is a GGUF of the kind '{other}', whose network is not run here yet"
                ));
            }
        };
        let value = |key: &str| source.metadata(&format!("{kind}.{key}"));
        let missing = |key: &str| format!("its metadata do not say {kind}.{key}");
        let whole = |key: &str| {
            let value = value(key).and_then(Metadata::unsigned);
            let size = value.and_then(|value| usize::try_from(value).ok());
            size.ok_or_else(|| missing(key))
        };
        let float = |key: &str| value(key).and_then(Metadata::float);
        for (key, plain) in [
            ("expert_count", 0.0),
            ("rope.scaling.factor", 1.0),
            ("attention.sliding_window", 0.0),
            ("logit_scale", 1.0),
            ("attn_logit_softcapping", 0.0),
            ("final_logit_softcapping", 0.0),
            ("embedding_scale", 1.0),
            ("residual_scale", 1.0),
            ("attention.scale", 0.0),
        ] {
            match float(key) {
                Some(number) if number != plain => {
                    return Err(format!(
                        "its metadata say {kind}.{key} = {number}, which is not run here yet"
                    ));
                }
                _ => {}
            }
        }
        let shape = |name: &str| source.find(name).map(|at| &source.tensors()[at].shape);
        let Some(&[vocabulary, width]) = shape("token_embd.weight").map(Vec::as_slice) else {
            return Err("tensor 'token_embd.weight' is missing or no table".to_owned());
        };
        let heads = whole("attention.head_count")?;
        let kv_heads = match value("attention.head_count_kv") {
            None => heads,
            Some(_) => whole("attention.head_count_kv")?,
        };
        let head_width = match value("attention.key_length") {
            None => width / heads.max(1),
            Some(_) => whole("attention.key_length")?,
        };
        if value("attention.value_length").is_some()
            && whole("attention.value_length")? != head_width
        {
            return Err("its keys and values are of different widths".to_owned());
        }
        let epsilon = "attention.layer_norm_rms_epsilon";
        Ok(Self {
            vocabulary,
            context: whole("context_length")?,
            width,
            blocks: whole("block_count")?,
            heads,
            kv_heads,
            head_width,
            hidden: whole("feed_forward_length")?,
            base: Number(float("rope.freq_base").unwrap_or(10_000.0) as f32),
            rotary: match value("rope.dimension_count") {
                None => head_width,
                Some(_) => whole("rope.dimension_count")?,
            },
            interleaved,
            factors: source.find(Rotary::FACTORS).is_some(),
            epsilon: Number(float(epsilon).ok_or_else(|| missing(epsilon))? as f32),
            tied: source.find("output.weight").is_none(),
            biases: source.find("blk.0.attn_q.bias").is_some(),
            head_norms: source.find("blk.0.attn_q_norm.weight").is_some(),
            window: None,
        })
    }
}
