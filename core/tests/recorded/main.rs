//! What the program says today, written down: a change that only moves code leaves every figure as it is, and one that is
//! meant to change figures shows which. `WATTIF_RECORD=write cargo test -p wattif-core --test recorded` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use wattif_core::carbon::find_grid;
use wattif_core::engine::Engine;
use wattif_core::footprint::on_fewest_devices;
use wattif_core::hardware;
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_core::preset::Preset;
use wattif_core::profile::ModelProfile;
use wattif_core::recipe::{Group, Pattern, Recipe, Scope};
use wattif_core::scenario::Scenario;
use wattif_core::serving::{self, Options};
use wattif_core::tables;

/// Sums in another order; powers and logarithms differ by this much between systems.
const SAME: f64 = 1e-9;
/// One device of each class, and a second where two models of the cost apply.
const DEVICES: [&str; 11] = [
    "nvidia-h100-sxm",
    "nvidia-rtx-4090",
    "nvidia-jetson-agx-orin-64gb",
    "google-tpu-v4",
    "qualcomm-cloud-ai-100-pro",
    "google-coral-edge-tpu",
    "graphcore-gc200",
    "amd-alveo-u250",
    "intel-loihi-2",
    "st-nucleo-h7a3zi-q",
    "amd-epyc-7763",
];

/// Lines of `name,figures…`, sorted.
#[derive(Default)]
struct Record(BTreeMap<String, Vec<f64>>);

impl Record {
    fn push(&mut self, name: String, figures: Vec<f64>) {
        assert!(!name.contains(','), "{name}");
        assert!(!self.0.contains_key(&name), "twice: {name}");
        self.0.insert(name, figures);
    }

    /// A network in a scenario; an empty line where it cannot run.
    fn cost(&mut self, name: String, profile: &ModelProfile, scenario: &Scenario) {
        let target = hardware::find(&scenario.hardware).unwrap();
        let grid = find_grid(&scenario.region).unwrap();
        let found = on_fewest_devices(profile, scenario, target, grid, scenario.devices);
        let figures = found.map_or_else(
            |_| Vec::new(),
            |(cost, devices)| {
                let (time, energy) = (cost.throughput.range, cost.energy_per_unit.range);
                vec![
                    f64::from(devices),
                    time.low.0,
                    time.typical.0,
                    time.high.0,
                    cost.latency.range.typical.0,
                    energy.low.0,
                    energy.typical.0,
                    energy.high.0,
                    cost.co2e_per_unit.range.typical.0,
                    profile.stored_bytes() as f64,
                ]
            },
        );
        self.push(name, figures);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, figures) in &self.0 {
            text += name;
            for figure in figures {
                // Eleven digits, without zeros at their end.
                let digits = format!("{figure:.10e}");
                let (mantissa, exponent) = digits.split_once('e').unwrap();
                let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
                write!(text, ",{mantissa}e{exponent}").unwrap();
            }
            text.push('\n');
        }
        text
    }

    fn read(text: &str) -> Self {
        let lines = text.lines().map(|line| {
            let mut cells = line.split(',');
            let name = cells.next().unwrap().to_owned();
            (name, cells.map(|cell| cell.parse().unwrap()).collect())
        });
        Self(lines.collect())
    }

    /// Compares with what is written down, or writes it.
    fn check(self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/recorded")
            .join(file);
        if std::env::var_os("WATTIF_RECORD").is_some_and(|value| value == "write") {
            fs::write(&path, self.text()).unwrap();
            return;
        }
        let before = Self::read(&fs::read_to_string(&path).unwrap());
        let names = before.0.keys().chain(self.0.keys());
        let mut moved: Vec<String> = names
            .filter_map(|name| {
                let (old, new) = (before.0.get(name), self.0.get(name));
                let same = |(old, new): (&f64, &f64)| {
                    (old - new).abs() <= SAME * old.abs().max(new.abs()) || old == new
                };
                let equal = old.zip(new).is_some_and(|(old, new)| {
                    old.len() == new.len() && old.iter().zip(new).all(same)
                });
                (!equal).then(|| format!("{name}: {old:?} → {new:?}"))
            })
            .collect();
        moved.dedup();
        let count = moved.len();
        moved.truncate(20);
        assert!(
            moved.is_empty(),
            "{count} of {} figures of {file} moved:\n{}",
            before.0.len(),
            moved.join("\n")
        );
    }
}

fn recipes() -> Vec<Recipe> {
    let mut all = Vec::new();
    for sparsity in [0.0, 0.3, 0.5, 0.9] {
        for (weights, activations) in [(32, 32), (16, 16), (8, 8), (4, 16), (2, 8), (1, 4)] {
            for (pattern, scope, group) in [
                (Pattern::Unstructured, Scope::Global, Group::Channel),
                (Pattern::TwoOfFour, Scope::Layer, Group::Size(32)),
            ] {
                if pattern == Pattern::TwoOfFour && ![0.0, 0.5].contains(&sparsity) {
                    continue;
                }
                let mut recipe = Recipe::default();
                recipe.pruning.sparsity = sparsity;
                recipe.pruning.pattern = pattern;
                recipe.pruning.scope = scope;
                recipe.quantization.weight_bits = weights;
                recipe.quantization.activation_bits = activations;
                recipe.quantization.group = group;
                all.push(recipe);
            }
        }
    }
    for ratio in [0.5, 0.25, 0.1, 0.05] {
        let mut recipe = Recipe::default();
        recipe.distillation.ratio = ratio;
        recipe.quantization.weight_bits = 8;
        all.push(recipe);
    }
    all
}

#[test]
fn bundled_models_cost_what_they_did() {
    let mut record = Record::default();
    for model in wattif_core::model::bundled::all() {
        let engine = Engine::open(&format!("bundled:{}", model.name).parse().unwrap()).unwrap();
        let recipes = recipes();
        assert!(recipes.len() >= 40);
        for recipe in recipes {
            let recipe = recipe.canonical();
            let profile = engine.predict(&recipe).unwrap();
            for device in DEVICES {
                let scenario = Scenario {
                    hardware: device.to_owned(),
                    batch: 8,
                    ..Scenario::default()
                };
                let name = format!(
                    "{} {} on {device}",
                    model.name,
                    recipe.key().replace(',', " ")
                );
                if !record.0.contains_key(&name) {
                    record.cost(name, &profile, &scenario);
                }
            }
        }
    }
    record.check("bundled.csv");
}

#[test]
fn catalogue_networks_cost_what_they_did() {
    let mut record = Record::default();
    for network in serving::architectures().unwrap() {
        let reference: ModelReference = format!("catalogue:{}", network.id).parse().unwrap();
        let outline = Outline::open(&reference).unwrap();
        let original = outline.predict(&Recipe::default()).unwrap();
        let mut narrow = Recipe::default();
        narrow.quantization.weight_bits = 4;
        narrow.quantization.activation_bits = 16;
        narrow.distillation.ratio = 0.5;
        let narrow = outline.predict(&narrow).unwrap();
        record.push(
            format!("{} itself", network.id),
            vec![
                outline.parameters() as f64,
                original.layers.iter().map(|l| l.layer.macs).sum(),
                original.layers.len() as f64,
                original.header_bytes as f64,
            ],
        );
        let first = outline.scenario().unwrap();
        record.cost(format!("{} first", network.id), &original, &first);
        record.cost(format!("{} narrow", network.id), &narrow, &first);
        let second = Scenario {
            hardware: "google-tpu-v4".to_owned(),
            batch: 16,
            context: 2000,
            ..Scenario::default()
        };
        record.cost(format!("{} second", network.id), &original, &second);
    }
    record.check("catalogue.csv");
}

#[test]
fn presets_cost_what_they_did() {
    let mut record = Record::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../presets");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ron"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let preset = Preset::load(&file).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let profile = match Outline::open(&preset.model.reference) {
            Ok(outline) => outline.predict(&preset.recipe).unwrap(),
            Err(_) => Engine::open(&preset.model.reference)
                .unwrap()
                .predict(&preset.recipe)
                .unwrap(),
        };
        record.cost(name, &profile, &preset.scenario);
    }
    record.check("presets.csv");
}

#[test]
fn published_rows_are_predicted_as_they_were() {
    let mut record = Record::default();
    let tables: Vec<_> = tables::SHIPPED
        .iter()
        .map(|(path, text)| tables::read(text, Path::new(path)).unwrap())
        .collect();
    let options = Options {
        models: None,
        cross_validate: false,
    };
    let validation = tables::validate(&tables, options).unwrap();
    for (i, row) in validation.rows.iter().enumerate() {
        let both = [row.predicted_energy_j, row.predicted_throughput];
        let figures = both
            .into_iter()
            .flatten()
            .flat_map(|range| [range.low, range.typical, range.high])
            .chain(row.figures.iter().map(|figure| figure.predicted.typical));
        record.push(
            format!("{i:04} {}", row.id.replace(',', " ")),
            figures.collect(),
        );
    }
    record.push("skipped".to_owned(), vec![validation.skipped.len() as f64]);
    record.check("rows.csv");
}
