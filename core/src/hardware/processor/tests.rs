//! What the model of processors says as a batch grows, and against published throughput of convolutional networks.

use super::*;
use crate::compress;
use crate::hardware::cost::Machine;
use crate::hardware::{CostModel, catalogue};
use crate::model::bundled;
use crate::outline::Outline;
use crate::profile::ModelProfile;
use crate::recipe::{Quantization, Recipe};
use crate::scenario::Scenario;

/// The shapes of a network as a processor holds them: as they are, or at 8 bits where it has nothing wider.
fn profiles(bits: u8) -> Vec<ModelProfile> {
    let recipe = Recipe {
        quantization: Quantization {
            weight_bits: bits,
            activation_bits: bits,
            ..Quantization::default()
        },
        ..Recipe::default()
    };
    let mut all: Vec<ModelProfile> = bundled::all()
        .iter()
        .map(|bundled| {
            let model = bundled::load(bundled.name).unwrap();
            let architecture = &model.architecture;
            compress::plan(
                bundled.name,
                architecture.unit(),
                &architecture.layers(),
                &recipe,
            )
        })
        .collect();
    for name in [
        "resnet-50",
        "mobilenet-v2",
        "vgg-16",
        "lstm-ptb-medium",
        "bert-base",
    ] {
        let outline = Outline::open(&format!("catalogue:{name}").parse().unwrap()).unwrap();
        all.push(outline.predict(&recipe).unwrap());
    }
    all
}

/// Units per second, typical; `None` where the device cannot run it.
fn throughput(target: &HardwareTarget, profile: &ModelProfile, batch: u32) -> Option<f64> {
    let CostModel::Processor(processor) = &target.model else {
        return None;
    };
    let scenario = Scenario {
        hardware: target.id.clone(),
        batch,
        ..Scenario::default()
    };
    let request = Request {
        profile,
        scenario: &scenario,
        machine: Machine::Real,
        explain: false,
        reading: false,
    };
    let cost = processor.cost(target, &request).ok()?;
    Some(1.0 / cost.time.typical.0)
}

#[test]
fn a_larger_batch_is_never_slower() {
    const FALL: f64 = 0.02;
    let all = [profiles(16), profiles(8)];
    let mut compared = 0;
    let mut falls = Vec::new();
    for target in catalogue().unwrap() {
        for profile in all.iter().flatten() {
            let mut before = 0.0;
            for doublings in 0..=10 {
                let Some(now) = throughput(target, profile, 1 << doublings) else {
                    break;
                };
                if now < before * (1.0 - FALL) {
                    falls.push(format!(
                        "{} {} at {}: {:.1} %",
                        target.id,
                        profile.model,
                        1 << doublings,
                        100.0 * (now / before - 1.0)
                    ));
                }
                before = now;
                compared += 1;
            }
        }
    }
    assert!(compared > 3000, "{compared}");
    assert!(falls.is_empty(), "{}", falls.join("\n"));
}
