//! Another program's language model from its file to its quality: a tiny GGUF with random weights, made here.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

use std::path::Path;

use wattif_core::data::OwnData;
use wattif_core::engine::{Engine, Unobserved};
use wattif_core::measurement::{Depth, Metric};
use wattif_core::model::ModelReference;
use wattif_core::recipe::Recipe;

const WIDTH: usize = 32;
const HIDDEN: usize = 64;
const BLOCKS: usize = 2;
/// All bytes and a piece that begins texts.
const VOCABULARY: usize = 257;

/// A file being put together (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
#[derive(Default)]
struct Gguf {
    metadata: Vec<u8>,
    keys: u64,
    tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Gguf {
    fn key(&mut self, name: &str, kind: u32, value: &[u8]) {
        text(&mut self.metadata, name);
        self.metadata.extend(kind.to_le_bytes());
        self.metadata.extend(value);
        self.keys += 1;
    }

    fn number(&mut self, name: &str, value: u32) {
        self.key(name, 4, &value.to_le_bytes());
    }

    fn string(&mut self, name: &str, value: &str) {
        let mut bytes = Vec::new();
        text(&mut bytes, value);
        self.key(name, 8, &bytes);
    }

    fn strings(&mut self, name: &str, values: &[String]) {
        let mut bytes = 8_u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| text(&mut bytes, value));
        self.key(name, 9, &bytes);
    }

    /// Numbers that look random, in single precision (0) or in blocks of 8 bits (8).
    fn tensor(&mut self, name: &str, shape: &[usize], format: u32, spread: f32) {
        let seed = self.tensors.len();
        let len: usize = shape.iter().product();
        let values: Vec<f32> = (0..len)
            .map(|i| spread * (((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0))
            .map(|value| if shape.len() == 1 { 1.0 } else { value })
            .collect();
        let bytes = match format {
            0 => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            _ => values.chunks(32).flat_map(block).collect(),
        };
        // The first dimension of the format is the last here.
        let shape = shape.iter().rev().map(|&n| n as u64).collect();
        self.tensors.push((name.to_owned(), shape, format, bytes));
    }

    fn write(&self, path: &Path) {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend(self.keys.to_le_bytes());
        out.extend(&self.metadata);
        let mut offset = 0_u64;
        for (name, shape, format, bytes) in &self.tensors {
            text(&mut out, name);
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(format.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += bytes.len().next_multiple_of(32) as u64;
        }
        out.resize(out.len().next_multiple_of(32), 0);
        for (.., bytes) in &self.tensors {
            out.extend(bytes);
            out.resize(out.len().next_multiple_of(32), 0);
        }
        std::fs::write(path, out).unwrap();
    }
}

/// A scale in half precision and 32 whole numbers.
fn block(values: &[f32]) -> Vec<u8> {
    let scale = half::f16::from_f32(values.iter().fold(0.0_f32, |a, v| a.max(v.abs())) / 127.0);
    let code = |value: &f32| (value / scale.to_f32()).round() as i8;
    let mut bytes = scale.to_bits().to_le_bytes().to_vec();
    bytes.extend(values.iter().map(|value| code(value).to_le_bytes()[0]));
    bytes
}

/// The characters that stand for bytes in vocabularies of byte pairs: printable ones for themselves, the others above.
fn characters() -> Vec<String> {
    let mut above = 256;
    let printable = |byte: u32| {
        (33..=126).contains(&byte) || (161..=172).contains(&byte) || (174..=255).contains(&byte)
    };
    (0..256)
        .map(|byte| {
            let code = if printable(byte) { byte } else { above };
            above += u32::from(!printable(byte));
            char::from_u32(code).unwrap().to_string()
        })
        .collect()
}

fn model(path: &Path, change: impl FnOnce(&mut Gguf)) {
    const FEED: [(&str, &[usize]); 3] = [
        ("ffn_gate", &[HIDDEN, WIDTH]),
        ("ffn_up", &[HIDDEN, WIDTH]),
        ("ffn_down", &[WIDTH, HIDDEN]),
    ];
    model_with(path, &FEED, change);
}

/// The same with other matrices between attentions.
fn model_with(path: &Path, feed: &[(&str, &[usize])], change: impl FnOnce(&mut Gguf)) {
    let mut gguf = Gguf::default();
    gguf.string("general.architecture", "llama");
    for (key, value) in [
        ("context_length", 64),
        ("embedding_length", WIDTH),
        ("block_count", BLOCKS),
        ("feed_forward_length", HIDDEN),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("rope.dimension_count", 8),
    ] {
        gguf.number(&format!("llama.{key}"), value as u32);
    }
    let epsilon = 1e-5_f32.to_le_bytes();
    gguf.key("llama.attention.layer_norm_rms_epsilon", 6, &epsilon);
    gguf.string("tokenizer.ggml.model", "gpt2");
    gguf.string("tokenizer.ggml.pre", "gpt-2");
    let mut pieces = characters();
    pieces.push("<s>".to_owned());
    gguf.strings("tokenizer.ggml.tokens", &pieces);
    gguf.strings("tokenizer.ggml.merges", &[]);
    gguf.number("tokenizer.ggml.bos_token_id", 256);
    gguf.key("tokenizer.ggml.add_bos_token", 7, &[1]);
    gguf.tensor("token_embd.weight", &[VOCABULARY, WIDTH], 0, 1.0);
    for i in 0..BLOCKS {
        let own = |name: &str| format!("blk.{i}.{name}.weight");
        for norm in ["attn_norm", "ffn_norm"] {
            gguf.tensor(&own(norm), &[WIDTH], 0, 1.0);
        }
        for (name, rows, columns) in [
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH / 2, WIDTH),
            ("attn_v", WIDTH / 2, WIDTH),
            ("attn_output", WIDTH, WIDTH),
        ] {
            gguf.tensor(&own(name), &[rows, columns], 8, 0.3);
        }
        for (name, shape) in feed {
            gguf.tensor(&own(name), shape, 8, 0.3);
        }
    }
    gguf.tensor("output_norm.weight", &[WIDTH], 0, 1.0);
    change(&mut gguf);
    gguf.write(path);
}

#[test]
fn a_gguf_is_opened_measured_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    // Angles as Llama 3 divides them.
    model(&path, |gguf| gguf.tensor("rope_freqs.weight", &[4], 0, 1.0));
    let reference = ModelReference::File(path.clone());
    let engine = Engine::open(&reference).unwrap();
    assert_eq!(engine.model().architecture.family(), "language model");
    let recipe = Recipe::default();
    let original = engine.measure(&recipe, Depth::Full, &Unobserved).unwrap();
    let quality = original.quality;
    assert_eq!(quality.metric, Metric::Perplexity);
    // Half of every context but the last prediction.
    assert_eq!(quality.n, 32 * 31);
    assert!(1.0 < quality.low && quality.low < quality.value && quality.value < quality.high);
    assert_eq!(
        (quality.change.value, quality.value),
        (0.0, quality.baseline)
    );
    assert_eq!(quality.same_top.unwrap().value, 1.0);
    // A piece of this vocabulary is a byte.
    let per_byte = quality.bits_per_byte.unwrap();
    assert!((per_byte.value - quality.value.log2()).abs() < 1e-9);
    assert_eq!(per_byte.value, per_byte.baseline);
    // The bytes are those of the file: 34 for 32 weights in blocks, 4 for others.
    let in_blocks = BLOCKS * (3 * WIDTH * WIDTH + 3 * WIDTH * HIDDEN);
    let others = VOCABULARY * WIDTH + (2 * BLOCKS + 1) * WIDTH + 4;
    let header = original.profile.header_bytes;
    let data = (in_blocks / 32 * 34 + 4 * others) as u64;
    assert!(
        original.profile.stored_bytes() - header <= data
            && data - 16 <= original.profile.stored_bytes()
    );
    assert!(
        engine
            .export(&recipe, &folder.path().join("same.safetensors"))
            .is_err()
    );

    let mut narrow = recipe.clone();
    narrow.quantization.weight_bits = 2;
    let measured = engine.measure(&narrow, Depth::Full, &Unobserved).unwrap();
    assert_ne!(measured.quality.value, measured.quality.baseline);
    assert!(measured.quality.divergence.unwrap().value > 0.0);
    assert!(measured.quality.same_top.unwrap().value < 1.0);
    assert!(measured.profile.stored_bytes() < original.profile.stored_bytes());
    assert_eq!(measured.examples.len(), 2);
    let file = folder.path().join("small.safetensors");
    let written = engine.export(&narrow, &file).unwrap();
    assert_eq!(written, measured.profile.stored_bytes());
    assert_eq!(written, std::fs::metadata(&file).unwrap().len());

    // The packed file has no tokenizer and says so.
    let packed = Engine::open(&ModelReference::File(file)).err().unwrap();
    assert!(packed.to_string().contains("tokenizer"), "{packed}");

    // There are no smaller networks of this kind, and none is made up.
    let mut student = recipe.clone();
    student.distillation.ratio = 0.5;
    assert!(engine.predict(&student).is_err());
    assert!(
        engine
            .measure(&student, Depth::Coarse, &Unobserved)
            .is_err()
    );

    // Pruned weights leave their blocks and are 16 bits wide.
    let mut pruned = recipe;
    pruned.pruning.sparsity = 0.25;
    let pruned = engine.measure(&pruned, Depth::Coarse, &Unobserved).unwrap();
    let layer = pruned
        .profile
        .layers
        .iter()
        .find(|l| l.layer.name == "blk.0.ffn_up");
    assert_eq!(layer.unwrap().weight_bits, 16);
}

#[test]
fn a_text_of_the_users_is_measured_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model(&path, |_| {});
    let reference = ModelReference::File(path);
    let text = folder.path().join("text.txt");
    let own = |content: &str, context| {
        std::fs::write(&text, content).unwrap();
        Engine::open_with(&reference, Some(&OwnData::Text(text.clone())), context)
    };
    let engine = own(&"Call me Ishmael. ".repeat(20), Some(16)).unwrap();
    // 340 bytes and the piece before them.
    assert_eq!(engine.evaluation_set().len(), 21 * 7);
    assert!(engine.own_data().unwrap().ends_with("text.txt"));
    let error = own("too short", None);
    assert_eq!(
        error.err().unwrap().to_string(),
        "computation failed: 10 tokens of text are fewer than two contexts of 64"
    );
    // Images are not what it reads.
    let images = OwnData::Images {
        path: folder.path().to_owned(),
        preprocessing: None,
    };
    let error = Engine::open_with(&reference, Some(&images), None);
    assert_eq!(
        error.err().unwrap().to_string(),
        "the model reads text and cannot be measured on images"
    );
}

/// Experts of three dimensions in the file: half of them are used by a token, all of them are stored and rounded.
#[test]
fn a_mixture_of_experts_is_measured_and_exported() {
    const EXPERTS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixture.gguf");
    let feed: [(&str, &[usize]); 4] = [
        ("ffn_gate_inp", &[EXPERTS, WIDTH]),
        ("ffn_gate_exps", &[EXPERTS, HIDDEN, WIDTH]),
        ("ffn_up_exps", &[EXPERTS, HIDDEN, WIDTH]),
        ("ffn_down_exps", &[EXPERTS, WIDTH, HIDDEN]),
    ];
    model_with(&path, &feed, |gguf| {
        gguf.number("llama.expert_count", EXPERTS as u32);
        gguf.number("llama.expert_used_count", 2);
    });
    let engine = Engine::open(&ModelReference::File(path)).unwrap();
    let recipe = Recipe::default();
    let original = engine.measure(&recipe, Depth::Coarse, &Unobserved).unwrap();
    let find = |name: &str| {
        let mut layers = original.profile.layers.iter();
        layers.find(|l| l.layer.name == name).unwrap()
    };
    let up = find("blk.0.ffn_up_exps");
    assert_eq!(up.layer.shape, [EXPERTS * HIDDEN, WIDTH]);
    assert_eq!(up.layer.macs, (2 * HIDDEN * WIDTH) as f64);
    // In blocks of 32 as in the file.
    assert_eq!(up.stored_bytes, (EXPERTS * HIDDEN * WIDTH / 32 * 34) as u64);
    let mut narrow = recipe.clone();
    narrow.quantization.weight_bits = 3;
    let measured = engine.measure(&narrow, Depth::Coarse, &Unobserved).unwrap();
    assert!(measured.quality.divergence.unwrap().value > 0.0);
    let file = folder.path().join("small.safetensors");
    let written = engine.export(&narrow, &file).unwrap();
    assert_eq!(written, measured.profile.stored_bytes());
}

#[test]
fn what_is_not_run_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.gguf");
    let refused = |change: fn(&mut Gguf)| {
        model(&path, change);
        let error = Engine::open(&ModelReference::File(path.clone()));
        error.err().unwrap().to_string()
    };
    let experts = refused(|gguf| gguf.number("llama.expert_count", 8));
    assert!(experts.contains("llama.expert_used_count"), "{experts}");
    let more = refused(|gguf| gguf.tensor("blk.9.attn_q.weight", &[WIDTH, WIDTH], 0, 1.0));
    assert!(more.contains("tensor 'blk.9.attn_q.weight'"), "{more}");
    let angles = refused(|gguf| gguf.tensor("rope_freqs.weight", &[3], 0, 1.0));
    assert!(angles.contains("rope_freqs.weight"), "{angles}");
}

/// Bytes of all tensors that belong to layers.
fn of_layers(measured: &wattif_core::measurement::Measurement) -> u64 {
    let layers = measured.profile.layers.iter();
    layers.map(|layer| layer.stored_bytes).sum()
}

#[test]
fn what_is_written_as_a_gguf_is_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model(&path, |gguf| {
        gguf.tensor("rope_freqs.weight", &[4], 0, 1.0);
        gguf.string("split.name", "not of the other file");
    });
    let before = std::fs::read(&path).unwrap();
    let engine = Engine::open(&ModelReference::File(path.clone())).unwrap();
    let written = folder.path().join("other.GGUF");
    let half = {
        let mut recipe = Recipe::default();
        recipe.quantization.weight_bits = 16;
        recipe
    };
    let in_blocks = |format: &str, sparsity| {
        let mut recipe = Recipe::default();
        recipe.quantization.blocks = Some(format.parse().unwrap());
        recipe.pruning.sparsity = sparsity;
        recipe
    };
    for (recipe, file_type, stored) in [
        (half, 1, "F16"),
        (in_blocks("q4_0", 0.5), 2, "Q4_0"),
        // Rows of 32 and 64 weights.
        (in_blocks("q4_k_m", 0.0), 15, "Q5_0"),
        (in_blocks("q5_k", 0.0), 16, "Q5_1"),
    ] {
        let measured = engine.measure(&recipe, Depth::Coarse, &Unobserved).unwrap();
        let bytes = engine.export(&recipe, &written).unwrap();
        assert_eq!(bytes, std::fs::metadata(&written).unwrap().len());
        let source = wattif_core::weights::open(&written).unwrap();
        let said = |key: &str| source.metadata(key).and_then(|value| value.unsigned());
        assert_eq!(said("general.file_type"), Some(file_type));
        assert_eq!(said("general.quantization_version"), Some(2));
        assert!(source.metadata("split.name").is_none());
        let original = wattif_core::weights::open(&path).unwrap();
        for (key, value) in original.all_metadata() {
            if key != "split.name" {
                assert_eq!(source.metadata(key), Some(value), "{key}");
            }
        }
        let matrix = source.find("blk.1.ffn_up.weight").unwrap();
        assert_eq!(source.tensors()[matrix].format.name(), stored);
        let formats = engine.layer_formats(&recipe);
        for layer in &formats {
            let at = source.find(&format!("{}.weight", layer.layer)).unwrap();
            assert_eq!(source.tensors()[at].format, layer.format, "{layer}");
            assert_eq!(source.tensors()[at].bytes, layer.bytes, "{layer}");
        }
        // The four factors of the angles belong to no layer.
        assert_eq!(source.stored_bytes(), of_layers(&measured) + 16);

        let again = Engine::open(&ModelReference::File(written.clone())).unwrap();
        let read = again.measure(&Recipe::default(), Depth::Coarse, &Unobserved);
        let read = read.unwrap();
        assert_eq!(read.quality.value, measured.quality.value, "{stored}");
        assert_eq!(of_layers(&read), of_layers(&measured));
        // The packed file of the same recipe takes as much, header apart.
        let packed = folder.path().join("packed.safetensors");
        let bytes = engine.export(&recipe, &packed).unwrap();
        assert_eq!(bytes, measured.profile.stored_bytes());
    }
    let refused =
        |recipe: &Recipe, path: &Path| engine.export(recipe, path).unwrap_err().to_string();
    let error = refused(&in_blocks("q8_0", 0.0), &path);
    assert!(error.contains("not written over"), "{error}");
    let mut integers = Recipe::default();
    integers.quantization.weight_bits = 4;
    let error = refused(&integers, &written);
    assert!(
        error.contains("4 bits with a scale per output channel") && error.contains("--format q4_k"),
        "{error}"
    );
    let error = refused(&Recipe::default(), &written);
    assert!(error.contains("nothing to export"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // What ships has no GGUF.
    let bundled = Engine::open(&ModelReference::Bundled("tiny-gpt".to_owned())).unwrap();
    let error = bundled
        .export(&in_blocks("q8_0", 0.0), &written)
        .unwrap_err();
    assert!(error.to_string().contains("opened from a GGUF"), "{error}");
}
