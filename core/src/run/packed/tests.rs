use super::super::Network;
use super::super::WithBlocks;
use super::super::tests::{input, networks, numbers, tensors};
use super::*;
use crate::model::Architecture;
use crate::recipe::{BlockFormat, Recipe};

/// Root mean square of the differences, relative to that of the expected numbers.
fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let size = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let difference = size(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    difference / size(&mut expected.iter().copied())
}

#[test]
fn the_packed_pass_agrees_with_the_plain_one_within_the_rounding_of_its_format() {
    /// Bits and the largest relative error of the logits: sums in another order; half precision; weights and activations
    /// at 8 bits through a dozen layers; weights at 4 bits.
    const WORST: [(u8, f32); 4] = [(32, 1e-5), (16, 5e-3), (8, 0.03), (4, 0.3)];
    for architecture in networks() {
        let tensors = tensors(&architecture);
        let input = input(&architecture, 3, 33);
        let plain = Network::new(&architecture.graph(), &tensors, 32).unwrap();
        let plain = numbers(&plain.run(&input).unwrap());
        for (bits, worst) in WORST {
            let packed = PackedNetwork::new(&architecture.graph(), &tensors, bits).unwrap();
            let found = numbers(&packed.run(&input).unwrap());
            let error = error(&found, &plain);
            assert!(error < worst, "{architecture:?} {bits}: {error}");
        }
    }
}

#[test]
fn blocks_are_run_from_the_codes_that_are_measured() {
    /// Sums in another order and half precision; activations at 8 bits through a dozen layers, whatever the weights have.
    const WORST: f32 = 0.03;
    for architecture in networks() {
        let tensors = tensors(&architecture);
        let planner = crate::engine::planner("test", &architecture).unwrap();
        let mut compressor = crate::compress::Compressor::new(planner, &tensors).unwrap();
        let input = input(&architecture, 3, 33);
        // Their rows fill blocks of 32 only: each of these stands for another format of those.
        use BlockFormat::{Q2_K, Q4_1, Q4_K, Q5_K, Q6_K};
        for format in [Q2_K, Q4_1, Q4_K, Q5_K, Q6_K] {
            let mut recipe = Recipe::default();
            recipe.quantization.blocks = Some(format);
            let rounded = compressor.compress(&recipe, &|| false).unwrap();
            let weights = WithBlocks {
                tensors: &rounded.tensors,
                blocks: &rounded.blocks,
            };
            let plain = Network::new(&architecture.graph(), &rounded.tensors, 32).unwrap();
            let plain = numbers(&plain.run(&input).unwrap());
            let packed = PackedNetwork::new(&architecture.graph(), &weights, 32).unwrap();
            let found = numbers(&packed.run(&input).unwrap());
            let error = error(&found, &plain);
            assert!(error < WORST, "{architecture:?} {format}: {error}");
            // Every matrix is as it is stored, but where candle has no kernel for its rows.
            let stored: Vec<&str> = packed
                .matrices()
                .iter()
                .map(|m| m.format().name())
                .collect();
            for name in &stored {
                let known = rounded
                    .blocks
                    .values()
                    .any(|coded| coded.format.name() == *name);
                assert!(known || *name == "F32", "{format}: {stored:?}");
            }
        }
    }
}

#[test]
fn texts_written_together_are_those_written_alone() {
    /// Products of several rows add up in the same order as of one.
    const TOLERANCE: f32 = 1e-5;
    for architecture in networks() {
        let packed = PackedNetwork::new(&architecture.graph(), &tensors(&architecture), 8).unwrap();
        let Some(mut writer) = packed.writer(3, 20).unwrap() else {
            let writes = matches!(architecture.input(), Input::Tokens { .. })
                && !architecture.graph().is_encoder();
            assert!(!writes);
            continue;
        };
        let together = writer.step(&[1, 2, 3]).unwrap();
        // What was read before are zeros.
        for (text, logits) in together.chunks_exact(together.len() / 3).enumerate() {
            let mut tokens = vec![0_u32; 21];
            tokens[20] = 1 + text as u32;
            let alone = Tensor::from_vec(tokens, (1, 21), &Device::Cpu).unwrap();
            let alone = numbers(&packed.run(&alone).unwrap());
            let last = &alone[20 * logits.len()..];
            assert!(error(logits, last) < TOLERANCE);
        }
        assert_eq!(
            writer.step(&[1, 2, 3]).unwrap(),
            together,
            "always the same place"
        );
        let context = match architecture.input() {
            Input::Tokens { context, .. } => context as usize,
            Input::Image(_) | Input::Noise { .. } | Input::Noisy(_) => 0,
        };
        assert!(
            packed
                .writer(1, context)
                .unwrap()
                .unwrap()
                .step(&[0])
                .is_err()
        );
    }
}

#[test]
fn every_matrix_says_how_it_is_stored() {
    let networks = networks();
    let (cnn, gpt) = (&networks[0], &networks[1]);
    let formats = |architecture: &Architecture, bits| {
        let packed =
            PackedNetwork::new(&architecture.graph(), &tensors(architecture), bits).unwrap();
        let matrices = packed.matrices();
        let names: Vec<&str> = matrices.iter().map(|m| m.format().name()).collect();
        (names, matrices.iter().map(|m| m.bytes()).sum::<usize>())
    };
    // 9 and 144 inputs are no multiples of 32.
    let (names, bytes) = formats(cnn, 8);
    assert_eq!(names, ["F32", "F32", "Q8_0", "Q8_0", "Q8_0"]);
    let (floats, eights) = (16 * 9 + 32 * 144, 64 * 288 + 128 * 576 + 10 * 128);
    assert_eq!(bytes, 4 * floats + eights / 32 * 34);
    let (names, _) = formats(gpt, 4);
    assert_eq!(names.len(), 2 + 4 * 4 + 1);
    assert!(names.iter().all(|name| *name == "Q4_0"));
}
