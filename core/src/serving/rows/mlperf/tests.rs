use std::collections::BTreeSet;

use super::*;
use crate::serving::rows::Case;
use crate::serving::{Constants, Options, predict, validate};

/// Every network of the rounds 1.0 to 5.1 as published results spell them, and the first round that had it.
const NETWORKS: [(&str, f64); 25] = [
    ("resnet50", 1.0),
    ("ssd-resnet34", 1.0),
    ("ssd-large", 1.0),
    ("ssd-mobilenet", 1.0),
    ("ssd-small", 1.0),
    ("retinanet", 2.1),
    ("rnnt", 1.0),
    ("3d-unet-99", 2.0),
    ("3d-unet-99.9", 2.0),
    ("bert-99", 1.0),
    ("bert-99.9", 1.0),
    ("dlrm-99", 1.0),
    ("dlrm-v2-99", 3.0),
    ("dlrm-v2-99.9", 3.0),
    ("gptj-99", 3.1),
    ("gptj-99.9", 3.1),
    ("llama2-70b-99", 4.0),
    ("llama2-70b-99.9", 4.0),
    ("llama2-70b-interactive-99", 5.0),
    ("mixtral-8x7b", 4.1),
    ("stable-diffusion-xl", 4.0),
    ("llama3.1-405b", 5.0),
    ("llama3.1-8b", 5.1),
    ("rgat", 5.0),
    ("whisper", 5.1),
];
const SCENARIOS: [&str; 4] = ["Offline", "Server", "SingleStream", "MultiStream"];
/// Accelerators as published results spell them, how many, and the device each is.
const SYSTEMS: [(&str, u32, &str); 26] = [
    ("NVIDIA H200-SXM-141GB", 8, "H200"),
    ("NVIDIA H100-SXM-80GB", 8, "H100 SXM"),
    ("NVIDIA H100-PCIe-80GB", 8, "H100 PCIe"),
    ("NVIDIA H100-NVL-94GB", 8, "H100 NVL"),
    ("NVIDIA GH200 Grace Hopper Superchip 96GB", 1, "GH200"),
    ("NVIDIA B200-SXM-180GB", 8, "B200"),
    ("NVIDIA A100-SXM-80GB", 8, "A100 SXM 80GB"),
    ("NVIDIA A100-PCIe-80GB", 8, "A100 PCIe 80GB"),
    ("NVIDIA A100-PCIe-40GB", 8, "A100 PCIe 40GB"),
    ("NVIDIA L4", 1, "L4"),
    ("NVIDIA L40S", 8, "L40S"),
    ("NVIDIA A30", 1, "A30"),
    ("NVIDIA A2", 1, "A2"),
    ("Tesla T4", 8, "T4"),
    ("NVIDIA Jetson AGX Orin 64G", 1, "Orin"),
    ("NVIDIA Orin NX 16GB", 1, "Orin NX"),
    ("NVIDIA AGX Xavier", 1, "AGX Xavier"),
    ("NVIDIA Xavier NX", 1, "Xavier NX"),
    ("QUALCOMM Cloud AI 100 PCIe/HHHL Pro", 8, "PCIe HHHL Pro"),
    (
        "QUALCOMM Cloud AI 100 PCIe/HHHL Standard",
        4,
        "PCIe HHHL Standard",
    ),
    ("QUALCOMM Cloud AI 100 DM.2", 1, "AI 100 DM 2"),
    ("QUALCOMM Cloud AI 100 DM.2e", 1, "AI 100 DM 2e"),
    ("QUALCOMM Cloud AI 100 Ultra", 4, "AI 100 Ultra"),
    ("QUALCOMM Edge AI 100", 1, "AI 100 DM 2e"),
    ("CPU: Arm Cortex-A78AE v8.2", 1, "Cortex A78AE"),
    ("AMD MI300X", 8, "MI300X"),
];

/// A row with figures that nobody measured.
fn row(model: &str, hardware: &str, devices: u32, task: &str) -> Row {
    Row {
        id: format!("{model}|{hardware}|{task}"),
        model: model.to_owned(),
        hardware: hardware.to_owned(),
        n_devices: devices.to_string(),
        task: task.to_owned(),
        energy_j: "1.0".to_owned(),
        throughput: "1.0".to_owned(),
        scope: "whole system at the wall".to_owned(),
        ..Row::default()
    }
}

/// Every network by every scenario on every system.
fn table() -> Vec<Row> {
    let mut rows = Vec::new();
    for (model, since) in NETWORKS {
        for scenario in SCENARIOS {
            let first = if scenario == "MultiStream" {
                2.1
            } else {
                since
            };
            let task = format!("MLPerf Inference v{:.1} edge {scenario}", since.max(first));
            for (hardware, devices, _) in SYSTEMS {
                rows.push(row(model, hardware, devices, &task));
            }
        }
    }
    rows
}

fn energy(case: &Case) -> f64 {
    let energy = predict(case, Constants::shipped().unwrap()).energy;
    energy.unwrap().typical
}

fn speed(case: &Case) -> f64 {
    predict(case, Constants::shipped().unwrap())
        .throughput
        .typical
}

#[test]
fn every_network_on_every_system_is_predicted_or_says_why_not() {
    let rows = table();
    let found = validate(&rows, Options::default()).unwrap();
    assert_eq!(found.rows.len() + found.skipped.len(), rows.len());
    assert!(
        found.rows.len() * 2 > rows.len(),
        "{} of {}",
        found.rows.len(),
        rows.len()
    );
    // Only for reasons of the network, of the kind of device and of its memory; never for want of a name.
    let reasons: BTreeSet<&str> = found
        .skipped
        .iter()
        .map(|row| row.reason.as_str())
        .collect();
    for reason in &reasons {
        let known = [
            "not modelled",
            "do not fit into the memory",
            "not in the catalogue",
            "the catalogue has no",
            "the catalogue do not describe",
        ];
        assert!(
            known.iter().any(|words| reason.contains(words))
                && !reason.contains("serving constants"),
            "{reason}"
        );
    }
}

#[test]
fn published_names_of_accelerators_lead_to_the_device() {
    for (hardware, devices, expected) in SYSTEMS {
        let case = Case::new(
            &row(
                "resnet50",
                hardware,
                devices,
                "MLPerf Inference v3.0 Offline",
            ),
            None,
        );
        assert_eq!(case.unwrap().device.name, expected, "{hardware}");
    }
    let part = row(
        "resnet50",
        "NVIDIA A100-SXM-80GB-MIG_1x1g.10gb",
        1,
        "MLPerf Inference v1.1 Offline",
    );
    assert!(Case::new(&part, None).unwrap_err().contains("MIG"));
}

#[test]
fn every_benchmark_of_the_file_has_a_source_and_either_work_or_a_reason() {
    for entry in entries().unwrap() {
        assert!(entry.source.len() > 20, "{:?}", entry.names);
        assert_eq!(
            entry.work.is_some(),
            entry.network.is_some(),
            "{:?}",
            entry.names
        );
        assert_ne!(
            entry.work.is_some(),
            entry.skipped.is_some(),
            "{:?}",
            entry.names
        );
        if let Some(id) = &entry.network {
            assert!(catalogue::architecture(id).is_ok(), "{id}");
        }
        let ordered = |[typical, least, most]: [f64; 3]| least <= typical && typical <= most;
        match entry.work {
            Some(Work::Samples(times)) => assert!(ordered(times)),
            Some(Work::Language { prompt, .. }) => assert!(ordered(prompt)),
            _ => {}
        }
    }
}

#[test]
fn figures_per_sample_and_per_token_differ_by_the_tokens_of_an_answer() {
    let case = |unit: &str, task: &str| {
        let row = Row {
            energy_unit: unit.to_owned(),
            ..row("gptj-99", "NVIDIA H100-SXM-80GB", 8, task)
        };
        Case::new(&row, None).unwrap()
    };
    let task = "MLPerf Inference v4.0 datacenter Offline";
    let (token, sample) = (case("J/token", task), case("J/sample", task));
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    assert!(close(energy(&sample), 68.0 * energy(&token)));
    assert!(close(68.0 * speed(&sample), speed(&token)));
    // Where a row does not say, its round does.
    assert!(close(speed(&case("", task)), speed(&token)));
    let earlier = "MLPerf Inference v3.1 datacenter Offline";
    assert!(close(
        speed(&case("", earlier)),
        speed(&case("J/sample", earlier))
    ));
    let stream = "MLPerf Inference v4.0 edge SingleStream";
    assert!(close(
        speed(&case("", stream)),
        speed(&case("J/sample", stream))
    ));
}

#[test]
fn boards_and_host_never_draw_more_than_they_can() {
    for row in table() {
        let Ok(case) = Case::new(&row, None) else {
            continue;
        };
        let watts = energy(&case) * speed(&case);
        let most = 1.1 * case.device.power_limit * case.devices() + 130.0 + 10.0 * case.devices();
        assert!(
            watts > 0.0 && watts < most,
            "{}: {watts} of {most} W",
            row.id
        );
    }
}

#[test]
fn more_devices_and_larger_batches_never_slow_a_system_down() {
    for (model, since) in NETWORKS {
        // A processor is a system whatever the number of its cores.
        for (hardware, _, _) in SYSTEMS.iter().filter(|(name, ..)| !name.starts_with("CPU")) {
            let at = |devices, scenario: &str| {
                let task = format!(
                    "MLPerf Inference v{:.1} datacenter {scenario}",
                    since.max(2.1)
                );
                Case::new(&row(model, hardware, devices, &task), None).map(|case| {
                    let answer = case.open.iter().find_map(|open| match open {
                        Open::Answer(tokens) => Some(*tokens),
                        _ => None,
                    });
                    speed(&case) * answer.unwrap_or(1.0)
                })
            };
            let (Ok(one), Ok(eight)) = (at(8, "Offline"), at(16, "Offline")) else {
                continue;
            };
            assert!(eight > 1.5 * one, "{model} on {hardware}: {one} {eight}");
            let (server, single) = (at(8, "Server").unwrap(), at(8, "SingleStream").unwrap());
            assert!(server < one && single < one, "{model} on {hardware}");
        }
    }
}

#[test]
fn what_is_not_known_of_a_sample_is_in_the_range() {
    let width = |model: &str, task: &str| {
        let case = Case::new(&row(model, "NVIDIA H100-SXM-80GB", 8, task), None).unwrap();
        let energy = predict(&case, Constants::shipped().unwrap())
            .energy
            .unwrap();
        energy.high / energy.low
    };
    let task = "MLPerf Inference v3.0 datacenter Offline";
    // Seen benchmark, unseen one, unseen one whose sample is not of one size.
    assert!(width("retinanet", task) > 1.2 * width("resnet50", task));
    assert!(width("3d-unet-99", task) > 1.1 * width("retinanet", task));
}

#[test]
fn names_in_one_round_are_not_those_of_another() {
    let case = |model: &str, task: &str| {
        Case::new(&row(model, "NVIDIA A100-SXM-80GB", 8, task), None).map(|_| ())
    };
    assert!(case("3d-unet-99", "MLPerf Inference v1.1 datacenter Offline").is_err());
    assert!(case("3d-unet-99", "MLPerf Inference v2.0 datacenter Offline").is_ok());
    assert!(case("resnet50", "MLPerf Inference v1.0 edge MultiStream").is_err());
    assert!(case("resnet50", "MLPerf Inference v2.1 edge MultiStream").is_ok());
    assert!(case("resnet50", "MLPerf Inference v2.1 edge Sideways").is_err());
}
