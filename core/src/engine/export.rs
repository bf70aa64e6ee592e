//! Writing compressed models: packed, as a GGUF for llama.cpp, or as the folder of a language model has them.

use std::collections::BTreeMap;
use std::path::Path;

use super::streamed::LARGEST_WHOLE;
use super::{Engine, lock};
use crate::compress::{LayerFormat, layer_formats};
use crate::error::{Error, Result};
use crate::files;
use crate::model::ModelReference;
use crate::recipe::{Recipe, Width};
use crate::run::Weights as _;
use crate::weights::{self, NewTensor, NewValues, Source};

/// Number of half precision among the types of files of llama.cpp (`LLAMA_FTYPE_MOSTLY_F16`).
const HALF: u32 = 1;
/// What belongs to the weights of a language model or an encoder in a folder, beside them.
const BESIDE: [&str; 11] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "1_Pooling/config.json",
    "generation_config.json",
    "chat_template.jinja",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];
/// Those of them that must be the same where they are there already.
const COMPARED: usize = 6;
/// The longest of these.
const LONGEST_BESIDE: u64 = 256 << 20;

impl Engine {
    /// Compresses the weights as the recipe says and writes a file: a GGUF where its name ends in `.gguf`, else the packed
    /// one, whose bytes are those that a measurement of the same recipe states. Returns the bytes of the file; those of a
    /// GGUF are the stated ones but for its header.
    ///
    /// Of a language model that was opened from a folder, a name that ends in `.safetensors` gives its weights back as they
    /// came: under their own names and in their own 16 or 32 bits, which the new values are rounded to, with its
    /// configuration and tokenizer beside them, which a folder that has none yet gets too.
    ///
    /// # Errors
    /// The recipe is out of range or cannot be expressed in such a file, the model has no such file, or the file cannot be
    /// written.
    pub fn export(&self, recipe: &Recipe, path: &Path) -> Result<u64> {
        self.checked(recipe)?;
        self.check_own("exported")?;
        let opened = match &self.model.reference {
            ModelReference::File(own) => Some(own.as_path()),
            _ => None,
        };
        let source = self.model.source.as_ref();
        let mut own = source
            .map_or_else(Vec::new, |source| source.paths())
            .into_iter()
            .chain(opened);
        if own.any(|own| files::is_same(own, path)) {
            return Err(Error::file(
                "this is the file that the model was opened from; it is not written over",
                path,
            ));
        }
        let ending = |wanted: &str| {
            let ending = path.extension();
            ending.is_some_and(|ending| ending.eq_ignore_ascii_case(wanted))
        };
        if let Some(source) = &self.model.source
            && source.as_renamed().is_some()
            && ending("safetensors")
        {
            return self.export_as_read(source.as_ref(), recipe, path);
        }
        self.check_whole("exported")?;
        if ending("gguf") {
            return self.export_gguf(recipe, path);
        }
        let network = self.network(self.student(recipe).as_deref())?;
        lock(&network.compressor).export(recipe, path)
    }

    /// Refuses what needs all weights in memory, of a model that is too large for that.
    pub(super) fn check_whole(&self, what: &str) -> Result<()> {
        let parameters = self.model.architecture.parameters();
        if self.streamed.is_none() || parameters <= LARGEST_WHOLE {
            return Ok(());
        }
        Err(Error::Infeasible(format!(
            "the model has {:.1} billion parameters; models of more than {:.1} billion are not {what} yet",
            parameters as f64 / 1e9,
            LARGEST_WHOLE as f64 / 1e9
        )))
    }

    /// In which blocks a recipe stores each layer, and why; none where it asks for none.
    pub fn layer_formats(&self, recipe: &Recipe) -> Vec<LayerFormat> {
        layer_formats(self.planner.layers(), &recipe.canonical())
    }

    /// Writes the weights of a folder as it has them.
    fn export_as_read(&self, source: &dyn Source, recipe: &Recipe, path: &Path) -> Result<u64> {
        let ModelReference::File(own) = &self.model.reference else {
            return Err(Error::file("the model was not opened from a folder", path));
        };
        let from = match own.is_dir() {
            true => own.as_path(),
            false => files::folder_of(own),
        };
        let to = files::folder_of(path);
        let read = |folder: &Path, name: &str| {
            let path = folder.join(name);
            let there = path.is_file();
            there
                .then(|| files::read_bytes(&path, LONGEST_BESIDE))
                .transpose()
        };
        // Other programs read a file of this name before an index of parts, and this one the index.
        let whole = path
            .file_name()
            .is_some_and(|name| name == "model.safetensors");
        let index = to.join("model.safetensors.index.json");
        if whole && index.exists() {
            return Err(Error::file(
                "the folder has an index of parts, beside which a file of this name would stand for another model; write it \
                 into a folder of its own",
                path,
            ));
        }
        // What is there already must be the same, or the weights would be read otherwise.
        let mut missing = Vec::new();
        for (place, name) in BESIDE.into_iter().enumerate() {
            match (read(from, name)?, read(to, name)?) {
                (Some(own), Some(other)) if place < COMPARED && own != other => {
                    return Err(Error::file(
                        format!(
                            "{name} of another model is in this folder, by which the weights would be read; an empty \
                             folder gets its own"
                        ),
                        path,
                    ));
                }
                (Some(own), None) => missing.push((name, own)),
                _ => {}
            }
        }
        let network = self.network(self.student(recipe).as_deref())?;
        let mut compressor = lock(&network.compressor);
        let weights = compressor.on_demand(recipe, &|| false)?;
        let new = NewValues {
            has: &|name| weights.changes(name),
            rows: &|name, rows, out| weights.matrix(name)?.read(rows, out),
        };
        let text = serde_json::to_string(&recipe.canonical());
        let metadata = [
            ("format".to_owned(), "pt".to_owned()),
            ("wattif.model".to_owned(), self.model.name.clone()),
            ("wattif.model_hash".to_owned(), self.model.hash.clone()),
            ("wattif.recipe".to_owned(), text.unwrap_or_default()),
        ];
        for (name, contents) in missing {
            let place = to.join(name);
            std::fs::create_dir_all(files::folder_of(&place))
                .map_err(|error| Error::file(error.to_string(), &place))?;
            files::replace_with(&place, contents)?;
        }
        weights::write_as_read(source, &new, &metadata.into(), path)
    }

    fn export_gguf(&self, recipe: &Recipe, path: &Path) -> Result<u64> {
        let source = self.gguf(path)?;
        let network = self.network(self.student(recipe).as_deref())?;
        let mut compressor = lock(&network.compressor);
        let compressed = compressor.in_blocks(recipe)?;
        let all = compressed.blocks.iter().map(|(name, stored)| {
            let tensor = NewTensor {
                format: stored.format,
                bytes: &stored.bytes,
            };
            (name.clone(), tensor)
        });
        let new: BTreeMap<String, NewTensor<'_>> = all.collect();
        // Where most weights stay as they were, so does what the file says of them.
        let file_type = match recipe.canonical().quantization.width() {
            Width::Blocks(format) => Some(format.file_type()),
            Width::Bits(16) => Some(HALF),
            Width::Bits(_) => None,
        };
        let written = weights::write(source.as_ref(), &new, file_type, path);
        compressor.recycle(compressed);
        written.map(|written| written.bytes)
    }

    /// The GGUF that the model was opened from: metadata and tokenizer are its.
    fn gguf(&self, path: &Path) -> Result<Box<dyn Source>> {
        let refused = || {
            Error::file(
                "only a model that was opened from a GGUF can be written as one: its metadata and tokenizer go with it; \
                 a name that ends in .safetensors writes the packed file, or of a folder its own kind of file",
                path,
            )
        };
        let ModelReference::File(own) = &self.model.reference else {
            return Err(refused());
        };
        let source = weights::open(own).map_err(|_| refused())?;
        let is_gguf = source.metadata("general.architecture").is_some();
        is_gguf.then_some(source).ok_or_else(refused)
    }
}
