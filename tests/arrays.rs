//! Files of PyTorch, NumPy and TensorFlow.js, as the real executable and the real window take them.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod scripted;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use scripted::{Setup, Window};
use serde_json::Value;
use wattif::app::{Page, Start};
use wattif_core::model::ModelReference;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("core/tests/fixtures/arrays")
        .join(name)
}

/// Exit code, standard output and standard error of a report on a file.
fn report(name: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wattif"))
        .args(["report", "--model"])
        .arg(fixture(name))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn fidelity(name: &str, bits: &str) -> Value {
    let (code, stdout, stderr) = report(name, &["--weight-bits", bits, "--json"]);
    assert_eq!(code, 0, "{name}: {stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn a_report_on_weights_says_how_near_they_stay_and_nothing_more() {
    let mut last = f64::INFINITY;
    for bits in ["8", "4", "2"] {
        let expected = fidelity("unknown.pt", bits);
        let decibels = expected["weight_fidelity"]["decibels"].as_f64().unwrap();
        assert!(decibels < last, "{bits} bits: {decibels} dB");
        last = decibels;
        assert!(expected.get("footprint").is_none());
        assert!(expected["stored_bytes"].as_u64() < expected["original_bytes"].as_u64());
        for other in ["unknown-old.pt", "unknown.npz", "unknown.safetensors"] {
            let own = fidelity(other, bits);
            let figure = own["weight_fidelity"]["decibels"].as_f64().unwrap();
            assert!((figure - decibels).abs() < 1e-9, "{other}");
        }
    }
    let (_, stdout, _) = report("unknown.pt", &["--weight-bits", "4"]);
    for words in [
        "Weight fidelity",
        "no quality is measured",
        "not known",
        "block.0.mix",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    let (_, stdout, _) = report("unknown.pt", &[]);
    assert!(stdout.contains("unchanged"), "{stdout}");
    let (code, _, stderr) = report("unknown.pt", &["--distill", "0.5"]);
    assert_eq!(code, 1, "{stderr}");
}

#[test]
fn a_folder_of_tensorflow_js_and_its_list_are_the_same() {
    let folder = fidelity("tfjs", "4");
    let list = fidelity("tfjs/model.json", "4");
    assert_eq!(folder["weight_fidelity"], list["weight_fidelity"]);
}

#[test]
fn a_pickle_that_would_run_code_is_refused_by_its_name() {
    let (code, _, stderr) = report("refused-shell.pt", &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("'posix.system'"), "{stderr}");
}

#[test]
fn the_window_shows_the_fidelity_of_weights_while_a_slider_moves() {
    let start = Start {
        model: Some(ModelReference::File(fixture("unknown.pt"))),
        ..Start::default()
    };
    let mut window = Setup {
        real: true,
        start,
        ..Setup::default()
    }
    .open();
    let begin = std::time::Instant::now();
    let until = |window: &mut Window, what: &dyn Fn(&Window) -> bool| {
        while !what(window) {
            assert!(begin.elapsed().as_secs() < 600, "it does not come");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
            window.harness.step();
        }
    };
    until(&mut window, &|window| window.says("Weights unchanged"));
    window
        .harness
        .get_by_role_and_label(Role::Slider, "Weight bits")
        .set_value_accesskit(2.0);
    window.harness.step();
    until(&mut window, &|window| window.says("Weight fidelity "));
    assert!(window.says("no quality is measured"));
    let page = wattif::app::Command::Show(Page::Weights)
        .shortcut()
        .unwrap();
    window.press(page.modifiers, page.logical_key);
    until(&mut window, &|window| window.says("block.0.kernel: "));
    until(&mut window, &|window| {
        window.says("the largest error is in")
    });
    assert!(
        window.app().messages().is_empty(),
        "{:?}",
        window.app().messages()
    );
}
