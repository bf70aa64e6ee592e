//! Power of NVIDIA's graphics cards, from the library that comes with their driver.

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::{Answer, Source};

/// The graphics cards, or why there are none.
pub(super) enum Gpus {
    /// The library answers.
    Open(Box<Nvml>),
    /// It does not, and why.
    Absent(String),
}

impl Gpus {
    /// Loads the library, if there is one.
    pub(super) fn open() -> Self {
        match Nvml::init() {
            Ok(nvml) => Self::Open(Box::new(nvml)),
            Err(NvmlError::LibloadingError(_)) => Self::Absent(
                "NVIDIA's management library (libnvidia-ml, part of the driver) is not installed"
                    .to_owned(),
            ),
            Err(error) => Self::Absent(format!("NVIDIA's management library failed: {error}")),
        }
    }

    /// What each card draws now.
    pub(super) fn read(&self) -> Vec<Source> {
        let nvml = match self {
            Self::Open(nvml) => nvml,
            Self::Absent(reason) => return vec![none("NVML".to_owned(), reason)],
        };
        match nvml.device_count() {
            Ok(0) => vec![none("NVML".to_owned(), "the driver sees no graphics card")],
            Ok(count) => (0..count).map(|index| card(nvml, index)).collect(),
            Err(error) => vec![none("NVML".to_owned(), &error.to_string())],
        }
    }
}

fn card(nvml: &Nvml, index: u32) -> Source {
    let sensor = format!("NVML GPU {index}");
    let milliwatts = nvml
        .device_by_index(index)
        .and_then(|device| device.power_usage());
    match milliwatts {
        Ok(milliwatts) => Source {
            answer: Answer::positive(
                f64::from(milliwatts) * 1e-3,
                None,
                "the driver reports no power",
            ),
            ..none(sensor, "")
        },
        Err(NvmlError::NotSupported) => none(sensor, "this card has no power sensor"),
        Err(NvmlError::NoPermission) => none(
            sensor,
            "no permission to read this card's power; the driver's administrator restricts it",
        ),
        Err(error) => none(sensor, &error.to_string()),
    }
}

fn none(sensor: String, reason: &str) -> Source {
    Source {
        sensor,
        covers: "graphics card",
        answer: Answer::none(reason),
    }
}
