//! [`Measurement`]: what is left of a model after a recipe, and where each number comes from.

use serde::{Deserialize, Serialize};

use crate::profile::ModelProfile;
use crate::recipe::Recipe;

/// Where a number comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Obtained by running the compressed weights on this machine.
    Measured {
        /// Samples behind it.
        n: u64,
    },
    /// Printed by somebody else.
    Published {
        /// Who, where, when.
        source: String,
    },
    /// Calculated.
    Modelled {
        /// The formula with its values filled in.
        formula: String,
    },
    /// Chosen by the person or by a default.
    Assumed {
        /// What for.
        reason: String,
    },
}

/// What a quality number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Fraction of held-out images classified correctly; higher is better; Wilson 95 % interval.
    Accuracy,
    /// Mean code length of held-out text in bits per byte; lower is better; 95 % interval of the mean.
    BitsPerByte,
}

impl Metric {
    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "Accuracy",
            Self::BitsPerByte => "Bits per byte",
        }
    }

    /// Whether more is better.
    pub const fn higher_is_better(self) -> bool {
        matches!(self, Self::Accuracy)
    }
}

/// A number with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Measured quality of one compressed model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// What is counted.
    pub metric: Metric,
    /// The estimate.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
    /// Held-out samples evaluated (images, predicted bytes).
    pub n: u64,
    /// The original's value on the same samples.
    pub baseline: f64,
    /// `value - baseline`, paired sample by sample, so its interval is narrower than that of `value`.
    pub change: Interval,
    /// Mean Kullback-Leibler divergence of the original's predictions from these, in nats per prediction.
    pub divergence: Interval,
}

/// How much of the held-out data was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// A small subset, for the first point while a slider moves.
    Coarse,
    /// Part of the full set, on the way to [`Self::Full`].
    Partial,
    /// All of it.
    Full,
}

/// What the compressed model does, to be shown beside what the original does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Example {
    /// A held-out image, which class each model sees in it.
    Image {
        /// Index in the evaluation set.
        index: usize,
        /// The true class.
        label: usize,
        /// The original's answer.
        original: usize,
        /// The compressed model's answer.
        compressed: usize,
    },
    /// A text continued by each model from the same prompt, drawn at temperature 0.7 with the same seed.
    Text {
        /// The beginning, from the held-out text.
        prompt: String,
        /// How the original goes on.
        original: String,
        /// How the compressed model goes on.
        compressed: String,
    },
}

/// How often the inputs of a layer of a spiking network fire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerActivity {
    /// Name of the layer that the spikes reach.
    pub layer: String,
    /// Spikes that reach it in one time step, averaged over images and steps.
    pub spikes_per_step: f64,
    /// The same per input of the layer. Above 1 for a layer behind a mean over pixels, each of which fires.
    pub activity: f64,
}

/// What the spiking version of a compressed network did with held-out images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spiking {
    /// Time steps that an image was presented for.
    pub steps: u32,
    /// Fraction of the images classified correctly; Wilson 95 % interval.
    pub accuracy: Interval,
    /// The same for the compressed network with its activations as numbers, on the same images.
    pub dense: f64,
    /// Images.
    pub n: u64,
    /// Layer by layer.
    pub activity: Vec<LayerActivity>,
}

/// The network that a recipe's distillation ratio led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudentNote {
    /// Ratio that was asked for.
    pub wanted: f64,
    /// Parameters of the network measured / parameters of the original.
    pub actual: f64,
    /// How it differs: "narrower: 32 → 16 channels".
    pub description: String,
    /// False while a student of the wanted ratio is not trained yet and the nearest finished one is shown.
    pub exact: bool,
}

/// What is left of a model after a recipe, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The recipe in its canonical form.
    pub recipe: Recipe,
    /// SHA-256 of the original's weights, hexadecimal.
    pub model_hash: String,
    /// How much data is behind `quality`.
    pub depth: Depth,
    /// Quality on held-out data.
    pub quality: Quality,
    /// Layers with their counted zeros and stored bytes.
    pub profile: ModelProfile,
    /// Which network was measured.
    pub student: StudentNote,
    /// What it now does; empty until the full depth is reached.
    pub examples: Vec<Example>,
}
