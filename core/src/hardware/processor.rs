//! Cost of a network on a machine that fetches weights and operands from memories: GPU, TPU, ASIC, graph processor, CPU.
//!
//! Each layer is a roofline (Williams, Waterman, Patterson, CACM 52(4), 2009): the longest of arithmetic, memory and
//! on-chip traffic, plus the cost of starting it and of exchanging its result. See METHODS.md.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cost::{Cost, Machine, Request};
use super::figure::{Corner, Figure};
use super::{HardwareClass, HardwareTarget};
use crate::error::{Error, Result};
use crate::footprint::{Bound, EnergyBreakdown, LayerCost};
use crate::profile::{LayerKind, LayerProfile};
use crate::recipe::Pattern;
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
    pub peak: BTreeMap<Precision, Figure<OpsPerSecond>>,
    /// Energy per operation by format, operand delivery inside the arithmetic units included; same keys as `peak`.
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
    /// Rows (inputs) and columns (outputs) of the matrix unit; layers are padded up to multiples. `None`: fine enough
    /// not to matter.
    #[serde(default)]
    pub tile: Option<(u32, u32)>,
    /// How weights may lie in memory.
    pub weight_storage: WeightStorage,
    /// How much faster arithmetic on the 2:4 pattern is; `None`: the pattern is computed like any other.
    #[serde(default)]
    pub two_of_four: Option<Figure<f64>>,
    /// Link for several devices; `None`: a model cannot be shared.
    #[serde(default)]
    pub link: Option<Link>,
    /// Kinds of layer that cannot run, with the reason.
    #[serde(default)]
    pub cannot: BTreeMap<LayerKind, String>,
}

/// Part of the on-chip memory that a program can count on; the rest holds code, buffers and other data. Assumed.
const USABLE_ON_CHIP: f64 = 0.5;
/// Operations to unpack one weight that is stored narrower than it is computed: a shift or mask and a
/// multiplication by the scale.
const UNPACK_OPS: f64 = 2.0;
/// Bits that say where one kept weight of a 2:4 group lies (NVIDIA A100 white paper, 2020).
const TWO_OF_FOUR_INDEX_BITS: f64 = 2.0;

/// The constants of one corner, looked up once per footprint.
struct Rates {
    bandwidth: f64,
    on_chip_bandwidth: f64,
    energy_memory: f64,
    energy_on_chip: f64,
    compute_efficiency: f64,
    launch: f64,
    link_bandwidth: f64,
    link_latency: f64,
    energy_link: f64,
    sparse_speedup: f64,
    vector_peak: f64,
    vector_energy: f64,
    static_power: f64,
    power_limit: f64,
}

/// What one layer asks of all devices together, per batch; the same at every corner.
struct Demand {
    precision: Precision,
    ops: f64,
    unpack_ops: f64,
    sparse: bool,
    memory_bytes: f64,
    on_chip_bytes: f64,
    link_bytes: f64,
    exchanges: f64,
    launches: f64,
}

impl Demand {
    /// Operations that are really executed.
    fn executed(&self) -> f64 {
        self.ops / if self.sparse { 2.0 } else { 1.0 }
    }
}

/// Sums over the layers of one corner.
#[derive(Default)]
struct Total {
    seconds: f64,
    by_bound: [f64; 4],
    breakdown: EnergyBreakdown,
}

impl Processor {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        if self.peak.is_empty() {
            return Err("peak is empty".to_owned());
        }
        for (precision, figure) in &self.peak {
            let name = precision.name();
            figure.check(&format!("peak {name}"))?;
            match self.energy_per_op.get(precision) {
                Some(energy) => energy.check(&format!("energy_per_op {name}"))?,
                None => return Err(format!("energy_per_op has no {name}, but peak has")),
            }
        }
        for (name, memory) in [
            ("on_chip", Some(&self.on_chip)),
            ("memory", self.memory.as_ref()),
        ] {
            if let Some(memory) = memory {
                memory.capacity.check(&format!("{name} capacity"))?;
                memory.bandwidth.check(&format!("{name} bandwidth"))?;
                memory
                    .energy_per_byte
                    .check(&format!("{name} energy_per_byte"))?;
            }
        }
        for (name, efficiency) in [
            ("compute_efficiency", &self.compute_efficiency),
            ("bandwidth_efficiency", &self.bandwidth_efficiency),
        ] {
            efficiency.check(name)?;
            if efficiency.range().low <= 0.0 || efficiency.range().high > 1.0 {
                return Err(format!("{name} does not lie above 0 and up to 1"));
            }
        }
        self.launch.check("launch")?;
        if let Some(speedup) = &self.two_of_four {
            speedup.check("two_of_four")?;
        }
        if let Some(link) = &self.link {
            link.bandwidth.check("link bandwidth")?;
            link.energy_per_byte.check("link energy_per_byte")?;
            link.latency.check("link latency")?;
        }
        Ok(())
    }

    /// The width of the widest arithmetic, where it is too narrow for unquantised weights.
    pub(super) fn widest_bits(&self) -> Option<u8> {
        let widest = self.peak.keys().map(|p| p.bits()).max()?;
        (widest < 16).then_some(widest)
    }

    pub(super) fn cost(&self, target: &HardwareTarget, request: &Request<'_>) -> Result<Cost> {
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
        let demands: Vec<Demand> = request
            .profile
            .layers
            .iter()
            .map(|layer| plan.demand(layer))
            .collect::<Result<_>>()?;

        let batch = f64::from(request.scenario.batch);
        let mut layers = Vec::with_capacity(demands.len());
        let mut typical = Total::default();
        let mut seconds = [0.0; 3];
        let mut joules = [0.0; 3];
        for (i, corner) in Corner::ALL.into_iter().enumerate() {
            let rates = self.rates(target, corner);
            let mut total = Total::default();
            for (layer, demand) in request.profile.layers.iter().zip(&demands) {
                let (time, energy, bound) = self.layer(demand, &rates, corner, devices, &mut total);
                if corner == Corner::Typical {
                    layers.push(LayerCost {
                        layer: layer.layer.name.clone(),
                        time: Seconds(time / batch),
                        energy: Joules(energy / batch),
                        bound,
                    });
                }
            }
            total.finish(&rates, devices);
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
            time: per_unit(seconds).map(Seconds),
            latency: Range {
                low: Seconds(seconds[0]),
                typical: Seconds(seconds[1]),
                high: Seconds(seconds[2]),
            },
            energy: per_unit(joules).map(Joules),
            breakdown: typical.breakdown.scaled(1.0 / batch),
            time_formula: self.time_formula(&demands, &typical, devices, batch),
            energy_formula: energy_formula(&demands, &typical, target, devices, batch),
            notes: plan.notes(&typical),
            layers,
            devices: u64::from(devices),
            weight_bytes: plan.weight_bytes,
            executed: demands.iter().map(Demand::executed).sum::<f64>() / (2.0 * batch),
        })
    }

    fn rates(&self, target: &HardwareTarget, corner: Corner) -> Rates {
        let bandwidth_efficiency = self.bandwidth_efficiency.gain(corner);
        // Unpacking runs on the widest general arithmetic units.
        let vector = self.peak.keys().next_back().copied();
        let figure = |map: &BTreeMap<Precision, _>| vector.and_then(|p| map.get(&p).cloned());
        let vector_peak: Option<Figure<OpsPerSecond>> = figure(&self.peak);
        let vector_energy = vector.and_then(|p| self.energy_per_op.get(&p));
        Rates {
            bandwidth: self
                .memory
                .as_ref()
                .map_or(f64::INFINITY, |m| m.bandwidth.gain(corner).0)
                * bandwidth_efficiency,
            on_chip_bandwidth: self.on_chip.bandwidth.gain(corner).0 * bandwidth_efficiency,
            energy_memory: self
                .memory
                .as_ref()
                .map_or(0.0, |m| m.energy_per_byte.cost(corner).0),
            energy_on_chip: self.on_chip.energy_per_byte.cost(corner).0,
            compute_efficiency: self.compute_efficiency.gain(corner),
            launch: self.launch.cost(corner).0,
            link_bandwidth: self
                .link
                .as_ref()
                .map_or(f64::INFINITY, |l| l.bandwidth.gain(corner).0),
            link_latency: self.link.as_ref().map_or(0.0, |l| l.latency.cost(corner).0),
            energy_link: self
                .link
                .as_ref()
                .map_or(0.0, |l| l.energy_per_byte.cost(corner).0),
            sparse_speedup: self.two_of_four.as_ref().map_or(1.0, |s| s.gain(corner)),
            vector_peak: vector_peak.map_or(f64::INFINITY, |f| f.gain(corner).0),
            vector_energy: vector_energy.map_or(0.0, |f| f.cost(corner).0),
            static_power: target.static_power.cost(corner).0,
            power_limit: target.power_limit.range().high.0,
        }
    }

    /// Time and dynamic energy of one layer for a batch, and what limits it.
    fn layer(
        &self,
        demand: &Demand,
        rates: &Rates,
        corner: Corner,
        devices: u32,
        total: &mut Total,
    ) -> (f64, f64, Bound) {
        let n = f64::from(devices);
        let (peak, energy_per_op) = match (
            self.peak.get(&demand.precision),
            self.energy_per_op.get(&demand.precision),
        ) {
            (Some(peak), Some(energy)) => (peak.gain(corner).0, energy.cost(corner).0),
            _ => (f64::INFINITY, 0.0),
        };
        let speedup = if demand.sparse {
            rates.sparse_speedup
        } else {
            1.0
        };
        let compute = (demand.ops / (peak * speedup) + demand.unpack_ops / rates.vector_peak)
            / (rates.compute_efficiency * n);
        let memory = (demand.memory_bytes / rates.bandwidth)
            .max(demand.on_chip_bytes / rates.on_chip_bandwidth)
            / n;
        let launch = demand.launches * rates.launch;
        let link =
            demand.exchanges * rates.link_latency + demand.link_bytes / (rates.link_bandwidth * n);
        let terms = [compute, memory, launch, link];
        let time = compute.max(memory) + launch + link;

        let breakdown = EnergyBreakdown {
            compute: Joules(
                demand.executed() * energy_per_op + demand.unpack_ops * rates.vector_energy,
            ),
            on_chip: Joules(demand.on_chip_bytes * rates.energy_on_chip),
            memory: Joules(demand.memory_bytes * rates.energy_memory),
            static_power: Joules(0.0),
            interconnect: Joules(demand.link_bytes * rates.energy_link),
        };
        let bound = [
            Bound::Compute,
            Bound::Memory,
            Bound::Overhead,
            Bound::Interconnect,
        ]
        .into_iter()
        .zip(terms)
        .fold((Bound::Compute, 0.0), |best, (bound, term)| {
            if term > best.1 { (bound, term) } else { best }
        })
        .0;
        total.seconds += time;
        total.by_bound[bound as usize] += time;
        total.breakdown = total.breakdown.plus(&breakdown);
        (time, breakdown.total().0, bound)
    }

    fn time_formula(&self, demands: &[Demand], total: &Total, devices: u32, batch: f64) -> String {
        let ops: f64 = demands.iter().map(|d| d.ops).sum();
        let memory: f64 = demands.iter().map(|d| d.memory_bytes).sum();
        let launches: f64 = demands.iter().map(|d| d.launches).sum();
        let precision = demands
            .iter()
            .max_by(|a, b| a.ops.total_cmp(&b.ops))
            .map_or(Precision::Fp32, |d| d.precision);
        let peak = self.peak.get(&precision).map_or(0.0, |p| p.typical.0);
        let bandwidth = self
            .memory
            .as_ref()
            .map_or(self.on_chip.bandwidth.typical.0, |m| m.bandwidth.typical.0);
        format!(
            "batch of {batch}: Σ over {} layers of max(operations / (peak × efficiency), bytes / (bandwidth × \
             efficiency)) + launch = {:.3e} s, with {ops:.3e} operations at {peak:.3e}/s {} × {}, {memory:.3e} bytes \
             at {bandwidth:.3e} B/s × {}, {launches} launches of {:.2e} s, {devices} device(s)",
            demands.len(),
            total.seconds,
            precision.name(),
            self.compute_efficiency.typical,
            self.bandwidth_efficiency.typical,
            self.launch.typical.0,
        )
    }
}

fn energy_formula(
    demands: &[Demand],
    total: &Total,
    target: &HardwareTarget,
    devices: u32,
    batch: f64,
) -> String {
    let b = &total.breakdown;
    let ops: f64 = demands.iter().map(|d| d.ops).sum();
    let memory: f64 = demands.iter().map(|d| d.memory_bytes).sum();
    format!(
        "per batch of {batch}: {ops:.3e} operations → {:.3e} J + on-chip traffic {:.3e} J + {memory:.3e} bytes of \
         memory traffic → {:.3e} J + {devices} × {} W × {:.3e} s = {:.3e} J static + links {:.3e} J; capped at {} W \
         per device",
        b.compute.0,
        b.on_chip.0,
        b.memory.0,
        target.static_power.typical.0,
        total.seconds,
        b.static_power.0,
        b.interconnect.0,
        target.power_limit.range().high.0,
    )
}

impl Total {
    fn energy(&self) -> f64 {
        self.breakdown.total().0
    }

    /// Adds static power, and stretches the time where the power limit would be exceeded.
    fn finish(&mut self, rates: &Rates, devices: u32) {
        let n = f64::from(devices);
        let dynamic = self.energy();
        let headroom = (rates.power_limit - rates.static_power) * n;
        if headroom > 0.0 {
            self.seconds = self.seconds.max(dynamic / headroom);
        }
        let energy = Watts(rates.static_power * n) * Seconds(self.seconds);
        self.breakdown.static_power = energy;
    }

    fn bound(&self) -> Bound {
        let bounds = [
            Bound::Compute,
            Bound::Memory,
            Bound::Overhead,
            Bound::Interconnect,
        ];
        bounds
            .into_iter()
            .max_by(|a, b| self.by_bound[*a as usize].total_cmp(&self.by_bound[*b as usize]))
            .unwrap_or(Bound::Compute)
    }
}

/// How one model lies on the device: widths, what stays on the chip.
struct Plan<'a> {
    processor: &'a Processor,
    request: &'a Request<'a>,
    target_name: &'a str,
    class: HardwareClass,
    batch: f64,
    devices: f64,
    /// Width that layers without weights compute at.
    ambient: Precision,
    weight_bytes: f64,
    cache_bytes: f64,
    activation_bytes: f64,
    weights_on_chip: bool,
    activations_on_chip: bool,
}

impl<'a> Plan<'a> {
    fn new(
        processor: &'a Processor,
        target: &'a HardwareTarget,
        request: &'a Request<'a>,
    ) -> Result<Self> {
        let mut plan = Self {
            processor,
            request,
            target_name: &target.name,
            class: target.class,
            batch: f64::from(request.scenario.batch),
            devices: f64::from(request.scenario.devices),
            ambient: Precision::Fp32,
            weight_bytes: 0.0,
            cache_bytes: 0.0,
            activation_bytes: 0.0,
            weights_on_chip: false,
            activations_on_chip: false,
        };
        let needed = request
            .profile
            .layers
            .iter()
            .filter(|l| l.layer.compressible)
            .map(needed_bits)
            .max();
        plan.ambient = plan.precision_for(needed.unwrap_or(32), "the model")?;
        let native = f64::from(plan.ambient.bits()) / 8.0;
        let mut widest: f64 = 0.0;
        for layer in &request.profile.layers {
            plan.weight_bytes += plan.weight_bytes(layer)?;
            plan.cache_bytes += request.work(&layer.layer).1 * plan.batch * native;
            widest = widest.max((layer.layer.inputs + layer.layer.outputs) * plan.batch * native);
        }
        plan.activation_bytes = widest;
        let room = processor.on_chip.capacity.typical.0 * USABLE_ON_CHIP * plan.devices;
        plan.weights_on_chip =
            processor.memory.is_none() || plan.weight_bytes + plan.cache_bytes <= room;
        plan.activations_on_chip = processor.memory.is_none() || widest <= room;
        Ok(plan)
    }

    /// The format in which something of the given width is computed.
    fn precision_for(&self, needed: u8, what: &str) -> Result<Precision> {
        let formats = || self.processor.peak.keys().copied();
        let exact = formats()
            .filter(|p| p.bits() >= needed && (needed > 8 || p.holds_integers()))
            .min_by_key(|p| p.bits());
        // 32-bit values on a machine with 16-bit matrix units are rounded by its software; that changes no quality
        // that anybody has measured, which cannot be said of 8 bits.
        let rounded = || formats().find(|p| p.bits() >= 16);
        exact.or_else(rounded).ok_or_else(|| {
            let widest = formats().max_by_key(|p| p.bits()).map_or(0, Precision::bits);
            Error::Infeasible(format!(
                "{} computes with at most {widest} bits, {what} needs {needed}: set weight bits and activation bits \
                 to {widest} or fewer",
                self.target_name
            ))
        })
    }

    fn precision(&self, layer: &LayerProfile) -> Result<Precision> {
        match layer.layer.kind {
            LayerKind::Linear | LayerKind::Conv2d => {
                self.precision_for(needed_bits(layer), &layer.layer.name)
            }
            _ => Ok(self.ambient),
        }
    }

    /// Whether the zeros of a layer lie where this device can skip them.
    fn sparse(&self, layer: &LayerProfile) -> bool {
        self.processor.two_of_four.is_some()
            && layer.pattern == Some(Pattern::TwoOfFour)
            && matches!(layer.layer.kind, LayerKind::Linear | LayerKind::Conv2d)
            && layer.sparsity() > 0.49
            && self.request.machine == Machine::Real
    }

    /// Bits that one weight takes in the device's memory.
    fn storage_bits(&self, layer: &LayerProfile) -> Result<f64> {
        let stored = layer.weight_bits;
        if self.processor.weight_storage == WeightStorage::Packed
            || self.request.machine != Machine::Real
        {
            let widest = self.processor.peak.keys().map(|p| p.bits()).max();
            return Ok(f64::from(stored.min(widest.unwrap_or(32))));
        }
        let computed = self.precision(layer)?.bits();
        let widths = self.processor.peak.keys().map(|p| p.bits());
        let native = widths.filter(|bits| *bits >= stored).min();
        Ok(f64::from(native.unwrap_or(computed).min(computed)))
    }

    /// Bytes of a layer's weights as they lie in the device's memory.
    fn weight_bytes(&self, layer: &LayerProfile) -> Result<f64> {
        let weights = layer.layer.weights() as f64;
        let others = layer.layer.other_parameters as f64 * f64::from(self.ambient.bits()) / 8.0;
        let bits = self.storage_bits(layer)?;
        Ok(match self.request.machine {
            Machine::FileReader => layer.stored_bytes as f64,
            Machine::Ideal => layer.nonzero as f64 * f64::from(layer.weight_bits) / 8.0 + others,
            Machine::Real if self.sparse(layer) => {
                weights / 2.0 * (bits + TWO_OF_FOUR_INDEX_BITS) / 8.0 + others
            }
            Machine::Real => weights * bits / 8.0 + others,
        })
    }

    fn demand(&self, layer: &LayerProfile) -> Result<Demand> {
        let shape = &layer.layer;
        let (macs, cache) = self.request.work(shape);
        let precision = self.precision(layer)?;
        let storage_bits = self.storage_bits(layer)?;
        let native = f64::from(precision.bits()) / 8.0;
        let mut ops = 2.0 * macs * self.batch * self.padding(layer);
        let mut weights = self.weight_bytes(layer)?;
        let mut activations = (shape.inputs + shape.outputs) * self.batch * native;
        let mut unpack_ops = 0.0;
        match self.request.machine {
            Machine::Ideal => {
                // An operation on fewer bits costs in proportion to both widths, a skipped one nothing.
                let width = f64::from(precision.bits());
                let share = |bits: u8| (f64::from(bits) / width).min(1.0);
                ops *= (1.0 - layer.sparsity())
                    * share(layer.weight_bits)
                    * share(layer.activation_bits);
                activations *= share(layer.activation_bits);
            }
            Machine::Real if shape.macs > 0.0 && storage_bits < f64::from(precision.bits()) => {
                unpack_ops = UNPACK_OPS * shape.weights() as f64;
            }
            _ => {}
        }
        if shape.kind == LayerKind::Embedding {
            // A lookup reads one row per unit, not the table.
            let rows = shape.shape.first().map_or(1.0, |&rows| rows as f64);
            weights *= (self.batch / rows).min(1.0);
        }
        let cache = cache * self.batch * native;
        let exchange =
            self.devices > 1.0 && matches!(shape.kind, LayerKind::Linear | LayerKind::Conv2d);
        let mut memory_bytes = 0.0;
        if !self.weights_on_chip {
            memory_bytes += weights + cache;
        }
        if !self.activations_on_chip {
            memory_bytes += activations;
        }
        Ok(Demand {
            precision,
            ops,
            unpack_ops,
            sparse: self.sparse(layer),
            memory_bytes,
            on_chip_bytes: weights + cache + activations,
            // Each device sends its part of the result to all others.
            link_bytes: if exchange {
                shape.outputs * self.batch * native * (self.devices - 1.0)
            } else {
                0.0
            },
            exchanges: f64::from(u8::from(exchange)),
            // Element-wise layers are fused into their neighbours by every serving stack.
            launches: f64::from(u8::from(shape.kind != LayerKind::Elementwise)),
        })
    }

    /// How many more operations a matrix unit executes because the layer is padded up to its size.
    fn padding(&self, layer: &LayerProfile) -> f64 {
        let shape = &layer.layer;
        let matrix = matches!(shape.kind, LayerKind::Linear | LayerKind::Conv2d);
        match self.processor.tile {
            Some((rows, columns)) if matrix && self.request.machine != Machine::Ideal => {
                let pad = |size: f64, tile: u32| {
                    let tile = f64::from(tile);
                    if size > 0.0 {
                        (size / tile).ceil() * tile / size
                    } else {
                        1.0
                    }
                };
                let outputs = shape.shape.first().map_or(0.0, |&n| n as f64);
                pad(shape.fan_in() as f64, rows) * pad(outputs, columns)
            }
            _ => 1.0,
        }
    }

    fn check_capacity(&self, target: &HardwareTarget) -> Result<()> {
        let (capacity, usable) = match &self.processor.memory {
            Some(memory) => (memory.capacity.typical.0, 1.0),
            None => (self.processor.on_chip.capacity.typical.0, 0.9),
        };
        let needed = self.weight_bytes + self.cache_bytes + self.activation_bytes;
        if needed <= capacity * usable * self.devices {
            return Ok(());
        }
        let gigabytes = |bytes: f64| format!("{:.3} GB", bytes / 1e9);
        let devices = (needed / (capacity * usable)).ceil();
        let cache = if self.cache_bytes > 0.0 {
            format!(", a cache of {}", gigabytes(self.cache_bytes))
        } else {
            String::new()
        };
        Err(Error::Infeasible(format!(
            "weights of {}{cache} and activations of {} do not fit in the {} of {} × {}: {devices} devices needed",
            gigabytes(self.weight_bytes),
            gigabytes(self.activation_bytes),
            gigabytes(capacity * usable * self.devices),
            self.devices,
            target.name,
        )))
    }

    fn notes(&self, total: &Total) -> Vec<String> {
        let class = self.class.name();
        let share = |bound: Bound| {
            100.0 * total.by_bound[bound as usize] / total.seconds.max(f64::MIN_POSITIVE)
        };
        let bound = total.bound();
        let share = share(bound).min(100.0);
        let mut notes = vec![match bound {
            Bound::Compute => format!("arithmetic bounds {share:.0} % of the time"),
            Bound::Memory if self.weights_on_chip => {
                format!("on-chip memory bandwidth bounds {share:.0} % of the time")
            }
            Bound::Memory => format!("memory bandwidth bounds {share:.0} % of the time"),
            Bound::Overhead => format!(
                "starting layers takes {share:.0} % of the time, so smaller weights change little; a larger batch would"
            ),
            Bound::Interconnect => {
                format!("the link between devices takes {share:.0} % of the time")
            }
        }];
        let layers = || {
            self.request
                .profile
                .layers
                .iter()
                .filter(|l| l.layer.compressible)
        };
        if layers().any(|l| l.pattern.is_some() && l.sparsity() > 0.0 && !self.sparse(l)) {
            let two_of_four = layers().any(|l| l.pattern == Some(Pattern::TwoOfFour));
            notes.push(if two_of_four {
                format!("this {class} has no 2:4 arithmetic, so the zeros give it nothing")
            } else {
                format!("unstructured zeros give this {class} nothing: it multiplies by them")
            });
        }
        let main = layers().max_by(|a, b| a.layer.macs.total_cmp(&b.layer.macs));
        if let Some(layer) = main
            && let (Ok(precision), Ok(stored)) = (self.precision(layer), self.storage_bits(layer))
        {
            let name = precision.name();
            let (weights, width) = (f64::from(layer.weight_bits), f64::from(precision.bits()));
            if stored < width {
                let fewer = 100.0 * (1.0 - stored / width);
                notes.push(format!(
                    "{stored}-bit weights are computed as {name}: {fewer:.0} % fewer bytes than {name}, no fewer \
                     operations"
                ));
            } else if weights < width {
                notes.push(format!(
                    "{weights}-bit weights are stored and computed as {name} here"
                ));
            } else if weights > width {
                notes.push(format!(
                    "{weights}-bit weights are rounded to {name}, its widest format"
                ));
            }
            if layer.activation_bits < precision.bits() {
                notes.push(format!(
                    "{}-bit activations travel as {name}",
                    layer.activation_bits
                ));
            }
        }
        notes
    }
}

/// Width at which a layer has to be computed. Activations that were left alone are 32 bits in the recipe, but kernels
/// for narrower weights compute with 16-bit activations, so they count as 16 there.
fn needed_bits(layer: &LayerProfile) -> u8 {
    let activations = if layer.weight_bits <= 16 {
        layer.activation_bits.min(16)
    } else {
        layer.activation_bits
    };
    layer.weight_bits.max(activations)
}
