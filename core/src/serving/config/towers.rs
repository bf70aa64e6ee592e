//! Towers of images that stand beside a language model, counted as their published classes build them
//! (huggingface/transformers 5.24, read). They work once for each image, not for a token: they lie in memory.

use serde_json::Value;

use super::super::beside::Part;
use super::count::{Count, Stack};
use super::keys::{Keys, most, shown};
use crate::error::Result;

/// Patches, images and channels of an encoder of images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patches {
    /// Elements of a patch: rows, columns, channels and frames.
    pub(super) elements: u32,
    /// Patches of an image.
    pub(super) count: u32,
}

/// A tower and the width of what it gives on.
struct Tower {
    count: Count,
    /// Width of its stream.
    width: u32,
    /// Width that the matrices after it read; 0: they are counted with it.
    gives: u32,
}

/// A number for both directions of an image, or one for each.
fn pair(keys: &Keys<'_>, names: &[&'static str], usual: u32) -> Result<(u32, u32)> {
    match keys.first(names) {
        None => Ok((usual, usual)),
        Some((name, Value::Array(list))) => match list.as_slice() {
            [rows, columns] => Ok((
                keys.whole(name, rows, 1, most::LATENTS)?,
                keys.whole(name, columns, 1, most::LATENTS)?,
            )),
            _ => keys.refuse(format!(
                "'{name}' has {} numbers; one or two are known",
                list.len()
            )),
        },
        Some((name, one)) => {
            let side = keys.whole(name, one, 1, most::LATENTS)?;
            Ok((side, side))
        }
    }
}

impl Keys<'_> {
    /// How images are cut, by the file or as the class has it: side of an image and of a patch.
    pub(super) fn patches(&self, image: u32, patch: u32) -> Result<Patches> {
        let image = pair(self, &["image_size"], image)?;
        let patch = pair(self, &["patch_size"], patch)?;
        let channels = self
            .positive(&["num_channels", "in_channels", "in_chans"], most::LATENTS)?
            .unwrap_or(3);
        let count = (image.0 / patch.0).saturating_mul(image.1 / patch.1);
        if count == 0 {
            return self.refuse(format!(
                "'patch_size', {}, is more than 'image_size', {}",
                patch.0, image.0
            ));
        }
        Ok(Patches {
            elements: channels.saturating_mul(patch.0.saturating_mul(patch.1)),
            count,
        })
    }

    /// A number by the file, or as the class has it.
    pub(super) fn or(&self, names: &[&'static str], usual: u32, most: u32) -> Result<u32> {
        Ok(self.positive(names, most)?.unwrap_or(usual))
    }

    /// Width, layers and inner width; `None` with the key that is missing where a file states some of them only.
    fn sizes(
        &self,
        names: [&'static [&'static str]; 3],
        usual: [u32; 3],
    ) -> Result<std::result::Result<[u32; 3], &'static str>> {
        let [width, layers, inner] = names;
        let stated = [
            self.positive(width, most::WIDTH)?,
            self.positive(layers, most::LAYERS)?,
            self.positive(inner, most::WIDTH)?,
        ];
        Ok(match stated {
            [Some(width), Some(layers), Some(inner)] => Ok([width, layers, inner]),
            [None, None, None] => Ok(usual),
            [None, ..] => Err(width[0]),
            [_, None, _] => Err(layers[0]),
            _ => Err(inner[0]),
        })
    }

    /// The tower of images of a configuration and what leads from it to the language model, which is `text` wide.
    pub(super) fn tower(&self, text: u32, notes: &mut Vec<String>) -> Result<Option<Part>> {
        let Some(keys) = self.inner("vision_config")? else {
            return Ok(None);
        };
        let outer = self.text("model_type")?;
        let own = keys.text("model_type")?;
        let kind = class_of(own).or_else(|| class_of(outer));
        let Some(kind) = kind else {
            let own = shown(if own.is_empty() { outer } else { own });
            notes.push(format!(
                "'vision_config' is there too, and not counted: the class '{own}' is not known"
            ));
            return Ok(None);
        };
        let mut tower = match keys.tower_of(kind, text)? {
            Ok(tower) => tower,
            Err(key) => {
                notes.push(format!(
                    "'vision_config' is there too, and not counted: it does not state '{key}'"
                ));
                return Ok(None);
            }
        };
        let alone = tower.count.all();
        let known = tower.gives == 0 || self.bridge(outer, &keys, &mut tower, text)?;
        let after = tower.count.all() - alone;
        let mut note = format!(
            "'vision_config': {} parameters of the images' tower",
            crate::digits::many(alone as f64)
        );
        if after > 0 {
            note += &format!(" and {} after it", crate::digits::many(after as f64));
        } else if !known {
            note += ", without what leads from it to the text";
        }
        note += ", in memory; it works once for each image, which is not counted";
        notes.push(note);
        Ok(Some(tower.count.part("vision_tower", tower.width, None)))
    }

    /// What leads from a tower to the text; whether it is known.
    fn bridge(&self, outer: &str, keys: &Keys<'_>, tower: &mut Tower, text: u32) -> Result<bool> {
        let from = tower.gives;
        let count = &mut tower.count;
        match outer {
            "gemma3" | "shieldgemma2" => {
                count.matrix((text, from), false).vectors(1, from);
            }
            "gemma4" => {
                count.matrix((text, from), false);
            }
            "paligemma" => {
                let to = keys.or(&["projection_dim"], text, most::WIDTH)?;
                count.matrix((to, from), true);
            }
            "llava" | "llava_next" | "llava_next_video" | "llava_onevision" | "pixtral" => {
                let bias = self.flag("multimodal_projector_bias")?.unwrap_or(true);
                let from = from.saturating_mul(self.features()?);
                count.matrix((text, from), bias).matrix((text, text), bias);
                // The mark of a new row of patches.
                if outer.starts_with("llava_") {
                    count.vectors(1, text);
                }
            }
            "mistral3" => {
                let bias = self.flag("multimodal_projector_bias")?.unwrap_or(false);
                let merged = self.or(&["spatial_merge_size"], 2, most::LATENTS)?;
                let all = from.saturating_mul(merged.saturating_mul(merged));
                let features = from.saturating_mul(self.features()?);
                count
                    .matrix((from, all), false)
                    .vectors(1, from)
                    .matrix((text, features), bias)
                    .matrix((text, text), bias);
            }
            "llama4" => {
                count.matrix((text, from), false);
            }
            "internvl" | "internvl_chat" => {
                let ratio = self.real("downsample_ratio")?.unwrap_or(0.5);
                if !(0.01..=1.0).contains(&ratio) {
                    return self.refuse("'downsample_ratio' is none of a known network");
                }
                // 1 to 100: no sign, no overflow.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let side = (1.0 / ratio) as u32;
                let all = from.saturating_mul(side.saturating_mul(side));
                count
                    .vectors(2, all)
                    .matrix((text, all), true)
                    .matrix((text, text), true);
            }
            "idefics3" | "smolvlm" => {
                let side = self.or(&["scale_factor"], 2, most::LATENTS)?;
                let all = from.saturating_mul(side.saturating_mul(side));
                count.matrix((text, all), false);
            }
            "kimi_k25" => {
                let all = from.saturating_mul(4);
                count
                    .vectors(2, from)
                    .matrix((all, all), true)
                    .matrix((text, all), true);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Layers of a tower whose results are taken.
    fn features(&self) -> Result<u32> {
        Ok(match self.value("vision_feature_layer") {
            Some(Value::Array(list)) => u32::try_from(list.len().clamp(1, 64)).unwrap_or(1),
            _ => 1,
        })
    }
}

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
fn class_of(name: &str) -> Option<Class> {
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
    fn tower_of(
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
