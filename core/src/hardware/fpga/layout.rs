//! How a network lies in programmable logic: multipliers, cycles, where the weights are.

mod words;

use super::{Fpga, Unit};
use crate::digits::{count, si, too_much, trimmed};
use crate::error::{Error, Result};
use crate::hardware::HardwareTarget;
use crate::hardware::cost::{Machine, Request};
use crate::hardware::figure::Corner;
use crate::hardware::processor::Memory;
use crate::hardware::{Bound, EnergyBreakdown, LayerCost, TimeBreakdown};
use crate::profile::{LayerKind, LayerProfile};
use crate::serving::Folding;
use crate::units::{Bytes, BytesPerSecond, Joules, Range, Seconds};

/// Part of the block memory that holds weights; the rest buffers activations. Assumed.
const MEMORY_FOR_WEIGHTS: f64 = 0.75;
/// Share of the board memory's bandwidth that weights stream at. Designs differ widely in how long their bursts are and in
/// how many channels they use; assumed.
const STREAMING: Range<f64> = Range {
    low: 0.08,
    typical: 0.4,
    high: 0.9,
};
/// Of layouts that take at most so much longer than the fastest, the one with the least energy is taken.
const AS_FAST: f64 = 1.03;

/// Seconds of a unit of work by what takes them: weights are streamed while the rest goes on.
struct Terms {
    cycles: f64,
    start: f64,
    streaming: f64,
}

impl Terms {
    fn seconds(&self) -> f64 {
        (self.cycles + self.start).max(self.streaming)
    }

    fn is_streaming(&self) -> bool {
        self.streaming > self.cycles + self.start
    }
}

/// A network placed on the device.
#[derive(Clone)]
pub(super) struct Layout<'a> {
    fpga: &'a Fpga,
    request: &'a Request<'a>,
    /// Multiply-accumulate units built from lookup tables and from hard multipliers, and the tables they occupy.
    pub(super) soft_units: f64,
    pub(super) hard_units: f64,
    soft: Unit,
    hard: Unit,
    pub(super) widths: (u8, u8),
    unfolded: bool,
    /// Whether zeros take no multiplier or no cycle.
    skips_zeros: bool,
    /// Whether somebody else decided how the network is laid out.
    designed: bool,
    /// Cycles between one result and the next at full efficiency, and from the first input to the first result.
    cycles: f64,
    fill_cycles: f64,
    /// Multiply-accumulates executed per unit of work.
    pub(super) executed: f64,
    pub(super) weight_bytes: f64,
    streamed_bytes: f64,
    read_bytes: f64,
    /// Whose constants decided how much there is room for.
    corner: Corner,
}

impl<'a> Layout<'a> {
    /// The better of the layouts that there are with the constants of a corner: multipliers that all layers share, or one
    /// for every weight that is not zero, in as many copies as there is room for.
    pub(super) fn new(
        fpga: &'a Fpga,
        target: &'a HardwareTarget,
        request: &'a Request<'a>,
        folding: Option<Folding>,
        corner: Corner,
    ) -> Result<Self> {
        let mut shared = Self::empty(fpga, target, request, folding, corner)?;
        shared.place_weights(target)?;
        let mut unfolded = shared.clone();
        shared.fold(folding);
        if folding.is_some() || !unfolded.unfold() {
            return Ok(shared);
        }
        let cost = |layout: &Self| {
            let (seconds, energy, _) = layout.run(target, corner);
            (seconds, energy.total().0)
        };
        let (a, b) = (cost(&shared), cost(&unfolded));
        let fastest = a.0.min(b.0) * AS_FAST;
        let less = b.1 < a.1;
        Ok(match (a.0 <= fastest, b.0 <= fastest) {
            (true, true) if less => unfolded,
            (false, _) => unfolded,
            _ => shared,
        })
    }

    /// As many multipliers as there is room for, and nothing laid out on them yet.
    fn empty(
        fpga: &'a Fpga,
        target: &'a HardwareTarget,
        request: &'a Request<'a>,
        folding: Option<Folding>,
        corner: Corner,
    ) -> Result<Self> {
        let layers = &request.profile.layers;
        let widest = |bits: fn(&LayerProfile) -> u8| {
            let compressible = layers.iter().filter(|l| l.layer.compressible);
            compressible.map(bits).max().unwrap_or(32)
        };
        let weight_bits = widest(|l| l.weight_bits);
        // Activations that were left alone count as 16 bits beside narrower weights, as in the kernels of processors.
        let activation_bits = match widest(|l| l.activation_bits) {
            32 if weight_bits <= 16 => 16,
            bits => bits,
        };
        let (soft, hard) = fpga.units(weight_bits, activation_bits);
        let ideal = request.machine == Machine::Ideal;
        let room = |corner: Corner| {
            let share = fpga.utilization.gain(corner);
            (
                fpga.luts.gain(corner) * share,
                fpga.dsps.gain(corner) * share,
            )
        };
        // What fits at the typical values fits; the other corners have at least one multiplier.
        let one = |(luts, dsps): (f64, f64)| (luts.max(hard.luts), dsps.max(hard.dsps));
        let (luts, dsps) = match corner {
            Corner::Typical => room(corner),
            Corner::Best | Corner::Worst => one(room(corner)),
        };
        let hard_units = (dsps / hard.dsps).min(luts / hard.luts).floor();
        let left = (luts - hard_units * hard.luts).max(0.0);
        let soft_units = soft.map_or(0.0, |unit| (left / unit.luts).floor());
        if hard_units + soft_units < 1.0 {
            return Err(Error::Infeasible(format!(
                "not one multiply-accumulate unit of {weight_bits} × {activation_bits} bits fits: it takes {} lookup \
                 tables and {} multipliers, {} has {} and {}",
                trimmed(hard.luts, 3),
                trimmed(hard.dsps, 3),
                target.name,
                count(luts),
                count(dsps)
            )));
        }

        Ok(Self {
            fpga,
            request,
            soft_units,
            hard_units,
            soft: soft.unwrap_or(hard),
            hard,
            widths: (weight_bits, activation_bits),
            unfolded: false,
            skips_zeros: ideal,
            designed: folding.is_some(),
            cycles: 0.0,
            fill_cycles: 0.0,
            executed: 0.0,
            weight_bytes: layers.iter().map(|l| layer_bytes(l, request.machine)).sum(),
            streamed_bytes: 0.0,
            read_bytes: 0.0,
            corner,
        })
    }

    fn macs(&self, layer: &LayerProfile) -> f64 {
        self.request.work(&layer.layer).0
    }

    /// Every layer shares the multipliers in proportion to its work, or as a design says.
    fn fold(&mut self, folding: Option<Folding>) {
        let density = |l: &LayerProfile| {
            if self.skips_zeros {
                1.0 - l.sparsity()
            } else {
                1.0
            }
        };
        let layers = &self.request.profile.layers;
        self.executed = layers.iter().map(|l| self.macs(l) * density(l)).sum();
        let balanced = (self.executed / (self.soft_units + self.hard_units)).max(1.0);
        let weights = |l: &LayerProfile| (l.layer.weights() as f64).max(1.0);
        self.pipeline(|layout, l| match folding {
            _ if layout.macs(l) == 0.0 => 0.0,
            // Normalisation and activation are part of the stage before them, unless a design says otherwise.
            None if l.layer.kind == LayerKind::Elementwise => 0.0,
            Some(Folding::Reuse(factor)) => layout.macs(l) / (weights(l) / factor).ceil().max(1.0),
            Some(Folding::Interval(cycles)) => cycles,
            None => balanced,
        });
    }

    /// Every weight that is not zero has a multiplier of its own, and layers that use theirs often have copies of all of
    /// them, as many as bring all layers below the least number of cycles for which there is room. Returns whether there is
    /// room for one of each.
    fn unfold(&mut self) -> bool {
        let layers = &self.request.profile.layers;
        let attends = layers.iter().any(|l| l.layer.kind == LayerKind::Attention);
        if attends || self.streamed_bytes > 0.0 {
            return false;
        }
        let units = self.soft_units + self.hard_units;
        let weights = |l: &LayerProfile| (l.layer.weights() as f64).max(1.0);
        // How often each weight of a layer is used, and how many of them are not zero.
        let used = |l: &LayerProfile| match l.layer.kind {
            LayerKind::Elementwise => 0.0,
            _ => self.macs(l) / weights(l),
        };
        let copies = |l: &LayerProfile, cycles: f64| (used(l) / cycles).ceil().max(1.0);
        let needed = |cycles: f64| -> f64 {
            layers
                .iter()
                .map(|l| l.nonzero as f64 * copies(l, cycles))
                .sum()
        };
        let most = layers.iter().map(used).fold(1.0, f64::max);
        if needed(most) > units {
            return false;
        }
        // The number of multipliers falls as the cycles grow.
        let (mut low, mut high) = (0.0, most.ceil());
        while high - low > 1.0 {
            let middle = f64::midpoint(low, high).floor();
            if needed(middle) <= units {
                high = middle;
            } else {
                low = middle;
            }
        }
        let cycles = high;
        let density = |l: &LayerProfile| 1.0 - l.sparsity();
        let executed = layers.iter().map(|l| self.macs(l) * density(l)).sum();
        self.executed = executed;
        self.unfolded = true;
        self.skips_zeros = true;
        self.pipeline(|layout, l| {
            let weights = (l.layer.weights() as f64).max(1.0);
            match l.layer.kind {
                LayerKind::Elementwise => 0.0,
                _ => {
                    let used = layout.macs(l) / weights;
                    used / (used / cycles).ceil().max(1.0)
                }
            }
        });
        true
    }

    /// Cycles between results, and to the first, from the cycles that each layer takes for one unit of work.
    fn pipeline(&mut self, cycles: impl Fn(&Self, &LayerProfile) -> f64) {
        let layers = &self.request.profile.layers;
        let (mut slowest, mut its_wait) = (1.0, 1.0);
        let mut waiting = 0.0;
        for layer in layers {
            let (own, wait) = (cycles(self, layer), waits_for(layer));
            if own > slowest {
                (slowest, its_wait) = (own, wait);
            }
            // Equal layers that stand together pass on one after the other.
            let execution = &layer.layer.execution;
            waiting += own * wait * f64::from(execution.layers) * f64::from(execution.passes);
        }
        self.cycles = slowest;
        self.fill_cycles = (waiting + slowest * (1.0 - its_wait)).max(slowest);
    }

    /// Decides where the weights lie.
    fn place_weights(&mut self, target: &HardwareTarget) -> Result<()> {
        let room = self.fpga.on_chip.gain(self.corner).0 * MEMORY_FOR_WEIGHTS;
        // Multipliers of an unfolded design have their weights wired in, so nothing is read then; until that is known
        // every weight is read once per unit.
        self.read_bytes = self.weight_bytes;
        if self.weight_bytes <= room {
            return Ok(());
        }
        let capacity = self
            .fpga
            .memory
            .as_ref()
            .map_or(0.0, |m| m.capacity.typical.0);
        if self.weight_bytes > capacity {
            let [weights, _, times] = too_much(self.weight_bytes, room.max(capacity), "B");
            return Err(Error::Infeasible(format!(
                "weights of {weights} do not fit in {} ({} of block memory for weights, {} on the board): {times} \
                 times too large",
                target.name,
                si(room, "B"),
                si(capacity, "B"),
            )));
        }
        // Weights that stay outside are read once per batch.
        self.streamed_bytes = self.weight_bytes / f64::from(self.request.scenario.batch);
        Ok(())
    }

    /// What a unit of work takes, each by itself.
    fn terms(&self, corner: Corner) -> Terms {
        let fpga = self.fpga;
        let batch = f64::from(self.request.scenario.batch);
        let streaming = match corner {
            Corner::Best => STREAMING.high,
            Corner::Typical => STREAMING.typical,
            Corner::Worst => STREAMING.low,
        };
        let bandwidth = |m: &Memory| -> BytesPerSecond { m.bandwidth.gain(corner) * streaming };
        Terms {
            cycles: self.cycles_per_unit() / (fpga.clock.gain(corner) * self.efficiency(corner)),
            start: fpga.start.cost(corner).0 / batch,
            streaming: fpga
                .memory
                .as_ref()
                .map_or(0.0, |m| (Bytes(self.streamed_bytes) / bandwidth(m)).0),
        }
    }

    /// Seconds and joules of a unit of work, and how many times as long the power limit makes it take.
    pub(super) fn run(
        &self,
        target: &HardwareTarget,
        corner: Corner,
    ) -> (f64, EnergyBreakdown, f64) {
        let fpga = self.fpga;
        let unlimited = self.terms(corner).seconds();
        let units = self.soft_units + self.hard_units;
        let luts = (self.soft_units * self.soft.luts + self.hard_units * self.hard.luts) / units;
        let dsps = (self.soft_units * self.soft.dsps + self.hard_units * self.hard.dsps) / units;
        let per_mac =
            luts * fpga.energy_per_lut.cost(corner).0 + dsps * fpga.energy_per_dsp.cost(corner).0;
        let read = if self.unfolded { 0.0 } else { self.read_bytes };
        let memory_energy = fpga
            .memory
            .as_ref()
            .map_or(0.0, |m| m.energy_per_byte.cost(corner).0);
        let mut energy = EnergyBreakdown {
            compute: Joules(self.executed * per_mac),
            on_chip: Joules(
                (read + self.activation_bytes()) * fpga.on_chip_energy_per_byte.cost(corner).0,
            ),
            memory: Joules(self.streamed_bytes * memory_energy),
            static_power: Joules(0.0),
            interconnect: Joules(0.0),
        };
        let static_power = target.static_power.cost(corner).0;
        let headroom = target.power_limit.gain(corner).0 - static_power;
        let time = if headroom > 0.0 {
            unlimited.max(energy.total().0 / headroom)
        } else {
            unlimited
        };
        energy.static_power = Joules(static_power * time);
        (time, energy, time / unlimited)
    }

    /// Cycles per unit of work: the first result of a batch waits for the whole pipeline, the others follow it.
    fn cycles_per_unit(&self) -> f64 {
        let batch = f64::from(self.request.scenario.batch);
        (self.fill_cycles + (batch - 1.0) * self.cycles) / batch
    }

    /// The share of cycles at work; a given design already says how its layers wait for each other.
    fn efficiency(&self, corner: Corner) -> f64 {
        if self.designed {
            1.0
        } else {
            self.fpga.efficiency.gain(corner)
        }
    }

    fn activation_bytes(&self) -> f64 {
        let bytes = f64::from(self.widths.1) / 8.0;
        self.request
            .profile
            .layers
            .iter()
            .map(elements_moved)
            .sum::<f64>()
            * bytes
    }

    /// Shares of the whole: arithmetic and what follows from it by multiply-accumulates, traffic by bytes; what it takes to
    /// hand the batch over by itself, where the weights that are streamed meanwhile do not hide it.
    pub(super) fn layers(&self, seconds: f64, energy: &EnergyBreakdown) -> Vec<LayerCost> {
        let layers = &self.request.profile.layers;
        let density = |l: &LayerProfile| match self.skips_zeros {
            true => 1.0 - l.sparsity(),
            false => 1.0,
        };
        let work = |l: &LayerProfile| self.request.work(&l.layer).0 * density(l);
        let weights = |l: &LayerProfile| layer_bytes(l, self.request.machine);
        let activations = |l: &LayerProfile| elements_moved(l) * f64::from(self.widths.1) / 8.0;
        let reads = if self.unfolded { 0.0 } else { 1.0 };
        let on_chip = |l: &LayerProfile| reads * weights(l) + activations(l);
        let of = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let all = |quantity: &dyn Fn(&LayerProfile) -> f64| -> f64 {
            layers.iter().map(quantity).sum::<f64>()
        };
        let totals = (all(&work), all(&weights), all(&on_chip));
        let terms = self.terms(Corner::Typical);
        let streaming = terms.is_streaming();
        let start = if streaming {
            0.0
        } else {
            of(terms.start, terms.seconds())
        };
        let bound = if streaming {
            Bound::Memory
        } else {
            Bound::Compute
        };
        let handing_over = LayerCost {
            layer: "handing the batch over".to_owned(),
            time: Seconds(seconds * start),
            energy: EnergyBreakdown {
                static_power: energy.static_power * start,
                ..EnergyBreakdown::default()
            },
            operations: 0.0,
            memory_bytes: Bytes(0.0),
            on_chip_bytes: Bytes(0.0),
            precision: None,
            time_by: TimeBreakdown::all(Bound::Overhead, Seconds(seconds * start)),
        };
        layers
            .iter()
            .map(|l| {
                let (by_work, by_weights) = (of(work(l), totals.0), of(weights(l), totals.1));
                let by_time = (1.0 - start) * if streaming { by_weights } else { by_work };
                let time = Seconds(seconds * by_time);
                LayerCost {
                    layer: l.layer.name.clone(),
                    time,
                    energy: EnergyBreakdown {
                        compute: energy.compute * by_work,
                        on_chip: energy.on_chip * of(on_chip(l), totals.2),
                        memory: energy.memory * by_weights,
                        static_power: energy.static_power * by_time,
                        interconnect: Joules(0.0),
                    },
                    operations: 2.0 * self.executed * by_work,
                    memory_bytes: Bytes(self.streamed_bytes * by_weights),
                    on_chip_bytes: Bytes(on_chip(l)),
                    precision: None,
                    time_by: TimeBreakdown::all(bound, time),
                }
            })
            .chain((start > 0.0).then_some(handing_over))
            .collect()
    }
}

/// The part of its own time that a layer has to wait before it can pass a first result on: a kernel's rows of an image,
/// all of a vector.
fn waits_for(layer: &LayerProfile) -> f64 {
    let layer = &layer.layer;
    let (Some(&outputs), Some(&inputs), Some(&kernel)) =
        (layer.shape.first(), layer.shape.get(1), layer.shape.get(2))
    else {
        return 1.0;
    };
    // A convolution of every channel by itself has one input channel per kernel.
    let channels = if inputs == 1 { outputs } else { inputs };
    let rows = (layer.inputs / channels as f64).sqrt().max(1.0);
    (kernel as f64 / rows).min(1.0)
}

/// Activations that a layer reads and writes.
fn elements_moved(layer: &LayerProfile) -> f64 {
    layer.layer.inputs + layer.layer.execution.added + layer.layer.outputs
}

fn layer_bytes(layer: &LayerProfile, machine: Machine) -> f64 {
    let others = layer.other_bytes();
    let bits = f64::from(layer.weight_bits);
    match machine {
        Machine::FileReader => layer.stored_bytes as f64,
        Machine::Ideal => layer.nonzero as f64 * bits / 8.0 + others,
        Machine::Real => layer.dense_bytes().0,
    }
}
