//! What people type and the files that they bring, as the real executable takes them: names of places and devices,
//! tables as spreadsheets write them, configurations, arguments without effect.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Exit code, standard output and standard error of a run.
fn wattif(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wattif"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
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

/// Standard output as JSON, and standard error, of a run that must succeed.
fn read(arguments: &[&str]) -> (Value, String) {
    let (code, stdout, stderr) = wattif(arguments);
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    (serde_json::from_str(&stdout).unwrap(), stderr)
}

fn report(arguments: &[&str]) -> (Value, String) {
    let first = ["report", "--json", "--model"];
    read(&[&first, arguments].concat())
}

fn number(value: &Value, pointer: &str) -> f64 {
    value
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("{pointer} is no number"))
}

/// Relative difference between products of the same numbers.
const ROUNDING: f64 = 1e-9;

#[track_caller]
fn near(value: f64, expected: f64) {
    assert!(
        (value / expected - 1.0).abs() < ROUNDING,
        "{value} {expected}"
    );
}

#[test]
fn places_and_devices_are_called_by_name() {
    let arguments = [
        "catalogue:gpt2",
        "--region",
        "germany",
        "--hardware",
        "NVIDIA L4",
    ];
    let (named, _) = report(&arguments);
    assert_eq!(named["scenario"]["region"], "DE");
    assert_eq!(named["scenario"]["hardware"], "nvidia-l4");
    let (code, _, error) = wattif(&[
        "report",
        "--model",
        "catalogue:gpt2",
        "--region",
        "united s",
    ]);
    assert_eq!(code, 2);
    assert!(
        error.contains("the region 'united s' could be United States (US)"),
        "{error}"
    );
}

#[test]
fn what_was_understood_is_said_wherever_the_words_were_not_the_name() {
    let asked = [
        "meta-llama/Llama-3.1-8B-Instruct",
        "--region",
        "germanywestcentral",
        "--hardware",
        "h100 sxm",
    ];
    let (found, _) = report(&asked);
    assert_eq!(
        found["understood"],
        json!([
            "model: llama-3-1-8b, understood from 'meta-llama/Llama-3.1-8B-Instruct'",
            "hardware: NVIDIA H100 SXM5 80 GB (nvidia-h100-sxm), understood from 'h100 sxm'",
            "region: Germany (DE), understood from 'germanywestcentral' (Azure region, Frankfurt)",
        ])
    );
    assert_eq!(found["model"]["reference"], "catalogue:llama-3-1-8b");
    assert_eq!(found["scenario"]["region"], "DE");
    let (code, text, _) = wattif(&[&["report", "--model"], &asked[..]].concat());
    assert_eq!(code, 0);
    assert!(
        text.contains("\nregion: Germany (DE), understood from 'germanywestcentral'"),
        "{text}"
    );
    let plain = [
        "catalogue:gpt2",
        "--region",
        "de",
        "--hardware",
        "nvidia l4",
    ];
    assert!(report(&plain).0.get("understood").is_none());
    let training = [
        "training",
        "--json",
        "--device-hours",
        "10",
        "--hardware",
        "a100 pcie",
        "--region",
        "CHE",
    ];
    let (found, _) = read(&training);
    assert_eq!(found["grid"]["id"], "CH");
    assert_eq!(found["understood"].as_array().unwrap().len(), 2);
}

#[test]
fn what_could_be_several_or_has_no_data_exits_with_two_and_is_never_guessed() {
    for (arguments, message) in [
        (
            ["llama 70b", "--region", "DE"],
            "wattif: the model 'llama 70b' could be llama-3-1-70b or llama-2-70b",
        ),
        (
            ["gpt2", "--hardware", "H100"],
            "wattif: the hardware 'H100' could be NVIDIA H100",
        ),
        (
            ["gpt2", "--region", "California"],
            "wattif: the region 'California' could be United States: CAISO (US-CAL-CISO)",
        ),
        (
            ["gpt2", "--region", "Liechtenstein"],
            "wattif: no grid data for Liechtenstein (LI)",
        ),
        (
            ["gpt2", "--region", "XYZ"],
            "wattif: no region is called 'XYZ'",
        ),
        (
            ["gpt-5", "--region", "DE"],
            "wattif: no model is called 'gpt-5'",
        ),
    ] {
        let (code, stdout, error) = wattif(&[&["report", "--model"], &arguments[..]].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {error}");
        assert!(error.contains(message), "{arguments:?}: {error}");
    }
}

#[test]
fn a_saved_preset_has_identifiers_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.ron");
    let path = file.to_str().unwrap();
    let asked = [
        "Llama-3.1-8B",
        "--hardware",
        "h100 sxm",
        "--region",
        "eu-west-3",
        "--save",
        path,
    ];
    report(&asked);
    let text = std::fs::read_to_string(&file).unwrap();
    for part in [
        "\"catalogue:llama-3-1-8b\"",
        "\"nvidia-h100-sxm\"",
        "\"FR\"",
    ] {
        assert!(text.contains(part), "{text}");
    }
    std::fs::write(&file, text.replace("\"FR\"", "\"France\"")).unwrap();
    let (code, _, error) = wattif(&["report", "--preset", path]);
    assert_eq!(code, 2);
    assert!(
        error.contains("no region is called 'France'; did you mean FR?"),
        "{error}"
    );
}

#[test]
fn tables_call_models_and_devices_as_the_arguments_do() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [("1000", "0.7")];
    let plain = table(",", &rows);
    let spoken = plain
        .replace("Qwen/Qwen3-14B", "14B qwen 3")
        .replace("NVIDIA B200 SXM", "b200sxm");
    assert_ne!(plain, spoken);
    let figures = |text: &str| {
        let (code, stdout, stderr) = validate(folder.path(), text);
        assert_eq!(code, 0, "{stderr}");
        let found: Value = serde_json::from_str(&stdout).unwrap();
        let predicted = found["rows"][0]["predicted_energy_j"].clone();
        assert!(!predicted.is_null(), "{found}");
        predicted
    };
    assert_eq!(figures(&spoken), figures(&plain));
}

const HEADER: &str = "id,model,hardware,precision,batch_size,output_tokens,throughput,energy_j";

/// Rows of Qwen3 14B on a B200 with this throughput and energy, below a header.
fn table(separator: &str, rows: &[(&str, &str)]) -> String {
    let mut text = HEADER.replace(',', separator);
    for (place, (throughput, energy)) in rows.iter().enumerate() {
        let row = format!("r{place},Qwen/Qwen3-14B,NVIDIA B200 SXM,bfloat16,8,600,")
            .replace(',', separator);
        text += &format!("\n{row}{throughput}{separator}{energy}");
    }
    text + "\n"
}

fn validate(folder: &Path, text: &str) -> (i32, String, String) {
    let file = folder.join("rows.csv");
    std::fs::write(&file, text).unwrap();
    wattif(&["validate", "--json", "--against", file.to_str().unwrap()])
}

#[test]
fn cells_that_cannot_be_read_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [("1000", "0.7"), ("", "0,5"), ("1000", "abc")];
    let (code, stdout, _) = validate(folder.path(), &table(";", &rows));
    assert_eq!(code, 0);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(found["rows"].as_array().unwrap().len(), 2);
    assert_eq!(
        found["skipped"],
        json!([{"id": "r1", "reason": "energy_j '0,5' is not a positive number"}])
    );
    // What a row leaves open is noted too.
    let noted = found["notes"].as_array().unwrap();
    let of = |id: &str| noted.iter().find(|note| note["id"] == id).unwrap()["reason"].clone();
    let unread = "energy_j 'abc' is not a positive number";
    assert!(of("r2").as_str().unwrap().starts_with(unread));
    assert!(!of("r0").as_str().unwrap().contains("not a positive number"));
}

#[test]
fn tables_read_the_same_in_every_dialect() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [("1000", "0.7")];
    let plain = validate(folder.path(), &table(",", &rows));
    assert_eq!(plain.0, 0, "{}", plain.2);
    let windows = format!("\u{feff}{}", table(",", &rows).replace('\n', "\r\n"));
    let shouted = table(",", &rows).replacen(HEADER, &HEADER.to_uppercase(), 1);
    for text in [table(";", &rows), table("\t", &rows), windows, shouted] {
        assert_eq!(validate(folder.path(), &text), plain, "{text}");
    }
}

#[test]
fn tables_of_nothing_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, error) = validate(folder.path(), "");
    assert_eq!(code, 2);
    assert!(error.starts_with("wattif: it is empty"), "{error}");
    let (code, _, error) = validate(folder.path(), HEADER);
    assert_eq!(code, 2);
    assert!(error.contains("column names and no rows"), "{error}");
    let (code, _, error) = validate(folder.path(), &table(",", &[("", "abc")]));
    assert_eq!(code, 1);
    assert!(error.contains("nothing could be predicted"), "{error}");
    let (code, _, error) = wattif(&["validate", "--models", "no/such/folder"]);
    assert_eq!(code, 2);
    assert_eq!(error, "wattif: there is no such folder: no/such/folder\n");
}

#[test]
fn extreme_numbers_are_said_with_few_digits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let rows = [("1e-15", "1e15"), ("1e-300", "1e3")];
    std::fs::write(&file, table(",", &rows)).unwrap();
    let (code, stdout, _) = wattif(&["validate", "--against", file.to_str().unwrap()]);
    assert_eq!(code, 0);
    let zeros = "0".repeat(30);
    assert!(!stdout.contains(&zeros), "{stdout}");
    let arguments = ["report", "--model", "catalogue:gpt2", "--demand", "1e300"];
    let (code, _, error) = wattif(&arguments);
    assert_eq!(code, 1);
    assert!(error.contains("the demand per day is 1e300"), "{error}");
}

#[test]
fn a_configuration_with_a_byte_order_mark_is_read_and_its_limit_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let config = json!({
        "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
        "intermediate_size": 1024, "vocab_size": 1000, "max_position_embeddings": 2048
    });
    std::fs::write(&file, format!("\u{feff}{config}")).unwrap();
    let path = file.to_str().unwrap();
    let (long, _) = report(&[path, "--prompt-tokens", "2000", "--answer-tokens", "100"]);
    let note = long["notes"][0].as_str().unwrap();
    assert!(
        note.ends_with("was made for 2,048 tokens; prompt and answer have 2,100"),
        "{note}"
    );
    let (short, _) = report(&[path]);
    assert_eq!(short["notes"], json!([]));
}

#[test]
fn an_answer_costs_its_tokens_and_everything_says_where_it_comes_from() {
    let arguments = ["catalogue:llama-3-1-8b", "--prompt-tokens", "100"];
    let (report, _) = report(&[&arguments[..], &["--answer-tokens", "400"]].concat());
    for end in ["low", "typical", "high"] {
        let answer = |of: &str| number(&report, &format!("/per_answer/{of}/{end}"));
        let token = |of: &str| number(&report, &format!("/footprint/{of}/{end}"));
        near(answer("energy_j"), 400.0 * token("energy_j_per_unit"));
        near(answer("energy_wh"), answer("energy_j") / 3600.0);
        near(answer("co2e_g"), 400.0 * token("co2e_g_per_unit"));
        near(answer("co2e_g_per_1000"), 1000.0 * answer("co2e_g"));
        near(answer("seconds"), 400.0 * token("latency_s"));
        assert!(token("embodied_g_per_unit") < token("co2e_g_per_unit"));
        let parts = report["footprint"]["energy_breakdown_j"]
            .as_object()
            .unwrap();
        let sum: f64 = parts
            .values()
            .map(|part| number(part, &format!("/{end}")))
            .sum();
        near(sum, token("energy_j_per_unit"));
    }
    for pointer in [
        "/per_answer/energy_j",
        "/footprint/embodied_g_per_unit",
        "/footprint/energy_breakdown_j/memory",
    ] {
        let estimate = report.pointer(pointer).unwrap();
        assert!(
            estimate["provenance"]["modelled"]["formula"].is_string(),
            "{pointer}"
        );
    }
    let scope = report["scope"].as_str().unwrap();
    assert!(scope.starts_with("boards only"), "{scope}");
    assert!(
        number(&report, "/memory/weights_bytes") + number(&report, "/memory/cache_bytes")
            < number(&report, "/memory/capacity_bytes")
    );
}

#[test]
fn the_text_of_a_report_has_answers_memory_and_scope() {
    let (code, text, _) = wattif(&["report", "--model", "catalogue:llama-3-1-8b"]);
    assert_eq!(code, 0);
    for words in [
        "Per answer of 500 tokens (modelled)",
        "per 1,000 answers",
        "Energy of boards only: no host processor, fans or power supply.",
        "Memory: 16.1 GB weights + ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (_, text, _) = wattif(&["report", "--model", "catalogue:stable-diffusion-xl"]);
    assert!(text.contains("Per 1,000 images (modelled)"), "{text}");
}

#[test]
fn arguments_without_effect_are_said_on_standard_error() {
    let (_, errors) = report(&[
        "catalogue:resnet-50",
        "--context",
        "100",
        "--time-steps",
        "8",
        "--software",
        "2024",
    ]);
    for argument in ["--context", "--time-steps", "--software"] {
        let line = format!("wattif: {argument} has no effect here: ");
        assert_eq!(errors.matches(&line).count(), 1, "{errors}");
    }
    let (_, errors) = report(&["catalogue:gpt2", "--context", "100", "--software", "2024"]);
    assert_eq!(errors, "");
}

#[test]
fn sizes_of_a_training_are_written_like_those_of_models() {
    let cost = |parameters: &str, tokens: &str| {
        let first = ["training", "--json", "--hardware", "NVIDIA H100 SXM"];
        let size = ["--parameters", parameters, "--tokens", tokens];
        read(&[&first[..], &size[..]].concat()).0
    };
    assert_eq!(cost("8B", "1T"), cost("8e9", "1e12"));
    let (code, _, error) = wattif(&["training", "--parameters", "many", "--tokens", "1e9"]);
    assert_eq!(code, 2);
    assert!(error.contains("write 8e9 or 8B"), "{error}");
}

/// A safetensors file of zeros with these tensors in 16 bits.
fn weights(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), entry);
    }
    let text = Value::Object(header).to_string();
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend(text.as_bytes());
    file.extend(vec![0; end]);
    file
}

/// Tensors named as Llama's: width 64, 3 blocks, 100 words, four heads of which two have keys.
fn llama() -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![100, 64]),
        ("model.norm.weight".to_owned(), vec![64]),
    ];
    for block in 0..3 {
        for (name, shape) in [
            ("self_attn.q_proj", vec![64, 64]),
            ("self_attn.k_proj", vec![32, 64]),
            ("self_attn.v_proj", vec![32, 64]),
            ("self_attn.o_proj", vec![64, 64]),
            ("mlp.gate_proj", vec![160, 64]),
            ("mlp.up_proj", vec![160, 64]),
            ("mlp.down_proj", vec![64, 160]),
            ("input_layernorm", vec![64]),
            ("post_attention_layernorm", vec![64]),
        ] {
            tensors.push((format!("model.layers.{block}.{name}.weight"), shape));
        }
    }
    tensors
}

#[test]
fn a_foreign_safetensors_is_known_by_its_shapes_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = llama();
    let path = folder.path().join("mine.bin");
    std::fs::write(&path, weights(&tensors)).unwrap();
    let file = path.to_str().unwrap();
    let (code, _, stderr) = wattif(&["report", "--model", file]);
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.starts_with(
            "wattif: these are the tensors of a Llama-like network, but the number of attention heads cannot be told from \
             shapes and no config.json is beside them; "
        ),
        "{stderr}"
    );
    assert!(stderr.trim_end().ends_with(file), "{stderr}");
    let config = json!({
        "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 160, "vocab_size": 100, "tie_word_embeddings": true
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let (report, _) = report(&[file]);
    let sum: usize = tensors
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum();
    assert_eq!(number(&report, "/model/parameters"), sum as f64);
    assert!(
        report.pointer("/quality").is_none_or(Value::is_null),
        "{report}"
    );
}

#[test]
fn models_of_other_programs_say_what_they_are_and_what_can_be_done() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, what, offer) in [
        (
            "resnet50.pth",
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8".as_slice(),
            "this is a Python pickle",
            "wattif report --model catalogue:resnet-50",
        ),
        (
            "llama-2-7b.Q4_K_M.gguf",
            b"GGUF\x03\0\0\0\x10\0\0\0\0\0\0\0",
            "this is a GGUF file",
            "wattif report --model catalogue:llama-2-7b",
        ),
        (
            "unknown.tflite",
            b"\x1c\0\0\0TFL3\x14\0 \0",
            "this is a TensorFlow Lite file",
            "wattif models",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let file = path.to_str().unwrap();
        let (code, _, stderr) = wattif(&["report", "--model", file]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.starts_with(&format!("wattif: {what}")), "{stderr}");
        assert!(stderr.contains(offer), "{stderr}");
        assert!(stderr.trim_end().ends_with(file), "{stderr}");
    }
}
