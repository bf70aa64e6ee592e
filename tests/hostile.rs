//! Files and numbers from outside that are wrong, each through its door of the real executable: the fact, then the path,
//! exit code 2 (1 where a number in the arguments is impossible), nothing printed as if it were a result.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

mod halves;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use halves::half_copy;
use serde_json::{Value, json};

/// A folder for settings and one for students, both empty at first.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// Exit code, standard output and standard error of a run.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_wattif"))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("WATTIF_CONFIG_DIR", self.path("settings"))
            .env("WATTIF_CACHE_DIR", self.path("cache"))
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

    /// A run that must be refused: its one line on standard error.
    #[track_caller]
    fn refusal(&self, code: i32, arguments: &[&str]) -> String {
        let (found, stdout, stderr) = self.run(arguments);
        assert_eq!(found, code, "{arguments:?}: {stdout}{stderr}");
        assert_eq!(stdout, "", "{arguments:?}");
        let line = stderr.trim_end();
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(line.len() < 600, "{line}");
        line.strip_prefix("wattif: ").unwrap().to_owned()
    }

    /// A file that must be refused: the fact that it begins with, then the path.
    #[track_caller]
    fn refused(&self, file: &str, fact: &str, arguments: &[&str]) {
        let line = self.refusal(2, arguments);
        assert!(line.contains(fact), "{line}\nshould say: {fact}");
        assert!(line.ends_with(&format!(": {file}")), "{line}");
    }
}

fn case(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    folder.join(name).to_string_lossy().into_owned()
}

#[test]
fn models_and_packed_files_are_refused_with_the_fact_and_the_path() {
    let home = Home::new();
    for (name, fact) in [
        (
            "packed-nan-gamma.safetensors",
            "tensor 'bn1.weight' has 1 of 16 values that are not finite",
        ),
        (
            "packed-recipe-s-5-b4-r1.safetensors",
            "sparsity is -5; it must lie between 0 and 0.99",
        ),
        (
            "safetensors-escape-name.safetensors",
            r"the first is '\u001b]0;owned\u0007\u001b[31m'",
        ),
    ] {
        let file = case(name);
        for command in ["report", "export"] {
            let output = home.path("out.safetensors");
            let mut arguments = vec![command, "--model", &file];
            let output = output.to_string_lossy().into_owned();
            if command == "export" {
                arguments.extend(["--output", &output]);
            }
            home.refused(&file, fact, &arguments);
            assert!(!Path::new(&output).exists());
        }
    }
}

#[test]
fn configurations_are_refused_at_once() {
    let home = Home::new();
    for (name, fact) in [
        (
            "config-experts-8-of-2.json",
            "'num_experts_per_tok' is 8, more than 'num_local_experts', 2",
        ),
        (
            "config-kv-heads-as-text.json",
            "the key 'num_key_value_heads' is \"8\", which is not a whole number",
        ),
        (
            "config-unet-layers-hang.json",
            "the key 'transformer_layers_per_block' is 4294967295; it must lie between 0 and 4096",
        ),
    ] {
        let file = case(name);
        home.refused(&file, fact, &["report", "--model", &file]);
    }
    let twice = home.write("config.json", r#"{"hidden_size": 8, "hidden_size": 16}"#);
    home.refused(
        &twice,
        "'hidden_size' stands there twice",
        &["report", "--model", &twice],
    );
}

/// The device file that ships, as one's own, with a part replaced.
fn device(from: &str, to: &str) -> String {
    let text = include_str!("../assets/hardware/nvidia-t4.ron");
    assert!(text.contains(from), "{from}");
    text.replacen("\"nvidia-t4\"", "\"mine\"", 1)
        .replacen(from, to, 1)
}

#[test]
fn devices_are_refused_by_the_table_of_figures() {
    let home = Home::new();
    let bandwidth = "bandwidth: (typical: 3.2e+11";
    let int8 = "Int8: (typical: 1.3e+14";
    let long = format!("id: \"{}\"", "a".repeat(5000));
    for (from, to, fact) in [
        (
            bandwidth,
            "bandwidth: (typical: 0.0",
            "memory bandwidth is 0 B/s; it must lie between 10000 and",
        ),
        (
            "typical: 70.0",
            "typical: 1.7e308",
            "power_limit is 1.7e308 W; it must lie between 0.000001 and 100000 W",
        ),
        (
            "typical: 70.0",
            "typical: inf",
            "power_limit is not a finite number",
        ),
        (
            "typical: 70.0",
            "typical: NaN",
            "power_limit is not a finite number",
        ),
        (
            "low: 5.6, typical: 10.5, high: 21.0",
            "low: 5.6, typical: 10.5, high: 90.0",
            "static_power is not below power_limit",
        ),
        (
            int8,
            "Int8: (typical: 1.0, source: \"x\", trust: Given), Int8: (typical: 1.3e+14",
            "Int8 stands there twice",
        ),
        ("year: 2018,", "year: 2018, year: 2019,", "year"),
        (
            "year: 2018",
            "year: 18",
            "year is 18; it must lie between 1950 and 2100",
        ),
        (
            "id: \"mine\"",
            "id: \"con\"",
            "the identifier 'con' is no name of a file on Windows",
        ),
        (
            "id: \"mine\"",
            &long,
            "the identifier has 5000 characters; it may have at most 64",
        ),
        (
            "id: \"mine\"",
            "id: \"a\u{1b}[31m\"",
            r"the identifier 'a\u001b[31m' may hold only letters",
        ),
        ("name: \"NVIDIA T4\"", "name: \"\"", "name has 0 characters"),
    ] {
        let text = if from.starts_with("id") {
            device("", "").replacen(from, to, 1)
        } else {
            device(from, to)
        };
        let file = home.write("wrong.ron", &text);
        home.refused(&file, fact, &["hardware", "check", &file]);
    }
    for wrong in ["con", "COM1", &"b".repeat(5000)] {
        let line = home.refusal(2, &["hardware", "clone", "nvidia-t4", wrong]);
        assert!(line.starts_with("the identifier "), "{line}");
    }
    assert!(!home.path("settings/hardware").exists());
}

#[test]
fn names_in_files_never_act_on_the_terminal() {
    let home = Home::new();
    let name = "name: \"\u{1b}]0;owned\u{7}\u{1b}[31m\u{202e}\"";
    home.write(
        "settings/hardware/mine.ron",
        device("name: \"NVIDIA T4\"", name),
    );
    let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    let preset = home.write(
        "p.ron",
        include_str!("../presets/gpu-2-4-sparse.ron").replacen(
            "title: \"",
            "title: \"\u{1b}[31m",
            1,
        ),
    );
    let report = [
        "report",
        "--model",
        "catalogue:llama-3-1-8b",
        "--weight-bits",
        "4",
    ];
    for arguments in [
        vec!["hardware"],
        vec!["hardware", "--json"],
        vec!["preset", "check", &preset],
        [&report[..], &["--hardware", "mine"][..]].concat(),
        [&report[..], &["--hardware", "mine", "--json"][..]].concat(),
    ] {
        let (code, stdout, stderr) = home.run(&arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        assert!(
            !(stdout.clone() + &stderr).contains(acts),
            "{arguments:?}: {stdout}"
        );
        if arguments.contains(&"--json") {
            serde_json::from_str::<Value>(&stdout).unwrap();
            let shows_name = arguments[0] != "report";
            assert!(
                !shows_name || stdout.contains("\\u001b]0;owned"),
                "{stdout}"
            );
        }
    }
}

#[test]
fn saved_figures_below_zero_are_refused() {
    let home = Home::new();
    let file = case("preset-negative-energy.ron");
    let fact = "measured.energy_j_per_unit is below zero: -3";
    home.refused(&file, fact, &["preset", "check", &file]);
    home.refused(&file, fact, &["report", "--preset", &file]);
}

#[test]
fn a_damaged_student_is_named_left_alone_and_not_used() {
    let home = Home::new();
    let hash = "d12fe04748feda4d";
    let bytes = std::fs::read(case("student-heads-a.safetensors")).unwrap();
    let name = format!("cache/students/{hash}/r0.3t2s1.safetensors");
    let file = home.write(&name, &bytes);
    // The nearest student that can be run stands in for it.
    let arguments = [
        "report",
        "--model",
        "bundled:tiny-gpt",
        "--distill",
        "0.3",
        "--nearest-student",
        "--json",
    ];
    let (code, stdout, stderr) = home.run(&arguments);
    assert_eq!(code, 0, "{stderr}");
    let line = stderr.lines().next().unwrap();
    assert_eq!(
        line,
        format!(
            "wattif: a trained student was left out: the architecture in the metadata has a width of 16 that 1048576 \
             heads do not divide: {file}"
        )
    );
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["measurement"]["student"]["exact"], json!(false));
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn impossible_numbers_of_a_training_are_refused() {
    let home = Home::new();
    let size = ["--tokens", "1e9", "--hardware", "nvidia-h100-sxm"];
    for wrong in ["inf", "-5", "0", "1e300", "NaN"] {
        for arguments in [
            [&["--parameters", wrong][..], &size[..]].concat(),
            [&["--parameters", "1e9", "--tokens", wrong][..], &size[2..]].concat(),
            vec!["--device-hours", wrong, "--watts", "300"],
            vec!["--days", wrong, "--devices", "10", "--watts", "300"],
            vec!["--days", "3", "--devices", "10", "--watts", wrong],
            [&["--parameters", "1e9", "--mfu", wrong][..], &size[..]].concat(),
            vec!["--days", "3", "--watts", "300", "--pue", wrong],
            vec![
                "--days",
                "3",
                "--watts",
                "300",
                "--intensity",
                if wrong == "0" { "-1" } else { wrong },
            ],
        ] {
            let arguments = [&["training"][..], &arguments].concat();
            let line = home.refusal(1, &arguments);
            assert!(line.contains("must"), "{arguments:?}: {line}");
        }
    }
}

fn number(value: &Value, pointer: &str) -> f64 {
    let number = value.pointer(pointer).and_then(Value::as_f64);
    number.unwrap_or_else(|| panic!("{pointer} is no number in {value:#}"))
}

#[test]
fn the_original_of_a_file_of_16_bits_has_16_bits() {
    /// Headers, the few parameters beside the weights, and weights that round to zero.
    const APART: f64 = 0.05;
    let home = Home::new();
    let bundled = include_bytes!("../assets/models/fashion-cnn.safetensors");
    let full = bundled.len() as f64;
    for brain in [false, true] {
        let bytes = half_copy(bundled, brain);
        let file = home.write("half.safetensors", &bytes);
        let report = |arguments: &[&str]| -> Value {
            let first = ["report", "--json", "--model", &file];
            let (code, stdout, stderr) = home.run(&[&first[..], arguments].concat());
            assert_eq!(code, 0, "{stderr}");
            serde_json::from_str(&stdout).unwrap()
        };
        let same = report(&[]);
        let stored = number(&same, "/model/stored_bytes");
        assert!(
            (stored / bytes.len() as f64 - 1.0).abs() < APART,
            "{stored}"
        );
        for kind in ["nominal", "stored", "realised"] {
            assert_eq!(
                number(&same, &format!("/savings/{kind}/size")),
                0.0,
                "{kind}"
            );
        }
        // Half the bits of half precision, not a quarter of single precision.
        let eight = report(&["--weight-bits", "8"]);
        for kind in ["nominal", "stored"] {
            let saved = number(&eight, &format!("/savings/{kind}/size"));
            assert!((saved - 0.5).abs() < APART, "{kind}: {saved}");
        }
        // What is exported unchanged is as large as the original, and has the same quality.
        let path = home.path("out.safetensors").to_string_lossy().into_owned();
        let (code, stdout, stderr) = home.run(&["export", "--model", &file, "--output", &path]);
        assert_eq!(code, 0, "{stderr}");
        let written = std::fs::metadata(&path).unwrap().len() as f64;
        assert!(
            (written / bytes.len() as f64 - 1.0).abs() < APART,
            "{stdout}"
        );
        assert!(written < 0.6 * full);
        let again = {
            let (code, stdout, stderr) = home.run(&["report", "--json", "--model", &path]);
            assert_eq!(code, 0, "{stderr}");
            serde_json::from_str::<Value>(&stdout).unwrap()
        };
        assert_eq!(again["model"]["hash"], same["model"]["hash"]);
        // Zeros that are left out do not cost the exactness of the others.
        let path = home
            .path("zeros.safetensors")
            .to_string_lossy()
            .into_owned();
        let export = [
            "export",
            "--model",
            &file,
            "--sparsity",
            "0.7",
            "--output",
            &path,
        ];
        let (code, _, stderr) = home.run(&export);
        assert_eq!(code, 0, "{stderr}");
        let pruned = report(&["--sparsity", "0.7"]);
        let written = std::fs::metadata(&path).unwrap().len() as f64;
        assert_eq!(number(&pruned, "/measurement/stored_bytes"), written);
        assert!(written < 0.5 * bytes.len() as f64, "{written}");
    }
}
