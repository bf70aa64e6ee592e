use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::Value as Json;

use super::*;
use crate::formats;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recurrent")
}

/// What PyTorch answers, by the script `scripts/tiny_recurrent.py`.
#[test]
fn models_made_with_pytorch_answer_as_there() {
    /// Single precision, beside values of order one.
    const TOLERANCE: f32 = 1e-5;
    let text = std::fs::read_to_string(fixtures().join("recurrent.json")).unwrap();
    let cases: BTreeMap<String, Json> = serde_json::from_str(&text).unwrap();
    let mut cells = Vec::new();
    for (name, case) in &cases {
        let path = fixtures().join(format!("{name}.safetensors"));
        let model = formats::open(&path).unwrap();
        let Architecture::Rnn(config) = &model.architecture else {
            panic!("{name} is a {}", model.architecture.family());
        };
        cells.push(config.cell);
        let tokens: Vec<Vec<u32>> = serde_json::from_value(case["tokens"].clone()).unwrap();
        let expected: Vec<f32> = serde_json::from_value(case["logits"].clone()).unwrap();
        let shape = (tokens.len(), tokens[0].len());
        let tokens = Tensor::from_vec(tokens.concat(), shape, &Device::Cpu).unwrap();
        let logits = model
            .architecture
            .forward(&model.tensors, &tokens, 32)
            .unwrap();
        let found = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            let off = (found - expected).abs();
            assert!(off <= TOLERANCE * (1.0 + expected.abs()), "{name}: {off}");
        }
    }
    assert_eq!(cells, [Cell::Gru, Cell::Lstm]);
}

#[test]
fn names_of_pytorch_are_read_and_others_left_alone() {
    fn told(tensors: &[(&str, &[usize])]) -> Option<BTreeMap<String, String>> {
        own_names(&tensors.iter().copied().collect())
    }
    let lstm: [(&str, &[usize]); 7] = [
        ("model.emb.weight", &[20, 3]),
        ("model.rnn.weight_ih_l0", &[16, 3]),
        ("model.rnn.weight_hh_l0", &[16, 4]),
        ("model.rnn.bias_ih_l0", &[16]),
        ("model.rnn.bias_hh_l0", &[16]),
        ("out.weight", &[20, 4]),
        ("out.bias", &[20]),
    ];
    let names = told(&lstm).unwrap();
    assert_eq!(names.len(), lstm.len());
    assert_eq!(names["model.rnn.weight_hh_l0"], "rnn.0.hh.weight");
    assert_eq!(names["model.emb.weight"], "embedding.weight");
    assert_eq!(names["out.bias"], "head.bias");
    // A plain network, one that also reads backwards, one without a head, and tables of one shape that no name tells.
    let with = |name: &'static str, shape: &'static [usize]| {
        let mut changed: Vec<_> = lstm.iter().copied().filter(|t| t.0 != name).collect();
        changed.push((name, shape));
        told(&changed)
    };
    assert_eq!(with("model.rnn.weight_hh_l0", &[4, 4]), None);
    assert_eq!(with("model.rnn.weight_hh_l0_reverse", &[16, 4]), None);
    assert_eq!(told(&lstm[..5]), None);
    let mut alike = lstm;
    alike[0] = ("a.weight", &[20, 4]);
    alike[1].1 = &[16, 4];
    assert_eq!(told(&alike), None);
    alike[0].0 = "encoder.weight";
    assert!(told(&alike).is_some());
}

/// One position at a time every weight of every matrix but the table is used once, whatever the device counts besides.
#[test]
fn a_byte_takes_as_many_multiplications_as_the_matrices_have_weights() {
    for cell in [Cell::Lstm, Cell::Gru] {
        for layers in 1..4 {
            let config = RnnConfig {
                layers,
                cell,
                ..RnnConfig::bytes()
            };
            let layers = config.nodes().layers();
            let multiplied = layers.iter().filter(|l| l.kind.multiplies_weights());
            let weights: u64 = multiplied.map(crate::profile::Layer::weights).sum();
            let macs: f64 = layers.iter().map(|layer| layer.macs).sum();
            assert_eq!(macs, weights as f64);
            let expected = config.count(config.width as f64, config.units as f64);
            assert_eq!(config.nodes().parameters() as f64, expected);
        }
    }
}

#[test]
fn a_forget_gate_starts_open() {
    let config = RnnConfig {
        units: 3,
        ..RnnConfig::bytes()
    };
    let biases = |config: RnnConfig| {
        let tensors = Architecture::Rnn(config).initial_tensors(1).unwrap();
        tensors["rnn.0.hh.bias"].to_vec1::<f32>().unwrap()
    };
    let open = [0., 0., 0., 1., 1., 1., 0., 0., 0., 0., 0., 0.];
    assert_eq!(biases(config.clone()), open);
    let cell = Cell::Gru;
    assert_eq!(biases(RnnConfig { cell, ..config }), [0.0; 9]);
}

/// Reading a prompt takes as much of a byte as writing an answer does, and a byte as much as of a network of the same matrices
/// without a state.
#[test]
fn devices_read_the_matrices_for_every_byte() {
    use crate::carbon::find_grid;
    use crate::compress::plan;
    use crate::footprint::footprint;
    use crate::hardware::{HardwareClass, catalogue};
    use crate::profile::LayerKind;
    use crate::recipe::Recipe;
    use crate::scenario::Scenario;
    /// The state of one text is half a hundredth of what moves for a byte.
    const STATE: f64 = 0.02;
    const ROUNDING: f64 = 1e-6;
    let layers = RnnConfig::bytes().nodes().layers();
    let mut stateless = layers.clone();
    for layer in &mut stateless {
        if layer.kind == LayerKind::Recurrent {
            layer.kind = LayerKind::Linear;
            layer.cache = 0.0;
        }
    }
    let grid = find_grid("WORLD").unwrap();
    let profiles =
        [layers, stateless].map(|layers| plan("x", Unit::Token, &layers, &Recipe::default()));
    let mut compared = BTreeMap::new();
    for target in catalogue().unwrap() {
        let cost = |profile, (prompt_tokens, answer_tokens)| {
            let scenario = Scenario {
                hardware: target.id.clone(),
                batch: 1,
                prompt_tokens,
                answer_tokens,
                ..Scenario::default()
            };
            let cost = footprint(profile, &scenario, target, grid);
            cost.map(|cost| {
                let time = 1.0 / cost.throughput.range.typical.0;
                [time, cost.energy_per_unit.range.typical.0]
            })
        };
        let [own, plain] = profiles.each_ref();
        if target.class == HardwareClass::Neuromorphic {
            let error = cost(own, (0, 0)).unwrap_err().to_string();
            assert!(error.contains("the gates of rnn.0.hh"), "{error}");
            continue;
        }
        let Ok(written) = cost(own, (0, 0)) else {
            assert!(cost(plain, (0, 0)).is_err(), "{}", target.id);
            continue;
        };
        let other = cost(plain, (0, 0)).unwrap();
        let answered = cost(own, (300, 100)).unwrap();
        let at_once = cost(plain, (300, 100)).unwrap();
        for (which, what) in ["time", "energy"].into_iter().enumerate() {
            let ratio = written[which] / other[which];
            assert!(
                (1.0 - ROUNDING..1.0 + STATE).contains(&ratio),
                "{what} on {}: {ratio}",
                target.id
            );
            // Three bytes of a prompt for each of an answer.
            let ratio = answered[which] / written[which];
            assert!(
                (ratio / 4.0 - 1.0).abs() < ROUNDING,
                "{what} on {}: {ratio}",
                target.id
            );
            let ratio = at_once[which] / answered[which];
            assert!(ratio < 1.0 + ROUNDING, "{what} on {}: {ratio}", target.id);
        }
        *compared.entry(format!("{:?}", target.class)).or_insert(0) += 1;
    }
    // CPUs, GPUs, microcontrollers, logic.
    assert!(compared.len() >= 4, "{compared:?}");
}
