//! Networks that denoise images and videos, out of their configurations.

use serde_json::Value;

use super::super::denoiser::{DiffusionTransformer, UNet};
use super::keys::{Keys, most, shown};
use crate::error::Result;

/// Names of the number of layers, and of the list of those that attend twice.
const JOINT: [&str; 1] = ["num_layers"];
const SECOND: [&str; 1] = ["dual_attention_layers"];

/// Classes whose blocks are those that are counted, by their published counts.
const KNOWN: [&str; 8] = [
    "FluxTransformer2DModel",
    "SD3Transformer2DModel",
    "PixArtTransformer2DModel",
    "QwenImageTransformer2DModel",
    "WanTransformer3DModel",
    "HunyuanVideoTransformer3DModel",
    "CogVideoXTransformer3DModel",
    "LTXVideoTransformer3DModel",
];

impl Keys<'_> {
    /// Latents of a token in each direction: one number, or those of frames, rows and columns.
    fn patch(&self) -> Result<Option<u32>> {
        match self.value("patch_size") {
            Some(Value::Array(_)) => {
                let sides = self.numbers("patch_size", most::LATENTS)?;
                Ok(sides.and_then(|sides| sides.last().copied()))
            }
            _ => self.positive(&["patch_size"], most::LATENTS),
        }
    }

    /// Refuses transformers of which the blocks are others: linear attention, streams of two widths, no text.
    fn known_transformer(&self, class: &str) -> Result<()> {
        let plain = class == "Transformer2DModel";
        if KNOWN.contains(&class) || plain && self.text("norm_type")? == "ada_norm_single" {
            return Ok(());
        }
        let class = shown(class);
        self.refuse(format!(
            "configures a '{class}', whose blocks are not known; known are {}",
            KNOWN.join(", ")
        ))
    }

    pub(super) fn diffusion_transformer(&self, class: &str) -> Result<DiffusionTransformer> {
        self.known_transformer(class)?;
        let heads = self.number(&["num_attention_heads"], most::PARTS)?;
        let hidden = heads * self.number(&["attention_head_dim"], most::HEAD)?;
        if hidden > most::WIDTH {
            return self.refuse(format!(
                "its heads together are {hidden} wide; networks of at most {} are known",
                most::WIDTH
            ));
        }
        let joint = self.number(&JOINT, most::LAYERS)?;
        let cross = ["PixArt", "Wan", "LTX"]
            .iter()
            .any(|name| class.contains(name))
            || class == "Transformer2DModel";
        let video = ["Video", "Wan", "CogVideo", "LTX", "Mochi"]
            .iter()
            .any(|name| class.contains(name));
        let guided = !["Flux", "HunyuanVideo"]
            .iter()
            .any(|name| class.contains(name));
        let second = self.list(SECOND[0])?.map_or(0, <[Value]>::len);
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        self.at_most((&SECOND, second), (&JOINT, joint))?;
        // Packed latents count as patches of two.
        let patch = match self.patch()? {
            Some(1) | None if class.contains("Flux") => 2,
            Some(patch) => patch,
            None => 2,
        };
        // The decoder of LTX-Video makes 32 pixels and 8 frames of a latent, those of the others 8 and 4.
        let ltx = class.contains("LTX");
        let frames_of_a_patch = self.positive(&["patch_size_t"], most::SHARED)?.unwrap_or(1);
        Ok(DiffusionTransformer {
            hidden,
            heads,
            joint_layers: joint,
            single_layers: self
                .maybe(&["num_single_layers"], most::LAYERS)?
                .unwrap_or(0),
            second_attention_layers: second,
            ffn: self
                .positive(&["ffn_dim"], most::WIDTH)?
                .unwrap_or(4 * hidden),
            cross_attention: cross,
            shared_streams: class.contains("CogVideo"),
            latent_downsampling: if ltx { 32 } else { 8 },
            patch,
            frame_downsampling: match (video, ltx) {
                (false, _) => 1,
                (true, false) => 4 * frames_of_a_patch,
                (true, true) => 8 * frames_of_a_patch,
            },
            text_tokens: if class.contains("Flux") || class.contains("Wan") {
                512
            } else {
                333
            },
            // T5-XXL's encoder; of Qwen-Image, Qwen2.5-VL 7B.
            text_encoder_parameters: if class.contains("QwenImage") {
                8.29e9
            } else {
                4.76e9
            },
            guidance_passes: if guided { 2 } else { 1 },
            steps: if video { 50 } else { 28 },
            height: if video { 480 } else { 1024 },
            width: if video { 832 } else { 1024 },
            frames: if video { 81 } else { 1 },
        })
    }

    /// Transformer blocks after each of the two residual blocks of a level.
    fn depth(&self, level: usize, levels: usize) -> Result<[u32; 2]> {
        let name = "transformer_layers_per_block";
        let whole = |value: &Value| self.whole(name, value, 0, most::LAYERS);
        let per_level = match self.value(name) {
            None => return Ok([1; 2]),
            Some(Value::Array(list)) if list.len() == levels => &list[level],
            Some(Value::Array(list)) => {
                return self.refuse(format!(
                    "'{name}' has {} entries for the {levels} of 'block_out_channels'",
                    list.len()
                ));
            }
            Some(one) => one,
        };
        match per_level {
            Value::Array(pair) => match pair.as_slice() {
                [first, second] => Ok([whole(first)?, whole(second)?]),
                _ => self.refuse(format!(
                    "'{name}' has {} numbers for the two blocks of a level",
                    pair.len()
                )),
            },
            one => Ok([whole(one)?; 2]),
        }
    }

    pub(super) fn unet(&self) -> Result<UNet> {
        let channels = self
            .numbers("block_out_channels", most::WIDTH)?
            .unwrap_or_default();
        let levels = channels.len();
        if !(1..=most::LEVELS).contains(&levels) {
            return self.refuse(format!(
                "the key 'block_out_channels' is missing or has {levels} levels; 1 to {} are known",
                most::LEVELS
            ));
        }
        let context = self.number(&["cross_attention_dim"], most::WIDTH)?;
        let Some(kinds) = self.texts("down_block_types")? else {
            return self.refuse("the key 'down_block_types' is missing");
        };
        if kinds.len() != levels {
            return self.refuse(format!(
                "'down_block_types' has {} entries for the {levels} of 'block_out_channels'",
                kinds.len()
            ));
        }
        let transformer_layers = kinds
            .iter()
            .enumerate()
            .map(|(level, kind)| {
                let depth = self.depth(level, levels)?;
                Ok(if kind.starts_with("CrossAttn") {
                    depth
                } else {
                    [0, 0]
                })
            })
            .collect::<Result<Vec<[u32; 2]>>>()?;
        let deepest = transformer_layers.last().map_or(1, |last| last[1].max(1));
        let side = 8 * self
            .positive(&["sample_size"], most::LATENTS)?
            .unwrap_or(64);
        // `null` says that there is no middle, no key that there is the usual one.
        self.text("mid_block_type")?;
        Ok(UNet {
            channels,
            transformer_layers,
            up_transformer_layers: None,
            middle_transformer_layers: match self.config.get("mid_block_type") {
                Some(Value::Null) => None,
                _ => Some(deepest),
            },
            context,
            temporal: false,
            text_tokens: 77,
            text_encoder_parameters: if context >= 2048 { 0.82e9 } else { 0.12e9 },
            guidance_passes: 2,
            steps: 50,
            height: side,
            width: side,
            frames: 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::parse;
    use crate::serving::architecture::Shape;

    /// A small network of each kind with some keys changed.
    fn read(class: &str, changes: &Value) -> Result<Shape, String> {
        let mut config = json!({
            "_class_name": class, "block_out_channels": [32, 64], "cross_attention_dim": 64,
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "num_layers": 4,
            "num_attention_heads": 4, "attention_head_dim": 16
        });
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        parse(&config.to_string(), Path::new("config.json"))
            .map(|network| network.shape)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn loops_and_products_of_a_file_have_an_end() {
        for (class, changes) in [
            (
                "UNet2DConditionModel",
                json!({"transformer_layers_per_block": u32::MAX}),
            ),
            (
                "UNet2DConditionModel",
                json!({"transformer_layers_per_block": [u32::MAX, 1]}),
            ),
            (
                "UNet2DConditionModel",
                json!({"transformer_layers_per_block": [[1, u32::MAX], 1]}),
            ),
            (
                "UNet2DConditionModel",
                json!({"transformer_layers_per_block": [1]}),
            ),
            (
                "UNet2DConditionModel",
                json!({"transformer_layers_per_block": "1"}),
            ),
            (
                "UNet2DConditionModel",
                json!({"transformer_layers_per_block": [[1], 1]}),
            ),
            (
                "UNet2DConditionModel",
                json!({"block_out_channels": [32, "64"]}),
            ),
            (
                "UNet2DConditionModel",
                json!({"block_out_channels": vec![1; 40]}),
            ),
            ("UNet2DConditionModel", json!({"block_out_channels": []})),
            (
                "UNet2DConditionModel",
                json!({"down_block_types": ["DownBlock2D"]}),
            ),
            ("UNet2DConditionModel", json!({"sample_size": u32::MAX})),
            ("UNet2DConditionModel", json!({"mid_block_type": 3})),
            (
                "FluxTransformer2DModel",
                json!({"num_attention_heads": 65536, "attention_head_dim": 16384}),
            ),
            (
                "FluxTransformer2DModel",
                json!({"attention_head_dim": u32::MAX}),
            ),
            ("FluxTransformer2DModel", json!({"num_layers": u32::MAX})),
            ("FluxTransformer2DModel", json!({"num_single_layers": "38"})),
            ("WanTransformer3DModel", json!({"patch_size": 0})),
            ("WanTransformer3DModel", json!({"patch_size": [1, 2, "2"]})),
            (
                "SD3Transformer2DModel",
                json!({"dual_attention_layers": [0, 1, 2, 3, 4]}),
            ),
        ] {
            let error = read(class, &changes).unwrap_err();
            assert!(error.ends_with(": config.json"), "{changes}: {error}");
        }
    }

    /// Against the published counts, of which embeddings and norms (a few per cent) are not counted.
    #[test]
    fn classes_are_counted_as_published_or_refused() {
        for (class, changes, published) in [
            (
                "FluxTransformer2DModel",
                json!({"num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24,
                "attention_head_dim": 128, "patch_size": 1}),
                11.901e9,
            ),
            (
                "SD3Transformer2DModel",
                json!({"num_layers": 24, "num_attention_heads": 24, "attention_head_dim": 64}),
                2.085e9,
            ),
            (
                "QwenImageTransformer2DModel",
                json!({"num_layers": 60, "num_attention_heads": 24,
                "attention_head_dim": 128}),
                20.43e9,
            ),
            (
                "Transformer2DModel",
                json!({"norm_type": "ada_norm_single", "num_layers": 28, "num_attention_heads": 16,
                "attention_head_dim": 72}),
                0.611e9,
            ),
            (
                "WanTransformer3DModel",
                json!({"num_layers": 40, "num_attention_heads": 40, "attention_head_dim": 128,
                "ffn_dim": 13824}),
                14.29e9,
            ),
            (
                "CogVideoXTransformer3DModel",
                json!({"num_layers": 42, "num_attention_heads": 48,
                "attention_head_dim": 64, "patch_size_t": 2}),
                5.57e9,
            ),
            (
                "LTXVideoTransformer3DModel",
                json!({"num_layers": 28, "num_attention_heads": 32,
                "attention_head_dim": 64, "patch_size": 1}),
                1.923e9,
            ),
        ] {
            let Shape::DiffusionTransformer(network) = read(class, &changes).unwrap() else {
                panic!("{class}");
            };
            let apart = network.parameters() / published - 1.0;
            assert!((-0.06..0.02).contains(&apart), "{class}: {apart}");
        }
        for class in [
            "SanaTransformer2DModel",
            "MochiTransformer3DModel",
            "DiTTransformer2DModel",
            "Transformer2DModel",
        ] {
            let error = read(class, &json!({})).unwrap_err();
            assert!(error.contains("whose blocks are not known"), "{error}");
        }
    }

    #[test]
    fn patches_are_a_number_or_one_for_each_direction() {
        for (patch, expected) in [(json!(4), 4), (json!([1, 2, 2]), 2), (json!(null), 2)] {
            match read("WanTransformer3DModel", &json!({"patch_size": patch})).unwrap() {
                Shape::DiffusionTransformer(network) => assert_eq!(network.patch, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
