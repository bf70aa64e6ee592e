//! [`HardwareTarget`]: a device with its constants, and one cost model per class of device.
//!
//! The constants live in `assets/hardware/*.ron`, one file per device, each number with its source; the formulas are in
//! METHODS.md. People add their own devices in the same form, see [`own`].

mod breakdown;
mod calibration;
mod catalogue;
mod cost;
mod figure;
mod figures;
mod fpga;
mod memory;
mod microcontroller;
mod names;
mod neuromorphic;
pub mod own;
pub(crate) mod per_operation;
mod processor;
mod relations;
pub(crate) mod share;
mod this_cpu;

pub use breakdown::{Bottleneck, Bound, EnergyBreakdown, LayerCost, TimeBreakdown};
#[cfg(test)]
pub(crate) use calibration::tests::sample as sample_calibration;
pub use calibration::{Calibration, PackedCalibration};
pub use catalogue::{
    THIS_MACHINE, broken, calibration, catalogue, find, parse, reload, this_machine,
};
pub(crate) use cost::{Cost, Explanation, Machine, Request};
pub use figure::{Figure, Trust};
pub use figures::{ListedFigure, Part, Plausible};
pub use fpga::Fpga;
pub use memory::MemoryUse;
pub use microcontroller::Microcontroller;
pub use names::{named, search};
pub use neuromorphic::Neuromorphic;
pub use processor::{Link, Memory, PackedKernels, Precision, Processor, Roofline, WeightStorage};
pub use this_cpu::identity;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::profile::{ModelProfile, Unit};
use crate::scenario::Scenario;
use crate::serving::{self, Era, Fit, Folding};
use crate::software::{self, Runtime};
use crate::units::{GramsCo2e, Range, Watts};

/// The kind of a device, for grouping, filters and marker shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HardwareClass {
    /// Graphics processor of a data centre or workstation.
    Gpu,
    /// Graphics processor of an embedded board.
    EdgeGpu,
    /// Tensor processing unit.
    Tpu,
    /// Other chip made for inference.
    Asic,
    /// Processor that executes a graph out of distributed on-chip memory.
    GraphProcessor,
    /// Field-programmable gate array.
    Fpga,
    /// Event-driven chip of spiking neurons.
    Neuromorphic,
    /// General-purpose processor.
    Cpu,
    /// Microcontroller, or a small accelerator beside one, that computes out of its own memory.
    Microcontroller,
}

impl HardwareClass {
    /// All classes, in the order of the menus.
    pub const ALL: [Self; 9] = [
        Self::Gpu,
        Self::EdgeGpu,
        Self::Tpu,
        Self::Asic,
        Self::GraphProcessor,
        Self::Fpga,
        Self::Neuromorphic,
        Self::Cpu,
        Self::Microcontroller,
    ];

    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpu => "GPU",
            Self::EdgeGpu => "Edge GPU",
            Self::Tpu => "TPU",
            Self::Asic => "ASIC",
            Self::GraphProcessor => "Graph processor",
            Self::Fpga => "FPGA",
            Self::Neuromorphic => "Neuromorphic",
            Self::Cpu => "CPU",
            Self::Microcontroller => "Microcontroller",
        }
    }
}

/// A device on which a model could run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareTarget {
    /// Identifier, the same as the name of its file.
    pub id: String,
    /// Name on screen.
    pub name: String,
    /// Kind of device.
    pub class: HardwareClass,
    /// Year of introduction.
    pub year: u16,
    /// Most power that the device may draw.
    pub power_limit: Figure<Watts>,
    /// Power that flows whether or not work is done, for as long as it takes.
    pub static_power: Figure<Watts>,
    /// Emissions of making one device; `None` where nobody published any.
    pub embodied: Option<Figure<GramsCo2e>>,
    /// What a reader of the numbers should know.
    #[serde(default)]
    pub notes: String,
    /// The device that ships of which this is a changed copy, by its identifier: what was fitted to measurements of that
    /// device's generation predicts this one too, from this one's own figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// The constants of its cost model.
    pub model: CostModel,
    /// Whether it comes from the user's own folder, see [`own`]; never part of a file.
    #[serde(skip)]
    pub yours: bool,
}

/// The cost model of a class of devices, with its constants.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for every device, and they are kept for good"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CostModel {
    /// Fetches weights and operands from memories: GPU, TPU, ASIC, graph processor, CPU.
    Processor(Processor),
    /// Lays multipliers out in programmable logic.
    Fpga(Fpga),
    /// Computes one layer after the other in small memories.
    Microcontroller(Microcontroller),
    /// Passes spikes between neurons that hold their own synapses.
    Neuromorphic(Neuromorphic),
}

/// Emissions of making a device whose maker published none, per watt of its power limit, in grams. From 0.1 kg/W (a
/// small chip in a shared housing) to 2 kg/W (a whole server counted on few chips); 0.35 kg/W lies between the 164 kg
/// and 273 kg given for 700 W accelerators with 80 GB (NVIDIA HGX H100 product carbon footprint; `EcoLogits` 0.11.3).
const EMBODIED_PER_WATT: Range<f64> = Range {
    low: 100.0,
    typical: 350.0,
    high: 2000.0,
};

impl HardwareTarget {
    /// Time and energy of one unit of work, prompts shared out over the tokens written. Every figure of it is finite.
    pub(crate) fn cost(&self, request: &Request<'_>) -> Result<Cost> {
        if request.profile.is_made_in_steps() {
            return self.cost_in_steps(request);
        }
        if let Some(network) = &request.profile.network {
            network.can_be_costed()?;
        }
        let mut cost = self.whole_cost(request)?;
        if let Some(fact) = cost.nonsense(request.machine) {
            return Err(Error::Infeasible(format!(
                "{fact} on {}; its constants or the size of the network lie beyond what can be modelled",
                self.name
            )));
        }
        if request.explain && cost.explanation.limit.is_empty() {
            cost.explanation.limit = cost.limit();
            if let Some(note) = self.gain_of_batch(request, &cost) {
                cost.explanation.notes.insert(0, note);
            }
        }
        Ok(cost)
    }

    /// The same of an image that is made in the scenario's denoising steps, each started by whoever makes it.
    fn cost_in_steps(&self, request: &Request<'_>) -> Result<Cost> {
        let one = self.cost(&Request {
            profile: &request.profile.in_steps(1),
            ..*request
        })?;
        Ok(one.in_steps(request.scenario.denoising_steps))
    }

    /// What twice the batch would save where overhead takes most of the time: it is tried out, since a larger batch may
    /// lose elsewhere what it saves there.
    fn gain_of_batch(&self, request: &Request<'_>, cost: &Cost) -> Option<String> {
        if !cost.is_mostly_overhead() {
            return None;
        }
        let twice = Scenario {
            batch: request.scenario.batch.checked_mul(2)?,
            ..request.scenario.clone()
        };
        let larger = self.whole_cost(&Request {
            scenario: &twice,
            explain: false,
            ..*request
        });
        let saved = 1.0 - larger.ok()?.time.typical / cost.time.typical;
        let percent = format!("{:.0}", 100.0 * saved);
        let unit = request.profile.unit.name();
        (saved >= 0.005)
            .then(|| format!("twice the batch would take {percent} % less time per {unit}"))
    }

    fn whole_cost(&self, request: &Request<'_>) -> Result<Cost> {
        if request.scenario.stages > 1 && !matches!(self.model, CostModel::Processor(_)) {
            return Err(Error::Infeasible(format!(
                "pipeline stages are modelled for processors only, not for {}; use 1 stage",
                self.name
            )));
        }
        // The ideal machine and the one that reads the file have no software.
        let real = request.machine == Machine::Real;
        let runtime = real
            .then(|| self.runtime(request.profile, request.scenario))
            .transpose()?;
        let stack = runtime.and_then(|runtime| runtime.stack);
        let fit = runtime.map_or(Fit::Class, |runtime| runtime.fit);
        if let CostModel::Processor(processor) = &self.model
            && let Some(era) = stack
            && fit != Fit::Class
        {
            let weight_bytes = processor.check_fit(self, request)?;
            let fitted = serving::served_cost(self, processor, request, era, weight_bytes)?;
            if let Some(cost) = fitted {
                // Far from what was fitted, the model of the class is a second opinion.
                let network = request.profile.network.as_deref();
                if fit == Fit::Device && !network.is_some_and(software::is_small) {
                    return Ok(cost);
                }
                let unread = Request {
                    explain: false,
                    ..*request
                };
                return Ok(cost.or(&self.class_cost(&unread, stack)?));
            }
        }
        self.class_cost(request, stack)
    }

    /// What runs a model here in a scenario.
    ///
    /// # Errors
    /// [`crate::Error::File`] when a table that ships is broken.
    pub fn runtime(&self, profile: &ModelProfile, scenario: &Scenario) -> Result<Runtime> {
        software::runtime(profile.network.as_deref(), self, scenario.software)
    }

    /// What the model of the device's class says, with what a serving stack adds to every step.
    fn class_cost(&self, request: &Request<'_>, stack: Option<Era>) -> Result<Cost> {
        let mut cost = self.unit_cost(request)?;
        if let Some(era) = stack
            && let Some(step) = serving::software(request, era, cost.latency.typical.0)?
        {
            let devices = f64::from(request.scenario.devices);
            let power = self.static_power.range().map(|watts| watts * devices);
            cost = cost.with_software(step, power, f64::from(request.scenario.batch));
        }
        let prompts = request.scenario.prompt_per_token();
        if prompts <= 0.0 || request.profile.unit != Unit::Token {
            return Ok(cost);
        }
        // The layers of recurrent networks need their own last result: prompts are read like answers are written.
        if request.profile.is_recurrent() {
            let read = cost.clone();
            return Ok(cost.with_prompts(&read, prompts, request.scenario.batch, 1));
        }
        // A prompt is read at once: its tokens are the batch, and each looks back over half of them.
        let prompt = request.scenario.prompt_tokens;
        let reading = Scenario {
            batch: prompt,
            context: (prompt / 2).max(1),
            prompt_tokens: 0,
            answer_tokens: 0,
            ..request.scenario.clone()
        };
        let read = self.unit_cost(&Request {
            scenario: &reading,
            explain: false,
            reading: true,
            ..*request
        })?;
        Ok(cost.with_prompts(&read, prompts, request.scenario.batch, prompt))
    }

    /// Time and energy of one unit of work, whatever was read before it.
    fn unit_cost(&self, request: &Request<'_>) -> Result<Cost> {
        self.cost_of_design(request, None)
    }

    /// The same, in programmable logic with the multipliers that a design has.
    pub(crate) fn cost_of_design(
        &self,
        request: &Request<'_>,
        folding: Option<Folding>,
    ) -> Result<Cost> {
        match &self.model {
            CostModel::Processor(processor) => processor.cost(self, request),
            CostModel::Fpga(fpga) => fpga.cost(self, request, folding),
            CostModel::Microcontroller(chip) => chip.cost(self, request),
            CostModel::Neuromorphic(chip) => chip.cost(self, request),
        }
    }

    /// The widest weights that this device can hold, where it cannot hold everything.
    pub(crate) fn widest_bits(&self) -> Option<u8> {
        match &self.model {
            CostModel::Processor(processor) => processor.widest_bits(),
            CostModel::Fpga(_) => None,
            CostModel::Microcontroller(chip) => chip.widest_bits(),
            CostModel::Neuromorphic(chip) => Some(chip.max_weight_bits),
        }
    }

    /// Whether what predicts a network here was fitted to published measurements of serving: peak rates, bandwidth,
    /// capacity and power limit then come from this device, and everything else from the fit.
    ///
    /// # Errors
    /// [`crate::Error::File`] when a file that ships with the program is broken.
    pub fn is_fitted_for(&self, profile: &ModelProfile, scenario: &Scenario) -> Result<bool> {
        Ok(self.runtime(profile, scenario)?.fit != Fit::Class)
    }

    /// The devices that work together at each end of the constants, `typical` of them typically.
    pub(crate) fn devices_range(
        &self,
        profile: &ModelProfile,
        scenario: &Scenario,
        typical: u64,
    ) -> Range<f64> {
        match &self.model {
            CostModel::Neuromorphic(chip) => chip.chips(&Request {
                profile,
                scenario,
                machine: Machine::Real,
                explain: false,
                reading: false,
            }),
            _ => Range::exact(typical as f64),
        }
    }

    /// Emissions of making one device; where nobody published them, a wide range by power limit, never zero.
    pub fn embodied_range(&self) -> Range<GramsCo2e> {
        match &self.embodied {
            Some(figure) => figure.range(),
            None => EMBODIED_PER_WATT.with(self.power_limit.range(), |grams, watts| {
                GramsCo2e(grams * watts.0)
            }),
        }
    }

    /// Checks what the types cannot: every figure by itself, and what must hold between them.
    fn check(&self) -> std::result::Result<(), String> {
        let length = self.name.chars().count();
        if length == 0 || length > LONGEST_NAME {
            return Err(format!(
                "name has {length} characters; it must have 1 to {LONGEST_NAME}"
            ));
        }
        if !YEARS.contains(&self.year) {
            return Err(format!(
                "year is {}; it must lie between {} and {}",
                self.year,
                YEARS.start(),
                YEARS.end()
            ));
        }
        if let Some(like) = &self.like
            && !catalogue::ships(like)
        {
            return Err(format!(
                "like names '{like}', which is no device that ships with WattIf"
            ));
        }
        if let Some(fact) = self.figures().iter().find_map(ListedFigure::fault) {
            return Err(fact);
        }
        let (limit, idle) = (self.power_limit.range(), self.static_power.range());
        if idle.typical >= limit.typical || idle.high > limit.high {
            return Err("static_power is not below power_limit".to_owned());
        }
        match &self.model {
            CostModel::Processor(processor) => processor.check(limit.typical.0),
            CostModel::Fpga(fpga) => fpga.check(),
            CostModel::Microcontroller(_) => Ok(()),
            CostModel::Neuromorphic(chip) => chip.check(),
        }?;
        match self.broken_relations().into_iter().next() {
            Some(broken) => Err(broken.fact),
            None => Ok(()),
        }
    }
}

/// Longest name of a device, in characters; the longest that ships has 40.
const LONGEST_NAME: usize = 200;
/// Years in which a device can have come out.
const YEARS: std::ops::RangeInclusive<u16> = 1950..=2100;

/// Checks a width in bits.
fn whole(field: &str, bits: u8) -> std::result::Result<(), String> {
    if (1..=64).contains(&bits) {
        Ok(())
    } else {
        Err(format!("{field} is {bits}; it must lie between 1 and 64"))
    }
}
