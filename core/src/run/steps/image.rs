//! Images that become larger, rows that become images, and back; images that hear of the time.

use std::mem::take;

use super::super::program::{Frame, Layout};
use crate::graph::time_features;

/// Every pixel twice along rows and columns.
pub(super) fn upsample(layouts: &[Layout], frame: &mut Frame, from: usize, to: usize) {
    let (Layout::Plane(small), Layout::Plane(large)) = (layouts[from], layouts[to]) else {
        return;
    };
    let mut out = take(&mut frame.buffers[to]);
    let (image, channels) = (&frame.buffers[from], small.channels);
    let lines: Vec<_> = large.lines().collect();
    for (line, pair) in small.lines().zip(lines.chunks_exact(2)) {
        let upper = &mut out[pair[0].clone()];
        let pixels = image[line].chunks_exact(channels);
        for (pixel, twice) in pixels.zip(upper.chunks_exact_mut(2 * channels)) {
            let (left, right) = twice.split_at_mut(channels);
            left.copy_from_slice(pixel);
            right.copy_from_slice(pixel);
        }
        out.copy_within(pair[0].clone(), pair[1].start);
    }
    frame.buffers[to] = out;
}

/// A row, channel by channel, as an image.
pub(super) fn unflatten(layouts: &[Layout], frame: &mut Frame, from: usize, to: usize) {
    let Layout::Plane(plane) = layouts[to] else {
        return;
    };
    let mut out = take(&mut frame.buffers[to]);
    let range = frame.range(&layouts[from]);
    plane.load(&frame.buffers[from][range], &mut out);
    frame.buffers[to] = out;
}

/// An image as a row, channel by channel.
pub(super) fn flatten(layouts: &[Layout], frame: &mut Frame, from: usize, to: usize) {
    let Layout::Plane(plane) = layouts[from] else {
        return;
    };
    let mut out = take(&mut frame.buffers[to]);
    let range = frame.range(&layouts[to]);
    plane.store(&frame.buffers[from], &mut out[range]);
    frame.buffers[to] = out;
}

/// Sines and cosines of how noisy the image is.
pub(super) fn time(layouts: &[Layout], frame: &mut Frame, out: usize) {
    let range = frame.range(&layouts[out]);
    let features = time_features(frame.time, layouts[out].width());
    for row in frame.buffers[out][range].chunks_exact_mut(features.len()) {
        row.copy_from_slice(&features);
    }
}

/// Every channel of an image, scaled and shifted.
pub(super) fn modulate(layouts: &[Layout], frame: &mut Frame, (to, by): (usize, usize)) {
    let Layout::Plane(plane) = layouts[to] else {
        return;
    };
    let mut image = take(&mut frame.buffers[to]);
    let range = frame.range(&layouts[by]);
    let (scales, shifts) = frame.buffers[by][range].split_at(plane.channels);
    for line in plane.lines() {
        for pixel in image[line].chunks_exact_mut(plane.channels) {
            for (x, (scale, shift)) in pixel.iter_mut().zip(scales.iter().zip(shifts)) {
                *x = *x * (1.0 + scale) + shift;
            }
        }
    }
    frame.buffers[to] = image;
}
