//! What devices are called.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::HardwareTarget;
use super::catalogue::catalogue;
use crate::error::{Error, Result};
use crate::named::{Entry, Index, Understood, squashed, words};

const FILE: &str = include_str!("../../../assets/hardware_names.ron");

/// Words that say nothing about which device is meant.
const IDLE: [&str; 9] = [
    "gpu",
    "gpus",
    "graphics",
    "card",
    "accelerator",
    "tensor",
    "core",
    "chip",
    "board",
];

/// Other names of the devices that ship, by identifier.
///
/// # Errors
/// [`Error::File`] when the file that ships with the program is broken.
fn others() -> Result<&'static BTreeMap<String, Vec<String>>> {
    static NAMES: OnceLock<Result<BTreeMap<String, Vec<String>>>> = OnceLock::new();
    let read = || {
        ron::from_str(FILE)
            .map_err(|error| Error::file(error.to_string(), "assets/hardware_names.ron"))
    };
    NAMES.get_or_init(read).as_ref().map_err(Error::clone)
}

/// Devices with all their names.
fn index(all: &[HardwareTarget]) -> Result<Index> {
    let others = others()?;
    let entry = |target: &HardwareTarget| {
        let names = others.get(&target.id).into_iter().flatten();
        Entry::new(&target.id, &target.name, names.map(String::as_str))
    };
    Ok(Index::new(
        "hardware",
        all.iter().map(entry).collect(),
        &IDLE,
    ))
}

/// The device that people mean: by identifier, by its name on screen or another of its names, or by some of their words
/// in any order.
///
/// # Errors
/// [`Error::Ambiguous`] where several have these words, [`Error::Unknown`] where none has.
pub fn named(name: &str) -> Result<Understood<&'static HardwareTarget>> {
    let all = catalogue()?;
    let found = index(all)?.find(name)?.map(|item| &all[item]);
    if found.note.is_some() && is_the_smaller_one(name, found.item)? {
        return Err(Error::Unknown {
            what: "hardware",
            id: name.trim().to_owned(),
            near: vec![found.item.name.clone()],
        });
    }
    Ok(found)
}

/// Whether a name leaves out a word that makes this device a larger one of its family: an RTX 5070 is no RTX 5070 Ti.
/// Listed names of the device need no such word.
fn is_the_smaller_one(name: &str, target: &HardwareTarget) -> Result<bool> {
    const LARGER: [&str; 4] = ["ti", "max", "ultra", "super"];
    let asked = squashed(name);
    let listed = others()?.get(&target.id).into_iter().flatten();
    if listed.into_iter().any(|listed| squashed(listed) == asked) {
        return Ok(false);
    }
    let said = |larger: &&str| words(name).iter().any(|word| word.ends_with(*larger));
    let of_the_device = words(&target.id);
    Ok(LARGER
        .iter()
        .any(|larger| of_the_device.iter().any(|word| word == larger) && !said(larger)))
}

/// The devices that a search through their names finds: what [`named`] would take first. All for an empty search.
///
/// # Errors
/// Those of [`catalogue`].
pub fn search(text: &str) -> Result<Vec<&'static HardwareTarget>> {
    let all = catalogue()?;
    let hits = index(all)?.search(text);
    Ok(hits.into_iter().map(|item| &all[item]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> std::result::Result<String, String> {
        match named(name) {
            Ok(found) => Ok(found.item.id.clone()),
            Err(Error::Ambiguous { candidates, .. }) => Err(candidates.join(", ")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn devices_are_found_by_what_people_write() {
        for (name, expected) in [
            ("nvidia-h100-sxm", "nvidia-h100-sxm"),
            ("h100 sxm", "nvidia-h100-sxm"),
            ("H100-SXM5", "nvidia-h100-sxm"),
            ("NVIDIA H100 80GB HBM3", "nvidia-h100-sxm"),
            ("h100pcie", "nvidia-h100-pcie"),
            ("RTX 4090", "nvidia-rtx-4090"),
            ("rtx4090", "nvidia-rtx-4090"),
            ("4090", "nvidia-rtx-4090"),
            ("NVIDIA GeForce RTX 4090", "nvidia-rtx-4090"),
            ("MI300X", "amd-mi300x"),
            ("instinct mi300x", "amd-mi300x"),
            ("A100 SXM 80GB", "nvidia-a100-sxm4-80gb"),
            ("NVIDIA A100-SXM4-80GB", "nvidia-a100-sxm4-80gb"),
            ("a100 pcie", "nvidia-a100-pcie-80gb"),
            ("TPU v5e", "google-tpu-v5e"),
            ("tpuv5e", "google-tpu-v5e"),
            ("TPU-v4", "google-tpu-v4"),
            ("trillium", "google-tpu-v6e"),
            ("T4", "nvidia-t4"),
            ("Tesla T4", "nvidia-t4"),
            ("T4 GPU", "nvidia-t4"),
            ("L4", "nvidia-l4"),
            ("l40s", "nvidia-l40s"),
            ("v100", "nvidia-v100-sxm2"),
            ("H200", "nvidia-h200-sxm"),
            ("B200", "nvidia-b200-sxm"),
            ("orin nano", "nvidia-jetson-orin-nano-8gb"),
            ("Jetson AGX Orin 64GB", "nvidia-jetson-agx-orin-64gb"),
            ("Loihi 2", "intel-loihi-2"),
            ("Intel Loihi", "intel-loihi-1"),
            ("TrueNorth", "ibm-truenorth"),
            ("ZCU104", "amd-zcu104"),
            ("edge tpu", "google-coral-edge-tpu"),
            ("this machine", "this-cpu"),
        ] {
            assert_eq!(id(name).as_deref(), Ok(expected), "{name}");
        }
    }

    #[test]
    fn devices_that_users_name_most_are_found_by_what_they_write() {
        for (name, expected) in [
            ("RTX 5090", "nvidia-rtx-5090"),
            ("rtx5080", "nvidia-rtx-5080"),
            ("5070 Ti", "nvidia-rtx-5070-ti"),
            ("RTX 5060 Ti", "nvidia-rtx-5060-ti-16gb"),
            ("RTX 3090", "nvidia-rtx-3090"),
            ("RTX 3060", "nvidia-rtx-3060-12gb"),
            ("A6000", "nvidia-rtx-a6000"),
            ("RTX PRO 6000", "nvidia-rtx-pro-6000"),
            ("M4 Max", "apple-m4-max"),
            ("m4max", "apple-m4-max"),
            ("M4", "apple-m4"),
            ("Apple M4 Pro", "apple-m4-pro"),
            ("M3 Ultra", "apple-m3-ultra"),
            ("B300", "nvidia-b300-sxm"),
            ("GB200", "nvidia-gb200"),
            ("GB300 NVL72", "nvidia-gb300"),
            ("GB10", "nvidia-gb10"),
            ("DGX Spark", "nvidia-gb10"),
            ("H20", "nvidia-h20-sxm"),
            ("H100 NVL", "nvidia-h100-nvl"),
            ("L40", "nvidia-l40"),
            ("A10", "nvidia-a10"),
            ("MI325X", "amd-mi325x"),
            ("Instinct MI355X", "amd-mi355x"),
            ("7900 XTX", "amd-rx-7900-xtx"),
            ("Strix Halo", "amd-ryzen-ai-max-395"),
            ("Gaudi 3", "intel-gaudi-3"),
            ("Gaudi2", "intel-gaudi-2"),
            ("Trainium 2", "aws-trainium2"),
            ("Inferentia2", "aws-inferentia2"),
            ("TPU7x", "google-tpu7x"),
            ("Ironwood", "google-tpu7x"),
            ("Jetson Thor", "nvidia-jetson-thor"),
            ("Pi 5", "raspberry-pi-5"),
            ("Raspberry Pi 5", "raspberry-pi-5"),
            ("Xeon 6980P", "intel-xeon-6980p"),
            ("NorthPole", "ibm-northpole"),
            ("Snapdragon X Elite", "qualcomm-snapdragon-x-elite"),
        ] {
            assert_eq!(id(name).as_deref(), Ok(expected), "{name}");
        }
    }

    #[test]
    fn what_could_be_several_devices_lists_them() {
        for (name, count) in [
            ("H100", 3),
            ("A100", 3),
            ("A100 80GB", 2),
            ("Jetson Orin", 4),
            ("Jetson", 5),
            ("RTX 6000", 2),
            ("Gaudi", 2),
            ("tpu v5", 2),
            ("loihi", 2),
            ("stm32", 3),
        ] {
            match named(name) {
                Err(Error::Ambiguous { candidates, .. }) => {
                    assert_eq!(candidates.len(), count, "{name}: {candidates:?}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_no_other_device() {
        for name in [
            "GH200",
            "L400",
            "RTX 4090 Laptop",
            "RTX 4090 Ti",
            "RTX 5070",
            "rtx5060",
            "RTX 3090 Ti",
            "RTX 3060 Ti",
            "M1",
            "Apple M3",
            "M3 Max",
            "M4 Ultra",
            "M5",
            "A10G",
            "H20-3e",
            "Trainium 3",
            "Raspberry Pi 4",
            "MI350X",
            "A4000",
            "T400",
            "A100X",
            "MI300",
            "MI300A",
            "MI250X",
            "V100 16GB",
            "TPU v4e",
            "RTX 5090 Laptop",
            "H10",
            "nvidia",
            "ibm",
            "",
            " ",
            "x",
        ] {
            assert!(id(name).is_err(), "{name}: {:?}", id(name));
        }
    }

    #[test]
    fn every_device_is_found_by_each_of_its_names_and_says_how_it_was_understood() {
        let all = catalogue().unwrap();
        let others = others().unwrap();
        for known in others.keys() {
            assert!(all.iter().any(|target| target.id == *known), "{known}");
        }
        for target in all {
            for plain in [&target.id, &target.name] {
                let found = named(&plain.to_uppercase()).unwrap();
                assert_eq!((&found.item.id, found.note), (&target.id, None));
            }
            for other in others.get(&target.id).into_iter().flatten() {
                let found = named(other).unwrap();
                assert_eq!(found.item.id, target.id, "{other}");
                let note = found.note.unwrap_or_default();
                assert!(note.contains(&target.id) && note.contains(other), "{note}");
            }
        }
    }

    #[test]
    fn letters_alone_are_never_the_beginning_of_a_device() {
        let index = index(catalogue().unwrap()).unwrap();
        for wanted in crate::named::letters() {
            assert!(index.find(&wanted).is_err(), "{wanted}");
        }
    }

    #[test]
    fn a_search_has_what_would_be_understood_first() {
        for (text, first) in [
            ("t4", "nvidia-t4"),
            ("l4", "nvidia-l4"),
            ("sxm h100", "nvidia-h100-sxm"),
        ] {
            assert_eq!(search(text).unwrap()[0].id, first, "{text}");
        }
        assert_eq!(search("").unwrap().len(), catalogue().unwrap().len());
        assert!(search("orin jetson").unwrap().len() == 4);
        assert!(search("nothing like it").unwrap().is_empty());
    }
}
