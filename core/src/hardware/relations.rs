//! What must hold between the figures of a device, whatever each of them is by itself.

use super::{CostModel, HardwareTarget};
use crate::digits::{si, trimmed};
use crate::units::Range;

/// A relation that does not hold.
pub(super) struct Broken {
    /// The figures that it is between, see [`super::ListedFigure::field`].
    pub(super) fields: [&'static str; 2],
    /// What is wrong, in the spelling of the file.
    pub(super) fact: String,
}

/// A figure in a relation.
type Side = (&'static str, Range<f64>);

type End = fn(&Range<f64>) -> f64;

/// The ends of a range by their names.
const ENDS: [(&str, End); 3] = [
    ("typical", |range| range.typical),
    ("low", |range| range.low),
    ("high", |range| range.high),
];

/// The first end at which one figure is larger than the other; blank figures are not compared.
fn above(one: Side, other: Side, unit: &str) -> Option<Broken> {
    ENDS.into_iter().find_map(|(end, of)| {
        let (a, b) = (of(&one.1), of(&other.1));
        (a > b).then(|| Broken {
            fields: [one.0, other.0],
            fact: format!(
                "{} is above {}: {end} {} against {}",
                one.0,
                other.0,
                si(a, unit),
                si(b, unit)
            ),
        })
    })
}

/// Whether a device of this power could do any work at all.
fn no_power_left(target: &HardwareTarget) -> Option<Broken> {
    let (limit, rest) = (target.power_limit.typical, target.static_power.typical);
    (rest >= limit).then(|| Broken {
        fields: ["static_power", "power_limit"],
        fact: format!(
            "static_power is not below power_limit: {} against {}",
            si(rest.0, "W"),
            si(limit.0, "W")
        ),
    })
}

impl HardwareTarget {
    /// Relations between figures that do not hold: power within its limit, the pattern of zeros never slower than dense
    /// arithmetic nor more than twice as fast, memory on the chip smaller and nearer than memory outside it.
    pub(super) fn broken_relations(&self) -> Vec<Broken> {
        let limit = self.power_limit.range().map(|watts| watts.0);
        let rest = self.static_power.range().map(|watts| watts.0);
        let power = ("power_limit", limit);
        let mut broken: Vec<Broken> = no_power_left(self)
            .or_else(|| above(("static_power", rest), power, "W"))
            .into_iter()
            .collect();
        match &self.model {
            CostModel::Processor(processor) => {
                if let Some(speedup) = &processor.two_of_four {
                    broken.extend(pattern(speedup.range()));
                }
                if let Some(memory) = &processor.memory {
                    let chip = &processor.on_chip;
                    let sizes = [&chip.capacity, &memory.capacity].map(|f| exactly(f.typical.0));
                    let rates = [&chip.bandwidth, &memory.bandwidth].map(|f| exactly(f.typical.0));
                    broken.extend(above(
                        ("on_chip capacity", sizes[0]),
                        ("memory capacity", sizes[1]),
                        "B",
                    ));
                    broken.extend(above(
                        ("memory bandwidth", rates[1]),
                        ("on_chip bandwidth", rates[0]),
                        "B/s",
                    ));
                }
            }
            CostModel::Neuromorphic(chip) => {
                let active = chip.active_power.range().map(|watts| watts.0);
                broken.extend(above(("active_power", active), power, "W"));
            }
            CostModel::Fpga(_) | CostModel::Microcontroller(_) => {}
        }
        broken
    }
}

/// Of figures from different sources only the typical values can be held against each other.
fn exactly(value: f64) -> Range<f64> {
    Range::exact(value)
}

/// Half of the products are left out, so that at most half of the time is.
fn pattern(speedup: Range<f64>) -> Option<Broken> {
    const MOST: f64 = 2.0;
    let slower = speedup.low < 1.0;
    let wrong = slower || speedup.high > MOST;
    wrong.then(|| Broken {
        fields: ["two_of_four"; 2],
        fact: format!(
            "two_of_four is {} to {}: arithmetic on the pattern is at least as fast as dense arithmetic, and at most \
             twice as fast",
            trimmed(speedup.low, 3),
            trimmed(speedup.high, 3)
        ),
    })
}

#[cfg(test)]
mod tests {
    use crate::hardware::{CostModel, Figure, HardwareTarget, Trust, catalogue, find};

    fn with(id: &str, field: &str, [low, typical, high]: [f64; 3]) -> HardwareTarget {
        let mut target = find(id).unwrap().clone();
        let figure = Figure {
            low: Some(low),
            typical,
            high: Some(high),
            source: "a test".to_owned(),
            trust: Trust::Given,
        };
        target.set_figure(field, &figure).unwrap();
        target
    }

    #[test]
    fn every_device_that_ships_keeps_all_relations() {
        for target in catalogue().unwrap() {
            let facts: Vec<String> = target
                .broken_relations()
                .into_iter()
                .map(|broken| broken.fact)
                .collect();
            assert_eq!(facts, Vec::<String>::new(), "{}", target.id);
        }
    }

    #[test]
    fn a_broken_relation_is_reported_at_both_figures_and_refuses_the_file() {
        let cases = [
            (
                "nvidia-l4",
                "static_power",
                [10.0, 50.0, 100.0],
                "power_limit",
            ),
            (
                "nvidia-l4",
                "power_limit",
                [20.0, 24.0, 25.0],
                "static_power",
            ),
            (
                "nvidia-l4",
                "power_limit",
                [10.0, 72.0, 72.0],
                "static_power",
            ),
            (
                "nvidia-l4",
                "on_chip capacity",
                [1e12; 3],
                "memory capacity",
            ),
            (
                "nvidia-l4",
                "memory bandwidth",
                [1e15; 3],
                "on_chip bandwidth",
            ),
            ("nvidia-l4", "two_of_four", [0.5, 1.5, 1.9], "two_of_four"),
            ("nvidia-l4", "two_of_four", [1.0, 2.0, 4.0], "two_of_four"),
            ("intel-loihi-2", "active_power", [1e3; 3], "power_limit"),
        ];
        for (id, field, values, other) in cases {
            let target = with(id, field, values);
            let faults = target.faults();
            for about in [field, other] {
                assert!(
                    faults.iter().any(|(at, _)| at == about),
                    "{field} {values:?} at {about}: {faults:?}"
                );
            }
            assert!(target.check().is_err(), "{field} {values:?}");
        }
    }
    #[test]
    fn whole_numbers_that_cannot_be_are_refused() {
        type Change = fn(&mut CostModel, u32);
        let changes: [(&str, Change); 6] = [
            ("amd-alveo-u250", |model, n| {
                if let CostModel::Fpga(fpga) = model {
                    fpga.dsp_width = n as u8;
                }
            }),
            ("intel-loihi-2", |model, n| {
                if let CostModel::Neuromorphic(chip) = model {
                    chip.synapse_bits = n as u8;
                }
            }),
            ("intel-loihi-2", |model, n| {
                if let CostModel::Neuromorphic(chip) = model {
                    chip.max_weight_bits = n as u8;
                }
            }),
            ("google-tpu-v4", |model, n| {
                if let CostModel::Processor(processor) = model {
                    processor.tile = Some((n, 128));
                }
            }),
            ("google-tpu-v4", |model, n| {
                if let CostModel::Processor(processor) = model {
                    processor.tile = Some((128, n));
                }
            }),
            ("google-tpu-v4", |model, n| {
                if let CostModel::Processor(processor) = model {
                    processor.tile = Some((n, n));
                }
            }),
        ];
        for (i, (id, change)) in changes.into_iter().enumerate() {
            let checked = |n: u32| {
                let mut target = find(id).unwrap().clone();
                change(&mut target.model, n);
                target.check()
            };
            assert!(checked(0).is_err(), "{i} {id}");
            assert_eq!(checked(8), Ok(()), "{i} {id}");
            let wide = if i < 3 { 65 } else { 1 << 20 };
            assert!(checked(wide).is_err(), "{i} {id}");
        }
    }
}
