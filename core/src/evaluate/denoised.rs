//! What a denoiser does: how far its predictions of held-out images with noise are off, and pictures that it makes of noise.
//!
//! Of the items of the set the first are held-out images, each with noise and a time of its own; behind them come pictures.

use std::ops::Range;

use super::baseline::{Answers, NOT_FINITE};
use super::pictures::{Made, PictureSet, SHOWN, grey};
use crate::error::{Error, Result};
use crate::measurement::DENOISING_LADDER;
use crate::run::Network;
use crate::run::denoising::{centred, sample, velocity, with_noise};

/// Held-out images that predictions are measured on, and pictures that are made, in a whole measurement: a picture takes as
/// many passes through the network as it has steps.
pub(super) const IMAGES: usize = 1024;
/// See [`IMAGES`].
pub(super) const PICTURES: usize = 256;
/// Held-out images of the first, coarse measurement.
pub(super) const COARSE: usize = 256;
/// Held-out images, and pictures, of one step of a measurement.
pub(super) const PER_STEP: (usize, usize) = (64, 8);

/// A time for every item, of which every first few are spread evenly from 0 to 1: the digits of its number from behind (van der
/// Corput 1935).
pub(super) fn time(item: usize) -> f32 {
    let reversed = (item as u64 + 1).reverse_bits();
    (reversed as f64 / 2f64.powi(64)) as f32
}

/// What a network predicts of some held-out images, or the pictures that it makes of noise.
///
/// # Errors
/// What it gives is not finite.
pub(super) fn answers(
    set: &PictureSet,
    network: &Network,
    items: Range<usize>,
    steps: u32,
) -> Result<Vec<Answers>> {
    let images = set.held_out();
    if items.start < images {
        return predicted(set, network, items);
    }
    made(
        set,
        network,
        items.start - images..items.end - images,
        steps,
    )
}

fn predicted(set: &PictureSet, network: &Network, items: Range<usize>) -> Result<Vec<Answers>> {
    let pixels = set.pixels();
    let (mut given, mut wanted) = (Vec::new(), Vec::new());
    let shades = set.images().shades(items.clone());
    let noise = set.noise(items.clone(), false);
    let rows = shades.chunks_exact(pixels).zip(noise.chunks_exact(pixels));
    for (item, (image, noise)) in items.zip(rows) {
        let image: Vec<f32> = image.iter().map(|&shade| centred(shade)).collect();
        with_noise(&image, noise, time(item), &mut given);
        velocity(&image, noise, time(item), &mut wanted);
    }
    let found = finite(network.encode(&given)?)?;
    let rows = found.chunks_exact(pixels).zip(wanted.chunks_exact(pixels));
    let answers = rows.map(|(found, wanted)| {
        let pairs = found.iter().zip(wanted);
        let squares = pairs.map(|(found, wanted)| f64::from(found - wanted).powi(2));
        Answers {
            bits: squares.sum::<f64>() / pixels as f64,
            ..Answers::default()
        }
    });
    Ok(answers.collect())
}

fn made(
    set: &PictureSet,
    network: &Network,
    items: Range<usize>,
    steps: u32,
) -> Result<Vec<Answers>> {
    let pixels = set.pixels();
    let noise = set.noise(items.clone(), false);
    let pictures = finite(sample(network, &noise, pixels, steps)?)?;
    let features = set.features(&pictures)?;
    let width = features.len() / items.len().max(1);
    let shown = items.end.min(SHOWN).saturating_sub(items.start);
    let mut ladder = Vec::new();
    if shown > 0 {
        for steps in DENOISING_LADDER {
            let few = &noise[..shown * pixels];
            ladder.push((steps, finite(sample(network, few, pixels, steps)?)?));
        }
    }
    let answers = features
        .chunks_exact(width)
        .enumerate()
        .map(|(at, features)| {
            let picture = |pictures: &[f32]| -> Vec<u8> {
                let picture = pictures.get(at * pixels..(at + 1) * pixels);
                picture
                    .unwrap_or(&[])
                    .iter()
                    .map(|&shade| grey(shade))
                    .collect()
            };
            let by_steps = ladder
                .iter()
                .map(|(steps, pictures)| (*steps, picture(pictures)));
            let by_steps = by_steps
                .filter(|(_, picture)| !picture.is_empty())
                .collect();
            Answers {
                made: Some(Box::new(Made::of_noise(features, Vec::new(), by_steps))),
                ..Answers::default()
            }
        });
    Ok(answers.collect())
}

fn finite(numbers: Vec<f32>) -> Result<Vec<f32>> {
    match numbers.iter().all(|number| number.is_finite()) {
        true => Ok(numbers),
        false => Err(Error::Compute(NOT_FINITE.to_owned())),
    }
}
