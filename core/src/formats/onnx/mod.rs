//! ONNX files (<https://onnx.ai/onnx/repo-docs/IR.html>): what network they hold and what it computes, without running it or
//! loading its weights. Nothing in a file is trusted: sizes are checked against what is there before memory is taken.

mod activations;
mod axes;
mod call;
mod evaluate;
mod file;
mod given;
mod inline;
mod inner;
mod instead;
mod layout;
mod message;
mod model;
mod network;
mod opened;
mod operators;
mod plain;
mod tensor;
#[cfg(test)]
pub(super) mod tests;
mod value;
mod wire;
mod work;

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};
use std::path::Path;

use layout::Rows;

pub(crate) use activations::rounded;
use evaluate::{Evaluation, MOST_STEPS, Mark};
use file::Graph;
pub(crate) use given::{Fill, Given, Passed};
pub(crate) use model::{LARGEST, MOST_HELD, model};
pub(crate) use network::network;
pub(crate) use opened::Replaced;
pub(crate) use plain::buffer_name;
use tensor::{Place, shown};
use wire::Result;
use work::{Kind, Work};

/// What a try of other sizes counts as at least, in steps.
const TRY: u64 = 10_000;

/// A network as its file tells it.
#[derive(Debug)]
pub(crate) struct Counted {
    /// What asks for work or holds weights, in the order in which it runs.
    pub(crate) works: Vec<Work>,
    /// Parameters outside the weights of these: biases, normalisation, tables.
    pub(crate) others: u64,
    /// Bits of most of these.
    pub(crate) other_bits: u8,
    pub(crate) reads_images: bool,
    /// What was understood, assumed and left out, a sentence each.
    pub(crate) notes: Vec<String>,
    /// Files beside it that its weights are in, and the bytes that they must have at least.
    pub(crate) beside: Vec<(String, u64)>,
    /// Whether all of its tensors are stored number by number.
    pub(crate) is_dense: bool,
}

/// Reads a file of `len` bytes. Sizes that it leaves open are those `given` by their names, else assumed.
///
/// # Errors
/// What is damaged in it, or why its work cannot be counted.
pub(crate) fn read<R: Read + Seek>(
    source: R,
    len: u64,
    given: &[(String, u64)],
) -> Result<Counted> {
    let file = file::read(source, len)?;
    let Some(graph) = &file.graph else {
        return Err("there is no graph in it".to_owned());
    };
    let (inputs, evaluation) = followed(&file, graph, given)?;
    counted(&file, &inputs, evaluation)
}

/// What was found on following a file.
fn counted(
    file: &file::File,
    inputs: &axes::Inputs,
    evaluation: Evaluation<'_>,
) -> Result<Counted> {
    let mut notes = Vec::new();
    if !file.producer.is_empty() {
        notes.push(format!("written by {}", shown(&file.producer)));
    }
    let list = |sizes: &std::collections::BTreeMap<String, u64>| {
        let all: Vec<String> = sizes
            .iter()
            .map(|(name, n)| format!("{name} = {n}"))
            .collect();
        all.join(", ")
    };
    if !inputs.assumed.is_empty() {
        notes.push(format!(
            "sizes that the file leaves open are assumed: {}",
            list(&inputs.assumed)
        ));
    }
    if !inputs.given.is_empty() {
        notes.push(format!("sizes as given: {}", list(&inputs.given)));
    }
    if file.is_training {
        notes.push("it holds a training graph too, which is not counted".to_owned());
    }
    finish(evaluation, notes, inputs.reads_images)
}

/// Follows the graph with the sizes that are assumed, and where these do not fit each other with usual ones.
fn followed<'a>(
    file: &'a file::File,
    graph: &'a Graph,
    given: &[(String, u64)],
) -> Result<(axes::Inputs, Evaluation<'a>)> {
    let follow = |given: &[(String, u64)]| -> Result<_> {
        let inputs = axes::inputs(graph, given)?;
        let mut evaluation = Evaluation::new(file);
        evaluation.top(graph, inputs.values.clone())?;
        Ok((inputs, evaluation))
    };
    let (mut inputs, mut evaluation) = follow(given)?;
    let open: Vec<String> = inputs
        .assumed
        .iter()
        .filter(|(_, size)| **size > 1)
        .map(|(name, _)| name.clone())
        .collect();
    let mut spent = evaluation.spent();
    let mut chosen = given.to_vec();
    for name in open {
        let mut best = None;
        for size in axes::USUAL {
            if evaluation.uncounted == 0 || spent > MOST_STEPS {
                return Ok((inputs, evaluation));
            }
            let mut tried = chosen.clone();
            tried.push((name.clone(), size));
            let Ok((mut with, other)) = follow(&tried) else {
                return Ok((inputs, evaluation));
            };
            // A try costs something even where its graph is short.
            spent += other.spent() + TRY;
            if other.uncounted < evaluation.uncounted {
                for (name, size) in tried.split_off(given.len()) {
                    with.given.remove(&name);
                    with.assumed.insert(name, size);
                }
                best = Some(size);
                (inputs, evaluation) = (with, other);
            }
        }
        chosen.extend(best.map(|size| (name, size)));
    }
    Ok((inputs, evaluation))
}

/// Gives every stored tensor to the node that multiplies with it, or to none.
fn finish(
    mut evaluation: Evaluation<'_>,
    mut notes: Vec<String>,
    reads_images: bool,
) -> Result<Counted> {
    let mut works = std::mem::take(&mut evaluation.works);
    let mut owned = vec![false; evaluation.tensors.len()];
    let mut lookups_last: Vec<usize> = (0..works.len()).collect();
    lookups_last.sort_by_key(|at| (works[*at].kind == Kind::Lookup, !works[*at].runs));
    for at in lookups_last {
        let Some(weights) = works[at].weights.clone() else {
            continue;
        };
        let mut widest = (0, 32);
        let mut rows = weights.layout.map(Rows::new);
        for place in weights.made_of.iter() {
            if std::mem::replace(&mut owned[*place], true) {
                rows = None;
                continue;
            }
            let tensor = evaluation.tensors[*place].tensor;
            rows = rows.and_then(|rows| rows.with(tensor));
            let (count, bits) = match works[at].packed {
                Some(packed) => packed,
                None => (
                    tensor.sparse.unwrap_or(tensor.elements()),
                    tensor.data_type.bits().unwrap_or(32),
                ),
            };
            works[at].parameters += count;
            if count > widest.0 {
                widest = (count, bits);
            }
        }
        works[at].weight_bits = widest.1;
        works[at].rows = rows.filter(|rows| rows.count() == works[at].parameters);
    }
    let mut others = (0_u64, [0_u64; 65]);
    let mut unread = 0;
    for (place, stored) in evaluation.tensors.iter().enumerate() {
        let tensor = stored.tensor;
        let elements = tensor.elements();
        let counts = match stored.mark {
            Mark::Parameter => true,
            Mark::Data => tensor.data_type.is_float() && elements > 1,
            Mark::None | Mark::Argument => false,
        };
        if counts && !owned[place] {
            others.0 += elements;
            others.1[usize::from(tensor.data_type.bits().unwrap_or(32).min(64))] += elements;
        } else if stored.mark == Mark::None && !owned[place] && tensor.data_type.is_float() {
            unread += if elements > 1 { elements } else { 0 };
        }
    }
    // A bias counts with its layer.
    let biases: u64 = works.iter().map(|work| work.bias).sum();
    if biases > others.0 {
        works.iter_mut().for_each(|work| work.bias = 0);
    } else {
        others.0 -= biases;
    }
    let mut names: HashMap<String, u32> = HashMap::new();
    let mut taken: HashSet<String> = works.iter().map(|work| work.name.clone()).collect();
    for work in &mut works {
        let times = names.entry(work.name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            let mut name = format!("{} ({times})", work.name);
            // Nodes may be called so themselves.
            while !taken.insert(name.clone()) {
                *times += 1;
                name = format!("{} ({times})", work.name);
            }
            work.name = name;
        }
    }
    notes.extend(said(&evaluation, unread));
    let counted = works.iter().any(|work| work.macs > 0.0);
    if !counted && evaluation.uncounted > 0 {
        let named = evaluation.unknown.0.join("; ");
        return Err(format!("the shapes of its results are not known: {named}"));
    }
    let widest = (0..others.1.len()).max_by_key(|bits| others.1[*bits]);
    Ok(Counted {
        works,
        others: others.0,
        other_bits: widest
            .and_then(|bits| u8::try_from(bits).ok())
            .filter(|bits| *bits > 0)
            .unwrap_or(32),
        reads_images,
        notes,
        beside: files_beside(&evaluation),
        is_dense: (evaluation.tensors.iter()).all(|stored| stored.tensor.sparse.is_none()),
    })
}

/// What was left out and what does not fit.
fn said(evaluation: &Evaluation<'_>, unread: u64) -> Vec<String> {
    let mut notes: Vec<String> = evaluation.notes.iter().cloned().collect();
    let (named, all) = &evaluation.unknown;
    if evaluation.uncounted > 0 {
        let products = match evaluation.uncounted {
            1 => "1 product or convolution is".to_owned(),
            count => format!("{count} products and convolutions are"),
        };
        notes.push(format!(
            "a lower bound: {products} not counted, since what they read is not known: {}",
            named.join("; ")
        ));
    } else if *all > 0 {
        notes.push(format!(
            "results that are not known, and that no product or convolution hangs on: {}",
            named.join("; ")
        ));
    }
    if unread > 0 {
        notes.push(format!(
            "{unread} numbers that no node computes with are not counted"
        ));
    }
    notes
}

/// Whether the files that hold its weights lie beside it and are as long as they must be; what is missing, in words.
///
/// # Errors
/// One of them is too short, or lies elsewhere through a link.
pub(crate) fn beside(counted: &Counted, path: &Path) -> Result<Vec<String>> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Ok(Vec::new()),
    };
    let mut missing = Vec::new();
    for (name, bytes) in &counted.beside {
        let place = folder.join(name);
        let Ok(metadata) = std::fs::metadata(&place) else {
            missing.push(format!(
                "'{}', which its weights are in, is not there; shapes and formats are known without it",
                shown(name)
            ));
            continue;
        };
        let inside = match (std::fs::canonicalize(&place), std::fs::canonicalize(folder)) {
            (Ok(place), Ok(folder)) => place.starts_with(folder),
            _ => false,
        };
        if !inside {
            return Err(format!("'{}' lies outside of its folder", shown(name)));
        }
        if metadata.len() < *bytes {
            return Err(format!(
                "'{}' has {} bytes, and its tensors end at {bytes}",
                shown(name),
                metadata.len()
            ));
        }
    }
    Ok(missing)
}

/// Files beside it by name, with the bytes that they must have.
fn files_beside(evaluation: &Evaluation<'_>) -> Vec<(String, u64)> {
    let mut files: HashMap<&str, u64> = HashMap::new();
    for tensor in evaluation.beside() {
        if let Place::Beside {
            location,
            offset,
            bytes,
        } = &tensor.place
        {
            let end = offset.saturating_add(*bytes);
            let longest = files.entry(location).or_default();
            *longest = end.max(*longest);
        }
    }
    let mut files: Vec<(String, u64)> = files
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n))
        .collect();
    files.sort();
    files
}

impl<'a> Evaluation<'a> {
    /// Follows the graph of the file, and compares shapes with those that it states.
    fn top(&mut self, graph: &'a Graph, inputs: Vec<value::Value>) -> Result<()> {
        self.check_against(graph);
        self.graph(graph, inputs)?;
        let found = std::mem::take(&mut self.differs);
        if let Some((first, count)) = found {
            self.note(format!("{first} ({count} results differ in all)"));
        }
        Ok(())
    }
}
