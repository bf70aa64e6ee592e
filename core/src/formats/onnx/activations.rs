//! What enters the layers of a written network rounded on its way, as in networks of our own: by standard operators in front of
//! them.

use std::collections::{BTreeMap, HashMap};

use super::message::{Item, Message};
use super::plain::{list, scalar, simple, with_operator};
use super::wire::Result;

/// The least scale, so that nothing is divided by zero.
const LEAST: f32 = 1e-30;
/// A factor that leaves eleven bits of a product's sum and difference (Veltkamp 1968, as of Dekker 1971,
/// <https://doi.org/10.1007/BF01397083>): half precision but for its range.
const HALF: f32 = 8193.0;
/// The version of operators from which on axes are an input.
const AXES_AS_INPUT: i64 = 18;

/// Operators that leave their first input what it is.
const SAME: [&str; 5] = [
    "Cast",
    "CastLike",
    "DequantizeLinear",
    "Identity",
    "Transpose",
];
/// Such nodes one after another, at most.
const MOST_MADE: usize = 8;

struct Rounding<'a> {
    file: &'a [u8],
    /// How often each is there, and how often what enters it was rounded.
    layers: &'a BTreeMap<String, usize>,
    reached: BTreeMap<String, usize>,
    /// Dimensions of stored tensors by name, and what nodes make of one value without changing what it is.
    stored: HashMap<String, usize>,
    made: HashMap<String, String>,
    bits: u8,
    version: i64,
    count: usize,
}

/// The same network with the numbers that enter these layers rounded to so many bits; each is there so many times.
///
/// # Errors
/// It is damaged, or a layer stands where what enters it is not told from its weights.
pub(crate) fn rounded(file: &[u8], layers: &BTreeMap<String, usize>, bits: u8) -> Result<Vec<u8>> {
    let model = Message::read(file, 0..file.len())?;
    let mut version = 0;
    for set in model.all(8) {
        let set = Message::of(set, file)?;
        if matches!(set.text(1, file).as_str(), "" | "ai.onnx") {
            version = set.int(2).unwrap_or(0).max(version);
        }
    }
    let mut rounding = Rounding {
        file,
        layers,
        reached: BTreeMap::new(),
        stored: HashMap::new(),
        made: HashMap::new(),
        bits,
        version,
        count: 0,
    };
    let mut written = Message::default();
    for (number, item) in &model.fields {
        match number {
            7 => {
                let graph = rounding.graph(&Message::of(item, file)?)?;
                written.push_message(7, &graph, file);
            }
            _ => written.fields.push((*number, item.clone())),
        }
    }
    let missed = layers
        .iter()
        .find(|(layer, times)| rounding.reached.get(*layer) != Some(times));
    match missed {
        None => Ok(written.write(file)),
        Some((layer, _)) => Err(format!(
            "what enters layer '{}' cannot be rounded in this file; leave activations at 32 bits",
            super::shown(layer)
        )),
    }
}

impl Rounding<'_> {
    fn graph(&mut self, graph: &Message) -> Result<Message> {
        let mut written = Message::default();
        for item in graph.all(5) {
            let tensor = Message::of(item, self.file)?;
            let rank = tensor.ints(1, self.file)?.len();
            self.stored.insert(tensor.text(8, self.file), rank);
        }
        for (number, item) in &graph.fields {
            match number {
                1 => self.node(&Message::of(item, self.file)?, &mut written)?,
                _ => written.fields.push((*number, item.clone())),
            }
        }
        Ok(written)
    }

    fn node(&mut self, node: &Message, graph: &mut Message) -> Result<()> {
        let file = self.file;
        let mut written = Message::default();
        let operator = node.text(4, file);
        let name = node.text(3, file);
        let label = name
            .strip_suffix(&with_operator("", &operator))
            .unwrap_or(&name);
        let inputs: Vec<String> = node.all(1).map(|item| text(item, file)).collect();
        if SAME.contains(&operator.as_str())
            && let (Some(input), Some(output)) = (inputs.first(), node.all(2).next())
        {
            self.made.insert(text(output, file), input.clone());
        }
        let entering = (self.layers.contains_key(label))
            .then(|| self.entering((&operator, node), &inputs))
            .flatten();
        if entering.is_some() {
            *self.reached.entry(label.to_owned()).or_default() += 1;
        }
        let place = entering.as_ref().map(|(place, _)| *place);
        let mut at = 0;
        for (number, item) in &node.fields {
            match number {
                1 => {
                    if let Some((_, axes)) = entering.as_ref().filter(|_| place == Some(at)) {
                        let rounded = self.round(&inputs[at], axes, graph);
                        written.push_text(1, &rounded);
                    } else {
                        written.fields.push((1, item.clone()));
                    }
                    at += 1;
                }
                5 => {
                    let mut attribute = Message::default();
                    for (number, item) in &Message::of(item, file)?.fields {
                        if matches!(number, 6 | 11) {
                            let graph = self.graph(&Message::of(item, file)?)?;
                            attribute.push_message(*number, &graph, file);
                        } else {
                            attribute.fields.push((*number, item.clone()));
                        }
                    }
                    written.push_message(5, &attribute, file);
                }
                _ => written.fields.push((*number, item.clone())),
            }
        }
        graph.push_message(1, &written, file);
        Ok(())
    }

    /// Adds the nodes that round a value; the name of the result.
    fn round(&mut self, value: &str, axes: &[i64], graph: &mut Message) -> String {
        self.count += 1;
        let own = format!("rounded#{}", self.count);
        let name = |part: &str| format!("{own}/{part}");
        let file = self.file;
        let mut constant = |part: &str, number: f32| {
            graph.push_message(5, &scalar(&name(part), number), file);
        };
        if self.bits >= 16 {
            constant("factor", HALF);
            for (operator, inputs, output) in [
                ("Mul", [value, &name("factor")], name("large")),
                ("Sub", [&name("large"), value], name("rest")),
                ("Sub", [&name("large"), &name("rest")], own.clone()),
            ] {
                graph.push_message(1, &simple(operator, &inputs, &output), file);
            }
            return own;
        }
        let most = f32::from((1_u16 << (self.bits.max(2) - 1)) - 1);
        constant("least", LEAST);
        constant("most", most);
        let mut largest = simple("ReduceMax", &[&name("size")], &name("largest"));
        if self.version >= AXES_AS_INPUT && !axes.is_empty() {
            let mut tensor = Message::default();
            tensor.push_int(1, i64::try_from(axes.len()).unwrap_or(0));
            tensor.push_int(2, 7);
            tensor.push_text(8, &name("axes"));
            let bytes = axes.iter().flat_map(|axis| axis.to_le_bytes()).collect();
            tensor.fields.push((9, Item::New(bytes)));
            graph.push_message(5, &tensor, file);
            largest.push_text(1, &name("axes"));
        } else if !axes.is_empty() {
            largest.push_message(5, &list("axes", axes), file);
        }
        largest.push_message(5, &int("keepdims", 1), file);
        graph.push_message(1, &simple("Abs", &[value], &name("size")), file);
        graph.push_message(1, &largest, file);
        for (operator, inputs, output) in [
            ("Max", [&name("largest"), &name("least")], name("positive")),
            ("Div", [&name("positive"), &name("most")], name("scale")),
            ("Div", [&value.to_owned(), &name("scale")], name("steps")),
        ] {
            let inputs = inputs.map(String::as_str);
            graph.push_message(1, &simple(operator, &inputs, &output), file);
        }
        graph.push_message(1, &simple("Round", &[&name("steps")], &name("whole")), file);
        let last = simple("Mul", &[&name("whole"), &name("scale")], &own);
        graph.push_message(1, &last, file);
        own
    }
}

impl Rounding<'_> {
    /// Dimensions of the stored tensor that a value is, or is made of by nodes that leave it what it is.
    fn weights(&self, name: &str) -> Option<usize> {
        let mut name = name;
        for _ in 0..MOST_MADE {
            if let Some(rank) = self.stored.get(name) {
                return Some(*rank);
            }
            name = self.made.get(name)?;
        }
        None
    }

    /// Which input of a layer is what enters it, and not its weights, and the axes along which its numbers have one scale:
    /// those of an image, or of a row.
    fn entering(
        &self,
        (operator, node): (&str, &Message),
        inputs: &[String],
    ) -> Option<(usize, Vec<i64>)> {
        let stored = |at: usize| inputs.get(at).and_then(|name| self.weights(name));
        match operator {
            "Conv" | "ConvTranspose" => {
                let rank = i64::try_from(stored(1)?).ok()?;
                Some((0, (1..rank).collect()))
            }
            "LSTM" | "GRU" | "RNN" if stored(1).is_some() => Some((0, vec![-1])),
            // What is turned before the product stands in columns.
            "Gemm" if stored(1).is_some() => {
                let is_turned = |item: &Item| {
                    let attribute = Message::of(item, self.file).ok()?;
                    (attribute.text(1, self.file) == "transA").then(|| attribute.int(3))?
                };
                let turned = node.all(5).find_map(is_turned).unwrap_or(0) != 0;
                Some((0, vec![if turned { -2 } else { -1 }]))
            }
            // Of weights on the left, what enters stands in columns.
            "MatMul" if stored(0).is_some() => Some((1, vec![-2])),
            "MatMul" if stored(1).is_some() => Some((0, vec![-1])),
            _ => None,
        }
    }
}

fn text(item: &Item, file: &[u8]) -> String {
    String::from_utf8_lossy(item.bytes(file)).into_owned()
}

fn int(name: &str, value: i64) -> Message {
    const INT: i64 = 2;
    let mut attribute = Message::default();
    attribute.push_text(1, name);
    attribute.push_int(3, value);
    attribute.push_int(20, INT);
    attribute
}
