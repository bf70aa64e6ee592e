//! Microcontrollers and small accelerators that tables of measurements name, and the constants fitted to such tables.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::hardware::{CostModel, Figure, HardwareClass, HardwareTarget, Microcontroller, Trust};
use crate::units::{Bytes, Joules, Watts};

const FILE: &str = include_str!("../../../assets/small_chips.ron");
const PATH: &str = "assets/small_chips.ron";

/// Kinds of instruction set and pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Core {
    /// Arm Cortex-M0+.
    CortexM0Plus,
    /// Arm Cortex-M3.
    CortexM3,
    /// Arm Cortex-M4.
    CortexM4,
    /// Arm Cortex-M7.
    CortexM7,
    /// Arm Cortex-M33.
    CortexM33,
    /// Arm Cortex-M55 with vectors.
    CortexM55,
    /// Arm Cortex-M85 with vectors.
    CortexM85,
    /// Renesas RX.
    Rx,
    /// RISC-V without packed instructions.
    RiscV,
    /// Xtensa.
    Xtensa,
}

/// How many kinds of core there are.
pub(crate) const CORES: usize = 10;

/// Cycles of a Cortex-M4 on 8-bit integers.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernels {
    /// Per multiply-accumulate.
    pub(crate) cycles_per_mac: f64,
    /// Per result.
    pub(crate) cycles_per_output: f64,
    /// Per byte of weights.
    pub(crate) cycles_per_weight_byte: f64,
}

/// Cycles of an accelerator beyond its products.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceleratorCycles {
    /// Per result.
    pub(crate) cycles_per_output: f64,
    /// Per byte of weights.
    pub(crate) cycles_per_weight_byte: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoreFacts {
    /// Words of a device's name that give it away.
    words: Vec<String>,
    /// Cycles over those of a Cortex-M4 before any row is seen, and fitted.
    prior: f64,
    factor: f64,
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) enum Engine {
    /// Kernels in software.
    Core(Core),
    /// Multipliers side by side.
    Accelerator {
        /// Products per cycle.
        lanes: f64,
        /// Voltage of its logic, at which `energy_per_cycle` is given.
        volts: f64,
    },
}

/// A chip that tables name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chip {
    pub(crate) name: String,
    words: Vec<String>,
    pub(crate) engine: Engine,
    /// Hz.
    pub(crate) clock: f64,
    /// Joules; measured rows only.
    #[serde(default)]
    pub(crate) energy_per_cycle: Option<f64>,
    /// Current at work that its maker states.
    #[serde(default)]
    pub(crate) microamperes_per_megahertz: Option<f64>,
    /// Bytes.
    weight_memory: f64,
    activation_memory: f64,
    source: String,
}

impl Chip {
    /// Joules per cycle by the data sheet's current at 3 V, the supply at which most state it; microamperes per megahertz
    /// are picocoulombs per cycle.
    fn stated_energy(&self) -> Option<f64> {
        const SUPPLY: f64 = 3.0;
        self.microamperes_per_megahertz
            .map(|charge| charge * 1e-12 * SUPPLY)
    }
}

/// Factors above and below which one in ten measurements lies.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spread {
    /// Chips that the fit saw.
    pub(crate) time: f64,
    pub(crate) energy: f64,
    /// Chips that were left out.
    pub(crate) unseen_time: f64,
    pub(crate) unseen_energy: f64,
}

/// The file of small chips.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmallChips {
    pub(crate) kernels: Kernels,
    pub(crate) accelerator: AcceleratorCycles,
    cores: BTreeMap<Core, CoreFacts>,
    chips: Vec<Chip>,
    /// Measured energy per cycle over that of the data sheet.
    pub(crate) over_data_sheet: f64,
    pub(crate) spread: Spread,
}

/// A chip as one row runs it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Running {
    /// Name of the chip, or of its core where the chip is not known.
    pub(crate) name: String,
    pub(crate) engine: Engine,
    /// Hz.
    pub(crate) clock: f64,
    /// Joules per cycle at this voltage, where measured.
    pub(crate) energy_per_cycle: Option<f64>,
    /// Joules per cycle by the data sheet.
    pub(crate) stated_energy: Option<f64>,
    weight_memory: f64,
    activation_memory: f64,
    source: String,
}

/// Memories of a chip of which only the core is known (assumed: large enough not to refuse).
const UNKNOWN_MEMORY: f64 = 4e6;

impl SmallChips {
    /// The file that ships with the program.
    ///
    /// # Errors
    /// [`Error::File`] when it is broken.
    pub(crate) fn shipped() -> Result<&'static Self> {
        static CHIPS: OnceLock<Result<SmallChips>> = OnceLock::new();
        let parse = || {
            let options = ron::Options::default()
                .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
            let chips: SmallChips = options
                .from_str(FILE)
                .map_err(|error| Error::file(format!("line {error}"), PATH))?;
            if chips.cores.len() == CORES {
                Ok(chips)
            } else {
                Err(Error::file(format!("does not list {CORES} cores"), PATH))
            }
        };
        match CHIPS.get_or_init(parse) {
            Ok(chips) => Ok(chips),
            Err(error) => Err(error.clone()),
        }
    }

    /// Cycles of every core over those of a Cortex-M4: fitted, and before any row was seen.
    pub(crate) fn factors(&self) -> [f64; CORES] {
        self.each_core(|facts| facts.factor)
    }

    pub(crate) fn priors(&self) -> [f64; CORES] {
        self.each_core(|facts| facts.prior)
    }

    /// Chips whose energy per cycle was measured.
    pub(crate) fn measured(&self) -> impl Iterator<Item = (String, Engine, f64)> {
        self.chips
            .iter()
            .filter_map(|chip| Some((chip.name.clone(), chip.engine, chip.energy_per_cycle?)))
    }

    fn each_core(&self, value: impl Fn(&CoreFacts) -> f64) -> [f64; CORES] {
        let mut all = [1.0; CORES];
        for (core, facts) in &self.cores {
            all[*core as usize] = value(facts);
        }
        all
    }

    /// The chip, clock and voltage that a name and remarks of a table stand for.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) fn running(
        &self,
        device: &str,
        remarks: &str,
    ) -> std::result::Result<Running, String> {
        let plain = plain(device);
        let holds = |words: &[String]| words.iter().any(|word| plain.contains(word.as_str()));
        let clock = clock(device).or_else(|| clock(remarks));
        if let Some(chip) = self.chips.iter().find(|chip| holds(&chip.words)) {
            let point = operating_point(device);
            let mut running = Running {
                name: chip.name.clone(),
                engine: chip.engine,
                clock: clock.or(point.map(|(_, hz)| hz)).unwrap_or(chip.clock),
                energy_per_cycle: chip.energy_per_cycle,
                stated_energy: chip.stated_energy(),
                weight_memory: chip.weight_memory,
                activation_memory: chip.activation_memory,
                source: chip.source.clone(),
            };
            if let Engine::Accelerator { lanes, volts } = chip.engine
                && let Some(now) = voltage(device).or(point.map(|(volts, _)| volts))
            {
                running.engine = Engine::Accelerator { lanes, volts: now };
                // Switching takes energy with the square of the voltage.
                running.energy_per_cycle = chip.energy_per_cycle.map(|e| e * (now / volts).powi(2));
            }
            return Ok(running);
        }
        let remarked = self::plain(remarks);
        let core = self.cores.iter().find(|(_, facts)| {
            holds(&facts.words)
                || facts
                    .words
                    .iter()
                    .any(|word| remarked.contains(word.as_str()))
        });
        match (core, clock) {
            (Some((core, _)), Some(clock)) => Ok(Running {
                name: format!("{core:?}"),
                engine: Engine::Core(*core),
                clock,
                energy_per_cycle: None,
                stated_energy: None,
                weight_memory: UNKNOWN_MEMORY,
                activation_memory: UNKNOWN_MEMORY,
                source: "core and clock as the row names them".to_owned(),
            }),
            (Some((core, _)), None) => Err(format!(
                "the row names a {core:?} but no chip that is known, and no clock"
            )),
            (None, _) => Err(format!(
                "'{device}' names no chip whose core and clock are known"
            )),
        }
    }
}

/// Lower-case letters and digits only (and `+`), so that spellings meet.
fn plain(text: &str) -> String {
    text.to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '+')
        .collect()
}

/// The number that ends where a text begins with `unit`.
fn number_before(text: &str, unit: &str) -> Option<f64> {
    let text = text.to_lowercase();
    text.match_indices(unit).find_map(|(end, _)| {
        let before = text[..end].trim_end();
        let start = before
            .rfind(|c: char| !c.is_ascii_digit() && c != '.')
            .map_or(0, |at| at + 1);
        before[start..].parse().ok()
    })
}

/// A clock in Hz out of "98mhz" or "1.2 GHz".
fn clock(text: &str) -> Option<f64> {
    number_before(text, "mhz")
        .map(|value| value * 1e6)
        .or_else(|| number_before(text, "ghz").map(|value| value * 1e9))
}

/// Volts out of "0v9".
fn voltage(text: &str) -> Option<f64> {
    let text = text.to_lowercase();
    let (at, _) = text.match_indices('v').find(|(at, _)| {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        digit(text[..*at].chars().next_back()) && digit(text[at + 1..].chars().next())
    })?;
    let whole: String = text[..at]
        .chars()
        .rev()
        .take_while(char::is_ascii_digit)
        .collect();
    let rest: String = text[at + 1..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    format!("{}.{rest}", whole.chars().rev().collect::<String>())
        .parse()
        .ok()
}

/// Volts and Hz out of names that end in "_650_240": millivolts and megahertz.
fn operating_point(text: &str) -> Option<(f64, f64)> {
    let mut parts = text.rsplit('_').map(str::parse::<f64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(megahertz)), Some(Ok(millivolts))) if (400.0..2000.0).contains(&millivolts) => {
            Some((millivolts / 1e3, megahertz * 1e6))
        }
        _ => None,
    }
}

/// Constants that describe one chip: cycles and joules per cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cycles {
    pub(crate) per_mac: f64,
    pub(crate) per_output: f64,
    pub(crate) per_weight_byte: f64,
}

impl Running {
    /// The device with its constants, ranges by how far measurements lie from the fit.
    pub(crate) fn target(
        &self,
        cycles: Cycles,
        energy_per_cycle: f64,
        time_spread: f64,
        energy_spread: f64,
    ) -> HardwareTarget {
        let fitted = |typical: f64, spread: f64, what: &str| Figure {
            low: Some(typical / spread),
            typical,
            high: Some(typical * spread),
            source: format!("{what}, fitted to MLPerf Tiny rows; range: error of the fit"),
            trust: Trust::Fitted,
        };
        let known = |typical: f64| Figure {
            low: None,
            typical,
            high: None,
            source: self.source.clone(),
            trust: Trust::Quoted,
        };
        let joules = fitted(
            energy_per_cycle,
            (energy_spread / time_spread).max(1.0),
            "measured power over clock",
        );
        let figure = |figure: &Figure<f64>, map: fn(f64) -> Watts| Figure {
            low: figure.low.map(map),
            typical: map(figure.typical),
            high: figure.high.map(map),
            source: figure.source.clone(),
            trust: figure.trust,
        };
        let most = known(self.clock * energy_per_cycle * 3.0);
        HardwareTarget {
            id: plain(&self.name),
            name: self.name.clone(),
            class: HardwareClass::Microcontroller,
            year: 0,
            power_limit: figure(&most, Watts),
            static_power: figure(&known(0.0), Watts),
            embodied: None,
            notes: String::new(),
            like: None,
            yours: false,
            model: CostModel::Microcontroller(Microcontroller {
                clock: known(self.clock),
                cycles_per_mac: fitted(cycles.per_mac, time_spread, "cycles per product"),
                cycles_per_output: fitted(cycles.per_output, time_spread, "cycles per result"),
                cycles_per_weight_byte: fitted(
                    cycles.per_weight_byte,
                    time_spread,
                    "cycles per byte of weights",
                ),
                cycles_per_layer: known(0.0),
                float_factor: None,
                energy_per_cycle: Figure {
                    low: joules.low.map(Joules),
                    typical: Joules(joules.typical),
                    high: joules.high.map(Joules),
                    source: joules.source,
                    trust: joules.trust,
                },
                weight_memory: Figure {
                    low: None,
                    typical: Bytes(self.weight_memory),
                    high: None,
                    source: self.source.clone(),
                    trust: Trust::Quoted,
                },
                activation_memory: Figure {
                    low: None,
                    typical: Bytes(self.activation_memory),
                    high: None,
                    source: self.source.clone(),
                    trust: Trust::Quoted,
                },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_chip_clock_and_voltage() {
        let chips = SmallChips::shipped().unwrap();
        for (device, name, clock, volts) in [
            ("NUCLEO-L4R5ZI_X-CUBE-AI-7.3", "STM32L4R5", 120e6, None),
            ("NUCLEO_H7A3ZI_Q_40MHz", "STM32H7A3", 40e6, None),
            (
                "syntiant_9120_0v9_30mhz",
                "Syntiant NDP120",
                30e6,
                Some(0.9),
            ),
            ("gap9_650_240", "GreenWaves GAP9", 240e6, Some(0.65)),
        ] {
            let running = chips.running(device, "").unwrap();
            assert_eq!(running.name, name);
            assert_eq!(running.clock, clock);
            if let Engine::Accelerator { volts: now, .. } = running.engine {
                assert_eq!(Some(now), volts, "{device}");
            } else {
                assert_eq!(volts, None, "{device}");
            }
        }
    }

    #[test]
    fn a_core_and_a_clock_are_enough_and_less_is_not() {
        let chips = SmallChips::shipped().unwrap();
        let running = chips.running("my board (Cortex-M7, 400 MHz)", "").unwrap();
        assert_eq!(running.engine, Engine::Core(Core::CortexM7));
        assert_eq!(running.clock, 400e6);
        let error = chips.running("my board (Cortex-M7)", "").unwrap_err();
        assert!(error.contains("no clock"), "{error}");
        let error = chips.running("Raspberry Pi", "").unwrap_err();
        assert!(error.contains("names no chip"), "{error}");
    }
}
