//! Labelled images that a model is measured on.

use std::ops::Range;

use super::{COARSE_IMAGES, shuffled};
use crate::data::Images;

/// Multiply-accumulates that a step takes about 50 ms for with the engine's kernels on two cores, at the least.
const STEP_MACS: f64 = 2e9;
/// Images of one step at most; with the bundled model well below 50 ms.
const MOST_PER_STEP: usize = 128;
/// Multiply-accumulates of the first, coarse measurement at most, in images that are no fewer than some.
const COARSE_MACS: f64 = 4e10;
/// Images of it at the least.
const FEWEST_COARSE: usize = 16;

/// Labelled images of one size.
#[derive(Debug, Clone)]
pub struct ImageSet {
    pub(super) pixels: Vec<u8>,
    pub(super) labels: Vec<u32>,
    pub(super) channels: usize,
    pub(super) size: usize,
    pub(super) order: Vec<usize>,
    /// What values between 0 and 1 of every colour are put on: less the mean, over the deviation. Empty: as they are.
    scales: Vec<(f32, f32)>,
    blue_first: bool,
    /// Whether they are the user's, and what their classes are called where that is known.
    own: Option<Vec<String>>,
    /// Images of a step, and of the coarse measurement.
    pub(super) pace: (usize, usize),
}

impl ImageSet {
    /// Images in shades between 0 and 1, for a network of so many multiply-accumulates an image.
    pub(in crate::evaluate) fn new(
        pixels: Vec<u8>,
        labels: Vec<u32>,
        (channels, size): (usize, usize),
        macs: f64,
    ) -> Self {
        // Counts of images far below the limit of the type.
        let images = |budget: f64| (budget / macs.max(1.0)) as usize;
        let pace = (
            images(STEP_MACS).clamp(1, MOST_PER_STEP),
            images(COARSE_MACS).clamp(FEWEST_COARSE, COARSE_IMAGES),
        );
        Self {
            pixels,
            order: shuffled(labels.len()),
            labels,
            channels,
            size,
            scales: Vec::new(),
            blue_first: false,
            own: None,
            pace,
        }
    }

    /// The user's own.
    pub(super) fn own(images: Images, extents: (usize, usize), macs: f64) -> Self {
        Self {
            scales: images.scales,
            blue_first: images.blue_first,
            own: Some(images.names),
            ..Self::new(images.pixels, images.labels, extents, macs)
        }
    }

    /// The class of each image.
    pub(in crate::evaluate) fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Some items as a network reads them, colour by colour.
    pub(in crate::evaluate) fn shades(&self, items: Range<usize>) -> Vec<f32> {
        let area = (self.size * self.size).max(1);
        let images = self.order[items].iter();
        let planes = images.flat_map(|&index| self.pixels(index).chunks_exact(area).enumerate());
        planes
            .flat_map(|(colour, plane)| {
                let (mean, deviation) = self.scales.get(colour).copied().unwrap_or((0.0, 1.0));
                (plane.iter()).map(move |&pixel| (f32::from(pixel) / 255.0 - mean) / deviation)
            })
            .collect()
    }

    /// Pixels of an image, `[channels, size, size]`, 255 as white; `index` counts as in [`crate::measurement::Example`].
    /// Empty beyond the last image.
    pub fn pixels(&self, index: usize) -> &[u8] {
        let len = self.channels * self.size * self.size;
        self.pixels
            .get(index * len..(index + 1) * len)
            .unwrap_or(&[])
    }

    /// The same as red, green and blue, pixel by pixel `[size, size, 3]`; grey ones have three equal values.
    pub fn colours(&self, index: usize) -> Vec<u8> {
        let pixels = self.pixels(index);
        let area = self.size * self.size;
        let place = |colour: usize| match (self.channels, self.blue_first) {
            (3, false) => colour,
            (3, true) => 2 - colour,
            _ => 0,
        };
        (0..area)
            .flat_map(|pixel| (0..3).map(move |colour| place(colour) * area + pixel))
            .map(|at| pixels.get(at).copied().unwrap_or(0))
            .collect()
    }

    /// Height and width in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Names of the classes, where the images are the user's; empty where these have none.
    pub fn own_names(&self) -> Option<&[String]> {
        self.own.as_deref()
    }

    /// Index of an item's image.
    pub(in crate::evaluate) fn index(&self, item: usize) -> usize {
        self.order[item]
    }
}
