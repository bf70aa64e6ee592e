//! Data sheets against the hardware catalogue: peaks, bandwidths, memories, power limits.

use serde::Deserialize;

use super::read::Identified;
use super::small::number;
use crate::error::Error;
use crate::hardware::{self, CostModel, Figure, HardwareTarget, Precision};
use crate::named::words;
use crate::serving::{ComparedFigure, SkippedRow, ValidatedRow};
use crate::units::Range;

/// Bytes of a GB as makers of memory count it.
const GIBIBYTE: f64 = (1_u64 << 30) as f64;
/// One data sheet.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct DeviceRow {
    /// Identifier.
    pub id: String,
    /// The device.
    pub chip: String,
    /// Peaks without sparsity, in 10¹² operations per second.
    pub fp32_tflops: String,
    /// In half precision.
    pub bf16_fp16_dense_tflops: String,
    /// In 8-bit floating point.
    pub fp8_dense_tflops: String,
    /// In 8-bit integers.
    pub int8_dense_tops: String,
    /// Memory in 10⁹ bytes.
    pub mem_gb: String,
    /// Its bandwidth in 10⁹ bytes per second.
    pub mem_bw_gb_s: String,
    /// Memory on the chip in 10⁶ bytes.
    pub on_chip_mem_mb: String,
    /// Power limit in watts; a range as "15-60".
    pub tdp_w: String,
    /// Where it was published.
    pub source: String,
}

impl Identified for DeviceRow {
    fn id_mut(&mut self) -> &mut String {
        &mut self.id
    }
}

/// Sheets and tables print two or three digits.
const ROUNDING: f64 = 0.01;

/// Words that make another device of one whose words are all there: "RTX 4090 Laptop".
const OTHER_DEVICE: [&str; 6] = ["laptop", "mobile", "ti", "d", "nvl", "maxq"];

/// The device of the catalogue that a published name means: what it is called there, else the longest of which all words
/// are in it; the maker may be missing where a word of the device itself is there. `None` where several could be meant.
pub(crate) fn named(name: &str) -> Result<Option<&'static HardwareTarget>, Error> {
    match hardware::named(name) {
        Ok(found) => return Ok(Some(found.item)),
        Err(Error::Unknown { .. } | Error::Ambiguous { .. }) => {}
        Err(error) => return Err(error),
    }
    let name = words(name);
    if name
        .iter()
        .any(|word| OTHER_DEVICE.contains(&word.as_str()))
    {
        return Ok(None);
    }
    // "SXM5" is "SXM"; "L40" is not "L4".
    let has = |word: &str| {
        name.iter().any(|there| match there.strip_prefix(word) {
            Some("") => true,
            Some(rest) => {
                let letters = word.chars().all(char::is_alphabetic);
                letters && rest.chars().all(|digit| digit.is_ascii_digit())
            }
            None => false,
        })
    };
    Ok(hardware::catalogue()?
        .iter()
        .filter(|target| {
            let mut words = target.id.split('-');
            let maker = words.next().unwrap_or_default();
            let rest: Vec<&str> = words.collect();
            let telling = rest
                .iter()
                .any(|word| word.len() > 1 && word.contains(|c: char| c.is_ascii_alphabetic()));
            !rest.is_empty() && (telling || has(maker)) && rest.iter().all(|word| has(word))
        })
        .max_by_key(|target| target.id.len()))
}

/// Compares every figure that both sides have.
pub(crate) fn validate(row: &DeviceRow) -> Result<ValidatedRow, SkippedRow> {
    let skip = |reason: String| SkippedRow {
        id: row.id.clone(),
        reason,
    };
    let target = named(&row.chip)
        .map_err(|error| skip(error.to_string()))?
        .ok_or_else(|| skip(format!("the hardware catalogue has no {}", row.chip)))?;
    let figures = figures(row, target);
    if figures.is_empty() {
        return Err(skip(
            "the sheet and the catalogue have no figure in common".to_owned(),
        ));
    }
    Ok(ValidatedRow {
        id: row.id.clone(),
        predicted_energy_j: None,
        predicted_throughput: None,
        measured_energy_j: None,
        measured_throughput: None,
        model: String::new(),
        family: target.class.name().to_owned(),
        hardware: row.chip.clone(),
        scope: "data sheet",
        source: row.source.clone(),
        figures,
    })
}

fn figures(row: &DeviceRow, target: &HardwareTarget) -> Vec<ComparedFigure> {
    let mut figures = Vec::new();
    let mut compare =
        |quantity: &str, unit, ours: Option<Range<f64>>, printed: &str, scale: f64| {
            // The upper end of a range is the limit.
            let upper = printed.rsplit('-').next().unwrap_or_default();
            if let (Some(range), Some(measured)) = (ours, number(upper)) {
                figures.push(ComparedFigure {
                    quantity: quantity.to_owned(),
                    unit,
                    predicted: printed_range(range),
                    measured: measured * scale,
                });
            }
        };
    let limit = plain(&target.power_limit);
    match &target.model {
        CostModel::Processor(processor) => {
            let peak = |precision: Precision| processor.peak.get(&precision).map(plain);
            let memory = processor.memory.as_ref();
            let capacity = memory.map(|memory| plain(&memory.capacity));
            let bandwidth = memory.map_or_else(
                || plain(&processor.on_chip.bandwidth),
                |memory| plain(&memory.bandwidth),
            );
            for (precision, printed) in [
                (Precision::Fp32, &row.fp32_tflops),
                (Precision::Fp16, &row.bf16_fp16_dense_tflops),
                (Precision::Fp8, &row.fp8_dense_tflops),
                (Precision::Int8, &row.int8_dense_tops),
            ] {
                let quantity = format!("peak {}", precision.name());
                compare(&quantity, "op/s", peak(precision), printed, 1e12);
            }
            // What makers print as GB of memory are binary.
            compare("memory", "B", capacity, &row.mem_gb, GIBIBYTE);
            compare("bandwidth", "B/s", Some(bandwidth), &row.mem_bw_gb_s, 1e9);
            compare(
                "memory on the chip",
                "B",
                Some(plain(&processor.on_chip.capacity)),
                &row.on_chip_mem_mb,
                1e6,
            );
        }
        CostModel::Fpga(fpga) => {
            let bandwidth = fpga.memory.as_ref().map(|memory| plain(&memory.bandwidth));
            compare("bandwidth", "B/s", bandwidth, &row.mem_bw_gb_s, 1e9);
            compare(
                "memory on the chip",
                "B",
                Some(plain(&fpga.on_chip)),
                &row.on_chip_mem_mb,
                1e6,
            );
        }
        CostModel::Microcontroller(_) | CostModel::Neuromorphic(_) => {}
    }
    compare("power limit", "W", Some(limit), &row.tdp_w, 1.0);
    figures
}

/// A range that holds its own ends after they were rounded for print.
pub(crate) fn printed_range(range: Range<f64>) -> Range<f64> {
    Range {
        low: range.low * (1.0 - ROUNDING),
        typical: range.typical,
        high: range.high * (1.0 + ROUNDING),
    }
}

/// A figure's range without its unit.
fn plain<T: Copy + Into<f64>>(figure: &Figure<T>) -> Range<f64> {
    figure.range().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_names_find_their_device() {
        for (name, id) in [
            ("NVIDIA A100 SXM4 40GB", Some("nvidia-a100-sxm4-40gb")),
            ("NVIDIA H100 SXM5 80GB", Some("nvidia-h100-sxm")),
            ("Google TPU v4i", Some("google-tpu-v4i")),
            ("Google TPU v4", Some("google-tpu-v4")),
            (
                "Digilent PYNQ-Z1 / TUL PYNQ-Z2 (XC7Z020)",
                Some("digilent-pynq-z1"),
            ),
            ("Intel Loihi 2", Some("intel-loihi-2")),
            ("NVIDIA H100 80GB SXM", Some("nvidia-h100-sxm")),
            ("SpiNNaker 1", Some("spinnaker-1")),
            ("Cerebras WSE-2", None),
            // Letters of another name are no device.
            ("NVIDIA T400", None),
            ("NVIDIA RTX A4000", None),
            ("NVIDIA L40", Some("nvidia-l40")),
            ("NVIDIA RTX 4090 Laptop GPU", None),
            ("NVIDIA H100", None),
        ] {
            assert_eq!(
                named(name).unwrap().map(|target| target.id.as_str()),
                id,
                "{name}"
            );
        }
    }
}
