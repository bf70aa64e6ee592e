//! The command line as a script sees it: the real executable, its streams and exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use wattif_core::engine::{Engine, Unobserved};
use wattif_core::measurement::Depth;
use wattif_core::model::ModelReference;
use wattif_core::preset::Preset;
use wattif_core::recipe::Recipe;
use wattif_core::scenario::Scenario;

/// Relative difference allowed between two runs of the same arithmetic: threads may add in another order.
const SAME: f64 = 1e-6;
/// Difference in quality allowed between this machine and the one that saved a preset, in units of the metric:
/// kernels differ by processor, so a few samples may fall on the other side.
const SAME_QUALITY: f64 = 0.005;

const CNN: &str = "bundled:fashion-cnn";

fn wattif(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattif"));
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output of a run that must succeed.
fn stdout(arguments: &[&str]) -> String {
    let output = wattif(arguments);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    assert_eq!(text(&output.stderr), "", "{arguments:?}");
    text(&output.stdout)
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(arguments)).unwrap()
}

/// Exit code and standard error of a run that must fail and print nothing else.
fn failure(arguments: &[&str]) -> (Option<i32>, String) {
    let output = wattif(arguments);
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    (
        output.status.code(),
        text(&output.stderr).trim_end().to_owned(),
    )
}

#[test]
fn a_report_has_the_promised_keys_and_units() {
    let report = json(&[
        "report",
        "--model",
        CNN,
        "--sparsity",
        "0.5",
        "--weight-bits",
        "4",
        "--json",
    ]);
    for key in [
        "model",
        "recipe",
        "scenario",
        "measurement",
        "footprint",
        "savings",
        "method_version",
    ] {
        assert!(!report[key].is_null(), "{key}");
    }
    for key in ["metric", "value", "low", "high", "n", "baseline"] {
        assert!(!report["measurement"]["quality"][key].is_null(), "{key}");
    }
    for key in ["stored_bytes", "nonzero_weights", "weights"] {
        assert!(report["measurement"][key].is_u64(), "{key}");
    }
    for key in [
        "throughput",
        "latency_s",
        "energy_j_per_unit",
        "co2e_g_per_unit",
    ] {
        let estimate = &report["footprint"][key];
        let [low, typical, high] =
            ["low", "typical", "high"].map(|end| estimate[end].as_f64().unwrap());
        assert!(0.0 < low && low <= typical && typical <= high, "{key}");
        assert!(estimate["provenance"]["modelled"]["formula"].is_string());
    }
    let parts = report["footprint"]["energy_breakdown_j"]
        .as_object()
        .unwrap();
    let sum: f64 = parts.values().map(|part| number(part, "/typical")).sum();
    let total = number(&report, "/footprint/energy_j_per_unit/typical");
    assert!((sum / total - 1.0).abs() < SAME, "{sum} {total}");
    for kind in ["nominal", "stored", "realised"] {
        for what in ["size", "operations", "time", "energy"] {
            assert!(report["savings"][kind][what].is_f64(), "{kind} {what}");
        }
    }
    assert_eq!(
        report["method_version"],
        Value::from(wattif_core::METHOD_VERSION)
    );
    // Half of the weights are zero and four bits are an eighth of 32.
    let zero = 1.0
        - number(&report, "/measurement/nonzero_weights") / number(&report, "/measurement/weights");
    assert!((zero - 0.5).abs() < 0.01, "{zero}");
    assert!(number(&report, "/savings/stored/size") > 0.75);
}

fn number(value: &Value, pointer: &str) -> f64 {
    value
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("{pointer} is no number"))
}

#[test]
fn the_command_line_says_what_the_engine_says() {
    let engine = Engine::open(&CNN.parse::<ModelReference>().unwrap()).unwrap();
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = 0.7;
    recipe.quantization.weight_bits = 5;
    recipe.quantization.activation_bits = 8;
    let scenario = Scenario {
        batch: 8,
        region: "FR".to_owned(),
        ..Scenario::default()
    };
    let measurement = engine.measure(&recipe, Depth::Full, &Unobserved).unwrap();
    let report = wattif::cli::report::compute(&engine, &scenario, &measurement).unwrap();
    let expected = serde_json::to_value(&report).unwrap();
    let printed = json(&[
        "report",
        "--model",
        CNN,
        "--sparsity",
        "0.7",
        "--weight-bits",
        "5",
        "--activation-bits",
        "8",
        "--batch",
        "8",
        "--region",
        "FR",
        "--json",
    ]);
    same(&expected, &printed, "");
}

/// Equal but for rounding in the last digits of numbers.
fn same(expected: &Value, found: &Value, place: &str) {
    match (expected, found) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!(
                (a - b).abs() <= SAME * a.abs().max(b.abs()),
                "{place}: {a} and {b}"
            );
        }
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(
                a.keys().collect::<Vec<_>>(),
                b.keys().collect::<Vec<_>>(),
                "{place}"
            );
            for (key, value) in a {
                same(value, &b[key], &format!("{place}/{key}"));
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{place}");
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                same(a, b, &format!("{place}/{index}"));
            }
        }
        (a, b) => assert_eq!(a, b, "{place}"),
    }
}

#[test]
fn a_report_reads_well() {
    let report = stdout(&[
        "report",
        "--model",
        CNN,
        "--pattern",
        "2:4",
        "--weight-bits",
        "8",
        "--explain",
    ]);
    for part in [
        "two of every four weights zero; 8-bit weights with a scale per channel",
        "Measured here on 2,000 held-out images",
        "Accuracy",
        "points, paired sample by sample",
        "(modelled)",
        "J per image",
        "g per day",
        "nominal",
        "realised here",
        "How it is calculated",
    ] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
    for line in report.lines() {
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn impossible_requests_exit_with_one_and_say_why() {
    let report = |arguments: &[&str]| {
        let mut all = vec!["report", "--model", CNN];
        all.extend(arguments);
        failure(&all)
    };
    let cases: [(&[&str], &str); 5] = [
        (
            &["--sparsity", "1.2"],
            "wattif: sparsity is 1.2; it must lie between 0 and 0.99",
        ),
        (
            &["--sparsity", "-0.1"],
            "wattif: sparsity is -0.1; it must lie between 0 and 0.99",
        ),
        (
            &["--weight-bits", "9"],
            "wattif: weight bits are 9; they must be 1 to 8, 16 or 32",
        ),
        (
            &["--pattern", "2:4", "--sparsity", "0.7"],
            "wattif: sparsity is 0.7; the 2:4 pattern has exactly half of its weights at zero, so it must be 0.5",
        ),
        (
            &["--pue", "0.5"],
            "wattif: the PUE is 0.5; it must lie between 1 and 5",
        ),
    ];
    for (arguments, message) in cases {
        assert_eq!(
            report(arguments),
            (Some(1), message.to_owned()),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_language_model_does_not_run_on_truenorth() {
    let (code, message) = failure(&[
        "report",
        "--model",
        "bundled:tiny-gpt",
        "--hardware",
        "ibm-truenorth",
    ]);
    assert_eq!(code, Some(1));
    assert!(
        message.starts_with("wattif: not mappable to IBM TrueNorth: h.0.attn"),
        "{message}"
    );
}

#[test]
fn tensor_cores_that_skip_two_of_four_are_not_said_to_lack_it() {
    // The embedding is pruned as well but multiplies nothing; it must not spoil the sentence.
    let report = stdout(&[
        "report",
        "--model",
        "bundled:tiny-gpt",
        "--pattern",
        "2:4",
        "--weight-bits",
        "16",
        "--activation-bits",
        "16",
        "--hardware",
        "nvidia-a100-sxm4-80gb",
    ]);
    assert!(!report.contains("no 2:4"), "{report}");
}

#[test]
fn wrong_names_exit_with_two_and_suggest_right_ones() {
    let cases: [(&[&str], &str); 6] = [
        (
            &["report", "--model", "bundled:fashion-cn"],
            "wattif: no bundled model is called 'fashion-cn'; did you mean fashion-cnn?",
        ),
        (
            &["report", "--model", CNN, "--hardware", "nvidia-h100-sxn"],
            "wattif: no hardware is called 'nvidia-h100-sxn'; did you mean nvidia-h100-sxm",
        ),
        (
            &["report", "--model", CNN, "--region", "Fr-anse"],
            "wattif: no region is called 'Fr-anse'",
        ),
        (
            &["report", "--model", "no/such/model.safetensors"],
            ": no/such/model.safetensors",
        ),
        (
            &["report", "--preset", "no/such.ron"],
            "wattif: there is no such file: no/such.ron",
        ),
        (
            &["reprot"],
            "wattif: no command or file is called 'reprot'; did you mean report?",
        ),
    ];
    for (arguments, message) in cases {
        let (code, found) = failure(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {found}");
        assert!(found.contains(message), "{arguments:?}: {found}");
    }
}

#[test]
fn wrong_usage_exits_with_two_and_help_with_zero() {
    for arguments in [
        &["report"][..],
        &["report", "--model", CNN, "--sparsity", "many"],
        &["report", "--model", CNN, "--pattern", "3:4"],
        &["report", "--model", CNN, "--unheard-of"],
        &["preset"],
        &["preset", "check"],
        &["report", "--model", CNN, "--title", "without --save"],
    ] {
        let (code, message) = failure(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {message}");
        assert!(
            message.contains("--help") || message.contains("Usage:"),
            "{message}"
        );
    }
    let help = stdout(&["--help"]);
    for command in [
        "report", "models", "hardware", "regions", "preset", "export", "bench",
    ] {
        assert!(help.contains(command), "{command}");
        let own = stdout(&[command, "--help"]);
        assert!(own.contains("Usage: wattif"), "{own}");
    }
    assert!(help.contains("Exit codes: 0 done, 1 asked for something impossible, 2 wrong usage"));
    assert_eq!(
        stdout(&["--version"]).trim(),
        concat!("wattif ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn without_a_display_the_window_names_the_command_line_instead() {
    let preset = "presets/edge-tpu-int8.ron";
    for (arguments, equivalent) in [
        (&[][..], "wattif report --model bundled:fashion-cnn"),
        (
            &[preset],
            "wattif report --preset presets/edge-tpu-int8.ron",
        ),
    ] {
        let (code, message) = failure(arguments);
        assert_eq!(code, Some(2), "{message}");
        assert_eq!(
            message,
            format!(
                "wattif: there is no display to open a window on; on the command line: {equivalent}"
            )
        );
    }
    let (code, message) = failure(&["Cargo.toml"]);
    assert_eq!(code, Some(2));
    assert_eq!(
        message,
        "wattif: this is neither a preset (.ron) nor a model (.gguf, .safetensors, .pt, .npz, .onnx, config.json): Cargo.toml"
    );
}

#[test]
fn the_lists_are_tables_and_json() {
    for (list, id, least) in [
        ("models", "reference", 2),
        ("hardware", "id", 8),
        ("regions", "id", 50),
    ] {
        let entries = json(&[list, "--json"]);
        let entries = entries.as_array().unwrap();
        assert!(entries.len() >= least, "{list}: {}", entries.len());
        let table = stdout(&[list]);
        assert_eq!(table.lines().count(), entries.len() + 1, "{list}");
        for entry in entries {
            assert!(table.contains(entry[id].as_str().unwrap()));
        }
    }
    for entry in json(&["regions", "--json"]).as_array().unwrap() {
        assert!(entry["year"].as_u64().unwrap() > 2000);
        assert!(!entry["source"].as_str().unwrap().is_empty());
    }
}

/// Exit code and both streams of a run with a configuration folder of its own.
fn with_configuration(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(arguments)
        .env("WATTIF_CONFIG_DIR", folder)
        .output()
        .unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn own_hardware_is_cloned_listed_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| with_configuration(folder.path(), arguments);
    let (code, path, _) = run(&["hardware", "clone", "nvidia-t4", "my-t4"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        Path::new(path.trim_end()),
        folder.path().join("hardware").join("my-t4.ron")
    );
    let own = std::fs::read_to_string(path.trim_end()).unwrap();
    // A bandwidth a tenth of the original's, and a second file that is broken.
    let slow = own.replacen(
        "bandwidth: (typical: 320000000000",
        "bandwidth: (typical: 32000000000",
        1,
    );
    assert_ne!(slow, own);
    std::fs::write(path.trim_end(), slow).unwrap();
    let broken = folder.path().join("hardware").join("broken.ron");
    std::fs::write(&broken, "(\n    id: \"x\",\n    lunch: 3,\n)").unwrap();

    let (code, listed, warnings) = run(&["hardware", "--json"]);
    assert_eq!(code, Some(0));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let yours: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["yours"].as_bool().unwrap())
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(yours, ["my-t4"]);
    assert!(
        warnings.starts_with("wattif: a file of yours was left out: line 3:")
            && warnings.contains("lunch")
            && warnings
                .trim_end()
                .ends_with(&format!(": {}", broken.display())),
        "{warnings}"
    );
    let (_, table, _) = run(&["hardware"]);
    let row = table
        .lines()
        .find(|line| line.starts_with("my-t4"))
        .unwrap();
    assert!(row.contains("  yours  "), "{row}");

    let throughput = |hardware: &str| {
        let arguments = [
            "report",
            "--model",
            "dense:7e9",
            "--json",
            "--hardware",
            hardware,
        ];
        let (code, report, errors) = run(&arguments);
        assert_eq!(code, Some(0), "{errors}");
        let report: Value = serde_json::from_str(&report).unwrap();
        number(&report, "/footprint/throughput/typical")
    };
    assert!(throughput("my-t4") < 0.5 * throughput("nvidia-t4"));
}

#[test]
fn own_hardware_files_are_checked_like_presets() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = "assets/hardware/nvidia-t4.ron";
    let run = |arguments: &[&str]| with_configuration(folder.path(), arguments);
    let (_, path, _) = run(&["hardware", "clone", "this-cpu", "mine"]);
    let good = path.trim_end();
    let (code, said, _) = run(&["hardware", "check", good]);
    assert_eq!(code, Some(0));
    assert!(
        said.starts_with(&format!("{good}: can be used; mine, ")),
        "{said}"
    );
    let (code, message) = failure(&["hardware", "check", shipped, "Cargo.toml"]);
    assert_eq!(code, Some(2));
    assert!(
        message.starts_with(
            "wattif: 'nvidia-t4' is the identifier of a device that ships with WattIf; presets that name it"
        ) && message.ends_with(": Cargo.toml"),
        "{message}"
    );
    for taken in ["mine", "nvidia-a40", "../mine"] {
        assert_eq!(run(&["hardware", "clone", "nvidia-t4", taken]).0, Some(2));
    }
    assert_eq!(run(&["hardware", "clone", "nvidia-t5", "new"]).0, Some(2));
}

#[test]
fn senseless_constants_of_this_machine_are_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("this-machine.ron");
    std::fs::write(&path, "(\n    machine: 7,\n)").unwrap();
    let (code, list, warning) = with_configuration(folder.path(), &["hardware"]);
    assert_eq!(code, Some(0));
    assert!(list.contains("This machine: "), "{list}");
    assert!(
        warning.contains("left out: line 2:")
            && warning
                .trim_end()
                .ends_with(&format!(": {}", path.display())),
        "{warning}"
    );
    for clash in [
        ["calibrate", "--this-machine", "--output", "x.ron"],
        ["bench", "--packed", "--positions", "5"],
    ] {
        assert_eq!(failure(&clash).0, Some(2));
    }
}

#[test]
fn a_report_measures_packed_speed_beside_its_prediction() {
    let report = [
        "report",
        "--model",
        "bundled:tiny-gpt",
        "--weight-bits",
        "8",
        "--batch",
        "4",
        "--measure-speed",
    ];
    let packed = &json(&[&report[..], &["--json"]].concat())["packed"];
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!(packed["formats"][0]["format"], "Q8_0");
    assert!(number(&packed["bytes"]) > 505_536.0 && number(&packed["bytes"]) < 1.2 * 505_536.0);
    let quality = &packed["quality"];
    let value = |pass: &str| number(&quality[pass]["value"]);
    assert!(
        (value("packed") - value("engine")).abs() < 0.01,
        "{quality}"
    );
    let speeds = packed["speeds"].as_array().unwrap();
    let works: Vec<(&str, u64)> = speeds
        .iter()
        .map(|s| (s["work"].as_str().unwrap(), s["batch"].as_u64().unwrap()))
        .collect();
    assert_eq!(works, [("write", 1), ("write", 4), ("read", 128)]);
    for speed in speeds {
        let measured = &speed["units_per_s"];
        let quartiles =
            ["lower_quartile", "median", "upper_quartile"].map(|q| number(&measured[q]));
        assert!(quartiles[0] > 0.0 && quartiles.is_sorted(), "{speed}");
        let predicted = &speed["predicted_units_per_s"];
        let range = ["low", "typical", "high"].map(|end| number(&predicted[end]));
        assert!(range[0] > 0.0 && range.is_sorted(), "{speed}");
        let formula = predicted["provenance"]["modelled"]["formula"]
            .as_str()
            .unwrap();
        assert!(formula.contains("unpacking included"), "{formula}");
        let ratio = range[1] / quartiles[1];
        assert!((number(&speed["predicted_over_measured"]) / ratio - 1.0).abs() < 1e-9);
        match speed["joules_per_unit"]["median"].as_f64() {
            Some(joules) => assert!(joules > 0.0),
            None => assert!(!speed["no_joules_because"].as_str().unwrap().is_empty()),
        }
    }
    let (code, why) = failure(&["report", "--model", "catalogue:gpt2", "--measure-speed"]);
    assert_eq!(code, Some(1));
    assert!(why.contains("there are no weights to run"), "{why}");
}

#[test]
fn every_power_sensor_has_watts_or_a_reason() {
    let sources = json(&["power", "--seconds", "0.05", "--json"]);
    let sources = sources.as_array().unwrap();
    for sensor in ["RAPL", "NVML", "battery"] {
        let source = sources
            .iter()
            .find(|source| source["sensor"].as_str().unwrap().starts_with(sensor))
            .unwrap();
        match source["watts"].as_f64() {
            Some(watts) => assert!(watts > 0.0, "{source}"),
            None => assert!(!source["reason"].as_str().unwrap().is_empty(), "{source}"),
        }
    }
    assert_eq!(failure(&["power", "--seconds", "0"]).0, Some(2));
}

#[test]
fn tables_are_validated_by_their_columns() {
    let found = json(&[
        "validate",
        "--json",
        "--against",
        "assets/ground_truth/fpga_measured.csv",
        "assets/ground_truth/compression_quality.csv",
    ]);
    let rows = found["rows"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["id"] == "fpga_measured-2")
        .unwrap();
    // 349.026 microjoules in the table.
    assert!((number(row, "/measured_energy_j") / 349.026e-6 - 1.0).abs() < SAME);
    let energy = |end: &str| number(row, &format!("/predicted_energy_j/{end}"));
    assert!(energy("low") < energy("typical") && energy("typical") < energy("high"));
    assert!(number(row, "/predicted_throughput/typical") > 0.0);
    let skipped = found["skipped"].as_array().unwrap();
    assert!(
        skipped
            .iter()
            .all(|row| row["reason"].as_str().unwrap().contains("never modelled"))
    );
    assert_eq!(rows.len() + skipped.len(), 184);

    let (code, message) = failure(&["validate", "--against", "assets/README.md"]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("missing") && message.trim().ends_with("assets/README.md"),
        "{message}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["regions", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_saved_preset_reports_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.ron");
    let path = path.to_str().unwrap();
    let first = json(&[
        "report",
        "--model",
        CNN,
        "--weight-bits",
        "3",
        "--group",
        "16",
        "--hardware",
        "nvidia-l4",
        "--json",
        "--save",
        path,
        "--title",
        "Three bits",
    ]);
    assert!(stdout(&["preset", "check", path]).contains("\"Three bits\""));
    let again = json(&["report", "--preset", path, "--json"]);
    assert_eq!(again["saved"]["differences"], Value::Array(Vec::new()));
    for key in ["model", "recipe", "scenario", "measurement", "footprint"] {
        same(&first[key], &again[key], key);
    }
    let compared = stdout(&["report", "--preset", path]);
    assert!(compared.contains("The preset"), "{compared}");
    // With another recipe the saved figures answer another question, so they are not shown.
    let other = json(&["report", "--preset", path, "--weight-bits", "8", "--json"]);
    assert!(other.get("saved").is_none());
    assert_eq!(other["scenario"], first["scenario"]);
}

#[test]
fn blocks_of_llama_cpp_are_said_layer_by_layer_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.safetensors");
    let path = path.to_str().unwrap();
    stdout(&["export", "--model", CNN, "--format", "q4_k", path]);
    let report = json(&["report", "--model", CNN, "--format", "Q4_K", "--json"]);
    assert_eq!(report["recipe"]["quantization"]["blocks"], "Q4_K");
    assert_eq!(
        report["measurement"]["stored_bytes"].as_u64(),
        Some(std::fs::metadata(path).unwrap().len())
    );
    // Rows of 9 fill no block, those of 288 none of 256.
    let blocks = report["blocks"].as_array().unwrap();
    let of = |format: &str| blocks.iter().filter(|b| b["format"] == format).count();
    assert_eq!(of("Q4_K") + of("Q5_0") + of("F16"), blocks.len());
    assert!(of("Q5_0") > 0 && of("F16") > 0, "{blocks:?}");
    for block in blocks {
        assert_eq!(block["format"] == "Q4_K", block.get("reason").is_none());
    }
    let text = stdout(&["report", "--model", CNN, "--format", "q4_k"]);
    assert!(
        text.contains("in Q5_0 for Q4_K (rows of 128, 288, 576, no multiple of 256)")
            && text.contains("bits per weight"),
        "{text}"
    );
    // A GGUF needs one to start from, and integers have no place in it.
    let gguf = folder.path().join("a.gguf");
    let gguf = gguf.to_str().unwrap();
    let (_, refused) = failure(&["export", "--model", CNN, "--format", "q4_k", gguf]);
    assert!(refused.contains("opened from a GGUF"), "{refused}");
}

#[test]
fn an_exported_file_has_the_reported_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.safetensors");
    let recipe = ["--sparsity", "0.6", "--weight-bits", "4"];
    let mut arguments = vec!["export", "--model", CNN];
    arguments.extend(recipe);
    arguments.extend(["--output", path.to_str().unwrap()]);
    stdout(&arguments);
    let mut arguments = vec!["report", "--model", CNN, "--json"];
    arguments.extend(recipe);
    let report = json(&arguments);
    assert_eq!(
        report["measurement"]["stored_bytes"].as_u64(),
        Some(std::fs::metadata(&path).unwrap().len())
    );
    // Opened again it says what was done to it, and the same recipe changes nothing more.
    let again = json(&["report", "--model", path.to_str().unwrap(), "--json"]);
    let packed = &again["model"]["packed_with"];
    assert_eq!(packed["quantization"]["weight_bits"], 4);
    assert_eq!(packed["pruning"]["sparsity"], 0.6);
    assert_eq!(
        again["measurement"]["quality"]["value"],
        report["measurement"]["quality"]["value"]
    );
}

#[test]
fn broken_presets_are_all_named_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cut = write("cut.ron", "(version: 1,");
    let newer = write("newer.ron", "(version: 9)");
    let missing = write(
        "missing.ron",
        r#"(version: 1, method_version: 1, constants_hash: "", model: (reference: "gone.safetensors"))"#,
    );
    let (code, message) = failure(&["preset", "check", &cut, &newer, &missing]);
    assert_eq!(code, Some(2));
    assert_eq!(
        message,
        format!(
            "wattif: the text ends too early (line 1, column 13): {cut}\n\
             wattif: this is a version 9 preset, written by a newer WattIf; this one reads up to version 1: {newer}\n\
             wattif: the preset's model is not there: {}",
            folder.path().join("gone.safetensors").display()
        )
    );
}

#[test]
fn a_preset_whose_model_moved_takes_another_place_and_says_whether_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models");
    let (own, moved, preset) = (
        path("own.safetensors"),
        path("moved.safetensors"),
        path("a.ron"),
    );
    std::fs::copy(models.join("fashion-cnn.safetensors"), &own).unwrap();
    stdout(&[
        "report",
        "--model",
        &own,
        "--sparsity",
        "0.5",
        "--save",
        &preset,
    ]);
    std::fs::rename(&own, &moved).unwrap();
    let (code, message) = failure(&["report", "--preset", &preset]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("can be said with --model PATH beside --preset")
            && message.contains("own.safetensors"),
        "{message}"
    );
    let said = |model: &str| {
        let run = wattif(&["report", "--preset", &preset, "--model", model]);
        assert!(run.status.success());
        (
            String::from_utf8(run.stderr).unwrap(),
            String::from_utf8(run.stdout).unwrap(),
        )
    };
    let (complaint, report) = said(&moved);
    assert!(!complaint.contains("other weights"), "{complaint}");
    assert!(report.contains("saved"), "{report}");
    let (complaint, _) = said(
        models
            .join("fashion-cnn-student-050.safetensors")
            .to_str()
            .unwrap(),
    );
    assert!(
        complaint.contains("has other weights than the one that the preset was saved with"),
        "{complaint}"
    );
}

#[test]
fn code_is_measured_where_it_is_asked_for() {
    let quality = |arguments: &[&str]| {
        let run = wattif(
            &[
                &["report", "--model", "bundled:tiny-gpt", "--json"],
                arguments,
            ]
            .concat(),
        );
        let said: Value = serde_json::from_slice(&run.stdout).unwrap();
        (
            text(&run.stderr),
            number(&said, "/measurement/quality/value"),
        )
    };
    let (said, prose) = quality(&[]);
    assert!(!said.contains("measured on"), "{said}");
    let (said, code) = quality(&["--text", "code"]);
    assert!(said.contains("this program's own sources"), "{said}");
    assert!(code > prose + 1.0, "{code} {prose}");
}

#[test]
fn the_presets_that_ship_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let folder = root.join("presets");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let preset = Preset::load(&path).unwrap();
        preset.check().unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
        assert!(!preset.title.is_empty(), "{}", path.display());
        let report = json(&[
            "report",
            "--preset",
            path.to_str().unwrap(),
            "--nearest-student",
            "--json",
        ]);
        seen += 1;
        let saved = preset.measured.clone().unwrap();
        assert_eq!(
            report["saved"]["differences"],
            Value::Array(Vec::new()),
            "{}; save it again: wattif report --preset F --save F",
            path.display()
        );
        let measurement = &report["measurement"];
        assert_eq!(measurement["student"]["exact"], Value::Bool(true));
        assert_eq!(measurement["stored_bytes"], Value::from(saved.stored_bytes));
        assert_eq!(
            measurement["quality"].is_null(),
            preset.model.reference.is_outline(),
            "{name}"
        );
        if let Some(saved) = saved.quality {
            let quality = number(measurement, "/quality/value");
            assert!(
                (quality - saved.value).abs() <= SAME_QUALITY,
                "{name}: {quality} now, {} saved",
                saved.value
            );
        }
        let energy = number(&report, "/footprint/energy_j_per_unit/typical");
        assert!(
            (energy / saved.energy_j_per_unit.typical.0 - 1.0).abs() < SAME,
            "{}",
            path.display()
        );
    }
    assert!(seen >= 4, "{seen} presets");
}

#[test]
fn the_readme_names_the_packages_that_ci_installs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let ci = std::fs::read_to_string(root.join(".ci/run")).unwrap();
    let packages = ci
        .lines()
        .find_map(|line| line.strip_prefix("packages='")?.strip_suffix('\''))
        .unwrap();
    assert!(readme.contains(&format!("apt-get install -y {packages}\n")));
}

#[test]
fn a_network_known_by_its_shapes_is_reported_without_quality() {
    let report = json(&[
        "report",
        "--model",
        "catalogue:llama-3-1-8b",
        "--weight-bits",
        "4",
        "--json",
    ]);
    assert!(report["measurement"]["quality"].is_null());
    assert_eq!(report["model"]["parameters"], 8_030_261_248_u64);
    assert_eq!(report["scenario"]["hardware"], "nvidia-h100-sxm");
    let energy = &report["footprint"]["energy_j_per_unit"];
    let [low, typical, high] = ["low", "typical", "high"].map(|end| energy[end].as_f64().unwrap());
    assert!(0.0 < low && low < typical && typical < high);
    assert!(report["savings"]["realised"]["size"].as_f64().unwrap() > 0.7);
    let text = stdout(&[
        "report",
        "--model",
        "dense:8B",
        "--hardware",
        "this-cpu",
        "--batch",
        "1",
    ]);
    assert!(
        text.contains("Quality: not measured, no weights are loaded"),
        "{text}"
    );
}

#[test]
fn a_configuration_is_opened_and_a_partial_one_names_its_missing_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let whole = r#"{"model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 128256, "tie_word_embeddings": true}"#;
    std::fs::write(&path, whole).unwrap();
    for model in [folder.path(), &path] {
        let report = json(&["report", "--model", &model.to_string_lossy(), "--json"]);
        let parameters = report["model"]["parameters"].as_f64().unwrap();
        assert!((parameters / 1.2358e9 - 1.0).abs() < 0.001, "{parameters}");
    }
    std::fs::write(&path, whole.replace("num_hidden_layers", "depth")).unwrap();
    let (code, message) = failure(&["report", "--model", &path.to_string_lossy()]);
    assert_eq!(code, Some(2));
    assert_eq!(
        message,
        format!(
            "wattif: the key 'num_hidden_layers' is missing: {}",
            path.display()
        )
    );
}

#[test]
fn a_preset_keeps_a_network_known_by_its_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixture.ron");
    let path = path.to_string_lossy();
    stdout(&[
        "report",
        "--model",
        "moe:30e9:3e9",
        "--batch",
        "8",
        "--save",
        &path,
    ]);
    assert!(stdout(&["preset", "check", &path]).contains("moe:3e10:3e9"));
    let again = json(&["report", "--preset", &path, "--json"]);
    assert_eq!(again["model"]["reference"], "moe:3e10:3e9");
    assert_eq!(again["scenario"]["batch"], 8);
}

fn typical(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap()
}

#[test]
fn a_training_is_costed_from_published_hours_and_from_its_size() {
    let mut direct = vec!["training", "--json", "--pue", "1.1", "--intensity", "429"];
    let size = direct.clone();
    direct.extend(["--days", "14.8", "--devices", "10000", "--watts", "330"]);
    let run = json(&direct);
    // Patterson et al. 2021: 1287 MWh and 552.1 t from inputs with three digits.
    let megawatt_hours = typical(&run, "/energy_j/typical") / 3.6e9;
    assert!(
        (megawatt_hours / 1287.0 - 1.0).abs() < 0.005,
        "{megawatt_hours}"
    );
    let tonnes = typical(&run, "/operational_g/typical") / 1e6;
    assert!((tonnes / 552.1 - 1.0).abs() < 0.005, "{tonnes}");
    let mut predicted = size;
    predicted.extend(["--parameters", "175e9", "--tokens", "300e9"]);
    predicted.extend(["--hardware", "nvidia-v100-sxm2", "--devices", "10000"]);
    let run = json(&predicted);
    assert_eq!(typical(&run, "/operations"), 3.15e23);
    let [low, middle, high] =
        ["low", "typical", "high"].map(|end| typical(&run, &format!("/energy_j/{end}")) / 3.6e9);
    assert!(low < middle && middle < high);
    assert!(low < 1287.0 && 1287.0 < high, "{low} to {high}");
    let parts = ["operational_g", "embodied_g"].map(|part| typical(&run, &format!("/{part}/high")));
    let together = typical(&run, "/co2e_g/high");
    assert!((parts.iter().sum::<f64>() / together - 1.0).abs() < SAME);
}

#[test]
fn a_training_that_cannot_be_says_why() {
    let size = ["training", "--parameters", "7e9", "--tokens", "2e12"];
    let with = |more: &[&str]| failure(&[&size, more].concat());
    assert_eq!(
        with(&["--hardware", "nvidia-v100-sxm2", "--precision", "fp8"]),
        (
            Some(1),
            "wattif: NVIDIA V100 SXM2 32 GB has no FP8 arithmetic; it has INT8, FP16, FP32"
                .to_owned()
        )
    );
    // Two devices are called so.
    let (code, message) = with(&["--hardware", "h100"]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("nvidia-h100-sxm") && message.contains("nvidia-h100-pcie"),
        "{message}"
    );
    let (code, message) = failure(&["training", "--days", "3"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("--hardware"), "{message}");
}

#[test]
fn a_student_s_report_says_what_its_training_cost_and_when_it_is_paid_back() {
    let report = json(&[
        "report",
        "--model",
        CNN,
        "--distill",
        "0.25",
        "--demand",
        "1e6",
        "--wue",
        "0.3",
        "--json",
    ]);
    let spent = typical(&report, "/training/energy_j/typical");
    let before = typical(&report, "/original/energy_j_per_unit/typical");
    let after = typical(&report, "/footprint/energy_j_per_unit/typical");
    let units = typical(&report, "/training/break_even_units/typical");
    assert!((units * (before - after) / spent - 1.0).abs() < SAME);
    let days = typical(&report, "/training/break_even_days/typical");
    assert!((days * 1e6 / units - 1.0).abs() < SAME);
    for key in [
        "energy_j",
        "co2e_g",
        "seconds",
        "break_even_units",
        "break_even_days",
    ] {
        assert!(report["training"][key]["provenance"].is_object(), "{key}");
    }
    let litres = typical(&report, "/water/l_per_unit/typical");
    assert!((litres / (after / 3.6e6 * 0.3) - 1.0).abs() < SAME);
    let kept = ["model_year", "original_year"]
        .map(|file| typical(&report, &format!("/storage/{file}/energy_j/typical")));
    assert!(kept[0] < kept[1]);
    let plain = json(&["report", "--model", CNN, "--json"]);
    assert!(plain["training"].is_null() && plain["water"].is_null());
    let text = stdout(&["report", "--model", CNN, "--distill", "0.25"]);
    assert!(text.contains("Paid back after"), "{text}");
}

#[test]
fn a_folder_of_configurations_is_checked_in_one_go() {
    let folder = "core/tests/fixtures/configs";
    let checked = json(&["models", "check", folder, "--json", "--context", "131072"]);
    let checked = checked.as_array().unwrap();
    assert!(checked.len() >= 38, "{}", checked.len());
    let entry = |name: &str| {
        let found = checked.iter().find(|entry| entry["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is not there"))
    };
    // Published: 32.0 billion, 16 layers over everything and 48 over 4,096 tokens.
    let exaone = entry("exaone4-32b-lllg");
    assert!((exaone["parameters"].as_f64().unwrap() / 32.0e9 - 1.0).abs() < 0.015);
    assert!((exaone["cache_bytes"].as_f64().unwrap() / 9.4e9 - 1.0).abs() < 0.02);
    assert!(
        checked.iter().all(|entry| entry["refused"].is_null()),
        "{checked:?}"
    );
    let text = stdout(&["models", "check", folder]);
    assert!(
        text.contains("stored by 'mxfp4': 4 bits a weight"),
        "{text}"
    );
    // The same is said before the figures of a report.
    let report = stdout(&["report", "--model", &format!("{folder}/gpt-oss-120b-mxfp4")]);
    let (understood, figures) = report.split_once("On NVIDIA").unwrap();
    assert!(understood.contains("stored by 'mxfp4'"), "{understood}");
    assert!(!figures.is_empty());
    let (code, message) = failure(&["models", "check", "presets"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("holds no configuration"), "{message}");
}
