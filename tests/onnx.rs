//! ONNX files in the program: run in a process of its own, which may end without harm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use std::process::Command;

fn report(file: &str, arguments: &[&str]) -> (String, String, Option<i32>) {
    let model = format!("core/tests/fixtures/onnx/{file}.onnx");
    let output = Command::new(env!("CARGO_BIN_EXE_wattif"))
        .args(["report", "--model", &model])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code(),
    )
}

/// The fidelity that a report states.
fn decibels(json: &str) -> f64 {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let quality = &value["measurement"]["quality"];
    assert_eq!(quality["metric"], "fidelity");
    quality["value"].as_f64().unwrap()
}

#[test]
fn a_network_of_another_program_is_recompressed_and_run() {
    let (text, error, code) = report("dense", &["--weight-bits", "4"]);
    assert_eq!(code, Some(0), "{error}");
    for part in [
        "generated input x",
        "Fidelity",
        "dB",
        "Same largest",
        "rten",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let at = |bits: &str| decibels(&report("dense", &["--weight-bits", bits, "--json"]).0);
    let values = ["32", "8", "4", "2"].map(at);
    assert_eq!(values[0], 120.0);
    assert!(values.is_sorted_by(|a, b| a > b), "{values:?}");
}

#[test]
fn a_process_that_runs_out_of_memory_is_an_answer() {
    let (text, error, code) = report("huge", &["--weight-bits", "4"]);
    assert_eq!(code, Some(0), "{error}");
    for part in ["not measured", "memory", "kWh"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_cannot_be_run_is_named_and_still_costed() {
    let (text, error, code) = report("image", &["--axis", "height=40", "--axis", "width=40"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("height = 40"), "{text}");
    let (_, error, code) = report("image", &["--axis", "depth=40"]);
    assert_ne!(code, Some(0));
    assert!(error.contains("height, n, width"), "{error}");
}
