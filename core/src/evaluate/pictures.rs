//! Pictures that a network makes, of noise or of held-out images, beside those images.

use std::ops::Range;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::baseline::{Answers, Baseline, NOT_FINITE};
use super::denoised;
use super::frechet::{Distance, Real};
use super::set::{COARSE_PICTURES, ImageSet};
use super::statistics::t_quantile;
use crate::compress::distill::sample;
use crate::error::{Error, Result};
use crate::graph::Input;
use crate::measurement::{DENOISING_STEPS, Example, Interval, Metric, Paired};
use crate::model::{Model, standard_normal};
use crate::run::Network;

/// Seed of all noise: the same for every model, so that measurements are paired.
const NOISE_SEED: u64 = 20_261_128;
/// Pictures shown as examples; of an autoencoder as many again.
pub(super) const SHOWN: usize = 8;
/// A probability next to 0 or 1 costs so many nats at most: the logarithm of the least normal number in single precision.
const MOST_NATS: f64 = 87.3;

/// What pictures are made of and compared with.
#[derive(Debug, Clone)]
pub struct PictureSet {
    pub(super) images: ImageSet,
    /// Numbers that a picture is made of.
    latent: usize,
    /// What is done with held-out images and noise.
    kind: Kind,
    /// For every item: what a picture is made of, and what a sample is drawn with.
    noise: Vec<f32>,
    judge: Arc<Judge>,
}

/// What is done with held-out images and noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Images are made again, and pictures of noise.
    Autoencodes,
    /// Pictures are made of noise.
    Generates,
    /// Noise is told from images, and pictures are made of it in so many steps.
    Denoises(u32),
}

/// What sees features in pictures.
#[derive(Debug)]
struct Judge {
    network: Network,
    real: Real,
}

/// What a network made for an item.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// Features of a picture that it made of noise.
    features: Vec<f32>,
    /// That picture, of the first items.
    picture: Vec<u8>,
    /// Of a denoiser the same in several numbers of steps.
    by_steps: Vec<(u32, Vec<u8>)>,
    /// The held-out image made again: kept of the original, and of the first items.
    again: Vec<f32>,
    /// How near that comes, in decibels.
    psnr: f64,
}

impl PictureSet {
    /// Held-out images for a network that makes such, seen by a classifier of images of the same size.
    ///
    /// # Errors
    /// [`Error::Compute`] if the network makes no images of that size, or the classifier does not see them.
    pub(super) fn new(
        input: Input,
        latent: usize,
        images: ImageSet,
        judge: &Model,
    ) -> Result<Self> {
        let graph = judge.architecture.graph();
        let last = graph.nodes.len().saturating_sub(1);
        let network = Network::beginning(&graph, &judge.tensors, last)?;
        let width = network.outputs();
        let n = images.labels().len();
        let mut rng = ChaCha8Rng::seed_from_u64(NOISE_SEED);
        let (kind, rows) = match input {
            Input::Image(_) => (Kind::Autoencodes, 2 * n),
            Input::Noisy(_) => (Kind::Denoises(DENOISING_STEPS), n),
            _ => (Kind::Generates, 2 * n),
        };
        let noise = (0..latent * rows)
            .map(|_| standard_normal(&mut rng) as f32)
            .collect();
        let real = network.encode(&images.shades(0..n))?;
        Ok(Self {
            images,
            latent,
            kind,
            noise,
            judge: Arc::new(Judge {
                network,
                real: Real::new(real, width),
            }),
        })
    }

    /// The held-out images.
    pub const fn images(&self) -> &ImageSet {
        &self.images
    }

    /// What their makers are judged by.
    pub(super) const fn metric(&self) -> Metric {
        match self.kind {
            Kind::Autoencodes => Metric::NegativeElbo,
            Kind::Generates => Metric::Frechet,
            Kind::Denoises(_) => Metric::DenoisingLoss,
        }
    }

    /// The same with pictures made in so many steps, where they are made in steps.
    #[must_use]
    pub fn in_steps(mut self, steps: u32) -> Self {
        if let Kind::Denoises(made) = &mut self.kind {
            *made = steps;
        }
        self
    }

    /// Items that are held-out images; behind them come pictures of a denoiser.
    pub(super) fn held_out(&self) -> usize {
        let images = self.images.labels().len();
        match self.kind {
            Kind::Denoises(_) => images.min(denoised::IMAGES),
            _ => images,
        }
    }

    /// All items.
    pub(super) fn items(&self) -> usize {
        let images = self.held_out();
        match self.kind {
            Kind::Denoises(_) => images + denoised::PICTURES.min(images),
            _ => images,
        }
    }

    /// Samples of the metric in so many items.
    pub(super) fn samples(&self, items: usize) -> usize {
        items.min(self.held_out())
    }

    /// Items of the first, coarse measurement.
    pub(super) fn coarse(&self) -> usize {
        match self.kind {
            Kind::Denoises(_) => denoised::COARSE,
            _ => COARSE_PICTURES,
        }
    }

    /// The first item that a picture is made for.
    pub(super) fn first_picture(&self) -> usize {
        match self.kind {
            Kind::Denoises(_) => self.held_out(),
            _ => 0,
        }
    }

    /// Items of a step that begins at one, where they take longer than images.
    pub(super) fn step(&self, from: usize) -> Option<Range<usize>> {
        let Kind::Denoises(_) = self.kind else {
            return None;
        };
        let (images, all) = (self.held_out(), self.items());
        Some(match from < images {
            true => from..images.min(from + denoised::PER_STEP.0),
            false => from..all.min(from + denoised::PER_STEP.1),
        })
    }

    /// Features that the classifier sees in pictures.
    pub(super) fn features(&self, pictures: &[f32]) -> Result<Vec<f32>> {
        self.judge.network.encode(pictures)
    }

    /// Numbers of a picture.
    pub(super) fn pixels(&self) -> usize {
        self.images.pixels(0).len()
    }

    /// Whether a network makes pictures like these of the same numbers.
    pub(super) fn fits(&self, network: &Network) -> bool {
        let given = match self.kind {
            Kind::Autoencodes => self.pixels(),
            Kind::Generates => self.latent,
            Kind::Denoises(_) => self.pixels() + 1,
        };
        network.input().numbers() == Some(given) && network.outputs() == self.pixels()
    }

    /// Noise of an item: the first or the second row of it.
    pub(super) fn noise(&self, items: Range<usize>, second: bool) -> Vec<f32> {
        let every = match self.kind {
            Kind::Denoises(_) => 1,
            _ => 2,
        };
        let rows = self
            .noise
            .chunks_exact(self.latent)
            .skip(usize::from(second));
        let rows = rows.step_by(every).skip(items.start).take(items.len());
        rows.flatten().copied().collect()
    }

    /// What a network makes for some items.
    ///
    /// # Errors
    /// What it makes is not finite.
    pub(super) fn answers(&self, network: &Network, items: Range<usize>) -> Result<Vec<Answers>> {
        if let Kind::Denoises(steps) = self.kind {
            return denoised::answers(self, network, items, steps);
        }
        let pixels = self.pixels();
        let prior = self.noise(items.clone(), false);
        let (pictures, again) = if self.kind == Kind::Autoencodes {
            let images = self.images.shades(items.clone());
            let known = network.encode(&images)?;
            let noise = self.noise(items.clone(), true);
            let rows = known.chunks_exact(2 * self.latent);
            let rows = rows.zip(noise.chunks_exact(self.latent));
            let drawn: Vec<f32> = rows.flat_map(|(row, noise)| sample(row, noise)).collect();
            let again = network.decode(&drawn)?;
            (network.decode(&prior)?, Some((images, known, again)))
        } else {
            (network.encode(&prior)?, None)
        };
        let known = again
            .iter()
            .flat_map(|(_, known, again)| known.iter().chain(again));
        if !pictures.iter().chain(known).all(|value| value.is_finite()) {
            return Err(Error::Compute(NOT_FINITE.to_owned()));
        }
        let features = self.judge.network.encode(&pictures)?;
        let width = features.len() / items.len().max(1);
        let rows = features
            .chunks_exact(width)
            .zip(pictures.chunks_exact(pixels));
        let made = items.clone().zip(rows).map(|(item, (features, picture))| {
            let at = item - items.start;
            let shown = match item < SHOWN {
                true => picture.iter().map(|&shade| grey(shade)).collect(),
                false => Vec::new(),
            };
            let mut made = Made::of_noise(features, shown, Vec::new());
            let mut nats = 0.0;
            if let Some((images, known, again)) = &again {
                let row = |all: &[f32], width: usize| all[at * width..][..width].to_vec();
                let image = row(images, pixels);
                made.again = row(again, pixels);
                made.psnr = psnr(&image, &made.again);
                nats = code_length(&image, &made.again) + cost(&row(known, 2 * self.latent));
            }
            Answers {
                bits: nats / std::f64::consts::LN_2 / pixels as f64,
                made: Some(Box::new(made)),
                ..Answers::default()
            }
        });
        Ok(made.collect())
    }

    /// How far pictures of the first items are from real ones, beside those of the original.
    pub(super) fn compared(&self, now: &[&Answers], baseline: &Baseline) -> Option<Judged> {
        let n = now.len();
        let first = self.first_picture();
        if n < 2 * NEEDED || baseline.len() < first + n {
            return None;
        }
        let judged = |answers: &[&Answers]| self.judge.real.distance(&features(answers));
        let of_original = || {
            let before: Vec<_> = (first..first + n)
                .filter_map(|item| baseline.answers(item))
                .collect();
            judged(&before)
        };
        let (now, before) = rayon::join(|| judged(now), || baseline.distance(n, of_original));
        Some(Judged {
            level: around(&now, None),
            baseline: before.value,
            change: around(&now, Some(&before)),
        })
    }

    /// Precision and recall of what a network made.
    pub(super) fn precision_and_recall(&self, answers: &[&Answers]) -> (Interval, Interval) {
        self.judge.real.precision_and_recall(&features(answers))
    }

    /// What two networks made for the first items.
    pub(super) fn examples(&self, now: &[&Answers], before: &[&Answers]) -> Vec<Example> {
        let (rows, both) = (self.images.size(), now.iter().zip(before).take(SHOWN));
        let pictures = both.enumerate().filter_map(|(item, (now, before))| {
            let (now, before) = (now.made.as_ref()?, before.made.as_ref()?);
            let of_noise = |steps, before: &[u8], now: &[u8]| Example::Picture {
                held_out: None,
                rows,
                steps,
                original: before.to_vec(),
                compressed: now.to_vec(),
            };
            if !now.by_steps.is_empty() {
                let pairs = before.by_steps.iter().zip(&now.by_steps);
                let pictures =
                    pairs.map(|((steps, before), (_, now))| of_noise(Some(*steps), before, now));
                return Some(pictures.collect());
            }
            let made = of_noise(None, &before.picture, &now.picture);
            let grey = |shades: &[f32]| shades.iter().map(|&shade| grey(shade)).collect();
            let autoencodes = self.kind == Kind::Autoencodes;
            let again = autoencodes.then(|| Example::Picture {
                held_out: Some(self.images.index(item)),
                rows,
                steps: None,
                original: grey(&before.again),
                compressed: grey(&now.again),
            });
            Some(again.into_iter().chain([made]).collect::<Vec<_>>())
        });
        let mut all: Vec<Example> = pictures.flatten().collect();
        // Images made again come first.
        all.sort_by_key(|example| matches!(example, Example::Picture { held_out: None, .. }));
        all
    }
}

/// Pictures of each half, at least, that a distance is taken of.
pub(super) const NEEDED: usize = 16;

/// The distance of what a network makes from the real ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub(super) level: Interval,
    pub(super) baseline: f64,
    pub(super) change: Interval,
}

fn features(answers: &[&Answers]) -> Vec<f32> {
    let made = answers.iter().filter_map(|answers| answers.made.as_ref());
    made.flat_map(|made| made.features.iter().copied())
        .collect()
}

/// A distance, or its change from another, with Student's interval by what every picture changes of it.
fn around(now: &Distance, before: Option<&Distance>) -> Interval {
    let changes: Vec<f64> = match before {
        None => now.influence.clone(),
        Some(before) => {
            let pairs = now.influence.iter().zip(&before.influence);
            pairs.map(|(now, before)| now - before).collect()
        }
    };
    let n = changes.len() as f64;
    let variance = changes.iter().map(|change| change * change).sum::<f64>() / (n - 1.0);
    let half = t_quantile(changes.len() as u64 - 1) * (variance / n).sqrt();
    let value = now.value - before.map_or(0.0, |before| before.value);
    Interval {
        value,
        low: value - half,
        high: value + half,
    }
}

impl Made {
    /// A picture made of noise.
    pub(super) fn of_noise(
        features: &[f32],
        picture: Vec<u8>,
        by_steps: Vec<(u32, Vec<u8>)>,
    ) -> Self {
        Self {
            features: features.to_vec(),
            picture,
            by_steps,
            again: Vec::new(),
            psnr: 0.0,
        }
    }

    /// How near the held-out image made again comes to it, in decibels.
    pub(super) fn psnr(&self) -> f64 {
        self.psnr
    }

    /// Whether a held-out image was made again, and that was not forgotten.
    pub(super) fn made_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// Nats per pixel by which another network's image made again differs, each pixel being the probability of white.
    pub(super) fn divergence(&self, other: &Self) -> f64 {
        let pairs = self.again.par_iter().zip(&other.again);
        let nats = pairs.map(|(&p, &q)| {
            let (p, q) = (f64::from(p), f64::from(q));
            let part = |p: f64, q: f64| match p > 0.0 {
                true => p * (p / q.max(f64::MIN_POSITIVE)).ln().min(MOST_NATS),
                false => 0.0,
            };
            part(p, q) + part(1.0 - p, 1.0 - q)
        });
        (nats.sum::<f64>() / self.again.len().max(1) as f64).max(0.0)
    }

    /// Forgets the image made again.
    pub(super) fn forget(&mut self) {
        self.again = Vec::new();
    }
}

/// A shade from 0 to 1 as one of 256.
pub(super) fn grey(shade: f32) -> u8 {
    // Between both ends of the type.
    (shade.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Peak signal-to-noise ratio in decibels, the peak being white; at most that of 16 bits.
fn psnr(image: &[f32], other: &[f32]) -> f64 {
    const LEAST: f64 = 1.0 / ((1u64 << 32) as f64);
    let pairs = image.iter().zip(other);
    let square = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    -10.0 * (square / image.len().max(1) as f64).max(LEAST).log10()
}

/// Nats that an image costs when every pixel is the probability of white.
fn code_length(image: &[f32], white: &[f32]) -> f64 {
    let nats = |share: f64, probability: f64| -share * probability.ln().max(-MOST_NATS);
    let pairs = image.iter().zip(white);
    let pixels = pairs.map(|(&x, &p)| {
        let (x, p) = (f64::from(x), f64::from(p));
        nats(x, p) + nats(1.0 - x, 1.0 - p)
    });
    pixels.sum()
}

/// Nats that the numbers behind an image cost: the divergence of their distribution, means and then logarithms of variances,
/// from the standard normal one.
fn cost(row: &[f32]) -> f64 {
    let (means, logarithms) = row.split_at(row.len() / 2);
    let pairs = means.iter().zip(logarithms);
    let numbers = pairs.map(|(&mean, &log)| {
        let (mean, log) = (f64::from(mean), f64::from(log));
        0.5 * (log.exp() + mean * mean - 1.0 - log)
    });
    numbers.sum()
}

/// A mean with its interval, and that of the original.
pub(super) fn paired(now: Interval, baseline: f64) -> Paired {
    Paired {
        value: now.value,
        low: now.low,
        high: now.high,
        baseline,
    }
}
