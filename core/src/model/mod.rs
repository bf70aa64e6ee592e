//! [`Model`]: an architecture and its named tensors. One file per family in `families`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::run::{Network, OfSource};
use crate::tokenizer::Tokenizer;
use crate::weights::Source;

mod admission;
mod architecture;
pub mod bundled;
mod families;
mod names;
mod stages;

pub(crate) use admission::{admit, check_recipe, check_values};
pub use architecture::Architecture;
pub(crate) use architecture::standard_normal;
pub use families::{
    BATCH_NORM_EPSILON, Block, BlockKind, CnnConfig, DecoderConfig, DiffusionConfig, EncoderConfig,
    Feed, Form, Function, GanConfig, GptConfig, LAYER_NORM_EPSILON, Mixture, NormRule, Norms,
    Number, OnnxConfig, Pooling, ResidualConfig, RnnConfig, Scales, Slopes, Stage, Stem, VaeConfig,
};
pub(crate) use families::{Published, PublishedEncoder, own_names, recognise};
pub(crate) use names::known_by_shapes;
pub use names::{named, search};

/// Tensors by name; f32, contiguous, on the CPU.
pub type Tensors = BTreeMap<String, Tensor>;

/// Which model is meant: one that ships with the program or a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ModelReference {
    /// A bundled model by its name; written `bundled:NAME`.
    Bundled(String),
    /// A network of the catalogue of shapes; written `catalogue:NAME`.
    Catalogue(String),
    /// A language model of which only parameter counts are known; written `dense:70e9` or, with the parameters that one
    /// token is multiplied with, `moe:235e9:22e9`.
    Sized {
        /// All parameters.
        total: u64,
        /// Those that one token is multiplied with.
        active: u64,
    },
    /// A file: weights, or a configuration (`config.json`, or a folder with one) that tells the shapes. Weights that cannot
    /// be run tell the shapes too. A folder with all that a language model needs, or the weights in it, is run.
    File(PathBuf),
}

impl ModelReference {
    /// Whether only shapes are known, so that nothing can be run.
    pub fn is_outline(&self) -> bool {
        match self {
            Self::Bundled(_) => false,
            Self::Catalogue(_) | Self::Sized { .. } => true,
            Self::File(path) if matches!(crate::formats::published(path), Some(Ok(()))) => false,
            Self::File(path) => {
                path.extension()
                    .is_some_and(|ending| ending.eq_ignore_ascii_case("json"))
                    // The list of a model's weights is no configuration.
                    && !crate::outline::tensors::lists_weights(path)
                    || ["config.json", "params.json", "model_index.json"]
                        .iter()
                        .any(|file| path.join(file).is_file())
                    || crate::outline::tensors::is_outline(path)
            }
        }
    }
}

impl ModelReference {
    /// Whether it is a file of a classifier that can be run once there are images of the user's to measure it on; with
    /// none it is known by its shapes ([`Self::is_outline`]).
    pub fn needs_images(&self) -> bool {
        match self {
            Self::File(path) => crate::outline::tensors::needs_images(path),
            Self::Bundled(_) | Self::Catalogue(_) | Self::Sized { .. } => false,
        }
    }
}

/// A number that may end in K, M, B or T: `70e9`, `70B`, `350M`; `None` where it is none.
pub fn amount(text: &str) -> Option<f64> {
    let (number, factor) = match text.char_indices().next_back() {
        Some((end, 'K' | 'k')) => (&text[..end], 1e3),
        Some((end, 'M' | 'm')) => (&text[..end], 1e6),
        Some((end, 'B' | 'b')) => (&text[..end], 1e9),
        Some((end, 'T' | 't')) => (&text[..end], 1e12),
        _ => (text, 1.0),
    };
    number.parse::<f64>().ok().map(|count| count * factor)
}

/// A number of parameters.
fn parameters(text: &str) -> Result<u64> {
    match amount(text) {
        // Whole and far below 2^63.
        Some(count) if (1e3..=1e15).contains(&count) => Ok(count.round() as u64),
        _ => Err(Error::Scenario(format!(
            "'{text}' is not a number of parameters between 1e3 and 1e15; write 70e9 or 70B"
        ))),
    }
}

fn mixture(text: &str) -> Result<ModelReference> {
    let Some((total, active)) = text.split_once(':') else {
        return Err(Error::Scenario(format!(
            "'moe:{text}' needs all and active parameters: moe:235e9:22e9"
        )));
    };
    let (total, active) = (parameters(total)?, parameters(active)?);
    if active > total {
        return Err(Error::Scenario(format!(
            "{active} active parameters are more than the {total} there are"
        )));
    }
    Ok(ModelReference::Sized { total, active })
}

impl fmt::Display for ModelReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundled(name) => write!(f, "bundled:{name}"),
            Self::Catalogue(name) => write!(f, "catalogue:{name}"),
            Self::Sized { total, active } if total == active => {
                write!(f, "dense:{:e}", *total as f64)
            }
            Self::Sized { total, active } => {
                write!(f, "moe:{:e}:{:e}", *total as f64, *active as f64)
            }
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for ModelReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("bundled", name)) => Ok(Self::Bundled(name.to_owned())),
            Some(("catalogue" | "catalog", name)) => Ok(Self::Catalogue(name.to_owned())),
            Some(("dense", count)) => {
                let total = parameters(count)?;
                Ok(Self::Sized {
                    total,
                    active: total,
                })
            }
            Some(("moe", counts)) => mixture(counts),
            _ => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl From<ModelReference> for String {
    fn from(reference: ModelReference) -> Self {
        reference.to_string()
    }
}

impl TryFrom<String> for ModelReference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// A model: its architecture, its tensors and where they are from.
#[derive(Debug, Clone)]
pub struct Model {
    /// Where it is from.
    pub reference: ModelReference,
    /// Name on screen.
    pub name: String,
    /// How it runs.
    pub architecture: Architecture,
    /// Its weights; none where they are read from [`Self::source`] whenever they are needed.
    pub tensors: Tensors,
    /// The file that the weights stay in, where that is another program's language model.
    pub source: Option<Arc<dyn Source>>,
    /// SHA-256, hexadecimal: of the tensors (see [`tensors_hash`]), or of what tells a file's tensors from others (see
    /// [`fingerprint`]).
    pub hash: String,
    /// What was done to the weights before they were written, where the file is one that this program packed. The tensors
    /// are what that left, as numbers of 32 bits.
    pub packed: Option<Recipe>,
    /// The tensors that the file holds in another format than single precision, by name; empty for bundled models.
    pub stored: BTreeMap<String, StoredFormat>,
    /// The tensors that the file holds in blocks of integers, by name.
    pub blocks: BTreeMap<String, Blocks>,
    /// How texts become tokens, where that is another program's language model.
    pub tokenizer: Option<Arc<Tokenizer>>,
}

/// How a file holds a tensor in blocks of integers with scales.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// Name of the format.
    pub format: String,
    /// Bits of a code.
    pub bits: u8,
    /// Bytes of the tensor, scales included.
    pub bytes: u64,
}

/// A number format of 16 bits in which a file holds a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredFormat {
    /// IEEE half precision (F16).
    Half,
    /// The upper half of single precision (BF16).
    Brain,
}

impl Model {
    /// Puts a model together and hashes it.
    ///
    /// # Errors
    /// [`Error::Compute`] naming the first tensor that is missing, unknown, of another shape than the architecture needs
    /// or of values that are no numbers.
    pub fn new(
        reference: ModelReference,
        name: impl Into<String>,
        architecture: Architecture,
        tensors: Tensors,
    ) -> Result<Self> {
        admit(&architecture, &tensors, None).map_err(Error::Compute)?;
        let hash = tensors_hash(&tensors)?;
        Ok(Self {
            reference,
            name: name.into(),
            architecture,
            tensors,
            source: None,
            hash,
            packed: None,
            stored: BTreeMap::new(),
            blocks: BTreeMap::new(),
            tokenizer: None,
        })
    }

    /// A model whose weights stay in their file; that they are those of the architecture was checked before.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read.
    pub fn stored(
        reference: ModelReference,
        name: impl Into<String>,
        architecture: Architecture,
        source: Arc<dyn Source>,
    ) -> Result<Self> {
        Ok(Self {
            reference,
            name: name.into(),
            tensors: Tensors::new(),
            hash: fingerprint(&architecture, source.as_ref())?,
            architecture,
            source: Some(source),
            packed: None,
            stored: BTreeMap::new(),
            blocks: BTreeMap::new(),
            tokenizer: None,
        })
    }
}

impl Model {
    /// Lays out all weights, to be run often; activations are rounded as [`Architecture::forward`] says.
    ///
    /// # Errors
    /// [`Error::Compute`] if a tensor is missing or of another size, [`Error::File`] if it cannot be read.
    pub fn ready(&self, activation_bits: u8) -> Result<Network> {
        match &self.source {
            Some(source) => {
                let weights = OfSource(source.as_ref());
                Network::new(&self.architecture.graph(), &weights, activation_bits)
            }
            None => self.architecture.ready(&self.tensors, activation_bits),
        }
    }
}

/// SHA-256, hexadecimal, of the architecture and of every tensor's name, shape, format and some of its values, in the order
/// of the names: all of a vector, of others eight rows spread evenly. Files of gigabytes are told apart without being read;
/// two that differ in other rows alone are not.
///
/// # Errors
/// [`Error::File`] if the file cannot be read; [`Error::Compute`] if one of these values is not finite.
pub fn fingerprint(architecture: &Architecture, source: &dyn Source) -> Result<String> {
    /// Rows of a tensor that are looked at.
    const ROWS: usize = 8;
    let mut hasher = Sha256::new();
    // What is no tensor changes what they come to: bases of angles, windows, caps.
    let json = serde_json::to_string(architecture)
        .map_err(|error| Error::Compute(format!("the architecture cannot be written: {error}")))?;
    hasher.update((json.len() as u64).to_le_bytes());
    hasher.update(json.as_bytes());
    let mut all: Vec<_> = source.tensors().iter().enumerate().collect();
    all.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    for (i, info) in all {
        let said = format!("{} {:?} {}", info.name, info.shape, info.format.name());
        hasher.update((said.len() as u64).to_le_bytes());
        hasher.update(said.as_bytes());
        let rows = info.rows();
        let mut look = |rows: std::ops::Range<usize>| -> Result<()> {
            let mut values = vec![0.0_f32; rows.len() * info.row_length()];
            source.decode(i, rows, &mut values)?;
            for value in values {
                if !value.is_finite() {
                    return Err(Error::Compute(format!(
                        "tensor '{}' holds a number that is not finite (NaN or infinite)",
                        info.name
                    )));
                }
                hasher.update(value.to_le_bytes());
            }
            Ok(())
        };
        if info.shape.len() < 2 {
            look(0..rows)?;
        } else {
            for at in 0..ROWS.min(rows) {
                let row = at * rows / ROWS.min(rows);
                look(row..row + 1)?;
            }
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// Hexadecimal digits of bytes.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256, hexadecimal, of every tensor's name, shape and values (little-endian f32) in the order of the names.
///
/// # Errors
/// [`Error::Compute`] if a tensor is not f32.
pub fn tensors_hash(tensors: &Tensors) -> Result<String> {
    let mut hasher = Sha256::new();
    for (name, tensor) in tensors {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update((tensor.dims().len() as u64).to_le_bytes());
        for &dim in tensor.dims() {
            hasher.update((dim as u64).to_le_bytes());
        }
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        hasher.update(&bytes);
    }
    Ok(hex(&hasher.finalize()))
}
