//! What a network is given when nobody has data for it: by the type, the shape and the name of an input, and by what reads it.

use std::collections::{HashMap, HashSet};

use super::axes::Inputs;
use super::file::{Graph, Node};
use super::tensor::{DataType, Tensor, shown};
use super::value::elements;
use super::wire::Result;

/// The rate that sound is sampled at where an input asks for it: that of most networks for speech.
const SAMPLE_RATE: i32 = 16_000;
/// The most numbers of an input.
const LARGEST: u64 = 1 << 28;

/// What an input is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Numbers drawn from the standard normal distribution.
    Normal,
    /// Whole numbers below this one, drawn uniformly.
    Below(u32),
    /// The same number everywhere.
    All(i32),
    /// Places: 0, 1, 2 and so on along the last axis.
    Places,
    /// Whole numbers of which it is not known what they mean.
    Unknown,
}

/// How numbers are passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    Float,
    Int,
    Signed,
    Byte,
}

/// An input and what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) fill: Fill,
    pub(crate) passed: Passed,
}

impl Given {
    /// What it is, in words.
    pub(crate) fn words(&self) -> String {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let what = match self.fill {
            Fill::Normal => "standard normal numbers".to_owned(),
            Fill::Below(n) => format!("whole numbers from 0 to {}, each as likely", n - 1),
            Fill::All(n) => format!("{n}"),
            Fill::Places => "0, 1, 2 and so on".to_owned(),
            Fill::Unknown => "whole numbers of which it is not known what they mean".to_owned(),
        };
        format!("{} [{}]: {what}", shown(&self.name), sizes.join(", "))
    }
}

/// What every input is given.
///
/// # Errors
/// The first input that nothing sensible can be made up for.
pub(super) fn given(graph: &Graph, inputs: &Inputs) -> Result<Vec<Given>> {
    let stored: HashMap<&str, &Tensor> = graph
        .tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let length = inputs.assumed.values().chain(inputs.given.values()).max();
    let mut all = Vec::new();
    for (info, value) in graph.inputs.iter().zip(&inputs.values) {
        if stored.contains_key(info.name.as_str()) {
            continue;
        }
        let name = shown(&info.name);
        let Some(shape) = value.shape.as_ref().filter(|_| info.is_tensor) else {
            return Err(format!("input '{name}' is no tensor of a known shape"));
        };
        if elements(shape) > LARGEST {
            return Err(format!("input '{name}' would have {shape:?} numbers"));
        }
        let passed = match value.data_type.0 {
            1 | 10 | 11 | 16 => Passed::Float,
            6 | 7 | 9 => Passed::Int,
            3 => Passed::Signed,
            2 => Passed::Byte,
            other => return Err(format!("input '{name}' holds numbers of type {other}")),
        };
        let lower = info.name.to_lowercase();
        let fill = match passed {
            Passed::Float => float(&lower),
            _ if value.data_type == DataType::BOOL => Fill::All(1),
            _ => whole(&lower, shape, length.copied())
                .or_else(|| vocabulary(graph, &info.name, &stored))
                .or_else(|| pixels(passed, &lower))
                .unwrap_or(Fill::Unknown),
        };
        // No more than the type holds.
        let fill = match (fill, passed) {
            (Fill::Below(most), Passed::Signed) => Fill::Below(most.min(128)),
            (Fill::Below(most), Passed::Byte) => Fill::Below(most.min(256)),
            _ => fill,
        };
        all.push(Given {
            name: info.name.clone(),
            shape: shape
                .iter()
                .map(|size| usize::try_from(*size).unwrap_or(0))
                .collect(),
            fill,
            passed,
        });
    }
    Ok(all)
}

/// What floating-point numbers are, by a name in lower case.
fn float(name: &str) -> Fill {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let states = ["h", "c", "h0", "c0", "hn", "cn", "h_in", "c_in"];
    if has(&["mask"]) {
        Fill::All(1)
    } else if has(&["state", "past", "cache"]) || states.contains(&name) {
        Fill::All(0)
    } else {
        Fill::Normal
    }
}

/// What whole numbers are by a name in lower case that says so.
fn whole(name: &str, shape: &[u64], length: Option<u64>) -> Option<Fill> {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["mask"]) {
        return Some(Fill::All(1));
    }
    if has(&["token_type", "segment", "type_ids"]) {
        return Some(Fill::All(0));
    }
    if has(&["position"]) {
        return Some(Fill::Places);
    }
    if elements(shape) > 1 {
        return None;
    }
    if name == "sr" || has(&["sample_rate", "sampling_rate"]) {
        return Some(Fill::All(SAMPLE_RATE));
    }
    let lengths = has(&["length", "len", "num_tokens"]);
    let length = i32::try_from(length?).ok()?;
    lengths.then_some(Fill::All(length))
}

fn pixels(passed: Passed, name: &str) -> Option<Fill> {
    let named = ["byte", "pixel", "image", "img"];
    let is = passed == Passed::Byte || named.iter().any(|part| name.contains(part));
    is.then_some(Fill::Below(256))
}

/// How many different numbers an input can hold, where these are looked up in a table or compared with 0, 1, 2 and so on.
fn vocabulary(graph: &Graph, input: &str, stored: &HashMap<&str, &Tensor>) -> Option<Fill> {
    /// Operators whose results are the same numbers in another arrangement.
    const SAME: [&str; 9] = [
        "Cast",
        "Identity",
        "Unsqueeze",
        "Squeeze",
        "Reshape",
        "Flatten",
        "Transpose",
        "Expand",
        "Slice",
    ];
    let mut names = HashSet::from([input]);
    let mut sizes = Vec::new();
    for node in &graph.nodes {
        let reads = |at: usize| {
            node.inputs
                .get(at)
                .is_some_and(|own| names.contains(own.as_str()))
        };
        let shape = |at: usize| shape_of(graph, node, at, (stored, MOST_MADE));
        match node.operator.as_str() {
            "Gather" if reads(1) => sizes.extend(shape(0).and_then(|shape| shape.first().copied())),
            "EmbedLayerNormalization" if reads(0) => {
                sizes.extend(shape(2).and_then(|shape| shape.first().copied()));
            }
            "OneHot" if reads(0) => sizes.extend(number(node, 1, stored)),
            "Equal" if reads(0) || reads(1) => {
                let other = usize::from(reads(0));
                let tensor = node
                    .inputs
                    .get(other)
                    .and_then(|name| stored.get(name.as_str()));
                let values = tensor.and_then(|tensor| tensor.values.as_ref());
                let counts = |values: &&Vec<f64>| {
                    values.len() > 1 && values.iter().enumerate().all(|(at, n)| *n == at as f64)
                };
                sizes.extend(values.filter(counts).map(|values| values.len() as u64));
            }
            own if SAME.contains(&own) && reads(0) => {
                names.extend(node.outputs.first().map(String::as_str));
            }
            _ => {}
        }
    }
    let least = sizes.into_iter().min().filter(|size| *size > 0)?;
    u32::try_from(least).ok().map(Fill::Below)
}

fn number(node: &Node, at: usize, stored: &HashMap<&str, &Tensor>) -> Option<u64> {
    let tensor = stored.get(node.inputs.get(at)?.as_str())?;
    let value = *tensor.values.as_ref()?.first()?;
    (1.0..1e9).contains(&value).then_some(value as u64)
}

/// Nodes between a stored table and where it is looked up, at most.
const MOST_MADE: usize = 8;

/// The shape of a table: of a stored tensor, or one that the nodes before it make of such.
fn shape_of(
    graph: &Graph,
    node: &Node,
    at: usize,
    (stored, nodes): (&HashMap<&str, &Tensor>, usize),
) -> Option<Vec<u64>> {
    let nodes = nodes.checked_sub(1)?;
    let name = node.inputs.get(at)?.as_str();
    if let Some(tensor) = stored.get(name) {
        return Some(tensor.shape.clone());
    }
    let maker = graph
        .nodes
        .iter()
        .find(|node| node.outputs.iter().any(|output| output == name))?;
    match maker.operator.as_str() {
        "Constant" => {
            let value = maker
                .attributes
                .iter()
                .find_map(|own| own.tensor.as_ref())?;
            Some(value.shape.clone())
        }
        "DequantizeLinear" | "Cast" | "Identity" => shape_of(graph, maker, 0, (stored, nodes)),
        _ => None,
    }
}
