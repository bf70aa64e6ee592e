//! Shapes of the networks that denoise latent images or videos, and the operations that they count.

use serde::{Deserialize, Serialize};

/// What a diffusion network is asked for by default, and what surrounds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pipeline {
    /// Tokens of the text.
    pub text_tokens: u32,
    /// Parameters of the text encoders.
    pub text_encoder_parameters: f64,
    /// Passes per step: 2 with classifier-free guidance.
    pub guidance_passes: u32,
    /// Steps.
    pub steps: u32,
    /// Pixels.
    pub height: u32,
    /// Pixels.
    pub width: u32,
    /// Frames; 1 for images.
    pub frames: u32,
}

macro_rules! pipeline {
    ($network:ident) => {
        impl $network {
            /// What it is asked for by default.
            pub fn pipeline(&self) -> Pipeline {
                Pipeline {
                    text_tokens: self.text_tokens,
                    text_encoder_parameters: self.text_encoder_parameters,
                    guidance_passes: self.guidance_passes,
                    steps: self.steps,
                    height: self.height,
                    width: self.width,
                    frames: self.frames,
                }
            }
        }
    };
}

/// A transformer that denoises latent images or videos.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionTransformer {
    /// Width of the residual stream.
    pub hidden: u32,
    /// Heads.
    pub heads: u32,
    /// Layers with a stream for the image and one for the text, or with cross-attention.
    pub joint_layers: u32,
    /// Layers with one stream for both.
    pub single_layers: u32,
    /// Joint layers that attend a second time, over the image alone.
    pub second_attention_layers: u32,
    /// Inner width of the feed-forward layers.
    pub ffn: u32,
    /// Whether the text is attended to instead of being a stream of its own.
    pub cross_attention: bool,
    /// Whether both streams use the same weights.
    pub shared_streams: bool,
    /// Pixels per latent, in each direction.
    pub latent_downsampling: u32,
    /// Latents per token, in each direction.
    pub patch: u32,
    /// Frames per latent frame, after the first.
    pub frame_downsampling: u32,
    /// Tokens of the text.
    pub text_tokens: u32,
    /// Parameters of the text encoders.
    pub text_encoder_parameters: f64,
    /// Passes per step: 2 with classifier-free guidance.
    pub guidance_passes: u32,
    /// Steps.
    pub steps: u32,
    /// Pixels.
    pub height: u32,
    /// Pixels.
    pub width: u32,
    /// Frames; 1 for images.
    pub frames: u32,
}

pipeline!(DiffusionTransformer);

/// A convolutional network with attention that denoises latent images or videos (as in Stable Diffusion).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNet {
    /// Channels by level.
    pub channels: Vec<u32>,
    /// Transformer blocks after each of the two residual blocks, by level.
    pub transformer_layers: Vec<[u32; 2]>,
    /// The same for the three residual blocks on the way up, from the smallest level; default: as on the way down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_transformer_layers: Option<Vec<[u32; 3]>>,
    /// Transformer blocks in the middle; `None`: there is no middle.
    pub middle_transformer_layers: Option<u32>,
    /// Width of the text's vectors.
    pub context: u32,
    /// Whether frames are mixed by convolutions and attention over time.
    pub temporal: bool,
    /// Tokens of the text.
    pub text_tokens: u32,
    /// Parameters of the text encoders.
    pub text_encoder_parameters: f64,
    /// Passes per step: 2 with classifier-free guidance.
    pub guidance_passes: u32,
    /// Steps.
    pub steps: u32,
    /// Pixels.
    pub height: u32,
    /// Pixels.
    pub width: u32,
    /// Frames; 1 for images.
    pub frames: u32,
}

pipeline!(UNet);

/// What one pass for one image or video takes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PassCount {
    /// Operations of convolutions and linear layers; for U-Nets, of attention too.
    pub linear: f64,
    /// Operations of attention.
    pub attention: f64,
    /// Blocks whose kernels are started one after another.
    pub blocks: f64,
    /// Tokens of the image.
    pub tokens: f64,
    /// Parameters.
    pub parameters: f64,
}

impl DiffusionTransformer {
    /// Parameters; embeddings and norms (a few per cent) are not counted.
    pub fn parameters(&self) -> f64 {
        let d = f64::from(self.hidden);
        let feed = 2.0 * d * f64::from(self.ffn);
        let joint = f64::from(self.joint_layers);
        let single = f64::from(self.single_layers);
        if self.cross_attention {
            return joint * (8.0 * d * d + feed);
        }
        let streams = if self.shared_streams { 1.0 } else { 2.0 };
        // Each stream's modulation takes 6 d² (3 d² for a single layer), or 6 · 512 d where it starts from 512 channels.
        let modulation = if self.shared_streams {
            joint * 12.0 * 512.0 * d
        } else {
            (12.0 * joint + 3.0 * single) * d * d
        };
        streams * joint * (4.0 * d * d + feed)
            + f64::from(self.second_attention_layers) * 4.0 * d * d
            + single * (4.0 * d * d + feed)
            + modulation
    }

    /// One pass for an image or video of a size in pixels and frames.
    pub fn count(&self, height: u32, width: u32, frames: u32) -> PassCount {
        let per_token = f64::from(self.latent_downsampling * self.patch);
        let latent_frames = if self.frame_downsampling > 1 {
            f64::from((frames.max(1) - 1) / self.frame_downsampling + 1)
        } else {
            f64::from(frames.max(1))
        };
        let tokens = (f64::from(height) / per_token).floor()
            * (f64::from(width) / per_token).floor()
            * latent_frames;
        let text = f64::from(self.text_tokens);
        let d = f64::from(self.hidden);
        let feed = 2.0 * d * f64::from(self.ffn);
        let joint = f64::from(self.joint_layers);
        let single = f64::from(self.single_layers);
        let second = f64::from(self.second_attention_layers);
        let both = tokens + text;
        let (linear, attention) = if self.cross_attention {
            (
                2.0 * tokens * joint * (6.0 * d * d + feed) + 2.0 * text * joint * 2.0 * d * d,
                4.0 * tokens * (tokens + text) * d * joint,
            )
        } else {
            (
                2.0 * both * (joint + single) * (4.0 * d * d + feed)
                    + 2.0 * tokens * second * 4.0 * d * d,
                4.0 * both * both * d * (joint + single) + 4.0 * tokens * tokens * d * second,
            )
        };
        let streams = if self.cross_attention { 1.0 } else { 2.0 };
        PassCount {
            linear,
            attention,
            blocks: streams * joint + single + second / 2.0,
            tokens,
            parameters: self.parameters(),
        }
    }

    pub(crate) fn layers(&self) -> f64 {
        f64::from(self.joint_layers + self.single_layers)
    }
}

/// Adds up a U-Net block by block.
struct UNetCounter<'a> {
    network: &'a UNet,
    frames: f64,
    count: PassCount,
}

impl UNetCounter<'_> {
    fn convolve(&mut self, input: f64, output: f64, window: f64, pixels: f64) {
        self.count.parameters += input * output * window + output;
        self.count.linear += 2.0 * input * output * window * pixels * self.frames;
    }

    fn linear(&mut self, rows: f64, input: f64, output: f64) {
        self.count.parameters += input * output;
        self.count.linear += 2.0 * rows * input * output;
    }

    fn residual(&mut self, input: f64, output: f64, pixels: f64) {
        self.convolve(input, output, 9.0, pixels);
        self.convolve(output, output, 9.0, pixels);
        let embedding = 4.0
            * self
                .network
                .channels
                .first()
                .copied()
                .map_or(0.0, f64::from);
        self.count.parameters += embedding * output;
        self.count.blocks += 1.0;
        if input != output {
            self.convolve(input, output, 1.0, pixels);
        }
        if self.network.temporal {
            for _ in 0..4 {
                self.convolve(output, output, 3.0, pixels);
            }
            self.count.blocks += 1.0;
        }
    }

    fn transform(&mut self, c: f64, pixels: f64, layers: u32) {
        if layers == 0 {
            return;
        }
        let rows = pixels * self.frames;
        let text = f64::from(self.network.text_tokens);
        let context = f64::from(self.network.context);
        self.linear(rows, c, 2.0 * c);
        for _ in 0..layers {
            self.linear(rows, c, 6.0 * c); // self-attention 4 c², queries and output of cross-attention 2 c²
            self.count.linear += 4.0 * rows * pixels * c + 4.0 * rows * text * c;
            self.count.linear += 2.0 * self.frames * text * context * 2.0 * c;
            self.count.parameters += 2.0 * context * c;
            self.linear(rows, c, 12.0 * c);
            self.count.blocks += 1.0;
        }
        if self.network.temporal {
            self.linear(rows, c, 2.0 * c);
            self.linear(rows, c, 8.0 * c);
            self.count.linear += 8.0 * rows * self.frames * c;
            self.linear(rows, c, 12.0 * c);
            self.count.blocks += 1.0;
        }
    }
}

/// Width of the text's vectors of the networks that are published with SDXL's decoder.
const SDXL_CONTEXT: u32 = 2048;

impl UNet {
    /// Whether the latent image is decoded in 32 bits: SDXL's decoder overflows in 16 (`force_upcast` in its
    /// configuration).
    pub(crate) fn decodes_in_32_bits(&self) -> bool {
        self.context == SDXL_CONTEXT
    }

    /// One pass for an image of a size in pixels, with the network's own number of frames.
    pub fn count(&self, height: u32, width: u32) -> PassCount {
        let mut counter = UNetCounter {
            network: self,
            frames: f64::from(self.frames.max(1)),
            count: PassCount::default(),
        };
        let (height, width) = (height / 8, width / 8);
        let levels = self.channels.len();
        let pixels = |level: usize| f64::from(height >> level) * f64::from(width >> level);
        let channels: Vec<f64> = self.channels.iter().copied().map(f64::from).collect();
        let Some(&first) = channels.first() else {
            return PassCount::default();
        };
        counter.convolve(4.0, first, 9.0, pixels(0));
        let mut skips = vec![first];
        let mut c = first;
        for (level, &out) in channels.iter().enumerate() {
            let layers = self
                .transformer_layers
                .get(level)
                .copied()
                .unwrap_or_default();
            for depth in layers {
                counter.residual(c, out, pixels(level));
                c = out;
                counter.transform(c, pixels(level), depth);
                skips.push(c);
            }
            if level + 1 < levels {
                counter.convolve(c, c, 9.0, pixels(level) / 4.0);
                skips.push(c);
            }
        }
        let smallest = pixels(levels - 1);
        counter.residual(c, c, smallest);
        if let Some(depth) = self.middle_transformer_layers {
            counter.transform(c, smallest, depth);
            counter.residual(c, c, smallest);
        }
        for (step, level) in (0..levels).rev().enumerate() {
            let depths = match &self.up_transformer_layers {
                Some(up) => up.get(step).copied().unwrap_or_default(),
                None => {
                    let down = self
                        .transformer_layers
                        .get(level)
                        .map_or(0, |layers| layers[0]);
                    [down; 3]
                }
            };
            for depth in depths {
                let skip = skips.pop().unwrap_or(0.0);
                counter.residual(c + skip, channels[level], pixels(level));
                c = channels[level];
                counter.transform(c, pixels(level), depth);
            }
            if level > 0 {
                counter.convolve(c, c, 9.0, pixels(level - 1));
            }
        }
        counter.convolve(c, 4.0, 9.0, pixels(0));
        counter.count
    }
}

/// Operations of the decoder that turns latents into pixels (`AutoencoderKL`, channels 128-256-512-512, three residual
/// blocks per level): 2.5 · 10¹² at 512x512.
pub(crate) fn decoder_operations(height: u32, width: u32, frames: u32) -> f64 {
    let pixels = f64::from(height) * f64::from(width);
    let latents = pixels / 64.0;
    let mut operations = 2.0 * latents * (9.0 * 4.0 * 512.0 + 2.0 * 2.0 * 9.0 * 512.0 * 512.0)
        + 2.0 * latents * 4.0 * 512.0 * 512.0
        + 4.0 * latents * latents * 512.0;
    let mut input = 512.0;
    for (output, divisor) in [(512.0, 64.0), (512.0, 16.0), (256.0, 4.0), (128.0, 1.0)] {
        let here = pixels / divisor;
        operations += 2.0 * here * 9.0 * (input * output + 5.0 * output * output);
        if input != output {
            operations += 2.0 * here * input * output;
        }
        if divisor > 1.0 {
            operations += 2.0 * here * 4.0 * 9.0 * output * output;
        }
        input = output;
    }
    (operations + 2.0 * pixels * 9.0 * 128.0 * 3.0) * f64::from(frames.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::architecture::Shape;
    use crate::serving::catalogue::architecture;

    #[test]
    fn published_operations_are_counted_again() {
        let unet = |name: &str| match &architecture(name).unwrap().shape {
            Shape::UNet(network) => network.count(network.height, network.width),
            other => panic!("{other:?}"),
        };
        // Stable Diffusion 1.5 at 512x512: about 0.4 · 10¹² multiply-accumulates; SDXL at 1024x1024: about 3 · 10¹².
        assert!((unet("stable-diffusion-v1-5").linear / 0.8e12 - 1.0).abs() < 0.05);
        assert!((unet("stable-diffusion-xl").linear / 6.0e12 - 1.0).abs() < 0.15);
        assert!((decoder_operations(512, 512, 1) / 2.5e12 - 1.0).abs() < 0.02);
    }

    #[test]
    fn a_video_has_the_tokens_of_its_latent_frames() {
        let Shape::DiffusionTransformer(wan) = &architecture("wan2-1-t2v-1-3b").unwrap().shape
        else {
            panic!("not a transformer")
        };
        // 81 frames are 21 latent frames; 480x832 are 60x104 latents, 30x52 tokens.
        assert_eq!(wan.count(480, 832, 81).tokens, 21.0 * 30.0 * 52.0);
    }
}
