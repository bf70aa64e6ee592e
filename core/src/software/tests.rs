use super::*;
use crate::carbon::find_grid;
use crate::footprint::{Footprint, footprint};
use crate::model::{Architecture as Weights, CnnConfig, GptConfig, ModelReference};
use crate::outline::Outline;
use crate::profile::{LayerProfile, ModelProfile};
use crate::recipe::{Group, Pattern, Recipe};
use crate::scenario::Scenario;
use crate::serving::{LayerList, ListedLayer};
use crate::units::Range;

/// Recipes of each kind that a network has by its shapes and by its weights alike.
fn recipes() -> Vec<Recipe> {
    let mut four = Recipe::default();
    four.quantization.weight_bits = 4;
    four.quantization.group = Group::Size(32);
    let mut eight = Recipe::default();
    eight.quantization.weight_bits = 8;
    eight.quantization.activation_bits = 8;
    let mut sparse = Recipe::default();
    sparse.pruning.sparsity = 0.5;
    sparse.pruning.pattern = Pattern::TwoOfFour;
    sparse.quantization.weight_bits = 16;
    vec![Recipe::default(), four, eight, sparse]
}

/// The network by its weights' file, and by its shapes as a published configuration in single precision has them.
fn both(weights: &Weights, shape: Shape, recipe: &Recipe) -> [ModelProfile; 2] {
    let planner = crate::engine::planner("network", weights).unwrap();
    let shapes = Architecture {
        id: "network".to_owned(),
        names: Vec::new(),
        family: String::new(),
        source: String::new(),
        parameters: weights.parameters() as f64,
        weight_bits: Some(32),
        expert_bits: None,
        formats: None,
        notes: Vec::new(),
        summed: Default::default(),
        context_limit: None,
        shape,
    };
    let outline = Outline::of(ModelReference::Catalogue("network".to_owned()), shapes);
    [planner.plan(recipe), outline.predict(recipe).unwrap()]
}

fn sums(profile: &ModelProfile) -> [f64; 6] {
    let sum = |of: &dyn Fn(&LayerProfile) -> f64| profile.layers.iter().map(of).sum::<f64>();
    [
        profile.parameters() as f64,
        sum(&|l| l.layer.macs),
        sum(&|l| l.layer.inputs + l.layer.execution.added),
        sum(&|l| l.layer.outputs),
        sum(&|l| l.layer.cache),
        sum(&|l| l.dense_bytes().0),
    ]
}

fn gpt(context: usize, width: usize, blocks: usize) -> (Weights, Shape) {
    let config = GptConfig {
        vocabulary: 256,
        context,
        width,
        heads: 4,
        hidden: 4 * width,
        blocks,
    };
    let weights = Weights::Gpt(config);
    let shape = weights.network("network").unwrap().shape;
    (weights, shape)
}

/// The bundled classifier as a list of layers, as the catalogue has such networks.
fn classifier() -> (Weights, Shape) {
    let config = CnnConfig::fashion();
    let (mut inputs, mut size) = (1, 28);
    let mut layers = Vec::new();
    for stage in &config.stages {
        let channels = u32::try_from(stage.channels).unwrap();
        layers.push(ListedLayer::Conv {
            from: (inputs, size, size),
            to: (channels, size, size),
            kernel: (3, 3),
            adds: false,
        });
        inputs = channels;
        if stage.pool {
            size /= 2;
        }
    }
    layers.push(ListedLayer::Dense(inputs, 10));
    let list = LayerList {
        unit: crate::profile::Unit::Image,
        operations: None,
        layers,
        folding: None,
    };
    (Weights::Cnn(config), Shape::Layers(list))
}

#[test]
fn a_network_counts_the_same_by_its_weights_and_by_its_shapes() {
    for (weights, shape) in [gpt(128, 96, 4), gpt(512, 64, 7)] {
        for recipe in recipes() {
            let [by_weights, by_shapes] = both(&weights, shape.clone(), &recipe).map(|p| sums(&p));
            assert_eq!(by_weights, by_shapes, "{recipe:?}");
        }
    }
    let (weights, shape) = classifier();
    let [by_weights, by_shapes] = both(&weights, shape, &Recipe::default()).map(|p| sums(&p));
    // Normalisation has four numbers a channel in the file and one where it is folded.
    assert_eq!(by_weights[1..5], by_shapes[1..5]);
    assert_eq!(
        by_weights[0] - by_shapes[0],
        3.0 * (16.0 + 32.0 + 64.0 + 128.0)
    );
}

fn cost(profile: &ModelProfile, target: &HardwareTarget, software: Software) -> Result<Footprint> {
    let scenario = Scenario {
        hardware: target.id.clone(),
        batch: 8,
        prompt_tokens: 60,
        answer_tokens: 40,
        software,
        ..Scenario::default()
    };
    footprint(profile, &scenario, target, find_grid("FR").unwrap())
}

/// How far apart two answers are, as a factor.
fn apart(a: Range<f64>, b: Range<f64>) -> f64 {
    [(a.low, b.low), (a.typical, b.typical), (a.high, b.high)]
        .map(|(a, b)| (a / b).max(b / a))
        .into_iter()
        .fold(1.0, f64::max)
}

#[test]
fn a_question_has_one_answer_however_the_network_was_opened() {
    /// Normalisation of the classifier: four numbers a channel in a file, one by its shapes.
    const COUNTED: f64 = 1.03;
    let mut wrong = Vec::new();
    for (weights, shape) in [gpt(128, 96, 4), gpt(64, 256, 2), classifier()] {
        for recipe in recipes() {
            let [by_weights, by_shapes] = both(&weights, shape.clone(), &recipe);
            for target in crate::hardware::catalogue().unwrap() {
                for software in Software::all() {
                    let what = format!(
                        "{} {software} {}",
                        target.id,
                        crate::recipe::Recipe::key(&recipe)
                    );
                    match (
                        cost(&by_weights, target, software),
                        cost(&by_shapes, target, software),
                    ) {
                        (Ok(a), Ok(b)) => {
                            let times = apart(
                                a.throughput.range.map(|x| x.0),
                                b.throughput.range.map(|x| x.0),
                            );
                            let energy = apart(
                                a.energy_per_unit.range.map(|x| x.0),
                                b.energy_per_unit.range.map(|x| x.0),
                            );
                            if times > COUNTED || energy > COUNTED {
                                wrong.push(format!("{what}: time {times:.3} energy {energy:.3}"));
                            }
                        }
                        (Err(_), Err(_)) => {}
                        (a, b) => wrong.push(format!("{what}: {:?} {:?}", a.err(), b.err())),
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of them:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
