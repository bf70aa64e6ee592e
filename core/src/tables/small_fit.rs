//! Fits the few constants of small chips to rows of MLPerf Tiny: cycles of a Cortex-M4, how other cores compare, cycles of
//! accelerators beyond their multipliers, energy per cycle. One chip after the other is left out to find the error on
//! chips that the fit has not seen.

use std::collections::BTreeMap;

use super::chips::{AcceleratorCycles, CORES, Core, Cycles, Engine, Kernels, Running, SmallChips};
use super::small::{SmallCase, SmallDevice};
use crate::serving::constants::Fitted;
use crate::serving::fit::{Sample, fit};

/// How many natural logarithms of a constant cost as much as one of a residual: what the rows do not tell stays.
const PULL: f64 = 0.1;

/// Constants of small chips, fitted to some rows.
#[derive(Debug, Clone)]
pub(crate) struct SmallConstants {
    pub(crate) kernels: Kernels,
    pub(crate) factors: [f64; CORES],
    pub(crate) accelerator: AcceleratorCycles,
    /// Measured energy per cycle over that of the data sheet.
    pub(crate) over_data_sheet: f64,
    /// Joules per cycle by chip; of accelerators per square volt.
    pub(crate) energies: BTreeMap<String, (EngineKind, f64)>,
}

/// Engines whose energy per cycle may stand for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    Core(Core),
    Accelerator,
}

impl Engine {
    fn kind(self) -> EngineKind {
        match self {
            Self::Core(core) => EngineKind::Core(core),
            Self::Accelerator { .. } => EngineKind::Accelerator,
        }
    }

    /// What an energy per cycle is divided by so that chips can be compared.
    fn square_volts(self) -> f64 {
        match self {
            Self::Core(_) => 1.0,
            Self::Accelerator { volts, .. } => volts * volts,
        }
    }
}

#[derive(Clone, Copy)]
struct CoreValues([f64; 3 + CORES]);

impl Fitted for CoreValues {
    fn values(&self) -> Vec<f64> {
        self.0.to_vec()
    }

    fn with(values: &[f64]) -> Self {
        let mut all = [f64::NAN; 3 + CORES];
        for (place, value) in all.iter_mut().zip(values) {
            *place = *value;
        }
        Self(all)
    }
}

impl CoreValues {
    /// Cycles on a core; those of the Cortex-M4 are the unit.
    fn cycles(&self, core: Core, work: [f64; 3]) -> f64 {
        let factor = |core: Core| self.0[3 + core as usize];
        let sum: f64 = self.0.iter().zip(work).map(|(a, b)| a * b).sum();
        sum * factor(core) / factor(Core::CortexM4)
    }
}

#[derive(Clone, Copy)]
struct AcceleratorValues([f64; 2]);

impl Fitted for AcceleratorValues {
    fn values(&self) -> Vec<f64> {
        self.0.to_vec()
    }

    fn with(values: &[f64]) -> Self {
        let mut values = values.iter().copied();
        Self([(); 2].map(|()| values.next().unwrap_or(f64::NAN)))
    }
}

/// The chip of a case, if it is one.
fn chip(case: &SmallCase) -> Option<&Running> {
    match &case.device {
        SmallDevice::Chip(running) => Some(running),
        SmallDevice::Board(_) => None,
    }
}

impl SmallConstants {
    /// The constants that ship.
    pub(crate) fn shipped(chips: &SmallChips) -> Self {
        Self {
            kernels: chips.kernels,
            factors: chips.factors(),
            accelerator: chips.accelerator,
            over_data_sheet: chips.over_data_sheet,
            energies: chips
                .measured()
                .map(|(name, engine, energy)| {
                    (name, (engine.kind(), energy / engine.square_volts()))
                })
                .collect(),
        }
    }

    /// Fits all constants to cases; every chip counts alike, however many rows it has.
    pub(crate) fn fitted(chips: &SmallChips, cases: &[&SmallCase]) -> Self {
        let mut count: BTreeMap<&str, f64> = BTreeMap::new();
        for running in cases.iter().filter_map(|case| chip(case)) {
            *count.entry(&running.name).or_default() += 1.0;
        }
        let weight = |running: &Running| count[running.name.as_str()].powf(-0.5);
        let mut on_cores = Vec::new();
        let mut on_accelerators = Vec::new();
        for case in cases {
            let (Some(running), Some(rate)) = (chip(case), case.row.measured_throughput()) else {
                continue;
            };
            let (work, cycles) = (case.work(), running.clock / rate);
            match running.engine {
                Engine::Core(core) => on_cores.push(Sample {
                    weight: weight(running),
                    residual: Box::new(move |values: &CoreValues| {
                        (values.cycles(core, work) / cycles).ln()
                    }),
                }),
                Engine::Accelerator { lanes, .. } => on_accelerators.push(Sample {
                    weight: weight(running),
                    residual: Box::new(move |values: &AcceleratorValues| {
                        let [output, weight] = values.0;
                        let sum = work[0] / lanes + work[1] * output + work[2] * weight;
                        (sum / cycles).ln()
                    }),
                }),
            }
        }
        let priors = chips.priors();
        let mut start = [1.0; 3 + CORES];
        start[..3].copy_from_slice(&START);
        start[3..].copy_from_slice(&priors);
        let CoreValues(fitted) = fit(CoreValues(start), &on_cores, PULL);
        let unit = fitted[3 + Core::CortexM4 as usize];
        let mut factors = priors;
        for (factor, value) in factors.iter_mut().zip(&fitted[3..]) {
            *factor = value / unit;
        }
        let energies = energies(cases);
        let [output, weight_byte] =
            fit(AcceleratorValues(START_ACCELERATOR), &on_accelerators, PULL).0;
        Self {
            kernels: Kernels {
                cycles_per_mac: fitted[0],
                cycles_per_output: fitted[1],
                cycles_per_weight_byte: fitted[2],
            },
            factors,
            accelerator: AcceleratorCycles {
                cycles_per_output: output,
                cycles_per_weight_byte: weight_byte,
            },
            over_data_sheet: over_data_sheet(cases, &energies),
            energies,
        }
    }

    /// Cycles of a chip.
    pub(crate) fn cycles(&self, engine: Engine) -> Cycles {
        match engine {
            Engine::Core(core) => {
                let factor = self.factors[core as usize];
                Cycles {
                    per_mac: self.kernels.cycles_per_mac * factor,
                    per_output: self.kernels.cycles_per_output * factor,
                    per_weight_byte: self.kernels.cycles_per_weight_byte * factor,
                }
            }
            Engine::Accelerator { lanes, .. } => Cycles {
                per_mac: 1.0 / lanes,
                per_output: self.accelerator.cycles_per_output,
                per_weight_byte: self.accelerator.cycles_per_weight_byte,
            },
        }
    }

    /// Joules per cycle of a chip, and whether it was seen: its own, else by the current of its data sheet, else the mean
    /// of chips with the same core, else of all chips of its kind.
    pub(crate) fn energy_per_cycle(&self, running: &Running) -> (f64, bool) {
        let scale = running.engine.square_volts();
        if let Some((_, energy)) = self.energies.get(&running.name) {
            return (energy * scale, true);
        }
        if let Some(stated) = running.stated_energy {
            return (stated * self.over_data_sheet, false);
        }
        let kind = running.engine.kind();
        let alike = |wanted: &dyn Fn(EngineKind) -> bool| {
            let logs: Vec<f64> = self
                .energies
                .values()
                .filter(|(kind, _)| wanted(*kind))
                .map(|(_, energy)| energy.ln())
                .collect();
            (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
        };
        let core = |kind: EngineKind| matches!(kind, EngineKind::Core(_));
        let energy = alike(&|other| other == kind)
            .or_else(|| alike(&|other| core(other) == core(kind)))
            .unwrap_or(START_ENERGY);
        (energy * scale, false)
    }
}

/// Where the fit starts: cycles per product, result and byte of weights of a Cortex-M4, and beyond the products of an
/// accelerator.
const START: [f64; 3] = [2.0, 50.0, 1.0];
const START_ACCELERATOR: [f64; 2] = [0.5, 0.25];
/// Joules per cycle where no row tells any (assumed: 100 microamperes per megahertz at 3 V).
const START_ENERGY: f64 = 3e-10;

/// Geometric mean, over chips whose maker states a current, of measured energy per cycle over the stated one.
fn over_data_sheet(cases: &[&SmallCase], energies: &BTreeMap<String, (EngineKind, f64)>) -> f64 {
    let ratios: BTreeMap<&str, f64> = cases
        .iter()
        .filter_map(|case| chip(case))
        .filter_map(|running| {
            let (_, measured) = energies.get(&running.name)?;
            Some((
                running.name.as_str(),
                (measured / running.stated_energy?).ln(),
            ))
        })
        .collect();
    if ratios.is_empty() {
        return 1.0;
    }
    (ratios.values().sum::<f64>() / ratios.len() as f64).exp()
}

/// Geometric mean of the measured energy per cycle of every chip.
fn energies(cases: &[&SmallCase]) -> BTreeMap<String, (EngineKind, f64)> {
    let mut logs: BTreeMap<String, (EngineKind, Vec<f64>)> = BTreeMap::new();
    for case in cases {
        let (Some(running), Some(rate), Some(energy)) = (
            chip(case),
            case.row.measured_throughput(),
            case.row.measured_energy(),
        ) else {
            continue;
        };
        let per_cycle = energy.0 * rate / running.clock / running.engine.square_volts();
        logs.entry(running.name.clone())
            .or_insert((running.engine.kind(), Vec::new()))
            .1
            .push(per_cycle.ln());
    }
    logs.into_iter()
        .map(|(name, (kind, logs))| {
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            (name, (kind, mean.exp()))
        })
        .collect()
}
