//! What an ONNX file says (<https://onnx.ai/onnx/repo-docs/IR.html>; the numbers of fields are those of onnx.proto): nodes,
//! and tensors by name, type and shape. Only short tensors, as shapes are computed from, are loaded.

use std::io::{Read, Seek};

use super::tensor::{Tensor, tensor};
use super::wire::{Field, Result, Wire};

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) producer: String,
    /// Sets of operators by their domain, and the version of each.
    pub(super) operators: Vec<(String, i64)>,
    pub(super) graph: Option<Graph>,
    pub(super) functions: Vec<Function>,
    pub(super) is_training: bool,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) inputs: Vec<ValueInfo>,
    pub(super) outputs: Vec<ValueInfo>,
    pub(super) stated: Vec<ValueInfo>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) operator: String,
    pub(super) domain: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Vec<Attribute>,
}

#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub(super) name: String,
    /// Of a function's body: the attribute of the caller that it stands for.
    pub(super) of_caller: String,
    pub(super) float: Option<f32>,
    pub(super) int: Option<i64>,
    pub(super) text: Option<String>,
    pub(super) floats: Vec<f32>,
    pub(super) ints: Vec<i64>,
    pub(super) tensor: Option<Tensor>,
    pub(super) graph: Option<Graph>,
}

/// A function that the file defines, whose body stands in the place of its calls.
#[derive(Debug, Default)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) nodes: Vec<Node>,
    pub(super) defaults: Vec<Attribute>,
}

/// A value by its name, type and shape as stated.
#[derive(Debug, Default, Clone)]
pub(super) struct ValueInfo {
    pub(super) name: String,
    pub(super) data_type: i64,
    /// `None` where no shape is stated.
    pub(super) dims: Option<Vec<Dim>>,
    /// Whether it is a tensor, and not a sequence or the like.
    pub(super) is_tensor: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Dim {
    Fixed(i64),
    Named(String),
    Unnamed,
}

/// Reads a file of `len` bytes.
///
/// # Errors
/// It ends early or is not of the format.
pub(super) fn read<R: Read + Seek>(file: R, len: u64) -> Result<File> {
    let mut wire = Wire::new(file)?;
    let mut read = File::default();
    wire.message(len, &mut |wire, number, field| {
        match number {
            2 => read.producer = wire.text(field)?,
            7 => read.graph = Some(graph(wire, field)?),
            8 => read.operators.push(operators(wire, field)?),
            20 => read.is_training = true,
            25 => read.functions.push(function(wire, field)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(read)
}

fn operators<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<(String, i64)> {
    let mut set = (String::new(), 0);
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match number {
            1 => set.0 = wire.text(field)?,
            2 => set.1 = wire.int(field)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(set)
}

fn graph<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<Graph> {
    let mut graph = Graph::default();
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match number {
            1 => graph.nodes.push(node(wire, field)?),
            5 => graph.tensors.push(tensor(wire, field)?),
            11 => graph.inputs.push(value_info(wire, field)?),
            12 => graph.outputs.push(value_info(wire, field)?),
            13 => graph.stated.push(value_info(wire, field)?),
            15 => graph.tensors.push(sparse(wire, field)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(graph)
}

/// A sparse tensor: of its own shape, and stored by its values and their places.
fn sparse<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<Tensor> {
    let (mut values, mut dims) = (Tensor::default(), Vec::new());
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match number {
            1 => values = tensor(wire, field)?,
            3 => wire.integers(field, &mut |wire, dim| {
                wire.reserve(8)?;
                dims.push(dim.cast_signed());
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    values.into_sparse(dims)
}

fn node<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<Node> {
    let mut node = Node::default();
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match number {
            1 => node.inputs.push(named(wire, field)?),
            2 => node.outputs.push(named(wire, field)?),
            3 => node.name = wire.text(field)?,
            4 => node.operator = wire.text(field)?,
            5 => node.attributes.push(attribute(wire, field)?),
            7 => node.domain = wire.text(field)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(node)
}

/// A text in a list, which takes its place even where it is empty.
fn named<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<String> {
    /// A `String` in a list that grows twofold.
    const PLACE: u64 = 48;
    wire.reserve(PLACE)?;
    wire.text(field)
}

fn attribute<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<Attribute> {
    let mut read = Attribute::default();
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match (number, field) {
            (1, _) => read.name = wire.text(field)?,
            (2, Field::Bits32(bits)) => read.float = Some(f32::from_bits(bits)),
            (3, _) => read.int = Some(wire.int(field)?),
            (4, _) => read.text = Some(wire.text(field)?),
            (5, _) => read.tensor = Some(tensor(wire, field)?),
            (6, _) => read.graph = Some(graph(wire, field)?),
            (7, _) => wire.words(field, &mut |wire, bits| {
                wire.reserve(8)?;
                read.floats.push(f32::from_bits(bits));
                Ok(())
            })?,
            (8, _) => wire.integers(field, &mut |wire, value| {
                wire.reserve(16)?;
                read.ints.push(value.cast_signed());
                Ok(())
            })?,
            (21, _) => read.of_caller = wire.text(field)?,
            (22, _) => read.tensor = Some(sparse(wire, field)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(read)
}

fn function<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<Function> {
    let mut read = Function::default();
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match number {
            1 => read.name = wire.text(field)?,
            4 => read.inputs.push(named(wire, field)?),
            5 => read.outputs.push(named(wire, field)?),
            7 => read.nodes.push(node(wire, field)?),
            10 => read.domain = wire.text(field)?,
            11 => read.defaults.push(attribute(wire, field)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(read)
}

fn value_info<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<ValueInfo> {
    let mut read = ValueInfo::default();
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        match number {
            1 => read.name = wire.text(field)?,
            2 => value_type(wire, field, &mut read)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(read)
}

fn value_type<R: Read + Seek>(
    wire: &mut Wire<R>,
    field: Field,
    read: &mut ValueInfo,
) -> Result<()> {
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        if number != 1 {
            return Ok(());
        }
        read.is_tensor = true;
        wire.message(wire.inside(field)?, &mut |wire, number, field| {
            match number {
                1 => read.data_type = wire.int(field)?,
                2 => read.dims = Some(dims(wire, field)?),
                _ => {}
            }
            Ok(())
        })
    })
}

fn dims<R: Read + Seek>(wire: &mut Wire<R>, field: Field) -> Result<Vec<Dim>> {
    let mut dims = Vec::new();
    wire.message(wire.inside(field)?, &mut |wire, number, field| {
        if number != 1 {
            return Ok(());
        }
        let mut dim = Dim::Unnamed;
        wire.message(wire.inside(field)?, &mut |wire, number, field| {
            match number {
                1 => dim = Dim::Fixed(wire.int(field)?),
                2 => dim = Dim::Named(wire.text(field)?),
                _ => {}
            }
            Ok(())
        })?;
        dims.push(dim);
        Ok(())
    })?;
    Ok(dims)
}
