//! Work of one step on one device.

use super::{SCALE, Serving};
use crate::serving::architecture::{ParameterCount, Transformer};
use crate::serving::format::{FOUR, WeightFormat};
use crate::serving::step::Work;

/// Tokens of a batch share experts: they meet about as many as this power of their number would if they did not.
const SHARED_EXPERTS: f64 = 0.8;
/// Share of its answer that a running sequence has written, on average.
const WRITTEN: f64 = 0.5;
/// Tokens from which an answer is long: measurements begin before such answers are half written.
const LONG_ANSWER: f64 = 1500.0;
/// The same share of the tokens beyond that.
const WRITTEN_BEYOND: f64 = 0.38;
/// Rows of a tile of a grouped product in 16 bit.
const TILE_ROWS: f64 = 64.0;
/// Rows of a tile of a grouped product in FP8.
const TILE_ROWS_FP8: f64 = 128.0;

/// Tokens of an answer that a running sequence has written, on average.
fn written(output: f64) -> f64 {
    WRITTEN * output.min(LONG_ANSWER) + WRITTEN_BEYOND * (output - LONG_ANSWER).max(0.0)
}

impl Serving {
    /// Tokens of context of a sequence, averaged over the run.
    fn mean_context(&self) -> f64 {
        self.context
            .unwrap_or_else(|| self.prompt + written(self.output))
    }

    /// Work of one step on one device: with pipeline stages, of one part of the batch going through all of them on as
    /// many devices as one has.
    pub fn work(&self, network: &Transformer) -> Work {
        let count = network.parameters();
        let n = self.devices;
        let groups = self.attention_groups.clamp(1.0, n);
        let prompt_tokens = self.prompt_tokens();
        let tokens = self.part() + prompt_tokens;
        let context = self.mean_context();
        let (body, experts) = self.bytes_per_weight();
        let looked_back = network.looked_back(context);
        // Devices beyond the number of key-value heads hold copies; a latent vector cannot be split at all.
        let sharing = n / groups;
        let copies = match network.latent {
            Some(_) => sharing,
            None => (sharing / f64::from(network.kv_heads)).max(1.0),
        };
        let touched = self.touched(network, &count);
        let read_back =
            4.0 * self.part() * f64::from(network.heads) * network.score_width() * looked_back;
        let attention_copies = if groups > 1.0 {
            // Every group holds all of attention; the rest is shared by all devices.
            (groups - 1.0) * network.attention_parameters() * f64::from(network.layers)
        } else {
            0.0
        };
        let chosen = network
            .experts
            .map_or(0.0, |experts| f64::from(experts.active));
        let in_experts = count.expert_layers * count.expert * chosen;
        let prompt_attention = 2.0
            * prompt_tokens
            * f64::from(network.heads)
            * network.prompt_score_width()
            * network.looked_back(self.prompt);
        let width = f64::from(network.hidden);
        let with_all_devices = if self.whole_experts { n } else { 1.0 };
        Work {
            body_bytes: ((count.body + attention_copies) * body
                + (count.head + count.router) * 2.0)
                / n,
            expert_bytes: touched.share * count.experts * experts / n,
            expert_weights: touched.share * count.experts / n,
            imbalance: touched.imbalance,
            cache_bytes: self.part() * 2.0 * network.cached_per_layer() * looked_back * copies / n,
            context,
            operations: 2.0 * count.active * self.part() / n,
            expert_operations: 2.0 * in_experts * self.part() / n,
            attention: read_back / n,
            prompt: (2.0 * (count.active - count.head) * prompt_tokens + prompt_attention) / n,
            expert_prompt: 2.0 * in_experts * prompt_tokens / n,
            prompt_attention: prompt_attention / n,
            padding: self.padding(network, &count, tokens, touched.per_device),
            activations: tokens * width * f64::from(network.layers),
            expert_activations: tokens * width * chosen * count.expert_layers / with_all_devices,
            link_bytes: if n > 1.0 {
                8.0 * f64::from(network.layers) * tokens * width * (n - 1.0) / n
            } else {
                0.0
            },
        }
    }

    /// Tokens of prompts that fall to a step.
    fn prompt_tokens(&self) -> f64 {
        match self.context {
            Some(_) => 0.0,
            None => self.part() * self.prompt / self.output.max(1.0),
        }
    }

    /// Requests that begin and end in a step.
    pub(super) fn requests(&self) -> f64 {
        match self.context {
            Some(_) => 0.0,
            None => self.part() / self.output.max(1.0),
        }
    }

    fn bytes_per_weight(&self) -> (f64, f64) {
        let (body, experts) = match self.format {
            WeightFormat::Half => (2.0, 2.0),
            WeightFormat::Fp8 | WeightFormat::Int8 => (1.0, 1.0),
            WeightFormat::Packed(bits) => {
                let bytes = packed_bytes(bits, self.scale);
                (bytes, bytes)
            }
        };
        if self.own_experts() {
            (body, packed_bytes(FOUR, SCALE))
        } else {
            (body, experts)
        }
    }

    /// Experts of one layer that a device holds, or holds a part of.
    pub(super) fn held(&self, network: &Transformer) -> f64 {
        let count = network.experts.map_or(0, |experts| experts.count);
        f64::from(count)
            / if self.whole_experts {
                self.devices
            } else {
                1.0
            }
    }

    /// Inner width of a device's part of an expert.
    pub(super) fn expert_width(&self, network: &Transformer) -> f64 {
        let width = network.experts.map_or(0, |experts| experts.ffn);
        f64::from(width)
            / if self.whole_experts {
                1.0
            } else {
                self.devices
            }
    }

    /// Which experts a batch needs.
    fn touched(&self, network: &Transformer, count: &ParameterCount) -> Touched {
        let Some(experts) = network.experts.filter(|_| count.experts > 0.0) else {
            return Touched {
                share: 0.0,
                per_device: 0.0,
                imbalance: 1.0,
            };
        };
        let n = self.devices;
        let share = experts_touched(experts.active, experts.count, self.part());
        let per_device = share * self.held(network);
        let imbalance = if self.whole_experts && n > 1.0 && per_device > 0.0 {
            // Largest of n binomial counts, about its mean plus √(2 ln n) standard deviations.
            (1.0 + (2.0 * n.ln() * (1.0 - share) / per_device).sqrt()).min(1.0 / share)
        } else {
            1.0
        };
        Touched {
            share,
            per_device,
            imbalance,
        }
    }

    fn padding(
        &self,
        network: &Transformer,
        count: &ParameterCount,
        tokens: f64,
        touched: f64,
    ) -> f64 {
        let Some(experts) = network.experts else {
            return 0.0;
        };
        let tile = if self.format == WeightFormat::Fp8 {
            TILE_ROWS_FP8
        } else {
            TILE_ROWS
        };
        // Where devices share every expert, each computes all rows of its part of them.
        let (rows, part) = if self.whole_experts {
            (1.0 / self.devices, 1.0)
        } else {
            (1.0, 1.0 / self.devices)
        };
        let rows = rows * tokens * f64::from(experts.active);
        count.expert_layers * 2.0 * count.expert * part * (touched * tile - rows).max(0.0)
    }
}

/// Bytes of a packed weight with its share of its scale.
pub(super) fn packed_bytes(bits: u8, scale: f64) -> f64 {
    f64::from(bits) / 8.0 + scale
}

/// Share of the experts of a layer that a batch needs, with `active` of `count` per token:
/// 1 − (1 − active / count)^tokens, tokens of a batch counting for fewer as they share experts.
pub(crate) fn experts_touched(active: u32, count: u32, batch: f64) -> f64 {
    let chosen = f64::from(active) / f64::from(count.max(1));
    1.0 - (1.0 - chosen).powf(batch.powf(SHARED_EXPERTS))
}

struct Touched {
    /// Share of all experts.
    share: f64,
    /// Experts of one layer on one device.
    per_device: f64,
    /// The busiest device against the mean.
    imbalance: f64,
}
