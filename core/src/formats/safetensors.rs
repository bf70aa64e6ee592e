//! Safetensors: eight bytes of header length, a JSON header with a shape and place for each tensor, then the data
//! (<https://huggingface.co/docs/safetensors/index#format>).
//!
//! The header is checked against the file and the architecture before any tensor is read, and tensors are read one by
//! one, so that neither a lying header nor a large file of another model costs memory.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use candle_core::{Device, Tensor};
use half::{bf16, f16};
use safetensors::Dtype;
use serde::Deserialize;

use crate::compress;
use crate::graph::Input;
use crate::model::{Architecture, StoredFormat, Tensors, admit, own_names, recognise};
use crate::recipe::Recipe;
use crate::unique;

/// The longest header that is read; the reference implementation has the same limit.
const LONGEST_HEADER: u64 = 100_000_000;
/// Bytes before the header.
const PREFIX: u64 = 8;
/// PyTorch counts batches in its batch normalisation; inference has no use for it.
pub(super) const IGNORED: &str = ".num_batches_tracked";

/// Why a file cannot be opened.
#[derive(Debug)]
pub(super) enum Problem {
    /// The operating system says so.
    Reading(std::io::Error),
    /// What is in it.
    Content(String),
    /// Nothing is wrong with it, but no network of its kind can be run.
    Family {
        /// Why not.
        fact: String,
        /// Elements of its tensors.
        parameters: u64,
    },
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Reading(error)
    }
}

type Result<T> = std::result::Result<T, Problem>;

fn wrong<T>(fact: impl Into<String>) -> Result<T> {
    Err(Problem::Content(fact.into()))
}

/// What a file holds, checked.
#[derive(Debug)]
pub(crate) struct Contents {
    /// As the metadata say, else as the names of the tensors do.
    pub(crate) architecture: Architecture,
    /// All tensors, in single precision.
    pub(crate) tensors: Tensors,
    /// What was done to the weights, where this program compressed and packed them.
    pub(crate) recipe: Option<Recipe>,
    /// The tensors that are held in 16 bits.
    pub(crate) stored: BTreeMap<String, StoredFormat>,
    /// All metadata.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// What stands before the data, checked against the length of the file.
#[derive(Debug)]
pub(crate) struct Header {
    /// Texts by key.
    pub(crate) metadata: BTreeMap<String, String>,
    /// By name.
    pub(crate) tensors: BTreeMap<String, Entry>,
    /// Where the data begin in the file.
    pub(crate) data: u64,
}

/// What a header says of a tensor.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// From the beginning of the data.
    pub(crate) data_offsets: (u64, u64),
}

/// A tensor as a header has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    /// Name.
    pub(crate) name: String,
    /// Number format of the elements.
    pub(crate) dtype: Dtype,
    /// Extents; their product and its bytes fit the file.
    pub(crate) shape: Vec<usize>,
}

/// The tensors of a file by its header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listing {
    /// In the order of their names.
    pub(crate) tensors: Vec<Listed>,
    /// Whether the file is one of this program's, or has the tensors of an architecture that data ship for.
    pub(crate) runs: bool,
    /// Whether at least half of the tensors are of a family that runs.
    pub(crate) known: bool,
    /// The classifier that it has the tensors of, where that is measured on images of the user's only.
    pub(crate) classifier: Option<Architecture>,
}

impl Listing {
    /// What tensors tell by the names that they have here, in a file of this program's or another's.
    pub(super) fn new(
        tensors: Vec<Listed>,
        shapes: &BTreeMap<&str, &[usize]>,
        architecture: Option<Architecture>,
        ours: bool,
    ) -> Self {
        let own = architecture.as_ref().map(|known| known.tensor_shapes());
        let found = own.iter().flatten();
        let found = found.filter(|(name, _)| shapes.contains_key(name.as_str()));
        let known = architecture.filter(|known| known.mismatch_of_shapes(shapes).is_none());
        let ship = known.as_ref().is_some_and(Architecture::data_ship);
        Self {
            tensors,
            runs: ours || ship,
            known: ours || 2 * found.count() >= shapes.len().max(1),
            classifier: known
                .filter(|known| !ship && matches!(known.input(), Input::Image(_)))
                .filter(|known| known.graph().sampling().is_none()),
        }
    }
}

/// Reads the header of a file of `len` bytes.
pub(super) fn list(file: &mut impl Read, len: u64) -> Result<Listing> {
    let mut header = read_header(file, len)?;
    let listed: Vec<Listed> = header
        .tensors
        .iter()
        .map(|(name, entry)| Listed {
            name: name.clone(),
            dtype: entry.dtype,
            shape: entry.shape.clone(),
        })
        .collect();
    rename(&mut header);
    let ours = [Architecture::METADATA_KEY, compress::CHECKSUM_KEY]
        .iter()
        .any(|key| header.metadata.contains_key(*key));
    let shapes = (header.tensors.iter())
        .filter(|(name, _)| !name.ends_with(IGNORED))
        .map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
        .collect();
    Ok(Listing::new(
        listed,
        &shapes,
        architecture(&header).ok(),
        ours,
    ))
}

/// Gives tensors of another program the names that they have here, where their names and shapes tell what they are.
fn rename(header: &mut Header) {
    if header.metadata.contains_key(Architecture::METADATA_KEY) {
        return;
    }
    let shapes = header
        .tensors
        .iter()
        .map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
        .collect();
    let Some(names) = own_names(&shapes) else {
        return;
    };
    let tensors = std::mem::take(&mut header.tensors).into_iter();
    header.tensors = tensors
        .map(|(name, entry)| (names.get(&name).cloned().unwrap_or(name), entry))
        .collect();
}

/// Reads a model of `len` bytes from the beginning of a file.
pub(super) fn read(file: &mut (impl Read + Seek), len: u64) -> Result<Contents> {
    let mut header = read_header(file, len)?;
    let is_packed = header.metadata.contains_key(compress::CHECKSUM_KEY);
    if is_packed {
        compress::Version::stated(header.metadata.get(compress::VERSION_KEY))
            .map_err(Problem::Content)?;
    }
    if is_packed
        && header
            .tensors
            .values()
            .any(|entry| entry.dtype == Dtype::U8)
    {
        return unpack(file, header);
    }
    header.tensors.retain(|name, _| !name.ends_with(IGNORED));
    rename(&mut header);
    let architecture = architecture(&header)?;
    let shapes = header
        .tensors
        .iter()
        .map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
        .collect();
    if let Some(fact) = architecture.mismatch_of_shapes(&shapes) {
        return wrong(fact);
    }
    let mut tensors = Tensors::new();
    let mut stored = BTreeMap::new();
    for (name, entry) in &header.tensors {
        let values = read_values(file, header.data, name, entry)?;
        let tensor = Tensor::from_vec(values, entry.shape.as_slice(), &Device::Cpu)
            .map_err(|error| Problem::Content(error.to_string()))?;
        tensors.insert(name.clone(), tensor);
        let format = match entry.dtype {
            Dtype::F16 => StoredFormat::Half,
            Dtype::BF16 => StoredFormat::Brain,
            _ => continue,
        };
        stored.insert(name.clone(), format);
    }
    admit(&architecture, &tensors, None).map_err(Problem::Content)?;
    Ok(Contents {
        architecture,
        tensors,
        recipe: None,
        stored,
        metadata: header.metadata,
    })
}

/// Reads a model that this program compressed and packed.
fn unpack(file: &mut (impl Read + Seek), header: Header) -> Result<Contents> {
    let architecture = architecture(&header)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let unpacked = compress::unpack_bytes(&bytes).map_err(Problem::Content)?;
    admit(&architecture, &unpacked.tensors, Some(&unpacked.recipe)).map_err(Problem::Content)?;
    Ok(Contents {
        architecture,
        tensors: unpacked.tensors,
        recipe: Some(unpacked.recipe),
        stored: BTreeMap::new(),
        metadata: header.metadata,
    })
}

pub(super) fn read_header(file: &mut impl Read, len: u64) -> Result<Header> {
    if len < PREFIX {
        return wrong(format!(
            "the file is cut short: {len} bytes are fewer than the 8 that every safetensors file begins with"
        ));
    }
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix)?;
    let header_len = u64::from_le_bytes(prefix);
    let rest = len - PREFIX;
    if header_len > rest {
        return wrong(format!(
            "this is no safetensors file or it is cut short: its header should be {header_len} bytes long, but only {rest} follow"
        ));
    }
    if header_len > LONGEST_HEADER {
        return wrong(format!(
            "the header is {header_len} bytes long; more than {LONGEST_HEADER} are not read"
        ));
    }
    let mut text = vec![0; header_len as usize];
    file.read_exact(&mut text)?;
    let header = unique::json(&text)
        .map_err(|error| Problem::Content(format!("the header is damaged ({error})")))?;
    let serde_json::Value::Object(mut fields) = header else {
        return wrong("the header is damaged (it is no list of tensors)");
    };
    let metadata = match fields.remove("__metadata__") {
        Some(metadata) => serde_json::from_value(metadata)
            .map_err(|error| Problem::Content(format!("the metadata are damaged ({error})")))?,
        None => BTreeMap::new(),
    };
    let mut tensors = BTreeMap::new();
    for (name, field) in fields {
        let entry: Entry = serde_json::from_value(field).map_err(|error| {
            Problem::Content(format!(
                "the header of tensor '{name}' is damaged ({error})"
            ))
        })?;
        tensors.insert(name, entry);
    }
    check_places(&tensors, rest - header_len)?;
    Ok(Header {
        metadata,
        tensors,
        data: PREFIX + header_len,
    })
}

/// The tensors must fill the data without gap or overlap, each with as many bytes as its shape needs.
fn check_places(tensors: &BTreeMap<String, Entry>, available: u64) -> Result<()> {
    let mut places: Vec<(&String, &Entry)> = tensors.iter().collect();
    places.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut expected = 0;
    for (name, entry) in places {
        let (start, end) = entry.data_offsets;
        let shape = &entry.shape;
        let bits = shape
            .iter()
            .try_fold(entry.dtype.bitsize() as u64, |bits, &n| {
                bits.checked_mul(n as u64)
            });
        let Some(bytes) = bits.map(|bits| bits.div_ceil(8)) else {
            return wrong(format!("tensor '{name}' has the absurd shape {shape:?}"));
        };
        if end.checked_sub(start) != Some(bytes) {
            return wrong(format!(
                "tensor '{name}' of shape {shape:?} needs {bytes} bytes, but its place is from {start} to {end}"
            ));
        }
        if start != expected {
            return wrong(format!(
                "tensor '{name}' begins at byte {start} of the data, expected {expected}"
            ));
        }
        if end > available {
            return wrong(format!(
                "the file is cut short: tensor '{name}' ends at byte {end} of the data, of which there are {available}"
            ));
        }
        expected = end;
    }
    if expected != available {
        return wrong(format!(
            "{} bytes after the last tensor belong to nothing",
            available - expected
        ));
    }
    Ok(())
}

/// The architecture in the metadata, or the bundled one that has most of the file's tensor names.
fn architecture(header: &Header) -> Result<Architecture> {
    if let Some(text) = header.metadata.get(Architecture::METADATA_KEY) {
        let architecture: Architecture = serde_json::from_str(text).map_err(|error| {
            Problem::Content(format!(
                "the architecture in the metadata is damaged ({error})"
            ))
        })?;
        return match architecture.implausible() {
            Some(fact) => wrong(format!("the architecture in the metadata has {fact}")),
            None => Ok(architecture),
        };
    }
    let shapes = header
        .tensors
        .iter()
        .map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
        .collect();
    recognised(&shapes)
}

/// The bundled architecture that has most of these tensors.
pub(super) fn recognised(shapes: &BTreeMap<&str, &[usize]>) -> Result<Architecture> {
    match (recognise(shapes), shapes.first_key_value()) {
        (Some(architecture), _) => Ok(architecture),
        (_, None) => wrong("the file holds no tensors"),
        (_, Some((name, _))) => Err(Problem::Family {
            fact: format!(
                "this is a model of a family that cannot be run: none of its {} tensors is known, the first is '{name}'",
                shapes.len()
            ),
            parameters: shapes
                .values()
                .map(|shape| shape.iter().product::<usize>() as u64)
                .sum(),
        }),
    }
}

fn read_values(
    file: &mut (impl Read + Seek),
    data: u64,
    name: &str,
    entry: &Entry,
) -> Result<Vec<f32>> {
    if !matches!(entry.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
        return wrong(format!(
            "tensor '{name}' is of type {}; only F32, F16 and BF16 can be opened",
            entry.dtype
        ));
    }
    let (start, end) = entry.data_offsets;
    // Both were checked against the length of the file.
    let mut bytes = vec![0; (end - start) as usize];
    file.seek(SeekFrom::Start(data + start))?;
    file.read_exact(&mut bytes)?;
    let halves = || bytes.as_chunks::<2>().0.iter();
    Ok(match entry.dtype {
        Dtype::F16 => halves().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => halves().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        _ => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect(),
    })
}
