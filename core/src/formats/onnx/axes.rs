//! Sizes that a file leaves open: those that are given, and else what is assumed and said.

use std::collections::BTreeMap;

use super::file::{Dim, File, Graph, ValueInfo};
use super::tensor::{DataType, shown};
use super::value::Value;
use super::wire::Result;

/// Tokens of a text, steps of a sequence: the sequence length of MLPerf Inference's BERT (Reddi et al. 2020), as of texts
/// that other networks read whole.
const SEQUENCE: u64 = 384;
/// Rows and columns of an image: those of ImageNet classifiers since Krizhevsky et al. 2012.
const SIDE: u64 = 224;
/// Sizes that are tried where the first ones do not fit: usual ones of images, of windows of sound, of texts.
pub(super) const USUAL: [u64; 18] = [
    32, 48, 64, 96, 112, 128, 160, 192, 256, 299, 320, 416, 448, 512, 576, 640, 1024, 16_000,
];
/// Channels of an image, where no convolution says so.
const COLOURS: u64 = 3;

/// What the inputs of a network are taken to be.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) values: Vec<Value>,
    /// Sizes that were assumed or given, by how the file calls them.
    pub(super) assumed: BTreeMap<String, u64>,
    pub(super) given: BTreeMap<String, u64>,
    /// Whether it reads images.
    pub(super) reads_images: bool,
}

/// The inputs of a file's graph, open sizes taken from `given` by their names.
///
/// # Errors
/// An input has an impossible size.
pub(super) fn inputs(file: &File, graph: &Graph, given: &[(String, u64)]) -> Result<Inputs> {
    let mut read = Inputs::default();
    for info in &graph.inputs {
        // Early files list their weights among the inputs.
        if graph.tensors.iter().any(|tensor| tensor.name == info.name) {
            read.values.push(Value::default());
            continue;
        }
        let data_type = DataType(info.data_type);
        let value = match (&info.dims, info.is_tensor) {
            (Some(dims), true) => {
                let shape = shape(file, graph, info, dims, given, &mut read)?;
                if data_type.is_float() || data_type == DataType::UINT8 {
                    read.reads_images |= matches!(shape[..], [_, 1 | 3 | 4, h, w] if h > 8 && w > 8)
                        || matches!(shape[..], [_, h, w, 1 | 3 | 4] if h > 8 && w > 8);
                }
                Value::new(data_type, shape)
            }
            _ => Value::unknown(data_type),
        };
        read.values.push(value);
    }
    Ok(read)
}

fn shape(
    file: &File,
    graph: &Graph,
    info: &ValueInfo,
    dims: &[Dim],
    given: &[(String, u64)],
    read: &mut Inputs,
) -> Result<Vec<u64>> {
    let mut shape = Vec::with_capacity(dims.len());
    for (at, dim) in dims.iter().enumerate() {
        let name = match dim {
            Dim::Fixed(size @ 0..) => {
                // Far below 2^63.
                shape.push(size.cast_unsigned());
                continue;
            }
            // Some programs write -1 for what is open.
            Dim::Fixed(-1) | Dim::Unnamed => format!("{}[{at}]", shown(&info.name)),
            Dim::Named(name) if name.is_empty() || name == "?" => {
                format!("{}[{at}]", shown(&info.name))
            }
            Dim::Named(name) => shown(name),
            Dim::Fixed(size) => {
                return Err(format!(
                    "input '{}' has a size of {size}",
                    shown(&info.name)
                ));
            }
        };
        let stated = given.iter().find(|(own, _)| *own == name);
        let size = if let Some((_, size)) = stated {
            read.given.insert(name, *size);
            *size
        } else if let Some(size) = read.assumed.get(&name) {
            *size
        } else {
            let size = assumed(file, graph, info, (at, dims.len()), &name);
            read.assumed.insert(name, size);
            size
        };
        shape.push(size);
    }
    Ok(shape)
}

fn assumed(
    file: &File,
    graph: &Graph,
    info: &ValueInfo,
    (at, rank): (usize, usize),
    name: &str,
) -> u64 {
    let name = name.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let names_own = !name.ends_with(']');
    if names_own && has(&["batch"]) && !has(&["seq", "len"]) {
        return 1;
    }
    if names_own && has(&["past", "cache"]) && !has(&["+", "total", "plus"]) {
        return 0;
    }
    if names_own
        && has(&[
            "seq", "len", "time", "token", "text", "frame", "phoneme", "sample",
        ])
    {
        return SEQUENCE;
    }
    let sides =
        |name: &str| ["height", "width", "h", "w"].contains(&name) || has(&["height", "width"]);
    if names_own && sides(&name) {
        return SIDE;
    }
    let own = info.name.to_lowercase();
    let is_state = ["state", "hidden"].iter().any(|part| own.contains(part))
        || ["h", "c", "h0", "c0", "hn", "cn", "h_in", "c_in"].contains(&own.as_str());
    if is_state {
        return 1;
    }
    match (at, rank) {
        (0, _) => 1,
        (1, 4 | 5) => channels(file, graph, &info.name).unwrap_or(COLOURS),
        (_, 4) => SIDE,
        (1, 3) => channels(file, graph, &info.name).unwrap_or(SEQUENCE),
        (_, 2 | 3) => SEQUENCE,
        _ => 1,
    }
}

/// The channels that the first convolution of an input reads.
fn channels(_: &File, graph: &Graph, input: &str) -> Option<u64> {
    let reads = |name: &String| name == input;
    let node = graph
        .nodes
        .iter()
        .find(|node| node.operator == "Conv" && node.inputs.first().is_some_and(reads))?;
    let weight = node.inputs.get(1)?;
    let tensor = graph.tensors.iter().find(|tensor| tensor.name == *weight)?;
    let group = node.attributes.iter().find(|own| own.name == "group");
    let groups = u64::try_from(group.and_then(|own| own.int).unwrap_or(1)).ok()?;
    tensor.shape.get(1)?.checked_mul(groups)
}
