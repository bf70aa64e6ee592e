//! An ONNX file as a model: counted from its graph, with the weights that can be replaced, and run by another library.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::opened::{Opened, beside, open};
use super::tensor::shown;
use crate::error::{Error, Result};
use crate::files::{self};
use crate::formats::outline_name;
use crate::model::{Architecture, Model, ModelReference, OnnxConfig, StoredFormat, Tensors};
use crate::runner::{LIBRARY, Network};

/// The largest file that is run: protocol buffers end there.
pub(crate) const LARGEST: u64 = 1 << 31;
/// Bytes of all weights in single precision, at most: several copies are held.
pub(crate) const MOST_HELD: u64 = 6 << 30;
/// Layers that are named of those whose weights cannot be replaced.
const NAMED: usize = 3;

/// Operators of which the library gives other results than their definition in some of ONNX's own tests.
const DOUBTFUL: [&str; 5] = [
    "Resize",
    "Sign",
    "NonMaxSuppression",
    "Upsample",
    "DynamicQuantizeLinear",
];

/// Opens a file. Sizes that it leaves open are those given by their names, else assumed.
///
/// # Errors
/// [`Error::File`] saying what in it is damaged, or why it cannot be run.
pub(crate) fn model(path: &Path, sizes: &[(String, u64)]) -> Result<Model> {
    let bytes = files::read_bytes(path, LARGEST)?;
    read(&bytes, path, sizes)
}

/// The same from the bytes of a file; `path` stands for it.
///
/// # Errors
/// As [`model`].
pub(crate) fn read(bytes: &[u8], path: &Path, sizes: &[(String, u64)]) -> Result<Model> {
    let fact = |fact: String| Error::file(format!("this ONNX file cannot be run: {fact}"), path);
    let opened = open(bytes, sizes, &|location, offset, len| {
        beside(path, location, offset, len)
    })
    .map_err(fact)?;
    super::beside(&opened.counted, path).map_err(fact)?;
    let name = outline_name(path);
    let source = path.display().to_string();
    let mut outlined = super::network(&opened.counted, name.clone(), &source).map_err(fact)?;
    let (mut tensors, mut stored) = (Tensors::new(), std::collections::BTreeMap::new());
    let mut replaced = opened.replaced();
    let graph = outlined.graph();
    let layers = graph.layers();
    replaced.retain(|name, _| {
        layers
            .iter()
            .any(|layer| layer.name == *name && layer.compressible)
    });
    for layer in &layers {
        let Some(own) = replaced.get(&layer.name) else {
            continue;
        };
        let numbers = own.gather(&opened.plain);
        let fits = |numbers: &Vec<f32>| {
            numbers.len() as u64 == layer.weights() && numbers.iter().all(|n| n.is_finite())
        };
        let Some(numbers) = numbers.filter(fits) else {
            replaced.remove(&layer.name);
            continue;
        };
        let weight = format!("{}.weight", layer.name);
        let tensor = Tensor::from_vec(numbers, layer.shape.as_slice(), &Device::Cpu)?;
        if own.rows.parts.iter().all(|part| part.bits == 16) {
            let brain = own.rows.parts.iter().all(|part| part.is_brain);
            let format = if brain {
                StoredFormat::Brain
            } else {
                StoredFormat::Half
            };
            stored.insert(weight.clone(), format);
        }
        tensors.insert(weight, tensor);
    }
    let left: Vec<&str> = layers
        .iter()
        .filter(|layer| layer.compressible && !replaced.contains_key(&layer.name))
        .map(|layer| layer.name.as_str())
        .collect();
    outlined.notes.extend(notes(&opened, &left));
    let Opened {
        plain, given, hash, ..
    } = opened;
    let network = Network {
        graph: plain.graph.into(),
        buffers: plain
            .tensors
            .into_iter()
            .map(|tensor| Arc::from(tensor.bytes))
            .collect(),
        optimised: true,
    };
    let config = OnnxConfig::new(
        outlined,
        replaced,
        network,
        plain.outputs,
        given,
        hash.clone(),
    );
    let model = Model::new(
        ModelReference::File(path.to_owned()),
        name,
        Architecture::Onnx(config),
        tensors,
    );
    let model = model.map_err(|error| Error::file(error.to_string(), path))?;
    Ok(Model {
        hash,
        stored,
        ..model
    })
}

/// What is said of running it.
fn notes(opened: &Opened, left: &[&str]) -> Vec<String> {
    let mut notes = vec![format!("run by {LIBRARY} in a process of its own")];
    if let Err(fact) = &opened.given {
        notes.push(format!("not run: {fact}"));
    }
    if opened.plain.draws {
        notes.push("random numbers that it draws are their mean here".to_owned());
    }
    if !left.is_empty() {
        let named: Vec<String> = left.iter().take(NAMED).map(|name| shown(name)).collect();
        let more = match left.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        notes.push(format!(
            "left as they are, since their weights are rounded already or made of several tensors: {}{more}",
            named.join(", ")
        ));
    }
    let doubtful: Vec<&str> = DOUBTFUL
        .into_iter()
        .filter(|name| opened.plain.operators.iter().any(|own| own == name))
        .collect();
    if !doubtful.is_empty() {
        notes.push(format!(
            "{} may give other results here than elsewhere ({LIBRARY} fails some of ONNX's own tests of it)",
            doubtful.join(", ")
        ));
    }
    notes
}
