//! The processor that the program runs on: what can be found out replaces the assumptions of its file.

use super::figure::{Figure, Trust};
use super::{CostModel, HardwareTarget, Precision};
use crate::units::{Bytes, Joules, OpsPerSecond, Watts};

/// Clock that is assumed where the system does not tell.
const ASSUMED_CLOCK_HZ: f64 = 3.0e9;
/// Clock for which the file states the rates of a core.
const FILE_CLOCK_HZ: f64 = 3.0e9;
/// Part of the power limit that arithmetic at peak draws; the rest is static. Assumed.
const POWER_FOR_ARITHMETIC: f64 = 0.7;

/// Clocks and memory that are believed; virtual machines have been seen to tell of none.
const CLOCKS_HZ: std::ops::Range<f64> = 1e8..1e11;
const LEAST_MEMORY: f64 = 1e6;

/// What the operating system says about the processor.
struct Found {
    name: Option<String>,
    cores: f64,
    clock_hz: Option<f64>,
    memory: Option<f64>,
}

fn look() -> Found {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
    };
    let memory = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("MemTotal:"))?
                .to_owned();
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        });
    Found {
        name: value("model name"),
        cores: std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64),
        clock_hz: value("cpu MHz")
            .and_then(|mhz| mhz.parse::<f64>().ok())
            .map(|mhz| mhz * 1e6)
            .filter(|hz| CLOCKS_HZ.contains(hz)),
        memory: memory
            .map(|kib| kib * 1024.0)
            .filter(|bytes| *bytes >= LEAST_MEMORY),
    }
}

/// Single-precision operations per core and clock cycle: two fused multiply-adds of the vector width.
fn operations_per_cycle() -> (f64, &'static str) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // Many AVX-512 cores run at half rate per instruction, so that width is not assumed to double the rate.
            return (32.0, "AVX2 with fused multiply-add");
        }
        (8.0, "SSE2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        (16.0, "128-bit vectors with fused multiply-add")
    }
}

/// What tells this machine from others: the processor and its cores.
pub fn identity() -> String {
    let found = look();
    let name = found.name.unwrap_or_else(|| "CPU".to_owned());
    format!("{name}, {} cores", found.cores)
}

/// Fills in name, arithmetic rate, memory size and power limit of this machine.
pub(super) fn detect(mut target: HardwareTarget) -> HardwareTarget {
    let found = look();
    let cores = found.cores;
    let (per_cycle, width) = operations_per_cycle();
    let clock = found.clock_hz.unwrap_or(ASSUMED_CLOCK_HZ);
    let rate = cores * clock * per_cycle;
    target.name = format!("This machine: {}", identity());
    // The file states power per core.
    let per_core = |figure: &Figure<Watts>| Figure {
        low: figure.low.map(|w| w * cores),
        typical: figure.typical * cores,
        high: figure.high.map(|w| w * cores),
        source: format!("{cores} cores × the file's figure: {}", figure.source),
        trust: figure.trust,
    };
    target.power_limit = per_core(&target.power_limit);
    target.static_power = per_core(&target.static_power);
    let watts = target.power_limit.range();
    if let CostModel::Processor(processor) = &mut target.model {
        let clock_source = if found.clock_hz.is_some() {
            "/proc/cpuinfo"
        } else {
            "assumed"
        };
        for (precision, figure) in &mut processor.peak {
            let factor = if *precision == Precision::Fp32 {
                1.0
            } else {
                2.0
            };
            *figure = Figure {
                low: Some(OpsPerSecond(rate * factor * 0.8)),
                typical: OpsPerSecond(rate * factor),
                high: Some(OpsPerSecond(rate * factor * 1.5)),
                source: format!(
                    "{cores} cores × {:.2} GHz ({clock_source}) × {per_cycle} operations per cycle ({width})",
                    clock / 1e9
                ),
                trust: Trust::Detected,
            };
        }
        let energy =
            |watts: Watts, factor: f64| Joules(watts.0 * POWER_FOR_ARITHMETIC / (rate * factor));
        for (precision, figure) in &mut processor.energy_per_op {
            let factor = if *precision == Precision::Fp32 {
                1.0
            } else {
                2.0
            };
            *figure = Figure {
                low: Some(energy(watts.low, factor)),
                typical: energy(watts.typical, factor),
                high: Some(energy(watts.high, factor)),
                source: format!("{POWER_FOR_ARITHMETIC} × power limit / peak rate"),
                trust: Trust::Derived,
            };
        }
        if let Some(packed) = &mut processor.packed {
            let factor = cores * clock / FILE_CLOCK_HZ;
            for rate in packed.rate.values_mut() {
                *rate = Figure {
                    low: rate.low.map(|r| r * factor),
                    typical: rate.typical * factor,
                    high: rate.high.map(|r| r * factor),
                    source: format!(
                        "{cores} cores × {:.2} GHz ({clock_source}) × the file's figure: {}",
                        clock / 1e9,
                        rate.source
                    ),
                    trust: rate.trust,
                };
            }
        }
        if let (Some(memory), Some(size)) = (&mut processor.memory, found.memory) {
            memory.capacity = Figure {
                low: None,
                typical: Bytes(size),
                high: None,
                source: "/proc/meminfo".to_owned(),
                trust: Trust::Detected,
            };
        }
    }
    target
}
