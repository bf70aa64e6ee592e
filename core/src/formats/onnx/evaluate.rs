//! Follows a network node by node: the shapes of all results, and the work of every node.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::axes::agrees;
use super::call::{Bound, Call, Unknown};
use super::file::{Attribute, Dim, File, Function, Graph, Node};
use super::layout::{form, layout};
use super::operators::{Given, MULTIPLY, Use, infer};
use super::tensor::{DataType, Place, Tensor, shown};
use super::value::{Form, Value};
use super::wire::{Fact, Result};
use super::work::Work;

/// Steps and numbers that following a network may take: ten times those of a graph of a hundred thousand nodes.
pub(super) const MOST_STEPS: u64 = 10_000_000;
/// Graphs and functions inside each other.
const DEEPEST: usize = 32;
/// Stored tensors that a constant is made of; more are counted where they are joined.
const MOST_PARTS: usize = 1024;
/// Nodes that are named of those whose results are not known.
const NAMED: usize = 3;
/// What stored tensors are there for; what asks for more wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Mark {
    /// No node reads it.
    #[default]
    None,
    /// Sizes, axes or scales.
    Argument,
    /// Numbers that something is computed with.
    Data,
    /// Parameters down to a single one.
    Parameter,
}

/// A tensor of the file.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    pub(super) tensor: &'a Tensor,
    pub(super) mark: Mark,
}

#[derive(Default)]
struct Frame<'a> {
    names: HashMap<&'a str, Option<Value>>,
    bound: Rc<Bound<'a>>,
    /// Whether names of the frame before are not seen.
    is_function: bool,
}

pub(super) struct Evaluation<'a> {
    pub(super) file: &'a File,
    functions: HashMap<(&'a str, &'a str), &'a Function>,
    pub(super) tensors: Vec<Stored<'a>>,
    known: HashMap<*const Tensor, usize>,
    pub(super) works: Vec<Work>,
    /// Nodes whose results are not known, in words, and how many they are.
    pub(super) unknown: (Vec<String>, usize),
    /// Multiplying nodes that are not counted.
    pub(super) uncounted: usize,
    pub(super) notes: BTreeSet<String>,
    /// Shapes that the file states, by name.
    stated: HashMap<&'a str, &'a [Dim]>,
    /// The first result whose shape differs from the stated one, in words, and how many do.
    pub(super) differs: Option<(String, usize)>,
    frames: Vec<Frame<'a>>,
    steps: u64,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        let named = |own: &'a Function| ((own.domain.as_str(), own.name.as_str()), own);
        Self {
            file,
            functions: file.functions.iter().map(named).collect(),
            tensors: Vec::new(),
            known: HashMap::new(),
            works: Vec::new(),
            unknown: (Vec::new(), 0),
            uncounted: 0,
            notes: BTreeSet::new(),
            stated: HashMap::new(),
            differs: None,
            frames: Vec::new(),
            steps: MOST_STEPS,
        }
    }

    /// Steps that were taken.
    pub(super) const fn spent(&self) -> u64 {
        MOST_STEPS - self.steps
    }

    fn spend(&mut self, steps: usize) -> Result<()> {
        let left = self.steps.checked_sub(steps as u64);
        self.steps = left.ok_or("its graph is too large to be followed")?;
        Ok(())
    }

    /// The results of a graph for what it is given.
    pub(super) fn graph(
        &mut self,
        graph: &'a Graph,
        inputs: Vec<Value>,
    ) -> Result<Vec<Option<Value>>> {
        if self.frames.len() >= DEEPEST {
            return Err(format!(
                "graphs stand inside each other more than {DEEPEST} times"
            ));
        }
        let mut frame = Frame::default();
        let given = graph.inputs.iter().zip(inputs);
        frame
            .names
            .extend(given.map(|(info, value)| (info.name.as_str(), Some(value))));
        // Early files list their weights among the inputs too.
        for tensor in &graph.tensors {
            let value = self.stored(tensor)?;
            frame.names.insert(&tensor.name, Some(value));
        }
        if let Some(outer) = self.frames.last() {
            frame.bound = Rc::clone(&outer.bound);
        }
        self.frames.push(frame);
        for node in &graph.nodes {
            self.node(node)?;
        }
        let outputs = graph.outputs.iter();
        let outputs = outputs.map(|info| self.find(&info.name)).collect();
        self.frames.pop();
        outputs
    }

    /// A tensor as a constant.
    fn stored(&mut self, tensor: &'a Tensor) -> Result<Value> {
        let values = tensor.values.as_ref().map_or(0, Vec::len);
        self.spend(1 + tensor.shape.len() + values)?;
        let place = match self.known.get(&std::ptr::from_ref(tensor)) {
            Some(place) => *place,
            None => {
                self.tensors.push(Stored {
                    tensor,
                    mark: Mark::None,
                });
                self.known.insert(tensor, self.tensors.len() - 1);
                self.tensors.len() - 1
            }
        };
        Ok(Value {
            values: tensor.values.as_deref().map(Into::into),
            made_of: Some([place].into()),
            form: Form::Stored,
            rounded: tensor
                .data_type
                .bits()
                .filter(|_| tensor.data_type.is_rounded()),
            ..Value::new(tensor.data_type, tensor.shape.clone())
        })
    }

    /// A value by its name; `None` for one that is left out.
    fn find(&self, name: &str) -> Result<Option<Value>> {
        if name.is_empty() {
            return Ok(None);
        }
        for frame in self.frames.iter().rev() {
            if let Some(value) = frame.names.get(name) {
                return Ok(value.clone());
            }
            if frame.is_function {
                break;
            }
        }
        Err(format!(
            "'{}' is read before any node gives it",
            shown(name)
        ))
    }

    fn node(&mut self, node: &'a Node) -> Result<()> {
        // Some operators look at every input for every other.
        let inputs = node.inputs.len();
        self.spend(4 + inputs + inputs.saturating_mul(inputs) / 128 + node.outputs.len())?;
        let inputs: Vec<Option<Value>> = node
            .inputs
            .iter()
            .map(|name| self.find(name))
            .collect::<Result<_>>()?;
        let key = (node.domain.as_str(), node.operator.as_str());
        let outputs = match self.functions.get(&key).copied() {
            Some(function) => self.function(node, function, inputs)?,
            None => self.operator(node, inputs)?,
        };
        let mut outputs = outputs.into_iter();
        for name in &node.outputs {
            let value = outputs.next().flatten().unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            let size = value.shape.as_ref().map_or(0, Vec::len)
                + value.values.as_ref().map_or(0, |values| values.len());
            self.spend(size + value.made_of.as_ref().map_or(0, |of| of.len()))?;
            if self.frames.len() == 1 {
                self.compare(name, &value);
            }
            if let Some(frame) = self.frames.last_mut() {
                frame.names.insert(name, Some(value));
            }
        }
        Ok(())
    }

    /// Shapes that a graph states of its results.
    pub(super) fn check_against(&mut self, graph: &'a Graph) {
        let all = graph.stated.iter().chain(&graph.outputs);
        let stated = all.filter_map(|info| Some((info.name.as_str(), info.dims.as_deref()?)));
        self.stated = stated.collect();
    }

    fn compare(&mut self, name: &str, value: &Value) {
        let (Some(shape), Some(stated)) = (&value.shape, self.stated.get(name)) else {
            return;
        };
        if agrees(shape, stated) {
            return;
        }
        let name = shown(name);
        let first = || {
            format!(
                "the file states another shape for '{name}' than {shape:?}, which follows from what is before it"
            )
        };
        let (_, count) = self.differs.get_or_insert_with(|| (first(), 0));
        *count += 1;
    }

    /// The body of a function in the place of its call.
    fn function(
        &mut self,
        node: &'a Node,
        function: &'a Function,
        inputs: Vec<Option<Value>>,
    ) -> Result<Vec<Option<Value>>> {
        if self.frames.len() >= DEEPEST {
            return Err(format!(
                "functions stand inside each other more than {DEEPEST} times"
            ));
        }
        let outer = self.frames.last().map(|frame| Rc::clone(&frame.bound));
        let outer = outer.unwrap_or_default();
        let mut bound: Bound<'a> = HashMap::new();
        for own in function.defaults.iter().chain(&node.attributes) {
            let value: Option<&'a Attribute> = match own.of_caller.as_str() {
                "" => Some(own),
                name => outer.get(name).copied(),
            };
            bound.extend(value.map(|value| (own.name.as_str(), value)));
        }
        self.spend(bound.len() + function.inputs.len())?;
        let inputs = inputs.into_iter().chain(std::iter::repeat(None));
        let names = function.inputs.iter().map(String::as_str).zip(inputs);
        self.frames.push(Frame {
            names: names.collect(),
            bound: Rc::new(bound),
            is_function: true,
        });
        for node in &function.nodes {
            self.node(node)?;
        }
        let outputs = function.outputs.iter();
        let outputs = outputs.map(|name| self.find(name)).collect();
        self.frames.pop();
        outputs
    }

    fn operator(
        &mut self,
        node: &'a Node,
        inputs: Vec<Option<Value>>,
    ) -> Result<Vec<Option<Value>>> {
        let bound = self.frames.last().map(|frame| Rc::clone(&frame.bound));
        let bound = bound.unwrap_or_default();
        let version = self.version(&node.domain);
        let call = Call {
            node,
            inputs,
            bound: &bound,
            version,
        };
        match node.operator.as_str() {
            "Constant" => return Ok(vec![self.constant(&call)?]),
            "If" => return self.choice(&call),
            "Loop" => return self.repeated(&call),
            "Scan" => return self.scanned(&call),
            _ => {}
        }
        match infer(&call) {
            Ok(given) => self.took(&call, given),
            Err(unknown) => {
                self.not_known(&call, unknown);
                let unknown = |_| Some(Value::unknown(DataType::default()));
                Ok(node.outputs.iter().map(unknown).collect())
            }
        }
    }

    fn version(&self, domain: &str) -> i64 {
        let named = |own: &str| matches!(own, "" | "ai.onnx");
        let same = |own: &str| own == domain || named(own) && named(domain);
        let sets = self.file.operators.iter();
        let found = sets.filter(|(own, _)| same(own)).map(|set| set.1).max();
        found.unwrap_or(i64::MAX)
    }

    /// What a node gave, with what its constants are there for.
    fn took(&mut self, call: &Call<'_, 'a>, given: Given) -> Result<Vec<Option<Value>>> {
        let of = |at: usize| {
            let uses = given.uses.iter();
            uses.filter(|(input, _)| *input == at)
                .map(|own| own.1)
                .next_back()
        };
        let computes = |at: &usize| !matches!(of(*at), Some(Use::Argument | Use::Scale));
        let inputs: Vec<usize> = (0..call.inputs.len())
            .filter(|at| call.find(*at).is_some())
            .collect();
        let is_random =
            call.node.operator.starts_with("Random") || call.node.operator == "Bernoulli";
        let is_constant = !is_random && given.work.is_none() && call.is_constant();
        let parts = |evaluation: &Self, at: usize| evaluation.made_of(call, at).unwrap_or_default();
        let mut made_of = BTreeSet::new();
        for at in inputs {
            let own = parts(self, at);
            self.spend(own.len())?;
            match of(at) {
                Some(Use::Parameter) => self.mark(&own, Mark::Parameter),
                Some(Use::Scale | Use::Argument) => self.mark(&own, Mark::Argument),
                Some(Use::Weight) => {}
                None if is_constant => {}
                None => self.mark(&own, Mark::Data),
            }
            // Rounded numbers that are scaled back are weights, whatever they are read for.
            let scaled = given.uses.iter().any(|own| own.1 == Use::Scale);
            if is_constant && scaled && of(at).is_none() {
                let many = |place: &usize| self.tensors[*place].tensor.elements() > 1;
                let weights: Vec<usize> = own.iter().copied().filter(many).collect();
                self.mark(&weights, Mark::Parameter);
            }
            if is_constant && computes(&at) {
                made_of.extend(own);
            }
        }
        let mut made_of: Vec<usize> = made_of.into_iter().collect();
        if made_of.len() > MOST_PARTS {
            self.mark(&made_of, Mark::Data);
            made_of.clear();
        }
        let form = form(call, is_constant);
        if let Some(mut work) = given.work {
            if let Some(weights) = &mut work.weights {
                weights.layout = layout(call);
            }
            self.work(call.node, work);
        } else if !is_constant {
            self.added(call);
        }
        let outputs = given.outputs.into_iter().map(|mut value| {
            value.form = form;
            value.made_of = match (is_constant, &value.values) {
                (true, _) => Some(made_of.as_slice().into()),
                (false, Some(_)) => Some([].into()),
                (false, None) => None,
            };
            if value.made_of.is_none() {
                value.scales = Default::default();
            }
            Some(value)
        });
        Ok(outputs.collect())
    }

    fn made_of(&self, call: &Call<'_, 'a>, at: usize) -> Option<Vec<usize>> {
        call.find(at)?.made_of.as_deref().map(<[usize]>::to_vec)
    }

    pub(super) fn mark(&mut self, places: &[usize], mark: Mark) {
        for place in places {
            if let Some(stored) = self.tensors.get_mut(*place) {
                stored.mark = stored.mark.max(mark);
            }
        }
    }

    fn work(&mut self, node: &Node, work: Work) {
        let name = label(node).to_owned();
        let weights = work.weights.as_ref();
        if weights.is_some_and(|weights| weights.made_of.is_empty()) {
            self.note(
                "weights that are made of a single number, and not stored, are not counted"
                    .to_owned(),
            );
        }
        self.works.push(Work { name, ..work });
    }

    /// A sum of two results is done on the way by the kernel before it, which reads one of them once more.
    fn added(&mut self, call: &Call<'_, 'a>) {
        if !matches!(call.node.operator.as_str(), "Add" | "Sum" | "QLinearAdd") {
            return;
        }
        let results = call
            .inputs
            .iter()
            .flatten()
            .filter(|value| !value.is_constant());
        let sizes: Vec<u64> = results.filter_map(Value::elements).collect();
        if let (Some(work), [_, rest @ ..]) = (self.works.last_mut(), sizes.as_slice()) {
            work.added += rest.iter().map(|size| *size as f64).sum::<f64>();
        }
    }

    /// Notes a node whose results are not known; its constants count all the same.
    fn not_known(&mut self, call: &Call<'_, 'a>, unknown: Unknown) {
        let operator = call.node.operator.as_str();
        let multiplies = MULTIPLY.contains(&operator);
        self.uncounted += usize::from(multiplies);
        for at in 0..call.inputs.len() {
            for place in self.made_of(call, at).unwrap_or_default() {
                let tensor = self.tensors[place].tensor;
                let counts = tensor.data_type.is_float() || tensor.data_type.is_rounded();
                if counts && (multiplies || tensor.elements() > 1) {
                    self.mark(&[place], Mark::Parameter);
                }
            }
        }
        let Unknown::Here(fact) = unknown else { return };
        self.unknown.1 += 1;
        if self.unknown.0.len() < NAMED {
            let (name, operator) = (shown(label(call.node)), shown(operator));
            self.unknown.0.push(format!("'{name}' ({operator}) {fact}"));
        }
    }

    /// A constant that stands in a node.
    fn constant(&mut self, call: &Call<'_, 'a>) -> Result<Option<Value>> {
        if let Some(tensor) = call.tensor("value").or_else(|| call.tensor("sparse_value")) {
            return self.stored(tensor).map(Some);
        }
        let list = |values: Vec<f64>, data_type| {
            Value::known(data_type, vec![values.len() as u64], values)
        };
        let floats = call.floats("value_floats").filter(|own| !own.is_empty());
        let ints = call.ints("value_ints").filter(|own| !own.is_empty());
        let value = if let Some(values) = floats {
            list(
                values.iter().map(|own| f64::from(*own)).collect(),
                DataType::FLOAT,
            )
        } else if let Some(values) = ints {
            list(
                values.iter().map(|own| *own as f64).collect(),
                DataType::INT64,
            )
        } else if let Some(value) = call.find_int("value_int") {
            Value::known(DataType::INT64, Vec::new(), vec![value as f64])
        } else if let Some(value) = call.float("value_float") {
            Value::known(DataType::FLOAT, Vec::new(), vec![f64::from(value)])
        } else {
            Value::new(DataType::default(), vec![0])
        };
        Ok(Some(Value {
            made_of: Some([].into()),
            ..value
        }))
    }

    /// Stored tensors in other files.
    pub(super) fn beside(&self) -> impl Iterator<Item = &'a Tensor> {
        let all = self.tensors.iter().map(|stored| stored.tensor);
        all.filter(|tensor| tensor.place != Place::Here)
    }

    pub(super) fn note(&mut self, note: Fact) {
        self.notes.insert(note);
    }
}

/// The name of a node, or of what it gives.
pub(super) fn label(node: &Node) -> &str {
    let first = node.outputs.first().map_or("", String::as_str);
    if node.name.is_empty() {
        first
    } else {
        &node.name
    }
}
