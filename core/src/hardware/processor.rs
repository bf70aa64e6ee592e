//! Cost of a network on a machine that fetches weights and operands from memories: GPU, TPU, ASIC, graph processor, CPU.
//!
//! Each layer is a roofline (Williams, Waterman, Patterson, CACM 52(4), 2009): the longest of arithmetic, memory and
//! on-chip traffic, plus the cost of starting it and of exchanging its result. See METHODS.md.

mod check;
mod notes;
mod packed;
mod parts;
mod plan;
mod rates;
mod roofline;
mod stages;
#[cfg(test)]
mod tests;
mod unpacking;
mod words;

pub use packed::PackedKernels;
pub use roofline::Roofline;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::plan::Plan;
use self::rates::Rates;
use self::unpacking::Narrow;
use self::words::{energy_formula, quoted_elsewhere, time_formula};
use super::cost::{Cost, Explanation, Request};
use super::figure::{Corner, Figure};
use super::{HardwareTarget, MemoryUse};
use crate::error::{Error, Result};
use crate::hardware::{EnergyBreakdown, LayerCost, TimeBreakdown};
use crate::profile::LayerKind;
use crate::unique;
use crate::units::{Bytes, BytesPerSecond, Joules, OpsPerSecond, Range, Seconds, Watts};

/// A number format that arithmetic units compute in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// 4-bit integers.
    Int4,
    /// 4-bit floating point (MXFP4, NVFP4).
    Fp4,
    /// 8-bit integers.
    Int8,
    /// 8-bit floating point.
    Fp8,
    /// 16-bit floating point, FP16 or BF16.
    Fp16,
    /// Single precision.
    Fp32,
}

impl Precision {
    /// All of them, from the narrowest.
    pub const ALL: [Self; FORMATS] = [
        Self::Int4,
        Self::Fp4,
        Self::Int8,
        Self::Fp8,
        Self::Fp16,
        Self::Fp32,
    ];

    /// Bits of one operand.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Int4 | Self::Fp4 => 4,
            Self::Int8 | Self::Fp8 => 8,
            Self::Fp16 => 16,
            Self::Fp32 => 32,
        }
    }

    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int4 => "INT4",
            Self::Fp4 => "FP4",
            Self::Int8 => "INT8",
            Self::Fp8 => "FP8",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
        }
    }

    /// Whether integers of at most [`Self::bits`] bits with a scale survive unchanged; not so in 8 or 4 bits of
    /// floating point.
    const fn holds_integers(self) -> bool {
        !matches!(self, Self::Fp8 | Self::Fp4)
    }
}

/// A level of memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Size.
    pub capacity: Figure<Bytes>,
    /// Peak rate.
    pub bandwidth: Figure<BytesPerSecond>,
    /// Energy to move one byte between it and the next level inwards.
    pub energy_per_byte: Figure<Joules>,
}

/// The link over which devices share a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Rate out of one device.
    pub bandwidth: Figure<BytesPerSecond>,
    /// Energy to move one byte.
    pub energy_per_byte: Figure<Joules>,
    /// Time that an exchange takes however small it is.
    pub latency: Figure<Seconds>,
}

/// How weights may lie in the device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightStorage {
    /// Packed at any width and unpacked by software on the way to the arithmetic units.
    Packed,
    /// Only at the widths of the arithmetic units.
    Native,
}

/// Constants of a processor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processor {
    /// Dense peak rate by format; a multiply-accumulate is two operations.
    #[serde(deserialize_with = "unique::map")]
    pub peak: BTreeMap<Precision, Figure<OpsPerSecond>>,
    /// Energy per operation by format, operand delivery inside the arithmetic units included; same keys as `peak`.
    #[serde(deserialize_with = "unique::map")]
    pub energy_per_op: BTreeMap<Precision, Figure<Joules>>,
    /// Memory outside the chip; `None` where there is none.
    pub memory: Option<Memory>,
    /// Caches or scratchpads on the chip.
    pub on_chip: Memory,
    /// Fraction of the peak that large layers reach.
    pub compute_efficiency: Figure<f64>,
    /// Fraction of either bandwidth that long transfers reach.
    pub bandwidth_efficiency: Figure<f64>,
    /// Time between the end of one layer and the start of the next.
    pub launch: Figure<Seconds>,
    /// Time to hand one unit of work to the device and take its result back; `None`: none beside starting layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Figure<Seconds>>,
    /// Share of the on-chip memory that a program can count on; `None`: the usual one, see METHODS.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usable_on_chip: Option<Figure<f64>>,
    /// Rows (inputs) and columns (outputs) of the matrix unit; layers are padded up to multiples. `None`: fine enough
    /// not to matter.
    #[serde(default)]
    pub tile: Option<(u32, u32)>,
    /// How weights may lie in memory.
    pub weight_storage: WeightStorage,
    /// Kernels for packed weights of at most 8 bits, where they are slower or faster than the peak of 8-bit integers says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<Box<PackedKernels>>,
    /// How much faster arithmetic on the 2:4 pattern is; `None`: the pattern is computed like any other.
    #[serde(default)]
    pub two_of_four: Option<Figure<f64>>,
    /// Link for several devices; `None`: a model cannot be shared.
    #[serde(default)]
    pub link: Option<Link>,
    /// Kinds of layer that cannot run, with the reason.
    #[serde(default, deserialize_with = "unique::map")]
    pub cannot: BTreeMap<LayerKind, String>,
}

/// Name of what passes between pipeline stages, beside the layers.
const HANDED_ON: &str = "exchange between stages";
/// Name of the time that work takes to the device and back, beside the layers.
const HANDED_OVER: &str = "handing the batch over";

/// How many [`Precision`]s there are.
const FORMATS: usize = 6;

/// What one layer asks of all devices together, per batch.
#[derive(Clone, Copy)]
struct Demand<'a> {
    /// The layer, or what else there is to do.
    name: &'a str,
    precision: Precision,
    ops: f64,
    /// Its weights that are stored narrower than they are computed, until it is known how they are unpacked.
    narrow: Option<Narrow>,
    unpack_ops: f64,
    /// Whether all that it does is to unpack the weights of the one before it into memory.
    unpacks: bool,
    /// The rate of the kernels for its packed weights, where they have one of their own.
    packed: Option<&'a Figure<OpsPerSecond>>,
    sparse: bool,
    memory_bytes: f64,
    on_chip_bytes: f64,
    link_bytes: f64,
    exchanges: f64,
    launches: f64,
    /// Units of work that are handed over.
    starts: f64,
}

impl<'a> Demand<'a> {
    /// Nothing yet, of a name, in a format.
    const fn nothing(name: &'a str, precision: Precision) -> Self {
        Self {
            name,
            precision,
            packed: None,
            ops: 0.0,
            narrow: None,
            unpack_ops: 0.0,
            unpacks: false,
            sparse: false,
            memory_bytes: 0.0,
            on_chip_bytes: 0.0,
            link_bytes: 0.0,
            exchanges: 0.0,
            launches: 0.0,
            starts: 0.0,
        }
    }

    /// Operations that are really executed.
    fn executed(&self) -> f64 {
        self.ops / if self.sparse { 2.0 } else { 1.0 }
    }
}

/// Sums over the layers of one corner.
#[derive(Default)]
struct Total {
    seconds: f64,
    /// How many times as long the power limit makes it take.
    stretch: f64,
    breakdown: EnergyBreakdown,
}

impl Processor {
    /// The width of the widest arithmetic, where it is too narrow for unquantised weights.
    pub(super) fn widest_bits(&self) -> Option<u8> {
        let widest = self.peak.keys().map(|p| p.bits()).max()?;
        (widest < 16).then_some(widest)
    }

    /// Checks that a model can run here, and returns the bytes that its weights take.
    pub(super) fn check_fit(&self, target: &HardwareTarget, request: &Request<'_>) -> Result<f64> {
        let plan = self.plan(target, request)?;
        Ok(plan.weight_bytes)
    }

    pub(super) fn memory_use(
        &self,
        target: &HardwareTarget,
        request: &Request<'_>,
    ) -> Result<MemoryUse> {
        Ok(self.plan(target, request)?.memory_use())
    }

    fn plan<'a>(
        &'a self,
        target: &'a HardwareTarget,
        request: &'a Request<'a>,
    ) -> Result<Plan<'a>> {
        for (kind, reason) in &self.cannot {
            if let Some(layer) = request.first(*kind) {
                return Err(Error::Infeasible(format!(
                    "{} cannot run {}: {reason}",
                    target.name, layer.layer.name
                )));
            }
        }
        let devices = request.scenario.devices;
        if devices > 1 && self.link.is_none() {
            return Err(Error::Infeasible(format!(
                "{} has no link over which {devices} devices could share a model; use one device per copy",
                target.name
            )));
        }
        let plan = Plan::new(self, target, request)?;
        plan.check_capacity(target)?;
        Ok(plan)
    }

    pub(super) fn cost(&self, target: &HardwareTarget, request: &Request<'_>) -> Result<Cost> {
        let devices = request.scenario.devices;
        let plan = self.best_plan(target, request)?;
        let batch = plan.batch;
        // Units that are finished by the time that one batch takes.
        let finished = batch * plan.in_flight;
        let demands = plan.work(&self.rates(target, Corner::Typical))?;
        let mut layers: Vec<LayerCost> = Vec::with_capacity(demands.len());
        let mut typical = Total::default();
        let mut seconds = [0.0; 3];
        let mut joules = [0.0; 3];
        for (i, corner) in Corner::ALL.into_iter().enumerate() {
            let rates = self.rates(target, corner);
            let mut total = Total::default();
            // What stays on the chip and how weights are unpacked differ between the corners.
            for demand in &plan.work(&rates)? {
                let (time, energy) = Self::layer(demand, &rates, plan.group, &mut total);
                if corner == Corner::Typical {
                    let cost = LayerCost {
                        layer: demand.name.to_owned(),
                        time: time.total() * (1.0 / finished),
                        energy: energy.scaled(1.0 / batch),
                        operations: demand.executed() / batch,
                        memory_bytes: Bytes(demand.memory_bytes / batch),
                        on_chip_bytes: Bytes(demand.on_chip_bytes / batch),
                        precision: Some(demand.precision),
                        time_by: time.scaled(1.0 / finished),
                    };
                    match layers.last_mut().filter(|_| demand.unpacks) {
                        Some(layer) => layer.add(&cost),
                        None => layers.push(cost),
                    }
                }
            }
            total.finish(&rates, plan.standing());
            if corner == Corner::Typical {
                for layer in &mut layers {
                    layer.time = layer.time * total.stretch;
                    layer.time_by = layer.time_by.scaled(total.stretch);
                    let power = Watts(rates.static_power * f64::from(devices));
                    layer.energy.static_power = power * layer.time;
                }
            }
            seconds[i] = total.seconds;
            joules[i] = total.energy();
            if corner == Corner::Typical {
                typical = total;
            }
        }
        let per_unit = |[low, typical, high]: [f64; 3]| Range {
            low: low / batch,
            typical: typical / batch,
            high: high / batch,
        };
        Ok(Cost {
            time: per_unit(seconds).map(|seconds| Seconds(seconds / plan.in_flight)),
            latency: Range {
                low: Seconds(seconds[0] * plan.parts),
                typical: Seconds(seconds[1] * plan.parts),
                high: Seconds(seconds[2] * plan.parts),
            },
            energy: per_unit(joules).map(Joules),
            breakdown: typical.breakdown.scaled(1.0 / batch),
            explanation: request.explained(|| Explanation {
                time: time_formula(self, &demands, &typical, &plan),
                energy: energy_formula(&demands, &typical, target, &plan)
                    + &quoted_elsewhere(target, request),
                limit: String::new(),
                stretch: typical.stretch,
                notes: plan.notes(),
            }),
            layers,
            devices: u64::from(devices),
            weight_bytes: plan.weight_bytes,
            executed: demands.iter().map(Demand::executed).sum::<f64>() / (2.0 * batch),
        })
    }

    /// Seconds of one layer for a batch.
    fn seconds(demand: &Demand<'_>, rates: &Rates, n: f64) -> f64 {
        Self::time(demand, rates, n).total().0
    }

    /// Time of one layer for a batch, by what takes it.
    fn time(demand: &Demand<'_>, rates: &Rates, n: f64) -> TimeBreakdown {
        let peak = rates.peak[demand.precision as usize];
        let speedup = if demand.sparse {
            rates.sparse_speedup
        } else {
            1.0
        };
        let (compute, launch) = match demand.packed {
            // Unpacking is in the rate already.
            Some(rate) => (
                demand.ops / (rate.gain(rates.corner).0 * rates.packed_efficiency),
                rates.packed_launch,
            ),
            None => (
                (demand.ops / (peak * speedup) + demand.unpack_ops / rates.vector_peak)
                    / rates.compute_efficiency,
                rates.launch,
            ),
        };
        let compute = compute / n;
        let memory = (demand.memory_bytes / rates.bandwidth)
            .max(demand.on_chip_bytes / rates.on_chip_bandwidth)
            / n;
        let launch = demand.launches * launch + demand.starts * rates.start;
        let link =
            demand.exchanges * rates.link_latency + demand.link_bytes / (rates.link_bandwidth * n);
        let mut time = TimeBreakdown {
            overhead: Seconds(launch),
            interconnect: Seconds(link),
            ..TimeBreakdown::default()
        };
        // Both happen at once.
        if memory > compute {
            time.memory = Seconds(memory);
        } else {
            time.compute = Seconds(compute);
        }
        time
    }

    /// Time and dynamic energy of one layer for a batch, time by what takes it.
    fn layer(
        demand: &Demand<'_>,
        rates: &Rates,
        n: f64,
        total: &mut Total,
    ) -> (TimeBreakdown, EnergyBreakdown) {
        let time = Self::time(demand, rates, n);
        let energy_per_op = rates.energy_per_op[demand.precision as usize];
        let breakdown = EnergyBreakdown {
            compute: Joules(
                demand.executed() * energy_per_op + demand.unpack_ops * rates.vector_energy,
            ),
            on_chip: Joules(demand.on_chip_bytes * rates.energy_on_chip),
            memory: Joules(demand.memory_bytes * rates.energy_memory),
            static_power: Joules(0.0),
            interconnect: Joules(demand.link_bytes * rates.energy_link),
        };
        total.seconds += time.total().0;
        total.breakdown = total.breakdown.plus(&breakdown);
        (time, breakdown)
    }
}

impl LayerCost {
    /// Adds other work for the same layer.
    fn add(&mut self, other: &Self) {
        self.time += other.time;
        self.energy = self.energy.plus(&other.energy);
        self.operations += other.operations;
        self.memory_bytes += other.memory_bytes;
        self.on_chip_bytes += other.on_chip_bytes;
        self.time_by = self.time_by.plus(&other.time_by);
    }
}

impl Total {
    fn energy(&self) -> f64 {
        self.breakdown.total().0
    }

    /// Adds static power, and stretches the time where the power limit would be exceeded.
    fn finish(&mut self, rates: &Rates, n: f64) {
        let dynamic = self.energy();
        let unlimited = self.seconds;
        let headroom = (rates.power_limit - rates.static_power) * n;
        if headroom > 0.0 {
            self.seconds = self.seconds.max(dynamic / headroom);
        }
        let energy = Watts(rates.static_power * n) * Seconds(self.seconds);
        self.breakdown.static_power = energy;
        self.stretch = if unlimited > 0.0 {
            self.seconds / unlimited
        } else {
            1.0
        };
    }
}
