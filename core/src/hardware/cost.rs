//! What every cost model takes and returns.

use crate::digits::{si, trimmed};
use crate::footprint::{Bound, EnergyBreakdown, LayerCost};
use crate::profile::{Layer, LayerKind, LayerProfile, ModelProfile, Unit};
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
            let factor = seen / Layer::REFERENCE_CONTEXT;
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
            bound: Bound::Overhead,
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
            bound: Bound::Compute,
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

/// How a cost came about, in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Explanation {
    /// Formulas of the typical time and energy, with the values.
    pub(crate) time: String,
    pub(crate) energy: String,
    /// What limits the speed, then what of the recipe the device could not use; clauses without full stops.
    pub(crate) notes: Vec<String>,
}
