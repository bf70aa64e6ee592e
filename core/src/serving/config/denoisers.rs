//! Networks that denoise images and videos, out of their configurations.

use serde_json::Value;

use super::super::denoiser::{DiffusionTransformer, UNet};
use super::Keys;
use crate::error::{Error, Result};

impl Keys<'_> {
    pub(super) fn diffusion_transformer(&self, class: &str) -> Result<DiffusionTransformer> {
        let heads = self.number(&["num_attention_heads"])?;
        let hidden = heads * self.number(&["attention_head_dim"])?;
        let joint = self.number(&["num_layers"])?;
        let cross = ["PixArt", "Wan", "HunyuanDiT", "LTX", "Sana"]
            .iter()
            .any(|name| class.contains(name));
        let video = ["Video", "Wan", "CogVideo", "LTX", "Mochi"]
            .iter()
            .any(|name| class.contains(name));
        let guided = !["Flux", "HunyuanVideo"]
            .iter()
            .any(|name| class.contains(name));
        let second = self
            .config
            .get("dual_attention_layers")
            .and_then(Value::as_array)
            .map_or(0, |layers| u32::try_from(layers.len()).unwrap_or(0));
        // Packed latents count as patches of two.
        let patch = match self.maybe(&["patch_size"]) {
            Some(1) | None if class.contains("Flux") => 2,
            Some(patch) => patch,
            None => 2,
        };
        Ok(DiffusionTransformer {
            hidden,
            heads,
            joint_layers: joint,
            single_layers: self.maybe(&["num_single_layers"]).unwrap_or(0),
            second_attention_layers: second,
            ffn: self.maybe(&["ffn_dim"]).unwrap_or(4 * hidden),
            cross_attention: cross,
            shared_streams: class.contains("CogVideo"),
            latent_downsampling: 8,
            patch,
            frame_downsampling: if video { 4 } else { 1 },
            text_tokens: if class.contains("Flux") || class.contains("Wan") {
                512
            } else {
                333
            },
            text_encoder_parameters: 4.76e9,
            guidance_passes: if guided { 2 } else { 1 },
            steps: if video { 50 } else { 28 },
            height: if video { 480 } else { 1024 },
            width: if video { 832 } else { 1024 },
            frames: if video { 81 } else { 1 },
        })
    }

    pub(super) fn unet(&self) -> Result<UNet> {
        let channels = self.numbers("block_out_channels")?;
        let context = self.number(&["cross_attention_dim"])?;
        let kinds: Vec<bool> = self
            .config
            .get("down_block_types")
            .and_then(Value::as_array)
            .ok_or_else(|| {
                Error::file(
                    "the key 'down_block_types' is missing or not a list",
                    self.path,
                )
            })?
            .iter()
            .map(|kind| {
                kind.as_str()
                    .is_some_and(|kind| kind.starts_with("CrossAttn"))
            })
            .collect();
        let depths = self.config.get("transformer_layers_per_block");
        let depth = |level: usize| -> [u32; 2] {
            if !kinds.get(level).copied().unwrap_or(false) {
                return [0, 0];
            }
            let whole = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
            match depths {
                Some(Value::Array(levels)) => match levels.get(level) {
                    Some(Value::Array(pair)) => [
                        pair.first().and_then(whole).unwrap_or(1),
                        pair.get(1).and_then(whole).unwrap_or(1),
                    ],
                    Some(one) => [whole(one).unwrap_or(1); 2],
                    None => [1; 2],
                },
                Some(one) => [whole(one).unwrap_or(1); 2],
                None => [1; 2],
            }
        };
        let transformer_layers: Vec<[u32; 2]> = (0..channels.len()).map(depth).collect();
        let deepest = transformer_layers.last().map_or(1, |last| last[1].max(1));
        let side = 8 * self.maybe(&["sample_size"]).unwrap_or(64);
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
