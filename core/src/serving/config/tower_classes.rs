//! Classes of towers of images, each counted as huggingface/transformers 5.24 builds it (read).

use super::count::{Count, Stack};
use super::keys::{Keys, most};
use super::towers::{Patches, Tower};
use crate::error::Result;

/// Classes of towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Clip,
    Siglip,
    Pixtral,
    Qwen2,
    Qwen25,
    Qwen3,
    Glm4,
    Llama4,
    Intern,
    Kimi,
    Gemma4,
    Mllama,
}

/// The class of a tower by its own type, or that of the network.
pub(super) fn class_of(name: &str) -> Option<Class> {
    Some(match name {
        "clip_vision_model" => Class::Clip,
        "siglip_vision_model"
        | "gemma3"
        | "paligemma"
        | "idefics3"
        | "idefics3_vision"
        | "smolvlm"
        | "smolvlm_vision"
        | "shieldgemma2" => Class::Siglip,
        "pixtral" | "mistral3" => Class::Pixtral,
        "qwen2_vl" | "qwen2_vl_vision" => Class::Qwen2,
        "qwen2_5_vl" | "qwen2_5_vl_vision" => Class::Qwen25,
        "qwen3_vl"
        | "qwen3_vl_vision"
        | "qwen3_vl_moe"
        | "qwen3_vl_moe_vision"
        | "qwen3_5"
        | "qwen3_5_vision"
        | "qwen3_5_moe"
        | "qwen3_5_moe_vision" => Class::Qwen3,
        "glm4v" | "glm4v_vision" | "glm4v_moe" | "glm4v_moe_vision" => Class::Glm4,
        "llama4" | "llama4_vision_model" => Class::Llama4,
        "internvl_vision" | "intern_vit_6b" | "internvl" => Class::Intern,
        "kimi_k25" | "kimi_k25_vision" => Class::Kimi,
        "gemma4" | "gemma4_vision" => Class::Gemma4,
        "mllama" | "mllama_vision_model" => Class::Mllama,
        _ => return None,
    })
}

const WIDTH: &[&str] = &["hidden_size"];
const LAYERS: &[&str] = &["num_hidden_layers"];
const DEPTH: &[&str] = &["depth", "num_hidden_layers"];
const INNER: &[&str] = &["intermediate_size"];

impl Keys<'_> {
    /// A tower; or the key that is missing.
    pub(super) fn tower_of(
        &self,
        class: Class,
        text: u32,
    ) -> Result<std::result::Result<Tower, &'static str>> {
        macro_rules! sizes {
            ($names:expr, $usual:expr) => {
                match self.sizes($names, $usual)? {
                    Ok(sizes) => sizes,
                    Err(key) => return Ok(Err(key)),
                }
            };
        }
        let mut count = Count::default();
        let plain = [WIDTH, LAYERS, INNER];
        let tower = match class {
            Class::Clip => {
                let [width, layers, inner] = sizes!(plain, [768, 12, 3072]);
                self.clip_vision(&mut count, width, layers, inner)?;
                (width, width)
            }
            Class::Siglip => {
                let [width, layers, inner] = sizes!(plain, [768, 12, 3072]);
                let head = self.flag("vision_use_head")?.unwrap_or(false);
                self.siglip_vision(&mut count, width, layers, inner, head)?;
                (width, width)
            }
            Class::Pixtral => {
                let [width, layers, inner] = sizes!(plain, [1024, 24, 4096]);
                let patch = self.patches(1024, 16)?;
                count
                    .matrix((width, patch.elements), false)
                    .vectors(1, width)
                    .stack(Stack {
                        gated: true,
                        biases: [false; 3],
                        vectors: 2,
                        ..Stack::plain(layers, width, inner)
                    });
                (width, width)
            }
            Class::Qwen2 => {
                let ratio = self.or(&["mlp_ratio"], 4, 64)?;
                let width = self.or(&["embed_dim"], 1280, most::WIDTH)?;
                let layers = self.or(DEPTH, 32, most::LAYERS)?;
                let to = self.or(&["hidden_size"], text, most::WIDTH)?;
                let inner = width.saturating_mul(ratio);
                let (elements, merged) = self.merged(14, width)?;
                count
                    .matrix((width, elements), false)
                    .stack(Stack::plain(layers, width, inner))
                    .vectors(2, width)
                    .matrix((merged, merged), true)
                    .matrix((to, merged), true);
                (width, 0)
            }
            Class::Qwen25 => {
                let [width, layers, inner] = sizes!([WIDTH, DEPTH, INNER], [1280, 32, 3420]);
                let to = self.or(&["out_hidden_size"], text, most::WIDTH)?;
                let (elements, merged) = self.merged(14, width)?;
                count
                    .matrix((width, elements), false)
                    .stack(Stack {
                        gated: true,
                        vectors: 2,
                        ..Stack::plain(layers, width, inner)
                    })
                    .vectors(1, width)
                    .matrix((merged, merged), true)
                    .matrix((to, merged), true);
                (width, 0)
            }
            Class::Qwen3 => {
                let [width, layers, inner] = sizes!([WIDTH, DEPTH, INNER], [1152, 27, 4304]);
                let to = self.or(&["out_hidden_size"], text, most::WIDTH)?;
                let (elements, merged) = self.merged(16, width)?;
                let positions = self.or(&["num_position_embeddings"], 2304, most::TOKENS)?;
                // The same after some layers, for the first layers of the text.
                let deep = self.list("deepstack_visual_indexes")?.map_or(0, <[_]>::len);
                let deep = u32::try_from(deep).unwrap_or(u32::MAX);
                count
                    .matrix((width, elements), true)
                    .matrix((positions, width), false)
                    .stack(Stack::plain(layers, width, inner))
                    .vectors(2, width)
                    .vectors(deep.saturating_mul(2), merged)
                    .matrices(deep.saturating_add(1), (merged, merged), true)
                    .matrices(deep.saturating_add(1), (to, merged), true);
                (width, 0)
            }
            Class::Glm4 => {
                let [width, layers, inner] = sizes!([WIDTH, DEPTH, INNER], [1536, 24, 13696]);
                let to = self.or(&["out_hidden_size"], text, most::WIDTH)?;
                let patch = self.patches(336, 14)?;
                let (elements, merged) = self.merged(14, width)?;
                let bias = self.flag("attention_bias")?.unwrap_or(false);
                count
                    .matrix((width, elements), true)
                    .matrix((patch.count, width), false)
                    .vectors(2, width)
                    .stack(Stack {
                        gated: true,
                        biases: [bias, false, false],
                        vectors: 2,
                        ..Stack::plain(layers, width, to)
                    })
                    .matrix((to, merged), true)
                    .matrix((to, to), false)
                    .vectors(2, to)
                    .matrices(3, (inner, to), false);
                (width, 0)
            }
            Class::Llama4 => {
                let [width, layers, inner] = sizes!(plain, [768, 34, 5632]);
                let patch = self.patches(448, 14)?;
                let [into, to] = [
                    self.or(&["projector_input_dim"], 4096, most::WIDTH)?,
                    self.or(&["projector_output_dim"], 4096, most::WIDTH)?,
                ];
                count
                    .matrix((width, patch.elements), false)
                    .matrix((patch.count.saturating_add(1), width), false)
                    .vectors(5, width)
                    .stack(Stack::plain(layers, width, inner))
                    .matrix((into, inner), false)
                    .matrix((to, to), false);
                (width, self.or(&["vision_output_dim"], 7680, most::WIDTH)?)
            }
            Class::Intern => {
                let [width, layers, inner] = sizes!(plain, [1024, 24, 4096]);
                let patch = self.patches(448, 14)?;
                let bias = self.flag("attention_bias")?.or(self.flag("qkv_bias")?);
                let normal = self.flag("use_qk_norm")?.or(self.flag("qk_normalization")?);
                let norms = if self.text("norm_type")? == "rms_norm" {
                    2
                } else {
                    4
                };
                let queries = if normal.unwrap_or(false) { 2 } else { 0 };
                count
                    .matrix((width, patch.elements), true)
                    .matrix((patch.count.saturating_add(1), width), false)
                    .vectors(1, width)
                    .stack(Stack {
                        biases: [bias.unwrap_or(false), true, true],
                        vectors: norms + queries + 2,
                        ..Stack::plain(layers, width, inner)
                    });
                (width, width)
            }
            Class::Kimi => {
                let [width, layers, inner] = sizes!(
                    [
                        &["hidden_size", "vt_hidden_size"],
                        &["num_hidden_layers", "vt_num_hidden_layers"],
                        &["intermediate_size", "vt_intermediate_size"]
                    ],
                    [1152, 27, 4304]
                );
                let patch = self.patches(896, 14)?;
                let rows = self.or(
                    &["pos_emb_height", "init_pos_emb_height"],
                    64,
                    most::LATENTS,
                )?;
                let columns =
                    self.or(&["pos_emb_width", "init_pos_emb_width"], 64, most::LATENTS)?;
                count
                    .matrix((width, patch.elements), true)
                    .matrix((rows.saturating_mul(columns), width), false)
                    .stack(Stack::plain(layers, width, inner))
                    .vectors(2, width);
                (width, width)
            }
            Class::Gemma4 => {
                let [width, layers, inner] = sizes!(plain, [768, 16, 3072]);
                let head = self.or(&["head_dim"], 64, most::HEAD)?;
                let heads = self.or(&["num_attention_heads"], 12, most::PARTS)?;
                let keys = self.or(&["num_key_value_heads"], heads, most::PARTS)?;
                let patch = self.patches(896, 16)?;
                let positions = self.or(&["position_embedding_size"], 10_240, most::TOKENS)?;
                count
                    .matrix((width, patch.elements), false)
                    .matrices(2, (positions, width), false)
                    .stack(Stack {
                        queries: heads.saturating_mul(head),
                        keys: keys.saturating_mul(head),
                        gated: true,
                        biases: [false; 3],
                        ..Stack::plain(layers, width, inner)
                    })
                    .vectors(layers.saturating_mul(2), head);
                (width, width)
            }
            Class::Mllama => {
                let [width, layers, inner] = sizes!(plain, [1280, 32, 5120]);
                self.mllama_vision(&mut count, width, layers, inner, text)?;
                (width, 0)
            }
        };
        Ok(Ok(Tower {
            count,
            width: tower.0,
            gives: tower.1,
        }))
    }

    /// Elements of a patch of several frames, and the width of as many patches as are merged.
    fn merged(&self, patch: u32, width: u32) -> Result<(u32, u32)> {
        let frames = self.or(&["temporal_patch_size"], 2, most::LATENTS)?;
        let side = self.or(&["spatial_merge_size"], 2, most::LATENTS)?;
        let patch = self.patches(most::LATENTS, patch)?;
        Ok((
            patch.elements.saturating_mul(frames),
            width.saturating_mul(side.saturating_mul(side)),
        ))
    }

    /// CLIP's encoder of images: a token of the class, learned positions, a normalisation before and one after.
    pub(super) fn clip_vision(
        &self,
        count: &mut Count,
        width: u32,
        layers: u32,
        inner: u32,
    ) -> Result<Patches> {
        let patch = self.patches(224, 32)?;
        count
            .matrix((width, patch.elements), false)
            .matrix((patch.count.saturating_add(1), width), false)
            .vectors(5, width)
            .stack(Stack::plain(layers, width, inner));
        Ok(patch)
    }

    /// `SigLIP`'s: no token of the class; a head, where there is one, that looks at all patches.
    pub(super) fn siglip_vision(
        &self,
        count: &mut Count,
        width: u32,
        layers: u32,
        inner: u32,
        head: bool,
    ) -> Result<Patches> {
        let patch = self.patches(224, 16)?;
        count
            .matrix((width, patch.elements), true)
            .matrix((patch.count, width), false)
            .vectors(2, width)
            .stack(Stack::plain(layers, width, inner));
        if head {
            count.and(siglip_head(width, inner));
        }
        Ok(patch)
    }

    /// Llama 3.2's: tiles of images with tables of their places, and a second stack over all tiles.
    fn mllama_vision(
        &self,
        count: &mut Count,
        width: u32,
        layers: u32,
        inner: u32,
        text: u32,
    ) -> Result<()> {
        let patch = self.patches(448, 14)?;
        let tiles = self.or(&["max_num_tiles"], 4, most::LATENTS)?;
        let ratios = match self.list("supported_aspect_ratios")? {
            Some(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
            None => self.or(&["max_aspect_ratio_id"], 8, most::LATENTS)?,
        };
        let ratios = ratios.saturating_add(1);
        let global = self.or(&["num_global_layers"], 8, most::LAYERS)?;
        let to = self.or(&["vision_output_dim"], 7680, most::WIDTH)?;
        let places = patch.count.saturating_add(1);
        let tiled = tiles.saturating_mul(width);
        let stack = |layers| Stack {
            biases: [false, false, true],
            ..Stack::plain(layers, width, inner)
        };
        count
            .matrix((width, patch.elements), false)
            .matrix((places, width), false)
            .matrix((ratios, tiled.saturating_mul(places)), false)
            .matrices(2, (ratios, tiled), false)
            // A token of the class, two normalisations, three gates.
            .vectors(5, width)
            .vectors(1, 3)
            .stack(stack(layers))
            .stack(stack(global))
            .vectors(global, 2)
            .matrix((text, to), true);
        Ok(())
    }
}

/// The head that `SigLIP` looks at all patches with: a vector that asks, attention and a feed-forward layer.
pub(super) fn siglip_head(width: u32, inner: u32) -> Count {
    let mut count = Count::default();
    count.vectors(1, width).stack(Stack {
        vectors: 2,
        ..Stack::plain(1, width, inner)
    });
    count
}
