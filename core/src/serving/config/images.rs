//! Encoders of images, alone or with one of texts beside them, counted as their published classes build them
//! (huggingface/transformers 5.24, read).

use super::super::architecture::{Biases, Transformer};
use super::super::beside::{Beside, Part, PartWork};
use super::count::{Count, Stack};
use super::keys::{Keys, most};
use super::tower_classes::siglip_head;
use super::towers::Patches;
use crate::error::Result;

/// Layers of an encoder of images and what stands before them.
struct Sees {
    width: u32,
    layers: u32,
    heads: u32,
    inner: u32,
    gated: bool,
    /// Rows of the table of learned positions.
    rows: u32,
    /// Positions that pass through the layers: patches and further tokens.
    tokens: u32,
    /// Biases of queries, keys and values; of other matrices.
    biases: [bool; 2],
    patch: Patches,
    /// What turns patches into vectors, and parameters outside matrices.
    stem: Count,
}

impl Sees {
    fn network(self, mut parts: Vec<Part>) -> Transformer {
        let patches = u64::from(self.patch.count);
        let each = u64::from(self.patch.elements);
        let work = PartWork {
            macs: self.stem.weights.saturating_mul(patches),
            reads: each.saturating_mul(patches),
            writes: u64::from(self.width).saturating_mul(patches),
        };
        parts.insert(0, self.stem.part("patches", self.width, Some(work)));
        Transformer {
            hidden: self.width,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.heads,
            head_dim: self.width / self.heads.max(1),
            ffn: self.inner,
            gated: self.gated,
            vocabulary: 0,
            tied: true,
            window: None,
            experts: None,
            latent: None,
            attention_weights: None,
            encoder: true,
            positions: self.rows,
            biases: Biases {
                norms: true,
                queries_keys_values: self.biases[0],
                others: self.biases[1],
            },
            blocks: Vec::new(),
            tables: Vec::new(),
            beside: Beside {
                parts,
                patches: self.tokens,
                ..Beside::default()
            },
        }
    }
}

/// A matrix that one vector of an image passes.
fn once(name: &str, shape: (u32, u32), bias: bool) -> Part {
    let mut count = Count::default();
    count.matrix(shape, bias);
    let work = PartWork {
        macs: count.weights,
        reads: u64::from(shape.1),
        writes: u64::from(shape.0),
    };
    count.part(name, shape.1, Some(work))
}

impl Keys<'_> {
    /// An encoder of images, and what is noted of it; `None` where the file is of another kind.
    pub(super) fn images(&self, notes: &mut Vec<String>) -> Result<Option<Transformer>> {
        let kind = self.text("model_type")?;
        Ok(Some(match kind {
            "vit" | "deit" => self.vit(kind == "deit")?,
            "dinov2" | "dinov2_with_registers" => self.dinov2(kind != "dinov2")?,
            "dinov3_vit" => self.dinov3()?,
            "clip_vision_model" => {
                let mut parts = Vec::new();
                if self.class()?.ends_with("WithProjection") {
                    let to = self.or(&["projection_dim"], 512, most::WIDTH)?;
                    let width = self.or(&["hidden_size"], 768, most::WIDTH)?;
                    parts.push(once("projection", (to, width), false));
                }
                self.clip_images()?.network(parts)
            }
            "siglip_vision_model" => self.siglip_images(false)?,
            "siglip2_vision_model" => self.siglip_images(true)?,
            "clip" | "siglip" | "siglip2" => {
                notes.push(
                    "'text_config': the encoder of texts lies in memory; it works once for each text, which is not counted"
                        .to_owned(),
                );
                self.with_texts(kind)?
            }
            _ => return Ok(None),
        }))
    }

    fn class(&self) -> Result<&str> {
        let classes = self.texts("architectures")?.unwrap_or_default();
        Ok(classes.first().copied().unwrap_or_default())
    }

    /// Heads, which divide the width.
    fn equal_heads(&self, width: u32, usual: u32) -> Result<u32> {
        let heads = self.or(&["num_attention_heads"], usual, most::PARTS)?;
        self.divisible((&["hidden_size"], width), (&["num_attention_heads"], heads))?;
        Ok(heads)
    }

    /// Classes that a network tells apart.
    fn labels(&self) -> Result<u32> {
        match self.value("id2label") {
            Some(serde_json::Value::Object(map)) => {
                Ok(u32::try_from(map.len()).unwrap_or(u32::MAX).max(1))
            }
            Some(other) => self.wrong("id2label", other, "a part with keys of its own"),
            None => self.or(&["num_labels"], 2, most::VOCABULARY),
        }
    }

    /// `ViT` (Dosovitskiy et al. 2021), and `DeiT` with a second token.
    fn vit(&self, distilled: bool) -> Result<Transformer> {
        let width = self.or(&["hidden_size"], 768, most::WIDTH)?;
        let patch = self.patches(224, 16)?;
        let tokens = if distilled { 2 } else { 1 };
        let mut stem = Count::default();
        stem.matrix((width, patch.elements), true)
            .vectors(tokens, width);
        let class = self.class()?;
        let mut parts = Vec::new();
        if class.contains("ForImageClassification") {
            let heads = if class.ends_with("WithTeacher") { 2 } else { 1 };
            for _ in 0..heads {
                parts.push(once("classifier", (self.labels()?, width), true));
            }
        } else if class.ends_with("Model") {
            parts.push(once("pooler", (width, width), true));
        }
        let all = patch.count.saturating_add(tokens);
        let sees = Sees {
            width,
            layers: self.or(&["num_hidden_layers"], 12, most::LAYERS)?,
            heads: self.equal_heads(width, 12)?,
            inner: self.or(&["intermediate_size"], 3072, most::WIDTH)?,
            gated: false,
            rows: all,
            tokens: all,
            biases: [self.flag("qkv_bias")?.unwrap_or(true), true],
            patch,
            stem,
        };
        Ok(sees.network(parts))
    }

    /// `DINOv2` (Oquab et al. 2023), perhaps with registers (Darcet et al. 2024).
    fn dinov2(&self, registers: bool) -> Result<Transformer> {
        let width = self.or(&["hidden_size"], 768, most::WIDTH)?;
        let patch = self.patches(224, if registers { 16 } else { 14 })?;
        let layers = self.or(&["num_hidden_layers"], 12, most::LAYERS)?;
        let registers = if registers {
            self.maybe(&["num_register_tokens"], most::PARTS)?
                .unwrap_or(4)
        } else {
            0
        };
        let ratio = self.or(&["mlp_ratio"], 4, 64)?;
        let gated = self.flag("use_swiglu_ffn")?.unwrap_or(false);
        let inner = width.saturating_mul(ratio);
        let inner = if gated {
            (inner / 3 * 2 + inner % 3 * 2 / 3).div_ceil(8) * 8
        } else {
            inner
        };
        let masked = u32::from(self.flag("use_mask_token")?.unwrap_or(true));
        let mut stem = Count::default();
        stem.matrix((width, patch.elements), true)
            .vectors(masked.saturating_add(registers).saturating_add(1), width)
            // Results of both halves of a layer are scaled.
            .vectors(layers.saturating_mul(2), width);
        let mut parts = Vec::new();
        if self.class()?.contains("ForImageClassification") {
            let both = width.saturating_mul(2);
            parts.push(once("classifier", (self.labels()?, both), true));
        }
        let sees = Sees {
            width,
            layers,
            heads: self.equal_heads(width, 12)?,
            inner,
            gated,
            rows: patch.count.saturating_add(1),
            tokens: patch.count.saturating_add(registers).saturating_add(1),
            biases: [self.flag("qkv_bias")?.unwrap_or(true), true],
            patch,
            stem,
        };
        Ok(sees.network(parts))
    }

    /// `DINOv3`: rotary positions, and biases one by one.
    fn dinov3(&self) -> Result<Transformer> {
        let width = self.or(&["hidden_size"], 384, most::WIDTH)?;
        let patch = self.patches(224, 16)?;
        let layers = self.or(&["num_hidden_layers"], 12, most::LAYERS)?;
        let inner = self.or(&["intermediate_size"], 1536, most::WIDTH)?;
        let gated = self.flag("use_gated_mlp")?.unwrap_or(false);
        let registers = self
            .maybe(&["num_register_tokens"], most::PARTS)?
            .unwrap_or(0);
        let has =
            |name: &str, usual| -> Result<u32> { Ok(u32::from(self.flag(name)?.unwrap_or(usual))) };
        let each = has("query_bias", true)? + has("key_bias", false)? + has("value_bias", true)?;
        let output = has("proj_bias", true)?;
        let feed = has("mlp_bias", true)?;
        let ups = if gated { 2 } else { 1 };
        let mut stem = Count::default();
        stem.matrix((width, patch.elements), true)
            .vectors(registers.saturating_add(2), width)
            .vectors(layers.saturating_mul(2 + each + output + feed), width)
            .vectors(layers.saturating_mul(feed * ups), inner);
        let sees = Sees {
            width,
            layers,
            heads: self.equal_heads(width, 6)?,
            inner,
            gated,
            rows: 0,
            tokens: patch.count.saturating_add(registers).saturating_add(1),
            biases: [false; 2],
            patch,
            stem,
        };
        Ok(sees.network(Vec::new()))
    }

    /// CLIP's encoder of images (Radford et al. 2021).
    fn clip_images(&self) -> Result<Sees> {
        let width = self.or(&["hidden_size"], 768, most::WIDTH)?;
        let patch = self.patches(224, 32)?;
        let all = patch.count.saturating_add(1);
        let mut stem = Count::default();
        // A token of the class and a normalisation before the layers.
        stem.matrix((width, patch.elements), false)
            .vectors(3, width);
        Ok(Sees {
            width,
            layers: self.or(&["num_hidden_layers"], 12, most::LAYERS)?,
            heads: self.equal_heads(width, 12)?,
            inner: self.or(&["intermediate_size"], 3072, most::WIDTH)?,
            gated: false,
            rows: all,
            tokens: all,
            biases: [true; 2],
            patch,
            stem,
        })
    }

    /// `SigLIP`'s (Zhai et al. 2023) and `SigLIP` 2's, which takes images of any shape.
    fn siglip_images(&self, second: bool) -> Result<Transformer> {
        let width = self.or(&["hidden_size"], 768, most::WIDTH)?;
        let inner = self.or(&["intermediate_size"], 3072, most::WIDTH)?;
        let mut patch = self.patches(most::LATENTS.min(224), 16)?;
        if second {
            patch.count = self.or(&["num_patches"], 256, most::TOKENS)?;
        }
        let mut stem = Count::default();
        stem.matrix((width, patch.elements), true);
        let mut parts = Vec::new();
        if self.flag("vision_use_head")?.unwrap_or(true) {
            let head = siglip_head(width, inner);
            let (wide, count) = (u64::from(width), u64::from(patch.count));
            // Keys and values of all patches, the two products of attention, and the rest for one vector.
            let keys = wide.saturating_mul(wide).saturating_mul(2);
            let scores = wide.saturating_mul(count).saturating_mul(2);
            let macs = (head.weights.saturating_sub(keys))
                .saturating_add(keys.saturating_mul(count))
                .saturating_add(scores);
            let work = PartWork {
                macs,
                reads: wide.saturating_mul(count),
                writes: wide.saturating_mul(count).saturating_mul(2),
            };
            parts.push(head.part("head", width, Some(work)));
        }
        let sees = Sees {
            width,
            layers: self.or(&["num_hidden_layers"], 12, most::LAYERS)?,
            heads: self.equal_heads(width, 12)?,
            inner,
            gated: false,
            rows: patch.count,
            tokens: patch.count,
            biases: [true; 2],
            patch,
            stem,
        };
        Ok(sees.network(parts))
    }

    /// An encoder of images with one of texts beside it, which lies in memory.
    fn with_texts(&self, kind: &str) -> Result<Transformer> {
        let nothing = serde_json::Value::Object(serde_json::Map::new());
        let part = |name| -> Result<Keys<'_>> {
            Ok(match self.inner(name)? {
                Some(keys) => keys,
                None => Keys::new(&nothing, self.path),
            })
        };
        let (text, vision) = (part("text_config")?, part("vision_config")?);
        let clip = kind == "clip";
        let (width, inner, words, positions) = if clip {
            (512, 2048, 49_408, 77)
        } else {
            (768, 3072, 32_000, 64)
        };
        let width = text.or(&["hidden_size"], width, most::WIDTH)?;
        let inner = text.or(&["intermediate_size"], inner, most::WIDTH)?;
        let words = text.or(&["vocab_size"], words, most::VOCABULARY)?;
        let positions = text.or(&["max_position_embeddings"], positions, most::TOKENS)?;
        let layers = text.or(&["num_hidden_layers"], 12, most::LAYERS)?;
        let mut texts = Count::default();
        texts
            .matrix((words, width), false)
            .matrix((positions, width), false)
            .stack(Stack::plain(layers, width, inner))
            .vectors(2, width);
        let mut network = if clip {
            let to = self.or(&["projection_dim"], 512, most::WIDTH)?;
            let sees = vision.clip_images()?;
            texts.matrix((to, width), false).vectors(1, 1);
            let projection = once("projection", (to, sees.width), false);
            sees.network(vec![projection])
        } else {
            let network = vision.siglip_images(kind == "siglip2")?;
            let to = text.or(&["projection_size"], width, most::WIDTH)?;
            texts.matrix((to, width), true).vectors(2, 1);
            network
        };
        network.beside.parts.push(texts.part("texts", width, None));
        Ok(network)
    }
}
