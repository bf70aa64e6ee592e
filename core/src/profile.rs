//! What a model asks of a machine: its layers with their shapes, operations and, once a recipe is applied, the bits and
//! zeros of their weights. Everything here is arithmetic on shapes; no weight is needed.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::measurement::Spiking;
use crate::recipe::Pattern;
use crate::serving::architecture::Architecture;
use crate::units::Bytes;

/// Tokens of a batch share experts: they meet about as many as this power of their number would if they did not.
const SHARED_EXPERTS: f64 = 0.8;

/// Share of the experts of a layer that a batch needs, where a token is sent to the share `chosen` of them:
/// 1 − (1 − chosen)^tokens, tokens of a batch counting for fewer as they share experts.
pub(crate) fn experts_touched(chosen: f64, batch: f64) -> f64 {
    1.0 - (1.0 - chosen).powf(batch.powf(SHARED_EXPERTS))
}

/// What one unit of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One image classified or generated.
    Image,
    /// One token read or generated.
    Token,
    /// One video generated.
    Video,
    /// One sample of any other kind.
    Sample,
}

impl Unit {
    /// The singular word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Token => "token",
            Self::Video => "video",
            Self::Sample => "sample",
        }
    }

    /// The plural word for it.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Image => "images",
            Self::Token => "tokens",
            Self::Video => "videos",
            Self::Sample => "samples",
        }
    }
}

/// What a layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// A matrix product with weights `[out, in]`.
    Linear,
    /// A convolution with weights `[out, in, height, width]`.
    Conv2d,
    /// A table lookup with weights `[rows, width]`: bytes but no multiplications.
    Embedding,
    /// Normalisation, activation, pooling: few weights, work in proportion to the activations.
    Elementwise,
    /// The two products of attention with the cache: multiplications without weights.
    Attention,
    /// A matrix product with the layer's own last output, and perhaps with the new input in the same product, weights
    /// `[gates × units, units]` or `[gates × units, in + units]`: one token after another.
    Recurrent,
}

impl LayerKind {
    /// Whether it multiplies activations by a matrix of stored weights.
    pub const fn multiplies_weights(self) -> bool {
        matches!(self, Self::Linear | Self::Conv2d | Self::Recurrent)
    }
}

/// One layer of a network, from its shape alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Name, the same as the prefix of its tensors.
    pub name: String,
    /// What it computes.
    pub kind: LayerKind,
    /// Shape of the weight tensor, output dimension first; empty where there is none.
    pub shape: Vec<usize>,
    /// Parameters that are not in the weight tensor (biases, normalisation), kept at full precision.
    pub other_parameters: u64,
    /// Whether pruning and quantisation apply to the weight tensor.
    pub compressible: bool,
    /// Multiply-accumulates per unit of work, with no zero skipped. Attention of a language model (unit: token) is
    /// counted at [`Self::REFERENCE_CONTEXT`] tokens of context.
    pub macs: f64,
    /// Elements read from activations per unit of work.
    pub inputs: f64,
    /// Elements written to activations per unit of work.
    pub outputs: f64,
    /// Elements of the key and value cache read per unit of work (attention only), at
    /// [`Self::REFERENCE_CONTEXT`] tokens of context.
    pub cache: f64,
    /// How it runs, where that is not once and whole.
    #[serde(default, skip_serializing_if = "Execution::is_plain")]
    pub execution: Execution,
}

/// How an entry of the list of layers runs, where it stands for more than one layer that runs once and whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// Equal layers that the entry stands for; every other number of the layer is of all of them together.
    pub layers: u32,
    /// Times that each of them runs for one unit of work, reading its weights again (denoising steps).
    pub passes: u32,
    /// Experts that one unit of work visits, of how many.
    pub experts: Option<(u32, u32)>,
    /// Most tokens of context that attention looks back over.
    pub window: Option<u32>,
    /// What is kept of a sequence, against what is read of it.
    #[serde(default, skip_serializing_if = "Kept::is_plain")]
    pub kept: Kept,
    /// Elements of an earlier result that are read once more and added to this one (residual connections).
    #[serde(default)]
    pub added: f64,
    /// Whether it runs once for every denoising step of a scenario, which makes a unit of work; its numbers are then those of
    /// one step.
    #[serde(default, skip_serializing_if = "Execution::runs_once")]
    pub in_steps: bool,
}

/// What a layer keeps of a sequence, against the elements that [`Layer::cache`] counts as read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kept {
    /// What it reads.
    #[default]
    Read,
    /// All of the context, of which it picks as many tokens as its window has.
    Picked,
    /// Nothing: it reads what an earlier layer keeps.
    Earlier,
    /// A state that does not grow with the context (linear attention, state-space layers), which is read and written and
    /// therefore counted twice.
    State,
}

impl Kept {
    fn is_plain(&self) -> bool {
        *self == Self::Read
    }
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            layers: 1,
            passes: 1,
            experts: None,
            window: None,
            kept: Kept::Read,
            added: 0.0,
            in_steps: false,
        }
    }
}

impl Execution {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    const fn runs_once(in_steps: &bool) -> bool {
        !*in_steps
    }

    /// One layer that runs once and whole.
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Share of the weights that a batch of so many units of work reads.
    pub fn touched(&self, batch: f64) -> f64 {
        match self.experts {
            Some((active, count)) => {
                experts_touched(f64::from(active) / f64::from(count.max(1)), batch)
            }
            None => 1.0,
        }
    }
}

impl Layer {
    /// Tokens of context at which the attention layers of language models count their multiply-accumulates and cache
    /// elements; both grow in proportion to the context, so a footprint rescales them to its scenario.
    pub const REFERENCE_CONTEXT: f64 = 128.0;

    /// Number of elements of the weight tensor.
    pub fn weights(&self) -> u64 {
        if self.shape.is_empty() {
            0
        } else {
            self.shape.iter().map(|&n| n as u64).product()
        }
    }

    /// Number of weights that feed one output: the length of a row.
    pub fn fan_in(&self) -> u64 {
        self.shape.iter().skip(1).map(|&n| n as u64).product()
    }
}

/// A layer after a recipe: what is stored and what could be skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerProfile {
    /// The layer.
    pub layer: Layer,
    /// Weights that are not zero, whatever made the others zero: training, pruning or rounding. All, where the weights are
    /// not compressible.
    pub nonzero: u64,
    /// Bits per weight; those of the original's file where the weights are not compressible.
    pub weight_bits: u8,
    /// Bits per parameter outside the weight tensor, on average: those of the original's file.
    #[serde(default = "single", skip_serializing_if = "is_single")]
    pub other_bits: f64,
    /// Bits per activation that enters the layer; 32 where the weights are not compressible, because nothing is rounded
    /// there when quality is measured.
    pub activation_bits: u8,
    /// Pattern of the zeros, if the layer was pruned. 2:4 holds for rows padded with zeros to a multiple of four.
    pub pattern: Option<Pattern>,
    /// Scales of the weights, two bytes each, of groups that hold a weight that is not zero; none at 16 and 32 bits.
    pub scales: u64,
    /// Bytes of the layer in the exported file, scales, masks and other parameters included; see
    /// [`crate::compress::Compressor::export`].
    pub stored_bytes: u64,
}

const fn single() -> f64 {
    32.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_single(bits: &f64) -> bool {
    *bits == single()
}

impl LayerProfile {
    /// Bits of the activations that its products are computed from: those that were left alone count as 16 beside weights of
    /// at most 16, as kernels for such weights have them.
    pub fn operand_bits(&self) -> u8 {
        if self.weight_bits <= 16 {
            self.activation_bits.min(16)
        } else {
            self.activation_bits
        }
    }

    /// Bytes of the parameters outside the weight tensor.
    pub fn other_bytes(&self) -> f64 {
        self.layer.other_parameters as f64 * self.other_bits / 8.0
    }

    /// Fraction of the weights that are zero.
    pub fn sparsity(&self) -> f64 {
        let weights = self.layer.weights();
        if weights == 0 {
            0.0
        } else {
            1.0 - self.nonzero as f64 / weights as f64
        }
    }

    /// Bits that zeros take beside `bits` for every weight: codes of 1 bit are signs and cannot say zero, so that a bit for
    /// each weight says whether it has one, and a bit for each that has.
    pub(crate) fn bitmap_bits(&self, bits: f64) -> f64 {
        if bits <= 1.0 && self.nonzero < self.layer.weights() {
            self.nonzero as f64
        } else {
            0.0
        }
    }

    /// Bytes of the weights as dense hardware reads them: zeros have codes like other weights, and 1-bit weights, of which
    /// none can be zero, a bitmap beside them.
    pub fn dense_bytes(&self) -> Bytes {
        let bits = f64::from(self.weight_bits);
        let codes = self.layer.weights() as f64 * bits;
        Bytes((codes + self.bitmap_bits(bits)) / 8.0 + self.other_bytes())
    }
}

/// A whole model after a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelProfile {
    /// Name of the model.
    pub model: String,
    /// What one unit of work is.
    pub unit: Unit,
    /// The layers in the order in which they run.
    pub layers: Vec<LayerProfile>,
    /// Bytes of the exported file's header, and of tensors that belong to no layer.
    pub header_bytes: u64,
    /// The network's shapes, where serving stacks may run it: published measurements of its like are then a better guide
    /// than its layers one by one. All networks known by their shapes have them, and language models with weights.
    #[serde(skip)]
    pub network: Option<Arc<Architecture>>,
    /// What its spiking version did with data, where that was run.
    #[serde(skip)]
    pub spiking: Option<Arc<Spiking>>,
}

impl ModelProfile {
    /// Whether a layer needs its own last output, so that the tokens of a text come one after another.
    pub(crate) fn is_recurrent(&self) -> bool {
        let mut layers = self.layers.iter();
        layers.any(|l| l.layer.kind == LayerKind::Recurrent)
    }

    /// Whether a unit of work takes several denoising steps.
    pub fn is_made_in_steps(&self) -> bool {
        self.layers.iter().any(|l| l.layer.execution.in_steps)
    }

    /// The same with what so many denoising steps ask for together, where a unit of work takes several.
    pub fn in_steps(&self, steps: u32) -> Cow<'_, Self> {
        if !self.is_made_in_steps() {
            return Cow::Borrowed(self);
        }
        let mut all = self.clone();
        let times = f64::from(steps.max(1));
        for LayerProfile { layer, .. } in &mut all.layers {
            if !std::mem::take(&mut layer.execution.in_steps) {
                continue;
            }
            let execution = &mut layer.execution;
            execution.passes = execution.passes.saturating_mul(steps.max(1));
            for number in [
                &mut layer.macs,
                &mut layer.inputs,
                &mut layer.outputs,
                &mut layer.cache,
                &mut execution.added,
            ] {
                *number *= times;
            }
        }
        Cow::Owned(all)
    }

    /// All parameters, compressible or not.
    pub fn parameters(&self) -> u64 {
        self.layers
            .iter()
            .map(|l| l.layer.weights() + l.layer.other_parameters)
            .sum()
    }

    /// Elements of all weight tensors that pruning and quantisation apply to.
    pub fn weights(&self) -> u64 {
        self.compressible().map(|l| l.layer.weights()).sum()
    }

    /// Those of [`Self::weights`] that are not zero.
    pub fn nonzero_weights(&self) -> u64 {
        self.compressible().map(|l| l.nonzero).sum()
    }

    /// Size of the exported file in bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.header_bytes + self.layers.iter().map(|l| l.stored_bytes).sum::<u64>()
    }

    /// Multiply-accumulates per unit of work, no zero skipped.
    pub fn macs(&self) -> f64 {
        self.layers.iter().map(|l| l.layer.macs).sum()
    }

    /// Multiply-accumulates per unit of work with a nonzero weight (or without weights).
    pub fn nonzero_macs(&self) -> f64 {
        self.layers
            .iter()
            .map(|l| l.layer.macs * (1.0 - l.sparsity()))
            .sum()
    }

    /// Bits and zeros together: Σ MACs × weight bits × activation bits × density, the "bit operations" of the
    /// quantisation literature; attention at so many tokens of context, with both of its operands as wide as the
    /// activations that products are computed from.
    pub fn nominal_bit_operations(&self, context: f64) -> f64 {
        let products = self.compressible().filter(|l| l.layer.macs > 0.0);
        let activations = products.map(LayerProfile::operand_bits).max();
        self.layers
            .iter()
            .map(|l| {
                let bits = if l.layer.kind.multiplies_weights() {
                    f64::from(l.weight_bits) * f64::from(l.operand_bits())
                } else {
                    f64::from(activations.unwrap_or(l.activation_bits)).powi(2)
                };
                self.macs_at(l, context) * (1.0 - l.sparsity()) * bits
            })
            .sum()
    }

    /// Multiply-accumulates of a layer at so many tokens of context.
    fn macs_at(&self, layer: &LayerProfile, context: f64) -> f64 {
        if layer.layer.kind == LayerKind::Attention && self.unit == Unit::Token {
            let seen =
                (layer.layer.execution.window).map_or(context, |w| context.min(f64::from(w)));
            layer.layer.macs * seen / Layer::REFERENCE_CONTEXT
        } else {
            layer.layer.macs
        }
    }

    /// Multiply-accumulates per unit of work at so many tokens of context, no zero skipped.
    pub fn dense_macs(&self, context: f64) -> f64 {
        self.layers.iter().map(|l| self.macs_at(l, context)).sum()
    }

    /// Σ bits of nonzero weights: the nominal size, before any overhead of a file.
    pub fn nominal_bits(&self) -> f64 {
        self.layers
            .iter()
            .map(|l| l.nonzero as f64 * f64::from(l.weight_bits) + 8.0 * l.other_bytes())
            .sum()
    }

    /// Bits of a weight with its share of the scales, on average over the weights that pruning and quantisation apply to, none
    /// left out for being zero; none where there are no such weights.
    pub fn bits_per_weight(&self) -> Option<f64> {
        let bits = |l: &LayerProfile| {
            l.layer.weights() as f64 * f64::from(l.weight_bits) + 16.0 * l.scales as f64
        };
        let weights = self.weights();
        (weights > 0).then(|| self.compressible().map(bits).sum::<f64>() / weights as f64)
    }

    fn compressible(&self) -> impl Iterator<Item = &LayerProfile> {
        self.layers.iter().filter(|l| l.layer.compressible)
    }
}
