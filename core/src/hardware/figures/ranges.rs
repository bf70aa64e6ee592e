//! The values that each figure of a device can have, so that a slip of a prefix is a fault and not a result. The ends lie
//! well beyond every device that ships, a factor of a hundred or more where physics sets no limit; they are no claim that
//! such devices exist. The window's editor and the files of devices, shipped, own and measured, are checked by this table.

use crate::error::plain;

/// Values that a figure can have, in its unit without a prefix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plausible {
    /// Smallest value other than zero.
    pub least: f64,
    /// Largest value.
    pub most: f64,
    /// Whether nothing at all makes sense too (no start of a layer, no static power).
    pub zero: bool,
}

const fn from(least: f64, most: f64) -> Plausible {
    Plausible {
        least,
        most,
        zero: false,
    }
}

const fn zero_or(least: f64, most: f64) -> Plausible {
    Plausible {
        least,
        most,
        zero: true,
    }
}

/// A share: above 0, at most 1.
const SHARE: Plausible = from(1e-4, 1.0);
const WATTS: Plausible = from(1e-6, 1e5);
const WATTS_OR_NONE: Plausible = zero_or(1e-9, 1e5);
/// Joules of an operation, an event, a cycle or a byte.
const JOULES: Plausible = from(1e-18, 1e-6);
const JOULES_OR_NONE: Plausible = zero_or(1e-18, 1e-6);
const BYTES: Plausible = from(1e3, 1e16);
const BYTES_PER_SECOND: Plausible = from(1e4, 1e18);
/// Seconds to start something or to send nothing.
const START: Plausible = zero_or(1e-12, 10.0);
const OPERATIONS: Plausible = from(1e6, 1e20);
const CYCLES: Plausible = zero_or(1e-6, 1e9);
const HERTZ: Plausible = from(1e3, 1e11);

/// By the field as [`super::ListedFigure::field`] has it, or the part of it before a name that only this device has.
/// Units: watts, grams, operations, bytes, joules, seconds, hertz; shares, factors and counts have none.
const TABLE: &[(&str, Plausible)] = &[
    ("power_limit", WATTS),
    ("static_power", WATTS_OR_NONE),
    // From a gram to a thousand tonnes.
    ("embodied", from(1.0, 1e9)),
    ("peak", OPERATIONS),
    ("energy_per_op", JOULES),
    ("memory capacity", BYTES),
    ("memory bandwidth", BYTES_PER_SECOND),
    ("memory energy_per_byte", JOULES),
    ("on_chip capacity", BYTES),
    ("on_chip bandwidth", BYTES_PER_SECOND),
    ("on_chip energy_per_byte", JOULES),
    ("compute_efficiency", SHARE),
    ("bandwidth_efficiency", SHARE),
    ("launch", START),
    ("usable_on_chip", SHARE),
    // Half of the products are left out, so twice as fast is the most.
    ("two_of_four", from(1.0, 2.0)),
    ("packed rate", OPERATIONS),
    ("packed efficiency", SHARE),
    ("packed launch", START),
    ("link bandwidth", BYTES_PER_SECOND),
    ("link energy_per_byte", JOULES_OR_NONE),
    ("link latency", START),
    ("luts", from(1.0, 1e9)),
    ("dsps", zero_or(1.0, 1e7)),
    ("clock", HERTZ),
    ("utilization", SHARE),
    ("efficiency", SHARE),
    ("start", START),
    ("energy_per_lut", JOULES),
    ("energy_per_dsp", JOULES),
    ("on_chip", BYTES),
    ("on_chip_energy_per_byte", JOULES),
    ("cycles_per_mac", from(1e-6, 1e6)),
    ("cycles_per_output", CYCLES),
    ("cycles_per_weight_byte", CYCLES),
    ("cycles_per_layer", CYCLES),
    ("float_factor", from(0.1, 1e4)),
    ("energy_per_cycle", JOULES),
    ("weight_memory", BYTES),
    ("activation_memory", BYTES),
    ("cores", from(1.0, 1e7)),
    ("neurons_per_core", from(1.0, 1e9)),
    ("synapses_per_core", from(1.0, 1e12)),
    ("max_fan_in", from(1.0, 1e12)),
    ("events_per_second", from(1e3, 1e15)),
    ("energy_per_event", JOULES),
    ("energy_per_update", JOULES_OR_NONE),
    ("energy_per_spike", JOULES_OR_NONE),
    ("active_power", WATTS_OR_NONE),
    ("step", from(1e-9, 10.0)),
    // The most that a scenario may ask for.
    ("steps", from(1.0, 1024.0)),
    ("activity", SHARE),
];

/// What a figure can be. A field that the table does not have may be anything finite, which a test forbids.
pub(in crate::hardware) fn plausible(field: &str) -> Plausible {
    known(field).unwrap_or(zero_or(f64::MIN_POSITIVE, f64::MAX))
}

fn known(field: &str) -> Option<Plausible> {
    let of = |wanted: &str| TABLE.iter().find(|(name, _)| *name == wanted);
    // "peak INT8", "packed rate of 4 bits".
    let group = || TABLE.iter().find(|(name, _)| is_in(field, name));
    of(field).or_else(group).map(|(_, plausible)| *plausible)
}

fn is_in(field: &str, group: &str) -> bool {
    ["peak", "energy_per_op", "packed rate"].contains(&group)
        && field
            .strip_prefix(group)
            .is_some_and(|rest| rest.starts_with(' '))
}

impl Plausible {
    /// What is wrong with values in rising order, in their unit, if anything.
    pub(in crate::hardware) fn fault(&self, values: [f64; 3], unit: &str) -> Option<String> {
        let there =
            |value: f64| (self.least..=self.most).contains(&value) || (self.zero && value == 0.0);
        let wrong = values.into_iter().find(|value| !there(*value))?;
        let with_unit = |value: f64| match unit {
            "" => plain(value),
            unit => format!("{} {unit}", plain(value)),
        };
        let or_zero = if self.zero { " or be 0" } else { "" };
        Some(format!(
            "is {}; it must lie between {} and {}{or_zero}",
            with_unit(wrong),
            plain(self.least),
            with_unit(self.most)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{Figure, Trust, catalogue};

    #[test]
    fn every_figure_of_every_device_has_a_row_and_room_to_its_ends() {
        /// How far a value that ships stays from an end that is not set by physics or by counting.
        const ROOM: f64 = 10.0;
        for target in catalogue().unwrap() {
            for listed in target.figures() {
                let Some(plausible) = known(&listed.field) else {
                    panic!("{} has no row", listed.field);
                };
                let range = listed.figure.range();
                let near = |value: f64| value != 0.0 && value < ROOM * plausible.least;
                let set = plausible.most <= 2.0 || plausible.least >= 1.0;
                assert!(
                    set || (!near(range.low) && range.high * ROOM <= plausible.most),
                    "{} of {}: {range:?}",
                    listed.field,
                    target.id
                );
            }
        }
    }

    #[test]
    fn a_value_beyond_any_figures_range_is_a_fault_of_that_figure() {
        for target in catalogue().unwrap() {
            for listed in target.figures() {
                let plausible = plausible(&listed.field);
                let mut wrong = vec![
                    plausible.most * 1.001,
                    plausible.least * 0.999,
                    1e300,
                    1e-300,
                ];
                if !plausible.zero {
                    wrong.push(0.0);
                }
                for value in wrong {
                    let mut broken = target.clone();
                    let figure = Figure {
                        low: None,
                        typical: value,
                        high: None,
                        source: "a test".to_owned(),
                        trust: Trust::Given,
                    };
                    broken.set_figure(&listed.field, &figure).unwrap();
                    let faults = broken.faults();
                    assert!(
                        faults.iter().any(|(field, fact)| *field == listed.field
                            && fact.contains("it must lie between")),
                        "{} of {} at {value}: {faults:?}",
                        listed.field,
                        target.id
                    );
                }
            }
        }
    }
}
