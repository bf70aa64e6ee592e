//! The figures of a device one by one, whatever its class: what they are called, in what unit, and changing one of them.

use super::figure::{Figure, Trust};
use super::{
    CostModel, Fpga, HardwareTarget, Link, Memory, Microcontroller, Neuromorphic, Precision,
    Processor,
};
use crate::error::{Error, Result};
use crate::units::{Bytes, BytesPerSecond, GramsCo2e, Joules, OpsPerSecond, Seconds, Watts};

/// One figure of a device, its values in the unit without a prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedFigure {
    /// The names of its fields in the file, from the outermost inwards ("memory bandwidth"): its key, and what the
    /// message of a failed check begins with.
    pub field: String,
    /// What it belongs to, as a title.
    pub group: &'static str,
    /// Its name within the group.
    pub name: String,
    /// Its unit; empty for shares, factors and counts.
    pub unit: &'static str,
    /// The values with their source.
    pub figure: Figure<f64>,
}

/// Something that a device has or has not, with the figures that describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Emissions of making it that somebody published.
    Embodied,
    /// Arithmetic in a number format: its peak rate and its energy.
    Precision(Precision),
    /// Faster arithmetic on the 2:4 pattern.
    TwoOfFour,
    /// Memory outside the chip.
    Memory,
    /// A link over which several devices share a model.
    Link,
    /// Floating point on a microcontroller.
    FloatingPoint,
}

impl Part {
    /// The name on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embodied => "Embodied emissions known",
            Self::Precision(precision) => precision.name(),
            Self::TwoOfFour => "2:4 arithmetic",
            Self::Memory => "Memory outside the chip",
            Self::Link => "Link to other devices",
            Self::FloatingPoint => "Floating point",
        }
    }
}

impl HardwareTarget {
    /// All figures, in the order in which people read about a device.
    pub fn figures(&self) -> Vec<ListedFigure> {
        let mut list = Vec::new();
        // The walk changes what it walks over, so it is a copy that it is shown.
        walk(&mut self.clone(), &mut |place, figure| {
            list.push(ListedFigure {
                field: place.field,
                group: place.group,
                name: place.name.to_owned(),
                unit: place.unit,
                figure: figure.clone(),
            });
        });
        list
    }

    /// Puts another figure in the place of the one with this [`ListedFigure::field`]. The result is not checked, see
    /// [`Self::faults`].
    ///
    /// # Errors
    /// [`Error::Unknown`] where the device has no such figure.
    pub fn set_figure(&mut self, field: &str, figure: &Figure<f64>) -> Result<()> {
        let mut known = Vec::new();
        let mut found = false;
        walk(self, &mut |place, there| {
            if place.field == field {
                found = true;
                there.clone_from(figure);
            }
            known.push(place.field);
        });
        if found {
            return Ok(());
        }
        let known = known.iter().map(String::as_str);
        Err(Error::unknown("figure of this device", field, known))
    }

    /// Everything that keeps this device from being used, by the checks that its file goes through: the
    /// [`ListedFigure::field`] that it is about (empty where it is about none) and the fact.
    pub fn faults(&self) -> Vec<(String, String)> {
        let figures = self.figures();
        let mut faults: Vec<(String, String)> = figures
            .iter()
            .filter_map(|listed| {
                let fact = listed.figure.check(&listed.field).err()?;
                Some((listed.field.clone(), fact))
            })
            .collect();
        if let Err(fact) = self.check()
            && !faults.iter().any(|(_, known)| *known == fact)
        {
            let about = figures
                .iter()
                .filter(|listed| {
                    let rest = fact.strip_prefix(&listed.field);
                    rest.is_some_and(|rest| rest.starts_with(' '))
                })
                .max_by_key(|listed| listed.field.len());
            faults.push((
                about.map_or_else(String::new, |listed| listed.field.clone()),
                fact,
            ));
        }
        faults
    }

    /// What a device of this class can have, and whether this one has it.
    pub fn parts(&self) -> Vec<(Part, bool)> {
        let mut parts = vec![(Part::Embodied, self.embodied.is_some())];
        match &self.model {
            CostModel::Processor(processor) => {
                parts.extend(Precision::ALL.map(|precision| {
                    let there = processor.peak.contains_key(&precision);
                    (Part::Precision(precision), there)
                }));
                parts.extend([
                    (Part::TwoOfFour, processor.two_of_four.is_some()),
                    (Part::Memory, processor.memory.is_some()),
                    (Part::Link, processor.link.is_some()),
                ]);
            }
            CostModel::Fpga(fpga) => parts.push((Part::Memory, fpga.memory.is_some())),
            CostModel::Microcontroller(chip) => {
                parts.push((Part::FloatingPoint, chip.float_factor.is_some()));
            }
            CostModel::Neuromorphic(_) => {}
        }
        parts
    }

    /// Gives the device a part. Its figures are those of `from` where that has it, else blank ones, which pass no check
    /// before somebody fills them in.
    pub fn add_part(&mut self, part: Part, from: &Self) {
        match (part, &mut self.model, &from.model) {
            (Part::Embodied, _, _) => {
                self.embodied = Some(from.embodied.clone().unwrap_or_else(blank));
            }
            (Part::Precision(precision), CostModel::Processor(to), CostModel::Processor(from)) => {
                let peak = from.peak.get(&precision).cloned();
                to.peak.insert(precision, peak.unwrap_or_else(blank));
                let energy = from.energy_per_op.get(&precision).cloned();
                to.energy_per_op
                    .insert(precision, energy.unwrap_or_else(blank));
            }
            (Part::TwoOfFour, CostModel::Processor(to), CostModel::Processor(from)) => {
                to.two_of_four = Some(from.two_of_four.clone().unwrap_or_else(blank));
            }
            (Part::Memory, CostModel::Processor(to), CostModel::Processor(from)) => {
                to.memory = Some(from.memory.clone().unwrap_or_else(Memory::blank));
            }
            (Part::Memory, CostModel::Fpga(to), CostModel::Fpga(from)) => {
                to.memory = Some(from.memory.clone().unwrap_or_else(Memory::blank));
            }
            (Part::Link, CostModel::Processor(to), CostModel::Processor(from)) => {
                to.link = Some(from.link.clone().unwrap_or_else(|| Link {
                    bandwidth: blank(),
                    energy_per_byte: blank(),
                    latency: blank(),
                }));
            }
            (
                Part::FloatingPoint,
                CostModel::Microcontroller(to),
                CostModel::Microcontroller(from),
            ) => {
                to.float_factor = Some(from.float_factor.clone().unwrap_or_else(blank));
            }
            // A part that this class does not have.
            _ => {}
        }
    }

    /// Takes a part away.
    pub fn remove_part(&mut self, part: Part) {
        match (part, &mut self.model) {
            (Part::Embodied, _) => self.embodied = None,
            (Part::Precision(precision), CostModel::Processor(processor)) => {
                processor.peak.remove(&precision);
                processor.energy_per_op.remove(&precision);
            }
            (Part::TwoOfFour, CostModel::Processor(processor)) => processor.two_of_four = None,
            (Part::Memory, CostModel::Processor(processor)) => processor.memory = None,
            (Part::Memory, CostModel::Fpga(fpga)) => fpga.memory = None,
            (Part::Link, CostModel::Processor(processor)) => processor.link = None,
            (Part::FloatingPoint, CostModel::Microcontroller(chip)) => chip.float_factor = None,
            _ => {}
        }
    }
}

/// A figure that nobody has filled in.
fn blank<T: Quantity>() -> Figure<T> {
    Figure {
        low: None,
        typical: T::of(f64::NAN),
        high: None,
        source: String::new(),
        trust: Trust::Given,
    }
}

impl Memory {
    fn blank() -> Self {
        Self {
            capacity: blank(),
            bandwidth: blank(),
            energy_per_byte: blank(),
        }
    }
}

/// What the value of a figure is: a number with a unit.
trait Quantity: Copy {
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
struct Place {
    field: String,
    group: &'static str,
    name: &'static str,
    unit: &'static str,
}

/// Sees, and may change, every figure.
type Visit<'a> = dyn FnMut(Place, &mut Figure<f64>) + 'a;

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

fn walk(target: &mut HardwareTarget, visit: &mut Visit<'_>) {
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
    group.optional("two_of_four", "2:4 speed-up", &mut processor.two_of_four);
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
    group.figure("steps", "Usual time steps", &mut chip.steps);
    group.figure("activity", "Spikes per neuron and step", &mut chip.activity);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{catalogue, find, own};

    #[test]
    fn walking_over_any_device_changes_nothing_and_misses_no_figure() {
        for target in catalogue().unwrap() {
            let mut walked = target.clone();
            for listed in target.figures() {
                walked.set_figure(&listed.field, &listed.figure).unwrap();
            }
            assert_eq!(walked, *target);
            // Every figure of the file has a trust, and nothing else has one.
            let text = ron::to_string(target).unwrap();
            let written = text.matches("trust:").count();
            assert_eq!(target.figures().len(), written, "{}", target.id);
            assert_eq!(target.faults(), [], "{}", target.id);
            let mut fields: Vec<String> = target.figures().into_iter().map(|f| f.field).collect();
            fields.sort();
            fields.dedup();
            assert_eq!(fields.len(), written, "{}: a field twice", target.id);
        }
    }

    #[test]
    fn any_figure_of_any_device_is_changed_alone_and_found_again_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        for target in catalogue().unwrap() {
            let mut copy = own::copy(target, "mine");
            for (place, listed) in target.figures().iter().enumerate() {
                let changed = Figure {
                    source: format!("figure {place}"),
                    trust: Trust::Given,
                    ..listed.figure.clone()
                };
                copy.set_figure(&listed.field, &changed).unwrap();
            }
            let path = own::add(&copy, folder.path()).unwrap();
            let read = own::check(&path).unwrap();
            for (place, (was, is)) in target.figures().iter().zip(read.figures()).enumerate() {
                assert_eq!(is.field, was.field);
                assert_eq!(is.figure.range(), was.figure.range(), "{}", was.field);
                assert_eq!(is.figure.source, format!("figure {place}"));
            }
            own::remove("mine", folder.path()).unwrap();
        }
    }

    #[test]
    fn a_wrong_value_of_any_figure_is_reported_at_that_figure() {
        for target in catalogue().unwrap() {
            for listed in target.figures() {
                let mut broken = target.clone();
                let wrong = Figure {
                    low: Some(-1.0),
                    typical: -1.0,
                    ..listed.figure.clone()
                };
                broken.set_figure(&listed.field, &wrong).unwrap();
                let faults = broken.faults();
                assert_eq!(faults[0].0, listed.field, "{}: {faults:?}", target.id);
                assert!(faults[0].1.starts_with(&listed.field), "{faults:?}");
            }
        }
    }

    #[test]
    fn a_rule_between_figures_is_reported_at_the_one_that_breaks_it() {
        let mut target = find("nvidia-h100-sxm").unwrap().clone();
        let given = |typical: f64| Figure {
            low: None,
            typical,
            high: None,
            source: "a test".to_owned(),
            trust: Trust::Given,
        };
        for (field, value, fact) in [
            (
                "static_power",
                800.0,
                "static_power is not below power_limit",
            ),
            (
                "compute_efficiency",
                1.2,
                "compute_efficiency does not lie above 0 and up to 1",
            ),
        ] {
            let before = target.clone();
            target.set_figure(field, &given(value)).unwrap();
            assert_eq!(target.faults(), [(field.to_owned(), fact.to_owned())]);
            target = before;
        }
        let unknown = target.set_figure("memory", &given(1.0)).unwrap_err();
        assert!(
            unknown
                .to_string()
                .starts_with("no figure of this device is called 'memory'"),
            "{unknown}"
        );
        target.like = Some("nvidia-h1000".to_owned());
        let (field, fact) = target.faults().remove(0);
        assert_eq!(field, "");
        assert!(fact.starts_with("like names 'nvidia-h1000'"), "{fact}");
    }

    #[test]
    fn any_part_of_any_device_is_taken_away_and_given_back() {
        for target in catalogue().unwrap() {
            for (part, there) in target.parts() {
                let mut changed = target.clone();
                if there {
                    changed.remove_part(part);
                    assert_ne!(changed, *target, "{part:?} of {}", target.id);
                    changed.add_part(part, target);
                    assert_eq!(changed, *target, "{part:?} of {}", target.id);
                } else {
                    changed.add_part(part, target);
                    assert!(changed.parts().contains(&(part, true)));
                    let faults = changed.faults();
                    assert!(
                        faults.iter().any(|(_, fact)| fact.contains("not a finite")),
                        "blank figures must not pass: {faults:?}"
                    );
                    changed.remove_part(part);
                    assert_eq!(changed, *target, "{part:?} of {}", target.id);
                }
            }
        }
    }
}
