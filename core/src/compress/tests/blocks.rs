//! What holds of weights in the blocks of llama.cpp.

use sha2::Digest;

use super::*;
use crate::recipe::BlockFormat;
use crate::weights::StoredFormat;

/// A block of a language model of several, whose rows are whole blocks where `width` is.
fn decoder(width: usize, blocks: usize, shared: usize, tied: bool) -> (Planner, Tensors) {
    let mut layers = Vec::new();
    let mut add = |name: &str, rows: usize, row: usize| {
        layers.push(layer(name, LayerKind::Linear, &[rows, row], 0, true));
    };
    add("token_embd", 24, width);
    for i in 0..blocks {
        for (name, rows, row) in [
            ("attn_q", 4 * shared, width),
            ("attn_k", 4, width),
            ("attn_v", 4, width),
            ("attn_output", 8, width),
            ("ffn_gate", 8, width),
            ("ffn_up", 8, width),
            ("ffn_down", 8, 2 * width),
        ] {
            add(&format!("blk.{i}.{name}"), rows, row);
        }
    }
    if !tied {
        add("output", 24, width);
    }
    let mut shapes: Vec<_> = layers
        .iter()
        .map(|layer| (format!("{}.weight", layer.name), layer.shape.clone()))
        .collect();
    shapes.push(("output_norm.weight".to_owned(), vec![width]));
    layers.push(layer(
        "output_norm",
        LayerKind::Elementwise,
        &[],
        width as u64,
        false,
    ));
    let mut rng = ChaCha8Rng::seed_from_u64(width as u64);
    let tensors = shapes
        .iter()
        .map(|(name, shape)| {
            let n = shape.iter().product::<usize>();
            // Spread about as weights are.
            let numbers: Vec<f32> = (0..n)
                .map(|_| (0..4).map(|_| rng.random_range(-0.05..0.05_f32)).sum())
                .collect();
            let tensor = Tensor::from_vec(numbers, shape.clone(), &Device::Cpu).unwrap();
            (name.clone(), tensor)
        })
        .collect();
    let planner = Planner::new("decoder", Unit::Token, &layers, &shapes, "{}").unwrap();
    (planner, tensors)
}

fn with(format: BlockFormat) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.quantization.blocks = Some(format);
    recipe
}

/// Name and format of each layer.
fn formats(planner: &Planner, format: BlockFormat) -> Vec<(String, StoredFormat)> {
    let all = layer_formats(planner.layers(), &with(format)).into_iter();
    all.map(|layer| (layer.layer, layer.format)).collect()
}

#[test]
fn what_is_measured_planned_written_and_read_back_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.safetensors");
    for (planner, tensors) in [
        network(11),
        decoder(256, 2, 2, true),
        decoder(96, 2, 4, false),
    ] {
        let mut compressor = Compressor::new(planner, &tensors).unwrap();
        for format in BlockFormat::ALL {
            for sparsity in [0.0, 0.5] {
                let mut recipe = with(format);
                recipe.pruning.sparsity = sparsity;
                let counted = go(&mut compressor, &recipe);
                let planned = compressor.planner().plan(&recipe);
                assert_eq!(planned.stored_bytes(), counted.profile.stored_bytes());
                for (planned, counted) in planned.layers.iter().zip(&counted.profile.layers) {
                    assert_eq!(planned.stored_bytes, counted.stored_bytes);
                    assert_eq!(planned.weight_bits, counted.weight_bits);
                    let global = recipe.pruning.scope == Scope::Global && sparsity > 0.0;
                    assert!(global || planned.nonzero >= counted.nonzero, "{format}");
                    // Codes and what stands beside them are all that is stored.
                    let bits = counted.layer.weights() * u64::from(counted.weight_bits);
                    let others = 4 * counted.layer.other_parameters;
                    if counted.layer.compressible {
                        assert_eq!(
                            bits.div_ceil(8) + 2 * counted.scales + others,
                            counted.stored_bytes
                        );
                    }
                }
                // The codes are those of the numbers that are measured.
                for (name, coded) in &counted.blocks {
                    let mut decoded = vec![0.0; counted.tensors[name].elem_count()];
                    crate::weights::decode(coded.format, &coded.bytes, &mut decoded).unwrap();
                    assert_eq!(decoded, numbers(&counted.tensors, name), "{format} {name}");
                }
                let written = compressor.export(&recipe, &path).unwrap();
                assert_eq!(written, counted.profile.stored_bytes());
                let read = unpack(&path).unwrap();
                assert_eq!(read.recipe, recipe.canonical());
                assert_eq!(
                    bits_of(&read.tensors),
                    bits_of(&counted.tensors),
                    "{format}"
                );
            }
        }
    }
}

/// Largest root mean square error against the spread of the weights, by bits of a code; rounding in even steps over six
/// times the spread is wrong by 6 / √12 / 2^bits of it.
const WORST: [(u8, f64); 6] = [
    (2, 0.5),
    (3, 0.25),
    (4, 0.12),
    (5, 0.06),
    (6, 0.03),
    (8, 0.01),
];

#[test]
fn rounding_is_as_fine_as_its_bits() {
    let (planner, tensors) = decoder(512, 1, 1, true);
    let mut compressor = Compressor::new(planner, &tensors).unwrap();
    let mut before = f64::INFINITY;
    for format in BlockFormat::ALL
        .into_iter()
        .filter(|format| !format.is_mix())
    {
        let rounded = go(&mut compressor, &with(format));
        let (mut error, mut size) = (0.0, 0.0);
        for name in rounded.blocks.keys() {
            for (a, b) in numbers(&tensors, name)
                .iter()
                .zip(numbers(&rounded.tensors, name))
            {
                error += f64::from(a - b).powi(2);
                size += f64::from(*a).powi(2);
            }
        }
        let error = (error / size).sqrt();
        let worst = WORST
            .iter()
            .find(|(bits, _)| *bits == format.bits())
            .unwrap()
            .1;
        assert!(error < worst, "{format}: {error}");
        // Of equal bits the formats differ little; more bits are always better.
        assert!(error < 1.5 * before, "{format}: {error} after {before}");
        before = error;
    }
}

#[test]
fn pruned_weights_stay_zero_in_formats_without_a_least_weight_only() {
    let (planner, tensors) = decoder(256, 1, 1, true);
    let mut compressor = Compressor::new(planner, &tensors).unwrap();
    for format in BlockFormat::ALL
        .into_iter()
        .filter(|format| !format.is_mix())
    {
        let mut recipe = with(format);
        recipe.pruning.sparsity = 0.6;
        let profile = go(&mut compressor, &recipe).profile;
        let zeros = 1.0 - profile.nonzero_weights() as f64 / profile.weights() as f64;
        let steps = ["Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K"].contains(&format.name().as_str());
        assert_eq!(zeros >= 0.6, !steps, "{format}: {zeros}");
        for layer in profile.layers.iter().filter(|l| l.layer.compressible) {
            assert_eq!(layer.pattern.is_none(), steps, "{format}");
        }
    }
}

#[test]
fn rows_that_fill_no_block_take_what_llama_cpp_takes() {
    use StoredFormat as F;
    // Rows of 9, 35, 2 and 64.
    let (planner, _) = network(3);
    let head = |format| formats(&planner, format).pop().unwrap().1;
    for (format, expected) in [
        (BlockFormat::Q2_K, F::Q4_0),
        (BlockFormat::Q3_K, F::Q4_0),
        (BlockFormat::Q4_K, F::Q5_0),
        (BlockFormat::Q5_K, F::Q5_1),
        (BlockFormat::Q6_K, F::Q8_0),
        (BlockFormat::Q4_1, F::Q4_1),
    ] {
        assert_eq!(head(format), expected);
        let all = formats(&planner, format);
        assert_eq!(all.len(), 4, "a table is not compressed");
        assert!(all[..3].iter().all(|(_, format)| *format == F::F16));
    }
    let said: Vec<String> = layer_formats(planner.layers(), &with(BlockFormat::Q4_K))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said[0],
        "conv: F16 for Q4_K, its rows of 9 are no multiple of 32"
    );
    assert_eq!(
        said[3],
        "head: Q5_0 for Q4_K, its rows of 64 are no multiple of 256"
    );
}

#[test]
fn mixes_give_the_layers_more_bits_that_llama_cpp_gives_more() {
    use StoredFormat as F;
    let of = |planner: &Planner, format, ending: &str| -> Vec<F> {
        let all = formats(planner, format).into_iter();
        let named = all.filter(|(name, _)| name.ends_with(ending));
        named.map(|(_, format)| format).collect()
    };
    // As published files of 16 blocks have it.
    let (planner, _) = decoder(256, 16, 2, false);
    let more = [0, 1, 4, 7, 10, 13, 14, 15];
    let sixes: Vec<F> = (0..16)
        .map(|i| if more.contains(&i) { F::Q6_K } else { F::Q4_K })
        .collect();
    assert_eq!(of(&planner, BlockFormat::Q4_K_M, "attn_v"), sixes);
    assert_eq!(of(&planner, BlockFormat::Q4_K_M, "ffn_down"), sixes);
    assert_eq!(
        of(&planner, BlockFormat::Q4_K_M, "output"),
        [[F::Q4_K; 16].as_slice(), &[F::Q6_K]].concat()
    );
    assert_eq!(of(&planner, BlockFormat::Q4_K_M, "token_embd"), [F::Q4_K]);
    assert_eq!(of(&planner, BlockFormat::Q2_K_M, "attn_v"), [F::Q3_K; 16]);
    assert_eq!(of(&planner, BlockFormat::Q2_K_M, "ffn_up"), [F::Q2_K; 16]);
    assert_eq!(
        of(&planner, BlockFormat::Q3_K_M, "attn_v")[..3],
        [F::Q5_K, F::Q5_K, F::Q4_K]
    );
    assert_eq!(
        of(&planner, BlockFormat::Q3_K_M, "ffn_down")[..2],
        [F::Q5_K, F::Q4_K]
    );
    assert_eq!(
        of(&planner, BlockFormat::Q4_K_S, "attn_v")[..5],
        [F::Q5_K, F::Q5_K, F::Q5_K, F::Q5_K, F::Q4_K]
    );
    assert_eq!(
        of(&planner, BlockFormat::Q4_K_S, "ffn_down")[..3],
        [F::Q5_K, F::Q5_K, F::Q4_K]
    );
    // A table that is the head as well, few heads of keys, and rows that fill no large block.
    let (planner, _) = decoder(96, 8, 4, true);
    assert_eq!(of(&planner, BlockFormat::Q4_K_M, "token_embd"), [F::Q8_0]);
    let (planner, _) = decoder(256, 8, 4, true);
    assert_eq!(of(&planner, BlockFormat::Q2_K_M, "token_embd"), [F::Q6_K]);
    assert_eq!(of(&planner, BlockFormat::Q2_K_M, "attn_v"), [F::Q4_K; 8]);
}

#[test]
fn a_scale_beyond_half_precision_is_refused() {
    let (planner, mut tensors) = decoder(256, 1, 1, true);
    let large = Tensor::full(1e9_f32, (24, 256), &Device::Cpu).unwrap();
    tensors.insert("token_embd.weight".to_owned(), large);
    let mut compressor = Compressor::new(planner, &tensors).unwrap();
    for format in [
        BlockFormat::Q8_0,
        BlockFormat::Q4_0,
        BlockFormat::Q4_K,
        BlockFormat::Q6_K,
    ] {
        let error = compressor.compress(&with(format), &|| false).unwrap_err();
        assert!(
            error.to_string().contains("half precision"),
            "{format}: {error}"
        );
    }
}

#[test]
fn weights_from_blocks_are_rounded_once() {
    let (planner, tensors) = decoder(256, 1, 1, true);
    let recipe = with(BlockFormat::Q8_0);
    let plain = go(
        &mut Compressor::new(planner.clone(), &tensors).unwrap(),
        &recipe,
    );
    let blocks = planner.tensors().iter().map(|file| {
        let blocks = crate::model::Blocks {
            format: "Q4_1".to_owned(),
            bits: 4,
            bytes: 20,
        };
        (file.name.clone(), blocks)
    });
    let blocks: BTreeMap<_, _> = blocks.collect();
    let planner = planner.in_blocks(&blocks);
    let other = go(&mut Compressor::new(planner, &tensors).unwrap(), &recipe);
    assert_eq!(plain.blocks, other.blocks);
}

/// The numbers of `scripts/ggml_codes.py`: spread about as weights are, then rows of zeros, of equal numbers, of small ones,
/// and a large one.
fn sequence() -> Vec<f32> {
    let mut state = 1_u32;
    let mut part = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) - 0.5
    };
    let mut numbers: Vec<f32> = (0..8192)
        .map(|_| ((0..4).map(|_| part()).sum::<f64>()) as f32 * 0.05)
        .collect();
    numbers[..256].fill(0.0);
    numbers[256..512].fill(0.01);
    numbers[512..768].fill(-0.01);
    numbers[768..1024]
        .iter_mut()
        .for_each(|number| *number *= 1e-4);
    numbers[1024..1056].fill(0.0);
    numbers[1056] = 1.0;
    numbers
}

/// SHA-256 of the codes of ggml for these numbers, by that script with llama-cpp-python 0.3.36 (ggml 0.25.3).
const CODES: [(BlockFormat, &str); 10] = [
    (
        BlockFormat::Q4_0,
        "6ff237b48456cbfa9ff0cbd34b4bcae8b163de3eb03e390e48a65bb93b0b9914",
    ),
    (
        BlockFormat::Q4_1,
        "c051af938780f24b535acf543a2334644d50e407f3e14f266a89642b4d1d57f3",
    ),
    (
        BlockFormat::Q5_0,
        "b5467171d9093c86de5d7f78fa354e9154dad83593167ce23c6f3b1679e3f3df",
    ),
    (
        BlockFormat::Q5_1,
        "376de633a330b24a71870670315a22d85395d2d899e3a0a7382629383ebd1019",
    ),
    (
        BlockFormat::Q8_0,
        "0d93f7c186e5c523f0b1418c9b8326aad6f3903b98b3cfd6f9a57ddf5cc05328",
    ),
    (
        BlockFormat::Q2_K,
        "167a0150f2a9dfc0edf55ce6012ad1605a6a4a79f413578247eb5435aff14601",
    ),
    (
        BlockFormat::Q3_K,
        "27fa41cbad4f6cd572f73943019ba7fc258d76a926e9648da7b467126a2b9777",
    ),
    (
        BlockFormat::Q4_K,
        "570491e524b1da21a7c7342d47a92382500088873560b7223cad5c26f4a2af66",
    ),
    (
        BlockFormat::Q5_K,
        "ecf0eaec2e011264e8910f0f2924101f5f1661cd19430c4b185202b01aac18bb",
    ),
    (
        BlockFormat::Q6_K,
        "cfdf5935a3f204dd9f2c85c06fac34c1369e3f886c6c3952fbcaa3ce4d308a55",
    ),
];

#[test]
fn codes_are_those_of_ggml() {
    let numbers = sequence();
    for (format, expected) in CODES {
        let tensor = Tensor::from_vec(numbers.clone(), numbers.len(), &Device::Cpu).unwrap();
        let (_, coded) = crate::compress::blocks::round(&tensor, format.base()).unwrap();
        let found = sha2::Sha256::digest(&coded.bytes);
        assert_eq!(crate::model::hex(&found), expected, "{format}");
    }
}
