//! Single machines under llama.cpp: which device of a machine computes, what else it draws, and what was written or read.

use super::Row;
use super::language::unlike;
use crate::serving::device::{self, Device, DeviceKind};
use crate::serving::llama_cpp::GgufFormat;

/// Tokens of context where a row states none: a short question and its answer (assumed; little depends on it).
const SHORT: f64 = 500.0;
/// Watts of a desktop computer around a graphics card that computes, losses of its power supply included (assumed: 40 to
/// 100 W).
const DESKTOP: f64 = 60.0;
/// The same of a small board with a graphics card (assumed: 5 to 15 W).
const SMALL_BOARD: f64 = 10.0;

/// The device that computes in what a table names: "NVIDIA H100 SXM", "Pi 5 (AMD RX 7900 XT) [GPU]". A card in parentheses
/// counts, not the machine around it.
pub(super) fn device_of(hardware: &str) -> std::result::Result<&'static Device, String> {
    let card = hardware
        .split_once('(')
        .filter(|_| hardware.contains("[GPU"))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(inside, _)| inside)
        .filter(|inside| {
            let lower = inside.to_lowercase();
            let made = ["nvidia", "amd", "intel", "radeon", "geforce"];
            made.iter().any(|maker| lower.contains(maker))
                && inside.chars().any(|c| c.is_ascii_digit())
        });
    let divided = |c: char| !c.is_ascii_alphanumeric();
    if hardware
        .split(divided)
        .any(|word| word.eq_ignore_ascii_case("mig"))
    {
        return Err("a part of a divided GPU (MIG) is not modelled".to_owned());
    }
    device::device(card.unwrap_or(hardware)).map_err(|error| error.to_string())
}

/// Watts at the wall of all but the device that computes.
pub(in crate::serving) fn host_watts(hardware: &str, device: &Device) -> f64 {
    match device.kind {
        DeviceKind::Gpu | DeviceKind::Card if !device.whole_machine => {
            let lower = hardware.to_lowercase();
            if lower.starts_with("pi ") || lower.contains("raspberry") {
                SMALL_BOARD
            } else {
                DESKTOP
            }
        }
        _ => 0.0, // their power is that of the whole board
    }
}

/// Format, tokens, and whether they were written instead of read.
pub(super) fn desktop(row: &Row) -> std::result::Result<(GgufFormat, f64, bool), String> {
    if let Some(reason) = unlike(row) {
        return Err(reason.to_owned());
    }
    if row.notes.contains("offloaded to CPU") {
        return Err("networks of which the CPU computes a part are not modelled".to_owned());
    }
    let format = gguf_format(&row.precision)?;
    match (
        Row::number(&row.output_tokens),
        Row::number(&row.input_tokens),
    ) {
        (Some(tokens), None) => Ok((format, tokens, true)),
        (None, Some(tokens)) => Ok((format, tokens, false)),
        (None, None) if row.task.contains("generation") => Ok((format, SHORT, true)),
        _ => Err("the number of tokens is not stated".to_owned()),
    }
}

fn gguf_format(precision: &str) -> std::result::Result<GgufFormat, String> {
    let lower = precision.to_lowercase();
    let word = lower.split([' ', ',', '/']).next().unwrap_or_default();
    match word {
        "f16" | "fp16" | "bf16" => Ok(GgufFormat::F16),
        _ if word.starts_with("q8") => Ok(GgufFormat::Q8),
        _ if ["q4", "iq4", "mxfp4"]
            .iter()
            .any(|start| word.starts_with(start)) =>
        {
            Ok(GgufFormat::Q4)
        }
        _ => Err(format!("the format '{lower}' is not modelled")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_of_a_machine_computes_and_not_the_machine_around_it() {
        for (hardware, expected) in [
            ("Intel 265K Custom PC (Nvidia RTX 4090) [GPU]", "RTX 4090"),
            ("Pi CM5 - 16GB (Nvidia RTX 3080 Ti) [GPU]", "RTX 3080 Ti"),
            ("NVIDIA H100 80GB HBM3", "H100 SXM"),
            ("H100", "H100 SXM"),
            ("b300_sxm", "B300"),
            ("Dell Pro Max with GB10 (Nvidia Spark) [GPU]", "GB10"),
            ("M4 Mac mini (10 core - 32GB) [GPU]", "M4"),
            ("Pi 5 - 16GB [CPU]", "Raspberry Pi 5"),
        ] {
            assert_eq!(device_of(hardware).unwrap().name, expected, "{hardware}");
        }
        assert!(device_of("Pi 5 - 8GB (AMD RX 6500 XT) [GPU]").is_err());
        let card = device_of("Pi CM5 - 16GB (Nvidia RTX 4090) [GPU]").unwrap();
        assert!(host_watts("Pi CM5 - 16GB", card) < host_watts("Intel 265K Custom PC", card));
    }

    #[test]
    fn formats_are_read_in_all_spellings() {
        for (precision, expected) in [
            ("Q4_K_XL (UD), q4_0 KV", GgufFormat::Q4),
            ("Q4_K_M / MXFP4 for gpt-oss", GgufFormat::Q4),
            ("Q8_0", GgufFormat::Q8),
            ("F16", GgufFormat::F16),
        ] {
            assert_eq!(gguf_format(precision), Ok(expected), "{precision}");
        }
        assert!(gguf_format("q2_k").is_err());
    }
}
