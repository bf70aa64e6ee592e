//! What the network of a configuration does differently from Llama.

use super::super::kinds::Parallel;
use super::super::{Form, Mixture, NormRule, Number, Scales, Slopes};
use super::angles::Angles;
use super::gguf;
use super::kinds::Biases;
use super::{Reader, not_run};

impl Reader<'_> {
    /// Whether queries, keys and values, what attention gives, the feed-forward layer, and the head have biases.
    pub(super) fn biases(&self) -> Result<[bool; 4], String> {
        Ok(match self.kind.biases {
            Biases::None => [false; 4],
            Biases::Queries(key, usual) => [self.flag_or(key, usual)?, false, false, false],
            Biases::Attention(key, usual) => {
                let said = self.flag_or(key, usual)?;
                [said, said, false, false]
            }
            Biases::Feed(key, usual) => {
                let said = self.flag_or(key, usual)?;
                [said, said, true, false]
            }
            Biases::Blocks(key, usual) => {
                let said = self.flag_or(key, usual)?;
                [said, said, said, false]
            }
            Biases::FeedAndHead => [false, false, true, true],
            Biases::All => [true; 4],
        })
    }

    /// A number above zero.
    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>, String> {
        let number = self.float(key)?;
        match number.filter(|number| !(*number > 0.0 && number.is_finite())) {
            Some(number) => Err(not_run(key, &number.into())),
            None => Ok(number),
        }
    }

    fn scales(&self, width: usize) -> Result<Scales, String> {
        let number = |value: f64| Number(value as f32);
        let usual = |key: &str| -> Result<Option<f64>, String> {
            Ok(self.positive(key)?.filter(|scale| *scale != 1.0))
        };
        let in_gguf = self.kind.in_gguf()?;
        let mut scales = Scales::default();
        if in_gguf.rooted {
            scales.embedding = Some(number((width as f64).sqrt()));
        }
        if self.kind.gguf == "granite" {
            scales.embedding = usual("embedding_multiplier")?.map(number);
            scales.residual = usual("residual_multiplier")?.map(number);
            scales.logits = usual("logits_scaling")?.map(|scale| number(1.0 / scale));
            scales.scores = Some(number(
                self.positive("attention_multiplier")?.unwrap_or(1.0),
            ));
        }
        if matches!(self.kind.gguf, "gemma2" | "gemma3") {
            let key = "query_pre_attn_scalar";
            let scale = self.positive(key)?.unwrap_or(256.0);
            scales.scores = Some(number(1.0 / scale.sqrt()));
        }
        if self.kind.name == "cohere" {
            let scale = self.positive("logit_scale")?.unwrap_or(0.0625);
            scales.logits = Some(number(scale)).filter(|scale| scale.0 != 1.0);
        }
        if self.kind.name == "mpt" {
            scales.scores = self.scale_of_mpt()?.map(number);
        }
        Ok(scales)
    }

    /// A cap that the kind has unless the file says that it has none.
    fn cap(&self, key: &str, usual: f64) -> Result<Option<Number>, String> {
        if !self.kind.reads.contains(&key) {
            return Ok(None);
        }
        let cap = match self.config.contains_key(key) {
            true => self.positive(key)?,
            false => Some(usual).filter(|_| self.kind.gguf == "gemma2"),
        };
        Ok(cap.map(|cap| Number(cap as f32)))
    }

    fn mixture(&self) -> Result<Option<Mixture>, String> {
        let Some(experts) = self.kind.experts else {
            return Ok(None);
        };
        let mut count = None;
        for key in experts.count {
            count = count.or(self.whole(key)?);
        }
        let count =
            count.ok_or_else(|| format!("its config.json does not say {}", experts.count[0]))?;
        // Blocks without experts.
        let dense = self.value("mlp_only_layers");
        if let Some(layers) = dense.filter(|layers| layers.as_array().is_none_or(|l| !l.is_empty()))
        {
            return Err(not_run("mlp_only_layers", layers));
        }
        let step = self.whole("decoder_sparse_step")?.unwrap_or(1);
        if step != 1 {
            return Err(not_run("decoder_sparse_step", &step.into()));
        }
        let shared = match experts.shared {
            Some(key) => self.size(key)?,
            None => 0,
        };
        Ok(Some(Mixture {
            count,
            active: self.size("num_experts_per_tok")?,
            width: self.size(experts.width)?,
            normalised: match experts.normalised {
                Some(normalised) => normalised,
                None => self.flag("norm_topk_prob")?,
            },
            shared,
            shared_gate: experts.shared.is_some(),
        }))
    }

    /// Every n-th block does not turn; 0: all do.
    fn unturned(&self, blocks: usize) -> Result<usize, String> {
        let usual = self.kind.in_gguf()?.unturned_every;
        if usual == 0 {
            return Ok(0);
        }
        let key = "no_rope_layers";
        let every = self.whole("no_rope_layer_interval")?.unwrap_or(usual);
        let Some(turned) = self.value(key) else {
            return match every {
                0 => Err(not_run("no_rope_layer_interval", &every.into())),
                every => Ok(every),
            };
        };
        let turns: Option<Vec<bool>> = turned
            .as_array()
            .and_then(|all| all.iter().map(|one| Some(one.as_u64()? != 0)).collect());
        let turns = turns.filter(|turns| turns.len() >= blocks);
        let turns = turns.ok_or_else(|| not_run(key, turned))?;
        // The rhythm that the list has.
        let first = turns.iter().take(blocks).position(|turns| !turns);
        let every = first.map_or(0, |first| first + 1);
        let fits =
            |block: usize| turns[block] == (every == 0 || !(block + 1).is_multiple_of(every));
        match (0..blocks).all(fits) {
            true => Ok(every),
            false => Err(not_run(key, turned)),
        }
    }

    pub(super) fn form(
        &self,
        (width, blocks): (usize, usize),
        angles: &Angles,
        local: Vec<bool>,
    ) -> Result<Form, String> {
        let number = |value: f64| Number(value as f32);
        let [_, output_bias, feed_biases, head_bias] = self.biases()?;
        let has_fused = self.kind.names.is_fused();
        let kind = self.kind.in_gguf()?;
        let usual = kind.form();
        let residual = "use_parallel_residual";
        let neox = kind.parallel == Parallel::Said;
        if !neox && self.flag(residual)? {
            return Err(not_run(residual, &true.into()));
        }
        let (norms, parallel) = match self.kind.name {
            "falcon" => self.parts_of_falcon()?,
            _ if neox => (usual.norms, self.flag_or(residual, true)?),
            _ => (usual.norms, usual.parallel),
        };
        let rounded = self.kind.name == "falcon";
        let alibi = kind.alibi != gguf::Biases::No || (rounded && self.flag("alibi")?);
        if !local.is_empty() && angles.local_base.is_none() && angles.divisor().is_some() {
            return Err(
                "some of its blocks look back over a window and its positions are divided, which is not run here yet"
                    .to_owned(),
            );
        }
        Ok(Form {
            fused: has_fused,
            norms,
            parallel,
            function: self.function()?,
            output_bias,
            feed_biases,
            head_bias,
            unturned_every: self.unturned(blocks)?,
            scales: self.scales(width)?,
            score_cap: self.cap("attn_logit_softcapping", 50.0)?,
            logit_cap: self.cap("final_logit_softcapping", 30.0)?,
            local_base: match local.is_empty() {
                true => None,
                false => angles.local_base.map(number),
            },
            local,
            divisor: angles.divisor().filter(|by| *by != 1.0).map(number),
            magnitude: angles.magnitude().filter(|by| *by != 1.0).map(number),
            short_factors: angles.has_short(),
            embedding_norm: self.kind.name == "bloom",
            alibi: alibi.then_some(Slopes {
                most: Number(gguf::PAPERS),
                rounded,
            }),
            mixture: self.mixture()?,
            // Its classes have no shifts.
            norm: match self.kind.name {
                "mpt" => NormRule::LayerScaled,
                _ => usual.norm,
            },
            ..usual
        })
    }
}
