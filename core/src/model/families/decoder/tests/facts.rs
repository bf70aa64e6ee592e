//! What metadata mean, and what is counted.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::super::kinds::{KINDS, Kind, OTHER_KEYS};
use super::super::{DecoderConfig, Mixture};
use super::{fixtures, models};
use crate::error::Result as CoreResult;
use crate::graph::Op;
use crate::model::Architecture;
use crate::model::families::Family;
use crate::weights::{self, Metadata, Source, TensorInfo};

/// A file whose metadata say something else.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) source: Box<dyn Source>,
    pub(super) key: String,
    pub(super) value: Option<Metadata>,
}

impl Source for Changed {
    fn tensors(&self) -> &[TensorInfo] {
        self.source.tensors()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.source.find(name)
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> CoreResult<()> {
        self.source.decode(tensor, rows, out)
    }

    fn read(&self, tensor: usize) -> CoreResult<Vec<u8>> {
        self.source.read(tensor)
    }

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        self.source.all_metadata()
    }

    fn paths(&self) -> Vec<&Path> {
        self.source.paths()
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        match key == self.key {
            true => self.value.as_ref(),
            false => self.source.metadata(key),
        }
    }

    fn stored_bytes(&self) -> u64 {
        self.source.stored_bytes()
    }
}

fn config_with(kind: &str, key: &str, value: Option<Metadata>) -> Result<DecoderConfig, String> {
    DecoderConfig::of_gguf(&Changed {
        source: weights::open(&fixtures().join(format!("{kind}.gguf"))).unwrap(),
        key: format!("{kind}.{key}"),
        value,
    })
}

/// A number that is read changes the network, or is refused by its name; none is passed over.
#[test]
fn metadata_change_the_network_or_are_refused() {
    let number = |value: f32| Some(Metadata::Number(weights::Number::F32(value)));
    let count = |value: u32| Some(Metadata::Number(weights::Number::U32(value)));
    let text = |value: &str| Some(Metadata::Text(value.to_owned()));
    for kind in KINDS {
        let name = kind.name;
        let usual = config_with(name, "none", None).unwrap();
        for (key, plain) in OTHER_KEYS {
            let value = match kind.reads.contains(&key) && key.contains("count") {
                true => count(3),
                false if key == "attention.sliding_window" => count(17),
                false => number(plain as f32 + 3.5),
            };
            let read = config_with(name, key, value);
            let same = read.as_ref().is_ok_and(|read| *read == usual);
            let said = read
                .as_ref()
                .is_err_and(|fact| fact.contains(&format!("{name}.")));
            assert_eq!(
                read.is_ok(),
                kind.reads.contains(&key) && !said,
                "{name} {key}: {read:?}"
            );
            assert!(!same && (read.is_ok() || said), "{name} {key}: {read:?}");
        }
        for (key, value) in [
            ("rope.scaling.type", text("yarn")),
            (
                "attention.causal",
                Some(Metadata::Number(weights::Number::Bool(false))),
            ),
            ("rope.dimension_count_swa", count(3)),
            ("attention.key_length_swa", count(3)),
        ] {
            let fact = config_with(name, key, value).unwrap_err();
            assert!(fact.contains(key), "{name}: {fact}");
        }
        for key in kind
            .needs
            .iter()
            .chain(&["block_count", "attention.head_count"])
        {
            let fact = config_with(name, key, None).unwrap_err();
            assert!(fact.contains(key), "{name}: {fact}");
        }
    }
    let unknown = DecoderConfig::of_gguf(&Changed {
        source: weights::open(&fixtures().join("gpt2.gguf")).unwrap(),
        key: "general.architecture".to_owned(),
        value: text("gptj"),
    });
    let fact = unknown.unwrap_err();
    assert!(fact.contains("'gptj'"), "{fact}");
}

#[test]
fn a_context_is_as_long_as_the_table_for_short_ones_is_for() {
    let usual = config_with("phi3", "none", None).unwrap();
    assert_eq!(usual.context, 256);
    // Without it there is no longer one.
    let original = "rope.scaling.original_context_length";
    assert_eq!(config_with("phi3", original, None).unwrap().context, 512);
}

#[test]
fn windows_and_bases_are_those_of_each_block() {
    let of = |kind: &str| {
        let config = config_with(kind, "none", None).unwrap();
        let facts = config
            .graph()
            .nodes
            .into_iter()
            .filter_map(|node| match node.op {
                Op::Attention(attention) => Some(f64::from(attention.window.unwrap_or(0))),
                Op::Rotary(rotary) => Some(f64::from(rotary.base)),
                _ => None,
            });
        facts.collect::<Vec<_>>()
    };
    assert_eq!(of("gemma3"), [1e4, 1e4, 5.0, 1e6, 1e6, 0.0]);
    assert_eq!(of("gemma2"), [1e4, 1e4, 5.0, 1e4, 1e4, 0.0]);
    // Every sixth by itself, and scores of the largest by the width.
    let gemma3 = |key: &str, value| config_with("gemma3", key, value).unwrap();
    let count = |value: u32| Some(Metadata::Number(weights::Number::U32(value)));
    let pattern = gemma3("attention.sliding_window_pattern", None);
    assert_eq!(pattern.form.local, [true, true]);
    let largest = DecoderConfig::of_gguf(&Changed {
        source: Box::new(Changed {
            source: weights::open(&fixtures().join("gemma3.gguf")).unwrap(),
            key: "gemma3.attention.sliding_window_pattern".to_owned(),
            value: None,
        }),
        key: "gemma3.block_count".to_owned(),
        value: count(62),
    });
    let largest = largest.unwrap();
    let full: Vec<usize> = (0..62).filter(|i| !largest.form.local[*i]).collect();
    assert_eq!(full, [5, 11, 17, 23, 29, 35, 41, 47, 53, 59]);
    assert_eq!(largest.form.scales.scores.unwrap().0, 1.0 / 8_f32.sqrt());
}

/// Published numbers of parameters, of the files' own index on Hugging Face.
#[test]
fn parameters_are_those_of_published_models() {
    let model = |kind: &str, sizes: [usize; 8], change: fn(&mut DecoderConfig)| {
        let [
            vocabulary,
            width,
            blocks,
            heads,
            kv_heads,
            head_width,
            hidden,
            context,
        ] = sizes;
        let mut config = DecoderConfig {
            vocabulary,
            width,
            blocks,
            heads,
            kv_heads,
            head_width,
            hidden,
            context,
            rotary: head_width,
            biases: false,
            head_norms: false,
            factors: false,
            tied: true,
            window: None,
            form: Kind::named(kind).unwrap().form(),
            ..config_with("llama", "none", None).unwrap()
        };
        change(&mut config);
        config
    };
    for (name, config, expected) in [
        (
            "Gemma 2B",
            model(
                "gemma",
                [256_000, 2048, 18, 8, 1, 256, 16_384, 8192],
                |_| {},
            ),
            2_506_172_416,
        ),
        (
            "Gemma 2 2B",
            model("gemma2", [256_000, 2304, 26, 8, 4, 256, 9216, 8192], |_| {}),
            2_614_341_888,
        ),
        (
            "Gemma 3 1B",
            model(
                "gemma3",
                [262_144, 1152, 26, 4, 1, 256, 6912, 32_768],
                |config| {
                    config.head_norms = true;
                },
            ),
            999_885_952,
        ),
        (
            "Phi-3 mini",
            model(
                "phi3",
                [32_064, 3072, 32, 32, 32, 96, 8192, 4096],
                |config| {
                    (config.tied, config.form.fused) = (false, true);
                },
            ),
            3_821_079_552,
        ),
        (
            "OLMo 2 1B",
            model(
                "olmo2",
                [100_352, 2048, 16, 16, 16, 128, 8192, 4096],
                |config| {
                    (config.tied, config.head_norms) = (false, true);
                },
            ),
            1_484_916_736,
        ),
        (
            "GPT-2",
            model(
                "gpt2",
                [50_257, 768, 12, 12, 12, 64, 3072, 1024],
                |config| {
                    config.form.fused = true;
                    (
                        config.biases,
                        config.form.output_bias,
                        config.form.feed_biases,
                    ) = (true, true, true);
                },
            ),
            124_439_808,
        ),
        (
            "Pythia 1.4B",
            model(
                "gptneox",
                [50_304, 2048, 24, 16, 16, 128, 8192, 2048],
                |config| {
                    (config.tied, config.form.fused) = (false, true);
                    (
                        config.biases,
                        config.form.output_bias,
                        config.form.feed_biases,
                    ) = (true, true, true);
                },
            ),
            1_414_647_808,
        ),
        (
            "StarCoder2 3B",
            model(
                "starcoder2",
                [49_152, 3072, 30, 24, 2, 128, 12_288, 16_384],
                |config| {
                    (
                        config.biases,
                        config.form.output_bias,
                        config.form.feed_biases,
                    ) = (true, true, true);
                },
            ),
            3_030_371_328,
        ),
        (
            "Mixtral 8x7B",
            model(
                "llama",
                [32_000, 4096, 32, 32, 8, 128, 14_336, 32_768],
                |config| {
                    experts(config, [8, 2, 14_336, 0]);
                },
            ),
            46_702_792_704,
        ),
        (
            "Qwen1.5-MoE-A2.7B",
            model(
                "qwen2moe",
                [151_936, 2048, 24, 16, 16, 128, 5632, 8192],
                |config| {
                    experts(config, [60, 4, 1408, 5632]);
                    config.biases = true;
                },
            ),
            14_315_784_192,
        ),
        (
            "Qwen3-30B-A3B",
            model(
                "qwen3moe",
                [151_936, 2048, 48, 32, 4, 128, 6144, 40_960],
                |config| {
                    experts(config, [128, 8, 768, 0]);
                    config.head_norms = true;
                },
            ),
            30_532_122_624,
        ),
        (
            "OLMoE 1B-7B",
            model(
                "olmoe",
                [50_304, 2048, 16, 16, 16, 128, 1024, 4096],
                |config| {
                    experts(config, [64, 8, 1024, 0]);
                    config.head_norms = true;
                },
            ),
            6_919_161_856,
        ),
    ] {
        assert_eq!(config.graph().parameters(), expected, "{name}");
        as_served(name, &config);
    }
}

fn experts(config: &mut DecoderConfig, [count, active, width, shared]: [usize; 4]) {
    config.tied = false;
    config.form.mixture = Some(Mixture {
        count,
        active,
        width,
        normalised: true,
        shared,
        shared_gate: shared > 0,
    });
}

/// What is counted of a network that is run is what is counted of the same by its configuration: all but norms and gates.
fn as_served(name: &str, config: &DecoderConfig) {
    let Some(served) = config.served() else {
        panic!("{name} is not known where models are served");
    };
    let (own, served) = (config.graph(), served.graph());
    assert_eq!(own.kept_bytes(1e5), served.kept_bytes(1e5), "{name}");
    let (own, served) = (own.language().unwrap(), served.language().unwrap());
    assert_eq!(own.hidden, served.hidden, "{name}");
    assert_eq!(own.body, served.body, "{name}");
    assert_eq!(own.of_attention, served.of_attention, "{name}");
    assert_eq!(own.router, served.router, "{name}");
    assert_eq!(own.head, served.head, "{name}");
    assert_eq!(own.in_experts(), served.in_experts(), "{name}");
    assert_eq!(own.active(), served.active(), "{name}");
    assert_eq!(own.scores(1e5), served.scores(1e5), "{name}");
    let (own, served) = (own.experts.first(), served.experts.first());
    assert_eq!(own.map(|e| e.width), served.map(|e| e.width), "{name}");
    assert_eq!(
        own.map(|e| e.parameters),
        served.map(|e| e.parameters),
        "{name}"
    );
}

#[test]
fn networks_that_run_count_as_those_that_are_served() {
    for (name, model, _) in models() {
        let Architecture::Decoder(config) = &model.architecture else {
            panic!("{name} is of another family");
        };
        // A bias of the head is not known there.
        if !config.form.head_bias {
            as_served(&name, config);
        }
    }
}

/// Rows of matrices of experts that lie below each other, from anywhere to anywhere.
#[test]
fn rows_of_experts_are_the_same_in_pieces() {
    let path = fixtures().join("qwen3moe.gguf");
    let (file, flat) = (
        weights::open(&path).unwrap(),
        weights::open_flat(&path).unwrap(),
    );
    let at = file.find("blk.0.ffn_down_exps.weight").unwrap();
    assert_eq!(file.tensors()[at].shape.len(), 3);
    let info = &flat.tensors()[at];
    let mut whole = vec![0.0; info.elements()];
    file.decode(at, 0..file.tensors()[at].rows(), &mut whole)
        .unwrap();
    for start in 0..info.rows() {
        for end in start..=info.rows() {
            let mut piece = vec![0.0; (end - start) * info.row_length()];
            flat.decode(at, start..end, &mut piece).unwrap();
            assert_eq!(
                piece,
                whole[start * info.row_length()..end * info.row_length()]
            );
        }
    }
    let mut piece = vec![0.0; 2 * info.row_length()];
    assert!(
        flat.decode(at, info.rows() - 1..info.rows() + 1, &mut piece)
            .is_err()
    );
    assert!(flat.decode(at, 0..1, &mut piece).is_err());
}
