//! Views of storages: an extent and a stride for each dimension, checked against the bytes that are there.

use crate::number::StoredFormat;

/// What a code stands for: its number times the scale, and the least value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Codes {
    pub(super) scale: f64,
    pub(super) least: f64,
}

/// A view of a storage.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) storage: usize,
    /// Bytes before its first element.
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    /// Elements from one to the next along each dimension.
    pub(super) strides: Vec<u64>,
    /// How an element is stored.
    pub(super) format: StoredFormat,
    /// Whether the first byte of an element is its highest.
    pub(super) is_big_endian: bool,
    /// Where elements are codes, what these stand for.
    pub(super) codes: Option<Codes>,
}

impl View {
    /// A view of whole storage, the last dimension without gaps.
    pub(super) fn whole(storage: usize, shape: Vec<usize>, format: StoredFormat) -> Self {
        Self {
            storage,
            offset: 0,
            strides: strides(&shape),
            shape,
            format,
            is_big_endian: false,
            codes: None,
        }
    }

    /// Whether its elements lie as a safetensors file has them.
    pub(super) fn is_plain(&self) -> bool {
        let own = strides(&self.shape);
        let lies = |at: usize| self.shape[at] == 1 || self.strides[at] == own[at];
        (0..self.shape.len()).all(lies) && !self.is_big_endian && self.codes.is_none()
    }

    /// How an element is stored where no scale is applied.
    pub(super) fn width(&self) -> usize {
        width(self.format)
    }
}

/// Bytes of an element; 0 for what is no array of plain elements.
pub(super) fn width(format: StoredFormat) -> usize {
    match format.elements_per_block() {
        1 => format.bytes_per_block(),
        _ => 0,
    }
}

/// The strides of elements that lie one after the other, the last dimension first.
pub(super) fn strides(shape: &[usize]) -> Vec<u64> {
    let mut all = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        all[at - 1] = all[at].max(1) * shape[at].max(1) as u64;
    }
    all
}

/// Elements of the storage from the first of a view to the last.
pub(super) fn span(view: &View) -> u64 {
    let last = view.shape.iter().zip(&view.strides);
    1 + last
        .map(|(extent, stride)| (*extent as u64).saturating_sub(1) * stride)
        .sum::<u64>()
}

/// Bytes of a view's elements, checked against a storage of so many bytes.
pub(super) fn extent(view: &View, length: u64) -> std::result::Result<u64, String> {
    let shape = &view.shape;
    let absurd = || format!("has the absurd shape {shape:?}");
    let width = view.width() as u64;
    if width == 0 || view.strides.len() != shape.len() {
        return Err(format!(
            "is of type {}, which is not read",
            view.format.name()
        ));
    }
    let bytes = shape
        .iter()
        .try_fold(width, |n, extent| n.checked_mul(*extent as u64))
        .filter(|bytes| *bytes <= i64::MAX as u64)
        .ok_or_else(absurd)?;
    // The product of what is left when one extent is zero must not overflow either.
    let row = shape.iter().skip(1);
    if row.copied().try_fold(1_usize, usize::checked_mul).is_none() {
        return Err(absurd());
    }
    if bytes == 0 {
        return Ok(0);
    }
    let last = shape
        .iter()
        .zip(&view.strides)
        .try_fold(0_u64, |sum, (extent, stride)| {
            sum.checked_add((*extent as u64 - 1).checked_mul(*stride)?)
        });
    let end = last
        .and_then(|last| last.checked_add(1))
        .and_then(|span| span.checked_mul(width))
        .and_then(|span| span.checked_add(view.offset));
    if end.is_none_or(|end| end > length) {
        return Err(format!(
            "of shape {shape:?} ends beyond its storage of {length} bytes"
        ));
    }
    if bytes > length {
        return Err(format!(
            "of shape {shape:?} repeats the elements of a storage of {length} bytes; save it without views (contiguous())"
        ));
    }
    Ok(bytes)
}
