use super::*;
use crate::serving::catalogue::architecture;

fn transformer(name: &str) -> Transformer {
    match architecture(name).unwrap().shape.clone() {
        Shape::Transformer(transformer) => transformer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn llama_3_1_8b_by_hand() {
    let llama = transformer("meta-llama/Llama-3.1-8B-Instruct");
    // Per layer: q and o 4096², k and v 4096·1024, three matrices 4096·14336; 32 layers; 128256·4096 twice.
    let layer = 2.0 * 4096.0 * 4096.0 + 2.0 * 4096.0 * 1024.0 + 3.0 * 4096.0 * 14336.0;
    let total = 32.0 * layer + 2.0 * 128_256.0 * 4096.0;
    assert_eq!(total, 8_029_995_008.0);
    // Two norms in every layer and a last one.
    assert_eq!(llama.parameters(), total + 65.0 * 4096.0);
    // Keys and values of 8 heads of 128 in 32 layers at two bytes: 128 KiB per token.
    let language = llama.graph().language().unwrap();
    assert_eq!(2.0 * language.cached(1.0, 1.0), 131_072.0);
    assert_eq!(language.active() + 128_256.0 * 4096.0, total);
}

#[test]
fn windows_bound_what_is_read_back() {
    let gemma = transformer("google/gemma-3-27b-it");
    // 62 layers of 16 heads of keys and values of 128, every sixth looks back over everything, the others over 1024
    // tokens.
    let language = gemma.graph().language().unwrap();
    let each = 2.0 * 16.0 * 128.0;
    assert_eq!(
        language.cached(10_000.0, 1.0),
        each * (10.0 * 10_000.0 + 52.0 * 1024.0)
    );
    assert_eq!(language.cached(100.0, 1.0), each * 6200.0);
}

#[test]
fn latent_attention_caches_one_small_vector() {
    let deepseek = transformer("deepseek-ai/DeepSeek-R1");
    let language = deepseek.graph().language().unwrap();
    assert_eq!(language.cached(1.0, 1.0), 61.0 * 576.0);
    let active = language.active();
    assert!((active / 37e9 - 1.0).abs() < 0.03, "{active}");
}

#[test]
fn a_network_of_a_given_size_has_that_size() {
    for (total, active) in [
        (7e9, 7e9),
        (70e9, 70e9),
        (235e9, 22e9),
        (30e9, 3e9),
        (1e9, 0.0),
    ] {
        let network = Transformer::of_size(total, active);
        let count = network.parameters();
        assert!((count / total - 1.0).abs() < 0.12, "{total}: {count}");
        if active > 0.0 {
            let count = network.graph().language().unwrap().active();
            assert!((count / active - 1.0).abs() < 0.15, "{active}: {count}");
        }
    }
}
