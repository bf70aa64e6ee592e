//! One engine, two faces: what the window shows and saves is what `wattif report --json` prints.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

mod halves;
mod scripted;

use std::path::Path;
use std::process::Command;

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use halves::half_copy;
use scripted::{Setup, Window};
use serde_json::Value;
use wattif::app::Start;
use wattif_core::preset::Preset;

/// Relative difference allowed between two runs of the same arithmetic: threads may add in another order.
const SAME: f64 = 1e-6;

#[test]
fn the_window_and_the_command_line_give_the_same_numbers() {
    for preset in ["fpga-low-bit.ron", "tiny-gpt-4bit.ron"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("presets")
            .join(preset);
        compare(&path, preset);
    }
}

#[test]
fn both_count_an_original_of_16_bits_at_16_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (model, preset) = (
        folder.path().join("half.safetensors"),
        folder.path().join("half.ron"),
    );
    let bundled = include_bytes!("../assets/models/fashion-cnn.safetensors");
    std::fs::write(&model, half_copy(bundled, false)).unwrap();
    let saved = Command::new(env!("CARGO_BIN_EXE_wattif"))
        .args(["report", "--weight-bits", "8", "--model"])
        .arg(&model)
        .arg("--save")
        .arg(&preset)
        .output()
        .unwrap();
    assert!(saved.status.success(), "{saved:?}");
    compare(&preset, "half.ron");
    // The savings are against the file, and not against one twice as large.
    let report = report(&preset);
    let size = |kind: &str| report["savings"][kind]["size"].as_f64().unwrap();
    let mut window = Setup {
        start: Start {
            preset: Some(preset),
            ..Start::default()
        },
        real: true,
        ..Setup::default()
    }
    .open();
    window.wait();
    for kind in ["nominal", "stored"] {
        assert!((0.45..0.55).contains(&size(kind)), "{kind}: {}", size(kind));
        let shown = wattif::format::saving(size(kind));
        let words = window.words();
        assert!(
            words.iter().any(|text| text.contains(&shown)),
            "{shown}: {words:?}"
        );
    }
}

/// Opens a preset in the window, saves it again, and compares its figures with a report of the same preset.
fn compare(path: &Path, preset: &str) {
    let window = serde_json::to_value(saved_by_the_window(path).measured.unwrap()).unwrap();
    let report = report(path);
    for field in [
        "quality/metric",
        "quality/value",
        "quality/low",
        "quality/high",
        "quality/n",
        "quality/baseline",
        "quality/change/value",
        "quality/divergence/value",
        "stored_bytes",
        "weights",
        "nonzero_weights",
    ] {
        same(
            &window,
            field,
            &report,
            &format!("measurement/{field}"),
            preset,
        );
    }
    for field in [
        "throughput",
        "latency_s",
        "energy_j_per_unit",
        "co2e_g_per_unit",
    ] {
        for end in ["low", "typical", "high"] {
            let field = format!("{field}/{end}");
            same(
                &window,
                &field,
                &report,
                &format!("footprint/{field}"),
                preset,
            );
        }
    }
}

/// Opens a preset in the window on the real engine, measures it there, and saves it again.
fn saved_by_the_window(path: &Path) -> Preset {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.ron");
    let mut window = Setup {
        start: Start {
            preset: Some(path.to_owned()),
            ..Start::default()
        },
        real: true,
        ..Setup::default()
    }
    .open();
    window.wait();
    press(&mut window, "Save preset…");
    window
        .harness
        .get_by_role_and_label(Role::TextInput, "Path")
        .set_text_value_accesskit(&saved.display().to_string());
    window.harness.run();
    press(&mut window, "Save");
    let said = format!("Saved: {}", saved.display());
    assert_eq!(window.app().messages(), [said]);
    Preset::load(&saved).unwrap()
}

fn press(window: &mut Window, label: &str) {
    window
        .harness
        .get_by_role_and_label(Role::Button, label)
        .click();
    window.harness.run();
}

fn report(preset: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_wattif"))
        .args(["report", "--json", "--preset"])
        .arg(preset)
        .output()
        .unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn same(window: &Value, at: &str, report: &Value, there: &str, preset: &str) {
    let find = |value: &Value, path: &str| value.pointer(&format!("/{path}")).cloned();
    let shown = find(window, at).unwrap_or_else(|| panic!("{at} is not in the window's preset"));
    let printed = find(report, there).unwrap_or_else(|| panic!("{there} is not in the report"));
    match (shown.as_f64(), printed.as_f64()) {
        (Some(a), Some(b)) => assert!(
            (a - b).abs() <= SAME * a.abs().max(b.abs()),
            "{preset}, {at}: {a} in the window, {b} on the command line"
        ),
        _ => assert_eq!(shown, printed, "{preset}, {at}"),
    }
}
