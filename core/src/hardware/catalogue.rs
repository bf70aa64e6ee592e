//! The devices that ship with the program, and those of the user beside them. Adding one that ships: a file in
//! `assets/hardware/` and its name in the list below.

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use super::HardwareTarget;
use super::{Calibration, own, this_cpu};
use crate::error::{Error, Result};
use crate::folders;

macro_rules! files {
    ($($id:literal),* $(,)?) => {
        &[$(($id, include_str!(concat!("../../../assets/hardware/", $id, ".ron")))),*]
    };
}

/// Identifier and text of every device file, in the order of the menus.
const FILES: &[(&str, &str)] = files![
    "this-cpu",
    "amd-epyc-7763",
    "intel-xeon-6980p",
    "raspberry-pi-5",
    "nvidia-v100-sxm2",
    "nvidia-a100-sxm4-40gb",
    "nvidia-a100-sxm4-80gb",
    "nvidia-a100-pcie-80gb",
    "nvidia-h100-sxm",
    "nvidia-h100-pcie",
    "nvidia-h100-nvl",
    "nvidia-h20-sxm",
    "nvidia-h200-sxm",
    "nvidia-b200-sxm",
    "nvidia-gb200",
    "nvidia-b300-sxm",
    "nvidia-gb300",
    "nvidia-l4",
    "nvidia-l40s",
    "nvidia-l40",
    "nvidia-a40",
    "nvidia-a10",
    "nvidia-t4",
    "nvidia-rtx-4090",
    "nvidia-rtx-5090",
    "nvidia-rtx-5080",
    "nvidia-rtx-5070-ti",
    "nvidia-rtx-5060-ti-16gb",
    "nvidia-rtx-3090",
    "nvidia-rtx-3060-12gb",
    "nvidia-rtx-pro-6000",
    "nvidia-rtx-6000-ada",
    "nvidia-rtx-a6000",
    "nvidia-gb10",
    "nvidia-jetson-agx-orin-64gb",
    "nvidia-jetson-agx-orin-32gb",
    "nvidia-jetson-orin-nx-16gb",
    "nvidia-jetson-orin-nano-8gb",
    "nvidia-jetson-thor",
    "amd-mi300x",
    "amd-mi325x",
    "amd-mi355x",
    "amd-rx-7900-xtx",
    "amd-ryzen-ai-max-395",
    "intel-arc-pro-b60",
    "apple-m1-max",
    "apple-m3-ultra",
    "apple-m4",
    "apple-m4-pro",
    "apple-m4-max",
    "apple-m5-max",
    "google-tpu-v2",
    "google-tpu-v3",
    "google-tpu-v4",
    "google-tpu-v4i",
    "google-tpu-v5e",
    "google-tpu-v5p",
    "google-tpu-v6e",
    "google-tpu7x",
    "google-coral-edge-tpu",
    "groq-groqchip-1",
    "graphcore-gc200",
    "qualcomm-cloud-ai-100-pro",
    "qualcomm-snapdragon-x-elite",
    "intel-gaudi-2",
    "intel-gaudi-3",
    "aws-inferentia2",
    "aws-trainium2",
    "ibm-northpole",
    "amd-alveo-u250",
    "amd-alveo-u280",
    "amd-zcu104",
    "digilent-pynq-z1",
    "digilent-arty-a7-100t",
    "avnet-ultra96-v2",
    "amd-zc706",
    "st-nucleo-l4r5zi",
    "st-nucleo-h7a3zi-q",
    "st-nucleo-u575zi-q",
    "syntiant-ndp120",
    "greenwaves-gap9",
    "ibm-truenorth",
    "intel-loihi-1",
    "intel-loihi-2",
    "spinnaker-1",
    "spinnaker-2",
    "generic-spiking-core-28nm",
];

/// The device that is filled in when the program starts.
pub const THIS_MACHINE: &str = "this-cpu";

/// Reads a device from the text of its file.
///
/// # Errors
/// [`Error::File`] with line and field when the text does not follow the schema or a value makes no sense.
pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<HardwareTarget> {
    let path = path.as_ref();
    let target: HardwareTarget = options()
        .from_str(text)
        .map_err(|error| Error::file(format!("line {error}"), path))?;
    target
        .check()
        .map_err(|fact| Error::file(with_line(text, fact), path))?;
    Ok(target)
}

/// How the files are written: an optional value stands for itself.
pub(super) fn options() -> ron::Options {
    ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
}

/// A fact that begins with the names of a field, from the outermost inwards, with the line on which that field stands.
fn with_line(text: &str, fact: String) -> String {
    let lower = text.to_lowercase();
    let mut place = None;
    for word in fact.split_whitespace() {
        let from = place.unwrap_or(0);
        match lower[from..].find(&format!("{}:", word.to_lowercase())) {
            Some(distance) => place = Some(from + distance),
            None => break,
        }
    }
    match place {
        Some(place) => format!("line {}: {fact}", lower[..place].lines().count().max(1)),
        None => fact,
    }
}

/// What was read: the devices, those that ship first, and the own files that could not be read.
#[derive(Clone, Copy)]
struct Loaded {
    targets: &'static [HardwareTarget],
    broken: &'static [Error],
    calibration: Option<&'static Calibration>,
}

static LOADED: RwLock<Option<Loaded>> = RwLock::new(None);

fn loaded() -> Result<Loaded> {
    let known = *LOADED.read().unwrap_or_else(PoisonError::into_inner);
    match known {
        Some(loaded) => Ok(loaded),
        None => load(folders::configuration().as_deref()),
    }
}

/// Reads everything. What was read before stays where it is, for those who still hold it: a few hundred kilobytes each
/// time that a person adds or changes a device.
fn load(configuration: Option<&Path>) -> Result<Loaded> {
    let mut broken = Vec::new();
    let mut calibration = None;
    let mut yours = Vec::new();
    if let Some(folder) = configuration {
        calibration = Calibration::load(folder)
            .unwrap_or_else(|error| {
                broken.push(error);
                None
            })
            .filter(Calibration::is_of_this_machine);
        // Each constant may make sense and the device that they make not.
        if calibration.is_some()
            && let Err(fact) = this_machine(calibration.as_ref())?.check()
        {
            broken.push(Error::file(fact, Calibration::path(folder)));
            calibration = None;
        }
        let own = own::read(&own::folder(folder));
        yours = own.targets;
        broken.extend(own.broken);
    }
    let mut targets = shipped(calibration.as_ref())?;
    targets.extend(yours);
    let loaded = Loaded {
        targets: Vec::leak(targets),
        broken: Vec::leak(broken),
        calibration: calibration.map(|calibration| &*Box::leak(Box::new(calibration))),
    };
    *LOADED.write().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
    Ok(loaded)
}

fn shipped(calibration: Option<&Calibration>) -> Result<Vec<HardwareTarget>> {
    FILES
        .iter()
        .map(|(id, text)| {
            if *id == THIS_MACHINE {
                this_machine(calibration)
            } else {
                parse(text, format!("assets/hardware/{id}.ron"))
            }
        })
        .collect()
}

/// The processor that the program runs on: what was found out about it, and what was measured, if that was here.
///
/// # Errors
/// Those of [`catalogue`].
pub fn this_machine(calibration: Option<&Calibration>) -> Result<HardwareTarget> {
    let text = include_str!("../../../assets/hardware/this-cpu.ron");
    let mut target = this_cpu::detect(parse(text, "assets/hardware/this-cpu.ron")?);
    if let Some(calibration) = calibration
        && calibration.is_of_this_machine()
    {
        calibration.apply(&mut target);
    }
    Ok(target)
}

/// Whether a device of this identifier ships with the program.
pub(super) fn ships(id: &str) -> bool {
    FILES
        .iter()
        .any(|(known, _)| known.eq_ignore_ascii_case(id))
}

/// All devices: those that ship, then the user's own. The configuration folder is read once, at the first call.
///
/// # Errors
/// [`Error::File`] when a file that ships with the program is broken.
pub fn catalogue() -> Result<&'static [HardwareTarget]> {
    Ok(loaded()?.targets)
}

/// The user's files that were left out (devices, measured constants), each with its reason.
///
/// # Errors
/// Those of [`catalogue`].
pub fn broken() -> Result<&'static [Error]> {
    Ok(loaded()?.broken)
}

/// The measured constants that the device of this machine uses; `None` where it uses assumed ones.
///
/// # Errors
/// Those of [`catalogue`].
pub fn calibration() -> Result<Option<&'static Calibration>> {
    Ok(loaded()?.calibration)
}

/// Reads the devices again, the user's own from a configuration folder. References handed out before stay valid.
///
/// # Errors
/// Those of [`catalogue`].
pub fn reload(configuration: &Path) -> Result<()> {
    load(Some(configuration)).map(drop)
}

/// The device with an identifier.
///
/// # Errors
/// [`Error::Unknown`] with names that resemble it.
pub fn find(id: &str) -> Result<&'static HardwareTarget> {
    let all = catalogue()?;
    all.iter()
        .find(|target| target.id.eq_ignore_ascii_case(id))
        .ok_or_else(|| Error::unknown("hardware", id, all.iter().map(|target| target.id.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::HardwareClass;

    #[test]
    fn every_file_is_read_and_carries_its_own_name() {
        let all = catalogue().unwrap();
        assert!(all.len() >= FILES.len());
        for ((id, _), target) in FILES.iter().zip(all) {
            assert_eq!(*id, target.id);
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/hardware");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let id = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(
                FILES.iter().any(|(known, _)| *known == id),
                "{id} is not in the list"
            );
        }
    }

    #[test]
    fn every_class_has_a_device() {
        let all = catalogue().unwrap();
        for class in HardwareClass::ALL {
            assert!(
                all.iter().any(|target| target.class == class),
                "{}",
                class.name()
            );
        }
    }

    #[test]
    fn a_broken_file_names_line_and_field() {
        let good = FILES.iter().find(|(id, _)| *id == "nvidia-t4").unwrap().1;
        let cases = [
            (
                good.replace("launch:", "lunch:"),
                "Unexpected field named `lunch`",
            ),
            (good.replacen("trust: ", "trust: Hearsay", 1), "Hearsay"),
            (
                good.replacen("typical: 70.0", "typical: -70.0", 1),
                "power_limit is not a finite number",
            ),
        ];
        for (text, expected) in cases {
            let message = parse(&text, "mine.ron").unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.ends_with(": mine.ron"), "{message}");
        }
        let message = parse(&good.replace("launch:", "lunch:"), "mine.ron")
            .unwrap_err()
            .to_string();
        let line = good.lines().position(|l| l.contains("launch:")).unwrap() + 1;
        assert!(message.contains(&format!("line {line}:")), "{message}");
    }
}
