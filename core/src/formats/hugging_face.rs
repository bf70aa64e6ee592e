//! Language models as Hugging Face publishes them: `config.json`, `tokenizer.json` and weights in one folder, as
//! `model.safetensors` or in several files with their index. The folder, the file and the index open the same model.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::{arrays, begins, encoder, is_safetensors, language, list};
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Architecture, DecoderConfig, EncoderConfig, Model, Published};
use crate::outline::tensors;
use crate::tokenizer::Tokenizer;
use crate::weights::{self, Packed, Renamed, Source as _};

/// The longest `config.json`.
const LONGEST_CONFIG: u64 = 16 << 20;
/// Paths that [`published`] remembers.
const REMEMBERED: usize = 64;
/// What stands in the place of a large file where Git has not fetched it.
const POINTER: &[u8] = b"version https://git-lfs";

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// Files in which some programs say how they packed weights.
const PACKED: [&str; 3] = [
    "quantize_config.json",
    "quant_config.json",
    "hf_quant_config.json",
];
/// Files of weights, of which the first that is there is taken; PyTorch's are the older ones.
const WEIGHTS: [&str; 4] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
];

/// What is in a folder.
enum Found {
    Language(Box<Published>),
    Encoder(EncoderConfig),
}

impl Found {
    fn architecture(&self) -> Architecture {
        match self {
            Self::Language(published) => Architecture::Decoder(published.network.clone()),
            Self::Encoder(config) => Architecture::Encoder(config.clone()),
        }
    }

    /// How weights are packed, where they are.
    fn packing(&self) -> Option<weights::Scheme> {
        match self {
            Self::Language(published) => published.packing,
            Self::Encoder(_) => None,
        }
    }
}

/// The files of a model.
#[derive(Debug, PartialEq)]
struct Files {
    folder: PathBuf,
    /// The index or the only file; `None` where there is neither.
    weights: Option<PathBuf>,
}

impl Files {
    /// Those that a path leads to: a folder with a configuration, or weights beside one.
    fn of(path: &Path) -> Option<Self> {
        let folder = if path.is_dir() { path } else { path.parent()? };
        if !folder.join(CONFIG).is_file() {
            return None;
        }
        let inside = || WEIGHTS.iter().map(|name| folder.join(name));
        let weights = if path.is_dir() {
            inside().find(|path| path.is_file())
        } else if tensors::is_index(path) {
            Some(path.to_owned())
        } else if tensors::is_part(path) {
            // `model.safetensors.index.json` of `model-00001-of-00002.safetensors`.
            let ending = path.extension()?.to_string_lossy().into_owned();
            let of_its_kind = |index: &PathBuf| {
                let name = index.to_string_lossy();
                name.ends_with(&format!(".{ending}.index.json"))
            };
            inside().find(of_its_kind).filter(|index| index.is_file())
        } else if (is_safetensors(path) || arrays::found(path).is_some())
            && !list(path).is_ok_and(|listing| listing.runs)
        {
            Some(path.to_owned())
        } else {
            return None;
        };
        Some(Self {
            folder: folder.to_owned(),
            weights,
        })
    }

    /// The network, and whether all of its files are there; the error is why it is not run.
    fn network(&self) -> std::result::Result<Found, String> {
        let path = self.folder.join(CONFIG);
        let text = files::read_bytes(&path, LONGEST_CONFIG).map_err(fact)?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let config = crate::unique::json(text)
            .map_err(|error| format!("its {CONFIG} is not JSON ({error})"))?;
        let found = match EncoderConfig::is_config(&config) {
            true => Found::Encoder(encoder::of_folder(&self.folder, &config)?),
            false => Found::Language(Box::new(DecoderConfig::of_config(&config)?)),
        };
        let beside = PACKED.iter().find(|name| self.folder.join(name).is_file());
        if let (Some(name), None) = (beside, found.packing()) {
            return Err(format!(
                "its weights are packed as {name} beside it says, which is not run here yet"
            ));
        }
        if let Some(fact) = found.architecture().implausible() {
            return Err(format!("its {CONFIG} has {fact}"));
        }
        let Some(weights) = &self.weights else {
            return Err(format!("its folder has none of {}", WEIGHTS.join(", ")));
        };
        if tensors::is_index(weights) {
            for part in tensors::parts_of(weights).map_err(fact)? {
                fetched(&part)?;
            }
        }
        fetched(weights)?;
        let tokenizers = match &found {
            Found::Language(_) => &[TOKENIZER][..],
            Found::Encoder(_) => &encoder::TOKENIZERS,
        };
        let is_there = |name: &&str| self.folder.join(name).is_file();
        if !tokenizers.iter().any(is_there) {
            return Err(format!("there is no {TOKENIZER} beside its {CONFIG}"));
        }
        Ok(found)
    }
}

fn fact(error: Error) -> String {
    match error {
        Error::File { fact, .. } => fact,
        other => other.to_string(),
    }
}

/// Whether a file is itself and not what Git keeps in its place.
fn fetched(path: &Path) -> std::result::Result<(), String> {
    if begins(path).is_some_and(|head| head.starts_with(POINTER)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Err(format!(
            "{name} is Git's pointer to a file that was not fetched"
        ));
    }
    Ok(())
}

/// Whether a path leads to a language model as Hugging Face publishes them that runs here, or why it does not; `None`
/// where it leads to none. Looks at names, the configuration and headers only, once for each state of the files.
pub(crate) fn published(path: &Path) -> Option<std::result::Result<(), String>> {
    type State = Vec<Option<(u64, Option<SystemTime>)>>;
    type Answer = Option<std::result::Result<(), String>>;
    static KNOWN: Mutex<Option<HashMap<PathBuf, (State, Answer)>>> = Mutex::new(None);
    let folder = if path.is_dir() { path } else { path.parent()? };
    let config = folder.join(CONFIG);
    if path == config || !config.is_file() {
        return None;
    }
    // A folder changes when a file in it comes or goes.
    let weights = WEIGHTS.map(|name| folder.join(name));
    let watched = [path, folder, &config];
    let watched = watched
        .into_iter()
        .chain(weights.iter().map(PathBuf::as_path));
    let state: State = watched
        .map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.len(), metadata.modified().ok()))
        })
        .collect();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some((then, answer)) = known.get(path)
        && *then == state
    {
        return answer.clone();
    }
    let answer = Files::of(path).map(|files| files.network().map(|_| ()));
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(path.to_owned(), (state, answer.clone()));
    answer
}

/// Opens what a path leads to; `None` where that is no such model, or only a file of weights whose network is not run.
///
/// # Errors
/// [`Error::File`] saying why the network is not run, what in its files is damaged, or which tensor does not fit.
pub(super) fn open(path: &Path) -> Option<Result<Model>> {
    let files = Files::of(path)?;
    match files.network() {
        Ok(Found::Language(network)) => Some(assemble(path, &files, &network)),
        Ok(Found::Encoder(config)) => {
            let weights = files.weights.as_deref().unwrap_or(path);
            Some(encoder::assemble(path, (&files.folder, weights), &config))
        }
        Err(fact) if path.is_dir() || tensors::is_index(path) => Some(Err(Error::file(
            format!("this model is known by its shapes only: {fact}"),
            path,
        ))),
        Err(_) => None,
    }
}

fn assemble(path: &Path, files: &Files, published: &Published) -> Result<Model> {
    let weights = files.weights.as_deref().unwrap_or(path);
    let wrong = |fact: String| Error::file(fact, weights);
    let tied = published.network.tied;
    let named = |name: &str| published.as_gguf(name);
    let mut stored = weights::open(weights)?;
    if let Some(scheme) = published.packing {
        stored = Box::new(Packed::new(stored, scheme).map_err(wrong)?);
    }
    let mut source = Renamed::new(stored, named).map_err(wrong)?;
    for (name, table) in &published.tables {
        source.add(name, table.clone()).map_err(wrong)?;
    }
    let architecture = Architecture::Decoder(published.network.clone());
    if published.packing.is_some() {
        leave_out_zeros(&mut source, &architecture)?;
    }
    let (head, table) = ("output.weight", "token_embd.weight");
    if tied && let (Some(one), Some(other)) = (source.find(head), source.find(table)) {
        if !source.are_equal(one, other)? {
            return Err(wrong(format!(
                "by its {CONFIG} the head is the table of tokens (tie_word_embeddings), and tensor '{}' is another",
                source.in_file(head).unwrap_or(head)
            )));
        }
        source.leave_out(head);
    }
    language::check(&architecture, &source)
        .map_err(|fact| wrong(in_file(&fact, &source, |name| published.as_published(name))))?;
    let place = files.folder.join(TOKENIZER);
    let tokenizer = Tokenizer::open_json(&place)?;
    let outputs = architecture.graph().outputs();
    // Tables are often filled up to a round number, but a piece without a row cannot be read.
    if tokenizer.vocabulary() > outputs {
        return Err(Error::file(
            format!(
                "the tokenizer has {} pieces, its network only {outputs}",
                tokenizer.vocabulary()
            ),
            place,
        ));
    }
    let name = match path.is_dir() {
        true => tensors::name(&path.join(WEIGHTS[1])),
        false => tensors::name(path),
    };
    let model = language::assemble(path, Arc::new(source), architecture, tokenizer)?;
    Ok(Model { name, ..model })
}

/// Leaves out biases of zero that a network does not have: programs that pack weights write one for every matrix.
fn leave_out_zeros(source: &mut Renamed, architecture: &Architecture) -> Result<()> {
    let own: HashSet<String> = architecture
        .tensor_shapes()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let mut zeros = Vec::new();
    for (at, info) in source.tensors().iter().enumerate() {
        if info.shape.len() != 1 || !info.name.ends_with(".bias") || own.contains(&info.name) {
            continue;
        }
        let mut values = vec![1.0; info.elements()];
        source.decode(at, 0..info.rows(), &mut values)?;
        if values.iter().all(|value| *value == 0.0) {
            zeros.push(info.name.clone());
        }
    }
    for name in zeros {
        source.leave_out(&name);
    }
    Ok(())
}

/// A fact about a tensor by the name that it has, or would have, in the file.
pub(super) fn in_file(
    fact: &str,
    source: &Renamed,
    published: impl Fn(&str) -> Option<String>,
) -> String {
    let mut parts = fact.split('\'');
    let (Some(before), Some(name)) = (parts.next(), parts.next()) else {
        return fact.to_owned();
    };
    let rest: Vec<&str> = parts.collect();
    let named = source
        .in_file(name)
        .map(str::to_owned)
        .or_else(|| published(name))
        .unwrap_or_else(|| name.to_owned());
    format!("{before}'{named}'{}", rest.join("'"))
}
