//! Work of one step on one device.

use super::{SCALE, Serving};
use crate::graph::{ExpertLayers, Language};
use crate::profile::experts_touched;
use crate::serving::format::{FOUR, WeightFormat};
use crate::serving::step::Work;

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
    pub fn work(&self, network: &Language) -> Work {
        let n = self.devices;
        let groups = self.attention_groups.clamp(1.0, n);
        let prompt_tokens = self.prompt_tokens();
        let tokens = self.part() + prompt_tokens;
        let context = self.mean_context();
        let (body, experts) = self.bytes_per_weight();
        let touched = self.touched(network);
        let read_back = self.part() * network.scores(context);
        let attention_copies = if groups > 1.0 {
            // Every group holds all of attention; the rest is shared by all devices.
            (groups - 1.0) * network.of_attention
        } else {
            0.0
        };
        let sent: f64 = network.experts.iter().map(|e| e.active * e.layers).sum();
        let in_experts = network.in_chosen_experts();
        let prompt_attention = prompt_tokens * network.prompt_scores(self.prompt);
        let width = network.hidden;
        let with_all_devices = if self.whole_experts { n } else { 1.0 };
        Work {
            body_bytes: ((network.body + attention_copies) * body
                + (network.head + network.router) * 2.0)
                / n,
            expert_bytes: touched.weights * experts / n,
            expert_weights: touched.weights / n,
            imbalance: touched.imbalance,
            cache_bytes: self.part() * 2.0 * network.cached(context, n / groups) / n,
            context,
            operations: 2.0 * network.active() * self.part() / n,
            expert_operations: 2.0 * in_experts * self.part() / n,
            attention: read_back / n,
            prompt: (2.0 * (network.active() - network.head) * prompt_tokens + prompt_attention)
                / n,
            expert_prompt: 2.0 * in_experts * prompt_tokens / n,
            prompt_attention: prompt_attention / n,
            padding: self.padding(network, tokens),
            activations: tokens * width * network.blocks,
            expert_activations: tokens * width * sent / with_all_devices,
            link_bytes: if n > 1.0 {
                8.0 * network.blocks * tokens * width * (n - 1.0) / n
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
    fn held(&self, experts: &ExpertLayers) -> f64 {
        let shared = if self.whole_experts {
            self.devices
        } else {
            1.0
        };
        experts.count / shared
    }

    /// Experts that a device holds, or holds a part of, all layers together.
    pub(super) fn all_held(&self, network: &Language) -> f64 {
        let experts = network.experts.iter();
        experts.map(|e| e.layers * self.held(e)).sum()
    }

    /// Inner width of a device's part of an expert, averaged over their parameters.
    pub(super) fn expert_width(&self, network: &Language) -> f64 {
        let all = network.in_experts();
        if all <= 0.0 {
            return 0.0;
        }
        let width: f64 = network.experts.iter().map(|e| e.width * e.all()).sum();
        let shared = if self.whole_experts {
            1.0
        } else {
            self.devices
        };
        width / all / shared
    }

    /// Share of the experts of some layers that a batch needs.
    fn share(&self, experts: &ExpertLayers) -> f64 {
        experts_touched(experts.active / experts.count, self.part())
    }

    /// Which experts a batch needs.
    fn touched(&self, network: &Language) -> Touched {
        let n = self.devices;
        let mut touched = Touched {
            weights: 0.0,
            imbalance: 1.0,
        };
        let mut busiest = 0.0;
        for experts in &network.experts {
            let share = self.share(experts);
            let per_device = share * self.held(experts);
            let imbalance = if self.whole_experts && n > 1.0 && per_device > 0.0 {
                // Largest of n binomial counts, about its mean plus √(2 ln n) standard deviations.
                (1.0 + (2.0 * n.ln() * (1.0 - share) / per_device).sqrt()).min(1.0 / share)
            } else {
                1.0
            };
            touched.weights += share * experts.all();
            busiest += share * experts.all() * imbalance;
        }
        if touched.weights > 0.0 {
            touched.imbalance = busiest / touched.weights;
        }
        touched
    }

    fn padding(&self, network: &Language, tokens: f64) -> f64 {
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
        let of = |e: &ExpertLayers| {
            let rows = rows * tokens * e.active;
            let touched = self.share(e) * self.held(e);
            e.layers * 2.0 * e.parameters * part * (touched * tile - rows).max(0.0)
        };
        network.experts.iter().map(of).sum()
    }
}

/// Bytes of a packed weight with its share of its scale.
pub(super) fn packed_bytes(bits: u8, scale: f64) -> f64 {
    f64::from(bits) / 8.0 + scale
}

struct Touched {
    /// Parameters of the experts that are needed, all layers together.
    weights: f64,
    /// The busiest device against the mean.
    imbalance: f64,
}
