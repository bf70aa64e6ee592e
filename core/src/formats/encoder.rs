//! Encoders of sentences as Hugging Face publishes them, and in GGUF files.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::language;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Architecture, EncoderConfig, Model, PublishedEncoder};
use crate::outline::tensors;
use crate::tokenizer::Tokenizer;
use crate::weights::{self, Renamed};

/// Files that say how a text is cut, of which the first that is there is taken.
pub(super) const TOKENIZERS: [&str; 2] = ["tokenizer.json", "vocab.txt"];
/// What says whether letters of a `vocab.txt` are small.
const CUTTING: &str = "tokenizer_config.json";
/// What sentence-transformers says of the rows of tokens.
const POOLING: &str = "1_Pooling/config.json";
/// The longest of these files but vocabularies.
const LONGEST_CONFIG: u64 = 16 << 20;

fn read_json(path: &Path) -> std::result::Result<Value, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = files::read_bytes(path, LONGEST_CONFIG).map_err(|error| error.to_string())?;
    crate::unique::json(&text).map_err(|error| format!("its {name} is not JSON ({error})"))
}

/// The network that a folder's `config.json` and the file of its pooling say.
///
/// # Errors
/// It is not run, and why.
pub(super) fn of_folder(
    folder: &Path,
    config: &Value,
) -> std::result::Result<EncoderConfig, String> {
    let pooling = folder.join(POOLING);
    let pooling = match pooling.is_file() {
        true => Some(read_json(&pooling)?),
        false => None,
    };
    EncoderConfig::of_config(config, pooling.as_ref()).map(|published| published.network)
}

/// Puts the model together of a folder's files; `path` is what was opened.
///
/// # Errors
/// [`Error::File`] saying what in them is damaged, or which tensor does not fit.
pub(super) fn assemble(
    path: &Path,
    (folder, weights): (&Path, &Path),
    config: &EncoderConfig,
) -> Result<Model> {
    let wrong = |fact: String| Error::file(fact, weights);
    let source = Renamed::new(weights::open(weights)?, PublishedEncoder::as_gguf).map_err(wrong)?;
    let architecture = Architecture::Encoder(config.clone());
    language::check(&architecture, &source).map_err(|fact| {
        wrong(super::hugging_face::in_file(
            &fact,
            &source,
            PublishedEncoder::as_published,
        ))
    })?;
    let tokenizer = tokenizer(folder)?;
    if tokenizer.vocabulary() > config.vocabulary {
        return Err(wrong(format!(
            "the tokenizer has {} pieces, its network only {}",
            tokenizer.vocabulary(),
            config.vocabulary
        )));
    }
    let model = language::assemble(path, Arc::new(source), architecture, tokenizer)?;
    let name = match path.is_dir() {
        true => tensors::name(&path.join("model.safetensors")),
        false => tensors::name(path),
    };
    Ok(Model { name, ..model })
}

fn tokenizer(folder: &Path) -> Result<Tokenizer> {
    let [json, list] = TOKENIZERS.map(|name| folder.join(name));
    if json.is_file() {
        return Tokenizer::open_json(&json);
    }
    let cutting = folder.join(CUTTING);
    let said = match cutting.is_file() {
        true => read_json(&cutting).map_err(|fact| Error::file(fact, &cutting))?,
        false => Value::Null,
    };
    let small = said.get("do_lower_case").and_then(Value::as_bool);
    Tokenizer::open_words(&list, small.unwrap_or(true))
}
