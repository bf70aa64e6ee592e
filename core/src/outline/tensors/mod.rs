//! A network whose weights cannot be run, known by the tensors of its safetensors file: names and shapes tell the family
//! and its widths, the configuration beside the file what they do not, above all the number of heads. The parameters are
//! those of the file; nothing of the weights is read.

mod catalogue;
mod classifier;
mod families;
mod parts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use safetensors::Dtype;

use crate::error::{Error, Result};
use crate::formats::{self, Listed, Listing};
use crate::serving::architecture::{Architecture, Biases, Shape, Transformer};
use crate::serving::open_config;
use catalogue::listed_in_catalogue;
use families::Seen;
pub(crate) use parts::{is_index, is_part, of as parts_of};

/// Most by which the weights of the matrices that a configuration leads to may differ from the tensors'; small projections
/// beside the blocks are below it.
const APART: f64 = 0.01;
/// Share of the elements of the blocks' matrices that must have one number format.
const ONE_FORMAT: f64 = 0.999;
/// Files that [`is_outline`] remembers.
const REMEMBERED: usize = 64;

/// A network and the elements of all its tensors.
#[derive(Debug)]
pub(super) struct Counted {
    /// Its shapes.
    pub(super) network: Architecture,
    /// Elements of all tensors.
    pub(super) parameters: u64,
}

/// Whether a file of weights is one of a network that cannot be run but may be known by its shapes: the tensors are those
/// of a known family, a configuration lies beside them, or it is an ONNX file, which tells its network itself. Looks at
/// the header only, once for each state of a file; `false` where it cannot be read, which [`formats::open`] then says.
pub(crate) fn is_outline(path: &Path) -> bool {
    kind(path).is_some()
}

/// Whether it is one that runs once there are images of the user's to measure it on; as [`is_outline`].
pub(crate) fn needs_images(path: &Path) -> bool {
    kind(path) == Some(Told::Classifier)
}

/// What tells a network that cannot be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Its shapes.
    Shapes,
    /// Its shapes, which are those of a classifier that runs where there are images.
    Classifier,
    /// Nothing: its weights have names and no more.
    Weights,
}

/// Whether a file lists weights that are read, as the `model.json` of TensorFlow.js does.
pub(crate) fn lists_weights(path: &Path) -> bool {
    looked(path).is_some_and(|look| look.lists)
}

/// What a look at a file's header tells, once for each state of it.
pub(crate) fn kind(path: &Path) -> Option<Told> {
    looked(path).and_then(|look| look.told)
}

#[derive(Debug, Clone, Copy)]
struct Look {
    lists: bool,
    told: Option<Told>,
}

fn looked(path: &Path) -> Option<Look> {
    type State = (u64, Option<SystemTime>);
    static KNOWN: Mutex<Option<HashMap<PathBuf, (State, Look)>>> = Mutex::new(None);
    let path = &formats::arrays::file(path);
    let Ok(metadata) = std::fs::metadata(path) else {
        return None;
    };
    if !metadata.is_file() {
        return None;
    }
    let state = (metadata.len(), metadata.modified().ok());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some((then, answer)) = known.get(path)
        && *then == state
    {
        return Some(*answer);
    }
    let tells = |listing: Listing| {
        if listing.runs {
            return None;
        }
        if listing.classifier.is_some() {
            return Some(Told::Classifier);
        }
        let shapes = families::seen(&listing.tensors).is_some()
            || configuration(path).is_some()
            || parts::is_part(path)
            || listing.tensors.iter().any(|own| is_adapter(&own.name))
            || !matches!(listed_in_catalogue(&listing.tensors), Ok(None));
        let is_matrix = |tensor: &Listed| tensor.shape.len() >= 2 && !is_buffer(tensor);
        match shapes {
            true => Some(Told::Shapes),
            false if listing.known || !listing.tensors.iter().any(is_matrix) => None,
            false => Some(Told::Weights),
        }
    };
    let lists = formats::is_safetensors(path) || formats::arrays::found(path).is_some();
    let told = match lists {
        true => formats::list(path).ok().and_then(tells),
        false if formats::is_onnx(path) => (!formats::onnx_runs(path)).then_some(Told::Shapes),
        false => formats::is_of_unknown_kind(path).then_some(Told::Weights),
    };
    if known.len() >= REMEMBERED {
        known.clear();
    }
    let answer = Look { lists, told };
    known.insert(path.to_owned(), (state, answer));
    Some(answer)
}

/// The network of a file of weights, or of all the files that it is a part of.
///
/// # Errors
/// [`Error::File`] saying what cannot be told from the shapes, or what does not fit together, and what can be done
/// instead.
pub(super) fn open(path: &Path) -> Result<Counted> {
    let mut tensors = Vec::new();
    for part in parts::of(path)? {
        let Listing {
            tensors: found,
            classifier,
            ..
        } = formats::list(&part)?;
        if let Some(classifier) = classifier {
            return classifier::counted(&classifier, &found, path);
        }
        tensors.extend(found);
    }
    told(tensors, path, configuration(path).as_deref())
}

/// The network of a file of weights in memory, with no configuration beside it.
///
/// # Errors
/// As [`open`].
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Counted> {
    let listing = formats::list_bytes(bytes, path)?;
    match &listing.classifier {
        Some(classifier) => classifier::counted(classifier, &listing.tensors, path),
        None => told(listing.tensors, path, None),
    }
}

/// Whether a tensor is one of two narrow matrices that are added to another file's (Hu et al. 2021,
/// <https://arxiv.org/abs/2106.09685>), as PEFT and others name them.
fn is_adapter(name: &str) -> bool {
    [".lora_A.", ".lora_B.", ".lora_up.", ".lora_down."]
        .iter()
        .any(|part| name.contains(part))
}

/// The network that tensors and a configuration tell.
fn told(mut tensors: Vec<Listed>, path: &Path, beside: Option<&Path>) -> Result<Counted> {
    tensors.retain(|tensor| !is_buffer(tensor));
    let parameters = tensors.iter().map(elements).sum();
    let refuse = |fact: String| {
        let offers = formats::offers_for(path, parameters);
        Error::file(format!("{fact}; {offers}"), path)
    };
    if let Some(adapter) = tensors.iter().find(|tensor| is_adapter(&tensor.name)) {
        return Err(Error::file(
            format!(
                "this is an adapter (LoRA, tensor '{}'), which changes a network in another file; merge it into that one \
                 first (PEFT's merge_and_unload)",
                adapter.name.escape_debug()
            ),
            path,
        ));
    }
    check_once(&tensors).map_err(refuse)?;
    let weight_bits = width(&tensors).map_err(refuse)?;
    let network = match beside {
        Some(beside) => configured(&tensors, beside).map_err(|fact| match fact {
            Misfit::Fact(fact) => refuse(fact),
            Misfit::Configuration(error) => error,
        })?,
        None => shaped(&tensors).map_err(refuse)?,
    };
    Ok(Counted {
        network: Architecture {
            id: name(path),
            source: format!("{}: {}", path.display(), network.source),
            parameters: parameters as f64,
            weight_bits,
            ..network
        },
        parameters,
    })
}

fn elements(tensor: &Listed) -> u64 {
    tensor.shape.iter().product::<usize>() as u64
}

/// Tensors that frameworks keep with the weights and nothing is learnt in: masks, counters, tables of frequencies.
fn is_buffer(tensor: &Listed) -> bool {
    const ENDINGS: [&str; 5] = [
        ".num_batches_tracked",
        ".attn.masked_bias",
        "rotary_emb.inv_freq",
        "position_ids",
        "token_type_ids",
    ];
    let is_mask = tensor.name.ends_with(".attn.bias") && tensor.shape.len() == 4;
    is_mask || ENDINGS.iter().any(|ending| tensor.name.ends_with(ending))
}

/// Tables of positions and kinds of tokens, which the shapes of language models do not count.
fn is_small_table(name: &str) -> bool {
    ["wpe.", "position_embeddings.", "token_type_embeddings."]
        .iter()
        .any(|table| name.contains(table))
}

/// Parts of one model have no tensor in common.
fn check_once(tensors: &[Listed]) -> std::result::Result<(), String> {
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two of its files hold the tensor '{}'", pair[0])),
        None if names.is_empty() => Err("the file holds no tensors".to_owned()),
        None => Ok(()),
    }
}

/// Bits per weight that the matrices are stored in; `None` for 16.
fn width(tensors: &[Listed]) -> std::result::Result<Option<u8>, String> {
    let is_table = |name: &str| {
        ["embed_tokens", "lm_head", "wte", "wpe"]
            .iter()
            .any(|table| name.ends_with(&format!("{table}.weight")))
    };
    let mut by_format: BTreeMap<Dtype, (u64, &str)> = BTreeMap::new();
    for tensor in tensors {
        if tensor.shape.len() >= 2 && !is_table(&tensor.name) {
            let entry = by_format.entry(tensor.dtype).or_insert((0, &tensor.name));
            entry.0 += elements(tensor);
        }
    }
    let all: u64 = by_format.values().map(|(elements, _)| elements).sum();
    let Some((format, (most, name))) = by_format.iter().max_by_key(|(_, (elements, _))| *elements)
    else {
        return Err("none of its tensors is a matrix".to_owned());
    };
    if (*most as f64) < ONE_FORMAT * all as f64 {
        let found: Vec<String> = by_format.keys().map(ToString::to_string).collect();
        return Err(format!(
            "its matrices are stored in several number formats ({}), which no single width describes",
            found.join(", ")
        ));
    }
    match format {
        Dtype::F32 => Ok(Some(32)),
        Dtype::F16 | Dtype::BF16 => Ok(None),
        Dtype::F8_E4M3 | Dtype::F8_E5M2 | Dtype::F8_E4M3FNUZ | Dtype::F8_E5M2FNUZ => Ok(Some(8)),
        other => Err(format!(
            "tensor '{name}' is of type {other}: weights that another program packed do not tell their shapes"
        )),
    }
}

/// The configuration in the folder of a file.
fn configuration(path: &Path) -> Option<PathBuf> {
    let beside = path.parent()?.join("config.json");
    beside.is_file().then_some(beside)
}

/// Why tensors and configuration do not make a network.
enum Misfit {
    Fact(String),
    Configuration(Error),
}

/// The network of the configuration beside the file, where its shapes are those of the tensors.
fn configured(tensors: &[Listed], beside: &Path) -> std::result::Result<Architecture, Misfit> {
    let mut network = open_config(beside).map_err(Misfit::Configuration)?;
    let other = |fact: String| {
        Misfit::Fact(format!(
            "the config.json beside it is of another network: {fact}"
        ))
    };
    let mut family = "tensors";
    if let (Some(seen), Shape::Transformer(shape)) = (families::seen(tensors), &mut network.shape) {
        let seen = seen.map_err(Misfit::Fact)?;
        if let Some(fact) = disagreement(&seen, shape) {
            return Err(other(fact));
        }
        shape.tied = seen.tied;
        family = seen.family;
    }
    let counted: u64 = network
        .graph()
        .layers()
        .iter()
        .filter(|layer| layer.name != crate::serving::POSITIONS)
        .map(crate::profile::Layer::weights)
        .sum();
    let found: u64 = tensors
        .iter()
        .filter(|tensor| tensor.shape.len() >= 2 && !is_small_table(&tensor.name))
        .map(elements)
        .sum();
    if (counted as f64 / found.max(1) as f64 - 1.0).abs() > APART {
        return Err(other(format!(
            "its matrices have {counted} weights, those of the tensors {found}"
        )));
    }
    network.source = format!(
        "{} {family} tensors, number of heads from the config.json beside them",
        tensors.len()
    );
    if family == "tensors" {
        network.source = format!(
            "{} tensors, shapes from the config.json beside them",
            tensors.len()
        );
    }
    Ok(network)
}

/// The first shape in which a configuration differs from the tensors.
fn disagreement(seen: &Seen, shape: &Transformer) -> Option<String> {
    let wide = |heads: u32| u64::from(heads) * u64::from(shape.head_dim);
    let dense = shape.experts.is_none().then_some(shape.ffn);
    [
        ("hidden width", seen.hidden.into(), shape.hidden.into()),
        ("number of layers", seen.layers.into(), shape.layers.into()),
        (
            "vocabulary",
            seen.vocabulary.into(),
            shape.vocabulary.into(),
        ),
        (
            "width of the queries",
            seen.queries.into(),
            wide(shape.heads),
        ),
        ("width of the keys", seen.keys.into(), wide(shape.kv_heads)),
        (
            "inner width of feed-forward layers",
            seen.ffn.or(dense).unwrap_or_default().into(),
            dense.or(seen.ffn).unwrap_or_default().into(),
        ),
        (
            "number of experts",
            seen.experts.unwrap_or_default().into(),
            shape.experts.map_or(0, |experts| experts.count).into(),
        ),
        (
            "width of a head",
            seen.head_dim.unwrap_or(shape.head_dim).into(),
            shape.head_dim.into(),
        ),
    ]
    .into_iter()
    .find(|(_, tensors, config): &(_, u64, u64)| tensors != config)
    .map(|(what, tensors, config)| format!("its {what} is {config}, the tensors' {tensors}"))
}

/// The network that shapes alone tell.
fn shaped(tensors: &[Listed]) -> std::result::Result<Architecture, String> {
    let Some(seen) = families::seen(tensors) else {
        return listed_in_catalogue(tensors)?.ok_or_else(|| {
            "its tensors are those of no family that is known by shapes".to_owned()
        });
    };
    let seen = seen?;
    let missing = |what: &str| {
        Err(format!(
            "these are the tensors of a {} network, but {what} cannot be told from shapes and no config.json is beside them",
            seen.family
        ))
    };
    if seen.experts.is_some() {
        return missing("how many experts a token visits");
    }
    let Some(head_dim) = seen.head_dim else {
        return missing("the number of attention heads");
    };
    if seen.windowed {
        return missing("how far its windowed layers look back");
    }
    Ok(Architecture {
        id: String::new(),
        names: Vec::new(),
        family: "unknown".to_owned(),
        source: format!(
            "{} {} tensors, width of a head from the normalisation of queries; attention to the whole context assumed",
            tensors.len(),
            seen.family
        ),
        parameters: 0.0,
        weight_bits: None,
        expert_bits: None,
        formats: None,
        notes: Vec::new(),
        summed: Default::default(),
        context_limit: seen.positions,
        shape: Shape::Transformer(Transformer {
            hidden: seen.hidden,
            layers: seen.layers,
            heads: seen.queries / head_dim,
            kv_heads: seen.keys / head_dim,
            head_dim,
            ffn: seen.ffn.unwrap_or_default(),
            gated: seen.gated,
            vocabulary: seen.vocabulary,
            tied: seen.tied,
            window: None,
            experts: None,
            latent: None,
            attention_weights: None,
            encoder: false,
            // What the shapes leave over stands with the norms.
            positions: 0,
            biases: Biases::default(),
            blocks: Vec::new(),
            tables: Vec::new(),
            beside: Default::default(),
        }),
    })
}

/// The name of a file, or of its folder where the file is called as most are.
pub(crate) fn name(path: &Path) -> String {
    let text =
        |name: Option<&std::ffi::OsStr>| name.map(|name| name.to_string_lossy().into_owned());
    let stem = text(path.file_stem()).unwrap_or_default();
    let is_common = stem == "model"
        || stem.starts_with("model-")
        || stem.starts_with("model.")
        || stem.starts_with("pytorch_model");
    text(path.parent().and_then(Path::file_name))
        .filter(|folder| is_common && !folder.is_empty())
        .unwrap_or(stem)
}
