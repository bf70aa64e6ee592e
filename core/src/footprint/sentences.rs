//! No sentence contradicts a figure beside it: what a note says of zeros, widths and batches is tried out by changing
//! just that, on every device, for bundled and published networks, under random recipes and scenarios.

use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::carbon::find_grid;
use crate::engine::planner;
use crate::hardware::Precision;
use crate::hardware::{CostModel, HardwareClass, catalogue};
use crate::measurement::Provenance;
use crate::model::bundled;
use crate::outline::Outline;
use crate::profile::LayerProfile;
use crate::recipe::{Group, Pattern, Recipe};
use crate::serving::Fit;
use crate::software::Software;
use crate::training::payback;

/// Sums of the same terms in another order.
const SAME: f64 = 1e-9;
/// Recipes and scenarios that every model is tried with on every device.
const TRIES: usize = 6;
const NETWORKS: [&str; 11] = [
    "catalogue:llama-3-1-8b",
    "catalogue:qwen3-30b-a3b",
    "catalogue:gpt-oss-120b",
    "catalogue:resnet-50",
    "catalogue:mobilenet-v2",
    "catalogue:bert-base",
    "catalogue:lstm-ptb-medium",
    "catalogue:mlperf-tiny-resnet-8",
    "catalogue:lenet-5",
    "catalogue:stable-diffusion-3-medium",
    "catalogue:stable-diffusion-2-1",
];

/// Gives the profile of a recipe.
type Predict = Box<dyn Fn(&Recipe) -> ModelProfile>;

fn models() -> Vec<(String, Predict)> {
    let shipped = bundled::all().iter().map(|model| {
        let opened = bundled::load(model.name).unwrap();
        let plans = planner(model.name, &opened.architecture).unwrap();
        let predict: Predict = Box::new(move |recipe| plans.plan(recipe));
        (model.name.to_owned(), predict)
    });
    let known = NETWORKS.iter().map(|name| {
        let outline = Outline::open(&name.parse().unwrap()).unwrap();
        let predict: Predict = Box::new(move |recipe| outline.predict(recipe).unwrap());
        ((*name).to_owned(), predict)
    });
    shipped.chain(known).collect()
}

fn one<T: Copy>(random: &mut ChaCha8Rng, of: &[T]) -> T {
    *of.choose(random).unwrap()
}

fn recipe(random: &mut ChaCha8Rng) -> Recipe {
    let mut recipe = Recipe::default();
    let patterns = [Pattern::Unstructured, Pattern::TwoOfFour];
    recipe.pruning.pattern = one(random, &patterns);
    recipe.pruning.sparsity = match recipe.pruning.pattern {
        Pattern::TwoOfFour => one(random, &[0.0, 0.5, 0.5]),
        Pattern::Unstructured => one(random, &[0.0, 0.3, 0.9]),
    };
    recipe.quantization.weight_bits = one(random, &Recipe::WEIGHT_BITS);
    recipe.quantization.activation_bits = one(random, &Recipe::ACTIVATION_BITS);
    recipe.quantization.group = one(random, &[Group::Channel, Group::Size(32)]);
    recipe
}

fn scenario(random: &mut ChaCha8Rng, hardware: &str) -> Scenario {
    let (prompt_tokens, answer_tokens) = one(random, &[(0, 0), (500, 200), (4000, 50)]);
    Scenario {
        hardware: hardware.to_owned(),
        batch: one(random, &[1, 3, 32, 256]),
        context: one(random, &[32, 1000]),
        prompt_tokens,
        answer_tokens,
        software: one(random, &Software::all().collect::<Vec<_>>()),
        ..Scenario::default()
    }
}

/// One configuration on one device.
struct Case<'a> {
    what: String,
    profile: ModelProfile,
    scenario: Scenario,
    target: &'a HardwareTarget,
    footprint: Footprint,
}

impl<'a> Case<'a> {
    fn new(
        what: &str,
        profile: ModelProfile,
        mut scenario: Scenario,
        target: &'a HardwareTarget,
    ) -> Option<Self> {
        let grid = find_grid("WORLD").unwrap();
        let found = on_fewest_devices(&profile, &scenario, target, grid, 1);
        let (footprint, devices) = found.ok()?;
        scenario.set_devices(devices);
        Some(Self {
            what: format!("{what} on {}: {}", target.id, footprint.explanation),
            profile,
            scenario,
            target,
            footprint,
        })
    }

    fn cost(&self, profile: &ModelProfile, scenario: &Scenario) -> Result<Cost> {
        self.target.cost(&Request {
            profile,
            scenario,
            machine: Machine::Real,
            explain: false,
            reading: false,
        })
    }

    fn now(&self) -> Cost {
        self.cost(&self.profile, &self.scenario).unwrap()
    }

    /// The cost with layers changed, where that can run.
    fn with(&self, change: impl Fn(&mut LayerProfile)) -> Option<Cost> {
        let mut profile = self.profile.clone();
        profile.layers.iter_mut().for_each(change);
        self.cost(&profile, &self.scenario).ok()
    }

    fn says(&self, words: &str) -> bool {
        self.footprint.explanation.contains(words)
    }

    /// The share of time is that of the terms in the sum, what is named takes most, and every layer's terms are its time.
    fn limit(&self) {
        let Some((share, bound)) = self.footprint.limit.split_once(" % of the time goes to ")
        else {
            assert_eq!(
                self.target.class,
                HardwareClass::Neuromorphic,
                "{}",
                self.what
            );
            return;
        };
        let share: f64 = share.parse().unwrap();
        let bound = bound.split(',').next().unwrap();
        let layers = &self.footprint.layers;
        let all: f64 = layers.iter().map(|layer| layer.time.0).sum();
        let whole = self.footprint.throughput.range.typical.0.recip();
        assert!((all / whole - 1.0).abs() < SAME, "{}", self.what);
        for layer in layers {
            let parts = layer.time_by.total().0;
            assert!(
                (parts - layer.time.0).abs() <= SAME * layer.time.0,
                "{}: {layer:?}",
                self.what
            );
        }
        let seconds = |bound| -> f64 { layers.iter().map(|layer| layer.time_by.of(bound).0).sum() };
        let most = Bound::ALL
            .into_iter()
            .max_by(|a, b| seconds(*a).total_cmp(&seconds(*b)))
            .unwrap();
        assert_eq!(bound, most.words(), "{}", self.what);
        let expected = 100.0 * seconds(most) / all;
        assert!(
            (share - expected).abs() <= 0.5 + SAME,
            "{}: {expected}",
            self.what
        );
    }

    /// Zeros that are said to give nothing change no figure, and those that are not do.
    fn zeros(&self) {
        let dense = |layer: &mut LayerProfile| {
            layer.nonzero = layer.layer.weights();
            layer.pattern = None;
        };
        let now = self.now();
        let note = self
            .footprint
            .explanation
            .split("; ")
            .find(|clause| clause.to_lowercase().contains("zeros"));
        // A smaller memory is then left open.
        let costs = note.is_some_and(|note| note.ends_with("no time and no energy"));
        // Far from what was fitted, the ends of the range are a second opinion that no sentence is about.
        let runtime = self.target.runtime(&self.profile, &self.scenario).unwrap();
        let at_an_end = note.is_some_and(|note| note.contains("at an end of the range"));
        let second = matches!(runtime.fit, Fit::Generation | Fit::Relatives) || at_an_end;
        let same = |other: &Cost| {
            let typical = other.time.typical == now.time.typical
                && other.energy.typical == now.energy.typical;
            let all = other.time == now.time && other.energy == now.energy;
            (all || second && typical)
                && other.executed == now.executed
                && (costs || other.weight_bytes == now.weight_bytes)
        };
        let with_zeros: Vec<&LayerProfile> = self
            .profile
            .layers
            .iter()
            .filter(|l| l.layer.compressible && l.layer.macs > 0.0)
            .filter(|l| l.pattern.is_some() && l.sparsity() > 0.0)
            .collect();
        // The model that is fitted to published measurements counts all layers by one of them.
        let together = self
            .target
            .is_fitted_for(&self.profile, &self.scenario)
            .unwrap();
        let unused = with_zeros.iter().filter(|changed| {
            self.with(|layer| {
                if together || layer.layer.name == changed.layer.name {
                    dense(layer);
                }
            })
            .is_some_and(|cost| same(&cost))
        });
        let unused: Vec<&str> = unused.map(|l| l.layer.name.as_str()).collect();
        let Some(note) = note else {
            assert!(
                unused.is_empty() || self.target.class == HardwareClass::Neuromorphic,
                "{}: nothing is said of {unused:?}",
                self.what
            );
            return;
        };
        if note.contains("take none of its energy") {
            let (dense, zeros) = (self.with(dense).unwrap().breakdown, now.breakdown);
            assert!(dense.compute >= zeros.compute, "{}", self.what);
            return;
        }
        if note.contains("cost it bytes") {
            // Dense, it may not run; where other layers use theirs, dense is not what this is about.
            let all = self.with(dense);
            if let Some(all) = all.filter(|_| !note.contains(" of the multiplications)")) {
                assert!(all.weight_bytes < now.weight_bytes, "{}", self.what);
                assert!(all.executed <= now.executed * (1.0 + SAME), "{}", self.what);
            }
            return;
        }
        if let CostModel::Processor(processor) = &self.target.model {
            let none = note.contains("has no 2:4 arithmetic");
            assert!(!none || processor.two_of_four.is_none(), "{}", self.what);
        }
        match note.split_once(" of the multiplications)") {
            None => {
                // Dense, the network may not fit.
                if let Some(all) = self.with(dense) {
                    assert!(same(&all), "{}: {unused:?} of all", self.what);
                }
            }
            Some((named, _)) => {
                assert!(unused.len() < with_zeros.len(), "{}", self.what);
                let first = unused.first().unwrap();
                assert!(named.contains(first), "{}: {unused:?}", self.what);
            }
        }
    }

    /// A width that is said to save no operations saves none, and bytes.
    fn widths(&self) {
        if self.says("are widened to 8") {
            let now = self.now();
            let wider = self.with(|layer| layer.weight_bits = layer.weight_bits.max(8));
            let wider = wider.unwrap();
            assert_eq!(wider.weight_bytes, now.weight_bytes, "{}", self.what);
            assert_eq!(wider.executed, now.executed, "{}", self.what);
        }
        if !self.says("the width saves no operations") {
            return;
        }
        let named = Precision::ALL
            .into_iter()
            .filter(|p| self.says(&format!("computed as {}", p.name())));
        let bits = match named.collect::<Vec<_>>()[..] {
            [] => 16,
            [computed] => computed.bits(),
            // Notes on several groups of layers.
            _ => return,
        };
        let of_experts = self.says("experts are stored in 4 bits");
        let wider = self.with(|layer| {
            let experts = layer.layer.execution.experts.is_some();
            if layer.layer.compressible && (experts || !of_experts) {
                layer.weight_bits = layer.weight_bits.max(bits);
            }
        });
        // It may no longer fit.
        let Some(wider) = wider else { return };
        let now = self.now();
        let executed = now.executed / wider.executed - 1.0;
        assert!(executed.abs() < SAME, "{}", self.what);
        assert!(now.weight_bytes < wider.weight_bytes, "{}", self.what);
    }

    /// Twice the batch takes as much less time as is said.
    fn batch(&self) {
        let clauses = self.footprint.explanation.split("; ");
        let Some(percent) = clauses
            .filter_map(|clause| clause.strip_prefix("twice the batch would take "))
            .find_map(|rest| rest.split_once(" % less time"))
        else {
            return;
        };
        let larger = Scenario {
            batch: 2 * self.scenario.batch,
            ..self.scenario.clone()
        };
        let Ok(larger) = self.cost(&self.profile, &larger) else {
            return;
        };
        let saved = 100.0 * (1.0 - larger.time.typical / self.now().time.typical);
        let said: f64 = percent.0.parse().unwrap();
        assert!((saved - said).abs() < 0.5 + SAME, "{}: {saved}", self.what);
    }

    /// The format that a note names is the one of the layers.
    fn precision(&self) {
        let computed = |name: &str| {
            let layers = self.footprint.layers.iter();
            layers.filter_map(|l| l.precision).any(|p| p.name() == name)
        };
        for name in ["INT4", "INT8", "FP16", "FP32"] {
            if self.says(&format!("computed as {name}")) {
                assert!(computed(name), "{}", self.what);
            }
        }
        if let CostModel::Processor(processor) = &self.target.model
            && self.says("weights and activations are FP8")
            && processor.peak.contains_key(&Precision::Fp8)
        {
            assert!(computed("FP8"), "{}", self.what);
        }
    }

    /// What is saved pays a training back, what is not never does.
    fn paid_back(&self, original: &ModelProfile) {
        let Ok(savings) = savings(original, &self.profile, &self.scenario, self.target) else {
            return;
        };
        let spent = Estimate {
            range: Range::exact(Joules(1.0)),
            provenance: Provenance::Assumed {
                reason: String::new(),
            },
        };
        let back = payback(&spent, original, &self.profile, &self.scenario, self.target).unwrap();
        let paid = back.units.range.typical.is_some();
        assert_eq!(paid, savings.energy.realised > 0.0, "{}", self.what);
    }
}

#[test]
fn no_sentence_contradicts_a_figure_beside_it() {
    let models = models();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut tried = 0;
    for target in catalogue().unwrap() {
        for (name, predict) in &models {
            let original = predict(&Recipe::default());
            for _ in 0..TRIES {
                let (recipe, scenario) = (recipe(&mut random), scenario(&mut random, &target.id));
                let what = format!("{name}, {recipe:?}, {scenario:?}");
                let Some(case) = Case::new(&what, predict(&recipe), scenario, target) else {
                    continue;
                };
                case.limit();
                case.zeros();
                case.widths();
                case.batch();
                case.precision();
                case.paid_back(&original);
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "only {tried} can run");
}

#[test]
fn one_layer_does_not_speak_for_the_device() {
    let model = bundled::load("fashion-cnn").unwrap();
    let plans = planner("fashion-cnn", &model.architecture).unwrap();
    let mut recipe = Recipe::default();
    recipe.pruning.pattern = Pattern::TwoOfFour;
    recipe.pruning.sparsity = 0.5;
    recipe.quantization.weight_bits = 8;
    let target = crate::hardware::find("nvidia-jetson-orin-nano-8gb").unwrap();
    let case = Case::new("", plans.plan(&recipe), Scenario::default(), target).unwrap();
    let saved = savings(
        &plans.plan(&Recipe::default()),
        &case.profile,
        &case.scenario,
        target,
    );
    assert!(saved.unwrap().operations.realised > 0.4);
    assert!(!case.says("no 2:4 arithmetic"), "{}", case.what);
    assert!(case.says("the zeros of conv1 ("), "{}", case.what);
}
