//! The recurrent language model: a table of tokens, layers of long short-term memory or gated recurrent units, and a head.
//!
//! Tensors: `embedding.weight [vocabulary, width]`, per layer i from 0 `rnn.{i}.ih.weight [gates · units, width or units]`
//! (of what it reads), `rnn.{i}.hh.weight [gates · units, units]` (of its own last output), a `.bias` for each, and
//! `head.weight [vocabulary, units]` with `head.bias`. Gates lie as in PyTorch's `nn.LSTM` and `nn.GRU`, whose names
//! `…weight_ih_l0` and so on are read too. All matrices are compressible.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Deviation, Family, Sizes};
use crate::graph::{Cell, Graph, Input, Node, Op, Role, Value};
use crate::model::Architecture;
use crate::profile::Unit;

/// Shape of a recurrent language model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RnnConfig {
    /// Number of different tokens; 256 for bytes.
    pub vocabulary: usize,
    /// The most tokens of a text that are read from its beginning on, as long as those of its training.
    pub context: usize,
    /// Width of the table of tokens.
    pub width: usize,
    /// Units of each layer.
    pub units: usize,
    /// Number of layers.
    pub layers: usize,
    /// What a layer is made of.
    pub cell: Cell,
}

/// What the name of a table of tokens contains, where it has the shape of the head.
const TABLES: [&str; 3] = ["emb", "encoder", "wte"];
/// Context of a model whose file does not say: that of the bundled one.
const CONTEXT: usize = 128;
/// Content that a memory keeps at first: a forget gate of the logistic function of 1 (Jozefowicz et al. 2015,
/// <https://proceedings.mlr.press/v37/jozefowicz15.html>).
const FORGET_BIAS: f32 = 1.0;

impl RnnConfig {
    /// The table of tokens.
    pub(crate) const EMBEDDING: &'static str = "embedding";
    /// The output layer.
    pub(crate) const HEAD: &'static str = "head";

    /// The bundled one: bytes, context 128, width 64, a layer of 256 units of long short-term memory; 411,904 parameters.
    pub fn bytes() -> Self {
        Self {
            vocabulary: 256,
            context: CONTEXT,
            width: 64,
            units: 256,
            layers: 1,
            cell: Cell::Lstm,
        }
    }

    /// The product of a layer with what it reads.
    pub(crate) fn input(&self, layer: usize) -> String {
        format!("rnn.{layer}.ih")
    }

    /// The product of a layer with its own last output.
    pub(crate) fn hidden(&self, layer: usize) -> String {
        format!("rnn.{layer}.hh")
    }

    /// What it computes.
    fn nodes(&self) -> Graph {
        // Sizes are far below the limit of the type.
        let size = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let units = size(self.units);
        let linear = |name: String, role, inputs: usize, outputs: u32| {
            let op = Op::Linear {
                inputs: size(inputs),
                outputs,
                bias: true,
            };
            Node::new(name, role, op)
        };
        let mut graph = Graph {
            unit: Unit::Token,
            positions: 1,
            blocks: 0,
            nodes: Vec::new(),
            input: Some(Input::Tokens {
                vocabulary: size(self.vocabulary),
                context: size(self.context),
            }),
        };
        let table = Op::Embedding {
            rows: size(self.vocabulary),
            width: size(self.width),
        };
        let table = Node::new(Self::EMBEDDING, Role::Embedding, table);
        let mut x = graph.push(table, &[Value::Input]);
        let gates = self.cell.gates().saturating_mul(units);
        for layer in 0..self.layers {
            let reads = if layer == 0 { self.width } else { self.units };
            let given = linear(self.input(layer), Role::Other, reads, gates);
            let given = graph.push(given, &[x]);
            let cell = self.cell;
            let steps = Op::Recurrent { cell, units };
            let steps = Node::new(self.hidden(layer), Role::Other, steps);
            x = graph.push(steps, &[given]);
        }
        let vocabulary = size(self.vocabulary);
        let head = linear(Self::HEAD.to_owned(), Role::Head, self.units, vocabulary);
        graph.push(head, &[x]);
        graph
    }

    /// Parameters, of units that need not be whole.
    fn count(&self, width: f64, units: f64) -> f64 {
        let (vocabulary, layers) = (self.vocabulary as f64, self.layers as f64);
        let gates = f64::from(self.cell.gates()) * units;
        let first = gates * (width + units + 2.0);
        let others = (layers - 1.0) * gates * (2.0 * units + 2.0);
        vocabulary * (width + units + 1.0) + first + others
    }

    /// The network whose parameters come nearest to `wanted`: as many units as that takes at a width in proportion, give or
    /// take a quarter.
    fn narrowest(&self, wanted: f64) -> Self {
        let original = self.width as f64 / self.units as f64;
        let mut best = (f64::INFINITY, self.clone());
        for units in 1..=self.units {
            // Parameters grow with the width in proportion.
            let none = self.count(0.0, units as f64);
            let each = self.count(1.0, units as f64) - none;
            let low = (0.75 * original * units as f64).ceil().max(1.0);
            let high = (1.25 * original * units as f64).floor().max(low);
            let width = ((wanted - none) / each).round().clamp(low, high);
            let miss = (none + each * width - wanted).abs() / wanted;
            // Of those that hit, the one that keeps the original's proportions best.
            let shape = (width / units as f64 / original - 1.0).abs();
            let score = miss.max(0.005) + 0.01 * shape;
            if score < best.0 {
                let narrower = Self {
                    width: width as usize,
                    units,
                    ..self.clone()
                };
                best = (score, narrower);
            }
        }
        best.1
    }

    /// A recurrent language model by the names and shapes of its tensors, which are those of this program.
    pub(super) fn recognise(tensors: &BTreeMap<&str, &[usize]>) -> Option<(usize, Architecture)> {
        let matrix = |name: &str| match tensors.get(format!("{name}.weight").as_str()) {
            Some(&&[rows, columns]) => Some((rows, columns)),
            _ => None,
        };
        let (vocabulary, width) = matrix(Self::EMBEDDING)?;
        let (rows, units) = matrix("rnn.0.hh")?;
        let hidden = |layer: &usize| matrix(&format!("rnn.{layer}.hh")).is_some();
        let config = Self {
            vocabulary,
            context: CONTEXT,
            width,
            units,
            layers: (0..).take_while(hidden).count(),
            cell: cell(rows, units)?,
        };
        let architecture = Architecture::Rnn(config);
        if architecture.implausible().is_some() {
            return None;
        }
        let shapes = architecture.tensor_shapes();
        let found = shapes
            .iter()
            .filter(|(name, _)| tensors.contains_key(name.as_str()));
        Some((found.count(), architecture))
    }
}

/// The kind of a layer by the rows of its matrix.
fn cell(rows: usize, units: usize) -> Option<Cell> {
    [Cell::Lstm, Cell::Gru]
        .into_iter()
        .find(|cell| units.checked_mul(cell.gates() as usize) == Some(rows))
}

/// What the tensors of a recurrent language model made with PyTorch are called here, by their names there: those of its
/// `nn.LSTM` or `nn.GRU`, the table before it and the linear layer after it, which are told by their shapes. `None` where
/// they are not those of such a model.
pub(crate) fn own_names(tensors: &BTreeMap<&str, &[usize]>) -> Option<BTreeMap<String, String>> {
    const FIRST: &str = "weight_hh_l0";
    let mut prefixes = tensors.keys().filter_map(|name| name.strip_suffix(FIRST));
    let (prefix, None) = (prefixes.next()?, prefixes.next()) else {
        return None;
    };
    let mut names = BTreeMap::new();
    for name in tensors.keys() {
        let Some(part) = name.strip_prefix(prefix) else {
            continue;
        };
        for (of, to) in [
            ("weight_ih_l", "ih.weight"),
            ("weight_hh_l", "hh.weight"),
            ("bias_ih_l", "ih.bias"),
            ("bias_hh_l", "hh.bias"),
        ] {
            let Some(layer) = part.strip_prefix(of) else {
                continue;
            };
            if let Ok(layer) = layer.parse::<u16>() {
                names.insert((*name).to_owned(), format!("rnn.{layer}.{to}"));
            }
        }
    }
    let matrix = |name: &str| match tensors.get(name) {
        Some(&&[rows, columns]) => Some((rows, columns)),
        _ => None,
    };
    let (_, width) = matrix(&format!("{prefix}weight_ih_l0"))?;
    let (rows, units) = matrix(&format!("{prefix}{FIRST}"))?;
    cell(rows, units)?;
    let others: Vec<(&str, usize, usize)> = tensors
        .keys()
        .filter(|name| !names.contains_key(**name))
        .filter_map(|name| matrix(name).map(|(rows, columns)| (*name, rows, columns)))
        .collect();
    let &[one, other] = others.as_slice() else {
        return None;
    };
    let is_table = |name: &str| TABLES.iter().any(|part| name.contains(part));
    let fits = |table: (&str, usize, usize), head: (&str, usize, usize)| {
        table.1 == head.1
            && (table.2, head.2) == (width, units)
            && (width != units || (is_table(table.0) && !is_table(head.0)))
    };
    let (table, head) = match (fits(one, other), fits(other, one)) {
        (true, _) => (one.0, other.0),
        (_, true) => (other.0, one.0),
        _ => return None,
    };
    names.insert(table.to_owned(), format!("{}.weight", RnnConfig::EMBEDDING));
    names.insert(head.to_owned(), format!("{}.weight", RnnConfig::HEAD));
    let bias = format!("{}.bias", head.strip_suffix(".weight")?);
    if tensors.contains_key(bias.as_str()) {
        names.insert(bias, format!("{}.bias", RnnConfig::HEAD));
    }
    Some(names)
}

impl Family for RnnConfig {
    fn name(&self) -> &'static str {
        "recurrent language model"
    }

    fn graph(&self) -> Graph {
        self.nodes()
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            sizes: vec![
                ("vocabulary", self.vocabulary),
                ("context", self.context),
                ("width", self.width),
                ("units", self.units),
            ],
            parts: ("layers", self.layers),
        }
    }

    fn implausible(&self) -> Option<String> {
        None
    }

    fn narrowed(&self, wanted: f64) -> Option<(Architecture, String)> {
        let student = self.narrowest(wanted);
        let what = format!(
            "narrower: units {} → {}, width {} → {}",
            self.units, student.units, self.width, student.width
        );
        Some((Architecture::Rnn(student), what))
    }

    fn deviation(&self, name: &str, _: &[usize]) -> Deviation {
        if name.starts_with(Self::EMBEDDING) {
            Deviation::Fixed(0.3)
        } else {
            Deviation::Linear(1.0)
        }
    }

    fn start(&self, name: &str, len: usize) -> Option<Vec<f32>> {
        if self.cell != Cell::Lstm || !name.ends_with("hh.bias") {
            return None;
        }
        let forgets = self.units..2 * self.units;
        let bias = |row| {
            if forgets.contains(&row) {
                FORGET_BIAS
            } else {
                0.0
            }
        };
        Some((0..len).map(bias).collect())
    }
}
