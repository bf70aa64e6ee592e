//! Labelled images that a model is measured on.

use std::ops::Range;

use super::shuffled;

/// Labelled images of one size.
#[derive(Debug, Clone)]
pub struct ImageSet {
    pub(super) pixels: Vec<u8>,
    pub(super) labels: Vec<u32>,
    pub(super) channels: usize,
    pub(super) size: usize,
    pub(super) order: Vec<usize>,
}

impl ImageSet {
    pub(in crate::evaluate) fn new(
        pixels: Vec<u8>,
        labels: Vec<u8>,
        channels: usize,
        size: usize,
    ) -> Self {
        Self {
            pixels,
            order: shuffled(labels.len()),
            labels: labels.into_iter().map(u32::from).collect(),
            channels,
            size,
        }
    }

    /// The class of each image.
    pub(in crate::evaluate) fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Pixels of some items, 0 to 1.
    pub(in crate::evaluate) fn shades(&self, items: Range<usize>) -> Vec<f32> {
        let images = self.order[items].iter();
        let pixels = images.flat_map(|&index| self.pixels(index));
        pixels.map(|&pixel| f32::from(pixel) / 255.0).collect()
    }

    /// Pixels of an image, `[channels, size, size]`, 255 as white; `index` counts as in [`crate::measurement::Example`].
    /// Empty beyond the last image.
    pub fn pixels(&self, index: usize) -> &[u8] {
        let len = self.channels * self.size * self.size;
        self.pixels
            .get(index * len..(index + 1) * len)
            .unwrap_or(&[])
    }

    /// Height and width in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Index of an item's image.
    pub(in crate::evaluate) fn index(&self, item: usize) -> usize {
        self.order[item]
    }
}
