//! How the rows of a layer's weights, one of which feeds one output, stand in the tensors of a file.

use super::call::Call;
use super::tensor::Tensor;
use super::value::{Form, elements};

/// How rows stand in a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One after another.
    Rows,
    /// As the columns of each of its matrices.
    Columns,
    /// As those of a transposed convolution of so many groups: `[channels read, channels written / groups, …]`.
    Transposed(u64),
    /// Of a recurrent layer: those of its first tensor followed by those of the second.
    Joined,
}

/// How what a node makes of its first input comes from a stored tensor.
pub(super) fn form(call: &Call<'_, '_>, is_constant: bool) -> Form {
    match call.find(0) {
        Some(first) if is_constant => {
            let turns = call.ints("perm").is_none_or(|perm| perm == [1, 0]);
            let operator = call.node.operator.as_str();
            first.form.after(operator, first.shape.as_deref(), turns)
        }
        _ => Form::Other,
    }
}

/// The layout of a node's weights, where it is known.
pub(super) fn layout(call: &Call<'_, '_>) -> Option<Layout> {
    let form = |at: usize| call.find(at).map_or(Form::Other, |value| value.form);
    let rank = |at: usize| call.shape(at).map_or(0, <[u64]>::len);
    // Rows of the tensor that a value comes from are rows of the value, or its columns.
    let either = |at: usize, rows: bool| match (form(at), rank(at)) {
        (Form::Stored, 2) => Some(if rows { Layout::Rows } else { Layout::Columns }),
        (Form::Turned, 2) => Some(if rows { Layout::Columns } else { Layout::Rows }),
        (Form::Stored, 3..) if !rows => Some(Layout::Columns),
        _ => None,
    };
    let constant = |at: usize| call.find(at).is_some_and(|value| value.is_constant());
    match call.node.operator.as_str() {
        "Gemm" if constant(1) => either(1, call.int("transB", 0) != 0),
        "MatMul" if constant(1) => either(1, false),
        "MatMul" => either(0, true),
        "Conv" if form(1) == Form::Stored => Some(Layout::Rows),
        "ConvTranspose" if form(1) == Form::Stored => Some(Layout::Transposed(
            u64::try_from(call.int("group", 1)).ok()?,
        )),
        "Gather" if call.int("axis", 0) == 0 => either(0, true),
        "LSTM" | "GRU" | "RNN" if form(1) == Form::Stored && form(2) == Form::Stored => {
            Some(Layout::Joined)
        }
        _ => None,
    }
}

/// A tensor of the file by where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where in the file it stands.
    pub(crate) at: u64,
    pub(crate) shape: Vec<u64>,
    /// Bits of its numbers.
    pub(crate) bits: u8,
    /// Whether a number of 16 bits has the exponent of single precision.
    pub(crate) is_brain: bool,
}

/// Rows of a layer's weights in tensors of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    layout: Layout,
    /// The tensors that they stand in.
    pub(crate) parts: Vec<Part>,
}

impl Rows {
    pub(super) const fn new(layout: Layout) -> Self {
        Self {
            layout,
            parts: Vec::new(),
        }
    }

    /// The same with one more tensor; `None` where its numbers cannot be replaced.
    pub(super) fn with(mut self, tensor: &Tensor) -> Option<Self> {
        let bits = tensor.data_type.bits()?;
        let fits = matches!(tensor.data_type.0, 1 | 10 | 11 | 16) && tensor.sparse.is_none();
        self.parts.push(Part {
            at: tensor.at,
            shape: tensor.shape.clone(),
            bits,
            is_brain: tensor.data_type.0 == 16,
        });
        fits.then_some(self)
    }

    /// All numbers.
    pub(super) fn count(&self) -> u64 {
        self.parts.iter().map(|part| elements(&part.shape)).sum()
    }

    /// Row by row, the numbers of its tensors; `None` where these have other shapes.
    pub(crate) fn gather(&self, parts: &[&[f32]]) -> Option<Vec<f32>> {
        if let (Layout::Rows, [only]) = (self.layout, parts) {
            return Some(only.to_vec());
        }
        let mut rows = vec![0.0; usize::try_from(self.count()).ok()?];
        let mut fits = true;
        self.walk(|place, part, at| {
            let value = parts.get(part).and_then(|part| part.get(at));
            match (rows.get_mut(place), value) {
                (Some(row), Some(value)) => *row = *value,
                _ => fits = false,
            }
        })?;
        fits.then_some(rows)
    }

    /// The other way around: the numbers of each tensor out of all rows.
    pub(crate) fn scatter(&self, rows: &[f32]) -> Option<Vec<Vec<f32>>> {
        if self.layout == Layout::Rows {
            return Some(vec![rows.to_vec()]);
        }
        let len = |part: &Part| usize::try_from(elements(&part.shape)).ok();
        let mut parts: Vec<Vec<f32>> = self
            .parts
            .iter()
            .map(|part| Some(vec![0.0; len(part)?]))
            .collect::<Option<_>>()?;
        let mut fits = true;
        self.walk(|place, part, at| {
            let own = parts.get_mut(part).and_then(|part| part.get_mut(at));
            match (own, rows.get(place)) {
                (Some(own), Some(value)) => *own = *value,
                _ => fits = false,
            }
        })?;
        fits.then_some(parts)
    }

    /// Visits every number, row by row: its place among these, its tensor and its place there.
    fn walk(&self, mut visit: impl FnMut(usize, usize, usize)) -> Option<()> {
        let size = |n: u64| usize::try_from(n).ok();
        let count = size(self.count())?;
        let first = self.parts.first()?;
        let mut next = 0;
        let mut each = |part: usize, at: usize| {
            visit(next, part, at);
            next += 1;
        };
        match self.layout {
            Layout::Rows => (0..count).for_each(|at| each(0, at)),
            Layout::Columns => {
                let [.., inner, columns] = first.shape[..] else {
                    return None;
                };
                let (inner, columns) = (size(inner)?, size(columns)?);
                for matrix in 0..count / (inner * columns).max(1) {
                    let start = matrix * inner * columns;
                    for column in 0..columns {
                        (0..inner).for_each(|row| each(0, start + row * columns + column));
                    }
                }
            }
            Layout::Transposed(groups) => {
                let [read, written, ..] = first.shape[..] else {
                    return None;
                };
                let (read, written, groups) = (size(read)?, size(written)?, size(groups)?);
                let kernel = count / (read * written).max(1);
                let per_group = read / groups.max(1);
                for group in 0..groups {
                    for out in 0..written {
                        for channel in group * per_group..(group + 1) * per_group {
                            let start = (channel * written + out) * kernel;
                            (start..start + kernel).for_each(|at| each(0, at));
                        }
                    }
                }
            }
            Layout::Joined => {
                let [one, other] = &self.parts[..] else {
                    return None;
                };
                let width = |part: &Part| size(*part.shape.last()?);
                let (one, other) = (width(one)?, width(other)?);
                for row in 0..count / (one + other).max(1) {
                    (0..one).for_each(|at| each(0, row * one + at));
                    (0..other).for_each(|at| each(1, row * other + at));
                }
            }
        }
        (next == count).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(layout: Layout, shapes: &[&[u64]]) -> Rows {
        Rows {
            layout,
            parts: shapes
                .iter()
                .map(|shape| Part {
                    at: 0,
                    shape: shape.to_vec(),
                    bits: 32,
                    is_brain: false,
                })
                .collect(),
        }
    }

    #[test]
    fn rows_come_back_to_where_they_were() {
        for (layout, shapes) in [
            (Layout::Rows, &[&[3, 4][..]][..]),
            (Layout::Columns, &[&[3, 4]]),
            (Layout::Columns, &[&[2, 3, 5]]),
            (Layout::Transposed(2), &[&[6, 2, 3, 3]]),
            (Layout::Joined, &[&[2, 8, 3], &[2, 8, 2]]),
        ] {
            let rows = rows(layout, shapes);
            let mut next = 0.0;
            let parts: Vec<Vec<f32>> = shapes
                .iter()
                .map(|shape| {
                    let len = shape.iter().product::<u64>();
                    (0..len)
                        .map(|_| {
                            next += 1.0;
                            next
                        })
                        .collect()
                })
                .collect();
            let given: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
            let all = rows.gather(&given).unwrap();
            assert_eq!(rows.scatter(&all).unwrap(), parts);
        }
    }

    #[test]
    fn a_row_feeds_one_output() {
        // A product with [2, 3]: three outputs, each of two numbers.
        let columns = rows(Layout::Columns, &[&[2, 3]]);
        let all = columns.gather(&[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]).unwrap();
        assert_eq!(all, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        // Two channels read, in two groups, four written: each of one number.
        let transposed = rows(Layout::Transposed(2), &[&[2, 2, 1, 1]]);
        let all = transposed.gather(&[&[1.0, 2.0, 3.0, 4.0]]).unwrap();
        assert_eq!(all, [1.0, 2.0, 3.0, 4.0]);
        let joined = rows(Layout::Joined, &[&[1, 2, 2], &[1, 2, 1]]);
        let all = joined
            .gather(&[&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0]])
            .unwrap();
        assert_eq!(all, [1.0, 2.0, 5.0, 3.0, 4.0, 6.0]);
    }
}
