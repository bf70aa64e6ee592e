//! What every cost model takes and returns.

use crate::digits::{si, trimmed};
use crate::error::plain;
use crate::hardware::{Bottleneck, Bound, EnergyBreakdown, LayerCost, TimeBreakdown};
use crate::profile::{Kept, Layer, LayerKind, LayerProfile, ModelProfile, Unit};
use crate::scenario::Scenario;
use crate::units::{Bytes, Joules, Range, Seconds, Watts};

/// What a cost model is asked.
pub(crate) struct Request<'a> {
    pub(crate) profile: &'a ModelProfile,
    pub(crate) scenario: &'a Scenario,
    /// What the machine is allowed to exploit.
    pub(crate) machine: Machine,
    /// Whether somebody will read the explanation; writing it takes longer than the arithmetic.
    pub(crate) explain: bool,
    /// Whether the batch is one prompt, whose tokens share their keys and values.
    pub(crate) reading: bool,
}

/// The three machines that the three savings compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// The device as it is.
    Real,
    /// The same device, were it to compute with exactly the bits stored and to skip every zero.
    Ideal,
    /// The same device, reading the exported file as it is but computing densely at its native width.
    FileReader,
}

impl Request<'_> {
    /// Multiply-accumulates and cache elements of a layer per unit of work, at the scenario's context.
    pub(crate) fn work(&self, layer: &Layer) -> (f64, f64) {
        if layer.kind == LayerKind::Attention && self.profile.unit == Unit::Token {
            let context = self.scenario.average_context();
            let seen = match layer.execution.window {
                Some(window) => context.min(f64::from(window)),
                None => context,
            };
            let factor = if layer.execution.kept == Kept::State {
                1.0
            } else {
                seen / Layer::REFERENCE_CONTEXT
            };
            let sharing = if self.reading {
                f64::from(self.scenario.batch)
            } else {
                1.0
            };
            (layer.macs * factor, layer.cache * factor / sharing)
        } else {
            (layer.macs, layer.cache)
        }
    }

    /// Cache elements of a layer that are kept of a sequence.
    pub(crate) fn kept(&self, layer: &Layer) -> f64 {
        let read = self.work(layer).1;
        match (layer.execution.kept, layer.execution.window) {
            (Kept::Picked, Some(window)) => {
                let context = self.scenario.average_context();
                read * (context / f64::from(window)).max(1.0)
            }
            (Kept::Earlier, _) => 0.0,
            (Kept::State, _) => 0.5 * read,
            (Kept::Read | Kept::Picked, _) => read,
        }
    }

    /// The explanation, if it was asked for.
    pub(crate) fn explained(&self, write: impl FnOnce() -> Explanation) -> Explanation {
        if self.explain {
            write()
        } else {
            Explanation::default()
        }
    }

    /// The first layer of a kind that the device cannot run.
    pub(crate) fn first(&self, kind: LayerKind) -> Option<&LayerProfile> {
        self.profile.layers.iter().find(|l| l.layer.kind == kind)
    }
}

/// What a cost model answers. Everything is per unit of work unless it says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    /// Time between finished units: the inverse of the throughput of all devices together.
    pub(crate) time: Range<Seconds>,
    /// Time from the start of a batch to its end.
    pub(crate) latency: Range<Seconds>,
    pub(crate) energy: Range<Joules>,
    /// Of the typical energy.
    pub(crate) breakdown: EnergyBreakdown,
    pub(crate) layers: Vec<LayerCost>,
    /// Devices that work together.
    pub(crate) devices: u64,
    /// Bytes that the weights take on the device.
    pub(crate) weight_bytes: f64,
    /// Multiply-accumulates (or synaptic events) executed.
    pub(crate) executed: f64,
    /// Empty unless it was asked for.
    pub(crate) explanation: Explanation,
}

fn sum(cost: &Cost, of: fn(&LayerCost) -> Bytes) -> f64 {
    cost.layers.iter().map(|layer| of(layer).0).sum()
}

impl Cost {
    /// The first figure that is no number or below zero, if any: the last guard before anything is said of
    /// a cost. Time and energy of a real machine are above zero.
    pub(super) fn nonsense(&self, machine: Machine) -> Option<String> {
        let real = machine == Machine::Real;
        let seconds = |range: Range<Seconds>| range.map(|seconds| seconds.0);
        for (name, unit, range) in [
            ("the time of a unit of work", "s", seconds(self.time)),
            ("the time of a batch", "s", seconds(self.latency)),
            ("the energy", "J", self.energy.map(|joules| joules.0)),
        ] {
            let values = [range.low, range.typical, range.high];
            let fits = |value: f64| value.is_finite() && value >= 0.0 && (!real || value > 0.0);
            if let Some(wrong) = values.into_iter().find(|value| !fits(*value)) {
                return Some(format!("{name} is {} {unit}", plain(wrong)));
            }
        }
        let parts = [
            ("the energy of arithmetic", "J", self.breakdown.compute.0),
            ("the energy on the chip", "J", self.breakdown.on_chip.0),
            ("the energy of memory", "J", self.breakdown.memory.0),
            ("the static energy", "J", self.breakdown.static_power.0),
            ("the energy of links", "J", self.breakdown.interconnect.0),
            ("the size of the weights", "B", self.weight_bytes),
            ("the number of operations", "", self.executed),
        ];
        let layers = self.layers.iter().flat_map(|layer| {
            [
                ("the time of a layer", "s", layer.time.0),
                ("the energy of a layer", "J", layer.energy.total().0),
                ("the operations of a layer", "", layer.operations),
                ("the traffic of a layer", "B", layer.memory_bytes.0),
                ("the traffic of a layer", "B", layer.on_chip_bytes.0),
            ]
        });
        parts
            .into_iter()
            .chain(layers)
            .find(|(_, _, value)| !(value.is_finite() && *value >= 0.0))
            .map(|(name, unit, value)| {
                format!("{name} is {} {unit}", plain(value))
                    .trim_end()
                    .to_owned()
            })
    }

    /// The cost with ranges that hold what another model says of the same.
    pub(crate) fn or(mut self, other: &Self) -> Self {
        let widened = |own: Range<f64>, other: f64| Range {
            low: own.low.min(other),
            typical: own.typical,
            high: own.high.max(other),
        };
        let time = |own: Range<Seconds>, other: Range<Seconds>| {
            widened(own.map(|time| time.0), other.typical.0).map(Seconds)
        };
        self.time = time(self.time, other.time);
        self.latency = time(self.latency, other.latency);
        self.energy =
            widened(self.energy.map(|energy| energy.0), other.energy.typical.0).map(Joules);
        if !self.explanation.time.is_empty() {
            self.explanation.time += &format!(
                "; the range holds what the model of the device's class says, {}",
                si(other.time.typical.0, "s")
            );
            self.explanation.energy += &format!(
                "; the range holds what the model of the device's class says, {}",
                si(other.energy.typical.0, "J")
            );
        }
        self
    }

    /// The cost with software that adds `step` to every step, of which one unit of work in `batch` takes its share; the
    /// devices wait meanwhile, at `power` all together.
    pub(crate) fn with_software(
        mut self,
        step: Range<Seconds>,
        power: Range<Watts>,
        batch: f64,
    ) -> Self {
        let share = step.map(|seconds| Seconds(seconds.0 / batch));
        let waiting = share.with(power, |seconds, power| power * seconds);
        self.time = self.time.with(share, |a, b| a + b);
        self.latency = self.latency.with(step, |a, b| a + b);
        self.energy = self.energy.with(waiting, |a, b| a + b);
        let energy = EnergyBreakdown {
            static_power: waiting.typical,
            ..EnergyBreakdown::default()
        };
        self.breakdown = self.breakdown.plus(&energy);
        self.layers.push(LayerCost {
            layer: "serving software".to_owned(),
            time: share.typical,
            energy,
            operations: 0.0,
            memory_bytes: Bytes(0.0),
            on_chip_bytes: Bytes(0.0),
            precision: None,
            time_by: TimeBreakdown::all(Bound::Overhead, share.typical),
        });
        if !self.explanation.time.is_empty() {
            self.explanation.time += &format!(
                "; + {} per step of serving software, taken to be that of an H100 (none to twice; assumed)",
                si(step.typical.0, "s")
            );
            self.explanation.energy +=
                &format!("; + {} of waiting for it", si(waiting.typical.0, "J"));
        }
        self
    }

    /// The cost of a token written in a batch of `batch`, together with its share of reading the prompt: `tokens` of it,
    /// each costing `read` when `at_once` tokens of a prompt are read together.
    pub(crate) fn with_prompts(
        mut self,
        read: &Self,
        tokens: f64,
        batch: u32,
        at_once: u32,
    ) -> Self {
        let batch = f64::from(batch);
        self.time = self
            .time
            .with(read.time, |a, b| Seconds(a.0 + tokens * b.0));
        // A step that writes a token for every sequence also reads the prompts of those that begin in it.
        self.latency = self
            .latency
            .with(read.time, |a, b| Seconds(a.0 + tokens * batch * b.0));
        self.energy = self
            .energy
            .with(read.energy, |a, b| Joules(a.0 + tokens * b.0));
        let prompts = read.breakdown.scaled(tokens);
        self.breakdown = self.breakdown.plus(&prompts);
        self.layers.push(LayerCost {
            layer: "prompts".to_owned(),
            time: Seconds(tokens * read.time.typical.0),
            energy: prompts,
            operations: 2.0 * tokens * read.executed,
            memory_bytes: Bytes(tokens * sum(read, |layer| layer.memory_bytes)),
            on_chip_bytes: Bytes(tokens * sum(read, |layer| layer.on_chip_bytes)),
            precision: read.layers.iter().find_map(|layer| layer.precision),
            time_by: read
                .layers
                .iter()
                .fold(TimeBreakdown::default(), |sum, layer| {
                    sum.plus(&layer.time_by)
                })
                .scaled(tokens),
        });
        self.executed += tokens * read.executed;
        let share = format!(
            "; with {0} prompt tokens per token, read {at_once} at a time: + {0} ×",
            trimmed(tokens, 3)
        );
        if !self.explanation.time.is_empty() {
            self.explanation.time += &format!("{share} {}", si(read.time.typical.0, "s"));
            self.explanation.energy += &format!("{share} {}", si(read.energy.typical.0, "J"));
        }
        self
    }
}

impl Cost {
    /// The cost of so many denoising steps, one after the other, of which this is one.
    pub(crate) fn in_steps(mut self, steps: u32) -> Self {
        let times = f64::from(steps.max(1));
        self.time = self.time.map(|time| time * times);
        self.latency = self.latency.map(|time| time * times);
        self.energy = self.energy.map(|energy| energy * times);
        self.breakdown = self.breakdown.scaled(times);
        self.executed *= times;
        for layer in &mut self.layers {
            layer.time = layer.time * times;
            layer.energy = layer.energy.scaled(times);
            layer.operations *= times;
            layer.memory_bytes = layer.memory_bytes * times;
            layer.on_chip_bytes = layer.on_chip_bytes * times;
            layer.time_by = layer.time_by.scaled(times);
        }
        if self.explanation.time.is_empty() {
            return self;
        }
        let plural = if steps == 1 { "" } else { "s" };
        let (time, energy) = (self.time.typical.0, self.energy.typical.0);
        let in_all = format!("; × {steps} denoising step{plural} =");
        self.explanation.time += &format!("{in_all} {}", si(time, "s"));
        self.explanation.energy += &format!("{in_all} {}", si(energy, "J"));
        self.explanation.notes.push(format!(
            "an image takes {steps} denoising step{plural}, one after the other, and time and energy are {steps} times those of \
             one step"
        ));
        self
    }

    /// What limits the speed, from the layers with everything that was added to them, in a clause.
    pub(crate) fn limit(&self) -> String {
        let Some(most) = Bottleneck::of(&self.layers) else {
            return String::new();
        };
        let mut text = most.to_string();
        if self.explanation.stretch > STRETCHED {
            text += &format!(
                ", and the power limit makes all of it take {:.1} times as long",
                self.explanation.stretch
            );
        }
        text
    }

    /// Whether most of the time goes to what does not depend on how much is computed.
    pub(crate) fn is_mostly_overhead(&self) -> bool {
        let most = Bottleneck::of(&self.layers);
        most.is_some_and(|most| most.bound == Bound::Overhead && most.share > 0.5)
    }
}

/// Below this factor the power limit is not worth a word: it would be written as 1.0.
const STRETCHED: f64 = 1.05;

/// How a cost came about, in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Explanation {
    /// Formulas of the typical time and energy, with the values.
    pub(crate) time: String,
    pub(crate) energy: String,
    /// What limits the speed, a clause without full stop; empty where [`Cost::limit`] is to say it from the layers.
    pub(crate) limit: String,
    /// How many times as long the power limit makes everything take; 0 where that was not asked.
    pub(crate) stretch: f64,
    /// What of the recipe the device could not use; clauses without full stops.
    pub(crate) notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> Cost {
        let range = |low, typical, high| Range { low, typical, high };
        Cost {
            time: range(1.0, 2.0, 3.0).map(Seconds),
            latency: range(1.0, 2.0, 3.0).map(Seconds),
            energy: range(1.0, 2.0, 3.0).map(Joules),
            breakdown: EnergyBreakdown::default(),
            layers: Vec::new(),
            devices: 1,
            weight_bytes: 1.0,
            executed: 1.0,
            explanation: Explanation::default(),
        }
    }

    #[test]
    fn no_figure_that_is_none_leaves_a_cost_model() {
        assert_eq!(cost().nonsense(Machine::Real), None);
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            let changes: [fn(&mut Cost, f64); 5] = [
                |cost, wrong| cost.time.low = Seconds(wrong),
                |cost, wrong| cost.latency.typical = Seconds(wrong),
                |cost, wrong| cost.energy.high = Joules(wrong),
                |cost, wrong| cost.breakdown.memory = Joules(wrong),
                |cost, wrong| cost.executed = wrong,
            ];
            for (i, change) in changes.into_iter().enumerate() {
                let mut broken = cost();
                change(&mut broken, wrong);
                let fact = broken.nonsense(Machine::Real);
                // Nothing spent on a part of it is no fault.
                assert_eq!(
                    fact.is_some(),
                    wrong != 0.0 || i < 3,
                    "{i} {wrong}: {fact:?}"
                );
            }
        }
    }
}
