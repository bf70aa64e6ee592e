//! [`Axis`]: the knob along which the charts ask "what if", the one that was moved last.

use serde::{Deserialize, Serialize};
use wattif_core::recipe::{Pattern, Recipe};
use wattif_core::scenario::Scenario;

use crate::format;

/// A knob with an order, so that charts can be drawn over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Axis {
    /// Fraction of zero weights.
    #[default]
    Sparsity,
    /// Bits per weight.
    WeightBits,
    /// Bits per activation.
    ActivationBits,
    /// Student parameters / teacher parameters.
    Ratio,
    /// Units of work processed together.
    Batch,
    /// Devices that share the model.
    Devices,
    /// Tokens that a language model attends to.
    Context,
    /// Tokens of a prompt.
    Prompt,
    /// Tokens of an answer.
    Answer,
    /// Time steps of a spiking network.
    TimeSteps,
    /// Units of work per day.
    Demand,
    /// Energy of the building / energy of the machines.
    Pue,
    /// Years a device is used.
    Lifetime,
    /// Fraction of its life a device is busy.
    Utilization,
    /// Denoising steps of an image.
    Steps,
}

/// How values of an axis are spread over the chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    Even,
    Logarithmic,
    /// One place per value of a list, at even distances.
    Listed(&'static [u8]),
}

impl Axis {
    /// All axes, in the order of the controls.
    pub const ALL: [Self; 15] = [
        Self::Sparsity,
        Self::WeightBits,
        Self::ActivationBits,
        Self::Ratio,
        Self::Batch,
        Self::Devices,
        Self::Context,
        Self::Prompt,
        Self::Answer,
        Self::TimeSteps,
        Self::Demand,
        Self::Pue,
        Self::Lifetime,
        Self::Utilization,
        Self::Steps,
    ];

    /// Name on screen, the same as that of its slider.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sparsity => "Sparsity",
            Self::WeightBits => "Weight bits",
            Self::ActivationBits => "Activation bits",
            Self::Ratio => "Distillation ratio",
            Self::Batch => "Batch size",
            Self::Devices => "Devices",
            Self::Context => "Context length",
            Self::Prompt => "Prompt",
            Self::Answer => "Answer",
            Self::TimeSteps => "Time steps",
            Self::Demand => "Demand per day",
            Self::Pue => "PUE",
            Self::Lifetime => "Lifetime",
            Self::Utilization => "Utilisation",
            Self::Steps => "Denoising steps",
        }
    }

    /// The unit written after its name under the charts, empty where it has none.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Sparsity | Self::Ratio | Self::Utilization => "%",
            Self::WeightBits | Self::ActivationBits => "bits",
            Self::Context | Self::Prompt | Self::Answer => "tokens",
            Self::Lifetime => "years",
            Self::Batch
            | Self::Devices
            | Self::TimeSteps
            | Self::Demand
            | Self::Pue
            | Self::Steps => "",
        }
    }

    /// What its values are counted in, for tables.
    pub(super) const fn counted_in(self) -> &'static str {
        match self {
            Self::Sparsity | Self::Ratio | Self::Utilization => "fraction",
            Self::Batch => "units of work",
            Self::Devices => "devices",
            Self::TimeSteps => "time steps",
            Self::Steps => "denoising steps",
            Self::Demand => "units of work per day",
            Self::Pue => "ratio",
            _ => self.unit(),
        }
    }

    /// Whether it changes the weights, so that quality depends on it.
    pub const fn is_recipe(self) -> bool {
        matches!(
            self,
            Self::Sparsity | Self::WeightBits | Self::ActivationBits | Self::Ratio
        )
    }

    const fn spread(self) -> Spread {
        match self {
            Self::WeightBits => Spread::Listed(&Recipe::WEIGHT_BITS),
            Self::ActivationBits => Spread::Listed(&Recipe::ACTIVATION_BITS),
            Self::Batch
            | Self::Devices
            | Self::Context
            | Self::Prompt
            | Self::Answer
            | Self::TimeSteps
            | Self::Steps
            | Self::Demand => Spread::Logarithmic,
            _ => Spread::Even,
        }
    }

    /// Smallest and largest value of its slider.
    pub(super) const fn range(self) -> (f64, f64) {
        match self {
            Self::Sparsity => (0.0, Recipe::MAX_SPARSITY),
            Self::WeightBits => (1.0, 32.0),
            Self::ActivationBits => (2.0, 32.0),
            Self::Ratio => (Recipe::MIN_RATIO, 1.0),
            Self::Batch => (1.0, 4096.0),
            Self::Devices => (1.0, 64.0),
            Self::Context | Self::Prompt => (1.0, 131_072.0),
            Self::Answer => (1.0, 16_384.0),
            Self::TimeSteps => (1.0, 256.0),
            Self::Steps => (1.0, 100.0),
            Self::Demand => (1e3, 1e12),
            Self::Pue => (1.0, 2.5),
            Self::Lifetime => (1.0, 10.0),
            Self::Utilization => (0.01, 1.0),
        }
    }

    /// Where a value lies on the chart and on the rail of its slider.
    pub(super) fn place(self, value: f64) -> f64 {
        match self.spread() {
            Spread::Even => value,
            Spread::Logarithmic => value.max(1e-9).log10(),
            Spread::Listed(list) => list
                .iter()
                .position(|&bits| f64::from(bits) >= value)
                .unwrap_or(list.len() - 1) as f64,
        }
    }

    /// The value at a place of the chart, rounded to what the slider can hold.
    pub(super) fn value_at(self, place: f64) -> f64 {
        let (low, high) = self.range();
        let value = match self.spread() {
            Spread::Even => place,
            Spread::Logarithmic => 10_f64.powf(place),
            Spread::Listed(list) => {
                let index = place.round().clamp(0.0, (list.len() - 1) as f64);
                // Clamped to the list just before.
                f64::from(list[index as usize])
            }
        };
        self.rounded(value.clamp(low, high))
    }

    /// The value at a place, unrounded, for labels.
    pub(super) fn value_near(self, place: f64) -> f64 {
        match self.spread() {
            Spread::Even => place,
            Spread::Logarithmic => 10_f64.powf(place),
            Spread::Listed(_) => self.value_at(place),
        }
    }

    /// A value as its slider can hold it.
    pub(super) fn rounded(self, value: f64) -> f64 {
        // Dividing by a whole number gives 0.7 where multiplying by 0.01 gives 0.7000000000000001.
        let steps = |per_unit: f64| (value * per_unit).round() / per_unit;
        match self {
            Self::Sparsity | Self::Ratio | Self::Utilization => steps(100.0),
            Self::Pue => steps(100.0),
            Self::Lifetime => steps(2.0),
            Self::WeightBits | Self::ActivationBits => value,
            Self::Batch
            | Self::Devices
            | Self::Context
            | Self::Prompt
            | Self::Answer
            | Self::TimeSteps
            | Self::Steps => value.round(),
            Self::Demand => {
                let size = 10_f64.powf(value.max(1.0).log10().floor() - 1.0);
                (value / size).round() * size
            }
        }
    }

    /// First and last place on the chart.
    pub(super) fn places(self) -> (f64, f64) {
        let (low, high) = self.range();
        (self.place(low), self.place(high))
    }

    /// Whether its places are evenly stepped, so that an arrow key moves one step.
    pub(super) const fn is_stepped(self) -> bool {
        !matches!(self.spread(), Spread::Logarithmic)
    }

    /// The distance from one place to the next that an arrow key moves.
    pub(super) fn key_step(self) -> f64 {
        match self {
            Self::Sparsity | Self::Ratio | Self::Utilization => 0.01,
            Self::Pue => 0.05,
            Self::Lifetime => 0.5,
            Self::WeightBits | Self::ActivationBits => 1.0,
            Self::Batch
            | Self::Devices
            | Self::Context
            | Self::Prompt
            | Self::Answer
            | Self::TimeSteps
            | Self::Steps => std::f64::consts::LOG10_2,
            Self::Demand => 0.1,
        }
    }

    /// Whether there is nothing between one value and the next, so that no line may join them.
    pub(super) fn is_apart(self, recipe: &Recipe) -> bool {
        let halves = self == Self::Sparsity && recipe.pruning.pattern == Pattern::TwoOfFour;
        halves || matches!(self.spread(), Spread::Listed(_))
    }

    /// The values at which the arithmetic curves are drawn. Where quality can be measured they are all that the slider
    /// holds, so that every measured point has its place on the curves.
    pub(super) fn curve_values(self, recipe: &Recipe) -> Vec<f64> {
        if self == Self::Sparsity && recipe.pruning.pattern == Pattern::TwoOfFour {
            return vec![0.0, 0.5];
        }
        if let Spread::Listed(list) = self.spread() {
            return list.iter().map(|&bits| f64::from(bits)).collect();
        }
        const STEPS: usize = 48;
        let (first, last) = self.places();
        let steps = if self.is_recipe() {
            // Some hundred at most.
            ((last - first) / self.key_step()).round() as usize
        } else {
            STEPS
        };
        let mut values: Vec<f64> = (0..=steps)
            .map(|i| self.value_at(first + (last - first) * i as f64 / steps as f64))
            .collect();
        values.dedup();
        values
    }

    /// The values at which quality is measured when there is nothing else to do; empty where quality does not depend
    /// on the axis.
    pub(super) fn fill_values(self, recipe: &Recipe) -> Vec<f64> {
        match self {
            Self::Sparsity if recipe.pruning.pattern == Pattern::TwoOfFour => vec![0.0, 0.5],
            Self::Sparsity => vec![
                0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99,
            ],
            Self::WeightBits | Self::ActivationBits => self.curve_values(recipe),
            _ => Vec::new(),
        }
    }

    /// The value that is set now.
    pub fn get(self, recipe: &Recipe, scenario: &Scenario) -> f64 {
        match self {
            Self::Sparsity => recipe.pruning.sparsity,
            Self::WeightBits => f64::from(recipe.quantization.code_bits()),
            Self::ActivationBits => f64::from(recipe.quantization.activation_bits),
            Self::Ratio => recipe.distillation.ratio,
            Self::Batch => f64::from(scenario.batch),
            Self::Devices => f64::from(scenario.devices),
            Self::Context => f64::from(scenario.context),
            Self::Prompt => f64::from(scenario.prompt_tokens.max(1)),
            Self::Answer => f64::from(scenario.answer_tokens.max(1)),
            Self::TimeSteps => f64::from(scenario.time_steps),
            Self::Steps => f64::from(scenario.denoising_steps),
            Self::Demand => scenario.demand_per_day,
            Self::Pue => scenario.pue,
            Self::Lifetime => scenario.lifetime_years,
            Self::Utilization => scenario.utilization,
        }
    }

    /// Sets the value; one that cannot be is moved to the nearest that can.
    pub(super) fn set(self, value: f64, recipe: &mut Recipe, scenario: &mut Scenario) {
        let (low, high) = self.range();
        let value = self.rounded(value.clamp(low, high));
        // The range of each axis keeps the casts below exact.
        match self {
            Self::Sparsity => {
                recipe.pruning.sparsity = match recipe.pruning.pattern {
                    Pattern::Unstructured => value,
                    Pattern::TwoOfFour if value < 0.25 => 0.0,
                    Pattern::TwoOfFour => 0.5,
                }
            }
            Self::WeightBits => {
                recipe.quantization.weight_bits = value as u8;
                recipe.quantization.blocks = None;
            }
            Self::ActivationBits => recipe.quantization.activation_bits = value as u8,
            Self::Ratio => recipe.distillation.ratio = value,
            Self::Batch => scenario.batch = value as u32,
            Self::Devices => scenario.set_devices(value as u32),
            Self::Context => scenario.context = value as u32,
            Self::Prompt => {
                scenario.prompt_tokens = value as u32;
                scenario.answer_tokens = scenario.answer_tokens.max(1);
            }
            Self::Answer => scenario.answer_tokens = value as u32,
            Self::TimeSteps => scenario.time_steps = value as u32,
            Self::Steps => scenario.denoising_steps = value as u32,
            Self::Demand => scenario.demand_per_day = value,
            Self::Pue => scenario.pue = value,
            Self::Lifetime => scenario.lifetime_years = value,
            Self::Utilization => scenario.utilization = value,
        }
    }

    /// The values that get a line and a label under the charts.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Sparsity => (0..=9).map(|i| f64::from(i) / 10.0).collect(),
            Self::Ratio | Self::Utilization => {
                (0..=5).map(|i| (f64::from(i) / 5.0).max(0.05)).collect()
            }
            Self::WeightBits => Recipe::WEIGHT_BITS.map(f64::from).to_vec(),
            Self::ActivationBits => Recipe::ACTIVATION_BITS.map(f64::from).to_vec(),
            Self::Pue => vec![1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5],
            Self::Lifetime => (1..=10).map(f64::from).collect(),
            Self::Batch => (0..=6).map(|i| 4_f64.powi(i)).collect(),
            Self::Devices => (0..=6).map(|i| 2_f64.powi(i)).collect(),
            Self::Context | Self::Prompt => (0..=8).map(|i| 4_f64.powi(i)).collect(),
            Self::Answer => (0..=7).map(|i| 4_f64.powi(i)).collect(),
            Self::TimeSteps => (0..=8).map(|i| 2_f64.powi(i)).collect(),
            Self::Steps => vec![1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0],
            Self::Demand => (3..=12).map(|i| 10_f64.powi(i)).collect(),
        }
    }

    /// A tick's label, without unit.
    pub(super) fn tick_label(self, value: f64) -> String {
        match self {
            Self::Sparsity | Self::Ratio | Self::Utilization => format!("{:.0}", value * 100.0),
            Self::Pue => format!("{value:.2}"),
            Self::Demand => format::si(value, "").trim_end().replace(".00", ""),
            Self::Context | Self::Prompt | Self::Answer if value >= 1024.0 => {
                format!("{:.0} Ki", value / 1024.0)
            }
            _ => format::trimmed(value, 4),
        }
    }

    /// A value in words: "50 %", "4 bits".
    pub(super) fn value_text(self, value: f64) -> String {
        match self {
            Self::Sparsity | Self::Ratio | Self::Utilization => format::percent(value, 0),
            Self::WeightBits | Self::ActivationBits if value == 1.0 => "1 bit".to_owned(),
            Self::WeightBits | Self::ActivationBits => format!("{value:.0} bits"),
            Self::Batch | Self::Devices | Self::TimeSteps | Self::Steps => format::count(value),
            Self::Context | Self::Prompt | Self::Answer => {
                format!("{} tokens", format::count(value))
            }
            Self::Demand => format::amount(value),
            Self::Pue => format!("{value:.2}"),
            Self::Lifetime if value == 1.0 => "1 year".to_owned(),
            Self::Lifetime => format!("{} years", format::trimmed(value, 3)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_along_an_axis_is_read_back_and_valid() {
        for axis in Axis::ALL {
            let (first, last) = axis.places();
            for step in 0..=40 {
                let place = first + (last - first) * f64::from(step) / 40.0;
                let value = axis.value_at(place);
                let (mut recipe, mut scenario) = (Recipe::default(), Scenario::default());
                axis.set(value, &mut recipe, &mut scenario);
                let read = axis.get(&recipe, &scenario);
                assert!(
                    (read - value).abs() < 1e-9 * value.max(1.0),
                    "{axis:?} {value} {read}"
                );
                assert_eq!(recipe.validate(), Ok(()), "{axis:?} {value}");
                assert_eq!(scenario.validate(), Ok(()), "{axis:?} {value}");
            }
        }
    }

    #[test]
    fn curves_and_ticks_stay_inside_the_range() {
        for axis in Axis::ALL {
            let (low, high) = axis.range();
            let recipe = Recipe::default();
            let values = axis.curve_values(&recipe);
            assert!(values.len() >= 9, "{axis:?}");
            for value in values
                .into_iter()
                .chain(axis.ticks())
                .chain(axis.fill_values(&recipe))
            {
                assert!((low..=high).contains(&value), "{axis:?} {value}");
            }
        }
    }

    #[test]
    fn the_two_of_four_pattern_has_two_places() {
        let mut recipe = Recipe::default();
        recipe.pruning.pattern = Pattern::TwoOfFour;
        let mut scenario = Scenario::default();
        for (asked, got) in [(0.1, 0.0), (0.4, 0.5), (0.9, 0.5)] {
            Axis::Sparsity.set(asked, &mut recipe, &mut scenario);
            assert_eq!(recipe.pruning.sparsity, got);
            assert_eq!(recipe.validate(), Ok(()));
        }
    }
}
