use super::*;
use crate::graph::Language;
use crate::serving::catalogue::architecture;

pub(super) fn network(name: &str) -> Language {
    architecture(name).unwrap().graph().language().unwrap()
}

pub(super) fn serving(batch: f64) -> Serving {
    Serving {
        batch,
        prompt: 300.0,
        output: 600.0,
        context: None,
        devices: 1.0,
        stages: 1.0,
        attention_groups: 1.0,
        whole_experts: true,
        format: WeightFormat::Half,
        mxfp4_experts: false,
        integer_experts: false,
        scale: SCALE,
        era: Era::Y2025,
        engine: Engine::default(),
    }
}

#[test]
fn bytes_of_a_step_of_llama_3_1_8b_by_hand() {
    let work = serving(16.0).work(&network("llama-3-1-8b"));
    // All parameters but the embedding, at two bytes.
    assert_eq!(
        work.body_bytes,
        2.0 * (8_029_995_008.0 - 128_256.0 * 4096.0)
    );
    // 16 sequences at 300 + 600/2 tokens, 128 KiB each.
    assert_eq!(work.context, 600.0);
    assert_eq!(work.cache_bytes, 16.0 * 600.0 * 131_072.0);
}

#[test]
fn a_large_batch_needs_every_expert_and_one_token_only_its_own() {
    let qwen = network("qwen3-30b-a3b");
    let all = qwen.in_experts() * 2.0;
    let one = serving(1.0).work(&qwen).expert_bytes;
    assert!((one / all - 8.0 / 128.0).abs() < 1e-9);
    assert!(serving(2000.0).work(&qwen).expert_bytes / all > 0.999);
}

#[test]
fn fewer_bits_never_read_more_bytes() {
    for name in [
        "llama-3-1-8b",
        "qwen3-235b-a22b",
        "gpt-oss-20b",
        "deepseek-v3",
    ] {
        let network = network(name);
        let bytes = |format| {
            let work = Serving {
                format,
                ..serving(32.0)
            }
            .work(&network);
            work.body_bytes + work.expert_bytes
        };
        let order = [
            WeightFormat::Half,
            WeightFormat::Fp8,
            WeightFormat::Packed(4),
            WeightFormat::Packed(2),
        ];
        for pair in order.windows(2) {
            assert!(bytes(pair[1]) < bytes(pair[0]), "{name}: {pair:?}");
        }
        let narrow = Serving {
            mxfp4_experts: true,
            ..serving(32.0)
        }
        .work(&network);
        assert!(narrow.body_bytes + narrow.expert_bytes <= bytes(WeightFormat::Half));
    }
}

#[test]
fn a_stage_reads_its_weights_once_for_every_part_of_the_batch() {
    let llama = network("llama-3-1-70b");
    let whole = serving(64.0).work(&llama);
    let staged = Serving {
        stages: 4.0,
        ..serving(64.0)
    };
    let part = staged.work(&llama);
    assert_eq!(part.body_bytes, whole.body_bytes);
    assert_eq!(part.cache_bytes, whole.cache_bytes / 4.0);
    assert_eq!(part.operations, whole.operations / 4.0);
    assert_eq!(staged.all_devices(), 4.0);
    // Two sequences leave two of four stages without work.
    let few = Serving {
        batch: 2.0,
        ..staged
    };
    assert_eq!(few.busy(), 0.5);
    assert_eq!(
        few.work(&llama).cache_bytes,
        serving(1.0).work(&llama).cache_bytes
    );
}
