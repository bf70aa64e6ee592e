//! How a model lies on a processor: at which width each layer is stored and computed, what stays on the chip, and what
//! each layer therefore asks of the machine.

use super::{Demand, Precision, Processor, Total, WeightStorage};
use crate::digits::{si, too_much};
use crate::error::{Error, Result};
use crate::hardware::cost::{Machine, Request};
use crate::hardware::figure::{Corner, Figure};
use crate::hardware::{HardwareClass, HardwareTarget, MemoryUse};
use crate::profile::{Layer, LayerKind, LayerProfile};
use crate::recipe::Pattern;
use crate::units::{Bytes, OpsPerSecond};

/// Part of the on-chip memory that a program can count on; the rest holds code, buffers and other data. Assumed.
const USABLE_ON_CHIP: f64 = 0.5;
/// Operations to unpack one weight that is stored narrower than it is computed: a shift or mask and a
/// multiplication by the scale.
const UNPACK_OPS: f64 = 2.0;
/// Bits that say where one kept weight of a 2:4 group lies (NVIDIA A100 white paper, 2020).
const TWO_OF_FOUR_INDEX_BITS: f64 = 2.0;

/// How one model lies on the device: widths, what stays on the chip.
pub(super) struct Plan<'a> {
    pub(super) processor: &'a Processor,
    pub(super) request: &'a Request<'a>,
    target_name: &'a str,
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
    formats: Vec<Precision>,
    /// Width that layers without weights compute at.
    pub(super) ambient: Precision,
    pub(super) weight_bytes: f64,
    cache_bytes: f64,
    activation_bytes: f64,
    /// Bytes on the chip that a program can count on, of all devices together.
    room: f64,
    weights_on_chip: bool,
}

impl Processor {
    /// How the batch runs fastest: whole, or in parts of a power of two, of which more stays on the chip. A larger batch
    /// has the same powers to choose from, so it is never slower than one.
    pub(super) fn best_plan<'a>(
        &'a self,
        target: &'a HardwareTarget,
        request: &'a Request<'a>,
    ) -> Result<(Plan<'a>, Vec<Demand<'a>>)> {
        let rates = self.rates(target, Corner::Typical);
        let seconds_per_unit = |plan: &Plan<'_>, demands: &[Demand<'_>]| {
            let mut total = Total::default();
            for demand in demands {
                Self::layer(demand, &rates, plan.group, &mut total);
            }
            total.finish(&rates, plan.standing());
            total.seconds / plan.batch
        };
        let whole = self.plan(target, request)?;
        let demands = whole.demands()?;
        let mut fastest = seconds_per_unit(&whole, &demands);
        let mut best = (whole, demands);
        let mut fits = best.0.stays_on_chip();
        let mut next = best.0.in_more_parts();
        while let Some(plan) = next.take().filter(|_| !fits) {
            let demands = plan.demands()?;
            let seconds = seconds_per_unit(&plan, &demands);
            fits = plan.stays_on_chip();
            next = plan.in_more_parts();
            if seconds < fastest {
                fastest = seconds;
                best = (plan, demands);
            }
        }
        Ok(best)
    }
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
            activation_bytes: 0.0,
            room: 0.0,
            weights_on_chip: false,
        };
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
            plan.cache_bytes += request.work(&layer.layer).1 * plan.batch * in_flight * native;
            plan.activation_bytes = plan
                .activation_bytes
                .max(plan.working_set(&layer.layer, native));
        }
        plan.room = match processor.memory {
            Some(_) => processor.on_chip.capacity.typical.0 * USABLE_ON_CHIP * plan.devices,
            None => f64::INFINITY,
        };
        plan.weights_on_chip = plan.weight_bytes <= plan.room;
        Ok(plan)
    }

    /// Bytes of what a layer reads and writes at once, for the units that go through it together.
    fn working_set(&self, layer: &Layer, bytes_per_value: f64) -> f64 {
        let at_once = f64::from(layer.execution.layers * layer.execution.passes);
        (layer.inputs + layer.outputs) / at_once * self.batch * self.in_flight * bytes_per_value
    }

    /// Share of a part's keys and values that stays on the chip, beside the weights.
    fn cached_on_chip(&self) -> f64 {
        let cache = self.cache_bytes / self.parts;
        let left = self.room - self.weight_bytes;
        if left >= cache {
            1.0
        } else {
            (left / cache).max(0.0)
        }
    }

    /// Whether smaller parts would keep no more on the chip: what the layers hand on to each other, keys and values.
    fn stays_on_chip(&self) -> bool {
        let cached = !self.weights_on_chip || self.cached_on_chip() >= 1.0;
        cached && self.activation_bytes / self.parts <= self.room
    }

    /// The same in parts of the next smaller power of two, each of which is finished, of texts the whole answer, before
    /// the next begins; what is left over goes with the next batch. `None` where parts would be smaller than a unit of
    /// work, or where the batch is one prompt.
    fn in_more_parts(&self) -> Option<Self> {
        (self.batch >= 2.0 && !self.request.reading).then(|| {
            let part = (self.batch.log2().ceil() - 1.0).exp2();
            Self {
                batch: part,
                parts: self.parts * self.batch / part,
                formats: self.formats.clone(),
                ..*self
            }
        })
    }

    /// What every layer asks of the machine, per part of the batch.
    fn demands(&self) -> Result<Vec<Demand<'a>>> {
        let layers = self.request.profile.layers.iter();
        let handed_on = self.handed_on().map(Ok);
        layers
            .map(|layer| self.demand(layer))
            .chain(handed_on)
            .collect()
    }

    /// The format in which something of the given width is computed.
    fn precision_for(&self, needed: u8, what: &str) -> Result<Precision> {
        let formats = || self.formats.iter().copied();
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
            Machine::Real => weights * bits / 8.0 + scales + others,
        })
    }

    pub(super) fn demand(&self, layer: &LayerProfile) -> Result<Demand<'a>> {
        let shape = &layer.layer;
        let (macs, cache) = self.request.work(shape);
        let precision = self.precision(layer)?;
        let storage_bits = self.storage_bits(layer)?;
        let packed = self.packed_rate(layer, precision, storage_bits);
        let native = f64::from(self.moved_as(precision, packed.is_some()).bits()) / 8.0;
        let mut ops = 2.0 * macs * self.batch * self.padding(layer);
        // What the batch reads of the weights: the experts that it visits, again in every pass.
        let execution = &shape.execution;
        let reads = execution.touched(self.batch) * f64::from(execution.passes);
        let mut weights = self.weight_bytes(layer)? * reads;
        let mut activations =
            (shape.inputs + execution.added + shape.outputs) * self.batch * native;
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
                unpack_ops = UNPACK_OPS * shape.weights() as f64 * reads;
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
        let mut memory_bytes = cache * (1.0 - self.cached_on_chip());
        if !self.weights_on_chip {
            memory_bytes += weights;
        }
        if self.working_set(shape, native) > self.room {
            memory_bytes += activations;
        }
        Ok(Demand {
            precision,
            ops,
            unpack_ops,
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
        })
    }

    /// How many more operations a matrix unit executes because the layer is padded up to its size.
    fn padding(&self, layer: &LayerProfile) -> f64 {
        let shape = &layer.layer;
        let matrix = shape.kind.multiplies_weights();
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
        let needed = self.weight_bytes + self.cache_bytes + self.activation_bytes;
        if needed <= capacity * usable * self.devices {
            return Ok(());
        }
        let bytes = |bytes: f64| si(bytes, "B");
        let [together, room, _] = too_much(needed, capacity * usable * self.devices, "B");
        let devices = (needed / (capacity * usable)).ceil();
        let cache = if self.cache_bytes > 0.0 {
            format!(", a cache of {}", bytes(self.cache_bytes))
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
            cache: Bytes(self.cache_bytes),
            activations: Bytes(self.activation_bytes),
            capacity: capacity.typical * self.devices,
        }
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
