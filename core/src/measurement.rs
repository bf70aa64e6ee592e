//! [`Measurement`]: what is left of a model after a recipe, and where each number comes from.

use serde::{Deserialize, Serialize};

use crate::profile::ModelProfile;
use crate::recipe::Recipe;

/// Denoising steps in which pictures are made that are measured, and in which scenarios have images made at first.
pub const DENOISING_STEPS: u32 = 10;
/// Denoising steps in which pictures are made to be looked at.
pub const DENOISING_LADDER: [u32; 6] = [1, 2, 5, 10, 20, 50];

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
    /// Perplexity per token of held-out text: the exponential of the mean code length in nats; lower is better; the interval
    /// is that of the mean, taken to the exponent.
    Perplexity,
    /// What held-out images cost an autoencoder at most, in bits per pixel: the negative evidence lower bound, each pixel
    /// being the probability of white; lower is better; 95 % interval of the mean.
    NegativeElbo,
    /// Fréchet distance of pictures made of noise from held-out ones, by the features of the bundled classifier; lower is
    /// better; 95 % interval by what each picture changes of it.
    Frechet,
    /// Mean cosine of the angle between what the original and the compressed encoder make of a sentence; higher is better;
    /// 95 % interval of the mean.
    EmbeddingCosine,
    /// How near the outputs for inputs that are made up come to the original's, in decibels: the power of the original's over
    /// that of the difference, averaged over outputs; higher is better; 95 % interval of the mean over inputs.
    Fidelity,
    /// Mean square per pixel of what a denoiser is wrong by in the velocities of held-out images with noise, at times spread
    /// evenly; lower is better; 95 % interval of the mean.
    DenoisingLoss,
}

/// What is known of a metric: how it reads and what it can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricFacts {
    /// The name on screen.
    pub name: &'static str,
    /// What a number of it is called, behind it; none for a fraction, which is shown in percent, and its changes in points,
    /// and for what has only a name.
    pub unit: &'static str,
    /// What it is counted in, in tables.
    pub counted_in: &'static str,
    /// What it is measured on, in the plural.
    pub samples: &'static str,
    /// Whether it is a fraction.
    pub is_fraction: bool,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// Whether it is of text.
    pub is_of_text: bool,
    /// The least and the most that it can be.
    pub bounds: (f64, f64),
    /// The least span that a chart shows of it.
    pub least_span: f64,
    /// How many times the original's value, or that of the current configuration, a chart shows at most: what grows without
    /// a bound would leave nothing of the rest to see.
    pub most_times: f64,
    /// Decimals of it, at least, where its interval is not wide.
    pub decimals: usize,
}

impl Metric {
    /// What is known of it.
    pub const fn facts(self) -> MetricFacts {
        match self {
            Self::Accuracy => MetricFacts {
                name: "Accuracy",
                unit: "",
                counted_in: "fraction",
                samples: "held-out images",
                is_fraction: true,
                higher_is_better: true,
                is_of_text: false,
                bounds: (0.0, 1.0),
                least_span: 0.03,
                most_times: f64::INFINITY,
                decimals: 0,
            },
            Self::BitsPerByte => MetricFacts {
                name: "Bits per byte",
                unit: "bits per byte",
                counted_in: "bits per byte",
                samples: "held-out bytes",
                is_fraction: false,
                higher_is_better: false,
                is_of_text: true,
                bounds: (0.0, f64::MAX),
                least_span: 0.08,
                most_times: f64::INFINITY,
                decimals: 0,
            },
            Self::Perplexity => MetricFacts {
                name: "Perplexity",
                unit: "",
                counted_in: "perplexity per token",
                samples: "predicted tokens",
                is_fraction: false,
                higher_is_better: false,
                is_of_text: true,
                bounds: (1.0, f64::MAX),
                least_span: 2.0,
                most_times: 4.0,
                decimals: 2,
            },
            Self::NegativeElbo => MetricFacts {
                name: "Negative ELBO",
                unit: "bits per pixel",
                counted_in: "bits per pixel",
                samples: "held-out images",
                is_fraction: false,
                higher_is_better: false,
                is_of_text: false,
                bounds: (0.0, f64::MAX),
                least_span: 0.02,
                most_times: 6.0,
                decimals: 3,
            },
            Self::Frechet => MetricFacts {
                name: "Fréchet distance",
                unit: "",
                counted_in: "squared distance of features",
                samples: "pictures made of noise",
                is_fraction: false,
                higher_is_better: false,
                is_of_text: false,
                bounds: (-f64::MAX, f64::MAX),
                least_span: 0.05,
                most_times: 20.0,
                decimals: 2,
            },
            Self::EmbeddingCosine => MetricFacts {
                name: "Embedding cosine",
                unit: "",
                counted_in: "cosine to the original's embedding",
                samples: "held-out sentences",
                is_fraction: false,
                higher_is_better: true,
                is_of_text: false,
                bounds: (-1.0, 1.0),
                least_span: 0.01,
                most_times: f64::INFINITY,
                decimals: 4,
            },
            Self::Fidelity => MetricFacts {
                name: "Fidelity",
                unit: "dB",
                counted_in: "decibels",
                samples: "inputs",
                is_fraction: false,
                higher_is_better: true,
                is_of_text: false,
                bounds: (-120.0, 120.0),
                least_span: 10.0,
                most_times: f64::INFINITY,
                decimals: 1,
            },
            Self::DenoisingLoss => MetricFacts {
                name: "Denoising loss",
                unit: "per pixel",
                counted_in: "mean square per pixel",
                samples: "held-out images with noise",
                is_fraction: false,
                higher_is_better: false,
                is_of_text: false,
                bounds: (0.0, f64::MAX),
                least_span: 0.01,
                most_times: 6.0,
                decimals: 4,
            },
        }
    }

    /// The name on screen.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// Whether more is better.
    pub const fn higher_is_better(self) -> bool {
        self.facts().higher_is_better
    }

    /// Whether it is of text.
    pub const fn is_of_text(self) -> bool {
        self.facts().is_of_text
    }

    /// Whether it is of pictures that a network makes.
    pub const fn is_of_pictures(self) -> bool {
        matches!(
            self,
            Self::NegativeElbo | Self::Frechet | Self::DenoisingLoss
        )
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
    /// Mean Kullback-Leibler divergence of the original's predictions from these, in nats per prediction; of an
    /// autoencoder's images in nats per pixel. Generators predict nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Interval>,
    /// Share of the predictions whose most probable token (of the bundled one: byte) is the original's; of language models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_top: Option<Interval>,
    /// Cosine of the angle between outputs and the original's; where [`Metric::Fidelity`] is the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<Interval>,
    /// What else is measured of pictures that it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Pictures>,
    /// Share of the ten sentences nearest to each by the original that are among the ten nearest now; of encoders only, once
    /// all sentences are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<Interval>,
    /// Bits per byte of the text that the scored tokens stand for, which is comparable between tokenizers; of language models
    /// with a tokenizer only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<Paired>,
}

/// A number with its 95 % interval beside the original's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paired {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The original's on the same samples.
    pub baseline: f64,
}

/// What is measured of pictures besides a model's own metric.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pictures {
    /// Mean peak signal-to-noise ratio of held-out images made again, in decibels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psnr: Option<Paired>,
    /// [`Metric::Frechet`] of pictures made of noise, where it is not the metric itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frechet: Option<Paired>,
    /// Share of the pictures made of noise that lie among held-out ones by these features (Kynkäänniemi et al. 2019).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Paired>,
    /// Share of the held-out images that lie among pictures made of noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<Paired>,
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
    /// A picture that each model made: of the same noise, or of a held-out image.
    Picture {
        /// Index of that image in the evaluation set.
        held_out: Option<usize>,
        /// Rows, and as many columns.
        rows: usize,
        /// Steps in which it was made, where it was made in steps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steps: Option<u32>,
        /// The original's, channel by channel, 255 as white.
        original: Vec<u8>,
        /// The compressed model's.
        compressed: Vec<u8>,
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
    /// A held-out sentence and those nearest to it, by each model.
    Nearest {
        /// The sentence.
        sentence: String,
        /// The nearest by the original, the nearest first.
        original: Vec<Near>,
        /// The nearest by the compressed model.
        compressed: Vec<Near>,
    },
    /// The largest numbers of an output for one input.
    Outputs {
        /// Name of the output.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Where in it these stand, the largest of the original's first.
        places: Vec<usize>,
        /// The original's.
        original: Vec<f32>,
        /// The compressed model's.
        compressed: Vec<f32>,
    },
}

/// A sentence near another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Near {
    /// The sentence.
    pub sentence: String,
    /// Cosine of the angle between what a model makes of both.
    pub similarity: f64,
    /// Whether it is among the nearest by the other model too.
    pub by_both: bool,
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
