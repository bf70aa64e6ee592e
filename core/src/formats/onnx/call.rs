//! A node with what is known of its inputs, and what an operator needs to ask.

use std::collections::HashMap;

use super::file::{Attribute, Graph, Node};
use super::tensor::{DataType, Tensor};
use super::value::Value;

/// Why the outputs of a node are not known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unknown {
    /// Those of its inputs are not.
    Before,
    /// Something about the node itself, in words.
    Here(String),
}

pub(super) type Outcome<T> = std::result::Result<T, Unknown>;

pub(super) fn here<T>(fact: impl Into<String>) -> Outcome<T> {
    Err(Unknown::Here(fact.into()))
}

/// Attributes of a function's caller by name.
pub(super) type Bound<'a> = HashMap<&'a str, &'a Attribute>;

pub(super) struct Call<'r, 'a> {
    pub(super) node: &'a Node,
    pub(super) inputs: Vec<Option<Value>>,
    pub(super) bound: &'r Bound<'a>,
    /// Version of the set of operators.
    pub(super) version: i64,
}

impl<'a> Call<'_, 'a> {
    fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        let own = self.node.attributes.iter().find(|own| own.name == name)?;
        if own.of_caller.is_empty() {
            Some(own)
        } else {
            self.bound.get(own.of_caller.as_str()).copied()
        }
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.find_int(name).unwrap_or(default)
    }

    pub(super) fn find_int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.int
    }

    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name)?.float
    }

    pub(super) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|own| own.floats.as_slice())
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|own| own.ints.as_slice())
    }

    pub(super) fn text(&self, name: &str) -> &'a str {
        let found = self.attribute(name).and_then(|own| own.text.as_deref());
        found.unwrap_or_default()
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&'a Tensor> {
        self.attribute(name)?.tensor.as_ref()
    }

    pub(super) fn graph(&self, name: &str) -> Option<&'a Graph> {
        self.attribute(name)?.graph.as_ref()
    }

    pub(super) fn find(&self, at: usize) -> Option<&Value> {
        self.inputs.get(at)?.as_ref()
    }

    pub(super) fn input(&self, at: usize) -> Outcome<&Value> {
        match self.find(at) {
            Some(value) => Ok(value),
            None => here(format!("has no input {at}")),
        }
    }

    /// The shape of an input.
    pub(super) fn shape(&self, at: usize) -> Outcome<&[u64]> {
        self.input(at)?.shape.as_deref().ok_or(Unknown::Before)
    }

    pub(super) fn data_type(&self, at: usize) -> DataType {
        self.find(at)
            .map_or(DataType::FLOAT, |value| value.data_type)
    }

    /// Whole numbers that an input holds, where they are known; a shape that hangs on others is not.
    pub(super) fn integers(&self, at: usize) -> Outcome<Vec<i64>> {
        let value = self.input(at)?;
        match value.integers() {
            Some(values) => Ok(values),
            None if value.shape.is_none() => Err(Unknown::Before),
            None => here("its shape depends on the numbers of an input"),
        }
    }

    /// The same, from an attribute or, in later versions, an input; `None` where it has neither.
    pub(super) fn listed(&self, name: &str, at: usize) -> Outcome<Option<Vec<i64>>> {
        match (self.ints(name), self.find(at)) {
            (Some(values), _) => Ok(Some(values.to_vec())),
            (None, Some(_)) => self.integers(at).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn is_constant(&self) -> bool {
        let given = self.inputs.iter().flatten();
        given.into_iter().all(Value::is_constant)
    }
}
