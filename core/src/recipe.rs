//! [`Recipe`]: how a model is compressed. One value is the slider state, the undo step, the cache key, the part of a
//! preset and of the command line that says what to do to the weights.

mod blocks;
mod layers;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use blocks::BlockFormat;
pub use layers::{Override, Overrides, Width, fits};

use crate::error::{Error, Result};

/// What is done to a model, in this order: distillation chooses the network, pruning sets weights to zero, quantisation
/// rounds what is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Which weights become zero.
    pub pruning: Pruning,
    /// How many bits the others keep.
    pub quantization: Quantization,
    /// How large the network is compared with the original.
    pub distillation: Distillation,
    /// Seed of everything random (student initialisation and batch order).
    pub seed: u64,
    /// What single layers have of their own.
    #[serde(skip_serializing_if = "Overrides::is_empty")]
    pub layers: Overrides,
}

/// Magnitude pruning: the weights of smallest absolute value become zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pruning {
    /// Fraction of the prunable weights that become zero, 0 to 0.99. With [`Pattern::TwoOfFour`] exactly 0 or 0.5.
    pub sparsity: f64,
    /// Where zeros may lie.
    pub pattern: Pattern,
    /// Over which weights magnitudes are compared.
    pub scope: Scope,
}

/// Where the zeros of a pruned matrix may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Pattern {
    /// Anywhere.
    #[default]
    Unstructured,
    /// Two in every four consecutive weights along the input dimension, as sparse tensor cores need it.
    TwoOfFour,
}

/// Over which weights the magnitude threshold is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Scope {
    /// Each layer loses the same fraction.
    Layer,
    /// One threshold for the whole model: layers with small weights lose more.
    #[default]
    Global,
}

/// Quantisation of the weights: symmetric integers, round to nearest, or the block formats of llama.cpp.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quantization {
    /// Bits per weight: 1 to 8 (integers with a scale), 16 (half precision) or 32 (single precision, untouched).
    pub weight_bits: u8,
    /// Which weights share one scale.
    pub group: Group,
    /// Bits per activation: 2 to 8 (symmetric integers, one scale per image or token taken as it runs), 16 or 32.
    pub activation_bits: u8,
    /// Blocks of llama.cpp in place of bits and group, which then have no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<BlockFormat>,
}

/// Which weights share one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Group {
    /// All weights of an output channel (a row of the weight matrix).
    #[default]
    Channel,
    /// This many consecutive weights of an output channel.
    Size(u32),
}

/// Knowledge distillation: a smaller student trained on the soft labels of the original.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distillation {
    /// Student parameters / teacher parameters, 0.05 to 1; 1 is the original itself.
    pub ratio: f64,
    /// Softening temperature of the teacher's and student's logits during training.
    pub temperature: f64,
}

impl Default for Recipe {
    /// The identity: nothing is changed.
    fn default() -> Self {
        Self {
            pruning: Pruning::default(),
            quantization: Quantization::default(),
            distillation: Distillation::default(),
            seed: 1,
            layers: Overrides::default(),
        }
    }
}

impl Default for Pruning {
    fn default() -> Self {
        Self {
            sparsity: 0.0,
            pattern: Pattern::Unstructured,
            scope: Scope::Global,
        }
    }
}

impl Default for Quantization {
    fn default() -> Self {
        Self {
            weight_bits: 32,
            group: Group::Channel,
            activation_bits: 32,
            blocks: None,
        }
    }
}

impl Quantization {
    /// Bits of a weight's code, scales apart; of a mix of blocks those of most weights.
    pub const fn code_bits(&self) -> u8 {
        match self.blocks {
            Some(format) => format.bits(),
            None => self.weight_bits,
        }
    }

    /// What weights are rounded to, scales apart.
    pub const fn width(&self) -> Width {
        match self.blocks {
            Some(format) => Width::Blocks(format),
            None => Width::Bits(self.weight_bits),
        }
    }
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            ratio: 1.0,
            temperature: 2.0,
        }
    }
}

impl Recipe {
    /// The largest sparsity that can be asked for.
    pub const MAX_SPARSITY: f64 = 0.99;
    /// The smallest distillation ratio that can be asked for.
    pub const MIN_RATIO: f64 = 0.05;
    /// The weight widths that exist, narrowest first.
    pub const WEIGHT_BITS: [u8; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32];
    /// The activation widths that exist, narrowest first.
    pub const ACTIVATION_BITS: [u8; 9] = [2, 3, 4, 5, 6, 7, 8, 16, 32];

    /// Checks every field against what can be done.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the first field that is out of range, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let sparsity = self.pruning.sparsity;
        if !(0.0..=Self::MAX_SPARSITY).contains(&sparsity) {
            return Err(Error::Recipe(format!(
                "sparsity is {sparsity}; it must lie between 0 and {}",
                Self::MAX_SPARSITY
            )));
        }
        if self.pruning.pattern == Pattern::TwoOfFour && sparsity != 0.0 && sparsity != 0.5 {
            return Err(Error::Recipe(format!(
                "sparsity is {sparsity}; the 2:4 pattern has exactly half of its weights at zero, so it must be 0.5"
            )));
        }
        let bits = self.quantization.weight_bits;
        if !Self::WEIGHT_BITS.contains(&bits) {
            return Err(Error::Recipe(format!(
                "weight bits are {bits}; they must be 1 to 8, 16 or 32"
            )));
        }
        let bits = self.quantization.activation_bits;
        if !Self::ACTIVATION_BITS.contains(&bits) {
            return Err(Error::Recipe(format!(
                "activation bits are {bits}; they must be 2 to 8, 16 or 32"
            )));
        }
        if let Group::Size(size) = self.quantization.group
            && !(size >= 8 && size.is_power_of_two() && size <= 1024)
        {
            return Err(Error::Recipe(format!(
                "the group size is {size}; it must be a power of two from 8 to 1024"
            )));
        }
        let ratio = self.distillation.ratio;
        if !(Self::MIN_RATIO..=1.0).contains(&ratio) {
            return Err(Error::Recipe(format!(
                "the distillation ratio is {ratio}; it must lie between {} and 1",
                Self::MIN_RATIO
            )));
        }
        let temperature = self.distillation.temperature;
        if !(0.5..=20.0).contains(&temperature) {
            return Err(Error::Recipe(format!(
                "the distillation temperature is {temperature}; it must lie between 0.5 and 20"
            )));
        }
        self.layers.validate(self)
    }

    /// The same recipe with every knob that has no effect at its default, so that recipes that do the same are equal:
    /// at zero sparsity the pattern and scope do not matter, with blocks neither bits nor group do, from 16 bits on the
    /// group does not, at ratio 1 neither the temperature nor the seed does, and a layer needs nothing of its own that all
    /// have. What some layer needs is no knob without effect.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut recipe = self.clone();
        let default = Self::default();
        recipe.pruning.sparsity = round_to(recipe.pruning.sparsity, 1e4);
        recipe.distillation.ratio = round_to(recipe.distillation.ratio, 1e4);
        if recipe.quantization.blocks.is_some() {
            recipe.quantization.weight_bits = default.quantization.weight_bits;
        }
        recipe.layers = self.layers.canonical(&recipe);
        if recipe.pruning.sparsity == 0.0 {
            recipe.pruning.scope = default.pruning.scope;
            if !recipe.layers.prune() {
                recipe.pruning = default.pruning;
            }
        }
        if recipe.pruning.pattern == Pattern::TwoOfFour {
            recipe.pruning.scope = default.pruning.scope;
        }
        if recipe.quantization.weight_bits >= 16 && !recipe.layers.have_scales() {
            recipe.quantization.group = default.quantization.group;
        }
        if recipe.distillation.ratio >= 1.0 {
            recipe.distillation = default.distillation;
            recipe.seed = default.seed;
        }
        recipe
    }

    /// Whether the recipe leaves the model as it is.
    pub fn is_identity(&self) -> bool {
        self.canonical() == Self::default()
    }

    /// A text that two recipes share exactly when they do the same; the key of every cache.
    pub fn key(&self) -> String {
        let recipe = self.canonical();
        format!("{}{}", recipe.student_key(), recipe.weights_key())
    }

    /// The part of [`Self::key`] that the choice of network depends on.
    pub fn student_key(&self) -> String {
        let recipe = self.canonical();
        if recipe.distillation.ratio >= 1.0 {
            "d1".to_owned()
        } else {
            format!(
                "d{}t{}s{}",
                recipe.distillation.ratio, recipe.distillation.temperature, recipe.seed
            )
        }
    }

    fn weights_key(&self) -> String {
        let group = match self.quantization.group {
            Group::Channel => "c".to_owned(),
            Group::Size(size) => size.to_string(),
        };
        let pattern = match self.pruning.pattern {
            Pattern::Unstructured => "u",
            Pattern::TwoOfFour => "n",
        };
        let scope = match self.pruning.scope {
            Scope::Layer => "l",
            Scope::Global => "g",
        };
        let blocks = match self.quantization.blocks {
            Some(format) => format!("b{format}"),
            None => String::new(),
        };
        format!(
            "p{}{pattern}{scope}w{}g{group}{blocks}a{}{}",
            self.pruning.sparsity,
            self.quantization.weight_bits,
            self.quantization.activation_bits,
            self.layers.key()
        )
    }
}

fn round_to(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}
