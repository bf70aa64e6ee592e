use std::fs;

use super::*;
use crate::measurement::{Interval, Metric};
use crate::recipe::{Group, Pattern};

/// A version 1 file as it was first written; it must load for as long as the program lives.
const FIRST: &str = include_str!("../../tests/fixtures/preset-v1.ron");

#[test]
fn blocks_are_kept_and_their_absence_is_not_written() {
    let mut preset = sample();
    assert!(!preset.to_ron().unwrap().contains("blocks"));
    for format in crate::recipe::BlockFormat::ALL {
        preset.recipe.quantization.blocks = Some(format);
        let text = preset.to_ron().unwrap();
        assert!(text.contains(&format.to_string()), "{text}");
        assert_eq!(Preset::parse(&text).unwrap().recipe, preset.recipe);
    }
}

fn sample() -> Preset {
    let spread = |typical: f64| Range {
        low: typical * 0.5,
        typical,
        high: typical * 2.0,
    };
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = 0.5;
    recipe.pruning.pattern = Pattern::TwoOfFour;
    recipe.quantization.weight_bits = 4;
    recipe.quantization.group = Group::Size(32);
    Preset {
        version: VERSION,
        method_version: 1,
        constants_hash: "00ff".to_owned(),
        title: "Half the weights, a quarter of the bits".to_owned(),
        notes: "Quotes \" and\nnew lines survive.".to_owned(),
        model: PresetModel {
            reference: ModelReference::Bundled("fashion-cnn".to_owned()),
            hash: "abcd".to_owned(),
        },
        recipe,
        scenario: Scenario {
            region: "FRA".to_owned(),
            pue: 1.1,
            ..Scenario::default()
        },
        measured: Some(Measured {
            quality: Some(Quality {
                metric: Metric::Accuracy,
                value: 0.9,
                low: 0.886,
                high: 0.912,
                n: 2000,
                baseline: 0.91,
                change: Interval {
                    value: -0.01,
                    low: -0.015,
                    high: -0.005,
                },
                divergence: Some(Interval {
                    value: 0.02,
                    low: 0.015,
                    high: 0.025,
                }),
                pictures: None,
                neighbours: None,
                bits_per_byte: None,
                same_top: None,
                cosine: None,
            }),
            stored_bytes: 30_000,
            weights: 100_000,
            nonzero_weights: 50_000,
            throughput: spread(1e5).map(UnitsPerSecond),
            latency_s: spread(1e-5).map(Seconds),
            energy_j_per_unit: spread(1e-4).map(Joules),
            co2e_g_per_unit: spread(1e-8).map(GramsCo2e),
        }),
    }
}

#[test]
fn saving_and_loading_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ron");
    sample().save(&path).unwrap();
    assert_eq!(Preset::load(&path).unwrap(), sample());
    let others: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "a.ron")
        .collect();
    assert!(others.is_empty(), "left behind: {others:?}");
}

#[test]
fn saving_over_a_preset_replaces_it_and_a_failed_save_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ron");
    sample().save(&path).unwrap();
    let mut changed = sample();
    changed.title = "Changed".to_owned();
    changed.save(&path).unwrap();
    assert_eq!(Preset::load(&path).unwrap().title, "Changed");

    let nowhere = folder.path().join("no such folder").join("a.ron");
    let error = changed.save(&nowhere).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "cannot be written (there is no such folder): {}",
            nowhere.display()
        )
    );
    assert_eq!(Preset::load(&path).unwrap().title, "Changed");
}

#[test]
fn a_model_below_the_preset_moves_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    let second = folder.path().join("second");
    fs::create_dir(&first).unwrap();
    fs::write(first.join("m.safetensors"), b"not read here").unwrap();
    let mut preset = sample();
    preset.model.reference = ModelReference::File(first.join("m.safetensors"));
    preset.save(&first.join("p.ron")).unwrap();
    fs::rename(&first, &second).unwrap();
    assert_eq!(
        Preset::load(&second.join("p.ron")).unwrap().model.reference,
        ModelReference::File(second.join("m.safetensors"))
    );
}

#[test]
fn the_first_version_still_loads() {
    let preset = Preset::parse(FIRST).unwrap();
    assert_eq!(preset.title, "2:4 sparse, 4-bit weights");
    assert_eq!(preset.recipe.pruning.pattern, Pattern::TwoOfFour);
    assert_eq!(preset.recipe.quantization.group, Group::Size(32));
    assert_eq!(preset.scenario.region, "FRA");
    assert_eq!(preset.measured.unwrap().quality.unwrap().n, 2000);
}

#[test]
fn only_version_method_constants_and_model_are_needed() {
    let preset = Preset::parse(
        r#"(version: 1, method_version: 1, constants_hash: "", model: (reference: "bundled:tiny-gpt"))"#,
    )
    .unwrap();
    assert!(preset.recipe.is_identity());
    assert_eq!(preset.scenario, Scenario::default());
    assert_eq!(preset.measured, None);
}

#[test]
fn broken_presets_say_what_is_wrong_and_where() {
    let head =
        r#"version: 1, method_version: 1, constants_hash: "", model: (reference: "bundled:x")"#;
    let cases = [
        ("", "the file is empty"),
        (" \n\t", "the file is empty"),
        (
            r#"{"version": 1}"#,
            "this is JSON or a map; a preset is RON and starts with '('",
        ),
        (
            "()",
            "the preset needs the field 'version' (line 1, column 2)",
        ),
        (
            "(version: 7, anything: [1, 2])",
            "this is a version 7 preset, written by a newer WattIf; this one reads up to version 1",
        ),
        (
            "(version: 0)",
            "preset version 0 never existed; versions start at 1",
        ),
        ("(version: \"one\")", "expected integer (line 1, column 11)"),
        (
            "(version: 1)",
            "the preset needs the field 'method_version' (line 1, column 12)",
        ),
        (
            "(\n    version: 1,\n    recipe: (",
            "the text ends too early (line 3, column 14)",
        ),
        (
            &format!("({head}, titel: \"x\")"),
            "the preset has no field 'titel'; did you mean title? (line 1, column 86)",
        ),
        (
            &format!("({head},\n recipe: (pruning: (sparsness: 0.5)))"),
            "the pruning has no field 'sparsness'; did you mean sparsity? (line 2, column 21)",
        ),
        (
            &format!("({head}, recipe: (quantization: (colour: 1)))"),
            "the quantization has no field 'colour'; it has weight_bits, group, activation_bits, blocks (line 1, column 110)",
        ),
        (
            &format!("({head},\n recipe: (pruning: (pattern: TwoOfThree)))"),
            "'TwoOfThree' is none of Unstructured, TwoOfFour (line 2, column 30)",
        ),
        (
            &format!("({head}, recipe: (seed: 1, seed: 2))"),
            "the field 'seed' is given twice (line 1, column 104)",
        ),
        (
            &format!("({head}, recipe: (pruning: (sparsity: 1.5)))"),
            "sparsity is 1.5; it must lie between 0 and 0.99",
        ),
        (
            &format!("({head}, recipe: (pruning: (sparsity: NaN)))"),
            "sparsity is NaN; it must lie between 0 and 0.99",
        ),
        (
            &format!("({head}, scenario: (pue: 0.5))"),
            "the PUE is 0.5; it must lie between 1 and 5",
        ),
        (
            &format!("({head}, scenario: (devices: -1))"),
            "integer is out of bounds (line 1, column 108)",
        ),
        (
            &format!("({head}) trailing"),
            "non-whitespace trailing characters (line 1, column 86)",
        ),
    ];
    let wrong: Vec<_> = cases
        .into_iter()
        .map(|(text, message)| (Preset::parse(text).unwrap_err(), message, text))
        .filter(|(found, expected, _)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn figures_that_cannot_be_are_refused() {
    let broken = |change: &dyn Fn(&mut Measured)| {
        let mut preset = sample();
        change(preset.measured.as_mut().unwrap());
        Preset::parse(&preset.to_ron().unwrap()).unwrap_err()
    };
    assert_eq!(
        broken(&|m| m.quality.as_mut().unwrap().value = f64::NAN),
        "measured.quality holds something that is not a number"
    );
    assert_eq!(
        broken(&|m| m.energy_j_per_unit.low = Joules(1.0)),
        "measured.energy_j_per_unit is not in order: 1, 0.0001, 0.0002"
    );
    assert_eq!(
        broken(&|m| m.nonzero_weights = 100_001),
        "measured.nonzero_weights is 100001, more than the 100000 weights"
    );
}

#[test]
fn figures_of_shapes_come_back_without_a_quality() {
    let mut preset = sample();
    preset.measured.as_mut().unwrap().quality = None;
    let text = preset.to_ron().unwrap();
    assert!(!text.contains("quality"), "{text}");
    assert_eq!(Preset::parse(&text).unwrap(), preset);
}

#[test]
fn unknown_fields_are_refused_at_every_depth() {
    let text = sample().to_ron().unwrap();
    for field in [
        "sparsity: ",
        "weight_bits: ",
        "ratio: ",
        "seed: ",
        "pue: ",
        "reference: ",
        "stored_bytes: ",
        "metric: ",
        "baseline: ",
        "typical: ",
    ] {
        assert!(text.contains(field), "{field} is not in the file");
        let broken = text.replacen(field, &format!("unheard_of: 1, {field}"), 1);
        let message = Preset::parse(&broken).unwrap_err();
        assert!(
            message.contains("has no field 'unheard_of'"),
            "before {field}: {message}"
        );
    }
}

#[test]
fn every_truncation_is_an_error() {
    let text = sample().to_ron().unwrap();
    let whole = text.trim_end().len();
    for end in (0..whole).step_by(7) {
        if text.is_char_boundary(end) {
            assert!(Preset::parse(&text[..end]).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn what_is_not_a_preset_file_is_told_by_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let message = |name: &str| {
        let path = folder.path().join(name);
        let text = Preset::load(&path).unwrap_err().to_string();
        text.strip_suffix(&format!(": {}", path.display()))
            .unwrap_or("the path is not last")
            .to_owned()
    };
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("binary.ron"), [0x28, 0xff, 0xfe]).unwrap();
    fs::write(folder.path().join("large.ron"), vec![b' '; 2 << 20]).unwrap();
    fs::write(folder.path().join("cut.ron"), "(version: 1,").unwrap();
    assert_eq!(message("missing.ron"), "there is no such file");
    assert_eq!(message("folder"), "this is a folder, not a file");
    assert_eq!(message("binary.ron"), "this is not a text file (byte 1)");
    assert_eq!(
        message("large.ron"),
        "the file has 2097152 bytes, and files of this kind are read up to 1048576 bytes"
    );
    assert_eq!(
        message("cut.ron"),
        "the text ends too early (line 1, column 13)"
    );
}

#[test]
fn what_a_preset_names_must_exist() {
    let check = |change: &dyn Fn(&mut Preset)| {
        let mut preset = sample();
        preset.scenario = Scenario::default();
        change(&mut preset);
        preset.check().map_err(|error| error.to_string())
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert_eq!(
        check(&|p| p.model.reference = ModelReference::Bundled("fashion-cmm".to_owned())),
        Err("no bundled model is called 'fashion-cmm'; did you mean fashion-cnn or fashion-gan or fashion-vae?".to_owned())
    );
    assert_eq!(
        check(&|p| p.model.reference = ModelReference::File("/no/such.safetensors".into())),
        Err("the preset's model is not there: /no/such.safetensors".to_owned())
    );
    let message = check(&|p| p.scenario.hardware = "ibm-truenort".to_owned()).unwrap_err();
    assert_eq!(
        message,
        "no hardware is called 'ibm-truenort'; did you mean ibm-truenorth?"
    );
    let message = check(&|p| p.scenario.region = "WORLDS".to_owned()).unwrap_err();
    assert!(message.contains("did you mean WORLD"), "{message}");
}

#[test]
fn other_constants_methods_and_weights_are_told_apart() {
    let mut preset = Preset::new(
        ModelReference::Bundled("fashion-cnn".to_owned()),
        "abcd",
        Recipe::default(),
        Scenario::default(),
    )
    .unwrap();
    assert_eq!(preset.differences("abcd").unwrap(), Vec::<String>::new());
    assert_eq!(
        preset.differences("ffff").unwrap(),
        ["saved with other weights under the same name"]
    );
    preset.method_version = 0;
    preset.constants_hash = "1234".to_owned();
    assert_eq!(
        preset.differences("abcd").unwrap(),
        [
            format!(
                "saved with method version 0; this is version {}",
                crate::METHOD_VERSION
            ),
            "saved with other hardware or grid constants".to_owned()
        ]
    );
}
