//! More work never takes less time.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::tests::{network, serving};
use super::*;
use crate::serving::constants::Constants;
use crate::serving::device::device;

const NETWORKS: [&str; 6] = [
    "llama-3-1-8b",
    "llama-3-1-405b",
    "gemma-3-27b",
    "qwen3-235b-a22b",
    "gpt-oss-120b",
    "deepseek-v3",
];
const DEVICES: [&str; 6] = ["A100", "H100 SXM", "H200", "B200", "MI300X", "RTX 4090"];

/// Every network, device, year of software, engine, format and number of devices, with as many random choices of the rest.
fn each(mut check: impl FnMut(&str, &dyn Fn(&Serving) -> f64, Serving)) {
    let constants = Constants::shipped().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for name in NETWORKS {
        let network = network(name);
        for device_name in DEVICES {
            let device = device(device_name).unwrap();
            for era in Era::ALL {
                for devices in [1.0, 4.0, 8.0, 16.0] {
                    let formats = [
                        WeightFormat::Half,
                        WeightFormat::Fp8,
                        WeightFormat::Packed(4),
                    ];
                    let mut one = Serving {
                        prompt: f64::from(random.random_range(0..8000_u32)),
                        output: f64::from(random.random_range(1..8000_u32)),
                        devices,
                        stages: [1.0, 2.0][random.random_range(0..2_usize)],
                        whole_experts: random.random_bool(0.5),
                        format: formats[random.random_range(0..3_usize)],
                        era,
                        engine: Engine::ALL[random.random_range(0..3_usize)],
                        ..serving(f64::from(random.random_range(1..600_u32)))
                    };
                    one.mxfp4_experts = one.format == WeightFormat::Half && random.random_bool(0.5);
                    let seconds = |serving: &Serving| {
                        let work = serving.work(&network);
                        let both = (&constants.decode_time, &constants.decode_energy);
                        serving.time_in_limit(&network, &work, device, both).total()
                    };
                    check(&format!("{name} {device_name} {one:?}"), &seconds, one);
                }
            }
        }
    }
}

/// Rounding in the last places.
const SAME: f64 = 1e-9;

#[test]
fn a_longer_context_never_takes_less_time() {
    each(|what, seconds, one| {
        let mut last = 0.0;
        for context in [0.0, 8.0, 128.0, 1499.0, 1501.0, 4000.0, 40_000.0] {
            let now = seconds(&Serving {
                context: Some(context),
                ..one
            });
            assert!(now >= last * (1.0 - SAME), "{what}: {context}");
            last = now;
        }
    });
}

#[test]
fn a_longer_prompt_never_takes_less_time() {
    each(|what, seconds, one| {
        let mut last = 0.0;
        for prompt in [0.0, 10.0, 100.0, 1000.0, 10_000.0] {
            let now = seconds(&Serving { prompt, ..one });
            assert!(now >= last * (1.0 - SAME), "{what}: {prompt}");
            last = now;
        }
    });
}

#[test]
fn a_longer_answer_never_takes_less_time_in_all() {
    each(|what, seconds, one| {
        let mut last = 0.0;
        for output in [1.0, 10.0, 100.0, 1000.0, 1499.0, 1501.0, 3000.0, 10_000.0] {
            let now = output * seconds(&Serving { output, ..one });
            assert!(now >= last * (1.0 - SAME), "{what}: {output}");
            last = now;
        }
    });
}

#[test]
fn a_larger_batch_never_takes_less_time() {
    each(|what, seconds, one| {
        let mut last = 0.0;
        for batch in [1.0, 2.0, 3.0, 8.0, 30.0, 100.0, 1000.0] {
            let now = seconds(&Serving { batch, ..one });
            assert!(now >= last * (1.0 - SAME), "{what}: {batch}");
            last = now;
        }
    });
}

#[test]
fn devices_of_two_servers_wait_longer_for_each_other_than_those_of_one() {
    let constants = Constants::shipped().unwrap();
    let llama = network("llama-3-1-405b");
    let h100 = device("H100 SXM").unwrap();
    let exchange = |devices| {
        let serving = Serving {
            devices,
            ..serving(8.0)
        };
        let work = serving.work(&llama);
        serving
            .time(&llama, &work, h100, &constants.decode_time)
            .exchange
    };
    assert!(exchange(16.0) > 2.0 * exchange(8.0));
}
