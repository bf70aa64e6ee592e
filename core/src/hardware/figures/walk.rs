//! The way over the figures of every class of device, with their names.

use crate::hardware::{
    CostModel, Figure, Fpga, HardwareTarget, Memory, Microcontroller, Neuromorphic, Processor,
};
use crate::units::{Bytes, BytesPerSecond, GramsCo2e, Joules, OpsPerSecond, Seconds, Watts};

/// What the value of a figure is: a number with a unit.
pub(super) trait Quantity: Copy {
    const UNIT: &'static str;
    fn of(number: f64) -> Self;
    fn number(self) -> f64;
}

macro_rules! quantities {
    ($($name:ident),*) => {$(
        impl Quantity for $name {
            const UNIT: &'static str = Self::SYMBOL;
            fn of(number: f64) -> Self {
                Self(number)
            }
            fn number(self) -> f64 {
                self.0
            }
        }
    )*};
}

quantities!(
    Watts,
    GramsCo2e,
    OpsPerSecond,
    Joules,
    Bytes,
    BytesPerSecond,
    Seconds
);

impl Quantity for f64 {
    const UNIT: &'static str = "";
    fn of(number: f64) -> Self {
        number
    }
    fn number(self) -> f64 {
        self
    }
}

/// Where a figure stands.
pub(super) struct Place {
    pub(super) field: String,
    pub(super) group: &'static str,
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
}

/// Sees, and may change, every figure.
pub(super) type Visit<'a> = dyn FnMut(Place, &mut Figure<f64>) + 'a;

/// One group of figures on the way.
struct Group<'v, 'a> {
    title: &'static str,
    /// What the fields of its figures begin with.
    prefix: &'static str,
    visit: &'v mut Visit<'a>,
}

impl<'v, 'a> Group<'v, 'a> {
    fn new(title: &'static str, prefix: &'static str, visit: &'v mut Visit<'a>) -> Self {
        Self {
            title,
            prefix,
            visit,
        }
    }

    fn figure<T: Quantity>(&mut self, field: &str, name: &'static str, figure: &mut Figure<T>) {
        self.figure_in(T::UNIT, field, name, figure);
    }

    fn optional<T: Quantity>(
        &mut self,
        field: &str,
        name: &'static str,
        figure: &mut Option<Figure<T>>,
    ) {
        if let Some(figure) = figure {
            self.figure(field, name, figure);
        }
    }

    /// A figure whose type does not know its unit.
    fn figure_in<T: Quantity>(
        &mut self,
        unit: &'static str,
        field: &str,
        name: &'static str,
        figure: &mut Figure<T>,
    ) {
        let place = Place {
            field: [self.prefix, field].concat(),
            group: self.title,
            name,
            unit,
        };
        let mut plain = figure.map(T::number);
        (self.visit)(place, &mut plain);
        *figure = plain.map(T::of);
    }
}

/// Goes over every figure of a device, in the order in which people read about it.
pub(super) fn walk(target: &mut HardwareTarget, visit: &mut Visit<'_>) {
    let mut group = Group::new("Power and making", "", visit);
    group.figure("power_limit", "Power limit", &mut target.power_limit);
    group.figure("static_power", "Static power", &mut target.static_power);
    group.optional("embodied", "Embodied emissions", &mut target.embodied);
    match &mut target.model {
        CostModel::Processor(processor) => walk_processor(processor, visit),
        CostModel::Fpga(fpga) => walk_fpga(fpga, visit),
        CostModel::Microcontroller(chip) => walk_microcontroller(chip, visit),
        CostModel::Neuromorphic(chip) => walk_neuromorphic(chip, visit),
    }
}

fn walk_memory(
    title: &'static str,
    prefix: &'static str,
    memory: &mut Memory,
    visit: &mut Visit<'_>,
) {
    let mut group = Group::new(title, prefix, visit);
    group.figure("capacity", "Capacity", &mut memory.capacity);
    group.figure("bandwidth", "Bandwidth", &mut memory.bandwidth);
    group.figure(
        "energy_per_byte",
        "Energy per byte",
        &mut memory.energy_per_byte,
    );
}

const OFF_CHIP: &str = "Memory outside the chip";

fn walk_processor(processor: &mut Processor, visit: &mut Visit<'_>) {
    let mut group = Group::new("Peak rate, dense", "peak ", visit);
    for (precision, figure) in &mut processor.peak {
        group.figure(precision.name(), precision.name(), figure);
    }
    let mut group = Group::new("Energy per operation", "energy_per_op ", visit);
    for (precision, figure) in &mut processor.energy_per_op {
        group.figure(precision.name(), precision.name(), figure);
    }
    if let Some(memory) = &mut processor.memory {
        walk_memory(OFF_CHIP, "memory ", memory, visit);
    }
    walk_memory(
        "Memory on the chip",
        "on_chip ",
        &mut processor.on_chip,
        visit,
    );
    let mut group = Group::new("What is reached", "", visit);
    group.figure(
        "compute_efficiency",
        "Share of peak rate",
        &mut processor.compute_efficiency,
    );
    group.figure(
        "bandwidth_efficiency",
        "Share of bandwidth",
        &mut processor.bandwidth_efficiency,
    );
    group.figure("launch", "Start of a layer", &mut processor.launch);
    group.optional("start", "Handing work over", &mut processor.start);
    group.optional(
        "usable_on_chip",
        "Usable share of on-chip memory",
        &mut processor.usable_on_chip,
    );
    group.optional("two_of_four", "2:4 speed-up", &mut processor.two_of_four);
    if let Some(packed) = &mut processor.packed {
        let mut group = Group::new("Kernels for packed weights", "packed ", visit);
        for (bits, figure) in &mut packed.rate {
            let name = match bits {
                0..=4 => "Weights of 4 bits",
                _ => "Weights of 8 bits",
            };
            group.figure(&format!("rate of {bits} bits"), name, figure);
        }
        group.figure(
            "efficiency",
            "Share in whole passes",
            &mut packed.efficiency,
        );
        group.figure("launch", "Start of a product", &mut packed.launch);
    }
    if let Some(link) = &mut processor.link {
        let mut group = Group::new("Link to other devices", "link ", visit);
        group.figure("bandwidth", "Bandwidth", &mut link.bandwidth);
        group.figure(
            "energy_per_byte",
            "Energy per byte",
            &mut link.energy_per_byte,
        );
        group.figure("latency", "Latency", &mut link.latency);
    }
}

fn walk_fpga(fpga: &mut Fpga, visit: &mut Visit<'_>) {
    let mut group = Group::new("Programmable logic", "", visit);
    group.figure("luts", "Lookup tables", &mut fpga.luts);
    group.figure("dsps", "Hard multipliers", &mut fpga.dsps);
    group.figure_in("Hz", "clock", "Clock", &mut fpga.clock);
    group.figure("utilization", "Share usable", &mut fpga.utilization);
    group.figure("efficiency", "Share of cycles busy", &mut fpga.efficiency);
    group.figure("start", "Start of a batch", &mut fpga.start);
    let mut group = Group::new("Energy per cycle", "", visit);
    group.figure("energy_per_lut", "Lookup table", &mut fpga.energy_per_lut);
    group.figure(
        "energy_per_dsp",
        "Hard multiplier",
        &mut fpga.energy_per_dsp,
    );
    let mut group = Group::new("Memory on the chip", "", visit);
    group.figure("on_chip", "Capacity", &mut fpga.on_chip);
    group.figure(
        "on_chip_energy_per_byte",
        "Energy per byte",
        &mut fpga.on_chip_energy_per_byte,
    );
    if let Some(memory) = &mut fpga.memory {
        walk_memory(OFF_CHIP, "memory ", memory, visit);
    }
}

fn walk_microcontroller(chip: &mut Microcontroller, visit: &mut Visit<'_>) {
    let mut group = Group::new("Cycles", "", visit);
    group.figure_in("Hz", "clock", "Clock", &mut chip.clock);
    group.figure(
        "cycles_per_mac",
        "Per 8-bit product",
        &mut chip.cycles_per_mac,
    );
    group.figure(
        "cycles_per_output",
        "Per result",
        &mut chip.cycles_per_output,
    );
    group.figure(
        "cycles_per_weight_byte",
        "Per byte of weights",
        &mut chip.cycles_per_weight_byte,
    );
    group.figure("cycles_per_layer", "Per layer", &mut chip.cycles_per_layer);
    group.optional(
        "float_factor",
        "Floating point, times as many",
        &mut chip.float_factor,
    );
    group.figure(
        "energy_per_cycle",
        "Energy per cycle",
        &mut chip.energy_per_cycle,
    );
    let mut group = Group::new("Memory on the chip", "", visit);
    group.figure("weight_memory", "For weights", &mut chip.weight_memory);
    group.figure(
        "activation_memory",
        "For activations",
        &mut chip.activation_memory,
    );
}

fn walk_neuromorphic(chip: &mut Neuromorphic, visit: &mut Visit<'_>) {
    let mut group = Group::new("Cores", "", visit);
    group.figure("cores", "Cores of a chip", &mut chip.cores);
    group.figure(
        "neurons_per_core",
        "Neurons of a core",
        &mut chip.neurons_per_core,
    );
    group.figure(
        "synapses_per_core",
        "Synapses of a core",
        &mut chip.synapses_per_core,
    );
    group.figure(
        "max_fan_in",
        "Most inputs of a neuron",
        &mut chip.max_fan_in,
    );
    let mut group = Group::new("Energy of events", "", visit);
    group.figure(
        "energy_per_event",
        "Synaptic event",
        &mut chip.energy_per_event,
    );
    group.figure(
        "energy_per_update",
        "Neuron update",
        &mut chip.energy_per_update,
    );
    group.figure(
        "energy_per_spike",
        "Spike to a core",
        &mut chip.energy_per_spike,
    );
    group.figure("active_power", "Active power", &mut chip.active_power);
    let mut group = Group::new("Time steps and spikes", "", visit);
    group.figure("step", "Shortest time step", &mut chip.step);
    group.figure(
        "events_per_second",
        "Events of a core in a second",
        &mut chip.events_per_second,
    );
    group.figure("steps", "Usual time steps", &mut chip.steps);
    group.figure("activity", "Spikes per neuron and step", &mut chip.activity);
}
