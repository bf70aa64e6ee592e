//! Metadata of any numbers: a network or a refusal, and neither takes time or memory by what they say.

use super::super::DecoderConfig;
use super::super::kinds::{KINDS, OTHER_KEYS};
use super::facts::Changed;
use super::fixtures;
use crate::model::Architecture;
use crate::weights::{self, Metadata, Number, Numbers};

/// Keys that are read and need not be in a file.
const OTHERS: [&str; 12] = [
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window_pattern",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.freq_base_swa",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_shared_feed_forward_length",
    "use_parallel_residual",
    "logit_scale",
];

fn values() -> Vec<Option<Metadata>> {
    let counts = [0, 1, 3, 1025, 1 << 20, 1 << 32, 1 << 40, 1 << 63, u64::MAX].map(Number::U64);
    let floats = [0.0, -0.0, -1.0, 1e-300, 1e300, f64::NAN, f64::INFINITY].map(Number::F64);
    let numbers = counts.into_iter().chain(floats);
    let numbers = numbers.chain([Number::Bool(true), Number::I8(-1), Number::U32(u32::MAX)]);
    let mut values: Vec<_> = numbers.map(Metadata::Number).map(Some).collect();
    values.push(None);
    values.push(Some(Metadata::Text("x".to_owned())));
    values.push(Some(Metadata::Numbers(Numbers::from(&[1_i32, 0][..]))));
    values.push(Some(Metadata::Texts(Vec::new())));
    values
}

#[test]
fn whatever_metadata_say_is_a_network_or_a_refusal() {
    let (mut networks, mut refusals) = (0, 0);
    for kind in KINDS {
        let path = fixtures().join(format!("{}.gguf", kind.name));
        let mut changed = Changed {
            source: weights::open(&path).unwrap(),
            key: String::new(),
            value: None,
        };
        let own = format!("{}.", kind.name);
        let said = changed.source.all_metadata().keys();
        let mut keys: Vec<String> = said.filter(|key| key.starts_with(&own)).cloned().collect();
        let others = OTHER_KEYS.iter().map(|(key, _)| *key).chain(OTHERS);
        keys.extend(others.map(|key| format!("{own}{key}")));
        for key in keys {
            for value in values() {
                changed.key.clone_from(&key);
                changed.value = value;
                let refusal = match DecoderConfig::of_gguf(&changed) {
                    Err(fact) => Some(fact),
                    Ok(config) => {
                        assert!(config.form.local.len() <= 1 << 16, "{key}");
                        let network = Architecture::Decoder(config);
                        let fact = network.implausible();
                        if fact.is_none() {
                            assert!(network.parameters() > 0, "{key} {:?}", changed.value);
                        }
                        fact
                    }
                };
                match refusal {
                    Some(fact) => {
                        assert!(!fact.is_empty());
                        refusals += 1;
                    }
                    None => networks += 1,
                }
            }
        }
    }
    assert!(
        networks > 1_000 && refusals > 1_000,
        "{networks} {refusals}"
    );
}
