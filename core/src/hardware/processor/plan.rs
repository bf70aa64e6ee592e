//! How a model lies on a processor: at which width each layer is stored and computed, what stays on the chip, and what
//! each layer therefore asks of the machine.

use super::rates::Rates;
use super::unpacking::{Narrow, UNPACK_OPS, unpacked};
use super::{Demand, HANDED_OVER, Precision, Processor, WeightStorage};
use crate::digits::{si, too_much};
use crate::error::{Error, Result};
use crate::hardware::cost::{Machine, Request};
use crate::hardware::figure::{Corner, Figure};
use crate::hardware::{HardwareClass, HardwareTarget, MemoryUse};
use crate::profile::{Layer, LayerKind, LayerProfile};
use crate::recipe::Pattern;
use crate::units::{Bytes, OpsPerSecond, Range};

/// Part of the on-chip memory that a program can count on; the rest holds code, buffers and other data. Assumed.
const USABLE_ON_CHIP: Range<f64> = Range {
    low: 0.25,
    typical: 0.5,
    high: 0.9,
};
/// Bits that say where one kept weight of a 2:4 group lies (NVIDIA A100 white paper, 2020).
const TWO_OF_FOUR_INDEX_BITS: f64 = 2.0;

/// How one model lies on the device: widths, what stays on the chip.
pub(super) struct Plan<'a> {
    pub(super) processor: &'a Processor,
    pub(super) request: &'a Request<'a>,
    pub(super) target_name: &'a str,
    pub(super) class: HardwareClass,
    /// Units of work that go through all layers together.
    pub(super) batch: f64,
    /// Parts of equal size into which the batch is cut, one after another.
    pub(super) parts: f64,
    /// Devices that share every layer: all, or those of a pipeline stage.
    pub(super) group: f64,
    /// Devices of all stages.
    pub(super) devices: f64,
    /// Batches under way at once, one per pipeline stage.
    pub(super) in_flight: f64,
    /// The device's formats, narrowest first.
    pub(super) formats: Vec<Precision>,
    /// Width that layers without weights compute at.
    pub(super) ambient: Precision,
    pub(super) weight_bytes: f64,
    pub(super) cache_bytes: f64,
    /// Bytes that are kept of all sequences, read or not.
    pub(super) kept_bytes: f64,
    pub(super) activation_bytes: f64,
    /// Bits of the activations that products are computed from; those of everything that multiplies no weights.
    pub(super) activation_bits: u8,
    /// A plan with less energy that is slower: units in a part, and its energy and time over those of this one.
    pub(super) frugal: Option<(f64, f64, f64)>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        processor: &'a Processor,
        target: &'a HardwareTarget,
        request: &'a Request<'a>,
    ) -> Result<Self> {
        let in_flight = f64::from(request.scenario.in_flight());
        let mut plan = Self {
            processor,
            request,
            target_name: &target.name,
            class: target.class,
            batch: f64::from(request.scenario.batch) / in_flight,
            parts: 1.0,
            group: f64::from(request.scenario.tensor_devices()),
            in_flight,
            devices: f64::from(request.scenario.devices),
            formats: processor.peak.keys().copied().collect(),
            ambient: Precision::Fp32,
            weight_bytes: 0.0,
            cache_bytes: 0.0,
            kept_bytes: 0.0,
            activation_bytes: 0.0,
            activation_bits: 32,
            frugal: None,
        };
        let products = request.profile.layers.iter();
        let products = products.filter(|l| l.layer.compressible && l.layer.macs > 0.0);
        plan.activation_bits = products.map(LayerProfile::operand_bits).max().unwrap_or(32);
        let needed = request
            .profile
            .layers
            .iter()
            .filter(|l| l.layer.compressible)
            .map(needed_bits)
            .max();
        // Beside packed kernels everything stays in single precision.
        let needed = needed.filter(|_| processor.packed.is_none());
        plan.ambient = plan.precision_for(needed.unwrap_or(32), "the model")?;
        let native = f64::from(plan.ambient.bits()) / 8.0;
        for layer in &request.profile.layers {
            plan.weight_bytes += plan.weight_bytes(layer)?;
            let sequences = plan.batch * in_flight * native;
            plan.cache_bytes += request.work(&layer.layer).1 * sequences;
            plan.kept_bytes += request.kept(&layer.layer) * sequences;
            plan.activation_bytes = plan
                .activation_bytes
                .max(plan.working_set(&layer.layer, native));
        }
        Ok(plan)
    }

    /// Bytes on the chip that a program can count on, of all devices together.
    pub(super) fn room(&self, corner: Corner) -> f64 {
        if self.processor.memory.is_none() {
            return f64::INFINITY;
        }
        let usual = || match corner {
            Corner::Best => USABLE_ON_CHIP.high,
            Corner::Typical => USABLE_ON_CHIP.typical,
            Corner::Worst => USABLE_ON_CHIP.low,
        };
        let own = self.processor.usable_on_chip.as_ref();
        let usable = own.map_or_else(usual, |share| share.gain(corner));
        self.processor.on_chip.capacity.gain(corner).0 * usable * self.devices
    }

    /// Share of the weights that stays on the chip; the others stream past in every part of the batch.
    fn resident(&self, corner: Corner) -> f64 {
        self.share_that_fits(self.weight_bytes, self.room(corner))
    }

    /// Share of what is used again and again that stays in a room on the chip. A compiler keeps as much as fits in a memory
    /// that it manages. A cache that throws out what was used longest ago keeps less the more passes through it, and
    /// nothing of what is twice its size (assumed).
    fn share_that_fits(&self, bytes: f64, room: f64) -> f64 {
        let managed = !matches!(
            self.class,
            HardwareClass::Gpu | HardwareClass::EdgeGpu | HardwareClass::Cpu
        );
        if bytes <= room {
            1.0
        } else if managed {
            room / bytes
        } else {
            (2.0 - bytes / room).max(0.0)
        }
    }

    /// Bytes of what a layer reads and writes at once, for the units that go through it together.
    pub(super) fn working_set(&self, layer: &Layer, bytes_per_value: f64) -> f64 {
        let at_once = f64::from(layer.execution.layers * layer.execution.passes);
        (layer.inputs + layer.outputs) / at_once * self.batch * self.in_flight * bytes_per_value
    }

    /// Share of a part's keys and values that stays on the chip, beside the weights.
    fn cached_on_chip(&self, corner: Corner) -> f64 {
        let left = (self.room(corner) - self.weight_bytes).max(0.0);
        self.share_that_fits(self.cache_bytes / self.parts, left)
    }

    /// Whether smaller parts would keep no more on the chip: what the layers hand on to each other, keys and values.
    pub(super) fn stays_on_chip(&self) -> bool {
        let room = self.room(Corner::Typical);
        let cached = self.weight_bytes > room || self.cached_on_chip(Corner::Typical) >= 1.0;
        cached && self.activation_bytes / self.parts <= room
    }

    /// What every layer asks of the machine, per part of the batch.
    fn demands(&self, corner: Corner) -> Result<Vec<Demand<'a>>> {
        let layers = self.request.profile.layers.iter();
        layers
            .map(|layer| self.demand(layer, corner))
            .chain(self.handed_on().map(Ok))
            .chain(self.handed_over().map(Ok))
            .collect()
    }

    /// The same with narrow weights unpacked, at the corner of the rates.
    pub(super) fn work(&self, rates: &Rates) -> Result<Vec<Demand<'a>>> {
        Ok(unpacked(self.demands(rates.corner)?, rates, self.group))
    }

    /// The work on its way to the device and back, where that takes time beside starting layers; the same for every
    /// machine that savings are counted with.
    fn handed_over(&self) -> Option<Demand<'a>> {
        self.processor.start.as_ref()?;
        Some(Demand {
            starts: self.batch,
            ..Demand::nothing(HANDED_OVER, self.ambient)
        })
    }

    /// The format whose rate the ideal machine has, whatever the bits: the narrowest of at least 16 bits, else the widest.
    fn basis(&self) -> Option<Precision> {
        let mut formats = self.formats.iter().copied();
        let wide = formats.find(|format| format.bits() >= 16);
        wide.or_else(|| {
            self.formats
                .iter()
                .copied()
                .max_by_key(|format| format.bits())
        })
    }

    /// Bits of the weights and activations that a layer multiplies; of two activations, where it has no weights.
    fn operand_bits(&self, layer: &LayerProfile) -> (u8, u8) {
        if layer.layer.kind.multiplies_weights() {
            (layer.weight_bits, layer.operand_bits())
        } else {
            (self.activation_bits, self.activation_bits)
        }
    }

    /// The format in which something of the given width is computed.
    fn precision_for(&self, needed: u8, what: &str) -> Result<Precision> {
        let formats = || self.formats.iter().copied();
        let peak = |p: Precision| self.processor.peak.get(&p).map_or(0.0, |f| f.typical.0);
        // Some chips have narrow units that are slower than their wide ones; of equally fast formats the first, narrowest.
        let exact = formats()
            .filter(|p| p.bits() >= needed && (needed > 8 || p.holds_integers()))
            .reduce(|best, next| if peak(next) > peak(best) { next } else { best });
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

    pub(super) fn precision(&self, layer: &LayerProfile) -> Result<Precision> {
        if layer.layer.kind.multiplies_weights() {
            self.precision_for(needed_bits(layer), &layer.layer.name)
        } else {
            Ok(self.ambient)
        }
    }

    /// Whether the zeros of a layer lie where this device can skip them.
    pub(super) fn sparse(&self, layer: &LayerProfile) -> bool {
        self.processor.two_of_four.is_some()
            && layer.pattern == Some(Pattern::TwoOfFour)
            && layer.layer.kind.multiplies_weights()
            && layer.sparsity() > 0.49
            && self.request.machine == Machine::Real
    }

    /// The rate of the kernels that multiply a layer's weights as they are packed, where the device has such.
    pub(super) fn packed_rate(
        &self,
        layer: &LayerProfile,
        precision: Precision,
        stored: f64,
    ) -> Option<&'a Figure<OpsPerSecond>> {
        let matrix = matches!(layer.layer.kind, LayerKind::Linear | LayerKind::Conv2d);
        let real = self.request.machine == Machine::Real;
        let kernels = self.processor.packed.as_ref();
        kernels
            .filter(|_| real && matrix && precision == Precision::Int8)
            .and_then(|kernels| kernels.rate(stored))
    }

    /// The format in which activations lie in memory.
    pub(super) fn moved_as(&self, computed: Precision, packed: bool) -> Precision {
        if packed { self.ambient } else { computed }
    }

    /// Bits that one weight takes in the device's memory.
    pub(super) fn storage_bits(&self, layer: &LayerProfile) -> Result<f64> {
        let stored = layer.weight_bits;
        if self.processor.weight_storage == WeightStorage::Packed
            || self.request.machine != Machine::Real
        {
            let widest = self.formats.iter().map(|p| p.bits()).max();
            return Ok(f64::from(stored.min(widest.unwrap_or(32))));
        }
        let computed = self.precision(layer)?.bits();
        let widths = self.formats.iter().map(|p| p.bits());
        let native = widths.filter(|bits| *bits >= stored).min();
        Ok(f64::from(native.unwrap_or(computed).min(computed)))
    }

    /// Bytes of a layer's weights as they lie in the device's memory.
    pub(super) fn weight_bytes(&self, layer: &LayerProfile) -> Result<f64> {
        let weights = layer.layer.weights() as f64;
        let others = layer.layer.other_parameters as f64 * f64::from(self.ambient.bits()) / 8.0;
        let bits = self.storage_bits(layer)?;
        let scales = 2.0 * layer.scales as f64;
        Ok(match self.request.machine {
            Machine::FileReader => layer.stored_bytes as f64,
            Machine::Ideal => layer.nonzero as f64 * f64::from(layer.weight_bits) / 8.0 + others,
            Machine::Real if self.sparse(layer) => {
                weights / 2.0 * (bits + TWO_OF_FOUR_INDEX_BITS) / 8.0 + scales + others
            }
            Machine::Real => (weights * bits + layer.bitmap_bits(bits)) / 8.0 + scales + others,
        })
    }

    fn demand(&self, layer: &'a LayerProfile, corner: Corner) -> Result<Demand<'a>> {
        let shape = &layer.layer;
        let (macs, cache) = self.request.work(shape);
        let ideal = self
            .basis()
            .filter(|_| self.request.machine == Machine::Ideal);
        let computed = self.precision(layer)?;
        let precision = ideal.unwrap_or(computed);
        let storage_bits = self.storage_bits(layer)?;
        let packed = self.packed_rate(layer, precision, storage_bits);
        let (weight_bits, activation_bits) = self.operand_bits(layer);
        // Bytes of a number that layers hand on.
        let native = match ideal {
            Some(_) => f64::from(activation_bits) / 8.0,
            None => f64::from(self.moved_as(precision, packed.is_some()).bits()) / 8.0,
        };
        let mut ops = 2.0 * macs * self.batch * self.padding(layer);
        // What the batch reads of the weights: the experts that it visits, again in every pass.
        let execution = &shape.execution;
        let reads = execution.touched(self.batch) * f64::from(execution.passes);
        let mut weights = self.weight_bytes(layer)? * reads;
        let activations = (shape.inputs + execution.added + shape.outputs) * self.batch * native;
        let mut narrow = None;
        match self.request.machine {
            Machine::Ideal => {
                // An operation costs in proportion to both widths, a skipped one nothing; from one rate, before and after.
                let width = f64::from(precision.bits());
                let share = |bits: u8| f64::from(bits) / width;
                ops *= (1.0 - layer.sparsity()) * share(weight_bits) * share(activation_bits);
            }
            Machine::Real
                if shape.macs > 0.0
                    && shape.weights() > 0
                    && storage_bits < f64::from(precision.bits()) =>
            {
                let read = shape.weights() as f64 * reads;
                let wide = read * f64::from(precision.bits()) / 8.0;
                // Those of one layer at a time.
                let at_once = wide / (f64::from(execution.layers) * f64::from(execution.passes));
                let between = self.share_that_fits(at_once, self.room(corner));
                narrow = Some(Narrow {
                    ops: UNPACK_OPS * read,
                    rows: macs * self.batch / read,
                    packed: [weights * (1.0 - self.resident(corner)), weights],
                    wide: [wide * (1.0 - between), wide],
                });
            }
            _ => {}
        }
        if shape.kind == LayerKind::Embedding {
            // A lookup reads one row per unit, not the table.
            let rows = shape.shape.first().map_or(1.0, |&rows| rows as f64);
            weights *= (self.batch / rows).min(1.0);
        }
        let cache = cache * self.batch * native;
        let runs = f64::from(execution.layers) * f64::from(execution.passes);
        let exchange = self.group > 1.0 && shape.kind.multiplies_weights();
        let held = self.share_that_fits(self.working_set(shape, native), self.room(corner));
        let memory_bytes = cache * (1.0 - self.cached_on_chip(corner))
            + weights * (1.0 - self.resident(corner))
            + activations * (1.0 - held);
        Ok(Demand {
            name: &shape.name,
            precision,
            ops,
            narrow,
            unpack_ops: 0.0,
            unpacks: false,
            packed,
            sparse: self.sparse(layer),
            memory_bytes,
            on_chip_bytes: weights + cache + activations,
            // Each device sends its part of the result to all others.
            link_bytes: if exchange {
                shape.outputs * self.batch * native * (self.group - 1.0)
            } else {
                0.0
            },
            exchanges: runs * f64::from(u8::from(exchange)),
            // Element-wise layers are fused into their neighbours by every serving stack.
            launches: runs * f64::from(u8::from(shape.kind != LayerKind::Elementwise)),
            starts: 0.0,
        })
    }

    /// How many more operations a matrix unit executes because the layer is padded up to its size.
    fn padding(&self, layer: &LayerProfile) -> f64 {
        let shape = &layer.layer;
        let matrix = shape.kind.multiplies_weights();
        match self.processor.tile {
            Some((rows, columns)) if matrix => {
                let pad = |size: f64, tile: u32| {
                    let tile = f64::from(tile);
                    if size > 0.0 {
                        (size / tile).ceil() * tile / size
                    } else {
                        1.0
                    }
                };
                let outputs = shape.shape.first().map_or(0.0, |&n| n as f64)
                    / f64::from(shape.execution.layers);
                pad(shape.fan_in() as f64, rows) * pad(outputs, columns)
            }
            _ => 1.0,
        }
    }

    pub(super) fn check_capacity(&self, target: &HardwareTarget) -> Result<()> {
        let (capacity, usable) = match &self.processor.memory {
            Some(memory) => (memory.capacity.typical.0, 1.0),
            None => (self.processor.on_chip.capacity.typical.0, 0.9),
        };
        let needed = self.weight_bytes + self.kept_bytes + self.activation_bytes;
        if needed <= capacity * usable * self.devices {
            return Ok(());
        }
        let bytes = |bytes: f64| si(bytes, "B");
        let [together, room, _] = too_much(needed, capacity * usable * self.devices, "B");
        let devices = (needed / (capacity * usable)).ceil();
        let cache = if self.kept_bytes > 0.0 {
            format!(", a cache of {}", bytes(self.kept_bytes))
        } else {
            String::new()
        };
        Err(Error::Infeasible(format!(
            "weights of {}{cache} and activations of {}, {together} together, do not fit in the {room} of {} × {}: \
             {devices} devices needed",
            bytes(self.weight_bytes),
            bytes(self.activation_bytes),
            self.devices,
            target.name,
        )))
    }

    /// The memory of all devices, and what the model takes of it.
    pub(super) fn memory_use(&self) -> MemoryUse {
        let memory = self.processor.memory.as_ref();
        let capacity = &memory.unwrap_or(&self.processor.on_chip).capacity;
        MemoryUse {
            weights: Bytes(self.weight_bytes),
            cache: Bytes(self.kept_bytes),
            activations: Bytes(self.activation_bytes),
            capacity: capacity.typical * self.devices,
        }
    }
}

/// Width at which a layer has to be computed. Activations that were left alone are 32 bits in the recipe, but kernels
/// for narrower weights compute with 16-bit activations, so they count as 16 there.
fn needed_bits(layer: &LayerProfile) -> u8 {
    layer.weight_bits.max(layer.operand_bits())
}
