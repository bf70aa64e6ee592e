//! The tensors and storages of a pickle, out of the arguments that it makes them of.

use super::classes::Class;
use super::pickle::{Id, Machine, Result, Stored, Tensor, Value, damaged};

/// The longest name of a storage.
const LONGEST_KEY: usize = 256;
/// Most dimensions of a tensor; PyTorch has at most 64.
const MOST_DIMENSIONS: usize = 64;

impl Machine<'_> {
    fn int(&self, id: Option<&Id>) -> Result<u64> {
        match id.map(|id| self.get(*id)) {
            Some(Value::Int(number)) => {
                u64::try_from(*number).map_err(|_| damaged("a size is below zero"))
            }
            _ => Err(damaged("a size is no number")),
        }
    }

    fn ints(&self, id: Option<&Id>) -> Result<Vec<u64>> {
        match id.map(|id| self.get(*id)) {
            Some(Value::Tuple(items) | Value::List(items)) if items.len() <= MOST_DIMENSIONS => {
                items.iter().map(|item| self.int(Some(item))).collect()
            }
            _ => Err(damaged("a tensor has no shape")),
        }
    }

    /// A tensor of a storage, the elements before it, its extents and its strides.
    pub(super) fn view(&self, items: &[Id], is_typed: bool) -> Result<Tensor> {
        let stored = match items.first().map(|id| self.get(*id)) {
            Some(Value::Storage(stored)) => (**stored).clone(),
            _ => return Err(damaged("a tensor has no storage")),
        };
        let own = match (is_typed, items.get(6).map(|id| self.get(*id))) {
            (true, Some(Value::Class(Class::Format(format)))) => Some(*format),
            (true, _) => None,
            _ => stored.format,
        };
        let shape = self.ints(items.get(2))?;
        let shape = shape
            .into_iter()
            .map(|extent| usize::try_from(extent).map_err(|_| damaged("a size")))
            .collect::<Result<Vec<usize>>>()?;
        let strides = self.ints(items.get(3))?;
        if strides.len() != shape.len() {
            return Err(damaged("a tensor has more extents than strides"));
        }
        Ok(Tensor {
            format: own.ok_or_else(|| damaged("a tensor has no type"))?,
            offset: self.int(items.get(1))?,
            stored,
            shape,
            strides,
        })
    }

    /// `('storage', class, key, device, elements)`, and in old files a part of another storage: its key, offset, elements.
    pub(super) fn storage(&self, id: Id) -> Result<Stored> {
        let Value::Tuple(items) = self.get(id) else {
            return Err(damaged("what is kept apart is no storage"));
        };
        let [kind, class, key, _, elements, rest @ ..] = items.as_slice() else {
            return Err(damaged("a storage says too little"));
        };
        let Value::Class(Class::Storage(format)) = self.get(*class) else {
            return Err(damaged("a storage is of no class"));
        };
        if !matches!(self.get(*kind), Value::Text(kind) if kind == "storage") {
            return Err(damaged("what is kept apart is no storage"));
        }
        let key = match self.get(*key) {
            Value::Text(key) if key.len() <= LONGEST_KEY => key.clone(),
            Value::Int(key) => key.to_string(),
            _ => return Err(damaged("a storage has no key")),
        };
        let offset = match rest.first().map(|part| self.get(*part)) {
            Some(Value::Tuple(part)) => self.int(part.get(1))?,
            _ => 0,
        };
        Ok(Stored {
            key,
            format: *format,
            offset,
            elements: self.int(Some(elements))?,
        })
    }
}
