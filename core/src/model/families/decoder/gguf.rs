//! The network of a GGUF by its metadata.

use super::form::{Form, Mixture, NormRule, Norms, Scales, Slopes};
use super::kinds::{Biases, Kind, OTHER_KEYS, PAPERS, Parallel, Shared, Windows};
use super::{DecoderConfig, Number};
use crate::graph::Factors;
use crate::weights::{Metadata, Source};

/// Blocks of which it is listed one by one whether they have a window; far above any network that is run here.
const MOST_BLOCKS: usize = 1 << 16;

/// The metadata and tensors of a file of a kind.
struct Reading<'a> {
    source: &'a dyn Source,
    kind: &'static Kind,
}

impl DecoderConfig {
    /// Whether networks of the kind that a GGUF says it is of can be run.
    pub(crate) fn knows(source: &dyn Source) -> bool {
        let name = source.metadata("general.architecture");
        name.and_then(Metadata::text)
            .and_then(Kind::named)
            .is_some()
    }

    /// The network of a GGUF by its metadata (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
    ///
    /// # Errors
    /// The network is of another family, or a value is missing or means what is not run here.
    pub(crate) fn of_gguf(source: &dyn Source) -> Result<Self, String> {
        let name = "general.architecture";
        let Some(name) = source.metadata(name).and_then(Metadata::text) else {
            return Err(format!("its metadata do not say {name}"));
        };
        let Some(kind) = Kind::named(name) else {
            return Err(format!(
                "this is a GGUF of the kind '{name}', whose network is not run here yet"
            ));
        };
        let file = Reading { source, kind };
        file.refuse_others()?;
        let Some(&[vocabulary, width]) = file.shape("token_embd.weight") else {
            return Err("tensor 'token_embd.weight' is missing or no table".to_owned());
        };
        let heads = file.whole("attention.head_count")?;
        let head_width = file
            .perhaps("attention.key_length")?
            .unwrap_or(width / heads.max(1));
        let value_width = file.perhaps("attention.value_length")?;
        if value_width.is_some_and(|width| width != head_width) {
            return Err("its keys and values are of different widths".to_owned());
        }
        let epsilon = match kind.norm {
            NormRule::RootMeanSquare => "attention.layer_norm_rms_epsilon",
            NormRule::Layer | NormRule::LayerScaled | NormRule::LayerBare => {
                "attention.layer_norm_epsilon"
            }
        };
        let epsilon = file.float(epsilon).ok_or_else(|| file.missing(epsilon))?;
        let blocks = file.whole("block_count")?;
        let form = file.form((width, heads, blocks))?;
        let context = file.whole("context_length")?;
        Ok(Self {
            vocabulary,
            // The table for short contexts is used; longer ones would need the other.
            context: match file.perhaps("rope.scaling.original_context_length")? {
                Some(original) if form.short_factors => context.min(original),
                _ => context,
            },
            width,
            blocks,
            heads,
            kv_heads: file.perhaps("attention.head_count_kv")?.unwrap_or(heads),
            head_width,
            hidden: match form.mixture {
                // Experts alone may have no other width.
                Some(mixture) => file
                    .perhaps("feed_forward_length")?
                    .unwrap_or(mixture.width),
                None => file.whole("feed_forward_length")?,
            },
            base: Number(file.float("rope.freq_base").unwrap_or(10_000.0) as f32),
            rotary: file.perhaps("rope.dimension_count")?.unwrap_or(head_width),
            interleaved: kind.interleaved,
            factors: file.has(Factors::ONE),
            epsilon: Number(epsilon as f32),
            tied: !file.has("output.weight"),
            biases: file.has("blk.0.attn_q.bias") || file.has("blk.0.attn_qkv.bias"),
            head_norms: file.has("blk.0.attn_q_norm.weight"),
            window: file.window()?,
            form,
        })
    }
}

impl<'a> Reading<'a> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.kind.name)
    }

    fn value(&self, key: &str) -> Option<&'a Metadata> {
        self.source.metadata(&self.key(key))
    }

    fn missing(&self, key: &str) -> String {
        format!("its metadata do not say {}", self.key(key))
    }

    fn whole(&self, key: &str) -> Result<usize, String> {
        let value = self.value(key).and_then(Metadata::unsigned);
        let size = value.and_then(|value| usize::try_from(value).ok());
        size.ok_or_else(|| self.missing(key))
    }

    /// A whole number that need not be there.
    fn perhaps(&self, key: &str) -> Result<Option<usize>, String> {
        self.value(key).map(|_| self.whole(key)).transpose()
    }

    fn float(&self, key: &str) -> Option<f64> {
        self.value(key).and_then(Metadata::float)
    }

    fn number(&self, key: &str) -> Option<Number> {
        self.float(key).map(|number| Number(number as f32))
    }

    /// A number that the kind reads, where it is not the one that changes nothing.
    fn other(&self, key: &str) -> Option<Number> {
        let plain = OTHER_KEYS.iter().find(|(other, _)| *other == key)?.1;
        let number = self.float(key).filter(|number| *number != plain)?;
        // Zero stands for none.
        (number != 0.0).then_some(Number(number as f32))
    }

    fn shape(&self, name: &str) -> Option<&'a [usize]> {
        let at = self.source.find(name)?;
        Some(&self.source.tensors()[at].shape)
    }

    fn has(&self, tensor: &str) -> bool {
        self.source.find(tensor).is_some()
    }

    /// Refuses what the kind does not read and would change its results.
    fn refuse_others(&self) -> Result<(), String> {
        let refused = |key: &str, value: &str| {
            let key = self.key(key);
            Err(format!(
                "its metadata say {key} = {value}, which is not run here yet"
            ))
        };
        for (key, plain) in OTHER_KEYS {
            match self.float(key) {
                Some(number) if number != plain && !self.kind.reads.contains(&key) => {
                    return refused(key, &number.to_string());
                }
                _ => {}
            }
        }
        if let Some(key) = self.kind.needs.iter().find(|key| self.float(key).is_none()) {
            return Err(self.missing(key));
        }
        let scaling = "rope.scaling.type";
        match self.value(scaling).and_then(Metadata::text) {
            None | Some("none" | "linear") => {}
            Some("longrope") if self.has(Factors::SHORT) => {}
            Some(other) => return refused(scaling, other),
        }
        for (key, plain) in [
            ("attention.causal", true),
            // Whether anything turns at all, where it is said of these.
            ("rope.scaling.finetuned", true),
        ] {
            let said = self.value(key).and_then(Metadata::flag);
            let counts = key != "rope.scaling.finetuned" || self.kind.name.starts_with("granite");
            if said == Some(!plain) && counts {
                return refused(key, "false");
            }
        }
        for (key, whole) in [
            ("attention.key_length_swa", "attention.key_length"),
            ("attention.value_length_swa", "attention.value_length"),
            ("rope.dimension_count_swa", "rope.dimension_count"),
        ] {
            if let Some(local) = self.perhaps(key)?
                && self.perhaps(whole)? != Some(local)
            {
                return refused(key, &local.to_string());
            }
        }
        Ok(())
    }

    /// The window of the blocks that have one.
    fn window(&self) -> Result<Option<usize>, String> {
        let usual = match self.kind.windows {
            Windows::None => return Ok(None),
            Windows::All => None,
            Windows::But { usual, .. } => usual,
        };
        let said = self.perhaps("attention.sliding_window")?;
        Ok(said.or(usual).filter(|window| *window > 0))
    }

    /// Which blocks have a window; empty where all are alike.
    fn local(&self, blocks: usize) -> Result<Vec<bool>, String> {
        let Windows::But { every, .. } = self.kind.windows else {
            return Ok(Vec::new());
        };
        if self.window()?.is_none() {
            return Ok(Vec::new());
        }
        if blocks > MOST_BLOCKS {
            return Err(format!("its metadata have {blocks} blocks"));
        }
        let pattern = "attention.sliding_window_pattern";
        if let Some(said) = self.value(pattern).and_then(Metadata::numbers) {
            let flag = |number: crate::weights::Number| {
                number.flag().or(number.unsigned().map(|number| number > 0))
            };
            let local: Vec<bool> = said.iter().filter_map(flag).take(blocks).collect();
            return match local.len() == blocks {
                true => Ok(local),
                false => Err(self.missing(pattern)),
            };
        }
        let every = self.perhaps(pattern)?.unwrap_or(every);
        // Of none all have one.
        let local = |block: usize| every == 0 || block % every < every - 1;
        Ok((0..blocks).map(local).collect())
    }

    /// Its experts.
    fn mixture(&self) -> Result<Option<Mixture>, String> {
        let Some(experts) = self.kind.experts else {
            return Ok(None);
        };
        let count = self.perhaps("expert_count")?.unwrap_or(0);
        if count == 0 {
            return match experts.always {
                true => Err(self.missing("expert_count")),
                false => Ok(None),
            };
        }
        let active = self.whole("expert_used_count")?;
        let hidden = self.perhaps("feed_forward_length")?;
        let width = match self.perhaps("expert_feed_forward_length")? {
            Some(width) if experts.own_width => Some(width),
            _ if experts.own_width => hidden.map(|hidden| hidden / active.max(1)),
            _ => hidden,
        };
        let said = self.perhaps("expert_shared_feed_forward_length")?;
        let shared = match experts.shared {
            Shared::Gated => said.or(hidden),
            Shared::Said => Some(said.unwrap_or(0)),
            Shared::No => Some(0),
        };
        let (Some(width), Some(shared)) = (width, shared) else {
            return Err(self.missing("feed_forward_length"));
        };
        Ok(Some(Mixture {
            count,
            active,
            width,
            normalised: experts.normalised,
            shared,
            shared_gate: experts.shared == Shared::Gated,
        }))
    }

    /// What it does differently from Llama.
    fn form(&self, (width, heads, blocks): (usize, usize, usize)) -> Result<Form, String> {
        let kind = self.kind;
        let root = |width: usize| Number((width as f32).sqrt());
        let scores = match kind.scaled_by_width {
            Some(size) if size == blocks => Some(Number(1.0 / root(width / heads.max(1)).0)),
            _ => self.other("attention.scale"),
        };
        let scales = Scales {
            embedding: match kind.rooted {
                true => Some(root(width)),
                false => self.other("embedding_scale"),
            },
            residual: self.other("residual_scale"),
            logits: self.other("logit_scale").map(|scale| match kind.name {
                // Multiplied by, and not divided.
                "command-r" => scale,
                _ => Number(1.0 / scale.0),
            }),
            scores,
        };
        let local = self.local(blocks)?;
        let local_base = match kind.windows {
            Windows::But { base, .. } if !local.is_empty() => {
                self.number("rope.freq_base_swa").or(base.map(Number))
            }
            _ => None,
        };
        let none = self.value("rope.scaling.type").and_then(Metadata::text) == Some("none");
        let said = "use_parallel_residual";
        let form = kind.form();
        let alibi = match kind.alibi {
            Biases::No => None,
            Biases::Usual => Some(Number(PAPERS)),
            Biases::Said => self.other("attention.max_alibi_bias"),
        };
        if kind.alibi == Biases::Said && alibi.is_none() {
            return Err(format!(
                "its metadata say {} = 0, which is not run here yet",
                self.key("attention.max_alibi_bias")
            ));
        }
        Ok(Form {
            norm: match form.norm {
                // Some files of these have no shifts.
                NormRule::Layer if kind.name == "mpt" && !self.has("output_norm.bias") => {
                    NormRule::LayerScaled
                }
                norm => norm,
            },
            embedding_norm: self.has("token_embd_norm.weight"),
            alibi: alibi.map(|most| Slopes {
                most,
                rounded: false,
            }),
            norms: match self.has("blk.0.attn_norm_2.weight") {
                true if form.norms == Norms::Once => Norms::Twice,
                _ => form.norms,
            },
            parallel: match kind.parallel {
                Parallel::Said => {
                    let said = self.value(said).and_then(Metadata::flag);
                    said.ok_or_else(|| self.missing("use_parallel_residual"))?
                }
                _ => form.parallel,
            },
            fused: self.has("blk.0.attn_qkv.weight"),
            output_bias: self.has("blk.0.attn_output.bias"),
            feed_biases: self.has("blk.0.ffn_up.bias"),
            head_bias: self.has("output.bias"),
            scales,
            score_cap: self.other("attn_logit_softcapping"),
            logit_cap: self.other("final_logit_softcapping"),
            local,
            local_base,
            divisor: self.other("rope.scaling.factor").filter(|_| !none),
            magnitude: self.other("rope.scaling.attn_factor"),
            short_factors: self.has(Factors::SHORT),
            mixture: self.mixture()?,
            ..form
        })
    }
}
