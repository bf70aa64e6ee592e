//! Towers of images that stand beside a language model, counted as their published classes build them
//! (huggingface/transformers 5.24, read). They work once for each image, not for a token: they lie in memory.

use serde_json::Value;

use super::super::beside::Part;
use super::count::Count;
use super::keys::{Keys, most, shown};
use super::tower_classes::class_of;
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
pub(super) struct Tower {
    pub(super) count: Count,
    /// Width of its stream.
    pub(super) width: u32,
    /// Width that the matrices after it read; 0: they are counted with it.
    pub(super) gives: u32,
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
    pub(super) fn sizes(
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
        // What a file leaves out is the class's, where the width is the class's too.
        let usual = usual.map(|size| {
            let same = stated[0].is_none_or(|width| width == usual[0]);
            Some(size).filter(|_| same)
        });
        let [own_width, own_layers, own_inner] = [0, 1, 2].map(|i| stated[i].or(usual[i]));
        Ok(match (own_width, own_layers, own_inner) {
            (Some(width), Some(layers), Some(inner)) => Ok([width, layers, inner]),
            (None, ..) => Err(width[0]),
            (_, None, _) => Err(layers[0]),
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
