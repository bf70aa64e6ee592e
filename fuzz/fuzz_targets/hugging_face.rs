//! The configuration of a language model or an encoder beside the weights and the tokenizer of a right one: it is opened and run, or
//! known by its shapes, or refused.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattif_core::model::ModelReference;
use wattif_core::outline::Outline;
use wattif_fuzz::{
    bounded, caught_panics_count_as_errors, opened, refused, scratch, sound_outline,
};

/// Kinds of which there are weights.
const KINDS: [&str; 22] = [
    "bert",
    "distilbert",
    "roberta",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
    "granite",
    "mixtral",
    "olmo2",
    "olmoe",
    "phi",
    "phi3",
    "qwen2_moe",
    "qwen3_moe",
    "smollm3",
    "stablelm",
    "starcoder2",
];

/// A folder of each kind that has everything but the configuration.
static FOLDERS: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/fixtures");
    let folder = |kind: &&str| {
        let of = match kind.contains("bert") {
            true => "encoders",
            false => "language",
        };
        let fixtures = all.join(of);
        let folder = scratch(kind);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(
            fixtures.join(kind).join("model.safetensors"),
            folder.join("model.safetensors"),
        )
        .unwrap();
        // Where a kind has no tokenizer of its own, any does.
        let own = fixtures.join(kind).join("tokenizer.json");
        let usual = all.join("language/llama/tokenizer.json");
        let tokenizer = if own.is_file() { own } else { usual };
        fs::copy(tokenizer, folder.join("tokenizer.json")).unwrap();
        folder
    };
    KINDS.iter().map(folder).collect()
});

fuzz_target!(|text: &str| {
    caught_panics_count_as_errors();
    // The weights of the kind that the configuration names, else of the first.
    let named = KINDS
        .iter()
        .rposition(|kind| text.contains(kind))
        .unwrap_or(0);
    let folder = &FOLDERS[named];
    fs::write(folder.join("config.json"), text).unwrap();
    bounded(text.len(), || {
        if !opened(folder) {
            match Outline::open(&ModelReference::File(folder.clone())) {
                Ok(outline) => sound_outline(&outline),
                Err(error) => refused(&error),
            }
        }
    });
});
