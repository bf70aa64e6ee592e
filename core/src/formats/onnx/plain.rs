//! A file's network written again so that the library that runs it reads it without weights: stored tensors become buffers of
//! their own, of 32 bits where they are floating-point numbers; what is left out and has a default is filled in.

use std::collections::HashMap;

use half::{bf16, f16};

use super::instead::{Instead, instead};
use super::message::{Item, Message};
use super::tensor::{DataType, shown};
use super::wire::Result;

/// Tensors of at most so many bytes that are no matrices stay where they are: shapes, axes, scales.
const SMALL: usize = 256;

/// A network whose stored tensors stand apart.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    /// The file, tensors apart, each of which is the whole of an external file that [`buffer_name`] names.
    pub(crate) graph: Vec<u8>,
    pub(crate) tensors: Vec<Taken>,
    /// Names of its outputs.
    pub(crate) outputs: Vec<String>,
    /// Operators of its nodes, each once.
    pub(crate) operators: Vec<String>,
    /// Whether it draws random numbers, in place of which their mean stands.
    pub(crate) draws: bool,
}

/// A tensor that stands apart.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Where in the file it was.
    pub(crate) at: u64,
    /// Whether it holds numbers of 32 bits with a floating point.
    pub(crate) is_float: bool,
    pub(crate) bytes: Vec<u8>,
}

/// The name of the external file that a tensor stands for.
pub(crate) fn buffer_name(place: usize) -> String {
    // The library takes no other endings.
    format!("w{place}.data")
}

/// Reads bytes of another file beside the model's, by its name, from an offset on.
pub(crate) type Beside<'a> = dyn Fn(&str, u64, u64) -> Result<Vec<u8>> + 'a;

struct Writer<'a> {
    file: &'a [u8],
    beside: &'a Beside<'a>,
    tensors: Vec<Taken>,
    /// Shapes of stored tensors by name.
    shapes: HashMap<String, Vec<i64>>,
    operators: Vec<String>,
    draws: bool,
    /// Bytes of all tensors so far, in single precision.
    held: u64,
}

/// Writes a file again.
///
/// # Errors
/// It is damaged, or holds what cannot be run.
pub(crate) fn plain(file: &[u8], beside: &Beside<'_>) -> Result<Plain> {
    let model = Message::read(file, 0..file.len())?;
    let graph = model.last(7).ok_or("there is no graph in it")?;
    let graph = super::inline::functions(graph.message(file)?, &model, file)?;
    let mut writer = Writer {
        file,
        beside,
        tensors: Vec::new(),
        shapes: HashMap::new(),
        operators: Vec::new(),
        draws: false,
        held: 0,
    };
    let outputs = graph
        .all(12)
        .map(|item| Ok(item.message(file)?.text(1, file)))
        .collect::<Result<_>>()?;
    let graph = writer.graph(&graph)?;
    let mut written = Message::default();
    for (number, item) in &model.fields {
        if matches!(number, 1 | 8) {
            written.fields.push((*number, item.clone()));
        }
    }
    written.push_message(7, &graph, file);
    Ok(Plain {
        graph: written.write(file),
        tensors: writer.tensors,
        outputs,
        operators: writer.operators,
        draws: writer.draws,
    })
}

impl Writer<'_> {
    fn graph(&mut self, graph: &Message) -> Result<Message> {
        let file = self.file;
        let mut written = Message::default();
        for item in graph.all(5) {
            let tensor = item.message(file)?;
            let tensor = self.tensor(&tensor, place(item), None, false)?;
            written.push_message(5, &tensor, file);
        }
        for (number, item) in &graph.fields {
            match number {
                1 => self.node(item, &mut written)?,
                5 | 13 => {}
                15 => return Err("it holds sparse tensors, which are not run".to_owned()),
                _ => written.fields.push((*number, item.clone())),
            }
        }
        Ok(written)
    }

    fn node(&mut self, item: &Item, graph: &mut Message) -> Result<()> {
        let file = self.file;
        let node = Message::of(item, file)?;
        let operator = node.text(4, file);
        if !self.operators.contains(&operator) {
            self.operators.push(operator.clone());
        }
        if operator == "Constant"
            && let Some(value) = attribute(&node, "value", file)?
            && let Some(stored) = value.last(5)
        {
            let output = node.text(2, file);
            let tensor = self.tensor(
                &Message::of(stored, file)?,
                place(stored),
                Some(&output),
                false,
            )?;
            graph.push_message(5, &tensor, file);
            return Ok(());
        }
        if let Some(instead) = instead(&operator, &node, graph, file)? {
            self.draws |= instead == Instead::Mean;
            return Ok(());
        }
        self.follow(&operator, &node);
        let mut written = Message::default();
        for (number, item) in &node.fields {
            if *number == 5 {
                let attribute = self.attribute(&Message::of(item, file)?)?;
                written.push_message(5, &attribute, file);
            } else {
                written.fields.push((*number, item.clone()));
            }
        }
        self.fill(&operator, &mut written)?;
        // Errors name the node; a name that a value has too would not be kept.
        let first = node.all(2).next().map_or(&[][..], |item| item.bytes(file));
        let label = match node.text(3, file) {
            name if name.is_empty() => String::from_utf8_lossy(first).into_owned(),
            name => name,
        };
        written.fields.retain(|(number, _)| *number != 3);
        written.push_text(3, &with_operator(&label, &operator));
        graph.push_message(1, &written, file);
        Ok(())
    }

    /// Notes the shape of a stored tensor that is only converted.
    fn follow(&mut self, operator: &str, node: &Message) {
        let file = self.file;
        let name = |number| {
            let item = node.all(number).next()?;
            Some(String::from_utf8_lossy(item.bytes(file)).into_owned())
        };
        if matches!(operator, "DequantizeLinear" | "Cast" | "Identity")
            && let (Some(input), Some(output)) = (name(1), name(2))
            && let Some(shape) = self.shapes.get(&input).cloned()
        {
            self.shapes.insert(output, shape);
        }
    }

    fn attribute(&mut self, attribute: &Message) -> Result<Message> {
        let file = self.file;
        let mut written = Message::default();
        for (number, item) in &attribute.fields {
            match number {
                5 => {
                    let tensor = self.tensor(&Message::of(item, file)?, place(item), None, true)?;
                    written.push_message(5, &tensor, file);
                }
                6 | 11 => {
                    let graph = self.graph(&Message::of(item, file)?)?;
                    written.push_message(*number, &graph, file);
                }
                _ => written.fields.push((*number, item.clone())),
            }
        }
        written.unpack_words(7, file);
        written.unpack_ints(8, file)?;
        Ok(written)
    }

    /// What is left out of convolutions and pools.
    fn fill(&self, operator: &str, node: &mut Message) -> Result<()> {
        let file = self.file;
        match operator {
            "Conv" | "ConvInteger" | "ConvTranspose" => {
                if attribute(node, "kernel_shape", file)?.is_some() {
                    return Ok(());
                }
                let weight = node.all(1).nth(1).map(|name| name.bytes(file));
                let weight = String::from_utf8_lossy(weight.unwrap_or_default()).into_owned();
                if let Some(kernel) = self.shapes.get(&weight).and_then(|shape| shape.get(2..)) {
                    let kernel = list("kernel_shape", kernel);
                    node.push_message(5, &kernel, file);
                }
            }
            "MaxPool" | "AveragePool" | "LpPool" => {
                if let (None, Some(kernel)) = (
                    attribute(node, "strides", file)?,
                    attribute(node, "kernel_shape", file)?,
                ) {
                    let strides = vec![1; kernel.ints(8, file)?.len()];
                    node.push_message(5, &list("strides", &strides), file);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A tensor as it is written; `named` where it is given another name.
    fn tensor(
        &mut self,
        tensor: &Message,
        at: u64,
        named: Option<&str>,
        stays: bool,
    ) -> Result<Message> {
        let file = self.file;
        let name = named.map_or_else(|| tensor.text(8, file), str::to_owned);
        let dims = tensor.ints(1, file)?;
        let data_type = DataType(tensor.int(2).unwrap_or(0));
        let mut written = Message::default();
        for dim in &dims {
            written.push_int(1, *dim);
        }
        self.shapes.insert(name.clone(), dims.clone());
        if data_type.bits().is_none() {
            // Texts.
            for (number, item) in &tensor.fields {
                if !matches!(number, 1 | 8) {
                    written.fields.push((*number, item.clone()));
                }
            }
            written.push_text(8, &name);
            return Ok(written);
        }
        let elements = dims.iter().map(|dim| u64::try_from(*dim).unwrap_or(0));
        let elements = elements.fold(4, u64::saturating_mul);
        self.held = self.held.saturating_add(elements);
        if self.held > super::MOST_HELD {
            return Err(format!(
                "its tensors take more than {} bytes in single precision, which are not held",
                super::MOST_HELD
            ));
        }
        let bytes = self.bytes(tensor, &name, &dims, data_type)?;
        let is_float = matches!(data_type.0, 1 | 10 | 11 | 16);
        let (bytes, data_type) = match data_type.0 {
            10 | 11 | 16 => (single(&bytes, data_type), DataType::FLOAT),
            _ => (bytes, data_type),
        };
        written.push_int(2, data_type.0);
        written.push_text(8, &name);
        if stays || bytes.len() <= SMALL && !(is_float && dims.len() > 1) {
            written.fields.push((9, Item::New(bytes)));
            return Ok(written);
        }
        let buffer = buffer_name(self.tensors.len());
        let (start, len) = ("0".to_owned(), bytes.len().to_string());
        for (key, value) in [("location", buffer), ("offset", start), ("length", len)] {
            let mut pair = Message::default();
            pair.push_text(1, key);
            pair.push_text(2, &value);
            written.push_message(13, &pair, file);
        }
        written.push_int(14, 1);
        self.tensors.push(Taken {
            at,
            is_float,
            bytes,
        });
        Ok(written)
    }

    /// The numbers of a tensor as they are stored.
    fn bytes(
        &self,
        tensor: &Message,
        name: &str,
        dims: &[i64],
        data_type: DataType,
    ) -> Result<Vec<u8>> {
        let file = self.file;
        let elements = dims
            .iter()
            .try_fold(1_u64, |all, dim| all.checked_mul(u64::try_from(*dim).ok()?));
        let elements = elements.filter(|all| *all < 1 << 40).unwrap_or(u64::MAX);
        let bits = u64::from(data_type.bits().unwrap_or(8));
        let wanted = elements.saturating_mul(bits).div_ceil(8);
        let found = if tensor.int(14) == Some(1) {
            let (mut location, mut offset) = (String::new(), 0);
            for pair in tensor.all(13) {
                let pair = Message::of(pair, file)?;
                let value = pair.text(2, file);
                match pair.text(1, file).as_str() {
                    "location" => location = value,
                    "offset" => offset = value.trim().parse().unwrap_or(0),
                    _ => {}
                }
            }
            (self.beside)(&location, offset, wanted)?
        } else if let Some(raw) = tensor.last(9) {
            raw.bytes(file).to_vec()
        } else {
            typed(tensor, data_type, file)?
        };
        if found.len() as u64 == wanted {
            Ok(found)
        } else {
            Err(format!(
                "tensor '{}' has {} bytes and takes {wanted}",
                shown(name),
                found.len()
            ))
        }
    }
}

/// Numbers in fields of their type, as bytes.
pub(super) fn typed(tensor: &Message, data_type: DataType, file: &[u8]) -> Result<Vec<u8>> {
    let ints = |number| tensor.ints(number, file);
    Ok(match data_type.0 {
        1 => {
            let mut alone = tensor.clone();
            alone.unpack_words(4, file);
            let word = |item: &Item| match item {
                Item::Bits32(bits) => bits.to_le_bytes(),
                _ => [0; 4],
            };
            alone.all(4).flat_map(word).collect()
        }
        11 => {
            let double = |item: &Item| match item {
                Item::Bits64(bits) => bits.to_le_bytes().to_vec(),
                _ => item.bytes(file).to_vec(),
            };
            tensor.all(10).flat_map(double).collect()
        }
        6 => each(&ints(5)?, |value| (value as i32).to_le_bytes()),
        4 | 5 | 10 | 16 => each(&ints(5)?, |value| (value as u16).to_le_bytes()),
        2 | 3 | 9 | 17..=26 => each(&ints(5)?, |value| [value as u8]),
        12 => each(&ints(11)?, |value| (value as u32).to_le_bytes()),
        13 => each(&ints(11)?, i64::to_le_bytes),
        7 => each(&ints(7)?, i64::to_le_bytes),
        other => return Err(format!("numbers of type {other} are not run")),
    })
}

fn each<const N: usize>(values: &[i64], of: impl Fn(i64) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| of(*value)).collect()
}

/// Numbers in single precision.
pub(super) fn single(bytes: &[u8], data_type: DataType) -> Vec<u8> {
    let two = |of: fn([u8; 2]) -> f32| -> Vec<u8> {
        let (halves, _) = bytes.as_chunks::<2>();
        halves
            .iter()
            .flat_map(|own| of(*own).to_le_bytes())
            .collect()
    };
    match data_type.0 {
        10 => two(|own| f16::from_le_bytes(own).to_f32()),
        16 => two(|own| bf16::from_le_bytes(own).to_f32()),
        _ => {
            let (doubles, _) = bytes.as_chunks::<8>();
            let doubles = doubles.iter().map(|own| f64::from_le_bytes(*own) as f32);
            doubles.flat_map(f32::to_le_bytes).collect()
        }
    }
}

/// Where in the file a message stands; what was written anew stands nowhere.
fn place(item: &Item) -> u64 {
    match item {
        Item::Inside(range) => range.start as u64,
        _ => u64::MAX,
    }
}

/// The name of a node with its operator behind it.
pub(super) fn with_operator(label: &str, operator: &str) -> String {
    format!("{label} ({operator})")
}

/// An attribute of a node by its name.
pub(super) fn attribute(node: &Message, name: &str, file: &[u8]) -> Result<Option<Message>> {
    for item in node.all(5) {
        let attribute = Message::of(item, file)?;
        if attribute.text(1, file) == name {
            return Ok(Some(attribute));
        }
    }
    Ok(None)
}

/// A node without attributes.
pub(super) fn simple(operator: &str, inputs: &[&str], output: &str) -> Message {
    let mut node = Message::default();
    for input in inputs {
        node.push_text(1, input);
    }
    node.push_text(2, output);
    node.push_text(3, output);
    node.push_text(4, operator);
    node
}

/// A single number as a tensor.
pub(super) fn scalar(name: &str, value: f32) -> Message {
    let mut tensor = Message::default();
    tensor.push_int(2, DataType::FLOAT.0);
    tensor.push_text(8, name);
    let bytes = value.to_le_bytes().to_vec();
    tensor.fields.push((9, Item::New(bytes)));
    tensor
}

/// A list of whole numbers as an attribute.
pub(super) fn list(name: &str, values: &[i64]) -> Message {
    const INTS: i64 = 7;
    let mut attribute = Message::default();
    attribute.push_text(1, name);
    for value in values {
        attribute.push_int(8, *value);
    }
    attribute.push_int(20, INTS);
    attribute
}
