//! The figures of a device one by one, whatever its class: what they are called, in what unit, and changing one of them.

mod ranges;
mod walk;

pub use self::ranges::Plausible;
pub(super) use self::ranges::plausible;
use self::walk::{Quantity, walk};
use super::figure::{Figure, Trust};
use super::{CostModel, HardwareTarget, Link, Memory, Precision};
use crate::error::{Error, Result};

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
    /// The values that it can have.
    pub plausible: Plausible,
}

impl ListedFigure {
    /// What is wrong with it, beginning with its [`Self::field`], if anything.
    pub(super) fn fault(&self) -> Option<String> {
        if let Err(fact) = self.figure.check(&self.field) {
            return Some(fact);
        }
        let range = self.figure.range();
        let values = [range.low, range.typical, range.high];
        let fact = self.plausible.fault(values, self.unit)?;
        Some(format!("{} {fact}", self.field))
    }
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
                plausible: plausible(&place.field),
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
                let fact = listed.fault()?;
                Some((listed.field.clone(), fact))
            })
            .collect();
        for broken in self.broken_relations() {
            let mut fields = broken.fields.to_vec();
            fields.dedup();
            faults.extend(
                fields
                    .into_iter()
                    .map(|field| (field.to_owned(), broken.fact.clone())),
            );
        }
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
                "static_power is not below power_limit: 800 W against 700 W",
            ),
            (
                "compute_efficiency",
                1.2,
                "compute_efficiency is 1.2; it must lie between 0.0001 and 1",
            ),
        ] {
            let before = target.clone();
            target.set_figure(field, &given(value)).unwrap();
            assert_eq!(target.faults()[0], (field.to_owned(), fact.to_owned()));
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
