//! Published configurations, shortened to the keys that matter, against the published counts and file sizes
//! (`core/tests/fixtures/configs.csv`).

use std::path::Path;

use serde_json::{Value, json};

use super::{LONGEST, open};
use crate::files;
use crate::outline::Outline;
use crate::recipe::Recipe;
use crate::serving::written::{billions, stands_in_methods};

/// Parameters against the published count.
const PARAMETERS: f64 = 0.015;
/// The same of one token's, which makers round to whole thousand millions and of which some leave out the output layer.
const ACTIVE: f64 = 0.07;
/// Bytes of weights against the published files.
const BYTES: f64 = 0.03;

#[test]
fn published_configurations_are_counted_as_published() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let table = files::read_text(&folder.join("configs.csv"), LONGEST).unwrap();
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in table.records() {
        let row = row.unwrap();
        count += 1;
        let name = &row[0];
        let mut path = folder.join("configs").join(name).join("config.json");
        if !path.is_file() {
            path.set_file_name("params.json");
        }
        let network = match open(&path) {
            Ok(network) => network,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let context: f64 = row[1].parse().unwrap();
        let graph = network.graph();
        let outline = Outline::of(path.display().to_string().parse().unwrap(), network.clone());
        let profile = outline.predict(&Recipe::default()).unwrap();
        let mut check = |what: &str, found: f64, published: &str, apart: f64| {
            if let Ok(published) = published.parse::<f64>()
                && (found - published).abs() > apart * published
            {
                wrong.push(format!(
                    "{name}: {what} {found:.4e}, published {published:.4e}"
                ));
            }
        };
        check("parameters", graph.parameters() as f64, &row[2], PARAMETERS);
        check("active", graph.active_parameters(), &row[3], ACTIVE);
        check("bytes", profile.stored_bytes() as f64, &row[4], BYTES);
        check("cache", graph.kept_bytes(context), &row[5], 0.02);
    }
    assert!(count >= 35, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_of_configurations_is_the_one_of_the_document() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let table = files::read_text(&folder.join("configs.csv"), LONGEST).unwrap();
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let lines = table.records().map(|row| {
        let row = row.unwrap();
        let own = folder.join("configs").join(&row[0]);
        let file = ["config.json", "params.json"].map(|name| own.join(name));
        let path = file.iter().find(|path| path.is_file()).unwrap();
        let graph = open(path).unwrap().graph();
        let published = |cell: &str| cell.parse().map_or("–".to_owned(), billions);
        format!(
            "| {} | {} | {} | {} | {} |",
            &row[0],
            billions(graph.parameters() as f64),
            published(&row[2]),
            billions(graph.active_parameters()),
            published(&row[3])
        )
    });
    stands_in_methods(&lines.collect::<Vec<_>>());
}

/// Values that a key of a configuration does not expect.
fn wrong_values() -> Vec<Value> {
    vec![
        json!(0),
        json!(1),
        json!(3),
        json!(-1),
        json!(2.5),
        json!(u32::MAX),
        json!(1 << 20),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("LLLG"),
        json!("M-E*"),
        json!("full_attention"),
        json!([]),
        json!([1, 0, 1]),
        json!(["mamba", "moe"]),
        json!([{}]),
        json!({}),
        json!({"bits": 3}),
        json!(true),
        json!(null),
    ]
}

/// Every key of every published configuration with every wrong value: read or refused, never more.
#[test]
fn no_value_of_a_key_is_too_much() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs");
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path().join("config.json");
        let Ok(text) = files::read_text(&path, LONGEST) else {
            continue;
        };
        let config: Value = serde_json::from_str(&text).unwrap();
        for pointer in pointers(&config, "") {
            for value in wrong_values() {
                let mut changed = config.clone();
                *changed.pointer_mut(&pointer).unwrap() = value;
                tried += 1;
                let Ok(network) = super::parse(&changed.to_string(), &path) else {
                    continue;
                };
                let graph = network.graph();
                let bytes = graph.kept_bytes(1e6);
                let what = || format!("{} {pointer}: {changed}", path.display());
                assert!(bytes.is_finite() && bytes >= 0.0, "{}", what());
                assert!(graph.parameters() > 0, "{}", what());
                let outline = Outline::of(path.display().to_string().parse().unwrap(), network);
                assert!(outline.summary(8192).is_ok(), "{}", what());
            }
        }
    }
    assert!(tried > 5000, "{tried}");
}

/// Places of all values inside a value, of lists the first.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let mut all = Vec::new();
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                all.push(place.clone());
                all.extend(pointers(inner, &place));
            }
        }
        Value::Array(list) if !list.is_empty() => all.push(format!("{at}/0")),
        _ => {}
    }
    all
}

/// Nothing that was fitted has layers with a state: it says so, and the range holds the model of the class as well.
#[test]
fn a_hybrid_is_not_taken_for_what_was_fitted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs");
    let target = crate::hardware::find("nvidia-h100-sxm").unwrap();
    for (name, hybrid) in [("qwen3-next-80b-a3b", true), ("glm-4.5-air", false)] {
        let network = open(&folder.join(name).join("config.json")).unwrap();
        let runtime =
            crate::software::runtime(Some(&network), target, crate::software::Software::default());
        let fit = runtime.unwrap().fit;
        assert_eq!(
            fit == crate::serving::Fit::Relatives,
            hybrid,
            "{name}: {fit:?}"
        );
    }
}

/// Tokens that sparse attention picks are what is read; memory holds all of them.
#[test]
fn memory_holds_what_is_not_picked_as_well() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs");
    let network = open(&folder.join("deepseek-v3.2/config.json")).unwrap();
    let all = network.graph().kept_bytes(100_000.0);
    // 61 layers of 576 numbers of 16 bits.
    assert_eq!(all, 61.0 * 576.0 * 2.0 * 100_000.0);
    let outline = Outline::of("config.json".parse().unwrap(), network);
    let profile = outline.predict(&Recipe::default()).unwrap();
    let scenario = crate::scenario::Scenario {
        hardware: "nvidia-h200-sxm".to_owned(),
        devices: 16,
        batch: 4,
        context: 100_000,
        ..crate::scenario::Scenario::default()
    };
    let target = crate::hardware::find(&scenario.hardware).unwrap();
    let held = target.memory_use(&profile, &scenario).unwrap().unwrap();
    assert!(
        (held.cache.0 / (4.0 * all) - 1.0).abs() < 0.01,
        "{:?}",
        held.cache
    );
}

/// The width and the number of layers of a network that stands alone are never those of its class.
#[test]
fn a_size_that_is_missing_is_not_made_up() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path().join("config.json");
        let Ok(text) = files::read_text(&file, LONGEST) else {
            continue;
        };
        let Ok(whole) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        for key in ["hidden_size", "num_hidden_layers"] {
            let mut config = whole.clone();
            let keys = config.as_object_mut().unwrap();
            // Parts state only what is not their class's, and encoders of images are of few sizes.
            let is_part = keys.values().any(Value::is_object) || keys.contains_key("patch_size");
            if is_part || keys.remove(key).is_none() {
                continue;
            }
            let refused = super::parse(&config.to_string(), &file).is_err();
            // A list of blocks says how many there are.
            let listed = [
                "block_configs",
                "hybrid_override_pattern",
                "layers_block_type",
            ];
            let listed =
                key == "num_hidden_layers" && listed.iter().any(|l| config.get(l).is_some());
            assert!(refused || listed, "{} without {key}", file.display());
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}
