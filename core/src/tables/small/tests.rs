//! How rows of small chips and programmable logic are read.

use super::*;

fn row(device: &str, model: &str, task: &str, precision: &str) -> SmallRow {
    SmallRow {
        device: device.to_owned(),
        model: model.to_owned(),
        task: task.to_owned(),
        precision: precision.to_owned(),
        energy_uj_per_inf: "1".to_owned(),
        ..SmallRow::default()
    }
}

#[test]
fn widths_are_read_in_all_spellings() {
    assert_eq!(bits("int8", ""), Some((8, 8)));
    assert_eq!(bits("6-12 bit mixed", ""), Some((12, 12)));
    assert_eq!(bits("", "CNV-W1A1 (FINN)"), Some((1, 1)));
    assert_eq!(bits("W4A8", ""), Some((4, 8)));
    assert_eq!(bits("binary", ""), Some((1, 1)));
    assert_eq!(bits("float32", ""), Some((32, 32)));
    assert_eq!(bits("", ""), None);
}

#[test]
fn rows_find_their_network() {
    for (device, model, task, expected) in [
        (
            "EK-RA6M4",
            "MLPerf Tiny reference network",
            "MLPerf Tiny v1.0 anomaly_detection",
            "mlperf-tiny-autoencoder",
        ),
        (
            "PYNQ-Z2 (XC7Z020)",
            "autoencoder AD08 (hls4ml)",
            "MLPerf Tiny v0.7 anomaly detection",
            "hls4ml-ad08",
        ),
        (
            "Arty A7-100T",
            "CNV-W1A1 (FINN)",
            "MLPerf Tiny v0.7 CIFAR-10 image classification",
            "finn-cnv-w1a1",
        ),
        (
            "Arty A7-100T",
            "residual network (hls4ml)",
            "CIFAR-10",
            "hls4ml-rn07",
        ),
    ] {
        let case = SmallCase::new(&row(device, model, task, "8 bit")).unwrap();
        assert_eq!(case.profile.model, expected);
    }
}

#[test]
fn reasons_say_what_is_missing() {
    for (row, reason) in [
        (
            row("Raspberry Pi 4", "", "keyword spotting", "int8"),
            "names no chip",
        ),
        (
            row("EK-RA6M4", "my net", "faces", "int8"),
            "not in the catalogue",
        ),
        (
            row("EK-RA6M4", "", "keyword spotting", "posit"),
            "names no bit-width",
        ),
        (
            SmallRow {
                device_class: "fpga".to_owned(),
                ..row("VCK190", "", "kws", "int8")
            },
            "is not a board",
        ),
        (
            SmallRow {
                energy_uj_per_inf: String::new(),
                ..row("EK-RA6M4", "", "kws", "int8")
            },
            "neither energy",
        ),
    ] {
        let error = SmallCase::new(&row).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_rate_above_one_per_latency_is_a_pipeline() {
    let mut row = row("PYNQ-Z2", "CNV-W1A1", "CIFAR-10", "1 bit");
    row.latency_us = "1500".to_owned();
    row.throughput_inf_per_s = "660".to_owned();
    assert_eq!(SmallCase::new(&row).unwrap().batch, 1);
    row.throughput_inf_per_s = "3000".to_owned();
    assert_eq!(SmallCase::new(&row).unwrap().batch, PIPELINED);
}

#[test]
fn designs_of_one_network_and_networks_of_one_family_are_told_apart() {
    let case = |model: &str, task: &str, precision: &str| {
        let mut row = row("ZC706", model, task, precision);
        row.throughput_inf_per_s = "1000".to_owned();
        SmallCase::new(&row)
    };
    let named = case("CNV-W1A1 (FINN)", "CIFAR-10", "binary").unwrap();
    assert!(named.folding.is_some() && named.batch == PIPELINED);
    assert!(
        case("CNV-max (FINN)", "CIFAR-10", "binary")
            .unwrap()
            .folding
            .is_none()
    );
    for (model, task, precision, reason) in [
        ("CNV-fix (FINN)", "CIFAR-10", "binary", "makers chose"),
        (
            "residual network RN08 (hls4ml)",
            "CIFAR-10",
            "8 bit",
            "RN08",
        ),
        (
            "autoencoder AD10 (hls4ml)",
            "anomaly detection",
            "8 bit",
            "AD10",
        ),
        (
            "MLP-W4A4 (FINN)",
            "keyword spotting",
            "W4A4",
            "other widths",
        ),
    ] {
        let error = case(model, task, precision).unwrap_err();
        assert!(error.contains(reason), "{model}: {error}");
    }
    let seen = case("residual network RN07 (hls4ml)", "CIFAR-10", "8 bit").unwrap();
    assert_eq!(seen.device_name(), "ZC706");
}

#[test]
fn microjoules_become_joules() {
    let mut row = row("EK-RA6M4", "", "kws", "int8");
    row.energy_uj_per_inf = "1500".to_owned();
    row.latency_us = "2000".to_owned();
    assert!((row.measured_energy().unwrap().0 - 1.5e-3).abs() < 1e-15);
    assert!((row.measured_throughput().unwrap() - 500.0).abs() < 1e-9);
}
