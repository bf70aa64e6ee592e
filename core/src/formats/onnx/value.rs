//! What is known of a value before a network runs: its type and shape, its numbers where they follow from the file, and of
//! constants the stored tensors that they are made of.

use std::rc::Rc;

use super::tensor::DataType;

/// The most numbers that are computed with; shapes and axes have fewer.
pub(super) const MOST_VALUES: u64 = 2048;

#[derive(Debug, Clone, Default)]
pub(super) struct Value {
    pub(super) data_type: DataType,
    /// `None` where it depends on numbers that only a run gives.
    pub(super) shape: Option<Vec<u64>>,
    /// Its numbers, where they are known and few.
    pub(super) values: Option<Rc<[f64]>>,
    /// Of a constant, the stored tensors that it is made of.
    pub(super) made_of: Option<Rc<[usize]>>,
    /// Of rounded numbers that were scaled back.
    pub(super) scales: Scales,
    /// Bits that its numbers were rounded to, where they were.
    pub(super) rounded: Option<u8>,
    /// Of a constant, how it comes from the tensor that it is made of.
    pub(super) form: Form,
}

/// How a constant comes from a stored tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// In another way, or it is none.
    #[default]
    Other,
    /// It is the tensor.
    Stored,
    /// It is the matrix with rows and columns swapped.
    Turned,
}

impl Form {
    const fn turned(self) -> Self {
        match self {
            Self::Stored => Self::Turned,
            Self::Turned => Self::Stored,
            Self::Other => Self::Other,
        }
    }

    /// That of what an operator makes of a constant.
    pub(super) fn after(self, operator: &str, shape: Option<&[u64]>, turns: bool) -> Self {
        match operator {
            "Identity" | "Cast" => self,
            "Transpose" if turns && shape.is_some_and(|shape| shape.len() == 2) => self.turned(),
            _ => Self::Other,
        }
    }
}

/// Scales of rounded weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scales {
    pub(super) count: u64,
    /// Bits of a scale and its zero point.
    pub(super) bits: u8,
}

/// Elements of a shape; dimensions are below 2^50 each, and what is more counts as that.
pub(super) fn elements(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |all: u64, n| all.saturating_mul(*n))
}

impl Value {
    pub(super) fn new(data_type: DataType, shape: Vec<u64>) -> Self {
        Self {
            data_type,
            shape: Some(shape),
            ..Self::default()
        }
    }

    pub(super) fn unknown(data_type: DataType) -> Self {
        Self {
            data_type,
            ..Self::default()
        }
    }

    /// Known numbers.
    pub(super) fn known(data_type: DataType, shape: Vec<u64>, values: Vec<f64>) -> Self {
        let fits = elements(&shape) == values.len() as u64 && values.len() as u64 <= MOST_VALUES;
        Self {
            values: fits.then(|| values.into()),
            ..Self::new(data_type, shape)
        }
    }

    /// A list of sizes.
    pub(super) fn sizes(values: Vec<f64>) -> Self {
        Self::known(DataType::INT64, vec![values.len() as u64], values)
    }

    pub(super) fn is_constant(&self) -> bool {
        self.made_of.is_some()
    }

    pub(super) fn elements(&self) -> Option<u64> {
        self.shape.as_deref().map(elements)
    }

    /// Its numbers as whole ones.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        let values = self.values.as_deref()?;
        // Out of range they become the nearest, as the ends of slices mean.
        Some(values.iter().map(|value| *value as i64).collect())
    }

    /// The same numbers in another shape, all that is known of them otherwise kept.
    pub(super) fn reshaped(&self, shape: Vec<u64>) -> Self {
        let fits = self.elements() == Some(elements(&shape));
        Self {
            shape: Some(shape),
            values: self.values.clone().filter(|_| fits),
            ..self.clone()
        }
    }

    /// Other numbers of the same origin.
    pub(super) fn like(&self, shape: Vec<u64>) -> Self {
        Self {
            shape: Some(shape),
            values: None,
            ..self.clone()
        }
    }
}

/// The shape of two that are stretched to each other (<https://onnx.ai/onnx/repo-docs/Broadcasting.html>).
pub(super) fn broadcast(one: &[u64], other: &[u64]) -> Option<Vec<u64>> {
    let rank = one.len().max(other.len());
    let at = |shape: &[u64], i: usize| {
        let missing = rank - shape.len();
        if i < missing { 1 } else { shape[i - missing] }
    };
    (0..rank)
        .map(|i| match (at(one, i), at(other, i)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

/// The place of an axis that may be counted from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let place = if axis < 0 { axis + rank } else { axis };
    usize::try_from(place).ok().filter(|_| place < rank)
}

/// Places in a stretched shape, as places in the own one: for every element of `to`, in order.
pub(super) fn stretched(own: &[u64], to: &[u64]) -> Vec<usize> {
    let all = elements(to);
    let missing = to.len() - own.len();
    (0..all)
        .map(|flat| {
            let (mut rest, mut place, mut step) = (flat, 0_u64, 1_u64);
            for i in (0..to.len()).rev() {
                let at = rest % to[i].max(1);
                rest /= to[i].max(1);
                if i >= missing {
                    let size = own[i - missing];
                    if size > 1 {
                        place += at * step;
                    }
                    step *= size;
                }
            }
            usize::try_from(place).unwrap_or(usize::MAX)
        })
        .collect()
}

impl Value {
    /// Its numbers at other places: for every element of `to`, in order, where it stands in the own shape. `None` where
    /// they are not known or too many.
    pub(super) fn picked(
        &self,
        to: &[u64],
        place: impl Fn(&[u64]) -> Option<Vec<u64>>,
    ) -> Option<Rc<[f64]>> {
        let (values, shape) = (self.values.as_deref()?, self.shape.as_deref()?);
        let all = elements(to);
        if all > MOST_VALUES {
            return None;
        }
        let mut at = vec![0; to.len()];
        let mut picked = Vec::new();
        for _ in 0..all {
            let own = place(&at)?;
            let flat = own.iter().zip(shape).try_fold(0_u64, |flat, (at, size)| {
                flat.checked_mul(*size)?
                    .checked_add(*at)
                    .filter(|_| at < size)
            })?;
            picked.push(*values.get(usize::try_from(flat).ok()?)?);
            for axis in (0..to.len()).rev() {
                at[axis] += 1;
                if at[axis] < to[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
        Some(picked.into())
    }
}
